//! The store in a PostgreSQL database: any number of equal nodes.
//!
//! Every verb is a transaction or a single statement; nothing is kept in memory but posts in use. Nodes differ only by a
//! number in their data folder (`node`), by which a restarted one takes back the batches it had in hand; everybody
//! else's come free when their lease ends. Leases are judged by the database's clock (plus the shift of `--clock`), so
//! clocks of nodes need not agree. `session` is a connection in use, `ledger` and `outcomes` the way of an answer,
//! `bell` wakes other nodes, `migration` the tables; the other files implement the trait, noun by noun.

mod accounts;
mod batches;
mod bell;
mod bodies;
mod directory;
mod erasure;
mod ledger;
mod marks;
pub mod migration;
mod outcomes;
mod posts;
mod registers;
mod session;
mod transfer;
mod values;

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, PgPool};
use tokio::sync::{Notify, mpsc, watch};
use tokio_util::sync::CancellationToken;

use self::migration::Standing;
use self::outcomes::Order;
use self::session::{CHANGE, Fault, Session, statement, transaction};
use super::bell::Bell;
use super::body::{make_folder, open_file};
use super::lock::take_lock;
use super::{Result, Store, StoreError, Turn, record};
use crate::domain::id::PostId;
use crate::domain::post::Post;

/// Most posts remembered.
const POSTS_REMEMBERED: usize = 256;
/// How long a connection is waited for.
const CONNECT: Duration = Duration::from_secs(8);

/// By whose clock times are judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timing {
    /// The database's, moved by the shift of `--clock`.
    Database(TimeDelta),
    /// The caller's; for tests that pass their own instants.
    Caller,
}

/// How the store is run.
#[derive(Debug, Clone)]
pub struct PostgresOptions {
    /// `postgres://user:password@host/database`.
    pub url: String,
    /// Most connections of this node.
    pub connections: u32,
    /// By whose clock.
    pub timing: Timing,
}

/// The store of one node.
pub struct PostgresStore {
    access: Arc<Access>,
    incoming: PathBuf,
    lock_file: File,
    orders: Mutex<Option<mpsc::UnboundedSender<Order>>>,
    stop: CancellationToken,
}

/// What verbs and background tasks share.
pub(super) struct Access {
    pool: PgPool,
    node: i64,
    timing: Timing,
    /// One log holds all changes in order: a later commit makes earlier ones durable.
    one_log: bool,
    bell: Bell,
    /// The other nodes are to be told.
    rung: Notify,
    /// The latest instant any caller passed, in nanoseconds: counters are dated with it.
    seen: AtomicI64,
    /// Place of the latest answer or entry of this node.
    place: AtomicI64,
    posts: Mutex<HashMap<PostId, (i64, Weak<Post>)>>,
}

impl Access {
    fn see(&self, now: DateTime<Utc>) {
        self.seen.fetch_max(record::nanoseconds(now), Ordering::Relaxed);
    }

    fn seen(&self) -> i64 {
        self.seen.load(Ordering::Relaxed)
    }

    /// Wakes the sleepers of this node at once, and those of the others soon.
    fn ring(&self) {
        self.bell.ring();
        self.rung.notify_one();
    }

    /// The two columns of "now": milliseconds of the caller, or none and the shift of the database's clock.
    fn now(&self, now: DateTime<Utc>) -> (Option<i64>, i64) {
        match self.timing {
            Timing::Caller => (Some(now.timestamp_millis()), 0),
            Timing::Database(shift) => (None, shift.num_milliseconds()),
        }
    }

    /// A place behind all former ones of this node, also of former processes.
    fn next_place(&self) -> i64 {
        let now = record::nanoseconds(Utc::now());
        let before = self.place.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |last| Some(now.max(last + 1)));
        now.max(before.unwrap_or(0) + 1)
    }

    #[allow(clippy::unused_self)]
    fn next_holder(&self) -> Result<i64> {
        let holder = getrandom::u64().map_err(|e| StoreError::Unavailable(format!("no random numbers: {e}")))?;
        Ok(holder.cast_signed() | 1)
    }

    fn cached(&self, id: PostId, version: i64) -> Option<Arc<Post>> {
        let posts = self.posts.lock().unwrap_or_else(PoisonError::into_inner);
        posts.get(&id).filter(|(known, _)| *known == version).and_then(|(_, post)| post.upgrade())
    }

    fn cache(&self, version: i64, post: &Arc<Post>) {
        let mut posts = self.posts.lock().unwrap_or_else(PoisonError::into_inner);
        if posts.len() >= POSTS_REMEMBERED {
            posts.retain(|_, (_, post)| post.strong_count() > 0);
        }
        posts.insert(post.id, (version, Arc::downgrade(post)));
    }
}

