//! Carries the plan out: what is due becomes a post, once.
//!
//! The post is kept first, under the notice's key as its repetition key, and the mark is written after. A crash between
//! the two, or a second node at the same moment, meets the key again and finds in the first post's `origin` what was
//! said by it. The other way round a crash would lose the notice. Each (language, format) is rendered once, whatever
//! the number of readers.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use tracing::{info, warn};

use super::recall::{expected, grace as grace_of, recall};
use super::record::{self, Mark, Marks};
use super::texts::{Told, context, languages, with_setting};
use super::{due, invitations, meetings, planned};
use crate::domain::account::Account;
use crate::domain::group::{Group, GroupCode, GroupKind};
use crate::domain::id::PostId;
use crate::domain::language::Language;
use crate::domain::ledger::{PlannedRecipient, RecipientState};
use crate::domain::meeting::{Attachment, Meeting, MeetingId, Notice, NoticeKey, NoticeKind, To, notices};
use crate::domain::post::{Arrival, Audience, CALENDAR_ORIGIN, Edition, Post, PostKind, PostState};
use crate::domain::reason::{Reason, Rule};
use crate::domain::subscription::{DeliveryMode, Role, Stream, Subscription};
use crate::mail::calendar::{self, Method};
use crate::mail::write::{self, Automatic, Calendar, File, Letter, Mailbox};
use crate::service::robot::{group_name, language_for};
use crate::service::{Failure, Services};
use crate::store::{BodySource, Kept};

/// Members read from the store at a time.
const PAGE: usize = 500;
/// Rounds over one meeting; each sends all that is due, so more than two mean a mistake.
const MOST_ROUNDS: usize = 5;
/// What stands between two languages of one mail.
const BETWEEN: &str = "\n\n----------------------------------------\n\n";

/// What was done, and when to look again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sending {
    /// Notices that became posts, those that were said by another not counted.
    pub sent: Vec<NoticeKey>,
    /// When the next one is due, if one is planned.
    pub next: Option<DateTime<Utc>>,
}

/// Sends what is due of all meetings, or of one. Safe to run at any time, on any number of nodes.
///
/// # Errors
/// When a template or the store fails; what was not sent stays due.
pub async fn send_due(services: &Services, only: Option<&MeetingId>) -> Result<Sending, Failure> {
    let meetings = match only {
        Some(id) => vec![super::find(services, id).await?],
        None => meetings(services, None).await?,
    };
    let mut sending = Sending::default();
    let mut failure = None;
    for meeting in meetings {
        match send_of(services, &meeting, Grace::AsGroupsSay, &mut sending.sent).await {
            Ok(next) => sending.next = [sending.next, next].into_iter().flatten().min(),
            // One meeting with a broken template must not hold up the others.
            Err(error) => {
                warn!(meeting.id = %meeting.id, "Could not send the notices of {}: {error}", meeting.id);
                failure = Some(error);
            }
        }
    }
    failure.map_or(Ok(sending), Err)
}

/// Whether an act can still be stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Grace {
    AsGroupsSay,
    /// Its author had it before.
    Over,
}

/// Sends what is due of a meeting whose author could stop it before.
///
/// # Errors
/// When a template or the store fails; what was not sent stays due.
pub(super) async fn send_at_once(services: &Services, meeting: &Meeting) -> Result<(), Failure> {
    send_of(services, meeting, Grace::Over, &mut Vec::new()).await.map(drop)
}

async fn send_of(
    services: &Services,
    meeting: &Meeting,
    grace: Grace,
    sent: &mut Vec<NoticeKey>,
) -> Result<Option<DateTime<Utc>>, Failure> {
    for _ in 0..MOST_ROUNDS {
        recall(services, meeting).await?;
        let marks = record::marks(services, &meeting.id).await?;
        let plan = planned(services, meeting, &marks);
        if due(&plan).next().is_none() {
            return Ok(notices::next_time(&plan));
        }
        for notice in due(&plan) {
            let covered: Vec<NoticeKey> = std::iter::once(notice.key.clone())
                .chain(notices::merged_into(&plan, &notice.key).map(|other| other.key.clone()))
                .collect();
            let name = record::repetition_key(&marks, &notice.key);
            let kept = keep(services, meeting, notice, grace, &plan, (&name, &covered)).await?;
            let mark = Mark { at: services.now(), post: kept.as_ref().map(|(id, _)| *id) };
            let covered = kept.map_or(covered, |(_, covered)| covered);
            let more: Marks = covered.into_iter().map(|key| (key, mark.clone())).collect();
            record::mark(services, &meeting.id, &more).await?;
            info!(meeting.id = %meeting.id, notice = %notice.key, "Sent {}", notice.key);
            sent.push(notice.key.clone());
        }
    }
    Ok(None)
}

