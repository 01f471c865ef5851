//! Use cases: one function for one thing that a person or a flow does.
//!
//! The button, the mail command and the command line call the same function. A service fetches, asks the domain,
//! and writes; it opens no socket, knows no HTTP or clap type, and never calls a flow: it writes the record, and the
//! store rings the bell.

pub mod explain;
pub mod queue;

use std::collections::BTreeMap;
use std::sync::{Arc, RwLock};

use chrono::{DateTime, NaiveDate, Utc};

use crate::clock::Clock;
use crate::config::Config;
use crate::domain::address::EmailAddress;
use crate::domain::group::{Group, GroupCode};
use crate::domain::reason::Reason;
use crate::store::{AuditEntry, Store, StoreError};

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
    /// A rule refused.
    #[error("{0}")]
    Refused(Reason),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// All groups, read once and replaced whole when one changes.
#[derive(Debug, Clone, Default)]
pub struct GroupTable {
    by_code: BTreeMap<GroupCode, Arc<Group>>,
    by_list: BTreeMap<String, Arc<Group>>,
}

impl GroupTable {
    /// The table of `groups`.
    pub fn new(groups: Vec<Group>) -> Self {
        let mut table = Self::default();
        for group in groups.into_iter().map(Arc::new) {
            if !group.list.is_empty() {
                table.by_list.insert(group.list.clone(), Arc::clone(&group));
            }
            table.by_code.insert(group.code.clone(), group);
        }
        table
    }

    /// By acronym.
    pub fn get(&self, code: &GroupCode) -> Option<&Arc<Group>> {
        self.by_code.get(code)
    }

    /// By the local part of the list address, lower case.
    pub fn by_list(&self, list: &str) -> Option<&Arc<Group>> {
        self.by_list.get(list)
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
    /// Time.
    pub clock: Clock,
    /// Settings, read once at the start.
    pub config: Arc<Config>,
    groups: RwLock<Arc<GroupTable>>,
}

impl Services {
    /// Puts the parts together with the built-in settings and reads the groups; for tests and rehearsals.
    ///
    /// # Errors
    /// When the groups cannot be read.
    pub async fn new(store: Arc<dyn Store>, clock: Clock) -> Result<Self, Failure> {
        Self::with_config(store, clock, Arc::default()).await
    }

    /// Puts the parts together and reads the groups.
    ///
    /// # Errors
    /// When the groups cannot be read.
    pub async fn with_config(store: Arc<dyn Store>, clock: Clock, config: Arc<Config>) -> Result<Self, Failure> {
        let services = Self { store, clock, config, groups: RwLock::default() };
        services.reload_groups().await?;
        Ok(services)
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
        let table = Arc::new(GroupTable::new(self.store.groups().await?));
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
