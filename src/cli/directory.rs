//! `enlace directory`: accounts from an LDAP server.

use std::fmt::Write as _;

use super::arguments::Directory;
use super::execute::Context;
use super::group::followed;
use super::report::{Failure, Report, one_line, to_json};
use crate::service;
use crate::service::directory::{self, Sync};
use crate::store::StoreError;

/// Carries it out. A bad entry is listed, the rest is done, and the exit status is 1.
///
/// # Errors
/// When no directory is configured, it cannot be read wholly, the brake holds, or the store fails; nothing is changed then.
pub async fn execute(context: &Context<'_>, command: Directory) -> Result<Report, Failure> {
    let Directory::Sync { force, full, change } = command;
    let report =
        directory::sync(context.services, &context.actor, Sync { force, full, dry_run: change.dry_run }).await.map_err(|failure| {
            let of_directory = matches!(&failure, service::Failure::Store(StoreError::Unavailable(_)));
            let failure = Failure::from(failure);
            if of_directory { Failure { remedy: "`enlace check` tries the directory".into(), ..failure } } else { failure }
        })?;
    let mut text = String::new();
    for line in &report.accounts.changes {
        let _ = writeln!(text, "{}", one_line(line));
    }
    for warning in &report.accounts.warnings {
        let _ = writeln!(text, "warning: {}", one_line(warning));
    }
    let verb = if change.dry_run { "would be " } else { "" };
    let _ = writeln!(
        text,
        "{} people in the directory, {} looked at{}: {} {verb}added, {} {verb}changed, {} {verb}removed, {} as they are, {} without address",
        report.present,
        report.looked_at,
        if report.incremental { " (changed since the last time)" } else { "" },
        report.accounts.added,
        report.accounts.changed,
        report.accounts.removed,
        report.accounts.unchanged,
        report.without_address
    );
    followed(&report.accounts.rejudged, &mut text);
    let problems =
        report.accounts.problems.iter().map(|problem| format!("{}: {}; {}", problem.file, problem.text, problem.remedy)).collect();
    Ok(Report::new(text, to_json(&report)?).with_problems(problems))
}