/// Keeps the post of a notice; returns it with the notices it says, or `None` where there is nobody to send it to.
async fn keep(
    services: &Services,
    meeting: &Meeting,
    notice: &Notice,
    grace: Grace,
    plan: &[Notice],
    (name, covered): (&str, &[NoticeKey]),
) -> Result<Option<(PostId, Vec<NoticeKey>)>, Failure> {
    let Some(mut post) = post(services, meeting, notice, grace, plan).await? else {
        warn!(meeting.id = %meeting.id, "There is nobody to send {} to", notice.key);
        return Ok(None);
    };
    post.origin = origin(notice.kind, covered);
    let id = post.id;
    invitations::send(services, meeting, notice, plan, (&post, name)).await?;
    match services.store.keep_post(post, vec![name.to_owned()]).await? {
        Kept::New(_) => Ok(Some((id, covered.to_vec()))),
        Kept::Repeated(first) => {
            let first = first.get();
            let said = services.store.post(first).await?.map(|post| said_by(&post.origin)).filter(|said| !said.is_empty());
            Ok(Some((first, said.unwrap_or_else(|| vec![notice.key.clone()]))))
        }
    }
}

/// `meeting:KEY`, or with [`CALENDAR_ORIGIN`], with the other notices it says behind `+`.
fn origin(kind: NoticeKind, covered: &[NoticeKey]) -> String {
    let front = if method_of(kind).is_some() { CALENDAR_ORIGIN } else { "meeting:" };
    format!("{front}{}", covered.iter().map(ToString::to_string).collect::<Vec<_>>().join("+"))
}

/// Notices that a post says, by its origin.
pub fn said_by(origin: &str) -> Vec<NoticeKey> {
    let keys = origin.strip_prefix("meeting:").or_else(|| origin.strip_prefix(CALENDAR_ORIGIN));
    keys.unwrap_or_default().split('+').filter_map(|key| key.parse().ok()).collect()
}

/// A mail as a reader of one language gets it, for `--dry-run`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Preview {
    /// Which notice.
    pub key: String,
    /// In which language.
    pub language: String,
    /// Who gets it: groups, or the managers of groups.
    pub to: String,
    /// Names of the files that go with it.
    pub files: Vec<String>,
    /// Subject.
    pub subject: String,
    /// Text.
    pub text: String,
}

/// The mails of what would be due for `meeting` at once, in each language; nothing is written or sent.
///
/// # Errors
/// When a template fails.
pub async fn preview(services: &Services, meeting: &Meeting) -> Result<Vec<Preview>, Failure> {
    let (_, plan) = expected(services, meeting).await?;
    let mut previews = Vec::new();
    for notice in due(&plan) {
        let groups = groups_of(services, meeting, &notice.to);
        let Some(group) = groups.first() else { continue };
        let names = groups.iter().map(|group| group.code.to_string()).collect::<Vec<_>>().join(", ");
        let to = if notice.to == To::Managers { format!("managers of {names}") } else { names };
        let mut files: Vec<String> = method_of(notice.kind).map(|_| "invite.ics".to_owned()).into_iter().collect();
        files.extend(document_of(meeting, notice.kind).map(|document| document.name.clone()));
        for language in spoken(services) {
            let (subject, text) = words(services, meeting, group, notice, &plan, language)?;
            let (key, language) = (notice.key.to_string(), language.to_string());
            previews.push(Preview { key, language, to: to.clone(), files: files.clone(), subject, text });
        }
    }
    Ok(previews)
}

async fn post(services: &Services, meeting: &Meeting, notice: &Notice, grace: Grace, plan: &[Notice]) -> Result<Option<Post>, Failure> {
    let groups = groups_of(services, meeting, &notice.to);
    let Some(group) = groups.first().cloned() else { return Ok(None) };
    let now = services.now();
    let id = PostId::new(now, services.chance());
    let message_id = format!("{id}.meeting@{}", services.site.domain);
    let files = files_of(services, meeting, notice.kind).await?;
    let spoken = spoken(services);
    let mut editions = Vec::with_capacity(spoken.len());
    let mut subject = String::new();
    for language in &spoken {
        let (line, text) = words(services, meeting, &group, notice, plan, *language)?;
        if subject.is_empty() {
            subject.clone_from(&line);
        }
        let calendar = method_of(notice.kind).map(|method| attached(services, std::slice::from_ref(meeting), &group, &method, *language));
        let words = Words { subject: line, text, message_id: message_id.clone(), calendar, files: files.clone() };
        let mut letter = letter(services, &group, *language, words);
        letter.to = match &notice.to {
            // One answer to all must not reach a list that did not get it.
            To::Managers | To::Leaving(_) => vec![letter.from.clone()],
            To::Subscribers | To::SubscribersAndParents => groups.iter().map(|group| list_of(services, group)).collect(),
        };
        editions.push(edition(services, *language, &letter).await?);
    }
    let (kind, audience) = match &notice.to {
        To::Subscribers | To::SubscribersAndParents => (PostKind::Meeting, Audience::Subscribers),
        To::Leaving(code) => (PostKind::Meeting, Audience::Listed(leaving(services, meeting, code, &group, &spoken).await?)),
        To::Managers => (PostKind::Robot, Audience::Listed(managers(services, &groups, &spoken).await?)),
    };
    if matches!(&audience, Audience::Listed(list) if list.is_empty()) {
        return Ok(None);
    }
    // What a person did can be stopped for a while; what the calendar brings is due now.
    let wait = grace_of(services, meeting);
    Ok(Some(Post {
        id,
        groups: groups.iter().map(|group| group.code.clone()).collect(),
        kind,
        message_id,
        subject,
        sender: None,
        author: None,
        received_at: now,
        not_before: if notice.kind.is_act() && grace == Grace::AsGroupsSay { now + wait } else { now },
        editions,
        audience,
        state: PostState::Accepted,
        arrival: Arrival::default(),
        origin: String::new(),
    }))
}

