//! What a manager does with the subscribers of a group.
//!
//! Many addresses at a time; what cannot be done is listed with its rule, and the rest is done.

use std::collections::{HashMap, HashSet};

use chrono::NaiveDate;
use serde::Serialize;

use super::own::renewed;
use super::{Outcome, Settings, calendars, requests};
use crate::domain::account::Account;
use crate::domain::address::EmailAddress;
use crate::domain::gate::{self, Verdict, Way};
use crate::domain::group::{Group, GroupCode};
use crate::domain::reason::{Reason, Rule};
use crate::domain::subscription::{Invitation, Provenance, Subscription, SubscriptionState};
use crate::service::{Actor, Failure, Services};
use crate::store::Member;

/// Whether outsiders of the region are invited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Invite {
    /// They are not.
    No,
    /// For the whole life of the group, or up to and including that day.
    Until(Option<NaiveDate>),
}

/// What came of many.
#[derive(Debug, Clone, Serialize)]
pub struct MemberReport {
    /// Of which group.
    pub group: String,
    /// Was nothing written?
    pub dry_run: bool,
    /// One an address, in the order given.
    pub members: Vec<MemberLine>,
    /// What was passed over and should be looked at, such as a column that nobody reads.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

impl MemberReport {
    /// Those that were refused or wrong.
    pub fn problems(&self) -> impl Iterator<Item = &MemberLine> {
        self.members.iter().filter(|line| matches!(line.outcome, "refused" | "not-subscribed" | "wrong"))
    }
}

/// What came of one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MemberLine {
    /// As given.
    pub address: String,
    /// `subscribed`, `already-subscribed`, `changed`, `unchanged`, `unsubscribed`, `not-subscribed`, `refused`, `wrong` or `left-out`.
    pub outcome: &'static str,
    /// Key of the rule that refused, or of the reason.
    pub rule: Option<&'static str>,
    /// The reason in words, or the settings that changed.
    pub text: String,
    /// Line of the file, where it came from one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// The reason as a value, for readers of other languages.
    #[serde(skip)]
    pub cause: Option<Reason>,
}

impl MemberLine {
    pub(super) fn of(address: &str, outcome: &Outcome) -> Self {
        let rule = outcome.reason().map(Reason::key);
        Self {
            address: address.to_owned(),
            outcome: outcome.key(),
            rule,
            text: outcome.text(),
            line: None,
            cause: outcome.reason().cloned(),
        }
    }

    pub(super) fn wrong(address: &str, text: impl Into<String>) -> Self {
        Self { address: address.to_owned(), outcome: "wrong", rule: None, text: text.into(), line: None, cause: None }
    }
}

/// Subscribes accounts. With `invite`, those whom the region rule or the guest policy keeps out are invited.
///
/// Somebody who had left comes back, because a manager named her; her note is shown. Settings of somebody who is a subscriber
/// already are changed as with [`set`].
///
/// # Errors
/// When the group does not exist or the store fails.
pub async fn add(
    services: &Services,
    actor: &Actor,
    code: &GroupCode,
    addresses: &[String],
    settings: &Settings,
    invite: Invite,
    dry_run: bool,
) -> Result<MemberReport, Failure> {
    services
        .alone(async {
            let group = services.group(code)?;
            let mut batch = Batch::new(services, actor, &group, dry_run);
            for address in addresses {
                let line = match address.trim().parse::<EmailAddress>() {
                    Err(error) => MemberLine::wrong(address, error.to_string()),
                    Ok(parsed) => batch.add(&parsed, settings, invite, Provenance::Manager).await?,
                };
                batch.lines.push(line);
            }
            batch.finish("member add").await
        })
        .await
}

/// Ends subscriptions.
///
/// # Errors
/// When the group does not exist or the store fails.
pub async fn remove(
    services: &Services,
    actor: &Actor,
    code: &GroupCode,
    addresses: &[String],
    dry_run: bool,
) -> Result<MemberReport, Failure> {
    services
        .alone(async {
            let group = services.group(code)?;
            let mut batch = Batch::new(services, actor, &group, dry_run);
            for text in addresses {
                let line = match text.trim().parse::<EmailAddress>() {
                    Err(error) => MemberLine::wrong(text, error.to_string()),
                    Ok(address) => batch.remove(&address).await?,
                };
                batch.lines.push(line);
            }
            batch.finish("member remove").await
        })
        .await
}

/// Changes subscriptions.
///
/// # Errors
/// When the group does not exist or the store fails.
pub async fn set(
    services: &Services,
    actor: &Actor,
    code: &GroupCode,
    addresses: &[String],
    settings: &Settings,
    dry_run: bool,
) -> Result<MemberReport, Failure> {
    services
        .alone(async {
            let group = services.group(code)?;
            let mut batch = Batch::new(services, actor, &group, dry_run);
            for text in addresses {
                let line = match text.trim().parse::<EmailAddress>() {
                    Err(error) => MemberLine::wrong(text, error.to_string()),
                    Ok(address) => batch.set(&address, settings).await?,
                };
                batch.lines.push(line);
            }
            batch.finish("member set").await
        })
        .await
}

