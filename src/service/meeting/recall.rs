//! What a person did to a meeting within the grace time of what she did before: the earlier notice is taken back, and one mail
//! with the new state goes out, or none.
//!
//! A notice whose post nobody got yet counts as not sent as soon as another act follows. First the posts are stopped, then the
//! marks are lifted, and only then a new post is kept under a name of its own; a crash between any two of these is met by the
//! same steps, because they are asked for whenever an act is due.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};

use super::record::{self, Marks};
use super::send::said_by;
use super::{due, planned};
use crate::domain::id::PostId;
use crate::domain::meeting::{Meeting, MeetingId, Notice, NoticeKey, To};
use crate::domain::post::{Post, PostState};
use crate::service::{Failure, Services, post};

/// Posts of a meeting that wait, invitations and all; more than one meeting ever has.
const MOST_WAITING: usize = 10_000;

/// Is it what the next act says anew, or makes untrue? A report is neither.
fn is_recalled(key: &NoticeKey) -> bool {
    matches!(key.milestone.as_str(), "announcement" | "change" | "cancelled" | "postponed") || key.milestone.starts_with("withdrawn-")
}

fn is_waiting(services: &Services, post: &Post) -> bool {
    post.state == PostState::Accepted && post.not_before > services.now()
}

/// Posts of acts that nobody got: they wait for the end of their grace time, or were stopped in it.
async fn unheard(services: &Services, marks: &Marks) -> Result<BTreeSet<PostId>, Failure> {
    let posts: BTreeSet<PostId> = marks.iter().filter(|(key, _)| is_recalled(key)).filter_map(|(_, mark)| mark.post).collect();
    let mut unheard = BTreeSet::new();
    for id in posts {
        if let Some(post) = services.store.post(id).await?
            && (is_waiting(services, &post) || matches!(post.state, PostState::Withdrawn(_)))
        {
            unheard.insert(id);
        }
    }
    Ok(unheard)
}

/// Is an act due that readers of the meeting are to hear of?
fn tells_anew(plan: &[Notice]) -> bool {
    due(plan).any(|notice| is_recalled(&notice.key) && notice.to != To::Managers)
}

/// The marks and the plan as they are once what nobody got is taken back; nothing is written.
pub(super) async fn expected(services: &Services, meeting: &Meeting) -> Result<(Marks, Vec<Notice>), Failure> {
    let marks = record::marks(services, &meeting.id).await?;
    let plan = planned(services, meeting, &marks);
    if !tells_anew(&plan) {
        return Ok((marks, plan));
    }
    let marks = record::without(&marks, &unheard(services, &marks).await?);
    let plan = planned(services, meeting, &marks);
    Ok((marks, plan))
}

/// When readers hear of what was done last: at the end of the grace time, `None` where there is nothing to hear, or it is out.
///
/// # Errors
/// When the store fails.
pub async fn goes_out_at(services: &Services, meeting: &Meeting) -> Result<Option<DateTime<Utc>>, Failure> {
    let before = record::marks(services, &meeting.id).await?;
    let (marks, plan) = expected(services, meeting).await?;
    if tells_anew(&plan) {
        return Ok(Some(services.now() + grace(services, meeting)));
    }
    if marks != before {
        return Ok(None);
    }
    let mut first: Option<DateTime<Utc>> = None;
    for id in waiting(services, &meeting.id).await? {
        first = [first, services.store.post(id).await?.map(|post| post.not_before)].into_iter().flatten().min();
    }
    Ok(first)
}

/// What became of the posts of the notices: those that wait, with their time, and those that were stopped (`None`).
pub(super) async fn held_back(services: &Services, marks: &Marks) -> Result<BTreeMap<PostId, Option<DateTime<Utc>>>, Failure> {
    let mut held = BTreeMap::new();
    for id in marks.values().filter_map(|mark| mark.post) {
        match services.store.post(id).await? {
            Some(post) if is_waiting(services, &post) => _ = held.insert(id, Some(post.not_before)),
            Some(post) if matches!(post.state, PostState::Withdrawn(_)) => _ = held.insert(id, None),
            _ => {}
        }
    }
    Ok(held)
}

/// How long what a person does to the meeting can be stopped: the longest grace time of the groups that hold it.
pub(super) fn grace(services: &Services, meeting: &Meeting) -> TimeDelta {
    let groups = services.groups();
    let holding = meeting.active_groups().filter_map(|code| groups.get(code)).filter(|group| !group.retired);
    holding.filter_map(|group| TimeDelta::from_std(group.grace).ok()).max().unwrap_or_default()
}

/// Takes back what nobody got, if an act is due. Safe to run at any time, on any number of nodes.
pub(super) async fn recall(services: &Services, meeting: &Meeting) -> Result<(), Failure> {
    let marks = record::marks(services, &meeting.id).await?;
    if !tells_anew(&planned(services, meeting, &marks)) {
        return Ok(());
    }
    let mut unheard = unheard(services, &marks).await?;
    if unheard.is_empty() {
        return Ok(());
    }
    for waiting in waiting(services, &meeting.id).await? {
        match post::stop(services, waiting).await {
            Ok(_) => {}
            // It went out at this very moment: then it was heard.
            Err(Failure::Mistaken(_)) => _ = unheard.remove(&waiting),
            Err(other) => return Err(other),
        }
    }
    record::lift(services, &meeting.id, &unheard).await
}

/// Waiting posts of the meeting's acts, the invitations of single readers among them.
async fn waiting(services: &Services, id: &MeetingId) -> Result<Vec<PostId>, Failure> {
    let someday = services.now() + TimeDelta::days(36_500);
    let mut waiting = services.store.posts_to_plan(someday, MOST_WAITING).await?;
    waiting.retain(|post| {
        is_waiting(services, post) && said_by(&post.origin).first().is_some_and(|key| key.meeting == *id && is_recalled(key))
    });
    Ok(waiting.into_iter().map(|post| post.id).collect())
}
