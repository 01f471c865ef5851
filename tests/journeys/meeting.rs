//! A meeting from its file or mail to each reader's copy, with the clock walked through its plan.

use std::io::{Read, Write};
use std::net::TcpStream;

use super::support::client::{lmtp, proved};
use super::support::daemon::{Daemon, Setup, wait_for};

const ANNOUNCE: &str = "sg12rg-amr-announce@lists.example.org";
const SIX: [&str; 6] = ["en", "fr", "es", "ar", "zh", "ru"];

const FILE: &str = r#"[[meeting]]
id = "sg12rg-amr-2027"
groups = ["SG12RG-AMR"]
title = { en = "Meeting of SG12RG-AMR", es = "Reunión del SG12RG-AMR" }
start = 2027-04-06T09:30:00
end = 2027-04-07T17:30:00
timezone = "America/Mexico_City"
city = "Mexico City"
country = "MX"
remote_url = "https://meet.example.org/amr?pwd=1234"
status = "announced"
[[meeting.part]]
title = { en = "Workshop on quality of service", es = "Taller sobre calidad de servicio" }
start = 2027-04-05T09:30:00
end = 2027-04-05T17:30:00
audience = "open"
"#;

/// A daemon with one subscriber a language, its clock at `start`.
fn start(clock: &str) -> Daemon {
    let setup = Setup { arguments: vec!["--clock".into(), clock.into()], ..Setup::default() };
    let daemon = Daemon::start(&setup);
    let rows: String = SIX.iter().map(|l| format!("{l}@example.org,Reader {l},ties,member-state,MX,{l}\n")).collect();
    std::fs::write(daemon.path("readers.csv"), format!("email,name,kind,category,country,languages\n{rows}")).unwrap();
    daemon.cli_ok(&["account", "import", daemon.path("readers.csv").to_str().unwrap()]);
    let addresses: Vec<String> = SIX.iter().map(|l| format!("{l}@example.org")).collect();
    let mut words = vec!["member", "add", "SG12RG-AMR"];
    words.extend(addresses.iter().map(String::as_str));
    daemon.cli_ok(&words);
    daemon
}

/// Subject, text and raw octets of the copies to `address` whose raw form holds `mark`.
fn copies(daemon: &Daemon, address: &str, mark: &str) -> Vec<(String, String, String)> {
    let to = format!("\r\nDelivered-To: {address}\r\n");
    let outbox = daemon.outbox();
    let raw = outbox.iter().map(|copy| String::from_utf8_lossy(copy).into_owned()).filter(|copy| copy.contains(&to));
    raw.filter_map(|raw| {
        let parsed = mail_parser::MessageParser::default().parse(raw.as_bytes())?;
        let (subject, text) = (parsed.subject()?.to_owned(), parsed.body_text(0)?.replace("\r\n", "\n"));
        (subject.contains(mark) || text.contains(mark)).then_some((subject, text, raw.clone()))
    })
    .collect()
}

fn one(daemon: &Daemon, address: &str, mark: &str) -> (String, String, String) {
    let found =
        wait_for(&format!("a copy for {address} with {mark}"), || Some(copies(daemon, address, mark)).filter(|all| !all.is_empty()));
    assert_eq!(found.len(), 1, "{found:#?}");
    found.into_iter().next().unwrap()
}

