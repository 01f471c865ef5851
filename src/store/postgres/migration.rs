//! The database's tables: which version they are of, and how they are brought to ours.
//!
//! Forward only. Each step is one transaction and is written down with its checksum, so that a step that was changed
//! after it was applied is told. Nodes that start together take turns: an advisory lock where there is one, and the row
//! lock of version 0 everywhere.

use sqlx::{AssertSqlSafe, Executor, PgConnection, PgPool, Row};

use super::session::{CHANGE, Fault, Session};
use super::values::digest;
use crate::store::{Result, StoreError};

/// One step, by file.
struct Step {
    version: i32,
    name: &'static str,
    sql: &'static str,
}

const STEPS: &[Step] = &[Step { version: 1, name: "record", sql: include_str!("migrations/0001_record.sql") }];
/// All tables of the record.
pub(super) const TABLES: &[&str] = &[
    "accounts",
    "addresses",
    "account_counts",
    "mail_groups",
    "subscriptions",
    "bodies",
    "chunks",
    "posts",
    "post_groups",
    "repetitions",
    "plans",
    "slices",
    "batches",
    "outcomes",
    "totals",
    "marks",
    "tallies",
    "settings",
    "requests",
    "audit",
    "entries",
];
/// Any number that no other program in the same database uses.
const LOCK: i64 = 0x656e_6c61_6365;

impl Step {
    fn checksum(&self) -> String {
        data_encoding::HEXLOWER.encode(&digest(self.sql.as_bytes()))
    }
}

/// The version that this program works with.
pub fn newest() -> i32 {
    STEPS.last().map_or(0, |step| step.version)
}

/// Where the tables stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// There are none.
    Empty,
    /// They are ours, and as this program knows them.
    Current,
    /// They are older: `enlace store migrate` brings them to ours.
    Older(i32),
}

/// A step that was applied, or is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// Its number.
    pub version: i32,
    /// What it is about.
    pub name: String,
}

async fn applied(connection: &mut PgConnection) -> std::result::Result<Option<Vec<(i32, String)>>, Fault> {
    let query = sqlx::query_scalar::<_, i64>(
        "SELECT count(*) FROM information_schema.tables WHERE table_name = 'schema_versions' AND table_schema = ANY(current_schemas(false))",
    );
    if query.fetch_one(&mut *connection).await? == 0 {
        return Ok(None);
    }
    let rows =
        sqlx::query("SELECT version, checksum FROM schema_versions WHERE version > 0 ORDER BY version").fetch_all(connection).await?;
    Ok(Some(rows.iter().map(|row| (row.get(0), row.get(1))).collect()))
}

fn judge(applied: &[(i32, String)]) -> Result<Standing> {
    for (version, checksum) in applied {
        match STEPS.iter().find(|step| step.version == *version) {
            None => {
                let newest = newest();
                let text = format!(
                    "the database is of version {version}, newer than this program, which knows version {newest}; install the release that wrote it"
                );
                return Err(StoreError::Unavailable(text));
            }
            Some(step) if step.checksum() != *checksum => {
                let text = format!(
                    "version {version} of the database ({}) was made from other text than this program has; install the release that made it",
                    step.name
                );
                return Err(StoreError::Damaged(text));
            }
            Some(_) => {}
        }
    }
    let version = applied.last().map_or(0, |(version, _)| *version);
    Ok(match version {
        0 => Standing::Empty,
        version if version == newest() => Standing::Current,
        version => Standing::Older(version),
    })
}

/// Looks where the tables stand.
///
/// # Errors
/// If they are newer than this program, or were made from other text, or if the database cannot be asked.
pub async fn standing(pool: &PgPool) -> Result<Standing> {
    let mut session = Session::plain(pool).await?;
    let found = applied(session.connection()).await?;
    session.release();
    judge(&found.unwrap_or_default())
}

/// Steps that [`migrate`] would take.
///
/// # Errors
/// As [`standing`].
pub async fn pending(pool: &PgPool) -> Result<Vec<Applied>> {
    let from = match standing(pool).await? {
        Standing::Empty => 0,
        Standing::Current => newest(),
        Standing::Older(version) => version,
    };
    Ok(STEPS.iter().filter(|step| step.version > from).map(|step| Applied { version: step.version, name: step.name.into() }).collect())
}

/// Brings the tables to the version of this program, and says which steps were taken.
///
/// # Errors
/// As [`standing`]; a step that fails is taken back whole.
pub async fn migrate(pool: &PgPool) -> Result<Vec<Applied>> {
    let mut session = Session::plain(pool).await?;
    let locked = lock(session.connection()).await;
    let done = match locked {
        Ok(()) => steps(pool).await,
        Err(fault) => Err(fault.into()),
    };
    unlock(session.connection()).await;
    session.release();
    done
}

/// An advisory lock, where the database has them.
async fn lock(connection: &mut PgConnection) -> std::result::Result<(), Fault> {
    match sqlx::query("SELECT pg_advisory_lock($1)").bind(LOCK).execute(&mut *connection).await {
        Err(error) if error.as_database_error().is_some_and(|error| matches!(error.code().as_deref(), Some("42883" | "0A000"))) => Ok(()),
        Err(error) => Err(error.into()),
        Ok(_) => Ok(()),
    }
}

async fn unlock(connection: &mut PgConnection) {
    let _ = sqlx::query("SELECT pg_advisory_unlock($1)").bind(LOCK).execute(connection).await;
}

async fn steps(pool: &PgPool) -> Result<Vec<Applied>> {
    let mut session = Session::plain(pool).await?;
    let connection = session.connection();
    let prepare = "CREATE TABLE IF NOT EXISTS schema_versions (version integer PRIMARY KEY, name text NOT NULL, checksum text NOT NULL, applied_at timestamptz NOT NULL)";
    connection.execute(prepare).await.map_err(Fault::from)?;
    let row = "INSERT INTO schema_versions (version, name, checksum, applied_at) VALUES (0, 'lock', '', now()) ON CONFLICT DO NOTHING";
    connection.execute(row).await.map_err(Fault::from)?;
    session.release();
    let mut taken = Vec::new();
    for step in STEPS {
        if take(pool, step).await? {
            tracing::info!(version = step.version, name = step.name, "Brought the database to version {}", step.version);
            taken.push(Applied { version: step.version, name: step.name.into() });
        }
    }
    Ok(taken)
}

async fn take(pool: &PgPool, step: &Step) -> Result<bool> {
    let mut session = Session::begin(pool, CHANGE).await?;
    let connection = session.connection();
    connection.execute("SELECT version FROM schema_versions WHERE version = 0 FOR UPDATE").await.map_err(Fault::from)?;
    let found = applied(connection).await?.unwrap_or_default();
    judge(&found)?;
    if found.iter().any(|(version, _)| *version == step.version) {
        session.roll_back().await;
        return Ok(false);
    }
    connection.execute(AssertSqlSafe(step.sql)).await.map_err(Fault::from)?;
    let query = sqlx::query("INSERT INTO schema_versions (version, name, checksum, applied_at) VALUES ($1, $2, $3, now())");
    query.bind(step.version).bind(step.name).bind(step.checksum()).execute(connection).await.map_err(Fault::from)?;
    session.commit().await?;
    Ok(true)
}
