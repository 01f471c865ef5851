//! A meeting as an iCalendar object (RFC 5545), for mail (RFC 5546, RFC 6047) and for feeds (RFC 7986).
//!
//! To a list goes METHOD:PUBLISH with ORGANIZER and never an ATTENDEE (RFC 5546 section 3.2.1): a REQUEST would show the
//! roster and flood the organizer with answers. Components are written with the crate `icalendar`; it writes TZID but
//! never a VTIMEZONE, so that one is taken from `calcard`; it escapes only what it knows as TEXT and leaves CR and
//! controls alone, so every text is cleaned here first ([`clean`]) and NAME escaped by hand; and the last line it folds
//! may have 76 octets (0.17.17 forgets the leading space), so folding is done here.
//! The surprise: the same bytes serve the `text/calendar` part and the attached file, so both carry METHOD.

use std::fmt::Write as _;

use calcard::icalendar::ICalendar;
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use chrono_tz::Tz;
use icalendar::{Calendar, Component, Event, Parameter, Property};
use sha2::{Digest, Sha256};

use crate::domain::language::{Language, Localized};
use crate::domain::meeting::{Entry, EntryKind, LeadTimes, Meeting, MeetingStatus, Span, civil, entries};

/// Longest text of one property in characters; what is longer is cut.
const MOST_CHARACTERS: usize = 4000;
/// How often a calendar client should look at a feed (RFC 7986 section 5.7).
const REFRESH: &str = "PT12H";

/// Who stands behind a calendar object: the leading group with its list address, or its secretariat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Organizer {
    /// Display name.
    pub name: String,
    /// `local@domain`.
    pub address: String,
}

/// What the object is to do (RFC 5546 section 1.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Method {
    /// Advertise: for lists and feeds.
    Publish,
    /// Take back.
    Cancel,
    /// Invite this one address, for a reader who asked for it, because some clients update only invitations.
    Request(String),
    /// Take back from this one address what it was invited to.
    CancelFor(String),
}

impl Method {
    /// As in METHOD and in the `method` parameter of the media type, which must agree (RFC 6047 section 2.4).
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Publish => "PUBLISH",
            Self::Cancel | Self::CancelFor(_) => "CANCEL",
            Self::Request(_) => "REQUEST",
        }
    }

    /// The one address it is for; a list is never named (RFC 5546 section 3.2.1).
    fn attendee(&self) -> Option<&str> {
        match self {
            Self::Publish | Self::Cancel => None,
            Self::Request(address) | Self::CancelFor(address) => Some(address),
        }
    }

    fn cancels(&self) -> bool {
        matches!(self, Self::Cancel | Self::CancelFor(_))
    }
}

/// What an object needs besides the meeting.
pub struct Setting<'a> {
    /// Who stands behind it.
    pub organizer: &'a Organizer,
    /// Deadlines of a meeting are computed with what it says.
    pub lead_times: &'a (dyn Fn(&Meeting) -> LeadTimes + Sync),
    /// The reader's languages in order; texts are joined as `English / Español`, because SUMMARY, DESCRIPTION and
    /// LOCATION may occur only once.
    pub languages: &'a [Language],
    /// The label of a key such as `registration` or `deadline.contribution`.
    pub words: &'a dyn Fn(&str) -> String,
    /// DTSTAMP.
    pub now: DateTime<Utc>,
    /// Is everybody to see it? Then passcodes stay out: the notes, and the query of the remote link.
    pub public: bool,
}

/// One object for mail: all entries of the meeting under `method`, in CRLF lines.
pub fn object(meeting: &Meeting, method: &Method, setting: &Setting<'_>) -> String {
    objects(std::slice::from_ref(meeting), method, setting)
}

/// One object of several meetings, for somebody who joined or left a group.
pub fn objects(meetings: &[Meeting], method: &Method, setting: &Setting<'_>) -> String {
    let mut calendar = empty();
    calendar.append_property(Property::new("METHOD", method.as_str()));
    for event in meetings.iter().flat_map(|meeting| events(meeting, method, setting)) {
        calendar.push(event);
    }
    with_zones(&calendar, &meetings.iter().collect::<Vec<_>>())
}

