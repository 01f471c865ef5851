//! Plans, claims, outcomes.

use std::time::Duration;

use enlace::domain::id::PostId;
use enlace::domain::ledger::{Counts, RecipientState};
use enlace::domain::post::PostState;
use enlace::store::{ATTEMPTS_KEPT, BatchKey, Claim, Claimed, LedgerKey, Store};

use super::Factory;
use crate::samples::{keep, outcome, planned, recipient, seconds, t0};
use RecipientState::{Bounced, Deferred, Failed, Planned, Sent, Suppressed};

const LEASE: Duration = Duration::from_mins(1);

fn key(post: PostId, number: u32) -> BatchKey {
    BatchKey { post, number }
}

pub async fn claim(store: &dyn Store, key: BatchKey, at: i64) -> Claim {
    match store.claim_batch(key, t0() + seconds(at), LEASE).await.unwrap() {
        Claimed::Started(claim) => *claim,
        other => panic!("{key:?} was not given out: {other:?}"),
    }
}

async fn state(store: &dyn Store, id: PostId) -> PostState {
    store.post(id).await.unwrap().unwrap().state
}

fn counts(planned: u64, sent: u64, deferred: u64, failed: u64, bounced: u64, suppressed: u64) -> Counts {
    Counts { planned, sent, deferred, failed, bounced, suppressed }
}

async fn due(store: &dyn Store, at: i64) -> Vec<BatchKey> {
    store.due_batches(t0() + seconds(at), 100).await.unwrap().into_iter().map(|batch| batch.key).collect()
}

pub async fn a_plan_is_seen_only_when_it_is_finished(factory: &dyn Factory) {
    let store = factory.open().await;
    let id = keep(&*store, "SG12").await;
    store.begin_plan(id).await.unwrap();
    store.add_batch(key(id, 0), vec![recipient(1, Planned), recipient(2, Suppressed)]).await.unwrap();
    assert!(due(&*store, 9).await.is_empty());
    assert!(matches!(store.claim_batch(key(id, 0), t0(), LEASE).await.unwrap(), Claimed::Finished));
    assert!(store.batch(key(id, 0)).await.unwrap().is_empty());
    assert_eq!(store.counts(id).await.unwrap(), Counts::default());
    store.finish_plan(id, 1, t0()).await.unwrap();
    store.finish_plan(id, 1, t0()).await.unwrap();
    assert_eq!(state(&*store, id).await, PostState::Planned);
    assert_eq!(due(&*store, 0).await, [key(id, 0)]);
    assert_eq!(store.counts(id).await.unwrap(), counts(1, 0, 0, 0, 0, 1));
    assert_eq!(store.total_counts().await.unwrap(), counts(1, 0, 0, 0, 0, 1));
    assert_eq!(store.batch_count(id).await.unwrap(), 1);
    assert!(store.posts_to_plan(t0(), 9).await.unwrap().is_empty());
    let found = store.batch(key(id, 0)).await.unwrap();
    assert_eq!((&found[0].planned, found[1].state), (&recipient(1, Planned), Suppressed));
    assert_eq!(store.open_posts(9).await.unwrap().len(), 1);
}

pub async fn a_plan_can_be_started_over(factory: &dyn Factory) {
    let store = factory.open().await;
    let id = keep(&*store, "SG12").await;
    store.begin_plan(id).await.unwrap();
    store.add_batch(key(id, 0), vec![recipient(1, Planned)]).await.unwrap();
    store.add_batch(key(id, 1), vec![recipient(2, Planned)]).await.unwrap();
    drop(store);
    let store = factory.open().await;
    assert_eq!(store.posts_to_plan(t0(), 9).await.unwrap().len(), 1);
    store.begin_plan(id).await.unwrap();
    store.add_batch(key(id, 0), vec![recipient(3, Planned)]).await.unwrap();
    store.begin_plan(id).await.unwrap();
    store.add_batch(key(id, 0), vec![recipient(4, Planned)]).await.unwrap();
    store.finish_plan(id, 1, t0()).await.unwrap();
    assert_eq!(store.batch(key(id, 0)).await.unwrap()[0].planned, recipient(4, Planned));
    assert!(store.batch(key(id, 1)).await.unwrap().is_empty());
    assert_eq!(store.counts(id).await.unwrap(), counts(1, 0, 0, 0, 0, 0));
}

