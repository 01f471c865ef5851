//! The text of PDF files, taken out in a process of its own.
//!
//! A PDF is a program for a machine that draws; a broken or hostile one may loop or eat memory. So `enlace pdf-text` reads one
//! file with limits on time and memory, and whatever it does, nothing happens to the service. Only asked where no Word
//! document tells more.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

use crate::mail::statement::{Posted, files};

/// Most files looked into.
const FILES: usize = 4;
/// How long one may take.
const WITHIN: Duration = Duration::from_secs(10);
/// Most octets of text taken.
const TEXT_OCTETS: u64 = 256 * 1024;
/// The hidden command that reads a PDF from standard input.
pub const COMMAND: &str = "pdf-text";

/// Adds the texts of the PDF files where there is no Word document.
pub(super) async fn add_texts(posted: &mut Posted) {
    if posted.files.iter().any(|file| files::is_docx(&file.name, &file.media_type)) {
        return;
    }
    let pdfs = posted.files.iter_mut().filter(|file| files::is_pdf(&file.name, &file.media_type));
    for file in pdfs.take(FILES) {
        match tokio::time::timeout(WITHIN, text(&file.bytes)).await {
            Ok(Ok(text)) if !text.trim().is_empty() => file.text = Some(text),
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::info!(%error, "No text of a PDF file"),
            Err(_) => tracing::info!("The text of a PDF file takes too long"),
        }
    }
}

async fn text(bytes: &[u8]) -> Result<String, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    if program.file_stem().is_none_or(|stem| stem != "enlace") {
        return Err("this program has no such command".into());
    }
    let mut command = Command::new(program);
    command.arg(COMMAND).env_clear().stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
    let mut child = command.spawn().map_err(|error| error.to_string())?;
    let (Some(mut input), Some(output)) = (child.stdin.take(), child.stdout.take()) else { return Err("no pipes".into()) };
    let mut text = Vec::new();
    let write = async {
        // A child that has enough closes its end.
        let _ = input.write_all(bytes).await;
        drop(input);
    };
    let mut output = output.take(TEXT_OCTETS);
    let ((), read) = tokio::join!(write, output.read_to_end(&mut text));
    read.map_err(|error| error.to_string())?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}
