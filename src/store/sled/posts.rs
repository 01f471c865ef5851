//! Posts with their indexes, and bodies.

use std::path::PathBuf;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};

use super::committer::exists;
use super::rows::{Reader, Rows};
use super::{SledStore, keys, lock};
use crate::domain::group::GroupCode;
use crate::domain::id::PostId;
use crate::domain::post::{BodyRef, Post};
use crate::store::{BodySource, Durable, Kept, Posts, Result, StoreError, record};

/// A post.
pub(super) fn post(reader: Reader<'_>, id: PostId) -> Result<Option<Post>> {
    reader.get(&keys::post(id))?.map(|row| record::decode(&format!("post {id}"), &row)).transpose()
}

/// Posts whose key ends an index row; one that is gone is left out.
fn named<'r>(reader: Reader<'r>, rows: impl Iterator<Item = Result<(Vec<u8>, Vec<u8>)>> + 'r) -> Result<Vec<Post>> {
    let posts = rows.map(|row| post(reader, PostId(keys::last_number(&row?.0)))).collect::<Result<Vec<_>>>()?;
    Ok(posts.into_iter().flatten().collect())
}

#[async_trait]
impl Posts for SledStore {
    fn incoming(&self) -> PathBuf {
        self.shared.bodies.incoming()
    }

    async fn put_body(&self, source: BodySource) -> Result<BodyRef> {
        self.shared.accepts()?;
        self.blocking(move |shared| shared.bodies.put(source)).await
    }

    async fn body(&self, body: &BodyRef) -> Result<Bytes> {
        let body = body.clone();
        self.blocking(move |shared| shared.bodies.read(&body)).await
    }

    async fn keep_post(&self, post: Post, repetition_keys: Vec<String>) -> Result<Kept> {
        self.shared.accepts()?;
        self.change(move |w| {
            for key in &repetition_keys {
                if let Some(row) = w.changes.get(&keys::repetition(key))? {
                    return Ok(Kept::Repeated(Durable(PostId(keys::last_number(&row)))));
                }
            }
            if exists(&w.changes, &keys::post(post.id))? {
                return Err(StoreError::Unavailable(format!("there is a post {} already; try again with another identifier", post.id)));
            }
            for edition in &post.editions {
                w.shared.bodies.check(&edition.body)?;
            }
            for key in &repetition_keys {
                w.changes.put(&keys::repetition(key), &post.id.0.to_be_bytes())?;
            }
            w.write_post(None, &post)?;
            w.ring = true;
            Ok(Kept::New(Durable(post.id)))
        })
        .await
    }

    async fn update_post(&self, post: Post) -> Result<()> {
        self.change(move |w| {
            let old = w.post(post.id)?;
            w.write_post(old.as_ref(), &post)?;
            w.ring = true;
            Ok(())
        })
        .await
    }

    async fn post(&self, id: PostId) -> Result<Option<Post>> {
        self.read(move |reader, _| post(reader, id)).await
    }

    async fn posts_by_message_id(&self, message_id: &str) -> Result<Vec<Post>> {
        let prefix = keys::posts_of_message(message_id);
        self.read(move |reader, _| named(reader, reader.scan(&prefix, None))).await
    }

    async fn posts_to_plan(&self, now: DateTime<Utc>, limit: usize) -> Result<Vec<Post>> {
        self.shared.see(now);
        let last = (now.timestamp_millis(), PostId(u64::MAX));
        self.read(move |reader, shared| {
            let due: Vec<PostId> = lock(&shared.ledger).to_plan.range(..=last).take(limit).map(|(_, id)| *id).collect();
            let posts = due.into_iter().map(|id| post(reader, id)).collect::<Result<Vec<_>>>()?;
            Ok(posts.into_iter().flatten().collect())
        })
        .await
    }

    async fn next_plan_time(&self) -> Result<Option<DateTime<Utc>>> {
        let first = lock(&self.shared.ledger).to_plan.first().map(|(at, _)| *at);
        Ok(first.and_then(DateTime::from_timestamp_millis))
    }

    async fn held_posts(&self, after: Option<PostId>, limit: usize) -> Result<Vec<Post>> {
        let after = after.map(keys::held);
        self.read(move |reader, _| named(reader, reader.scan(keys::HELD, after.as_deref()).take(limit))).await
    }

    async fn posts_of_group(&self, group: &GroupCode, before: Option<PostId>, limit: usize) -> Result<Vec<Post>> {
        let prefix = keys::posts_of_group(group);
        let before = before.map(|id| keys::post_of_group(group, id));
        self.read(move |reader, _| named(reader, reader.scan_back(&prefix, before.as_deref()).take(limit))).await
    }
}
