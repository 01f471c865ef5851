//! The tables at the head of a `.docx`, as rows of cells.
//!
//! Reads one named member of the archive, streamed, and stops as soon as the head of the document is known, so that a
//! document of 300 pages costs as much as one of three. Office Open XML (ECMA-376 part 1, 17.4 tables, 17.13 revisions):
//! split runs, `w:noBreakHyphen`, tabs and breaks, merged cells, nested tables, content controls; text that a reader does not
//! see (deleted by a tracked change, hidden, in a drawing) is left out.
//! Every file from outside is taken for hostile: no document type, no entities but XML's own, limits on everything.
//! The surprise: the rows of a nested table come twice, as text of their cell and as rows of their own.

use std::io::{BufReader, Cursor, Read};

use quick_xml::Reader;
use quick_xml::events::{BytesRef, BytesStart, Event};

/// Most octets read of the document's main part.
pub const MEMBER_OCTETS: u64 = 10 * 1024 * 1024;
/// Highest ratio of a member larger than [`MEMBER_OCTETS`] to its packed size.
pub const RATIO: u64 = 100;
/// Most members of the archive.
pub const MEMBERS: usize = 2_000;
/// Deepest nesting of elements.
pub const DEPTH: usize = 256;
/// Paragraphs outside tables after which the head is taken for read.
const HEAD_PARAGRAPHS: usize = 120;
/// Rows after which the head is taken for read.
const HEAD_ROWS: usize = 200;
/// Most octets of text kept of a cell.
const CELL_OCTETS: usize = 16 * 1024;
/// Most octets of text kept of the paragraphs.
const TEXT_OCTETS: usize = 64 * 1024;
/// Most cells kept of a row.
const CELLS: usize = 32;

/// A cell.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cell {
    /// Its text; paragraphs and breaks are line feeds, tabs are tabs.
    pub text: String,
    /// Does it continue the cell above it (`w:vMerge`)?
    pub continues: bool,
}

/// The head of a document.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Head {
    /// Rows of all tables in the order of the document.
    pub rows: Vec<Vec<Cell>>,
    /// The paragraphs outside tables, a line each.
    pub text: String,
    /// Does the document carry macros?
    pub macros: bool,
    /// Was the member cut at [`MEMBER_OCTETS`]?
    pub cut: bool,
}

/// Why a document could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DocxError {
    /// An old binary `.doc`, or protected by a password: both are compound files.
    #[error("it is protected by a password, or an old .doc; save it as an unprotected .docx")]
    NotOpen,
    /// No archive, or a broken one.
    #[error("it is damaged: {0}")]
    Archive(String),
    /// Too many members.
    #[error("it has more than {MEMBERS} parts")]
    Members,
    /// Packed so tightly that it can only be an attack.
    #[error("a part of it unpacks to more than {RATIO} times its size")]
    Ratio,
    /// No main part.
    #[error("it has no document part; is it a Word document?")]
    NoDocument,
    /// The main part is not well-formed.
    #[error("its document part is damaged: {0}")]
    Xml(String),
    /// A document type, which Word never writes.
    #[error("its document part has a document type declaration, which is not allowed")]
    DocumentType,
    /// Too deep.
    #[error("its document part is nested deeper than {DEPTH}")]
    Depth,
}

/// Reads the head of a document.
///
/// # Errors
/// Whatever is wrong with the file, as a sentence that begins with "it", for the receipt.
pub fn head(bytes: &[u8]) -> Result<Head, DocxError> {
    read(bytes, Walk { limit: TEXT_OCTETS, ..Walk::default() })
}

/// The text of a whole document, its tables among the paragraphs, at most `limit` octets; for search.
///
/// # Errors
/// As [`head`].
pub fn text(bytes: &[u8], limit: usize) -> Result<String, DocxError> {
    Ok(read(bytes, Walk { limit, whole: true, ..Walk::default() })?.text)
}

