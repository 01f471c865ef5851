use chrono::TimeDelta;

use super::*;
use crate::domain::address::EmailAddress;
use crate::domain::id::PostId;
use crate::mail::report::ReportedRecipient;
use crate::service::subscribe::{self, Settings, Wish};
use crate::service::trial::{Trial, code, operator};

const DEAD: &str = "550 5.1.1 user unknown";

fn said(class: BounceClass, address: &str, words: &str) -> Report {
    let recipient = ReportedRecipient { address: address.into(), class, status: String::new(), diagnostic: words.into() };
    let kind = if class == BounceClass::Complaint { ReportKind::Complaint } else { ReportKind::Dsn };
    Report { kind, recipients: vec![recipient] }
}

/// A post of AMR to these addresses, handed over; its tokens in order.
async fn post(trial: &Trial, kind: PostKind, origin: &str, addresses: &[&str]) -> Vec<Verp> {
    let services = &trial.services;
    let id = PostId::new(services.now(), services.chance());
    let post = Post { kind, origin: origin.into(), ..trial.post(id, "Subject: x\r\n\r\ny\r\n").await };
    services.store.keep_post(post, Vec::new()).await.unwrap();
    let mut rows = Vec::new();
    for address in addresses {
        let account = services.store.account_by_address(&address.parse().unwrap()).await.unwrap().unwrap();
        rows.push(PlannedRecipient {
            address: (*address).to_owned(),
            account: Some(account.id),
            group: 0,
            edition: 0,
            state: RecipientState::Planned,
            reason: Reason::new(Rule::Subscriber, ["AMR"]),
        });
    }
    let key = BatchKey { post: id, number: 0 };
    services.store.begin_plan(id).await.unwrap();
    services.store.add_batch(key, rows).await.unwrap();
    services.store.finish_plan(id, 1, services.now()).await.unwrap();
    let indexes = 0..u16::try_from(addresses.len()).unwrap();
    for index in indexes.clone() {
        services.store.amend_recipient(LedgerKey { batch: key, index }, RecipientState::Sent, services.now(), "250".into()).await.unwrap();
    }
    indexes.map(|index| Verp { post: id, batch: 0, index }).collect()
}

async fn with_members(addresses: &[&str]) -> Trial {
    let trial = Trial::peopled().await;
    let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    subscribe::add(&trial.services, &operator(), &code("AMR"), &addresses, &Settings::default(), subscribe::Invite::No, false)
        .await
        .unwrap();
    trial
}

/// Three days on which a post to her comes back.
async fn three_days(trial: &Trial, address: &str, report_of: &Report) {
    for _ in 0..3 {
        let tokens = post(trial, PostKind::Discussion, "", &[address]).await;
        assert!(report(&trial.services, tokens[0], report_of).await.unwrap());
        trial.services.clock.advance(TimeDelta::days(1));
    }
}

/// The robot mails so far, by template.
async fn robot_mails(trial: &Trial) -> Vec<String> {
    let posts = trial.services.store.posts_of_group(&code("AMR"), None, 100).await.unwrap();
    let mut origins: Vec<_> = posts.iter().filter(|post| post.kind == PostKind::Robot).map(|post| post.origin.clone()).collect();
    origins.sort();
    origins
}

