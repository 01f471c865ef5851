//! P3: no positive answer before what it promises was synced, as the kernel saw it.

use std::collections::HashMap;
use std::fs;

use crate::support::client::{lmtp, proved};
use crate::support::daemon::{Daemon, Setup, wait_for};

const LIST: &str = "sg12rg-amr@lists.example.org";

/// The file of a finished `fsync` or `fdatasync`; `begun` holds, by thread, those that another thread's call interrupted in the record.
fn synced(line: &str, begun: &mut HashMap<String, String>) -> Option<String> {
    let (thread, call) = line.split_once(' ')?;
    let call = call.trim_start();
    if call.starts_with("<... f") {
        return begun.remove(thread).filter(|_| call.ends_with("= 0"));
    }
    if !call.starts_with("fsync(") && !call.starts_with("fdatasync(") {
        return None;
    }
    let file = call.split_once('<')?.1.split_once('>')?.0.to_owned();
    if call.ends_with("<unfinished ...>") {
        begun.insert(thread.to_owned(), file);
        return None;
    }
    call.ends_with("= 0").then_some(file)
}

#[test]
fn p3_every_250_comes_after_the_sync_of_body_and_log() {
    let mut daemon = Daemon::prepare(&Setup::default());
    daemon.cli_ok(&["member", "add", "SG12RG-AMR", "ana@example.org", "ben@example.org"]);
    let record = daemon.path("calls");
    let calls = "trace=fsync,fdatasync,sendto,sendmsg,write,writev";
    daemon.run_under(&["strace", "-D", "-f", "-y", "-qq", "-s", "200", "-e", calls, "-o", record.to_str().unwrap()]);
    for number in 0..5 {
        let message = proved("ana@example.org", LIST, "x", &format!("p3-{number}@example.org"), "Text");
        assert_eq!(lmtp(daemon.address("lmtp"), "ana@example.org", &[LIST], &message)[0].code, 250);
    }
    daemon.stop();
    let answer = |line: &str| line.contains("250 2.0.0") && !line.contains("bodies/");
    let text = wait_for("the record of the calls", || {
        let text = fs::read_to_string(&record).unwrap_or_default();
        (text.lines().filter(|line| answer(line)).count() >= 5).then_some(text)
    });
    let (mut begun, mut body, mut log, mut answers) = (HashMap::new(), false, false, 0);
    for line in text.lines() {
        if let Some(file) = synced(line, &mut begun) {
            body |= file.contains("/bodies/");
            log |= file.contains("/ledger/log-");
        } else if line.contains("\"354 ") {
            // The message has not come yet: what was synced so far is not it.
            (body, log) = (false, false);
        } else if answer(line) {
            assert!(body && log, "body {body}, log {log} before {line}");
            answers += 1;
        }
    }
    assert_eq!(answers, 5);
}
