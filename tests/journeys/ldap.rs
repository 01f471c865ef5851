//! A real OpenLDAP: people come, change and go; a directory that is away or half empty harms nobody.

use std::fmt::Write as _;
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use super::crash::metrics::metrics;
use super::support::client::{lmtp, proved};
use super::support::daemon::{Daemon, Setup, wait_for};

const BASE: &str = "dc=example,dc=org";

/// A slapd of the test's own, stopped when it is dropped.
struct Slapd {
    folder: tempfile::TempDir,
    port: u16,
    process: Option<Child>,
}

impl Drop for Slapd {
    fn drop(&mut self) {
        self.stop();
    }
}

fn person(number: usize, organisation: &str) -> String {
    format!(
        "dn: uid=p{number},{BASE}\nobjectClass: inetOrgPerson\nuid: p{number}\ncn: Person {number}\nsn: {number}\nmail: p{number}@example.org\no: {organisation}\n\
        employeeType: Delegate\nst: MX\nbusinessCategory: member-state\npreferredLanguage: es\n\n"
    )
}

impl Slapd {
    fn start(people: usize) -> Self {
        Self::start_with(people, false)
    }

    /// With the overlay that offers content synchronization (RFC 4533), or without.
    fn start_with(people: usize, content_sync: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().display();
        let overlay = if content_sync { "overlay syncprov\nsyncprov-sessionlog 10000\n" } else { "" };
        let config = format!(
            "include /etc/ldap/schema/core.schema\ninclude /etc/ldap/schema/cosine.schema\ninclude /etc/ldap/schema/inetorgperson.schema\n\
            modulepath /usr/lib/ldap\nmoduleload back_mdb\nmoduleload syncprov\npidfile {at}/slapd.pid\nsizelimit unlimited\ndatabase mdb\n\
            suffix \"{BASE}\"\nrootdn \"cn=enlace,{BASE}\"\nrootpw secret\ndirectory {at}/data\nmaxsize 1073741824\n\
            index objectClass,uid eq\nindex modifyTimestamp eq\nindex entryCSN,entryUUID eq\nlastmod on\n{overlay}"
        );
        fs::write(folder.path().join("slapd.conf"), config).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut slapd = Self { folder, port, process: None };
        slapd.fill(people);
        slapd.run();
        slapd
    }

    /// Throws what the server has away and fills it anew; while it is stopped.
    fn fill(&self, people: usize) {
        let data = self.folder.path().join("data");
        let _ = fs::remove_dir_all(&data);
        fs::create_dir(&data).unwrap();
        let mut ldif = format!("dn: {BASE}\nobjectClass: dcObject\nobjectClass: organization\ndc: example\no: Example\n\n");
        (0..people).for_each(|number| ldif.push_str(&person(number, "Administration")));
        ldif.push_str(&format!("dn: uid=nomail,{BASE}\nobjectClass: inetOrgPerson\nuid: nomail\ncn: No Mail\nsn: x\n\n"));
        fs::write(self.folder.path().join("people.ldif"), ldif).unwrap();
        let added = Command::new("/usr/sbin/slapadd")
            .args(["-q", "-w", "-f", "slapd.conf", "-l", "people.ldif"])
            .current_dir(self.folder.path())
            .output()
            .expect("slapadd");
        assert!(added.status.success(), "{}", String::from_utf8_lossy(&added.stderr));
        if people <= 1_000 {
            let copy = self.folder.path().join("backup");
            let _ = fs::create_dir(&copy);
            for file in fs::read_dir(&data).unwrap() {
                let file = file.unwrap();
                fs::copy(file.path(), copy.join(file.file_name())).unwrap();
            }
        }
    }

    /// Puts back what was there when it was filled; while it is stopped.
    fn restore(&self) {
        let (data, copy) = (self.folder.path().join("data"), self.folder.path().join("backup"));
        for file in fs::read_dir(copy).unwrap() {
            let file = file.unwrap();
            fs::copy(file.path(), data.join(file.file_name())).unwrap();
        }
    }

    /// Replaces words of its configuration; for the next start.
    fn change_config(&self, words: &str, by: &str) {
        let file = self.folder.path().join("slapd.conf");
        let config = fs::read_to_string(&file).unwrap();
        assert!(config.contains(words), "{config}");
        fs::write(&file, config.replace(words, by)).unwrap();
    }

