//! From when to when: hours at the place, or whole days.

use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use super::civil;

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

    /// Does it begin and end on different days?
    pub fn is_multi_day(&self) -> bool {
        self.first_day() != self.last_day()
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
