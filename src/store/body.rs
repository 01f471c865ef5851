//! Bytes on disk: message bodies, plan slices, outcome sheets.
//!
//! Up to [`SHARED_OCTETS`] a piece is appended to a segment that many share (`bodies/seg-000001`), so that one fdatasync
//! serves all who wait; a larger one is a file of its own (`bodies/large/…`), complete and fsynced before it gets its name.
//! Every piece carries a CRC-32, checked at each read: damaged bytes are an error that names the file, never given out.
//! A piece is never changed; one that nothing names any more is emptied (`sweep`). Appended bytes are durable after `Bodies::sync`, which the committer calls before it
//! writes a row that names them; after a failed sync the segment is given up, for the kernel forgets what it could not write.

mod sweep;

mod placing;

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::{BodySource, Result, StoreError};
use crate::domain::post::BodyRef;

pub(super) use sweep::Named;

/// Largest piece that shares a segment.
pub const SHARED_OCTETS: u64 = 64 * 1024;
/// A segment that is longer gets no more pieces.
const SEGMENT_OCTETS: u64 = 64 * 1024 * 1024;
/// Length and CRC-32 in front of each piece of a segment.
pub(super) const HEADER: u64 = 8;
/// In place of the checksum of what was not carried over.
const HOLE: u32 = u32::from_le_bytes(*b"HOLE");
/// Most segments kept open for reading.
const OPEN_SEGMENTS: usize = 64;

/// The folder of bodies with its present segment.
#[derive(Debug)]
pub struct Bodies {
    folder: PathBuf,
    incoming: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    present: Option<Segment>,
    next: u32,
    open: HashMap<u32, Arc<File>>,
    /// Segments that pieces are being placed in, and their holes.
    holes: HashMap<u32, placing::Holes>,
}

/// A piece of a segment as it lies there.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) body: BodyRef,
    pub(super) crc: u32,
    /// Nothing: what was here was not carried over from another store.
    pub(super) is_hole: bool,
    /// Where the next one begins.
    pub(super) next: u64,
}

#[derive(Debug)]
struct Segment {
    number: u32,
    file: Arc<File>,
    length: u64,
    synced: u64,
}

/// Makes a folder that only the service may enter; an existing one is left as it is.
pub(super) fn make_folder(path: &Path) -> Result<()> {
    match fs::DirBuilder::new().mode(0o700).recursive(true).create(path) {
        Ok(()) => Ok(()),
        Err(e) => Err(io_error("making the folder", path, &e)),
    }
}

/// Opens a file that only the service may read, creating it if `create_new`.
pub(super) fn open_file(path: &Path, create_new: bool) -> Result<File> {
    let mut how = OpenOptions::new();
    how.read(true).write(true).mode(0o600);
    if create_new {
        how.create_new(true);
    }
    how.open(path).map_err(|e| io_error("opening", path, &e))
}

/// Makes the names in a folder durable.
pub(super) fn sync_folder(path: &Path) -> Result<()> {
    File::open(path).and_then(|folder| folder.sync_all()).map_err(|e| io_error("syncing the folder", path, &e))
}

/// Sorts an error of the operating system by what a caller does about it, and names the file.
pub(super) fn io_error(doing: &str, path: &Path, error: &io::Error) -> StoreError {
    let text = format!("{doing} {}: {error}", path.display());
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => StoreError::Full(text),
        _ => StoreError::Unavailable(text),
    }
}

impl Bodies {
    /// Opens `bodies` in `root`, and empties `incoming`, where nobody writes yet.
    ///
    /// # Errors
    /// If a folder cannot be made or read.
    pub fn open(root: &Path) -> Result<Self> {
        let folder = root.join("bodies");
        let incoming = root.join("incoming");
        make_folder(&folder.join("large"))?;
        make_folder(&incoming)?;
        let list = |path: &Path| fs::read_dir(path).map_err(|e| io_error("listing", path, &e));
        for entry in list(&incoming)?.flatten() {
            let _ = fs::remove_file(entry.path());
        }
        let last = list(&folder)?.flatten().filter_map(|e| segment_number(e.file_name().to_str()?)).max();
        Ok(Self { folder, incoming, state: Mutex::new(State { next: last.map_or(1, |n| n + 1), ..State::default() }) })
    }

