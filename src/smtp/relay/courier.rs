//! Transactions over an opened SMTP session: pipelined where the relay allows it, an outcome for each RCPT.
//!
//! lettre's own `send` gives a message up at the first refused RCPT, waits for each answer before the next command, and
//! writes the final dot by itself, so the transactions are ours; commands and addresses are lettre's.
//! Sources: RFC 5321 sections 3.3 and 4.2, RFC 2920 section 3.1.
//! The surprise: after a refused MAIL or RCPT in a pipelined group the relay may still answer DATA with 354; such an
//! empty message is ended at once, and its answer thrown away.

use std::time::Duration;

use async_trait::async_trait;
use lettre::Address;
use lettre::transport::smtp::commands::{Data, Mail, Quit, Rcpt, Rset};
use lettre::transport::smtp::extension::{MailBodyParameter, MailParameter};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

use super::features::Features;
use super::reply::{Lost, Reply, ReplyReader};
use super::wire::Encoder;
use super::{Clearance, RelaySession, Transaction};
use crate::domain::ledger::RelayAnswer;

/// How long each step may take (RFC 5321 section 4.5.3.2, shorter where the relay is near).
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// TCP connection and TLS handshake, each.
    pub connect: Duration,
    /// Greeting, and an answer to EHLO, STARTTLS, AUTH, MAIL, RCPT, RSET.
    pub command: Duration,
    /// 354 after DATA.
    pub data: Duration,
    /// Taking one block of the message.
    pub block: Duration,
    /// The answer to the final dot.
    pub dot: Duration,
    /// QUIT, whose answer nobody needs.
    pub quit: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(15),
            command: Duration::from_mins(5),
            data: Duration::from_mins(2),
            block: Duration::from_mins(3),
            dot: Duration::from_mins(10),
            quit: Duration::from_secs(3),
        }
    }
}

/// Both directions of a connection, encrypted or not.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// Octets gathered before they are written: one write for a usual message, bounded memory for a large one.
const BLOCK_OCTETS: usize = 64 * 1024;

/// An SMTP session behind EHLO, TLS and AUTH.
pub struct Courier {
    pub(super) stream: Box<dyn Duplex>,
    pub(super) reader: ReplyReader,
    pub(super) features: Features,
    pub(super) timeouts: Timeouts,
    open: bool,
    /// The transaction before left something behind that RSET clears.
    to_reset: bool,
    buffer: Vec<u8>,
}

/// How far a transaction came.
enum Progress {
    /// Recipients by index whose RCPT was taken, and DATA answered 354.
    Ready(Vec<usize>),
    /// Every recipient has its answer.
    Over,
}

/// Answers as they become known, by index of the recipient.
struct Answers(Vec<Option<RelayAnswer>>);

impl Answers {
    fn set(&mut self, indexes: &[usize], answer: &RelayAnswer) {
        for &index in indexes {
            self.0[index] = Some(answer.clone());
        }
    }

    /// Gives `answer` to all who have none yet.
    fn close(self, answer: &RelayAnswer) -> Vec<RelayAnswer> {
        self.0.into_iter().map(|known| known.unwrap_or_else(|| answer.clone())).collect()
    }
}

/// What a negative reply means for a recipient; `None` for a positive one.
fn refusal(reply: &Reply) -> Option<RelayAnswer> {
    match reply.code {
        400..500 => Some(RelayAnswer::Later(reply.line.clone())),
        500..600 => Some(RelayAnswer::Refused(reply.line.clone())),
        _ => None,
    }
}

impl Courier {
    pub(super) fn new(stream: Box<dyn Duplex>, reader: ReplyReader, features: Features, timeouts: Timeouts) -> Self {
        Self { stream, reader, features, timeouts, open: true, to_reset: false, buffer: Vec::new() }
    }

    /// Reads a reply of the step; a 421 or a lost connection closes the session.
    async fn reply(&mut self, step: &'static str, wait: Duration) -> Result<Reply, Lost> {
        let read = self.reader.read(&mut *self.stream, step, wait).await;
        if read.as_ref().map_or(true, |reply| reply.code == 421) {
            self.open = false;
        }
        read
    }

