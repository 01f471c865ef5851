//! Giving back the room of pieces that nothing names.
//!
//! A piece in a segment becomes a hole: its checksum is marked first, so that whoever walks the segment passes over it whatever happens
//! next, then its octets are given back to the file system, which reads zeros there from then on. Where the file system cannot do
//! that, they are overwritten with zeros. A segment of holes alone is removed, but for the last one, whose number must not come again.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use rustix::fs::{FallocateFlags, fallocate};

use super::{Bodies, HEADER, HOLE, io_error, open_file, segment_number, segment_place};
use crate::domain::post::BodyRef;
use crate::store::Result;

/// Names of bodies that are found in records, whatever the form of a record is.
#[derive(Debug, Default)]
pub(in crate::store) struct Named {
    places: Vec<(u32, u64)>,
    large: HashSet<String>,
}

fn hexadecimal(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(b)).count()
}

impl Named {
    /// Notes one.
    pub(in crate::store) fn add(&mut self, key: &str) {
        match segment_place(key) {
            Some(place) => self.places.push(place),
            None => drop(self.large.insert(key.to_owned())),
        }
    }

    /// Is it among them? After [`Self::done`].
    pub(in crate::store) fn has(&self, key: &str) -> bool {
        segment_place(key).map_or_else(|| self.large.contains(key), |place| self.places.binary_search(&place).is_ok())
    }

    /// All of them, as text.
    pub(in crate::store) fn into_names(self) -> impl Iterator<Item = String> {
        let places = self.places.into_iter().map(|(number, offset)| format!("s-{number:06}-{offset:x}"));
        places.chain(self.large)
    }

    /// No more are noted.
    pub(in crate::store) fn done(&mut self) {
        self.places.sort_unstable();
        self.places.dedup();
    }

    /// Notes every name in a record. A text of a stored form has its length in front, and then its end is known; elsewhere each
    /// beginning of what looks like a name counts as one, which keeps too much rather than too little.
    pub(in crate::store) fn look_through(&mut self, octets: &[u8]) {
        for dash in memchr::memchr_iter(b'-', octets) {
            let Some(start) = dash.checked_sub(1) else { continue };
            let rest = &octets[dash + 1..];
            let first = hexadecimal(rest);
            if first == 0 || rest.get(first) != Some(&b'-') || !matches!(octets[start], b's' | b'f') {
                continue;
            }
            let second = hexadecimal(&rest[first + 1..]);
            let shortest = dash + 1 + first + 1;
            let known = start.checked_sub(1).map(|before| usize::from(octets[before])).filter(|length| {
                let end = start + length;
                end > shortest && end <= shortest + second
            });
            let ends = known.map_or(shortest + 1..=shortest + second, |length| start + length..=start + length);
            for end in ends {
                if let Ok(name) = std::str::from_utf8(&octets[start..end]) {
                    self.add(name);
                }
            }
        }
    }
}

/// Empties pieces of one segment, by offset and length; those that are holes already are passed over.
fn empty_pieces(file: &fs::File, pieces: &[(u64, u64)]) -> std::io::Result<u64> {
    let mut marked = Vec::with_capacity(pieces.len());
    for (offset, octets) in pieces {
        let mut crc = [0; 4];
        file.read_exact_at(&mut crc, offset + 4)?;
        if crc != HOLE.to_le_bytes() {
            file.write_all_at(&HOLE.to_le_bytes(), offset + 4)?;
            marked.push((offset + HEADER, *octets));
        }
    }
    // One after the other: a piece whose octets are gone and whose mark is not there would be taken for damage.
    file.sync_data()?;
    for (from, octets) in marked.iter().copied().filter(|(_, octets)| *octets > 0) {
        if fallocate(file, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, from, octets).is_err() {
            let zeros = [0; 4096];
            let mut at = 0;
            while at < octets {
                let count = usize::try_from(octets - at).unwrap_or(usize::MAX).min(zeros.len());
                file.write_all_at(&zeros[..count], from + at)?;
                at += count as u64;
            }
        }
    }
    file.sync_data()?;
    Ok(marked.iter().map(|(_, octets)| octets).sum())
}

/// Is the file older than that?
fn is_older(meta: &fs::Metadata, age: Duration) -> bool {
    meta.modified().ok().and_then(|at| at.elapsed().ok()).is_some_and(|passed| passed >= age)
}

