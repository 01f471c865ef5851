//! Who gets a statement, under which rule: one table for the preview in the receipt and for the sending.
//!
//! The table names subscribers' groups and mailboxes; which edition a subscriber reads is `domain::audience`'s business.
//! The first row that reaches an address wins; what later rows would have sent it is told as suppressed, so that nobody gets
//! two copies and `explain` has an answer for everybody.
//! Sources: ITU-T A.1 1.5.2 (copies to chairmen and TSB), Resolution 54 resolves 2 (TSAG), 1.5.1 (destinations, contacts).

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Days, Utc};

use super::bodies;
use super::labels::Labels;
use super::statement::{Destination, Purpose, Statement};
use crate::domain::address::EmailAddress;
use crate::domain::group::{Group, GroupCode, GroupKind, MissingEdition};
use crate::domain::language::Language;
use crate::domain::reason::{Reason, Rule};

/// Where a row leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// The subscribers of a group that has its list here.
    Subscribers(GroupCode),
    /// A mailbox; gets the English version where there is one.
    Mailbox(EmailAddress),
    /// A body named as a destination for which no address is known here.
    Nowhere(String),
}

/// A row of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Where to.
    pub target: Target,
    /// For whom: the body's name as it is to be shown.
    pub body: String,
    /// The rule.
    pub reason: Reason,
    /// What this body is asked for; information for copies.
    pub purpose: Purpose,
}

/// What the table needs to know.
#[derive(Debug, Clone, Copy)]
pub struct Directory<'a> {
    /// All groups.
    pub groups: &'a [Group],
    /// Words for names of bodies.
    pub labels: &'a Labels,
    /// Chairmen and managers of groups, by group.
    pub managers: &'a [(GroupCode, EmailAddress)],
    /// Domain of our own lists: a mailbox there is one of our lists and is reached as one.
    pub domain: &'a str,
}

/// The table for this statement, in the order in which its rows win.
pub fn routes(statement: &Statement, directory: &Directory<'_>) -> Vec<Route> {
    let mut table = Table { directory, routes: Vec::new(), seen: BTreeSet::new() };
    let Some(group) = directory.groups.iter().find(|group| group.code == statement.group) else { return table.routes };
    let purpose = own_purpose(statement, group, directory);
    table.subscribers(group, Reason::new(Rule::Subscriber, [group.code.as_str()]), purpose);
    let parent = group.parent.as_ref().and_then(|code| directory.groups.iter().find(|group| group.code == *code));
    table.destinations(statement);
    if let Some(parent) = parent {
        table.body(parent, &Reason::new(Rule::ParentCopy, [group.code.as_str()]), Purpose::Information);
    }
    table.tsag(statement);
    let mut involved: Vec<&Group> = vec![group];
    involved.extend(parent);
    involved.extend(statement.source_group.iter().filter_map(|code| directory.groups.iter().find(|group| group.code == *code)));
    table.copies(&involved);
    for contact in statement.contacts.iter().filter_map(|contact| contact.email.as_ref()) {
        table.mailbox(contact, contact.as_str(), Reason::new(Rule::ContactCopy, [""; 0]), Purpose::Information);
    }
    table.routes
}

/// What the statement asks of the group it is kept for.
fn own_purpose(statement: &Statement, group: &Group, directory: &Directory<'_>) -> Purpose {
    let named = statement.destinations.iter().filter(|destination| {
        bodies::resolve(&destination.name, directory.labels, directory.groups).iter().any(|found| found.code == group.code)
    });
    named.map(|destination| destination.purpose).min().unwrap_or(Purpose::Information)
}

struct Table<'a> {
    directory: &'a Directory<'a>,
    routes: Vec<Route>,
    seen: BTreeSet<String>,
}

impl Table<'_> {
    fn subscribers(&mut self, group: &Group, reason: Reason, purpose: Purpose) {
        if self.seen.insert(format!("group {}", group.code)) {
            let target = Target::Subscribers(group.code.clone());
            self.routes.push(Route { target, body: group.code.to_string(), reason, purpose });
        }
    }

    fn mailbox(&mut self, address: &EmailAddress, body: &str, reason: Reason, purpose: Purpose) {
        if address.domain().eq_ignore_ascii_case(self.directory.domain) {
            let list =
                self.directory.groups.iter().find(|group| !group.list.is_empty() && group.list.eq_ignore_ascii_case(address.local()));
            if let Some(group) = list.filter(|group| !group.retired) {
                self.subscribers(group, reason, purpose);
            }
            return;
        }
        if self.seen.insert(format!("mailbox {}", address.key())) {
            self.routes.push(Route { target: Target::Mailbox(address.clone()), body: body.to_owned(), reason, purpose });
        }
    }

    /// A body by its list here, and by its contact where it has none.
    fn body(&mut self, group: &Group, reason: &Reason, purpose: Purpose) -> bool {
        let listed = !group.retired && !group.list.is_empty() && group.kind != GroupKind::External;
        if listed {
            self.subscribers(group, reason.clone(), purpose);
        }
        if let Some(contact) = &group.contact {
            self.mailbox(contact, group.code.as_str(), reason.clone(), purpose);
        }
        listed || group.contact.is_some()
    }

    fn destinations(&mut self, statement: &Statement) {
        let (directory, from) = (self.directory, statement.source_group.as_ref());
        // Whoever is asked for more than information is asked, though "all study groups" may be named first.
        let mut destinations: Vec<&Destination> = statement.destinations.iter().collect();
        destinations.sort_by_key(|destination| destination.purpose);
        for destination in destinations {
            let reason = Reason::new(Rule::Destination, [destination.name.as_str(), destination.purpose.as_str()]);
            let found = bodies::resolve(&destination.name, directory.labels, directory.groups);
            let mut reached = false;
            for group in found.iter().filter(|group| Some(&group.code) != from || found.len() == 1) {
                reached |= self.body(group, &reason, destination.purpose);
            }
            if !reached {
                let target = Target::Nowhere(destination.name.clone());
                self.routes.push(Route { target, body: destination.name.clone(), reason, purpose: destination.purpose });
            }
        }
    }

    /// Resolution 54 resolves 2: TSAG is told of creation, terms of reference, working methods and end of a regional group.
    fn tsag(&mut self, statement: &Statement) {
        let tsag = self.directory.groups.iter().find(|group| group.code.as_str() == "TSAG");
        if let Some(tsag) = tsag.filter(|_| statement.for_tsag) {
            self.body(tsag, &Reason::new(Rule::TsagCopy, ["Resolution 54, resolves 2"]), Purpose::Information);
        }
    }

    /// ITU-T A.1 1.5.2: the secretariat for processing, the chairmen for information.
    fn copies(&mut self, involved: &[&Group]) {
        for group in involved {
            for address in &group.secretariat {
                self.mailbox(address, group.code.as_str(), Reason::new(Rule::SecretariatCopy, [group.code.as_str()]), Purpose::Information);
            }
        }
        let managers = self.directory.managers;
        for (code, address) in managers.iter().filter(|(code, _)| involved.iter().any(|group| group.code == *code)) {
            self.mailbox(address, code.as_str(), Reason::new(Rule::ChairmanCopy, [code.as_str()]), Purpose::Information);
        }
    }
}

