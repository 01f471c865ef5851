//! From the lines of a mail to the file form of a meeting, so that a mail is checked by the very rules of a file.
//!
//! Each line becomes one line of TOML, and the label of each is kept: what is wrong is told with the label that the
//! writer used. Pure.

use chrono::{NaiveDate, NaiveTime};

use crate::domain::language::Language;
use crate::domain::liaison::labels::Labels as StatementLabels;
use crate::domain::meeting::labels::Labels;
use crate::domain::meeting::{Meeting, Span};
use crate::mail::convening::{Convening, Line};
use crate::mail::statement::dates;

/// The file form, with the label behind each of its lines; lines that nobody wrote have none.
#[derive(Debug, Default)]
pub(super) struct Wording {
    /// One `[[meeting]]`.
    pub text: String,
    /// By line.
    pub labels: Vec<Option<String>>,
}

/// What a mail leaves unsaid.
pub(super) struct Unsaid<'a> {
    /// Id of the meeting.
    pub id: &'a str,
    /// The record that is changed; `None` for a new meeting.
    pub known: Option<&'a Meeting>,
    /// Codes of the groups that were written to, the leading one first.
    pub groups: &'a [String],
    /// Language of texts whose label belongs to several.
    pub language: Language,
}

impl Wording {
    fn push(&mut self, label: Option<&str>, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
        self.labels.push(label.map(ToOwned::to_owned));
    }

    /// The label behind a place such as `the mail, line 3`.
    pub fn label_at(&self, place: &str) -> Option<&str> {
        let number: usize = place.rsplit_once(' ')?.1.parse().ok()?;
        self.labels.get(number.checked_sub(1)?)?.as_deref()
    }

    /// The file form of `convening`.
    ///
    /// # Errors
    /// A line that says something twice or whose value is not understood, with its label.
    pub fn of(convening: &Convening, unsaid: &Unsaid<'_>, labels: &Labels) -> Result<Self, String> {
        let mut wording = Self::default();
        wording.push(None, "[[meeting]]");
        wording.push(None, &format!("id = {}", quoted(unsaid.id)));
        wording.lines(&convening.lines, unsaid, labels)?;
        let said = |slot: &str| convening.lines.iter().any(|line| line.slot == slot);
        if !said("groups") {
            let groups = unsaid.known.map_or_else(|| unsaid.groups.to_vec(), |m| m.groups.iter().map(ToString::to_string).collect());
            wording.push(None, &format!("groups = {}", list(groups.iter().map(String::as_str))));
        }
        match unsaid.known {
            None if !said("status") => wording.push(None, "status = \"announced\""),
            Some(known) => wording.known(known, &said),
            None => {}
        }
        for part in &convening.parts {
            wording.push(None, "[[meeting.part]]");
            wording.lines(part.iter().filter(|line| matches!(line.slot, "title" | "start" | "end" | "venue")), unsaid, labels)?;
        }
        Ok(wording)
    }

    /// What a file must have and the mail does not repeat.
    fn known(&mut self, known: &Meeting, said: &dyn Fn(&str) -> bool) {
        if !said("title") {
            for (language, title) in &known.title.0 {
                self.push(None, &format!("title.{language} = {}", quoted(title)));
            }
        }
        if !said("timezone") {
            self.push(None, &format!("timezone = {}", quoted(known.zone.name())));
        }
        if !said("start") && !said("end") {
            let (start, end) = match known.span {
                Span::Hours { start, end } => (moment_text(start.date(), Some(start.time())), moment_text(end.date(), Some(end.time()))),
                Span::Days { first, last } => (moment_text(first, None), moment_text(last, None)),
            };
            self.push(None, &format!("start = {start}"));
            self.push(None, &format!("end = {end}"));
        }
    }

