//! The record of a meeting: what a collective letter says, as values.
//!
//! Fields follow real collective letters of regional groups (1/SG12RG-AFR, 2/SG13RG-AFR, 9/SG3RG-LAC).
//! Two texts of one person's file are two versions of one record; [`Meeting::revised`] makes the second from the first
//! and keeps what must not change: the UID, the sequence (RFC 5545 section 3.8.7.4), the history.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use super::change::{Change, differences};
use super::entries::{Gone, gone};
use super::milestones::{DeadlineKind, LeadTimes};
use super::span::Span;
use crate::domain::group::GroupCode;
use crate::domain::language::{Language, Localized};
use crate::domain::mistake::{Advice, Mistake};
use crate::domain::post::BodyRef;

/// Most parts of a meeting.
pub const MAX_PARTS: usize = 50;
/// Most changes kept; the oldest go first.
pub const MAX_CHANGES: usize = 200;

/// Name of a meeting, given by people and kept for life: letters, digits, `.`, `_` and `-`, at most 64, lower case.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MeetingId(String);

impl MeetingId {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for MeetingId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let id = text.to_ascii_lowercase();
        let fits = (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
        if fits && id.as_bytes()[0].is_ascii_alphanumeric() {
            Ok(Self(id))
        } else {
            Err(format!(
                "\"{}\" is not a meeting id: letters, digits, \".\", \"_\" and \"-\", at most 64, such as sg12rg-amr-2027",
                text.escape_debug()
            ))
        }
    }
}

impl TryFrom<String> for MeetingId {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<MeetingId> for String {
    fn from(id: MeetingId) -> Self {
        id.0
    }
}

impl fmt::Display for MeetingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for MeetingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What sort of event.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MeetingKind {
    /// Of one regional group.
    #[default]
    Meeting,
    /// A workshop or seminar.
    Workshop,
    /// A training.
    Training,
    /// Without a place.
    EMeeting,
    /// Of rapporteurs: no collective letter is required (ITU-T A.1 2.3.3.10).
    Rapporteur,
    /// Anything else.
    Other,
}

/// Who may attend: two audiences may stand in one letter.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MeetingAudience {
    /// Those who may take part in the group.
    #[default]
    Members,
    /// Everybody.
    Open,
}

impl MeetingAudience {
    /// As written in files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Members => "members",
            Self::Open => "open",
        }
    }
}

/// Where a meeting stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MeetingStatus {
    /// In the calendar of its managers only; nobody else was told.
    #[default]
    Draft,
    /// Announced, but venue or date is not fixed.
    Tentative,
    /// Announced.
    Announced,
    /// Announced, and changed since.
    Updated,
    /// Will not take place on these dates; new ones may follow.
    Postponed,
    /// Will not take place.
    Cancelled,
    /// Took place.
    Held,
    /// Took place, and its report was circulated.
    Reported,
}

impl MeetingStatus {
    /// As in files and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Tentative => "tentative",
            Self::Announced => "announced",
            Self::Updated => "updated",
            Self::Postponed => "postponed",
            Self::Cancelled => "cancelled",
            Self::Held => "held",
            Self::Reported => "reported",
        }
    }

    /// May readers know of it?
    pub fn is_public(self) -> bool {
        self != Self::Draft
    }

    /// Is it to take place on its dates, or did it?
    pub fn takes_place(self) -> bool {
        !matches!(self, Self::Draft | Self::Postponed | Self::Cancelled)
    }

    /// The same for readers: `updated` is an announced meeting.
    fn published(self) -> Self {
        if self == Self::Updated { Self::Announced } else { self }
    }
}

/// A file in the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    /// File name as readers see it.
    pub name: String,
    /// Media type such as `application/pdf`.
    pub media_type: String,
    /// Its bytes.
    pub body: BodyRef,
}

/// The collective or circular letter that convenes the meeting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Letter {
    /// Such as `TSB Collective letter 1/SG12RG-AFR`.
    pub reference: String,
    /// The letter itself, sent with the announcement.
    pub file: Option<Attachment>,
}

/// The report of a meeting that was held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Such as `SG12RG-AFR-R1`.
    pub reference: String,
    /// Where it is to be read; may be empty.
    pub url: String,
    /// The report itself, sent with the notice; `None` where only the reference is known.
    pub file: Option<Attachment>,
    /// When it was given to Enlace.
    pub at: DateTime<Utc>,
    /// How many took part, if counted.
    pub attendance: Option<u32>,
}

