//! A claimed batch in this process: who is still to be served, and the way of its outcomes to the disk.
//!
//! Sessions note outcomes; while one commit of a batch is on its way, the next outcomes gather behind it and go together.
//! A session learns from a [`Noted`] that its outcome is on disk, and sends no further final dot before that, so a crash
//! repeats at most the transactions on the wire. An outcome that cannot be written is kept and tried again: forgetting
//! it would send the copy twice.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::floor::Floor;
use super::lanes::{Open, Work};
use crate::domain::ledger::{Outcome, RecipientState, RelayAnswer, after, retry_wait};
use crate::measure::{self, Stage, Timer};
use crate::store::{Claim, DueBatch, StoreError};

/// Pause between two attempts to write what the store would not take.
const WRITE_AGAIN: Duration = Duration::from_secs(1);

/// Resolves to `true` when the outcome is on disk, to `false` when the store would not take it at the first attempt.
pub struct Noted(Option<oneshot::Receiver<bool>>);

impl Noted {
    /// Nothing to wait for.
    pub fn nothing() -> Self {
        Self(None)
    }

    /// Waits; the answer is kept for the next question.
    pub async fn wait(&mut self) -> bool {
        let Some(receiver) = &mut self.0 else { return true };
        let written = receiver.await.unwrap_or(false);
        if written {
            self.0 = None;
        } else {
            // A dropped sender keeps saying no: what was not written stays so for this session.
            let (sender, receiver) = oneshot::channel();
            drop(sender);
            self.0 = Some(receiver);
        }
        written
    }
}

/// A claim with its open ends.
pub struct ActiveBatch {
    /// As it was found due.
    pub due: DueBatch,
    /// What was claimed.
    pub claim: Claim,
    /// When it was claimed, for the end of the lease.
    pub began: Instant,
    notes: Mutex<Notes>,
}

#[derive(Default)]
struct Notes {
    waiting: Vec<Outcome>,
    tellers: Vec<oneshot::Sender<bool>>,
    writing: bool,
    /// Recipients without a written outcome who were not given back.
    unresolved: usize,
    /// Most attempts of a recipient who is to be tried again.
    tries: u32,
    /// Somebody was given back untried: the batch is due at once.
    untried: bool,
}

impl ActiveBatch {
    /// With `open` recipients to serve; `began` lies before the claim was asked for.
    pub fn new(due: DueBatch, claim: Claim, began: Instant, open: usize) -> Self {
        Self { due, claim, began, notes: Mutex::new(Notes { unresolved: open, ..Notes::default() }) }
    }

