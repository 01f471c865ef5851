//! One process a data folder: the lock that says so.

use std::fs::{File, TryLockError};
use std::path::Path;

use super::body::{io_error, open_file};
use super::{Result, StoreError};

/// Takes the lock of a data folder; it is given back with the file, also by a process that is killed.
///
/// # Errors
/// `InUse` at once if another process has it.
pub(super) fn take_lock(root: &Path) -> Result<File> {
    let path = root.join("store.lock");
    let file = if path.exists() { open_file(&path, false)? } else { open_file(&path, true)? };
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse(format!(
            "the data folder {} is in use by another process; stop the daemon, or hand it the command through its control socket",
            root.display()
        ))),
        Err(TryLockError::Error(e)) => Err(io_error("locking", &path, &e)),
    }
}
