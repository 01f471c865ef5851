//! P16: a message that ends the process is set aside after its second time, and everybody else is served.

use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use crate::support::client::{Client, lmtp, proved};
use crate::support::daemon::{Daemon, Setup, wait_for};
use crate::support::sink::Sink;

const LIST: &str = "sg12rg-amr@lists.example.org";
const POISON: &str = "POISON-5121";
const FAULT: &str = "ENLACE_TEST_FAULT";
const ABORTED: Option<i32> = Some(6);

fn prepared(sink: &Sink) -> Daemon {
    let daemon = Daemon::prepare(&Setup { relay: sink.relay(2), ..Setup::default() });
    std::fs::write(daemon.path("operator.csv"), "email,name,kind,roles\noperator@itu.example,Olga,ties,operator\n").unwrap();
    daemon.cli_ok(&["account", "import", daemon.path("operator.csv").to_str().unwrap()]);
    daemon.cli_ok(&["member", "add", "SG12RG-AMR", "ana@example.org", "caro@example.org"]);
    daemon.cli_ok(&["member", "add", "SG12RG-AMR", "ben@example.org", "--role", "moderator"]);
    daemon
}

fn readers(sink: &Sink, message_id: &str) -> Vec<String> {
    let mut readers: Vec<_> =
        sink.taken().into_iter().filter(|taken| taken.message_id.contains(message_id)).map(|taken| taken.recipient).collect();
    readers.sort();
    readers
}

const ALL: [&str; 3] = ["ana@example.org", "ben@example.org", "caro@example.org"];

#[test]
fn p16_a_post_that_kills_at_each_rendering_is_held_after_two_deaths_and_the_others_go_out() {
    let sink = Sink::start(Duration::ZERO);
    let mut daemon = prepared(&sink);
    daemon.set_environment(FAULT, &format!("abort:rendering:{POISON}"));
    daemon.cli_ok(&["queue", "pause"]);
    daemon.run();
    for (id, text) in [("poison@example.org", POISON), ("good@example.org", "Hello")] {
        let post = proved("ana@example.org", LIST, "A question", id, text);
        assert_eq!(lmtp(daemon.address("lmtp"), "ana@example.org", &[LIST], &post)[0].code, 250);
    }
    // It may die before it answers.
    daemon.cli(&["queue", "resume"]);
    assert_eq!(daemon.wait_for_death().signal(), ABORTED);
    assert_eq!(daemon.run_until_death().signal(), ABORTED);

    daemon.run();
    // A copy that was on the wire at a death goes out once more.
    let whole = |id: &str| {
        let mut readers = readers(&sink, id);
        let copies = readers.len();
        readers.dedup();
        readers == ALL && copies <= ALL.len() + 2 * 2
    };
    wait_for("the good post", || whole("good@example.org").then_some(()));
    let held = daemon.json(&["hold", "list"]);
    assert_eq!(held.as_array().unwrap().len(), 1, "{held}");
    let (id, reason) = (held[0]["id"].as_str().unwrap().to_owned(), held[0]["reason"].as_str().unwrap());
    assert!(held[0]["rule"] == "set-aside" && reason.starts_with("set aside because the service ended 2 times"), "{held}");
    let explained = daemon.json(&["explain", "poison@example.org", "caro@example.org"]);
    assert_eq!(explained["recipients"][0]["state"], "planned", "{explained}");
    assert_eq!(explained["recipients"][0]["reason"], reason, "{explained}");
    assert!(explained["trail"].to_string().contains("set aside"), "{explained}");
    assert!(daemon.json(&["queue", "list"])["posts"].to_string().contains(&id));
    assert!(daemon.json(&["audit"]).to_string().contains("hold set aside"));
    for told in ["ben@example.org", "operator@itu.example"] {
        wait_for("the notice", || {
            sink.taken().iter().any(|taken| taken.recipient == told && taken.message_id.contains(".robot")).then_some(())
        });
    }
    let post = proved("ana@example.org", LIST, "Another", "later@example.org", "Hello again");
    assert_eq!(lmtp(daemon.address("lmtp"), "ana@example.org", &[LIST], &post)[0].code, 250);
    wait_for("a later post", || (readers(&sink, "later@example.org") == ALL).then_some(()));
    assert_eq!(readers(&sink, "poison@example.org"), Vec::<String>::new());

    // Released while it still kills, it has its two tries again, and no more.
    daemon.cli(&["hold", "release", &id]);
    assert_eq!(daemon.wait_for_death().signal(), ABORTED);
    assert_eq!(daemon.run_until_death().signal(), ABORTED);
    daemon.run();
    assert_eq!(daemon.json(&["hold", "list"])[0]["id"], id);
    // Released after it was mended, it goes to everybody once.
    assert_eq!(daemon.stop(), Some(0));
    daemon.set_environment(FAULT, "");
    daemon.run();
    daemon.cli_ok(&["hold", "release", &id]);
    wait_for("the released post", || (readers(&sink, "poison@example.org") == ALL).then_some(()));
    wait_for("an empty queue", || (daemon.json(&["queue", "list"])["planned"] == 0).then_some(()));
    assert_eq!(readers(&sink, "poison@example.org"), ALL);
    assert!(whole("good@example.org"), "{:?}", readers(&sink, "good@example.org"));
}

