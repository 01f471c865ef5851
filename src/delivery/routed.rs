//! The plan of a liaison statement: subscribers in their editions, mailboxes of bodies, each under the rule that names it.
//!
//! Subscribers are streamed in the order of their accounts, as for every post; mailboxes are few and come last, without an
//! account, so that the plan of a later edition can read this one alongside and see who had what. A later edition is for
//! those who wait for it or prefer it to what they had; nobody else is considered again.

use std::collections::{HashMap, HashSet, VecDeque};

use chrono_tz::Tz;

use super::planner::{Batches, Members, groups_of, next_person, planned};
use crate::domain::account::Account;
use crate::domain::audience::{EditionFacts, Form, Person, PostFacts, Share, shares};
use crate::domain::group::GroupCode;
use crate::domain::id::{AccountId, PostId};
use crate::domain::language::Language;
use crate::domain::ledger::RecipientState;
use crate::domain::liaison::wish::Wish;
use crate::domain::post::{Audience, Post, Routed};
use crate::domain::reason::{Reason, Rule};
use crate::service::{Services, liaison};
use crate::store::{BatchKey, Result, Store, StoreError};

/// Writes the recipients of `post`, whose audience is `routed`.
pub(super) async fn plan(services: &Services, timezone: Tz, post: &Post, routed: &Routed, batches: &mut Batches<'_>) -> Result<()> {
    if routed.again {
        return again(services.store.as_ref(), post, routed, batches).await;
    }
    let groups = groups_of(services, post);
    let forms = routed.forms.iter().copied().chain(std::iter::repeat(Form::Whole));
    let editions: Vec<_> =
        post.editions.iter().zip(forms).map(|(edition, form)| EditionFacts { language: edition.language, form }).collect();
    let facts = PostFacts {
        kind: post.kind,
        author: post.author,
        groups: &groups,
        editions: &editions,
        coming: &routed.coming,
        calendar: false,
        today: services.now().with_timezone(&timezone).date_naive(),
    };
    let store = services.store.as_ref();
    let mut reached = Reached { owners: owners(services, routed).await?, ..Reached::default() };
    let wishes = wishes(services, &post.groups).await?;
    let mut before = before(store, &routed.earlier).await?;
    let mut members: Vec<_> = post.groups.iter().map(|code| Members::new(&services.store, code)).collect();
    while let Some((account, subscriptions)) = next_person(&mut members).await? {
        let had = had(&mut before, account.id).await?;
        if !routed.earlier.is_empty() && !had.waited && had.languages.is_empty() {
            continue;
        }
        let subscriptions: Vec<_> = subscriptions.iter().map(|(group, subscription)| (*group, subscription)).collect();
        let person = Person { account: &account, subscriptions: &subscriptions, had: &had.languages };
        if !had.languages.is_empty() {
            reached.note(&account, post.groups.first());
        }
        for share in shares(&facts, &person) {
            let share = ruled(routed, &post.groups, &wishes, &account, share);
            if let Share::Copy { group, .. } = &share {
                reached.note(&account, post.groups.get(*group));
            }
            for recipient in planned(&account, share, None) {
                batches.push(recipient).await?;
            }
        }
    }
    for mailbox in &routed.mailboxes {
        let mut mailbox = mailbox.clone();
        if mailbox.state == RecipientState::Planned
            && let Some(group) = reached.by_address.get(&mailbox.address.to_lowercase())
        {
            mailbox.reason = Reason::new(Rule::DuplicateOf, [mailbox.address.as_str(), group.as_str()]);
            mailbox.state = RecipientState::Suppressed;
        }
        batches.push(mailbox).await?;
    }
    Ok(())
}

/// Whoever got one of the earlier posts, once, in the language in which it was read last.
async fn again(store: &dyn Store, post: &Post, routed: &Routed, batches: &mut Batches<'_>) -> Result<()> {
    let mut seen: HashSet<String> = HashSet::new();
    for earlier in routed.earlier.iter().rev() {
        let Some(earlier) = store.post(*earlier).await? else { continue };
        for number in 0..store.batch_count(earlier.id).await? {
            for row in store.batch(BatchKey { post: earlier.id, number }).await? {
                let got = matches!(row.state, RecipientState::Sent | RecipientState::Planned | RecipientState::Deferred);
                if !got || !seen.insert(row.planned.address.to_lowercase()) {
                    continue;
                }
                let language = earlier.editions.get(usize::from(row.planned.edition)).and_then(|edition| edition.language);
                let edition = post.editions.iter().position(|edition| edition.language == language).unwrap_or(0);
                let group = earlier.groups.get(usize::from(row.planned.group));
                let group = group.and_then(|code| post.groups.iter().position(|own| own == code)).unwrap_or(0);
                let mut recipient = row.planned;
                recipient.edition = u8::try_from(edition).unwrap_or(0);
                recipient.group = u8::try_from(group).unwrap_or(0);
                recipient.state = RecipientState::Planned;
                batches.push(recipient).await?;
            }
        }
    }
    Ok(())
}