fn get(daemon: &Daemon, path: &str, more: &str) -> (String, String) {
    let mut stream = TcpStream::connect(daemon.address("web")).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{more}\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

fn mail(daemon: &Daemon, id: &str, body: &str) -> (u16, String) {
    let message = proved("tsb@itu.example", ANNOUNCE, "Meeting", id, &body.replace('\n', "\r\n"));
    let answer = lmtp(daemon.address("lmtp"), "tsb@itu.example", &[ANNOUNCE], &message).remove(0);
    (answer.code, answer.text)
}

#[test]
fn a_meeting_is_announced_reminded_of_and_reported_in_six_languages() {
    let mut daemon = start("2026-12-01T10:00:00Z");
    let file = daemon.path("meeting.toml");
    std::fs::write(&file, FILE).unwrap();
    let file = file.to_str().unwrap();
    let dry = daemon.cli_ok(&["meeting", "apply", file, "--dry-run"]);
    assert!(dry.contains("Subject: [SG12RG-AMR] Meeting announcement: Meeting of SG12RG-AMR, Mexico City, 6-7 April 2027"), "{dry}");
    assert!(dry.contains("Asunto") || dry.contains("Anuncio de reunión") && dry.contains("With: invite.ics"), "{dry}");
    assert_eq!(daemon.json(&["meeting", "list"]), serde_json::json!([]));
    daemon.cli_ok(&["meeting", "apply", file]);

    for (language, subject, hour) in [
        (
            "en",
            "Meeting announcement: Meeting of SG12RG-AMR, Mexico City, 6-7 April 2027",
            "6 April 2027, 0930 hours (America/Mexico_City; 1530 hours UTC)",
        ),
        ("es", "Anuncio de reunión: Reunión del SG12RG-AMR, Mexico City, 6-7 de abril de 2027", "6 de abril de 2027, a las 09:30 horas"),
        ("fr", "6-7 avril 2027", "6 avril 2027, 09 h 30"),
        ("ru", "6-7 апреля 2027 года", "6 апреля 2027 года, 09:30"),
        ("zh", "2027年4月6-7日", "2027年4月6日 09:30"),
        ("ar", "\u{2066}6-7\u{2069} أبريل 2027", "6 أبريل 2027، \u{2066}09:30\u{2069}"),
    ] {
        let (found, text, raw) = one(&daemon, &format!("{language}@example.org"), "https://meet.example.org/amr");
        assert!(found.contains(subject), "{found}");
        assert!(text.contains(hour), "{hour}\n{text}");
        assert!(raw.contains(&format!("Content-Language: {language}\r\n")), "{raw}");
        assert!(raw.contains("method=PUBLISH") && raw.contains("filename=\"invite.ics\"") && !raw.contains("ATTENDEE"), "{raw}");
    }

    let (head, feed) = get(&daemon, "/groups/SG12RG-AMR/calendar.ics", "");
    assert!(head.starts_with("HTTP/1.1 200") && head.contains("text/calendar"), "{head}");
    assert!(feed.contains("UID:sg12rg-amr-2027@lists.example.org\r\n") && !feed.contains("1234"), "{feed}");
    let tag = head.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap().to_owned();
    assert!(get(&daemon, "/groups/sg12rg-amr/calendar.ics", &format!("If-None-Match: {tag}\r\n")).0.starts_with("HTTP/1.1 304"));
    let link = daemon.json(&["meeting", "feed", "es@example.org"])["link"].as_str().unwrap().to_owned();
    let path = link.strip_prefix("http://127.0.0.1:8025").unwrap();
    let (head, private) = get(&daemon, path, "");
    assert!(head.contains("private") && private.replace("\r\n ", "").contains("pwd=1234"), "{head}\n{private}");
    let renewed = daemon.json(&["meeting", "feed", "es@example.org", "--renew"])["link"].as_str().unwrap().to_owned();
    assert!(get(&daemon, path, "").0.starts_with("HTTP/1.1 404"), "the old address has ended");
    assert!(get(&daemon, renewed.strip_prefix("http://127.0.0.1:8025").unwrap(), "").0.starts_with("HTTP/1.1 200"));

    // Seven days before the contributions are due, at nine at the group's place; a day of sleep is made up for.
    daemon.restart_at("2027-03-18T15:01:00Z");
    let (subject, text, raw) = one(&daemon, "es@example.org", "Recordatorio");
    assert!(subject.contains("6-7 de abril de 2027") && text.contains("Presentación de contribuciones: 25 de marzo de 2027"), "{text}");
    assert!(!raw.contains("text/calendar"), "a reminder changes no calendar");
    daemon.restart_at("2027-04-04T15:01:00Z");
    let (_, text, _) = one(&daemon, "ru@example.org", "5 апреля 2027 года");
    assert!(text.contains("America/Mexico_City"), "{text}");

    daemon.restart_at("2027-04-20T10:00:00Z");
    std::fs::write(daemon.path("r1.pdf"), "%PDF-1.4\nreport\n").unwrap();
    let report = daemon.path("r1.pdf");
    let report = report.to_str().unwrap();
    let words = ["meeting", "report", "sg12rg-amr-2027", "--reference", "SG12RG-AMR-R1", "--file", report, "--attendance", "41"];
    daemon.cli_ok(&words);
    let (_, text, raw) = one(&daemon, "en@example.org", "SG12RG-AMR-R1");
    assert!(text.contains("Participants: 41") && raw.contains("filename=\"r1.pdf\""), "{text}");
    let plan = daemon.json(&["meeting", "plan", "sg12rg-amr-2027"]);
    let state = |kind: &str| plan["notices"].as_array().unwrap().iter().find(|n| n["kind"] == kind).unwrap()["state"].clone();
    assert_eq!((state("announcement"), state("report"), state("report-reminder")), ("sent".into(), "sent".into(), "skipped".into()));
    assert_eq!(daemon.json(&["meeting", "list"])[0]["state"], "reported");
}

#[test]
fn the_secretariat_mails_a_meeting_changes_it_and_is_told_what_was_understood() {
    let daemon = start("2026-12-01T10:00:00Z");
    let new = "Meeting: Meeting of SG12RG-AMR\nReunión: Reunión del SG12RG-AMR\nStart: 6 April 2027, 0930 hours\nEnd: 7 April 2027, 1730 hours\n\
               Time zone: America/Mexico_City\nCity: Mexico City\nCountry: MX\nRemote: https://meet.example.org/amr\nContributions: 26 March 2027\n\n-- \nTSB\n";
    let (code, text) = mail(&daemon, "m1@example.org", new);
    assert_eq!((code, text.contains("meeting sg12rg-amr-2027")), (250, true), "{text}");
    let (_, receipt, _) = one(&daemon, "tsb@itu.example", "sg12rg-amr-2027");
    assert!(receipt.contains("- Contributions: 26 March 2027\n") && receipt.contains("(computed)"), "{receipt}");
    let (_, spanish, _) = one(&daemon, "es@example.org", "Anuncio de reunión");
    assert!(
        spanish.contains("Reunión del SG12RG-AMR") && spanish.contains("- Presentación de contribuciones: 26 de marzo de 2027\n"),
        "{spanish}"
    );
    assert!(daemon.json(&["explain", "m1@example.org"])["recipients"].as_array().unwrap().is_empty(), "the mail itself goes to nobody");

    // The same mail again, by its Message-ID and as another mail: nothing changes.
    assert_eq!(mail(&daemon, "m1@example.org", new).0, 250);
    assert_eq!(mail(&daemon, "m1b@example.org", new).0, 250);
    let (code, text) = mail(&daemon, "m2@example.org", "Id: sg12rg-amr-2027\nCity: Puebla\n");
    assert_eq!(code, 250, "{text}");
    let (_, change, _) = one(&daemon, "en@example.org", "Puebla");
    assert!(change.contains("Venue: Puebla, MX (was: Mexico City, MX)"), "{change}");
    let show = daemon.json(&["meeting", "show", "sg12rg-amr-2027"]);
    assert_eq!((show["sequence"].clone(), show["history"].as_array().unwrap().len()), (1.into(), 1), "{show}");
    assert_eq!(daemon.json(&["meeting", "list"]).as_array().unwrap().len(), 1);

    for (id, body, wrong) in [
        ("b1", "Title: X\nStart: 2027-06-31 09:30\nEnd: 2027-06-31 10:30\n", "Start: \"2027-06-31 09:30\" is not understood"),
        ("b2", "Title: X\nStart: 2027-06-30 09:30\nEnd: 2027-06-29 10:30\n", "End: it ends"),
        ("b3", "Title: X\nStart: 2027-06-30\nTime zone: America/Mexiko\n", "Time zone: there is no time zone"),
        ("b4", "Title: X\nStart: 2027-06-30\nGroups: SG12RG-AMRX\n", "Groups: there is no group"),
        ("b5", "Title: X\nTitle: Y\nStart: 2027-06-30\n", "Title: it is said twice"),
        ("b6", "Id: nowhere\nCity: X\n", "there is no meeting nowhere"),
        ("b7", "Title: X\nStart: 2027-06-30\nRemote: javascript:alert(1)\n", "Remote: \"javascript:alert(1)\" is not a web address"),
    ] {
        let (code, text) = mail(&daemon, &format!("{id}@example.org"), body);
        assert_eq!((code, text.contains(wrong)), (550, true), "{body}: {text}");
    }
    assert_eq!(daemon.json(&["meeting", "list"]).as_array().unwrap().len(), 1);
    let words = "Dear colleagues,\nTitle: none\nStart: now\n";
    assert_eq!(mail(&daemon, "w1@example.org", words).0, 250);
    one(&daemon, "zh@example.org", "Dear colleagues");
}

#[test]
fn a_calendar_object_by_mail_is_a_meeting_and_its_cancellation_takes_it_back() {
    let daemon = start("2026-12-01T10:00:00Z");
    daemon.cli_ok(&["member", "set", "SG12RG-AMR", "fr@example.org", "--invitations", "true"]);
    let object = |method: &str| {
        format!(
            "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nMETHOD:{method}\r\nBEGIN:VEVENT\r\nUID:040000008200E00074C5B7101A82E008@itu.example\r\n\
             DTSTAMP:20261201T100000Z\r\nSUMMARY:Working session\r\nDTSTART;TZID=America/Bogota:20270512T090000\r\n\
             DTEND;TZID=America/Bogota:20270512T120000\r\nLOCATION:Bogotá\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
        )
    };
    let post = |id: &str, method: &str| {
        let message = format!(
            "Authentication-Results: mx.example.org; dkim=pass header.d=itu.example\r\nFrom: <tsb@itu.example>\r\nTo: <{ANNOUNCE}>\r\n\
             Subject: x\r\nMessage-ID: <{id}>\r\nDate: Tue, 01 Dec 2026 10:00:00 +0000\r\nMIME-Version: 1.0\r\n\
             Content-Type: text/calendar; charset=utf-8; method={method}\r\nContent-Transfer-Encoding: 8bit\r\n\r\n{}",
            object(method)
        );
        lmtp(daemon.address("lmtp"), "tsb@itu.example", &[ANNOUNCE], message.as_bytes()).remove(0)
    };
    assert_eq!(post("c1@example.org", "REQUEST").code, 250);
    let (_, text, raw) = one(&daemon, "en@example.org", "Working session");
    assert!(text.contains("12 May 2027, 0900 hours (America/Bogota; 1400 hours UTC)"), "{text}");
    assert!(raw.contains("method=PUBLISH"), "{raw}");
    let (_, _, raw) = one(&daemon, "fr@example.org", "Working session");
    assert!(raw.contains("method=REQUEST") && raw.contains("X-Enlace-Ref"), "she asked for an invitation of her own\n{raw}");
    let ics = daemon.cli_ok(&["meeting", "ics", "sg12rg-amr-2027"]);
    assert!(ics.contains("UID:040000008200E00074C5B7101A82E008@itu.example"), "the organizer's UID stays\n{ics}");
    assert_eq!(post("c2@example.org", "CANCEL").code, 250);
    wait_for("the cancellation", || (daemon.json(&["meeting", "list"])[0]["state"] == "cancelled").then_some(()));
    let raws = wait_for("its mails", || Some(copies(&daemon, "fr@example.org", "Working session")).filter(|all| all.len() == 2));
    assert!(raws.iter().any(|(_, _, raw)| raw.contains("method=CANCEL")));
    assert_eq!(post("c3@example.org", "REPLY").code, 250, "an answer to an invitation announces nothing: it is a mail like others");
}

#[test]
fn a_mailed_meeting_can_be_stopped_within_its_grace_time() {
    let groups = super::support::daemon::GROUPS.replace("grace = \"0\"", "grace = \"10 min\"");
    let setup = Setup { arguments: vec!["--clock".into(), "2026-12-01T10:00:00Z".into()], groups: Some(groups), ..Setup::default() };
    let mut daemon = Daemon::start(&setup);
    daemon.cli_ok(&["member", "add", "SG12RG-AMR", "ana@example.org"]);
    for (id, title) in [("g1@example.org", "First"), ("g2@example.org", "Second")] {
        assert_eq!(mail(&daemon, id, &format!("Title: {title}\nStart: 2027-06-30\nEnd: 2027-07-01\nTime zone: America/Lima\n")).0, 250);
    }
    let (_, receipt, _) = one(&daemon, "tsb@itu.example", "First");
    assert!(receipt.contains("in 10 minutes"), "{receipt}");
    let at = receipt.find("sg12rg-amr-moderate+").unwrap();
    let stop: String = receipt[at..].chars().take_while(|c| !c.is_whitespace()).collect();
    let answer = proved("tsb@itu.example", &stop, "Re", "g3@example.org", "stop");
    assert_eq!(lmtp(daemon.address("lmtp"), "tsb@itu.example", &[&stop], &answer)[0].code, 250);
    assert_eq!(daemon.json(&["meeting", "list"]), serde_json::json!([]), "nothing happens before the time is over");
    daemon.restart_at("2026-12-01T10:11:00Z");
    one(&daemon, "ana@example.org", "Second");
    assert!(copies(&daemon, "ana@example.org", "First").is_empty());
    assert_eq!(daemon.json(&["meeting", "list"]).as_array().unwrap().len(), 1);
}
