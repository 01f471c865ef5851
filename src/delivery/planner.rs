//! From an accepted post to its batches: everyone who is considered gets a state and a reason.
//!
//! Members are read by pages, in the order of their accounts, from all addressed groups at once, so a person in several
//! groups is seen with all her subscriptions and memory does not grow with the number of members. What a person gets is
//! `domain::audience`'s word. A plan that was cut short is written anew: the post stays accepted until all of it is there.
//! The surprise: when the same message was sent to another group as a post of its own, that post's plan is read
//! alongside, and who gets it there does not get it here again.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use chrono_tz::Tz;
use tokio::task::JoinHandle;

use crate::domain::account::Account;
use crate::domain::audience::{EditionFacts, Form, Person, PostFacts, Share, linked_edition, shares, wanted_languages};
use crate::domain::group::{Group, GroupCode};
use crate::domain::id::AccountId;
use crate::domain::ledger::{PlannedRecipient, RecipientState};
use crate::domain::post::{Audience, Post, PostKind, PostState};
use crate::domain::reason::{Reason, Rule};
use crate::domain::subscription::Subscription;
use crate::service::meeting::mailed;
use crate::service::robot::{self, Allowance, RobotMail};
use crate::service::{Failure, Services, digest, roles, webhook};
use crate::store::{BATCH_RECIPIENTS, BatchKey, Result, Store, StoreError};

/// Members read at once.
const PAGE: usize = 500;

/// Writes the plan of a post in state `Accepted` and makes its batches due. Returns how many recipients were considered.
///
/// # Errors
/// The store's; the post stays accepted and is planned anew later.
pub async fn plan(services: &Services, timezone: Tz, post: &Post) -> Result<u64> {
    let store = &services.store;
    match mailed::carry_out(services, post).await {
        Ok(_) => {}
        Err(Failure::Store(error)) => return Err(error),
        Err(failure) => not_carried_out(services, post, &failure).await,
    }
    store.begin_plan(post.id).await?;
    let mut batches = Batches {
        store: store.as_ref(),
        post,
        pending: Vec::with_capacity(BATCH_RECIPIENTS),
        number: 0,
        considered: 0,
        digests: BTreeSet::new(),
    };
    match &post.audience {
        Audience::Listed(recipients) => {
            for recipient in recipients {
                batches.push(recipient.clone()).await?;
            }
        }
        Audience::Role(role, before) => {
            let now = match groups_of(services, post).first() {
                Some(group) => roles::holders(services, group, *role).await?,
                None => Vec::new(),
            };
            for recipient in if now.is_empty() { before } else { &now } {
                batches.push(recipient.clone()).await?;
            }
        }
        Audience::Subscribers => plan_subscribers(services, timezone, post, &mut batches).await?,
        Audience::Routed(routed) => super::routed::plan(services, timezone, post, routed, &mut batches).await?,
    }
    let digests = std::mem::take(&mut batches.digests);
    let (number, considered) = batches.finish().await?;
    // It may have been withdrawn in the meantime.
    if store.post(post.id).await?.is_some_and(|now| now.state == PostState::Accepted) {
        // Noted before the plan counts, so that a crash between the two loses nothing.
        for code in digests.into_iter().filter_map(|group| post.groups.get(usize::from(group))) {
            digest::wait(services, code, post).await?;
        }
        match webhook::planned(services, post).await {
            Ok(()) => {}
            Err(Failure::Store(error)) => return Err(error),
            Err(failure) => tracing::error!(post.id = %post.id, %failure, "Could not note an event for programs"),
        }
        store.finish_plan(post.id, number, services.now()).await?;
    }
    Ok(considered)
}

/// A meeting that was mailed in and accepted became impossible in the meantime: its author is told, and nothing else happens.
async fn not_carried_out(services: &Services, post: &Post, failure: &Failure) {
    tracing::warn!(post.id = %post.id, %failure, "Could not carry out what a mail wanted");
    let (Some(author), Some(Ok(group))) = (post.author_address(), post.groups.first().map(|code| services.group(code))) else { return };
    let account = services.store.account_by_address(author).await.unwrap_or_default();
    let mail = RobotMail {
        to: author,
        account: account.as_ref(),
        group: &group,
        template: "rejected",
        context: serde_json::json!({ "subject": post.subject, "reason": failure.to_string() }),
        reply_to: None,
        in_reply_to: Some(&post.message_id),
        allowance: Allowance::Receipt,
    };
    if let Err(error) = robot::send(services, mail).await {
        tracing::error!(post.id = %post.id, %error, "Could not tell the author of a mail that it was not carried out");
    }
}

