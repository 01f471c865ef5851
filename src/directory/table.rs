//! CSV with a header, as spreadsheets write it: byte order mark, CRLF, quoted cells, `;` for `,`, columns in any order.
//!
//! Bad rows are named with their line and do not stop the others. Used by every import; [`neutral`] by every export.

use std::borrow::Cow;

use crate::config::{Problem, nearest};

/// A file with a good header.
pub struct Table<'a> {
    file: &'a str,
    bytes: &'a [u8],
    delimiter: u8,
    columns: Vec<Option<&'static str>>,
    most_rows: usize,
    /// Columns that nobody reads, for a warning.
    pub unknown: Vec<String>,
}

/// First octets of workbooks: a ZIP container (.xlsx, .ods), and the older compound file (.xls).
const WORKBOOKS: [&[u8]; 2] = [b"PK\x03\x04", b"\xd0\xcf\x11\xe0"];

/// The file as UTF-8: UTF-16 with its byte order mark, as some spreadsheets write "Unicode text", is turned into it.
pub fn decoded(bytes: &[u8]) -> Cow<'_, [u8]> {
    let unit = match bytes {
        [0xff, 0xfe, ..] => u16::from_le_bytes,
        [0xfe, 0xff, ..] => u16::from_be_bytes,
        _ => return Cow::Borrowed(bytes),
    };
    let units: Vec<u16> = bytes[2..].chunks_exact(2).map(|pair| unit([pair[0], pair[1]])).collect();
    Cow::Owned(String::from_utf16_lossy(&units).into_bytes())
}

/// One row with its line.
pub struct Row {
    /// From 1; the line where the row begins.
    pub line: usize,
    cells: Vec<(&'static str, String)>,
}

/// Longest cell: no name, address or list of a person is longer.
const CELL_CHARACTERS: usize = 4_096;

/// Counts lines as it goes: the reader's own count is one behind where lines end in CRLF.
struct Lines<'a> {
    bytes: &'a [u8],
    octet: usize,
    line: usize,
}

impl Lines<'_> {
    #[allow(clippy::naive_bytecount, reason = "each octet once in a whole import; not worth a dependency")]
    fn at(&mut self, position: Option<&csv::Position>) -> usize {
        let mut to = position.and_then(|position| usize::try_from(position.byte()).ok()).unwrap_or(self.octet).min(self.bytes.len());
        while self.bytes.get(to).is_some_and(|b| matches!(b, b'\r' | b'\n')) {
            to += 1;
        }
        self.line += self.bytes.get(self.octet..to).unwrap_or_default().iter().filter(|b| **b == b'\n').count();
        self.octet = to.max(self.octet);
        self.line
    }
}

impl Row {
    /// The cell of a column, trimmed; `None` when the file has no such column or the row ends before it.
    pub fn cell(&self, column: &str) -> Option<&str> {
        self.cells.iter().find(|(name, _)| *name == column).map(|(_, cell)| cell.as_str())
    }
}

impl<'a> Table<'a> {
    /// Reads the header. `known` are the columns that are understood, `needed` those that must be there.
    ///
    /// # Errors
    /// What is wrong with the header, with file, line and remedy, in one line.
    pub fn read(bytes: &'a [u8], file: &'a str, known: &[&'static str], needed: &[&str], most_rows: usize) -> Result<Self, String> {
        if WORKBOOKS.iter().any(|first| bytes.starts_with(first)) {
            return Err(format!("{file} is a workbook and no CSV file; save it as \"CSV UTF-8\" and give that"));
        }
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let first = bytes.split(|b| *b == b'\n').next().unwrap_or_default();
        let count = |wanted: u8| first.split(|b| *b == wanted).count();
        // "Unicode text" of spreadsheets has tabs.
        let delimiter = [b';', b'\t'].into_iter().find(|sign| count(*sign) > count(b',')).unwrap_or(b',');
        let mut table = Self { file, bytes, delimiter, columns: Vec::new(), most_rows, unknown: Vec::new() };
        let header = match table.reader().records().next() {
            Some(Ok(header)) => header,
            Some(Err(_)) => return Err(format!("{file}, line 1: the header is not UTF-8; save the file as \"CSV UTF-8\"")),
            None => return Err(format!("{file}, line 1: the file is empty; its first line names the columns: {}", known.join(","))),
        };
        for name in &header {
            let name = name.trim().to_ascii_lowercase();
            let column = known.iter().copied().find(|column| *column == name);
            if let Some(column) = column.filter(|column| table.columns.contains(&Some(*column))) {
                return Err(format!("{file}, line 1: the column {column} stands twice; leave one of them out"));
            }
            if column.is_none() && !name.is_empty() {
                let hint = nearest(&name, known.iter().copied()).map(|near| format!(" (did you mean \"{near}\"?)")).unwrap_or_default();
                table.unknown.push(format!("\"{}\"{hint}", name.escape_debug()));
            }
            table.columns.push(column);
        }
        for column in needed {
            if !table.columns.iter().flatten().any(|there| there == column) {
                let unknown = if table.unknown.is_empty() { String::new() } else { format!(", found {}", table.unknown.join(", ")) };
                return Err(format!(
                    "{file}, line 1: there is no column {column}{unknown}; the first line names the columns: {}",
                    known.join(",")
                ));
            }
        }
        Ok(table)
    }

    /// A warning for each column that nobody reads, with the nearest one that is known.
    pub fn unread(&self) -> Vec<String> {
        self.unknown.iter().map(|name| format!("{}, line 1: nobody reads the column {name}", self.file)).collect()
    }

    fn reader(&self) -> csv::Reader<&'a [u8]> {
        csv::ReaderBuilder::new().has_headers(false).flexible(true).delimiter(self.delimiter).from_reader(self.bytes)
    }

