//! Accounts, with the indexes of their addresses and expiry days.

use async_trait::async_trait;
use chrono::NaiveDate;

use super::keys::{ACCOUNTS, ADDRESSES, EXPIRY};
use super::rows::Rows;
use super::writer::Writer;
use super::{SledStore, keys, lock};
use crate::domain::account::Account;
use crate::domain::address::EmailAddress;
use crate::domain::id::AccountId;
use crate::store::{Accounts, Result, record};

/// One account.
pub(super) fn account(rows: &impl Rows, id: AccountId) -> Result<Option<Account>> {
    ACCOUNTS.get(rows, &keys::account(id))?.map(|row| record::decode(&format!("account {id}"), &row)).transpose()
}

/// The account that owns an address.
pub(super) fn account_by_address(rows: &impl Rows, address: &EmailAddress) -> Result<Option<Account>> {
    owner(rows, address)?.map_or(Ok(None), |id| account(rows, id))
}

fn owner(rows: &impl Rows, address: &EmailAddress) -> Result<Option<AccountId>> {
    Ok(ADDRESSES.get(rows, address.key().as_bytes())?.map(|row| AccountId(keys::last_number(&row))))
}

impl Writer<'_> {
    pub(super) fn put_account(&mut self, new: &Account) -> Result<()> {
        let old = account(&self.changes, new.id)?;
        for address in &new.addresses {
            self.take_address(new.id, address)?;
        }
        if let Some(old) = &old {
            for address in old.addresses.iter().filter(|address| !new.owns(address)) {
                self.drop_address(old.id, address)?;
            }
            if let Some(day) = old.expires.filter(|day| Some(*day) != new.expires) {
                EXPIRY.remove(&mut self.changes, &keys::expiry(day, new.id))?;
            }
        } else {
            self.ledger.accounts += 1;
        }
        if let Some(day) = new.expires {
            EXPIRY.put(&mut self.changes, &keys::expiry(day, new.id), &[])?;
        }
        ACCOUNTS.put(&mut self.changes, &keys::account(new.id), &record::encode(new)?)?;
        Ok(())
    }

    /// Points an address to `id`, and takes it off the account that had it, unless it is that account's only one.
    fn take_address(&mut self, id: AccountId, address: &EmailAddress) -> Result<()> {
        let former = owner(&self.changes, address)?.filter(|former| *former != id);
        if let Some(mut former) = former.map(|former| account(&self.changes, former)).transpose()?.flatten()
            && former.addresses.len() > 1
        {
            former.addresses.retain(|other| other != address);
            ACCOUNTS.put(&mut self.changes, &keys::account(former.id), &record::encode(&former)?)?;
        }
        ADDRESSES.put(&mut self.changes, address.key().as_bytes(), &keys::account(id))?;
        Ok(())
    }

    fn drop_address(&mut self, id: AccountId, address: &EmailAddress) -> Result<()> {
        if owner(&self.changes, address)? == Some(id) {
            ADDRESSES.remove(&mut self.changes, address.key().as_bytes())?;
        }
        Ok(())
    }

    pub(super) fn put_account_count(&mut self) -> Result<()> {
        let count = self.ledger.accounts;
        self.changes.put(&keys::meta("accounts"), &record::encode(&count)?)
    }
}

#[async_trait]
impl Accounts for SledStore {
    async fn account(&self, id: AccountId) -> Result<Option<Account>> {
        self.read(move |reader, _| account(&reader, id)).await
    }

    async fn account_by_address(&self, address: &EmailAddress) -> Result<Option<Account>> {
        let address = address.clone();
        self.read(move |reader, _| account_by_address(&reader, &address)).await
    }

    async fn put_accounts(&self, accounts: Vec<Account>) -> Result<()> {
        self.change(move |w| {
            let before = w.ledger.accounts;
            let done = accounts.iter().try_for_each(|account| w.put_account(account)).and_then(|()| w.put_account_count());
            if done.is_err() {
                w.ledger.accounts = before;
            }
            done
        })
        .await
    }

    async fn remove_account(&self, id: AccountId) -> Result<()> {
        self.change(move |w| {
            let Some(account) = account(&w.changes, id)? else { return Ok(()) };
            for address in &account.addresses {
                w.drop_address(id, address)?;
            }
            if let Some(day) = account.expires {
                EXPIRY.remove(&mut w.changes, &keys::expiry(day, id))?;
            }
            ACCOUNTS.remove(&mut w.changes, &keys::account(id))?;
            w.ledger.accounts = w.ledger.accounts.saturating_sub(1);
            w.put_account_count()
        })
        .await
    }

    async fn accounts(&self, after: Option<AccountId>, limit: usize) -> Result<Vec<Account>> {
        self.read(move |reader, _| {
            let mut found = Vec::new();
            let after = after.map(keys::account);
            ACCOUNTS.scan(&reader, &[], after.as_ref().map(<[u8; 8]>::as_slice), &mut |_, row| {
                if found.len() < limit {
                    found.push(record::decode("an account", row)?);
                }
                Ok(found.len() < limit)
            })?;
            Ok(found)
        })
        .await
    }

    async fn accounts_expiring(&self, from: NaiveDate, to: NaiveDate) -> Result<Vec<AccountId>> {
        self.read(move |reader, _| {
            let mut found = Vec::new();
            // Behind the last possible key of the day before, so that `from` itself is in.
            let after = from.pred_opt().map(|day| keys::expiry(day, AccountId(u64::MAX)));
            let last = keys::expiry(to, AccountId(u64::MAX));
            EXPIRY.scan(&reader, &[], after.as_deref(), &mut |key, _| {
                let is_in = key <= last.as_slice();
                if is_in {
                    found.push(AccountId(keys::last_number(key)));
                }
                Ok(is_in)
            })?;
            Ok(found)
        })
        .await
    }

    async fn account_count(&self) -> Result<u64> {
        Ok(lock(&self.shared.ledger).accounts)
    }
}
