//! Use cases: one function for one thing that a person or a flow does.
//!
//! The button, the mail command and the command line call the same function. A service fetches, asks the domain,
//! and writes; it opens no socket, knows no HTTP or clap type, and never calls a flow: it writes the record, and the
//! store rings the bell.

pub mod account;
pub mod archive;
pub mod backup;
pub mod bounce;
pub mod command;
pub mod digest;
pub mod directory;
pub mod explain;
pub mod group;
pub mod kept;
pub mod keyring;
pub mod liaison;
pub mod live;
pub mod login;
pub mod lookalike;
pub mod meeting;
pub mod migrate;
pub mod moderate;
pub mod password;
pub mod period;
pub mod post;
pub mod quarantine;
pub mod queue;
pub mod reconfirm;
pub mod rehearsal;
pub mod repetition;
pub mod report;
pub mod retention;
pub mod review;
pub mod rights;
pub mod robot;
pub mod roles;
pub mod senders;
pub mod session;
pub mod signing;
pub mod subscribe;
pub mod timetable;
pub mod token;
#[cfg(test)]
mod trial;
mod turn;
pub mod webhook;

use std::collections::BTreeMap;
use std::sync::{Arc, RwLock};

use chrono::{DateTime, NaiveDate, Utc};

use self::live::Live;
use crate::clock::Clock;
use crate::config::{Config, Verify};
use crate::domain::account::Account;
use crate::domain::address::EmailAddress;
use crate::domain::destination::{Destination, Lists};
use crate::domain::group::{Group, GroupCode};
use crate::domain::mistake::Advice;
use crate::domain::reason::Reason;
use crate::domain::subscription::{Role, Subscription};
use crate::mail::compose;
use crate::mail::sign::Signer;
use crate::mail::token::Keys;
use crate::smtp::proof::dns::Dns;
use crate::store::{AuditEntry, Store, StoreError};
use crate::text::{TextError, Texts};

/// Who does something, for the audit trail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// An address, `command line`, or the name of a job.
    pub name: String,
}

impl Actor {
    /// Whoever may run the command on this machine.
    pub fn command_line() -> Self {
        Self { name: "command line".into() }
    }

    /// A job of the service itself.
    pub fn job(name: &str) -> Self {
        Self { name: format!("job {name}") }
    }
}

impl From<&EmailAddress> for Actor {
    fn from(address: &EmailAddress) -> Self {
        Self { name: address.to_string() }
    }
}

/// Why a use case was not carried out.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Failure {
    /// What was named does not exist; says what does.
    #[error("{0}")]
    NotFound(String),
    /// What was given is wrong; says where and how to mend it.
    #[error("{0}")]
    Invalid(String),
    /// The same, where people meet it on pages: in words of every language.
    #[error("{0}")]
    Mistaken(Advice),
    /// A rule refused.
    #[error("{0}")]
    Refused(Reason),
    /// A template failed; names it.
    #[error("{0}")]
    Text(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<Advice> for Failure {
    fn from(advice: Advice) -> Self {
        Self::Mistaken(advice)
    }
}

impl From<TextError> for Failure {
    fn from(error: TextError) -> Self {
        Self::Text(error.to_string())
    }
}

/// All groups, read once and replaced whole when one changes.
#[derive(Debug, Clone, Default)]
pub struct GroupTable {
    by_code: BTreeMap<GroupCode, Arc<Group>>,
    lists: Lists,
}

impl GroupTable {
    /// The table of `groups` with their addresses in `domain`.
    pub fn new(domain: &str, groups: Vec<Group>) -> Self {
        let lists = Lists::new(domain, &groups);
        Self { by_code: groups.into_iter().map(|group| (group.code.clone(), Arc::new(group))).collect(), lists }
    }

    /// By acronym.
    pub fn get(&self, code: &GroupCode) -> Option<&Arc<Group>> {
        self.by_code.get(code)
    }

    /// What mail to `address` does; `None` when there is no such address here.
    pub fn destination(&self, address: &EmailAddress) -> Option<Destination> {
        self.lists.destination(address)
    }

    /// All, by code.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Group>> {
        self.by_code.values()
    }
}

/// What every use case works with.
pub struct Services {
    /// Disk.
    pub store: Arc<dyn Store>,
    /// What the operator wrote.
    pub config: Live<Config>,
    /// Templates and words.
    pub texts: Live<Texts>,
    /// Time.
    pub clock: Clock,
    /// Makes and reads tokens.
    pub keys: Keys,
    /// List domain and link base, as copies show them.
    pub site: compose::Service,
    /// Signs what is sent; `None` without `[dkim]`.
    pub signer: Option<Arc<Signer>>,
    /// Name servers for the proof of senders; `None` if this machine names none.
    pub dns: Option<Dns>,
    /// The search index of the archives, opened when it is first needed.
    pub archive: archive::Archive,
    /// Messages that end the process.
    pub quarantine: quarantine::Quarantine,
    /// The register of statements without their texts, for lists.
    pub statements: kept::Kept<Vec<liaison::Dossier>>,
    /// All meetings, for pages and jobs.
    pub meetings: kept::Kept<Vec<crate::domain::meeting::Meeting>>,
    groups: RwLock<Arc<GroupTable>>,
    /// Held by the change that has its turn ([`Services::alone`]).
    turn: tokio::sync::Mutex<()>,
}

