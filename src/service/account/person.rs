//! What is kept about a person, and how it is let go: export, erasure, pseudonyms.
//!
//! The ledger keeps its rows, because the count of everybody who was considered must stay true, with a pseudonym instead of the address,
//! in the words of servers too. Posts are the group's record and stay, or are redacted, as
//! `retention.erased_posts` says.

use std::collections::HashMap;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::config::ErasedPosts;
use crate::domain::account::Account;
use crate::domain::archive;
use crate::domain::group::GroupCode;
use crate::domain::id::{AccountId, PostId};
use crate::domain::post::{Edition, Post, PostState};
use crate::domain::reason::{Reason, Rule};
use crate::mail::content;
use crate::service::{Failure, Services, bounce, liaison};
use crate::store::{BatchKey, BodySource};

/// Register of those who were erased, by their account's identifier: the pseudonym in their place.
const ERASED: &str = "erased";
/// Posts read at a time.
const PAGE: usize = 200;
/// Most octets of text of one post in an export, of all of them, and of a message that is read for it.
const TEXT_OCTETS: usize = 100_000;
const EXPORTED_OCTETS: usize = 20_000_000;
const WORDS_OCTETS: u64 = 30_000_000;

/// Pseudonyms of erased persons, for whoever shows the ledger.
#[derive(Debug, Clone, Default)]
pub struct Pseudonyms(HashMap<AccountId, String>);

impl Pseudonyms {
    /// All there are; few.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn load(services: &Services) -> Result<Self, Failure> {
        let mut known = HashMap::new();
        let mut after: Option<String> = None;
        loop {
            let page = services.store.entries(ERASED, after.as_deref(), PAGE).await?;
            let Some((last, ..)) = page.last() else { return Ok(Self(known)) };
            after = Some(last.clone());
            // Persons who were erased before addresses were replaced have none noted, and their rows are shown by their account.
            let pseudonym = |key: &str, noted: &[u8]| match std::str::from_utf8(noted) {
                Ok(noted) if !noted.is_empty() => noted.to_owned(),
                _ => format!("erased-{key}@invalid"),
            };
            known.extend(page.iter().filter_map(|(key, _, noted)| Some((key.parse().ok()?, pseudonym(key, noted)))));
        }
    }

    /// The pseudonym of an account that was erased.
    pub fn of(&self, account: Option<AccountId>) -> Option<&str> {
        self.0.get(&account?).map(String::as_str)
    }
}

/// `text` with `address` replaced, whatever its case.
pub fn without_address(text: &str, address: &str, pseudonym: &str) -> String {
    let (lower, wanted) = (text.to_ascii_lowercase(), address.to_ascii_lowercase());
    let mut clean = String::with_capacity(text.len());
    let mut at = 0;
    while let Some(found) = lower[at..].find(&wanted).filter(|_| !wanted.is_empty()) {
        clean.push_str(&text[at..at + found]);
        clean.push_str(pseudonym);
        at += found + wanted.len();
    }
    clean.push_str(&text[at..]);
    clean
}

/// Posts, rows of the ledger, scores and contacts of an account, for its export.
pub(super) async fn traces(services: &Services, account: &Account) -> Result<Value, Failure> {
    let mut posts = Vec::new();
    let mut ledger = Vec::new();
    let mut room = EXPORTED_OCTETS;
    for code in groups(services) {
        let mut walk = Walk::new(services, &code);
        while let Some(page) = walk.next().await? {
            for post in page {
                if is_by(&post, account) {
                    let (text, whole) = words(services, &post, &mut room).await?;
                    posts.push(json!({
                        "group": code, "message_id": post.message_id, "subject": post.subject, "at": post.received_at, "state": post.state.as_str(),
                        "text": text, "whole": whole, "octets": post.editions.iter().map(|edition| edition.body.octets).sum::<u64>(),
                        "attachments": "with the message: enlace archive export, or its page in the archive",
                    }));
                }
                ledger.extend(rows_of(services, &code, &post, account).await?);
            }
        }
    }
    let scores: Vec<_> = bounce::list(services, None).await?.into_iter().filter(|row| account.address().as_str() == row.address).collect();
    let contacts: Vec<Value> = liaison::contacts_of(services, &account.addresses).await?;
    Ok(json!({ "posts": posts, "ledger": ledger, "bounces": scores, "liaison_contacts": contacts }))
}

/// The text of a post as its author wrote it, as far as there is room; `true` if that is all of it.
async fn words(services: &Services, post: &Post, room: &mut usize) -> Result<(Option<String>, bool), Failure> {
    let Some(edition) = post.editions.first().filter(|edition| edition.body.octets <= WORDS_OCTETS && *room > 0) else {
        return Ok((None, false));
    };
    let body = services.store.body(&edition.body).await?;
    let limit = TEXT_OCTETS.min(*room);
    let text = move |bytes: &Bytes| Some(content::text_body(&content::parse(bytes).ok()?, limit));
    let Some(text) = services.quarantine.look(post.id, "export", &body, text).await else { return Ok((None, false)) };
    *room -= text.len().min(*room);
    let whole = text.len() < limit && post.editions.len() == 1;
    Ok((Some(text), whole))
}

