//! A session's life: ask for a turn, compose the copy, hand it over, note what the relay said.
//!
//! The envelope of a transaction goes out while the outcome of the one before is still on its way to the disk; its final
//! dot waits for that. When more work waits than sessions, the envelope of the next transaction goes out with the final dot
//! of the present one. A session that the relay closed between two transactions is replaced at once, without counting as
//! an attempt.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;

use super::batch::{ActiveBatch, Noted};
use super::copies::{CopyError, Edition};
use super::feeder::LEASE_USED;
use super::floor::{Floor, Next};
use super::lanes::{Open, Turn};
use crate::domain::ledger::RelayAnswer;
use crate::mail::compose::Recipient;
use crate::measure::{self, Stage, Timer};
use crate::smtp::relay::{RelayError, RelaySession, Transaction};
use crate::store::Claim;

/// How long a session rests that the relay would not open.
const REST: Duration = Duration::from_secs(5);

/// One of the `connections` sessions.
pub struct Worker {
    floor: Arc<Floor>,
    session: Option<Box<dyn RelaySession>>,
    /// Transactions on the present session.
    carried: u64,
    noted: Noted,
}

impl Worker {
    /// Not connected yet.
    pub fn new(floor: Arc<Floor>) -> Self {
        Self { floor, session: None, carried: 0, noted: Noted::nothing() }
    }

    /// Works until the delivery stops.
    pub async fn run(mut self) {
        let mut ahead: Option<Prepared> = None;
        loop {
            let prepared = match ahead.take() {
                Some(prepared) if self.is_connected() => prepared,
                // Whoever has a session may have it.
                Some(prepared) => {
                    self.decline(&prepared.turn, &prepared.batch);
                    continue;
                }
                None => match self.floor.next(self.is_connected(), self.floor.settings.idle).await {
                    Next::Turn(turn, batch) => Prepared::new(&self.floor, turn, batch).await,
                    Next::Idle => {
                        self.hang_up().await;
                        continue;
                    }
                    Next::Stop => break,
                },
            };
            ahead = self.look_ahead(&prepared);
            self.serve(&prepared, ahead.as_ref()).await;
            self.floor.turn_done(&prepared.turn);
        }
        self.noted.wait().await;
        self.hang_up().await;
    }

    fn is_connected(&self) -> bool {
        self.session.as_ref().is_some_and(|session| session.is_open())
    }

    /// The transaction after this one, so that its envelope can go out with the final dot of this one. Only while nobody
    /// else would take it at once, and not behind a bulky message, which would keep it waiting.
    fn look_ahead(&self, present: &Prepared) -> Option<Prepared> {
        let announces = self.session.as_ref().is_some_and(|session| session.is_open() && session.takes_announcements());
        if !announces || present.turn.bulky || present.copy.is_err() {
            return None;
        }
        let (turn, batch) = self.floor.turn_ahead()?;
        let first = turn.recipients[0];
        let at_hand = self.floor.copies.at_hand(batch.claim.post.id, first.edition, first.group);
        let Some(edition) = at_hand.filter(|_| !turn.bulky) else {
            self.decline(&turn, &batch);
            return None;
        };
        let copy = Ok(Copy::of(&self.floor, edition, &turn, &batch.claim));
        Some(Prepared { turn, batch, copy })
    }

    /// Leaves a turn that was taken ahead to the other sessions.
    fn decline(&self, turn: &Turn, batch: &Arc<ActiveBatch>) {
        self.floor.put_back(turn, batch);
        self.floor.turn_done(turn);
    }

    async fn hang_up(&mut self) {
        self.carried = 0;
        if let Some(mut session) = self.session.take() {
            self.floor.session_ended();
            session.close().await;
        }
    }

    async fn connect(&mut self) -> Result<(), RelayError> {
        self.hang_up().await;
        self.floor.session_begun();
        match self.floor.relay.open().await {
            Ok(session) => self.session = Some(session),
            Err(error) => {
                self.floor.session_ended();
                return Err(error);
            }
        }
        if self.floor.relay_is_there() {
            hasten(&self.floor).await;
        }
        Ok(())
    }

    /// The relay takes no further session beside those that are open or being opened: this one rests for a while.
    async fn rest(&mut self, turn: &Turn, batch: &Arc<ActiveBatch>, error: &RelayError) {
        tracing::warn!(%error, "one session less for {} s", REST.as_secs());
        self.floor.put_back(turn, batch);
        tokio::select! {
            () = tokio::time::sleep(REST) => {}
            () = self.floor.stopped() => {}
        }
    }

