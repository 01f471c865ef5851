//! The archives: what a group distributed, to be read and searched by those who may.
//!
//! The posts and their bodies in the store are the archive. The search index and its threads are a cache that `feed` keeps up to
//! date, and that is made again when it is damaged. Every reading asks `domain::archive` first. Addresses of pages are
//! `/groups/CODE/archive/POST`, as `Archived-At` of each copy says.

mod entry;
mod export;
mod feed;
mod file;
mod import;
mod links;
mod manifest;
mod pages;
mod private;
mod view;

use std::sync::{Arc, PoisonError, RwLock};

use chrono::{DateTime, TimeDelta, Utc};

use super::{Failure, Services};
use crate::domain::account::Account;
use crate::domain::archive;
use crate::domain::gate::Verdict;
use crate::domain::group::{Group, GroupCode};
use crate::search::{Index, SearchError};
use crate::store::StoreError;

pub use export::{Exported, export};
pub(in crate::service) use feed::imports_of;
pub use feed::{Fed, feed, rebuild, refresh};
pub use file::file_line;
pub use import::{ImportReport, Mails, import};
pub use links::{MONTH, OldNames, message_id_hash, old_link, remember_list};
pub use manifest::{Manifest, Verified, manifests, seal, verify};
pub use private::{PrivateFeed, feed_link, feed_link_of, private_feed};
pub use view::{
    AttachmentLine, EditionView, Hit, PostLine, PostView, SearchPage, ThreadLine, ThreadPage, ThreadView, attachment, attachment_of, post,
    raw, search, thread, threads,
};

/// What the archive keeps in memory.
#[derive(Default)]
pub struct Archive {
    index: RwLock<Option<Arc<Index>>>,
    feeding: tokio::sync::Mutex<feed::Seen>,
    pages: pages::Pages,
}

/// Who reads.
#[derive(Debug, Clone, Copy)]
pub enum Reader<'a> {
    /// Somebody unknown.
    Anybody,
    /// Somebody who signed in.
    Account(&'a Account),
    /// Whoever may run commands on this machine.
    Operator,
}

/// What a reader may see of an archive.
#[derive(Debug, Clone)]
pub struct Access {
    /// Of which group.
    pub group: Arc<Group>,
    /// Whole liaison statements too?
    pub statements: bool,
    /// Nothing before that.
    pub since: Option<DateTime<Utc>>,
}

/// May the reader see the archive of the group, and how much of it?
///
/// # Errors
/// `NotFound` when there is no such group, `Refused` with the rule when the reader may not.
pub async fn access(services: &Services, code: &GroupCode, reader: Reader<'_>) -> Result<Access, Failure> {
    let group = services.group(code)?;
    let (account, subscription) = match reader {
        Reader::Account(account) => (Some(account), services.store.subscription(code, account.id).await?),
        Reader::Anybody | Reader::Operator => (None, None),
    };
    let since = since(&group, services.now());
    if matches!(reader, Reader::Operator) {
        return Ok(Access { group, statements: true, since });
    }
    let who = account.map(|account| (account, subscription.as_ref()));
    match archive::may_read(&group, who, services.today()) {
        Verdict::Accept(_) => {
            let statements = archive::may_read_statements(&group, account);
            Ok(Access { group, statements, since })
        }
        Verdict::Hold(reason) | Verdict::Confirm(reason) | Verdict::Refuse(reason) => Err(Failure::Refused(reason)),
    }
}

/// The instant before which the group's archive shows nothing (`archive_keep`).
pub(in crate::service) fn since(group: &Group, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    if group.archive_keep.is_zero() {
        return None;
    }
    TimeDelta::from_std(group.archive_keep).ok().and_then(|keep| now.checked_sub_signed(keep))
}

/// The index, opened when it is first needed.
async fn index(services: &Services) -> Result<Arc<Index>, Failure> {
    let present = || services.archive.index.read().unwrap_or_else(PoisonError::into_inner).clone();
    if let Some(index) = present() {
        return Ok(index);
    }
    let root = services.config.service.data_dir.join("search");
    let archive = &services.archive;
    let opened = blocking(move || Index::open(&root)).await?;
    let mut place = archive.index.write().unwrap_or_else(PoisonError::into_inner);
    // Another task may have been quicker.
    Ok(Arc::clone(place.get_or_insert_with(|| Arc::new(opened))))
}

/// Gives back what the index needs for writing, until there is work again.
///
/// # Errors
/// When a merge of the index failed.
pub async fn rest(services: &Services) -> Result<(), Failure> {
    let present = services.archive.index.read().unwrap_or_else(PoisonError::into_inner).clone();
    match present {
        Some(index) => blocking(move || index.rest()).await,
        None => Ok(()),
    }
}

/// Work on the index, which blocks, on a thread for it.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, SearchError> + Send + 'static) -> Result<T, Failure> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result.map_err(|error| Failure::Store(StoreError::Unavailable(error.to_string()))),
        Err(error) => Err(Failure::Store(StoreError::Unavailable(format!("the search index stopped: {error}")))),
    }
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod measure_tests;
