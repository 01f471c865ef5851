//! Header fields: written safely, and which of a received message's fields do not pass into a copy.
//!
//! Whatever is written goes through [`HeaderText`], which cannot hold a control character, so no subject, name, group
//! or file can begin a field of its own. Lines are folded at 78 octets (RFC 5322 section 2.1.1), words that are not ASCII
//! become encoded words of at most 75 octets that never cut a character (RFC 2047 section 5).
//! Fields that pass are never rewritten: an author's signature covers them octet by octet (RFC 6376).

use super::author;
use super::field::{self, Field, Header};
use crate::domain::address::EmailAddress;

/// Where a line is folded.
const LINE_OCTETS: usize = 78;
/// Longest line with an encoded word (RFC 2047 section 2).
const ENCODED_LINE_OCTETS: usize = 76;
/// A word longer than this is encoded, so that it can be folded.
const WORD_OCTETS: usize = 900;
const ENCODED_WORD_FRAME: usize = "=?utf-8?B??=".len();

/// Text that may stand in a header: one line, no controls, no bidirectional overrides, single spaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderText(String);

impl HeaderText {
    /// Cleans `text`: controls, line and paragraph separators and bidirectional controls become spaces, runs of spaces one.
    pub fn new(text: &str) -> Self {
        let cleaned: String = text.chars().map(|c| if is_unwelcome(c) { ' ' } else { c }).collect();
        Self(cleaned.split_whitespace().collect::<Vec<_>>().join(" "))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Controls, separators and what turns the reading direction of foreign text (UAX 9); isolates may stay.
fn is_unwelcome(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{200e}' | '\u{200f}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

/// `Name: value` and its line end; `value` is free text (RFC 5322 section 2.2.1), encoded where needed.
pub fn unstructured(name: &str, value: &str) -> String {
    let value = HeaderText::new(value);
    let mut line = Folder::new(name);
    if value.0.is_ascii() && !value.0.contains("=?") && value.0.split(' ').all(|word| word.len() <= WORD_OCTETS) {
        value.0.split(' ').for_each(|word| line.word(word));
    } else {
        line.encoded(&value.0);
    }
    line.finish()
}

/// `Name: value` whose value is made here of safe pieces, each kept whole: links, message identifiers, addresses.
/// Controls and spaces inside a piece are dropped.
pub fn pieces<'p>(name: &str, pieces: impl IntoIterator<Item = &'p str>, separator: &str) -> String {
    let mut line = Folder::new(name);
    let mut pieces = pieces.into_iter().peekable();
    while let Some(piece) = pieces.next() {
        let mut clean: String = piece.chars().filter(|c| !is_unwelcome(*c) && *c != ' ').collect();
        if pieces.peek().is_some() {
            clean.push_str(separator);
        }
        line.word(&clean);
    }
    line.finish()
}

/// A mailbox list: `Name: Ana Example <ana@example.org>, …` (RFC 5322 section 3.4).
pub fn mailboxes<'m>(name: &str, list: impl IntoIterator<Item = (&'m str, &'m str)>) -> String {
    let mut line = Folder::new(name);
    let mut list = list.into_iter().peekable();
    while let Some((display, address)) = list.next() {
        line.phrase(display);
        let comma = if list.peek().is_some() { "," } else { "" };
        let address: String = address.chars().filter(|c| !is_unwelcome(*c) && !matches!(c, '<' | '>') && *c != ' ').collect();
        if line.text_since_name() && !HeaderText::new(display).0.is_empty() {
            line.word(&format!("<{address}>{comma}"));
        } else {
            line.word(&format!("{address}{comma}"));
        }
    }
    line.finish()
}

/// `List-Id: Name of the list <id>` (RFC 2919 section 3).
pub fn list_id(display: &str, id: &str) -> String {
    let mut line = Folder::new("List-Id");
    line.phrase(display);
    line.word(&format!("<{id}>"));
    line.finish()
}

/// Builds one field, folding between words.
struct Folder {
    text: String,
    column: usize,
    name_octets: usize,
}

impl Folder {
    fn new(name: &str) -> Self {
        Self { text: format!("{name}:"), column: name.len() + 1, name_octets: name.len() + 1 }
    }

