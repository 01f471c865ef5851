//! Hostile senders and hostile mails against the running daemon, each test named after its attack (SECURITY.md).

use std::time::{Duration, Instant};

use enlace::mail::write::{self, Automatic, File, Letter, Mailbox};
use enlace::mail::{content, headers, message};
use enlace::web::page::rich;

use crate::support::client::{Client, lmtp, proved};
use crate::support::daemon::{Daemon, Setup, wait_for};

const LIST: &str = "sg12rg-amr@lists.example.org";
const ANNOUNCE: &str = "sg12rg-amr-announce@lists.example.org";

fn with_members() -> Daemon {
    let daemon = Daemon::start(&Setup::default());
    daemon.cli_ok(&["member", "add", "SG12RG-AMR", "ana@example.org", "ben@example.org"]);
    daemon.cli_ok(&["member", "add", "SG12RG-AMR", "caro@example.org", "--role", "manager"]);
    daemon
}

fn send(daemon: &Daemon, from: &str, to: &str, message: &str) -> u16 {
    lmtp(daemon.address("lmtp"), from, &[to], message.as_bytes())[0].code
}

/// Copies of a message, as text.
fn copies(daemon: &Daemon, id: &str) -> Vec<String> {
    let all = daemon.outbox().into_iter().map(|copy| String::from_utf8_lossy(&copy).into_owned());
    all.filter(|copy| copy.contains(&format!("<{id}>"))).collect()
}

/// A proved post that goes through behind whatever was tried: when its copies are there, nothing else is on its way.
fn honest(daemon: &Daemon, to: &str, id: &str) {
    let message = proved("caro@example.org", to, "Honest", id, "Text");
    assert_eq!(lmtp(daemon.address("lmtp"), "caro@example.org", &[to], &message)[0].code, 250);
    wait_for("the honest copies", || (copies(daemon, id).len() == 3).then_some(()));
}

#[test]
fn s1_forged_headers_and_envelopes_open_no_gate() {
    let daemon = with_members();
    let (ana, caro, eve) = ("ana@example.org", "caro@example.org", "eve@evil.test");
    let mut number = 0;
    for (envelope, fields) in [
        (ana, format!("From: {ana}\r\n")),
        (eve, format!("From: {ana}\r\nSender: {eve}\r\n")),
        (eve, format!("From: {eve}\r\nSender: {ana}\r\n")),
        (eve, format!("From: {eve}\r\nReply-To: {ana}\r\n")),
        (eve, format!("From: {eve}\r\nResent-From: {ana}\r\n")),
        (ana, format!("From: {eve}\r\n")),
        (ana, format!("From: {ana}\r\nReceived: from mail.example.org (authenticated ana@example.org) by mx.example.org with ESMTPSA\r\n")),
        (ana, format!("From: {ana}\r\nX-Authenticated-Sender: {ana}\r\nX-Enlace-Ref: 1\r\n")),
        (ana, format!("Authentication-Results: evil.test; dkim=pass header.d=example.org\r\nFrom: {ana}\r\n")),
        (ana, format!("Received-SPF: pass (mx.example.org) client-ip=127.0.0.1; envelope-from={ana}\r\nFrom: {ana}\r\n")),
        (ana, format!("ARC-Authentication-Results: i=1; mx.example.org; dkim=pass header.d=example.org\r\nFrom: {ana}\r\n")),
        (eve, format!("From: {ana}\r\nFrom: {eve}\r\n")),
        (eve, format!("From: {ana}, {eve}\r\n")),
        (eve, format!("From: \"{ana}\" <{eve}>\r\n")),
        (caro, format!("From: {caro}\r\nApproved: secret\r\n")),
    ] {
        for to in [LIST, ANNOUNCE] {
            number += 1;
            let message = format!(
                "{fields}To: {to}\r\nSubject: x\r\nDate: Tue, 06 Apr 2027 10:00:00 +0000\r\nMessage-ID: <s1-{number}@x.test>\r\n\r\nx\r\n"
            );
            send(&daemon, envelope, to, &message);
        }
    }
    honest(&daemon, LIST, "s1-honest@x.test");
    for number in 1..=number {
        let distributed: Vec<_> =
            copies(&daemon, &format!("s1-{number}@x.test")).into_iter().filter(|copy| copy.contains("List-Id:")).collect();
        assert!(distributed.is_empty(), "{}", distributed[0]);
    }
}

