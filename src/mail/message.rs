//! What a message says of itself, with its doubts: all that the gate and the loop rule need, from its first octets.
//!
//! [`read`] needs the header only, so that a message of 25 MiB is judged from its head; the tree of its parts is
//! `mail::content`. Nothing here is believed: the visible author is a claim, proved elsewhere (`smtp::proof`).
//! Counting is done on the fields themselves (`mail::field`), because the parser shows the last of two equal ones.

use std::borrow::Cow;

use chrono::{DateTime, FixedOffset};
use mail_parser::{HeaderValue, parsers::MessageStream};

use super::author::{self, Author, AuthorDoubt};
use super::field::{self, Field, Header};
use super::headers::HeaderText;
use crate::domain::language::Language;
use crate::domain::reason::{Reason, Rule};

/// Most hops before a message is a loop (RFC 5321 section 6.3).
pub const HOPS: usize = 100;

/// What a header says.
#[derive(Debug, Clone)]
pub struct Message {
    /// The one author, or why there is not exactly one.
    pub author: Result<Author, AuthorDoubt>,
    /// Message-ID without angle brackets, if there is exactly one and it is plain.
    pub message_id: Option<String>,
    /// How many Message-ID fields there are; two or more are a doubt (RFC 5322 section 3.6).
    pub message_ids: usize,
    /// Decoded subject in one line, without controls; empty if there is none.
    pub subject: String,
    /// `Auto-Submitted` other than `no` (RFC 3834 section 5), lower case, without parameters.
    pub auto_submitted: Option<String>,
    /// `Precedence`, lower case.
    pub precedence: Option<String>,
    /// What stands in `List-Id` between the angle brackets, lower case, once a field.
    pub list_ids: Vec<String>,
    /// Values of `X-Loop`, lower case: the lists it has been through, ours among them.
    pub loops: Vec<String>,
    /// `X-Enlace-Ref`: it is, or claims to be, a copy that Enlace made.
    pub enlace_ref: Option<String>,
    /// Number of `Received` fields.
    pub hops: usize,
    /// `Delivered-To` addresses, lower case.
    pub delivered_to: Vec<String>,
    /// `Date`.
    pub date: Option<DateTime<FixedOffset>>,
    /// Message identifiers of `In-Reply-To`, without angle brackets, at most 100.
    pub in_reply_to: Vec<String>,
    /// Message identifiers of `References`, without angle brackets, at most 100, the last ones.
    pub references: Vec<String>,
    /// `Content-Language` of the whole message.
    pub languages: Vec<Language>,
    /// Mailboxes of To and Cc, as written, at most 1,000; for replies and archives, never for routing.
    pub shown_recipients: Vec<String>,
    /// Smaller doubts, in words, for the log and `explain`.
    pub doubts: Vec<String>,
    /// The fields with their octets.
    pub header: Header,
}

/// Reads the header at the beginning of `message`.
///
/// # Errors
/// A [`Rule::Malformed`] when the header is too large, or holds NUL.
pub fn read(message: &[u8]) -> Result<Message, Reason> {
    let header = field::split(message).map_err(|error| Reason::new(Rule::Malformed, [error.to_string()]))?;
    if message[..header.end].contains(&0) {
        return Err(Reason::new(Rule::Malformed, ["the header holds a NUL"]));
    }
    let reader = Reader { message, header: &header };
    let message_ids = header.count("message-id");
    Ok(Message {
        author: author::read(message, &header),
        message_id: reader.ids("message-id").pop().filter(|_| message_ids == 1),
        message_ids,
        subject: reader.subject(),
        auto_submitted: reader.word("auto-submitted").filter(|value| value != "no"),
        precedence: reader.word("precedence"),
        list_ids: reader.texts("list-id").iter().map(|value| inside_angles(value)).collect(),
        loops: reader.texts("x-loop"),
        enlace_ref: reader.texts("x-enlace-ref").into_iter().next(),
        hops: header.count("received"),
        delivered_to: reader.texts("delivered-to"),
        date: reader.date(),
        in_reply_to: reader.ids("in-reply-to"),
        references: reader.ids("references"),
        languages: reader.texts("content-language").iter().flat_map(|v| v.split(',')).filter_map(|tag| tag.parse().ok()).take(20).collect(),
        shown_recipients: reader.shown_recipients(),
        doubts: doubts(&header),
        header,
    })
}

