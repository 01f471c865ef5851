//! What the service counts and times of itself, for `/metrics` (Prometheus text format).
//!
//! One recorder a process, put up by [`install`]; before that everything here does nothing and costs nothing. The names of
//! all metrics stand in this file and nowhere else; `deploy/prometheus` and the dashboard use them, and a test holds that
//! each exists. No label holds an address, a group or a Message-ID: cardinality is bounded and nobody is shown.

pub mod pace;

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use metrics::{Counter, Gauge, Histogram, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

/// Upper bounds of the times, in seconds.
const SECONDS: &[f64] = &[0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];
/// Upper bounds of the size of a group commit.
const VERBS: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1000.0];
/// States of recipients, as in the ledger.
const STATES: [&str; 6] = ["planned", "sent", "deferred", "failed", "bounced", "suppressed"];

/// A part of the way of a post.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// From the final dot to the answer, everything included.
    Accept,
    /// Proof of the sender and the gate.
    Judge,
    /// Until the post is on disk.
    Commit,
    /// A whole plan, whatever the number of recipients.
    Plan,
    /// One transaction with the relay.
    Relay,
    /// Until the outcomes of a transaction are on disk.
    Outcome,
    /// One group commit of the store.
    Store,
}

impl Stage {
    const ALL: [Self; 7] = [Self::Accept, Self::Judge, Self::Commit, Self::Plan, Self::Relay, Self::Outcome, Self::Store];

    fn as_str(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Judge => "judge",
            Self::Commit => "commit",
            Self::Plan => "plan",
            Self::Relay => "relay",
            Self::Outcome => "outcome",
            Self::Store => "store",
        }
    }

    /// What takes longer than this is told in the log.
    fn patience(self) -> Duration {
        match self {
            Self::Judge | Self::Commit | Self::Outcome | Self::Store => Duration::from_secs(1),
            // The proof of a sender asks the DNS, which may be slow; a plan may have a hundred thousand readers.
            Self::Accept | Self::Plan => Duration::from_secs(5),
            Self::Relay => Duration::from_secs(30),
        }
    }
}

/// Something that took longer than is usual stands in the log, whether anybody reads `/metrics` or not.
fn tell_if_slow(stage: Stage, took: Duration) {
    if took > stage.patience() {
        tracing::warn!(stage = stage.as_str(), milliseconds = took.as_millis(), "This was slow");
    }
}

/// A page or a command that took longer than a reader waits for.
pub fn asked(what: &str, took: Duration) {
    if took > Duration::from_secs(2) {
        tracing::warn!(stage = "answer", what, milliseconds = took.as_millis(), "This was slow");
    }
}

struct Meters {
    handle: PrometheusHandle,
    stages: [Histogram; 7],
    verbs: Histogram,
    planned: Counter,
    outcomes: [Counter; 6],
    last_outcome: Gauge,
    sessions: Gauge,
    claimed: Gauge,
    away: Gauge,
    halted: Gauge,
    memory: Gauge,
}

static METERS: OnceLock<Meters> = OnceLock::new();

/// Puts the recorder up, once a process; a second call does nothing.
pub fn install(started_at: f64) {
    METERS.get_or_init(|| {
        let builder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Full("enlace_stage_seconds".into()), SECONDS)
            .and_then(|builder| builder.set_buckets_for_metric(Matcher::Full("enlace_commit_verbs".into()), VERBS))
            .unwrap_or_default();
        let recorder = builder.build_recorder();
        let handle = recorder.handle();
        if metrics::set_global_recorder(recorder).is_err() {
            tracing::warn!("another recorder of metrics is there already: /metrics stays empty");
        }
        describe();
        gauge!("enlace_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
        gauge!("process_start_time_seconds").set(started_at);
        Meters {
            handle,
            stages: Stage::ALL.map(|stage| histogram!("enlace_stage_seconds", "stage" => stage.as_str())),
            verbs: histogram!("enlace_commit_verbs"),
            planned: counter!("enlace_recipients_planned_total"),
            outcomes: STATES.map(|state| counter!("enlace_outcomes_total", "state" => state)),
            last_outcome: gauge!("enlace_last_outcome_timestamp_seconds"),
            sessions: gauge!("enlace_relay_sessions"),
            claimed: gauge!("enlace_batches_claimed"),
            away: gauge!("enlace_relay_away"),
            halted: gauge!("enlace_directory_halted"),
            memory: gauge!("process_resident_memory_bytes"),
        }
    });
}

