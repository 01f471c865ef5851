//! Who may read what a group distributed, and what of it is archived.
//!
//! Pure. Archived is what went to the subscribers: discussion, announcements, notices of meetings, editions of statements.
//! What Enlace wrote to one person, and digests, which only repeat, are not.

use chrono::NaiveDate;

use super::account::{Account, AccountKind};
use super::audience::Form;
use super::gate::{self, Verdict};
use super::group::{ArchiveAccess, Group, GuestLiaison};
use super::post::{Audience, Post, PostKind, PostState};
use super::reason::{Reason, Rule};
use super::subscription::Subscription;

/// Origin of posts whose words were let go when `archive_keep` was over; their place in the ledger stays.
pub const EXPIRED: &str = "expired";

/// Origin of posts whose author was erased, and with her their words.
pub const ERASED: &str = "erased";

/// Was this post distributed to a group, so that it is part of the archive? Neither held nor withdrawn ones are.
pub fn is_archived(post: &Post) -> bool {
    matches!(post.state, PostState::Planned | PostState::Done) && post.origin != EXPIRED && is_for_the_group(post)
}

/// May it still become one?
pub fn may_be_archived(post: &Post) -> bool {
    matches!(post.state, PostState::Accepted | PostState::Held(_) | PostState::AwaitsAuthor(_)) && is_for_the_group(post)
}

fn is_for_the_group(post: &Post) -> bool {
    match post.kind {
        PostKind::Discussion | PostKind::Announcement => true,
        // What went out of a statement, not the mail that brought it, which may be held, and not a digest, which only repeats.
        PostKind::Liaison => post.origin.starts_with("liaison:"),
        // Cancellations for one who left, and the weekly outlook, which only repeats, go to some and are not the group's.
        PostKind::Meeting => post.audience == Audience::Subscribers,
        PostKind::Robot | PostKind::Owner | PostKind::Digest => false,
    }
}

/// Places of the editions that readers of an archive see: each language once, in the fullest form. The others (with links in the
/// place of files, with every language in one, the cover alone) say the same again, for the way in which somebody takes her mail.
pub fn readable_editions(post: &Post) -> Vec<usize> {
    let forms: &[Form] = if let Audience::Routed(routed) = &post.audience { &routed.forms } else { &[] };
    let form = |place: usize| forms.get(place).copied().unwrap_or(Form::Whole);
    let fullest = (0..post.editions.len()).map(form).min_by_key(|form| form.fullness());
    let mut languages = Vec::new();
    (0..post.editions.len())
        .filter(|place| {
            let language = post.editions[*place].language;
            let fits = Some(form(*place)) == fullest && !languages.contains(&language);
            // What has no language is a message as it came.
            if fits && language.is_some() {
                languages.push(language);
            }
            fits
        })
        .collect()
}

/// What a post belongs to besides its thread, by its origin: `liaison:ID`, `meeting:ID`.
pub fn bundle(origin: &str) -> Option<&str> {
    let (kind, rest) = origin.split_once(':').filter(|(kind, _)| matches!(*kind, "liaison" | "meeting"))?;
    let end = rest.find([':', '+']).unwrap_or(rest.len());
    Some(&origin[..kind.len() + 1 + end])
}

/// May she read the archive of the group? `reader` is her account with her subscription there; `None` is anybody.
pub fn may_read(group: &Group, reader: Option<(&Account, Option<&Subscription>)>, today: NaiveDate) -> Verdict {
    let who = reader.map_or_else(|| "a visitor".to_owned(), |(account, _)| account.address().to_string());
    let about = || [who.clone(), group.code.to_string()];
    if group.archive == ArchiveAccess::Public {
        return Verdict::Accept(Reason::new(Rule::ArchivePublic, about()));
    }
    let refused = if group.archive == ArchiveAccess::Ties { Rule::ArchiveForTies } else { Rule::ArchiveForMembers };
    let Some((account, subscription)) = reader else { return Verdict::Refuse(Reason::new(refused, about())) };
    if let Some(reason) = gate::not_in_force(account, account.address(), today) {
        return Verdict::Refuse(reason);
    }
    if let Verdict::Accept(reason) = gate::may_moderate(group, account, subscription, today) {
        return Verdict::Accept(reason);
    }
    let subscribed = subscription
        .is_some_and(|subscription| subscription.is_active() && gate::standing(group, Some(account), subscription, today).is_none());
    if subscribed {
        return Verdict::Accept(Reason::new(Rule::Subscriber, [group.code.as_str()]));
    }
    if group.archive == ArchiveAccess::Ties && account.kind == AccountKind::Ties {
        return Verdict::Accept(Reason::new(Rule::TiesReader, about()));
    }
    Verdict::Refuse(Reason::new(refused, about()))
}

