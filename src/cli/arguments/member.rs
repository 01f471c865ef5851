//! `enlace member` as people type it.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::{Change, Part};

/// What can be set of a subscription.
#[derive(Debug, Clone, Default, Args)]
pub struct MemberOptions {
    /// What she may do in the group.
    #[arg(long)]
    pub role: Option<RoleChoice>,
    /// Languages in order of preference, such as `es,en`.
    #[arg(long, value_name = "LANGUAGES", value_delimiter = ',')]
    pub languages: Option<Vec<String>>,
    /// How posts reach her.
    #[arg(long)]
    pub delivery: Option<DeliveryChoice>,
    /// Last day of that delivery; afterwards each post by itself.
    #[arg(long, value_name = "DATE", requires = "delivery")]
    pub until: Option<String>,
    /// Days without mail, such as `"from 2027-01-10 until 2027-01-15"`, after which everything is as before; `none` ends them.
    #[arg(long, value_name = "DAYS")]
    pub absence: Option<String>,
    /// Streams that are on, such as `announce,liaison`.
    #[arg(long, value_name = "STREAMS", value_delimiter = ',')]
    pub streams: Option<Vec<String>>,
    /// All editions in her languages, instead of the first one there is.
    #[arg(long, value_name = "BOOL")]
    pub both: Option<bool>,
    /// Does she get her own posts?
    #[arg(long, value_name = "BOOL")]
    pub own_posts: Option<bool>,
    /// Links instead of attachments, for slow lines.
    #[arg(long, value_name = "BOOL")]
    pub links: Option<bool>,
    /// Are her posts held for a moderator first?
    #[arg(long, value_name = "BOOL")]
    pub moderated: Option<bool>,
    /// Digests as plain text instead of MIME.
    #[arg(long, value_name = "BOOL")]
    pub plain_digest: Option<bool>,
    /// Meetings as invitations to her alone, which every calendar program keeps up to date by itself.
    #[arg(long, value_name = "BOOL")]
    pub invitations: Option<bool>,
}

/// Subscribers.
#[derive(Debug, Clone, Subcommand)]
pub enum Member {
    /// Subscribe accounts; what the gate refuses is listed with its rule, the rest is done.
    Add {
        /// Such as SG12RG-AMR.
        code: String,
        /// Addresses of accounts; `-` reads one a line from standard input.
        #[arg(required = true, value_name = "ADDRESS")]
        addresses: Vec<String>,
        /// What to set.
        #[command(flatten)]
        options: MemberOptions,
        /// Invite somebody whom the region rule would not admit; `--invite=2027-06-30` until that day only.
        #[arg(long, value_name = "UNTIL", num_args = 0..=1, require_equals = true, default_missing_value = "")]
        invite: Option<String>,
        /// Whether to change anything.
        #[command(flatten)]
        change: Change,
    },
    /// End subscriptions; kept as a note, so that no import brings the person back.
    Remove {
        /// Such as SG12RG-AMR.
        code: String,
        /// Addresses of accounts; `-` reads one a line from standard input.
        #[arg(required = true, value_name = "ADDRESS")]
        addresses: Vec<String>,
        /// Whether to change anything.
        #[command(flatten)]
        change: Change,
    },
    /// Change subscriptions.
    Set {
        /// Such as SG12RG-AMR.
        code: String,
        /// Addresses of accounts; `-` reads one a line from standard input.
        #[arg(required = true, value_name = "ADDRESS")]
        addresses: Vec<String>,
        /// What to set.
        #[command(flatten)]
        options: MemberOptions,
        /// Whether to change anything.
        #[command(flatten)]
        change: Change,
    },
    /// All subscribers of a group, with state and reason.
    List {
        /// Such as SG12RG-AMR.
        code: String,
        /// Which part.
        #[command(flatten)]
        part: Part,
    },
    /// Subscribe everybody in a file.
    Import {
        /// Such as SG12RG-AMR.
        code: String,
        /// A CSV file whose first line names the columns, at least `email`; `-` is standard input.
        file: PathBuf,
        /// Whether to change anything.
        #[command(flatten)]
        change: Change,
    },
    /// The subscribers as CSV, in the form that `import` reads.
    Export {
        /// Such as SG12RG-AMR.
        code: String,
    },
}

/// Role of a subscriber.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RoleChoice {
    /// Reads and discusses.
    Member,
    /// Also decides on held posts.
    Moderator,
    /// Also on members, meetings and settings.
    Manager,
}

/// How posts reach a subscriber.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DeliveryChoice {
    /// Each post by itself.
    Each,
    /// Collected.
    Digest,
    /// Nothing.
    None,
}
