//! A mail came: route, prove, judge, keep, answer.
//!
//! [`Ingest`] is the [`Receiver`] that the listeners call. Everything that can be judged is judged before the answer,
//! so that a refusal is an SMTP answer and never a mail to somebody who may not have written. The envelope decides the
//! list, never a header. A positive answer needs a [`Durable`](crate::store::Durable), which only a store can make.

mod bounces;
mod commands;
mod judge;
mod liaison;
mod login;
mod meetings;
mod rates;
mod refused;
mod senders;
mod tokens;

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::OnceCell;

use crate::domain::address::{EmailAddress, ReversePath};
use crate::domain::destination::Destination;
use crate::domain::group::Group;
use crate::domain::post::Arrival;
use crate::domain::proof::SenderProof;
use crate::domain::reason::{Reason, Rule};
use crate::mail::content;
use crate::mail::message::{self, Message};
use crate::measure::{self, Stage, Timer};
use crate::service::quarantine::{Broken, Work};
use crate::service::{Failure, Services};
use crate::smtp::proof::own::Found;
use crate::smtp::{Answer, Content, Login, Receiver, SessionInfo, Transaction};
use crate::store::StoreError;

/// Takes the mail of all listeners.
pub struct Ingest {
    services: Arc<Services>,
    doors: login::Doors,
    rates: Arc<rates::Rates>,
}

impl Ingest {
    /// Over these use cases.
    pub fn new(services: Arc<Services>) -> Self {
        Self { services, doors: login::Doors::default(), rates: Arc::default() }
    }
}

/// A transaction with what was read of it.
struct Incoming {
    services: Arc<Services>,
    rates: Arc<rates::Rates>,
    transaction: Transaction,
    message: Message,
    arrival: Arrival,
    /// What our own look at the sender found, once it was asked for.
    found: OnceCell<Arc<Found>>,
}

impl Incoming {
    fn author(&self) -> Result<&EmailAddress, Reason> {
        match &self.message.author {
            Ok(author) => Ok(&author.address),
            Err(doubt) => Err(Reason::new(Rule::FromUnclear, [doubt.to_string()])),
        }
    }

    /// More than `[limits]` lets one sender send or one group get in an hour?
    fn too_much(&self, group: &Group, proof: &SenderProof) -> Option<Reason> {
        let (limits, now) = (&self.services.config.limits, self.services.now());
        let author = proof.author();
        let sender = format!("{} {}", if proof.is_proved() { "proved" } else { "unproved" }, author.key());
        if !self.rates.allow(&sender, limits.sender_mails, now) {
            return Some(Reason::new(Rule::RateLimited, [author.as_str()]));
        }
        let busy = !self.rates.allow(&format!("group {}", group.code), limits.group_mails, now);
        busy.then(|| Reason::new(Rule::ListBusy, [group.code.as_str()]))
    }

    /// A robot, a list or a notification wrote it.
    fn is_automatic(&self) -> bool {
        self.transaction.reverse_path == ReversePath::Null || self.message.is_automatic()
    }

    /// The plain text of the message, at most so many octets of it.
    async fn text(&self, stage: &str, octets: usize) -> Result<String, Refusal> {
        let read = move |bytes: &bytes::Bytes| content::parse(bytes).map(|parsed| content::text_body(&parsed, octets));
        Ok(self.read(stage, read).await??)
    }

    /// Reads something of the message that takes time on the processor, off the threads that serve sessions.
    async fn read<T: Send + 'static>(&self, stage: &str, read: impl FnOnce(&bytes::Bytes) -> T + Send + 'static) -> Result<T, Refusal> {
        let bytes = self.bytes().await?;
        let work = Work::on_message(self.transaction.content.head(), self.transaction.content.octets(), stage);
        let whole = bytes.clone();
        Ok(self.services.quarantine.run_aside(&work, &bytes, move || read(&whole)).await?)
    }

    /// The whole message in memory: what was received, from memory or from its file.
    async fn bytes(&self) -> Result<bytes::Bytes, Refusal> {
        match &self.transaction.content {
            Content::Memory(bytes) => Ok(bytes.clone()),
            Content::Spooled { path, .. } => match tokio::fs::read(path).await {
                Ok(bytes) => Ok(bytes.into()),
                Err(error) => Err(Refusal::Store(StoreError::Unavailable(format!("could not read {}: {error}", path.display())))),
            },
        }
    }
}

