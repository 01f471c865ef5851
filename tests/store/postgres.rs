//! The suite on PostgreSQL: a real server, one database a test.

use std::sync::Arc;

use async_trait::async_trait;
use enlace::store::Store;
use enlace::store::postgres::{PostgresOptions, PostgresStore, Timing};

use crate::database::Cluster;
use crate::suite::Factory;

/// A database of its own, and the data folder of one node.
pub struct PostgresFactory {
    folder: tempfile::TempDir,
    url: String,
}

impl PostgresFactory {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), url: Cluster::shared().database() }
    }

    pub fn options(&self) -> PostgresOptions {
        PostgresOptions { url: self.url.clone(), connections: 8, timing: Timing::Caller }
    }
}

#[async_trait]
impl Factory for PostgresFactory {
    async fn open(&self) -> Arc<dyn Store> {
        PostgresStore::open(self.folder.path(), self.options()).await.unwrap()
    }

    fn fresh(&self) -> Box<dyn Factory> {
        Box::new(Self::new())
    }
}

mod plain {
    crate::all_cases!(crate::postgres::PostgresFactory::new());
}
