//! Every command that changes something leaves an entry in the audit trail: who, what, to whom; a rehearsal leaves none.
//!
//! The enumeration is the command line itself: whatever takes `--dry-run` changes something. A new command fails here until the story
//! below has it.

use std::collections::BTreeSet;
use std::time::Duration;

use clap::CommandFactory;
use enlace::cli::arguments::Arguments;
use enlace::web::api::table::OPERATIONS;
use serde_json::Value;

use crate::support::client::{lmtp, proved};
use crate::support::daemon::{Daemon, GROUPS, Setup, wait_for};
use crate::support::sink::Sink;

/// Commands that change something without `--dry-run`, and change it at once.
const AT_ONCE: [&str; 4] = ["archive seal", "archive rebuild", "archive feed", "meeting feed"];
/// Not here, with the reason.
const ELSEWHERE: [(&str, &str); 10] = [
    ("store back", "the same as `store migrate`, for the embedded store"),
    ("liaison acknowledge", "what is noted at a statement and its entry are written by one function, `liaison::handling`"),
    ("liaison take", "the same"),
    ("liaison reassign", "the same"),
    ("liaison resend", "the same"),
    ("webhook test", "sends one request and changes no record"),
    ("directory sync", "needs a directory server; what it changes is `account import`, see the journey with slapd"),
    ("restore", "fills a store that nobody has open; the trail comes with what it restores"),
    ("store copy", "the same, from store to store"),
    ("store migrate", "changes the form of a database and no record"),
];

/// `account import` and the like for every command that takes `--dry-run`.
fn changing(command: &clap::Command, path: &str, found: &mut BTreeSet<String>) {
    for child in command.get_subcommands() {
        let path = format!("{path} {}", child.get_name()).trim().to_owned();
        if child.get_arguments().any(|argument| argument.get_id() == "dry_run") {
            found.insert(path.clone());
        }
        changing(child, &path, found);
    }
}

struct Story {
    daemon: Daemon,
    told: BTreeSet<String>,
}

impl Story {
    fn trail(&self) -> Vec<Value> {
        let mut entries = self.daemon.json(&["audit", "--limit", "10000"]).as_array().unwrap().clone();
        entries.reverse();
        entries
    }

    /// Does it, after a rehearsal, and looks at the trail before and after each.
    fn act(&mut self, words: &[&str]) -> Value {
        let tree = Arguments::command();
        let path = match tree.find_subcommand(words[0]).and_then(|noun| noun.find_subcommand(words[1])) {
            Some(_) => words[..2].join(" "),
            None => words[0].to_owned(),
        };
        let before = self.trail();
        if !AT_ONCE.contains(&path.as_str()) {
            let mut rehearsal = words.to_vec();
            rehearsal.push("--dry-run");
            let output = self.daemon.cli(&rehearsal);
            assert!(output.status.success(), "{rehearsal:?}: {}", String::from_utf8_lossy(&output.stderr));
            assert_eq!(self.trail(), before, "{rehearsal:?} changed something");
        }
        let answer = self.daemon.json(words);
        let after = self.trail();
        // Who was erased is named by a pseudonym afterwards; what was done, and when, stays.
        let erased = path == "account erase";
        let told = |entries: &[Value]| -> Vec<Value> {
            entries
                .iter()
                .map(|entry| if erased { serde_json::json!([entry["at"], entry["act"], entry["group"]]) } else { entry.clone() })
                .collect()
        };
        assert_eq!(told(&after[..before.len()]), told(&before), "{words:?}: an entry was changed or lost");
        let new = &after[before.len()..];
        let own: Vec<_> = new.iter().filter(|entry| entry["actor"] == "command line").collect();
        assert!(!own.is_empty(), "{words:?} left nothing in the trail: {new:?}");
        for entry in own {
            let is_said = |key: &str| entry[key].as_str().is_some_and(|text| !text.trim().is_empty());
            assert!(is_said("act") && is_said("at") && is_said("detail"), "{words:?}: {entry}");
        }
        self.told.insert(path);
        answer
    }

    fn file(&self, name: &str, text: &str) -> String {
        std::fs::write(self.daemon.path(name), text).unwrap();
        self.daemon.path(name).to_str().unwrap().to_owned()
    }