/// Members read from the store at a time.
const PAGE: usize = 500;

impl Services {
    /// Puts the parts together: reads the groups, and the secret of the tokens, which is made at the first start.
    ///
    /// # Errors
    /// When groups or secret cannot be read or written.
    pub async fn new(store: Arc<dyn Store>, config: Arc<Config>, texts: Arc<Texts>, clock: Clock) -> Result<Self, Failure> {
        let keys = keyring::open(store.as_ref(), clock.now()).await?;
        let site = compose::Service { domain: config.service.domain.clone(), base_url: config.service.base_url.clone() };
        let signer = signing::signer(&config)?;
        let dns = match Dns::new(config.senders.nameserver) {
            Ok(dns) => Some(dns),
            Err(error) if config.senders.verify == Verify::Own => {
                return Err(Failure::Invalid(format!("senders.verify = \"own\": {error}")));
            }
            Err(_) => None,
        };
        let services = Self {
            keys,
            store,
            config: Live::new(config),
            texts: Live::new(texts),
            clock,
            site,
            dns,
            signer,
            archive: archive::Archive::default(),
            quarantine: quarantine::Quarantine::default(),
            statements: kept::Kept::default(),
            meetings: kept::Kept::default(),
            groups: RwLock::default(),
            turn: tokio::sync::Mutex::default(),
        };
        services.reload_groups().await?;
        Ok(services)
    }

    /// The account that owns an address, with its subscription to the group, in one read.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn holder(&self, group: &GroupCode, address: &EmailAddress) -> Result<(Option<Account>, Option<Subscription>), StoreError> {
        let found = self.store.members_by_address(group, vec![address.clone()]).await?.pop().flatten();
        Ok(found.map_or((None, None), |(account, subscription)| (Some(account), subscription)))
    }

    /// Active subscribers of a group with at least this role.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn members_with_role(&self, group: &GroupCode, least: Role) -> Result<Vec<(Subscription, Account)>, Failure> {
        let mut found = Vec::new();
        let mut after = None;
        loop {
            let page = self.store.members_of_group(group, after, PAGE).await?;
            let Some((last, _)) = page.last() else { return Ok(found) };
            after = Some(last.account);
            found.extend(page.into_iter().filter(|(subscription, _)| subscription.is_active() && subscription.role >= least));
        }
    }

    /// The groups as they are now; cheap.
    pub fn groups(&self) -> Arc<GroupTable> {
        Arc::clone(&self.groups.read().expect("nothing panics while it holds the lock"))
    }

    /// Reads the groups again after a change.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn reload_groups(&self) -> Result<(), Failure> {
        let table = Arc::new(GroupTable::new(&self.site.domain, self.store.groups().await?));
        *self.groups.write().expect("nothing panics while it holds the lock") = table;
        Ok(())
    }

    /// The group of that code, or what to do about it.
    ///
    /// # Errors
    /// When there is none.
    pub fn group(&self, code: &GroupCode) -> Result<Arc<Group>, Failure> {
        self.groups()
            .get(code)
            .cloned()
            .ok_or_else(|| Failure::NotFound(format!("there is no group {code}; `enlace group list` shows all")))
    }

    /// Time, for records.
    pub fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// The date in the service's zone: accounts and invitations end at midnight there.
    pub fn today(&self) -> NaiveDate {
        self.now().with_timezone(&self.config.service.timezone).date_naive()
    }

    /// A random number for identifiers and jitter.
    pub fn chance(&self) -> u64 {
        getrandom::u64().unwrap_or_else(|_| u64::from(std::process::id()))
    }

    /// The latest entries of the audit trail, newest first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn trail(&self, group: Option<&GroupCode>, limit: usize) -> Result<Vec<AuditEntry>, Failure> {
        Ok(self.store.audit(group, limit).await?)
    }

    /// Appends to the audit trail.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn audit(
        &self,
        actor: &Actor,
        act: &str,
        group: Option<&GroupCode>,
        detail: impl Into<String> + Send,
    ) -> Result<(), Failure> {
        let entry =
            AuditEntry { at: self.now(), actor: actor.name.clone(), act: act.to_owned(), group: group.cloned(), detail: detail.into() };
        Ok(self.store.append_audit(entry).await?)
    }
}
