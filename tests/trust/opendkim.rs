//! The whole way with a real Postfix whose milter is OpenDKIM: it proves the author on the way in, and finds our signature and hers good
//! on the way out. Keys come from a file, because OpenDKIM asks name servers on port 53 only.

use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use enlace::mail::sign::Key as OurKey;
use serde_json::json;

use crate::signer::{Dkimpy, Key};
use crate::support::client::smtp;
use crate::support::daemon::{Daemon, Setup};
use crate::support::postfix::{Ports, Postfix, Sink, free_port, wait_for};

const LIST: &str = "sg12rg-amr@lists.example.org";

struct OpenDkim(Child);

impl Drop for OpenDkim {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn opendkim(folder: &std::path::Path, port: u16, records: &[(&str, &str)]) -> OpenDkim {
    let keys: String = records.iter().map(|(name, record)| format!("{name} {record}\n")).collect();
    std::fs::write(folder.join("records"), keys).unwrap();
    // Everybody here is a stranger, so that everything is verified.
    std::fs::write(folder.join("internal"), "192.0.2.1\n").unwrap();
    let folder = folder.display();
    let config = format!(
        "Mode v\nSocket inet:{port}@127.0.0.1\nAuthservID mx.example.org\nAlwaysAddARHeader yes\nTestDNSData file:{folder}/records\n\
         InternalHosts {folder}/internal\nBackground no\nSyslog no\nRequireSafeKeys no\n"
    );
    std::fs::write(format!("{folder}/opendkim.conf"), config).unwrap();
    let child = Command::new("opendkim")
        .args(["-f", "-x", &format!("{folder}/opendkim.conf")])
        .env("PATH", format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default()))
        .stdin(Stdio::null())
        .spawn()
        .expect("opendkim is installed (tests/run does that)");
    assert!(wait_for(|| TcpStream::connect(("127.0.0.1", port)).is_ok()), "opendkim did not start");
    OpenDkim(child)
}

#[test]
fn opendkim_proves_the_author_and_finds_both_signatures_good_in_the_copies() {
    let folder = tempfile::tempdir().unwrap();
    let mut dkimpy = Dkimpy::start();
    let author = Key::rsa(&mut dkimpy, 2048);
    let pem = OurKey::generate(false).unwrap();
    let ours = OurKey::from_pem("enlace", &pem).unwrap().record();
    std::fs::write(folder.path().join("key.pem"), pem).unwrap();
    let (port, next, milter) = (free_port(), free_port(), free_port());
    let records = [("s._domainkey.example.org", author.record()), ("enlace._domainkey.lists.example.org", ours)];
    let records: Vec<_> = records.iter().map(|(name, record)| (*name, record.as_str())).collect();
    let _milter = opendkim(folder.path(), milter, &records);
    let relay = format!("transport = \"smtp\"\nhost = \"127.0.0.1\"\nport = {port}");
    let more = format!("[dkim]\nselector = \"enlace\"\nkey_file = \"{}\"\n", folder.path().join("key.pem").display());
    let mut daemon = Daemon::prepare(&Setup { relay, more, ..Setup::default() });
    daemon.cli_ok(&["member", "add", "SG12RG-AMR", "ana@example.org", "ben@example.org"]);
    daemon.run();
    let sink = Sink::start(next, false, &[]);
    let extra = format!("smtpd_milters = inet:127.0.0.1:{milter}\nmilter_default_action = tempfail\n");
    let postfix = Postfix::start(Ports { smtp: port, lmtp: daemon.address("lmtp").port(), next }, &extra);
    let address = format!("127.0.0.1:{}", postfix.port()).parse().unwrap();

    let text = |id: &str| {
        format!(
            "From: Ana <ana@example.org>\r\nTo: {LIST}\r\nSubject: Hola\r\nDate: Tue, 06 Apr 2027 10:00:00 +0000\r\nMessage-ID: <{id}>\r\n\r\nText\r\n"
        )
    };
    // Unsigned, with a forged result on top: nobody believes it.
    let forged = format!("Authentication-Results: mx.example.org; dkim=pass header.d=example.org\r\n{}", text("od1@example.org"));
    assert_eq!(smtp(address, "ana@example.org", &[LIST], forged.as_bytes()).code, 250);
    let signed = dkimpy.sign(&author, "example.org", &text("od2@example.org"), json!({}));
    assert_eq!(smtp(address, "ana@example.org", &[LIST], signed.as_bytes()).code, 250);
    let copies = sink.wait_for(2, |text| text.contains("Message-ID: <od2@example.org>") && text.contains("List-Id:"));
    for copy in &copies {
        let results =
            copy.split("Authentication-Results: mx.example.org").nth(1).unwrap_or_else(|| panic!("OpenDKIM said nothing: {copy}"));
        let results = &results[..results.find("\nDKIM-Signature").or_else(|| results.find("\nReceived")).unwrap_or(results.len())];
        let passed = results.matches("dkim=pass").count();
        assert!(
            passed >= 2 && results.contains("header.d=lists.example.org") && results.contains("header.d=example.org"),
            "{results}\n{copy}"
        );
        assert!(!results.contains("dkim=fail"), "{results}");
    }
    assert!(
        sink.messages().iter().all(|text| !(text.contains("Message-ID: <od1@example.org>") && text.contains("List-Id:"))),
        "the forged one"
    );
}
