//! Who may do what in a group.
//!
//! Pure: from a group, an account and a day to a [`Verdict`] with its [`Reason`]. The first rule that speaks wins, in the
//! order in which it stands below. Sources: WTSA Resolution 54 (Rev. Geneva, 2022) resolves 4 to 6, WTSA Resolution 1
//! clause 2.3.2 for regional groups of Study Group 3, ITU-T A.1 clause 1.5 for liaison statements.
//! The surprise: an invitation lifts the region and the guest policy, nothing else, because an invited participant has to be
//! eligible for the whole study group (Resolution 54 resolves 6); and nothing whatever lifts the liaison rule (resolves 5).
//! Not here: whether the sender is who he says he is (`smtp::proof`).

use chrono::NaiveDate;

use super::account::{Account, AccountKind, Category, Standing};
use super::address::EmailAddress;
use super::country;
use super::group::{Group, GroupKind, GuestPolicy, NonmemberPolicy, SubscriptionPolicy};
use super::proof::SenderProof;
use super::reason::{Reason, Rule};
use super::subscription::{Invitation, Role, Subscription, SubscriptionState};

/// What a rule says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Yes, because of that.
    Accept(Reason),
    /// Kept for a person who decides.
    Hold(Reason),
    /// Kept until its author says that it is his.
    Confirm(Reason),
    /// No.
    Refuse(Reason),
}

impl Verdict {
    /// The reason, whatever the verdict.
    pub fn reason(&self) -> &Reason {
        match self {
            Self::Accept(reason) | Self::Hold(reason) | Self::Confirm(reason) | Self::Refuse(reason) => reason,
        }
    }

    /// Yes?
    pub fn is_accept(&self) -> bool {
        matches!(self, Self::Accept(_))
    }
}

/// Who asks for a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way<'a> {
    /// The person herself.
    Own,
    /// A manager puts her there, which stands for his approval.
    ByManager,
    /// A manager invites her.
    Invited(&'a Invitation),
}

/// May this address become a subscriber? `account` is the account that owns it, `previous` her subscription as it was.
///
/// `Hold` means that a manager has to approve. `Confirm` never comes from here: whether the person really asked is the caller's concern.
pub fn may_subscribe(
    group: &Group,
    address: &EmailAddress,
    account: Option<&Account>,
    previous: Option<&Subscription>,
    way: Way<'_>,
    today: NaiveDate,
) -> Verdict {
    let about = || [address.to_string(), group.code.to_string()];
    if group.retired {
        return Verdict::Refuse(Reason::new(Rule::GroupRetired, [group.code.as_str()]));
    }
    if group.kind == GroupKind::External {
        return Verdict::Refuse(Reason::new(Rule::SubscriptionClosed, about()));
    }
    let Some(account) = account else {
        return Verdict::Refuse(Reason::new(Rule::NoAccount, [address.as_str()]));
    };
    if let Some(reason) = not_in_force(account, address, today) {
        return Verdict::Refuse(reason);
    }
    let invitation = match way {
        Way::Invited(invitation) => Some(invitation),
        Way::Own | Way::ByManager => previous.and_then(|previous| previous.invitation.as_ref()),
    };
    let invited = invitation.is_some_and(|invitation| invitation_holds(invitation, today));
    if let Some(reason) = not_eligible(group, account, address, invited) {
        return Verdict::Refuse(reason);
    }
    if let Some(invitation) = invitation.filter(|_| invited) {
        return Verdict::Accept(Reason::new(Rule::Invited, [address.as_str(), group.code.as_str(), &invitation.by]));
    }
    if way == Way::ByManager || is_secretariat(group, account) {
        return Verdict::Accept(Reason::new(Rule::Admitted, about()));
    }
    match group.subscription {
        SubscriptionPolicy::Closed => return Verdict::Refuse(Reason::new(Rule::SubscriptionClosed, about())),
        SubscriptionPolicy::Invite => return Verdict::Refuse(Reason::new(Rule::InvitationOnly, about())),
        SubscriptionPolicy::Approve | SubscriptionPolicy::Open => {}
    }
    // Whom a manager removed comes back by a manager only.
    let removed = previous.and_then(|previous| previous.state.reason()).is_some_and(|reason| reason.rule == Rule::RemovedByManager);
    let guest_to_approve = account.kind == AccountKind::Guest && group.guests == GuestPolicy::Approve;
    if removed || guest_to_approve || group.subscription == SubscriptionPolicy::Approve {
        return Verdict::Hold(Reason::new(Rule::AwaitsApproval, about()));
    }
    Verdict::Accept(Reason::new(Rule::Admitted, about()))
}

