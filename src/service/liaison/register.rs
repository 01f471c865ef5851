//! The register: one statement, all of them, a file of one.

use bytes::Bytes;
use chrono::{DateTime, NaiveDate, Utc};
use data_encoding::HEXLOWER;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::edition::{attachment_url, page_url, stem};
use super::judge;
use super::record::{self, Dossier};
use crate::domain::address::EmailAddress;
use crate::domain::group::GroupCode;
use crate::domain::id::LiaisonId;
use crate::domain::language::{Language, Localized};
use crate::domain::liaison::event::{EventKind, State, state};
use crate::domain::liaison::following;
use crate::domain::liaison::plain::key;
use crate::domain::liaison::routing::{Route, Target};
use crate::domain::liaison::statement::{Attachment, Contact, Direction, Purpose, Statement};
use crate::domain::liaison::view::LiaisonView;
use crate::mail::content;
use crate::mail::statement::Posted;
use crate::mail::statement::values::symbol;
use crate::service::{Failure, Services};

/// Texts of statements that one page of a search reads.
pub const TEXTS_READ: usize = 200;

/// Which statements are wanted; what is empty does not restrict.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Kept for this group.
    pub group: Option<GroupCode>,
    /// Which way.
    pub direction: Option<Direction>,
    /// At least one destination with this purpose.
    pub purpose: Option<Purpose>,
    /// State, as in JSON.
    pub state: Option<String>,
    /// `7/12`; `ALL/12` and `12` match every Question of the group.
    pub question: Option<String>,
    /// Deadline at this day or later.
    pub deadline_from: Option<NaiveDate>,
    /// Deadline at this day or earlier.
    pub deadline_to: Option<NaiveDate>,
    /// In names, titles, texts, sources, destinations, contacts, files; without regard to case and accents.
    pub text: Option<String>,
}

/// A statement in a list.
#[derive(Debug, Clone, Serialize)]
pub struct Line {
    /// Identifier.
    pub id: String,
    /// Symbol, or group and number.
    pub name: String,
    /// Group it is kept for.
    pub group: String,
    /// Number within the group.
    pub number: Option<u32>,
    /// Where it stands.
    pub state: &'static str,
    /// `incoming` or `outgoing`.
    pub direction: &'static str,
    /// The body it comes from.
    pub source: String,
    /// Title by language.
    pub title: Localized<String>,
    /// Bodies addressed, with the purpose of each.
    pub destinations: Vec<String>,
    /// Questions of source and destinations.
    pub questions: Vec<String>,
    /// Last day for the answer.
    pub deadline: Option<NaiveDate>,
    /// When the first mail came.
    pub received_at: Option<DateTime<Utc>>,
    /// When it first went out.
    pub circulated_at: Option<DateTime<Utc>>,
    /// Languages there are.
    pub languages: Vec<String>,
}

/// `liaison show`: the record, and what the service knows around it.
#[derive(Debug, Clone, Serialize)]
pub struct Shown {
    /// The record.
    #[serde(flatten)]
    pub view: LiaisonView,
    /// Symbol, or group and number.
    pub name: String,
    /// Its page.
    pub page: String,
    /// Who gets it, under which rule.
    pub routes: Vec<RouteView>,
    /// Days on which reminders are to go out.
    pub reminders: Vec<NaiveDate>,
    /// When it goes out, if it has not.
    pub goes_out_at: Option<DateTime<Utc>>,
    /// Until when readers wait for a missing language.
    pub waits_until: Option<DateTime<Utc>>,
    /// What went out; `enlace explain MESSAGE-ID` tells about each recipient.
    pub posts: Vec<PostView>,
    /// Files with their permanent addresses.
    pub files: Vec<FileView>,
}

/// A row of the routing table.
#[derive(Debug, Clone, Serialize)]
pub struct RouteView {
    /// `subscribers of SG12RG-AMR`, an address, or a body without one.
    pub to: String,
    /// The body.
    pub body: String,
    /// Key of the rule.
    pub rule: &'static str,
    /// The rule in words.
    pub reason: String,
    /// What it is asked for.
    pub purpose: &'static str,
    /// The row itself, for readers of other languages.
    #[serde(skip)]
    pub route: Route,
}

