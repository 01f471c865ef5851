//! Lists that the other systems themselves made come over: mlmmj, Mailman 3 and Sympa from the system's packages.
//!
//! mlmmj is small and always tried. With `ENLACE_TEST_LONG` all three have ten thousand members, and Mailman 3 and Sympa have to be
//! installed: `tests/peers` does that and runs these tests.

use std::collections::HashMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use super::support::client::{lmtp, proved};
use super::support::daemon::{Daemon, Setup, wait_for};
use super::support::sink::Sink;

const GROUP: &str = "SG12RG-AMR";
const LANGUAGES: [&str; 6] = ["en", "fr", "es", "ar", "zh", "ru"];

fn long() -> bool {
    std::env::var_os("ENLACE_TEST_LONG").is_some()
}

fn members() -> usize {
    if long() { 10_000 } else { 200 }
}

/// Is this test to be passed over? Said aloud, and never with `ENLACE_TEST_LONG`.
fn passed_over(program: &str, package: &str) -> bool {
    if !long() {
        println!("ENLACE_TEST_LONG is not set; a list of a real {package} was not made (tests/peers does it)");
        return true;
    }
    assert!(Path::new(program).exists(), "{program} is missing: run tests/peers, which installs {package}");
    false
}

/// Member number `n` as one that each system can hold.
fn person(n: usize) -> Value {
    let mode = ["each", "digest", "plain", "none", "each"][n % 5];
    let reception = match mode {
        "plain" => "digestplain",
        "none" => "nomail",
        "each" if n % 11 == 0 => "not_me",
        "each" if n % 4 == 0 => "urlize",
        "each" => "mail",
        mode => mode,
    };
    json!({
        "address": format!("m{n}@x.test"), "name": if n % 19 == 0 { format!("Ñandú {n} Образец") } else { format!("Person {n}") },
        "language": LANGUAGES[n % 6], "mode": mode, "reception": reception, "bouncing": n % 13 == 0, "moderated": n % 7 == 0,
        "own_posts": n % 11 != 0, "suspended": n % 20 == 5,
    })
}

fn run(command: &mut Command, input: &str) -> String {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
    child.stdin.take().unwrap().write_all(input.as_bytes()).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{command:?}: {}\n{}{}", output.status, text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

/// A command as an unprivileged user of the peer, if this is root.
fn as_user(user: &str, program: &str) -> Command {
    if rustix::process::getuid().is_root() {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", user, "--regid", user, "--clear-groups", program]);
        command
    } else {
        Command::new(program)
    }
}

/// A folder that the user may use.
fn folder_of(daemon: &Daemon, name: &str, user: &str) -> PathBuf {
    let folder = daemon.path(name);
    fs::create_dir_all(&folder).unwrap();
    fs::set_permissions(daemon.dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    if rustix::process::getuid().is_root() {
        run(Command::new("chown").arg("-R").arg(user).arg(&folder), "");
    }
    folder
}

/// Rehearses and migrates; the report, after comparing both.
fn migrated(daemon: &Daemon, arguments: &[&str]) -> Value {
    let both = |more: &[&str]| -> Value {
        let all = [&["--json", "migrate"], arguments, &["--group", GROUP, "--create-guests"], more].concat();
        let output = daemon.cli(&all);
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)))
    };
    let mut rehearsal = both(&["--dry-run"]);
    let report = both(&[]);
    rehearsal["dry_run"] = json!(false);
    if let Some(archive) = rehearsal["archive"].as_object_mut() {
        archive.insert("dry_run".into(), json!(false));
    }
    assert_eq!(rehearsal, report, "a rehearsal says what happens");
    assert_eq!((&report["there"], report["left_out"].as_array().unwrap().len()), (&report["here"], 0), "{}", report["left_out"]);
    report
}

fn rows(daemon: &Daemon) -> HashMap<String, Value> {
    let rows = daemon.json(&["member", "list", GROUP]);
    rows.as_array().unwrap().iter().map(|row| (row["address"].as_str().unwrap().to_owned(), row.clone())).collect()
}

