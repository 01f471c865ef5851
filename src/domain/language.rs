//! Languages and texts in several of them.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A primary language subtag of two letters (RFC 5646 section 2.2.1, ISO 639-1), such as `es`.
///
/// Which languages the service speaks is configuration (`service.languages`) and templates, never code.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Language([u8; 2]);

impl Language {
    /// English, the language of last resort: TSAG and the parent groups work in it (DOMAIN 2.3).
    pub const ENGLISH: Self = Self(*b"en");
    /// Arabic.
    pub const ARABIC: Self = Self(*b"ar");

    /// The two letters, lower case.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("en")
    }

    /// Is it written from right to left?
    pub fn is_right_to_left(self) -> bool {
        matches!(&self.0, b"ar" | b"he" | b"fa" | b"ur")
    }

    /// The letter that ITU puts at the end of a file name (`…-S.docx`), for the six languages that have one.
    pub fn itu_letter(self) -> Option<char> {
        Some(match &self.0 {
            b"ar" => 'A',
            b"zh" => 'C',
            b"en" => 'E',
            b"fr" => 'F',
            b"ru" => 'R',
            b"es" => 'S',
            _ => return None,
        })
    }

    /// The language of an ITU file-name letter, `None` for any other letter.
    pub fn from_itu_letter(letter: char) -> Option<Self> {
        Some(Self(match letter {
            'A' => *b"ar",
            'C' => *b"zh",
            'E' => *b"en",
            'F' => *b"fr",
            'R' => *b"ru",
            'S' => *b"es",
            _ => return None,
        }))
    }
}

impl FromStr for Language {
    type Err = String;

    /// Takes `es`, `ES` or a tag with more subtags such as `es-MX` or `zh_Hans`.
    fn from_str(text: &str) -> Result<Self, String> {
        let primary = text.trim().split(['-', '_']).next().unwrap_or_default().to_ascii_lowercase();
        match primary.as_bytes() {
            [a, b] if a.is_ascii_lowercase() && b.is_ascii_lowercase() => Ok(Self([*a, *b])),
            _ => Err(format!("\"{}\" is not a language code of two letters such as \"es\"", text.escape_debug())),
        }
    }
}

impl TryFrom<String> for Language {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Language> for String {
    fn from(language: Language) -> Self {
        language.as_str().to_owned()
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One thing in several languages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Localized<T>(pub BTreeMap<Language, T>);

impl<T> Default for Localized<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<T> Localized<T> {
    /// In one language only.
    pub fn single(language: Language, value: T) -> Self {
        Self(BTreeMap::from([(language, value)]))
    }

    /// In exactly this language.
    pub fn get(&self, language: Language) -> Option<&T> {
        self.0.get(&language)
    }

    /// In the first of `wanted` that is there, else in English, else in any language; `None` only if empty.
    pub fn best(&self, wanted: &[Language]) -> Option<&T> {
        wanted.iter().chain([&Language::ENGLISH]).find_map(|language| self.0.get(language)).or_else(|| self.0.values().next())
    }

    /// Has it no language at all?
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The languages there are, in alphabetical order.
    pub fn languages(&self) -> impl Iterator<Item = Language> + '_ {
        self.0.keys().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn best_follows_the_readers_order_then_english_then_anything() {
        let es: Language = "es".parse().unwrap();
        let fr: Language = "fr".parse().unwrap();
        let text = Localized(BTreeMap::from([(es, "hola"), (Language::ENGLISH, "hello")]));
        assert_eq!(text.best(&[es]), Some(&"hola"));
        assert_eq!(text.best(&[fr]), Some(&"hello"));
        assert_eq!(Localized::single(es, "hola").best(&[fr]), Some(&"hola"));
        assert_eq!(Localized::<&str>::default().best(&[fr]), None);
    }

    #[test]
    fn tags_are_reduced_to_their_primary_subtag() {
        assert_eq!("zh-Hans".parse::<Language>().unwrap().as_str(), "zh");
        assert!("e".parse::<Language>().is_err());
        assert!("eng".parse::<Language>().is_err());
    }
}
