//! A value that the daemon reads again while others hold it: configuration, texts, pages.

use std::ops::Deref;
use std::sync::{Arc, OnceLock};

/// A value and those that came in its place; whoever looks sees the newest.
///
/// Earlier ones stay as long as the whole: somebody may be in the middle of one, and a reload is rare and small.
pub struct Live<T> {
    first: Arc<T>,
    later: OnceLock<Box<Live<T>>>,
}

impl<T> Live<T> {
    /// With its first value.
    pub fn new(first: Arc<T>) -> Self {
        Self { first, later: OnceLock::new() }
    }

    /// The newest, to be kept.
    pub fn newest(&self) -> Arc<T> {
        let mut place = self;
        while let Some(later) = place.later.get() {
            place = later;
        }
        Arc::clone(&place.first)
    }

    /// From now on this one.
    pub fn replace(&self, value: T) {
        let (mut place, mut next) = (self, Box::new(Self::new(Arc::new(value))));
        while let Err(back) = place.later.set(next) {
            next = back;
            place = place.later.get().map_or(place, Box::as_ref);
        }
    }
}

impl<T> Deref for Live<T> {
    type Target = T;

    fn deref(&self) -> &T {
        let mut place = self;
        while let Some(later) = place.later.get() {
            place = later;
        }
        &place.first
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_is_seen_and_an_earlier_one_stays_readable() {
        let live = Live::new(Arc::new("first".to_owned()));
        let held: &str = &live;
        for n in 0..3 {
            live.replace(format!("{n}"));
        }
        assert_eq!((held, live.as_str(), live.newest().as_str()), ("first", "2", "2"));
    }
}
