//! In which language a page is shown: the link's `?lang=`, then the reader's account where it is known, then the browser's wish.

use crate::domain::language::Language;

/// Longest `Accept-Language` that is looked at, in octets.
const WISH_OCTETS: usize = 1_000;

/// The first of `offered` that `asked` (of the link) or `known` (of the account, in order) names, else the best of the
/// browser's `wish` (RFC 9110 section 12.5.4), else the first offered, else English.
pub fn choose(offered: &[Language], asked: Option<&str>, known: &[Language], wish: Option<&str>) -> Language {
    let asked = asked.filter(|text| text.len() <= 16).and_then(|text| text.parse::<Language>().ok());
    let wished = wish.map(wishes).unwrap_or_default();
    asked
        .iter()
        .chain(known)
        .chain(&wished)
        .find(|language| offered.contains(language))
        .or(offered.first())
        .copied()
        .unwrap_or(Language::ENGLISH)
}

/// Languages of an `Accept-Language` field, the most wanted first; `q=0` refuses and is left out.
fn wishes(field: &str) -> Vec<Language> {
    let mut wished: Vec<(u16, Language)> = field
        .get(..WISH_OCTETS)
        .unwrap_or(field)
        .split(',')
        .take(32)
        .filter_map(|item| {
            let (tag, parameters) = item.split_once(';').unwrap_or((item, ""));
            let weight = match parameters.trim().strip_prefix("q=") {
                Some(weight) => thousandths(weight)?,
                None => 1_000,
            };
            Some((weight, tag.trim().parse().ok()?)).filter(|(weight, _)| *weight > 0)
        })
        .collect();
    wished.sort_by_key(|(weight, _)| std::cmp::Reverse(*weight));
    wished.into_iter().map(|(_, language)| language).collect()
}

/// `0.75` as 750; `None` for what is no weight (RFC 9110 section 12.4.2).
fn thousandths(weight: &str) -> Option<u16> {
    let (whole, part) = weight.split_once('.').unwrap_or((weight, ""));
    let part = format!("{part:0<3}");
    let value = whole.parse::<u16>().ok()?.checked_mul(1_000)?.checked_add(part.parse().ok()?)?;
    (part.len() == 3 && value <= 1_000).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn link_then_account_then_browser_then_first() {
        let offered: Vec<Language> = ["en", "fr", "es", "ar"].map(|code| code.parse().unwrap()).to_vec();
        let known: Vec<Language> = vec!["ru".parse().unwrap(), "es".parse().unwrap()];
        for (asked, known, wish, expected) in [
            (Some("ar"), &known[..], Some("fr"), "ar"),
            (Some("xx"), &known[..], Some("fr"), "es"),
            (Some("<script>"), &[], Some("fr"), "fr"),
            (None, &[], Some("de-CH, es;q=0.4, fr-FR;q=0.9"), "fr"),
            (None, &[], Some("fr;q=0, es;q=0.001"), "es"),
            (None, &[], Some("*;q=0.5, fr;q=9"), "en"),
            (None, &[], Some("fr;q=0.12345, ar;q=."), "en"),
            (None, &[], None, "en"),
        ] {
            assert_eq!(choose(&offered, asked, known, wish).as_str(), expected, "{asked:?} {wish:?}");
        }
        assert_eq!(choose(&[], None, &[], Some(&"é".repeat(2_000))), Language::ENGLISH);
    }
}