    /// Writes what is in the buffer.
    async fn flush(&mut self, step: &'static str) -> Result<(), Lost> {
        let wait = self.timeouts.block;
        let write = async {
            self.stream.write_all(&self.buffer).await?;
            self.stream.flush().await
        };
        let written = match tokio::time::timeout(wait, write).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(Lost::Broken { step, cause: error.to_string() }),
            Err(_) => Err(Lost::Silent { step, seconds: wait.as_secs() }),
        };
        self.buffer.clear();
        if written.is_err() {
            self.open = false;
        }
        written
    }

    fn command(&mut self, command: &impl std::fmt::Display) {
        use std::io::Write as _;
        // Writing into a Vec cannot fail.
        let _ = write!(self.buffer, "{command}");
    }

    /// Refuses here what the relay has told in advance that it would refuse; the rest comes back as indexes with addresses.
    fn admit(&self, transaction: &Transaction<'_>, answers: &mut Answers) -> Vec<(usize, Address)> {
        let octets = transaction.octets();
        if let Some(limit) = self.features.size_limit.filter(|&limit| octets > limit) {
            let all: Vec<_> = (0..transaction.recipients.len()).collect();
            let text = format!("552 5.3.4 not sent: the message has {octets} octets, the relay takes {limit}");
            answers.set(&all, &RelayAnswer::Refused(text));
            return Vec::new();
        }
        let mut admitted = Vec::with_capacity(transaction.recipients.len());
        for (index, recipient) in transaction.recipients.iter().enumerate() {
            let refusal = match address(recipient) {
                Some(_) if !recipient.is_ascii() && !self.features.utf8 => "553 5.6.7 not sent: the relay does not offer SMTPUTF8",
                Some(address) => {
                    admitted.push((index, address));
                    continue;
                }
                None => "553 5.1.3 not sent: not an address that SMTP can carry",
            };
            answers.set(&[index], &RelayAnswer::Refused(refusal.to_owned()));
        }
        admitted
    }

    fn mail(&self, transaction: &Transaction<'_>) -> Option<Mail> {
        let sender = match transaction.reverse_path {
            "" => None,
            path => Some(address(path)?),
        };
        let mut parameters = Vec::new();
        if self.features.size {
            parameters.push(MailParameter::Size(usize::try_from(transaction.octets()).unwrap_or(usize::MAX)));
        }
        // Eight-bit text goes out even where 8BITMIME is not offered: no relay in use clears the high bit, and the
        // alternative in RFC 6152 section 3, to return the message, would cost every reader of five of six languages.
        if self.features.eight_bit && !transaction.message.iter().all(|piece| piece.is_ascii()) {
            parameters.push(MailParameter::Body(MailBodyParameter::EightBitMime));
        }
        let ascii = transaction.reverse_path.is_ascii() && transaction.recipients.iter().all(|recipient| recipient.is_ascii());
        if self.features.utf8 && !ascii {
            parameters.push(MailParameter::SmtpUtfEight);
        }
        Some(Mail::new(sender, parameters))
    }

    /// MAIL, RCPT for each of `admitted`, DATA. Every recipient that falls out on the way has its answer afterwards.
    async fn announce(&mut self, mail: &Mail, admitted: &[(usize, Address)], answers: &mut Answers) -> Result<Progress, Lost> {
        let grouped = self.features.pipelining;
        let command = self.timeouts.command;
        if self.to_reset {
            self.command(&Rset);
            if !grouped {
                self.flush("at RSET").await?;
                self.expect_positive("at RSET").await?;
            }
        }
        self.command(mail);
        if grouped {
            for (_, address) in admitted {
                self.command(&Rcpt::new(address.clone(), Vec::new()));
            }
            self.command(&Data);
        }
        self.flush("at MAIL").await?;
        if grouped && self.to_reset {
            self.expect_positive("at RSET").await?;
        }
        // Until the final dot is answered, the transaction is something that RSET would have to clear.
        self.to_reset = true;

        let reply = self.reply("at MAIL", command).await?;
        let indexes: Vec<_> = admitted.iter().map(|(index, _)| *index).collect();
        let sender_refused = refusal(&reply);
        if let Some(answer) = &sender_refused {
            answers.set(&indexes, answer);
            if !grouped || !self.open {
                return Ok(Progress::Over);
            }
        } else if !reply.is_positive() {
            return Err(self.nonsense("at MAIL", &reply));
        }

        let mut taken = Vec::with_capacity(admitted.len());
        for (index, address) in admitted {
            if !grouped {
                self.command(&Rcpt::new(address.clone(), Vec::new()));
                self.flush("at RCPT").await?;
            }
            let reply = self.reply("at RCPT", command).await?;
            if sender_refused.is_some() {
                continue;
            }
            match refusal(&reply) {
                Some(answer) if self.open => answers.set(&[*index], &answer),
                // A 421 speaks for all who have no answer yet.
                Some(answer) => {
                    for known in answers.0.iter_mut().filter(|known| known.is_none()) {
                        *known = Some(answer.clone());
                    }
                    return Ok(Progress::Over);
                }
                None if reply.is_positive() => taken.push(*index),
                None => return Err(self.nonsense("at RCPT", &reply)),
            }
        }
        self.begin_data(grouped, taken, answers).await
    }

    async fn begin_data(&mut self, grouped: bool, taken: Vec<usize>, answers: &mut Answers) -> Result<Progress, Lost> {
        if !grouped {
            if taken.is_empty() {
                return Ok(Progress::Over);
            }
            self.command(&Data);
            self.flush("at DATA").await?;
        }
        let reply = self.reply("at DATA", self.timeouts.data).await?;
        match (reply.code, refusal(&reply)) {
            (354, _) if !taken.is_empty() => Ok(Progress::Ready(taken)),
            (354, _) => {
                self.buffer.extend_from_slice(b".\r\n");
                self.flush("at an empty DATA").await?;
                self.reply("at an empty DATA", self.timeouts.dot).await?;
                Ok(Progress::Over)
            }
            (_, Some(answer)) => {
                answers.set(&taken, &answer);
                Ok(Progress::Over)
            }
            (_, None) => Err(self.nonsense("at DATA", &reply)),
        }
    }

    async fn expect_positive(&mut self, step: &'static str) -> Result<(), Lost> {
        let reply = self.reply(step, self.timeouts.command).await?;
        if reply.is_positive() { Ok(()) } else { Err(self.nonsense(step, &reply)) }
    }

    fn nonsense(&mut self, step: &'static str, reply: &Reply) -> Lost {
        self.open = false;
        Lost::Nonsense { step, shown: reply.line.clone() }
    }

    /// The message and the final dot, and what the relay said to it.
    async fn hand_over(&mut self, transaction: &Transaction<'_>) -> RelayAnswer {
        let mut encoder = Encoder::for_data();
        for piece in transaction.message {
            for part in piece.chunks(BLOCK_OCTETS / 2) {
                encoder.push(part, &mut self.buffer);
                if self.buffer.len() >= BLOCK_OCTETS
                    && let Err(lost) = self.flush("within the message").await
                {
                    return self.last_words().await.unwrap_or_else(|| RelayAnswer::LostBefore(lost.to_string()));
                }
            }
        }
        encoder.finish(&mut self.buffer);
        if let Err(lost) = self.flush("at the final dot").await {
            return self.last_words().await.unwrap_or_else(|| RelayAnswer::LostAfter(lost.to_string()));
        }
        match self.reply("after the final dot", self.timeouts.dot).await {
            Err(lost) => RelayAnswer::LostAfter(lost.to_string()),
            Ok(reply) => match refusal(&reply) {
                Some(answer) => answer,
                None if reply.is_positive() => {
                    self.to_reset = false;
                    RelayAnswer::Taken(reply.line)
                }
                None => RelayAnswer::LostAfter(self.nonsense("after the final dot", &reply).to_string()),
            },
        }
    }

    /// A relay that cuts a message short may have said why before it closed.
    async fn last_words(&mut self) -> Option<RelayAnswer> {
        let reply = self.reader.read(&mut *self.stream, "", Duration::from_secs(1)).await.ok()?;
        refusal(&reply)
    }
}

