//! Held posts: looked at first, by reply to a token mail, by two persons, always allowed, banned.

use std::time::Duration;

use super::support::client::{Reply, lmtp, proved, smtp};
use super::support::daemon::{Daemon, GROUPS, Setup, wait_for};
use super::support::sink::Sink;

const LIST: &str = "sg12rg-amr@lists.example.org";

fn with_order(sink: &Sink, order: &str) -> Daemon {
    let groups = GROUPS.replacen("supporting_members = [\"Mexico\"", &format!("{order}\nsupporting_members = [\"Mexico\""), 1);
    let daemon = Daemon::start(&Setup { relay: sink.relay(2), groups: Some(groups), ..Setup::default() });
    daemon.cli_ok(&["member", "add", "SG12RG-AMR", "ana@example.org", "caro@example.org"]);
    daemon.cli_ok(&["member", "set", "SG12RG-AMR", "caro@example.org", "--role", "moderator"]);
    daemon
}

fn post(daemon: &Daemon, from: &str, id: &str) -> Reply {
    lmtp(daemon.address("lmtp"), from, &[LIST], &proved(from, LIST, "A question", id, "Hello"))[0].clone()
}

fn held(daemon: &Daemon) -> Vec<String> {
    daemon.json(&["hold", "list"]).as_array().unwrap().iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect()
}

/// The reply address for a decision in the notice that the moderator got, by the line it stands on (she reads Spanish).
fn address_in_notice(sink: &Sink, number: usize, words: &str) -> String {
    let notices = wait_for("the notice", || {
        let found: Vec<_> =
            sink.taken().into_iter().filter(|t| t.recipient == "caro@example.org" && t.message_id.contains(".robot@")).collect();
        (found.len() > number).then_some(found)
    });
    let text = String::from_utf8(notices[number].message.clone()).unwrap().replace("=\r\n", "").replace("=3D", "=");
    let line = text.lines().find(|line| line.contains(words)).unwrap_or_else(|| panic!("no {words:?} in\n{text}"));
    line.split_whitespace().find(|word| word.contains("-moderate+")).unwrap().trim_matches(['<', '>', '.']).to_owned()
}

fn copies(sink: &Sink, id: &str) -> usize {
    sink.taken().iter().filter(|taken| taken.message_id == id).count()
}

#[test]
fn a_member_who_is_looked_at_first_is_released_by_mail_and_then_always_let_through() {
    let sink = Sink::start(Duration::ZERO).keeping();
    let daemon = with_order(&sink, "");
    daemon.cli_ok(&["member", "set", "SG12RG-AMR", "ana@example.org", "--moderated", "true"]);
    assert_eq!(post(&daemon, "ana@example.org", "m1@example.org").code, 250);
    let rows = daemon.json(&["hold", "list"]);
    assert_eq!((rows[0]["from"].as_str(), rows[0]["group"].as_str()), (Some("ana@example.org"), Some("SG12RG-AMR")));
    assert!(rows[0]["reason"].as_str().unwrap().contains("looked at first"), "{rows}");
    let robot = "From: caro@example.org\r\nSubject: Out of office\r\nAuto-Submitted: auto-replied\r\n\r\n";
    let allow = address_in_notice(&sink, 0, "ahora y siempre");
    assert_eq!(smtp(daemon.address("smtp"), "caro@example.org", &[&allow], robot.as_bytes()).code, 550, "a vacation note decides nothing");
    assert_eq!(held(&daemon).len(), 1);
    let yes = proved("caro@example.org", &allow, "Re: held", "y1@example.org", "");
    assert_eq!(smtp(daemon.address("smtp"), "caro@example.org", &[&allow], &yes).code, 250);
    wait_for("the copies", || (copies(&sink, "m1@example.org") == 2).then_some(()));
    assert_eq!(smtp(daemon.address("smtp"), "caro@example.org", &[&allow], &yes).code, 550, "a token works once");
    assert_eq!(post(&daemon, "ana@example.org", "m2@example.org").code, 250);
    wait_for("the next post without a decision", || (copies(&sink, "m2@example.org") == 2).then_some(()));
    assert!(held(&daemon).is_empty());
}

