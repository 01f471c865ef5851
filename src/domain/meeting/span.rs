//! From when to when: hours at the place, or whole days.

use chrono::{DateTime, NaiveDate, NaiveDateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use super::civil;

/// Hours over two days that are no longer are one sitting, such as a call from 22:00 to 01:00.
const LONGEST_SITTING: TimeDelta = TimeDelta::hours(12);

/// From when to when, in wall time of the meeting's zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Span {
    /// Hours of the first and the last day; over several days it means "opens … closes …", not one long sitting.
    Hours {
        /// When it opens.
        start: NaiveDateTime,
        /// When it closes; after `start`.
        end: NaiveDateTime,
    },
    /// Whole days.
    Days {
        /// First day.
        first: NaiveDate,
        /// Last day, included; not before `first`.
        last: NaiveDate,
    },
}

impl Span {
    /// First day at the place.
    pub fn first_day(&self) -> NaiveDate {
        match self {
            Self::Hours { start, .. } => start.date(),
            Self::Days { first, .. } => *first,
        }
    }

    /// Last day at the place.
    pub fn last_day(&self) -> NaiveDate {
        match self {
            Self::Hours { end, .. } => end.date(),
            Self::Days { last, .. } => *last,
        }
    }

    /// Is it of whole days?
    pub fn is_all_day(&self) -> bool {
        matches!(self, Self::Days { .. })
    }

    /// Does it begin and end on different days, and is no one sitting that only passes midnight?
    pub fn is_multi_day(&self) -> bool {
        let one_sitting = matches!(self, Self::Hours { start, end } if *end - *start <= LONGEST_SITTING);
        self.first_day() != self.last_day() && !one_sitting
    }

    /// The instant at which it opens.
    pub fn opens(&self, zone: Tz) -> DateTime<Utc> {
        match self {
            Self::Hours { start, .. } => civil::instant(zone, *start),
            Self::Days { first, .. } => civil::start_of_day(zone, *first),
        }
    }

    /// The instant at which it is over.
    pub fn closes(&self, zone: Tz) -> DateTime<Utc> {
        match self {
            Self::Hours { end, .. } => civil::instant(zone, *end),
            Self::Days { last, .. } => civil::end_of_day(zone, *last),
        }
    }
}
