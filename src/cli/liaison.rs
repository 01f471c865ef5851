//! `enlace liaison`: the register of liaison statements, and what is done by hand.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::arguments::{ExportFormat, Liaison, LiaisonFilter};
use super::execute::Context;
use super::group::{shown as file_name, utf8};
use super::report::{Failure, Report, Table, one_line, to_json};
use crate::domain::group::GroupCode;
use crate::domain::liaison::event::State;
use crate::domain::liaison::routing::Withdrawal;
use crate::domain::liaison::statement::{Direction, Purpose};
use crate::domain::liaison::wish::Wish;
use crate::service::Services;
use crate::service::liaison::{self, ExportForm, Filter, Line, Shown};

/// Carries it out.
///
/// # Errors
/// When there is no such statement, a rule refuses, or the store fails.
pub async fn execute(context: &Context<'_>, command: Liaison) -> Result<Report, Failure> {
    let (services, actor) = (context.services, context.actor.clone());
    match command {
        Liaison::List { filter } => {
            let lines = liaison::list(services, &read_filter(services, filter)?).await?;
            Ok(Report::new(table(&lines).or("No such statement; `enlace liaison submit FILE.eml` adds one"), to_json(&lines)?))
        }
        Liaison::Show { id } => {
            let found = liaison::show(services, liaison::find(services, &id).await?, true).await?;
            Ok(Report::new(described(&found), to_json(&found)?))
        }
        Liaison::Submit { file, group, change } => {
            let bytes = context.file(&file)?.to_vec();
            let group = group.map(|code| parsed::<GroupCode>(&code)).transpose()?;
            let submitted = liaison::submit_file(services, &actor, bytes.into(), group, change.dry_run).await?;
            let text = format!("{}\n{}", described(&submitted.shown), submitted.outcome);
            let json = to_json(&submitted.shown)?;
            let problems = submitted.refused.map(|reason| vec![reason.text()]).unwrap_or_default();
            Ok(Report::new(text, json).with_problems(problems))
        }
        Liaison::Correct { id, file, change } => {
            let text = utf8(context.file(&file)?, &file)?.to_owned();
            let id = liaison::find(services, &id).await?;
            liaison::correct(services, &actor, id, &text, change.dry_run).await?;
            after(services, id, &format!("corrected by {}", file_name(&file)), change.dry_run).await
        }
        Liaison::Acknowledge { id, by, change } => {
            let id = liaison::find(services, &id).await?;
            let body = liaison::acknowledge(services, &actor, id, by.as_deref(), change.dry_run).await?;
            after(services, id, &format!("acknowledged by {}", one_line(&body)), change.dry_run).await
        }
        Liaison::Take { id, note, change } => {
            let id = liaison::find(services, &id).await?;
            liaison::take(services, &actor, id, &note, change.dry_run).await?;
            after(services, id, "taken care of", change.dry_run).await
        }
        Liaison::Reassign { id, to, change } => {
            let id = liaison::find(services, &id).await?;
            let to = parsed(&to)?;
            liaison::reassign(services, &actor, id, &to, change.dry_run).await?;
            after(services, id, &format!("reassigned to {to}"), change.dry_run).await
        }
        Liaison::Resend { id, address, change } => {
            let id = liaison::find(services, &id).await?;
            let address = parsed(&address)?;
            liaison::resend(services, &actor, id, &address, change.dry_run).await?;
            after(services, id, &format!("sent again to {address}"), change.dry_run).await
        }
        Liaison::Circulate { id, change } => {
            let id = liaison::find(services, &id).await?;
            liaison::circulate(services, &actor, id, change.dry_run).await?;
            after(services, id, "circulated", change.dry_run).await
        }
        Liaison::Withdraw { id, reason, change } => {
            let id = liaison::find(services, &id).await?;
            let (_, manner) = liaison::withdraw(services, &actor, id, &reason, change.dry_run).await?;
            let what = match manner {
                Withdrawal::Silent => "withdrawn; nobody had got it",
                Withdrawal::Notice => "withdrawn, with a notice to whoever got it",
            };
            after(services, id, what, change.dry_run).await
        }
        Liaison::Answer { id, with, change } => {
            let (id, with) = (liaison::find(services, &id).await?, liaison::find(services, &with).await?);
            liaison::answer(services, &actor, id, with, change.dry_run).await?;
            after(services, id, &format!("answered by {with}"), change.dry_run).await
        }
        Liaison::Close { id, change } => {
            let id = liaison::find(services, &id).await?;
            liaison::close(services, &actor, id, change.dry_run).await?;
            after(services, id, "closed", change.dry_run).await
        }
        Liaison::Export { filter, format } => export(services, &read_filter(services, filter)?, format).await,
        Liaison::Digest { code, address, off, at_once, shown, change } => {
            let wish = if off { None } else { Some(wish(&at_once, &shown)?) };
            let group = parsed::<GroupCode>(&code)?;
            liaison::set_wish(services, &actor, &group, &parsed(&address)?, wish.as_ref(), change.dry_run).await?;
            let how = if off { "each by itself" } else { "as a daily digest" };
            let text = format!("{} takes the statements of {group} {how}\n", one_line(&address));
            Ok(Report::new(
                text,
                json!({ "address": address, "group": group, "digest": !off, "wish": to_json(&wish)?, "dry_run": change.dry_run }),
            ))
        }
    }
}

