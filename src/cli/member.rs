//! `enlace member`: subscribers of a group.

use std::fmt::Write as _;
use std::path::Path;

use chrono::NaiveDate;
use clap::ValueEnum;
use serde_json::json;

use super::account::account_id;
use super::arguments::{Member, MemberOptions, Part};
use super::execute::Context;
use super::group::{group_code, shown, utf8};
use super::report::{Failure, Report, Table, one_line, to_json};
use crate::service::subscribe::{self, Invite, MemberReport, MemberRow, MemberSearch, Settings};

/// Most subscribers of a part of the list.
const MOST: usize = 1_000;

/// Carries it out. What the gate refuses is listed, the rest is done, and the exit status is 1.
///
/// # Errors
/// When no such group exists, an option or the file's header is wrong, or the store fails.
pub async fn execute(context: &Context<'_>, command: Member) -> Result<Report, Failure> {
    let (services, actor) = (context.services, context.actor.clone());
    let report = match command {
        Member::Add { code, addresses, options, invite, change } => {
            let code = group_code(&code)?;
            let (addresses, settings, invite) = (named(context, addresses)?, settings(context, &options)?, invitation(invite.as_deref())?);
            subscribe::add(services, &actor, &code, &addresses, &settings, invite, change.dry_run).await?
        }
        Member::Remove { code, addresses, change } => {
            let addresses = named(context, addresses)?;
            subscribe::remove(services, &actor, &group_code(&code)?, &addresses, change.dry_run).await?
        }
        Member::Set { code, addresses, options, change } => {
            let code = group_code(&code)?;
            let (addresses, settings) = (named(context, addresses)?, settings(context, &options)?);
            if settings == Settings::default() {
                return Err(Failure::usage("nothing to set: give --role, --languages, --delivery, --streams or another option"));
            }
            subscribe::set(services, &actor, &code, &addresses, &settings, change.dry_run).await?
        }
        Member::Import { code, file, change } => {
            let bytes = context.file(&file)?;
            subscribe::import(services, &actor, &group_code(&code)?, bytes, &shown(&file), change.dry_run).await?
        }
        Member::List { code, part: Part { limit: Some(limit), after } } => {
            let after = after.map(|after| account_id(&after)).transpose()?;
            let page = subscribe::find(services, &group_code(&code)?, &MemberSearch::default(), after, limit.clamp(1, MOST)).await?;
            let rows: Vec<_> = page.members.into_iter().map(|found| found.row).collect();
            let next = page.next.map(|next| next.to_string());
            return Ok(Report::new(table(&rows).or("Nobody is left"), json!({ "items": to_json(&rows)?, "next": next })));
        }
        Member::List { code, .. } => {
            let rows = subscribe::list(services, &group_code(&code)?).await?;
            return Ok(Report::new(table(&rows).or("Nobody is subscribed"), to_json(&rows)?));
        }
        Member::Export { code } => {
            let code = group_code(&code)?;
            let rows = to_json(&subscribe::list(services, &code).await?)?;
            return Ok(Report::new(subscribe::export(services, &code).await?, rows));
        }
    };
    changed(&report)
}

/// Addresses of the command line; `-` stands for those of standard input: one a line, `Name <address>` too, `#` begins a comment.
fn named(context: &Context<'_>, addresses: Vec<String>) -> Result<Vec<String>, Failure> {
    let mut all = Vec::new();
    for address in addresses {
        if address != "-" {
            all.push(address);
            continue;
        }
        let input = Path::new("-");
        for line in utf8(context.file(input)?, input)?.lines() {
            let line = line.split(" #").next().unwrap_or_default().trim();
            if !line.is_empty() && !line.starts_with('#') {
                let inner = line.strip_suffix('>').and_then(|line| line.rsplit_once('<')).map(|(_, address)| address);
                all.push(inner.unwrap_or(line).to_owned());
            }
        }
    }
    Ok(all)
}