fn list_of(services: &Services, group: &Group) -> Mailbox {
    Mailbox { name: String::new(), address: group.address(&services.site.domain) }
}

/// Groups a notice is addressed to, as far as they have a list and live; the leading one first.
fn groups_of(services: &Services, meeting: &Meeting, to: &To) -> Vec<Arc<Group>> {
    let table = services.groups();
    let mut codes: Vec<GroupCode> = match to {
        To::Leaving(code) => vec![code.clone()],
        To::Managers => meeting.active_groups().cloned().collect(),
        To::Subscribers | To::SubscribersAndParents => meeting.concerned_groups().into_iter().cloned().collect(),
    };
    if *to == To::SubscribersAndParents {
        let parents: Vec<_> = codes.iter().filter_map(|code| table.get(code)?.parent.clone()).collect();
        codes.extend(parents);
    }
    let mut seen = BTreeSet::new();
    codes.retain(|code| seen.insert(code.clone()));
    let live = |group: &Arc<Group>| !group.retired && group.kind != GroupKind::External;
    codes.iter().filter_map(|code| table.get(code)).filter(|group| live(group)).cloned().collect()
}

/// Languages of editions: those the service offers and has texts for.
pub(super) fn spoken(services: &Services) -> Vec<Language> {
    let there = services.texts.languages();
    let mut spoken: Vec<_> = services.config.service.languages.iter().copied().filter(|language| there.contains(language)).collect();
    if spoken.is_empty() {
        spoken.push(Language::ENGLISH);
    }
    spoken
}

/// Subject and text of a notice for a reader of `language`: hers first; what a person announces also in the group's others.
pub(super) fn words(
    services: &Services,
    meeting: &Meeting,
    group: &Group,
    notice: &Notice,
    plan: &[Notice],
    language: Language,
) -> Result<(String, String), Failure> {
    let others: Vec<_> = notices::merged_into(plan, &notice.key).collect();
    let told = Told { meeting, group, lead: notice, others };
    let there = services.texts.languages();
    let all = languages(group, language);
    let wanted = if notice.kind.is_act() { all.as_slice() } else { &all[..1] };
    let mut subject = String::new();
    let mut text = String::new();
    for language in wanted.iter().filter(|l| **l == language || there.contains(l)) {
        let mail =
            services.texts.mail(*language, Some(group.code.as_str()), notice.kind.template(), context(services, &told, *language))?;
        if text.is_empty() {
            subject = mail.subject;
        } else {
            text.push_str(BETWEEN);
        }
        text.push_str(mail.text.trim_end());
    }
    text.push('\n');
    Ok((subject, text))
}

/// What a letter says.
pub(super) struct Words {
    pub subject: String,
    pub text: String,
    pub message_id: String,
    pub calendar: Option<Calendar>,
    pub files: Vec<File>,
}

pub(super) fn letter(services: &Services, group: &Group, language: Language, words: Words) -> Letter {
    let domain = &services.site.domain;
    Letter {
        // Answers go to the managers and not to the list.
        from: Mailbox { name: group_name(group, language), address: group.sub_address("owner", domain) },
        to: vec![list_of(services, group)],
        cc: Vec::new(),
        reply_to: None,
        subject: words.subject,
        message_id: words.message_id,
        date: services.now().with_timezone(&group.timezone).fixed_offset(),
        language: Some(language),
        automatic: Automatic::Generated,
        in_reply_to: None,
        references: Vec::new(),
        text: words.text,
        html: None,
        calendar: words.calendar,
        files: words.files,
    }
}

