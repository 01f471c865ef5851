//! Leaving, undone on the page that said it: the subscription is as it was, with its role, and nobody has to approve it again.
//!
//! What is needed lies in the record of who left; the token says that it was in force until a moment ago, and names that record as
//! it then was. So a role that was taken, or a removal, in the meantime is never undone by it.

use chrono::TimeDelta;
use sha2::{Digest, Sha256};

use super::{Outcome, calendars};
use crate::domain::account::Account;
use crate::domain::gate;
use crate::domain::group::Group;
use crate::domain::reason::{Reason, Rule};
use crate::domain::subscription::{Subscription, SubscriptionState};
use crate::mail::token::Purpose;
use crate::service::{Actor, Failure, Services, bounce};

/// How long leaving can be undone as if it had not been.
const MINUTES: i64 = 60;

/// The token with which she who has just left comes back as she was; `None` unless `before` was in force and she left herself.
///
/// # Errors
/// When the store fails.
pub async fn undo_token(services: &Services, before: &Subscription) -> Result<Option<String>, Failure> {
    let Some(left) = services.store.subscription(&before.group, before.account).await?.filter(left_herself) else { return Ok(None) };
    if !before.is_active() || *before != (Subscription { state: SubscriptionState::Active, ..left.clone() }) {
        return Ok(None);
    }
    let until = services.now() + TimeDelta::minutes(MINUTES);
    Ok(Some(services.keys.link_token(Purpose::Undo, &name_of(&left), Some(until))))
}

/// Brings back who left, as she was; `None` when the token is over, is about something else, or the record has changed since.
///
/// # Errors
/// When the store fails.
pub async fn undo(services: &Services, actor: &Actor, group: &Group, account: &Account, token: &str) -> Result<Option<Outcome>, Failure> {
    services.alone(in_turn(services, actor, group, account, token)).await
}

async fn in_turn(services: &Services, actor: &Actor, group: &Group, account: &Account, token: &str) -> Result<Option<Outcome>, Failure> {
    let named = services.keys.read_link_token(Purpose::Undo, token, services.now());
    let left = services.store.subscription(&group.code, account.id).await?.filter(left_herself);
    let Some(mut subscription) = left.filter(|left| named.is_some_and(|named| named == name_of(left))) else { return Ok(None) };
    subscription.state = SubscriptionState::Active;
    if let Some(reason) = gate::standing(group, Some(account), &subscription, services.today()) {
        return Ok(Some(Outcome::Refused(reason)));
    }
    services.store.put_subscriptions(vec![subscription.clone()]).await?;
    bounce::well(services, group, account.id).await?;
    calendars::joined(services, &group.code, &[(subscription, account.clone())]).await;
    services.audit(actor, "subscribe", Some(&group.code), account.address().to_string()).await?;
    Ok(Some(Outcome::Subscribed(Reason::new(Rule::Admitted, [account.address().as_str(), group.code.as_str()]))))
}

fn left_herself(subscription: &Subscription) -> bool {
    matches!(&subscription.state, SubscriptionState::Unsubscribed(reason) if reason.rule == Rule::OptedOut)
}

/// Names the record as it is, whose it is and of what.
fn name_of(subscription: &Subscription) -> Vec<u8> {
    // Every part of a subscription can be written as JSON.
    let written = serde_json::to_vec(subscription).unwrap_or_default();
    Sha256::digest(written)[..16].to_vec()
}