    /// These recipients of it, to be put up for the sessions.
    pub fn work(&self, open: VecDeque<Open>) -> Work {
        let DueBatch { key, group, urgency, octets, .. } = &self.due;
        Work { key: *key, group: group.clone(), urgency: *urgency, octets: *octets, open }
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The outcome that `answer` means for the recipient with this index.
    pub fn outcome(&self, index: u16, answer: &RelayAnswer, now: DateTime<Utc>, retry_for: Duration) -> Outcome {
        let (RelayAnswer::Taken(reply)
        | RelayAnswer::Later(reply)
        | RelayAnswer::Refused(reply)
        | RelayAnswer::LostBefore(reply)
        | RelayAnswer::LostAfter(reply)) = answer;
        Outcome { index, state: after(answer, self.claim.planned_at, now, retry_for), at: now, reply: reply.clone() }
    }

    /// Takes outcomes to be written.
    pub fn note(self: &Arc<Self>, floor: &Arc<Floor>, outcomes: Vec<Outcome>) -> Noted {
        if outcomes.is_empty() {
            return Noted::nothing();
        }
        let (teller, told) = oneshot::channel();
        let mut notes = self.notes();
        for outcome in outcomes.iter().filter(|outcome| outcome.state == RecipientState::Deferred) {
            let before = self.claim.recipients.get(usize::from(outcome.index)).map_or(0, |recipient| recipient.attempts.len());
            notes.tries = notes.tries.max(u32::try_from(before).unwrap_or(u32::MAX).saturating_add(1));
        }
        notes.waiting.extend(outcomes);
        notes.tellers.push(teller);
        self.write_soon(floor, notes);
        Noted(Some(told))
    }

    /// Gives `count` recipients back who were not tried.
    pub fn give_back(self: &Arc<Self>, floor: &Arc<Floor>, count: usize) {
        let mut notes = self.notes();
        notes.unresolved = notes.unresolved.saturating_sub(count);
        notes.untried |= count > 0;
        self.write_soon(floor, notes);
    }

    fn write_soon(self: &Arc<Self>, floor: &Arc<Floor>, mut notes: MutexGuard<'_, Notes>) {
        if !notes.writing && (!notes.waiting.is_empty() || notes.unresolved == 0) {
            notes.writing = true;
            drop(notes);
            let (batch, writing) = (Arc::clone(self), Arc::clone(floor));
            floor.spawn(async move { batch.write(&writing).await });
        }
    }

    /// Writes until nothing waits; settles the batch with the last of it.
    async fn write(self: Arc<Self>, floor: &Arc<Floor>) {
        loop {
            let (outcomes, mut tellers, settle) = {
                let mut notes = self.notes();
                let settle = notes.waiting.is_empty() && notes.unresolved == 0;
                if notes.waiting.is_empty() && !settle {
                    notes.writing = false;
                    return;
                }
                (std::mem::take(&mut notes.waiting), std::mem::take(&mut notes.tellers), settle)
            };
            let mut failures = 0_u32;
            let timer = Timer::of(Stage::Outcome);
            loop {
                let store = &floor.services.store;
                let written = if settle {
                    store.settle_batch(self.claim.key, self.claim.holder, self.next_due(floor)).await
                } else {
                    store.record_outcomes(self.claim.key, self.claim.holder, outcomes.clone()).await
                };
                match written {
                    Ok(()) => break,
                    Err(error) => {
                        failures += 1;
                        tell(&mut tellers, false);
                        if self.write_again(floor, &error, failures).await.is_break() {
                            return;
                        }
                    }
                }
            }
            timer.done();
            measure::outcomes_noted(floor.services.now().timestamp_millis());
            if failures > 0 {
                floor.store_recovered();
            }
            tell(&mut tellers, true);
            if settle {
                floor.batch_done(self.claim.key);
                return;
            }
            let mut notes = self.notes();
            notes.unresolved = notes.unresolved.saturating_sub(outcomes.len());
        }
    }

    async fn write_again(&self, floor: &Floor, error: &StoreError, failures: u32) -> std::ops::ControlFlow<()> {
        if failures == 1 {
            floor.store_failed();
            tracing::error!(post.id = %self.claim.key.post, batch = self.claim.key.number, %error, "could not note what the relay said; nothing more is sent until it is noted");
        }
        if floor.is_stopping() {
            // Nobody will come back to it in this process; the lease ends, and the copies of this note may go out twice.
            return std::ops::ControlFlow::Break(());
        }
        tokio::select! {
            () = tokio::time::sleep(WRITE_AGAIN) => {}
            () = floor.stopped() => {}
        }
        std::ops::ControlFlow::Continue(())
    }

    fn next_due(&self, floor: &Floor) -> DateTime<Utc> {
        let notes = self.notes();
        let now = floor.services.now();
        if notes.untried || notes.tries == 0 {
            return now;
        }
        now + TimeDelta::from_std(retry_wait(notes.tries, floor.services.chance())).unwrap_or_default()
    }
}

fn tell(tellers: &mut Vec<oneshot::Sender<bool>>, written: bool) {
    for teller in tellers.drain(..) {
        // A session that has ended does not listen any more.
        let _ = teller.send(written);
    }
}