/// A copy under the rule of its group; who takes the statements of the group as a daily digest gets it there.
fn ruled(routed: &Routed, codes: &[GroupCode], wishes: &[HashMap<AccountId, Wish>], account: &Account, share: Share) -> Share {
    let Share::Copy { group, editions, reason } = share else { return share };
    let purpose = routed.purposes.get(group);
    let wish = wishes.get(group).and_then(|wishes| wishes.get(&account.id));
    if let (Some(wish), Some(purpose), Some(code)) = (wish, purpose, codes.get(group))
        && wish.is_for_digest(*purpose, &routed.questions)
    {
        return Share::Suppressed { group, reason: Reason::new(Rule::LiaisonDigest, [account.address().as_str(), code.as_str()]) };
    }
    let reason = routed.reasons.get(group).cloned().unwrap_or(reason);
    Share::Copy { group, editions, reason }
}

/// Owners of mailboxes among the subscribers, and by which group they get it.
#[derive(Default)]
struct Reached {
    owners: HashMap<AccountId, Vec<String>>,
    by_address: HashMap<String, GroupCode>,
}

impl Reached {
    fn note(&mut self, account: &Account, group: Option<&GroupCode>) {
        if let (Some(addresses), Some(group)) = (self.owners.get(&account.id), group) {
            for address in addresses {
                self.by_address.entry(address.clone()).or_insert_with(|| group.clone());
            }
        }
    }
}

async fn owners(services: &Services, routed: &Routed) -> Result<HashMap<AccountId, Vec<String>>> {
    let mut owners: HashMap<AccountId, Vec<String>> = HashMap::new();
    for mailbox in routed.mailboxes.iter().filter(|mailbox| mailbox.state == RecipientState::Planned) {
        let Ok(address) = mailbox.address.parse() else { continue };
        if let Some(account) = services.store.account_by_address(&address).await? {
            owners.entry(account.id).or_default().push(mailbox.address.to_lowercase());
        }
    }
    Ok(owners)
}

async fn wishes(services: &Services, groups: &[GroupCode]) -> Result<Vec<HashMap<AccountId, Wish>>> {
    let mut all = Vec::with_capacity(groups.len());
    for code in groups {
        let wishes = liaison::wishes(services, code).await.map_err(|failure| StoreError::Unavailable(failure.to_string()))?;
        all.push(wishes);
    }
    Ok(all)
}

/// What a person had of the same issue before.
#[derive(Default)]
struct Had {
    languages: Vec<Language>,
    waited: bool,
}

/// The plan of an earlier post, read in the order of accounts.
struct Earlier<'a> {
    store: &'a dyn Store,
    post: Post,
    next: u32,
    count: u32,
    rows: VecDeque<(AccountId, Option<Language>, bool)>,
}

async fn before<'a>(store: &'a dyn Store, earlier: &[PostId]) -> Result<Vec<Earlier<'a>>> {
    let mut all = Vec::with_capacity(earlier.len());
    for id in earlier {
        if let Some(post) = store.post(*id).await? {
            let count = store.batch_count(post.id).await?;
            all.push(Earlier { store, post, next: 0, count, rows: VecDeque::new() });
        }
    }
    Ok(all)
}

/// Accounts are asked for in ascending order.
async fn had(before: &mut [Earlier<'_>], account: AccountId) -> Result<Had> {
    let mut had = Had::default();
    for earlier in before {
        loop {
            while let Some((id, language, waits)) = earlier.rows.front().copied() {
                if id > account {
                    break;
                }
                if id == account {
                    had.languages.extend(language);
                    had.waited |= waits;
                }
                earlier.rows.pop_front();
            }
            if !earlier.rows.is_empty() || earlier.next == earlier.count {
                break;
            }
            earlier.read().await?;
        }
    }
    let mut seen = HashSet::new();
    had.languages.retain(|language| seen.insert(*language));
    Ok(had)
}

impl Earlier<'_> {
    async fn read(&mut self) -> Result<()> {
        let rows = self.store.batch(BatchKey { post: self.post.id, number: self.next }).await?;
        self.next += 1;
        let forms = match &self.post.audience {
            Audience::Routed(routed) => &routed.forms[..],
            Audience::Listed(_) | Audience::Role(..) | Audience::Subscribers => &[],
        };
        for row in rows {
            let Some(account) = row.planned.account else { continue };
            let waits = row.planned.state == RecipientState::Suppressed && row.planned.reason.rule == Rule::AwaitsEdition;
            let got = matches!(row.state, RecipientState::Planned | RecipientState::Sent | RecipientState::Deferred);
            let place = usize::from(row.planned.edition);
            let joined = forms.get(place).is_some_and(|form| matches!(form, Form::Both | Form::BothLinks));
            match (got, joined) {
                (true, false) => {
                    let language = self.post.editions.get(place).and_then(|edition| edition.language);
                    self.rows.push_back((account, language, false));
                }
                (true, true) => {
                    let whole = self.post.editions.iter().filter_map(|edition| edition.language);
                    self.rows.extend(whole.map(|language| (account, Some(language), false)));
                }
                (false, _) => self.rows.push_back((account, None, waits)),
            }
        }
        Ok(())
    }
}
