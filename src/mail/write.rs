//! Mail that Enlace writes itself: answers, receipts, notices, editions.
//!
//! Header fields by `mail::headers`, quoted-printable by mail-builder; the rest of mail-builder is not used because it
//! writes file names in the RFC 2231 form only, which older programs show as `noname`. Each text is sent in the plainest encoding
//! that keeps it: 7bit, else quoted-printable where most is ASCII, else base64. A calendar object goes twice, as
//! an alternative that programs act on and as a file that people can save (RFC 6047 section 2.4).

use std::fmt::Write as _;

use chrono::{DateTime, FixedOffset};
use mail_builder::encoders::quoted_printable::QuotedPrintableEncoder;

use super::content::clean_name;
use super::headers;
use crate::domain::language::Language;

/// A mailbox of a header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mailbox {
    /// Display name; cleaned and encoded by the writer.
    pub name: String,
    /// `local@domain`; what an `EmailAddress` or a group's address gives.
    pub address: String,
}

/// How a letter came about (RFC 3834 section 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Automatic {
    /// `auto-generated`: a notice, a digest, an edition.
    Generated,
    /// `auto-replied`: the answer to a mail.
    Replied,
}

/// A file that goes with a letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Its name; cleaned by the writer.
    pub name: String,
    /// Such as `application/pdf`.
    pub content_type: String,
    /// Its octets.
    pub bytes: Vec<u8>,
}

/// A calendar object in a letter (RFC 6047 section 2.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Calendar {
    /// `PUBLISH` or `CANCEL`.
    pub method: String,
    /// The object, CRLF.
    pub text: String,
    /// File name of the attached twin, such as `sg12rg-amr-2027.ics`.
    pub file_name: String,
}

/// A letter.
#[derive(Debug, Clone)]
pub struct Letter {
    /// Header From.
    pub from: Mailbox,
    /// Header To; must not be empty.
    pub to: Vec<Mailbox>,
    /// Header Cc.
    pub cc: Vec<Mailbox>,
    /// Header Reply-To, if answers go elsewhere.
    pub reply_to: Option<Mailbox>,
    /// Subject, any characters; controls become spaces.
    pub subject: String,
    /// Message-ID without angle brackets, given by the caller.
    pub message_id: String,
    /// Date, in the zone it is to be shown in.
    pub date: DateTime<FixedOffset>,
    /// Language of the text: `Content-Language`.
    pub language: Option<Language>,
    /// How it came about.
    pub automatic: Automatic,
    /// Message-ID it answers.
    pub in_reply_to: Option<String>,
    /// Message-IDs of its thread, oldest first.
    pub references: Vec<String>,
    /// The text, LF or CRLF.
    pub text: String,
    /// The same as HTML.
    pub html: Option<String>,
    /// A calendar object.
    pub calendar: Option<Calendar>,
    /// Files.
    pub files: Vec<File>,
}

impl Mailbox {
    /// A mailbox without a display name.
    pub fn plain(address: impl Into<String>) -> Self {
        Self { name: String::new(), address: address.into() }
    }

    /// A mailbox with one.
    pub fn named(name: impl Into<String>, address: impl Into<String>) -> Self {
        Self { name: name.into(), address: address.into() }
    }
}

/// Longest line of a text that is sent as it is.
const PLAIN_LINE_OCTETS: usize = 900;

/// The octets of a letter: header, body, CRLF, no line over 998 octets. The header is ASCII but for addresses that are not.
pub fn letter(letter: &Letter) -> Vec<u8> {
    let languages: Vec<Language> = letter.language.into_iter().collect();
    letter_in(letter, &languages)
}

/// The same for a text in several languages, the reader's first: `Content-Language: es, en`.
pub fn letter_in(letter: &Letter, languages: &[Language]) -> Vec<u8> {
    enveloped_in(letter, languages, &content(letter))
}

