//! What came back, carried out: the ledger, the score, the probe, the suspension, the return.
//!
//! A report by mail and a refusal in the relay's session count the same ([`failed`]). Only the recipient that the VERP token
//! names is touched, whatever a report says of others, and nothing here answers a report. Nobody is ever deleted: three days with
//! failures ask for a probe, which tells the member too; only a probe that comes back suspends, with the reason, and the member
//! sets herself in force again by a mail to `L-join@`, on her page, or a manager does with [`reset`]. A complaint ends the
//! subscription at once. Rules are in `domain::bounce`.

mod record;
mod sight;
mod view;

use serde_json::json;

use super::robot::{self, Allowance, RobotMail};
use super::{Actor, Failure, Services, webhook};
use crate::domain::account::Account;
use crate::domain::bounce::score::{self, Next, Score};
use crate::domain::bounce::{BounceClass, incident};
use crate::domain::group::Group;
use crate::domain::id::AccountId;
use crate::domain::ledger::{PlannedRecipient, RecipientState};
use crate::domain::post::{Post, PostKind};
use crate::domain::reason::{Reason, Rule};
use crate::domain::subscription::{Role, Subscription, SubscriptionState};
use crate::mail::report::{Report, ReportKind};
use crate::mail::token::Verp;
use crate::store::{BatchKey, LedgerKey};

pub use view::{BounceRow, Incident, ResetRow, forget, forget_member, incidents, list, reset, reset_in, worst};

/// Template of the mail that shows whether an address is alive.
const PROBE: &str = "probe";

/// A copy that failed for good, by report or in the relay's session.
#[derive(Debug, Clone, Copy)]
pub struct Failed<'a> {
    /// Of which post.
    pub post: &'a Post,
    /// Whose copy.
    pub recipient: &'a PlannedRecipient,
    /// What it means.
    pub class: BounceClass,
    /// Class and words, as the ledger has them.
    pub summary: &'a str,
}

/// Takes a report that came to the address of `verp`. `true` if it named a copy of ours.
///
/// The second report about a copy changes nothing: a forger with one token has one copy to speak of.
///
/// # Errors
/// When the store fails; the report may be offered again.
pub async fn report(services: &Services, verp: Verp, report: &Report) -> Result<bool, Failure> {
    let key = LedgerKey { batch: BatchKey { post: verp.post, number: verp.batch }, index: verp.index };
    let Some(record) = services.store.recipient(key).await? else { return Ok(false) };
    let Some(about) = report.about(&record.planned.address) else { return Ok(true) };
    let said = record.attempts.iter().any(|attempt| attempt.reply.starts_with(BounceClass::Complaint.as_str()));
    if record.state == RecipientState::Bounced || (about.class == BounceClass::Complaint && said) {
        return Ok(true);
    }
    // What follows comes first and the mark last: the same report, offered again after a death in between, does the rest.
    if let Some(post) = services.store.post(verp.post).await? {
        if about.class == BounceClass::Complaint {
            complained(services, &post, &record.planned).await?;
        } else if report.kind == ReportKind::Dsn && about.class.is_failure() {
            failed(services, Failed { post: &post, recipient: &record.planned, class: about.class, summary: &about.summary() }).await?;
        }
    }
    let state = match about.class {
        BounceClass::Delay | BounceClass::Complaint => record.state,
        _ if report.kind == ReportKind::Complaint => return Ok(true),
        _ => RecipientState::Bounced,
    };
    services.store.amend_recipient(key, state, services.now(), about.summary()).await?;
    Ok(true)
}

/// Scores a copy that failed for good, and does what follows.
///
/// # Errors
/// When the store fails.
pub async fn failed(services: &Services, failed: Failed<'_>) -> Result<(), Failure> {
    let Some((group, subscription, account)) = subscriber(services, failed.post, failed.recipient).await? else { return Ok(()) };
    let weight = score::weight(failed.class);
    if failed.post.kind == PostKind::Robot {
        // Answers and notices say nothing of a subscription; a probe was sent for that.
        if weight > 0.0 && is_probe(failed.post) {
            suspend(services, &group, subscription, &account, failed.summary).await?;
        }
        return Ok(());
    }
    if weight <= 0.0 || !subscription.is_active() {
        return Ok(());
    }
    let member = (group.code.to_string(), account.id);
    let provider = failed.recipient.address.rsplit_once('@').map_or("", |(_, domain)| domain);
    let text = incident::key(provider, failed.class, failed.summary);
    match sight::note(services, &text, &member).await? {
        incident::Sight::Own => {}
        incident::Sight::GoesOn => return Ok(()),
        incident::Sight::Began(_) => {
            tracing::warn!(provider, "Many members of one provider fail with one text: their scores rest");
            services.audit(&Actor::job("bounces"), "bounce incident", None, format!("{provider}: {}", failed.summary)).await?;
            return Ok(());
        }
    }
    let Some((score, next)) = record::add(services, &member, failed.class, failed.summary).await? else { return Ok(()) };
    if next == Next::Probe {
        probe(services, &group, &account, &member, score).await?;
    }
    Ok(())
}

/// Everything is well again: the person said so. Forgets the score.
///
/// # Errors
/// When the store fails.
pub async fn well(services: &Services, group: &Group, account: AccountId) -> Result<(), Failure> {
    record::remove(services, group.code.as_str(), account).await
}

fn is_probe(post: &Post) -> bool {
    post.origin == format!("robot:{PROBE}")
}