    fn lines<'l>(&mut self, lines: impl IntoIterator<Item = &'l Line>, unsaid: &Unsaid<'_>, labels: &Labels) -> Result<(), String> {
        let mut seen: Vec<String> = Vec::new();
        let mut opening = None;
        let mut pending_end = None;
        for line in lines {
            if line.slot == "id" || line.value.is_empty() {
                continue;
            }
            let language = line.language.unwrap_or(unsaid.language);
            if line.slot == "end" {
                // An hour alone belongs to the day of the start, which may stand below.
                pending_end = Some(line);
                continue;
            }
            let (key, value) = match line.slot {
                "start" => {
                    let (first, last, time) = moment(&line.value).ok_or_else(|| not_understood(line, "2027-04-06 09:30"))?;
                    opening = Some(first);
                    if last != first {
                        self.push(Some(&line.label), &format!("end = {}", moment_text(last, None)));
                    }
                    ("start".to_owned(), moment_text(first, time))
                }
                _ => entry(line, language, labels)?,
            };
            if seen.contains(&key) {
                return Err(format!("{}: it is said twice; say it once", line.label));
            }
            self.push(Some(&line.label), &format!("{key} = {value}"));
            seen.push(key);
        }
        if let Some(line) = pending_end {
            let (last, time) = match (moment(&line.value), time(&line.value), opening) {
                (Some((_, last, time)), ..) => (last, time),
                (None, Some((hour, ..)), Some(day)) => (day, Some(hour)),
                _ => return Err(not_understood(line, "2027-04-07 17:30")),
            };
            self.push(Some(&line.label), &format!("end = {}", moment_text(last, time)));
        }
        Ok(())
    }
}

/// Key and value of a line in the file form.
fn entry(line: &Line, language: Language, labels: &Labels) -> Result<(String, String), String> {
    let plain = |key: &str| (key.to_owned(), quoted(&line.value));
    let chosen = || labels.value(&line.value).unwrap_or(&line.value).to_owned();
    Ok(match line.slot {
        "title" | "venue" | "host" => (format!("{}.{language}", line.slot), quoted(&line.value)),
        "remote-notes" => (format!("remote_notes.{language}"), quoted(&line.value)),
        "groups" => ("groups".into(), list(items(&line.value))),
        "languages" => ("languages".into(), list(items(&line.value))),
        "timezone" => plain("timezone"),
        "city" | "contact" => plain(line.slot),
        "country" => plain("country"),
        "remote" => plain("remote_url"),
        "registration-url" => plain("registration_url"),
        // The deadline where a date is given, the page where an address is.
        "registration" if line.value.starts_with("http") => plain("registration_url"),
        "agenda" => plain("agenda_url"),
        "documents" => plain("documents_url"),
        "audience" | "status" => (line.slot.to_owned(), quoted(&chosen())),
        "planned" => match chosen().as_str() {
            "yes" => ("planned".into(), "true".into()),
            "no" => ("planned".into(), "false".into()),
            _ => return Err(not_understood(line, "yes or no")),
        },
        "letter" => ("letter.reference".into(), quoted(&line.value)),
        deadline => {
            let (day, ..) = moment(&line.value).ok_or_else(|| not_understood(line, "2027-03-25"))?;
            (format!("deadlines.{deadline}"), day.to_string())
        }
    })
}

fn not_understood(line: &Line, example: &str) -> String {
    format!("{}: \"{}\" is not understood; write it like {example}", line.label, line.value.chars().take(80).collect::<String>())
}

fn items(value: &str) -> impl Iterator<Item = &str> {
    value.split([',', ';', '،', '、']).map(str::trim).filter(|item| !item.is_empty())
}

fn list<'t>(items: impl Iterator<Item = &'t str>) -> String {
    format!("[{}]", items.map(quoted).collect::<Vec<_>>().join(", "))
}

/// A basic string of TOML; its escapes are those of JSON.
fn quoted(text: &str) -> String {
    serde_json::Value::String(text.to_owned()).to_string().replace('\u{7f}', "\\u007f")
}

fn moment_text(day: NaiveDate, time: Option<NaiveTime>) -> String {
    time.map_or_else(|| day.to_string(), |time| format!("{day}T{}", time.format("%H:%M:%S")))
}

