//! Meetings: apply, list, show, plan, cancel, postpone, withdraw, and send what is due.
//!
//! A person changes the record; what readers are told follows from it by `domain::meeting::notices`, and [`send_due`]
//! carries it out. Nothing is decided here.

mod acts;
mod feeds;
pub mod file;
mod invitations;
mod joiners;
pub mod mailed;
mod recall;
mod record;
mod send;
mod texts;
pub mod view;
mod weekly;
mod wording;
mod written;

use std::path::Path;

use crate::domain::group::{Group, GroupCode};
use crate::domain::language::Language;
use crate::domain::meeting::{Deadline, LeadTimes, Meeting, MeetingId, MeetingStatus, Notice, NoticeState, Revision, Settings, notices};
use crate::domain::mistake::Mistake;
use crate::mail::calendar::{self, Method};
use crate::service::{Actor, Failure, Services};
use record::Marks;

pub use acts::{Given, Reported, cancel, letter, postpone, report, withdraw};
pub use feeds::{feed, feed_link, feed_number, private_feed};
pub use joiners::{joined, left};
pub use recall::goes_out_at;
pub use send::{Preview, preview, said_by, send_due};
pub use texts::outlook;
pub use weekly::send_outlook;
pub use written::{sample, written};

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
    let mut applied = view::Applied { meetings: Vec::new(), warnings: reading.warnings, mails: Vec::new(), dry_run };
    let mut writes = Vec::new();
    for wanted in reading.meetings {
        let lead_times = &lead_times(services, &wanted);
        let (version, change, revision) = match record::find(services, &wanted.id).await? {
            None => (0, "new", Revision { meeting: wanted, differs: true, published: false, fields: Vec::new() }),
            Some((version, old)) => {
                refuse_draft(&old, &wanted)?;
                let revision = old.revised(wanted, lead_times, now, &actor.name);
                (version, if revision.differs { "changed" } else { "unchanged" }, revision)
            }
        };
        let meeting = &revision.meeting;
        let (_, plan) = recall::expected(services, meeting).await?;
        applied.meetings.push(view::AppliedMeeting {
            id: meeting.id.to_string(),
            change,
            state: meeting.status_at(now).as_str().to_owned(),
            sequence: meeting.sequence,
            fields: view::fields(&revision.fields),
            due: due(&plan).map(|notice| notice.key.to_string()).collect(),
            goes_out_at: recall::goes_out_at(services, meeting).await?,
        });
        applied.warnings.extend(lead_warning(services, meeting));
        if dry_run {
            applied.mails.extend(preview(services, meeting).await?);
        }
        if revision.differs {
            writes.push((version, revision.meeting, change));
        }
    }
    if !dry_run {
        for (version, meeting, change) in writes {
            record::put(services, &meeting, version).await?;
            recall::recall(services, &meeting).await?;
            services.audit(actor, &format!("meeting apply ({change})"), Some(meeting.lead()), meeting.id.as_str()).await?;
        }
    }
    Ok(applied)
}

/// Every group that the meetings of a file's text would speak to, each once; nothing is written.
///
/// # Errors
/// As [`apply`].
pub fn concerned(services: &Services, file: &Path, text: &str) -> Result<Vec<GroupCode>, Failure> {
    let groups = services.groups();
    let known = file::Known { file, groups: &groups, domain: &services.site.domain, now: services.now() };
    let reading = file::read(text, &known).map_err(|error| Failure::Invalid(error.to_string()))?;
    let mut named: Vec<GroupCode> = reading.meetings.iter().flat_map(|meeting| meeting.concerned_groups()).cloned().collect();
    named.sort();
    named.dedup();
    Ok(named)
}

