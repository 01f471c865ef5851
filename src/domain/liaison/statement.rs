//! The record of one liaison statement, with the fields that ITU-T A.1 clause 1.5.1 demands.
//!
//! One record, as many editions as languages; a purpose for each destination; events that are only ever appended.
//! What is missing in a posted statement stays empty here and is named by `rules`; nothing is guessed.
//! The surprise: "reply" is a relation ([`Reply`]) and not a purpose, because a reply may itself ask for action.

use std::collections::BTreeMap;
use std::fmt;

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

use super::event::{Event, EventKind};
use crate::domain::address::EmailAddress;
use crate::domain::group::GroupCode;
use crate::domain::id::LiaisonId;
use crate::domain::language::{Language, Localized};
use crate::domain::post::BodyRef;

/// Which way it goes, seen from the group it is kept for (`LS/i`, `LS/o` in titles).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// To the group, from another body.
    Incoming,
    /// From the group, to others.
    Outgoing,
}

impl Direction {
    /// As in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Incoming => "incoming",
            Self::Outgoing => "outgoing",
        }
    }
}

/// What a destination is asked for; one for each destination (ITU-T A.1, 1.5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// Something is to be done, by the deadline.
    Action,
    /// Comments are welcome.
    Comment,
    /// To be noted.
    Information,
}

impl Purpose {
    /// All, the most demanding first.
    pub const ALL: [Self; 3] = [Self::Action, Self::Comment, Self::Information];

    /// As in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Action => "action",
            Self::Comment => "comment",
            Self::Information => "information",
        }
    }
}

/// A body addressed, with what it is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Destination {
    /// As the statement writes it, white space and hyphens made plain.
    pub name: String,
    /// What it is asked for.
    pub purpose: Purpose,
}

/// Who approved it (values derived from ITU-T A.1, 1.5.1, and Resolution 54).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ApprovalLevel {
    /// A study group.
    StudyGroup,
    /// A working party.
    WorkingParty,
    /// Agreed at a rapporteur group meeting.
    RapporteurGroup,
    /// A regional group.
    RegionalGroup,
    /// TSAG.
    Tsag,
    /// By the chairman with the management team, between meetings.
    ManagementCorrespondence,
    /// A joint coordination activity.
    Jca,
    /// A named body of another kind.
    Other,
}

impl ApprovalLevel {
    /// As in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::StudyGroup => "study_group",
            Self::WorkingParty => "working_party",
            Self::RapporteurGroup => "rapporteur_group",
            Self::RegionalGroup => "regional_group",
            Self::Tsag => "tsag",
            Self::ManagementCorrespondence => "management_correspondence",
            Self::Jca => "jca",
            Self::Other => "other",
        }
    }
}

/// The approval, as written and as understood.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// The text of the row; empty when there was none.
    pub text: String,
    /// The level it names; `None` when it names none.
    pub level: Option<ApprovalLevel>,
    /// The last date in it.
    pub date: Option<NaiveDate>,
}

/// A contact person or mailbox.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contact {
    /// Name; may be empty for a role mailbox.
    pub name: String,
    /// Role or organisation.
    pub organisation: String,
    /// Country as written.
    pub country: String,
    /// Telephone as written, without its label.
    pub telephone: String,
    /// Where to write to.
    pub email: Option<EmailAddress>,
}

/// A Question of a study group, such as `7/12`; `ALL/12` for all of them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Question {
    /// Its number, `None` for all Questions.
    pub number: Option<u16>,
    /// The study group's number, or another body's name (`8/ITU-R SG11`).
    pub group: String,
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.number {
            Some(number) => write!(f, "{number}/{}", self.group),
            None => write!(f, "ALL/{}", self.group),
        }
    }
}

/// Where the statement was prepared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Prepared {
    /// At a meeting.
    Meeting {
        /// City, as written; may be empty.
        place: String,
        /// First day.
        start: Option<NaiveDate>,
        /// Last day; equal to `start` for one day.
        end: Option<NaiveDate>,
    },
    /// Between meetings (ITU-T A.1, 1.5.1).
    ByCorrespondence,
    /// It does not say.
    Unknown,
}

/// A file of an edition, kept under its content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    /// The name to show, without folders and controls; never used as a path.
    pub name: String,
    /// Media type, lower case.
    pub media_type: String,
    /// SHA-256 of the content in lower-case hexadecimal: its permanent address.
    pub sha256: String,
    /// Where the bytes lie.
    pub body: BodyRef,
    /// Does it carry macros? Such a file goes to no guest.
    pub macros: bool,
}

/// One language version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatementEdition {
    /// In which language.
    pub language: Language,
    /// Title, one line.
    pub title: String,
    /// Text of the statement; empty when it is all in the attachments.
    pub text: String,
    /// Its files in the order of the mail.
    pub attachments: Vec<Attachment>,
    /// When this version came.
    pub added_at: DateTime<Utc>,
}

