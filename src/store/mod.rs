//! Disk: one trait in the domain's own verbs, one conformance suite for every backend.
//!
//! The record is the truth, signals are only bells: a verb that makes work writes its rows first and rings
//! [`Store::bell`] afterwards; a reader looks again now and then, which mends a lost bell.
//! What a verb changed is on disk (fsync) when it returns, except [`Posts::put_body`]; all waiting callers share one group commit.
//! Rules do not live here: no verb looks at account kinds, rights or languages.

pub mod bell;
pub mod body;
pub mod erasure;
mod lock;
pub mod postgres;
pub mod record;
mod sheet;
pub mod sled;
pub mod slots;
pub mod transfer;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::domain::account::Account;
use crate::domain::address::EmailAddress;
use crate::domain::group::{Group, GroupCode};
use crate::domain::id::{AccountId, PostId, RequestId};
use crate::domain::ledger::{Counts, Outcome, PlannedRecipient, RecipientState};
use crate::domain::post::{BodyRef, Post};
use crate::domain::subscription::Subscription;

/// What can go wrong on disk, by what the caller does about it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// No room: answer 452 4.3.1, try again when there is.
    #[error("no space left for the store: {0}")]
    Full(String),
    /// The store cannot be trusted or reached at present: answer 451 4.3.0.
    #[error("{0}")]
    Unavailable(String),
    /// A record that cannot be read: names the record and the remedy.
    #[error("{0}")]
    Damaged(String),
    /// Another process has the store open: ask it, or wait for its end.
    #[error("{0}")]
    InUse(String),
}

/// Result of every verb.
pub type Result<T> = std::result::Result<T, StoreError>;

/// Proof that `T` is on disk. Only a store can make one (the field is private to this room); the 250 takes one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Durable<T>(T);

impl<T: Copy> Durable<T> {
    /// What is on disk.
    pub fn get(self) -> T {
        self.0
    }
}

#[cfg(feature = "simulation")]
impl<T> Durable<T> {
    /// What a simulated store keeps.
    pub fn simulated(value: T) -> Self {
        Self(value)
    }
}

/// Bytes on their way into the store.
#[derive(Debug, Clone)]
pub enum BodySource {
    /// In memory.
    Bytes(Bytes),
    /// A complete file in the store's own `incoming` folder ([`Posts::incoming`]), which the store takes over by renaming.
    File(PathBuf),
}

/// What became of a message that was to be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kept {
    /// It is on disk.
    New(Durable<PostId>),
    /// One of its repetition keys was there before, from this post; nothing was written.
    Repeated(Durable<PostId>),
}

/// Name of a batch: which slice of which post's plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BatchKey {
    /// Of which post.
    pub post: PostId,
    /// Which slice, from 0.
    pub number: u32,
}

/// Most recipients of a batch.
pub const BATCH_RECIPIENTS: usize = 250;
/// Most batches of one post that are shown as due at a time.
pub const DUE_OF_A_POST: u32 = 16;
/// Most attempts kept a recipient; the first and the latest ones stay.
pub const ATTEMPTS_KEPT: usize = 20;

/// A batch that could be worked on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueBatch {
    /// Which.
    pub key: BatchKey,
    /// The first group of its post, for fairness between groups.
    pub group: GroupCode,
    /// Size of the post's largest edition in octets, for lanes.
    pub octets: u64,
    /// Recipients still open in it.
    pub open: u32,
    /// Since when it has been due.
    pub due: DateTime<Utc>,
    /// Small number first: 0 robot mail, 1 announcements, meetings, statements, 2 discussion, digests (`Post::kind`).
    pub urgency: u8,
}

/// One attempt for one recipient.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// When the answer came.
    pub at: DateTime<Utc>,
    /// Where the recipient stood afterwards.
    pub state: RecipientState,
    /// The relay's answer.
    pub reply: String,
}

/// A recipient with what came of it so far.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecipientRecord {
    /// As planned.
    pub planned: PlannedRecipient,
    /// Where it stands now.
    pub state: RecipientState,
    /// Oldest first.
    pub attempts: Vec<Attempt>,
}