/// An address that can stand in a command.
fn address(text: &str) -> Option<Address> {
    let harmless = !text.chars().any(|c| c.is_control() || matches!(c, '<' | '>'));
    text.parse().ok().filter(|_| harmless)
}

#[async_trait]
impl RelaySession for Courier {
    async fn send(&mut self, transaction: Transaction<'_>, clearance: Clearance<'_>) -> Vec<RelayAnswer> {
        let mut answers = Answers(vec![None; transaction.recipients.len()]);
        let admitted = self.admit(&transaction, &mut answers);
        let Some(mail) = self.mail(&transaction) else {
            return answers.close(&RelayAnswer::Refused("553 5.1.7 not sent: the reverse-path is not an address".to_owned()));
        };
        if admitted.is_empty() {
            return answers.close(&RelayAnswer::LostBefore(String::new()));
        }
        let progress = match self.reader.look(&mut *self.stream).await {
            Ok(()) => self.announce(&mail, &admitted, &mut answers).await,
            Err(lost) => Err(lost),
        };
        let answer = match progress {
            Ok(Progress::Over) => RelayAnswer::LostBefore("the relay gave no answer".to_owned()),
            Ok(Progress::Ready(taken)) => {
                let answer = if clearance.await {
                    self.hand_over(&transaction).await
                } else {
                    // Without the dot nothing is taken; the only way back is to hang up (RFC 5321 section 4.1.1.4).
                    self.open = false;
                    RelayAnswer::LostBefore("not sent: the ledger could not be written".to_owned())
                };
                answers.set(&taken, &answer);
                answer
            }
            Err(lost) => {
                self.open = false;
                RelayAnswer::LostBefore(lost.to_string())
            }
        };
        answers.close(&answer)
    }

    fn is_open(&self) -> bool {
        self.open
    }

    async fn close(&mut self) {
        if self.open {
            self.open = false;
            self.command(&Quit);
            let wait = self.timeouts.quit;
            let farewell = async {
                let _ = self.stream.write_all(&self.buffer).await;
                let _ = self.reader.read(&mut *self.stream, "at QUIT", wait).await;
            };
            let _ = tokio::time::timeout(wait, farewell).await;
        }
        let _ = tokio::time::timeout(self.timeouts.quit, self.stream.shutdown()).await;
    }
}