/// The header of a letter in front of `content`, which brings its own content fields.
pub(super) fn enveloped(letter: &Letter, content: &[u8]) -> Vec<u8> {
    let languages: Vec<Language> = letter.language.into_iter().collect();
    enveloped_in(letter, &languages, content)
}

fn enveloped_in(letter: &Letter, languages: &[Language], content: &[u8]) -> Vec<u8> {
    let mut head = String::with_capacity(1_024);
    let _ = write!(head, "Date: {}\r\n", letter.date.to_rfc2822());
    let pairs = |list: &'_ [Mailbox]| list.iter().map(|m| (m.name.clone(), m.address.clone())).collect::<Vec<_>>();
    let senders = std::slice::from_ref(&letter.from);
    let reply_to: Vec<_> = letter.reply_to.iter().cloned().collect();
    for (name, list) in [("From", senders), ("To", &letter.to[..]), ("Cc", &letter.cc[..]), ("Reply-To", &reply_to[..])] {
        if !list.is_empty() {
            head.push_str(&headers::mailboxes(name, pairs(list).iter().map(|(n, a)| (n.as_str(), a.as_str()))));
        }
    }
    head.push_str(&headers::unstructured("Subject", &letter.subject));
    let bracketed = |id: &String| format!("<{}>", id.trim_matches(['<', '>']));
    head.push_str(&headers::pieces("Message-ID", [bracketed(&letter.message_id).as_str()], ""));
    let answered: Vec<_> = letter.in_reply_to.iter().map(bracketed).collect();
    let thread: Vec<_> = letter.references.iter().map(bracketed).collect();
    for (name, ids) in [("In-Reply-To", answered), ("References", thread)] {
        if !ids.is_empty() {
            head.push_str(&headers::pieces(name, ids.iter().map(String::as_str), ""));
        }
    }
    head.push_str(match letter.automatic {
        Automatic::Generated => "Auto-Submitted: auto-generated\r\n",
        Automatic::Replied => "Auto-Submitted: auto-replied\r\n",
    });
    if !languages.is_empty() {
        let tags: Vec<&str> = languages.iter().map(Language::as_str).collect();
        let _ = write!(head, "Content-Language: {}\r\n", tags.join(", "));
    }
    head.push_str("MIME-Version: 1.0\r\n");
    let mut octets = head.into_bytes();
    octets.extend_from_slice(content);
    octets
}

/// Content fields, empty line, content.
fn content(letter: &Letter) -> Vec<u8> {
    let mut ways = vec![text_part("text/plain", &letter.text, "")];
    ways.extend(letter.html.iter().map(|html| text_part("text/html", html, "")));
    let mut files: Vec<_> = letter.files.iter().map(file_part).collect();
    if let Some(calendar) = &letter.calendar {
        let method: String = calendar.method.chars().filter(char::is_ascii_alphabetic).collect();
        ways.push(text_part("text/calendar", &calendar.text, &format!("; method={method}")));
        let twin =
            File { name: calendar.file_name.clone(), content_type: "text/calendar".into(), bytes: calendar.text.clone().into_bytes() };
        files.push(file_part(&twin));
    }
    let body = multipart("alternative", ways);
    if files.is_empty() {
        return body;
    }
    files.insert(0, body);
    multipart("mixed", files)
}

/// Several parts under one boundary that occurs in none; a single part stays as it is.
fn multipart(kind: &str, mut parts: Vec<Vec<u8>>) -> Vec<u8> {
    if parts.len() == 1 {
        return parts.remove(0);
    }
    // Octets that quoted-printable and base64 never make, so only plain parts have to be looked at.
    let occurs = |boundary: &str| parts.iter().any(|part| part.windows(boundary.len()).any(|w| w == boundary.as_bytes()));
    let boundary = (0_u32..10_000).map(|number| format!("=_{kind}_{number}_=")).find(|b| !occurs(b)).unwrap_or_default();
    let mut octets = format!("Content-Type: multipart/{kind};\r\n boundary=\"{boundary}\"\r\n\r\n").into_bytes();
    for part in parts {
        octets.extend_from_slice(format!("--{boundary}\r\n").as_bytes());
        octets.extend_from_slice(&part);
        octets.extend_from_slice(b"\r\n");
    }
    octets.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    octets
}

