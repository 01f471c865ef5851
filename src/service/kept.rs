//! Something that was read from the record as a whole and is kept until the record changes, so that a page need not read it again.
//!
//! A change in this process is noticed at once; one of another node when the kept value is `STALE_SECONDS` old. What is kept must be
//! bounded by its maker.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};

use crate::config::Backend;

/// How old a value may be that another node may have changed, in seconds.
const STALE_SECONDS: i64 = 2;

/// The place of one value.
#[derive(Debug)]
pub struct Kept<T> {
    place: Mutex<Place<T>>,
}

#[derive(Debug)]
struct Place<T> {
    changes: u64,
    value: Option<(DateTime<Utc>, Arc<T>)>,
}

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self { place: Mutex::new(Place { changes: 0, value: None }) }
    }
}

impl<T> Kept<T> {
    fn place(&self) -> MutexGuard<'_, Place<T>> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The value, or the mark with which a newly read one is to be given to [`Kept::keep`].
    ///
    /// # Errors
    /// The mark, when nothing is kept that may still be shown.
    pub fn get(&self, backend: Backend, now: DateTime<Utc>) -> Result<Arc<T>, u64> {
        let place = self.place();
        match &place.value {
            Some((at, value)) if backend == Backend::Sled || (now - *at).abs() < TimeDelta::seconds(STALE_SECONDS) => Ok(Arc::clone(value)),
            _ => Err(place.changes),
        }
    }

    /// Keeps what was read, unless something changed since `mark` was given.
    pub fn keep(&self, mark: u64, read_at: DateTime<Utc>, value: Arc<T>) {
        let mut place = self.place();
        if place.changes == mark {
            place.value = Some((read_at, value));
        }
    }

    /// The record changes: what is kept is no longer true. To be called after each write.
    pub fn changed(&self) {
        let mut place = self.place();
        place.changes += 1;
        place.value = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    #[test]
    fn what_was_read_before_a_change_is_not_kept() {
        let kept: Kept<u8> = Kept::default();
        let mark = kept.get(Backend::Sled, at(0)).unwrap_err();
        kept.changed();
        kept.keep(mark, at(0), Arc::new(1));
        let mark = kept.get(Backend::Sled, at(0)).unwrap_err();
        kept.keep(mark, at(0), Arc::new(2));
        assert_eq!(kept.get(Backend::Sled, at(1_000)).as_deref(), Ok(&2));
        kept.changed();
        assert!(kept.get(Backend::Sled, at(0)).is_err());
    }

    #[test]
    fn what_another_node_may_change_is_kept_for_two_seconds() {
        let kept: Kept<u8> = Kept::default();
        let mark = kept.get(Backend::Postgres, at(0)).unwrap_err();
        kept.keep(mark, at(10), Arc::new(1));
        assert!(kept.get(Backend::Postgres, at(11)).is_ok());
        assert!(kept.get(Backend::Postgres, at(12)).is_err());
        assert!(kept.get(Backend::Postgres, at(8)).is_err(), "a clock that was set back");
    }
}
