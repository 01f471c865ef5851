//! Every reason Enlace can give.
//!
//! The value that a rule returned is what is answered in SMTP, stored in the ledger and printed by `explain`;
//! nothing is judged a second time later. [`Reason::text`] is the English of it, for SMTP answers, logs and the
//! command line; mail and pages take the text of [`Reason::key`] from the templates in the reader's language.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A rule that spoke, with what it needs to be said in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// Which rule.
    pub rule: Rule,
    /// Whom or what it is about: an address, a group, a date; in the order in which the text names them.
    pub about: Vec<String>,
}

/// The three parts of an SMTP answer without its text (RFC 5321 section 4.2, RFC 3463).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SmtpCode {
    /// Basic code.
    pub basic: u16,
    /// Enhanced code.
    pub enhanced: (u8, u8, u8),
}

macro_rules! rules {
    ($( $(#[$doc:meta])* $name:ident $key:literal $basic:literal $enhanced:tt $text:literal ; )*) => {
        /// The rules, each with its key, its SMTP answer and its English text, in which `{0}` is the first thing it is about.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum Rule { $( $(#[$doc])* $name, )* }

        impl Rule {
            /// All of them.
            pub const ALL: &'static [Self] = &[ $( Self::$name, )* ];

            /// The name under which templates, logs and JSON know it.
            pub fn key(self) -> &'static str {
                match self { $( Self::$name => $key, )* }
            }

            /// What SMTP answers when the rule refuses.
            pub fn smtp(self) -> SmtpCode {
                match self { $( Self::$name => SmtpCode { basic: $basic, enhanced: $enhanced }, )* }
            }

            fn pattern(self) -> &'static str {
                match self { $( Self::$name => $text, )* }
            }
        }
    };
}

