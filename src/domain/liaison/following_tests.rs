//! Reminders day by day, and replies found by header, symbol and title.

use chrono::{DateTime, Days};

use super::*;
use crate::domain::language::Language;
use crate::domain::liaison::rules::tests_support::good;
use crate::domain::liaison::statement::Reply;

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

fn out() -> Statement {
    let mut statement = good();
    let kind = EventKind::Circulated { class: "subscriber".into(), count: 1, post: None, languages: vec![Language::ENGLISH] };
    statement.record(DateTime::UNIX_EPOCH, "enlace", kind);
    statement
}

/// Offsets sent when somebody looks on each of these days.
fn series(statement: &Statement, from: &str, days: u64, look_every: u64) -> Vec<i64> {
    let (mut reached, mut sent) = (None, Vec::new());
    for n in (0..days).step_by(usize::try_from(look_every).unwrap()) {
        let today = day(from).checked_add_days(Days::new(n)).unwrap();
        if let Some(reminder) = due_reminder(statement, reached, today) {
            sent.push(reminder.days_left);
        }
        reached = Some(today);
    }
    sent
}

#[test]
fn exactly_the_series_is_sent_and_then_silence() {
    assert_eq!(series(&out(), "2026-11-24", 200, 1), [14, 7, 4, 3, 2, 1, 0, -7, -14]);
}

#[test]
fn days_without_a_look_are_caught_up_once() {
    assert_eq!(series(&out(), "2027-01-01", 60, 5), [11, 6, 1, -4, -9, -14], "each look sends at most the latest missed one");
    assert_eq!(series(&out(), "2027-01-10", 3, 1), Vec::<i64>::new(), "a reminder from before the circulation is not repeated");
    assert_eq!(series(&out(), "2027-06-01", 30, 1), Vec::<i64>::new());
}

#[test]
fn the_series_stops_at_the_reply() {
    let mut statement = out();
    statement.record(DateTime::UNIX_EPOCH, "enlace", EventKind::Answered(LiaisonId(9)));
    assert_eq!(series(&statement, "2026-11-24", 200, 1), Vec::<i64>::new());
    assert!(schedule(&statement, day("2026-11-24")).is_empty());
    assert_eq!(schedule(&out(), day("2027-01-21")).len(), 4);
}

#[test]
fn information_only_is_never_reminded() {
    let mut statement = out();
    statement.destinations.iter_mut().for_each(|d| d.purpose = Purpose::Information);
    assert_eq!(series(&statement, "2026-11-24", 200, 1), Vec::<i64>::new());
    assert!(action_holders(&statement).is_empty());
}

fn known() -> Vec<Known> {
    let known = |id: u64, symbol: &str, title: &str| Known {
        id: LiaisonId(id),
        group: "SG12RG-AMR".parse().unwrap(),
        symbol: Some(symbol.into()),
        number: u32::try_from(id).ok(),
        titles: vec![title.into()],
        message_ids: vec![format!("{id}@example.org")],
        source: "ITU-T SG2".into(),
    };
    vec![known(10, "SG2-LS45", "LS/o on numbering in the region [to SG12RG-AMR]"), known(11, "SG2-LS4", "LS/o on quality of voice")]
}

fn reply(title: &str, reference: Option<&str>) -> Statement {
    let mut statement = good();
    statement.editions[0].title = title.into();
    statement.reply = reference.map(|reference| Reply { reference: reference.into(), statement: None });
    statement
}

#[test]
fn replies_are_linked_by_header_symbol_number_and_title() {
    let labels = Labels::shipped();
    let find = |statement: &Statement, answers: &[&str]| {
        let answers: Vec<String> = answers.iter().map(|id| (*id).to_owned()).collect();
        answered(statement, &answers, &known(), &labels).map(|known| known.id.0)
    };
    assert_eq!(find(&reply("Anything", None), &["x@example.org", "10@example.org"]), Some(10));
    assert_eq!(find(&reply("LS/r on X", Some("SG2-LS45")), &[]), Some(10));
    assert_eq!(find(&reply("LS/r on X", Some("SG2-LS4 of 3 May")), &[]), Some(11), "SG2-LS4 is not SG2-LS45");
    assert_eq!(find(&reply("LS/r on X", Some("SG12RG-AMR-LS11")), &[]), Some(11));
    assert_eq!(find(&reply("LS/r on numbering in the region [to SG2]", Some("")), &[]), Some(10));
    assert_eq!(find(&reply("LS/r on something else", Some("")), &[]), None);
    assert_eq!(find(&reply("LS/o on numbering in the region", None), &[]), None, "it does not say that it is a reply");
}
