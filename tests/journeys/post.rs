//! The way of a post: in by LMTP or SMTP, judged before the answer, copies out, explained.

use super::support::client::{Client, lmtp, proved, smtp, unproved};
use super::support::daemon::{Daemon, Setup, wait_for};

const LIST: &str = "sg12rg-amr@lists.example.org";

fn with_members(setup: &Setup) -> Daemon {
    let daemon = Daemon::start(setup);
    daemon.cli_ok(&["member", "add", "SG12RG-AMR", "ana@example.org", "ben@example.org", "caro@example.org"]);
    daemon
}

fn sent(daemon: &Daemon, message_id: &str) -> usize {
    let explained = daemon.cli(&["--json", "explain", message_id]);
    if !explained.status.success() {
        return 0;
    }
    let explained: serde_json::Value = serde_json::from_slice(&explained.stdout).unwrap();
    explained["recipients"].as_array().unwrap().iter().filter(|r| r["state"] == "sent").count()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_proved_post_reaches_each_subscriber_once_and_is_explained() {
    let daemon = with_members(&Setup::default());
    let body = "Estimados colegas:\r\n\r\n.una línea con punto\r\n\tfin";
    let message = proved("ana@example.org", LIST, "Hola a todos", "post1@example.org", body);
    let answers = lmtp(daemon.address("lmtp"), "ana@example.org", &[LIST], &message);
    assert_eq!(answers[0].code, 250, "{answers:?}");
    wait_for("three copies", || (sent(&daemon, "post1@example.org") == 3).then_some(()));

    let copies = daemon.outbox();
    assert_eq!(copies.len(), 3);
    let original_body = &message[message.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4..];
    for copy in &copies {
        let split = copy.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4;
        assert_eq!(&copy[split..], original_body, "the body is passed on byte for byte");
        let header = text(&copy[..split]);
        for field in [
            "List-Id: ",
            "List-Help: ",
            "List-Owner: <mailto:sg12rg-amr-owner@lists.example.org>",
            "List-Post: <mailto:sg12rg-amr@lists.example.org>",
            "List-Subscribe: ",
            "List-Unsubscribe: <http://127.0.0.1:8025/u/",
            "List-Unsubscribe-Post: List-Unsubscribe=One-Click",
            "List-Archive: ",
            "Archived-At: ",
            "Precedence: list",
            "X-Enlace-Ref: ",
            "Message-ID: <post1@example.org>",
            "From: <ana@example.org>",
        ] {
            assert!(header.contains(field), "{field} is missing in\n{header}");
        }
        assert!(!header.contains("Auto-Submitted"), "the author wrote it, not a robot");
    }

    let explained = daemon.json(&["explain", "<post1@example.org>", "gus@example.net"]);
    assert_eq!(explained["recipients"][0]["state"], "suppressed");
    assert!(explained["recipients"][0]["reason"].as_str().unwrap().contains("not subscribed"));
    let explained = daemon.json(&["explain", "post1@example.org", "caro@example.org"]);
    assert_eq!(explained["group"], "SG12RG-AMR");
    assert_eq!(explained["recipients"].as_array().unwrap().len(), 1);
    assert_eq!(explained["recipients"][0]["state"], "sent");
    assert!(!explained["recipients"][0]["attempts"][0]["reply"].as_str().unwrap().is_empty());
    let queue = daemon.json(&["queue", "list"]);
    assert_eq!((queue["planned"].as_u64(), queue["sent"].as_u64()), (Some(0), Some(3)));
}

#[test]
fn who_is_not_subscribed_is_refused_in_the_session_with_a_plain_reason() {
    let daemon = with_members(&Setup::default());
    let message = proved("zoe@example.com", LIST, "Hello", "no1@example.com", "Hello");
    for answer in [
        lmtp(daemon.address("lmtp"), "zoe@example.com", &[LIST], &message)[0].clone(),
        smtp(daemon.address("smtp"), "zoe@example.com", &[LIST], &message),
    ] {
        assert_eq!(answer.code, 550, "{answer:?}");
        assert!(answer.text.contains("5.7.1 zoe@example.com is not subscribed to SG12RG-AMR"), "{answer:?}");
    }
    let unknown = lmtp(daemon.address("lmtp"), "ana@example.org", &["nobody@lists.example.org"], &message);
    assert_eq!(unknown[0].code, 550);
    assert!(unknown[0].text.starts_with("5.1.1"), "{unknown:?}");
    assert!(daemon.outbox().is_empty(), "a refusal is never followed by a mail");
}

#[test]
fn an_unproved_post_is_held_and_its_owner_is_asked_once() {
    let daemon = with_members(&Setup::default());
    let message = unproved("ana@example.org", LIST, "Sin firma", "held1@example.org", "texto");
    let answers = lmtp(daemon.address("lmtp"), "ana@example.org", &[LIST], &message);
    assert_eq!(answers[0].code, 250, "{answers:?}");
    let question = wait_for("the question", || daemon.outbox().into_iter().map(|copy| text(&copy)).find(|copy| copy.contains("-confirm+")));
    let hold = daemon.json(&["hold", "list"]);
    assert_eq!(hold.as_array().unwrap().len(), 1);
    assert_eq!(hold[0]["from"], "ana@example.org");
    assert_eq!(sent(&daemon, "held1@example.org"), 0);

    let start = question.find("sg12rg-amr-confirm+").unwrap();
    let reply_to: String = question[start..].chars().take_while(|c| *c != '>' && !c.is_whitespace()).collect();
    let robot = "From: <ana@example.org>\r\nSubject: Away\r\nAuto-Submitted: auto-replied\r\nMessage-ID: <vacation@example.org>\r\n\r\nI am away\r\n";
    let refused = lmtp(daemon.address("lmtp"), "ana@example.org", &[&reply_to], robot.as_bytes());
    assert_ne!(refused[0].code, 250, "an automatic reply confirms nothing");
    assert_eq!(daemon.json(&["hold", "list"]).as_array().unwrap().len(), 1);

    let yes = unproved("ana@example.org", &reply_to, "Re: question", "yes1@example.org", "yes");
    assert_eq!(lmtp(daemon.address("lmtp"), "ana@example.org", &[&reply_to], &yes)[0].code, 250);
    wait_for("three copies", || (sent(&daemon, "held1@example.org") == 3).then_some(()));
    let again = lmtp(daemon.address("lmtp"), "ana@example.org", &[&reply_to], &yes);
    assert_ne!(again[0].code, 250, "a token works once: {again:?}");
}

#[test]
fn a_message_injected_twice_is_one_post() {
    let mut daemon = with_members(&Setup::default());
    let message = proved("ben@example.org", LIST, "Twice", "twice@example.org", "once");
    for _ in 0..3 {
        assert_eq!(lmtp(daemon.address("lmtp"), "ben@example.org", &[LIST], &message)[0].code, 250);
    }
    wait_for("three copies", || (sent(&daemon, "twice@example.org") == 3).then_some(()));
    assert_eq!(daemon.outbox().len(), 3);
    // The answer got lost, and the mail server tries again after Enlace died and came back.
    daemon.kill();
    daemon.run();
    let again = lmtp(daemon.address("lmtp"), "ben@example.org", &[LIST], &message);
    assert_eq!(again[0].code, 250, "{again:?}");
    let other = proved("ben@example.org", LIST, "Other", "other@example.org", "twice");
    assert_eq!(lmtp(daemon.address("lmtp"), "ben@example.org", &[LIST], &other)[0].code, 250);
    wait_for("the next post", || (sent(&daemon, "other@example.org") == 3).then_some(()));
    assert_eq!(daemon.outbox().len(), 6);
}

#[test]
fn mail_to_the_owner_reaches_the_managers_and_else_the_secretariat() {
    let daemon = with_members(&Setup::default());
    let owner = "sg12rg-amr-owner@lists.example.org";
    let question = unproved("nobody@example.net", owner, "How do I join?", "own1@example.net", "Hello");
    assert_eq!(lmtp(daemon.address("lmtp"), "nobody@example.net", &[owner], &question)[0].code, 250);
    wait_for("the secretariat's copy", || (sent(&daemon, "own1@example.net") == 1).then_some(()));
    assert_eq!(daemon.json(&["explain", "own1@example.net"])["recipients"][0]["address"], "tsbsg12@itu.example");
    daemon.cli_ok(&["member", "set", "SG12RG-AMR", "caro@example.org", "--role", "manager"]);
    let question = unproved("nobody@example.net", owner, "How do I join?", "own2@example.net", "Hello");
    assert_eq!(lmtp(daemon.address("lmtp"), "nobody@example.net", &[owner], &question)[0].code, 250);
    wait_for("the manager's copy", || (sent(&daemon, "own2@example.net") == 1).then_some(()));
    assert_eq!(daemon.json(&["explain", "own2@example.net"])["recipients"][0]["address"], "caro@example.org");
    let header = text(daemon.outbox().last().unwrap());
    assert!(!header.contains("List-Unsubscribe"), "mail to the owner is no list mail: {header}");
}

#[test]
fn one_person_in_two_addressed_groups_gets_one_copy() {
    let daemon = with_members(&Setup::default());
    daemon.cli_ok(&["member", "add", "SG12", "ana@example.org", "ben@example.org", "zoe@example.com"]);
    let both = "sg12@lists.example.org, sg12rg-amr@lists.example.org";
    let message = proved("ana@example.org", both, "Both", "both@example.org", "text");
    let answers = lmtp(daemon.address("lmtp"), "ana@example.org", &["sg12@lists.example.org", LIST], &message);
    assert!(answers.iter().all(|answer| answer.code == 250), "{answers:?}");
    wait_for("four people", || (sent(&daemon, "both@example.org") == 4).then_some(()));
    assert_eq!(daemon.outbox().len(), 4);
    // The same in two transactions, as a mail server may do it.
    let message = proved("ana@example.org", both, "Both", "both2@example.org", "text");
    for list in ["sg12@lists.example.org", LIST] {
        assert_eq!(lmtp(daemon.address("lmtp"), "ana@example.org", &[list], &message)[0].code, 250);
        wait_for("planned", || (daemon.json(&["queue", "list"])["planned"] == 0).then_some(()));
    }
    wait_for("four people", || (sent(&daemon, "both2@example.org") == 4).then_some(()));
    assert_eq!(daemon.outbox().len(), 8);
    let explained = daemon.json(&["explain", "both2@example.org", "ben@example.org"]);
    let states: Vec<_> = explained["recipients"].as_array().unwrap().iter().map(|r| r["state"].as_str().unwrap()).collect();
    assert_eq!(states.iter().filter(|state| **state == "sent").count(), 1, "{explained}");
    assert!(explained.to_string().contains("gets it by SG12"), "{explained}");
}

#[test]
fn only_managers_and_the_secretariat_announce() {
    let daemon = with_members(&Setup::default());
    let to = "sg12rg-amr-announce@lists.example.org";
    let from_member = proved("ben@example.org", to, "Mine", "ann1@example.org", "x");
    let answer = &lmtp(daemon.address("lmtp"), "ben@example.org", &[to], &from_member)[0];
    assert_eq!(answer.code, 550, "{answer:?}");
    daemon.cli_ok(&["member", "set", "SG12RG-AMR", "caro@example.org", "--role", "manager"]);
    for (from, id) in [("caro@example.org", "ann2@example.org"), ("tsb@itu.example", "ann3@example.org")] {
        let message = proved(from, to, "Circular", id, "x");
        let answer = &lmtp(daemon.address("lmtp"), from, &[to], &message)[0];
        assert_eq!(answer.code, 250, "{answer:?}");
        wait_for("three copies", || (sent(&daemon, id) == 3).then_some(()));
    }
    let header = text(daemon.outbox().last().unwrap());
    assert!(header.contains("List-Post: <mailto:sg12rg-amr@") || header.contains("List-Post: NO"), "{header}");
}

#[test]
fn a_suspended_account_neither_posts_nor_receives_until_it_is_back() {
    let daemon = with_members(&Setup::default());
    daemon.cli_ok(&["account", "suspend", "ben@example.org"]);
    let members = daemon.json(&["member", "list", "SG12RG-AMR"]);
    let ben = members.as_array().unwrap().iter().find(|m| m["address"] == "ben@example.org").unwrap().clone();
    assert_eq!(ben["state"], "suspended");
    assert!(!ben["reason"].as_str().unwrap().is_empty());
    let message = proved("ben@example.org", LIST, "x", "s1@example.org", "x");
    assert_eq!(lmtp(daemon.address("lmtp"), "ben@example.org", &[LIST], &message)[0].code, 550);
    let message = proved("ana@example.org", LIST, "x", "s2@example.org", "x");
    assert_eq!(lmtp(daemon.address("lmtp"), "ana@example.org", &[LIST], &message)[0].code, 250);
    wait_for("two copies", || (sent(&daemon, "s2@example.org") == 2).then_some(()));
    let explained = daemon.json(&["explain", "s2@example.org", "ben@example.org"]);
    assert_eq!(explained["recipients"][0]["state"], "suppressed");
    assert!(explained["recipients"][0]["reason"].as_str().unwrap().contains("suspended"), "{explained}");
    daemon.cli_ok(&["account", "set", "ben@example.org", "standing=active"]);
    let members = daemon.json(&["member", "list", "SG12RG-AMR"]);
    assert!(members.as_array().unwrap().iter().any(|m| m["address"] == "ben@example.org" && m["state"] == "active"));
}

#[test]
fn sigterm_ends_in_order_and_nothing_is_lost() {
    let mut daemon = with_members(&Setup::default());
    let message = proved("ana@example.org", LIST, "x", "term@example.org", "x");
    assert_eq!(lmtp(daemon.address("lmtp"), "ana@example.org", &[LIST], &message)[0].code, 250);
    assert_eq!(daemon.stop(), Some(0));
    daemon.run();
    wait_for("three copies", || (sent(&daemon, "term@example.org") == 3).then_some(()));
    assert_eq!(daemon.outbox().len(), 3, "nobody gets a second copy after an orderly end");
}

#[test]
fn mail_to_a_role_reaches_who_holds_it_when_the_mail_comes() {
    let daemon = with_members(&Setup::default());
    let domain = "lists.example.org";
    daemon.cli_ok(&["member", "set", "SG12RG-AMR", "ben@example.org", "--role", "manager"]);
    let ask = |role: &str, id: &str| {
        let to = format!("sg12rg-amr-{role}@{domain}");
        let message = proved("zoe@example.com", &to, "A question", id, "Who decides?");
        let answers = lmtp(daemon.address("lmtp"), "zoe@example.com", &[&to], &message);
        assert_eq!(answers[0].code, 250, "{role}: {answers:?}");
        wait_for("the copy", || (sent(&daemon, id) == 1).then_some(()));
        let explained = daemon.json(&["explain", id]);
        explained["recipients"][0]["address"].as_str().unwrap().to_owned()
    };
    assert_eq!(ask("chairs", "chairs1@example.com"), "ben@example.org");
    assert_eq!(ask("tsb", "tsb1@example.com"), "tsbsg12@itu.example");
    daemon.cli_ok(&["member", "set", "SG12RG-AMR", "caro@example.org", "--role", "manager"]);
    daemon.cli_ok(&["member", "set", "SG12RG-AMR", "ben@example.org", "--role", "member"]);
    assert_eq!(ask("chairs", "chairs2@example.com"), "caro@example.org", "the address stays, its holder is another");
}

/// Answers to a message by LMTP, 250 each.
fn taken(daemon: &Daemon, from: &str, message: &[u8]) -> String {
    let answer = lmtp(daemon.address("lmtp"), from, &[LIST], message)[0].clone();
    assert_eq!(answer.code, 250, "{answer:?}");
    answer.text
}

#[test]
fn a_message_id_alone_swallows_no_mail() {
    let daemon = with_members(&Setup::default());
    let ana = "ana@example.org";
    // A stranger wrote first under the identifier that her mail has.
    taken(&daemon, ana, &unproved(ana, LIST, "Forged", "genuine@example.org", "not hers"));
    taken(&daemon, ana, &proved(ana, LIST, "Genuine", "genuine@example.org", "hers"));
    wait_for("her copies", || (sent(&daemon, "genuine@example.org") == 3).then_some(()));
    // Another author under the same identifier is another post, and the same mail again is none, whatever way it took.
    taken(&daemon, "ben@example.org", &proved("ben@example.org", LIST, "Mine", "genuine@example.org", "hers"));
    wait_for("his copies", || (sent(&daemon, "genuine@example.org") == 6).then_some(()));
    let again = [
        b"Received: from b.example by c.example; Tue, 6 Apr 2027 10:01:00 +0000\r\n",
        &proved(ana, LIST, "Genuine", "genuine@example.org", "hers")[..],
    ]
    .concat();
    assert!(taken(&daemon, ana, &again).contains("accepted before"));

    // First without a proof, then once more with one: hers goes out, and the other waits for nobody.
    taken(&daemon, ana, &unproved(ana, LIST, "Forged header", "twice@example.org", "the same words"));
    let held = daemon.json(&["hold", "list"]).as_array().unwrap().len();
    taken(&daemon, ana, &proved(ana, LIST, "Her header", "twice@example.org", "the same words"));
    wait_for("the proved copies", || (sent(&daemon, "twice@example.org") == 3).then_some(()));
    assert!(taken(&daemon, ana, &proved(ana, LIST, "Her header", "twice@example.org", "the same words")).contains("accepted before"));
    assert!(taken(&daemon, ana, &unproved(ana, LIST, "Forged header", "twice@example.org", "the same words")).contains("accepted before"));
    assert_eq!(daemon.json(&["hold", "list"]).as_array().unwrap().len(), held - 1);
    assert!(daemon.cli_ok(&["audit"]).contains("hold supersede"));

    // What a moderator dropped can be sent anew, and is one post then however often it comes.
    taken(&daemon, ana, &unproved(ana, LIST, "Dropped", "dropped@example.org", "words"));
    let rows = daemon.json(&["hold", "list"]);
    let id = rows.as_array().unwrap().iter().find(|row| row["subject"] == "Dropped").unwrap()["id"].as_str().unwrap().to_owned();
    daemon.cli_ok(&["hold", "discard", &id]);
    let why = daemon.json(&["explain", "dropped@example.org", "ben@example.org"]);
    assert!(why["recipients"][0]["reason"].as_str().unwrap().starts_with("discarded by a moderator on "), "{why}");
    for _ in 0..2 {
        taken(&daemon, ana, &proved(ana, LIST, "Dropped", "dropped@example.org", "words"));
    }
    wait_for("the copies", || (sent(&daemon, "dropped@example.org") == 3).then_some(()));
    assert_eq!(
        daemon.outbox().iter().filter(|copy| text(copy).contains("Message-ID: <")).filter(|copy| !text(copy).contains(".robot@")).count(),
        12
    );
}

#[test]
fn eight_tries_of_one_mail_at_once_are_one_post() {
    let daemon = with_members(&Setup::default());
    let ana = "ana@example.org";
    taken(&daemon, ana, &unproved(ana, LIST, "Forged", "race@example.org", "not hers"));
    let mail = proved(ana, LIST, "Genuine", "race@example.org", "hers");
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| taken(&daemon, ana, &mail));
        }
    });
    wait_for("the copies", || (sent(&daemon, "race@example.org") == 3).then_some(()));
    let explained = daemon.json(&["explain", "race@example.org"]);
    assert_eq!(explained["recipients"].as_array().unwrap().len(), 3, "{explained}");
}

