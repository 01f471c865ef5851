//! Mailbox files: messages one behind the other, each after a line that begins with `From ` (RFC 4155 describes them).
//!
//! Real files were written by many programs. A `From ` line separates only behind an empty line, when it ends like a date and a
//! header follows, because old programs did not quote such lines in texts; `>From ` loses one `>` (the "mboxrd" habit).
//! A message has a bound: of one that is larger nothing is kept but its place.

use std::io::{self, BufRead, Write};

use chrono::{DateTime, NaiveDateTime, Utc};

/// Longest line; a longer one is cut into several.
const LINE_OCTETS: usize = 1024 * 1024;

/// One message of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Where its `From ` line begins, in octets.
    pub offset: u64,
    /// The message with the line ends of the file; empty if it was larger than allowed.
    pub bytes: Vec<u8>,
    /// The date of its `From ` line, which is when it was delivered.
    pub delivered: Option<DateTime<Utc>>,
    /// Was it larger than allowed?
    pub too_large: bool,
}

/// Reads messages one after another.
pub struct Mbox<R> {
    input: R,
    most: usize,
    offset: u64,
    /// The `From ` line that ended the last message, with its place.
    begun: Option<(u64, Vec<u8>)>,
    /// The line behind a possible `From ` line, read to see whether a header follows.
    ahead: Option<Vec<u8>>,
    /// Octets in front of the first message, which belong to none.
    pub skipped: u64,
    started: bool,
}

impl<R: BufRead> Mbox<R> {
    /// Over `input`, whose first octet is the `offset`th of the file; a message has at most `most` octets.
    pub fn new(input: R, offset: u64, most: usize) -> Self {
        Self { input, most, offset, begun: None, ahead: None, skipped: 0, started: false }
    }

    /// The next message, or `None` at the end.
    ///
    /// # Errors
    /// When the input fails.
    pub fn next_piece(&mut self) -> io::Result<Option<Piece>> {
        if !self.started {
            self.started = true;
            while self.begun.is_none() {
                let Some((at, line)) = self.line()? else { return Ok(None) };
                if is_from_line(&line) && self.header_follows()? {
                    self.begun = Some((at, line));
                } else {
                    self.skipped += line.len() as u64;
                }
            }
        }
        let Some((offset, from)) = self.begun.take() else { return Ok(None) };
        let mut piece = Piece { offset, bytes: Vec::new(), delivered: date_of(&from), too_large: false };
        let mut behind_empty = false;
        while let Some((at, line)) = self.line()? {
            if behind_empty && is_from_line(&line) && self.header_follows()? {
                self.begun = Some((at, line));
                break;
            }
            behind_empty = line.iter().all(|octet| matches!(octet, b'\r' | b'\n'));
            if piece.too_large {
                continue;
            }
            piece.bytes.extend_from_slice(unquoted(&line));
            if piece.bytes.len() > self.most {
                piece.too_large = true;
                piece.bytes = Vec::new();
            }
        }
        // The empty line in front of the next `From ` belongs to the file.
        for end in [&b"\r\n\r\n"[..], b"\n\n"] {
            if piece.bytes.ends_with(end) {
                piece.bytes.truncate(piece.bytes.len() - end.len() / 2);
                break;
            }
        }
        Ok(Some(piece))
    }

    /// A line with its end, and where it begins.
    fn line(&mut self) -> io::Result<Option<(u64, Vec<u8>)>> {
        let line = match self.ahead.take() {
            Some(line) => line,
            None => self.read_line()?,
        };
        let at = self.offset;
        self.offset += line.len() as u64;
        Ok((!line.is_empty()).then_some((at, line)))
    }

    fn read_line(&mut self) -> io::Result<Vec<u8>> {
        let mut line = Vec::new();
        io::Read::take(&mut self.input, LINE_OCTETS as u64).read_until(b'\n', &mut line)?;
        Ok(line)
    }

    fn header_follows(&mut self) -> io::Result<bool> {
        if self.ahead.is_none() {
            self.ahead = Some(self.read_line()?);
        }
        let line = self.ahead.as_deref().unwrap_or_default();
        let colon = line.iter().position(|octet| *octet == b':');
        let name = colon.map(|colon| &line[..colon]).unwrap_or_default();
        let is_field = !name.is_empty() && name.iter().all(u8::is_ascii_graphic);
        // Some programs put a second one behind the first.
        Ok(is_field || line.starts_with(b">From "))
    }
}

/// `From `, and a year of four digits among the last words.
fn is_from_line(line: &[u8]) -> bool {
    line.starts_with(b"From ") && line.len() < 500 && {
        let text = String::from_utf8_lossy(line);
        let words: Vec<&str> = text.split_whitespace().collect();
        let is_year = |word: &&&str| word.len() == 4 && word.parse::<u16>().is_ok_and(|year| (1970..2200).contains(&year));
        let is_time = |word: &&str| word.len() >= 4 && word.contains(':') && word.bytes().all(|b| b.is_ascii_digit() || b == b':');
        words.len() >= 6 && words.iter().rev().take(3).any(|word| is_year(&word)) && words.iter().any(is_time)
    }
}

