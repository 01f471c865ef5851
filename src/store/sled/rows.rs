//! Rows of the database: how they are read, and how a group commit collects its changes before they are written.
//!
//! Reads see whole group commits: they hold the database's read lock, the committer applies under its write lock.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::database::sled_error;
use super::log::{Entry, Record};
use crate::domain::post::BodyRef;
use crate::store::Result;
use crate::store::body::Bodies;
use crate::store::record;

/// A longer value lies in a segment, and its row only says where: sled keeps values over 128 KiB in files it never syncs.
const INLINE_OCTETS: usize = 16 * 1024;

/// What can be read by key and in order of keys.
pub(super) trait Rows {
    /// The stored value of `key`.
    fn raw(&self, key: &[u8]) -> Result<Option<Vec<u8>>>;
    /// The last row whose key is at or before `key` and starts with `prefix`.
    fn at_or_before(&self, prefix: &[u8], key: &[u8]) -> Result<Option<(Vec<u8>, Vec<u8>)>>;
    /// The first row behind `key` that starts with `prefix`.
    fn behind(&self, prefix: &[u8], key: &[u8]) -> Result<Option<(Vec<u8>, Vec<u8>)>>;
    /// Where long values lie.
    fn bodies(&self) -> &Bodies;

    /// The value of `key`, wherever it lies.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.raw(key)?.map(|stored| unfold(self.bodies(), key, &stored)).transpose()
    }
}

/// The value of a stored row.
pub(super) fn unfold(bodies: &Bodies, key: &[u8], stored: &[u8]) -> Result<Vec<u8>> {
    match stored.split_first() {
        Some((0, value)) => Ok(value.to_vec()),
        Some((1, place)) => Ok(bodies.read(&record::decode::<BodyRef>("the place of a long row", place)?)?.to_vec()),
        _ => Err(record::damaged(&format!("row {}", String::from_utf8_lossy(key).escape_debug()), "its form is not known")),
    }
}

/// Rows as they are on disk.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    pub(super) tree: &'a sled::Tree,
    pub(super) bodies: &'a Bodies,
}

fn owned(found: Option<sled::Result<(sled::IVec, sled::IVec)>>) -> Result<Option<(Vec<u8>, Vec<u8>)>> {
    found.transpose().map(|row| row.map(|(key, value)| (key.to_vec(), value.to_vec()))).map_err(|e| sled_error(&e))
}

impl Rows for Reader<'_> {
    fn raw(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.tree.get(key).map(|row| row.map(|value| value.to_vec())).map_err(|e| sled_error(&e))
    }

    fn at_or_before(&self, prefix: &[u8], key: &[u8]) -> Result<Option<(Vec<u8>, Vec<u8>)>> {
        let row = owned(self.tree.range(..=key).next_back())?;
        Ok(row.filter(|(key, _)| key.starts_with(prefix)))
    }

    fn behind(&self, prefix: &[u8], key: &[u8]) -> Result<Option<(Vec<u8>, Vec<u8>)>> {
        let row = owned(self.tree.range::<&[u8], _>((Bound::Excluded(key), Bound::Unbounded)).next())?;
        Ok(row.filter(|(key, _)| key.starts_with(prefix)))
    }

    fn bodies(&self) -> &Bodies {
        self.bodies
    }
}

impl Reader<'_> {
    /// Rows that start with `prefix`, in order of keys, behind `after` if given; keys whole.
    pub(super) fn scan(&self, prefix: &[u8], after: Option<&[u8]>) -> impl DoubleEndedIterator<Item = Result<(Vec<u8>, Vec<u8>)>> {
        let end = successor(prefix);
        let from = after.map_or(Bound::Included(prefix), Bound::Excluded);
        let bodies = self.bodies;
        self.tree.range::<&[u8], _>((from, Bound::Excluded(end.as_slice()))).map(move |row| {
            let (key, stored) = row.map_err(|e| sled_error(&e))?;
            let value = unfold(bodies, &key, &stored)?;
            Ok((key.to_vec(), value))
        })
    }

    /// Rows that start with `prefix`, the last key first, before `before` if given.
    pub(super) fn scan_back(&self, prefix: &[u8], before: Option<&[u8]>) -> impl Iterator<Item = Result<(Vec<u8>, Vec<u8>)>> {
        let end = before.map_or_else(|| successor(prefix), <[u8]>::to_vec);
        let bodies = self.bodies;
        self.tree.range::<&[u8], _>((Bound::Included(prefix), Bound::Excluded(end.as_slice()))).rev().map(move |row| {
            let (key, stored) = row.map_err(|e| sled_error(&e))?;
            let value = unfold(bodies, &key, &stored)?;
            Ok((key.to_vec(), value))
        })
    }
}

/// The first key behind all that start with `prefix`. No prefix in use ends in 0xff throughout.
fn successor(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return end;
        }
    }
    vec![u8::MAX; 64]
}

/// A key and what was staged for it before: nothing, its removal, or a row.
type Undo = (Vec<u8>, Option<Option<Vec<u8>>>);

/// Changes of one group commit, read over the rows on disk.
pub(super) struct Changes<'a> {
    rows: Reader<'a>,
    staged: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    undo: Vec<Undo>,
    outcomes: Vec<(Vec<u8>, Vec<u8>)>,
    outcomes_before: usize,
    folded: bool,
    broken: bool,
}

