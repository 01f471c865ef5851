//! Labelled rows, from lines of text or from a table: which label, in which languages, with which cells.
//!
//! A sheet is what one header says, before anything in it is understood. In text, a block begins where labels stand in
//! consecutive lines and ends at an empty line that no label follows; a block in another language begins a new section.

use std::collections::BTreeMap;

use crate::domain::language::Language;
use crate::domain::liaison::labels::{Field, Labels};
use crate::domain::liaison::plain::{is_colon, is_invisible, key, plain};
use crate::mail::docx::Cell;

/// Longest label in characters, its colon not counted.
const LABEL_CHARACTERS: usize = 60;
/// Lines that are looked at.
const LINES: usize = 20_000;
/// Most rows of a sheet.
const ROWS: usize = 300;

/// A labelled row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Which label.
    pub field: Field,
    /// The languages that write it so.
    pub languages: Vec<Language>,
    /// What stands behind it, a cell each; lines are kept.
    pub cells: Vec<String>,
}

impl Row {
    /// All cells as one text.
    pub fn text(&self) -> String {
        self.cells.join("\n")
    }
}

/// The labelled rows of one header.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sheet {
    /// In their order.
    pub rows: Vec<Row>,
    /// Cells without a label, such as the symbol of the document.
    pub loose: Vec<String>,
}

/// A part of a text: a header and what follows it.
#[derive(Debug, Clone, Default)]
pub struct Section {
    /// The header; empty if there is none.
    pub sheet: Sheet,
    /// What follows.
    pub text: String,
}

impl Sheet {
    /// The first row with this label.
    pub fn row(&self, field: Field) -> Option<&Row> {
        self.rows.iter().find(|row| row.field == field)
    }

    /// How many labels each language writes so. Counted once, for a sheet may have many rows and be asked for each line behind it.
    fn votes(&self) -> BTreeMap<Language, usize> {
        let mut votes = BTreeMap::new();
        for language in self.rows.iter().flat_map(|row| &row.languages) {
            *votes.entry(*language).or_default() += 1;
        }
        votes
    }

    /// The language most labels are written in; `None` if that does not decide.
    pub fn language(&self) -> Option<Language> {
        let votes = self.votes();
        let most = votes.values().max().copied()?;
        let mut winners = votes.into_iter().filter(|(_, count)| *count == most).map(|(language, _)| language);
        winners.next().filter(|_| winners.next().is_none())
    }

    /// Could `language` have written these labels as well as any other?
    pub fn may_be(&self, language: Language) -> bool {
        let votes = self.votes();
        votes.get(&language).is_some_and(|own| votes.values().all(|other| other <= own))
    }

    /// Is it the header of a statement, and not just a line or two that look like labels?
    pub fn is_header(&self) -> bool {
        self.rows.iter().filter(|row| is_strong(row.field)).count() >= 2
    }
}

/// Labels that hardly occur outside a header.
fn is_strong(field: Field) -> bool {
    use Field as F;
    matches!(field, F::Questions | F::Source | F::Title | F::Action | F::Comment | F::Information | F::Approval | F::Deadline | F::Contact)
}

/// A label at the start of a line, and the rest of the line.
fn split_label<'a>(line: &'a str, labels: &Labels) -> Option<(Field, Vec<Language>, &'a str)> {
    let line = line.trim_matches(|c: char| c.is_whitespace() || is_invisible(c) || matches!(c, '*' | '|' | '\u{2022}'));
    let colon = line.char_indices().take(LABEL_CHARACTERS).find(|(_, c)| is_colon(*c));
    if let Some((at, c)) = colon
        && let Some((field, languages)) = labels.field(&line[..at])
    {
        let value = line[at + c.len_utf8()..].trim_start_matches(|c: char| c.is_whitespace() || c == '*' || c == '|' || is_invisible(c));
        return Some((field, languages.to_vec(), value));
    }
    let gap = line.find('\t').or_else(|| line.find("  "))?;
    let (field, languages) = labels.field(&line[..gap]).filter(|(field, _)| is_strong(*field))?;
    Some((field, languages.to_vec(), line[gap..].trim()))
}

/// Does the line only say "LIAISON STATEMENT", or draw a rule?
fn is_heading(line: &str, labels: &Labels) -> bool {
    let line = plain(line);
    let statement = labels.words.statement.iter().any(|word| key(word) == key(&line));
    statement || (line.len() >= 3 && line.chars().all(|c| matches!(c, '-' | '=' | '_' | '*' | '–' | '—' | ' ')))
}

