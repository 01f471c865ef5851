//! Guesses the language of a text: by its script, and for Latin script by its commonest words.

use crate::domain::language::Language;

/// Most characters that are looked at.
const CHARACTERS: usize = 4_000;
/// Fewer common words than this prove nothing.
const LEAST_WORDS: usize = 2;

/// Words that nearly every text of the language has and the other two rarely.
const COMMON: [(&str, &[&str]); 3] = [
    (
        "en",
        &[
            "the", "and", "of", "to", "is", "that", "for", "with", "this", "are", "be", "on", "will", "from", "please", "we", "have", "it",
            "you", "by", "at", "not", "as",
        ],
    ),
    (
        "fr",
        &[
            "le", "la", "les", "des", "et", "du", "une", "pour", "dans", "est", "sur", "qui", "aux", "au", "par", "nous", "vous", "avec",
            "cette", "ce", "sont", "veuillez", "un", "que",
        ],
    ),
    (
        "es",
        &[
            "el", "la", "los", "las", "del", "y", "que", "en", "una", "para", "con", "por", "se", "es", "al", "lo", "como", "este", "esta",
            "su", "un", "favor", "no",
        ],
    ),
];

/// The language of `text`, or `None` if it does not show.
pub fn language_of(text: &str) -> Option<Language> {
    let (mut arabic, mut chinese, mut cyrillic, mut latin) = (0_u32, 0_u32, 0_u32, 0_u32);
    for c in text.chars().take(CHARACTERS) {
        match c {
            '\u{600}'..='\u{6ff}' | '\u{750}'..='\u{77f}' | '\u{fb50}'..='\u{fdff}' | '\u{fe70}'..='\u{feff}' => arabic += 1,
            // A character of Chinese says as much as a short word.
            '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}' => chinese += 3,
            '\u{400}'..='\u{52f}' => cyrillic += 1,
            c if c.is_alphabetic() => latin += 1,
            _ => {}
        }
    }
    let most = arabic.max(chinese).max(cyrillic).max(latin);
    if most == 0 {
        return None;
    }
    let code = match most {
        // Foreign names and addresses in Latin letters stand in every text, so another script needs no majority.
        _ if chinese * 2 > latin && chinese == most.max(chinese) => "zh",
        _ if arabic * 2 > latin && arabic > 10 => "ar",
        _ if cyrillic * 2 > latin && cyrillic > 10 => "ru",
        _ => return of_latin(text),
    };
    code.parse().ok()
}

fn of_latin(text: &str) -> Option<Language> {
    let mut scores = [0_usize; COMMON.len()];
    let end = text.char_indices().nth(CHARACTERS).map_or(text.len(), |(at, _)| at);
    for word in text[..end].split(|c: char| !c.is_alphabetic()).filter(|word| !word.is_empty() && word.len() <= 8) {
        let word = word.to_lowercase();
        for (score, (_, common)) in scores.iter_mut().zip(&COMMON) {
            *score += usize::from(common.contains(&word.as_str()));
        }
    }
    let best = scores.iter().copied().max().filter(|best| *best >= LEAST_WORDS)?;
    let mut leaders = scores.iter().zip(&COMMON).filter(|(score, _)| **score == best);
    let leader = leaders.next().map(|(_, (code, _))| *code)?;
    if leaders.next().is_some() { None } else { leader.parse().ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_show_their_language() {
        for (text, expected) in [
            ("Dear colleagues, please find attached the report of the last meeting, which will be discussed on Monday.", Some("en")),
            ("Chers collègues, veuillez trouver ci-joint le rapport de la dernière réunion des groupes régionaux.", Some("fr")),
            ("Estimados colegas: se adjunta el informe de la última reunión del grupo regional para las Américas.", Some("es")),
            ("تحية طيبة، يرجى الاطلاع على بيان الاتصال المرفق من لجنة الدراسات 12 ITU-T", Some("ar")),
            ("Уважаемые коллеги, направляем отчет о последнем собрании региональной группы ITU-T SG12.", Some("ru")),
            ("各位同事，请查收第12研究组区域组会议的报告。", Some("zh")),
            ("SG12-TD-364 rev 2", None),
            ("", None),
        ] {
            assert_eq!(language_of(text).map(|language| language.to_string()).as_deref(), expected, "{text}");
        }
    }
}
