//! The suite on the embedded store.

use std::sync::Arc;

use async_trait::async_trait;
use enlace::store::Store;
use enlace::store::sled::{SledOptions, SledStore};

use crate::suite::Factory;

/// A folder of its own, gone at the end.
pub struct SledFactory {
    folder: tempfile::TempDir,
    options: SledOptions,
}

impl SledFactory {
    pub fn new(options: SledOptions) -> Self {
        Self { folder: tempfile::tempdir().unwrap(), options }
    }

    pub fn path(&self) -> &std::path::Path {
        self.folder.path()
    }
}

#[async_trait]
impl Factory for SledFactory {
    async fn open(&self) -> Arc<dyn Store> {
        SledStore::open(self.path(), self.options.clone()).unwrap()
    }

    fn fresh(&self) -> Box<dyn Factory> {
        Box::new(Self::new(self.options.clone()))
    }
}

/// Opens a folder.
pub fn open(folder: &std::path::Path, options: SledOptions) -> enlace::store::Result<Arc<dyn Store>> {
    SledStore::open(folder, options).map(|store| store as Arc<dyn Store>)
}

/// Tests share a disk with others: no floor.
pub fn options() -> SledOptions {
    SledOptions { floor_octets: Some(0), ..SledOptions::default() }
}

mod plain {
    crate::all_cases!(crate::sled::SledFactory::new(crate::sled::options()));
}

/// A checkpoint after nearly every commit, so that folding and replaying are in play everywhere.
mod with_small_log {
    crate::all_cases!(crate::sled::SledFactory::new(enlace::store::sled::SledOptions { checkpoint_octets: 600, ..crate::sled::options() }));
}

/// A folder that the release before wrote is brought forward with everything in it; one of a later release is refused.
#[tokio::test(flavor = "multi_thread")]
async fn an_older_folder_is_brought_forward_and_a_newer_one_refused() {
    let factory = SledFactory::new(options());
    let store = factory.open().await;
    let kept = crate::samples::keep(&*store, "SG12").await;
    store.close().await.unwrap();
    drop(store);
    // Before forms were written down there was no such file, and nothing else differed.
    let file = factory.path().join("store.form");
    let form = std::fs::read_to_string(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    let store = factory.open().await;
    assert_eq!(std::fs::read_to_string(&file).unwrap(), form);
    assert!(store.post(kept).await.unwrap().is_some());
    store.close().await.unwrap();
    drop(store);
    std::fs::write(&file, "99\n").unwrap();
    let refused = open(factory.path(), options()).err().unwrap().to_string();
    assert!(refused.contains("form 99") && refused.contains("newer than this program"), "{refused}");
    std::fs::write(&file, form).unwrap();
    assert!(factory.open().await.post(kept).await.unwrap().is_some(), "the refusal touched nothing");
}