/// A feed of meetings: drafts are left out, cancelled ones stay as cancelled.
pub struct Feed {
    /// The object, in CRLF lines.
    pub text: String,
    /// Value for ETag, with its quotes; changes when a reader would see a difference.
    pub etag: String,
}

/// The entries of one meeting, written for one reader.
pub struct Entries {
    meeting: Meeting,
    events: Vec<Event>,
}

impl Entries {
    /// Those of `meeting`; `None` for a draft, of which no reader knows.
    pub fn of(meeting: &Meeting, method: &Method, setting: &Setting<'_>) -> Option<Self> {
        meeting.status.is_public().then(|| Self { meeting: meeting.clone(), events: events(meeting, method, setting) })
    }
}

/// The feed `name` of `meetings`.
pub fn feed(name: &str, meetings: &[Meeting], setting: &Setting<'_>) -> Feed {
    feed_of(name, meetings.iter().filter_map(|meeting| Entries::of(meeting, &Method::Publish, setting)).collect())
}

/// The feed `name` of entries that may be of several groups.
pub fn feed_of(name: &str, entries: Vec<Entries>) -> Feed {
    let mut calendar = empty();
    calendar.append_property(Property::new("METHOD", "PUBLISH"));
    let name = clean(name);
    calendar.append_property(Property::new("NAME", escaped(&name)));
    calendar.append_property(Property::new("X-WR-CALNAME", name));
    let mut refresh = Property::new("REFRESH-INTERVAL", REFRESH);
    calendar.append_property(refresh.append_parameter(Parameter::new("VALUE", "DURATION")).done());
    calendar.append_property(Property::new("X-PUBLISHED-TTL", REFRESH));
    let (meetings, events): (Vec<_>, Vec<_>) = entries.into_iter().map(|entries| (entries.meeting, entries.events)).unzip();
    for event in events.into_iter().flatten() {
        calendar.push(event);
    }
    let text = with_zones(&calendar, &meetings.iter().collect::<Vec<_>>());
    // DTSTAMP is the time of writing, and no difference to a reader.
    let mut hash = Sha256::new();
    text.split("\r\n").filter(|line| !line.starts_with("DTSTAMP")).for_each(|line| hash.update(line));
    let mut etag = String::from("\"");
    hash.finalize().iter().take(12).for_each(|byte| {
        let _ = write!(etag, "{byte:02x}");
    });
    etag.push('"');
    Feed { text, etag }
}

/// A text without what a calendar cannot carry: controls but for line breaks, which become LF; at most 4000 characters.
///
/// Bidirectional controls go as well: they could turn round what follows the text on the reader's screen.
pub fn clean(text: &str) -> String {
    let unified = text.replace("\r\n", "\n").replace(['\r', '\u{2028}', '\u{2029}', '\u{85}'], "\n");
    let kept = unified.chars().filter(|c| *c == '\n' || !(c.is_control() || is_bidirectional(*c)));
    kept.take(MOST_CHARACTERS).collect::<String>().trim().to_owned()
}

fn is_bidirectional(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' | '\u{feff}')
}

fn one_line(text: &str) -> String {
    clean(text).replace('\n', " ")
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace(';', "\\;").replace(',', "\\,").replace('\n', "\\n")
}

fn empty() -> Calendar {
    let mut calendar = Calendar::empty();
    calendar.append_property(Property::new("VERSION", "2.0"));
    calendar.append_property(Property::new("PRODID", "-//Enlace//Meetings//EN"));
    calendar.append_property(Property::new("CALSCALE", "GREGORIAN"));
    calendar
}

fn events(meeting: &Meeting, method: &Method, setting: &Setting<'_>) -> Vec<Event> {
    let mut events: Vec<Event> =
        entries(meeting, &(setting.lead_times)(meeting)).iter().map(|entry| event(meeting, entry, method, setting)).collect();
    // A published object also takes back what an earlier one had and this has not.
    for gone in &meeting.gone {
        let mut event = stamped(meeting, &gone.name, method, setting);
        event.add_property("SUMMARY", one_line(&joined(&meeting.title, setting.languages)));
        all_day(&mut event, gone.day, gone.day);
        event.add_property("STATUS", "CANCELLED");
        events.push(event.done());
    }
    events
}

