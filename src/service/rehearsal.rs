//! "Who would get this, who not, and why": the rules of the plan asked for a message that does not exist.
//!
//! The same `domain::audience` that plans a real post judges each subscriber; nothing is written.

use std::collections::BTreeMap;

use super::{Failure, Services};
use crate::domain::address::EmailAddress;
use crate::domain::audience::{EditionFacts, Form, Person, PostFacts, Share, shares};
use crate::domain::group::{Group, GroupCode};
use crate::domain::language::Language;
use crate::domain::post::PostKind;
use crate::domain::reason::{Reason, Rule};

/// Subscribers read at a time.
const READ: usize = 1_000;

/// The message that is thought of.
#[derive(Debug, Clone)]
pub struct Thought {
    /// What kind.
    pub kind: PostKind,
    /// Languages of its editions; empty for a message that is passed on as it is.
    pub languages: Vec<Language>,
    /// Its author, for discussion posts.
    pub author: Option<EmailAddress>,
    /// Only these are listed: part of an address.
    pub text: String,
    /// Only these are listed: one outcome of the counts.
    pub outcome: Option<Heard>,
}

/// What came of somebody, for counting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Heard {
    /// She gets it in this language; `None`: as it is.
    Gets(Option<Language>),
    /// This rule keeps it from her.
    Not(Rule),
}

/// What would come of it.
#[derive(Debug, Clone, Default)]
pub struct Rehearsal {
    /// How many of each, with the reason of the first.
    pub counts: BTreeMap<Heard, (u64, Reason)>,
    /// Those who were asked for, at most as many as were wanted.
    pub people: Vec<(String, Heard, Reason)>,
    /// How many more there are.
    pub more: u64,
}

/// Asks the rules for every subscriber of the group.
///
/// # Errors
/// When there is no such group, or the store fails.
pub async fn rehearse(services: &Services, code: &GroupCode, thought: &Thought, listed: usize) -> Result<Rehearsal, Failure> {
    let group = Group::clone(&*services.group(code)?);
    let author = match &thought.author {
        Some(author) => services.store.account_by_address(author).await?.map(|account| account.id),
        None => None,
    };
    let editions = editions(thought, &group);
    let groups = [group];
    let post = PostFacts {
        kind: thought.kind,
        author,
        groups: &groups,
        editions: &editions,
        coming: &[],
        calendar: false,
        today: services.today(),
    };
    let mut rehearsal = Rehearsal::default();
    let mut after = None;
    loop {
        let page = services.store.members_of_group(code, after, READ).await?;
        let Some((last, _)) = page.last() else { return Ok(rehearsal) };
        after = Some(last.account);
        for (subscription, account) in &page {
            let subscriptions = [(0, subscription)];
            let person = Person { account, subscriptions: &subscriptions, had: &[] };
            for share in shares(&post, &person) {
                let (heard, reason) = match share {
                    Share::Copy { editions: got, reason, .. } => {
                        (Heard::Gets(got.first().and_then(|first| editions[*first].language)), reason)
                    }
                    Share::Suppressed { reason, .. } => (Heard::Not(reason.rule), reason),
                };
                rehearsal.note(thought, account.address().as_str(), heard, reason, listed);
            }
        }
    }
}

impl Rehearsal {
    fn note(&mut self, thought: &Thought, address: &str, heard: Heard, reason: Reason, listed: usize) {
        self.counts.entry(heard).or_insert_with(|| (0, reason.clone())).0 += 1;
        let wanted = thought.outcome.is_none_or(|outcome| outcome == heard);
        if !wanted || !address.to_lowercase().contains(&thought.text.to_lowercase()) {
            return;
        }
        if self.people.len() < listed {
            self.people.push((address.to_owned(), heard, reason));
        } else {
            self.more += 1;
        }
    }
}

/// The editions that such a message would have: whole ones, and for statements the covers that guests get.
fn editions(thought: &Thought, group: &Group) -> Vec<EditionFacts> {
    if thought.languages.is_empty() {
        return vec![EditionFacts::PLAIN];
    }
    let of = |form: Form| thought.languages.iter().map(move |language| EditionFacts { language: Some(*language), form });
    let cover = thought.kind == PostKind::Liaison && group.guest_liaison == crate::domain::group::GuestLiaison::Cover;
    of(Form::Whole).chain(cover.then(|| of(Form::Cover)).into_iter().flatten()).collect()
}
