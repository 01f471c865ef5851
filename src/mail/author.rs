//! The one author of a message, read so strictly that two readers cannot see two of them.

use crate::domain::address::EmailAddress;

/// The one mailbox of the one From.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Author {
    /// Her address.
    pub address: EmailAddress,
    /// Display name, decoded, in one line, without controls; may be empty.
    pub name: String,
}

/// Why a message has not exactly one author; its text goes into `Rule::FromUnclear`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthorDoubt {
    /// No From field.
    #[error("there is no From field")]
    Missing,
    /// Several From fields.
    #[error("there are {0} From fields")]
    Fields(usize),
    /// Something else than one plain mailbox.
    #[error("{0}")]
    Form(String),
}
