//! A meeting as the text of a meetings file ([`super::file`]): to be changed by hand and applied again, and the beginning of a new one.
//!
//! What is written is read back as the same record. Files that were given stay with the record and stand in no text.

use std::fmt::Write as _;

use chrono::{Datelike, Days, NaiveTime};

use super::record;
use crate::domain::group::Group;
use crate::domain::language::Localized;
use crate::domain::meeting::{Meeting, MeetingAudience, MeetingKind, MeetingStatus, Span};
use crate::service::{Failure, Services};

/// How far ahead the dates of a sample lie: collective letters are due two or three months before (ITU-T A.1 1.3.2).
const SAMPLE_DAYS: u64 = 150;

/// The record as a `[[meeting]]` table.
pub fn written(meeting: &Meeting) -> String {
    let mut text = String::from("[[meeting]]\n");
    let mut put = |key: &str, value: String| {
        let _ = writeln!(text, "{key} = {value}");
    };
    put("id", quoted(meeting.id.as_str()));
    if meeting.kind != MeetingKind::Meeting
        && let Ok(kind) = toml::Value::try_from(meeting.kind)
    {
        put("kind", kind.to_string());
    }
    put("groups", list(&meeting.groups));
    put("title", localized(&meeting.title));
    let (start, end) = span(&meeting.span);
    put("start", start);
    put("end", end);
    put("timezone", quoted(meeting.zone.name()));
    let mut texts = |key: &str, value: &Localized<String>| {
        if !value.is_empty() {
            put(key, localized(value));
        }
    };
    texts("venue", &meeting.venue);
    texts("host", &meeting.host);
    texts("remote_notes", &meeting.remote_notes);
    for (key, value) in [
        ("city", &meeting.city),
        ("country", &meeting.country),
        ("remote_url", &meeting.remote_url),
        ("registration_url", &meeting.registration_url),
        ("agenda_url", &meeting.agenda_url),
        ("documents_url", &meeting.documents_url),
        ("contact", &meeting.contact),
    ] {
        if !value.is_empty() {
            put(key, quoted(value));
        }
    }
    if !meeting.languages.is_empty() {
        put("languages", list(&meeting.languages));
    }
    if meeting.audience != MeetingAudience::Members {
        put("audience", quoted(meeting.audience.as_str()));
    }
    if !meeting.planned {
        put("planned", "false".into());
    }
    put("status", quoted(status(meeting.status)));
    if !meeting.deadlines.is_empty() {
        let days = meeting.deadlines.iter().map(|(kind, day)| format!("{} = {day}", kind.as_str()));
        put("deadlines", format!("{{ {} }}", days.collect::<Vec<_>>().join(", ")));
    }
    if let Some(letter) = &meeting.letter {
        put("letter", format!("{{ reference = {} }}", quoted(&letter.reference)));
    }
    if let Some(report) = &meeting.report {
        let url = if report.url.is_empty() { String::new() } else { format!(", url = {}", quoted(&report.url)) };
        let attendance = report.attendance.map(|count| format!(", attendance = {count}")).unwrap_or_default();
        put("report", format!("{{ reference = {}{url}{attendance} }}", quoted(&report.reference)));
    }
    for part in &meeting.parts {
        let (start, end) = span(&part.span);
        let _ = write!(
            text,
            "[[meeting.part]]\nid = {}\ntitle = {}\nstart = {start}\nend = {end}\n",
            quoted(&part.key),
            localized(&part.title)
        );
        let _ = writeln!(text, "audience = {}", quoted(part.audience.as_str()));
        if !part.groups.is_empty() {
            let _ = writeln!(text, "groups = {}", list(&part.groups));
        }
        if !part.venue.is_empty() {
            let _ = writeln!(text, "venue = {}", localized(&part.venue));
        }
        if !part.remote_url.is_empty() {
            let _ = writeln!(text, "remote_url = {}", quoted(&part.remote_url));
        }
    }
    text
}

/// The beginning of a new meeting of the group: under an id that no meeting has, with dates that leave time for its letter.
///
/// # Errors
/// When the store fails.
pub async fn sample(services: &Services, group: &Group) -> Result<String, Failure> {
    let soon = services.now().with_timezone(&group.timezone).date_naive() + Days::new(SAMPLE_DAYS);
    // The Tuesday of that week.
    let first = soon - Days::new(u64::from(soon.weekday().num_days_from_monday())) + Days::new(1);
    let last = first + Days::new(1);
    let hour = |hour, minute| NaiveTime::from_hms_opt(hour, minute, 0).unwrap_or_default();
    let (start, end) = span(&Span::Hours { start: first.and_time(hour(9, 30)), end: last.and_time(hour(17, 30)) });
    let front = format!("{}-{}", group.code.as_str().to_ascii_lowercase(), first.year());
    let taken: Vec<String> = record::all(services).await?.into_iter().map(|meeting| meeting.id.to_string()).collect();
    // One more name than there are meetings: one of them is free.
    let mut names = std::iter::once(front.clone()).chain((2..taken.len() + 3).map(|number| format!("{front}-{number}")));
    let id = names.find(|id| !taken.contains(id));
    let title: Vec<String> = group.languages.iter().map(|language| format!("{language} = \"\"")).collect();
    Ok(format!(
        "[[meeting]]\nid = {}\ngroups = {}\ntitle = {{ {} }}\nstart = {start}\nend = {end}\ntimezone = {}\ncity = \"\"\ncountry = \"\"\n\
         remote_url = \"\"\nregistration_url = \"\"\nstatus = \"announced\"\n",
        quoted(&id.unwrap_or(front)),
        list(std::slice::from_ref(&group.code)),
        title.join(", "),
        quoted(group.timezone.name()),
    ))
}