    /// The rows below the header; empty lines are passed over.
    pub fn rows(&self) -> impl Iterator<Item = Result<Row, Problem>> + '_ {
        let mut lines = Lines { bytes: self.bytes, octet: 0, line: 1 };
        let rows = self.reader().into_records().skip(1).enumerate().map_while(move |(index, record)| {
            if index == self.most_rows {
                let text = format!("the file has more than {} rows", self.most_rows);
                return Some(Err(self.problem(lines.line, text, "split it, or raise limits.import_rows")));
            }
            (index < self.most_rows).then(|| self.row(record, &mut lines))
        });
        rows.filter(|row| row.as_ref().map_or(true, |row| row.cells.iter().any(|(_, cell)| !cell.is_empty())))
    }

    fn row(&self, record: csv::Result<csv::StringRecord>, lines: &mut Lines<'_>) -> Result<Row, Problem> {
        let record = record.map_err(|error| {
            let line = lines.at(error.position());
            self.problem(line, "the row is not UTF-8 text".into(), "save the file as \"CSV UTF-8\"")
        })?;
        let line = lines.at(record.position());
        if record.len() > self.columns.len() {
            let text = format!("the row has {} cells, the header {}", record.len(), self.columns.len());
            return Err(self.problem(line, text, "put cells with a comma into quotes"));
        }
        if record.iter().any(|cell| cell.chars().count() > CELL_CHARACTERS) {
            return Err(self.problem(line, format!("a cell is longer than {CELL_CHARACTERS} characters"), "look for a missing quote"));
        }
        let cells = self.columns.iter().zip(&record).filter_map(|(column, cell)| Some(((*column)?, clean(cell))));
        Ok(Row { line, cells: cells.collect() })
    }

    /// A mistake in a row.
    pub fn problem(&self, line: usize, text: String, remedy: &str) -> Problem {
        Problem { file: self.file.to_owned(), line, text, remedy: remedy.to_owned() }
    }

    /// `FILE, line N: why`.
    pub fn place(&self, line: usize, why: &str) -> String {
        format!("{}, line {line}: {why}", self.file)
    }
}

/// Trimmed, and without the apostrophe that [`neutral`] puts before a formula.
fn clean(cell: &str) -> String {
    let cell = cell.trim();
    match cell.strip_prefix('\'') {
        Some(rest) if is_formula(rest) => rest.to_owned(),
        _ => cell.to_owned(),
    }
}

/// Would a spreadsheet compute it? (OWASP, "CSV injection"; the full-width forms too, which some turn into the plain ones.)
fn is_formula(cell: &str) -> bool {
    cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'])
}

