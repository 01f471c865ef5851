//! Registers: a row an entry, its version in front.

use async_trait::async_trait;

use super::rows::Rows;
use super::{SledStore, keys};
use crate::store::{Registers, Result, record};

fn split(row: &[u8]) -> Result<(u64, Vec<u8>)> {
    let (version, bytes) = row.split_first_chunk::<8>().ok_or_else(|| record::damaged("an entry of a register", "it has no version"))?;
    Ok((u64::from_be_bytes(*version), bytes.to_vec()))
}

#[async_trait]
impl Registers for SledStore {
    async fn put_entry(&self, register: &str, key: &str, expected: u64, record: Vec<u8>) -> Result<Option<u64>> {
        let key = keys::entry(register, key);
        self.change(move |w| {
            let present = w.changes.get(&key)?.map(|row| split(&row)).transpose()?.map_or(0, |(version, _)| version);
            if present != expected {
                return Ok(None);
            }
            let mut row = (expected + 1).to_be_bytes().to_vec();
            row.extend_from_slice(&record);
            w.changes.put(&key, &row)?;
            Ok(Some(expected + 1))
        })
        .await
    }

    async fn entry(&self, register: &str, key: &str) -> Result<Option<(u64, Vec<u8>)>> {
        let key = keys::entry(register, key);
        self.read(move |reader, _| reader.get(&key)?.map(|row| split(&row)).transpose()).await
    }

    async fn entries(&self, register: &str, after: Option<&str>, limit: usize) -> Result<Vec<(String, u64, Vec<u8>)>> {
        let prefix = keys::register(register);
        let after = after.map(|after| keys::entry(register, after));
        self.read(move |reader, _| {
            let rows = reader.scan(&prefix, after.as_deref()).take(limit);
            rows.map(|row| {
                let (key, row) = row?;
                let (version, record) = split(&row)?;
                Ok((String::from_utf8_lossy(&key[prefix.len()..]).into_owned(), version, record))
            })
            .collect()
        })
        .await
    }

    async fn remove_entry(&self, register: &str, key: &str) -> Result<()> {
        let key = keys::entry(register, key);
        self.change(move |w| {
            w.changes.remove(&key);
            Ok(())
        })
        .await
    }
}