/// Several parts that may be of 8 bits under one boundary, with the encoding that the container must then name (RFC 2045 section 6.4).
pub(super) fn container(kind: &str, parts: &[Vec<u8>]) -> Vec<u8> {
    let occurs = |boundary: &str| parts.iter().any(|part| memchr::memmem::find(part, boundary.as_bytes()).is_some());
    let boundary = (0_u32..10_000).map(|number| format!("=_{kind}_{number}_=")).find(|b| !occurs(b)).unwrap_or_default();
    let plain = parts.iter().all(|part| part.is_ascii());
    let encoding = if plain { "" } else { "Content-Transfer-Encoding: 8bit\r\n" };
    let mut octets = format!("Content-Type: multipart/{kind};\r\n boundary=\"{boundary}\"\r\n{encoding}\r\n").into_bytes();
    for part in parts {
        octets.extend_from_slice(format!("--{boundary}\r\n").as_bytes());
        octets.extend_from_slice(part);
        octets.extend_from_slice(b"\r\n");
    }
    octets.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    octets
}

/// The field that names the encoding of octets which stay as they are; empty where the default is right.
pub(super) fn encoding_of(octets: &[u8]) -> &'static str {
    if octets.is_ascii() { "" } else { "Content-Transfer-Encoding: 8bit\r\n" }
}

pub(super) fn text_part(content_type: &str, text: &str, parameters: &str) -> Vec<u8> {
    let text = with_crlf(text);
    let (encoding, octets) = if text.is_ascii() && text.split("\r\n").all(|l| l.len() <= PLAIN_LINE_OCTETS && !l.starts_with("From ")) {
        ("7bit", text.into_bytes())
    } else if text.chars().filter(|c| !c.is_ascii()).count() * 5 < text.len() {
        // A line break of the text stays a line break, so the encoder only adds soft ones.
        let lines: Vec<_> = text.split("\r\n").map(quoted_printable).collect();
        ("quoted-printable", lines.join("\r\n").into_bytes())
    } else {
        ("base64", base64(text.as_bytes()))
    };
    let head = format!("Content-Type: {content_type}; charset=utf-8{parameters}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n");
    [head.into_bytes(), octets].concat()
}

fn quoted_printable(line: &str) -> String {
    let mut octets = Vec::new();
    QuotedPrintableEncoder::new().encode_into(line.as_bytes(), &mut octets);
    String::from_utf8_lossy(&octets).into_owned()
}

fn base64(octets: &[u8]) -> Vec<u8> {
    let encoded = data_encoding::BASE64.encode(octets);
    let mut lines = Vec::with_capacity(encoded.len() + encoded.len() / 36);
    for line in encoded.as_bytes().chunks(76) {
        lines.extend_from_slice(line);
        lines.extend_from_slice(b"\r\n");
    }
    lines
}

/// Every line end as CRLF, one at the end, no other control but TAB: the one place where our own texts are normalised.
fn with_crlf(text: &str) -> String {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let clean: String = text.chars().filter(|c| *c == '\n' || *c == '\t' || !c.is_control()).collect();
    format!("{}\r\n", clean.trim_end_matches('\n').replace('\n', "\r\n"))
}

