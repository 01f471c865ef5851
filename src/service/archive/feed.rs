//! Keeps the index up to date with the record, from where it stopped.
//!
//! What was done is noted in the index itself, with its own commit: for each group the newest post it has seen, the posts that
//! wait to be distributed, and which imports it knows. So a lost or damaged index simply begins again. Posts come oldest first,
//! because an answer joins the thread of what it answers. The surprise: identifiers are times of several clocks, so the last
//! minutes are always looked at again.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Arc, PoisonError};

use serde::{Deserialize, Serialize};

use super::{blocking, entry, index};
use crate::domain::archive::{is_archived, may_be_archived};
use crate::domain::group::GroupCode;
use crate::domain::id::PostId;
use crate::search::Index;
use crate::service::{Failure, Services};

/// Register of imports: group → a version that grows with each import.
pub(super) const IMPORTS: &str = "archive-imports";
/// Posts read from the store at a time.
const PAGE: usize = 200;
/// Entries given to the index at a time.
const BATCH: usize = 64;
/// Entries after which they are committed.
const COMMIT: usize = 20_000;
/// How far clocks of several nodes may differ.
const SLACK_IDENTIFIERS: u64 = (10 * 60 * 1000) << 22;

/// What the process remembers between two feedings.
#[derive(Default)]
pub struct Seen {
    newest: HashMap<GroupCode, Option<PostId>>,
    note: Option<Note>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Note {
    /// The newest post of each group that was looked at.
    seen: BTreeMap<GroupCode, u64>,
    /// Posts that may still be distributed.
    waiting: BTreeSet<u64>,
    /// Imports that are in.
    imports: BTreeMap<String, u64>,
    /// Was every group gone through to its end once?
    complete: bool,
}

/// What a feeding did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Fed {
    /// Posts added.
    pub added: usize,
    /// Posts in the index now.
    pub posts: u64,
}

/// Does the index hold everything that was there when it was last fed?
pub(super) fn is_complete(index: &Index) -> bool {
    index.note().ok().and_then(|note| serde_json::from_str::<Note>(&note).ok()).is_some_and(|note| note.complete)
}

/// Brings the index up to date. Cheap when nothing is new: one look at each group.
///
/// # Errors
/// When the store fails, or the index; the latter is begun anew the next time.
pub async fn feed(services: &Services) -> Result<Fed, Failure> {
    let mut seen = services.archive.feeding.lock().await;
    let index = index(services).await?;
    let fed = Feeding { services, index: Arc::clone(&index) }.run(&mut seen).await;
    if let Err(error) = &fed {
        // Opened again the next time, which looks at its checksums, because its writer did not end well.
        tracing::warn!(%error, "The search index could not be brought up to date");
        *seen = Seen::default();
        *services.archive.index.write().unwrap_or_else(PoisonError::into_inner) = None;
    }
    fed
}

/// Throws the index away and makes it again; searches find less meanwhile.
///
/// # Errors
/// As [`feed`].
pub async fn rebuild(services: &Services) -> Result<Fed, Failure> {
    {
        let mut seen = services.archive.feeding.lock().await;
        *seen = Seen::default();
        let index = index(services).await?;
        blocking(move || index.clear()).await?;
    }
    feed(services).await
}

/// How often mails were imported into the archive of a group.
///
/// # Errors
/// When the store fails.
pub(in crate::service) async fn imports_of(services: &Services, code: &GroupCode) -> Result<u64, Failure> {
    Ok(services.store.entry(IMPORTS, code.as_str()).await?.map_or(0, |(version, _)| version))
}

/// Looks at posts again that changed or are no part of the archive any more, and makes the index forget the words that they had.
///
/// # Errors
/// As [`feed`].
pub async fn refresh(services: &Services, ids: &[PostId]) -> Result<(), Failure> {
    if ids.is_empty() {
        return Ok(());
    }
    let mut seen = services.archive.feeding.lock().await;
    let feeding = Feeding { services, index: index(services).await? };
    let note = match seen.note.take() {
        Some(note) => note,
        None => feeding.read_note().await?,
    };
    let mut changed = false;
    for some in ids.chunks(BATCH) {
        let (mut entries, mut gone) = (Vec::new(), Vec::new());
        for id in some {
            if !feeding.has(*id).await? {
                continue;
            }
            match services.store.post(*id).await? {
                Some(post) if is_archived(&post) => entries.push(entry::of_post(services, &post).await?),
                _ => gone.push(*id),
            }
        }
        changed |= !(entries.is_empty() && gone.is_empty());
        feeding.add(entries).await?;
        let index = Arc::clone(&feeding.index);
        blocking(move || if gone.is_empty() { Ok(()) } else { index.remove(&gone) }).await?;
    }
    if changed {
        feeding.commit(&note).await?;
        let index = Arc::clone(&feeding.index);
        blocking(move || index.purge()).await?;
    }
    seen.note = Some(note);
    Ok(())
}

struct Feeding<'a> {
    services: &'a Services,
    index: Arc<Index>,
}

