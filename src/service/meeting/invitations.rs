//! Invitations: the same notice for those who asked for a calendar object of their own.
//!
//! Some calendar programs put a published event in a second time instead of changing it, and change only what they were
//! invited to. So who asks for it gets METHOD:REQUEST with nobody but herself as ATTENDEE and without a wish for an answer
//! (RFC 5546 section 3.2.2), and METHOD:CANCEL of the same form. The notice to all then passes her over, with that reason.

use std::collections::BTreeMap;

use super::send::{Words, attached, edition, files_of, letter, method_of, planned_for, words};
use crate::domain::account::Account;
use crate::domain::audience::{EditionFacts, Form, Person, PostFacts, Share, shares};
use crate::domain::group::Group;
use crate::domain::id::{AccountId, PostId};
use crate::domain::meeting::{Meeting, Notice};
use crate::domain::post::{Audience, Post};
use crate::domain::subscription::Subscription;
use crate::mail::calendar::Method;
use crate::mail::write::Mailbox;
use crate::service::{Failure, Services};

/// Members read from the store at a time.
const PAGE: usize = 500;

/// Somebody with her subscriptions, by index of the group.
type Invited = (Account, Vec<(usize, Subscription)>);

/// Keeps an invitation for each who wants one of the notice that `post`, kept under `name`, brings to all; a repeated call keeps none
/// twice.
pub(super) async fn send(
    services: &Services,
    meeting: &Meeting,
    notice: &Notice,
    plan: &[Notice],
    (post, name): (&Post, &str),
) -> Result<(), Failure> {
    let Some(method) = method_of(notice.kind).filter(|_| post.audience == Audience::Subscribers) else { return Ok(()) };
    let table = services.groups();
    let groups: Vec<Group> = post.groups.iter().filter_map(|code| table.get(code).map(|group| Group::clone(group))).collect();
    let editions: Vec<_> = post.editions.iter().map(|edition| EditionFacts { language: edition.language, form: Form::Whole }).collect();
    let today = services.now().with_timezone(&services.config.service.timezone).date_naive();
    let facts = PostFacts { kind: post.kind, author: None, groups: &groups, editions: &editions, coming: &[], calendar: false, today };
    for (account, subscriptions) in wanting(services, &groups).await?.into_values() {
        let subscriptions: Vec<_> = subscriptions.iter().map(|(index, subscription)| (*index, subscription)).collect();
        let person = Person { account: &account, subscriptions: &subscriptions, had: &[] };
        for share in shares(&facts, &person) {
            let Share::Copy { group, editions, reason } = share else { continue };
            let Some(language) = editions.first().and_then(|index| post.editions[*index].language) else { continue };
            let address = account.address().to_string();
            let own = match method {
                Method::Publish => Method::Request(address.clone()),
                _ => Method::CancelFor(address.clone()),
            };
            let id = PostId::new(services.now(), services.chance());
            let message_id = format!("{id}.meeting@{}", services.site.domain);
            let (subject, text) = words(services, meeting, &groups[group], notice, plan, language)?;
            let calendar = Some(attached(services, std::slice::from_ref(meeting), &groups[group], &own, language));
            let files = files_of(services, meeting, notice.kind).await?;
            let content = Words { subject: subject.clone(), text, message_id: message_id.clone(), calendar, files };
            let mut mail = letter(services, &groups[group], language, content);
            mail.to = vec![Mailbox { name: account.name.clone(), address }];
            let invitation = Post {
                id,
                message_id,
                subject,
                editions: vec![edition(services, language, &mail).await?],
                audience: Audience::Listed(vec![planned_for(&account, group, 0, reason)]),
                ..post.clone()
            };
            services.store.keep_post(invitation, vec![format!("{name} {}", account.id)]).await?;
        }
    }
    Ok(())
}

/// Those who asked for invitations in one of the groups. They are few beside the members, so they fit into memory.
async fn wanting(services: &Services, groups: &[Group]) -> Result<BTreeMap<AccountId, Invited>, Failure> {
    let mut wanting: BTreeMap<AccountId, Invited> = BTreeMap::new();
    for (index, group) in groups.iter().enumerate() {
        let mut after = None;
        loop {
            let page = services.store.members_of_group(&group.code, after, PAGE).await?;
            let Some((last, _)) = page.last() else { break };
            after = Some(last.account);
            for (subscription, account) in page {
                if subscription.invitations || wanting.contains_key(&account.id) {
                    wanting.entry(account.id).or_insert_with(|| (account, Vec::new())).1.push((index, subscription));
                }
            }
        }
    }
    Ok(wanting)
}