rules! {
    // Append only: the position of a rule is part of the stored form.
    /// Nobody of that address in the directory.
    NoAccount "no-account" 550 (5, 7, 1) "{0} has no TIES or guest account";
    /// The account was suspended.
    AccountSuspended "account-suspended" 550 (5, 7, 1) "the account of {0} is suspended";
    /// The account has expired.
    AccountExpired "account-expired" 550 (5, 7, 1) "the account of {0} expired on {1}";
    /// The country is not in the group's region.
    OutsideRegion "outside-region" 550 (5, 7, 1) "{0} is not of the region of {1}";
    /// The account has no country, so its region is unknown.
    CountryUnknown "country-unknown" 550 (5, 7, 1) "the country of {0} is not known, so its region cannot be checked";
    /// Associate or Academia that is not affiliated to the parent group.
    NotAffiliated "not-affiliated" 550 (5, 7, 1) "{0} is not affiliated to {1}";
    /// A category that may not take part in an SG3 regional group.
    Sg3Only "sg3-only" 550 (5, 7, 1) "{1} admits Member States and operating agencies only, not {0}";
    /// A TIES account without membership.
    NoMembership "no-membership" 550 (5, 7, 1) "{0} belongs to no member of ITU-T";
    /// The group takes no guests.
    GuestsNotAdmitted "guests-not-admitted" 550 (5, 7, 1) "{1} admits no guest accounts, such as {0}";
    /// Guests need an invitation.
    GuestNeedsInvitation "guest-needs-invitation" 550 (5, 7, 1) "{0} is a guest account, and {1} admits guests by invitation only";
    /// The group takes subscribers by invitation only.
    InvitationOnly "invitation-only" 550 (5, 7, 1) "{1} is by invitation only; {0} was not invited";
    /// The group takes no subscriptions.
    SubscriptionClosed "subscription-closed" 550 (5, 7, 1) "{1} is closed for subscription";
    /// The invitation is over.
    InvitationEnded "invitation-ended" 550 (5, 7, 1) "the invitation of {0} to {1} ended on {2}";
    /// A manager has to approve.
    AwaitsApproval "awaits-approval" 250 (2, 0, 0) "the subscription of {0} to {1} waits for a manager";
    /// The person has to confirm.
    AwaitsConfirmation "awaits-confirmation" 250 (2, 0, 0) "the subscription of {0} to {1} waits for a confirmation by {0}";
    /// Left by own wish.
    OptedOut "opted-out" 550 (5, 7, 1) "{0} unsubscribed from {1} on {2}";
    /// Removed by a manager.
    RemovedByManager "removed-by-manager" 550 (5, 7, 1) "{0} was removed from {1} by {2} on {3}";
    /// Not subscribed.
    NotSubscribed "not-subscribed" 550 (5, 7, 1) "{0} is not subscribed to {1}";
    /// Subscribed, but the subscription rests.
    SubscriptionSuspended "subscription-suspended" 550 (5, 7, 1) "the subscription of {0} to {1} is suspended: {2}";
    /// The address may not announce.
    MayNotAnnounce "may-not-announce" 550 (5, 7, 1) "{0} is neither manager nor secretariat of {1}, so may not announce";
    /// The address may not post liaison statements.
    MayNotLiaise "may-not-liaise" 550 (5, 7, 1) "{0} is not of the secretariat of {1}, so may not post liaison statements";
    /// A category that may never liaise (Resolution 54 resolves 5).
    NeverLiaises "never-liaises" 550 (5, 7, 1) "{0} may not take part in liaison activity: {1} accounts are excluded by Resolution 54";
    /// Nobody proved to be the sender.
    Unproved "unproved" 550 (5, 7, 1) "it is not proved that {0} sent this";
    /// Held until its author says that it is his.
    AwaitsAuthor "awaits-author" 250 (2, 0, 0) "held until {0} confirms to have sent it";
    /// Held for a moderator because the author is not subscribed.
    HeldNonmember "held-nonmember" 250 (2, 0, 0) "held for a moderator: {0} is not subscribed to {1}";
    /// Not exactly one From with exactly one mailbox.
    FromUnclear "from-unclear" 550 (5, 7, 1) "the message needs exactly one From field with exactly one address: {0}";
    /// A loop.
    Loop "loop" 554 (5, 4, 6) "this message has been through {0} before";
    /// Too many hops.
    TooManyHops "too-many-hops" 554 (5, 4, 6) "too many hops ({0} Received fields)";
    /// A robot wrote to a list.
    Automatic "automatic" 550 (5, 7, 1) "automatic messages are not distributed by {0}";
    /// The null reverse-path wrote to a list.
    NullSender "null-sender" 550 (5, 7, 1) "notifications are not distributed by {0}";
    /// No such address here.
    UnknownAddress "unknown-address" 550 (5, 1, 1) "{0} is not an address of this service";
    /// The group has ended.
    GroupRetired "group-retired" 550 (5, 1, 6) "{0} has ended";
    /// The same Message-ID was accepted for that group before.
    Repeated "repeated" 250 (2, 0, 0) "this message was accepted for {0} before";
    /// Malformed beyond what is passed on.
    Malformed "malformed" 554 (5, 6, 0) "the message is malformed: {0}";
    /// Too big.
    TooBig "too-big" 552 (5, 3, 4) "the message is larger than {0}";
    /// A token that is not ours, or used, or too old.
    TokenInvalid "token-invalid" 550 (5, 7, 1) "this token is not valid, was used already, or has expired";
    /// A moderator decided so.
    RejectedByModerator "rejected-by-moderator" 550 (5, 7, 1) "rejected by a moderator: {0}";
    /// The stream is off.
    StreamOff "stream-off" 250 (2, 0, 0) "{0} has switched off {1} in {2}";
    /// Delivery is off.
    DeliveryNone "delivery-none" 250 (2, 0, 0) "{0} has switched off delivery in {1}{2}";
    /// Goes into the digest.
    InDigest "in-digest" 250 (2, 0, 0) "{0} gets {1} as a digest";
    /// Does not want her own posts.
    OwnPost "own-post" 250 (2, 0, 0) "{0} wrote it and wants no copy of own posts";
    /// Gets it by another of the addressed groups.
    DuplicateOf "duplicate-of" 250 (2, 0, 0) "{0} gets it by {1}";
    /// Guests get nothing of a statement here.
    GuestNoLiaison "guest-no-liaison" 250 (2, 0, 0) "{0} is a guest account, and {1} sends guests no liaison statements";
    /// The part of the meeting is for members only.
    MembersOnly "members-only" 250 (2, 0, 0) "{0} is not among those the part is for";
    /// Waits for the edition in her language.
    AwaitsEdition "awaits-edition" 250 (2, 0, 0) "{0} waits for the edition in {1}";
    /// Had this edition before.
    HasEdition "has-edition" 250 (2, 0, 0) "{0} has an edition already";
    /// Withdrawn before it went out.
    Withdrawn "withdrawn" 250 (2, 0, 0) "withdrawn on {0}";
    /// Taken out of the queue by a person.
    Dropped "dropped" 250 (2, 0, 0) "taken out of the queue on {0}";
    /// Subscriber of the group.
    Subscriber "subscriber" 250 (2, 0, 0) "subscriber of {0}";
    /// Copy that ITU-T A.1 1.5.2 demands for the secretariat.
    SecretariatCopy "secretariat-copy" 250 (2, 0, 0) "secretariat of {0} (ITU-T A.1 1.5.2)";
    /// Parent study group.
    ParentCopy "parent-copy" 250 (2, 0, 0) "parent study group of {0}";
    /// TSAG by rule.
    TsagCopy "tsag-copy" 250 (2, 0, 0) "TSAG, {0}";
    /// Named as a destination.
    Destination "destination" 250 (2, 0, 0) "destination {0}, {1}";
    /// Contact of the statement.
    ContactCopy "contact-copy" 250 (2, 0, 0) "contact of the statement";
    /// Chairman of a group involved.
    ChairmanCopy "chairman-copy" 250 (2, 0, 0) "chairman or manager of {0} (ITU-T A.1 1.5.2)";
    /// The relay did not take it for too long.
    RetriesExhausted "retries-exhausted" 250 (2, 0, 0) "the relay did not take it for {0}";
    /// What the relay said.
    RelayReply "relay-reply" 250 (2, 0, 0) "{0}";
    /// Suspended for bounces.
    Bouncing "bouncing" 250 (2, 0, 0) "mail to {0} came back: {1}";
    /// The sender sends too much.
    RateLimited "rate-limited" 451 (4, 7, 1) "{0} sends too much at once; try again later";
    /// The statement is held until its problems are mended.
    HeldProblems "held-problems" 250 (2, 0, 0) "held until its problems are mended: {0}";
    /// The reader chose the daily digest for these.
    LiaisonDigest "liaison-digest" 250 (2, 0, 0) "{0} takes the statements of {1} as a daily digest";
    /// A manager or author robot reply, not a list copy.
    RobotMail "robot-mail" 250 (2, 0, 0) "{0}";
    /// The gate admits her.
    Admitted "admitted" 250 (2, 0, 0) "{0} may subscribe to {1}";
    /// A manager invited her.
    Invited "invited" 250 (2, 0, 0) "{0} was invited to {1} by {2}";
    /// A subscriber may post.
    PosterSubscribed "poster-subscribed" 250 (2, 0, 0) "{0} is subscribed to {1}";
    /// Manager of the group.
    ManagerOf "manager-of" 250 (2, 0, 0) "{0} is manager of {1}";
    /// Moderator of the group.
    ModeratorOf "moderator-of" 250 (2, 0, 0) "{0} is moderator of {1}";
    /// Secretariat of the group.
    SecretariatOf "secretariat-of" 250 (2, 0, 0) "{0} is of the secretariat of {1}";
    /// Runs the service.
    OperatorOf "operator-of" 250 (2, 0, 0) "{0} runs the service";
    /// Neither manager nor secretariat nor operator.
    MayNotManage "may-not-manage" 550 (5, 7, 1) "{0} is neither manager nor secretariat of {1}, so may not do this";
    /// Gets each post by itself, so no digest.
    NotInDigest "not-in-digest" 250 (2, 0, 0) "{0} gets the posts of {1} one by one";
    /// A manager declined the request.
    RequestDeclined "request-declined" 550 (5, 7, 1) "the request of {0} for {1} was declined{2}";
    /// The archive is open to everybody.
    ArchivePublic "archive-public" 250 (2, 0, 0) "the archive of {1} is public";
    /// The archive is for subscribers.
    ArchiveForMembers "archive-for-members" 550 (5, 7, 1) "the archive of {1} is for its subscribers, and {0} is none";
    /// The archive is for TIES accounts and subscribers.
    ArchiveForTies "archive-for-ties" 550 (5, 7, 1) "the archive of {1} is for TIES accounts and its subscribers, and {0} is neither";
    /// A TIES account may read the archive.
    TiesReader "ties-reader" 250 (2, 0, 0) "{0} has a TIES account";
    /// Gets the meeting as an invitation of her own.
    OwnInvitation "own-invitation" 250 (2, 0, 0) "{0} gets the meetings of {1} as invitations of her own";
    /// A meeting that was mailed in and cannot be understood.
    MeetingUnclear "meeting-unclear" 550 (5, 6, 0) "the meeting could not be understood: {0}";
    /// The DNS does not answer, so nobody can be proved; some hours later it is asked of the author.
    SenderUnclear "sender-unclear" 451 (4, 4, 3) "it cannot be found out at present whether {0} sent this; try again later";
    /// A body of a statement that has no address here.
    NoAddress "no-address" 250 (2, 0, 0) "no address is known for {0}";
    /// `liaison@` cannot tell the group.
    LiaisonGroupUnknown "liaison-group-unknown" 550 (5, 7, 1) "neither source nor destinations of the statement name a group of this service ({0}); write to the group's own address, such as sg12rg-amr-liaison@{1}";
    /// A liaison token cannot do what was asked.
    LiaisonNotDone "liaison-not-done" 550 (5, 7, 1) "{0}";
    /// Called it spam (RFC 5965).
    Complained "complained" 250 (2, 0, 0) "{0} reported mail of {1} as spam on {2}";
    /// On the group's list of those who may not write.
    Banned "banned" 550 (5, 7, 1) "{0} may not write to {1}";
    /// The subscriber's posts are looked at first.
    HeldModerated "held-moderated" 250 (2, 0, 0) "held for a moderator: posts of {0} to {1} are looked at first";
    /// The process ended while it was handled.
    SetAside "set-aside" 250 (2, 0, 0) "set aside because the service ended {0} times while handling it ({1})";
    /// The group gets too much.
    ListBusy "list-busy" 451 (4, 7, 1) "{0} gets too much at once; try again later";
    /// A rule of the group no longer admits her.
    RemovedByRule "removed-by-rule" 250 (2, 0, 0) "{0} no longer meets the rules of {1}: {2}";
    /// Was asked to confirm and did not.
    NotConfirmed "not-confirmed" 250 (2, 0, 0) "{0} did not confirm the subscription to {1} by {2}";
    /// Known by a role, resolved when it was sent.
    RoleCopy "role-copy" 250 (2, 0, 0) "{1} of {0}";
    /// A moderator always lets the sender through.
    AlwaysAllowed "always-allowed" 250 (2, 0, 0) "{0} is always let through by the moderators of {1}";
    /// Two persons have to release it, and one has.
    HalfReleased "half-released" 250 (2, 0, 0) "held: {0} released it, and a second person has to";
    /// The account was to be confirmed and was not.
    AccountNotConfirmed "account-not-confirmed" 550 (5, 7, 1) "the account of {0} rests because it was not confirmed by {1}";
    /// The same mail came once more, with a proof of its sender; that one goes its way.
    Superseded "superseded" 250 (2, 0, 0) "the same mail came again, now proved to come from {0}, as post {1}";
    /// It waited for its author, who did not answer.
    AuthorSilent "author-silent" 250 (2, 0, 0) "discarded on {1}: {0} did not confirm within {2} days to have sent it";
    /// It waited for a moderator, and none decided.
    Undecided "undecided" 250 (2, 0, 0) "discarded on {0}: no moderator decided within {1} days";
    /// A moderator dropped it.
    DiscardedByModerator "discarded-by-moderator" 250 (2, 0, 0) "discarded by a moderator on {0}";
    /// What was asked for cannot be done; the reason says why.
    NotDone "not-done" 550 (5, 7, 1) "{0}";
    /// The address had all answers that one gets in a day, so it cannot be asked or answered.
    AnswersUsedUp "answers-used-up" 451 (4, 7, 1) "{0} has had as many answers of this service as one address gets in a day; try again tomorrow";
    /// Went to the reader in an issue of the digest.
    WentInDigest "went-in-digest" 250 (2, 0, 0) "{0} got it in digest {2} of {1}, sent on {3}";
}

