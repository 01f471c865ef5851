//! Digests: at the times of `schedule.digest`, and before when enough waits for one.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::jobs::{Job, Occurrence, Work};
use crate::service::{Services, digest};

/// Longest time between two looks at what waits.
const LONGEST_SLEEP: Duration = Duration::from_mins(1);
/// Shortest one, so that a busy bell does not make us look without end.
const SHORTEST_SLEEP: Duration = Duration::from_secs(5);

struct Digests(Arc<Services>);

#[async_trait]
impl Work for Digests {
    async fn run(&self, occurrence: &Occurrence) -> Result<(), String> {
        let issues = digest::issue(&self.0, digest::When::Now).await.map_err(|error| error.to_string())?;
        info!(issues, "Sent the digests of {occurrence}");
        Ok(())
    }
}

/// The job, at the times of `schedule.digest`.
pub fn job(services: &Arc<Services>) -> Job {
    Job { name: "digest", schedule: services.config.schedule.digest.schedule().clone(), work: Arc::new(Digests(services.clone())) }
}

/// Sends digests that are full, until `stop`; also finishes those that a crash cut short.
pub async fn run(services: Arc<Services>, stop: CancellationToken) {
    let mut bell = services.store.bell();
    loop {
        bell.borrow_and_update();
        match digest::issue(&services, digest::When::Full).await {
            Ok(0) => {}
            Ok(issues) => info!(issues, "Sent digests that were full"),
            Err(error) => warn!("Could not send all digests that are full: {error}"),
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(SHORTEST_SLEEP) => {}
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(LONGEST_SLEEP) => {}
            rung = bell.changed() => if rung.is_err() { return },
        }
    }
}
