//! The weekly outlook: meetings and deadlines of the next eight weeks, for each person over all her groups in one mail.
//!
//! Streams accounts, so memory does not grow with their number. Readers of one language with the same groups share a post,
//! which is rendered once a page of accounts; who has nothing ahead gets nothing.

use std::collections::BTreeMap;

use serde_json::Value;

use super::send::{Words, edition, letter, planned_for, wants_announcements};
use super::texts;
use crate::domain::group::GroupCode;
use crate::domain::id::PostId;
use crate::domain::language::Language;
use crate::domain::ledger::PlannedRecipient;
use crate::domain::post::{Arrival, Audience, Post, PostKind, PostState};
use crate::domain::reason::{Reason, Rule};
use crate::service::robot::{group_context, language_for};
use crate::service::{Failure, Services};
use crate::store::Kept;

/// Accounts read at a time.
const PAGE: usize = 500;

/// Sends the outlook of `occurrence`, such as `outlook@2027-01-04T07:00:00`; may run twice for it. Returns how many get one.
///
/// # Errors
/// When a template or the store fails; what was sent is not sent again.
pub async fn send_outlook(services: &Services, occurrence: &str) -> Result<usize, Failure> {
    let mut readers = 0;
    let mut after = None;
    loop {
        let page = services.store.accounts(after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(readers) };
        after = Some(last.id);
        let mut alike: BTreeMap<(Language, Vec<GroupCode>), Vec<PlannedRecipient>> = BTreeMap::new();
        for account in &page {
            let subscriptions = services.store.subscriptions_of_account(account.id).await?;
            let table = services.groups();
            let live = |code: &GroupCode| table.get(code).is_some_and(|group| !group.retired);
            let mut codes: Vec<GroupCode> =
                subscriptions.iter().filter(|s| wants_announcements(services, s) && live(&s.group)).map(|s| s.group.clone()).collect();
            codes.sort();
            let Some(group) = codes.first().and_then(|code| table.get(code)) else { continue };
            let language = language_for(services, Some(account), group);
            let reason = Reason::new(Rule::Subscriber, [codes[0].as_str()]);
            alike.entry((language, codes)).or_default().push(planned_for(account, 0, 0, reason));
        }
        for ((language, codes), list) in alike {
            let count = list.len();
            if send(services, occurrence, language, &codes, list).await? {
                readers += count;
            }
        }
    }
}

async fn send(
    services: &Services,
    occurrence: &str,
    language: Language,
    codes: &[GroupCode],
    list: Vec<PlannedRecipient>,
) -> Result<bool, Failure> {
    let Some(mut context) = texts::outlook(services, codes, language).await? else { return Ok(false) };
    let group = services.group(&codes[0])?;
    if let Value::Object(values) = &mut context {
        values.insert("group".into(), group_context(services, &group, language));
    }
    let now = services.now();
    let id = PostId::new(now, services.chance());
    let message_id = format!("{id}.outlook@{}", services.site.domain);
    let mail = services.texts.mail(language, Some(codes[0].as_str()), "outlook", context)?;
    let subject = mail.subject.clone();
    let words = Words { subject: mail.subject, text: mail.text, message_id: message_id.clone(), calendar: None, files: Vec::new() };
    let first = list.first().and_then(|recipient| recipient.account).map(|account| account.to_string()).unwrap_or_default();
    let names: Vec<&str> = codes.iter().map(GroupCode::as_str).collect();
    let key = format!("{occurrence} {language} {} {first}", names.join(","));
    let mut letter = letter(services, &group, language, words);
    // Few get it; one answer to all must not reach the list.
    letter.to = vec![letter.from.clone()];
    let post = Post {
        id,
        groups: codes.to_vec(),
        kind: PostKind::Meeting,
        message_id,
        subject,
        sender: None,
        author: None,
        received_at: now,
        not_before: now,
        editions: vec![edition(services, language, &letter).await?],
        audience: Audience::Listed(list),
        state: PostState::Accepted,
        arrival: Arrival::default(),
        origin: format!("meeting:{occurrence}"),
    };
    match services.store.keep_post(post, vec![key]).await? {
        Kept::New(_) | Kept::Repeated(_) => Ok(true),
    }
}
