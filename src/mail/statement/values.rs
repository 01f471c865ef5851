//! Values of the rows of a header table: destinations, Questions, approval, symbols, places.

use crate::domain::liaison::bodies::{Body, regional_code};
use crate::domain::liaison::labels::Labels;
use crate::domain::liaison::plain::{has_words, plain, words_key};
use crate::domain::liaison::statement::{Approval, ApprovalLevel, Destination, Prepared, Purpose, Question, Symbol};

use super::dates;

/// Most destinations and Questions that are taken; more is not a statement.
const MOST: usize = 200;

/// Splits a row's value into destinations, all for `purpose` unless one says otherwise in brackets behind it.
pub fn destinations(value: &str, purpose: Purpose, labels: &Labels) -> Vec<Destination> {
    let mut found: Vec<Destination> = Vec::new();
    if labels.is_none(value) {
        return found;
    }
    for piece in pieces(value, labels) {
        let (name, own) = trailing_purpose(&piece, labels);
        if labels.is_none(&name) {
            continue;
        }
        let name = match found.last() {
            Some(last) => continued(&last.name, &name),
            None => name,
        };
        let purpose = own.unwrap_or(purpose);
        if found.len() < MOST && !found.iter().any(|d| d.purpose == purpose && d.name == name) {
            found.push(Destination { name, purpose });
        }
    }
    found
}

