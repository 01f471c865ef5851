//! Lists of ten thousand people with every setting that each system knows, compared field by field with what came of them.

use std::collections::HashMap;
use std::fmt::Write as _;

use super::tests::{allowed_addresses, migration, run};
use super::*;
use crate::service::subscribe::{self, MemberRow};
use crate::service::trial::{Trial, code};

const MEMBERS: usize = 10_000;
const LANGUAGES: [&str; 6] = ["en", "fr", "es", "ar", "zh", "ru"];

/// What one person had, and so has to have.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Person {
    address: String,
    name: String,
    language: &'static str,
    /// `each`, `digest`, `plain`, `none`.
    mode: &'static str,
    bouncing: bool,
    moderated: bool,
    own_posts: bool,
    links: bool,
}

fn person(n: usize) -> Person {
    Person {
        // Some addresses are written with capitals, and stay so.
        address: if n.is_multiple_of(17) { format!("M{n}@x.test") } else { format!("m{n}@x.test") },
        name: if n.is_multiple_of(19) { format!("Ñandú «{n}» Образец") } else { format!("Person {n}") },
        language: LANGUAGES[n % 6],
        mode: ["each", "digest", "plain", "none", "each"][n % 5],
        bouncing: n.is_multiple_of(13),
        moderated: n.is_multiple_of(7),
        own_posts: !n.is_multiple_of(11),
        links: false,
    }
}

fn found(row: &MemberRow) -> Person {
    Person {
        address: row.address.clone(),
        name: row.name.clone(),
        language: LANGUAGES.iter().find(|language| row.languages == [(**language).to_owned()]).copied().unwrap_or("-"),
        mode: match (row.delivery.as_str(), row.plain_digest) {
            ("digest", true) => "plain",
            ("digest", false) => "digest",
            ("each", false) => "each",
            ("none", false) => "none",
            _ => "-",
        },
        bouncing: row.state == "suspended" && row.reason.as_deref().is_some_and(|reason| reason.contains("disabled on the old list")),
        moderated: row.moderated,
        own_posts: row.own_posts,
        links: row.links,
    }
}

/// Migrates twice after a rehearsal, and compares everybody.
async fn compared(system: System, files: &[(&str, &[u8])], expected: impl Fn(usize) -> Person) -> (Trial, MigrationReport) {
    let trial = Trial::peopled().await;
    let wanted = |dry_run| Migration { address: Some("rg-amr@old.test".into()), ..migration(system, files, dry_run) };
    let rehearsal = run(&trial, &wanted(true)).await;
    let report = run(&trial, &wanted(false)).await;
    assert_eq!(MigrationReport { dry_run: true, ..report.clone() }, rehearsal);
    assert_eq!((report.there.clone(), report.left_out.len()), (report.here.clone(), 0));
    assert_eq!((report.added, report.guests), (MEMBERS as u64, MEMBERS as u64));
    let rows = subscribe::list(&trial.services, &code("AMR")).await.unwrap();
    let rows: HashMap<&str, _> = rows.iter().map(|row| (row.address.as_str(), row)).collect();
    assert_eq!(rows.len(), MEMBERS);
    for n in 0..MEMBERS {
        let expected = expected(n);
        let row = rows.get(expected.address.as_str()).unwrap_or_else(|| panic!("{} did not come over", expected.address));
        assert_eq!(found(row), expected, "{n}");
        assert_eq!((row.role, row.state), ("member", if expected.bouncing { "suspended" } else { "active" }), "{n}");
    }
    // Nobody was written to, and a second time changes nothing.
    assert!(trial.services.store.posts_of_group(&code("AMR"), None, 10).await.unwrap().is_empty());
    let again = run(&trial, &wanted(false)).await;
    assert_eq!((again.added, again.changed, again.unchanged), (0, 0, MEMBERS as u64));
    (trial, report)
}

#[tokio::test]
async fn ten_thousand_of_mailman_3_come_over_field_by_field() {
    let members: Vec<_> = (0..MEMBERS)
        .map(|n| {
            let person = person(n);
            serde_json::json!({
                "address": person.address, "name": person.name, "role": "member", "language": person.language,
                "delivery_mode": match person.mode { "digest" => "mime_digests", "plain" => "plaintext_digests", _ => "regular" },
                "delivery_status": match (person.bouncing, person.mode) {
                    (true, _) => "by_bounces", (_, "none") => if n.is_multiple_of(2) { "by_user" } else { "by_moderator" }, _ => "enabled",
                },
                "moderation_action": person.moderated.then_some(["hold", "reject", "discard"][n % 3]),
                "receive_own_postings": person.own_posts,
            })
        })
        .collect();
    let export = serde_json::json!({ "list": { "fqdn_listname": "rg-amr@old.test", "preferred_language": "en",
        "default_member_action": "hold", "accept_these_nonmembers": ["friend@y.test", "^.*@friends\\.test"] }, "members": members });
    // Who was disabled by bounces while a digest or nothing was set keeps what the system knew of it.
    let expected = |n| {
        let person = person(n);
        Person { mode: if person.bouncing && person.mode == "none" { "each" } else { person.mode }, ..person }
    };
    let (trial, report) = compared(System::Mailman3, &[("list.json", export.to_string().as_bytes())], expected).await;
    assert_eq!(report.allowed, 1);
    assert_eq!(allowed_addresses(&trial).await, ["friend@y.test"]);
    assert!(report.warnings.iter().any(|warning| warning.contains("friends")), "{:?}", report.warnings);
    let moderate = report.settings.iter().find(|line| line.key == "moderate").unwrap();
    assert_eq!((moderate.there.as_str(), moderate.here.as_str(), moderate.same), ("true", "true", true));
}

