//! The parts of a message: its text and its attachments, decoded and within limits.

use crate::domain::reason::Reason;

/// Most parts `multipart/*` and `message/*` of a message; more overflow the parser's stack or the reader's patience.
pub const NESTED_PARTS: usize = 50;
/// Most parts of a message.
pub const PARTS: usize = 1_000;

/// An attachment, decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// File name without folders and controls; made from the type and number if there was none.
    pub name: String,
    /// Such as `application/pdf`, lower case.
    pub content_type: String,
    /// `Content-Language`, if given.
    pub language: Option<crate::domain::language::Language>,
    /// Decoded octets.
    pub bytes: Vec<u8>,
}

/// The parsed tree, after the scan for nesting. The only way to mail-parser for whole messages.
///
/// # Errors
/// `Rule::Malformed`: nested too deep, too many parts, header too large.
pub fn parse(message: &[u8]) -> Result<mail_parser::Message<'_>, Reason> {
    let _ = message;
    todo!()
}

/// The text a person wrote: the first text part, or the HTML one reduced to text; at most `limit` octets, CRLF made LF.
pub fn text_body(message: &mail_parser::Message<'_>, limit: usize) -> String {
    let _ = (message, limit);
    todo!()
}

/// The attachments, in order, at most `limit` octets in all; inline images and nested messages included.
pub fn attachments(message: &mail_parser::Message<'_>, limit: usize) -> Vec<Attachment> {
    let _ = (message, limit);
    todo!()
}
