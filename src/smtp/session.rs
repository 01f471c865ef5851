//! SMTP and LMTP server sessions as a pure state machine: octets in, answers and questions out; no sockets, no clock.
//!
//! [`Session::step`] eats input until it needs more or has a question, which the caller puts to the `Receiver` and
//! answers. Answers gather in [`Session::take_output`]; the caller writes them before it reads again, so that pipelined
//! commands (RFC 2920) are answered in one write. RFC 5321, 2033 (LMTP), 1870 (SIZE), 3030 (CHUNKING), 2034, 6531.
//! The surprise: strictness about CR LF has no exemption, because the one client that everybody trusts, the relay in
//! front, is the one through which smuggled messages come.

mod auth;
mod command;
mod limits;
mod login;
mod shape;
mod text;
mod transaction;
mod xforward;

use std::sync::Arc;

use bytes::BytesMut;

use self::auth::Exchange;
use self::command::{Command, Line, Lines, Mail};
pub use self::limits::{Limits, Protocol};
use self::text::{Doubt, Text};
use super::{Answer, SessionInfo};
use crate::domain::address::{EmailAddress, ReversePath};

/// Characters of one line of an answer, well below the 512 octets of RFC 5321 section 4.5.3.1.5.
const ANSWER_LINE_CHARACTERS: usize = 400;
/// What all sessions of a listener have in common.
#[derive(Debug, Clone)]
pub struct SessionConfig {
    /// What is spoken.
    pub protocol: Protocol,
    /// Name in the greeting and in answers to EHLO.
    pub hostname: String,
    /// The list domain, where `postmaster` without a domain is.
    pub domain: String,
    /// Is STARTTLS offered?
    pub starttls: bool,
    /// May a trusted client say by XFORWARD whose message it passes on?
    pub xforward: bool,
    /// Bounds.
    pub limits: Limits,
}

/// What the caller is to do next.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Write the output, then read more.
    Read,
    /// Ask `Receiver::sender`, then call [`Session::sender_answered`].
    Sender {
        /// What MAIL said.
        reverse_path: ReversePath,
        /// Its SIZE.
        declared_octets: Option<u64>,
    },
    /// Ask `Receiver::recipient`, then call [`Session::recipient_answered`].
    Recipient(EmailAddress),
    /// Ask `Receiver::authenticate`, then call [`Session::authenticated`].
    Authenticate {
        /// As given.
        user: String,
        /// As given; not to be logged.
        password: String,
    },
    /// The message is complete in `content` and wherever the caller put its beginning. Ask `Receiver::message`, then
    /// call [`Session::message_answered`].
    Message {
        /// What MAIL said.
        reverse_path: ReversePath,
        /// What RCPT said, accepted ones only.
        recipients: Vec<EmailAddress>,
    },
    /// Write the output, throw away whatever was read, begin TLS, then call [`Session::tls_started`].
    StartTls,
    /// Write the output and close.
    Close,
}

/// What a client that is waited for is doing, for the deadlines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Its first command.
    Greeting,
    /// A command.
    Command,
    /// A message.
    Message,
}

struct Envelope {
    reverse_path: ReversePath,
    recipients: Vec<EmailAddress>,
}

enum At {
    Command,
    Authenticating(Exchange),
    /// A question is with the caller.
    Asked(Question),
    /// Between 354 and the dot.
    Data,
    /// Inside a chunk of BDAT.
    Chunk {
        left: u64,
        last: bool,
    },
    /// Inside a chunk that nobody wants.
    LostChunk {
        left: u64,
        answer: Answer,
    },
    Closing,
}

enum Question {
    Sender(Box<Mail>),
    Recipient(EmailAddress),
    Credentials,
    Message { recipients: usize },
    Tls,
}

/// One session.
pub struct Session {
    config: Arc<SessionConfig>,
    info: Arc<SessionInfo>,
    output: Vec<u8>,
    lines: Lines,
    at: At,
    first_command_seen: bool,
    greeted: bool,
    envelope: Option<Box<Envelope>>,
    /// The last MAIL said SMTPUTF8, so answers may have more than ASCII (RFC 6531 section 3.7.4.2).
    utf8: bool,
    text: Option<Box<Text>>,
    errors: usize,
    commands: usize,
    refused_recipients: usize,
    failed_logins: usize,
    slowdowns: u32,
}

impl Session {
    /// A session whose client has just connected. Nothing is said before [`Session::greet`].
    pub fn new(config: Arc<SessionConfig>, info: SessionInfo) -> Self {
        Self {
            config,
            info: Arc::new(info),
            output: Vec::new(),
            lines: Lines::default(),
            at: At::Command,
            first_command_seen: false,
            greeted: false,
            envelope: None,
            utf8: false,
            text: None,
            errors: 0,
            commands: 0,
            refused_recipients: 0,
            failed_logins: 0,
            slowdowns: 0,
        }
    }

