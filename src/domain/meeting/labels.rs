//! The words by which a meeting is written down in a mail, in every language, as data.
//!
//! A language's words are one file, `templates/LANG/meeting-labels.toml`. Matching ignores case, accents, spaces and kinds
//! of colon, like that of statements. A label also says in which language its value is: `Título:` gives the Spanish title.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;

use crate::domain::language::Language;
use crate::domain::liaison::plain::key;

/// Longest label in characters; what is longer is prose.
const MOST_CHARACTERS: usize = 60;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    labels: BTreeMap<String, Vec<String>>,
    values: BTreeMap<String, Vec<String>>,
}

/// Names of what a line can give, as in the label files; the deadlines are the last seven.
pub const SLOTS: [&str; 28] = [
    "id",
    "groups",
    "title",
    "start",
    "end",
    "timezone",
    "venue",
    "city",
    "country",
    "host",
    "remote",
    "remote-notes",
    "registration-url",
    "agenda",
    "documents",
    "contact",
    "languages",
    "audience",
    "planned",
    "status",
    "letter",
    "translation",
    "fellowship",
    "interpretation",
    "registration",
    "visa",
    "hotel",
    "contribution",
];

/// The labels and values of all languages.
#[derive(Debug, Clone, Default)]
pub struct Labels {
    slots: HashMap<String, (&'static str, Vec<(Language, String)>)>,
    values: HashMap<String, String>,
}

impl Labels {
    /// The shipped files.
    ///
    /// # Panics
    /// If a shipped file is wrong, which a test rules out.
    pub fn shipped() -> Self {
        let files = [
            ("en", include_str!("../../../templates/en/meeting-labels.toml")),
            ("es", include_str!("../../../templates/es/meeting-labels.toml")),
            ("fr", include_str!("../../../templates/fr/meeting-labels.toml")),
            ("ar", include_str!("../../../templates/ar/meeting-labels.toml")),
            ("zh", include_str!("../../../templates/zh/meeting-labels.toml")),
            ("ru", include_str!("../../../templates/ru/meeting-labels.toml")),
        ];
        let mut labels = Self::default();
        for (language, text) in files {
            labels.add(language, text).expect("the shipped label files are read by a test");
        }
        labels
    }

    fn add(&mut self, language: &str, text: &str) -> Result<(), String> {
        let file: File = toml::from_str(text).map_err(|error| format!("templates/{language}/meeting-labels.toml: {error}"))?;
        let language: Language = language.parse()?;
        for slot in SLOTS {
            let words = file.labels.get(slot).ok_or_else(|| format!("the labels of {language} lack {slot}"))?;
            for word in words {
                let entry = self.slots.entry(key(word)).or_insert((slot, Vec::new()));
                if entry.0 != slot {
                    return Err(format!("\"{word}\" of {language} stands for {} and for {slot}", entry.0));
                }
                entry.1.push((language, word.to_lowercase()));
            }
        }
        if let Some(unknown) = file.labels.keys().find(|name| !SLOTS.contains(&name.as_str())) {
            return Err(format!("the labels of {language} have an unknown {unknown}"));
        }
        for (value, words) in file.values {
            self.values.extend(words.iter().map(|word| (key(word), value.clone())));
        }
        Ok(())
    }

    /// What a label stands for, and its language where only one writes it so (`Reunión`, `Réunion`).
    pub fn slot(&self, label: &str) -> Option<(&'static str, Option<Language>)> {
        let (slot, writings) = (label.chars().count() <= MOST_CHARACTERS).then(|| self.slots.get(&key(label))).flatten()?;
        let written = label.trim().to_lowercase();
        let exact: Vec<_> = writings.iter().filter(|(_, writing)| *writing == written).collect();
        let language = match (&exact[..], &writings[..]) {
            ([(only, _)], _) | ([], [(only, _)]) => Some(*only),
            _ => None,
        };
        Some((*slot, language))
    }

    /// The value that a word of any language stands for, such as `announced`.
    pub fn value(&self, word: &str) -> Option<&str> {
        self.values.get(&key(word)).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_language_has_every_label_and_no_word_means_two_things() {
        let labels = Labels::shipped();
        for (label, slot, language) in [
            ("Time zone", "timezone", "en"),
            ("HUSO HORARIO", "timezone", "es"),
            ("Ordre du jour", "agenda", "fr"),
            ("Вклады", "contribution", "ru"),
            ("Reunión", "title", "es"),
            ("Réunion", "title", "fr"),
            ("会议", "title", "zh"),
            ("الاجتماع", "title", "ar"),
        ] {
            let (found, of) = labels.slot(label).unwrap_or_else(|| panic!("{label}"));
            assert_eq!((found, of.unwrap().as_str()), (slot, language), "{label}");
        }
        assert_eq!(labels.slot("Dear colleagues"), None);
        assert_eq!(labels.value("Aplazada"), Some("postponed"));
        assert_eq!(labels.value("取消"), Some("cancelled"));
    }
}