fn read(bytes: &[u8], walk: Walk) -> Result<Head, DocxError> {
    if bytes.starts_with(&[0xd0, 0xcf, 0x11, 0xe0]) {
        return Err(DocxError::NotOpen);
    }
    if declared_members(bytes).is_none_or(|count| count > MEMBERS) {
        return Err(if declared_members(bytes).is_none() {
            DocxError::Archive("its table of contents is missing".into())
        } else {
            DocxError::Members
        });
    }
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).map_err(|e| DocxError::Archive(e.to_string()))?;
    if archive.len() > MEMBERS {
        return Err(DocxError::Members);
    }
    let macros = archive.file_names().any(|name| name.to_ascii_lowercase().ends_with("vbaproject.bin"));
    let main = main_part(archive.file_names()).ok_or(DocxError::NoDocument)?;
    let member = archive.by_name(&main).map_err(|e| match e {
        zip::result::ZipError::UnsupportedArchive(_) => DocxError::NotOpen,
        e => DocxError::Archive(e.to_string()),
    })?;
    if member.encrypted() {
        return Err(DocxError::NotOpen);
    }
    if member.size() > MEMBER_OCTETS && member.size() / member.compressed_size().max(1) > RATIO {
        return Err(DocxError::Ratio);
    }
    let mut head = read_document(member.take(MEMBER_OCTETS), walk)?;
    head.macros = macros;
    Ok(head)
}

/// Number of members that the end of the central directory declares (APPNOTE.TXT 4.3.16).
fn declared_members(bytes: &[u8]) -> Option<usize> {
    let tail = bytes.len().saturating_sub(65_557);
    let at = tail + bytes[tail..].windows(4).rposition(|window| window == b"PK\x05\x06")?;
    let count = bytes.get(at + 10..at + 12)?;
    Some(usize::from(u16::from_le_bytes([count[0], count[1]])))
}

/// `word/document.xml`, or what some writers name `word/document2.xml`.
fn main_part<'a>(names: impl Iterator<Item = &'a str>) -> Option<String> {
    let mut found: Option<String> = None;
    for name in names {
        let is_xml = std::path::Path::new(name).extension().is_some_and(|extension| extension.eq_ignore_ascii_case("xml"));
        if is_xml && name.starts_with("word/document") && found.as_ref().is_none_or(|best| name.len() < best.len()) {
            found = Some(name.to_owned());
        }
    }
    found
}

#[derive(Default)]
struct Table {
    rows: Vec<Vec<Cell>>,
    row: Vec<Cell>,
    cell: Cell,
    row_deleted: bool,
}