/// A workshop, training or session of the meeting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Name within the meeting, stable: given in the file, else its number from 1.
    pub key: String,
    /// What it is.
    pub title: Localized<String>,
    /// When, in the meeting's zone.
    pub span: Span,
    /// Who may attend.
    pub audience: MeetingAudience,
    /// Its groups if they are not those of the meeting.
    pub groups: Vec<GroupCode>,
    /// Where, if elsewhere.
    pub venue: Localized<String>,
    /// Remote participation, if its own.
    pub remote_url: String,
}

/// When the date of a deadline, or of the opening, was last set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moved {
    /// The sequence number that came with it.
    pub sequence: u32,
    /// When.
    pub at: DateTime<Utc>,
}

/// A dated event with milestones and an announcement plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meeting {
    /// The key.
    pub id: MeetingId,
    /// iCalendar UID, stable for the life of the event.
    pub uid: String,
    /// What sort of event.
    pub kind: MeetingKind,
    /// Groups that hold it; the first leads. Never empty.
    pub groups: Vec<GroupCode>,
    /// Those of them that withdrew; never the first.
    pub withdrawn: Vec<GroupCode>,
    /// What it is called; at least one language.
    pub title: Localized<String>,
    /// From when to when.
    pub span: Span,
    /// Zone of the place.
    pub zone: Tz,
    /// Where; may be empty.
    pub venue: Localized<String>,
    /// City; may be empty.
    pub city: String,
    /// ISO 3166 code of the country; may be empty.
    pub country: String,
    /// Who invites; may be empty.
    pub host: Localized<String>,
    /// Remote participation; may be empty.
    pub remote_url: String,
    /// How remote participation works.
    pub remote_notes: Localized<String>,
    /// Where to register.
    pub registration_url: String,
    /// Agenda.
    pub agenda_url: String,
    /// Documents.
    pub documents_url: String,
    /// Mailbox for questions.
    pub contact: String,
    /// Languages of interpretation.
    pub languages: Vec<Language>,
    /// Who may attend.
    pub audience: MeetingAudience,
    /// Was it in the published timetable? Decides between two and three months for the letter (ITU-T A.1 1.3.2).
    pub planned: bool,
    /// Given deadlines; the others are computed.
    pub deadlines: BTreeMap<DeadlineKind, NaiveDate>,
    /// Workshops, training, sessions.
    pub parts: Vec<Part>,
    /// The letter that convenes it.
    pub letter: Option<Letter>,
    /// Where it stands.
    pub status: MeetingStatus,
    /// The report.
    pub report: Option<Report>,
    /// 0 when announced, one more with each published change.
    pub sequence: u32,
    /// When it was first written down.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub changed_at: DateTime<Utc>,
    /// When it was announced (tentatively or not).
    pub announced_at: Option<DateTime<Utc>>,
    /// When a deadline was moved after the announcement; the opening under `None`.
    pub moved: BTreeMap<Option<DeadlineKind>, Moved>,
    /// Published changes, oldest first.
    pub history: Vec<Change>,
    /// Calendar entries that a change removed.
    pub gone: Vec<Gone>,
}

impl Meeting {
    /// The group that leads.
    ///
    /// # Panics
    /// Never: no parser makes a meeting without groups.
    pub fn lead(&self) -> &GroupCode {
        &self.groups[0]
    }

    /// Groups that hold it and did not withdraw, the leading one first.
    pub fn active_groups(&self) -> impl Iterator<Item = &GroupCode> {
        self.groups.iter().filter(|group| !self.withdrawn.contains(group))
    }

    /// Groups whose subscribers are told: those that hold it, and those of its parts; the leading one first, each once.
    ///
    /// A letter may announce a workshop of one group before the meeting of another (letter 1/SG12RG-AFR of 2017).
    pub fn concerned_groups(&self) -> Vec<&GroupCode> {
        let mut groups: Vec<&GroupCode> = self.active_groups().collect();
        for group in self.parts.iter().flat_map(|part| &part.groups) {
            if !groups.contains(&group) && !self.withdrawn.contains(group) {
                groups.push(group);
            }
        }
        groups
    }

