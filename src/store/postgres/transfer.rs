//! Everything in the database as items, read in one transaction of one instant.

use async_trait::async_trait;
use sqlx::{Executor, PgConnection};

use super::session::{CHANGE, Fault, SNAPSHOT, Session, transaction};
use super::values::{code, column, identifier, number};
use super::{Access, PostgresStore, ledger, posts};
use crate::domain::account::Account;
use crate::domain::id::PostId;
use crate::domain::ledger::Counts;
use crate::domain::subscription::Subscription;
use crate::store::sheet::Sheet;
use crate::store::transfer::{BatchItem, Item, PAGE_ITEMS, Page, Place, Snapshot, Transfer};
use crate::store::{Accounts, BatchKey, Groups, Marks, Result, StoreError, Subscriptions, record};

/// A transaction that stays open as long as the snapshot is read.
pub(super) struct PostgresSnapshot(Session);

/// Kinds of rows, in the order in which they are shown.
const BODIES: u8 = 0;
const LAST: u8 = 13;

#[async_trait]
impl Snapshot for PostgresSnapshot {
    async fn page(&mut self, place: &Place) -> Result<Page> {
        let (kind, after) = place.0.split_first().map_or((BODIES, &[][..]), |(kind, after)| (*kind, after));
        let (items, last) = page(self.0.connection(), kind, after).await?;
        let next = match last {
            Some(last) => Some([vec![kind], last].concat()),
            None if kind < LAST => Some(vec![kind + 1]),
            None => None,
        };
        Ok((items, next.map(Place)))
    }
}

type Rows = (Vec<Item>, Option<Vec<u8>>);

fn join(parts: &[&[u8]]) -> Vec<u8> {
    let mut key = Vec::new();
    for part in parts {
        key.extend_from_slice(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
        key.extend_from_slice(part);
    }
    key
}

fn split(mut key: &[u8]) -> Vec<&[u8]> {
    let mut parts = Vec::new();
    while let Some((length, rest)) = key.split_first_chunk::<4>() {
        let Some((part, rest)) = rest.split_at_checked(u32::from_be_bytes(*length) as usize) else { break };
        parts.push(part);
        key = rest;
    }
    parts
}

fn long(part: Option<&&[u8]>) -> i64 {
    part.and_then(|part| part.first_chunk::<8>()).map_or(i64::MIN, |bytes| i64::from_be_bytes(*bytes))
}

fn int(part: Option<&&[u8]>) -> i32 {
    part.and_then(|part| part.first_chunk::<4>()).map_or(i32::MIN, |bytes| i32::from_be_bytes(*bytes))
}

fn octets<'a>(part: Option<&&'a [u8]>) -> &'a [u8] {
    part.copied().unwrap_or_default()
}

fn text(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).into_owned()
}