fn wish(at_once: &str, shown: &[String]) -> Result<Wish, Failure> {
    let failure = |text: String| Failure::new(text, "such as --at-once action,7/12");
    let mut wish = Wish::parse(at_once).map_err(failure)?;
    wish.shown = shown.iter().map(|word| purpose(word)).collect::<Result<_, _>>()?;
    Ok(wish)
}

fn parsed<T: std::str::FromStr>(text: &str) -> Result<T, Failure>
where
    T::Err: std::fmt::Display,
{
    text.parse().map_err(|error: T::Err| Failure::new(error, ""))
}

fn purpose(text: &str) -> Result<Purpose, Failure> {
    let known = Purpose::ALL.into_iter().find(|purpose| purpose.as_str().eq_ignore_ascii_case(text));
    known.ok_or_else(|| Failure::new(format!("\"{}\" is no purpose", text.escape_debug()), "action, comment or information"))
}

fn read_filter(services: &Services, filter: LiaisonFilter) -> Result<Filter, Failure> {
    let direction = |text: String| match text.to_lowercase().as_str() {
        "incoming" => Ok(Direction::Incoming),
        "outgoing" => Ok(Direction::Outgoing),
        _ => Err(Failure::new(format!("\"{}\" is no direction", text.escape_debug()), "incoming or outgoing")),
    };
    let day = |text: String| {
        text.parse().map_err(|_| Failure::new(format!("\"{}\" is no day", text.escape_debug()), "write it such as 2027-01-22"))
    };
    let group = |text: String| {
        let code: GroupCode = parsed(&text)?;
        let found = services.groups().get(&code).is_some();
        found.then_some(code).ok_or_else(|| Failure::new(format!("there is no group {text}"), "`enlace group list` shows all"))
    };
    // As they are written: `7/12`, `ALL/12`, or a study group alone.
    let question = |text: String| {
        let (number, group) = text.trim_start_matches(['Q', 'q']).split_once('/').unwrap_or(("ALL", text.as_str()));
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let group_named = group.bytes().any(|b| b.is_ascii_digit()) || group.eq_ignore_ascii_case("TSAG");
        if (digits(number) || number.eq_ignore_ascii_case("ALL")) && group_named {
            return Ok(text);
        }
        Err(Failure::new(format!("\"{}\" is no Question", text.escape_debug()), "write it such as 7/12"))
    };
    let known = |text: String| {
        let states = State::ALL.map(State::as_str);
        if states.iter().any(|state| state.eq_ignore_ascii_case(&text)) {
            return Ok(text);
        }
        Err(Failure::new(format!("\"{}\" is no state of a statement", text.escape_debug()), states.join(", ")))
    };
    Ok(Filter {
        group: filter.group.map(group).transpose()?,
        direction: filter.direction.map(direction).transpose()?,
        purpose: filter.purpose.map(|text| purpose(&text)).transpose()?,
        state: filter.state.map(known).transpose()?,
        question: filter.question.map(question).transpose()?,
        deadline_from: filter.deadline_from.map(day).transpose()?,
        deadline_to: filter.deadline_to.map(day).transpose()?,
        text: filter.text,
    })
}