/// An event with what all of them have.
fn stamped(meeting: &Meeting, name: &str, method: &Method, setting: &Setting<'_>) -> Event {
    let mut event = Event::new();
    event.uid(&uid(meeting, name));
    event.add_property("DTSTAMP", utc(setting.now));
    event.add_property("CREATED", utc(meeting.created_at));
    event.add_property("LAST-MODIFIED", utc(meeting.changed_at));
    event.add_property("SEQUENCE", meeting.sequence.to_string());
    event.add_property("CLASS", "PUBLIC");
    let mut organizer = Property::new("ORGANIZER", format!("mailto:{}", uri(&setting.organizer.address)));
    organizer.append_parameter(Parameter::new("CN", &parameter(&setting.organizer.name)));
    event.append_property(organizer.done());
    if let Some(address) = method.attendee() {
        let mut attendee = Property::new("ATTENDEE", format!("mailto:{}", uri(address)));
        attendee.append_parameter(Parameter::new("RSVP", "FALSE"));
        attendee.append_parameter(Parameter::new("ROLE", "OPT-PARTICIPANT"));
        event.append_property(attendee.done());
    }
    event
}

fn event(meeting: &Meeting, entry: &Entry, method: &Method, setting: &Setting<'_>) -> Event {
    let mut event = stamped(meeting, &entry.name, method, setting);
    let title = joined(&meeting.title, setting.languages);
    let summary = match entry.kind {
        EntryKind::Whole | EntryKind::Day(_) => title.clone(),
        EntryKind::Part(index) => {
            let part = &meeting.parts[index];
            let title = joined(&part.title, setting.languages);
            // One object goes to the readers of all groups: whose part it is stands in its name.
            let own: Vec<_> = part.groups.iter().map(ToString::to_string).collect();
            if own.is_empty() { title } else { format!("{title} ({})", own.join(", ")) }
        }
        EntryKind::Deadline(deadline) => {
            format!("{}: {title}", (setting.words)(&format!("deadline.{}", deadline.kind.as_str())))
        }
    };
    event.add_property("SUMMARY", one_line(&summary));
    event.add_property("STATUS", if method.cancels() { "CANCELLED" } else { status(meeting) });
    event.add_property("TRANSP", if entry.transparent { "TRANSPARENT" } else { "OPAQUE" });
    match entry.span {
        Span::Hours { start, end } => {
            for (key, wall) in [("DTSTART", start), ("DTEND", end)] {
                // An hour that the clocks skip would be read differently by each client: the instant after it is written.
                let wall = civil::wall(meeting.zone, civil::instant(meeting.zone, wall));
                let mut property = Property::new(key, wall.format("%Y%m%dT%H%M%S").to_string());
                event.append_property(property.append_parameter(Parameter::new("TZID", meeting.zone.name())).done());
            }
        }
        Span::Days { first, last } => all_day(&mut event, first, last),
    }
    match entry.kind {
        EntryKind::Whole => {
            for other in entries(meeting, &(setting.lead_times)(meeting)).iter().filter(|e| matches!(e.kind, EntryKind::Part(_))) {
                related(&mut event, meeting, &other.name, "SIBLING");
            }
        }
        EntryKind::Part(_) => related(&mut event, meeting, "", "SIBLING"),
        EntryKind::Day(_) | EntryKind::Deadline(_) => related(&mut event, meeting, "", "PARENT"),
    }
    if !matches!(entry.kind, EntryKind::Deadline(_)) {
        place(&mut event, meeting, entry, setting);
    }
    event.add_property("DESCRIPTION", clean(&description(meeting, entry, setting)));
    event.done()
}

fn all_day(event: &mut Event, first: NaiveDate, last: NaiveDate) {
    // DTEND of whole days is exclusive (RFC 5545 section 3.6.1).
    for (key, day) in [("DTSTART", first), ("DTEND", last + TimeDelta::days(1))] {
        let mut property = Property::new(key, day.format("%Y%m%d").to_string());
        event.append_property(property.append_parameter(Parameter::new("VALUE", "DATE")).done());
    }
}

