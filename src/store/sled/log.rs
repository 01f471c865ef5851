//! The log: what was decided goes here first, with one fdatasync for all who wait, and into sled afterwards.
//!
//! sled's own flush is no fsync, and after an error it is deaf until reopened (spacejam/sled#1452). So sled is only the
//! index: a record of the log holds all changes of one group commit, applied whole or not at all; at start the records
//! since the last checkpoint are applied again, in order, which is harmless for those that were applied before.
//! Outcomes of recipients are only in the log until their batch is settled or a checkpoint folds them into its row.
//! The mark (`ledger/mark`) says how much of the log was synced, so that a cut or damaged log is told from a torn end.
//! The file that is written to is followed by zeros, so that a sync need not write a new length each time, which costs the file system
//! a commit of its own; a finished file has none.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::faults::Faults;
use crate::store::body::{io_error, make_folder, open_file, sync_folder};
use crate::store::{Result, StoreError};

const HEADER: usize = 8;
const MARK_OCTETS: usize = 28;
/// Longest record that is believed; a group commit stays far below.
const LONGEST_RECORD: usize = 1 << 30;

/// Zeros that are written behind a record which reaches the end of the file.
const ROOM: usize = 256 << 10;

/// One line of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry<'a> {
    /// A row with its new value.
    Put(&'a [u8], &'a [u8]),
    /// A row that is gone.
    Remove(&'a [u8]),
    /// What came of some recipients of an open batch: batch key, stored form.
    Outcomes(&'a [u8], &'a [u8]),
}

/// The lines of one group commit.
#[derive(Debug, Default, Clone)]
pub(super) struct Record(Vec<u8>);

impl Record {
    /// Adds a line.
    pub(super) fn push(&mut self, entry: Entry<'_>) {
        let (tag, key, value) = match entry {
            Entry::Put(key, value) => (0, key, value),
            Entry::Remove(key) => (1, key, &[][..]),
            Entry::Outcomes(key, value) => (2, key, value),
        };
        self.0.push(tag);
        for part in [key, value] {
            let length = u32::try_from(part.len()).unwrap_or(u32::MAX);
            self.0.extend_from_slice(&length.to_le_bytes());
            self.0.extend_from_slice(part);
        }
    }

    /// Nothing in it?
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The lines of a stored record; `None` if they do not add up.
fn entries(mut bytes: &[u8]) -> Option<Vec<Entry<'_>>> {
    let mut found = Vec::new();
    while let Some((tag, rest)) = bytes.split_first() {
        bytes = rest;
        let (key, rest) = part(bytes)?;
        let (value, rest) = part(rest)?;
        bytes = rest;
        found.push(match tag {
            0 => Entry::Put(key, value),
            1 => Entry::Remove(key),
            2 => Entry::Outcomes(key, value),
            _ => return None,
        });
    }
    Some(found)
}

fn part(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    rest.split_at_checked(u32::from_le_bytes(*length) as usize)
}

/// How much of the log was on disk when the mark was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Mark {
    first: u64,
    present: u64,
    synced: u64,
}

