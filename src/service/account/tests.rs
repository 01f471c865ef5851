use super::*;
use crate::domain::group::GroupCode;
use crate::service::subscribe::{self, Invite, Settings};
use crate::service::trial::{ACCOUNTS, Trial, code, operator};

fn address(text: &str) -> EmailAddress {
    text.parse().unwrap()
}

fn amr() -> GroupCode {
    code("AMR")
}

async fn import_text(trial: &Trial, text: &str, manner: Manner) -> Result<ImportReport, Failure> {
    import(&trial.services, &operator(), text.as_bytes(), "a.csv", manner).await
}

async fn subscribe_ana(trial: &Trial) {
    let report = subscribe::add(&trial.services, &operator(), &amr(), &["ana@x.test".into()], &Settings::default(), Invite::No, false)
        .await
        .unwrap();
    assert_eq!(report.members[0].outcome, "subscribed");
}

#[tokio::test]
async fn importing_twice_changes_nothing_and_a_dry_run_writes_nothing() {
    let trial = Trial::empty().await;
    let dry = import_text(&trial, ACCOUNTS, Manner { dry_run: true, ..Manner::default() }).await.unwrap();
    assert_eq!((dry.added, trial.services.store.account_count().await.unwrap()), (4, 0));
    assert_eq!(import_text(&trial, ACCOUNTS, Manner::default()).await.unwrap().added, 4);
    let again = import_text(&trial, ACCOUNTS, Manner::default()).await.unwrap();
    assert_eq!((again.added, again.changed, again.unchanged), (0, 0, 4), "{again:?}");
    assert_eq!(list(&trial.services).await.unwrap().len(), 4);
}

#[tokio::test]
async fn a_bad_row_is_named_and_the_rest_is_done() {
    let trial = Trial::empty().await;
    let report = import_text(&trial, "email,kind\na@x.test,ties\nb@x.test,robot\n", Manner::default()).await.unwrap();
    assert_eq!((report.added, report.problems[0].line), (1, 3));
    assert!(import_text(&trial, "name\nAna\n", Manner::default()).await.is_err());
}

#[tokio::test]
async fn a_lost_right_suspends_at_once_and_comes_back_with_the_right() {
    let trial = Trial::peopled().await;
    subscribe_ana(&trial).await;
    let set_to = async |field: &str| set(&trial.services, &operator(), &address("ana@x.test"), &[field.to_owned()], false).await.unwrap();
    let moved = set_to("country=FR").await;
    assert_eq!(moved.rejudged[0].reason.as_deref(), Some("ana@x.test is not of the region of AMR"));
    assert_eq!(trial.roster("AMR").await, "ana@x.test suspended");
    set_to("country=MX").await;
    assert_eq!(trial.roster("AMR").await, "ana@x.test active");
    let suspended = suspend(&trial.services, &operator(), &address("ana@x.test"), "left her post", false).await.unwrap();
    assert_eq!((suspended.change, suspended.rejudged.len()), ("suspended", 1));
    set_to("standing=active").await;
    assert_eq!(trial.roster("AMR").await, "ana@x.test active");
    let by_file = import_text(&trial, "email,kind,category,country\nana@x.test,ties,none,MX\n", Manner::default()).await.unwrap();
    assert_eq!(by_file.rejudged[0].state, "suspended");
}

#[tokio::test]
async fn an_account_ends_at_midnight_of_the_services_zone() {
    let trial = Trial::peopled().await;
    subscribe_ana(&trial).await;
    trial.advance_days(6);
    assert!(rights::expire(&trial.services, None).await.unwrap().is_empty(), "30 November is her last day");
    // 30 November 23:00 UTC is the first of December in Zurich.
    trial.services.clock.advance(chrono::TimeDelta::hours(13));
    let expired = rights::expire(&trial.services, None).await.unwrap();
    assert_eq!(expired.len(), 1, "{expired:?}");
    assert_eq!(trial.roster("AMR").await, "ana@x.test suspended");
    assert!(rights::expire(&trial.services, None).await.unwrap().is_empty(), "twice is as once");
    set(&trial.services, &operator(), &address("ana@x.test"), &["expires=2027-11-30".into()], false).await.unwrap();
    assert_eq!(trial.roster("AMR").await, "ana@x.test active");
}

