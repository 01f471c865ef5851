//! Letting go: the only verbs that change, empty or remove what was written once.
//!
//! A person's addresses are replaced by a pseudonym where the record must keep its rows (the ledger, whose counts and reasons stay true;
//! the audit trail, whose entries stay in their order), and removed where it need not. Bytes that nothing names any more are given
//! back to the disk. Nothing of this is undone by anything but a backup.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use memchr::memmem;

use super::{AuditEntry, Result};
use crate::domain::id::PostId;
use crate::domain::ledger::PlannedRecipient;
use crate::domain::post::{Audience, Post, PostState};

/// What is noted for a recipient who is erased before her copy went out.
pub(super) const ERASED: &str = "the person was erased";

/// Addresses that are to vanish, and what stands in their place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vanishing {
    /// In lower case.
    addresses: Vec<String>,
    /// Those, and as they were given.
    forms: BTreeSet<String>,
    pseudonym: String,
    /// When.
    pub(super) at: DateTime<Utc>,
}

/// What was replaced and removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Replaced {
    /// Rows of the ledger that named her as recipient.
    pub recipients: u64,
    /// Entries of the audit trail that named her.
    pub audit: u64,
    /// Marks, counters and repetition keys that named her; they are removed.
    pub marks: u64,
    /// Posts to her alone, such as answers of the service: their bytes are the caller's to replace.
    pub letters: Vec<PostId>,
}

/// What was given back to the disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Pieces that nothing named.
    pub pieces: u64,
    /// Their octets.
    pub octets: u64,
    /// It was left for another time, because somebody reads a snapshot.
    pub put_off: bool,
}

/// Letting go of what was written once.
#[async_trait]
pub trait Erasure {
    /// Replaces addresses in plans, reasons, answers of servers, states of posts and the audit trail; removes marks, counters and
    /// repetition keys that name them. A recipient who is still open becomes `Suppressed`.
    async fn pseudonymise(&self, person: Vanishing) -> Result<Replaced>;
    /// Removes the batches of a post that is done; the counts of its plan stay. Returns how many recipients they had; 0 if some are open.
    async fn forget_plan(&self, post: PostId) -> Result<u64>;
    /// Forgets counters and repetition keys older than `before`. Returns how many.
    async fn forget_tallies(&self, before: DateTime<Utc>) -> Result<u64>;
    /// Gives back the room of bodies that nothing names and that are older than `age`, and of plans that nobody finished.
    async fn sweep(&self, age: Duration) -> Result<Swept>;
}

/// Does the character before an address make it a part of a longer one? Those that RFC 5322 allows and our keys use between words
/// do not.
fn continues(c: char) -> bool {
    c.is_alphanumeric() || "!#$%&*+_~-.".contains(c)
}

/// Does the address stand in the name of a file of the outbox, `…-000042-ana@example.org.eml`?
fn is_name_of_copy(before: &str, behind: &str) -> bool {
    let number = before.strip_suffix('-').map(|before| before.rsplit('-').next().unwrap_or_default());
    let ends = behind.strip_prefix(".eml").is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || matches!(c, '-' | '.')));
    ends && number.is_some_and(|number| number.len() >= 6 && number.bytes().all(|b| b.is_ascii_digit()))
}

