//! Room on the disk: a floor below which no mail is taken, and a ballast file that makes reopening possible when there is none.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::store::body::{io_error, open_file};
use crate::store::{Result, StoreError};

/// What the default floor never goes below on a large disk.
const FLOOR_OCTETS: u64 = 200 * 1024 * 1024;
const BALLAST_OCTETS: u64 = 16 * 1024 * 1024;
const BALLAST_LEAST: u64 = 512 * 1024;

/// The disk a store lies on.
#[derive(Debug)]
pub(super) struct Disk {
    root: PathBuf,
    floor: u64,
    ballast: u64,
}

impl Disk {
    /// `floor` in octets; by default one part in a hundred or 200 MiB, whichever is more, but at most one part in twenty.
    ///
    /// # Errors
    /// If the disk cannot be asked.
    pub(super) fn new(root: &Path, floor: Option<u64>) -> Result<Self> {
        let (size, _) = room(root)?;
        let floor = floor.unwrap_or_else(|| (size / 100).max(FLOOR_OCTETS).min(size / 20));
        Ok(Self { root: root.to_owned(), floor, ballast: (size / 50).clamp(BALLAST_LEAST, BALLAST_OCTETS) })
    }

    /// Free octets for the service's user.
    pub(super) fn free(&self) -> Result<u64> {
        room(&self.root).map(|(_, free)| free)
    }

    /// Is there room to take mail?
    ///
    /// # Errors
    /// `Full`, with the figures.
    pub(super) fn check(&self) -> Result<()> {
        let free = self.free()?;
        if free >= self.floor {
            return Ok(());
        }
        let (free, floor) = (free / 1024, self.floor / 1024);
        Err(StoreError::Full(format!("{free} KiB are free on the disk of {}, {floor} KiB are needed to take mail", self.root.display())))
    }

    /// Is there enough to try again after the disk was full?
    pub(super) fn has_recovered(&self) -> bool {
        self.free().is_ok_and(|free| free >= self.floor.max(self.ballast + BALLAST_LEAST))
    }

    fn ballast_path(&self) -> PathBuf {
        self.root.join("ballast")
    }

    /// Gives the ballast's room back to the disk.
    pub(super) fn drop_ballast(&self) {
        let _ = fs::remove_file(self.ballast_path());
    }

    /// Puts the ballast in place if there is room for it.
    pub(super) fn take_ballast(&self) {
        let path = self.ballast_path();
        if fs::metadata(&path).is_ok_and(|meta| meta.len() == self.ballast) {
            return;
        }
        self.drop_ballast();
        if self.free().is_ok_and(|free| free > self.floor.saturating_add(2 * self.ballast)) {
            let chunk = vec![0xa5; 64 * 1024];
            let written = open_file(&path, true).and_then(|file| {
                (0..self.ballast / chunk.len() as u64)
                    .try_for_each(|at| file.write_all_at(&chunk, at * chunk.len() as u64))
                    .and_then(|()| file.set_len(self.ballast))
                    .map_err(|e| io_error("writing", &path, &e))
            });
            if written.is_err() {
                self.drop_ballast();
            }
        }
    }
}

fn room(path: &Path) -> Result<(u64, u64)> {
    let room = rustix::fs::statvfs(path).map_err(|e| io_error("asking for the room on the disk of", path, &e.into()))?;
    Ok((room.f_blocks.saturating_mul(room.f_frsize), room.f_bavail.saturating_mul(room.f_frsize)))
}