/// The copies that nobody named as destinations: what rule V12 reports.
pub fn added_copies(routes: &[Route]) -> Vec<String> {
    let added = routes.iter().filter(|route| matches!(route.reason.rule, Rule::ParentCopy | Rule::TsagCopy | Rule::SecretariatCopy));
    let mut names: Vec<String> = added.map(|route| route.body.clone()).collect();
    names.dedup();
    names
}

/// Whether it goes out now, and who may have to wait for another language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Release {
    /// Now; these languages are to follow, and who prefers one of them waits, at the latest until then.
    Now {
        /// Languages that are awaited; empty: nobody waits.
        coming: Vec<Language>,
        /// When those who wait get what is there.
        until: Option<DateTime<Utc>>,
    },
    /// When a person says so, or the missing languages have come.
    OnPerson {
        /// What is missing.
        missing: Vec<Language>,
    },
}

/// The policy of the group for a missing working language.
///
/// `wait N days` sends at once to those whose language is there, because A.1 1.5.2 asks for "as soon as possible", and lets the
/// others wait; `send` lets nobody wait, the later version follows to those who prefer it; `hold` waits for a person.
pub fn release(statement: &Statement, group: &Group, received: DateTime<Utc>) -> Release {
    let missing = statement.missing(&group.languages);
    match group.missing_edition {
        _ if missing.is_empty() => Release::Now { coming: Vec::new(), until: None },
        MissingEdition::Send => Release::Now { coming: Vec::new(), until: None },
        MissingEdition::Wait(days) => Release::Now { coming: missing, until: received.checked_add_days(Days::new(days.into())) },
        MissingEdition::Hold => Release::OnPerson { missing },
    }
}

/// The edition for a mailbox of a body: English, in which TSAG and the parent groups work, else the first of `preferred` that
/// is there, else the first that came. Index into the editions of the statement.
pub fn edition_for_body(statement: &Statement, preferred: &[Language]) -> Option<usize> {
    let find = |language: &Language| statement.editions.iter().position(|edition| edition.language == *language);
    find(&Language::ENGLISH).or_else(|| preferred.iter().find_map(find)).or_else(|| (!statement.editions.is_empty()).then_some(0))
}

/// What of a statement went out already: the key under which a second circulation is recognised.
///
/// Same symbol (or first Message-ID), revision, language and content: the same thing.
pub fn circulation_key(statement: &Statement, language: Language, content_sha256: &str) -> String {
    let symbol = statement.symbol.as_ref().map(ToString::to_string);
    let name = symbol.or_else(|| statement.message_ids.first().cloned()).unwrap_or_else(|| statement.id.to_string());
    format!("{}|{name}|{language}|{content_sha256}", statement.group)
}

/// What taking a statement back means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Withdrawal {
    /// It has not gone out: nobody hears of it.
    Silent,
    /// It has: everybody who got it gets a notice.
    Notice,
}

/// Within the grace time nothing has gone out.
pub fn withdrawal(goes_out_at: DateTime<Utc>, now: DateTime<Utc>) -> Withdrawal {
    if now < goes_out_at { Withdrawal::Silent } else { Withdrawal::Notice }
}

/// Mailboxes that are subscribers too get their copy as subscribers: who of `mailboxes` is suppressed, and by which group.
pub fn suppressed_mailboxes(routes: &[Route], subscribed: &BTreeMap<EmailAddress, GroupCode>) -> Vec<(EmailAddress, Reason)> {
    let mailboxes = routes.iter().filter_map(|route| match &route.target {
        Target::Mailbox(address) => Some(address),
        Target::Subscribers(_) | Target::Nowhere(_) => None,
    });
    mailboxes
        .filter_map(|address| {
            let code = subscribed.get(address)?;
            Some((address.clone(), Reason::new(Rule::DuplicateOf, [address.as_str(), code.as_str()])))
        })
        .collect()
}

#[cfg(test)]
#[path = "routing_tests.rs"]
mod tests;