#[test]
fn s4_results_of_a_client_outside_the_trusted_networks_do_not_count() {
    let mut daemon = Daemon::prepare(&Setup::default());
    let file = daemon.path("enlace.toml");
    let config = std::fs::read_to_string(&file).unwrap().replace("127.0.0.0/8", "127.0.0.2/32");
    std::fs::write(&file, config).unwrap();
    daemon.cli_ok(&["member", "add", "SG12RG-AMR", "ana@example.org", "ben@example.org"]);
    daemon.run();
    let message = proved("ana@example.org", LIST, "x", "s4@example.org", "x");
    assert_eq!(lmtp(daemon.address("lmtp"), "ana@example.org", &[LIST], &message)[0].code, 250, "held, not lost");
    let held = daemon.json(&["hold", "list"]);
    assert_eq!(held.as_array().unwrap().len(), 1, "{held}");
    assert_eq!(held[0]["from"], "ana@example.org");
}

#[test]
fn s7_a_second_field_on_top_of_a_proved_announcement_is_asked_about() {
    let daemon = with_members();
    for field in ["Subject: Cancelled\r\n", "To: x@x.test\r\n", "Date: Mon, 05 Apr 2027 10:00:00 +0000\r\n", "Message-ID: <y@x.test>\r\n"] {
        let id = format!("s7-{}@x.test", field.len());
        let message = String::from_utf8(proved("caro@example.org", ANNOUNCE, "Meeting", &id, "Text")).unwrap();
        assert_eq!(send(&daemon, "caro@example.org", ANNOUNCE, &format!("{field}{message}")), 250, "{field}");
    }
    assert_eq!(daemon.json(&["hold", "list"]).as_array().unwrap().len(), 4, "all four wait for their author");
    honest(&daemon, ANNOUNCE, "s7-honest@x.test");
    // A signature that leaves out what readers see, of the very domain that the relay found good.
    let signed = "DKIM-Signature: v=1; a=rsa-sha256; d=example.org; s=s; h=From; bh=AAAA; b=AAAA\r\n";
    let message = String::from_utf8(proved("caro@example.org", ANNOUNCE, "Meeting", "s7-weak@x.test", "Text")).unwrap();
    assert_eq!(send(&daemon, "caro@example.org", ANNOUNCE, &format!("{signed}{message}")), 250);
    assert_eq!(daemon.json(&["hold", "list"]).as_array().unwrap().len(), 5);
    // The same from her own domain's server is no replay: many providers never sign To.
    let both = message.replace("dkim=pass", "spf=pass smtp.mailfrom=example.org; dkim=pass").replace("s7-weak@", "s7-spf@");
    assert_eq!(send(&daemon, "caro@example.org", ANNOUNCE, &format!("{signed}{both}")), 250);
    wait_for("the copies", || (copies(&daemon, "s7-spf@x.test").len() == 3).then_some(()));
}

