//! Posts and bodies.

use bytes::Bytes;
use enlace::domain::ledger::RecipientState;
use enlace::domain::post::{Audience, BodyRef, PostState};
use enlace::store::{BodySource, Kept};

use super::Factory;
use crate::samples::{code, keep, post, post_id, reason, recipient, seconds, t0};

pub async fn a_body_comes_back_byte_for_byte(factory: &dyn Factory) {
    let store = factory.open().await;
    let mut bodies = Vec::new();
    for octets in [0_usize, 1, 1000, 65_536, 65_537, 3_000_000] {
        let bytes = Bytes::from((0..octets).map(|i| u8::try_from(i * 7 % 253).unwrap()).collect::<Vec<_>>());
        let body = store.put_body(BodySource::Bytes(bytes.clone())).await.unwrap();
        assert_eq!(body.octets, octets as u64);
        assert_eq!(store.body(&body).await.unwrap(), bytes);
        bodies.push((body, bytes));
    }
    keep(&*store, "SG12").await;
    drop(store);
    let store = factory.open().await;
    for (body, bytes) in bodies {
        assert_eq!(store.body(&body).await.unwrap(), bytes);
    }
}

pub async fn a_file_in_incoming_is_taken_over(factory: &dyn Factory) {
    let store = factory.open().await;
    for octets in [10, 200_000] {
        let path = store.incoming().join("listener-1");
        std::fs::write(&path, vec![b'x'; octets]).unwrap();
        let body = store.put_body(BodySource::File(path.clone())).await.unwrap();
        assert!(!path.exists());
        assert_eq!(store.body(&body).await.unwrap(), vec![b'x'; octets]);
    }
}

pub async fn a_repeated_post_is_recognised_and_nothing_is_written(factory: &dyn Factory) {
    let store = factory.open().await;
    let first = post(&*store, post_id(), "SG12").await;
    let keys = vec!["SG12 m1".to_owned(), "SG15 m1".to_owned()];
    assert!(matches!(store.keep_post(first.clone(), keys).await.unwrap(), Kept::New(id) if id.get() == first.id));
    let second = post(&*store, post_id(), "SG12").await;
    let keys = vec!["SG15 m1".to_owned(), "SG20 m1".to_owned()];
    assert!(matches!(store.keep_post(second.clone(), keys).await.unwrap(), Kept::Repeated(id) if id.get() == first.id));
    assert_eq!(store.post(second.id).await.unwrap(), None);
    assert_eq!(store.post(first.id).await.unwrap(), Some(first));
    let third = post(&*store, post_id(), "SG12").await;
    // The key that came with the repeated one was not remembered.
    assert!(matches!(store.keep_post(third, vec!["SG20 m1".to_owned()]).await.unwrap(), Kept::New(_)));
}

pub async fn of_many_callers_with_one_repetition_key_one_is_first(factory: &dyn Factory) {
    let store = factory.open().await;
    let mut callers = Vec::new();
    for _ in 0..40 {
        let store = store.clone();
        callers.push(tokio::spawn(async move {
            let post = post(&*store, post_id(), "SG12").await;
            store.keep_post(post, vec!["SG12 same".into()]).await.unwrap()
        }));
    }
    let mut new = Vec::new();
    let mut repeated = Vec::new();
    for caller in callers {
        match caller.await.unwrap() {
            Kept::New(id) => new.push(id),
            Kept::Repeated(id) => repeated.push(id),
        }
    }
    assert_eq!((new.len(), repeated.len()), (1, 39));
    assert!(repeated.iter().all(|id| *id == new[0]));
    assert_eq!(store.posts_of_group(&code("SG12"), None, 100).await.unwrap().len(), 1);
}

pub async fn posts_are_planned_when_their_time_has_come(factory: &dyn Factory) {
    let store = factory.open().await;
    let mut later = post(&*store, post_id(), "SG12").await;
    later.not_before = t0() + seconds(600);
    store.keep_post(later.clone(), vec![]).await.unwrap();
    assert_eq!(store.next_plan_time().await.unwrap(), Some(t0() + seconds(600)));
    let now = keep(&*store, "SG12").await;
    let ids = async |at| store.posts_to_plan(t0() + seconds(at), 10).await.unwrap().into_iter().map(|post| post.id).collect::<Vec<_>>();
    assert_eq!(ids(0).await, [now]);
    assert_eq!(ids(599).await, [now]);
    assert_eq!(ids(600).await, [now, later.id]);
    assert_eq!(store.posts_to_plan(t0() + seconds(600), 1).await.unwrap().len(), 1);
    let mut withdrawn = store.post(now).await.unwrap().unwrap();
    withdrawn.state = PostState::Withdrawn(t0());
    store.update_post(withdrawn).await.unwrap();
    drop(store);
    let store = factory.open().await;
    let found = store.posts_to_plan(t0() + seconds(700), 10).await.unwrap();
    assert_eq!(found, [later.clone()]);
    assert_eq!(store.next_plan_time().await.unwrap(), Some(later.not_before));
}