#[test]
fn a_rejection_by_mail_gives_its_reason_to_a_proved_author_only() {
    let sink = Sink::start(Duration::ZERO).keeping();
    let daemon = with_order(&sink, "moderate = true\nnonmember = \"hold\"");
    assert_eq!(post(&daemon, "ana@example.org", "j1@example.org").code, 250);
    let reject = address_in_notice(&sink, 0, "rechazarlo");
    let no = proved("caro@example.org", &reject, "Re: held", "n1@example.org", "This belongs to the parent group.\r\n> quoted");
    assert_eq!(smtp(daemon.address("smtp"), "caro@example.org", &[&reject], &no).code, 250);
    let told = wait_for("the author's mail", || sink.taken().into_iter().find(|taken| taken.recipient == "ana@example.org"));
    assert!(String::from_utf8_lossy(&told.message).contains("This belongs to the parent group."));
    assert!(held(&daemon).is_empty() && copies(&sink, "j1@example.org") == 0);
    // A stranger's visible sender proves nothing: nobody is told.
    let stranger = b"From: eve@elsewhere.example\r\nTo: x\r\nSubject: hello\r\nMessage-ID: <s1@elsewhere.example>\r\n\r\nhi\r\n";
    assert_eq!(lmtp(daemon.address("lmtp"), "eve@elsewhere.example", &[LIST], stranger)[0].code, 250);
    let id = held(&daemon).remove(0);
    daemon.cli_ok(&["hold", "reject", &id, "--reason", "no"]);
    assert!(held(&daemon).is_empty());
    assert!(sink.taken().iter().all(|taken| taken.recipient != "eve@elsewhere.example"));
}

#[test]
fn two_persons_release_where_the_group_asks_for_two() {
    let sink = Sink::start(Duration::ZERO).keeping();
    let daemon = with_order(&sink, "moderate = true\nrelease_by = 2");
    assert_eq!(post(&daemon, "ana@example.org", "d1@example.org").code, 250);
    let id = held(&daemon).remove(0);
    let first = daemon.json(&["hold", "release", &id]);
    assert_eq!(first["released"], false);
    assert_eq!(daemon.json(&["hold", "release", &id])["released"], false, "the same person is one person");
    assert!(daemon.json(&["hold", "list"])[0]["reason"].as_str().unwrap().contains("second person"));
    let release = address_in_notice(&sink, 0, "distribuirlo");
    let nobody = super::support::client::unproved("caro@example.org", &release, "Re", "z0@example.org", "");
    assert_eq!(smtp(daemon.address("smtp"), "caro@example.org", &[&release], &nobody).code, 550, "who is the second has to be proved");
    let yes = proved("caro@example.org", &release, "Re", "z1@example.org", "");
    assert_eq!(smtp(daemon.address("smtp"), "caro@example.org", &[&release], &yes).code, 250);
    wait_for("the copies", || (copies(&sink, "d1@example.org") == 2).then_some(()));
}

#[test]
fn who_is_banned_is_refused_in_the_session() {
    let sink = Sink::start(Duration::ZERO);
    let daemon = with_order(&sink, "banned = [\"ana@example.org\", \"@evil.example\"]\nnonmember = \"hold\"");
    let answer = post(&daemon, "ana@example.org", "b1@example.org");
    assert!(answer.code == 550 && answer.text.contains("may not write to SG12RG-AMR"), "{answer:?}");
    let owner = proved("x@sub.evil.example", "sg12rg-amr-owner@lists.example.org", "Hi", "b2@evil.example", "hi");
    assert_eq!(smtp(daemon.address("smtp"), "x@sub.evil.example", &["sg12rg-amr-owner@lists.example.org"], &owner).code, 550);
    assert!(held(&daemon).is_empty());
}