fn file_part(file: &File) -> Vec<u8> {
    let mut content_type: String = file
        .content_type
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || "/.+-".contains(*c))
        .take(100)
        .collect::<String>()
        .to_ascii_lowercase();
    // A message must not be encoded (RFC 2046 section 5.2.1); as a file of octets it may.
    if content_type.matches('/').count() != 1 || content_type.starts_with("message/") || content_type.starts_with("multipart/") {
        content_type = "application/octet-stream".into();
    }
    let name = clean_name(&file.name).unwrap_or_else(|| "attachment".into());
    let plain: String = name.chars().map(|c| if c.is_ascii() && !"\"\\".contains(c) { c } else { '_' }).collect();
    let mut head = format!("Content-Type: {content_type};\r\n name=\"{plain}\"\r\nContent-Disposition: attachment");
    // Never both forms in one field: readers that join them by mistake make rubbish of them (mail-parser 0.11 among them).
    // A program without RFC 2231 finds the plain form in Content-Type.
    if plain == name {
        let _ = write!(head, ";\r\n filename=\"{plain}\"");
    } else {
        head.push_str(&extended_parameter("filename", &name));
    }
    head.push_str("\r\nContent-Transfer-Encoding: base64\r\n\r\n");
    [head.into_bytes(), base64(&file.bytes)].concat()
}