/// What it answers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// What the statement itself says: `SG2-LS45`, `[reply to …]`; may be empty.
    pub reference: String,
    /// The statement here that it answers, once known.
    pub statement: Option<LiaisonId>,
}

/// Symbol of a document with its revision: `SG12-TD364` and 1 for `R1`.
///
/// Temporary documents are numbered anew in each subgroup and study period, so that `T25-SG12-260928-TD-GEN-0007` and
/// `…-TD-WP1-0007` are two documents with the same short name; people say the short one, [`Symbol::is_same_document`] compares all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "StoredSymbol", into = "StoredSymbol")]
pub struct Symbol {
    /// The short name: without subgroup and revision, upper case, no spaces.
    pub text: String,
    /// 0 for the first issue.
    pub revision: u16,
    /// `GEN`, `PLEN`, `WP1`: who numbers it; `None` where nothing says so.
    pub subgroup: Option<String>,
    /// First year of the study period as file names write it, `T25`; `None` where nothing says so.
    pub period: Option<String>,
}

impl Symbol {
    /// Do both name the same document, whatever their revisions? What one of them does not say fits everything.
    pub fn is_same_document(&self, other: &Self) -> bool {
        let fits = |one: &Option<String>, two: &Option<String>| one.is_none() || two.is_none() || one == two;
        self.text == other.text && fits(&self.subgroup, &other.subgroup) && fits(&self.period, &other.period)
    }
}

/// The stored form: subgroup and period stand behind the short name, `SG12-TD364/GEN@T25`, and are missing in old records.
#[derive(Serialize, Deserialize)]
struct StoredSymbol {
    text: String,
    revision: u16,
}

impl From<Symbol> for StoredSymbol {
    fn from(symbol: Symbol) -> Self {
        let part = |mark: char, part: Option<String>| part.map(|part| format!("{mark}{part}")).unwrap_or_default();
        let text = format!("{}{}{}", symbol.text, part('/', symbol.subgroup), part('@', symbol.period));
        Self { text, revision: symbol.revision }
    }
}

impl From<StoredSymbol> for Symbol {
    fn from(stored: StoredSymbol) -> Self {
        let (rest, period) = stored.text.split_once('@').map_or((stored.text.as_str(), None), |(rest, period)| (rest, Some(period)));
        let (text, subgroup) = rest.split_once('/').map_or((rest, None), |(text, subgroup)| (text, Some(subgroup)));
        let owned = |part: Option<&str>| part.map(str::to_owned);
        Self { text: text.to_owned(), revision: stored.revision, subgroup: owned(subgroup), period: owned(period) }
    }
}

impl fmt::Display for Symbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.revision {
            0 => f.write_str(&self.text),
            revision => write!(f, "{}R{revision}", self.text),
        }
    }
}

/// How grave a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// Noted only.
    Notice,
    /// Told to the poster; the statement goes out.
    Warning,
    /// The statement is held.
    Error,
}

impl Level {
    /// As in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Notice => "notice",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// A rule that found something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// `V1` to `V14`.
    pub rule: String,
    /// How grave.
    pub level: Level,
    /// Key of its text, such as `v2-deadline`, in `templates/LANG/liaison.toml`.
    pub key: String,
    /// What fills the places of the text.
    pub about: Vec<String>,
    /// The English of it, one line.
    pub text: String,
}

/// Something the reader of a mail could not be sure of; `rules` makes a problem of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Doubt {
    /// A file that could not be read, and why, as a sentence that begins with "it".
    Unreadable {
        /// Its name.
        file: String,
        /// Why.
        why: String,
    },
    /// A destination was named without a purpose and is taken to be for information.
    PurposeAssumed(String),
    /// There is a deadline, and no day in it.
    DeadlineUnclear(String),
    /// Two documents disagree on a field; the first value is used.
    Differs {
        /// Which field.
        field: String,
        /// The value used.
        used: String,
        /// The other one.
        other: String,
    },
    /// A file that came as a language of the statement has the symbol of another document or issue.
    OtherDocument {
        /// The file.
        file: String,
        /// The symbol that is used.
        used: String,
    },
    /// A deadline in figures is read with the day first, as ITU writes, and could have been meant the other way round.
    DayFirst {
        /// As written.
        written: String,
        /// As read.
        day: NaiveDate,
    },
}

