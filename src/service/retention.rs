//! What is not kept any longer: bytes of the archive past `archive_keep`, rows of the ledger past `retention.ledger`, counters and repetition
//! keys past `retention.marks`; then the disk gets its room back.
//!
//! A post keeps its place: that it was there, when, and how many got it. The job looks at what became old since it last ran, so a night
//! costs what a day brought. An import brings old posts in, so it is looked at from the beginning then.

use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::{Actor, Failure, GroupTable, Services, archive};
use crate::domain::archive::EXPIRED;
use crate::domain::group::GroupCode;
use crate::domain::id::PostId;
use crate::domain::post::{Arrival, Audience, BodyRef, Edition, Post, PostState};
use crate::store::{BodySource, record};

/// Setting of the store, behind it the code: up to which post of a group this was done.
const DONE: &str = "retention";
/// Posts read at a time.
const PAGE: usize = 500;
/// Nothing younger than that is swept: it may not be named yet.
const SWEEP_AGE: Duration = Duration::from_hours(6);

/// What was let go.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct LetGo {
    /// Posts whose words went.
    pub archive: u64,
    /// Rows of the ledger.
    pub ledger: u64,
    /// Counters and repetition keys.
    pub tallies: u64,
    /// Octets given back to the disk.
    pub octets: u64,
}

/// Up to which post a group was gone through.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Done {
    imports: u64,
    archive: u64,
    ledger: u64,
}

/// Lets go of what is over; safe to run twice.
///
/// # Errors
/// When the store or the search index fails; what was done until then stays done.
pub async fn run(services: &Services) -> Result<LetGo, Failure> {
    let mut let_go = LetGo::default();
    let table = services.groups();
    let kept = &services.config.retention;
    let ledger_before = before(services, kept.ledger.0);
    for group in table.iter() {
        let name = format!("{DONE} {}", group.code);
        let noted = services.store.setting(&name).await?;
        let mut done: Done = noted.map(|bytes| record::decode("how far retention went", &bytes)).transpose()?.unwrap_or_default();
        let former = done;
        let imports = archive::imports_of(services, &group.code).await?;
        if imports != done.imports {
            done = Done { imports, ..Done::default() };
        }
        if let Some(since) = archive::since(group, services.now()) {
            let_go.archive += expire(services, &table, &group.code, since, &mut done.archive).await?;
        }
        if let Some(before) = ledger_before {
            let_go.ledger += forget(services, &group.code, before, &mut done.ledger).await?;
        }
        if done != former {
            services.store.put_setting(&name, record::encode(&done)?).await?;
        }
    }
    if let Some(before) = before(services, kept.marks.0) {
        let_go.tallies = services.store.forget_tallies(before).await?;
    }
    let_go.octets = services.store.sweep(SWEEP_AGE).await?.octets;
    if let_go.archive + let_go.ledger > 0 {
        let detail = format!("{} posts past archive_keep, {} rows of the ledger", let_go.archive, let_go.ledger);
        services.audit(&Actor::job("retention"), "retention", None, detail).await?;
    }
    Ok(let_go)
}

/// The instant before which something that is kept so long is over; `None` is for ever.
fn before(services: &Services, kept: Duration) -> Option<DateTime<Utc>> {
    if kept.is_zero() {
        return None;
    }
    TimeDelta::from_std(kept).ok().and_then(|kept| services.now().checked_sub_signed(kept))
}

/// Posts of a group before `limit` and behind `done`, newest first, in pages.
struct Old<'a> {
    services: &'a Services,
    code: &'a GroupCode,
    at: PostId,
    done: u64,
}

impl<'a> Old<'a> {
    fn new(services: &'a Services, code: &'a GroupCode, limit: DateTime<Utc>, done: u64) -> Self {
        Self { services, code, at: PostId::new(limit, 0), done }
    }

    async fn next(&mut self) -> Result<Vec<Post>, Failure> {
        let mut page = self.services.store.posts_of_group(self.code, Some(self.at), PAGE).await?;
        if let Some(last) = page.last() {
            self.at = last.id;
        }
        page.retain(|post| post.id.0 > self.done);
        Ok(page)
    }
}

