//! A digest: several messages of a list in one, as MIME (RFC 2046 section 5.1.5) or as plain text (RFC 1153).
//!
//! In the MIME form each message keeps its body octet by octet, with the header fields that a reader or a reply needs and
//! none of the way it came; in the plain form it is its text, and attachments are named with the place where they can be
//! had. Pure: bytes in, bytes out. Not here: who gets which messages (`service::digest`).

use std::fmt::Write as _;

use bytes::Bytes;

use super::write::{self, Letter};
use super::{content, field, message};
use crate::domain::id::PostId;

/// What stands between the contents and the first message, and between two messages (RFC 1153 section 3).
const LONG_LINE: usize = 70;
const SHORT_LINE: usize = 30;
/// Most octets of a message's text in the plain form.
const TEXT_OCTETS: usize = 256 * 1024;
/// Most octets of attachments that are looked at to name them.
const NAMED_OCTETS: usize = 64 << 20;
/// Fields that a message keeps.
const KEPT: [&str; 16] = [
    "from",
    "sender",
    "reply-to",
    "to",
    "cc",
    "subject",
    "date",
    "message-id",
    "in-reply-to",
    "references",
    "keywords",
    "mime-version",
    "content-type",
    "content-transfer-encoding",
    "content-language",
    "content-disposition",
];

/// One message of a digest.
#[derive(Debug, Clone)]
pub struct Item {
    /// Which post.
    pub post: PostId,
    /// The message as it was received, CRLF.
    pub bytes: Bytes,
    /// Where it is in the archive.
    pub link: String,
}

/// A line of the contents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heading {
    /// Decoded subject.
    pub subject: String,
    /// Name of the author, or his address where he has none.
    pub author: String,
    /// Date of the message as `2027-01-15`; empty if it has none.
    pub date: String,
}

/// Reads a message in all the ways in which an issue does. `false`: its header cannot be read.
pub fn is_readable(bytes: &Bytes) -> bool {
    let item = Item { post: PostId(0), bytes: bytes.clone(), link: String::new() };
    let _ = (entry(&item), bare(bytes));
    message::read(bytes).is_ok()
}

/// What stands in an issue for a message that cannot be read: its subject and where it is.
pub fn stand_in(subject: &str, link: &str) -> Bytes {
    format!("{}\r\n{link}\r\n", super::headers::unstructured("Subject", subject)).into()
}

/// What the contents say of a message.
pub fn heading(item: &Item) -> Heading {
    let Ok(read) = message::read(&item.bytes) else {
        return Heading { subject: String::new(), author: String::new(), date: String::new() };
    };
    let author = read.author.map(|author| if author.name.is_empty() { author.address.to_string() } else { author.name });
    Heading {
        subject: read.subject,
        author: author.unwrap_or_default(),
        date: read.date.map(|date| date.format("%Y-%m-%d").to_string()).unwrap_or_default(),
    }
}

/// The MIME form: the letter's own text with the contents, then the messages.
pub fn mime(letter: &Letter, items: &[Item]) -> Vec<u8> {
    let messages: Vec<Vec<u8>> = items.iter().map(|item| part("message/rfc822", &bare(&item.bytes))).collect();
    let digest = write::container("digest", &messages);
    let intro = write::text_part("text/plain", &letter.text, "");
    write::enveloped(letter, &write::container("mixed", &[intro, digest]))
}

/// The plain form: contents, a line of 70 hyphens, the messages with lines of 30 between them, the end.
pub fn plain(letter: &Letter, items: &[Item], name: &str) -> Vec<u8> {
    let mut text = format!("{}\n\n{}\n\n", letter.text.trim_end(), "-".repeat(LONG_LINE));
    for item in items {
        text.push_str(&entry(item));
        let _ = write!(text, "\n{}\n\n", "-".repeat(SHORT_LINE));
    }
    let end = format!("End of {name}");
    let _ = writeln!(text, "{end}\n{}", "*".repeat(end.chars().count()));
    write::letter(&Letter { text, ..letter.clone() })
}

/// A message in words.
fn entry(item: &Item) -> String {
    let mut text = String::new();
    if let Ok(read) = message::read(&item.bytes) {
        if let Some(date) = read.date {
            let _ = writeln!(text, "Date: {}", date.to_rfc2822());
        }
        if let Ok(author) = &read.author {
            let name = if author.name.is_empty() { String::new() } else { format!("{} ", author.name) };
            let _ = writeln!(text, "From: {name}<{}>", author.address);
        }
        let _ = writeln!(text, "Subject: {}", read.subject);
        if let Some(id) = read.message_id {
            let _ = writeln!(text, "Message-ID: <{id}>");
        }
    }
    text.push('\n');
    let Ok(parsed) = content::parse(&item.bytes) else {
        let _ = writeln!(text, "{}", item.link);
        return text;
    };
    for line in content::text_body(&parsed, TEXT_OCTETS).trim_end().lines() {
        // A line of hyphens in a text would end it (RFC 1153 section 3).
        let ends = line.len() >= SHORT_LINE && line.bytes().all(|octet| octet == b'-');
        let _ = writeln!(text, "{}{line}", if ends { " " } else { "" });
    }
    for file in content::attachments(&parsed, NAMED_OCTETS) {
        let _ = writeln!(text, "[{}, {}, {} octets: {}]", file.name, file.content_type, file.bytes.len(), item.link);
    }
    text
}

