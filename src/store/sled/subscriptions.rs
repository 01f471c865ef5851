//! Subscriptions by group and account, with the index of each account's groups.

use async_trait::async_trait;

use super::accounts::{account, account_by_address};
use super::keys::{MEMBERSHIPS, SUBSCRIPTIONS};
use super::rows::Rows;
use super::{SledStore, keys};
use crate::domain::account::Account;
use crate::domain::address::EmailAddress;
use crate::domain::group::GroupCode;
use crate::domain::id::AccountId;
use crate::domain::subscription::Subscription;
use crate::store::{Member, Result, Subscriptions, record};

fn subscription(rows: &impl Rows, group: &GroupCode, id: AccountId) -> Result<Option<Subscription>> {
    let row = SUBSCRIPTIONS.get(rows, &keys::subscription(group, id))?;
    row.map(|row| record::decode_grown(&format!("the subscription of account {id} to {group}"), &row)).transpose()
}

/// Gives a group's subscriptions behind `after` to `take`, until it says `false`.
fn each_of_group(
    rows: &impl Rows,
    group: &GroupCode,
    after: Option<AccountId>,
    take: &mut dyn FnMut(Subscription) -> Result<bool>,
) -> Result<()> {
    let after = after.map(|id| keys::subscription(group, id));
    SUBSCRIPTIONS
        .scan(rows, &keys::subscriptions(group), after.as_deref(), &mut |_, row| take(record::decode_grown("a subscription", row)?))
}

fn groups_of(rows: &impl Rows, id: AccountId) -> Result<Vec<GroupCode>> {
    let mut groups = Vec::new();
    MEMBERSHIPS.scan(rows, &keys::account(id), None, &mut |key, _| {
        let code = std::str::from_utf8(&key[8..]).ok().and_then(|code| code.parse().ok());
        groups.push(code.ok_or_else(|| record::damaged("a membership", "it names no group"))?);
        Ok(true)
    })?;
    Ok(groups)
}

#[async_trait]
impl Subscriptions for SledStore {
    async fn subscription(&self, group: &GroupCode, account: AccountId) -> Result<Option<Subscription>> {
        let group = group.clone();
        self.read(move |reader, _| subscription(&reader, &group, account)).await
    }

    async fn put_subscriptions(&self, subscriptions: Vec<Subscription>) -> Result<()> {
        self.change(move |w| {
            for one in &subscriptions {
                SUBSCRIPTIONS.put(&mut w.changes, &keys::subscription(&one.group, one.account), &record::encode_grown(one)?)?;
                MEMBERSHIPS.put(&mut w.changes, &keys::membership(one.account, &one.group), &[])?;
            }
            Ok(())
        })
        .await
    }

    async fn subscriptions_of_group(&self, group: &GroupCode, after: Option<AccountId>, limit: usize) -> Result<Vec<Subscription>> {
        let group = group.clone();
        self.read(move |reader, _| {
            let mut found = Vec::new();
            if limit > 0 {
                each_of_group(&reader, &group, after, &mut |one| {
                    found.push(one);
                    Ok(found.len() < limit)
                })?;
            }
            Ok(found)
        })
        .await
    }

    async fn members_of_group(&self, group: &GroupCode, after: Option<AccountId>, limit: usize) -> Result<Vec<(Subscription, Account)>> {
        let group = group.clone();
        self.read(move |reader, _| {
            let mut found = Vec::new();
            if limit > 0 {
                each_of_group(&reader, &group, after, &mut |one| {
                    if let Some(account) = account(&reader, one.account)? {
                        found.push((one, account));
                    }
                    Ok(found.len() < limit)
                })?;
            }
            Ok(found)
        })
        .await
    }

    async fn members_by_address(&self, group: &GroupCode, addresses: Vec<EmailAddress>) -> Result<Vec<Option<Member>>> {
        let group = group.clone();
        self.read(move |reader, _| {
            let member = |address| {
                let Some(account) = account_by_address(&reader, address)? else { return Ok(None) };
                let subscription = subscription(&reader, &group, account.id)?;
                Ok(Some((account, subscription)))
            };
            addresses.iter().map(member).collect()
        })
        .await
    }

    async fn subscriptions_of_account(&self, account: AccountId) -> Result<Vec<Subscription>> {
        self.read(move |reader, _| {
            let groups = groups_of(&reader, account)?;
            let found = groups.iter().map(|group| subscription(&reader, group, account)).collect::<Result<Vec<_>>>()?;
            Ok(found.into_iter().flatten().collect())
        })
        .await
    }

    async fn remove_subscriptions(&self, account: AccountId) -> Result<()> {
        self.change(move |w| {
            for group in groups_of(&w.changes, account)? {
                SUBSCRIPTIONS.remove(&mut w.changes, &keys::subscription(&group, account))?;
                MEMBERSHIPS.remove(&mut w.changes, &keys::membership(account, &group))?;
            }
            Ok(())
        })
        .await
    }
}
