//! Letting go: pseudonyms in ledger and trail, plans forgotten, bytes swept.

use std::time::Duration;

use bytes::Bytes;
use enlace::domain::id::PostId;
use enlace::domain::ledger::{Outcome, PlannedRecipient, RecipientState};
use enlace::domain::post::{Audience, PostKind};
use enlace::domain::reason::{Reason, Rule};
use enlace::store::erasure::Vanishing;
use enlace::store::transfer::Place;
use enlace::store::{AuditEntry, BatchKey, BodySource, LedgerKey, Store};

use super::Factory;
use super::batches::claim;
use crate::samples::{code, keep, outcome, planned, post, post_id, seconds, t0};
use RecipientState::{Bounced, Planned, Sent, Suppressed};

const ANA: &str = "Ana@Example.org";
const HIDDEN: &str = "erased-1@invalid";

fn ana() -> Vanishing {
    Vanishing::new([ANA], HIDDEN, t0() + seconds(99))
}

fn recipient(address: &str, state: RecipientState) -> PlannedRecipient {
    PlannedRecipient {
        address: address.into(),
        account: None,
        group: 0,
        edition: 0,
        state,
        reason: Reason::new(Rule::Subscriber, [address, "SG12"]),
    }
}

async fn plan(store: &dyn Store, recipients: Vec<PlannedRecipient>) -> BatchKey {
    let key = BatchKey { post: keep(store, "SG12").await, number: 0 };
    store.begin_plan(key.post).await.unwrap();
    store.add_batch(key, recipients).await.unwrap();
    store.finish_plan(key.post, 1, t0()).await.unwrap();
    key
}

fn said(index: u16, state: RecipientState, reply: &str) -> Outcome {
    Outcome { index, state, at: t0() + seconds(5), reply: reply.into() }
}

/// How many items of a snapshot, bodies left out, name her.
async fn named(store: &dyn Store) -> Vec<&'static str> {
    let mut found = Vec::new();
    let mut snapshot = store.snapshot().await.unwrap();
    let mut place = Some(Place::default());
    while let Some(at) = place {
        let (items, next) = snapshot.page(&at).await.unwrap();
        place = next;
        let kinds = items.iter().filter(|item| item.kind() != "bodies" && ana().is_in(format!("{item:?}").as_bytes()));
        found.extend(kinds.map(enlace::store::transfer::Item::kind));
    }
    found
}