    /// Where a listener may write what becomes a [`BodySource::File`].
    pub fn incoming(&self) -> PathBuf {
        self.incoming.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn segment_path(&self, number: u32) -> PathBuf {
        self.folder.join(format!("seg-{number:06}"))
    }

    /// Writes bytes; those in a segment are durable after `sync`, a large piece at once.
    ///
    /// # Errors
    /// `Full` if there is no room; nothing is left behind then.
    pub fn put(&self, source: BodySource) -> Result<BodyRef> {
        match source {
            BodySource::Bytes(bytes) if bytes.len() as u64 <= SHARED_OCTETS => self.append(&bytes),
            BodySource::Bytes(bytes) => {
                let path = self.incoming.join(unique_name()?);
                let written = open_file(&path, true)
                    .and_then(|file| file.write_all_at(&bytes, 0).map_err(|e| io_error("writing", &path, &e)))
                    .and_then(|()| self.adopt(&path));
                if written.is_err() {
                    let _ = fs::remove_file(&path);
                }
                written
            }
            BodySource::File(path) => {
                if path.parent() != Some(&self.incoming) {
                    return Err(StoreError::Unavailable(format!("{} is not in {}", path.display(), self.incoming.display())));
                }
                let length = fs::metadata(&path).map_err(|e| io_error("reading", &path, &e))?.len();
                if length > SHARED_OCTETS {
                    return self.adopt(&path);
                }
                let bytes = fs::read(&path).map_err(|e| io_error("reading", &path, &e))?;
                let body = self.append(&bytes)?;
                let _ = fs::remove_file(&path);
                Ok(body)
            }
        }
    }

    /// Takes a complete file over: fsync, rename, fsync of the folder.
    fn adopt(&self, path: &Path) -> Result<BodyRef> {
        let mut file = File::open(path).map_err(|e| io_error("opening", path, &e))?;
        let mut crc = crc32fast::Hasher::new();
        let mut octets = 0;
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let count = file.read(&mut buffer).map_err(|e| io_error("reading", path, &e))?;
            if count == 0 {
                break;
            }
            crc.update(&buffer[..count]);
            octets += count as u64;
        }
        file.sync_all().map_err(|e| io_error("syncing", path, &e))?;
        let key = format!("f-{}-{:08x}", unique_name()?, crc.finalize());
        let large = self.folder.join("large");
        fs::rename(path, large.join(&key)).map_err(|e| io_error("renaming", path, &e))?;
        sync_folder(&large)?;
        Ok(BodyRef { key, octets })
    }

    /// Appends a piece of any length to the present segment.
    ///
    /// # Errors
    /// `Full` if there is no room; the segment is as before then.
    pub(super) fn append(&self, bytes: &[u8]) -> Result<BodyRef> {
        let length = u32::try_from(bytes.len()).map_err(|_| StoreError::Unavailable("a piece of 4 GiB is too long".into()))?;
        let mut piece = Vec::with_capacity(bytes.len() + 8);
        piece.extend_from_slice(&length.to_le_bytes());
        piece.extend_from_slice(&crc32fast::hash(bytes).to_le_bytes());
        piece.extend_from_slice(bytes);
        let mut state = self.state();
        if state.present.as_ref().is_none_or(|segment| segment.length > SEGMENT_OCTETS && segment.synced == segment.length) {
            self.start_segment(&mut state)?;
        }
        let Some(segment) = state.present.as_mut() else { return Err(StoreError::Unavailable("no segment".into())) };
        if let Err(e) = segment.file.write_all_at(&piece, segment.length) {
            let _ = segment.file.set_len(segment.length);
            return Err(io_error("writing", &self.segment_path(segment.number), &e));
        }
        let key = format!("s-{:06}-{:x}", segment.number, segment.length);
        segment.length += piece.len() as u64;
        Ok(BodyRef { key, octets: u64::from(length) })
    }

