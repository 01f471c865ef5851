//! Where the mails of an old list lie: one mailbox file, or folders of raw mails.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::list::OldList;
use super::{Migration, System};
use crate::service::archive::{MONTH, Mails};

/// Largest raw mail.
const MAIL_OCTETS: u64 = 128 * 1024 * 1024;

/// The mails, and what to call their place; `None` with a warning if a place was named and cannot be read.
pub(super) fn find(migration: &Migration, list: &OldList, warnings: &mut Vec<String>) -> Option<(Mails, String)> {
    let named = migration.archive.clone();
    let place = named.clone().or_else(|| usual(migration, list))?;
    let shown = place.display().to_string();
    let opened = if place.is_dir() { folder(migration.system, &place) } else { mailbox(&place) };
    match opened {
        Ok(mails) => Some((mails, shown)),
        Err(error) => {
            warnings.push(format!(
                "the archive {shown} cannot be read ({error}), so no mail comes over: put it where the daemon's user may read it, and migrate again"
            ));
            None
        }
    }
}

/// Where the system itself keeps them, beside what was named.
fn usual(migration: &Migration, list: &OldList) -> Option<PathBuf> {
    let folder = migration.folder.as_deref()?;
    let folder = if folder.is_dir() { folder } else { folder.parent()? };
    let candidates = match migration.system {
        System::Mailman2 => {
            let name = format!("{}.mbox", list.name);
            vec![folder.join(&name), folder.join("../../archives/private").join(&name).join(&name)]
        }
        System::Mailman3 => vec![folder.join("archive.mbox")],
        System::Sympa => {
            let address = list.address.as_ref().map(ToString::to_string).unwrap_or_default();
            vec![folder.join("archives"), folder.join("../../arc").join(address)]
        }
        System::Mlmmj => vec![folder.join("archive")],
    };
    candidates.into_iter().find(|place| place.exists())
}

fn mailbox(place: &Path) -> io::Result<Mails> {
    let file = File::open(place)?;
    let octets = file.metadata()?.len();
    Ok(Mails::Mbox { input: Box::new(file), octets })
}

fn number(path: &Path) -> Option<u64> {
    path.file_name()?.to_str()?.parse().ok()
}

/// Raw mails: numbered files, in mlmmj in one folder, in Sympa in `2020-03/arctxt` for each month.
fn folder(system: System, place: &Path) -> io::Result<Mails> {
    let mut found: Vec<(u64, PathBuf)> = Vec::new();
    for entry in fs::read_dir(place)? {
        let path = entry?.path();
        if let Some(number) = number(&path).filter(|_| path.is_file()) {
            found.push((number, path));
        } else if system == System::Sympa
            && let Some(month) = month(&path)
        {
            for entry in fs::read_dir(path.join("arctxt")).into_iter().flatten().flatten() {
                // MHonArc counts its pages from 0, the raw copies are counted from 1.
                if let Some(number) = number(&entry.path()) {
                    found.push((month * MONTH + number.saturating_sub(1), entry.path()));
                }
            }
        }
    }
    found.sort();
    Ok(Mails::Each(Box::new(found.into_iter().map(|(number, path)| {
        let size = path.metadata()?.len();
        if size > MAIL_OCTETS {
            return Err(io::Error::other(format!("{} is larger than 128 MiB and is left out", path.display())));
        }
        Ok((number, fs::read(&path)?))
    }))))
}

/// `2020-03` as months since the year 0.
fn month(path: &Path) -> Option<u64> {
    let (year, month) = path.file_name()?.to_str()?.split_once('-')?;
    let (year, month) = (year.parse::<u64>().ok()?, month.parse::<u64>().ok()?);
    ((1970..2200).contains(&year) && (1..=12).contains(&month)).then_some(year * 12 + month - 1)
}
