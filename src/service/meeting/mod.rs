//! Meetings: apply, list, show, plan, cancel, postpone, withdraw, and send what is due.
//!
//! A person changes the record; what readers are told follows from it by `domain::meeting::notices`, and [`send_due`]
//! carries it out. Nothing is decided here.

pub mod file;
mod record;
mod send;
mod texts;
pub mod view;
mod weekly;

use std::path::Path;

use crate::domain::group::{Group, GroupCode};
use crate::domain::language::Language;
use crate::domain::meeting::{Meeting, MeetingId, MeetingStatus, Notice, NoticeState, Revision, Settings, notices};
use crate::mail::calendar::{self, Feed, Method};
use crate::service::{Actor, Failure, Services};
use record::Marks;

pub use send::{calendar_for_joiner, calendar_for_leaver, preview, send_due};
pub use texts::outlook;
pub use weekly::send_outlook;

/// Reads a file of meetings and writes what differs; all of it is right, or nothing is written.
///
/// Twice the same file changes nothing the second time. With `dry_run` the same report is made and nothing is written.
///
/// # Errors
/// [`Failure::Invalid`] names file, line and remedy.
pub async fn apply(services: &Services, actor: &Actor, file: &Path, text: &str, dry_run: bool) -> Result<view::Applied, Failure> {
    let groups = services.groups();
    let now = services.now();
    let known = file::Known { file, groups: &groups, domain: &services.site.domain, now };
    let reading = file::read(text, &known).map_err(|error| Failure::Invalid(error.to_string()))?;
    let mut applied = view::Applied { meetings: Vec::new(), warnings: reading.warnings, dry_run };
    let mut writes = Vec::new();
    for wanted in reading.meetings {
        let lead_times = &services.config.meetings;
        let (version, change, revision) = match record::find(services, &wanted.id).await? {
            None => (0, "new", Revision { meeting: wanted, differs: true, published: false, fields: Vec::new() }),
            Some((version, old)) => {
                let revision = old.revised(wanted, lead_times, now, &actor.name);
                (version, if revision.differs { "changed" } else { "unchanged" }, revision)
            }
        };
        let meeting = &revision.meeting;
        let marks = record::marks(services, &meeting.id).await?;
        applied.meetings.push(view::AppliedMeeting {
            id: meeting.id.to_string(),
            change,
            state: meeting.status_at(now).as_str().to_owned(),
            sequence: meeting.sequence,
            fields: view::fields(&revision.fields),
            due: due(&planned(services, meeting, &marks)).map(|notice| notice.key.to_string()).collect(),
        });
        applied.warnings.extend(lead_warning(services, meeting));
        if revision.differs {
            writes.push((version, revision.meeting, change));
        }
    }
    if !dry_run {
        for (version, meeting, change) in writes {
            record::put(services, &meeting, version).await?;
            services.audit(actor, &format!("meeting apply ({change})"), Some(meeting.lead()), meeting.id.as_str()).await?;
        }
    }
    Ok(applied)
}

/// Writes one meeting that was made in another way than by a file (a page, a mail), with the same consequences.
///
/// # Errors
/// When somebody else changed it at the same moment, or the store fails.
pub async fn put(services: &Services, actor: &Actor, wanted: Meeting) -> Result<Meeting, Failure> {
    let (version, next) = match record::find(services, &wanted.id).await? {
        None => (0, wanted),
        Some((version, old)) => {
            let revision = old.revised(wanted, &services.config.meetings, services.now(), &actor.name);
            if !revision.differs {
                return Ok(revision.meeting);
            }
            (version, revision.meeting)
        }
    };
    record::put(services, &next, version).await?;
    services.audit(actor, "meeting change", Some(next.lead()), next.id.as_str()).await?;
    Ok(next)
}

/// All meetings, of one group or of all, the earliest first.
///
/// # Errors
/// When the store fails.
pub async fn meetings(services: &Services, group: Option<&GroupCode>) -> Result<Vec<Meeting>, Failure> {
    let mut meetings = record::all(services).await?;
    if let Some(group) = group {
        meetings.retain(|meeting| meeting.active_groups().any(|code| code == group));
    }
    meetings.sort_by_key(|meeting| (meeting.opens(), meeting.id.clone()));
    Ok(meetings)
}

/// `meeting list`.
///
/// # Errors
/// When the store fails.
pub async fn list(services: &Services, group: Option<&GroupCode>) -> Result<Vec<view::Line>, Failure> {
    let now = services.now();
    Ok(meetings(services, group).await?.iter().map(|meeting| view::line(meeting, now)).collect())
}

/// The record.
///
/// # Errors
/// When there is none of that id.
pub async fn find(services: &Services, id: &MeetingId) -> Result<Meeting, Failure> {
    Ok(found(services, id).await?.1)
}

/// `meeting show`.
///
/// # Errors
/// When there is none of that id.
pub async fn show(services: &Services, id: &MeetingId) -> Result<view::Show, Failure> {
    Ok(view::show(&find(services, id).await?, &services.config.meetings, services.now()))
}

/// `meeting plan`: every notice that was, is and will be sent, or is not, with its reason.
///
/// # Errors
/// When there is none of that id.
pub async fn plan(services: &Services, id: &MeetingId) -> Result<view::Plan, Failure> {
    let meeting = find(services, id).await?;
    let marks = record::marks(services, id).await?;
    Ok(view::plan(&meeting, &planned(services, &meeting, &marks), &marks, settings(services, &meeting).zone))
}

