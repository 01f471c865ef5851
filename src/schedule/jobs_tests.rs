use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Mutex;

use super::*;
use crate::domain::group::GroupCode;
use crate::domain::id::RequestId;
use crate::store::{AuditEntry, Request};

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn schedule(text: &str) -> Schedule {
    Schedule::from_str(text).unwrap()
}

/// The marks of a store in memory.
#[derive(Default)]
struct Memo {
    marks: Mutex<BTreeMap<(String, String), DateTime<Utc>>>,
    settings: Mutex<BTreeMap<String, Vec<u8>>>,
}

#[async_trait]
impl Marks for Memo {
    async fn claim_once(&self, kind: &str, key: &str, at: DateTime<Utc>) -> Result<bool> {
        let mut marks = self.marks.lock().unwrap();
        let key = (kind.to_owned(), key.to_owned());
        let first = !marks.contains_key(&key);
        marks.entry(key).or_insert(at);
        Ok(first)
    }
    async fn claimed_at(&self, kind: &str, key: &str) -> Result<Option<DateTime<Utc>>> {
        Ok(self.marks.lock().unwrap().get(&(kind.to_owned(), key.to_owned())).copied())
    }
    async fn forget_marks(&self, kind: &str, before: DateTime<Utc>) -> Result<u64> {
        let mut marks = self.marks.lock().unwrap();
        let all = marks.len();
        marks.retain(|(k, _), at| k != kind || *at >= before);
        Ok((all - marks.len()) as u64)
    }
    async fn count_up(&self, _: &str, _: &str) -> Result<u64> {
        unreachable!("jobs count nothing")
    }
    async fn setting(&self, name: &str) -> Result<Option<Vec<u8>>> {
        Ok(self.settings.lock().unwrap().get(name).cloned())
    }
    async fn put_setting(&self, name: &str, value: Vec<u8>) -> Result<()> {
        self.settings.lock().unwrap().insert(name.to_owned(), value);
        Ok(())
    }
    async fn put_request(&self, _: Request) -> Result<()> {
        unreachable!("jobs make no requests")
    }
    async fn request(&self, _: RequestId) -> Result<Option<Request>> {
        unreachable!("jobs make no requests")
    }
    async fn take_request(&self, _: RequestId) -> Result<bool> {
        unreachable!("jobs make no requests")
    }
    async fn requests(&self, _: Option<&GroupCode>) -> Result<Vec<Request>> {
        unreachable!("jobs make no requests")
    }
    async fn append_audit(&self, _: AuditEntry) -> Result<()> {
        unreachable!("jobs leave no audit")
    }
    async fn audit(&self, _: Option<&GroupCode>, _: usize) -> Result<Vec<AuditEntry>> {
        unreachable!("jobs leave no audit")
    }
}

/// Notes its runs; fails as long as it is told to.
#[derive(Default)]
struct Diary {
    runs: Mutex<Vec<String>>,
    broken: Mutex<bool>,
}

#[async_trait]
impl Work for Diary {
    async fn run(&self, occurrence: &Occurrence) -> std::result::Result<(), String> {
        if *self.broken.lock().unwrap() {
            return Err("out of order".into());
        }
        self.runs.lock().unwrap().push(occurrence.wall.format("%m-%dT%H:%M").to_string());
        Ok(())
    }
}

struct Bench {
    store: Arc<Memo>,
    clock: Clock,
    diary: Arc<Diary>,
    zone: Tz,
    expression: &'static str,
}

impl Bench {
    fn new(zone: Tz, expression: &'static str, start: &str) -> Self {
        Self { store: Arc::default(), clock: Clock::manual(at(start)), diary: Arc::default(), zone, expression }
    }

    /// A node, as it is after a restart.
    fn node(&self) -> Jobs<Memo> {
        let work: Arc<Diary> = Arc::clone(&self.diary);
        let job = Job { name: "digest", schedule: schedule(self.expression), work };
        Jobs::new(Arc::clone(&self.store), self.clock.clone(), self.zone, vec![job])
    }

    async fn minutes(&self, minutes: i64) {
        for _ in 0..minutes {
            self.clock.advance(TimeDelta::minutes(1));
            // Two nodes look, each freshly started.
            self.node().tick().await.unwrap();
            self.node().tick().await.unwrap();
        }
    }

    fn runs(&self) -> Vec<String> {
        self.diary.runs.lock().unwrap().clone()
    }
}