pub async fn an_incomplete_plan_is_refused(factory: &dyn Factory) {
    let store = factory.open().await;
    let id = keep(&*store, "SG12").await;
    store.begin_plan(id).await.unwrap();
    store.add_batch(key(id, 0), vec![recipient(1, Planned)]).await.unwrap();
    assert!(store.finish_plan(id, 2, t0()).await.is_err());
    assert_eq!(state(&*store, id).await, PostState::Accepted);
    assert!(store.add_batch(key(id, 1), (0..251).map(|n| recipient(n, Planned)).collect()).await.is_err());
    assert!(store.finish_plan(PostId(1), 0, t0()).await.is_err());
    assert_eq!(store.total_counts().await.unwrap(), Counts::default());
}

pub async fn a_plan_in_which_nobody_is_open_is_done(factory: &dyn Factory) {
    let store = factory.open().await;
    let empty = keep(&*store, "SG12").await;
    store.begin_plan(empty).await.unwrap();
    store.finish_plan(empty, 0, t0()).await.unwrap();
    let nobody = keep(&*store, "SG12").await;
    store.begin_plan(nobody).await.unwrap();
    store.add_batch(key(nobody, 0), vec![recipient(1, Suppressed)]).await.unwrap();
    store.finish_plan(nobody, 1, t0()).await.unwrap();
    for id in [empty, nobody] {
        assert_eq!(state(&*store, id).await, PostState::Done);
    }
    assert!(due(&*store, 9).await.is_empty());
    assert_eq!(store.counts(nobody).await.unwrap(), counts(0, 0, 0, 0, 0, 1));
    assert!(store.open_posts(9).await.unwrap().is_empty());
}

pub async fn a_batch_is_claimed_by_one_worker(factory: &dyn Factory) {
    let store = factory.open().await;
    let id = planned(&*store, "SG12", &[3]).await;
    let workers: Vec<_> = (0..16)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move { store.claim_batch(key(id, 0), t0(), LEASE).await.unwrap() })
        })
        .collect();
    let (mut started, mut in_progress) = (Vec::new(), 0);
    for worker in workers {
        match worker.await.unwrap() {
            Claimed::Started(claim) => started.push(claim),
            Claimed::InProgress => in_progress += 1,
            Claimed::Finished => panic!("it is not finished"),
        }
    }
    assert_eq!((started.len(), in_progress), (1, 15));
    assert_eq!((started[0].recipients.len(), started[0].tries, started[0].planned_at), (3, 0, t0()));
    assert_eq!(started[0].post.id, id);
    assert!(due(&*store, 59).await.is_empty());
    assert_eq!(store.next_due_time().await.unwrap(), Some(t0() + seconds(60)));
}

pub async fn a_lease_that_ended_is_taken_over(factory: &dyn Factory) {
    let store = factory.open().await;
    let id = planned(&*store, "SG12", &[2]).await;
    let first = claim(&*store, key(id, 0), 0).await;
    store.record_outcomes(key(id, 0), first.holder, vec![outcome(0, Sent)]).await.unwrap();
    assert!(matches!(store.claim_batch(key(id, 0), t0() + seconds(59), LEASE).await.unwrap(), Claimed::InProgress));
    assert_eq!(due(&*store, 60).await, [key(id, 0)]);
    let second = claim(&*store, key(id, 0), 60).await;
    assert_ne!(first.holder, second.holder);
    assert_eq!((second.tries, second.recipients[0].state, second.recipients[1].state), (1, Sent, Planned));
    // The first cannot give back what is not his any more.
    store.settle_batch(key(id, 0), first.holder, t0()).await.unwrap();
    assert!(matches!(store.claim_batch(key(id, 0), t0() + seconds(61), LEASE).await.unwrap(), Claimed::InProgress));
}