/// Items of a kind behind a key, and the key of the last; `None` when there are no more.
#[allow(clippy::type_complexity)]
async fn page(connection: &mut PgConnection, kind: u8, after: &[u8]) -> std::result::Result<Rows, Fault> {
    let parts = split(after);
    let (first, second, third) = (parts.first(), parts.get(1), parts.get(2));
    let most = i64::try_from(PAGE_ITEMS).unwrap_or(i64::MAX);
    match kind {
        0 => {
            let rows: Vec<(Vec<u8>, i32, Vec<u8>, i64, i64)> = sqlx::query_as(
                "SELECT c.key, c.number, c.bytes, b.octets, b.crc FROM chunks c JOIN bodies b ON b.key = c.key \
                 WHERE (c.key, c.number) > ($1, $2) ORDER BY c.key, c.number LIMIT 16",
            )
            .bind(octets(first))
            .bind(int(second))
            .fetch_all(connection)
            .await?;
            let last = rows.last().map(|row| join(&[&row.0, &row.1.to_be_bytes()]));
            let piece = |(key, number, bytes, octets, crc): (Vec<u8>, i32, Vec<u8>, i64, i64)| Item::Body {
                key: text(&key),
                octets: octets.unsigned_abs(),
                crc: u32::try_from(crc).unwrap_or(0),
                offset: u64::from(number.unsigned_abs()) * crate::store::transfer::PIECE as u64,
                bytes,
            };
            Ok((rows.into_iter().map(piece).collect(), last))
        }
        1 => {
            let query = sqlx::query_as("SELECT code, record FROM mail_groups WHERE code > $1 ORDER BY code LIMIT $2");
            let rows: Vec<(Vec<u8>, Vec<u8>)> = query.bind(octets(first)).bind(most).fetch_all(connection).await?;
            let last = rows.last().map(|row| join(&[&row.0]));
            let items = rows.iter().map(|row| Ok(Item::Group(record::decode_grown("a group", &row.1)?)));
            Ok((items.collect::<Result<_>>()?, last))
        }
        2 => {
            let query = sqlx::query_as("SELECT id, record FROM accounts WHERE ($1 OR id > $2) ORDER BY id LIMIT $3");
            let query = query.bind(first.is_none()).bind(long(first)).bind(most);
            let rows: Vec<(i64, Vec<u8>)> = query.fetch_all(connection).await?;
            let last = rows.last().map(|row| join(&[&row.0.to_be_bytes()]));
            let items = rows.iter().map(|row| Ok(Item::Account(record::decode("an account", &row.1)?)));
            Ok((items.collect::<Result<_>>()?, last))
        }
        3 => {
            let query = sqlx::query_as(
                "SELECT code, account, record FROM subscriptions WHERE ($1 OR (code, account) > ($2, $3)) ORDER BY code, account LIMIT $4",
            );
            let query = query.bind(first.is_none()).bind(octets(first)).bind(long(second)).bind(most);
            let rows: Vec<(Vec<u8>, i64, Vec<u8>)> = query.fetch_all(connection).await?;
            let last = rows.last().map(|row| join(&[&row.0, &row.1.to_be_bytes()]));
            let items = rows.iter().map(|row| Ok(Item::Subscription(record::decode_grown("a subscription", &row.2)?)));
            Ok((items.collect::<Result<_>>()?, last))
        }
        4 => {
            let query = sqlx::query_as("SELECT name, value FROM settings WHERE ($1 OR name > $2) ORDER BY name LIMIT 16");
            let rows: Vec<(Vec<u8>, Vec<u8>)> = query.bind(first.is_none()).bind(octets(first)).fetch_all(connection).await?;
            let last = rows.last().map(|row| join(&[&row.0]));
            Ok((rows.into_iter().map(|(name, value)| Item::Setting(name, value)).collect(), last))
        }
        5 => {
            let query = sqlx::query_as(
                "SELECT register, key, version, record FROM entries WHERE ($1 OR (register, key) > ($2, $3)) ORDER BY register, key LIMIT 64",
            );
            let query = query.bind(first.is_none()).bind(octets(first)).bind(octets(second));
            let rows: Vec<(Vec<u8>, Vec<u8>, i64, Vec<u8>)> = query.fetch_all(connection).await?;
            let last = rows.last().map(|row| join(&[&row.0, &row.1]));
            let items = rows.into_iter().map(|row| Item::Entry(text(&row.0), text(&row.1), row.2.cast_unsigned(), row.3));
            Ok((items.collect(), last))
        }
        6 => {
            let query = sqlx::query_as("SELECT id, record FROM requests WHERE ($1 OR id > $2) ORDER BY id LIMIT $3");
            let query = query.bind(first.is_none()).bind(long(first)).bind(most);
            let rows: Vec<(i64, Vec<u8>)> = query.fetch_all(connection).await?;
            let last = rows.last().map(|row| join(&[&row.0.to_be_bytes()]));
            let items = rows.iter().map(|row| Ok(Item::Request(record::decode("a request", &row.1)?)));
            Ok((items.collect::<Result<_>>()?, last))
        }
        7 => {
            let query = sqlx::query_as("SELECT kind, key, at FROM marks WHERE ($1 OR (kind, key) > ($2, $3)) ORDER BY kind, key LIMIT $4");
            let query = query.bind(first.is_none()).bind(octets(first)).bind(octets(second)).bind(most);
            let rows: Vec<(Vec<u8>, Vec<u8>, i64)> = query.fetch_all(connection).await?;
            let last = rows.last().map(|row| join(&[&row.0, &row.1]));
            Ok((rows.into_iter().map(|(kind, key, at)| Item::Mark(kind, key, at)).collect(), last))
        }
        8 => {
            let query =
                sqlx::query_as("SELECT kind, key, at, tally FROM tallies WHERE ($1 OR (kind, key) > ($2, $3)) ORDER BY kind, key LIMIT $4");
            let query = query.bind(first.is_none()).bind(octets(first)).bind(octets(second)).bind(most);
            let rows: Vec<(Vec<u8>, Vec<u8>, i64, i64)> = query.fetch_all(connection).await?;
            let last = rows.last().map(|row| join(&[&row.0, &row.1]));
            Ok((rows.into_iter().map(|(kind, key, at, count)| Item::Counter(kind, key, at, count.unsigned_abs())).collect(), last))
        }
        9 => {
            let query = sqlx::query_as(
                "SELECT at, place, node, record FROM audit WHERE ($1 OR (at, place, node) > ($2, $3, $4)) ORDER BY at, place, node LIMIT $5",
            );
            let query = query.bind(first.is_none()).bind(long(first)).bind(long(second)).bind(long(third)).bind(most);
            let rows: Vec<(i64, i64, i64, Vec<u8>)> = query.fetch_all(connection).await?;
            let last = rows.last().map(|row| join(&[&row.0.to_be_bytes(), &row.1.to_be_bytes(), &row.2.to_be_bytes()]));
            let items = rows.iter().map(|row| Ok(Item::Audit(record::decode("an entry of the audit trail", &row.3)?)));
            Ok((items.collect::<Result<_>>()?, last))
        }
        10 => {
            let query = sqlx::query_as("SELECT id, record FROM posts WHERE ($1 OR id > $2) ORDER BY id LIMIT 100");
            let rows: Vec<(i64, Vec<u8>)> = query.bind(first.is_none()).bind(long(first)).fetch_all(connection).await?;
            let last = rows.last().map(|row| join(&[&row.0.to_be_bytes()]));
            let items = rows.iter().map(|row| Ok(Item::Post(record::decode("a post", &row.1)?)));
            Ok((items.collect::<Result<_>>()?, last))
        }
        11 => {
            let query = sqlx::query_as("SELECT key, post FROM repetitions WHERE ($1 OR key > $2) ORDER BY key LIMIT $3");
            let rows: Vec<(Vec<u8>, i64)> = query.bind(first.is_none()).bind(octets(first)).bind(most).fetch_all(connection).await?;
            let last = rows.last().map(|row| join(&[&row.0]));
            Ok((rows.into_iter().map(|(key, post)| Item::Repetition(key, PostId(identifier(post)))).collect(), last))
        }
        12 => batches(connection, first, second).await,
        _ => plans(connection, first, most).await,
    }
}

