//! Letting go in the database.
//!
//! Rows are rewritten or deleted; PostgreSQL keeps the former versions until `VACUUM` (which it runs by itself), and its log until
//! it is recycled. A dump shows none of them.

use std::collections::HashSet;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::TryStreamExt;
use sha2::{Digest, Sha256};

use super::ledger::{self, Fate};
use super::session::{CHANGE, Fault, statement, transaction};
use super::values::{column, identifier, number};
use super::{Access, PostgresStore, posts};
use crate::domain::id::PostId;
use crate::domain::ledger::{Counts, RecipientState};
use crate::store::body::Named;
use crate::store::erasure::{ERASED, Erasure, Replaced, Swept, Vanishing};
use crate::store::sheet::Noted;
use crate::store::{AuditEntry, BatchKey, Result, record};

/// Does a column have the octets of `$1`, in any case? Octets as text, in which all but letters of ASCII are escaped.
macro_rules! names {
    ($column:literal) => {
        concat!("position(lower(encode($1, 'escape')) in lower(encode(", $column, ", 'escape'))) > 0")
    };
}

/// Rows that are deleted in one statement.
const TOGETHER: usize = 500;
/// Everything that may name a body: the records, and what a plan that is being made needs.
const RECORDS: [&str; 4] =
    ["SELECT record FROM posts", "SELECT record FROM entries", "SELECT value FROM settings", "SELECT record FROM requests"];
/// Marks, counters and repetition keys, by table.
const KEYS: [(&str, &str); 3] = [
    (concat!("SELECT kind, key FROM marks WHERE ", names!("key")), "DELETE FROM marks WHERE kind = $1 AND key = $2"),
    (concat!("SELECT kind, key FROM tallies WHERE ", names!("key")), "DELETE FROM tallies WHERE kind = $1 AND key = $2"),
    (concat!("SELECT key AS kind, key FROM repetitions WHERE ", names!("key")), "DELETE FROM repetitions WHERE key = $1 AND key = $2"),
];

/// A name of a body as it is remembered: sixteen octets, by the hundred thousand.
fn short(key: &[u8]) -> u128 {
    Sha256::digest(key).first_chunk::<16>().map_or(0, |half| u128::from_be_bytes(*half))
}

/// When a body of ours was written, by its name; those that came from another store have none and are old.
fn written(key: &[u8]) -> Option<DateTime<Utc>> {
    let digits = std::str::from_utf8(key.strip_prefix(b"f-")?.get(..16)?).ok()?;
    let nanoseconds = i64::try_from(u64::from_str_radix(digits, 16).ok()?).ok()?;
    Some(DateTime::from_timestamp_nanos(nanoseconds))
}

impl Access {
    /// Replaces her in one batch; how often she was a recipient of it.
    async fn pseudonymise_batch(&self, key: BatchKey, person: &Vanishing) -> Result<u64> {
        Ok(transaction!(self, CHANGE, |connection| {
            let Some(mut batch) = ledger::lock(connection, key).await? else { return Ok(0) };
            let open = batch.sheet.open();
            let mut hers = 0;
            for (index, recipient) in (0_u16..).zip(&batch.plan) {
                if !person.is(recipient) {
                    continue;
                }
                hers += 1;
                if open.contains(&index) {
                    let (at, state) = (record::nanoseconds(person.at), RecipientState::Suppressed);
                    batch.sheet.note(&Noted { index, at, state, reply: ERASED.into(), decided: true });
                }
            }
            if !person.hide_recipients(&mut batch.plan) {
                return Ok(0);
            }
            batch.sheet.replace_replies(|reply| person.hide(reply));
            // Answers that are not folded name her too; they are in the sheet now.
            batch.unfolded = true;
            let query = sqlx::query(
                "UPDATE slices SET plan = $3 WHERE post = $1 AND number = $2 \
                 AND planner = (SELECT planner FROM batches WHERE post = $1 AND number = $2)",
            );
            query.bind(column(key.post.0)).bind(number(key.number)).bind(record::encode(&batch.plan)?).execute(&mut *connection).await?;
            let is_over = batch.sheet.open().is_empty() && !batch.closed;
            ledger::write(connection, &batch, if is_over { Fate::Closed } else { Fate::Stays }).await?;
            Ok(hers)
        })?)
    }

