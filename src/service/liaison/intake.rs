//! A mail with a statement: read, put where it belongs, judged, kept.
//!
//! Where it belongs: the same again, a further language, a correction, a replacement of what has not gone out, or a new
//! statement. Those who keep a statement of one group at the same time take turns, so that two languages mailed in the same
//! second are one statement. The surprise: reading is bounded and may fail, the mail is safe before (it is a post of its own).

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{Mutex, Semaphore};

use super::place::{Place, Sender, place};
use super::record::{self, Dossier};
use super::{files, judge, receipt};
use crate::domain::address::EmailAddress;
use crate::domain::group::Group;
use crate::domain::id::{LiaisonId, PostId};
use crate::domain::language::Language;
use crate::domain::liaison::event::EventKind;
use crate::domain::liaison::routing::{self, Release};
use crate::domain::liaison::statement::{Attachment, Statement};
use crate::mail::content;
use crate::mail::statement::record::Frame;
use crate::mail::statement::{self as reading, Posted, Reading};
use crate::service::quarantine::Work;
use crate::service::{Failure, Services};
use crate::store::StoreError;

/// Mails read at the same time; others wait in order.
static READERS: Semaphore = Semaphore::const_new(2);
/// Statements kept at the same time by this process.
static TURN: Mutex<()> = Mutex::const_new(());
/// How often a turn is taken again because another daemon had one in between.
const MOST_TURNS: usize = 20;

/// A mail, read.
#[derive(Debug, Clone)]
pub struct Mail {
    /// What it brought.
    pub posted: Posted,
    /// What was understood.
    pub reading: Reading,
    /// Its files by content, in their order.
    pub files: Vec<Attachment>,
}

/// A mail on its way into the register.
#[derive(Debug, Clone)]
pub struct NewMail<'a> {
    /// As read.
    pub mail: Mail,
    /// For which group.
    pub group: Arc<Group>,
    /// Who posted it, proved.
    pub poster: &'a EmailAddress,
    /// The post that keeps its bytes.
    pub post: Option<PostId>,
}

/// What became of a mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answered {
    /// A new statement.
    New(LiaisonId),
    /// Further languages of one that is there.
    LanguageAdded(LiaisonId),
    /// A corrected issue of one that is there.
    Corrected(LiaisonId),
    /// Another version of one that has not gone out.
    Replaced(LiaisonId),
    /// The same again: nothing changes.
    Repeated(LiaisonId),
}

impl Answered {
    /// Which statement.
    pub fn id(self) -> LiaisonId {
        match self {
            Self::New(id) | Self::LanguageAdded(id) | Self::Corrected(id) | Self::Replaced(id) | Self::Repeated(id) => id,
        }
    }
}

/// Reads a mail, off the threads that serve sessions, a few at a time.
///
/// # Errors
/// When it is malformed beyond reading.
pub async fn read(services: &Services, bytes: Bytes) -> Result<Mail, Failure> {
    read_as(services, bytes, false).await
}

/// The same; of an answer, what is quoted in it is left out.
pub(super) async fn read_as(services: &Services, bytes: Bytes, is_answer: bool) -> Result<Mail, Failure> {
    let _place = READERS.acquire().await;
    let work = |stage| Work::on_message(&bytes, bytes.len() as u64, stage);
    let whole = bytes.clone();
    let parse = move || content::parse(&whole).map(|message| Posted::of_message(&message));
    let mut posted = services.quarantine.run_aside(&work("parts"), &bytes, parse).await?.map_err(Failure::Refused)?;
    if is_answer {
        for text in &mut posted.texts {
            text.text = own_lines(&text.text);
        }
    }
    super::pdf::add_texts(&mut posted).await;
    let labels = services.texts.labels().clone();
    let read = move || {
        let reading = reading::read(&posted, &labels);
        let files = files::hashed(&posted, &reading.macros);
        Mail { posted, reading, files }
    };
    Ok(services.quarantine.run_aside(&work("statement"), &bytes, read).await?)
}

/// What stands above the first quoted line.
fn own_lines(text: &str) -> String {
    text.lines().take_while(|line| !line.trim_start().starts_with('>')).collect::<Vec<_>>().join("\n")
}

/// The group that a mail to `liaison@` belongs to, by its own source and destinations.
pub fn group_of(services: &Services, mail: &Mail) -> Option<Arc<Group>> {
    let groups = judge::groups(services);
    let found = reading::record::group_of(&mail.reading, services.texts.labels(), &groups)?;
    services.groups().get(&found.code).cloned()
}

