//! Plans, claims, outcomes: the verbs over the open ledger and its rows.

use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::ledger::{BatchRow, Noted, OpenBatch, OpenPost, PlanRow, Slice, close, fold, load, load_sheet, no_batch, put_down, shift};
use super::posts::post;
use super::rows::{Reader, Rows};
use super::writer::Writer;
use super::{Shared, SledStore, keys, lock};
use crate::domain::id::PostId;
use crate::domain::ledger::{Counts, Outcome, PlannedRecipient, RecipientState};
use crate::domain::post::{Post, PostState};
use crate::store::{
    BATCH_RECIPIENTS, BatchKey, Batches, Claim, Claimed, DUE_OF_A_POST, DueBatch, LedgerKey, RecipientRecord, Result, StoreError, record,
};

pub(super) fn batch_row(rows: &impl Rows, key: BatchKey) -> Result<Option<BatchRow>> {
    let row = rows.get(&keys::batch(key))?;
    row.map(|row| record::decode(&format!("batch {} of post {}", key.number, key.post), &row)).transpose()
}

fn plan_row(rows: &impl Rows, id: PostId) -> Result<Option<PlanRow>> {
    rows.get(&keys::plan(id))?.map(|row| record::decode(&format!("the plan of post {id}"), &row)).transpose()
}

