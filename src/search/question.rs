//! What people type into a search field.
//!
//! Words are all wanted; `"words in order"`, `-unwanted`, `from:name`, `subject:word`, `after:2026-01-31`, `before:2026-12-31`.
//! There is no wrong question: what is not one of these is a word.

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};

/// Most parts of a question; the rest is passed over.
const PARTS: usize = 32;
/// Longest question in characters.
const CHARACTERS: usize = 500;

/// Where something is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Subject, text and attachments.
    Anywhere,
    /// Name and address of the author.
    Author,
    /// The subject.
    Subject,
}

/// One thing that is looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Where.
    pub place: Place,
    /// A word, or words in order.
    pub words: String,
    /// Must it be absent?
    pub unwanted: bool,
}

/// A question.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Question {
    /// All of these.
    pub parts: Vec<Part>,
    /// From that day on (UTC).
    pub after: Option<NaiveDate>,
    /// Up to and including that day (UTC).
    pub before: Option<NaiveDate>,
}

impl Question {
    /// Reads what was typed.
    pub fn read(text: &str) -> Self {
        let mut question = Self::default();
        let text: String = text.chars().take(CHARACTERS).collect();
        for (mut word, quoted) in split(&text) {
            if question.parts.len() >= PARTS {
                break;
            }
            let unwanted = word.len() > 1 && word.starts_with('-');
            if unwanted {
                word.remove(0);
            }
            let day = |prefix: &str| word.strip_prefix(prefix).and_then(|day| day.parse::<NaiveDate>().ok());
            if let Some(day) = day("after:") {
                question.after = Some(day);
                continue;
            }
            if let Some(day) = day("before:") {
                question.before = Some(day);
                continue;
            }
            let place = [("from:", Place::Author), ("subject:", Place::Subject)]
                .into_iter()
                .find_map(|(prefix, place)| Some((place, word.strip_prefix(prefix).filter(|rest| !rest.is_empty())?)));
            let (place, words) = match place {
                Some((place, rest)) => (place, rest.to_owned()),
                None => (Place::Anywhere, word),
            };
            if quoted || words.chars().any(char::is_alphanumeric) {
                question.parts.push(Part { place, words, unwanted });
            }
        }
        question
    }

    /// Does it ask for nothing?
    pub fn is_empty(&self) -> bool {
        !self.parts.iter().any(|part| !part.unwanted) && self.after.is_none() && self.before.is_none()
    }

    /// The first instant that counts, and the first that does not any more.
    pub fn instants(&self) -> (Option<DateTime<Utc>>, Option<DateTime<Utc>>) {
        let midnight = |day: NaiveDate| day.and_time(NaiveTime::MIN).and_utc();
        (self.after.map(midnight), self.before.and_then(|day| day.succ_opt()).map(midnight))
    }
}

/// Words at spaces; what stands in quotes is one, also behind a prefix. An open quote ends with the text.
fn split(text: &str) -> Vec<(String, bool)> {
    let (mut found, mut word, mut inside, mut quoted) = (Vec::new(), String::new(), false, false);
    for c in text.chars().chain([' ']) {
        match c {
            '"' | '\u{201c}' | '\u{201d}' | '«' | '»' => {
                inside = !inside;
                quoted = true;
            }
            c if c.is_whitespace() && !inside => {
                if !word.is_empty() {
                    found.push((std::mem::take(&mut word), quoted));
                }
                quoted = false;
            }
            c => word.push(c),
        }
    }
    if !word.trim().is_empty() {
        found.push((word.trim().to_owned(), quoted));
    }
    found.retain(|(word, _)| word.chars().any(char::is_alphanumeric));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_of_a_part_is_understood() {
        let question = Question::read(
            " informe \"grupo regional\" -borrador from:ana subject:\"orden del día\" after:2026-01-31 before:2026-12-31 -- ",
        );
        let part = |place, words: &str, unwanted| Part { place, words: words.into(), unwanted };
        assert_eq!(
            question.parts,
            [
                part(Place::Anywhere, "informe", false),
                part(Place::Anywhere, "grupo regional", false),
                part(Place::Anywhere, "borrador", true),
                part(Place::Author, "ana", false),
                part(Place::Subject, "orden del día", false),
            ]
        );
        assert_eq!(question.after, "2026-01-31".parse().ok());
        assert_eq!(question.instants().1, "2027-01-01T00:00:00Z".parse().ok());
    }

    #[test]
    fn no_question_is_wrong() {
        for odd in ["\"open", "after:yesterday", "from:", "a:b:c", "-", "((", "\u{0}\u{1b}[2J", &"x ".repeat(10_000)] {
            let question = Question::read(odd);
            assert!(question.parts.len() <= PARTS, "{odd:?}");
        }
        assert!(Question::read("-only").is_empty() && Question::read("  ").is_empty() && Question::read("!?").is_empty());
        assert_eq!(Question::read("\"open words").parts[0].words, "open words");
    }
}
