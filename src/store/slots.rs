//! Which messages are being worked on at this instant, in a file that outlives the process; and who was seen there after a death.
//!
//! A slot costs one small write at its begin and one at its end, and no fsync: what the process wrote is there after its death,
//! and what a power cut takes along was no fault of a message. The deaths themselves are counted durably, at the next start.
//! Not here: what is done about a message (`service::quarantine`).

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};

use super::Result;
use super::body::{io_error, sync_folder};

/// Octets of a slot: one line, filled up with zeros.
const SLOT_OCTETS: usize = 256;
/// So long a death is remembered: longer than a mail server tries to deliver a message (RFC 5321 section 4.5.4.1).
const REMEMBERED: TimeDelta = TimeDelta::days(14);
/// Most deaths remembered, the latest.
const MOST_DEATHS: usize = 1_000;

/// How often the process ended while it worked on something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deaths {
    /// How often.
    pub count: u32,
    /// When it was seen last.
    pub last: DateTime<Utc>,
}

/// The slots of one data folder. Only one process may have them; the store's lock sees to that.
#[derive(Debug)]
pub struct Slots {
    folder: PathBuf,
    file: File,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    free: Vec<u32>,
    made: u32,
    deaths: BTreeMap<String, Deaths>,
}

impl Slots {
    /// Opens the slots under `data_dir`: what an earlier process left in them has died with it once more.
    /// Also tells what was left, sorted.
    ///
    /// # Errors
    /// When the folder cannot be made, or the deaths cannot be read or written.
    pub fn open(data_dir: &Path, now: DateTime<Utc>) -> Result<(Self, Vec<String>)> {
        let folder = data_dir.join("handling");
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(|e| io_error("making", &folder, &e))?;
        let path = folder.join("slots");
        let mut left = match fs::read(&path) {
            Ok(octets) => octets.chunks(SLOT_OCTETS).filter_map(work_of).collect::<Vec<_>>(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(io_error("reading", &path, &error)),
        };
        left.sort();
        left.dedup();
        let mut deaths = read_deaths(&folder.join("deaths"))?;
        deaths.retain(|_, deaths| now - deaths.last < REMEMBERED);
        for work in &left {
            let deaths = deaths.entry(work.clone()).or_insert(Deaths { count: 0, last: now });
            *deaths = Deaths { count: deaths.count.saturating_add(1), last: now };
        }
        while deaths.len() > MOST_DEATHS {
            let oldest = deaths.iter().min_by_key(|(_, deaths)| deaths.last).map(|(work, _)| work.clone());
            oldest.and_then(|work| deaths.remove(&work));
        }
        // Counted before they are cleared: a death in between counts twice, none is forgotten.
        write_deaths(&folder, &deaths)?;
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path);
        let file = file.map_err(|e| io_error("opening", &path, &e))?;
        Ok((Self { folder, file, state: Mutex::new(State { deaths, ..State::default() }) }, left))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that `work` begins; gives the number for [`Slots::end`].
    ///
    /// # Errors
    /// When the note cannot be written.
    pub fn begin(&self, work: &str) -> Result<u32> {
        let slot = {
            let mut state = self.state();
            state.free.pop().unwrap_or_else(|| {
                state.made += 1;
                state.made - 1
            })
        };
        let mut octets = [0; SLOT_OCTETS];
        let line: Vec<u8> = work.bytes().map(|octet| if octet == b'\n' { b' ' } else { octet }).take(SLOT_OCTETS - 1).collect();
        octets[..line.len()].copy_from_slice(&line);
        octets[line.len()] = b'\n';
        self.write(slot, &octets)?;
        Ok(slot)
    }

    /// The work of that slot is over, well or not; the process lives.
    ///
    /// # Errors
    /// When the note cannot be taken back; then the slot is not used again, and counts if the process dies.
    pub fn end(&self, slot: u32) -> Result<()> {
        self.write(slot, &[0])?;
        self.state().free.push(slot);
        Ok(())
    }

    fn write(&self, slot: u32, octets: &[u8]) -> Result<()> {
        let at = u64::from(slot) * SLOT_OCTETS as u64;
        self.file.write_all_at(octets, at).map_err(|e| io_error("writing", &self.folder.join("slots"), &e))
    }

    /// How often the process died over `work`.
    pub fn deaths(&self, work: &str) -> Option<Deaths> {
        self.state().deaths.get(work).cloned()
    }

    /// All works over which the process died.
    pub fn all(&self) -> Vec<(String, Deaths)> {
        self.state().deaths.iter().map(|(work, deaths)| (work.clone(), deaths.clone())).collect()
    }

    /// Forgets the deaths of `work`: it went well, or somebody decided about it.
    ///
    /// # Errors
    /// When that cannot be written.
    pub fn forget(&self, work: &str) -> Result<()> {
        let mut state = self.state();
        if state.deaths.remove(work).is_some() {
            write_deaths(&self.folder, &state.deaths)?;
        }
        Ok(())
    }
}

fn work_of(slot: &[u8]) -> Option<String> {
    let end = slot.iter().position(|octet| *octet == b'\n')?;
    let line = std::str::from_utf8(&slot[..end]).ok()?;
    (!line.is_empty() && !line.contains('\0')).then(|| line.to_owned())
}

fn read_deaths(path: &Path) -> Result<BTreeMap<String, Deaths>> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(io_error("reading", path, &error)),
    };
    let line = |line: &str| {
        let (count, rest) = line.split_once('\t')?;
        let (last, work) = rest.split_once('\t')?;
        let last = DateTime::from_timestamp(last.parse().ok()?, 0)?;
        Some((work.to_owned(), Deaths { count: count.parse().ok()?, last }))
    };
    Ok(text.lines().filter_map(line).collect())
}

