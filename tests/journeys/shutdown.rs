//! SIGTERM in the middle of everything: what was begun is finished, what was not is put off, nothing is lost or repeated.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::subscribe_many;
use crate::support::client::{Client, lmtp, proved};
use crate::support::daemon::{Daemon, Setup, wait_for};
use crate::support::sink::Sink;

const LIST: &str = "sg12rg-amr@lists.example.org";
const READERS: usize = 1_000;

#[test]
fn a_hundred_sessions_and_a_fan_out_end_within_ten_seconds_and_nothing_is_repeated() {
    // So slow that the seconds which an unfinished message is given do not see the end of the fan-out.
    let sink = Sink::start(Duration::from_millis(50));
    let mut daemon = Daemon::prepare(&Setup { relay: sink.relay(8), ..Setup::default() });
    subscribe_many(&daemon, READERS);
    daemon.run();
    let mut sessions: Vec<Client> = (0..100).map(|_| Client::connect(daemon.address("lmtp"), "LHLO")).collect();
    // One of them is in the middle of its text and does not go on: it has not reached the dot, so it is put off.
    sessions[0].command("MAIL FROM:<m1@d1.example>");
    sessions[0].command(&format!("RCPT TO:<{LIST}>"));
    assert_eq!(sessions[0].command("DATA").code, 354);
    sessions[0].send(b"From: <m1@d1.example>\r\nMessage-ID: <unfinished@example.org>\r\n\r\n");
    let message = proved("m1@d1.example", LIST, "x", "orderly@example.org", "text");
    assert_eq!(lmtp(daemon.address("lmtp"), "m1@d1.example", &[LIST], &message)[0].code, 250);
    wait_for("the first copies", || (sink.taken().len() > 50).then_some(()));
    let begun = Instant::now();
    assert_eq!(daemon.stop(), Some(0));
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    let at_the_end = sink.taken().len();
    assert!(at_the_end < READERS, "it was stopped in the middle");
    drop(sessions);
    daemon.run();
    assert!(!daemon.cli(&["explain", "unfinished@example.org"]).status.success(), "half a message is none");
    wait_for("the rest", || (daemon.json(&["queue", "list"])["sent"].as_u64() == Some(READERS as u64)).then_some(()));
    let mut copies: HashMap<String, usize> = HashMap::new();
    for taken in sink.taken() {
        *copies.entry(taken.recipient).or_default() += 1;
    }
    assert_eq!(copies.len(), READERS);
    assert!(copies.values().all(|count| *count == 1), "a second copy after an orderly end");
}
