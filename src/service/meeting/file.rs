//! The file in which people write meetings, read whole or refused: file, line, remedy.
//!
//! Pure: text and known groups in, meetings and warnings out. Nothing is written before all of the file is right.

use std::collections::BTreeMap;
use std::path::Path;

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, Utc};
use chrono_tz::Tz;
use serde::Deserialize;
use toml::Spanned;
use toml::value::Datetime;

use crate::config::ConfigError;
use crate::domain::group::{Group, GroupCode, GroupKind};
use crate::domain::language::{Language, Localized};
use crate::domain::meeting::civil;
use crate::domain::meeting::{
    DeadlineKind, Letter, MAX_PARTS, Meeting, MeetingAudience, MeetingId, MeetingKind, MeetingStatus, Part, Report, Span,
};
use crate::service::GroupTable;

/// Largest file in octets.
const MOST_OCTETS: usize = 4 << 20;
/// Most meetings of one file.
const MOST_MEETINGS: usize = 2000;
/// Longest text in characters.
const MOST_CHARACTERS: usize = 2000;
/// A span longer than this is a slip of the year.
const MOST_DAYS: i64 = 92;

/// What a file says.
#[derive(Debug, Default)]
pub struct Reading {
    /// The meetings in the file's order, as if new.
    pub meetings: Vec<Meeting>,
    /// What is doubtful and hinders nothing.
    pub warnings: Vec<String>,
}

