//! How the relay does at present and how much went out in the last hour, for the page that shows the queue.
//!
//! In this process only, and forgotten with it; what lasts is the ledger's. Programs read `/metrics` instead.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Instant;

/// Minutes that are remembered.
pub const MINUTES: u64 = 60;
/// A place for each of them.
const PLACES: usize = 60;

static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);
static RING: Mutex<Ring> = Mutex::new(Ring::new());
static SESSIONS: AtomicUsize = AtomicUsize::new(0);
static AWAY: AtomicBool = AtomicBool::new(false);

/// Outcomes of attempts in a span of time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Outcomes {
    /// Taken by the relay.
    pub sent: u64,
    /// To be tried again.
    pub deferred: u64,
    /// Refused for good.
    pub failed: u64,
}

/// What is known of the relay and of what went to it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pace {
    /// Sessions with the relay that are open or being opened.
    pub sessions: usize,
    /// Can no session be opened at present?
    pub away: bool,
    /// In the last five minutes, the present one included.
    pub five_minutes: Outcomes,
    /// In the last hour.
    pub hour: Outcomes,
}

/// The present state.
pub fn pace() -> Pace {
    let (now, ring) = (minute(), RING.lock().unwrap_or_else(PoisonError::into_inner));
    Pace {
        sessions: SESSIONS.load(Ordering::Relaxed),
        away: AWAY.load(Ordering::Relaxed),
        five_minutes: ring.within(now, 5),
        hour: ring.within(now, MINUTES),
    }
}

pub(super) fn outcome(state: &str) {
    RING.lock().unwrap_or_else(PoisonError::into_inner).note(minute(), state);
}

pub(super) fn sessions(open: usize) {
    SESSIONS.store(open, Ordering::Relaxed);
}

pub(super) fn away(away: bool) {
    AWAY.store(away, Ordering::Relaxed);
}

fn minute() -> u64 {
    BEGAN.elapsed().as_secs() / 60
}

/// Outcomes by minute; an old minute's place is used again.
struct Ring([(u64, Outcomes); PLACES]);

impl Ring {
    const fn new() -> Self {
        Self([(0, Outcomes { sent: 0, deferred: 0, failed: 0 }); PLACES])
    }

    fn note(&mut self, minute: u64, state: &str) {
        let place = &mut self.0[usize::try_from(minute % MINUTES).unwrap_or_default()];
        if place.0 != minute {
            *place = (minute, Outcomes::default());
        }
        match state {
            "sent" => place.1.sent += 1,
            "deferred" => place.1.deferred += 1,
            "failed" => place.1.failed += 1,
            _ => {}
        }
    }

    fn within(&self, now: u64, minutes: u64) -> Outcomes {
        let recent = self.0.iter().filter(|(minute, _)| *minute <= now && now - minute < minutes).map(|(_, outcomes)| outcomes);
        recent.fold(Outcomes::default(), |sum, one| Outcomes {
            sent: sum.sent + one.sent,
            deferred: sum.deferred + one.deferred,
            failed: sum.failed + one.failed,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_is_remembered_and_what_is_older_is_not() {
        let mut ring = Ring::new();
        for (minute, state) in [(0, "sent"), (1, "failed"), (58, "deferred"), (60, "sent"), (60, "sent"), (60, "planned")] {
            ring.note(minute, state);
        }
        assert_eq!(ring.within(60, 5), Outcomes { sent: 2, deferred: 1, failed: 0 });
        assert_eq!(ring.within(60, MINUTES), Outcomes { sent: 2, deferred: 1, failed: 1 });
        assert_eq!(ring.within(118, MINUTES), Outcomes { sent: 2, deferred: 0, failed: 0 });
        assert_eq!(ring.within(500, MINUTES), Outcomes::default());
    }
}