/// A post of the statement.
#[derive(Debug, Clone, Serialize)]
pub struct PostView {
    /// Identifier of the post.
    pub id: String,
    /// For `explain`.
    pub message_id: String,
    /// When.
    pub at: DateTime<Utc>,
    /// Revision.
    pub revision: u16,
    /// Languages in it.
    pub languages: Vec<String>,
}

/// A file.
#[derive(Debug, Clone, Serialize)]
pub struct FileView {
    /// Name to show.
    pub name: String,
    /// Content hash.
    pub sha256: String,
    /// Permanent address.
    pub url: String,
}

/// A file with its content.
#[derive(Debug, Clone)]
pub struct AttachmentFile {
    /// Name to show.
    pub name: String,
    /// Media type.
    pub media_type: String,
    /// Content.
    pub bytes: Bytes,
}

/// A statement as it stands, without judging anybody's right; `None` if there is none.
///
/// # Errors
/// When the store fails.
pub async fn statement(services: &Services, id: LiaisonId) -> Result<Option<Statement>, Failure> {
    Ok(record::find(services, id).await?.map(|(_, dossier)| dossier.statement))
}

/// The dossier with its version.
pub(super) async fn load(services: &Services, id: LiaisonId) -> Result<(u64, Dossier), Failure> {
    record::find(services, id).await?.ok_or_else(|| unknown(&id.to_string()))
}

fn unknown(name: &str) -> Failure {
    Failure::NotFound(format!("there is no liaison statement {name}; `enlace liaison list` shows all"))
}

/// The statement of that identifier, symbol (`SG12-TD364`, `SG12-TD364/WP1`) or number (`SG12RG-AMR-LS3`); of several the latest that
/// is not held for having the symbol of another.
///
/// # Errors
/// When there is none.
pub async fn find(services: &Services, name: &str) -> Result<LiaisonId, Failure> {
    if let Ok(id) = name.trim().parse::<LiaisonId>() {
        return load(services, id).await.map(|(_, dossier)| dossier.statement.id);
    }
    let compared = key(name);
    let numbered = |statement: &Statement| statement.number.map(|number| key(&format!("{}-LS{number}", statement.group)));
    let wanted = symbol(name);
    let has_symbol = |statement: &Statement| match (&statement.symbol, &wanted) {
        (Some(own), Some(wanted)) => own.is_same_document(wanted) && own.revision == wanted.revision,
        (Some(own), None) => key(&own.to_string()) == compared,
        (None, _) => key(&statement.name()) == compared,
    };
    let matches = |statement: &Statement| has_symbol(statement) || numbered(statement).as_ref() == Some(&compared);
    let all = record::outlines(services).await?;
    let found = all.iter().rev().filter(|dossier| !compared.is_empty() && matches(&dossier.statement));
    let found = found.min_by_key(|dossier| dossier.lost_its_symbol());
    found.map(|dossier| dossier.statement.id).ok_or_else(|| unknown(&format!("\"{}\"", name.escape_debug())))
}

/// Who posted the statement, if a person did.
///
/// # Errors
/// When there is none of that id.
pub async fn poster(services: &Services, id: LiaisonId) -> Result<Option<crate::domain::address::EmailAddress>, Failure> {
    Ok(load(services, id).await?.1.poster)
}

/// The day in the zone of a statement's group.
pub(super) fn today(services: &Services, group: &GroupCode) -> NaiveDate {
    let zone = services.groups().get(group).map_or(services.config.service.timezone, |group| group.timezone);
    services.now().with_timezone(&zone).date_naive()
}

/// Statements that pass the filter, the latest first.
///
/// # Errors
/// When the store fails.
pub async fn list(services: &Services, filter: &Filter) -> Result<Vec<Line>, Failure> {
    let lines = |all: &[Dossier]| {
        all.iter().rev().filter(|dossier| passes(services, filter, dossier)).map(|dossier| line(services, dossier)).collect()
    };
    // Only words are looked for in the texts.
    Ok(if filter.text.is_some() { lines(&record::all(services).await?) } else { lines(&record::outlines(services).await?) })
}

