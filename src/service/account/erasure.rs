//! Erasing a person, and remembering that she was erased without knowing who she was.
//!
//! What stays in her place is a pseudonym made with a secret of this service, and a digest of each address made the same way: with them
//! an import recognises her and leaves her out, and nobody who has the record alone can tell who she was. The posts of the archive
//! follow `retention.erased_posts`. At the end everything but the archive is looked through again, and what still names her is said.

use std::collections::{BTreeMap, HashSet};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::{AccountChange, addresses, find, import, person};
use crate::domain::address::EmailAddress;
use crate::service::{Actor, Failure, Services, archive, directory, keyring, liaison, login, password, reconfirm, senders, session};
use crate::store::erasure::Vanishing;
use crate::store::transfer::{Item, Place};

/// Register of addresses that were erased: keyed digest → day.
const TOMBSTONES: &str = "erased-addresses";
/// Octets of a digest that are kept.
const DIGEST_OCTETS: usize = 16;
const PAGE: usize = 1_000;

/// Makes digests of addresses that only this service can make.
pub struct Digests([u8; crate::mail::token::SECRET_OCTETS]);

impl Digests {
    /// With the secret of this service, which is made when it is first needed.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn load(services: &Services) -> Result<Self, Failure> {
        Ok(Self(keyring::pseudonyms(services).await?))
    }

    fn of(&self, address: &EmailAddress) -> [u8; DIGEST_OCTETS] {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("a key of any length is taken");
        mac.update(address.key().as_bytes());
        mac.finalize().into_bytes().first_chunk().copied().unwrap_or_default()
    }

    /// What the record shows in place of the address.
    pub fn pseudonym(&self, address: &EmailAddress) -> String {
        let digest = data_encoding::BASE32_NOPAD.encode(&self.of(address)).to_ascii_lowercase();
        format!("erased-{}@invalid", &digest[..16])
    }
}

/// Addresses of erased persons, as far as they can be recognised.
pub struct Tombstones {
    digests: Digests,
    erased: HashSet<String>,
}

impl Tombstones {
    /// All there are; few.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn load(services: &Services) -> Result<Self, Failure> {
        let mut erased = HashSet::new();
        let mut after: Option<String> = None;
        loop {
            let page = services.store.entries(TOMBSTONES, after.as_deref(), PAGE).await?;
            let Some((last, ..)) = page.last() else { break };
            after = Some(last.clone());
            erased.extend(page.into_iter().map(|(key, ..)| key));
        }
        Ok(Self { digests: Digests::load(services).await?, erased })
    }

    /// Was the person of this address erased?
    pub fn hold(&self, address: &EmailAddress) -> bool {
        !self.erased.is_empty() && self.erased.contains(&key(&self.digests, address))
    }
}

fn key(digests: &Digests, address: &EmailAddress) -> String {
    data_encoding::HEXLOWER.encode(&digests.of(address))
}

/// Forgets that the person of this address was erased: she came back of her own will, or somebody vouches for it.
///
/// # Errors
/// When the store fails.
pub async fn lift(services: &Services, address: &EmailAddress) -> Result<(), Failure> {
    let digests = Digests::load(services).await?;
    Ok(services.store.remove_entry(TOMBSTONES, &key(&digests, address)).await?)
}

