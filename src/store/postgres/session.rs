//! A connection in use: a transaction that ends whole or not at all, whatever becomes of the task that began it.
//!
//! The surprise: a future that is dropped between `BEGIN` and `COMMIT` would give its connection back to the pool with
//! the transaction open (transact-rs/sqlx#4385). A [`Session`] that was not ended closes its connection instead; the
//! server then takes the transaction back. Conflicts between nodes (SQLSTATE class 40) are tried again from the start.

use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::{Executor, PgConnection, PgPool, Postgres};

use crate::domain::id::PostId;
use crate::store::{StoreError, record};

/// An ordinary transaction.
pub(super) const CHANGE: &str = "BEGIN";
/// Several reads of one instant.
pub(super) const SNAPSHOT: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
/// Longest time a verb may take, connecting included.
pub(super) const DEADLINE: Duration = Duration::from_secs(30);
/// Most attempts when nodes are in each other's way.
pub(super) const ATTEMPTS: u32 = 12;

/// Why a transaction came to nothing.
#[derive(Debug)]
pub(super) enum Fault {
    /// Another node was in the way: the same again will do.
    Conflict(StoreError),
    /// It cannot be done.
    Store(StoreError),
    /// One of a post's repetition keys is known, from this post.
    Repeated(PostId),
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<sqlx::Error> for Fault {
    #[allow(clippy::redundant_closure_for_method_calls)]
    fn from(error: sqlx::Error) -> Self {
        let code = error.as_database_error().and_then(|error| error.code()).unwrap_or_default().into_owned();
        let text = format!("the database: {error}");
        match code.as_str() {
            // Serialisation failure, deadlock, lock timeout, two that inserted the same.
            "40001" | "40P01" | "40003" | "55P03" | "23505" => Self::Conflict(StoreError::Unavailable(text)),
            _ => Self::Store(sorted(error, &code, text)),
        }
    }
}

fn sorted(error: sqlx::Error, code: &str, text: String) -> StoreError {
    match (code, error) {
        ("53100", _) => StoreError::Full(format!("{text}; make room on the disk of the database")),
        ("42P01" | "42703", _) => StoreError::Unavailable(format!("{text}; run `enlace store migrate`")),
        ("25006", _) => StoreError::Unavailable(format!("{text}; store.url names a standby, it must name the primary")),
        ("", sqlx::Error::PoolClosed) => StoreError::Unavailable("the store is closed".into()),
        ("", sqlx::Error::PoolTimedOut) => {
            StoreError::Unavailable("the database gives no connection: it is away or has no slot free".into())
        }
        ("", sqlx::Error::Io(error)) => StoreError::Unavailable(format!("the database is not reachable: {error}")),
        ("", error @ (sqlx::Error::Decode(_) | sqlx::Error::ColumnDecode { .. })) => {
            record::damaged("a row of the database", &error.to_string())
        }
        _ => StoreError::Unavailable(text),
    }
}

impl From<Fault> for StoreError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Conflict(error) | Fault::Store(error) => error,
            Fault::Repeated(id) => Self::Unavailable(format!("post {id} was there before")),
        }
    }
}

/// A connection that is closed unless its work came to an end.
pub(super) struct Session(Option<PoolConnection<Postgres>>);

impl Session {
    /// Begins a transaction.
    pub(super) async fn begin(pool: &PgPool, how: &'static str) -> Result<Self, Fault> {
        let mut session = Self::plain(pool).await?;
        session.connection().execute(how).await?;
        Ok(session)
    }

    /// For one statement, which is a transaction of its own.
    pub(super) async fn plain(pool: &PgPool) -> Result<Self, Fault> {
        Ok(Self(Some(pool.acquire().await?)))
    }

    /// To run statements on.
    pub(super) fn connection(&mut self) -> &mut PgConnection {
        self.0.as_mut().unwrap_or_else(|| unreachable!("it is taken only when the session ends"))
    }

