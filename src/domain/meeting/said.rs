//! The values of a change, as they are kept: plain text with what depends on the reader's language marked in it.
//!
//! A change is kept as text, because the meeting of before is gone when it is told. So that each reader is told in her own
//! language all the same, texts in several languages, days and hours, and words of the program stand between marks that no
//! person writes. Changes of before have no marks and are shown as they are.

use super::change::span_from;
use super::span::Span;
use crate::domain::language::{Language, Localized};

/// Begins what depends on the language; one letter follows that says what it is.
const OPEN: char = '\u{e000}';
/// Ends it.
const CLOSE: char = '\u{e001}';
/// Between two texts.
const NEXT: char = '\u{e002}';
/// Between a language and its text.
const IN: char = '\u{e003}';

/// How the marked parts of a value are said.
pub trait Speaker {
    /// A text of which there are these languages.
    fn text(&self, texts: &Localized<String>) -> String;
    /// Days or hours.
    fn span(&self, span: &Span) -> String;
    /// A word such as `open`.
    fn word(&self, word: &str) -> String;
}

/// A text in its languages; one that is the same in all of them is not marked.
pub(super) fn text(texts: &Localized<String>) -> String {
    let plain = |text: &str| text.replace(|c: char| matches!(c, OPEN..=IN), "");
    let all: Vec<(&Language, String)> = texts.0.iter().map(|(language, text)| (language, plain(text))).collect();
    match all.first() {
        None => String::new(),
        Some((_, first)) if all.iter().all(|(_, text)| text == first) => first.clone(),
        Some(_) => {
            let all: Vec<String> = all.into_iter().map(|(language, text)| format!("{language}{IN}{text}")).collect();
            format!("{OPEN}t{}{CLOSE}", all.join(&NEXT.to_string()))
        }
    }
}

/// Days or hours in their neutral form.
pub(super) fn span(neutral: &str) -> String {
    format!("{OPEN}s{neutral}{CLOSE}")
}

/// A word of the program.
pub(super) fn word(word: &str) -> String {
    format!("{OPEN}w{word}{CLOSE}")
}

/// The value as `speaker` says it.
pub fn said(value: &str, speaker: &impl Speaker) -> String {
    let mut out = String::new();
    let mut rest = value;
    while let Some((before, marked)) = rest.split_once(OPEN) {
        let (inner, behind) = marked.split_once(CLOSE).unwrap_or((marked, ""));
        out.push_str(before);
        let mut letters = inner.chars();
        let (kind, inner) = (letters.next(), letters.as_str());
        out.push_str(&match kind {
            Some('t') => {
                let one = |text: &str| text.split_once(IN).and_then(|(language, text)| Some((language.parse().ok()?, text.to_owned())));
                speaker.text(&Localized(inner.split(NEXT).filter_map(one).collect()))
            }
            Some('s') => span_from(inner).map_or_else(|| inner.to_owned(), |span| speaker.span(&span)),
            _ => speaker.word(inner),
        });
        rest = behind;
    }
    out.push_str(rest);
    out
}

/// Without any language: all texts, English first, days as `2027-04-06`, words as in files.
pub fn neutral(value: &str) -> String {
    said(value, &Neutral)
}

struct Neutral;

impl Speaker for Neutral {
    fn text(&self, texts: &Localized<String>) -> String {
        let mut all: Vec<&str> = Vec::new();
        for value in texts.get(Language::ENGLISH).into_iter().chain(texts.0.values()) {
            if !all.contains(&value.as_str()) {
                all.push(value);
            }
        }
        all.join(" / ")
    }

    fn span(&self, span: &Span) -> String {
        super::change::span_text(span)
    }

    fn word(&self, word: &str) -> String {
        word.trim_start_matches("language-").to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_said_in_a_language_and_without_any() {
        let english = Localized::single(Language::ENGLISH, "Room A".to_owned());
        let mut both = english.clone();
        both.0.insert("es".parse().unwrap(), "Sala \u{e001}A".to_owned());
        let value = format!("{}, {}, {}", text(&both), span("2027-04-06 - 2027-04-07"), word("open"));
        assert_eq!(neutral(&value), "Room A / Sala A, 2027-04-06 - 2027-04-07, open");
        assert_eq!((text(&english).as_str(), neutral("as before, 2027").as_str()), ("Room A", "as before, 2027"));
    }
}
