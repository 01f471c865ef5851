//! Accounts, with the index of their addresses and expiry days.
//!
//! Accounts are written one caller at a time, under the lock of the row that counts them: an address belongs to one.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use chrono::NaiveDate;
use sqlx::PgConnection;

use super::PostgresStore;
use super::session::{CHANGE, Fault, statement, transaction};
use super::values::{column, day, decode_all, identifier, limit};
use crate::domain::account::Account;
use crate::domain::address::EmailAddress;
use crate::domain::id::AccountId;
use crate::store::{Accounts, Result, record};

pub(super) fn address_column(address: &EmailAddress) -> Vec<u8> {
    address.key().as_bytes().to_vec()
}

/// What a change of accounts looks at, and what it makes of it.
#[derive(Default)]
struct Work {
    accounts: BTreeMap<i64, Option<Account>>,
    owners: BTreeMap<Vec<u8>, Option<i64>>,
    changed_accounts: BTreeSet<i64>,
    changed_owners: BTreeSet<Vec<u8>>,
    added: i64,
}

impl Work {
    async fn load(connection: &mut PgConnection, accounts: &[Account]) -> std::result::Result<Self, Fault> {
        let mut work = Self::default();
        let addresses = accounts.iter().flat_map(|account| account.addresses.iter().map(address_column)).collect();
        work.load_owners(connection, addresses).await?;
        let ids: BTreeSet<i64> =
            accounts.iter().map(|account| column(account.id.0)).chain(work.owners.values().filter_map(|owner| *owner)).collect();
        work.load_accounts(connection, ids).await?;
        let former = work.accounts.values().flatten().flat_map(|account| account.addresses.iter().map(address_column)).collect();
        work.load_owners(connection, former).await?;
        Ok(work)
    }

    async fn load_owners(&mut self, connection: &mut PgConnection, addresses: BTreeSet<Vec<u8>>) -> std::result::Result<(), Fault> {
        let unknown: Vec<Vec<u8>> = addresses.into_iter().filter(|address| !self.owners.contains_key(address)).collect();
        let rows: Vec<(Vec<u8>, i64)> =
            sqlx::query_as("SELECT address, account FROM addresses WHERE address = ANY($1)").bind(&unknown).fetch_all(connection).await?;
        self.owners.extend(unknown.into_iter().map(|address| (address, None)));
        self.owners.extend(rows.into_iter().map(|(address, owner)| (address, Some(owner))));
        Ok(())
    }

    async fn load_accounts(&mut self, connection: &mut PgConnection, ids: BTreeSet<i64>) -> std::result::Result<(), Fault> {
        let ids: Vec<i64> = ids.into_iter().collect();
        let rows: Vec<(i64, Vec<u8>)> =
            sqlx::query_as("SELECT id, record FROM accounts WHERE id = ANY($1)").bind(&ids).fetch_all(connection).await?;
        self.accounts.extend(ids.into_iter().map(|id| (id, None)));
        for (id, row) in rows {
            self.accounts.insert(id, Some(record::decode("an account", &row)?));
        }
        Ok(())
    }

    fn put(&mut self, new: Account) {
        let id = column(new.id.0);
        let old = self.accounts.get(&id).cloned().flatten();
        for address in &new.addresses {
            self.take_address(id, address);
        }
        if let Some(old) = &old {
            for address in old.addresses.iter().filter(|address| !new.owns(address)) {
                self.drop_address(id, address);
            }
        } else {
            self.added += 1;
        }
        self.set_account(id, Some(new));
    }

    /// Points an address to `id`, and takes it off the account that had it, unless it is that account's only one.
    fn take_address(&mut self, id: i64, address: &EmailAddress) {
        let key = address_column(address);
        let former = self.owners.get(&key).copied().flatten().filter(|former| *former != id);
        if let Some(former) = former
            && let Some(mut account) = self.accounts.get(&former).cloned().flatten()
            && account.addresses.len() > 1
        {
            account.addresses.retain(|other| other != address);
            self.set_account(former, Some(account));
        }
        self.set_owner(key, Some(id));
    }

    fn drop_address(&mut self, id: i64, address: &EmailAddress) {
        let key = address_column(address);
        if self.owners.get(&key).copied().flatten() == Some(id) {
            self.set_owner(key, None);
        }
    }

    fn remove(&mut self, id: i64) {
        let Some(account) = self.accounts.get(&id).cloned().flatten() else { return };
        for address in &account.addresses {
            self.drop_address(id, address);
        }
        self.set_account(id, None);
        self.added -= 1;
    }

    fn set_account(&mut self, id: i64, account: Option<Account>) {
        self.accounts.insert(id, account);
        self.changed_accounts.insert(id);
    }

    fn set_owner(&mut self, address: Vec<u8>, owner: Option<i64>) {
        self.changed_owners.insert(address.clone());
        self.owners.insert(address, owner);
    }

