//! Plans, claims, outcomes: the verbs over the rows of the ledger.
//!
//! Nodes plan side by side without harm: each writes its own slices, and the first who finishes wins.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tokio::sync::oneshot;

use super::ledger::{self, Batch, Fate};
use super::outcomes::Order;
use super::session::{CHANGE, Fault, SNAPSHOT, statement, transaction};
use super::values::{column, decode_all, group_code, identifier, limit, milliseconds, number};
use super::{PostgresStore, posts};
use crate::domain::id::PostId;
use crate::domain::ledger::{Counts, Outcome, PlannedRecipient, RecipientState};
use crate::domain::post::{Post, PostState};
use crate::store::sheet::Noted;
use crate::store::{
    BATCH_RECIPIENTS, BatchKey, Batches, Claim, Claimed, DUE_OF_A_POST, DueBatch, LedgerKey, RecipientRecord, Result, StoreError, record,
};

/// How long a node may plan without a sign of life before another one begins.
const PLANNING: i64 = 60_000;
/// Slices between two signs of life.
const SLICES_A_SIGN: u32 = 64;
/// Rows looked at together for due batches.
const LOOK: i64 = 64;
/// Batches of a post dropped in one transaction.
const DROPPED_TOGETHER: i64 = 50;

fn no_batch(key: BatchKey) -> StoreError {
    StoreError::Unavailable(format!("there is no batch {} of post {}", key.number, key.post))
}

fn place(key: BatchKey) -> (i64, i32) {
    (column(key.post.0), number(key.number))
}

fn noted(outcome: Outcome) -> Noted {
    let at = record::nanoseconds(outcome.at);
    Noted { index: outcome.index, at, state: outcome.state, reply: outcome.reply, decided: false }
}

/// A due batch as columns.
type DueRow = (i64, i32, i64, i64, i32, Vec<u8>, i64, i32);

fn due_batch(row: DueRow) -> Result<DueBatch> {
    let (post, number, _, due, open, code, octets, urgency) = row;
    Ok(DueBatch {
        key: BatchKey { post: PostId(identifier(post)), number: number.cast_unsigned() },
        group: group_code(&code)?,
        octets: octets.unsigned_abs(),
        open: open.unsigned_abs(),
        due: DateTime::from_timestamp_millis(due).unwrap_or_default(),
        urgency: u8::try_from(urgency).unwrap_or(u8::MAX),
    })
}

impl PostgresStore {
    /// Notes attempts under the batch's lock; `false` if one of the recipients is not there, and then none is noted.
    async fn note(&self, key: BatchKey, noted: &[Noted]) -> Result<bool> {
        Ok(transaction!(self.access, CHANGE, |connection| {
            let Some(mut batch) = ledger::lock(connection, key).await? else { return Ok(false) };
            if noted.iter().any(|one| usize::from(one.index) >= batch.plan.len()) {
                return Ok(false);
            }
            for one in noted {
                batch.sheet.note(one);
            }
            let idle = !batch.closed && batch.holder == 0 && batch.sheet.counts().open() == 0;
            ledger::write(connection, &batch, if idle { Fate::Closed } else { Fate::Stays }).await?;
            Ok(true)
        })?)
    }

    /// One part of [`Batches::drop_open`]: how many, and whether there may be more.
    async fn drop_some(&self, post: PostId, at: DateTime<Utc>, text: &str) -> Result<(u64, bool)> {
        Ok(transaction!(self.access, CHANGE, |connection| {
            let query = sqlx::query_scalar("SELECT number FROM batches WHERE post = $1 AND NOT closed ORDER BY number LIMIT $2 FOR UPDATE");
            let numbers: Vec<i32> = query.bind(column(post.0)).bind(DROPPED_TOGETHER).fetch_all(&mut *connection).await?;
            let mut dropped = 0;
            for number in &numbers {
                let key = BatchKey { post, number: number.cast_unsigned() };
                let Some(mut batch) = ledger::read(connection, key).await? else { continue };
                for index in batch.sheet.open() {
                    let at = record::nanoseconds(at);
                    batch.sheet.note(&Noted { index, at, state: RecipientState::Suppressed, reply: text.to_owned(), decided: true });
                    dropped += 1;
                }
                ledger::write(connection, &batch, Fate::Closed).await?;
            }
            Ok((dropped, i64::try_from(numbers.len()) == Ok(DROPPED_TOGETHER)))
        })?)
    }