fn settings(context: &Context<'_>, options: &MemberOptions) -> Result<Settings, Failure> {
    let mut settings = Settings::default();
    let delivery = options.delivery.and_then(|choice| choice.to_possible_value()).map(|value| match &options.until {
        Some(until) => format!("{} until {until}", value.get_name()),
        None => value.get_name().to_owned(),
    });
    let yes_or_no = |choice: Option<bool>| choice.map(|choice| if choice { "yes".to_owned() } else { "no".to_owned() });
    let given = [
        ("role", options.role.and_then(|choice| choice.to_possible_value()).map(|value| value.get_name().to_owned())),
        ("languages", options.languages.as_ref().map(|languages| languages.join(","))),
        ("delivery", delivery),
        ("streams", options.streams.as_ref().map(|streams| streams.join(","))),
        ("both", yes_or_no(options.both)),
        ("own_posts", yes_or_no(options.own_posts)),
        ("links", yes_or_no(options.links)),
        ("moderated", yes_or_no(options.moderated)),
        ("plain_digest", yes_or_no(options.plain_digest)),
        ("invitations", yes_or_no(options.invitations)),
        ("absence", options.absence.clone()),
    ];
    for (key, value) in given {
        if let Some(value) = value {
            let option = key.replace('_', "-");
            settings.set(key, &value, &context.services.config).map_err(|text| Failure::new(format!("--{option}: {text}"), ""))?;
        }
    }
    match settings.mistake(context.services.today(), &context.services.config) {
        Some(advice) => Err(Failure::new(advice.to_string(), "give a day that is not over")),
        None => Ok(settings),
    }
}

fn invitation(until: Option<&str>) -> Result<Invite, Failure> {
    match until {
        None => Ok(Invite::No),
        Some("") => Ok(Invite::Until(None)),
        Some(day) => match NaiveDate::parse_from_str(day, "%Y-%m-%d") {
            Ok(day) => Ok(Invite::Until(Some(day))),
            Err(_) => Err(Failure::new(format!("--invite: \"{}\" is not a date", one_line(day)), "write it as 2027-06-30")),
        },
    }
}

fn changed(report: &MemberReport) -> Result<Report, Failure> {
    let mut text = String::new();
    for warning in &report.warnings {
        let _ = writeln!(text, "warning: {}", one_line(warning));
    }
    let mut counts = std::collections::BTreeMap::<&str, usize>::new();
    for line in &report.members {
        *counts.entry(line.outcome).or_default() += 1;
        // The text of what was done begins with the outcome itself.
        let words = line.text.strip_prefix(line.outcome).unwrap_or(&line.text).trim_start_matches(": ");
        let words = if words.is_empty() { String::new() } else { format!(": {}", one_line(words)) };
        let place = line.line.map(|number| format!("line {number}: ")).unwrap_or_default();
        let _ = writeln!(text, "{place}{}: {}{words}", one_line(&line.address), line.outcome);
    }
    let counts: Vec<_> = counts.iter().map(|(outcome, count)| format!("{count} {outcome}")).collect();
    let dry_run = if report.dry_run { " (dry run, nothing was changed)" } else { "" };
    let _ = writeln!(text, "{}: {}{dry_run}", report.group, if counts.is_empty() { "nobody named".to_owned() } else { counts.join(", ") });
    let problems = report.problems().map(|line| {
        let place = line.line.map(|number| format!("line {number}: ")).unwrap_or_default();
        let rule = line.rule.map(|rule| format!(" [{rule}]")).unwrap_or_default();
        format!("{place}{}: {}{rule}", line.address, line.text)
    });
    Ok(Report::new(text, to_json(report)?).with_problems(problems.collect()))
}

fn table(rows: &[MemberRow]) -> Table {
    let mut table = Table::new(["address", "role", "delivery", "languages", "streams", "state", "reason"]);
    for row in rows {
        table.row([
            row.address.clone(),
            row.role.to_owned(),
            row.absence.as_ref().map_or_else(|| row.delivery.clone(), |absence| format!("{}, none {absence}", row.delivery)),
            if row.languages.is_empty() { "-".to_owned() } else { row.languages.join(",") },
            row.streams.join(","),
            row.state.to_owned(),
            row.reason.clone().unwrap_or_default(),
        ]);
    }
    table
}
