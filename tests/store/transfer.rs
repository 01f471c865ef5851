//! What goes from one store into another is the same there, in every direction, and works.

use bytes::Bytes;
use enlace::domain::id::{PostId, RequestId};
use enlace::domain::ledger::RecipientState;
use enlace::domain::post::{BodyRef, PostState};
use enlace::store::transfer::{Inventory, Item, Place};
use enlace::store::{AuditEntry, BatchKey, BodySource, Claimed, LedgerKey, Request, Store};

use crate::postgres::PostgresFactory;
use crate::samples::{account, address, code, group, keep, outcome, planned, reason, seconds, subscription, t0};
use crate::sled::{SledFactory, options};
use crate::suite::Factory;
use crate::suite::batches::claim;

struct Filled {
    open: PostId,
    done: PostId,
    large: BodyRef,
}

/// Something of every kind, in every state.
async fn fill(store: &dyn Store) -> Filled {
    store.put_groups(vec![group("SG12"), group("SG12RG-AMR")]).await.unwrap();
    store.put_accounts((0..700).map(|id| account(id, &[&format!("u{id}@example.org")])).collect()).await.unwrap();
    store.put_subscriptions((0..700).map(|id| subscription("SG12RG-AMR", id)).collect()).await.unwrap();
    let open = planned(store, "SG12", &[250, 250, 10]).await;
    let mine = claim(store, BatchKey { post: open, number: 1 }, 0).await;
    store.record_outcomes(mine.key, mine.holder, (0..200).map(|index| outcome(index, RecipientState::Sent)).collect()).await.unwrap();
    store.record_outcomes(mine.key, mine.holder, vec![outcome(249, RecipientState::Deferred)]).await.unwrap();
    let done = planned(store, "SG12RG-AMR", &[2]).await;
    let mine = claim(store, BatchKey { post: done, number: 0 }, 0).await;
    store.record_outcomes(mine.key, mine.holder, vec![outcome(0, RecipientState::Sent), outcome(1, RecipientState::Sent)]).await.unwrap();
    store.settle_batch(mine.key, mine.holder, t0()).await.unwrap();
    let place = LedgerKey { batch: mine.key, index: 1 };
    assert!(store.amend_recipient(place, RecipientState::Bounced, t0(), "550 no such user".into()).await.unwrap());
    let mut held = store.post(keep(store, "SG12").await).await.unwrap().unwrap();
    held.state = PostState::Held(reason());
    store.update_post(held).await.unwrap();
    keep(store, "SG12").await;
    let large = store.put_body(BodySource::Bytes(Bytes::from(vec![7; 900_001]))).await.unwrap();
    store.put_body(BodySource::Bytes(Bytes::new())).await.unwrap();
    // So many that names of places are not in the order of their letters.
    for number in 0..40 {
        store.put_body(BodySource::Bytes(Bytes::from(vec![number; 300]))).await.unwrap();
    }
    for at in 0..5 {
        store.claim_once("notice", &format!("n{at}"), t0() + seconds(at)).await.unwrap();
        store.count_up("robot", "ana@example.org").await.unwrap();
    }
    store.claim_once("token", &"long".repeat(900), t0()).await.unwrap();
    store.put_setting("secret", vec![9; 32]).await.unwrap();
    store.put_setting("empty", vec![]).await.unwrap();
    store.put_entry("liaison", "a", 0, b"one".to_vec()).await.unwrap();
    store.put_entry("liaison", "a", 1, vec![1; 200_000]).await.unwrap();
    store.put_entry("meeting", "m", 0, vec![]).await.unwrap();
    let request = Request {
        id: RequestId(4),
        verb: "subscribe".into(),
        group: code("SG12"),
        address: address("ana@example.org"),
        arguments: vec![],
        at: t0(),
        expires: t0() + seconds(9),
    };
    store.put_request(request).await.unwrap();
    for number in 0..6 {
        let (actor, act) = ("command line".into(), "member add".into());
        let group = (number % 2 == 0).then(|| code("SG12"));
        store.append_audit(AuditEntry { at: t0(), actor, act, group, detail: format!("{number}") }).await.unwrap();
    }
    Filled { open, done, large }
}

async fn copy(from: &dyn Store, to: &dyn Store, twice: bool) {
    let mut snapshot = from.snapshot().await.unwrap();
    let mut place = Some(Place::default());
    while let Some(at) = place {
        let (items, next) = snapshot.page(&at).await.unwrap();
        if twice {
            // A page that came before a stop comes again after it, also from a later snapshot.
            to.import(items.clone()).await.unwrap();
            let again = from.snapshot().await.unwrap().page(&at).await.unwrap().0;
            assert_eq!(again.len(), items.len());
        }
        to.import(items).await.unwrap();
        place = next;
    }
}

async fn inventory(store: &dyn Store) -> Inventory {
    Inventory::of(store, &|_| ()).await.unwrap()
}