/// Erases a person: account, subscriptions, requests, sessions, scores, proofs, contacts of statements, letters of the service to her, and
/// notes that would bring her back. In ledger and audit trail a pseudonym stands for her addresses; posts follow
/// `retention.erased_posts`. An import leaves her out from then on.
///
/// # Errors
/// When nobody has the address, or the store fails; erasing again goes on where it stopped.
pub async fn erase(services: &Services, actor: &Actor, address: &EmailAddress, dry_run: bool) -> Result<AccountChange, Failure> {
    let account = find(services, address).await?;
    let subscriptions = services.store.subscriptions_of_account(account.id).await?.len();
    let requests: Vec<_> = services.store.requests(None).await?.into_iter().filter(|request| account.owns(&request.address)).collect();
    let digests = Digests::load(services).await?;
    let pseudonym = digests.pseudonym(account.address());
    let mut fields = vec![format!("{subscriptions} subscriptions"), format!("{} requests", requests.len())];
    let (told, mut changed) = person::let_go(services, &account, &pseudonym, dry_run).await?;
    fields.extend(told);
    if dry_run {
        return Ok(AccountChange { address: address.to_string(), change: "erased", fields, rejudged: Vec::new(), dry_run });
    }
    // Before anything that knows her is gone: whatever stops this, nobody brings her back meanwhile.
    for address in &account.addresses {
        let day = services.today().to_string();
        services.store.put_entry(TOMBSTONES, &key(&digests, address), 0, day.into_bytes()).await?;
    }
    for request in requests {
        services.store.take_request(request.id).await?;
    }
    // Mail about her went to addresses, too, that she asked for or had before.
    let beside = addresses::beside(services, account.id).await?;
    directory::forget(services, &account.addresses).await?;
    session::end_all(services, account.id).await?;
    login::forget(services, account.id).await?;
    senders::forget(services, account.id).await?;
    password::forget(services, account.id).await?;
    reconfirm::forget(services, account.id).await?;
    let names: Vec<&str> = account.addresses.iter().chain(&beside).map(EmailAddress::as_str).collect();
    let vanishing = Vanishing::new(names, pseudonym.as_str(), services.now());
    crate::service::moderate::forget(services, &account.addresses, &vanishing).await?;
    let contacts = liaison::erase_contacts(services, &account.addresses).await?;
    let replaced = services.store.pseudonymise(vanishing.clone()).await?;
    for id in &replaced.letters {
        person::empty_letter(services, *id).await?;
    }
    changed.extend(&replaced.letters);
    archive::refresh(services, &changed).await?;
    for address in &account.addresses {
        services.store.remove_entry(import::DEPARTED, &address.key()).await?;
    }
    // Last, so that an erasure that is begun again still finds them.
    addresses::forget(services, account.id).await?;
    services
        .alone(async {
            services.store.remove_subscriptions(account.id).await?;
            Ok(services.store.remove_account(account.id).await?)
        })
        .await?;
    // The trail says that it was done, not to whom.
    services.audit(&hidden(actor, &vanishing), "account erase", None, format!("{} {pseudonym}", account.id)).await?;
    fields.push(format!("{} rows of the ledger and {} entries of the audit trail show the pseudonym", replaced.recipients, replaced.audit));
    fields.push(format!("{} letters emptied, {contacts} contacts of statements, {} marks removed", replaced.letters.len(), replaced.marks));
    let left = named_in(services, &vanishing).await?;
    if !left.is_empty() {
        let places: Vec<String> = left.iter().map(|(place, count)| format!("{place} ({count})")).collect();
        fields.push(format!("still named in: {}", places.join(", ")));
    }
    Ok(AccountChange { address: address.to_string(), change: "erased", fields, rejudged: Vec::new(), dry_run })
}

/// Who erases herself is not named as the one who did it.
fn hidden(actor: &Actor, vanishing: &Vanishing) -> Actor {
    Actor { name: vanishing.hide(&actor.name).unwrap_or_else(|| actor.name.clone()) }
}

/// What in the record, but for message bodies, still names a person: kind or register, and how often.
///
/// # Errors
/// When the store fails.
pub async fn named_in(services: &Services, vanishing: &Vanishing) -> Result<BTreeMap<String, u64>, Failure> {
    let mut left = BTreeMap::new();
    let mut snapshot = services.store.snapshot().await?;
    let mut place = Some(Place::default());
    while let Some(at) = place {
        let (items, next) = snapshot.page(&at).await?;
        place = next;
        for item in items {
            let named = match &item {
                Item::Body { .. } => false,
                Item::Setting(name, value) => vanishing.is_in(name) || vanishing.is_in_record(value),
                Item::Entry(_, key, _, contents) => vanishing.is_in(key.as_bytes()) || vanishing.is_in_record(contents),
                Item::Mark(_, key, _) | Item::Counter(_, key, ..) | Item::Repetition(key, _) => vanishing.is_in(key),
                // Texts stand in quotes there, so that where they begin is plain.
                other => vanishing.is_in(format!("{other:?}").as_bytes()),
            };
            if named {
                let place = match &item {
                    Item::Entry(register, ..) => format!("register {register}"),
                    other => other.kind().to_owned(),
                };
                *left.entry(place).or_default() += 1;
            }
        }
    }
    Ok(left)
}