async fn plans(connection: &mut PgConnection, first: Option<&&[u8]>, most: i64) -> std::result::Result<Rows, Fault> {
    let query = sqlx::query_as("SELECT post, batches, counts FROM plans WHERE ($1 OR post > $2) ORDER BY post LIMIT $3");
    let query = query.bind(first.is_none()).bind(long(first)).bind(most);
    let rows: Vec<(i64, i32, Vec<u8>)> = query.fetch_all(&mut *connection).await?;
    let last = rows.last().map(|row| join(&[&row.0.to_be_bytes()]));
    let mut items = Vec::with_capacity(rows.len());
    for (post, batches, counts) in rows {
        let post = PostId(identifier(post));
        let mut counts: Counts = record::decode("the counts of a plan", &counts)?;
        ledger::unfolded(connection, Some(post), &mut counts).await?;
        items.push(Item::Plan(post, batches.unsigned_abs(), counts));
    }
    Ok((items, last))
}

async fn batches(connection: &mut PgConnection, first: Option<&&[u8]>, second: Option<&&[u8]>) -> std::result::Result<Rows, Fault> {
    let query =
        sqlx::query_as("SELECT post, number, due FROM batches WHERE ($1 OR (post, number) > ($2, $3)) ORDER BY post, number LIMIT 32");
    let query = query.bind(first.is_none()).bind(long(first)).bind(int(second));
    let rows: Vec<(i64, i32, i64)> = query.fetch_all(&mut *connection).await?;
    let last = rows.last().map(|row| join(&[&row.0.to_be_bytes(), &row.1.to_be_bytes()]));
    let mut items = Vec::with_capacity(rows.len());
    for (post, number, due) in rows {
        let key = BatchKey { post: PostId(identifier(post)), number: number.cast_unsigned() };
        let Some(batch) = ledger::read(connection, key).await? else { continue };
        items.push(Item::Batch(Box::new(BatchItem {
            post: key.post,
            number: key.number,
            planned_at: batch.planned_at,
            tries: batch.tries.unsigned_abs(),
            due,
            recipients: batch.sheet.records(batch.plan),
        })));
    }
    Ok((items, last))
}

