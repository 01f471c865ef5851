//! A mail with a liaison statement, read: each field with where it was found.
//!
//! The first source that has a field wins: a block of `Label: value` lines in the body, the header table of a document,
//! the names of the files, the Subject. Labels may be in any language of [`Labels`]. Nothing is judged here: what is
//! missing stays empty, what is unclear becomes a [`Doubt`], and `domain::liaison::rules` says what that means.
//! Sources: ITU-T A.1 1.5.1 and figure 1-1; RFC 8255 for mails with several languages.

pub mod contacts;
pub mod dates;
mod fields;
pub mod files;
mod posted;
pub mod record;
pub mod sheet;
pub mod title;
pub mod values;

use std::collections::BTreeMap;
use std::fmt;

use chrono::NaiveDate;

use crate::domain::language::Language;
use crate::domain::liaison::labels::Labels;
use crate::domain::liaison::statement::{Approval, Contact, Destination, Direction, Doubt, Prepared, Question, Symbol};

pub use posted::{Posted, PostedFile, PostedText};

/// Where a field was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FoundIn {
    /// In the block of labels in the body.
    Body,
    /// In the header table of this file.
    Table(String),
    /// In the name of this file.
    FileName(String),
    /// In the Subject.
    Subject,
}

impl fmt::Display for FoundIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Body => f.write_str("body"),
            Self::Table(file) => write!(f, "table of {file}"),
            Self::FileName(file) => write!(f, "name of {file}"),
            Self::Subject => f.write_str("subject"),
        }
    }
}

/// A value, and where it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found<T> {
    /// What.
    pub value: T,
    /// Where.
    pub found_in: FoundIn,
}

/// One language version, as posted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EditionReading {
    /// Its language.
    pub language: Language,
    /// Its text; empty if it is all in files.
    pub text: String,
    /// Its files, as positions in [`Posted::files`].
    pub files: Vec<usize>,
}

/// A mail, read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reading {
    /// Title by language.
    pub title: BTreeMap<Language, Found<String>>,
    /// The body it comes from.
    pub source: Option<Found<String>>,
    /// Where it was prepared.
    pub prepared: Option<Found<Prepared>>,
    /// Questions, of source and destinations together.
    pub questions: Option<Found<Vec<Question>>>,
    /// Destinations for action; empty if a row says so.
    pub action: Option<Found<Vec<Destination>>>,
    /// Destinations for comment.
    pub comment: Option<Found<Vec<Destination>>>,
    /// Destinations for information.
    pub information: Option<Found<Vec<Destination>>>,
    /// Destinations named without such a row.
    pub other_destinations: Option<Found<Vec<Destination>>>,
    /// Who approved it.
    pub approval: Option<Found<Approval>>,
    /// Day of the answer; `None` inside if a row says that there is none.
    pub deadline: Option<Found<Option<NaiveDate>>>,
    /// Whom to ask.
    pub contacts: Option<Found<Vec<Contact>>>,
    /// Symbol of the document.
    pub symbol: Option<Found<Symbol>>,
    /// Language of the original.
    pub original: Option<Found<Language>>,
    /// Abstract by language.
    pub summary: BTreeMap<Language, String>,
    /// What it answers: the reference, which may be empty.
    pub reply: Option<Found<String>>,
    /// Which way the title says it goes.
    pub direction: Option<Found<Direction>>,
    /// Language versions.
    pub editions: Vec<EditionReading>,
    /// Files that carry macros, as positions in [`Posted::files`].
    pub macros: Vec<usize>,
    /// What is not sure.
    pub doubts: Vec<Doubt>,
}

impl Reading {
    /// All destinations, for action first.
    pub fn destinations(&self) -> Vec<Destination> {
        let rows = [&self.action, &self.comment, &self.information, &self.other_destinations];
        let mut all: Vec<Destination> = Vec::new();
        for destination in rows.into_iter().flatten().flat_map(|found| &found.value) {
            if !all.contains(destination) {
                all.push(destination.clone());
            }
        }
        all
    }
}

/// Reads a posted mail.
///
/// Time and memory are bounded by the sizes in `posted`; documents are read as far as their head.
pub fn read(posted: &Posted, labels: &Labels) -> Reading {
    fields::assemble(posted, labels)
}

/// Reads `Label: value` lines at the top of an answer to a receipt: a correction of single fields.
///
/// One label is enough; what is quoted below is not looked at.
pub fn read_correction(text: &str, labels: &Labels) -> Reading {
    fields::correction(text, labels)
}
