//! Everything in a store as a stream of items, the same for every backend: for copies, backups and comparisons.
//!
//! A [`Snapshot`] shows one instant, whatever changes meanwhile. Bodies come first, so that what names them finds them.
//! Importing an item again changes nothing, so a transfer that was cut short is taken up at the last page. The importing
//! store must have no other user, and is opened anew afterwards. Leases and unfinished plans are not carried over.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::record::{self, Grown as _};
use super::{AuditEntry, RecipientRecord, Request, Result};
use crate::domain::account::Account;
use crate::domain::group::Group;
use crate::domain::id::PostId;
use crate::domain::ledger::Counts;
use crate::domain::post::Post;
use crate::domain::subscription::Subscription;

/// A body comes in pieces of this many octets, the last one shorter.
pub const PIECE: usize = 256 * 1024;
/// Octets after which a page ends.
pub(super) const PAGE_OCTETS: usize = 1 << 20;
/// Items after which a page ends.
pub(super) const PAGE_ITEMS: usize = 1000;

/// One thing that a store holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Item {
    /// Octets of a body.
    Body {
        /// Its name.
        key: String,
        /// Length of the whole.
        octets: u64,
        /// CRC-32 of the whole.
        crc: u32,
        /// Where these begin; a multiple of [`PIECE`].
        offset: u64,
        /// These.
        bytes: Vec<u8>,
    },
    /// A group.
    Group(Box<Group>),
    /// An account.
    Account(Box<Account>),
    /// A subscription.
    Subscription(Box<Subscription>),
    /// A setting of the store; its name in stored form.
    Setting(Vec<u8>, Vec<u8>),
    /// An entry of a register: its names, version and contents.
    Entry(String, String, u64, Vec<u8>),
    /// An open request.
    Request(Request),
    /// A mark: kind and key in stored form, nanoseconds since 1970.
    Mark(Vec<u8>, Vec<u8>, i64),
    /// A counter: kind and key in stored form, nanoseconds since 1970, count.
    Counter(Vec<u8>, Vec<u8>, i64, u64),
    /// An entry of the audit trail.
    Audit(AuditEntry),
    /// A post.
    Post(Box<Post>),
    /// A repetition key in stored form, and the post that came with it.
    Repetition(Vec<u8>, PostId),
    /// A finished plan: how many batches, and its counts.
    Plan(PostId, u32, Counts),
    /// A batch.
    Batch(Box<BatchItem>),
}

/// A batch with everything that was noted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchItem {
    /// Of which post.
    pub post: PostId,
    /// Which slice.
    pub number: u32,
    /// Nanoseconds since 1970.
    pub planned_at: i64,
    /// How often it was claimed.
    pub tries: u32,
    /// Milliseconds since 1970.
    pub due: i64,
    /// All its recipients.
    pub recipients: Vec<RecipientRecord>,
}

impl Item {
    /// What kind of thing it is, in words for a report.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Body { .. } => "bodies",
            Self::Group(_) => "groups",
            Self::Account(_) => "accounts",
            Self::Subscription(_) => "subscriptions",
            Self::Setting(..) => "settings",
            Self::Entry(..) => "entries",
            Self::Request(_) => "requests",
            Self::Mark(..) => "marks",
            Self::Counter(..) => "counters",
            Self::Audit(_) => "audit entries",
            Self::Post(_) => "posts",
            Self::Repetition(..) => "repetition keys",
            Self::Plan(..) => "plans",
            Self::Batch(_) => "batches",
        }
    }

    /// About how large it is.
    pub(super) fn octets(&self) -> usize {
        match self {
            Self::Body { bytes, .. } | Self::Setting(_, bytes) | Self::Entry(_, _, _, bytes) => bytes.len() + 64,
            Self::Batch(batch) => batch.recipients.len() * 160,
            _ => 256,
        }
    }
}

/// Where a reader of a snapshot stands: opaque, and good for later snapshots of the same store.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place(pub(super) Vec<u8>);

/// Items of one page, and where the next one begins; `None` after the last.
pub type Page = (Vec<Item>, Option<Place>);