fn unquoted(line: &[u8]) -> &[u8] {
    let marks = line.iter().take_while(|octet| **octet == b'>').count();
    if marks > 0 && line[marks..].starts_with(b"From ") { &line[1..] } else { line }
}

/// `From ana@example.org Thu Nov 26 10:00:00 2026`: the time is UTC, whatever stands behind (RFC 4155 appendix A).
fn date_of(line: &[u8]) -> Option<DateTime<Utc>> {
    let text = String::from_utf8_lossy(line);
    let words: Vec<&str> = text.split_whitespace().collect();
    let day = words.iter().position(|word| ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"].contains(word))?;
    let year = words.get(day + 4..)?.iter().find(|word| word.len() == 4 && word.parse::<u16>().is_ok())?;
    let stamp = format!("{} {} {} {year}", words.get(day + 1)?, words.get(day + 2)?, words.get(day + 3)?);
    ["%b %d %H:%M:%S %Y", "%b %d %H:%M %Y"].iter().find_map(|form| NaiveDateTime::parse_from_str(&stamp, form).ok()).map(|at| at.and_utc())
}

/// Appends a message with CRLF line ends to a file, as [`Mbox`] reads it back.
///
/// # Errors
/// When the output fails.
pub fn write(output: &mut impl Write, sender: &str, at: DateTime<Utc>, message: &[u8]) -> io::Result<()> {
    let sender: String = sender.chars().filter(char::is_ascii_graphic).collect();
    let sender = if sender.is_empty() { "MAILER-DAEMON" } else { &sender };
    writeln!(output, "From {sender} {}", at.format("%a %b %e %H:%M:%S %Y"))?;
    for line in message.split_inclusive(|octet| *octet == b'\n') {
        let text = line.strip_suffix(b"\n").unwrap_or(line);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        let marks = text.iter().take_while(|octet| **octet == b'>').count();
        if text[marks..].starts_with(b"From ") {
            output.write_all(b">")?;
        }
        output.write_all(text)?;
        output.write_all(b"\n")?;
    }
    output.write_all(b"\n")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &[u8]) -> Vec<Piece> {
        let mut mbox = Mbox::new(text, 0, 10_000);
        std::iter::from_fn(|| mbox.next_piece().unwrap()).collect()
    }

    #[test]
    fn only_a_line_that_looks_like_a_separator_separates() {
        let text = b"From a@x.test Thu Nov 26 10:00:00 2026\nSubject: one\n\nDear all\n\nFrom here on it is text, 10:00 2026\n\
            \nFrom b@x.test Thu Nov 26 10:00:00 2026\nthis is no header\n>From quoted\n>>From twice\n\
            \nFrom b at x.test  Fri Nov  6 10:00:00 2026\nSubject: two\n\nx\nFrom c@x.test Thu Nov 26 10:00:00 2026\nA: not behind an empty line\n";
        let found = read(text);
        assert_eq!(found.len(), 2, "{found:?}");
        let first = String::from_utf8_lossy(&found[0].bytes);
        assert!(first.contains("From here on") && first.contains("\nFrom quoted\n>From twice\n") && !first.ends_with("\n\n"), "{first}");
        assert_eq!(found[0].delivered, "2026-11-26T10:00:00Z".parse().ok());
        assert_eq!(found[1].delivered, "2026-11-06T10:00:00Z".parse().ok());
        assert!(text[usize::try_from(found[1].offset).unwrap()..].starts_with(b"From b at"));
    }

    #[test]
    fn what_is_too_large_or_no_mailbox_is_passed_over() {
        let mut text = b"rubbish\n\nFrom a@x.test Thu Nov 26 10:00:00 2026\nSubject: big\n\n".to_vec();
        text.extend(vec![b'x'; 20_000]);
        text.extend(b"\n\nFrom b@x.test Thu Nov 26 10:00:00 2026\r\nSubject: small\r\n\r\nx\r\n\r\n");
        let found = read(&text);
        assert_eq!(found.iter().map(|piece| (piece.too_large, piece.bytes.len())).collect::<Vec<_>>(), [(true, 0), (false, 21)]);
        assert_eq!(read(b""), []);
        assert_eq!(read(b"no mailbox at all"), []);
    }

    proptest! {
        #[test]
        fn what_is_written_comes_back(bodies in proptest::collection::vec("(From |>|[a-z :]|\n){0,60}", 1..8)) {
            let at: DateTime<Utc> = "2026-11-06T10:00:00Z".parse().unwrap();
            let messages: Vec<String> = bodies.iter().map(|body| format!("Subject: x\r\n\r\n{}\r\n", body.replace('\n', "\r\n"))).collect();
            let mut file = Vec::new();
            for message in &messages {
                write(&mut file, "a@x.test", at, message.as_bytes()).unwrap();
            }
            let found: Vec<String> = read(&file).iter().map(|piece| String::from_utf8_lossy(&piece.bytes).replace('\n', "\r\n")).collect();
            prop_assert_eq!(found, messages);
        }
    }
}
