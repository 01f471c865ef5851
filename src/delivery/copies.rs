//! Rendered editions in use: rendered once for many copies, shared by all sessions, bounded in octets.
//!
//! Small ones are kept while they are used; of bulky ones only as many are in memory as the budget allows, whatever the
//! number of sessions: who needs another one waits until a copy in hand has gone out.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::lanes::BULK_OCTETS;
use super::policies::Policies;
use crate::domain::audience::linked_language;
use crate::domain::group::{Group, GroupCode, GroupKind, GuestLiaison, GuestPolicy, MissingEdition, NonmemberPolicy};
use crate::domain::group::{ParticipationPolicy, SubscriptionPolicy};
use crate::domain::id::PostId;
use crate::domain::language::{Language, Localized};
use crate::domain::post::Post;
use crate::mail::compose::{self, Rendered, Service};
use crate::mail::links::{self, Linked};
use crate::service::quarantine::{RENDERING, Work};
use crate::service::{Services, archive};
use crate::store::StoreError;

/// Octets of bulky editions in memory at a time.
const BULKY_BUDGET: usize = 64 * 1024 * 1024;
/// Octets of small editions kept for the next copy.
const KEPT_OCTETS: u64 = 8 * 1024 * 1024;
/// The budget is counted in these.
const BLOCK: usize = 64 * 1024;
/// How long a session waits for room before it looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// An edition as the readers of one group see it.
pub struct Edition {
    /// The shared bytes.
    pub rendered: Rendered,
    /// Held while a bulky one is in memory.
    room: Option<OwnedSemaphorePermit>,
}

/// Why there is no copy.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CopyError {
    /// The stored bytes cannot be read at present.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The message cannot be made a copy, now or later.
    #[error("no copy can be made of post {post}: {cause}")]
    Malformed {
        /// Which.
        post: PostId,
        /// What is wrong with it.
        cause: String,
    },
}

type Key = (PostId, u8, u8);

/// The editions in memory.
pub struct Copies {
    services: Arc<Services>,
    service: Service,
    room: Arc<Semaphore>,
    kept: Mutex<Kept>,
    policies: Policies,
}

#[derive(Default)]
struct Kept {
    by_key: HashMap<Key, (u64, Arc<Edition>)>,
    used: u64,
    octets: u64,
}

impl Copies {
    /// None yet.
    pub fn new(services: Arc<Services>, service: Service) -> Self {
        Self {
            services,
            service,
            room: Arc::new(Semaphore::new(BULKY_BUDGET / BLOCK)),
            kept: Mutex::default(),
            policies: Policies::default(),
        }
    }

    /// The edition of `post` for the readers of its group with index `group`; rendered if it is not in memory.
    ///
    /// # Errors
    /// See [`CopyError`].
    pub async fn edition(&self, post: &Post, edition: u8, group: u8) -> Result<Arc<Edition>, CopyError> {
        let key = (post.id, edition, group);
        if let Some(known) = self.known(key) {
            return Ok(known);
        }
        let malformed = |cause: String| CopyError::Malformed { post: post.id, cause };
        let links = linked_language(edition);
        let kept = if links.is_some() { 0 } else { usize::from(edition) };
        let body = &post.editions.get(kept).ok_or_else(|| malformed(format!("it has no edition {edition}")))?.body;
        let code = post.groups.get(usize::from(group)).ok_or_else(|| malformed(format!("it has no group {group}")))?;
        let room = if body.octets >= BULK_OCTETS { Some(self.makeroom(body.octets).await) } else { None };
        // Another session may have rendered it while this one waited for room.
        if let Some(known) = self.known(key) {
            return Ok(known);
        }
        let mut original: Bytes = self.services.store.body(body).await?;
        let table = self.services.groups();
        let group = table.get(code).cloned().unwrap_or_else(|| Arc::new(bare_group(code)));
        let mut form = compose::Form { service: &self.service, post, edition: kept, group: &group };
        if let Some(language) = links {
            let work = Work::on_post(post.id, &format!("{RENDERING} links {edition}.{}", key.2));
            let line = |file: &Linked| archive::file_line(&self.services, &group.code, post.id, language, file);
            match self.services.quarantine.run(&work, &original, || links::in_place_of_files(&original, line)).await {
                // Its author did not sign it as it is now.
                Ok(Some(altered)) => (original, form.edition) = (altered.into(), usize::from(edition)),
                Ok(None) => {}
                Err(broken) => return Err(malformed(broken.to_string())),
            }
        }
        let rewrite = self.policies.must_rewrite(&self.services, &original, &form).await;
        let now = self.services.now();
        let render = || {
            let rendered = if rewrite { compose::render_in_the_lists_name(&original, &form) } else { compose::render(&original, &form) };
            let Some(signer) = &self.services.signer else { return rendered };
            // What Enlace wrote itself was not passed on by anybody, so there is nothing to seal.
            let found = post.sender.is_some().then_some(&post.arrival.found);
            rendered.map(|rendered| rendered.signed(Arc::clone(signer), found, now))
        };
        let work = Work::on_post(post.id, &format!("{RENDERING} {}.{}", key.1, key.2));
        let rendered = match self.services.quarantine.run(&work, &original, render).await {
            Ok(rendered) => rendered.map_err(|error| malformed(error.to_string()))?,
            Err(broken) => return Err(malformed(broken.to_string())),
        };
        let made = Arc::new(Edition { rendered, room });
        self.keep(key, &made);
        Ok(made)
    }

