//! What a title or Subject says beside its words: `LS/o`, `LS/i/r`, `[to TSAG]`, `[for info to SG2, SG3]`, `[from SG11]`,
//! `[reply to SG2-LS45]`.

use crate::domain::liaison::labels::Labels;
use crate::domain::liaison::plain::{has_words, plain, words_key};
use crate::domain::liaison::statement::{Destination, Direction, Purpose};

use super::values;

/// The marks of a title.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Marks {
    /// `LS/o` or `LS/i`.
    pub direction: Option<Direction>,
    /// What it answers, if it says that it is a reply; the reference may be empty.
    pub reply: Option<String>,
    /// Destinations in brackets.
    pub destinations: Vec<Destination>,
    /// Those of them for which no purpose is named, so that information is assumed.
    pub assumed: Vec<String>,
    /// Sender in brackets.
    pub source: Option<String>,
}

/// Reads the marks of a title.
pub fn marks(title: &str, labels: &Labels) -> Marks {
    let title = plain(title);
    let mut marks = Marks::default();
    let (direction, reply) = leading_mark(&title);
    marks.direction = direction;
    if reply {
        marks.reply = Some(String::new());
    }
    let words = words_key(&title);
    if let Some(said) = labels.words.reply.iter().find(|said| has_words(&words, said)) {
        marks.reply = Some(behind(&title, said).chars().take(120).collect());
    }
    for bracket in brackets(&title) {
        read_bracket(bracket, labels, &mut marks);
    }
    marks
}

/// What stands behind `said` (in the form of [`words_key`]) in the title, as it is written.
fn behind<'a>(title: &'a str, said: &str) -> &'a str {
    let ends: Vec<usize> = title.char_indices().map(|(at, c)| at + c.len_utf8()).take(400).collect();
    let end = ends.into_iter().find(|end| {
        let words = words_key(&title[..*end]);
        words.strip_suffix(said).is_some_and(|before| before.is_empty() || before.ends_with(' ') || said.chars().all(|c| c >= '\u{2e80}'))
            && title[*end..].chars().next().is_none_or(|c| !c.is_alphanumeric() || c >= '\u{2e80}')
    });
    let rest = &title[end.unwrap_or(title.len())..];
    rest.trim_matches(|c: char| c.is_whitespace() || matches!(c, ':' | '：' | ',' | '.' | ']' | ')'))
}

/// Does the title carry a mark of its own, such as `LS/o`?
pub fn is_marked(title: &str) -> bool {
    leading_mark(title) != (None, false)
}

/// `LS/o`, `LS/i/r`, `LS/r`, `LS/o/r` at the start, behind a symbol or `[list]` at most.
fn leading_mark(title: &str) -> (Option<Direction>, bool) {
    let lower = title.to_ascii_lowercase();
    let found = lower.match_indices("ls/").find(|(at, _)| lower[..*at].chars().next_back().is_none_or(|c| !c.is_alphanumeric()));
    let Some((at, _)) = found.filter(|(at, _)| *at < 60) else { return (None, false) };
    let mark: String = lower[at + 3..].chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '/').collect();
    match mark.as_str() {
        "o" => (Some(Direction::Outgoing), false),
        "i" => (Some(Direction::Incoming), false),
        "o/r" | "r/o" => (Some(Direction::Outgoing), true),
        "i/r" | "r/i" => (Some(Direction::Incoming), true),
        "r" => (None, true),
        _ => (None, false),
    }
}

/// The contents of square brackets, and of round ones that name a reply.
fn brackets(title: &str) -> Vec<&str> {
    let mut out = Vec::new();
    for (open, close) in [('[', ']'), ('(', ')')] {
        let mut rest = title;
        while let Some((_, inner)) = rest.split_once(open) {
            let Some((content, after)) = inner.split_once(close) else { break };
            if open == '[' || content.to_ascii_lowercase().starts_with("reply to") {
                out.push(content);
            }
            rest = after;
        }
    }
    out
}