    /// The first batches behind `after` that are due, with the time by which that was judged.
    async fn due_behind(&self, after: (i64, i64, i32), now: DateTime<Utc>) -> Result<Vec<DueRow>> {
        let now = self.access.now(now);
        statement!(self.access, |connection| {
            let query = sqlx::query_as(
                "SELECT b.post, b.number, b.ready, b.due, b.open, p.code, p.octets, p.urgency \
                 FROM batches b JOIN posts p ON p.id = b.post WHERE NOT b.closed AND NOT p.halted \
                 AND b.ready <= COALESCE($1::bigint, CAST(EXTRACT(EPOCH FROM statement_timestamp()) * 1000 AS bigint) + $2::bigint) \
                 AND (b.ready, b.post, b.number) > ($3, $4, $5) ORDER BY b.ready, b.post, b.number LIMIT $6",
            );
            let query = query.bind(now.0).bind(now.1).bind(after.0).bind(after.1).bind(after.2).bind(LOOK);
            Ok(query.fetch_all(connection).await?)
        })
    }
}

/// What a claim came to inside its transaction.
enum Taken {
    No(Claimed),
    Yes(Box<Batch>, i64),
}

#[async_trait]
impl Batches for PostgresStore {
    async fn begin_plan(&self, post: PostId) -> Result<()> {
        let node = self.access.node;
        Ok(transaction!(self.access, CHANGE, |connection| {
            let query = sqlx::query(
                "UPDATE posts SET planner = $2, planner_until = CAST(EXTRACT(EPOCH FROM statement_timestamp()) * 1000 AS bigint) + $3 \
                 WHERE id = $1 AND (planner = 0 OR planner = $2 OR planner_until < \
                 CAST(EXTRACT(EPOCH FROM statement_timestamp()) * 1000 AS bigint))",
            );
            let ours = query.bind(column(post.0)).bind(node).bind(PLANNING).execute(&mut *connection).await?.rows_affected();
            if ours == 0 {
                return Err(Fault::Store(StoreError::Unavailable(format!("post {post} is gone, or another node plans it at present"))));
            }
            let query = sqlx::query(
                "DELETE FROM slices WHERE post = $1 AND planner = $2 AND NOT EXISTS (SELECT 1 FROM plans WHERE plans.post = $1)",
            );
            query.bind(column(post.0)).bind(node).execute(connection).await?;
            Ok(())
        })?)
    }

    async fn add_batch(&self, key: BatchKey, recipients: Vec<PlannedRecipient>) -> Result<()> {
        if recipients.is_empty() || recipients.len() > BATCH_RECIPIENTS {
            return Err(StoreError::Unavailable(format!("a batch has 1 to {BATCH_RECIPIENTS} recipients, not {}", recipients.len())));
        }
        let mut counts = Counts::default();
        for recipient in &recipients {
            *counts.of(recipient.state) += 1;
        }
        let (post, numbered) = place(key);
        let (plan, row) = (record::encode(&recipients)?, record::encode(&counts)?);
        statement!(self.access, |connection| {
            let query = sqlx::query(
                "INSERT INTO slices (post, planner, number, size, open, counts, plan) VALUES ($1, $2, $3, $4, $5, $6, $7) \
                 ON CONFLICT (post, planner, number) DO UPDATE \
                 SET size = excluded.size, open = excluded.open, counts = excluded.counts, plan = excluded.plan",
            );
            let open = i32::try_from(counts.open()).unwrap_or(0);
            let size = i32::try_from(recipients.len()).unwrap_or(0);
            let query = query.bind(post).bind(self.access.node).bind(numbered).bind(size).bind(open).bind(&row).bind(&plan);
            query.execute(&mut *connection).await?;
            if key.number % SLICES_A_SIGN == SLICES_A_SIGN - 1 {
                let query = sqlx::query(
                    "UPDATE posts SET planner_until = CAST(EXTRACT(EPOCH FROM statement_timestamp()) * 1000 AS bigint) + $3 \
                     WHERE id = $1 AND planner = $2",
                );
                query.bind(post).bind(self.access.node).bind(PLANNING).execute(connection).await?;
            }
            Ok(())
        })
    }

