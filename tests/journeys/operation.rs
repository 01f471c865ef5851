//! What an operator does with a running daemon: reload, the service manager, logs, and `enlace check` with what is well and what is not.

use std::collections::HashSet;
use std::fs;
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use super::support::client::{Client, lmtp, proved};
use super::support::daemon::{Daemon, PATIENCE, Setup, wait_for};
use super::support::sink::Sink;
use crate::support::dns::{NameServer, Says};

const LIST: &str = "sg12rg-amr@lists.example.org";

/// The socket of a service manager (sd_notify(3)), and what came to it.
struct Manager {
    _folder: tempfile::TempDir,
    socket: UnixDatagram,
    path: String,
}

impl Manager {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { _folder: folder, socket, path: path.to_str().unwrap().to_owned() }
    }

    /// Reads until a message has this line, and returns it whole.
    fn wait_for(&self, line: &str) -> String {
        let mut buffer = [0; 4_096];
        loop {
            let length = self.socket.recv(&mut buffer).unwrap_or_else(|error| panic!("{line} did not come: {error}"));
            let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
            if text.lines().any(|said| said == line) {
                return text;
            }
        }
    }
}

fn page(daemon: &Daemon) -> String {
    use std::io::{Read as _, Write as _};
    let mut socket = std::net::TcpStream::connect(daemon.address("web")).unwrap();
    write!(socket, "GET / HTTP/1.1\r\nHost: 127.0.0.1:8025\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    answer
}

fn replaced(daemon: &Daemon, old: &str, new: &str) {
    let file = daemon.path("enlace.toml");
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains(old), "{old:?} is not in the configuration");
    fs::write(&file, text.replacen(old, new, 1)).unwrap();
}

#[test]
fn a_reload_takes_settings_and_templates_and_drops_no_connection() {
    let manager = Manager::new();
    let templates = tempfile::tempdir().unwrap();
    let mut daemon = Daemon::prepare(&Setup { more: "[limits]\nsessions = 100\n".into(), ..Setup::default() });
    daemon.set_environment("NOTIFY_SOCKET", &manager.path);
    let named = format!("[service]\nname = \"First name\"\nlog = \"info\"\ntemplates = \"{}\"", templates.path().display());
    replaced(&daemon, "[service]", &named);
    daemon.run();
    manager.wait_for("READY=1");
    assert!(page(&daemon).contains("First name"));

    // A session in the middle of its transaction, and one that has only greeted.
    let (mut held, mut greeted) = (Client::connect(daemon.address("lmtp"), "LHLO"), Client::connect(daemon.address("smtp"), "EHLO"));
    assert_eq!(held.command("MAIL FROM:<ana@example.org>").code, 250);
    replaced(&daemon, "name = \"First name\"\nlog = \"info\"", "name = \"Second name\"\nlog = \"debug\"");
    replaced(&daemon, "sessions = 100", "sessions = 101");
    fs::create_dir_all(templates.path().join("es/mail/help")).unwrap();
    fs::write(templates.path().join("es/mail/help/subject.txt"), "Words of our own\n").unwrap();
    daemon.signal(Signal::HUP);
    let reloading = manager.wait_for("RELOADING=1");
    assert!(reloading.contains("MONOTONIC_USEC="), "a service of Type=notify-reload needs the time: {reloading}");
    manager.wait_for("READY=1");
    assert!(page(&daemon).contains("Second name"));
    let log = daemon.log();
    assert!(log.contains("limits.sessions") && log.contains("wait for the next start"), "{log}");
    assert!(!log.contains("DEBUG"), "before the reload nothing was logged at this level");

    // Both go on where they were.
    assert_eq!(held.command("RCPT TO:<sg12rg-amr-request@lists.example.org>").code, 250);
    assert_eq!(held.command("DATA").code, 354);
    held.send(&proved("ana@example.org", "sg12rg-amr-request@lists.example.org", "help", "help@example.org", "help"));
    held.send(b".\r\n");
    assert_eq!(held.reply().code, 250);
    assert_eq!(greeted.command("NOOP").code, 250);
    wait_for("the answer in words of our own", || {
        daemon.outbox().iter().any(|copy| String::from_utf8_lossy(copy).contains("Subject: Words of our own")).then_some(())
    });
    wait_for("a line of the new level", || daemon.log().contains("DEBUG").then_some(()));

    // What is wrong is named, with its place, and what was there goes on.
    replaced(&daemon, "name = \"Second name\"", "nam = \"Third name\"");
    daemon.signal(Signal::HUP);
    manager.wait_for("RELOADING=1");
    manager.wait_for("READY=1");
    let log = daemon.log();
    assert!(log.contains("The configuration stays as it was") && log.contains("enlace.toml, line 3") && log.contains("name"), "{log}");
    assert!(page(&daemon).contains("Second name"));
    replaced(&daemon, "nam = \"Third name\"", "name = \"Fourth name\"");
    fs::write(templates.path().join("es/mail/help/subject.txt"), "{{ nothing").unwrap();
    daemon.signal(Signal::HUP);
    manager.wait_for("READY=1");
    assert!(daemon.log().contains("help/subject.txt"), "{}", daemon.log());
    assert!(page(&daemon).contains("Second name"), "all of it or nothing");
    assert_eq!(greeted.command("NOOP").code, 250);
}

