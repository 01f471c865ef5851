//! Manifests: what the archive of a group held in a month, sealed when the month is over, so that a later change shows.
//!
//! A manifest names each post with the hash of its bytes and is sealed with the service's key (HMAC-SHA-256). [`verify`] reads every
//! body again. Posts that an import adds to a month of long ago are named as added, not as a fault, and the next sealing takes
//! them in. Who can write to the disk could also make a new seal, so a copy of the manifests kept elsewhere
//! (`archive verify --json`) can be compared with: the roots must be the same.

use std::collections::BTreeMap;

use chrono::{DateTime, Datelike, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::export::all_posts;
use super::{Access, Reader, access};
use crate::domain::archive;
use crate::domain::group::GroupCode;
use crate::domain::id::PostId;
use crate::mail::token::Purpose;
use crate::service::{Failure, Services};
use crate::store::{StoreError, record};

/// Register of manifests: `CODE/2026-10`.
const MANIFESTS: &str = "archive-manifests";
/// Most faults that are listed a month; the count is of all.
const SHOWN: usize = 100;

/// What a month held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Sealed {
    at: DateTime<Utc>,
    posts: Vec<(PostId, [u8; 32])>,
    seal: String,
}

/// A manifest as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Manifest {
    /// Such as `2026-10`, in UTC.
    pub month: String,
    /// When it was sealed.
    pub sealed: DateTime<Utc>,
    /// How many posts it names.
    pub posts: usize,
    /// Hash over all of them, hexadecimal.
    pub root: String,
}

/// What [`verify`] found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// Of which group.
    pub group: String,
    /// The manifests.
    pub manifests: Vec<Manifest>,
    /// Posts that were read and are as they were sealed.
    pub unchanged: u64,
    /// Posts of sealed months that came later, by an import.
    pub added: u64,
    /// Posts of months that are not sealed yet.
    pub unsealed: u64,
    /// Posts whose words were let go on purpose: their author was erased, or `archive_keep` was over.
    pub let_go: u64,
    /// Posts that changed, are gone or cannot be read, and seals that are not ours.
    pub faults: Vec<String>,
}

fn key(code: &GroupCode, month: &str) -> String {
    format!("{code}/{month}")
}

fn month(at: DateTime<Utc>) -> String {
    format!("{:04}-{:02}", at.year(), at.month())
}

fn root(posts: &[(PostId, [u8; 32])]) -> [u8; 32] {
    let mut digest = Sha256::new();
    for (id, hash) in posts {
        digest.update(id.0.to_be_bytes());
        digest.update(hash);
    }
    digest.finalize().into()
}

fn said(code: &GroupCode, month: &str, at: DateTime<Utc>, posts: &[(PostId, [u8; 32])]) -> [u8; 32] {
    let mut digest = Sha256::new();
    digest.update(format!("{code}|{month}|{}|{}|", at.timestamp_millis(), posts.len()));
    digest.update(root(posts));
    digest.finalize().into()
}

/// Hash over the editions of a post.
async fn hash(services: &Services, id: PostId) -> Result<[u8; 32], Failure> {
    let gone = || Failure::Store(StoreError::Damaged(format!("post {id} is gone")));
    let post = services.store.post(id).await?.ok_or_else(gone)?;
    let mut digest = Sha256::new();
    digest.update(&post.message_id);
    for edition in &post.editions {
        let bytes = services.store.body(&edition.body).await?;
        digest.update((bytes.len() as u64).to_be_bytes());
        digest.update(&bytes);
    }
    Ok(digest.finalize().into())
}

/// Did erasure or retention empty it? Whoever tampers with a post could say so too: hence the count, beside the audit trail's.
async fn was_let_go(services: &Services, id: PostId) -> Result<bool, Failure> {
    let post = services.store.post(id).await?;
    Ok(post.is_some_and(|post| matches!(post.origin.as_str(), archive::EXPIRED | archive::ERASED)))
}

async fn by_month(services: &Services, code: &GroupCode) -> Result<BTreeMap<String, Vec<PostId>>, Failure> {
    // What a reader does not see any more is still sealed.
    let access = Access { since: None, ..access(services, code, Reader::Operator).await? };
    let mut months: BTreeMap<String, Vec<PostId>> = BTreeMap::new();
    for id in all_posts(services, &access).await? {
        months.entry(month(id.instant())).or_default().push(id);
    }
    Ok(months)
}

async fn sealed(services: &Services, code: &GroupCode, month: &str) -> Result<Option<(u64, Sealed)>, Failure> {
    let Some((version, bytes)) = services.store.entry(MANIFESTS, &key(code, month)).await? else { return Ok(None) };
    Ok(Some((version, record::decode(&format!("manifest {month} of {code}"), &bytes)?)))
}

