//! The header, cut into its fields without changing an octet.
//!
//! mail-parser gives the last of two equal fields and drops what it cannot read; the gate has to count, and a copy has
//! to leave fields as they were. So this pass only finds where fields begin and end (RFC 5322 section 2.2); what a value
//! means is still read by mail-parser. A name is compared as mail-parser compares it: without white space, in lower case,
//! so that `Fr om :` counts as From here too.

use std::ops::Range;

/// Largest header that is read, in octets.
pub const HEADER_OCTETS: usize = 256 * 1024;
/// Most fields of a header.
pub const HEADER_FIELDS: usize = 1_000;

/// One field of a header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Lower case, without white space; empty for a line that is not a field (no colon, or an mbox `From ` line).
    pub name: String,
    /// Where the whole field lies, its last line end included.
    pub whole: Range<usize>,
    /// Where its value lies: behind the colon, without the last line end.
    pub value: Range<usize>,
}

/// A header: its fields, and where the body begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// In order.
    pub fields: Vec<Field>,
    /// Octets of the fields; the empty line begins here.
    pub end: usize,
    /// Where the body begins, behind the empty line; `None` if there is no empty line.
    pub body: Option<usize>,
}

/// Why a header is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// More than [`HEADER_OCTETS`].
    #[error("the header is larger than 256 KiB")]
    TooLarge,
    /// More than [`HEADER_FIELDS`].
    #[error("the header has more than 1000 fields")]
    TooManyFields,
}

/// Cuts the header at the beginning of `message`. Linear; looks at no octet behind the empty line.
///
/// # Errors
/// When the header passes [`HEADER_OCTETS`] or [`HEADER_FIELDS`].
pub fn split(message: &[u8]) -> Result<Header, HeaderError> {
    let mut fields: Vec<Field> = Vec::new();
    let mut at = 0;
    while at < message.len() {
        if at > HEADER_OCTETS {
            return Err(HeaderError::TooLarge);
        }
        let next = message[at..].iter().position(|b| *b == b'\n').map_or(message.len(), |i| at + i + 1);
        let line = &message[at..next];
        if matches!(line, b"\r\n" | b"\n") {
            return Ok(Header { fields, end: at, body: Some(next) });
        }
        let text_end = at + line.trim_ascii_end_of_line();
        match fields.last_mut() {
            Some(field) if matches!(line[0], b' ' | b'\t') => {
                field.whole.end = next;
                field.value.end = text_end;
            }
            _ => {
                if fields.len() == HEADER_FIELDS {
                    return Err(HeaderError::TooManyFields);
                }
                fields.push(field_of(message, at, text_end, next));
            }
        }
        at = next;
    }
    if message.len() > HEADER_OCTETS {
        return Err(HeaderError::TooLarge);
    }
    Ok(Header { fields, end: message.len(), body: None })
}

trait EndOfLine {
    /// Length without the line end.
    fn trim_ascii_end_of_line(&self) -> usize;
}

impl EndOfLine for [u8] {
    fn trim_ascii_end_of_line(&self) -> usize {
        let without = self.strip_suffix(b"\n").unwrap_or(self);
        without.strip_suffix(b"\r").unwrap_or(without).len()
    }
}

fn field_of(message: &[u8], start: usize, text_end: usize, next: usize) -> Field {
    let line = &message[start..text_end];
    let colon = line.iter().position(|b| *b == b':');
    let (name, value) = match colon {
        Some(colon) if !line.starts_with(b"From ") || line[..colon].trim_ascii_end() == b"From" => {
            (name_of(&line[..colon]), start + colon + 1)
        }
        _ => (String::new(), start),
    };
    Field { name, whole: start..next, value: value..text_end }
}

/// Lower case without white space; anything outside printable ASCII stays in, as U+FFFD if need be, and so matches nothing.
fn name_of(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).chars().filter(|c| !c.is_ascii_whitespace()).map(|c| c.to_ascii_lowercase()).collect()
}

impl Header {
    /// All fields of that name (lower case), in order.
    pub fn named<'h>(&'h self, name: &'h str) -> impl Iterator<Item = &'h Field> {
        self.fields.iter().filter(move |field| field.name == name)
    }

    /// How many fields of that name there are.
    pub fn count(&self, name: &str) -> usize {
        self.named(name).count()
    }
}

/// The value in one line: line ends of folding taken out, outer white space too; octets that are not UTF-8 become U+FFFD.
pub fn unfolded(message: &[u8], field: &Field) -> String {
    let value = message.get(field.value.clone()).unwrap_or_default();
    let text = String::from_utf8_lossy(value);
    text.chars().filter(|c| !matches!(c, '\r' | '\n')).collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(message: &[u8]) -> Vec<String> {
        split(message).unwrap().fields.into_iter().map(|f| f.name).collect()
    }

    #[test]
    fn fields_keep_their_octets_and_folding() {
        let message = b"Subject: a\r\n b\r\n\t c\r\nFrom: x\r\n\r\nbody: no\r\n";
        let header = split(message).unwrap();
        assert_eq!(names(message), ["subject", "from"]);
        assert_eq!(&message[header.fields[0].whole.clone()], b"Subject: a\r\n b\r\n\t c\r\n");
        assert_eq!(unfolded(message, &header.fields[0]), "a b\t c");
        assert_eq!(&message[header.body.unwrap()..], b"body: no\r\n");
        assert_eq!(header.end + 2, header.body.unwrap());
    }

    #[test]
    fn odd_names_count_as_the_parser_counts_them() {
        assert_eq!(names(b"FROM : a\r\nFr om: b\r\n From: c\r\n\r\n"), ["from", "from"]);
        assert_eq!(names(b" From: c\r\n\r\n"), ["from"]);
        assert_eq!(names(b"From ann@example.org Mon Jul  5 10:00:00 2027\r\nno colon\r\nTo: x\r\n"), ["", "", "to"]);
    }

    #[test]
    fn limits_hold() {
        let many = "a: b\r\n".repeat(HEADER_FIELDS + 1);
        assert_eq!(split(many.as_bytes()), Err(HeaderError::TooManyFields));
        let large = format!("a: {}\r\n b\r\n", "x".repeat(HEADER_OCTETS));
        assert_eq!(split(large.as_bytes()), Err(HeaderError::TooLarge));
        assert!(split(b"").unwrap().fields.is_empty());
    }
}
