//! Commands by mail, answered in the sender's language.

use super::support::client::{lmtp, proved, unproved};
use super::support::daemon::{Daemon, GROUPS, Setup, wait_for};

const REQUEST: &str = "sg12rg-amr-request@lists.example.org";

fn answers(daemon: &Daemon, to: &str) -> Vec<String> {
    let marker = "To: ".to_string();
    daemon
        .outbox()
        .into_iter()
        .map(|copy| mail_text(&copy))
        .filter(|copy| copy.lines().any(|line| line.starts_with(&marker) && line.contains(to)))
        .collect()
}

/// Header and decoded text of a copy, enough for looking at words in it.
fn mail_text(copy: &[u8]) -> String {
    let parsed = mail_parser::MessageParser::default().parse(copy).expect("a mail");
    let header = String::from_utf8_lossy(&copy[..copy.windows(4).position(|w| w == b"\r\n\r\n").unwrap()]).into_owned();
    format!("{header}\n\n{}\n{}", parsed.subject().unwrap_or_default(), parsed.body_text(0).unwrap_or_default().replace("\r\n", "\n"))
}

#[test]
fn subscribe_set_which_and_unsubscribe_by_mail() {
    let daemon = Daemon::start(&Setup::default());
    let mail = proved("ana@example.org", REQUEST, "subscribe", "c1@example.org", "");
    assert_eq!(lmtp(daemon.address("lmtp"), "ana@example.org", &[REQUEST], &mail)[0].code, 250);
    wait_for("the subscription", || {
        let members = daemon.json(&["member", "list", "SG12RG-AMR"]);
        members.as_array().unwrap().iter().any(|m| m["address"] == "ana@example.org" && m["state"] == "active").then_some(())
    });
    let answer = wait_for("the answer", || answers(&daemon, "ana@example.org").pop());
    assert!(answer.contains("Content-Language: es"), "{answer}");
    assert!(answer.contains("Auto-Submitted: auto-"), "{answer}");

    let mail = proved(
        "ana@example.org",
        REQUEST,
        "settings",
        "c2@example.org",
        "set language en,es\r\nset streams announce,liaison\r\nset delivery none until 2027-01-15\r\nwhich\r\nend\r\nnonsense",
    );
    assert_eq!(lmtp(daemon.address("lmtp"), "ana@example.org", &[REQUEST], &mail)[0].code, 250);
    wait_for("the settings", || {
        let members = daemon.json(&["member", "list", "SG12RG-AMR"]);
        let ana = members.as_array().unwrap().iter().find(|m| m["address"] == "ana@example.org").cloned()?;
        (ana["languages"] == serde_json::json!(["en", "es"])
            && ana["streams"] == serde_json::json!(["announce", "liaison"])
            && ana["delivery"].as_str().is_some_and(|d| d.starts_with("none")))
        .then_some(())
    });
    let answer = wait_for("the answer to c2", || {
        answers(&daemon, "ana@example.org").into_iter().find(|answer| answer.contains("In-Reply-To: <c2@example.org>"))
    });
    assert!(answer.contains("> set language en,es\nSe han cambiado sus preferencias en SG12RG-AMR."), "{answer}");
    assert!(answer.contains("> which\nSG12RG-AMR (Grupo Regional de la CE 12 del UIT-T para las Américas): activ"), "{answer}");
    assert!(!answer.contains("nonsense"), "what follows `end` is not read: {answer}");

    let to = "sg12rg-amr-leave@lists.example.org";
    let mail = proved("ana@example.org", to, "", "c3@example.org", "");
    assert_eq!(lmtp(daemon.address("lmtp"), "ana@example.org", &[to], &mail)[0].code, 250);
    wait_for("the end", || {
        let members = daemon.json(&["member", "list", "SG12RG-AMR"]);
        members.as_array().unwrap().iter().any(|m| m["address"] == "ana@example.org" && m["state"] == "unsubscribed").then_some(())
    });
}

#[test]
fn a_forged_unsubscribe_changes_nothing_and_asks_at_most_once_a_day() {
    let daemon = Daemon::start(&Setup::default());
    daemon.cli_ok(&["member", "add", "SG12RG-AMR", "ana@example.org"]);
    let to = "sg12rg-amr-leave@lists.example.org";
    for n in 0..5 {
        let mail = unproved("ana@example.org", to, "", &format!("f{n}@example.org"), "");
        let code = lmtp(daemon.address("lmtp"), "ana@example.org", &[to], &mail)[0].code;
        assert!(code == 250 || code == 550 || code == 451, "{code}");
    }
    let asked = wait_for("the question", || Some(answers(&daemon, "ana@example.org")).filter(|mails| !mails.is_empty()));
    assert_eq!(asked.len(), 1);
    let members = daemon.json(&["member", "list", "SG12RG-AMR"]);
    assert_eq!(members[0]["state"], "active");

    let start = asked[0].find("sg12rg-amr-confirm+").unwrap();
    let token: String = asked[0][start..].chars().take_while(|c| *c != '>' && !c.is_whitespace()).collect();
    let yes = unproved("ana@example.org", &token, "Re", "fy@example.org", "yes");
    assert_eq!(lmtp(daemon.address("lmtp"), "ana@example.org", &[&token], &yes)[0].code, 250);
    wait_for("the end", || (daemon.json(&["member", "list", "SG12RG-AMR"])[0]["state"] == "unsubscribed").then_some(()));
}