#[tokio::test]
async fn three_days_probe_and_only_a_probe_that_comes_back_suspends_never_deletes() {
    let trial = with_members(&["ana@x.test", "mia@x.test"]).await;
    three_days(&trial, "ana@x.test", &said(BounceClass::AddressDead, "ana@x.test", DEAD)).await;
    assert_eq!(trial.roster("AMR").await, "ana@x.test active, mia@x.test active");
    assert_eq!(robot_mails(&trial).await, ["robot:probe"]);
    let rows = list(&trial.services, None).await.unwrap();
    assert_eq!((rows.len(), rows[0].address.as_str(), rows[0].class, rows[0].probed.is_some()), (1, "ana@x.test", "address-dead", true));

    let probe = post(&trial, PostKind::Robot, "robot:probe", &["ana@x.test"]).await;
    report(&trial.services, probe[0], &said(BounceClass::Policy, "ana@x.test", "550 5.7.1 blocked")).await.unwrap();
    assert_eq!(trial.roster("AMR").await, "ana@x.test active, mia@x.test active", "a policy rejection of the probe says nothing of her");
    let probe = post(&trial, PostKind::Robot, "robot:probe", &["ana@x.test"]).await;
    report(&trial.services, probe[0], &said(BounceClass::AddressDead, "ana@x.test", DEAD)).await.unwrap();
    assert_eq!(trial.roster("AMR").await, "ana@x.test suspended, mia@x.test active");
    let members = subscribe::list(&trial.services, &code("AMR")).await.unwrap();
    assert_eq!(members[0].reason.as_deref(), Some("mail to ana@x.test came back: address-dead: 550 5.1.1 user unknown"));

    // She comes back by herself.
    let (group, ana): (_, EmailAddress) = (trial.services.group(&code("AMR")).unwrap(), "ana@x.test".parse().unwrap());
    let outcome = subscribe::own(&trial.services, &operator(), &group, &ana, Wish::Subscribe).await.unwrap();
    assert_eq!(outcome.key(), "subscribed");
    assert_eq!(trial.roster("AMR").await, "ana@x.test active, mia@x.test active");
    assert!(list(&trial.services, None).await.unwrap().is_empty(), "with a clean slate");
}

#[tokio::test]
async fn policy_content_and_delays_never_count_and_a_second_report_of_a_copy_neither() {
    let trial = with_members(&["ana@x.test"]).await;
    for class in [BounceClass::Policy, BounceClass::Content, BounceClass::Delay] {
        three_days(&trial, "ana@x.test", &said(class, "ana@x.test", "550 5.7.1 no")).await;
    }
    assert!(list(&trial.services, None).await.unwrap().is_empty() && robot_mails(&trial).await.is_empty());
    let tokens = post(&trial, PostKind::Discussion, "", &["ana@x.test"]).await;
    for _ in 0..10 {
        report(&trial.services, tokens[0], &said(BounceClass::AddressDead, "ana@x.test", DEAD)).await.unwrap();
        trial.services.clock.advance(TimeDelta::days(1));
    }
    assert_eq!(list(&trial.services, None).await.unwrap()[0].failures, 1, "one copy speaks once");
}

#[tokio::test]
async fn only_the_owner_of_the_token_is_scored_whomever_a_report_names() {
    let trial = with_members(&["ana@x.test", "mia@x.test"]).await;
    three_days(&trial, "ana@x.test", &said(BounceClass::AddressDead, "mia@x.test", DEAD)).await;
    let rows = list(&trial.services, None).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.address.as_str()).collect::<Vec<_>>(), ["ana@x.test"], "mia was named, ana's token was used");
}

#[tokio::test]
async fn a_complaint_ends_the_subscription_at_once_and_no_import_undoes_it_but_a_manager_is_suspended() {
    let trial = with_members(&["ana@x.test", "mia@x.test"]).await;
    let manager = Settings { role: Some(Role::Manager), ..Settings::default() };
    subscribe::set(&trial.services, &operator(), &code("AMR"), &["mia@x.test".into()], &manager, false).await.unwrap();
    let tokens = post(&trial, PostKind::Discussion, "", &["ana@x.test", "mia@x.test"]).await;
    for token in tokens {
        report(&trial.services, token, &said(BounceClass::Complaint, "", "abuse")).await.unwrap();
    }
    assert_eq!(trial.roster("AMR").await, "ana@x.test unsubscribed, mia@x.test suspended");
    assert_eq!(robot_mails(&trial).await, ["robot:member-lost"], "the manager hears of ana; nobody is left to hear of her");
    let csv = "email\nana@x.test\n";
    subscribe::import(&trial.services, &operator(), &code("AMR"), csv.as_bytes(), "a.csv", false).await.unwrap();
    assert_eq!(trial.roster("AMR").await, "ana@x.test unsubscribed, mia@x.test suspended");
    let reset = reset(&trial.services, &operator(), &"mia@x.test".parse().unwrap(), false).await.unwrap();
    assert_eq!((reset.len(), reset[0].state), (1, "active"));
}