#[test]
fn a_list_that_mlmmj_made_comes_over() {
    let (sink, theirs) = (Sink::start(Duration::ZERO), Sink::start(Duration::ZERO));
    let daemon = Daemon::start(&Setup { relay: sink.relay(4), ..Setup::default() });
    let spool = daemon.path("mlmmj");
    run(Command::new("mlmmj-make-ml").args(["-L", "rg", "-s"]).arg(&spool), "old.test\nboss@elsewhere.test\nes\n");
    let list = spool.join("rg");
    for (name, text) in [
        ("relayhost", "127.0.0.1\n".to_owned()),
        ("smtpport", format!("{}\n", theirs.address.port())),
        ("subonlypost", String::new()),
        ("modnonsubposts", String::new()),
        ("moderators", "mod@elsewhere.test\n".to_owned()),
        ("access", "deny ^From:.*spammer@y\\.test\nallow\n".to_owned()),
    ] {
        fs::write(list.join("control").join(name), text).unwrap();
    }
    for n in 0..members() {
        let person = person(n);
        let mut command = Command::new("/usr/bin/mlmmj-sub");
        command.arg("-L").arg(&list).args(["-f", "-q", "-s", "-a", person["address"].as_str().unwrap()]);
        match person["mode"].as_str().unwrap() {
            "digest" | "plain" => _ = command.arg("-d"),
            "none" => _ = command.arg("-n"),
            _ => {}
        }
        run(&mut command, "");
    }
    // One post that went out and lies in the archive, one that waits for a moderator.
    for (from, id) in [("m0@x.test", "old-1@x.test"), ("stranger@y.test", "held@y.test")] {
        let mail = format!(
            "Return-Path: <{from}>\nFrom: {from}\nTo: rg@old.test\nSubject: Declaraciones\nMessage-ID: <{id}>\nDate: Thu, 5 Mar 2020 10:00:00 +0000\n\nTexto\n"
        );
        run(Command::new("/usr/bin/mlmmj-receive").args(["-F", "-L"]).arg(&list), &mail);
    }
    let kept = |folder: &str| fs::read_dir(list.join(folder)).unwrap().count();
    wait_for("mlmmj to keep both", || (kept("archive") == 1 && kept("moderation") >= 1).then_some(()));

    let report = migrated(&daemon, &["mlmmj", list.to_str().unwrap()]);
    assert_eq!((report["address"].as_str(), report["added"].as_u64()), (Some("rg@old.test"), Some(members() as u64 + 2)));
    assert_eq!((report["held"].as_u64(), report["bans"].as_u64(), report["archive"]["added"].as_u64()), (Some(1), Some(1), Some(1)));
    let rows = rows(&daemon);
    for n in 0..members() {
        let delivery = match person(n)["mode"].as_str().unwrap() {
            "plain" => "digest".to_owned(),
            mode => mode.to_owned(),
        };
        let row = &rows[&format!("m{n}@x.test")];
        assert_eq!((row["delivery"].as_str(), row["state"].as_str()), (Some(delivery.as_str()), Some("active")), "{row}");
    }
    assert_eq!((&rows["boss@elsewhere.test"]["role"], &rows["mod@elsewhere.test"]["role"]), (&json!("manager"), &json!("moderator")));
    assert_eq!(daemon.json(&["hold", "list"])[0]["from"], "stranger@y.test");
    assert_eq!(daemon.json(&["archive", "search", GROUP, "declaración"])["total"], 1);
    daemon.cli_ok(&["member", "add", GROUP, "ana@example.org"]);
    nobody_but_a_new_member_was_written_to(&daemon, &sink);
    let message = proved("ana@example.org", "rg@old.test", "To the old address", "after@example.org", "text");
    assert_eq!(lmtp(daemon.address("lmtp"), "ana@example.org", &["rg@old.test"], &message)[0].code, 250);
    wait_for("the post", || sink.taken().iter().any(|taken| taken.message_id.contains("after@example.org")).then_some(()));
}

/// Of what the migration brought, nobody has got a mail.
fn nobody_but_a_new_member_was_written_to(daemon: &Daemon, sink: &Sink) {
    let queue = daemon.json(&["queue", "list"]);
    let others: Vec<String> = sink.taken().iter().map(|taken| taken.recipient.clone()).filter(|to| to != "ana@example.org").collect();
    assert_eq!((others.as_slice(), &queue["planned"], &queue["deferred"]), (&[][..], &json!(0), &json!(0)));
}