impl Writer<'_> {
    /// Notes attempts in an open batch: in memory and in the log.
    pub(super) fn note_open(&mut self, key: BatchKey, noted: &[Noted]) -> Result<()> {
        let logged = record::encode(&noted)?;
        let Some(sheet) = load_sheet(self, key)? else { return Err(no_batch(key)) };
        for one in noted {
            sheet.note(one);
        }
        let after = sheet.counts();
        self.ledger.recount(key, after);
        if let Some(batch) = self.ledger.batch(key) {
            batch.unfolded = true;
        }
        self.changes.note_outcomes(&keys::batch(key), logged);
        Ok(())
    }

    /// Notes attempts in a finished batch: a row for each recipient they changed, and the counts.
    fn note_finished(&mut self, key: BatchKey, mut row: BatchRow, noted: &[Noted]) -> Result<()> {
        let (_, mut sheet) = load(&self.changes, key, &row)?;
        for one in noted {
            sheet.note(one);
        }
        for one in noted {
            self.changes.put(&keys::amendment(key, one.index), &record::encode(&sheet.amendment(one.index))?)?;
        }
        let before = row.counts;
        row.counts = sheet.counts();
        self.changes.put_batch(&keys::batch(key), &record::encode(&row)?)?;
        let plan = if let Some(open) = self.ledger.posts.get_mut(&key.post) {
            shift(&mut open.counts, &before, &row.counts);
            shift(&mut open.folded, &before, &row.counts);
            PlanRow { batches: open.batch_count, counts: open.folded }
        } else {
            let mut plan = plan_row(&self.changes, key.post)?.unwrap_or_default();
            shift(&mut plan.counts, &before, &row.counts);
            plan
        };
        self.changes.put(&keys::plan(key.post), &record::encode(&plan)?)?;
        shift(&mut self.ledger.total, &before, &row.counts);
        shift(&mut self.ledger.total_folded, &before, &row.counts);
        let total = self.ledger.total_folded;
        self.changes.put(&keys::meta("total"), &record::encode(&total)?)
    }

    /// Notes attempts; `false` if one of the recipients is not there, and then none is noted.
    fn note(&mut self, key: BatchKey, noted: &[Noted]) -> Result<bool> {
        let fits = |length: usize| noted.iter().all(|one| usize::from(one.index) < length);
        if let Some(sheet) = load_sheet(self, key)? {
            if !fits(sheet.len()) {
                return Ok(false);
            }
            return self.note_open(key, noted).map(|()| true);
        }
        let Some(row) = batch_row(&self.changes, key)? else { return Ok(false) };
        let considered = usize::try_from(row.counts.considered()).unwrap_or(0);
        if !fits(considered) {
            return Ok(false);
        }
        self.note_finished(key, row, noted).map(|()| true)
    }

    /// Makes the slices of a plan rows, and the post planned.
    fn finish_plan(&mut self, id: PostId, batches: u32, now: DateTime<Utc>) -> Result<()> {
        let Some(old) = self.post(id)? else { return Err(StoreError::Unavailable(format!("there is no post {id} to plan"))) };
        let slices = self.ledger.plans.get(&id).cloned().unwrap_or_default();
        if old.state != PostState::Accepted {
            // Planned before, or stopped in the meantime: nothing was promised to anybody.
            self.ledger.plans.remove(&id);
            return Ok(());
        }
        if slices.len() != batches as usize || slices.last_key_value().is_some_and(|(last, _)| *last >= batches) {
            let there = slices.len();
            return Err(StoreError::Unavailable(format!("the plan of post {id} has {there} of {batches} batches: plan it again")));
        }
        let mut plan = PlanRow { batches, counts: Counts::default() };
        let mut open = Vec::new();
        for (number, slice) in slices {
            self.shared.bodies.check(&slice.plan)?;
            plan.counts.add(&slice.counts);
            let key = BatchKey { post: id, number };
            let row = BatchRow {
                planned_at: record::nanoseconds(now),
                plan: slice.plan,
                sheet: None,
                tries: 0,
                due: keys::milliseconds(now),
                counts: slice.counts,
            };
            self.changes.put_batch(&keys::batch(key), &record::encode(&row)?)?;
            if row.counts.open() > 0 {
                open.push((key, row));
            }
        }
        self.changes.put(&keys::plan(id), &record::encode(&plan)?)?;
        let state = if open.is_empty() { PostState::Done } else { PostState::Planned };
        let new = Post { state, ..old.clone() };
        self.write_post(Some(&old), &new)?;
        shift(&mut self.ledger.total, &Counts::default(), &plan.counts);
        shift(&mut self.ledger.total_folded, &Counts::default(), &plan.counts);
        let total = self.ledger.total_folded;
        self.changes.put(&keys::meta("total"), &record::encode(&total)?)?;
        self.ledger.plans.remove(&id);
        if !open.is_empty() {
            self.changes.put(&keys::open(id), &[])?;
            self.ledger.posts.insert(id, OpenPost::of(&Arc::new(new), &plan));
        }
        for (key, row) in open {
            let due = row.due;
            if let Some(post) = self.ledger.posts.get_mut(&id) {
                post.batches.insert(key.number, OpenBatch::from(row));
            }
            self.ledger.queue(key, due);
        }
        self.ring = true;
        Ok(())
    }

    fn claim(&mut self, key: BatchKey, now: DateTime<Utc>, lease: Duration) -> Result<Claimed> {
        let now_ms = now.timestamp_millis();
        if self.ledger.posts.get(&key.post).is_none_or(|post| post.halted) {
            return Ok(Claimed::Finished);
        }
        let Some(batch) = self.ledger.batch(key) else { return Ok(Claimed::Finished) };
        let is_held = batch.claim.is_some_and(|(_, end)| end > now_ms);
        if is_held || (batch.claim.is_none() && batch.due > now_ms) {
            return Ok(Claimed::InProgress);
        }
        if batch.counts.open() == 0 {
            // Its last holder noted everything and never gave it back.
            close(self, key)?;
            self.ring = true;
            return Ok(Claimed::Finished);
        }
        let (row, tries) = (batch.row.clone(), batch.tries);
        let (plan, sheet) = load(&self.changes, key, &row)?;
        let Some(batch) = self.ledger.batch(key) else { return Ok(Claimed::Finished) };
        let recipients = batch.sheet.get_or_insert(sheet).records(plan);
        let post = self.cached_post(key.post)?;
        self.ledger.last_holder += 1;
        let holder = self.ledger.last_holder;
        let end = now_ms.saturating_add(i64::try_from(lease.as_millis()).unwrap_or(i64::MAX));
        self.ledger.hold(key, holder, end, tries + 1);
        let planned_at = record::instant(row.planned_at);
        Ok(Claimed::Started(Box::new(Claim { key, holder, post, recipients, tries, planned_at })))
    }

    /// The post of an open batch, shared by all who work on it.
    fn cached_post(&mut self, id: PostId) -> Result<Arc<Post>> {
        if let Some(post) =
            self.ledger.posts.get(&id).and_then(|open| open.cached.upgrade()).filter(|post| post.state == PostState::Planned)
        {
            return Ok(post);
        }
        let post = self.post(id)?.ok_or_else(|| record::damaged(&format!("post {id}"), "it has open batches and no row"))?;
        let post = Arc::new(post);
        if let Some(open) = self.ledger.posts.get_mut(&id) {
            open.cached = Arc::downgrade(&post);
        }
        Ok(post)
    }

    fn settle(&mut self, key: BatchKey, holder: u64, next_due: DateTime<Utc>) -> Result<()> {
        let Some(batch) = self.ledger.batch(key).filter(|batch| batch.claim.is_some_and(|(by, _)| by == holder)) else {
            // It was finished, or taken over after the lease: the other one settles it.
            return Ok(());
        };
        self.ring = true;
        if batch.counts.open() == 0 {
            return close(self, key);
        }
        let due = keys::milliseconds(next_due);
        self.ledger.unqueue(key);
        self.ledger.queue(key, due);
        fold(self, key)?;
        if let Some(batch) = self.ledger.batch(key) {
            batch.sheet = None;
        }
        Ok(())
    }

    fn drop_open(&mut self, id: PostId, at: DateTime<Utc>, text: &str) -> Result<u64> {
        let numbers: Vec<u32> = self.ledger.posts.get(&id).map(|post| post.batches.keys().copied().collect()).unwrap_or_default();
        let mut dropped = 0;
        for number in numbers {
            let key = BatchKey { post: id, number };
            let Some(sheet) = load_sheet(self, key)? else { continue };
            let indexes = sheet.open();
            dropped += indexes.len() as u64;
            let at = record::nanoseconds(at);
            let noted = indexes.into_iter().map(|index| Noted {
                index,
                at,
                state: RecipientState::Suppressed,
                reply: text.to_owned(),
                decided: true,
            });
            self.note_open(key, &noted.collect::<Vec<_>>())?;
            close(self, key)?;
        }
        self.ring = true;
        Ok(dropped)
    }

    fn hasten(&mut self, post: Option<PostId>, now: DateTime<Utc>) -> Result<u64> {
        let now = keys::milliseconds(now);
        let later = |&&(due, key): &&(i64, BatchKey)| due > now && post.is_none_or(|post| post == key.post);
        let waiting: Vec<BatchKey> = self.ledger.waiting.iter().filter(later).map(|(_, key)| *key).collect();
        for key in &waiting {
            self.ledger.unqueue(*key);
            self.ledger.queue(*key, now);
            put_down(self, *key)?;
        }
        self.ring = true;
        Ok(waiting.len() as u64)
    }
}

