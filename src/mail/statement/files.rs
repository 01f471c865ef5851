//! What a file name says: `T25-SG12-260928-TD-GEN-0364!R1!MSW-E.docx` is in English, revision 1 of SG12-TD364.

use crate::domain::language::Language;
use crate::domain::liaison::statement::Symbol;

use super::values;

/// The language that a name ends with: `-E.docx`, `_S.pdf`, `-es.docx`; `T25-SG12-C.xml` is an index and no Chinese text.
pub fn language(name: &str) -> Option<Language> {
    let (stem, extension) = name.rsplit_once('.')?;
    let at = stem.rfind(['-', '_', '!', ' '])?;
    let (before, token) = (&stem[..at], &stem[at + 1..]);
    let before = before.trim_end_matches(['-', '_', '!', ' ']);
    let is_index = extension.eq_ignore_ascii_case("xml") || is_group(before.rsplit('-').next().unwrap_or_default());
    if is_index || before.is_empty() {
        return None;
    }
    let mut letters = token.chars();
    match (letters.next(), letters.next()) {
        (Some(letter), None) => Language::from_itu_letter(letter.to_ascii_uppercase()),
        _ if token.len() == 2 => {
            let language: Language = token.parse().ok()?;
            language.itu_letter().map(|_| language)
        }
        _ => None,
    }
}

fn is_group(token: &str) -> bool {
    token.eq_ignore_ascii_case("TSAG")
        || token.to_ascii_uppercase().strip_prefix("SG").is_some_and(|n| !n.is_empty() && n.chars().all(|c| c.is_ascii_digit()))
}

/// The symbol in a name.
pub fn symbol(name: &str) -> Option<Symbol> {
    values::symbol(name.rsplit_once('.').map_or(name, |(stem, _)| stem))
}

fn has_ending(name: &str, endings: &[&str]) -> bool {
    name.rsplit_once('.').is_some_and(|(_, ending)| endings.iter().any(|known| ending.eq_ignore_ascii_case(known)))
}

/// Can its header table be read: is it a Word document? Its name decides; its type only where the name says nothing of the kind,
/// because mail programs guess types.
pub fn is_docx(name: &str, media_type: &str) -> bool {
    has_ending(name, &["docx", "docm"]) || (media_type.contains("wordprocessingml") && !has_ending(name, &["pdf"]))
}

/// Is it a PDF, by the same rule?
pub fn is_pdf(name: &str, media_type: &str) -> bool {
    has_ending(name, &["pdf"]) || (media_type == "application/pdf" && !has_ending(name, &["docx", "docm"]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_token_is_the_language() {
        for (name, expected) in [
            ("T25-SG12-260928-TD-GEN-0364!!MSW-E.docx", Some("en")),
            ("T25-SG12-260928-TD-GEN-0364!!MSW-S.docx", Some("es")),
            ("T25-SG12-C-0001-C.docx", Some("zh")),
            ("T25-SG12-C.xml", None),
            ("T25-SG12-R.docx", None),
            ("LS45_F.pdf", Some("fr")),
            ("statement-es.docx", Some("es")),
            ("statement-r.docx", Some("ru")),
            ("annex.docx", None),
            ("plan-B.docx", None),
            ("-E.docx", None),
            ("x-de.docx", None),
        ] {
            assert_eq!(language(name).map(|l| l.to_string()).as_deref(), expected, "{name}");
        }
    }
}