/// `meeting cancel`: readers are told, calendars take it back.
///
/// # Errors
/// When there is none of that id, or it was held.
pub async fn cancel(services: &Services, actor: &Actor, id: &MeetingId, dry_run: bool) -> Result<Meeting, Failure> {
    set_status(services, actor, id, MeetingStatus::Cancelled, dry_run).await
}

/// Not on these dates; new ones may follow by [`apply`].
///
/// # Errors
/// When there is none of that id, or it was held.
pub async fn postpone(services: &Services, actor: &Actor, id: &MeetingId, dry_run: bool) -> Result<Meeting, Failure> {
    set_status(services, actor, id, MeetingStatus::Postponed, dry_run).await
}

async fn set_status(services: &Services, actor: &Actor, id: &MeetingId, status: MeetingStatus, dry_run: bool) -> Result<Meeting, Failure> {
    let (version, meeting) = found(services, id).await?;
    let now = services.now();
    if meeting.status_at(now) >= MeetingStatus::Held {
        return Err(Failure::Invalid(format!("{id} was held; it cannot be {} any more", status.as_str())));
    }
    let revision = meeting.with_status(status, &services.config.meetings, now, &actor.name);
    if revision.differs && !dry_run {
        record::put(services, &revision.meeting, version).await?;
        services.audit(actor, &format!("meeting {}", status.as_str()), Some(meeting.lead()), id.as_str()).await?;
    }
    Ok(revision.meeting)
}

/// One group of a joint meeting leaves it: an update to the rest, a cancellation to its own subscribers.
///
/// # Errors
/// When it leads the meeting, or does not hold it.
pub async fn withdraw(services: &Services, actor: &Actor, id: &MeetingId, group: &GroupCode, dry_run: bool) -> Result<Meeting, Failure> {
    let (version, meeting) = found(services, id).await?;
    let revision = meeting.without(group, &services.config.meetings, services.now(), &actor.name).map_err(Failure::Invalid)?;
    if !dry_run {
        record::put(services, &revision.meeting, version).await?;
        services.audit(actor, "meeting withdraw", Some(group), id.as_str()).await?;
    }
    Ok(revision.meeting)
}

/// `meeting ics`: the calendar object that a reader of the leading group's languages gets.
///
/// # Errors
/// When there is none of that id.
pub async fn ics(services: &Services, id: &MeetingId) -> Result<String, Failure> {
    let meeting = find(services, id).await?;
    let gone = matches!(meeting.status, MeetingStatus::Cancelled | MeetingStatus::Postponed);
    let method = if gone { Method::Cancel } else { Method::Publish };
    let group = services.group(meeting.lead())?;
    let first = group.languages.first().copied().unwrap_or(Language::ENGLISH);
    Ok(texts::with_setting(services, &group, first, false, |setting| calendar::object(&meeting, &method, setting)))
}

/// The public feed of a group: announced meetings, cancelled ones as cancelled, drafts not.
///
/// # Errors
/// When there is no such group.
pub async fn feed(services: &Services, group: &GroupCode) -> Result<Feed, Failure> {
    let group = services.group(group)?;
    let meetings = meetings(services, Some(&group.code)).await?;
    let first = group.languages.first().copied().unwrap_or(Language::ENGLISH);
    let name = group.name.best(&group.languages).cloned().unwrap_or_else(|| group.code.to_string());
    Ok(texts::with_setting(services, &group, first, true, |setting| calendar::feed(&name, &meetings, setting)))
}

async fn found(services: &Services, id: &MeetingId) -> Result<(u64, Meeting), Failure> {
    let unknown = || Failure::NotFound(format!("there is no meeting {id}; `enlace meeting list` shows all"));
    record::find(services, id).await?.ok_or_else(unknown)
}

/// What the leading group says about notices; a group that is gone leaves it to the service.
fn settings(services: &Services, meeting: &Meeting) -> Settings {
    let groups = services.groups();
    Settings { zone: groups.get(meeting.lead()).map_or(services.config.service.timezone, |group: &std::sync::Arc<Group>| group.timezone) }
}

fn planned(services: &Services, meeting: &Meeting, marks: &Marks) -> Vec<Notice> {
    let settings = settings(services, meeting);
    notices::plan(meeting, &services.config.meetings, settings, &record::sent(marks), services.now())
}

fn due(notices: &[Notice]) -> impl Iterator<Item = &Notice> {
    notices.iter().filter(|notice| notice.state == NoticeState::Due)
}

/// A warning of `apply`: never a refusal, because real letters miss the rule (ITU-T A.1 1.3.2, "as far as practicable").
fn lead_warning(services: &Services, meeting: &Meeting) -> Option<String> {
    let lead = services.config.meetings.letter(meeting.planned);
    let by = lead.before(meeting.first_day());
    let announced = meeting.announced_at?.with_timezone(&settings(services, meeting).zone).date_naive();
    (announced > by && meeting.status.takes_place() && meeting.closes() > services.now()).then(|| {
        format!("{}: announced on {announced}, and the letter was due on {by}, {lead} before the meeting (ITU-T A.1 1.3.2)", meeting.id)
    })
}
