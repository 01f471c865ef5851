//! `enlace account` and `enlace directory` as people type them.

use std::path::PathBuf;

use clap::Subcommand;

use super::{Change, Part};

/// Accounts.
#[derive(Debug, Clone, Subcommand)]
pub enum Account {
    /// Add and change accounts as the file says, and let every subscription follow.
    Import {
        /// A CSV file whose first line names the columns, at least `email` and `kind`; `-` is standard input.
        file: PathBuf,
        /// Also remove who is absent from the file.
        #[arg(long)]
        sync: bool,
        /// Let `--sync` remove more than 10 % of the accounts.
        #[arg(long, requires = "sync")]
        force: bool,
        /// Take persons in who were erased here before.
        #[arg(long)]
        readmit: bool,
        /// Whether to change anything.
        #[command(flatten)]
        change: Change,
    },
    /// All accounts.
    List {
        /// Which part.
        #[command(flatten)]
        part: Part,
    },
    /// One account with its subscriptions.
    Show {
        /// Any of the account's addresses.
        address: String,
    },
    /// Change fields of an account.
    Set {
        /// Any of the account's addresses.
        address: String,
        /// Such as `country=MX`, `expires=2027-12-31` or `study_groups=SG12;SG3`; an empty value clears.
        #[arg(required = true, value_name = "KEY=VALUE")]
        fields: Vec<String>,
        /// Whether to change anything.
        #[command(flatten)]
        change: Change,
    },
    /// Suspend an account; its subscriptions rest until `set ADDRESS standing=active`.
    Suspend {
        /// Any of the account's addresses.
        address: String,
        /// Shown to managers.
        #[arg(long, value_name = "TEXT", default_value = "")]
        reason: String,
        /// Whether to change anything.
        #[command(flatten)]
        change: Change,
    },
    /// Set the password with which a person sends through the submission listener; one line from standard input.
    Password {
        /// Any of the account's addresses.
        address: String,
        /// Make a random one and print it, this once.
        #[arg(long, conflicts_with = "clear")]
        generate: bool,
        /// Take it away.
        #[arg(long)]
        clear: bool,
        /// Whether to change anything.
        #[command(flatten)]
        change: Change,
    },
    /// Erase a person: account, subscriptions and what names them, but for the ledger's count.
    Erase {
        /// Any of the account's addresses.
        address: String,
        /// Whether to change anything.
        #[command(flatten)]
        change: Change,
    },
    /// Everything that is kept about a person, as JSON.
    Export {
        /// Any of the account's addresses.
        address: String,
    },
}

/// Directories.
#[derive(Debug, Clone, Subcommand)]
pub enum Directory {
    /// Read the LDAP server of `[directory.ldap]` and let the accounts follow; `schedule.directory_sync` does it by itself.
    Sync {
        /// Let it remove more than 10 % of its accounts.
        #[arg(long)]
        force: bool,
        /// Read everybody anew, not only who changed since the last time.
        #[arg(long)]
        full: bool,
        /// Whether to change anything.
        #[command(flatten)]
        change: Change,
    },
}