#[test]
fn c2_many_parts_names_references_and_words_are_answered_quickly() {
    let daemon = with_members();
    let head = "Authentication-Results: mx.example.org; dkim=pass header.d=example.org\r\nFrom: ana@example.org\r\n";
    let boundaries: String = (0..5_000).map(|n| format!("--{}\r\n\r\nx\r\n", "b".repeat(n % 60 + 1))).collect();
    let mut otherwise = Vec::new();
    for (what, expected, fields, body) in [
        ("references", 250, format!("References:{}\r\n", "\r\n <a@b>".repeat(25_000)), String::new()),
        ("recipients", 250, format!("To:{}\r\n", "\r\n a@b.test,".repeat(18_000)), String::new()),
        ("comments", 0, format!("To: {}x{} <a@b.test>\r\n", "(".repeat(40_000), ")".repeat(40_000)), String::new()),
        ("groups", 554, format!("To: {}\r\n", "g:;".repeat(60_000)), String::new()),
        ("encoded words", 250, format!("Subject:{}\r\n", "\r\n =?utf-8?B?eA==?=".repeat(12_000)), String::new()),
        ("parameters", 250, format!("Content-Type: text/plain;{}\r\n", "\r\n name*0*=x;".repeat(18_000)), String::new()),
        ("fields", 554, "X-A: b\r\n".repeat(40_000), String::new()),
        ("boundaries", 0, "Content-Type: multipart/mixed; boundary=b\r\n".to_owned(), boundaries),
        ("parts", 554, "Content-Type: multipart/mixed; boundary=b\r\n".to_owned(), "--b\r\n\r\nx\r\n".repeat(100_000)),
        ("tags", 250, "Content-Type: text/html\r\n".to_owned(), "<div>\r\n".repeat(100_000)),
    ] {
        let began = Instant::now();
        let message = format!("{head}{fields}Message-ID: <c2-{}@x.test>\r\n\r\n{body}", what.replace(' ', ""));
        let code = send(&daemon, "ana@example.org", LIST, &message);
        assert!(began.elapsed() < Duration::from_secs(5), "{what}: {code} in {:?}", began.elapsed());
        // What is over a bound is refused by it; 0 is for what may be read or refused.
        if code != expected && expected != 0 {
            otherwise.push(format!("{what}: {code}"));
        }
    }
    assert!(otherwise.is_empty(), "{otherwise:?}");
    honest(&daemon, LIST, "c2-honest@x.test");
}

/// A letter with a text wherever a text of somebody else can stand.
fn written(text: &str) -> Letter {
    Letter {
        from: Mailbox::named(text, "sg12@lists.example.org"),
        to: vec![Mailbox::named(text, "ana@example.org")],
        cc: vec![Mailbox::named(text, "ben@example.org")],
        reply_to: Some(Mailbox::named(text, "sg12@lists.example.org")),
        subject: text.to_owned(),
        message_id: format!("1{text}@x.test"),
        date: "2027-04-06T10:00:00+00:00".parse().unwrap(),
        language: None,
        automatic: Automatic::Generated,
        in_reply_to: Some(format!("2{text}@x.test")),
        references: vec![format!("3{text}@x.test")],
        text: "x".into(),
        html: None,
        calendar: None,
        files: vec![File { name: text.to_owned(), content_type: "text/plain".into(), bytes: b"y".to_vec() }],
    }
}