/// What a page finds by words.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// Statements that pass, the latest first.
    pub lines: Vec<Line>,
    /// Before which the search goes on; `None` when all were looked at.
    pub next: Option<LiaisonId>,
}

/// Statements that pass the filter and are older than `before`, the latest first; with words, reads the texts of at most `most` of them
/// ([`TEXTS_READ`] for a page). The outlines, which are in memory, decide on everything but the text.
///
/// # Errors
/// When the store fails.
pub async fn search(services: &Services, filter: &Filter, before: Option<LiaisonId>, most: usize) -> Result<Found, Failure> {
    let Some(text) = filter.text.clone().filter(|text| !text.trim().is_empty()) else {
        return Ok(Found { lines: list(services, &Filter { text: None, ..filter.clone() }).await?, next: None });
    };
    let others = Filter { text: None, ..filter.clone() };
    let outlines = record::outlines(services).await?;
    let (mut found, mut read, mut last) = (Found::default(), 0, None);
    let older = |id: LiaisonId| before.is_none_or(|before| id.to_string() < before.to_string());
    for dossier in outlines.iter().rev().filter(|dossier| older(dossier.statement.id) && passes(services, &others, dossier)) {
        let id = dossier.statement.id;
        let said = has_text(&dossier.statement, &text) || {
            if read == most {
                found.next = last;
                break;
            }
            read += 1;
            record::find(services, id).await?.is_some_and(|(_, whole)| has_text(&whole.statement, &text))
        };
        if said {
            found.lines.push(line(services, dossier));
        }
        last = Some(id);
    }
    Ok(found)
}

/// Statements that name one of these addresses as a contact, for the export of a person.
///
/// # Errors
/// When the store fails.
pub async fn contacts_of(services: &Services, addresses: &[EmailAddress]) -> Result<Vec<serde_json::Value>, Failure> {
    let all = record::outlines(services).await?;
    let named = all.iter().flat_map(|dossier| {
        let contacts =
            dossier.statement.contacts.iter().filter(|contact| contact.email.as_ref().is_some_and(|email| addresses.contains(email)));
        contacts.map(|contact| serde_json::json!({ "statement": dossier.statement.name(), "contact": contact }))
    });
    Ok(named.collect())
}

/// Takes name, telephone and address out of contacts of statements (erasure); organisation and country stay, and so do documents that
/// were circulated. Returns how many.
///
/// # Errors
/// When the store fails, or somebody else changes a statement at the same time.
pub async fn erase_contacts(services: &Services, addresses: &[EmailAddress]) -> Result<usize, Failure> {
    let mut erased = 0;
    for known in record::all(services).await? {
        let is_hers = |contact: &Contact| contact.email.as_ref().is_some_and(|email| addresses.contains(email));
        if !known.statement.contacts.iter().any(is_hers) {
            continue;
        }
        let Some((version, mut dossier)) = record::find(services, known.statement.id).await? else { continue };
        for contact in dossier.statement.contacts.iter_mut().filter(|contact| is_hers(contact)) {
            let (organisation, country) = (std::mem::take(&mut contact.organisation), std::mem::take(&mut contact.country));
            *contact = Contact { name: String::new(), organisation, country, telephone: String::new(), email: None };
            erased += 1;
        }
        record::put(services, &dossier, version).await?;
    }
    Ok(erased)
}

/// All dossiers that pass, oldest first, for an export.
pub(super) async fn dossiers(services: &Services, filter: &Filter) -> Result<Vec<Dossier>, Failure> {
    let mut all = record::all(services).await?;
    all.retain(|dossier| passes(services, filter, dossier));
    Ok(all)
}