pub async fn the_answer_of_an_ended_holder_is_noted(factory: &dyn Factory) {
    let store = factory.open().await;
    let id = planned(&*store, "SG12", &[3]).await;
    let first = claim(&*store, key(id, 0), 0).await;
    let second = claim(&*store, key(id, 0), 60).await;
    store.record_outcomes(key(id, 0), second.holder, vec![outcome(0, Sent), outcome(1, Failed)]).await.unwrap();
    store.record_outcomes(key(id, 0), first.holder, vec![outcome(0, Deferred), outcome(1, Sent), outcome(2, Sent)]).await.unwrap();
    let found = store.batch(key(id, 0)).await.unwrap();
    let states: Vec<_> = found.iter().map(|recipient| recipient.state).collect();
    assert_eq!(states, [Sent, Sent, Sent], "a copy that went out is never untold");
    assert_eq!(found[0].attempts.len(), 2);
    store.settle_batch(key(id, 0), second.holder, t0()).await.unwrap();
    assert_eq!(state(&*store, id).await, PostState::Done);
    store.record_outcomes(key(id, 0), first.holder, vec![outcome(0, Failed)]).await.unwrap();
    let late = store.recipient(LedgerKey { batch: key(id, 0), index: 0 }).await.unwrap().unwrap();
    assert_eq!((late.state, late.attempts.len()), (Sent, 3));
    assert_eq!(store.counts(id).await.unwrap(), counts(0, 3, 0, 0, 0, 0));
}

pub async fn outcomes_are_counted_and_settled(factory: &dyn Factory) {
    let store = factory.open().await;
    let id = planned(&*store, "SG12", &[5, 2]).await;
    let mine = claim(&*store, key(id, 0), 0).await;
    for some in [vec![outcome(0, Sent), outcome(3, Deferred)], vec![outcome(1, Failed)], vec![outcome(2, Sent)]] {
        store.record_outcomes(key(id, 0), mine.holder, some).await.unwrap();
    }
    let expected = counts(3, 2, 1, 1, 0, 0);
    assert_eq!(store.counts(id).await.unwrap(), expected);
    assert_eq!(store.total_counts().await.unwrap(), expected);
    store.settle_batch(key(id, 0), mine.holder, t0() + seconds(300)).await.unwrap();
    assert_eq!(store.counts(id).await.unwrap(), expected);
    let found = store.recipient(LedgerKey { batch: key(id, 0), index: 3 }).await.unwrap().unwrap();
    assert_eq!(
        (found.state, found.attempts[0].at, found.attempts[0].reply.as_str()),
        (Deferred, t0() + seconds(5), "250 2.0.0 3 deferred")
    );
    assert_eq!(store.recipient(LedgerKey { batch: key(id, 0), index: 5 }).await.unwrap(), None);
}

pub async fn deferred_recipients_come_back_at_their_time(factory: &dyn Factory) {
    let store = factory.open().await;
    let id = planned(&*store, "SG12", &[2]).await;
    let mine = claim(&*store, key(id, 0), 0).await;
    store.record_outcomes(key(id, 0), mine.holder, vec![outcome(0, Sent), outcome(1, Deferred)]).await.unwrap();
    store.settle_batch(key(id, 0), mine.holder, t0() + seconds(300)).await.unwrap();
    assert!(due(&*store, 299).await.is_empty());
    assert!(matches!(store.claim_batch(key(id, 0), t0() + seconds(299), LEASE).await.unwrap(), Claimed::InProgress));
    assert_eq!(store.next_due_time().await.unwrap(), Some(t0() + seconds(300)));
    drop(store);
    let store = factory.open().await;
    let again = store.due_batches(t0() + seconds(300), 9).await.unwrap();
    assert_eq!((again[0].key, again[0].open, again[0].due), (key(id, 0), 1, t0() + seconds(300)));
    let mine = claim(&*store, key(id, 0), 300).await;
    assert_eq!((mine.tries, mine.planned_at), (1, t0()));
    assert_eq!((mine.recipients[1].state, mine.recipients[1].attempts.len()), (Deferred, 1));
}