    /// A post of somebody whom the group does not know, held for a moderator.
    fn held(&self, id: &str) -> String {
        let list = "sg12rg-afr@lists.example.org";
        let post = proved("ana@example.org", list, "A question", id, "Hello");
        assert_eq!(lmtp(self.daemon.address("lmtp"), "ana@example.org", &[list], &post)[0].code, 250);
        self.daemon.json(&["hold", "list"])[0]["id"].as_str().unwrap().to_owned()
    }

    fn statement(&mut self, title: &str) -> String {
        let text = format!(
            "From: TSB <tsb@itu.example>\r\nTo: sg12-liaison@lists.example.org\r\nSubject: LS\r\nMessage-ID: <{title}@itu.example>\r\nDate: Tue, 06 Apr 2027 10:00:00 +0000\r\n\r\n\
             Source: ITU-T Study Group 12\r\nTitle: LS/o on {title} [to TSAG]\r\nFor action to: -\r\nFor information to: TSAG\r\nQuestion(s): 7/12\r\n\
             Approval: ITU-T SG12 meeting (Mexico City, 28 September 2026)\r\nDeadline: N/A\r\nContact: Ana Example, contact@itu.example\r\n\r\nText of the statement.\r\n"
        );
        let file = self.file("statement.eml", &text);
        self.act(&["liaison", "submit", &file, "--group", "SG12"])["id"].as_str().unwrap().to_owned()
    }
}

const MEETINGS: &str = r#"
[[meeting]]
id = "one-2027"
groups = ["SG12RG-AMR", "SG12RG-AFR"]
title = { en = "A joint meeting", es = "Una reunión", fr = "Une réunion" }
start = 2037-04-06T09:30:00
end = 2037-04-07T17:30:00
timezone = "America/Mexico_City"
city = "Mexico City"
country = "MX"
remote_url = "https://meet.example.org/one"
status = "announced"
[[meeting]]
id = "two-2027"
groups = ["SG12"]
title = { en = "Another meeting" }
start = 2037-05-06T09:30:00
end = 2037-05-07T17:30:00
timezone = "Europe/Zurich"
city = "Geneva"
country = "CH"
remote_url = "https://meet.example.org/two"
status = "announced"
[[meeting]]
id = "past-2026"
groups = ["SG12"]
title = { en = "A meeting that was held" }
start = 2026-10-06T09:30:00
end = 2026-10-07T17:30:00
timezone = "Europe/Zurich"
city = "Geneva"
country = "CH"
remote_url = "https://meet.example.org/past"
status = "announced"
"#;

