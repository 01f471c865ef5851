//! The outbox folder: one `.eml` a copy, for a first look without a mail server and for rehearsals.
//!
//! Each file is the copy as SMTP would carry it, with `Return-Path` and `Delivered-To` lines on top, as a local delivery
//! agent writes them (RFC 5321 section 4.4). Written under a temporary name, put on disk, then renamed: a file that ends
//! in `.eml` is whole. Not a queue for another mail server: nothing reads the folder.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use async_trait::async_trait;

use super::reply::one_line;
use super::wire::Encoder;
use super::{Clearance, Relay, RelayError, RelaySession, Transaction};
use crate::domain::ledger::RelayAnswer;

/// Longest part of a file name that comes from the recipient's address.
const NAME_OCTETS: usize = 80;

/// Writes copies into a folder.
pub struct DirectoryRelay {
    folder: PathBuf,
    /// Part of every name, so that two processes or two runs never meet.
    run: String,
    next: Arc<AtomicU64>,
}

impl DirectoryRelay {
    /// Into `folder`, which is created with the first session.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let run = format!("{:011x}-{:x}", since.as_millis(), std::process::id());
        Self { folder: folder.into(), run, next: Arc::default() }
    }
}

#[async_trait]
impl Relay for DirectoryRelay {
    async fn open(&self) -> Result<Box<dyn RelaySession>, RelayError> {
        tokio::fs::create_dir_all(&self.folder)
            .await
            .map_err(|error| RelayError::Outbox { folder: self.name(), cause: error.to_string() })?;
        Ok(Box::new(OutboxSession { folder: self.folder.clone(), run: self.run.clone(), next: Arc::clone(&self.next) }))
    }

    fn name(&self) -> String {
        self.folder.display().to_string()
    }
}

struct OutboxSession {
    folder: PathBuf,
    run: String,
    next: Arc<AtomicU64>,
}

#[async_trait]
impl RelaySession for OutboxSession {
    async fn send(&mut self, transaction: Transaction<'_>, clearance: Clearance<'_>) -> Vec<RelayAnswer> {
        if !clearance.await {
            let answer = RelayAnswer::LostBefore("not written: the ledger could not be written".to_owned());
            return vec![answer; transaction.recipients.len()];
        }
        let mut message = Vec::new();
        let mut encoder = Encoder::for_file();
        for piece in transaction.message {
            encoder.push(piece, &mut message);
        }
        encoder.finish(&mut message);
        let message = Arc::new(message);

        let mut answers = Vec::with_capacity(transaction.recipients.len());
        for recipient in transaction.recipients {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let name = format!("{}-{number:06}-{}", self.run, plain(recipient));
            let head = format!("Return-Path: <{}>\r\nDelivered-To: {}\r\n", one_line(transaction.reverse_path), one_line(recipient));
            let (folder, shown, body) = (self.folder.clone(), name.clone(), Arc::clone(&message));
            let written = tokio::task::spawn_blocking(move || write(&folder, &name, head.as_bytes(), &body)).await;
            answers.push(match written {
                Ok(Ok(())) => RelayAnswer::Taken(format!("250 2.0.0 written as {shown}.eml")),
                Ok(Err(error)) => RelayAnswer::Later(one_line(&format!("452 4.3.1 {shown}.eml: {error}"))),
                Err(error) => RelayAnswer::Later(one_line(&format!("451 4.3.0 {shown}.eml: {error}"))),
            });
        }
        answers
    }

    fn is_open(&self) -> bool {
        true
    }

    async fn close(&mut self) {}
}

fn write(folder: &Path, name: &str, head: &[u8], message: &[u8]) -> std::io::Result<()> {
    let temporary = folder.join(format!(".{name}.tmp"));
    let written = (|| {
        let mut file = std::fs::File::create_new(&temporary)?;
        file.write_all(head)?;
        file.write_all(message)?;
        file.sync_data()?;
        std::fs::rename(&temporary, folder.join(format!("{name}.eml")))
    })();
    if written.is_err() {
        let _ = std::fs::remove_file(&temporary);
    }
    written
}

/// The recipient as a part of a file name: nothing from the net becomes a path.
fn plain(recipient: &str) -> String {
    recipient.chars().map(|c| if c.is_ascii_alphanumeric() || "@+-_=.".contains(c) { c } else { '_' }).take(NAME_OCTETS).collect()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[tokio::test]
    async fn each_recipient_gets_a_whole_file_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let relay = DirectoryRelay::new(folder.path().join("outbox"));
        let mut session = relay.open().await.unwrap();
        let message = [Bytes::from_static(b"Subject: x\r\n"), Bytes::from_static(b"\r\n.dot\nend")];
        let recipients = ["ana@example.org", "../../etc/\0passwd\r\n@example.org"];
        let transaction = Transaction { reverse_path: "l-bounces@example.org", recipients: &recipients, message: &message };
        let answers = session.send(transaction, Box::pin(async { true })).await;
        assert!(answers.iter().all(|answer| matches!(answer, RelayAnswer::Taken(_))), "{answers:?}");

        let mut names: Vec<_> = std::fs::read_dir(folder.path().join("outbox")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        let names: Vec<_> = names.iter().map(|name| name.to_str().unwrap()).collect();
        assert_eq!(names.len(), 2);
        assert!(names[0].ends_with("-000000-ana@example.org.eml"), "{names:?}");
        assert!(names[1].ends_with("-000001-.._.._etc__passwd__@example.org.eml"), "{names:?}");
        let text = std::fs::read_to_string(folder.path().join("outbox").join(names[0])).unwrap();
        let expected = "Return-Path: <l-bounces@example.org>\r\nDelivered-To: ana@example.org\r\nSubject: x\r\n\r\n.dot\r\nend\r\n";
        assert_eq!(text, expected);
    }

    #[tokio::test]
    async fn without_clearance_nothing_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let relay = DirectoryRelay::new(folder.path());
        let mut session = relay.open().await.unwrap();
        let transaction = Transaction { reverse_path: "", recipients: &["ana@example.org"], message: &[] };
        let answers = session.send(transaction, Box::pin(async { false })).await;
        assert!(matches!(answers[..], [RelayAnswer::LostBefore(_)]), "{answers:?}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
