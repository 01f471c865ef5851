use super::*;
use crate::domain::address::EmailAddress;
use crate::domain::group::GroupCode;
use crate::domain::id::RequestId;
use crate::service::trial::{Trial, code, operator};
use crate::service::{Actor, Failure, account, group, rights};

fn amr() -> GroupCode {
    code("AMR")
}

fn address(text: &str) -> EmailAddress {
    text.parse().unwrap()
}

fn settings(trial: &Trial, words: &[(&str, &str)]) -> Settings {
    let mut settings = Settings::default();
    for (key, value) in words {
        settings.set(key, value, &trial.services.config).unwrap();
    }
    settings
}

/// `outcome rule` of each address.
async fn add_all(trial: &Trial, addresses: &[&str], settings: &Settings, invite: Invite) -> Vec<String> {
    let addresses: Vec<String> = addresses.iter().map(|text| (*text).to_owned()).collect();
    short(&add(&trial.services, &operator(), &amr(), &addresses, settings, invite, false).await.unwrap())
}

fn short(report: &MemberReport) -> Vec<String> {
    report.members.iter().map(|line| format!("{} {}", line.outcome, line.rule.unwrap_or("-"))).collect()
}

async fn own_wish(trial: &Trial, who: &str, wish: Wish) -> Outcome {
    let group = trial.services.group(&amr()).unwrap();
    own(&trial.services, &Actor::from(&address(who)), &group, &address(who), wish).await.unwrap()
}

#[tokio::test]
async fn what_the_gate_refuses_is_listed_and_the_rest_is_done() {
    let trial = Trial::peopled().await;
    let all = ["ana@x.test", "ben@x.test", "gus@x.test", "nobody@x.test", "no address", "ANA@x.test"];
    assert_eq!(
        add_all(&trial, &all, &Settings::default(), Invite::No).await,
        ["subscribed admitted", "refused outside-region", "subscribed admitted", "refused no-account", "wrong -", "left-out -"]
    );
    assert_eq!(trial.roster("AMR").await, "ana@x.test active, gus@x.test active");
    assert_eq!(add_all(&trial, &["ana@x.test"], &Settings::default(), Invite::No).await, ["already-subscribed -"]);
}

#[tokio::test]
async fn an_invitation_carries_an_outsider_of_the_region_to_its_last_day() {
    let trial = Trial::peopled().await;
    let until = Invite::Until(Some("2026-11-26".parse().unwrap()));
    assert_eq!(add_all(&trial, &["ben@x.test"], &Settings::default(), until).await, ["subscribed invited"]);
    trial.advance_days(2);
    assert!(rights::expire(&trial.services, None).await.unwrap().is_empty());
    trial.advance_days(1);
    let ended = rights::expire(&trial.services, None).await.unwrap();
    assert_eq!(ended[0].reason.as_deref(), Some("the invitation of ben@x.test to AMR ended on 2026-11-26"));
    assert_eq!(add_all(&trial, &["ben@x.test"], &Settings::default(), Invite::Until(None)).await, ["subscribed invited"]);
    assert_eq!(trial.roster("AMR").await, "ben@x.test active");
}

#[tokio::test]
async fn a_dry_run_says_the_same_and_writes_nothing() {
    let trial = Trial::peopled().await;
    let addresses = ["ana@x.test".to_owned(), "ben@x.test".to_owned()];
    let report = add(&trial.services, &operator(), &amr(), &addresses, &Settings::default(), Invite::No, true).await.unwrap();
    assert_eq!(short(&report), ["subscribed admitted", "refused outside-region"]);
    assert_eq!(trial.roster("AMR").await, "");
}