/// What would become of the mail: its dossier with problems; nothing is kept.
///
/// # Errors
/// When the store fails.
pub async fn preview(services: &Services, mail: &Mail, group: &Group, poster: Option<&EmailAddress>) -> Result<Dossier, Failure> {
    let others = record::all(services).await?;
    let id = LiaisonId::new(services.now(), services.chance());
    let statement = statement(services, mail, group, id, &mail.files);
    let mut dossier = match place(&statement, Sender { posted: &mail.posted, poster }, &others) {
        Place::New => dossier(mail, statement, poster),
        Place::Language(at) => with_languages(&others[at], &statement, mail),
        Place::Correction(at) | Place::Replacement(at) => replaced(&others[at], statement, mail),
        Place::Repeated(at) => return Ok(others[at].clone()),
    };
    let others: Vec<Dossier> = others.into_iter().filter(|other| other.statement.id != dossier.statement.id).collect();
    judge::judge(services, &mut dossier, &others).await?;
    settle(services, group, &mut dossier);
    Ok(dossier)
}

/// Was a mail of that Message-ID taken for the group before?
///
/// # Errors
/// When the store fails.
pub async fn taken_before(services: &Services, group: &Group, message_id: &str) -> Result<Option<LiaisonId>, Failure> {
    let all = record::all(services).await?;
    let known =
        all.iter().find(|other| other.statement.group == group.code && other.statement.message_ids.iter().any(|id| id == message_id));
    Ok(known.map(|other| other.statement.id))
}

/// Puts the mail into the register and, when nothing holds it, on its way out.
///
/// # Errors
/// When the store fails; the same mail may come again.
pub async fn submit(services: &Services, new: NewMail<'_>) -> Result<Answered, Failure> {
    let _turn = TURN.lock().await;
    let mut mail = new.mail;
    files::store(services, &mail.posted, &mut mail.files).await?;
    for _ in 0..MOST_TURNS {
        let (version, number) = record::turn(services, &new.group.code).await?;
        let others = record::all(services).await?;
        let id = LiaisonId::new(services.now(), services.chance());
        let statement = statement(services, &mail, &new.group, id, &mail.files);
        let (answered, at) = match place(&statement, Sender { posted: &mail.posted, poster: Some(new.poster) }, &others) {
            Place::Repeated(at) => {
                // Whoever was cut off between the record and its time did not get a positive answer, and comes again.
                if !others[at].is_out() {
                    schedule(services, &others[at]).await?;
                }
                return Ok(Answered::Repeated(others[at].statement.id));
            }
            Place::New => (Answered::New(id), None),
            Place::Language(at) => (Answered::LanguageAdded(others[at].statement.id), Some(at)),
            Place::Correction(at) => (Answered::Corrected(others[at].statement.id), Some(at)),
            Place::Replacement(at) => (Answered::Replaced(others[at].statement.id), Some(at)),
        };
        let (expected, mut dossier) = match at {
            None => (0, dossier(&mail, statement, Some(new.poster))),
            Some(at) => {
                let Some((version, present)) = record::find(services, others[at].statement.id).await? else { continue };
                let next = match answered {
                    Answered::LanguageAdded(_) => with_languages(&present, &statement, &mail),
                    _ => replaced(&present, statement, &mail),
                };
                (version, next)
            }
        };
        dossier.mails.extend(new.post);
        note(services, at.map(|at| &others[at].statement), &mut dossier, answered, new.poster, &mail);
        let others: Vec<Dossier> = others.into_iter().filter(|other| other.statement.id != dossier.statement.id).collect();
        judge::judge(services, &mut dossier, &others).await?;
        settle(services, &new.group, &mut dossier);
        let given = if dossier.statement.number.is_none() && !dossier.statement.has_errors() { number + 1 } else { number };
        if given != number {
            dossier.statement.number = Some(given);
        }
        match record::put(services, &dossier, expected).await {
            Ok(()) => {}
            Err(Failure::Store(StoreError::Unavailable(_))) => continue,
            Err(other) => return Err(other),
        }
        if !record::end_turn(services, &new.group.code, version, given).await? {
            if expected == 0 {
                record::forget(services, id).await?;
            }
            continue;
        }
        schedule(services, &dossier).await?;
        return Ok(answered);
    }
    Err(Failure::Store(StoreError::Unavailable(format!("too many write statements of {} at once; try again", new.group.code))))
}

/// Notes in the record when the dossier is to be looked at.
pub(super) async fn schedule(services: &Services, dossier: &Dossier) -> Result<(), Failure> {
    for at in [dossier.goes_out_at, dossier.waits_until].into_iter().flatten() {
        record::put_due(services, at, dossier.statement.id).await?;
    }
    Ok(())
}

fn statement(services: &Services, mail: &Mail, group: &Group, id: LiaisonId, stored: &[Attachment]) -> Statement {
    let groups = judge::groups(services);
    let frame = Frame { id, group: group.code.clone(), now: services.now(), groups: &groups, stored };
    reading::record::statement(&mail.reading, &mail.posted, services.texts.labels(), &frame)
}

