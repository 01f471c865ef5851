//! How much one sender may send and one list may get in an hour (`[limits]`), counted in this process.
//!
//! A proved sender has an allowance of her own, so that nobody can use it up in her name; all that is not proved to come from an
//! address shares another. Too much is answered 451: an honest mail system offers it again when the hour is over.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, Utc};

/// Most senders and lists that are remembered; a flood of invented senders makes the others be forgotten, not the memory grow.
const KEYS: usize = 100_000;

/// Counts of the present hour.
#[derive(Debug, Default)]
pub(super) struct Rates {
    counts: Mutex<HashMap<String, (i64, u32)>>,
}

impl Rates {
    /// Counts one of `key`; `false` if it is more than `most` in this hour. `most` 0 is no limit.
    pub(super) fn allow(&self, key: &str, most: u32, now: DateTime<Utc>) -> bool {
        if most == 0 {
            return true;
        }
        let hour = now.timestamp().div_euclid(3_600);
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.len() >= KEYS && !counts.contains_key(key) {
            counts.retain(|_, (of, _)| *of == hour);
            if counts.len() >= KEYS {
                counts.clear();
            }
        }
        let (of, count) = counts.entry(key.to_owned()).or_insert((hour, 0));
        if *of != hour {
            (*of, *count) = (hour, 0);
        }
        *count = count.saturating_add(1);
        *count <= most
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_an_allowance_an_hour_and_memory_is_bounded() {
        let rates = Rates::default();
        let at = |seconds: i64| DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap();
        let allowed = |key: &str, seconds: i64| rates.allow(key, 2, at(seconds));
        assert_eq!([allowed("a", 0), allowed("a", 1), allowed("a", 2), allowed("b", 2)], [true, true, false, true]);
        assert!(allowed("a", 3_600));
        assert!((0..10).all(|_| rates.allow("c", 0, at(0))));
        for number in 0..KEYS * 2 {
            rates.allow(&format!("k{number}"), 1, at(0));
        }
        assert!(rates.counts.lock().unwrap().len() <= KEYS);
    }
}
