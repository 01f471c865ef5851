//! The words of statements in every language, as data: labels, months, names of bodies.
//!
//! A language's words are one file, `templates/LANG/labels.toml`; a new language needs no code. Matching goes by
//! [`key`], which ignores case, accents, kinds of hyphen, spaces, brackets, colons and bidirectional marks, so that
//! real documents are recognised (ITU-T A.1, TSAG reports; `ITU<U+2011>T`, a no-break space before the colon, `：`).
//! One surprise: a label may belong to several languages (`Source`, `Contact`); all of them are answered.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;

use super::plain::{key, words_key};
use crate::domain::language::Language;

macro_rules! fields {
    ($( $(#[$doc:meta])* $name:ident ; )*) => {
        /// A row of the header table.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
        #[serde(rename_all = "lowercase")]
        pub enum Field { $( $(#[$doc])* $name, )* }

        impl Field {
            /// All of them.
            pub const ALL: &'static [Self] = &[ $( Self::$name, )* ];
        }
    };
}

fields! {
    /// Question(s) of source and destination.
    Questions;
    /// The body it comes from.
    Source;
    /// Where and when it was prepared (ITU-D template).
    Meeting;
    /// Title.
    Title;
    /// Subject of a letter; a title where there is none.
    Subject;
    /// Purpose of a document other than a statement; in French letters the same word is the subject.
    Purpose;
    /// Destinations for action.
    Action;
    /// Destinations for comment.
    Comment;
    /// Destinations for information.
    Information;
    /// Destinations with one purpose for all (ITU-D template).
    To;
    /// The one purpose (ITU-D template).
    For;
    /// Approval.
    Approval;
    /// Day of the answer.
    Deadline;
    /// A contact; may come several times.
    Contact;
    /// Keywords.
    Keywords;
    /// Abstract.
    Abstract;
    /// Symbol of the document.
    Document;
    /// Language of the original.
    Original;
    /// What it answers.
    Reply;
    /// Reference of a letter.
    Reference;
}

/// A label inside a contact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ContactLabel {
    /// Telephone.
    Telephone,
    /// Fax.
    Fax,
    /// Mail address.
    Email,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct LabelFile {
    fields: BTreeMap<Field, Vec<String>>,
    contact: ContactWords,
    words: Words,
    bodies: Bodies,
    languages: BTreeMap<Language, Vec<String>>,
    dates: DateWords,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ContactWords {
    telephone: Vec<String>,
    fax: Vec<String>,
    email: Vec<String>,
}

/// Words of values.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Words {
    /// The heading "LIAISON STATEMENT".
    pub statement: Vec<String>,
    /// What stands in a row without a value.
    pub none: Vec<String>,
    /// For action, as a value.
    pub action: Vec<String>,
    /// For comment, as a value.
    pub comment: Vec<String>,
    /// For information, as a value.
    pub information: Vec<String>,
    /// "by correspondence".
    pub correspondence: Vec<String>,
    /// "meeting".
    pub meeting: Vec<String>,
    /// "Reply to liaison statement from".
    pub reply: Vec<String>,
    /// The word between the last two of a list.
    pub and: Vec<String>,
    /// "STUDY PERIOD".
    pub study_period: Vec<String>,
    /// What about a regional group concerns TSAG: its creation, terms of reference, working methods, end.
    pub matters: Vec<String>,
}

/// Names of kinds of bodies.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bodies {
    /// "Study Group".
    pub study_group: Vec<String>,
    /// All of them.
    pub all_study_groups: Vec<String>,
    /// TSAG.
    pub tsag: Vec<String>,
    /// "Regional Group".
    pub regional_group: Vec<String>,
    /// "working party".
    pub working_party: Vec<String>,
    /// "rapporteur".
    pub rapporteur: Vec<String>,
    /// "JCA".
    pub jca: Vec<String>,
    /// "ITU-T", which may stand before a body.
    pub union: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DateWords {
    months: Vec<Vec<String>>,
    range: Vec<String>,
    filler: Vec<String>,
}

/// What a word can be in a date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DateWord {
    /// A month, 1 to 12.
    Month(u32),
    /// Joins two days to a span.
    Range,
    /// Says nothing.
    Filler,
}

/// The words of all languages, ready for look-up.
#[derive(Debug, Clone, Default)]
pub struct Labels {
    fields: HashMap<String, (Field, Vec<Language>)>,
    written: HashMap<(Language, Field), String>,
    contact: HashMap<String, ContactLabel>,
    dates: HashMap<String, DateWord>,
    longest_date_words: usize,
    language_names: HashMap<String, Language>,
    none: Vec<String>,
    /// Words of values, of all languages together, in the form of [`words_key`].
    pub words: Words,
    /// Names of bodies, of all languages together, in the form of [`words_key`].
    pub bodies: Bodies,
}

impl Labels {
    /// Reads the label files, each with its language, as TOML.
    ///
    /// # Errors
    /// Names the language, the place in the file, and what is missing or written for two meanings.
    pub fn parse<'a>(files: impl IntoIterator<Item = (Language, &'a str)>) -> Result<Self, String> {
        let mut labels = Self::default();
        for (language, text) in files {
            let file: LabelFile = toml::from_str(text).map_err(|e| format!("templates/{language}/labels.toml: {e}"))?;
            labels.add(language, file).map_err(|e| format!("templates/{language}/labels.toml: {e}"))?;
        }
        Ok(labels)
    }

    /// The six files of the source tree, for tests and for a service without a template folder.
    ///
    /// # Panics
    /// If a shipped file is wrong, which a test of this module rules out.
    pub fn shipped() -> Self {
        Self::parse(Self::shipped_files()).expect("the shipped label files are read by a test")
    }

    /// The six files of the source tree, each with its language.
    pub fn shipped_files() -> Vec<(Language, &'static str)> {
        let files = [
            ("en", include_str!("../../../templates/en/labels.toml")),
            ("fr", include_str!("../../../templates/fr/labels.toml")),
            ("es", include_str!("../../../templates/es/labels.toml")),
            ("ar", include_str!("../../../templates/ar/labels.toml")),
            ("zh", include_str!("../../../templates/zh/labels.toml")),
            ("ru", include_str!("../../../templates/ru/labels.toml")),
        ];
        files.into_iter().filter_map(|(tag, text)| tag.parse().ok().map(|language| (language, text))).collect()
    }

    fn add(&mut self, language: Language, file: LabelFile) -> Result<(), String> {
        for field in Field::ALL {
            let words = file.fields.get(field).filter(|words| !words.is_empty()).ok_or_else(|| format!("[fields] lacks {field:?}"))?;
            self.written.insert((language, *field), words[0].clone());
            for word in words {
                let entry = self.fields.entry(key(word)).or_insert((*field, Vec::new()));
                if entry.0 != *field {
                    return Err(format!("[fields] \"{word}\" stands for {:?} and for {field:?}", entry.0));
                }
                if !entry.1.contains(&language) {
                    entry.1.push(language);
                }
            }
        }
        let contact = [
            (file.contact.telephone, ContactLabel::Telephone),
            (file.contact.fax, ContactLabel::Fax),
            (file.contact.email, ContactLabel::Email),
        ];
        self.contact.extend(contact.into_iter().flat_map(|(words, label)| words.into_iter().map(move |word| (key(&word), label))));
        if file.dates.months.len() != 12 {
            return Err(format!("[dates] months has {} entries instead of 12", file.dates.months.len()));
        }
        for (month, words) in (1..).zip(&file.dates.months) {
            self.add_date_words(words, DateWord::Month(month));
        }
        self.add_date_words(&file.dates.range, DateWord::Range);
        self.add_date_words(&file.dates.filler, DateWord::Filler);
        for (named, words) in file.languages {
            self.language_names.extend(words.iter().map(|word| (key(word), named)));
        }
        self.none.extend(file.words.none.iter().map(|word| key(word)));
        add_words(&mut self.words, file.words);
        add_bodies(&mut self.bodies, file.bodies);
        Ok(())
    }

    fn add_date_words(&mut self, words: &[String], meaning: DateWord) {
        for word in words {
            let word = words_key(word);
            self.longest_date_words = self.longest_date_words.max(word.split(' ').count());
            self.dates.entry(word).or_insert(meaning);
        }
    }

    /// The field of a label, with the languages it is written in.
    pub fn field(&self, label: &str) -> Option<(Field, &[Language])> {
        self.fields.get(&key(label)).map(|(field, languages)| (*field, &languages[..]))
    }

    /// How `language` writes the label, without its colon; in English where the language is unknown.
    pub fn written(&self, field: Field, language: Language) -> &str {
        let of = |language| self.written.get(&(language, field));
        of(language).or_else(|| of(Language::ENGLISH)).map_or("", String::as_str)
    }

    /// The meaning of a label inside a contact: "Tel.", "Correo-e".
    pub fn contact_label(&self, text: &str) -> Option<ContactLabel> {
        self.contact.get(&key(text)).copied()
    }

    /// What these words (in the form of [`words_key`]) are in a date.
    pub fn date_word(&self, words: &str) -> Option<DateWord> {
        self.dates.get(words).copied()
    }

    /// Most words a date word has.
    pub fn longest_date_words(&self) -> usize {
        self.longest_date_words
    }

    /// The language that a text names: "Original: anglais".
    pub fn language_named(&self, text: &str) -> Option<Language> {
        self.language_names.get(&key(text)).copied().or_else(|| text.parse().ok().filter(|_| text.trim().len() == 2))
    }

    /// Is the value a way of writing "none"?
    pub fn is_none(&self, value: &str) -> bool {
        let compared = key(value);
        compared.is_empty() || self.none.contains(&compared)
    }
}

fn add_words(all: &mut Words, more: Words) {
    let pairs = [
        (&mut all.statement, more.statement),
        (&mut all.none, more.none),
        (&mut all.action, more.action),
        (&mut all.comment, more.comment),
        (&mut all.information, more.information),
        (&mut all.correspondence, more.correspondence),
        (&mut all.meeting, more.meeting),
        (&mut all.reply, more.reply),
        (&mut all.and, more.and),
        (&mut all.study_period, more.study_period),
        (&mut all.matters, more.matters),
    ];
    merge(pairs);
}

fn add_bodies(all: &mut Bodies, more: Bodies) {
    let pairs = [
        (&mut all.study_group, more.study_group),
        (&mut all.all_study_groups, more.all_study_groups),
        (&mut all.tsag, more.tsag),
        (&mut all.regional_group, more.regional_group),
        (&mut all.working_party, more.working_party),
        (&mut all.rapporteur, more.rapporteur),
        (&mut all.jca, more.jca),
        (&mut all.union, more.union),
    ];
    merge(pairs);
}

/// The longest first, so that "all ITU-T study groups" is tried before "all".
fn merge<const N: usize>(pairs: [(&mut Vec<String>, Vec<String>); N]) {
    for (all, more) in pairs {
        all.extend(more.iter().map(|word| words_key(word)).filter(|word| !word.is_empty()));
        all.sort_by_key(|word| std::cmp::Reverse(word.len()));
        all.dedup();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shipped_files_are_complete_and_say_one_thing_each() {
        let labels = Labels::shipped();
        for tag in ["en", "fr", "es", "ar", "zh", "ru"] {
            let language: Language = tag.parse().unwrap();
            for field in Field::ALL {
                let written = labels.written(*field, language);
                let (found, languages) = labels.field(written).unwrap();
                assert_eq!((found, languages.contains(&language)), (*field, true), "{tag} {written}");
            }
        }
    }

    #[test]
    fn variants_of_real_documents_are_recognised() {
        let labels = Labels::shipped();
        for (text, field) in [
            ("FOR ACTION TO", Field::Action),
            ("For\u{a0}information to :", Field::Information),
            ("Origine\u{a0}:", Field::Source),
            ("Pour action:", Field::Action),
            ("Délai:", Field::Deadline),
            ("Cuestion(es)", Field::Questions),
            ("Persona de contacto:", Field::Contact),
            ("Fecha limite", Field::Deadline),
            ("للاتصال:", Field::Contact),
            ("截止日期：", Field::Deadline),
            ("课题：", Field::Questions),
            ("Для информации:", Field::Information),
            ("Контакт:", Field::Contact),
            ("Mots\u{2011}clés", Field::Keywords),
        ] {
            assert_eq!(labels.field(text).map(|found| found.0), Some(field), "{text}");
        }
        assert_eq!(labels.field("接触"), None, "a machine translation that ITU does not use");
    }

    #[test]
    fn empty_values_of_all_languages_are_empty() {
        let labels = Labels::shipped();
        for text in ["", " ", "-", "–", "—", "N/A", "n/a", "None", "S/O", "Néant", "No aplica", "لا ينطبق", "无", "Не применимо"]
        {
            assert!(labels.is_none(text), "{text}");
        }
        assert!(!labels.is_none("TSAG"));
    }

    #[test]
    fn a_label_with_two_meanings_is_refused() {
        let text = include_str!("../../../templates/en/labels.toml").replace("title = [\"Title\"]", "title = [\"Source\"]");
        let error = Labels::parse([(Language::ENGLISH, text.as_str())]).unwrap_err();
        assert!(error.contains("templates/en/labels.toml") && error.contains("Source"), "{error}");
    }
}
