//! Rights as they are now: who may manage, and the continuous gate carried out.
//!
//! The rules are `domain::gate`; here their facts are fetched and what they say is written. Whoever changes an account
//! or a group's policies calls [`rejudge_accounts`] or [`rejudge_group`] afterwards, and the job at midnight [`expire`].

use std::collections::HashMap;

use chrono::{Days, NaiveDate};
use serde::Serialize;

use super::{Actor, Failure, Services};
use crate::domain::account::Account;
use crate::domain::gate::{self, Verdict};
use crate::domain::group::{Group, GroupCode};
use crate::domain::id::AccountId;
use crate::domain::subscription::{Subscription, SubscriptionState};

/// Members of a group read at a time.
const PAGE: usize = 1_000;

/// A subscription that the continuous gate suspended or brought back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rejudged {
    /// Whose; the account's identifier when the account is gone.
    pub address: String,
    /// In which group.
    pub group: String,
    /// `active` or `suspended`.
    pub state: &'static str,
    /// Why it rests.
    pub reason: Option<String>,
}

/// May the account manage the group?
///
/// # Errors
/// When the store fails.
pub async fn may_manage(services: &Services, group: &Group, account: &Account) -> Result<Verdict, Failure> {
    let subscription = services.store.subscription(&group.code, account.id).await?;
    Ok(gate::may_manage(group, account, subscription.as_ref(), services.today()))
}

/// May the account decide on held posts of the group?
///
/// # Errors
/// When the store fails.
pub async fn may_moderate(services: &Services, group: &Group, account: &Account) -> Result<Verdict, Failure> {
    let subscription = services.store.subscription(&group.code, account.id).await?;
    Ok(gate::may_moderate(group, account, subscription.as_ref(), services.today()))
}

/// Judges all subscriptions of these accounts again, as they are in the store; each change is in the audit trail.
///
/// # Errors
/// When the store fails.
pub async fn rejudge_accounts(services: &Services, actor: &Actor, accounts: &[AccountId]) -> Result<Vec<Rejudged>, Failure> {
    services
        .alone(async {
            let mut changes = Vec::new();
            for id in accounts {
                let account = services.store.account(*id).await?;
                changes.extend(judge_account(services, *id, account.as_ref()).await?);
            }
            write(services, actor, changes).await
        })
        .await
}

/// What [`rejudge_accounts`] would do if these accounts were in the store as given; changes nothing.
///
/// # Errors
/// When the store fails.
pub async fn preview(services: &Services, accounts: &[Account]) -> Result<Vec<Rejudged>, Failure> {
    let mut changes = Vec::new();
    for account in accounts {
        changes.extend(judge_account(services, account.id, Some(account)).await?);
    }
    Ok(changes.into_iter().map(|(_, rejudged)| rejudged).collect())
}

/// Judges all subscriptions of a group again, after its policies have changed.
///
/// # Errors
/// When the store fails.
pub async fn rejudge_group(services: &Services, actor: &Actor, code: &GroupCode) -> Result<Vec<Rejudged>, Failure> {
    let group = services.group(code)?;
    let today = services.today();
    let mut rejudged = Vec::new();
    let mut after = None;
    loop {
        let page = services
            .alone(async {
                let page = services.store.members_of_group(code, after, PAGE).await?;
                let Some((last, _)) = page.last() else { return Ok(None) };
                let last = last.account;
                let changes = page.into_iter().filter_map(|(subscription, account)| changed(&group, subscription, Some(&account), today));
                Ok(Some((last, write(services, actor, changes.collect()).await?)))
            })
            .await?;
        let Some((last, changes)) = page else { break };
        after = Some(last);
        rejudged.extend(changes);
    }
    Ok(rejudged)
}

/// The job at midnight: accounts that ended yesterday or in the days that the service slept, and invitations that are over.
///
/// `since` is the day of the last run; safe to run twice.
///
/// # Errors
/// When the store fails.
pub async fn expire(services: &Services, since: Option<NaiveDate>) -> Result<Vec<Rejudged>, Failure> {
    let actor = Actor::job("expiry");
    let today = services.today();
    let yesterday = today.checked_sub_days(Days::new(1)).unwrap_or(today);
    let from = since.unwrap_or(NaiveDate::MIN).min(yesterday);
    let expired = services.store.accounts_expiring(from, yesterday).await?;
    let mut rejudged = rejudge_accounts(services, &actor, &expired).await?;
    // Invitations have no index of their own; groups are read in pages, once a day.
    let groups: Vec<GroupCode> = services.groups().iter().filter(|group| !group.retired).map(|group| group.code.clone()).collect();
    for code in groups {
        rejudged.extend(rejudge_group(services, &actor, &code).await?);
    }
    Ok(rejudged)
}

type Change = (Subscription, Rejudged);

async fn judge_account(services: &Services, id: AccountId, account: Option<&Account>) -> Result<Vec<Change>, Failure> {
    let groups = services.groups();
    let today = services.today();
    let subscriptions = services.store.subscriptions_of_account(id).await?;
    let judged = subscriptions.into_iter().filter_map(|subscription| {
        let group = groups.get(&subscription.group)?;
        changed(group, subscription, account, today)
    });
    Ok(judged.collect())
}

fn changed(group: &Group, mut subscription: Subscription, account: Option<&Account>, today: NaiveDate) -> Option<Change> {
    let state = gate::rejudge(group, account, &subscription, today)?;
    let rejudged = Rejudged {
        address: account.map_or_else(|| subscription.account.to_string(), |account| account.address().to_string()),
        group: group.code.to_string(),
        state: state.as_str(),
        reason: state.reason().map(ToString::to_string),
    };
    subscription.state = state;
    Some((subscription, rejudged))
}

async fn write(services: &Services, actor: &Actor, changes: Vec<Change>) -> Result<Vec<Rejudged>, Failure> {
    if changes.is_empty() {
        return Ok(Vec::new());
    }
    let mut by_group: HashMap<GroupCode, (u64, u64)> = HashMap::new();
    for (subscription, _) in &changes {
        let counts = by_group.entry(subscription.group.clone()).or_default();
        if subscription.state == SubscriptionState::Active { counts.0 += 1 } else { counts.1 += 1 }
    }
    let (subscriptions, rejudged): (Vec<_>, Vec<_>) = changes.into_iter().unzip();
    services.store.put_subscriptions(subscriptions).await?;
    for (group, (back, suspended)) in by_group {
        services.audit(actor, "continuous gate", Some(&group), format!("{suspended} suspended, {back} brought back")).await?;
    }
    Ok(rejudged)
}
