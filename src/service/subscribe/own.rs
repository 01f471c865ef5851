//! What a person does with her own subscriptions. She was proved, by whatever means, before this is called.

use super::{Outcome, Settings, calendars, requests};
use crate::domain::account::Account;
use crate::domain::address::EmailAddress;
use crate::domain::gate::{self, Verdict, Way};
use crate::domain::group::Group;
use crate::domain::reason::{Reason, Rule};
use crate::domain::subscription::{Provenance, Subscription, SubscriptionState};
use crate::service::{Actor, Failure, Services, bounce};

/// What she wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// To be a subscriber.
    Subscribe,
    /// To be a subscriber with these settings.
    SubscribeWith(Settings),
    /// To be none.
    Unsubscribe,
    /// To change her settings; her role is never changed by herself.
    Set(Settings),
}

/// One of her subscriptions, for `which` and for her page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscribed {
    /// The subscription; not those she left.
    pub subscription: Subscription,
    /// The name of the group, for the reader's languages.
    pub name: String,
}

/// Does what the holder of `address` wants in `group`.
///
/// # Errors
/// When the store fails. A refusal is an [`Outcome`].
pub async fn own(services: &Services, actor: &Actor, group: &Group, address: &EmailAddress, wish: Wish) -> Result<Outcome, Failure> {
    services
        .alone(async {
            let (account, previous) = services.holder(&group.code, address).await?;
            match wish {
                Wish::Subscribe => subscribe(services, actor, group, address, account, previous).await,
                Wish::SubscribeWith(settings) => {
                    let outcome = subscribe(services, actor, group, address, account, previous).await?;
                    if !matches!(outcome, Outcome::Subscribed(_) | Outcome::AlreadySubscribed | Outcome::AwaitsApproval(_)) {
                        return Ok(outcome);
                    }
                    let (_, subscription) = services.holder(&group.code, address).await?;
                    let settings = Settings { role: None, moderated: None, ..settings };
                    let changed = set(services, actor, group, address, subscription, &settings).await?;
                    Ok(if outcome == Outcome::AlreadySubscribed { changed } else { outcome })
                }
                Wish::Unsubscribe => unsubscribe(services, actor, group, address, previous).await,
                Wish::Set(settings) => {
                    set(services, actor, group, address, previous, &Settings { role: None, moderated: None, ..settings }).await
                }
            }
        })
        .await
}

/// Her subscriptions in all groups, by code.
///
/// # Errors
/// When the store fails.
pub async fn which(services: &Services, account: &Account) -> Result<Vec<Subscribed>, Failure> {
    let groups = services.groups();
    let languages = if account.languages.is_empty() { &services.config.service.languages } else { &account.languages };
    let mut subscribed: Vec<Subscribed> = services
        .store
        .subscriptions_of_account(account.id)
        .await?
        .into_iter()
        .filter(|subscription| !matches!(subscription.state, SubscriptionState::Unsubscribed(_)))
        .map(|subscription| {
            let name = groups.get(&subscription.group).and_then(|group| group.name.best(languages).cloned()).unwrap_or_default();
            Subscribed { subscription, name }
        })
        .collect();
    subscribed.sort_by(|a, b| a.subscription.group.cmp(&b.subscription.group));
    Ok(subscribed)
}

/// What the gate would say if she asked now; changes nothing.
///
/// # Errors
/// When the store fails.
pub async fn verdict(services: &Services, group: &Group, account: &Account) -> Result<Verdict, Failure> {
    let previous = services.store.subscription(&group.code, account.id).await?;
    Ok(gate::may_subscribe(group, account.address(), Some(account), previous.as_ref(), Way::Own, services.today()))
}

async fn subscribe(
    services: &Services,
    actor: &Actor,
    group: &Group,
    address: &EmailAddress,
    account: Option<Account>,
    previous: Option<Subscription>,
) -> Result<Outcome, Failure> {
    match previous.as_ref().map(|previous| &previous.state) {
        Some(SubscriptionState::Active) => {
            // She writes, so she reads: whatever came back is over.
            if let Some(previous) = &previous {
                bounce::well(services, group, previous.account).await?;
            }
            return Ok(Outcome::AlreadySubscribed);
        }
        Some(SubscriptionState::Suspended(reason)) if may_come_back(reason.rule) => {
            return come_back(services, actor, group, address, account, previous).await;
        }
        Some(SubscriptionState::Pending(reason)) => return Ok(Outcome::AwaitsApproval(reason.clone())),
        Some(SubscriptionState::Suspended(reason)) => {
            let about = [address.to_string(), group.code.to_string(), reason.text()];
            return Ok(Outcome::Refused(Reason::new(Rule::SubscriptionSuspended, about)));
        }
        Some(SubscriptionState::Unsubscribed(_)) | None => {}
    }
    let verdict = gate::may_subscribe(group, address, account.as_ref(), previous.as_ref(), Way::Own, services.today());
    let (state, outcome): (SubscriptionState, fn(Reason) -> Outcome) = match &verdict {
        Verdict::Refuse(reason) => return Ok(Outcome::Refused(reason.clone())),
        Verdict::Hold(reason) | Verdict::Confirm(reason) => (SubscriptionState::Pending(reason.clone()), Outcome::AwaitsApproval),
        Verdict::Accept(_) => (SubscriptionState::Active, Outcome::Subscribed),
    };
    // The gate accepts nobody without an account.
    let Some(account) = account else {
        return Ok(Outcome::Refused(Reason::new(Rule::NoAccount, [address.as_str()])));
    };
    let subscription = renewed(services, group, &account, previous, Provenance::Own, state);
    let pending = !subscription.is_active();
    services.store.put_subscriptions(vec![subscription.clone()]).await?;
    services.audit(actor, if pending { "subscribe request" } else { "subscribe" }, Some(&group.code), address.to_string()).await?;
    if pending {
        requests::await_approval(services, group, address, &account).await?;
    } else {
        calendars::joined(services, &group.code, &[(subscription, account)]).await;
    }
    Ok(outcome(verdict.reason().clone()))
}