fn dossier(mail: &Mail, statement: Statement, poster: Option<&EmailAddress>) -> Dossier {
    let mut dossier = Dossier::new(statement);
    dossier.poster = poster.cloned();
    dossier.doubts.clone_from(&mail.reading.doubts);
    dossier.found = receipt::places(&mail.reading);
    dossier.answers.clone_from(&mail.posted.answers);
    dossier
}

/// The dossier with the languages of the mail that it lacks.
fn with_languages(present: &Dossier, statement: &Statement, mail: &Mail) -> Dossier {
    let mut next = present.clone();
    for edition in &statement.editions {
        if next.statement.edition(edition.language).is_none() {
            next.statement.editions.push(edition.clone());
        }
    }
    for (language, text) in &statement.summary.0 {
        next.statement.summary.0.entry(*language).or_insert_with(|| text.clone());
    }
    next.statement.message_ids.extend(statement.message_ids.iter().cloned());
    for place in receipt::places(&mail.reading).into_iter().filter(|(field, _)| field.starts_with("title")) {
        if !next.found.contains(&place) {
            next.found.push(place);
        }
    }
    next
}

/// The dossier with everything of the mail in the place of what it had; its history stays.
fn replaced(present: &Dossier, statement: Statement, mail: &Mail) -> Dossier {
    let mut next = dossier(mail, statement, present.poster.as_ref());
    let (new, old) = (&mut next.statement, &present.statement);
    new.id = old.id;
    new.number = old.number;
    new.events.clone_from(&old.events);
    let mut ids = old.message_ids.clone();
    ids.append(&mut new.message_ids);
    new.message_ids = ids;
    next.mails.clone_from(&present.mails);
    next.sent.clone_from(&present.sent);
    next
}

fn note(services: &Services, had: Option<&Statement>, dossier: &mut Dossier, answered: Answered, poster: &EmailAddress, mail: &Mail) {
    let now = services.now();
    let by = poster.to_string();
    let revision = dossier.revision();
    let is_new = |language: &Language| had.is_none_or(|had| had.edition(*language).is_none());
    let added: Vec<Language> = mail.reading.editions.iter().map(|edition| edition.language).filter(is_new).collect();
    let statement = &mut dossier.statement;
    match answered {
        Answered::New(_) | Answered::Repeated(_) => statement.record(now, by, EventKind::Received),
        Answered::Replaced(_) => {
            let titles = had.map(|had| had.title().0.into_values().collect::<Vec<_>>().join(" / ")).unwrap_or_default();
            statement.record(now, by.clone(), EventKind::Replaced(titles));
            statement.record(now, by, EventKind::Received);
        }
        Answered::Corrected(_) => statement.record(now, by, EventKind::Corrected(revision)),
        Answered::LanguageAdded(_) => {
            for language in added {
                statement.record(now, by.clone(), EventKind::LanguageAdded(language));
            }
        }
    }
}

/// What follows from the problems: held, waiting for a language, or on its way with the grace time.
pub(super) fn settle(services: &Services, group: &Group, dossier: &mut Dossier) {
    use crate::domain::liaison::statement::Level;
    let now = services.now();
    let out = dossier.languages_out();
    let statement = &mut dossier.statement;
    let count = |level| u32::try_from(statement.problems.iter().filter(|problem| problem.level == level).count()).unwrap_or(u32::MAX);
    let (errors, warnings) = (count(Level::Error), count(Level::Warning));
    statement.record(now, "enlace", EventKind::Parsed { errors, warnings });
    if errors > 0 {
        let mut rules: Vec<String> =
            statement.problems.iter().filter(|problem| problem.level == Level::Error).map(|problem| problem.rule.clone()).collect();
        rules.dedup();
        statement.record(now, "enlace", EventKind::Held(rules.join(", ")));
        dossier.goes_out_at = None;
        return;
    }
    match routing::release(statement, group, now) {
        Release::OnPerson { missing } if out.is_empty() && !missing.is_empty() => {
            statement.record(now, "enlace", EventKind::AwaitsEditions(None));
            dossier.goes_out_at = None;
        }
        Release::OnPerson { .. } => approve(services, group, dossier, None),
        Release::Now { until, .. } => approve(services, group, dossier, until),
    }
}

/// Free to go out when the grace time is over.
pub(super) fn approve(services: &Services, group: &Group, dossier: &mut Dossier, until: Option<chrono::DateTime<chrono::Utc>>) {
    let now = services.now();
    let grace = chrono::TimeDelta::from_std(group.grace).unwrap_or_default();
    dossier.statement.record(now, "enlace", EventKind::Approved);
    dossier.goes_out_at = Some(now + grace);
    // The wait counts from the first mail, whatever comes later.
    dossier.waits_until = match (dossier.waits_until, until) {
        (Some(first), Some(_)) if dossier.is_out() => Some(first),
        (_, until) => until,
    };
}
