//! What feeder and sessions share: the claimed batches, whose turn it is, and whether the relay and the store are well.

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::batch::ActiveBatch;
use super::copies::Copies;
use super::lanes::{Lanes, Open, Turn};
use super::lost::Lost;
use super::{Parts, Settings};
use crate::domain::ledger::{Outcome, RecipientState, RelayAnswer};
use crate::mail::token::Keys;
use crate::measure;
use crate::service::Services;
use crate::smtp::relay::{Relay, RelayError};
use crate::store::BatchKey;

/// First pause after the relay could not be reached; doubled up to [`AWAY_LONGEST`].
const AWAY_FIRST: Duration = Duration::from_secs(1);
/// Longest pause between two attempts to reach the relay.
const AWAY_LONGEST: Duration = Duration::from_mins(1);

/// The shared state.
pub struct Floor {
    /// Store, clock, groups.
    pub services: Arc<Services>,
    /// Where copies go.
    pub relay: Arc<dyn Relay>,
    /// Rendered editions.
    pub copies: Copies,
    /// For VERP and one-click tokens.
    pub keys: Keys,
    /// Numbers.
    pub settings: Settings,
    /// Rung when a turn may be free.
    pub work: Notify,
    /// Rung when a batch has been settled.
    pub freed: Notify,
    /// Sessions that wait for a turn.
    waiting: AtomicUsize,
    /// Sessions that are open or being opened.
    pub sessions: AtomicUsize,
    /// Copies the relay took since the start.
    pub taken: AtomicU64,
    board: Mutex<Board>,
    failing_writes: AtomicUsize,
    lost: mpsc::Sender<Lost>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

struct Board {
    lanes: Lanes,
    active: HashMap<BatchKey, Arc<ActiveBatch>>,
    away: Option<Away>,
}

/// The relay cannot be reached.
#[derive(Debug, Clone)]
struct Away {
    failures: u32,
    until: Instant,
    probing: bool,
    cause: String,
}

/// What a session got when it asked for work.
pub enum Next {
    /// A transaction to make.
    Turn(Turn, Arc<ActiveBatch>),
    /// Nothing for that long.
    Idle,
    /// The delivery ends.
    Stop,
}

impl Floor {
    /// With nothing claimed; `lost` takes what the relay refused for good.
    pub fn new(parts: Parts, lost: mpsc::Sender<Lost>) -> Self {
        let board = Board { lanes: Lanes::new(parts.settings.connections), active: HashMap::new(), away: None };
        Self {
            copies: Copies::new(Arc::clone(&parts.services), parts.service),
            services: parts.services,
            relay: parts.relay,
            keys: parts.keys,
            settings: parts.settings,
            work: Notify::new(),
            freed: Notify::new(),
            waiting: AtomicUsize::new(0),
            sessions: AtomicUsize::new(0),
            taken: AtomicU64::new(0),
            board: Mutex::new(board),
            failing_writes: AtomicUsize::new(0),
            lost,
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        }
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long to sleep after a look at `looked`, when the record says that something has its time at `next`.
    pub fn pause_after(&self, looked: DateTime<Utc>, next: Option<DateTime<Utc>>) -> Duration {
        pause(looked, self.services.now(), next, self.settings.look_every)
    }

    /// Starts a task that [`Floor::finish`] waits for.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(task);
    }

