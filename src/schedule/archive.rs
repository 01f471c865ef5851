//! Keeps the search index up to date, and seals the archives' months.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use super::jobs::{Job, Occurrence, Work};
use crate::domain::group::GroupCode;
use crate::service::{Services, archive};

/// Shortest time between two feedings: a fan-out rings the bell for every batch.
const PAUSE: Duration = Duration::from_secs(3);
/// The look that mends a lost bell.
const LOOK_EVERY: Duration = Duration::from_mins(1);
/// How long nothing must be new before the index gives its memory back.
const QUIET: Duration = Duration::from_secs(20);

/// Feeds the index whenever the store rings, until `stop`.
pub async fn run(services: Arc<Services>, stop: CancellationToken) {
    let mut bell = services.store.bell();
    let mut working = false;
    loop {
        match archive::feed(&services).await {
            Ok(fed) if fed.added > 0 => {
                working = true;
                tracing::debug!(posts = fed.added, "Indexed new posts of the archives");
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "Could not index the archives; trying again"),
        }
        let quiet = tokio::time::sleep(if working { QUIET } else { LOOK_EVERY });
        tokio::select! {
            () = stop.cancelled() => break,
            _ = bell.changed() => {}
            () = quiet => {
                if working {
                    working = archive::rest(&services).await.is_err();
                }
                continue;
            }
        }
        tokio::select! {
            () = stop.cancelled() => break,
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
    let _ = archive::rest(&services).await;
}

struct Seal(Arc<Services>);

#[async_trait]
impl Work for Seal {
    async fn run(&self, occurrence: &Occurrence) -> Result<(), String> {
        let codes: Vec<GroupCode> = self.0.groups().iter().map(|group| group.code.clone()).collect();
        let mut failed = Vec::new();
        for code in codes {
            match archive::seal(&self.0, &code).await {
                Ok(months) if months.is_empty() => {}
                Ok(months) => tracing::info!(group = %code, months = months.join(" "), "Sealed months of the archive, for {occurrence}"),
                Err(error) => failed.push(format!("{code}: {error}")),
            }
        }
        if failed.is_empty() { Ok(()) } else { Err(failed.join("; ")) }
    }
}

/// The job that seals what is over, at the times of `schedule.archive_seal`.
pub fn job(services: &Arc<Services>) -> Job {
    let schedule = services.config.schedule.archive_seal.schedule().clone();
    Job { name: "archive_seal", schedule, work: Arc::new(Seal(services.clone())) }
}