    fn start_segment(&self, state: &mut State) -> Result<()> {
        let number = state.next;
        let path = self.segment_path(number);
        let file = Arc::new(open_file(&path, true)?);
        if let Err(e) = sync_folder(&self.folder) {
            let _ = fs::remove_file(&path);
            return Err(e);
        }
        state.next += 1;
        state.present = Some(Segment { number, file, length: 0, synced: 0 });
        Ok(())
    }

    /// Makes everything that was appended before the call durable.
    ///
    /// # Errors
    /// After a failure what was appended since the last sync is lost: [`Self::give_up_segment`] must follow.
    pub(super) fn sync(&self) -> Result<()> {
        let (number, file, length) = match &self.state().present {
            Some(segment) if segment.synced < segment.length => (segment.number, segment.file.clone(), segment.length),
            _ => return Ok(()),
        };
        file.sync_data().map_err(|e| io_error("syncing", &self.segment_path(number), &e))?;
        if let Some(segment) = self.state().present.as_mut().filter(|segment| segment.number == number) {
            segment.synced = segment.synced.max(length);
        }
        Ok(())
    }

    /// Cuts the present segment to what is durable, and starts another with the next piece.
    pub(super) fn give_up_segment(&self) {
        if let Some(segment) = self.state().present.take() {
            let _ = segment.file.set_len(segment.synced);
        }
    }

    /// Is the piece there in full length? Its bytes are not looked at.
    ///
    /// # Errors
    /// If it is not, or not any more, because a sync failed after it was put.
    pub fn check(&self, body: &BodyRef) -> Result<()> {
        let Some((number, offset)) = segment_place(&body.key) else {
            let path = self.large_path(body)?;
            return match fs::metadata(&path) {
                Ok(meta) if meta.len() == body.octets => Ok(()),
                Ok(_) => Err(damaged_piece(&path, "its length is wrong")),
                Err(e) => Err(io_error("reading", &path, &e)),
            };
        };
        let end = offset.saturating_add(HEADER).saturating_add(body.octets);
        if let Some(segment) = self.state().present.as_ref().filter(|segment| segment.number == number) {
            return if end <= segment.length { Ok(()) } else { Err(self.missing(body)) };
        }
        let length = self.reader(number)?.metadata().map_err(|e| io_error("reading", &self.segment_path(number), &e))?.len();
        if end <= length { Ok(()) } else { Err(self.missing(body)) }
    }

    /// Segments with their durable lengths, and large pieces, as they are now.
    #[allow(clippy::type_complexity)]
    pub(super) fn inventory(&self) -> Result<(Vec<(u32, u64)>, Vec<String>)> {
        let list = |path: &Path| fs::read_dir(path).map_err(|e| io_error("listing", path, &e));
        let present = self.state().present.as_ref().map(|segment| (segment.number, segment.synced));
        let mut segments = Vec::new();
        for entry in list(&self.folder)?.flatten() {
            let Some(number) = entry.file_name().to_str().and_then(segment_number) else { continue };
            let length = match present {
                Some((open, synced)) if open == number => synced,
                _ => entry.metadata().map_err(|e| io_error("reading", &entry.path(), &e))?.len(),
            };
            segments.push((number, length));
        }
        segments.sort_unstable();
        let mut large: Vec<String> =
            list(&self.folder.join("large"))?.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
        large.sort_unstable();
        Ok((segments, large))
    }

    /// Is there a segment of that number?
    pub(super) fn has_segment(&self, number: u32) -> bool {
        self.segment_path(number).exists()
    }

    /// Is there a large piece of that name?
    pub(super) fn has_large(&self, name: &str) -> bool {
        self.folder.join("large").join(name).exists()
    }

