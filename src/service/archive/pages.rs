//! Pages of threads that were just made: a page takes a few dozen questions to the index, and many readers look at the first one.
//!
//! A page is as good as new while neither the index nor the record has changed, for half a minute at most. When it is not, one reader
//! makes it anew and those who come meanwhile get the one of before. What a page holds depends on what its readers may see: that is
//! part of its key.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};

use super::view::ThreadPage;
use crate::domain::group::GroupCode;
use crate::domain::id::PostId;

/// How old a page may be, in seconds: the archive's own end (`archive_keep`) moves with the clock.
const FRESH_SECONDS: i64 = 30;
/// Most pages that are kept, some kilobytes each.
const KEPT: usize = 256;

/// Which page, for which readers.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) group: GroupCode,
    /// Do its readers see liaison statements?
    pub(super) statements: bool,
    /// Are they unknown to us? Then they see no addresses.
    pub(super) visitor: bool,
    pub(super) before: Option<PostId>,
    pub(super) limit: usize,
}

/// What the page was made from: commits of the index, rings of the store's bell.
pub(super) type Stamp = (u64, u64);

#[derive(Debug)]
struct Entry {
    page: Arc<ThreadPage>,
    stamp: Stamp,
    at: DateTime<Utc>,
    renewing: bool,
}

/// The pages that are kept.
#[derive(Debug, Default)]
pub(super) struct Pages {
    kept: Mutex<HashMap<Key, Entry>>,
}

/// The right, and the duty, to make a page anew; gives it back when it is dropped.
pub(super) struct Renewal<'a> {
    pages: &'a Pages,
    key: Key,
}

impl Pages {
    fn kept(&self) -> MutexGuard<'_, HashMap<Key, Entry>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A page that may be shown, or the renewal of it.
    pub(super) fn look(&self, key: Key, stamp: Stamp, now: DateTime<Utc>) -> Result<Arc<ThreadPage>, Renewal<'_>> {
        let mut kept = self.kept();
        if let Some(entry) = kept.get_mut(&key) {
            let good = entry.stamp == stamp && (now - entry.at).abs() < TimeDelta::seconds(FRESH_SECONDS);
            if good || entry.renewing {
                return Ok(Arc::clone(&entry.page));
            }
            entry.renewing = true;
        }
        drop(kept);
        Err(Renewal { pages: self, key })
    }
}

impl Renewal<'_> {
    /// Keeps the page that was made; `stamp` and `now` are those of before it was made.
    pub(super) fn done(self, page: Arc<ThreadPage>, stamp: Stamp, now: DateTime<Utc>) {
        let mut kept = self.pages.kept();
        if kept.len() >= KEPT && !kept.contains_key(&self.key) {
            let oldest = kept.iter().min_by_key(|(_, entry)| entry.at).map(|(key, _)| key.clone());
            oldest.map(|key| kept.remove(&key));
        }
        kept.insert(self.key.clone(), Entry { page, stamp, at: now, renewing: false });
    }
}

impl Drop for Renewal<'_> {
    fn drop(&mut self) {
        if let Some(entry) = self.pages.kept().get_mut(&self.key) {
            entry.renewing = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(before: u64) -> Key {
        Key { group: "SG12".parse().unwrap(), statements: true, visitor: false, before: Some(PostId(before)), limit: 25 }
    }

    fn page(next: u64) -> Arc<ThreadPage> {
        Arc::new(ThreadPage { next: Some(PostId(next)), ..ThreadPage::default() })
    }

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    fn shown(looked: Result<Arc<ThreadPage>, Renewal<'_>>) -> Option<u64> {
        looked.ok().map(|page| page.next.unwrap().0)
    }

    #[test]
    fn a_page_is_shown_until_something_changes_or_it_is_old() {
        let pages = Pages::default();
        pages.look(key(1), (1, 1), at(0)).err().unwrap().done(page(7), (1, 1), at(0));
        assert_eq!(shown(pages.look(key(1), (1, 1), at(29))), Some(7));
        assert_eq!(shown(pages.look(key(2), (1, 1), at(0))), None, "another page");
        let other = Key { statements: false, ..key(1) };
        assert_eq!(shown(pages.look(other, (1, 1), at(0))), None, "other readers");
        for (stamp, now) in [((2, 1), 1), ((1, 2), 1), ((1, 1), 30)] {
            assert_eq!(shown(pages.look(key(1), stamp, at(now))), None, "{stamp:?} {now}");
        }
    }

    #[test]
    fn one_reader_makes_it_anew_and_the_others_get_the_one_of_before() {
        let pages = Pages::default();
        pages.look(key(1), (1, 1), at(0)).err().unwrap().done(page(7), (1, 1), at(0));
        let renewal = pages.look(key(1), (2, 1), at(1)).err().unwrap();
        assert_eq!(shown(pages.look(key(1), (2, 1), at(1))), Some(7));
        drop(renewal);
        let renewal = pages.look(key(1), (2, 1), at(1)).expect_err("the one who began went away");
        renewal.done(page(8), (2, 1), at(1));
        assert_eq!(shown(pages.look(key(1), (2, 1), at(2))), Some(8));
    }

    #[test]
    fn no_more_pages_are_kept_than_are_allowed() {
        let pages = Pages::default();
        for number in 0..KEPT as u64 + 10 {
            let now = at(i64::try_from(number).unwrap());
            pages.look(key(number), (1, 1), now).err().unwrap().done(page(number), (1, 1), now);
        }
        assert_eq!(pages.kept().len(), KEPT);
        assert!(!pages.kept().contains_key(&key(0)) && pages.kept().contains_key(&key(KEPT as u64)));
    }
}
