//! Backups and copies of a whole store: one file that every system's tar reads, or another store.
//!
//! A backup is a tar of a header, numbered parts of about four mebioctets that hold items in stored form, and a manifest
//! with the SHA-256 of each part and the inventory of the whole. It is written beside its name and renamed when it is
//! complete and on disk. Restoring reads everything twice: first all checksums, then the items. An incremental backup
//! leaves out message bodies that an earlier one holds; bodies never change, and they are nearly all there is.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::Failure;
use crate::store::transfer::{self, Inventory, Item, Place, is_own};
use crate::store::{Store, record};

/// Version of the file's form; a newer one is refused.
const FORM: u32 = 1;
const HEADER: &str = "enlace-backup.json";
const MANIFEST: &str = "manifest.json";
/// Octets after which a part ends.
const PART_OCTETS: usize = 4 << 20;
/// Longest part that is read.
const LONGEST_PART: u64 = 512 << 20;
/// Setting that says that a store was only filled in part.
pub const STATE: &str = "transfer.state";

/// First member of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Version of the form.
    pub form: u32,
    /// Version of the program that wrote it.
    pub program: String,
    /// When.
    pub created: DateTime<Utc>,
    /// Name of this backup.
    pub id: String,
    /// Name of the backup whose bodies this one leaves out.
    pub base: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Part {
    name: String,
    octets: u64,
    sha256: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Manifest {
    id: String,
    parts: Vec<Part>,
    inventory: Inventory,
}

/// What was written or read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BackupReport {
    /// The file.
    pub file: PathBuf,
    /// Name of the backup.
    pub id: String,
    /// Name of the one it builds on.
    pub base: Option<String>,
    /// When it was written.
    pub created: DateTime<Utc>,
    /// Its length.
    pub octets: u64,
    /// How many items of each kind.
    pub items: std::collections::BTreeMap<String, u64>,
    /// Whether nothing was changed.
    pub dry_run: bool,
}

/// Told how many items are done.
pub type Told<'a> = &'a (dyn Fn(u64) + Send + Sync);

fn failed(doing: &str, path: &Path, error: &io::Error) -> Failure {
    Failure::Invalid(format!("{doing} {}: {error}", path.display()))
}

fn damaged(path: &Path, why: &str) -> Failure {
    Failure::Invalid(format!("{} is not a whole backup: {why}", path.display()))
}

fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}

fn items_of(inventory: &Inventory) -> std::collections::BTreeMap<String, u64> {
    inventory.0.iter().map(|(kind, tally)| (kind.clone(), tally.items)).collect()
}

/// Writes parts into a tar.
struct Parts {
    tar: tar::Builder<BufWriter<File>>,
    manifest: Manifest,
    pending: Vec<u8>,
    at: u64,
}

impl Parts {
    fn append(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o600);
        header.set_mtime(self.at);
        header.set_cksum();
        self.tar.append_data(&mut header, name, bytes)
    }

    fn add(&mut self, item: &Item) -> Result<io::Result<()>, Failure> {
        let form = transfer::encode(item)?;
        self.pending.extend_from_slice(&u32::try_from(form.len()).unwrap_or(u32::MAX).to_le_bytes());
        self.pending.extend_from_slice(&form);
        Ok(if self.pending.len() < PART_OCTETS { Ok(()) } else { self.end_part() })
    }

    fn end_part(&mut self) -> io::Result<()> {
        let bytes = std::mem::take(&mut self.pending);
        if bytes.is_empty() {
            return Ok(());
        }
        let name = format!("part-{:06}", self.manifest.parts.len() + 1);
        self.append(&name, &bytes)?;
        self.manifest.parts.push(Part { name, octets: bytes.len() as u64, sha256: hex(&Sha256::digest(&bytes)) });
        Ok(())
    }
}