/// `; name*=utf-8''…`, in numbered pieces where it is long (RFC 2231 sections 3 and 4).
fn extended_parameter(name: &str, value: &str) -> String {
    let mut pieces = vec![String::new()];
    for c in value.chars() {
        let mut buffer = [0; 4];
        let octets = c.encode_utf8(&mut buffer).bytes();
        let mut encoded = String::new();
        for octet in octets {
            if octet.is_ascii_alphanumeric() || b"-._".contains(&octet) {
                encoded.push(char::from(octet));
            } else {
                let _ = write!(encoded, "%{octet:02X}");
            }
        }
        if pieces.last().is_some_and(|piece| piece.len() + encoded.len() > 50) {
            pieces.push(String::new());
        }
        if let Some(piece) = pieces.last_mut() {
            piece.push_str(&encoded);
        }
    }
    if let [only] = &pieces[..] {
        return format!(";\r\n {name}*=utf-8''{only}");
    }
    pieces.iter().enumerate().fold(String::new(), |mut text, (number, piece)| {
        let charset = if number == 0 { "utf-8''" } else { "" };
        let _ = write!(text, ";\r\n {name}*{number}*={charset}{piece}");
        text
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::mail::{content, message};

    fn plain(text: &str) -> Letter {
        Letter {
            from: Mailbox::named("SG12RG-AMR", "sg12rg-amr-request@lists.example.org"),
            to: vec![Mailbox::named("José Ejemplo", "jose@example.org")],
            cc: Vec::new(),
            reply_to: None,
            subject: "Confirmación de la suscripción al Grupo Regional de la Comisión de Estudio 12 para las Américas".into(),
            message_id: "1@lists.example.org".into(),
            date: DateTime::from_timestamp(1_800_000_000, 0).unwrap().fixed_offset(),
            language: Some("es".parse().unwrap()),
            automatic: Automatic::Replied,
            in_reply_to: Some("0@example.org".into()),
            references: vec!["a@example.org".into(), "0@example.org".into()],
            text: text.into(),
            html: None,
            calendar: None,
            files: Vec::new(),
        }
    }

    fn check_wire(octets: &[u8]) {
        let text = String::from_utf8_lossy(octets);
        assert!(!text.replace("\r\n", "").contains(['\r', '\n']), "a bare line end");
        assert!(text.split("\r\n").all(|line| line.len() <= 998));
    }

    #[test]
    fn an_answer_says_that_it_is_one() {
        let octets = letter(&plain("Hola\n.\nadiós"));
        check_wire(&octets);
        let read = message::read(&octets).unwrap();
        assert_eq!(read.auto_submitted.as_deref(), Some("auto-replied"));
        assert_eq!(read.message_id.as_deref(), Some("1@lists.example.org"));
        assert_eq!(read.in_reply_to, ["0@example.org"]);
        assert_eq!(read.references.len(), 2);
        assert_eq!(read.subject, plain("").subject);
        assert_eq!(read.author.unwrap().name, "SG12RG-AMR");
        assert_eq!(read.date.unwrap().timestamp(), 1_800_000_000);
        assert!(read.doubts.is_empty(), "{:?}", read.doubts);
        assert_eq!(content::text_body(&content::parse(&octets).unwrap(), 1_000), "Hola\n.\nadiós\n");
    }

    #[test]
    fn the_plainest_encoding_that_keeps_the_text_is_taken() {
        for (text, encoding) in [
            ("Hello", "7bit"),
            ("Buenos días a todos", "quoted-printable"),
            ("日本語中文", "base64"),
            (&"x".repeat(2_000), "quoted-printable"),
            ("From here", "quoted-printable"),
        ] {
            let octets = letter(&plain(text));
            assert!(String::from_utf8_lossy(&octets).contains(&format!("Content-Transfer-Encoding: {encoding}\r\n")), "{text}");
            check_wire(&octets);
        }
    }

    #[test]
    fn alternatives_calendar_and_files_come_back() {
        let mut whole = plain("texto");
        whole.html = Some("<p>texto</p>".into());
        whole.calendar = Some(Calendar {
            method: "PUBLISH".into(),
            text: "BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n".into(),
            file_name: "sg12rg-amr-2027.ics".into(),
        });
        let long = format!("{}.docx", "声明".repeat(60));
        for (name, content_type) in [
            ("T25-SG12-LS45!!MSW-E.docx", "application/pdf"),
            ("declaración.pdf", "application/pdf"),
            (long.as_str(), "text/x\r\nX: y"),
            ("m.eml", "message/rfc822"),
        ] {
            whole.files.push(File { name: name.into(), content_type: content_type.into(), bytes: vec![0, 1, 2, 255] });
        }
        let octets = letter(&whole);
        check_wire(&octets);
        let parsed = content::parse(&octets).unwrap();
        let files: Vec<_> = content::attachments(&parsed, 100_000)
            .into_iter()
            .filter(|f| f.content_type != "text/calendar" || f.name.starts_with("sg12"))
            .collect();
        let names: Vec<_> = files.iter().map(|f| f.name.as_str()).collect();
        let short = format!("{}.docx", "声明".repeat(60));
        assert_eq!(names, ["T25-SG12-LS45!!MSW-E.docx", "declaración.pdf", short.as_str(), "m.eml", "sg12rg-amr-2027.ics"]);
        assert_eq!(files[0].bytes, [0, 1, 2, 255]);
        let text = String::from_utf8_lossy(&octets);
        assert!(text.contains("name=\"declaraci_n.pdf\""), "readers without RFC 2231 get a name too");
        assert!(text.contains("method=PUBLISH"));
        assert_eq!(content::text_body(&parsed, 100), "texto\n");
    }

    proptest! {
        #[test]
        fn nothing_injects_a_field_and_texts_come_back(
            subject in any::<String>(), name in any::<String>(), file in any::<String>(), text in any::<String>(), id in any::<String>()
        ) {
            let mut whole = plain(&text);
            whole.subject = format!("{subject}\r\nX-Injected: 1");
            whole.from.name.clone_from(&name);
            whole.to[0] = Mailbox::named(format!("{name}\r\nBcc: x@example.org"), "a@example.org\r\nBcc: y@example.org");
            whole.message_id = format!("{id}\r\nBcc: z@example.org");
            whole.files.push(File { name: format!("{file}\r\nX-Injected: 1"), content_type: name, bytes: Vec::new() });
            let octets = letter(&whole);
            check_wire(&octets);
            let read = message::read(&octets).unwrap();
            prop_assert_eq!(read.header.count("bcc") + read.header.count("x-injected"), 0);
            let parsed = content::parse(&octets).unwrap();
            prop_assert!(!parsed.parts.iter().any(|p| p.headers.iter().any(|h| h.name().eq_ignore_ascii_case("x-injected"))));
            let expected = with_crlf(&text).replace("\r\n", "\n");
            let found = content::text_body(&parsed, 100_000);
            prop_assert_eq!(found.trim_end_matches('\n'), expected.trim_end_matches('\n'));
        }
    }
}
