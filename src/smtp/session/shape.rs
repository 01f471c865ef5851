//! Counts header fields, parts and the nesting of parts while a message comes in, before any parser sees it.
//!
//! A parser that recurses overflows its stack on a few hundred kilobytes of nested parts, and an overflow aborts the
//! process; so the count comes first, in one linear pass that keeps no more than a line and the open boundaries
//! (RFC 2046 sections 5.1 and 5.2). Where another reader might see a boundary that this one does not, every line that
//! could be a `Content-Type` of a container is counted as well, against the limit of parts.

use super::Limits;

/// Octets of a line that are looked at; longer lines are longer than any boundary or media type.
const LINE_LOOKED_AT: usize = 1_024;
/// Octets of an unfolded `Content-Type` that are looked at.
const FIELD_LOOKED_AT: usize = 4_096;
/// Octets of a boundary that are compared (RFC 2046 section 5.1.1 allows 70).
const BOUNDARY_LOOKED_AT: usize = 200;

/// What is wrong with the shape of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Misshape {
    HeaderOctets,
    HeaderFields,
    Depth,
    Parts,
}

/// An open container.
#[derive(Debug)]
enum Container {
    Multipart {
        /// Without the leading `--`.
        boundary: Vec<u8>,
        /// The boundary came in continuations (RFC 2231 section 3), of which only the first is known.
        beginning_only: bool,
        /// `multipart/digest`: its parts are messages unless they say otherwise (RFC 2046 section 5.1.5).
        digest: bool,
    },
    Message,
}

#[derive(Debug, PartialEq, Eq)]
enum Within {
    MessageHeader,
    PartHeader,
    Body,
}

/// The counter; fed with segments of lines and line ends.
#[derive(Debug)]
pub(super) struct Shape {
    within: Within,
    line: Vec<u8>,
    line_octets: usize,
    keep_line: bool,
    content_type: Vec<u8>,
    in_content_type: bool,
    containers_told: Vec<Container>,
    had_content_type: bool,
    header_octets: usize,
    header_fields: usize,
    open: Vec<Container>,
    parts: usize,
    suspects: usize,
}

impl Shape {
    pub(super) fn new() -> Self {
        Self {
            within: Within::MessageHeader,
            line: Vec::new(),
            line_octets: 0,
            keep_line: true,
            content_type: Vec::new(),
            in_content_type: false,
            containers_told: Vec::new(),
            had_content_type: false,
            header_octets: 0,
            header_fields: 0,
            open: Vec::new(),
            parts: 0,
            suspects: 0,
        }
    }

    /// A piece of a line without its end.
    pub(super) fn segment(&mut self, octets: &[u8]) {
        if self.line_octets == 0
            && let Some(first) = octets.first()
        {
            self.keep_line = self.within != Within::Body || b"-cC \t".contains(first);
        }
        self.line_octets += octets.len();
        if self.keep_line {
            let room = LINE_LOOKED_AT.saturating_sub(self.line.len()).min(octets.len());
            self.line.extend_from_slice(&octets[..room]);
        }
    }

    /// The end of a line.
    pub(super) fn line_end(&mut self, limits: &Limits) -> Result<(), Misshape> {
        let line = std::mem::take(&mut self.line);
        let octets = std::mem::replace(&mut self.line_octets, 0);
        let result = self.line(&line, octets, limits);
        self.line = line;
        self.line.clear();
        result
    }

    fn line(&mut self, line: &[u8], octets: usize, limits: &Limits) -> Result<(), Misshape> {
        if looks_like_container(line) {
            self.suspects += 1;
            if self.suspects > limits.mime_parts {
                return Err(Misshape::Parts);
            }
        }
        match self.within {
            Within::Body if line.starts_with(b"--") => self.delimiter(line, limits),
            Within::Body => Ok(()),
            Within::MessageHeader | Within::PartHeader => self.header_line(line, octets, limits),
        }
    }

    fn header_line(&mut self, line: &[u8], octets: usize, limits: &Limits) -> Result<(), Misshape> {
        if octets == 0 {
            return self.header_end(limits);
        }
        self.header_octets += octets + 2;
        if self.header_octets > limits.header_octets {
            return Err(Misshape::HeaderOctets);
        }
        if matches!(line.first(), Some(b' ' | b'\t')) {
            if self.in_content_type {
                self.more_content_type(line);
            }
            return Ok(());
        }
        self.content_type_end();
        if self.within == Within::PartHeader {
            // A part that begins without a header, or an encoded message: what follows is its body.
            if line.starts_with(b"--") {
                self.header_end(limits)?;
                return self.delimiter(line, limits);
            }
            if !line.contains(&b':') {
                return self.header_end(limits);
            }
        }
        self.header_fields += 1;
        if self.header_fields > limits.header_fields {
            return Err(Misshape::HeaderFields);
        }
        if is_content_type(line) {
            self.in_content_type = true;
            self.had_content_type = true;
            self.more_content_type(line);
        }
        Ok(())
    }

