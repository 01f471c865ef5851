//! Nobody is flooded: loops with copies from the wire, two services subscribed to each other, storms, forged requests.

use std::collections::BTreeMap;
use std::time::Duration;

use super::support::client::{Client, Reply, lmtp, proved, smtp, unproved};
use super::support::daemon::{Daemon, Setup, wait_for};
use super::support::sink::{Sink, Taken};

const LIST: &str = "sg12rg-amr@lists.example.org";

fn started(sink: &Sink) -> Daemon {
    let daemon = Daemon::start(&Setup { relay: sink.relay(2), ..Setup::default() });
    daemon.cli_ok(&["member", "add", "SG12RG-AMR", "ana@example.org", "caro@example.org"]);
    daemon
}

fn queue_is_empty(daemon: &Daemon) {
    wait_for("the queue to empty", || {
        let queue = daemon.json(&["queue", "list"]);
        (queue["planned"] == 0 && queue["deferred"] == 0 && queue["posts"].as_array().is_some_and(Vec::is_empty)).then_some(())
    });
}

fn with_proof(message: &[u8]) -> Vec<u8> {
    [b"Authentication-Results: mx.example.org; dkim=pass header.d=example.org\r\n", message].concat()
}

fn without(message: &[u8], fields: &[&str]) -> Vec<u8> {
    let text = String::from_utf8(message.to_vec()).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let mut kept = Vec::new();
    let mut skipping = false;
    for line in head.split("\r\n") {
        if !line.starts_with([' ', '\t']) {
            skipping = fields.iter().any(|field| line.to_lowercase().starts_with(&format!("{}:", field.to_lowercase())));
        }
        if !skipping {
            kept.push(line);
        }
    }
    format!("{}\r\n\r\n{body}", kept.join("\r\n")).into_bytes()
}

#[test]
fn a_copy_from_the_wire_is_never_distributed_again_whatever_a_forwarder_takes_off() {
    let sink = Sink::start(Duration::ZERO).keeping();
    let daemon = started(&sink);
    let post = proved("ana@example.org", LIST, "A question", "loop@example.org", "Hello");
    assert_eq!(lmtp(daemon.address("lmtp"), "ana@example.org", &[LIST], &post)[0].code, 250);
    let copy = wait_for("caro's copy", || sink.taken().into_iter().find(|taken| taken.recipient == "caro@example.org"));
    queue_is_empty(&daemon);
    let before = sink.taken().len();
    let send = |from: &str, message: Vec<u8>| -> Reply { smtp(daemon.address("smtp"), from, &[LIST], &with_proof(&message)) };
    let own = copy.message;
    let stamps = ["X-Enlace-Ref", "X-Loop", "List-Id"];
    let mut cases: Vec<(String, Vec<u8>)> = vec![("as it came".into(), own.clone())];
    for kept in stamps {
        let taken_off: Vec<&str> = stamps.into_iter().filter(|stamp| *stamp != kept).chain(["Message-ID", "Precedence"]).collect();
        cases.push((format!("only {kept} is left"), without(&own, &taken_off)));
    }
    let bare = without(&own, &["X-Enlace-Ref", "X-Loop", "List-Id", "Message-ID", "Precedence", "List-Post"]);
    cases.push((
        "delivered to the list before".into(),
        [b"Received: a\r\nDelivered-To: sg12rg-amr@lists.example.org\r\n".as_slice(), &bare].concat(),
    ));
    cases.push(("a hundred hops".into(), ["Received: from a by b; x\r\n".repeat(100).as_bytes(), &bare].concat()));
    for (case, message) in cases {
        let answer = send("caro@example.org", message);
        assert!(answer.code == 554 || answer.text.contains("before"), "{case}: {answer:?}");
    }
    for (case, from, message) in [
        ("null sender", "", bare.clone()),
        ("vacation", "caro@example.org", [b"Auto-Submitted: auto-replied\r\n".as_slice(), &bare].concat()),
        ("bulk", "caro@example.org", [b"Precedence: bulk\r\n".as_slice(), &bare].concat()),
    ] {
        assert_eq!(send(from, message).code, 550, "{case}");
    }
    queue_is_empty(&daemon);
    assert_eq!(sink.taken().len(), before, "no copy and no answer");
    // A mail system in front that notes its own delivery on top is no loop.
    let fresh = without(&bare, &["Subject"]);
    let noted =
        [b"Delivered-To: sg12rg-amr@lists.example.org\r\nReceived: from a by mx; x\r\nSubject: new\r\n".as_slice(), &fresh].concat();
    assert_eq!(send("ana@example.org", noted).code, 250);
}