#[tokio::test]
async fn ten_thousand_of_sympa_come_over_field_by_field() {
    let (mut members, mut users) = (String::new(), String::new());
    for n in 0..MEMBERS {
        let person = person(n);
        // A member of Sympa has one way of reception, so one who does not want her own posts has no other wish.
        let reception = match person.mode {
            "plain" => "digestplain",
            "none" => "nomail",
            "each" if n.is_multiple_of(11) => "not_me",
            "each" if n.is_multiple_of(3) => "urlize",
            "each" => "mail",
            mode => mode,
        };
        let score = if person.bouncing { "bounce 1600000000 1600100000 9 5.1.1\nbounce_score 90\n" } else { "" };
        let _ = write!(
            members,
            "{score}date 1500000000\nemail {}\ngecos {}\nnumber_messages 3\nreception {reception}\nsubscribed 1\nvisibility conceal\n\n",
            person.address, person.name
        );
        let _ = write!(users, "email {}\nlang {}\n\n", person.address.to_lowercase(), if n % 6 == 4 { "zh-CN" } else { person.language });
    }
    let files: &[(&str, &[u8])] = &[
        ("member.dump", members.as_bytes()),
        ("user.dump", users.as_bytes()),
        ("config", b"subject Old\n\nlang en\n\nsubscribe auth_owner\n\nsend editorkeyonly\n"),
        ("exclude.dump", b"email ana@x.test\ndate 1500000000\n\n"),
        ("blocklist.txt", b"# spam\nspammer@x.test\n*@bad.test\n"),
    ];
    let expected = |n| {
        let person = person(n);
        let plain_each = person.mode == "each";
        Person {
            own_posts: !(plain_each && n.is_multiple_of(11)),
            links: plain_each && !n.is_multiple_of(11) && n.is_multiple_of(3),
            moderated: false,
            ..person
        }
    };
    let trial = Trial::peopled().await;
    let rehearsal = run(&trial, &migration(System::Sympa, files, true)).await;
    assert_eq!(rehearsal.departed, 1, "ana had left, and has an account");
    let without: Vec<_> = files.iter().filter(|(name, _)| *name != "exclude.dump").copied().collect();
    let (trial, report) = compared(System::Sympa, &without, expected).await;
    assert_eq!(trial.services.group(&code("AMR")).unwrap().house.banned, ["spammer@x.test", "@bad.test"]);
    let setting = |key: &str| report.settings.iter().find(|line| line.key == key).unwrap().there.clone();
    assert_eq!([setting("subscription"), setting("nonmember"), setting("moderate")], ["approve", "hold", "true"]);
}

#[tokio::test]
async fn ten_thousand_of_mlmmj_come_over_field_by_field() {
    // mlmmj keeps an address, and on which of three lists it is: nothing else.
    let mut files: std::collections::BTreeMap<String, String> = std::collections::BTreeMap::new();
    for n in 0..MEMBERS {
        let person = person(n);
        let folder = match person.mode {
            "digest" | "plain" => "digesters.d",
            "none" => "nomailsubs.d",
            _ => "subscribers.d",
        };
        let _ = writeln!(files.entry(format!("{folder}/{}", &person.address[..1])).or_default(), "{}", person.address);
    }
    for (name, text) in [
        ("control/listaddress", "rg-amr@old.test\n"),
        (
            "control/access",
            "deny ^From:.*spammer@x\\.test\nDiscard ^From: .*@bad\\.test\nsend ^From:.*<friend@y\\.test>\ndeny ^Subject:.*win\nallow\n",
        ),
        ("control/moderated", ""),
        ("control/submod", "boss@elsewhere.test\n"),
        ("control/notmetoo", ""),
    ] {
        files.insert(name.into(), text.into());
    }
    let files: Vec<(&str, &[u8])> = files.iter().map(|(name, text)| (name.as_str(), text.as_bytes())).collect();
    let expected = |n| {
        let person = person(n);
        let mode = if person.mode == "plain" { "digest" } else { person.mode };
        let name = String::new();
        Person { name, language: "-", mode, bouncing: false, moderated: false, own_posts: false, ..person }
    };
    let (trial, report) = compared(System::Mlmmj, &files, expected).await;
    assert_eq!(trial.services.group(&code("AMR")).unwrap().house.banned, ["spammer@x.test", "@bad.test"]);
    assert_eq!(allowed_addresses(&trial).await, ["friend@y.test"]);
    assert!(report.warnings.iter().any(|warning| warning.contains("^Subject:.*win")), "{:?}", report.warnings);
    assert!(report.settings.iter().any(|line| line.key == "moderate" && line.there == "true"));
}