    async fn finish_plan(&self, post: PostId, batches: u32, now: DateTime<Utc>) -> Result<()> {
        let (node, id, at) = (self.access.node, column(post.0), self.access.now(now));
        transaction!(self.access, CHANGE, |connection| {
            let Some(old) = posts::lock(connection, post).await? else {
                return Err(Fault::Store(StoreError::Unavailable(format!("there is no post {post} to plan"))));
            };
            if old.state != PostState::Accepted {
                // Planned before, here or by another node, or stopped in the meantime: nothing was promised to anybody.
                let query = sqlx::query(
                    "DELETE FROM slices WHERE post = $1 AND planner = $2 AND NOT EXISTS \
                     (SELECT 1 FROM batches b WHERE b.post = $1 AND b.planner = $2)",
                );
                query.bind(id).bind(node).execute(connection).await?;
                return Ok(());
            }
            let query = sqlx::query_as("SELECT number, open, counts FROM slices WHERE post = $1 AND planner = $2 ORDER BY number");
            let slices: Vec<(i32, i32, Vec<u8>)> = query.bind(id).bind(node).fetch_all(&mut *connection).await?;
            if slices.len() != batches as usize || slices.last().is_some_and(|(last, ..)| last.cast_unsigned() >= batches) {
                let there = slices.len();
                let text = format!("the plan of post {post} has {there} of {batches} batches: plan it again");
                return Err(Fault::Store(StoreError::Unavailable(text)));
            }
            let mut counts = Counts::default();
            for (.., row) in &slices {
                counts.add(&record::decode("the counts of a slice", row)?);
            }
            let open = slices.iter().filter(|(_, open, _)| *open > 0).count();
            sqlx::query(
                "INSERT INTO batches (post, number, planner, planned_at, tries, due, ready, holder, node, closed, size, open, counts, sheet) \
                 SELECT s.post, s.number, s.planner, $3, 0, n.now, n.now, 0, 0, s.open = 0, s.size, s.open, s.counts, NULL FROM slices s, \
                 (SELECT COALESCE($4::bigint, CAST(EXTRACT(EPOCH FROM statement_timestamp()) * 1000 AS bigint) + $5::bigint) AS now) n \
                 WHERE s.post = $1 AND s.planner = $2",
            )
            .bind(id)
            .bind(node)
            .bind(record::nanoseconds(now))
            .bind(at.0)
            .bind(at.1)
            .execute(&mut *connection)
            .await?;
            sqlx::query("INSERT INTO plans (post, batches, open_batches, counts) VALUES ($1, $2, $3, $4)")
                .bind(id)
                .bind(number(batches))
                .bind(i32::try_from(open).unwrap_or(i32::MAX))
                .bind(record::encode(&counts)?)
                .execute(&mut *connection)
                .await?;
            ledger::total(connection, post, &Counts::default(), &counts).await?;
            let state = if open == 0 { PostState::Done } else { PostState::Planned };
            posts::write(connection, Some(&old), &Post { state, ..old.clone() }).await?;
            let query = sqlx::query("DELETE FROM slices WHERE post = $1 AND planner <> $2");
            query.bind(id).bind(node).execute(connection).await?;
            Ok(())
        })?;
        self.access.ring();
        Ok(())
    }

    async fn due_batches(&self, now: DateTime<Utc>, count: usize) -> Result<Vec<DueBatch>> {
        self.access.see(now);
        let mut found: Vec<DueRow> = Vec::new();
        let mut after = (i64::MIN, i64::MIN, 0);
        let mut seen: BTreeMap<(i64, i64), u32> = BTreeMap::new();
        while found.len() < count {
            let rows = self.due_behind(after, now).await?;
            let full = i64::try_from(rows.len()) == Ok(LOOK);
            let Some(last) = rows.last().map(|row| (row.2, row.0, row.1)) else { break };
            after = last;
            for row in rows {
                let of_post = seen.entry((row.2, row.0)).or_default();
                *of_post += 1;
                if *of_post <= DUE_OF_A_POST {
                    found.push(row);
                }
            }
            if seen.get(&(last.0, last.1)).is_some_and(|of_post| *of_post >= DUE_OF_A_POST) {
                // The rest of this post that became due at the same time is passed over.
                after.2 = i32::MAX;
            }
            if !full {
                break;
            }
        }
        let mut due = found.into_iter().map(due_batch).collect::<Result<Vec<_>>>()?;
        due.sort_by_key(|batch| (batch.due, batch.key));
        due.truncate(count);
        Ok(due)
    }

