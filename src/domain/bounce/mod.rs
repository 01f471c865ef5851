//! What a failure report means: verdict classes, and what they do to a subscription.
//!
//! A policy rejection is about the sender or the text, never about the member; a delay is no failure (DSN action
//! `delayed`, RFC 3464 section 2.3.3). Classes follow the enhanced status codes of RFC 3463 and its registry, corrected
//! by the words that large providers use with them (`phrases`).

pub mod incident;
mod phrases;
pub mod score;

use serde::{Deserialize, Serialize};

/// What a report says of one recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BounceClass {
    /// The mailbox or its domain does not exist (any more).
    AddressDead,
    /// Full, or over quota.
    MailboxFull,
    /// Refused for reputation, authentication (SPF, DKIM, DMARC) or authorisation: our concern, not the member's.
    Policy,
    /// Refused for what is in it: size, spam, virus.
    Content,
    /// Some other passing failure that became final.
    Transient,
    /// Not delivered yet; says nothing.
    Delay,
    /// The person called it spam (RFC 5965).
    Complaint,
    /// A report without a readable reason.
    Unknown,
}

impl BounceClass {
    /// All of them.
    pub const ALL: [Self; 8] =
        [Self::AddressDead, Self::MailboxFull, Self::Policy, Self::Content, Self::Transient, Self::Delay, Self::Complaint, Self::Unknown];

    /// As in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AddressDead => "address-dead",
            Self::MailboxFull => "mailbox-full",
            Self::Policy => "policy",
            Self::Content => "content",
            Self::Transient => "transient",
            Self::Delay => "delay",
            Self::Complaint => "complaint",
            Self::Unknown => "unknown",
        }
    }

    /// Is the copy lost for good?
    pub fn is_failure(self) -> bool {
        !matches!(self, Self::Delay | Self::Complaint)
    }
}

/// The class of a report with this enhanced status (empty if none was given) and diagnostic text.
///
/// Clear words come first, because providers use general codes with plain words; then the enhanced code, the one in the text
/// before a general one beside it (`Status: 5.0.0` with `550 5.1.1 …`); then weaker words, then the basic code of an SMTP reply.
pub fn classify(status: &str, diagnostic: &str) -> BounceClass {
    let text = plain(diagnostic);
    if let Some(class) = phrases::class_of(&text) {
        return if class == BounceClass::AddressDead && is_about_sender(&text) { BounceClass::Policy } else { class };
    }
    if is_about_sender(&text) && !status.starts_with("4.") {
        return BounceClass::Policy;
    }
    let inner = enhanced_status(&text).unwrap_or_default();
    [status, inner.as_str()]
        .into_iter()
        .filter(|status| !is_general(status))
        .find_map(of_status)
        .or_else(|| phrases::weak_class_of(&text))
        .or_else(|| basic_code(&text).and_then(of_basic_code))
        .or_else(|| of_status(status))
        .unwrap_or(BounceClass::Unknown)
}

/// Was it the reverse-path that was refused? Then "unknown" and "does not exist" mean the sender.
fn is_about_sender(text: &str) -> bool {
    ["after mail from", "reply to mail from", "mail from command", "response to mail from"].iter().any(|words| text.contains(words))
}

/// Does the code say no more than that it failed (`5.0.0`, `4.0.0`, nothing)?
pub fn is_general(status: &str) -> bool {
    let mut parts = status.split('.').skip(1);
    matches!((parts.next(), parts.next()), (None | Some("0" | "00" | ""), _))
}

/// Lower case, one space between words, straight quotes: what phrases are compared with.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        let c = match c {
            '\u{2018}' | '\u{2019}' | '`' => '\'',
            '\u{a0}' => ' ',
            c if c.is_whitespace() => ' ',
            c => c,
        };
        if c != ' ' || !plain.ends_with(' ') {
            plain.extend(c.to_lowercase());
        }
    }
    plain
}

