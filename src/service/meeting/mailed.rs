//! Meetings that a manager or the secretariat mails to `L-announce@`: as an iCalendar object or as labelled lines.
//!
//! The mail goes the way of every announcement: proof, gate, grace time, a receipt that tells how to stop it. It is judged
//! while the session waits, so that a mistake is an answer and nothing changes. When its time has come the meeting is
//! written down instead of the mail being sent round, and the plan of notices does the rest. The same mail carried out
//! twice changes nothing the second time, because a meeting is known again by id, UID, or group, title and day.

use std::path::Path;
use std::sync::OnceLock;

use super::wording::{Unsaid, Wording};
use super::{Meeting, MeetingId, MeetingStatus, acts, file, lead_warning, meetings, put, send};
use crate::domain::gate::{self, Verdict};
use crate::domain::group::{Group, GroupCode};
use crate::domain::language::Language;
use crate::domain::meeting::labels::Labels;
use crate::domain::post::{MEETING_ORIGIN, Post, PostKind};
use crate::domain::proof::SenderProof;
use crate::domain::reason::{Reason, Rule};
use crate::mail::content;
use crate::mail::convening::{self, Convening};
use crate::service::quarantine::{PLANNING, Work};
use crate::service::{Actor, Failure, Services};

/// What a mail wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// A new meeting, or a new version of one.
    Meeting {
        /// As it will be.
        meeting: Box<Meeting>,
        /// Was it there before?
        is_change: bool,
        /// What is doubtful.
        warnings: Vec<String>,
    },
    /// One group leaves a joint meeting.
    Withdraw {
        /// Which meeting.
        meeting: Box<Meeting>,
        /// Which group.
        group: GroupCode,
    },
}

impl Wanted {
    /// The meeting it is about, as it will be.
    pub fn meeting(&self) -> &Meeting {
        match self {
            Self::Meeting { meeting, .. } | Self::Withdraw { meeting, .. } => meeting,
        }
    }
}

fn labels() -> &'static Labels {
    static LABELS: OnceLock<Labels> = OnceLock::new();
    LABELS.get_or_init(Labels::shipped)
}

/// The meeting that a message announces; `None` for an announcement in words.
pub fn read(bytes: &[u8]) -> Option<Convening> {
    convening::read(&content::parse(bytes).ok()?, labels())
}

fn unclear(text: impl Into<String>) -> Failure {
    Failure::Refused(Reason::new(Rule::MeetingUnclear, [text.into()]))
}

/// What the mail of `sender` to the announcement addresses of `groups` wants. Changes nothing.
///
/// # Errors
/// [`Failure::Refused`] with what is wrong and the label it is wrong at, or because the sender may not act for a group that it names.
pub async fn wanted(services: &Services, groups: &[&Group], sender: &SenderProof, convening: &Convening) -> Result<Wanted, Failure> {
    let Some(lead) = groups.first() else { return Err(unclear("it is for no group")) };
    let all = meetings(services, None).await?;
    let value = |slot: &str| convening.lines.iter().find(|line| line.slot == slot).map(|line| line.value.as_str());
    let known = match value("id") {
        Some(id) => {
            let id: MeetingId = id.parse().map_err(|error: String| unclear(format!("Id: {error}")))?;
            Some(
                all.iter()
                    .find(|m| m.id == id)
                    .ok_or_else(|| unclear(format!("Id: there is no meeting {id}; leave the line out for a new one")))?,
            )
        }
        None => convening.uid.as_ref().and_then(|uid| all.iter().find(|meeting| meeting.uid == *uid)),
    };
    if let Some(known) = known {
        let leaves = value("status").and_then(|status| labels().value(status)) == Some("withdrawn");
        if known.lead() != &lead.code && leaves {
            let without = known
                .without(&lead.code, &super::lead_times(services, known), services.now(), sender.author().as_str())
                .map_err(|advice| unclear(advice.to_string()))?;
            return Ok(Wanted::Withdraw { meeting: Box::new(without.meeting), group: lead.code.clone() });
        }
        if known.lead() != &lead.code {
            let text = format!(
                "{} leads {}: write to its announcement address, or withdraw {} by \"Status: withdrawn\"",
                known.lead(),
                known.id,
                lead.code
            );
            return Err(unclear(text));
        }
        if known.status_at(services.now()) >= MeetingStatus::Held {
            return Err(unclear(format!("{} was held and cannot be changed any more", known.id)));
        }
    } else if convening.cancels {
        return Err(unclear("it cancels a meeting that is not known here"));
    }
    let (mut meeting, warnings) = worded(services, groups, convening, known, &all)?;
    if let Some(same) = known.is_none().then(|| again(&all, &meeting)).flatten() {
        meeting = Meeting { id: same.id.clone(), uid: same.uid.clone(), ..meeting };
    }
    for code in meeting.concerned_groups().into_iter().filter(|code| !groups.iter().any(|group| group.code == **code)) {
        may_announce(services, code, sender, known).await?;
    }
    let is_change = all.iter().any(|other| other.id == meeting.id);
    Ok(Wanted::Meeting { meeting: Box::new(meeting), is_change, warnings })
}