#[tokio::test]
async fn a_person_subscribes_sets_leaves_and_comes_back_by_herself() {
    let trial = Trial::peopled().await;
    assert_eq!(own_wish(&trial, "ana@x.test", Wish::Subscribe).await.key(), "subscribed");
    assert_eq!(own_wish(&trial, "ana@x.test", Wish::Subscribe).await, Outcome::AlreadySubscribed);
    let wish =
        settings(&trial, &[("role", "manager"), ("languages", "es,en"), ("delivery", "none until 2027-01-15"), ("streams", "liaison")]);
    assert_eq!(own_wish(&trial, "ana@x.test", Wish::Set(wish.clone())).await, Outcome::Changed(vec!["languages", "delivery", "streams"]));
    assert_eq!(own_wish(&trial, "ana@x.test", Wish::Set(wish)).await, Outcome::Unchanged);
    let row = list(&trial.services, &amr()).await.unwrap().remove(0);
    assert_eq!((row.role, row.delivery.as_str()), ("member", "none until 2027-01-15"), "her role is not hers to set");
    assert_eq!(own_wish(&trial, "ana@x.test", Wish::Unsubscribe).await.key(), "unsubscribed");
    assert_eq!(own_wish(&trial, "ana@x.test", Wish::Unsubscribe).await.key(), "not-subscribed");
    assert_eq!(trial.roster("AMR").await, "ana@x.test unsubscribed");
    assert_eq!(own_wish(&trial, "ana@x.test", Wish::Subscribe).await.key(), "subscribed");
    assert!(own_wish(&trial, "ben@x.test", Wish::Subscribe).await.is_refused());
}

#[tokio::test]
async fn an_import_brings_nobody_back_who_left_or_was_removed() {
    let trial = Trial::peopled().await;
    add_all(&trial, &["ana@x.test", "mia@x.test"], &Settings::default(), Invite::No).await;
    own_wish(&trial, "ana@x.test", Wish::Unsubscribe).await;
    remove(&trial.services, &operator(), &amr(), &["mia@x.test".into()], false).await.unwrap();
    let csv = b"email,role,delivery\nana@x.test,,\nmia@x.test,manager,\ngus@x.test,moderator,digest\nben@x.test,,\nbad,,\n";
    let report = import(&trial.services, &operator(), &amr(), csv, "m.csv", false).await.unwrap();
    assert_eq!(
        short(&report),
        ["left-out opted-out", "left-out removed-by-manager", "subscribed admitted", "refused outside-region", "wrong -"]
    );
    assert_eq!(report.members[4].line, Some(6));
    assert!(report.members[0].text.contains("does not bring her back"), "{}", report.members[0].text);
    let row = list(&trial.services, &amr()).await.unwrap().into_iter().find(|row| row.address == "gus@x.test").unwrap();
    assert_eq!((row.role, row.delivery.as_str()), ("moderator", "digest"));
    // A manager who names her does bring her back.
    assert_eq!(add_all(&trial, &["ana@x.test"], &Settings::default(), Invite::No).await, ["subscribed admitted"]);
}

#[tokio::test]
async fn an_export_reads_back_and_holds_no_formula() {
    let trial = Trial::peopled().await;
    let name = "=HYPERLINK(\"http://x.test\")";
    account::set(&trial.services, &operator(), &address("ana@x.test"), &[format!("name={name}")], false).await.unwrap();
    let wish = settings(
        &trial,
        &[
            ("languages", "es;en"),
            ("streams", "none"),
            ("links", "yes"),
            ("delivery", "digest"),
            ("absence", "from 2027-01-10 until 2027-01-15"),
        ],
    );
    add_all(&trial, &["ana@x.test"], &wish, Invite::No).await;
    let csv = export(&trial.services, &amr()).await.unwrap();
    assert!(
        csv.contains("\"'=HYPERLINK")
            && csv.contains("ana@x.test,member,es;en,digest,none,no,yes,yes")
            && csv.contains(",from 2027-01-10 until 2027-01-15,"),
        "{csv}"
    );
    let mut wrong = Settings::default();
    for text in ["from 2027-01-16 until 2027-01-15", "until 2027-01-15", "from soon until later", ""] {
        assert!(wrong.set("absence", text, &trial.services.config).unwrap_err().contains("is no absence"), "{text}");
    }
    let before = list(&trial.services, &amr()).await.unwrap();
    let report = import(&trial.services, &operator(), &amr(), csv.as_bytes(), "m.csv", false).await.unwrap();
    assert_eq!(short(&report), ["already-subscribed -"]);
    assert_eq!(list(&trial.services, &amr()).await.unwrap(), before);
}

