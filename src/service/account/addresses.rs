//! Addresses that a person adds to her account herself, and the one that she chooses for her mail.
//!
//! A further address is asked for on her page and proved by a link in a mail to it. The wish waits in a register until the link is
//! followed, for [`HOURS`], and stays there for an erasure afterwards, because mail about her went to that address; an address that is
//! taken off an account joins it for the same reason. The link works once, and only for whoever is signed in to the account that asked.
//! Nobody learns by it whether an address is known: the mail goes out only if nobody has the address, and the wish waits all the same.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{AccountChange, change};
use crate::domain::account::Account;
use crate::domain::address::EmailAddress;
use crate::domain::id::AccountId;
use crate::domain::mistake::Mistake;
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
/// Register of the address that a person chose for her mail: account → address, as it is compared.
const CHOSEN: &str = "chosen-addresses";

/// An address that waits for its link to be followed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressWish {
    /// Which.
    pub address: EmailAddress,
    /// When the link ends.
    pub until: DateTime<Utc>,
}

/// Addresses that wait.
///
/// # Errors
/// When the store fails.
pub async fn waiting(services: &Services, account: AccountId) -> Result<Vec<AddressWish>, Failure> {
    let (now, wishes) = (services.now(), wishes(services, account).await?);
    Ok(wishes.into_iter().map(|(_, wish)| wish).filter(|wish| wish.until > now).collect())
}

/// Every address that she asked for or once had: mail about her went there, which an erasure has to find. What is somebody else's is
/// not among them, because the record there is about him.
pub(super) async fn beside(services: &Services, account: AccountId) -> Result<Vec<EmailAddress>, Failure> {
    let mut beside = Vec::new();
    for (_, wish) in wishes(services, account).await? {
        let holder = services.store.account_by_address(&wish.address).await?;
        if holder.is_none_or(|holder| holder.id == account) {
            beside.push(wish.address);
        }
    }
    Ok(beside)
}

/// Remembers the addresses that an account is about to lose.
pub(super) async fn remember_lost(services: &Services, before: &Account, after: &Account) -> Result<(), Failure> {
    for address in before.addresses.iter().filter(|address| !after.owns(address)) {
        let past = AddressWish { address: address.clone(), until: services.now() };
        let key = key(before.id, &services.chance().to_be_bytes());
        services.store.put_entry(WISHES, &key, 0, record::encode(&past)?).await?;
    }
    Ok(())
}

/// Notes the wish and mails the link to the new address, unless somebody has it already.
///
/// # Errors
/// `Mistaken` when the account has [`MOST`] addresses or asked [`ASKED_A_DAY`] times today; or when a template or the store fails.
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
        return Err(Mistake::AddressesFull.about([MOST]).into());
    }
    let day = format!("{}|{}", services.today(), account.id);
    if services.store.count_up("address-link", &day).await? > ASKED_A_DAY {
        return Err(Mistake::AddressesADay.about([ASKED_A_DAY]).into());
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
    services
        .alone(async {
            let account = &as_now(services, account).await?;
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
        })
        .await
}

/// Takes an address from the account, or back from those that wait. The first of the rest gets the mail then.
///
/// # Errors
/// `NotFound` when she does not have it, `Invalid` when it is her only one; or when the store fails.
pub async fn remove(services: &Services, actor: &Actor, account: &Account, address: &str) -> Result<Option<AccountChange>, Failure> {
    services
        .alone(async {
            let account = &as_now(services, account).await?;
            for (key, wish) in wishes(services, account.id).await? {
                if wish.address.as_str() == address && wish.until > services.now() {
                    // That she asked is still known, for an erasure.
                    let version = services.store.entry(WISHES, &key).await?.map_or(0, |(version, _)| version);
                    let over = AddressWish { until: services.now(), ..wish };
                    services.store.put_entry(WISHES, &key, version, record::encode(&over)?).await?;
                    return Ok(None);
                }
            }
            let mut after = account.clone();
            after.addresses.retain(|one| one.as_str() != address);
            if after.addresses.len() == account.addresses.len() {
                return Err(Failure::NotFound(format!("\"{}\" is no address of this account", address.escape_debug())));
            }
            if after.addresses.is_empty() {
                return Err(Mistake::LastAddress.plain().into());
            }
            change(services, actor, "account address", account.clone(), after, false).await.map(Some)
        })
        .await
}

/// Sends her mail to that one of her addresses from now on; an import keeps to it as long as its source has the address.
///
/// # Errors
/// `NotFound` when she does not have it; or when the store fails.
pub async fn choose(services: &Services, actor: &Actor, account: &Account, address: &str) -> Result<AccountChange, Failure> {
    services
        .alone(async {
            let account = &as_now(services, account).await?;
            let mut after = account.clone();
            if !put_first(&mut after, address) {
                return Err(Failure::NotFound(format!("\"{}\" is no address of this account", address.escape_debug())));
            }
            let (key, chosen) = (account.id.to_string(), after.address().key().into_bytes());
            let version = services.store.entry(CHOSEN, &key).await?.map_or(0, |(version, _)| version);
            services.store.put_entry(CHOSEN, &key, version, chosen).await?;
            change(services, actor, "account address", account.clone(), after, false).await
        })
        .await
}