#[test]
fn c3_no_name_subject_or_reason_becomes_a_field() {
    // Strangers' posts of the other list wait for a manager, who rejects one below.
    let groups = crate::support::daemon::GROUPS.replace("code = \"SG12RG-AMR\"", "code = \"SG12RG-AMR\"\nnonmember = \"hold\"");
    let daemon = Daemon::start(&Setup { groups: Some(groups), ..Setup::default() });
    daemon.cli_ok(&["member", "add", "SG12RG-AMR", "ana@example.org", "ben@example.org"]);
    daemon.cli_ok(&["member", "add", "SG12RG-AMR", "caro@example.org", "--role", "manager"]);
    let evil = [
        "x\r\nX-Injected: 1",
        "x\nBcc: eve@evil.test",
        "x\r\n\r\nX-Injected: 1",
        "x\u{85}X-Injected: 1",
        "x\u{2028}X-Injected: 1",
        "x\0X-Injected: 1",
    ];
    let words = |text: &str| {
        let base = data_encoding::BASE64.encode(text.as_bytes());
        let quoted: String = text.bytes().map(|octet| format!("={octet:02X}")).collect();
        [format!("=?utf-8?B?{base}?="), format!("=?iso-8859-1?Q?{quoted}?="), format!("=?utf-7?B?{base}?="), format!("=?utf-16?B?{base}?=")]
    };
    let mut number = 0;
    for text in evil {
        for word in words(text) {
            for fields in [
                format!("From: ana@example.org\r\nSubject: {word}\r\n"),
                format!("From: {word} <ana@example.org>\r\nSubject: x\r\n"),
                format!("From: ana@example.org\r\nTo: {word} <sg12rg-amr@lists.example.org>\r\nSubject: x\r\n"),
            ] {
                number += 1;
                let proof = "Authentication-Results: mx.example.org; dkim=pass header.d=example.org\r\n";
                send(&daemon, "ana@example.org", LIST, &format!("{proof}{fields}Message-ID: <c3-{number}@x.test>\r\n\r\nx\r\n"));
            }
        }
    }
    // The writer by itself, whatever was cleaned before it.
    for text in evil {
        let octets = String::from_utf8(write::letter(&written(text))).unwrap();
        for line in octets.split("\r\n") {
            let name = line.split(':').next().unwrap().to_ascii_lowercase();
            assert!(name != "x-injected" && name != "bcc", "{text:?}: {octets}");
        }
        assert!(!octets.replace("\r\n", "").contains(['\r', '\n', '\0']), "{text:?}: {octets:?}");
    }
    // A reason with line ends in it, to a proved stranger's held post.
    let message = proved("zoe@elsewhere.test", LIST, "x", "c3-held@x.test", "x");
    assert_eq!(lmtp(daemon.address("lmtp"), "zoe@elsewhere.test", &[LIST], &message)[0].code, 250);
    let held = daemon.json(&["hold", "list"]);
    let held = held.as_array().unwrap().iter().find(|held| held["from"] == "zoe@elsewhere.test").expect("it is held");
    let reason = "no thanks\r\nX-Injected: 1\r\nBcc: eve@evil.test";
    daemon.cli_ok(&["hold", "reject", held["id"].as_str().unwrap(), "--reason", reason]);
    wait_for("the rejection", || daemon.outbox().iter().any(|copy| String::from_utf8_lossy(copy).contains("no thanks")).then_some(()));
    honest(&daemon, LIST, "c3-honest@x.test");
    for copy in daemon.outbox() {
        let text = String::from_utf8_lossy(&copy).into_owned();
        let head = text.split("\r\n\r\n").next().unwrap();
        for line in head.split("\r\n") {
            let name = line.split(':').next().unwrap().to_ascii_lowercase();
            assert!(name != "x-injected" && name != "bcc", "{text}");
        }
        assert!(!text.replace("\r\n", "").contains(['\r', '\n', '\0']), "m1: a bare line end left: {text:?}");
    }
    // What people write into files is refused with its line, or cleaned.
    let groups =
        "[[group]]\ncode = \"EVIL\"\nkind = \"other\"\nlist = \"evil\\r\\nX-Injected: 1\"\nname = { en = \"x\\r\\nX-Injected: 1\" }\n";
    std::fs::write(daemon.path("evil.toml"), groups).unwrap();
    let refused = daemon.cli(&["group", "apply", daemon.path("evil.toml").to_str().unwrap()]);
    assert!(!refused.status.success(), "{}", String::from_utf8_lossy(&refused.stdout));
    std::fs::write(
        daemon.path("evil.csv"),
        "email,name,kind\n\"eve@evil.test\r\nX-Injected: 1\",Eve,guest\nok@x.test,\"x\r\nX-Injected: 1\",guest\n",
    )
    .unwrap();
    let imported = daemon.cli(&["account", "import", daemon.path("evil.csv").to_str().unwrap()]);
    assert!(!imported.status.success(), "the address with a line end is refused");
    for account in daemon.json(&["account", "list"]).as_array().unwrap() {
        assert!(
            !account["name"].as_str().unwrap().contains(['\r', '\n']) && !account["address"].as_str().unwrap().contains(['\r', '\n']),
            "{account}"
        );
    }
}

