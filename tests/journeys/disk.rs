//! A disk that is really full, under the real daemon: mail is put off and never lost, and it goes on without a hand.
//!
//! Needs the right to mount a small tmpfs (root). Without it the floor of `limits.free_disk` stands in for the full disk.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use super::subscribe_many;
use crate::support::client::{Client, proved};
use crate::support::daemon::{Daemon, Setup, wait_for};
use crate::support::sink::Sink;

const LIST: &str = "sg12rg-amr@lists.example.org";
const CONNECTIONS: usize = 8;

/// A tmpfs in place of a folder, taken away at the end.
struct Mounted(tempfile::TempDir);

impl Mounted {
    fn new(size: &str) -> Option<Self> {
        let folder = tempfile::tempdir().ok()?;
        let size = format!("size={size}");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "enlace-test"]).arg(folder.path()).output().ok()?;
        mounted.status.success().then_some(Self(folder))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Takes every octet that is left.
    fn fill(&self) {
        let mut file = File::create(self.path().join("filler")).unwrap();
        for chunk in [65_536, 4096, 512] {
            while file.write_all(&vec![0; chunk]).is_ok() {}
        }
    }

    fn make_room(&self) {
        fs::remove_file(self.path().join("filler")).unwrap();
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).output();
    }
}

fn setup(disk: &Mounted, sink: &Sink) -> Setup {
    Setup {
        relay: sink.relay(CONNECTIONS),
        more: "[limits]\nfree_disk = \"64 KiB\"\n".into(),
        data_dir: Some(disk.path().join("var")),
        ..Setup::default()
    }
}

/// The first answer that is not the usual one, or the last: its code and text.
fn attempt(address: SocketAddr, from: &str, to: &str, message: &[u8]) -> (u16, String) {
    let mut client = Client::connect(address, "LHLO");
    let answer = client.command(&format!("MAIL FROM:<{from}>"));
    if answer.code != 250 {
        return (answer.code, answer.text);
    }
    client.command("RSET");
    let (rcpt, answers) = client.transaction(true, from, &[to], message);
    let answer = answers.first().unwrap_or(&rcpt[0]);
    (answer.code, answer.text.clone())
}

#[test]
fn a_disk_that_fills_up_while_mail_comes_in_puts_it_off_and_loses_nothing() {
    let Some(disk) = Mounted::new("16m") else {
        eprintln!("no right to mount here: tests/store tries the fault switch instead");
        return;
    };
    let sink = Sink::start(Duration::ZERO);
    let mut daemon = Daemon::prepare(&setup(&disk, &sink));
    daemon.cli_ok(&["member", "add", "SG12RG-AMR", "ana@example.org", "ben@example.org"]);
    daemon.run();
    let mut acknowledged = Vec::new();
    let mut send = |daemon: &Daemon, id: String| {
        let message = proved("ana@example.org", LIST, "x", &id, &"a line of some length that is repeated\r\n".repeat(40));
        let (code, text) = attempt(daemon.address("lmtp"), "ana@example.org", LIST, &message);
        assert!(code == 250 || (code == 452 && text.starts_with("4.3.1")) || code == 451, "{code} {text}");
        if code == 250 {
            acknowledged.push(id);
        }
        code
    };
    for n in 0..10 {
        assert_eq!(send(&daemon, format!("before{n}@example.org")), 250);
    }
    // The disk fills up between two mails; from then on every one is put off, within a second.
    disk.fill();
    let begun = Instant::now();
    let mut put_off = 0;
    for n in 0..40 {
        put_off += usize::from(send(&daemon, format!("full{n}@example.org")) != 250);
    }
    assert!(put_off >= 30, "only {put_off} of 40 were put off on a full disk");
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    // Reading goes on.
    daemon.json(&["explain", "before0@example.org"]);
    daemon.json(&["member", "list", "SG12RG-AMR"]);
    // Room is made: it takes mail again by itself.
    disk.make_room();
    let mut n = 0;
    wait_for("mail to be taken again", || {
        n += 1;
        (send(&daemon, format!("after{n}@example.org")) == 250).then_some(())
    });
    // Once more, with a death on the full disk and a start while it is full.
    disk.fill();
    daemon.kill();
    let refused = daemon.cli(&["--json", "queue", "list"]);
    if !refused.status.success() {
        let text = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(text.contains("space") || text.contains("free") || text.contains("room"), "it says what is wrong: {text}");
    }
    disk.make_room();
    daemon.run();
    assert_eq!(send(&daemon, "last@example.org".into()), 250);
    wait_for("everything to go out", || {
        let queue = daemon.json(&["queue", "list"]);
        (queue["planned"] == 0 && queue["deferred"] == 0 && queue["posts"].as_array()?.is_empty()).then_some(())
    });
    let mut copies: HashMap<(String, String), usize> = HashMap::new();
    for taken in sink.taken() {
        *copies.entry((taken.message_id, taken.recipient)).or_default() += 1;
    }
    for id in &acknowledged {
        for who in ["ana@example.org", "ben@example.org"] {
            let count = copies.get(&(id.clone(), who.into())).copied().unwrap_or(0);
            assert!(count >= 1, "{who} never got {id}, which was acknowledged");
        }
    }
    assert!(copies.keys().all(|(id, _)| acknowledged.contains(id)), "a mail that was put off went out");
    let repeats: usize = copies.values().map(|count| count - 1).sum();
    assert!(repeats <= 2 * CONNECTIONS, "{repeats} repeats");
}

#[test]
fn a_disk_that_fills_up_in_the_middle_of_the_copies_neither_loses_nor_repeats_many() {
    const READERS: usize = 400;
    let Some(disk) = Mounted::new("16m") else {
        eprintln!("no right to mount here: tests/store tries the fault switch instead");
        return;
    };
    let sink = Sink::start(Duration::from_millis(10));
    let mut daemon = Daemon::prepare(&setup(&disk, &sink));
    subscribe_many(&daemon, READERS);
    daemon.run();
    let message = proved("m1@d1.example", LIST, "x", "middle@example.org", "text");
    assert_eq!(attempt(daemon.address("lmtp"), "m1@d1.example", LIST, &message).0, 250);
    wait_for("the first copies", || (sink.taken().len() > 40).then_some(()));
    disk.fill();
    let when_full = sink.taken().len();
    // Without room to note an outcome nothing more is begun, so the copies stop at what was on the wire and what still fitted.
    let mut last = 0;
    wait_for("the copies to rest or to be all out", || {
        let now = sink.taken().len();
        let rests = now == last || now >= READERS;
        last = now;
        std::thread::sleep(Duration::from_millis(200));
        rests.then_some(())
    });
    assert!(last < READERS || when_full > READERS / 2, "{last} of {READERS} went out on a full disk, {when_full} before");
    disk.make_room();
    wait_for("everybody to have a copy", || {
        daemon.cli(&["queue", "retry"]);
        let queue = daemon.json(&["queue", "list"]);
        (queue["planned"] == 0 && queue["deferred"] == 0).then_some(())
    });
    let mut copies: HashMap<String, usize> = HashMap::new();
    for taken in sink.taken() {
        *copies.entry(taken.recipient).or_default() += 1;
    }
    assert_eq!(copies.len(), READERS);
    let repeats: usize = copies.values().map(|count| count - 1).sum();
    assert!(repeats <= CONNECTIONS, "{repeats} repeats");
    let queue = daemon.json(&["queue", "list"]);
    assert_eq!((queue["sent"].as_u64(), queue["failed"].as_u64()), (Some(READERS as u64), Some(0)), "{queue}");
}
