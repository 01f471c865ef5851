//! `enlace account`: people of the directory.

use std::fmt::Write as _;

use serde_json::json;

use super::arguments::{Account, Part};
use super::execute::Context;
use super::group::{followed, shown};
use super::report::{Failure, Report, Table, json_line, one_line, to_json};
use crate::domain::address::EmailAddress;
use crate::domain::id::AccountId;
use crate::service::account::{self, AccountChange, AccountReport, AccountRow, ImportReport, Manner};
use crate::service::password;

/// Most accounts of a part of the list.
const MOST: usize = 1_000;

/// The mark behind which a part of a list begins.
///
/// # Errors
/// When it is none.
pub(super) fn account_id(text: &str) -> Result<AccountId, Failure> {
    text.parse().map_err(|error: String| Failure::new(error, "take the mark that the part before ended with"))
}

/// Carries it out. Wrong rows of an import are listed, the rest is done, and the exit status is 1.
///
/// # Errors
/// When nobody has the address, the file's header or a field is wrong, a synchronisation would remove too many, or the store fails.
pub async fn execute(context: &Context<'_>, command: Account) -> Result<Report, Failure> {
    let (services, actor) = (context.services, context.actor.clone());
    match command {
        Account::Import { file, sync, force, readmit, change } => {
            let manner = Manner { sync, force, dry_run: change.dry_run, readmit };
            let report = account::import(services, &actor, context.file(&file)?, &shown(&file), manner).await?;
            Ok(Report::new(imported(&report), to_json(&report)?).with_problems(report.problems.iter().map(ToString::to_string).collect()))
        }
        Account::List { part: Part { limit: Some(limit), after } } => {
            let after = after.map(|after| account_id(&after)).transpose()?;
            let (rows, next) = account::page(services, after, limit.clamp(1, MOST)).await?;
            let json = json!({ "items": to_json(&rows)?, "next": next.map(|next| next.to_string()) });
            Ok(Report::new(table(&rows).or("Nobody is left"), json))
        }
        Account::List { .. } => {
            let rows = account::list(services).await?;
            Ok(Report::new(table(&rows).or("There are no accounts; `enlace account import FILE.csv` adds them"), to_json(&rows)?))
        }
        Account::Show { address } => {
            let report = account::show(services, &parsed(&address)?).await?;
            Ok(Report::new(described(&report)?, to_json(&report)?))
        }
        Account::Set { address, fields, change } => {
            changed(&account::set(services, &actor, &parsed(&address)?, &fields, change.dry_run).await?)
        }
        Account::Suspend { address, reason, change } => {
            changed(&account::suspend(services, &actor, &parsed(&address)?, &reason, change.dry_run).await?)
        }
        Account::Password { address, generate, clear, change } => {
            let address = parsed(&address)?;
            let done = if clear {
                password::clear(services, &actor, &address, change.dry_run).await?
            } else if generate {
                password::set(services, &actor, &address, None, change.dry_run).await?
            } else {
                let given = context.file(std::path::Path::new("-"))?;
                let given = String::from_utf8(given.to_vec()).map_err(|_| Failure::new("the password is not UTF-8", "type another one"))?;
                password::set(services, &actor, &address, Some(given.trim_end_matches(['\r', '\n'])), change.dry_run).await?
            };
            let dry_run = if done.dry_run { " (dry run, nothing was changed)" } else { "" };
            let shown = done.password.as_ref().map(|password| format!("\n{password}")).unwrap_or_default();
            let text = format!("{}: password {}{dry_run}{shown}\n", one_line(&done.address), done.change);
            Ok(Report::new(text, to_json(&done)?))
        }
        Account::Erase { address, change } => changed(&account::erase(services, &actor, &parsed(&address)?, change.dry_run).await?),
        Account::Export { address } => {
            let all = account::export(services, &parsed(&address)?).await?;
            Ok(Report::new(json_line(&all), all))
        }
    }
}

fn parsed(address: &str) -> Result<EmailAddress, Failure> {
    address.parse().map_err(|error| Failure::new(error, "`enlace account list` shows all"))
}

fn imported(report: &ImportReport) -> String {
    let mut text = String::new();
    for line in &report.changes {
        let _ = writeln!(text, "{}", one_line(line));
    }
    for warning in &report.warnings {
        let _ = writeln!(text, "warning: {}", one_line(warning));
    }
    let dry_run = if report.dry_run { " (dry run, nothing was changed)" } else { "" };
    let _ = writeln!(
        text,
        "{} read: {} added, {} changed, {} as before, {} removed, {} rows wrong{dry_run}",
        report.read,
        report.added,
        report.changed,
        report.unchanged,
        report.removed,
        report.problems.len()
    );
    followed(&report.rejudged, &mut text);
    text
}

fn changed(change: &AccountChange) -> Result<Report, Failure> {
    let dry_run = if change.dry_run { " (dry run, nothing was changed)" } else { "" };
    let mut text = format!("{}: {}{dry_run}\n", one_line(&change.address), change.change);
    for field in &change.fields {
        let _ = writeln!(text, "  {}", one_line(field));
    }
    followed(&change.rejudged, &mut text);
    Ok(Report::new(text, to_json(change)?))
}

fn table(rows: &[AccountRow]) -> Table {
    let mut table = Table::new(["address", "name", "kind", "category", "country", "standing", "confirmed"]);
    for row in rows {
        let word = |value: serde_json::Value| value.as_str().map(ToOwned::to_owned).unwrap_or_default();
        table.row([
            row.address.clone(),
            row.name.clone(),
            word(serde_json::json!(row.kind)),
            word(serde_json::json!(row.category)),
            word(serde_json::json!(row.country)),
            row.standing.to_owned(),
            match (&row.confirm_by, &row.confirmed) {
                (Some(by), _) => format!("no, asked until {by}"),
                (None, Some(day)) => day.clone(),
                (None, None) => String::new(),
            },
        ]);
    }
    table
}

fn described(report: &AccountReport) -> Result<String, Failure> {
    let mut table = Table::plain();
    if let serde_json::Value::Object(fields) = to_json(&report.account)? {
        for (key, value) in fields {
            let value = match value {
                serde_json::Value::String(text) => text,
                serde_json::Value::Null => continue,
                serde_json::Value::Array(items) => items
                    .iter()
                    .map(|item| item.as_str().map_or_else(|| item.to_string(), ToOwned::to_owned))
                    .collect::<Vec<_>>()
                    .join(", "),
                other => other.to_string(),
            };
            table.row([key, value]);
        }
    }
    for subscription in &report.subscriptions {
        let reason = subscription.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
        table.row([format!("in {}", subscription.group), format!("{}{reason}", subscription.state)]);
    }
    Ok(table.to_string())
}