fn related(event: &mut Event, meeting: &Meeting, name: &str, kind: &str) {
    let mut property = Property::new("RELATED-TO", uid(meeting, name));
    event.append_multi_property(property.append_parameter(Parameter::new("RELTYPE", kind)).done());
}

fn place(event: &mut Event, meeting: &Meeting, entry: &Entry, setting: &Setting<'_>) {
    let part = match entry.kind {
        EntryKind::Part(index) => Some(&meeting.parts[index]),
        _ => None,
    };
    let venue = part.map(|part| &part.venue).filter(|venue| !venue.is_empty()).unwrap_or(&meeting.venue);
    let remote = part.map(|part| &part.remote_url).filter(|url| !url.is_empty()).unwrap_or(&meeting.remote_url);
    let remote = link(remote, setting.public);
    let words = [joined(venue, setting.languages), meeting.city.clone(), meeting.country.clone()];
    let mut location = words.iter().map(|word| one_line(word)).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(", ");
    if location.is_empty() {
        location.clone_from(&remote);
    }
    if !location.is_empty() {
        event.add_property("LOCATION", location);
    }
    if !remote.is_empty() {
        let mut conference = Property::new("CONFERENCE", remote);
        conference.append_parameter(Parameter::new("VALUE", "URI"));
        conference.append_parameter(Parameter::new("FEATURE", "VIDEO"));
        conference.append_parameter(Parameter::new("LABEL", &parameter(&(setting.words)("remote"))));
        event.append_multi_property(conference.done());
    }
    if matches!(entry.kind, EntryKind::Whole) && !meeting.documents_url.is_empty() {
        event.add_property("URL", uri(&meeting.documents_url));
    }
}

fn description(meeting: &Meeting, entry: &Entry, setting: &Setting<'_>) -> String {
    let mut lines = Vec::new();
    if let EntryKind::Deadline(_) = entry.kind {
        lines.push(joined(&meeting.title, setting.languages));
    }
    if let (EntryKind::Whole, Span::Hours { .. }) = (&entry.kind, &meeting.span) {
        let (opens, closes) = (meeting.span.opens(meeting.zone), meeting.span.closes(meeting.zone));
        let form = |at: DateTime<Utc>| {
            format!("{} {} ({} UTC)", civil::wall(meeting.zone, at).format("%Y-%m-%d %H:%M"), meeting.zone, at.format("%Y-%m-%d %H:%M"))
        };
        lines.push(format!("{} - {}", form(opens), form(closes)));
    }
    let groups: Vec<_> = match entry.kind {
        EntryKind::Part(index) if !meeting.parts[index].groups.is_empty() => {
            meeting.parts[index].groups.iter().map(ToString::to_string).collect()
        }
        _ => meeting.active_groups().map(ToString::to_string).collect(),
    };
    lines.push(groups.join(", "));
    let remote = link(&meeting.remote_url, setting.public);
    let notes = if setting.public { String::new() } else { joined(&meeting.remote_notes, setting.languages) };
    for (key, value) in [
        ("host", &joined(&meeting.host, setting.languages)),
        ("remote", &remote),
        ("remote-notes", &notes),
        ("registration", &meeting.registration_url),
        ("agenda", &meeting.agenda_url),
        ("documents", &meeting.documents_url),
        ("contact", &meeting.contact),
    ] {
        if !value.is_empty() {
            lines.push(format!("{}: {}", (setting.words)(key), one_line(value)));
        }
    }
    lines.join("\n")
}

fn status(meeting: &Meeting) -> &'static str {
    match meeting.status {
        MeetingStatus::Draft | MeetingStatus::Tentative => "TENTATIVE",
        MeetingStatus::Postponed | MeetingStatus::Cancelled => "CANCELLED",
        MeetingStatus::Announced | MeetingStatus::Updated | MeetingStatus::Held | MeetingStatus::Reported => "CONFIRMED",
    }
}

/// The UID of an entry: the meeting's own with the entry's name before the `@`.
fn uid(meeting: &Meeting, name: &str) -> String {
    match (meeting.uid.split_once('@'), name) {
        (_, "") => meeting.uid.clone(),
        (Some((local, domain)), name) => format!("{local}-{name}@{domain}"),
        (None, name) => format!("{}-{name}", meeting.uid),
    }
}