async fn export(services: &Services, filter: &Filter, format: Option<ExportFormat>) -> Result<Report, Failure> {
    let form = match format {
        None | Some(ExportFormat::Csv) => ExportForm::Csv,
        Some(ExportFormat::Json) => ExportForm::Json,
        Some(ExportFormat::Mbox) => ExportForm::Mbox,
    };
    let bundle = liaison::export(services, filter, form).await?;
    let text = match &bundle.content {
        Value::String(text) => text.clone(),
        other => format!("{}\n", serde_json::to_string_pretty(other).map_err(|error| Failure::new(error, ""))?),
    };
    let json = match format {
        None => liaison::export(services, filter, ExportForm::Json).await?.content,
        Some(_) => bundle.content,
    };
    Ok(Report::new(text, json))
}

async fn after(services: &Services, id: crate::domain::id::LiaisonId, done: &str, dry_run: bool) -> Result<Report, Failure> {
    let shown = liaison::show(services, id, true).await?;
    let tense = if dry_run { "would be" } else { "is" };
    let text = format!("{} ({id}) {tense} {done}; its state is {}\n", one_line(&shown.name), shown.view.state);
    let mut json = to_json(&shown)?;
    json["done"] = json!(done);
    json["dry_run"] = json!(dry_run);
    Ok(Report::new(text, json))
}

fn table(lines: &[Line]) -> Table {
    let mut table = Table::new(["id", "name", "group", "state", "deadline", "source", "to", "title"]);
    for line in lines {
        table.row([
            line.id.clone(),
            line.name.clone(),
            line.group.clone(),
            line.state.to_owned(),
            line.deadline.map_or_else(|| "-".to_owned(), |day| day.to_string()),
            line.source.clone(),
            line.destinations.join(", "),
            line.title.best(&[]).cloned().unwrap_or_default(),
        ]);
    }
    table
}

fn described(shown: &Shown) -> String {
    let view = &shown.view;
    let mut table = Table::plain();
    let mut row = |key: &str, value: String| {
        if !value.is_empty() {
            table.row([key.to_owned(), value]);
        }
    };
    row("id", view.id.clone());
    row("name", shown.name.clone());
    row("group", view.group.clone());
    row("state", view.state.to_owned());
    row("direction", view.direction.to_owned());
    row("source", view.source.clone());
    for (language, title) in &view.title.0 {
        row(&format!("title {language}"), title.clone());
    }
    for destination in &view.destinations {
        row(&format!("for {}", destination.purpose), destination.name.clone());
    }
    row("questions", view.questions.join(", "));
    row("prepared", view.prepared.clone());
    row(
        "approval",
        view.approval.as_ref().map(|approval| format!("{} ({})", approval.text, approval.level.unwrap_or("no level"))).unwrap_or_default(),
    );
    row("deadline", view.deadline.map(|day| day.to_string()).unwrap_or_default());
    for contact in &view.contacts {
        let parts =
            [contact.name.as_str(), &contact.organisation, &contact.country, &contact.telephone, contact.email.as_deref().unwrap_or("")];
        row("contact", parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", "));
    }
    row("in reply to", view.in_reply_to.clone().unwrap_or_default());
    row("answered by", view.answers.join(", "));
    for edition in &view.editions {
        let files: Vec<&str> = edition.attachments.iter().map(|file| file.name.as_str()).collect();
        row(&format!("edition {}", edition.language), format!("{} characters of text; {}", edition.text.chars().count(), files.join(", ")));
    }
    row("goes out", shown.goes_out_at.map(|at| at.format("%Y-%m-%d %H:%MZ").to_string()).unwrap_or_default());
    for problem in &view.problems {
        row(&format!("{} {}", problem.level, problem.rule), problem.text.clone());
    }
    for route in &shown.routes {
        row("goes to", format!("{} - {}", route.to, route.reason));
    }
    for post in &shown.posts {
        row("went out", format!("{} <{}> {}", post.at.format("%Y-%m-%d %H:%MZ"), post.message_id, post.languages.join(", ")));
    }
    row("page", shown.page.clone());
    let mut text = table.to_string();
    for event in &view.events {
        let _ = writeln!(text, "{}  {}  {}", event.at.format("%Y-%m-%d %H:%MZ"), one_line(&event.by), one_line(&event.what));
    }
    text
}
