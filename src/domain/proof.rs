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
    /// It came by a way by which a message of hers came that she confirmed ([`SenderFindings::ways`]); never enough to announce or liaise.
    Remembered,
    /// A forwarder of `senders.arc_sealers` sealed that it was proved when it came in there (RFC 8617).
    Arc,
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
            Self::Remembered => "remembered",
            Self::Arc => "arc",
        }
    }
}

/// What the author's domain asks of others to do with mail that is not proved (RFC 7489 section 6.3).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum DmarcPolicy {
    /// It was not asked, or could not be.
    #[default]
    Unknown,
    /// Nothing, or it publishes no policy.
    None,
    /// To set it aside.
    Quarantine,
    /// To refuse it.
    Reject,
}

impl DmarcPolicy {
    /// Would a copy that is not proved be lost at other servers?
    pub fn is_strict(self) -> bool {
        matches!(self, Self::Quarantine | Self::Reject)
    }

    /// As in `Authentication-Results`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::None => "none",
            Self::Quarantine => "quarantine",
            Self::Reject => "reject",
        }
    }
}

/// The seals of earlier forwarders (RFC 8617), as found when the message came in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ArcChain {
    /// There are none.
    #[default]
    None,
    /// All of them hold.
    Pass,
    /// One is broken, or they could not be looked at: nothing may be sealed on top.
    Fail,
}

/// What was found about the sender when a message came in; stored with it, because a copy is rendered later.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SenderFindings {
    /// The results in the words of RFC 8601, without the identifier: `dkim=pass header.d=…`; empty if nothing was looked at.
    pub results: String,
    /// A DKIM signature of the author's own domain verified, so it holds in every copy whose signed parts are not touched.
    pub signed: bool,
    /// What her domain asks for.
    pub policy: DmarcPolicy,
    /// Seals of earlier forwarders.
    pub arc: ArcChain,
    /// By which ways it came that are shown but are not her own domain's: `dkim:D`, `spf:D`, `net:NETWORK`. Remembered for her
    /// when she confirms the message.
    pub ways: Vec<String>,
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
