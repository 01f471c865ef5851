//! Letting go in the embedded store.
//!
//! Plans and sheets lie among the bodies and are never changed: who is replaced in one gets a new one, and the old is emptied at once,
//! under the lock that readers of the ledger hold. What nothing names is found by looking for names of bodies in all rows, in whatever
//! form a row is: a name that is only part of a longer one keeps its piece too. sled itself overwrites old values when it reuses
//! their room; until then octets of them may be in its file, and nothing reads them.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tokio::sync::oneshot;

use super::batches::batch_row;
use super::committer::{Frozen, Order};
use super::database::sled_error;
use super::ledger::{BatchRow, Noted, PlanRow, load, load_sheet, put_down};
use super::rows::{Rows, unfold};
use super::writer::Writer;
use super::{Shared, SledStore, keys, lock};
use crate::domain::id::PostId;
use crate::domain::ledger::RecipientState;
use crate::domain::post::{BodyRef, Post};
use crate::store::body::Named;
use crate::store::erasure::{ERASED, Erasure, Replaced, Swept, Vanishing};
use crate::store::{AuditEntry, BatchKey, Result, StoreError, record};

/// Rows that are changed in one group commit.
const TOGETHER: usize = 100;

/// Rows that name her.
#[derive(Default)]
struct Found {
    batches: Vec<BatchKey>,
    posts: Vec<PostId>,
    audit: Vec<Vec<u8>>,
    marks: Vec<Vec<u8>>,
}

fn find(shared: &Shared, person: &Vanishing) -> Result<Found> {
    let mut found = Found::default();
    shared.with_database(|database| {
        for row in database.sled.iter() {
            let (key, stored) = row.map_err(|e| sled_error(&e))?;
            match key.first() {
                Some(b'b') => {
                    let Some(batch) = keys::batch_of(&key) else { continue };
                    let row: BatchRow = record::decode("a batch", &unfold(&shared.bodies, &key, &stored)?)?;
                    if person.may_be_in(&shared.bodies.read(&row.plan)?) {
                        found.batches.push(batch);
                    }
                }
                Some(b'P') if person.may_be_in(&unfold(&shared.bodies, &key, &stored)?) => {
                    found.posts.push(PostId(keys::last_number(&key)));
                }
                Some(b'a') if person.may_be_in(&unfold(&shared.bodies, &key, &stored)?) => found.audit.push(key.to_vec()),
                Some(b'k' | b'n') if keys::name_and_rest(&key).is_some_and(|(_, rest)| person.is_in(rest)) => {
                    found.marks.push(key.to_vec());
                }
                Some(b'R') if person.is_in(&key[1..]) => found.marks.push(key.to_vec()),
                _ => {}
            }
        }
        Ok(())
    })?;
    Ok(found)
}

