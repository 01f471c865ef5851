//! The jobs of the night: rights that ended with the day, and what nobody answered in time.

use std::sync::Arc;

use async_trait::async_trait;

use super::jobs::{Job, Occurrence, Work};
use crate::service::{Services, bounce, moderate, repetition, retention, rights, session, subscribe, webhook};

struct Expiry(Arc<Services>);

#[async_trait]
impl Work for Expiry {
    async fn run(&self, occurrence: &Occurrence) -> Result<(), String> {
        let rejudged = rights::expire(&self.0, None).await.map_err(|error| error.to_string())?;
        let by_rule = subscribe::apply_all_rules(&self.0).await.map_err(|error| error.to_string())?;
        tracing::info!(subscriptions = rejudged.len(), by_rule, "Judged rights again for {occurrence}");
        Ok(())
    }
}

struct Lapse(Arc<Services>);

#[async_trait]
impl Work for Lapse {
    async fn run(&self, occurrence: &Occurrence) -> Result<(), String> {
        let requests = subscribe::lapse(&self.0).await.map_err(|error| error.to_string())?;
        let held = moderate::expire(&self.0).await.map_err(|error| error.to_string())?;
        let scores = bounce::forget(&self.0).await.map_err(|error| error.to_string())?;
        let sessions = session::tidy(&self.0).await.map_err(|error| error.to_string())?;
        let answers = repetition::forget(&self.0).await.map_err(|error| error.to_string())?;
        let events = webhook::forget(&self.0).await.map_err(|error| error.to_string())?;
        tracing::info!(requests, held, scores, sessions, answers, events, "Let lapse what nobody answered, for {occurrence}");
        let kept = retention::run(&self.0).await.map_err(|error| error.to_string())?;
        tracing::info!(
            archive = kept.archive,
            ledger = kept.ledger,
            tallies = kept.tallies,
            octets = kept.octets,
            "Let go what [retention] and archive_keep do not keep, for {occurrence}"
        );
        Ok(())
    }
}

/// The jobs, at the times of `schedule.expiry` and `schedule.retention`.
pub fn jobs(services: &Arc<Services>) -> [Job; 2] {
    let times = &services.config.schedule;
    [
        Job { name: "expiry", schedule: times.expiry.schedule().clone(), work: Arc::new(Expiry(services.clone())) },
        Job { name: "retention", schedule: times.retention.schedule().clone(), work: Arc::new(Lapse(services.clone())) },
    ]
}
