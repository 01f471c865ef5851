//! What a failure report means: verdict classes.
//!
//! A policy rejection is about the sender or the text, never about the member; a delay is no failure (DSN action
//! `delayed`, RFC 3464 section 2.3.3). Classes follow the enhanced status codes of RFC 3463 and its registry, corrected
//! by the words that large providers use with them.

use serde::{Deserialize, Serialize};

/// What a report says of one recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
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

/// Words that decide before the status does, because providers use general codes with plain words. Lower case, first found wins.
const WORDS: &[(&str, BounceClass)] = &[
    ("dmarc", BounceClass::Policy),
    ("spf check", BounceClass::Policy),
    ("spf fail", BounceClass::Policy),
    ("dkim", BounceClass::Policy),
    ("unauthenticated email", BounceClass::Policy),
    ("blocklist", BounceClass::Policy),
    ("blacklist", BounceClass::Policy),
    ("block list", BounceClass::Policy),
    ("spamhaus", BounceClass::Policy),
    ("poor reputation", BounceClass::Policy),
    ("low reputation", BounceClass::Policy),
    ("access denied", BounceClass::Policy),
    ("rate limit", BounceClass::Policy),
    ("over quota", BounceClass::MailboxFull),
    ("overquota", BounceClass::MailboxFull),
    ("quota exceeded", BounceClass::MailboxFull),
    ("exceeded quota", BounceClass::MailboxFull),
    ("mailbox full", BounceClass::MailboxFull),
    ("mailbox is full", BounceClass::MailboxFull),
    ("out of storage", BounceClass::MailboxFull),
    ("insufficient storage", BounceClass::MailboxFull),
    ("inbox is full", BounceClass::MailboxFull),
    ("message size exceeds", BounceClass::Content),
    ("message too large", BounceClass::Content),
    ("detected as spam", BounceClass::Content),
    ("spam message", BounceClass::Content),
    ("likely unsolicited", BounceClass::Content),
    ("virus", BounceClass::Content),
    ("user unknown", BounceClass::AddressDead),
    ("unknown user", BounceClass::AddressDead),
    ("no such user", BounceClass::AddressDead),
    ("no such recipient", BounceClass::AddressDead),
    ("does not exist", BounceClass::AddressDead),
    ("doesn't have a", BounceClass::AddressDead),
    ("mailbox unavailable", BounceClass::AddressDead),
    ("mailbox not found", BounceClass::AddressDead),
    ("recipient rejected", BounceClass::AddressDead),
    ("recipientnotfound", BounceClass::AddressDead),
    ("recipient not found", BounceClass::AddressDead),
    ("account has been disabled", BounceClass::AddressDead),
    ("account is disabled", BounceClass::AddressDead),
    ("host or domain name not found", BounceClass::AddressDead),
    ("domain not found", BounceClass::AddressDead),
];

/// The class of a report with this enhanced status (empty if none was given) and diagnostic text.
pub fn classify(status: &str, diagnostic: &str) -> BounceClass {
    let text = diagnostic.to_lowercase();
    if let Some((_, class)) = WORDS.iter().find(|(words, _)| text.contains(words)) {
        return *class;
    }
    let mut numbers = status.split('.').map(|part| part.trim().parse::<u16>().ok());
    match (numbers.next().flatten(), numbers.next().flatten(), numbers.next().flatten()) {
        (_, Some(2), Some(2)) => BounceClass::MailboxFull,
        (_, Some(2), Some(3)) | (_, Some(6), _) | (_, Some(3), Some(4)) => BounceClass::Content,
        (_, Some(7), _) => BounceClass::Policy,
        (Some(5), Some(1), Some(0..=4 | 6 | 10)) | (Some(5), Some(2), Some(0 | 1)) | (Some(5), Some(4), Some(4)) => {
            BounceClass::AddressDead
        }
        (Some(4), _, _) | (_, Some(4), _) => BounceClass::Transient,
        _ => BounceClass::Unknown,
    }
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
            ("", "", BounceClass::Unknown),
        ] {
            assert_eq!(classify(status, text), class, "{status} {text}");
        }
    }
}
