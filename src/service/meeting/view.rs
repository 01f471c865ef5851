//! Meetings as JSON and as tables show them: types of their own, so that the record may change without a client noticing.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::record::Marks;
use crate::domain::id::PostId;
use crate::domain::language::Localized;
use crate::domain::meeting::said::neutral;
use crate::domain::meeting::{LeadTimes, Meeting, Notice, NoticeState, Skip, Span, span_text};

/// A line of `meeting list`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    /// Name.
    pub id: String,
    /// Where it stands now.
    pub state: String,
    /// By language.
    pub title: Localized<String>,
    /// Leading one first.
    pub groups: Vec<String>,
    /// First day, or day and hour, in the zone of the place.
    pub start: String,
    /// Last one.
    pub end: String,
    /// Zone of the place.
    pub timezone: String,
    /// City and country, as far as known.
    pub place: String,
    /// How often it was changed since it was announced.
    pub sequence: u32,
}

/// `meeting show`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Show {
    /// What the list shows.
    #[serde(flatten)]
    pub line: Line,
    /// UID of its calendar object.
    pub uid: String,
    /// Groups that withdrew.
    pub withdrawn: Vec<String>,
    /// Where, by language.
    pub venue: Localized<String>,
    /// Who invites, by language.
    pub host: Localized<String>,
    /// Remote participation.
    pub remote_url: String,
    /// Where to register.
    pub registration_url: String,
    /// Agenda.
    pub agenda_url: String,
    /// Documents.
    pub documents_url: String,
    /// Mailbox for questions.
    pub contact: String,
    /// `members` or `open`.
    pub audience: String,
    /// Was it in the timetable?
    pub planned: bool,
    /// Given and computed ones.
    pub deadlines: Vec<DeadlineView>,
    /// Workshops and so on.
    pub parts: Vec<PartView>,
    /// Reference of the letter.
    pub letter: Option<String>,
    /// Reference of the report.
    pub report: Option<String>,
    /// How many took part, if counted.
    pub attendance: Option<u32>,
    /// When it was announced.
    pub announced_at: Option<DateTime<Utc>>,
    /// Published changes.
    pub history: Vec<ChangeView>,
}

/// A deadline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeadlineView {
    /// Such as `contribution`.
    pub kind: String,
    /// Last day.
    pub date: String,
    /// Was it given, or computed?
    pub given: bool,
}

/// A part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PartView {
    /// Name within the meeting.
    pub id: String,
    /// By language.
    pub title: Localized<String>,
    /// `2027-04-05 09:30 - 2027-04-05 17:30`.
    pub when: String,
    /// `members` or `open`.
    pub audience: String,
}

/// A published change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ChangeView {
    /// Its number.
    pub sequence: u32,
    /// When.
    pub at: DateTime<Utc>,
    /// By whom.
    pub by: String,
    /// What.
    pub fields: Vec<FieldView>,
}

/// A field that changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldView {
    /// Such as `dates`.
    pub field: String,
    /// What it was.
    pub before: String,
    /// What it is.
    pub after: String,
}

/// `meeting plan`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// Of which meeting.
    pub id: String,
    /// Its sequence number.
    pub sequence: u32,
    /// Every notice that was, is and will be sent, or is not, by time.
    pub notices: Vec<NoticeView>,
}

/// A notice of the plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NoticeView {
    /// `MEETING:MILESTONE:SEQUENCE`.
    pub key: String,
    /// When it is to go out.
    pub at: DateTime<Utc>,
    /// The same at the place where it is sent from.
    pub local: String,
    /// Such as `reminder`.
    pub kind: String,
    /// `sent`, `skipped`, `due`, `planned`, `merged`.
    pub state: String,
    /// What it is based on, or why it is not sent.
    pub reason: String,
    /// The rule of a skipped one, such as `milestone-past`.
    pub rule: Option<String>,
    /// By which other notice it is said.
    pub into: Option<String>,
    /// When it was sent.
    pub sent_at: Option<DateTime<Utc>>,
    /// As which post.
    pub post: Option<String>,
    /// The deadline that it is about, for readers of other languages.
    #[serde(skip)]
    pub deadline: Option<(String, chrono::NaiveDate)>,
}

/// What `meeting apply` does or would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Applied {
    /// One for each meeting of the file.
    pub meetings: Vec<AppliedMeeting>,
    /// What is doubtful.
    pub warnings: Vec<String>,
    /// With `dry_run`: the mails that would go out at once, in each language.
    pub mails: Vec<super::Preview>,
    /// Was nothing written?
    pub dry_run: bool,
}

/// What happens to one meeting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AppliedMeeting {
    /// Which.
    pub id: String,
    /// `new`, `changed` or `unchanged`.
    pub change: &'static str,
    /// Where it stands then.
    pub state: String,
    /// Its sequence number then.
    pub sequence: u32,
    /// What readers see differ.
    pub fields: Vec<FieldView>,
    /// Notices that are due at once.
    pub due: Vec<String>,
    /// When readers hear of it: at the end of the grace time, until which it can be taken back.
    pub goes_out_at: Option<DateTime<Utc>>,
}

