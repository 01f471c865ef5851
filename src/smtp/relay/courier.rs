//! Transactions over an opened SMTP session: pipelined where the relay allows it, an outcome for each RCPT.
//!
//! lettre's own `send` gives a message up at the first refused RCPT, waits for each answer before the next command, and
//! writes the final dot by itself, so the transactions are ours; commands and addresses are lettre's.
//! Sources: RFC 5321 sections 3.3 and 4.2, RFC 2920 section 3.1.
//! The surprise: after a refused MAIL or RCPT in a pipelined group the relay may still answer DATA with 354; such an
//! empty message is ended at once, and its answer thrown away.
//! An announced envelope goes out in one write with the final dot before it, so a copy costs one round trip, not two.

use std::time::Duration;

use async_trait::async_trait;
use lettre::transport::smtp::commands::{Data, Quit, Rcpt, Rset};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

use super::envelope::{Answers, Envelope};
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
    /// What is to be written behind the next final dot.
    announced: Option<Announced>,
    /// The one whose commands are written and whose answers have not been read.
    ahead: Option<Announced>,
}

/// An envelope that follows the message in hand, with the answers that were given here.
struct Announced {
    key: String,
    envelope: Envelope,
    answers: Answers,
}

/// How far a transaction came.
enum Progress {
    /// Recipients by index whose RCPT was taken, and DATA answered 354.
    Ready(Vec<usize>),
    /// Every recipient has its answer.
    Over,
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
        Self { stream, reader, features, timeouts, open: true, to_reset: false, buffer: Vec::new(), announced: None, ahead: None }
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

    /// MAIL, RCPT for each recipient, DATA. Every recipient that falls out on the way has its answer afterwards.
    async fn introduce(&mut self, envelope: &Envelope, answers: &mut Answers) -> Result<Progress, Lost> {
        self.reader.look(&mut *self.stream).await?;
        let grouped = self.features.pipelining;
        let reset = self.to_reset;
        if reset {
            self.command(&Rset);
            if !grouped {
                self.flush("at RSET").await?;
                self.expect_positive("at RSET").await?;
            }
        }
        if grouped {
            envelope.write(&mut self.buffer);
        } else {
            self.command(&envelope.mail);
        }
        self.flush("at MAIL").await?;
        if grouped && reset {
            self.expect_positive("at RSET").await?;
        }
        self.hear(envelope, grouped, answers).await
    }

    /// The answers to an envelope; one that was not written as a group is written step by step.
    async fn hear(&mut self, envelope: &Envelope, grouped: bool, answers: &mut Answers) -> Result<Progress, Lost> {
        let command = self.timeouts.command;
        // Until the final dot is answered, the transaction is something that RSET would have to clear.
        self.to_reset = true;
        let reply = self.reply("at MAIL", command).await?;
        let sender_refused = refusal(&reply);
        if let Some(answer) = &sender_refused {
            answers.set(envelope.admitted.iter().map(|(index, _)| *index), answer);
            if !grouped || !self.open {
                return Ok(Progress::Over);
            }
        } else if !reply.is_positive() {
            return Err(self.nonsense("at MAIL", &reply));
        }

        let mut taken = Vec::with_capacity(envelope.admitted.len());
        for (index, address) in &envelope.admitted {
            if !grouped {
                self.command(&Rcpt::new(address.clone(), Vec::new()));
                self.flush("at RCPT").await?;
            }
            let reply = self.reply("at RCPT", command).await?;
            if sender_refused.is_some() {
                continue;
            }
            match refusal(&reply) {
                Some(answer) if self.open => answers.set([*index], &answer),
                // A 421 speaks for all who have no answer yet.
                Some(answer) => {
                    answers.set_open(&answer);
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
                answers.set(taken, &answer);
                Ok(Progress::Over)
            }
            (_, None) => Err(self.nonsense("at DATA", &reply)),
        }
    }

    async fn expect_positive(&mut self, step: &'static str) -> Result<(), Lost> {
        let reply = self.reply(step, self.timeouts.command).await?;
        if reply.is_positive() { Ok(()) } else { Err(self.nonsense(step, &reply)) }
    }

    fn out_of_step(&mut self) -> Lost {
        self.open = false;
        Lost::Broken { step: "between two transactions", cause: "another message was announced".to_owned() }
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
        if let Some(next) = self.announced.take() {
            next.envelope.write(&mut self.buffer);
            self.ahead = Some(next);
        }
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

#[async_trait]
impl RelaySession for Courier {
    async fn send(&mut self, transaction: Transaction<'_>, clearance: Clearance<'_>) -> Vec<RelayAnswer> {
        let (progress, mut answers) = match self.ahead.take() {
            Some(Announced { key, envelope, mut answers }) if key == Envelope::key(&transaction) => {
                (self.hear(&envelope, true, &mut answers).await, answers)
            }
            // What is announced must come; without its message there is no way back into step but to hang up.
            Some(_) => (Err(self.out_of_step()), Answers::none(transaction.recipients.len())),
            None => {
                let mut answers = Answers::none(transaction.recipients.len());
                match Envelope::of(&self.features, &transaction, &mut answers) {
                    Ok(envelope) => (self.introduce(&envelope, &mut answers).await, answers),
                    Err(answer) => {
                        self.announced = None;
                        return answers.close(&answer);
                    }
                }
            }
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
                answers.set(taken, &answer);
                answer
            }
            Err(lost) => {
                self.open = false;
                RelayAnswer::LostBefore(lost.to_string())
            }
        };
        // Without a final dot there was nothing to follow.
        self.announced = None;
        answers.close(&answer)
    }

    fn takes_announcements(&self) -> bool {
        self.features.pipelining
    }

    fn announce(&mut self, next: Transaction<'_>) {
        self.announced = None;
        if !self.features.pipelining {
            return;
        }
        let mut answers = Answers::none(next.recipients.len());
        // What is not fit to be sent gets its answers when its turn comes.
        if let Ok(envelope) = Envelope::of(&self.features, &next, &mut answers) {
            self.announced = Some(Announced { key: Envelope::key(&next), envelope, answers });
        }
    }

    fn is_open(&self) -> bool {
        self.open
    }

    async fn close(&mut self) {
        // Behind an announced envelope QUIT would be read as a line of a message.
        if std::mem::take(&mut self.open) && self.ahead.take().is_none() {
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
