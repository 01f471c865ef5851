//! Digests from outside: what is suppressed one by one comes in the digest, once, whatever people switch in between.

use super::support::client::{lmtp, proved};
use super::support::daemon::{Daemon, Setup, wait_for};

const LIST: &str = "sg12rg-amr@lists.example.org";

fn post(daemon: &Daemon, subject: &str, id: &str) {
    let mail = proved("ben@example.org", LIST, subject, id, &format!("Text of {subject}: año nuevo"));
    assert_eq!(lmtp(daemon.address("lmtp"), "ben@example.org", &[LIST], &mail)[0].code, 250);
}

/// Copies to `address`, as header and bytes, by the recipient of the envelope.
fn copies(daemon: &Daemon, address: &str) -> Vec<String> {
    let to = format!("\r\nDelivered-To: {address}\r\n");
    daemon.outbox().into_iter().map(|copy| String::from_utf8_lossy(&copy).into_owned()).filter(|copy| copy.contains(&to)).collect()
}

fn state(daemon: &Daemon, id: &str, address: &str) -> (String, String) {
    wait_for("the plan", || {
        let found = daemon.json(&["explain", id, address]);
        let row = &found["recipients"][0];
        let state = row["state"].as_str()?.to_owned();
        (state != "planned").then(|| (state, row["reason"].as_str().unwrap_or_default().to_owned()))
    })
}

#[test]
fn nothing_is_lost_and_nothing_comes_twice_when_people_switch() {
    let mut setup = Setup::default();
    setup.arguments = vec!["--clock".into(), "2027-01-10T10:00:00Z".into()];
    let mut daemon = Daemon::start(&setup);
    daemon.cli_ok(&["member", "add", "SG12RG-AMR", "ana@example.org", "--delivery", "digest"]);
    daemon.cli_ok(&["member", "add", "SG12RG-AMR", "caro@example.org", "--delivery", "digest", "--plain-digest", "true"]);
    daemon.cli_ok(&["member", "add", "SG12RG-AMR", "ben@example.org"]);
    post(&daemon, "First", "one@example.org");
    let (found, reason) = state(&daemon, "one@example.org", "ana@example.org");
    assert_eq!((found.as_str(), reason.contains("digest")), ("suppressed", true), "{reason}");
    assert_eq!(state(&daemon, "one@example.org", "ben@example.org").0, "sent");
    daemon.cli_ok(&["member", "set", "SG12RG-AMR", "ana@example.org", "--delivery", "each"]);
    post(&daemon, "Second", "two@example.org");
    assert_eq!(state(&daemon, "two@example.org", "ana@example.org").0, "sent");
    assert_eq!(state(&daemon, "two@example.org", "caro@example.org").0, "suppressed");

    daemon.restart_at("2027-01-11T06:05:00Z");
    let digest = |address: &'static str| {
        wait_for("a digest", || copies(&daemon, address).into_iter().find(|copy| copy.contains("digest@lists.example.org")))
    };
    let anas = digest("ana@example.org");
    let parsed = mail_parser::MessageParser::default().parse(anas.as_bytes()).unwrap();
    let inside: Vec<_> = parsed.parts.iter().filter_map(|part| part.message()).map(|m| m.subject().unwrap().to_owned()).collect();
    assert_eq!(inside, ["First"], "she got the second by itself:\n{anas}");
    for field in [
        "Content-Language: es\r\n",
        "multipart/digest",
        "List-Unsubscribe-Post: ",
        "Auto-Submitted: auto-generated\r\n",
        "Precedence: list\r\n",
    ] {
        assert!(anas.contains(field), "{field}\n{anas}");
    }
    assert!(anas.contains("\r\nList-Post: <mailto:sg12rg-amr@lists.example.org>"), "{anas}");
    let caros = digest("caro@example.org");
    let parsed = mail_parser::MessageParser::default().parse(caros.as_bytes()).unwrap();
    assert_eq!(parsed.subject().unwrap(), "[SG12RG-AMR] Resumen 1: 2 mensajes");
    let text = parsed.body_text(0).unwrap().replace("\r\n", "\n");
    assert!(text.contains("1. First\n") && text.contains("2. Second\n"), "{text}");
    assert!(text.contains("\n------------------------------\n\n") && text.contains("Text of Second: año nuevo"), "{text}");
    assert!(text.ends_with("End of SG12RG-AMR Digest 1\n**************************\n"), "{text}");
    assert!(copies(&daemon, "ben@example.org").iter().all(|copy| !copy.contains("multipart/digest")));

    for reader in ["ana@example.org", "caro@example.org"] {
        let row = &daemon.json(&["explain", "one@example.org", reader])["recipients"][0];
        assert_eq!((row["state"].as_str(), row["rule"].as_str()), (Some("suppressed"), Some("went-in-digest")), "{row}");
        assert_eq!(row["reason"], format!("{reader} got it in digest 1 of SG12RG-AMR, sent on 2027-01-11"));
        assert_eq!(row["attempts"].as_array().unwrap().len(), 1, "{row}");
    }

    let before = daemon.outbox().len();
    daemon.restart_at("2027-01-12T06:05:00Z");
    post(&daemon, "Third", "three@example.org");
    assert_eq!(state(&daemon, "three@example.org", "ana@example.org").0, "sent");
    assert_eq!(daemon.outbox().len(), before + 2, "the next morning had nothing to say; ana and ben got the third");
}

#[test]
fn a_digest_goes_out_early_when_enough_waits_and_vacation_is_kept() {
    let mut setup = Setup { more: "[limits]\ndigest_size = \"4 KiB\"\n".into(), ..Setup::default() };
    setup.arguments = vec!["--clock".into(), "2027-01-10T10:00:00Z".into()];
    let daemon = Daemon::start(&setup);
    daemon.cli_ok(&["member", "add", "SG12RG-AMR", "ana@example.org", "--delivery", "digest"]);
    daemon.cli_ok(&["member", "add", "SG12RG-AMR", "caro@example.org", "--delivery", "none", "--until", "2027-01-10"]);
    daemon.cli_ok(&["member", "add", "SG12RG-AMR", "ben@example.org", "--own-posts", "false"]);
    for n in 0..2 {
        let body = "x".repeat(70) + "\r\n";
        let mail = proved("ben@example.org", LIST, "Long", &format!("long{n}@example.org"), &body.repeat(35));
        assert_eq!(lmtp(daemon.address("lmtp"), "ben@example.org", &[LIST], &mail)[0].code, 250);
    }
    let (found, reason) = state(&daemon, "long0@example.org", "caro@example.org");
    assert_eq!((found.as_str(), reason.contains("until 2027-01-10")), ("suppressed", true), "{reason}");
    let (found, reason) = state(&daemon, "long0@example.org", "ben@example.org");
    assert_eq!((found.as_str(), reason.contains("no copy of own posts")), ("suppressed", true), "{reason}");
    let copy = wait_for("an early digest", || copies(&daemon, "ana@example.org").pop());
    assert!(copy.contains("multipart/digest") && copy.contains("long0@example.org"), "{copy}");
}
