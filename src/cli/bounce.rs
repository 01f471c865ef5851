//! `enlace bounce`: what came back, read and scored.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::arguments::Bounce;
use super::execute::Context;
use super::group::group_code;
use super::report::{Answer, Failure, Report, Table, json_row, one_line, to_json};
use crate::domain::address::EmailAddress;
use crate::mail::message::to_crlf;
use crate::mail::report;
use crate::service::bounce::{self, BounceRow};

/// Carries it out.
///
/// # Errors
/// When there is no such group or address, or the store fails.
pub async fn execute(context: &Context<'_>, command: Bounce) -> Result<Report, Failure> {
    let services = context.services;
    match command {
        Bounce::List { code } => {
            let code = code.map(|code| group_code(&code)).transpose()?;
            if let Some(code) = &code {
                services.group(code)?;
            }
            let rows = bounce::list(services, code.as_ref()).await?;
            let mut text = table(&rows).or("No mail came back");
            for incident in bounce::incidents(services, &rows).await? {
                let since = incident.since.format("%Y-%m-%d %H:%MZ");
                let _ = writeln!(
                    text,
                    "{} fails for many since {since} ({}); nobody there is scored",
                    incident.provider,
                    one_line(&incident.text)
                );
            }
            Ok(Report::new(text, to_json(&rows)?))
        }
        Bounce::Reset { address, change } => {
            let address: EmailAddress =
                address.parse().map_err(|error| Failure::new(error, "give one address, such as ana@example.org"))?;
            let rows = bounce::reset(services, &context.actor, &address, change.dry_run).await?;
            let mut text = String::new();
            for row in &rows {
                let done = if change.dry_run { "would be" } else { "is" };
                let reason = row.reason.as_deref().map(|reason| format!(": {}", one_line(reason))).unwrap_or_default();
                let _ = writeln!(
                    text,
                    "{} in {}: the score {done} forgotten; the subscription {done} {}{reason}",
                    row.address, row.group, row.state
                );
            }
            if rows.is_empty() {
                let _ = writeln!(text, "No mail of {address} came back");
            }
            Ok(Report::new(text, json!({ "address": address.as_str(), "groups": to_json(&rows)?, "dry_run": change.dry_run })))
        }
        Bounce::Parse { .. } => Err(Failure::usage("this command is not one for a running daemon")),
    }
}

fn table(rows: &[BounceRow]) -> Table {
    let mut table = Table::new(["address", "group", "score", "class", "failures", "last", "state", "diagnostic"]);
    for row in rows {
        let state = match (row.frozen, row.probed) {
            (true, _) => format!("{}, frozen", row.state),
            (_, Some(_)) if row.state == "active" => "active, probed".to_owned(),
            _ => row.state.to_owned(),
        };
        table.row([
            row.address.clone(),
            row.group.clone(),
            format!("{:.1}/{:.0}", row.score, row.limit),
            row.class.to_owned(),
            row.failures.to_string(),
            row.last.format("%Y-%m-%d %H:%MZ").to_string(),
            state,
            row.diagnostic.clone(),
        ]);
    }
    table
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