impl Mark {
    fn bytes(self) -> [u8; MARK_OCTETS] {
        let mut bytes = [0; MARK_OCTETS];
        bytes[..8].copy_from_slice(&self.first.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.present.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.synced.to_le_bytes());
        let crc = crc32fast::hash(&bytes[..24]);
        bytes[24..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let word = |at: usize| bytes.get(at..at + 8)?.try_into().ok().map(u64::from_le_bytes);
        let mark = Self { first: word(0)?, present: word(8)?, synced: word(16)? };
        (bytes == mark.bytes()).then_some(mark)
    }
}

/// The folder `ledger` with the log that is written to.
#[derive(Debug)]
pub(super) struct Log {
    folder: PathBuf,
    file: File,
    number: u64,
    length: u64,
    /// Length of the file, with the zeros at its end.
    allocated: u64,
    mark: File,
    first: u64,
    faults: Faults,
    replayed: bool,
}

impl Log {
    /// Opens the log, and gives each record since the last checkpoint to `apply`, oldest first.
    ///
    /// # Errors
    /// `Damaged` if a record that was synced is not there whole.
    pub(super) fn open(root: &Path, faults: Faults, apply: &mut dyn FnMut(&[Entry<'_>]) -> Result<()>) -> Result<Self> {
        let folder = root.join("ledger");
        make_folder(&folder)?;
        let mark_path = folder.join("mark");
        let mut numbers = log_numbers(&folder)?;
        let mark = match fs::read(&mark_path) {
            Ok(bytes) => Mark::read(&bytes).ok_or_else(|| damaged(&mark_path, "its checksum is wrong"))?,
            Err(_) if numbers.is_empty() => Mark { first: 1, present: 1, synced: 0 },
            Err(_) => return Err(damaged(&mark_path, "it is gone while there are logs")),
        };
        for old in numbers.iter().filter(|number| **number < mark.first) {
            let _ = fs::remove_file(log_path(&folder, *old));
        }
        numbers.retain(|number| *number >= mark.first);
        if mark.synced > 0 && !numbers.contains(&mark.present) {
            return Err(damaged(&log_path(&folder, mark.present), "it is gone"));
        }
        let mut records = false;
        for (at, number) in numbers.iter().enumerate() {
            let path = log_path(&folder, *number);
            let is_last = at + 1 == numbers.len();
            let synced = match number.cmp(&mark.present) {
                std::cmp::Ordering::Less => u64::MAX,
                std::cmp::Ordering::Equal => mark.synced,
                std::cmp::Ordering::Greater => 0,
            };
            let (whole, torn) = replay(&path, is_last, synced, apply)?;
            records |= whole > 0;
            cut(&path, whole, torn)?;
        }
        // A file without records is taken into use again, so that starts alone leave nothing behind.
        let number = numbers.last().map_or(mark.present, |last| if records { last + 1 } else { *last });
        let file = create(&folder, number)?;
        let mark = open_mark(&mark_path)?;
        let first = numbers.first().copied().unwrap_or(number);
        let mut log = Self { folder, file, number, length: 0, allocated: 0, mark, first, faults, replayed: records };
        log.note(true)?;
        Ok(log)
    }

    /// Appends a record and syncs it.
    ///
    /// # Errors
    /// Nothing was recorded if it could not be written; after a failed sync nobody knows, and the log must be opened anew.
    pub(super) fn append(&mut self, record: &Record) -> Result<()> {
        let mut bytes = Vec::with_capacity(record.0.len() + HEADER);
        bytes.extend_from_slice(&u32::try_from(record.0.len()).unwrap_or(u32::MAX).to_le_bytes());
        bytes.extend_from_slice(&crc32fast::hash(&record.0).to_le_bytes());
        bytes.extend_from_slice(&record.0);
        let path = log_path(&self.folder, self.number);
        let written = self.faults.before_write().and_then(|()| self.write(bytes));
        let end = match written {
            Ok(end) => end,
            Err(e) => {
                self.take_back();
                return Err(io_error("writing", &path, &e));
            }
        };
        if let Err(e) = self.faults.before_sync().and_then(|()| self.file.sync_data()) {
            self.take_back();
            return Err(io_error("syncing", &path, &e));
        }
        self.length = end;
        self.note(false)
    }

    /// Writes behind the last record, with room behind it where the file ends; returns where the next record goes.
    fn write(&mut self, mut bytes: Vec<u8>) -> std::io::Result<u64> {
        let record = bytes.len();
        let end = self.length + record as u64;
        if end <= self.allocated {
            return self.file.write_all_at(&bytes, self.length).map(|()| end);
        }
        bytes.resize(record + ROOM, 0);
        self.allocated = end + ROOM as u64;
        // A disk may have room for the record and not for more.
        self.file.write_all_at(&bytes, self.length).or_else(|_| self.file.write_all_at(&bytes[..record], self.length)).map(|()| end)
    }

    /// Takes what was not acknowledged off the file again.
    fn take_back(&mut self) {
        let _ = self.file.set_len(self.length);
        self.allocated = self.length;
    }

    /// Octets since the last checkpoint, of the present file.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Begins another file; what follows is not needed once [`Self::forget_before`] was called with the returned number.
    pub(super) fn turn(&mut self) -> Result<u64> {
        let finished = self.file.set_len(self.length).and_then(|()| self.file.sync_all());
        finished.map_err(|e| io_error("finishing", &log_path(&self.folder, self.number), &e))?;
        let number = self.number + 1;
        self.file = create(&self.folder, number)?;
        self.number = number;
        (self.length, self.allocated) = (0, 0);
        self.note(false)?;
        Ok(number)
    }

    /// Removes files whose changes are all in the checkpoint.
    pub(super) fn forget_before(&mut self, number: u64) -> Result<()> {
        let old = self.first;
        self.first = number;
        self.note(true)?;
        for gone in old..number {
            let _ = fs::remove_file(log_path(&self.folder, gone));
        }
        Ok(())
    }

    /// Does the database know of the checkpoint that this log counts on, and the other way round?
    ///
    /// # Errors
    /// `Damaged` if one of them is older than the other remembers: it lost what was on disk.
    pub(super) fn check_against(&self, checkpoint: u64) -> Result<()> {
        let sled = self.folder.with_file_name("sled");
        if checkpoint < self.first {
            Err(damaged(&sled, &format!("it has lost its latest changes (checkpoint {checkpoint}, {} expected)", self.first)))
        } else if checkpoint > self.number {
            Err(damaged(&self.folder, &format!("log {checkpoint} is gone, on which the database counts")))
        } else {
            Ok(())
        }
    }

    /// Were there records when it was opened?
    pub(super) fn replayed(&self) -> bool {
        self.replayed
    }

    /// Writes the mark; it is synced only where a later start would otherwise miss a file it counts on.
    fn note(&mut self, sync: bool) -> Result<()> {
        let mark = Mark { first: self.first, present: self.number, synced: self.length };
        let written = self.mark.write_all_at(&mark.bytes(), 0).and_then(|()| if sync { self.mark.sync_data() } else { Ok(()) });
        written.map_err(|e| io_error("writing", &self.folder.join("mark"), &e))
    }
}

/// Does the disk take a sync again? Asked before anything is opened anew, so that reading goes on while it does not.
pub(super) fn probe(root: &Path, faults: &Faults) -> Result<()> {
    let path = root.join("ledger").join("mark");
    let synced = faults.before_sync().and_then(|()| File::open(&path)).and_then(|mark| mark.sync_all());
    synced.map_err(|e| io_error("syncing", &path, &e))
}

fn open_mark(path: &Path) -> Result<File> {
    if path.exists() { open_file(path, false) } else { open_file(path, true) }
}

fn create(folder: &Path, number: u64) -> Result<File> {
    let path = log_path(folder, number);
    let _ = fs::remove_file(&path);
    let file = open_file(&path, true)?;
    sync_folder(folder)?;
    Ok(file)
}

fn log_path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("log-{number:06}"))
}

fn log_numbers(folder: &Path) -> Result<Vec<u64>> {
    let list = fs::read_dir(folder).map_err(|e| io_error("listing", folder, &e))?;
    let mut numbers: Vec<u64> = list.flatten().filter_map(|entry| entry.file_name().to_str()?.strip_prefix("log-")?.parse().ok()).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// Gives the records of one file to `apply`, and returns where the whole ones end, and whether anything but zeros follows.
/// Behind `synced` a bad record ends the last file: it was never acknowledged.
fn replay(path: &Path, is_last: bool, synced: u64, apply: &mut dyn FnMut(&[Entry<'_>]) -> Result<()>) -> Result<(u64, bool)> {
    let bytes = fs::read(path).map_err(|e| io_error("reading", path, &e))?;
    let mut at = 0;
    while let Some(record) = record_at(&bytes, at) {
        let lines = entries(record).ok_or_else(|| damaged(path, &format!("the record at octet {at} does not add up")))?;
        apply(&lines)?;
        at += HEADER + record.len();
    }
    let needed = if synced == u64::MAX { bytes.len() as u64 } else { synced };
    if (at as u64) < needed || (!is_last && at < bytes.len()) {
        return Err(damaged(path, &format!("the record at octet {at} is not whole, though it was once on disk")));
    }
    Ok((at as u64, bytes[at..].iter().any(|octet| *octet != 0)))
}

/// Takes the end off.
fn cut(path: &Path, length: u64, torn: bool) -> Result<()> {
    let file = open_file(path, false)?;
    let present = file.metadata().map_err(|e| io_error("reading", path, &e))?.len();
    if torn {
        tracing::warn!(file = %path.display(), octets = present - length, "Cut off the torn end of the log, which nobody was told of");
    }
    if present > length {
        file.set_len(length).and_then(|()| file.sync_all()).map_err(|e| io_error("cutting", path, &e))?;
    }
    Ok(())
}

fn record_at(bytes: &[u8], at: usize) -> Option<&[u8]> {
    let (header, rest) = bytes.get(at..)?.split_first_chunk::<HEADER>()?;
    let length = u32::from_le_bytes([header[0], header[1], header[2], header[3]]) as usize;
    let crc = u32::from_le_bytes([header[4], header[5], header[6], header[7]]);
    let record = rest.get(..length).filter(|_| length > 0 && length <= LONGEST_RECORD)?;
    (crc32fast::hash(record) == crc).then_some(record)
}

fn damaged(path: &Path, why: &str) -> StoreError {
    StoreError::Damaged(format!("{} is damaged: {why}; stop the service and restore the last backup (`enlace restore`)", path.display()))
}
