//! A relay that is slow, lies, loses answers and goes away; it remembers what it really took.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use enlace::domain::ledger::RelayAnswer;
use enlace::smtp::relay::{Clearance, Relay, RelayError, RelaySession, Transaction};

use crate::chance::Chance;
use crate::database::Data;
use crate::world::Life;

/// What the relay of all nodes took.
#[derive(Default)]
pub struct Taken {
    /// How often, by Message-ID and recipient.
    pub copies: BTreeMap<(String, String), u32>,
    /// Copies that were taken and of which the sender heard something else: each may come once more.
    pub lies: u32,
    /// Final dots of nodes that did not hold the batch any more: those that stood still in the middle.
    pub strays: u64,
}

#[derive(Clone)]
pub struct SimRelay {
    pub taken: Arc<Mutex<Taken>>,
    pub data: Arc<Mutex<Data>>,
    pub node: usize,
    pub life: Life,
    pub chance: Chance,
    /// No faults any more.
    pub calm: Arc<Mutex<bool>>,
}

struct SimSession {
    relay: SimRelay,
    open: bool,
}

#[async_trait]
impl Relay for SimRelay {
    async fn open(&self) -> Result<Box<dyn RelaySession>, RelayError> {
        self.life.breathe().await;
        if !*self.calm.lock().unwrap() && self.chance.in_thousand(30) {
            return Err(RelayError::Unreachable { relay: self.name(), cause: "simulated".into() });
        }
        Ok(Box::new(SimSession { relay: Self { chance: self.chance.fork(), ..self.clone() }, open: true }))
    }

    fn name(&self) -> String {
        "simulated relay".into()
    }
}

fn message_id(message: &[bytes::Bytes]) -> String {
    let all = message.concat();
    let text = String::from_utf8_lossy(&all);
    let line = text.lines().find(|line| line.starts_with("Message-ID: <")).unwrap_or_default();
    line.trim_start_matches("Message-ID: <").trim_end_matches('>').to_owned()
}

impl SimRelay {
    /// Does this node hold the batch of this recipient?
    fn holds(&self, message_id: &str, address: &str) -> bool {
        let mut data = self.data.lock().unwrap();
        let Some(id) = data.posts.values().find(|post| post.message_id == message_id).map(|post| post.id) else { return false };
        let batches = data.batches.iter().filter(|(key, _)| key.post == id);
        let key =
            batches.filter(|(_, batch)| batch.recipients.iter().any(|one| one.planned.address == address)).map(|(key, _)| *key).next();
        key.is_some_and(|key| data.holder(key) == Some(self.node))
    }

    /// The relay's own doing: whether the copy is taken, and what is said.
    fn take(&self, key: (String, String), calm: bool) -> RelayAnswer {
        let fate = if calm { 1000 } else { self.chance.below(1000) };
        let (taken, answer) = match fate {
            0..20 => (false, RelayAnswer::Later("451 4.3.0 simulated".into())),
            20..120 if key.1.contains("gone") => (false, RelayAnswer::Refused("550 5.1.1 simulated".into())),
            // Taken, and something else is said.
            20..30 => (true, RelayAnswer::LostAfter("simulated".into())),
            30..35 => (true, RelayAnswer::Later("451 4.3.0 a lie".into())),
            _ => (true, RelayAnswer::Taken("250 2.0.0 taken".into())),
        };
        if taken {
            let stray = !self.holds(&key.0, &key.1);
            let mut all = self.taken.lock().unwrap();
            all.strays += u64::from(stray);
            all.lies += u32::from(!matches!(answer, RelayAnswer::Taken(_)));
            *all.copies.entry(key).or_default() += 1;
        }
        answer
    }
}

#[async_trait]
impl RelaySession for SimSession {
    async fn send(&mut self, transaction: Transaction<'_>, clearance: Clearance<'_>) -> Vec<RelayAnswer> {
        let relay = &self.relay;
        let id = message_id(transaction.message);
        let keys: Vec<_> = transaction.recipients.iter().map(|to| (id.clone(), (*to).to_owned())).collect();
        let all = |answer: RelayAnswer| vec![answer; keys.len()];
        let calm = *relay.calm.lock().unwrap();
        let slow = !calm && relay.chance.in_thousand(20);
        tokio::time::sleep(Duration::from_millis(if slow { relay.chance.below(9_000) } else { relay.chance.below(900) })).await;
        relay.life.breathe().await;
        if !calm && relay.chance.in_thousand(15) {
            self.open = false;
            return all(RelayAnswer::LostBefore("simulated".into()));
        }
        if !clearance.await {
            return all(RelayAnswer::LostBefore("no clearance".into()));
        }
        relay.life.breathe().await;
        // The final dot is out: what becomes of the sender does not matter to the relay any more.
        let answers: Vec<_> = keys.into_iter().map(|key| relay.take(key, calm)).collect();
        if answers.iter().any(|answer| matches!(answer, RelayAnswer::LostAfter(_))) {
            self.open = false;
        }
        tokio::time::sleep(Duration::from_millis(relay.chance.below(40))).await;
        // The node may have died or been frozen before it could read the answer.
        relay.life.breathe().await;
        answers
    }

    fn is_open(&self) -> bool {
        self.open
    }

    async fn close(&mut self) {
        self.open = false;
    }
}