/// Writes a backup of the present instant while work goes on.
///
/// # Errors
/// When the file exists or cannot be written, a base is none, or the store cannot be read; nothing is left behind then.
pub async fn write(
    store: &dyn Store,
    now: DateTime<Utc>,
    file: &Path,
    base: Option<&Path>,
    told: Told<'_>,
) -> Result<BackupReport, Failure> {
    if file.exists() {
        return Err(Failure::Invalid(format!("{} exists; a backup is never written over: give another name", file.display())));
    }
    let (base, left_out) = match base {
        Some(base) => {
            let (header, bodies) = bodies_of(base)?;
            (Some(header.id), bodies)
        }
        None => (None, HashSet::new()),
    };
    let mut chance = [0; 16];
    getrandom::fill(&mut chance).map_err(|error| Failure::Invalid(format!("the system gives no random numbers: {error}")))?;
    let header = Header { form: FORM, program: env!("CARGO_PKG_VERSION").into(), created: now, id: hex(&chance), base };
    let mut name = file.as_os_str().to_owned();
    name.push(".partial");
    let partial = PathBuf::from(name);
    let written = write_partial(store, &header, &left_out, &partial, told).await.and_then(|manifest| {
        fs::rename(&partial, file).map_err(|e| failed("renaming", &partial, &e))?;
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(|e| failed("syncing", folder, &e))?;
        Ok(manifest)
    });
    let manifest = written.inspect_err(|_| drop(fs::remove_file(&partial)))?;
    let octets = fs::metadata(file).map_err(|e| failed("reading", file, &e))?.len();
    Ok(report(file, header, octets, &manifest.inventory, false))
}

fn report(file: &Path, header: Header, octets: u64, inventory: &Inventory, dry_run: bool) -> BackupReport {
    let Header { id, base, created, .. } = header;
    BackupReport { file: file.to_owned(), id, base, created, octets, items: items_of(inventory), dry_run }
}

async fn write_partial(
    store: &dyn Store,
    header: &Header,
    left_out: &HashSet<String>,
    partial: &Path,
    told: Told<'_>,
) -> Result<Manifest, Failure> {
    let wrong = |e: &io::Error| failed("writing", partial, e);
    let _ = fs::remove_file(partial);
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(partial).map_err(|e| wrong(&e))?;
    let mut parts = Parts {
        tar: tar::Builder::new(BufWriter::new(file)),
        manifest: Manifest { id: header.id.clone(), ..Manifest::default() },
        pending: Vec::new(),
        at: header.created.timestamp().unsigned_abs(),
    };
    let text = serde_json::to_vec_pretty(header).map_err(|e| Failure::Invalid(e.to_string()))?;
    parts.append(HEADER, &text).map_err(|e| wrong(&e))?;
    let mut snapshot = store.snapshot().await?;
    let mut place = Some(Place::default());
    let mut done = 0;
    while let Some(at) = place {
        let (items, next) = snapshot.page(&at).await?;
        done += items.len() as u64;
        for item in items.iter().filter(|item| !is_own(item)) {
            parts.manifest.inventory.count(item)?;
            if !matches!(item, Item::Body { key, .. } if left_out.contains(key)) {
                parts.add(item)?.map_err(|e| wrong(&e))?;
            }
        }
        told(done);
        place = next;
    }
    parts.end_part().map_err(|e| wrong(&e))?;
    let text = serde_json::to_vec_pretty(&parts.manifest).map_err(|e| Failure::Invalid(e.to_string()))?;
    parts.append(MANIFEST, &text).map_err(|e| wrong(&e))?;
    let file = parts.tar.into_inner().and_then(|file| file.into_inner().map_err(io::IntoInnerError::into_error));
    file.and_then(|file| file.sync_all()).map_err(|e| wrong(&e))?;
    Ok(parts.manifest)
}

/// Reads a backup's members in order; `take` gets each part's bytes, checked for length only.
#[allow(clippy::type_complexity)]
fn read(path: &Path, take: &mut dyn FnMut(&str, Vec<u8>) -> Result<(), Failure>) -> Result<(Header, Manifest), Failure> {
    let wrong = |e: &io::Error| damaged(path, &e.to_string());
    let file = File::open(path).map_err(|e| failed("reading", path, &e))?;
    let mut archive = tar::Archive::new(BufReader::new(file));
    let (mut header, mut manifest) = (None::<Header>, None::<Manifest>);
    for member in archive.entries().map_err(|e| wrong(&e))? {
        let member = member.map_err(|e| wrong(&e))?;
        let name = member.path().map_err(|e| wrong(&e))?.to_string_lossy().into_owned();
        let size = member.header().size().map_err(|e| wrong(&e))?;
        if size > LONGEST_PART {
            return Err(damaged(path, &format!("{name} is too long")));
        }
        let mut bytes = Vec::new();
        member.take(size).read_to_end(&mut bytes).map_err(|e| wrong(&e))?;
        if bytes.len() as u64 != size {
            return Err(damaged(path, &format!("{name} is cut off")));
        }
        match name.as_str() {
            HEADER => {
                let found: Header = serde_json::from_slice(&bytes).map_err(|e| damaged(path, &format!("{HEADER}: {e}")))?;
                if found.form > FORM {
                    let text = format!(
                        "{} is of form {}, newer than this program, which knows form {FORM}; use enlace {}",
                        path.display(),
                        found.form,
                        found.program
                    );
                    return Err(Failure::Invalid(text));
                }
                header = Some(found);
            }
            MANIFEST => manifest = Some(serde_json::from_slice(&bytes).map_err(|e| damaged(path, &format!("{MANIFEST}: {e}")))?),
            _ if header.is_some() => take(&name, bytes)?,
            _ => return Err(damaged(path, &format!("it does not begin with {HEADER}"))),
        }
    }
    match (header, manifest) {
        (Some(header), Some(manifest)) if header.id == manifest.id => Ok((header, manifest)),
        _ => Err(damaged(path, "header or manifest is missing: it was cut off, or is no backup of Enlace")),
    }
}

