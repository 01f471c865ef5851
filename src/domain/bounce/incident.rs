//! An incident of a provider: many of its members fail with one text, which says nothing of any of them.
//!
//! Pure: the caller passes member, text and instant. While an incident goes on nobody of that provider is scored, and the points of
//! those who made it known are taken back. It ends by itself [`WINDOW_HOURS`] after the last such failure; one that lasts
//! longer than [`LONGEST_DAYS`] is no incident any more but dead addresses, and scoring goes on.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};

use super::BounceClass;

/// Members of one provider that fail with one text.
pub const MANY: usize = 10;
/// Within so many hours of each other.
pub const WINDOW_HOURS: i64 = 24;
/// An outage does not last longer.
pub const LONGEST_DAYS: i64 = 7;
/// Most texts that are remembered; the oldest is forgotten first.
const TEXTS: usize = 5_000;
/// Words of a text that are compared.
const WORDS: usize = 12;

/// One text of one provider.
#[derive(Debug, Clone)]
struct Sighting<M> {
    first: DateTime<Utc>,
    last: DateTime<Utc>,
    members: Vec<M>,
}

/// What a failure is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sight<M> {
    /// The member's own: it counts.
    Own,
    /// The incident is known now: this failure does not count, and the points of these others are to be taken back.
    Began(Vec<M>),
    /// Part of an incident: it does not count.
    GoesOn,
}

/// What is seen of all providers.
#[derive(Debug, Clone)]
pub struct Providers<M> {
    texts: HashMap<String, Sighting<M>>,
}

impl<M> Default for Providers<M> {
    fn default() -> Self {
        Self { texts: HashMap::new() }
    }
}

/// Provider and text of a failure, without what differs from one recipient to the next: addresses, numbers, identifiers.
pub fn key(provider: &str, class: BounceClass, diagnostic: &str) -> String {
    let plain =
        |word: &&str| word.chars().any(char::is_alphabetic) && !word.contains(|c: char| c.is_ascii_digit() || "@<>[]=_./".contains(c));
    let words: Vec<_> = diagnostic.split_whitespace().filter(plain).take(WORDS).map(str::to_lowercase).collect();
    format!("{}|{}|{}", provider.to_ascii_lowercase(), class.as_str(), words.join(" "))
}

impl<M: Clone + PartialEq> Providers<M> {
    /// Notes that `member` failed with the text of `key`.
    pub fn note(&mut self, key: &str, member: &M, now: DateTime<Utc>) -> Sight<M> {
        if self.texts.len() >= TEXTS && !self.texts.contains_key(key) {
            self.forget_older_half();
        }
        let fresh = || Sighting { first: now, last: now, members: Vec::new() };
        let sighting = self.texts.entry(key.to_owned()).or_insert_with(fresh);
        if now - sighting.last > TimeDelta::hours(WINDOW_HOURS) {
            *sighting = fresh();
        }
        sighting.last = now;
        let was = sighting.members.len();
        if was < MANY && !sighting.members.contains(member) {
            sighting.members.push(member.clone());
        }
        match (was, sighting.members.len()) {
            (_, len) if len < MANY => Sight::Own,
            (was, _) if was < MANY => Sight::Began(sighting.members[..MANY - 1].to_vec()),
            _ if now - sighting.first > TimeDelta::days(LONGEST_DAYS) => Sight::Own,
            _ => Sight::GoesOn,
        }
    }

    /// Is there an incident of `provider` at `now`? Since when, and with which text.
    pub fn of(&self, provider: &str, now: DateTime<Utc>) -> Option<(DateTime<Utc>, &str)> {
        let prefix = format!("{}|", provider.to_ascii_lowercase());
        let goes_on = |sighting: &Sighting<M>| {
            sighting.members.len() >= MANY
                && now - sighting.last <= TimeDelta::hours(WINDOW_HOURS)
                && now - sighting.first <= TimeDelta::days(LONGEST_DAYS)
        };
        let found = self.texts.iter().filter(|(key, sighting)| key.starts_with(&prefix) && goes_on(sighting));
        found.min_by_key(|(_, sighting)| sighting.first).map(|(key, sighting)| (sighting.first, key.rsplit('|').next().unwrap_or_default()))
    }

    /// Half at a time, so that a flood of different texts costs little.
    fn forget_older_half(&mut self) {
        let mut times: Vec<_> = self.texts.values().map(|sighting| sighting.last).collect();
        times.sort_unstable();
        let middle = times[times.len() / 2];
        self.texts.retain(|_, sighting| sighting.last > middle);
        self.texts.shrink_to(TEXTS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hours: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + hours * 3_600, 0).unwrap()
    }

    #[test]
    fn ten_members_with_one_text_are_an_incident_and_nine_are_not() {
        let mut providers = Providers::default();
        let key = |number: u32| {
            key(
                "provider.example",
                BounceClass::AddressDead,
                &format!("550 5.1.1 <m{number}@provider.example>: mailbox unavailable id=q{number}"),
            )
        };
        for member in 0..9_u32 {
            assert_eq!(providers.note(&key(member), &member, at(0)), Sight::Own);
            assert_eq!(providers.note(&key(member), &member, at(1)), Sight::Own, "the same person again is one person");
        }
        assert_eq!(providers.of("provider.example", at(1)), None);
        assert_eq!(providers.note(&key(9), &9, at(2)), Sight::Began((0..9).collect()));
        assert_eq!(providers.note(&key(0), &0, at(3)), Sight::GoesOn);
        assert_eq!(providers.of("Provider.example", at(3)).map(|(since, _)| since), Some(at(0)));
        assert_eq!(providers.of("other.example", at(3)), None);
        let other = super::key("provider.example", BounceClass::AddressDead, "550 5.1.1 account closed by its owner");
        assert_eq!(providers.note(&other, &3, at(3)), Sight::Own, "another text is another matter");
    }

    #[test]
    fn an_incident_ends_by_itself_and_cannot_last_for_ever() {
        let mut providers = Providers::default();
        for member in 0..10_u32 {
            providers.note("p|x|t", &member, at(0));
        }
        assert_eq!(providers.note("p|x|t", &1, at(20)), Sight::GoesOn);
        assert_eq!(providers.note("p|x|t", &1, at(60)), Sight::Own, "a day without a sign");
        let mut providers = Providers::default();
        for member in 0..10_u32 {
            providers.note("p|x|t", &member, at(0));
        }
        for hour in (0..24 * LONGEST_DAYS).step_by(12) {
            assert_eq!(providers.note("p|x|t", &1, at(hour)), Sight::GoesOn, "{hour}");
        }
        assert_eq!(providers.note("p|x|t", &1, at(24 * LONGEST_DAYS + 1)), Sight::Own, "those are dead addresses");
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut providers = Providers::default();
        for number in 0..TEXTS * 3 {
            providers.note(&format!("p{number}|x|t"), &0_u32, at(i64::try_from(number).unwrap()));
        }
        assert!(providers.texts.len() <= TEXTS);
    }
}
