//! `enlace queue`: outgoing mail.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::arguments::Queue;
use super::execute::Context;
use super::report::{Failure, Report, Table, to_json};
use crate::domain::id::PostId;
use crate::service::queue::{self, QueueReport};
use crate::service::{Actor, Services};

/// Carries it out.
///
/// # Errors
/// When there is no such post, or the store fails.
pub async fn execute(context: &Context<'_>, command: Queue) -> Result<Report, Failure> {
    let (services, actor) = (context.services, context.actor.clone());
    match command {
        Queue::List => Ok(listed(&queue::list(services).await?)),
        Queue::Retry { id, change } => {
            let id = id.map(|id| post_id(&id)).transpose()?;
            let batches = queue::retry(services, &actor, id, change.dry_run).await?;
            let text = if change.dry_run { "Would try now what waits\n".to_owned() } else { format!("Tries {batches} batches now\n") };
            Ok(Report::new(text, json!({ "batches": batches, "dry_run": change.dry_run })))
        }
        Queue::Pause { change } => set_paused(services, &actor, true, change.dry_run).await,
        Queue::Resume { change } => set_paused(services, &actor, false, change.dry_run).await,
        Queue::Drop { id, change } => {
            let dropped = queue::drop_post(services, &actor, post_id(&id)?, change.dry_run).await?;
            let verb = if change.dry_run { "Would give up" } else { "Gave up" };
            Ok(Report::new(
                format!("{verb} {dropped} copies of {id}\n"),
                json!({ "id": id, "dropped": dropped, "dry_run": change.dry_run }),
            ))
        }
    }
}

/// The identifier of a post, as lists print it.
///
/// # Errors
/// When it is none.
pub(super) fn post_id(text: &str) -> Result<PostId, Failure> {
    text.parse().map_err(|error: String| Failure::new(error, "`enlace queue list` and `enlace hold list` show identifiers"))
}

async fn set_paused(services: &Services, actor: &Actor, paused: bool, dry_run: bool) -> Result<Report, Failure> {
    let before = queue::is_paused(services).await?;
    queue::set_paused(services, actor, paused, dry_run).await?;
    let text = match (paused, before == paused) {
        (true, true) => "Sending rests already\n",
        (false, true) => "Sending goes on already\n",
        (true, false) => "Sending rests; mail is still taken in. `enlace queue resume` goes on\n",
        (false, false) => "Sending goes on\n",
    };
    let text = if dry_run { format!("Dry run: {text}") } else { text.to_owned() };
    Ok(Report::new(text, json!({ "paused": paused, "changed": before != paused, "dry_run": dry_run })))
}

fn listed(report: &QueueReport) -> Report {
    let counts = &report.counts;
    let mut text = format!(
        "{} planned, {} deferred; {} sent, {} failed, {} bounced, {} suppressed\n",
        counts.planned, counts.deferred, counts.sent, counts.failed, counts.bounced, counts.suppressed
    );
    if report.paused {
        text.push_str("Sending is paused: `enlace queue resume` goes on\n");
    }
    let mut table = Table::new(["id", "groups", "planned", "deferred", "received", "goes out", "subject"]);
    for post in &report.posts {
        table.row([
            post.id.clone(),
            post.groups.join(","),
            post.counts.planned.to_string(),
            post.counts.deferred.to_string(),
            post.received_at.format("%Y-%m-%d %H:%M:%SZ").to_string(),
            post.goes_out.map_or_else(|| "now".to_owned(), |at| at.format("%Y-%m-%d %H:%M:%SZ").to_string()),
            post.subject.clone(),
        ]);
    }
    if !report.posts.is_empty() {
        let _ = write!(text, "\n{table}");
    }
    Report::new(text, to_json(report).unwrap_or(Value::Null))
}