/// May she, who may read the archive, also read whole statements in it? They are temporary documents, so guests only where the
/// group gives them the full text (DOMAIN 1.3); in a public archive anybody.
pub fn may_read_statements(group: &Group, reader: Option<&Account>) -> bool {
    match (group.archive, reader) {
        (ArchiveAccess::Public, _) => true,
        (_, Some(account)) => account.kind == AccountKind::Ties || group.guest_liaison == GuestLiaison::Full,
        (_, None) => false,
    }
}

/// How much of a circulated statement of the register somebody may see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatementAccess {
    /// All of it.
    Whole,
    /// Title, source, destinations, deadline.
    Cover,
    /// Not even that it is there.
    Nothing,
}

/// The whole statement for holders of a TIES account; for guests, and for visitors at most the cover, as the group says (DOMAIN 1.3).
pub fn statement_access(group: &Group, reader: Option<&Account>) -> StatementAccess {
    let guest = reader.is_some_and(|account| account.kind == AccountKind::Guest);
    match (group.guest_liaison, reader) {
        (_, Some(_)) if !guest => StatementAccess::Whole,
        (GuestLiaison::Full, Some(_)) => StatementAccess::Whole,
        (GuestLiaison::Full | GuestLiaison::Cover, _) => StatementAccess::Cover,
        (GuestLiaison::None, _) => StatementAccess::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::gate::tests as given;
    use crate::domain::id::AccountId;
    use crate::domain::subscription::Provenance;

    fn day() -> NaiveDate {
        "2026-11-24".parse().unwrap()
    }

    #[test]
    fn each_policy_opens_the_archive_to_its_readers_only() {
        let ties = given::account(crate::domain::account::Category::MemberState, "MX");
        let guest = given::guest();
        let expired = Account { expires: "2026-11-23".parse().ok(), ..ties.clone() };
        let at = "2026-01-01T00:00:00Z".parse().unwrap();
        let subscription = Subscription::new(given::regional().code, AccountId(1), Provenance::Own, at);
        let left = Subscription {
            state: crate::domain::subscription::SubscriptionState::Unsubscribed(Reason::new(Rule::OptedOut, ["a"])),
            ..subscription.clone()
        };
        for (policy, visitor, subscriber, stranger, former, strange_guest, past) in [
            (ArchiveAccess::Public, true, true, true, true, true, true),
            (ArchiveAccess::Members, false, true, false, false, false, false),
            (ArchiveAccess::Ties, false, true, true, true, false, false),
        ] {
            let group = Group { archive: policy, ..given::regional() };
            let may = |reader| may_read(&group, reader, day()).is_accept();
            assert_eq!(may(None), visitor, "{policy:?}");
            assert_eq!(may(Some((&ties, Some(&subscription)))), subscriber, "{policy:?}");
            assert_eq!(may(Some((&ties, None))), stranger, "{policy:?}");
            assert_eq!(may(Some((&ties, Some(&left)))), former, "{policy:?}");
            assert_eq!(may(Some((&guest, None))), strange_guest, "{policy:?}");
            assert_eq!(may(Some((&expired, Some(&subscription)))), past, "{policy:?}");
        }
    }

    #[test]
    fn versions_of_a_statement_and_notices_of_a_meeting_are_bundles() {
        for (origin, expected) in [
            ("liaison:0123456789abcdef:es", Some("liaison:0123456789abcdef")),
            ("meeting:sg12-2027:announce:0+sg12-2027:letter:0", Some("meeting:sg12-2027")),
            ("meeting:sg12-2027", Some("meeting:sg12-2027")),
            ("robot:help", None),
            ("", None),
        ] {
            assert_eq!(bundle(origin), expected);
        }
    }

    #[test]
    fn a_guest_reads_whole_statements_only_where_the_group_says_so() {
        let guest = given::guest();
        for (policy, may) in [(GuestLiaison::Full, true), (GuestLiaison::Cover, false), (GuestLiaison::None, false)] {
            let group = Group { guest_liaison: policy, ..given::regional() };
            assert_eq!(may_read_statements(&group, Some(&guest)), may);
            assert!(!may_read_statements(&group, None));
        }
    }
}