    async fn write(mut self, connection: &mut PgConnection) -> std::result::Result<(), Fault> {
        let (mut ids, mut expires, mut records, mut gone) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for id in self.changed_accounts {
            match self.accounts.remove(&id).flatten() {
                Some(account) => {
                    ids.push(id);
                    expires.push(account.expires.map(day));
                    records.push(record::encode(&account)?);
                }
                None => gone.push(id),
            }
        }
        if !ids.is_empty() {
            sqlx::query(
                "INSERT INTO accounts (id, expires, record) SELECT * FROM unnest($1::bigint[], $2::integer[], $3::bytea[]) \
                 ON CONFLICT (id) DO UPDATE SET expires = excluded.expires, record = excluded.record",
            )
            .bind(ids)
            .bind(expires)
            .bind(records)
            .execute(&mut *connection)
            .await?;
        }
        if !gone.is_empty() {
            sqlx::query("DELETE FROM accounts WHERE id = ANY($1)").bind(gone).execute(&mut *connection).await?;
        }
        let (mut addresses, mut owners, mut free) = (Vec::new(), Vec::new(), Vec::new());
        for address in self.changed_owners {
            match self.owners.remove(&address).flatten() {
                Some(owner) => {
                    addresses.push(address);
                    owners.push(owner);
                }
                None => free.push(address),
            }
        }
        if !addresses.is_empty() {
            sqlx::query(
                "INSERT INTO addresses (address, account) SELECT * FROM unnest($1::bytea[], $2::bigint[]) \
                 ON CONFLICT (address) DO UPDATE SET account = excluded.account",
            )
            .bind(addresses)
            .bind(owners)
            .execute(&mut *connection)
            .await?;
        }
        if !free.is_empty() {
            sqlx::query("DELETE FROM addresses WHERE address = ANY($1)").bind(free).execute(&mut *connection).await?;
        }
        if self.added != 0 {
            sqlx::query("UPDATE account_counts SET value = value + $1 WHERE name = 0").bind(self.added).execute(connection).await?;
        }
        Ok(())
    }
}

async fn lock(connection: &mut PgConnection) -> std::result::Result<(), Fault> {
    sqlx::query("SELECT value FROM account_counts WHERE name = 0 FOR UPDATE").execute(connection).await?;
    Ok(())
}

#[async_trait]
impl Accounts for PostgresStore {
    async fn account(&self, id: AccountId) -> Result<Option<Account>> {
        let row: Option<Vec<u8>> = statement!(self.access, |connection| {
            Ok(sqlx::query_scalar("SELECT record FROM accounts WHERE id = $1").bind(column(id.0)).fetch_optional(connection).await?)
        })?;
        row.map(|row| record::decode(&format!("account {id}"), &row)).transpose()
    }

    async fn account_by_address(&self, address: &EmailAddress) -> Result<Option<Account>> {
        let row: Option<Vec<u8>> = statement!(self.access, |connection| {
            let query = sqlx::query_scalar("SELECT a.record FROM addresses d JOIN accounts a ON a.id = d.account WHERE d.address = $1");
            Ok(query.bind(address_column(address)).fetch_optional(connection).await?)
        })?;
        row.map(|row| record::decode("an account", &row)).transpose()
    }

    async fn put_accounts(&self, accounts: Vec<Account>) -> Result<()> {
        Ok(transaction!(self.access, CHANGE, |connection| {
            lock(connection).await?;
            let mut work = Work::load(connection, &accounts).await?;
            for account in &accounts {
                work.put(account.clone());
            }
            work.write(connection).await
        })?)
    }

    async fn remove_account(&self, id: AccountId) -> Result<()> {
        Ok(transaction!(self.access, CHANGE, |connection| {
            lock(connection).await?;
            let mut work = Work::default();
            work.load_accounts(connection, BTreeSet::from([column(id.0)])).await?;
            let addresses = work.accounts.values().flatten().flat_map(|account| account.addresses.iter().map(address_column)).collect();
            work.load_owners(connection, addresses).await?;
            work.remove(column(id.0));
            work.write(connection).await
        })?)
    }

    async fn accounts(&self, after: Option<AccountId>, count: usize) -> Result<Vec<Account>> {
        let rows: Vec<Vec<u8>> = statement!(self.access, |connection| {
            let query = sqlx::query_scalar("SELECT record FROM accounts WHERE ($1::bigint IS NULL OR id > $1) ORDER BY id LIMIT $2");
            Ok(query.bind(after.map(|id| column(id.0))).bind(limit(count)).fetch_all(connection).await?)
        })?;
        decode_all("an account", &rows)
    }

    async fn accounts_expiring(&self, from: NaiveDate, to: NaiveDate) -> Result<Vec<AccountId>> {
        let rows: Vec<i64> = statement!(self.access, |connection| {
            let query = sqlx::query_scalar("SELECT id FROM accounts WHERE expires >= $1 AND expires <= $2 ORDER BY expires, id");
            Ok(query.bind(day(from)).bind(day(to)).fetch_all(connection).await?)
        })?;
        Ok(rows.into_iter().map(|id| AccountId(identifier(id))).collect())
    }

    async fn account_count(&self) -> Result<u64> {
        let count: i64 = statement!(self.access, |connection| {
            Ok(sqlx::query_scalar("SELECT value FROM account_counts WHERE name = 0").fetch_one(connection).await?)
        })?;
        Ok(count.unsigned_abs())
    }
}
