//! Gives events their places and tells programs of them: what the flow of webhooks does, step by step.
//!
//! Everything here may be cut off anywhere and done again: an event that has its place already gets it a second time at worst, and an
//! event that arrived without being noted as arrived arrives again, with the same identifier.

use chrono::TimeDelta;
use tracing::{info, warn};

use super::record::{self, EVENTS, Event, FEED, FEEDS, Feed, NEW, Once, PAGE, State};
use super::tell;
use crate::config::Backend;
use crate::domain::reason::Rule;
use crate::domain::subscription::SubscriptionState;
use crate::domain::webhook;
use crate::measure;
use crate::service::{Failure, Services};
use crate::store::record::encode;
use crate::webhook::{Client, Delivery, Undelivered};

/// What was noted and not done within that time was not done at all.
const UNDONE_AFTER: TimeDelta = TimeDelta::minutes(10);

/// Is it this process's turn? Others wait until its lease is over; with the embedded store there is no other.
///
/// `holder` is a number of this process. Two nodes whose clocks differ by more than the lease may both have their turn: a program is
/// then told twice, under one identifier.
///
/// # Errors
/// When the store fails.
pub async fn lead(services: &Services, holder: u64) -> Result<bool, Failure> {
    if !record::any(services).await? {
        return Ok(false);
    }
    if services.config.store.backend == Backend::Sled {
        return Ok(true);
    }
    let (version, feed) = record::feed(services).await?;
    let now = services.now();
    let lease = TimeDelta::from_std(services.config.store.lease.0).unwrap_or(TimeDelta::MAX);
    if feed.holder == holder && feed.until.is_some_and(|until| until - now > lease / 2) {
        return Ok(true);
    }
    if feed.holder != holder && feed.until.is_some_and(|until| until > now) {
        return Ok(false);
    }
    let feed = Feed { holder, until: Some(now + lease), ..feed };
    Ok(services.store.put_entry(FEEDS, FEED, version, encode(&feed)?).await?.is_some())
}

/// Gives up the turn at an orderly end, so that another node need not wait.
///
/// # Errors
/// When the store fails.
pub async fn resign(services: &Services, holder: u64) -> Result<(), Failure> {
    let (version, feed) = record::feed(services).await?;
    if feed.holder == holder && feed.until.is_some() {
        services.store.put_entry(FEEDS, FEED, version, encode(&Feed { until: None, ..feed })?).await?;
    }
    Ok(())
}

/// Gives what was noted its place in order; returns how many events got one.
///
/// # Errors
/// When the store fails; the rest is placed later.
pub async fn place(services: &Services) -> Result<usize, Failure> {
    let mut noted: Vec<Event> = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let page = services.store.entries(NEW, after.as_deref(), PAGE).await?;
        let Some((last, ..)) = page.last() else { break };
        after = Some(last.clone());
        for (key, _, bytes) in &page {
            let event = record::read(key, bytes)?;
            if is_done(services, &event).await? {
                noted.push(event);
            } else if services.now() - event.at > UNDONE_AFTER {
                services.store.remove_entry(NEW, key).await?;
            }
        }
    }
    if noted.is_empty() {
        return Ok(0);
    }
    noted.sort_by(|one, other| (one.at, &one.id).cmp(&(other.at, &other.id)));
    let (version, feed) = record::feed(services).await?;
    let first = record::place_at(services.now()).max(feed.last + 1);
    let last = first + noted.len() as u64 - 1;
    // The places are taken before they are filled, so that nobody else fills them; a gap after a crash means nothing.
    if services.store.put_entry(FEEDS, FEED, version, encode(&Feed { last, ..feed })?).await?.is_none() {
        return Ok(0);
    }
    let count = noted.len();
    for (place, event) in (first..).zip(noted) {
        let bytes = encode(&event)?;
        services.store.put_entry(EVENTS, &record::key(place), 0, bytes).await?;
        services.store.remove_entry(NEW, &event.id).await?;
    }
    Ok(count)
}

async fn is_done(services: &Services, event: &Event) -> Result<bool, Failure> {
    let Some(Once::Bouncing(group, account)) = &event.once else { return Ok(true) };
    let subscription = services.store.subscription(group, *account).await?;
    Ok(subscription
        .is_some_and(|subscription| matches!(&subscription.state, SubscriptionState::Suspended(reason) if reason.rule == Rule::Bouncing)))
}

