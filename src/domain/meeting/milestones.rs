//! Deadlines of a meeting: given ones win, the rest is computed from a table of lead times.
//!
//! The table is configuration (`[meetings]`), with defaults from ITU-T A.1 (1.3.2, 3.1.8, 3.2.1, 3.3.3), WTSA Resolution 1
//! and the "key deadlines" of real collective letters. The rule never refuses: one real letter of three missed two months.

use std::collections::BTreeMap;

use chrono::{NaiveDate, NaiveTime};
use serde::{Deserialize, Deserializer, Serialize};

use super::duration::Lead;
use super::record::Meeting;

/// A deadline that readers have to meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeadlineKind {
    /// Contributions that are to be translated (ITU-T A.1 3.2.1).
    Translation,
    /// Requests for fellowships.
    Fellowship,
    /// Requests for interpretation.
    Interpretation,
    /// Registration (ITU-T A.1 1.3.2).
    Registration,
    /// Requests for visa support letters.
    Visa,
    /// Contributions of members (ITU-T A.1 3.1.8).
    Contribution,
    /// Hotel bookings; given only.
    Hotel,
}

impl DeadlineKind {
    /// All, in the order in which they usually fall.
    pub const ALL: [Self; 7] =
        [Self::Translation, Self::Fellowship, Self::Interpretation, Self::Registration, Self::Visa, Self::Hotel, Self::Contribution];

    /// As in files, keys and templates.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Translation => "translation",
            Self::Fellowship => "fellowship",
            Self::Interpretation => "interpretation",
            Self::Registration => "registration",
            Self::Visa => "visa",
            Self::Contribution => "contribution",
            Self::Hotel => "hotel",
        }
    }
}

/// How one deadline is computed and reminded of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeadlineRule {
    /// How long before the opening day; without it the deadline exists only where it is given.
    #[serde(default)]
    pub before: Option<Lead>,
    /// How long before the deadline to remind of it.
    #[serde(default)]
    pub remind: Vec<Lead>,
}

/// A deadline of a meeting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadline {
    /// Which.
    pub kind: DeadlineKind,
    /// Last day on which it is met, in the leading group's zone.
    pub date: NaiveDate,
    /// Was it given, or computed as a suggestion?
    pub given: bool,
}

/// The table of lead times: `[meetings]` in the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LeadTimes {
    /// Local hour at which scheduled notices go out, in the zone of the leading group (which is the service's unless it says otherwise).
    #[serde(deserialize_with = "hour")]
    pub hour: NaiveTime,
    /// How long before a planned meeting the letter is due (ITU-T A.1 1.3.2).
    pub letter_planned: Lead,
    /// How long before one that was not in the timetable.
    pub letter_unplanned: Lead,
    /// How long before the letter is due the managers are warned that there is none.
    pub letter_warning: Lead,
    /// How long before the opening the notice on documents, agenda and remote link goes out (ITU-T A.1 3.3.3).
    pub documents: Lead,
    /// How long before the opening "tomorrow" goes out.
    pub tomorrow: Lead,
    /// How long after the last day the managers are reminded of the report (WTSA Resolution 1, 4).
    pub report: Lead,
    /// The deadlines; one that is not named keeps its default, `{}` switches its computation and its reminders off.
    #[serde(deserialize_with = "with_defaults")]
    pub deadlines: BTreeMap<DeadlineKind, DeadlineRule>,
}

/// What a group sets of [`LeadTimes`] for the meetings that it leads: `meetings` of the groups file. The rest is the service's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OwnLeadTimes {
    /// How long before a planned meeting the letter is due.
    pub letter_planned: Option<Lead>,
    /// How long before one that was not in the timetable.
    pub letter_unplanned: Option<Lead>,
    /// How long before the letter is due the managers are warned.
    pub letter_warning: Option<Lead>,
    /// How long before the opening the notice on documents goes out.
    pub documents: Option<Lead>,
    /// How long before the opening "tomorrow" goes out.
    pub tomorrow: Option<Lead>,
    /// How long after the last day the managers are reminded of the report.
    pub report: Option<Lead>,
    /// The deadlines that differ, each as a whole.
    pub deadlines: BTreeMap<DeadlineKind, DeadlineRule>,
}

impl OwnLeadTimes {
    /// The service's lead times with those of the group in their place.
    pub fn over(&self, service: &LeadTimes) -> LeadTimes {
        let mut all = service.clone();
        for (place, own) in [
            (&mut all.letter_planned, self.letter_planned),
            (&mut all.letter_unplanned, self.letter_unplanned),
            (&mut all.letter_warning, self.letter_warning),
            (&mut all.documents, self.documents),
            (&mut all.tomorrow, self.tomorrow),
            (&mut all.report, self.report),
        ] {
            *place = own.unwrap_or(*place);
        }
        all.deadlines.extend(self.deadlines.clone());
        all
    }
}