/// Divides a text into sections, each with its header. Without any header there is one section.
///
/// `least` labels must stand close together to begin a header: 2 usually, 1 in a correction.
pub fn sections(text: &str, labels: &Labels, least: usize) -> Vec<Section> {
    let lines: Vec<&str> = text.lines().take(LINES).collect();
    let mut out = Vec::new();
    let Some(start) = find_block(&lines, 0, labels, least, None) else {
        return vec![Section { sheet: Sheet::default(), text: text.trim().to_owned() }];
    };
    let mut at = with_lines_above(&lines, start, labels);
    loop {
        let (sheet, end) = read_block(&lines, at, labels);
        let next = find_block(&lines, end, labels, least, Some(&sheet));
        let body = lines[end..next.unwrap_or(lines.len())].join("\n");
        out.push(Section { sheet, text: body.trim_matches(|c: char| c == '\n' || c == '\r').trim_end().to_owned() });
        match next {
            Some(next) if out.len() < 12 => at = next,
            _ => return out,
        }
    }
}

/// The same for the text of a mail: what a forwarding program quotes is read too, where nothing else is a header.
pub fn sections_of_mail(text: &str, labels: &Labels) -> Vec<Section> {
    let found = sections(text, labels, 2);
    // A label may be found behind the mark of a quotation too, but then the text below the rows is not told from them.
    let first = text.lines().find(|line| split_label(line, labels).is_some_and(|(field, ..)| is_strong(field)));
    let read = found.iter().any(|section| !section.sheet.rows.is_empty()) && !first.is_some_and(|line| line.starts_with('>'));
    if read || !text.lines().any(|line| line.starts_with('>')) {
        return found;
    }
    let unquoted = |line: &str| line.strip_prefix('>').map_or(line.to_owned(), |rest| rest.strip_prefix(' ').unwrap_or(rest).to_owned());
    let quoted = sections(&text.lines().map(unquoted).collect::<Vec<_>>().join("\n"), labels, 2);
    if quoted.iter().any(|section| section.sheet.is_header()) { quoted } else { found }
}

/// A block may begin with rows that begin none by themselves, such as the symbol.
fn with_lines_above(lines: &[&str], start: usize, labels: &Labels) -> usize {
    use Field as F;
    let belongs = |line: &str| {
        split_label(line, labels).is_some_and(|(field, ..)| matches!(field, F::Document | F::Original | F::Meeting | F::Reply | F::Purpose))
    };
    start - lines[..start].iter().rev().take_while(|line| belongs(line)).count()
}

/// Where a header begins, at or behind `from`; after another header it must be in another language.
fn find_block(lines: &[&str], from: usize, labels: &Labels, least: usize, before: Option<&Sheet>) -> Option<usize> {
    (from..lines.len()).find(|at| {
        let Some((field, languages, _)) = split_label(lines[*at], labels) else { return false };
        if !is_strong(field) {
            return false;
        }
        let other_language = |sheet: &Sheet| !languages.iter().any(|language| sheet.may_be(*language));
        match before {
            Some(sheet) if field == Field::Title && other_language(sheet) => {
                at.checked_sub(1).is_none_or(|above| lines[above].trim().is_empty())
            }
            Some(sheet) => opens(lines, *at, labels, least) && opened_in_other_language(lines, *at, labels, sheet),
            None => opens(lines, *at, labels, least),
        }
    })
}

fn opens(lines: &[&str], at: usize, labels: &Labels, least: usize) -> bool {
    let near = lines[at..].iter().filter(|line| !line.trim().is_empty()).take(6);
    let found = near.filter_map(|line| split_label(line, labels)).filter(|(field, ..)| is_strong(*field)).count();
    found >= least
}

/// The labels close to the start decide, because a single one may be common to two languages.
fn opened_in_other_language(lines: &[&str], at: usize, labels: &Labels, sheet: &Sheet) -> bool {
    let near = lines[at..].iter().take_while(|line| !line.trim().is_empty()).take(12);
    let rows = near.filter_map(|line| split_label(line, labels)).map(|(field, languages, _)| Row { field, languages, cells: Vec::new() });
    let opened = Sheet { rows: rows.collect(), loose: Vec::new() };
    opened.is_header() && opened.language().is_some_and(|language| !sheet.may_be(language))
}