    /// A large piece by its name, with its checksum.
    pub(super) fn large(&self, name: &str) -> Result<(BodyRef, u32)> {
        let path = self.folder.join("large").join(name);
        let octets = fs::metadata(&path).map_err(|e| io_error("reading", &path, &e))?.len();
        let crc = name.rsplit('-').next().and_then(|crc| u32::from_str_radix(crc, 16).ok());
        let crc = crc.ok_or_else(|| damaged_piece(&path, "its name says no checksum"))?;
        Ok((BodyRef { key: name.to_owned(), octets }, crc))
    }

    /// The piece of a segment at `offset`, or `None` behind the last whole one. A hole has no bytes but a length.
    pub(super) fn piece_at(&self, number: u32, offset: u64, end: u64) -> Result<Option<Piece>> {
        if offset.saturating_add(HEADER) > end {
            return Ok(None);
        }
        let (file, path) = (self.reader(number)?, self.segment_path(number));
        let mut header = [0; 8];
        file.read_exact_at(&mut header, offset).map_err(|e| io_error("reading", &path, &e))?;
        let octets = u64::from(u32::from_le_bytes([header[0], header[1], header[2], header[3]]));
        let crc = u32::from_le_bytes([header[4], header[5], header[6], header[7]]);
        if offset + HEADER + octets > end {
            return Ok(None);
        }
        let body = BodyRef { key: format!("s-{number:06}-{offset:x}"), octets };
        Ok(Some(Piece { is_hole: crc == HOLE && self.read(&body).is_err(), body, crc, next: offset + HEADER + octets }))
    }

    fn missing(&self, body: &BodyRef) -> StoreError {
        StoreError::Unavailable(format!("the bytes {} are not in {}: put them again", body.key, self.folder.display()))
    }

    /// All bytes of a piece.
    ///
    /// # Errors
    /// `Damaged` if they are not what was written.
    pub fn read(&self, body: &BodyRef) -> Result<Bytes> {
        let Some((number, offset)) = segment_place(&body.key) else {
            return self.read_large(body);
        };
        let path = self.segment_path(number);
        let file = self.reader(number)?;
        let stored = file.metadata().map_err(|e| io_error("reading", &path, &e))?.len();
        let length = usize::try_from(body.octets.saturating_add(HEADER)).unwrap_or(usize::MAX);
        if offset.saturating_add(length as u64) > stored {
            return Err(damaged_piece(&path, &format!("it is cut off before the end of {}", body.key)));
        }
        let mut piece = vec![0; length];
        file.read_exact_at(&mut piece, offset).map_err(|e| io_error("reading", &path, &e))?;
        let word = |at: usize| u32::from_le_bytes([piece[at], piece[at + 1], piece[at + 2], piece[at + 3]]);
        if u64::from(word(0)) != body.octets || word(4) != crc32fast::hash(&piece[8..]) {
            return Err(damaged_piece(&path, &format!("the checksum of {} is wrong", body.key)));
        }
        Ok(Bytes::from(piece).slice(8..))
    }

    fn large_path(&self, body: &BodyRef) -> Result<PathBuf> {
        let plain = body.key.starts_with("f-") && body.key.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
        if plain {
            Ok(self.folder.join("large").join(&body.key))
        } else {
            Err(StoreError::Damaged(format!("\"{}\" is not the name of a body", body.key.escape_debug())))
        }
    }

    fn read_large(&self, body: &BodyRef) -> Result<Bytes> {
        let path = self.large_path(body)?;
        let bytes = fs::read(&path).map_err(|e| io_error("reading", &path, &e))?;
        let crc = body.key.rsplit('-').next().and_then(|crc| u32::from_str_radix(crc, 16).ok());
        if bytes.len() as u64 != body.octets || crc != Some(crc32fast::hash(&bytes)) {
            return Err(damaged_piece(&path, "its checksum is wrong"));
        }
        Ok(Bytes::from(bytes))
    }

