//! Further addresses that a person adds to her account herself: asked for on her page, proved by a link in a mail to the new one.
//!
//! The wish waits in a register until the link is followed, for [`HOURS`]; it works once, and only for whoever is signed in to the
//! account that asked. Nobody learns by it whether an address is known: the mail goes out only if nobody has the address, and the
//! wish waits all the same.

use chrono::{DateTime, TimeDelta, Utc};
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{AccountChange, change};
use crate::domain::account::Account;
use crate::domain::address::EmailAddress;
use crate::domain::id::AccountId;
use crate::mail::token::Purpose;
use crate::service::robot::{self, Allowance, RobotMail};
use crate::service::{Actor, Failure, Services, session};
use crate::store::record;

/// How long the link works, in hours.
pub const HOURS: i64 = 24;
/// Most addresses of one account, those that wait included.
pub const MOST: usize = 8;
/// Mails that one account may ask for in a day.
pub const ASKED_A_DAY: u64 = 5;
/// Register of the wishes: `ACCOUNT-NUMBER`.
const WISHES: &str = "address-wishes";
const PAGE: usize = 100;

/// An address that waits for its link to be followed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressWish {
    /// Which.
    pub address: EmailAddress,
    /// When the link ends.
    pub until: DateTime<Utc>,
}

/// Addresses that wait; those whose link is over are forgotten on the way.
///
/// # Errors
/// When the store fails.
pub async fn waiting(services: &Services, account: AccountId) -> Result<Vec<AddressWish>, Failure> {
    let now = services.now();
    let mut waiting = Vec::new();
    for (key, wish) in wishes(services, account).await? {
        if wish.until <= now {
            services.store.remove_entry(WISHES, &key).await?;
        } else {
            waiting.push(wish);
        }
    }
    Ok(waiting)
}

/// Notes the wish and mails the link to the new address, unless somebody has it already.
///
/// # Errors
/// `Invalid` when the account has [`MOST`] addresses or asked [`ASKED_A_DAY`] times today; or when a template or the store fails.
pub async fn ask(services: &Services, actor: &Actor, account: &Account, address: &EmailAddress) -> Result<(), Failure> {
    if account.owns(address) {
        return Ok(());
    }
    for (key, wish) in wishes(services, account.id).await? {
        if wish.address == *address {
            services.store.remove_entry(WISHES, &key).await?;
        }
    }
    if account.addresses.len() + waiting(services, account.id).await?.len() >= MOST {
        return Err(Failure::Invalid(format!("an account has at most {MOST} addresses; remove one first")));
    }
    let day = format!("{}|{}", services.today(), account.id);
    if services.store.count_up("address-link", &day).await? > ASKED_A_DAY {
        return Err(Failure::Invalid(format!("at most {ASKED_A_DAY} addresses can be asked for in a day; try again tomorrow")));
    }
    let until = services.now() + TimeDelta::hours(HOURS);
    let number = services.chance().to_be_bytes();
    let wish = AddressWish { address: address.clone(), until };
    services.store.put_entry(WISHES, &key(account.id, &number), 0, record::encode(&wish)?).await?;
    services.audit(actor, "address ask", None, account.address().to_string()).await?;
    if services.store.account_by_address(address).await?.is_some() {
        return Ok(());
    }
    let Some(group) = session::group_for(services, account).await? else { return Ok(()) };
    let mut payload = account.id.0.to_be_bytes().to_vec();
    payload.extend_from_slice(&number);
    let token = services.keys.link_token(Purpose::NewAddress, &payload, Some(until));
    let mail = RobotMail {
        to: address,
        account: Some(account),
        group: &group,
        template: "confirm-address",
        context: json!({
            "link": format!("{}/me/address/{token}", services.site.base_url), "hours": HOURS, "member": account.address(),
        }),
        reply_to: None,
        in_reply_to: None,
        // A stranger's mailbox must not be flooded by wishes of many accounts.
        allowance: Allowance::Answer,
    };
    robot::send(services, mail).await.map(|_| ())
}

/// The address that a link would add to this account; `None` if it is no good, or not for her. Changes nothing.
///
/// # Errors
/// When the store fails.
pub async fn look(services: &Services, account: &Account, token: &str) -> Result<Option<EmailAddress>, Failure> {
    Ok(found(services, account, token).await?.map(|(_, wish)| wish.address))
}

/// Adds the address of a good link, once; `None` as in [`look`].
///
/// # Errors
/// When the store fails.
pub async fn confirm(services: &Services, actor: &Actor, account: &Account, token: &str) -> Result<Option<EmailAddress>, Failure> {
    let Some((key, wish)) = found(services, account, token).await? else { return Ok(None) };
    services.store.remove_entry(WISHES, &key).await?;
    // Somebody may have got it since.
    if services.store.account_by_address(&wish.address).await?.is_some() {
        return Ok(None);
    }
    let mut after = account.clone();
    after.addresses.push(wish.address.clone());
    change(services, actor, "account address", account.clone(), after, false).await?;
    Ok(Some(wish.address))
}

/// Takes an address from the account, or back from those that wait. The first of the rest gets the mail then.
///
/// # Errors
/// `NotFound` when she does not have it, `Invalid` when it is her only one; or when the store fails.
pub async fn remove(services: &Services, actor: &Actor, account: &Account, address: &str) -> Result<Option<AccountChange>, Failure> {
    for (key, wish) in wishes(services, account.id).await? {
        if wish.address.as_str() == address {
            services.store.remove_entry(WISHES, &key).await?;
            return Ok(None);
        }
    }
    let mut after = account.clone();
    after.addresses.retain(|one| one.as_str() != address);
    if after.addresses.len() == account.addresses.len() {
        return Err(Failure::NotFound(format!("\"{}\" is no address of this account", address.escape_debug())));
    }
    if after.addresses.is_empty() {
        return Err(Failure::Invalid("an account needs an address; add another one first".into()));
    }
    change(services, actor, "account address", account.clone(), after, false).await.map(Some)
}

