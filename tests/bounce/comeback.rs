//! The daemon from outside: reports by mail, refusals in the session, scores over days, suspension and return.

use std::time::Duration;

use serde_json::Value;

use super::support::client::{lmtp, proved, smtp};
use super::support::daemon::{Daemon, Setup, wait_for};
use super::support::sink::Sink;

pub fn dsn(to: &str, named: &str, status: &str, words: &str) -> Vec<u8> {
    format!(
        "From: MAILER-DAEMON@mx.provider.example\r\nTo: <{to}>\r\nSubject: Undelivered Mail Returned to Sender\r\nMIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nsorry\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.provider.example\r\n\r\nFinal-Recipient: rfc822; {named}\r\nAction: failed\r\nStatus: {status}\r\nDiagnostic-Code: smtp; {words}\r\n--b--\r\n"
    )
    .into_bytes()
}

fn state(daemon: &Daemon, address: &str) -> (String, String) {
    let members = daemon.json(&["member", "list", "SG12RG-AMR"]);
    let member = members.as_array().unwrap().iter().find(|member| member["address"] == address).cloned().unwrap_or(Value::Null);
    (member["state"].as_str().unwrap_or_default().to_owned(), member["reason"].as_str().unwrap_or_default().to_owned())
}

/// Waits until the copy of `id` for `address` was taken; its envelope sender.
fn copy_of(sink: &Sink, id: &str, address: &str) -> String {
    wait_for("the copy", || {
        sink.taken().into_iter().find(|taken| taken.message_id == id && taken.recipient == address).map(|taken| taken.reverse_path)
    })
}

#[test]
fn reports_and_refusals_over_three_days_lead_to_a_probe_a_suspension_and_a_return() {
    // The relay refuses ben in its session; caro's copies come back by mail.
    let sink = Sink::answering(Duration::ZERO, |to| (to == "ben@example.org").then_some("550 5.1.1 <ben@example.org>: no such user here"));
    let mut daemon = Daemon::prepare(&Setup { relay: sink.relay(2), ..Setup::default() });
    daemon.cli_ok(&["member", "add", "SG12RG-AMR", "ana@example.org", "caro@example.org"]);
    daemon.cli_ok(&["member", "add", "SG12RG-AMR", "--invite", "ben@example.org"]);
    for (day, id) in ["c1@example.org", "c2@example.org", "c3@example.org"].iter().enumerate() {
        daemon.run_with(&["--clock", &format!("2027-04-0{}T08:00:00Z", day + 5)]);
        let post = proved("ana@example.org", "sg12rg-amr@lists.example.org", "A question", id, "Hello");
        assert_eq!(lmtp(daemon.address("lmtp"), "ana@example.org", &["sg12rg-amr@lists.example.org"], &post)[0].code, 250);
        let token = copy_of(&sink, id, "caro@example.org");
        let answer =
            smtp(daemon.address("smtp"), "", &[&token], &dsn(&token, "caro@example.org", "5.1.1", "550 5.1.1 mailbox does not exist"));
        assert_eq!(answer.code, 250, "{answer:?}");
        let explained = daemon.json(&["explain", id, "caro@example.org"]);
        let caro = &explained["recipients"][0];
        assert_eq!(caro["state"], "bounced");
        assert!(caro["reason"].as_str().unwrap().contains("550 5.1.1 mailbox does not exist"), "{caro}");
        wait_for("ben's refusal to be scored", || {
            let rows = daemon.json(&["bounce", "list"]);
            rows.as_array().unwrap().iter().any(|row| row["address"] == "ben@example.org" && row["failures"] == day + 1).then_some(())
        });
        if day < 2 {
            assert_eq!(daemon.stop(), Some(0));
        }
    }
    // Ben's probe is refused in the session too; caro's is taken and comes back.
    wait_for("ben's suspension", || (state(&daemon, "ben@example.org").0 == "suspended").then_some(()));
    assert!(state(&daemon, "ben@example.org").1.contains("no such user here"), "{:?}", state(&daemon, "ben@example.org"));
    assert_eq!(state(&daemon, "caro@example.org").0, "active", "probed, not suspended");
    let probe = wait_for("caro's probe", || {
        let taken = sink.taken().into_iter().find(|taken| taken.recipient == "caro@example.org" && taken.message_id.contains(".robot@"));
        taken.map(|taken| taken.reverse_path)
    });
    assert_eq!(smtp(daemon.address("smtp"), "", &[&probe], &dsn(&probe, "caro@example.org", "5.1.1", "550 5.1.1 gone")).code, 250);
    assert_eq!(state(&daemon, "caro@example.org").0, "suspended");
    assert_eq!(state(&daemon, "ana@example.org").0, "active");
    // She returns by herself, the manager brings ben back.
    let back = proved("caro@example.org", "sg12rg-amr-join@lists.example.org", "", "r1@example.org", "");
    assert_eq!(lmtp(daemon.address("lmtp"), "caro@example.org", &["sg12rg-amr-join@lists.example.org"], &back)[0].code, 250);
    assert_eq!(state(&daemon, "caro@example.org").0, "active");
    daemon.cli_ok(&["bounce", "reset", "ben@example.org"]);
    assert_eq!(state(&daemon, "ben@example.org").0, "active");
    assert_eq!(daemon.json(&["bounce", "list"]), serde_json::json!([]));
}

