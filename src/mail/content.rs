//! The parts of a message: its text and its attachments, decoded and within limits.
//!
//! mail-parser 0.11 nests `message/rfc822` without limit and drops the tree recursively: half a megabyte of nested parts
//! overflows a thread's stack and ends the process. So [`parse`] first counts every content type of `multipart/*` and
//! `message/*` in one linear pass, those inside encoded messages too, and refuses above [`NESTED_PARTS`].
//! The count looks at every line that could be a Content-Type to the parser, in text as well, and so can only be too high.

use std::ops::Range;

use mail_parser::parsers::MessageStream;
use mail_parser::{HeaderName, Message, MessageParser, MessagePart, MimeHeaders, PartType, decoders};

use super::headers::HeaderText;
use super::{field, html};
use crate::domain::language::Language;
use crate::domain::reason::{Reason, Rule};

/// Most parts `multipart/*` and `message/*` of a message.
pub const NESTED_PARTS: usize = 50;
/// Most parts of a message.
pub const PARTS: usize = 1_000;
/// Most lines that look like a boundary; a program text may have thousands, the parser takes so many parts in its stride.
const BOUNDARY_LINES: usize = 100_000;
/// Most encoded messages in a message; each is decoded once to be counted.
const ENCODED_MESSAGES: usize = 10;
/// Most octets of an HTML part that is reduced to text.
const HTML_OCTETS: usize = 1024 * 1024;
/// Longest file name kept, in characters.
const NAME_CHARACTERS: usize = 150;

/// An attachment, decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// File name without folders and controls; made from its number and type if there was none.
    pub name: String,
    /// Such as `application/pdf`, lower case.
    pub content_type: String,
    /// `Content-Language`, if given.
    pub language: Option<Language>,
    /// Decoded octets.
    pub bytes: Vec<u8>,
}

fn malformed(text: &str) -> Reason {
    Reason::new(Rule::Malformed, [text])
}

/// The parsed tree, after the scan for nesting. The only way to mail-parser for whole messages.
///
/// # Errors
/// `Rule::Malformed`: nested too deep, too many parts, header too large, empty, or with parts that contradict each other.
pub fn parse(message: &[u8]) -> Result<Message<'_>, Reason> {
    field::split(message).map_err(|error| malformed(&error.to_string()))?;
    check_nesting(message)?;
    // mail-parser 0.11.9 panics on some broken nestings ("Invalid part ID"); what a stranger sends must not end more than itself.
    let parsed = std::panic::catch_unwind(|| MessageParser::default().parse(message))
        .map_err(|_| malformed("its parts contradict each other"))?
        .ok_or_else(|| malformed("it is empty"))?;
    if parsed.parts.len() > PARTS {
        return Err(malformed("it has more than 1000 parts"));
    }
    Ok(parsed)
}

/// Is it safe to give `message` to the parser? One pass over its octets, a second one over each encoded message in it.
///
/// # Errors
/// `Rule::Malformed` above [`NESTED_PARTS`].
pub fn check_nesting(message: &[u8]) -> Result<(), Reason> {
    let mut count = Count::default();
    let mut encoded = count.scan(message)?;
    let mut decoded_messages = 0;
    while let Some(bytes) = encoded.pop() {
        decoded_messages += 1;
        if decoded_messages > ENCODED_MESSAGES {
            return Err(malformed("it has too many encoded messages in it"));
        }
        encoded.extend(count.scan(&bytes)?);
    }
    Ok(())
}

#[derive(Default)]
struct Count {
    nested: usize,
    parts: usize,
}

/// Which encoding a block of header lines names.
#[derive(Clone, Copy, PartialEq)]
enum Encoded {
    Base64,
    QuotedPrintable,
}