/// Gathers recipients into batches.
pub(super) struct Batches<'a> {
    store: &'a dyn Store,
    post: &'a Post,
    pending: Vec<PlannedRecipient>,
    number: u32,
    considered: u64,
    /// Groups, by index, some of whose subscribers take the post in a digest.
    digests: BTreeSet<u8>,
}

impl Batches<'_> {
    pub(super) async fn push(&mut self, recipient: PlannedRecipient) -> Result<()> {
        if recipient.reason.rule == Rule::InDigest {
            self.digests.insert(recipient.group);
        }
        self.pending.push(recipient);
        if self.pending.len() == BATCH_RECIPIENTS { self.write().await } else { Ok(()) }
    }

    async fn write(&mut self) -> Result<()> {
        let slice = std::mem::replace(&mut self.pending, Vec::with_capacity(BATCH_RECIPIENTS));
        self.considered += slice.len() as u64;
        self.store.add_batch(BatchKey { post: self.post.id, number: self.number }, slice).await?;
        self.number += 1;
        Ok(())
    }

    async fn finish(mut self) -> Result<(u32, u64)> {
        if !self.pending.is_empty() {
            self.write().await?;
        }
        Ok((self.number, self.considered))
    }
}

async fn plan_subscribers(services: &Services, timezone: Tz, post: &Post, batches: &mut Batches<'_>) -> Result<()> {
    let groups = groups_of(services, post);
    let editions: Vec<_> = post.editions.iter().map(|edition| EditionFacts { language: edition.language, form: Form::Whole }).collect();
    let facts = PostFacts {
        kind: post.kind,
        author: post.author,
        groups: &groups,
        editions: &editions,
        coming: &[],
        calendar: post.changes_calendars(),
        today: services.now().with_timezone(&timezone).date_naive(),
    };
    // What somebody wrote is kept in one edition; what Enlace writes has its own for slow lines, or needs none.
    let may_have_links = matches!(post.kind, PostKind::Discussion | PostKind::Announcement);
    let store = services.store.as_ref();
    let mut members: Vec<_> = post.groups.iter().map(|code| Members::new(&services.store, code)).collect();
    let mut siblings = siblings(store, post).await?;
    while let Some((account, subscriptions)) = next_person(&mut members).await? {
        let subscriptions: Vec<_> = subscriptions.iter().map(|(group, subscription)| (*group, subscription)).collect();
        let person = Person { account: &account, subscriptions: &subscriptions, had: &[] };
        let elsewhere = gets_elsewhere(&mut siblings, account.id).await?;
        for share in shares(&facts, &person) {
            let share = if may_have_links { with_links(&groups, &person, share) } else { share };
            for recipient in planned(&account, share, elsewhere.as_ref()) {
                batches.push(recipient).await?;
            }
        }
    }
    Ok(())
}

/// The copy of who wants links in the place of files: the edition that speaks her language.
fn with_links(groups: &[Group], person: &Person<'_>, share: Share) -> Share {
    let Share::Copy { group, reason, .. } = &share else { return share };
    let subscription = person.subscriptions.iter().find(|(index, _)| index == group).map(|(_, subscription)| *subscription);
    match (groups.get(*group), subscription) {
        (Some(of), Some(subscription)) if subscription.links => {
            let edition = usize::from(linked_edition(wanted_languages(of, person.account, subscription)));
            Share::Copy { group: *group, editions: vec![edition], reason: reason.clone() }
        }
        _ => share,
    }
}

/// A group that is no longer there has no subscribers; its place is kept, because recipients name groups by index.
pub(super) fn groups_of(services: &Services, post: &Post) -> Vec<Group> {
    let table = services.groups();
    let found = |code: &GroupCode| table.get(code).map_or_else(|| super::copies::bare_group(code), |group| Group::clone(group));
    post.groups.iter().map(found).collect()
}

/// What a share becomes in the ledger: a row for each copy, or one with the reason why there is none.
pub(super) fn planned(account: &Account, share: Share, elsewhere: Option<&GroupCode>) -> Vec<PlannedRecipient> {
    let row = |group: usize, edition: usize, state, reason| PlannedRecipient {
        address: account.address().as_str().to_owned(),
        account: Some(account.id),
        group: u8::try_from(group).unwrap_or(u8::MAX),
        edition: u8::try_from(edition).unwrap_or(u8::MAX),
        state,
        reason,
    };
    match (share, elsewhere) {
        (Share::Copy { group, .. }, Some(other)) => {
            let reason = Reason::new(Rule::DuplicateOf, [account.address().as_str(), other.as_str()]);
            vec![row(group, 0, RecipientState::Suppressed, reason)]
        }
        (Share::Copy { group, editions, reason }, None) => {
            editions.into_iter().map(|edition| row(group, edition, RecipientState::Planned, reason.clone())).collect()
        }
        (Share::Suppressed { group, reason }, _) => vec![row(group, 0, RecipientState::Suppressed, reason)],
    }
}