/// Checks every checksum.
fn verify(path: &Path) -> Result<(Header, Manifest), Failure> {
    let mut found = Vec::new();
    let (header, manifest) = read(path, &mut |name, bytes| {
        found.push(Part { name: name.to_owned(), octets: bytes.len() as u64, sha256: hex(&Sha256::digest(&bytes)) });
        Ok(())
    })?;
    if found == manifest.parts {
        return Ok((header, manifest));
    }
    let wrong =
        found.iter().zip(&manifest.parts).find(|(found, told)| found != told).map_or("its number of parts", |(found, _)| &found.name);
    Err(damaged(path, &format!("{wrong} does not agree with its checksum")))
}

fn items(path: &Path, bytes: &[u8]) -> Result<Vec<Item>, Failure> {
    let mut items = Vec::new();
    let mut rest = bytes;
    while let Some((length, behind)) = rest.split_first_chunk::<4>() {
        let cut = behind.split_at_checked(u32::from_le_bytes(*length) as usize);
        let (form, behind) = cut.ok_or_else(|| damaged(path, "an item is cut off"))?;
        items.push(transfer::decode("an item of the backup", form)?);
        rest = behind;
    }
    if rest.is_empty() { Ok(items) } else { Err(damaged(path, "an item is cut off")) }
}

/// Names of all bodies in a backup.
fn bodies_of(path: &Path) -> Result<(Header, HashSet<String>), Failure> {
    verify(path)?;
    let mut bodies = HashSet::new();
    let (header, _) = read(path, &mut |_, bytes| {
        let keys = items(path, &bytes)?.into_iter().filter_map(|item| match item {
            Item::Body { key, .. } => Some(key),
            _ => None,
        });
        bodies.extend(keys);
        Ok(())
    })?;
    Ok((header, bodies))
}

/// Checks a backup with those that it builds on, without a store.
///
/// # Errors
/// Names the file and what is wrong with it.
#[allow(clippy::assigning_clones)]
pub fn check(file: &Path, bases: &[PathBuf]) -> Result<BackupReport, Failure> {
    let (header, manifest) = verify(file)?;
    let mut wanted = header.base.clone();
    let mut left = Vec::new();
    for base in bases {
        left.push(verify(base)?.0);
    }
    while let Some(id) = wanted.take() {
        let Some(found) = left.iter().find(|base| base.id == id) else {
            return Err(Failure::Invalid(format!("{} builds on backup {id}: name its file with --base", file.display())));
        };
        wanted = found.base.clone();
    }
    let octets = fs::metadata(file).map_err(|e| failed("reading", file, &e))?.len();
    Ok(report(file, header, octets, &manifest.inventory, true))
}

/// Is there anything in the store, apart from what a transfer was stopped in?
///
/// # Errors
/// The store's.
pub async fn is_empty(store: &dyn Store) -> Result<bool, Failure> {
    let mut snapshot = store.snapshot().await?;
    let mut place = Some(Place::default());
    while let Some(at) = place {
        let (items, next) = snapshot.page(&at).await?;
        if items.iter().any(|item| !is_own(item)) {
            return Ok(false);
        }
        place = next;
    }
    Ok(true)
}

/// What a transfer that was stopped here was doing.
///
/// # Errors
/// The store's.
pub async fn unfinished(store: &dyn Store) -> Result<Option<String>, Failure> {
    let state = store.setting(STATE).await?.filter(|state| !state.is_empty());
    Ok(state.map(|state| String::from_utf8_lossy(&state).into_owned()))
}