#[test]
fn the_service_manager_hears_of_start_life_and_end() {
    let manager = Manager::new();
    let mut daemon = Daemon::prepare(&Setup::default());
    daemon.set_environment("NOTIFY_SOCKET", &manager.path);
    daemon.set_environment("WATCHDOG_USEC", "600000");
    daemon.run();
    manager.wait_for("READY=1");
    let began = Instant::now();
    for _ in 0..3 {
        manager.wait_for("WATCHDOG=1");
    }
    assert!(began.elapsed() < Duration::from_millis(1_800), "a sign of life within each 600 ms: {:?} for three", began.elapsed());
    assert_eq!(daemon.stop(), Some(0));
    manager.wait_for("STOPPING=1");
}

#[test]
fn one_trace_leads_from_the_session_to_the_answer_of_the_relay() {
    let sink = Sink::start(Duration::ZERO);
    let mut daemon = Daemon::prepare(&Setup { relay: sink.relay(2), ..Setup::default() });
    daemon.set_environment("ENLACE_LOG_FORMAT", "json");
    daemon.cli_ok(&["member", "add", "SG12RG-AMR", "ana@example.org", "caro@example.org"]);
    daemon.run_with_log("info,enlace=debug");
    let message = proved("ana@example.org", LIST, "Hola", "traced@example.org", "text");
    assert_eq!(lmtp(daemon.address("lmtp"), "ana@example.org", &[LIST], &message)[0].code, 250);
    wait_for("both copies", || {
        let copies = sink.taken().iter().filter(|taken| taken.message_id.contains("traced@example.org")).count();
        (copies == 2).then_some(())
    });
    let events = || -> Vec<Value> {
        // The last line may be half written.
        let log = daemon.log();
        let whole = log.rsplit_once('\n').map_or("", |(whole, _)| whole);
        whole.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line}"))).collect()
    };
    let said = |event: &Value, text: &str| event["fields"]["message"] == text;
    let trace = {
        let events = events();
        let kept: Vec<_> = events.iter().filter(|event| said(event, "Kept")).collect();
        assert_eq!(kept.len(), 1);
        // The event stands in the session, whose span names the same trace.
        let trace = kept[0]["fields"]["trace"].as_str().unwrap().to_owned();
        assert_eq!(kept[0]["span"]["trace"], trace.as_str());
        trace
    };
    let answers = wait_for("the answers of the relay", || {
        let events = events();
        let answers: Vec<_> = events.into_iter().filter(|event| said(event, "The relay answered")).collect();
        (answers.len() >= 2).then_some(answers)
    });
    let of_trace: HashSet<String> = events()
        .iter()
        .filter(|event| event["fields"]["trace"] == trace.as_str())
        .filter_map(|event| event["fields"]["message"].as_str().map(|text| text.split(' ').next().unwrap().to_owned()))
        .collect();
    for part in ["Kept", "Planned", "Handed", "The"] {
        assert!(of_trace.contains(part), "{part} is missing in {of_trace:?}");
    }
    assert!(answers.iter().all(|event| event["fields"]["trace"] == trace.as_str() && event["fields"]["answer"].is_string()));
}