#[test]
fn the_gate_answers_a_stranger_in_the_session_and_sends_nothing() {
    let daemon = Daemon::start(&Setup::default());
    for (from, reason) in [("nobody@example.net", "no TIES or guest account"), ("zoe@example.com", "not of the region")] {
        let mail = proved(from, REQUEST, "subscribe", &format!("x-{from}"), "");
        let answer = &lmtp(daemon.address("lmtp"), from, &[REQUEST], &mail)[0];
        // A stranger gets a refusal in the session; an account holder may get it as an answer by mail.
        if answer.code == 250 {
            let text = wait_for("the answer", || answers(&daemon, from).pop());
            assert!(text.contains(reason), "{text}");
            assert_ne!(from, "nobody@example.net");
        } else {
            assert!(answer.text.contains(reason), "{answer:?}");
        }
    }
    let members = daemon.json(&["member", "list", "SG12RG-AMR"]);
    assert!(members.as_array().unwrap().is_empty(), "{members}");
}

#[test]
fn a_command_may_stand_in_the_subject_and_why_tells_of_oneself_only() {
    let daemon = Daemon::start(&Setup::default());
    daemon.cli_ok(&["member", "add", "SG12RG-AMR", "ana@example.org", "ben@example.org"]);
    daemon.cli_ok(&["member", "set", "SG12RG-AMR", "ben@example.org", "--streams", "announce"]);
    let list = "sg12rg-amr@lists.example.org";
    let post = proved("ana@example.org", list, "x", "asked@example.org", "x");
    assert_eq!(lmtp(daemon.address("lmtp"), "ana@example.org", &[list], &post)[0].code, 250);
    wait_for("the plan", || (daemon.json(&["queue", "list"])["sent"] == 1).then_some(()));
    let ask = |who: &str, subject: &str, id: &str, text: &str| {
        let mail = proved(who, REQUEST, subject, id, text);
        assert_eq!(lmtp(daemon.address("lmtp"), who, &[REQUEST], &mail)[0].code, 250);
        let reply = format!("In-Reply-To: <{id}>");
        wait_for("the answer", || answers(&daemon, who).into_iter().find(|answer| answer.contains(&reply)))
    };
    let answer = ask("ana@example.org", "why <asked@example.org>", "w1@example.org", "");
    assert!(answer.contains("SG12RG-AMR ana@example.org: entregado al servidor de correo"), "{answer}");
    assert!(!answer.contains("ben@example.org"), "nobody learns about others: {answer}");
    let answer = ask("ben@example.org", "", "w2@example.org", "why asked@example.org\r\nwhy unknown@example.org\r\nset colour red");
    assert!(answer.contains("not sent: ben@example.org has switched off discuss in SG12RG-AMR"), "{answer}");
    assert!(answer.contains("No message with the Message-ID unknown@example.org was accepted here."), "{answer}");
    assert!(answer.contains("> set colour red\nNot understood: set colour red. It is written so: "), "{answer}");
    let answer = ask("ben@example.org", "which", "w3@example.org", "-- \r\nBen");
    assert!(answer.contains("SG12RG-AMR (ITU-T SG12 Regional Group for the Americas): active; each; announce;"), "{answer}");
}

#[test]
fn forty_commands_of_one_sender_get_ten_answers_a_day() {
    let daemon = Daemon::start(&Setup::default());
    let send = |n: usize, command: &str| {
        let to = ["sg12rg-amr-request@lists.example.org", "sg12-request@lists.example.org", "tsag-request@lists.example.org"][n % 3];
        let mail = proved("ana@example.org", to, command, &format!("h{n}@example.org"), "");
        lmtp(daemon.address("lmtp"), "ana@example.org", &[to], &mail)[0].clone()
    };
    for n in 0..40 {
        let answer = send(n, "help");
        assert_eq!(answer.code, if n < 10 { 250 } else { 451 }, "an answer is promised only where it goes out: {answer:?}");
    }
    let done = send(42, "subscribe");
    assert!(done.code == 250 && done.text.contains("done, without an answer"), "{done:?}");
    wait_for("the answers", || (answers(&daemon, "ana@example.org").len() == 10).then_some(()));
    let queue = daemon.json(&["queue", "list"]);
    assert_eq!((queue["planned"].as_u64(), queue["sent"].as_u64()), (Some(0), Some(10)), "{queue}");
}

#[test]
fn robots_are_never_answered() {
    let daemon = Daemon::start(&Setup::default());
    for (header, from) in [
        ("Auto-Submitted: auto-replied\r\n", "ana@example.org"),
        ("Precedence: bulk\r\n", "ana@example.org"),
        ("List-Id: <x.example.org>\r\n", "ana@example.org"),
        ("", ""),
    ] {
        let mut mail = header.as_bytes().to_vec();
        mail.extend(proved("ana@example.org", REQUEST, "help", &format!("r{}@example.org", header.len()), ""));
        let answer = &lmtp(daemon.address("lmtp"), from, &[REQUEST], &mail)[0];
        assert_eq!(answer.code, 550, "{header:?}: {answer:?}");
    }
    assert!(daemon.outbox().is_empty());
}

