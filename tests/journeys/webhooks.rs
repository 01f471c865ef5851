//! Programs are told what happened: signed, in order, again after failures and kills, never where they may not be.
//!
//! The receiver is a Python program that checks each signature by itself.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::database::Cluster;
use super::support::client::{lmtp, proved};
use super::support::daemon::{Daemon, Setup, wait_for};
use super::support::sink::Sink;

const LIST: &str = "sg12rg-amr@lists.example.org";
const SETTINGS: &str = "[webhooks]\nallowed_networks = [\"127.0.0.0/8\"]\ntimeout = \"1 s\"\n";
const MEETING: &str = r#"
[[meeting]]
id = "sg12rg-amr-2027"
groups = ["SG12RG-AMR"]
title = { en = "Meeting of SG12RG-AMR", es = "Reunión de SG12RG-AMR" }
start = 2027-04-06T09:30:00
end = 2027-04-07T17:30:00
timezone = "America/Mexico_City"
remote_url = "https://remote.example.org/"
status = "announced"
"#;

struct Receiver {
    folder: tempfile::TempDir,
    process: Child,
    port: u16,
}

impl Receiver {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let python = std::env::var("ENLACE_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
        let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/journeys/webhook_receiver.py");
        let mut process = Command::new(python).arg(script).arg(folder.path()).stdout(Stdio::piped()).spawn().expect("python3");
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { folder, process, port: line.trim().parse().expect("a port") }
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}/hook", self.port)
    }

    /// Adds itself to the webhooks of a daemon.
    fn add_to(&self, daemon: &Daemon, name: &str, more: &[&str]) {
        let url = self.url();
        let mut words = vec!["webhook", "add", name, &url];
        words.extend(more);
        let added = daemon.json(&words);
        fs::write(self.folder.path().join("secret"), added["secret"].as_str().expect("shown once")).unwrap();
    }

    /// How it answers from now on.
    fn answers(&self, mode: &str) {
        fs::write(self.folder.path().join("mode"), mode).unwrap();
    }

    fn received(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.folder.path().join("received")).unwrap_or_default();
        // The last line may be half written.
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    fn ids(&self) -> Vec<String> {
        self.received().iter().map(|entry| entry["id"].as_str().unwrap().to_owned()).collect()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn prepared() -> Daemon {
    let daemon = Daemon::prepare(&Setup { more: SETTINGS.into(), ..Setup::default() });
    daemon.cli_ok(&["member", "add", "SG12RG-AMR", "ana@example.org", "ben@example.org"]);
    daemon
}

fn post(daemon: &Daemon, number: usize) {
    let message = proved("ana@example.org", LIST, &format!("post {number}"), &format!("p{number}@example.org"), "text");
    assert_eq!(lmtp(daemon.address("lmtp"), "ana@example.org", &[LIST], &message)[0].code, 250);
}

fn state(daemon: &Daemon, name: &str) -> Value {
    let list = daemon.json(&["webhook", "list"]);
    list.as_array().unwrap().iter().find(|hook| hook["name"] == name).unwrap_or_else(|| panic!("no {name} in {list}")).clone()
}

fn subjects(entries: &[Value]) -> Vec<String> {
    let posts = entries.iter().filter(|entry| entry["body"]["type"] == "post.accepted");
    posts.map(|entry| entry["body"]["data"]["subject"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn what_happens_is_told_signed_and_in_order_to_who_wants_it() {
    let mut daemon = prepared();
    let (all, meetings, elsewhere) = (Receiver::start(), Receiver::start(), Receiver::start());
    daemon.run();
    all.add_to(&daemon, "all", &[]);
    meetings.add_to(&daemon, "meetings", &["--events", "meeting.changed"]);
    elsewhere.add_to(&daemon, "elsewhere", &["--groups", "SG12RG-AFR"]);
    assert!(!daemon.cli_ok(&["webhook", "list"]).contains("whsec_"), "a secret is shown once");

    for number in 1..=3 {
        post(&daemon, number);
        wait_for("the post", || (subjects(&all.received()).len() == number).then_some(()));
    }
    daemon.cli_with_input(&["meeting", "apply", "-"], MEETING);
    wait_for("the meeting", || (all.received().len() == 4 && meetings.received().len() == 1).then_some(()));
    let told = all.received();
    assert_eq!(subjects(&told), ["post 1", "post 2", "post 3"]);
    for entry in told.iter().chain(&meetings.received()) {
        assert_eq!(
            (&entry["signed"], &entry["recent"], &entry["media"]),
            (&Value::Bool(true), &Value::Bool(true), &"application/json".into())
        );
    }
    let changed = &meetings.received()[0]["body"];
    assert_eq!((&changed["type"], &changed["data"]["meeting"]), (&"meeting.changed".into(), &"sg12rg-amr-2027".into()));
    assert_eq!(told[3]["id"], meetings.received()[0]["id"], "one event has one identifier, whoever is told");
    assert!(elsewhere.received().is_empty());

    let tested = daemon.json(&["webhook", "test", "elsewhere"]);
    assert_eq!(tested["arrived"], true, "{tested}");
    let entry = &elsewhere.received()[0];
    assert_eq!((&entry["body"]["type"], &entry["signed"]), (&"test".into(), &Value::Bool(true)));

    // Replays keep identifiers.
    let first = told[0]["id"].as_str().unwrap();
    daemon.cli_ok(&["webhook", "replay", "all", "--after", first]);
    wait_for("the replay", || (all.received().len() == 7).then_some(()));
    assert_eq!(all.ids()[4..], all.ids()[1..4]);
    daemon.cli_ok(&["webhook", "replay", "all", "--since", "2020-01-01T00:00:00Z"]);
    wait_for("the second replay", || (all.received().len() == 11).then_some(()));
    assert_eq!(all.ids()[7..], all.ids()[..4]);

    daemon.cli_ok(&["webhook", "remove", "all"]);
    post(&daemon, 9);
    wait_for("the event", || (daemon.json(&["webhook", "events"]).as_array().unwrap().len() == 5).then_some(()));
    assert_eq!(all.received().len(), 11);
}

const STATEMENT: &str = "Authentication-Results: mx.example.org; dkim=pass header.d=itu.example\r\nFrom: TSB <tsb@itu.example>\r\nTo: sg12rg-amr-liaison@lists.example.org\r\nSubject: LS/o on X\r\nMessage-ID: <ls1@itu.example>\r\nDate: Tue, 24 Nov 2026 10:00:00 +0000\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nSource: ITU-T SG12RG-AMR\r\nTitle: LS/o on X\r\nFor action to: -\r\nFor information to: TSAG\r\nQuestion(s): ALL/12\r\nApproval: ITU-T SG12 meeting (Mexico City, 28 September 2026)\r\nDeadline: N/A\r\nContact: Ana Example, contact@itu.example\r\n\r\nText in English.\r\n\r\nTítulo: LS/o sobre X\r\nOrigen: SG12RG-AMR\r\n\r\nTexto.\r\n";

#[test]
fn a_statement_is_told_when_it_goes_out_and_not_when_it_is_sent_again_to_one_reader() {
    let mut daemon = prepared();
    let receiver = Receiver::start();
    daemon.run();
    receiver.add_to(&daemon, "statements", &["--events", "liaison.circulated"]);
    daemon.cli_with_input(&["liaison", "submit", "-", "--group", "SG12RG-AMR"], STATEMENT);
    let told = wait_for("the statement", || receiver.received().into_iter().next());
    let data = &told["body"]["data"];
    assert_eq!(
        (&told["body"]["type"], &data["group"], &told["signed"]),
        (&"liaison.circulated".into(), &"SG12RG-AMR".into(), &Value::Bool(true))
    );
    let id = data["liaison"].as_str().unwrap();
    let to_ana = || {
        daemon
            .outbox()
            .iter()
            .filter(|copy| String::from_utf8_lossy(copy).contains("ana@example.org") && String::from_utf8_lossy(copy).contains("LS/o"))
            .count()
    };
    let before = wait_for("her copy", || Some(to_ana()).filter(|count| *count > 0));
    let refused = daemon.cli(&["liaison", "resend", id, "zoe@example.com"]);
    assert!(!refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("was no reader"), "{refused:?}");
    daemon.cli_ok(&["liaison", "resend", id, "ana@example.org"]);
    wait_for("her copy once more", || (to_ana() == before + 1).then_some(()));
    let events = daemon.json(&["liaison", "show", id])["events"].to_string();
    assert!(events.contains("sent again to ana@example.org"), "{events}");
    assert_eq!(daemon.json(&["webhook", "events"]).as_array().unwrap().len(), 1);
}

#[test]
fn a_deadline_is_told_when_its_notice_goes_out_and_once() {
    let mut daemon = prepared();
    let receiver = Receiver::start();
    daemon.run_with(&["--clock", "2026-12-01T10:00:00Z"]);
    receiver.add_to(&daemon, "deadlines", &["--events", "deadline.near"]);
    daemon.cli_with_input(&["meeting", "apply", "-"], MEETING);
    let notices = daemon.json(&["meeting", "plan", "sg12rg-amr-2027"])["notices"].clone();
    let notice = notices.as_array().unwrap().iter().find(|one| one["key"].as_str().unwrap().contains("contribution-7d")).unwrap().clone();
    assert!(receiver.received().is_empty(), "the announcement is no deadline");
    daemon.restart_at(notice["at"].as_str().unwrap());
    let of = |what: &str| receiver.received().into_iter().find(|entry| entry["body"]["data"]["what"] == what);
    let told = wait_for("the deadline", || of("contribution-7d"));
    assert_eq!((&told["body"]["type"], &told["signed"]), (&"deadline.near".into(), &Value::Bool(true)));
    let data = &told["body"]["data"];
    assert_eq!((&data["meeting"], &data["notice"]), (&"sg12rg-amr-2027".into(), &notice["key"]), "{data}");
    assert!(data["url"].as_str().unwrap().ends_with("/meetings/sg12rg-amr-2027"), "{data}");
    // A later start has nothing to say of it again: the next thing that comes is the next notice.
    let later = notices.as_array().unwrap().iter().find(|one| one["key"].as_str().unwrap().contains("contribution-1d")).unwrap().clone();
    daemon.restart_at(later["at"].as_str().unwrap());
    wait_for("the next deadline", || of("contribution-1d"));
    assert_eq!(receiver.received().iter().filter(|entry| entry["body"]["data"]["what"] == "contribution-7d").count(), 1);
}

#[test]
fn a_subscription_that_rests_because_mail_comes_back_is_told_with_its_reason() {
    let sink = Sink::answering(Duration::ZERO, |to| (to == "ben@example.org").then_some("550 5.1.1 <ben@example.org>: no such user here"));
    let mut daemon = Daemon::prepare(&Setup { relay: sink.relay(2), more: SETTINGS.into(), ..Setup::default() });
    daemon.cli_ok(&["member", "add", "SG12RG-AMR", "ana@example.org"]);
    daemon.cli_ok(&["member", "add", "SG12RG-AMR", "--invite", "ben@example.org"]);
    let receiver = Receiver::start();
    receiver.add_to(&daemon, "bounces", &["--events", "bounce.suspended"]);
    for day in 1..=3 {
        daemon.run_with(&["--clock", &format!("2027-04-0{}T08:00:00Z", day + 4)]);
        post(&daemon, day);
        wait_for("the refusal to be scored", || {
            let rows = daemon.json(&["bounce", "list"]);
            rows.as_array().unwrap().iter().any(|row| row["address"] == "ben@example.org" && row["failures"] == day).then_some(())
        });
        if day < 3 {
            assert!(receiver.received().is_empty(), "scored, and not yet resting");
            assert_eq!(daemon.stop(), Some(0));
        }
    }
    let told = wait_for("the suspension", || receiver.received().into_iter().next());
    let data = &told["body"]["data"];
    assert_eq!(
        (&told["body"]["type"], &told["signed"], &data["address"], &data["groups"][0]),
        (&"bounce.suspended".into(), &Value::Bool(true), &"ben@example.org".into(), &"SG12RG-AMR".into())
    );
    assert!(data["reason"].as_str().unwrap().contains("no such user here"), "{data}");
    let members = daemon.json(&["member", "list", "SG12RG-AMR"]);
    let ben = members.as_array().unwrap().iter().find(|member| member["address"] == "ben@example.org").unwrap();
    assert_eq!((&ben["state"], &ben["reason"]), (&"suspended".into(), &data["reason"]), "it is told once the record shows it");
    assert_eq!(receiver.received().len(), 1, "{:?}", receiver.received());
}

#[test]
fn a_receiver_that_fails_is_asked_again_until_it_answers_and_leads_nowhere_else() {
    let mut daemon = prepared();
    let receiver = Receiver::start();
    daemon.run();
    receiver.add_to(&daemon, "reports", &[]);
    for (mode, said) in [("500", "500 Internal Server Error"), ("slow", "no answer in time"), ("redirect", "redirects are not followed")] {
        let before = receiver.received().len();
        receiver.answers(mode);
        if mode == "500" {
            post(&daemon, 1);
        }
        wait_for(mode, || (receiver.received().len() > before).then_some(()));
        wait_for(said, || state(&daemon, "reports")["said"].as_str().unwrap().contains(said).then_some(()));
    }
    assert_eq!(state(&daemon, "reports")["state"], "failing");
    assert_eq!(daemon.json_of_check("webhooks")[0]["state"], "warning");
    receiver.answers("204");
    wait_for("an answer", || (state(&daemon, "reports")["state"] == "current").then_some(()));
    let received = receiver.received();
    assert!(received.len() >= 4 && received.iter().all(|entry| entry["id"] == received[0]["id"] && entry["signed"] == true));
    assert!(received.iter().all(|entry| entry["path"] == "/hook"), "a redirect was followed");
}

#[test]
fn kills_between_events_lose_none_and_repeat_at_most_one_each() {
    const POSTS: usize = 12;
    const KILLS: usize = 3;
    let mut daemon = prepared();
    let receiver = Receiver::start();
    daemon.run();
    receiver.add_to(&daemon, "reports", &[]);
    receiver.answers("500");
    for number in 0..POSTS {
        post(&daemon, number);
    }
    receiver.answers("200");
    for kill in 1..=KILLS {
        wait_for("some events", || (subjects(&accepted(&receiver)).len() >= kill * POSTS / (KILLS + 1)).then_some(()));
        daemon.kill();
        daemon.run();
    }
    wait_for("the rest", || (state(&daemon, "reports")["state"] == "current").then_some(()));
    let told = accepted(&receiver);
    let mut distinct: Vec<String> = subjects(&told);
    let all = distinct.len();
    distinct.sort();
    distinct.dedup();
    assert_eq!(distinct.len(), POSTS, "{distinct:?}");
    assert!(all - distinct.len() <= KILLS, "{} repetitions", all - distinct.len());
    let mut ids: Vec<_> = told.iter().map(|entry| entry["id"].to_string()).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), POSTS, "a repetition has the identifier of the first time");
}

/// Requests that were answered with success.
fn accepted(receiver: &Receiver) -> Vec<Value> {
    receiver.received().into_iter().filter(|entry| entry["mode"] == "200").collect()
}

#[test]
fn a_webhook_that_fails_for_too_long_rests_is_reported_and_misses_nothing() {
    let settings = format!("{SETTINGS}retry_for = \"1 s\"\n");
    let mut daemon = Daemon::prepare(&Setup { more: settings, ..Setup::default() });
    fs::write(daemon.path("operators.csv"), "email,kind,roles\nops@example.org,ties,operator\n").unwrap();
    daemon.cli_ok(&["account", "import", daemon.path("operators.csv").to_str().unwrap()]);
    daemon.cli_ok(&["member", "add", "SG12RG-AMR", "ana@example.org"]);
    let receiver = Receiver::start();
    daemon.run();
    receiver.add_to(&daemon, "reports", &[]);
    receiver.answers("500");
    post(&daemon, 1);
    wait_for("its rest", || (state(&daemon, "reports")["state"] == "disabled").then_some(()));
    let found = &daemon.json_of_check("webhooks")[0];
    assert_eq!(found["state"], "error", "{found}");
    assert!(found["remedy"].as_str().unwrap().contains("enlace webhook enable reports"), "{found}");
    let told = |copy: &Vec<u8>| {
        String::from_utf8_lossy(copy).contains("To: <ops@example.org>") || String::from_utf8_lossy(copy).contains("ops@example.org")
    };
    let mail = wait_for("the mail to the operator", || daemon.outbox().into_iter().find(told));
    assert!(String::from_utf8_lossy(&mail).contains("reports"), "{}", String::from_utf8_lossy(&mail));
    post(&daemon, 2);
    let before = receiver.received().len();
    receiver.answers("200");
    daemon.cli_ok(&["webhook", "enable", "reports"]);
    wait_for("what it missed", || (receiver.received().len() == before + 2).then_some(()));
    assert_eq!(subjects(&receiver.received()[before..]), ["post 1", "post 2"]);
}

#[test]
fn one_of_two_nodes_tells_and_the_other_takes_over_when_it_dies() {
    let cluster = Cluster::shared();
    let url = cluster.database();
    let more = format!("[store]\nbackend = \"postgres\"\nurl = \"{url}\"\nlease = \"5 s\"\n\n{SETTINGS}");
    let setup = Setup { more, ..Setup::default() };
    let mut nodes: Vec<Daemon> = (0..2).map(|_| Daemon::prepare(&setup)).collect();
    nodes[0].cli_ok(&["member", "add", "SG12RG-AMR", "ana@example.org"]);
    let receiver = Receiver::start();
    nodes.iter_mut().for_each(Daemon::run);
    receiver.add_to(&nodes[0], "reports", &[]);
    for number in 0..6 {
        post(&nodes[number % 2], number);
    }
    wait_for("all events", || (receiver.received().len() >= 6).then_some(()));
    let mut ids = receiver.ids();
    ids.sort();
    ids.dedup();
    assert_eq!((ids.len(), receiver.received().len()), (6, 6), "each was told once");
    for dead in 0..2 {
        nodes[dead].kill();
        let before = receiver.received().len();
        post(&nodes[1 - dead], 10 + dead);
        wait_for("the event by the other node", || (receiver.received().len() > before).then_some(()));
        nodes[dead].run();
    }
}
