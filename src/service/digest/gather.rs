//! Who waits for which messages of an issue: read from the plans of its posts, in memory as a number a person.
//!
//! Most people of an issue wait for the same messages, so their sets are numbered and shared.

use std::collections::{BTreeMap, HashMap};

use crate::domain::account::Account;
use crate::domain::audience::{EditionFacts, Form, Person, PostFacts, Share, shares};
use crate::domain::group::{Group, GroupCode};
use crate::domain::id::AccountId;
use crate::domain::language::Language;
use crate::domain::ledger::{PlannedRecipient, RecipientState};
use crate::domain::post::{Post, PostKind};
use crate::domain::reason::{Reason, Rule};
use crate::domain::subscription::{Delivery, DeliveryMode, Subscription};
use crate::service::{Failure, Services};
use crate::store::{BatchKey, RecipientRecord};

/// People with the numbers of their sets.
pub(super) struct Readers {
    /// By account.
    pub accounts: Vec<(AccountId, u32)>,
    sets: Vec<Vec<usize>>,
}

impl Readers {
    /// The messages of a set, by index.
    pub fn set(&self, number: u32) -> &[usize] {
        self.sets.get(number as usize).map_or(&[], Vec::as_slice)
    }
}

/// What the mails of a bucket have in common.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Bucket {
    /// Number of the set.
    pub set: u32,
    /// Language of the words around the messages.
    pub language: Language,
    /// RFC 1153 instead of MIME?
    pub plain: bool,
}

/// Everybody for whom one of `posts` waits in `group`.
pub(super) async fn readers(services: &Services, group: &GroupCode, posts: &[Post]) -> Result<Readers, Failure> {
    let mut sets: Vec<Vec<usize>> = vec![Vec::new()];
    let mut longer: HashMap<(u32, usize), u32> = HashMap::new();
    let mut by_account: BTreeMap<AccountId, u32> = BTreeMap::new();
    for (index, post) in posts.iter().enumerate() {
        let mut add = |account: AccountId| {
            let set = by_account.entry(account).or_insert(0);
            *set = *longer.entry((*set, index)).or_insert_with(|| {
                let mut wider = sets[*set as usize].clone();
                wider.push(index);
                sets.push(wider);
                u32::try_from(sets.len() - 1).unwrap_or(0)
            });
        };
        let mut person: Vec<RecipientRecord> = Vec::new();
        for number in 0..services.store.batch_count(post.id).await? {
            for row in services.store.batch(BatchKey { post: post.id, number }).await? {
                // A plan is in the order of accounts, so the rows of a person stand together.
                if person.first().is_some_and(|first| first.planned.account != row.planned.account) {
                    if let Some(account) = waits(post, group, &person) {
                        add(account);
                    }
                    person.clear();
                }
                person.push(row);
            }
        }
        if let Some(account) = waits(post, group, &person) {
            add(account);
        }
    }
    Ok(Readers { accounts: by_account.into_iter().collect(), sets })
}

/// Does the post wait for this person in the digest of `group`? Not if she gets it by another group, or in the digest of an earlier one.
fn waits(post: &Post, group: &GroupCode, rows: &[RecipientRecord]) -> Option<AccountId> {
    if rows.iter().any(|row| row.planned.state != RecipientState::Suppressed) {
        return None;
    }
    let first = rows.iter().find(|row| row.planned.reason.rule == Rule::InDigest)?;
    (post.groups.get(usize::from(first.planned.group)) == Some(group)).then_some(first.planned.account)?
}

/// These people in buckets; who has left, rests, or wants nothing now is in one too, suppressed with that reason.
pub(super) async fn buckets(
    services: &Services,
    group: &Group,
    some: &[(AccountId, u32)],
) -> Result<BTreeMap<Bucket, Vec<PlannedRecipient>>, Failure> {
    let languages: Vec<Language> = services.texts.languages();
    let spoken: Vec<Language> = services.config.service.languages.iter().copied().filter(|l| languages.contains(l)).collect();
    let editions: Vec<_> = spoken.iter().map(|language| EditionFacts { language: Some(*language), form: Form::Whole }).collect();
    let groups = [group.clone()];
    let facts = PostFacts {
        kind: PostKind::Digest,
        author: None,
        groups: &groups,
        editions: &editions,
        coming: &[],
        calendar: false,
        today: services.today(),
    };
    let mut buckets: BTreeMap<Bucket, Vec<PlannedRecipient>> = BTreeMap::new();
    for (id, set) in some {
        let (Some(account), Some(subscription)) =
            (services.store.account(*id).await?, services.store.subscription(&group.code, *id).await?)
        else {
            continue;
        };
        let plain = subscription.plain_digest;
        let (edition, state, reason) = judged(&facts, &account, subscription);
        let language = spoken.get(edition).copied().unwrap_or(Language::ENGLISH);
        let address = account.address().to_string();
        let recipient = PlannedRecipient { address, account: Some(account.id), group: 0, edition: 0, state, reason };
        buckets.entry(Bucket { set: *set, language, plain }).or_default().push(recipient);
    }
    Ok(buckets)
}

/// Her edition, or why not. Who takes posts one by one since then still gets the digest with those from before.
fn judged(facts: &PostFacts<'_>, account: &Account, subscription: Subscription) -> (usize, RecipientState, Reason) {
    let each = subscription.mode_on(facts.today) == DeliveryMode::Each;
    let delivery = if each { Delivery { mode: DeliveryMode::Digest, until: None } } else { subscription.delivery };
    let subscription = Subscription { delivery, both: false, ..subscription };
    let person = Person { account, subscriptions: &[(0, &subscription)], had: &[] };
    match shares(facts, &person).pop() {
        Some(Share::Copy { editions, reason, .. }) => (editions.first().copied().unwrap_or(0), RecipientState::Planned, reason),
        Some(Share::Suppressed { reason, .. }) => (0, RecipientState::Suppressed, reason),
        None => {
            (0, RecipientState::Suppressed, Reason::new(Rule::NotSubscribed, [account.address().as_str(), facts.groups[0].code.as_str()]))
        }
    }
}
