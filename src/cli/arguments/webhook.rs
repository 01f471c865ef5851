//! `enlace webhook` as people type it.

use clap::Subcommand;

use super::Change;

/// Webhooks.
#[derive(Debug, Clone, Subcommand)]
pub enum Webhook {
    /// Tell a program what happens from now on. The secret with which requests are signed is shown once, now.
    Add {
        /// What it is called.
        name: String,
        /// Where it listens, such as `https://hooks.example.org/enlace`.
        url: String,
        /// Only these events, such as `post.accepted,meeting.changed`.
        #[arg(long, value_name = "EVENTS", value_delimiter = ',')]
        events: Vec<String>,
        /// Only what happens in these groups.
        #[arg(long, value_name = "CODES", value_delimiter = ',')]
        groups: Vec<String>,
        /// Whether to change anything.
        #[command(flatten)]
        change: Change,
    },
    /// All webhooks, without their secrets: how far each is, and what is wrong with it.
    List,
    /// Tell the program nothing more.
    Remove {
        /// From `webhook list`.
        name: String,
        /// Whether to change anything.
        #[command(flatten)]
        change: Change,
    },
    /// Send an event of type `test` now and show what the program answers.
    Test {
        /// From `webhook list`.
        name: String,
        /// Send nothing, and only look whether there is such a webhook.
        #[command(flatten)]
        change: Change,
    },
    /// Tell the program again what happened from a time or behind an event on; also ends its rest.
    Replay {
        /// From `webhook list`.
        name: String,
        /// From this time on, such as 2027-01-15T08:00:00Z.
        #[arg(long, value_name = "RFC3339", required_unless_present = "after", conflicts_with = "after")]
        since: Option<String>,
        /// Only what happened behind this event.
        #[arg(long, value_name = "EVENT")]
        after: Option<String>,
        /// Whether to change anything.
        #[command(flatten)]
        change: Change,
    },
    /// Go on with a webhook that failed for too long; the program is told what it missed.
    Enable {
        /// From `webhook list`.
        name: String,
        /// Whether to change anything.
        #[command(flatten)]
        change: Change,
    },
    /// The latest events that can be replayed, newest first.
    Events {
        /// From this time on, such as 2027-01-15T08:00:00Z.
        #[arg(long, value_name = "RFC3339")]
        since: Option<String>,
        /// How many at most.
        #[arg(long, default_value_t = 100)]
        limit: usize,
    },
}
