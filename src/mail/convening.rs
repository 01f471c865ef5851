//! A meeting announced by mail: an iCalendar object, or `Label: value` lines at the top of the text.
//!
//! Both become the same [`Line`]s. A mail is only taken for one if it can hardly be anything else: its text begins with a
//! label, and names a title and a start, or the id of a meeting; or it carries a calendar object that is not an answer to
//! one. Everything else is an announcement in words. Not here: whether the values are good (`service::meeting`).

use calcard::common::timezone::Tz as CalendarZone;
use calcard::icalendar::{ICalendar, ICalendarComponent, ICalendarComponentType, ICalendarEntry, ICalendarParameterName, ICalendarValue};
use mail_parser::{Message, MimeHeaders, PartType};

use super::content;
use crate::domain::language::Language;
use crate::domain::liaison::plain::{is_colon, plain};
use crate::domain::meeting::labels::Labels;

/// Octets of the text that are looked at.
const TEXT_OCTETS: usize = 64 * 1024;
/// Largest calendar object.
const CALENDAR_OCTETS: usize = 512 * 1024;
/// Most lines.
const MOST_LINES: usize = 200;

/// One thing that the mail says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// What about, as in [`crate::domain::meeting::labels::SLOTS`].
    pub slot: &'static str,
    /// The label or property as written, for errors.
    pub label: String,
    /// In which language, where the label tells.
    pub language: Option<Language>,
    /// The value; times of a calendar object as `2027-04-06 09:30`.
    pub value: String,
}

/// A meeting as the mail has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Convening {
    /// What it says, in its order.
    pub lines: Vec<Line>,
    /// UID of the calendar object it came as.
    pub uid: Option<String>,
    /// Parts of a calendar object: title, start and end of each.
    pub parts: Vec<Vec<Line>>,
    /// The object takes the meeting back.
    pub cancels: bool,
}

/// The meeting that a message announces, if it does.
pub fn read(message: &Message<'_>, labels: &Labels) -> Option<Convening> {
    from_calendar(message).or_else(|| from_lines(&content::text_body(message, TEXT_OCTETS), labels))
}

/// From the block of labelled lines at the top of a text; it ends with a line that is none.
pub fn from_lines(text: &str, labels: &Labels) -> Option<Convening> {
    let mut lines: Vec<Line> = Vec::new();
    for written in text.lines().take(MOST_LINES) {
        let written = plain(written);
        if written.is_empty() {
            continue;
        }
        let labelled = written.split_once(is_colon).and_then(|(label, value)| {
            let (slot, language) = labels.slot(label)?;
            Some(Line { slot, label: label.trim().to_owned(), language, value: value.trim().to_owned() })
        });
        match labelled {
            Some(line) => lines.push(line),
            None if lines.is_empty() => return None,
            // A signature or a sentence: the block is over.
            None => break,
        }
    }
    let has = |slot: &str| lines.iter().any(|line| line.slot == slot && !line.value.is_empty());
    let is_one = (has("title") && has("start")) || (has("id") && lines.len() > 1);
    is_one.then(|| Convening { lines, ..Convening::default() })
}

/// From the first calendar object of a message that announces, changes or cancels something.
fn from_calendar(message: &Message<'_>) -> Option<Convening> {
    let object = message.parts.iter().find_map(|part| {
        let kind = part.content_type()?;
        let is_calendar = kind.ctype().eq_ignore_ascii_case("text") && kind.subtype().is_some_and(|s| s.eq_ignore_ascii_case("calendar"));
        match &part.body {
            PartType::Text(text) if is_calendar && text.len() <= CALENDAR_OCTETS => Some(text.to_string()),
            PartType::Binary(bytes) | PartType::InlineBinary(bytes) if is_calendar && bytes.len() <= CALENDAR_OCTETS => {
                Some(String::from_utf8_lossy(bytes).into_owned())
            }
            _ => None,
        }
    })?;
    from_object(&object)
}

