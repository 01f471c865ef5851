//! What a mail with a statement brought: subject, texts, files; before anything in it is understood.

use mail_parser::{Message, MimeHeaders, PartType};

use crate::domain::language::Language;
use crate::domain::liaison::plain::plain;
use crate::mail::html;

/// A text of the mail.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PostedText {
    /// `Content-Language`, if it names one language.
    pub language: Option<Language>,
    /// The Subject of its own that a part of `multipart/multilingual` has (RFC 8255 section 4); else empty.
    pub subject: String,
    /// The text.
    pub text: String,
}

/// A file of the mail.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PostedFile {
    /// Name to show, already cleaned.
    pub name: String,
    /// Media type, lower case.
    pub media_type: String,
    /// `Content-Language`, if it names one language.
    pub language: Option<Language>,
    /// Content.
    pub bytes: Vec<u8>,
    /// The text of a PDF, where somebody took it out (`mail::pdf`).
    pub text: Option<String>,
}

/// A posted mail.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Posted {
    /// Message-ID without angle brackets.
    pub message_id: String,
    /// In-Reply-To and References, without angle brackets.
    pub answers: Vec<String>,
    /// Subject.
    pub subject: String,
    /// Texts in their order.
    pub texts: Vec<PostedText>,
    /// Files in their order.
    pub files: Vec<PostedFile>,
}

/// Longest text taken of a part, in octets.
const TEXT_OCTETS: usize = 2 * 1024 * 1024;
/// Longest file name shown, in characters.
const NAME_CHARACTERS: usize = 150;

impl Posted {
    /// Takes a parsed message apart. Its nesting was limited before it was parsed.
    pub fn of_message(message: &Message<'_>) -> Self {
        let list = |value: &mail_parser::HeaderValue<'_>| -> Vec<String> {
            value.as_text_list().map(|ids| ids.iter().map(ToString::to_string).collect()).unwrap_or_default()
        };
        let mut answers = list(message.in_reply_to());
        answers.extend(list(message.references()).into_iter().rev());
        let mut posted = Self {
            message_id: message.message_id().unwrap_or_default().to_owned(),
            answers,
            subject: plain(message.subject().unwrap_or_default()),
            ..Self::default()
        };
        posted.take_parts(message, language_of(message.root_part()), "", 0);
        posted
    }

    fn take_parts(&mut self, message: &Message<'_>, whole: Option<Language>, subject: &str, depth: usize) {
        let text_parts: Vec<usize> = message.text_body.iter().map(|id| *id as usize).collect();
        for (at, part) in message.parts.iter().enumerate() {
            match &part.body {
                PartType::Text(_) | PartType::Html(_) if text_parts.contains(&at) && part.attachment_name().is_none() => {
                    let order = text_parts.iter().position(|id| *id == at).unwrap_or(0);
                    let text = match &part.body {
                        PartType::Html(text) => html_text(text).into(),
                        _ => message.body_text(order).unwrap_or_default(),
                    };
                    let language = language_of(part).or(whole);
                    self.texts.push(PostedText { language, subject: subject.to_owned(), text: cut(&text).replace("\r\n", "\n") });
                }
                // A part that is cut off before its boundary: the parser lists it nowhere.
                PartType::Text(text) if at > 0 && part.is_encoding_problem && part.attachment_name().is_none() => {
                    let language = language_of(part).or(whole);
                    self.texts.push(PostedText { language, subject: subject.to_owned(), text: cut(text).replace("\r\n", "\n") });
                }
                PartType::Message(inner) if depth < 4 => {
                    let language = language_of(part).or_else(|| language_of(inner.root_part())).or(whole);
                    let subject = plain(inner.subject().unwrap_or_default());
                    self.take_parts(inner, language, &subject, depth + 1);
                }
                PartType::Text(text) | PartType::Html(text) if part.attachment_name().is_some() => self.take_file(part, text.as_bytes()),
                PartType::Binary(bytes) => self.take_file(part, bytes),
                PartType::InlineBinary(bytes) if part.attachment_name().is_some() => self.take_file(part, bytes),
                _ => {}
            }
        }
    }

    fn take_file(&mut self, part: &mail_parser::MessagePart<'_>, bytes: &[u8]) {
        let media_type = part.content_type().map_or_else(
            || "application/octet-stream".to_owned(),
            |ct| format!("{}/{}", ct.ctype(), ct.subtype().unwrap_or("octet-stream")).to_ascii_lowercase(),
        );
        let name = clean_name(part.attachment_name().unwrap_or_default());
        let name = if name.is_empty() { format!("attachment-{}", self.files.len() + 1) } else { name };
        self.files.push(PostedFile { name, media_type, language: language_of(part), bytes: bytes.to_vec(), text: None });
    }
}

/// Stands for the border of a cell until the white space of the HTML is gone; a private-use character.
const CELL: char = '\u{e001}';

