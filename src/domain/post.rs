//! Posts, their editions, and where a post stands.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::address::EmailAddress;
use super::audience::Form;
use super::group::GroupCode;
use super::id::{AccountId, PostId};
use super::language::Language;
use super::ledger::PlannedRecipient;
use super::liaison::statement::{Purpose, Question};
use super::proof::{SenderFindings, SenderProof};
use super::reason::Reason;
use super::subscription::Stream;

/// Where bytes lie in the store; opaque outside it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct BodyRef {
    /// Name inside the store.
    pub key: String,
    /// Length in octets.
    pub octets: u64,
}

/// What kind of message it is, which decides headers, grace and who may get it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PostKind {
    /// A subscriber's message, passed on as it is.
    Discussion,
    /// A manager's or the secretariat's announcement, passed on as it is.
    Announcement,
    /// Written by Enlace: a meeting notice.
    Meeting,
    /// Written by Enlace: an edition of a liaison statement.
    Liaison,
    /// Written by Enlace to one person: an answer, a receipt, a notice. No list headers.
    Robot,
    /// A message to `L-owner@`, passed on to the managers. No list headers.
    Owner,
    /// Written by Enlace: a digest.
    Digest,
}

impl PostKind {
    /// The stream whose switch decides; `None` where a subscriber cannot switch it off.
    pub fn stream(self) -> Option<Stream> {
        match self {
            Self::Discussion | Self::Digest => Some(Stream::Discuss),
            Self::Announcement | Self::Meeting => Some(Stream::Announce),
            Self::Liaison => Some(Stream::Liaison),
            Self::Robot | Self::Owner => None,
        }
    }

    /// Does a copy carry the list's headers?
    pub fn is_list_mail(self) -> bool {
        self.stream().is_some()
    }

    /// Did Enlace write it itself (RFC 3834: `Auto-Submitted: auto-generated`)?
    pub fn is_composed(self) -> bool {
        matches!(self, Self::Meeting | Self::Liaison | Self::Robot | Self::Digest)
    }

    /// As in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Discussion => "discussion",
            Self::Announcement => "announcement",
            Self::Meeting => "meeting",
            Self::Liaison => "liaison",
            Self::Robot => "robot",
            Self::Owner => "owner",
            Self::Digest => "digest",
        }
    }
}

/// One language version of a post.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edition {
    /// In which language; `None` for a message that is passed on as it is.
    pub language: Option<Language>,
    /// The whole message (header and body, CRLF) without the personal lines and the list's headers.
    pub body: BodyRef,
}

/// Who is to get it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Audience {
    /// The subscribers of the groups, each in her edition (`domain::audience`).
    Subscribers,
    /// Exactly these, decided by a routing table before.
    Listed(Vec<PlannedRecipient>),
    /// Subscribers and mailboxes, as the routing table of a liaison statement has them.
    Routed(Box<Routed>),
    // Append only: the position of an audience is part of the stored form.
    /// Whoever has the role in the first group when the plan is made; if nobody has it any more, those who had it when the post was
    /// accepted, so that mail to a role is never lost.
    Role(RoleAddress, Vec<PlannedRecipient>),
}

/// A role of a group that has an address: `L-owner@` and `L-chairs@`, `L-tsb@`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RoleAddress {
    /// The managers.
    Managers,
    /// The secretariat.
    Secretariat,
}

/// What the plan of a liaison statement needs beside the post.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Routed {
    /// Shape of each edition, in their order.
    pub forms: Vec<Form>,
    /// Languages that are to follow later; who prefers one of them waits.
    pub coming: Vec<Language>,
    /// The rule by which the subscribers of each of the post's groups get it, in their order.
    pub reasons: Vec<Reason>,
    /// What each of these groups is asked for, in their order.
    pub purposes: Vec<Purpose>,
    /// Questions of the statement.
    pub questions: Vec<Question>,
    /// Mailboxes of bodies, and bodies without an address as suppressed. A mailbox whose owner gets a copy as a subscriber gets no other.
    pub mailboxes: Vec<PlannedRecipient>,
    /// Posts by which the same issue went out before, oldest first. If there are any, only those get this one who wait for it,
    /// or prefer what is new in it to what they had.
    pub earlier: Vec<PostId>,
    /// To exactly those who got one of the earlier posts, whatever the rest says: a notice about them.
    pub again: bool,
}

