//! What a command answers: text for people or one JSON document, and what went wrong.
//!
//! Data goes to standard output, everything else to standard error. Whatever came by mail may hold terminal
//! escapes, so nothing is printed before [`plain`] or [`json_line`] has made controls visible (CWE-150).

use std::fmt::Write as _;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::service::command::Kind;

/// The answer of a command that did its work, at least in part.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// For people; lines end with `\n`.
    pub text: String,
    /// The same for programs.
    pub json: Value,
    /// A file of this machine that is the output, instead of `text`; it is removed when it was printed.
    pub file: Option<PathBuf>,
    /// What was refused or could not be done while the rest was; one line each. Not empty means exit status 1.
    pub problems: Vec<String>,
}

impl Report {
    /// A report in both forms.
    pub fn new(text: impl Into<String>, json: Value) -> Self {
        Self { text: text.into(), json, file: None, problems: Vec::new() }
    }

    /// With a file for output.
    #[must_use]
    pub fn with_file(mut self, file: PathBuf) -> Self {
        self.file = Some(file);
        self
    }

    /// With what could not be done.
    #[must_use]
    pub fn with_problems(mut self, problems: Vec<String>) -> Self {
        self.problems = problems;
        self
    }
}

/// Why a command did nothing at all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{text}")]
pub struct Failure {
    /// What is wrong, naming the object.
    pub text: String,
    /// What to do about it; may be empty.
    pub remedy: String,
    /// 1 refused or failed, 2 wrong usage.
    pub status: u8,
    /// What kind of failure, for programs.
    pub kind: Kind,
}

impl Failure {
    /// Refused or failed, with what to do about it.
    pub fn new(text: impl std::fmt::Display, remedy: impl Into<String>) -> Self {
        Self { text: text.to_string(), remedy: remedy.into(), status: 1, kind: Kind::default() }
    }

    /// Wrong usage.
    pub fn usage(text: impl std::fmt::Display) -> Self {
        Self { text: text.to_string(), remedy: "see `enlace --help`".to_owned(), status: 2, kind: Kind::default() }
    }
}

/// What the process prints and how it ends.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// To standard output, as it is.
    pub output: String,
    /// A file whose octets go to standard output when `output` is empty; it is removed afterwards in any case.
    pub file: Option<PathBuf>,
    /// To standard error, as it is.
    pub errors: String,
    /// Exit status.
    pub status: u8,
}

impl Answer {
    /// Renders a result for the one who asked: `json` chooses the form.
    pub fn of(result: Result<Report, Failure>, json: bool) -> Self {
        match result {
            Ok(report) => {
                let output = if json { json_line(&report.json) } else { plain(&report.text) };
                let mut errors = String::new();
                for problem in &report.problems {
                    let _ = writeln!(errors, "{}", one_line(problem));
                }
                Self { output, file: report.file, status: u8::from(!report.problems.is_empty()), errors }
            }
            Err(failure) => {
                let mut errors = format!("error: {}\n", plain(failure.text.trim_end()));
                if !failure.remedy.is_empty() {
                    let _ = writeln!(errors, "  what to do: {}", plain(&failure.remedy));
                }
                Self { output: String::new(), file: None, errors, status: failure.status }
            }
        }
    }
}

/// The JSON of what a service answered.
///
/// # Errors
/// Only for a map whose keys are no texts, which no report has.
pub fn to_json(value: &impl Serialize) -> Result<Value, Failure> {
    serde_json::to_value(value).map_err(|error| Failure::new(error, "report this as a defect of Enlace"))
}

/// Characters that could steer a terminal or turn text around: C0, DEL and C1 controls, bidirectional and zero-width marks.
fn is_steering(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{061c}')
}

/// Makes controls visible, such as `\u{1b}`; line ends and tabs stay.
pub fn plain(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if is_steering(c) && c != '\n' && c != '\t' { safe.extend(c.escape_default()) } else { safe.push(c) }
    }
    safe
}

/// The same with line ends and tabs made visible too: for a value inside a line.
pub fn one_line(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if is_steering(c) { safe.extend(c.escape_default()) } else { safe.push(c) }
    }
    safe
}

/// One JSON document with a line end, readable by eye, every steering character as `\uXXXX` (RFC 8259 section 7).
pub fn json_line(value: &Value) -> String {
    harmless(&serde_json::to_string_pretty(value).unwrap_or_else(|_| "null".to_owned()))
}