async fn expire(services: &Services, table: &GroupTable, code: &GroupCode, since: DateTime<Utc>, done: &mut u64) -> Result<u64, Failure> {
    let mut old = Old::new(services, code, since, *done);
    let (mut expired, mut stub) = (Vec::new(), None);
    let mut until = PostId::new(since, 0).0;
    loop {
        let page = old.next().await?;
        if page.is_empty() {
            break;
        }
        for post in page {
            // What another group keeps longer goes when that one's time is over.
            let everywhere = post.groups.iter().all(|code| {
                table.get(code).is_some_and(|group| archive::since(group, services.now()).is_some_and(|since| post.received_at < since))
            });
            let is_over =
                matches!(post.state, PostState::Done | PostState::Rejected(_) | PostState::Discarded(_) | PostState::Withdrawn(_));
            if !is_over {
                // It is looked at again.
                until = until.min(post.id.0.saturating_sub(1));
            } else if everywhere && post.origin != EXPIRED {
                expired.push(post.id);
                let body = stub_body(services, &mut stub).await?;
                services.store.update_post(emptied(post, body)).await?;
            }
        }
    }
    archive::refresh(services, &expired).await?;
    *done = (*done).max(until);
    Ok(expired.len() as u64)
}

/// One body for all of a run.
async fn stub_body(services: &Services, stub: &mut Option<BodyRef>) -> Result<BodyRef, Failure> {
    if let Some(body) = stub {
        return Ok(body.clone());
    }
    let text = "Content-Type: text/plain; charset=utf-8\r\n\r\nNot kept any longer.\r\n";
    let body = services.store.put_body(BodySource::Bytes(Bytes::from_static(text.as_bytes()))).await?;
    Ok(stub.insert(body).clone())
}

/// The post without its words and without its author.
fn emptied(post: Post, body: BodyRef) -> Post {
    Post {
        editions: vec![Edition { language: None, body }],
        subject: String::new(),
        sender: None,
        author: None,
        arrival: Arrival::default(),
        origin: EXPIRED.to_owned(),
        ..post
    }
}