#[tokio::test]
async fn an_incident_of_a_provider_scores_nobody_and_takes_back_what_was_counted() {
    let trial = Trial::empty().await;
    let mut csv = String::from("email,name,kind,category,country\n");
    let addresses: Vec<String> = (0..30).map(|number| format!("m{number}@provider.test")).collect();
    for address in &addresses {
        csv.push_str(&format!("{address},M,ties,member-state,MX\n"));
    }
    crate::service::account::import(&trial.services, &operator(), csv.as_bytes(), "a.csv", crate::service::account::Manner::default())
        .await
        .unwrap();
    subscribe::add(&trial.services, &operator(), &code("AMR"), &addresses, &Settings::default(), subscribe::Invite::No, false)
        .await
        .unwrap();
    let names: Vec<&str> = addresses.iter().map(String::as_str).collect();
    for _ in 0..5 {
        let tokens = post(&trial, PostKind::Discussion, "", &names).await;
        for (token, address) in tokens.into_iter().zip(&addresses) {
            let words = format!("550 5.1.1 <{address}> mailbox unavailable, see {token:?}");
            report(&trial.services, token, &said(BounceClass::AddressDead, address, &words)).await.unwrap();
        }
        assert!(list(&trial.services, None).await.unwrap().is_empty(), "nobody of the provider is scored");
        trial.services.clock.advance(TimeDelta::hours(20));
    }
    assert!(robot_mails(&trial).await.is_empty());
    let ledger = trial.services.store.total_counts().await.unwrap();
    assert_eq!(ledger.bounced, 150, "the ledger still says what came back");
}

#[tokio::test]
async fn a_restart_forgets_no_incident_and_a_quiet_day_does() {
    let trial = Trial::empty().await;
    let addresses: Vec<String> = (0..14).map(|number| format!("m{number}@provider.test")).collect();
    let rows: String = addresses.iter().map(|address| format!("{address},M,ties,member-state,MX\n")).collect();
    let csv = format!("email,name,kind,category,country\n{rows}");
    let manner = crate::service::account::Manner::default();
    crate::service::account::import(&trial.services, &operator(), csv.as_bytes(), "a.csv", manner).await.unwrap();
    let invite = subscribe::Invite::No;
    subscribe::add(&trial.services, &operator(), &code("AMR"), &addresses, &Settings::default(), invite, false).await.unwrap();
    let names: Vec<&str> = addresses.iter().map(String::as_str).collect();
    let tokens = post(&trial, PostKind::Discussion, "", &names).await;
    let words = |at: usize| said(BounceClass::AddressDead, &addresses[at], "550 5.1.1 mailbox unavailable");
    for (at, token) in tokens.iter().enumerate().take(11) {
        report(&trial.services, *token, &words(at)).await.unwrap();
    }
    let old = &trial.services;
    let again = || Services::new(old.store.clone(), old.config.newest(), old.texts.newest(), old.clock.clone());
    let services = again().await.unwrap();
    report(&services, tokens[11], &words(11)).await.unwrap();
    assert!(list(&services, None).await.unwrap().is_empty(), "the incident goes on after the restart");
    trial.services.clock.advance(TimeDelta::hours(30));
    forget(&services).await.unwrap();
    let services = again().await.unwrap();
    report(&services, tokens[12], &words(12)).await.unwrap();
    assert_eq!(list(&services, None).await.unwrap().len(), 1, "a day later it is her own");
}

#[tokio::test]
async fn a_reset_forgets_the_score_and_a_dry_run_forgets_nothing() {
    let trial = with_members(&["ana@x.test"]).await;
    three_days(&trial, "ana@x.test", &said(BounceClass::AddressDead, "ana@x.test", DEAD)).await;
    let ana = "ana@x.test".parse().unwrap();
    assert_eq!(reset(&trial.services, &operator(), &ana, true).await.unwrap().len(), 1);
    assert_eq!(list(&trial.services, None).await.unwrap().len(), 1);
    assert_eq!(reset(&trial.services, &operator(), &ana, false).await.unwrap().len(), 1);
    assert!(list(&trial.services, None).await.unwrap().is_empty());
    assert!(reset(&trial.services, &operator(), &"nobody@x.test".parse().unwrap(), false).await.is_err());
}
