//! Meetings and what was sent of them, as they lie in the store: a version octet and postcard.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::domain::id::PostId;
use crate::domain::meeting::{Meeting, MeetingId, NoticeKey, notices};
use crate::domain::mistake::Mistake;
use crate::service::{Failure, Services};
use crate::store::{StoreError, record};

/// Register of the records.
pub const MEETINGS: &str = "meeting";
/// Register of what was sent.
pub const NOTICES: &str = "meeting-notices";
/// Most meetings that are kept in memory.
const KEPT: usize = 2_000;
/// Entries read at a time.
const PAGE: usize = 200;
/// How often a write is tried again because another was first.
const MOST_TRIES: usize = 20;

/// A notice that went out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// When.
    pub at: DateTime<Utc>,
    /// As which post; `None` where there was nobody to send it to.
    pub post: Option<PostId>,
}

/// What was sent of one meeting.
pub type Marks = BTreeMap<NoticeKey, Mark>;

/// A meeting with the version of its record.
pub async fn find(services: &Services, id: &MeetingId) -> Result<Option<(u64, Meeting)>, Failure> {
    let Some((version, bytes)) = services.store.entry(MEETINGS, id.as_str()).await? else { return Ok(None) };
    Ok(Some((version, record::decode(&format!("meeting {id}"), &bytes)?)))
}

/// All meetings, by id; kept in memory until one changes, up to [`KEPT`] of them.
pub async fn all(services: &Services) -> Result<Vec<Meeting>, Failure> {
    let (backend, now) = (services.config.store.backend, services.now());
    let mark = match services.meetings.get(backend, now) {
        Ok(kept) => return Ok(kept.to_vec()),
        Err(mark) => mark,
    };
    let meetings = read_all(services).await?;
    if meetings.len() <= KEPT {
        services.meetings.keep(mark, now, Arc::new(meetings.clone()));
    }
    Ok(meetings)
}

async fn read_all(services: &Services) -> Result<Vec<Meeting>, Failure> {
    let mut meetings = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let page = services.store.entries(MEETINGS, after.as_deref(), PAGE).await?;
        let Some((last, ..)) = page.last() else { return Ok(meetings) };
        after = Some(last.clone());
        for (key, _, bytes) in &page {
            meetings.push(record::decode(&format!("meeting {key}"), bytes)?);
        }
    }
}

/// Writes a meeting whose record is still of version `expected`.
pub async fn put(services: &Services, meeting: &Meeting, expected: u64) -> Result<(), Failure> {
    let written = services.store.put_entry(MEETINGS, meeting.id.as_str(), expected, record::encode(meeting)?).await?;
    services.meetings.changed();
    written.map(|_| ()).ok_or_else(|| Mistake::ChangedMeanwhile.about([&meeting.id]).into())
}

/// What was sent of a meeting.
pub async fn marks(services: &Services, id: &MeetingId) -> Result<Marks, Failure> {
    match services.store.entry(NOTICES, id.as_str()).await? {
        Some((_, bytes)) => Ok(record::decode(&format!("the notices of {id}"), &bytes)?),
        None => Ok(Marks::new()),
    }
}

/// The same as the plan wants it.
pub fn sent(marks: &Marks) -> notices::Sent {
    marks.iter().map(|(key, mark)| (key.clone(), mark.at)).collect()
}

/// Adds marks; those that are there stay.
pub async fn mark(services: &Services, id: &MeetingId, more: &Marks) -> Result<(), Failure> {
    change(services, id, |marks| {
        for (key, mark) in more {
            marks.entry(key.clone()).or_insert_with(|| mark.clone());
        }
    })
    .await
}

/// Front of the milestone under which stands which post of a notice nobody got; no notice has it.
const LIFTED: &str = "lifted-";

fn lifted_key(key: &NoticeKey) -> NoticeKey {
    NoticeKey { milestone: format!("{LIFTED}{}", key.milestone), ..key.clone() }
}

/// The marks without those of `posts`, which nobody got: what they said is to be said again, as far as it is still so.
pub fn without(marks: &Marks, posts: &BTreeSet<PostId>) -> Marks {
    let mut rest = Marks::new();
    for (key, mark) in marks {
        if key.milestone.starts_with(LIFTED) {
            // Only the latest counts.
            rest.entry(key.clone()).or_insert_with(|| mark.clone());
        } else {
            let gone = mark.post.is_some_and(|post| posts.contains(&post));
            rest.insert(if gone { lifted_key(key) } else { key.clone() }, mark.clone());
        }
    }
    rest
}

/// Takes the marks of `posts` away.
pub async fn lift(services: &Services, id: &MeetingId, posts: &BTreeSet<PostId>) -> Result<(), Failure> {
    change(services, id, |marks| *marks = without(marks, posts)).await
}

/// The name under which the post of a notice is kept once; another one after each that nobody got.
pub fn repetition_key(marks: &Marks, key: &NoticeKey) -> String {
    match marks.get(&lifted_key(key)).and_then(|mark| mark.post) {
        Some(post) => format!("meeting-notice {key} after {post}"),
        None => format!("meeting-notice {key}"),
    }
}

async fn change(services: &Services, id: &MeetingId, change: impl Fn(&mut Marks)) -> Result<(), Failure> {
    for _ in 0..MOST_TRIES {
        let (version, mut marks) = match services.store.entry(NOTICES, id.as_str()).await? {
            Some((version, bytes)) => (version, record::decode::<Marks>(&format!("the notices of {id}"), &bytes)?),
            None => (0, Marks::new()),
        };
        let before = marks.clone();
        change(&mut marks);
        if marks == before || services.store.put_entry(NOTICES, id.as_str(), version, record::encode(&marks)?).await?.is_some() {
            return Ok(());
        }
    }
    Err(Failure::Store(StoreError::Unavailable(format!("the notices of {id} are written by too many at once; try again"))))
}