/// Seals the months of a group that are over and not sealed, and takes in what imports added to others. Returns the months.
///
/// # Errors
/// When the store fails, or a post that was sealed cannot be read: [`verify`] names it.
pub async fn seal(services: &Services, code: &GroupCode) -> Result<Vec<String>, Failure> {
    let present = month(services.now());
    let mut done = Vec::new();
    for (month, ids) in by_month(services, code).await?.into_iter().filter(|(month, _)| *month < present) {
        let before = sealed(services, code, &month).await?;
        let (version, mut posts) = before.map_or((0, Vec::new()), |(version, sealed)| (version, sealed.posts));
        let known: BTreeMap<PostId, [u8; 32]> = posts.iter().copied().collect();
        let new: Vec<PostId> = ids.into_iter().filter(|id| !known.contains_key(id)).collect();
        if new.is_empty() {
            continue;
        }
        for id in new {
            posts.push((id, hash(services, id).await?));
        }
        posts.sort_unstable();
        let at = services.now();
        let seal = services.keys.link_token(Purpose::Manifest, &said(code, &month, at, &posts), None);
        let bytes = record::encode(&Sealed { at, posts, seal })?;
        services.store.put_entry(MANIFESTS, &key(code, &month), version, bytes).await?;
        done.push(month);
    }
    Ok(done)
}

/// The manifests of a group.
///
/// # Errors
/// When there is no such group or the store fails.
pub async fn manifests(services: &Services, code: &GroupCode) -> Result<Vec<Manifest>, Failure> {
    services.group(code)?;
    let (prefix, mut found) = (format!("{code}/"), Vec::new());
    for (key, _, bytes) in services.store.entries(MANIFESTS, Some(&prefix), 10_000).await? {
        let Some(month) = key.strip_prefix(&prefix) else { break };
        let sealed: Sealed = record::decode(&format!("manifest {key}"), &bytes)?;
        let root = data_encoding::HEXLOWER.encode(&root(&sealed.posts));
        found.push(Manifest { month: month.to_owned(), sealed: sealed.at, posts: sealed.posts.len(), root });
    }
    Ok(found)
}

/// Reads every post of a group again and compares it with the manifests.
///
/// # Errors
/// When there is no such group or the store fails; a damaged post is a fault in the result.
pub async fn verify(services: &Services, code: &GroupCode, progress: &(dyn Fn(u64, u64) + Send + Sync)) -> Result<Verified, Failure> {
    let mut verified = Verified { group: code.to_string(), manifests: manifests(services, code).await?, ..Verified::default() };
    let mut months = by_month(services, code).await?;
    let total = verified.manifests.iter().map(|manifest| manifest.posts as u64).sum();
    for shown in verified.manifests.clone() {
        let ids = months.remove(&shown.month).unwrap_or_default();
        let Some((_, sealed)) = sealed(services, code, &shown.month).await? else { continue };
        let expected = said(code, &shown.month, sealed.at, &sealed.posts);
        let ours = services.keys.read_link_token(Purpose::Manifest, &sealed.seal, services.now());
        if ours.as_deref() != Some(&expected[..]) {
            verified.faults.push(format!("{}: the seal is not this service's", shown.month));
        }
        verified.added += ids.iter().filter(|id| sealed.posts.binary_search_by_key(*id, |(sealed, _)| *sealed).is_err()).count() as u64;
        let mut faults = Vec::new();
        for (id, was) in &sealed.posts {
            match hash(services, *id).await {
                Ok(now) if now == *was && ids.binary_search(id).is_ok() => verified.unchanged += 1,
                Ok(now) if now == *was => faults.push(format!("{}: post {id} is not in the archive any more", shown.month)),
                Ok(_) if was_let_go(services, *id).await? => verified.let_go += 1,
                Ok(_) => faults.push(format!("{}: post {id} is not what was sealed", shown.month)),
                Err(Failure::Store(StoreError::Damaged(why))) => faults.push(format!("{}: {why}", shown.month)),
                Err(error) => return Err(error),
            }
            progress(verified.unchanged + faults.len() as u64, total);
        }
        if faults.len() > SHOWN {
            let more = faults.len() - SHOWN;
            faults.truncate(SHOWN);
            faults.push(format!("{}: and {more} more", shown.month));
        }
        verified.faults.extend(faults);
    }
    verified.unsealed = months.values().map(|ids| ids.len() as u64).sum();
    Ok(verified)
}