#[tokio::test]
async fn a_file_brings_back_who_was_looked_at_first_and_whose_mail_came_back() {
    use crate::domain::reason::{Reason, Rule};
    let trial = Trial::peopled().await;
    add_all(&trial, &["ana@x.test", "gus@x.test"], &settings(&trial, &[("moderated", "yes")]), Invite::No).await;
    let id = trial.services.store.account_by_address(&address("gus@x.test")).await.unwrap().unwrap().id;
    let mut gus = trial.services.store.subscription(&amr(), id).await.unwrap().unwrap();
    gus.state = crate::domain::subscription::SubscriptionState::Suspended(Reason::new(Rule::Bouncing, ["gus@x.test", "550 5.1.1 no"]));
    trial.services.store.put_subscriptions(vec![gus]).await.unwrap();
    let before = list(&trial.services, &amr()).await.unwrap();
    let csv = export(&trial.services, &amr()).await.unwrap();
    let elsewhere = Trial::peopled().await;
    import(&elsewhere.services, &operator(), &amr(), csv.as_bytes(), "m.csv", false).await.unwrap();
    assert_eq!(list(&elsewhere.services, &amr()).await.unwrap(), before);
    assert!(before.iter().all(|row| row.moderated) && before[1].state == "suspended");
    // A file of before lifts nothing.
    let old = csv.replace(",yes,Gus", ",no,Gus").replace(",suspended,", ",active,");
    import(&elsewhere.services, &operator(), &amr(), old.as_bytes(), "m.csv", false).await.unwrap();
    assert_eq!(list(&elsewhere.services, &amr()).await.unwrap(), before);
}

#[tokio::test]
async fn a_request_waits_for_a_manager_who_is_told_and_decides_once() {
    let trial = Trial::peopled().await;
    add_all(&trial, &["mia@x.test"], &settings(&trial, &[("role", "manager")]), Invite::No).await;
    assert_eq!(own_wish(&trial, "gus@x.test", Wish::Subscribe).await.key(), "awaits-approval");
    assert_eq!(own_wish(&trial, "gus@x.test", Wish::Subscribe).await.key(), "awaits-approval");
    let open = requests(&trial.services, Some(&amr())).await.unwrap();
    assert_eq!(open.len(), 1, "asking twice is one request");
    let now = trial.services.now();
    let mail = trial.services.store.posts_to_plan(now, 10).await.unwrap();
    assert_eq!(mail.len(), 1, "the manager is told");
    let id: RequestId = open[0].id.parse().unwrap();
    assert_eq!(decide(&trial.services, &operator(), id, true).await.unwrap().key(), "subscribed");
    assert_eq!(trial.roster("AMR").await, "gus@x.test active, mia@x.test active");
    assert!(matches!(decide(&trial.services, &operator(), id, false).await, Err(Failure::NotFound(_))));
    assert_eq!(trial.services.store.posts_to_plan(now, 10).await.unwrap().len(), 2, "and so is she");
}

#[tokio::test]
async fn declined_and_lapsed_requests_end_and_may_be_made_again() {
    let trial = Trial::peopled().await;
    own_wish(&trial, "gus@x.test", Wish::Subscribe).await;
    let id = requests(&trial.services, None).await.unwrap()[0].id.parse().unwrap();
    assert_eq!(decide(&trial.services, &operator(), id, false).await.unwrap().key(), "declined");
    assert_eq!(trial.roster("AMR").await, "gus@x.test unsubscribed");
    assert_eq!(own_wish(&trial, "gus@x.test", Wish::Subscribe).await.key(), "awaits-approval");
    assert_eq!(lapse(&trial.services).await.unwrap(), 0);
    trial.advance_days(15);
    assert!(requests(&trial.services, None).await.unwrap().is_empty());
    assert_eq!(lapse(&trial.services).await.unwrap(), 1);
    assert_eq!(trial.roster("AMR").await, "gus@x.test unsubscribed");
}