/// Connection settings of a URL, without its secrets in any log.
///
/// # Errors
/// If it is not a URL of PostgreSQL.
fn connect_options(url: &str) -> Result<PgConnectOptions> {
    let options = PgConnectOptions::from_str(url)
        .map_err(|e| StoreError::Unavailable(format!("store.url is not like postgres://user:password@host/database: {e}")))?;
    Ok(options.application_name("enlace").disable_statement_logging())
}

/// A pool whose connections end hanging statements by themselves.
///
/// # Errors
/// If the URL is none, or the database cannot be reached.
pub async fn connect(url: &str, connections: u32) -> Result<PgPool> {
    let options = connect_options(url)?;
    let pool = PgPoolOptions::new()
        .max_connections(connections.max(4))
        .acquire_timeout(CONNECT)
        .idle_timeout(Duration::from_mins(5))
        .test_before_acquire(false)
        .before_acquire(|connection, meta| {
            // One that lay idle may be dead since a restart of the database; a busy one tells by itself.
            Box::pin(
                async move { if meta.idle_for > Duration::from_millis(500) { connection.ping().await.map(|()| true) } else { Ok(true) } },
            )
        })
        .after_connect(|connection, _| {
            Box::pin(async move {
                let text =
                    "SET statement_timeout = '60s'; SET idle_in_transaction_session_timeout = '60s'; SET client_min_messages = 'error'";
                connection.execute(text).await.map(|_| ())
            })
        })
        .connect_with(options)
        .await;
    pool.map_err(|error| StoreError::from(Fault::from(error)))
}

/// Empties every table but the list of versions.
pub(super) async fn clear(options: &PostgresOptions) -> Result<()> {
    let pool = Pool { pool: connect(&options.url, 4).await? };
    let cleared = transaction!(pool, CHANGE, |connection| {
        for table in migration::TABLES {
            connection.execute(AssertSqlSafe(format!("DELETE FROM {table}"))).await?;
        }
        connection.execute("INSERT INTO account_counts (name, value) VALUES (0, 0)").await?;
        Ok(())
    });
    pool.pool.close().await;
    Ok(cleared?)
}