#[derive(Default)]
struct Walk {
    head: Head,
    tables: Vec<Table>,
    paragraphs: usize,
    rows: usize,
    /// Depth of the element whose content is skipped.
    skipping: Option<usize>,
    /// Are we in the text of a run (`w:t`)?
    in_text: bool,
    hidden_run: bool,
    properties: Option<(usize, Properties)>,
    depth: usize,
    /// Most octets of text kept of the paragraphs.
    limit: usize,
    /// Is the whole document wanted, not only its head?
    whole: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Properties {
    Row,
    Cell,
    Run,
}

fn read_document(member: impl Read, mut walk: Walk) -> Result<Head, DocxError> {
    let mut reader = Reader::from_reader(BufReader::with_capacity(64 * 1024, member));
    let mut buffer = Vec::new();
    loop {
        match reader.read_event_into(&mut buffer) {
            Ok(Event::Start(element)) => {
                walk.depth += 1;
                if walk.depth > DEPTH {
                    return Err(DocxError::Depth);
                }
                walk.start(&element);
            }
            Ok(Event::Empty(element)) => walk.empty(&element),
            Ok(Event::End(element)) => {
                walk.end(element.local_name().into_inner());
                walk.depth = walk.depth.saturating_sub(1);
                if walk.is_enough() {
                    break;
                }
            }
            Ok(Event::Text(text)) if walk.in_text => walk.push(&text),
            Ok(Event::CData(text)) if walk.in_text => walk.push(&text),
            Ok(Event::GeneralRef(reference)) if walk.in_text => walk.reference(&reference),
            Ok(Event::DocType(_)) => return Err(DocxError::DocumentType),
            Ok(Event::Eof) if reader.buffer_position() >= MEMBER_OCTETS => {
                walk.head.cut = true;
                break;
            }
            Ok(Event::Eof) if walk.depth > 0 => return Err(DocxError::Xml("it ends too early".into())),
            Ok(Event::Eof) => break,
            Ok(_) => {}
            // A member that was cut at the limit ends in the middle of something; what came before is good.
            Err(_) if reader.buffer_position() + 1 >= MEMBER_OCTETS => {
                walk.head.cut = true;
                break;
            }
            Err(e) => return Err(DocxError::Xml(e.to_string())),
        }
        buffer.clear();
    }
    while !walk.tables.is_empty() {
        walk.end("tbl");
    }
    walk.head.text.truncate(walk.head.text.trim_end().len());
    Ok(walk.head)
}

impl Walk {
    fn is_enough(&self) -> bool {
        if self.whole {
            return self.head.text.len() >= self.limit;
        }
        self.tables.is_empty() && (self.paragraphs >= HEAD_PARAGRAPHS || self.rows >= HEAD_ROWS) || self.rows >= 4 * HEAD_ROWS
    }

    fn start(&mut self, element: &BytesStart<'_>) {
        if self.skipping.is_some() {
            return;
        }
        let name = element.local_name();
        match name.into_inner() {
            "del" if self.row_properties() => self.delete_row(),
            // Deleted or moved text, what is drawn, and what an old reader would get instead.
            "del" | "moveFrom" | "drawing" | "pict" | "object" | "txbxContent" | "Fallback" | "instrText" | "delText" | "tblPr"
            | "tblGrid" | "sectPr" | "pPr" | "tblPrEx" | "sdtPr" => self.skipping = Some(self.depth),
            "trPr" => self.properties = Some((self.depth, Properties::Row)),
            "tcPr" => self.properties = Some((self.depth, Properties::Cell)),
            "rPr" => self.properties = Some((self.depth, Properties::Run)),
            "tbl" => self.tables.push(Table::default()),
            "tr" => self.with_table(|table| (table.row, table.row_deleted) = (Vec::new(), false)),
            "tc" => self.with_table(|table| table.cell = Cell::default()),
            "r" => self.hidden_run = false,
            "t" => self.in_text = true,
            _ => self.mark(element),
        }
    }

    fn empty(&mut self, element: &BytesStart<'_>) {
        if self.skipping.is_none() {
            match element.local_name().into_inner() {
                "p" => self.end_paragraph(),
                "tc" => self.with_table(|table| table.row.push(Cell::default())),
                "del" if self.row_properties() => self.delete_row(),
                _ => self.mark(element),
            }
        }
    }

    /// Elements without content: characters of a run, and properties.
    fn mark(&mut self, element: &BytesStart<'_>) {
        let name = element.local_name();
        match (self.properties.map(|(_, kind)| kind), name.into_inner()) {
            (Some(Properties::Run), "vanish") => self.hidden_run = !is_off(element),
            (Some(Properties::Cell), "vMerge") => {
                let continues = attribute(element, "val").is_none_or(|value| value == "continue");
                self.with_table(|table| table.cell.continues = continues);
            }
            (None, "tab" | "ptab") => self.push("\t"),
            (None, "br" | "cr") => self.push("\n"),
            (None, "noBreakHyphen") => self.push("-"),
            (None, "softHyphen") => self.push("\u{ad}"),
            _ => {}
        }
    }

