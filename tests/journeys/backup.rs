//! A backup taken while a large post goes out is restored elsewhere, and the post goes on from there.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::crash::subscribe_many;
use super::database::Cluster;
use super::support::client::{lmtp, proved};
use super::support::daemon::{Daemon, Setup, wait_for};
use super::support::sink::Sink;

const LIST: &str = "sg12rg-amr@lists.example.org";
const RECIPIENTS: usize = 10_000;
const CONNECTIONS: usize = 8;

fn drain(daemon: &Daemon) {
    let begun = Instant::now();
    let mut hastened = Instant::now();
    loop {
        let queue = daemon.json(&["queue", "list"]);
        if queue["planned"] == 0 && queue["deferred"] == 0 && queue["posts"].as_array().unwrap().is_empty() {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(240), "the queue does not drain: {queue}");
        if hastened.elapsed() > Duration::from_secs(5) {
            hastened = Instant::now();
            daemon.cli_ok(&["queue", "retry"]);
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn a_backup_during_a_fan_out_goes_on_in_another_folder() {
    let sink = Sink::start(Duration::from_millis(2));
    let setup = Setup { relay: sink.relay(CONNECTIONS), ..Setup::default() };
    let mut first = Daemon::prepare(&setup);
    subscribe_many(&first, RECIPIENTS);
    first.run();
    let message = proved("m1@d1.example", LIST, "load", "load@example.org", "text");
    assert_eq!(lmtp(first.address("lmtp"), "m1@d1.example", &[LIST], &message)[0].code, 250);
    wait_for("the fan-out", || (sink.taken().len() > RECIPIENTS / 20).then_some(()));
    let before = sink.taken().len();
    let file = first.path("backup.tar");
    let name = file.to_str().unwrap().to_owned();
    let begun = Instant::now();
    let report = first.json(&["backup", &name]);
    let took = begun.elapsed();
    first.kill();
    let after = sink.taken().len();
    assert!(before < after && after < RECIPIENTS, "the backup was not taken during the fan-out: {before}, {after}");
    assert_eq!(report["items"]["accounts"], RECIPIENTS + 6, "{report}");

    // A store that is there is not written over.
    let mut second = Daemon::prepare(&setup);
    let refused = second.cli(&["restore", &name]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("not empty"));
    let checked = second.json(&["restore", &name, "--dry-run"]);
    assert_eq!((checked["id"].as_str(), checked["dry_run"].as_bool()), (report["id"].as_str(), Some(true)));
    second.cli_ok(&["restore", &name, "--force"]);
    assert!(second.path("var/before-restore-1/sled").exists(), "what was there is kept");
    second.run();
    drain(&second);

    let mut copies: HashMap<String, usize> = HashMap::new();
    for taken in sink.taken() {
        *copies.entry(taken.recipient.to_lowercase()).or_default() += 1;
    }
    let lost = (0..RECIPIENTS).filter(|n| !copies.contains_key(&format!("m{n}@d{}.example", n % 50))).count();
    let repeats: usize = copies.values().map(|count| count - 1).sum();
    let most = after - before + CONNECTIONS;
    println!("{RECIPIENTS} recipients, backup in {} ms: {lost} lost, {repeats} repeats of at most {most}", took.as_millis());
    assert_eq!(lost, 0);
    // What went out after the instant of the backup is not in it; everything else goes out once.
    assert!(repeats <= most, "{repeats} repeats");
    let explained = second.json(&["explain", "load@example.org"]);
    assert!(explained["recipients"].as_array().unwrap().iter().all(|recipient| recipient["state"] == "sent"));
}

#[test]
fn a_store_moves_to_a_database_and_a_backup_of_it_comes_back() {
    let mut daemon = Daemon::prepare(&Setup::default());
    daemon.cli_ok(&["member", "add", "SG12", "ana@example.org"]);
    let url = Cluster::shared().database();
    let copied = daemon.json(&["store", "copy", "--to", &url]);
    assert_eq!(copied["items"]["accounts"], 6, "{copied}");
    let again = daemon.cli(&["store", "copy", "--to", &url]);
    assert!(String::from_utf8_lossy(&again.stderr).contains("not empty"));
    let wrong = daemon.cli(&["store", "copy", "--to", "mysql://x"]);
    assert_eq!(wrong.status.code(), Some(2));

    let text = std::fs::read_to_string(daemon.path("enlace.toml")).unwrap();
    let with_database = format!("{text}\n[store]\nbackend = \"postgres\"\nurl = \"{url}\"\n");
    std::fs::write(daemon.path("enlace.toml"), with_database).unwrap();
    assert_eq!(daemon.json(&["store", "migrate"])["steps"], serde_json::json!([]));
    let members = daemon.json(&["member", "list", "SG12"]);
    assert_eq!(members[0]["address"], "ana@example.org", "{members}");
    daemon.run();
    let message = proved("ana@example.org", "sg12@lists.example.org", "hello", "one@example.org", "text");
    assert_eq!(lmtp(daemon.address("lmtp"), "ana@example.org", &["sg12@lists.example.org"], &message)[0].code, 250);
    wait_for("the copy", || (daemon.json(&["queue", "list"])["sent"] == 1).then_some(()));
    // A relative name is meant from where the command stands, not the daemon.
    let report = daemon.json(&["backup", "whole.tar"]);
    assert!(daemon.path("whole.tar").exists(), "{report}");
    assert_eq!(daemon.stop(), Some(0));

    let target = daemon.path("elsewhere");
    let config = text.replace(daemon.path("var").to_str().unwrap(), target.to_str().unwrap());
    std::fs::write(daemon.path("enlace.toml"), config).unwrap();
    daemon.cli_ok(&["restore", "whole.tar"]);
    let explained = daemon.json(&["explain", "one@example.org", "ana@example.org"]);
    assert_eq!(explained["recipients"][0]["state"], "sent", "{explained}");
}