#[test]
fn every_command_that_changes_something_is_in_the_trail_and_no_rehearsal_is() {
    let sink = Sink::answering(Duration::ZERO, |to| (to == "dead@example.org").then_some("550 5.1.1 user unknown"));
    let daemon = Daemon::start(&Setup {
        relay: sink.relay(2),
        more: "[webhooks]\nallowed_networks = [\"127.0.0.0/8\"]\n".into(),
        ..Setup::default()
    });
    let mut story = Story { daemon, told: BTreeSet::new() };
    groups_accounts_and_members(&mut story);
    held_posts_and_the_queue(&mut story);
    meetings(&mut story);
    statements(&mut story);
    let mbox = "From a@example.org Mon Jan  4 10:00:00 2021\nFrom: <ana@example.org>\nSubject: Old\nMessage-ID: <old@example.org>\nDate: Mon, 4 Jan 2021 10:00:00 +0000\n\nOld text\n";
    let mbox = story.file("old.mbox", mbox);
    story.act(&["archive", "import", "SG12RG-AMR", &mbox]);
    story.act(&["archive", "seal", "SG12RG-AMR"]);
    story.act(&["archive", "rebuild"]);
    story.act(&["archive", "feed", "SG12RG-AMR", "ana@example.org", "--renew"]);
    story.act(&["webhook", "add", "a program", "http://127.0.0.1:9/hook"]);
    story.act(&["webhook", "replay", "a program", "--since", "2026-11-26T00:00:00Z"]);
    story.act(&["webhook", "enable", "a program"]);
    story.act(&["webhook", "remove", "a program"]);
    story.act(&["token", "create", "--name", "a program", "--scope", "read"]);
    story.act(&["token", "revoke", "a program"]);
    story.act(&["key", "rotate"]);
    story.act(&["key", "forget"]);
    let backup = story.daemon.path("backup.tar").to_str().unwrap().to_owned();
    story.act(&["backup", &backup]);
    story.act(&["account", "erase", "dead@example.org"]);
    story.act(&["group", "retire", "SG12RG-AFR"]);

    // Pages show each act in the reader's language: it has a word, and another test sees that no language lacks one.
    let words = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/templates/en/web/acts.toml")).unwrap();
    let words: toml::Table = words.parse().unwrap();
    let key = |act: &str| {
        let letters: String = act.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { ' ' }).collect();
        format!("act-{}", letters.split_whitespace().collect::<Vec<_>>().join("-"))
    };
    let acts: BTreeSet<String> = story.trail().iter().map(|entry| key(entry["act"].as_str().unwrap())).collect();
    let wordless: Vec<_> = acts.iter().filter(|act| !words.contains_key(*act)).collect();
    assert!(acts.len() > 40 && wordless.is_empty(), "{} acts; without a word in templates/LANG/web/acts.toml: {wordless:?}", acts.len());

    let mut all = BTreeSet::new();
    changing(&Arguments::command(), "", &mut all);
    all.extend(AT_ONCE.map(str::to_owned));
    let elsewhere: BTreeSet<String> = ELSEWHERE.iter().map(|(command, _)| (*command).to_owned()).collect();
    assert!(elsewhere.is_subset(&all), "{elsewhere:?}");
    let missing: Vec<_> = all.difference(&story.told).filter(|command| !elsewhere.contains(*command)).collect();
    assert!(missing.is_empty(), "nothing shows that these leave an entry in the trail: {missing:?}");
    // Whatever programs may change is one of these commands, done by the same code, with the token's name as who did it.
    for operation in OPERATIONS.iter().filter(|operation| operation.writes) {
        let command = operation.command.join(" ");
        assert!(story.told.contains(&command) || elsewhere.contains(&command), "{}: {command}", operation.id);
    }
}

fn groups_accounts_and_members(story: &mut Story) {
    let groups = GROUPS
        .replace("supporting_members = [\"Kenya\", \"Ghana\"]\n", "supporting_members = [\"Kenya\", \"Ghana\"]\nnonmember = \"hold\"\n")
        + "\n[[group]]\ncode = \"QSDG\"\nkind = \"other\"\nlist = \"qsdg\"\nname = { en = \"Quality\" }\n[[group.rule]]\ncountries = [\"US\"]\n";
    let groups = story.file("changed.toml", &groups);
    story.act(&["group", "apply", &groups]);
    story.act(&["group", "rules", "QSDG"]);
    story.act(&["group", "set", "QSDG", "release_by=2"]);
    story.act(&["group", "new-period", "2037-2040", "--answer-by", "2098-01-01", "--group", "QSDG"]);
    let accounts = story.file(
        "more.csv",
        "email,name,kind,category,country\ndead@example.org,Dead,ties,member-state,MX\nlate@example.org,Late,ties,member-state,MX\nout@example.org,Out,ties,member-state,MX\n",
    );
    story.act(&["account", "import", &accounts]);
    story.act(&["account", "set", "late@example.org", "country=BR"]);
    story.act(&["account", "password", "late@example.org", "--generate"]);
    story.act(&["account", "suspend", "out@example.org", "--reason", "left"]);
    story.act(&["member", "add", "SG12RG-AMR", "ana@example.org", "ben@example.org", "dead@example.org"]);
    let rows = story.file("members.csv", "email\nlate@example.org\n");
    story.act(&["member", "import", "SG12RG-AMR", &rows]);
    story.act(&["member", "set", "SG12RG-AMR", "late@example.org", "--links", "true"]);
    story.act(&["member", "remove", "SG12RG-AMR", "late@example.org"]);
    let list = story.daemon.path("mlmmj");
    std::fs::create_dir_all(list.join("subscribers.d")).unwrap();
    std::fs::create_dir_all(list.join("control")).unwrap();
    std::fs::write(list.join("subscribers.d/c"), "caro@example.org\n").unwrap();
    std::fs::write(list.join("control/listaddress"), "old@lists.example.org\n").unwrap();
    let list = list.to_str().unwrap().to_owned();
    story.act(&["migrate", "mlmmj", &list, "--group", "SG12RG-AMR"]);
}