impl Feeding<'_> {
    async fn run(&self, seen: &mut Seen) -> Result<Fed, Failure> {
        let mut note = match seen.note.take() {
            Some(note) => note,
            None => self.read_note().await?,
        };
        let (mut added, mut shared) = (0, HashSet::new());
        let mut changed = !note.complete;
        let imports = self.imports().await?;
        let groups: Vec<GroupCode> = self.services.groups().iter().map(|group| group.code.clone()).collect();
        for code in &groups {
            let imported = imports.get(code.as_str()).copied().unwrap_or_default();
            let again = note.imports.get(code.as_str()).copied().unwrap_or_default() != imported;
            let newest = self.services.store.posts_of_group(code, None, 1).await?.first().map(|post| post.id);
            if !again && seen.newest.get(code) == Some(&newest) {
                continue;
            }
            if again {
                // Older posts came in: everything is looked at, and what the index has is passed over.
                note.seen.remove(code);
            }
            let some = self.group(code, &mut note, &mut shared).await?;
            changed |= some > 0 || again;
            added += some;
            note.imports.insert(code.to_string(), imported);
            seen.newest.insert(code.clone(), newest);
        }
        added += self.waiting(&mut note, &mut changed).await?;
        if changed || added > 0 {
            note.complete = true;
            self.commit(&note).await?;
            if added >= COMMIT / 4 {
                let index = Arc::clone(&self.index);
                blocking(move || index.rest()).await?;
            }
        }
        let posts = self.index.len();
        seen.note = Some(note);
        Ok(Fed { added, posts })
    }

    async fn read_note(&self) -> Result<Note, Failure> {
        let index = Arc::clone(&self.index);
        let text = blocking(move || index.note()).await?;
        Ok(serde_json::from_str(&text).unwrap_or_default())
    }

    async fn imports(&self) -> Result<BTreeMap<String, u64>, Failure> {
        let entries = self.services.store.entries(IMPORTS, None, 1_000).await?;
        Ok(entries.into_iter().map(|(key, version, _)| (key, version)).collect())
    }

    /// Adds what is new in a group, oldest first; `shared` are posts of several groups that were met before.
    async fn group(&self, code: &GroupCode, note: &mut Note, shared: &mut HashSet<PostId>) -> Result<usize, Failure> {
        let known = note.seen.get(code).copied().unwrap_or_default();
        let from = known.saturating_sub(SLACK_IDENTIFIERS);
        let mut ids = Vec::new();
        let mut before = None;
        'pages: loop {
            let page = self.services.store.posts_of_group(code, before, PAGE).await?;
            let Some(last) = page.last() else { break };
            before = Some(last.id);
            for post in page {
                if post.id.0 < from {
                    break 'pages;
                }
                if is_archived(&post) || may_be_archived(&post) {
                    ids.push(post.id);
                } else {
                    note.seen.entry(code.clone()).and_modify(|seen| *seen = (*seen).max(post.id.0)).or_insert(post.id.0);
                }
            }
        }
        ids.reverse();
        let mut added = 0;
        let mut since_commit = 0;
        for some in ids.chunks(BATCH) {
            let mut entries = Vec::with_capacity(some.len());
            for id in some {
                if note.waiting.contains(&id.0) || self.has(*id).await? {
                    continue;
                }
                let Some(post) = self.services.store.post(*id).await? else { continue };
                // A post of several groups is met in each of them.
                if post.groups.len() > 1 && !shared.insert(*id) {
                    continue;
                }
                if is_archived(&post) {
                    entries.push(entry::of_post(self.services, &post).await?);
                } else if may_be_archived(&post) {
                    note.waiting.insert(id.0);
                }
            }
            added += entries.len();
            since_commit += entries.len();
            self.add(entries).await?;
            let last = some.last().map_or(0, |id| id.0);
            note.seen.entry(code.clone()).and_modify(|seen| *seen = (*seen).max(last)).or_insert(last);
            if since_commit >= COMMIT {
                since_commit = 0;
                self.commit(note).await?;
                tracing::info!(group = %code, added, of = ids.len(), "Indexing the archive");
            }
        }
        Ok(added)
    }

    /// Looks again at posts that were not distributed yet.
    async fn waiting(&self, note: &mut Note, changed: &mut bool) -> Result<usize, Failure> {
        let mut entries = Vec::new();
        for id in note.waiting.clone() {
            let post = self.services.store.post(PostId(id)).await?;
            match post {
                Some(post) if may_be_archived(&post) => continue,
                Some(post) if is_archived(&post) => entries.push(entry::of_post(self.services, &post).await?),
                _ => {}
            }
            note.waiting.remove(&id);
            *changed = true;
        }
        let added = entries.len();
        self.add(entries).await?;
        Ok(added)
    }

    async fn has(&self, id: PostId) -> Result<bool, Failure> {
        // A look into a map of the library; not worth a thread.
        self.index.has(id).map_err(|error| Failure::Store(crate::store::StoreError::Unavailable(error.to_string())))
    }

    async fn add(&self, entries: Vec<crate::search::Entry>) -> Result<(), Failure> {
        if entries.is_empty() {
            return Ok(());
        }
        let index = Arc::clone(&self.index);
        blocking(move || index.add(entries)).await
    }

    async fn commit(&self, note: &Note) -> Result<(), Failure> {
        let text = serde_json::to_string(note).map_err(|error| Failure::Invalid(error.to_string()))?;
        let index = Arc::clone(&self.index);
        blocking(move || index.commit(&text)).await
    }
}