#[test]
fn c4_forged_list_receipt_and_trust_fields_are_gone_and_the_body_is_the_same() {
    let daemon = with_members();
    let body = "First line \r\n\r\n.dot\r\n..dots\r\nend  \r\n\r\n";
    let forged = "List-Id: <evil>\r\nList-Post: <mailto:evil@evil.test>\r\nLIST-UNSUBSCRIBE: <https://evil.test/>\r\nList-Archive: <https://evil.test/>\r\n\
        List-Evil: x\r\nErrors-To: evil@evil.test\r\nReturn-Path: <evil@evil.test>\r\nSender: evil@evil.test\r\nX-Enlace-Ref2: evil\r\nX-Enlace-Groups: evil\r\n\
        Archived-At: <https://evil.test/>\r\nBcc: evil@evil.test\r\nResent-Bcc: evil@evil.test\r\nResent-From: evil@evil.test\r\n\
        Disposition-Notification-To: evil@evil.test\r\nReturn-Receipt-To: evil@evil.test\r\nX-Confirm-Reading-To: evil@evil.test\r\n\
        Authentication-Results: evil.test; dkim=pass\r\nReceived-SPF: pass evil\r\nDelivered-To: evil@evil.test\r\nApproved: evil\r\nX-Approved: evil\r\n";
    let proof = "Authentication-Results: mx.example.org; dkim=pass header.d=example.org\r\n";
    let message = format!(
        "{proof}{forged}From: Ana <ana@example.org>\r\nTo: {LIST}\r\nSubject: Hola\r\nMessage-ID: <c4@x.test>\r\nDate: Tue, 06 Apr 2027 10:00:00 +0000\r\n\r\n{body}"
    );
    // A forged List-Id makes it look like a robot's, so it may be refused; without it, it goes out clean.
    let code = send(&daemon, "ana@example.org", LIST, &message);
    let message = message.replace("List-Id: <evil>\r\n", "");
    let again = send(&daemon, "ana@example.org", LIST, &message);
    assert!(code == 250 || again == 250, "{code} {again}");
    let copies = wait_for("the copies", || Some(copies(&daemon, "c4@x.test")).filter(|copies| copies.len() == 3));
    for copy in copies {
        let (head, rest) = copy.split_once("\r\n\r\n").unwrap();
        assert!(!head.to_lowercase().contains("evil"), "{head}");
        assert_eq!(rest, body, "byte for byte");
        for name in ["List-Id", "List-Post", "List-Archive", "Archived-At", "From", "Subject", "Message-ID"] {
            assert_eq!(
                head.matches(&format!("\r\n{name}: ")).count() + usize::from(head.starts_with(&format!("{name}: "))),
                1,
                "{name}: {head}"
            );
        }
    }
}

#[test]
fn m5_nobody_learns_who_is_subscribed_and_m3_nothing_is_relayed() {
    let daemon = with_members();
    let mut client = Client::connect(daemon.address("smtp"), "EHLO");
    let answer = |client: &mut Client, line: &str, name: &str| {
        let answer = client.command(line);
        (answer.code, format!("{answer:?}").replace(name, "NAME"))
    };
    // A member and nobody get one answer.
    for (line, code) in [("VRFY NAME@example.org", 252), ("VRFY NAME", 252), ("EXPN sg12rg-amr", 502), ("EXPN NAME", 502)] {
        let [member, nobody] = ["ana", "zoe"].map(|name| answer(&mut client, &line.replace("NAME", name), name));
        assert_eq!((member.0, &member), (code, &nobody), "{line}");
    }
    // Neither the null sender nor one of our own opens the way to another domain.
    for sender in ["", LIST, "ana@lists.example.org"] {
        assert_eq!(client.command(&format!("MAIL FROM:<{sender}>")).code, 250);
        for odd in [
            "NAME@example.org",
            "NAME%example.org@lists.example.org",
            "example.org!NAME@lists.example.org",
            "\"NAME@example.org\"@lists.example.org",
            "@lists.example.org:NAME@example.org",
            "NAME@[127.0.0.1]",
            "sg12rg-amr+NAME@lists.example.org",
            "NAME@lists.example.org",
            "postmaster@NAME.test",
        ] {
            let [member, nobody] =
                ["ana", "zoe"].map(|name| answer(&mut client, &format!("RCPT TO:<{}>", odd.replace("NAME", name)), name));
            assert_eq!((member.0, &member), (550, &nobody), "{odd} from {sender:?}");
        }
        assert_eq!(client.command("RSET").code, 250);
    }
}