#[test]
fn a_refusal_that_smtp_cannot_say_reaches_its_author_and_is_explained() {
    let daemon = with_members(&Setup { more: "[limits]\ngroup_mails = 2\n".into(), ..Setup::default() });
    daemon.cli_ok(&["member", "add", "SG12", "ana@example.org"]);
    let (ana, tsag, sg12) = ("ana@example.org", "tsag@lists.example.org", "sg12@lists.example.org");
    let mail = proved(ana, LIST, "To two lists", "mixed@example.org", "Hello");
    assert_eq!(smtp(daemon.address("smtp"), ana, &[LIST, tsag, "SG12RG-AMR@lists.example.org"], &mail).code, 250);
    let told = wait_for("the refusal", || daemon.outbox().iter().map(|copy| text(copy)).find(|copy| copy.contains(".robot@")));
    assert!(told.contains("To: Ana Example <ana@example.org>") && told.contains("TSAG: su mensaje ha sido rechazado"), "{told}");
    wait_for("the copies", || (sent(&daemon, "mixed@example.org") == 3).then_some(()));
    let explained = daemon.json(&["explain", "mixed@example.org"]);
    assert!(explained["trail"].to_string().contains("rejected: ana@example.org is not subscribed to TSAG"), "{explained}");
    assert!(daemon.outbox().iter().all(|copy| !text(copy).contains("X-Enlace-Groups")), "one list under two spellings is one list");

    // A list that wants it later has the whole message come again; who took it knows it then.
    let mail = proved(ana, LIST, "Busy", "busy@example.org", "Hello");
    assert_eq!(smtp(daemon.address("smtp"), ana, &[LIST], &mail).code, 250);
    for _ in 0..2 {
        assert_eq!(smtp(daemon.address("smtp"), ana, &[sg12, LIST], &proved(ana, sg12, "Busy", "later@example.org", "Hello")).code, 451);
    }
    wait_for("one copy", || (sent(&daemon, "later@example.org") == 1).then_some(()));
    assert_eq!(daemon.json(&["explain", "later@example.org"])["recipients"].as_array().unwrap().len(), 1);
    let answers = lmtp(daemon.address("lmtp"), ana, &[sg12, tsag], &proved(ana, sg12, "Each", "each@example.org", "Hello"));
    assert_eq!(answers[1].code, 550, "over LMTP each has its own answer: {answers:?}");
}

