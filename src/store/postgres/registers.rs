//! Registers: a row an entry with its version.

use async_trait::async_trait;

use super::PostgresStore;
use super::session::statement;
use super::values::limit;
use crate::store::{Registers, Result};

#[async_trait]
impl Registers for PostgresStore {
    async fn put_entry(&self, register: &str, key: &str, expected: u64, record: Vec<u8>) -> Result<Option<u64>> {
        let present = expected.cast_signed();
        let written = statement!(self.access, |connection| {
            let query = if expected == 0 {
                sqlx::query("INSERT INTO entries (register, key, version, record) VALUES ($1, $2, $3 + 1, $4) ON CONFLICT DO NOTHING")
            } else {
                sqlx::query("UPDATE entries SET version = version + 1, record = $4 WHERE register = $1 AND key = $2 AND version = $3")
            };
            let query = query.bind(register.as_bytes()).bind(key.as_bytes()).bind(present).bind(&record);
            Ok(query.execute(connection).await?.rows_affected())
        })?;
        Ok((written == 1).then_some(expected + 1))
    }

    async fn entry(&self, register: &str, key: &str) -> Result<Option<(u64, Vec<u8>)>> {
        let row: Option<(i64, Vec<u8>)> = statement!(self.access, |connection| {
            let query = sqlx::query_as("SELECT version, record FROM entries WHERE register = $1 AND key = $2");
            Ok(query.bind(register.as_bytes()).bind(key.as_bytes()).fetch_optional(connection).await?)
        })?;
        Ok(row.map(|(version, record)| (version.cast_unsigned(), record)))
    }

    async fn entries(&self, register: &str, after: Option<&str>, count: usize) -> Result<Vec<(String, u64, Vec<u8>)>> {
        let rows: Vec<(Vec<u8>, i64, Vec<u8>)> = statement!(self.access, |connection| {
            let query = sqlx::query_as(
                "SELECT key, version, record FROM entries WHERE register = $1 AND ($2::bytea IS NULL OR key > $2) ORDER BY key LIMIT $3",
            );
            Ok(query.bind(register.as_bytes()).bind(after.map(str::as_bytes)).bind(limit(count)).fetch_all(connection).await?)
        })?;
        let entry =
            |(key, version, record): (Vec<u8>, i64, Vec<u8>)| (String::from_utf8_lossy(&key).into_owned(), version.cast_unsigned(), record);
        Ok(rows.into_iter().map(entry).collect())
    }

    async fn remove_entry(&self, register: &str, key: &str) -> Result<()> {
        statement!(self.access, |connection| {
            let query = sqlx::query("DELETE FROM entries WHERE register = $1 AND key = $2");
            query.bind(register.as_bytes()).bind(key.as_bytes()).execute(connection).await?;
            Ok(())
        })
    }
}
