//! States of a recipient, what an SMTP answer does to them, and when to try again.
//!
//! Pure: the caller passes the instant and the chance. `planned + sent + deferred + failed + bounced + suppressed`
//! is everyone who was considered (DESIGN 2, promise 3).

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::reason::Reason;

/// Where one recipient of one post stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RecipientState {
    /// Will get it.
    Planned,
    /// The relay took it.
    Sent,
    /// The relay said later.
    Deferred,
    /// The relay refused it, or said later for too long.
    Failed,
    /// Taken by the relay, came back afterwards.
    Bounced,
    /// Considered, and not to get it.
    Suppressed,
}

impl RecipientState {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 6] = [Self::Planned, Self::Sent, Self::Deferred, Self::Failed, Self::Bounced, Self::Suppressed];

    /// As in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Sent => "sent",
            Self::Deferred => "deferred",
            Self::Failed => "failed",
            Self::Bounced => "bounced",
            Self::Suppressed => "suppressed",
        }
    }

    /// Is there nothing more to do?
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Planned | Self::Deferred)
    }
}

/// How many recipients are in each state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Will get it.
    pub planned: u64,
    /// Taken by the relay.
    pub sent: u64,
    /// To be tried again.
    pub deferred: u64,
    /// Given up.
    pub failed: u64,
    /// Came back.
    pub bounced: u64,
    /// Considered, not to get it.
    pub suppressed: u64,
}

impl Counts {
    /// The counter of `state`.
    pub fn of(&mut self, state: RecipientState) -> &mut u64 {
        match state {
            RecipientState::Planned => &mut self.planned,
            RecipientState::Sent => &mut self.sent,
            RecipientState::Deferred => &mut self.deferred,
            RecipientState::Failed => &mut self.failed,
            RecipientState::Bounced => &mut self.bounced,
            RecipientState::Suppressed => &mut self.suppressed,
        }
    }

    /// Adds `other`.
    pub fn add(&mut self, other: &Self) {
        for state in RecipientState::ALL {
            let mut other = *other;
            *self.of(state) += *other.of(state);
        }
    }

    /// Everyone who was considered.
    pub fn considered(&self) -> u64 {
        self.planned + self.sent + self.deferred + self.failed + self.bounced + self.suppressed
    }

    /// Those for whom something is still to be done.
    pub fn open(&self) -> u64 {
        self.planned + self.deferred
    }
}

/// One person of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedRecipient {
    /// Envelope recipient; text of an `EmailAddress`.
    pub address: String,
    /// Whose subscription it follows from; `None` for mailboxes of bodies and for robot mail.
    pub account: Option<super::id::AccountId>,
    /// By which of the post's groups (index into `Post::groups`), whose one-click link and list headers the copy carries.
    pub group: u8,
    /// Index of the edition in the post.
    pub edition: u8,
    /// `Planned` or `Suppressed`.
    pub state: RecipientState,
    /// Why she gets it, or why not.
    pub reason: Reason,
}

/// What came of one attempt for one recipient.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// Index of the recipient in its batch.
    pub index: u16,
    /// Where it stands after the attempt.
    pub state: RecipientState,
    /// When the answer came.
    pub at: DateTime<Utc>,
    /// The relay's answer, one line, at most [`REPLY_OCTETS`].
    pub reply: String,
}

/// Longest answer that is kept.
pub const REPLY_OCTETS: usize = 512;

/// What the relay said of one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RelayAnswer {
    /// 2xx after the final dot.
    Taken(String),
    /// 4xx at any step.
    Later(String),
    /// 5xx at any step.
    Refused(String),
    /// The connection was lost before the final dot was sent: surely not taken.
    LostBefore(String),
    /// The connection was lost after the final dot: may have been taken (RFC 1047).
    LostAfter(String),
}

/// State after an answer. A transient failure older than `retry_for` since `planned_at` is final.
///
/// `LostAfter` is tried again: a copy too many is better than none, and the number is bounded by the open transactions.
pub fn after(answer: &RelayAnswer, planned_at: DateTime<Utc>, now: DateTime<Utc>, retry_for: Duration) -> RecipientState {
    match answer {
        RelayAnswer::Taken(_) => RecipientState::Sent,
        RelayAnswer::Refused(_) => RecipientState::Failed,
        RelayAnswer::Later(_) | RelayAnswer::LostBefore(_) | RelayAnswer::LostAfter(_) => {
            let age = (now - planned_at).to_std().unwrap_or_default();
            if age >= retry_for { RecipientState::Failed } else { RecipientState::Deferred }
        }
    }
}

/// First wait after a transient failure.
pub const RETRY_FIRST: Duration = Duration::from_mins(1);
/// Longest wait between two attempts.
pub const RETRY_LONGEST: Duration = Duration::from_hours(4);

/// How long to wait after the `tries`-th failed attempt (1 = first): doubled each time from one minute to four hours,
/// with up to a quarter of jitter taken off by `chance` (any random number).
pub fn retry_wait(tries: u32, chance: u64) -> Duration {
    let factor = 1_u32.checked_shl(tries.saturating_sub(1).min(16)).unwrap_or(u32::MAX);
    let full = RETRY_FIRST.saturating_mul(factor).min(RETRY_LONGEST);
    let jitter = u64::try_from((full / 4).as_millis()).unwrap_or(u64::MAX).max(1);
    full.saturating_sub(Duration::from_millis(chance % jitter))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_four_hours_and_jitter_stays_within_a_quarter() {
        for (tries, seconds) in [(1, 60), (2, 120), (3, 240), (8, 7680), (9, 14400), (40, 14400)] {
            assert_eq!(retry_wait(tries, 0), Duration::from_secs(seconds));
            let least = retry_wait(tries, u64::MAX);
            assert!(least <= Duration::from_secs(seconds) && least >= Duration::from_secs(seconds * 3 / 4), "{tries}: {least:?}");
        }
    }

    #[test]
    fn answers_lead_to_the_right_state() {
        let t0 = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let five_days = Duration::from_hours(5 * 24);
        let late = t0 + five_days;
        let text = String::new;
        for (answer, now, state) in [
            (RelayAnswer::Taken(text()), t0, RecipientState::Sent),
            (RelayAnswer::Refused(text()), t0, RecipientState::Failed),
            (RelayAnswer::Later(text()), t0, RecipientState::Deferred),
            (RelayAnswer::Later(text()), late, RecipientState::Failed),
            (RelayAnswer::LostBefore(text()), t0, RecipientState::Deferred),
            (RelayAnswer::LostAfter(text()), t0, RecipientState::Deferred),
        ] {
            assert_eq!(after(&answer, t0, now, five_days), state, "{answer:?}");
        }
    }
}
