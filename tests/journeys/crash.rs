//! Nothing that was answered 250 is lost, whatever moment the process dies at, and repeats are bounded.

#[path = "disk.rs"]
mod disk;
#[path = "metrics.rs"]
pub(super) mod metrics;
#[path = "shutdown.rs"]
mod shutdown;

use std::collections::HashMap;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::support::client::{Client, proved};
use super::support::daemon::{Daemon, Setup, wait_for};
use super::support::sink::Sink;

const LIST: &str = "sg12rg-amr@lists.example.org";
const RECIPIENTS: usize = 2_000;
const KILLS: usize = 20;
const CONNECTIONS: usize = 8;
/// Most small posts between two kills.
const SMALL_POSTS: usize = 60;

/// `RECIPIENTS` member states of the region, all subscribed.
pub fn subscribe_many(daemon: &Daemon, count: usize) {
    let mut accounts = String::from("email,name,kind,category,country\n");
    let mut members = String::from("email\n");
    for n in 0..count {
        accounts.push_str(&format!("m{n}@d{}.example,Member {n},ties,member-state,MX\n", n % 50));
        members.push_str(&format!("m{n}@d{}.example\n", n % 50));
    }
    for (name, text) in [("many.csv", accounts), ("members.csv", members)] {
        std::fs::File::create(daemon.path(name)).unwrap().write_all(text.as_bytes()).unwrap();
    }
    daemon.cli_ok(&["account", "import", daemon.path("many.csv").to_str().unwrap()]);
    daemon.cli_ok(&["member", "import", "SG12RG-AMR", daemon.path("members.csv").to_str().unwrap()]);
}

/// Random instants from a seed that is printed, so that a failure can be looked at again.
pub struct Chance(pub u64);

