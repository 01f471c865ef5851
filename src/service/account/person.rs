//! What is kept about a person, and how it is let go: export, erasure, pseudonyms.
//!
//! The ledger keeps its rows, because the count of everybody who was considered must stay true; whoever asks is shown a pseudonym
//! instead of the address, in the words of servers too. Posts are the group's record and stay, or are redacted, as
//! `retention.erased_posts` says.

use std::collections::HashMap;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::config::ErasedPosts;
use crate::domain::account::Account;
use crate::domain::group::GroupCode;
use crate::domain::id::AccountId;
use crate::domain::post::{Edition, Post};
use crate::service::{Failure, Services, bounce, liaison};
use crate::store::{BatchKey, BodySource};

/// Register of those who were erased: their account's identifier, and the addresses as digests.
const ERASED: &str = "erased";
/// Posts of one group that are looked through.
const POSTS: usize = 20_000;
/// Posts read at a time.
const PAGE: usize = 200;

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
            known.extend(page.iter().filter_map(|(key, ..)| Some((key.parse().ok()?, pseudonym(key)))));
        }
    }

    /// The pseudonym of an account that was erased.
    pub fn of(&self, account: Option<AccountId>) -> Option<&str> {
        self.0.get(&account?).map(String::as_str)
    }
}

fn pseudonym(account: &str) -> String {
    format!("erased-{account}@invalid")
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
    for code in groups_of(services, account).await? {
        for post in posts_of(services, &code).await? {
            if is_by(&post, account) {
                posts.push(json!({ "group": code, "message_id": post.message_id, "subject": post.subject, "at": post.received_at, "state": post.state.as_str() }));
            }
            ledger.extend(rows_of(services, &code, &post, account).await?);
        }
    }
    let scores: Vec<_> = bounce::list(services, None).await?.into_iter().filter(|row| account.address().as_str() == row.address).collect();
    let contacts: Vec<Value> = liaison::contacts_of(services, &account.addresses).await?;
    Ok(json!({ "posts": posts, "ledger": ledger, "bounces": scores, "liaison_contacts": contacts }))
}

/// Lets go what [`traces`] found: a pseudonym in the ledger, scores forgotten, posts by policy. Returns what was done, in words.
pub(super) async fn let_go(services: &Services, account: &Account, dry_run: bool) -> Result<Vec<String>, Failure> {
    let redact = services.config.retention.erased_posts == ErasedPosts::Redact;
    let mut own = 0;
    for code in groups_of(services, account).await? {
        for post in posts_of(services, &code).await?.into_iter().filter(|post| is_by(post, account)) {
            own += 1;
            if redact && !dry_run {
                redact_post(services, post).await?;
            }
        }
        if !dry_run {
            bounce::forget_member(services, code.as_str(), account.id).await?;
        }
    }
    let id = account.id.to_string();
    if !dry_run && services.store.entry(ERASED, &id).await?.is_none() {
        services.store.put_entry(ERASED, &id, 0, Vec::new()).await?;
    }
    let posts = if redact { "redacted" } else { "kept as the group's record" };
    Ok(vec![format!("{own} posts {posts}"), format!("ledger shows {}", pseudonym(&id))])
}

/// Groups that she is or was in.
async fn groups_of(services: &Services, account: &Account) -> Result<Vec<GroupCode>, Failure> {
    Ok(services.store.subscriptions_of_account(account.id).await?.into_iter().map(|subscription| subscription.group).collect())
}

async fn posts_of(services: &Services, code: &GroupCode) -> Result<Vec<Post>, Failure> {
    let mut posts: Vec<Post> = Vec::new();
    while posts.len() < POSTS {
        let page = services.store.posts_of_group(code, posts.last().map(|post| post.id), PAGE).await?;
        if page.is_empty() {
            break;
        }
        posts.extend(page);
    }
    Ok(posts)
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

/// The post stays in its place in the thread, without its author and its words.
async fn redact_post(services: &Services, mut post: Post) -> Result<(), Failure> {
    let domain = &services.site.domain;
    let text = format!(
        "From: erased <noreply@{domain}>\r\nSubject: (erased)\r\nMessage-ID: <{}>\r\nDate: {}\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nErased with its author's account.\r\n",
        post.message_id,
        post.received_at.to_rfc2822(),
    );
    let body = services.store.put_body(BodySource::Bytes(Bytes::from(text))).await?;
    post.editions = vec![Edition { language: None, body }];
    post.subject = "(erased)".to_owned();
    post.sender = None;
    post.author = None;
    post.arrival = crate::domain::post::Arrival::default();
    services.store.update_post(post).await?;
    Ok(())
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
