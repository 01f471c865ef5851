//! Faults on purpose: tests say when a write or a sync shall fail, since no test can break a disk.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Switches that tests hold; all off by default. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    write_is_full: Arc<AtomicBool>,
    sync_fails: Arc<AtomicBool>,
}

impl Faults {
    /// From now on writes to the log find no space (ENOSPC), or do again.
    pub fn fill_disk(&self, full: bool) {
        self.write_is_full.store(full, Ordering::SeqCst);
    }

    /// From now on a sync of the log fails (EIO), or works again.
    pub fn break_sync(&self, broken: bool) {
        self.sync_fails.store(broken, Ordering::SeqCst);
    }

    pub(super) fn disk_is_full(&self) -> bool {
        self.write_is_full.load(Ordering::SeqCst)
    }

    pub(super) fn before_write(&self) -> io::Result<()> {
        if self.disk_is_full() { Err(io::Error::from(io::ErrorKind::StorageFull)) } else { Ok(()) }
    }

    pub(super) fn before_sync(&self) -> io::Result<()> {
        if self.sync_fails.load(Ordering::SeqCst) { Err(io::Error::other("injected EIO")) } else { Ok(()) }
    }
}