fn describe() {
    describe_histogram!("enlace_stage_seconds", "Time a stage of the way of a post took, in seconds");
    describe_histogram!("enlace_commit_verbs", "Changes that one group commit of the store made durable together");
    describe_counter!("enlace_answers_total", "Answers after the final dot, one a recipient with LMTP, by protocol and code");
    describe_counter!("enlace_recipients_planned_total", "Recipients considered by plans");
    describe_counter!("enlace_outcomes_total", "What came of attempts with the relay, by state of the recipient afterwards");
    describe_counter!("enlace_webhook_deliveries_total", "Tries to tell programs of events, by outcome");
    describe_gauge!("enlace_webhooks_disabled", "Webhooks that failed for too long and rest until somebody enables them");
    describe_gauge!("enlace_last_outcome_timestamp_seconds", "When the latest outcome came to be on disk, in seconds since 1970");
    describe_gauge!("enlace_relay_sessions", "Sessions with the relay that are open or being opened");
    describe_gauge!("enlace_batches_claimed", "Batches this process works on");
    describe_gauge!("enlace_relay_away", "1 while no session with the relay can be opened");
    describe_gauge!("enlace_directory_halted", "1 while the last reading of the directory was not taken over; nobody was changed by it");
    describe_gauge!("enlace_queue_recipients", "Recipients in the ledger by state; planned and deferred are the queue");
    describe_gauge!("enlace_queue_paused", "1 while sending rests");
    describe_gauge!("enlace_store_healthy", "1 while the store can keep mail");
    describe_gauge!("enlace_build_info", "Always 1; the version is a label");
    describe_gauge!("process_resident_memory_bytes", "Resident memory of the process");
    describe_gauge!("process_start_time_seconds", "When the process started, in seconds since 1970");
}

/// Measures a stage from its making to [`Timer::done`].
#[derive(Debug)]
#[must_use]
pub struct Timer {
    stage: Stage,
    began: Instant,
}

impl Timer {
    /// Begins.
    pub fn of(stage: Stage) -> Self {
        Self { stage, began: Instant::now() }
    }

    /// Ends and is counted; a timer that is dropped is not.
    pub fn done(self) {
        tell_if_slow(self.stage, self.began.elapsed());
        if let Some(meters) = METERS.get() {
            meters.stages[self.stage as usize].record(self.began.elapsed().as_secs_f64());
        }
    }
}

/// A recipient of an incoming message was answered.
pub fn answered(protocol: &'static str, code: u16) {
    if METERS.get().is_some() {
        counter!("enlace_answers_total", "protocol" => protocol, "code" => code.to_string()).increment(1);
    }
}

/// One group commit made so many changes durable.
pub fn committed(verbs: usize, took: Duration) {
    tell_if_slow(Stage::Store, took);
    if let Some(meters) = METERS.get() {
        meters.stages[Stage::Store as usize].record(took.as_secs_f64());
        meters.verbs.record(f64::from(u32::try_from(verbs).unwrap_or(u32::MAX)));
    }
}

/// A plan considered so many recipients.
pub fn planned(recipients: u64) {
    if let Some(meters) = METERS.get() {
        meters.planned.increment(recipients);
    }
}

/// An attempt left a recipient in this state.
pub fn outcome(state: &'static str) {
    pace::outcome(state);
    if let Some(meters) = METERS.get()
        && let Some(at) = STATES.iter().position(|known| *known == state)
    {
        meters.outcomes[at].increment(1);
    }
}

/// A program was told of an event, or a try to tell it failed.
pub fn webhook(arrived: bool) {
    if METERS.get().is_some() {
        counter!("enlace_webhook_deliveries_total", "outcome" => if arrived { "arrived" } else { "failed" }).increment(1);
    }
}

/// Outcomes are on disk since `at`, in milliseconds since 1970.
pub fn outcomes_noted(at: i64) {
    if let Some(meters) = METERS.get() {
        meters.last_outcome.set(at as f64 / 1e3);
    }
}

