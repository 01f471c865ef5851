//! `enlace meeting`: dated events with their plan of notices.

use std::fmt::Write as _;

use serde_json::json;

use super::arguments::{Change, Meeting};
use super::execute::Context;
use super::group::{group_code, shown, utf8};
use super::report::{Failure, Report, Table, one_line, to_json};
use crate::domain::address::EmailAddress;
use crate::domain::language::Localized;
use crate::domain::meeting::{Meeting as Record, MeetingId, MeetingStatus};
use crate::service::meeting::{self, Given, view};
use crate::service::{self};

/// Carries it out.
///
/// # Errors
/// When the file has mistakes, there is no such meeting, it was held, or the store fails.
pub async fn execute(context: &Context<'_>, command: Meeting) -> Result<Report, Failure> {
    let (services, actor) = (context.services, context.actor.clone());
    match command {
        Meeting::Apply { file, change } => {
            let text = utf8(context.file(&file)?, &file)?;
            let name = shown(&file);
            let report = meeting::apply(services, &actor, std::path::Path::new(&name), text, change.dry_run).await?;
            let mails = if report.dry_run { mails_text(&report.mails) } else { String::new() };
            Ok(Report::new(format!("{mails}{}", applied(&report)), to_json(&report)?))
        }
        Meeting::List { group } => {
            let group = group.as_deref().map(group_code).transpose()?;
            let lines = meeting::list(services, group.as_ref()).await?;
            let mut table = Table::new(["id", "state", "start", "groups", "place", "title"]);
            for line in &lines {
                let title = best(&line.title);
                table.row([line.id.clone(), line.state.clone(), line.start.clone(), line.groups.join(","), line.place.clone(), title]);
            }
            Ok(Report::new(table.or("There are no meetings; `enlace meeting apply FILE.toml` adds them"), to_json(&lines)?))
        }
        Meeting::Show { id } => {
            let found = meeting::show(services, &parsed(&id)?).await?;
            let json = to_json(&found)?;
            let mut table = Table::plain();
            for (key, value) in json.as_object().into_iter().flatten() {
                table.row([key.clone(), value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned)]);
            }
            Ok(Report::new(table.to_string(), json))
        }
        Meeting::Plan { id } => {
            let plan = meeting::plan(services, &parsed(&id)?).await?;
            let mut table = Table::new(["at", "kind", "state", "reason"]);
            for notice in &plan.notices {
                table.row([notice.local.clone(), notice.kind.clone(), notice.state.clone(), notice.reason.clone()]);
            }
            Ok(Report::new(table.or("No notices"), to_json(&plan)?))
        }
        Meeting::Cancel { id, change } => {
            let before = meeting::find(services, &parsed(&id)?).await?.status;
            let cancelled = meeting::cancel(services, &actor, &parsed(&id)?, change.dry_run).await?;
            taken_back(context, &cancelled, before, "calendars take it back", change).await
        }
        Meeting::Postpone { id, change } => {
            let before = meeting::find(services, &parsed(&id)?).await?.status;
            let postponed = meeting::postpone(services, &actor, &parsed(&id)?, change.dry_run).await?;
            taken_back(context, &postponed, before, "calendars take the dates back", change).await
        }
        Meeting::Withdraw { id, group, change } => {
            let rest = meeting::withdraw(services, &actor, &parsed(&id)?, &group_code(&group)?, change.dry_run).await?;
            acted(context, &rest, "left by that group; its own subscribers get the cancellation", change).await
        }
        Meeting::Letter { id, reference, file, change } => {
            let name = file.as_deref().map(shown);
            let given = given(context, file.as_deref(), name.as_deref())?;
            let changed = meeting::letter(services, &actor, &parsed(&id)?, reference.as_deref(), given, change.dry_run).await?;
            acted(context, &changed, "given its letter", change).await
        }
        Meeting::Report { id, reference, file, url, attendance, change } => {
            let name = file.as_deref().map(shown);
            let file = given(context, file.as_deref(), name.as_deref())?;
            let reported = meeting::Reported { reference: &reference, url: url.as_deref(), file, attendance };
            let changed = meeting::report(services, &actor, &parsed(&id)?, reported, change.dry_run).await?;
            acted(context, &changed, "given its report, which goes to its groups and their parents", change).await
        }
        Meeting::Feed { address, renew } => {
            let parsed: EmailAddress = address.parse().map_err(|error| Failure::new(error, "write it as local@domain"))?;
            let account = services.store.account_by_address(&parsed).await.map_err(service::Failure::from)?;
            let account = account.ok_or_else(|| Failure::new(format!("{parsed} has no account"), "`enlace account list` shows all"))?;
            let link = meeting::feed_link(services, &account, renew).await?;
            if renew {
                services.audit(&context.actor, "calendar renew", None, account.address().to_string()).await?;
            }
            Ok(Report::new(format!("{link}\n"), json!({ "address": account.address(), "link": link })))
        }
        Meeting::Ics { id } => {
            let object = meeting::ics(services, &parsed(&id)?).await?;
            let json = json!({ "id": id, "ics": object });
            Ok(Report::new(object.replace("\r\n", "\n"), json))
        }
    }
}