    /// The edition, if it is in memory.
    pub fn at_hand(&self, post: PostId, edition: u8, group: u8) -> Option<Arc<Edition>> {
        self.known((post, edition, group))
    }

    /// Forgets the editions of a post that has none to send any more.
    pub fn forget(&self, post: PostId) {
        let mut kept = self.lock();
        kept.by_key.retain(|key, _| key.0 != post);
        kept.octets =
            kept.by_key.values().filter(|(_, edition)| edition.room.is_none()).map(|(_, edition)| edition.rendered.octets()).sum();
    }

    async fn makeroom(&self, octets: u64) -> OwnedSemaphorePermit {
        let blocks = usize::try_from(octets).unwrap_or(usize::MAX).div_ceil(BLOCK).min(BULKY_BUDGET / BLOCK);
        let blocks = u32::try_from(blocks).unwrap_or(u32::MAX);
        loop {
            // A bulky edition stays in memory as long as a session holds it; those that only this table holds make room.
            // Looked at again now and then, because another session may have put one there in the meantime.
            if self.room.available_permits() < blocks as usize {
                self.lock().by_key.retain(|_, (_, edition)| edition.room.is_none());
            }
            let acquired = tokio::time::timeout(LOOK_AGAIN, Arc::clone(&self.room).acquire_many_owned(blocks)).await;
            if let Ok(Ok(permit)) = acquired {
                return permit;
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn known(&self, key: Key) -> Option<Arc<Edition>> {
        let mut kept = self.lock();
        kept.used += 1;
        let now = kept.used;
        let (last, edition) = kept.by_key.get_mut(&key)?;
        *last = now;
        Some(Arc::clone(edition))
    }

    fn keep(&self, key: Key, edition: &Arc<Edition>) {
        let mut kept = self.lock();
        let now = kept.used;
        if edition.room.is_none() {
            kept.octets += edition.rendered.octets();
        }
        kept.by_key.insert(key, (now, Arc::clone(edition)));
        while kept.octets > KEPT_OCTETS {
            let oldest = kept.by_key.iter().filter(|(_, (_, edition))| edition.room.is_none()).min_by_key(|(_, (used, _))| *used);
            let Some(oldest) = oldest.map(|(key, _)| *key).filter(|oldest| *oldest != key) else { break };
            if let Some((_, edition)) = kept.by_key.remove(&oldest) {
                kept.octets -= edition.rendered.octets();
            }
        }
    }
}

/// What is left of a group that is not in the table: its code. Mail that went out under it still needs an envelope sender.
pub fn bare_group(code: &GroupCode) -> Group {
    Group {
        code: code.clone(),
        kind: GroupKind::External,
        parent: None,
        region: None,
        list: String::new(),
        languages: vec![Language::ENGLISH],
        name: Localized::default(),
        timezone: chrono_tz::Tz::UTC,
        subscription: SubscriptionPolicy::Closed,
        guests: GuestPolicy::None,
        participation: ParticipationPolicy::Standard,
        nonmember: NonmemberPolicy::Reject,
        guest_liaison: GuestLiaison::None,
        missing_edition: MissingEdition::Send,
        secretariat: Vec::new(),
        contact: None,
        supporting_members: Vec::new(),
        grace: std::time::Duration::ZERO,
        personal: true,
        footer: None,
        house: crate::domain::house::HouseRules::default(),
        monthly_reminder: false,
        archive: crate::domain::group::ArchiveAccess::Members,
        archive_keep: std::time::Duration::ZERO,
        aliases: Vec::new(),
        retired: true,
        parent_must_endorse: false,
        meetings: crate::domain::meeting::OwnLeadTimes::default(),
    }
}