    /// The instant at which it opens, its parts included.
    pub fn opens(&self) -> DateTime<Utc> {
        self.spans().map(|span| span.opens(self.zone)).min().unwrap_or_default()
    }

    /// The instant at which all of it is over.
    pub fn closes(&self) -> DateTime<Utc> {
        self.spans().map(|span| span.closes(self.zone)).max().unwrap_or_default()
    }

    /// The opening day of the meeting itself, from which lead times count (parts before it do not move it).
    pub fn first_day(&self) -> NaiveDate {
        self.span.first_day()
    }

    /// The part that opens first, if that is on a day before the meeting itself.
    pub fn first_part(&self) -> Option<&Part> {
        let first = self.parts.iter().min_by_key(|part| part.span.opens(self.zone))?;
        (first.span.first_day() < self.first_day()).then_some(first)
    }

    /// Where it stands for a reader at `now`: a meeting that is over was held.
    pub fn status_at(&self, now: DateTime<Utc>) -> MeetingStatus {
        match self.status {
            MeetingStatus::Tentative | MeetingStatus::Announced | MeetingStatus::Updated if self.closes() <= now => MeetingStatus::Held,
            status => status,
        }
    }

    /// Is it, for a reader, still ahead or going on?
    pub fn is_current(&self, now: DateTime<Utc>) -> bool {
        self.status.is_public() && self.status.takes_place() && now < self.closes()
    }

    /// Sets the first version's instants.
    #[must_use]
    pub fn created(mut self, now: DateTime<Utc>) -> Self {
        self.created_at = now;
        self.changed_at = now;
        self.announced_at = self.status.is_public().then_some(now);
        self
    }

    /// The next version of `self`: `wanted` with the UID, history and sequence that follow, and whether anything differs.
    ///
    /// A published meeting gets one sequence number more for any difference that readers see, and one [`Change`];
    /// deadlines that moved note it, so that their reminders count from the change.
    pub fn revised(&self, mut wanted: Self, lead_times: &LeadTimes, now: DateTime<Utc>, by: &str) -> Revision {
        wanted.uid.clone_from(&self.uid);
        wanted.withdrawn = self.withdrawn.iter().filter(|g| wanted.groups.contains(g) && *g != wanted.lead()).cloned().collect();
        wanted.created_at = self.created_at;
        wanted.changed_at = self.changed_at;
        wanted.announced_at = self.announced_at;
        wanted.sequence = self.sequence;
        wanted.moved.clone_from(&self.moved);
        wanted.history.clone_from(&self.history);
        wanted.gone.clone_from(&self.gone);
        wanted.report = match (wanted.report, &self.report) {
            // The same report again: when it was given, and its file, are known already.
            (Some(again), Some(known)) if again.reference == known.reference => Some(Report {
                file: again.file.or_else(|| known.file.clone()),
                url: if again.url.is_empty() { known.url.clone() } else { again.url },
                at: known.at,
                attendance: again.attendance.or(known.attendance),
                ..again
            }),
            (report, known) => report.or_else(|| known.clone()),
        };
        // A file of meetings names no documents: those that were given stay.
        match &mut wanted.letter {
            Some(letter) if letter.file.is_none() => letter.file = self.letter.as_ref().and_then(|letter| letter.file.clone()),
            Some(_) => {}
            none => none.clone_from(&self.letter),
        }
        wanted.status = self.status_after(wanted.status);
        self.settled(wanted, lead_times, now, by)
    }

    /// The same meeting without `group`, or why not.
    ///
    /// # Errors
    /// The leading group cannot withdraw (the meeting is then cancelled), nor one that does not hold the meeting.
    pub fn without(&self, group: &GroupCode, lead_times: &LeadTimes, now: DateTime<Utc>, by: &str) -> Result<Revision, Advice> {
        if self.lead() == group {
            return Err(Mistake::MeetingLed.about([group.as_str(), self.id.as_str()]));
        }
        if !self.active_groups().any(|active| active == group) {
            return Err(Mistake::MeetingNotOfGroup.about([group.as_str(), self.id.as_str()]));
        }
        let mut wanted = self.clone();
        wanted.withdrawn.push(group.clone());
        Ok(self.settled(wanted, lead_times, now, by))
    }