    fn text_since_name(&self) -> bool {
        self.text.len() > self.name_octets
    }

    fn word(&mut self, word: &str) {
        if word.is_empty() {
            return;
        }
        // Never an empty first line: some readers take "Name:" and a line end for an empty field.
        if self.column + 1 + word.len() > LINE_OCTETS && self.text_since_name() {
            self.text.push_str("\r\n");
            self.column = 0;
        }
        self.text.push(' ');
        self.text.push_str(word);
        self.column += 1 + word.len();
    }

    fn encoded(&mut self, text: &str) {
        let mut rest = text;
        while !rest.is_empty() {
            let room = ENCODED_LINE_OCTETS.saturating_sub(self.column + 1 + ENCODED_WORD_FRAME) / 4 * 3;
            if room < 12 && self.text_since_name() {
                self.text.push_str("\r\n");
                self.column = 0;
                continue;
            }
            let room = room.max(12);
            let mut cut = rest.len().min(room);
            while !rest.is_char_boundary(cut) {
                cut -= 1;
            }
            let word = format!("=?utf-8?B?{}?=", data_encoding::BASE64.encode(&rest.as_bytes()[..cut]));
            self.text.push(' ');
            self.text.push_str(&word);
            self.column += 1 + word.len();
            rest = &rest[cut..];
        }
    }

    /// A display name: atoms as they are, other ASCII quoted, the rest encoded (RFC 5322 section 3.2.5, RFC 2047 section 5).
    fn phrase(&mut self, text: &str) {
        let text = HeaderText::new(text);
        let is_atom = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~ ".contains(c);
        if text.0.is_ascii() && !text.0.contains("=?") && text.0.len() <= WORD_OCTETS {
            if text.0.chars().all(is_atom) {
                text.0.split(' ').for_each(|word| self.word(word));
            } else {
                let escaped = text.0.replace('\\', "\\\\").replace('"', "\\\"");
                self.word(&format!("\"{escaped}\""));
            }
        } else {
            self.encoded(&text.0);
        }
    }

