//! Sends statements when their grace time or a wait for a language is over, and the daily look at their deadlines.
//!
//! Takes no input: it asks the record, sends what is due, and sleeps until the next thing, the store's bell, or five seconds.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::jobs::{Job, Occurrence, Work};
use crate::service::{Services, liaison};

/// Longest sleep before looking again.
const LONGEST_SLEEP: Duration = Duration::from_secs(5);
/// Shortest one, so that a busy bell does not make us look without end.
const SHORTEST_SLEEP: Duration = Duration::from_millis(250);

/// Circulates what is due until `stop`.
pub async fn run(services: Arc<Services>, stop: CancellationToken) {
    let mut bell = services.store.bell();
    loop {
        // The bell is read before the record, so that what is written in between rings again.
        bell.borrow_and_update();
        let wait = match liaison::send_due(&services).await {
            Ok(next) => {
                let left = next.and_then(|at| (at - services.now()).to_std().ok());
                left.unwrap_or(LONGEST_SLEEP).clamp(SHORTEST_SLEEP, LONGEST_SLEEP)
            }
            Err(error) => {
                warn!("Could not circulate all statements that are due: {error}");
                LONGEST_SLEEP
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(wait) => continue,
            rung = bell.changed() => if rung.is_err() { return },
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(SHORTEST_SLEEP) => {}
        }
    }
}

struct Deadlines(Arc<Services>);

#[async_trait]
impl Work for Deadlines {
    async fn run(&self, occurrence: &Occurrence) -> Result<(), String> {
        let reminders = liaison::remind(&self.0).await.map_err(|error| error.to_string())?;
        tracing::info!(reminders, "Looked at the deadlines of statements for {occurrence}");
        Ok(())
    }
}

struct Digest(Arc<Services>);

#[async_trait]
impl Work for Digest {
    async fn run(&self, occurrence: &Occurrence) -> Result<(), String> {
        let readers = liaison::send_digest(&self.0, &occurrence.to_string()).await.map_err(|error| error.to_string())?;
        tracing::info!(readers, "Sent the digest of statements for {occurrence}");
        Ok(())
    }
}

/// The jobs, at the times of `schedule.deadlines` and `schedule.digest`.
pub fn jobs(services: &Arc<Services>) -> [Job; 2] {
    let times = &services.config.schedule;
    [
        Job { name: "deadlines", schedule: times.deadlines.schedule().clone(), work: Arc::new(Deadlines(services.clone())) },
        Job { name: "liaison-digest", schedule: times.digest.schedule().clone(), work: Arc::new(Digest(services.clone())) },
    ]
}