/// A batch in the hands of one worker until the lease ends.
#[derive(Debug, Clone)]
pub struct Claim {
    /// Which batch.
    pub key: BatchKey,
    /// Proves the claim in [`Batches::record_outcomes`] and [`Batches::settle_batch`].
    pub holder: u64,
    /// The post.
    pub post: Arc<Post>,
    /// All recipients of the batch, by index.
    pub recipients: Vec<RecipientRecord>,
    /// How often the batch was claimed before.
    pub tries: u32,
    /// When the batch was planned: retries count from here.
    pub planned_at: DateTime<Utc>,
}

/// What was found when a batch was asked for.
#[derive(Debug, Clone)]
pub enum Claimed {
    /// It is yours until the lease ends.
    Started(Box<Claim>),
    /// Somebody has it.
    InProgress,
    /// Nothing is open in it, or its post was withdrawn or paused.
    Finished,
}

/// Where to find one recipient of one post.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LedgerKey {
    /// Which batch.
    pub batch: BatchKey,
    /// Which recipient of it.
    pub index: u16,
}

/// A subscription request that waits for a manager or for the person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// The key.
    pub id: RequestId,
    /// What is asked, such as `subscribe` or `unsubscribe`.
    pub verb: String,
    /// Of which group.
    pub group: GroupCode,
    /// By whom.
    pub address: EmailAddress,
    /// Words that belong to it.
    pub arguments: Vec<String>,
    /// When it was made.
    pub at: DateTime<Utc>,
    /// When it lapses.
    pub expires: DateTime<Utc>,
}

/// One administrative act, append-only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// When.
    pub at: DateTime<Utc>,
    /// Who: an address, `command line`, or the name of a job.
    pub actor: String,
    /// What was done, such as `member add`.
    pub act: String,
    /// In which group, if in one.
    pub group: Option<GroupCode>,
    /// To whom or what, in words.
    pub detail: String,
}

/// Accounts of the directory.
#[async_trait]
pub trait Accounts {
    /// By key.
    async fn account(&self, id: AccountId) -> Result<Option<Account>>;
    /// By any of its addresses.
    async fn account_by_address(&self, address: &EmailAddress) -> Result<Option<Account>>;
    /// Writes accounts, with the index of their addresses; an address moves to the account written last.
    async fn put_accounts(&self, accounts: Vec<Account>) -> Result<()>;
    /// Removes an account with its addresses; its subscriptions stay until [`Subscriptions::remove_subscriptions`].
    async fn remove_account(&self, id: AccountId) -> Result<()>;
    /// At most `limit` accounts behind `after`, by key.
    async fn accounts(&self, after: Option<AccountId>, limit: usize) -> Result<Vec<Account>>;
    /// Accounts whose `expires` is at or before `day` and whose subscriptions may not know yet, by an index of expiry days.
    async fn accounts_expiring(&self, from: NaiveDate, to: NaiveDate) -> Result<Vec<AccountId>>;
    /// How many there are.
    async fn account_count(&self) -> Result<u64>;
}

/// Groups: few, read whole.
#[async_trait]
pub trait Groups {
    /// All, by code.
    async fn groups(&self) -> Result<Vec<Group>>;
    /// Writes them.
    async fn put_groups(&self, groups: Vec<Group>) -> Result<()>;
}

/// An account, with its subscription to the group that was asked about.
pub type Member = (Account, Option<Subscription>);