/// Work on one group that is written in one go now and then.
pub(super) struct Batch<'a> {
    services: &'a Services,
    actor: &'a Actor,
    group: &'a Group,
    dry_run: bool,
    seen: HashSet<crate::domain::id::AccountId>,
    /// Looked up ahead, by the address's key.
    ahead: HashMap<String, Option<Member>>,
    changed: Vec<Subscription>,
    joined: Vec<(Subscription, Account)>,
    left: Vec<(Subscription, Account)>,
    decided: Vec<EmailAddress>,
    done: Vec<String>,
    /// Why the next one who is added comes to rest at once, instead of being active.
    pub(super) resting: Option<Reason>,
    pub(super) lines: Vec<MemberLine>,
    pub(super) warnings: Vec<String>,
}

/// Subscriptions written at a time.
const PAGE: usize = 1_000;

impl<'a> Batch<'a> {
    pub(super) fn new(services: &'a Services, actor: &'a Actor, group: &'a Group, dry_run: bool) -> Self {
        let (seen, changed, decided, done, lines) = (HashSet::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let (ahead, joined, left) = (HashMap::new(), Vec::new(), Vec::new());
        let warnings = Vec::new();
        Self { services, actor, group, dry_run, seen, ahead, changed, joined, left, decided, done, resting: None, lines, warnings }
    }

    /// Looks many addresses up in one read, for the calls that follow; each is used once.
    pub(super) async fn look_up(&mut self, addresses: Vec<EmailAddress>) -> Result<(), Failure> {
        let keys: Vec<String> = addresses.iter().map(EmailAddress::key).collect();
        let found = self.services.store.members_by_address(&self.group.code, addresses).await?;
        self.ahead = keys.into_iter().zip(found).collect();
        Ok(())
    }

    async fn find(&mut self, address: &EmailAddress) -> Result<(Option<Account>, Option<Subscription>), Failure> {
        match self.ahead.remove(&address.key()) {
            Some(found) => Ok(found.map_or((None, None), |(account, subscription)| (Some(account), subscription))),
            None => Ok(self.services.holder(&self.group.code, address).await?),
        }
    }

    pub(super) async fn add(
        &mut self,
        address: &EmailAddress,
        settings: &Settings,
        invite: Invite,
        provenance: Provenance,
    ) -> Result<MemberLine, Failure> {
        let (account, previous) = self.find(address).await?;
        let id = account.as_ref().map(|account| account.id);
        if id.is_some_and(|id| !self.seen.insert(id)) {
            return Ok(MemberLine { outcome: "left-out", ..MemberLine::wrong(address.as_str(), "named twice; the first counts") });
        }
        let left = previous.as_ref().filter(|previous| matches!(previous.state, SubscriptionState::Unsubscribed(_)));
        if let (Some(left), Provenance::Import | Provenance::Rule) = (left, provenance) {
            let reason = left.state.reason();
            let text = reason.map_or_else(|| "left before".to_owned(), |reason| format!("{reason}; an import does not bring her back"));
            return Ok(MemberLine { outcome: "left-out", rule: reason.map(Reason::key), ..MemberLine::wrong(address.as_str(), text) });
        }
        let day = self.services.today();
        let plain = gate::may_subscribe(self.group, address, account.as_ref(), previous.as_ref(), Way::ByManager, day);
        // An invitation is written down only where it is needed, or where the group lives by invitations.
        let invitation = match invite {
            Invite::Until(until) => Some(Invitation { by: self.actor.name.clone(), at: self.services.now(), until }),
            Invite::No => None,
        };
        let verdict = match &invitation {
            Some(invitation) => {
                gate::may_subscribe(self.group, address, account.as_ref(), previous.as_ref(), Way::Invited(invitation), day)
            }
            None => plain,
        };
        let (reason, account) = match (verdict, account) {
            (Verdict::Accept(reason), Some(account)) => (reason, account),
            (verdict, _) => return Ok(MemberLine::of(address.as_str(), &Outcome::Refused(verdict.reason().clone()))),
        };
        self.accept(address, &account, previous, settings, invitation, provenance, reason).await
    }

    #[allow(clippy::too_many_arguments, reason = "the end of add, in which all of them are at hand")]
    async fn accept(
        &mut self,
        address: &EmailAddress,
        account: &Account,
        previous: Option<Subscription>,
        settings: &Settings,
        invitation: Option<Invitation>,
        provenance: Provenance,
        reason: Reason,
    ) -> Result<MemberLine, Failure> {
        let active = previous.as_ref().is_some_and(Subscription::is_active);
        let bouncing = previous.as_ref().and_then(|previous| previous.state.reason()).is_some_and(|reason| reason.rule == Rule::Bouncing);
        let note =
            previous.as_ref().and_then(|previous| previous.state.reason()).map(|was| format!(" (before: {was})")).unwrap_or_default();
        let mut subscription = match previous {
            // A subscriber whose mail comes back stays as she is until `bounce reset`.
            Some(previous) if active || bouncing => previous,
            Some(previous) if matches!(previous.state, SubscriptionState::Suspended(_)) => {
                Subscription { state: SubscriptionState::Active, ..previous }
            }
            previous => renewed(self.services, self.group, account, previous, provenance, SubscriptionState::Active),
        };
        if let Some(resting) = self.resting.take().filter(|_| !active && !bouncing) {
            subscription.state = SubscriptionState::Suspended(resting);
        }
        let mut changed = settings.apply(&mut subscription);
        if invitation.is_some() && subscription.invitation.as_ref().map(|was| was.until) != invitation.as_ref().map(|now| now.until) {
            subscription.invitation = invitation;
            changed.push("invitation");
        }
        let outcome = match (active || bouncing, changed.is_empty()) {
            (true, true) => Outcome::AlreadySubscribed,
            (true, false) => Outcome::Changed(changed),
            (false, _) => Outcome::Subscribed(reason),
        };
        let mut line = MemberLine::of(address.as_str(), &outcome);
        line.text.push_str(&note);
        if matches!(outcome, Outcome::Subscribed(_)) && subscription.is_active() && !self.dry_run {
            self.joined.push((subscription.clone(), account.clone()));
        }
        if outcome != Outcome::AlreadySubscribed {
            self.write(address, subscription).await?;
        }
        Ok(line)
    }

    async fn remove(&mut self, address: &EmailAddress) -> Result<MemberLine, Failure> {
        let (account, subscription) = self.find(address).await?;
        let subscription = subscription.filter(|subscription| !matches!(subscription.state, SubscriptionState::Unsubscribed(_)));
        let Some(mut subscription) = subscription else { return Ok(self.not_subscribed(address)) };
        if let Some(account) = account.filter(|_| subscription.is_active() && !self.dry_run) {
            self.left.push((subscription.clone(), account));
        }
        let about = [address.to_string(), self.group.code.to_string(), self.actor.name.clone(), self.services.today().to_string()];
        let reason = Reason::new(Rule::RemovedByManager, about);
        subscription.state = SubscriptionState::Unsubscribed(reason.clone());
        self.write(address, subscription).await?;
        self.decided.push(address.clone());
        Ok(MemberLine::of(address.as_str(), &Outcome::Unsubscribed(reason)))
    }

    async fn set(&mut self, address: &EmailAddress, settings: &Settings) -> Result<MemberLine, Failure> {
        let (_, subscription) = self.find(address).await?;
        let subscription = subscription.filter(|subscription| !matches!(subscription.state, SubscriptionState::Unsubscribed(_)));
        let Some(mut subscription) = subscription else { return Ok(self.not_subscribed(address)) };
        let changed = settings.apply(&mut subscription);
        if changed.is_empty() {
            return Ok(MemberLine::of(address.as_str(), &Outcome::Unchanged));
        }
        self.write(address, subscription).await?;
        Ok(MemberLine::of(address.as_str(), &Outcome::Changed(changed)))
    }

    fn not_subscribed(&self, address: &EmailAddress) -> MemberLine {
        let reason = Reason::new(Rule::NotSubscribed, [address.as_str(), self.group.code.as_str()]);
        MemberLine::of(address.as_str(), &Outcome::NotSubscribed(reason))
    }

    async fn write(&mut self, address: &EmailAddress, subscription: Subscription) -> Result<(), Failure> {
        if self.dry_run {
            return Ok(());
        }
        if subscription.is_active() {
            self.decided.push(address.clone());
        }
        self.done.push(address.to_string());
        self.changed.push(subscription);
        if self.changed.len() >= PAGE { self.flush().await } else { Ok(()) }
    }

    /// Writes what was decided until now.
    pub(super) async fn flush(&mut self) -> Result<(), Failure> {
        if !self.changed.is_empty() {
            self.services.store.put_subscriptions(std::mem::take(&mut self.changed)).await?;
        }
        let (joined, left) = (std::mem::take(&mut self.joined), std::mem::take(&mut self.left));
        if !joined.is_empty() {
            calendars::joined(self.services, &self.group.code, &joined).await;
        }
        if !left.is_empty() {
            calendars::left(self.services, &self.group.code, &left).await;
        }
        Ok(())
    }

    pub(super) async fn finish(mut self, act: &str) -> Result<MemberReport, Failure> {
        self.flush().await?;
        // A request that waited for a manager is answered by what the manager did.
        let waiting: HashSet<String> = if self.dry_run {
            HashSet::new()
        } else {
            self.services.store.requests(Some(&self.group.code)).await?.iter().map(|request| request.address.key()).collect()
        };
        for address in self.decided.iter().filter(|address| waiting.contains(&address.key())) {
            requests::withdraw(self.services, &self.group.code, address).await?;
        }
        // One entry a hundred addresses: the trail names everybody and stays readable.
        for some in self.done.chunks(100) {
            self.services.audit(self.actor, act, Some(&self.group.code), some.join(", ")).await?;
        }
        Ok(MemberReport { group: self.group.code.to_string(), dry_run: self.dry_run, members: self.lines, warnings: self.warnings })
    }
}
