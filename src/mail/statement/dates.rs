//! Dates in the text of statements, in six languages and in figures.
//!
//! Finds days and spans: `19-28 September 2023`, `du 19 au 28 septembre 2023`, `3-4 de julio de 2025`, `2025年7月3-4日`,
//! `28.09.2023`, `2023-09-28`. In figures the day comes first, as ITU writes. Arabic documents store a span right to left
//! (`14-10 ديسمبر 2018` is 10 to 14 December): the two days are put in order. A day without month and year is no date.

use chrono::NaiveDate;

use crate::domain::liaison::labels::{DateWord, Labels};
use crate::domain::liaison::plain::{is_invisible, words_key};

/// A day or a span of days, and where it stands in the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// First day.
    pub start: NaiveDate,
    /// Last day, not before the first.
    pub end: NaiveDate,
    /// Octets of the text it covers.
    pub from: usize,
    /// Behind its last octet.
    pub to: usize,
}

/// Longest text that is looked at, in octets.
const LONGEST_TEXT: usize = 4096;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Token {
    Number { value: u32, digits: usize },
    Date(NaiveDate),
    Month(u32),
    Year,
    MonthMark,
    Day,
    Range,
    Other,
}

struct Placed {
    token: Token,
    from: usize,
    to: usize,
}

/// All days and spans in `text`, in its order.
pub fn find(text: &str, labels: &Labels) -> Vec<Span> {
    let cut = (0..=text.len().min(LONGEST_TEXT)).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    let tokens = tokens(&text[..cut], labels);
    tokens.split(|placed| placed.token == Token::Other).flat_map(spans_of_run).collect()
}

/// Splits into numbers, words and marks; what says nothing is left out.
fn tokens(text: &str, labels: &Labels) -> Vec<Placed> {
    let mut out = Vec::new();
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        let from = at;
        if let Some((date, length)) = figures(&text[at..]) {
            at += length;
            out.push(Placed { token: Token::Date(date), from, to: at });
        } else if digit(c).is_some() {
            let (value, digits, length) = number(&text[at..]);
            at += length;
            out.push(Placed { token: Token::Number { value, digits }, from, to: at });
        } else if let Some(token) = mark(c) {
            at += c.len_utf8();
            out.push(Placed { token, from, to: at });
        } else if c.is_alphabetic() {
            let (token, length) = word(&text[at..], labels);
            at += length;
            out.extend(token.map(|token| Placed { token, from, to: at }));
        } else {
            at += c.len_utf8();
            if !(c.is_whitespace() || is_invisible(c) || matches!(c, ',' | '.' | '،' | '\u{ad}' | 'º' | '°' | '’' | '\'')) {
                out.push(Placed { token: Token::Other, from, to: at });
            }
        }
    }
    out
}

fn digit(c: char) -> Option<u32> {
    match c {
        '0'..='9' => c.to_digit(10),
        '\u{0660}'..='\u{0669}' => Some(c as u32 - 0x0660),
        '\u{06f0}'..='\u{06f9}' => Some(c as u32 - 0x06f0),
        '\u{ff10}'..='\u{ff19}' => Some(c as u32 - 0xff10),
        _ => None,
    }
}

fn number(text: &str) -> (u32, usize, usize) {
    let (mut value, mut digits, mut length) = (0u32, 0, 0);
    for c in text.chars() {
        let Some(d) = digit(c) else { break };
        value = value.saturating_mul(10).saturating_add(d);
        digits += 1;
        length += c.len_utf8();
    }
    (value, digits, length)
}

/// A whole date in figures with one kind of separator.
fn figures(text: &str) -> Option<(NaiveDate, usize)> {
    let (first, first_digits, mut at) = number(text);
    let separator = text[at..].chars().next().filter(|c| matches!(c, '-' | '/' | '.' | '\u{2011}' | '\u{2010}'))?;
    at += separator.len_utf8();
    let (second, second_digits, length) = number(&text[at..]);
    at += length;
    let again = text[at..].chars().next().filter(|c| *c == separator)?;
    at += again.len_utf8();
    let (third, third_digits, length) = number(&text[at..]);
    at += length;
    let date = match (first_digits, second_digits, third_digits) {
        (4, 1..=2, 1..=2) => date(first, second, third),
        (1..=2, 1..=2, 4) => date(third, second, first),
        _ => None,
    }?;
    Some((date, at))
}