/// Plan and sheet of any batch, as they are now.
fn records(reader: Reader<'_>, shared: &Shared, key: BatchKey) -> Result<Vec<RecipientRecord>> {
    let open = {
        let mut ledger = lock(&shared.ledger);
        let open = ledger.batch(key).map(|batch| (batch.row.clone(), batch.sheet.clone()));
        open.or_else(|| ledger.closing.get(&key).cloned())
    };
    let (row, sheet) = match open {
        Some(open) => open,
        None => match batch_row(&reader, key)? {
            Some(row) => (row, None),
            None => return Ok(Vec::new()),
        },
    };
    let (plan, on_disk) = load(&reader, key, &row)?;
    Ok(sheet.unwrap_or(on_disk).records(plan))
}

fn noted(outcome: Outcome) -> Noted {
    let at = record::nanoseconds(outcome.at);
    Noted { index: outcome.index, at, state: outcome.state, reply: outcome.reply, decided: false }
}

fn cause_of(state: RecipientState) -> Result<()> {
    if state.is_final() {
        return Ok(());
    }
    Err(StoreError::Unavailable(format!("a recipient cannot be made {} afterwards", state.as_str())))
}

#[async_trait]
impl Batches for SledStore {
    async fn begin_plan(&self, post: PostId) -> Result<()> {
        // Nothing of an unfinished plan is in a row, so there is nothing to remove but this.
        lock(&self.shared.ledger).plans.remove(&post);
        Ok(())
    }

    async fn add_batch(&self, key: BatchKey, recipients: Vec<PlannedRecipient>) -> Result<()> {
        if recipients.is_empty() || recipients.len() > BATCH_RECIPIENTS {
            return Err(StoreError::Unavailable(format!("a batch has 1 to {BATCH_RECIPIENTS} recipients, not {}", recipients.len())));
        }
        self.shared.condition()?;
        self.blocking(move |shared| {
            let mut counts = Counts::default();
            for recipient in &recipients {
                *counts.of(recipient.state) += 1;
            }
            let plan = shared.bodies.append(&record::encode(&recipients)?)?;
            lock(&shared.ledger).plans.entry(key.post).or_default().insert(key.number, Slice { plan, counts });
            Ok(())
        })
        .await
    }

    async fn finish_plan(&self, post: PostId, batches: u32, now: DateTime<Utc>) -> Result<()> {
        self.change(move |w| w.finish_plan(post, batches, now)).await
    }