/// RFC 3463 and the registry of enhanced status codes.
fn of_status(status: &str) -> Option<BounceClass> {
    let mut numbers = status.split('.').map(|part| part.trim().parse::<u16>().ok());
    let (class, subject, detail) = (numbers.next().flatten(), numbers.next().flatten()?, numbers.next().flatten()?);
    Some(match (class?, subject, detail) {
        (_, 2, 2) => BounceClass::MailboxFull,
        (_, 2, 3) | (_, 3, 4) | (_, 6, _) | (5, 5, 2..=4) => BounceClass::Content,
        (5, 1, 0..=6 | 9 | 10) | (5, 2, 1) | (5, 4, 1 | 4) | (5, 7, 13 | 17 | 18) => BounceClass::AddressDead,
        (_, 1, 7 | 8) | (_, 7, _) => BounceClass::Policy,
        (5, 3 | 4, _) | (4, _, _) => BounceClass::Transient,
        _ => return None,
    })
}

/// Replies without an enhanced code; 550 and 554 say everything and nothing.
fn of_basic_code(code: u16) -> Option<BounceClass> {
    match code {
        551 | 553 => Some(BounceClass::AddressDead),
        552 => Some(BounceClass::MailboxFull),
        421 | 450..=459 => Some(BounceClass::Transient),
        _ => None,
    }
}

/// The first SMTP reply code in a text: three digits that stand alone, followed by a space, a hyphen or nothing.
fn basic_code(text: &str) -> Option<u16> {
    let octets = text.as_bytes();
    (0..octets.len().saturating_sub(2)).find_map(|at| {
        let code = octets.get(at..at + 3).filter(|code| code.iter().all(u8::is_ascii_digit))?;
        let before = at.checked_sub(1).map(|before| octets[before]);
        let alone = before.is_none_or(|b| matches!(b, b' ' | b':' | b';' | b'"' | b'(' | b'<' | b'\''))
            && octets.get(at + 3).is_none_or(|b| matches!(b, b' ' | b'-' | b':' | b'#' | b';'));
        let value = u16::from(code[0] - b'0') * 100 + u16::from(code[1] - b'0') * 10 + u16::from(code[2] - b'0');
        (alone && (400..560).contains(&value)).then_some(value)
    })
}

/// The first enhanced status code such as `5.1.1` in a text (RFC 3463), unless it is part of a longer number such as an address.
pub fn enhanced_status(text: &str) -> Option<String> {
    text.split(|c: char| !(c.is_ascii_digit() || c == '.')).find_map(|word| {
        let word = word.trim_matches('.');
        let parts: Vec<&str> = word.split('.').collect();
        let fits = parts.len() == 3 && matches!(parts[0], "4" | "5") && parts[1..].iter().all(|part| (1..=3).contains(&part.len()));
        fits.then(|| word.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_providers_decide_before_their_general_codes() {
        for (status, text, class) in [
            ("5.1.1", "550 5.1.1 The email account that you tried to reach does not exist", BounceClass::AddressDead),
            ("5.7.26", "Unauthenticated email from example.org is not accepted due to domain's DMARC policy", BounceClass::Policy),
            ("5.0.0", "smtp; 550 spf check failed", BounceClass::Policy),
            ("5.2.2", "", BounceClass::MailboxFull),
            ("4.2.2", "452 4.2.2 The recipient's inbox is full", BounceClass::MailboxFull),
            ("5.3.4", "", BounceClass::Content),
            ("5.7.1", "relaying denied", BounceClass::Policy),
            ("5.4.4", "", BounceClass::AddressDead),
            ("4.4.1", "connect timed out", BounceClass::Transient),
            ("5.4.1", "550 5.4.1 Recipient address rejected: Access denied. AS(201806281)", BounceClass::AddressDead),
            ("5.7.1", "550 5.7.1 Client host rejected: Access denied", BounceClass::Policy),
            ("5.0.0", "550 5.1.1 nobody here by that name, we fear", BounceClass::AddressDead),
            ("", "", BounceClass::Unknown),
        ] {
            assert_eq!(classify(status, text), class, "{status} {text}");
        }
    }

    #[test]
    fn numbers_of_hosts_are_no_status() {
        assert_eq!(enhanced_status("host 203.0.113.4 said 550"), None);
        assert_eq!(enhanced_status("550-5.1.1 no"), Some("5.1.1".into()));
        assert_eq!(enhanced_status("mail.example (5.4.3.2)"), None);
        assert_eq!(basic_code("host mx1.example[203.0.113.4] said: 552 too much"), Some(552));
        assert_eq!(basic_code("port 5525"), None);
    }
}