fn people(daemon: &Daemon) -> PathBuf {
    let file = daemon.path("people.json");
    let all: Vec<Value> = (0..members()).map(person).collect();
    fs::write(&file, serde_json::to_vec(&all).unwrap()).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    fs::set_permissions(daemon.dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    file
}

fn shown(row: &Value) -> Value {
    json!([
        row["name"],
        row["languages"],
        row["delivery"],
        row["plain_digest"],
        row["state"],
        row["moderated"],
        row["own_posts"],
        row["links"]
    ])
}

#[test]
fn a_list_that_python_pickled_for_mailman_2_comes_over() {
    let sink = Sink::start(Duration::ZERO);
    let daemon = Daemon::start(&Setup { relay: sink.relay(4), ..Setup::default() });
    let people = people(&daemon);
    let list = daemon.path("mailman2");
    fs::create_dir(&list).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/journeys/peers/mailman2_config.py");
    run(Command::new("/usr/bin/python3").arg(script).arg(people).arg(list.join("config.pck")), "");
    fs::write(
        list.join("rg.mbox"),
        "From m0@x.test Thu Mar  5 10:00:00 2020\nFrom: m0@x.test\nMessage-ID: <old-1@x.test>\nDate: Thu, 5 Mar 2020 10:00:00 +0000\nSubject: Declaraciones\n\nTexto\n",
    )
    .unwrap();
    let report = migrated(&daemon, &["mailman2", list.to_str().unwrap()]);
    let counted = ["added", "staff", "bans", "allowed"].map(|key| report[key].as_u64().unwrap());
    assert_eq!((counted, report["archive"]["added"].as_u64()), ([members() as u64 + 2, 2, 2, 1], Some(1)), "{report}");
    let rows = rows(&daemon);
    let mut first_digest = true;
    for n in 0..members() {
        let person = person(n);
        let (delivery, plain) = match person["mode"].as_str().unwrap() {
            "plain" => ("digest", true),
            "none" if person["bouncing"] == true => ("each", false),
            mode => (mode, false),
        };
        let mut address = format!("m{n}@x.test");
        if delivery == "digest" && std::mem::take(&mut first_digest) {
            address = format!("M{n}@x.test");
        }
        let state = if person["bouncing"] == true { "suspended" } else { "active" };
        let expected =
            json!([person["name"], [person["language"]], delivery, plain, state, person["moderated"], person["own_posts"], false]);
        assert_eq!(shown(&rows[&address]), expected, "{n}");
    }
    let (_, location) = get(&daemon, "/pipermail/rg/2020-March/000000.html");
    assert!(location.contains("/groups/SG12RG-AMR/archive/"), "{location}");
    nobody_but_a_new_member_was_written_to(&daemon, &sink);
}

#[test]
fn a_list_that_mailman_3_made_comes_over() {
    if passed_over("/usr/bin/mailman", "mailman3") {
        return;
    }
    let sink = Sink::start(Duration::ZERO);
    let daemon = Daemon::start(&Setup { relay: sink.relay(4), ..Setup::default() });
    let people = people(&daemon);
    let sources = daemon.path("sources");
    fs::create_dir(&sources).unwrap();
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    fs::copy(here.join("tests/journeys/peers/mailman3_populate.py"), sources.join("populate.py")).unwrap();
    fs::copy(here.join("deploy/mailman3_export.py"), sources.join("mailman3_export.py")).unwrap();
    let folder = folder_of(&daemon, "mailman", "list");
    fs::write(folder.join("mailman.cfg"), mailman_cfg(&folder)).unwrap();
    let mailman = |arguments: &[&str]| {
        let mut command = as_user("list", "/usr/bin/mailman");
        command.arg("-C").arg(folder.join("mailman.cfg")).args(arguments);
        command
            .current_dir(&folder)
            .env("HOME", &folder)
            .env("PEOPLE", &people)
            .env("PYTHONPATH", &sources)
            .env("PYTHONDONTWRITEBYTECODE", "1");
        run(&mut command, "")
    };
    mailman(&["create", "-o", "boss@elsewhere.test", "rg@old.test"]);
    mailman(&["shell", "-l", "rg@old.test", "-r", "populate.populate"]);
    let export = daemon.path("list.json");
    fs::write(&export, mailman(&["shell", "-l", "rg@old.test", "-r", "mailman3_export.export"])).unwrap();
    // What HyperKitty would export.
    let mbox = daemon.path("archive.mbox");
    fs::write(&mbox, "From m0@x.test Thu Mar  5 10:00:00 2020\nFrom: m0@x.test\nMessage-ID: <old-1@x.test>\nDate: Thu, 5 Mar 2020 10:00:00 +0000\nSubject: Declaraciones\n\nTexto\n").unwrap();

    let report = migrated(&daemon, &["mailman3", export.to_str().unwrap(), "--archive", mbox.to_str().unwrap()]);
    let counted = ["added", "staff", "bans", "allowed", "held", "requests"].map(|key| report[key].as_u64().unwrap());
    assert_eq!(counted, [members() as u64 + 1, 1, 3, 1, 1, 1], "{report}");
    let rows = rows(&daemon);
    for n in 0..members() {
        let person = person(n);
        let bouncing = person["bouncing"] == true;
        let (delivery, plain) = match person["mode"].as_str().unwrap() {
            "plain" => ("digest", true),
            "none" if bouncing => ("each", false),
            mode => (mode, false),
        };
        let state = if bouncing { "suspended" } else { "active" };
        let expected =
            json!([person["name"], [person["language"]], delivery, plain, state, person["moderated"], person["own_posts"], false]);
        assert_eq!(shown(&rows[&format!("m{n}@x.test")]), expected, "{n}");
    }
    assert_eq!(rows["boss@elsewhere.test"]["role"], "manager");
    assert_eq!(daemon.json(&["hold", "list"])[0]["from"], "stranger@y.test");
    let hash = mailman(&["shell", "-l", "rg@old.test", "-r", "populate.names"]).trim().to_owned();
    let (status, location) = get(&daemon, &format!("/hyperkitty/list/rg@old.test/message/{hash}/"));
    assert!(status.contains(" 301 ") || status.contains(" 308 "), "{status}");
    assert!(location.contains("/groups/SG12RG-AMR/archive/"), "{location}");
    nobody_but_a_new_member_was_written_to(&daemon, &sink);
}

fn get(daemon: &Daemon, path: &str) -> (String, String) {
    use std::io::Read as _;
    let mut socket = std::net::TcpStream::connect(daemon.address("web")).unwrap();
    write!(socket, "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:8025\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    let location = answer.lines().find_map(|line| line.strip_prefix("location: ")).unwrap_or_default().to_owned();
    (answer.lines().next().unwrap_or_default().to_owned(), location)
}

fn mailman_cfg(folder: &Path) -> String {
    let var = folder.join("var");
    format!(
        "[mailman]\nsite_owner: owner@old.test\nlayout: here\n[paths.here]\nvar_dir: {}\nqueue_dir: $var_dir/queue\n\
        bin_dir: /usr/lib/mailman3/bin\nlist_data_dir: $var_dir/lists\nlog_dir: $var_dir/logs\nlock_dir: $var_dir/locks\n\
        data_dir: $var_dir/data\ncache_dir: $var_dir/cache\netc_dir: $var_dir/etc\next_dir: $var_dir/ext\nmessages_dir: $var_dir/messages\n\
        archive_dir: $var_dir/archives\ntemplate_dir: $var_dir/templates\npid_file: $var_dir/master.pid\nlock_file: $lock_dir/master.lck\n\
        [mta]\nincoming: mailman.mta.null.NullMTA\n{}",
        var.display(),
        ["ar", "es", "fr", "ru", "zh_CN"].map(|code| format!("[language.{code}]\nenabled: yes\n")).concat(),
    )
}

#[test]
fn a_list_that_sympa_made_comes_over() {
    if passed_over("/usr/lib/sympa/bin/sympa.pl", "sympa") {
        return;
    }
    let sink = Sink::start(Duration::ZERO);
    let daemon = Daemon::start(&Setup { relay: sink.relay(4), ..Setup::default() });
    let people = people(&daemon);
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    for script in ["deploy/sympa_export.pl", "tests/journeys/peers/sympa_populate.pl"] {
        fs::copy(here.join(script), daemon.path(script.rsplit('/').next().unwrap())).unwrap();
    }
    let folder = folder_of(&daemon, "sympa", "sympa");
    for name in ["lists", "spool", "tmp", "arc", "etc"] {
        fs::create_dir(folder.join(name)).unwrap();
    }
    fs::write(folder.join("sympa.conf"), sympa_conf(&folder)).unwrap();
    fs::write(
        folder.join("list.xml"),
        "<?xml version=\"1.0\"?>\n<list><listname>rg</listname><type>discussion_list</type><subject>Grupo regional</subject><description/>\
        <status>open</status><language>es</language><topic>Computing</topic><owner multiple=\"1\"><email>boss@elsewhere.test</email></owner></list>\n",
    )
    .unwrap();
    folder_of(&daemon, "sympa", "sympa");
    let sympa = |program: &str, arguments: &[&str], input: &str| {
        let mut command = as_user("sympa", program);
        command.args(arguments).current_dir(&folder).env("SYMPA_CONFIG", folder.join("sympa.conf"));
        run(&mut command, input)
    };
    let script = "/usr/lib/sympa/bin/sympa.pl";
    sympa(script, &["--health_check"], "");
    sympa(script, &["create", &format!("--input_file={}", folder.join("list.xml").display())], "");
    sympa("/usr/bin/perl", &[daemon.path("sympa_populate.pl").to_str().unwrap(), "rg@old.test", people.to_str().unwrap()], "");
    // One by Sympa's own command, and an editor.
    sympa(script, &["add", "--quiet", "rg@old.test"], "late@x.test Late Comer\n");
    sympa(script, &["add", "--quiet", "--role=editor", "rg@old.test"], "ed@elsewhere.test Ed\n");
    let list = folder.join("lists/rg");
    let config = fs::read_to_string(list.join("config")).unwrap().replace("send privateoreditorkey", "send editorkeyonly");
    fs::write(list.join("config"), config + "\nlang es\n").unwrap();
    fs::create_dir_all(list.join("search_filters")).unwrap();
    fs::write(list.join("search_filters/blocklist.txt"), "spammer@y.test\n*@bad.test\n").unwrap();
    sympa("/usr/bin/perl", &[daemon.path("sympa_export.pl").to_str().unwrap(), "rg@old.test"], "");
    let report = migrated(&daemon, &["sympa", list.to_str().unwrap(), "--archive", folder.join("arc/rg@old.test").to_str().unwrap()]);
    let counted = ["added", "staff", "bans", "departed", "held", "requests"].map(|key| report[key].as_u64().unwrap());
    assert_eq!(counted, [members() as u64 + 3, 2, 2, 1, 1, 1], "{report}");
    assert_eq!(report["archive"]["added"], 1);
    let rows = rows(&daemon);
    for n in 0..members() {
        let person = person(n);
        let reception = person["reception"].as_str().unwrap();
        let suspended = person["suspended"] == true;
        let delivery = match reception {
            "digest" | "digestplain" => "digest",
            "nomail" => "none",
            _ => "each",
        };
        let state = if person["bouncing"] == true { "suspended" } else { "active" };
        let expected = json!([
            person["name"],
            [person["language"]],
            delivery,
            reception == "digestplain",
            state,
            false,
            reception != "not_me",
            reception == "urlize"
        ]);
        let row = &rows[&format!("m{n}@x.test")];
        assert_eq!(shown(row), expected, "{n}");
        let away = if suspended { json!("from 2017-07-14 until 2096-10-02") } else { Value::Null };
        assert_eq!(row["absence"], away, "{n}");
    }
    assert_eq!((&rows["boss@elsewhere.test"]["role"], &rows["ed@elsewhere.test"]["role"]), (&json!("manager"), &json!("moderator")));
    assert_eq!((&rows["ana@example.org"]["state"], &rows["late@x.test"]["name"]), (&json!("unsubscribed"), &json!("Late Comer")));
    assert_eq!(rows["late@x.test"]["languages"], json!(["es"]), "who chose no language has the list's");
    let there = |key: &str| report["settings"].as_array().unwrap().iter().find(|line| line["key"] == key).unwrap()["there"].clone();
    assert_eq!(["moderate", "nonmember", "archive"].map(there), ["true", "hold", "public"].map(|text| json!(text)));
    assert_eq!(daemon.json(&["hold", "list"])[0]["from"], "stranger@y.test");
    let (_, location) = get(&daemon, "/sympa/arc/rg/2020-03/msg00000.html");
    assert!(location.contains("/groups/SG12RG-AMR/archive/"), "{location}");
    nobody_but_a_new_member_was_written_to(&daemon, &sink);
}

fn sympa_conf(folder: &Path) -> String {
    let path = |name: &str| folder.join(name).display().to_string();
    format!(
        "domain old.test\nlistmaster listmaster@old.test\nlang en\nhome {}\netc {}\nspool {}\ntmpdir {}\narc_path {}\npidfile {}\n\
        queue {}\nqueuemod {}\nqueueauth {}\nqueuedigest {}\nqueueoutgoing {}\nqueuesubscribe {}\nqueuetopic {}\nqueuebounce {}\nqueuetask {}\nqueueautomatic {}\nqueuebulk {}\nviewmail_dir {}\n\
        db_type SQLite\ndb_name {}\nsendmail /bin/true\nsendmail_aliases none\nwwsympa_url http://old.test/sympa\n",
        path("lists"),
        path("etc"),
        path("spool"),
        path("tmp"),
        path("arc"),
        path("sympa.pid"),
        path("spool/msg"),
        path("spool/moderation"),
        path("spool/auth"),
        path("spool/digest"),
        path("spool/outgoing"),
        path("spool/subscribe"),
        path("spool/topic"),
        path("spool/bounce"),
        path("spool/task"),
        path("spool/automatic"),
        path("spool/bulk"),
        path("spool/viewmail"),
        path("sympa.sqlite"),
    )
}