impl Default for LeadTimes {
    fn default() -> Self {
        Self {
            hour: NaiveTime::from_hms_opt(9, 0, 0).unwrap_or_default(),
            letter_planned: Lead::Days(60),
            letter_unplanned: Lead::Days(90),
            letter_warning: Lead::Days(15),
            documents: Lead::Days(7),
            tomorrow: Lead::Days(1),
            report: Lead::Days(42),
            deadlines: default_deadlines(),
        }
    }
}

fn default_deadlines() -> BTreeMap<DeadlineKind, DeadlineRule> {
    let rule = |before, remind: &[u16]| DeadlineRule { before, remind: remind.iter().map(|n| Lead::Days(*n)).collect() };
    BTreeMap::from([
        (DeadlineKind::Translation, rule(Some(Lead::Months(2)), &[7])),
        (DeadlineKind::Fellowship, rule(Some(Lead::Days(42)), &[7])),
        (DeadlineKind::Interpretation, rule(Some(Lead::Days(42)), &[7])),
        (DeadlineKind::Registration, rule(Some(Lead::Months(1)), &[7, 1])),
        (DeadlineKind::Visa, rule(Some(Lead::Months(1)), &[7, 1])),
        (DeadlineKind::Contribution, rule(Some(Lead::Days(12)), &[7, 3, 1])),
        (DeadlineKind::Hotel, rule(None, &[7])),
    ])
}

impl LeadTimes {
    /// The deadline of that kind: given, else computed, else none.
    pub fn deadline(&self, meeting: &Meeting, kind: DeadlineKind) -> Option<Deadline> {
        if let Some(date) = meeting.deadlines.get(&kind) {
            return Some(Deadline { kind, date: *date, given: true });
        }
        let before = self.deadlines.get(&kind)?.before?;
        Some(Deadline { kind, date: before.before(meeting.first_day()), given: false })
    }

    /// All deadlines of a meeting, the earliest first.
    pub fn deadlines_of(&self, meeting: &Meeting) -> Vec<Deadline> {
        let mut all: Vec<_> = DeadlineKind::ALL.iter().filter_map(|kind| self.deadline(meeting, *kind)).collect();
        all.sort_by_key(|deadline| deadline.date);
        all
    }

    /// How long before the opening the letter is due.
    pub fn letter(&self, planned: bool) -> Lead {
        if planned { self.letter_planned } else { self.letter_unplanned }
    }

    /// Reminders of that kind of deadline, the longest lead first, none twice.
    pub fn reminders(&self, kind: DeadlineKind) -> Vec<Lead> {
        let mut leads = self.deadlines.get(&kind).map(|rule| rule.remind.clone()).unwrap_or_default();
        leads.sort_unstable_by(|a, b| b.cmp(a));
        leads.dedup();
        leads
    }
}

fn hour<'de, D: Deserializer<'de>>(deserializer: D) -> Result<NaiveTime, D::Error> {
    let text = String::deserialize(deserializer)?;
    ["%H:%M", "%H:%M:%S"]
        .iter()
        .find_map(|form| NaiveTime::parse_from_str(&text, form).ok())
        .ok_or_else(|| serde::de::Error::custom(format!("\"{}\" is not an hour such as \"09:00\"", text.escape_debug())))
}

fn with_defaults<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<DeadlineKind, DeadlineRule>, D::Error> {
    let mut all = default_deadlines();
    all.extend(BTreeMap::deserialize(deserializer)?);
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::meeting::notices::tests::meeting;

    fn day(m: u32, d: u32) -> NaiveDate {
        NaiveDate::from_ymd_opt(2027, m, d).unwrap()
    }

    #[test]
    fn given_dates_win_and_the_rest_is_computed() {
        let mut m = meeting();
        m.deadlines.insert(DeadlineKind::Contribution, day(3, 26));
        let all = LeadTimes::default().deadlines_of(&m);
        let dates: Vec<_> = all.iter().map(|d| (d.kind.as_str(), d.date, d.given)).collect();
        assert_eq!(
            dates,
            [
                ("translation", day(2, 6), false),
                ("fellowship", day(2, 23), false),
                ("interpretation", day(2, 23), false),
                ("registration", day(3, 6), false),
                ("visa", day(3, 6), false),
                ("contribution", day(3, 26), true),
            ]
        );
    }

    #[test]
    fn the_table_is_data_and_unknown_keys_are_refused() {
        let table: LeadTimes =
            toml::from_str("hour = \"07:30\"\n[deadlines]\ncontribution = { before = \"3 weeks\", remind = [\"2 days\"] }\nvisa = {}")
                .unwrap();
        assert_eq!(table.deadline(&meeting(), DeadlineKind::Contribution).unwrap().date, day(3, 16));
        assert_eq!(table.deadline(&meeting(), DeadlineKind::Visa), None);
        assert_eq!(table.deadline(&meeting(), DeadlineKind::Registration).unwrap().date, day(3, 6));
        assert!(toml::from_str::<LeadTimes>("hours = 9").is_err());
        assert!(toml::from_str::<LeadTimes>("hour = \"25:00\"").is_err());
    }
}