impl Access {
    async fn import_one(&self, item: &Item) -> Result<()> {
        transaction!(self, CHANGE, |connection| { import(connection, item, self.node).await }).map_err(StoreError::from)
    }
}

async fn import(connection: &mut PgConnection, item: &Item, node: i64) -> std::result::Result<(), Fault> {
    match item {
        Item::Body { key, octets, crc, offset, bytes } => {
            let piece = i32::try_from(offset / crate::store::transfer::PIECE as u64).unwrap_or(i32::MAX);
            sqlx::query("INSERT INTO chunks (key, number, bytes) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING")
                .bind(key.as_bytes())
                .bind(piece)
                .bind(bytes)
                .execute(&mut *connection)
                .await?;
            sqlx::query("INSERT INTO bodies (key, octets, crc) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING")
                .bind(key.as_bytes())
                .bind(i64::try_from(*octets).unwrap_or(i64::MAX))
                .bind(i64::from(*crc))
                .execute(connection)
                .await?;
        }
        Item::Entry(register, key, version, record) => {
            sqlx::query(
                "INSERT INTO entries (register, key, version, record) VALUES ($1, $2, $3, $4) \
                 ON CONFLICT (register, key) DO UPDATE SET version = excluded.version, record = excluded.record",
            )
            .bind(register.as_bytes())
            .bind(key.as_bytes())
            .bind(version.cast_signed())
            .bind(record)
            .execute(connection)
            .await?;
        }
        Item::Setting(name, value) => {
            sqlx::query("INSERT INTO settings (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value")
                .bind(name)
                .bind(value)
                .execute(connection)
                .await?;
        }
        Item::Mark(kind, key, at) => {
            sqlx::query(
                "INSERT INTO marks (kind, key, at, token) VALUES ($1, $2, $3, 0) ON CONFLICT (kind, key) DO UPDATE SET at = excluded.at",
            )
            .bind(kind)
            .bind(key)
            .bind(at)
            .execute(connection)
            .await?;
        }
        Item::Counter(kind, key, at, count) => {
            sqlx::query(
                "INSERT INTO tallies (kind, key, at, tally) VALUES ($1, $2, $3, $4) \
                 ON CONFLICT (kind, key) DO UPDATE SET at = excluded.at, tally = excluded.tally",
            )
            .bind(kind)
            .bind(key)
            .bind(at)
            .bind(count.cast_signed())
            .execute(connection)
            .await?;
        }
        Item::Repetition(key, post) => {
            sqlx::query("INSERT INTO repetitions (key, post) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET post = excluded.post")
                .bind(key)
                .bind(column(post.0))
                .execute(connection)
                .await?;
        }
        Item::Post(post) => {
            let old = posts::lock(connection, post.id).await?;
            posts::write(connection, old.as_ref(), post).await?;
        }
        Item::Plan(post, batches, counts) => import_plan(connection, *post, *batches, counts).await?,
        Item::Batch(batch) => import_batch(connection, batch, node).await?,
        Item::Audit(entry) => {
            // The same place each time, so that a page that comes again adds nothing.
            let row = record::encode(entry)?;
            let place = record::digest(&row).first_chunk::<8>().map_or(0, |bytes| i64::from_be_bytes(*bytes) >> 1);
            sqlx::query("INSERT INTO audit (at, place, node, code, record) VALUES ($1, $2, 0, $3, $4) ON CONFLICT DO NOTHING")
                .bind(record::nanoseconds(entry.at))
                .bind(place)
                .bind(entry.group.as_ref().map(code))
                .bind(row)
                .execute(connection)
                .await?;
        }
        Item::Group(_) | Item::Account(_) | Item::Subscription(_) | Item::Request(_) => {}
    }
    Ok(())
}

