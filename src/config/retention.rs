use std::time::Duration;

use serde::Deserialize;

use super::Span;

/// `[retention]`: how long things are kept; `"0"` is for ever.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Retention {
    /// Held posts and posts whose author never answered.
    pub held: Span,
    /// Requests that nobody answered.
    pub requests: Span,
    /// Marks of spent tokens, of repeated Message-IDs and of robot mail.
    pub marks: Span,
    /// The ledger: who got what.
    pub ledger: Span,
    /// What becomes of the posts of a person who is erased.
    pub erased_posts: ErasedPosts,
}

/// The posts of a person who is erased.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErasedPosts {
    /// They are the group's record and stay.
    Keep,
    /// Their place stays, without author and words.
    Redact,
}

impl Default for Retention {
    fn default() -> Self {
        let days = |days: u64| Span(Duration::from_secs(days * 86_400));
        Self { held: days(14), requests: days(14), marks: days(60), ledger: days(0), erased_posts: ErasedPosts::Keep }
    }
}
