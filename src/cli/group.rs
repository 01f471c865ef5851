//! `enlace group`: bodies with a list.

use std::fmt::Write as _;
use std::path::Path;

use super::arguments::Group;
use super::execute::Context;
use super::report::{Failure, Report, Table, one_line, to_json};
use crate::domain::group::GroupCode;
use crate::service::group::{self, ApplyReport, GroupChange, GroupReport};
use crate::service::period::{self, NewPeriod, PeriodReport};
use crate::service::rights::Rejudged;
use crate::service::subscribe::{self, RuleReport};

/// Carries it out.
///
/// # Errors
/// When the file has mistakes, no such group exists, or the store fails.
pub async fn execute(context: &Context<'_>, command: Group) -> Result<Report, Failure> {
    let (services, actor) = (context.services, context.actor.clone());
    match command {
        Group::Apply { file, change } => {
            let text = utf8(context.file(&file)?, &file)?;
            let report = group::apply(services, &actor, text, &shown(&file), change.dry_run).await?;
            Ok(Report::new(applied(&report), to_json(&report)?))
        }
        Group::List => {
            let groups = group::list(services);
            let mut table = Table::new(["code", "region", "address", "name"]);
            for line in &groups {
                let name = if line.retired { format!("{} (retired)", line.name) } else { line.name.clone() };
                table.row([line.code.clone(), line.region.unwrap_or("-").to_owned(), line.address.clone(), name]);
            }
            Ok(Report::new(table.or("There are no groups; `enlace group apply config/groups.toml` adds the sample"), to_json(&groups)?))
        }
        Group::Show { code } => {
            let report = group::show(services, &group_code(&code)?).await?;
            Ok(Report::new(described(&report)?, to_json(&report)?))
        }
        Group::Set { code, fields, change } => {
            let done = group::set_fields(services, &actor, &group_code(&code)?, &fields, change.dry_run).await?;
            let mut text = String::new();
            changed(&done, &mut text);
            Ok(Report::new(text, to_json(&done)?))
        }
        Group::Rules { code, from, change } => {
            let code = group_code(&code)?;
            let report = match from {
                Some(file) => {
                    let rules = group::parse_rules(utf8(context.file(&file)?, &file)?, &shown(&file))?;
                    subscribe::replace_rules(services, &actor, &code, &rules, change.dry_run).await?
                }
                None => subscribe::apply_rules(services, &actor, &code, change.dry_run).await?,
            };
            Ok(Report::new(ruled(&report), to_json(&report)?))
        }
        Group::NewPeriod { period, answer_by, group, change } => {
            let wanted = NewPeriod {
                period: period.parse().map_err(|error: String| Failure::new(error, "a period is named by its years"))?,
                answer_by: answer_by
                    .parse()
                    .map_err(|_| Failure::new(format!("\"{}\" is not a date", answer_by.escape_debug()), "write it such as 2029-03-31"))?,
                groups: group.iter().map(|code| group_code(code)).collect::<Result<_, _>>()?,
                dry_run: change.dry_run,
            };
            let report = period::begin(services, &actor, &wanted).await?;
            Ok(Report::new(begun(&report), to_json(&report)?))
        }
        Group::Retire { code, change } => {
            let changed = group::retire(services, &actor, &group_code(&code)?, change.dry_run).await?;
            let tense = if change.dry_run { "would be" } else { "is" };
            let mut text = if changed.change == "unchanged" {
                format!("{} has ended already\n", changed.code)
            } else {
                format!("{} {tense} retired: it keeps its record and takes no more mail\n", changed.code)
            };
            if let Some(draft) = &changed.draft {
                let _ = writeln!(text, "drafted the statement to TSAG: {draft} (`enlace liaison show {draft}`)");
            }
            Ok(Report::new(text, to_json(&changed)?))
        }
    }
}

/// `adds 3, removes 14`, and each with its reason.
fn ruled(report: &RuleReport) -> String {
    let (adds, removes) = if report.dry_run { ("would add", "would remove") } else { ("adds", "removes") };
    let mut text =
        format!("{}: {adds} {}, {removes} {}, warns {}\n", report.group, report.adds.len(), report.removes.len(), report.warned.len());
    for (sign, lines) in [("+", &report.adds), ("-", &report.removes), ("!", &report.warned), (" ", &report.left_out)] {
        for line in lines {
            let _ = writeln!(text, "{sign} {} because {}", one_line(&line.address), one_line(&line.because));
        }
    }
    text
}