#[tokio::test]
async fn an_unproved_wish_waits_for_its_author_and_is_done_once() {
    let trial = Trial::peopled().await;
    let group = trial.services.group(&amr()).unwrap();
    let ana = address("ana@x.test");
    let subscribe = ask(&trial.services, &group, &ana, &Wish::Subscribe).await.unwrap().id;
    let again = ask(&trial.services, &group, &ana, &Wish::Subscribe).await.unwrap();
    assert_eq!(again, Asked { id: subscribe, is_new: false }, "asking in her name does not make her answer void");
    forget(&trial.services, again).await.unwrap();
    let other = ask(&trial.services, &group, &ana, &Wish::Unsubscribe).await.unwrap();
    forget(&trial.services, other).await.unwrap();
    assert!(matches!(confirm(&trial.services, other.id).await, Err(Failure::NotFound(_))), "no question went out about it");
    assert_eq!(trial.roster("AMR").await, "");
    assert!(matches!(decide(&trial.services, &operator(), subscribe, true).await, Err(Failure::NotFound(_))), "not a manager's to answer");
    assert_eq!(confirm(&trial.services, subscribe).await.unwrap().key(), "subscribed");
    assert!(matches!(confirm(&trial.services, subscribe).await, Err(Failure::NotFound(_))));
    let wish = Wish::Set(settings(&trial, &[("streams", "announce"), ("delivery", "digest until 2027-01-15")]));
    let set = ask(&trial.services, &group, &ana, &wish).await.unwrap().id;
    assert_eq!(confirm(&trial.services, set).await.unwrap(), Outcome::Changed(vec!["delivery", "streams"]));
    let late = ask(&trial.services, &group, &ana, &Wish::Unsubscribe).await.unwrap().id;
    trial.advance_days(15);
    assert!(matches!(confirm(&trial.services, late).await, Err(Failure::NotFound(_))));
}

#[tokio::test]
async fn a_changed_policy_judges_every_subscriber_again_and_applying_twice_changes_nothing() {
    let trial = Trial::peopled().await;
    add_all(&trial, &["ana@x.test", "gus@x.test"], &Settings::default(), Invite::No).await;
    let strict = format!("{}guests = \"none\"\n", crate::service::trial::GROUPS);
    let dry = group::apply(&trial.services, &operator(), &strict, "g.toml", true).await.unwrap();
    assert_eq!(trial.roster("AMR").await, "ana@x.test active, gus@x.test active");
    let report = group::apply(&trial.services, &operator(), &strict, "g.toml", false).await.unwrap();
    assert_eq!(report.groups[1].fields, dry.groups[1].fields);
    assert_eq!((report.groups[1].change, report.groups[1].fields[0].field.as_str()), ("changed", "guests"));
    assert_eq!(report.rejudged.len(), 1);
    assert_eq!(trial.roster("AMR").await, "ana@x.test active, gus@x.test suspended");
    let again = group::apply(&trial.services, &operator(), &strict, "g.toml", false).await.unwrap();
    assert!(again.groups.iter().all(|group| group.change == "unchanged"), "{again:?}");
    group::apply(&trial.services, &operator(), crate::service::trial::GROUPS, "g.toml", false).await.unwrap();
    assert_eq!(trial.roster("AMR").await, "ana@x.test active, gus@x.test active");
    assert!(group::retire(&trial.services, &operator(), &code("SG12"), false).await.is_err(), "a parent of a living group stays");
    group::retire(&trial.services, &operator(), &amr(), false).await.unwrap();
    assert_eq!(own_wish(&trial, "mia@x.test", Wish::Subscribe).await.reason().unwrap().key(), "group-retired");
}
