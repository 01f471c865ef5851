//! A meeting with a title of somebody else's choice.

use std::collections::BTreeMap;

use enlace::domain::language::Localized;
use enlace::domain::meeting::{Meeting, MeetingAudience, MeetingKind, MeetingStatus, Span};

pub fn draft(title: &str) -> Meeting {
    let at = "2026-10-01T12:00:00Z".parse().unwrap();
    let text = |text: &str| Localized([("en".parse().unwrap(), text.to_owned())].into());
    Meeting {
        id: "sg12-2027".parse().unwrap(),
        uid: "sg12-2027@lists.example.org".into(),
        kind: MeetingKind::Meeting,
        groups: vec!["SG12".parse().unwrap()],
        withdrawn: Vec::new(),
        title: text(title),
        span: Span::Hours { start: "2027-04-06T09:30:00".parse().unwrap(), end: "2027-04-06T17:30:00".parse().unwrap() },
        zone: chrono_tz::Tz::America__Mexico_City,
        venue: text(title),
        city: String::new(),
        country: "MX".into(),
        host: text(title),
        remote_url: "https://meet.example.org/x".into(),
        remote_notes: text(title),
        registration_url: String::new(),
        agenda_url: String::new(),
        documents_url: String::new(),
        contact: "tsb@itu.example".into(),
        languages: vec!["en".parse().unwrap()],
        audience: MeetingAudience::Members,
        planned: true,
        deadlines: BTreeMap::new(),
        parts: Vec::new(),
        letter: None,
        status: MeetingStatus::Announced,
        report: None,
        sequence: 0,
        created_at: at,
        changed_at: at,
        announced_at: Some(at),
        moved: BTreeMap::new(),
        history: Vec::new(),
        gone: Vec::new(),
    }
}
