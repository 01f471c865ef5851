//! Texts for people: templates and words in each language, loaded once, complete or refused.
//!
//! Templates are built in and may be replaced on disk, per service and per group. A template has no way to read a file
//! or to loop for ever, and a value that is not there is an error that a test finds, not a gap in a mail.
//! Besides its values a template has `word("role.manager")`, `words("stream", list)` and `date("2027-01-15")` in its own language.
//! Which values each mail has is the table [`MAILS`].
//! Not here: which language a reader wants (`domain::audience`), or how a mail is put together (`mail::write`).

pub mod dates;
pub mod source;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use chrono::NaiveDate;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, ErrorKind, UndefinedBehavior, Value};
use serde::Serialize;

use crate::domain::language::Language;
use crate::domain::liaison::labels::Labels;
use crate::domain::mistake::Advice;
use crate::domain::reason::{Reason, fill};

use source::Source;

/// Steps a template may take; the longest built-in one takes some hundreds.
const FUEL: u64 = 200_000;

/// The mails and the values each must be given; each is also given `service` {name, domain, base_url},
/// `address` and `name` of the reader, `language`, and, if it is about a group, `group` {code, name, address, request, owner, join, leave, page}.
/// Dates are given as `2027-01-15`, streams, deliveries, states, kinds and categories as their keys, lists as lists.
pub const MAILS: &[(&str, &[&str])] = &[
    // contents: a list of {number, subject, author, date, link}
    ("digest", &["number", "contents"]),
    // stop_address is an address
    ("announcement-receipt", &["subject", "minutes", "stop_address"]),
    ("awaits-approval", &[]),
    // results: a list of {command, text}
    ("commands", &["results"]),
    // organisation: empty, or the one whose people (a list of {name, address}; more: how many others) are asked about; reminder: not the first mail
    ("confirm-account", &["organisation", "people", "more", "day", "link", "reminder"]),
    // member is the first address of the account that asked
    ("confirm-address", &["link", "hours", "member"]),
    ("confirm-subscription", &["link"]),
    ("confirm-unsubscription", &["link"]),
    ("did-you-send-this", &["subject", "link", "days"]),
    ("held-expired", &["subject"]),
    (
        "held-notice",
        &["from", "looks_like", "subject", "reason", "release_address", "reject_address", "discard_address", "allow_address", "days"],
    ),
    ("help", &[]),
    // member is the address of the one it is about
    ("member-lost", &["member", "member_name", "reason"]),
    // kind: "new", "change" or "withdrawal"; warnings: a list of texts
    ("meeting-receipt", &["meeting", "kind", "status", "warnings", "minutes", "stop_address"]),
    ("probe", &["reason", "link"]),
    ("refused", &["asked", "reason"]),
    ("rejected", &["subject", "reason"]),
    // groups: a list of {code, name}; day: the last one for the answer
    ("reconfirm", &["period", "groups", "day", "link"]),
    // outcome: "subscribed" or another; reason may be none
    ("request-decided", &["outcome", "reason"]),
    // address, name and the rest are the person's who asks
    ("request-notice", &["organisation", "country", "kind", "category", "approve_address", "deny_address"]),
    ("restored", &[]),
    // resting: a list of {address, reason}; ending: a list of {address, date}
    ("roster-review", &["active", "pending", "suspended", "resting", "ending", "page"]),
    // subscriptions: a list of {group, group_name, state, reason, streams, languages, delivery, until}; empty text where there is none
    ("settings", &["subscriptions"]),
    // not about a group
    ("sign-in", &["link", "minutes"]),
    // rules: a list of texts
    ("rule-leaving", &["rules", "day"]),
    // settings: {streams, languages, delivery, until}, the delivery in words; until may be none
    ("subscribed", &["settings"]),
    ("suspended", &["reason"]),
    ("unsubscribed", &[]),
    // lines: a list of texts
    ("why", &["message_id", "lines"]),
];

/// What templates have beside their values.
const FUNCTIONS: [&str; 3] = ["word", "words", "date"];

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