/// Is the only date in it one in figures that a reader may take the other way round, such as `03/04/2027`?
pub fn may_be_month_first(text: &str) -> bool {
    let parts: Vec<&str> = text.trim().split(['/', '.']).collect();
    let [first, second, year] = parts[..] else { return false };
    let month = |text: &str| text.len() <= 2 && text.parse::<u32>().is_ok_and(|number| (1..=12).contains(&number));
    text.contains('/') && month(first) && month(second) && first.parse::<u32>() != second.parse::<u32>() && year.len() == 4
}

fn date(year: u32, month: u32, day: u32) -> Option<NaiveDate> {
    let year = i32::try_from(year).ok().filter(|year| (1900..=2200).contains(year))?;
    NaiveDate::from_ymd_opt(year, month, day)
}

fn mark(c: char) -> Option<Token> {
    Some(match c {
        '年' => Token::Year,
        '月' => Token::MonthMark,
        '日' | '号' => Token::Day,
        '-' | '–' | '—' | '\u{2010}' | '\u{2011}' | '−' | '~' | '～' | '－' => Token::Range,
        _ => return None,
    })
}

/// The longest date word that the text begins with; its length is that of one word if it is none.
fn word(text: &str, labels: &Labels) -> (Option<Token>, usize) {
    let ideographs = |c: char| c >= '\u{2e80}';
    if text.starts_with(ideographs) {
        return ideograph_word(text, labels);
    }
    let mut ends = Vec::new();
    let mut inside = false;
    for (at, c) in text.char_indices() {
        let letter = (c.is_alphabetic() || matches!(c, '\u{064b}'..='\u{065f}' | '\'' | '’')) && !ideographs(c);
        if inside && !letter {
            ends.push(at);
            if ends.len() == labels.longest_date_words() {
                break;
            }
        }
        if !letter && !c.is_whitespace() {
            break;
        }
        inside = letter;
    }
    if inside && ends.len() < labels.longest_date_words() {
        ends.push(text.len());
    }
    for end in ends.iter().rev() {
        if let Some(meaning) = labels.date_word(&words_key(&text[..*end])) {
            return (token(meaning), *end);
        }
    }
    let first = ends.first().copied().unwrap_or(text.len());
    (Some(Token::Other), first.max(1))
}

fn ideograph_word(text: &str, labels: &Labels) -> (Option<Token>, usize) {
    let ends: Vec<usize> = text.char_indices().take(3).map(|(at, c)| at + c.len_utf8()).collect();
    for end in ends.iter().rev() {
        if let Some(meaning) = labels.date_word(&words_key(&text[..*end])) {
            return (token(meaning), *end);
        }
    }
    (Some(Token::Other), ends[0])
}

fn token(meaning: DateWord) -> Option<Token> {
    match meaning {
        DateWord::Month(month) => Some(Token::Month(month)),
        DateWord::Range => Some(Token::Range),
        DateWord::Filler => None,
    }
}

#[derive(Default, Clone, Copy)]
struct Partial {
    day: u32,
    month: Option<u32>,
    year: Option<u32>,
    whole: Option<NaiveDate>,
    joined: bool,
    from: usize,
    to: usize,
}

/// Days of one run of date tokens; month and year reach back to the days that lack them, and forward where they came first.
fn spans_of_run(run: &[Placed]) -> Vec<Span> {
    let mut partials: Vec<Partial> = Vec::new();
    let (mut month, mut year) = (None, None);
    let mut joined = false;
    // Where a year or month stands that came before its day.
    let mut lead = None;
    for (index, Placed { token, from, to }) in run.iter().enumerate() {
        let next = run.get(index + 1).map(|placed| placed.token);
        match token {
            Token::Range => joined = !partials.is_empty(),
            Token::Date(date) => {
                partials.push(Partial { whole: Some(*date), joined, from: *from, to: *to, ..Partial::default() });
                joined = false;
            }
            Token::Number { value, .. } if next == Some(Token::Year) => {
                year = Some(*value);
                lead.get_or_insert(*from);
            }
            Token::Number { value, .. } if next == Some(Token::MonthMark) => {
                month = Some(*value);
                lead.get_or_insert(*from);
            }
            Token::Number { value, digits: 4 } => {
                give_year(&mut partials, *value, *to);
                (month, joined) = (None, false);
            }
            Token::Number { value, digits: 1 | 2 } => {
                let from = lead.take().unwrap_or(*from);
                partials.push(Partial { day: *value, month, year, joined, from, to: *to, ..Partial::default() });
                joined = false;
            }
            Token::Month(found) => {
                let lacking = partials.iter_mut().rev().take_while(|partial| partial.whole.is_none() && partial.month.is_none());
                let count = lacking.map(|partial| (partial.month, partial.to) = (Some(*found), *to)).count();
                if count == 0 {
                    lead.get_or_insert(*from);
                    month = Some(*found);
                }
            }
            Token::Day => partials.iter_mut().for_each(|partial| partial.to = (*to).max(partial.to)),
            Token::Number { .. } | Token::Year | Token::MonthMark | Token::Other => {}
        }
    }
    join(&partials)
}

