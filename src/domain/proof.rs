//! Whether a sender is who the visible From says, as far as somebody proved it.
//!
//! The visible From proves nothing (CONTRACT 3). How a proof is found is `smtp::proof`'s business; here is only its value.

use serde::{Deserialize, Serialize};

use super::address::EmailAddress;

/// By what means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProofMethod {
    /// SMTP AUTH on the submission listener.
    Auth,
    /// A DKIM signature that verified and is aligned with From (RFC 6376, RFC 7489 section 3.1.1).
    Dkim,
    /// SPF passed for a reverse-path aligned with From (RFC 7208, RFC 7489 section 3.1.2).
    Spf,
    /// DMARC passed (RFC 7489).
    Dmarc,
    /// The author answered a confirmation mail.
    Confirmed,
    /// Given on the command line by the operator.
    Operator,
    /// Taken without proof, because `senders.verify = "none"` (tests only).
    Trusted,
}

impl ProofMethod {
    /// As in logs and `explain`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::Dkim => "dkim",
            Self::Spf => "spf",
            Self::Dmarc => "dmarc",
            Self::Confirmed => "confirmed",
            Self::Operator => "operator",
            Self::Trusted => "trusted",
        }
    }
}

/// What is known about the author of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum SenderProof {
    /// `author` sent it, shown by `method`.
    Proved {
        /// The one mailbox of the one From.
        author: EmailAddress,
        /// By what means.
        method: ProofMethod,
    },
    /// From says `author`, and nothing shows it.
    Unproved {
        /// The one mailbox of the one From.
        author: EmailAddress,
        /// What was looked at, for the log and `explain`.
        tried: String,
    },
}

impl SenderProof {
    /// The mailbox From names.
    pub fn author(&self) -> &EmailAddress {
        match self {
            Self::Proved { author, .. } | Self::Unproved { author, .. } => author,
        }
    }

    /// Is it shown?
    pub fn is_proved(&self) -> bool {
        matches!(self, Self::Proved { .. })
    }
}
