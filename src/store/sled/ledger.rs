//! What is open, in memory: plans being made, batches that wait, leases, posts that wait to be planned.
//!
//! Rebuilt at start from the rows of posts with open batches alone, so finished posts cost nothing. A batch's outcomes
//! since its last row are in its [`Sheet`] and in the log; [`fold`] writes both into the row.
//! Nothing here is on disk by itself, and after a failed commit all of it is read anew.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Weak};

use serde::{Deserialize, Serialize};

use super::keys;
use super::rows::{Reader, Rows};
use super::writer::Writer;
use crate::domain::group::GroupCode;
use crate::domain::id::PostId;
use crate::domain::ledger::{Counts, PlannedRecipient};
use crate::domain::post::{BodyRef, Post, PostState};
pub(super) use crate::store::sheet::{Noted, Sheet, is_halted, shift, urgency};
use crate::store::{BatchKey, Result, StoreError, record};

/// Row of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct BatchRow {
    /// Nanoseconds since 1970.
    pub(super) planned_at: i64,
    /// The recipients, never changed.
    pub(super) plan: BodyRef,
    /// The sheet, if anything has happened.
    pub(super) sheet: Option<BodyRef>,
    /// How often it was claimed.
    pub(super) tries: u32,
    /// Milliseconds since 1970.
    pub(super) due: i64,
    /// Recipients by state, amendments included.
    pub(super) counts: Counts,
}

/// Row of a finished plan.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PlanRow {
    pub(super) batches: u32,
    pub(super) counts: Counts,
}

/// The plan of a batch and its sheet as they are on disk.
pub(super) fn load(rows: &impl Rows, key: BatchKey, row: &BatchRow) -> Result<(Vec<PlannedRecipient>, Sheet)> {
    let what = || format!("batch {} of post {}", key.number, key.post);
    let plan: Vec<PlannedRecipient> = record::decode(&what(), &rows.bodies().read(&row.plan)?)?;
    let mut sheet = match &row.sheet {
        Some(place) => record::decode(&what(), &rows.bodies().read(place)?)?,
        None => Sheet::new(&plan),
    };
    let prefix = keys::amendments(key);
    let mut at = prefix.clone();
    while let Some((found, _)) = rows.behind(&prefix, &at)? {
        let index = found.last_chunk::<2>().map_or(0, |bytes| u16::from_be_bytes(*bytes));
        let value = rows.get(&found)?.unwrap_or_default();
        sheet.amend(index, record::decode("an amended recipient", &value)?);
        at = found;
    }
    if sheet.len() == plan.len() { Ok((plan, sheet)) } else { Err(record::damaged(&what(), "plan and outcomes differ in length")) }
}

/// A batch with somebody open in it.
#[derive(Debug)]
pub(super) struct OpenBatch {
    /// As on disk.
    pub(super) row: BatchRow,
    /// As they are now.
    pub(super) counts: Counts,
    pub(super) due: i64,
    pub(super) tries: u32,
    /// Holder and end of the lease in milliseconds.
    pub(super) claim: Option<(u64, i64)>,
    pub(super) sheet: Option<Sheet>,
    /// The sheet holds outcomes that are not in the row.
    pub(super) unfolded: bool,
}

/// A post with open batches.
#[derive(Debug)]
pub(super) struct OpenPost {
    pub(super) cached: Weak<Post>,
    pub(super) group: GroupCode,
    pub(super) octets: u64,
    pub(super) urgency: u8,
    /// Stopped: nothing of it may be claimed.
    pub(super) halted: bool,
    pub(super) batches: BTreeMap<u32, OpenBatch>,
    pub(super) batch_count: u32,
    /// Of all batches, as they are now.
    pub(super) counts: Counts,
    /// Of all batches, as in the rows.
    pub(super) folded: Counts,
}

impl OpenPost {
    pub(super) fn of(post: &Arc<Post>, plan: &PlanRow) -> Self {
        Self {
            cached: Arc::downgrade(post),
            group: post.groups.first().cloned().unwrap_or_else(nameless),
            octets: post.octets(),
            urgency: urgency(post.kind),
            halted: is_halted(&post.state),
            batches: BTreeMap::new(),
            batch_count: plan.batches,
            counts: plan.counts,
            folded: plan.counts,
        }
    }
}

fn nameless() -> GroupCode {
    "NONE".parse().unwrap_or_else(|_| unreachable!("NONE is a group code"))
}

/// A slice of a plan that is not finished.
#[derive(Debug, Clone)]
pub(super) struct Slice {
    pub(super) plan: BodyRef,
    pub(super) counts: Counts,
}

