//! `enlace archive` and `enlace migrate` as people type them.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::Change;

/// Archives.
#[derive(Debug, Clone, Subcommand)]
pub enum Archive {
    /// Posts that answer a question: all of its words in any form, "words in order", -unwanted, from:name, subject:word, after:2026-01-31.
    Search {
        /// Such as SG12RG-AMR.
        code: String,
        /// What is looked for.
        #[arg(required = true)]
        query: Vec<String>,
        /// How many are shown.
        #[arg(long, default_value_t = 20)]
        limit: usize,
        /// How many of the best are passed over.
        #[arg(long, default_value_t = 0)]
        offset: usize,
    },
    /// Take the mails of a mailbox file into the archive; nobody gets them. Can be interrupted and repeated.
    Import {
        /// Such as SG12RG-AMR.
        code: String,
        /// A file in mbox form; `-` is standard input.
        file: PathBuf,
        /// Whether to change anything.
        #[command(flatten)]
        change: Change,
    },
    /// The archive as a mailbox file.
    Export {
        /// Such as SG12RG-AMR.
        code: String,
    },
    /// The address of a subscriber's private feed of the archive (Atom), for archives that are not public.
    Feed {
        /// Such as SG12RG-AMR.
        code: String,
        /// Any address of her account.
        address: String,
        /// Make new addresses of her feeds and her calendar; those before end.
        #[arg(long)]
        renew: bool,
    },
    /// Read everything again and compare it with the sealed manifests.
    Verify {
        /// Such as SG12RG-AMR.
        code: String,
    },
    /// Seal the months that are over; the service does it by itself each month.
    Seal {
        /// Such as SG12RG-AMR.
        code: String,
    },
    /// Make the search index again; searches find less meanwhile.
    Rebuild,
}

/// Options of `migrate`.
#[derive(Debug, Clone, Args)]
pub struct Migrate {
    /// Which system the list comes from.
    pub system: OldSystem,
    /// What the system keeps of the list: its folder, its configuration file, or an export.
    pub path: PathBuf,
    /// The group that takes the list over, such as SG12RG-AMR.
    #[arg(long)]
    pub group: String,
    /// The archive, if it lies elsewhere: an mbox file, or a folder with raw mails.
    #[arg(long, value_name = "PATH")]
    pub archive: Option<PathBuf>,
    /// The address of the old list, if its files do not tell: its mail and links come here.
    #[arg(long, value_name = "ADDRESS")]
    pub address: Option<String>,
    /// Give guest accounts to subscribers that the directory does not know.
    #[arg(long)]
    pub create_guests: bool,
    /// Whether to change anything.
    #[command(flatten)]
    pub change: Change,
}

/// A system that lists come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OldSystem {
    /// Mailman 2.1: `lists/NAME` or its `config.pck`.
    Mailman2,
    /// Mailman 3: the JSON that `deploy/mailman3_export.py` writes.
    Mailman3,
    /// Sympa: the folder of the list, with its dumps of members.
    Sympa,
    /// mlmmj: the folder of the list.
    Mlmmj,
}
