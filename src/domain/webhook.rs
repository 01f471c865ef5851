//! Events that programs are told of, which program wants which, and when a failed delivery is tried again.
//!
//! An event is named by what happened to what, so that the same thing noted twice, after a crash or by two nodes, has one identifier.

use std::fmt;
use std::str::FromStr;

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use super::group::GroupCode;
use super::meeting::{DeadlineKind, NoticeKey};

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum EventKind {
    /// A discussion post or an announcement goes to its readers; its grace time is over.
    PostAccepted,
    /// An edition of a liaison statement goes to its readers.
    LiaisonCirculated,
    /// A reminder of a deadline goes out: of a statement that waits for an answer, or of a meeting.
    DeadlineNear,
    /// A subscription rests, because mail to the subscriber came back.
    BounceSuspended,
    /// A meeting was announced, changed, postponed, cancelled, or is not held by a group any more.
    MeetingChanged,
}

impl EventKind {
    /// All, with their names in payloads and on the command line.
    pub const ALL: [(Self, &'static str); 5] = [
        (Self::PostAccepted, "post.accepted"),
        (Self::LiaisonCirculated, "liaison.circulated"),
        (Self::DeadlineNear, "deadline.near"),
        (Self::BounceSuspended, "bounce.suspended"),
        (Self::MeetingChanged, "meeting.changed"),
    ];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(kind, _)| *kind == self).map_or("", |(_, name)| name)
    }

    /// What a notice of a meeting says to programs; `None` for those that are for people only.
    pub fn of_notice(key: &NoticeKey) -> Option<Self> {
        let milestone = key.milestone.as_str();
        if matches!(milestone, "announcement" | "change" | "postponed" | "cancelled") || milestone.starts_with("withdrawn-") {
            return Some(Self::MeetingChanged);
        }
        let (deadline, _) = milestone.rsplit_once('-')?;
        DeadlineKind::ALL.iter().any(|kind| kind.as_str() == deadline).then_some(Self::DeadlineNear)
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for EventKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = || Self::ALL.map(|(_, name)| name).join(", ");
        let found = Self::ALL.iter().find(|(_, name)| *name == text).map(|(kind, _)| *kind);
        found.ok_or_else(|| format!("there is no event \"{}\"; events are {}", text.escape_debug(), known()))
    }
}

impl From<EventKind> for String {
    fn from(kind: EventKind) -> Self {
        kind.as_str().to_owned()
    }
}

impl TryFrom<String> for EventKind {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// Which events somebody wants; an empty list is all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// Of these kinds.
    pub events: Vec<EventKind>,
    /// That touch one of these groups.
    pub groups: Vec<GroupCode>,
}

impl Wanted {
    /// Is an event of `kind` in `groups` wanted?
    pub fn covers(&self, kind: EventKind, groups: &[GroupCode]) -> bool {
        (self.events.is_empty() || self.events.contains(&kind))
            && (self.groups.is_empty() || self.groups.iter().any(|group| groups.contains(group)))
    }
}

/// The longest wait between two tries.
const LONGEST_WAIT: TimeDelta = TimeDelta::hours(1);

/// How long to wait after so many failures in a row: 1, 2, 4 … s up to an hour, each between three and five quarters of it by `chance`,
/// so that receivers that failed together are not asked together.
pub fn wait(failures: u32, chance: u64) -> TimeDelta {
    let milliseconds = LONGEST_WAIT.num_milliseconds().min(1_000_i64 << failures.saturating_sub(1).min(20));
    let part = 750 + i64::try_from(chance % 501).unwrap_or(0);
    TimeDelta::milliseconds(milliseconds * part / 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_an_hour_and_spread_by_a_quarter() {
        for (failures, shortest, longest) in [(1, 750, 1_250), (2, 1_500, 2_500), (5, 12_000, 20_000), (13, 2_700_000, 4_500_000)] {
            assert_eq!(wait(failures, 0).num_milliseconds(), shortest, "{failures}");
            assert_eq!(wait(failures, 500).num_milliseconds(), longest, "{failures}");
        }
        assert_eq!(wait(u32::MAX, 501).num_milliseconds(), 2_700_000);
        assert_eq!(wait(0, 0).num_milliseconds(), 750);
    }

    #[test]
    fn an_empty_wish_is_for_everything_and_any_other_for_what_it_names() {
        let code = |text: &str| text.parse::<GroupCode>().unwrap();
        let wanted =
            |events: &[EventKind], groups: &[&str]| Wanted { events: events.into(), groups: groups.iter().map(|g| code(g)).collect() };
        let joint = [code("SG12RG-AMR"), code("SG12")];
        for (wanted, kind, covered) in [
            (wanted(&[], &[]), EventKind::PostAccepted, true),
            (wanted(&[EventKind::MeetingChanged], &[]), EventKind::PostAccepted, false),
            (wanted(&[EventKind::MeetingChanged], &["SG12"]), EventKind::MeetingChanged, true),
            (wanted(&[], &["SG12RG-AFR"]), EventKind::MeetingChanged, false),
        ] {
            assert_eq!(wanted.covers(kind, &joint), covered, "{wanted:?} {kind}");
        }
    }

    #[test]
    fn notices_that_tell_programs_something_are_known_by_their_milestone() {
        for (milestone, kind) in [
            ("announcement", Some(EventKind::MeetingChanged)),
            ("cancelled", Some(EventKind::MeetingChanged)),
            ("withdrawn-sg12rg-afr", Some(EventKind::MeetingChanged)),
            ("contribution-7d", Some(EventKind::DeadlineNear)),
            ("tomorrow", None),
            ("documents", None),
            ("letter-missing", None),
            ("report-reminder", None),
        ] {
            let key: NoticeKey = format!("sg12rg-amr-2027:{milestone}:0").parse().unwrap();
            assert_eq!(EventKind::of_notice(&key), kind, "{milestone}");
        }
    }

    #[test]
    fn names_are_read_as_they_are_written() {
        for (kind, name) in EventKind::ALL {
            assert_eq!((name.parse(), kind.to_string().as_str()), (Ok(kind), name));
        }
        assert!("post".parse::<EventKind>().unwrap_err().contains("post.accepted"));
    }
}
