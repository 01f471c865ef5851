//! Accounts from an LDAP server: read, compared, taken over by the same code as an imported file.
//!
//! Nobody waits for it: no mail and no page asks the server. When it cannot be read wholly, nothing changes for anybody. A person
//! who is gone from it loses her account, and her subscriptions rest with that reason; they come back with her. More than
//! `directory.removal_brake` percent at once are never removed without `--force`. What somebody left she is not put back into: a
//! synchronisation touches accounts only.

use serde::Serialize;

use super::account::{ImportReport, Manner, take_over};
use super::{Actor, Failure, Services};
use crate::config::Problem;
use crate::directory::builtin::{Entries, Entry};
use crate::directory::ldap;
use crate::store::StoreError;

/// Source of its accounts.
pub const SOURCE: &str = "ldap";
/// Setting of the store: how far the directory was read, as `modifyTimestamp`, behind the settings that it was read with.
const READ_UP_TO: &str = "ldap-read-up-to";

/// How a synchronisation goes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sync {
    /// Past the brake.
    pub force: bool,
    /// Read everybody anew, not only who changed.
    pub full: bool,
    /// Write nothing.
    pub dry_run: bool,
}

/// What a synchronisation did, or would do.
#[derive(Debug, Clone, Serialize)]
pub struct SyncReport {
    /// People that the directory has.
    pub present: usize,
    /// People without an address, who get no account.
    pub without_address: usize,
    /// Those who were looked at: everybody, or who changed since the last time.
    pub looked_at: usize,
    /// Only who changed was looked at.
    pub incremental: bool,
    /// What came of it.
    #[serde(flatten)]
    pub accounts: ImportReport,
}

/// Reads the configured directory and lets the accounts follow.
///
/// # Errors
/// `NotFound` without `[directory.ldap]`; `Store` when the server cannot be read wholly; `Invalid` when the brake holds. Nothing is
/// changed then.
pub async fn sync(services: &Services, actor: &Actor, how: Sync) -> Result<SyncReport, Failure> {
    let Some(ldap) = &services.config.directory.ldap else {
        return Err(Failure::NotFound("there is no [directory.ldap] in the configuration".into()));
    };
    // Other attributes or another filter make everybody new.
    let settings = format!("{}|{}|{}|{:?}|{:?}|{:?}", ldap.url, ldap.base, ldap.filter, ldap.attributes, ldap.values, ldap.defaults);
    let noted = services.store.setting(READ_UP_TO).await?.and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default();
    let since = noted.rsplit_once('\n').filter(|(of, _)| *of == settings && !how.full).map(|(_, stamp)| stamp.to_owned());
    let most = services.config.limits.import_rows;
    let reading =
        ldap::read(ldap, since.as_deref(), most).await.map_err(|error| Failure::Store(StoreError::Unavailable(error.to_string())))?;
    let mut entries = Entries { named: reading.present.iter().filter_map(|address| address.parse().ok()).collect(), ..Entries::default() };
    for (number, person) in reading.changed.iter().enumerate() {
        match Entry::of_cells(number + 1, person.cells.clone()) {
            Ok(entry) => entries.entries.push(entry),
            Err(text) => entries.problems.push(Problem {
                file: person.dn.clone(),
                line: number + 1,
                text,
                remedy: "mend the entry in the directory, or map the attribute otherwise".into(),
            }),
        }
    }
    let manner = Manner { sync: true, force: how.force, dry_run: how.dry_run };
    let accounts = take_over(services, actor, entries, &ldap.url, SOURCE, manner).await?;
    if !how.dry_run
        && let Some(newest) = reading.newest
    {
        services.store.put_setting(READ_UP_TO, format!("{settings}\n{newest}").into_bytes()).await?;
    }
    Ok(SyncReport {
        present: reading.present.len(),
        without_address: reading.without_address,
        looked_at: reading.changed.len(),
        incremental: since.is_some(),
        accounts,
    })
}