/// Everything open.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    pub(super) posts: BTreeMap<PostId, OpenPost>,
    pub(super) plans: HashMap<PostId, BTreeMap<u32, Slice>>,
    /// By due time in milliseconds; only batches nobody has claimed.
    pub(super) waiting: BTreeSet<(i64, BatchKey)>,
    /// By the end of the lease in milliseconds.
    pub(super) leases: BTreeSet<(i64, BatchKey)>,
    /// By the time from which they may be planned, in milliseconds.
    pub(super) to_plan: BTreeSet<(i64, PostId)>,
    /// Closed in the group that is being committed: until its rows are in the database, readers find these here.
    pub(super) closing: HashMap<BatchKey, (BatchRow, Option<Sheet>)>,
    /// Counts of posts whose last batch is among them.
    pub(super) closing_posts: HashMap<PostId, Counts>,
    pub(super) total: Counts,
    pub(super) total_folded: Counts,
    pub(super) accounts: u64,
    pub(super) last_holder: u64,
}

impl Ledger {
    /// From the rows, and from outcomes that are only in the log.
    pub(super) fn load(reader: Reader<'_>, pending: &HashMap<BatchKey, Vec<Noted>>) -> Result<Self> {
        let mut ledger = Self::default();
        if let Some(row) = reader.get(&keys::meta("total"))? {
            ledger.total = record::decode("the total counts", &row)?;
        }
        if let Some(row) = reader.get(&keys::meta("accounts"))? {
            ledger.accounts = record::decode("the number of accounts", &row)?;
        }
        ledger.total_folded = ledger.total;
        for row in reader.scan(keys::TO_PLAN, None) {
            let (key, _) = row?;
            let due = key.get(1..9).and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_be_bytes);
            ledger.to_plan.insert(((due ^ (1 << 63)).cast_signed(), PostId(keys::last_number(&key))));
        }
        for row in reader.scan(keys::OPEN, None) {
            let id = PostId(keys::last_number(&row?.0));
            ledger.load_post(reader, id, pending)?;
        }
        Ok(ledger)
    }

    /// Takes over what is in memory only: claims and unfinished plans.
    pub(super) fn adopt(&mut self, former: Self) {
        self.plans = former.plans;
        self.last_holder = former.last_holder;
        for (id, post) in former.posts {
            for (number, batch) in post.batches {
                if let Some((holder, end)) = batch.claim {
                    self.hold(BatchKey { post: id, number }, holder, end, batch.tries);
                }
            }
        }
    }

    fn load_post(&mut self, reader: Reader<'_>, id: PostId, pending: &HashMap<BatchKey, Vec<Noted>>) -> Result<()> {
        let what = format!("post {id}");
        let Some(row) = reader.get(&keys::post(id))? else { return Err(record::damaged(&what, "it has open batches and no row")) };
        let post: Arc<Post> = Arc::new(record::decode(&what, &row)?);
        let plan: PlanRow = record::decode(&what, &reader.get(&keys::plan(id))?.unwrap_or_default())?;
        let mut open = OpenPost::of(&post, &plan);
        for row in reader.scan(&keys::batches(id), None) {
            let (key, value) = row?;
            let Some(key) = keys::batch_of(&key) else { continue };
            let row: BatchRow = record::decode(&what, &value)?;
            if row.counts.open() == 0 {
                continue;
            }
            let mut batch = OpenBatch::from(row);
            if let Some(noted) = pending.get(&key) {
                let mut sheet = load(&reader, key, &batch.row)?.1;
                for one in noted {
                    sheet.note(one);
                }
                let after = sheet.counts();
                shift(&mut open.counts, &batch.counts, &after);
                shift(&mut self.total, &batch.counts, &after);
                batch.counts = after;
                batch.sheet = Some(sheet);
                batch.unfolded = true;
            }
            if !open.halted {
                self.waiting.insert((batch.due, key));
            }
            open.batches.insert(key.number, batch);
        }
        self.posts.insert(id, open);
        Ok(())
    }

    /// The open batch of that key.
    pub(super) fn batch(&mut self, key: BatchKey) -> Option<&mut OpenBatch> {
        self.posts.get_mut(&key.post)?.batches.get_mut(&key.number)
    }

    /// Gives a batch to a holder.
    pub(super) fn hold(&mut self, key: BatchKey, holder: u64, end: i64, tries: u32) {
        self.unqueue(key);
        if let Some(batch) = self.batch(key) {
            batch.claim = Some((holder, end));
            batch.tries = tries;
            self.leases.insert((end, key));
        }
    }

    /// Takes a batch out of the queue and out of its holder's hands.
    pub(super) fn unqueue(&mut self, key: BatchKey) {
        let Some(batch) = self.batch(key) else { return };
        let (due, claim) = (batch.due, batch.claim.take());
        self.waiting.remove(&(due, key));
        if let Some((_, end)) = claim {
            self.leases.remove(&(end, key));
        }
    }

    /// Puts an unclaimed batch into the queue, unless its post is halted.
    pub(super) fn queue(&mut self, key: BatchKey, due: i64) {
        let Some(post) = self.posts.get_mut(&key.post) else { return };
        let halted = post.halted;
        if let Some(batch) = post.batches.get_mut(&key.number) {
            batch.due = due;
            if !halted {
                self.waiting.insert((due, key));
            }
        }
    }

    /// Stops a post's batches, or lets them go on.
    pub(super) fn halt(&mut self, id: PostId, halted: bool) {
        let Some(post) = self.posts.get_mut(&id) else { return };
        if post.halted == halted {
            return;
        }
        post.halted = halted;
        for (number, batch) in &post.batches {
            let place = (batch.due, BatchKey { post: id, number: *number });
            if batch.claim.is_none() {
                if halted {
                    self.waiting.remove(&place)
                } else {
                    self.waiting.insert(place)
                };
            }
        }
    }

    /// What was closed is in the database now.
    pub(super) fn forget_closing(&mut self) {
        self.closing.clear();
        self.closing_posts.clear();
    }

    /// A batch's counts became `after`.
    pub(super) fn recount(&mut self, key: BatchKey, after: Counts) {
        let Some(post) = self.posts.get_mut(&key.post) else { return };
        let Some(batch) = post.batches.get_mut(&key.number) else { return };
        shift(&mut post.counts, &batch.counts, &after);
        shift(&mut self.total, &batch.counts, &after);
        batch.counts = after;
    }
}

