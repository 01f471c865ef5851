//! `enlace backup`: a copy of everything while work goes on. `enlace restore` and `enlace store copy` fill a store that
//! nobody else has open, so they run in the process of the command.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::control::Step;
use super::execute::Context;
use super::report::{Failure, Report, to_json};
use crate::service::backup::{self, BackupReport, CopyReport};
use crate::store::transfer::Inventory;
use crate::store::{Store, StoreError, StoreOptions, open, set_aside};

/// Writes a backup.
///
/// # Errors
/// When the file exists or cannot be written, or the store cannot be read.
pub async fn write(context: &Context<'_>, file: &Path, base: Option<&Path>, dry_run: bool) -> Result<Report, Failure> {
    let services = context.services;
    // Subscribers and accounts are the most; how many mails there are is not known before.
    let total = services.store.account_count().await.map_err(failed)?.saturating_mul(3).max(1000);
    let told = |done: u64| (context.progress)(Step { done, total: total.max(done) });
    if dry_run {
        let items = Inventory::of(services.store.as_ref(), &told).await.map_err(failed)?;
        let items: std::collections::BTreeMap<_, _> = items.0.into_iter().map(|(kind, tally)| (kind, tally.items)).collect();
        let text = format!("Would write {}\n{}", file.display(), lines(&items));
        return Ok(Report::new(text, json!({ "file": file, "items": items, "dry_run": true })));
    }
    let report = backup::write(services.store.as_ref(), services.now(), file, base, &told).await.map_err(|error| {
        let remedy = "the file is written by the daemon when it runs: name a folder that its user may write";
        Failure::new(error, remedy)
    })?;
    // Behind the copy, which is of the instant before.
    services.audit(&context.actor, "backup", None, format!("{} as {}", report.id, file.display())).await?;
    shown("Wrote", &report)
}

fn failed(error: StoreError) -> Failure {
    Failure::new(error, "`enlace check` looks at the store and the disk")
}

fn lines(items: &std::collections::BTreeMap<String, u64>) -> String {
    let mut text = String::new();
    for (kind, count) in items {
        let _ = writeln!(text, "{count:>10} {kind}");
    }
    text
}

fn shown(verb: &str, report: &BackupReport) -> Result<Report, Failure> {
    let base = report.base.as_ref().map(|base| format!(", on top of {base}")).unwrap_or_default();
    let written = report.created.format("%Y-%m-%d %H:%M:%SZ");
    let head = format!("{verb} {} of {written} ({} octets, backup {}{base})\n", report.file.display(), report.octets, report.id);
    Ok(Report::new(head + &lines(&report.items), to_json(report)?))
}

/// What `enlace restore` was asked.
#[derive(Debug, Clone)]
pub struct Restore<'a> {
    /// The backup.
    pub file: &'a Path,
    /// Those that it builds on.
    pub bases: &'a [PathBuf],
    /// Set aside what is there.
    pub force: bool,
    /// Check the files and change nothing.
    pub dry_run: bool,
}

/// Fills the store that the configuration names from a backup.
///
/// # Errors
/// When a file is damaged, the store is not empty or in use, or fails; nothing is changed unless the files are whole.
pub async fn restore(options: &StoreOptions, asked: &Restore<'_>) -> Result<Report, Failure> {
    let refused = |error: crate::service::Failure| Failure::new(error, "");
    let found = backup::check(asked.file, asked.bases).map_err(refused)?;
    if asked.dry_run {
        return shown("Whole is", &found);
    }
    let mut store = open(options.clone()).await.map_err(failed)?;
    let going_on = backup::unfinished(store.as_ref()).await.map_err(refused)? == Some(format!("restore {}", found.id));
    let mut aside = None;
    if !going_on && !backup::is_empty(store.as_ref()).await.map_err(refused)? {
        if !asked.force {
            close(store.as_ref()).await?;
            return Err(Failure::new(
                "the store is not empty",
                "restore into an empty data_dir or database; --force sets an embedded store aside, and empties a database",
            ));
        }
        close(store.as_ref()).await?;
        drop(store);
        aside = set_aside(options).await.map_err(failed)?;
        store = open(options.clone()).await.map_err(failed)?;
    }
    let restored = backup::restore(store.as_ref(), asked.file, asked.bases, &|_| ()).await;
    close(store.as_ref()).await?;
    drop(store);
    let mut report = shown("Restored", &restored.map_err(|error| Failure::new(error, "run the same command again: it goes on"))?)?;
    // Opened once more: what is open in it is read, and any mistake shows now.
    let store = open(options.clone()).await.map_err(failed)?;
    close(store.as_ref()).await?;
    if let Some(aside) = aside {
        let _ = writeln!(report.text, "What was there before is in {}", aside.display());
        report.json["set_aside"] = json!(aside);
    }
    Ok(report)
}

async fn close(store: &dyn Store) -> Result<(), Failure> {
    store.close().await.map_err(failed)
}

/// Copies everything from one store into another, empty one.
///
/// # Errors
/// When one of them is in use, the target holds something else, or both differ in the end.
pub async fn copy(from: &StoreOptions, to: &StoreOptions, dry_run: bool) -> Result<Report, Failure> {
    let source = open(from.clone()).await.map_err(failed)?;
    let target = match open(to.clone()).await {
        Ok(target) => target,
        Err(error) => {
            close(source.as_ref()).await?;
            return Err(Failure::new(format!("the target: {error}"), ""));
        }
    };
    let copied = backup::copy(source.as_ref(), target.as_ref(), dry_run, &|_| ()).await;
    close(source.as_ref()).await?;
    close(target.as_ref()).await?;
    let report: CopyReport =
        copied.map_err(|error| Failure::new(error, "the source is as it was; run the same command again: it goes on"))?;
    let verb = match (dry_run, report.resumed) {
        (true, _) => "Would copy",
        (false, true) => "Copied the rest; both hold the same",
        (false, false) => "Copied; both hold the same",
    };
    Ok(Report::new(format!("{verb}\n{}", lines(&report.items)), to_json(&report)?))
}
