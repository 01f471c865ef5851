//! `enlace bounce`: what came back, read and scored.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::arguments::Bounce;
use super::execute::Context;
use super::report::{Answer, Failure, Report, json_row, one_line};
use crate::mail::message::to_crlf;
use crate::mail::report;

/// Carries it out.
///
/// # Errors
/// When nobody has the address, or the store fails.
pub fn execute(_context: &Context<'_>, command: &Bounce) -> Result<Report, Failure> {
    match command {
        Bounce::Parse { .. } => Err(Failure::usage("this command is not one for a running daemon")),
    }
}

/// `bounce parse`: a line of JSON for each file that can be read, with and without `--json`; the others are named on standard error.
pub fn parse(files: &[PathBuf], read: impl Fn(&Path) -> std::io::Result<Vec<u8>>) -> Answer {
    let mut answer = Answer::default();
    for file in files {
        match read(file) {
            Ok(bytes) => answer.output.push_str(&json_row(&reading(&file.to_string_lossy(), &bytes))),
            Err(error) => {
                answer.status = 1;
                let _ = writeln!(answer.errors, "error: could not read {}: {error}", one_line(&file.to_string_lossy()));
            }
        }
    }
    answer
}

fn reading(file: &str, bytes: &[u8]) -> Value {
    let report = report::read(&to_crlf(bytes));
    let recipients: Vec<Value> = report
        .recipients
        .iter()
        .map(|recipient| {
            json!({
                "address": recipient.address,
                "class": recipient.class,
                "status": recipient.status,
                "diagnostic": recipient.diagnostic,
            })
        })
        .collect();
    json!({ "file": file, "kind": report.kind(), "recipients": recipients })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_file_gives_one_line_and_one_that_is_missing_hides_no_other() {
        let files = ["a", "missing", "b"].map(PathBuf::from);
        let answer = parse(&files, |path| match path.to_str() {
            Some("missing") => Err(std::io::Error::other("gone")),
            _ => Ok(b"From: x@example.org\nSubject: Hello\n\nnothing\n".to_vec()),
        });
        let lines: Vec<Value> = answer.output.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(
            lines,
            [json!({ "file": "a", "kind": "other", "recipients": [] }), json!({ "file": "b", "kind": "other", "recipients": [] })]
        );
        assert_eq!((answer.status, answer.errors.as_str()), (1, "error: could not read missing: gone\n"));
    }
}