/// Lets go of her posts by policy (those that were never distributed in any case) and her scores, and notes the pseudonym. Returns what
/// was done, in words, and which posts changed.
pub(super) async fn let_go(
    services: &Services,
    account: &Account,
    pseudonym: &str,
    dry_run: bool,
) -> Result<(Vec<String>, Vec<PostId>), Failure> {
    let redact = services.config.retention.erased_posts == ErasedPosts::Redact;
    let (mut own, mut dropped, mut changed) = (0, 0, Vec::new());
    for code in groups(services) {
        let mut walk = Walk::new(services, &code);
        while let Some(page) = walk.next().await? {
            for post in page.into_iter().filter(|post| is_by(post, account)) {
                let is_record = matches!(post.state, PostState::Accepted | PostState::Planned | PostState::Done);
                own += usize::from(is_record);
                dropped += usize::from(!is_record);
                if (redact || !is_record) && !dry_run {
                    changed.push(post.id);
                    redact_post(services, post).await?;
                }
            }
        }
        if !dry_run {
            bounce::forget_member(services, code.as_str(), account.id).await?;
        }
    }
    let id = account.id.to_string();
    if !dry_run && services.store.entry(ERASED, &id).await?.is_none() {
        services.store.put_entry(ERASED, &id, 0, pseudonym.as_bytes().to_vec()).await?;
    }
    let posts = if redact { "redacted" } else { "kept as the group's record" };
    let told = vec![format!("{own} posts {posts}, {dropped} never distributed dropped"), format!("ledger shows {pseudonym}")];
    Ok((told, changed))
}

/// All groups: she may have posted where she is not subscribed.
fn groups(services: &Services) -> Vec<GroupCode> {
    services.groups().iter().map(|group| group.code.clone()).collect()
}

/// Posts of a group, newest first, in pages.
struct Walk<'a> {
    services: &'a Services,
    code: &'a GroupCode,
    before: Option<PostId>,
}

impl<'a> Walk<'a> {
    fn new(services: &'a Services, code: &'a GroupCode) -> Self {
        Self { services, code, before: None }
    }

    async fn next(&mut self) -> Result<Option<Vec<Post>>, Failure> {
        let page = self.services.store.posts_of_group(self.code, self.before, PAGE).await?;
        self.before = page.last().map(|post| post.id);
        Ok(Some(page).filter(|page| !page.is_empty()))
    }
}

fn is_by(post: &Post, account: &Account) -> bool {
    post.author == Some(account.id) || post.author_address().is_some_and(|author| account.owns(author))
}

async fn rows_of(services: &Services, code: &GroupCode, post: &Post, account: &Account) -> Result<Vec<Value>, Failure> {
    let mut rows = Vec::new();
    for number in 0..services.store.batch_count(post.id).await? {
        for record in services.store.batch(BatchKey { post: post.id, number }).await? {
            if record.planned.account == Some(account.id) {
                let attempts: Vec<_> = record.attempts.iter().map(|attempt| json!({ "at": attempt.at, "reply": attempt.reply })).collect();
                rows.push(json!({ "group": code, "message_id": post.message_id, "address": record.planned.address, "state": record.state.as_str(), "reason": record.planned.reason.text(), "attempts": attempts }));
            }
        }
    }
    Ok(rows)
}

/// The post stays in its place in the thread, without its author and its words. One that waits for a decision is dropped.
async fn redact_post(services: &Services, mut post: Post) -> Result<(), Failure> {
    let domain = &services.site.domain;
    let text = format!(
        "From: erased <noreply@{domain}>\r\nSubject: (erased)\r\nMessage-ID: <{}>\r\nDate: {}\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nErased with its author's account.\r\n",
        post.message_id,
        post.received_at.to_rfc2822(),
    );
    let body = services.store.put_body(BodySource::Bytes(Bytes::from(text))).await?;
    if let PostState::Held(_) | PostState::AwaitsAuthor(_) = post.state {
        post.state = PostState::Discarded(Reason::new(Rule::Dropped, [services.today().to_string()]));
    }
    post.editions = vec![Edition { language: None, body }];
    post.subject = "(erased)".to_owned();
    post.sender = None;
    post.author = None;
    post.arrival = crate::domain::post::Arrival::default();
    archive::ERASED.clone_into(&mut post.origin);
    services.store.update_post(post).await?;
    Ok(())
}

/// A mail of the service to her alone: its words go, and if it was not sent yet, it will not be.
pub(super) async fn empty_letter(services: &Services, id: PostId) -> Result<(), Failure> {
    let Some(mut post) = services.store.post(id).await? else { return Ok(()) };
    if post.state == PostState::Accepted {
        post.state = PostState::Discarded(Reason::new(Rule::Dropped, [services.today().to_string()]));
    }
    redact_post(services, post).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_replaced_in_any_case_and_nothing_else() {
        let shown = without_address("550 <Ana@X.test>: no ana@x.test here, ana@y.test", "ana@x.test", "erased-1@invalid");
        assert_eq!(shown, "550 <erased-1@invalid>: no erased-1@invalid here, ana@y.test");
        assert_eq!(without_address("a", "", "b"), "a");
    }
}