/// The message with every line end as CRLF and without NUL; for what did not come by SMTP, whose listener refuses all else.
///
/// A bare CR or LF that went out unchanged could end a transaction early at the next server (SMTP smuggling).
pub fn to_crlf(message: &[u8]) -> Cow<'_, [u8]> {
    let is_clean = |(at, octet): (usize, &u8)| match octet {
        b'\r' => message.get(at + 1) == Some(&b'\n'),
        b'\n' => at > 0 && message[at - 1] == b'\r',
        0 => false,
        _ => true,
    };
    if message.iter().enumerate().all(is_clean) {
        return Cow::Borrowed(message);
    }
    let mut clean = Vec::with_capacity(message.len() + message.len() / 30);
    let mut octets = message.iter().peekable();
    while let Some(octet) = octets.next() {
        match octet {
            b'\r' => {
                octets.next_if_eq(&&b'\n');
                clean.extend_from_slice(b"\r\n");
            }
            b'\n' => clean.extend_from_slice(b"\r\n"),
            0 => {}
            octet => clean.push(*octet),
        }
    }
    Cow::Owned(clean)
}

/// What is odd, but no reason to refuse.
fn doubts(header: &Header) -> Vec<String> {
    let mut doubts = Vec::new();
    // RFC 5322 section 3.6 allows each of these once.
    for name in
        ["message-id", "date", "subject", "to", "cc", "sender", "reply-to", "in-reply-to", "references", "content-type", "mime-version"]
    {
        let count = header.count(name);
        if count > 1 {
            doubts.push(format!("{count} {name} fields"));
        }
    }
    for (name, words) in [("date", "no Date"), ("message-id", "no Message-ID")] {
        if header.count(name) == 0 {
            doubts.push(words.to_owned());
        }
    }
    let strange = header.count("");
    if strange > 0 {
        doubts.push(format!("{strange} header lines that are no fields"));
    }
    if header.body.is_none() {
        doubts.push("no empty line behind the header".to_owned());
    }
    doubts
}

fn inside_angles(value: &str) -> String {
    match (value.rfind('<'), value.rfind('>')) {
        (Some(open), Some(close)) if open < close => value[open + 1..close].trim().to_owned(),
        _ => value.trim().to_owned(),
    }
}

/// Reads single fields of a header.
struct Reader<'m> {
    message: &'m [u8],
    header: &'m Header,
}

/// Most identifiers kept of a thread field, most addresses kept of To and Cc.
const IDS: usize = 100;
const SHOWN_RECIPIENTS: usize = 1_000;

impl<'m> Reader<'m> {
    fn raw(&self, field: &Field) -> Vec<u8> {
        [self.message.get(field.value.clone()).unwrap_or_default(), b"\r\n\r\n"].concat()
    }

    /// All values of that name in lower case, one line each.
    fn texts(&self, name: &'m str) -> Vec<String> {
        self.header.named(name).take(IDS).map(|f| field::unfolded(self.message, f).to_lowercase()).collect()
    }

    /// The first word of the first field of that name, lower case, without parameters and comments.
    fn word(&self, name: &'m str) -> Option<String> {
        let value = self.texts(name).into_iter().next()?;
        let word = value.split([';', ' ', '\t', '(']).next().unwrap_or_default().to_owned();
        Some(word).filter(|word| !word.is_empty())
    }

    fn subject(&self) -> String {
        let Some(field) = self.header.named("subject").next() else {
            return String::new();
        };
        let raw = self.raw(field);
        let value = MessageStream::new(&raw).parse_unstructured();
        HeaderText::new(value.as_text().unwrap_or_default()).as_str().chars().take(500).collect()
    }

