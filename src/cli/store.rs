//! `enlace store`: the store itself. Runs in the process of the command, never in the daemon, which has the store open.

use std::fmt::Write as _;

use serde_json::json;

use super::report::{Failure, Report};
use crate::store::postgres::{connect, migration};
use crate::store::{StoreError, StoreOptions, go_back};

/// Connections of a command.
const CONNECTIONS: u32 = 4;

fn failed(error: StoreError) -> Failure {
    Failure::new(error, "`enlace check` looks at the store")
}

/// Goes back to the store as it was before this program, or one before it, rewrote it.
///
/// # Errors
/// When no copy is kept, or a process has the store.
pub async fn back(store: &StoreOptions, dry_run: bool) -> Result<Report, Failure> {
    let Some(way) = go_back(store, dry_run).await.map_err(failed)? else {
        return Err(Failure::new(
            "no step has rewritten this store, so there is no copy to go back to",
            "a store of before is also in a backup: `enlace restore`",
        ));
    };
    let (copy, form) = (way.copy.display(), way.form);
    let text = match &way.aside {
        Some(aside) => format!(
            "{copy} is in place again, of form {form}; what was there is set aside in {}. Install the release that wrote it before the next start\n",
            aside.display()
        ),
        None => format!("{copy} would be put in place, of form {form}, and what is there would be set aside\n"),
    };
    Ok(Report::new(text, json!({ "copy": way.copy, "form": form, "aside": way.aside, "dry_run": dry_run })))
}

/// Brings the tables of the database to the version of this program.
///
/// # Errors
/// When the configured store has no tables, the database is away, or it is newer than this program.
pub async fn migrate(store: &StoreOptions, dry_run: bool) -> Result<Report, Failure> {
    let StoreOptions::Postgres { options, .. } = store else {
        return Ok(Report::new(
            "Nothing to migrate: the embedded store brings itself to the version of this program when it is opened\n".to_owned(),
            json!({ "steps": [], "version": null, "dry_run": dry_run }),
        ));
    };
    let pool = connect(&options.url, CONNECTIONS).await.map_err(failed)?;
    let steps = if dry_run { migration::pending(&pool).await } else { migration::migrate(&pool).await };
    pool.close().await;
    let steps = steps.map_err(failed)?;
    let mut text = String::new();
    for step in &steps {
        let _ = writeln!(text, "{} step {} ({})", if dry_run { "Would take" } else { "Took" }, step.version, step.name);
    }
    let _ = writeln!(
        text,
        "The database {} version {}",
        if dry_run && !steps.is_empty() { "would be of" } else { "is of" },
        migration::newest()
    );
    let steps: Vec<_> = steps.iter().map(|step| json!({ "version": step.version, "name": step.name })).collect();
    Ok(Report::new(text, json!({ "steps": steps, "version": migration::newest(), "dry_run": dry_run })))
}