    /// Tells everybody to end.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// Has [`Floor::stop`] been called?
    pub fn is_stopping(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Resolves when [`Floor::stop`] is called.
    pub async fn stopped(&self) {
        self.stop.cancelled().await;
    }

    /// Waits until all tasks have ended.
    pub async fn finish(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// The next transaction; waits for it at most `patience`. `connected` tells whether the caller has an open session:
    /// without one, nobody but a single probe tries while the relay is away.
    pub async fn next(&self, connected: bool, patience: Duration) -> Next {
        let deadline = Instant::now() + patience;
        loop {
            let mut rung = std::pin::pin!(self.work.notified());
            rung.as_mut().enable();
            if self.is_stopping() {
                return Next::Stop;
            }
            if let Some((turn, batch)) = self.take_turn(connected) {
                return Next::Turn(turn, batch);
            }
            self.waiting.fetch_add(1, Ordering::SeqCst);
            let woken = tokio::select! {
                () = rung => None,
                () = self.stop.cancelled() => Some(Next::Stop),
                () = tokio::time::sleep_until(deadline) => Some(Next::Idle),
            };
            self.waiting.fetch_sub(1, Ordering::SeqCst);
            if let Some(next) = woken {
                return next;
            }
        }
    }

    /// A transaction to be made after the present one; none while other sessions wait for one.
    pub fn turn_ahead(&self) -> Option<(Turn, Arc<ActiveBatch>)> {
        if self.waiting.load(Ordering::SeqCst) > 0 || self.is_stopping() {
            return None;
        }
        self.take_turn(true)
    }

    fn take_turn(&self, connected: bool) -> Option<(Turn, Arc<ActiveBatch>)> {
        if self.failing_writes.load(Ordering::SeqCst) > 0 {
            return None;
        }
        let mut board = self.board();
        if let Some(away) = board.away.as_mut().filter(|_| !connected) {
            if away.probing || Instant::now() < away.until {
                return None;
            }
            away.probing = true;
        }
        let Some(turn) = board.lanes.next() else {
            if let Some(away) = board.away.as_mut().filter(|_| !connected) {
                away.probing = false;
            }
            return None;
        };
        if !board.lanes.is_empty() {
            self.work.notify_one();
        }
        let batch = board.active.get(&turn.key).map(Arc::clone)?;
        Some((turn, batch))
    }

    /// The turn is over.
    pub fn turn_done(&self, turn: &Turn) {
        let mut board = self.board();
        if turn.bulky {
            board.lanes.bulk_done();
        }
        if let Some(away) = &mut board.away {
            away.probing = false;
        }
        if !board.lanes.is_empty() {
            self.work.notify_one();
        }
    }

    /// Puts a claimed batch up for the sessions.
    pub fn add(self: &Arc<Self>, batch: &Arc<ActiveBatch>, open: VecDeque<Open>) {
        let nobody = open.is_empty();
        let mut board = self.board();
        board.active.insert(batch.claim.key, Arc::clone(batch));
        measure::batches_claimed(board.active.len());
        board.lanes.add(batch.work(open));
        drop(board);
        if nobody {
            batch.give_back(self, 0);
        }
        self.work.notify_one();
    }

    /// Takes the recipients of a turn back who were not tried, because this session could not be opened while others are.
    pub fn put_back(self: &Arc<Self>, turn: &Turn, batch: &Arc<ActiveBatch>) {
        let mut board = self.board();
        // While the delivery ends, nobody would take them up again.
        if self.is_stopping() {
            drop(board);
            batch.give_back(self, turn.recipients.len());
            return;
        }
        board.lanes.put_back(batch.work(turn.recipients.iter().copied().collect()));
        drop(board);
        self.work.notify_one();
    }

    /// A batch has been settled.
    pub fn batch_done(&self, key: BatchKey) {
        let mut board = self.board();
        board.active.remove(&key);
        measure::batches_claimed(board.active.len());
        let last = !board.active.keys().any(|other| other.post == key.post);
        drop(board);
        if last {
            self.copies.forget(key.post);
        }
        self.freed.notify_one();
    }

    /// A session with the relay is being opened.
    pub fn session_begun(&self) {
        measure::relay_sessions(self.sessions.fetch_add(1, Ordering::SeqCst) + 1);
    }

    /// A session with the relay has ended, or did not come to be.
    pub fn session_ended(&self) {
        measure::relay_sessions(self.sessions.fetch_sub(1, Ordering::SeqCst).saturating_sub(1));
    }

    /// The claimed batches.
    pub fn active(&self) -> Vec<Arc<ActiveBatch>> {
        self.board().active.values().map(Arc::clone).collect()
    }

    /// Gives a batch back, as far as nobody is at it: the rest of it is settled when the transactions on the wire have ended.
    pub fn retire(self: &Arc<Self>, batch: &Arc<ActiveBatch>) {
        let left = self.board().lanes.remove(batch.claim.key).len();
        if left > 0 {
            batch.give_back(self, left);
        }
    }

    /// Takes those out of a batch for whom `keep` says no.
    pub fn keep_only(self: &Arc<Self>, batch: &Arc<ActiveBatch>, keep: impl Fn(u16) -> bool) {
        let gone = self.board().lanes.retain(batch.claim.key, keep);
        if gone > 0 {
            batch.give_back(self, gone);
        }
    }

    /// A session is open: the relay is there. Says whether it had been away.
    pub fn relay_is_there(&self) -> bool {
        let was_away = self.board().away.take().is_some();
        if was_away {
            measure::relay_away(false);
            tracing::info!(relay = self.relay.name(), "the relay is back");
            self.work.notify_one();
            self.freed.notify_one();
        }
        was_away
    }

    /// No session could be opened: nobody tries for a while, and all claimed recipients are deferred with the reason.
    pub fn relay_is_away(self: &Arc<Self>, error: &RelayError) {
        let cause = error.to_string();
        measure::relay_away(true);
        let mut board = self.board();
        // Sessions that were on their way when the first one failed tell nothing new.
        if board.away.as_ref().is_none_or(|away| away.probing) {
            let failures = board.away.as_ref().map_or(0, |away| away.failures).saturating_add(1);
            let pause = AWAY_FIRST.saturating_mul(1_u32.checked_shl(failures - 1).unwrap_or(u32::MAX)).min(AWAY_LONGEST);
            board.away = Some(Away { failures, until: Instant::now() + pause, probing: false, cause: cause.clone() });
            tracing::warn!(relay = self.relay.name(), error = cause, "the relay is away; next attempt in {} s", pause.as_secs());
        }
        let waiting: Vec<_> = board.active.values().map(Arc::clone).collect();
        let waiting: Vec<_> = waiting.into_iter().map(|batch| (board.lanes.remove(batch.claim.key), batch)).collect();
        drop(board);
        let answer = RelayAnswer::LostBefore(cause);
        for (open, batch) in waiting {
            let outcomes = open.iter().map(|open| self.outcome(&batch, open.index, &answer)).collect();
            batch.note(self, outcomes);
        }
    }

    /// How long the relay has still to be left alone, and why; `None` when it is there.
    pub fn away(&self) -> Option<(Duration, String)> {
        let board = self.board();
        board.away.as_ref().map(|away| (away.until.saturating_duration_since(Instant::now()), away.cause.clone()))
    }

    /// What `answer` means for a recipient of `batch` now.
    pub fn outcome(&self, batch: &ActiveBatch, index: u16, answer: &RelayAnswer) -> Outcome {
        batch.outcome(index, answer, self.services.now(), self.settings.retry_for)
    }

    /// What the relay refused for good counts like a report that came back; the scoring waits for nobody's transaction.
    pub async fn came_back(&self, turn: &Turn, batch: &ActiveBatch, answers: &[RelayAnswer]) {
        for (open, answer) in turn.recipients.iter().zip(answers) {
            let (RelayAnswer::Refused(reply) | RelayAnswer::Later(reply)) = answer else { continue };
            let outcome = self.outcome(batch, open.index, answer);
            let Some(recipient) = batch.claim.recipients.get(usize::from(open.index)) else { continue };
            if outcome.state == RecipientState::Failed {
                let lost = Lost { post: Arc::clone(&batch.claim.post), recipient: recipient.planned.clone(), reply: reply.clone() };
                // Nobody listens any more only while the delivery ends.
                let _ = self.lost.send(lost).await;
            }
        }
    }

    /// An outcome could not be written.
    pub fn store_failed(&self) {
        self.failing_writes.fetch_add(1, Ordering::SeqCst);
    }

    /// It could at last.
    pub fn store_recovered(&self) {
        if self.failing_writes.fetch_sub(1, Ordering::SeqCst) == 1 {
            tracing::info!("the ledger can be written again");
            self.work.notify_one();
        }
    }
}

/// Until `next`, but at most until the next look. What was due at the last one is at work or not to be done now; what came due since
/// was not seen by it, so there is no pause at all.
fn pause(looked: DateTime<Utc>, now: DateTime<Utc>, next: Option<DateTime<Utc>>, look_every: Duration) -> Duration {
    let unseen = next.filter(|next| *next > looked);
    unseen.map_or(look_every, |next| (next - now).to_std().unwrap_or_default().min(look_every))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_due_between_the_look_and_the_pause_is_looked_for_at_once() {
        let at = |milliseconds| DateTime::from_timestamp_millis(milliseconds).unwrap();
        let every = Duration::from_secs(1);
        assert_eq!(pause(at(100), at(100), None, every), every, "nothing waits");
        assert_eq!(pause(at(100), at(102), Some(at(101)), every), Duration::ZERO, "it came due since");
        assert_eq!(pause(at(100), at(102), Some(at(105)), every), Duration::from_millis(3));
        assert_eq!(pause(at(100), at(102), Some(at(100)), every), every, "the look saw it");
        assert_eq!(pause(at(100), at(102), Some(at(9_000)), every), every);
    }
}
