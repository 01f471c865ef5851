//! Posts with their indexes.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::bodies::check;
use super::session::{CHANGE, Fault, statement, transaction};
use super::values::{code, column, decode_all, digest, identifier, key as repetition, limit, milliseconds};
use super::{Access, PostgresStore};
use crate::domain::group::GroupCode;
use crate::domain::id::PostId;
use crate::domain::post::{BodyRef, Post, PostState};
use crate::store::sheet::{is_halted, urgency};
use crate::store::{BodySource, Durable, Kept, Posts, Result, StoreError, record};

/// `posts.state`, for the partial indexes.
fn state(post: &Post) -> i32 {
    match post.state {
        PostState::Accepted => 0,
        PostState::Held(_) | PostState::AwaitsAuthor(_) => 1,
        PostState::Planned => 2,
        _ => 3,
    }
}

/// Reads a post and locks its row.
pub(super) async fn lock(connection: &mut PgConnection, id: PostId) -> std::result::Result<Option<Post>, Fault> {
    let row: Option<Vec<u8>> =
        sqlx::query_scalar("SELECT record FROM posts WHERE id = $1 FOR UPDATE").bind(column(id.0)).fetch_optional(connection).await?;
    Ok(row.map(|row| record::decode(&format!("post {id}"), &row)).transpose()?)
}

/// Writes a post in place of `old`, with its indexes; `false` if it was to be new and is there.
pub(super) async fn write(connection: &mut PgConnection, old: Option<&Post>, new: &Post) -> std::result::Result<bool, Fault> {
    let groups: BTreeSet<Vec<u8>> = new.groups.iter().map(code).collect();
    let former: BTreeSet<Vec<u8>> = old.map(|old| old.groups.iter().map(code).collect()).unwrap_or_default();
    let query = if old.is_some() {
        sqlx::query(
            "UPDATE posts SET version = version + 1, state = $2, halted = $3, not_before = $4, message = $5, code = $6, octets = $7, \
             urgency = $8, record = $9 WHERE id = $1",
        )
    } else {
        sqlx::query(
            "INSERT INTO posts (id, version, state, halted, not_before, message, code, octets, urgency, planner, planner_until, record) \
             VALUES ($1, 1, $2, $3, $4, $5, $6, $7, $8, 0, 0, $9) ON CONFLICT DO NOTHING",
        )
    };
    let written = query
        .bind(column(new.id.0))
        .bind(state(new))
        .bind(is_halted(&new.state))
        .bind(milliseconds(new.not_before))
        .bind(digest(new.message_id.as_bytes()))
        .bind(new.groups.first().map(code).unwrap_or_default())
        .bind(i64::try_from(new.octets()).unwrap_or(i64::MAX))
        .bind(i32::from(urgency(new.kind)))
        .bind(record::encode(new)?)
        .execute(&mut *connection)
        .await?
        .rows_affected();
    if written == 0 {
        return Ok(false);
    }
    let added: Vec<&Vec<u8>> = groups.difference(&former).collect();
    if !added.is_empty() {
        sqlx::query("INSERT INTO post_groups (code, post) SELECT code, $2 FROM unnest($1::bytea[]) AS given (code) ON CONFLICT DO NOTHING")
            .bind(added)
            .bind(column(new.id.0))
            .execute(&mut *connection)
            .await?;
    }
    let gone: Vec<&Vec<u8>> = former.difference(&groups).collect();
    if !gone.is_empty() {
        let query = sqlx::query("DELETE FROM post_groups WHERE code = ANY($1) AND post = $2");
        query.bind(gone).bind(column(new.id.0)).execute(connection).await?;
    }
    Ok(true)
}

/// Remembers repetition keys, unless one of them is known.
async fn remember(connection: &mut PgConnection, keys: &BTreeSet<Vec<u8>>, id: PostId) -> std::result::Result<(), Fault> {
    let keys: Vec<&Vec<u8>> = keys.iter().collect();
    let query =
        sqlx::query("INSERT INTO repetitions (key, post) SELECT key, $2 FROM unnest($1::bytea[]) AS given (key) ON CONFLICT DO NOTHING");
    let written = query.bind(&keys).bind(column(id.0)).execute(&mut *connection).await?.rows_affected();
    if written == keys.len() as u64 {
        return Ok(());
    }
    let found: Vec<(Vec<u8>, i64)> = sqlx::query_as("SELECT key, post FROM repetitions WHERE key = ANY($1) AND post <> $2")
        .bind(&keys)
        .bind(column(id.0))
        .fetch_all(connection)
        .await?;
    match found.first() {
        Some((_, post)) => Err(Fault::Repeated(PostId(identifier(*post)))),
        None => Err(Fault::Conflict(StoreError::Unavailable("a repetition key is on its way".into()))),
    }
}

impl Access {
    /// Keeps a post as [`Posts::keep_post`] does.
    async fn keep(&self, post: &Post, keys: &[String]) -> std::result::Result<(), Fault> {
        let keys: BTreeSet<Vec<u8>> = keys.iter().map(|key| repetition(key)).collect();
        let bodies: Vec<BodyRef> = post.editions.iter().map(|edition| edition.body.clone()).collect();
        transaction!(self, CHANGE, |connection| {
            if !keys.is_empty() {
                remember(connection, &keys, post.id).await?;
            }
            check(connection, &bodies).await?;
            if !write(connection, None, post).await? {
                let text = format!("there is a post {} already; try again with another identifier", post.id);
                return Err(Fault::Store(StoreError::Unavailable(text)));
            }
            Ok(())
        })
    }