type Page = Vec<(Subscription, Account)>;

/// The members of one group in the order of their accounts, page by page; while one page is worked on, the next is read.
pub(super) struct Members {
    store: Arc<dyn Store>,
    group: GroupCode,
    page: VecDeque<(Subscription, Account)>,
    coming: Option<JoinHandle<Result<Page>>>,
    after: Option<AccountId>,
    ended: bool,
}

impl Members {
    pub(super) fn new(store: &Arc<dyn Store>, group: &GroupCode) -> Self {
        Self { store: Arc::clone(store), group: group.clone(), page: VecDeque::new(), coming: None, after: None, ended: false }
    }

    fn read_on(&self) -> JoinHandle<Result<Page>> {
        let (store, group, after) = (Arc::clone(&self.store), self.group.clone(), self.after);
        tokio::spawn(async move { store.members_of_group(&group, after, PAGE).await })
    }

    async fn peek(&mut self) -> Result<Option<AccountId>> {
        if self.page.is_empty() && !self.ended {
            let coming = self.coming.take().unwrap_or_else(|| self.read_on());
            let page = coming.await.map_err(|error| StoreError::Unavailable(format!("a page of members was not read: {error}")))??;
            self.after = page.last().map(|(_, account)| account.id);
            self.ended = page.is_empty();
            self.coming = (page.len() == PAGE).then(|| self.read_on());
            self.page = page.into();
        }
        Ok(self.page.front().map(|(_, account)| account.id))
    }
}

/// The person with the lowest account among those not yet seen, with her subscriptions by index of the group.
pub(super) async fn next_person(members: &mut [Members]) -> Result<Option<(Account, Vec<(usize, Subscription)>)>> {
    let mut lowest = None;
    for group in members.iter_mut() {
        lowest = match (lowest, group.peek().await?) {
            (None, id) | (id, None) => id,
            (Some(one), Some(other)) => Some(one.min(other)),
        };
    }
    let Some(lowest) = lowest else { return Ok(None) };
    let mut account = None;
    let mut subscriptions = Vec::new();
    for (index, group) in members.iter_mut().enumerate() {
        if group.page.front().is_some_and(|(_, account)| account.id == lowest)
            && let Some((subscription, her)) = group.page.pop_front()
        {
            subscriptions.push((index, subscription));
            account = Some(her);
        }
    }
    Ok(account.map(|account| (account, subscriptions)))
}

/// The plan of another post of the same message, read in the order of accounts.
struct Sibling<'a> {
    store: &'a dyn Store,
    post: Arc<Post>,
    next: u32,
    count: u32,
    rows: VecDeque<(AccountId, GroupCode)>,
}

/// Planned posts with the same Message-ID by the same author.
async fn siblings<'a>(store: &'a dyn Store, post: &Post) -> Result<Vec<Sibling<'a>>> {
    let mut siblings = Vec::new();
    if post.message_id.is_empty() {
        return Ok(siblings);
    }
    for other in store.posts_by_message_id(&post.message_id).await? {
        let same = other.id != post.id && other.author_address() == post.author_address() && other.kind == post.kind;
        // Only a plan made here is in the order of accounts.
        if same && matches!(other.state, PostState::Planned | PostState::Done) && other.audience == Audience::Subscribers {
            let count = store.batch_count(other.id).await?;
            siblings.push(Sibling { store, post: Arc::new(other), next: 0, count, rows: VecDeque::new() });
        }
    }
    Ok(siblings)
}

/// By which group of another post `account` gets the same message, if by any. Accounts are asked for in ascending order.
async fn gets_elsewhere(siblings: &mut [Sibling<'_>], account: AccountId) -> Result<Option<GroupCode>> {
    let mut found = None;
    for sibling in siblings {
        loop {
            while sibling.rows.front().is_some_and(|(id, _)| *id < account) {
                sibling.rows.pop_front();
            }
            if !sibling.rows.is_empty() || sibling.next == sibling.count {
                break;
            }
            let rows = sibling.store.batch(BatchKey { post: sibling.post.id, number: sibling.next }).await?;
            sibling.next += 1;
            sibling.rows.extend(rows.into_iter().filter(|row| row.state != RecipientState::Suppressed).filter_map(|row| {
                let group = sibling.post.groups.get(usize::from(row.planned.group))?;
                Some((row.planned.account?, group.clone()))
            }));
        }
        if let Some((_, group)) = sibling.rows.front().filter(|(id, _)| *id == account) {
            found.get_or_insert_with(|| group.clone());
        }
    }
    Ok(found)
}
