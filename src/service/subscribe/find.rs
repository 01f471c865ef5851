//! Subscribers of a group a page at a time, found by a text, a state or a role, without ever reading all of a large group for one page.

use super::MemberRow;
use super::roster::row;
use crate::domain::account::Account;
use crate::domain::address::EmailAddress;
use crate::domain::group::GroupCode;
use crate::domain::id::AccountId;
use crate::domain::reason::Rule;
use crate::domain::subscription::{Role, Subscription};
use crate::service::{Failure, Services};

/// Subscribers looked at for one page; a search that finds little goes on with the next page.
const LOOKED_AT: usize = 5_000;
/// Subscribers read at a time.
const READ: usize = 500;

/// Who is looked for; what is empty does not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemberSearch {
    /// Part of an address, a name or an organisation, in any case.
    pub text: String,
    /// Such as `active`.
    pub state: String,
    /// At least this role.
    pub role: Option<Role>,
    /// Suspended by this rule.
    pub rule: Option<Rule>,
}

/// One who was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundMember {
    /// Whose account.
    pub account: AccountId,
    /// Her organisation.
    pub organisation: String,
    /// Her country, empty if unknown.
    pub country: String,
    /// As lists show her.
    pub row: MemberRow,
    /// Her subscription.
    pub subscription: Subscription,
}

/// A page of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemberPage {
    /// At most as many as were asked for.
    pub members: Vec<FoundMember>,
    /// Behind whom the next page begins; `None` at the end.
    pub next: Option<AccountId>,
}

/// A page of at most `limit` subscribers behind `after`, in the order in which their accounts were made.
///
/// # Errors
/// When the group does not exist or the store fails.
pub async fn find(
    services: &Services,
    code: &GroupCode,
    wanted: &MemberSearch,
    after: Option<AccountId>,
    limit: usize,
) -> Result<MemberPage, Failure> {
    let group = services.group(code)?;
    if let Some(found) = by_address(services, code, wanted).await? {
        return Ok(found);
    }
    let mut page = MemberPage::default();
    let (mut after, mut looked) = (after, 0);
    // Without a question everybody is found: no more is read than is shown, and one more to know whether there is more.
    let read = if *wanted == MemberSearch::default() { limit.saturating_add(1).min(READ) } else { READ };
    loop {
        let members = services.store.members_of_group(&group.code, after, read).await?;
        let Some((last, _)) = members.last() else {
            page.next = None;
            return Ok(page);
        };
        let (end, all_read) = (last.account, members.len() < read);
        for (subscription, account) in members {
            looked += 1;
            after = Some(subscription.account);
            if matches(wanted, &subscription, &account) {
                page.members.push(found(subscription, &account));
            }
            if page.members.len() == limit || looked >= LOOKED_AT {
                page.next = after.filter(|after| *after != end || !all_read);
                return Ok(page);
            }
        }
        after = Some(end);
        if all_read {
            return Ok(page);
        }
    }
}

/// A whole address leads to its holder at once.
async fn by_address(services: &Services, code: &GroupCode, wanted: &MemberSearch) -> Result<Option<MemberPage>, Failure> {
    let Ok(address) = wanted.text.parse::<EmailAddress>() else { return Ok(None) };
    let (Some(account), subscription) = services.holder(code, &address).await? else { return Ok(None) };
    let members = subscription.into_iter().map(|subscription| found(subscription, &account)).collect();
    Ok(Some(MemberPage { members, next: None }))
}

/// One subscriber of a group with her account.
///
/// # Errors
/// `NotFound` when the account has no subscription there; or the store fails.
pub async fn member(services: &Services, code: &GroupCode, id: AccountId) -> Result<(FoundMember, Account), Failure> {
    let missing = || Failure::NotFound(format!("nobody of that account is in {code}"));
    let account = services.store.account(id).await?.ok_or_else(missing)?;
    let subscription = services.store.subscription(code, id).await?.ok_or_else(missing)?;
    Ok((found(subscription, &account), account))
}

fn found(subscription: Subscription, account: &Account) -> FoundMember {
    FoundMember {
        account: account.id,
        organisation: account.organisation.clone(),
        country: account.country_code().to_owned(),
        row: row(&subscription, account),
        subscription,
    }
}

fn matches(wanted: &MemberSearch, subscription: &Subscription, account: &Account) -> bool {
    let text = wanted.text.to_lowercase();
    let said = |place: &str| place.to_lowercase().contains(&text);
    (wanted.state.is_empty() || subscription.state.as_str() == wanted.state)
        && wanted.role.is_none_or(|role| subscription.role >= role)
        && wanted.rule.is_none_or(|rule| subscription.state.reason().is_some_and(|reason| reason.rule == rule))
        && (text.is_empty()
            || said(&account.name)
            || said(&account.organisation)
            || account.addresses.iter().any(|address| said(address.as_str())))
}
