//! Passwords of the submission listener: set, cleared, checked.
//!
//! Kept as Argon2id hashes (RFC 9106) in a register of their own, never shown, never mailed. A check takes 19 MiB and tens of
//! milliseconds, so only [`AT_ONCE`] run at a time, off the threads that serve sessions, and nobody waits in a line longer than
//! [`WAITING`]. A name that nobody has costs the same as a wrong password. Counting wrong ones is the listener's business.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use data_encoding::BASE32_NOPAD;
use serde::Serialize;
use tokio::sync::Semaphore;

use super::{Actor, Failure, Services};
use crate::domain::address::EmailAddress;
use crate::domain::gate;
use crate::domain::id::AccountId;
use crate::store::record;

/// Register of the hashes, by account.
const PASSWORDS: &str = "passwords";
/// Checks that run at the same time.
pub const AT_ONCE: usize = 2;
/// Checks that may wait; more are told to come later.
pub const WAITING: usize = 50;
/// Shortest password; what is guessed from outside has no other bound than patience.
pub const LEAST_CHARACTERS: usize = 12;
/// Longest one that is looked at.
const MOST_OCTETS: usize = 1_024;

static POOL: Semaphore = Semaphore::const_new(AT_ONCE);
static LINE: AtomicUsize = AtomicUsize::new(0);

/// What became of a password.
#[derive(Debug, Clone, Serialize)]
pub struct PasswordChange {
    /// Whose.
    pub address: String,
    /// `set` or `cleared`.
    pub change: &'static str,
    /// The password, if it was made here; shown this once.
    pub password: Option<String>,
    /// Was nothing written?
    pub dry_run: bool,
}

/// What a check gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Checked {
    /// The password of this address's account.
    Right(EmailAddress),
    /// Wrong, or nobody has that name, or no password, or the account is not in force.
    Wrong,
    /// Too many checks at the same time.
    Busy,
}

/// Sets the password of an account; `None` makes a random one, which the report shows.
///
/// # Errors
/// When nobody has the address, the password is too short, or the store fails.
pub async fn set(
    services: &Services,
    actor: &Actor,
    address: &EmailAddress,
    password: Option<&str>,
    dry_run: bool,
) -> Result<PasswordChange, Failure> {
    let account = account_of(services, address).await?;
    let made = match password {
        Some(_) => None,
        None => Some(random()?),
    };
    let password = made.as_deref().or(password).unwrap_or_default();
    let characters = password.chars().count();
    if characters < LEAST_CHARACTERS || password.len() > MOST_OCTETS || password.chars().any(char::is_control) {
        let text = format!("a password has {LEAST_CHARACTERS} to {MOST_OCTETS} characters in one line, this one has {characters}");
        return Err(Failure::Invalid(format!("{text}; `enlace account password {address} --generate` makes one")));
    }
    if account_name(password, &account.addresses) {
        return Err(Failure::Invalid("the password is the address; take another one".into()));
    }
    if !dry_run {
        let hash = hashed(password.to_owned()).await?;
        replace(services, account.id, &hash).await?;
        services.audit(actor, "account password", None, format!("set for {address}")).await?;
    }
    Ok(PasswordChange { address: address.to_string(), change: "set", password: made, dry_run })
}

/// Takes the password away: no log-in any more.
///
/// # Errors
/// When nobody has the address, or the store fails.
pub async fn clear(services: &Services, actor: &Actor, address: &EmailAddress, dry_run: bool) -> Result<PasswordChange, Failure> {
    let account = account_of(services, address).await?;
    if !dry_run {
        forget(services, account.id).await?;
        services.audit(actor, "account password", None, format!("cleared for {address}")).await?;
    }
    Ok(PasswordChange { address: address.to_string(), change: "cleared", password: None, dry_run })
}

/// Forgets the password of an account that is erased.
///
/// # Errors
/// The store's.
pub async fn forget(services: &Services, account: AccountId) -> Result<(), Failure> {
    Ok(services.store.remove_entry(PASSWORDS, &account.to_string()).await?)
}

/// Is this the password of `user`, one of an account's addresses? Takes the same time whether or not there is such a user.
///
/// # Errors
/// The store's.
pub async fn check(services: &Services, user: &str, password: &str) -> Result<Checked, Failure> {
    let (address, hash) = match user.parse::<EmailAddress>() {
        Ok(address) => {
            let account = services.store.account_by_address(&address).await?;
            let in_force = account.filter(|account| gate::why_not_in_force(account, services.today()).is_none());
            match in_force {
                Some(account) => (Some(address), read(services, account.id).await?),
                None => (Some(address), None),
            }
        }
        Err(_) => (None, None),
    };
    if password.len() > MOST_OCTETS {
        return Ok(Checked::Wrong);
    }
    if LINE.fetch_add(1, Ordering::SeqCst) >= WAITING + AT_ONCE {
        LINE.fetch_sub(1, Ordering::SeqCst);
        return Ok(Checked::Busy);
    }
    let right = verified(password.to_owned(), hash).await;
    LINE.fetch_sub(1, Ordering::SeqCst);
    Ok(match (right?, address) {
        (true, Some(address)) => Checked::Right(address),
        _ => Checked::Wrong,
    })
}

fn account_name(password: &str, addresses: &[EmailAddress]) -> bool {
    addresses.iter().any(|address| password.eq_ignore_ascii_case(address.as_str()))
}

