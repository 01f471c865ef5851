//! Who comes back from an OpenID Connect provider, and which account is hers.
//!
//! The provider's subject names a person for good; her address may change, and may be given to somebody else later. So the first
//! sign-in binds the subject to the account that has the verified address, and an account that is bound to one subject is never
//! opened to another. Who has no account gets one of source `oidc`, a guest's unless the claims say otherwise.

use sha2::{Digest, Sha256};

use super::{Actor, Failure, Services};
use crate::directory::builtin::{self, COLUMNS};
use crate::directory::oidc::Known;
use crate::domain::account::Account;
use crate::domain::address::EmailAddress;
use crate::domain::id::AccountId;

/// Source of the accounts that a sign-in makes.
pub const SOURCE: &str = "oidc";
/// Register of subjects: hash of issuer and subject → account.
const SUBJECTS: &str = "oidc-subjects";
/// Register of accounts that are bound: account → hash of issuer and subject.
const BOUND: &str = "oidc-accounts";

/// The account of somebody whom `issuer` knows; made or brought up to date by its claims. `None` when the account with her address
/// is bound to another subject, or when the claims are none that an account can have.
///
/// # Errors
/// When the store fails.
pub async fn account(services: &Services, issuer: &str, known: &Known) -> Result<Option<Account>, Failure> {
    services
        .alone(async {
            let subject = Sha256::new().chain_update(issuer).chain_update([0]).chain_update(&known.subject).finalize();
            let subject = data_encoding::HEXLOWER.encode(&subject);
            if let Some((_, id)) = services.store.entry(SUBJECTS, &subject).await? {
                let id = std::str::from_utf8(&id).ok().and_then(|id| id.parse::<AccountId>().ok());
                if let Some(account) = match id {
                    Some(id) => services.store.account(id).await?,
                    None => None,
                } {
                    return Ok(Some(follow(services, account, known).await?));
                }
            }
            let Ok(address) = known.email.parse::<EmailAddress>() else { return Ok(None) };
            let account = if let Some(account) = services.store.account_by_address(&address).await? {
                account
            } else {
                let id = AccountId::new(services.now(), services.chance());
                let account = with_claims(Account { source: SOURCE.into(), ..builtin::blank(id, vec![address.clone()]) }, known);
                services.store.put_accounts(vec![account.clone()]).await?;
                // Somebody who was erased and signs in again comes back of her own will.
                super::account::lift(services, &address).await?;
                services.audit(&Actor::from(&address), "account made by sign-in", None, account.address().as_str()).await?;
                account
            };
            let key = account.id.to_string();
            // First come, first bound; whoever loses the race is another subject, or the same one at the same time.
            let bound = services.store.put_entry(BOUND, &key, 0, subject.clone().into_bytes()).await?.is_some();
            if !bound && services.store.entry(BOUND, &key).await?.is_none_or(|(_, other)| other != subject.as_bytes()) {
                tracing::warn!(account = %account.id, "A sign-in by another subject of the provider was refused");
                return Ok(None);
            }
            let version = services.store.entry(SUBJECTS, &subject).await?.map_or(0, |(version, _)| version);
            services.store.put_entry(SUBJECTS, &subject, version, key.into_bytes()).await?;
            Ok(Some(follow(services, account, known).await?))
        })
        .await
}

/// Forgets which subject an account is bound to (erasure).
///
/// # Errors
/// When the store fails.
pub async fn forget(services: &Services, account: AccountId) -> Result<(), Failure> {
    let key = account.to_string();
    if let Some((_, subject)) = services.store.entry(BOUND, &key).await? {
        services.store.remove_entry(SUBJECTS, &String::from_utf8_lossy(&subject)).await?;
        services.store.remove_entry(BOUND, &key).await?;
    }
    Ok(())
}

/// Accounts that a sign-in made follow its claims; those of other directories are theirs.
async fn follow(services: &Services, account: Account, known: &Known) -> Result<Account, Failure> {
    if account.source != SOURCE {
        return Ok(account);
    }
    let changed = with_claims(account.clone(), known);
    if changed != account {
        services.store.put_accounts(vec![changed.clone()]).await?;
        super::rights::rejudge_accounts(services, &Actor::job("sign-in"), &[changed.id]).await?;
    }
    Ok(changed)
}

/// A claim that is no value of its column is passed over. Roles never come from a provider.
fn with_claims(mut account: Account, known: &Known) -> Account {
    for (column, cell) in known.cells.iter().filter(|(column, _)| column != "roles") {
        if let Some(column) = COLUMNS.iter().find(|name| *name == column)
            && let Err(why) = builtin::set(&mut account, column, cell)
        {
            tracing::info!(column, %why, "A claim of the provider is passed over");
        }
    }
    account
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::trial::Trial;

    fn known(subject: &str, email: &str) -> Known {
        let cells = [("name", "Eva Example"), ("country", "MX"), ("roles", "operator"), ("expires", "tomorrow")];
        Known {
            subject: subject.into(),
            email: email.into(),
            cells: cells.map(|(column, cell)| (column.to_owned(), cell.to_owned())).into(),
            id_token: String::new(),
        }
    }

    #[tokio::test]
    async fn a_subject_keeps_its_account_and_an_account_its_subject() {
        let trial = Trial::peopled().await;
        let issuer = "https://login.example.org";
        let of = async |known: Known| account(&trial.services, issuer, &known).await.unwrap();
        let ana = of(known("1", "ana@x.test")).await.unwrap();
        assert_eq!((ana.name.as_str(), ana.source.as_str()), ("Ana Example", "import"), "claims do not touch another directory's account");
        assert!(of(known("2", "ANA@x.test")).await.is_none(), "the address given to somebody else opens nothing");
        assert_eq!(of(known("1", "changed@x.test")).await.unwrap().id, ana.id);
        assert!(account(&trial.services, "https://other.example.org", &known("1", "ana@x.test")).await.unwrap().is_none());
        let eva = of(known("3", "eva@x.test")).await.unwrap();
        assert_eq!(
            (eva.name.as_str(), eva.source.as_str(), eva.country_code(), eva.roles.len(), eva.expires),
            ("Eva Example", "oidc", "MX", 0, None)
        );
        let moved = Known { cells: vec![("country".into(), "HN".into())], ..known("3", "eva@x.test") };
        assert_eq!(of(moved).await.unwrap().country_code(), "HN");
        assert!(of(known("4", "no address")).await.is_none());
    }
}