/// Bodies in charsets that hide what they are, and texts that turn or hide what stands beside them.
#[test]
fn c8_no_charset_brings_in_controls_markup_or_turned_text() {
    let bodies: [(&str, &[u8]); 9] = [
        ("utf-7", b"+ADw-script+AD4-alert(1)+ADw-/script+AD4- +AAA-+ABs-[2J"),
        ("iso-2022-jp", b"\x1b$B<script>\x1b(B \x1b[2J"),
        ("iso-2022-kr", b"\x1b$)C\x0e<script>\x0f"),
        ("utf-8", b"\xc0\xbcscript\xc0\xbe \xe0\x80\xbc \x1b]0;x\x07"),
        ("utf-8", b"\xc2\x9b31m \xc2\x85X-Injected: 1"),
        ("iso-8859-1", b"\x9b31m \x85"),
        ("windows-1252", b"\x1b[2J \x81"),
        ("x-no-such", b"\x1b[2J \xff\xfe"),
        ("us-ascii", b"\x08\x08\x08gone \x7f"),
    ];
    for (charset, body) in bodies {
        for kind in ["plain", "html"] {
            let mut message = format!(
                "From: eve@evil.test\r\nSubject: =?{charset}?B?{}?=\r\nContent-Type: text/{kind}; charset={charset}\r\nContent-Transfer-Encoding: 8bit\r\n\r\n",
                data_encoding::BASE64.encode(body)
            )
            .into_bytes();
            message.extend_from_slice(body);
            message.extend_from_slice(b"\r\n");
            let text = content::text_body(&content::parse(&message).unwrap(), 10_000);
            assert!(!text.chars().any(|c| c.is_control() && c != '\n' && c != '\t'), "{charset} {kind}: {text:?}");
            let subject = message::read(&message).unwrap().subject;
            assert!(!subject.chars().any(char::is_control), "{charset}: {subject:?}");
            if let Some(html) = rich::html_of(&message) {
                assert!(!html.to_lowercase().contains("<script") && !html.contains('\u{1b}'), "{charset}: {html}");
            }
        }
    }
    // What turns the reading direction or cannot be seen is neither in what we write nor obeyed by a terminal.
    for turned in ['\u{202a}', '\u{202d}', '\u{202e}', '\u{200e}', '\u{200f}', '\u{feff}', '\u{2028}', '\u{2029}'] {
        let field = headers::HeaderText::new(&format!("a{turned}b"));
        assert!(!field.as_str().contains(turned), "{turned:?}");
        let shown = enlace::cli::report::plain(&format!("a{turned}b"));
        assert!(!shown.contains(turned), "{turned:?}");
    }
}

#[test]
fn s10_a_moderator_is_told_whom_a_stranger_looks_like() {
    let groups = crate::support::daemon::GROUPS.replace("code = \"SG12RG-AMR\"", "code = \"SG12RG-AMR\"\nnonmember = \"hold\"");
    let daemon = Daemon::start(&Setup { groups: Some(groups), ..Setup::default() });
    daemon.cli_ok(&["member", "add", "SG12RG-AMR", "ana@example.org", "ben@example.org"]);
    daemon.cli_ok(&["member", "add", "SG12RG-AMR", "caro@example.org", "--role", "manager"]);
    for (number, stranger) in ["\u{430}na@example.org", "zoe@elsewhere.test"].into_iter().enumerate() {
        let message = format!("From: <{stranger}>\r\nTo: {LIST}\r\nSubject: x\r\nMessage-ID: <s10-{number}@x.test>\r\n\r\nx\r\n");
        assert_eq!(send(&daemon, "eve@evil.test", LIST, &message), 250, "held, not taken for the member");
    }
    let held = daemon.json(&["hold", "list"]);
    let likes: Vec<_> = held
        .as_array()
        .unwrap()
        .iter()
        .map(|post| daemon.json(&["hold", "show", post["id"].as_str().unwrap()])["looks_like"].clone())
        .collect();
    assert_eq!(likes, [serde_json::json!("ana@example.org"), serde_json::Value::Null]);
    let notices = wait_for("the notices", || {
        // Quoted-printable breaks long lines anywhere.
        let all: Vec<_> = daemon.outbox().into_iter().map(|copy| String::from_utf8_lossy(&copy).replace("=\r\n", "")).collect();
        (all.len() == 2).then_some(all)
    });
    assert_eq!(notices.iter().filter(|notice| notice.contains("ana@example.org")).count(), 1, "{notices:?}");
}