/// Does she end the rest of a subscription herself: after mail came back, a complaint, or a question that she did not answer?
pub fn may_come_back(rule: Rule) -> bool {
    matches!(rule, Rule::Bouncing | Rule::Complained | Rule::NotConfirmed)
}

/// A subscription that rests for one of these reasons is in force again when the person asks, unless the gate speaks against it.
async fn come_back(
    services: &Services,
    actor: &Actor,
    group: &Group,
    address: &EmailAddress,
    account: Option<Account>,
    previous: Option<Subscription>,
) -> Result<Outcome, Failure> {
    let act = match previous.as_ref().and_then(|previous| previous.state.reason()) {
        Some(reason) if reason.rule == Rule::NotConfirmed => "subscription confirm",
        _ => "bounce return",
    };
    let (Some(account), Some(mut subscription)) = (account, previous) else {
        return Ok(Outcome::Refused(Reason::new(Rule::NoAccount, [address.as_str()])));
    };
    if let Some(reason) = gate::standing(group, Some(&account), &subscription, services.today()) {
        return Ok(Outcome::Refused(reason));
    }
    subscription.state = SubscriptionState::Active;
    services.store.put_subscriptions(vec![subscription]).await?;
    bounce::well(services, group, account.id).await?;
    services.audit(actor, act, Some(&group.code), address.to_string()).await?;
    Ok(Outcome::Subscribed(Reason::new(Rule::Admitted, [address.as_str(), group.code.as_str()])))
}

/// The subscription as it was, or a new one, in that state. Settings of somebody who comes back are kept, her role is not.
pub(super) fn renewed(
    services: &Services,
    group: &Group,
    account: &Account,
    previous: Option<Subscription>,
    provenance: Provenance,
    state: SubscriptionState,
) -> Subscription {
    let fresh = Subscription::new(group.code.clone(), account.id, provenance, services.now());
    match previous {
        Some(previous) => Subscription { role: fresh.role, provenance, since: fresh.since, state, ..previous },
        None => Subscription { state, ..fresh },
    }
}

async fn unsubscribe(
    services: &Services,
    actor: &Actor,
    group: &Group,
    address: &EmailAddress,
    previous: Option<Subscription>,
) -> Result<Outcome, Failure> {
    let not_subscribed = || Outcome::NotSubscribed(Reason::new(Rule::NotSubscribed, [address.as_str(), group.code.as_str()]));
    let Some(mut subscription) = previous else { return Ok(not_subscribed()) };
    let before = subscription.clone();
    if matches!(subscription.state, SubscriptionState::Unsubscribed(_)) {
        return Ok(not_subscribed());
    }
    let about = [address.to_string(), group.code.to_string(), services.today().to_string()];
    let reason = Reason::new(Rule::OptedOut, about);
    subscription.state = SubscriptionState::Unsubscribed(reason.clone());
    services.store.put_subscriptions(vec![subscription]).await?;
    requests::withdraw(services, &group.code, address).await?;
    if before.is_active()
        && let Some(account) = services.store.account(before.account).await?
    {
        calendars::left(services, &group.code, &[(before, account)]).await;
    }
    services.audit(actor, "unsubscribe", Some(&group.code), address.to_string()).await?;
    Ok(Outcome::Unsubscribed(reason))
}

async fn set(
    services: &Services,
    actor: &Actor,
    group: &Group,
    address: &EmailAddress,
    previous: Option<Subscription>,
    settings: &Settings,
) -> Result<Outcome, Failure> {
    let subscription = previous.filter(|subscription| !matches!(subscription.state, SubscriptionState::Unsubscribed(_)));
    let Some(mut subscription) = subscription else {
        return Ok(Outcome::NotSubscribed(Reason::new(Rule::NotSubscribed, [address.as_str(), group.code.as_str()])));
    };
    let changed = settings.apply(&mut subscription);
    if changed.is_empty() {
        return Ok(Outcome::Unchanged);
    }
    services.store.put_subscriptions(vec![subscription]).await?;
    services.audit(actor, "subscription set", Some(&group.code), format!("{address}: {}", changed.join(", "))).await?;
    Ok(Outcome::Changed(changed))
}
