//! What changed between two versions of a meeting, for the banner of a change notice and for the history.

use chrono::{DateTime, NaiveDateTime, Utc};
use serde::{Deserialize, Serialize};

use super::record::{Letter, Meeting, Part};
use super::said;
use super::span::Span;

/// A field of a meeting that readers are told about when it changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Field {
    /// Title.
    Title,
    /// Dates and hours, with the zone.
    Dates,
    /// Venue, city, country.
    Venue,
    /// Host.
    Host,
    /// How to take part from afar.
    Remote,
    /// Where to register.
    Registration,
    /// Agenda.
    Agenda,
    /// Documents.
    Documents,
    /// Deadlines.
    Deadlines,
    /// Parts: workshop, training, sessions.
    Parts,
    /// Groups that hold it.
    Groups,
    /// Who may attend.
    Audience,
    /// Languages of interpretation.
    Languages,
    /// Tentative, announced, postponed, cancelled.
    Status,
    /// Contact.
    Contact,
    /// The letter that convenes it.
    Letter,
}

impl Field {
    /// The key under which templates know it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Title => "title",
            Self::Dates => "dates",
            Self::Venue => "venue",
            Self::Host => "host",
            Self::Remote => "remote",
            Self::Registration => "registration",
            Self::Agenda => "agenda",
            Self::Documents => "documents",
            Self::Deadlines => "deadlines",
            Self::Parts => "parts",
            Self::Groups => "groups",
            Self::Audience => "audience",
            Self::Languages => "languages",
            Self::Status => "status",
            Self::Contact => "contact",
            Self::Letter => "letter",
        }
    }
}

/// One field before and after: dates as `2027-04-06`; what is in a language is marked, and [`said`](super::said::said) says it in hers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldChange {
    /// Which.
    pub field: Field,
    /// What it was; empty if there was none.
    pub before: String,
    /// What it is; empty if there is none any more.
    pub after: String,
}

/// One change of a published meeting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The sequence number that it gave the meeting (RFC 5545 section 3.8.7.4).
    pub sequence: u32,
    /// When.
    pub at: DateTime<Utc>,
    /// By whom: an address, `command line`.
    pub by: String,
    /// What.
    pub fields: Vec<FieldChange>,
}

/// The fields that differ; empty when a reader would see no difference.
pub fn differences(old: &Meeting, new: &Meeting) -> Vec<FieldChange> {
    let values = |m: &Meeting| {
        [
            (Field::Dates, format!("{}, {}", span_text(&m.span), m.zone)),
            (Field::Status, m.status.as_str().to_owned()),
            (Field::Title, said::text(&m.title)),
            (Field::Venue, join(&[said::text(&m.venue), m.city.clone(), m.country.clone()])),
            (Field::Host, said::text(&m.host)),
            (Field::Remote, join(&[m.remote_url.clone(), said::text(&m.remote_notes)])),
            (Field::Registration, m.registration_url.clone()),
            (Field::Agenda, m.agenda_url.clone()),
            (Field::Documents, m.documents_url.clone()),
            (Field::Deadlines, m.deadlines.iter().map(|(k, d)| format!("{} {d}", k.as_str())).collect::<Vec<_>>().join(", ")),
            (Field::Parts, m.parts.iter().map(part_text).collect::<Vec<_>>().join("; ")),
            (Field::Groups, m.active_groups().map(ToString::to_string).collect::<Vec<_>>().join(", ")),
            (Field::Audience, m.audience.as_str().to_owned()),
            (
                Field::Languages,
                m.languages.iter().map(|language| said::word(&format!("language-{language}"))).collect::<Vec<_>>().join(", "),
            ),
            (Field::Contact, m.contact.clone()),
            (Field::Letter, m.letter.as_ref().map(letter_text).unwrap_or_default()),
        ]
    };
    let (before, after) = (values(old), values(new));
    let pairs = before.into_iter().zip(after);
    pairs.filter(|(b, a)| b.1 != a.1).map(|((field, before), (_, after))| FieldChange { field, before, after }).collect()
}

/// A span in neutral form: `2027-04-06 09:30 - 2027-04-07 17:30`, `2027-04-06 - 2027-04-07`.
pub fn span_text(span: &Span) -> String {
    match span {
        Span::Hours { start, end } => format!("{} - {}", start.format("%Y-%m-%d %H:%M"), end.format("%Y-%m-%d %H:%M")),
        Span::Days { first, last } if first == last => first.to_string(),
        Span::Days { first, last } => format!("{first} - {last}"),
    }
}

/// The inverse of [`span_text`], for readers who are told of a change in their own language.
pub fn span_from(text: &str) -> Option<Span> {
    let (start, end) = text.split_once(" - ").unwrap_or((text, text));
    let hours = |text: &str| NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M").ok();
    match (hours(start), hours(end)) {
        (Some(start), Some(end)) => Some(Span::Hours { start, end }),
        _ => Some(Span::Days { first: start.parse().ok()?, last: end.parse().ok()? }),
    }
}

fn letter_text(letter: &Letter) -> String {
    let file = letter.file.as_ref().map(|file| format!("{} ({} octets)", file.name, file.body.octets));
    join(&[letter.reference.clone(), file.unwrap_or_default()])
}

fn part_text(part: &Part) -> String {
    let (when, audience) = (said::span(&span_text(&part.span)), said::word(part.audience.as_str()));
    join(&[said::text(&part.title), when, audience, said::text(&part.venue), part.remote_url.clone()])
}

fn join(parts: &[String]) -> String {
    parts.iter().filter(|part| !part.is_empty()).cloned().collect::<Vec<_>>().join(", ")
}
