//! A lead time in calendar terms: `2 months`, `6 weeks`, `12 days`.

use std::fmt;
use std::str::FromStr;

use chrono::{Months, NaiveDate, TimeDelta};
use serde::{Deserialize, Serialize};

/// How far ahead of (or behind) a day, in calendar days (ITU-T A.1 counts calendar days) or months.
///
/// A month back from a day that the shorter month lacks is its last day: one month before 31 March is 28 February.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Lead {
    /// Calendar days.
    Days(u16),
    /// Calendar months.
    Months(u16),
}

/// Longest lead in days; about two study periods.
const MOST_DAYS: u16 = 3000;

impl Lead {
    /// That long before `day`.
    pub fn before(self, day: NaiveDate) -> NaiveDate {
        match self {
            Self::Days(n) => day.checked_sub_signed(TimeDelta::days(n.into())),
            Self::Months(n) => day.checked_sub_months(Months::new(n.into())),
        }
        .unwrap_or(NaiveDate::MIN)
    }

    /// That long after `day`.
    pub fn after(self, day: NaiveDate) -> NaiveDate {
        match self {
            Self::Days(n) => day.checked_add_signed(TimeDelta::days(n.into())),
            Self::Months(n) => day.checked_add_months(Months::new(n.into())),
        }
        .unwrap_or(NaiveDate::MAX)
    }

    /// Short form for keys: `7d`, `2m`.
    pub fn short(self) -> String {
        match self {
            Self::Days(n) => format!("{n}d"),
            Self::Months(n) => format!("{n}m"),
        }
    }
}

impl FromStr for Lead {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("\"{}\" is not a lead time such as \"12 days\", \"6 weeks\" or \"2 months\"", text.escape_debug());
        let words: Vec<_> = text.split_whitespace().collect();
        let [number, unit] = words[..] else { return Err(wrong()) };
        let number: u16 = number.parse().map_err(|_| wrong())?;
        let lead = match unit {
            "day" | "days" => Self::Days(number),
            "week" | "weeks" => Self::Days(number.checked_mul(7).ok_or_else(wrong)?),
            "month" | "months" => Self::Months(number),
            _ => return Err(wrong()),
        };
        let days = match lead {
            Self::Days(n) => n,
            Self::Months(n) => n.saturating_mul(30),
        };
        if days > MOST_DAYS { Err(format!("\"{text}\" is more than {MOST_DAYS} days")) } else { Ok(lead) }
    }
}

impl TryFrom<String> for Lead {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Lead> for String {
    fn from(lead: Lead) -> Self {
        lead.to_string()
    }
}

impl fmt::Display for Lead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (n, unit) = match self {
            Self::Days(n) => (n, "day"),
            Self::Months(n) => (n, "month"),
        };
        write!(f, "{n} {unit}{}", if *n == 1 { "" } else { "s" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leads_are_read_and_counted_in_calendar_terms() {
        let day = |m, d| NaiveDate::from_ymd_opt(2027, m, d).unwrap();
        assert_eq!("12 days".parse::<Lead>().unwrap().before(day(4, 6)), day(3, 25));
        assert_eq!("2 months".parse::<Lead>().unwrap().before(day(4, 6)), day(2, 6));
        assert_eq!("1 month".parse::<Lead>().unwrap().before(day(3, 31)), day(2, 28));
        assert_eq!("6 weeks".parse::<Lead>().unwrap(), Lead::Days(42));
        for bad in ["", "12", "-1 days", "12 fortnights", "9999 days", "99999 weeks"] {
            assert!(bad.parse::<Lead>().is_err(), "{bad}");
        }
    }
}
