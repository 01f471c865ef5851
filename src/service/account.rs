//! Accounts of the directory: imported, shown, set, suspended, erased, exported.
//!
//! After every change the continuous gate judges the account's subscriptions again, at once (`rights`). An account that a
//! synchronisation removed leaves its subscriptions suspended, and a note of its key: when the person comes back, so do they.

pub mod addresses;
mod erasure;
mod import;
mod person;

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::{Value, json};

use super::reconfirm::{self, Confirmations};
use super::rights::{self, Rejudged};
use super::{Actor, Failure, Services, senders, subscribe};
use crate::directory::builtin;
use crate::domain::account::{Account, AccountKind, Category, DirectoryRole, Standing};
use crate::domain::address::EmailAddress;
use crate::domain::id::AccountId;
use crate::domain::mistake::Mistake;
use crate::domain::subscription::Subscription;
use crate::store::erasure::Vanishing;

pub use erasure::{Tombstones, erase, lift, named_in};
pub(in crate::service) use import::take_over;
pub use import::{ImportReport, Manner, import};
pub use person::{Pseudonyms, without_address};

/// Accounts read at a time.
const PAGE: usize = 1_000;
/// Entries of the audit trail that an export looks through.
const AUDIT_ENTRIES: usize = 100_000;

/// An account in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AccountRow {
    /// Where her mail goes.
    pub address: String,
    /// All her addresses.
    pub addresses: Vec<String>,
    /// Her name.
    pub name: String,
    /// TIES or guest.
    pub kind: AccountKind,
    /// Membership category.
    pub category: Category,
    /// Member organisation.
    pub organisation: String,
    /// Is the organisation an operating agency?
    pub operating_agency: bool,
    /// ISO 3166-1 alpha-2, empty if unknown.
    pub country: String,
    /// Study groups it is affiliated to.
    pub study_groups: Vec<String>,
    /// Preferred languages.
    pub languages: Vec<String>,
    /// Last day.
    pub expires: Option<String>,
    /// `tsb`, `tsb:CODE`, `focal-point`, `operator`.
    pub roles: Vec<String>,
    /// `active`, `expired` or `suspended`.
    pub standing: &'static str,
    /// Why suspended.
    pub reason: Option<String>,
    /// Who provided it.
    pub source: String,
    /// The day on which it was confirmed last.
    pub confirmed: Option<String>,
    /// It was asked for a confirmation and none came yet; the last day for the answer.
    pub confirm_by: Option<String>,
}

/// An account with its subscriptions.
#[derive(Debug, Clone, Serialize)]
pub struct AccountReport {
    /// The account.
    #[serde(flatten)]
    pub account: AccountRow,
    /// Its subscriptions, by group.
    pub subscriptions: Vec<SubscriptionRow>,
}

/// A subscription of an account.
#[derive(Debug, Clone, Serialize)]
pub struct SubscriptionRow {
    /// Which group.
    pub group: String,
    /// `active`, `pending`, `suspended`, `unsubscribed`.
    pub state: &'static str,
    /// Why not active.
    pub reason: Option<String>,
}

/// What became of an account.
#[derive(Debug, Clone, Serialize)]
pub struct AccountChange {
    /// Whose.
    pub address: String,
    /// `changed`, `unchanged`, `suspended` or `erased`.
    pub change: &'static str,
    /// What changed, in words; one a field.
    pub fields: Vec<String>,
    /// Subscriptions that were suspended or brought back.
    pub rejudged: Vec<Rejudged>,
    /// Was nothing written?
    pub dry_run: bool,
}