/// Group, subscription and account of a copy; `None` where it follows from none.
async fn subscriber(
    services: &Services,
    post: &Post,
    recipient: &PlannedRecipient,
) -> Result<Option<(std::sync::Arc<Group>, Subscription, Account)>, Failure> {
    let (Some(id), Some(code)) = (recipient.account, post.groups.get(usize::from(recipient.group))) else { return Ok(None) };
    let Some(group) = services.groups().get(code).cloned() else { return Ok(None) };
    let Some(account) = services.store.account(id).await? else { return Ok(None) };
    // An address that she has given up since says nothing of the one she has now.
    if !account.address().as_str().eq_ignore_ascii_case(&recipient.address) {
        return Ok(None);
    }
    let subscription = services.store.subscription(code, id).await?;
    Ok(subscription.map(|subscription| (group, subscription, account)))
}

async fn probe(services: &Services, group: &Group, account: &Account, member: &(String, AccountId), score: Score) -> Result<(), Failure> {
    let mail = RobotMail {
        to: account.address(),
        account: Some(account),
        group,
        template: PROBE,
        context: json!({ "reason": score.diagnostic, "link": format!("{}/me", services.site.base_url) }),
        reply_to: Some(format!("{}-join", group.list)),
        in_reply_to: None,
        allowance: Allowance::Receipt,
    };
    robot::send(services, mail).await?;
    services.audit(&Actor::job("bounces"), "bounce probe", Some(&group.code), account.address().to_string()).await?;
    // Only now: a note without a mail would be taken for a probe that arrived.
    record::probed(services, member).await
}

async fn suspend(services: &Services, group: &Group, subscription: Subscription, account: &Account, summary: &str) -> Result<(), Failure> {
    if !subscription.is_active() {
        return Ok(());
    }
    let reason = Reason::new(Rule::Bouncing, [account.address().as_str(), summary]);
    webhook::suspending(services, &group.code, account, &reason).await?;
    // The state comes last, because a report that is offered again stops at it.
    services.audit(&Actor::job("bounces"), "bounce suspend", Some(&group.code), reason.text()).await?;
    tell_managers(services, group, account, &reason).await;
    // She may read another of her mailboxes.
    for other in &account.addresses[1..] {
        let context = json!({ "reason": services.texts.reason(robot::language_for(services, Some(account), group), &reason) });
        tell(
            services,
            RobotMail {
                to: other,
                account: Some(account),
                group,
                template: "suspended",
                context,
                reply_to: None,
                in_reply_to: None,
                allowance: Allowance::Notice,
            },
        )
        .await;
    }
    rest(services, &subscription, SubscriptionState::Suspended(reason)).await
}

/// The state of a subscription, which everything else of it keeps as it is now.
async fn rest(services: &Services, subscription: &Subscription, state: SubscriptionState) -> Result<(), Failure> {
    services
        .alone(async {
            let now = services.store.subscription(&subscription.group, subscription.account).await?;
            let Some(now) = now.filter(|now| !matches!(now.state, SubscriptionState::Unsubscribed(_))) else { return Ok(()) };
            Ok(services.store.put_subscriptions(vec![Subscription { state, ..now }]).await?)
        })
        .await
}

/// "This is spam": out at once, with a note that no import overrides. Who runs the group is suspended instead, because one
/// click on the wrong button must not leave it without a manager.
async fn complained(services: &Services, post: &Post, recipient: &PlannedRecipient) -> Result<(), Failure> {
    let Some((group, subscription, account)) = subscriber(services, post, recipient).await? else { return Ok(()) };
    if matches!(subscription.state, SubscriptionState::Unsubscribed(_)) {
        return Ok(());
    }
    let about = [account.address().to_string(), group.code.to_string(), services.today().to_string()];
    let reason = Reason::new(Rule::Complained, about);
    let runs_it = subscription.role > Role::Member;
    services
        .audit(
            &Actor::job("bounces"),
            if runs_it { "complaint suspend" } else { "complaint unsubscribe" },
            Some(&group.code),
            reason.text(),
        )
        .await?;
    tell_managers(services, &group, &account, &reason).await;
    let state = if runs_it { SubscriptionState::Suspended(reason) } else { SubscriptionState::Unsubscribed(reason) };
    rest(services, &subscription, state).await
}

async fn tell_managers(services: &Services, group: &Group, about: &Account, reason: &Reason) {
    let managers = match services.members_with_role(&group.code, Role::Manager).await {
        Ok(managers) => managers,
        Err(error) => return tracing::warn!(group.code = %group.code, %error, "Could not look for managers"),
    };
    for (_, manager) in managers.iter().filter(|(_, manager)| manager.id != about.id) {
        let language = robot::language_for(services, Some(manager), group);
        let context =
            json!({ "member": about.address().as_str(), "member_name": about.name, "reason": services.texts.reason(language, reason) });
        tell(
            services,
            RobotMail {
                to: manager.address(),
                account: Some(manager),
                group,
                template: "member-lost",
                context,
                reply_to: None,
                in_reply_to: None,
                allowance: Allowance::Notice,
            },
        )
        .await;
    }
}

/// A mail beside the matter: the record is written, so a template or an allowance must not undo it.
async fn tell(services: &Services, mail: RobotMail<'_>) {
    let template = mail.template;
    if let Err(error) = robot::send(services, mail).await {
        tracing::warn!(template, %error, "Could not write a robot mail");
    }
}

#[cfg(test)]
mod tests;