#[test]
fn check_tells_good_from_bad_in_the_dns_the_certificate_and_the_relay() {
    let zone = NameServer::start();
    let domain = "lists.example.org";
    let sink = Sink::start(Duration::ZERO);
    let setup = Setup { relay: sink.relay(1), more: format!("nameserver = \"{}\"", zone.address), ..Setup::default() };
    let mut daemon = Daemon::prepare(&setup);
    let found = |daemon: &Daemon, check: &str| -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        daemon.json_of_check(check).iter().map(|finding| (text(&finding["state"]), text(&finding["text"]))).collect()
    };
    let state = |daemon: &Daemon, check: &str, about: &str| -> String {
        let all = found(daemon, check);
        all.iter().find(|(_, text)| text.contains(about)).unwrap_or_else(|| panic!("nothing of {about} in {all:?}")).0.clone()
    };

    // Nothing is published.
    zone.put(domain, Says::Txt(Vec::new()));
    assert_eq!(state(&daemon, "dns", "no MX record"), "warning");
    assert_eq!(state(&daemon, "dns", "no SPF record"), "warning");
    assert_eq!(state(&daemon, "dns", "no policy"), "warning");
    // Wrongly.
    zone.put(domain, Says::Mail(vec!["mx.example.org".into()], vec!["v=spf1 mx -all".into(), "v=spf1 -all".into()]));
    assert_eq!(state(&daemon, "dns", "2 SPF records"), "error");
    // Rightly.
    zone.put(domain, Says::Mail(vec!["mx.example.org".into()], vec!["v=spf1 mx -all".into()]));
    zone.txt("_dmarc.lists.example.org", "v=DMARC1; p=none");
    assert_eq!(state(&daemon, "dns", "goes to mx.example.org"), "ok");
    assert_eq!(state(&daemon, "dns", "has an SPF record"), "ok");
    assert_eq!(state(&daemon, "dns", "has a policy"), "ok");
    // The name server is away.
    zone.put(domain, Says::Fail);
    assert_eq!(state(&daemon, "dns", "could not be looked up"), "warning");

    // The signing key: not published, another one, the right one.
    assert_eq!(found(&daemon, "dkim")[0].0, "warning", "no key at all");
    let key = daemon.path("dkim.pem");
    daemon.cli_ok(&["dkim", "generate", key.to_str().unwrap()]);
    fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let mut text = fs::read_to_string(daemon.path("enlace.toml")).unwrap();
    text.push_str(&format!("\n[dkim]\nselector = \"s1\"\nkey_file = \"{}\"\n", key.display()));
    fs::write(daemon.path("enlace.toml"), text).unwrap();
    let name = "s1._domainkey.lists.example.org";
    zone.put(name, Says::Txt(Vec::new()));
    assert_eq!(state(&daemon, "dkim", "is not published"), "warning");
    zone.txt(name, "v=DKIM1; k=rsa; p=AAAA");
    assert_eq!(state(&daemon, "dkim", "publishes another key"), "error");
    let publish = daemon.json_of_check("dkim")[0]["remedy"].as_str().unwrap().to_owned();
    zone.txt(name, publish.split_once(": ").unwrap().1);
    assert_eq!(state(&daemon, "dkim", "is published"), "ok");

    // The relay, the disk and the clock.
    assert_eq!(found(&daemon, "relay")[0].0, "ok");
    assert_eq!(found(&daemon, "disk")[0].0, "ok");
    assert_eq!(found(&daemon, "clock")[0].0, "ok");
    let port = sink.address.port();
    drop(sink);
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    replaced(&daemon, &format!("port = {port}"), &format!("port = {nobody}"));
    assert_eq!(found(&daemon, "relay")[0].0, "error");
    replaced(&daemon, "[dkim]", "[limits]\nfree_disk = \"900000 GiB\"\n[dkim]");
    assert_eq!(found(&daemon, "disk")[0].0, "error");
    assert_eq!(found(&daemon, "store")[0].0, "error", "with too little room no mail is taken");
    replaced(&daemon, "free_disk = \"900000 GiB\"", "");
    daemon.run_with(&["--clock", "2027-01-15T08:00:00Z"]);
    assert_eq!(found(&daemon, "clock")[0].0, "warning");
}

#[test]
fn check_looks_at_the_end_of_certificates() {
    let daemon = Daemon::prepare(&Setup::default());
    let write = |days: i64| {
        let mut parameters = rcgen::CertificateParams::new(vec!["mx.example.org".to_owned()]).unwrap();
        let end = chrono::Utc::now() + chrono::TimeDelta::days(days);
        let day = |text: &str| end.format(text).to_string().parse::<u8>().unwrap();
        parameters.not_before = rcgen::date_time_ymd(2020, 1, 1);
        parameters.not_after = rcgen::date_time_ymd(end.format("%Y").to_string().parse().unwrap(), day("%m"), day("%d"));
        let pair = rcgen::KeyPair::generate().unwrap();
        fs::write(daemon.path("c.pem"), parameters.self_signed(&pair).unwrap().pem()).unwrap();
        fs::write(daemon.path("k.pem"), pair.serialize_pem()).unwrap();
    };
    let tls = format!(
        "[[listen]]\nprotocol = \"smtp\"\ntls = {{ certificate = \"{}\", key = \"{}\" }}",
        daemon.path("c.pem").display(),
        daemon.path("k.pem").display()
    );
    replaced(&daemon, "[[listen]]\nprotocol = \"smtp\"", &tls);
    for (days, state) in [(90, "ok"), (5, "warning"), (-2, "error")] {
        write(days);
        let found = daemon.json_of_check("tls");
        let end = found.iter().find(|finding| finding["text"].as_str().unwrap().contains("ends on")).unwrap();
        assert_eq!(end["state"], state, "{days} days: {end}");
    }
    fs::remove_file(daemon.path("k.pem")).unwrap();
    assert!(
        daemon
            .json_of_check("tls")
            .iter()
            .any(|finding| finding["state"] == "error" && finding["text"].as_str().unwrap().contains("k.pem"))
    );
}