#[tokio::test]
async fn each_wall_time_runs_once_through_gaps_and_folds_in_three_zones() {
    for (zone, expression, start, hours, expected) in [
        // 02:30 does not exist on 29 March 2026.
        (Tz::Europe__Zurich, "0 30 2 * * *", "2026-03-27T12:00:00Z", 72, vec!["03-28T02:30", "03-29T02:30", "03-30T02:30"]),
        // And exists twice on 25 October.
        (Tz::Europe__Zurich, "0 30 2 * * *", "2026-10-23T12:00:00Z", 72, vec!["10-24T02:30", "10-25T02:30", "10-26T02:30"]),
        // Midnight does not exist on 6 September 2026.
        (Tz::America__Santiago, "0 0 0 * * *", "2026-09-04T12:00:00Z", 72, vec!["09-05T00:00", "09-06T00:00", "09-07T00:00"]),
        (Tz::America__Santiago, "0 30 23 * * *", "2026-04-03T12:00:00Z", 72, vec!["04-03T23:30", "04-04T23:30", "04-05T23:30"]),
        // Half an hour only.
        (Tz::Australia__Lord_Howe, "0 10 2 * * *", "2026-10-02T00:00:00Z", 72, vec!["10-03T02:10", "10-04T02:10", "10-05T02:10"]),
        (Tz::Australia__Lord_Howe, "0 45 1 * * *", "2026-04-03T00:00:00Z", 72, vec!["04-04T01:45", "04-05T01:45", "04-06T01:45"]),
    ] {
        let bench = Bench::new(zone, expression, start);
        bench.node().tick().await.unwrap();
        bench.minutes(hours * 60).await;
        assert_eq!(bench.runs(), expected, "{zone} {expression}");
    }
}

#[tokio::test]
async fn missed_runs_are_made_up_for_once_and_nothing_before_the_first_start_is() {
    let bench = Bench::new(Tz::Europe__Zurich, "0 0 7 * * *", "2026-05-10T12:00:00Z");
    bench.node().tick().await.unwrap();
    assert!(bench.runs().is_empty(), "the run of that morning was before the first start");
    bench.clock.advance(TimeDelta::days(7));
    bench.minutes(60).await;
    assert_eq!(bench.runs(), ["05-17T07:00"]);
    // Marks are forgotten in time; the run is not repeated.
    bench.store.forget_marks("job", at("2027-01-01T00:00:00Z")).await.unwrap();
    bench.store.forget_marks("job-done", at("2027-01-01T00:00:00Z")).await.unwrap();
    bench.minutes(5).await;
    assert_eq!(bench.runs(), ["05-17T07:00"]);
}

#[tokio::test]
async fn a_clock_that_jumps_repeats_nothing_and_loses_nothing() {
    let bench = Bench::new(Tz::Europe__Zurich, "0 0 * * * *", "2026-05-10T10:30:00Z");
    bench.node().tick().await.unwrap();
    bench.minutes(60).await; // 13:00 at the place
    bench.clock.advance(TimeDelta::hours(-2));
    bench.minutes(180).await; // 12:00 was before the start, 13:00 was run, 14:00 comes
    bench.clock.advance(TimeDelta::days(1));
    bench.minutes(1).await;
    bench.clock.advance(TimeDelta::days(-1));
    bench.minutes(60).await;
    let runs = bench.runs();
    assert_eq!(runs, ["05-10T13:00", "05-10T14:00", "05-11T14:00", "05-10T15:00"]);
}

#[tokio::test]
async fn a_run_that_failed_is_taken_over_when_its_lease_ends() {
    let bench = Bench::new(Tz::Europe__Zurich, "0 0 7 * * *", "2026-05-10T04:59:00Z");
    bench.node().tick().await.unwrap();
    *bench.diary.broken.lock().unwrap() = true;
    bench.minutes(2).await;
    *bench.diary.broken.lock().unwrap() = false;
    bench.minutes(20).await;
    assert!(bench.runs().is_empty(), "within the lease nobody else may run it");
    bench.minutes(20).await;
    assert_eq!(bench.runs(), ["05-10T07:00"]);
}

#[test]
fn the_next_run_is_ahead_of_now_also_inside_an_hour_that_comes_twice() {
    let hourly = schedule("0 15 * * * *");
    let zone = Tz::Europe__Zurich;
    // 02:10 for the second time: 02:15 was run at the first, so the next is 03:15.
    let (wall, instant) = next(&hourly, zone, at("2026-10-25T01:10:00Z")).unwrap();
    assert_eq!((wall.to_string(), instant), ("2026-10-25 03:15:00".to_owned(), at("2026-10-25T02:15:00Z")));
    let (wall, _) = latest(&hourly, zone, at("2026-10-25T01:10:00Z")).unwrap();
    assert_eq!(wall.to_string(), "2026-10-25 01:15:00");
    assert_eq!(next(&schedule("0 30 2 * * *"), zone, at("2026-03-28T12:00:00Z")).unwrap().1, at("2026-03-29T01:00:00Z"));
    assert_eq!(next(&schedule("0 0 8 29 2 *"), zone, at("2026-03-28T12:00:00Z")).unwrap().1, at("2028-02-29T07:00:00Z"));
}