pub async fn a_person_vanishes_from_ledger_and_trail_and_the_counts_stay(factory: &dyn Factory) {
    let store = factory.open().await;
    // A finished batch with an amendment, an open one in somebody's hands, an open one, and one without her.
    let finished = plan(&*store, vec![recipient(ANA, Planned), recipient("juana@example.org", Planned)]).await;
    let held = claim(&*store, finished, 1).await;
    let answers = vec![said(0, Sent, "250 2.1.5 <ana@example.org> ok"), said(1, Sent, "250 ok")];
    store.record_outcomes(finished, held.holder, answers).await.unwrap();
    store.settle_batch(finished, held.holder, t0()).await.unwrap();
    let place = LedgerKey { batch: finished, index: 0 };
    assert!(store.amend_recipient(place, Bounced, t0(), "550 5.1.1 ANA@EXAMPLE.ORG unknown".into()).await.unwrap());
    let in_hand = plan(&*store, vec![recipient("b@example.org", Planned), recipient("ana@example.org", Planned)]).await;
    let held = claim(&*store, in_hand, 1).await;
    store.record_outcomes(in_hand, held.holder, vec![said(0, RecipientState::Deferred, "451 4.3.0 after ana@example.org")]).await.unwrap();
    let open = plan(&*store, vec![recipient(ANA, Planned), recipient("c@example.org", Planned)]).await;
    let without = planned(&*store, "SG12", &[2]).await;
    let letter = post_id();
    let mut mail = post(&*store, letter, "SG12").await;
    mail.kind = PostKind::Robot;
    mail.audience = Audience::Listed(vec![recipient(ANA, Planned)]);
    store.keep_post(mail, vec!["key ana@example.org".into(), "key juana@example.org".into()]).await.unwrap();
    let entry = |detail: &str, at| AuditEntry {
        at: t0() + seconds(at),
        actor: ANA.into(),
        act: "member set".into(),
        group: Some(code("SG12")),
        detail: detail.into(),
    };
    for (at, detail) in (0..).zip(["ana@example.org: each", "nobody", "juana@example.org"]) {
        store.append_audit(entry(detail, at)).await.unwrap();
    }
    store.claim_once("sign-in", "2026 ana@example.org", t0()).await.unwrap();
    store.claim_once("sign-in", "2026 juana@example.org", t0()).await.unwrap();
    store.count_up("robot", "ana@example.org").await.unwrap();
    let total = store.total_counts().await.unwrap();

    let replaced = store.pseudonymise(ana()).await.unwrap();
    assert_eq!((replaced.recipients, replaced.audit, replaced.marks, replaced.letters), (3, 3, 3, vec![letter]));
    let again = store.pseudonymise(ana()).await.unwrap();
    assert_eq!((again.recipients, again.audit, again.marks, again.letters.len()), (0, 0, 0, 0), "twice is once");
    let check = async |store: &dyn Store| {
        let rows = store.batch(finished).await.unwrap();
        assert_eq!((rows[0].planned.address.as_str(), rows[0].state), (HIDDEN, Bounced));
        assert_eq!(rows[0].planned.reason.about, [HIDDEN, "SG12"]);
        let replies: Vec<&str> = rows[0].attempts.iter().map(|attempt| attempt.reply.as_str()).collect();
        assert_eq!(replies, ["250 2.1.5 <erased-1@invalid> ok", "550 5.1.1 erased-1@invalid unknown"]);
        assert_eq!((rows[1].planned.address.as_str(), rows[1].state), ("juana@example.org", Sent));
        let rows = store.batch(in_hand).await.unwrap();
        assert_eq!((rows[1].planned.address.as_str(), rows[1].state), (HIDDEN, Suppressed), "her copy does not go out any more");
        assert_eq!(rows[0].attempts[0].reply, "451 4.3.0 after erased-1@invalid");
        assert_eq!(store.batch(open).await.unwrap()[0].state, Suppressed);
        assert_eq!(store.counts(without).await.unwrap().considered(), 2);
        let trail = store.audit(Some(&code("SG12")), 9).await.unwrap();
        let shown: Vec<(&str, &str)> = trail.iter().map(|entry| (entry.actor.as_str(), entry.detail.as_str())).collect();
        let details = ["juana@example.org", "nobody", "erased-1@invalid: each"];
        assert_eq!(shown, details.map(|detail| (HIDDEN, detail)), "in their order");
        assert_eq!(store.claimed_at("sign-in", "2026 ana@example.org").await.unwrap(), None);
        assert!(store.claimed_at("sign-in", "2026 juana@example.org").await.unwrap().is_some());
        assert_eq!(store.total_counts().await.unwrap().considered(), total.considered());
        assert_eq!(named(store).await, Vec::<&str>::new());
    };
    check(&*store).await;
    // Whoever has the batch in hand goes on with it.
    store.record_outcomes(in_hand, held.holder, vec![outcome(0, Sent)]).await.unwrap();
    store.settle_batch(in_hand, held.holder, t0()).await.unwrap();
    assert_eq!(store.counts(in_hand.post).await.unwrap().sent, 1);
    drop(store);
    let store = factory.open().await;
    let rows = store.batch(in_hand).await.unwrap();
    assert_eq!((rows[0].state, rows[1].state), (Sent, Suppressed));
    assert_eq!(named(&*store).await, Vec::<&str>::new());
    let due = store.due_batches(t0() + seconds(1_000), 9).await.unwrap();
    assert_eq!(due.iter().filter(|batch| batch.key == open).map(|batch| batch.open).collect::<Vec<_>>(), [1]);
}

