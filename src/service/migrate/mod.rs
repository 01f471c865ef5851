//! Bringing a list over from Mailman 2, Mailman 3, Sympa or mlmmj.
//!
//! Each system has a reader that makes an `OldList` of its files and executes nothing. A rehearsal (`dry_run`) walks the same way
//! and writes nothing, and both give the same report: members by mode, before and after, what the gate refuses with its rule, settings
//! that follow or differ, what has no equal here. Nobody gets a mail by it. Who left Enlace's group, or was removed, is not brought back.
//! It can be repeated: what is there already is passed over.

mod carry;
mod list;
mod mailman2;
mod mailman3;
mod mails;
mod mlmmj;
mod pickle;
mod settings;
mod sympa;
mod value;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use chrono::NaiveDate;
use serde::Serialize;

use self::list::{Disabled, OldList, OldMember};
use super::archive::{self, ImportReport, OldNames};
use super::{Actor, Failure, Services};
use crate::domain::address::EmailAddress;
use crate::domain::group::GroupCode;
use crate::domain::subscription::DeliveryMode;

/// A system that lists come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum System {
    /// Mailman 2.1.
    Mailman2,
    /// Mailman 3.
    Mailman3,
    /// Sympa.
    Sympa,
    /// mlmmj.
    Mlmmj,
}

/// What is brought over, and how.
pub struct Migration {
    /// From which system.
    pub system: System,
    /// Small files of the list by their names below its folder; a single file has its own name.
    pub files: BTreeMap<String, Vec<u8>>,
    /// The folder of the list on this machine, for its mails.
    pub folder: Option<PathBuf>,
    /// The archive, if it lies elsewhere.
    pub archive: Option<PathBuf>,
    /// The address of the old list, if its files do not tell.
    pub address: Option<String>,
    /// Give guest accounts to those whom the directory does not know.
    pub create_guests: bool,
    /// Write nothing.
    pub dry_run: bool,
}

/// Members by how posts reach them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Modes {
    /// Each post by itself.
    pub each: u64,
    /// As a digest.
    pub digest: u64,
    /// Nothing, by their own wish.
    pub none: u64,
    /// Nothing, because mail to them came back.
    pub bouncing: u64,
    /// Of all these, whose posts are held.
    pub moderated: u64,
}

/// A setting, there and here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SettingLine {
    /// Its key in the groups file.
    pub key: &'static str,
    /// What the old list did.
    pub there: String,
    /// What the group does after the migration.
    pub here: String,
    /// Is it the same?
    pub same: bool,
    /// Did the group have the default, and follows the old list now?
    pub set: bool,
}

/// Somebody who is not brought over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// Her address.
    pub address: String,
    /// `no-account`, `erased`, the key of the gate's rule, or of the rule by which she left.
    pub rule: String,
    /// Why, in words.
    pub text: String,
}

/// What a migration did, or would do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct MigrationReport {
    /// Into which group.
    pub group: String,
    /// The address of the old list, which leads here now.
    pub address: Option<String>,
    /// Was nothing written?
    pub dry_run: bool,
    /// Members of the old list.
    pub there: Modes,
    /// Subscribers that come of them, those that were subscribers before included.
    pub here: Modes,
    /// New subscribers.
    pub added: u64,
    /// Subscribers whose settings change.
    pub changed: u64,
    /// Subscribers as they were.
    pub unchanged: u64,
    /// Guest accounts made.
    pub guests: u64,
    /// Those who run the list without being on it, now managers or moderators of the group if they have an account.
    pub staff: u64,
    /// Those who are not brought over.
    pub left_out: Vec<LeftOut>,
    /// Settings, there and here.
    pub settings: Vec<SettingLine>,
    /// Addresses that may not join or post, new in the group.
    pub bans: u64,
    /// Strangers whose posts go out unseen, new in the group.
    pub allowed: u64,
    /// Notes that somebody left, so that no import brings her back.
    pub departed: u64,
    /// Held posts brought over; they wait for a moderator here.
    pub held: u64,
    /// Requests brought over; they wait for a manager here.
    pub requests: u64,
    /// The archive.
    pub archive: Option<ImportReport>,
    /// What has no equal here, or could not be read.
    pub warnings: Vec<String>,
}