    fn date(&self) -> Option<DateTime<FixedOffset>> {
        let raw = self.raw(self.header.named("date").next()?);
        let parsed = match MessageStream::new(&raw).parse_date() {
            HeaderValue::DateTime(parsed) if parsed.is_valid() => parsed,
            _ => return None,
        };
        let minutes = i32::from(parsed.tz_hour) * 60 + i32::from(parsed.tz_minute);
        let offset = FixedOffset::east_opt(minutes * if parsed.tz_before_gmt { -60 } else { 60 })?;
        DateTime::from_timestamp(parsed.to_timestamp(), 0).map(|at| at.with_timezone(&offset))
    }

    /// Message identifiers of all fields of that name, without angle brackets; the last [`IDS`].
    fn ids(&self, name: &'m str) -> Vec<String> {
        let mut found = Vec::new();
        for field in self.header.named(name) {
            let raw = self.raw(field);
            match MessageStream::new(&raw).parse_id() {
                HeaderValue::Text(id) => found.push(id.into_owned()),
                HeaderValue::TextList(ids) => found.extend(ids.into_iter().map(Cow::into_owned)),
                _ => {}
            }
        }
        found.retain(|id| is_plain_id(id));
        found.split_off(found.len().saturating_sub(IDS))
    }

    fn shown_recipients(&self) -> Vec<String> {
        let mut found = Vec::new();
        for field in self.header.named("to").chain(self.header.named("cc")) {
            let raw = self.raw(field);
            if let HeaderValue::Address(list) = MessageStream::new(&raw).parse_address() {
                let room = SHOWN_RECIPIENTS - found.len();
                found.extend(list.iter().filter_map(|m| m.address()).take(room).map(str::to_owned));
            }
        }
        found
    }
}

/// Can the identifier be written into a header and a key again?
fn is_plain_id(id: &str) -> bool {
    !id.is_empty() && id.len() <= 250 && id.chars().all(|c| !c.is_control() && !c.is_whitespace() && !matches!(c, '<' | '>'))
}

impl Message {
    /// A robot, a list or a notification wrote it: it is never answered (RFC 3834 section 2).
    pub fn is_automatic(&self) -> bool {
        self.auto_submitted.is_some() || !self.list_ids.is_empty() || matches!(self.precedence.as_deref(), Some("bulk" | "list" | "junk"))
    }

    /// Does a `Delivered-To` tell that it was delivered to `address` before? Those above the first `Received` are of the mail system
    /// that hands it over now, and may name the list.
    pub fn was_delivered_to(&self, address: &str) -> bool {
        let fields = &self.header.fields;
        let first = fields.iter().position(|field| field.name.eq_ignore_ascii_case("Received")).unwrap_or(0);
        let of_now = fields.iter().take(first).filter(|field| field.name.eq_ignore_ascii_case("Delivered-To")).count();
        self.delivered_to.iter().skip(of_now).any(|to| to.eq_ignore_ascii_case(address))
    }