#[test]
fn two_services_subscribed_to_each_other_give_each_person_one_copy_and_then_silence() {
    let sink = Sink::start(Duration::ZERO).keeping();
    let setup = |domain| Setup { relay: sink.relay(2), domain, ..Setup::default() };
    let (north, south) = (Daemon::start(&setup("north.example.org")), Daemon::start(&setup("south.example.org")));
    for (daemon, other) in [(&north, "sg12rg-amr@south.example.org"), (&south, "sg12rg-amr@north.example.org")] {
        std::fs::write(
            daemon.path("other.csv"),
            format!("email,name,kind,category,country\n{other},The other list,ties,member-state,MX\n"),
        )
        .unwrap();
        daemon.cli_ok(&["account", "import", daemon.path("other.csv").to_str().unwrap()]);
        daemon.cli_ok(&["member", "add", "SG12RG-AMR", "ana@example.org", other]);
    }
    north.cli_ok(&["member", "add", "SG12RG-AMR", "caro@example.org"]);
    south.cli_ok(&["member", "set", "SG12RG-AMR", "ana@example.org", "--delivery", "none"]);
    south.cli_ok(&["member", "add", "SG12RG-AMR", "--invite", "ben@example.org"]);
    let post = proved("ana@example.org", "sg12rg-amr@north.example.org", "A question", "two@example.org", "Hello");
    assert_eq!(lmtp(north.address("lmtp"), "ana@example.org", &["sg12rg-amr@north.example.org"], &post)[0].code, 250);
    // What the relay would do: hand each list's copy to the other service, whose author's signature is still good.
    let mut handed = 0;
    let mut answers = Vec::new();
    wait_for("the copy that comes back to be refused", || {
        for Taken { reverse_path, recipient, message, .. } in sink.taken().into_iter().skip(handed) {
            handed += 1;
            let daemon = if recipient.ends_with("@south.example.org") {
                &south
            } else if recipient.ends_with("@north.example.org") {
                &north
            } else {
                continue;
            };
            answers.push(smtp(daemon.address("smtp"), &reverse_path, &[&recipient], &with_proof(&message)));
        }
        (answers.len() >= 2).then_some(())
    });
    queue_is_empty(&north);
    queue_is_empty(&south);
    assert_eq!(answers[0].code, 250, "once it passes: {answers:?}");
    assert!(answers[1].code == 554 || answers[1].text.contains("before"), "then never again: {answers:?}");
    let mut copies: BTreeMap<String, usize> = BTreeMap::new();
    for taken in sink.taken() {
        *copies.entry(taken.recipient).or_default() += 1;
    }
    let expected =
        ["ana@example.org", "ben@example.org", "caro@example.org", "sg12rg-amr@north.example.org", "sg12rg-amr@south.example.org"];
    assert_eq!(copies, expected.map(|address| (address.to_owned(), 1)).into());
}

#[test]
fn a_storm_of_vacation_notes_is_refused_and_answered_by_nothing() {
    let sink = Sink::start(Duration::ZERO);
    let daemon = started(&sink);
    let mut client = Client::connect(daemon.address("lmtp"), "LHLO");
    let note = "From: Caro <caro@example.org>\r\nSubject: Out of office\r\nAuto-Submitted: auto-replied\r\n\r\nI am away\r\n";
    for number in 0..200 {
        let to = [LIST, "sg12rg-amr-request@lists.example.org", "sg12rg-amr-owner@lists.example.org", "sg12rg-amr-join@lists.example.org"]
            [number % 4];
        let (_, answers) = client.transaction(true, "caro@example.org", &[to], note.as_bytes());
        assert_eq!(answers[0].code, 550, "{to}: {answers:?}");
    }
    assert!(sink.taken().is_empty());
    assert_eq!(daemon.json(&["queue", "list"])["planned"], 0);
}