pub async fn held_posts_leave_the_list_when_they_are_decided(factory: &dyn Factory) {
    let store = factory.open().await;
    let mut held = Vec::new();
    for state in [PostState::Held(reason()), PostState::AwaitsAuthor(reason()), PostState::Held(reason())] {
        let mut post = post(&*store, post_id(), "SG12").await;
        post.state = state;
        store.keep_post(post.clone(), vec![]).await.unwrap();
        held.push(post);
    }
    keep(&*store, "SG12").await;
    assert_eq!(store.held_posts(None, 10).await.unwrap(), held);
    assert_eq!(store.held_posts(None, 2).await.unwrap(), held[..2], "no more than asked for");
    assert_eq!(store.held_posts(Some(held[1].id), 2).await.unwrap(), held[2..], "behind the mark");
    assert!(store.held_posts(Some(held[2].id), 2).await.unwrap().is_empty());
    let mut released = held.remove(1);
    released.state = PostState::Accepted;
    store.update_post(released.clone()).await.unwrap();
    assert_eq!(store.held_posts(None, 10).await.unwrap(), held);
    assert!(store.posts_to_plan(t0(), 10).await.unwrap().contains(&released));
}

pub async fn posts_of_a_group_come_newest_first_in_pages(factory: &dyn Factory) {
    let store = factory.open().await;
    let mut ids = Vec::new();
    for at in 0..12 {
        ids.push(keep(&*store, if at % 4 == 3 { "SG12RG-AMR" } else { "SG12" }).await);
    }
    let (mut seen, mut before) = (Vec::new(), None);
    loop {
        let page = store.posts_of_group(&code("SG12"), before, 4).await.unwrap();
        let Some(last) = page.last() else { break };
        before = Some(last.id);
        seen.extend(page.iter().map(|post| post.id));
    }
    let expected: Vec<_> = ids.iter().enumerate().filter(|(at, _)| at % 4 != 3).map(|(_, id)| *id).rev().collect();
    assert_eq!(seen, expected);
}

pub async fn a_message_id_finds_all_its_posts_oldest_first(factory: &dyn Factory) {
    let store = factory.open().await;
    let mut ids = Vec::new();
    for message_id in ["a@example.org", "a@example.org", "a@example.organic"] {
        let mut post = post(&*store, post_id(), "SG12").await;
        post.message_id = message_id.into();
        ids.push(post.id);
        store.keep_post(post, vec![]).await.unwrap();
    }
    let found: Vec<_> = store.posts_by_message_id("a@example.org").await.unwrap().iter().map(|post| post.id).collect();
    assert_eq!(found, ids[..2]);
    assert!(store.posts_by_message_id("a@example.or").await.unwrap().is_empty());
}

pub async fn a_post_whose_body_is_not_there_is_refused(factory: &dyn Factory) {
    let store = factory.open().await;
    let mut post = post(&*store, post_id(), "SG12").await;
    let body = &post.editions[0].body;
    post.editions[0].body = BodyRef { key: body.key.clone(), octets: body.octets + 1 };
    assert!(store.keep_post(post.clone(), vec!["k".into()]).await.is_err());
    assert_eq!(store.post(post.id).await.unwrap(), None);
    assert!(store.posts_to_plan(t0(), 10).await.unwrap().is_empty());
}

pub async fn a_post_with_a_long_audience_comes_back_whole(factory: &dyn Factory) {
    let store = factory.open().await;
    let mut post = post(&*store, post_id(), "SG12").await;
    post.audience = Audience::Listed((0..5000).map(|number| recipient(number, RecipientState::Planned)).collect());
    store.keep_post(post.clone(), vec![]).await.unwrap();
    assert_eq!(store.post(post.id).await.unwrap(), Some(post.clone()));
    drop(store);
    assert_eq!(factory.open().await.posts_to_plan(t0(), 1).await.unwrap(), [post]);
}

pub async fn keeping_a_post_rings_the_bell(factory: &dyn Factory) {
    let store = factory.open().await;
    let mut bell = store.bell();
    bell.mark_unchanged();
    let id = keep(&*store, "SG12").await;
    tokio::time::timeout(std::time::Duration::from_secs(5), bell.changed()).await.unwrap().unwrap();
    bell.mark_unchanged();
    store.update_post(store.post(id).await.unwrap().unwrap()).await.unwrap();
    tokio::time::timeout(std::time::Duration::from_secs(5), bell.changed()).await.unwrap().unwrap();
}