/// First day, last day and hour that a text names, in figures or in the words of any language.
fn moment(text: &str) -> Option<(NaiveDate, NaiveDate, Option<NaiveTime>)> {
    let (without, hour) = match time(text) {
        Some((hour, from, to)) => (format!("{} {}", &text[..from], &text[to..]), Some(hour)),
        None => (text.to_owned(), None),
    };
    let without = without.trim().trim_end_matches(['T', 't', ',']).to_owned();
    // The words around an hour say nothing of the day.
    let without = ["hours", "hrs", "horas", "a las", "heures", "at ", " à", "الساعة", "час."]
        .iter()
        .fold(without, |text, word| text.replace(word, " "));
    let labels = STATEMENTS.get_or_init(StatementLabels::shipped);
    match &dates::find(&without, labels)[..] {
        [only] => Some((only.start, only.end, hour)),
        _ => None,
    }
}

static STATEMENTS: std::sync::OnceLock<StatementLabels> = std::sync::OnceLock::new();

/// An hour in a text and the octets it takes: `09:30`, `09:30:00`, `09 h 30`, `0930 hours`.
fn time(text: &str) -> Option<(NaiveTime, usize, usize)> {
    let digits = |part: &str| !part.is_empty() && part.len() <= 2 && part.bytes().all(|b| b.is_ascii_digit());
    for (at, mark) in text.char_indices().filter(|(_, c)| matches!(c, ':' | 'h')) {
        let before = text[..at].trim_end();
        let from = before.len() - before.bytes().rev().take_while(u8::is_ascii_digit).count().min(2);
        let rest = &text[at + 1..];
        let after = rest.trim_start();
        let to = at + 1 + (rest.len() - after.len()) + after.bytes().take_while(u8::is_ascii_digit).count();
        let (hour, minute) = (&before[from..], text[at + 1..to].trim());
        if mark == ':' && (before.len() != at || rest.len() != after.len()) {
            continue;
        }
        if digits(hour) && digits(minute) {
            let time = NaiveTime::from_hms_opt(hour.parse().ok()?, minute.parse().ok()?, 0)?;
            let seconds = text[to..].strip_prefix(':').filter(|rest| rest.bytes().take(2).filter(u8::is_ascii_digit).count() == 2);
            return Some((time, from, to + if seconds.is_some() { 3 } else { 0 }));
        }
    }
    let at = ["hours", "hrs", "hours"].iter().find_map(|word| text.find(word))?;
    let before = text[..at].trim_end();
    let from = before.len().checked_sub(4)?;
    let figures = before.get(from..).filter(|figures| figures.bytes().all(|b| b.is_ascii_digit()))?;
    let time = NaiveTime::from_hms_opt(figures[..2].parse().ok()?, figures[2..].parse().ok()?, 0)?;
    Some((time, from, before.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_as_letters_write_them() {
        for (text, expected) in [
            ("2027-04-06 09:30", "2027-04-06T09:30:00"),
            ("2027-04-06T09:30:00", "2027-04-06T09:30:00"),
            ("6 April 2027, 0930 hours", "2027-04-06T09:30:00"),
            ("6 de abril de 2027, a las 09:30 horas", "2027-04-06T09:30:00"),
            ("6 avril 2027, 09 h 30", "2027-04-06T09:30:00"),
            ("6 апреля 2027 года, 09:30", "2027-04-06T09:30:00"),
            ("2027年4月6日 09:30", "2027-04-06T09:30:00"),
            ("2027-04-06", "2027-04-06"),
        ] {
            let (first, last, hour) = moment(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!((moment_text(first, hour), first), (expected.to_owned(), last), "{text}");
        }
        assert_eq!(moment("6-7 April 2027").map(|(first, last, _)| (last - first).num_days()), Some(1));
        for text in ["soon", "31 June 2027", "25:90", "0930 hours", ""] {
            assert_eq!(moment(text), None, "{text}");
        }
    }
}