/// All accounts, by address.
///
/// # Errors
/// When the store fails.
pub async fn list(services: &Services) -> Result<Vec<AccountRow>, Failure> {
    let confirmations = Confirmations::load(services).await?;
    let mut rows = Vec::new();
    let mut after = None;
    loop {
        let page = services.store.accounts(after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        rows.extend(page.iter().map(|account| row(services, account, &confirmations)));
    }
    rows.sort_by(|a, b| a.address.cmp(&b.address));
    Ok(rows)
}

/// At most `limit` accounts behind `after`, in the order in which they were made, and the mark behind which the rest begins.
///
/// # Errors
/// When the store fails.
pub async fn page(services: &Services, after: Option<AccountId>, limit: usize) -> Result<(Vec<AccountRow>, Option<AccountId>), Failure> {
    let mut accounts = services.store.accounts(after, limit.saturating_add(1)).await?;
    let more = accounts.len() > limit;
    accounts.truncate(limit);
    let next = accounts.last().filter(|_| more).map(|last| last.id);
    let confirmations = Confirmations::of(services, &accounts).await?;
    Ok((accounts.iter().map(|account| row(services, account, &confirmations)).collect(), next))
}

/// One account.
///
/// # Errors
/// When nobody has the address, or the store fails.
pub async fn show(services: &Services, address: &EmailAddress) -> Result<AccountReport, Failure> {
    let account = find(services, address).await?;
    let mut subscriptions: Vec<SubscriptionRow> = services
        .store
        .subscriptions_of_account(account.id)
        .await?
        .iter()
        .map(|subscription| SubscriptionRow {
            group: subscription.group.to_string(),
            state: subscription.state.as_str(),
            reason: subscription.state.reason().map(ToString::to_string),
        })
        .collect();
    subscriptions.sort_by(|a, b| a.group.cmp(&b.group));
    let confirmations = Confirmations::of(services, std::slice::from_ref(&account)).await?;
    Ok(AccountReport { account: row(services, &account, &confirmations), subscriptions })
}

/// Changes fields, each as `key=value` with the keys of the import; `standing=active` ends a suspension.
///
/// # Errors
/// When nobody has the address, a field is wrong (then nothing is changed), or the store fails.
pub async fn set(
    services: &Services,
    actor: &Actor,
    address: &EmailAddress,
    fields: &[String],
    dry_run: bool,
) -> Result<AccountChange, Failure> {
    services
        .alone(async {
            let before = find(services, address).await?;
            let mut account = before.clone();
            for field in fields {
                let (key, value) =
                    field.split_once('=').ok_or_else(|| Failure::Invalid(format!("\"{field}\" has no \"=\": write key=value")))?;
                builtin::set(&mut account, key.trim(), value).map_err(|why| Failure::Invalid(format!("{key}: {why}")))?;
            }
            for address in &account.addresses {
                let holder = services.store.account_by_address(address).await?;
                if holder.is_some_and(|holder| holder.id != account.id) {
                    return Err(Mistake::AddressTaken.about([address]).into());
                }
            }
            let vouched = !dry_run && matches!((&before.standing, &account.standing), (Standing::Unconfirmed { .. }, Standing::Active));
            let changed = change(services, actor, "account set", before, account.clone(), dry_run).await?;
            if vouched {
                reconfirm::vouched(services, &account).await?;
            }
            Ok(changed)
        })
        .await
}

/// Suspends an account until `set ADDRESS standing=active`; its subscriptions rest.
///
/// # Errors
/// When nobody has the address, or the store fails.
pub async fn suspend(
    services: &Services,
    actor: &Actor,
    address: &EmailAddress,
    reason: &str,
    dry_run: bool,
) -> Result<AccountChange, Failure> {
    services
        .alone(async {
            let before = find(services, address).await?;
            let reason: String = reason.chars().map(|c| if c.is_control() { ' ' } else { c }).take(500).collect();
            let account = match before.standing {
                Standing::Suspended { .. } => before.clone(),
                Standing::Active | Standing::Unconfirmed { .. } => {
                    Account { standing: Standing::Suspended { since: services.now(), reason }, ..before.clone() }
                }
            };
            let change = change(services, actor, "account suspend", before, account, dry_run).await?;
            Ok(if change.change == "changed" { AccountChange { change: "suspended", ..change } } else { change })
        })
        .await
}

/// Everything that is kept about a person.
///
/// # Errors
/// When nobody has the address, or the store fails.
pub async fn export(services: &Services, address: &EmailAddress) -> Result<Value, Failure> {
    let account = find(services, address).await?;
    let subscriptions = services.store.subscriptions_of_account(account.id).await?;
    let requests: Vec<Value> = services
        .store
        .requests(None)
        .await?
        .into_iter()
        .filter(|request| account.owns(&request.address))
        .map(|request| json!({ "verb": request.verb, "group": request.group, "address": request.address, "at": request.at, "expires": request.expires }))
        .collect();
    let names_her = |text: &str| account.addresses.iter().any(|address| text.to_lowercase().contains(&address.key()));
    let audit: Vec<Value> = services
        .store
        .audit(None, AUDIT_ENTRIES)
        .await?
        .into_iter()
        .filter(|entry| names_her(&entry.actor) || names_her(&entry.detail))
        .map(|entry| json!({ "at": entry.at, "actor": entry.actor, "act": entry.act, "group": entry.group, "detail": entry.detail }))
        .collect();
    let ways = senders::ways(services, account.id).await?;
    let wishes = addresses::waiting(services, account.id).await?;
    let traces = person::traces(services, &account).await?;
    let names: Vec<&str> = account.addresses.iter().map(EmailAddress::as_str).collect();
    // Whatever else the record holds is at least named, so that nothing is kept in secret.
    let kept = named_in(services, &Vanishing::new(names, "", services.now())).await?;
    let confirmations = Confirmations::of(services, std::slice::from_ref(&account)).await?;
    let subscriptions: Vec<Value> = subscriptions.iter().map(|subscription| held_subscription(subscription, &account)).collect();
    Ok(json!({
        "account": row(services, &account, &confirmations), "confirmation": confirmations.about(&account), "subscriptions": subscriptions, "requests": requests, "ways_of_mail": ways, "addresses_waiting": wishes,
        "audit": audit, "named_in": kept,
        "posts": traces["posts"], "ledger": traces["ledger"], "bounces": traces["bounces"], "liaison_contacts": traces["liaison_contacts"],
    }))
}

/// Everything that is kept of a subscription, in the words of `member list`, with where it came from and since when.
fn held_subscription(subscription: &Subscription, account: &Account) -> Value {
    let mut shown = serde_json::to_value(subscribe::row(subscription, account)).unwrap_or_default();
    if let (Value::Object(shown), Ok(Value::Object(stored))) = (&mut shown, serde_json::to_value(subscription)) {
        shown.insert("group".into(), json!(subscription.group));
        for key in ["since", "provenance", "invitation"] {
            shown.insert(key.into(), stored.get(key).cloned().unwrap_or_default());
        }
    }
    shown
}

async fn find(services: &Services, address: &EmailAddress) -> Result<Account, Failure> {
    let account = services.store.account_by_address(address).await?;
    account.ok_or_else(|| Failure::NotFound(format!("nobody in the directory has the address {address}; `enlace account list` shows all")))
}

async fn change(
    services: &Services,
    actor: &Actor,
    act: &str,
    before: Account,
    account: Account,
    dry_run: bool,
) -> Result<AccountChange, Failure> {
    let fields = compare(&before, &account);
    let address = account.address().to_string();
    if fields.is_empty() {
        return Ok(AccountChange { address, change: "unchanged", fields, rejudged: Vec::new(), dry_run });
    }
    let rejudged = if dry_run {
        rights::preview(services, std::slice::from_ref(&account)).await?
    } else {
        let id = account.id;
        addresses::remember_lost(services, &before, &account).await?;
        services.store.put_accounts(vec![account]).await?;
        services.audit(actor, act, None, format!("{}: {}", before.address(), fields.join(", "))).await?;
        rights::rejudge_accounts(services, actor, &[id]).await?
    };
    Ok(AccountChange { address, change: "changed", fields, rejudged, dry_run })
}

/// `country: FR → MX`, one a field that differs.
pub(super) fn compare(before: &Account, after: &Account) -> Vec<String> {
    let fields = |account: &Account| match serde_json::to_value(account) {
        Ok(Value::Object(fields)) => fields,
        _ => serde_json::Map::new(),
    };
    let old = fields(before);
    let mut changed = Vec::new();
    for (field, now) in fields(after) {
        if old.get(&field) == Some(&now) {
            continue;
        }
        let mut line = String::new();
        match field.as_str() {
            "country" => write!(line, "country: {} → {}", before.country_code(), after.country_code()),
            "standing" => write!(line, "standing: {} → {}", standing_text(&before.standing), standing_text(&after.standing)),
            _ => write!(line, "{field}: {} → {now}", old.get(&field).unwrap_or(&Value::Null)),
        }
        .expect("writing into a text does not fail");
        changed.push(line);
    }
    changed
}

fn standing_text(standing: &Standing) -> &'static str {
    match standing {
        Standing::Active => "active",
        Standing::Suspended { .. } => "suspended",
        Standing::Unconfirmed { .. } => "unconfirmed",
    }
}