/// Reads a header from `at`; gives it and the line behind it.
fn read_block(lines: &[&str], at: usize, labels: &Labels) -> (Sheet, usize) {
    let mut sheet = Sheet::default();
    let mut end = at;
    let mut blank = false;
    while end < lines.len() && sheet.rows.len() < ROWS {
        let line = lines[end];
        if line.trim().is_empty() {
            blank = true;
        } else if let Some((field, languages, value)) = split_label(line, labels) {
            let again = blank && sheet.row(field).is_some() && field != Field::Contact;
            if again && !languages.iter().any(|language| sheet.may_be(*language)) {
                break;
            }
            let cells = cells_of_line(field, value);
            sheet.rows.push(Row { field, languages, cells });
            blank = false;
        } else if is_heading(line, labels) {
            blank = false;
        } else if blank {
            let value_follows = sheet.rows.last().is_some_and(|row| row.cells.iter().all(|cell| cell.trim().is_empty()));
            let labels_follow = lines[end..].iter().filter(|l| !l.trim().is_empty()).take(3).any(|l| split_label(l, labels).is_some());
            if !(value_follows && labels_follow) {
                break;
            }
            continue_row(&mut sheet, line);
            blank = false;
        } else if begins_text(&sheet, line) {
            break;
        } else {
            continue_row(&mut sheet, line);
        }
        end += 1;
    }
    (sheet, end)
}

/// Does a sentence follow a row that never holds one, without an empty line between? Then the text begins there.
fn begins_text(sheet: &Sheet, line: &str) -> bool {
    let Some(row) = sheet.rows.last() else { return false };
    let full = match row.field {
        Field::Contact => row.cells.iter().any(|cell| cell.contains('@')),
        Field::Deadline => row.cells.iter().any(|cell| !cell.trim().is_empty()),
        _ => false,
    };
    let line = line.trim();
    let words = line.split_whitespace().count();
    let sentence = line.ends_with(['.', ':', '。', '：', '؛']) && (words >= 5 || line.chars().any(|c| c >= '\u{2e80}'));
    full && !line.contains('@') && (sentence || line.chars().count() >= 90)
}

fn continue_row(sheet: &mut Sheet, line: &str) {
    if let Some(cell) = sheet.rows.last_mut().and_then(|row| row.cells.last_mut())
        && cell.len() < 16 * 1024
    {
        cell.push('\n');
        cell.push_str(line.trim());
    }
}

/// A line of a pasted table has its cells apart by tabs or wide gaps; only Questions and contacts have several.
fn cells_of_line(field: Field, value: &str) -> Vec<String> {
    if !matches!(field, Field::Questions | Field::Contact) {
        return vec![value.to_owned()];
    }
    let wide = value.replace("   ", "\t");
    let cells: Vec<String> = wide.split('\t').map(str::trim).filter(|cell| !cell.is_empty()).map(str::to_owned).collect();
    if cells.is_empty() { vec![String::new()] } else { cells }
}

/// The labelled rows of a table.
pub fn of_table(rows: &[Vec<Cell>], labels: &Labels) -> Sheet {
    let mut sheet = Sheet::default();
    for row in rows {
        if sheet.rows.len() >= ROWS {
            break;
        }
        table_row(row, labels, &mut sheet);
    }
    sheet
}

fn table_row(row: &[Cell], labels: &Labels, sheet: &mut Sheet) {
    let first = row.iter().position(|cell| !cell.text.trim().is_empty());
    let Some(first) = first else { return };
    let under_label = first > 0 || row[0].continues;
    if under_label && label_of_cell(&row[first].text, true, labels).is_none() {
        return continue_table_row(&row[first..], sheet);
    }
    let mut open = false;
    for (at, cell) in row.iter().enumerate() {
        let text = cell.text.trim();
        if let Some((field, languages)) = label_of_cell(text, at > first, labels) {
            sheet.rows.push(Row { field, languages, cells: Vec::new() });
            open = true;
        } else if open {
            if let Some(row) = sheet.rows.last_mut().filter(|_| !text.is_empty()) {
                row.cells.push(text.to_owned());
            }
        } else if text.lines().any(|line| split_label(line, labels).is_some()) {
            let (inner, _) = read_block(&text.lines().collect::<Vec<_>>(), 0, labels);
            sheet.rows.extend(inner.rows);
        } else if !text.is_empty() {
            sheet.loose.extend(text.lines().map(plain).filter(|line| !line.is_empty()).take(20));
        }
    }
}

/// A cell that is nothing but a label; in the middle of a row only with its colon, because a value may be a label's word.
fn label_of_cell(text: &str, colon_needed: bool, labels: &Labels) -> Option<(Field, Vec<Language>)> {
    let text = text.trim_matches(|c: char| c.is_whitespace() || is_invisible(c));
    if colon_needed && !text.ends_with(is_colon) {
        return None;
    }
    if text.chars().count() > LABEL_CHARACTERS {
        return None;
    }
    labels.field(text).map(|(field, languages)| (field, languages.to_vec()))
}