pub(super) async fn edition(services: &Services, language: Language, letter: &Letter) -> Result<Edition, Failure> {
    let body = services.store.put_body(BodySource::Bytes(Bytes::from(write::letter(letter)))).await?;
    Ok(Edition { language: Some(language), body })
}

/// What a notice of that kind does to a reader's calendar, if anything.
pub(super) fn method_of(kind: NoticeKind) -> Option<Method> {
    match kind {
        NoticeKind::Announcement | NoticeKind::Change => Some(Method::Publish),
        NoticeKind::Cancellation | NoticeKind::Postponement | NoticeKind::Withdrawal => Some(Method::Cancel),
        _ => None,
    }
}

/// The files that go with a notice: the letter with what announces and changes, the report with its own notice.
pub(super) async fn files_of(services: &Services, meeting: &Meeting, kind: NoticeKind) -> Result<Vec<File>, Failure> {
    let Some(attachment) = document_of(meeting, kind) else { return Ok(Vec::new()) };
    let bytes = services.store.body(&attachment.body).await?.to_vec();
    Ok(vec![File { name: attachment.name.clone(), content_type: attachment.media_type.clone(), bytes }])
}

fn document_of(meeting: &Meeting, kind: NoticeKind) -> Option<&Attachment> {
    match kind {
        NoticeKind::Announcement | NoticeKind::Change => meeting.letter.as_ref()?.file.as_ref(),
        NoticeKind::Report => meeting.report.as_ref()?.file.as_ref(),
        _ => None,
    }
}

pub(super) fn attached(services: &Services, meetings: &[Meeting], group: &Group, method: &Method, language: Language) -> Calendar {
    let text = with_setting(services, group, language, false, |setting| calendar::objects(meetings, method, setting));
    Calendar { method: method.as_str().to_owned(), text, file_name: "invite.ics".to_owned() }
}

/// Managers of the groups and the leading group's secretariat, each once.
async fn managers(services: &Services, groups: &[Arc<Group>], spoken: &[Language]) -> Result<Vec<PlannedRecipient>, Failure> {
    let mut list = Vec::new();
    let mut seen = BTreeSet::new();
    for (index, group) in groups.iter().enumerate() {
        for (_, account) in services.members_with_role(&group.code, Role::Manager).await? {
            if seen.insert(account.address().key().clone()) {
                let language = language_for(services, Some(&account), group);
                list.push(planned_for(
                    &account,
                    index,
                    edition_of(spoken, language),
                    Reason::new(Rule::ChairmanCopy, [group.code.as_str()]),
                ));
            }
        }
        for address in &group.secretariat {
            if seen.insert(address.key().clone()) {
                let language = language_for(services, None, group);
                list.push(PlannedRecipient {
                    address: address.to_string(),
                    account: None,
                    group: u8::try_from(index).unwrap_or(0),
                    edition: edition_of(spoken, language),
                    state: RecipientState::Planned,
                    reason: Reason::new(Rule::SecretariatCopy, [group.code.as_str()]),
                });
            }
        }
    }
    Ok(list)
}

/// Subscribers of a group that left the meeting, without those who stay by another group.
async fn leaving(
    services: &Services,
    meeting: &Meeting,
    code: &GroupCode,
    group: &Group,
    spoken: &[Language],
) -> Result<Vec<PlannedRecipient>, Failure> {
    let mut list = Vec::new();
    let mut after = None;
    loop {
        let page = services.store.members_of_group(code, after, PAGE).await?;
        let Some((last, _)) = page.last() else { return Ok(list) };
        after = Some(last.account);
        for (subscription, account) in page {
            if !wants_announcements(services, &subscription) {
                continue;
            }
            let mut stays = false;
            for other in meeting.active_groups() {
                let other = services.store.subscription(other, account.id).await?;
                stays |= other.is_some_and(|other| wants_announcements(services, &other));
            }
            if !stays {
                let language = language_for(services, Some(&account), group);
                list.push(planned_for(&account, 0, edition_of(spoken, language), Reason::new(Rule::Subscriber, [code.as_str()])));
            }
        }
    }
}

pub(super) fn wants_announcements(services: &Services, subscription: &Subscription) -> bool {
    let on = subscription.streams.contains(&Stream::Announce);
    subscription.is_active() && on && subscription.mode_on(services.today()) != DeliveryMode::None
}

pub(super) fn planned_for(account: &Account, group: usize, edition: u8, reason: Reason) -> PlannedRecipient {
    PlannedRecipient {
        address: account.address().to_string(),
        account: Some(account.id),
        group: u8::try_from(group).unwrap_or(0),
        edition,
        state: RecipientState::Planned,
        reason,
    }
}

fn edition_of(spoken: &[Language], language: Language) -> u8 {
    spoken.iter().position(|l| *l == language).and_then(|i| u8::try_from(i).ok()).unwrap_or(0)
}
