//! Opening sled so that its known mishaps are mended, and saying plainly what cannot be.
//!
//! A leftover `snap.*.generating` or a torn `snap.*` makes sled refuse to open (spacejam/sled#1527, #1533); snapshots are
//! only a shortcut, so they are removed, or moved aside once. What was applied since is in the log anyway.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::store::body::{io_error, make_folder};
use crate::store::{Result, StoreError};

/// How long a database that was just dropped may take to give its lock back.
const LOCK_WAIT: Duration = Duration::from_secs(5);

/// The opened database with an own handle of its file, since sled's flush is no fsync (spacejam/sled#1452).
pub(super) struct Database {
    pub(super) sled: sled::Db,
    file: File,
    path: PathBuf,
}

/// Sorts an error of sled by what a caller does about it.
pub(super) fn sled_error(error: &sled::Error) -> StoreError {
    match error {
        sled::Error::Io(e) => io_error("writing", Path::new("the database"), e),
        sled::Error::Corruption { .. } | sled::Error::CollectionNotFound(_) => StoreError::Damaged(format!(
            "the database (folder sled) is damaged: {error}; stop the service and restore the last backup (`enlace restore`)"
        )),
        other => StoreError::Unavailable(format!("the database: {other}")),
    }
}

impl Database {
    /// Opens or creates the database in `root/sled`.
    ///
    /// # Errors
    /// `Full` if there is no room even to open it; `Damaged` with the remedy.
    pub(super) fn open(root: &Path, cache_octets: u64) -> Result<Self> {
        let path = root.join("sled");
        make_folder(&path)?;
        remove_unfinished_snapshots(&path);
        let sled = match open_patiently(&path, cache_octets) {
            Err(sled::Error::Corruption { .. }) => {
                set_snapshots_aside(&path);
                open_patiently(&path, cache_octets)
            }
            other => other,
        };
        let sled = sled.map_err(|e| match sled_error(&e) {
            StoreError::Damaged(_) => StoreError::Damaged(format!(
                "the database {} is damaged: {e}; move the folder aside and restore the last backup (`enlace restore`)",
                path.display()
            )),
            StoreError::Full(_) => StoreError::Full(format!("opening the database {}: {e}; make room on that disk", path.display())),
            StoreError::Unavailable(_) | StoreError::InUse(_) => {
                StoreError::Unavailable(format!("opening the database {}: {e}", path.display()))
            }
        })?;
        let file_path = path.join("db");
        let file = File::open(&file_path).map_err(|e| io_error("opening", &file_path, &e))?;
        for entry in fs::read_dir(&path).map_err(|e| io_error("listing", &path, &e))?.flatten() {
            let mode = if entry.path().is_dir() { 0o700 } else { 0o600 };
            let _ = fs::set_permissions(entry.path(), Permissions::from_mode(mode));
        }
        Ok(Self { sled, file, path })
    }

    /// Makes everything that was applied durable.
    pub(super) fn flush(&self) -> Result<()> {
        self.sled.flush().map_err(|e| sled_error(&e))?;
        self.file.sync_data().map_err(|e| io_error("syncing", &self.path.join("db"), &e))
    }
}

fn open_patiently(path: &Path, cache_octets: u64) -> sled::Result<sled::Db> {
    let started = Instant::now();
    loop {
        let config = sled::Config::new().path(path).mode(sled::Mode::LowSpace).cache_capacity(cache_octets);
        // sled panics on some damaged files where it should answer with an error.
        let opened = catch_unwind(AssertUnwindSafe(|| config.open())).unwrap_or(Err(sled::Error::Corruption { at: None, bt: () }));
        match opened {
            Err(sled::Error::Io(e)) if e.to_string().contains("acquire lock") && started.elapsed() < LOCK_WAIT => {
                std::thread::sleep(Duration::from_millis(20));
            }
            other => return other,
        }
    }
}

fn snapshots(path: &Path) -> Vec<PathBuf> {
    let names = fs::read_dir(path).map(|list| list.flatten().map(|entry| entry.path()).collect::<Vec<_>>()).unwrap_or_default();
    names.into_iter().filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("snap."))).collect()
}

fn remove_unfinished_snapshots(path: &Path) {
    for snapshot in snapshots(path) {
        if snapshot.extension().is_some_and(|extension| extension == "generating") {
            let _ = fs::remove_file(snapshot);
        }
    }
}

fn set_snapshots_aside(path: &Path) {
    for snapshot in snapshots(path) {
        tracing::warn!(file = %snapshot.display(), "The database did not open; its snapshot is set aside and it is tried again without");
        let mut aside = snapshot.clone().into_os_string();
        aside.push(".damaged");
        let aside = PathBuf::from(aside);
        // Another name than snap.*, or sled would read it again.
        let name = format!("aside-{}", aside.file_name().unwrap_or_default().to_string_lossy());
        let _ = fs::rename(&snapshot, aside.with_file_name(name));
    }
}
