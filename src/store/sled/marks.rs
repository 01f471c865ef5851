//! Marks, counters, settings, requests, and the audit trail.

use std::sync::atomic::Ordering;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::committer::exists;
use super::rows::Rows;
use super::writer::Writer;
use super::{SledStore, keys};
use crate::domain::group::GroupCode;
use crate::domain::id::RequestId;
use crate::store::{AuditEntry, Marks, Request, Result, record};

/// Most marks that are forgotten in one commit.
const FORGOTTEN_AT_ONCE: usize = 1000;

/// When a mark was noted or a counter last counted up.
fn noted_at(row: &[u8]) -> i64 {
    row.first_chunk::<8>().map_or(0, |bytes| i64::from_be_bytes(*bytes))
}

impl Writer<'_> {
    /// Appends to the audit trail; `once` leaves out what is there already, word for word.
    pub(super) fn put_audit(&mut self, entry: &AuditEntry, once: bool) -> Result<()> {
        let (at, row) = (record::nanoseconds(entry.at), record::encode(entry)?);
        let mut place = 0;
        while let Some(present) = self.changes.get(&keys::audit(at, place))? {
            if once && present == row {
                return Ok(());
            }
            place += 1;
        }
        let key = keys::audit(at, place);
        self.changes.put(&key, &row)?;
        if let Some(group) = &entry.group {
            let mut row = keys::audit_of_group(group);
            row.extend_from_slice(&key[1..]);
            self.changes.put(&row, &[])?;
        }
        Ok(())
    }
}

#[async_trait]
impl Marks for SledStore {
    async fn claim_once(&self, kind: &str, key: &str, at: DateTime<Utc>) -> Result<bool> {
        self.shared.see(at);
        let key = keys::mark(kind, key);
        self.change(move |w| {
            if exists(&w.changes, &key)? {
                return Ok(false);
            }
            w.changes.put(&key, &record::nanoseconds(at).to_be_bytes())?;
            Ok(true)
        })
        .await
    }

    async fn claimed_at(&self, kind: &str, key: &str) -> Result<Option<DateTime<Utc>>> {
        let key = keys::mark(kind, key);
        self.read(move |reader, _| Ok(reader.get(&key)?.map(|row| record::instant(noted_at(&row))))).await
    }

    /// Counters of `kind` that were last counted up before go too.
    async fn forget_marks(&self, kind: &str, before: DateTime<Utc>) -> Result<u64> {
        let before = record::nanoseconds(before);
        let prefixes = [keys::marks(kind), keys::counters(kind)];
        let old: Vec<Vec<u8>> = self
            .read(move |reader, _| {
                let rows = prefixes.iter().flat_map(|prefix| reader.scan(prefix, None));
                let mut old = Vec::new();
                for row in rows {
                    let (key, row) = row?;
                    if noted_at(&row) < before {
                        old.push(key);
                    }
                }
                Ok(old)
            })
            .await?;
        let mut forgotten = 0;
        for some in old.chunks(FORGOTTEN_AT_ONCE) {
            let some = some.to_vec();
            forgotten += self
                .change(move |w| {
                    let mut count = 0;
                    for key in some {
                        if w.changes.get(&key)?.is_some_and(|row| noted_at(&row) < before) {
                            w.changes.remove(&key);
                            count += 1;
                        }
                    }
                    Ok(count)
                })
                .await?;
        }
        Ok(forgotten)
    }

    async fn count_up(&self, kind: &str, key: &str) -> Result<u64> {
        let key = keys::counter(kind, key);
        self.change(move |w| {
            let count = w.changes.get(&key)?.map_or(0, |row| keys::last_number(&row)) + 1;
            let mut row = w.shared.seen.load(Ordering::Relaxed).to_be_bytes().to_vec();
            row.extend_from_slice(&count.to_be_bytes());
            w.changes.put(&key, &row)?;
            Ok(count)
        })
        .await
    }

    async fn setting(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let key = keys::setting(name);
        self.read(move |reader, _| reader.get(&key)).await
    }

    async fn put_setting(&self, name: &str, value: Vec<u8>) -> Result<()> {
        let key = keys::setting(name);
        self.change(move |w| w.changes.put(&key, &value)).await
    }

    async fn put_request(&self, request: Request) -> Result<()> {
        self.change(move |w| w.changes.put(&keys::request(request.id.0), &record::encode(&request)?)).await
    }

    async fn request(&self, id: RequestId) -> Result<Option<Request>> {
        self.read(move |reader, _| reader.get(&keys::request(id.0))?.map(|row| record::decode(&format!("request {id}"), &row)).transpose())
            .await
    }

    async fn take_request(&self, id: RequestId) -> Result<bool> {
        self.change(move |w| {
            let key = keys::request(id.0);
            let was_there = exists(&w.changes, &key)?;
            if was_there {
                w.changes.remove(&key);
            }
            Ok(was_there)
        })
        .await
    }

    async fn requests(&self, group: Option<&GroupCode>) -> Result<Vec<Request>> {
        let group = group.cloned();
        self.read(move |reader, _| {
            let all = reader.scan(keys::REQUESTS, None).map(|row| record::decode::<Request>("a request", &row?.1));
            all.filter(|request| request.as_ref().map_or(true, |request| group.as_ref().is_none_or(|group| *group == request.group)))
                .collect()
        })
        .await
    }

    async fn append_audit(&self, entry: AuditEntry) -> Result<()> {
        self.shared.see(entry.at);
        self.change(move |w| w.put_audit(&entry, false)).await
    }

    async fn audit(&self, group: Option<&GroupCode>, limit: usize) -> Result<Vec<AuditEntry>> {
        let prefix = group.map(keys::audit_of_group);
        self.read(move |reader, _| {
            let decode = |row: &[u8]| record::decode("an entry of the audit trail", row);
            let Some(prefix) = prefix else {
                return reader.scan_back(keys::AUDIT, None).take(limit).map(|row| decode(&row?.1)).collect();
            };
            let rows = reader.scan_back(&prefix, None).take(limit);
            rows.map(|row| {
                let mut key = keys::AUDIT.to_vec();
                key.extend_from_slice(&row?.0[prefix.len()..]);
                decode(&reader.get(&key)?.unwrap_or_default())
            })
            .collect()
        })
        .await
    }
}
