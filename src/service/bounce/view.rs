//! Scores shown, reset and forgotten: for the command line, the pages and the job of the night.

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{record, sight};
use crate::domain::address::EmailAddress;
use crate::domain::bounce::incident;
use crate::domain::bounce::score::LIMIT;
use crate::domain::gate;
use crate::domain::group::GroupCode;
use crate::domain::id::AccountId;
use crate::domain::reason::Rule;
use crate::domain::subscription::SubscriptionState;
use crate::service::{Actor, Failure, Services};

/// One member whose mail came back.
#[derive(Debug, Clone, Serialize)]
pub struct BounceRow {
    /// Where her mail goes.
    pub address: String,
    /// Name of her account.
    pub name: String,
    /// In which group.
    pub group: String,
    /// Points now; at [`LIMIT`] she is probed.
    pub score: f64,
    /// See there.
    pub limit: f64,
    /// Class of the last failure.
    pub class: &'static str,
    /// The remote server's last words.
    pub diagnostic: String,
    /// Failures so far.
    pub failures: u32,
    /// Since when.
    pub first: DateTime<Utc>,
    /// When the last one came.
    pub last: DateTime<Utc>,
    /// When a probe was sent that did not come back yet.
    pub probed: Option<DateTime<Utc>>,
    /// State of the subscription.
    pub state: &'static str,
    /// Does her provider have an incident, so that her score rests?
    pub frozen: bool,
}

/// A provider whose members are not scored at present.
#[derive(Debug, Clone, Serialize)]
pub struct Incident {
    /// Its domain.
    pub provider: String,
    /// Since when.
    pub since: DateTime<Utc>,
    /// What its servers say to everybody.
    pub text: String,
}

/// What a reset did for one group.
#[derive(Debug, Clone, Serialize)]
pub struct ResetRow {
    /// Whose.
    pub address: String,
    /// In which group.
    pub group: String,
    /// Was there a score?
    pub score: bool,
    /// `active` if the subscription was brought back, else as it is.
    pub state: &'static str,
    /// Why it is not active.
    pub reason: Option<String>,
}

/// Members whose mail came back, the worst first; of one group or of all.
///
/// # Errors
/// When the store fails.
pub async fn list(services: &Services, group: Option<&GroupCode>) -> Result<Vec<BounceRow>, Failure> {
    worst(services, group, usize::MAX).await
}

/// The worst `most` of them.
///
/// # Errors
/// When the store fails.
pub async fn worst(services: &Services, group: Option<&GroupCode>, most: usize) -> Result<Vec<BounceRow>, Failure> {
    let now = services.now();
    let sightings = sight::all(services).await?;
    let mut scores = match group {
        Some(group) => {
            record::of_group(services, group.as_str()).await?.into_iter().map(|(id, score)| (group.to_string(), id, score)).collect()
        }
        None => record::all(services).await?,
    };
    scores.sort_by(|(.., a), (.., b)| b.points_at(now).total_cmp(&a.points_at(now)));
    let mut rows = Vec::new();
    for (code, id, score) in scores {
        if rows.len() >= most {
            break;
        }
        let Ok(code) = code.parse::<GroupCode>() else { continue };
        let Some(account) = services.store.account(id).await? else { continue };
        let subscription = services.store.subscription(&code, id).await?;
        rows.push(BounceRow {
            address: account.address().to_string(),
            name: account.name.clone(),
            group: code.to_string(),
            score: (score.points_at(now) * 100.0).round() / 100.0,
            limit: LIMIT,
            class: score.class.as_str(),
            diagnostic: score.diagnostic,
            failures: score.failures,
            first: score.first,
            last: score.at,
            probed: score.probed,
            state: subscription.as_ref().map_or("unsubscribed", |subscription| subscription.state.as_str()),
            frozen: incident::of(&sightings, account.address().domain(), now).is_some(),
        });
    }
    rows.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| (&a.address, &a.group).cmp(&(&b.address, &b.group))));
    Ok(rows)
}

/// Incidents of the providers of these members.
///
/// # Errors
/// When the store fails.
pub async fn incidents(services: &Services, rows: &[BounceRow]) -> Result<Vec<Incident>, Failure> {
    let mut providers: Vec<&str> = rows.iter().filter_map(|row| row.address.rsplit_once('@')).map(|(_, domain)| domain).collect();
    providers.sort_unstable();
    providers.dedup();
    let (known, now) = (sight::all(services).await?, services.now());
    let found = providers.into_iter().filter_map(|provider| {
        let incident = incident::of(&known, provider, now)?;
        Some(Incident { provider: provider.to_owned(), since: incident.first, text: incident.text().to_owned() })
    });
    Ok(found.collect())
}

/// Forgets the scores of an address in all groups and brings back what rests because of them.
///
/// # Errors
/// When nobody has the address, or the store fails.
pub async fn reset(services: &Services, actor: &Actor, address: &EmailAddress, dry_run: bool) -> Result<Vec<ResetRow>, Failure> {
    reset_in(services, actor, address, None, dry_run).await
}

/// The same in one group only, for its managers; `None`: in all.
///
/// # Errors
/// As [`reset`].
pub async fn reset_in(
    services: &Services,
    actor: &Actor,
    address: &EmailAddress,
    only: Option<&GroupCode>,
    dry_run: bool,
) -> Result<Vec<ResetRow>, Failure> {
    services
        .alone(async {
    let account = services.store.account_by_address(address).await?;
    let account = account.ok_or_else(|| {
        Failure::NotFound(format!("nobody in the directory has the address {address}; `enlace bounce list` shows whose mail came back"))
    })?;
    let mut rows = Vec::new();
    for mut subscription in services.store.subscriptions_of_account(account.id).await? {
        let code = subscription.group.clone();
        if only.is_some_and(|only| *only != code) {
            continue;
        }
        let score = record::find(services, code.as_str(), account.id).await?.is_some();
        let rests =
            matches!(&subscription.state, SubscriptionState::Suspended(reason) if matches!(reason.rule, Rule::Bouncing | Rule::Complained));
        if !score && !rests {
            continue;
        }
        if rests {
            let barred = match services.groups().get(&code) {
                Some(group) => gate::standing(group, Some(&account), &subscription, services.today()),
                None => None,
            };
            subscription.state = barred.map_or(SubscriptionState::Active, SubscriptionState::Suspended);
        }
        rows.push(ResetRow {
            address: account.address().to_string(),
            group: code.to_string(),
            score,
            state: subscription.state.as_str(),
            reason: subscription.state.reason().map(ToString::to_string),
        });
        if !dry_run {
            if rests {
                services.store.put_subscriptions(vec![subscription]).await?;
            }
            record::remove(services, code.as_str(), account.id).await?;
            services.audit(actor, "bounce reset", Some(&code), account.address().to_string()).await?;
        }
    }
    Ok(rows)
        })
        .await
}

/// Forgets the score of one member of a group, who is erased.
///
/// # Errors
/// When the store fails.
pub async fn forget_member(services: &Services, group: &str, account: AccountId) -> Result<(), Failure> {
    record::remove(services, group, account).await
}

/// Forgets scores that mean nothing any more. Returns how many.
///
/// # Errors
/// When the store fails.
pub async fn forget(services: &Services) -> Result<usize, Failure> {
    let now = services.now();
    sight::forget_past(services).await?;
    let mut forgotten = 0;
    for (group, account, score) in record::all(services).await? {
        let gone = services.store.account(account).await?.is_none();
        if score.is_over(now) || gone {
            record::remove(services, &group, account).await?;
            forgotten += 1;
        }
    }
    Ok(forgotten)
}
