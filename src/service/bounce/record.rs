//! Scores as they lie in the store: one entry a member and group, in a register of their own.

use chrono::{DateTime, Utc};

use crate::domain::bounce::BounceClass;
use crate::domain::bounce::score::{self, Next, Score};
use crate::domain::id::AccountId;
use crate::service::{Failure, Services};
use crate::store::record::{decode, encode};

/// Register of the scores.
pub const SCORES: &str = "bounce-score";
/// Entries read at a time.
const PAGE: usize = 500;
/// How often a write is tried again because another was first.
const MOST_TRIES: usize = 20;

fn key(group: &str, account: AccountId) -> String {
    format!("{group}|{account}")
}

/// Group and account of a key.
fn read_key(key: &str) -> Option<(&str, AccountId)> {
    let (group, account) = key.rsplit_once('|')?;
    Some((group, account.parse().ok()?))
}

fn read(key: &str, bytes: &[u8]) -> Result<Score, Failure> {
    Ok(decode(&format!("the bounce score {key}"), bytes)?)
}

/// The score of one member.
pub async fn find(services: &Services, group: &str, account: AccountId) -> Result<Option<Score>, Failure> {
    let key = key(group, account);
    match services.store.entry(SCORES, &key).await? {
        Some((_, bytes)) => Ok(Some(read(&key, &bytes)?)),
        None => Ok(None),
    }
}

/// Changes one entry; `change` gives `None` for "leave it".
async fn change<T: Clone>(
    services: &Services,
    group: &str,
    account: AccountId,
    change: impl Fn(Option<&Score>, DateTime<Utc>) -> Option<(Score, T)> + Send,
) -> Result<Option<(Score, T)>, Failure> {
    let key = key(group, account);
    for _ in 0..MOST_TRIES {
        let (version, before) = match services.store.entry(SCORES, &key).await? {
            Some((version, bytes)) => (version, Some(read(&key, &bytes)?)),
            None => (0, None),
        };
        let Some((after, result)) = change(before.as_ref(), services.now()) else { return Ok(None) };
        if services.store.put_entry(SCORES, &key, version, encode(&after)?).await?.is_some() {
            return Ok(Some((after, result)));
        }
    }
    Err(Failure::Invalid(format!("the bounce score {key} is changed by many at this moment; try again")))
}

/// Adds a failure; `None` if it does not count.
pub async fn add(
    services: &Services,
    member: &(String, AccountId),
    class: BounceClass,
    summary: &str,
) -> Result<Option<(Score, Next)>, Failure> {
    change(services, &member.0, member.1, |before, now| score::after(before, class, summary, now)).await
}

/// Notes that a probe is out.
pub async fn probed(services: &Services, member: &(String, AccountId)) -> Result<(), Failure> {
    change(services, &member.0, member.1, |before, now| before.map(|before| (Score { probed: Some(now), ..before.clone() }, ()))).await?;
    Ok(())
}

/// Takes back what was added on the day of the last failure: it was the provider's.
pub async fn take_back(services: &Services, group: &str, account: AccountId) -> Result<(), Failure> {
    let taken = change(services, group, account, |before, _| {
        before.map(|before| (Score { points: (before.points - before.today).max(0.0), today: 0.0, ..before.clone() }, ()))
    });
    if taken.await?.is_some_and(|(score, ())| score.points < 0.01) {
        remove(services, group, account).await?;
    }
    Ok(())
}

/// Forgets one.
pub async fn remove(services: &Services, group: &str, account: AccountId) -> Result<(), Failure> {
    Ok(services.store.remove_entry(SCORES, &key(group, account)).await?)
}

/// Those of one group, with the account.
pub async fn of_group(services: &Services, group: &str) -> Result<Vec<(AccountId, Score)>, Failure> {
    let front = format!("{group}|");
    let (mut found, mut after) = (Vec::new(), front.clone());
    loop {
        let page = services.store.entries(SCORES, Some(&after), PAGE).await?;
        let Some((last, ..)) = page.last() else { return Ok(found) };
        after.clone_from(last);
        for (key, _, bytes) in &page {
            if !key.starts_with(&front) {
                return Ok(found);
            }
            if let Some((_, account)) = read_key(key) {
                found.push((account, read(key, bytes)?));
            }
        }
    }
}

/// All of them with group and account, by group.
pub async fn all(services: &Services) -> Result<Vec<(String, AccountId, Score)>, Failure> {
    let mut all = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let page = services.store.entries(SCORES, after.as_deref(), PAGE).await?;
        let Some((last, ..)) = page.last() else { return Ok(all) };
        after = Some(last.clone());
        for (key, _, bytes) in &page {
            if let Some((group, account)) = read_key(key) {
                all.push((group.to_owned(), account, read(key, bytes)?));
            }
        }
    }
}