/// A row under an empty or merged label cell belongs to the label above: a further contact once the one above is
/// complete, else more lines of the same cells.
fn continue_table_row(cells: &[Cell], sheet: &mut Sheet) {
    let texts: Vec<String> = cells.iter().map(|cell| cell.text.trim().to_owned()).filter(|text| !text.is_empty()).collect();
    let Some(last) = sheet.rows.last_mut() else {
        sheet.loose.extend(texts.iter().flat_map(|text| text.lines()).map(plain));
        return;
    };
    let complete = last.cells.iter().any(|cell| cell.contains('@') || cell.to_ascii_lowercase().contains("at)"));
    if last.field == Field::Contact && complete {
        let languages = last.languages.clone();
        sheet.rows.push(Row { field: Field::Contact, languages, cells: texts });
    } else if last.cells.len() == texts.len() {
        last.cells.iter_mut().zip(&texts).for_each(|(cell, text)| *cell = format!("{cell}\n{text}"));
    } else {
        last.cells.extend(texts);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(sheet: &Sheet) -> Vec<(Field, String)> {
        sheet.rows.iter().map(|row| (row.field, row.cells.join(" / "))).collect()
    }

    #[test]
    fn a_block_ends_where_no_label_follows_an_empty_line() {
        let text = "Dear colleagues,\n\nSource: SG12\nTitle: LS/o on a\n  long title\n\nLIAISON STATEMENT\n\nFor action to: -\nDeadline\u{a0}: N/A\n\nText: of the statement\nContact: is needed\n";
        let found = sections(text, &Labels::shipped(), 2);
        assert_eq!(found.len(), 1);
        let expected = [
            (Field::Source, "SG12".to_owned()),
            (Field::Title, "LS/o on a\nlong title".to_owned()),
            (Field::Action, "-".to_owned()),
            (Field::Deadline, "N/A".to_owned()),
        ];
        assert_eq!(fields(&found[0].sheet), expected);
        assert_eq!(found[0].text, "Text: of the statement\nContact: is needed");
    }

    #[test]
    fn a_sentence_behind_the_last_row_begins_the_text() {
        let block = "Source: SG12\nTitle: LS/o on X\nContact: Ana Example\nPlace des Nations, Geneva, Switzerland\nTel: +41 22 000 0000\nE-mail: ana@itu.example\nThis is the text of the statement.\n";
        for text in [block.to_owned(), block.lines().map(|line| format!("> {line}\n")).collect()] {
            let found = sections_of_mail(&text, &Labels::shipped());
            assert_eq!((found.len(), found[0].text.as_str()), (1, "This is the text of the statement."), "{found:?}");
            assert!(found[0].sheet.rows.iter().all(|row| !row.text().contains("text of")), "{found:?}");
        }
    }

    #[test]
    fn a_block_may_begin_with_the_symbol() {
        let text = "Dear all,\n\nDocument: SG12-TD400\nSource: SG12\nTitle: LS/o on X\n\nText.";
        let found = sections(text, &Labels::shipped(), 2);
        assert_eq!(fields(&found[0].sheet)[0], (Field::Document, "SG12-TD400".to_owned()));
    }

    #[test]
    fn a_block_in_another_language_begins_a_section() {
        let text = "Title: LS/o on X\nSource: SG12\n\nEnglish text.\n\nTítulo: LS/o sobre X\nOrigen: CE 12\n\nTexto en español.\n\nTitre: LS/o sur X\n\nTexte.";
        let found = sections(text, &Labels::shipped(), 2);
        let texts: Vec<_> = found.iter().map(|section| section.text.as_str()).collect();
        assert_eq!(texts, ["English text.", "Texto en español.", "Texte."]);
        assert_eq!(found[1].sheet.language(), "es".parse().ok());
    }

    #[test]
    fn rows_without_label_continue_the_row_above() {
        let cell = |text: &str| Cell { text: text.into(), continues: false };
        let rows = [
            vec![cell("SG12-TD364")],
            vec![cell("Purpose:"), cell("Information")],
            vec![cell("Contact:"), cell("Ana"), cell("E-mail: ana@example.org")],
            vec![cell(""), cell("Luis"), cell("E-mail: luis@example.org")],
        ];
        let sheet = of_table(&rows, &Labels::shipped());
        let expected = [
            (Field::Purpose, "Information".to_owned()),
            (Field::Contact, "Ana / E-mail: ana@example.org".to_owned()),
            (Field::Contact, "Luis / E-mail: luis@example.org".to_owned()),
        ];
        assert_eq!(fields(&sheet), expected);
        assert_eq!(sheet.loose, ["SG12-TD364"]);
    }

    #[test]
    fn lines_made_to_be_slow_are_not() {
        let line = format!("{}Title", " ".repeat(900));
        let text = vec![line; 2_000].join("\n");
        let started = std::time::Instant::now();
        sections(&text, &Labels::shipped(), 2);
        assert!(started.elapsed() < std::time::Duration::from_secs(5));
    }
}