    fn run(&mut self) {
        let process = Command::new("/usr/sbin/slapd")
            .args(["-f", "slapd.conf", "-d", "0", "-h", &format!("ldap://127.0.0.1:{}", self.port)])
            .current_dir(self.folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("slapd");
        self.process = Some(process);
        wait_for("slapd", || std::net::TcpStream::connect(("127.0.0.1", self.port)).ok());
    }

    fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    fn change(&self, ldif: &str) {
        let file = self.folder.path().join("change.ldif");
        fs::write(&file, ldif).unwrap();
        let url = format!("ldap://127.0.0.1:{}", self.port);
        let changed = Command::new("ldapmodify")
            .args(["-x", "-H", &url, "-D", &format!("cn=enlace,{BASE}"), "-w", "secret", "-f"])
            .arg(&file)
            .output()
            .expect("ldapmodify");
        assert!(changed.status.success(), "{}", String::from_utf8_lossy(&changed.stderr));
    }

    fn settings(&self) -> Setup {
        let more = format!(
            "[directory.ldap]\nurl = \"ldap://127.0.0.1:{}\"\nbind_dn = \"cn=enlace,{BASE}\"\npassword = \"secret\"\nbase = \"{BASE}\"\n\
            filter = \"(objectClass=inetOrgPerson)\"\n\
            attributes = {{ organisation = \"o\", kind = \"employeeType\", country = \"st\", category = \"businessCategory\", languages = \"preferredLanguage\" }}\n\
            values = {{ kind = {{ Delegate = \"ties\" }} }}\n",
            self.port
        );
        Setup { more, ..Setup::default() }
    }
}

#[test]
fn a_wrong_password_is_said_as_such_and_a_public_directory_needs_none() {
    assert!(installed(), "install slapd and ldap-utils, or run tests/run");
    let slapd = Slapd::start(3);
    let with = |from: &str, to: &str| {
        let setup = slapd.settings();
        assert!(setup.more.contains(from));
        let daemon = Daemon::start(&Setup { more: setup.more.replace(from, to), ..setup });
        let output = daemon.cli(&["directory", "sync"]);
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr))
    };
    let (status, said) = with("password = \"secret\"", "password = \"wrong\"");
    assert!(status == Some(1) && said.contains("mend directory.ldap.bind_dn or its password") && !said.contains("the disk"), "{said}");
    let (status, said) = with(&format!("bind_dn = \"cn=enlace,{BASE}\"\npassword = \"secret\"\n"), "");
    assert!(status == Some(0) && said.contains("3 added"), "{said}");
}

fn installed() -> bool {
    Path::new("/usr/sbin/slapd").exists()
}

