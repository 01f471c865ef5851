//! Who gets which edition of a post, and why the others do not.
//!
//! Pure, one person at a time, so that a plan for a million streams: the caller brings a person's subscriptions in the
//! addressed groups, in the order in which the groups are addressed, and gets one [`Share`] for each. At most one of them is a
//! copy: the first group by which she can get it; what the others would have given is suppressed as its duplicate.
//! A digest collects discussion only: announcements, meetings and statements have deadlines and go out by themselves.
//! Here decided: a tombstone or a resting subscription is considered too, and suppressed with its own reason, so that
//! "why did I not get it" has an answer.

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use super::account::{Account, AccountKind};
use super::gate;
use super::group::{Group, GuestLiaison};
use super::id::AccountId;
use super::language::Language;
use super::post::PostKind;
use super::reason::{Reason, Rule};
use super::subscription::{DeliveryMode, Stream, Subscription, SubscriptionState};

/// In what shape an edition is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Form {
    /// All of it.
    Whole,
    /// With links in the place of attachments, for slow lines.
    Links,
    /// Cover sheet and link, for guests where the group says so.
    Cover,
    /// All of it in every language there is, the edition's own first, for who wants all her languages.
    Both,
    /// The same with links in the place of attachments.
    BothLinks,
}

impl Form {
    /// Are attachments replaced by links?
    pub fn has_links(self) -> bool {
        matches!(self, Self::Links | Self::BothLinks)
    }

    /// Place among the forms, the one that says most of one language first.
    pub fn fullness(self) -> u8 {
        match self {
            Self::Whole => 0,
            Self::Both => 1,
            Self::Links => 2,
            Self::BothLinks => 3,
            Self::Cover => 4,
        }
    }

    /// The form that says the same in every language, if there is one.
    pub fn in_all_languages(self) -> Option<Self> {
        match self {
            Self::Whole => Some(Self::Both),
            Self::Links => Some(Self::BothLinks),
            Self::Cover | Self::Both | Self::BothLinks => None,
        }
    }
}

/// First number of the editions with links in the place of files, which are made of edition 0 when they go out and kept nowhere.
const LINKED: u8 = 0x80;
/// Languages in which they speak; by place, so append only. Whoever reads none of them is told in English.
const LINKED_LANGUAGES: [&str; 6] = ["en", "fr", "es", "ar", "zh", "ru"];

/// The edition with links in the place of files that speaks the first of `wanted` that it can.
pub fn linked_edition<'l>(wanted: impl IntoIterator<Item = &'l Language>) -> u8 {
    let place = wanted.into_iter().find_map(|language| LINKED_LANGUAGES.iter().position(|known| *known == language.as_str()));
    LINKED + u8::try_from(place.unwrap_or(0)).unwrap_or(0)
}

/// The language of an edition with links in the place of files; `None` for an edition that is kept.
pub fn linked_language(edition: u8) -> Option<Language> {
    let place = usize::from(edition.checked_sub(LINKED)?);
    Some(LINKED_LANGUAGES.get(place).and_then(|language| language.parse().ok()).unwrap_or(Language::ENGLISH))
}

/// One edition that is there, in the order of the post's editions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EditionFacts {
    /// In which language; `None` for a message that is passed on as it is.
    pub language: Option<Language>,
    /// In what shape.
    pub form: Form,
}

impl EditionFacts {
    /// A message that is passed on as it is.
    pub const PLAIN: Self = Self { language: None, form: Form::Whole };
}

/// What has to be known of the post.
#[derive(Debug, Clone, Copy)]
pub struct PostFacts<'a> {
    /// What kind of message.
    pub kind: PostKind,
    /// The author's account, if there is one.
    pub author: Option<AccountId>,
    /// The groups addressed, in order.
    pub groups: &'a [Group],
    /// What there is; at least one.
    pub editions: &'a [EditionFacts],
    /// Languages that are to follow later; who prefers one of them to all that is there waits for it. Empty: nobody waits.
    pub coming: &'a [Language],
    /// Does it bring a calendar object? Who asked for invitations then gets one of her own instead.
    pub calendar: bool,
    /// The date in the service's zone.
    pub today: NaiveDate,
}

