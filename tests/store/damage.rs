//! A damaged store says so, names the file and the remedy, and never starts silently with less than was acknowledged.

use std::fs;

use enlace::store::StoreError;

use crate::samples::{code, keep, post_id};
use crate::sled::{SledFactory, open, options};
use crate::suite::Factory;

#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_is_refused_at_once_and_named() {
    let factory = SledFactory::new(options());
    let store = factory.open().await;
    let started = std::time::Instant::now();
    let error = open(factory.path(), options()).err().unwrap().to_string();
    assert!(started.elapsed().as_secs_f64() < 1.0);
    assert!(error.contains(factory.path().to_str().unwrap()) && error.contains("in use"), "{error}");
    keep(&*store, "SG12").await;
    drop(store);
    factory.open().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p20_flipped_bits_never_start_silently_with_less_and_no_wrong_copy_is_read() {
    let factory = SledFactory::new(options());
    let mut kept = Vec::new();
    let store = factory.open().await;
    for _ in 0..40 {
        let id = keep(&*store, "SG12").await;
        let post = store.post(id).await.unwrap().unwrap();
        kept.push((id, store.body(&post.editions[0].body).await.unwrap()));
    }
    drop(store);
    let copy = tempfile::tempdir().unwrap();
    for turn in 0..100_usize {
        let root = copy.path().join(format!("turn{turn}"));
        copy_folder(factory.path(), &root);
        let mut files = files(&root);
        // Every second flip is in a body, where nothing but its checksum shows it.
        if turn % 2 == 1 {
            files.retain(|file| file.parent().unwrap().ends_with("bodies"));
        }
        let file = &files[turn / 2 % files.len()];
        let mut bytes = fs::read(file).unwrap();
        let place = turn * 7919 * 31 % (bytes.len() * 8);
        bytes[place / 8] ^= 1 << (place % 8);
        fs::write(file, &bytes).unwrap();
        match open(&root, options()) {
            Err(StoreError::Damaged(text)) => assert!(text.contains("restore"), "{text}"),
            // A form that nobody knows is refused as such.
            Err(other) => assert!(["sled", "ledger", " of form "].iter().any(|word| other.to_string().contains(word)), "{other}"),
            Ok(store) => {
                for (id, body) in &kept {
                    match store.post(*id).await {
                        Ok(Some(post)) => match store.body(&post.editions[0].body).await {
                            Ok(bytes) => assert_eq!(bytes, *body, "wrong bytes after a flip in {}", file.display()),
                            Err(e) => assert!(matches!(e, StoreError::Damaged(_)), "{e}"),
                        },
                        Ok(None) => panic!("a post is gone without a word after a flip in {}", file.display()),
                        Err(e) => assert!(matches!(e, StoreError::Damaged(_)), "{e}"),
                    }
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_or_missing_file_is_told() {
    for what in ["sled/db", "ledger", "sled"] {
        let factory = SledFactory::new(options());
        let store = factory.open().await;
        keep(&*store, "SG12").await;
        drop(store);
        let path = factory.path().join(what);
        if path.is_dir() {
            fs::remove_dir_all(&path).unwrap();
        } else {
            fs::write(&path, b"").unwrap();
        }
        let error = open(factory.path(), options()).err().unwrap();
        assert!(error.to_string().contains(factory.path().to_str().unwrap()), "{what}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_torn_snapshot_is_set_aside() {
    let factory = SledFactory::new(options());
    let store = factory.open().await;
    let id = keep(&*store, "SG12").await;
    drop(store);
    fs::write(factory.path().join("sled/snap.0000000000000001.generating"), b"torn").unwrap();
    drop(factory.open().await);
    for entry in fs::read_dir(factory.path().join("sled")).unwrap().flatten() {
        if entry.file_name().to_string_lossy().starts_with("snap.") {
            let bytes = fs::read(entry.path()).unwrap();
            fs::write(entry.path(), &bytes[..bytes.len() / 2]).unwrap();
        }
    }
    let store = factory.open().await;
    assert!(store.post(id).await.unwrap().is_some());
    assert_eq!(store.posts_of_group(&code("SG12"), Some(post_id()), 9).await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_service_may_read_its_files() {
    use std::os::unix::fs::PermissionsExt;
    let factory = SledFactory::new(options());
    let store = factory.open().await;
    keep(&*store, "SG12").await;
    for name in ["sled", "ledger", "bodies", "incoming"] {
        assert_eq!(fs::metadata(factory.path().join(name)).unwrap().permissions().mode() & 0o777, 0o700, "{name}");
    }
    for name in ["ledger/mark", "bodies/seg-000001", "store.lock", "sled/db"] {
        assert_eq!(fs::metadata(factory.path().join(name)).unwrap().permissions().mode() & 0o777, 0o600, "{name}");
    }
}

fn copy_folder(from: &std::path::Path, to: &std::path::Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() { copy_folder(&entry.path(), &target) } else { fs::copy(entry.path(), target).map(|_| ()).unwrap() }
    }
}

/// Files that hold something, apart from the ballast.
fn files(root: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root).unwrap().flatten() {
        if entry.path().is_dir() {
            found.extend(files(&entry.path()));
        } else if entry.metadata().unwrap().len() > 0 && entry.file_name() != "ballast" {
            found.push(entry.path());
        }
    }
    found.sort();
    found
}