impl Count {
    /// Counts in `octets`; gives the decoded content of messages that are encoded.
    fn scan(&mut self, octets: &[u8]) -> Result<Vec<Vec<u8>>, Reason> {
        let mut inner = Vec::new();
        let (mut is_message, mut encoding, mut at) = (false, None, 0);
        while at < octets.len() {
            let mut end = line_end(octets, at);
            if octets[at..end].iter().all(u8::is_ascii_whitespace) {
                if let (true, Some(encoding)) = (is_message, encoding) {
                    inner.push(decoded(&octets[end..], encoding));
                    if inner.len() > ENCODED_MESSAGES {
                        return Err(malformed("it has too many encoded messages in it"));
                    }
                }
                (is_message, encoding) = (false, None);
            } else if octets[at..end].starts_with(b"--") {
                self.parts += 1;
                (is_message, encoding) = (false, None);
                if self.parts > BOUNDARY_LINES {
                    return Err(malformed("it has more than 1000 parts"));
                }
            } else if let Some(kind) = mime_field(&octets[at..end]) {
                while octets.get(end).is_some_and(|b| matches!(b, b' ' | b'\t')) {
                    end = line_end(octets, end);
                }
                let value = octets[at..end].to_ascii_lowercase();
                match kind {
                    Kind::Type => {
                        let message = contains(&value, b"message");
                        is_message |= message;
                        self.nested += usize::from(message || contains(&value, b"multipart"));
                    }
                    Kind::Encoding if contains(&value, b"base64") => encoding = Some(Encoded::Base64),
                    Kind::Encoding if contains(&value, b"quoted-printable") => encoding = Some(Encoded::QuotedPrintable),
                    Kind::Encoding => {}
                }
                if self.nested > NESTED_PARTS {
                    return Err(malformed("its parts are nested too deep"));
                }
            }
            at = end;
        }
        Ok(inner)
    }
}

enum Kind {
    Type,
    Encoding,
}

fn line_end(octets: &[u8], at: usize) -> usize {
    octets[at..].iter().position(|b| *b == b'\n').map_or(octets.len(), |i| at + i + 1)
}