/// The store is whole: what was open can be found and finished.
async fn works(store: &dyn Store, filled: &Filled) {
    assert_eq!(store.body(&filled.large).await.unwrap(), vec![7; 900_001]);
    assert_eq!(store.account_count().await.unwrap(), 700);
    assert_eq!(store.members_of_group(&code("SG12RG-AMR"), None, 1000).await.unwrap().len(), 700);
    let counts = store.counts(filled.open).await.unwrap();
    assert_eq!((counts.planned, counts.sent, counts.deferred), (309, 200, 1));
    let total = store.total_counts().await.unwrap();
    assert_eq!((total.planned, total.sent, total.deferred, total.bounced), (309, 201, 1, 1));
    let bounced = store.recipient(LedgerKey { batch: BatchKey { post: filled.done, number: 0 }, index: 1 }).await.unwrap().unwrap();
    assert_eq!((bounced.state, bounced.attempts.len()), (RecipientState::Bounced, 2));
    assert_eq!(store.held_posts(None, 10).await.unwrap().len(), 1);
    assert!(!store.claim_once("token", &"long".repeat(900), t0()).await.unwrap());
    assert_eq!(store.count_up("robot", "ana@example.org").await.unwrap(), 6);
    assert_eq!(store.entry("liaison", "a").await.unwrap(), Some((2, vec![1; 200_000])));
    assert_eq!(store.audit(Some(&code("SG12")), 9).await.unwrap().len(), 3);
    let waiting = store.posts_to_plan(t0(), 9).await.unwrap();
    assert_eq!(waiting.len(), 1);
    assert!(store.body(&waiting[0].editions[0].body).await.unwrap().starts_with(b"Subject: "));
    for due in store.due_batches(t0() + seconds(100), 9).await.unwrap() {
        let Claimed::Started(claim) = store.claim_batch(due.key, t0() + seconds(100), std::time::Duration::from_mins(1)).await.unwrap()
        else {
            panic!("{due:?} was not given out");
        };
        let open = (0_u16..).zip(&claim.recipients).filter(|(_, one)| !one.state.is_final());
        let outcomes = open.map(|(index, _)| outcome(index, RecipientState::Sent)).collect();
        store.record_outcomes(due.key, claim.holder, outcomes).await.unwrap();
        store.settle_batch(due.key, claim.holder, t0()).await.unwrap();
    }
    assert_eq!(store.post(filled.open).await.unwrap().unwrap().state, PostState::Done);
    assert_eq!(store.total_counts().await.unwrap().open(), 0);
}

async fn from_one_to_the_other_and_back(first: &dyn Factory, second: &dyn Factory, third: &dyn Factory) {
    let store = first.open().await;
    let filled = fill(&*store).await;
    let before = inventory(&*store).await;
    assert_eq!(before.0["accounts"].items, 700);
    assert_eq!(before.0.len(), 14, "every kind: {before:?}");
    let other = second.open().await;
    copy(&*store, &*other, true).await;
    assert_eq!(before.differences(&inventory(&*other).await), Vec::<String>::new());
    drop((store, other));
    let other = second.open().await;
    let back = third.open().await;
    copy(&*other, &*back, false).await;
    assert_eq!(before.differences(&inventory(&*back).await), Vec::<String>::new());
    drop(back);
    works(&*third.open().await, &filled).await;
    works(&*other, &filled).await;
    let after = inventory(&*other).await;
    assert!(before.differences(&after).iter().any(|kind| kind.starts_with("batches")), "the comparison sees what changed");
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_goes_from_the_embedded_store_to_the_database_and_back() {
    from_one_to_the_other_and_back(&SledFactory::new(options()), &PostgresFactory::new(), &SledFactory::new(options())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_goes_from_the_database_to_the_embedded_store_and_back() {
    from_one_to_the_other_and_back(&PostgresFactory::new(), &SledFactory::new(options()), &PostgresFactory::new()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_goes_from_folder_to_folder() {
    from_one_to_the_other_and_back(&SledFactory::new(options()), &SledFactory::new(options()), &SledFactory::new(options())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_shows_one_instant_while_work_goes_on() {
    for factory in [Box::new(SledFactory::new(options())) as Box<dyn Factory>, Box::new(PostgresFactory::new())] {
        let store = factory.open().await;
        fill(&*store).await;
        let before = inventory(&*store).await;
        let mut snapshot = store.snapshot().await.unwrap();
        let mut seen = Inventory::default();
        let mut place = Some(Place::default());
        while let Some(at) = place {
            keep(&*store, "SG12").await;
            store.count_up("robot", "ana@example.org").await.unwrap();
            let (items, next) = snapshot.page(&at).await.unwrap();
            // Bodies are never changed; one more is no difference.
            items.iter().filter(|item| !matches!(item, Item::Body { .. })).for_each(|item| seen.count(item).unwrap());
            place = next;
        }
        let differences = before.differences(&seen);
        assert!(differences.iter().all(|kind| kind.starts_with("bodies")), "{differences:?}");
    }
}
