//! `enlace liaison` as people type it.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::Change;

/// Which statements.
#[derive(Debug, Clone, Default, Args)]
pub struct LiaisonFilter {
    /// Kept for this group, such as SG12RG-AMR.
    #[arg(long, value_name = "CODE")]
    pub group: Option<String>,
    /// `incoming` or `outgoing`.
    #[arg(long)]
    pub direction: Option<String>,
    /// With a destination for `action`, `comment` or `information`.
    #[arg(long)]
    pub purpose: Option<String>,
    /// Such as `held`, `awaiting-reply`, `overdue`.
    #[arg(long)]
    pub state: Option<String>,
    /// Such as 7/12.
    #[arg(long)]
    pub question: Option<String>,
    /// Deadline on this day or later.
    #[arg(long, value_name = "DATE")]
    pub deadline_from: Option<String>,
    /// Deadline on this day or earlier.
    #[arg(long, value_name = "DATE")]
    pub deadline_to: Option<String>,
    /// Words in title, text, source, destinations, contacts or files.
    #[arg(long, value_name = "WORDS")]
    pub text: Option<String>,
}

/// Liaison statements.
#[derive(Debug, Clone, Subcommand)]
pub enum Liaison {
    /// The register, the latest first.
    List {
        /// Which.
        #[command(flatten)]
        filter: LiaisonFilter,
    },
    /// One statement with its problems, its readers and what happened to it.
    Show {
        /// Identifier, symbol (SG12-TD364) or number (SG12RG-AMR-LS3).
        id: String,
    },
    /// Take a statement from a file, as if the secretariat had mailed it; `--dry-run` shows what would be understood.
    Submit {
        /// A mail; `-` is standard input.
        file: PathBuf,
        /// For this group; without it, the mail's own To, then the source of the statement say which.
        #[arg(long, value_name = "CODE")]
        group: Option<String>,
        /// Whether to change anything.
        #[command(flatten)]
        change: Change,
    },
    /// Correct single fields by lines such as `Deadline: 22 January 2027`.
    Correct {
        /// Identifier, symbol or number.
        id: String,
        /// A text with the lines; `-` is standard input.
        file: PathBuf,
        /// Whether to change anything.
        #[command(flatten)]
        change: Change,
    },
    /// Send it now, without waiting for its grace time or for a missing language.
    Circulate {
        /// Identifier, symbol or number.
        id: String,
        /// Whether to change anything.
        #[command(flatten)]
        change: Change,
    },
    /// Take it back; whoever got it gets a notice.
    Withdraw {
        /// Identifier, symbol or number.
        id: String,
        /// What readers are told.
        #[arg(long, value_name = "TEXT", default_value = "")]
        reason: String,
        /// Whether to change anything.
        #[command(flatten)]
        change: Change,
    },
    /// Note that another statement answers it; its reminders stop.
    Answer {
        /// The statement that is answered.
        id: String,
        /// The statement that answers it.
        #[arg(long, value_name = "ID")]
        with: String,
        /// Whether to change anything.
        #[command(flatten)]
        change: Change,
    },
    /// Note that a body has it.
    Acknowledge {
        /// Identifier, symbol or number.
        id: String,
        /// The body that says so, as the statement names it; may be left out where only one is addressed.
        #[arg(long, value_name = "BODY")]
        by: Option<String>,
        /// Whether to change anything.
        #[command(flatten)]
        change: Change,
    },
    /// Note that what it asks for was done without a statement; its reminders stop.
    Take {
        /// Identifier, symbol or number.
        id: String,
        /// What was done, and by whom.
        #[arg(long, value_name = "TEXT")]
        note: String,
        /// Whether to change anything.
        #[command(flatten)]
        change: Change,
    },
    /// Let somebody else hold the action: reminders go there from now on.
    Reassign {
        /// Identifier, symbol or number.
        id: String,
        /// An address.
        #[arg(long, value_name = "ADDRESS")]
        to: String,
        /// Whether to change anything.
        #[command(flatten)]
        change: Change,
    },
    /// Send it again to one of its recipients, in the form in which it went to her.
    Resend {
        /// Identifier, symbol or number.
        id: String,
        /// Address of a recipient.
        address: String,
        /// Whether to change anything.
        #[command(flatten)]
        change: Change,
    },
    /// Nothing more is expected; its reminders stop.
    Close {
        /// Identifier, symbol or number.
        id: String,
        /// Whether to change anything.
        #[command(flatten)]
        change: Change,
    },
    /// The register as a table, a JSON document, or the mails themselves with their hashes.
    Export {
        /// Which.
        #[command(flatten)]
        filter: LiaisonFilter,
        /// In which form; without it a table, or JSON with `--json`.
        #[arg(long)]
        format: Option<ExportFormat>,
    },
    /// How a subscriber takes the statements of a group: each by itself, or some of them as a daily digest.
    Digest {
        /// Such as SG12.
        code: String,
        /// Address of a subscriber.
        address: String,
        /// Each statement by itself again.
        #[arg(long, conflicts_with = "at_once")]
        off: bool,
        /// Purposes and Questions that still come at once, such as `action,7/12`.
        #[arg(long, value_name = "WORDS", default_value = "")]
        at_once: String,
        /// Of those in the digest, only these purposes, such as `comment`.
        #[arg(long, value_name = "PURPOSES", value_delimiter = ',')]
        shown: Vec<String>,
        /// Whether to change anything.
        #[command(flatten)]
        change: Change,
    },
}

/// Form of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// A line a statement.
    Csv,
    /// Everything.
    Json,
    /// The mails, with a list of hashes in front.
    Mbox,
}
