//! Words that decide before the status does. Data: a new text of a provider is a line in a file here and a mail in the corpus.
//!
//! Each line is a class and a phrase, which is compared with lower-case text of single spaces; the first line that fits wins. What
//! is nobody's fault but ours stands before what is the member's, so that a policy rejection that also names the mailbox never
//! counts against her.

use super::BounceClass;

/// Phrases that hold a word of `clear.txt` and mean something else.
const FIRST: &str = include_str!("phrases/first.txt");
/// Phrases that are clear whatever status stands beside them.
const CLEAR: &str = include_str!("phrases/clear.txt");
/// Words that mean it often enough where neither clear ones nor a status say more.
const WEAK: &str = include_str!("phrases/weak.txt");

/// The class that the clear words of a prepared text give, if they give one.
pub(super) fn class_of(text: &str) -> Option<BounceClass> {
    first_in(FIRST, text).or_else(|| first_in(CLEAR, text))
}

/// The class that weak words give, if they give one; asked after the status.
pub(super) fn weak_class_of(text: &str) -> Option<BounceClass> {
    first_in(WEAK, text)
}

fn first_in(table: &str, text: &str) -> Option<BounceClass> {
    let (class, _) = rows(table).find(|(_, phrase)| text.contains(phrase))?;
    BounceClass::ALL.into_iter().find(|known| known.as_str() == class)
}

fn rows(table: &str) -> impl Iterator<Item = (&str, &str)> {
    table.lines().filter_map(|line| line.split_once(": "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_a_class_and_a_phrase_that_can_be_found() {
        for table in [FIRST, CLEAR, WEAK] {
            assert_eq!(rows(table).count(), table.lines().count());
            for (class, phrase) in rows(table) {
                assert!(BounceClass::ALL.iter().any(|known| known.as_str() == class), "{class}: {phrase}");
                assert_eq!(phrase, phrase.to_lowercase(), "compared with lower case");
                assert!(!phrase.trim().is_empty() && !phrase.contains("  "), "{phrase:?}");
            }
        }
    }
}