/// The text of HTML with its tables as lines of cells, as a header that was pasted from a document needs it.
fn html_text(given: &str) -> String {
    let mut marked = String::with_capacity(given.len() + given.len() / 8);
    let mut rest = &given[..(0..=given.len().min(2 * TEXT_OCTETS)).rev().find(|end| given.is_char_boundary(*end)).unwrap_or(0)];
    while let Some(at) = rest.find('<') {
        let tag: String = rest[at..].chars().skip(1).take(7).take_while(|c| c.is_ascii_alphanumeric() || *c == '/').collect();
        marked.push_str(&rest[..at]);
        match tag.to_ascii_lowercase().as_str() {
            "/td" | "/th" => marked.push(CELL),
            "/tr" => marked.push_str("<br>"),
            "/table" => marked.push_str("<br><br>"),
            _ => {}
        }
        marked.push('<');
        rest = &rest[at + 1..];
    }
    marked.push_str(rest);
    let text = html::text_of(&marked);
    let line = |line: &str| line.replace(&format!("{CELL} "), "\t").replace(CELL, "\t").trim().to_owned();
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

/// As much of a text as is taken.
fn cut(text: &str) -> &str {
    let end = (0..=text.len().min(TEXT_OCTETS)).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    &text[..end]
}

fn language_of(part: &mail_parser::MessagePart<'_>) -> Option<Language> {
    let value = part.headers.iter().find(|header| header.name.as_str().eq_ignore_ascii_case("Content-Language"))?;
    let text = match &value.value {
        mail_parser::HeaderValue::TextList(list) if list.len() == 1 => list[0].to_string(),
        mail_parser::HeaderValue::Text(text) => text.to_string(),
        _ => return None,
    };
    // Several languages of one part say nothing about which is which.
    (!text.contains(',')).then(|| text.parse().ok())?
}

/// A file name that can be shown: its last component, without controls, direction marks and characters with a meaning.
pub fn clean_name(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let shown = plain(&last.replace(['"', '<', '>', '|', '*', '?', ':'], "_"));
    let shown = shown.trim_matches(['.', ' ']);
    let characters: Vec<char> = shown.chars().collect();
    if characters.len() <= NAME_CHARACTERS {
        return shown.to_owned();
    }
    // The end carries language and type, so the middle goes.
    let (head, tail) = (&characters[..NAME_CHARACTERS - 40], &characters[characters.len() - 39..]);
    head.iter().chain(&['…']).chain(tail).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_shown_without_folders_controls_and_direction_marks() {
        for (name, expected) in [
            ("../../etc/passwd", "passwd"),
            ("C:\\x\\LS-E.docx", "LS-E.docx"),
            ("a\u{202e}xcod.exe", "axcod.exe"),
            ("a\0b\r\nc.docx", "a b c.docx"),
            ("..", ""),
            ("T25-SG12-260928-TD-GEN-0364!!MSW-E.docx", "T25-SG12-260928-TD-GEN-0364!!MSW-E.docx"),
        ] {
            assert_eq!(clean_name(name), expected);
        }
        let long = clean_name(&format!("{}-E.docx", "x".repeat(500)));
        assert!(long.chars().count() == NAME_CHARACTERS && long.ends_with("-E.docx"), "{long}");
    }

    #[test]
    fn parts_of_a_multilingual_mail_keep_language_and_subject() {
        let mail = "From: a@example.org\r\nSubject: LS\r\nMessage-ID: <1@example.org>\r\nIn-Reply-To: <0@example.org>\r\nMIME-Version: 1.0\r\nContent-Type: multipart/multilingual; boundary=b\r\n\r\n\
            --b\r\nContent-Type: text/plain\r\n\r\nSeveral languages.\r\n\
            --b\r\nContent-Type: message/rfc822\r\nContent-Language: en\r\nContent-Translation-Type: original\r\n\r\nSubject: Title\r\nContent-Type: text/plain\r\n\r\nText\r\n\
            --b\r\nContent-Type: message/rfc822\r\nContent-Language: es\r\n\r\nSubject: =?utf-8?q?T=C3=ADtulo?=\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nTexto\r\n--b--\r\n";
        let message = mail_parser::MessageParser::default().parse(mail.as_bytes()).unwrap();
        let posted = Posted::of_message(&message);
        let texts: Vec<_> = posted.texts.iter().map(|t| (t.language.map(|l| l.to_string()), t.subject.as_str(), t.text.trim())).collect();
        assert_eq!(texts, [(None, "", "Several languages."), (Some("en".into()), "Title", "Text"), (Some("es".into()), "Título", "Texto")]);
        assert_eq!((posted.message_id.as_str(), &posted.answers[..]), ("1@example.org", &["0@example.org".to_owned()][..]));
    }
}
