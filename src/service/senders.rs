//! What is remembered of how somebody's mail comes, so that "did you send this?" is asked rarely.
//!
//! When a person confirms a message, the ways by which it came are noted for her account: a signing domain that is not her own, a
//! domain that SPF showed, the network of the client. A later discussion post that comes by one of them counts as hers for
//! [`GOOD_FOR`] days after the last confirmation. It never counts for announcements and statements, and not where her own domain asks
//! others to refuse what it did not sign.

use chrono::{Days, NaiveDate};
use serde::{Deserialize, Serialize};

use super::{Failure, Services};
use crate::domain::id::AccountId;
use crate::domain::proof::SenderFindings;
use crate::store::record;

/// Register of the remembered ways, by account.
const WAYS: &str = "sender-ways";
/// Days for which a way is good after a confirmation.
pub const GOOD_FOR: u64 = 180;
/// Ways remembered for one person; the oldest go first.
const WAYS_KEPT: usize = 8;

/// A way with the day of its last confirmation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Way {
    /// `dkim:D`, `spf:D` or `net:NETWORK`.
    pub way: String,
    /// When she last confirmed a message that came by it.
    pub confirmed: NaiveDate,
}

/// Notes the ways by which a message came that its author confirmed.
///
/// # Errors
/// The store's.
pub async fn remember(services: &Services, account: AccountId, found: &SenderFindings) -> Result<(), Failure> {
    if found.ways.is_empty() || found.policy.is_strict() {
        return Ok(());
    }
    let today = services.today();
    let key = account.to_string();
    // Another confirmation of the same person may be on its way: then it is tried again.
    for _ in 0..8 {
        let (version, mut ways) = read(services, &key).await?;
        ways.retain(|known| !found.ways.contains(&known.way));
        ways.extend(found.ways.iter().map(|way| Way { way: way.clone(), confirmed: today }));
        let surplus = ways.len().saturating_sub(WAYS_KEPT);
        ways.drain(..surplus);
        if services.store.put_entry(WAYS, &key, version, record::encode(&ways)?).await?.is_some() {
            return Ok(());
        }
    }
    Ok(())
}

/// The way among those of `found` by which a message of hers came that she confirmed, if there is one.
///
/// # Errors
/// The store's.
pub async fn known(services: &Services, account: AccountId, found: &SenderFindings) -> Result<Option<String>, Failure> {
    if found.ways.is_empty() || found.policy.is_strict() {
        return Ok(None);
    }
    let (_, ways) = read(services, &account.to_string()).await?;
    let since = services.today().checked_sub_days(Days::new(GOOD_FOR)).unwrap_or_default();
    Ok(ways.into_iter().find(|known| known.confirmed >= since && found.ways.contains(&known.way)).map(|known| known.way))
}

/// All that is remembered of a person, for her export.
///
/// # Errors
/// The store's.
pub async fn ways(services: &Services, account: AccountId) -> Result<Vec<Way>, Failure> {
    Ok(read(services, &account.to_string()).await?.1)
}

/// Forgets a person.
///
/// # Errors
/// The store's.
pub async fn forget(services: &Services, account: AccountId) -> Result<(), Failure> {
    Ok(services.store.remove_entry(WAYS, &account.to_string()).await?)
}

async fn read(services: &Services, key: &str) -> Result<(u64, Vec<Way>), Failure> {
    match services.store.entry(WAYS, key).await? {
        Some((version, bytes)) => Ok((version, record::decode("the remembered ways of a sender", &bytes)?)),
        None => Ok((0, Vec::new())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::proof::DmarcPolicy;
    use crate::service::trial;

    #[tokio::test]
    async fn a_confirmed_way_is_good_for_half_a_year_and_not_against_her_own_domain() {
        let trial = trial::Trial::empty().await;
        let services = &trial.services;
        let (ana, ben) = (AccountId(1), AccountId(2));
        let found = |ways: &[&str], policy| SenderFindings {
            ways: ways.iter().map(ToString::to_string).collect(),
            policy,
            ..SenderFindings::default()
        };
        let by = |ways: &[&str]| found(ways, DmarcPolicy::None);
        assert_eq!(known(services, ana, &by(&["dkim:host.example"])).await.unwrap(), None);
        remember(services, ana, &by(&["dkim:host.example", "net:192.0.2.0/24"])).await.unwrap();
        assert_eq!(known(services, ana, &by(&["spf:x.example", "dkim:host.example"])).await.unwrap().as_deref(), Some("dkim:host.example"));
        assert_eq!(known(services, ben, &by(&["dkim:host.example"])).await.unwrap(), None, "for her alone");
        assert_eq!(known(services, ana, &by(&["net:192.0.3.0/24"])).await.unwrap(), None);
        assert_eq!(known(services, ana, &found(&["dkim:host.example"], DmarcPolicy::Reject)).await.unwrap(), None);
        remember(services, ben, &found(&["dkim:host.example"], DmarcPolicy::Quarantine)).await.unwrap();
        assert_eq!(ways(services, ben).await.unwrap(), []);
        for number in 0..20 {
            remember(services, ana, &by(&[&format!("net:10.0.{number}.0/24")])).await.unwrap();
        }
        assert_eq!(ways(services, ana).await.unwrap().len(), WAYS_KEPT);
        remember(services, ana, &by(&["dkim:host.example"])).await.unwrap();
        trial.advance_days(i64::try_from(GOOD_FOR).unwrap() + 1);
        assert_eq!(known(services, ana, &by(&["dkim:host.example"])).await.unwrap(), None, "after half a year she is asked again");
        forget(services, ana).await.unwrap();
        assert_eq!(ways(services, ana).await.unwrap(), []);
    }
}