#[tokio::test]
async fn a_synchronisation_brakes_before_anything_is_written() {
    let trial = Trial::peopled().await;
    let shorter = "email,kind,category,country\nana@x.test,ties,member-state,PE\n";
    let sync = Manner { sync: true, ..Manner::default() };
    let refused = import_text(&trial, shorter, sync).await.unwrap_err().to_string();
    assert!(refused.contains("would remove 3 of 4") && refused.contains("--force"), "{refused}");
    assert_eq!(show(&trial.services, &address("ana@x.test")).await.unwrap().account.country, "MX", "nothing was written");
    assert!(import_text(&trial, "email,kind\n", sync).await.is_err(), "an empty file");
    let unreadable = format!("{shorter}\"broken,ties\n");
    let report = import_text(&trial, &unreadable, sync).await.unwrap();
    assert_eq!((report.removed, report.warnings.len()), (0, 1), "{report:?}");
    let forced = import_text(&trial, shorter, Manner { sync: true, force: true, dry_run: false }).await.unwrap();
    assert_eq!((forced.removed, list(&trial.services).await.unwrap().len()), (3, 1));
}

#[tokio::test]
async fn who_was_removed_by_a_synchronisation_finds_her_subscriptions_when_she_returns() {
    let trial = Trial::peopled().await;
    subscribe_ana(&trial).await;
    let without: String = ACCOUNTS.split_inclusive('\n').filter(|line| !line.starts_with("ana@")).collect();
    let removed = import_text(&trial, &without, Manner { sync: true, force: true, dry_run: false }).await.unwrap();
    assert_eq!((removed.removed, removed.rejudged[0].reason.as_deref()), (1, Some("ana@x.test has no TIES or guest account")));
    assert_eq!(trial.roster("AMR").await, "");
    let back = import_text(&trial, ACCOUNTS, Manner::default()).await.unwrap();
    assert_eq!((back.added, back.rejudged[0].state), (1, "active"), "{back:?}");
    assert_eq!(trial.roster("AMR").await, "ana@x.test active");
}

#[tokio::test]
async fn erasing_leaves_no_way_back_and_no_name_in_the_trail() {
    let trial = Trial::peopled().await;
    subscribe_ana(&trial).await;
    let export = export(&trial.services, &address("ana@x.test")).await.unwrap();
    assert_eq!((&export["account"]["name"], export["subscriptions"].as_array().unwrap().len()), (&json!("Ana Example"), 1));
    assert!(!export["audit"].as_array().unwrap().is_empty());
    erase(&trial.services, &operator(), &address("ana@x.test"), false).await.unwrap();
    assert!(show(&trial.services, &address("ana@x.test")).await.is_err());
    let last = trial.services.store.audit(None, 1).await.unwrap().remove(0);
    assert!(last.act == "account erase" && !last.detail.contains("ana"), "{last:?}");
    import_text(&trial, ACCOUNTS, Manner::default()).await.unwrap();
    assert_eq!(trial.roster("AMR").await, "");
}

#[tokio::test]
async fn an_address_belongs_to_one_account() {
    let trial = Trial::peopled().await;
    let field = ["email=ana@x.test;ben@x.test".to_owned()];
    let refused = set(&trial.services, &operator(), &address("ana@x.test"), &field, false).await.unwrap_err().to_string();
    assert_eq!(refused, "ben@x.test belongs to another account");
    let both = import_text(&trial, "email,kind\nana@x.test;ben@x.test,ties\n", Manner::default()).await.unwrap();
    assert!(both.problems[0].text.contains("different accounts"), "{both:?}");
}