/// Subscriptions, by group and by account.
#[async_trait]
pub trait Subscriptions {
    /// One.
    async fn subscription(&self, group: &GroupCode, account: AccountId) -> Result<Option<Subscription>>;
    /// Writes them.
    async fn put_subscriptions(&self, subscriptions: Vec<Subscription>) -> Result<()>;
    /// At most `limit` of a group behind `after`, by account.
    async fn subscriptions_of_group(&self, group: &GroupCode, after: Option<AccountId>, limit: usize) -> Result<Vec<Subscription>>;
    /// The same with their accounts, in one read; one whose account is gone is left out.
    async fn members_of_group(&self, group: &GroupCode, after: Option<AccountId>, limit: usize) -> Result<Vec<(Subscription, Account)>>;
    /// For each address, in the same order: the account that owns it, with its subscription to the group; in one read.
    async fn members_by_address(&self, group: &GroupCode, addresses: Vec<EmailAddress>) -> Result<Vec<Option<Member>>>;
    /// All of an account.
    async fn subscriptions_of_account(&self, account: AccountId) -> Result<Vec<Subscription>>;
    /// Removes all of an account (erasure).
    async fn remove_subscriptions(&self, account: AccountId) -> Result<()>;
}

/// Posts and their bytes.
#[async_trait]
pub trait Posts {
    /// The folder on the store's own disk where a listener may write what becomes a [`BodySource::File`].
    fn incoming(&self) -> PathBuf;
    /// Writes bytes; durable only with the next verb that is (their order on disk is kept).
    async fn put_body(&self, source: BodySource) -> Result<BodyRef>;
    /// All bytes of a body.
    async fn body(&self, body: &BodyRef) -> Result<Bytes>;
    /// Keeps a new post unless one of `repetition_keys` is known (a Message-ID in a group); then rings the bell.
    /// Keys are compared and remembered in the same commit.
    async fn keep_post(&self, post: Post, repetition_keys: Vec<String>) -> Result<Kept>;
    /// Writes a post that changed state; rings the bell.
    async fn update_post(&self, post: Post) -> Result<()>;
    /// By key.
    async fn post(&self, id: PostId) -> Result<Option<Post>>;
    /// By Message-ID without angle brackets, oldest first.
    async fn posts_by_message_id(&self, message_id: &str) -> Result<Vec<Post>>;
    /// Posts in state `Accepted` whose `not_before` has come.
    async fn posts_to_plan(&self, now: DateTime<Utc>, limit: usize) -> Result<Vec<Post>>;
    /// When the next accepted post may be planned, if one waits for its time.
    async fn next_plan_time(&self) -> Result<Option<DateTime<Utc>>>;
    /// Posts in state `Held` or `AwaitsAuthor` behind `after`, oldest first.
    async fn held_posts(&self, after: Option<PostId>, limit: usize) -> Result<Vec<Post>>;
    /// Posts of a group, newest first, before `before`.
    async fn posts_of_group(&self, group: &GroupCode, before: Option<PostId>, limit: usize) -> Result<Vec<Post>>;
}

