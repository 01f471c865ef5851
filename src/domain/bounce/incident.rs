//! An incident of a provider: many of its members fail with one text, which says nothing of any of them.
//!
//! Pure: the caller keeps a [`Sighting`] for each text of a provider and passes member and instant. While an incident goes on
//! nobody of that provider is scored, and the points of those who made it known are taken back. It ends by itself
//! [`WINDOW_HOURS`] after the last such failure; one that lasts longer than [`LONGEST_DAYS`] is no incident any more but dead
//! addresses, and scoring goes on.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::BounceClass;

/// Members of one provider that fail with one text.
pub const MANY: usize = 10;
/// Within so many hours of each other.
pub const WINDOW_HOURS: i64 = 24;
/// An outage does not last longer.
pub const LONGEST_DAYS: i64 = 7;
/// A sighting whose members are the same is not written again within so many minutes, so that a flood writes little.
const SAME_MINUTES: i64 = 30;
/// Words of a text that are compared.
const WORDS: usize = 12;

/// One text of one provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sighting<M> {
    /// Provider, class and text, as [`key`] makes them.
    pub key: String,
    /// When it was seen first, without a gap since.
    pub first: DateTime<Utc>,
    /// When it was seen last.
    pub last: DateTime<Utc>,
    /// Who failed with it, at most [`MANY`].
    pub members: Vec<M>,
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

/// Provider and text of a failure, without what differs from one recipient to the next: addresses, numbers, identifiers.
pub fn key(provider: &str, class: BounceClass, diagnostic: &str) -> String {
    let plain =
        |word: &&str| word.chars().any(char::is_alphabetic) && !word.contains(|c: char| c.is_ascii_digit() || "@<>[]=_./".contains(c));
    let words: Vec<_> = diagnostic.split_whitespace().filter(plain).take(WORDS).map(str::to_lowercase).collect();
    format!("{}|{}|{}", provider.to_ascii_lowercase(), class.as_str(), words.join(" "))
}

/// Notes that `member` failed with the text of `key`, of which `before` is known: what it means, and what is known now.
/// `None`: as before, as far as it matters.
pub fn seen<M: Clone + PartialEq>(
    before: Option<&Sighting<M>>,
    key: &str,
    member: &M,
    now: DateTime<Utc>,
) -> (Sight<M>, Option<Sighting<M>>) {
    let fresh = || Sighting { key: key.to_owned(), first: now, last: now, members: Vec::new() };
    let mut sighting = before.filter(|before| !before.is_past(now)).cloned().unwrap_or_else(fresh);
    let was = sighting.members.len();
    if was < MANY && !sighting.members.contains(member) {
        sighting.members.push(member.clone());
    }
    let same = before.is_some_and(|before| before.first == sighting.first) && sighting.members.len() == was;
    let is_recent = now - sighting.last < TimeDelta::minutes(SAME_MINUTES);
    sighting.last = sighting.last.max(now);
    let sight = match (was, sighting.members.len()) {
        (_, len) if len < MANY => Sight::Own,
        (was, _) if was < MANY => Sight::Began(sighting.members[..MANY - 1].to_vec()),
        _ if now - sighting.first > TimeDelta::days(LONGEST_DAYS) => Sight::Own,
        _ => Sight::GoesOn,
    };
    (sight, (!(same && is_recent)).then_some(sighting))
}

impl<M> Sighting<M> {
    /// Was nothing seen of it for so long that it says nothing any more?
    pub fn is_past(&self, now: DateTime<Utc>) -> bool {
        now - self.last > TimeDelta::hours(WINDOW_HOURS)
    }

    /// Does it make an incident at `now`?
    pub fn is_incident(&self, now: DateTime<Utc>) -> bool {
        self.members.len() >= MANY && !self.is_past(now) && now - self.first <= TimeDelta::days(LONGEST_DAYS)
    }

    /// Whose it is, lower case.
    pub fn provider(&self) -> &str {
        self.key.split('|').next().unwrap_or_default()
    }