    fn reader(&self, number: u32) -> Result<Arc<File>> {
        let mut state = self.state();
        if let Some(segment) = state.present.as_ref().filter(|segment| segment.number == number) {
            return Ok(segment.file.clone());
        }
        if let Some(file) = state.open.get(&number) {
            return Ok(file.clone());
        }
        let path = self.segment_path(number);
        let file = Arc::new(File::open(&path).map_err(|e| match e.kind() {
            io::ErrorKind::NotFound => damaged_piece(&path, "it is gone"),
            _ => io_error("opening", &path, &e),
        })?);
        if state.open.len() >= OPEN_SEGMENTS {
            state.open.clear();
        }
        state.open.insert(number, file.clone());
        Ok(file)
    }
}

fn damaged_piece(path: &Path, why: &str) -> StoreError {
    StoreError::Damaged(format!("{} is damaged: {why}; restore the file from the last backup (`enlace restore`)", path.display()))
}

fn segment_number(name: &str) -> Option<u32> {
    name.strip_prefix("seg-")?.parse().ok()
}

fn segment_place(key: &str) -> Option<(u32, u64)> {
    let (number, offset) = key.strip_prefix("s-")?.split_once('-')?;
    Some((number.parse().ok()?, u64::from_str_radix(offset, 16).ok()?))
}

fn unique_name() -> Result<String> {
    let mut chance = [0; 16];
    getrandom::fill(&mut chance).map_err(|e| StoreError::Unavailable(format!("no random numbers: {e}")))?;
    Ok(data_encoding::HEXLOWER.encode(&chance))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bodies() -> (tempfile::TempDir, Bodies) {
        let folder = tempfile::tempdir().unwrap();
        let bodies = Bodies::open(folder.path()).unwrap();
        (folder, bodies)
    }

    #[test]
    fn small_and_large_pieces_come_back_byte_for_byte() {
        let (folder, bodies) = bodies();
        for octets in [0, 1, 4096, 65_536, 65_537, 1_000_000] {
            let bytes = Bytes::from((0..octets).map(|i| u8::try_from(i * 31 % 251).unwrap_or(0)).collect::<Vec<_>>());
            let body = bodies.put(BodySource::Bytes(bytes.clone())).unwrap();
            assert_eq!(bodies.read(&body).unwrap(), bytes, "{octets}");
            let path = bodies.incoming().join("x");
            fs::write(&path, &bytes).unwrap();
            let body = bodies.put(BodySource::File(path.clone())).unwrap();
            assert_eq!(bodies.read(&body).unwrap(), bytes, "{octets} from a file");
            assert!(!path.exists());
            bodies.sync().unwrap();
            assert_eq!(Bodies::open(folder.path()).unwrap().read(&body).unwrap(), bytes);
        }
    }

    #[test]
    fn every_flipped_bit_is_an_error_that_names_the_file() {
        let (folder, bodies) = bodies();
        for octets in [300_u64, 70_000] {
            let body = bodies.put(BodySource::Bytes(Bytes::from(vec![7; usize::try_from(octets).unwrap()]))).unwrap();
            let path = match segment_place(&body.key) {
                Some((number, _)) => bodies.segment_path(number),
                None => folder.path().join("bodies/large").join(&body.key),
            };
            let whole = fs::read(&path).unwrap();
            for bit in 0..200 {
                let mut flipped = whole.clone();
                let place = bit * 7919 % (whole.len() * 8);
                flipped[place / 8] ^= 1 << (place % 8);
                fs::write(&path, &flipped).unwrap();
                let error = bodies.read(&body).unwrap_err();
                assert!(matches!(error, StoreError::Damaged(_)), "{error}");
                assert!(error.to_string().contains(path.to_str().unwrap()) && error.to_string().contains("restore"), "{error}");
            }
            fs::write(&path, &whole).unwrap();
        }
    }

    #[test]
    fn names_that_come_from_elsewhere_reach_no_file() {
        let (_folder, bodies) = bodies();
        for key in ["../../etc/passwd", "f-../x", "s-000001-zz", "", "/etc/passwd"] {
            assert!(bodies.read(&BodyRef { key: key.into(), octets: 1 }).is_err(), "{key}");
        }
        assert!(bodies.put(BodySource::File("/etc/hostname".into())).is_err());
    }
}