/// Why a recipient does not get a positive answer.
#[derive(Debug)]
enum Refusal {
    /// A rule: its own SMTP code.
    Rule(Reason),
    /// The disk: 4xx, try again.
    Store(StoreError),
    /// Something of ours: 4xx, try again, and the log says what.
    Internal(String),
}

impl From<Reason> for Refusal {
    fn from(reason: Reason) -> Self {
        Self::Rule(reason)
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<Broken> for Refusal {
    /// What breaks a reader would break it again: refused for good, so that its sender learns it from her own mail server.
    fn from(broken: Broken) -> Self {
        Self::Rule(Reason::new(Rule::Malformed, [broken.to_string()]))
    }
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(reason) => Self::Rule(reason),
            Failure::Store(error) => Self::Store(error),
            other => Self::Internal(other.to_string()),
        }
    }
}

impl Refusal {
    fn answer(&self) -> Answer {
        match self {
            Self::Rule(reason) => {
                let code = reason.rule.smtp();
                if code.basic < 400 {
                    return Answer::new(550, (5, 7, 1), reason.text());
                }
                Answer::new(code.basic, code.enhanced, reason.text())
            }
            Self::Store(StoreError::Full(_)) => Answer::new(452, (4, 3, 1), "no space left for mail; try again later"),
            Self::Store(error) => {
                tracing::error!(%error, "Could not keep a message");
                Answer::new(451, (4, 3, 0), "the message cannot be kept now; try again later")
            }
            Self::Internal(error) => {
                tracing::error!(%error, "Could not handle a message");
                Answer::new(451, (4, 3, 0), "the message cannot be handled now; try again later")
            }
        }
    }
}

/// What a handled recipient is told.
fn accepted(text: impl Into<String>) -> Answer {
    Answer::new(250, (2, 0, 0), text)
}

#[async_trait]
impl Receiver for Ingest {
    async fn sender(&self, _session: &SessionInfo, _reverse_path: &ReversePath, _declared_octets: Option<u64>) -> Option<Answer> {
        match self.services.store.health().await {
            Ok(()) => None,
            Err(error) => Some(Refusal::Store(error).answer()),
        }
    }

    async fn recipient(&self, _session: &SessionInfo, recipient: &EmailAddress) -> Answer {
        let lists = self.services.groups();
        match lists.destination(recipient) {
            None => Refusal::Rule(Reason::new(Rule::UnknownAddress, [recipient.as_str()])).answer(),
            Some(destination) => match destination.group().and_then(|code| lists.get(code)) {
                Some(group) if group.retired => Refusal::Rule(Reason::new(Rule::GroupRetired, [group.code.as_str()])).answer(),
                _ => Answer::new(250, (2, 1, 5), "ok"),
            },
        }
    }

    async fn message(&self, transaction: Transaction) -> Vec<Answer> {
        let count = transaction.recipients.len();
        let head = transaction.content.head();
        let work = Work::on_message(head, transaction.content.octets(), "header");
        let message = match self.services.quarantine.run(&work, head, || message::read(head)).await {
            Ok(Ok(message)) => message,
            Ok(Err(reason)) => return vec![Refusal::Rule(reason).answer(); count],
            Err(broken) => {
                let session = &transaction.session;
                tracing::error!(trace = session.trace, peer = %session.peer, reverse_path = %transaction.reverse_path, %broken, "Refused unread");
                return vec![Refusal::from(broken).answer(); count];
            }
        };
        let session = &transaction.session;
        let arrival = Arrival {
            listener: format!("{} {}", session.protocol, session.local),
            peer: session.peer.to_string(),
            helo: session.helo.clone(),
            reverse_path: transaction.reverse_path.to_string(),
            trace: session.trace.clone(),
            ..Arrival::default()
        };
        let (timer, protocol) = (Timer::of(Stage::Accept), session.protocol);
        let incoming = Incoming {
            services: Arc::clone(&self.services),
            rates: Arc::clone(&self.rates),
            transaction,
            message,
            arrival,
            found: OnceCell::new(),
        };
        let answers = incoming.handle().await;
        timer.done();
        for answer in &answers {
            measure::answered(protocol, answer.code);
        }
        answers
    }