    /// Has it been through the list of this address and List-Id before? Copies carry both (`mail::compose`).
    pub fn has_been_through(&self, list_address: &str, list_id: &str) -> bool {
        let is = |text: &String, other: &str| text.eq_ignore_ascii_case(other);
        self.loops.iter().any(|stamp| is(stamp, list_address)) || self.list_ids.iter().any(|id| is(id, list_id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(head: &str) -> Message {
        read(format!("{head}\r\n\r\nbody\r\n").as_bytes()).unwrap()
    }

    #[test]
    fn the_gate_finds_what_it_needs() {
        let message = of(
            "Received: a\r\nReceived: b\r\nFrom: Ann <ann@example.org>\r\nSubject: =?utf-8?q?Hola_se=C3=B1or?=\r\n  x\r\nMessage-ID: <1@example.org>\r\n\
            Date: Mon, 5 Jul 2027 10:00:00 -0530\r\nIn-Reply-To: <0@example.org>\r\nReferences: <a@b>\r\n <0@example.org>\r\nContent-Language: es, en-GB\r\n\
            To: Bob <bob@example.org>, c@example.org\r\nDelivered-To: Bob@example.org",
        );
        assert_eq!(message.author.unwrap().address.as_str(), "ann@example.org");
        assert_eq!(message.subject, "Hola señor x");
        assert_eq!(message.message_id.as_deref(), Some("1@example.org"));
        assert_eq!(message.date.unwrap().to_rfc3339(), "2027-07-05T10:00:00-05:30");
        assert_eq!(message.in_reply_to, ["0@example.org"]);
        assert_eq!(message.references, ["a@b", "0@example.org"]);
        assert_eq!(message.languages.iter().map(Language::as_str).collect::<Vec<_>>(), ["es", "en"]);
        assert_eq!((message.hops, message.shown_recipients.len()), (2, 2));
        assert_eq!(message.delivered_to, ["bob@example.org"]);
        assert!(message.doubts.is_empty(), "{:?}", message.doubts);
    }

    #[test]
    fn a_subject_cannot_bring_lines_or_turned_text() {
        assert_eq!(of("Subject: =?utf-8?q?a=0D=0AX-Injected:_1=00=E2=80=AE?=").subject, "a X-Injected: 1");
        assert!(!of("Subject: =?utf-7?q?+AA0-+AAo-x?=").subject.contains(['\r', '\n']));
    }

    #[test]
    fn robots_and_lists_are_recognised() {
        for head in [
            "Auto-Submitted: auto-replied (vacation)",
            "AUTO-SUBMITTED: auto-generated; x=y",
            "Precedence: Bulk",
            "precedence : junk",
            "List-Id: x <a.b>",
        ] {
            assert!(of(head).is_automatic(), "{head}");
        }
        for head in ["Auto-Submitted: no", "Auto-Submitted: No (a person)", "Precedence: first-class", "Subject: x"] {
            assert!(!of(head).is_automatic(), "{head}");
        }
    }

    #[test]
    fn a_copy_is_recognised_by_either_stamp() {
        let (address, id) = ("sg12rg-amr@lists.example.org", "sg12rg-amr.lists.example.org");
        for head in [
            "List-Id: =?utf-8?B?R3J1cG8=?=\r\n <SG12RG-AMR.lists.example.org>",
            "X-Loop: other@x.example\r\nX-Loop: SG12RG-AMR@lists.example.org",
        ] {
            assert!(of(head).has_been_through(address, id), "{head}");
        }
        assert!(
            !of("List-Id: <sg12rg-amr.lists.example.org.evil.example>\r\nX-Loop: x-sg12rg-amr@lists.example.org")
                .has_been_through(address, id)
        );
    }

    #[test]
    fn two_identifiers_are_none() {
        let message = of("Message-ID: <1@a.example>\r\nMessage-Id: <2@a.example>");
        assert_eq!((message.message_id, message.message_ids), (None, 2));
        assert_eq!(of("Message-ID: <a b@c>").message_id, None);
        assert_eq!(of("Message-ID: ").message_id, None);
    }

    #[test]
    fn line_ends_become_crlf_and_nothing_else_changes() {
        for (given, clean) in [
            ("a\r\nb", "a\r\nb"),
            ("a\nb\n", "a\r\nb\r\n"),
            ("a\rb", "a\r\nb"),
            ("a\r\r\n.\n\0", "a\r\n\r\n.\r\n"),
            ("\n", "\r\n"),
            ("", ""),
        ] {
            assert_eq!(to_crlf(given.as_bytes()), clean.as_bytes(), "{given:?}");
            assert!(matches!(to_crlf(clean.as_bytes()), Cow::Borrowed(_)));
        }
    }

    #[test]
    fn nul_and_huge_headers_are_malformed() {
        assert_eq!(read(b"From: a\0b\r\n\r\n").unwrap_err().rule, Rule::Malformed);
        assert_eq!(read("a: b\r\n".repeat(2_000).as_bytes()).unwrap_err().rule, Rule::Malformed);
    }

    proptest::proptest! {
        #[test]
        fn rubbish_is_read_without_a_panic(octets in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..600)) {
            let _ = read(&octets);
            let named = [b"Date: ".as_slice(), &octets, b"\r\nReferences: ", &octets, b"\r\nSubject: ", &octets, b"\r\nTo: ", &octets].concat();
            let _ = read(&named);
        }
    }
}