/// Names of the webhooks for which an event waits whose time has come.
///
/// # Errors
/// When the store fails.
pub async fn waiting(services: &Services) -> Result<Vec<String>, Failure> {
    let mut names = Vec::new();
    let now = services.now();
    for hook in record::hooks(services).await? {
        let (_, state) = record::state(services, &hook.name).await?;
        let due = state.disabled.is_none() && state.next.is_none_or(|next| next <= now);
        if due && !record::behind(services, state.cursor, 1).await?.is_empty() {
            names.push(hook.name);
        }
    }
    Ok(names)
}

/// Tells one program what it has not been told, in order, until nothing is left or it fails.
///
/// # Errors
/// When the store fails.
pub async fn advance(services: &Services, client: &Client, name: &str) -> Result<(), Failure> {
    'look: loop {
        let Some(hook) = record::hook(services, name).await? else { return Ok(()) };
        let (mut version, mut state) = record::state(services, name).await?;
        if state.disabled.is_some() || state.next.is_some_and(|next| next > services.now()) {
            return Ok(());
        }
        let events = record::behind(services, state.cursor, PAGE).await?;
        let Some((last, _)) = events.last() else { return Ok(()) };
        let last = *last;
        for (place, event) in events {
            if !hook.wanted.covers(event.kind, &event.groups) {
                continue;
            }
            let now = services.now();
            let delivery = Delivery { url: &hook.url, secret: &hook.secret, id: &event.id, seconds: now.timestamp(), body: &event.body };
            let result = client.send(delivery).await;
            measure::webhook(result.is_ok());
            let after = after(services, &state, place, &result);
            let Some(written) = record::put_state(services, name, version, &after).await? else { continue 'look };
            if let Err(why) = result {
                warn!(webhook = name, event = %event.id, "Could not tell a program of {}: {why}", event.kind);
                if after.disabled.is_some() {
                    tell::disabled(services, &hook, &after).await?;
                }
                return Ok(());
            }
            info!(webhook = name, event = %event.id, "Told a program of {}", event.kind);
            (version, state) = (written, after);
        }
        // What is behind the last wanted event is passed over.
        if state.cursor < last {
            let passed = State { cursor: last, ..state };
            record::put_state(services, name, version, &passed).await?;
        }
    }
}

/// The state after a try.
fn after(services: &Services, before: &State, place: u64, result: &Result<(), Undelivered>) -> State {
    let now = services.now();
    match result {
        Ok(()) => State {
            cursor: place,
            delivered: before.delivered + 1,
            delivered_at: Some(now),
            failures: 0,
            failing_since: None,
            said: String::new(),
            next: None,
            disabled: None,
        },
        Err(why) => {
            let failures = before.failures.saturating_add(1);
            let since = before.failing_since.unwrap_or(now);
            let patience = TimeDelta::from_std(services.config.webhooks.retry_for.0).unwrap_or(TimeDelta::MAX);
            let over = matches!(why, Undelivered::Gone) || now - since >= patience;
            State {
                failures,
                failing_since: Some(since),
                said: why.to_string(),
                next: (!over).then(|| now + webhook::wait(failures, services.chance())),
                disabled: over.then_some(now),
                ..before.clone()
            }
        }
    }
}

/// Forgets events that are older than `webhooks.keep` says; returns how many.
///
/// # Errors
/// When the store fails.
pub async fn forget(services: &Services) -> Result<usize, Failure> {
    let keep = services.config.webhooks.keep.0;
    if keep.is_zero() {
        return Ok(0);
    }
    let until = record::place_at(services.now() - TimeDelta::from_std(keep).unwrap_or(TimeDelta::MAX));
    let mut forgotten = 0;
    loop {
        let page = services.store.entries(EVENTS, None, PAGE).await?;
        let old: Vec<&String> = page.iter().map(|(key, ..)| key).filter(|key| record::place(key) < until).collect();
        for key in &old {
            services.store.remove_entry(EVENTS, key).await?;
        }
        forgotten += old.len();
        if old.len() < PAGE {
            return Ok(forgotten);
        }
    }
}