#[test]
fn people_come_change_and_go_and_a_missing_directory_harms_nobody() {
    assert!(installed(), "install slapd and ldap-utils, or run tests/run");
    let mut slapd = Slapd::start(300);
    let daemon = Daemon::start(&slapd.settings());
    let sync = |arguments: &[&str]| {
        let words: Vec<&str> = ["--json", "directory", "sync"].iter().chain(arguments).copied().collect();
        let output = daemon.cli(&words);
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        (output.status.code(), report, String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let counts = |report: &serde_json::Value| ["added", "changed", "removed"].map(|key| report[key].as_u64().unwrap_or(999));
    let (_, rehearsal, _) = sync(&["--dry-run"]);
    assert_eq!(counts(&rehearsal), [300, 0, 0], "{rehearsal}");
    let (status, first, errors) = sync(&[]);
    assert_eq!((status, counts(&first), first["without_address"].as_u64()), (Some(0), [300, 0, 0], Some(1)), "{errors}");
    let account = daemon.json(&["account", "show", "p7@example.org"]);
    let account = account.to_string();
    for part in ["\"ties\"", "member-state", "Administration", "MX", "ldap"] {
        assert!(account.contains(part), "{part}: {account}");
    }
    daemon.cli_ok(&["member", "add", "SG12RG-AMR", "p1@example.org", "p2@example.org", "p3@example.org"]);
    daemon.cli_ok(&["member", "remove", "SG12RG-AMR", "p3@example.org"]);

    let mut changes = String::new();
    for number in 10..13 {
        let _ = write!(changes, "dn: uid=p{number},{BASE}\nchangetype: modify\nreplace: o\no: Ministry {number}\n\n");
    }
    let _ = write!(changes, "dn: uid=p2,{BASE}\nchangetype: delete\n\n");
    slapd.change(&changes);
    let (status, second, errors) = sync(&[]);
    assert_eq!((status, counts(&second), second["incremental"].as_bool()), (Some(0), [0, 3, 1], Some(true)), "{errors}");
    let state = |address: &str| {
        let members = daemon.json(&["member", "list", "SG12RG-AMR"]);
        let rows = members.as_array().unwrap().clone();
        rows.iter().find(|row| row["address"] == address).map(|row| row["state"].as_str().unwrap().to_owned())
    };
    assert_eq!((state("p1@example.org").as_deref(), state("p3@example.org").as_deref()), (Some("active"), Some("unsubscribed")));

    // She comes back with her subscription; who left stays away.
    slapd.change(&format!("dn: uid=p2,{BASE}\nchangetype: add\n{}", person(2, "Administration").split_once('\n').unwrap().1));
    let (status, third, errors) = sync(&[]);
    assert_eq!((status, counts(&third)), (Some(0), [1, 0, 0]), "{errors}");
    assert_eq!(state("p2@example.org").as_deref(), Some("active"));

    let check = || {
        let found: serde_json::Value = serde_json::from_slice(&daemon.cli(&["--json", "check"]).stdout).unwrap();
        let found = found.as_array().unwrap().iter().find(|one| one["check"] == "directory").cloned().unwrap();
        ["state", "text", "remedy"].map(|key| found[key].as_str().unwrap().to_owned())
    };
    let [state_of, text, _] = check();
    assert!(state_of == "ok" && text.contains("such as uid="), "{text}");
    slapd.stop();
    let (status, _, errors) = sync(&[]);
    assert!(status == Some(1) && errors.contains("cannot be reached") && !errors.contains("disk"), "{errors}");
    let [state_of, text, remedy] = check();
    assert!(state_of == "error" && text.contains("cannot be reached") && remedy.contains("directory.ldap.url"), "{text}; {remedy}");
    assert_eq!(state("p1@example.org").as_deref(), Some("active"));
    slapd.run();

    let gone: String = (100..280).fold(String::new(), |text, number| text + &format!("dn: uid=p{number},{BASE}\nchangetype: delete\n\n"));
    slapd.change(&gone);
    let (status, _, errors) = sync(&[]);
    assert!(status == Some(1) && errors.contains("180 of 300") && errors.contains("--force"), "{errors}");
    assert!(daemon.cli(&["account", "show", "p150@example.org"]).status.success(), "nobody was removed");
    let (status, forced, _) = sync(&["--force"]);
    assert_eq!((status, counts(&forced)), (Some(0), [0, 0, 180]));
}

/// Who has another address keeps account, subscription and role, by whatever means the server tells of it.
fn another_address(content_sync: bool) {
    assert!(installed(), "install slapd and ldap-utils, or run tests/run");
    let slapd = Slapd::start_with(30, content_sync);
    let daemon = Daemon::start(&slapd.settings());
    let sync = |arguments: &[&str]| {
        let words: Vec<&str> = ["--json", "directory", "sync"].iter().chain(arguments).copied().collect();
        let output = daemon.cli(&words);
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        (["added", "changed", "removed"].map(|key| report[key].as_u64().unwrap_or(999)), report)
    };
    assert_eq!(sync(&[]).0, [30, 0, 0]);
    daemon.cli_ok(&["member", "add", "SG12RG-AMR", "p1@example.org", "--role", "manager", "--delivery", "digest"]);
    slapd.change(&format!("dn: uid=p1,{BASE}\nchangetype: modify\nreplace: mail\nmail: new0@example.org\n\n"));
    let (rehearsed, _) = sync(&["--dry-run"]);
    let (counts, report) = sync(&[]);
    assert_eq!((rehearsed, counts), ([0, 1, 0], [0, 1, 0]), "{report}");
    assert_eq!(report["content_sync"].as_bool(), Some(content_sync));
    let members = daemon.json(&["member", "list", "SG12RG-AMR"]);
    let shown: Vec<_> = members
        .as_array()
        .unwrap()
        .iter()
        .map(|row| ["address", "role", "state", "delivery"].map(|key| row[key].as_str().unwrap().to_owned()))
        .collect();
    assert_eq!(shown, [["new0@example.org", "manager", "active", "digest"].map(str::to_owned)]);
    assert!(!daemon.cli(&["account", "show", "p1@example.org"]).status.success(), "the old address is nobody's now");
}

#[test]
fn another_address_told_by_timestamps_is_the_same_person() {
    another_address(false);
}

#[test]
fn another_address_told_by_content_synchronization_is_the_same_person() {
    another_address(true);
}

/// `ENLACE_LDAP_ENTRIES=45000` measures: the first reading, then 1 % changed with a post meanwhile, then 60 % gone.
fn large(with_content_sync: bool) {
    let Some(people) = std::env::var("ENLACE_LDAP_ENTRIES").ok().and_then(|number| number.parse::<usize>().ok()) else { return };
    let means = if with_content_sync { "RFC 4533" } else { "timestamps" };
    let mut slapd = Slapd::start_with(people, with_content_sync);
    let mut daemon = Daemon::start(&slapd.settings());
    let timed = |daemon: &Daemon, arguments: &[&str]| {
        let begun = Instant::now();
        let words: Vec<&str> = ["--json", "directory", "sync"].iter().chain(arguments).copied().collect();
        let output = daemon.cli(&words);
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        (report, begun.elapsed(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (first, took, errors) = timed(&daemon, &[]);
    assert_eq!(first["added"].as_u64(), Some(people as u64), "{errors}");
    eprintln!("{means}: {people} people added in {took:?}");
    // The stamp has seconds, and slapadd wrote thousands in one of them: a change of its own moves it on.
    std::thread::sleep(std::time::Duration::from_secs(2));
    slapd.change(&format!("dn: uid=p1,{BASE}\nchangetype: modify\nreplace: o\no: Elsewhere\n\n"));
    let (moved, took, errors) = timed(&daemon, &[]);
    assert_eq!(moved["changed"].as_u64(), Some(1), "{errors}");
    eprintln!("{means}: 1 changed of {} looked at in {took:?}", moved["looked_at"]);
    std::thread::sleep(std::time::Duration::from_secs(2));
    slapd.change(&(0..people).step_by(100).fold(String::new(), |mut text, number| {
        let _ = write!(text, "dn: uid=p{number},{BASE}\nchangetype: modify\nreplace: o\no: Ministry {number}\n\n");
        text
    }));
    daemon.cli_ok(&["member", "add", "SG12RG-AMR", "ana@example.org", "p1@example.org"]);
    let lmtp_address = daemon.address("lmtp");
    let (posts, sync) = std::thread::scope(|scope| {
        let sync = scope.spawn(|| timed(&daemon, &[]));
        let mut slowest = std::time::Duration::ZERO;
        let mut posts = 0;
        while !sync.is_finished() || posts < 5 {
            let list = "sg12rg-amr@lists.example.org";
            let message = proved("ana@example.org", list, "Meanwhile", &format!("meanwhile{posts}@example.org"), "Hello");
            let begun = Instant::now();
            let answers = lmtp(lmtp_address, "ana@example.org", &[list], &message);
            slowest = slowest.max(begun.elapsed());
            assert_eq!(answers[0].code, 250, "{answers:?}");
            posts += 1;
        }
        ((posts, slowest), sync.join().unwrap())
    });
    let (report, took, errors) = sync;
    assert_eq!(report["content_sync"].as_bool(), Some(with_content_sync), "{report} {errors}");
    eprintln!(
        "{means}: {} changed of {} looked at in {took:?}; {} posts meanwhile, the slowest accepted in {:?}",
        report["changed"], report["looked_at"], posts.0, posts.1
    );
    assert!(posts.1.as_secs() < 2, "a post waited for the directory: {:?}", posts.1);
    assert_eq!(report["changed"].as_u64(), Some(people.div_ceil(100) as u64), "{report}");

    let gone: String =
        (0..people * 6 / 10).fold(String::new(), |text, number| text + &format!("dn: uid=p{number},{BASE}\nchangetype: delete\n\n"));
    slapd.change(&gone);
    let (_, took, errors) = timed(&daemon, &[]);
    assert!(errors.contains("so nothing was changed") && errors.contains("--force"), "{errors}");
    eprintln!("{means}: 60 % gone: halted in {took:?}: {}", errors.trim());
    assert!(daemon.cli(&["account", "show", "p1@example.org"]).status.success(), "nobody was removed");
    // The job of the schedule meets the same brake and raises the alert.
    assert_eq!(daemon.stop(), Some(0));
    let config = daemon.path("enlace.toml");
    let with_schedule = fs::read_to_string(&config).unwrap() + "[schedule]\ndirectory_sync = \"* * * * * *\"\n";
    fs::write(&config, with_schedule).unwrap();
    daemon.run();
    wait_for("the alert", || metrics(&daemon).contains("enlace_directory_halted 1").then_some(()));
    wait_for("the log to say it", || daemon.log().contains("The directory was not taken over").then_some(()));
    slapd.stop();
}

#[test]
fn a_large_directory_is_followed_quickly_by_timestamps() {
    large(false);
}

#[test]
fn a_large_directory_is_followed_quickly_by_content_synchronization() {
    large(true);
}

#[test]
fn content_synchronization_tells_what_changed_and_who_is_gone_and_a_lost_cookie_begins_anew() {
    assert!(installed(), "install slapd and ldap-utils, or run tests/run");
    let mut slapd = Slapd::start_with(200, true);
    let daemon = Daemon::start(&slapd.settings());
    let sync = |arguments: &[&str]| {
        let words: Vec<&str> = ["--json", "directory", "sync"].iter().chain(arguments).copied().collect();
        let output = daemon.cli(&words);
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        (report, String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let counts =
        |report: &serde_json::Value| ["added", "changed", "removed", "looked_at", "present"].map(|key| report[key].as_u64().unwrap_or(999));
    let (first, errors) = sync(&[]);
    assert_eq!((counts(&first), first["content_sync"].as_bool()), ([200, 0, 0, 200, 200], Some(true)), "{errors} {first}");
    let (quiet, _) = sync(&[]);
    assert_eq!((counts(&quiet), quiet["incremental"].as_bool()), ([0, 0, 0, 0, 200], Some(true)), "nothing new, nothing read");

    let mut changes =
        format!("dn: uid=p5,{BASE}\nchangetype: modify\nreplace: o\no: Ministry\n\ndn: uid=p6,{BASE}\nchangetype: delete\n\n");
    let _ = write!(changes, "dn: uid=p7,{BASE}\nchangetype: modify\nreplace: mail\nmail: seven@example.org\n\n");
    let _ = write!(changes, "dn: uid=p900,{BASE}\nchangetype: add\n{}", person(900, "New").split_once('\n').unwrap().1);
    slapd.change(&changes);
    let (rehearsal, _) = sync(&["--dry-run"]);
    let (second, errors) = sync(&[]);
    // p7 has another address and stays who she is.
    assert_eq!(counts(&rehearsal), counts(&second), "a rehearsal says what is done");
    assert_eq!(counts(&second), [1, 2, 1, 3, 200], "{errors} {second}");
    assert!(!daemon.cli(&["account", "show", "p6@example.org"]).status.success(), "p6 is gone");

    // A server that forgot its log tells by the present phase.
    slapd.stop();
    slapd.change_config("syncprov-sessionlog 10000", "");
    slapd.run();
    slapd.change(&format!("dn: uid=p8,{BASE}\nchangetype: delete\n\ndn: uid=p9,{BASE}\nchangetype: modify\nreplace: o\no: Other\n\n"));
    let (third, errors) = sync(&[]);
    assert_eq!((counts(&third), third["incremental"].as_bool()), ([0, 1, 1, 1, 199], Some(true)), "{errors} {third}");

    // A server that was restored from an old backup knows nothing of the cookie's time: everything is read.
    slapd.stop();
    slapd.restore();
    slapd.run();
    let (restored, errors) = sync(&[]);
    let back = [restored["incremental"].as_bool(), restored["content_sync"].as_bool()];
    assert_eq!((counts(&restored), back), ([2, 3, 1, 200, 200], [Some(false), Some(true)]), "{errors} {restored}");

    // One that was set up anew has other entries: the same brake stands before the removals.
    slapd.stop();
    slapd.fill(100);
    slapd.run();
    let (_, errors) = sync(&[]);
    assert!(errors.contains("of 200 accounts") && errors.contains("--force"), "{errors}");
    assert!(daemon.cli(&["account", "show", "p150@example.org"]).status.success(), "nobody was removed");
    let (forced, errors) = sync(&["--force"]);
    assert_eq!((forced["present"].as_u64(), forced["removed"].as_u64()), (Some(100), Some(100)), "{errors} {forced}");
    let (after, _) = sync(&[]);
    assert_eq!((counts(&after)[..3].to_vec(), after["incremental"].as_bool()), (vec![0, 0, 0], Some(true)), "{after}");

    // Without the overlay the server does not offer it: timestamps do.
    slapd.stop();
    slapd.change_config("overlay syncprov", "");
    slapd.run();
    let (fallback, errors) = sync(&[]);
    assert_eq!((counts(&fallback)[..3].to_vec(), fallback["content_sync"].as_bool()), (vec![0, 0, 0], Some(false)), "{errors} {fallback}");
}
