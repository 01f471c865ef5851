//! Calendars to subscribe to: one a group for everybody, one a person over all her groups.
//!
//! The public one is a page like any other and holds no passcode. The private one has an address that only she knows; it
//! is a token over her account and a number, and asking for a new one counts the number up, which ends the old address.

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use super::{meetings, texts};
use crate::domain::account::Account;
use crate::domain::group::GroupCode;
use crate::domain::id::AccountId;
use crate::domain::language::Language;
use crate::domain::meeting::Meeting;
use crate::domain::mistake::Mistake;
use crate::mail::calendar::{self, Entries, Feed, Method};
use crate::mail::token::Purpose;
use crate::service::robot::language_for;
use crate::service::{Failure, Services};
use crate::store::record::{decode, encode};

/// Register of the numbers of private feeds, by account.
const FEEDS: &str = "calendar-feed";
/// How long a meeting that is over stays in the calendars.
const REMEMBERED: TimeDelta = TimeDelta::days(366);
/// How often a write is tried again because another was first.
const MOST_TRIES: usize = 10;

/// Which address of a person's feed is good.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Number(u32);

/// The public feed of a group: announced meetings, cancelled ones as cancelled, drafts not.
///
/// # Errors
/// When there is no such group.
pub async fn feed(services: &Services, group: &GroupCode) -> Result<Feed, Failure> {
    let group = services.group(group)?;
    let meetings = remembered(services, Some(&group.code)).await?;
    let first = group.languages.first().copied().unwrap_or(Language::ENGLISH);
    let name = group.name.best(&group.languages).cloned().unwrap_or_else(|| group.code.to_string());
    Ok(texts::with_setting(services, &group, first, true, |setting| calendar::feed(&name, &meetings, setting)))
}

/// The address of a person's private feed; `anew` makes another one and ends the one before.
///
/// # Errors
/// When the store fails.
pub async fn feed_link(services: &Services, account: &Account, anew: bool) -> Result<String, Failure> {
    let key = account.id.to_string();
    let mut number = Number::default();
    for attempt in 1..=MOST_TRIES {
        let stored = services.store.entry(FEEDS, &key).await?;
        let version = stored.as_ref().map_or(0, |(version, _)| *version);
        number = read(&key, stored)?;
        if !anew {
            break;
        }
        number.0 = number.0.wrapping_add(1);
        if services.store.put_entry(FEEDS, &key, version, encode(&number)?).await?.is_some() {
            break;
        }
        if attempt == MOST_TRIES {
            return Err(Mistake::CalendarBusy.plain().into());
        }
    }
    let mut payload = account.id.0.to_be_bytes().to_vec();
    payload.extend_from_slice(&number.0.to_be_bytes());
    let token = services.keys.link_token(Purpose::Feed, &payload, None);
    Ok(format!("{}/calendar/{token}.ics", services.site.base_url))
}

/// The number that good addresses of a person's private feeds carry.
///
/// # Errors
/// When the store fails.
pub async fn feed_number(services: &Services, account: AccountId) -> Result<u32, Failure> {
    let key = account.to_string();
    Ok(read(&key, services.store.entry(FEEDS, &key).await?)?.0)
}

/// The private feed whose address ends in `token`; `None` when the address is no good, or is good no more.
///
/// All meetings of the groups whose announcements she gets, each once, with what only subscribers are told.
///
/// # Errors
/// When the store fails.
pub async fn private_feed(services: &Services, token: &str) -> Result<Option<Feed>, Failure> {
    let Some(payload) = services.keys.read_link_token(Purpose::Feed, token, services.now()) else { return Ok(None) };
    let Some((Ok(id), Ok(number))) = payload.split_at_checked(8).map(|(id, number)| (id.try_into(), number.try_into())) else {
        return Ok(None);
    };
    let (id, number) = (AccountId(u64::from_be_bytes(id)), Number(u32::from_be_bytes(number)));
    let key = id.to_string();
    if read(&key, services.store.entry(FEEDS, &key).await?)? != number {
        return Ok(None);
    }
    let Some(account) = services.store.account(id).await? else { return Ok(None) };
    let subscriptions = services.store.subscriptions_of_account(id).await?;
    let codes: Vec<&GroupCode> = subscriptions.iter().filter(|s| s.is_active()).map(|s| &s.group).collect();
    let table = services.groups();
    let mut entries = Vec::new();
    let mut name = services.config.service.name.clone();
    for meeting in remembered(services, None).await? {
        let mine = meeting.concerned_groups().into_iter().find(|code| codes.contains(code));
        let Some(group) = mine.and_then(|code| table.get(code)) else { continue };
        let language = language_for(services, Some(&account), group);
        entries.extend(texts::with_setting(services, group, language, false, |setting| Entries::of(&meeting, &Method::Publish, setting)));
    }
    if codes.len() == 1
        && let Some(group) = table.get(codes[0])
    {
        name = group.name.best(&account.languages).cloned().unwrap_or(name);
    }
    Ok(Some(calendar::feed_of(&name, entries)))
}

/// The meetings that a calendar shows: those ahead, and those of the last year.
async fn remembered(services: &Services, group: Option<&GroupCode>) -> Result<Vec<Meeting>, Failure> {
    let since = services.now() - REMEMBERED;
    Ok(meetings(services, group).await?.into_iter().filter(|meeting| meeting.closes() > since).collect())
}

fn read(key: &str, stored: Option<(u64, Vec<u8>)>) -> Result<Number, Failure> {
    match stored {
        Some((_, bytes)) => Ok(decode(&format!("the calendar feed of {key}"), &bytes)?),
        None => Ok(Number::default()),
    }
}