impl Reason {
    /// A rule about these things.
    pub fn new(rule: Rule, about: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { rule, about: about.into_iter().map(Into::into).collect() }
    }

    /// The key of its rule.
    pub fn key(&self) -> &'static str {
        self.rule.key()
    }

    /// The English of it with its places.
    #[cfg(test)]
    pub(in crate::domain) fn rule_pattern(&self) -> &'static str {
        self.rule.pattern()
    }

    /// The English of it, one line.
    pub fn text(&self) -> String {
        fill(self.rule.pattern(), &self.about)
    }

    /// The reason of this rule whose English that is, as [`Reason::text`] wrote it; `None` if it is not this rule's.
    pub fn read(rule: Rule, text: &str) -> Option<Self> {
        let mut pieces = rule.pattern().split('{');
        let mut rest = text.strip_prefix(pieces.next()?)?;
        let mut about = Vec::new();
        for piece in pieces {
            let (place, literal) = piece.split_once('}')?;
            let end = if literal.is_empty() { rest.len() } else { rest.find(literal)? };
            let place: usize = place.parse().ok()?;
            about.resize(about.len().max(place + 1), String::new());
            rest[..end].clone_into(&mut about[place]);
            rest = &rest[end + literal.len()..];
        }
        rest.is_empty().then_some(Self { rule, about })
    }
}