/// The record that follows from the lines, checked by the rules of a file.
fn worded(
    services: &Services,
    groups: &[&Group],
    convening: &Convening,
    known: Option<&Meeting>,
    all: &[Meeting],
) -> Result<(Meeting, Vec<String>), Failure> {
    let lead = groups[0];
    let codes: Vec<String> = groups.iter().map(|group| group.code.to_string()).collect();
    let id = known.map_or_else(|| free_id(lead, convening, all), |known| known.id.to_string());
    let language = lead.languages.first().copied().unwrap_or(Language::ENGLISH);
    let unsaid = Unsaid { id: &id, known, groups: &codes, language };
    let wording = Wording::of(convening, &unsaid, labels()).map_err(unclear)?;
    let table = services.groups();
    let place = file::Known { file: Path::new("the mail"), groups: &table, domain: &services.site.domain, now: services.now() };
    let reading = file::read(&wording.text, &place).map_err(|error| {
        let label = wording.label_at(&error.place).map(|label| format!("{label}: ")).unwrap_or_default();
        let remedy = if error.remedy.is_empty() { String::new() } else { format!("; {}", error.remedy) };
        unclear(format!("{label}{}{remedy}", error.text.lines().next().unwrap_or_default()))
    })?;
    let Some(mut written) = reading.meetings.into_iter().next() else { return Err(unclear("it has no meeting")) };
    if let (None, Some(uid)) = (known, &convening.uid)
        && (1..=200).contains(&uid.len())
        && uid.bytes().all(|b| b.is_ascii_graphic())
    {
        written.uid.clone_from(uid);
    }
    let mut meeting = match known {
        Some(known) => overlaid(known, written, convening),
        None => written,
    };
    if convening.cancels {
        meeting.status = MeetingStatus::Cancelled;
    }
    Ok((meeting, reading.warnings))
}

/// A record that is there, with what the mail says of it.
fn overlaid(known: &Meeting, written: Meeting, convening: &Convening) -> Meeting {
    let mut meeting = known.clone();
    for line in &convening.lines {
        match line.slot {
            "groups" => meeting.groups.clone_from(&written.groups),
            // One language may change alone.
            "title" => meeting.title.0.extend(written.title.0.clone()),
            "venue" => meeting.venue.0.extend(written.venue.0.clone()),
            "host" => meeting.host.0.extend(written.host.0.clone()),
            "remote-notes" => meeting.remote_notes.0.extend(written.remote_notes.0.clone()),
            "start" | "end" | "timezone" => (meeting.span, meeting.zone) = (written.span, written.zone),
            "city" => meeting.city.clone_from(&written.city),
            "country" => meeting.country.clone_from(&written.country),
            "remote" => meeting.remote_url.clone_from(&written.remote_url),
            "registration-url" => meeting.registration_url.clone_from(&written.registration_url),
            "agenda" => meeting.agenda_url.clone_from(&written.agenda_url),
            "documents" => meeting.documents_url.clone_from(&written.documents_url),
            "contact" => meeting.contact.clone_from(&written.contact),
            "languages" => meeting.languages.clone_from(&written.languages),
            "audience" => meeting.audience = written.audience,
            "planned" => meeting.planned = written.planned,
            "status" => meeting.status = written.status,
            "letter" => meeting.letter.clone_from(&written.letter),
            _ => {}
        }
    }
    if !written.registration_url.is_empty() {
        meeting.registration_url.clone_from(&written.registration_url);
    }
    meeting.deadlines.extend(written.deadlines);
    if !written.parts.is_empty() {
        meeting.parts = written.parts;
    }
    meeting
}

