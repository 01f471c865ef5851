//! Tables: each row of Resolution 54 and of the policies is a row here.

use chrono::{DateTime, Utc};

use super::*;
use crate::domain::account::DirectoryRole;
use crate::domain::group::{GroupCode, GroupKind, GuestLiaison, MissingEdition, ParticipationPolicy, Region};
use crate::domain::id::AccountId;
use crate::domain::language::{Language, Localized};
use crate::domain::proof::ProofMethod;
use crate::domain::subscription::Provenance;

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

fn today() -> NaiveDate {
    day("2026-11-24")
}

fn now() -> DateTime<Utc> {
    "2026-11-24T10:00:00Z".parse().unwrap()
}

pub(crate) fn group(code: &str, kind: GroupKind) -> Group {
    Group {
        code: code.parse().unwrap(),
        kind,
        parent: None,
        region: None,
        list: code.to_lowercase(),
        languages: vec![Language::ENGLISH],
        name: Localized::single(Language::ENGLISH, code.into()),
        timezone: chrono_tz::Europe::Zurich,
        subscription: SubscriptionPolicy::Open,
        guests: GuestPolicy::Approve,
        participation: ParticipationPolicy::Standard,
        nonmember: NonmemberPolicy::Reject,
        guest_liaison: GuestLiaison::Cover,
        missing_edition: MissingEdition::Wait(3),
        secretariat: Vec::new(),
        contact: None,
        supporting_members: Vec::new(),
        grace: std::time::Duration::from_mins(10),
        personal: true,
        footer: None,
        house: crate::domain::house::HouseRules::default(),
        monthly_reminder: false,
        archive: crate::domain::group::ArchiveAccess::Members,
        archive_keep: std::time::Duration::ZERO,
        aliases: Vec::new(),
        retired: false,
        parent_must_endorse: false,
        meetings: crate::domain::meeting::OwnLeadTimes::default(),
    }
}

pub(crate) fn regional() -> Group {
    Group { parent: Some("SG12".parse().unwrap()), region: Some(Region::Americas), ..group("SG12RG-AMR", GroupKind::Regional) }
}

fn sg3() -> Group {
    Group {
        parent: Some("SG3".parse().unwrap()),
        region: Some(Region::Americas),
        participation: ParticipationPolicy::Sg3,
        ..group("SG3RG-LAC", GroupKind::Regional)
    }
}

fn ana() -> EmailAddress {
    "ana@example.org".parse().unwrap()
}

pub(in crate::domain) fn account(category: Category, country: &str) -> Account {
    Account {
        id: AccountId(1),
        addresses: vec![ana(), "ana@second.example".parse().unwrap()],
        name: "Ana Example".into(),
        kind: AccountKind::Ties,
        category,
        organisation: "Example".into(),
        operating_agency: false,
        country: country.as_bytes().try_into().ok(),
        study_groups: Vec::new(),
        languages: Vec::new(),
        expires: None,
        roles: Vec::new(),
        standing: Standing::Active,
        source: "import".into(),
    }
}

pub(in crate::domain) fn guest() -> Account {
    Account { kind: AccountKind::Guest, ..account(Category::None, "") }
}

fn of(codes: &[&str], account: Account) -> Account {
    Account { study_groups: codes.iter().map(|code| code.parse().unwrap()).collect(), ..account }
}

fn with_role(role: DirectoryRole, account: Account) -> Account {
    Account { roles: vec![role], ..account }
}

fn member(group: &Group) -> Subscription {
    Subscription::new(group.code.clone(), AccountId(1), Provenance::Own, now())
}

fn invitation(until: Option<&str>) -> Invitation {
    Invitation { by: "manager@example.org".into(), at: now(), until: until.map(day) }
}

/// `+` accepted, `?` held, `!` to be confirmed, `-` refused, then the rule's key.
fn short(verdict: &Verdict) -> String {
    let sign = match verdict {
        Verdict::Accept(_) => '+',
        Verdict::Hold(_) => '?',
        Verdict::Confirm(_) => '!',
        Verdict::Refuse(_) => '-',
    };
    format!("{sign}{}", verdict.reason().key())
}

fn proved() -> SenderProof {
    SenderProof::Proved { author: ana(), method: ProofMethod::Dkim }
}

fn unproved() -> SenderProof {
    SenderProof::Unproved { author: ana(), tried: "no signature".into() }
}