/// The continuous gate: why the subscription is not carried on `today`, or `None` while it is.
///
/// `today` is the date in the service's zone, so that an account ends at midnight there. Judges the right, not the
/// subscription's own state: a suspension for bounces or a tombstone is not its business.
pub fn standing(group: &Group, account: Option<&Account>, subscription: &Subscription, today: NaiveDate) -> Option<Reason> {
    let Some(account) = account else {
        return Some(Reason::new(Rule::NoAccount, [subscription.account.to_string()]));
    };
    let address = account.address();
    if let Some(reason) = not_in_force(account, address, today) {
        return Some(reason);
    }
    let invitation = subscription.invitation.as_ref();
    let invited = invitation.is_some_and(|invitation| invitation_holds(invitation, today));
    let ended = invitation.filter(|_| !invited).map(|invitation| {
        let until = invitation.until.map(|day| day.to_string()).unwrap_or_default();
        Reason::new(Rule::InvitationEnded, [address.to_string(), group.code.to_string(), until])
    });
    match not_eligible(group, account, address, invited) {
        Some(reason) => Some(ended.unwrap_or(reason)),
        // Where nobody comes in by herself, the invitation was all that carried her.
        None => ended.filter(|_| matches!(group.subscription, SubscriptionPolicy::Invite | SubscriptionPolicy::Closed)),
    }
}

/// The state that the continuous gate gives the subscription on `today`, or `None` if it stays as it is.
///
/// Suspends what is active and no longer carried, brings back what rests for a reason of this gate only, and renews the reason
/// when it has become another. Bounces, tombstones and requests are left alone.
pub fn rejudge(group: &Group, account: Option<&Account>, subscription: &Subscription, today: NaiveDate) -> Option<SubscriptionState> {
    let now = standing(group, account, subscription, today);
    match (&subscription.state, now) {
        (SubscriptionState::Active, Some(reason)) => Some(SubscriptionState::Suspended(reason)),
        (SubscriptionState::Suspended(was), None) if is_of_the_continuous_gate(was.rule) => Some(SubscriptionState::Active),
        // Without an account there is no address to name, and the reason that stands names it.
        (SubscriptionState::Suspended(was), Some(reason)) if was.rule == Rule::NoAccount && reason.rule == Rule::NoAccount => None,
        (SubscriptionState::Suspended(was), Some(reason)) if is_of_the_continuous_gate(was.rule) && *was != reason => {
            Some(SubscriptionState::Suspended(reason))
        }
        _ => None,
    }
}

/// Does [`standing`] give this rule, so that it goes away by itself with its cause?
fn is_of_the_continuous_gate(rule: Rule) -> bool {
    matches!(
        rule,
        Rule::NoAccount
            | Rule::AccountSuspended
            | Rule::AccountNotConfirmed
            | Rule::AccountExpired
            | Rule::OutsideRegion
            | Rule::CountryUnknown
            | Rule::NotAffiliated
            | Rule::Sg3Only
            | Rule::NoMembership
            | Rule::GuestsNotAdmitted
            | Rule::GuestNeedsInvitation
            | Rule::InvitationEnded
    )
}

/// May the sender post to the discussion? `account` owns the sender's address, `subscription` is hers in the group.
pub fn may_post(
    group: &Group,
    sender: &SenderProof,
    account: Option<&Account>,
    subscription: Option<&Subscription>,
    today: NaiveDate,
) -> Verdict {
    let author = sender.author();
    let about = || [author.to_string(), group.code.to_string()];
    if group.retired || group.kind == GroupKind::External {
        return Verdict::Refuse(Reason::new(Rule::GroupRetired, [group.code.as_str()]));
    }
    let stranger = || match group.nonmember {
        NonmemberPolicy::Reject => Verdict::Refuse(Reason::new(Rule::NotSubscribed, about())),
        NonmemberPolicy::Hold => Verdict::Hold(Reason::new(Rule::HeldNonmember, about())),
    };
    let Some(account) = account else { return stranger() };
    if let Some(reason) = not_in_force(account, author, today) {
        return Verdict::Refuse(reason);
    }
    if is_secretariat(group, account) {
        return if_proved(sender, Reason::new(Rule::SecretariatOf, about()));
    }
    let Some(subscription) = subscription else { return stranger() };
    match &subscription.state {
        SubscriptionState::Active => {}
        SubscriptionState::Suspended(reason) => {
            let about = [author.to_string(), group.code.to_string(), reason.text()];
            return Verdict::Refuse(Reason::new(Rule::SubscriptionSuspended, about));
        }
        SubscriptionState::Pending(_) | SubscriptionState::Unsubscribed(_) => return stranger(),
    }
    if let Some(reason) = standing(group, Some(account), subscription, today) {
        return Verdict::Refuse(reason);
    }
    if_proved(sender, Reason::new(Rule::PosterSubscribed, about()))
}