fn read_bracket(content: &str, labels: &Labels, marks: &mut Marks) {
    let lower = content.to_ascii_lowercase();
    if let Some(reference) = lower.strip_prefix("reply to").or_else(|| lower.strip_prefix("in reply to")) {
        let reference = content[content.len() - reference.len()..].trim();
        marks.reply = Some(reference.chars().take(120).collect());
    } else if lower.starts_with("from ") {
        marks.source = Some(content[5..].trim().to_owned());
    } else if let Some((purpose, rest)) = addressed(content) {
        read_addressed(purpose, rest, labels, marks);
    }
}

/// `to X, for info to Y`: each part with its purpose.
fn read_addressed(mut purpose: Option<Purpose>, mut rest: &str, labels: &Labels, marks: &mut Marks) {
    loop {
        let next = rest.match_indices(['f', 'F', 't', 'T']).skip(1).find_map(|(at, _)| {
            let starts = rest[..at].ends_with([' ', ',', ';']);
            addressed(&rest[at..]).filter(|_| starts).map(|(purpose, behind)| (at, purpose, behind))
        });
        let own = next.map_or(rest, |(at, ..)| &rest[..at]);
        let own = own.trim_end_matches([' ', ',', ';']).trim_end_matches(" and").trim();
        let found = values::destinations(own, purpose.unwrap_or(Purpose::Information), labels);
        if purpose.is_none() {
            marks.assumed.extend(found.iter().map(|d| d.name.clone()));
        }
        marks.destinations.extend(found);
        match next {
            Some((_, following, behind)) => (purpose, rest) = (following, behind),
            None => return,
        }
    }
}

/// `to X`, `for info to X`, `for action to X`: the purpose, if it is named, and what follows.
fn addressed(text: &str) -> Option<(Option<Purpose>, &str)> {
    let prefixes = [
        ("for information to ", Some(Purpose::Information)),
        ("for info to ", Some(Purpose::Information)),
        ("for action to ", Some(Purpose::Action)),
        ("for comment to ", Some(Purpose::Comment)),
        ("for comments to ", Some(Purpose::Comment)),
        ("to ", None),
    ];
    prefixes.into_iter().find_map(|(prefix, purpose)| {
        let start = text.get(..prefix.len())?;
        start.eq_ignore_ascii_case(prefix).then(|| (purpose, &text[prefix.len()..]))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(title: &str, direction: Option<Direction>, reply: Option<&str>, to: &[(&str, Purpose)], from: Option<&str>) {
        let marks = marks(title, &Labels::shipped());
        let destinations: Vec<_> = marks.destinations.iter().map(|d| (d.name.as_str(), d.purpose)).collect();
        assert_eq!(
            (marks.direction, marks.reply.as_deref(), &destinations[..], marks.source.as_deref()),
            (direction, reply, to, from),
            "{title}"
        );
    }

    #[test]
    fn marks_and_brackets_of_titles() {
        use Direction::{Incoming, Outgoing};
        use Purpose::{Action, Information};
        check("LS/o on the creation of a group [to TSAG]", Some(Outgoing), None, &[("TSAG", Information)], None);
        check("ls/I on X [from SG11]", Some(Incoming), None, &[], Some("SG11"));
        check(
            "LS/o/r on X [reply to SG2-LS45] [to SG2, SG3]",
            Some(Outgoing),
            Some("SG2-LS45"),
            &[("SG2", Information), ("SG3", Information)],
            None,
        );
        check("LS/r on X (reply to SG2-LS45)", None, Some("SG2-LS45"), &[], None);
        check("LS/o on X [for info to SG2, IETF]", Some(Outgoing), None, &[("SG2", Information), ("IETF", Information)], None);
        check("LS/o on X [for action to TSAG, for info to SG2]", Some(Outgoing), None, &[("TSAG", Action), ("SG2", Information)], None);
        check("[SG12RG-AMR] SG12-LS45 LS/o: X", Some(Outgoing), None, &[], None);
        check("Reply to liaison statement from SG2 concerning X", None, Some("SG2 concerning X"), &[], None);
        check("Réponse à la note de liaison de la CE 2", None, Some("la CE 2"), &[], None);
        check("Tools/o for all", None, None, &[], None);
        check("Quality [part 2] (draft)", None, None, &[], None);
    }

    #[test]
    fn purposes_that_were_not_named_are_told() {
        assert_eq!(marks("LS/o on X [to TSAG] [for info to SG2]", &Labels::shipped()).assumed, ["TSAG"]);
    }
}