/// From the text of a calendar object.
pub fn from_object(text: &str) -> Option<Convening> {
    let calendar = ICalendar::parse(text).ok()?;
    let root = calendar.components.iter().find(|c| c.component_type == ICalendarComponentType::VCalendar)?;
    let method = root.entries.iter().find(|entry| entry.name.as_str() == "METHOD").map(|entry| text_of(entry).to_ascii_uppercase());
    let cancels = match method.as_deref() {
        Some("CANCEL") => true,
        Some("PUBLISH" | "REQUEST" | "ADD") | None => false,
        // An answer to an invitation announces nothing.
        Some(_) => return None,
    };
    let events: Vec<&ICalendarComponent> =
        calendar.components.iter().filter(|c| c.component_type == ICalendarComponentType::VEvent).collect();
    let uid = |event: &ICalendarComponent| property(event, "UID").map(text_of).unwrap_or_default();
    // Ours have the meeting itself first, and its days, parts and deadlines with longer names.
    let main = events.first()?;
    let main_uid = uid(main);
    let mut convening =
        Convening { lines: lines_of(main), uid: Some(main_uid.clone()).filter(|uid| !uid.is_empty()), cancels, ..Convening::default() };
    let front = main_uid.split('@').next().unwrap_or_default();
    let own = |uid: &str| uid.strip_prefix(front).is_some_and(|rest| rest.starts_with("-day-") || rest.starts_with("-deadline-"));
    for event in events.iter().skip(1) {
        let name = uid(event);
        if name != main_uid && !own(&name) && text_of_status(event) != "CANCELLED" {
            convening.parts.push(lines_of(event));
        }
    }
    Some(convening)
}

fn property<'c>(event: &'c ICalendarComponent, name: &str) -> Option<&'c ICalendarEntry> {
    event.entries.iter().find(|entry| entry.name.as_str() == name)
}

fn text_of_status(event: &ICalendarComponent) -> String {
    property(event, "STATUS").map(|entry| text_of(entry).to_ascii_uppercase()).unwrap_or_default()
}

fn lines_of(event: &ICalendarComponent) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut push = |slot: &'static str, entry: &ICalendarEntry, value: String| {
        let language = entry.params.iter().find(|p| p.name == ICalendarParameterName::Language);
        let language = language.and_then(|p| p.value.as_text()).and_then(|tag| tag.get(..2)).and_then(|tag| tag.parse().ok());
        if !value.is_empty() {
            lines.push(Line { slot, label: entry.name.as_str().to_owned(), language, value });
        }
    };
    for (name, slot) in [("SUMMARY", "title"), ("LOCATION", "venue"), ("URL", "documents"), ("CONFERENCE", "remote")] {
        if let Some(entry) = property(event, name) {
            push(slot, entry, plain(&text_of(entry)));
        }
    }
    let mut zone = None;
    for (name, slot) in [("DTSTART", "start"), ("DTEND", "end")] {
        if let Some(entry) = property(event, name) {
            let (value, named) = moment(entry, name == "DTEND");
            zone = zone.or(named);
            push(slot, entry, value);
        }
    }
    if let (Some(zone), Some(entry)) = (zone, property(event, "DTSTART")) {
        push("timezone", entry, zone);
    }
    if text_of_status(event) == "TENTATIVE"
        && let Some(entry) = property(event, "STATUS")
    {
        push("status", entry, "tentative".into());
    }
    lines
}

/// A time as `2027-04-06 09:30` with its zone; a whole day as `2027-04-06`, the exclusive end of whole days as the day before.
fn moment(entry: &ICalendarEntry, is_end: bool) -> (String, Option<String>) {
    let Some(ICalendarValue::PartialDateTime(at)) = entry.values.first() else { return (String::new(), None) };
    let (Some(year), Some(month), Some(day)) = (at.year, at.month, at.day) else { return (String::new(), None) };
    let Some(date) = chrono::NaiveDate::from_ymd_opt(year.into(), month.into(), day.into()) else {
        return (format!("{year}-{month:02}-{day:02}"), None);
    };
    let Some(hour) = at.hour else {
        let last = if is_end { date.pred_opt().unwrap_or(date) } else { date };
        return (last.to_string(), None);
    };
    let written = entry.params.iter().find(|p| p.name == ICalendarParameterName::Tzid).and_then(|p| p.value.as_text());
    let zone = match written {
        // Names such as "Romance Standard Time" are known to the reader; one that is not stays, so that the error names it.
        Some(name) => Some(match name.parse::<CalendarZone>() {
            Ok(CalendarZone::Tz(zone)) => zone.name().to_owned(),
            _ => name.to_owned(),
        }),
        None if at.tz_hour.is_some() => Some("UTC".to_owned()),
        None => None,
    };
    (format!("{date} {hour:02}:{:02}", at.minute.unwrap_or(0)), zone)
}