    async fn next_due_time(&self) -> Result<Option<DateTime<Utc>>> {
        let first: Option<i64> = statement!(self.access, |connection| {
            let query = sqlx::query_scalar(
                "SELECT b.ready FROM batches b JOIN posts p ON p.id = b.post WHERE NOT b.closed AND NOT p.halted ORDER BY b.ready LIMIT 1",
            );
            Ok(query.fetch_optional(connection).await?)
        })?;
        Ok(first.and_then(DateTime::from_timestamp_millis))
    }

    async fn claim_batch(&self, key: BatchKey, now: DateTime<Utc>, lease: Duration) -> Result<Claimed> {
        self.access.see(now);
        let (post, numbered) = place(key);
        let at = self.access.now(now);
        let lease = i64::try_from(lease.as_millis()).unwrap_or(i64::MAX / 4);
        let holder = self.access.next_holder()?;
        let taken = transaction!(self.access, CHANGE, |connection| {
            let query = sqlx::query_as(
                "SELECT b.ready, b.closed, p.halted, p.version, \
                 COALESCE($3::bigint, CAST(EXTRACT(EPOCH FROM statement_timestamp()) * 1000 AS bigint) + $4::bigint) \
                 FROM batches b JOIN posts p ON p.id = b.post WHERE b.post = $1 AND b.number = $2 FOR UPDATE OF b SKIP LOCKED",
            );
            let query = query.bind(post).bind(numbered).bind(at.0).bind(at.1);
            let row: Option<(i64, bool, bool, i64, i64)> = query.fetch_optional(&mut *connection).await?;
            let Some((ready, closed, halted, version, now)) = row else {
                let query = sqlx::query_scalar("SELECT closed FROM batches WHERE post = $1 AND number = $2");
                let there: Option<bool> = query.bind(post).bind(numbered).fetch_optional(connection).await?;
                return Ok(Taken::No(if there == Some(false) { Claimed::InProgress } else { Claimed::Finished }));
            };
            if closed || halted {
                return Ok(Taken::No(Claimed::Finished));
            }
            if ready > now {
                return Ok(Taken::No(Claimed::InProgress));
            }
            let Some(batch) = ledger::read(connection, key).await? else { return Ok(Taken::No(Claimed::Finished)) };
            if batch.sheet.counts().open() == 0 {
                // Its last holder noted everything and never gave it back.
                ledger::write(connection, &batch, Fate::Closed).await?;
                return Ok(Taken::No(Claimed::Finished));
            }
            ledger::write(connection, &batch, Fate::Held(holder, self.access.node, now.saturating_add(lease))).await?;
            Ok(Taken::Yes(Box::new(batch), version))
        })?;
        match taken {
            Taken::No(answer) => Ok(answer),
            Taken::Yes(batch, version) => Ok(Claimed::Started(Box::new(Claim {
                key,
                holder: holder.cast_unsigned(),
                post: self.access.shared_post(key.post, version).await?,
                recipients: batch.sheet.records(batch.plan),
                tries: batch.tries.unsigned_abs(),
                planned_at: record::instant(batch.planned_at),
            }))),
        }
    }

    async fn record_outcomes(&self, key: BatchKey, _holder: u64, outcomes: Vec<Outcome>) -> Result<()> {
        let Some(highest) = outcomes.iter().map(|outcome| outcome.index).max() else { return Ok(()) };
        let noted: Vec<Noted> = outcomes.into_iter().map(noted).collect();
        let (teller, told) = oneshot::channel();
        let order = Order { key, place: self.access.next_place(), highest, noted: record::encode(&noted)?, teller };
        let closed = || StoreError::Unavailable("the store is closed".into());
        self.outcomes()?.send(order).map_err(|_| closed())?;
        if told.await.map_err(|_| closed())?? || self.note(key, &noted).await? { Ok(()) } else { Err(no_batch(key)) }
    }

    async fn settle_batch(&self, key: BatchKey, holder: u64, next_due: DateTime<Utc>) -> Result<()> {
        let due = milliseconds(next_due);
        let settled = transaction!(self.access, CHANGE, |connection| {
            let Some(batch) = ledger::lock(connection, key).await? else { return Ok(false) };
            if batch.closed || holder == 0 || batch.holder != holder.cast_signed() {
                // It was finished, or taken over after the lease: the other one settles it.
                return Ok(false);
            }
            let fate = if batch.sheet.counts().open() == 0 { Fate::Closed } else { Fate::Waits(due) };
            ledger::write(connection, &batch, fate).await?;
            Ok(true)
        })?;
        if settled {
            self.access.ring();
        }
        Ok(())
    }