/// The same meeting, mailed a second time without its id: the same leading group, a title in common, the same first day.
fn again<'a>(all: &'a [Meeting], meeting: &Meeting) -> Option<&'a Meeting> {
    let same_title = |other: &Meeting| meeting.title.0.iter().any(|(language, title)| other.title.get(*language) == Some(title));
    all.iter().find(|other| other.lead() == meeting.lead() && other.first_day() == meeting.first_day() && same_title(other))
}

/// `sg12rg-amr-2027`, or with a number behind it where that is taken.
fn free_id(lead: &Group, convening: &Convening, all: &[Meeting]) -> String {
    let start = convening.lines.iter().find(|line| line.slot == "start").map(|line| line.value.as_str()).unwrap_or_default();
    let years: Vec<&str> =
        start.split(|c: char| !c.is_ascii_digit()).filter(|figures| figures.len() == 4 && figures.starts_with("20")).collect();
    let front = match years.first() {
        Some(year) => format!("{}-{year}", lead.code.as_str().to_lowercase()),
        None => lead.code.as_str().to_lowercase(),
    };
    let taken = |id: &String| all.iter().any(|meeting| meeting.id.as_str() == id);
    let numbered = (2..10_000).map(|number| format!("{front}-{number}"));
    std::iter::once(front.clone()).chain(numbered).find(|id| !taken(id)).unwrap_or(front)
}

/// A group that the mail names and that it was not written to: the sender must be one who may announce there too.
async fn may_announce(services: &Services, code: &GroupCode, sender: &SenderProof, known: Option<&Meeting>) -> Result<(), Failure> {
    if known.is_some_and(|known| known.concerned_groups().contains(&code)) {
        return Ok(());
    }
    let group = services.group(code)?;
    let account = services.store.account_by_address(sender.author()).await?;
    let subscription = match &account {
        Some(account) => services.store.subscription(code, account.id).await?,
        None => None,
    };
    match gate::may_announce(&group, sender, account.as_ref(), subscription.as_ref(), services.today()) {
        Verdict::Accept(_) => Ok(()),
        // It waits for its author anyhow, and is judged again when he has answered.
        Verdict::Confirm(_) if !sender.is_proved() => Ok(()),
        Verdict::Hold(reason) | Verdict::Confirm(reason) | Verdict::Refuse(reason) => Err(Failure::Refused(reason)),
    }
}

/// Carries out what the post wants, if it is such a mail: its grace time is over and nobody stopped it. `true` if it was.
///
/// What has become impossible since it was accepted is logged and told to its author by the caller.
///
/// # Errors
/// [`Failure::Refused`] and the like when it cannot be done any more; the store's, and then it is to be tried again.
pub async fn carry_out(services: &Services, post: &Post) -> Result<bool, Failure> {
    if post.kind != PostKind::Announcement || post.origin != MEETING_ORIGIN {
        return Ok(false);
    }
    let (Some(sender), Some(edition)) = (&post.sender, post.editions.first()) else { return Ok(false) };
    let bytes = services.store.body(&edition.body).await?;
    let work = Work::on_post(post.id, PLANNING);
    let Some(convening) = services.quarantine.run(&work, &bytes, || read(&bytes)).await? else { return Ok(false) };
    let table = services.groups();
    let groups: Vec<&Group> = post.groups.iter().filter_map(|code| table.get(code)).map(AsRef::as_ref).collect();
    let actor = Actor::from(sender.author());
    let meeting = match wanted(services, &groups, sender, &convening).await? {
        Wanted::Meeting { meeting, .. } => put(services, &actor, *meeting).await?,
        Wanted::Withdraw { meeting, group } => acts::withdraw(services, &actor, &meeting.id, &group, false).await?,
    };
    // Its author had the grace time already, so the notice does not wait once more.
    send::send_at_once(services, &meeting).await?;
    Ok(true)
}

/// Warnings for the receipt: those of the file's rules, and the lead time.
pub fn warnings(services: &Services, wanted: &Wanted) -> Vec<String> {
    match wanted {
        Wanted::Meeting { meeting, warnings, .. } => warnings.iter().cloned().chain(lead_warning(services, meeting)).collect(),
        Wanted::Withdraw { .. } => Vec::new(),
    }
}

/// What the receipt shows of the meeting, in the writer's language.
pub fn shown(services: &Services, wanted: &Wanted, language: Language) -> serde_json::Value {
    let meeting = wanted.meeting();
    super::texts::meeting_context(services, meeting, super::settings(services, meeting).zone, language)
}