/// Could the parser take the line for one of these fields? It ignores white space in names, so this does too.
fn mime_field(line: &[u8]) -> Option<Kind> {
    let head = &line[..line.len().min(200)];
    // Cheap look first: nearly every line of a body ends here.
    if !matches!(head.trim_ascii_start().first(), Some(b'c' | b'C')) {
        return None;
    }
    let colon = head.iter().position(|b| *b == b':')?;
    let name: Vec<u8> = head[..colon].iter().filter(|b| !b.is_ascii_whitespace()).map(u8::to_ascii_lowercase).collect();
    match &name[..] {
        b"content-type" => Some(Kind::Type),
        b"content-transfer-encoding" => Some(Kind::Encoding),
        _ => None,
    }
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

/// What the parser would decode, or more of it.
fn decoded(octets: &[u8], encoding: Encoded) -> Vec<u8> {
    match encoding {
        Encoded::Base64 => {
            let end = octets.windows(3).position(|w| w == b"\n--").unwrap_or(octets.len());
            let plain: Vec<u8> = octets[..end].iter().copied().filter(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/')).collect();
            let whole = &plain[..plain.len() / 4 * 4];
            data_encoding::BASE64_NOPAD.decode(whole).unwrap_or_default()
        }
        Encoded::QuotedPrintable => decoders::quoted_printable::quoted_printable_decode(octets).unwrap_or_else(|| octets.to_vec()),
    }
}

/// The text a person wrote: the text parts of the message itself, or its HTML reduced to text; at most `limit` octets, LF.
pub fn text_body(message: &Message<'_>, limit: usize) -> String {
    let mut text = String::new();
    for part in message.text_bodies() {
        match &part.body {
            PartType::Text(plain) => text.push_str(plain),
            PartType::Html(html) => text.push_str(&html_text(html)),
            _ => continue,
        }
        if !text.ends_with('\n') {
            text.push('\n');
        }
        if text.len() >= limit {
            break;
        }
    }
    let mut text = text.replace("\r\n", "\n").replace('\r', "\n");
    text.retain(|c| c == '\n' || c == '\t' || !c.is_control());
    truncate(&mut text, limit);
    text
}

/// Has the message a body in HTML?
pub fn has_html_body(message: &Message<'_>) -> bool {
    let parts = message.html_body.iter().filter_map(|place| message.parts.get(usize::try_from(*place).ok()?));
    parts.into_iter().any(|part| part.is_content_type("text", "html"))
}

fn html_text(given: &str) -> String {
    let mut given = given.to_owned();
    truncate(&mut given, HTML_OCTETS);
    html::text_of(&given)
}

/// Cuts at `limit` octets, or before a character that would be cut in two.
fn truncate(text: &mut String, limit: usize) {
    if text.len() > limit {
        let mut cut = limit;
        while !text.is_char_boundary(cut) {
            cut -= 1;
        }
        text.truncate(cut);
    }
}

/// The attachments, in order, until `limit` octets are reached in all; nested messages come as `message/rfc822`.
pub fn attachments(message: &Message<'_>, limit: usize) -> Vec<Attachment> {
    attached(message, limit).into_iter().map(|(_, file)| file).collect()
}

/// The same, each with where it stands in the message: from its first field to its last octet.
pub fn attached(message: &Message<'_>, limit: usize) -> Vec<(Range<usize>, Attachment)> {
    let mut found = Vec::new();
    let mut octets = 0;
    for part in message.attachments().take(PARTS) {
        let mut end = part.offset_end as usize;
        let bytes = match &part.body {
            PartType::Binary(bytes) | PartType::InlineBinary(bytes) => bytes.to_vec(),
            PartType::Text(text) | PartType::Html(text) => text.as_bytes().to_vec(),
            PartType::Message(inner) => {
                if part.encoding == mail_parser::Encoding::None {
                    end = nested_end(part, inner);
                }
                nested_octets(message, part, inner).to_vec()
            }
            PartType::Multipart(_) => continue,
        };
        octets += bytes.len();
        if octets > limit {
            break;
        }
        let content_type = content_type(part);
        let name = clean_name(&given_name(message, part))
            .unwrap_or_else(|| format!("attachment-{}.{}", found.len() + 1, extension(&content_type)));
        found.push((part.offset_header as usize..end, Attachment { name, content_type, language: language(part), bytes }));
    }
    found
}

fn nested_end(part: &MessagePart<'_>, inner: &Message<'_>) -> usize {
    inner.parts.iter().map(|part| part.offset_end).max().unwrap_or(0).max(part.offset_end) as usize
}

/// An encoded message carries its own octets, one that is not encoded is a stretch of the whole message.
fn nested_octets<'m>(message: &'m Message<'_>, part: &MessagePart<'_>, inner: &'m Message<'_>) -> &'m [u8] {
    if part.encoding != mail_parser::Encoding::None {
        return inner.raw_message();
    }
    message.raw_message().get(part.offset_body as usize..nested_end(part, inner)).unwrap_or_default()
}

fn content_type(part: &MessagePart<'_>) -> String {
    let Some(found) = part.content_type() else {
        return match part.body {
            PartType::Message(_) => "message/rfc822".into(),
            PartType::Text(_) => "text/plain".into(),
            _ => "application/octet-stream".into(),
        };
    };
    let whole = format!("{}/{}", found.ctype(), found.subtype().unwrap_or("octet-stream")).to_ascii_lowercase();
    whole.chars().filter(char::is_ascii_graphic).take(100).collect()
}

fn language(part: &MessagePart<'_>) -> Option<Language> {
    part.headers.iter().find(|h| h.name == HeaderName::ContentLanguage).and_then(|h| {
        let first = h
            .value
            .as_text_list()
            .and_then(|list| list.first().map(ToString::to_string))
            .or_else(|| h.value.as_text().map(str::to_owned))?;
        first.parse().ok()
    })
}

/// The name the sender gave. mail-parser 0.11 loses a parameter that is folded right behind its `=`, so such a field is
/// unfolded and read again.
fn given_name(message: &Message<'_>, part: &MessagePart<'_>) -> String {
    if let Some(name) = part.attachment_name() {
        return name.to_owned();
    }
    for (field, parameter) in [(HeaderName::ContentDisposition, "filename"), (HeaderName::ContentType, "name")] {
        let Some(header) = part.headers.iter().find(|header| header.name == field) else {
            continue;
        };
        let raw = message.raw_message().get(header.offset_start as usize..header.offset_end as usize).unwrap_or_default();
        let unfolded = [&raw.iter().copied().filter(|b| !matches!(b, b'\r' | b'\n')).collect::<Vec<_>>()[..], b"\r\n"].concat();
        let text = String::from_utf8_lossy(&unfolded).replace("= ", "=").replace("=\t", "=");
        let value = MessageStream::new(text.as_bytes()).parse_content_type();
        if let Some(name) = value.as_content_type().and_then(|value| value.attribute(parameter)) {
            return name.to_owned();
        }
    }
    String::new()
}

