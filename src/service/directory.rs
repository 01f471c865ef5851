//! Accounts from an LDAP server: read, compared, taken over by the same code as an imported file.
//!
//! Nobody waits for it: no mail and no page asks the server. When it cannot be read wholly, nothing changes for anybody. A person
//! who has another address keeps her account, because her entry is known by what names it for good; what the directory listed of her before
//! and lists no more goes from it. Who is gone from it loses her account, and her subscriptions rest with that reason; they come back with her. More than
//! `directory.removal_brake` percent at once are never removed without `--force`. What somebody left she is not put back into: a
//! synchronisation touches accounts only.

mod state;

use std::collections::BTreeMap;

use data_encoding::HEXLOWER;
use serde::Serialize;

use super::account::{ImportReport, Manner, Tombstones, take_over};
use super::{Actor, Failure, Services};
use crate::config::Problem;
use crate::directory::builtin::{Entries, Entry};
use crate::directory::ldap::{self, Content, Progress};
use crate::domain::address::EmailAddress;
use crate::store::{StoreError, record};

pub use state::{LastSync, last};

/// Source of its accounts.
pub const SOURCE: &str = "ldap";
/// Setting of the store: how far the directory was read, as `modifyTimestamp` or `cookie:` and hexadecimal, behind the settings that it
/// was read with.
const READ_UP_TO: &str = "ldap-read-up-to";
/// Settings of the store: the entries of the directory with their addresses, in [`PARTS`] parts, so that a day's changes write few.
const ENTRIES: &str = "ldap-entries";
const PARTS: u8 = 64;

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
    /// The server told what changed by the content synchronization of RFC 4533.
    pub content_sync: bool,
    /// What came of it.
    #[serde(flatten)]
    pub accounts: ImportReport,
}

/// Reads the configured directory and lets the accounts follow; what came of it is noted for [`last`].
///
/// # Errors
/// `NotFound` without `[directory.ldap]`; `Store` when the server cannot be read wholly; `Invalid` when the brake holds. Nothing is
/// changed then.
pub async fn sync(services: &Services, actor: &Actor, how: Sync) -> Result<SyncReport, Failure> {
    let done = read_and_follow(services, actor, how).await;
    if !how.dry_run && services.config.directory.ldap.is_some() {
        let counts = |report: &SyncReport| (report.present, [report.accounts.added, report.accounts.changed, report.accounts.removed]);
        state::note(services, done.as_ref().map(counts)).await?;
    }
    done
}

async fn read_and_follow(services: &Services, actor: &Actor, how: Sync) -> Result<SyncReport, Failure> {
    let Some(ldap) = &services.config.directory.ldap else {
        return Err(Failure::NotFound("there is no [directory.ldap] in the configuration".into()));
    };
    // Other attributes or another filter make everybody new.
    let settings = format!("{}|{}|{}|{:?}|{:?}|{:?}", ldap.url, ldap.base, ldap.filter, ldap.attributes, ldap.values, ldap.defaults);
    let known = known_entries(services).await?;
    let since = if how.full { None } else { progress(services, &settings, known.as_ref()).await? };
    let known = known.unwrap_or_default();
    let most = services.config.limits.import_rows;
    let reading = ldap::read(ldap, since, most).await.map_err(|error| Failure::Store(StoreError::Unavailable(error.to_string())))?;
    let content_sync = matches!(reading.progress, Some(Progress::Content(_)));
    let mut entries = Entries { named: reading.present.iter().filter_map(|address| address.parse().ok()).collect(), ..Entries::default() };
    for (number, person) in reading.changed.iter().enumerate() {
        match Entry::of_cells(number + 1, person.cells.clone()) {
            Ok(mut entry) => {
                let before = known.get(&person.identity).into_iter().flatten();
                entry.listed_before = before.filter_map(|address| address.parse().ok()).collect();
                entries.entries.push(entry);
            }
            Err(text) => entries.problems.push(Problem {
                file: person.dn.clone(),
                line: number + 1,
                text,
                remedy: "mend the entry in the directory, or map the attribute otherwise".into(),
            }),
        }
    }
    let manner = Manner { sync: true, force: how.force, dry_run: how.dry_run, readmit: false };
    let accounts = take_over(services, actor, entries, &ldap.url, SOURCE, manner).await?;
    // Last, because a reading that is lost here is only done again.
    if !how.dry_run
        && let Some(progress) = &reading.progress
    {
        // The server goes on to know who was erased; the record does not.
        let (mut noted, tombstones) = (reading.entries, Tombstones::load(services).await?);
        let is_erased = |text: &String| text.parse::<EmailAddress>().is_ok_and(|address| tombstones.hold(&address));
        noted.values_mut().for_each(|of_entry| of_entry.retain(|text| !is_erased(text)));
        note_progress(services, &settings, progress, &noted, &known).await?;
    }
    Ok(SyncReport {
        present: reading.present.len(),
        without_address: reading.without_address,
        looked_at: reading.changed.len(),
        incremental: reading.incremental,
        content_sync,
        accounts,
    })
}