/// Where the file comes from and what it may name.
pub struct Known<'a> {
    /// Only named in errors.
    pub file: &'a Path,
    /// The groups.
    pub groups: &'a GroupTable,
    /// Domain of UIDs.
    pub domain: &'a str,
    /// When it is read.
    pub now: DateTime<Utc>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    #[serde(default)]
    meeting: Vec<Spanned<RawMeeting>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawMeeting {
    id: Spanned<String>,
    #[serde(default)]
    kind: MeetingKind,
    groups: Spanned<Vec<Spanned<String>>>,
    title: Spanned<Localized<String>>,
    start: Spanned<Datetime>,
    end: Option<Spanned<Datetime>>,
    timezone: Option<Spanned<String>>,
    #[serde(default)]
    venue: Localized<String>,
    #[serde(default)]
    city: String,
    country: Option<Spanned<String>>,
    #[serde(default)]
    host: Localized<String>,
    remote_url: Option<Spanned<String>>,
    #[serde(default)]
    remote_notes: Localized<String>,
    registration_url: Option<Spanned<String>>,
    agenda_url: Option<Spanned<String>>,
    documents_url: Option<Spanned<String>>,
    #[serde(default)]
    contact: String,
    #[serde(default)]
    languages: Vec<Language>,
    #[serde(default)]
    audience: MeetingAudience,
    #[serde(default = "yes")]
    planned: bool,
    #[serde(default)]
    status: MeetingStatus,
    #[serde(default)]
    deadlines: BTreeMap<DeadlineKind, Spanned<Datetime>>,
    #[serde(default)]
    part: Vec<Spanned<RawPart>>,
    letter: Option<RawLetter>,
    report: Option<RawReport>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPart {
    id: Option<Spanned<String>>,
    title: Localized<String>,
    start: Spanned<Datetime>,
    end: Option<Spanned<Datetime>>,
    #[serde(default)]
    audience: MeetingAudience,
    #[serde(default)]
    groups: Vec<Spanned<String>>,
    #[serde(default)]
    venue: Localized<String>,
    remote_url: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLetter {
    reference: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawReport {
    reference: String,
    url: Option<Spanned<String>>,
    attendance: Option<u32>,
}

fn yes() -> bool {
    true
}

/// Reads a file of `[[meeting]]` tables.
///
/// # Errors
/// The first thing that is wrong, with file, line and remedy.
pub fn read(text: &str, known: &Known<'_>) -> Result<Reading, ConfigError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let reader = Reader { text, known };
    if text.len() > MOST_OCTETS {
        return Err(reader.wrong(0, format!("the file has more than {MOST_OCTETS} octets"), "split it"));
    }
    let raw: RawFile = toml::from_str(text).map_err(|error| {
        let mistake = ConfigError::from_toml(&error, text, known.file);
        let mut words = mistake.text.split(|c: char| !c.is_alphanumeric());
        let dated = mistake.remedy.is_empty() && words.any(|word| matches!(word, "date" | "datetime" | "Datetime"));
        if dated { ConfigError { remedy: "write a day that exists, such as 2027-06-30".into(), ..mistake } } else { mistake }
    })?;
    if raw.meeting.is_empty() {
        return Err(reader.wrong(0, "the file has no meeting".into(), "write a table [[meeting]]"));
    }
    if raw.meeting.len() > MOST_MEETINGS {
        return Err(reader.wrong(0, format!("the file has more than {MOST_MEETINGS} meetings"), "split it"));
    }
    let mut reading = Reading::default();
    let mut ids: BTreeMap<MeetingId, usize> = BTreeMap::new();
    for spanned in raw.meeting {
        let raw = spanned.into_inner();
        let at = raw.id.span().start;
        let meeting = reader.meeting(raw, &mut reading.warnings)?;
        if let Some(first) = ids.insert(meeting.id.clone(), at) {
            let text = format!("the id \"{}\" is used twice, first in line {}", meeting.id, reader.line(first));
            return Err(reader.wrong(at, text, "give each meeting its own id"));
        }
        reading.meetings.push(meeting);
    }
    Ok(reading)
}

struct Reader<'a> {
    text: &'a str,
    known: &'a Known<'a>,
}

impl Reader<'_> {
    fn meeting(&self, raw: RawMeeting, warnings: &mut Vec<String>) -> Result<Meeting, ConfigError> {
        let id: MeetingId = raw.id.get_ref().parse().map_err(|error: String| self.wrong(raw.id.span().start, error, "write another id"))?;
        let groups = raw.groups.get_ref().iter().map(|code| self.group(code)).collect::<Result<Vec<_>, _>>()?;
        let Some(lead) = groups.first() else {
            return Err(self.wrong(
                raw.groups.span().start,
                "no group holds the meeting".into(),
                "name at least one, the leading one first",
            ));
        };
        self.no_group_twice(&raw.groups)?;
        if raw.title.get_ref().0.values().all(|title| tidy(title).is_empty()) {
            return Err(self.wrong(raw.title.span().start, "the title is empty".into(), "write title = { en = \"…\" }"));
        }
        // A key without a value says as little as no key: a form that was only begun has some.
        let zone = raw.timezone.as_ref().filter(|name| !name.get_ref().trim().is_empty());
        let zone = zone.map_or(Ok(lead.timezone), |name| self.zone(name))?;
        let span = self.span(&raw.start, raw.end.as_ref())?;
        let deadlines = self.deadlines(&raw.deadlines, &span)?;
        let parts = self.parts(raw.part)?;
        let country = match &raw.country {
            Some(code) if code.get_ref().len() == 2 && code.get_ref().bytes().all(|b| b.is_ascii_alphabetic()) => {
                code.get_ref().to_ascii_uppercase()
            }
            Some(code) if !code.get_ref().trim().is_empty() => {
                let text = format!("\"{}\" is not a country code", code.get_ref().escape_debug());
                return Err(self.wrong(code.span().start, text, "write two letters of ISO 3166, such as \"MX\""));
            }
            _ => String::new(),
        };
        let report = raw.report.map(|report| {
            let url = self.url(report.url.as_ref())?;
            Ok::<_, ConfigError>(Report {
                reference: tidy(&report.reference),
                url,
                file: None,
                at: self.known.now,
                attendance: report.attendance,
            })
        });
        let meeting = Meeting {
            uid: format!("{id}@{}", self.known.domain),
            id,
            kind: raw.kind,
            groups: groups.iter().map(|group| group.code.clone()).collect(),
            withdrawn: Vec::new(),
            title: tidied(raw.title.into_inner()),
            span,
            zone,
            venue: tidied(raw.venue),
            city: tidy(&raw.city),
            country,
            host: tidied(raw.host),
            remote_url: self.url(raw.remote_url.as_ref())?,
            remote_notes: tidied(raw.remote_notes),
            registration_url: self.url(raw.registration_url.as_ref())?,
            agenda_url: self.url(raw.agenda_url.as_ref())?,
            documents_url: self.url(raw.documents_url.as_ref())?,
            contact: tidy(&raw.contact),
            languages: raw.languages,
            audience: raw.audience,
            planned: raw.planned,
            deadlines,
            parts,
            letter: raw.letter.map(|letter| Letter { reference: tidy(&letter.reference), file: None }),
            status: match raw.status {
                MeetingStatus::Updated => MeetingStatus::Announced,
                MeetingStatus::Reported => MeetingStatus::Held,
                status => status,
            },
            report: report.transpose()?,
            sequence: 0,
            created_at: self.known.now,
            changed_at: self.known.now,
            announced_at: None,
            moved: BTreeMap::new(),
            history: Vec::new(),
            gone: Vec::new(),
        };
        if meeting.remote_url.is_empty() && groups.iter().any(|group| group.kind == GroupKind::Regional) {
            warnings.push(format!("{}: no remote_url, and meetings of regional groups are to have remote participation", meeting.id));
        }
        for (language, _) in meeting.title.0.iter().chain(&meeting.venue.0).chain(&meeting.host.0) {
            let read = language.itu_letter().is_some() || groups.iter().any(|group| group.languages.contains(language));
            let warning = format!("{}: a text is in \"{language}\", which no reader has; mend the language or leave it out", meeting.id);
            if !read && !warnings.contains(&warning) {
                warnings.push(warning);
            }
        }
        for span in std::iter::once(&meeting.span).chain(meeting.parts.iter().map(|part| &part.span)) {
            let Span::Hours { start, end } = span else { continue };
            for hour in [start, end].into_iter().filter(|hour| matches!(civil::map(meeting.zone, **hour), civil::Mapping::Gap { .. })) {
                let hour = hour.format("%Y-%m-%d %H:%M");
                warnings.push(format!("{}: there is no {hour} in {}, where the clocks go forward then", meeting.id, meeting.zone));
            }
        }
        Ok(meeting.created(self.known.now))
    }

    fn parts(&self, raw: Vec<Spanned<RawPart>>) -> Result<Vec<Part>, ConfigError> {
        if raw.len() > MAX_PARTS {
            return Err(self.wrong(raw[MAX_PARTS].span().start, format!("more than {MAX_PARTS} parts"), "make several meetings of it"));
        }
        let mut parts: Vec<Part> = Vec::new();
        for (number, part) in raw.into_iter().enumerate() {
            let place = part.span().start;
            let part = part.into_inner();
            let key: MeetingId = match &part.id {
                Some(id) => id.get_ref().parse().map_err(|error: String| self.wrong(id.span().start, error, "write another id"))?,
                None => (number + 1).to_string().parse().map_err(|error: String| self.wrong(place, error, ""))?,
            };
            if parts.iter().any(|other| other.key == key.as_str()) {
                return Err(self.wrong(place, format!("the part \"{key}\" is there twice"), "give each part its own id"));
            }
            parts.push(Part {
                key: key.into(),
                title: tidied(part.title),
                span: self.span(&part.start, part.end.as_ref())?,
                audience: part.audience,
                groups: part.groups.iter().map(|code| self.group(code).map(|g| g.code.clone())).collect::<Result<_, _>>()?,
                venue: tidied(part.venue),
                remote_url: self.url(part.remote_url.as_ref())?,
            });
        }
        Ok(parts)
    }

    fn deadlines(
        &self,
        raw: &BTreeMap<DeadlineKind, Spanned<Datetime>>,
        span: &Span,
    ) -> Result<BTreeMap<DeadlineKind, NaiveDate>, ConfigError> {
        let mut deadlines = BTreeMap::new();
        for (kind, date) in raw {
            let (day, time) = self.moment(date)?;
            if time.is_some() {
                let text = format!("the {} deadline has an hour, and deadlines end at midnight", kind.as_str());
                return Err(self.wrong(date.span().start, text, &format!("write the day alone, {day}")));
            }
            if day > span.last_day() {
                let text = format!("the {} deadline {day} is after the meeting", kind.as_str());
                return Err(self.wrong(date.span().start, text, "write a day before it"));
            }
            deadlines.insert(*kind, day);
        }
        Ok(deadlines)
    }

    fn span(&self, start: &Spanned<Datetime>, end: Option<&Spanned<Datetime>>) -> Result<Span, ConfigError> {
        let (first, opens) = self.moment(start)?;
        let (last, closes, place) = match end {
            Some(end) => {
                let (day, time) = self.moment(end)?;
                (day, time, end.span().start)
            }
            None => (first, None, start.span().start),
        };
        let span = match (opens, closes) {
            (None, None) if first <= last => Span::Days { first, last },
            (Some(opens), Some(closes)) if first.and_time(opens) < last.and_time(closes) => {
                Span::Hours { start: first.and_time(opens), end: last.and_time(closes) }
            }
            (Some(_), None) | (None, Some(_)) => {
                return Err(self.wrong(place, "start has an hour and end has none, or the other way round".into(), "write both alike"));
            }
            _ => {
                let form =
                    |day: NaiveDate, time: Option<NaiveTime>| time.map_or(day.to_string(), |t| NaiveDateTime::new(day, t).to_string());
                let text = format!("it ends ({}) before it starts ({})", form(last, closes), form(first, opens));
                return Err(self.wrong(place, text, "mend start or end"));
            }
        };
        if (last - first).num_days() > MOST_DAYS {
            return Err(self.wrong(place, format!("it lasts more than {MOST_DAYS} days"), "mend start or end"));
        }
        Ok(span)
    }

    fn moment(&self, value: &Spanned<Datetime>) -> Result<(NaiveDate, Option<NaiveTime>), ConfigError> {
        let place = value.span().start;
        let value = value.get_ref();
        let shown = value.to_string();
        if value.offset.is_some() {
            let text = format!("{shown} has an offset");
            return Err(self.wrong(place, text, "write the local time, such as 2027-04-06T09:30:00, and the zone in timezone"));
        }
        let date = value.date.and_then(|d| NaiveDate::from_ymd_opt(d.year.into(), d.month.into(), d.day.into()));
        let Some(date) = date else { return Err(self.wrong(place, format!("{shown} is no day"), "write a day such as 2027-04-06")) };
        let time = match value.time {
            None => None,
            Some(t) => match NaiveTime::from_hms_opt(t.hour.into(), t.minute.into(), t.second.unwrap_or(0).into()) {
                Some(time) => Some(time),
                None => return Err(self.wrong(place, format!("{shown} is no time"), "write a time such as 09:30:00")),
            },
        };
        Ok((date, time))
    }

    fn group(&self, code: &Spanned<String>) -> Result<&Group, ConfigError> {
        let place = code.span().start;
        let parsed: GroupCode = code.get_ref().parse().map_err(|error: String| self.wrong(place, error, ""))?;
        self.known.groups.get(&parsed).map(AsRef::as_ref).ok_or_else(|| {
            let codes: Vec<String> = self.known.groups.iter().map(|group| group.code.to_string()).collect();
            let near =
                codes.iter().max_by(|a, b| strsim::jaro_winkler(a, parsed.as_str()).total_cmp(&strsim::jaro_winkler(b, parsed.as_str())));
            let remedy = near.map_or_else(|| "apply the groups first".into(), |near| format!("the nearest known group is {near}"));
            self.wrong(place, format!("there is no group {parsed}"), &remedy)
        })
    }

    fn no_group_twice(&self, groups: &Spanned<Vec<Spanned<String>>>) -> Result<(), ConfigError> {
        let groups = groups.get_ref();
        for (index, code) in groups.iter().enumerate() {
            if groups[..index].iter().any(|other| other.get_ref().eq_ignore_ascii_case(code.get_ref())) {
                return Err(self.wrong(code.span().start, format!("{} is there twice", code.get_ref()), "name each group once"));
            }
        }
        Ok(())
    }

    fn zone(&self, name: &Spanned<String>) -> Result<Tz, ConfigError> {
        name.get_ref().parse().map_err(|_| {
            let text = format!("there is no time zone \"{}\"", name.get_ref().escape_debug());
            let word = name.get_ref().to_lowercase();
            let score = |zone: &Tz| strsim::jaro_winkler(&word, &zone.name().to_lowercase());
            let near = chrono_tz::TZ_VARIANTS.iter().max_by(|a, b| score(a).total_cmp(&score(b)));
            let near = near.map_or("Europe/Zurich", |zone| zone.name());
            self.wrong(name.span().start, text, &format!("the nearest known zone is \"{near}\""))
        })
    }

    fn url(&self, url: Option<&Spanned<String>>) -> Result<String, ConfigError> {
        let Some(spanned) = url else { return Ok(String::new()) };
        let url = spanned.get_ref().trim();
        let fits = url.len() <= MOST_CHARACTERS && !url.chars().any(|c| c.is_control() || c.is_whitespace());
        if url.is_empty() || (fits && (url.starts_with("https://") || url.starts_with("http://"))) {
            return Ok(url.to_owned());
        }
        let text = format!("\"{}\" is not a web address", url.escape_debug());
        Err(self.wrong(spanned.span().start, text, "write it with https:// and without spaces"))
    }

    fn line(&self, octet: usize) -> usize {
        self.text.as_bytes().iter().take(octet).filter(|b| **b == b'\n').count() + 1
    }

    fn wrong(&self, octet: usize, text: String, remedy: &str) -> ConfigError {
        ConfigError::new(text, remedy).at(format!("{}, line {}", self.known.file.display(), self.line(octet)))
    }
}

/// One line without controls, of bounded length.
fn tidy(text: &str) -> String {
    let spaced = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MOST_CHARACTERS).collect::<String>();
    spaced.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn tidied(text: Localized<String>) -> Localized<String> {
    Localized(text.0.into_iter().map(|(language, text)| (language, tidy(&text))).filter(|(_, text)| !text.is_empty()).collect())
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