    async fn due_batches(&self, now: DateTime<Utc>, limit: usize) -> Result<Vec<DueBatch>> {
        self.shared.see(now);
        let last = (now.timestamp_millis(), BatchKey { post: PostId(u64::MAX), number: u32::MAX });
        let ledger = lock(&self.shared.ledger);
        let ended = ledger.leases.range(..=last).map(|(_, key)| *key);
        let mut waiting = Vec::new();
        let mut of_post = 0;
        let mut start = Bound::Unbounded;
        while let Some((due, key)) = ledger.waiting.range((start, Bound::Included(last))).next().filter(|_| waiting.len() < limit) {
            of_post = if waiting.last().is_some_and(|last: &BatchKey| last.post == key.post) { of_post + 1 } else { 1 };
            // The rest of this post that became due at the same time is passed over.
            let number = if of_post >= DUE_OF_A_POST { u32::MAX } else { key.number };
            start = Bound::Excluded((*due, BatchKey { post: key.post, number }));
            waiting.push(*key);
        }
        let mut due: Vec<DueBatch> = ended
            .chain(waiting.iter().copied())
            .filter_map(|key| {
                let post = ledger.posts.get(&key.post).filter(|post| !post.halted)?;
                let batch = post.batches.get(&key.number)?;
                Some(DueBatch {
                    key,
                    group: post.group.clone(),
                    octets: post.octets,
                    open: u32::try_from(batch.counts.open()).unwrap_or(u32::MAX),
                    due: DateTime::from_timestamp_millis(batch.due)?,
                    urgency: post.urgency,
                })
            })
            .collect();
        drop(ledger);
        due.sort_by_key(|batch| (batch.due, batch.key));
        due.truncate(limit);
        Ok(due)
    }

    async fn next_due_time(&self) -> Result<Option<DateTime<Utc>>> {
        let ledger = lock(&self.shared.ledger);
        let first = [ledger.waiting.first(), ledger.leases.first()].into_iter().flatten().map(|(at, _)| *at).min();
        Ok(first.and_then(DateTime::from_timestamp_millis))
    }

    async fn claim_batch(&self, key: BatchKey, now: DateTime<Utc>, lease: Duration) -> Result<Claimed> {
        self.shared.see(now);
        self.change(move |w| w.claim(key, now, lease)).await
    }

    async fn record_outcomes(&self, key: BatchKey, _holder: u64, outcomes: Vec<Outcome>) -> Result<()> {
        if outcomes.is_empty() {
            return Ok(());
        }
        let noted: Vec<Noted> = outcomes.into_iter().map(noted).collect();
        self.change(move |w| if w.note(key, &noted)? { Ok(()) } else { Err(no_batch(key)) }).await
    }

    async fn settle_batch(&self, key: BatchKey, holder: u64, next_due: DateTime<Utc>) -> Result<()> {
        self.change(move |w| w.settle(key, holder, next_due)).await
    }

    async fn amend_recipient(&self, key: LedgerKey, state: RecipientState, at: DateTime<Utc>, text: String) -> Result<bool> {
        cause_of(state)?;
        let noted = Noted { index: key.index, at: record::nanoseconds(at), state, reply: text, decided: true };
        self.change(move |w| {
            let found = w.note(key.batch, &[noted])?;
            let is_idle = w.ledger.batch(key.batch).is_some_and(|batch| batch.counts.open() == 0 && batch.claim.is_none());
            if is_idle {
                close(w, key.batch)?;
            }
            Ok(found)
        })
        .await
    }

    async fn recipient(&self, key: LedgerKey) -> Result<Option<RecipientRecord>> {
        let mut all = self.batch(key.batch).await?;
        let index = usize::from(key.index);
        Ok(if index < all.len() { Some(all.swap_remove(index)) } else { None })
    }

    async fn batch(&self, key: BatchKey) -> Result<Vec<RecipientRecord>> {
        self.read(move |reader, shared| records(reader, shared, key)).await
    }

    async fn batch_count(&self, post: PostId) -> Result<u32> {
        self.read(move |reader, _| Ok(plan_row(&reader, post)?.map_or(0, |plan| plan.batches))).await
    }

    async fn counts(&self, post: PostId) -> Result<Counts> {
        self.read(move |reader, shared| {
            let open = {
                let ledger = lock(&shared.ledger);
                ledger.posts.get(&post).map(|open| open.counts).or_else(|| ledger.closing_posts.get(&post).copied())
            };
            open.map_or_else(|| Ok(plan_row(&reader, post)?.unwrap_or_default().counts), Ok)
        })
        .await
    }

    async fn total_counts(&self) -> Result<Counts> {
        Ok(lock(&self.shared.ledger).total)
    }

    async fn open_posts(&self, limit: usize) -> Result<Vec<Post>> {
        self.read(move |reader, shared| {
            let open: Vec<PostId> = lock(&shared.ledger).posts.keys().take(limit).copied().collect();
            let posts = open.into_iter().map(|id| post(reader, id)).collect::<Result<Vec<_>>>()?;
            Ok(posts.into_iter().flatten().collect())
        })
        .await
    }

    async fn hasten(&self, post: Option<PostId>, now: DateTime<Utc>) -> Result<u64> {
        self.change(move |w| w.hasten(post, now)).await
    }

    async fn drop_open(&self, post: PostId, at: DateTime<Utc>, text: String) -> Result<u64> {
        self.change(move |w| w.drop_open(post, at, &text)).await
    }
}
