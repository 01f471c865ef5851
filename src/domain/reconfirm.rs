//! Whether an account, or an organisation's roster of accounts, is asked again if it is still needed (DOMAIN 1.3 and 1.9).
//!
//! Pure: from what is noted of it and a day to the next [`Step`]. A step that was missed is taken once, late and merged with those behind
//! it; and nobody is suspended who did not get the last reminder three days before.

use chrono::{Days, NaiveDate};
use serde::{Deserialize, Serialize};

use super::id::RequestId;

/// The number of each reminder among the mails of a round, and how many days before the last day for the answer it goes out.
const REMINDERS: [(u8, u64); 2] = [(2, 14), (LAST_MAIL, LAST_DAYS)];
/// The last reminder, and the least that anybody has after it.
const LAST_DAYS: u64 = 3;

/// How often is asked, and how long an answer is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// From one confirmation to the next question, in days.
    pub every: u64,
    /// From the question to the last day for the answer, in days.
    pub within: u64,
}

/// One question and what came of it so far.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Round {
    /// The request that waits for the answer; its token stands in the mails.
    pub request: RequestId,
    /// The day of the question.
    pub asked: NaiveDate,
    /// Last day for the answer.
    pub by: NaiveDate,
    /// Mails that went out: the question is 1, the reminders are those behind it.
    pub told: u8,
    /// Nobody answered in time, and what follows from it was done.
    pub lapsed: bool,
}

/// What is noted of an account or a roster.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confirmation {
    /// The last confirmation.
    pub confirmed: Option<NaiveDate>,
    /// The question that is open or was not answered.
    pub round: Option<Round>,
}

/// What is to be done today.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Nothing.
    Wait,
    /// A new round begins.
    Ask,
    /// The mail of that number goes out, and the last day for the answer is that.
    Tell(u8, NaiveDate),
    /// Nobody answered: the accounts rest.
    Lapse,
}

/// Number of the last mail of a round.
const LAST_MAIL: u8 = 3;

/// The next step on `today` for what came into being on `since`.
pub fn step(confirmation: &Confirmation, since: NaiveDate, terms: Terms, today: NaiveDate) -> Step {
    let is_due = |from: NaiveDate| today >= later(from, terms.every);
    let Some(round) = &confirmation.round else {
        return if is_due(confirmation.confirmed.unwrap_or(since)) { Step::Ask } else { Step::Wait };
    };
    if round.lapsed {
        return if is_due(round.asked) { Step::Ask } else { Step::Wait };
    }
    // Of several mails that are due only the last goes out.
    let reminders = REMINDERS.iter().filter(|(_, days)| today >= round.by.checked_sub_days(Days::new(*days)).unwrap_or(round.by));
    let due = reminders.map(|(number, _)| *number).max().unwrap_or(1);
    if due > round.told {
        let by = if due == LAST_MAIL { round.by.max(later(today, LAST_DAYS)) } else { round.by };
        return Step::Tell(due, by);
    }
    if today > round.by { Step::Lapse } else { Step::Wait }
}

/// So many days later.
pub fn later(day: NaiveDate, days: u64) -> NaiveDate {
    day.checked_add_days(Days::new(days)).unwrap_or(NaiveDate::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERMS: Terms = Terms { every: 365, within: 30 };

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn asked(told: u8, lapsed: bool) -> Confirmation {
        let round = Round { request: RequestId(1), asked: day("2027-01-01"), by: day("2027-01-31"), told, lapsed };
        Confirmation { confirmed: Some(day("2026-01-01")), round: Some(round) }
    }

    #[test]
    fn each_step_is_taken_on_its_day_and_a_missed_one_late_and_once() {
        let since = day("2025-06-01");
        let confirmed = |on| Confirmation { confirmed: Some(day(on)), round: None };
        let by = day("2027-01-31");
        for (confirmation, today, expected) in [
            (Confirmation::default(), "2026-05-31", Step::Wait),
            (Confirmation::default(), "2026-06-01", Step::Ask),
            (confirmed("2026-01-01"), "2026-12-31", Step::Wait),
            (confirmed("2026-01-01"), "2027-01-01", Step::Ask),
            (asked(0, false), "2027-01-01", Step::Tell(1, by)),
            (asked(1, false), "2027-01-16", Step::Wait),
            (asked(1, false), "2027-01-17", Step::Tell(2, by)),
            (asked(2, false), "2027-01-27", Step::Wait),
            (asked(2, false), "2027-01-28", Step::Tell(3, by)),
            (asked(3, false), "2027-01-31", Step::Wait),
            (asked(3, false), "2027-02-01", Step::Lapse),
            // The service slept: one mail, and three days more.
            (asked(1, false), "2027-01-29", Step::Tell(3, day("2027-02-01"))),
            (asked(0, false), "2027-06-01", Step::Tell(3, day("2027-06-04"))),
            (asked(2, false), "2028-06-01", Step::Tell(3, day("2028-06-04"))),
            (asked(3, true), "2027-12-31", Step::Wait),
            (asked(3, true), "2028-01-01", Step::Ask),
        ] {
            assert_eq!(step(&confirmation, since, TERMS, day(today)), expected, "{confirmation:?} on {today}");
        }
    }

    #[test]
    fn nobody_is_suspended_before_the_last_reminder_however_the_days_go_by() {
        for gap in 1..200 {
            let (mut confirmation, mut today, mut last) = (Confirmation::default(), day("2027-01-01"), None);
            for _ in 0..3_000 {
                match step(&confirmation, day("2026-01-01"), TERMS, today) {
                    Step::Wait => {}
                    Step::Ask => {
                        let by = later(today, TERMS.within);
                        confirmation.round = Some(Round { request: RequestId(1), asked: today, by, told: 0, lapsed: false });
                        continue;
                    }
                    Step::Tell(number, by) => {
                        let round = confirmation.round.as_mut().unwrap();
                        assert!(number > round.told, "a mail goes out once");
                        (round.told, round.by) = (number, by);
                        last = (number == LAST_MAIL).then_some(today);
                    }
                    Step::Lapse => {
                        assert!(today > later(last.expect("the last reminder went out"), LAST_DAYS), "every {gap} days");
                        break;
                    }
                }
                today = later(today, gap);
            }
            assert!(last.is_some(), "every {gap} days");
        }
    }
}
