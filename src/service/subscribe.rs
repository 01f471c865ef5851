//! Subscriptions: taken and left by the person herself, kept by managers, imported and exported.
//!
//! A mail command, a one-click link, a page and the command line come here. Whether somebody is who she says is settled before:
//! [`own()`] is for a proved person, [`ask`] keeps the wish of an unproved one until she answers. The gate judges every subscription;
//! what it refuses is listed with its rule and the rest is done. Nothing is deleted: who left is kept as a note, so that no import
//! brings her back.

mod calendars;
mod find;
mod manage;
mod own;
mod requests;
mod roster;
mod rules;
mod settings;
mod undo;

use serde::Serialize;

pub use find::{FoundMember, MemberPage, MemberSearch, find, member};
pub use manage::{Invite, MemberLine, MemberReport, add, remove, set};
pub use own::{Subscribed, Wish, may_come_back, own, verdict, which};
pub(in crate::service) use requests::APPROVE;
pub use requests::{Asked, OpenRequest, ask, confirm, decide, forget, lapse, requests};
pub(in crate::service) use roster::row;
pub use roster::{MemberRow, export, import, list};
pub use rules::{GRACE_DAYS, RuleLine, RuleReport, apply_all_rules, apply_rules, preview_rules, replace_rules};
pub use settings::{Settings, absence_text, delivery_text};
pub use undo::{undo, undo_token};

use crate::domain::reason::Reason;

/// What came of a wish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// She is a subscriber now.
    Subscribed(Reason),
    /// She was one already.
    AlreadySubscribed,
    /// A manager has to approve.
    AwaitsApproval(Reason),
    /// She is no subscriber any more.
    Unsubscribed(Reason),
    /// She was none.
    NotSubscribed(Reason),
    /// Settings changed: these.
    Changed(Vec<&'static str>),
    /// They were so already.
    Unchanged,
    /// The request was declined.
    Declined(Reason),
    /// A rule refused.
    Refused(Reason),
}

impl Outcome {
    /// The key under which templates and JSON know it.
    pub fn key(&self) -> &'static str {
        match self {
            Self::Subscribed(_) => "subscribed",
            Self::AlreadySubscribed => "already-subscribed",
            Self::AwaitsApproval(_) => "awaits-approval",
            Self::Unsubscribed(_) => "unsubscribed",
            Self::NotSubscribed(_) => "not-subscribed",
            Self::Changed(_) => "changed",
            Self::Unchanged => "unchanged",
            Self::Declined(_) => "declined",
            Self::Refused(_) => "refused",
        }
    }

    /// The rule's reason, where there is one.
    pub fn reason(&self) -> Option<&Reason> {
        match self {
            Self::Subscribed(reason)
            | Self::AwaitsApproval(reason)
            | Self::Unsubscribed(reason)
            | Self::NotSubscribed(reason)
            | Self::Declined(reason)
            | Self::Refused(reason) => Some(reason),
            Self::AlreadySubscribed | Self::Changed(_) | Self::Unchanged => None,
        }
    }

    /// One line of English, for SMTP answers and logs.
    pub fn text(&self) -> String {
        match self {
            Self::Subscribed(_) => "subscribed".into(),
            Self::AlreadySubscribed => "subscribed already".into(),
            Self::Unsubscribed(_) => "unsubscribed".into(),
            Self::Changed(fields) => format!("changed: {}", fields.join(", ")),
            Self::Unchanged => "nothing changes".into(),
            Self::AwaitsApproval(reason) | Self::NotSubscribed(reason) | Self::Declined(reason) | Self::Refused(reason) => reason.text(),
        }
    }

    /// Was it refused by a rule?
    pub fn is_refused(&self) -> bool {
        matches!(self, Self::Refused(_))
    }
}

impl Serialize for Outcome {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.key())
    }
}

#[cfg(test)]
mod tests;
