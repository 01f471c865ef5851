//! Groups, and subscriptions by group and by account.

use std::collections::{BTreeMap, HashMap};

use async_trait::async_trait;

use super::PostgresStore;
use super::accounts::address_column;
use super::session::statement;
use super::values::{code, column, decode_all_grown, limit};
use crate::domain::account::Account;
use crate::domain::address::EmailAddress;
use crate::domain::group::{Group, GroupCode};
use crate::domain::id::AccountId;
use crate::domain::subscription::Subscription;
use crate::store::{Groups, Member, Result, StoreError, Subscriptions, record};

#[async_trait]
impl Groups for PostgresStore {
    async fn groups(&self) -> Result<Vec<Group>> {
        let rows: Vec<Vec<u8>> = statement!(self.access, |connection| {
            Ok(sqlx::query_scalar("SELECT record FROM mail_groups ORDER BY code").fetch_all(connection).await?)
        })?;
        decode_all_grown("a group", &rows)
    }

    async fn put_groups(&self, groups: Vec<Group>) -> Result<()> {
        // By code, the last of doubles: one statement must not touch a row twice, and all callers lock in one order.
        let rows = groups.iter().map(|group| Ok((code(&group.code), record::encode_grown(group)?))).collect::<Result<BTreeMap<_, _>>>()?;
        let (codes, records): (Vec<_>, Vec<_>) = rows.into_iter().unzip();
        statement!(self.access, |connection| {
            let query = sqlx::query(
                "INSERT INTO mail_groups (code, record) SELECT * FROM unnest($1::bytea[], $2::bytea[]) \
                 ON CONFLICT (code) DO UPDATE SET record = excluded.record",
            );
            Ok(query.bind(&codes).bind(&records).execute(connection).await?)
        })?;
        // Other nodes keep the groups in memory.
        self.access.ring();
        Ok(())
    }
}

#[async_trait]
impl Subscriptions for PostgresStore {
    async fn subscription(&self, group: &GroupCode, account: AccountId) -> Result<Option<Subscription>> {
        let row: Option<Vec<u8>> = statement!(self.access, |connection| {
            let query = sqlx::query_scalar("SELECT record FROM subscriptions WHERE code = $1 AND account = $2");
            Ok(query.bind(code(group)).bind(column(account.0)).fetch_optional(connection).await?)
        })?;
        row.map(|row| record::decode_grown(&format!("the subscription of account {account} to {group}"), &row)).transpose()
    }

    async fn put_subscriptions(&self, subscriptions: Vec<Subscription>) -> Result<()> {
        let rows = subscriptions
            .iter()
            .map(|one| Ok(((code(&one.group), column(one.account.0)), record::encode_grown(one)?)))
            .collect::<Result<BTreeMap<_, _>>>()?;
        let mut columns = (Vec::with_capacity(rows.len()), Vec::with_capacity(rows.len()), Vec::with_capacity(rows.len()));
        for ((code, account), record) in rows {
            columns.0.push(code);
            columns.1.push(account);
            columns.2.push(record);
        }
        statement!(self.access, |connection| {
            let query = sqlx::query(
                "INSERT INTO subscriptions (code, account, record) SELECT * FROM unnest($1::bytea[], $2::bigint[], $3::bytea[]) \
                 ON CONFLICT (code, account) DO UPDATE SET record = excluded.record",
            );
            query.bind(&columns.0).bind(&columns.1).bind(&columns.2).execute(connection).await?;
            Ok(())
        })
    }

    async fn subscriptions_of_group(&self, group: &GroupCode, after: Option<AccountId>, count: usize) -> Result<Vec<Subscription>> {
        let rows: Vec<Vec<u8>> = statement!(self.access, |connection| {
            let query = sqlx::query_scalar(
                "SELECT record FROM subscriptions WHERE code = $1 AND ($2::bigint IS NULL OR account > $2) ORDER BY account LIMIT $3",
            );
            Ok(query.bind(code(group)).bind(after.map(|id| column(id.0))).bind(limit(count)).fetch_all(connection).await?)
        })?;
        decode_all_grown("a subscription", &rows)
    }

    async fn members_of_group(&self, group: &GroupCode, after: Option<AccountId>, count: usize) -> Result<Vec<(Subscription, Account)>> {
        let rows: Vec<(Vec<u8>, Vec<u8>)> = statement!(self.access, |connection| {
            let query = sqlx::query_as(
                "SELECT s.record, a.record FROM subscriptions s JOIN accounts a ON a.id = s.account \
                 WHERE s.code = $1 AND ($2::bigint IS NULL OR s.account > $2) ORDER BY s.account LIMIT $3",
            );
            Ok(query.bind(code(group)).bind(after.map(|id| column(id.0))).bind(limit(count)).fetch_all(connection).await?)
        })?;
        rows.iter()
            .map(|(one, account)| Ok((record::decode_grown("a subscription", one)?, record::decode("an account", account)?)))
            .collect()
    }

    async fn members_by_address(&self, group: &GroupCode, addresses: Vec<EmailAddress>) -> Result<Vec<Option<Member>>> {
        let wanted: Vec<Vec<u8>> = addresses.iter().map(address_column).collect();
        let rows: Vec<(Vec<u8>, Vec<u8>, Option<Vec<u8>>)> = statement!(self.access, |connection| {
            let query = sqlx::query_as(
                "SELECT d.address, a.record, s.record FROM addresses d JOIN accounts a ON a.id = d.account \
                 LEFT JOIN subscriptions s ON s.account = a.id AND s.code = $1 WHERE d.address = ANY($2::bytea[])",
            );
            Ok(query.bind(code(group)).bind(&wanted).fetch_all(connection).await?)
        })?;
        let member = |account: &[u8], subscription: Option<&[u8]>| {
            let subscription = subscription.map(|one| record::decode_grown("a subscription", one)).transpose()?;
            Ok::<Member, StoreError>((record::decode("an account", account)?, subscription))
        };
        let mut found = HashMap::with_capacity(rows.len());
        for (address, account, subscription) in &rows {
            found.insert(address.as_slice(), member(account, subscription.as_deref())?);
        }
        Ok(wanted.iter().map(|address| found.get(address.as_slice()).cloned()).collect())
    }

    async fn subscriptions_of_account(&self, account: AccountId) -> Result<Vec<Subscription>> {
        let rows: Vec<Vec<u8>> = statement!(self.access, |connection| {
            let query = sqlx::query_scalar("SELECT record FROM subscriptions WHERE account = $1 ORDER BY code");
            Ok(query.bind(column(account.0)).fetch_all(connection).await?)
        })?;
        decode_all_grown("a subscription", &rows)
    }

    async fn remove_subscriptions(&self, account: AccountId) -> Result<()> {
        statement!(self.access, |connection| {
            sqlx::query("DELETE FROM subscriptions WHERE account = $1").bind(column(account.0)).execute(connection).await?;
            Ok(())
        })
    }
}
