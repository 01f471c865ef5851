//! Signing in by a link in a mail, and the sessions that follow from it.
//!
//! A link works once, for [`LINK_MINUTES`], in the browser that asked for it: it carries a digest of that browser's cookie.
//! Of a session only a digest lies in the store, so that a stolen backup opens none. The surprise: [`send_link`] says nothing about
//! whether anybody has the address; the caller answers before it runs, so that neither text nor time tells.

use chrono::{DateTime, TimeDelta, Utc};
use data_encoding::{BASE32_NOPAD, HEXLOWER};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::robot::{self, Allowance, RobotMail};
use super::{Failure, Services};
use crate::domain::account::Account;
use crate::domain::address::EmailAddress;
use crate::domain::gate;
use crate::domain::group::Group;
use crate::domain::id::AccountId;
use crate::mail::token::Purpose;
use crate::store::StoreError;
use std::sync::Arc;

/// How long a link works, in minutes.
pub const LINK_MINUTES: i64 = 15;
/// Links that one person is sent in an hour at the wish of one network; more are left out.
pub const LINKS_AN_HOUR: u64 = 5;
/// Links that one person is sent in an hour, whoever asks: a stranger uses up his own share first.
pub const LINKS_AN_HOUR_IN_ALL: u64 = 20;
/// A session ends so many days after it began.
pub const SESSION_DAYS: i64 = 30;
/// A session ends after so many days without use.
pub const IDLE_DAYS: i64 = 7;

const SESSIONS: &str = "web-session";
const USED_LINKS: &str = "sign-in";
const VERSION: u8 = 1;
const SECRET_OCTETS: usize = 20;
/// How old the note of a session's last use may be before it is written again: a page must not cost a write.
const SEEN_MINUTES: i64 = 60;
const PAGE: usize = 500;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    began: DateTime<Utc>,
    seen: DateTime<Utc>,
}

/// Somebody who is signed in.
#[derive(Debug, Clone)]
pub struct Session {
    /// Names the session inside the service; the cookie cannot be made from it.
    pub key: String,
    /// Whose; in force.
    pub account: Account,
}

/// A secret for a cookie: 160 bits.
///
/// # Errors
/// When the system gives no random numbers.
pub fn secret() -> Result<String, Failure> {
    let mut octets = [0; SECRET_OCTETS];
    getrandom::fill(&mut octets).map_err(|error| Failure::Invalid(format!("the system gives no random numbers: {error}")))?;
    Ok(BASE32_NOPAD.encode(&octets).to_ascii_lowercase())
}

/// Mails a link to whoever has `address`; does nothing when nobody has it, when the account is not in force, or when the person
/// got [`LINKS_AN_HOUR`] already at the wish of the same `network`, or [`LINKS_AN_HOUR_IN_ALL`]. `then` is the address to go on to
/// afterwards.
///
/// # Errors
/// When a template or the store fails.
pub async fn send_link(services: &Services, address: &EmailAddress, browser: &str, network: &str, then: &str) -> Result<(), Failure> {
    let Some(account) = services.store.account_by_address(address).await? else { return Ok(()) };
    if gate::why_not_in_force(&account, services.today()).is_some() {
        return Ok(());
    }
    let hour = services.now().format("%Y-%m-%dT%H");
    // Where somebody asked from is nobody's to read later.
    let asker = HEXLOWER.encode(&Sha256::digest(format!("{hour}|{}|{network}", account.id))[..8]);
    let mut too_many = services.store.count_up("sign-in-link", &format!("{hour}|{}|{asker}", account.id)).await? > LINKS_AN_HOUR;
    too_many = too_many || services.store.count_up("sign-in-link", &format!("{hour}|{}", account.id)).await? > LINKS_AN_HOUR_IN_ALL;
    if too_many {
        tracing::info!(account = %account.id, "Left out a sign-in link: the hour's allowance is used up");
        return Ok(());
    }
    let Some(group) = group_for(services, &account).await? else { return Ok(()) };
    let expires = services.now() + TimeDelta::minutes(LINK_MINUTES);
    let mut payload = account.id.0.to_be_bytes().to_vec();
    payload.extend_from_slice(&browser_digest(browser));
    payload.extend_from_slice(&services.chance().to_be_bytes());
    let token = services.keys.link_token(Purpose::SignIn, &payload, Some(expires));
    let then = if then == "/me" { String::new() } else { format!("?then={then}") };
    let link = format!("{}/sign-in/{token}{then}", services.site.base_url);
    let mail = RobotMail {
        to: address,
        account: Some(&account),
        group: &group,
        template: "sign-in",
        context: json!({ "link": link, "minutes": LINK_MINUTES }),
        reply_to: None,
        in_reply_to: None,
        allowance: Allowance::Receipt,
    };
    robot::send(services, mail).await.map(|_| ())
}