fn write_deaths(folder: &Path, deaths: &BTreeMap<String, Deaths>) -> Result<()> {
    let (path, new) = (folder.join("deaths"), folder.join("deaths.new"));
    let lines: String = deaths.iter().map(|(work, deaths)| format!("{}\t{}\t{work}\n", deaths.count, deaths.last.timestamp())).collect();
    let written = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new).and_then(|mut file| {
        file.write_all(lines.as_bytes())?;
        file.sync_all()
    });
    written.and_then(|()| fs::rename(&new, &path)).map_err(|e| io_error("writing", &path, &e))?;
    sync_folder(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_in_a_slot_at_a_death_is_counted_and_what_had_ended_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let now = Utc::now();
        let open = |now| Slots::open(folder.path(), now).unwrap();
        let (slots, left) = open(now);
        assert!(left.is_empty());
        let ended = slots.begin("post 1, rendering").unwrap();
        slots.begin("post 2, rendering").unwrap();
        slots.end(ended).unwrap();
        slots.begin("post 3,\nindex").unwrap();
        drop(slots);
        let (slots, left) = open(now);
        assert_eq!(left, ["post 2, rendering", "post 3, index"]);
        assert_eq!(slots.deaths("post 1, rendering"), None);
        assert_eq!(slots.deaths("post 2, rendering").unwrap().count, 1);
        slots.begin("post 2, rendering").unwrap();
        drop(slots);
        let (slots, left) = open(now);
        assert_eq!((left.len(), slots.deaths("post 2, rendering").unwrap().count), (1, 2));
        slots.forget("post 2, rendering").unwrap();
        drop(slots);
        let (slots, left) = open(now);
        assert!(left.is_empty() && slots.deaths("post 2, rendering").is_none());
        drop(slots);
        let (slots, _) = open(now + TimeDelta::days(15));
        assert!(slots.all().is_empty(), "{:?}", slots.all());
    }

    #[test]
    fn many_at_a_time_have_slots_of_their_own_and_long_names_are_cut() {
        let folder = tempfile::tempdir().unwrap();
        let (slots, _) = Slots::open(folder.path(), Utc::now()).unwrap();
        let taken: Vec<u32> = (0..100).map(|number| slots.begin(&format!("work {number}")).unwrap()).collect();
        for slot in &taken[..99] {
            slots.end(*slot).unwrap();
        }
        assert!(slots.begin(&"x".repeat(1_000)).unwrap() < 100, "a freed slot is used again");
        drop(slots);
        let (_, left) = Slots::open(folder.path(), Utc::now()).unwrap();
        assert_eq!(left, ["work 99".to_owned(), "x".repeat(SLOT_OCTETS - 1)]);
    }
}