impl Bodies {
    /// Empties pieces that nothing names. Returns the octets that were given back; what is empty already counts for nothing.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub(in crate::store) fn empty(&self, bodies: &[BodyRef]) -> Result<u64> {
        let mut by_segment: BTreeMap<u32, Vec<(u64, u64)>> = BTreeMap::new();
        let mut freed = 0;
        for body in bodies {
            match segment_place(&body.key) {
                Some((number, offset)) => by_segment.entry(number).or_default().push((offset, body.octets)),
                None => freed += self.remove_large(&body.key, Duration::ZERO)?,
            }
        }
        for (number, pieces) in by_segment {
            let path = self.segment_path(number);
            freed += empty_pieces(&open_file(&path, false)?, &pieces).map_err(|e| io_error("writing", &path, &e))?;
        }
        Ok(freed)
    }

    /// Empties all pieces of a segment that are not named. The present segment, and one that was written to within `age`, is left as it
    /// is. Returns how many pieces and octets.
    ///
    /// # Errors
    /// If the file cannot be read or written.
    pub(in crate::store) fn sweep_segment(&self, number: u32, named: &Named, age: Duration) -> Result<(u64, u64)> {
        let path = self.segment_path(number);
        let is_present = self.state().present.as_ref().is_some_and(|segment| segment.number == number);
        let Ok(meta) = fs::metadata(&path) else { return Ok((0, 0)) };
        if is_present || !is_older(&meta, age) {
            return Ok((0, 0));
        }
        let (mut dead, mut offset, mut kept) = (Vec::new(), 0, false);
        while let Some(piece) = self.piece_at(number, offset, meta.len())? {
            offset = piece.next;
            if piece.is_hole {
                continue;
            }
            if named.has(&piece.body.key) {
                kept = true;
                continue;
            }
            dead.push(piece.body);
        }
        let octets = self.empty(&dead)?;
        let last = fs::read_dir(&self.folder).map_err(|e| io_error("listing", &self.folder, &e))?;
        let last = last.flatten().filter_map(|entry| segment_number(entry.file_name().to_str()?)).max();
        // Its number counts on from the highest that is there, so that one stays.
        if !kept && last != Some(number) {
            self.state().open.remove(&number);
            fs::remove_file(&path).map_err(|e| io_error("removing", &path, &e))?;
        }
        Ok((dead.len() as u64, octets))
    }

    /// Removes a large piece that is older than `age`. Returns its octets; 0 if it stays.
    ///
    /// # Errors
    /// If it cannot be removed.
    pub(in crate::store) fn remove_large(&self, name: &str, age: Duration) -> Result<u64> {
        let path = self.large_path(&BodyRef { key: name.to_owned(), octets: 0 })?;
        let Ok(meta) = fs::metadata(&path) else { return Ok(0) };
        if !is_older(&meta, age) {
            return Ok(0);
        }
        fs::remove_file(&path).map_err(|e| io_error("removing", &path, &e))?;
        Ok(meta.len())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use bytes::Bytes;

    use super::*;
    use crate::store::{BodySource, record};

    fn named(records: &[&[u8]]) -> Named {
        let mut named = Named::default();
        records.iter().for_each(|record| named.look_through(record));
        named.done();
        named
    }

    #[test]
    fn names_are_found_in_every_form_of_record() {
        let large = format!("f-{}-{}", "0123456789abcdef".repeat(2), "89abcdef");
        let body = BodyRef { key: "s-000001-1f".into(), octets: 0xaf };
        let stored = record::encode(&(body, BodyRef { key: large.clone(), octets: 1 })).unwrap();
        let found = named(&[&stored]);
        assert!(found.has("s-000001-1f") && found.has(&large));
        assert!(!found.has("s-000001-1") && !found.has("s-000001-1fa"), "the length says where a name ends");
        let found = named(&[b"{\"key\":\"s-000002-ab\",\"octets\":7}", b"xs-000003-12cafe"]);
        assert!(found.has("s-000002-ab") && found.has("s-000003-12") && found.has("s-000003-12cafe"), "too much rather than too little");
        assert!(!named(&[b"s-", b"-", b"s-1", b"-000001-1", b"s--1", b""]).has("s-000001-1"));
    }

    #[test]
    fn what_nothing_names_is_emptied_and_its_room_is_given_back() {
        let folder = tempfile::tempdir().unwrap();
        let (kept, dead, large) = {
            let bodies = Bodies::open(folder.path()).unwrap();
            let put = |octets: usize| bodies.put(BodySource::Bytes(Bytes::from(vec![b'x'; octets]))).unwrap();
            let (kept, dead, large) = (put(300), [put(60_000), put(60_000)], put(100_000));
            bodies.sync().unwrap();
            assert_eq!(bodies.sweep_segment(1, &named(&[]), Duration::ZERO).unwrap(), (0, 0), "the present segment is left alone");
            (kept, dead, large)
        };
        let bodies = Bodies::open(folder.path()).unwrap();
        let path = bodies.segment_path(1);
        let blocks = || fs::metadata(&path).unwrap().blocks();
        let before = blocks();
        let records = record::encode(&kept).unwrap();
        assert_eq!(bodies.sweep_segment(1, &named(&[&records]), Duration::from_hours(1)).unwrap(), (0, 0), "too young");
        assert_eq!(bodies.sweep_segment(1, &named(&[&records]), Duration::ZERO).unwrap(), (2, 120_000));
        assert_eq!(bodies.sweep_segment(1, &named(&[&records]), Duration::ZERO).unwrap(), (0, 0), "twice is once");
        assert_eq!(bodies.read(&kept).unwrap(), vec![b'x'; 300]);
        assert!(dead.iter().all(|body| bodies.read(body).is_err()));
        let left = fs::read(&path).unwrap();
        assert_eq!(memchr::memchr_iter(b'x', &left).count(), 300, "no octet of the others is left");
        assert!(blocks() < before, "{} of {before} blocks", blocks());
        // The next segment has the highest number, so this one goes whole.
        bodies.put(BodySource::Bytes(Bytes::from_static(b"new"))).unwrap();
        bodies.sweep_segment(1, &named(&[]), Duration::ZERO).unwrap();
        assert!(!path.exists());
        assert_eq!(bodies.remove_large(&large.key, Duration::ZERO).unwrap(), 100_000);
        assert!(bodies.read(&large).is_err());
    }
}
