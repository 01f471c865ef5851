//! `enlace backup`, `enlace restore` and `enlace store` as people type them.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Change;

/// Options of `backup`.
#[derive(Debug, Clone, Args)]
pub struct Backup {
    /// Where to; never written over. A tar file with checksums.
    pub file: PathBuf,
    /// Leave out the message bodies that this earlier backup holds; both are needed to restore.
    #[arg(long, value_name = "FILE")]
    pub base: Option<PathBuf>,
    /// Whether to change anything.
    #[command(flatten)]
    pub change: Change,
}

/// Options of `restore`.
#[derive(Debug, Clone, Args)]
pub struct Restore {
    /// The backup.
    pub file: PathBuf,
    /// A backup that it builds on, the oldest first.
    #[arg(long, value_name = "FILE")]
    pub base: Vec<PathBuf>,
    /// Set aside an embedded store that is there (kept beside the new one), or empty the database.
    #[arg(long)]
    pub force: bool,
    /// Check the files and change nothing.
    #[command(flatten)]
    pub change: Change,
}

/// The store itself.
#[derive(Debug, Clone, Subcommand)]
pub enum Store {
    /// Copy everything into another, empty store, and compare in the end. No daemon may use either. Run again, it goes on.
    Copy {
        /// `sled:FOLDER` (a data folder), `postgres://…`, or `url-file:FILE` with such a URL in it.
        #[arg(long, value_name = "STORE")]
        to: String,
        /// The same; without it the store that the configuration names.
        #[arg(long, value_name = "STORE")]
        from: Option<String>,
        /// Whether to change anything.
        #[command(flatten)]
        change: Change,
    },
    /// Put the embedded store back as it was before a newer program rewrote it; what is there now is set aside. No daemon may run.
    Back {
        /// Whether to change anything.
        #[command(flatten)]
        change: Change,
    },
    /// Bring the tables of the PostgreSQL database to the version of this program. Forward only: back up before.
    Migrate {
        /// Whether to change anything.
        #[command(flatten)]
        change: Change,
    },
}