/// Puts `about` into the places `{0}`, `{1}` … of `pattern`; a place without a value stays empty.
pub fn fill(pattern: &str, about: &[String]) -> String {
    let mut text = String::with_capacity(pattern.len() + 32);
    let mut rest = pattern;
    while let Some(open) = rest.find('{') {
        text.push_str(&rest[..open]);
        let close = rest[open..].find('}').map_or(rest.len(), |i| open + i);
        if let Some(value) = rest.get(open + 1..close).and_then(|n| n.parse::<usize>().ok()).and_then(|n| about.get(n)) {
            text.extend(value.chars().map(|c| if c.is_control() { ' ' } else { c }));
        }
        rest = rest.get(close + 1..).unwrap_or_default();
    }
    text.push_str(rest);
    text
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_read_back_from_its_text() {
        for reason in [
            Reason::new(Rule::Bouncing, ["ana@x.test", "550 5.1.1 came back: no"]),
            Reason::new(Rule::Complained, ["ana@x.test", "AMR", "2026-11-24"]),
        ] {
            assert_eq!(Reason::read(reason.rule, &reason.text()), Some(reason));
        }
        assert_eq!(Reason::read(Rule::Bouncing, "mail to nobody"), None);
    }

    #[test]
    fn text_names_what_it_is_about_and_keeps_to_one_line() {
        let reason = Reason::new(Rule::NotSubscribed, ["ann@example.org", "SG12RG-AMR"]);
        assert_eq!(reason.text(), "ann@example.org is not subscribed to SG12RG-AMR");
        assert_eq!(Reason::new(Rule::RelayReply, ["a\r\n250 b"]).text(), "a  250 b");
    }

    #[test]
    fn keys_are_unique_and_codes_agree() {
        let mut keys: Vec<_> = Rule::ALL.iter().map(|rule| rule.key()).collect();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), Rule::ALL.len());
        for rule in Rule::ALL {
            assert_eq!(u16::from(rule.smtp().enhanced.0), rule.smtp().basic / 100, "{rule:?}");
        }
    }
}
