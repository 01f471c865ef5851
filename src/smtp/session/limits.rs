//! What is spoken, and how much of it a client may say.

/// What a listener speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// RFC 2033: one answer a recipient after the dot.
    Lmtp,
    /// RFC 5321.
    Smtp,
    /// RFC 6409: SMTP with AUTH under TLS before MAIL.
    Submission,
}

impl Protocol {
    /// As in the configuration and in logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Lmtp => "lmtp",
            Self::Smtp => "smtp",
            Self::Submission => "submission",
        }
    }
}

impl std::str::FromStr for Protocol {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Self::Lmtp, Self::Smtp, Self::Submission]
            .into_iter()
            .find(|p| p.as_str() == text)
            .ok_or_else(|| format!("\"{}\" is not a protocol: lmtp, smtp or submission is expected", text.escape_debug()))
    }
}

/// Bounds on what a client may send (RFC 5321 section 4.5.3).
#[derive(Debug, Clone)]
pub struct Limits {
    /// Octets of a message, told in EHLO (RFC 1870). Default 25 MiB.
    pub message_octets: u64,
    /// Recipients of a transaction; more get 452 4.5.3. Default 100.
    pub recipients: usize,
    /// Octets of a command line with its CRLF. Default 2,000.
    pub command_octets: usize,
    /// Octets of a line of text without CRLF; RFC 5322 says 998, and older clients and web mailers do not keep to it. Default 10,000.
    pub text_line_octets: usize,
    /// Octets of a header. Default 256 KiB.
    pub header_octets: usize,
    /// Fields of a header. Default 1,000.
    pub header_fields: usize,
    /// Nesting of `multipart/` and `message/` parts. Default 50.
    pub mime_depth: usize,
    /// Parts of a message. Default 1,000.
    pub mime_parts: usize,
    /// Refused commands before 421. Default 20.
    pub errors: usize,
    /// Commands without an accepted message between them before 421. Default 1,000.
    pub commands: usize,
    /// Octets of a message kept in memory; larger ones go to a file while they come in. Default 256 KiB.
    pub memory_octets: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message_octets: 25 * 1024 * 1024,
            recipients: 100,
            command_octets: 2_000,
            text_line_octets: 10_000,
            header_octets: 256 * 1024,
            header_fields: 1_000,
            mime_depth: 50,
            mime_parts: 1_000,
            errors: 20,
            commands: 1_000,
            memory_octets: 256 * 1024,
        }
    }
}