/// The report of a cancellation or a postponement: who hears of it, and until when it can be stopped.
async fn taken_back(
    context: &Context<'_>,
    meeting: &Record,
    before: MeetingStatus,
    calendars: &str,
    change: Change,
) -> Result<Report, Failure> {
    let state = meeting.status.as_str();
    let out = meeting::goes_out_at(context.services, meeting).await?;
    let what = if before == meeting.status {
        format!("{state} already")
    } else {
        match out {
            Some(at) if at > context.services.now() => format!(
                "{state}; its readers are told at {}, and {calendars}; until then `enlace queue list` shows the notice and `enlace queue drop ID` stops it",
                at.format("%Y-%m-%d %H:%M UTC")
            ),
            Some(_) => format!("{state}; its readers are told, and {calendars}"),
            None => format!("{state}; nobody had heard of it, and nobody is told"),
        }
    };
    acted(context, meeting, &what, change).await
}

/// The report of an act: what became of the meeting, and with `--dry-run` the mails it would bring.
async fn acted(context: &Context<'_>, meeting: &Record, what: &str, change: Change) -> Result<Report, Failure> {
    let tense = if change.dry_run { "would be" } else { "is" };
    let mut text = format!("{} {tense} {what}\n", meeting.id);
    let mut json = json!({
        "id": meeting.id, "state": meeting.status.as_str(), "sequence": meeting.sequence, "dry_run": change.dry_run,
    });
    if change.dry_run {
        let mails = meeting::preview(context.services, meeting).await?;
        text = format!("{}{text}Dry run, nothing was changed\n", mails_text(&mails));
        json["mails"] = to_json(&mails)?;
    }
    Ok(Report::new(text, json))
}

/// A file that the command line names, with its bytes.
fn given<'a>(context: &'a Context<'_>, file: Option<&std::path::Path>, name: Option<&'a str>) -> Result<Option<Given<'a>>, Failure> {
    let (Some(file), Some(name)) = (file, name) else { return Ok(None) };
    Ok(Some(Given { name, bytes: context.file(file)? }))
}

fn mails_text(mails: &[meeting::Preview]) -> String {
    let mut text = String::new();
    for mail in mails {
        let _ = write!(
            text,
            "--- {} [{}]\nTo: {}\nSubject: {}\n",
            one_line(&mail.key),
            mail.language,
            one_line(&mail.to),
            one_line(&mail.subject)
        );
        for file in &mail.files {
            let _ = writeln!(text, "With: {}", one_line(file));
        }
        let _ = write!(text, "\n{}\n", mail.text);
    }
    text
}

fn parsed(id: &str) -> Result<MeetingId, Failure> {
    id.parse().map_err(|error: String| Failure::new(error, "`enlace meeting list` shows all"))
}

fn best(title: &Localized<String>) -> String {
    title.best(&[]).cloned().unwrap_or_default()
}

fn applied(report: &view::Applied) -> String {
    let mut text = String::new();
    for warning in &report.warnings {
        let _ = writeln!(text, "warning: {}", one_line(warning));
    }
    for meeting in &report.meetings {
        let _ = writeln!(text, "{}: {}, {}, sequence {}", one_line(&meeting.id), meeting.change, meeting.state, meeting.sequence);
        for field in &meeting.fields {
            let _ = writeln!(text, "  {}: {} -> {}", field.field, one_line(&field.before), one_line(&field.after));
        }
        for due in &meeting.due {
            let _ = writeln!(text, "  due now: {}", one_line(due));
        }
        if let Some(at) = meeting.goes_out_at {
            let _ = writeln!(
                text,
                "  goes out at {}; until then a changed file applied again takes its place, and `enlace meeting cancel {}` takes it back",
                at.format("%Y-%m-%d %H:%M UTC"),
                one_line(&meeting.id)
            );
        }
    }
    if report.dry_run {
        text.push_str("Dry run, nothing was changed\n");
    }
    text
}
