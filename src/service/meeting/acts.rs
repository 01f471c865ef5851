//! What a person does with a meeting besides writing it down: cancel, postpone, withdraw, add its letter or its report.
//!
//! Each act changes the record; what readers are told follows from it.

use bytes::Bytes;

use super::recall::recall;
use super::{found, lead_times, record};
use crate::domain::group::GroupCode;
use crate::domain::meeting::{Attachment, Letter, Meeting, MeetingId, MeetingStatus, Report, Revision};
use crate::domain::mistake::Mistake;
use crate::mail::content::clean_name;
use crate::service::{Actor, Failure, Services};
use crate::store::BodySource;

/// Largest letter or report in octets: with its encoding it stays below what mail systems take.
const MOST_OCTETS: usize = 15 << 20;
/// Longest reference or address.
const MOST_CHARACTERS: usize = 500;

/// A file that somebody gave, such as a letter as PDF.
#[derive(Debug, Clone)]
pub struct Given<'a> {
    /// Its name; folders and controls are taken out.
    pub name: &'a str,
    /// Its octets.
    pub bytes: &'a [u8],
}

/// `meeting cancel`: readers are told, calendars take it back.
///
/// # Errors
/// When there is none of that id, or it was held.
pub async fn cancel(services: &Services, actor: &Actor, id: &MeetingId, dry_run: bool) -> Result<Meeting, Failure> {
    set_status(services, actor, id, MeetingStatus::Cancelled, dry_run).await
}

/// `meeting postpone`: not on these dates; new ones may follow by [`super::apply`].
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
        return Err(Mistake::MeetingHeld.about([id.as_str(), status.as_str()]).into());
    }
    let revision = meeting.with_status(status, &lead_times(services, &meeting), now, &actor.name);
    write(services, actor, version, revision, &format!("meeting {}", status.as_str()), dry_run).await
}

/// `meeting withdraw`: one group of a joint meeting leaves it, an update to the rest and a cancellation to its own subscribers.
///
/// # Errors
/// When it leads the meeting, or does not hold it.
pub async fn withdraw(services: &Services, actor: &Actor, id: &MeetingId, group: &GroupCode, dry_run: bool) -> Result<Meeting, Failure> {
    let (version, meeting) = found(services, id).await?;
    let revision = meeting.without(group, &lead_times(services, &meeting), services.now(), &actor.name)?;
    if dry_run {
        return Ok(revision.meeting);
    }
    record::put(services, &revision.meeting, version).await?;
    recall(services, &revision.meeting).await?;
    services.audit(actor, "meeting withdraw", Some(group), id.as_str()).await?;
    Ok(revision.meeting)
}

/// `meeting letter`: the letter that convenes the meeting; its file goes with the announcement and with later changes.
///
/// # Errors
/// When there is no such meeting, the reference is missing, or the file is no document of a bearable size.
pub async fn letter(
    services: &Services,
    actor: &Actor,
    id: &MeetingId,
    reference: Option<&str>,
    file: Option<Given<'_>>,
    dry_run: bool,
) -> Result<Meeting, Failure> {
    let (version, meeting) = found(services, id).await?;
    let known = meeting.letter.as_ref();
    let reference = match (reference, known) {
        (Some(text), _) => line(text).ok_or_else(|| Mistake::LetterUnclear.plain())?,
        (None, Some(known)) => known.reference.clone(),
        (None, None) => return Err(Mistake::LetterUnnamed.about([id]).into()),
    };
    let file = match file {
        Some(given) => Some(kept(services, &given, dry_run).await?),
        None => known.and_then(|letter| letter.file.clone()),
    };
    let revision = meeting.with_letter(Letter { reference, file }, &lead_times(services, &meeting), services.now(), &actor.name);
    write(services, actor, version, revision, "meeting letter", dry_run).await
}

/// `meeting report`: the report of a meeting that is over; it goes to its groups and to their parents.
///
/// # Errors
/// When there is no such meeting, it is not over or did not take place, or reference or file are no good.
pub async fn report(services: &Services, actor: &Actor, id: &MeetingId, report: Reported<'_>, dry_run: bool) -> Result<Meeting, Failure> {
    let (version, meeting) = found(services, id).await?;
    let now = services.now();
    let reference = line(report.reference).ok_or_else(|| Mistake::ReportUnclear.plain())?;
    let url =
        report.url.map(|url| web_address(url).ok_or_else(|| Mistake::WebAddressUnclear.about([url]))).transpose()?.unwrap_or_default();
    let file = match report.file {
        Some(given) => Some(kept(services, &given, dry_run).await?),
        None => None,
    };
    let report = Report { reference, url, file, at: now, attendance: report.attendance };
    let revision = meeting.with_report(report, &lead_times(services, &meeting), now, &actor.name)?;
    write(services, actor, version, revision, "meeting report", dry_run).await
}

/// What is told of a report.
#[derive(Debug, Clone)]
pub struct Reported<'a> {
    /// Such as `SG12RG-AFR-R1`.
    pub reference: &'a str,
    /// Where it is to be read.
    pub url: Option<&'a str>,
    /// The report itself.
    pub file: Option<Given<'a>>,
    /// How many took part.
    pub attendance: Option<u32>,
}

async fn write(services: &Services, actor: &Actor, version: u64, revision: Revision, act: &str, dry_run: bool) -> Result<Meeting, Failure> {
    let meeting = revision.meeting;
    if revision.differs && !dry_run {
        record::put(services, &meeting, version).await?;
        recall(services, &meeting).await?;
        services.audit(actor, act, Some(meeting.lead()), meeting.id.as_str()).await?;
    }
    Ok(meeting)
}

fn line(text: &str) -> Option<String> {
    let text = text.trim();
    let bearable = !text.is_empty() && text.chars().count() <= MOST_CHARACTERS && !text.chars().any(char::is_control);
    bearable.then(|| text.to_owned())
}

fn web_address(text: &str) -> Option<String> {
    line(text).filter(|url| (url.starts_with("https://") || url.starts_with("http://")) && !url.contains(char::is_whitespace))
}

/// Keeps a file. Programs are not sent round: only documents are taken, told by their name.
async fn kept(services: &Services, given: &Given<'_>, dry_run: bool) -> Result<Attachment, Failure> {
    let name = clean_name(given.name).ok_or_else(|| Mistake::FileNameless.plain())?;
    let extension = name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase()).unwrap_or_default();
    let media_type = match extension.as_str() {
        "pdf" => "application/pdf",
        "docx" => "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        "doc" => "application/msword",
        "odt" => "application/vnd.oasis.opendocument.text",
        "txt" => "text/plain",
        _ => return Err(Mistake::FileKind.about([&name]).into()),
    };
    if given.bytes.is_empty() || given.bytes.len() > MOST_OCTETS {
        return Err(Mistake::FileSize.about([&name, &given.bytes.len().to_string(), &(MOST_OCTETS >> 20).to_string()]).into());
    }
    if extension == "pdf" && !given.bytes.starts_with(b"%PDF-") {
        return Err(Mistake::FileNotPdf.about([&name]).into());
    }
    let body = if dry_run {
        crate::domain::post::BodyRef { key: String::new(), octets: given.bytes.len() as u64 }
    } else {
        services.store.put_body(BodySource::Bytes(Bytes::copy_from_slice(given.bytes))).await?
    };
    Ok(Attachment { name, media_type: media_type.into(), body })
}