    /// The same meeting with another status.
    pub fn with_status(&self, status: MeetingStatus, lead_times: &LeadTimes, now: DateTime<Utc>, by: &str) -> Revision {
        self.settled(Self { status, ..self.clone() }, lead_times, now, by)
    }

    /// The same meeting with its report, which makes it a meeting that was held and reported.
    ///
    /// # Errors
    /// When it did not take place, or is not over at `now`.
    pub fn with_report(&self, report: Report, lead_times: &LeadTimes, now: DateTime<Utc>, by: &str) -> Result<Revision, Advice> {
        match self.status_at(now) {
            MeetingStatus::Held | MeetingStatus::Reported => {}
            status if status.is_public() && status.takes_place() => return Err(Mistake::MeetingNotOver.about([&self.id])),
            status => return Err(Mistake::MeetingWithoutReport.about([self.id.as_str(), status.as_str()])),
        }
        let status = MeetingStatus::Reported;
        Ok(self.revised(Self { report: Some(report), status, ..self.clone() }, lead_times, now, by))
    }

    /// The same meeting with its letter.
    pub fn with_letter(&self, letter: Letter, lead_times: &LeadTimes, now: DateTime<Utc>, by: &str) -> Revision {
        self.settled(Self { letter: Some(letter), ..self.clone() }, lead_times, now, by)
    }

    fn status_after(&self, wanted: MeetingStatus) -> MeetingStatus {
        match (self.status, wanted) {
            (MeetingStatus::Updated, MeetingStatus::Announced) => MeetingStatus::Updated,
            (MeetingStatus::Reported, MeetingStatus::Held | MeetingStatus::Announced | MeetingStatus::Tentative) => MeetingStatus::Reported,
            // What was published cannot become a draft again.
            (public, MeetingStatus::Draft) if public.is_public() => public,
            _ => wanted,
        }
    }

    fn settled(&self, mut next: Self, lead_times: &LeadTimes, now: DateTime<Utc>, by: &str) -> Revision {
        let was_public = self.announced_at.is_some();
        let fields = differences(&published(self), &published(&next));
        if next.announced_at.is_none() && next.status.is_public() {
            next.announced_at = Some(now);
        }
        let visible = was_public && !fields.is_empty() && !matches!(next.status, MeetingStatus::Held | MeetingStatus::Reported);
        if visible {
            next.sequence += 1;
            if next.status == MeetingStatus::Announced {
                next.status = MeetingStatus::Updated;
            }
            note_moves(self, &mut next, lead_times, now);
            next.gone = gone(self, &next, lead_times);
            next.history.push(Change { sequence: next.sequence, at: now, by: by.to_owned(), fields: fields.clone() });
            if next.history.len() > MAX_CHANGES {
                next.history.remove(0);
            }
        }
        let differs = next != *self;
        if differs {
            next.changed_at = now;
        }
        Revision { meeting: next, differs, published: visible, fields }
    }
}

impl Meeting {
    fn spans(&self) -> impl Iterator<Item = &Span> {
        std::iter::once(&self.span).chain(self.parts.iter().map(|part| &part.span))
    }
}

/// What became of a meeting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revision {
    /// The next version.
    pub meeting: Meeting,
    /// Is it different at all?
    pub differs: bool,
    /// Do readers have to be told?
    pub published: bool,
    /// What differs, as a reader sees it.
    pub fields: Vec<super::change::FieldChange>,
}

fn published(meeting: &Meeting) -> Meeting {
    Meeting { status: meeting.status.published(), ..meeting.clone() }
}

fn note_moves(old: &Meeting, next: &mut Meeting, lead_times: &LeadTimes, now: DateTime<Utc>) {
    let moved = Moved { sequence: next.sequence, at: now };
    // A meeting that comes back after it was postponed or cancelled starts its reminders anew.
    let back = !old.status.takes_place() && next.status.takes_place();
    for kind in DeadlineKind::ALL {
        let date = |m: &Meeting| lead_times.deadline(m, kind).map(|deadline| deadline.date);
        if back || date(old) != date(next) {
            next.moved.insert(Some(kind), moved);
        }
    }
    if back || old.span != next.span || old.zone != next.zone {
        next.moved.insert(None, moved);
    }
}
