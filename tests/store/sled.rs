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