    async fn amend_recipient(&self, key: LedgerKey, state: RecipientState, at: DateTime<Utc>, text: String) -> Result<bool> {
        if !state.is_final() {
            return Err(StoreError::Unavailable(format!("a recipient cannot be made {} afterwards", state.as_str())));
        }
        self.note(key.batch, &[Noted { index: key.index, at: record::nanoseconds(at), state, reply: text, decided: true }]).await
    }

    async fn recipient(&self, key: LedgerKey) -> Result<Option<RecipientRecord>> {
        let mut all = self.batch(key.batch).await?;
        let index = usize::from(key.index);
        Ok(if index < all.len() { Some(all.swap_remove(index)) } else { None })
    }

    async fn batch(&self, key: BatchKey) -> Result<Vec<RecipientRecord>> {
        let batch = statement!(self.access, |connection| ledger::read(connection, key).await)?;
        Ok(batch.map(|batch| batch.sheet.records(batch.plan)).unwrap_or_default())
    }

    async fn batch_count(&self, post: PostId) -> Result<u32> {
        let count: Option<i32> = statement!(self.access, |connection| {
            Ok(sqlx::query_scalar("SELECT batches FROM plans WHERE post = $1").bind(column(post.0)).fetch_optional(connection).await?)
        })?;
        Ok(count.unwrap_or(0).unsigned_abs())
    }

    async fn counts(&self, post: PostId) -> Result<Counts> {
        Ok(transaction!(self.access, SNAPSHOT, |connection| {
            let query = sqlx::query_scalar("SELECT counts FROM plans WHERE post = $1").bind(column(post.0));
            let Some(row) = query.fetch_optional(&mut *connection).await? else { return Ok(Counts::default()) };
            let row: Vec<u8> = row;
            let mut counts = record::decode("the counts of a plan", &row)?;
            ledger::unfolded(connection, Some(post), &mut counts).await?;
            Ok(counts)
        })?)
    }

    async fn total_counts(&self) -> Result<Counts> {
        Ok(transaction!(self.access, SNAPSHOT, |connection| {
            let parts: Vec<Vec<u8>> = sqlx::query_scalar("SELECT counts FROM totals").fetch_all(&mut *connection).await?;
            let mut counts = Counts::default();
            for part in decode_all("the total counts", &parts)? {
                counts.add(&part);
            }
            ledger::unfolded(connection, None, &mut counts).await?;
            Ok(counts)
        })?)
    }

    async fn open_posts(&self, count: usize) -> Result<Vec<Post>> {
        let rows: Vec<Vec<u8>> = statement!(self.access, |connection| {
            let query = sqlx::query_scalar(
                "SELECT p.record FROM plans l JOIN posts p ON p.id = l.post WHERE l.open_batches > 0 ORDER BY l.post LIMIT $1",
            );
            Ok(query.bind(limit(count)).fetch_all(connection).await?)
        })?;
        decode_all("a post", &rows)
    }

    async fn hasten(&self, post: Option<PostId>, now: DateTime<Utc>) -> Result<u64> {
        let at = self.access.now(now);
        let count = statement!(self.access, |connection| {
            let query = sqlx::query(
                "UPDATE batches SET due = n.now, ready = n.now FROM \
                 (SELECT COALESCE($1::bigint, CAST(EXTRACT(EPOCH FROM statement_timestamp()) * 1000 AS bigint) + $2::bigint) AS now) n \
                 WHERE NOT closed AND holder = 0 AND due > n.now AND ($3::bigint IS NULL OR post = $3) \
                 AND NOT EXISTS (SELECT 1 FROM posts p WHERE p.id = batches.post AND p.halted)",
            );
            let query = query.bind(at.0).bind(at.1).bind(post.map(|post| column(post.0)));
            Ok(query.execute(connection).await?.rows_affected())
        })?;
        self.access.ring();
        Ok(count)
    }

    async fn drop_open(&self, post: PostId, at: DateTime<Utc>, text: String) -> Result<u64> {
        let mut dropped = 0;
        loop {
            let (some, more) = self.drop_some(post, at, &text).await?;
            dropped += some;
            if !more {
                break;
            }
        }
        self.access.ring();
        Ok(dropped)
    }
}
