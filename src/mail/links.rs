//! A message with links in the place of its files, for readers on slow lines.
//!
//! Each attached part becomes a part of plain text where it stood; every other octet stays as it came. The archive keeps the file
//! under the hash of its content, where the link leads. Left alone are calendar objects, which are small and wanted by
//! programs, and whatever is signed or encrypted as a whole (RFC 1847): it would be broken. The author's DKIM signature covers
//! the files, so it does not survive.

use std::ops::Range;

use mail_parser::{Message, MimeHeaders, PartType};
use sha2::{Digest, Sha256};

use super::content::{self, Attachment};
use super::field;

/// Octets of files that are looked at; what lies behind stays attached.
const FILES_OCTETS: usize = 64 * 1024 * 1024;

/// A file that is taken out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Linked {
    /// Its name, cleaned.
    pub name: String,
    /// Such as `application/pdf`.
    pub content_type: String,
    /// Length of its decoded octets.
    pub octets: u64,
    /// SHA-256 of its decoded octets in hexadecimal, by which the archive has it.
    pub sha256: String,
}

/// The message with what `text` says in the place of each file; `None` if it has none that may be taken out.
pub fn in_place_of_files(original: &[u8], text: impl Fn(&Linked) -> String) -> Option<Vec<u8>> {
    let parsed = content::parse(original).ok()?;
    if parsed.parts.iter().any(is_protected) {
        return None;
    }
    let mut files = content::attached(&parsed, FILES_OCTETS);
    files.retain(|(_, file)| file.content_type != "text/calendar");
    files.sort_by_key(|(range, _)| range.start);
    if files.is_empty() {
        return None;
    }
    let mut new = Vec::with_capacity(original.len() / 4 + 4_096);
    let mut at = 0;
    for (range, file) in files {
        // What the parser places oddly is left as it is.
        if range.start < at || range.end > original.len() || range.start > range.end {
            continue;
        }
        let part = part(&text(&linked(file)));
        if is_whole(&parsed, &range) {
            return Some(whole(original, &part));
        }
        new.extend_from_slice(&original[at..range.start]);
        new.extend_from_slice(part.as_bytes());
        at = range.end;
    }
    new.extend_from_slice(&original[at..]);
    (at > 0).then_some(new)
}

fn is_protected(part: &mail_parser::MessagePart<'_>) -> bool {
    matches!(part.body, PartType::Multipart(_))
        && part.content_type().is_some_and(|kind| {
            kind.subtype().is_some_and(|kind| kind.eq_ignore_ascii_case("signed") || kind.eq_ignore_ascii_case("encrypted"))
        })
}

/// Is the message nothing but this file?
fn is_whole(parsed: &Message<'_>, range: &Range<usize>) -> bool {
    range.start == 0 && parsed.parts.len() == 1
}

/// The message's own fields but those of its content, then the part.
fn whole(original: &[u8], part: &str) -> Vec<u8> {
    let mut new = Vec::new();
    if let Ok(header) = field::split(original) {
        for field in header.fields.iter().filter(|field| !field.name.to_ascii_lowercase().starts_with("content-")) {
            new.extend_from_slice(&original[field.whole.clone()]);
        }
        if header.count("mime-version") == 0 {
            new.extend_from_slice(b"MIME-Version: 1.0\r\n");
        }
    }
    new.extend_from_slice(part.as_bytes());
    new.extend_from_slice(b"\r\n");
    new
}

fn linked(file: Attachment) -> Linked {
    Linked {
        name: file.name,
        content_type: file.content_type,
        octets: file.bytes.len() as u64,
        sha256: data_encoding::HEXLOWER.encode(&Sha256::digest(&file.bytes)),
    }
}

