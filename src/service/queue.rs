//! The queue of outgoing mail: what waits, hurry, rest, take out.

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use super::{Actor, Failure, Services, post};
use crate::domain::id::PostId;
use crate::domain::ledger::Counts;
use crate::domain::post::{Post, PostState};

/// Name of the store's setting that holds whether sending rests.
pub const PAUSED: &str = "queue.paused";

/// A post with open recipients.
#[derive(Debug, Clone, Serialize)]
pub struct QueuedPost {
    /// Its id, for `queue drop` and `queue retry`.
    pub id: String,
    /// Groups addressed.
    pub groups: Vec<String>,
    /// Decoded subject.
    pub subject: String,
    /// Kind of post.
    pub kind: &'static str,
    /// `accepted` (waits for its time) or `planned`.
    pub state: &'static str,
    /// When it was taken.
    pub received_at: DateTime<Utc>,
    /// When it goes out, if it waits for its time (grace) and nobody is planned yet.
    pub goes_out: Option<DateTime<Utc>>,
    /// Recipients by state.
    pub counts: Counts,
}

/// The queue at a glance. `planned`, `sent`, `deferred`, `failed`, `bounced` and `suppressed` are over all posts kept.
#[derive(Debug, Clone, Serialize)]
pub struct QueueReport {
    /// Recipients by state.
    #[serde(flatten)]
    pub counts: Counts,
    /// Does sending rest?
    pub paused: bool,
    /// When the oldest open post was taken.
    pub oldest: Option<DateTime<Utc>>,
    /// Posts with open recipients, oldest first, at most [`SHOWN`].
    pub posts: Vec<QueuedPost>,
}

/// Most posts that a report lists.
pub const SHOWN: usize = 200;

/// What waits.
///
/// # Errors
/// When the store cannot be read.
pub async fn list(services: &Services) -> Result<QueueReport, Failure> {
    let mut posts = Vec::new();
    for post in services.store.open_posts(SHOWN).await? {
        posts.push(queued(&post, services.store.counts(post.id).await?));
    }
    let someday = services.now() + TimeDelta::days(36_500);
    for post in services.store.posts_to_plan(someday, SHOWN.saturating_sub(posts.len())).await? {
        posts.push(queued(&post, Counts::default()));
    }
    Ok(QueueReport {
        counts: services.store.total_counts().await?,
        paused: is_paused(services).await?,
        oldest: posts.iter().map(|post| post.received_at).min(),
        posts,
    })
}

fn queued(post: &Post, counts: Counts) -> QueuedPost {
    QueuedPost {
        id: post.id.to_string(),
        groups: post.groups.iter().map(ToString::to_string).collect(),
        subject: post.subject.clone(),
        kind: post.kind.as_str(),
        state: post.state.as_str(),
        received_at: post.received_at,
        goes_out: (post.state == PostState::Accepted).then_some(post.not_before),
        counts,
    }
}

/// Makes waiting batches due now: of one post, or of all. Returns how many batches.
///
/// # Errors
/// When there is no such post, or the store fails.
pub async fn retry(services: &Services, actor: &Actor, post: Option<PostId>, dry_run: bool) -> Result<u64, Failure> {
    if let Some(id) = post {
        known(services, id).await?;
    }
    if dry_run {
        return Ok(0);
    }
    let hastened = services.store.hasten(post, services.clock.now()).await?;
    services.audit(actor, "queue retry", None, post.map_or_else(|| "all".to_owned(), |id| id.to_string())).await?;
    Ok(hastened)
}

/// Lets sending rest, or go on. Mail is still taken.
///
/// # Errors
/// When the store fails.
pub async fn set_paused(services: &Services, actor: &Actor, paused: bool, dry_run: bool) -> Result<(), Failure> {
    if dry_run {
        return Ok(());
    }
    services.store.put_setting(PAUSED, vec![u8::from(paused)]).await?;
    services.audit(actor, if paused { "queue pause" } else { "queue resume" }, None, "all outgoing mail").await?;
    Ok(())
}

/// Does sending rest?
///
/// # Errors
/// When the store fails.
pub async fn is_paused(services: &Services) -> Result<bool, Failure> {
    Ok(services.store.setting(PAUSED).await?.is_some_and(|value| value == [1]))
}

/// Takes a post out of the queue: its open recipients become suppressed, with who did it; one that waits for its time is
/// stopped. Returns how many recipients were open.
///
/// # Errors
/// When there is no such post, or the store fails.
pub async fn drop_post(services: &Services, actor: &Actor, id: PostId, dry_run: bool) -> Result<u64, Failure> {
    let post = known(services, id).await?;
    if dry_run {
        return Ok(services.store.counts(id).await?.open());
    }
    if post.state == PostState::Accepted {
        post::stop(services, id).await?;
        services.audit(actor, "queue drop", None, format!("{id}: stopped before it went out")).await?;
        return Ok(0);
    }
    let now = services.clock.now();
    let dropped = services.store.drop_open(id, now, format!("taken out of the queue by {} on {}", actor.name, now.date_naive())).await?;
    services.audit(actor, "queue drop", None, format!("{id}: {dropped} recipients")).await?;
    Ok(dropped)
}

async fn known(services: &Services, id: PostId) -> Result<Post, Failure> {
    let unknown = || Failure::NotFound(format!("there is no post {id}; `enlace queue list` shows those that wait"));
    services.store.post(id).await?.ok_or_else(unknown)
}