fn passes(services: &Services, filter: &Filter, dossier: &Dossier) -> bool {
    let s = &dossier.statement;
    let state = || state(s, today(services, &s.group)).as_str();
    filter.group.as_ref().is_none_or(|group| *group == s.group)
        && filter.direction.is_none_or(|direction| direction == s.direction)
        && filter.purpose.is_none_or(|purpose| s.destinations.iter().any(|d| d.purpose == purpose))
        && filter.state.as_ref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(state()))
        && filter.question.as_ref().is_none_or(|question| has_question(s, question))
        && filter.deadline_from.is_none_or(|from| s.deadline.is_some_and(|deadline| deadline >= from))
        && filter.deadline_to.is_none_or(|to| s.deadline.is_some_and(|deadline| deadline <= to))
        && filter.text.as_ref().is_none_or(|text| has_text(s, text))
}

/// Where a statement stands today.
pub(super) fn state_of(services: &Services, dossier: &Dossier) -> State {
    state(&dossier.statement, today(services, &dossier.statement.group))
}

fn has_question(statement: &Statement, wanted: &str) -> bool {
    let wanted = wanted.trim().trim_start_matches(['Q', 'q']);
    let (number, group) = wanted.split_once('/').unwrap_or(("ALL", wanted));
    statement.questions_from.iter().chain(&statement.questions_to).any(|question| {
        let same = number.eq_ignore_ascii_case("ALL") || question.number.is_none_or(|own| own.to_string() == number);
        same && question.group.eq_ignore_ascii_case(group)
    })
}

fn has_text(statement: &Statement, wanted: &str) -> bool {
    let wanted = key(wanted);
    let mut texts = vec![statement.name(), statement.source.clone(), statement.approval.text.clone()];
    texts.extend(statement.destinations.iter().map(|destination| destination.name.clone()));
    texts.extend(statement.contacts.iter().map(super::edition::contact_line));
    texts.extend(statement.summary.0.values().cloned());
    for edition in &statement.editions {
        texts.extend([edition.title.clone(), edition.text.clone()]);
        texts.extend(edition.attachments.iter().map(|file| file.name.clone()));
    }
    wanted.is_empty() || texts.iter().any(|text| key(text).contains(&wanted))
}

pub(super) fn line(services: &Services, dossier: &Dossier) -> Line {
    let s = &dossier.statement;
    let when = |wanted: fn(&EventKind) -> bool| s.events.iter().find(|event| wanted(&event.kind)).map(|event| event.at);
    Line {
        id: s.id.to_string(),
        name: s.name(),
        group: s.group.to_string(),
        number: s.number,
        state: state(s, today(services, &s.group)).as_str(),
        direction: s.direction.as_str(),
        source: s.source.clone(),
        title: s.title(),
        destinations: s.destinations.iter().map(|d| format!("{} ({})", d.name, d.purpose.as_str())).collect(),
        questions: s.questions_from.iter().chain(&s.questions_to).map(ToString::to_string).collect(),
        deadline: s.deadline,
        received_at: when(|kind| *kind == EventKind::Received),
        circulated_at: when(|kind| matches!(kind, EventKind::Circulated { .. })),
        languages: s.languages().map(|language| language.to_string()).collect(),
    }
}

/// `liaison show`; private remarks only for those who may read them.
///
/// # Errors
/// When there is none of that id.
pub async fn show(services: &Services, id: LiaisonId, private: bool) -> Result<Shown, Failure> {
    let (_, dossier) = load(services, id).await?;
    shown(services, &dossier, private).await
}

/// The same with problems and routes in the reader's language, for pages.
///
/// # Errors
/// As [`show`].
pub async fn show_in(services: &Services, id: LiaisonId, private: bool, language: Language) -> Result<Shown, Failure> {
    let (_, dossier) = load(services, id).await?;
    let mut shown = shown(services, &dossier, private).await?;
    for (view, problem) in shown.view.problems.iter_mut().zip(&dossier.statement.problems) {
        view.text = super::receipt::problem_text(services, problem, language);
    }
    let routes = judge::routes(services, &dossier.statement).await?;
    for (view, route) in shown.routes.iter_mut().zip(&routes) {
        view.reason = services.texts.reason(language, &route.reason);
    }
    Ok(shown)
}

