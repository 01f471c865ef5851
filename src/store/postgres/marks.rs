//! Marks, counters, settings, requests, and the audit trail.
//!
//! A mark carries a number of chance: when the answer of the database is lost on the way, the caller asks again and
//! knows its own mark by it, so that what must happen once does not happen never.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::PostgresStore;
use super::session::statement;
use super::values::{code, column, decode_all, key as key_column, limit};
use crate::domain::group::GroupCode;
use crate::domain::id::RequestId;
use crate::store::{AuditEntry, Marks, Request, Result, StoreError, record};

/// How long the answer to a claim is asked for again.
const ASK_AGAIN: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(250);

impl PostgresStore {
    async fn mark(&self, kind: &str, key: &str, at: DateTime<Utc>, token: i64) -> Result<bool> {
        let written = statement!(self.access, |connection| {
            let query = sqlx::query("INSERT INTO marks (kind, key, at, token) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING");
            let query = query.bind(key_column(kind)).bind(key_column(key)).bind(record::nanoseconds(at)).bind(token);
            Ok(query.execute(connection).await?.rows_affected())
        })?;
        if written == 1 {
            return Ok(true);
        }
        let present: Option<i64> = statement!(self.access, |connection| {
            let query = sqlx::query_scalar("SELECT token FROM marks WHERE kind = $1 AND key = $2");
            Ok(query.bind(key_column(kind)).bind(key_column(key)).fetch_optional(connection).await?)
        })?;
        Ok(present == Some(token))
    }
}

#[async_trait]
impl Marks for PostgresStore {
    async fn claim_once(&self, kind: &str, key: &str, at: DateTime<Utc>) -> Result<bool> {
        self.access.see(at);
        let token = getrandom::u64().map_err(|e| StoreError::Unavailable(format!("no random numbers: {e}")))?.cast_signed();
        let began = Instant::now();
        loop {
            match self.mark(kind, key, at, token).await {
                Err(StoreError::Unavailable(text)) if began.elapsed() < ASK_AGAIN && !self.access.pool.is_closed() => {
                    tracing::debug!(error = text, "Asking again for a mark");
                    tokio::time::sleep(PAUSE).await;
                }
                answer => return answer,
            }
        }
    }

    async fn claimed_at(&self, kind: &str, key: &str) -> Result<Option<DateTime<Utc>>> {
        let at: Option<i64> = statement!(self.access, |connection| {
            let query = sqlx::query_scalar("SELECT at FROM marks WHERE kind = $1 AND key = $2");
            Ok(query.bind(key_column(kind)).bind(key_column(key)).fetch_optional(connection).await?)
        })?;
        Ok(at.map(record::instant))
    }

    /// Counters of `kind` that were last counted up before go too.
    async fn forget_marks(&self, kind: &str, before: DateTime<Utc>) -> Result<u64> {
        let mut forgotten = 0;
        for text in ["DELETE FROM marks WHERE kind = $1 AND at < $2", "DELETE FROM tallies WHERE kind = $1 AND at < $2"] {
            forgotten += statement!(self.access, |connection| {
                let query = sqlx::query(text).bind(key_column(kind)).bind(record::nanoseconds(before));
                Ok(query.execute(connection).await?.rows_affected())
            })?;
        }
        Ok(forgotten)
    }

    async fn count_up(&self, kind: &str, key: &str) -> Result<u64> {
        let count: i64 = statement!(self.access, |connection| {
            let query = sqlx::query_scalar(
                "INSERT INTO tallies (kind, key, at, tally) VALUES ($1, $2, $3, 1) \
                 ON CONFLICT (kind, key) DO UPDATE SET tally = tallies.tally + 1, at = excluded.at RETURNING tally",
            );
            Ok(query.bind(key_column(kind)).bind(key_column(key)).bind(self.access.seen()).fetch_one(connection).await?)
        })?;
        Ok(count.unsigned_abs())
    }

    async fn setting(&self, name: &str) -> Result<Option<Vec<u8>>> {
        statement!(self.access, |connection| {
            let query = sqlx::query_scalar("SELECT value FROM settings WHERE name = $1");
            Ok(query.bind(key_column(name)).fetch_optional(connection).await?)
        })
    }

    async fn put_setting(&self, name: &str, value: Vec<u8>) -> Result<()> {
        statement!(self.access, |connection| {
            let query =
                sqlx::query("INSERT INTO settings (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value");
            query.bind(key_column(name)).bind(&value).execute(connection).await?;
            Ok(())
        })
    }

    async fn put_request(&self, request: Request) -> Result<()> {
        let row = record::encode(&request)?;
        statement!(self.access, |connection| {
            let query = sqlx::query(
                "INSERT INTO requests (id, code, record) VALUES ($1, $2, $3) \
                 ON CONFLICT (id) DO UPDATE SET code = excluded.code, record = excluded.record",
            );
            query.bind(column(request.id.0)).bind(code(&request.group)).bind(&row).execute(connection).await?;
            Ok(())
        })
    }

    async fn request(&self, id: RequestId) -> Result<Option<Request>> {
        let row: Option<Vec<u8>> = statement!(self.access, |connection| {
            Ok(sqlx::query_scalar("SELECT record FROM requests WHERE id = $1").bind(column(id.0)).fetch_optional(connection).await?)
        })?;
        row.map(|row| record::decode(&format!("request {id}"), &row)).transpose()
    }

    async fn take_request(&self, id: RequestId) -> Result<bool> {
        let gone = statement!(self.access, |connection| {
            Ok(sqlx::query("DELETE FROM requests WHERE id = $1").bind(column(id.0)).execute(connection).await?.rows_affected())
        })?;
        Ok(gone == 1)
    }

    async fn requests(&self, group: Option<&GroupCode>) -> Result<Vec<Request>> {
        let rows: Vec<Vec<u8>> = statement!(self.access, |connection| {
            let query = sqlx::query_scalar("SELECT record FROM requests WHERE ($1::bytea IS NULL OR code = $1) ORDER BY id");
            Ok(query.bind(group.map(code)).fetch_all(connection).await?)
        })?;
        decode_all("a request", &rows)
    }

    async fn append_audit(&self, entry: AuditEntry) -> Result<()> {
        self.access.see(entry.at);
        let (row, place) = (record::encode(&entry)?, self.access.next_place());
        statement!(self.access, |connection| {
            let query = sqlx::query("INSERT INTO audit (at, place, node, code, record) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING");
            let query = query.bind(record::nanoseconds(entry.at)).bind(place).bind(self.access.node).bind(entry.group.as_ref().map(code));
            query.bind(&row).execute(connection).await?;
            Ok(())
        })
    }

    async fn audit(&self, group: Option<&GroupCode>, count: usize) -> Result<Vec<AuditEntry>> {
        let rows: Vec<Vec<u8>> = statement!(self.access, |connection| {
            Ok(match group {
                None => {
                    let query = sqlx::query_scalar("SELECT record FROM audit ORDER BY at DESC, place DESC, node DESC LIMIT $1");
                    query.bind(limit(count)).fetch_all(connection).await?
                }
                Some(group) => {
                    let query =
                        sqlx::query_scalar("SELECT record FROM audit WHERE code = $1 ORDER BY at DESC, place DESC, node DESC LIMIT $2");
                    query.bind(code(group)).bind(limit(count)).fetch_all(connection).await?
                }
            })
        })?;
        decode_all("an entry of the audit trail", &rows)
    }
}