impl Writer<'_> {
    /// Replaces her in a batch. Returns how often she was a recipient, and the pieces that are of no use any more.
    fn pseudonymise_batch(&mut self, key: BatchKey, person: &Vanishing) -> Result<(u64, Vec<BodyRef>)> {
        let is_open = load_sheet(self, key)?.is_some();
        let row = match self.ledger.batch(key).map(|batch| batch.row.clone()) {
            Some(row) => row,
            None => match batch_row(&self.changes, key)? {
                Some(row) => row,
                None => return Ok((0, Vec::new())),
            },
        };
        let (mut plan, mut sheet) = load(&self.changes, key, &row)?;
        let hers: Vec<u16> = plan.iter().zip(0_u16..).filter(|(recipient, _)| person.is(recipient)).map(|(_, index)| index).collect();
        if !person.hide_recipients(&mut plan) {
            return Ok((0, Vec::new()));
        }
        let mut former = vec![row.plan.clone()];
        former.extend(row.sheet.clone());
        let new_plan = self.shared.bodies.append(&record::encode(&plan)?)?;
        if is_open {
            let open = load_sheet(self, key)?.map(|sheet| sheet.open()).unwrap_or_default();
            let noted = hers.iter().filter(|index| open.contains(index)).map(|index| Noted {
                index: *index,
                at: record::nanoseconds(person.at),
                state: RecipientState::Suppressed,
                reply: ERASED.into(),
                decided: true,
            });
            let noted: Vec<Noted> = noted.collect();
            if !noted.is_empty() {
                self.note_open(key, &noted)?;
            }
            if let Some(batch) = self.ledger.batch(key) {
                batch.row.plan = new_plan;
                batch.unfolded = true;
                if let Some(sheet) = &mut batch.sheet {
                    sheet.replace_replies(|reply| person.hide(reply));
                }
            }
            put_down(self, key)?;
            self.ring = true;
        } else {
            // The sheet holds the amendments, whose rows go.
            sheet.replace_replies(|reply| person.hide(reply));
            self.remove_amendments(key)?;
            let row = BatchRow { plan: new_plan, sheet: Some(self.shared.bodies.append(&record::encode(&sheet)?)?), ..row };
            self.changes.put_batch(&keys::batch(key), &record::encode(&row)?)?;
        }
        Ok((hers.len() as u64, former))
    }

    fn remove_amendments(&mut self, key: BatchKey) -> Result<()> {
        let prefix = keys::amendments(key);
        let mut at = prefix.clone();
        while let Some((found, _)) = self.changes.behind(&prefix, &at)? {
            self.changes.remove(&found);
            at = found;
        }
        Ok(())
    }

    fn pseudonymise_audit(&mut self, key: &[u8], person: &Vanishing) -> Result<u64> {
        let Some(row) = self.changes.get(key)? else { return Ok(0) };
        let mut entry: AuditEntry = record::decode("an entry of the audit trail", &row)?;
        if !person.hide_audit(&mut entry) {
            return Ok(0);
        }
        self.changes.put(key, &record::encode(&entry)?)?;
        Ok(1)
    }

    /// Replaces her in a post; `true` if it was to her alone.
    fn pseudonymise_post(&mut self, id: PostId, person: &Vanishing) -> Result<bool> {
        let Some(old) = self.post(id)? else { return Ok(false) };
        let (mut new, is_letter): (Post, bool) = (old.clone(), person.is_letter(&old));
        if person.hide_post(&mut new) {
            self.write_post(Some(&old), &new)?;
            // Whoever has it in memory reads it anew.
            if let Some(open) = self.ledger.posts.get_mut(&id) {
                open.cached = std::sync::Weak::new();
            }
        }
        Ok(is_letter)
    }

    fn forget_plan(&mut self, id: PostId) -> Result<u64> {
        let Some(row) = self.changes.get(&keys::plan(id))? else { return Ok(0) };
        let plan: PlanRow = record::decode(&format!("the plan of post {id}"), &row)?;
        if plan.batches == 0 || plan.counts.open() > 0 || self.ledger.posts.contains_key(&id) {
            return Ok(0);
        }
        for number in 0..plan.batches {
            let key = BatchKey { post: id, number };
            self.remove_amendments(key)?;
            self.changes.remove(&keys::batch(key));
        }
        self.changes.put(&keys::plan(id), &record::encode(&PlanRow { batches: 0, counts: plan.counts })?)?;
        Ok(plan.counts.considered())
    }
}

/// Names of bodies that any row holds, and slices of plans that are being made.
fn named(shared: &Shared) -> Result<Named> {
    let mut named = Named::default();
    shared.with_database(|database| {
        for row in database.sled.iter() {
            let (key, stored) = row.map_err(|e| sled_error(&e))?;
            named.look_through(&stored);
            if stored.first() == Some(&1) {
                named.look_through(&unfold(&shared.bodies, &key, &stored)?);
            }
        }
        Ok(())
    })?;
    for slice in lock(&shared.ledger).plans.values().flat_map(std::collections::BTreeMap::values) {
        named.add(&slice.plan.key);
    }
    named.done();
    Ok(named)
}

impl SledStore {
    /// Folds the log into the database and begins another, so that old rows are in it no longer; then looks.
    async fn frozen<R: Send + 'static>(&self, look: impl FnOnce(&Shared) -> Result<R> + Send + 'static) -> Result<R> {
        let (sender, receiver) = oneshot::channel();
        let read: Frozen = Box::new(move |folded, shared| {
            let _ = sender.send(folded.and_then(|()| look(shared)));
        });
        self.send(Order::Freeze(read))?;
        receiver.await.map_err(|_| StoreError::Unavailable("the rows could not be looked through: see the log".into()))?
    }

    /// Empties pieces that nothing names; no reader of the ledger is between a row and its piece meanwhile. Whoever reads a snapshot
    /// may have them named: then they are left to the next sweep.
    async fn empty(&self, former: &[BodyRef]) -> Result<()> {
        for some in former.chunks(TOGETHER) {
            let some = some.to_vec();
            self.blocking(move |shared| {
                if shared.snapshots.load(Ordering::Acquire) > 0 {
                    return Ok(());
                }
                let _guard = shared.database.write().unwrap_or_else(PoisonError::into_inner);
                shared.bodies.empty(&some).map(drop)
            })
            .await?;
        }
        Ok(())
    }
}