    /// Replaces her in one post; `true` if it was to her alone.
    async fn pseudonymise_post(&self, id: PostId, person: &Vanishing) -> Result<bool> {
        Ok(transaction!(self, CHANGE, |connection| {
            let Some(old) = posts::lock(connection, id).await? else { return Ok(false) };
            let mut new = old.clone();
            if person.hide_post(&mut new) {
                posts::write(connection, Some(&old), &new).await?;
            }
            Ok(person.is_letter(&old))
        })?)
    }

    async fn pseudonymise_audit(&self, needle: &[u8], person: &Vanishing) -> Result<u64> {
        let rows: Vec<(i64, i64, i64, Vec<u8>)> = statement!(self, |connection| {
            let query = sqlx::query_as(concat!("SELECT at, place, node, record FROM audit WHERE ", names!("record")));
            Ok(query.bind(needle).fetch_all(connection).await?)
        })?;
        let mut replaced = 0;
        for (at, place, node, row) in rows {
            let mut entry: AuditEntry = record::decode("an entry of the audit trail", &row)?;
            if !person.hide_audit(&mut entry) {
                continue;
            }
            let row = record::encode(&entry)?;
            statement!(self, |connection| {
                let query = sqlx::query("UPDATE audit SET record = $4 WHERE at = $1 AND place = $2 AND node = $3");
                query.bind(at).bind(place).bind(node).bind(&row).execute(connection).await?;
                Ok(())
            })?;
            replaced += 1;
        }
        Ok(replaced)
    }

    async fn remove_keys(&self, needle: &[u8], person: &Vanishing) -> Result<u64> {
        let mut removed = 0;
        for (find, delete) in KEYS {
            let rows: Vec<(Vec<u8>, Vec<u8>)> =
                statement!(self, |connection| Ok(sqlx::query_as(find).bind(needle).fetch_all(connection).await?))?;
            for (kind, key) in rows.into_iter().filter(|(_, key)| person.is_in(key)) {
                removed += statement!(self, |connection| {
                    Ok(sqlx::query(delete).bind(&kind).bind(&key).execute(connection).await?.rows_affected())
                })?;
            }
        }
        Ok(removed)
    }

    /// Names of bodies that any record holds.
    async fn named(&self) -> Result<HashSet<u128>> {
        let mut live = HashSet::new();
        for query in RECORDS {
            statement!(self, |connection| {
                let mut rows = sqlx::query_scalar::<_, Vec<u8>>(query).fetch(connection);
                while let Some(row) = rows.try_next().await? {
                    let mut named = Named::default();
                    named.look_through(&row);
                    live.extend(named.into_names().map(|name| short(name.as_bytes())));
                }
                Ok(())
            })?;
        }
        Ok(live)
    }
}

#[async_trait]
impl Erasure for PostgresStore {
    async fn pseudonymise(&self, person: Vanishing) -> Result<Replaced> {
        let mut replaced = Replaced::default();
        for needle in person.forms() {
            let needle = needle.as_bytes();
            let batches: Vec<(i64, i32)> = statement!(self.access, |connection| {
                let query = sqlx::query_as(concat!(
                    "SELECT b.post, b.number FROM batches b JOIN slices s ON s.post = b.post AND s.planner = b.planner AND s.number = b.number WHERE ",
                    names!("s.plan")
                ));
                Ok(query.bind(needle).fetch_all(connection).await?)
            })?;
            for (post, number) in batches {
                let key = BatchKey { post: PostId(identifier(post)), number: number.cast_unsigned() };
                replaced.recipients += self.access.pseudonymise_batch(key, &person).await?;
            }
            let found: Vec<i64> = statement!(self.access, |connection| {
                let query = sqlx::query_scalar(concat!("SELECT id FROM posts WHERE ", names!("record"), " ORDER BY id"));
                Ok(query.bind(needle).fetch_all(connection).await?)
            })?;
            for id in found.into_iter().map(|id| PostId(identifier(id))) {
                if self.access.pseudonymise_post(id, &person).await? && !replaced.letters.contains(&id) {
                    replaced.letters.push(id);
                }
            }
            replaced.audit += self.access.pseudonymise_audit(needle, &person).await?;
            replaced.marks += self.access.remove_keys(needle, &person).await?;
        }
        Ok(replaced)
    }

