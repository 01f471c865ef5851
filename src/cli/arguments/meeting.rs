//! `enlace meeting` as people type it.

use std::path::PathBuf;

use clap::Subcommand;

use super::Change;

/// Meetings.
#[derive(Debug, Clone, Subcommand)]
pub enum Meeting {
    /// Add and change meetings as the file says; notices follow by themselves. Running it again changes nothing.
    Apply {
        /// A TOML file with `[[meeting]]` tables; `-` is standard input.
        file: PathBuf,
        /// Whether to change anything.
        #[command(flatten)]
        change: Change,
    },
    /// All meetings.
    List {
        /// Only those of this group.
        #[arg(long, value_name = "CODE")]
        group: Option<String>,
    },
    /// One meeting with its parts, deadlines and changes.
    Show {
        /// From `meeting list`.
        id: String,
    },
    /// Every notice with its time, state and reason.
    Plan {
        /// From `meeting list`.
        id: String,
    },
    /// Cancel a meeting: readers are told, calendars take it back.
    Cancel {
        /// From `meeting list`.
        id: String,
        /// Whether to change anything.
        #[command(flatten)]
        change: Change,
    },
    /// Put a meeting off: readers are told, calendars take the dates back; `apply` with new dates brings it back.
    Postpone {
        /// From `meeting list`.
        id: String,
        /// Whether to change anything.
        #[command(flatten)]
        change: Change,
    },
    /// Take one group out of a joint meeting: its own subscribers get the cancellation, the others the change.
    Withdraw {
        /// From `meeting list`.
        id: String,
        /// Not the leading one.
        #[arg(long, value_name = "CODE")]
        group: String,
        /// Whether to change anything.
        #[command(flatten)]
        change: Change,
    },
    /// Add the letter that convenes a meeting; it goes with the announcement and with what changes later.
    Letter {
        /// From `meeting list`.
        id: String,
        /// Such as "TSB Collective letter 1/SG12RG-AMR"; needed the first time.
        #[arg(long, value_name = "TEXT")]
        reference: Option<String>,
        /// The letter itself, a PDF or Word file.
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
        /// Whether to change anything.
        #[command(flatten)]
        change: Change,
    },
    /// Add the report of a meeting that is over; it goes to its groups and their parents.
    Report {
        /// From `meeting list`.
        id: String,
        /// Such as SG12RG-AMR-R1.
        #[arg(long, value_name = "TEXT")]
        reference: String,
        /// The report itself, a PDF or Word file.
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
        /// Where it is to be read.
        #[arg(long, value_name = "URL")]
        url: Option<String>,
        /// How many took part.
        #[arg(long, value_name = "NUMBER")]
        attendance: Option<u32>,
        /// Whether to change anything.
        #[command(flatten)]
        change: Change,
    },
    /// The address of a person's private calendar over all her groups.
    Feed {
        /// Any address of her account.
        address: String,
        /// Make a new address; the one before ends.
        #[arg(long)]
        renew: bool,
    },
    /// The calendar object, as readers get it.
    Ics {
        /// From `meeting list`.
        id: String,
    },
}