#[test]
fn a_robot_is_told_which_address_it_wrote_to() {
    let daemon = with_members(&Setup::default());
    let mail = "From: <ana@example.org>\r\nSubject: help\r\nAuto-Submitted: auto-replied\r\nMessage-ID: <away@example.org>\r\n\r\nx\r\n";
    for to in ["sg12rg-amr-request@lists.example.org", "sg12rg-amr-owner@lists.example.org"] {
        let answer = lmtp(daemon.address("lmtp"), "ana@example.org", &[to], mail.as_bytes())[0].clone();
        assert!(answer.code == 550 && answer.text.contains(to), "{answer:?}");
    }
}

#[test]
fn postmaster_and_abuse_reach_who_runs_the_service() {
    let daemon = Daemon::start(&Setup::default());
    let mail = unproved("eve@example.com", "abuse@lists.example.org", "Complaint", "abuse1@example.com", "You sent me this.");
    for to in ["postmaster@lists.example.org", "Abuse@lists.example.org"] {
        let nobody = lmtp(daemon.address("lmtp"), "eve@example.com", &[to], &mail)[0].clone();
        assert!(nobody.code == 550 && nobody.text.contains("no account has the role operator"), "{nobody:?}");
    }
    assert!(daemon.cli(&["check"]).stdout.windows(9).any(|words| words == b"operators"));
    daemon.cli_ok(&["account", "set", "ben@example.org", "roles=operator"]);
    assert_eq!(smtp(daemon.address("smtp"), "eve@example.com", &["Abuse@lists.example.org"], &mail).code, 250);
    let mail = unproved("eve@example.com", "postmaster@lists.example.org", "Question", "pm1@example.com", "Who are you?");
    let mut client = Client::connect(daemon.address("smtp"), "EHLO");
    let (rcpt, answers) = client.transaction(false, "eve@example.com", &["postmaster"], &mail);
    assert_eq!((rcpt[0].code, answers[0].code), (250, 250), "without a domain too");
    for id in ["abuse1@example.com", "pm1@example.com"] {
        wait_for("the mail", || (sent(&daemon, id) == 1).then_some(()));
        assert_eq!(daemon.json(&["explain", id])["recipients"][0]["address"], "ben@example.org");
    }
}