    fn more_content_type(&mut self, line: &[u8]) {
        let room = FIELD_LOOKED_AT.saturating_sub(self.content_type.len()).min(line.len());
        self.content_type.extend_from_slice(&line[..room]);
    }

    fn content_type_end(&mut self) {
        if std::mem::take(&mut self.in_content_type) {
            if let Some(container) = container(&self.content_type) {
                self.containers_told.push(container);
            }
            self.content_type.clear();
        }
    }

    fn header_end(&mut self, limits: &Limits) -> Result<(), Misshape> {
        self.content_type_end();
        if !self.had_content_type
            && self.within == Within::PartHeader
            && matches!(self.open.last(), Some(Container::Multipart { digest: true, .. }))
        {
            self.containers_told.push(Container::Message);
        }
        self.within = Within::Body;
        for container in std::mem::take(&mut self.containers_told) {
            if matches!(container, Container::Message) {
                self.one_more_part(limits)?;
                self.part_header();
            }
            self.open.push(container);
            if self.open.len() > limits.mime_depth {
                return Err(Misshape::Depth);
            }
        }
        Ok(())
    }

    fn part_header(&mut self) {
        self.within = Within::PartHeader;
        self.had_content_type = false;
        self.header_octets = 0;
        self.header_fields = 0;
    }

    fn one_more_part(&mut self, limits: &Limits) -> Result<(), Misshape> {
        self.parts += 1;
        if self.parts > limits.mime_parts { Err(Misshape::Parts) } else { Ok(()) }
    }

    /// A line that begins with `--` may open or close a part of any open container; the innermost is asked first.
    fn delimiter(&mut self, line: &[u8], limits: &Limits) -> Result<(), Misshape> {
        let after_dashes = &line[2..];
        let found = self.open.iter().rposition(|container| match container {
            Container::Multipart { boundary, beginning_only, .. } => after_dashes
                .strip_prefix(boundary.as_slice())
                .is_some_and(|rest| *beginning_only || rest.trim_ascii().is_empty() || rest.trim_ascii() == b"--"),
            Container::Message => false,
        });
        let Some(at) = found else { return Ok(()) };
        if line.trim_ascii_end().ends_with(b"--") && !self.boundary_ends_with_dashes(at, line) {
            self.open.truncate(at);
            self.within = Within::Body;
            return Ok(());
        }
        self.open.truncate(at + 1);
        self.one_more_part(limits)?;
        self.part_header();
        Ok(())
    }

    /// A boundary may itself end with `--`; then the line that equals it opens a part.
    fn boundary_ends_with_dashes(&self, at: usize, line: &[u8]) -> bool {
        matches!(&self.open[at], Container::Multipart { boundary, .. } if line[2..].trim_ascii_end() == boundary.as_slice())
    }
}

fn starts_with_ignore_case(text: &[u8], lower_case: &[u8]) -> bool {
    text.len() >= lower_case.len() && text[..lower_case.len()].eq_ignore_ascii_case(lower_case)
}

/// White space before the colon is obsolete and still read by parsers (RFC 5322 section 4.5).
fn is_content_type(line: &[u8]) -> bool {
    starts_with_ignore_case(line, b"content-type") && line[12..].trim_ascii_start().starts_with(b":")
}

fn looks_like_container(line: &[u8]) -> bool {
    let candidate = matches!(line.first(), Some(b' ' | b'\t')) || starts_with_ignore_case(line, b"content-type");
    candidate && (find_ignore_case(line, b"multipart/").is_some() || find_ignore_case(line, b"message/").is_some())
}

fn find_ignore_case(text: &[u8], lower_case: &[u8]) -> Option<usize> {
    text.windows(lower_case.len()).position(|window| window.eq_ignore_ascii_case(lower_case))
}

fn container(content_type: &[u8]) -> Option<Container> {
    if find_ignore_case(content_type, b"multipart/").is_none() {
        return find_ignore_case(content_type, b"message/").map(|_| Container::Message);
    }
    let (boundary, beginning_only) = boundary(content_type).unwrap_or_default();
    let digest = find_ignore_case(content_type, b"multipart/digest").is_some();
    Some(Container::Multipart { boundary, beginning_only, digest })
}