#[test]
fn membership_table_of_resolution_54_for_standard_groups() {
    use Category::{Academia, Associate, MemberState, None, SectorMember};
    let cases = [
        ("Member State of the region", account(MemberState, "MX"), "+admitted"),
        ("Sector Member of the region", account(SectorMember, "BR"), "+admitted"),
        ("Associate of the parent, of the region", of(&["SG12"], account(Associate, "MX")), "+admitted"),
        ("Associate of another study group", of(&["SG13"], account(Associate, "MX")), "-not-affiliated"),
        ("Associate of the parent, of another region", of(&["SG12"], account(Associate, "FR")), "-outside-region"),
        ("Academia of the parent, of the region", of(&["SG12", "SG2"], account(Academia, "AR")), "+admitted"),
        ("Academia of no study group", account(Academia, "AR"), "-not-affiliated"),
        ("affiliated to the regional group only", of(&["SG12RG-AMR"], account(Academia, "AR")), "-not-affiliated"),
        ("Member State of another region", account(MemberState, "FR"), "-outside-region"),
        ("Sector Member of another region", account(SectorMember, "JP"), "-outside-region"),
        ("country unknown", account(MemberState, ""), "-country-unknown"),
        ("TIES account without membership", account(None, "MX"), "-no-membership"),
        ("guest, to be approved", guest(), "?awaits-approval"),
        ("staff of TSB", with_role(DirectoryRole::Tsb, account(None, "CH")), "+admitted"),
        ("staff of TSB for this group", with_role(DirectoryRole::TsbOf("SG12RG-AMR".parse().unwrap()), account(None, "CH")), "+admitted"),
        ("staff of TSB for another group", with_role(DirectoryRole::TsbOf("SG2".parse().unwrap()), account(None, "CH")), "-no-membership"),
    ];
    for (name, account, expected) in cases {
        let verdict = may_subscribe(&regional(), &ana(), Some(&account), Option::None, Way::Own, today());
        assert_eq!(short(&verdict), expected, "{name}");
    }
    assert_eq!(short(&may_subscribe(&regional(), &ana(), Option::None, Option::None, Way::Own, today())), "-no-account");
}

#[test]
fn sg3_regional_groups_admit_member_states_and_operating_agencies_only() {
    use Category::{Academia, Associate, MemberState, SectorMember};
    let agency = Account { operating_agency: true, ..account(SectorMember, "MX") };
    let cases = [
        ("Member State", account(MemberState, "MX"), "+admitted"),
        ("operating agency", agency.clone(), "+admitted"),
        ("operating agency of another region", Account { country: Some(*b"FR"), ..agency }, "-outside-region"),
        ("Sector Member", account(SectorMember, "MX"), "-sg3-only"),
        ("Associate of SG3", of(&["SG3"], account(Associate, "MX")), "-sg3-only"),
        ("Academia of SG3", of(&["SG3"], account(Academia, "MX")), "-sg3-only"),
        ("guest", guest(), "?awaits-approval"),
    ];
    for (name, account, expected) in cases {
        let verdict = may_subscribe(&sg3(), &ana(), Some(&account), None, Way::Own, today());
        assert_eq!(short(&verdict), expected, "{name}");
    }
    let invited = invitation(None);
    let verdict = may_subscribe(&sg3(), &ana(), Some(&account(SectorMember, "MX")), None, Way::Invited(&invited), today());
    assert_eq!(short(&verdict), "-sg3-only", "an invitation does not lift the rule of Resolution 1");
}

#[test]
fn groups_without_a_region_ask_for_membership_and_study_groups_for_affiliation() {
    use Category::{Associate, MemberState, None};
    let (study, advisory, other) = (group("SG12", GroupKind::Study), group("TSAG", GroupKind::Advisory), group("QSDG", GroupKind::Other));
    for (group, account, expected) in [
        (&study, account(MemberState, "FR"), "+admitted"),
        (&study, of(&["SG12"], account(Associate, "FR")), "+admitted"),
        (&study, of(&["SG13"], account(Associate, "FR")), "-not-affiliated"),
        (&study, account(None, "FR"), "-no-membership"),
        (&advisory, account(Associate, "FR"), "+admitted"),
        (&other, of(&["SG13"], account(Associate, "")), "+admitted"),
    ] {
        let verdict = may_subscribe(group, &ana(), Some(&account), Option::None, Way::Own, today());
        assert_eq!(short(&verdict), expected, "{} {:?}", group.code, account.category);
    }
}

