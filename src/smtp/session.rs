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
mod shape;
mod text;

use std::sync::Arc;

use bytes::BytesMut;

use self::auth::{Credentials, Exchange};
use self::command::{Command, Line, Lines, Mail, Mechanism, Recipient};
pub use self::limits::{Limits, Protocol};
use self::text::{Doubt, Text};
use super::{Answer, SessionInfo};
use crate::domain::address::{EmailAddress, ReversePath};

/// Refused recipients of a client that is not trusted before each further refusal is slowed down.
const REFUSED_RECIPIENTS_AT_ONCE: usize = 3;
/// Failed log-ins before the session ends.
const FAILED_LOGINS: usize = 3;
/// Characters of one line of an answer, well below the 512 octets of RFC 5321 section 4.5.3.1.5.
const ANSWER_LINE_CHARACTERS: usize = 400;
/// A message over the limit is read on for as long as this many times the limit, so that the client hears why.
const OVERSIZE_READ_ON: u64 = 4;

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
            Command::Rset => {
                self.forget_transaction(content);
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
        let last = lines.len() - 1;
        for (at, line) in lines.iter().enumerate() {
            let separator = if at == last { ' ' } else { '-' };
            self.output.extend_from_slice(format!("250{separator}{line}\r\n").as_bytes());
        }
    }

    fn mail(&mut self, mail: Box<Mail>) -> Option<Step> {
        let refusal = if !self.greeted {
            let expected = if self.config.protocol == Protocol::Lmtp { "LHLO" } else { "EHLO" };
            Some(Answer::new(503, (5, 5, 1), format!("{expected} comes first")))
        } else if self.config.protocol == Protocol::Submission && self.info.authenticated.is_none() {
            Some(Answer::new(530, (5, 7, 0), if self.info.tls { "AUTH comes first" } else { "STARTTLS and AUTH come first" }))
        } else if self.envelope.is_some() {
            Some(Answer::new(503, (5, 5, 1), "a transaction is open already"))
        } else if mail.auth && !self.offers_auth() {
            Some(Answer::new(555, (5, 5, 4), "the parameter is not offered"))
        } else if mail.declared_octets.is_some_and(|octets| octets > self.config.limits.message_octets) {
            Some(Doubt::Size.answer(&self.config.limits))
        } else {
            None
        };
        if let Some(refusal) = refusal {
            self.wrong(&refusal);
            return None;
        }
        let step = Step::Sender { reverse_path: mail.reverse_path.clone(), declared_octets: mail.declared_octets };
        self.at = At::Asked(Question::Sender(mail));
        Some(step)
    }

    /// `None` is yes.
    pub fn sender_answered(&mut self, refusal: Option<Answer>) {
        let At::Asked(Question::Sender(mail)) = std::mem::replace(&mut self.at, At::Command) else { return };
        if let Some(refusal) = refusal {
            return self.answer(&refusal);
        }
        self.utf8 = mail.utf8;
        self.envelope = Some(Box::new(Envelope { reverse_path: mail.reverse_path, recipients: Vec::new() }));
        self.answer(&Answer::new(250, (2, 1, 0), "sender taken"));
    }

    fn rcpt(&mut self, recipient: Recipient) -> Option<Step> {
        let address = match recipient {
            Recipient::Address { address, ascii } => {
                if !ascii && self.envelope.is_some() && !self.utf8 {
                    self.wrong(&Answer::new(553, (5, 6, 7), "an address that is not ASCII needs SMTPUTF8"));
                    return None;
                }
                Some(address)
            }
            Recipient::Postmaster => format!("postmaster@{}", self.config.domain).parse().ok(),
        };
        let refusal = match (&self.envelope, &self.text) {
            (None, _) => Some(Answer::new(503, (5, 5, 1), "MAIL comes first")),
            (_, Some(_)) => Some(Answer::new(503, (5, 5, 1), "a message has begun already")),
            (Some(envelope), None) if envelope.recipients.len() >= self.config.limits.recipients => {
                // Not an error: the client sends the rest in another transaction (RFC 5321 section 4.5.3.1.10).
                self.answer(&Answer::new(452, (4, 5, 3), "too many recipients for one transaction"));
                return None;
            }
            _ => None,
        };
        match (refusal, address) {
            (Some(refusal), _) => self.wrong(&refusal),
            (None, None) => self.wrong(&Answer::new(550, (5, 1, 1), "no such address here")),
            (None, Some(address)) => {
                self.at = At::Asked(Question::Recipient(address.clone()));
                return Some(Step::Recipient(address));
            }
        }
        None
    }

    /// A positive answer adds the recipient.
    pub fn recipient_answered(&mut self, answer: &Answer) {
        let At::Asked(Question::Recipient(address)) = std::mem::replace(&mut self.at, At::Command) else { return };
        if answer.is_positive() {
            if let Some(envelope) = &mut self.envelope {
                envelope.recipients.push(address);
            }
            return self.answer(answer);
        }
        if self.info.trusted {
            // A relay asks for many people; its bad recipients are not its own errors.
            return self.answer(answer);
        }
        self.refused_recipients += 1;
        if self.refused_recipients > REFUSED_RECIPIENTS_AT_ONCE {
            self.slowdowns += 1;
        }
        self.wrong(answer);
    }

    /// Why a message cannot begin now, if so.
    fn not_ready_for_message(&self) -> Option<Answer> {
        match &self.envelope {
            None => Some(Answer::new(503, (5, 5, 1), "MAIL comes first")),
            Some(envelope) if envelope.recipients.is_empty() => {
                // RFC 2033 section 4.2 demands 503 of LMTP.
                let code = if self.config.protocol == Protocol::Lmtp { 503 } else { 554 };
                Some(Answer::new(code, (5, 5, 1), "no recipient was accepted"))
            }
            Some(_) => None,
        }
    }

    fn data_begins(&mut self) {
        if let Some(refusal) = self.not_ready_for_message() {
            return self.wrong(&refusal);
        }
        if self.text.is_some() {
            return self.wrong(&Answer::new(503, (5, 5, 1), "DATA cannot follow BDAT"));
        }
        self.text = Some(Box::new(Text::new(true)));
        self.at = At::Data;
        self.line(354, "end with a dot alone on a line");
    }

    fn data(&mut self, input: &mut BytesMut, content: &mut Vec<u8>) -> Option<Step> {
        let Some(text) = &mut self.text else {
            self.at = At::Closing;
            return None;
        };
        let (taken, ended) = text.take(input, content, &self.config.limits);
        let _ = input.split_to(taken);
        if ended { self.message_complete(content) } else { self.oversize().or(Some(Step::Read)) }
    }

    /// Ends the session with a client that goes on and on behind the limit.
    fn oversize(&mut self) -> Option<Step> {
        let limits = &self.config.limits;
        if self.octets_collected() <= limits.message_octets.saturating_mul(OVERSIZE_READ_ON) {
            return None;
        }
        let answer = Doubt::Size.answer(limits);
        self.end_with(&answer);
        Some(Step::Close)
    }

    fn chunk_begins(&mut self, octets: u64, last: bool) {
        if let Some(answer) = self.not_ready_for_message() {
            // The chunk comes all the same (RFC 3030 section 2).
            self.at = At::LostChunk { left: octets, answer };
            return;
        }
        let text = self.text.get_or_insert_with(|| Box::new(Text::new(false)));
        if octets > self.config.limits.message_octets.saturating_sub(text.octets()) {
            text.refuse(Doubt::Size);
        }
        if octets > self.config.limits.message_octets.saturating_mul(OVERSIZE_READ_ON) {
            let answer = Doubt::Size.answer(&self.config.limits);
            return self.end_with(&answer);
        }
        self.at = At::Chunk { left: octets, last };
    }

    fn chunk(&mut self, input: &mut BytesMut, content: &mut Vec<u8>) -> Option<Step> {
        let (At::Chunk { left, last }, Some(text)) = (&mut self.at, &mut self.text) else {
            self.at = At::Closing;
            return None;
        };
        let piece = input.split_to(usize::try_from(*left).unwrap_or(usize::MAX).min(input.len()));
        text.take(&piece, content, &self.config.limits);
        *left -= piece.len() as u64;
        if *left > 0 {
            return self.oversize().or(Some(Step::Read));
        }
        if *last {
            text.chunks_end(content, &self.config.limits);
            return self.message_complete(content);
        }
        self.at = At::Command;
        match text.doubt().cloned() {
            None => self.answer(&Answer::new(250, (2, 0, 0), "chunk taken")),
            Some(doubt) => self.refuse_message(&doubt, 1, content),
        }
        None
    }

    fn lost_chunk(&mut self, input: &mut BytesMut) -> Option<Step> {
        let At::LostChunk { left, answer } = &mut self.at else { return None };
        let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
        let _ = input.split_to(taken);
        *left -= taken as u64;
        if *left > 0 {
            return Some(Step::Read);
        }
        let answer = answer.clone();
        self.at = At::Command;
        self.wrong(&answer);
        None
    }

    fn message_complete(&mut self, content: &mut Vec<u8>) -> Option<Step> {
        self.at = At::Command;
        let recipients = self.envelope.as_ref().map_or(0, |envelope| envelope.recipients.len());
        if let Some(doubt) = self.text.as_ref().and_then(|text| text.doubt().cloned()) {
            self.refuse_message(&doubt, recipients, content);
            return None;
        }
        self.text = None;
        let envelope = self.envelope.take()?;
        self.at = At::Asked(Question::Message { recipients });
        Some(Step::Message { reverse_path: envelope.reverse_path, recipients: envelope.recipients })
    }

    /// Refuses a message while it comes in or at its end; `recipients` answers are due over LMTP.
    fn refuse_message(&mut self, doubt: &Doubt, recipients: usize, content: &mut Vec<u8>) {
        let answer = doubt.answer(&self.config.limits);
        self.forget_transaction(content);
        for _ in 0..if self.config.protocol == Protocol::Lmtp { recipients } else { 1 } {
            self.answer(&answer);
        }
        if !self.info.trusted {
            self.errors += 1;
        }
        if *doubt == Doubt::LineEnds {
            self.at = At::Closing;
        }
    }

    /// One answer a recipient, in order; over SMTP they become one. Missing ones count as 451.
    pub fn message_answered(&mut self, mut answers: Vec<Answer>) {
        let At::Asked(Question::Message { recipients }) = std::mem::replace(&mut self.at, At::Command) else { return };
        answers.resize(recipients, Answer::new(451, (4, 3, 0), "the message could not be judged, try again later"));
        if answers.iter().any(Answer::is_positive) {
            self.commands = 0;
        }
        if self.config.protocol == Protocol::Lmtp {
            for answer in &answers {
                self.answer(answer);
            }
        } else if let Some(answer) = one_answer(&answers) {
            self.answer(answer);
        }
    }

    fn forget_transaction(&mut self, content: &mut Vec<u8>) {
        self.envelope = None;
        self.text = None;
        content.clear();
    }

    fn offers_auth(&self) -> bool {
        self.config.protocol == Protocol::Submission && self.info.tls
    }

    fn starttls(&mut self) -> Option<Step> {
        if !self.config.starttls {
            self.wrong(&Answer::new(502, (5, 5, 1), "STARTTLS is not offered"));
        } else if self.info.tls || self.envelope.is_some() {
            self.wrong(&Answer::new(503, (5, 5, 1), "not now"));
        } else {
            self.answer(&Answer::new(220, (2, 0, 0), "go ahead"));
            self.at = At::Asked(Question::Tls);
            return Some(Step::StartTls);
        }
        None
    }

    /// Everything said before is forgotten (RFC 3207 section 4.2).
    pub fn tls_started(&mut self) {
        self.at = At::Command;
        self.lines = Lines::default();
        self.greeted = false;
        let info = Arc::make_mut(&mut self.info);
        info.tls = true;
        info.helo.clear();
    }

    fn auth(&mut self, mechanism: Mechanism, initial: Option<&str>) -> Option<Step> {
        let refusal = if self.config.protocol != Protocol::Submission {
            Some(Answer::new(502, (5, 5, 1), "AUTH is not offered"))
        } else if !self.info.tls {
            Some(Answer::new(530, (5, 7, 0), "STARTTLS comes first"))
        } else if !self.greeted || self.info.authenticated.is_some() || self.envelope.is_some() {
            Some(Answer::new(503, (5, 5, 1), "not now"))
        } else {
            None
        };
        if let Some(refusal) = refusal {
            self.wrong(&refusal);
            return None;
        }
        let exchange = match mechanism {
            Mechanism::Plain => Exchange::Plain,
            Mechanism::Login => Exchange::LoginUser,
        };
        match initial {
            Some(initial) => self.auth_response(exchange, initial),
            None => self.challenge(exchange),
        }
    }

    fn challenge(&mut self, exchange: Exchange) -> Option<Step> {
        self.line(334, exchange.challenge());
        self.at = At::Authenticating(exchange);
        None
    }

    fn auth_response(&mut self, exchange: Exchange, response: &str) -> Option<Step> {
        if response == "*" {
            self.wrong(&Answer::new(501, (5, 7, 0), "given up"));
            return None;
        }
        match exchange.response(response) {
            None => {
                self.wrong(&Answer::new(501, (5, 5, 2), "the response cannot be decoded"));
                None
            }
            Some(Err(next)) => self.challenge(next),
            Some(Ok(Credentials { user, password })) => {
                self.at = At::Asked(Question::Credentials);
                Some(Step::Authenticate { user, password })
            }
        }
    }

    /// Who it is, if the credentials are right.
    pub fn authenticated(&mut self, who: Option<EmailAddress>) {
        if !matches!(self.at, At::Asked(Question::Credentials)) {
            return;
        }
        self.at = At::Command;
        if who.is_some() {
            Arc::make_mut(&mut self.info).authenticated = who;
            return self.answer(&Answer::new(235, (2, 7, 0), "welcome"));
        }
        self.failed_logins += 1;
        self.slowdowns += 1;
        if self.failed_logins >= FAILED_LOGINS {
            return self.end_with(&Answer::new(421, (4, 7, 0), "too many failed log-ins"));
        }
        self.wrong(&Answer::new(535, (5, 7, 8), "user or password is wrong"));
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

/// SMTP has one answer for all recipients: taken if one took it, else to be tried again if one might take it later.
fn one_answer(answers: &[Answer]) -> Option<&Answer> {
    let transient = |answer: &&Answer| (400..500).contains(&answer.code);
    answers.iter().find(|answer| answer.is_positive()).or_else(|| answers.iter().find(transient)).or_else(|| answers.first())
}

#[cfg(test)]
mod tests;
