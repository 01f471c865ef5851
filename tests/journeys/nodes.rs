//! Three equal nodes on one PostgreSQL, killed, frozen and started again at random, the database restarted under them:
//! nothing accepted is lost, repeats are bounded, every scheduled job runs once.
//!
//! `ENLACE_LONG=1` makes it 50,000 recipients and a minute of stops.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use super::crash::{Chance, subscribe_many};
use super::database::Cluster;
use super::support::client::{Client, proved};
use super::support::daemon::{Daemon, Setup};
use super::support::sink::Sink;

const LIST: &str = "sg12rg-amr@lists.example.org";
const SMALL: &str = "sg12@lists.example.org";
const NODES: usize = 3;
const CONNECTIONS: usize = 8;
const LEASE: Duration = Duration::from_secs(5);

struct Size {
    recipients: usize,
    pace: Duration,
    stops_for: Duration,
}

fn size() -> Size {
    if std::env::var_os("ENLACE_LONG").is_some() {
        Size { recipients: 50_000, pace: Duration::from_millis(30), stops_for: Duration::from_secs(60) }
    } else {
        Size { recipients: 3_000, pace: Duration::from_millis(110), stops_for: Duration::from_secs(15) }
    }
}

/// Hands a small post to a node; `true` when it answered 250. The node may die meanwhile.
fn post(node: &Daemon, id: &str) -> bool {
    let message = proved("ana@example.org", SMALL, "small", id, "text");
    let address = node.address("lmtp");
    let posted = std::panic::catch_unwind(|| {
        let mut client = Client::connect(address, "LHLO");
        let (_, answers) = client.transaction(true, "ana@example.org", &[SMALL], &message);
        answers.first().is_some_and(|answer| answer.code == 250)
    });
    posted.unwrap_or(false)
}

fn signal(node: &Daemon, signal: rustix::process::Signal) {
    let id = rustix::process::Pid::from_raw(node.process_id().cast_signed()).unwrap();
    rustix::process::kill_process(id, signal).unwrap();
}

#[test]
fn three_nodes_lose_nothing_while_they_and_the_database_are_stopped() {
    let size = size();
    let seed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as u64;
    println!("seed {seed}");
    let mut chance = Chance(seed);
    let sink = Sink::start(size.pace);
    let cluster = Cluster::shared();
    let url = cluster.database();
    let setup = Setup {
        relay: sink.relay(CONNECTIONS),
        more: format!("[store]\nbackend = \"postgres\"\nurl = \"{url}\"\nlease = \"5 s\"\n\n[schedule]\nexpiry = \"*/3 * * * * *\"\n"),
        ..Setup::default()
    };
    let mut nodes: Vec<Daemon> = (0..NODES).map(|_| Daemon::prepare(&setup)).collect();
    subscribe_many(&nodes[0], size.recipients);
    nodes[0].cli_ok(&["member", "add", "SG12", "ana@example.org"]);
    nodes.iter_mut().for_each(Daemon::run);

    let message = proved("m1@d1.example", LIST, "load", "load@example.org", "text");
    let answer = super::support::client::lmtp(nodes[0].address("lmtp"), "m1@d1.example", &[LIST], &message);
    assert_eq!(answer[0].code, 250, "{answer:?}");
    let mut acknowledged = Vec::new();
    let (mut kills, mut frozen, mut restarted) = (0, false, false);
    let begun = Instant::now();
    let mut number = 0;
    while begun.elapsed() < size.stops_for {
        let one = chance.below(NODES as u64) as usize;
        let id = format!("small{number}@example.org");
        number += 1;
        if post(&nodes[one], &id) {
            acknowledged.push(id);
        }
        if !frozen && begun.elapsed() > size.stops_for / 4 {
            // Past its lease: the others take over, and it wakes up in the middle of what is no longer its own.
            frozen = true;
            signal(&nodes[one], rustix::process::Signal::STOP);
            std::thread::sleep(LEASE + Duration::from_secs(2));
            signal(&nodes[one], rustix::process::Signal::CONT);
        } else if !restarted && begun.elapsed() > size.stops_for / 2 {
            restarted = true;
            cluster.order("crash");
            cluster.wait();
        } else {
            std::thread::sleep(Duration::from_millis(chance.below(1_000)));
            nodes[one].kill();
            kills += 1;
            nodes[one].run();
        }
    }
    assert!(frozen && restarted && kills > 2, "{kills} kills");
    let spent = begun.elapsed();
    drain(&nodes[0]);

    let mut copies: HashMap<String, usize> = HashMap::new();
    for taken in sink.taken().into_iter().filter(|taken| taken.message_id == "load@example.org") {
        *copies.entry(taken.recipient.to_lowercase()).or_default() += 1;
    }
    let lost: Vec<_> =
        (0..size.recipients).map(|n| format!("m{n}@d{}.example", n % 50)).filter(|address| !copies.contains_key(address)).collect();
    assert!(lost.is_empty(), "{} never got it, such as {}", lost.len(), lost[0]);
    let repeats: usize = copies.values().map(|count| count - 1).sum();
    let most = (kills + 1) * CONNECTIONS;
    println!(
        "{} recipients, {NODES} nodes, {kills} kills, one freeze, one restart of the database in {} s: 0 lost, {repeats} repeats of at most {most}, {} small posts",
        size.recipients,
        spent.as_secs(),
        acknowledged.len()
    );
    assert!(repeats <= most, "{repeats} repeats");
    assert!(!acknowledged.is_empty(), "no small post was taken");
    for id in &acknowledged {
        let output = nodes[0].cli(&["--json", "explain", id]);
        assert!(output.status.success(), "{id} was acknowledged and is gone: {}", String::from_utf8_lossy(&output.stderr));
    }
    let explained = nodes[1].json(&["explain", "load@example.org"]);
    let recipients = explained["recipients"].as_array().unwrap();
    assert_eq!(recipients.len(), size.recipients, "everyone considered has a state");
    assert!(recipients.iter().all(|recipient| recipient["state"] == "sent"));
    jobs_ran_once(&nodes);
}

fn drain(node: &Daemon) {
    let begun = Instant::now();
    let mut hastened = Instant::now();
    loop {
        let queue = node.json(&["queue", "list"]);
        if queue["planned"] == 0 && queue["deferred"] == 0 && queue["posts"].as_array().unwrap().is_empty() {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(300), "the queue does not drain: {queue}");
        if hastened.elapsed() > Duration::from_secs(5) {
            hastened = Instant::now();
            node.cli_ok(&["queue", "retry"]);
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// No occurrence of a job is told twice, whichever nodes told it.
fn jobs_ran_once(nodes: &[Daemon]) {
    let mut runs: BTreeMap<String, usize> = BTreeMap::new();
    for log in nodes.iter().map(Daemon::log) {
        for key in log.lines().filter_map(|line| line.split("Ran ").nth(1)).filter_map(|rest| rest.split_whitespace().next()) {
            *runs.entry(key.to_owned()).or_default() += 1;
        }
    }
    println!("{} occurrences of jobs", runs.len());
    assert!(runs.len() > 2, "no job ran: {runs:?}");
    assert!(runs.values().all(|count| *count == 1), "{runs:?}");
}