fn ask(daemon: &Daemon, who: &str, to: &str, id: &str, text: &str) -> String {
    let mail = proved(who, to, "", id, text);
    let answer = lmtp(daemon.address("lmtp"), who, &[to], &mail)[0].clone();
    assert_eq!(answer.code, 250, "{answer:?}");
    let reply = format!("In-Reply-To: <{id}>");
    wait_for("the answer", || answers(daemon, who).into_iter().find(|answer| answer.contains(&reply)))
}

#[test]
fn each_outcome_of_joining_and_leaving_has_its_own_mail() {
    let groups = GROUPS.replacen("region = \"africa\"", "region = \"africa\"\nsubscription = \"approve\"", 1);
    let daemon = Daemon::start(&Setup { groups: Some(groups), ..Setup::default() });
    let (join, leave) = ("sg12rg-afr-join@lists.example.org", "sg12rg-afr-leave@lists.example.org");
    let pending = ask(&daemon, "zoe@example.com", join, "j1@example.com", "");
    assert!(pending.contains("has reached the managers") && !pending.contains("Welcome"), "{pending}");
    let join = "sg12rg-amr-join@lists.example.org";
    let welcome = ask(&daemon, "ben@example.org", join, "j2@example.org", "");
    assert!(
        welcome.contains("Welcome to SG12RG-AMR") && welcome.contains("Languages: en\nDelivery: each message by itself\n"),
        "{welcome}"
    );
    let again = ask(&daemon, "ben@example.org", join, "j3@example.org", "");
    assert!(again.contains("You are subscribed to SG12RG-AMR already.") && !again.contains("Welcome"), "{again}");
    let never = ask(&daemon, "tsb@itu.example", leave, "j4@itu.example", "");
    assert!(never.contains("tsb@itu.example is not subscribed to SG12RG-AFR") && !never.contains("no longer"), "{never}");

    // Who had to say yes first is welcomed like who was proved.
    let mail = unproved("ana@example.org", REQUEST, "", "j5@example.org", "subscribe digest");
    assert_eq!(lmtp(daemon.address("lmtp"), "ana@example.org", &[REQUEST], &mail)[0].code, 250);
    let question = wait_for("the question", || answers(&daemon, "ana@example.org").pop());
    let start = question.find("sg12rg-amr-confirm+").unwrap();
    let to: String = question[start..].chars().take_while(|c| *c != '>' && !c.is_whitespace()).collect();
    let welcome = ask(&daemon, "ana@example.org", &to, "j6@example.org", "sí");
    assert!(welcome.contains("Entrega: en forma de resumen\n") && welcome.contains("Idiomas: es\n"), "{welcome}");
    assert_eq!(daemon.json(&["member", "list", "SG12RG-AMR"]).as_array().unwrap().iter().filter(|m| m["delivery"] == "digest").count(), 1);
}

#[test]
fn what_is_not_understood_of_a_command_is_told_and_not_guessed() {
    let daemon = Daemon::start(&Setup { more: "[limits]\nrobot_mail = 100\n".into(), ..Setup::default() });
    daemon.cli_ok(&["member", "add", "SG12RG-AMR", "ben@example.org", "caro@example.org"]);
    let answer = ask(&daemon, "ben@example.org", REQUEST, "u1@example.org", "unsubscribe caro@example.org");
    assert!(answer.contains("Not understood: unsubscribe caro@example.org. It is written so: unsubscribe"), "{answer}");
    let answer =
        ask(&daemon, "ben@example.org", REQUEST, "u2@example.org", "set language xx\r\nset delivery none until 2020-01-15\r\nwhich");
    assert!(answer.contains("\"xx\" is not a language of this service") && answer.contains("2020-01-15 is over"), "{answer}");
    assert!(answer.contains("): active; each; "), "{answer}");
    let rows = daemon.json(&["member", "list", "SG12RG-AMR"]);
    assert!(rows.as_array().unwrap().iter().all(|row| row["state"] == "active" && row["delivery"] == "each"), "{rows}");
    let refused = daemon.cli(&["member", "set", "SG12RG-AMR", "ben@example.org", "--delivery", "none", "--until", "2020-01-15"]);
    assert!(!refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("2020-01-15 is over"), "{refused:?}");
    let mail = proved("ben@example.org", REQUEST, "set colour red", "u3@example.org", "");
    assert_eq!(lmtp(daemon.address("lmtp"), "ben@example.org", &[REQUEST], &mail)[0].code, 250);
    let reply = "In-Reply-To: <u3@example.org>";
    let answer = wait_for("the answer", || answers(&daemon, "ben@example.org").into_iter().find(|answer| answer.contains(reply)));
    assert!(answer.contains("Not understood: set colour red."), "{answer}");
}