/// What a new study period does, list by list and group by group.
fn begun(report: &PeriodReport) -> String {
    let tense = if report.dry_run { "would be" } else { "are" };
    let mut text = String::new();
    for list in &report.lists {
        let _ = writeln!(text, "{}: the list {} becomes {}; its old addresses go on", list.group, list.from, list.to);
    }
    for (code, people) in report.groups.iter().filter(|(_, people)| **people > 0) {
        let _ = writeln!(text, "{code}: {people} subscribers");
    }
    let _ = writeln!(
        text,
        "{}: {} people {tense} asked whether they stay, until {}; {} were asked before",
        report.period, report.asked, report.answer_by, report.asked_before
    );
    text
}

/// A group's acronym as people type it.
///
/// # Errors
/// When it is none.
pub(super) fn group_code(text: &str) -> Result<GroupCode, Failure> {
    text.parse().map_err(|error: String| Failure::new(error, "`enlace group list` shows all"))
}

/// The text of a file that people wrote.
///
/// # Errors
/// When it is not UTF-8; names the line.
pub(super) fn utf8<'a>(bytes: &'a [u8], file: &Path) -> Result<&'a str, Failure> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    std::str::from_utf8(bytes).map_err(|error| {
        let line = bytes[..error.valid_up_to()].split(|byte| *byte == b'\n').count();
        Failure::new(format!("{}:{line}: not UTF-8", shown(file)), "save the file as UTF-8")
    })
}

/// A file as messages name it.
pub(super) fn shown(file: &Path) -> String {
    if file == Path::new("-") { "standard input".to_owned() } else { file.display().to_string() }
}

/// Subscriptions that a change suspended or brought back, one line each.
pub(super) fn followed(rejudged: &[Rejudged], text: &mut String) {
    for change in rejudged {
        let reason = change.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
        let _ = writeln!(text, "  {} in {} is now {}{}", one_line(&change.address), change.group, change.state, one_line(&reason));
    }
}

fn applied(report: &ApplyReport) -> String {
    let mut text = String::new();
    for warning in &report.warnings {
        let _ = writeln!(text, "warning: {}", one_line(warning));
    }
    let unchanged = report.groups.iter().filter(|change| change.change == "unchanged").count();
    for change in report.groups.iter().filter(|change| change.change != "unchanged") {
        changed(change, &mut text);
    }
    let count = report.groups.len() - unchanged;
    let verb = if report.dry_run { "would change" } else { "changed" };
    let _ = writeln!(text, "{count} of {} groups {verb}, {unchanged} as before", report.groups.len());
    followed(&report.rejudged, &mut text);
    text
}

fn changed(change: &GroupChange, text: &mut String) {
    let _ = writeln!(text, "{}: {}", change.code, change.change);
    if let Some(draft) = &change.draft {
        let _ = writeln!(text, "  drafted the statement to TSAG: {draft} (`enlace liaison show {draft}`)");
    }
    if change.change == "changed" {
        for field in &change.fields {
            let _ = writeln!(text, "  {}: {} -> {}", field.field, one_line(&field.from), one_line(&field.to));
        }
    }
}

fn described(report: &GroupReport) -> Result<String, Failure> {
    let mut table = Table::plain();
    if let serde_json::Value::Object(settings) = group::as_written(&report.group).map_err(|error| Failure::new(error, ""))? {
        for (key, value) in settings {
            let value = match value {
                serde_json::Value::String(text) => text,
                serde_json::Value::Null => "-".to_owned(),
                other => other.to_string(),
            };
            table.row([key, value]);
        }
    }
    for (purpose, address) in &report.addresses {
        table.row([format!("address to {purpose}"), address.clone()]);
    }
    for (state, count) in &report.subscribers {
        table.row([format!("subscribers {state}"), count.to_string()]);
    }
    Ok(table.to_string())
}