fn give_year(partials: &mut [Partial], year: u32, to: usize) {
    for partial in partials.iter_mut().rev().take_while(|partial| partial.whole.is_none() && partial.year.is_none()) {
        if partial.month.is_some() {
            (partial.year, partial.to) = (Some(year), to);
        }
    }
}

fn join(partials: &[Partial]) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    let mut previous = false;
    for partial in partials {
        let day = partial.whole.or_else(|| date(partial.year?, partial.month?, partial.day));
        let Some(day) = day else {
            previous = false;
            continue;
        };
        match spans.last_mut() {
            Some(span) if partial.joined && previous && span.start == span.end => {
                (span.start, span.end) = (span.start.min(day), span.end.max(day));
                span.to = partial.to;
            }
            _ => spans.push(Span { start: day, end: day, from: partial.from, to: partial.to }),
        }
        previous = true;
    }
    spans
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[&str]) {
        let found: Vec<String> = find(text, &Labels::shipped())
            .iter()
            .map(|span| if span.start == span.end { span.start.to_string() } else { format!("{}/{}", span.start, span.end) })
            .collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn days_and_spans_in_six_languages() {
        for (text, expected) in [
            ("ITU-T SG12 meeting (Mexico City, 28 September 2023)", "2023-09-28"),
            ("Geneva, 9-18 September 2025", "2025-09-09/2025-09-18"),
            ("Geneva, 9\u{2011}18 September 2025", "2025-09-09/2025-09-18"),
            ("30 September - 9 October 2025", "2025-09-30/2025-10-09"),
            ("26 February-2 March 2018", "2018-02-26/2018-03-02"),
            ("30 December 2025 to 2 January 2026", "2025-12-30/2026-01-02"),
            ("September 28, 2023", "2023-09-28"),
            ("September 19-28, 2023", "2023-09-19/2023-09-28"),
            ("28th of September 2023", "2023-09-28"),
            ("Genève, 9-18 septembre 2025", "2025-09-09/2025-09-18"),
            ("du 19 au 28 septembre 2023", "2023-09-19/2023-09-28"),
            ("1er octobre 2026", "2026-10-01"),
            ("México, 28 de septiembre de 2023", "2023-09-28"),
            ("3-4 de julio de 2025", "2025-07-03/2025-07-04"),
            ("del 30 de septiembre al 9 de octubre de 2025", "2025-09-30/2025-10-09"),
            ("Женева, 19–28 сентября 2023 года", "2023-09-19/2023-09-28"),
            ("с 30 сентября по 9 октября 2025 г.", "2025-09-30/2025-10-09"),
            ("2025年7月3-4日", "2025-07-03/2025-07-04"),
            ("2025年9月30日至10月9日，日内瓦", "2025-09-30/2025-10-09"),
            ("２０２３年９月２８日", "2023-09-28"),
            ("جنيف، 14-10 ديسمبر 2018", "2018-12-10/2018-12-14"),
            ("28 سبتمبر 2023", "2023-09-28"),
            ("٢٨ سبتمبر ٢٠٢٣", "2023-09-28"),
            ("28 كانون الثاني 2023", "2023-01-28"),
            ("2023-09-28", "2023-09-28"),
            ("28.09.2023", "2023-09-28"),
            ("28/09/2023", "2023-09-28"),
        ] {
            check(text, &[expected]);
        }
    }

    #[test]
    fn what_is_no_date_is_not_found() {
        for text in [
            "N/A",
            "1/12, 2/12",
            "SG12",
            "as soon as possible",
            "28 September",
            "31 February 2026",
            "handle.itu.int/11.1002/ls",
            "3 documents, 2026",
            "99999999999999 May 2026",
            "",
        ] {
            check(text, &[]);
        }
    }

    #[test]
    fn several_dates_stay_apart() {
        check("SG12 (Geneva, 9-18 September 2025); answer by 3 May 2026", &["2025-09-09/2025-09-18", "2026-05-03"]);
        check("September 28, 2023, 3 documents", &["2023-09-28"]);
    }
}
