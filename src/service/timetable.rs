//! The recurring jobs: when each runs, when it ran last, and what came of it.
//!
//! The flow `schedule::jobs` runs them and writes what is read here; the crate `cron` evaluates expressions, and asked with instants
//! of a zone it skips a run in the hour that does not exist and runs twice in the hour that comes twice. So it is asked with
//! wall-clock time dressed as UTC, and each wall time becomes an instant by [`civil`]: after a gap, first of a fold.

use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use cron::Schedule;

use super::{Failure, Services};
use crate::config;
use crate::domain::meeting::civil;
use crate::store::{Marks, Result};

/// How many wall times are looked at for the next run; an hour that comes twice has 3,600 seconds.
const MOST_STEPS: usize = 10_000;
/// How many runs of a job are remembered beside the marks of the store, which are forgotten after a time.
const RUNS_KEPT: usize = 16;
/// Longest text of a failure that is kept, in characters.
const TEXT: usize = 500;

type Of = fn(&config::Schedule) -> &config::Cron;

/// Every job with its key of `[schedule]`.
const NAMES: [(&str, Of); 12] = [
    ("directory_sync", |times| &times.directory_sync),
    ("expiry", |times| &times.expiry),
    ("deadlines", |times| &times.deadlines),
    ("meeting-deadlines", |times| &times.deadlines),
    ("digest", |times| &times.digest),
    ("liaison-digest", |times| &times.digest),
    ("outlook", |times| &times.outlook),
    ("retention", |times| &times.retention),
    ("archive_seal", |times| &times.archive_seal),
    ("subscription-reminder", |times| &times.subscription_reminder),
    ("roster-review", |times| &times.roster_review),
    ("reconfirm", |times| &times.reconfirm),
];

/// A job as the pages show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobState {
    /// Its name.
    pub name: &'static str,
    /// When it runs next.
    pub next: Option<DateTime<Utc>>,
    /// The last time that it ran for, to its end.
    pub last: Option<DateTime<Utc>>,
    /// What went wrong since, and when.
    pub failed: Option<(DateTime<Utc>, String)>,
}

/// Every job of this service; the reading of the directory only where there is one.
///
/// # Errors
/// When the store fails.
pub async fn jobs(services: &Services) -> std::result::Result<Vec<JobState>, Failure> {
    let (zone, now) = (services.config.service.timezone, services.now());
    let mut jobs = Vec::new();
    for (name, of) in NAMES {
        let directory = &services.config.directory;
        if name == "directory_sync" && directory.ldap.is_none() || name == "reconfirm" && directory.reconfirm.is_empty() {
            continue;
        }
        let memory = Memory::of(services.store.as_ref(), name).await?;
        jobs.push(JobState {
            name,
            next: next(of(&services.config.schedule).schedule(), zone, now).map(|(_, at)| at),
            last: memory.and_then(|memory| memory.runs.last().map(|wall| civil::instant(zone, *wall))),
            failed: failure(services.store.as_ref(), name).await?,
        });
    }
    Ok(jobs)
}

/// The first wall time of `schedule` whose instant is after `after`.
pub fn next(schedule: &Schedule, zone: Tz, after: DateTime<Utc>) -> Option<(NaiveDateTime, DateTime<Utc>)> {
    // Wall times in a gap lie behind the wall clock and yet ahead of us, hence the step back; a day was skipped in Samoa.
    let from = civil::wall(zone, after).and_utc() - TimeDelta::hours(25);
    let walls = schedule.after(&from).map(|wall| wall.naive_utc()).take(MOST_STEPS + 25 * 3600);
    walls.map(|wall| (wall, civil::instant(zone, wall))).find(|(_, at)| *at > after)
}

/// The last wall time of `schedule` whose instant is at or before `now`.
pub fn latest(schedule: &Schedule, zone: Tz, now: DateTime<Utc>) -> Option<(NaiveDateTime, DateTime<Utc>)> {
    let from = civil::wall(zone, now).and_utc() + TimeDelta::seconds(1);
    let walls = schedule.after(&from).rev().map(|wall| wall.naive_utc()).take(MOST_STEPS);
    walls.map(|wall| (wall, civil::instant(zone, wall))).find(|(_, at)| *at <= now)
}

/// What is remembered of a job: since when it is known, and its latest runs.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Since when the job is known.
    pub since: DateTime<Utc>,
    /// Wall times that it ran for, the latest last.
    pub runs: Vec<NaiveDateTime>,
}

impl Memory {
    /// What the store remembers of the job.
    ///
    /// # Errors
    /// The store's.
    pub async fn of<S: Marks + Sync + ?Sized>(store: &S, job: &str) -> Result<Option<Self>> {
        Ok(store.setting(&setting(job)).await?.as_deref().and_then(Self::read))
    }

    /// Writes it down.
    ///
    /// # Errors
    /// The store's.
    pub async fn keep<S: Marks + Sync + ?Sized>(&self, store: &S, job: &str) -> Result<()> {
        store.put_setting(&setting(job), self.bytes()).await
    }

    /// Adds a run; the oldest gives way.
    pub fn ran(&mut self, wall: NaiveDateTime) {
        self.runs.push(wall);
        let surplus = self.runs.len().saturating_sub(RUNS_KEPT);
        self.runs.drain(..surplus);
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let mut lines = text.lines();
        let since = lines.next()?.parse().ok()?;
        Some(Self { since, runs: lines.filter_map(|line| line.parse().ok()).collect() })
    }

    fn bytes(&self) -> Vec<u8> {
        let mut text = self.since.to_rfc3339();
        for run in &self.runs {
            text.push('\n');
            text.push_str(&run.format("%Y-%m-%dT%H:%M:%S").to_string());
        }
        text.into_bytes()
    }
}

fn setting(job: &str) -> String {
    format!("schedule.{job}")
}

/// Notes that a run failed, or with `None` that one went well.
///
/// # Errors
/// The store's.
pub async fn note_failure<S: Marks + Sync + ?Sized>(store: &S, job: &str, now: DateTime<Utc>, text: Option<&str>) -> Result<()> {
    let name = format!("schedule.{job}.failed");
    let value = match text {
        Some(text) => format!("{}\n{}", now.to_rfc3339(), text.chars().take(TEXT).collect::<String>()).into_bytes(),
        None if store.setting(&name).await?.is_none_or(|before| before.is_empty()) => return Ok(()),
        None => Vec::new(),
    };
    store.put_setting(&name, value).await
}

async fn failure<S: Marks + Sync + ?Sized>(store: &S, job: &str) -> Result<Option<(DateTime<Utc>, String)>> {
    let noted = store.setting(&format!("schedule.{job}.failed")).await?.unwrap_or_default();
    let text = String::from_utf8(noted).unwrap_or_default();
    Ok(text.split_once('\n').and_then(|(at, text)| Some((at.parse().ok()?, text.to_owned()))))
}