    /// The post of an open batch in this version, shared by all who work on it.
    pub(super) async fn shared_post(&self, id: PostId, version: i64) -> Result<Arc<Post>> {
        if let Some(post) = self.cached(id, version) {
            return Ok(post);
        }
        let row: Option<(i64, Vec<u8>)> = statement!(self, |connection| {
            let query = sqlx::query_as("SELECT version, record FROM posts WHERE id = $1");
            Ok(query.bind(column(id.0)).fetch_optional(connection).await?)
        })?;
        let what = format!("post {id}");
        let (version, row) = row.ok_or_else(|| record::damaged(&what, "it has open batches and no row"))?;
        let post = Arc::new(record::decode::<Post>(&what, &row)?);
        self.cache(version, &post);
        Ok(post)
    }
}

#[async_trait]
impl Posts for PostgresStore {
    fn incoming(&self) -> PathBuf {
        self.incoming.clone()
    }

    async fn put_body(&self, source: BodySource) -> Result<BodyRef> {
        self.access.put_body(&self.incoming, source).await
    }

    async fn body(&self, body: &BodyRef) -> Result<Bytes> {
        self.access.body(body).await
    }

    async fn keep_post(&self, post: Post, repetition_keys: Vec<String>) -> Result<Kept> {
        match self.access.keep(&post, &repetition_keys).await {
            Ok(()) => {
                self.access.ring();
                Ok(Kept::New(Durable(post.id)))
            }
            Err(Fault::Repeated(id)) => Ok(Kept::Repeated(Durable(id))),
            Err(fault) => Err(fault.into()),
        }
    }

    async fn update_post(&self, post: Post) -> Result<()> {
        transaction!(self.access, CHANGE, |connection| {
            let old = lock(connection, post.id).await?;
            if !write(connection, old.as_ref(), &post).await? {
                return Err(Fault::Conflict(StoreError::Unavailable(format!("post {} is just being written", post.id))));
            }
            Ok(())
        })?;
        self.access.ring();
        Ok(())
    }

    async fn post(&self, id: PostId) -> Result<Option<Post>> {
        let row: Option<Vec<u8>> = statement!(self.access, |connection| {
            Ok(sqlx::query_scalar("SELECT record FROM posts WHERE id = $1").bind(column(id.0)).fetch_optional(connection).await?)
        })?;
        row.map(|row| record::decode(&format!("post {id}"), &row)).transpose()
    }

    async fn posts_by_message_id(&self, message_id: &str) -> Result<Vec<Post>> {
        let rows: Vec<Vec<u8>> = statement!(self.access, |connection| {
            let query = sqlx::query_scalar("SELECT record FROM posts WHERE message = $1 ORDER BY id");
            Ok(query.bind(digest(message_id.as_bytes())).fetch_all(connection).await?)
        })?;
        decode_all("a post", &rows)
    }

    /// Posts that another node is planning at present are left out.
    async fn posts_to_plan(&self, now: DateTime<Utc>, count: usize) -> Result<Vec<Post>> {
        self.access.see(now);
        let rows: Vec<Vec<u8>> = statement!(self.access, |connection| {
            let query = sqlx::query_scalar(
                "SELECT record FROM posts WHERE state = 0 AND not_before <= COALESCE($1::bigint, CAST(EXTRACT(EPOCH FROM \
                 statement_timestamp()) * 1000 AS bigint) + $2::bigint) AND (planner = 0 OR planner = $3 OR planner_until < \
                 CAST(EXTRACT(EPOCH FROM statement_timestamp()) * 1000 AS bigint)) ORDER BY not_before, id LIMIT $4",
            );
            let now = self.access.now(now);
            Ok(query.bind(now.0).bind(now.1).bind(self.access.node).bind(limit(count)).fetch_all(connection).await?)
        })?;
        decode_all("a post", &rows)
    }

    async fn next_plan_time(&self) -> Result<Option<DateTime<Utc>>> {
        let first: Option<i64> = statement!(self.access, |connection| {
            Ok(sqlx::query_scalar("SELECT min(not_before) FROM posts WHERE state = 0").fetch_one(connection).await?)
        })?;
        Ok(first.and_then(DateTime::from_timestamp_millis))
    }

    async fn held_posts(&self, after: Option<PostId>, count: usize) -> Result<Vec<Post>> {
        let rows: Vec<Vec<u8>> = statement!(self.access, |connection| {
            let query =
                sqlx::query_scalar("SELECT record FROM posts WHERE state = 1 AND ($1::bigint IS NULL OR id > $1) ORDER BY id LIMIT $2");
            Ok(query.bind(after.map(|id| column(id.0))).bind(limit(count)).fetch_all(connection).await?)
        })?;
        decode_all("a post", &rows)
    }

    async fn posts_of_group(&self, group: &GroupCode, before: Option<PostId>, count: usize) -> Result<Vec<Post>> {
        let rows: Vec<Vec<u8>> = statement!(self.access, |connection| {
            let query = sqlx::query_scalar(
                "SELECT p.record FROM post_groups g JOIN posts p ON p.id = g.post \
                 WHERE g.code = $1 AND ($2::bigint IS NULL OR g.post < $2) ORDER BY g.post DESC LIMIT $3",
            );
            Ok(query.bind(code(group)).bind(before.map(|id| column(id.0))).bind(limit(count)).fetch_all(connection).await?)
        })?;
        decode_all("a post", &rows)
    }
}
