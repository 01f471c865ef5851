//! How often mail may come back before a subscription rests.
//!
//! Pure: the caller passes what is known of a member in a group and the instant. A score counts days with failures, not
//! failures: ten posts of one day that come back are one sign (Mailman's habit, and the only fair one on a busy list). It halves
//! with every [`HALF_LIFE_DAYS`], so that an address that was ill for a week is well again after a month. Whoever reaches
//! [`LIMIT`] is probed first; only a probe that fails as well suspends.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::BounceClass;

/// Score at which a member is probed.
pub const LIMIT: f64 = 3.0;
/// Days in which a score halves.
pub const HALF_LIFE_DAYS: f64 = 14.0;
/// A probe that did not come back in so many days has arrived: the score starts over.
pub const PROBE_DAYS: i64 = 4;
/// Without a failure for so long the record is forgotten.
pub const FORGET_DAYS: i64 = 120;

/// What is remembered of one member's mail in one group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// Points at [`Score::at`].
    pub points: f64,
    /// When points were last added.
    pub at: DateTime<Utc>,
    /// When the first failure came that still counts.
    pub first: DateTime<Utc>,
    /// Failures in all, those of the same day included.
    pub failures: u32,
    /// Class of the last failure.
    pub class: BounceClass,
    /// The remote server's last words.
    pub diagnostic: String,
    /// When a probe was sent that nothing came back from yet.
    pub probed: Option<DateTime<Utc>>,
    /// Points already counted on the day of `at`; the rest of the day adds only what a worse class is worth more.
    pub today: f64,
}

/// What a failure asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Nothing yet.
    Wait,
    /// Send a probe.
    Probe,
}

/// Points of a failure on one day; nothing for what is not the member's.
pub fn weight(class: BounceClass) -> f64 {
    match class {
        BounceClass::AddressDead => 1.0,
        BounceClass::MailboxFull | BounceClass::Unknown => 0.5,
        BounceClass::Transient => 0.25,
        BounceClass::Policy | BounceClass::Content | BounceClass::Delay | BounceClass::Complaint => 0.0,
    }
}

impl Score {
    /// Points at `now`.
    pub fn points_at(&self, now: DateTime<Utc>) -> f64 {
        let days = (now - self.at).to_std().unwrap_or_default().as_secs_f64() / 86_400.0;
        self.points * 0.5_f64.powf(days / HALF_LIFE_DAYS)
    }

    /// Has a probe been out for so long that it must have arrived?
    pub fn probe_arrived(&self, now: DateTime<Utc>) -> bool {
        self.probed.is_some_and(|at| now - at >= TimeDelta::days(PROBE_DAYS))
    }

    /// Is there nothing left worth remembering?
    pub fn is_over(&self, now: DateTime<Utc>) -> bool {
        now - self.at >= TimeDelta::days(FORGET_DAYS)
    }
}

/// The score after a failure that counts, and what follows; `None` for a class that never counts.
pub fn after(before: Option<&Score>, class: BounceClass, diagnostic: &str, now: DateTime<Utc>) -> Option<(Score, Next)> {
    let weight = weight(class);
    if weight <= 0.0 {
        return None;
    }
    let before = before.filter(|score| !score.is_over(now) && !score.probe_arrived(now));
    let mut score = match before {
        None => Score { points: weight, at: now, first: now, failures: 1, class, diagnostic: String::new(), probed: None, today: weight },
        Some(old) => {
            let same_day = old.at.date_naive() == now.date_naive();
            let added = if same_day { (weight - old.today).max(0.0) } else { weight };
            Score {
                points: old.points_at(now) + added,
                at: old.at.max(now),
                first: old.first,
                failures: old.failures.saturating_add(1),
                class,
                diagnostic: String::new(),
                probed: old.probed,
                today: if same_day { old.today.max(weight) } else { weight },
            }
        }
    };
    diagnostic.clone_into(&mut score.diagnostic);
    // The half-life takes a little off between three failures in a row, which is not what the limit is about.
    let reached = score.points + 0.5 >= LIMIT && score.probed.is_none();
    Some((score, if reached { Next::Probe } else { Next::Wait }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(days: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + days * 86_400, 0).unwrap()
    }

    fn run(events: &[(i64, BounceClass)]) -> (Option<Score>, Next) {
        let (mut score, mut next) = (None, Next::Wait);
        for (days, class) in events {
            if let Some((after, what)) = after(score.as_ref(), *class, "550 no", day(*days)) {
                (score, next) = (Some(after), what);
            }
        }
        (score, next)
    }

    #[test]
    fn three_days_of_a_dead_address_ask_for_a_probe_and_one_day_of_many_does_not() {
        use BounceClass::AddressDead;
        assert_eq!(run(&[(0, AddressDead), (0, AddressDead), (0, AddressDead), (0, AddressDead)]).1, Next::Wait);
        assert_eq!(run(&[(0, AddressDead), (1, AddressDead)]).1, Next::Wait);
        assert_eq!(run(&[(0, AddressDead), (1, AddressDead), (2, AddressDead)]).1, Next::Probe);
        assert_eq!(run(&[(0, AddressDead), (3, AddressDead), (5, AddressDead)]).1, Next::Probe);
        // Once a month is not ill.
        assert_eq!(run(&[(0, AddressDead), (30, AddressDead), (60, AddressDead), (90, AddressDead)]).1, Next::Wait);
    }

    #[test]
    fn what_is_not_the_members_never_counts() {
        use BounceClass::{Complaint, Content, Delay, Policy};
        let events: Vec<_> = (0..100).flat_map(|day| [Policy, Content, Delay, Complaint].map(|class| (day, class))).collect();
        assert_eq!(run(&events).0, None);
    }

    #[test]
    fn a_full_mailbox_has_twice_the_patience_and_the_last_reason_is_kept() {
        use BounceClass::{AddressDead, MailboxFull};
        let full: Vec<_> = (0..4).map(|day| (day, MailboxFull)).collect();
        assert_eq!(run(&full).1, Next::Wait);
        let full: Vec<_> = (0..7).map(|day| (day, MailboxFull)).collect();
        assert_eq!(run(&full).1, Next::Probe);
        let (score, _) = run(&[(0, MailboxFull), (0, AddressDead)]);
        let score = score.unwrap();
        assert!((score.points - 1.0).abs() < 1e-9, "the worse sign of the day counts once: {score:?}");
        assert_eq!((score.class, score.failures), (AddressDead, 2));
    }

    #[test]
    fn a_probe_that_does_not_come_back_starts_the_score_over() {
        let (score, next) = run(&[(0, BounceClass::AddressDead), (1, BounceClass::AddressDead), (2, BounceClass::AddressDead)]);
        assert_eq!(next, Next::Probe);
        let probed = Score { probed: Some(day(2)), ..score.unwrap() };
        let (again, next) = after(Some(&probed), BounceClass::AddressDead, "", day(3)).unwrap();
        assert_eq!(next, Next::Wait, "one probe at a time");
        assert!(again.probed.is_some());
        let (fresh, _) = after(Some(&probed), BounceClass::AddressDead, "", day(9)).unwrap();
        assert!(fresh.probed.is_none() && (fresh.points - 1.0).abs() < 1e-9);
    }
}
