//! A list as another system keeps it, in words that all four have in common.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};

use crate::domain::address::EmailAddress;
use crate::domain::language::Language;
use crate::domain::subscription::{Absence, DeliveryMode, Role};

/// Why somebody gets nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disabled {
    /// She gets it.
    No,
    /// By her own wish.
    ByHerself,
    /// By the owner.
    ByOwner,
    /// Because mail to her came back.
    Bouncing,
}

/// Somebody on the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OldMember {
    /// Her address.
    pub address: EmailAddress,
    /// Her name, as far as it is known.
    pub name: String,
    /// Her language on the list.
    pub language: Option<Language>,
    /// How posts reach her.
    pub delivery: DeliveryMode,
    /// Last day of that.
    pub until: Option<NaiveDate>,
    /// Days without mail, now or later.
    pub absence: Option<Absence>,
    /// Why she gets nothing.
    pub disabled: Disabled,
    /// Are her posts held?
    pub moderated: bool,
    /// Does she get her own posts?
    pub own_posts: bool,
    /// Does she get digests as plain text?
    pub plain_digest: bool,
    /// Does she get links instead of attachments?
    pub links: bool,
    /// What she may do.
    pub role: Role,
    /// Does she only run the list, without being on it?
    pub outside: bool,
    /// Since when.
    pub since: Option<DateTime<Utc>>,
}

impl OldMember {
    /// A plain subscriber.
    pub fn plain(address: EmailAddress) -> Self {
        Self {
            address,
            name: String::new(),
            language: None,
            delivery: DeliveryMode::Each,
            until: None,
            absence: None,
            disabled: Disabled::No,
            moderated: false,
            own_posts: true,
            plain_digest: false,
            links: false,
            role: Role::Member,
            outside: false,
            since: None,
        }
    }
}

/// Of a list that put something in front of subjects.
pub const SUBJECT_PREFIX: &str = "the subject prefix is not put in front of subjects here, because it breaks signatures";
/// Of a list that put something under posts.
pub const FOOTER: &str = "the footer is not put under posts here unless the groups file has one (footer), because it breaks signatures";
/// Of a list whose replies went to it.
pub const REPLIES: &str = "replies went to the list; here Reply-To is left as the author wrote it, and \"reply to all\" reaches the list";

/// Of a list with a largest message of its own.
pub fn largest(size: &str) -> String {
    format!("posts of more than {size} were held or refused; here limits.message_size holds for every group")
}

/// The list.
#[derive(Debug, Clone, Default)]
pub struct OldList {
    /// Its address, if its files tell.
    pub address: Option<EmailAddress>,
    /// Its name among the pages of the old system.
    pub name: String,
    /// One line about it.
    pub title: String,
    /// By address.
    pub members: BTreeMap<String, OldMember>,
    /// Addresses and patterns that may not join or post.
    pub bans: Vec<String>,
    /// Strangers whose posts went out unseen: plain addresses, or patterns that have no equal here.
    pub allowed: Vec<String>,
    /// Who left and must not be brought back by a rule or import.
    pub departed: Vec<EmailAddress>,
    /// Settings of the old list that mean something here, as `key = "value"` of the groups file.
    pub settings: BTreeMap<&'static str, String>,
    /// Posts that wait for a moderator.
    pub held: Vec<Vec<u8>>,
    /// Held posts that are not among its files.
    pub held_elsewhere: usize,
    /// Requests for subscription that wait.
    pub requests: Vec<EmailAddress>,
    /// What could not be read, or has no equal here.
    pub warnings: Vec<String>,
}

impl OldList {
    /// The member of that address, new if she was not there; an address that is none is a warning.
    pub fn member(&mut self, address: &str) -> Option<&mut OldMember> {
        if let Ok(address) = address.trim().parse::<EmailAddress>() {
            Some(self.members.entry(address.key()).or_insert_with(|| OldMember::plain(address)))
        } else {
            self.warnings.push(format!("\"{}\" is no address and is left out", address.trim().escape_debug()));
            None
        }
    }

    /// Somebody who runs the list, member or not.
    pub fn staff(&mut self, address: &str, role: Role) {
        let known = address.trim().parse::<EmailAddress>().is_ok_and(|address| self.members.contains_key(&address.key()));
        if let Some(member) = self.member(address) {
            member.role = member.role.max(role);
            member.outside |= !known;
        }
    }
}

/// The sender whom a pattern on the header field `From:` means, as an address or pattern of an address: `^From:.*<ann@x\.test>`.
pub fn sender_pattern(pattern: &str) -> Option<String> {
    let field = pattern.trim().get(..6).filter(|field| field.eq_ignore_ascii_case("^from:"))?;
    let rest = pattern.trim()[field.len()..].trim_start_matches(' ');
    let (open, rest) = match rest.strip_prefix(".*") {
        Some(rest) => (true, rest),
        None => (false, rest),
    };
    let rest = rest.trim_end_matches('$').trim_end_matches(".*").trim_start_matches('<').trim_end_matches('>');
    let domain = rest.strip_prefix('@').or_else(|| rest.strip_prefix("\\@"));
    Some(match domain {
        Some(domain) if open => format!("^.*@{domain}$"),
        _ => format!("^{rest}$"),
    })
}

/// A language as old systems write it: `es`, `es_ES`, `pt_BR`, `zh-CN`.
pub fn language(text: &str) -> Option<Language> {
    text.parse().ok()
}
