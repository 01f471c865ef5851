//! Recurring jobs on the wall clock of the service's zone.
//!
//! What times an expression names, and what is remembered of runs, is `service::timetable`. An occurrence is named by job and wall
//! time, and claimed in the store: once, whatever restarts, clock steps or other nodes do. Runs missed while the service was down are
//! made up for once, by the latest of them. A run that nobody finished is taken over when its lease ends, so a job must bear to run
//! twice.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use cron::Schedule;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::clock::Clock;
use crate::service::timetable::{self, Memory, latest, next};
use crate::store::{Marks, Result};

/// How long a claimed run may take before another may take it over.
const LEASE: TimeDelta = TimeDelta::minutes(30);
/// How often a run is tried.
const MOST_TRIES: u32 = 3;
/// Longest sleep before looking again, which mends lost bells and notices clocks that were set.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);

/// What a job does.
#[async_trait]
pub trait Work: Send + Sync {
    /// Does it; may be called twice for one occurrence after a crash.
    ///
    /// # Errors
    /// What went wrong, in words for the log; it is tried again when the lease has ended.
    async fn run(&self, occurrence: &Occurrence) -> std::result::Result<(), String>;
}

/// A job with its times.
#[derive(Clone)]
pub struct Job {
    /// Its key in `[schedule]`.
    pub name: &'static str,
    /// When, in wall time.
    pub schedule: Schedule,
    /// What.
    pub work: Arc<dyn Work>,
}

/// One time at which a job is to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Occurrence {
    /// Which job.
    pub job: &'static str,
    /// Wall time in the zone of the service; with the job its name.
    pub wall: NaiveDateTime,
    /// The instant.
    pub at: DateTime<Utc>,
}

impl fmt::Display for Occurrence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.job, self.wall.format("%Y-%m-%dT%H:%M:%S"))
    }
}

/// Runs jobs when their time comes.
///
/// Of the store it needs the marks only; `S` is `dyn Store` in the service.
pub struct Jobs<S: ?Sized> {
    store: Arc<S>,
    clock: Clock,
    zone: Tz,
    all: Vec<Job>,
}

impl<S: Marks + Send + Sync + ?Sized> Jobs<S> {
    /// Jobs on the wall clock of `zone`.
    pub fn new(store: Arc<S>, clock: Clock, zone: Tz, jobs: Vec<Job>) -> Self {
        Self { store, clock, zone, all: jobs }
    }

    /// Runs what is due now, each job at most once, and returns when the next one is.
    ///
    /// # Errors
    /// When the store fails; what was not run stays due.
    pub async fn tick(&self) -> Result<Option<DateTime<Utc>>> {
        let now = self.clock.now();
        let mut soonest = None;
        for job in &self.all {
            if let Some(occurrence) = self.due(job, now).await? {
                self.run_one(job, &occurrence, now).await?;
            }
            if let Some((_, at)) = next(&job.schedule, self.zone, now) {
                soonest = Some(soonest.map_or(at, |soonest: DateTime<Utc>| soonest.min(at)));
            }
        }
        Ok(soonest)
    }

    /// Runs jobs until `stop`; sleeps until the next one is due, and looks twice a minute all the same.
    pub async fn run(&self, stop: CancellationToken) {
        loop {
            let wait = match self.tick().await {
                Ok(soonest) => {
                    let left = soonest.and_then(|at| (at - self.clock.now()).to_std().ok());
                    left.unwrap_or(LONGEST_SLEEP).min(LONGEST_SLEEP)
                }
                Err(error) => {
                    warn!("Could not look for due jobs: {error}");
                    LONGEST_SLEEP
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                // A little over, so that the time has come when we look.
                () = tokio::time::sleep(wait + Duration::from_millis(5)) => {}
            }
        }
    }

    async fn due(&self, job: &Job, now: DateTime<Utc>) -> Result<Option<Occurrence>> {
        let memory = self.memory(job.name, now).await?;
        let Some((wall, at)) = latest(&job.schedule, self.zone, now) else { return Ok(None) };
        let known = at >= memory.since && !memory.runs.contains(&wall);
        Ok(known.then_some(Occurrence { job: job.name, wall, at }))
    }

    async fn run_one(&self, job: &Job, occurrence: &Occurrence, now: DateTime<Utc>) -> Result<()> {
        let key = occurrence.to_string();
        if self.store.claimed_at("job-done", &key).await?.is_some() || !self.claim(&key, now).await? {
            return Ok(());
        }
        let done = job.work.run(occurrence).await;
        let failed = done.as_ref().err().map(String::as_str);
        timetable::note_failure(self.store.as_ref(), job.name, self.clock.now(), failed).await?;
        match done {
            Ok(()) => {
                self.store.claim_once("job-done", &key, self.clock.now()).await?;
                let mut memory = self.memory(job.name, now).await?;
                memory.ran(occurrence.wall);
                memory.keep(self.store.as_ref(), job.name).await?;
                info!(job = job.name, late_seconds = (now - occurrence.at).num_seconds(), "Ran {key}");
            }
            Err(error) => warn!(job = job.name, "Could not run {key}: {error}"),
        }
        Ok(())
    }

    /// Takes the run, or takes it over from somebody who did not finish it in time.
    async fn claim(&self, key: &str, now: DateTime<Utc>) -> Result<bool> {
        for attempt in 1..=MOST_TRIES {
            let key = format!("{key}#{attempt}");
            if self.store.claim_once("job", &key, now).await? {
                return Ok(true);
            }
            let since = self.store.claimed_at("job", &key).await?;
            if since.is_none_or(|since| now - since < LEASE) {
                return Ok(false);
            }
        }
        Ok(false)
    }

    async fn memory(&self, job: &str, now: DateTime<Utc>) -> Result<Memory> {
        if let Some(memory) = Memory::of(self.store.as_ref(), job).await? {
            return Ok(memory);
        }
        let memory = Memory { since: now, runs: Vec::new() };
        memory.keep(self.store.as_ref(), job).await?;
        Ok(memory)
    }
}

#[cfg(test)]
#[path = "jobs_tests.rs"]
mod tests;