/// What a link is worth in this browser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Link {
    /// It signs this account in.
    Good(AccountId),
    /// It was asked for in another browser.
    OtherBrowser,
    /// It is none, is over, or was used.
    Bad,
}

/// Looks at a link and changes nothing.
///
/// # Errors
/// When the store fails.
pub async fn look(services: &Services, token: &str, browser: Option<&str>) -> Result<Link, Failure> {
    let Some(payload) = services.keys.read_link_token(Purpose::SignIn, token, services.now()) else { return Ok(Link::Bad) };
    let Some((id, rest)) = payload.split_first_chunk::<8>() else { return Ok(Link::Bad) };
    if services.store.claimed_at(USED_LINKS, &digest(token)).await?.is_some() {
        return Ok(Link::Bad);
    }
    let same = browser.is_some_and(|browser| rest.get(..16) == Some(&browser_digest(browser)[..]));
    Ok(if same { Link::Good(AccountId(u64::from_be_bytes(*id))) } else { Link::OtherBrowser })
}

/// Uses up a good link; the new session's cookie, or `None` when the link is not good any more.
///
/// # Errors
/// When the store fails.
pub async fn begin(services: &Services, token: &str, browser: Option<&str>) -> Result<Option<String>, Failure> {
    let Link::Good(id) = look(services, token, browser).await? else { return Ok(None) };
    let now = services.now();
    if !services.store.claim_once(USED_LINKS, &digest(token), now).await? {
        return Ok(None);
    }
    let Some(account) = services.store.account(id).await? else { return Ok(None) };
    if gate::why_not_in_force(&account, services.today()).is_some() {
        return Ok(None);
    }
    Ok(Some(open(services, id).await?))
}

/// Opens a session for somebody who was proved in whatever way (a link, a directory's login); the cookie's value.
///
/// # Errors
/// When the store fails.
pub async fn open(services: &Services, account: AccountId) -> Result<String, Failure> {
    let cookie = format!("{account}.{}", secret()?);
    let now = services.now();
    let key = key(&cookie).ok_or_else(|| Failure::Invalid("a session could not be named".into()))?;
    services.store.put_entry(SESSIONS, &key, 0, encode(&Record { began: now, seen: now })).await?;
    Ok(cookie)
}

/// The session of a cookie, unless it is over or its account is not in force.
///
/// # Errors
/// When the store fails.
pub async fn find(services: &Services, cookie: &str) -> Result<Option<Session>, Failure> {
    let Some(key) = key(cookie) else { return Ok(None) };
    let Some((version, bytes)) = services.store.entry(SESSIONS, &key).await? else { return Ok(None) };
    let record = decode(&bytes)?;
    let now = services.now();
    if is_over(&record, now) {
        return Ok(None);
    }
    let Some(id) = owner(&key) else { return Ok(None) };
    let Some(account) = services.store.account(id).await? else { return Ok(None) };
    if gate::why_not_in_force(&account, services.today()).is_some() {
        return Ok(None);
    }
    if now - record.seen > TimeDelta::minutes(SEEN_MINUTES) {
        // Whoever was first has noted it; the loss of one note does no harm.
        services.store.put_entry(SESSIONS, &key, version, encode(&Record { seen: now, ..record })).await?;
    }
    Ok(Some(Session { key, account }))
}

/// Ends one session.
///
/// # Errors
/// When the store fails.
pub async fn end(services: &Services, key: &str) -> Result<(), Failure> {
    Ok(services.store.remove_entry(SESSIONS, key).await?)
}