/// The account as it is in the record, which may have changed since the page that asks was made.
async fn as_now(services: &Services, account: &Account) -> Result<Account, Failure> {
    let now = services.store.account(account.id).await?;
    now.ok_or_else(|| Failure::NotFound(format!("nobody in the directory has the address {} any more", account.address())))
}

/// Puts that address in front of the others, if she has it.
fn put_first(account: &mut Account, address: &str) -> bool {
    let place = account.addresses.iter().position(|one| one.key() == address.to_lowercase() || one.as_str() == address);
    if let Some(place) = place {
        account.addresses[..=place].rotate_right(1);
    }
    place.is_some()
}

/// What people chose, for an import.
pub(super) struct Chosen(HashMap<AccountId, String>);

impl Chosen {
    /// All there are.
    pub(super) async fn load(services: &Services) -> Result<Self, Failure> {
        let mut chosen = HashMap::new();
        let mut after: Option<String> = None;
        loop {
            let page = services.store.entries(CHOSEN, after.as_deref(), PAGE).await?;
            let Some((last, ..)) = page.last() else { return Ok(Self(chosen)) };
            after = Some(last.clone());
            chosen.extend(page.into_iter().filter_map(|(key, _, bytes)| Some((key.parse().ok()?, String::from_utf8(bytes).ok()?))));
        }
    }

    /// Puts the address that she chose in front again, if the source still lists it.
    pub(super) fn keep(&self, account: &mut Account, listed: &[EmailAddress]) {
        if let Some(chosen) = self.0.get(&account.id)
            && listed.iter().any(|address| address.key() == *chosen)
        {
            put_first(account, chosen);
        }
    }
}

/// Forgets the wishes and the choice of an account that is erased.
///
/// # Errors
/// When the store fails.
pub async fn forget(services: &Services, account: AccountId) -> Result<(), Failure> {
    services.store.remove_entry(CHOSEN, &account.to_string()).await?;
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
    let wish: AddressWish = record::decode(&format!("the address that waits under {key}"), &bytes)?;
    Ok((wish.until > services.now()).then_some((key, wish)))
}

async fn wishes(services: &Services, account: AccountId) -> Result<Vec<(String, AddressWish)>, Failure> {
    let prefix = format!("{account}-");
    let mut found = Vec::new();
    let mut after = prefix.clone();
    loop {
        let page = services.store.entries(WISHES, Some(&after), PAGE).await?;
        let Some((last, ..)) = page.last() else { return Ok(found) };
        after.clone_from(last);
        for (key, _, bytes) in page {
            if !key.starts_with(&prefix) {
                return Ok(found);
            }
            let wish = record::decode(&format!("the address that waits under {key}"), &bytes)?;
            found.push((key, wish));
        }
    }
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
        assert!(matches!(remove(services, &operator(), &ana, "ana@home.test").await, Err(Failure::Mistaken(_))));
    }

    #[tokio::test]
    async fn an_import_keeps_the_address_that_she_chose_as_long_as_it_is_listed() {
        use crate::service::account::{Manner, import};
        let trial = Trial::peopled().await;
        let services = &trial.services;
        let read = async |emails: &str| {
            let file = format!("email,kind\n{emails},ties\n");
            import(services, &operator(), file.as_bytes(), "a.csv", Manner::default()).await.unwrap();
            let ana = of(&trial, "ana@x.test").await;
            ana.addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(read("ana@x.test;ana@y.test").await, "ana@x.test ana@y.test");
        assert_eq!(read("ana@y.test;ana@x.test").await, "ana@y.test ana@x.test", "who chose nothing follows the directory");
        let ana = of(&trial, "ana@x.test").await;
        assert!(matches!(choose(services, &operator(), &ana, "ben@x.test").await, Err(Failure::NotFound(_))));
        choose(services, &operator(), &ana, "ana@x.test").await.unwrap();
        assert_eq!(read("ana@y.test;ana@z.test;ana@x.test").await, "ana@x.test ana@y.test ana@z.test");
        assert_eq!(read("ana@y.test;ana@z.test").await, "ana@y.test ana@z.test ana@x.test", "the directory does not list it any more");
        assert_eq!(read("ana@z.test;ana@X.test").await, "ana@x.test ana@z.test ana@y.test", "it does again");
        crate::service::account::erase(services, &operator(), &address("ana@x.test"), false).await.unwrap();
        assert!(services.store.entries(CHOSEN, None, 9).await.unwrap().is_empty());
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
        assert!(matches!(ask(services, &operator(), &ana, &address("z@home.test")).await, Err(Failure::Mistaken(_))));
    }
}
