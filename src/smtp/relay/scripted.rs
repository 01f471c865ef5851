//! A relay for tests: keeps what it was given and answers as the script says.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use super::{Clearance, Relay, RelayError, RelaySession, Transaction};
use crate::domain::ledger::RelayAnswer;

/// One copy as it was given to the relay, taken or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GivenCopy {
    /// What MAIL said.
    pub reverse_path: String,
    /// What RCPT said.
    pub recipient: String,
    /// All octets of the message.
    pub message: Vec<u8>,
    /// What was answered.
    pub answer: RelayAnswer,
}

type Script = dyn Fn(&str, usize) -> RelayAnswer + Send + Sync;

/// Keeps copies in memory. Clones share everything.
#[derive(Clone)]
pub struct ScriptedRelay {
    script: Arc<Script>,
    given: Arc<Mutex<Vec<GivenCopy>>>,
    away: Arc<AtomicBool>,
    opened: Arc<AtomicUsize>,
}

impl ScriptedRelay {
    /// Takes everything.
    pub fn new() -> Self {
        Self::answering(|_, _| RelayAnswer::Taken("250 2.0.0 Ok".to_owned()))
    }

    /// Answers each recipient by `script`, which is told the address and how often it was given before.
    pub fn answering(script: impl Fn(&str, usize) -> RelayAnswer + Send + Sync + 'static) -> Self {
        Self { script: Arc::new(script), given: Arc::default(), away: Arc::default(), opened: Arc::default() }
    }

    /// While `away`, no session can be opened.
    pub fn set_away(&self, away: bool) {
        self.away.store(away, Ordering::SeqCst);
    }

    /// How often a session was asked for, answered or not.
    pub fn opened(&self) -> usize {
        self.opened.load(Ordering::SeqCst)
    }

    /// All copies so far, in the order in which they came.
    pub fn given(&self) -> Vec<GivenCopy> {
        self.given.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many copies were given so far.
    pub fn count(&self) -> usize {
        self.given.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

impl Default for ScriptedRelay {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Relay for ScriptedRelay {
    async fn open(&self) -> Result<Box<dyn RelaySession>, RelayError> {
        self.opened.fetch_add(1, Ordering::SeqCst);
        if self.away.load(Ordering::SeqCst) {
            return Err(RelayError::Unreachable { relay: self.name(), cause: "away".to_owned() });
        }
        Ok(Box::new(ScriptedSession { relay: self.clone(), open: true }))
    }

    fn name(&self) -> String {
        "scripted".to_owned()
    }
}

struct ScriptedSession {
    relay: ScriptedRelay,
    open: bool,
}

#[async_trait]
impl RelaySession for ScriptedSession {
    async fn send(&mut self, transaction: Transaction<'_>, clearance: Clearance<'_>) -> Vec<RelayAnswer> {
        if !clearance.await {
            self.open = false;
            return vec![RelayAnswer::LostBefore("no clearance".to_owned()); transaction.recipients.len()];
        }
        let message: Vec<u8> = transaction.message.iter().flat_map(|piece| piece.iter().copied()).collect();
        let mut given = self.relay.given.lock().unwrap_or_else(PoisonError::into_inner);
        let mut answers = Vec::with_capacity(transaction.recipients.len());
        for &recipient in transaction.recipients {
            let before = given.iter().filter(|copy| copy.recipient == recipient).count();
            let answer = (self.relay.script)(recipient, before);
            self.open &= !matches!(answer, RelayAnswer::LostBefore(_) | RelayAnswer::LostAfter(_));
            given.push(GivenCopy {
                reverse_path: transaction.reverse_path.to_owned(),
                recipient: recipient.to_owned(),
                message: message.clone(),
                answer: answer.clone(),
            });
            answers.push(answer);
        }
        answers
    }

    fn is_open(&self) -> bool {
        self.open
    }

    async fn close(&mut self) {
        self.open = false;
    }
}
