//! Meetings that several tests start from.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};
use chrono_tz::Tz;
use enlace::domain::language::{Language, Localized};
use enlace::domain::meeting::{LeadTimes, Meeting, MeetingAudience, MeetingKind, MeetingStatus, Part, Span};

pub fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

pub fn wall(text: &str) -> NaiveDateTime {
    text.parse().unwrap()
}

pub fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

pub fn language(code: &str) -> Language {
    code.parse().unwrap()
}

pub fn texts(pairs: &[(&str, &str)]) -> Localized<String> {
    Localized(pairs.iter().map(|(code, text)| (language(code), (*text).to_owned())).collect())
}

pub fn hours(start: &str, end: &str) -> Span {
    Span::Hours { start: wall(start), end: wall(end) }
}

/// A draft of one day in Mexico City.
pub fn draft(id: &str) -> Meeting {
    Meeting {
        id: id.parse().unwrap(),
        uid: format!("{id}@lists.example.org"),
        kind: MeetingKind::Meeting,
        groups: vec!["SG12RG-AMR".parse().unwrap()],
        withdrawn: Vec::new(),
        title: texts(&[
            ("en", "ITU-T SG12 Regional Group for the Americas: meeting"),
            ("es", "Grupo Regional de la CE 12 del UIT-T para las Américas: reunión"),
        ]),
        span: hours("2027-04-06T09:30:00", "2027-04-06T17:30:00"),
        zone: Tz::America__Mexico_City,
        venue: texts(&[("en", "Conference Centre, Room A; 2nd floor"), ("es", "Centro de Conferencias, Sala A; 2.º piso")]),
        city: "Mexico City".into(),
        country: "MX".into(),
        host: texts(&[("en", "Example Institute"), ("es", "Instituto Ejemplo")]),
        remote_url: "https://meet.example.org/amr?pwd=secret".into(),
        remote_notes: texts(&[("en", "Passcode 1234")]),
        registration_url: "https://www.example.org/register?meeting=1,2;3".into(),
        agenda_url: String::new(),
        documents_url: "https://www.example.org/documents".into(),
        contact: "tsbsg12@itu.example".into(),
        languages: vec![language("en"), language("es")],
        audience: MeetingAudience::Members,
        planned: true,
        deadlines: BTreeMap::new(),
        parts: Vec::new(),
        letter: None,
        status: MeetingStatus::Draft,
        report: None,
        sequence: 0,
        created_at: at("2026-10-01T12:00:00Z"),
        changed_at: at("2026-10-01T12:00:00Z"),
        announced_at: None,
        moved: BTreeMap::new(),
        history: Vec::new(),
        gone: Vec::new(),
    }
}

pub fn part(key: &str, title: &str, span: Span, audience: MeetingAudience) -> Part {
    Part {
        key: key.into(),
        title: texts(&[("en", title)]),
        span,
        audience,
        groups: Vec::new(),
        venue: Localized::default(),
        remote_url: String::new(),
    }
}

pub fn announced(meeting: &Meeting, when: &str) -> Meeting {
    meeting.with_status(MeetingStatus::Announced, &LeadTimes::default(), at(when), "ana@example.org").meeting
}
