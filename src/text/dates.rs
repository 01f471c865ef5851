//! Dates as each language writes them (ITU practice for the six official languages), pure functions.
//!
//! English "3 July 2026", French "1er juillet 2026", Spanish "3 de julio de 2026", Russian "3 июля 2026 года",
//! Chinese "2026年7月3日", Arabic "3 يوليو 2026". Numbers of an Arabic range stand in a left-to-right isolate
//! (UAX 9, U+2066…U+2069), so that "3-4" is not turned round. Any other language gets the English form.

use chrono::{DateTime, Datelike, NaiveDate, NaiveTime, Timelike};
use chrono_tz::Tz;

use crate::domain::language::Language;

/// Isolates a run that is read from left to right.
const LEFT_TO_RIGHT: char = '\u{2066}';
const POP: char = '\u{2069}';

const ENGLISH: [&str; 12] =
    ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"];
const FRENCH: [&str; 12] =
    ["janvier", "février", "mars", "avril", "mai", "juin", "juillet", "août", "septembre", "octobre", "novembre", "décembre"];
const SPANISH: [&str; 12] =
    ["enero", "febrero", "marzo", "abril", "mayo", "junio", "julio", "agosto", "septiembre", "octubre", "noviembre", "diciembre"];
const RUSSIAN: [&str; 12] =
    ["января", "февраля", "марта", "апреля", "мая", "июня", "июля", "августа", "сентября", "октября", "ноября", "декабря"];
const ARABIC: [&str; 12] = ["يناير", "فبراير", "مارس", "أبريل", "مايو", "يونيو", "يوليو", "أغسطس", "سبتمبر", "أكتوبر", "نوفمبر", "ديسمبر"];

