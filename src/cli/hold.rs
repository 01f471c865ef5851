//! `enlace hold`: posts that wait for a moderator or for their author.

use serde_json::json;

use super::arguments::{Hold, Part};
use super::execute::Context;
use super::group::group_code;
use super::queue::post_id;
use super::report::{Failure, Report, Table, one_line, to_json};
use crate::domain::address::EmailAddress;
use crate::service::moderate::{self, HeldPost};

/// Carries it out.
///
/// # Errors
/// When no such post is held, or the store fails.
pub async fn execute(context: &Context<'_>, command: Hold) -> Result<Report, Failure> {
    let (services, actor) = (context.services, context.actor.clone());
    match command {
        Hold::List { part: Part { limit: Some(limit), after } } => {
            let after = after.map(|after| post_id(&after)).transpose()?;
            let page = moderate::part(services, None, after, limit.clamp(1, moderate::LOOKED_AT)).await?;
            let rows: Vec<HeldPost> = page.posts.iter().filter_map(moderate::listed).collect();
            let next = page.next.map(|next| next.to_string());
            Ok(Report::new(table(&rows).or("Nothing more is held"), json!({ "items": to_json(&rows)?, "next": next })))
        }
        Hold::List { .. } => {
            let posts = moderate::list(services).await?;
            Ok(Report::new(table(&posts).or("Nothing is held"), to_json(&posts)?))
        }
        Hold::Show { id } => {
            let shown = moderate::show(services, post_id(&id)?).await?;
            let warning =
                shown.looks_like.as_ref().map(|like| format!("\nwarning: the author looks like {}, and is not\n", one_line(like)));
            let text = format!(
                "{}{}\n{}\n",
                table(std::slice::from_ref(&shown.post)),
                warning.unwrap_or_default(),
                shown.text.replace('\r', "").trim_end()
            );
            Ok(Report::new(text, to_json(&shown)?))
        }
        Hold::Release { id, always, change } => {
            let id = post_id(&id)?;
            let post = if always {
                moderate::allow(services, &actor, id, change.dry_run).await?
            } else {
                moderate::release(services, &actor, id, change.dry_run).await?
            };
            done(&post, if post.released { "released" } else { "released by the first of two persons" }, change.dry_run)
        }
        Hold::Reject { id, reason, change } => {
            let post = moderate::reject(services, &actor, post_id(&id)?, &reason, change.dry_run).await?;
            done(&post, "rejected", change.dry_run)
        }
        Hold::Discard { id, change } => {
            let post = moderate::discard(services, &actor, post_id(&id)?, change.dry_run).await?;
            done(&post, "discarded", change.dry_run)
        }
        Hold::Allowed { code } => {
            let code = group_code(&code)?;
            services.group(&code)?;
            let senders = moderate::allowed(services, &code).await?;
            let mut table = Table::new(["address", "by"]);
            for sender in &senders {
                table.row([sender.address.clone(), sender.by.clone()]);
            }
            Ok(Report::new(table.or(&format!("Nobody is always let through to {code}")), to_json(&senders)?))
        }
        Hold::Disallow { code, addresses, change } => disallow(context, &code, &addresses, change.dry_run).await,
    }
}

async fn disallow(context: &Context<'_>, code: &str, addresses: &[String], dry_run: bool) -> Result<Report, Failure> {
    let (services, actor) = (context.services, &context.actor);
    let code = group_code(code)?;
    services.group(&code)?;
    let mut text = String::new();
    let (mut rows, mut problems) = (Vec::new(), Vec::new());
    for address in addresses {
        let known = match address.parse::<EmailAddress>() {
            Ok(sender) => moderate::disallow(services, actor, &code, &sender, dry_run).await?,
            Err(error) => {
                problems.push(format!("{address}: {error}; write it as local@domain"));
                continue;
            }
        };
        rows.push(json!({ "address": address, "done": known, "dry_run": dry_run }));
        if known {
            let tense = if dry_run { "would be" } else { "is" };
            text.push_str(&format!("{} {tense} judged like everybody in {code}\n", one_line(address)));
        } else {
            problems.push(format!("{address} is not always let through to {code}; `enlace hold allowed {code}` shows who is"));
        }
    }
    Ok(Report::new(text, json!(rows)).with_problems(problems))
}

fn done(post: &HeldPost, verb: &str, dry_run: bool) -> Result<Report, Failure> {
    let tense = if dry_run { "would be" } else { "is" };
    let text = format!("{} from {} to {} {tense} {verb}\n", post.id, one_line(&post.from), post.group);
    let mut json = to_json(post)?;
    json["done"] = json!(verb);
    json["dry_run"] = json!(dry_run);
    Ok(Report::new(text, json))
}

fn table(posts: &[HeldPost]) -> Table {
    let mut table = Table::new(["id", "group", "from", "since", "reason", "subject"]);
    for post in posts {
        table.row([
            post.id.clone(),
            post.group.clone(),
            post.from.clone(),
            post.at.format("%Y-%m-%d %H:%MZ").to_string(),
            post.reason.clone(),
            post.subject.clone(),
        ]);
    }
    table
}