/// A person with her subscriptions in the addressed groups.
#[derive(Debug, Clone, Copy)]
pub struct Person<'a> {
    /// Who.
    pub account: &'a Account,
    /// Index of the group in [`PostFacts::groups`], and her subscription to it; ascending.
    pub subscriptions: &'a [(usize, &'a Subscription)],
    /// Languages in which she has had the same thing before.
    pub had: &'a [Language],
}

/// What one subscription gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Share {
    /// She gets it by this group.
    Copy {
        /// Index of the group.
        group: usize,
        /// Indexes of the editions: one, or several when she wants all her languages; never empty.
        editions: Vec<usize>,
        /// Why.
        reason: Reason,
    },
    /// She does not get it by this group.
    Suppressed {
        /// Index of the group.
        group: usize,
        /// Why not.
        reason: Reason,
    },
}

/// One share for each subscription of the person, in their order; at most one is a copy.
pub fn shares(post: &PostFacts<'_>, person: &Person<'_>) -> Vec<Share> {
    let mut by: Option<usize> = None;
    let mut shares = Vec::with_capacity(person.subscriptions.len());
    for &(index, subscription) in person.subscriptions {
        let Some(group) = post.groups.get(index) else { continue };
        let share = match (why_not(post, group, person.account, subscription), by) {
            (Some(reason), _) => Share::Suppressed { group: index, reason },
            (None, Some(first)) => {
                let about = [person.account.address().as_str(), post.groups[first].code.as_str()];
                Share::Suppressed { group: index, reason: Reason::new(Rule::DuplicateOf, about) }
            }
            (None, None) => match choose(post, group, person, subscription) {
                Ok(editions) => {
                    by = Some(index);
                    Share::Copy { group: index, editions, reason: Reason::new(Rule::Subscriber, [group.code.as_str()]) }
                }
                Err(reason) => Share::Suppressed { group: index, reason },
            },
        };
        shares.push(share);
    }
    shares
}

/// Why she does not get this kind of post by this group, whatever its languages.
fn why_not(post: &PostFacts<'_>, group: &Group, account: &Account, subscription: &Subscription) -> Option<Reason> {
    let address = account.address().as_str();
    let code = group.code.as_str();
    match &subscription.state {
        SubscriptionState::Active => {}
        SubscriptionState::Pending(reason) | SubscriptionState::Suspended(reason) | SubscriptionState::Unsubscribed(reason) => {
            return Some(reason.clone());
        }
    }
    if let Some(reason) = gate::standing(group, Some(account), subscription, post.today) {
        return Some(reason);
    }
    let stream = post.kind.stream()?;
    if post.author == Some(account.id) && stream == Stream::Discuss && !subscription.own_posts {
        return Some(Reason::new(Rule::OwnPost, [address]));
    }
    if !subscription.streams.contains(&stream) {
        return Some(Reason::new(Rule::StreamOff, [address, stream.as_str(), code]));
    }
    if post.calendar && subscription.invitations && subscription.mode_on(post.today) != DeliveryMode::None {
        return Some(Reason::new(Rule::OwnInvitation, [address, code]));
    }
    match (subscription.mode_on(post.today), post.kind) {
        (DeliveryMode::None, _) => {
            let until = subscription.until_on(post.today).map(|day| format!(" until {day}")).unwrap_or_default();
            Some(Reason::new(Rule::DeliveryNone, [address, code, &until]))
        }
        (DeliveryMode::Digest, PostKind::Discussion) => Some(Reason::new(Rule::InDigest, [address, code])),
        (DeliveryMode::Each, PostKind::Digest) => Some(Reason::new(Rule::NotInDigest, [address, code])),
        (DeliveryMode::Each | DeliveryMode::Digest, _) => None,
    }
}

