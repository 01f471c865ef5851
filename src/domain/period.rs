//! Study periods: some four years between two assemblies, whose first year stands in the names of lists (`t22sg12`).
//!
//! Never computed from the calendar: one period lasted three years, because an assembly was put off.

use std::fmt;
use std::str::FromStr;

/// A study period, such as 2025-2028.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StudyPeriod {
    first: u16,
    last: u16,
}

impl StudyPeriod {
    /// The name that a list of an earlier period has in this one: `t22sg12` as `t25sg12`. `None` for a list whose name carries no
    /// period, or this one.
    pub fn renamed(self, list: &str) -> Option<String> {
        let digits = list.strip_prefix('t')?.get(..2)?;
        let rest = &list[3..];
        let carries = digits.bytes().all(|digit| digit.is_ascii_digit()) && rest.starts_with(|c: char| c.is_ascii_alphabetic());
        let name = format!("t{:02}{rest}", self.first % 100);
        (carries && name != list).then_some(name)
    }
}

impl fmt::Display for StudyPeriod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

impl FromStr for StudyPeriod {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let year = |text: &str| text.parse::<u16>().ok().filter(|year| (1900..=2999).contains(year));
        let years = text.trim().split_once(['-', '–']).and_then(|(first, last)| Some((year(first.trim())?, year(last.trim())?)));
        match years {
            Some((first, last)) if first <= last && last - first < 10 => Ok(Self { first, last }),
            _ => Err(format!("\"{}\" is no study period; write its first and its last year, such as 2025-2028", text.escape_debug())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_renames_lists_of_other_periods_and_no_others() {
        let period: StudyPeriod = "2025–2028".parse().unwrap();
        assert_eq!(period.to_string(), "2025-2028");
        for (list, name) in [
            ("t22sg12", Some("t25sg12")),
            ("t22sg12rgafr", Some("t25sg12rgafr")),
            ("t25sg12", None),
            ("tsag", None),
            ("sg12rg-amr", None),
            ("t2", None),
            ("t2é", None),
            ("t22", None),
            ("t2212", None),
        ] {
            assert_eq!(period.renamed(list).as_deref(), name, "{list}");
        }
        for bad in ["", "2025", "2028-2025", "25-28", "2025-2099", "2025-x"] {
            assert!(bad.parse::<StudyPeriod>().is_err(), "{bad}");
        }
    }
}