#[test]
fn w3_no_secret_of_a_full_run_is_in_the_logs() {
    let mut daemon = Daemon::prepare(&Setup::default());
    daemon.cli_ok(&["member", "add", "SG12RG-AMR", "ana@example.org", "ben@example.org"]);
    daemon.cli_with_input(&["account", "password", "ana@example.org"], "a password that is long\n");
    let token = daemon.json(&["token", "create", "--name", "n", "--scope", "read"])["token"].as_str().unwrap().to_owned();
    daemon.run_with_log("trace");
    let message = proved("ana@example.org", LIST, "x", "w3@x.test", "Text");
    assert_eq!(lmtp(daemon.address("lmtp"), "ana@example.org", &[LIST], &message)[0].code, 250);
    // An unproved one: a question with a token goes out.
    let message = String::from_utf8(message).unwrap().replace("dkim=pass", "dkim=fail").replace("w3@", "w3b@");
    assert_eq!(send(&daemon, "ana@example.org", LIST, &message), 250);
    let secrets = wait_for("copies and the question", || {
        let text: String = daemon.outbox().iter().map(|copy| String::from_utf8_lossy(copy).replace("=\r\n", "")).collect();
        let behind = |mark: &str| -> Vec<String> {
            let ends = |c: char| !(c.is_ascii_lowercase() || ('2'..='7').contains(&c));
            text.match_indices(mark)
                .map(|(at, _)| text[at + mark.len()..].split(ends).next().unwrap().to_owned())
                .filter(|token| token.len() > 20)
                .collect()
        };
        let (clicks, questions) = (behind("/u/"), behind("-confirm+"));
        (clicks.len() >= 2 && !questions.is_empty()).then(|| [clicks, questions].concat())
    });
    let mut page = std::net::TcpStream::connect(daemon.address("web")).unwrap();
    let request = format!("GET /api/v1/groups HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n");
    std::io::Write::write_all(&mut page, request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    std::io::Read::read_to_end(&mut page, &mut answer).unwrap();
    daemon.stop();
    let log = daemon.log();
    assert!(log.contains("TRACE") || log.contains("DEBUG"), "the log is verbose");
    for secret in secrets.iter().map(String::as_str).chain(["a password that is long", token.as_str()]) {
        assert!(!log.contains(secret), "a secret is in the log: {}", log.lines().find(|line| line.contains(secret)).unwrap_or_default());
    }
}

#[test]
fn w8_a_mail_writes_no_line_of_its_own_into_the_log() {
    let daemon = with_members();
    let mut client = Client::connect(daemon.address("smtp"), "EHLO");
    client.command("EHLO evil\u{1b}[31m");
    client.command("MAIL FROM:<\"x ERROR forged\"@evil.test>");
    let message = "From: \"x\u{1b}[2J\" <eve@evil.test>\r\nSubject: =?utf-8?B?eA0KMjAyNi0wMS0wMVQwMDowMDowMFogRVJST1IgZm9yZ2Vk?=\r\nMessage-ID: <w8\u{1b}@x.test>\r\n\r\nx\r\n";
    send(&daemon, "eve@evil.test", LIST, message);
    honest(&daemon, LIST, "w8-honest@x.test");
    let log = daemon.log();
    assert!(!log.contains('\u{1b}') && log.lines().all(|line| !line.starts_with("2026-01-01T00:00:00Z")), "{log}");
}