/// Pieces between separators outside brackets, and at an "and" between two bodies.
fn pieces(value: &str, labels: &Labels) -> Vec<String> {
    let mut out = Vec::new();
    let mut depth = 0u32;
    let mut piece = String::new();
    for c in value.chars().chain(['\n']) {
        match c {
            '(' | '[' | '（' => depth += 1,
            ')' | ']' | '）' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if (depth == 0 && matches!(c, ',' | ';' | '；' | '，' | '、' | '،' | '؛' | '|' | '\t')) || c == '\n' {
            split_at_and(&plain(&std::mem::take(&mut piece)), labels, &mut out);
            depth = 0;
        } else {
            piece.push(c);
        }
    }
    out
}

fn split_at_and(piece: &str, labels: &Labels, out: &mut Vec<String>) {
    let words: Vec<&str> = piece.split(' ').collect();
    let mut start = 0;
    for at in 0..words.len() {
        let is_and = labels.words.and.contains(&words_key(words[at])) && words[at].chars().all(char::is_lowercase)
            || matches!(words[at], "و" | "和" | "及" | "&");
        let next = words.get(at + 1);
        if is_and && at == 0 && next.is_some() {
            start = 1;
        } else if is_and && at > start && next.is_some_and(|next| is_body_start(next) || is_acronym(words[at - 1])) {
            out.push(words[start..at].join(" "));
            start = at + 1;
        }
    }
    let rest = words[start..].join(" ");
    let rest = rest.trim_matches(|c: char| matches!(c, '.' | ',' | ';' | ' '));
    if !rest.is_empty() {
        out.push(rest.to_owned());
    }
}

fn is_acronym(word: &str) -> bool {
    let letters = word.chars().filter(|c| c.is_alphabetic()).count();
    let upper = word.chars().filter(|c| c.is_uppercase()).count();
    (letters >= 2 && upper * 2 > letters) || (word.chars().any(|c| c.is_ascii_digit()) && !word.contains('('))
}

fn is_body_start(word: &str) -> bool {
    is_acronym(word) || matches!(word, "all" | "All" | "todas" | "toutes" | "Study" | "Comisión" | "Commission")
}

/// "SG2, 3 and 5" means SG3 and SG5.
fn continued(previous: &str, name: &str) -> String {
    let digits = previous.chars().rev().take_while(char::is_ascii_digit).count();
    if digits > 0 && !name.is_empty() && name.len() <= 2 && name.chars().all(|c| c.is_ascii_digit()) {
        return format!("{}{name}", &previous[..previous.len() - digits]);
    }
    name.to_owned()
}

/// A purpose in brackets at the end: "TSAG (for action)".
fn trailing_purpose(piece: &str, labels: &Labels) -> (String, Option<Purpose>) {
    if let Some((name, inner)) = piece.strip_suffix([')', '）', ']']).and_then(|p| p.rsplit_once(['(', '（', '[']))
        && let Some(purpose) = purpose(inner, labels)
    {
        return (name.trim().to_owned(), Some(purpose));
    }
    (piece.to_owned(), None)
}

/// The purpose that a value names.
pub fn purpose(value: &str, labels: &Labels) -> Option<Purpose> {
    let words = words_key(value);
    let lists = [
        (&labels.words.action, Purpose::Action),
        (&labels.words.comment, Purpose::Comment),
        (&labels.words.information, Purpose::Information),
    ];
    lists.into_iter().find(|(list, _)| list.contains(&words)).map(|(_, purpose)| purpose)
}

/// Questions such as `7/12`, `Q.7/12`, `ALL/12`, `1, 2 and 7/12`, `8/ITU-R SG11`.
pub fn questions(value: &str) -> Vec<Question> {
    let mut out: Vec<Question> = Vec::new();
    let mut waiting: Vec<Option<u16>> = Vec::new();
    let value = plain(value).replace(" and ", ", ").replace(" et ", ", ").replace(" y ", ", ").replace(" и ", ", ");
    for piece in value.split([',', ';', '，', '、', '،', '؛', '|']).take(MOST) {
        let (number, group) = match piece.split_once(['/', '／']) {
            Some((number, group)) => (number, Some(group)),
            None => (piece, None),
        };
        let Some(number) = question_number(number) else { continue };
        waiting.push(number);
        if let Some(group) = group.and_then(question_group) {
            out.extend(waiting.drain(..).map(|number| Question { number, group: group.clone() }));
        }
    }
    let mut seen = std::collections::HashSet::new();
    out.retain(|question| seen.insert(question.clone()));
    out
}

#[allow(clippy::option_option, reason = "all Questions is a number of its own kind")]
fn question_number(text: &str) -> Option<Option<u16>> {
    let word = text.rsplit([' ', '(']).next().unwrap_or_default().trim().to_uppercase();
    let word = word.trim_start_matches("QUESTIONS").trim_start_matches('Q').trim_start_matches(['.', ' ']);
    match word {
        "ALL" | "TODAS" | "TOUTES" | "ВСЕ" | "全部" | "所有" | "ПЛЕН" | "الكل" | "جميع" => Some(None),
        number if (1..=2).contains(&number.len()) => number.parse().ok().map(Some),
        _ => None,
    }
}

fn question_group(text: &str) -> Option<String> {
    let text = text.trim();
    let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
    if (1..=2).contains(&digits.len()) {
        return Some(digits);
    }
    (text.len() <= 40 && text.chars().next().is_some_and(char::is_alphabetic)).then(|| text.trim_end_matches(')').to_owned())
}

/// The approval, its level and its date.
pub fn approval(value: &str, labels: &Labels) -> Approval {
    let text = plain(value);
    if labels.is_none(&text) {
        return Approval::default();
    }
    let date = dates::find(&text, labels).last().map(|span| span.end);
    Approval { level: level(&text, labels), text, date }
}

fn level(text: &str, labels: &Labels) -> Option<ApprovalLevel> {
    let words = words_key(text);
    let any = |list: &[String]| list.iter().any(|word| has_words(&words, word));
    let numbered = |list: &[String]| {
        list.iter().any(|word| {
            words.match_indices(word.as_str()).any(|(at, _)| {
                let before = words[..at].chars().next_back();
                let after = words[at + word.len()..].trim_start().chars().next();
                before.is_none_or(|c| !c.is_alphabetic()) && after.is_some_and(|c| c.is_ascii_digit())
            })
        })
    };
    let undecided = ["tbd", "tbc", "pending", "to be"].iter().any(|word| has_words(&words, word));
    if any(&labels.words.correspondence) {
        Some(ApprovalLevel::ManagementCorrespondence)
    } else if any(&labels.bodies.rapporteur) {
        Some(ApprovalLevel::RapporteurGroup)
    } else if regional_code(text).is_some() || any(&labels.bodies.regional_group) {
        Some(ApprovalLevel::RegionalGroup)
    } else if any(&labels.bodies.jca) || words.contains("jca") {
        Some(ApprovalLevel::Jca)
    } else if any(&labels.bodies.working_party) || numbered(&labels.bodies.working_party) {
        Some(ApprovalLevel::WorkingParty)
    } else {
        match Body::of(text, labels) {
            Body::Tsag => Some(ApprovalLevel::Tsag),
            Body::StudyGroup(_) | Body::AllStudyGroups => Some(ApprovalLevel::StudyGroup),
            _ if any(&labels.bodies.study_group) => Some(ApprovalLevel::StudyGroup),
            _ if !undecided && any(&labels.words.meeting) => Some(ApprovalLevel::Other),
            _ => None,
        }
    }
}

/// A meeting's place and days in a text, or that it was by correspondence.
pub fn prepared(value: &str, labels: &Labels) -> Option<Prepared> {
    let text = plain(value);
    let Some(span) = dates::find(&text, labels).into_iter().next() else {
        let words = words_key(&text);
        let by_mail = labels.words.correspondence.iter().any(|word| has_words(&words, word));
        return by_mail.then_some(Prepared::ByCorrespondence);
    };
    let punctuation = |c: char| c.is_whitespace() || ",;:()[]（），：、،.".contains(c);
    let before = text[..span.from].rsplit(['(', '（', '[']).next().unwrap_or_default().trim_matches(punctuation);
    let after = text[span.to..].split([')', '）', ']']).next().unwrap_or_default().trim_matches(punctuation);
    // On one line with the Questions: "1/12, 2/12 Geneva, 9-18 September 2025".
    let words = |text: &str| text.split(' ').filter(|word| !word.contains('/')).collect::<Vec<_>>().join(" ");
    let (before, after) = (words(before), words(after));
    let place = if before.is_empty() { after } else { before };
    Some(Prepared::Meeting { place, start: Some(span.start), end: Some(span.end) })
}

/// A document symbol anywhere in the text: `SG12-TD364R1/GEN`, `TSAG-TD12`, `SG12RG-AMR-C1`, `SG12-LS45`,
/// `sp17-sg12-oLS-00045`, `T25-SG12-260928-TD-GEN-0364!R1!MSW-E`.
pub fn symbol(text: &str) -> Option<Symbol> {
    let text = plain(text).to_uppercase();
    let parts: Vec<&str> = text.split(|c: char| !(c.is_alphanumeric() || matches!(c, '-' | '!' | '.' | '/'))).collect();
    let joined: Vec<String> = parts.windows(2).map(<[&str]>::concat).collect();
    parts.iter().copied().chain(joined.iter().map(String::as_str)).find_map(symbol_of_word)
}

fn symbol_of_word(word: &str) -> Option<Symbol> {
    let (head, marks) = word.split_once('!').unwrap_or((word, ""));
    let segments: Vec<&str> = head.split(['-', '.']).filter(|segment| !segment.is_empty()).collect();
    let body_at = segments.iter().position(|segment| is_body_segment(segment))?;
    let mut body = segments[body_at].to_owned();
    let mut rest = &segments[body_at + 1..];
    if body.ends_with("RG") {
        let region = rest.first().filter(|region| region.chars().all(|c| c.is_ascii_uppercase()))?;
        body = format!("{body}-{region}");
        rest = &rest[1..];
    }
    let marked = marks.split('!').find_map(|mark| mark.strip_prefix('R')?.parse::<u16>().ok());
    let mut symbol = if body_at > 0 { archived(&body, rest)? } else { friendly(&body, rest)? };
    symbol.revision = symbol.revision.max(marked.unwrap_or(0));
    symbol.period = segments[..body_at].iter().find_map(|segment| period(segment));
    Some(symbol)
}

/// A study period before the body: `T25` in names of files, or its ordinal as in `sp17-sg12-oLS-00045`.
fn period(segment: &str) -> Option<String> {
    let year = |text: &str| (text.len() == 2 && text.chars().all(|c| c.is_ascii_digit())).then(|| format!("T{text}"));
    // The ordinals count assemblies; one period was three years long, so that they are a table and no sum.
    let ordinal =
        |text: &str| ["15", "16", "17", "18"].iter().position(|known| *known == text).map(|at| ["T13", "T17", "T22", "T25"][at].to_owned());
    segment.strip_prefix('T').and_then(year).or_else(|| segment.strip_prefix("SP").and_then(ordinal))
}

/// Who numbers a temporary document: `GEN` (or `G`), `PLEN` (or `P`), `WP1` (or `1`).
fn subgroup(segment: &str) -> Option<String> {
    let number = segment.strip_prefix("WP").unwrap_or(segment);
    match segment {
        "GEN" | "G" => Some("GEN".to_owned()),
        "PLEN" | "P" => Some("PLEN".to_owned()),
        _ => (number.len() == 1 && number.chars().all(|c| c.is_ascii_digit())).then(|| format!("WP{number}")),
    }
}

/// `TD 8/WP1`, `TD1R3/PLEN`, `TD120 R1`, `292-GEN`: a number that only says itself, as a document of `body`.
pub fn number_only(text: &str, body: &str) -> Option<Symbol> {
    let text = plain(text).to_uppercase();
    let digits = |text: &str| text.starts_with(|c: char| c.is_ascii_digit());
    let number = match text.strip_prefix("TD").map(str::trim_start) {
        Some(rest) if digits(rest) => rest.replacen(" R", "R", 1),
        Some(_) => return None,
        None => {
            let (number, group) =
                text.split_once('-').filter(|(number, _)| digits(number) && number.chars().all(|c| c.is_ascii_digit()))?;
            format!("{number}/{}", subgroup(group).filter(|_| !digits(group))?)
        }
    };
    symbol(&format!("{body}-TD{number}"))
}

fn is_body_segment(segment: &str) -> bool {
    let number = segment.strip_prefix("SG").map(|rest| rest.strip_suffix("RG").unwrap_or(rest));
    segment == "TSAG" || number.is_some_and(|n| (1..=2).contains(&n.len()) && n.chars().all(|c| c.is_ascii_digit()))
}

/// `TD364R1/GEN`, `LS45`, `C1`, `R1` behind the body.
fn friendly(body: &str, rest: &[&str]) -> Option<Symbol> {
    let mut parts = rest.first()?.split('/');
    let word = parts.next()?;
    let subgroup = parts.next().and_then(subgroup);
    let digits_at = word.find(|c: char| c.is_ascii_digit())?;
    let (kind, number) = word.split_at(digits_at);
    let kind = if kind == "OLS" || kind == "ILS" { "LS" } else { kind };
    if !matches!(kind, "TD" | "LS" | "C" | "R" | "D") {
        return None;
    }
    let (number, revision) = number.split_once('R').map_or((number, 0), |(number, r)| (number, r.parse().unwrap_or(0)));
    let number: u32 = number.parse().ok()?;
    Some(Symbol { text: format!("{body}-{kind}{number}"), revision, subgroup: subgroup.filter(|_| kind == "TD"), period: None })
}

/// `…-260928-TD-GEN-0364` and `sp17-sg12-oLS-00045`: kind and number are segments of their own.
fn archived(body: &str, rest: &[&str]) -> Option<Symbol> {
    let kind_at = rest.iter().position(|segment| matches!(*segment, "TD" | "C" | "R" | "OLS" | "ILS" | "LS" | "D"))?;
    let kind = if rest[kind_at].ends_with("LS") { "LS" } else { rest[kind_at] };
    let number_at = rest[kind_at..].iter().position(|segment| segment.chars().next().is_some_and(|c| c.is_ascii_digit()))? + kind_at;
    let digits: String = rest[number_at].chars().take_while(char::is_ascii_digit).collect();
    let revision = rest[number_at..].iter().find_map(|s| s.strip_prefix('R')?.parse().ok()).unwrap_or(0);
    let subgroup = rest[kind_at + 1..number_at.max(kind_at + 1)].iter().find_map(|segment| subgroup(segment)).filter(|_| kind == "TD");
    Some(Symbol { text: format!("{body}-{kind}{}", digits.parse::<u32>().ok()?), revision, subgroup, period: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destinations_are_split_as_people_mean_them() {
        let labels = Labels::shipped();
        for (value, expected) in [
            ("TSAG, all ITU-T study groups", &["TSAG", "all ITU-T study groups"][..]),
            ("ITU-T SG12; ITU-T SG13", &["ITU-T SG12", "ITU-T SG13"]),
            ("SG2, 3, 5 and 11", &["SG2", "SG3", "SG5", "SG11"]),
            ("ITU-T SG 12 (Q7/12, Q9/12), IETF", &["ITU-T SG 12 (Q7/12, Q9/12)", "IETF"]),
            ("Joint Committee on Health and Safety", &["Joint Committee on Health and Safety"]),
            ("IETF and Broadband Forum", &["IETF", "Broadband Forum"]),
            ("CE 2 et CE 3", &["CE 2", "CE 3"]),
            ("GANT y CE 12", &["GANT", "CE 12"]),
            ("ТСАГ и ИК 12", &["ТСАГ", "ИК 12"]),
            ("电信标准化顾问组、第12研究组", &["电信标准化顾问组", "第12研究组"]),
            ("TSAG\nSG2", &["TSAG", "SG2"]),
            ("ITU\u{2011}T\u{a0}SG12.", &["ITU-T SG12"]),
            ("-", &[]),
            ("–", &[]),
            ("N/A", &[]),
            ("None", &[]),
            ("", &[]),
            ("TSAG, TSAG", &["TSAG"]),
        ] {
            let names: Vec<_> = destinations(value, Purpose::Action, &labels).into_iter().map(|d| d.name).collect();
            assert_eq!(names, expected, "{value}");
        }
    }

    #[test]
    fn a_purpose_behind_a_destination_is_its_own() {
        let found = destinations("TSAG (for action), SG2 (for information), SG3", Purpose::Comment, &Labels::shipped());
        let found: Vec<_> = found.iter().map(|d| (d.name.as_str(), d.purpose)).collect();
        assert_eq!(found, [("TSAG", Purpose::Action), ("SG2", Purpose::Information), ("SG3", Purpose::Comment)]);
    }

    #[test]
    fn questions_of_all_forms() {
        for (value, expected) in [
            ("1/12, 2/12", &["1/12", "2/12"][..]),
            ("ALL/12", &["ALL/12"]),
            ("Q7/12", &["7/12"]),
            ("Q.7/12; q 8/13", &["7/12", "8/13"]),
            ("1, 2 and 7/12", &["1/12", "2/12", "7/12"]),
            ("45/15, 3/4, 8/ITU-R SG11", &["45/15", "3/4", "8/ITU-R SG11"]),
            ("N/A", &[]),
            ("", &[]),
            ("Geneva, 9-18 September 2025", &[]),
            ("1/12, 1/12", &["1/12"]),
        ] {
            let found: Vec<_> = questions(value).iter().map(ToString::to_string).collect();
            assert_eq!(found, expected, "{value}");
        }
    }

    #[test]
    fn approvals_name_their_level() {
        let labels = Labels::shipped();
        for (value, expected) in [
            ("ITU-T SG12 meeting (Mexico City, 28 September 2023)", Some(ApprovalLevel::StudyGroup)),
            ("WP1/12 meeting (Geneva, 3 May 2026)", Some(ApprovalLevel::WorkingParty)),
            ("Agreed at a rapporteur group meeting of Q7/12", Some(ApprovalLevel::RapporteurGroup)),
            ("SG12RG-AMR meeting", Some(ApprovalLevel::RegionalGroup)),
            ("TSAG (Geneva, 3 May 2026)", Some(ApprovalLevel::Tsag)),
            ("By correspondence, SG12 management team", Some(ApprovalLevel::ManagementCorrespondence)),
            ("JCA-IoT", Some(ApprovalLevel::Jca)),
            ("FG-XYZ meeting", Some(ApprovalLevel::Other)),
            ("Réunion de la CE 12", Some(ApprovalLevel::StudyGroup)),
            ("Reunión de la Comisión de Estudio 12", Some(ApprovalLevel::StudyGroup)),
            ("第12研究组会议", Some(ApprovalLevel::StudyGroup)),
            ("собрание ИК 12", Some(ApprovalLevel::StudyGroup)),
            ("اجتماع لجنة الدراسات 12", Some(ApprovalLevel::StudyGroup)),
            ("Approved", None),
            ("TBD", None),
            ("N/A", None),
        ] {
            assert_eq!(approval(value, &labels).level, expected, "{value}");
        }
        assert_eq!(approval("SG12 (Mexico City, 19-28 September 2023)", &labels).date, chrono::NaiveDate::from_ymd_opt(2023, 9, 28));
    }

    #[test]
    fn symbols_of_all_forms() {
        for (text, expected) in [
            ("SG12-TD364", Some("SG12-TD364")),
            ("SG12-TD 364", Some("SG12-TD364")),
            ("SG12\u{2011}TD364R1/GEN", Some("SG12-TD364R1")),
            ("TSAG-TD12", Some("TSAG-TD12")),
            ("SG12RG-AMR-C1", Some("SG12RG-AMR-C1")),
            ("SG12-LS45", Some("SG12-LS45")),
            ("sp17-sg12-oLS-00045.docx", Some("SG12-LS45")),
            ("T25-SG12-260928-TD-GEN-0364!!MSW-E.docx", Some("SG12-TD364")),
            ("T25-SG12-260928-TD-GEN-0364!R2!MSW-S.docx", Some("SG12-TD364R2")),
            ("T25-SG12-C-0001-E.docx", Some("SG12-C1")),
            ("T22-SG12RG.AMR-R-0001-E.docx", Some("SG12RG-AMR-R1")),
            ("SG12RG-AMR", None),
            ("SG12", None),
            ("ITU-T SG12 meeting", None),
            ("notes.docx", None),
        ] {
            assert_eq!(symbol(text).map(|symbol| symbol.to_string()).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn a_symbol_keeps_who_numbers_it_and_the_study_period() {
        let of = |symbol: Option<Symbol>| {
            symbol.map(|s| [s.to_string(), s.subgroup.unwrap_or_default(), s.period.unwrap_or_default()].join(" "))
        };
        for (text, expected) in [
            ("T25-SG12-260928-TD-GEN-0364!R2!MSW-E", Some("SG12-TD364R2 GEN T25")),
            ("T22-SG12-230928-TD-WP1-0007!!MSW-E", Some("SG12-TD7 WP1 T22")),
            ("sp17-sg12-oLS-00045", Some("SG12-LS45  T22")),
            ("SG12-TD364R1/P", Some("SG12-TD364R1 PLEN ")),
            ("SG12-TD 8/1", Some("SG12-TD8 WP1 ")),
            ("SG12-TD364", Some("SG12-TD364  ")),
        ] {
            assert_eq!(of(symbol(text)).as_deref(), expected, "{text}");
        }
        for (text, expected) in [
            ("TD 8/WP1", Some("SG12-TD8 WP1 ")),
            ("TD1R3/PLEN", Some("SG12-TD1R3 PLEN ")),
            ("TD120 R1", Some("SG12-TD120R1  ")),
            ("292-GEN", Some("SG12-TD292 GEN ")),
            ("TDs of all", None),
            ("2026-09-28", None),
        ] {
            assert_eq!(of(number_only(text, "SG12")).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn places_and_days_of_meetings() {
        let labels = Labels::shipped();
        for (text, place) in [
            ("Geneva, 9-18 September 2025", "Geneva"),
            ("ITU-T SG12 meeting (Mexico City, 28 September 2023)", "Mexico City"),
            ("2025年9月30日至10月9日，日内瓦", "日内瓦"),
        ] {
            assert!(matches!(prepared(text, &labels), Some(Prepared::Meeting { place: found, .. }) if found == place), "{text}");
        }
        assert_eq!(prepared("by correspondence", &labels), Some(Prepared::ByCorrespondence));
        assert_eq!(prepared("ITU-T SG12", &labels), None);
    }
}