/// Fills an empty store from a backup and those that it builds on, and compares in the end. The store must be opened anew.
///
/// # Errors
/// When a file is damaged or missing (nothing is changed then), or the store fails; running it again goes on.
pub async fn restore(store: &dyn Store, file: &Path, bases: &[PathBuf], told: Told<'_>) -> Result<BackupReport, Failure> {
    let mut report = check(file, bases)?;
    report.dry_run = false;
    store.put_setting(STATE, format!("restore {}", report.id).into_bytes()).await?;
    let mut done = 0;
    for base in bases {
        done = fill(store, base, true, done, told).await?;
    }
    fill(store, file, false, done, told).await?;
    let (_, manifest) = read(file, &mut |_, _| Ok(()))?;
    let differences = manifest.inventory.differences(&Inventory::of(store, &|_| ()).await?);
    // A base may hold bodies that are gone since.
    let differences: Vec<_> = differences.into_iter().filter(|kind| bases.is_empty() || !kind.starts_with("bodies")).collect();
    if !differences.is_empty() {
        return Err(Failure::Invalid(format!("the restored store differs from the backup ({}); run it again", differences.join("; "))));
    }
    store.put_setting(STATE, Vec::new()).await?;
    Ok(report)
}

async fn fill(store: &dyn Store, path: &Path, bodies_only: bool, mut done: u64, told: Told<'_>) -> Result<u64, Failure> {
    // Parts are small, so one is read, then taken in, then the next.
    let (sender, mut parts) = tokio::sync::mpsc::channel::<Vec<Item>>(2);
    let path = path.to_owned();
    let reader = tokio::task::spawn_blocking(move || {
        read(&path, &mut |_, bytes| {
            let gone = |_| Failure::Invalid("the store took no more".into());
            sender.blocking_send(items(&path, &bytes)?).map_err(gone)
        })
        .map(|_| ())
    });
    while let Some(mut items) = parts.recv().await {
        items.retain(|item| !bodies_only || matches!(item, Item::Body { .. }));
        done += items.len() as u64;
        store.import(items).await?;
        told(done);
    }
    reader.await.map_err(|e| Failure::Invalid(format!("reading the backup: {e}")))??;
    Ok(done)
}

/// What a copy came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CopyReport {
    /// How many items of each kind.
    pub items: std::collections::BTreeMap<String, u64>,
    /// It was taken up where a former one was stopped.
    pub resumed: bool,
    /// Whether nothing was changed.
    pub dry_run: bool,
}

/// Copies everything from one store into another, and compares in the end. Taken up at the last page when it was stopped.
///
/// # Errors
/// When the target holds something else, or a store fails, or both differ in the end.
pub async fn copy(from: &dyn Store, to: &dyn Store, dry_run: bool, told: Told<'_>) -> Result<CopyReport, Failure> {
    let state = unfinished(to).await?;
    let resumed = state.as_deref().and_then(|state| state.strip_prefix("copy ")).map(str::to_owned);
    if resumed.is_none() && !is_empty(to).await? {
        return Err(Failure::Invalid("the target is not empty: name an empty folder or database".into()));
    }
    if dry_run {
        let items = items_of(&Inventory::of(from, told).await?);
        return Ok(CopyReport { items, resumed: resumed.is_some(), dry_run });
    }
    let mut snapshot = from.snapshot().await?;
    let begin = resumed.as_deref().and_then(|place| data_encoding::HEXLOWER.decode(place.as_bytes()).ok());
    let mut place = Some(begin.and_then(|place| record::decode("a place", &place).ok()).unwrap_or_default());
    let mut done = 0;
    while let Some(at) = place {
        store_state(to, &at).await?;
        let (items, next) = snapshot.page(&at).await?;
        done += items.len() as u64;
        to.import(items.into_iter().filter(|item| !is_own(item)).collect()).await?;
        told(done);
        place = next;
    }
    let mut source = Inventory::default();
    let mut place = Some(Place::default());
    while let Some(at) = place {
        let (items, next) = snapshot.page(&at).await?;
        items.iter().try_for_each(|item| source.count(item))?;
        place = next;
    }
    let differences = source.differences(&Inventory::of(to, &|_| ()).await?);
    if !differences.is_empty() {
        return Err(Failure::Invalid(format!("source and target differ ({}); empty the target and copy again", differences.join("; "))));
    }
    to.put_setting(STATE, Vec::new()).await?;
    Ok(CopyReport { items: items_of(&source), resumed: resumed.is_some(), dry_run })
}

async fn store_state(to: &dyn Store, place: &Place) -> Result<(), Failure> {
    let state = format!("copy {}", hex(&record::encode(place)?));
    Ok(to.put_setting(STATE, state.into_bytes()).await?)
}

#[cfg(test)]
#[path = "backup_tests.rs"]
mod tests;