/// Sends a message and does not wait for an answer.
fn send_only(daemon: &Daemon, message: &[u8]) {
    let mut client = Client::connect(daemon.address("lmtp"), "LHLO");
    client.command("MAIL FROM:<ana@example.org>");
    client.command(&format!("RCPT TO:<{LIST}>"));
    assert_eq!(client.command("DATA").code, 354);
    let end: &[u8] = if message.ends_with(b"\r\n") { b".\r\n" } else { b"\r\n.\r\n" };
    client.send(&[message, end].concat());
}

#[test]
fn p16_a_message_that_kills_at_each_reading_is_refused_after_two_deaths() {
    let sink = Sink::start(Duration::ZERO);
    let mut daemon = prepared(&sink);
    daemon.set_environment(FAULT, &format!("abort:header:{POISON}"));
    let poison = proved("ana@example.org", LIST, POISON, "poison@example.org", "Hello");
    for _ in 0..2 {
        daemon.run();
        send_only(&daemon, &poison);
        assert_eq!(daemon.wait_for_death().signal(), ABORTED);
    }
    daemon.run();
    let answer = lmtp(daemon.address("lmtp"), "ana@example.org", &[LIST], &poison)[0].clone();
    assert!(answer.code == 554 && answer.text.contains("the service ended 2 times over it"), "{answer:?}");
    assert!(daemon.log().contains("Refused unread"), "{}", daemon.log());
    let found = daemon.json_of_check("messages");
    assert!(found[0]["state"] == "warning" && found[0]["text"].as_str().unwrap().contains("header"), "{found:?}");
    let post = proved("ana@example.org", LIST, "A question", "good@example.org", "Hello");
    assert_eq!(lmtp(daemon.address("lmtp"), "ana@example.org", &[LIST], &post)[0].code, 250);
    wait_for("the good post", || (readers(&sink, "good@example.org") == ALL).then_some(()));
}

#[test]
fn p16_a_panic_while_a_post_is_rendered_is_the_failure_of_that_post_alone() {
    let sink = Sink::start(Duration::ZERO);
    let mut daemon = prepared(&sink);
    daemon.set_environment(FAULT, &format!("panic:rendering:{POISON}"));
    daemon.run();
    for (id, text) in [("poison@example.org", POISON), ("good@example.org", "Hello")] {
        let post = proved("ana@example.org", LIST, "A question", id, text);
        assert_eq!(lmtp(daemon.address("lmtp"), "ana@example.org", &[LIST], &post)[0].code, 250);
    }
    wait_for("the good post", || (readers(&sink, "good@example.org") == ALL).then_some(()));
    let explained = wait_for("the outcome", || {
        let explained = daemon.json(&["explain", "poison@example.org", "caro@example.org"]);
        (explained["recipients"][0]["state"] == "failed").then_some(explained)
    });
    assert!(explained["recipients"][0]["reason"].as_str().unwrap().contains("could not be done"), "{explained}");
    assert_eq!(daemon.stop(), Some(0), "the process lived on");
}