async fn import_plan(connection: &mut PgConnection, post: PostId, batches: u32, counts: &Counts) -> std::result::Result<(), Fault> {
    let query = sqlx::query_scalar("SELECT counts FROM plans WHERE post = $1 FOR UPDATE").bind(column(post.0));
    let old: Option<Vec<u8>> = query.fetch_optional(&mut *connection).await?;
    let before = old.map(|old| record::decode("the counts of a plan", &old)).transpose()?.unwrap_or_default();
    sqlx::query(
        "INSERT INTO plans (post, batches, open_batches, counts) VALUES ($1, $2, \
         (SELECT count(*) FROM batches WHERE post = $1 AND NOT closed), $3) \
         ON CONFLICT (post) DO UPDATE SET batches = excluded.batches, open_batches = excluded.open_batches, counts = excluded.counts",
    )
    .bind(column(post.0))
    .bind(number(batches))
    .bind(record::encode(counts)?)
    .execute(&mut *connection)
    .await?;
    ledger::total(connection, post, &before, counts).await
}

async fn import_batch(connection: &mut PgConnection, batch: &BatchItem, node: i64) -> std::result::Result<(), Fault> {
    let plan: Vec<_> = batch.recipients.iter().map(|recipient| recipient.planned.clone()).collect();
    let sheet = Sheet::of_records(&batch.recipients);
    let counts = record::encode(&sheet.counts())?;
    let open = i32::try_from(sheet.counts().open()).unwrap_or(i32::MAX);
    let (post, numbered, size) = (column(batch.post.0), number(batch.number), i32::try_from(plan.len()).unwrap_or(i32::MAX));
    sqlx::query(
        "INSERT INTO slices (post, planner, number, size, open, counts, plan) VALUES ($1, $2, $3, $4, $5, $6, $7) \
         ON CONFLICT (post, planner, number) DO UPDATE SET plan = excluded.plan",
    )
    .bind(post)
    .bind(node)
    .bind(numbered)
    .bind(size)
    .bind(open)
    .bind(&counts)
    .bind(record::encode(&plan)?)
    .execute(&mut *connection)
    .await?;
    sqlx::query(
        "INSERT INTO batches (post, number, planner, planned_at, tries, due, ready, holder, node, closed, size, open, counts, sheet) \
         VALUES ($1, $2, $3, $4, $5, $6, $6, 0, 0, $7, $8, $9, $10, $11) ON CONFLICT (post, number) DO UPDATE SET \
         planner = excluded.planner, tries = excluded.tries, due = excluded.due, ready = excluded.ready, closed = excluded.closed, \
         open = excluded.open, counts = excluded.counts, sheet = excluded.sheet",
    )
    .bind(post)
    .bind(numbered)
    .bind(node)
    .bind(batch.planned_at)
    .bind(batch.tries.cast_signed())
    .bind(batch.due)
    .bind(open == 0)
    .bind(size)
    .bind(open)
    .bind(counts)
    .bind(record::encode(&sheet)?)
    .execute(connection)
    .await?;
    Ok(())
}

#[async_trait]
impl Transfer for PostgresStore {
    async fn snapshot(&self) -> Result<Box<dyn Snapshot>> {
        let mut session = Session::begin(&self.access.pool, SNAPSHOT).await?;
        // Whoever reads it may be slow.
        let patience = "SET LOCAL idle_in_transaction_session_timeout = 0";
        session.connection().execute(patience).await.map_err(Fault::from)?;
        // The instant is that of the first query.
        session.connection().execute("SELECT count(*) FROM schema_versions").await.map_err(Fault::from)?;
        Ok(Box::new(PostgresSnapshot(session)))
    }

    async fn import(&self, items: Vec<Item>) -> Result<()> {
        let (mut groups, mut accounts, mut subscriptions): (Vec<_>, Vec<Account>, Vec<Subscription>) = Default::default();
        for item in items {
            match item {
                Item::Group(group) => groups.push(*group),
                Item::Account(account) => accounts.push(*account),
                Item::Subscription(one) => subscriptions.push(*one),
                Item::Request(request) => self.put_request(request).await?,
                other => self.access.import_one(&other).await?,
            }
        }
        if !groups.is_empty() {
            self.put_groups(groups).await?;
        }
        if !accounts.is_empty() {
            self.put_accounts(accounts).await?;
        }
        if !subscriptions.is_empty() {
            self.put_subscriptions(subscriptions).await?;
        }
        Ok(())
    }
}
