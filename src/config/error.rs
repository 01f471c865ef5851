//! What is wrong with a configuration or a file that people wrote, where, and how to mend it.

use std::fmt;
use std::path::Path;

use serde::Serialize;

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// `config/enlace.toml, line 12`, or the environment variable; empty if it has no place.
    pub place: String,
    /// What is wrong.
    pub text: String,
    /// What to do about it.
    pub remedy: String,
}

/// One mistake in a file that people wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The file as it was named.
    pub file: String,
    /// From 1.
    pub line: usize,
    /// What is wrong.
    pub text: String,
    /// What to do about it.
    pub remedy: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, line {}: {}; {}", self.file, self.line, self.text, self.remedy)
    }
}

impl std::error::Error for ConfigError {}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.place.is_empty() {
            write!(f, "{}: ", self.place)?;
        }
        f.write_str(&self.text)?;
        if !self.remedy.is_empty() {
            write!(f, "; {}", self.remedy)?;
        }
        Ok(())
    }
}

impl ConfigError {
    /// A mistake without a place.
    pub fn new(text: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { place: String::new(), text: text.into(), remedy: remedy.into() }
    }

    /// The same at a place.
    #[must_use]
    pub fn at(self, place: impl Into<String>) -> Self {
        Self { place: place.into(), ..self }
    }

    /// What the TOML reader says of `text`, with its line in `file` and, for an unknown key, the nearest known one.
    pub fn from_toml(error: &toml::de::Error, text: &str, file: &Path) -> Self {
        let line = error.span().map_or(1, |span| line_of(text, span.start));
        Self::from_message(error.message()).at(place(file, line))
    }

    /// What serde says, in our words.
    pub fn from_message(message: &str) -> Self {
        let Some((unknown, expected)) = unknown_field(message) else {
            return Self::new(message.trim_end(), "");
        };
        let text = format!("unknown key \"{}\"", unknown.escape_debug());
        match nearest(unknown, expected.iter().copied()) {
            Some(nearest) => Self::new(text, format!("the nearest known key is \"{nearest}\"")),
            None => Self::new(text, format!("known here: {}", expected.join(", "))),
        }
    }
}

/// `FILE, line N`.
pub fn place(file: &Path, line: usize) -> String {
    format!("{}, line {line}", file.display())
}

/// Line of an octet of `text`, from 1.
pub fn line_of(text: &str, octet: usize) -> usize {
    text.as_bytes().iter().take(octet).filter(|b| **b == b'\n').count() + 1
}

/// The candidate most like `word`, if one is like it at all.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase().replace('-', "_");
    let scored = candidates.into_iter().map(|candidate| (strsim::jaro_winkler(&word, candidate), candidate));
    scored.filter(|(score, _)| *score > 0.6).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, candidate)| candidate)
}

/// Takes serde's "unknown field `a`, expected one of `b`, `c`" apart; also its form for variants of an enum is left alone.
fn unknown_field(message: &str) -> Option<(&str, Vec<&str>)> {
    let rest = message.strip_prefix("unknown field `")?;
    let (unknown, rest) = rest.split_once('`')?;
    let expected = rest.split('`').skip(1).step_by(2).collect();
    Some((unknown, expected))
}