/// One instant of a store.
#[async_trait]
pub trait Snapshot: Send {
    /// The items behind `place`.
    async fn page(&mut self, place: &Place) -> Result<Page>;
}

/// A store whose contents can be read and written as a whole.
#[async_trait]
pub trait Transfer {
    /// The present instant; work goes on meanwhile.
    async fn snapshot(&self) -> Result<Box<dyn Snapshot>>;
    /// Writes items, in place of those of the same key. In the order of a snapshot, and with nobody else at work.
    async fn import(&self, items: Vec<Item>) -> Result<()>;
}

/// How many items of a kind there are, and a digest of them that does not depend on their order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// How many.
    pub items: u64,
    /// Sum of the first halves of their SHA-256.
    pub digest: u128,
}

/// Tallies by kind: two stores with equal ones hold the same.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inventory(pub BTreeMap<String, Tally>);

/// Settings with this beginning belong to a transfer itself, and are no part of what is transferred.
pub const OWN_SETTINGS: &str = "transfer.";

/// The stored form of an item: a group or a subscription as [`record::Grown`] says, so that earlier releases read it while they can.
///
/// # Errors
/// If it has no stored form, which is a mistake in the program.
pub fn encode(item: &Item) -> Result<Vec<u8>> {
    let stored = record::encode(item)?;
    Ok(match item {
        Item::Group(group) => record::shrunk(stored, Group::ADDED, group.uses_added()),
        Item::Subscription(one) => record::shrunk(stored, Subscription::ADDED, one.uses_added()),
        _ => stored,
    })
}

/// The item of [`encode`], or of an earlier release.
///
/// # Errors
/// `Damaged` if the bytes are none.
pub fn decode(what: &str, bytes: &[u8]) -> Result<Item> {
    // Behind the version stands the item's kind, by its position.
    match bytes.get(1) {
        Some(&GROUP) => record::decode(what, &record::whole(bytes, Group::ADDED)),
        Some(&SUBSCRIPTION) => record::decode(what, &record::whole(bytes, Subscription::ADDED)),
        _ => record::decode(what, bytes),
    }
}

/// Position of [`Item::Group`].
const GROUP: u8 = 1;
/// Position of [`Item::Subscription`].
const SUBSCRIPTION: u8 = 3;

impl Inventory {
    /// Counts an item.
    ///
    /// # Errors
    /// If it has no stored form, which is a mistake in the program.
    pub fn count(&mut self, item: &Item) -> Result<()> {
        if is_own(item) {
            return Ok(());
        }
        let hash = Sha256::digest(encode(item)?);
        let half = hash.first_chunk::<16>().map_or(0, |half| u128::from_be_bytes(*half));
        let tally = self.0.entry(item.kind().to_owned()).or_default();
        tally.items += 1;
        tally.digest = tally.digest.wrapping_add(half);
        Ok(())
    }

    /// Of a whole store.
    ///
    /// # Errors
    /// The store's.
    pub async fn of(store: &dyn super::Store, told: &(dyn Fn(u64) + Send + Sync)) -> Result<Self> {
        let mut inventory = Self::default();
        let mut snapshot = store.snapshot().await?;
        let mut place = Some(Place::default());
        let mut seen = 0;
        while let Some(at) = place {
            let (items, next) = snapshot.page(&at).await?;
            seen += items.len() as u64;
            items.iter().try_for_each(|item| inventory.count(item))?;
            told(seen);
            place = next;
        }
        Ok(inventory)
    }

    /// Kinds in which two differ, in words.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let kinds: std::collections::BTreeSet<_> = self.0.keys().chain(other.0.keys()).collect();
        let of = |inventory: &Self, kind: &String| inventory.0.get(kind).copied().unwrap_or_default();
        kinds
            .into_iter()
            .filter(|kind| of(self, kind) != of(other, kind))
            .map(|kind| format!("{kind}: {} and {}", of(self, kind).items, of(other, kind).items))
            .collect()
    }
}

/// Does it belong to a transfer itself?
pub fn is_own(item: &Item) -> bool {
    matches!(item, Item::Setting(name, _) if name.starts_with(OWN_SETTINGS.as_bytes()))
}
