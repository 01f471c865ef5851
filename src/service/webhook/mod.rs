//! Webhooks: programs that are told, by a signed POST, what happened (convention "Standard Webhooks").
//!
//! What happened is noted in the record first (`note`), then put in order and told (`feed`), each program by a cursor of its own: in
//! order, at least once, under an identifier that stays. A program that fails is asked again with growing pauses; after
//! `webhooks.retry_for` it rests, operators are told, and its cursor stays where it was, so that `enable` or `replay` loses nothing.

mod feed;
mod note;
mod record;
mod tell;
#[cfg(test)]
mod tests;

use chrono::{DateTime, Utc};
use data_encoding::HEXLOWER;
use serde_json::json;

use super::{Actor, Failure, Services};
use crate::domain::webhook::Wanted;
use crate::store::record::encode;
use crate::webhook::{self, Client, Delivery};
use record::{HOOKS, STATES};

pub use feed::{advance, forget, lead, place, resign, waiting};
pub use note::{planned, suspending};
pub use record::{Event, Hook, State};

/// Longest name, in characters.
const NAME_CHARS: usize = 80;
/// Most webhooks; each has a task of its own.
const MOST: usize = 50;
/// How often a change is made again because another one was first.
const MOST_TRIES: usize = 20;

/// A webhook with how far it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Who is told what.
    pub hook: Hook,
    /// How far it is.
    pub state: State,
    /// Does an event wait for it? Wanted or not.
    pub behind: bool,
}

/// What came of a test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tested {
    /// Identifier that was sent.
    pub id: String,
    /// Milliseconds until the answer.
    pub milliseconds: u64,
    /// Why it did not arrive; `None` when it did.
    pub failure: Option<String>,
}

/// From where on a program is told again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// Events noted at this time or later.
    Time(DateTime<Utc>),
    /// Events behind this one.
    Behind(String),
}

/// Adds a webhook and returns it with its secret, which is never shown again. It is told what happens from now on.
///
/// # Errors
/// When the name is empty, too long or taken, a group is unknown, or the address may not be called.
pub async fn add(
    services: &Services,
    actor: &Actor,
    name: &str,
    url: &str,
    wanted: Wanted,
    dry_run: bool,
) -> Result<(Hook, String), Failure> {
    let name = name.trim();
    let well_formed = |c: char| c.is_alphanumeric() || "-_. ".contains(c);
    if name.is_empty() || name.chars().count() > NAME_CHARS || !name.chars().all(well_formed) {
        return Err(Failure::Invalid(format!("a webhook's name has 1 to {NAME_CHARS} letters, digits, dots, hyphens or blanks")));
    }
    let url = webhook::read_target(url, &services.config.webhooks.allowed_networks).map_err(Failure::Invalid)?;
    for code in &wanted.groups {
        services.group(code)?;
    }
    let all = record::hooks(services).await?;
    if all.iter().any(|hook| hook.name == name) {
        return Err(Failure::Invalid(format!("there is a webhook {name:?} already; remove it or give another name")));
    }
    if all.len() >= MOST {
        return Err(Failure::Invalid(format!("there are {MOST} webhooks already; remove one")));
    }
    let secret = webhook::secret().map_err(Failure::Invalid)?;
    let hook = Hook {
        name: name.to_owned(),
        url: url.to_string(),
        wanted,
        secret: secret.clone(),
        created: services.now(),
        by: actor.name.clone(),
    };
    if dry_run {
        return Ok((hook, String::new()));
    }
    let (_, feed) = record::feed(services).await?;
    let state = State { cursor: feed.last.max(record::place_at(hook.created).saturating_sub(1)), ..State::default() };
    // The state first: a webhook without one would be told everything there is.
    let version = record::state(services, name).await?.0;
    record::put_state(services, name, version, &state).await?;
    if services.store.put_entry(HOOKS, name, 0, encode(&hook)?).await?.is_none() {
        return Err(Failure::Invalid(format!("there is a webhook {name:?} already; remove it or give another name")));
    }
    services.audit(actor, "webhook add", None, format!("{name} {}", hook.url)).await?;
    Ok((hook, secret))
}

/// All webhooks, by name, with how far each is.
///
/// # Errors
/// When the store fails.
pub async fn list(services: &Services) -> Result<Vec<Line>, Failure> {
    let mut lines = Vec::new();
    for hook in record::hooks(services).await? {
        let (_, state) = record::state(services, &hook.name).await?;
        let behind = !record::behind(services, state.cursor, 1).await?.is_empty();
        lines.push(Line { hook, state, behind });
    }
    Ok(lines)
}

/// How many rest after failing for too long.
///
/// # Errors
/// When the store fails.
pub async fn disabled(services: &Services) -> Result<u32, Failure> {
    let mut count = 0;
    for hook in record::hooks(services).await? {
        count += u32::from(record::state(services, &hook.name).await?.1.disabled.is_some());
    }
    Ok(count)
}

