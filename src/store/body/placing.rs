//! Pieces that come from another store, put where they lay there.
//!
//! What is not carried over leaves a hole: a header with a length and no bytes, so that whoever walks the segment passes over it.
//! Pieces may come in any order, because another store counts its names in its own way; one that belongs into a hole divides it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;

use super::{Bodies, BodyRef, HEADER, HOLE, damaged_piece, io_error, open_file, segment_place, sync_folder};
use crate::store::Result;

/// Holes of a segment: where each begins and ends, its header included.
pub(super) type Holes = BTreeMap<u64, u64>;

impl Bodies {
    /// Writes octets of a piece under the name it had elsewhere. They come in order; durable with the last ones.
    ///
    /// # Errors
    /// If the name is none, or cannot be written.
    pub(in crate::store) fn place(&self, body: &BodyRef, crc: u32, offset: u64, bytes: &[u8]) -> Result<()> {
        let is_last = offset + bytes.len() as u64 == body.octets;
        let Some((number, at)) = segment_place(&body.key) else {
            let path = self.large_path(body)?;
            let part = self.incoming.join(&body.key);
            let file = if part.exists() { open_file(&part, false)? } else { open_file(&part, true)? };
            file.write_all_at(bytes, offset).map_err(|e| io_error("writing", &part, &e))?;
            if is_last {
                file.sync_all().map_err(|e| io_error("syncing", &part, &e))?;
                fs::rename(&part, &path).map_err(|e| io_error("renaming", &part, &e))?;
                sync_folder(&self.folder.join("large"))?;
            }
            return Ok(());
        };
        {
            let mut state = self.state();
            state.next = state.next.max(number.saturating_add(1));
        }
        let path = self.segment_path(number);
        let file = if path.exists() { open_file(&path, false)? } else { open_file(&path, true)? };
        let write = |bytes: &[u8], at: u64| file.write_all_at(bytes, at).map_err(|e| io_error("writing", &path, &e));
        if offset == 0 {
            self.make_room(number, &file, at, at + HEADER + body.octets)?;
            write(&u32::try_from(body.octets).unwrap_or(u32::MAX).to_le_bytes(), at)?;
            write(&crc.to_le_bytes(), at + 4)?;
        }
        write(bytes, at + HEADER + offset)?;
        if is_last && body.octets == 0 {
            file.set_len((at + HEADER).max(file.metadata().map_or(0, |meta| meta.len()))).map_err(|e| io_error("writing", &path, &e))?;
        }
        Ok(())
    }

    /// Makes placed pieces durable.
    pub(in crate::store) fn sync_placed(&self, bodies: &[BodyRef]) -> Result<()> {
        let numbers: std::collections::BTreeSet<u32> =
            bodies.iter().filter_map(|body| segment_place(&body.key)).map(|(number, _)| number).collect();
        for number in numbers {
            let path = self.segment_path(number);
            File::open(&path).and_then(|file| file.sync_all()).map_err(|e| io_error("syncing", &path, &e))?;
        }
        sync_folder(&self.folder)
    }

    /// Makes `start..end` of a segment free for one piece, with holes before and behind it.
    fn make_room(&self, number: u32, file: &File, start: u64, end: u64) -> Result<()> {
        let path = self.segment_path(number);
        let length = file.metadata().map_err(|e| io_error("reading", &path, &e))?.len();
        let known = self.state().holes.remove(&number);
        let mut holes = match known {
            Some(holes) => holes,
            None => self.holes_of(number, length)?,
        };
        let hole = |start: u64, end: u64| -> Result<()> {
            let octets = u32::try_from(end - start - HEADER).map_err(|_| damaged_piece(&path, "a hole of 4 GiB"))?;
            let header = [octets.to_le_bytes(), HOLE.to_le_bytes()].concat();
            file.write_all_at(&header, start).map_err(|e| io_error("writing", &path, &e))
        };
        if start >= length + HEADER {
            hole(length, start)?;
            holes.insert(length, start);
        } else if let Some((before, behind)) = holes.range(..=start).next_back().map(|(before, behind)| (*before, *behind))
            && end <= behind
        {
            // The hole behind it first: until the one before is shortened, nobody sees it.
            if end + HEADER <= behind {
                hole(end, behind)?;
                holes.insert(end, behind);
            }
            holes.remove(&before);
            if before + HEADER <= start {
                hole(before, start)?;
                holes.insert(before, start);
            }
        }
        self.state().holes.insert(number, holes);
        Ok(())
    }

    /// The holes that an earlier run left.
    fn holes_of(&self, number: u32, length: u64) -> Result<Holes> {
        let (mut holes, mut at) = (Holes::new(), 0);
        while let Some(piece) = self.piece_at(number, at, length)? {
            if piece.is_hole {
                holes.insert(at, piece.next);
            }
            at = piece.next;
        }
        Ok(holes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Octets of piece `number` of the other store.
    fn octets(number: u64) -> Vec<u8> {
        vec![u8::try_from(number % 251).unwrap(); usize::try_from(number * 37 % 400).unwrap()]
    }

    #[test]
    fn pieces_that_come_in_any_order_lie_where_they_lay_and_the_rest_is_holes() {
        let mut at = 0;
        let all: Vec<(BodyRef, Vec<u8>)> = (0..60)
            .map(|number| {
                let octets = octets(number);
                let body = BodyRef { key: format!("s-000001-{at:x}"), octets: octets.len() as u64 };
                at += HEADER + octets.len() as u64;
                (body, octets)
            })
            .collect();
        for (step, stride) in [(1, 1), (2, 7), (3, 11), (1, 59), (5, 13)] {
            let folder = tempfile::tempdir().unwrap();
            let carried: Vec<usize> = (0..60).filter(|number| number % step == 0).collect();
            let mut bodies = Bodies::open(folder.path()).unwrap();
            for place in 0..carried.len() {
                // By strides, and backwards where the stride is all but the whole: no order that a store would have is left out.
                let number = carried[place * stride % carried.len()];
                let (body, octets) = &all[number];
                bodies.place(body, crc32fast::hash(octets), 0, octets).unwrap();
                if place % 9 == 5 {
                    bodies = Bodies::open(folder.path()).unwrap();
                }
            }
            let placed: std::collections::BTreeSet<usize> =
                (0..carried.len()).map(|place| carried[place * stride % carried.len()]).collect();
            let length = fs::metadata(bodies.segment_path(1)).unwrap().len();
            let (mut found, mut at) = (std::collections::BTreeSet::new(), 0);
            while let Some(piece) = bodies.piece_at(1, at, length).unwrap() {
                if !piece.is_hole {
                    let number = all.iter().position(|(body, _)| *body == piece.body).unwrap();
                    assert_eq!(bodies.read(&piece.body).unwrap(), all[number].1);
                    found.insert(number);
                }
                at = piece.next;
            }
            assert_eq!((found, at), (placed, length), "every {step}th by {stride}");
        }
    }
}