pub async fn the_last_batch_makes_the_post_done(factory: &dyn Factory) {
    let store = factory.open().await;
    let id = planned(&*store, "SG12", &[1, 1]).await;
    for number in [1, 0] {
        assert_eq!(state(&*store, id).await, PostState::Planned);
        let mine = claim(&*store, key(id, number), 0).await;
        store.record_outcomes(key(id, number), mine.holder, vec![outcome(0, Sent)]).await.unwrap();
        let mut bell = store.bell();
        bell.mark_unchanged();
        store.settle_batch(key(id, number), mine.holder, t0()).await.unwrap();
        assert!(bell.has_changed().unwrap());
        assert!(matches!(store.claim_batch(key(id, number), t0(), LEASE).await.unwrap(), Claimed::Finished));
    }
    assert_eq!(state(&*store, id).await, PostState::Done);
    assert!(store.open_posts(9).await.unwrap().is_empty());
    assert_eq!(store.next_due_time().await.unwrap(), None);
}

pub async fn the_first_and_the_latest_attempts_are_kept(factory: &dyn Factory) {
    let store = factory.open().await;
    let id = planned(&*store, "SG12", &[1]).await;
    for at in 0..30 {
        let mine = claim(&*store, key(id, 0), at * 10).await;
        let mut outcome = outcome(0, Deferred);
        outcome.at = t0() + seconds(at);
        outcome.reply = "é".repeat(400);
        store.record_outcomes(key(id, 0), mine.holder, vec![outcome]).await.unwrap();
        store.settle_batch(key(id, 0), mine.holder, t0() + seconds(at * 10 + 10)).await.unwrap();
    }
    let found = store.recipient(LedgerKey { batch: key(id, 0), index: 0 }).await.unwrap().unwrap();
    assert_eq!(found.attempts.len(), ATTEMPTS_KEPT);
    assert_eq!((found.attempts[0].at, found.attempts[1].at), (t0(), t0() + seconds(11)));
    assert_eq!(found.attempts.last().unwrap().at, t0() + seconds(29));
    assert_eq!(found.attempts[0].reply.len(), 512);
}

pub async fn a_bounce_amends_a_finished_recipient(factory: &dyn Factory) {
    let store = factory.open().await;
    let id = planned(&*store, "SG12", &[2, 1]).await;
    let mine = claim(&*store, key(id, 0), 0).await;
    store.record_outcomes(key(id, 0), mine.holder, vec![outcome(0, Sent), outcome(1, Sent)]).await.unwrap();
    let place = |index| LedgerKey { batch: key(id, 0), index };
    // One while the batch is in hand, one after it was settled.
    assert!(store.amend_recipient(place(0), Bounced, t0(), "550 no such user".into()).await.unwrap());
    store.settle_batch(key(id, 0), mine.holder, t0()).await.unwrap();
    assert!(store.amend_recipient(place(1), Bounced, t0(), "552 full".into()).await.unwrap());
    assert!(!store.amend_recipient(place(2), Bounced, t0(), String::new()).await.unwrap());
    assert!(!store.amend_recipient(LedgerKey { batch: key(id, 7), index: 0 }, Bounced, t0(), String::new()).await.unwrap());
    assert!(store.amend_recipient(place(1), Deferred, t0(), String::new()).await.is_err());
    drop(store);
    for _ in 0..2 {
        let store = factory.open().await;
        assert_eq!(store.counts(id).await.unwrap(), counts(1, 0, 0, 0, 2, 0));
        assert_eq!(store.total_counts().await.unwrap(), counts(1, 0, 0, 0, 2, 0));
        let found = store.batch(key(id, 0)).await.unwrap();
        assert_eq!(found[1].attempts.iter().map(|attempt| attempt.state).collect::<Vec<_>>(), [Sent, Bounced]);
        assert_eq!(found[1].attempts[1].reply, "552 full");
    }
}