/// Ends a webhook at once.
///
/// # Errors
/// When there is none of that name.
pub async fn remove(services: &Services, actor: &Actor, name: &str, dry_run: bool) -> Result<Hook, Failure> {
    let hook = find(services, name).await?;
    if !dry_run {
        services.store.remove_entry(HOOKS, name).await?;
        services.store.remove_entry(STATES, name).await?;
        services.audit(actor, "webhook remove", None, name).await?;
    }
    Ok(hook)
}

/// Sends an event of type `test` at once, whatever the webhook wants, and says what came of it. Changes nothing here.
///
/// # Errors
/// When there is none of that name, or TLS cannot be set up.
pub async fn test(services: &Services, name: &str) -> Result<Tested, Failure> {
    let hook = find(services, name).await?;
    let client = Client::new(&services.config.webhooks).map_err(Failure::Invalid)?;
    let now = services.now();
    let id = format!("evt_{}", HEXLOWER.encode(&[services.chance().to_be_bytes(), now.timestamp_micros().to_be_bytes()].concat()));
    let body = json!({ "type": "test", "timestamp": now, "data": { "webhook": hook.name } }).to_string();
    let delivery = Delivery { url: &hook.url, secret: &hook.secret, id: &id, seconds: now.timestamp(), body: &body };
    let failure = client.send(delivery).await.err().map(|why| why.to_string());
    let milliseconds = u64::try_from((services.now() - now).num_milliseconds()).unwrap_or(0);
    Ok(Tested { id, milliseconds, failure })
}

/// Tells a program again what happened from there on; also ends its rest. Events keep their identifiers.
///
/// # Errors
/// When there is no such webhook, or no such event any more.
pub async fn replay(services: &Services, actor: &Actor, name: &str, from: &Start, dry_run: bool) -> Result<State, Failure> {
    let cursor = match from {
        Start::Time(at) => record::place_at(*at).saturating_sub(1),
        Start::Behind(id) => place_of(services, id).await?,
    };
    let state = change(services, name, dry_run, |state| State {
        cursor,
        delivered: state.delivered,
        delivered_at: state.delivered_at,
        ..State::default()
    })
    .await?;
    if !dry_run {
        services.audit(actor, "webhook replay", None, format!("{name} {from:?}")).await?;
    }
    Ok(state)
}

/// Ends the rest of a webhook that failed for too long; it is told what it missed.
///
/// # Errors
/// When there is no such webhook.
pub async fn enable(services: &Services, actor: &Actor, name: &str, dry_run: bool) -> Result<State, Failure> {
    let state = change(services, name, dry_run, |state| State {
        failures: 0,
        failing_since: None,
        next: None,
        disabled: None,
        said: String::new(),
        ..state.clone()
    })
    .await?;
    if !dry_run {
        services.audit(actor, "webhook enable", None, name).await?;
    }
    Ok(state)
}

/// The latest events that can be replayed, newest first.
///
/// # Errors
/// When the store fails.
pub async fn events(services: &Services, since: Option<DateTime<Utc>>, limit: usize) -> Result<Vec<Event>, Failure> {
    let mut place = since.map_or(0, |since| record::place_at(since).saturating_sub(1));
    let mut latest = std::collections::VecDeque::new();
    loop {
        let page = record::behind(services, place, record::PAGE).await?;
        let Some((last, _)) = page.last() else { return Ok(latest.into_iter().rev().collect()) };
        place = *last;
        for (_, event) in page {
            if latest.len() == limit {
                latest.pop_front();
            }
            latest.push_back(event);
        }
    }
}

async fn place_of(services: &Services, id: &str) -> Result<u64, Failure> {
    let mut place = 0;
    loop {
        let page = record::behind(services, place, record::PAGE).await?;
        let Some((last, _)) = page.last() else {
            return Err(Failure::NotFound(format!("there is no event {id:?} any more; `enlace webhook events` shows all")));
        };
        place = *last;
        if let Some((found, _)) = page.iter().find(|(_, event)| event.id == id) {
            return Ok(*found);
        }
    }
}

async fn find(services: &Services, name: &str) -> Result<Hook, Failure> {
    let found = record::hook(services, name).await?;
    found.ok_or_else(|| Failure::NotFound(format!("there is no webhook {name:?}; `enlace webhook list` shows all")))
}

async fn change(services: &Services, name: &str, dry_run: bool, change: impl Fn(&State) -> State) -> Result<State, Failure> {
    find(services, name).await?;
    for _ in 0..MOST_TRIES {
        let (version, state) = record::state(services, name).await?;
        let changed = change(&state);
        if dry_run || record::put_state(services, name, version, &changed).await?.is_some() {
            return Ok(changed);
        }
    }
    Err(Failure::Invalid(format!("the webhook {name} is being told of too much at this moment; try again")))
}
