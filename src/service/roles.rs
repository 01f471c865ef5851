//! Who holds a role of a group now: the readers of `L-owner@`, `L-chairs@` and `L-tsb@`.
//!
//! Asked when a post is accepted, so that mail to nobody is refused in the session, and again when it is planned: a post may wait for its
//! author or a moderator for days, and goes to whoever has the role then.

use super::{Failure, Services};
use crate::domain::account::Account;
use crate::domain::gate;
use crate::domain::group::Group;
use crate::domain::ledger::{PlannedRecipient, RecipientState};
use crate::domain::post::RoleAddress;
use crate::domain::reason::{Reason, Rule};
use crate::domain::subscription::Role;
use crate::store::StoreError;

/// Accounts read at a time.
const PAGE: usize = 1_000;

/// Those who hold it, as recipients; nobody: the list is empty.
///
/// # Errors
/// The store's.
pub async fn holders(services: &Services, group: &Group, role: RoleAddress) -> Result<Vec<PlannedRecipient>, StoreError> {
    match role {
        RoleAddress::Managers => managers(services, group).await,
        RoleAddress::Secretariat => secretariat(services, group).await,
    }
}

/// The managers; without one the secretariat's mailboxes, so that mail to an owner is never lost.
async fn managers(services: &Services, group: &Group) -> Result<Vec<PlannedRecipient>, StoreError> {
    let reason = || Reason::new(Rule::ChairmanCopy, [group.code.as_str()]);
    let managers = match services.members_with_role(&group.code, Role::Manager).await {
        Ok(managers) => managers,
        Err(Failure::Store(error)) => return Err(error),
        Err(_) => Vec::new(),
    };
    let mut owners: Vec<PlannedRecipient> = managers
        .iter()
        .filter(|(subscription, _)| subscription.is_active())
        .map(|(_, account)| recipient(account.address().as_str(), Some(account), reason()))
        .collect();
    if owners.is_empty() {
        let mailboxes = group.secretariat.iter().chain(&group.contact);
        owners = mailboxes.map(|mailbox| recipient(mailbox.as_str(), None, reason())).collect();
        owners.dedup_by(|a, b| a.address.eq_ignore_ascii_case(&b.address));
    }
    Ok(owners)
}

/// The secretariat's mailboxes, else who has the role in the directory.
async fn secretariat(services: &Services, group: &Group) -> Result<Vec<PlannedRecipient>, StoreError> {
    let reason = || Reason::new(Rule::RoleCopy, [group.code.as_str(), "TSB"]);
    let mut found: Vec<PlannedRecipient> = group.secretariat.iter().map(|mailbox| recipient(mailbox.as_str(), None, reason())).collect();
    let mut after = None;
    while found.is_empty() {
        let page = services.store.accounts(after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        let of_group = page.iter().filter(|account| account.is_tsb_of(&group.code));
        found.extend(of_group.map(|account| recipient(account.address().as_str(), Some(account), reason())));
    }
    if found.is_empty() {
        found = group.contact.iter().map(|mailbox| recipient(mailbox.as_str(), None, reason())).collect();
    }
    Ok(found)
}

/// Who runs the service, by the directory.
///
/// # Errors
/// The store's.
pub async fn operators(services: &Services) -> Result<Vec<Account>, StoreError> {
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = services.store.accounts(after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(found) };
        after = Some(last.id);
        let in_force = |account: &Account| account.is_operator() && gate::why_not_in_force(account, services.today()).is_none();
        found.extend(page.into_iter().filter(in_force));
    }
}

/// A copy to somebody for this reason.
pub fn recipient(address: &str, account: Option<&Account>, reason: Reason) -> PlannedRecipient {
    PlannedRecipient {
        address: address.to_owned(),
        account: account.map(|account| account.id),
        group: 0,
        edition: 0,
        state: RecipientState::Planned,
        reason,
    }
}
