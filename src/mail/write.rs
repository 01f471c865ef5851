//! Mail that Enlace writes itself: answers, receipts, notices, editions.

use chrono::{DateTime, FixedOffset};

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

/// The octets of a letter: header, body, CRLF, no line over 998 octets, nothing but ASCII in the header.
pub fn letter(letter: &Letter) -> Vec<u8> {
    let _ = letter;
    todo!()
}