/// The calendar object of a meeting for everybody: without passcodes.
///
/// # Errors
/// When its leading group is gone.
pub fn public_object(services: &Services, meeting: &Meeting) -> Result<String, Failure> {
    let gone = matches!(meeting.status, MeetingStatus::Cancelled | MeetingStatus::Postponed);
    let method = if gone { Method::Cancel } else { Method::Publish };
    let group = services.group(meeting.lead())?;
    let first = group.languages.first().copied().unwrap_or(Language::ENGLISH);
    Ok(texts::with_setting(services, &group, first, true, |setting| calendar::object(meeting, &method, setting)))
}

/// Writes one meeting that was made in another way than by a file (a page, a mail), with the same consequences.
///
/// # Errors
/// When somebody else changed it at the same moment, or the store fails.
pub async fn put(services: &Services, actor: &Actor, wanted: Meeting) -> Result<Meeting, Failure> {
    let (version, next) = match record::find(services, &wanted.id).await? {
        None => (0, wanted),
        Some((version, old)) => {
            refuse_draft(&old, &wanted)?;
            let revision = old.revised(wanted.clone(), &lead_times(services, &wanted), services.now(), &actor.name);
            if !revision.differs {
                return Ok(revision.meeting);
            }
            (version, revision.meeting)
        }
    };
    record::put(services, &next, version).await?;
    recall::recall(services, &next).await?;
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
        meetings.retain(|meeting| meeting.concerned_groups().contains(&group));
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
    let meeting = find(services, id).await?;
    Ok(view::show(&meeting, &lead_times(services, &meeting), services.now()))
}

/// The deadlines of a meeting, by the lead times of the group that leads it.
pub fn deadlines(services: &Services, meeting: &Meeting) -> Vec<Deadline> {
    lead_times(services, meeting).deadlines_of(meeting)
}

/// `meeting plan`: every notice that was, is and will be sent, or is not, with its reason.
///
/// # Errors
/// When there is none of that id.
pub async fn plan(services: &Services, id: &MeetingId) -> Result<view::Plan, Failure> {
    let meeting = find(services, id).await?;
    let marks = record::marks(services, id).await?;
    let held_back = recall::held_back(services, &marks).await?;
    Ok(view::plan(&meeting, &planned(services, &meeting, &marks), (&marks, &held_back), settings(services, &meeting).zone))
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

/// What was announced cannot become a draft again: readers have it, or are about to.
fn refuse_draft(old: &Meeting, wanted: &Meeting) -> Result<(), Failure> {
    match wanted.status {
        MeetingStatus::Draft if old.announced_at.is_some() => Err(Mistake::MeetingPublished.about([&old.id]).into()),
        _ => Ok(()),
    }
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

/// The lead times of a meeting: those of the group that leads it, over the service's.
pub(in crate::service) fn lead_times(services: &Services, meeting: &Meeting) -> LeadTimes {
    let service = &services.config.meetings;
    services.groups().get(meeting.lead()).map_or_else(|| service.clone(), |group| group.meetings.over(service))
}

fn planned(services: &Services, meeting: &Meeting, marks: &Marks) -> Vec<Notice> {
    let settings = settings(services, meeting);
    notices::plan(meeting, &lead_times(services, meeting), settings, &record::sent(marks), services.now())
}

fn due(notices: &[Notice]) -> impl Iterator<Item = &Notice> {
    notices.iter().filter(|notice| notice.state == NoticeState::Due)
}

/// A warning of `apply`: never a refusal, because real letters miss the rule (ITU-T A.1 1.3.2, "as far as practicable").
fn lead_warning(services: &Services, meeting: &Meeting) -> Option<String> {
    let lead = lead_times(services, meeting).letter(meeting.planned);
    let by = lead.before(meeting.first_day());
    let announced = meeting.announced_at?.with_timezone(&settings(services, meeting).zone).date_naive();
    (announced > by && meeting.status.takes_place() && meeting.closes() > services.now()).then(|| {
        format!("{}: announced on {announced}, and the letter was due on {by}, {lead} before the meeting (ITU-T A.1 1.3.2)", meeting.id)
    })
}
