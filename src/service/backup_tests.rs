use std::sync::Arc;

use super::*;
use crate::store::sled::{SledOptions, SledStore};
use crate::store::transfer::Transfer as _;
use crate::store::{BodySource, Posts, Registers};

fn open(folder: &Path) -> Arc<SledStore> {
    SledStore::open(folder, SledOptions { floor_octets: Some(0), ..SledOptions::default() }).unwrap()
}

async fn put(store: &SledStore, key: &str, octets: usize) {
    store.put_body(BodySource::Bytes(vec![b'x'; octets].into())).await.unwrap();
    store.put_entry("r", key, 0, key.as_bytes().to_vec()).await.unwrap();
}

fn at() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_saved_is_restored_also_over_an_earlier_backup() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let store = open(&path("a"));
    put(&store, "one", 700_000).await;
    let full = write(&*store, at(), &path("full.tar"), None, &|_| ()).await.unwrap();
    put(&store, "two", 1000).await;
    let later = write(&*store, at(), &path("later.tar"), Some(&path("full.tar")), &|_| ()).await.unwrap();
    assert!(later.octets < 100_000 && full.octets > 700_000, "{later:?}");
    assert_eq!(later.base, Some(full.id));
    assert!(write(&*store, at(), &path("full.tar"), None, &|_| ()).await.is_err(), "a backup is never written over");
    let target = open(&path("b"));
    let error = restore(&*target, &path("later.tar"), &[], &|_| ()).await.unwrap_err().to_string();
    assert!(error.contains("--base"), "{error}");
    restore(&*target, &path("later.tar"), &[path("full.tar")], &|_| ()).await.unwrap();
    assert_eq!(unfinished(&*target).await.unwrap(), None);
    drop(target);
    let target = open(&path("b"));
    assert_eq!(target.entry("r", "two").await.unwrap(), Some((1, b"two".to_vec())));
    assert_eq!(Inventory::of(&*target, &|_| ()).await.unwrap(), Inventory::of(&*store, &|_| ()).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_damage_of_the_file_is_told_and_nothing_is_restored() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let store = open(&path("a"));
    put(&store, "one", 20_000).await;
    write(&*store, at(), &path("full.tar"), None, &|_| ()).await.unwrap();
    let whole = std::fs::read(path("full.tar")).unwrap();
    let target = open(&path("b"));
    let part = whole.windows(11).position(|bytes| bytes == b"part-000001").unwrap();
    for place in (0..40).map(|n| part + 512 + n * 487) {
        let mut bytes = whole.clone();
        bytes[place] ^= 4;
        std::fs::write(path("bad.tar"), bytes).unwrap();
        let error = restore(&*target, &path("bad.tar"), &[], &|_| ()).await.unwrap_err().to_string();
        assert!(error.contains("bad.tar") && error.contains("checksum"), "{error}");
    }
    for length in [0, 100, 5000, whole.len() / 2, whole.len() - 2000] {
        std::fs::write(path("cut.tar"), &whole[..length]).unwrap();
        assert!(restore(&*target, &path("cut.tar"), &[], &|_| ()).await.is_err(), "{length}");
    }
    assert!(is_empty(&*target).await.unwrap());
    restore(&*target, &path("full.tar"), &[], &|_| ()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_goes_on_where_it_was_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("a"));
    for n in 0..30 {
        put(&store, &format!("k{n}"), 200_000).await;
    }
    let target = open(&folder.path().join("b"));
    // As a copy leaves it that was stopped after its third page.
    let mut snapshot = store.snapshot().await.unwrap();
    let mut place = Place::default();
    for _ in 0..3 {
        store_state(&*target, &place).await.unwrap();
        let (items, next) = snapshot.page(&place).await.unwrap();
        target.import(items).await.unwrap();
        place = next.unwrap();
    }
    assert!(unfinished(&*target).await.unwrap().is_some());
    let report = copy(&*store, &*target, false, &|_| ()).await.unwrap();
    assert!(report.resumed && report.items["bodies"] == 30, "{report:?}");
    assert_eq!(unfinished(&*target).await.unwrap(), None);
    let again = copy(&*store, &*target, false, &|_| ()).await.unwrap_err();
    assert!(again.to_string().contains("not empty"), "{again}");
}