/// Fields and content of a part, without a line end behind it.
fn part(text: &str) -> String {
    let text: String = text.lines().map(|line| format!("{}\r\n", line.trim_end())).collect();
    let encoded = data_encoding::BASE64.encode(text.as_bytes());
    let lines: Vec<&str> = (0..encoded.len()).step_by(76).map(|at| &encoded[at..encoded.len().min(at + 76)]).collect();
    format!(
        "Content-Type: text/plain; charset=utf-8\r\nContent-Disposition: inline\r\nContent-Transfer-Encoding: base64\r\n\r\n{}",
        lines.join("\r\n")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(file: &Linked) -> String {
        format!("[{}, {}, {}] https://x.test/{}", file.name, file.content_type, file.octets, file.sha256)
    }

    fn of(mail: &[u8]) -> Option<String> {
        in_place_of_files(mail, said).map(|new| String::from_utf8(new).unwrap())
    }

    const MIXED: &str = "From: a@example.org\r\nDKIM-Signature: x\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\npreamble\r\n--x\r\n\
        Content-Type: text/plain\r\n\r\nHello \r\n  world\r\n--x\r\nContent-Type: application/pdf; name=a.pdf\r\nContent-Transfer-Encoding: base64\r\n\r\nAAEC\r\n\
        --x\r\nContent-Type: text/calendar\r\nContent-Disposition: attachment\r\n\r\nBEGIN:VCALENDAR\r\n--x\r\nContent-Type: message/rfc822\r\n\r\nSubject: in\r\n\r\nin\r\n--x--\r\nepilogue\r\n";

    #[test]
    fn files_become_lines_and_every_other_octet_stays() {
        let new = of(MIXED.as_bytes()).unwrap();
        let (head, rest) = new.split_once("Content-Type: text/plain; charset=utf-8").unwrap();
        assert!(MIXED.starts_with(head) && head.ends_with("  world\r\n--x\r\n"), "{head}");
        assert!(rest.contains("Content-Type: text/calendar") && !rest.contains("AAEC") && !rest.contains("rfc822"), "{rest}");
        assert!(new.ends_with("\r\n--x--\r\nepilogue\r\n"), "{new}");
        let parsed = content::parse(new.as_bytes()).unwrap();
        let text = content::text_body(&parsed, 10_000);
        let hash = data_encoding::HEXLOWER.encode(&Sha256::digest([0, 1, 2]));
        assert!(text.contains(&format!("[a.pdf, application/pdf, 3] https://x.test/{hash}")), "{text}");
        assert!(text.contains("[attachment-3.eml, message/rfc822, 17]"), "{text}");
        assert!(text.starts_with("Hello \n  world\n"), "{text}");
    }

    #[test]
    fn a_message_that_is_a_file_becomes_a_text() {
        let mail =
            b"From: a@example.org\r\nContent-Type: application/pdf\r\nContent-Transfer-Encoding: base64\r\nSubject: s\r\n\r\nAAEC\r\n";
        let new = of(mail).unwrap();
        assert!(new.starts_with("From: a@example.org\r\nSubject: s\r\nMIME-Version: 1.0\r\nContent-Type: text/plain"), "{new}");
        assert!(content::text_body(&content::parse(new.as_bytes()).unwrap(), 1_000).contains("application/pdf, 3]"));
    }

    #[test]
    fn what_has_no_file_or_is_signed_stays() {
        assert_eq!(of(b"From: a@example.org\r\n\r\nHello\r\n"), None);
        assert_eq!(of(MIXED.replace("multipart/mixed", "multipart/signed; protocol=\"application/pkcs7-signature\"").as_bytes()), None);
        assert_eq!(of(b"rubbish"), None);
    }

    proptest::proptest! {
        #[test]
        fn whatever_comes_is_turned_or_left(octets in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..600)) {
            let mail = [MIXED.split("AAEC").next().unwrap().as_bytes(), &octets, b"\r\n--x--\r\n"].concat();
            for bytes in [&octets, &mail] {
                if let Some(new) = in_place_of_files(bytes, said) {
                    proptest::prop_assert!(content::parse(&new).is_ok());
                }
            }
        }
    }
}
