//! The calendar entries a meeting consists of: the span, its days, its parts, its deadlines.
//!
//! Each has a name that never changes, from which its UID is made; an entry that a change removed is remembered
//! ([`Gone`]), because a calendar keeps what it is not told to remove.
//! A meeting over several days is a span of whole days and one entry a day, never one sitting of 56 hours. Hours of the
//! days between are known only if it opens in a morning and closes in an afternoon; otherwise, or if parts are
//! given for its days, no hours are invented.

use chrono::{NaiveDate, NaiveTime};
use serde::{Deserialize, Serialize};

use super::milestones::{Deadline, LeadTimes};
use super::record::{Meeting, MeetingStatus};
use super::span::Span;

/// Most days of a meeting that become entries of their own.
const MOST_DAYS: usize = 31;

/// What an entry stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// The meeting.
    Whole,
    /// One of its days, from 1.
    Day(usize),
    /// One of its parts, by index.
    Part(usize),
    /// A deadline.
    Deadline(Deadline),
}

/// One calendar entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Name within the meeting: empty for the meeting itself, `day-2`, `part-workshop`, `deadline-contribution`.
    pub name: String,
    /// What it stands for.
    pub kind: EntryKind,
    /// When, in the meeting's zone.
    pub span: Span,
    /// Does it keep nobody busy?
    pub transparent: bool,
}

/// An entry that readers were told of and that is no more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gone {
    /// Its name.
    pub name: String,
    /// The day it began on.
    pub day: NaiveDate,
}

/// All entries, the meeting itself first.
pub fn entries(meeting: &Meeting, lead_times: &LeadTimes) -> Vec<Entry> {
    let mut entries = Vec::new();
    let (first, last) = (meeting.span.first_day(), meeting.span.last_day());
    let days = if meeting.span.is_multi_day() { sessions(meeting) } else { Vec::new() };
    let whole = match meeting.span {
        Span::Hours { .. } if meeting.span.is_multi_day() => Span::Days { first, last },
        span => span,
    };
    let busy_elsewhere = !days.is_empty() || meeting.parts.iter().any(|part| inside(meeting, part.span.first_day()));
    entries.push(Entry { name: String::new(), kind: EntryKind::Whole, span: whole, transparent: whole.is_all_day() && busy_elsewhere });
    for (index, span) in days.into_iter().enumerate() {
        entries.push(Entry { name: format!("day-{}", index + 1), kind: EntryKind::Day(index + 1), span, transparent: false });
    }
    for (index, part) in meeting.parts.iter().enumerate() {
        entries.push(Entry {
            name: format!("part-{}", part.key),
            kind: EntryKind::Part(index),
            span: part.span,
            transparent: part.span.is_all_day(),
        });
    }
    if meeting.status != MeetingStatus::Draft {
        for deadline in lead_times.deadlines_of(meeting) {
            entries.push(Entry {
                name: format!("deadline-{}", deadline.kind.as_str()),
                kind: EntryKind::Deadline(deadline),
                span: Span::Days { first: deadline.date, last: deadline.date },
                transparent: true,
            });
        }
    }
    entries
}

/// Entries of `old` that `new` lacks, with those that were gone before and did not come back.
pub(super) fn gone(old: &Meeting, new: &Meeting, lead_times: &LeadTimes) -> Vec<Gone> {
    let present = entries(new, lead_times);
    let before = entries(old, lead_times).into_iter().map(|entry| Gone { name: entry.name, day: entry.span.first_day() });
    let mut gone: Vec<Gone> = Vec::new();
    for entry in old.gone.iter().cloned().chain(before) {
        if !present.iter().any(|p| p.name == entry.name) && !gone.iter().any(|g| g.name == entry.name) {
            gone.push(entry);
        }
    }
    gone
}

fn inside(meeting: &Meeting, day: NaiveDate) -> bool {
    (meeting.span.first_day()..=meeting.span.last_day()).contains(&day)
}

fn sessions(meeting: &Meeting) -> Vec<Span> {
    let Span::Hours { start, end } = meeting.span else { return Vec::new() };
    let noon = NaiveTime::from_hms_opt(12, 0, 0).unwrap_or_default();
    let given = meeting.parts.iter().any(|part| inside(meeting, part.span.first_day()));
    if given || start.time() >= noon || end.time() <= noon {
        return Vec::new();
    }
    let days = start.date().iter_days().take_while(|day| *day <= end.date()).take(MOST_DAYS);
    days.map(|day| Span::Hours { start: day.and_time(start.time()), end: day.and_time(end.time()) }).collect()
}

#[cfg(test)]
mod tests {
    use super::super::notices::tests::meeting;
    use super::*;

    #[test]
    fn a_sitting_that_passes_midnight_keeps_its_hours() {
        let over = |start: &str, end: &str| Span::Hours { start: start.parse().unwrap(), end: end.parse().unwrap() };
        for (span, hours) in [
            (over("2027-04-06T22:00:00", "2027-04-07T01:00:00"), true),
            (over("2027-04-06T09:30:00", "2027-04-07T17:30:00"), false),
            (over("2027-04-06T14:00:00", "2027-04-07T12:00:00"), false),
        ] {
            let whole = entries(&Meeting { span, ..meeting() }, &LeadTimes::default()).remove(0);
            assert_eq!(whole.span == span, hours, "{span:?}");
        }
    }
}
