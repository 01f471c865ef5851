//! The JSON form of a statement, as `liaison show`, `liaison list` and the API give it.
//!
//! Its own types, so that the record may change without breaking whoever reads the JSON. `null` means "not known".

use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;

use super::event::state;
use super::statement::{Attachment, Contact, Prepared, Statement};
use crate::domain::language::{Language, Localized};

/// `liaison show`.
#[derive(Debug, Clone, Serialize)]
pub struct LiaisonView {
    /// Identifier.
    pub id: String,
    /// Group it is kept for.
    pub group: String,
    /// Number within the group.
    pub number: Option<u32>,
    /// Symbol with revision.
    pub symbol: Option<String>,
    /// Where it stands.
    pub state: &'static str,
    /// `incoming` or `outgoing`.
    pub direction: &'static str,
    /// The body it comes from.
    pub source: String,
    /// Where it was prepared.
    pub prepared: String,
    /// Title by language.
    pub title: Localized<String>,
    /// Who is addressed.
    pub destinations: Vec<DestinationView>,
    /// Questions of source and destinations, `7/12`, `ALL/12`.
    pub questions: Vec<String>,
    /// Who approved it.
    pub approval: Option<ApprovalView>,
    /// Last day for the answer.
    pub deadline: Option<NaiveDate>,
    /// Whom to ask.
    pub contacts: Vec<ContactView>,
    /// Language versions.
    pub editions: Vec<EditionView>,
    /// What the rules found.
    pub problems: Vec<ProblemView>,
    /// Identifier of the statement it answers, or what it says it answers.
    pub in_reply_to: Option<String>,
    /// Identifiers of the statements that answer it.
    pub answers: Vec<String>,
    /// What happened.
    pub events: Vec<EventView>,
}

/// A destination.
#[derive(Debug, Clone, Serialize)]
pub struct DestinationView {
    /// As written.
    pub name: String,
    /// `action`, `comment` or `information`.
    pub purpose: &'static str,
}

/// An approval.
#[derive(Debug, Clone, Serialize)]
pub struct ApprovalView {
    /// The level.
    pub level: Option<&'static str>,
    /// As written.
    pub text: String,
    /// The day.
    pub date: Option<NaiveDate>,
}

/// A contact.
#[derive(Debug, Clone, Serialize)]
pub struct ContactView {
    /// Name.
    pub name: String,
    /// Role or organisation.
    pub organisation: String,
    /// Country.
    pub country: String,
    /// Telephone.
    pub telephone: String,
    /// Mail address.
    pub email: Option<String>,
}

/// A language version.
#[derive(Debug, Clone, Serialize)]
pub struct EditionView {
    /// Its language.
    pub language: Language,
    /// Its title.
    pub title: String,
    /// Its text.
    pub text: String,
    /// Its files.
    pub attachments: Vec<AttachmentView>,
}

/// A file.
#[derive(Debug, Clone, Serialize)]
pub struct AttachmentView {
    /// Name to show.
    pub name: String,
    /// Media type.
    pub media_type: String,
    /// Content hash.
    pub sha256: String,
    /// Length.
    pub octets: u64,
}

/// A problem.
#[derive(Debug, Clone, Serialize)]
pub struct ProblemView {
    /// `V1` to `V14`.
    pub rule: String,
    /// `error`, `warning` or `notice`.
    pub level: &'static str,
    /// In English.
    pub text: String,
    /// Key of its text in other languages, and what fills the places of it.
    #[serde(skip)]
    pub said: (String, Vec<String>),
}

/// An event.
#[derive(Debug, Clone, Serialize)]
pub struct EventView {
    /// When.
    pub at: DateTime<Utc>,
    /// Who.
    pub by: String,
    /// What, in one line.
    pub what: String,
    /// The same as a value, for readers of other languages.
    #[serde(skip)]
    pub kind: super::event::EventKind,
}

impl LiaisonView {
    /// The statement as seen on `today`; private comments only for those who may read them.
    pub fn new(statement: &Statement, today: NaiveDate, private: bool) -> Self {
        let approval = (!statement.approval.text.is_empty()).then(|| ApprovalView {
            level: statement.approval.level.map(super::statement::ApprovalLevel::as_str),
            text: statement.approval.text.clone(),
            date: statement.approval.date,
        });
        let questions = statement.questions_from.iter().chain(&statement.questions_to);
        let reply = statement.reply.as_ref();
        Self {
            id: statement.id.to_string(),
            group: statement.group.to_string(),
            number: statement.number,
            symbol: statement.symbol.as_ref().map(ToString::to_string),
            state: state(statement, today).as_str(),
            direction: statement.direction.as_str(),
            source: statement.source.clone(),
            prepared: prepared(&statement.prepared),
            title: statement.title(),
            destinations: statement
                .destinations
                .iter()
                .map(|d| DestinationView { name: d.name.clone(), purpose: d.purpose.as_str() })
                .collect(),
            questions: questions.map(ToString::to_string).collect(),
            approval,
            deadline: statement.deadline,
            contacts: statement.contacts.iter().map(contact).collect(),
            editions: statement
                .editions
                .iter()
                .map(|edition| EditionView {
                    language: edition.language,
                    title: edition.title.clone(),
                    text: edition.text.clone(),
                    attachments: edition.attachments.iter().map(attachment).collect(),
                })
                .collect(),
            problems: statement
                .problems
                .iter()
                .map(|p| ProblemView {
                    rule: p.rule.clone(),
                    level: p.level.as_str(),
                    text: p.text.clone(),
                    said: (p.key.clone(), p.about.clone()),
                })
                .collect(),
            in_reply_to: reply.map(|reply| reply.statement.map_or_else(|| reply.reference.clone(), |id| id.to_string())),
            answers: answers(statement),
            events: events(statement, private),
        }
    }
}

fn answers(statement: &Statement) -> Vec<String> {
    let kinds = statement.events.iter().map(|event| &event.kind);
    kinds.filter_map(|kind| if let super::event::EventKind::Answered(id) = kind { Some(id.to_string()) } else { None }).collect()
}

fn events(statement: &Statement, private: bool) -> Vec<EventView> {
    let visible = |event: &&super::event::Event| private || !matches!(event.kind, super::event::EventKind::PrivateComment(_));
    let view =
        |event: &super::event::Event| EventView { at: event.at, by: event.by.clone(), what: event.kind.text(), kind: event.kind.clone() };
    statement.events.iter().filter(visible).map(view).collect()
}

fn contact(contact: &Contact) -> ContactView {
    ContactView {
        name: contact.name.clone(),
        organisation: contact.organisation.clone(),
        country: contact.country.clone(),
        telephone: contact.telephone.clone(),
        email: contact.email.as_ref().map(ToString::to_string),
    }
}

fn attachment(attachment: &Attachment) -> AttachmentView {
    AttachmentView {
        name: attachment.name.clone(),
        media_type: attachment.media_type.clone(),
        sha256: attachment.sha256.clone(),
        octets: attachment.body.octets,
    }
}

fn prepared(prepared: &Prepared) -> String {
    match prepared {
        Prepared::Unknown => String::new(),
        Prepared::ByCorrespondence => "by correspondence".into(),
        Prepared::Meeting { place, start, end } => {
            let days = match (start, end) {
                (Some(start), Some(end)) if start != end => format!("{start} to {end}"),
                (Some(day), _) | (None, Some(day)) => day.to_string(),
                (None, None) => String::new(),
            };
            [place.as_str(), &days].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ")
        }
    }
}