impl Vanishing {
    /// Of these addresses, whatever their case.
    pub fn new<'a>(addresses: impl IntoIterator<Item = &'a str>, pseudonym: impl Into<String>, at: DateTime<Utc>) -> Self {
        let given: BTreeSet<String> = addresses.into_iter().map(str::to_owned).filter(|address| address.contains('@')).collect();
        let addresses: BTreeSet<String> = given.iter().map(|address| address.to_lowercase()).collect();
        let forms = given.iter().chain(&addresses).cloned().collect();
        // The longer first, so that one that ends another is not replaced within it.
        let mut addresses: Vec<String> = addresses.into_iter().collect();
        addresses.sort_by_key(|address| std::cmp::Reverse(address.len()));
        Self { addresses, forms, pseudonym: pseudonym.into(), at }
    }

    /// The spellings under which rows of a database are looked for.
    pub(super) fn forms(&self) -> impl Iterator<Item = &str> {
        self.forms.iter().map(String::as_str)
    }

    /// In lower case.
    pub fn addresses(&self) -> &[String] {
        &self.addresses
    }

    /// Could these octets name her? A quick look that is never wrong in saying no.
    pub fn may_be_in(&self, octets: &[u8]) -> bool {
        let lower = octets.to_ascii_lowercase();
        self.addresses.iter().any(|address| memmem::find(&lower, address.as_bytes()).is_some())
    }

    /// Do the octets name her?
    pub fn is_in(&self, octets: &[u8]) -> bool {
        self.may_be_in(octets) && self.hide(&String::from_utf8_lossy(octets)).is_some()
    }

    /// Do the octets of a stored form name her? The length before a text in it may look like a letter: then this rather says yes.
    pub fn is_in_record(&self, octets: &[u8]) -> bool {
        let lower = octets.to_ascii_lowercase();
        self.is_in(octets)
            || self.addresses.iter().any(|address| {
                memmem::find_iter(&lower, address.as_bytes()).any(|place| {
                    let length = place.checked_sub(1).map_or(0, |before| usize::from(octets[before]));
                    length >= address.len() && place + length <= octets.len()
                })
            })
    }

    /// The text without her; `None` if it does not name her.
    pub fn hide(&self, text: &str) -> Option<String> {
        if !self.may_be_in(text.as_bytes()) {
            return None;
        }
        let mut hidden = text.to_owned();
        let mut found = false;
        for address in &self.addresses {
            let lower = hidden.to_ascii_lowercase();
            let mut clean = String::with_capacity(hidden.len());
            let mut at = 0;
            for place in memmem::find_iter(lower.as_bytes(), address.as_bytes()) {
                let end = place + address.len();
                let mut behind = hidden[end..].chars();
                let is_file = is_name_of_copy(&hidden[..place], &hidden[end..]);
                let is_longer = match behind.next() {
                    _ if is_file => false,
                    // A full stop ends a sentence unless a domain goes on behind it.
                    Some('.') => behind.next().is_some_and(char::is_alphanumeric),
                    Some(next) => next.is_alphanumeric() || next == '-',
                    None => false,
                };
                if is_longer || !is_file && hidden[..place].chars().next_back().is_some_and(continues) {
                    continue;
                }
                clean.push_str(&hidden[at..place]);
                clean.push_str(&self.pseudonym);
                at = end;
                found = true;
            }
            clean.push_str(&hidden[at..]);
            hidden = clean;
        }
        found.then_some(hidden)
    }

    /// Is this recipient she?
    pub(super) fn is(&self, recipient: &PlannedRecipient) -> bool {
        let lower = recipient.address.to_ascii_lowercase();
        self.addresses.contains(&lower)
    }

    fn hide_in(&self, text: &mut String) -> bool {
        self.hide(text).map(|hidden| *text = hidden).is_some()
    }

    /// In a plan; `true` if it named her.
    pub(super) fn hide_recipients(&self, recipients: &mut [PlannedRecipient]) -> bool {
        let mut found = false;
        for recipient in recipients {
            found |= self.hide_in(&mut recipient.address);
            found |= recipient.reason.about.iter_mut().map(|text| self.hide_in(text)).filter(|hidden| *hidden).count() > 0;
        }
        found
    }

    /// In an entry of the audit trail; `true` if it named her.
    pub(super) fn hide_audit(&self, entry: &mut AuditEntry) -> bool {
        let actor = self.hide_in(&mut entry.actor);
        self.hide_in(&mut entry.detail) || actor
    }

    /// In what a post says of others than its author; `true` if it named her.
    pub(super) fn hide_post(&self, post: &mut Post) -> bool {
        let listed = match &mut post.audience {
            Audience::Subscribers => false,
            Audience::Listed(recipients) | Audience::Role(_, recipients) => self.hide_recipients(recipients),
            Audience::Routed(routed) => self.hide_recipients(&mut routed.mailboxes),
        };
        let reason = match &mut post.state {
            PostState::Held(reason) | PostState::AwaitsAuthor(reason) | PostState::Rejected(reason) | PostState::Discarded(reason) => {
                reason.about.iter_mut().map(|text| self.hide_in(text)).filter(|hidden| *hidden).count() > 0
            }
            _ => false,
        };
        listed || reason
    }

    /// Is the post to her alone?
    pub(super) fn is_letter(&self, post: &Post) -> bool {
        matches!(&post.audience, Audience::Listed(recipients) if !recipients.is_empty() && recipients.iter().all(|one| self.is(one)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ana() -> Vanishing {
        Vanishing::new(["Ana@X.test", "a@x.test"], "erased-1@invalid", DateTime::UNIX_EPOCH)
    }

    #[test]
    fn an_address_is_replaced_in_any_case_and_never_within_another_one() {
        for (text, hidden) in [
            ("550 <ana@x.test>: no ANA@X.TEST here", Some("550 <erased-1@invalid>: no erased-1@invalid here")),
            ("gone: ana@x.test.", Some("gone: erased-1@invalid.")),
            ("\"ana@x.test\",a@x.test;", Some("\"erased-1@invalid\",erased-1@invalid;")),
            ("juana@x.test, ana@x.test.example, ana@x.test-2.example, x.ana@x.test", None),
            ("2026-11-24|ana@x.test", Some("2026-11-24|erased-1@invalid")),
            ("250 2.0.0 written as 20261124-1-000042-ana@x.test.eml", Some("250 2.0.0 written as 20261124-1-000042-erased-1@invalid.eml")),
            ("000042-ana@x.test.emlx 1-ana@x.test.eml 000042-ju-ana@x.test.eml", None),
            ("nothing", None),
        ] {
            assert_eq!(ana().hide(text).as_deref(), hidden, "{text}");
            assert_eq!(ana().is_in(text.as_bytes()), hidden.is_some(), "{text}");
        }
    }
}