fn held_posts_and_the_queue(story: &mut Story) {
    let id = story.held("held-1@example.org");
    story.act(&["hold", "reject", &id, "--reason", "not here"]);
    let id = story.held("held-2@example.org");
    story.act(&["hold", "discard", &id]);
    let id = story.held("held-3@example.org");
    story.act(&["hold", "release", &id, "--always"]);
    let allowed = story.daemon.json(&["hold", "allowed", "SG12RG-AFR"]);
    assert_eq!(allowed[0]["address"], "ana@example.org", "{allowed}");
    story.act(&["hold", "disallow", "SG12RG-AFR", "ana@example.org"]);
    assert_eq!(story.daemon.json(&["hold", "allowed", "SG12RG-AFR"]), serde_json::json!([]));
    let again = story.daemon.cli(&["hold", "disallow", "SG12RG-AFR", "ana@example.org"]);
    assert!(!again.status.success() && String::from_utf8_lossy(&again.stderr).contains("hold allowed SG12RG-AFR"), "{again:?}");

    let list = "sg12rg-amr@lists.example.org";
    let send = |story: &Story, id: &str| {
        let post = proved("ana@example.org", list, "A question", id, "Hello");
        assert_eq!(lmtp(story.daemon.address("lmtp"), "ana@example.org", &[list], &post)[0].code, 250);
    };
    send(story, "out-1@example.org");
    wait_for("a score", || (!story.daemon.json(&["bounce", "list"]).as_array()?.is_empty()).then_some(()));
    story.act(&["bounce", "reset", "dead@example.org"]);
    story.act(&["queue", "pause"]);
    send(story, "out-2@example.org");
    let id = wait_for("a plan", || {
        let queue = story.daemon.json(&["queue", "list"]);
        let posts = queue["posts"].as_array().unwrap().clone();
        posts
            .iter()
            .find(|post| post["subject"] == "A question" && post["state"] == "planned")
            .map(|post| post["id"].as_str().unwrap().to_owned())
    });
    story.act(&["queue", "retry", &id]);
    story.act(&["queue", "drop", &id]);
    story.act(&["queue", "resume"]);
}

fn meetings(story: &mut Story) {
    let file = story.file("meetings.toml", MEETINGS);
    story.act(&["meeting", "apply", &file]);
    story.act(&["meeting", "letter", "two-2027", "--reference", "Collective letter 3/12"]);
    story.act(&["meeting", "withdraw", "one-2027", "--group", "SG12RG-AFR"]);
    story.act(&["meeting", "postpone", "one-2027"]);
    story.act(&["meeting", "cancel", "one-2027"]);
    story.act(&["meeting", "report", "past-2026", "--reference", "SG12-R1", "--attendance", "40"]);
    story.act(&["meeting", "feed", "ana@example.org", "--renew"]);
}

fn statements(story: &mut Story) {
    let first = story.statement("first");
    let correction = story.file("fix.txt", "Questions: 8/12\n");
    story.act(&["liaison", "correct", &first, &correction]);
    story.act(&["liaison", "circulate", &first]);
    let second = story.statement("second");
    story.act(&["liaison", "circulate", &second]);
    story.act(&["liaison", "answer", &first, "--with", &second]);
    story.act(&["liaison", "close", &first]);
    let third = story.statement("third");
    story.act(&["liaison", "withdraw", &third, "--reason", "sent in error"]);
    story.act(&["liaison", "digest", "SG12RG-AMR", "ben@example.org"]);
}

#[test]
fn a_command_acts_in_the_name_of_who_gave_it() {
    // Programs give the same commands with a token's name; only what takes the words of this machine says "command line".
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cli");
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap();
        let named = code.matches("Actor::command_line()").count();
        assert_eq!(named, usize::from(path.ends_with("execute.rs")), "{}", path.display());
    }
}
