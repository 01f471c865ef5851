//! `enlace webhook`: programs that are told what happens.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::arguments::Webhook as Command;
use super::execute::Context;
use super::report::{Failure, Report, Table, one_line};
use crate::domain::webhook::{EventKind, Wanted};
use crate::service::webhook::{self, Hook, Line, Start, State};

/// Most events that are shown at once.
const MOST_EVENTS: usize = 10_000;

/// Carries it out.
///
/// # Errors
/// When a name, address, event or time is wrong, a test does not arrive, or the store fails.
pub async fn execute(context: &Context<'_>, command: Command) -> Result<Report, Failure> {
    let (services, actor) = (context.services, &context.actor);
    match command {
        Command::Add { name, url, events, groups, change } => {
            let wanted = wanted(&events, &groups)?;
            let (hook, secret) = webhook::add(services, actor, &name, &url, wanted, change.dry_run).await?;
            let mut json = described(&hook);
            json["dry_run"] = json!(change.dry_run);
            if change.dry_run {
                return Ok(Report::new(format!("{} would be told\n", one_line(&hook.name)), json));
            }
            json["secret"] = json!(secret);
            let text = format!("{secret}\n\nIt is shown only now. The program checks with it the `webhook-signature` of each request.\n");
            Ok(Report::new(text, json))
        }
        Command::List => {
            let lines = webhook::list(services).await?;
            let mut table = Table::new(["name", "address", "events", "groups", "state", "delivered"]);
            for line in &lines {
                let (events, groups) = (names(&line.hook.wanted.events), names(&line.hook.wanted.groups));
                let all = |list: Vec<String>| if list.is_empty() { "all".to_owned() } else { list.join(" ") };
                let delivered = line.state.delivered.to_string();
                table.row([line.hook.name.clone(), line.hook.url.clone(), all(events), all(groups), said(line), delivered]);
            }
            Ok(Report::new(table.or("There is no webhook"), Value::Array(lines.iter().map(row).collect())))
        }
        Command::Remove { name, change } => {
            let hook = webhook::remove(services, actor, &name, change.dry_run).await?;
            let tense = if change.dry_run { "would be" } else { "is" };
            let mut json = described(&hook);
            json["dry_run"] = json!(change.dry_run);
            Ok(Report::new(format!("{} {tense} removed\n", one_line(&hook.name)), json))
        }
        Command::Test { name, change } if change.dry_run => {
            let line = webhook::list(services).await?.into_iter().find(|line| line.hook.name == name);
            let line = line.ok_or_else(|| service_failure(format!("there is no webhook {name:?}; `enlace webhook list` shows all")))?;
            let json = json!({ "name": name, "url": line.hook.url, "dry_run": true });
            Ok(Report::new(format!("{} would be asked\n", line.hook.url), json))
        }
        Command::Test { name, .. } => {
            let tested = webhook::test(services, &name).await?;
            let json = json!({
                "name": name, "event": tested.id, "arrived": tested.failure.is_none(), "milliseconds": tested.milliseconds,
                "failure": tested.failure, "dry_run": false,
            });
            let text = match &tested.failure {
                None => format!("It arrived within {} ms\n", tested.milliseconds),
                Some(why) => format!("It did not arrive: {why}\n"),
            };
            let problems = tested.failure.map(|why| format!("{name}: {why}"));
            Ok(Report::new(text, json).with_problems(problems.into_iter().collect()))
        }
        Command::Replay { name, since, after, change } => {
            let from = match (since, after) {
                (_, Some(id)) => Start::Behind(id),
                (since, None) => Start::Time(time(&since.unwrap_or_default())?),
            };
            let state = webhook::replay(services, actor, &name, &from, change.dry_run).await?;
            Ok(changed(&name, &state, change.dry_run, "told again"))
        }
        Command::Enable { name, change } => {
            let state = webhook::enable(services, actor, &name, change.dry_run).await?;
            Ok(changed(&name, &state, change.dry_run, "told what it missed"))
        }
        Command::Events { since, limit } => {
            let since = since.map(|since| time(&since)).transpose()?;
            let events = webhook::events(services, since, limit.min(MOST_EVENTS)).await?;
            let mut table = Table::new(["event", "type", "at", "groups"]);
            let mut rows = Vec::new();
            for event in &events {
                let at = event.at.format("%Y-%m-%d %H:%M:%S UTC").to_string();
                table.row([event.id.clone(), event.kind.to_string(), at, names(&event.groups).join(" ")]);
                let content: Value = serde_json::from_str(&event.body).unwrap_or_default();
                rows.push(json!({ "id": event.id, "type": event.kind, "at": event.at, "groups": event.groups, "data": content["data"] }));
            }
            Ok(Report::new(table.or("No event was noted; they are while there is a webhook"), Value::Array(rows)))
        }
    }
}

fn wanted(events: &[String], groups: &[String]) -> Result<Wanted, Failure> {
    let events = events.iter().map(|text| text.trim().parse::<EventKind>()).collect::<Result<Vec<_>, _>>();
    let events = events.map_err(|error| Failure::new(error, "name some of them, or leave --events out for all"))?;
    let groups = groups.iter().map(|text| text.trim().parse()).collect::<Result<Vec<_>, _>>();
    let groups = groups.map_err(|error: String| Failure::new(error, "`enlace group list` shows all"))?;
    Ok(Wanted { events, groups })
}

fn time(text: &str) -> Result<DateTime<Utc>, Failure> {
    text.parse().map_err(|_| Failure::new(format!("{text:?} is no time"), "write it as in 2027-01-15T08:00:00Z"))
}

fn service_failure(text: String) -> Failure {
    crate::service::Failure::NotFound(text).into()
}

fn names<T: ToString>(list: &[T]) -> Vec<String> {
    list.iter().map(ToString::to_string).collect()
}

/// Where it stands, in a word.
fn word(line: &Line) -> &'static str {
    match &line.state {
        state if state.disabled.is_some() => "disabled",
        state if state.failures > 0 => "failing",
        _ if line.behind => "behind",
        _ => "current",
    }
}

fn said(line: &Line) -> String {
    let word = word(line);
    if line.state.said.is_empty() { word.to_owned() } else { format!("{word}: {}", line.state.said) }
}

fn described(hook: &Hook) -> Value {
    json!({
        "name": hook.name, "url": hook.url, "events": hook.wanted.events, "groups": hook.wanted.groups,
        "created": hook.created, "by": hook.by,
    })
}

fn row(line: &Line) -> Value {
    let mut json = described(&line.hook);
    let state = &line.state;
    json["state"] = json!(word(line));
    json["delivered"] = json!(state.delivered);
    json["delivered_at"] = json!(state.delivered_at);
    json["failures"] = json!(state.failures);
    json["failing_since"] = json!(state.failing_since);
    json["next_try"] = json!(state.next);
    json["disabled_at"] = json!(state.disabled);
    json["said"] = json!(state.said);
    json
}

fn changed(name: &str, state: &State, dry_run: bool, what: &str) -> Report {
    let tense = if dry_run { "would be" } else { "is" };
    let json = json!({ "name": name, "disabled_at": state.disabled, "dry_run": dry_run });
    Report::new(format!("{} {tense} {what}\n", one_line(name)), json)
}