/// The boundary, and whether it is only the beginning of it.
fn boundary(content_type: &[u8]) -> Option<(Vec<u8>, bool)> {
    let at = find_ignore_case(content_type, b"boundary")?;
    let rest = &content_type[at + b"boundary".len()..];
    let equals = rest.iter().position(|&b| b == b'=')?;
    let beginning_only = rest[..equals].contains(&b'*');
    let value = rest[equals + 1..].trim_ascii_start();
    let mut boundary = Vec::new();
    if let Some(quoted) = value.strip_prefix(b"\"") {
        let mut octets = quoted.iter();
        while let Some(&octet) = octets.next() {
            match octet {
                b'"' => break,
                b'\\' => boundary.extend(octets.next()),
                _ => boundary.push(octet),
            }
        }
    } else {
        boundary.extend(value.iter().take_while(|b| !b";()".contains(b) && !b.is_ascii_whitespace()));
    }
    let cut = boundary.len() > BOUNDARY_LOOKED_AT;
    boundary.truncate(BOUNDARY_LOOKED_AT);
    // Trailing white space is not part of a boundary (RFC 2046 section 5.1.1).
    boundary.truncate(boundary.trim_ascii_end().len());
    Some((boundary, beginning_only || cut))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(message: &str) -> Result<(), Misshape> {
        let limits = Limits::default();
        let mut shape = Shape::new();
        for line in message.split("\r\n") {
            for half in [&line.as_bytes()[..line.len() / 2], &line.as_bytes()[line.len() / 2..]] {
                if !half.is_empty() {
                    shape.segment(half);
                }
            }
            shape.line_end(&limits)?;
        }
        Ok(())
    }

    fn messages(depth: usize) -> String {
        "Content-Type: message/rfc822\r\n\r\n".repeat(depth) + "Subject: x\r\n\r\nx\r\n"
    }

    fn multiparts(depth: usize, boundary: impl Fn(usize) -> String) -> String {
        let mut text = String::new();
        for level in 0..depth {
            let b = boundary(level);
            text.extend(["Content-Type: multipart/mixed;\r\n boundary=\"", &b, "\"\r\n\r\n--", &b, "\r\n"]);
        }
        text + "\r\nx\r\n"
    }

    #[test]
    fn fifty_levels_are_taken_and_fifty_one_are_not() {
        assert_eq!(check(&messages(50)), Ok(()));
        assert_eq!(check(&messages(51)), Err(Misshape::Depth));
        for boundary in [|level| format!("b{level}"), |_| "same".to_owned(), |level| "x".repeat(level + 1), |level| format!("b{level}--")] {
            assert_eq!(check(&multiparts(50, boundary)), Ok(()));
            assert_eq!(check(&multiparts(51, boundary)), Err(Misshape::Depth));
        }
    }

    #[test]
    fn mixed_nesting_is_counted_together() {
        let level = "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\ncontent-type :\r\n\tMESSAGE/rfc822\r\n\r\n";
        assert_eq!(check(&level.repeat(25)), Ok(()));
        assert_eq!(check(&level.repeat(26)), Err(Misshape::Depth));
    }

    #[test]
    fn sixty_forwarded_messages_side_by_side_are_not_deep() {
        let part = "--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: x\r\n\r\nx\r\n";
        let message = format!("Content-Type: multipart/mixed; boundary=b\r\n\r\n{}--b--\r\n", part.repeat(60));
        assert_eq!(check(&message), Ok(()));
    }

    #[test]
    fn parts_of_a_digest_are_messages_without_saying_so() {
        let level = "Content-Type: multipart/digest; boundary=b\r\n\r\n--b\r\n\r\n";
        assert_eq!(check(&level.repeat(25)), Ok(()));
        assert_eq!(check(&level.repeat(26)), Err(Misshape::Depth));
    }

    #[test]
    fn a_thousand_parts_are_taken_and_one_more_is_not() {
        let message = |n: usize| format!("Content-Type: multipart/mixed; boundary=b\r\n\r\n{}--b--\r\n", "--b\r\n\r\nx\r\n".repeat(n));
        assert_eq!(check(&message(1_000)), Ok(()));
        assert_eq!(check(&message(1_001)), Err(Misshape::Parts));
    }

    #[test]
    fn containers_hidden_from_this_reader_are_still_bounded() {
        // The boundary is split into continuations of which another reader may make something else.
        let level = "Content-Type: multipart/mixed; boundary*0=a; boundary*1=b\r\n\r\n--xx\r\n";
        assert_eq!(check(&level.repeat(1_001)), Err(Misshape::Parts));
    }

    #[test]
    fn header_is_bounded_in_fields_and_octets() {
        assert_eq!(check(&("X: y\r\n".repeat(1_000) + "\r\n")), Ok(()));
        assert_eq!(check(&("X: y\r\n".repeat(1_001) + "\r\n")), Err(Misshape::HeaderFields));
        let folded = "X: y\r\n".to_owned() + &format!(" {}\r\n", "z".repeat(997)).repeat(263);
        assert_eq!(check(&folded), Err(Misshape::HeaderOctets));
    }

    #[test]
    fn a_long_body_has_no_header_to_be_bounded() {
        assert_eq!(check(&("Subject: x\r\n\r\n".to_owned() + &"X: y\r\n".repeat(60_000))), Ok(()));
        let encoded = "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: message/rfc822\r\n\r\n".to_owned()
            + &format!("{}\r\n", "A".repeat(76)).repeat(10_000);
        assert_eq!(check(&encoded), Ok(()));
    }
}