    /// Makes everything durable.
    pub(super) async fn commit(mut self) -> Result<(), Fault> {
        self.connection().execute("COMMIT").await?;
        self.release();
        Ok(())
    }

    /// Takes everything back; a connection that does not even do that is closed.
    pub(super) async fn roll_back(mut self) {
        if self.connection().execute("ROLLBACK").await.is_ok() {
            self.release();
        }
    }

    /// Gives the connection back: nothing is under way on it.
    pub(super) fn release(mut self) {
        drop(self.0.take());
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(connection) = self.0.take() {
            drop(connection.detach());
        }
    }
}

/// A short wait of varying length before the same is tried again.
pub(super) async fn step_aside(tries: u32) {
    let chance = getrandom::u32().unwrap_or(0) % 8;
    tokio::time::sleep(Duration::from_millis(u64::from((1 << tries.min(6)) + chance))).await;
}

/// A verb that takes longer is told in the log.
const SLOW: Duration = Duration::from_secs(1);

/// Tells of a slow verb, by its place in the program.
pub(super) fn watch(began: std::time::Instant, file: &str, line: u32) {
    let took = began.elapsed();
    if took > SLOW {
        tracing::warn!(milliseconds = took.as_millis(), place = format!("{file}:{line}"), "The database was slow");
    }
}

/// Runs statements as one transaction on `$access`, again from the start when another node was in the way.
macro_rules! transaction {
    ($access:expr, $how:expr, |$connection:ident| $body:expr) => {{
        let (mut tries, began) = (0, std::time::Instant::now());
        loop {
            let attempt = async {
                let mut session = $crate::store::postgres::session::Session::begin(&$access.pool, $how).await?;
                #[allow(unused_braces)]
                let done: std::result::Result<_, $crate::store::postgres::session::Fault> = {
                    let $connection = session.connection();
                    async { $body }.await
                };
                match done {
                    Ok(value) => session.commit().await.map(|()| value),
                    Err(fault) => {
                        session.roll_back().await;
                        Err(fault)
                    }
                }
            };
            match tokio::time::timeout($crate::store::postgres::session::DEADLINE, attempt).await {
                Ok(Err($crate::store::postgres::session::Fault::Conflict(error))) if tries < $crate::store::postgres::session::ATTEMPTS => {
                    tracing::debug!(%error, "Trying a transaction again");
                    tries += 1;
                    $crate::store::postgres::session::step_aside(tries).await;
                }
                Ok(result) => {
                    $crate::store::postgres::session::watch(began, file!(), line!());
                    break result;
                }
                Err(_) => break Err($crate::store::postgres::session::late()),
            }
        }
    }};
}

/// Runs one statement, which is its own transaction.
macro_rules! statement {
    ($access:expr, |$connection:ident| $body:expr) => {{
        let (mut tries, began) = (0, std::time::Instant::now());
        loop {
            let attempt = async {
                let mut session = $crate::store::postgres::session::Session::plain(&$access.pool).await?;
                #[allow(unused_braces)]
                let done: std::result::Result<_, $crate::store::postgres::session::Fault> = {
                    let $connection = session.connection();
                    async { $body }.await
                };
                if done.is_ok() {
                    session.release();
                }
                done
            };
            match tokio::time::timeout($crate::store::postgres::session::DEADLINE, attempt).await {
                Ok(Err($crate::store::postgres::session::Fault::Conflict(_))) if tries < $crate::store::postgres::session::ATTEMPTS => {
                    tries += 1;
                    $crate::store::postgres::session::step_aside(tries).await;
                }
                Ok(result) => {
                    $crate::store::postgres::session::watch(began, file!(), line!());
                    break result.map_err($crate::store::StoreError::from);
                }
                Err(_) => break Err($crate::store::postgres::session::late().into()),
            }
        }
    }};
}

pub(super) use {statement, transaction};

/// The fault of a verb that took longer than [`DEADLINE`].
pub(super) fn late() -> Fault {
    Fault::Store(StoreError::Unavailable(format!("the database did not answer within {} s", DEADLINE.as_secs())))
}