    /// The text.
    pub fn text(&self) -> &str {
        self.key.rsplit('|').next().unwrap_or_default()
    }
}

/// The longest incident of `provider` at `now` among all sightings.
pub fn of<'s, M>(sightings: &'s [Sighting<M>], provider: &str, now: DateTime<Utc>) -> Option<&'s Sighting<M>> {
    let of_provider = |sighting: &&Sighting<M>| sighting.provider().eq_ignore_ascii_case(provider) && sighting.is_incident(now);
    sightings.iter().filter(of_provider).min_by_key(|sighting| sighting.first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hours: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + hours * 3_600, 0).unwrap()
    }

    /// A memory as the service has it.
    #[derive(Default)]
    struct Memory(Vec<Sighting<u32>>, usize);

    impl Memory {
        fn note(&mut self, key: &str, member: u32, now: DateTime<Utc>) -> Sight<u32> {
            let place = self.0.iter().position(|sighting| sighting.key == key);
            let (sight, after) = seen(place.map(|place| &self.0[place]), key, &member, now);
            if let Some(after) = after {
                self.1 += 1;
                match place {
                    Some(place) => self.0[place] = after,
                    None => self.0.push(after),
                }
            }
            sight
        }
    }

    #[test]
    fn ten_members_with_one_text_are_an_incident_and_nine_are_not() {
        let mut memory = Memory::default();
        let key = |number: u32| {
            let words = format!("550 5.1.1 <m{number}@provider.example>: mailbox unavailable id=q{number}");
            key("provider.example", BounceClass::AddressDead, &words)
        };
        for member in 0..9_u32 {
            assert_eq!(memory.note(&key(member), member, at(0)), Sight::Own);
            assert_eq!(memory.note(&key(member), member, at(1)), Sight::Own, "the same person again is one person");
        }
        assert_eq!(of(&memory.0, "provider.example", at(1)), None);
        assert_eq!(memory.note(&key(9), 9, at(2)), Sight::Began((0..9).collect()));
        assert_eq!(memory.note(&key(0), 0, at(3)), Sight::GoesOn);
        let incident = of(&memory.0, "Provider.example", at(3)).unwrap();
        assert_eq!((incident.first, incident.text()), (at(0), "mailbox unavailable"));
        assert_eq!(of(&memory.0, "other.example", at(3)), None);
        let other = super::key("provider.example", BounceClass::AddressDead, "550 5.1.1 account closed by its owner");
        assert_eq!(memory.note(&other, 3, at(3)), Sight::Own, "another text is another matter");
    }

    #[test]
    fn an_incident_ends_by_itself_and_cannot_last_for_ever() {
        let mut memory = Memory::default();
        for member in 0..10 {
            memory.note("p|x|t", member, at(0));
        }
        assert_eq!(memory.note("p|x|t", 1, at(20)), Sight::GoesOn);
        assert_eq!(memory.note("p|x|t", 1, at(60)), Sight::Own, "a day without a sign");
        let mut memory = Memory::default();
        for member in 0..10 {
            memory.note("p|x|t", member, at(0));
        }
        for hour in (0..24 * LONGEST_DAYS).step_by(12) {
            assert_eq!(memory.note("p|x|t", 1, at(hour)), Sight::GoesOn, "{hour}");
        }
        assert_eq!(memory.note("p|x|t", 1, at(24 * LONGEST_DAYS + 1)), Sight::Own, "those are dead addresses");
    }

    #[test]
    fn a_flood_of_one_text_changes_what_is_kept_a_few_times_only() {
        let mut memory = Memory::default();
        for number in 0..10_000_u32 {
            memory.note("p|x|t", number, at(0) + TimeDelta::seconds(i64::from(number)));
        }
        assert!(memory.1 <= MANY + 6, "{} writes in three hours", memory.1);
        assert!(memory.0[0].is_incident(at(3)) && memory.0[0].members.len() == MANY);
    }
}
