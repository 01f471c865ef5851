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

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_never_have_their_turn_at_once() {
    let factory = PostgresFactory::new();
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (factory.open().await, PostgresStore::open(folder.path(), factory.options()).await.unwrap());
    for lets_go_properly in [true, false] {
        let turn = one.turn().await.unwrap();
        let mut next = Box::pin(other.turn());
        assert!(tokio::time::timeout(std::time::Duration::from_millis(300), &mut next).await.is_err(), "the other one waits");
        if lets_go_properly {
            turn.end().await;
        } else {
            drop(turn);
        }
        next.await.unwrap().end().await;
    }
}

/// What a node answers that is to work on a database which another release wrote.
#[tokio::test(flavor = "multi_thread")]
async fn a_newer_or_altered_database_is_refused_and_an_older_one_brought_forward_once() {
    let factory = PostgresFactory::new();
    let cluster = Cluster::shared();
    let name = factory.url.rsplit('/').next().unwrap().split('?').next().unwrap().to_owned();
    let sql = |text: &str| cluster.query(&name, text);
    let open = async || PostgresStore::open(factory.folder.path(), factory.options()).await.map(drop).map_err(|error| error.to_string());
    open().await.unwrap();
    let newest = enlace::store::postgres::migration::newest();
    let applied = || sql("SELECT max(version) || ' of ' || count(*) FROM schema_versions WHERE version > 0").unwrap();
    assert_eq!(applied().trim(), format!("{newest} of {newest}"));

    // As a later release leaves it.
    sql("INSERT INTO schema_versions VALUES (99, 'later', 'x', now())");
    let refused = open().await.unwrap_err();
    assert!(refused.contains("version 99") && refused.contains("newer than this program"), "{refused}");
    sql("DELETE FROM schema_versions WHERE version = 99");
    open().await.unwrap();

    // As a release with other text in the same step leaves it.
    sql("UPDATE schema_versions SET checksum = 'x' WHERE version = 1");
    let refused = open().await.unwrap_err();
    assert!(refused.contains("other text"), "{refused}");

    // As before the first step: the table of versions alone.
    let older = PostgresFactory::new();
    let name = older.url.rsplit('/').next().unwrap().split('?').next().unwrap().to_owned();
    cluster.query(
        &name,
        "CREATE TABLE schema_versions (version integer PRIMARY KEY, name text NOT NULL, checksum text NOT NULL, applied_at timestamptz NOT NULL)",
    );
    let pool = enlace::store::postgres::connect(&older.url, 4).await.unwrap();
    let steps = enlace::store::postgres::migration::migrate(&pool).await.unwrap();
    assert_eq!(steps.len(), usize::try_from(newest).unwrap());
    assert!(enlace::store::postgres::migration::migrate(&pool).await.unwrap().is_empty());
    pool.close().await;
    PostgresStore::open(older.folder.path(), older.options()).await.unwrap();
}