#[test]
fn a_token_speaks_for_its_owner_only_and_nothing_is_ever_answered() {
    let sink = Sink::start(Duration::ZERO);
    let daemon = Daemon::start(&Setup { relay: sink.relay(2), ..Setup::default() });
    daemon.cli_ok(&["member", "add", "SG12RG-AMR", "ana@example.org", "caro@example.org"]);
    let post = proved("ana@example.org", "sg12rg-amr@lists.example.org", "A question", "q@example.org", "Hello");
    assert_eq!(lmtp(daemon.address("lmtp"), "ana@example.org", &["sg12rg-amr@lists.example.org"], &post)[0].code, 250);
    let token = copy_of(&sink, "q@example.org", "caro@example.org");
    copy_of(&sink, "q@example.org", "ana@example.org");
    let before = sink.taken().len();
    let send = |from: &str, to: &str, message: Vec<u8>| smtp(daemon.address("smtp"), from, &[to], &message).code;
    // Ana is named by a token that is caro's, by a list address without a token, and by a forged token.
    assert_eq!(send("", &token, dsn(&token, "ana@example.org", "5.1.1", "550 5.1.1 gone")), 250);
    let bare = "sg12rg-amr-bounces@lists.example.org";
    assert_eq!(send("", bare, dsn(bare, "ana@example.org", "5.1.1", "550 5.1.1 gone")), 250);
    assert_eq!(
        send(
            "mallory@evil.example",
            "sg12rg-amr-bounces+abcdefghijklmnopqrstuvwxyz@lists.example.org",
            dsn(bare, "ana@example.org", "5.1.1", "gone")
        ),
        550
    );
    let vacation =
        "From: Ana <ana@example.org>\r\nSubject: Out of office\r\nAuto-Submitted: auto-replied\r\n\r\n550 5.1.1 user unknown\r\n";
    for _ in 0..50 {
        assert_eq!(send("ana@example.org", bare, vacation.into()), 250);
    }
    let rows = daemon.json(&["bounce", "list"]);
    let scored: Vec<_> = rows.as_array().unwrap().iter().map(|row| row["address"].as_str().unwrap()).collect();
    assert_eq!(scored, ["caro@example.org"], "the owner of the token, and she only");
    let own = daemon.json(&["explain", "q@example.org", "ana@example.org"]);
    assert_eq!(own["recipients"][0]["state"], "sent");
    assert_eq!(sink.taken().len(), before, "no mail about a mail that came back");
}

#[test]
fn a_complaint_is_an_unsubscription() {
    let sink = Sink::start(Duration::ZERO);
    let daemon = Daemon::start(&Setup { relay: sink.relay(2), ..Setup::default() });
    daemon.cli_ok(&["member", "add", "SG12RG-AMR", "ana@example.org", "caro@example.org"]);
    let post = proved("ana@example.org", "sg12rg-amr@lists.example.org", "A question", "q@example.org", "Hello");
    lmtp(daemon.address("lmtp"), "ana@example.org", &["sg12rg-amr@lists.example.org"], &post);
    let token = copy_of(&sink, "q@example.org", "caro@example.org");
    // To the address that all copies share it names nobody, unless the copy with its keyed return path comes with it.
    let shared = "sg12rg-amr-bounces@lists.example.org";
    let included = |path: &str, to: &str| {
        format!(
            "From: feedback@provider.example\r\nSubject: complaint\r\nMIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=feedback-report; boundary=b\r\n\r\n--b\r\nContent-Type: message/feedback-report\r\n\r\nFeedback-Type: abuse\r\nVersion: 1\r\nUser-Agent: x/1\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nReturn-Path: <{path}>\r\nTo: {to}\r\nSubject: A question\r\n\r\nHello\r\n--b--\r\n"
        )
    };
    let anas = copy_of(&sink, "q@example.org", "ana@example.org");
    for path in [shared, &anas.replace("-bounces+", "-bounces+x")] {
        assert_eq!(smtp(daemon.address("smtp"), "", &[shared], included(path, "ana@example.org").as_bytes()).code, 250);
        assert_eq!(state(&daemon, "ana@example.org").0, "active", "{path}");
    }
    assert_eq!(smtp(daemon.address("smtp"), "", &[shared], included(&anas, "ana@example.org").as_bytes()).code, 250);
    assert_eq!(state(&daemon, "ana@example.org").0, "unsubscribed");
    assert_eq!(state(&daemon, "caro@example.org").0, "active");
    let complaint = "From: feedback@provider.example\r\nSubject: complaint\r\nMIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=feedback-report; boundary=b\r\n\r\n--b\r\nContent-Type: message/feedback-report\r\n\r\nFeedback-Type: abuse\r\nVersion: 1\r\nUser-Agent: x/1\r\n--b--\r\n";
    assert_eq!(smtp(daemon.address("smtp"), "", &[&token], complaint.as_bytes()).code, 250);
    let (state, reason) = state(&daemon, "caro@example.org");
    assert_eq!(state, "unsubscribed");
    assert!(reason.contains("spam"), "{reason}");
}