/// Texts in the reader's order, each once.
fn joined(text: &Localized<String>, languages: &[Language]) -> String {
    let mut texts: Vec<&str> = Vec::new();
    for value in languages.iter().filter_map(|language| text.get(*language)) {
        if !texts.contains(&value.as_str()) {
            texts.push(value);
        }
    }
    if texts.is_empty() {
        texts.extend(text.best(languages).map(String::as_str));
    }
    texts.join(" / ")
}

/// A URI without what would end or forge a line; only web links and addresses come in.
fn uri(text: &str) -> String {
    text.chars().filter(|c| !c.is_control() && !c.is_whitespace() && !is_bidirectional(*c) && !"\"<>\\^`{|}".contains(*c)).collect()
}

fn link(url: &str, public: bool) -> String {
    let url = uri(url);
    if public { url.split(['?', '#']).next().unwrap_or_default().to_owned() } else { url }
}

/// A parameter value: no quotes and no line breaks (RFC 5545 section 3.1); the writer quotes the rest.
fn parameter(text: &str) -> String {
    one_line(text).replace('"', "'")
}

fn utc(at: DateTime<Utc>) -> String {
    at.format("%Y%m%dT%H%M%SZ").to_string()
}

/// Lines of at most 75 octets, no character cut (RFC 5545 section 3.1).
fn folded(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 32);
    for line in text.replace("\r\n ", "").split_terminator("\r\n") {
        let mut width = 0;
        for c in line.chars() {
            if width + c.len_utf8() > 75 {
                out.push_str("\r\n ");
                width = 1;
            }
            out.push(c);
            width += c.len_utf8();
        }
        out.push_str("\r\n");
    }
    out
}

/// The text of `calendar` with a VTIMEZONE for each zone in use, before the first component (RFC 5545 section 3.6.5).
fn with_zones(calendar: &Calendar, meetings: &[&Meeting]) -> String {
    let text = folded(&calendar.to_string());
    let mut zones: Vec<(Tz, NaiveDate, NaiveDate)> = Vec::new();
    for meeting in meetings {
        let days = std::iter::once(&meeting.span).chain(meeting.parts.iter().map(|part| &part.span));
        for span in days {
            match zones.iter_mut().find(|(zone, ..)| *zone == meeting.zone) {
                Some((_, first, last)) => {
                    *first = (*first).min(span.first_day());
                    *last = (*last).max(span.last_day());
                }
                None => zones.push((meeting.zone, span.first_day(), span.last_day())),
            }
        }
    }
    zones.retain(|(zone, ..)| text.contains(&format!(";TZID={}:", zone.name())));
    let Some(first) = text.find("BEGIN:VEVENT") else { return text };
    let mut whole = String::with_capacity(text.len() + 1024 * zones.len());
    whole.push_str(&text[..first]);
    for (zone, from, to) in zones {
        whole.push_str(&zone_rules(zone, from, to));
    }
    whole.push_str(&text[first..]);
    whole
}

/// The VTIMEZONE of `zone` from `first` to `last`, made by `calcard` from the compiled-in zone rules.
fn zone_rules(zone: Tz, first: NaiveDate, last: NaiveDate) -> String {
    let day = |day: NaiveDate| day.format("%Y%m%dT120000").to_string();
    let stub = format!(
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Enlace//EN\r\nBEGIN:VEVENT\r\nUID:x\r\nDTSTAMP:20260101T000000Z\r\n\
         DTSTART;TZID={zone}:{}\r\nDTEND;TZID={zone}:{}\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n",
        day(first),
        day(last),
        zone = zone.name(),
    );
    let Ok(mut calendar) = ICalendar::parse(stub) else { return String::new() };
    calendar.add_missing_timezones();
    let text = calendar.to_string();
    let (begin, end) = (text.find("BEGIN:VTIMEZONE"), text.find("END:VTIMEZONE\r\n"));
    match (begin, end) {
        (Some(begin), Some(end)) => text[begin..end + "END:VTIMEZONE\r\n".len()].to_owned(),
        _ => String::new(),
    }
}