pub async fn a_dropped_post_has_nobody_open(factory: &dyn Factory) {
    let store = factory.open().await;
    let id = planned(&*store, "SG12", &[2, 3]).await;
    let mine = claim(&*store, key(id, 0), 0).await;
    store.record_outcomes(key(id, 0), mine.holder, vec![outcome(0, Sent)]).await.unwrap();
    assert_eq!(store.drop_open(id, t0(), "dropped by the operator".into()).await.unwrap(), 4);
    assert_eq!(store.counts(id).await.unwrap(), counts(0, 1, 0, 0, 0, 4));
    assert_eq!(state(&*store, id).await, PostState::Done);
    assert!(due(&*store, 999).await.is_empty());
    // The copy that was under way went out all the same, and that is told.
    store.record_outcomes(key(id, 0), mine.holder, vec![outcome(1, Sent)]).await.unwrap();
    store.settle_batch(key(id, 0), mine.holder, t0()).await.unwrap();
    assert_eq!(store.counts(id).await.unwrap(), counts(0, 2, 0, 0, 0, 3));
    let found = store.recipient(LedgerKey { batch: key(id, 1), index: 0 }).await.unwrap().unwrap();
    assert_eq!(found.attempts[0].reply, "dropped by the operator");
    assert_eq!(store.drop_open(id, t0(), String::new()).await.unwrap(), 0);
}

pub async fn hastening_makes_waiting_batches_due(factory: &dyn Factory) {
    let store = factory.open().await;
    let first = planned(&*store, "SG12", &[1, 1]).await;
    let second = planned(&*store, "SG12", &[1]).await;
    for (id, number) in [(first, 0), (first, 1), (second, 0)] {
        let mine = claim(&*store, key(id, number), 0).await;
        store.record_outcomes(key(id, number), mine.holder, vec![outcome(0, Deferred)]).await.unwrap();
        store.settle_batch(key(id, number), mine.holder, t0() + seconds(3600)).await.unwrap();
    }
    assert_eq!(store.hasten(Some(first), t0() + seconds(10)).await.unwrap(), 2);
    assert_eq!(due(&*store, 10).await, [key(first, 0), key(first, 1)]);
    assert_eq!(store.hasten(None, t0() + seconds(20)).await.unwrap(), 1);
    drop(store);
    let store = factory.open().await;
    assert_eq!(due(&*store, 20).await.len(), 3);
    assert_eq!(store.counts(first).await.unwrap(), counts(0, 0, 2, 0, 0, 0));
}

pub async fn a_withdrawn_post_is_not_claimed(factory: &dyn Factory) {
    let store = factory.open().await;
    let id = planned(&*store, "SG12", &[2]).await;
    let mut post = store.post(id).await.unwrap().unwrap();
    post.state = PostState::Withdrawn(t0());
    store.update_post(post.clone()).await.unwrap();
    assert!(due(&*store, 9).await.is_empty());
    assert!(matches!(store.claim_batch(key(id, 0), t0(), LEASE).await.unwrap(), Claimed::Finished));
    drop(store);
    let store = factory.open().await;
    assert!(due(&*store, 9).await.is_empty());
    assert_eq!(store.drop_open(id, t0(), "withdrawn".into()).await.unwrap(), 2);
    assert_eq!(state(&*store, id).await, PostState::Withdrawn(t0()));
    // Withdrawn while it is planned: the plan comes to nothing.
    let other = keep(&*store, "SG12").await;
    store.begin_plan(other).await.unwrap();
    store.add_batch(key(other, 0), vec![recipient(1, Planned)]).await.unwrap();
    let mut post = store.post(other).await.unwrap().unwrap();
    post.state = PostState::Withdrawn(t0());
    store.update_post(post).await.unwrap();
    store.finish_plan(other, 1, t0()).await.unwrap();
    assert_eq!(state(&*store, other).await, PostState::Withdrawn(t0()));
    assert!(due(&*store, 9).await.is_empty());
    assert_eq!(store.counts(other).await.unwrap(), Counts::default());
}