fn modes<'m>(members: impl Iterator<Item = &'m OldMember>, today: NaiveDate) -> Modes {
    let mut modes = Modes::default();
    for member in members.filter(|member| !member.outside) {
        let away = member.absence.is_some_and(|absence| absence.holds(today));
        match (member.disabled, member.delivery) {
            (Disabled::Bouncing, _) => modes.bouncing += 1,
            _ if away => modes.none += 1,
            (Disabled::ByHerself | Disabled::ByOwner, _) | (_, DeliveryMode::None) => modes.none += 1,
            (Disabled::No, DeliveryMode::Digest) => modes.digest += 1,
            (Disabled::No, DeliveryMode::Each) => modes.each += 1,
        }
        modes.moderated += u64::from(member.moderated);
    }
    modes
}

fn read(services: &Services, migration: &Migration) -> Result<OldList, String> {
    let files = &migration.files;
    let only = || files.values().next().filter(|_| files.len() == 1);
    let named = |name: &str| files.get(name).or_else(only).ok_or_else(|| format!("there is no {name} in what was named"));
    let mut list = match migration.system {
        System::Mailman2 => {
            let mut list = mailman2::read(named("config.pck")?)?;
            (list.requests, list.held_elsewhere) = files.get("request.pck").map(|bytes| mailman2::waiting(bytes)).unwrap_or_default();
            list
        }
        System::Mailman3 => mailman3::read(files)?,
        System::Sympa => sympa::read(files, services.now())?,
        System::Mlmmj => mlmmj::read(files)?,
    };
    if let Some(address) = &migration.address {
        list.address = Some(address.parse().map_err(|error| format!("--address: {error}"))?);
    }
    // Sympa's folder of a list has its name, in that of its domain if there are several.
    if let (System::Sympa, None, Some(folder)) = (migration.system, &list.address, &migration.folder) {
        let part = |path: Option<&Path>| path.and_then(Path::file_name).and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        let (name, domain) = (part(Some(folder)), part(folder.parent()));
        list.address = format!("{name}@{domain}").parse().ok().filter(|_| domain.contains('.'));
        list.name = name;
    }
    if list.address.is_none() {
        list.warnings
            .push("the files do not say the old list's address, so mail to it will not reach the group: name it with --address".into());
    }
    if list.name.is_empty() {
        list.name = list.address.as_ref().map(|address| address.local().to_owned()).unwrap_or_default();
    }
    Ok(list)
}

/// Brings a list over into a group.
///
/// # Errors
/// When there is no such group, the old files cannot be read, or the store fails; what was written until then stays, and the migration
/// can be repeated.
pub async fn migrate(
    services: &Services,
    actor: &Actor,
    code: &GroupCode,
    migration: &Migration,
    progress: &(dyn Fn(u64, u64) + Send + Sync),
) -> Result<MigrationReport, Failure> {
    let group = services.group(code)?;
    let list = read(services, migration).map_err(Failure::Invalid)?;
    let mut report = MigrationReport {
        group: code.to_string(),
        address: list.address.as_ref().map(ToString::to_string),
        dry_run: migration.dry_run,
        there: modes(list.members.values(), services.today()),
        warnings: list.warnings.clone(),
        ..MigrationReport::default()
    };
    services.alone(carry::group(services, &group, &list, migration.dry_run, &mut report)).await?;
    carry::allowed(services, actor, &group, &list, migration.dry_run, &mut report).await?;
    services.alone(carry::members(services, actor, &group, &list, migration, &mut report, progress)).await?;
    carry::waiting(services, &group, &list, migration.dry_run, &mut report).await?;
    let old = old_names(migration.system, &list);
    if let Some((mails, place)) = mails::find(migration, &list, &mut report.warnings) {
        report.archive = Some(archive::import(services, actor, code, mails, &place, Some(&old), migration.dry_run, progress).await?);
    }
    if !migration.dry_run {
        if !list.name.is_empty() {
            archive::remember_list(services, code, &old).await?;
        }
        let followed =
            report.settings.iter().filter(|line| line.set).fold(String::new(), |text, line| format!("{text}, {} {}", line.key, line.here));
        let detail = format!("{} added, {} changed, {} left out{followed}", report.added, report.changed, report.left_out.len());
        services.audit(actor, "migrate", Some(code), detail).await?;
    }
    Ok(report)
}

fn old_names(system: System, list: &OldList) -> OldNames {
    let name = list.name.clone();
    match system {
        System::Mailman2 => OldNames::Pipermail(name),
        System::Mailman3 => OldNames::Hyperkitty(list.address.as_ref().map_or(name, EmailAddress::to_string)),
        System::Sympa => OldNames::Sympa(name),
        System::Mlmmj => OldNames::None(name),
    }
}

#[cfg(test)]
mod round_trip_tests;
#[cfg(test)]
mod tests;
