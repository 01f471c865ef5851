//! Accounts from a file, and the synchronisation with its brake.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::Serialize;

use super::addresses::Chosen;
use super::{PAGE, Tombstones, addresses};
use crate::config::Problem;
use crate::directory::builtin::{self, Entries, Entry};
use crate::domain::account::{Account, DirectoryRole};
use crate::domain::address::EmailAddress;
use crate::domain::group::GroupCode;
use crate::domain::id::AccountId;
use crate::domain::reason::{Reason, Rule};
use crate::domain::subscription::SubscriptionState;
use crate::service::rights::{self, Rejudged};
use crate::service::{Actor, Failure, Services};

/// Register of accounts that a synchronisation removed: address → key, so that a returning person finds her subscriptions.
pub(super) const DEPARTED: &str = "departed-accounts";
/// Most changes that a report lists; the counts are always of all.
const SHOWN: usize = 1_000;
/// From that many rows on, accounts are read in one sweep instead of one by one.
const SWEEP: usize = 500;

/// What an import did, or would do.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ImportReport {
    /// Was nothing written?
    pub dry_run: bool,
    /// Good rows of the file.
    pub read: usize,
    /// New accounts.
    pub added: usize,
    /// Accounts that changed.
    pub changed: usize,
    /// Accounts that are as the file says.
    pub unchanged: usize,
    /// Accounts removed because the file does not have them (`--sync`).
    pub removed: usize,
    /// What changed, at most a thousand: `added a@x`, `changed a@x: country: FR → MX`, `removed a@x`.
    pub changes: Vec<String>,
    /// Bad rows; the rest was done.
    pub problems: Vec<Problem>,
    /// What is allowed and yet should be looked at.
    pub warnings: Vec<String>,
    /// Subscriptions that were suspended or brought back.
    pub rejudged: Vec<Rejudged>,
}

impl ImportReport {
    fn note(&mut self, line: impl FnOnce() -> String) {
        if self.changes.len() < SHOWN {
            self.changes.push(line());
        }
    }
}

/// How an import goes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Manner {
    /// Also remove accounts of earlier imports that the file does not have.
    pub sync: bool,
    /// Past the brake.
    pub force: bool,
    /// Write nothing.
    pub dry_run: bool,
    /// Take persons in who were erased.
    pub readmit: bool,
}

/// Adds and changes accounts as the CSV file says; with `sync` also removes those of earlier imports that are not in it.
///
/// # Errors
/// `Invalid` when the header cannot be used, or when a synchronisation would remove more than `directory.removal_brake`
/// percent without `force`; nothing is changed then. Or the store failed.
pub async fn import(services: &Services, actor: &Actor, bytes: &[u8], file: &str, manner: Manner) -> Result<ImportReport, Failure> {
    let entries = builtin::read(bytes, file, services.config.limits.import_rows).map_err(Failure::Invalid)?;
    take_over(services, actor, entries, file, builtin::SOURCE, manner).await
}

