//! The job that sends the weekly outlook.

use std::sync::Arc;

use async_trait::async_trait;

use super::jobs::{Job, Occurrence, Work};
use crate::service::{Services, meeting};

struct Outlook(Arc<Services>);

#[async_trait]
impl Work for Outlook {
    async fn run(&self, occurrence: &Occurrence) -> Result<(), String> {
        let readers = meeting::send_outlook(&self.0, &occurrence.to_string()).await.map_err(|error| error.to_string())?;
        tracing::info!(readers, "Sent the outlook of {occurrence}");
        Ok(())
    }
}

/// The job, at the times of `schedule.outlook`.
pub fn job(services: &Arc<Services>) -> Job {
    Job { name: "outlook", schedule: services.config.schedule.outlook.schedule().clone(), work: Arc::new(Outlook(services.clone())) }
}
