//! A real OpenLDAP: people come, change and go; a directory that is away or half empty harms nobody.

use std::fmt::Write as _;
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

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
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().display();
        fs::create_dir(folder.path().join("data")).unwrap();
        let config = format!(
            "include /etc/ldap/schema/core.schema\ninclude /etc/ldap/schema/cosine.schema\ninclude /etc/ldap/schema/inetorgperson.schema\n\
            modulepath /usr/lib/ldap\nmoduleload back_mdb\npidfile {at}/slapd.pid\nsizelimit unlimited\ndatabase mdb\nsuffix \"{BASE}\"\n\
            rootdn \"cn=enlace,{BASE}\"\nrootpw secret\ndirectory {at}/data\nmaxsize 1073741824\nindex objectClass,uid eq\nindex modifyTimestamp eq\nlastmod on\n"
        );
        fs::write(folder.path().join("slapd.conf"), config).unwrap();
        let mut ldif = format!("dn: {BASE}\nobjectClass: dcObject\nobjectClass: organization\ndc: example\no: Example\n\n");
        (0..people).for_each(|number| ldif.push_str(&person(number, "Administration")));
        ldif.push_str(&format!("dn: uid=nomail,{BASE}\nobjectClass: inetOrgPerson\nuid: nomail\ncn: No Mail\nsn: x\n\n"));
        fs::write(folder.path().join("people.ldif"), ldif).unwrap();
        let added = Command::new("/usr/sbin/slapadd")
            .args(["-q", "-f", "slapd.conf", "-l", "people.ldif"])
            .current_dir(folder.path())
            .output()
            .expect("slapadd");
        assert!(added.status.success(), "{}", String::from_utf8_lossy(&added.stderr));
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut slapd = Self { folder, port, process: None };
        slapd.run();
        slapd
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

    slapd.stop();
    let (status, _, errors) = sync(&[]);
    assert!(status == Some(1) && errors.contains("cannot be reached"), "{errors}");
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

/// `ENLACE_LDAP_ENTRIES=45000` measures: the first reading, then 1 % changed.
#[test]
fn a_large_directory_is_followed_quickly() {
    let Some(people) = std::env::var("ENLACE_LDAP_ENTRIES").ok().and_then(|number| number.parse::<usize>().ok()) else { return };
    let slapd = Slapd::start(people);
    let daemon = Daemon::start(&slapd.settings());
    let timed = || {
        let begun = Instant::now();
        let report = daemon.json(&["directory", "sync"]);
        (report, begun.elapsed())
    };
    let (first, took) = timed();
    eprintln!("{people} people: {} added in {took:?}", first["added"]);
    let changes: String = (0..people).step_by(100).fold(String::new(), |mut text, number| {
        let _ = write!(text, "dn: uid=p{number},{BASE}\nchangetype: modify\nreplace: o\no: Ministry {number}\n\n");
        text
    });
    // The stamp has seconds: what came within the last one is looked at again.
    std::thread::sleep(std::time::Duration::from_secs(2));
    slapd.change(&changes);
    let (second, took) = timed();
    eprintln!("{} changed of {} looked at in {took:?}", second["changed"], second["looked_at"]);
    assert_eq!(second["changed"].as_u64(), Some(people.div_ceil(100) as u64));
}