/// The entries that the directory had the last time; `None` when a part is missing, such as before the first reading.
async fn known_entries(services: &Services) -> Result<Option<Part>, Failure> {
    let mut entries = Part::new();
    for part in 0..PARTS {
        let Some(bytes) = services.store.setting(&part_name(part)).await? else { return Ok(None) };
        entries.extend(record::decode::<Part>("entries of the directory", &bytes)?);
    }
    Ok(Some(entries))
}

/// How far the directory was read with these settings.
async fn progress(services: &Services, settings: &str, known: Option<&Part>) -> Result<Option<Progress>, Failure> {
    let noted = services.store.setting(READ_UP_TO).await?.and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default();
    let Some((_, stamp)) = noted.rsplit_once('\n').filter(|(of, _)| *of == settings) else { return Ok(None) };
    let Some(cookie) = stamp.strip_prefix("cookie:") else { return Ok(Some(Progress::Stamp(stamp.to_owned()))) };
    // Without all of its entries a cookie would make everybody else look gone.
    let (Ok(cookie), Some(entries)) = (HEXLOWER.decode(cookie.as_bytes()), known.cloned()) else { return Ok(None) };
    Ok(Some(Progress::Content(Content { cookie, entries })))
}

/// Forgets these addresses among the entries that the server told of (erasure).
///
/// # Errors
/// When the store fails.
pub(super) async fn forget(services: &Services, addresses: &[EmailAddress]) -> Result<(), Failure> {
    for part in 0..PARTS {
        let Some(bytes) = services.store.setting(&part_name(part)).await? else { continue };
        let mut entries: Part = record::decode("entries of the directory", &bytes)?;
        let is_hers = |text: &String| text.parse::<EmailAddress>().is_ok_and(|address| addresses.contains(&address));
        if entries.values().flatten().any(is_hers) {
            entries.values_mut().for_each(|of_entry| of_entry.retain(|text| !is_hers(text)));
            services.store.put_setting(&part_name(part), record::encode(&entries)?).await?;
        }
    }
    Ok(())
}

type Part = BTreeMap<Vec<u8>, Vec<String>>;

fn part_name(part: u8) -> String {
    format!("{ENTRIES}-{part:02}")
}

fn parts(entries: &Part) -> Vec<Part> {
    let mut parts = vec![Part::new(); usize::from(PARTS)];
    for (uuid, addresses) in entries {
        let part = uuid.iter().fold(0u8, |sum, octet| sum.wrapping_add(*octet)) % PARTS;
        parts[usize::from(part)].insert(uuid.clone(), addresses.clone());
    }
    parts
}

/// Notes how far the directory was read; of the entries only the parts that differ from `known`.
async fn note_progress(services: &Services, settings: &str, progress: &Progress, entries: &Part, known: &Part) -> Result<(), Failure> {
    for (number, (part, before)) in (0..).zip(parts(entries).iter().zip(parts(known))) {
        if *part != before || known.is_empty() {
            services.store.put_setting(&part_name(number), record::encode(part)?).await?;
        }
    }
    let stamp = match progress {
        Progress::Stamp(stamp) => stamp.clone(),
        Progress::Content(content) => format!("cookie:{}", HEXLOWER.encode(&content.cookie)),
    };
    Ok(services.store.put_setting(READ_UP_TO, format!("{settings}\n{stamp}").into_bytes()).await?)
}