/// Plans, claims, outcomes: the ledger.
#[async_trait]
pub trait Batches {
    /// Starts a plan over: removes batches of an unfinished plan of this post.
    async fn begin_plan(&self, post: PostId) -> Result<()>;
    /// Adds a slice of at most [`BATCH_RECIPIENTS`]; durable at the latest with [`Batches::finish_plan`].
    async fn add_batch(&self, key: BatchKey, recipients: Vec<PlannedRecipient>) -> Result<()>;
    /// Sets the post to `Planned` (or `Done` when nobody is open), makes its batches due at `now`, rings the bell.
    async fn finish_plan(&self, post: PostId, batches: u32, now: DateTime<Utc>) -> Result<()>;
    /// Batches due at `now` that nobody holds, the longest due first; at most [`DUE_OF_A_POST`] of one post that became due
    /// together, so that a huge post does not hide those behind it.
    async fn due_batches(&self, now: DateTime<Utc>, limit: usize) -> Result<Vec<DueBatch>>;
    /// When the next batch becomes due, if one waits for its time.
    async fn next_due_time(&self) -> Result<Option<DateTime<Utc>>>;
    /// Takes a batch for `lease`.
    async fn claim_batch(&self, key: BatchKey, now: DateTime<Utc>, lease: Duration) -> Result<Claimed>;
    /// Notes what came of attempts; on disk when it returns. An answer of a holder whose claim has ended is noted all the same.
    async fn record_outcomes(&self, key: BatchKey, holder: u64, outcomes: Vec<Outcome>) -> Result<()>;
    /// Gives a claimed batch back. Open recipients become due at `next_due`; without any, the batch is finished,
    /// and its post `Done` with its last batch.
    async fn settle_batch(&self, key: BatchKey, holder: u64, next_due: DateTime<Utc>) -> Result<()>;
    /// Sets one recipient's state afterwards (a bounce, a drop), with the text as an attempt; `false` if there is none such.
    async fn amend_recipient(&self, key: LedgerKey, state: RecipientState, at: DateTime<Utc>, text: String) -> Result<bool>;
    /// One recipient.
    async fn recipient(&self, key: LedgerKey) -> Result<Option<RecipientRecord>>;
    /// All recipients of a batch; empty if there is no such batch.
    async fn batch(&self, key: BatchKey) -> Result<Vec<RecipientRecord>>;
    /// How many batches the post's plan has.
    async fn batch_count(&self, post: PostId) -> Result<u32>;
    /// How many recipients of a post are in each state.
    async fn counts(&self, post: PostId) -> Result<Counts>;
    /// Over all posts.
    async fn total_counts(&self) -> Result<Counts>;
    /// Posts with open batches, oldest first.
    async fn open_posts(&self, limit: usize) -> Result<Vec<Post>>;
    /// Makes every waiting batch due at `now` (`queue retry`); of one post, or of all. Returns how many.
    async fn hasten(&self, post: Option<PostId>, now: DateTime<Utc>) -> Result<u64>;
    /// Sets every open recipient of a post to `Suppressed` with `text`. Returns how many.
    async fn drop_open(&self, post: PostId, at: DateTime<Utc>, text: String) -> Result<u64>;
}

/// Small things that must happen once or be remembered.
#[async_trait]
pub trait Marks {
    /// Notes `key` of `kind` (a spent token, a sent notice, a run of a job); `true` for the one caller who was first.
    async fn claim_once(&self, kind: &str, key: &str, at: DateTime<Utc>) -> Result<bool>;
    /// When `key` of `kind` was noted.
    async fn claimed_at(&self, kind: &str, key: &str) -> Result<Option<DateTime<Utc>>>;
    /// Forgets marks of `kind` older than `before`. Returns how many.
    async fn forget_marks(&self, kind: &str, before: DateTime<Utc>) -> Result<u64>;
    /// Counts one up and returns the new count (robot mail an address a day; rate limits).
    async fn count_up(&self, kind: &str, key: &str) -> Result<u64>;
    /// Reads a setting of the store itself (keys, paused, schema).
    async fn setting(&self, name: &str) -> Result<Option<Vec<u8>>>;
    /// Writes it.
    async fn put_setting(&self, name: &str, value: Vec<u8>) -> Result<()>;
    /// Keeps a request.
    async fn put_request(&self, request: Request) -> Result<()>;
    /// Reads a request.
    async fn request(&self, id: RequestId) -> Result<Option<Request>>;
    /// Removes a request; `true` for the one caller who removed it.
    async fn take_request(&self, id: RequestId) -> Result<bool>;
    /// All open requests, of one group or of all.
    async fn requests(&self, group: Option<&GroupCode>) -> Result<Vec<Request>>;
    /// Appends to the audit trail.
    async fn append_audit(&self, entry: AuditEntry) -> Result<()>;
    /// The latest entries, newest first, of one group or of all.
    async fn audit(&self, group: Option<&GroupCode>, limit: usize) -> Result<Vec<AuditEntry>>;
}

/// Statements, meetings and other registers: whole records under a name, with optimistic versions.
///
/// The bytes are a stored form made by `record`; the register's own room gives it meaning.
#[async_trait]
pub trait Registers {
    /// Writes `record` if the present version is `expected` (0: must be new); returns the new version, or `None` if another was first.
    async fn put_entry(&self, register: &str, key: &str, expected: u64, record: Vec<u8>) -> Result<Option<u64>>;
    /// One entry with its version.
    async fn entry(&self, register: &str, key: &str) -> Result<Option<(u64, Vec<u8>)>>;
    /// At most `limit` entries behind `after`, by key.
    async fn entries(&self, register: &str, after: Option<&str>, limit: usize) -> Result<Vec<(String, u64, Vec<u8>)>>;
    /// Removes an entry.
    async fn remove_entry(&self, register: &str, key: &str) -> Result<()>;
}

