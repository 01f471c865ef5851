//! Which of our groups a name in a statement means.
//!
//! `ITU-T SG12`, `Study Group 12`, `CE 12`, `第12研究组`, `SG 3RG-LAC`, `GCNT`, `all ITU-T study groups`: names as people write them.
//! Study groups of the other Sectors (`ITU-R SG5`) are other bodies. Region codes are not uniform, so a regional group is
//! found by its whole acronym, or by its full name.

use super::labels::Labels;
use super::plain::{has_words, key, plain, words_key};
use crate::domain::group::{Group, GroupCode, GroupKind};

/// What a name means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// One study group of ITU-T.
    StudyGroup(u16),
    /// A regional group, by its acronym.
    Regional(GroupCode),
    /// TSAG.
    Tsag,
    /// Every study group of ITU-T.
    AllStudyGroups,
    /// Anything else.
    Other,
}

impl Body {
    /// What `name` means.
    pub fn of(name: &str, labels: &Labels) -> Self {
        if let Some(code) = regional_code(name) {
            return Self::Regional(code);
        }
        let words = words_key(name);
        let any = |list: &[String]| list.iter().any(|word| has_words(&words, word));
        if any(&labels.bodies.all_study_groups) {
            return Self::AllStudyGroups;
        }
        if any(&labels.bodies.regional_group) {
            return Self::Other;
        }
        if any(&labels.bodies.tsag) {
            return Self::Tsag;
        }
        let other_sector = ["itu r", "itu d", "uit r", "uit d", "мсэ r", "мсэ d"].iter().any(|sector| has_words(&words, sector));
        match study_group_number(&words, labels) {
            Some(number) if !other_sector => Self::StudyGroup(number),
            _ => Self::Other,
        }
    }

    /// The acronym, for one body of ITU-T.
    pub fn code(&self) -> Option<GroupCode> {
        match self {
            Self::StudyGroup(number) => format!("SG{number}").parse().ok(),
            Self::Regional(code) => Some(code.clone()),
            Self::Tsag => "TSAG".parse().ok(),
            Self::AllStudyGroups | Self::Other => None,
        }
    }
}

/// The groups of `groups` that `name` means: one, every study group, or none.
pub fn resolve<'a>(name: &str, labels: &Labels, groups: &'a [Group]) -> Vec<&'a Group> {
    let body = Body::of(name, labels);
    if body == Body::AllStudyGroups {
        return groups.iter().filter(|group| group.kind == GroupKind::Study && !group.retired).collect();
    }
    let compared = key(name);
    let by_name = |group: &&Group| {
        key(group.code.as_str()) == compared || group.name.0.values().any(|full| !full.is_empty() && key(full) == compared)
    };
    match body.code() {
        Some(code) => groups.iter().filter(|group| group.code == code).collect(),
        None => groups.iter().find(by_name).into_iter().collect(),
    }
}

/// The acronym of a regional group anywhere in the text, spaces within it forgiven.
pub fn regional_code(text: &str) -> Option<GroupCode> {
    let text: Vec<char> = plain(text).to_uppercase().chars().collect();
    (0..text.len()).filter(|at| *at == 0 || !text[at - 1].is_alphanumeric()).find_map(|at| regional_code_at(&text[at..]))
}

fn regional_code_at(text: &[char]) -> Option<GroupCode> {
    let rest = text.strip_prefix(&['S', 'G'])?;
    let rest = skip(rest, &[' ']);
    let digits = rest.iter().take_while(|c| c.is_ascii_digit()).count();
    let number: String = rest.get(..digits).filter(|d| (1..=2).contains(&d.len()))?.iter().collect();
    let rest = skip(&rest[digits..], &[' ', '-']).strip_prefix(&['R', 'G'])?;
    let rest = skip(rest, &[' ', '-', '.']);
    let region: String = rest.iter().take_while(|c| c.is_ascii_uppercase()).collect();
    let number: u16 = number.parse().ok()?;
    (2..=6).contains(&region.len()).then(|| format!("SG{number}RG-{region}").parse().ok())?
}

fn skip<'a>(text: &'a [char], what: &[char]) -> &'a [char] {
    &text[text.iter().take_while(|c| what.contains(c)).count()..]
}

/// The number beside the words for "study group": `sg12`, `study group 12`, `第12研究组`, `12 я исследовательская комиссия`.
fn study_group_number(words: &str, labels: &Labels) -> Option<u16> {
    labels.bodies.study_group.iter().find_map(|name| {
        words.match_indices(name.as_str()).find_map(|(at, found)| {
            let before = &words[..at];
            let after = words[at + found.len()..].trim_start();
            let starts_word = before.chars().next_back().is_none_or(|c| !c.is_alphabetic()) || name.chars().all(|c| c >= '\u{2e80}');
            if !starts_word {
                return None;
            }
            let digits: String = after.chars().take_while(char::is_ascii_digit).collect();
            let digits = if digits.is_empty() { last_number(before) } else { digits };
            digits.parse().ok().filter(|number| (1..=99).contains(number))
        })
    })
}

/// The number at the end of the text, an ordinal ending of up to two letters behind it forgiven.
fn last_number(text: &str) -> String {
    let text = text.trim_end();
    let text = text.trim_end_matches(|c: char| c.is_alphabetic()).trim_end();
    let reversed: String = text.chars().rev().take_while(char::is_ascii_digit).collect();
    reversed.chars().rev().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_as_people_write_them() {
        let labels = Labels::shipped();
        let regional = |code: &str| Body::Regional(code.parse().unwrap());
        for (name, expected) in [
            ("ITU-T SG12", Body::StudyGroup(12)),
            ("ITU\u{2011}T Study Group 12", Body::StudyGroup(12)),
            ("SG 2", Body::StudyGroup(2)),
            ("CE 12 de l'UIT-T", Body::StudyGroup(12)),
            ("Comisión de Estudio 12 del UIT-T", Body::StudyGroup(12)),
            ("Commission d'études 12", Body::StudyGroup(12)),
            ("ITU-T第12研究组", Body::StudyGroup(12)),
            ("12-я Исследовательская комиссия", Body::StudyGroup(12)),
            ("لجنة الدراسات 12", Body::StudyGroup(12)),
            ("ITU-R SG5", Body::Other),
            ("ITU-T SG12RG-AMR", regional("SG12RG-AMR")),
            ("SG 3RG-LAC", regional("SG3RG-LAC")),
            ("SG3 RG-AFR", regional("SG3RG-AFR")),
            ("SG12RG\u{2011}AMR meeting", regional("SG12RG-AMR")),
            ("TSAG", Body::Tsag),
            ("GCNT", Body::Tsag),
            ("КГСЭ", Body::Tsag),
            ("all ITU-T study groups", Body::AllStudyGroups),
            ("todas las Comisiones de Estudio", Body::AllStudyGroups),
            ("IETF", Body::Other),
            ("ITU-T SG12 Regional Group for the Americas", Body::Other),
            ("MSG 3", Body::Other),
        ] {
            assert_eq!(Body::of(name, &labels), expected, "{name}");
        }
    }
}