/// A line of the list, at `now`.
pub fn line(meeting: &Meeting, now: DateTime<Utc>) -> Line {
    let (start, end) = match meeting.span {
        Span::Hours { start, end } => (start.format("%Y-%m-%dT%H:%M:%S").to_string(), end.format("%Y-%m-%dT%H:%M:%S").to_string()),
        Span::Days { first, last } => (first.to_string(), last.to_string()),
    };
    let place = [meeting.city.as_str(), meeting.country.as_str()].into_iter().filter(|s| !s.is_empty()).collect::<Vec<_>>().join(", ");
    Line {
        id: meeting.id.to_string(),
        state: meeting.status_at(now).as_str().to_owned(),
        title: meeting.title.clone(),
        groups: meeting.active_groups().map(ToString::to_string).collect(),
        start,
        end,
        timezone: meeting.zone.name().to_owned(),
        place,
        sequence: meeting.sequence,
    }
}

/// All of a meeting, at `now`.
pub fn show(meeting: &Meeting, lead_times: &LeadTimes, now: DateTime<Utc>) -> Show {
    let deadline =
        |d: crate::domain::meeting::Deadline| DeadlineView { kind: d.kind.as_str().into(), date: d.date.to_string(), given: d.given };
    Show {
        line: line(meeting, now),
        uid: meeting.uid.clone(),
        withdrawn: meeting.withdrawn.iter().map(ToString::to_string).collect(),
        venue: meeting.venue.clone(),
        host: meeting.host.clone(),
        remote_url: meeting.remote_url.clone(),
        registration_url: meeting.registration_url.clone(),
        agenda_url: meeting.agenda_url.clone(),
        documents_url: meeting.documents_url.clone(),
        contact: meeting.contact.clone(),
        audience: meeting.audience.as_str().into(),
        planned: meeting.planned,
        deadlines: lead_times.deadlines_of(meeting).into_iter().map(deadline).collect(),
        parts: meeting
            .parts
            .iter()
            .map(|part| PartView {
                id: part.key.clone(),
                title: part.title.clone(),
                when: span_text(&part.span),
                audience: part.audience.as_str().into(),
            })
            .collect(),
        letter: meeting.letter.as_ref().map(|letter| letter.reference.clone()),
        report: meeting.report.as_ref().map(|report| report.reference.clone()),
        attendance: meeting.report.as_ref().and_then(|report| report.attendance),
        announced_at: meeting.announced_at,
        history: meeting
            .history
            .iter()
            .map(|change| ChangeView { sequence: change.sequence, at: change.at, by: change.by.clone(), fields: fields(&change.fields) })
            .collect(),
    }
}

/// Changed fields.
pub fn fields(fields: &[crate::domain::meeting::FieldChange]) -> Vec<FieldView> {
    let view = |f: &crate::domain::meeting::FieldChange| FieldView {
        field: f.field.as_str().to_owned(),
        before: neutral(&f.before),
        after: neutral(&f.after),
    };
    fields.iter().map(view).collect()
}

/// The plan; `held_back`: posts of notices that wait for the end of their grace time (until then) or were stopped in it.
pub fn plan(
    meeting: &Meeting,
    notices: &[Notice],
    (marks, held_back): (&Marks, &BTreeMap<PostId, Option<DateTime<Utc>>>),
    zone: chrono_tz::Tz,
) -> Plan {
    let post_of = |notice: &Notice| marks.get(&notice.key).and_then(|mark| mark.post);
    // A post that was made is not one that left.
    let as_it_is = |notice: &Notice| match (&notice.state, post_of(notice).and_then(|post| held_back.get(&post))) {
        (NoticeState::Sent(_), Some(Some(at))) => Notice { at: *at, state: NoticeState::Planned, ..notice.clone() },
        (NoticeState::Sent(_), Some(None)) => {
            Notice { state: NoticeState::Skipped(Skip::Stopped), reason: Skip::Stopped.text().to_owned(), ..notice.clone() }
        }
        _ => notice.clone(),
    };
    let view = |notice: &Notice| NoticeView {
        key: notice.key.to_string(),
        at: notice.at,
        local: notice.at.with_timezone(&zone).format("%Y-%m-%d %H:%M %Z").to_string(),
        kind: notice.kind.as_str().to_owned(),
        state: notice.state.as_str().to_owned(),
        reason: notice.reason.clone(),
        rule: match &notice.state {
            NoticeState::Skipped(skip) => Some(skip.as_str().to_owned()),
            _ => None,
        },
        into: match &notice.state {
            NoticeState::MergedInto(key) => Some(key.to_string()),
            _ => None,
        },
        sent_at: match &notice.state {
            NoticeState::Sent(at) => Some(*at),
            _ => None,
        },
        deadline: notice.deadline.map(|deadline| (deadline.kind.as_str().to_owned(), deadline.date)),
        post: post_of(notice).map(|post| post.to_string()),
    };
    let notices = notices.iter().map(|notice| view(&as_it_is(notice))).collect();
    Plan { id: meeting.id.to_string(), sequence: meeting.sequence, notices }
}
