//! Wall time and a zone to an instant, with the hour that does not exist and the hour that exists twice named.
//!
//! Everything in a meeting is written in wall time at its place; instants are computed late, with the zone's
//! present rules, so that a country that changes its rules moves the instant and not the meeting.
//! The choice: a wall time in a gap is the first instant after it, in a fold the first of the two
//! (the "compatible" choice of RFC 5545 section 3.3.5).

use chrono::{DateTime, LocalResult, NaiveDate, NaiveDateTime, NaiveTime, Offset, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;

/// What a wall time means in a zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mapping {
    /// Exactly one instant.
    Plain(DateTime<Utc>),
    /// The clocks skip it; this is the first instant after the gap.
    Gap {
        /// The first instant after the gap.
        after: DateTime<Utc>,
    },
    /// The clocks show it twice.
    Fold {
        /// The first time.
        first: DateTime<Utc>,
        /// The second time.
        second: DateTime<Utc>,
    },
}

/// What `wall` means in `zone`.
pub fn map(zone: Tz, wall: NaiveDateTime) -> Mapping {
    match zone.from_local_datetime(&wall) {
        LocalResult::Single(at) => Mapping::Plain(at.to_utc()),
        LocalResult::Ambiguous(a, b) => Mapping::Fold { first: a.to_utc().min(b.to_utc()), second: a.to_utc().max(b.to_utc()) },
        LocalResult::None => Mapping::Gap { after: end_of_gap(zone, wall) },
    }
}

/// The instant of `wall` in `zone`: after a gap, first of a fold.
pub fn instant(zone: Tz, wall: NaiveDateTime) -> DateTime<Utc> {
    match map(zone, wall) {
        Mapping::Plain(at) | Mapping::Gap { after: at } | Mapping::Fold { first: at, .. } => at,
    }
}

/// The instant of `time` on `day` in `zone`.
pub fn on(zone: Tz, day: NaiveDate, time: NaiveTime) -> DateTime<Utc> {
    instant(zone, day.and_time(time))
}

/// The first instant of `day` in `zone`, which is not midnight where the clocks skip it.
pub fn start_of_day(zone: Tz, day: NaiveDate) -> DateTime<Utc> {
    on(zone, day, NaiveTime::MIN)
}

/// The instant at which `day` is over in `zone`: the start of the next one.
///
/// A deadline "until 25 March" is met until this instant, which itself belongs to the 26th.
pub fn end_of_day(zone: Tz, day: NaiveDate) -> DateTime<Utc> {
    start_of_day(zone, day.succ_opt().unwrap_or(day))
}

/// The wall time at `at` in `zone`.
pub fn wall(zone: Tz, at: DateTime<Utc>) -> NaiveDateTime {
    at.with_timezone(&zone).naive_local()
}

/// The day at `at` in `zone`.
pub fn day(zone: Tz, at: DateTime<Utc>) -> NaiveDate {
    wall(zone, at).date()
}

/// The offset from UTC at `at` in `zone`, in seconds, east positive.
pub fn offset_seconds(zone: Tz, at: DateTime<Utc>) -> i32 {
    zone.offset_from_utc_datetime(&at.naive_utc()).fix().local_minus_utc()
}

/// The smallest instant whose wall time is past the gap. Two days to either side are enough even for Samoa,
/// which skipped the whole of 30 December 2011.
fn end_of_gap(zone: Tz, missing: NaiveDateTime) -> DateTime<Utc> {
    let middle = missing.and_utc();
    let (mut before, mut after) = (middle - TimeDelta::days(2), middle + TimeDelta::days(2));
    while after - before > TimeDelta::seconds(1) {
        let half = before + TimeDelta::seconds((after - before).num_seconds() / 2);
        if wall(zone, half) >= missing {
            after = half;
        } else {
            before = half;
        }
    }
    after
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn wall_time(text: &str) -> NaiveDateTime {
        text.parse().unwrap()
    }

    #[test]
    fn gaps_and_folds_are_named_in_five_zones() {
        for (zone, wall, expected) in [
            (Tz::Europe__Zurich, "2026-03-29T02:30:00", Mapping::Gap { after: at("2026-03-29T01:00:00Z") }),
            (
                Tz::Europe__Zurich,
                "2026-10-25T02:30:00",
                Mapping::Fold { first: at("2026-10-25T00:30:00Z"), second: at("2026-10-25T01:30:00Z") },
            ),
            (Tz::America__Santiago, "2026-09-06T00:30:00", Mapping::Gap { after: at("2026-09-06T04:00:00Z") }),
            (Tz::Australia__Lord_Howe, "2026-10-04T02:10:00", Mapping::Gap { after: at("2026-10-03T15:30:00Z") }),
            (Tz::Pacific__Apia, "2011-12-30T09:00:00", Mapping::Gap { after: at("2011-12-30T10:00:00Z") }),
            // Mexico gave up daylight saving time in 2022.
            (Tz::America__Mexico_City, "2027-04-06T09:30:00", Mapping::Plain(at("2027-04-06T15:30:00Z"))),
        ] {
            assert_eq!(map(zone, wall_time(wall)), expected, "{zone} {wall}");
        }
    }

    #[test]
    fn a_day_ends_where_the_next_one_starts_even_if_midnight_is_skipped() {
        let day = NaiveDate::from_ymd_opt(2026, 9, 5).unwrap();
        assert_eq!(end_of_day(Tz::America__Santiago, day), at("2026-09-06T04:00:00Z"));
        let geneva = NaiveDate::from_ymd_opt(2027, 3, 27).unwrap();
        assert_eq!(end_of_day(Tz::Europe__Zurich, geneva), at("2027-03-27T23:00:00Z"));
        assert_eq!(
            end_of_day(Tz::Europe__Zurich, geneva.succ_opt().unwrap()) - end_of_day(Tz::Europe__Zurich, geneva),
            TimeDelta::hours(23)
        );
    }
}