/// The whole store.
#[async_trait]
pub trait Store:
    Accounts + Groups + Subscriptions + Posts + Batches + Marks + Registers + transfer::Transfer + erasure::Erasure + Send + Sync + 'static
{
    /// Changes whenever something may be due: a post was kept, a plan finished, a batch came back.
    fn bell(&self) -> watch::Receiver<u64>;
    /// Is it able to keep mail? The error says what is wrong and the remedy.
    async fn health(&self) -> Result<()>;
    /// Writes everything out and closes; later verbs fail.
    async fn close(&self) -> Result<()>;
    /// The turn of a change that reads several records and writes them: no other node gets one until it ends. Whoever asks has made
    /// sure that its own process asks once at a time; a store for one process has nothing more to do.
    async fn turn(&self) -> Result<Box<dyn Turn>> {
        Ok(Box::new(()))
    }
}

/// A turn of [`Store::turn`]; dropped, it ends as well, if less quickly.
#[async_trait]
pub trait Turn: Send {
    /// Lets the next one have it.
    async fn end(self: Box<Self>);
}

#[async_trait]
impl Turn for () {
    async fn end(self: Box<Self>) {}
}

/// Which store, and where: what [`open`] needs of the configuration.
#[derive(Debug, Clone)]
pub enum StoreOptions {
    /// The embedded store in this folder, for one process.
    Sled {
        /// `service.data_dir`.
        data_dir: PathBuf,
        /// How it is run; the default is right outside of tests.
        options: sled::SledOptions,
    },
    /// A PostgreSQL database, for any number of nodes.
    Postgres {
        /// `service.data_dir`, of this node alone.
        data_dir: PathBuf,
        /// Which database, and how it is used.
        options: postgres::PostgresOptions,
    },
}

/// Goes back to the copy that the last rewriting step of the embedded store kept; `None` if there is none.
///
/// # Errors
/// `Unavailable` for a store that keeps no copies; `InUse` if a process has it.
pub async fn go_back(options: &StoreOptions, dry_run: bool) -> Result<Option<sled::WayBack>> {
    match options {
        StoreOptions::Sled { data_dir, .. } => sled::go_back(data_dir, dry_run),
        StoreOptions::Postgres { .. } => Err(StoreError::Unavailable(
            "a PostgreSQL database keeps no copy of before its steps: restore the backup that was made before `enlace store migrate`"
                .into(),
        )),
    }
}

/// Puts what a closed store holds out of the way, so that it opens empty; says where it is now. A database is emptied.
///
/// # Errors
/// If it cannot be moved, or the database cannot be emptied.
pub async fn set_aside(options: &StoreOptions) -> Result<Option<PathBuf>> {
    match options {
        StoreOptions::Sled { data_dir, .. } => sled::set_aside(data_dir).map(Some),
        StoreOptions::Postgres { options, .. } => postgres::clear(options).await.map(|()| None),
    }
}

/// Opens the store, creating it if it is not there.
///
/// # Errors
/// If another process has it, if it is damaged, or if there is no room even to open it; the text names the remedy.
pub async fn open(options: StoreOptions) -> Result<Arc<dyn Store>> {
    match options {
        StoreOptions::Sled { data_dir, options } => {
            let opened = tokio::task::spawn_blocking(move || sled::SledStore::open(&data_dir, options)).await;
            Ok(opened.map_err(|e| StoreError::Unavailable(format!("opening the store: {e}")))??)
        }
        StoreOptions::Postgres { data_dir, options } => Ok(postgres::PostgresStore::open(&data_dir, options).await?),
    }
}
