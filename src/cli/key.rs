//! `enlace key`: the secrets of all tokens, of which nothing is shown but their age.

use super::arguments::Key;
use super::execute::Context;
use super::report::{Failure, Report, Table, to_json};
use crate::service::keyring;

/// Carries it out.
///
/// # Errors
/// When the store fails.
pub async fn execute(context: &Context<'_>, command: Key) -> Result<Report, Failure> {
    let (services, actor) = (context.services, &context.actor);
    let rows = match command {
        Key::List => keyring::list(services).await?,
        Key::Rotate { change } => keyring::rotate(services, actor, change.dry_run).await?,
        Key::Forget { change } => keyring::forget(services, actor, change.dry_run).await?,
    };
    let mut table = Table::new(["key", "since", "state"]);
    for row in &rows {
        table.row([row.number.to_string(), row.since.format("%Y-%m-%d %H:%M UTC").to_string(), row.state.to_owned()]);
    }
    Ok(Report::new(table.to_string(), to_json(&rows)?))
}