fn row(services: &Services, account: &Account, confirmations: &Confirmations) -> AccountRow {
    let confirmation = confirmations.about(account);
    let expired = account.expires.is_some_and(|last| services.today() > last);
    let (standing, reason) = match &account.standing {
        Standing::Suspended { reason, .. } => ("suspended", Some(reason.clone()).filter(|reason| !reason.is_empty())),
        Standing::Unconfirmed { by, .. } => ("suspended", Some(format!("it was not confirmed by {by}"))),
        Standing::Active if expired => ("expired", None),
        Standing::Active => ("active", None),
    };
    let role = |role: &DirectoryRole| match role {
        DirectoryRole::Tsb => "tsb".to_owned(),
        DirectoryRole::TsbOf(code) => format!("tsb:{code}"),
        DirectoryRole::Operator => "operator".to_owned(),
        DirectoryRole::FocalPoint => "focal-point".to_owned(),
    };
    AccountRow {
        address: account.address().to_string(),
        addresses: account.addresses.iter().map(ToString::to_string).collect(),
        name: account.name.clone(),
        kind: account.kind,
        category: account.category,
        organisation: account.organisation.clone(),
        operating_agency: account.operating_agency,
        country: account.country_code().to_owned(),
        study_groups: account.study_groups.iter().map(ToString::to_string).collect(),
        languages: account.languages.iter().map(ToString::to_string).collect(),
        expires: account.expires.map(|day| day.to_string()),
        roles: account.roles.iter().map(role).collect(),
        standing,
        reason,
        source: account.source.clone(),
        confirmed: confirmation.confirmed.map(|day| day.to_string()),
        confirm_by: confirmation.round.map(|round| round.by.to_string()),
    }
}

#[cfg(test)]
mod tests;