/// The same of entries that came another way; a synchronisation removes accounts of `source` only.
///
/// # Errors
/// As [`import`].
pub(in crate::service) async fn take_over(
    services: &Services,
    actor: &Actor,
    mut entries: Entries,
    file: &str,
    source: &str,
    manner: Manner,
) -> Result<ImportReport, Failure> {
    services
        .alone(async {
    let left_out = leave_out_erased(services, &mut entries, manner).await?;
    let present = read_present(services, &entries, source, manner.sync).await?;
    let mut report =
        ImportReport { dry_run: manner.dry_run, read: entries.entries.len(), warnings: entries.warnings.clone(), ..Default::default() };
    if left_out > 0 {
        report.warnings.push(format!(
            "{left_out} entries are of persons who were erased here, and were left out; `enlace account import FILE --readmit` takes them in"
        ));
    }
    report.warnings.extend(present.warnings.iter().cloned());
    report.warnings.extend(unknown_words(services, &entries.entries));
    let removed = absent(services, &entries, &present, manner, &mut report)?;
    let (changed, moved) = merge(services, &entries.entries, &present, (file, source), &mut report).await?;
    report.problems.extend(entries.problems);
    report.problems.sort_by_key(|problem| problem.line);
    for account in &removed {
        report.note(|| format!("removed {}", account.address()));
    }
    report.removed = removed.len();
    if manner.dry_run {
        report.rejudged = rights::preview(services, &changed).await?;
        return Ok(report);
    }
    let ids: Vec<AccountId> = changed.iter().map(|account| account.id).collect();
    for (before, after) in &moved {
        addresses::remember_lost(services, before, after).await?;
    }
    let mut changed = changed.into_iter().peekable();
    while changed.peek().is_some() {
        services.store.put_accounts(changed.by_ref().take(PAGE).collect()).await?;
    }
    for (before, after) in &moved {
        let detail = format!("{}: {}", before.address(), super::compare(before, after).join(", "));
        services.audit(actor, "account address", None, detail).await?;
    }
    for account in &removed {
        report.rejudged.extend(remove(services, account).await?);
    }
    if !ids.is_empty() || !removed.is_empty() {
        let detail = format!("{file}: {} added, {} changed, {} removed", report.added, report.changed, report.removed);
        services.audit(actor, "account import", None, detail).await?;
    }
    report.rejudged.extend(rights::rejudge_accounts(services, actor, &ids).await?);
    Ok(report)
        })
        .await
}

/// Languages that the service does not offer, and groups that it does not have: good in their form, and perhaps a slip of the pen.
fn unknown_words(services: &Services, entries: &[Entry]) -> Vec<String> {
    let (groups, offered) = (services.groups(), &services.config.service.languages);
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for entry in entries {
        let mut account = builtin::blank(AccountId(0), entry.addresses.clone());
        entry.onto(&mut account);
        let languages = account.languages.iter().filter(|language| !offered.contains(language));
        let languages = languages.map(|language| format!("the language \"{language}\", which service.languages does not offer"));
        let there = |code: &GroupCode| groups.get(code).is_some();
        let affiliations = account.study_groups.iter().filter(|code| !there(code));
        let affiliations = affiliations.map(|code| format!("the study group {code}, which is no group here"));
        let roles = account.roles.iter().filter_map(|role| match role {
            DirectoryRole::TsbOf(code) if !there(code) => Some(format!("the role tsb:{code}, whose group is none here")),
            _ => None,
        });
        for words in languages.chain(affiliations).chain(roles) {
            *counts.entry(words).or_default() += 1;
        }
    }
    counts.into_iter().take(SHOWN).map(|(words, count)| format!("{count} entries have {words}")).collect()
}

/// Takes persons out who were erased, or their tombstones away. Returns how many were taken out.
async fn leave_out_erased(services: &Services, entries: &mut Entries, manner: Manner) -> Result<usize, Failure> {
    let tombstones = Tombstones::load(services).await?;
    let is_erased = |entry: &Entry| entry.addresses.iter().any(|address| tombstones.hold(address));
    if manner.readmit {
        for address in entries.entries.iter().filter(|entry| is_erased(entry)).flat_map(|entry| &entry.addresses) {
            if !manner.dry_run {
                super::lift(services, address).await?;
            }
        }
        return Ok(0);
    }
    let before = entries.entries.len();
    entries.entries.retain(|entry| !is_erased(entry));
    Ok(before - entries.entries.len())
}

/// What the directory has, as far as the file concerns it.
struct Present {
    accounts: HashMap<AccountId, Account>,
    by_address: HashMap<EmailAddress, AccountId>,
    /// Accounts of earlier imports that no row names, and how many of earlier imports there are; only for a synchronisation.
    absent: Vec<Account>,
    imported: usize,
    warnings: Vec<String>,
}

impl Present {
    fn keep(&mut self, account: Account) {
        self.by_address.extend(account.addresses.iter().map(|address| (address.clone(), account.id)));
        self.accounts.insert(account.id, account);
    }
}