/// Where a post stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum PostState {
    /// On disk, to be planned when `not_before` has come.
    Accepted,
    /// Waits for a moderator.
    Held(Reason),
    /// Waits until its author says that it is his.
    AwaitsAuthor(Reason),
    /// Every recipient has a state; batches are open.
    Planned,
    /// No recipient is open any more.
    Done,
    /// A moderator rejected it.
    Rejected(Reason),
    /// A moderator dropped it, or it expired.
    Discarded(Reason),
    /// Stopped within its grace time.
    Withdrawn(DateTime<Utc>),
}

impl PostState {
    /// As in JSON.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Held(_) => "held",
            Self::AwaitsAuthor(_) => "awaits-author",
            Self::Planned => "planned",
            Self::Done => "done",
            Self::Rejected(_) => "rejected",
            Self::Discarded(_) => "discarded",
            Self::Withdrawn(_) => "withdrawn",
        }
    }
}

/// How it came in, for `explain`: one line each.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arrival {
    /// Protocol and listener, such as `lmtp 127.0.0.1:8024`.
    pub listener: String,
    /// The client's address.
    pub peer: String,
    /// Its EHLO or LHLO name.
    pub helo: String,
    /// What MAIL said.
    pub reverse_path: String,
    /// One identifier through all logs.
    pub trace: String,
    /// What was found about its sender.
    pub found: SenderFindings,
}

/// A message to one or several groups, or from Enlace to one person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Post {
    /// The key.
    pub id: PostId,
    /// Groups addressed; the first gives sender and headers where only one can. Never empty.
    pub groups: Vec<GroupCode>,
    /// What kind of message.
    pub kind: PostKind,
    /// Header Message-ID without angle brackets; made by Enlace if there was none.
    pub message_id: String,
    /// Decoded subject, without control characters.
    pub subject: String,
    /// Who wrote it, and whether that is proved; `None` when Enlace did.
    pub sender: Option<SenderProof>,
    /// The author's account, if there is one.
    pub author: Option<AccountId>,
    /// When the 250 was given.
    pub received_at: DateTime<Utc>,
    /// Not to be planned before (grace time).
    pub not_before: DateTime<Utc>,
    /// Language versions; at least one.
    pub editions: Vec<Edition>,
    /// Who is to get it.
    pub audience: Audience,
    /// Where it stands.
    pub state: PostState,
    /// How it came in; empty when Enlace wrote it.
    pub arrival: Arrival,
    /// The statement, meeting notice or digest it is part of, such as `liaison:…` or `meeting:ID:announce:0`.
    pub origin: String,
}

/// Front of the origin of a notice that changes its readers' calendars.
pub const CALENDAR_ORIGIN: &str = "meeting-calendar:";

/// Origin of a mail that announces a meeting in a form that is read: it is carried out instead of being sent round.
pub const MEETING_ORIGIN: &str = "meeting-mail";

impl Post {
    /// Does it bring a calendar object that puts something in, changes it, or takes it out?
    pub fn changes_calendars(&self) -> bool {
        self.origin.starts_with(CALENDAR_ORIGIN)
    }

    /// Header From's mailbox, if a person wrote it.
    pub fn author_address(&self) -> Option<&EmailAddress> {
        self.sender.as_ref().map(SenderProof::author)
    }

    /// Size of its largest edition in octets.
    pub fn octets(&self) -> u64 {
        self.editions.iter().map(|edition| edition.body.octets).max().unwrap_or(0)
    }
}