    async fn forget_plan(&self, post: PostId) -> Result<u64> {
        Ok(transaction!(self.access, CHANGE, |connection| {
            let query = sqlx::query_as("SELECT batches, open_batches, counts FROM plans WHERE post = $1 FOR UPDATE");
            let row: Option<(i32, i32, Vec<u8>)> = query.bind(column(post.0)).fetch_optional(&mut *connection).await?;
            let Some((batches, open, counts)) = row else { return Ok(0) };
            let counts: Counts = record::decode("the counts of a plan", &counts)?;
            if batches == 0 || open > 0 {
                return Ok(0);
            }
            for text in [
                "DELETE FROM outcomes WHERE post = $1",
                "DELETE FROM batches WHERE post = $1",
                "DELETE FROM slices WHERE post = $1",
                "UPDATE plans SET batches = 0 WHERE post = $1",
            ] {
                sqlx::query(text).bind(column(post.0)).execute(&mut *connection).await?;
            }
            Ok::<u64, Fault>(counts.considered())
        })?)
    }

    async fn forget_tallies(&self, before: DateTime<Utc>) -> Result<u64> {
        let counters = statement!(self.access, |connection| {
            let query = sqlx::query("DELETE FROM tallies WHERE at < $1").bind(record::nanoseconds(before));
            Ok(query.execute(connection).await?.rows_affected())
        })?;
        let keys = statement!(self.access, |connection| {
            let query = sqlx::query("DELETE FROM repetitions WHERE post < $1").bind(column(PostId::new(before, 0).0));
            Ok(query.execute(connection).await?.rows_affected())
        })?;
        Ok(counters + keys)
    }

    async fn sweep(&self, age: Duration) -> Result<Swept> {
        let access = &self.access;
        // Bodies first: what is named later than this was written later too, and is young.
        let bodies: Vec<(Vec<u8>, i64)> =
            statement!(access, |connection| { Ok(sqlx::query_as("SELECT key, octets FROM bodies").fetch_all(connection).await?) })?;
        let live = access.named().await?;
        let is_old = |key: &[u8]| {
            let passed = written(key).map(|at| DateTime::<Utc>::from(std::time::SystemTime::now()) - at);
            passed.is_none_or(|passed| passed >= TimeDelta::from_std(age).unwrap_or(TimeDelta::MAX))
        };
        let dead: Vec<(Vec<u8>, i64)> = bodies.into_iter().filter(|(key, _)| !live.contains(&short(key)) && is_old(key)).collect();
        let mut swept = Swept::default();
        for some in dead.chunks(TOGETHER) {
            let keys: Vec<&[u8]> = some.iter().map(|(key, _)| key.as_slice()).collect();
            transaction!(access, CHANGE, |connection| {
                sqlx::query("DELETE FROM chunks WHERE key = ANY($1)").bind(&keys).execute(&mut *connection).await?;
                sqlx::query("DELETE FROM bodies WHERE key = ANY($1)").bind(&keys).execute(&mut *connection).await?;
                Ok::<(), Fault>(())
            })?;
            swept.pieces += some.len() as u64;
            swept.octets += some.iter().map(|(_, octets)| octets.cast_unsigned()).sum::<u64>();
        }
        // Slices of a planner that was not the one to finish, of posts that nobody plans any more.
        swept.pieces += statement!(access, |connection| {
            let query = sqlx::query(
                "DELETE FROM slices s WHERE NOT EXISTS (SELECT 1 FROM batches b WHERE b.post = s.post AND b.planner = s.planner \
                 AND b.number = s.number) AND NOT EXISTS (SELECT 1 FROM posts p WHERE p.id = s.post AND p.state = 0)",
            );
            Ok(query.execute(connection).await?.rows_affected())
        })?;
        Ok(swept)
    }
}