/// Ends every session of an account. Returns how many there were.
///
/// # Errors
/// When the store fails.
pub async fn end_all(services: &Services, account: AccountId) -> Result<usize, Failure> {
    let prefix = format!("{account}-");
    let mut ended = 0;
    loop {
        let page = services.store.entries(SESSIONS, Some(&prefix), PAGE).await?;
        let own: Vec<String> = page.into_iter().map(|(key, ..)| key).take_while(|key| key.starts_with(&prefix)).collect();
        if own.is_empty() {
            return Ok(ended);
        }
        for key in own {
            services.store.remove_entry(SESSIONS, &key).await?;
            ended += 1;
        }
    }
}

/// Forgets sessions that are over and links that were used; for the nightly job. Returns how many sessions.
///
/// # Errors
/// When the store fails.
pub async fn tidy(services: &Services) -> Result<usize, Failure> {
    let now = services.now();
    let (mut after, mut gone) = (None::<String>, 0);
    loop {
        let page = services.store.entries(SESSIONS, after.as_deref(), PAGE).await?;
        let Some((last, ..)) = page.last() else { break };
        after = Some(last.clone());
        for (key, _, bytes) in &page {
            if decode(bytes).map_or(true, |record| is_over(&record, now)) {
                services.store.remove_entry(SESSIONS, key).await?;
                gone += 1;
            }
        }
    }
    services.store.forget_marks(USED_LINKS, now - TimeDelta::days(1)).await?;
    Ok(gone)
}

/// In whose name the mail goes: a group of hers, else the first with a list.
pub(super) async fn group_for(services: &Services, account: &Account) -> Result<Option<Arc<Group>>, Failure> {
    let groups = services.groups();
    let lives = |group: &&Arc<Group>| !group.retired && !group.list.is_empty();
    for subscription in services.store.subscriptions_of_account(account.id).await? {
        if let Some(group) = groups.get(&subscription.group).filter(lives) {
            return Ok(Some(Arc::clone(group)));
        }
    }
    Ok(groups.iter().find(lives).cloned())
}

fn is_over(record: &Record, now: DateTime<Utc>) -> bool {
    now - record.began >= TimeDelta::days(SESSION_DAYS) || now - record.seen >= TimeDelta::days(IDLE_DAYS)
}

fn browser_digest(browser: &str) -> [u8; 16] {
    let mut short = [0; 16];
    short.copy_from_slice(&Sha256::digest(browser)[..16]);
    short
}

fn digest(text: &str) -> String {
    HEXLOWER.encode(&Sha256::digest(text))
}

/// `ACCOUNT.SECRET` as the register names it: the account first, so that all of one person stand together.
fn key(cookie: &str) -> Option<String> {
    let (account, secret) = cookie.split_once('.')?;
    let account: AccountId = account.parse().ok()?;
    (secret.len() == SECRET_OCTETS * 8 / 5).then(|| format!("{account}-{}", digest(secret)))
}

fn owner(key: &str) -> Option<AccountId> {
    key.split_once('-')?.0.parse().ok()
}

fn encode(record: &Record) -> Vec<u8> {
    postcard::to_extend(record, vec![VERSION]).expect("two instants have a bounded form")
}

fn decode(bytes: &[u8]) -> Result<Record, StoreError> {
    let damaged = || StoreError::Damaged("the record of a session cannot be read; sign in again".into());
    match bytes.split_first() {
        Some((&VERSION, rest)) => postcard::from_bytes(rest).map_err(|_| damaged()),
        _ => Err(damaged()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_named_by_a_digest_and_ends_by_age_and_by_silence() {
        let cookie = format!("{}.{}", AccountId(7), secret().unwrap());
        let key = key(&cookie).unwrap();
        assert_eq!(owner(&key), Some(AccountId(7)));
        assert!(!key.contains(cookie.split_once('.').unwrap().1));
        for bad in ["", "x", "0000000000000007", "0000000000000007.short", "7.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"] {
            assert_eq!(super::key(bad), None, "{bad}");
        }
        let began = DateTime::UNIX_EPOCH;
        let record = |seen: i64| Record { began, seen: began + TimeDelta::days(seen) };
        for (seen, day, over) in [(0, 6, false), (0, 7, true), (28, 29, false), (29, 30, true)] {
            assert_eq!(is_over(&record(seen), began + TimeDelta::days(day)), over, "seen {seen}, day {day}");
        }
    }
}