pub async fn due_batches_come_longest_due_first(factory: &dyn Factory) {
    let store = factory.open().await;
    let id = planned(&*store, "SG12RG-AMR", &[1, 1, 1]).await;
    for (number, next) in [(0, 30), (1, 10), (2, 20)] {
        let mine = claim(&*store, key(id, number), 0).await;
        store.record_outcomes(key(id, number), mine.holder, vec![outcome(0, Deferred)]).await.unwrap();
        store.settle_batch(key(id, number), mine.holder, t0() + seconds(next)).await.unwrap();
    }
    assert_eq!(due(&*store, 60).await, [key(id, 1), key(id, 2), key(id, 0)]);
    assert_eq!(due(&*store, 15).await, [key(id, 1)]);
    let first = &store.due_batches(t0() + seconds(60), 1).await.unwrap()[..];
    assert_eq!(first.len(), 1);
    assert_eq!((first[0].group.as_str(), first[0].octets > 1900, first[0].urgency), ("SG12RG-AMR", true, 2));
}

pub async fn a_batch_noted_and_never_settled_is_finished_at_the_next_claim(factory: &dyn Factory) {
    let store = factory.open().await;
    let id = planned(&*store, "SG12", &[1]).await;
    let mine = claim(&*store, key(id, 0), 0).await;
    store.record_outcomes(key(id, 0), mine.holder, vec![outcome(0, Sent)]).await.unwrap();
    drop(store);
    let store = factory.open().await;
    for batch in due(&*store, 100).await {
        assert!(matches!(store.claim_batch(batch, t0() + seconds(100), LEASE).await.unwrap(), Claimed::Finished));
    }
    assert_eq!(state(&*store, id).await, PostState::Done);
    assert_eq!(store.counts(id).await.unwrap(), counts(0, 1, 0, 0, 0, 0));
}

pub async fn the_ledger_is_there_after_opening_again(factory: &dyn Factory) {
    let store = factory.open().await;
    let id = planned(&*store, "SG12", &[250, 250, 10]).await;
    let done = planned(&*store, "SG12", &[1]).await;
    let mine = claim(&*store, key(done, 0), 0).await;
    store.record_outcomes(key(done, 0), mine.holder, vec![outcome(0, Sent)]).await.unwrap();
    store.settle_batch(key(done, 0), mine.holder, t0()).await.unwrap();
    let mine = claim(&*store, key(id, 1), 0).await;
    store.record_outcomes(key(id, 1), mine.holder, (0..200).map(|index| outcome(index, Sent)).collect()).await.unwrap();
    store.record_outcomes(key(id, 1), mine.holder, vec![outcome(249, Failed)]).await.unwrap();
    let before = store.batch(key(id, 1)).await.unwrap();
    assert_eq!(store.counts(id).await.unwrap(), counts(309, 200, 0, 1, 0, 0));
    drop(store);
    for _ in 0..3 {
        let store = factory.open().await;
        assert_eq!(store.counts(id).await.unwrap(), counts(309, 200, 0, 1, 0, 0));
        assert_eq!(store.total_counts().await.unwrap(), counts(309, 201, 0, 1, 0, 0));
        assert_eq!(store.batch(key(id, 1)).await.unwrap(), before);
        assert_eq!(due(&*store, 0).await, [key(id, 0), key(id, 1), key(id, 2)], "nobody holds anything after a start");
        assert_eq!(store.open_posts(9).await.unwrap().len(), 1);
        assert_eq!(store.batch_count(id).await.unwrap(), 3);
    }
}

pub async fn answers_without_place_are_refused(factory: &dyn Factory) {
    let store = factory.open().await;
    let id = planned(&*store, "SG12", &[2]).await;
    assert!(store.record_outcomes(key(id, 0), 1, vec![outcome(0, Sent), outcome(2, Sent)]).await.is_err());
    assert!(store.record_outcomes(key(id, 1), 1, vec![outcome(0, Sent)]).await.is_err());
    assert_eq!(store.counts(id).await.unwrap(), counts(2, 0, 0, 0, 0, 0));
    store.settle_batch(key(id, 9), 1, t0()).await.unwrap();
}
