//! An issue that was cut short by a crash, and people who changed their minds in between.

use super::*;
use crate::domain::ledger::{PlannedRecipient, RecipientState};
use crate::domain::post::PostKind;
use crate::domain::reason::{Reason, Rule};
use crate::domain::subscription::{Delivery, DeliveryMode};
use crate::service::subscribe::{self, Settings};
use crate::service::trial::{Trial, code, operator};
use crate::store::BatchKey;

async fn account(trial: &Trial, address: &str) -> AccountId {
    trial.services.store.account_by_address(&address.parse().unwrap()).await.unwrap().unwrap().id
}

/// A post whose plan says of these that they get it by digest.
async fn waiting_post(trial: &Trial, readers: &[&str]) -> PostId {
    let services = &trial.services;
    let id = PostId::new(services.now(), services.chance());
    let post = Post { groups: vec![code("SG12")], ..trial.post(id, "From: <a@x.test>\r\nSubject: x\r\n\r\ny\r\n").await };
    services.store.keep_post(post.clone(), Vec::new()).await.unwrap();
    let mut rows = Vec::new();
    for address in readers {
        rows.push(PlannedRecipient {
            address: (*address).to_owned(),
            account: Some(account(trial, address).await),
            group: 0,
            edition: 0,
            state: RecipientState::Suppressed,
            reason: Reason::new(Rule::InDigest, [*address, "SG12"]),
        });
    }
    rows.sort_by_key(|row| row.account);
    services.store.begin_plan(id).await.unwrap();
    services.store.add_batch(BatchKey { post: id, number: 0 }, rows).await.unwrap();
    wait(services, &code("SG12"), &post).await.unwrap();
    services.store.finish_plan(id, 1, services.now()).await.unwrap();
    id
}

async fn subscribe(trial: &Trial, address: &str) {
    let settings = Settings { delivery: Some(Delivery { mode: DeliveryMode::Digest, until: None }), ..Settings::default() };
    let reader = [address.to_owned()];
    subscribe::add(&trial.services, &operator(), &code("SG12"), &reader, &settings, subscribe::Invite::No, false).await.unwrap();
}

async fn set_form(trial: &Trial, address: &str, plain: bool) {
    let mut subscription =
        trial.services.store.subscription(&code("SG12"), account(trial, address).await).await.unwrap().expect("a subscription");
    subscription.plain_digest = plain;
    trial.services.store.put_subscriptions(vec![subscription]).await.unwrap();
}

/// How often each of these is in a mail of a digest.
async fn mails(trial: &Trial, readers: &[&str]) -> Vec<usize> {
    let posts = trial.services.store.posts_of_group(&code("SG12"), None, 100).await.unwrap();
    let listed: Vec<_> = posts
        .iter()
        .filter(|post| post.kind == PostKind::Digest)
        .flat_map(|post| if let Audience::Listed(rows) = &post.audience { rows.clone() } else { Vec::new() })
        .collect();
    readers.iter().map(|reader| listed.iter().filter(|row| row.address == *reader).count()).collect()
}

/// As after a crash between the last mail of an issue and its end.
async fn reopen(trial: &Trial, open: Vec<PostId>) {
    let (version, issue) = latest(&trial.services, &code("SG12")).await.unwrap();
    let open = encode(&Issue { open, ..issue }).unwrap();
    trial.services.store.put_entry(ISSUES, "SG12", version, open).await.unwrap().unwrap();
}

#[tokio::test]
async fn who_changes_the_form_around_a_crash_gets_the_issue_once() {
    let trial = Trial::peopled().await;
    let readers = ["ana@x.test", "ben@x.test", "mia@x.test"];
    for reader in &readers[..2] {
        subscribe(&trial, reader).await;
    }
    let post = waiting_post(&trial, &readers).await;
    assert_eq!(issue(&trial.services, When::Now).await.unwrap(), 1);
    assert_eq!(mails(&trial, &readers).await, [1, 1, 0], "mia was not there yet");
    for (ana, ben) in [(true, false), (false, true), (true, true)] {
        reopen(&trial, vec![post]).await;
        set_form(&trial, "ana@x.test", ana).await;
        set_form(&trial, "ben@x.test", ben).await;
        assert_eq!(issue(&trial.services, When::Now).await.unwrap(), 1, "the issue ends");
        assert_eq!(mails(&trial, &readers).await, [1, 1, 0], "{ana} {ben}");
    }
    // Whom the mails that are kept do not have yet is not lost either, in whichever form of theirs she is.
    for (form, expected) in [(true, [1, 1, 1]), (false, [1, 1, 1])] {
        reopen(&trial, vec![post]).await;
        subscribe(&trial, "mia@x.test").await;
        set_form(&trial, "mia@x.test", form).await;
        issue(&trial.services, When::Now).await.unwrap();
        assert_eq!(mails(&trial, &readers).await, expected, "{form}");
    }
}