#[test]
fn ten_thousand_forged_requests_for_one_victim_are_one_mail_a_day_over_all_groups() {
    let many = if std::env::var_os("ENLACE_TEST_LONG").is_some() { 10_000 } else { 400 };
    let sink = Sink::start(Duration::ZERO);
    let daemon = Daemon::start(&Setup { relay: sink.relay(2), ..Setup::default() });
    let mut client = Client::connect(daemon.address("lmtp"), "LHLO");
    let addresses = ["sg12rg-amr-join", "sg12-join", "tsag-subscribe", "sg12rg-afr-request", "sg12rg-amr-leave", "sg12-request"];
    for number in 0..many {
        let to = format!("{}@lists.example.org", addresses[number % addresses.len()]);
        let forged = unproved("ana@example.org", &to, "subscribe", &format!("f{number}@evil.example"), "subscribe");
        client.transaction(true, "mallory@evil.example", &[&to], &forged);
        if number % 900 == 899 {
            client = Client::connect(daemon.address("lmtp"), "LHLO");
        }
    }
    queue_is_empty(&daemon);
    let victims: Vec<_> = sink.taken().into_iter().map(|taken| taken.recipient).collect();
    assert!(victims.len() <= 1 && victims.iter().all(|victim| victim == "ana@example.org"), "{victims:?}");
}

#[test]
fn forty_commands_and_unproved_posts_of_one_sender_are_at_most_ten_answers_a_day() {
    let sink = Sink::start(Duration::ZERO);
    let daemon = started(&sink);
    let mut client = Client::connect(daemon.address("lmtp"), "LHLO");
    for number in 0..40 {
        let to = ["sg12rg-amr-request@lists.example.org", "sg12-request@lists.example.org"][number % 2];
        let command = proved("ana@example.org", to, "help", &format!("h{number}@example.org"), "help");
        client.transaction(true, "ana@example.org", &[to], &command);
        let post = unproved("caro@example.org", LIST, "A question", &format!("u{number}@example.org"), "Hello");
        let (_, answers) = client.transaction(true, "caro@example.org", &[LIST], &post);
        assert_eq!(answers[0].code, if number < 10 { 250 } else { 451 }, "a post is held only where its author is asked: {answers:?}");
    }
    assert_eq!(daemon.json(&["hold", "list"]).as_array().unwrap().len(), 10);
    queue_is_empty(&daemon);
    let count = |address: &str| sink.taken().iter().filter(|taken| taken.recipient == address).count();
    assert_eq!(count("ana@example.org"), 10);
    assert_eq!(count("caro@example.org"), 10);
}

#[test]
fn too_much_in_an_hour_is_answered_451_for_the_sender_and_for_the_group() {
    let sink = Sink::start(Duration::ZERO);
    let daemon =
        Daemon::start(&Setup { relay: sink.relay(2), more: "[limits]\nsender_mails = 3\ngroup_mails = 5\n".into(), ..Setup::default() });
    daemon.cli_ok(&["member", "add", "SG12RG-AMR", "ana@example.org", "caro@example.org"]);
    let send = |from: &str, id: usize| {
        let post = proved(from, LIST, "A question", &format!("r{id}@example.org"), "Hello");
        lmtp(daemon.address("lmtp"), from, &[LIST], &post)[0].clone()
    };
    let codes: Vec<u16> = (0..4).map(|id| send("ana@example.org", id).code).collect();
    assert_eq!(codes, [250, 250, 250, 451]);
    let answer = send("ana@example.org", 5);
    assert!(answer.text.contains("4.7.1") && answer.text.contains("ana@example.org sends too much"), "{answer:?}");
    assert_eq!([send("caro@example.org", 10).code, send("caro@example.org", 11).code], [250, 250]);
    let answer = send("caro@example.org", 12);
    assert!(answer.code == 451 && answer.text.contains("SG12RG-AMR gets too much"), "{answer:?}");
}