/// The message with the fields that are kept, body untouched.
fn bare(bytes: &Bytes) -> Vec<u8> {
    let Ok(header) = field::split(bytes) else { return bytes.to_vec() };
    let mut octets = Vec::with_capacity(bytes.len());
    for field in header.fields.iter().filter(|field| KEPT.contains(&field.name.to_ascii_lowercase().as_str())) {
        octets.extend_from_slice(&bytes[field.whole.clone()]);
        if !octets.ends_with(b"\n") {
            octets.extend_from_slice(b"\r\n");
        }
    }
    octets.extend_from_slice(b"\r\n");
    octets.extend_from_slice(header.body.map_or(&[][..], |start| &bytes[start..]));
    octets
}

fn part(content_type: &str, octets: &[u8]) -> Vec<u8> {
    [format!("Content-Type: {content_type}\r\n{}\r\n", write::encoding_of(octets)).as_bytes(), octets].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::write::{Automatic, Mailbox};

    fn letter() -> Letter {
        Letter {
            from: Mailbox::plain("amr-request@lists.example.org"),
            to: vec![Mailbox::plain("amr@lists.example.org")],
            cc: Vec::new(),
            reply_to: None,
            subject: "AMR digest 3".into(),
            message_id: "d3@lists.example.org".into(),
            date: chrono::DateTime::from_timestamp(1_800_000_000, 0).unwrap().fixed_offset(),
            language: None,
            automatic: Automatic::Generated,
            in_reply_to: None,
            references: Vec::new(),
            text: "2 messages\n".into(),
            html: None,
            calendar: None,
            files: Vec::new(),
        }
    }

    fn items() -> Vec<Item> {
        let first = "Received: from x\r\nDKIM-Signature: v=1\r\nFrom: =?utf-8?q?Jos=C3=A9?= <jose@example.org>\r\nSubject: Uno\r\n\
                     Message-ID: <1@example.org>\r\nDate: Tue, 06 Apr 2027 10:00:00 +0000\r\nMIME-Version: 1.0\r\n\
                     Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nBuenos días\r\n";
        let second = format!(
            "From: b@example.org\r\nSubject: Two\r\nMessage-ID: <2@example.org>\r\n\r\nabove\r\n{}\r\n--=_digest_0_=\r\nbelow\r\n",
            "-".repeat(30)
        );
        [first.to_owned(), second]
            .into_iter()
            .enumerate()
            .map(|(n, text)| Item { post: PostId(n as u64), bytes: text.into(), link: format!("https://x.example/{n}") })
            .collect()
    }

    #[test]
    fn a_mime_digest_holds_each_message_whole_and_without_its_way() {
        let octets = mime(&letter(), &items());
        let parsed = mail_parser::MessageParser::default().parse(&octets).unwrap();
        let inner: Vec<_> = parsed.parts.iter().filter_map(|part| part.message()).collect();
        assert_eq!(inner.len(), 2);
        assert_eq!(inner[0].body_text(0).unwrap(), "Buenos días\r\n");
        assert_eq!(inner[1].body_text(0).unwrap().lines().count(), 4, "{:?}", inner[1].body_text(0));
        let text = String::from_utf8_lossy(&octets);
        assert!(text.contains("multipart/digest") && !text.contains("DKIM-Signature") && !text.contains("Received:"));
        assert_eq!(text.matches("Content-Transfer-Encoding: 8bit\r\n").count(), 4, "the containers say what is in them: {text}");
    }

    #[test]
    fn a_plain_digest_keeps_the_form_of_rfc_1153() {
        let octets = plain(&letter(), &items(), "AMR digest 3");
        let parsed = mail_parser::MessageParser::default().parse(&octets).unwrap();
        let text = parsed.body_text(0).unwrap().replace("\r\n", "\n");
        let (contents, rest) = text.split_once(&format!("\n\n{}\n\n", "-".repeat(70))).unwrap();
        assert_eq!(contents, "2 messages");
        let parts: Vec<_> = rest.split(&format!("\n\n{}\n\n", "-".repeat(30))).collect();
        assert_eq!(parts.len(), 3, "{text}");
        assert!(
            parts[0].starts_with("Date: Tue, 6 Apr 2027 10:00:00 +0000\nFrom: José <jose@example.org>\nSubject: Uno\n"),
            "{}",
            parts[0]
        );
        assert!(parts[1].contains("above\n ------"), "{}", parts[1]);
        assert_eq!(parts[2], "End of AMR digest 3\n*******************\n");
    }

    #[test]
    fn the_contents_name_author_and_subject() {
        let headings: Vec<_> = items().iter().map(heading).collect();
        assert_eq!((headings[0].author.as_str(), headings[0].date.as_str()), ("José", "2027-04-06"));
        assert_eq!((headings[1].author.as_str(), headings[1].subject.as_str()), ("b@example.org", "Two"));
    }
}