/// As a file says it: what follows from notices and reports is not said in files.
fn status(status: MeetingStatus) -> &'static str {
    match status {
        MeetingStatus::Updated => MeetingStatus::Announced.as_str(),
        MeetingStatus::Reported => MeetingStatus::Held.as_str(),
        status => status.as_str(),
    }
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

fn list<T: ToString>(values: &[T]) -> String {
    format!("[{}]", values.iter().map(|value| quoted(&value.to_string())).collect::<Vec<_>>().join(", "))
}

fn localized(text: &Localized<String>) -> String {
    let texts: Vec<String> = text.0.iter().map(|(language, text)| format!("{language} = {}", quoted(text))).collect();
    format!("{{ {} }}", texts.join(", "))
}

fn span(span: &Span) -> (String, String) {
    match span {
        Span::Hours { start, end } => (start.format("%Y-%m-%dT%H:%M:%S").to_string(), end.format("%Y-%m-%dT%H:%M:%S").to_string()),
        Span::Days { first, last } => (first.to_string(), last.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::{apply, find};
    use super::*;
    use crate::service::trial::{Trial, code, operator};

    const FULL: &str = r#"[[meeting]]
id = "amr-2027"
kind = "workshop"
groups = ["AMR", "SG12"]
title = { en = "Quality \"of\" service", es = "Calidad" }
start = 2027-04-06T09:30:00
end = 2027-04-07T17:30:00
timezone = "America/Mexico_City"
venue = { en = "Hall\\1" }
city = "Mexico City"
country = "MX"
host = { en = "Host" }
remote_url = "https://meet.example.org/x"
remote_notes = { en = "By the link" }
registration_url = "https://register.example.org/"
agenda_url = "https://a.example.org/"
documents_url = "https://d.example.org/"
contact = "tsb@example.org"
languages = ["en", "es"]
audience = "open"
planned = false
status = "announced"
deadlines = { registration = 2027-03-01, contribution = 2027-03-20 }
letter = { reference = "1/AMR" }
[[meeting.part]]
id = "training"
title = { en = "Training" }
start = 2027-04-05
end = 2027-04-05
audience = "open"
groups = ["SG12"]
venue = { en = "Room 2" }
remote_url = "https://meet.example.org/y"
"#;

    #[tokio::test]
    async fn what_is_written_is_read_as_the_same_record() {
        let trial = Trial::empty().await;
        let whole_days = FULL.replace("T09:30:00", "").replace("T17:30:00", "").replace("amr-2027", "amr-2027-b");
        for (id, text) in [("amr-2027", FULL), ("amr-2027-b", whole_days.as_str())] {
            apply(&trial.services, &operator(), Path::new("m.toml"), text, false).await.unwrap();
            let record = find(&trial.services, &id.parse().unwrap()).await.unwrap();
            let again = apply(&trial.services, &operator(), Path::new("m.toml"), &written(&record), false).await.unwrap();
            assert_eq!(again.meetings[0].change, "unchanged", "{}\n{:?}", written(&record), again.meetings[0].fields);
        }
    }

    #[tokio::test]
    async fn a_sample_never_names_a_meeting_that_is_there_and_needs_only_a_title() {
        let trial = Trial::empty().await;
        let group = trial.services.group(&code("AMR")).unwrap();
        let mut ids = Vec::new();
        for _ in 0..3 {
            let text = sample(&trial.services, &group).await.unwrap();
            let empty = apply(&trial.services, &operator(), Path::new("m.toml"), &text, true).await.unwrap_err();
            assert!(empty.to_string().contains("the title is empty"), "{empty}");
            let text = text.replace("en = \"\"", "en = \"Meeting\"");
            let report = apply(&trial.services, &operator(), Path::new("m.toml"), &text, false).await.unwrap();
            assert_eq!(report.meetings[0].change, "new", "{text}");
            ids.push(report.meetings[0].id.clone());
        }
        assert_eq!(ids, ["amr-2027", "amr-2027-2", "amr-2027-3"]);
    }
}
