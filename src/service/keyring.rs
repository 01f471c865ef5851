//! The secrets of all tokens: made at the first start, rotated with an overlap, forgotten.
//!
//! New tokens are made with the newest; those of earlier ones are read until they are forgotten, because mail with one-click links
//! lies in mailboxes for years. At most [`KEPT`] are kept: a new one then pushes the oldest out.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Actor, Failure, Services};
use crate::mail::token::{Keys, SECRET_OCTETS};
use crate::store::{Store, record};

/// Register and entry that hold them, newest first.
const SECRETS: &str = "secret";
/// Entry that holds the secret of pseudonyms, which is never another: digests made with it must be made again.
const PSEUDONYMS: &str = "pseudonyms";
/// Secrets that are read.
pub const KEPT: usize = 4;

#[derive(Clone, Serialize, Deserialize)]
struct Stored {
    secret: [u8; SECRET_OCTETS],
    since: DateTime<Utc>,
}

/// What is told of a key; never the key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeyRow {
    /// 1 is the one that new tokens are made with.
    pub number: usize,
    /// Since when.
    pub since: DateTime<Utc>,
    /// `current` or `read`.
    pub state: &'static str,
}

/// Reads the secrets, or makes the first one. Nodes that start together for the first time agree: the one who is first is right.
///
/// # Errors
/// The store's; or when the system gives no random numbers.
pub(super) async fn open(store: &dyn Store, now: DateTime<Utc>) -> Result<Keys, Failure> {
    let mut stored = read(store).await?.1;
    if stored.is_empty() {
        store.put_entry(SECRETS, SECRETS, 0, record::encode(&vec![fresh(now)?])?).await?;
        stored = read(store).await?.1;
    }
    Ok(Keys::ring(stored.iter().map(|one| &one.secret)))
}

/// The secrets with the version of their entry.
async fn read(store: &dyn Store) -> Result<(u64, Vec<Stored>), Failure> {
    match store.entry(SECRETS, SECRETS).await? {
        Some((version, bytes)) => Ok((version, record::decode("the secrets of the tokens", &bytes)?)),
        None => Ok((0, Vec::new())),
    }
}

/// The secret with which pseudonyms of erased persons are made; made when it is first needed, and the same ever after.
///
/// # Errors
/// The store's; or when the system gives no random numbers.
pub(super) async fn pseudonyms(services: &Services) -> Result<[u8; SECRET_OCTETS], Failure> {
    loop {
        if let Some((_, bytes)) = services.store.entry(SECRETS, PSEUDONYMS).await? {
            return Ok(record::decode("the secret of pseudonyms", &bytes)?);
        }
        let made = fresh(services.now())?.secret;
        services.store.put_entry(SECRETS, PSEUDONYMS, 0, record::encode(&made)?).await?;
    }
}

fn fresh(now: DateTime<Utc>) -> Result<Stored, Failure> {
    let mut secret = [0; SECRET_OCTETS];
    getrandom::fill(&mut secret).map_err(|error| Failure::Invalid(format!("the system gives no random numbers: {error}")))?;
    Ok(Stored { secret, since: now })
}

fn rows(stored: &[Stored]) -> Vec<KeyRow> {
    let row = |(at, one): (usize, &Stored)| KeyRow { number: at + 1, since: one.since, state: if at == 0 { "current" } else { "read" } };
    stored.iter().enumerate().map(row).collect()
}

/// Since when there are which keys.
///
/// # Errors
/// The store's.
pub async fn list(services: &Services) -> Result<Vec<KeyRow>, Failure> {
    Ok(rows(&read(services.store.as_ref()).await?.1))
}

/// Makes a new key; earlier ones are still read.
///
/// # Errors
/// The store's; or when the system gives no random numbers.
pub async fn rotate(services: &Services, actor: &Actor, dry_run: bool) -> Result<Vec<KeyRow>, Failure> {
    let (version, mut stored) = read(services.store.as_ref()).await?;
    stored.insert(0, fresh(services.now())?);
    stored.truncate(KEPT);
    write(services, actor, "key rotate", (version, &stored), dry_run).await
}

/// Forgets all but the newest.
///
/// # Errors
/// The store's.
pub async fn forget(services: &Services, actor: &Actor, dry_run: bool) -> Result<Vec<KeyRow>, Failure> {
    let (version, mut stored) = read(services.store.as_ref()).await?;
    stored.truncate(1);
    write(services, actor, "key forget", (version, &stored), dry_run).await
}

async fn write(
    services: &Services,
    actor: &Actor,
    act: &str,
    (version, stored): (u64, &[Stored]),
    dry_run: bool,
) -> Result<Vec<KeyRow>, Failure> {
    if !dry_run {
        if services.store.put_entry(SECRETS, SECRETS, version, record::encode(stored)?).await?.is_none() {
            return Err(Failure::Invalid(
                "somebody else changes the keys at the same time; look with `enlace key list` and try again".into(),
            ));
        }
        services.keys.replace(stored.iter().map(|one| &one.secret));
        services.audit(actor, act, None, format!("{} keys are read now", stored.len())).await?;
    }
    Ok(rows(stored))
}

/// Reads the keys again, which another node may have changed.
///
/// # Errors
/// The store's.
pub async fn reload(services: &Services) -> Result<(), Failure> {
    let (_, stored) = read(services.store.as_ref()).await?;
    if !stored.is_empty() {
        services.keys.replace(stored.iter().map(|one| &one.secret));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::token::Purpose;
    use crate::service::trial::{Trial, operator};

    #[tokio::test]
    async fn old_tokens_are_read_until_their_key_is_forgotten() {
        let trial = Trial::empty().await;
        let (services, keys) = (&trial.services, trial.services.keys.clone());
        let old = keys.address_token(Purpose::Author, 7);
        rotate(services, &operator(), true).await.unwrap();
        assert_eq!(keys.address_token(Purpose::Author, 7), old, "a dry run changes nothing");
        assert_eq!(rotate(services, &operator(), false).await.unwrap().len(), 2);
        let new = keys.address_token(Purpose::Author, 7);
        assert_ne!(new, old);
        for token in [&old, &new] {
            assert_eq!(keys.read_address_token(Purpose::Author, token), Some(7));
        }
        reload(services).await.unwrap();
        assert_eq!(open(services.store.as_ref(), services.now()).await.unwrap().read_address_token(Purpose::Author, &old), Some(7));
        assert_eq!(forget(services, &operator(), false).await.unwrap().len(), 1);
        assert_eq!(keys.read_address_token(Purpose::Author, &old), None);
        assert_eq!(keys.read_address_token(Purpose::Author, &new), Some(7));
        for _ in 0..6 {
            rotate(services, &operator(), false).await.unwrap();
        }
        assert_eq!(list(services).await.unwrap().len(), KEPT);
        let acts: Vec<_> = services.trail(None, 100).await.unwrap().into_iter().map(|entry| entry.act).collect();
        assert!(acts.iter().any(|act| act == "key rotate") && acts.iter().any(|act| act == "key forget"));
    }
}
