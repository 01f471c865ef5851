//! The command line as people type it.
//!
//! Only clap and the standard library, because the build script includes this file to write the man page and the
//! completions. Addresses, codes and identifiers stay text here; the command's own file parses them once and says what is wrong.
//! A command that is not in this tree does not exist: nothing is announced that does not work.

#[path = "arguments/liaison.rs"]
mod liaison;
#[path = "arguments/webhook.rs"]
mod webhook;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub use liaison::{ExportFormat, Liaison, LiaisonFilter};
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
        /// Such as `release_by=2`, `banned=@spam.example`, `grace=10` (minutes) or `purpose.es=…`; keys are those of the groups file.
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

/// Held posts.
#[derive(Debug, Clone, Subcommand)]
pub enum Hold {
    /// What waits, oldest first.
    List {
        /// Which part.
        #[command(flatten)]
        part: Part,
    },
    /// One held post: who, why, and the beginning of its text.
    Show {
        /// From `hold list`.
        id: String,
    },
    /// Distribute it.
    Release {
        /// From `hold list`.
        id: String,
        /// Let its proved sender through always from now on.
        #[arg(long)]
        always: bool,
        /// Whether to change anything.
        #[command(flatten)]
        change: Change,
    },
    /// Send it back to its author with a reason, if he is proved.
    Reject {
        /// From `hold list`.
        id: String,
        /// What the author is told.
        #[arg(long, value_name = "TEXT")]
        reason: String,
        /// Whether to change anything.
        #[command(flatten)]
        change: Change,
    },
    /// Drop it without a word.
    Discard {
        /// From `hold list`.
        id: String,
        /// Whether to change anything.
        #[command(flatten)]
        change: Change,
    },
    /// Senders whom the moderators of a group always let through.
    Allowed {
        /// Acronym, such as SG12RG-AMR.
        code: String,
    },
    /// Let these senders through no longer: their posts are judged like everybody's.
    Disallow {
        /// Acronym, such as SG12RG-AMR.
        code: String,
        /// Addresses from `hold allowed`.
        #[arg(required = true, value_name = "ADDRESS")]
        addresses: Vec<String>,
        /// Whether to change anything.
        #[command(flatten)]
        change: Change,
    },
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