pub async fn a_forgotten_plan_keeps_its_counts(factory: &dyn Factory) {
    let store = factory.open().await;
    let key = plan(&*store, vec![recipient("a@example.org", Planned), recipient("b@example.org", Suppressed)]).await;
    assert_eq!(store.forget_plan(key.post).await.unwrap(), 0, "somebody is open");
    let held = claim(&*store, key, 1).await;
    store.record_outcomes(key, held.holder, vec![outcome(0, Sent)]).await.unwrap();
    store.settle_batch(key, held.holder, t0()).await.unwrap();
    let (counts, total) = (store.counts(key.post).await.unwrap(), store.total_counts().await.unwrap());
    assert_eq!(store.forget_plan(key.post).await.unwrap(), 2);
    assert_eq!(store.forget_plan(key.post).await.unwrap(), 0, "twice is once");
    assert_eq!(store.forget_plan(PostId(7)).await.unwrap(), 0, "no such post");
    drop(store);
    let store = factory.open().await;
    assert!(store.batch(key).await.unwrap().is_empty());
    assert_eq!((store.counts(key.post).await.unwrap(), store.total_counts().await.unwrap()), (counts, total));
    assert_eq!(store.batch_count(key.post).await.unwrap(), 0);
}

pub async fn what_nothing_names_is_swept_and_nothing_else(factory: &dyn Factory) {
    let store = factory.open().await;
    let put = async |octets: usize, with: u8| store.put_body(BodySource::Bytes(Bytes::from(vec![with; octets]))).await.unwrap();
    let kept = keep(&*store, "SG12").await;
    let plan = planned(&*store, "SG12", &[250, 3]).await;
    let (small, large, in_register, in_setting) = (put(5_000, 1).await, put(300_000, 2).await, put(100, 3).await, put(90_000, 4).await);
    let named = enlace::store::record::encode(&in_register).unwrap();
    store.put_entry("liaison-file", "x", 0, named).await.unwrap();
    store.put_setting("long", [vec![0; 100_000], in_setting.key.clone().into_bytes()].concat()).await.unwrap();
    let mut replaced = store.post(kept).await.unwrap().unwrap();
    let former = replaced.editions[0].body.clone();
    replaced.editions[0].body = put(10, 5).await;
    store.update_post(replaced.clone()).await.unwrap();
    assert_eq!(store.sweep(Duration::from_hours(1)).await.unwrap().pieces, 0, "all of it is young");
    // A segment that is written to is left alone, so it is closed.
    store.close().await.unwrap();
    drop(store);
    let store = factory.open().await;
    let reading = store.snapshot().await.unwrap();
    let swept = store.sweep(Duration::ZERO).await.unwrap();
    assert!(swept.put_off || swept.pieces >= 3, "{swept:?}");
    drop(reading);
    let second = store.sweep(Duration::ZERO).await.unwrap();
    assert!(swept.octets + second.octets >= 305_000, "{swept:?} {second:?}");
    for body in [&small, &large, &former] {
        assert!(store.body(body).await.is_err(), "{body:?}");
    }
    for body in [&in_register, &in_setting, &replaced.editions[0].body] {
        assert_eq!(store.body(body).await.unwrap().len() as u64, body.octets);
    }
    assert_eq!(store.batch(BatchKey { post: plan, number: 1 }).await.unwrap().len(), 3);
    assert_eq!(store.setting("long").await.unwrap().unwrap().len(), 100_000 + in_setting.key.len());
    assert_eq!(store.sweep(Duration::ZERO).await.unwrap().pieces, 0, "twice is once");
    // And it goes on.
    let next = keep(&*store, "SG12").await;
    drop(store);
    let store = factory.open().await;
    let body = store.post(next).await.unwrap().unwrap().editions[0].body.clone();
    assert_eq!(store.body(&body).await.unwrap().len() as u64, body.octets);
    assert!(store.snapshot().await.unwrap().page(&Place::default()).await.is_ok());
}

pub async fn old_counters_and_repetition_keys_are_forgotten(factory: &dyn Factory) {
    let store = factory.open().await;
    store.claim_once("x", "sees the time", t0()).await.unwrap();
    store.count_up("robot", "a").await.unwrap();
    let id = keep(&*store, "SG12").await;
    assert_eq!(store.forget_tallies(t0() - seconds(60)).await.unwrap(), 0);
    assert_eq!(store.forget_tallies(t0() + seconds(86_400)).await.unwrap(), 2);
    assert_eq!(store.count_up("robot", "a").await.unwrap(), 1);
    assert!(store.post(id).await.unwrap().is_some() && store.claimed_at("x", "sees the time").await.unwrap().is_some());
}