impl TextError {
    fn of_template(file: &str, error: &minijinja::Error) -> Self {
        let place = error.line().map(|line| format!("line {line}: ")).unwrap_or_default();
        let hint =
            if error.kind() == ErrorKind::UndefinedError { "; the template asks for a value that this mail does not have" } else { "" };
        let detail = error.detail().unwrap_or("");
        Self::Mistake { file: file.to_owned(), cause: format!("{place}{} {detail}{hint}", error.kind()) }
    }
}

/// The texts of one language.
struct Tongue {
    templates: Environment<'static>,
    words: Arc<BTreeMap<String, String>>,
}

/// All texts.
pub struct Texts {
    tongues: BTreeMap<Language, Tongue>,
    labels: Labels,
}

impl std::fmt::Debug for Texts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Texts").field("languages", &self.languages()).finish_non_exhaustive()
    }
}

impl Texts {
    /// The built-in texts, replaced by what lies under `overrides`: `LANG/words.toml`, `LANG/labels.toml`, `LANG/mail/NAME/body.txt`,
    /// and for one group `groups/CODE/LANG/mail/NAME/body.txt`.
    ///
    /// # Errors
    /// A file that cannot be read or has a mistake, by name.
    pub fn load(overrides: Option<&Path>) -> Result<Self, TextError> {
        let mut sources = source::built_in();
        if let Some(folder) = overrides {
            source::read_folder(folder, &mut sources)?;
        }
        let mut tongues = BTreeMap::new();
        for (language, source) in sources {
            tongues.insert(language, tongue(language, source)?);
        }
        Ok(Self { tongues, labels: labels(overrides)? })
    }

    /// The labels of statements, of all languages together.
    pub fn labels(&self) -> &Labels {
        &self.labels
    }

    /// Languages with texts, in alphabetical order.
    pub fn languages(&self) -> Vec<Language> {
        self.tongues.keys().copied().collect()
    }

    fn tongue(&self, language: Language) -> Option<&Tongue> {
        self.tongues.get(&language).or_else(|| self.tongues.get(&Language::ENGLISH))
    }

    /// The mail `name` in `language` (English where that has none), in the group's own words if it has some.
    ///
    /// # Errors
    /// An unknown name, or a template that asks for a value that `context` does not have.
    pub fn mail(&self, language: Language, group: Option<&str>, name: &str, context: impl Serialize) -> Result<MailText, TextError> {
        let values = Value::from(Serde(&context));
        let subject = self.render(language, group, name, "subject.txt", &values)?.ok_or_else(|| TextError::Unknown(name.to_owned()))?;
        let text = self.render(language, group, name, "body.txt", &values)?.ok_or_else(|| TextError::Unknown(name.to_owned()))?;
        let html = self.render(language, group, name, "body.html", &values)?;
        let subject = subject.split_whitespace().collect::<Vec<_>>().join(" ");
        Ok(MailText { subject, text: format!("{}\n", text.trim()), html })
    }

    fn render(&self, language: Language, group: Option<&str>, name: &str, part: &str, values: &Value) -> Result<Option<String>, TextError> {
        let own = group.map(|code| format!("groups/{}/mail/{name}/{part}", code.to_ascii_uppercase()));
        let general = format!("mail/{name}/{part}");
        let english = self.tongues.get(&Language::ENGLISH);
        for tongue in self.tongues.get(&language).into_iter().chain(english) {
            for file in own.iter().chain([&general]) {
                if let Ok(template) = tongue.templates.get_template(file) {
                    return template.render(values.clone()).map(Some).map_err(|error| TextError::of_template(file, &error));
                }
            }
        }
        Ok(None)
    }

    /// A reason in the reader's language, one line.
    pub fn reason(&self, language: Language, reason: &Reason) -> String {
        self.phrase(language, &format!("reason.{}", reason.key()), &reason.about).unwrap_or_else(|| reason.text())
    }

    /// What to mend, in the reader's language, one line.
    pub fn advice(&self, language: Language, advice: &Advice) -> String {
        self.phrase(language, &format!("mistake.{}", advice.mistake.key()), &advice.about).unwrap_or_else(|| advice.to_string())
    }