/// So many sessions with the relay are open or being opened.
pub fn relay_sessions(open: usize) {
    pace::sessions(open);
    if let Some(meters) = METERS.get() {
        meters.sessions.set(f64::from(u32::try_from(open).unwrap_or(u32::MAX)));
    }
}

/// Is the relay away?
pub fn relay_away(away: bool) {
    pace::away(away);
    if let Some(meters) = METERS.get() {
        meters.away.set(f64::from(u8::from(away)));
    }
}

/// Was the last reading of the directory not taken over, because it failed or the brake on removals held?
pub fn directory_halted(halted: bool) {
    if let Some(meters) = METERS.get() {
        meters.halted.set(f64::from(u8::from(halted)));
    }
}

/// So many batches are claimed by this process.
pub fn batches_claimed(count: usize) {
    if let Some(meters) = METERS.get() {
        meters.claimed.set(f64::from(u32::try_from(count).unwrap_or(u32::MAX)));
    }
}

/// Resident memory of the process in octets.
pub fn resident_memory(octets: u64) {
    if let Some(meters) = METERS.get() {
        #[allow(clippy::cast_precision_loss)] // Exact to 8 PiB.
        meters.memory.set(octets as f64);
    }
}

/// Takes what was recorded out of its buffers, so that they do not grow while nobody asks; to be called now and then.
pub fn upkeep() {
    if let Some(meters) = METERS.get() {
        meters.handle.run_upkeep();
    }
}

/// What is asked of the record when `/metrics` is read.
#[derive(Debug, Clone, Copy, Default)]
pub struct Present {
    /// Recipients in the order planned, sent, deferred, failed, bounced, suppressed.
    pub recipients: [u64; 6],
    /// Does sending rest?
    pub paused: bool,
    /// Can the store keep mail?
    pub healthy: bool,
    /// Webhooks that rest after failing for too long.
    pub webhooks_disabled: u32,
}

/// The text for Prometheus; `None` before [`install`].
pub fn render(present: &Present) -> Option<String> {
    let meters = METERS.get()?;
    for (state, count) in STATES.iter().zip(present.recipients) {
        #[allow(clippy::cast_precision_loss)] // Exact to 2^53 recipients.
        gauge!("enlace_queue_recipients", "state" => *state).set(count as f64);
    }
    gauge!("enlace_queue_paused").set(f64::from(u8::from(present.paused)));
    gauge!("enlace_store_healthy").set(f64::from(u8::from(present.healthy)));
    gauge!("enlace_webhooks_disabled").set(f64::from(present.webhooks_disabled));
    Some(meters.handle.render())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_slow_stands_in_the_log_and_nothing_else() {
        #[derive(Clone, Default)]
        struct Lines(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);
        impl std::io::Write for Lines {
            fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
                self.0.lock().unwrap().extend(bytes);
                Ok(bytes.len())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).with_ansi(false).finish();
        tracing::subscriber::with_default(subscriber, || {
            committed(1, Duration::from_millis(900));
            committed(1, Duration::from_millis(1_100));
            asked("groups", Duration::from_millis(100));
            asked("groups", Duration::from_secs(3));
            Timer::of(Stage::Plan).done();
        });
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.matches("This was slow").count(), 2, "{text}");
        assert!(text.contains("stage=\"store\"") && text.contains("milliseconds=1100") && text.contains("what=\"groups\""), "{text}");
    }

    #[test]
    fn what_is_counted_is_rendered_and_nothing_else_is_needed() {
        install(1_700_000_000.0);
        install(0.0);
        Timer::of(Stage::Plan).done();
        planned(250);
        outcome("sent");
        outcome("no such state");
        answered("lmtp", 250);
        committed(3, Duration::from_millis(2));
        let text = render(&Present { recipients: [1, 2, 3, 4, 5, 6], paused: true, healthy: true, webhooks_disabled: 7 }).unwrap();
        for line in [
            "enlace_queue_recipients{state=\"deferred\"} 3",
            "enlace_queue_paused 1",
            "enlace_webhooks_disabled 7",
            "enlace_answers_total{protocol=\"lmtp\",code=\"250\"}",
            "enlace_stage_seconds_bucket{stage=\"plan\",le=\"0.0001\"}",
            "enlace_commit_verbs_bucket{le=\"4\"}",
            "process_start_time_seconds 1700000000",
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
    }
}