/// A file name that is no path, no device and no option: letters, digits and plain signs of any script.
/// `None` if nothing is left.
pub fn clean_name(name: &str) -> Option<String> {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let clean: String = HeaderText::new(last).as_str().chars().map(|c| if "<>:\"|?*\0;`$".contains(c) { '_' } else { c }).collect();
    let clean = clean.trim_matches(|c: char| c == '.' || c == ' ' || c == '-');
    let stem_characters = NAME_CHARACTERS.min(clean.chars().count());
    let short: String = match clean.rsplit_once('.') {
        Some((stem, extension)) if clean.chars().count() > NAME_CHARACTERS && extension.len() < 10 => {
            let room = NAME_CHARACTERS - extension.len() - 1;
            format!("{}.{extension}", stem.chars().take(room).collect::<String>())
        }
        _ => clean.chars().take(stem_characters).collect(),
    };
    Some(short).filter(|short| !short.is_empty())
}

fn extension(content_type: &str) -> &str {
    match content_type {
        "text/plain" => "txt",
        "text/html" => "html",
        "text/calendar" => "ics",
        "application/pdf" => "pdf",
        "message/rfc822" => "eml",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document" => "docx",
        _ => "bin",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nested(kind: &str, depth: usize) -> Vec<u8> {
        let mut mail = b"From: a@example.org\r\n".to_vec();
        for level in 0..depth {
            mail.extend(
                match kind {
                    "multipart" => format!("Content-Type: multipart/mixed; boundary=b{level}\r\n\r\n--b{level}\r\n"),
                    "folded" => "Content-Type:\r\n\t(x) message/rfc822\r\n\r\n".to_owned(),
                    _ => "Content-Type: message/rfc822\r\n\r\n".to_owned(),
                }
                .into_bytes(),
            );
        }
        mail.extend(b"\r\nend\r\n");
        mail
    }

    #[test]
    fn a_nesting_that_the_parser_cannot_follow_is_malformed_and_no_panic() {
        let mail =
            b"Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n--b\r\nContent-Type: message/rfc822\r\n\r\n\
                     Content-Type: message/rfc822\r\n\r\n\r\n--b--\r\n";
        assert_eq!(parse(mail).unwrap_err().rule, Rule::Malformed);
    }

    #[test]
    fn bombs_are_refused_before_the_parser_sees_them() {
        for kind in ["multipart", "rfc822", "folded"] {
            for depth in [51, 300, 16_600, 300_000] {
                let mail = nested(kind, depth);
                let reason = parse(&mail).unwrap_err();
                assert_eq!(reason.rule, Rule::Malformed, "{kind} {depth}");
            }
            assert!(parse(&nested(kind, 20)).is_ok(), "{kind}");
        }
    }

    #[test]
    fn a_bomb_in_an_encoded_message_is_refused_too() {
        let bomb = nested("rfc822", 20_000);
        let inner = data_encoding::BASE64.encode(&bomb);
        let head = "From: a@example.org\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n";
        let base64 = format!("{head}Content-Transfer-Encoding: base64\r\nContent-Type: message/rfc822\r\n\r\n{inner}\r\n--x--\r\n");
        assert_eq!(check_nesting(base64.as_bytes()).unwrap_err().rule, Rule::Malformed);
        let quoted = String::from_utf8(bomb).unwrap().replace("ontent-Type", "=6Fntent-Type");
        let printable =
            format!("{head}Content-Type: message/rfc822\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n{quoted}\r\n--x--\r\n");
        assert_eq!(check_nesting(printable.replace("C=6F", "=43o").as_bytes()).unwrap_err().rule, Rule::Malformed);
        let many =
            format!("{head}{}", "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\nAAAA\r\n--x\r\n".repeat(11));
        assert!(check_nesting(many.as_bytes()).is_err());
    }

    #[test]
    fn a_long_program_text_is_no_bomb() {
        let mail = format!("From: a@example.org\r\n\r\n{}", "-- a comment\r\n".repeat(5_000));
        assert!(parse(mail.as_bytes()).is_ok());
    }

    #[test]
    fn a_hundred_thousand_parts_are_refused() {
        let mail = format!("Content-Type: multipart/mixed; boundary=x\r\n\r\n{}", "--x\r\n\r\na\r\n".repeat(100_000));
        assert!(parse(mail.as_bytes()).is_err());
    }

    #[test]
    fn text_and_attachments_come_decoded() {
        let mail = b"From: a@example.org\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n\
            --x\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nse=F1or\r\n\
            --x\r\nContent-Type: application/pdf; name=\"../../etc/passwd\"\r\nContent-Disposition: attachment\r\nContent-Language: es\r\nContent-Transfer-Encoding: base64\r\n\r\nAAEC\r\n\
            --x\r\nContent-Type: application/pdf\r\nContent-Disposition: attachment; filename*=utf-8''T25%20%C3%A9.pdf\r\n\r\nx\r\n\
            --x\r\nContent-Type: message/rfc822\r\n\r\nSubject: in\r\n\r\nin\r\n--x--\r\n";
        let message = parse(mail).unwrap();
        assert_eq!(text_body(&message, 1_000), "señor\n");
        assert_eq!(text_body(&message, 3), "se");
        let files = attachments(&message, 1_000_000);
        let names: Vec<_> = files.iter().map(|f| (f.name.as_str(), f.content_type.as_str())).collect();
        assert_eq!(names, [("passwd", "application/pdf"), ("T25 é.pdf", "application/pdf"), ("attachment-3.eml", "message/rfc822")]);
        assert_eq!(files[0].bytes, [0, 1, 2]);
        assert_eq!(files[0].language.unwrap().as_str(), "es");
        assert_eq!(files[2].bytes, b"Subject: in\r\n\r\nin");
        assert_eq!(attachments(&message, 2).len(), 0);
    }

    #[test]
    fn a_name_folded_behind_its_equals_sign_is_found() {
        let mail = b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nContent-Type: application/pdf\r\n\
            Content-Disposition: attachment; filename=\r\n \"T25-LS45!!MSW-E.docx\"\r\n\r\nx\r\n--x--\r\n";
        assert_eq!(attachments(&parse(mail).unwrap(), 100)[0].name, "T25-LS45!!MSW-E.docx");
    }

    #[test]
    fn html_alone_becomes_text() {
        let mail = b"Content-Type: text/html\r\n\r\n<html><body><p>subscribe</p><script>x</script></body></html>\r\n";
        assert!(text_body(&parse(mail).unwrap(), 1_000).contains("subscribe"));
    }

    #[test]
    fn names_are_no_paths() {
        for (name, clean) in [
            ("../../x.pdf", Some("x.pdf")),
            ("C:\\a\\b.docx", Some("b.docx")),
            ("a\r\nb\u{202e}fdp.exe", Some("a b fdp.exe")),
            ("..", None),
            ("", None),
            ("-rf", Some("rf")),
            ("a:b|c.pdf", Some("a_b_c.pdf")),
        ] {
            assert_eq!(clean_name(name).as_deref(), clean, "{name:?}");
        }
        assert!(clean_name(&format!("{}.docx", "x".repeat(500))).unwrap().ends_with("x.docx"));
    }

    proptest::proptest! {
        #[test]
        fn rubbish_is_parsed_without_a_panic(octets in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..800)) {
            let mail = [b"Content-Type: multipart/mixed; boundary=\"-\"\r\n\r\n---\r\n".as_slice(), &octets].concat();
            for bytes in [&octets, &mail] {
                if let Ok(message) = parse(bytes) {
                    let _ = (text_body(&message, 100), attachments(&message, 10_000));
                }
            }
        }
    }
}