impl Chance {
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

#[test]
fn twenty_kills_lose_nothing_and_repeat_little() {
    let seed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as u64;
    println!("seed {seed}");
    let mut chance = Chance(seed);
    let sink = Sink::start(Duration::from_micros(500));
    let mut daemon = Daemon::prepare(&Setup { relay: sink.relay(CONNECTIONS), ..Setup::default() });
    subscribe_many(&daemon, RECIPIENTS);
    daemon.cli_ok(&["member", "add", "SG12", "ana@example.org"]);
    daemon.run();

    // Posts to everybody as load, and small ones to one subscriber all the time, each remembered when its 250 came.
    let mut acknowledged: Vec<String> = Vec::new();
    let mut small: Vec<String> = Vec::new();
    for n in 0..KILLS {
        if n % 7 == 0 {
            let id = format!("load{n}@example.org");
            let message = proved("m1@d1.example", LIST, "load", &id, "text");
            let answer = super::support::client::lmtp(daemon.address("lmtp"), "m1@d1.example", &[LIST], &message);
            assert_eq!(answer[0].code, 250, "{answer:?}");
            acknowledged.push(id);
        }
        let stop = Arc::new(AtomicBool::new(false));
        let sender = {
            let (address, stop) = (daemon.address("lmtp"), Arc::clone(&stop));
            std::thread::spawn(move || {
                // The connection breaks at the kill: whatever was acknowledged before counts.
                let mut acknowledged = Vec::new();
                for m in 0..SMALL_POSTS {
                    if stop.load(Ordering::SeqCst) {
                        break;
                    }
                    let id = format!("kill{n}-{m}@example.org");
                    let message = proved("ana@example.org", "sg12@lists.example.org", "small", &id, "text");
                    let done = std::panic::catch_unwind(|| {
                        let mut client = Client::connect(address, "LHLO");
                        let (_, answers) = client.transaction(true, "ana@example.org", &["sg12@lists.example.org"], &message);
                        answers.first().is_some_and(|answer| answer.code == 250)
                    });
                    match done {
                        Ok(true) => acknowledged.push(id),
                        Ok(false) => panic!("{id} was refused"),
                        Err(_) => break,
                    }
                }
                acknowledged
            })
        };
        std::thread::sleep(Duration::from_millis(chance.below(700)));
        daemon.kill();
        stop.store(true, Ordering::SeqCst);
        let new = sender.join().expect("nothing is refused");
        let begun = Instant::now();
        daemon.run();
        assert!(begun.elapsed() < Duration::from_secs(20), "restart took {:?}", begun.elapsed());
        if let Some(id) = new.last() {
            let post = daemon.cli(&["--json", "explain", id]);
            assert!(post.status.success(), "{id} was acknowledged and is gone: {}", String::from_utf8_lossy(&post.stderr));
        }
        small.extend(new);
    }
    assert_eq!(daemon.json(&["hold", "list"]), serde_json::json!([]), "a kill from outside sets no good post aside");
    assert!(small.len() > KILLS, "the kills came while mail was taken in: {} small posts", small.len());
    wait_for_drain(&daemon);

    let mut copies: HashMap<(String, String), usize> = HashMap::new();
    for taken in sink.taken() {
        *copies.entry((taken.message_id, taken.recipient.to_lowercase())).or_default() += 1;
    }
    let mut repeats = 0;
    for id in &small {
        let count = copies.get(&(id.clone(), "ana@example.org".into())).copied().unwrap_or(0);
        assert!(count >= 1, "{id} was acknowledged and never went out");
        repeats += count - 1;
    }
    for id in &acknowledged {
        for n in 0..RECIPIENTS {
            let count = copies.get(&(id.clone(), format!("m{n}@d{}.example", n % 50))).copied().unwrap_or(0);
            assert!(count >= 1, "m{n} never got {id}");
            repeats += count - 1;
        }
        let explained = daemon.json(&["explain", id]);
        let recipients = explained["recipients"].as_array().unwrap();
        assert_eq!(recipients.len(), RECIPIENTS, "everyone considered has a state");
        assert!(recipients.iter().all(|r| r["state"] == "sent"), "{id}");
    }
    println!("{} and {} posts, {repeats} repeats of at most {}", acknowledged.len(), small.len(), KILLS * CONNECTIONS);
    assert!(repeats <= KILLS * CONNECTIONS, "{repeats} repeats");
    let queue = daemon.json(&["queue", "list"]);
    let sum: u64 =
        ["planned", "sent", "deferred", "failed", "bounced", "suppressed"].iter().map(|state| queue[*state].as_u64().unwrap()).sum();
    assert_eq!(queue["sent"].as_u64().unwrap(), sum, "{queue}");
}

fn wait_for_drain(daemon: &Daemon) {
    for _ in 0..6 {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(20) {
            let queue = daemon.json(&["queue", "list"]);
            if queue["planned"] == 0 && queue["deferred"] == 0 && queue["posts"].as_array().unwrap().is_empty() {
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        // A copy whose connection was cut by the kill may wait for its next attempt.
        daemon.cli_ok(&["queue", "retry"]);
    }
    panic!("the queue does not drain: {}", daemon.cli_ok(&["queue", "list"]));
}

#[test]
fn each_answer_of_the_relay_gives_its_state_and_reason() {
    let sink = Sink::answering(Duration::ZERO, |recipient| match recipient.split('@').next().unwrap_or_default() {
        "m1" => Some("450 4.2.1 mailbox busy"),
        "m2" => Some("550 5.1.1 user unknown"),
        _ => None,
    });
    let mut daemon = Daemon::prepare(&Setup { relay: sink.relay(4), ..Setup::default() });
    subscribe_many(&daemon, 30);
    daemon.run();
    let message = proved("m3@d3.example", LIST, "x", "answers@example.org", "x");
    let answer = super::support::client::lmtp(daemon.address("lmtp"), "m3@d3.example", &[LIST], &message);
    assert_eq!(answer[0].code, 250);
    // Before the plan is written nobody is planned either.
    wait_for("all tried", || {
        let queue = daemon.json(&["queue", "list"]);
        let tried: u64 = ["sent", "deferred", "failed"].iter().filter_map(|state| queue[*state].as_u64()).sum();
        (tried == 30).then_some(())
    });
    for (address, state, reply) in
        [("m1@d1.example", "deferred", "450"), ("m2@d2.example", "failed", "550 5.1.1 user unknown"), ("m3@d3.example", "sent", "250")]
    {
        let explained = daemon.json(&["explain", "answers@example.org", address]);
        let recipient = &explained["recipients"][0];
        assert_eq!(recipient["state"], state, "{recipient}");
        assert!(recipient["attempts"][0]["reply"].as_str().unwrap().contains(reply), "{recipient}");
    }
    let queue = daemon.json(&["queue", "list"]);
    assert_eq!((queue["sent"].as_u64(), queue["deferred"].as_u64(), queue["failed"].as_u64()), (Some(28), Some(1), Some(1)), "{queue}");
}