/// The verdict on a discussion post after the group's own order: a member whose posts are looked at first is held, unless a
/// moderator always lets the sender through; such a sender need not be a member, whether non-members are held or refused.
pub fn moderated(
    group: &Group,
    sender: &SenderProof,
    account: Option<&Account>,
    subscription: Option<&Subscription>,
    always: bool,
    verdict: Verdict,
) -> Verdict {
    let about = || [sender.author().to_string(), group.code.to_string()];
    match verdict {
        Verdict::Hold(_) | Verdict::Refuse(_) if always && is_about_stranger(&verdict) => {
            if_proved(sender, Reason::new(Rule::AlwaysAllowed, about()))
        }
        Verdict::Accept(reason) if !always => {
            let runs_it =
                account.is_some_and(|account| is_secretariat(group, account)) || subscription.is_some_and(|s| s.role > Role::Member);
            let first = group.house.moderate || subscription.is_some_and(|subscription| subscription.moderated);
            if first && !runs_it { Verdict::Hold(Reason::new(Rule::HeldModerated, about())) } else { Verdict::Accept(reason) }
        }
        other => other,
    }
}

/// Does it say no more than that the sender is not subscribed? Then a moderator's word may stand against it.
pub fn is_about_stranger(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Hold(reason) | Verdict::Refuse(reason) if matches!(reason.rule, Rule::HeldNonmember | Rule::NotSubscribed))
}

/// May the sender announce? Managers and the secretariat only.
pub fn may_announce(
    group: &Group,
    sender: &SenderProof,
    account: Option<&Account>,
    subscription: Option<&Subscription>,
    today: NaiveDate,
) -> Verdict {
    let author = sender.author();
    let about = || [author.to_string(), group.code.to_string()];
    if group.retired || group.kind == GroupKind::External {
        return Verdict::Refuse(Reason::new(Rule::GroupRetired, [group.code.as_str()]));
    }
    let refused = || Verdict::Refuse(Reason::new(Rule::MayNotAnnounce, about()));
    let Some(account) = account else { return refused() };
    if let Some(reason) = not_in_force(account, author, today) {
        return Verdict::Refuse(reason);
    }
    if is_secretariat(group, account) {
        return if_proved(sender, Reason::new(Rule::SecretariatOf, about()));
    }
    if holds_role(group, account, subscription, Role::Manager, today) {
        return if_proved(sender, Reason::new(Rule::ManagerOf, about()));
    }
    refused()
}

/// May the sender post a liaison statement of the group? The secretariat, by its role in the directory, and proved.
///
/// An Associate, an Academia or a guest account, or somebody without an account, never may, whatever roles or
/// invitations were given (Resolution 54 resolves 5).
pub fn may_liaise(group: &Group, sender: &SenderProof, account: Option<&Account>, today: NaiveDate) -> Verdict {
    let author = sender.author();
    let about = || [author.to_string(), group.code.to_string()];
    if group.retired || group.kind == GroupKind::External {
        return Verdict::Refuse(Reason::new(Rule::GroupRetired, [group.code.as_str()]));
    }
    let refused = || Verdict::Refuse(Reason::new(Rule::MayNotLiaise, about()));
    let Some(account) = account else { return refused() };
    if let Some(reason) = never_liaises(account) {
        return Verdict::Refuse(reason);
    }
    if let Some(reason) = not_in_force(account, author, today) {
        return Verdict::Refuse(reason);
    }
    if !account.is_tsb_of(&group.code) {
        return refused();
    }
    if_proved(sender, Reason::new(Rule::SecretariatOf, about()))
}

/// Why the account may take no part in liaison activity, if it may not: it is an Associate, an Academia or a guest account.
pub fn never_liaises(account: &Account) -> Option<Reason> {
    let excluded = match (account.kind, account.category) {
        (AccountKind::Guest, _) => "guest",
        (_, Category::Associate) => "Associate",
        (_, Category::Academia) => "Academia",
        _ => return None,
    };
    Some(Reason::new(Rule::NeverLiaises, [account.address().as_str(), excluded]))
}

/// May she decide on members, meetings and settings of the group? Managers, the secretariat, the operator.
pub fn may_manage(group: &Group, account: &Account, subscription: Option<&Subscription>, today: NaiveDate) -> Verdict {
    may_with_role(group, account, subscription, Role::Manager, today)
}

/// May she decide on held posts of the group? Also moderators.
pub fn may_moderate(group: &Group, account: &Account, subscription: Option<&Subscription>, today: NaiveDate) -> Verdict {
    may_with_role(group, account, subscription, Role::Moderator, today)
}

