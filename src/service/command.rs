//! A command of the command line, carried out for somebody who is not at a terminal.
//!
//! The API says the same words as the command line and gets the same JSON, so that there is one handler and one set of keys.
//! The handler lives with the commands (`cli::execute`); this is only what a shell that has none of its own asks it by.

use async_trait::async_trait;
use serde_json::Value;

use super::Actor;

/// Words, files and who asks.
#[derive(Debug, Clone)]
pub struct Order {
    /// As on the command line, without the program's name.
    pub words: Vec<String>,
    /// Contents of the files that the words name; `-` is the one that is read from standard input.
    pub files: Vec<(String, Vec<u8>)>,
    /// For the audit trail.
    pub actor: Actor,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// It was carried out; `problems` says what was refused while the rest was done.
    Done {
        /// What `--json` prints.
        json: Value,
        /// One line each.
        problems: Vec<String>,
    },
    /// Nothing was done.
    Failed {
        /// What kind of failure.
        kind: Kind,
        /// What is wrong.
        text: String,
        /// What to do about it; may be empty.
        remedy: String,
    },
}

/// Why nothing was done, by what the asker can do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub enum Kind {
    /// What was named does not exist.
    NotFound,
    /// What was given is wrong.
    #[default]
    Invalid,
    /// A rule refused.
    Refused,
    /// Ours: store, template.
    Broken,
}

/// Carries orders out.
#[async_trait]
pub trait Commands: Send + Sync + 'static {
    /// One order.
    async fn carry_out(&self, order: Order) -> Outcome;
}
