//! P23: a flood of reports does not hold up posts, and a provider at which everybody fails with one text is an incident, not dead members.
//!
//! Some hundreds here; `ENLACE_TEST_LONG=1` makes it 100,000 reports.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::comeback::dsn;
use super::support::client::{Client, lmtp, proved};
use super::support::daemon::{Daemon, Setup, wait_for};
use super::support::sink::Sink;

const LIST: &str = "sg12rg-amr@lists.example.org";
/// Sessions that bring reports at the same time.
const SESSIONS: usize = 4;

fn posted(daemon: &Daemon, list: &str, id: &str) -> Duration {
    let post = proved("ana@example.org", list, "A question", id, "Hello");
    let began = Instant::now();
    assert_eq!(lmtp(daemon.address("lmtp"), "ana@example.org", &[list], &post)[0].code, 250);
    began.elapsed()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

#[test]
fn p23_a_flood_of_reports_holds_up_no_post_and_a_provider_wide_text_scores_nobody() {
    let is_long = std::env::var_os("ENLACE_TEST_LONG").is_some();
    let (members, posts) = if is_long { (5_000, 20) } else { (300, 2) };
    let sink = Sink::start(Duration::ZERO);
    let limits = "[limits]\nsender_mails = 1000000\ngroup_mails = 1000000\n".to_owned();
    let daemon = Daemon::start(&Setup { relay: sink.relay(8), more: limits, ..Setup::default() });
    let rows: String = (0..members).map(|n| format!("m{n}@provider.example,M,ties,member-state,MX\n")).collect();
    let subscribers: String = (0..members).map(|n| format!("m{n}@provider.example\n")).collect();
    std::fs::write(daemon.path("many.csv"), format!("email,name,kind,category,country\n{rows}")).unwrap();
    std::fs::write(daemon.path("members.csv"), format!("email\n{subscribers}")).unwrap();
    daemon.cli_ok(&["account", "import", daemon.path("many.csv").to_str().unwrap()]);
    daemon.cli_ok(&["member", "import", "SG12RG-AMR", daemon.path("members.csv").to_str().unwrap()]);
    daemon.cli_ok(&["member", "add", "SG12RG-AMR", "ana@example.org"]);
    daemon.cli_ok(&["member", "add", "SG12", "ana@example.org"]);
    for number in 0..posts {
        posted(&daemon, LIST, &format!("load{number}@example.org"));
    }
    let expected = posts * (members + 1);
    let began = Instant::now();
    while sink.taken().len() < expected {
        assert!(began.elapsed() < Duration::from_secs(1_200), "{} of {expected} copies", sink.taken().len());
        std::thread::sleep(Duration::from_millis(200));
    }
    let quiet = median((0..20).map(|n| posted(&daemon, "sg12@lists.example.org", &format!("quiet{n}@example.org"))).collect());

    let copies: Vec<_> = sink.taken().into_iter().filter(|taken| taken.recipient.ends_with("@provider.example")).collect();
    let work = Arc::new(Mutex::new(copies.into_iter()));
    let (done, stop) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let address = daemon.address("lmtp");
    let began = Instant::now();
    let threads: Vec<_> = (0..SESSIONS)
        .map(|_| {
            let (work, done) = (Arc::clone(&work), Arc::clone(&done));
            std::thread::spawn(move || {
                let mut client = Client::connect(address, "LHLO");
                let mut carried = 0;
                loop {
                    let Some(copy) = work.lock().unwrap().next() else { return };
                    let words = format!("550 5.1.1 <{}> mailbox unavailable", copy.recipient);
                    let report = dsn(&copy.reverse_path, &copy.recipient, "5.1.1", &words);
                    let (_, answers) = client.transaction(true, "", &[&copy.reverse_path], &report);
                    assert_eq!(answers[0].code, 250, "{answers:?}");
                    done.fetch_add(1, Ordering::Relaxed);
                    carried += 1;
                    if carried % 900 == 0 {
                        client = Client::connect(address, "LHLO");
                    }
                }
            })
        })
        .collect();
    let mut loud = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        loud.push(posted(&daemon, "sg12@lists.example.org", &format!("loud{}@example.org", loud.len())));
        stop.store(threads.iter().all(std::thread::JoinHandle::is_finished), Ordering::Relaxed);
        std::thread::sleep(Duration::from_millis(20));
    }
    for thread in threads {
        thread.join().unwrap();
    }
    let (took, count, worst) = (began.elapsed(), loud.len(), *loud.iter().max().unwrap());
    let loud = median(loud);
    let reports = done.load(Ordering::Relaxed);
    println!("{reports} reports in {took:?}; a post takes {loud:?} (worst {worst:?} of {count}), {quiet:?} without them");
    assert_eq!(reports, posts * members);
    // Twice as long is the promise on a machine of its own; the sessions of the flood share two processors with everything else here.
    assert!(loud < quiet * 2 + Duration::from_millis(100), "{loud:?} instead of {quiet:?}");
    assert!(worst < Duration::from_secs(5), "{worst:?}");
    assert_eq!(daemon.json(&["bounce", "list"]), serde_json::json!([]), "nobody of the provider is scored");
    let audit = daemon.json(&["audit", "--limit", "1000"]).to_string();
    assert_eq!(audit.matches("bounce incident").count(), 1, "{audit}");
    wait_for("everybody accounted for", || (daemon.json(&["queue", "list"])["bounced"] == (posts * members) as u64).then_some(()));
}
