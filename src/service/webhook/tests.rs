use chrono::TimeDelta;

use super::*;
use crate::domain::id::PostId;
use crate::domain::post::Post;
use crate::domain::reason::{Reason, Rule};
use crate::domain::subscription::SubscriptionState;
use crate::domain::webhook::EventKind;
use crate::service::trial::{Trial, code, operator};

async fn post(trial: &Trial, chance: u64) -> Post {
    let post = trial.post(PostId::new(trial.services.now(), chance), "Subject: x\r\n\r\nx\r\n").await;
    Post { message_id: format!("{chance}@x.test"), subject: format!("post {chance}"), ..post }
}

async fn told(trial: &Trial) -> Vec<Event> {
    place(&trial.services).await.unwrap();
    let mut events = events(&trial.services, None, 1_000).await.unwrap();
    events.reverse();
    events
}

/// The embedded store tells by itself; tests have no receiver, so the address is one that may be called and never is.
async fn hooked() -> Trial {
    let trial = Trial::peopled().await;
    add(&trial.services, &operator(), "reports", "https://hooks.example.org/x", Wanted::default(), false).await.unwrap();
    trial
}

#[tokio::test]
async fn without_a_webhook_nothing_is_noted() {
    let trial = Trial::peopled().await;
    planned(&trial.services, &post(&trial, 1).await).await.unwrap();
    assert!(told(&trial).await.is_empty());
}

#[tokio::test]
async fn the_same_post_noted_twice_is_one_event() {
    let trial = hooked().await;
    let (one, other) = (post(&trial, 1).await, post(&trial, 2).await);
    planned(&trial.services, &one).await.unwrap();
    planned(&trial.services, &one).await.unwrap();
    planned(&trial.services, &other).await.unwrap();
    let events = told(&trial).await;
    assert_eq!(events.len(), 2, "{events:?}");
    assert!(events.iter().all(|event| event.kind == EventKind::PostAccepted && event.id.starts_with("evt_")));
    // Noted again after it was told, as after a crash: told again, under the same identifier.
    planned(&trial.services, &one).await.unwrap();
    let again = told(&trial).await;
    assert_eq!(again.len(), 3);
    assert!(events.iter().any(|event| event.id == again[2].id));
    let body: serde_json::Value = serde_json::from_str(&events[0].body).unwrap();
    assert_eq!(body["type"], "post.accepted");
    assert!(body["data"]["url"].as_str().unwrap().contains("/groups/AMR/archive/"));
}

#[tokio::test]
async fn a_suspension_is_told_when_the_record_shows_it_and_forgotten_when_it_never_does() {
    let trial = hooked().await;
    let services = &trial.services;
    crate::service::subscribe::add(
        services,
        &operator(),
        &code("AMR"),
        &["ana@x.test".into()],
        &crate::service::subscribe::Settings::default(),
        crate::service::subscribe::Invite::No,
        false,
    )
    .await
    .unwrap();
    let ana = services.store.account_by_address(&"ana@x.test".parse().unwrap()).await.unwrap().unwrap();
    let reason = Reason::new(Rule::Bouncing, ["ana@x.test", "550 no such user"]);
    suspending(services, &code("AMR"), &ana, &reason).await.unwrap();
    assert!(told(&trial).await.is_empty(), "it has not happened");
    let mut subscription = services.store.subscription(&code("AMR"), ana.id).await.unwrap().unwrap();
    subscription.state = SubscriptionState::Suspended(reason.clone());
    services.store.put_subscriptions(vec![subscription.clone()]).await.unwrap();
    let events = told(&trial).await;
    assert_eq!((events.len(), events[0].kind), (1, EventKind::BounceSuspended));
    subscription.state = SubscriptionState::Active;
    services.store.put_subscriptions(vec![subscription]).await.unwrap();
    services.clock.advance(TimeDelta::seconds(1));
    suspending(services, &code("AMR"), &ana, &reason).await.unwrap();
    services.clock.advance(TimeDelta::minutes(11));
    assert_eq!(told(&trial).await.len(), 1);
    assert!(services.store.entries(record::NEW, None, 10).await.unwrap().is_empty(), "it was never done and waits no longer");
}

#[tokio::test]
async fn a_replay_goes_back_to_a_time_or_behind_an_event_and_ends_a_rest() {
    let trial = hooked().await;
    let services = &trial.services;
    for n in 1..=4 {
        planned(services, &post(&trial, n).await).await.unwrap();
        told(&trial).await;
        services.clock.advance(TimeDelta::minutes(1));
    }
    let events = told(&trial).await;
    let (version, state) = record::state(services, "reports").await.unwrap();
    let rests = State { cursor: u64::MAX, disabled: Some(services.now()), ..state };
    record::put_state(services, "reports", version, &rests).await.unwrap();
    assert!(waiting(services).await.unwrap().is_empty());
    let waits_behind = async |from: &Start| {
        let state = replay(services, &operator(), "reports", from, false).await.unwrap();
        record::behind(services, state.cursor, 100).await.unwrap().len()
    };
    assert_eq!(waits_behind(&Start::Behind(events[1].id.clone())).await, 2);
    assert_eq!(waiting(services).await.unwrap(), ["reports"], "a replay ends the rest");
    assert_eq!(waits_behind(&Start::Time(events[2].at)).await, 2);
    assert_eq!(waits_behind(&Start::Time(events[0].at - TimeDelta::days(1))).await, 4);
    let unknown = replay(services, &operator(), "reports", &Start::Behind("evt_00".into()), false).await;
    assert!(matches!(unknown, Err(Failure::NotFound(_))), "{unknown:?}");
    services.clock.advance(TimeDelta::days(31));
    assert_eq!(forget(services).await.unwrap(), 4);
    assert!(told(&trial).await.is_empty());
}

#[tokio::test]
async fn a_webhook_begins_with_what_happens_next() {
    let trial = hooked().await;
    let services = &trial.services;
    planned(services, &post(&trial, 1).await).await.unwrap();
    told(&trial).await;
    services.clock.advance(TimeDelta::seconds(1));
    add(services, &operator(), "late", "https://hooks.example.org/y", Wanted::default(), false).await.unwrap();
    let lines = list(services).await.unwrap();
    let behind: Vec<_> = lines.iter().map(|line| (line.hook.name.as_str(), line.behind)).collect();
    assert_eq!(behind, [("late", false), ("reports", true)]);
}

#[tokio::test]
async fn what_cannot_be_a_webhook_is_refused_with_the_reason() {
    let trial = hooked().await;
    let services = &trial.services;
    let unknown = Wanted { events: Vec::new(), groups: vec![code("NOSUCH")] };
    for (name, url, wanted, said) in [
        ("reports", "https://hooks.example.org/", Wanted::default(), "already"),
        ("a/b", "https://hooks.example.org/", Wanted::default(), "name"),
        ("x", "http://hooks.example.org/", Wanted::default(), "in the clear"),
        ("x", "https://10.0.0.1/", Wanted::default(), "no public address"),
        ("x", "https://hooks.example.org/", unknown, "no group"),
    ] {
        let failure = add(services, &operator(), name, url, wanted, false).await.unwrap_err().to_string();
        assert!(failure.contains(said), "{name} {url}: {failure}");
    }
}
