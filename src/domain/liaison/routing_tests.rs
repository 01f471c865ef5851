//! The table of routes, row by row.

use chrono::TimeDelta;

use super::*;
use crate::domain::group::{GuestLiaison, GuestPolicy, NonmemberPolicy, ParticipationPolicy, SubscriptionPolicy};
use crate::domain::language::Localized;
use crate::domain::liaison::rules::tests_support::good;
use crate::domain::liaison::statement::Destination;

fn spanish() -> Language {
    "es".parse().unwrap()
}

fn group(code: &str, kind: GroupKind, parent: Option<&str>, contact: Option<&str>) -> Group {
    Group {
        code: code.parse().unwrap(),
        kind,
        parent: parent.map(|p| p.parse().unwrap()),
        region: None,
        list: if kind == GroupKind::External { String::new() } else { code.to_lowercase() },
        languages: vec![Language::ENGLISH, spanish()],
        name: Localized::single(Language::ENGLISH, format!("{code} full name")),
        timezone: chrono_tz::UTC,
        subscription: SubscriptionPolicy::Open,
        guests: GuestPolicy::Open,
        participation: ParticipationPolicy::Standard,
        nonmember: NonmemberPolicy::Reject,
        guest_liaison: GuestLiaison::Cover,
        missing_edition: MissingEdition::Wait(3),
        secretariat: vec![format!("tsb{}@itu.example", code.to_lowercase()).parse().unwrap()],
        contact: contact.map(|c| c.parse().unwrap()),
        supporting_members: vec![],
        grace: std::time::Duration::ZERO,
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

fn groups() -> Vec<Group> {
    vec![
        group("SG12RG-AMR", GroupKind::Regional, Some("SG12"), None),
        group("SG12", GroupKind::Study, None, Some("sg12@lists.example.org")),
        group("SG2", GroupKind::Study, None, None),
        group("TSAG", GroupKind::Advisory, None, Some("tsbtsag@itu.example")),
        group("IETF", GroupKind::External, None, Some("statements@ietf.example")),
    ]
}

fn table(change: impl FnOnce(&mut Statement)) -> Vec<String> {
    let mut statement = good();
    change(&mut statement);
    let groups = groups();
    let managers = [("SG12".parse().unwrap(), "chair@example.org".parse().unwrap())];
    let labels = Labels::shipped();
    let directory = Directory { groups: &groups, labels: &labels, managers: &managers, domain: "lists.example.org" };
    let show = |route: &Route| {
        let target = match &route.target {
            Target::Subscribers(code) => code.to_string(),
            Target::Mailbox(address) => address.to_string(),
            Target::Nowhere(name) => format!("? {name}"),
        };
        format!("{target} {} {}", route.reason.key(), route.purpose.as_str())
    };
    routes(&statement, &directory).iter().map(show).collect()
}

#[test]
fn destinations_copies_and_contacts_each_under_its_rule() {
    let expected = [
        "SG12RG-AMR subscriber information",
        "SG2 destination action",
        "TSAG destination information",
        "tsbtsag@itu.example destination information",
        "SG12 parent-copy information",
        "tsbsg12rg-amr@itu.example secretariat-copy information",
        "tsbsg12@itu.example secretariat-copy information",
        "chair@example.org chairman-copy information",
        "ana@itu.example contact-copy information",
    ];
    assert_eq!(table(|_| {}), expected);
}

#[test]
fn tsag_is_told_by_rule_only_where_resolution_54_asks_for_it() {
    let without = |s: &mut Statement| s.destinations.retain(|d| d.name != "TSAG");
    assert!(!table(without).iter().any(|row| row.starts_with("TSAG")));
    let by_rule = table(|s| {
        without(s);
        s.for_tsag = true;
    });
    assert!(by_rule.contains(&"TSAG tsag-copy information".to_owned()), "{by_rule:?}");
}

#[test]
fn all_study_groups_external_and_unknown_bodies() {
    let to = |name: &str| vec![Destination { name: name.into(), purpose: Purpose::Comment }];
    let all = table(|s| s.destinations = to("all ITU-T study groups"));
    assert_eq!(all[1..3], ["SG12 destination comment", "SG2 destination comment"]);
    assert!(table(|s| s.destinations = to("IETF")).contains(&"statements@ietf.example destination comment".to_owned()));
    assert!(table(|s| s.destinations = to("Nobody knows")).contains(&"? Nobody knows destination comment".to_owned()));
    let own = table(|s| s.destinations = to("SG12RG-AMR"));
    assert_eq!(own[0], "SG12RG-AMR subscriber comment");
}

#[test]
fn missing_languages_follow_the_groups_policy() {
    let received = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
    let mut statement = good();
    let mut group = groups().remove(0);
    assert_eq!(release(&statement, &group, received), Release::Now { coming: vec![], until: None });
    statement.editions.truncate(1);
    let expected = Release::Now { coming: vec![spanish()], until: Some(received + TimeDelta::days(3)) };
    assert_eq!(release(&statement, &group, received), expected);
    group.missing_edition = MissingEdition::Send;
    assert_eq!(release(&statement, &group, received), Release::Now { coming: vec![], until: None });
    group.missing_edition = MissingEdition::Hold;
    assert_eq!(release(&statement, &group, received), Release::OnPerson { missing: vec![spanish()] });
}

#[test]
fn the_same_statement_has_the_same_key_and_a_correction_another() {
    let statement = good();
    let mut corrected = good();
    corrected.symbol.as_mut().unwrap().revision = 1;
    let key = |s: &Statement, language, hash| circulation_key(s, language, hash);
    assert_eq!(key(&statement, spanish(), "a"), key(&good(), spanish(), "a"));
    assert_ne!(key(&statement, spanish(), "a"), key(&corrected, spanish(), "a"));
    assert_ne!(key(&statement, spanish(), "a"), key(&statement, Language::ENGLISH, "a"));
    assert_ne!(key(&statement, spanish(), "a"), key(&statement, spanish(), "b"));
}

#[test]
fn bodies_get_english_first() {
    let mut statement = good();
    assert_eq!(edition_for_body(&statement, &[spanish()]), Some(0));
    statement.editions.remove(0);
    assert_eq!(edition_for_body(&statement, &[]), Some(0));
    statement.editions.clear();
    assert_eq!(edition_for_body(&statement, &[]), None);
}

#[test]
fn who_is_asked_to_act_is_asked_though_all_groups_are_named_before() {
    let mut statement = good();
    let destination = |name: &str, purpose| Destination { name: name.into(), purpose };
    statement.destinations = vec![destination("all ITU-T study groups", Purpose::Information), destination("SG2", Purpose::Action)];
    let groups = groups();
    let labels = Labels::shipped();
    let directory = Directory { groups: &groups, labels: &labels, managers: &[], domain: "lists.example.org" };
    let found = routes(&statement, &directory);
    let sg2 = found.iter().find(|route| route.body == "SG2").unwrap();
    assert_eq!(sg2.purpose, Purpose::Action, "{found:?}");
}
