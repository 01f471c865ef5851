//! A group in numbers: who takes part, and what became of its latest posts.

use std::collections::BTreeMap;

use super::{Failure, Services};
use crate::domain::archive::{is_archived, may_be_archived};
use crate::domain::audience::wanted_languages;
use crate::domain::group::GroupCode;
use crate::domain::ledger::Counts;
use crate::domain::post::Post;

/// Subscribers read at a time.
const READ: usize = 1_000;
/// Posts read at a time.
const POSTS: usize = 200;
/// Most posts looked at for a list: letters to single persons lie between those to the group, many after a large import.
const MOST_POSTS: usize = 5_000;

/// Participation; counts by what they are about. All but `states` count active subscribers only.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Participation {
    /// `active`, `pending`, `suspended`, `unsubscribed`.
    pub states: BTreeMap<&'static str, u64>,
    /// ISO 3166-1 alpha-2; empty for unknown.
    pub countries: BTreeMap<String, u64>,
    /// Keys of the words: `category.member-state`, and `kind.guest` for guests.
    pub categories: BTreeMap<&'static str, u64>,
    /// The language that each wants first.
    pub languages: BTreeMap<String, u64>,
    /// Suspended because their mail comes back.
    pub bouncing: u64,
}

/// Reads all subscribers of the group: some tenths of a second for 100,000, so callers keep the answer for a while.
///
/// # Errors
/// When there is no such group, or the store fails.
pub async fn participation(services: &Services, code: &GroupCode) -> Result<Participation, Failure> {
    use crate::domain::account::{AccountKind, Category};
    use crate::domain::reason::Rule;
    let group = services.group(code)?;
    let mut counted = Participation::default();
    let mut after = None;
    loop {
        let page = services.store.members_of_group(code, after, READ).await?;
        let Some((last, _)) = page.last() else { return Ok(counted) };
        after = Some(last.account);
        for (subscription, account) in &page {
            *counted.states.entry(subscription.state.as_str()).or_default() += 1;
            counted.bouncing += u64::from(subscription.state.reason().is_some_and(|reason| reason.rule == Rule::Bouncing));
            if !subscription.is_active() {
                continue;
            }
            let category = match (account.kind, account.category) {
                (AccountKind::Guest, _) => "kind.guest",
                (_, Category::MemberState) => "category.member-state",
                (_, Category::SectorMember) => "category.sector-member",
                (_, Category::Associate) => "category.associate",
                (_, Category::Academia) => "category.academia",
                (_, Category::None) => "category.none",
            };
            *counted.categories.entry(category).or_default() += 1;
            *counted.countries.entry(account.country_code().to_owned()).or_default() += 1;
            if let Some(first) = wanted_languages(&group, account, subscription).first() {
                *counted.languages.entry(first.to_string()).or_default() += 1;
            }
        }
    }
}

/// The latest posts of a group with what became of them, newest first.
///
/// # Errors
/// When the store fails.
pub async fn deliveries(services: &Services, code: &GroupCode, limit: usize) -> Result<Vec<(Post, Counts)>, Failure> {
    let mut reported = Vec::new();
    for post in latest(services, code, limit, |post| may_be_archived(post) || is_archived(post)).await? {
        let counts = services.store.counts(post.id).await?;
        reported.push((post, counts));
    }
    Ok(reported)
}

/// The latest posts of a group that are `wanted`, newest first, as far as a look at `MOST_POSTS` finds them.
///
/// # Errors
/// When the store fails.
pub async fn latest(
    services: &Services,
    code: &GroupCode,
    limit: usize,
    wanted: impl Fn(&Post) -> bool + Send + Sync,
) -> Result<Vec<Post>, Failure> {
    let (mut found, mut before, mut seen) = (Vec::new(), None, 0);
    while seen < MOST_POSTS && found.len() < limit {
        let page = services.store.posts_of_group(code, before, POSTS).await?;
        let Some(last) = page.last() else { break };
        before = Some(last.id);
        seen += page.len();
        found.extend(page.into_iter().filter(&wanted));
    }
    found.truncate(limit);
    Ok(found)
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::domain::id::PostId;
    use crate::domain::post::PostKind;
    use crate::service::trial::{Trial, code};

    #[tokio::test]
    async fn letters_to_single_persons_do_not_hide_what_the_group_got() {
        let trial = Trial::peopled().await;
        let at = trial.services.now();
        trial.services.store.keep_post(trial.post(PostId::new(at, 1), "Subject: x\r\n\r\nx\r\n").await, Vec::new()).await.unwrap();
        for number in 1..=300_u16 {
            let id = PostId::new(at + TimeDelta::milliseconds(i64::from(number)), 2);
            let mut letter = trial.post(id, "Subject: Welcome\r\n\r\nx\r\n").await;
            letter.kind = PostKind::Robot;
            trial.services.store.keep_post(letter, Vec::new()).await.unwrap();
        }
        let reported = deliveries(&trial.services, &code("AMR"), 20).await.unwrap();
        assert_eq!(reported.iter().map(|(post, _)| post.id).collect::<Vec<_>>(), [PostId::new(at, 1)]);
    }
}