fn may_with_role(group: &Group, account: &Account, subscription: Option<&Subscription>, least: Role, today: NaiveDate) -> Verdict {
    let address = account.address();
    let about = || [address.to_string(), group.code.to_string()];
    if let Some(reason) = not_in_force(account, address, today) {
        return Verdict::Refuse(reason);
    }
    if account.is_operator() {
        return Verdict::Accept(Reason::new(Rule::OperatorOf, about()));
    }
    if is_secretariat(group, account) {
        return Verdict::Accept(Reason::new(Rule::SecretariatOf, about()));
    }
    if holds_role(group, account, subscription, least, today) {
        let manager = subscription.is_some_and(|subscription| subscription.role == Role::Manager);
        let rule = if manager { Rule::ManagerOf } else { Rule::ModeratorOf };
        return Verdict::Accept(Reason::new(rule, about()));
    }
    Verdict::Refuse(Reason::new(Rule::MayNotManage, about()))
}

/// Why the account opens nothing on `today`, if it does not: suspended or expired.
pub fn why_not_in_force(account: &Account, today: NaiveDate) -> Option<Reason> {
    not_in_force(account, account.address(), today)
}

/// Suspended or expired; an account is in force up to and including the day on which it expires.
pub(super) fn not_in_force(account: &Account, address: &EmailAddress, today: NaiveDate) -> Option<Reason> {
    match &account.standing {
        Standing::Active => {}
        Standing::Suspended { .. } => return Some(Reason::new(Rule::AccountSuspended, [address.as_str()])),
        Standing::Unconfirmed { by, .. } => {
            return Some(Reason::new(Rule::AccountNotConfirmed, [address.to_string(), by.to_string()]));
        }
    }
    let expired = account.expires.filter(|last| today > *last)?;
    Some(Reason::new(Rule::AccountExpired, [address.to_string(), expired.to_string()]))
}

fn invitation_holds(invitation: &Invitation, today: NaiveDate) -> bool {
    invitation.until.is_none_or(|last| today <= last)
}

/// The secretariat by its role, or the holder of a mailbox that the group names as its secretariat.
fn is_secretariat(group: &Group, account: &Account) -> bool {
    account.is_tsb_of(&group.code) || group.secretariat.iter().any(|mailbox| account.owns(mailbox))
}

fn holds_role(group: &Group, account: &Account, subscription: Option<&Subscription>, least: Role, today: NaiveDate) -> bool {
    subscription.is_some_and(|subscription| {
        subscription.is_active() && subscription.role >= least && standing(group, Some(account), subscription, today).is_none()
    })
}

/// Resolution 54 resolves 4 to 6: what keeps this account out of this group, if anything does.
fn not_eligible(group: &Group, account: &Account, address: &EmailAddress, invited: bool) -> Option<Reason> {
    let about = |rule| Some(Reason::new(rule, [address.as_str(), group.code.as_str()]));
    if is_secretariat(group, account) {
        return None;
    }
    if account.kind == AccountKind::Guest {
        return match group.guests {
            GuestPolicy::None => about(Rule::GuestsNotAdmitted),
            GuestPolicy::Invited if !invited => about(Rule::GuestNeedsInvitation),
            GuestPolicy::Invited | GuestPolicy::Approve | GuestPolicy::Open => None,
        };
    }
    if account.category == Category::None {
        return about(Rule::NoMembership);
    }
    if group.is_sg3() && account.category != Category::MemberState && !account.operating_agency {
        return about(Rule::Sg3Only);
    }
    if let Some(region) = group.region.filter(|_| group.kind == GroupKind::Regional && !invited) {
        let Some(country) = account.country else {
            return Some(Reason::new(Rule::CountryUnknown, [address.as_str()]));
        };
        if !country::is_in(country, region) {
            return about(Rule::OutsideRegion);
        }
    }
    let affiliation = match group.kind {
        GroupKind::Regional => group.parent.as_ref(),
        GroupKind::Study => Some(&group.code),
        GroupKind::Advisory | GroupKind::Other | GroupKind::External => None,
    };
    let per_group = matches!(account.category, Category::Associate | Category::Academia);
    let missing = affiliation.filter(|code| per_group && !account.study_groups.contains(code))?;
    Some(Reason::new(Rule::NotAffiliated, [address.as_str(), missing.as_str()]))
}

/// An entitled sender: accepted if proved, else kept until the author confirms.
fn if_proved(sender: &SenderProof, reason: Reason) -> Verdict {
    if sender.is_proved() { Verdict::Accept(reason) } else { Verdict::Confirm(Reason::new(Rule::AwaitsAuthor, [sender.author().as_str()])) }
}

#[cfg(test)]
mod property_tests;
#[cfg(test)]
pub(crate) mod tests;
