//! The command line as people type it.
//!
//! Only clap and the standard library, because the build script includes this file to write the man page and the
//! completions. Addresses, codes and identifiers stay text here; the command's own file parses them once and says what is wrong.
//! A command that is not in this tree does not exist: nothing is announced that does not work.

#[path = "arguments/account.rs"]
mod account;
#[path = "arguments/archive.rs"]
mod archive;
#[path = "arguments/group.rs"]
mod group;
#[path = "arguments/hold.rs"]
mod hold;
#[path = "arguments/liaison.rs"]
mod liaison;
#[path = "arguments/meeting.rs"]
mod meeting;
#[path = "arguments/member.rs"]
mod member;
#[path = "arguments/store.rs"]
mod store;
#[path = "arguments/webhook.rs"]
mod webhook;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub use account::{Account, Directory};
pub use archive::{Archive, Migrate, OldSystem};
pub use group::Group;
pub use hold::Hold;
pub use liaison::{ExportFormat, Liaison, LiaisonFilter};
pub use meeting::Meeting;
pub use member::{DeliveryChoice, Member, MemberOptions, RoleChoice};
pub use store::{Backup, Restore, Store};
pub use webhook::Webhook;

/// Mailing lists, meeting announcements and liaison statements for regional groups.
///
/// Without a command it serves, with the configuration that is there. Every command works whether or not the daemon runs:
/// when it does, the command is handed to it through its control socket.
///
/// Exit status: 0 done, 1 refused or failed (the reason is on standard error), 2 wrong usage.
#[derive(Debug, Clone, Parser)]
#[command(name = "enlace", version, max_term_width = 100, disable_help_subcommand = true)]
pub struct Arguments {
    /// The configuration file; without it `config/enlace.toml`, then `/etc/enlace/enlace.toml`.
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Print one JSON document to standard output and nothing else.
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What to do.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Run the daemon. Prints one line per listener once it accepts; SIGTERM finishes what is open and ends it.
    Serve(Serve),
    /// Show the whole story in a temporary folder, without any mail server.
    Demo(Demo),
    /// Check configuration, templates, store, relay and clock: one line each, and how to mend what is wrong.
    Check,
    /// Groups: regional groups, their parents, and other bodies.
    #[command(subcommand)]
    Group(Group),
    /// Accounts of the directory.
    #[command(subcommand)]
    Account(Account),
    /// Where accounts come from besides imports.
    #[command(subcommand)]
    Directory(Directory),
    /// Subscribers of a group.
    #[command(subcommand)]
    Member(Member),
    /// Posts that wait for a moderator or for their author.
    #[command(subcommand)]
    Hold(Hold),
    /// Mail that came back: scores, and what a report says.
    #[command(subcommand)]
    Bounce(Bounce),
    /// Liaison statements: the register, and what is done by hand.
    #[command(subcommand)]
    Liaison(Liaison),
    /// What groups distributed: search, import, export, verify.
    #[command(subcommand)]
    Archive(Archive),
    /// Bring a list over from another system: members, settings, archive; with a rehearsal.
    Migrate(Migrate),
    /// Meetings with their deadlines and the plan of their notices.
    #[command(subcommand)]
    Meeting(Meeting),
    /// Outgoing mail.
    #[command(subcommand)]
    Queue(Queue),
    /// Write a consistent copy of everything to a file, while the daemon runs or not.
    Backup(Backup),
    /// Fill an empty store from a backup; the daemon must not run.
    Restore(Restore),
    /// The store itself: its version, and copies between its kinds.
    #[command(subcommand)]
    Store(Store),
    /// Keys with which copies are signed.
    #[command(subcommand)]
    Dkim(Dkim),
    /// Who did what, newest first: every administrative act, append-only.
    Audit(Audit),
    /// The secret of all tokens.
    #[command(subcommand)]
    Key(Key),
    /// Why an address did, did not or will get a message: the whole trail.
    Explain(Explain),
    /// Tokens of programs that use the API.
    #[command(subcommand)]
    Token(Token),
    /// Programs that are told what happens, by signed requests.
    #[command(subcommand)]
    Webhook(Webhook),
    /// Print the completions for a shell.
    Completions {
        /// Which shell.
        shell: Shell,
    },
    /// Print the man pages (`enlace man | man -l -`).
    Man,
    /// The text of a PDF on standard input, within limits on time and memory; run by the daemon.
    #[command(hide = true)]
    PdfText,
}

/// Options of `serve`.
#[derive(Debug, Clone, Default, Args)]
pub struct Serve {
    /// Start the clock there and let it run on (rehearsals, tests), such as 2027-01-15T08:00:00Z.
    #[arg(long, value_name = "RFC3339")]
    pub clock: Option<String>,
}

/// Options of `demo`.
#[derive(Debug, Clone, Default, Args)]
pub struct Demo {
    /// Stop when the story is told, instead of leaving the web pages up.
    #[arg(long)]
    pub once: bool,
}

