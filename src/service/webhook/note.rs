//! Notes what happened, for programs.
//!
//! Posts are noted by the planner, which plans a post again until its plan is complete: an event is on disk before the plan counts,
//! and has the same identifier at each repetition. So a crash loses none. A suspension is noted before it is written, and told once the
//! record shows it.

use data_encoding::HEXLOWER;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::record::{self, Event, NEW, Once};
use crate::domain::account::Account;
use crate::domain::group::GroupCode;
use crate::domain::id::LiaisonId;
use crate::domain::liaison::statement::Statement;
use crate::domain::meeting::NoticeKey;
use crate::domain::post::{Audience, Post, PostKind};
use crate::domain::reason::Reason;
use crate::domain::webhook::EventKind;
use crate::service::{Failure, Services, liaison, meeting};
use crate::store::record::encode;

/// Notes what a post that is being planned means to programs; nothing when no webhook is there.
///
/// # Errors
/// When the store fails; the post is planned again.
pub async fn planned(services: &Services, post: &Post) -> Result<(), Failure> {
    let about = About::of(post);
    if matches!(about, About::Nothing) || !record::any(services).await? {
        return Ok(());
    }
    match about {
        About::Nothing => {}
        About::Post => {
            let code = post.groups.first().map(ToString::to_string).unwrap_or_default();
            let data = json!({
                "post": post.id.to_string(),
                "groups": post.groups,
                "kind": post.kind.as_str(),
                "message_id": post.message_id,
                "subject": post.subject,
                "received_at": post.received_at,
                "url": format!("{}/groups/{code}/archive/{}", services.site.base_url, post.id),
            });
            put(services, EventKind::PostAccepted, &post.id.to_string(), &post.groups, data, None).await?;
        }
        About::Statement(id) => {
            let mut data = statement(services, id).await?;
            data["post"] = json!(post.id.to_string());
            data["languages"] = json!(languages(post));
            let groups = groups_of(&data, post);
            put(services, EventKind::LiaisonCirculated, &post.id.to_string(), &groups, data, None).await?;
        }
        About::Reminder(id) => {
            let data = statement(services, id).await?;
            let groups = groups_of(&data, post);
            put(services, EventKind::DeadlineNear, &post.id.to_string(), &groups, data, None).await?;
        }
        About::Notices(keys) => {
            for key in keys {
                let Some(kind) = EventKind::of_notice(&key) else { continue };
                let data = notice(services, &key).await?;
                put(services, kind, &key.to_string(), &post.groups, data, None).await?;
            }
        }
    }
    Ok(())
}

/// Notes that a subscription is about to rest; told when it does.
///
/// # Errors
/// When the store fails.
pub async fn suspending(services: &Services, group: &GroupCode, account: &Account, reason: &Reason) -> Result<(), Failure> {
    if !record::any(services).await? {
        return Ok(());
    }
    let data = json!({
        "groups": [group],
        "address": account.address().as_str(),
        "rule": reason.key(),
        "reason": reason.text(),
        "url": format!("{}/manage/{group}/members/{}", services.site.base_url, account.id),
    });
    let subject = format!("{group} {} {}", account.id, services.now().timestamp_millis());
    let once = Once::Bouncing(group.clone(), account.id);
    put(services, EventKind::BounceSuspended, &subject, std::slice::from_ref(group), data, Some(once)).await
}

/// What a post is about.
enum About {
    Nothing,
    Post,
    Statement(LiaisonId),
    Reminder(LiaisonId),
    Notices(Vec<NoticeKey>),
}

impl About {
    fn of(post: &Post) -> Self {
        let liaison = post.origin.strip_prefix("liaison:").and_then(|id| id.parse().ok());
        match (post.kind, liaison, &post.audience) {
            (PostKind::Discussion | PostKind::Announcement, ..) => Self::Post,
            // A notice of withdrawal goes to whoever had the statement before.
            (PostKind::Liaison, Some(id), Audience::Routed(routed)) if !routed.again => Self::Statement(id),
            (PostKind::Robot, Some(id), _) => Self::Reminder(id),
            (PostKind::Meeting | PostKind::Robot, None, _) => {
                let keys = meeting::said_by(&post.origin);
                if keys.is_empty() { Self::Nothing } else { Self::Notices(keys) }
            }
            _ => Self::Nothing,
        }
    }
}

fn languages(post: &Post) -> Vec<String> {
    let mut languages: Vec<String> = Vec::new();
    for language in post.editions.iter().filter_map(|edition| edition.language) {
        let language = language.to_string();
        if !languages.contains(&language) {
            languages.push(language);
        }
    }
    languages
}

/// The groups of the statement's own record in front of those of the post.
fn groups_of(data: &Value, post: &Post) -> Vec<GroupCode> {
    let own = data["group"].as_str().and_then(|code| code.parse().ok());
    own.into_iter().chain(post.groups.iter().filter(|code| data["group"] != json!(code)).cloned()).collect()
}

async fn statement(services: &Services, id: LiaisonId) -> Result<Value, Failure> {
    let url = format!("{}/liaisons/{id}", services.site.base_url);
    let mut data = json!({ "liaison": id.to_string(), "url": url });
    if let Some(statement) = liaison::statement(services, id).await? {
        let Statement { group, deadline, .. } = &statement;
        data["group"] = json!(group);
        data["name"] = json!(statement.name());
        data["title"] = statement.editions.iter().map(|edition| (edition.language.to_string(), json!(edition.title))).collect();
        data["deadline"] = json!(deadline);
    }
    Ok(data)
}

async fn notice(services: &Services, key: &NoticeKey) -> Result<Value, Failure> {
    let url = format!("{}/meetings/{}", services.site.base_url, key.meeting);
    let mut data = json!({ "meeting": key.meeting, "notice": key.to_string(), "what": key.milestone, "url": url });
    match meeting::find(services, &key.meeting).await {
        Ok(meeting) => {
            data["status"] = json!(meeting.status.as_str());
            data["sequence"] = json!(meeting.sequence);
            data["first_day"] = json!(meeting.first_day());
            let deadline = key.milestone.rsplit_once('-').map(|(name, _)| name);
            let deadlines = meeting::lead_times(services, &meeting).deadlines_of(&meeting);
            if let Some(deadline) = deadlines.iter().find(|known| Some(known.kind.as_str()) == deadline) {
                data["deadline"] = json!(deadline.date);
            }
            Ok(data)
        }
        Err(Failure::NotFound(_)) => Ok(data),
        Err(failure) => Err(failure),
    }
}

/// Writes it down; the same thing noted again takes the place of what was noted before.
async fn put(
    services: &Services,
    kind: EventKind,
    subject: &str,
    groups: &[GroupCode],
    data: Value,
    once: Option<Once>,
) -> Result<(), Failure> {
    let at = services.now();
    let id = format!("evt_{}", HEXLOWER.encode(&Sha256::digest(format!("{kind} {subject}"))[..16]));
    let body = json!({ "type": kind.as_str(), "timestamp": at, "data": data }).to_string();
    let event = Event { id: id.clone(), kind, groups: groups.to_vec(), at, body, once };
    let version = services.store.entry(NEW, &id).await?.map_or(0, |(version, _)| version);
    // Whoever was first noted the same thing.
    services.store.put_entry(NEW, &id, version, encode(&event)?).await?;
    Ok(())
}