impl From<BatchRow> for OpenBatch {
    fn from(row: BatchRow) -> Self {
        Self { counts: row.counts, due: row.due, tries: row.tries, row, claim: None, sheet: None, unfolded: false }
    }
}

/// Makes sure that the sheet of an open batch is in memory.
pub(super) fn load_sheet<'l>(w: &'l mut Writer<'_>, key: BatchKey) -> Result<Option<&'l mut Sheet>> {
    let Some(batch) = w.ledger.batch(key) else { return Ok(None) };
    if batch.sheet.is_none() {
        let row = batch.row.clone();
        let (_, sheet) = load(&w.changes, key, &row)?;
        if let Some(batch) = w.ledger.batch(key) {
            batch.sheet = Some(sheet);
        }
    }
    Ok(w.ledger.batch(key).and_then(|batch| batch.sheet.as_mut()))
}

/// Writes what is known of an open batch into its row.
pub(super) fn fold(w: &mut Writer<'_>, key: BatchKey) -> Result<()> {
    let ledger = &mut *w.ledger;
    let Some(post) = ledger.posts.get_mut(&key.post) else { return Ok(()) };
    let Some(batch) = post.batches.get_mut(&key.number) else { return Ok(()) };
    let mut row = batch.row.clone();
    if let Some(sheet) = batch.sheet.as_ref().filter(|_| batch.unfolded) {
        row.sheet = Some(w.shared.bodies.append(&record::encode(sheet)?)?);
    }
    let before = row.counts;
    row.counts = batch.counts;
    row.due = batch.due;
    row.tries = batch.tries;
    w.changes.put_batch(&keys::batch(key), &record::encode(&row)?)?;
    batch.row = row;
    batch.unfolded = false;
    let after = batch.counts;
    shift(&mut post.folded, &before, &after);
    shift(&mut ledger.total_folded, &before, &after);
    let plan = PlanRow { batches: post.batch_count, counts: post.folded };
    let total = ledger.total_folded;
    w.changes.put(&keys::plan(key.post), &record::encode(&plan)?)?;
    w.changes.put(&keys::meta("total"), &record::encode(&total)?)
}

/// Writes what is known of an open batch into its row; one in which nobody is open any more is closed.
pub(super) fn put_down(w: &mut Writer<'_>, key: BatchKey) -> Result<()> {
    let is_over = w.ledger.batch(key).is_some_and(|batch| batch.counts.open() == 0);
    if is_over { close(w, key) } else { fold(w, key) }
}

/// Folds a batch in which nobody is open, and forgets it; with the last one of its post the post is done.
pub(super) fn close(w: &mut Writer<'_>, key: BatchKey) -> Result<()> {
    fold(w, key)?;
    w.ledger.unqueue(key);
    let Some(post) = w.ledger.posts.get_mut(&key.post) else { return Ok(()) };
    let closed = post.batches.remove(&key.number);
    let last_counts = post.batches.is_empty().then_some(post.counts);
    if let Some(batch) = closed {
        w.ledger.closing.insert(key, (batch.row, batch.sheet));
    }
    if let Some(counts) = last_counts {
        w.ledger.closing_posts.insert(key.post, counts);
        w.ledger.posts.remove(&key.post);
        w.changes.remove(&keys::open(key.post));
        if let Some(post) = w.post(key.post)?.filter(|post| post.state == PostState::Planned) {
            let done = Post { state: PostState::Done, ..post.clone() };
            w.write_post(Some(&post), &done)?;
        }
    }
    Ok(())
}

/// The error for a batch that is not there.
pub(super) fn no_batch(key: BatchKey) -> StoreError {
    StoreError::Unavailable(format!("there is no batch {} of post {}", key.number, key.post))
}
