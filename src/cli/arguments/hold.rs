//! `enlace hold` as people type it.

use clap::Subcommand;

use super::{Change, Part};

/// Held posts.
#[derive(Debug, Clone, Subcommand)]
pub enum Hold {
    /// What waits, oldest first.
    List {
        /// Which part.
        #[command(flatten)]
        part: Part,
    },
    /// One held post: who, why, and the beginning of its text.
    Show {
        /// From `hold list`.
        id: String,
    },
    /// Distribute it.
    Release {
        /// From `hold list`.
        id: String,
        /// Let its proved sender through always from now on.
        #[arg(long)]
        always: bool,
        /// Whether to change anything.
        #[command(flatten)]
        change: Change,
    },
    /// Send it back to its author with a reason, if he is proved.
    Reject {
        /// From `hold list`.
        id: String,
        /// What the author is told.
        #[arg(long, value_name = "TEXT")]
        reason: String,
        /// Whether to change anything.
        #[command(flatten)]
        change: Change,
    },
    /// Drop it without a word.
    Discard {
        /// From `hold list`.
        id: String,
        /// Whether to change anything.
        #[command(flatten)]
        change: Change,
    },
    /// Senders whom the moderators of a group always let through.
    Allowed {
        /// Acronym, such as SG12RG-AMR.
        code: String,
    },
    /// Let these senders through no longer: their posts are judged like everybody's.
    Disallow {
        /// Acronym, such as SG12RG-AMR.
        code: String,
        /// Addresses from `hold allowed`.
        #[arg(required = true, value_name = "ADDRESS")]
        addresses: Vec<String>,
        /// Whether to change anything.
        #[command(flatten)]
        change: Change,
    },
}