#[test]
fn policies_of_subscription_and_of_guests() {
    use SubscriptionPolicy::{Approve, Closed, Invite, Open};
    let mexico = account(Category::MemberState, "MX");
    let invited = invitation(Some("2026-12-31"));
    let over = invitation(Some("2026-11-23"));
    for (policy, guests, account, way, expected) in [
        (Open, GuestPolicy::None, &mexico, Way::Own, "+admitted"),
        (Approve, GuestPolicy::None, &mexico, Way::Own, "?awaits-approval"),
        (Approve, GuestPolicy::None, &mexico, Way::ByManager, "+admitted"),
        (Invite, GuestPolicy::None, &mexico, Way::Own, "-invitation-only"),
        (Invite, GuestPolicy::None, &mexico, Way::Invited(&invited), "+invited"),
        (Closed, GuestPolicy::None, &mexico, Way::Own, "-subscription-closed"),
        (Closed, GuestPolicy::None, &mexico, Way::ByManager, "+admitted"),
        (Open, GuestPolicy::None, &guest(), Way::Own, "-guests-not-admitted"),
        (Open, GuestPolicy::None, &guest(), Way::Invited(&invited), "-guests-not-admitted"),
        (Open, GuestPolicy::Invited, &guest(), Way::Own, "-guest-needs-invitation"),
        (Open, GuestPolicy::Invited, &guest(), Way::ByManager, "-guest-needs-invitation"),
        (Open, GuestPolicy::Invited, &guest(), Way::Invited(&invited), "+invited"),
        (Open, GuestPolicy::Invited, &guest(), Way::Invited(&over), "-guest-needs-invitation"),
        (Open, GuestPolicy::Approve, &guest(), Way::Own, "?awaits-approval"),
        (Open, GuestPolicy::Approve, &guest(), Way::ByManager, "+admitted"),
        (Open, GuestPolicy::Open, &guest(), Way::Own, "+admitted"),
        (Approve, GuestPolicy::Open, &guest(), Way::Own, "?awaits-approval"),
    ] {
        let group = Group { subscription: policy, guests, ..regional() };
        let verdict = may_subscribe(&group, &ana(), Some(account), None, way, today());
        assert_eq!(short(&verdict), expected, "{policy:?} {guests:?} {way:?}");
    }
}

#[test]
fn an_invitation_lifts_the_region_but_not_the_affiliation() {
    let invited = invitation(None);
    for (account, expected) in [
        (account(Category::SectorMember, "FR"), "+invited"),
        (account(Category::MemberState, ""), "+invited"),
        (of(&["SG12"], account(Category::Associate, "FR")), "+invited"),
        (account(Category::Associate, "FR"), "-not-affiliated"),
        (account(Category::None, "FR"), "-no-membership"),
    ] {
        let verdict = may_subscribe(&regional(), &ana(), Some(&account), None, Way::Invited(&invited), today());
        assert_eq!(short(&verdict), expected, "{:?}", account.category);
    }
}

#[test]
fn who_was_removed_by_a_manager_comes_back_by_a_manager_only() {
    let removed = Reason::new(Rule::RemovedByManager, ["ana@example.org", "SG12RG-AMR", "m", "2026-01-01"]);
    let previous = Subscription { state: SubscriptionState::Unsubscribed(removed), ..member(&regional()) };
    let mexico = account(Category::MemberState, "MX");
    let verdict = |way| short(&may_subscribe(&regional(), &ana(), Some(&mexico), Some(&previous), way, today()));
    assert_eq!(verdict(Way::Own), "?awaits-approval");
    assert_eq!(verdict(Way::ByManager), "+admitted");
}

#[test]
fn an_account_counts_until_the_end_of_its_last_day() {
    let expiring = Account { expires: Some(today()), ..account(Category::MemberState, "MX") };
    let group = regional();
    let (on, after) = (today(), day("2026-11-25"));
    assert_eq!(standing(&group, Some(&expiring), &member(&group), on), None);
    let reason = standing(&group, Some(&expiring), &member(&group), after).unwrap();
    assert_eq!(reason.text(), "the account of ana@example.org expired on 2026-11-24");
    assert!(may_post(&group, &proved(), Some(&expiring), Some(&member(&group)), on).is_accept());
    assert_eq!(short(&may_post(&group, &proved(), Some(&expiring), Some(&member(&group)), after)), "-account-expired");
}