fn month(names: &[&'static str; 12], date: NaiveDate) -> &'static str {
    names[date.month0() as usize % 12]
}

/// In French the first of a month is an ordinal.
fn french_day(date: NaiveDate) -> String {
    if date.day() == 1 { "1er".into() } else { date.day().to_string() }
}

fn isolated(text: &str) -> String {
    format!("{LEFT_TO_RIGHT}{text}{POP}")
}

/// One date: "3 July 2026".
pub fn date(language: Language, date: NaiveDate) -> String {
    let (day, year) = (date.day(), date.year());
    match language.as_str() {
        "fr" => format!("{} {} {year}", french_day(date), month(&FRENCH, date)),
        "es" => format!("{day} de {} de {year}", month(&SPANISH, date)),
        "ru" => format!("{day} {} {year} года", month(&RUSSIAN, date)),
        "zh" => format!("{year}年{}月{day}日", date.month()),
        "ar" => format!("{day} {} {year}", month(&ARABIC, date)),
        _ => format!("{day} {} {year}", month(&ENGLISH, date)),
    }
}

/// From `first` to `last`, both included: "3-4 July 2026", "30 June - 2 July 2026", "30 December 2026 - 2 January 2027".
pub fn range(language: Language, first: NaiveDate, last: NaiveDate) -> String {
    if first == last {
        return date(language, first);
    }
    let same_year = first.year() == last.year();
    if !same_year {
        return format!("{} - {}", date(language, first), date(language, last));
    }
    let year = first.year();
    let (from, to) = (first.day(), last.day());
    if first.month() == last.month() {
        return match language.as_str() {
            "fr" => format!("{}-{to} {} {year}", french_day(first), month(&FRENCH, first)),
            "es" => format!("{from}-{to} de {} de {year}", month(&SPANISH, first)),
            "ru" => format!("{from}-{to} {} {year} года", month(&RUSSIAN, first)),
            "zh" => format!("{year}年{}月{from}-{to}日", first.month()),
            "ar" => format!("{} {} {year}", isolated(&format!("{from}-{to}")), month(&ARABIC, first)),
            _ => format!("{from}-{to} {} {year}", month(&ENGLISH, first)),
        };
    }
    match language.as_str() {
        "fr" => format!("{} {} - {}", french_day(first), month(&FRENCH, first), date(language, last)),
        "es" => format!("{from} de {} - {}", month(&SPANISH, first), date(language, last)),
        "ru" => format!("{from} {} - {}", month(&RUSSIAN, first), date(language, last)),
        "zh" => format!("{year}年{}月{from}日-{}月{to}日", first.month(), last.month()),
        "ar" => format!("{from} {} - {}", month(&ARABIC, first), date(language, last)),
        _ => format!("{from} {} - {}", month(&ENGLISH, first), date(language, last)),
    }
}

/// A time of day: ITU English "0930 hours", French "09 h 30", Spanish "09:30 horas", others "09:30".
pub fn time(language: Language, time: NaiveTime) -> String {
    let (hour, minute) = (time.hour(), time.minute());
    match language.as_str() {
        "en" => format!("{hour:02}{minute:02} hours"),
        "fr" => format!("{hour:02} h {minute:02}"),
        "es" => format!("{hour:02}:{minute:02} horas"),
        "ar" => isolated(&format!("{hour:02}:{minute:02}")),
        _ => format!("{hour:02}:{minute:02}"),
    }
}

/// An instant at a place: "3 July 2026, 0930 hours (Europe/Zurich)".
pub fn instant(language: Language, at: DateTime<Tz>) -> String {
    let (day, hour) = (date(language, at.date_naive()), time(language, at.time()));
    let zone = at.timezone().name();
    match language.as_str() {
        "zh" => format!("{day} {hour}（{zone}）"),
        "ar" => format!("{day}، {hour} ({})", isolated(zone)),
        _ => format!("{day}, {hour} ({zone})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn in_six(f: impl Fn(Language) -> String) -> Vec<String> {
        ["en", "fr", "es", "ru", "zh", "ar"].iter().map(|l| f(l.parse().unwrap())).collect()
    }

    #[test]
    fn dates_are_written_as_each_language_writes_them() {
        assert_eq!(
            in_six(|l| date(l, day("2026-07-03"))),
            ["3 July 2026", "3 juillet 2026", "3 de julio de 2026", "3 июля 2026 года", "2026年7月3日", "3 يوليو 2026"]
        );
        assert_eq!(date("fr".parse().unwrap(), day("2026-08-01")), "1er août 2026");
    }

    #[test]
    fn ranges_share_what_is_equal() {
        assert_eq!(
            in_six(|l| range(l, day("2025-07-03"), day("2025-07-04"))),
            [
                "3-4 July 2025",
                "3-4 juillet 2025",
                "3-4 de julio de 2025",
                "3-4 июля 2025 года",
                "2025年7月3-4日",
                "\u{2066}3-4\u{2069} يوليو 2025"
            ]
        );
        assert_eq!(
            in_six(|l| range(l, day("2026-06-30"), day("2026-07-02"))),
            [
                "30 June - 2 July 2026",
                "30 juin - 2 juillet 2026",
                "30 de junio - 2 de julio de 2026",
                "30 июня - 2 июля 2026 года",
                "2026年6月30日-7月2日",
                "30 يونيو - 2 يوليو 2026"
            ]
        );
        let en = Language::ENGLISH;
        assert_eq!(range(en, day("2026-12-30"), day("2027-01-02")), "30 December 2026 - 2 January 2027");
        assert_eq!(range(en, day("2026-12-30"), day("2026-12-30")), "30 December 2026");
    }

    #[test]
    fn times_follow_itu_letters() {
        let half_past_nine = NaiveTime::from_hms_opt(9, 30, 0).unwrap();
        assert_eq!(in_six(|l| time(l, half_past_nine))[..5], ["0930 hours", "09 h 30", "09:30 horas", "09:30", "09:30"]);
        let zurich = chrono_tz::Europe::Zurich;
        let at = DateTime::from_timestamp(1_783_070_000, 0).unwrap().with_timezone(&zurich);
        assert_eq!(instant(Language::ENGLISH, at), "3 July 2026, 1113 hours (Europe/Zurich)");
    }
}
