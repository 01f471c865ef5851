//! `enlace audit`: who did what, newest first.

use serde_json::json;

use super::arguments::Audit;
use super::execute::Context;
use super::report::{Failure, Report, Table, to_json};
use crate::domain::group::GroupCode;

/// Carries it out.
///
/// # Errors
/// When the group's code is none, or the store fails.
pub async fn execute(context: &Context<'_>, command: Audit) -> Result<Report, Failure> {
    let group = command.group.as_deref().map(str::parse::<GroupCode>).transpose();
    let group = group.map_err(|error| Failure::new(error, "`enlace group list` shows all"))?;
    let entries = context.services.trail(group.as_ref(), command.limit).await?;
    let mut table = Table::new(["at", "who", "did", "group", "to whom or what"]);
    for entry in &entries {
        table.row([
            entry.at.format("%Y-%m-%d %H:%M:%S UTC").to_string(),
            entry.actor.clone(),
            entry.act.clone(),
            entry.group.as_ref().map(ToString::to_string).unwrap_or_default(),
            entry.detail.clone(),
        ]);
    }
    let rows: Vec<_> = entries
        .iter()
        .map(|entry| json!({ "at": entry.at, "actor": entry.actor, "act": entry.act, "group": entry.group, "detail": entry.detail }))
        .collect();
    Ok(Report::new(table.or("Nothing was done yet"), to_json(&rows)?))
}