/// The same on one line, for commands that print a document a line.
pub fn json_row(value: &Value) -> String {
    harmless(&value.to_string())
}

fn harmless(text: &str) -> String {
    let mut safe = String::with_capacity(text.len() + 1);
    for c in text.chars() {
        if is_steering(c) && c != '\n' {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                let _ = write!(safe, "\\u{unit:04x}");
            }
        } else {
            safe.push(c);
        }
    }
    safe.push('\n');
    safe
}

/// Lines whose columns stand under each other. Widths are counted in characters; the last column is not padded.
#[derive(Debug, Clone, Default)]
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with a heading.
    pub fn new<const N: usize>(heading: [&str; N]) -> Self {
        Self { rows: vec![heading.iter().map(ToString::to_string).collect()] }
    }

    /// A table of names and values without a heading.
    pub fn plain() -> Self {
        Self::default()
    }

    /// Adds a line.
    #[allow(clippy::needless_pass_by_value)] // So that callers write a row as a list of values.
    pub fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.iter().map(|cell| one_line(cell)).collect());
    }

    /// The text, or `empty` with a line end when there is nothing under the heading.
    pub fn or(&self, empty: &str) -> String {
        if self.rows.len() > 1 { self.to_string() } else { format!("{empty}\n") }
    }
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| self.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0);
        let widths: Vec<_> = (0..columns).map(width).collect();
        for row in &self.rows {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                let _ = write!(line, "{cell:<width$}  ");
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn terminal_escapes_of_a_mail_are_shown_not_obeyed() {
        let subject = "\u{1b}[2J\u{9b}31m\u{202e}gone\u{7}";
        let report = Report::new(format!("{subject}\n"), json!({ "subject": subject }));
        let text = Answer::of(Ok(report.clone()), false).output;
        assert_eq!(text, "\\u{1b}[2J\\u{9b}31m\\u{202e}gone\\u{7}\n");
        let document = Answer::of(Ok(report), true).output;
        assert!(document.is_ascii(), "{document}");
        assert_eq!(serde_json::from_str::<Value>(&document).unwrap()["subject"], subject);
        // On every way to the terminal, and every kind of them.
        let steering =
            ['\u{0}', '\u{8}', '\u{b}', '\r', '\u{1b}', '\u{7f}', '\u{80}', '\u{9b}', '\u{200b}', '\u{200f}', '\u{2028}', '\u{202a}']
                .into_iter()
                .chain(['\u{202e}', '\u{2060}', '\u{2066}', '\u{2069}', '\u{feff}', '\u{061c}']);
        for c in steering {
            let evil = format!("a{c}b");
            let problem = Report::new("ok\n", Value::Null).with_problems(vec![evil.clone()]);
            let mut table = Table::new(["x"]);
            table.row([evil.clone()]);
            for shown in [
                Answer::of(Ok(Report::new(evil.clone(), Value::Null)), false).output,
                Answer::of(Ok(Report::new("", json!({ evil.clone(): evil.clone() }))), true).output,
                json_row(&json!([evil])),
                Answer::of(Ok(problem), false).errors,
                Answer::of(Err(Failure::new(&evil, evil.clone())), false).errors,
                table.to_string(),
            ] {
                assert!(!shown.contains(c), "{c:?}: {shown:?}");
            }
        }
    }

    #[test]
    fn a_cell_cannot_begin_a_line_of_its_own() {
        let mut table = Table::new(["from", "subject"]);
        table.row(["a@example.org".into(), "x\nforged".into()]);
        assert_eq!(table.to_string(), "from           subject\na@example.org  x\\nforged\n");
        assert_eq!(Table::new(["from"]).or("Nothing is held"), "Nothing is held\n");
    }

    #[test]
    fn status_says_whether_everything_was_done() {
        let done = Report::new("ok\n", Value::Null);
        assert_eq!(Answer::of(Ok(done.clone()), false).status, 0);
        let partly = Answer::of(Ok(done.with_problems(vec!["ann@example.org: not there".into()])), false);
        assert_eq!((partly.status, partly.errors.as_str()), (1, "ann@example.org: not there\n"));
        let failed = Answer::of(Err(Failure::new("no group X", "`enlace group list` shows them")), true);
        assert_eq!(failed.errors, "error: no group X\n  what to do: `enlace group list` shows them\n");
        assert_eq!((failed.status, failed.output.as_str()), (1, ""));
    }
}