/// Which editions she gets: the right form first, then her languages.
fn choose(post: &PostFacts<'_>, group: &Group, person: &Person<'_>, subscription: &Subscription) -> Result<Vec<usize>, Reason> {
    let form = form_for(post, group, person.account, subscription)?;
    let there: Vec<(usize, Option<Language>)> = post
        .editions
        .iter()
        .enumerate()
        .filter(|(_, edition)| edition.form == form)
        .map(|(index, edition)| (index, edition.language))
        .collect();
    let mut wanted: Vec<Language> = Vec::new();
    for language in wanted_languages(group, person.account, subscription) {
        if !wanted.contains(language) {
            wanted.push(*language);
        }
    }
    let find = |language: Language| there.iter().find(|(_, there)| *there == Some(language)).map(|(index, _)| *index);
    let address = person.account.address().as_str();

    // A later edition is for those who would have taken it in the first place.
    let rank = |language: &Language| wanted.iter().position(|wanted| wanted == language).unwrap_or(usize::MAX);
    let better_than_had = |language: Language| {
        !person.had.contains(&language) && (subscription.both || person.had.iter().all(|had| rank(&language) < rank(had)))
    };
    if !person.had.is_empty() {
        let news: Vec<usize> =
            wanted.iter().filter(|language| better_than_had(**language)).filter_map(|language| find(*language)).collect();
        return match news.first() {
            Some(_) if subscription.both => Ok(news),
            Some(first) => Ok(vec![*first]),
            None => Err(Reason::new(Rule::HasEdition, [address])),
        };
    }
    let best = wanted.iter().find(|language| find(**language).is_some() || post.coming.contains(language));
    if let Some(language) = best.filter(|language| find(**language).is_none()) {
        return Err(Reason::new(Rule::AwaitsEdition, [address, language.as_str()]));
    }
    if subscription.both {
        // One mail with all of it, where there is one: her best language leads it.
        let joined = form.in_all_languages().zip(best).and_then(|(joined, first)| {
            post.editions.iter().position(|edition| edition.form == joined && edition.language == Some(*first))
        });
        if let Some(index) = joined {
            return Ok(vec![index]);
        }
        let all: Vec<usize> = wanted.iter().filter_map(|language| find(*language)).collect();
        if !all.is_empty() {
            return Ok(all);
        }
    }
    let fallback = group.languages.iter().copied().chain([Language::ENGLISH]);
    let one = wanted.iter().copied().chain(fallback).find_map(find).or_else(|| there.first().map(|(index, _)| *index));
    // An empty list of editions is a fault of the caller; the first edition is the only answer that loses nothing.
    Ok(vec![one.unwrap_or(0)])
}

/// The form for her, if it is there: guests never fall back to the whole statement, slow lines do.
fn form_for(post: &PostFacts<'_>, group: &Group, account: &Account, subscription: &Subscription) -> Result<Form, Reason> {
    let has = |form| post.editions.iter().any(|edition| edition.form == form);
    let restricted = post.kind == PostKind::Liaison && account.kind == AccountKind::Guest && !account.is_tsb_of(&group.code);
    if restricted && group.guest_liaison != GuestLiaison::Full {
        let cover = group.guest_liaison == GuestLiaison::Cover && has(Form::Cover);
        let none = || Reason::new(Rule::GuestNoLiaison, [account.address().as_str(), group.code.as_str()]);
        return cover.then_some(Form::Cover).ok_or_else(none);
    }
    Ok(if subscription.links && has(Form::Links) { Form::Links } else { Form::Whole })
}

/// Her languages in this group, in order: the subscription's, else the account's, else the group's.
pub fn wanted_languages<'a>(group: &'a Group, account: &'a Account, subscription: &'a Subscription) -> &'a [Language] {
    [&subscription.languages, &account.languages].into_iter().find(|languages| !languages.is_empty()).unwrap_or(&group.languages)
}

#[cfg(test)]
mod tests;