    async fn authenticate(&self, session: &SessionInfo, user: &str, password: &str) -> Login {
        self.doors.log_in(&self.services, session, user, password).await
    }

    fn incoming(&self) -> PathBuf {
        self.services.store.incoming()
    }
}

impl Incoming {
    /// One answer a recipient. Recipients that are lists are judged together, so that one person gets one copy.
    async fn handle(self) -> Vec<Answer> {
        let groups = self.services.groups();
        let mut answers: Vec<Option<Answer>> = vec![None; self.transaction.recipients.len()];
        let mut posts: Vec<(usize, Arc<Group>, judge::Address)> = Vec::new();
        let mut twins: Vec<(usize, usize)> = Vec::new();
        for (index, recipient) in self.transaction.recipients.iter().enumerate() {
            let Some(destination) = groups.destination(recipient) else {
                answers[index] = Some(Refusal::Rule(Reason::new(Rule::UnknownAddress, [recipient.as_str()])).answer());
                continue;
            };
            let group = match &destination {
                Destination::LiaisonAny => {
                    answers[index] = Some(self.answer(self.liaison(None).await));
                    continue;
                }
                // Theirs is no group's; one lends its address for what comes back.
                Destination::Operators => Some(groups.iter().find(|group| !group.retired).cloned()),
                other => other.group().map(|code| groups.get(code).cloned()),
            };
            let group = group.flatten();
            let Some(group) = group else {
                answers[index] = Some(Refusal::Rule(Reason::new(Rule::UnknownAddress, [recipient.as_str()])).answer());
                continue;
            };
            let address = match destination {
                Destination::Post(_) => judge::Address::List,
                Destination::Announce(_) => judge::Address::Announce,
                Destination::Owner(_) | Destination::Chairs(_) => judge::Address::Owner,
                Destination::Secretariat(_) => judge::Address::Secretariat,
                Destination::Operators => judge::Address::Operators,
                other => {
                    answers[index] = Some(self.answer(self.single(other, &group).await));
                    continue;
                }
            };
            // The same list under two spellings is one recipient.
            match posts.iter().find(|(_, named, of)| named.code == group.code && *of == address) {
                Some((first, ..)) => twins.push((index, *first)),
                None => posts.push((index, group, address)),
            }
        }
        let judged = self.posts(&posts).await;
        for (index, answer) in judged.answers {
            answers[index] = Some(answer);
        }
        for (index, first) in twins {
            answers[index] = answers[first].clone();
        }
        let answers = answers.into_iter();
        let answers = answers.map(|answer| answer.unwrap_or_else(|| Refusal::Internal("a recipient without an answer".into()).answer()));
        self.one_for_all(answers.collect(), &judged.refused, judged.body.as_ref()).await
    }

    fn answer(&self, result: Result<String, Refusal>) -> Answer {
        match result {
            Ok(text) => accepted(text),
            Err(refusal) => {
                let answer = refusal.answer();
                tracing::info!(trace = self.arrival.trace, code = answer.code, "Refused: {}", answer.text);
                answer
            }
        }
    }

    async fn single(&self, destination: Destination, group: &Arc<Group>) -> Result<String, Refusal> {
        match destination {
            Destination::Request(_) => self.request(group).await,
            Destination::Join(_) => self.one_command(group, "join", crate::mail::command::Command::Subscribe).await,
            Destination::Leave(_) => self.one_command(group, "leave", crate::mail::command::Command::Unsubscribe).await,
            Destination::Confirm(_, token) => self.confirm(group, &token).await,
            Destination::Moderate(_, token) => self.moderate(group, &token).await,
            Destination::Bounces(_, token) => self.bounce(token.as_deref()).await,
            Destination::Liaison(_) => self.liaison(Some(group)).await,
            Destination::Post(_)
            | Destination::Announce(_)
            | Destination::Owner(_)
            | Destination::Chairs(_)
            | Destination::Secretariat(_)
            | Destination::Operators
            | Destination::LiaisonAny => Err(Refusal::Internal("routed to the wrong place".into())),
        }
    }
}
