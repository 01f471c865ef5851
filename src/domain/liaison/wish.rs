//! What a subscriber wants of the statements of one group: each at once, or some of them as a daily digest.
//!
//! A parent group may receive a hundred statements in the weeks of a meeting; a digest filtered by purpose and Question
//! keeps the few that concern a reader in front. Pure; where it is kept is the service's business.

use serde::{Deserialize, Serialize};

use super::statement::{Purpose, Question};

/// A reader's wish for one group; without one every statement comes by itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wish {
    /// Purposes that still come at once; all others go into the digest.
    pub at_once: Vec<Purpose>,
    /// Questions whose statements still come at once.
    pub questions: Vec<Question>,
    /// Of those in the digest, only these purposes are shown; empty: all.
    pub shown: Vec<Purpose>,
}

impl Wish {
    /// Does a statement with this purpose for the reader's group and these Questions go into the digest?
    pub fn is_for_digest(&self, purpose: Purpose, questions: &[Question]) -> bool {
        let concerns = |question: &Question| self.questions.iter().any(|wanted| same(wanted, question));
        !self.at_once.contains(&purpose) && !questions.iter().any(concerns)
    }

    /// Is a statement of the digest shown in it?
    pub fn is_shown(&self, purpose: Purpose) -> bool {
        self.shown.is_empty() || self.shown.contains(&purpose)
    }

    /// Reads `action,comment 7/12 ALL/12`: what comes at once, separated by spaces or commas.
    ///
    /// # Errors
    /// Names the word that is neither a purpose nor a Question.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut wish = Self::default();
        for word in text.split([' ', ',', ';']).filter(|word| !word.is_empty()) {
            let purpose = Purpose::ALL.into_iter().find(|purpose| purpose.as_str().eq_ignore_ascii_case(word));
            match (purpose, question(word)) {
                (Some(purpose), _) => wish.at_once.push(purpose),
                (None, Some(question)) => wish.questions.push(question),
                (None, None) => {
                    return Err(format!(
                        "\"{}\" is neither a purpose (action, comment, information) nor a Question such as 7/12",
                        word.escape_debug()
                    ));
                }
            }
        }
        Ok(wish)
    }
}

/// `7/12`, `Q7/12`, `ALL/12`.
fn question(word: &str) -> Option<Question> {
    let (number, group) = word.split_once('/')?;
    let number = number.trim_start_matches(['Q', 'q']);
    let plain = !group.is_empty() && group.len() <= 20 && group.chars().all(|c| c.is_alphanumeric() || c == '-');
    let number = if number.eq_ignore_ascii_case("all") { None } else { Some(number.parse().ok()?) };
    plain.then(|| Question { number, group: group.to_uppercase() })
}

/// `ALL/12` stands for every Question of group 12.
fn same(wanted: &Question, found: &Question) -> bool {
    let number = wanted.number.is_none() || found.number.is_none() || wanted.number == found.number;
    number && wanted.group.eq_ignore_ascii_case(&found.group)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn purposes_and_questions_that_come_at_once_are_no_digest() {
        let wish = Wish::parse("action, 7/12 ALL/2").unwrap();
        let q = |text: &str| vec![question(text).unwrap()];
        for (purpose, questions, digest) in [
            (Purpose::Action, vec![], false),
            (Purpose::Comment, vec![], true),
            (Purpose::Information, q("7/12"), false),
            (Purpose::Information, q("ALL/12"), false),
            (Purpose::Information, q("8/12"), true),
            (Purpose::Information, q("3/2"), false),
            (Purpose::Information, q("7/13"), true),
        ] {
            assert_eq!(wish.is_for_digest(purpose, &questions), digest, "{purpose:?} {questions:?}");
        }
        assert!(Wish::parse("urgent").unwrap_err().contains("urgent"));
        assert!(Wish::default().is_for_digest(Purpose::Action, &[]) && Wish::default().is_shown(Purpose::Action));
    }
}
