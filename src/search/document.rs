//! Text of attachments, for the index.
//!
//! Plain text and Word documents are read here, within limits. A PDF goes to a child process of this program with little
//! memory and time (`enlace pdf-text`, which people never call), because its readers are known to hang and to eat memory on
//! hostile files: what is wrong with a file then ends the child. A file that cannot be read has no text, and that is no failure.

use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::mail::docx;

/// Most octets of text kept of an attachment.
pub const TEXT_OCTETS: usize = 256 * 1024;
/// Largest file whose text is looked for.
pub const FILE_OCTETS: usize = 16 * 1024 * 1024;
/// How long it is waited for.
const WITHIN: Duration = Duration::from_secs(20);

/// The text of an attachment; empty if it has none that can be read. Blocks for up to 20 s for a hostile PDF.
pub fn text_of(name: &str, content_type: &str, bytes: &[u8]) -> String {
    let extension = name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase()).unwrap_or_default();
    if bytes.len() > FILE_OCTETS {
        return String::new();
    }
    match extension.as_str() {
        "docx" => docx::text(bytes, TEXT_OCTETS).unwrap_or_default(),
        "pdf" if bytes.starts_with(b"%PDF") => pdf(bytes).unwrap_or_default(),
        "txt" | "md" | "csv" | "ics" => plain(bytes),
        _ if content_type == "text/plain" => plain(bytes),
        _ if content_type == "application/pdf" && bytes.starts_with(b"%PDF") => pdf(bytes).unwrap_or_default(),
        _ => String::new(),
    }
}

fn plain(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(TEXT_OCTETS)]).into_owned()
}

/// This program, if it is itself; a test's own program is not asked to be a reader of documents.
fn program() -> Option<PathBuf> {
    std::env::current_exe().ok().filter(|path| path.file_stem().is_some_and(|stem| stem == "enlace"))
}

fn pdf(bytes: &[u8]) -> Option<String> {
    let mut child = Command::new(program()?)
        .arg("pdf-text")
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let (mut input, mut output) = (child.stdin.take()?, child.stdout.take()?);
    let bytes = bytes.to_vec();
    // A child that reads nothing makes the writer wait until the child is gone.
    thread::spawn(move || input.write_all(&bytes));
    let reader = thread::spawn(move || {
        let mut text = Vec::new();
        let _ = output.by_ref().take(TEXT_OCTETS as u64).read_to_end(&mut text);
        text
    });
    let begun = Instant::now();
    let ended = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status.success(),
            Ok(None) if begun.elapsed() < WITHIN => thread::sleep(Duration::from_millis(20)),
            _ => break false,
        }
    };
    if !ended {
        let _ = child.kill();
        let _ = child.wait();
        return None;
    }
    reader.join().ok().map(|text| String::from_utf8_lossy(&text).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_has_no_text() {
        assert_eq!(text_of("notes.txt", "text/plain", b"Hola"), "Hola");
        assert_eq!(text_of("x", "text/plain", b"Hola"), "Hola");
        for (name, kind, bytes) in [
            ("a.docx", "application/octet-stream", &b"PK\x03\x04rubbish"[..]),
            ("a.pdf", "application/pdf", b"no pdf"),
            ("a.exe", "application/octet-stream", b"MZ"),
        ] {
            assert_eq!(text_of(name, kind, bytes), "", "{name}");
        }
    }
}
