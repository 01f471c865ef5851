//! The job that reads the directory again, out of everybody's way.

use std::sync::Arc;

use async_trait::async_trait;

use super::jobs::{Job, Occurrence, Work};
use crate::measure;
use crate::service::directory::{self, Sync};
use crate::service::{Actor, Services};

struct Synchronise(Arc<Services>);

#[async_trait]
impl Work for Synchronise {
    async fn run(&self, occurrence: &Occurrence) -> Result<(), String> {
        let done = directory::sync(&self.0, &Actor::job("directory_sync"), Sync::default()).await;
        measure::directory_halted(done.is_err());
        match done {
            Ok(report) => {
                let (added, changed, removed) = (report.accounts.added, report.accounts.changed, report.accounts.removed);
                tracing::info!(added, changed, removed, "Read the directory, for {occurrence}");
            }
            // `EnlaceDirectoryHalted` of deploy/prometheus pages somebody. Not tried again at once: the next hour is soon enough, and nobody's rights depend on it.
            Err(error) => tracing::error!(%error, "The directory was not taken over, and nothing was changed"),
        }
        Ok(())
    }
}

/// The job, at the times of `schedule.directory_sync`, if there is a directory.
pub fn job(services: &Arc<Services>) -> Option<Job> {
    services.config.directory.ldap.as_ref()?;
    let schedule = services.config.schedule.directory_sync.schedule().clone();
    Some(Job { name: "directory_sync", schedule, work: Arc::new(Synchronise(services.clone())) })
}
