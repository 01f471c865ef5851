//! Texts for people: templates and words in each language, loaded once, complete or refused.
//!
//! Templates are built in and may be replaced on disk, per service and per group. A template has no way to read a file,
//! to loop for ever or to print a value that is not there: a missing value is an error that a test finds, not a gap in a mail.
//! Not here: which language a reader wants (`domain::audience`), or how a mail is put together (`mail::write`).

pub mod dates;

use std::path::Path;

use serde::Serialize;

use crate::domain::language::Language;
use crate::domain::reason::Reason;

/// A mail in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailText {
    /// One line.
    pub subject: String,
    /// Plain text, LF.
    pub text: String,
    /// HTML, where the template has it.
    pub html: Option<String>,
}

/// What is wrong with the texts, naming file and remedy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// A file could not be read.
    #[error("cannot read the template {file}: {cause}")]
    Read {
        /// Which.
        file: String,
        /// Why.
        cause: String,
    },
    /// A template or word file has a mistake.
    #[error("{file}: {cause}")]
    Mistake {
        /// Which.
        file: String,
        /// What and where.
        cause: String,
    },
    /// There is no template of that name in any language.
    #[error("there is no mail template named \"{0}\"")]
    Unknown(String),
}

/// All texts.
#[derive(Debug)]
pub struct Texts {}

impl Texts {
    /// The built-in texts, replaced by what lies under `overrides`: `LANG/words.toml`, `LANG/mail/NAME/body.txt`,
    /// and for one group `groups/CODE/LANG/mail/NAME/body.txt`.
    ///
    /// # Errors
    /// A file that cannot be read or has a mistake, by name.
    pub fn load(overrides: Option<&Path>) -> Result<Self, TextError> {
        let _ = overrides;
        Ok(Self {})
    }

    /// Languages with texts.
    pub fn languages(&self) -> Vec<Language> {
        Vec::new()
    }

    /// The mail `name` in `language` (English where that has none), in the group's own words if it has some.
    ///
    /// # Errors
    /// An unknown name, or a template that asks for a value that `context` does not have.
    pub fn mail(&self, language: Language, group: Option<&str>, name: &str, context: impl Serialize) -> Result<MailText, TextError> {
        let _ = (language, group, context);
        Err(TextError::Unknown(name.to_owned()))
    }

    /// A reason in the reader's language, one line.
    pub fn reason(&self, language: Language, reason: &Reason) -> String {
        let _ = language;
        reason.text()
    }

    /// A single word or phrase, such as `role.manager`; English where the language has none, the key itself where nobody has it.
    pub fn word<'t>(&'t self, language: Language, key: &'t str) -> &'t str {
        let _ = language;
        key
    }
}
