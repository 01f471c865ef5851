//! Digests: what subscribers who take a group's discussion in one mail were not sent one by one.
//!
//! The ledger is the truth: a post is in somebody's digest exactly if its plan says that she gets it by digest. So a switch
//! between the two ways loses nothing and repeats nothing, whenever it happens, and a post that a moderator let through
//! days later is in the next issue. The planner notes each post that waits ([`wait`]) before its plan counts.
//! An issue is written down with its posts before anything of it is kept, and every mail of it has a repetition key, so a
//! crash or a second node finishes the same issue instead of beginning another. Who has hers already is read from the mails that are
//! kept, so that nobody gets two, or none, because she chose another form or language in between.

mod gather;
mod render;
mod sent;

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

pub use sent::{Issued, sent_in};

use super::{Failure, Services};
use crate::domain::group::{Group, GroupCode};
use crate::domain::id::{AccountId, PostId};
use crate::domain::post::{Audience, Post, PostState};
use crate::store::StoreError;
use crate::store::record::{decode, encode};

/// Register of what waits: `GROUP:POST`, with its size.
const WAITING: &str = "digest-waiting";
/// Register of issues, by group.
const ISSUES: &str = "digest-issue";
/// Entries read at a time.
const PAGE: usize = 500;
/// Most messages of one issue: mail programs have trouble with more parts.
const MOST_POSTS: usize = 100;

/// When issues go out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Whatever waits.
    Now,
    /// Only those that are full, and those that were begun.
    Full,
}

/// The latest issue of a group.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Issue {
    number: u32,
    /// Its posts until all of its mails are kept; empty afterwards.
    open: Vec<PostId>,
}

/// A post that waits.
struct Waiting {
    key: String,
    post: PostId,
    octets: u64,
}

/// Notes that a post of `group` waits for a digest.
///
/// # Errors
/// The store's.
pub async fn wait(services: &Services, group: &GroupCode, post: &Post) -> Result<(), StoreError> {
    services.store.put_entry(WAITING, &format!("{group}:{}", post.id), 0, encode(&post.octets())?).await?;
    Ok(())
}

/// Sends the digests of all groups. Returns how many issues. Safe to run at any time, on any number of nodes.
///
/// # Errors
/// When a template or the store fails; what was not sent goes on waiting.
pub async fn issue(services: &Services, when: When) -> Result<usize, Failure> {
    let mut issues = 0;
    let mut failure = None;
    for code in groups_with_work(services).await? {
        match issue_of(services, &code, when).await {
            Ok(count) => issues += count,
            // One group's broken template must not hold up the others.
            Err(error) => {
                tracing::warn!(group.code = %code, %error, "Could not send the digest of {code}");
                failure = Some(error);
            }
        }
    }
    failure.map_or(Ok(issues), Err)
}

/// Groups for which something waits or an issue is open.
async fn groups_with_work(services: &Services) -> Result<Vec<GroupCode>, Failure> {
    let mut codes: Vec<GroupCode> = Vec::new();
    let mut after: Option<String> = None;
    // Straight to the next group: whatever follows its `:` is behind it, and `;` is the next character.
    while let Some((key, ..)) = services.store.entries(WAITING, after.as_deref(), 1).await?.pop() {
        let code = key.split(':').next().unwrap_or_default();
        after = Some(format!("{code};"));
        codes.extend(code.parse::<GroupCode>().ok());
    }
    let mut after: Option<String> = None;
    loop {
        let page = services.store.entries(ISSUES, after.as_deref(), PAGE).await?;
        let Some((last, ..)) = page.last() else { return Ok(codes) };
        after = Some(last.clone());
        for (key, _, bytes) in &page {
            let open = !decode::<Issue>(&format!("the digest of {key}"), bytes)?.open.is_empty();
            if let Some(code) = key.parse::<GroupCode>().ok().filter(|code| open && !codes.contains(code)) {
                codes.push(code);
            }
        }
    }
}

async fn issue_of(services: &Services, code: &GroupCode, when: When) -> Result<usize, Failure> {
    let mut issues = 0;
    loop {
        let (version, mut issue) = latest(services, code).await?;
        let goes_on = !issue.open.is_empty();
        if !goes_on {
            let posts = next_issue(services, code, when).await?;
            if posts.is_empty() {
                return Ok(issues);
            }
            issue = Issue { number: issue.number + 1, open: posts };
            if services.store.put_entry(ISSUES, code.as_str(), version, encode(&issue)?).await?.is_none() {
                // Another node began one; look again.
                continue;
            }
        }
        let posts = posts(services, &issue.open).await?;
        if let Ok(group) = services.group(code) {
            let had = if goes_on { already(services, code, &issue).await? } else { HashSet::new() };
            send(services, &group, issue.number, &posts, &had).await?;
        }
        for post in &issue.open {
            services.store.remove_entry(WAITING, &format!("{code}:{post}")).await?;
        }
        let (version, now) = latest(services, code).await?;
        if now == issue {
            services.store.put_entry(ISSUES, code.as_str(), version, encode(&Issue { open: Vec::new(), ..issue })?).await?;
            issues += 1;
        }
    }
}

