//! Calendars of those who come and go: a joiner gets the current meetings, a leaver their cancellation.
//!
//! Many at once, as an import brings them, share a mail for each language and set of meetings. Whoever has a meeting by
//! another of her groups keeps it. The subscription is written before; a failure here is for the log and undoes nothing.

use std::collections::BTreeMap;

use serde_json::json;

use super::send::{Words, attached, edition, letter, planned_for, wants_announcements};
use super::{meetings, record, texts};
use crate::domain::account::Account;
use crate::domain::group::{Group, GroupCode};
use crate::domain::id::PostId;
use crate::domain::language::Language;
use crate::domain::meeting::Meeting;
use crate::domain::post::{Arrival, Audience, Post, PostKind, PostState};
use crate::domain::reason::{Reason, Rule};
use crate::domain::subscription::{DeliveryMode, Stream, Subscription};
use crate::mail::calendar::Method;
use crate::mail::write::Mailbox;
use crate::service::robot::{group_context, language_for};
use crate::service::{Failure, Services};
use crate::store::Kept;

/// Recipients of one post.
const MOST_RECIPIENTS: usize = 1_000;

/// Sends those who joined `group` its current meetings. Returns how many get something.
///
/// # Errors
/// When a template or the store fails.
pub async fn joined(services: &Services, group: &GroupCode, who: &[(Subscription, Account)]) -> Result<usize, Failure> {
    to_many(services, group, who, &Method::Publish).await
}

/// Takes the current meetings of `group` out of the calendars of those who left it, but for what they have by another
/// group. The subscriptions are as they were before.
///
/// # Errors
/// When a template or the store fails.
pub async fn left(services: &Services, group: &GroupCode, who: &[(Subscription, Account)]) -> Result<usize, Failure> {
    to_many(services, group, who, &Method::Cancel).await
}

async fn to_many(services: &Services, code: &GroupCode, who: &[(Subscription, Account)], method: &Method) -> Result<usize, Failure> {
    let group = services.group(code)?;
    let current = current(services, code).await?;
    if current.is_empty() {
        return Ok(0);
    }
    // By language, whether she wants invitations (then for her alone), and which of the meetings.
    let mut alike: BTreeMap<(Language, Option<String>, Vec<usize>), Vec<&Account>> = BTreeMap::new();
    for (subscription, account) in who {
        let on = subscription.streams.contains(&Stream::Announce);
        if !on || subscription.mode_on(services.today()) == DeliveryMode::None {
            continue;
        }
        let mut hers = Vec::new();
        for (index, meeting) in current.iter().enumerate() {
            if *method != Method::Cancel || !stays(services, meeting, code, account).await? {
                hers.push(index);
            }
        }
        if !hers.is_empty() {
            let alone = subscription.invitations.then(|| account.address().to_string());
            alike.entry((language_for(services, Some(account), &group), alone, hers)).or_default().push(account);
        }
    }
    let mut told = 0;
    for ((language, alone, hers), accounts) in alike {
        let hers: Vec<Meeting> = hers.into_iter().map(|index| current[index].clone()).collect();
        let method = match (alone, method) {
            (Some(address), Method::Publish) => Method::Request(address),
            (Some(address), _) => Method::CancelFor(address),
            (None, method) => method.clone(),
        };
        for some in accounts.chunks(MOST_RECIPIENTS) {
            send(services, &group, &hers, &method, language, some).await?;
            told += some.len();
        }
    }
    Ok(told)
}

/// Meetings ahead whose announcement is out; one that is still to be announced reaches her with all the others.
async fn current(services: &Services, code: &GroupCode) -> Result<Vec<Meeting>, Failure> {
    let mut current = Vec::new();
    for meeting in meetings(services, Some(code)).await? {
        let announced = record::marks(services, &meeting.id).await?.keys().any(|key| key.milestone == "announcement");
        if announced && meeting.is_current(services.now()) {
            current.push(meeting);
        }
    }
    Ok(current)
}

/// Does she keep the meeting by another of its groups?
async fn stays(services: &Services, meeting: &Meeting, left: &GroupCode, account: &Account) -> Result<bool, Failure> {
    for other in meeting.concerned_groups().into_iter().filter(|other| *other != left) {
        let other = services.store.subscription(other, account.id).await?;
        if other.is_some_and(|other| wants_announcements(services, &other)) {
            return Ok(true);
        }
    }
    Ok(false)
}

async fn send(
    services: &Services,
    group: &Group,
    meetings: &[Meeting],
    method: &Method,
    language: Language,
    accounts: &[&Account],
) -> Result<PostId, Failure> {
    let cancels = matches!(method, Method::Cancel | Method::CancelFor(_));
    let mut meetings = meetings.to_vec();
    if cancels {
        // Clients pass over a CANCEL whose sequence was not raised.
        meetings.iter_mut().for_each(|meeting| meeting.sequence += 1);
    }
    let shown: Vec<_> = meetings.iter().map(|m| texts::meeting_context(services, m, group.timezone, language)).collect();
    let template = if cancels { "meeting-left" } else { "meeting-joined" };
    let context = json!({ "group": group_context(services, group, language), "meetings": shown, "language": language });
    let mail = services.texts.mail(language, Some(group.code.as_str()), template, context)?;
    let now = services.now();
    let id = PostId::new(now, services.chance());
    let message_id = format!("{id}.meeting@{}", services.site.domain);
    let calendar = Some(attached(services, &meetings, group, method, language));
    let subject = mail.subject.clone();
    let words = Words { subject: mail.subject, text: mail.text, message_id: message_id.clone(), calendar, files: Vec::new() };
    let mut letter = letter(services, group, language, words);
    if let [account] = accounts {
        letter.to = vec![Mailbox { name: account.name.clone(), address: account.address().to_string() }];
    }
    let recipients = accounts.iter().map(|account| planned_for(account, 0, 0, Reason::new(Rule::RobotMail, [template]))).collect();
    let post = Post {
        id,
        groups: vec![group.code.clone()],
        kind: PostKind::Robot,
        message_id,
        subject,
        sender: None,
        author: None,
        received_at: now,
        not_before: now,
        editions: vec![edition(services, language, &letter).await?],
        audience: Audience::Listed(recipients),
        state: PostState::Accepted,
        arrival: Arrival::default(),
        origin: format!("meeting:{template}"),
    };
    match services.store.keep_post(post, Vec::new()).await? {
        Kept::New(id) | Kept::Repeated(id) => Ok(id.get()),
    }
}