    fn phrase(&self, language: Language, key: &str, about: &[String]) -> Option<String> {
        let words = |language| self.tongues.get(&language)?.words.get(key);
        let pattern = self.tongue(language).and_then(|tongue| tongue.words.get(key)).or_else(|| words(Language::ENGLISH))?;
        if !language.is_right_to_left() {
            return Some(fill(pattern, about));
        }
        // What is filled in is of another script or direction than the text around it, so it is isolated (UAX 9).
        let isolated: Vec<_> = about.iter().map(|text| format!("\u{2068}{text}\u{2069}")).collect();
        Some(fill(pattern, &isolated))
    }

    /// A single word or phrase, such as `role.manager`; English where the language has none, the key itself where nobody has it.
    pub fn word<'t>(&'t self, language: Language, key: &'t str) -> &'t str {
        self.tongue(language)
            .and_then(|tongue| tongue.words.get(key))
            .or_else(|| self.tongues.get(&Language::ENGLISH)?.words.get(key))
            .map_or(key, String::as_str)
    }

    /// Names of values that a template asks for, for tests and `enlace check`.
    pub fn values_of(&self, language: Language, template: &str) -> Option<Vec<String>> {
        let template = self.tongues.get(&language)?.templates.get_template(template).ok()?;
        let mut names: Vec<_> = template.undeclared_variables(false).into_iter().filter(|n| !FUNCTIONS.contains(&n.as_str())).collect();
        names.sort();
        Some(names)
    }

    /// A date in words ([`dates::date`]).
    pub fn date(&self, language: Language, date: NaiveDate) -> String {
        dates::date(language, date)
    }
}

fn tongue(language: Language, source: Source) -> Result<Tongue, TextError> {
    let mut templates = Environment::new();
    templates.set_undefined_behavior(UndefinedBehavior::Strict);
    templates.set_fuel(Some(FUEL));
    templates.set_recursion_limit(50);
    // Names end in .html or .txt, and only HTML is escaped.
    templates.set_auto_escape_callback(|name| {
        if matches!(name.rsplit_once('.'), Some((_, "html"))) { AutoEscape::Html } else { AutoEscape::None }
    });
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
    templates.set_syntax(syntax.map_err(|error| TextError::of_template("templates", &error))?);
    let words = Arc::new(source.words);
    let comma = match language.as_str() {
        "zh" => "、",
        "ar" => "، ",
        _ => ", ",
    };
    let known = Arc::clone(&words);
    templates.add_function("words", move |table: String, keys: Vec<String>| {
        let key = |name: &String| format!("{table}.{name}");
        keys.iter().map(|name| known.get(&key(name)).unwrap_or(name).clone()).collect::<Vec<_>>().join(comma)
    });
    let known = Arc::clone(&words);
    templates.add_function("word", move |key: String| known.get(&key).cloned().unwrap_or(key));
    templates.add_function("date", move |text: String| text.parse().map_or(text, |day| dates::date(language, day)));
    // Compiled here to find mistakes, and again when one is first asked for: compiled, those of six languages hold 7 MB, of which
    // a service at rest uses nothing.
    for (name, (file, text)) in &source.templates {
        templates.template_from_named_str(name, text).map_err(|error| TextError::of_template(file, &error))?;
    }
    templates.set_loader(move |name| Ok(source.templates.get(name).map(|(_, text)| text.to_string())));
    Ok(Tongue { templates, words })
}

/// The shipped label files, each replaced by `LANG/labels.toml` under `overrides` where there is one.
fn labels(overrides: Option<&Path>) -> Result<Labels, TextError> {
    let Some(folder) = overrides else { return Ok(Labels::shipped()) };
    let mut files: BTreeMap<Language, String> =
        Labels::shipped_files().into_iter().map(|(language, text)| (language, text.to_owned())).collect();
    files.extend(source::label_files(folder)?);
    let mistake = |cause: String| TextError::Mistake { file: folder.display().to_string(), cause };
    Labels::parse(files.iter().map(|(language, text)| (*language, text.as_str()))).map_err(mistake)
}

#[cfg(test)]
mod tests;
