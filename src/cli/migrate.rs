//! `enlace migrate`: a list of another system.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::archive::imported;
use super::arguments::{Migrate, OldSystem};
use super::control::Step;
use super::execute::Context;
use super::group::group_code;
use super::report::{Failure, Report, Table, one_line, to_json};
use crate::service::migrate::{self, Migration, MigrationReport, System};

/// Most people of one kind that the text names; JSON has all.
const SHOWN: usize = 50;

/// Carries it out. Who is not brought over is listed with the rule, the rest is done, and the exit status is 1.
///
/// # Errors
/// When no such group exists, the files cannot be read, or the store fails.
pub async fn execute(context: &Context<'_>, command: Migrate) -> Result<Report, Failure> {
    let code = group_code(&command.group)?;
    let path = command.path.to_string_lossy().into_owned();
    let mut files = BTreeMap::new();
    for file in context.files {
        let name = file.name.strip_prefix(&path).unwrap_or(&file.name).trim_start_matches('/');
        let name = if name.is_empty() { file.name.rsplit('/').next().unwrap_or_default() } else { name };
        files.insert(name.to_owned(), file.bytes.clone());
    }
    if files.is_empty() {
        return Err(Failure::new(format!("there is nothing to read in {path}"), "name the folder of the list, or its file"));
    }
    let migration = Migration {
        system: match command.system {
            OldSystem::Mailman2 => System::Mailman2,
            OldSystem::Mailman3 => System::Mailman3,
            OldSystem::Sympa => System::Sympa,
            OldSystem::Mlmmj => System::Mlmmj,
        },
        files,
        folder: context.place(&command.path).ok(),
        archive: command.archive.as_deref().map(|archive| context.place(archive)).transpose()?,
        address: command.address,
        create_guests: command.create_guests,
        dry_run: command.change.dry_run,
    };
    let progress = |done, total| (context.progress)(Step { done, total });
    let report = migrate::migrate(context.services, &context.actor, &code, &migration, &progress).await?;
    let problems = report.left_out.iter().map(|left| format!("{}: {} [{}]", left.address, left.text, left.rule)).collect();
    Ok(Report::new(described(&report), to_json(&report)?).with_problems(problems))
}

fn described(report: &MigrationReport) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "{} into {}", report.address.as_deref().unwrap_or("the old list"), report.group);
    let mut table = Table::new(["members", "there", "here"]);
    let (there, here) = (&report.there, &report.here);
    for (name, there, here) in [
        ("each post", there.each, here.each),
        ("digest", there.digest, here.digest),
        ("nothing", there.none, here.none),
        ("mail came back", there.bouncing, here.bouncing),
        ("moderated", there.moderated, here.moderated),
    ] {
        table.row([name.to_owned(), there.to_string(), here.to_string()]);
    }
    text.push_str(&table.to_string());
    if !report.settings.is_empty() {
        let mut table = Table::new(["setting", "there", "here", ""]);
        for line in &report.settings {
            let change = match (line.set, line.same) {
                (true, _) if report.dry_run => "would be set",
                (true, _) => "set",
                (false, true) => "",
                (false, false) => "differs, kept",
            };
            table.row([line.key.to_owned(), line.there.clone(), line.here.clone(), change.to_owned()]);
        }
        text.push_str(&table.to_string());
    }
    let verb = if report.dry_run { "would be " } else { "" };
    let _ = writeln!(
        text,
        "{} {verb}added, {} {verb}changed, {} as they are, {} left out; {} guest accounts, {} who run it, {} bans, {} let through, {} notes of leaving, {} held posts, {} requests",
        report.added,
        report.changed,
        report.unchanged,
        report.left_out.len(),
        report.guests,
        report.staff,
        report.bans,
        report.allowed,
        report.departed,
        report.held,
        report.requests
    );
    if let Some(archive) = &report.archive {
        text.push_str(&imported(archive));
    }
    for warning in report.warnings.iter().take(SHOWN) {
        let _ = writeln!(text, "look at: {}", one_line(warning));
    }
    if report.warnings.len() > SHOWN {
        let _ = writeln!(text, "and {} more; --json has all", report.warnings.len() - SHOWN);
    }
    text
}
