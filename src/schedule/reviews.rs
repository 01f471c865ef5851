//! The jobs that look back: the yearly review of rosters, the monthly reminder of subscriptions, the daily look at deadlines, the confirmation of accounts.

use std::sync::Arc;

use async_trait::async_trait;

use super::jobs::{Job, Occurrence, Work};
use crate::service::{Services, meeting, reconfirm, review};

struct Rosters(Arc<Services>);

#[async_trait]
impl Work for Rosters {
    async fn run(&self, occurrence: &Occurrence) -> Result<(), String> {
        let managers = review::review_rosters(&self.0, &occurrence.to_string()).await.map_err(|error| error.to_string())?;
        tracing::info!(managers, "Asked for a review of rosters: {occurrence}");
        Ok(())
    }
}

struct Reminder(Arc<Services>);

#[async_trait]
impl Work for Reminder {
    async fn run(&self, occurrence: &Occurrence) -> Result<(), String> {
        let people = review::remind_subscribers(&self.0, &occurrence.to_string()).await.map_err(|error| error.to_string())?;
        tracing::info!(people, "Reminded subscribers of their settings: {occurrence}");
        Ok(())
    }
}

struct Deadlines(Arc<Services>);

#[async_trait]
impl Work for Deadlines {
    async fn run(&self, occurrence: &Occurrence) -> Result<(), String> {
        // Notices have times of their own; this is the daily look for one whose bell and timer were both lost.
        let sending = meeting::send_due(&self.0, None).await.map_err(|error| error.to_string())?;
        tracing::info!(notices = sending.sent.len(), "Looked at the deadlines of meetings: {occurrence}");
        Ok(())
    }
}

struct Reconfirmation(Arc<Services>);

#[async_trait]
impl Work for Reconfirmation {
    async fn run(&self, occurrence: &Occurrence) -> Result<(), String> {
        let done = reconfirm::run(&self.0).await.map_err(|error| error.to_string())?;
        tracing::info!(
            asked = done.asked,
            reminded = done.reminded,
            resting = done.resting,
            "Looked at the confirmation of accounts: {occurrence}"
        );
        Ok(())
    }
}

/// The jobs, at the times of `schedule.roster_review`, `schedule.reconfirm`, `schedule.subscription_reminder` and `schedule.deadlines`.
pub fn jobs(services: &Arc<Services>) -> [Job; 4] {
    let times = &services.config.schedule;
    [
        Job { name: "roster-review", schedule: times.roster_review.schedule().clone(), work: Arc::new(Rosters(services.clone())) },
        Job {
            name: "subscription-reminder",
            schedule: times.subscription_reminder.schedule().clone(),
            work: Arc::new(Reminder(services.clone())),
        },
        Job { name: "reconfirm", schedule: times.reconfirm.schedule().clone(), work: Arc::new(Reconfirmation(services.clone())) },
        Job { name: "meeting-deadlines", schedule: times.deadlines.schedule().clone(), work: Arc::new(Deadlines(services.clone())) },
    ]
}