fn node_of(root: &Path) -> Result<i64> {
    let path = root.join("node");
    if let Some(node) = std::fs::read_to_string(&path).ok().and_then(|text| u64::from_str_radix(text.trim(), 16).ok()) {
        return Ok(node.cast_signed());
    }
    let node = getrandom::u64().map_err(|e| StoreError::Unavailable(format!("no random numbers: {e}")))? >> 1 | 1;
    let _ = std::fs::remove_file(&path);
    let file = open_file(&path, true)?;
    std::io::Write::write_all(&mut &file, format!("{node:016x}\n").as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(|e| super::body::io_error("writing", &path, &e))?;
    Ok(node.cast_signed())
}

impl PostgresStore {
    /// Opens the store of the node whose data folder is `root`. An empty database gets its tables.
    ///
    /// # Errors
    /// At once if another process has the folder; if the database is away, newer than this program, or to be migrated.
    pub async fn open(root: &Path, options: PostgresOptions) -> Result<Arc<Self>> {
        make_folder(root)?;
        let lock_file = take_lock(root)?;
        let incoming = root.join("incoming");
        make_folder(&incoming)?;
        for entry in std::fs::read_dir(&incoming).into_iter().flatten().flatten() {
            let _ = std::fs::remove_file(entry.path());
        }
        let pool = connect(&options.url, options.connections).await?;
        match migration::standing(&pool).await? {
            Standing::Current => {}
            Standing::Empty => drop(migration::migrate(&pool).await?),
            Standing::Older(version) => {
                let newest = migration::newest();
                let text = format!(
                    "the database is of version {version}, this program needs {newest}; stop all nodes, back up, and run `enlace store migrate`"
                );
                return Err(StoreError::Unavailable(text));
            }
        }
        let access = Arc::new(Access {
            one_log: has_one_log(&pool).await?,
            node: node_of(root)?,
            pool,
            timing: options.timing,
            bell: Bell::default(),
            rung: Notify::new(),
            seen: AtomicI64::new(0),
            place: AtomicI64::new(0),
            posts: Mutex::default(),
        });
        take_back(&access).await?;
        let stop = CancellationToken::new();
        let (sender, orders) = mpsc::unbounded_channel();
        tokio::spawn(outcomes::run(Arc::clone(&access), orders));
        tokio::spawn(bell::tell(Arc::clone(&access), stop.clone()));
        tokio::spawn(bell::hear(Arc::clone(&access), stop.clone()));
        Ok(Arc::new(Self { access, incoming, lock_file, orders: Mutex::new(Some(sender)), stop }))
    }

    fn outcomes(&self) -> Result<mpsc::UnboundedSender<Order>> {
        let orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        orders.clone().ok_or_else(|| StoreError::Unavailable("the store is closed".into()))
    }

    fn end(&self) {
        self.stop.cancel();
        self.orders.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

/// Plain PostgreSQL has one; distributed ones have several.
async fn has_one_log(pool: &PgPool) -> Result<bool> {
    let access = Pool { pool: pool.clone() };
    let (version, citus): (String, i64) = statement!(access, |connection| {
        Ok(sqlx::query_as("SELECT version(), (SELECT count(*) FROM pg_extension WHERE extname = 'citus')").fetch_one(connection).await?)
    })?;
    Ok(version.starts_with("PostgreSQL ") && !version.contains("-YB-") && citus == 0)
}

struct Pool {
    pool: PgPool,
}

/// What a former process of this node had in hand is free again: it is gone, or it would have the folder's lock.
async fn take_back(access: &Access) -> Result<()> {
    let freed = statement!(access, |connection| {
        let query = sqlx::query("UPDATE batches SET holder = 0, ready = due WHERE NOT closed AND holder <> 0 AND node = $1");
        Ok(query.bind(access.node).execute(connection).await?.rows_affected())
    })?;
    if freed > 0 {
        tracing::info!(batches = freed, "Took back batches that were in hand when this node stopped");
    }
    Ok(())
}

impl Drop for PostgresStore {
    fn drop(&mut self) {
        self.end();
        let _ = self.lock_file.unlock();
    }
}

#[async_trait]
impl Store for PostgresStore {
    fn bell(&self) -> watch::Receiver<u64> {
        self.access.bell.listen()
    }

    async fn health(&self) -> Result<()> {
        let standby: bool =
            statement!(self.access, |connection| { Ok(sqlx::query_scalar("SELECT pg_is_in_recovery()").fetch_one(connection).await?) })?;
        if standby {
            return Err(StoreError::Unavailable("the database is a standby and takes no changes; store.url must name the primary".into()));
        }
        Ok(())
    }

    async fn close(&self) -> Result<()> {
        self.end();
        if tokio::time::timeout(CONNECT, self.access.pool.close()).await.is_err() {
            tracing::warn!("the database did not let its connections go in time");
        }
        let _ = self.lock_file.unlock();
        Ok(())
    }

    async fn turn(&self) -> Result<Box<dyn Turn>> {
        // A row that is always there, because not every database of this kind has advisory locks. What is done meanwhile goes over
        // other connections, and may take long.
        let take = async {
            let mut session = Session::begin(&self.access.pool, CHANGE).await?;
            session.connection().execute("SET LOCAL idle_in_transaction_session_timeout = 0").await?;
            let row = "SELECT version FROM schema_versions WHERE version = 0 FOR UPDATE";
            match session.connection().fetch_optional(row).await? {
                Some(_) => Ok(session),
                None => Err(Fault::Store(StoreError::Unavailable("the row of turns is missing; run `enlace store migrate`".into()))),
            }
        };
        Ok(Box::new(RowTurn(take.await?)))
    }
}

/// A transaction that holds the row of turns.
struct RowTurn(Session);

#[async_trait]
impl Turn for RowTurn {
    async fn end(self: Box<Self>) {
        self.0.roll_back().await;
    }
}