    fn finish(mut self) -> String {
        self.text.push_str("\r\n");
        self.text
    }
}

/// Fields that never pass into a copy, each with its reason. Names in lower case.
const REMOVED: &[(&str, &str)] = &[
    ("archived-at", "would lead readers to a place of the author's choosing"),
    ("precedence", "ours takes its place"),
    ("errors-to", "would turn bounces away from the list"),
    ("return-path", "is the last mail server's to write (RFC 5321 section 4.4)"),
    ("return-receipt-to", "would make every reader's program write to the author"),
    ("disposition-notification-to", "the same (RFC 8098 section 2.1)"),
    ("disposition-notification-options", "the same"),
    ("x-confirm-reading-to", "the same"),
    ("generate-delivery-report", "the same"),
    ("bcc", "names people whom the author wanted unnamed"),
    ("resent-bcc", "the same"),
    ("delivered-to", "is a stamp of delivery here; would stop copies at servers that look for loops by it"),
    ("x-original-to", "names the envelope, not the message"),
    ("envelope-to", "the same"),
    ("x-envelope-to", "the same"),
    ("x-envelope-from", "the same"),
    ("x-rcpt-to", "the same"),
    ("apparently-to", "the same"),
    ("authentication-results", "was meant for this hop, and readers must not take it for their own server's (RFC 8601 section 5)"),
    ("received-spf", "the same (RFC 7208 section 9.1)"),
    ("approved", "other list programs take a password here"),
    ("x-approved", "the same"),
    ("approve", "the same"),
    ("x-approve", "the same"),
    ("x-no-archive", "cannot be kept: the archive is the group's record"),
    ("status", "belongs to a mailbox file"),
    ("x-status", "the same"),
    ("content-length", "the same"),
];

/// Does a field of this name (lower case) never pass?
pub(super) fn is_always_removed(name: &str) -> bool {
    name.is_empty() || name.starts_with("list-") || name.starts_with("x-enlace-") || REMOVED.iter().any(|(removed, _)| *removed == name)
}

/// May a field pass only when the author's own domain signed it? Sender and Resent fields say who is behind a message.
fn needs_signature(name: &str) -> bool {
    name == "sender" || name.starts_with("resent-")
}

/// The fields of `message` that pass into a copy, in order.
///
/// `author` is the visible author; `Sender` and `Resent-*` pass only under a signature that claims to be of her domain,
/// because taking them away would break it. Everything else passes untouched: From, Subject, Date, To, Cc, Message-ID,
/// Reply-To, the Content fields, signatures and `Received`.
pub fn passing<'h>(message: &'h [u8], header: &'h Header, author: Option<&EmailAddress>) -> impl Iterator<Item = &'h Field> {
    let signed = signed_by_author(message, header, author);
    header
        .fields
        .iter()
        .filter(move |field| !is_always_removed(&field.name) && (!needs_signature(&field.name) || signed.contains(&field.name)))
}

/// From and Reply-To of a copy that goes out in the list's name: `list` are its acronym and its address.
///
/// A Reply-To of the author's own stays; without one, answers go to her as they would have.
pub fn in_the_lists_name(message: &[u8], header: &Header, author: Option<&EmailAddress>, list: &(String, String)) -> String {
    let name = author::read(message, header).map(|author| author.name).unwrap_or_default();
    let address = author.map(ToString::to_string).unwrap_or_default();
    let shown = match (name.is_empty(), author) {
        (false, _) => name,
        (true, Some(author)) => author.local().to_owned(),
        (true, None) => String::new(),
    };
    let shown = if shown.is_empty() { list.0.clone() } else { format!("{shown} via {}", list.0) };
    let mut fields = mailboxes("From", [(shown.as_str(), list.1.as_str())]);
    if header.count("reply-to") == 0 && !address.is_empty() {
        fields.push_str(&mailboxes("Reply-To", [("", address.as_str())]));
    }
    fields
}

/// Does the original's field of this name (lower case) give way when the copy goes out in the list's name? Signatures do too: they
/// cover From, so all of them are broken.
pub fn gives_way_to_the_list(name: &str) -> bool {
    matches!(name, "from" | "sender" | "dkim-signature" | "domainkey-signature")
}

/// Names in the `h=` of signatures whose `d=` is the author's domain or above it.
fn signed_by_author(message: &[u8], header: &Header, author: Option<&EmailAddress>) -> Vec<String> {
    let Some(author) = author else {
        return Vec::new();
    };
    let mut names = Vec::new();
    for field in header.named("dkim-signature") {
        let value: String =
            field::unfolded(message, field).chars().filter(|c| !c.is_whitespace()).map(|c| c.to_ascii_lowercase()).collect();
        let tag = |name: &str| value.split(';').find_map(|part| part.strip_prefix(name)).unwrap_or_default().to_owned();
        let (domain, signed) = (tag("d="), tag("h="));
        if is_at_or_below(author.domain(), &domain) {
            names.extend(signed.split(':').map(str::to_owned));
        }
    }
    names
}

fn is_at_or_below(domain: &str, parent: &str) -> bool {
    parent.contains('.') && (domain == parent || domain.strip_suffix(parent).is_some_and(|front| front.ends_with('.')))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What a reader makes of a subject: mail-parser, unfolding included.
    fn read_back(field: &str) -> String {
        let mail = format!("{field}\r\n").into_bytes();
        let message = mail_parser::MessageParser::default().parse(&mail[..]).unwrap();
        message.subject().unwrap_or_default().to_owned()
    }

    fn check_lines(field: &str) {
        assert!(field.ends_with("\r\n") && field.is_ascii(), "{field:?}");
        for (number, line) in field.trim_end_matches("\r\n").split("\r\n").enumerate() {
            assert!(line.len() <= 998, "{line:?}");
            assert!(number == 0 || line.starts_with(' '), "{field:?}");
            assert!(!line.trim().is_empty(), "{field:?}");
            assert!(!line.contains(['\r', '\n']), "{field:?}");
            for word in line.split(' ').filter(|w| w.starts_with("=?")) {
                assert!(word.len() <= 75, "{word}");
            }
        }
    }

    /// Any text, and in it what could end a field: `any::<String>()` has no controls.
    fn texts() -> impl Strategy<Value = String> {
        const ENDS: [&str; 10] = ["\r\n", "\n", "\r", "\0", "\u{85}", "\u{2028}", "\r\nX-Injected: 1", ",", "<eve@evil.test>", "\""];
        let piece = prop_oneof![any::<String>(), proptest::sample::select(&ENDS[..]).prop_map(str::to_owned)];
        proptest::collection::vec(piece, 0..5).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn no_subject_begins_a_field(text in texts()) {
            let field = unstructured("Subject", &text);
            check_lines(&field);
            let clean = HeaderText::new(&text);
            prop_assert_eq!(read_back(&field), clean.as_str());
        }

        #[test]
        fn no_name_begins_a_field_or_a_second_mailbox(name in texts()) {
            let field = mailboxes("From", [(name.as_str(), "ana@example.org")]);
            check_lines(&field);
            let mail = format!("{field}\r\n").into_bytes();
            let message = mail_parser::MessageParser::default().parse(&mail[..]).unwrap();
            let from = message.from().unwrap();
            prop_assert_eq!(from.iter().count(), 1);
            prop_assert_eq!(from.first().unwrap().address(), Some("ana@example.org"));
            prop_assert_eq!(message.headers().len(), 1);
        }

        #[test]
        fn long_lists_fold(names in proptest::collection::vec("[ -~]{0,30}", 1..30)) {
            check_lines(&mailboxes("To", names.iter().map(|n| (n.as_str(), "someone@example.org"))));
            check_lines(&list_id(&names.join(" "), "sg12rg-amr.lists.example.org"));
            check_lines(&pieces("References", names.iter().map(|_| "<0123456789abcdef@lists.example.org>"), ""));
        }
    }

    #[test]
    fn names_are_written_plain_quoted_or_encoded() {
        let of = |name| mailboxes("To", [(name, "a@example.org")]);
        assert_eq!(of("Ana Example"), "To: Ana Example <a@example.org>\r\n");
        assert_eq!(of("Example, Ana"), "To: \"Example, Ana\" <a@example.org>\r\n");
        assert_eq!(of(""), "To: a@example.org\r\n");
        assert_eq!(of("José"), "To: =?utf-8?B?Sm9zw6k=?= <a@example.org>\r\n");
        assert_eq!(of("x\r\nBcc: b@example.org"), "To: \"x Bcc: b@example.org\" <a@example.org>\r\n");
    }

    #[test]
    fn forged_fields_do_not_pass_and_signed_ones_do() {
        let check = |head: &str, expected: &[&str]| {
            let message = format!("{head}\r\n").into_bytes();
            let header = field::split(&message).unwrap();
            let author: EmailAddress = "ann@mail.example.org".parse().unwrap();
            let names: Vec<_> = passing(&message, &header, Some(&author)).map(|f| f.name.clone()).collect();
            assert_eq!(names, expected, "{head}");
        };
        check("List-Id: <x>\r\nLIST-ARCHIVE : x\r\nList-Post\t: x\r\nX-Enlace-Ref: 1\r\nErrors-To: x\r\nBcc: y\r\nFrom: a\r\n", &["from"]);
        check("Return-Path: <x>\r\nResent-From: x\r\nResent-Bcc: x\r\nSender: x\r\nAuthentication-Results: x\r\nTo: a\r\n", &["to"]);
        check(
            "From x Mon\r\nno field\r\nArchived-At: x\r\nDisposition-Notification-To: x\r\nReceived: a\r\nX-Loop: b\r\n",
            &["received", "x-loop"],
        );
        check("DKIM-Signature: d=example.org; h=From:\r\n Sender\r\nSender: x\r\n", &["dkim-signature", "sender"]);
        check("DKIM-Signature: d=evil.example; h=Sender\r\nSender: x\r\n", &["dkim-signature"]);
        check("DKIM-Signature: d=org; h=Sender\r\nSender: x\r\n", &["dkim-signature"]);
        check("DKIM-Signature: d=example.org; h=Bcc:List-Id\r\nBcc: x\r\nList-Id: y\r\n", &["dkim-signature"]);
    }
}