async fn account_of(services: &Services, address: &EmailAddress) -> Result<crate::domain::account::Account, Failure> {
    let account = services.store.account_by_address(address).await?;
    account.ok_or_else(|| Failure::NotFound(format!("nobody in the directory has the address {address}; `enlace account list` shows all")))
}

async fn read(services: &Services, account: AccountId) -> Result<Option<String>, Failure> {
    match services.store.entry(PASSWORDS, &account.to_string()).await? {
        Some((_, bytes)) => Ok(Some(record::decode("a password", &bytes)?)),
        None => Ok(None),
    }
}

async fn replace(services: &Services, account: AccountId, hash: &str) -> Result<(), Failure> {
    let key = account.to_string();
    for _ in 0..8 {
        let version = services.store.entry(PASSWORDS, &key).await?.map_or(0, |(version, _)| version);
        if services.store.put_entry(PASSWORDS, &key, version, record::encode(hash)?).await?.is_some() {
            return Ok(());
        }
    }
    Err(Failure::Invalid("somebody else sets this password at the same time; look and try again".into()))
}

fn random() -> Result<String, Failure> {
    let mut octets = [0; 15];
    getrandom::fill(&mut octets).map_err(|error| Failure::Invalid(format!("the system gives no random numbers: {error}")))?;
    let text = BASE32_NOPAD.encode(&octets).to_ascii_lowercase();
    Ok([&text[..6], &text[6..12], &text[12..18], &text[18..24]].join("-"))
}

async fn hashed(password: String) -> Result<String, Failure> {
    let hashing = tokio::task::spawn_blocking(move || Argon2::default().hash_password(password.as_bytes()).map(|hash| hash.to_string()));
    match hashing.await {
        Ok(Ok(hash)) => Ok(hash),
        Ok(Err(error)) => Err(Failure::Invalid(format!("the password could not be hashed: {error}"))),
        Err(error) => Err(Failure::Invalid(format!("the password could not be hashed: {error}"))),
    }
}

/// Compares in constant time; without a hash, against one of nobody.
async fn verified(password: String, hash: Option<String>) -> Result<bool, Failure> {
    let Ok(_place) = POOL.acquire().await else { return Ok(false) };
    let verifying = tokio::task::spawn_blocking(move || {
        let known = hash.is_some();
        let hash = hash.unwrap_or_else(|| of_nobody().to_owned());
        let right = PasswordHash::new(&hash).is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok());
        known && right
    });
    verifying.await.map_err(|error| Failure::Invalid(format!("the password could not be checked: {error}")))
}

/// A hash with the usual cost, of a password that nobody has.
fn of_nobody() -> &'static str {
    static HASH: OnceLock<String> = OnceLock::new();
    HASH.get_or_init(|| {
        let mut octets = [0; 32];
        let _ = getrandom::fill(&mut octets);
        Argon2::default().hash_password(&octets).map(|hash| hash.to_string()).unwrap_or_default()
    })
}

/// Makes the hash of nobody, so that the first stranger does not wait for it.
pub async fn warm_up() {
    let _ = tokio::task::spawn_blocking(|| of_nobody().len()).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::account;
    use crate::service::trial::{Trial, operator};

    fn ana() -> EmailAddress {
        "ana@x.test".parse().unwrap()
    }

    #[tokio::test]
    async fn a_password_is_checked_and_never_kept() {
        let trial = Trial::peopled().await;
        let services = &trial.services;
        for bad in ["short", "ana@x.test\r\nmore", ""] {
            assert!(set(services, &operator(), &ana(), Some(bad), false).await.is_err(), "{bad}");
        }
        let made = set(services, &operator(), &ana(), None, false).await.unwrap().password.unwrap();
        assert_eq!(check(services, "ANA@x.test", &made).await.unwrap(), Checked::Right("ANA@x.test".parse().unwrap()));
        for (user, password) in [("ana@x.test", "wrong password"), ("ben@x.test", made.as_str()), ("nobody", made.as_str()), ("", "")] {
            assert_eq!(check(services, user, password).await.unwrap(), Checked::Wrong, "{user}");
        }
        let kept = read(services, services.store.account_by_address(&ana()).await.unwrap().unwrap().id).await.unwrap().unwrap();
        assert!(kept.starts_with("$argon2id$") && !kept.contains(&made), "{kept}");
        let audit = services.store.audit(None, 100).await.unwrap();
        assert!(audit.iter().all(|entry| !entry.detail.contains(&made)) && audit.iter().any(|entry| entry.act == "account password"));
    }

    #[tokio::test]
    async fn who_is_suspended_expired_or_cleared_does_not_log_in() {
        let trial = Trial::peopled().await;
        let services = &trial.services;
        set(services, &operator(), &ana(), Some("correct horse battery"), false).await.unwrap();
        set(services, &operator(), &ana(), Some("another password"), true).await.unwrap();
        let logs_in = async || matches!(check(services, "ana@x.test", "correct horse battery").await.unwrap(), Checked::Right(_));
        assert!(logs_in().await);
        account::suspend(services, &operator(), &ana(), "", false).await.unwrap();
        assert!(!logs_in().await, "suspended");
        account::set(services, &operator(), &ana(), &["standing=active".into()], false).await.unwrap();
        assert!(logs_in().await);
        trial.advance_days(30);
        assert!(!logs_in().await, "expired");
        account::set(services, &operator(), &ana(), &["expires=".into()], false).await.unwrap();
        assert!(logs_in().await);
        clear(services, &operator(), &ana(), false).await.unwrap();
        assert!(!logs_in().await, "cleared");
    }
}
