//! Many small records in few rows: accounts, addresses, subscriptions.
//!
//! sled keeps a page for at most 16 keys and the table of all pages in memory, so a million accounts with their indexes
//! as rows of their own cost seconds at start and hundreds of megabytes. Here a row is a leaf of about [`LEAF_OCTETS`] with
//! its records in order; its key is the lowest key it may hold, so that the leaf of a record is the last row at or before it.

use super::rows::{Changes, Rows, unfold};
use crate::store::Result;
use crate::store::record;

/// A longer leaf with more than one record is split.
const LEAF_OCTETS: usize = 2048;

/// Records of one kind, by the first byte of their rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pages(pub(super) u8);

type Leaf = Vec<(Vec<u8>, Vec<u8>)>;

/// Who takes the records of a scan, key and value, until it says `false`.
pub(super) type Take<'a> = &'a mut dyn FnMut(&[u8], &[u8]) -> Result<bool>;

fn pack(leaf: &Leaf) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(LEAF_OCTETS);
    for (key, value) in leaf {
        bytes.extend_from_slice(&u16::try_from(key.len()).unwrap_or(u16::MAX).to_le_bytes());
        bytes.extend_from_slice(&u32::try_from(value.len()).unwrap_or(u32::MAX).to_le_bytes());
        bytes.extend_from_slice(key);
        bytes.extend_from_slice(value);
    }
    bytes
}

/// The next record of packed bytes, and what is behind it.
fn next_record(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (header, rest) = bytes.split_first_chunk::<6>()?;
    let key = usize::from(u16::from_le_bytes([header[0], header[1]]));
    let value = u32::from_le_bytes([header[2], header[3], header[4], header[5]]) as usize;
    let (key, rest) = rest.split_at_checked(key)?;
    let (value, rest) = rest.split_at_checked(value)?;
    Some((key, value, rest))
}

/// All records of a leaf.
pub(super) fn unpack(mut bytes: &[u8]) -> Result<Leaf> {
    let mut leaf = Vec::new();
    while !bytes.is_empty() {
        let (key, value, rest) = next_record(bytes).ok_or_else(|| record::damaged("a leaf of the directory", "it does not add up"))?;
        leaf.push((key.to_vec(), value.to_vec()));
        bytes = rest;
    }
    Ok(leaf)
}

fn octets(leaf: &Leaf) -> usize {
    leaf.iter().map(|(key, value)| key.len() + value.len() + 6).sum()
}

impl Pages {
    fn row_key(self, lowest: &[u8]) -> Vec<u8> {
        let mut key = Vec::with_capacity(lowest.len() + 1);
        key.push(self.0);
        key.extend_from_slice(lowest);
        key
    }

    fn leaf_of(self, rows: &impl Rows, key: &[u8]) -> Result<Option<(Vec<u8>, Leaf)>> {
        let Some((row, stored)) = rows.at_or_before(&[self.0], &self.row_key(key))? else { return Ok(None) };
        let leaf = unpack(&unfold(rows.bodies(), &row, &stored)?)?;
        Ok(Some((row, leaf)))
    }

    /// The record of `key`.
    pub(super) fn get(self, rows: &impl Rows, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let Some((row, stored)) = rows.at_or_before(&[self.0], &self.row_key(key))? else { return Ok(None) };
        let packed = unfold(rows.bodies(), &row, &stored)?;
        let mut bytes = packed.as_slice();
        while let Some((found, value, rest)) = next_record(bytes) {
            match found.cmp(key) {
                std::cmp::Ordering::Less => bytes = rest,
                std::cmp::Ordering::Equal => return Ok(Some(value.to_vec())),
                std::cmp::Ordering::Greater => break,
            }
        }
        Ok(None)
    }

    /// Gives each record behind `after` (from the first, if none) whose key starts with `prefix` to `take`, in order, until it says `false`.
    pub(super) fn scan(self, rows: &impl Rows, prefix: &[u8], after: Option<&[u8]>, take: Take<'_>) -> Result<()> {
        let from = after.unwrap_or(prefix);
        let mut next = match rows.at_or_before(&[self.0], &self.row_key(from))? {
            Some(row) => Some(row),
            None => rows.behind(&[self.0], &self.row_key(from))?,
        };
        while let Some((row, stored)) = next {
            let packed = unfold(rows.bodies(), &row, &stored)?;
            let mut bytes = packed.as_slice();
            while let Some((key, value, rest)) = next_record(bytes) {
                bytes = rest;
                let is_behind = after.map_or(key >= prefix, |after| key > after);
                if !is_behind || key < prefix {
                    continue;
                }
                if !key.starts_with(prefix) || !take(key, value)? {
                    return Ok(());
                }
            }
            next = rows.behind(&[self.0], &row)?;
        }
        Ok(())
    }

    /// Writes a record; `true` if it is new.
    pub(super) fn put(self, changes: &mut Changes<'_>, key: &[u8], value: &[u8]) -> Result<bool> {
        let (row, mut leaf) = self.leaf_of(changes, key)?.unwrap_or_else(|| (self.row_key(&[]), Leaf::new()));
        let (place, is_new) = match leaf.binary_search_by(|(found, _)| found.as_slice().cmp(key)) {
            Ok(place) => {
                if leaf[place].1 == value {
                    return Ok(false);
                }
                leaf[place].1 = value.to_vec();
                (place, false)
            }
            Err(place) => {
                leaf.insert(place, (key.to_vec(), value.to_vec()));
                (place, true)
            }
        };
        if octets(&leaf) > LEAF_OCTETS && leaf.len() > 1 {
            // Records that come in order fill their leaves; others split them in the middle.
            let middle = if is_new && place + 1 == leaf.len() { place } else { leaf.len() / 2 };
            let right = leaf.split_off(middle);
            changes.put(&self.row_key(&right[0].0), &pack(&right))?;
        }
        changes.put(&row, &pack(&leaf))?;
        Ok(is_new)
    }

    /// Removes a record; `false` if there is none.
    pub(super) fn remove(self, changes: &mut Changes<'_>, key: &[u8]) -> Result<bool> {
        let Some((row, mut leaf)) = self.leaf_of(changes, key)? else { return Ok(false) };
        let Ok(place) = leaf.binary_search_by(|(found, _)| found.as_slice().cmp(key)) else { return Ok(false) };
        leaf.remove(place);
        if leaf.is_empty() {
            changes.remove(&row);
        } else {
            changes.put(&row, &pack(&leaf))?;
        }
        Ok(true)
    }
}