/// Forgets the wishes of an account that is erased.
///
/// # Errors
/// When the store fails.
pub async fn forget(services: &Services, account: AccountId) -> Result<(), Failure> {
    for (key, _) in wishes(services, account).await? {
        services.store.remove_entry(WISHES, &key).await?;
    }
    Ok(())
}

async fn found(services: &Services, account: &Account, token: &str) -> Result<Option<(String, AddressWish)>, Failure> {
    let Some(payload) = services.keys.read_link_token(Purpose::NewAddress, token, services.now()) else { return Ok(None) };
    let Some((id, number)) = payload.split_first_chunk::<8>() else { return Ok(None) };
    if AccountId(u64::from_be_bytes(*id)) != account.id {
        return Ok(None);
    }
    let key = key(account.id, number);
    let Some((_, bytes)) = services.store.entry(WISHES, &key).await? else { return Ok(None) };
    Ok(Some((key.clone(), record::decode(&format!("the address that waits under {key}"), &bytes)?)))
}

async fn wishes(services: &Services, account: AccountId) -> Result<Vec<(String, AddressWish)>, Failure> {
    let prefix = format!("{account}-");
    let page = services.store.entries(WISHES, Some(&prefix), PAGE).await?;
    let own = page.into_iter().take_while(|(key, ..)| key.starts_with(&prefix));
    own.map(|(key, _, bytes)| Ok((key.clone(), record::decode(&format!("the address that waits under {key}"), &bytes)?))).collect()
}

fn key(account: AccountId, number: &[u8]) -> String {
    format!("{account}-{}", HEXLOWER.encode(number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::post::Audience;
    use crate::service::trial::{Trial, operator};

    fn address(text: &str) -> EmailAddress {
        text.parse().unwrap()
    }

    async fn of(trial: &Trial, text: &str) -> Account {
        trial.services.store.account_by_address(&address(text)).await.unwrap().unwrap()
    }

    /// Tokens of the links that were mailed to an address.
    async fn links(trial: &Trial, to: &str) -> Vec<String> {
        let mut tokens = Vec::new();
        for post in trial.services.store.posts_to_plan(trial.services.now(), 100).await.unwrap() {
            let Audience::Listed(rows) = &post.audience else { continue };
            if rows.iter().any(|row| row.address == to) {
                let body = trial.services.store.body(&post.editions[0].body).await.unwrap();
                let text = String::from_utf8_lossy(&body).replace("=\r\n", "");
                let token = text.split("/me/address/").nth(1).map(|rest| rest.chars().take_while(char::is_ascii_alphanumeric).collect());
                tokens.extend(token);
            }
        }
        tokens
    }

    #[tokio::test]
    async fn an_address_is_added_by_the_link_once_and_by_nobody_else() {
        let trial = Trial::peopled().await;
        let (services, ana) = (&trial.services, of(&trial, "ana@x.test").await);
        let mia = of(&trial, "mia@x.test").await;
        ask(services, &operator(), &ana, &address("ana@home.test")).await.unwrap();
        assert_eq!(waiting(services, ana.id).await.unwrap().len(), 1);
        let token = links(&trial, "ana@home.test").await.remove(0);
        assert_eq!(look(services, &mia, &token).await.unwrap(), None, "who found the mail cannot take the address");
        assert_eq!(look(services, &ana, &token).await.unwrap(), Some(address("ana@home.test")));
        assert_eq!(of(&trial, "ana@x.test").await.addresses.len(), 1, "looking changes nothing");
        assert!(confirm(services, &operator(), &ana, &token).await.unwrap().is_some());
        let ana = of(&trial, "ana@home.test").await;
        assert_eq!(ana.addresses, [address("ana@x.test"), address("ana@home.test")]);
        assert_eq!(confirm(services, &operator(), &ana, &token).await.unwrap(), None, "a link works once");
        remove(services, &operator(), &ana, "ana@x.test").await.unwrap();
        let ana = of(&trial, "ana@home.test").await;
        assert_eq!(ana.addresses, [address("ana@home.test")]);
        assert!(matches!(remove(services, &operator(), &ana, "ana@home.test").await, Err(Failure::Invalid(_))));
    }

    #[tokio::test]
    async fn nothing_tells_whether_an_address_is_known_and_links_end() {
        let trial = Trial::peopled().await;
        let (services, ana) = (&trial.services, of(&trial, "ana@x.test").await);
        ask(services, &operator(), &ana, &address("ben@x.test")).await.unwrap();
        ask(services, &operator(), &ana, &address("ana@home.test")).await.unwrap();
        assert!(links(&trial, "ben@x.test").await.is_empty());
        assert_eq!(waiting(services, ana.id).await.unwrap().len(), 2, "both look alike");
        let token = links(&trial, "ana@home.test").await.remove(0);
        remove(services, &operator(), &ana, "ana@home.test").await.unwrap();
        assert_eq!(look(services, &ana, &token).await.unwrap(), None, "what was taken back is no good");
        trial.advance_days(2);
        assert!(waiting(services, ana.id).await.unwrap().is_empty());
        for number in 0..ASKED_A_DAY {
            ask(services, &operator(), &ana, &address(&format!("a{number}@home.test"))).await.unwrap();
        }
        assert!(matches!(ask(services, &operator(), &ana, &address("z@home.test")).await, Err(Failure::Invalid(_))));
    }
}