/// The cell with an apostrophe before a formula, and controls turned into spaces.
pub fn neutral(cell: &str) -> String {
    let formula = is_formula(cell);
    let plain: String = cell.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if formula { format!("'{plain}") } else { plain }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: &[u8]) -> Vec<String> {
        let table = Table::read(text, "x.csv", &["email", "name"], &["email"], 100).unwrap_or_else(|error| panic!("{error}"));
        let show = |row: Result<Row, Problem>| match row {
            Ok(row) => format!("{}:{}|{}", row.line, row.cell("email").unwrap_or("-"), row.cell("name").unwrap_or("-")),
            Err(problem) => problem.to_string(),
        };
        table.rows().map(show).collect()
    }

    #[test]
    fn spreadsheets_of_all_kinds_are_read() {
        for text in [
            &b"email,name\na@x.test,Ana\n"[..],
            b"\xef\xbb\xbfemail,name\r\na@x.test,Ana\r\n",
            b"email;name\r\na@x.test;Ana",
            b"NAME, Email \nAna, a@x.test \n",
            b"email,name\n\"a@x.test\",\"Ana\"\n",
            b"other,name,email\n1,Ana,a@x.test\n",
        ] {
            assert_eq!(rows(text), ["2:a@x.test|Ana"], "{:?}", String::from_utf8_lossy(text));
        }
        assert_eq!(
            rows(b"email\na@x.test\n\n,\nb@x.test\n"),
            ["2:a@x.test|-", "x.csv, line 4: the row has 2 cells, the header 1; put cells with a comma into quotes", "5:b@x.test|-"]
        );
        assert_eq!(rows(b"email,name\na@x.test,\"Ana\nExample\"\nb@x.test,B\n"), ["2:a@x.test|Ana\nExample", "4:b@x.test|B"]);
        assert_eq!(
            rows(b"email,name\na@x.test,\xff\nb@x.test,B\n"),
            ["x.csv, line 2: the row is not UTF-8 text; save the file as \"CSV UTF-8\"", "3:b@x.test|B"]
        );
    }

    #[test]
    fn a_bad_header_is_refused() {
        for (text, part) in [
            ("", "the file is empty"),
            ("name\nAna\n", "there is no column email"),
            ("emial,name\n", "did you mean \"email\"?"),
            ("email,email\n", "stands twice"),
        ] {
            let error = Table::read(text.as_bytes(), "x.csv", &["email", "name"], &["email"], 100).err().unwrap();
            assert!(error.starts_with("x.csv, line 1: ") && error.contains(part), "{error}");
        }
        let table = Table::read(b"email\na\nb\nc\n", "x.csv", &["email"], &["email"], 2).ok().unwrap();
        assert_eq!(table.rows().flatten().count(), 2);
        assert!(table.rows().last().unwrap().is_err_and(|problem| problem.text.contains("more than 2 rows")));
    }

    #[test]
    fn what_spreadsheets_call_unicode_is_read_and_workbooks_are_named() {
        let text = "email\tname\r\na@x.test\tAñá\r\n";
        let little: Vec<u8> = [0xff, 0xfe].into_iter().chain(text.encode_utf16().flat_map(u16::to_le_bytes)).collect();
        let big: Vec<u8> = [0xfe, 0xff].into_iter().chain(text.encode_utf16().flat_map(u16::to_be_bytes)).collect();
        for bytes in [little, big, text.as_bytes().to_vec()] {
            assert_eq!(rows(&decoded(&bytes)), ["2:a@x.test|Añá"]);
        }
        let error = Table::read(b"PK\x03\x04xyz", "members.xlsx", &["email"], &["email"], 10).err().unwrap();
        assert!(error.contains("members.xlsx is a workbook") && error.contains("CSV UTF-8"), "{error}");
        let table = Table::read(b"email,nmae\n", "x.csv", &["email", "name"], &["email"], 10).ok().unwrap();
        assert_eq!(table.unread(), ["x.csv, line 1: nobody reads the column \"nmae\" (did you mean \"name\"?)"]);
    }

    #[test]
    fn formulas_are_made_harmless_and_come_back_as_they_were() {
        for cell in ["=1+1", "+1", "-1", "@SUM(A1)", "=cmd|' /C calc'!A0", "＝1", "－x", "＠y", "＋z"] {
            let safe = neutral(cell);
            assert!(safe.starts_with('\''), "{safe}");
            assert_eq!(clean(&safe), cell);
        }
        assert_eq!(neutral("\t=1"), "' =1");
        assert_eq!(neutral("a\r\nb"), "a  b");
        for cell in ["Ana", "O'Neil", "'quoted'", "a=b", ""] {
            assert_eq!(neutral(cell), cell);
            assert_eq!(clean(cell), cell);
        }
    }
}
