//! What is seen of providers whose members fail together, as it lies in the store: one entry a text, so that neither a restart nor
//! another node forgets an incident. Entries of texts that nobody saw for a day are removed at night.

use sha2::{Digest, Sha256};

use super::record;
use crate::domain::bounce::incident::{self, Sight, Sighting};
use crate::domain::id::AccountId;
use crate::service::{Failure, Services};
use crate::store::record::{decode, encode};

/// Register of the sightings.
const SIGHTINGS: &str = "bounce-sighting";
/// Entries read at a time.
const PAGE: usize = 500;
/// How often a write is tried again because another was first.
const MOST_TRIES: usize = 20;

/// A member: group and account.
pub(super) type Member = (String, AccountId);

/// Entries are named by a hash: texts are long, and of strangers.
fn name(key: &str) -> String {
    data_encoding::HEXLOWER.encode(&Sha256::digest(key.as_bytes())[..16])
}

fn read(name: &str, bytes: &[u8]) -> Result<Sighting<Member>, Failure> {
    Ok(decode(&format!("what was seen of a provider, {name}"), bytes)?)
}

/// Notes that `member` failed with the text of `key`; where that begins an incident, takes back first what was counted, so that
/// no death leaves an incident whose members stay scored.
pub(super) async fn note(services: &Services, key: &str, member: &Member) -> Result<Sight<Member>, Failure> {
    let name = name(key);
    for _ in 0..MOST_TRIES {
        let (version, before) = match services.store.entry(SIGHTINGS, &name).await? {
            Some((version, bytes)) => (version, Some(read(&name, &bytes)?)),
            None => (0, None),
        };
        let (sight, after) = incident::seen(before.as_ref(), key, member, services.now());
        let Some(after) = after else { return Ok(sight) };
        if let Sight::Began(others) = &sight {
            for (code, account) in others {
                record::take_back(services, code, *account).await?;
            }
        }
        if services.store.put_entry(SIGHTINGS, &name, version, encode(&after)?).await?.is_some() {
            return Ok(sight);
        }
    }
    Err(Failure::Invalid(format!("what was seen of a provider ({name}) is changed by many at this moment; try again")))
}

/// All of them.
pub(super) async fn all(services: &Services) -> Result<Vec<Sighting<Member>>, Failure> {
    Ok(entries(services).await?.into_iter().map(|(_, sighting)| sighting).collect())
}

async fn entries(services: &Services) -> Result<Vec<(String, Sighting<Member>)>, Failure> {
    let mut all = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let page = services.store.entries(SIGHTINGS, after.as_deref(), PAGE).await?;
        let Some((last, ..)) = page.last() else { return Ok(all) };
        after = Some(last.clone());
        for (name, _, bytes) in page {
            let sighting = read(&name, &bytes)?;
            all.push((name, sighting));
        }
    }
}

/// Forgets what nobody saw for a day.
pub(super) async fn forget_past(services: &Services) -> Result<(), Failure> {
    let now = services.now();
    for (name, _) in entries(services).await?.into_iter().filter(|(_, sighting)| sighting.is_past(now)) {
        services.store.remove_entry(SIGHTINGS, &name).await?;
    }
    Ok(())
}