    /// Says 220.
    pub fn greet(&mut self) {
        let kind = if self.config.protocol == Protocol::Lmtp { "LMTP" } else { "ESMTP" };
        self.line(220, &format!("{} {kind} Enlace", self.config.hostname));
    }

    /// The client spoke before it was greeted (RFC 5321 section 4.3.1): robots do.
    pub fn spoke_too_early(&mut self) {
        self.end_with(&Answer::new(554, (5, 5, 0), "a client has to wait for the greeting"));
    }

    /// The session is over for a reason of ours: shutdown, a deadline, too many sessions.
    pub fn end_with(&mut self, answer: &Answer) {
        self.answer(answer);
        self.at = At::Closing;
    }

    /// What is known about the client now.
    pub fn info(&self) -> &Arc<SessionInfo> {
        &self.info
    }

    /// The answers that are to be written, leaving none behind.
    pub fn take_output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.output)
    }

    /// What the client is waited for to do.
    pub fn phase(&self) -> Phase {
        match self.at {
            At::Data | At::Chunk { .. } | At::LostChunk { .. } => Phase::Message,
            _ if self.first_command_seen => Phase::Command,
            _ => Phase::Greeting,
        }
    }

    /// Is a message coming in, so that `content` and what was taken out of it is to be kept?
    pub fn is_collecting(&self) -> bool {
        self.text.as_ref().is_some_and(|text| text.doubt().is_none())
    }

    /// Octets of the message that have come in.
    pub fn octets_collected(&self) -> u64 {
        self.text.as_ref().map_or(0, |text| text.octets())
    }

    /// The message cannot be kept (a full disk): the rest is read and thrown away, and this is answered at its end.
    pub fn refuse_content(&mut self, answer: Answer) {
        if let Some(text) = &mut self.text {
            text.refuse(Doubt::Listener(answer));
        }
    }

    /// How many refusals are to be slowed down, and forgets it.
    pub fn take_slowdowns(&mut self) -> u32 {
        std::mem::take(&mut self.slowdowns)
    }

    /// Eats `input` until more is needed or there is a question. The octets of a message are appended to `content`,
    /// from which the caller may take them at any time; a message that is refused or given up empties it.
    pub fn step(&mut self, input: &mut BytesMut, content: &mut Vec<u8>) -> Step {
        loop {
            let step = match self.at {
                // The caller of a question has forgotten to answer: there is nothing that could be said to the client.
                At::Closing | At::Asked(_) => Some(Step::Close),
                At::Data => self.data(input, content),
                At::Chunk { .. } => self.chunk(input, content),
                At::LostChunk { .. } => self.lost_chunk(input),
                At::Command | At::Authenticating(_) => match self.lines.next(input, self.config.limits.command_octets) {
                    None => Some(Step::Read),
                    Some(line) => self.line_read(line, content),
                },
            };
            if let Some(step) = step {
                return step;
            }
        }
    }

    fn line_read(&mut self, line: Line, content: &mut Vec<u8>) -> Option<Step> {
        self.first_command_seen = true;
        self.commands += 1;
        if self.commands > self.config.limits.commands {
            self.end_with(&Answer::new(421, (4, 7, 0), "too many commands without a message"));
            return None;
        }
        match line {
            Line::Broken => {
                self.end_with(&Answer::new(554, (5, 6, 0), "a bare CR, a bare LF or a NUL; every line must end with CR LF"));
                None
            }
            Line::TooLong => {
                self.at = At::Command;
                self.wrong(&Answer::new(500, (5, 5, 2), "the line is too long"));
                None
            }
            Line::Whole(line) => match std::mem::replace(&mut self.at, At::Command) {
                At::Authenticating(exchange) => self.auth_response(exchange, &String::from_utf8_lossy(line.trim_ascii())),
                _ => self.command(command::read(&line), content),
            },
        }
    }

    fn command(&mut self, command: Command, content: &mut Vec<u8>) -> Option<Step> {
        match command {
            Command::Ehlo(name) => self.hello(&name, self.config.protocol != Protocol::Lmtp, true, content),
            Command::Helo(name) => self.hello(&name, self.config.protocol != Protocol::Lmtp, false, content),
            Command::Lhlo(name) => self.hello(&name, self.config.protocol == Protocol::Lmtp, true, content),
            Command::Mail(mail) => return self.mail(mail),
            Command::Rcpt(recipient) => return self.rcpt(recipient),
            Command::Data => self.data_begins(),
            Command::Bdat { octets, last } => self.chunk_begins(octets, last),
            Command::Auth { mechanism, initial } => return self.auth(mechanism, initial.as_deref()),
            Command::StartTls => return self.starttls(),
            Command::Xforward(attributes) => self.xforward(&attributes),
            Command::Rset => {
                self.forget_transaction(content);
                self.forget_client();
                self.answer(&Answer::new(250, (2, 0, 0), "forgotten"));
            }
            Command::Noop => self.answer(&Answer::new(250, (2, 0, 0), "still here")),
            Command::Vrfy => self.answer(&Answer::new(252, (2, 5, 0), "send a message and see")),
            Command::Help => self.answer(&Answer::new(214, (2, 0, 0), "see RFC 5321, and RFC 2033 for LMTP")),
            Command::Quit => self.end_with(&Answer::new(221, (2, 0, 0), "good bye")),
            Command::Http => self.end_with(&Answer::new(421, (4, 7, 0), "this is a mail server")),
            Command::Wrong(answer) => self.wrong(&answer),
            Command::Lost(answer) => self.end_with(&answer),
        }
        None
    }

    fn hello(&mut self, name: &str, belongs_here: bool, extended: bool, content: &mut Vec<u8>) {
        if !belongs_here {
            let expected = if self.config.protocol == Protocol::Lmtp { "LHLO" } else { "EHLO" };
            return self.wrong(&Answer::new(500, (5, 5, 1), format!("{expected} is expected")));
        }
        self.forget_transaction(content);
        self.greeted = true;
        Arc::make_mut(&mut self.info).helo = name.chars().filter(|c| !c.is_control()).collect();
        if !extended {
            return self.line(250, &self.config.hostname.clone());
        }
        let mut lines = vec![
            self.config.hostname.clone(),
            "PIPELINING".to_owned(),
            format!("SIZE {}", self.config.limits.message_octets),
            "8BITMIME".to_owned(),
            "SMTPUTF8".to_owned(),
            "CHUNKING".to_owned(),
            "ENHANCEDSTATUSCODES".to_owned(),
        ];
        if self.config.starttls && !self.info.tls {
            lines.push("STARTTLS".to_owned());
        }
        if self.offers_auth() {
            lines.push("AUTH PLAIN LOGIN".to_owned());
        }
        if self.takes_xforward() {
            lines.push("XFORWARD NAME ADDR PORT PROTO HELO IDENT SOURCE".to_owned());
        }
        let last = lines.len() - 1;
        for (at, line) in lines.iter().enumerate() {
            let separator = if at == last { ' ' } else { '-' };
            self.output.extend_from_slice(format!("250{separator}{line}\r\n").as_bytes());
        }
    }

    fn forget_transaction(&mut self, content: &mut Vec<u8>) {
        self.envelope = None;
        self.text = None;
        content.clear();
    }

    /// Answers a mistake of the client; one too many ends the session.
    fn wrong(&mut self, answer: &Answer) {
        self.errors += 1;
        if self.errors > self.config.limits.errors {
            return self.end_with(&Answer::new(421, (4, 7, 0), "too many errors"));
        }
        self.answer(answer);
    }

    /// Appends an answer, as several lines if it is long; 421 ends the session (RFC 5321 section 3.8).
    fn answer(&mut self, answer: &Answer) {
        let (class, subject, detail) = answer.enhanced;
        let utf8 = self.utf8;
        let text: Vec<char> = answer
            .text
            .chars()
            .map(|c| if c.is_control() || !(c.is_ascii() || utf8) { '?' } else { c })
            .take(4 * ANSWER_LINE_CHARACTERS)
            .collect();
        let lines = text.len().div_ceil(ANSWER_LINE_CHARACTERS).max(1);
        for at in 0..lines {
            let separator = if at + 1 == lines { ' ' } else { '-' };
            let until = text.len().min((at + 1) * ANSWER_LINE_CHARACTERS);
            let line: String = text[at * ANSWER_LINE_CHARACTERS..until].iter().collect();
            self.output.extend_from_slice(format!("{}{separator}{class}.{subject}.{detail} {line}\r\n", answer.code).as_bytes());
        }
        if answer.code == 421 {
            self.at = At::Closing;
        }
    }

    /// An answer without an enhanced code: greeting, EHLO, 334 and 354 have none (RFC 2034 section 4).
    fn line(&mut self, code: u16, text: &str) {
        self.output.extend_from_slice(format!("{code} {text}\r\n").as_bytes());
    }
}

#[cfg(test)]
mod tests;