fn text_of(entry: &ICalendarEntry) -> String {
    entry.values.first().and_then(ICalendarValue::as_text).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slots(convening: &Convening) -> Vec<(&str, &str)> {
        convening.lines.iter().map(|line| (line.slot, line.value.as_str())).collect()
    }

    #[test]
    fn labelled_lines_of_two_languages_are_one_meeting() {
        let text = "Meeting: Meeting of SG12RG-AMR\nReunión: Reunión del SG12RG-AMR\nStart: 2027-04-06 09:30\n\nTime zone: America/Mexico_City\n\
                    Best regards,\nHost: nobody\n";
        let read = from_lines(text, &Labels::shipped()).unwrap();
        assert_eq!(
            slots(&read),
            [
                ("title", "Meeting of SG12RG-AMR"),
                ("title", "Reunión del SG12RG-AMR"),
                ("start", "2027-04-06 09:30"),
                ("timezone", "America/Mexico_City")
            ]
        );
        assert_eq!(read.lines[1].language.unwrap().as_str(), "es");
    }

    #[test]
    fn an_announcement_in_words_is_none() {
        let labels = Labels::shipped();
        for text in [
            "",
            "Dear all,\nTitle: x\nStart: 2027-04-06\n",
            "Title: only a title\nand prose",
            "Contact: ana@example.org\nDocuments: https://x.example\n",
            "Id: sg12rg-amr-2027\n",
            "The meeting: it begins soon.\nStart: now",
        ] {
            assert_eq!(from_lines(text, &labels), None, "{text}");
        }
    }

    #[test]
    fn a_calendar_object_is_read_with_its_zone_and_parts() {
        let object = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nMETHOD:REQUEST\r\nBEGIN:VEVENT\r\nUID:abc@x.example\r\nSUMMARY;LANGUAGE=es-MX:Reunión\r\n\
             DTSTART;TZID=Romance Standard Time:20270406T093000\r\nDTEND;TZID=Romance Standard Time:20270407T173000\r\nLOCATION:Sala A\r\n\
             END:VEVENT\r\nBEGIN:VEVENT\r\nUID:def@x.example\r\nSUMMARY:Taller\r\nDTSTART;VALUE=DATE:20270405\r\nDTEND;VALUE=DATE:20270406\r\n\
             END:VEVENT\r\nEND:VCALENDAR\r\n";
        let read = from_object(object).unwrap();
        assert_eq!(
            slots(&read),
            [
                ("title", "Reunión"),
                ("venue", "Sala A"),
                ("start", "2027-04-06 09:30"),
                ("end", "2027-04-07 17:30"),
                ("timezone", "Europe/Paris")
            ]
        );
        assert_eq!((read.uid.as_deref(), read.cancels, read.parts.len()), (Some("abc@x.example"), false, 1));
        assert_eq!(read.parts[0][2].value, "2027-04-05", "the end of whole days is exclusive");
        assert!(from_object(&object.replace("METHOD:REQUEST", "METHOD:REPLY")).is_none());
        assert!(from_object(&object.replace("METHOD:REQUEST", "METHOD:CANCEL")).unwrap().cancels);
        assert!(from_object("BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n").is_none());
    }

    proptest::proptest! {
        #[test]
        fn rubbish_is_read_without_a_panic(text in ".{0,400}") {
            let _ = (from_lines(&text, &Labels::shipped()), from_object(&text), from_object(&format!("BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\n{text}")));
        }
    }
}