#[async_trait]
impl Erasure for SledStore {
    async fn pseudonymise(&self, person: Vanishing) -> Result<Replaced> {
        let wanted = person.clone();
        let found = self.blocking(move |shared| find(shared, &wanted)).await?;
        let mut replaced = Replaced { marks: found.marks.len() as u64, ..Replaced::default() };
        let mut former = Vec::new();
        for some in found.batches.chunks(TOGETHER) {
            let (some, person) = (some.to_vec(), person.clone());
            let (recipients, pieces) = self
                .change(move |w| {
                    let (mut recipients, mut pieces) = (0, Vec::new());
                    for key in some {
                        let (count, former) = w.pseudonymise_batch(key, &person)?;
                        recipients += count;
                        pieces.extend(former);
                    }
                    Ok((recipients, pieces))
                })
                .await?;
            replaced.recipients += recipients;
            former.extend(pieces);
        }
        let others = person.clone();
        let (audit, letters) = self
            .change(move |w| {
                let mut audit = 0;
                for key in &found.audit {
                    audit += w.pseudonymise_audit(key, &others)?;
                }
                let mut letters = Vec::new();
                for id in found.posts {
                    if w.pseudonymise_post(id, &others)? {
                        letters.push(id);
                    }
                }
                found.marks.iter().for_each(|key| w.changes.remove(key));
                Ok((audit, letters))
            })
            .await?;
        replaced.audit = audit;
        replaced.letters = letters;
        self.frozen(|_| Ok(())).await?;
        self.empty(&former).await?;
        Ok(replaced)
    }

    async fn forget_plan(&self, post: PostId) -> Result<u64> {
        self.change(move |w| w.forget_plan(post)).await
    }

    async fn forget_tallies(&self, before: DateTime<Utc>) -> Result<u64> {
        let (nanoseconds, oldest) = (record::nanoseconds(before), PostId::new(before, 0));
        let old: Vec<Vec<u8>> = self
            .read(move |reader, _| {
                let mut old = Vec::new();
                for row in reader.scan(b"n", None) {
                    let (key, value) = row?;
                    let at = value.first_chunk::<8>().map_or(i64::MAX, |bytes| i64::from_be_bytes(*bytes));
                    if at < nanoseconds {
                        old.push(key);
                    }
                }
                for row in reader.scan(b"R", None) {
                    let (key, value) = row?;
                    if keys::last_number(&value) < oldest.0 {
                        old.push(key);
                    }
                }
                Ok(old)
            })
            .await?;
        let count = old.len() as u64;
        for some in old.chunks(TOGETHER * 10) {
            let some = some.to_vec();
            self.change(move |w| {
                some.iter().for_each(|key| w.changes.remove(key));
                Ok(())
            })
            .await?;
        }
        Ok(count)
    }

    async fn sweep(&self, age: Duration) -> Result<Swept> {
        // What no row names now, no row will name again; only rows of a snapshot from before may.
        let named = self.frozen(|shared| if shared.snapshots.load(Ordering::Acquire) > 0 { Ok(None) } else { named(shared).map(Some) });
        let Some(named) = named.await? else { return Ok(Swept { put_off: true, ..Swept::default() }) };
        self.blocking(move |shared| {
            let mut swept = Swept::default();
            let (segments, large) = shared.bodies.inventory()?;
            for (segment, _) in segments {
                let (pieces, octets) = shared.bodies.sweep_segment(segment, &named, age)?;
                swept.pieces += pieces;
                swept.octets += octets;
            }
            for name in large.iter().filter(|name| !named.has(name)) {
                let octets = shared.bodies.remove_large(name, age)?;
                swept.pieces += u64::from(octets > 0);
                swept.octets += octets;
            }
            Ok(swept)
        })
        .await
    }
}
