//! Where a message is while it comes in: in memory, and in a file once it is large.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use crate::smtp::session::Limits;
use crate::smtp::{Answer, Content};

/// Octets that are gathered before the file is written again.
const WRITE_OCTETS: usize = 128 * 1024;

/// The message of one session.
pub(super) struct Intake {
    /// What has come and is not in the file.
    pub(super) memory: Vec<u8>,
    spool: Option<Spool>,
    memory_octets: usize,
    folder: PathBuf,
    name: String,
    count: u32,
}

/// A file in the receiver's `incoming` folder; removed when dropped, unless it was renamed.
struct Spool {
    file: Option<File>,
    path: PathBuf,
    head: Bytes,
    octets: u64,
}

impl Drop for Spool {
    fn drop(&mut self) {
        // Gone is as good as removed: the receiver renames what it keeps.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// A complete message; the file lives as long as this.
pub(super) struct Complete {
    pub(super) content: Content,
    _spool: Option<Spool>,
}

impl Intake {
    /// `name` is unique among all sessions.
    pub(super) fn new(folder: PathBuf, name: String, limits: &Limits) -> Self {
        // The head of a spooled message has its whole header.
        let memory_octets = limits.memory_octets.max(limits.header_octets);
        Self { memory: Vec::new(), spool: None, memory_octets, folder, name, count: 0 }
    }

    /// Forgets the message.
    pub(super) fn clear(&mut self) {
        self.memory = Vec::new();
        self.spool = None;
    }

    /// Writes to the file what is too much for memory.
    pub(super) async fn settle(&mut self) -> Result<(), Answer> {
        let most = if self.spool.is_some() { WRITE_OCTETS } else { self.memory_octets };
        if self.memory.len() <= most {
            return Ok(());
        }
        self.write().await.map_err(|error| refusal(&error))
    }

    async fn write(&mut self) -> io::Result<()> {
        let octets = std::mem::take(&mut self.memory);
        let Some(spool) = &mut self.spool else {
            self.count += 1;
            let path = self.folder.join(format!("smtp-{}-{}", self.name, self.count));
            self.spool = Some(Spool { file: None, path: path.clone(), head: Bytes::new(), octets: octets.len() as u64 });
            let (file, octets) = on_disk_thread(move || {
                let mut file = create(&path)?;
                file.write_all(&octets)?;
                Ok((file, octets))
            })
            .await?;
            if let Some(spool) = &mut self.spool {
                spool.file = Some(file);
                spool.head = Bytes::from(octets.into_boxed_slice());
            }
            return Ok(());
        };
        let Some(mut file) = spool.file.take() else {
            return Err(io::Error::other("an earlier write failed"));
        };
        spool.octets += octets.len() as u64;
        let (file, mut octets) = on_disk_thread(move || {
            file.write_all(&octets)?;
            Ok((file, octets))
        })
        .await?;
        spool.file = Some(file);
        octets.clear();
        self.memory = octets;
        Ok(())
    }

    /// The message is complete; leaves none behind.
    pub(super) async fn finish(&mut self) -> Result<Complete, Answer> {
        if self.spool.is_some() && !self.memory.is_empty() {
            let written = self.write().await;
            if let Err(error) = written {
                self.clear();
                return Err(refusal(&error));
            }
        }
        let memory = std::mem::take(&mut self.memory);
        let content = match &self.spool {
            None => Content::Memory(memory.into()),
            Some(spool) => Content::Spooled { path: spool.path.clone(), head: spool.head.clone(), octets: spool.octets },
        };
        Ok(Complete { content, _spool: self.spool.take() })
    }
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

async fn on_disk_thread<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

/// What is answered when the message cannot be written.
fn refusal(error: &io::Error) -> Answer {
    if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
        return Answer::new(452, (4, 3, 1), "the disk is full, try again later");
    }
    tracing::error!(%error, "Could not write an incoming message to its file");
    Answer::new(451, (4, 3, 0), "the message could not be written, try again later")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told_from_other_trouble() {
        for (kind, code) in [(io::ErrorKind::StorageFull, 452), (io::ErrorKind::QuotaExceeded, 452), (io::ErrorKind::NotFound, 451)] {
            assert_eq!(refusal(&kind.into()).code, code, "{kind:?}");
        }
    }
}