async fn latest(services: &Services, code: &GroupCode) -> Result<(u64, Issue), Failure> {
    match services.store.entry(ISSUES, code.as_str()).await? {
        Some((version, bytes)) => Ok((version, decode(&format!("the digest of {code}"), &bytes)?)),
        None => Ok((0, Issue::default())),
    }
}

/// The posts of the next issue, oldest first; none if it is not time.
async fn next_issue(services: &Services, code: &GroupCode, when: When) -> Result<Vec<PostId>, Failure> {
    let limit = services.config.limits.digest_size.0;
    let mut chosen = Vec::new();
    let mut octets = 0;
    for waiting in waiting(services, code).await? {
        match services.store.post(waiting.post).await? {
            Some(post) if matches!(post.state, PostState::Planned | PostState::Done) => {}
            // Its plan is not finished; or it was withdrawn before it was.
            Some(post) if matches!(post.state, PostState::Accepted | PostState::Held(_) | PostState::AwaitsAuthor(_)) => continue,
            _ => {
                services.store.remove_entry(WAITING, &waiting.key).await?;
                continue;
            }
        }
        if !chosen.is_empty() && (octets + waiting.octets > limit || chosen.len() == MOST_POSTS) {
            return Ok(chosen);
        }
        octets += waiting.octets;
        chosen.push(waiting.post);
    }
    let full = octets >= limit || chosen.len() == MOST_POSTS;
    Ok(if when == When::Now || full { chosen } else { Vec::new() })
}

async fn waiting(services: &Services, code: &GroupCode) -> Result<Vec<Waiting>, Failure> {
    let front = format!("{code}:");
    let mut waiting = Vec::new();
    let mut after = front.clone();
    loop {
        let page = services.store.entries(WAITING, Some(&after), PAGE).await?;
        let count = page.len();
        for (key, _, bytes) in page {
            let Some(post) = key.strip_prefix(&front).and_then(|id| id.parse().ok()) else { return Ok(waiting) };
            after.clone_from(&key);
            let octets = decode(&format!("the waiting post {key}"), &bytes)?;
            waiting.push(Waiting { key, post, octets });
        }
        // More than some issues can hold is looked at when those are out.
        if count < PAGE || waiting.len() >= 2 * PAGE {
            return Ok(waiting);
        }
    }
}

async fn posts(services: &Services, ids: &[PostId]) -> Result<Vec<Post>, Failure> {
    let mut posts = Vec::with_capacity(ids.len());
    for id in ids {
        posts.extend(services.store.post(*id).await?);
    }
    Ok(posts)
}

/// Who is in a mail of this issue that is kept, with a copy or with the reason why not.
async fn already(services: &Services, code: &GroupCode, issue: &Issue) -> Result<HashSet<AccountId>, Failure> {
    let origin = render::origin(code, issue.number);
    // Every mail of an issue is younger than the posts in it.
    let newest = issue.open.iter().max().copied();
    let mut had = HashSet::new();
    let mut before = None;
    loop {
        let page = services.store.posts_of_group(code, before, PAGE).await?;
        let Some(last) = page.last() else { return Ok(had) };
        before = Some(last.id);
        let is_behind = newest.is_some_and(|newest| last.id < newest);
        for post in page.iter().filter(|post| post.origin == origin) {
            if let Audience::Listed(readers) = &post.audience {
                had.extend(readers.iter().filter_map(|reader| reader.account));
            }
        }
        if is_behind {
            return Ok(had);
        }
    }
}

/// Keeps the mails of an issue: one post for each set of messages, language and form, each with its readers.
async fn send(services: &Services, group: &Group, number: u32, posts: &[Post], had: &HashSet<AccountId>) -> Result<(), Failure> {
    let mut readers = gather::readers(services, &group.code, posts).await?;
    readers.accounts.retain(|(account, _)| !had.contains(account));
    let mut rendering = render::Rendering::new(services, group, number, posts);
    for some in readers.accounts.chunks(PAGE) {
        for (bucket, list) in gather::buckets(services, group, some).await? {
            let wanted: Vec<usize> = readers.set(bucket.set).to_vec();
            // A mail is known again by its first reader: she is in no other one.
            let first = list.iter().find_map(|reader| reader.account).map(|account| account.to_string()).unwrap_or_default();
            let key = format!("digest {} {number} {} {} {} {first}", group.code, bucket.set, bucket.language, bucket.plain);
            let post = rendering.post(&bucket, &wanted, list).await?;
            services.store.keep_post(post, vec![key]).await?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
