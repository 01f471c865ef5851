//! The one place that asks the time.
//!
//! A clock may be started elsewhere (`serve --clock`, rehearsals, tests); it then runs on from there at the usual pace.
//! A [`Clock::manual`] stands still until it is moved, for tests.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, TimeDelta, Utc};

/// Tells the time; cheap to clone, clones agree.
#[derive(Debug, Clone)]
pub struct Clock {
    kind: Kind,
    shift_milliseconds: Arc<AtomicI64>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Running,
    Manual,
}

impl Clock {
    /// The machine's time.
    pub fn system() -> Self {
        Self { kind: Kind::Running, shift_milliseconds: Arc::default() }
    }

    /// Runs, and shows `start` now.
    pub fn starting_at(start: DateTime<Utc>) -> Self {
        let shift = (start - Utc::now()).num_milliseconds();
        Self { kind: Kind::Running, shift_milliseconds: Arc::new(AtomicI64::new(shift)) }
    }

    /// Stands at `start` until it is moved.
    pub fn manual(start: DateTime<Utc>) -> Self {
        Self { kind: Kind::Manual, shift_milliseconds: Arc::new(AtomicI64::new(start.timestamp_millis())) }
    }

    /// The time.
    pub fn now(&self) -> DateTime<Utc> {
        let shift = self.shift_milliseconds.load(Ordering::SeqCst);
        match self.kind {
            Kind::Running => Utc::now() + TimeDelta::milliseconds(shift),
            Kind::Manual => DateTime::from_timestamp_millis(shift).unwrap_or_default(),
        }
    }

    /// How far it runs ahead of the machine's time, negative when behind; zero for one that stands.
    pub fn shift(&self) -> TimeDelta {
        match self.kind {
            Kind::Running => TimeDelta::milliseconds(self.shift_milliseconds.load(Ordering::SeqCst)),
            Kind::Manual => TimeDelta::zero(),
        }
    }

    /// Moves all clones by `by`, forwards or backwards.
    pub fn advance(&self, by: TimeDelta) {
        self.shift_milliseconds.fetch_add(by.num_milliseconds(), Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_of_a_manual_clock_move_together() {
        let start = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let clock = Clock::manual(start);
        let other = clock.clone();
        clock.advance(TimeDelta::days(1));
        assert_eq!(other.now(), start + TimeDelta::days(1));
    }
}