/// A liaison statement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statement {
    /// The key.
    pub id: LiaisonId,
    /// The group it is kept for.
    pub group: GroupCode,
    /// Number within the group, from 1; given when it is first kept without errors.
    pub number: Option<u32>,
    /// Which way it goes.
    pub direction: Direction,
    /// The body it comes from, as written.
    pub source: String,
    /// That body, if it is one of ours.
    pub source_group: Option<GroupCode>,
    /// Where it was prepared.
    pub prepared: Prepared,
    /// Questions of the source.
    pub questions_from: Vec<Question>,
    /// Questions of the destinations.
    pub questions_to: Vec<Question>,
    /// Who is addressed, each with its purpose.
    pub destinations: Vec<Destination>,
    /// Who approved it.
    pub approval: Approval,
    /// Last day for the answer, in the group's zone.
    pub deadline: Option<NaiveDate>,
    /// Whom to ask.
    pub contacts: Vec<Contact>,
    /// Symbol of its document, if it has one yet.
    pub symbol: Option<Symbol>,
    /// The language it was written in first, when it says so.
    pub original: Option<Language>,
    /// Abstract, by language.
    pub summary: Localized<String>,
    /// Language versions in the order in which they came.
    pub editions: Vec<StatementEdition>,
    /// What it answers, if it is a reply.
    pub reply: Option<Reply>,
    /// Does it concern the creation, terms of reference, working methods or end of a regional group, or did the secretariat ask for it?
    pub for_tsag: bool,
    /// Message-IDs of the mails it came by, without angle brackets.
    pub message_ids: Vec<String>,
    /// What the rules found at the last look.
    pub problems: Vec<Problem>,
    /// What happened, oldest first, never changed.
    pub events: Vec<Event>,
}

impl Statement {
    /// The languages there are.
    pub fn languages(&self) -> impl Iterator<Item = Language> + '_ {
        self.editions.iter().map(|edition| edition.language)
    }

    /// The version in this language.
    pub fn edition(&self, language: Language) -> Option<&StatementEdition> {
        self.editions.iter().find(|edition| edition.language == language)
    }

    /// Titles by language; a version without a title is left out.
    pub fn title(&self) -> Localized<String> {
        let titles = self.editions.iter().filter(|edition| !edition.title.is_empty());
        Localized(titles.map(|edition| (edition.language, edition.title.clone())).collect::<BTreeMap<_, _>>())
    }

    /// The working languages of `wanted` that have no version yet.
    pub fn missing(&self, wanted: &[Language]) -> Vec<Language> {
        wanted.iter().copied().filter(|language| self.edition(*language).is_none()).collect()
    }

    /// Is anybody asked to act?
    pub fn asks_action(&self) -> bool {
        self.destinations.iter().any(|destination| destination.purpose == Purpose::Action)
    }

    /// Is an answer expected: an action, or comments by a day?
    pub fn awaits_reply(&self) -> bool {
        self.asks_action() || (self.deadline.is_some() && self.destinations.iter().any(|d| d.purpose == Purpose::Comment))
    }

    /// Name for subjects and messages: its symbol, else group and number, else its identifier.
    pub fn name(&self) -> String {
        match (&self.symbol, self.number) {
            (Some(symbol), _) => symbol.to_string(),
            (None, Some(number)) => format!("{}-LS{number}", self.group),
            (None, None) => self.id.to_string(),
        }
    }

    /// Appends an event.
    pub fn record(&mut self, at: DateTime<Utc>, by: impl Into<String>, kind: EventKind) {
        self.events.push(Event { at, by: by.into(), kind });
    }

    /// Is it held because its symbol is another statement's (V13)?
    pub fn lost_its_symbol(&self) -> bool {
        self.problems.iter().any(|problem| problem.rule == "V13" && problem.level == Level::Error)
    }

    /// Does any rule hold it?
    pub fn has_errors(&self) -> bool {
        self.problems.iter().any(|problem| problem.level == Level::Error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_are_the_same_document_where_nothing_says_otherwise() {
        let symbol = |text: &str, subgroup: Option<&str>, period: Option<&str>| Symbol {
            text: text.into(),
            revision: 1,
            subgroup: subgroup.map(str::to_owned),
            period: period.map(str::to_owned),
        };
        let whole = symbol("SG12-TD7", Some("GEN"), Some("T25"));
        for (other, same) in [
            (symbol("SG12-TD7", None, None), true),
            (symbol("SG12-TD7", Some("GEN"), None), true),
            (symbol("SG12-TD7", Some("WP1"), None), false),
            (symbol("SG12-TD7", Some("GEN"), Some("T22")), false),
            (symbol("SG12-TD8", None, None), false),
        ] {
            assert_eq!(whole.is_same_document(&other), same, "{other:?}");
            let stored: Symbol = postcard::from_bytes(&postcard::to_allocvec(&other).unwrap()).unwrap();
            assert_eq!(stored, other);
        }
        // As records of before have it.
        let old: Symbol = postcard::from_bytes(&postcard::to_allocvec(&("SG12-TD7", 2u16)).unwrap()).unwrap();
        assert_eq!((old.to_string().as_str(), old.is_same_document(&whole)), ("SG12-TD7R2", true));
    }
}
