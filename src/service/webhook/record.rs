//! Webhooks and events as they lie in the store: registers of their own.
//!
//! `webhook` has who is told, `webhook-state` how far each is, `event-new` what happened in no order, `event` the same in the order
//! in which it is told. An event gets its place from one node at a time, so that a cursor never passes one that is still being written.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::domain::group::GroupCode;
use crate::domain::id::AccountId;
use crate::domain::webhook::{EventKind, Wanted};
use crate::service::{Failure, Services};
use crate::store::record::{decode, encode};

/// Register of webhooks, by name.
pub(super) const HOOKS: &str = "webhook";
/// Register of how far each is, by name.
pub(super) const STATES: &str = "webhook-state";
/// Register of events without a place, by identifier.
pub(super) const NEW: &str = "event-new";
/// Register of events in order, by place.
pub(super) const EVENTS: &str = "event";
/// Register with the one entry [`FEED`].
pub(super) const FEEDS: &str = "event-feed";
/// Its key.
pub(super) const FEED: &str = "feed";
/// Entries read at a time.
pub(super) const PAGE: usize = 200;

/// A program that is told of events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hook {
    /// What it is called; one at a time has a name.
    pub name: String,
    /// Where it listens.
    pub url: String,
    /// What it wants to know.
    pub wanted: Wanted,
    /// What its events are signed with.
    pub(super) secret: String,
    /// When it was added.
    pub created: DateTime<Utc>,
    /// Who added it.
    pub by: String,
}

/// How far a webhook is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Place of the last event that arrived, or is not wanted.
    pub cursor: u64,
    /// Events that arrived, repetitions counted.
    pub delivered: u64,
    /// When the last one did.
    pub delivered_at: Option<DateTime<Utc>>,
    /// Failures since then.
    pub failures: u32,
    /// When the first of them was.
    pub failing_since: Option<DateTime<Utc>>,
    /// What came of the last one.
    pub said: String,
    /// When it is tried again.
    pub next: Option<DateTime<Utc>>,
    /// Since when it rests until somebody enables it.
    pub disabled: Option<DateTime<Utc>>,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// The same for the same thing, however often it is noted or told.
    pub id: String,
    /// What.
    pub kind: EventKind,
    /// In which groups.
    pub groups: Vec<GroupCode>,
    /// When it was noted.
    pub at: DateTime<Utc>,
    /// JSON, as it is sent.
    pub body: String,
    /// What the record must show before it is told: it was noted before it was done.
    pub(super) once: Option<Once>,
}

/// What makes an event true that was noted before it was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Once {
    /// This subscription rests because mail came back.
    Bouncing(GroupCode, AccountId),
}

/// Who gives events their places, and the last one given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Feed {
    pub(super) last: u64,
    pub(super) holder: u64,
    pub(super) until: Option<DateTime<Utc>>,
}

/// The key of a place; keys sort as places do.
pub(super) fn key(place: u64) -> String {
    format!("{place:016x}")
}

/// The place of a key.
pub(super) fn place(key: &str) -> u64 {
    u64::from_str_radix(key, 16).unwrap_or(0)
}

/// The first place that an event of this instant or later can have.
pub(super) fn place_at(at: DateTime<Utc>) -> u64 {
    u64::try_from(at.timestamp_millis()).unwrap_or(0) << 20
}

/// One webhook.
pub(super) async fn hook(services: &Services, name: &str) -> Result<Option<Hook>, Failure> {
    match services.store.entry(HOOKS, name).await? {
        Some((_, bytes)) => Ok(Some(decode(&format!("the webhook {name}"), &bytes)?)),
        None => Ok(None),
    }
}

/// All webhooks, by name.
pub(super) async fn hooks(services: &Services) -> Result<Vec<Hook>, Failure> {
    let mut hooks = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let page = services.store.entries(HOOKS, after.as_deref(), PAGE).await?;
        let Some((last, ..)) = page.last() else { return Ok(hooks) };
        after = Some(last.clone());
        for (name, _, bytes) in &page {
            hooks.push(decode(&format!("the webhook {name}"), bytes)?);
        }
    }
}

/// Is there any? Without one nothing is noted.
pub(super) async fn any(services: &Services) -> Result<bool, Failure> {
    Ok(!services.store.entries(HOOKS, None, 1).await?.is_empty())
}

/// How far a webhook is, with the version of the record.
pub(super) async fn state(services: &Services, name: &str) -> Result<(u64, State), Failure> {
    match services.store.entry(STATES, name).await? {
        Some((version, bytes)) => Ok((version, decode(&format!("the state of the webhook {name}"), &bytes)?)),
        None => Ok((0, State::default())),
    }
}

/// Writes it; `None` when somebody else was first.
pub(super) async fn put_state(services: &Services, name: &str, version: u64, state: &State) -> Result<Option<u64>, Failure> {
    Ok(services.store.put_entry(STATES, name, version, encode(state)?).await?)
}

/// The feed with the version of its record.
pub(super) async fn feed(services: &Services) -> Result<(u64, Feed), Failure> {
    match services.store.entry(FEEDS, FEED).await? {
        Some((version, bytes)) => Ok((version, decode("the feed of events", &bytes)?)),
        None => Ok((0, Feed::default())),
    }
}

/// Events behind a place, in order.
pub(super) async fn behind(services: &Services, place_before: u64, limit: usize) -> Result<Vec<(u64, Event)>, Failure> {
    let page = services.store.entries(EVENTS, Some(&key(place_before)), limit).await?;
    page.into_iter().map(|(key, _, bytes)| Ok((place(&key), read(&key, &bytes)?))).collect()
}

/// An event from its bytes.
pub(super) fn read(key: &str, bytes: &[u8]) -> Result<Event, Failure> {
    Ok(decode(&format!("the event {key}"), bytes)?)
}