#[test]
fn the_continuous_gate_carries_a_subscription_as_long_as_the_right_lasts() {
    let suspended = Standing::Suspended { since: now(), reason: "left".into() };
    let mexico = || account(Category::MemberState, "MX");
    let france = || account(Category::MemberState, "FR");
    let until = |date| Some(invitation(Some(date)));
    let invite_only = Group { subscription: SubscriptionPolicy::Invite, ..regional() };
    let no_guests = Group { guests: GuestPolicy::None, ..regional() };
    let invited_guests = Group { guests: GuestPolicy::Invited, ..regional() };
    for (name, group, account, invitation, expected) in [
        ("in force", regional(), Some(mexico()), None, None),
        ("account gone", regional(), None, None, Some("no-account")),
        ("account suspended", regional(), Some(Account { standing: suspended, ..mexico() }), None, Some("account-suspended")),
        ("moved to another region", regional(), Some(france()), None, Some("outside-region")),
        ("invited without end", regional(), Some(france()), Some(self::invitation(None)), None),
        ("invited until today", regional(), Some(france()), until("2026-11-24"), None),
        ("invited until yesterday", regional(), Some(france()), until("2026-11-23"), Some("invitation-ended")),
        ("right of her own outlasts an invitation", regional(), Some(mexico()), until("2026-11-23"), None),
        ("except where only the invited are", invite_only, Some(mexico()), until("2026-11-23"), Some("invitation-ended")),
        ("guest where guests were once admitted", no_guests, Some(guest()), None, Some("guests-not-admitted")),
        ("guest without invitation", invited_guests.clone(), Some(guest()), None, Some("guest-needs-invitation")),
        ("guest with invitation", invited_guests, Some(guest()), until("2027-01-01"), None),
        ("guest once approved", regional(), Some(guest()), None, None),
        ("no longer an operating agency", sg3(), Some(account(Category::SectorMember, "MX")), None, Some("sg3-only")),
    ] {
        let subscription = Subscription { invitation, ..member(&group) };
        let reason = standing(&group, account.as_ref(), &subscription, today());
        assert_eq!(reason.as_ref().map(Reason::key), expected, "{name}");
    }
}

#[test]
fn rejudging_suspends_brings_back_and_leaves_other_reasons_alone() {
    let group = regional();
    let (mexico, france) = (account(Category::MemberState, "MX"), account(Category::MemberState, "FR"));
    let outside = Reason::new(Rule::OutsideRegion, ["ana@example.org", "SG12RG-AMR"]);
    let unknown = Reason::new(Rule::CountryUnknown, ["ana@example.org"]);
    let bouncing = Reason::new(Rule::Bouncing, ["x"]);
    let suspended = SubscriptionState::Suspended;
    for (state, account, expected) in [
        (SubscriptionState::Active, &mexico, None),
        (SubscriptionState::Active, &france, Some(suspended(outside.clone()))),
        (suspended(outside.clone()), &mexico, Some(SubscriptionState::Active)),
        (suspended(outside.clone()), &france, None),
        (suspended(unknown), &france, Some(suspended(outside))),
        (suspended(bouncing.clone()), &mexico, None),
        (suspended(bouncing.clone()), &france, None),
        (SubscriptionState::Unsubscribed(bouncing.clone()), &france, None),
        (SubscriptionState::Pending(bouncing), &mexico, None),
    ] {
        let subscription = Subscription { state: state.clone(), ..member(&group) };
        assert_eq!(rejudge(&group, Some(account), &subscription, today()), expected, "{state:?}");
    }
}

