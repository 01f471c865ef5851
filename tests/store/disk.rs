//! A disk that is full or broken: what was acknowledged stays, the store says what is wrong, and goes on by itself.
//!
//! Where the tests may mount (root), a tmpfs of 12 MB is really filled; everywhere, the fault switch stands in for ENOSPC
//! and for an fsync that fails.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use bytes::Bytes;
use enlace::domain::ledger::RecipientState;
use enlace::store::sled::SledOptions;
use enlace::store::{BatchKey, BodySource, Store, StoreError};

use crate::samples::{group, keep, outcome, planned, post, post_id, t0};
use crate::sled::{SledFactory, open, options};
use crate::suite::batches::claim;

/// Tries until it works; the store looks at the disk by itself a few times a second.
async fn until_healthy(store: &dyn Store) {
    for _ in 0..200 {
        if store.health().await.is_ok() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("it did not recover in 10 s: {:?}", store.health().await);
}

async fn keeps_everything_through(
    break_it: impl Fn(bool),
    is_expected: impl Fn(&StoreError) -> bool,
    factory: &SledFactory,
    options: SledOptions,
) {
    let store = open(factory.path(), options.clone()).unwrap();
    let id = planned(&*store, "SG12", &[4]).await;
    let key = BatchKey { post: id, number: 0 };
    let mine = claim(&*store, key, 0).await;
    store.record_outcomes(key, mine.holder, vec![outcome(0, RecipientState::Sent)]).await.unwrap();
    for round in 0..3_u16 {
        let before = store.counts(id).await.unwrap();
        break_it(true);
        let error = store.record_outcomes(key, mine.holder, vec![outcome(round + 1, RecipientState::Sent)]).await.unwrap_err();
        assert!(is_expected(&error), "{error}");
        let error = store.put_groups(vec![group("SG12")]).await.unwrap_err();
        assert!(is_expected(&error), "{error}");
        assert!(store.health().await.is_err());
        assert_eq!(store.counts(id).await.unwrap(), before, "what was not acknowledged is not told");
        assert!(store.post(id).await.unwrap().is_some(), "reading goes on");
        break_it(false);
        until_healthy(&*store).await;
        // The claim outlives the mishap, and the answer can be noted now.
        store.record_outcomes(key, mine.holder, vec![outcome(round + 1, RecipientState::Sent)]).await.unwrap();
        keep(&*store, "SG15").await;
    }
    store.settle_batch(key, mine.holder, t0()).await.unwrap();
    for _ in 0..2 {
        assert_eq!(store.counts(id).await.unwrap().sent, 4);
    }
    drop(store);
    let store = open(factory.path(), options).unwrap();
    assert_eq!(store.counts(id).await.unwrap().sent, 4);
    assert_eq!(store.batch(key).await.unwrap()[1].attempts.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_answers_full_and_recovers_by_itself() {
    let options = options();
    let faults = options.faults.clone();
    let factory = SledFactory::new(options.clone());
    keeps_everything_through(|full| faults.fill_disk(full), |error| matches!(error, StoreError::Full(_)), &factory, options).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_fsync_is_never_followed_by_a_positive_answer() {
    let options = options();
    let faults = options.faults.clone();
    let factory = SledFactory::new(options.clone());
    keeps_everything_through(|broken| faults.break_sync(broken), |error| matches!(error, StoreError::Unavailable(_)), &factory, options)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn below_the_floor_no_mail_is_taken_but_answers_are_noted() {
    let factory = SledFactory::new(options());
    let store = open(factory.path(), options()).unwrap();
    let id = planned(&*store, "SG12", &[1]).await;
    drop(store);
    let store = open(factory.path(), SledOptions { floor_octets: Some(u64::MAX / 2), ..options() }).unwrap();
    let error = store.put_body(BodySource::Bytes(Bytes::from_static(b"x"))).await.unwrap_err();
    assert!(matches!(&error, StoreError::Full(text) if text.contains("KiB are free")), "{error}");
    assert!(matches!(store.health().await, Err(StoreError::Full(_))));
    let key = BatchKey { post: id, number: 0 };
    let mine = claim(&*store, key, 0).await;
    store.record_outcomes(key, mine.holder, vec![outcome(0, RecipientState::Sent)]).await.unwrap();
    store.settle_batch(key, mine.holder, t0()).await.unwrap();
}

/// A mounted tmpfs, taken away at the end.
struct Mounted(tempfile::TempDir);

impl Mounted {
    fn new(size: &str) -> Option<Self> {
        let folder = tempfile::tempdir().ok()?;
        let options = format!("size={size}");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "enlace-test"]).arg(folder.path()).output().ok()?;
        mounted.status.success().then_some(Self(folder))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).output();
    }
}

fn fill(folder: &Path) {
    use std::io::Write;
    let mut file = std::fs::File::create(folder.join("filler")).unwrap();
    for chunk in [65_536, 4096, 512] {
        while file.write_all(&vec![0; chunk]).is_ok() {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_really_full_disk_loses_nothing_and_recovers_by_itself() {
    let Some(disk) = Mounted::new("12m") else {
        eprintln!("no right to mount here: only the fault switch was tried");
        return;
    };
    let root = disk.0.path().join("var");
    for options in [SledOptions { checkpoint_octets: 200_000, ..SledOptions::default() }, options()] {
        let store = open(&root, options.clone()).unwrap();
        let mut kept = Vec::new();
        for _ in 0..50 {
            kept.push(keep(&*store, "SG12").await);
        }
        fill(disk.0.path());
        let mut refused = 0;
        for _ in 0..200 {
            let id = post_id();
            let body = store.put_body(BodySource::Bytes(Bytes::from(vec![b'x'; 2000]))).await;
            let answer = match body {
                Ok(body) => {
                    let mut post = post_of(&*store, kept[0]).await;
                    post.id = id;
                    post.editions[0].body = body;
                    store.keep_post(post, vec![id.to_string()]).await.map(|_| ())
                }
                Err(e) => Err(e),
            };
            match answer {
                Ok(()) => kept.push(id),
                Err(StoreError::Full(_)) => refused += 1,
                Err(other) => panic!("{other}"),
            }
        }
        assert!(refused > 100, "only {refused} were refused on a full disk");
        for id in &kept {
            assert!(store.post(*id).await.unwrap().is_some(), "reading goes on");
        }
        drop(store);
        // A restart on the full disk either works or says in words what is wrong.
        match open(&root, options.clone()) {
            Ok(store) => assert!(options.floor_octets == Some(0) || matches!(store.health().await, Err(StoreError::Full(_)))),
            Err(StoreError::Full(text)) => assert!(text.contains(root.to_str().unwrap()), "{text}"),
            Err(other) => panic!("{other}"),
        }
        let store = open(&root, options.clone());
        std::fs::remove_file(disk.0.path().join("filler")).unwrap();
        let store = store.unwrap_or_else(|_| open(&root, options).unwrap());
        until_healthy(&*store).await;
        kept.push(keep(&*store, "SG12").await);
        for id in &kept {
            let post = store.post(*id).await.unwrap().expect("an acknowledged post is lost");
            assert_eq!(store.body(&post.editions[0].body).await.unwrap().len() as u64, post.octets());
        }
    }
}

async fn post_of(store: &dyn Store, id: enlace::domain::id::PostId) -> enlace::domain::post::Post {
    store.post(id).await.unwrap().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_put_before_a_failed_sync_is_not_taken_for_durable() {
    let options = options();
    let factory = SledFactory::new(options.clone());
    let store = open(factory.path(), options.clone()).unwrap();
    let post = post(&*store, post_id(), "SG12").await;
    options.faults.break_sync(true);
    assert!(store.put_groups(vec![group("SG12")]).await.is_err());
    options.faults.break_sync(false);
    until_healthy(&*store).await;
    // Either the bytes are there and whole, or the post is refused; never a post without its body.
    match store.keep_post(post.clone(), vec![]).await {
        Ok(_) => assert_eq!(store.body(&post.editions[0].body).await.unwrap().len() as u64, post.octets()),
        Err(e) => assert!(e.to_string().contains("put them again"), "{e}"),
    }
}
