//! The one thread that writes: it takes all verbs that wait, runs them, and makes their changes durable with one sync.
//!
//! Order of a group commit: bodies are synced, the record goes to the log and is synced, the rows go to sled, the callers
//! are answered. A failure before the log is synced answers all of them with an error, and what the verbs had changed in
//! memory is read anew. A failed sync is never tried again as if nothing had happened: everything is opened anew from
//! what is on disk (`fsync` reports an error once and forgets it). A full disk is looked at again until it has room.

use std::collections::{BTreeMap, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::database::{Database, sled_error};
use super::ledger::{Ledger, Noted, put_down};
use super::log::{Entry, Log};
use super::rows::{Changes, Reader, Rows};
use super::writer::Writer;
use super::{Shared, keys, lock};
use crate::measure;
use crate::store::{BatchKey, Result, StoreError, record};

/// Tells a caller whether the group it was in is on disk.
pub(super) type Answer = Box<dyn FnOnce(Result<()>) + Send>;
/// A changing verb: runs on the committer's thread, and leaves its answer for after the commit.
/// The flag says that it failed and its changes are to be taken back.
pub(super) type Verb = Box<dyn FnOnce(&mut Writer<'_>) -> (Answer, bool) + Send>;

/// Reads the database while nothing changes; told first whether everything could be folded.
pub(super) type Frozen = Box<dyn FnOnce(Result<()>, &Shared) + Send>;

/// What the committer is asked.
pub(super) enum Order {
    /// Run this.
    Run(Verb),
    /// Fold everything into the database, then let this read it, while no change goes on.
    Freeze(Frozen),
    /// Write everything out and end; then answer.
    Close(Answer),
}

/// Most verbs in a group.
const GROUP: usize = 1000;
/// How often a store that does not take anything looks whether it can again.
const RECOVERY_PAUSE: Duration = Duration::from_millis(200);

/// Sled and log, opened and agreeing.
pub(super) struct Opened {
    pub(super) database: Database,
    pub(super) log: Log,
    pub(super) ledger: Ledger,
}

/// Opens sled, brings it up to the log, and reads what is open.
pub(super) fn open(shared: &Shared) -> Result<Opened> {
    let database = Database::open(&shared.root, shared.options.cache_octets)?;
    let mut pending: HashMap<BatchKey, Vec<Noted>> = HashMap::new();
    let tree = &database.sled;
    let checkpoint = tree.get(keys::meta("checkpoint")).map_err(|e| sled_error(&e))?;
    let mut replay = |entries: &[Entry<'_>]| -> Result<()> {
        for entry in entries {
            match *entry {
                Entry::Put(key, value) => {
                    if let Some(batch) = keys::batch_of(key) {
                        pending.remove(&batch);
                    }
                    tree.insert(key, value).map_err(|e| sled_error(&e))?;
                }
                Entry::Remove(key) => {
                    tree.remove(key).map_err(|e| sled_error(&e))?;
                }
                Entry::Outcomes(key, value) => {
                    let batch = keys::batch_of(key).ok_or_else(|| record::damaged("the log", "it names no batch"))?;
                    pending.entry(batch).or_default().extend(record::decode::<Vec<Noted>>("the log", value)?);
                }
            }
        }
        Ok(())
    };
    let log = Log::open(&shared.root, shared.options.faults.clone(), &mut replay)?;
    let checkpoint = checkpoint.map_or(1, |value| keys::last_number(&value));
    log.check_against(checkpoint)?;
    let reader = Reader { tree, bodies: &shared.bodies };
    let ledger = Ledger::load(reader, &pending)?;
    Ok(Opened { database, log, ledger })
}

/// The committer's own things.
pub(super) struct Committer {
    shared: Arc<Shared>,
    /// `None` when it could not be opened anew.
    log: Option<Log>,
    last_attempt: Instant,
}

impl Committer {
    pub(super) fn new(shared: Arc<Shared>, log: Log) -> Self {
        Self { shared, log: Some(log), last_attempt: Instant::now() }
    }

    /// Works until the last sender is gone or until told to close.
    pub(super) fn run(mut self, orders: &Receiver<Order>) {
        if self.log.as_ref().is_some_and(Log::replayed) {
            self.checkpoint();
        }
        let closing = loop {
            let first = match orders.recv_timeout(RECOVERY_PAUSE) {
                Ok(order) => order,
                Err(RecvTimeoutError::Timeout) => {
                    self.look_at_the_disk();
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => break None,
            };
            let mut verbs = Vec::new();
            let mut close = None;
            let mut frozen = Vec::new();
            let mut next = Some(first);
            while let Some(order) = next {
                match order {
                    Order::Run(verb) => verbs.push(verb),
                    Order::Freeze(read) => {
                        frozen.push(read);
                        break;
                    }
                    Order::Close(answer) => {
                        close = Some(answer);
                        break;
                    }
                }
                next = if verbs.len() < GROUP { orders.try_recv().ok() } else { None };
            }
            if !verbs.is_empty() {
                self.work(verbs);
            }
            for read in frozen {
                self.freeze(read);
            }
            if close.is_some() {
                break close;
            }
        };
        let closed = self.close();
        if let Some(answer) = closing {
            answer(closed);
        }
    }

    fn freeze(&mut self, read: Frozen) {
        if self.shared.condition().is_ok() {
            self.checkpoint();
        }
        let shared = self.shared.clone();
        // A panic of sled on a damaged page concerns this reader alone; it hears that the answer is missing.
        let _ = catch_unwind(AssertUnwindSafe(|| read(shared.condition(), &shared)));
    }

    /// Everything into sled, so that the next start has nothing to replay.
    fn close(&mut self) -> Result<()> {
        if self.shared.condition().is_ok() && self.log.as_ref().is_some_and(|log| log.length() > 0) {
            self.checkpoint();
        }
        let state = self.shared.condition();
        self.shared.set_condition(Err(StoreError::Unavailable("the store is closed".into())));
        *self.shared.database.write().unwrap_or_else(std::sync::PoisonError::into_inner) = None;
        self.log = None;
        self.shared.unlock();
        state
    }

    fn look_at_the_disk(&mut self) {
        if self.shared.condition().is_err() {
            self.recover();
        } else {
            self.shared.measure_room();
        }
    }

    fn work(&mut self, verbs: Vec<Verb>) {
        if self.shared.condition().is_err() {
            self.recover();
        }
        if let Err(e) = self.shared.condition() {
            // Run without a writer there is no answer to give back, so the verb is dropped and its caller asks the condition.
            drop(verbs);
            tracing::debug!(error = %e, "Refused verbs, the store takes nothing at present");
            return;
        }
        self.shared.measure_room();
        self.commit(verbs);
        if self.shared.condition().is_ok() && self.log.as_ref().is_some_and(|log| log.length() > self.shared.options.checkpoint_octets) {
            self.checkpoint();
        }
    }

    /// Runs the verbs and makes their changes durable together.
    fn commit(&mut self, verbs: Vec<Verb>) {
        let shared = self.shared.clone();
        let (began, count) = (Instant::now(), verbs.len());
        let mut answers = Vec::with_capacity(verbs.len());
        let mut ring = false;
        let result = shared.with_database(|database| {
            let reader = Reader { tree: &database.sled, bodies: &shared.bodies };
            let mut writer = Writer { changes: Changes::new(reader), ledger: lock(&shared.ledger), shared: &shared, ring: false };
            for verb in verbs {
                writer.changes.begin();
                // A panic of sled on a damaged page concerns this verb alone; its caller hears that the answer is missing.
                match catch_unwind(AssertUnwindSafe(|| verb(&mut writer))) {
                    Ok((answer, failed)) => {
                        if failed {
                            writer.changes.take_back();
                        }
                        answers.push(answer);
                    }
                    Err(_) => writer.changes.take_back(),
                }
            }
            ring = writer.ring;
            if writer.changes.is_broken() {
                return Err(StoreError::Unavailable("a change failed half way and was taken back".into()));
            }
            Ok(writer.changes.finish())
        });
        let result = result.and_then(|(record, rows)| {
            if record.is_empty() {
                return Ok(rows);
            }
            self.persist(&record).map(|()| rows)
        });
        match result {
            Ok(rows) => {
                if let Err(e) = self.apply(rows) {
                    // The log has it: the callers are told so, and the database is opened anew.
                    self.fail(e);
                }
                measure::committed(count, began.elapsed());
                if ring {
                    shared.bell.ring();
                }
                for answer in answers {
                    answer(Ok(()));
                }
            }
            Err(e) => {
                self.fail(e.clone());
                for answer in answers {
                    answer(Err(e.clone()));
                }
            }
        }
    }

    fn persist(&mut self, record: &super::log::Record) -> Result<()> {
        self.shared.bodies.sync()?;
        self.log.as_mut().ok_or_else(|| StoreError::Unavailable("the log is not open".into()))?.append(record)
    }

    /// Puts rows into sled. Readers see all of a group or nothing.
    fn apply(&self, rows: BTreeMap<Vec<u8>, Option<Vec<u8>>>) -> Result<()> {
        let guard = self.shared.database.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        let database = guard.as_ref().ok_or_else(|| StoreError::Unavailable("the database is not open".into()))?;
        // Plain inserts: large batches keep sled from collecting its garbage, and the log makes them atomic anyway.
        for (key, value) in rows {
            let done = match value {
                Some(value) => database.sled.insert(key, value),
                None => database.sled.remove(key),
            };
            done.map_err(|e| sled_error(&e))?;
        }
        drop(guard);
        lock(&self.shared.ledger).forget_closing();
        Ok(())
    }

    /// Folds what is only in the log, flushes sled, and begins another log.
    fn checkpoint(&mut self) {
        if let Err(e) = self.try_checkpoint() {
            self.fail(e);
        }
    }

    fn try_checkpoint(&mut self) -> Result<()> {
        let shared = self.shared.clone();
        let (record, rows) = shared.with_database(|database| {
            let reader = Reader { tree: &database.sled, bodies: &shared.bodies };
            let mut writer = Writer { changes: Changes::new(reader), ledger: lock(&shared.ledger), shared: &shared, ring: false };
            let unfolded: Vec<BatchKey> = writer.ledger.unfolded();
            for key in unfolded {
                put_down(&mut writer, key)?;
            }
            Ok(writer.changes.finish())
        })?;
        if !record.is_empty() {
            self.persist(&record)?;
            self.apply(rows)?;
        }
        let log = self.log.as_mut().ok_or_else(|| StoreError::Unavailable("the log is not open".into()))?;
        let number = log.turn()?;
        shared.with_database(|database| {
            database.sled.insert(keys::meta("checkpoint"), &number.to_be_bytes()).map_err(|e| sled_error(&e))?;
            database.flush()
        })?;
        log.forget_before(number)
    }

    /// From now on nothing is taken until [`Self::recover`] succeeds.
    fn fail(&mut self, error: StoreError) {
        tracing::error!(error = %error, "The store takes nothing until it could be opened anew");
        if matches!(error, StoreError::Full(_)) {
            self.shared.disk.drop_ballast();
        }
        self.shared.set_condition(Err(error));
        // What the failed verbs changed in memory is not on disk: forget it, so that readers do not see it.
        self.last_attempt = Instant::now();
        self.shared.bodies.give_up_segment();
        if let Err(e) = self.reopen() {
            tracing::warn!(error = %e, "The store could not be opened anew yet");
        }
    }

    /// Tries to take up work again.
    fn recover(&mut self) {
        let Err(error) = self.shared.condition() else { return };
        if self.last_attempt.elapsed() < RECOVERY_PAUSE {
            return;
        }
        self.last_attempt = Instant::now();
        let full = matches!(error, StoreError::Full(_));
        if full && (self.shared.options.faults.disk_is_full() || !self.shared.disk.has_recovered()) {
            return;
        }
        match super::log::probe(&self.shared.root, &self.shared.options.faults).and_then(|()| self.reopen()) {
            Ok(()) => {
                self.shared.set_condition(Ok(()));
                self.shared.disk.take_ballast();
                self.shared.measure_room();
                self.shared.bell.ring();
                tracing::info!("The store takes changes again");
            }
            Err(e) => self.shared.set_condition(Err(e)),
        }
    }

    /// Drops sled and opens everything from what is on disk.
    fn reopen(&mut self) -> Result<()> {
        let shared = self.shared.clone();
        let mut guard = shared.database.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        self.log = None;
        *guard = None;
        let mut ledger = lock(&shared.ledger);
        let opened = open(&shared)?;
        let former = std::mem::replace(&mut *ledger, opened.ledger);
        ledger.adopt(former);
        *guard = Some(opened.database);
        self.log = Some(opened.log);
        Ok(())
    }
}

impl Ledger {
    /// Batches with outcomes that are only in the log.
    fn unfolded(&self) -> Vec<BatchKey> {
        let posts = self.posts.iter();
        posts
            .flat_map(|(post, open)| open.batches.iter().map(move |(number, batch)| (BatchKey { post: *post, number: *number }, batch)))
            .filter(|(_, batch)| batch.unfolded)
            .map(|(key, _)| key)
            .collect()
    }
}

/// Does a row of this key exist, on disk or in this group?
pub(super) fn exists(rows: &impl Rows, key: &[u8]) -> Result<bool> {
    rows.raw(key).map(|row| row.is_some())
}