    fn end(&mut self, name: &str) {
        if let Some(depth) = self.skipping {
            if depth == self.depth {
                self.skipping = None;
            }
            return;
        }
        if self.properties.is_some_and(|(depth, _)| depth == self.depth) {
            self.properties = None;
            return;
        }
        match name {
            "t" => self.in_text = false,
            "r" => self.hidden_run = false,
            "p" => self.end_paragraph(),
            "tc" => self.with_table(|table| {
                let mut cell = std::mem::take(&mut table.cell);
                cell.text.truncate(cell.text.trim_end().len());
                if table.row.len() < CELLS {
                    table.row.push(cell);
                }
            }),
            "tr" => {
                self.rows += 1;
                let whole = self.whole;
                self.with_table(|table| {
                    let row = std::mem::take(&mut table.row);
                    if !table.row_deleted && (whole || table.rows.len() < HEAD_ROWS) {
                        table.rows.push(row);
                    }
                });
            }
            "tbl" => self.end_table(),
            _ => {}
        }
    }

    fn end_paragraph(&mut self) {
        if self.tables.is_empty() {
            self.paragraphs += 1;
        }
        self.in_text = false;
        self.push_anyway("\n");
    }

    fn end_table(&mut self) {
        let Some(table) = self.tables.pop() else { return };
        let lines = table.rows.iter().map(|row| row.iter().map(|cell| cell.text.as_str()).collect::<Vec<_>>().join("\t"));
        let text = lines.collect::<Vec<_>>().join("\n");
        match self.tables.last_mut() {
            Some(outer) => {
                append(&mut outer.cell.text, &text, CELL_OCTETS);
                append(&mut outer.cell.text, "\n", CELL_OCTETS);
                // Before the row that is still open; order between the two does not matter to the reader.
                outer.rows.extend(table.rows);
            }
            None if self.whole => {
                append(&mut self.head.text, &text, self.limit);
                append(&mut self.head.text, "\n", self.limit);
            }
            None => self.head.rows.extend(table.rows),
        }
    }

    fn row_properties(&self) -> bool {
        self.properties.is_some_and(|(_, kind)| kind == Properties::Row)
    }

    fn delete_row(&mut self) {
        self.with_table(|table| table.row_deleted = true);
    }

    fn with_table(&mut self, change: impl FnOnce(&mut Table)) {
        if let Some(table) = self.tables.last_mut() {
            change(table);
        }
    }

    fn reference(&mut self, reference: &BytesRef<'_>) {
        let known = match &**reference {
            "amp" => Some('&'),
            "lt" => Some('<'),
            "gt" => Some('>'),
            "quot" => Some('"'),
            "apos" => Some('\''),
            _ => reference.resolve_char_ref().ok().flatten(),
        };
        if let Some(c) = known {
            self.push(c.encode_utf8(&mut [0; 4]));
        }
    }

    fn push(&mut self, text: &str) {
        if !self.hidden_run {
            self.push_anyway(text);
        }
    }

    fn push_anyway(&mut self, text: &str) {
        match self.tables.last_mut() {
            Some(table) => append(&mut table.cell.text, text, CELL_OCTETS),
            None => append(&mut self.head.text, text, self.limit),
        }
    }
}

/// Appends as much as fits into `limit` octets.
fn append(target: &mut String, text: &str, limit: usize) {
    let room = limit.saturating_sub(target.len());
    let end = (0..=text.len().min(room)).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    target.push_str(&text[..end]);
}

fn attribute(element: &BytesStart<'_>, name: &str) -> Option<String> {
    let mut attributes = element.attributes();
    let found = attributes.with_checks(false).flatten().find(|attribute| attribute.key.local_name().into_inner() == name);
    found.map(|attribute| attribute.value.to_string())
}

/// An on/off property that says "off" (ECMA-376 part 1, 17.17.4).
fn is_off(element: &BytesStart<'_>) -> bool {
    attribute(element, "val").is_some_and(|value| matches!(value.as_str(), "0" | "false" | "off"))
}
