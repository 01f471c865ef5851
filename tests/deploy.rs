//! The recipe of `deploy/postfix` on a real Postfix: list mail goes out by LMTP, other mail to the next hop.

#[path = "support/postfix.rs"]
#[allow(dead_code, reason = "shared with other tests")]
mod postfix;

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;

use postfix::{Ports, Postfix, Sink, free_port};

/// Says `lines` one after the other, waiting for each answer, and returns the answers' codes.
fn converse(port: u16, lines: &[&str]) -> Vec<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut answer = || {
        let mut line = String::new();
        while reader.read_line(&mut line).unwrap() > 0 && line.as_bytes().get(3) == Some(&b'-') {
            line.clear();
        }
        line.trim_end().to_owned()
    };
    let mut answers = vec![answer()];
    for line in lines {
        stream.write_all(format!("{line}\r\n").as_bytes()).unwrap();
        answers.push(answer());
    }
    answers
}

#[test]
fn list_mail_goes_to_lmtp_and_copies_to_the_next_hop() {
    let ports = Ports { smtp: free_port(), lmtp: free_port(), next: free_port() };
    let lists = Sink::start(ports.lmtp, true, &[]);
    let world = Sink::start(ports.next, false, &[]);
    let postfix = Postfix::start(ports, "");
    for recipient in ["sg12rg-amr@lists.example.org", "ana@example.org"] {
        let rcpt = format!("RCPT TO:<{recipient}>");
        let body = "Subject: Draft\r\n\r\nText\r\n.";
        let answers =
            converse(postfix.port(), &["EHLO client.example.org", "MAIL FROM:<delegate@example.org>", &rcpt, "DATA", body, "QUIT"]);
        assert!(answers[5].starts_with("250 "), "{answers:?}");
    }
    let at_the_list = lists.wait_for(1, |text| text.contains("Subject: Draft"));
    assert!(at_the_list.iter().all(|text| text.contains("X-Rcpt-Args: <sg12rg-amr@lists.example.org>")), "{at_the_list:?}");
    let outside = world.wait_for(1, |text| text.contains("Subject: Draft"));
    assert!(outside.iter().all(|text| text.contains("X-Rcpt-Args: <ana@example.org>")), "{outside:?}");
    postfix.wait_for_log(&["status=sent", "sg12rg-amr@lists.example.org"]);
    // Whether a list exists is asked for; no subscriber's server is bothered before a copy goes out.
    postfix.wait_for_log(&["status=deliverable", "sg12rg-amr@lists.example.org"]);
    postfix.wait_for_log(&["status=sent", "ana@example.org"]);
    let probes =
        |line: &&str| line.contains("ana@example.org") && (line.contains("status=deliverable") || line.contains("status=undeliverable"));
    assert_eq!(postfix.log().lines().find(probes), None);
}

#[test]
fn an_address_that_the_list_side_refuses_is_refused_while_the_sender_is_connected() {
    let ports = Ports { smtp: free_port(), lmtp: free_port(), next: free_port() };
    let _lists = Sink::start(ports.lmtp, true, &["-f", "RCPT"]);
    let postfix = Postfix::start(ports, "");
    let answers =
        converse(postfix.port(), &["EHLO client.example.org", "MAIL FROM:<x@example.org>", "RCPT TO:<nothing@lists.example.org>"]);
    // smtp-sink refuses with 5xx; an address that is not known yet is probed first, for which Postfix may say 4xx once.
    assert!(answers[3].starts_with("550 ") || answers[3].starts_with("450 "), "{answers:?}");
    let refused = || {
        converse(postfix.port(), &["EHLO client.example.org", "MAIL FROM:<x@example.org>", "RCPT TO:<nothing@lists.example.org>"])[3]
            .starts_with("550 ")
    };
    assert!(postfix::wait_for(refused), "{}", postfix.log());
}

fn recipe(name: &str) -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(name)
}

#[test]
fn the_example_configuration_is_taken() {
    let file = recipe("enlace.toml");
    let config = enlace::config::Config::load(Some(&file), []).unwrap();
    assert_eq!(config.relay.transport, enlace::config::Transport::Smtp);
    assert!(!config.has_public_listener());
}

#[test]
fn the_service_unit_is_one_that_systemd_understands() {
    let unit = std::fs::read_to_string(recipe("systemd/enlace.service")).unwrap();
    assert!(unit.contains("ProtectSystem=strict") && unit.contains("NoNewPrivileges=yes"));
    if std::process::Command::new("systemd-analyze").arg("--version").output().is_err() {
        // A machine without systemd cannot say more.
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("enlace.service");
    // The program and its man page are not installed where the tests run.
    let unit: String = unit.lines().filter(|line| !line.starts_with("Documentation=")).flat_map(|line| [line, "\n"]).collect();
    std::fs::write(&file, unit.replace("/usr/bin/enlace", "/bin/true")).unwrap();
    let output = std::process::Command::new("systemd-analyze").arg("verify").arg(&file).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !said.contains("enlace.service:"), "{said}");
}