#[test]
fn discussion_posts() {
    let hold = Group { nonmember: NonmemberPolicy::Hold, ..regional() };
    let retired = Group { retired: true, ..regional() };
    let mexico = account(Category::MemberState, "MX");
    let active = member(&regional());
    let state = |state| Subscription { state, ..member(&regional()) };
    let reason = || Reason::new(Rule::OptedOut, ["ana@example.org"]);
    let suspended = state(SubscriptionState::Suspended(reason()));
    let left = state(SubscriptionState::Unsubscribed(reason()));
    let pending = state(SubscriptionState::Pending(reason()));
    let tsb = with_role(DirectoryRole::Tsb, account(Category::None, "CH"));
    let france = account(Category::MemberState, "FR");
    for (name, group, sender, account, subscription, expected) in [
        ("subscriber", &regional(), proved(), Some(&mexico), Some(&active), "+poster-subscribed"),
        ("subscriber's address, unproved", &regional(), unproved(), Some(&mexico), Some(&active), "!awaits-author"),
        ("stranger", &regional(), proved(), None, None, "-not-subscribed"),
        ("stranger, unproved", &regional(), unproved(), None, None, "-not-subscribed"),
        ("stranger where they are held", &hold, proved(), None, None, "?held-nonmember"),
        ("unproved stranger where they are held", &hold, unproved(), None, None, "?held-nonmember"),
        ("account without subscription", &regional(), proved(), Some(&mexico), None, "-not-subscribed"),
        ("who left", &regional(), proved(), Some(&mexico), Some(&left), "-not-subscribed"),
        ("who left, where strangers are held", &hold, proved(), Some(&mexico), Some(&left), "?held-nonmember"),
        ("pending", &regional(), proved(), Some(&mexico), Some(&pending), "-not-subscribed"),
        ("suspended", &hold, proved(), Some(&mexico), Some(&suspended), "-subscription-suspended"),
        ("moved away since", &hold, proved(), Some(&france), Some(&active), "-outside-region"),
        ("secretariat", &regional(), proved(), Some(&tsb), None, "+secretariat-of"),
        ("secretariat, unproved", &regional(), unproved(), Some(&tsb), None, "!awaits-author"),
        ("ended group", &retired, proved(), Some(&mexico), Some(&active), "-group-retired"),
    ] {
        assert_eq!(short(&may_post(group, &sender, account, subscription, today())), expected, "{name}");
    }
    let refused = may_post(&regional(), &proved(), None, None, today());
    assert_eq!(refused.reason().text(), "ana@example.org is not subscribed to SG12RG-AMR");
}

#[test]
fn announcements_are_for_managers_and_the_secretariat() {
    let mexico = account(Category::MemberState, "MX");
    let associate = of(&["SG12"], account(Category::Associate, "MX"));
    let role = |role| Subscription { role, ..member(&regional()) };
    let (manager, moderator) = (role(Role::Manager), role(Role::Moderator));
    let reason = Reason::new(Rule::Bouncing, ["x"]);
    let resting = Subscription { state: SubscriptionState::Suspended(reason), ..manager.clone() };
    let tsb = with_role(DirectoryRole::Tsb, account(Category::None, "CH"));
    let mailbox = Group { secretariat: vec![ana()], ..regional() };
    let expired = Account { expires: Some(day("2026-01-01")), ..mexico.clone() };
    for (name, group, sender, account, subscription, expected) in [
        ("manager", &regional(), proved(), Some(&mexico), Some(&manager), "+manager-of"),
        ("manager who is an Associate", &regional(), proved(), Some(&associate), Some(&manager), "+manager-of"),
        ("manager, unproved", &regional(), unproved(), Some(&mexico), Some(&manager), "!awaits-author"),
        ("moderator", &regional(), proved(), Some(&mexico), Some(&moderator), "-may-not-announce"),
        ("resting manager", &regional(), proved(), Some(&mexico), Some(&resting), "-may-not-announce"),
        ("member, unproved", &regional(), unproved(), Some(&mexico), Some(&member(&regional())), "-may-not-announce"),
        ("nobody", &regional(), proved(), None, None, "-may-not-announce"),
        ("secretariat by role", &regional(), proved(), Some(&tsb), None, "+secretariat-of"),
        ("secretariat by the group's mailbox", &mailbox, proved(), Some(&tsb), None, "+secretariat-of"),
        ("that mailbox unproved", &mailbox, unproved(), Some(&tsb), None, "!awaits-author"),
        ("expired manager", &regional(), proved(), Some(&expired), Some(&manager), "-account-expired"),
    ] {
        assert_eq!(short(&may_announce(group, &sender, account, subscription, today())), expected, "{name}");
    }
}