async fn forget(services: &Services, code: &GroupCode, before: DateTime<Utc>, done: &mut u64) -> Result<u64, Failure> {
    let mut old = Old::new(services, code, before, *done);
    let (mut rows, mut until) = (0, PostId::new(before, 0).0);
    loop {
        let page = old.next().await?;
        if page.is_empty() {
            break;
        }
        for mut post in page {
            rows += services.store.forget_plan(post.id).await?;
            // Who was listed stands in the post itself too.
            let is_over = !matches!(post.state, PostState::Accepted | PostState::Planned | PostState::Held(_) | PostState::AwaitsAuthor(_));
            if !is_over {
                until = until.min(post.id.0.saturating_sub(1));
            }
            if let Audience::Listed(listed) | Audience::Role(_, listed) = &mut post.audience
                && is_over
                && !listed.is_empty()
            {
                listed.clear();
                services.store.update_post(post).await?;
            }
        }
    }
    *done = (*done).max(until);
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::address::EmailAddress;
    use crate::domain::ledger::{PlannedRecipient, RecipientState};
    use crate::domain::post::PostKind;
    use crate::domain::reason::{Reason, Rule};
    use crate::service::archive::Reader;
    use crate::service::group;
    use crate::service::trial::{GROUPS, Trial, code, operator};
    use crate::store::BatchKey;

    async fn post(trial: &Trial, at: DateTime<Utc>, groups: &[&str], words: &str) -> PostId {
        let services = &trial.services;
        let text = format!("From: ana@x.test\r\nSubject: {words}\r\nMessage-ID: <{words}@x.test>\r\n\r\nAbout {words}.\r\n");
        let body = services.store.put_body(BodySource::Bytes(Bytes::from(text))).await.unwrap();
        let id = PostId::new(at, 7);
        let post = Post {
            id,
            groups: groups.iter().map(|group| code(group)).collect(),
            kind: PostKind::Discussion,
            message_id: format!("{words}@x.test"),
            subject: words.into(),
            sender: None,
            author: None,
            received_at: at,
            not_before: at,
            editions: vec![Edition { language: None, body }],
            audience: Audience::Subscribers,
            state: PostState::Accepted,
            arrival: Arrival::default(),
            origin: String::new(),
        };
        services.store.keep_post(post, vec![format!("{words} {}", groups[0])]).await.unwrap();
        services.store.begin_plan(id).await.unwrap();
        let recipient = PlannedRecipient {
            address: "mia@x.test".into(),
            account: None,
            group: 0,
            edition: 0,
            state: RecipientState::Suppressed,
            reason: Reason::new(Rule::NotSubscribed, ["mia@x.test", groups[0]]),
        };
        services.store.add_batch(BatchKey { post: id, number: 0 }, vec![recipient]).await.unwrap();
        services.store.finish_plan(id, 1, at).await.unwrap();
        id
    }

    async fn found(services: &Services, words: &str) -> usize {
        archive::search(services, &code("AMR"), Reader::Operator, words, 0, 10).await.unwrap().total
    }

    #[tokio::test]
    async fn what_archive_keep_does_not_keep_loses_its_words_and_keeps_its_place() {
        let trial = Trial::peopled().await;
        let services = &trial.services;
        let now = services.now();
        let old = post(&trial, now - TimeDelta::days(40), &["AMR"], "alpha").await;
        let both = post(&trial, now - TimeDelta::days(41), &["AMR", "SG12"], "beta").await;
        let young = post(&trial, now - TimeDelta::days(10), &["AMR"], "gamma").await;
        archive::feed(services).await.unwrap();
        archive::seal(services, &code("AMR")).await.unwrap();
        assert_eq!(run(services).await.unwrap().archive, 0, "nothing says that it must go");
        let keep = GROUPS.replace("list = \"amr\"", "list = \"amr\"\narchive_keep = \"30 days\"");
        group::apply(services, &operator(), &keep, "groups.toml", false).await.unwrap();
        assert_eq!(found(services, "gamma").await, 1);
        assert_eq!(run(services).await.unwrap().archive, 1);
        assert_eq!(run(services).await.unwrap().archive, 0, "twice is once");
        let state = async |id| {
            let post = services.store.post(id).await.unwrap().unwrap();
            let text = services.store.body(&post.editions[0].body).await.unwrap();
            (post.subject, String::from_utf8_lossy(&text).contains("About"))
        };
        assert_eq!(state(old).await, (String::new(), false));
        assert_eq!(state(both).await, ("beta".into(), true), "SG12 keeps it");
        assert_eq!(state(young).await, ("gamma".into(), true));
        assert_eq!(services.store.counts(old).await.unwrap().considered(), 1, "the ledger is another matter");
        assert_eq!(archive::post(services, &code("AMR"), Reader::Operator, young).await.unwrap().line.subject, "gamma");
        let verified = archive::verify(services, &code("AMR"), &|_, _| ()).await.unwrap();
        assert_eq!((verified.let_go, verified.faults.len()), (1, 0), "{verified:?}");

        let keep = keep.replace("list = \"sg12\"", "list = \"sg12\"\narchive_keep = \"30 days\"");
        group::apply(services, &operator(), &keep, "groups.toml", false).await.unwrap();
        assert_eq!(run(services).await.unwrap().archive, 1, "now SG12 keeps it no longer either");
        trial.advance_days(25);
        assert_eq!(run(services).await.unwrap().archive, 1);
        assert_eq!(found(services, "gamma").await, 0);
    }

    #[tokio::test]
    async fn the_ledger_and_its_counters_go_when_their_time_is_over_and_the_counts_stay() {
        let trial = Trial::peopled().await;
        let now = trial.services.now();
        let old = post(&trial, now - TimeDelta::days(40), &["AMR"], "alpha").await;
        let young = post(&trial, now - TimeDelta::days(10), &["AMR"], "gamma").await;
        let address: EmailAddress = "mia@x.test".parse().unwrap();
        trial.services.store.count_up("robot", address.as_str()).await.unwrap();
        assert_eq!(run(&trial.services).await.unwrap().ledger, 0, "kept for ever as shipped");
        let mut config = (*trial.services.config).clone();
        config.retention.ledger = crate::config::Span(Duration::from_hours(24 * 30));
        trial.services.config.replace(config);
        let services = &trial.services;
        assert_eq!(run(services).await.unwrap().ledger, 1);
        assert_eq!((services.store.batch_count(old).await.unwrap(), services.store.batch_count(young).await.unwrap()), (0, 1));
        assert_eq!(services.store.counts(old).await.unwrap().suppressed, 1);
        assert_eq!(services.store.total_counts().await.unwrap().considered(), 2);
    }
}