/// Of a command that changes something.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct Change {
    /// Print the same report and change nothing.
    #[arg(long)]
    pub dry_run: bool,
}

/// A part of a long list, in the order in which its entries were made; a whole list of accounts is by address.
#[derive(Debug, Clone, Default, Args)]
pub struct Part {
    /// At most so many, with the mark behind which the rest begins.
    #[arg(long, value_name = "NUMBER")]
    pub limit: Option<usize>,
    /// Behind this mark.
    #[arg(long, value_name = "MARK", requires = "limit")]
    pub after: Option<String>,
}

/// What came back.
#[derive(Debug, Clone, Subcommand)]
pub enum Bounce {
    /// Members whose mail came back, the worst first, with score, class and the remote server's words.
    List {
        /// Only of this group, such as SG12RG-AMR.
        code: Option<String>,
    },
    /// Forget the scores of an address and bring its subscriptions back.
    Reset {
        /// Any of the account's addresses.
        address: String,
        /// Whether to change anything.
        #[command(flatten)]
        change: Change,
    },
    /// What Enlace makes of messages that came back: one line of JSON a file. Needs neither configuration nor daemon.
    Parse {
        /// Messages as they came; `-` is standard input.
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
}

/// Outgoing mail.
#[derive(Debug, Clone, Subcommand)]
pub enum Queue {
    /// How many copies are in each state, and the posts that are still open.
    List,
    /// Try now what waits.
    Retry {
        /// Only this post.
        id: Option<String>,
        /// Whether to change anything.
        #[command(flatten)]
        change: Change,
    },
    /// Hand nothing more to the relay; mail is still taken in.
    Pause {
        /// Whether to change anything.
        #[command(flatten)]
        change: Change,
    },
    /// Go on.
    Resume {
        /// Whether to change anything.
        #[command(flatten)]
        change: Change,
    },
    /// Give up the open copies of a post.
    Drop {
        /// From `queue list`.
        id: String,
        /// Whether to change anything.
        #[command(flatten)]
        change: Change,
    },
}

/// Signing keys.
#[derive(Debug, Clone, Subcommand)]
pub enum Dkim {
    /// Make a private key and print the DNS record that belongs to it. An existing file is never overwritten.
    Generate {
        /// Where the key is written, readable for its owner only.
        file: PathBuf,
        /// An Ed25519 key (RFC 8463) instead of RSA; not every receiver knows them, so use one beside an RSA key.
        #[arg(long)]
        ed25519: bool,
        /// Name of the key in the DNS.
        #[arg(long, default_value = "enlace")]
        selector: String,
    },
}

/// Of which part of the trail.
#[derive(Debug, Clone, Args)]
pub struct Audit {
    /// Only acts in this group.
    #[arg(long, value_name = "CODE")]
    pub group: Option<String>,
    /// How many entries at most.
    #[arg(long, default_value_t = 100)]
    pub limit: usize,
}

/// The secret of all tokens.
#[derive(Debug, Clone, Subcommand)]
pub enum Key {
    /// Since when there are which keys.
    List,
    /// Make a new key for tokens from now on; those of earlier keys are still read until `key forget`.
    Rotate {
        /// Whether to change anything.
        #[command(flatten)]
        change: Change,
    },
    /// Read tokens of earlier keys no more: links in old mail end, people sign in anew.
    Forget {
        /// Whether to change anything.
        #[command(flatten)]
        change: Change,
    },
}

/// Of which message, for whom.
#[derive(Debug, Clone, Args)]
pub struct Explain {
    /// With or without angle brackets.
    #[arg(value_name = "MESSAGE-ID")]
    pub message_id: String,
    /// Only for this address.
    pub address: Option<String>,
}

/// Tokens of the API.
#[derive(Debug, Clone, Subcommand)]
pub enum Token {
    /// Make a token; it is shown once, now.
    Create {
        /// What it is called.
        #[arg(long)]
        name: String,
        /// What it may do: `read`, `write`, `all`, or parts such as `members,meetings:read`; `members@SG12RG-AMR` for one group.
        #[arg(long, value_name = "SCOPE", value_delimiter = ',', required = true)]
        scope: Vec<String>,
        /// Its last day.
        #[arg(long, value_name = "DATE")]
        expires: Option<String>,
        /// Whether to change anything.
        #[command(flatten)]
        change: Change,
    },
    /// All tokens, without their secrets.
    List,
    /// End a token at once.
    Revoke {
        /// From `token list`.
        name: String,
        /// Whether to change anything.
        #[command(flatten)]
        change: Change,
    },
}

/// A shell with completions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// GNU Bash.
    Bash,
    /// Elvish.
    Elvish,
    /// fish.
    Fish,
    /// PowerShell.
    Powershell,
    /// Z shell.
    Zsh,
}
