//! `enlace meeting`: dated events with their plan of notices.

use std::fmt::Write as _;

use serde_json::json;

use super::arguments::Meeting;
use super::execute::Context;
use super::group::{shown, utf8};
use super::report::{Failure, Report, Table, one_line, to_json};
use crate::domain::language::Localized;
use crate::domain::meeting::MeetingId;
use crate::service::Actor;
use crate::service::meeting::{self, view};

/// Carries it out.
///
/// # Errors
/// When the file has mistakes, there is no such meeting, it was held, or the store fails.
pub async fn execute(context: &Context<'_>, command: Meeting) -> Result<Report, Failure> {
    let (services, actor) = (context.services, Actor::command_line());
    match command {
        Meeting::Apply { file, change } => {
            let text = utf8(context.file(&file)?, &file)?;
            let name = shown(&file);
            let report = meeting::apply(services, &actor, std::path::Path::new(&name), text, change.dry_run).await?;
            Ok(Report::new(applied(&report), to_json(&report)?))
        }
        Meeting::List => {
            let lines = meeting::list(services, None).await?;
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
            let cancelled = meeting::cancel(services, &actor, &parsed(&id)?, change.dry_run).await?;
            let tense = if change.dry_run { "would be" } else { "is" };
            let text = format!("{} {tense} cancelled; its readers are told, and calendars take it back\n", one_line(&id));
            Ok(Report::new(text, json!({ "id": id, "state": cancelled.status.as_str(), "dry_run": change.dry_run })))
        }
        Meeting::Ics { id } => {
            let object = meeting::ics(services, &parsed(&id)?).await?;
            let json = json!({ "id": id, "ics": object });
            Ok(Report::new(object.replace("\r\n", "\n"), json))
        }
    }
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
    }
    if report.dry_run {
        text.push_str("Dry run, nothing was changed\n");
    }
    text
}