async fn read_present(services: &Services, entries: &Entries, source: &str, sync: bool) -> Result<Present, Failure> {
    let mut present =
        Present { accounts: HashMap::new(), by_address: HashMap::new(), absent: Vec::new(), imported: 0, warnings: Vec::new() };
    if !sync && entries.entries.len() < SWEEP {
        for address in entries.entries.iter().flat_map(|entry| &entry.addresses) {
            if let Some(account) = services.store.account_by_address(address).await? {
                present.keep(account);
            }
        }
        return Ok(present);
    }
    let wanted: HashSet<&EmailAddress> = entries.entries.iter().flat_map(|entry| &entry.addresses).chain(&entries.named).collect();
    let before: HashSet<&EmailAddress> = entries.entries.iter().flat_map(|entry| &entry.listed_before).collect();
    let mut after = None;
    let mut elsewhere = Vec::new();
    loop {
        let page = services.store.accounts(after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        for account in page {
            let imported = account.source == source;
            present.imported += usize::from(imported);
            if account.addresses.iter().any(|address| wanted.contains(address)) {
                present.keep(account);
            } else if account.addresses.iter().any(|address| before.contains(address)) {
                elsewhere.push(account);
            } else if imported && sync {
                present.absent.push(account);
            }
        }
    }
    follow(entries, elsewhere, &mut present, source);
    Ok(present)
}

fn taken_address(entry: &Entry) -> String {
    let text = "had another address before, and this one belongs to another account here, which is changed instead; the subscriptions of the former account rest or stay with it";
    format!("{}: she {text}", entry.addresses[0])
}

/// Accounts whose entry has other addresses now are theirs still, unless somebody else has the new ones.
fn follow(entries: &Entries, elsewhere: Vec<Account>, present: &mut Present, source: &str) {
    let mut entry_of: HashMap<&EmailAddress, &Entry> = HashMap::new();
    for entry in &entries.entries {
        entry_of.extend(entry.listed_before.iter().map(|address| (address, entry)));
    }
    let held: HashSet<EmailAddress> = present.by_address.keys().cloned().collect();
    for account in elsewhere {
        let Some(entry) = account.addresses.iter().find_map(|address| entry_of.get(address)) else { continue };
        if !entry.addresses.iter().any(|address| held.contains(address)) {
            present.keep(account);
            continue;
        }
        present.warnings.push(taken_address(entry));
        if account.source == source {
            present.absent.push(account);
        }
    }
}

/// The accounts to remove, if the brake lets them go.
fn absent(
    services: &Services,
    entries: &Entries,
    present: &Present,
    manner: Manner,
    report: &mut ImportReport,
) -> Result<Vec<Account>, Failure> {
    if !manner.sync || present.absent.is_empty() {
        return Ok(Vec::new());
    }
    if entries.nameless > 0 && !manner.force {
        report.warnings.push(format!(
            "{} rows could not be read, so nobody was removed: {} accounts are not in the rest of the file; mend it, or use --force",
            entries.nameless,
            present.absent.len()
        ));
        return Ok(Vec::new());
    }
    let brake = usize::from(services.config.directory.removal_brake);
    if !manner.force && present.absent.len() * 100 > present.imported * brake {
        return Err(Failure::Invalid(format!(
            "this would remove {} of {} accounts, more than {brake} %, so nothing was changed; is the file complete? --force goes ahead",
            present.absent.len(),
            present.imported
        )));
    }
    Ok(present.absent.clone())
}

/// The accounts that are new or change, and those that lose an address, as they were and as they are.
async fn merge(
    services: &Services,
    entries: &[Entry],
    present: &Present,
    (file, source): (&str, &str),
    report: &mut ImportReport,
) -> Result<(Vec<Account>, Vec<(Account, Account)>), Failure> {
    let departed = !services.store.entries(DEPARTED, None, 1).await?.is_empty();
    let chosen = Chosen::load(services).await?;
    let (mut changed, mut moved) = (Vec::new(), Vec::new());
    let mut taken: HashSet<AccountId> = HashSet::new();
    for entry in entries {
        let holders_of = |addresses: &[EmailAddress]| {
            let mut holders: Vec<AccountId> = addresses.iter().filter_map(|address| present.by_address.get(address)).copied().collect();
            holders.sort();
            holders.dedup();
            holders
        };
        let (mut holders, before) = (holders_of(&entry.addresses), holders_of(&entry.listed_before));
        if holders.is_empty() && !before.iter().any(|id| taken.contains(id)) {
            holders = before;
        } else if before.iter().any(|id| !holders.contains(id)) {
            report.warnings.push(taken_address(entry));
        }
        let before = match holders[..] {
            [] => None,
            [id] => present.accounts.get(&id),
            _ => {
                report.problems.push(Problem {
                    file: file.to_owned(),
                    line: entry.line,
                    text: "the addresses belong to different accounts".into(),
                    remedy: "take an address from one of them with `enlace account set`".into(),
                });
                continue;
            }
        };
        let mut account = if let Some(account) = before {
            account.clone()
        } else {
            let id = new_id(services, entry, departed, &taken).await?;
            Account { source: source.to_owned(), ..builtin::blank(id, entry.addresses.clone()) }
        };
        taken.insert(account.id);
        entry.onto(&mut account);
        chosen.keep(&mut account, &entry.addresses);
        let address = account.address().clone();
        match before {
            None => {
                report.added += 1;
                report.note(|| format!("added {address}"));
            }
            Some(before) if *before == account => {
                report.unchanged += 1;
                continue;
            }
            Some(before) => {
                report.changed += 1;
                report.note(|| format!("changed {address}: {}", super::compare(before, &account).join(", ")));
                if before.addresses.iter().any(|address| !account.owns(address)) {
                    moved.push((before.clone(), account.clone()));
                }
            }
        }
        changed.push(account);
    }
    Ok((changed, moved))
}

/// The key that she had before she departed, or a new one.
async fn new_id(services: &Services, entry: &Entry, departed: bool, taken: &HashSet<AccountId>) -> Result<AccountId, Failure> {
    if departed {
        for address in &entry.addresses {
            let noted = services.store.entry(DEPARTED, &address.key()).await?;
            let id = noted.and_then(|(_, bytes)| String::from_utf8(bytes).ok()).and_then(|text| text.parse::<AccountId>().ok());
            if let Some(id) = id {
                // Somebody may have taken the key since, by another of the departed addresses.
                if !taken.contains(&id) && services.store.account(id).await?.is_none() {
                    return Ok(id);
                }
            }
        }
    }
    // Thousands are made in one millisecond, and two of them may meet the same chance.
    loop {
        let id = AccountId::new(services.now(), services.chance());
        if !taken.contains(&id) {
            return Ok(id);
        }
    }
}

/// Removes one account: its subscriptions rest, and its key is noted.
async fn remove(services: &Services, account: &Account) -> Result<Vec<Rejudged>, Failure> {
    let address = account.address().to_string();
    let reason = Reason::new(Rule::NoAccount, [&address]);
    let mut rejudged = Vec::new();
    let mut resting = Vec::new();
    for mut subscription in services.store.subscriptions_of_account(account.id).await? {
        if !subscription.is_active() {
            continue;
        }
        subscription.state = SubscriptionState::Suspended(reason.clone());
        rejudged.push(Rejudged {
            address: address.clone(),
            group: subscription.group.to_string(),
            state: subscription.state.as_str(),
            reason: Some(reason.text()),
        });
        resting.push(subscription);
    }
    if !resting.is_empty() {
        services.store.put_subscriptions(resting).await?;
    }
    for address in &account.addresses {
        let version = services.store.entry(DEPARTED, &address.key()).await?.map_or(0, |(version, _)| version);
        services.store.put_entry(DEPARTED, &address.key(), version, account.id.to_string().into_bytes()).await?;
    }
    services.store.remove_account(account.id).await?;
    Ok(rejudged)
}
