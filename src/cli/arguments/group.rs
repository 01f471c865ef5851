//! `enlace group` as people type it.

use std::path::PathBuf;

use clap::Subcommand;

use super::Change;

/// Groups.
#[derive(Debug, Clone, Subcommand)]
pub enum Group {
    /// Add and change groups as the file says; prints what changes. Running it again changes nothing.
    Apply {
        /// A TOML file with `[[group]]` tables; `-` is standard input.
        file: PathBuf,
        /// Whether to change anything.
        #[command(flatten)]
        change: Change,
    },
    /// All groups.
    List,
    /// One group with its settings and addresses.
    Show {
        /// Such as SG12RG-AMR.
        code: String,
    },
    /// Change settings of a group. A groups file that is applied later sets them to what it says; `--dry-run` of it shows what goes back.
    Set {
        /// Such as SG12RG-AMR.
        code: String,
        /// Such as `release_by=2`, `banned=@spam.example`, `grace=10 min` or `purpose.es=…`; keys are those of the groups file.
        #[arg(required = true, value_name = "KEY=VALUE")]
        fields: Vec<String>,
        /// Whether to change anything.
        #[command(flatten)]
        change: Change,
    },
    /// Carry out a group's membership rules (`[[group.rule]]`); with `--dry-run` only show whom they add and remove, and why.
    Rules {
        /// Such as SG12RG-AMR.
        code: String,
        /// First put the rules of this file (`[[rule]]` tables; `-` is standard input) in the place of those there are.
        #[arg(long, value_name = "FILE")]
        from: Option<PathBuf>,
        /// Whether to change anything.
        #[command(flatten)]
        change: Change,
    },
    /// Begin a study period: lists with a period in their names get the new one, and every subscriber is asked whether she stays.
    NewPeriod {
        /// First and last year, such as 2025-2028.
        period: String,
        /// Last day for the answer; who has not answered rests from then on.
        #[arg(long, value_name = "DATE")]
        answer_by: String,
        /// Only these groups; without it all groups with a list.
        #[arg(long, value_name = "CODE", value_delimiter = ',')]
        group: Vec<String>,
        /// Whether to change anything.
        #[command(flatten)]
        change: Change,
    },
    /// End a group: it keeps its record and takes no more mail.
    Retire {
        /// Such as SG12RG-AMR.
        code: String,
        /// Whether to change anything.
        #[command(flatten)]
        change: Change,
    },
}