#[test]
fn only_the_secretariat_liaises_and_some_never_do() {
    let tsb = |account| with_role(DirectoryRole::Tsb, account);
    let only = |code: &str| with_role(DirectoryRole::TsbOf(code.parse().unwrap()), account(Category::None, "CH"));
    let operator = with_role(DirectoryRole::Operator, account(Category::None, "CH"));
    let suspended = Account { standing: Standing::Suspended { since: now(), reason: String::new() }, ..tsb(account(Category::None, "CH")) };
    let mailbox = Group { secretariat: vec![ana()], ..regional() };
    for (name, group, sender, account, expected) in [
        ("staff of TSB", &regional(), proved(), Some(tsb(account(Category::None, "CH"))), "+secretariat-of"),
        ("staff of TSB, unproved", &regional(), unproved(), Some(tsb(account(Category::None, "CH"))), "!awaits-author"),
        ("staff for this group", &regional(), proved(), Some(only("SG12RG-AMR")), "+secretariat-of"),
        ("staff for another group", &regional(), proved(), Some(only("SG13RG-AFR")), "-may-not-liaise"),
        ("Member State delegate", &regional(), proved(), Some(account(Category::MemberState, "MX")), "-may-not-liaise"),
        ("delegate, unproved", &regional(), unproved(), Some(account(Category::MemberState, "MX")), "-may-not-liaise"),
        ("the group's mailbox without the role", &mailbox, proved(), Some(account(Category::MemberState, "MX")), "-may-not-liaise"),
        ("Associate with the role", &regional(), proved(), Some(tsb(of(&["SG12"], account(Category::Associate, "MX")))), "-never-liaises"),
        ("Academia with the role", &regional(), proved(), Some(tsb(of(&["SG12"], account(Category::Academia, "MX")))), "-never-liaises"),
        ("guest with the role", &regional(), proved(), Some(tsb(guest())), "-never-liaises"),
        (
            "guest with a member's category",
            &regional(),
            proved(),
            Some(tsb(Account { category: Category::MemberState, ..guest() })),
            "-never-liaises",
        ),
        ("outsider", &regional(), proved(), None, "-may-not-liaise"),
        ("operator", &regional(), proved(), Some(operator), "-may-not-liaise"),
        ("suspended staff", &regional(), proved(), Some(suspended), "-account-suspended"),
    ] {
        assert_eq!(short(&may_liaise(group, &sender, account.as_ref(), today())), expected, "{name}");
    }
}

#[test]
fn managing_and_moderating() {
    let mexico = account(Category::MemberState, "MX");
    let role = |role| Some(Subscription { role, ..member(&regional()) });
    let tsb = with_role(DirectoryRole::TsbOf("SG12RG-AMR".parse::<GroupCode>().unwrap()), account(Category::None, "CH"));
    let operator = with_role(DirectoryRole::Operator, account(Category::None, "CH"));
    for (account, subscription, manage, moderate) in [
        (&mexico, role(Role::Manager), "+manager-of", "+manager-of"),
        (&mexico, role(Role::Moderator), "-may-not-manage", "+moderator-of"),
        (&mexico, role(Role::Member), "-may-not-manage", "-may-not-manage"),
        (&mexico, None, "-may-not-manage", "-may-not-manage"),
        (&tsb, None, "+secretariat-of", "+secretariat-of"),
        (&operator, None, "+operator-of", "+operator-of"),
    ] {
        assert_eq!(short(&may_manage(&regional(), account, subscription.as_ref(), today())), manage);
        assert_eq!(short(&may_moderate(&regional(), account, subscription.as_ref(), today())), moderate);
    }
}

#[test]
fn who_is_always_let_through_posts_where_strangers_are_refused_and_does_no_more() {
    let refused = regional();
    let held = Group { nonmember: NonmemberPolicy::Hold, ..regional() };
    for group in [&refused, &held] {
        let judged =
            |sender: &SenderProof, always| moderated(group, sender, None, None, always, may_post(group, sender, None, None, today()));
        assert_eq!(judged(&proved(), true).reason().rule, Rule::AlwaysAllowed);
        assert!(judged(&proved(), true).is_accept() && !judged(&proved(), false).is_accept());
        assert!(matches!(judged(&unproved(), true), Verdict::Confirm(_)), "the address alone proves nothing");
        assert!(
            !may_announce(group, &proved(), None, None, today()).is_accept() && !may_liaise(group, &proved(), None, today()).is_accept()
        );
    }
    let retired = Group { retired: true, ..regional() };
    let verdict = may_post(&retired, &proved(), None, None, today());
    assert!(matches!(moderated(&retired, &proved(), None, None, true, verdict), Verdict::Refuse(_)));
}
