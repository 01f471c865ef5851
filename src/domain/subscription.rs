//! An account's place in one group.

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

use super::group::GroupCode;
use super::id::AccountId;
use super::language::Language;
use super::reason::Reason;

/// What a subscriber may switch on and off (CONTRACT 1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stream {
    /// Meetings and circulars.
    Announce,
    /// Liaison statements.
    Liaison,
    /// Discussion.
    Discuss,
}

impl Stream {
    /// All, in the order in which they are shown.
    pub const ALL: [Self; 3] = [Self::Announce, Self::Liaison, Self::Discuss];

    /// As written by people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Announce => "announce",
            Self::Liaison => "liaison",
            Self::Discuss => "discuss",
        }
    }
}

/// How posts reach her.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeliveryMode {
    /// Each post by itself.
    Each,
    /// Collected.
    Digest,
    /// Nothing.
    None,
}

/// Mode with an optional end: `none until 2027-01-15`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// The mode in force.
    pub mode: DeliveryMode,
    /// Last day of the mode, after which `each` is in force again.
    pub until: Option<NaiveDate>,
}

impl DeliveryMode {
    /// As written by people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Each => "each",
            Self::Digest => "digest",
            Self::None => "none",
        }
    }
}

impl Delivery {
    /// Each post by itself, without end.
    pub const EACH: Self = Self { mode: DeliveryMode::Each, until: None };

    /// The mode in force on `today`.
    pub fn mode_on(self, today: NaiveDate) -> DeliveryMode {
        match self.until {
            Some(until) if today > until => DeliveryMode::Each,
            _ => self.mode,
        }
    }
}

/// Days on which nothing is sent to her; what she chose otherwise stands still and comes back by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Absence {
    /// First day.
    pub from: NaiveDate,
    /// Last day.
    pub until: NaiveDate,
}

impl Absence {
    /// Is she away on `today`?
    pub fn holds(self, today: NaiveDate) -> bool {
        (self.from..=self.until).contains(&today)
    }
}

/// What she may do in the group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Reads and discusses.
    Member,
    /// Also decides on held posts.
    Moderator,
    /// Also on members, meetings and settings.
    Manager,
}

/// Who put her there (PEERS 4.10): a rule never overrides an opt-out, a synchronisation removes only its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Provenance {
    /// She herself.
    Own,
    /// A manager.
    Manager,
    /// An import of a manager.
    Import,
    /// A rule.
    Rule,
}

/// Where the subscription stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum SubscriptionState {
    /// In force.
    Active,
    /// Waits for the person, or for a manager.
    Pending(Reason),
    /// Rests, with the reason; comes back by itself when a gate reason is gone.
    Suspended(Reason),
    /// Left. Kept as a tombstone, so that no import brings the person back (PEERS 5.6).
    Unsubscribed(Reason),
}

impl SubscriptionState {
    /// `active`, `pending`, `suspended` or `unsubscribed`.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Pending(_) => "pending",
            Self::Suspended(_) => "suspended",
            Self::Unsubscribed(_) => "unsubscribed",
        }
    }

    /// Why it is not active.
    pub fn reason(&self) -> Option<&Reason> {
        match self {
            Self::Active => None,
            Self::Pending(reason) | Self::Suspended(reason) | Self::Unsubscribed(reason) => Some(reason),
        }
    }
}

/// A manager's invitation of someone the region rule would not admit (DOMAIN 1.2, "invited participant").
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invitation {
    /// Address of who invited.
    pub by: String,
    /// When.
    pub at: DateTime<Utc>,
    /// Last day; `None` for the whole life of the group.
    pub until: Option<NaiveDate>,
}

/// An account's subscription to one group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscription {
    /// Of what.
    pub group: GroupCode,
    /// Whose.
    pub account: AccountId,
    /// What she may do.
    pub role: Role,
    /// How posts reach her.
    pub delivery: Delivery,
    /// Languages wanted here, in order; empty: the account's, then the group's.
    pub languages: Vec<Language>,
    /// All editions in her languages, instead of the first one there is.
    pub both: bool,
    /// Streams that are on.
    pub streams: Vec<Stream>,
    /// Does she get her own discussion posts?
    pub own_posts: bool,
    /// Links instead of attachments, for slow lines.
    pub links: bool,
    /// Digests as plain text (RFC 1153) instead of MIME (RFC 2046 section 5.1.5).
    pub plain_digest: bool,
    /// Meetings as invitations to her alone (RFC 5546 REQUEST), which every calendar program updates by itself.
    pub invitations: bool,
    /// Are her discussion posts looked at by a moderator first? A manager sets it.
    pub moderated: bool,
    /// Where it stands.
    pub state: SubscriptionState,
    /// Who put her there.
    pub provenance: Provenance,
    /// Set while an invitation carries the subscription.
    pub invitation: Option<Invitation>,
    /// Since when.
    pub since: DateTime<Utc>,
    // What follows came after the first stored form: see `store::record`.
    /// Days without mail, now or later.
    pub absence: Option<Absence>,
}

impl Subscription {
    /// A plain, active membership with every stream on.
    pub fn new(group: GroupCode, account: AccountId, provenance: Provenance, since: DateTime<Utc>) -> Self {
        Self {
            group,
            account,
            role: Role::Member,
            delivery: Delivery::EACH,
            languages: Vec::new(),
            both: false,
            streams: Stream::ALL.to_vec(),
            own_posts: true,
            links: false,
            plain_digest: false,
            invitations: false,
            moderated: false,
            state: SubscriptionState::Active,
            provenance,
            invitation: None,
            since,
            absence: None,
        }
    }

    /// How posts reach her on `today`.
    pub fn mode_on(&self, today: NaiveDate) -> DeliveryMode {
        if self.absence.is_some_and(|absence| absence.holds(today)) { DeliveryMode::None } else { self.delivery.mode_on(today) }
    }

    /// Last day of the mode in force on `today`, if it ends.
    pub fn until_on(&self, today: NaiveDate) -> Option<NaiveDate> {
        let absence = self.absence.filter(|absence| absence.holds(today));
        absence.map_or_else(|| self.delivery.until.filter(|until| today <= *until), |absence| Some(absence.until))
    }

    /// Is it in force?
    pub fn is_active(&self) -> bool {
        self.state == SubscriptionState::Active
    }
}