impl<'a> Changes<'a> {
    /// None yet.
    pub(super) fn new(rows: Reader<'a>) -> Self {
        Self { rows, staged: BTreeMap::new(), undo: Vec::new(), outcomes: Vec::new(), outcomes_before: 0, folded: false, broken: false }
    }

    /// What follows can be taken back by [`Self::take_back`].
    pub(super) fn begin(&mut self) {
        self.undo.clear();
        self.outcomes_before = self.outcomes.len();
        self.folded = false;
    }

    /// Forgets what was staged since [`Self::begin`].
    pub(super) fn take_back(&mut self) {
        self.outcomes.truncate(self.outcomes_before);
        self.broken |= self.folded;
        for (key, before) in self.undo.drain(..).rev() {
            match before {
                Some(value) => self.staged.insert(key, value),
                None => self.staged.remove(&key),
            };
        }
    }

    fn stage(&mut self, key: &[u8], value: Option<Vec<u8>>) {
        let before = self.staged.insert(key.to_vec(), value);
        self.undo.push((key.to_vec(), before));
    }

    /// Writes a row.
    pub(super) fn put(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        let mut stored;
        if value.len() <= INLINE_OCTETS {
            stored = Vec::with_capacity(value.len() + 1);
            stored.push(0);
            stored.extend_from_slice(value);
        } else {
            stored = vec![1];
            stored.extend(record::encode(&self.rows.bodies.append(value)?)?);
        }
        self.stage(key, Some(stored));
        Ok(())
    }

    /// Removes a row, if it is there.
    pub(super) fn remove(&mut self, key: &[u8]) {
        self.stage(key, None);
    }

    /// Notes outcomes of an open batch, in the log only.
    pub(super) fn note_outcomes(&mut self, batch: &[u8], outcomes: Vec<u8>) {
        self.outcomes.push((batch.to_vec(), outcomes));
    }

    /// Writes the row of a batch into which all its outcomes are folded.
    pub(super) fn put_batch(&mut self, batch: &[u8], value: &[u8]) -> Result<()> {
        self.outcomes.retain(|(key, _)| key != batch);
        self.folded = true;
        self.put(batch, value)
    }

    /// An operation failed half way in a manner that cannot be taken back.
    pub(super) fn is_broken(&self) -> bool {
        self.broken
    }

    /// Everything collected: the record for the log, and the rows for the database.
    pub(super) fn finish(self) -> (Record, BTreeMap<Vec<u8>, Option<Vec<u8>>>) {
        let mut record = Record::default();
        for (key, value) in &self.staged {
            record.push(value.as_ref().map_or(Entry::Remove(key), |value| Entry::Put(key, value)));
        }
        // Outcomes last: what is left of them came after the row of their batch, with which a replay drops the earlier ones.
        for (batch, outcomes) in &self.outcomes {
            record.push(Entry::Outcomes(batch, outcomes));
        }
        (record, self.staged)
    }
}

impl Rows for Changes<'_> {
    fn raw(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.staged.get(key).map_or_else(|| self.rows.raw(key), |value| Ok(value.clone()))
    }

    fn at_or_before(&self, prefix: &[u8], key: &[u8]) -> Result<Option<(Vec<u8>, Vec<u8>)>> {
        let staged = self.staged.range::<[u8], _>((Bound::Included(prefix), Bound::Included(key)));
        let staged = staged.rev().find_map(|(key, value)| value.as_ref().map(|value| (key, value)));
        for row in self.rows.tree.range::<&[u8], _>(prefix..=key).rev() {
            let (on_disk, value) = row.map_err(|e| sled_error(&e))?;
            if staged.is_some_and(|(key, _)| key.as_slice() >= &on_disk[..]) {
                break;
            }
            if !self.staged.contains_key(&on_disk[..]) {
                return Ok(Some((on_disk.to_vec(), value.to_vec())));
            }
        }
        Ok(staged.map(|(key, value)| (key.clone(), value.clone())))
    }

    fn behind(&self, prefix: &[u8], key: &[u8]) -> Result<Option<(Vec<u8>, Vec<u8>)>> {
        let staged = self.staged.range::<[u8], _>((Bound::Excluded(key), Bound::Unbounded));
        let mut staged = staged.take_while(|(key, _)| key.starts_with(prefix));
        let staged = staged.find_map(|(key, value)| value.as_ref().map(|value| (key, value)));
        for row in self.rows.tree.range::<&[u8], _>((Bound::Excluded(key), Bound::Unbounded)) {
            let (on_disk, value) = row.map_err(|e| sled_error(&e))?;
            if !on_disk.starts_with(prefix) || staged.is_some_and(|(key, _)| key.as_slice() <= &on_disk[..]) {
                break;
            }
            if !self.staged.contains_key(&on_disk[..]) {
                return Ok(Some((on_disk.to_vec(), value.to_vec())));
            }
        }
        Ok(staged.map(|(key, value)| (key.clone(), value.clone())))
    }

    fn bodies(&self) -> &Bodies {
        self.rows.bodies
    }
}