    async fn serve(&mut self, present: &Prepared, next: Option<&Prepared>) {
        let Prepared { turn, batch, copy } = present;
        if batch.began.elapsed() > self.floor.settings.lease.mul_f64(LEASE_USED) {
            // The process stood still for a while: others may have the batch by now. What was announced is not sent.
            self.hang_up().await;
            return batch.give_back(&self.floor, turn.recipients.len());
        }
        let answers = match copy {
            Ok(copy) => match self.hand_over(copy, present, next).await {
                Ok(answers) => {
                    self.floor.came_back(turn, batch, &answers).await;
                    answers
                }
                Err(error) if self.floor.sessions.load(Ordering::SeqCst) > 0 => return self.rest(turn, batch, &error).await,
                Err(error) => {
                    self.floor.relay_is_away(&error);
                    vec![RelayAnswer::LostBefore(error.to_string()); turn.recipients.len()]
                }
            },
            Err(error) => {
                tracing::error!(post.id = %turn.key.post, %error, "no copy for {} recipients", turn.recipients.len());
                vec![no_copy(error); turn.recipients.len()]
            }
        };
        let taken = answers.iter().filter(|answer| matches!(answer, RelayAnswer::Taken(_))).count();
        self.floor.taken.fetch_add(taken as u64, Ordering::Relaxed);
        let outcomes: Vec<_> =
            turn.recipients.iter().zip(&answers).map(|(open, answer)| self.floor.outcome(batch, open.index, answer)).collect();
        for outcome in &outcomes {
            measure::outcome(outcome.state.as_str());
        }
        let trace = batch.claim.post.arrival.trace.as_str();
        tracing::debug!(trace, post.id = %turn.key.post, batch = turn.key.number, recipients = answers.len(), taken, "Handed over");
        for (open, answer) in turn.recipients.iter().zip(&answers) {
            tracing::debug!(trace, post.id = %turn.key.post, batch = turn.key.number, index = open.index, ?answer, "The relay answered");
        }
        // A transaction that came to no final dot did not wait for the one before.
        self.noted.wait().await;
        self.noted = batch.note(&self.floor, outcomes);
    }

    async fn hand_over(&mut self, copy: &Copy, present: &Prepared, next: Option<&Prepared>) -> Result<Vec<RelayAnswer>, RelayError> {
        let recipients = present.addresses();
        let transaction = Transaction { reverse_path: &copy.reverse_path, recipients: &recipients, message: &copy.message };
        let next = next.and_then(|next| next.copy.as_ref().ok().map(|copy| (copy, next.addresses())));
        loop {
            if !self.session.as_ref().is_some_and(|session| session.is_open()) {
                self.connect().await?;
            }
            let Some(session) = &mut self.session else { continue };
            if let Some((copy, recipients)) = &next {
                session.announce(Transaction { reverse_path: &copy.reverse_path, recipients, message: &copy.message });
            }
            let noted = &mut self.noted;
            let timer = Timer::of(Stage::Relay);
            let answers = session.send(transaction, Box::pin(noted.wait())).await;
            timer.done();
            let stale = self.carried > 0 && !session.is_open() && answers.iter().all(|answer| matches!(answer, RelayAnswer::LostBefore(_)));
            self.carried += 1;
            if !stale {
                return Ok(answers);
            }
            self.hang_up().await;
        }
    }
}

/// What waited only because the relay was away need not wait any longer.
async fn hasten(floor: &Floor) {
    if let Err(error) = floor.services.store.hasten(None, floor.services.now()).await {
        tracing::warn!(%error, "waiting batches keep their times");
    }
}

fn no_copy(error: &CopyError) -> RelayAnswer {
    match error {
        CopyError::Store(_) => RelayAnswer::LostBefore(format!("not sent: {error}")),
        CopyError::Malformed { .. } => RelayAnswer::Refused(format!("not sent: {error}")),
    }
}

/// A transaction that is ready to be made.
struct Prepared {
    turn: Turn,
    batch: Arc<ActiveBatch>,
    copy: Result<Copy, CopyError>,
}

impl Prepared {
    async fn new(floor: &Floor, turn: Turn, batch: Arc<ActiveBatch>) -> Self {
        let first = turn.recipients[0];
        let edition = floor.copies.edition(&batch.claim.post, first.edition, first.group).await;
        let copy = edition.map(|edition| Copy::of(floor, edition, &turn, &batch.claim));
        Self { turn, batch, copy }
    }

    fn addresses(&self) -> Vec<&str> {
        let planned = |open: &Open| self.batch.claim.recipients[usize::from(open.index)].planned.address.as_str();
        self.turn.recipients.iter().map(planned).collect()
    }
}

/// Envelope sender and bytes of a copy.
struct Copy {
    reverse_path: String,
    message: [Bytes; 3],
    /// Held, because the room of a bulky one is given free with it.
    _edition: Arc<Edition>,
}

impl Copy {
    fn of(floor: &Floor, edition: Arc<Edition>, turn: &Turn, claim: &Claim) -> Self {
        let rendered = &edition.rendered;
        let (shared_head, body) = (rendered.shared_head.clone(), rendered.body.clone());
        let (reverse_path, lines) = match turn.recipients[..] {
            [Open { index, together: 1, .. }] => {
                let account = claim.recipients[usize::from(index)].planned.account;
                let recipient = Recipient { batch: turn.key.number, index, account };
                (rendered.reverse_path(&floor.keys, recipient), rendered.personal_lines(&floor.keys, recipient).into())
            }
            _ => (rendered.common_reverse_path().to_owned(), rendered.common_lines().clone()),
        };
        Self { reverse_path, message: [lines, shared_head, body], _edition: edition }
    }
}