/// The same of a dossier that may not be kept.
pub(super) async fn shown(services: &Services, dossier: &Dossier, private: bool) -> Result<Shown, Failure> {
    let s = &dossier.statement;
    let today = today(services, &s.group);
    let routes = judge::routes(services, s).await?;
    let mut files: Vec<FileView> = Vec::new();
    for file in s.editions.iter().flat_map(|edition| &edition.attachments) {
        if !files.iter().any(|known| known.sha256 == file.sha256) {
            let url = attachment_url(services, s.id, file);
            files.push(FileView { name: file.name.clone(), sha256: file.sha256.clone(), url });
        }
    }
    Ok(Shown {
        view: LiaisonView::new(s, today, private),
        name: s.name(),
        page: page_url(services, s.id),
        routes: routes.iter().map(route_view).collect(),
        reminders: following::schedule(s, today),
        goes_out_at: dossier.goes_out_at.filter(|_| !dossier.is_out()),
        waits_until: dossier.waits_until.filter(|until| *until > services.now()),
        posts: dossier
            .sent
            .iter()
            .map(|sent| PostView {
                id: sent.post.to_string(),
                message_id: stem(services, dossier).replacen(&format!(".r{}@", dossier.revision()), &format!(".r{}@", sent.revision), 1),
                at: sent.at,
                revision: sent.revision,
                languages: sent.languages.iter().map(ToString::to_string).collect(),
            })
            .collect(),
        files,
    })
}

fn route_view(route: &Route) -> RouteView {
    RouteView {
        to: match &route.target {
            Target::Subscribers(code) => format!("subscribers of {code}"),
            Target::Mailbox(address) => address.to_string(),
            Target::Nowhere(name) => format!("{name} (no address is known)"),
        },
        body: route.body.clone(),
        rule: route.reason.key(),
        reason: route.reason.text(),
        purpose: route.purpose.as_str(),
        route: route.clone(),
    }
}

/// A file of a statement, by its content; a file of another statement is not found here.
///
/// # Errors
/// When the statement has no such file, or it cannot be read.
pub async fn attachment(services: &Services, id: LiaisonId, sha256: &str) -> Result<AttachmentFile, Failure> {
    let (_, dossier) = load(services, id).await?;
    let mut files = dossier.statement.editions.iter().flat_map(|edition| &edition.attachments);
    let file = files.find(|file| file.sha256 == sha256).ok_or_else(|| unknown_file(id))?;
    let bytes = bytes(services, &dossier, file).await?;
    Ok(AttachmentFile { name: file.name.clone(), media_type: file.media_type.clone(), bytes })
}

fn unknown_file(id: LiaisonId) -> Failure {
    Failure::NotFound(format!("statement {id} has no such file"))
}

/// The bytes of a file; if they are damaged, once more out of the mail that brought them.
pub(super) async fn bytes(services: &Services, dossier: &Dossier, file: &Attachment) -> Result<Bytes, Failure> {
    let stored = services.store.body(&file.body).await;
    let damage = match stored {
        Ok(bytes) if HEXLOWER.encode(&Sha256::digest(&bytes)) == file.sha256 => return Ok(bytes),
        Ok(_) => crate::store::StoreError::Damaged(format!("the file {} is not what came", file.name)),
        Err(error) => error,
    };
    for mail in &dossier.mails {
        let Some(post) = services.store.post(*mail).await? else { continue };
        let Some(edition) = post.editions.first() else { continue };
        let whole = services.store.body(&edition.body).await?;
        let wanted = file.sha256.clone();
        let found = services.quarantine.look(*mail, "file", &whole, move |whole| {
            let posted = Posted::of_message(&content::parse(whole).ok()?);
            posted.files.into_iter().find(|there| HEXLOWER.encode(&Sha256::digest(&there.bytes)) == wanted)
        });
        if let Some(found) = found.await {
            return Ok(found.bytes.into());
        }
    }
    Err(damage.into())
}
