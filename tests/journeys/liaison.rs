//! A liaison statement from the secretariat's mail to each reader's edition, its receipt, its corrections and its end.

use std::time::Duration;

use serde_json::Value;

use super::document::{docx, paragraph, row, table};
use super::support::client::{Reply, lmtp, smtp};
use super::support::daemon::{Daemon, GROUPS, Setup, wait_for};
use super::support::postfix::{Ports, Postfix, Sink, free_port};

const LIAISON: &str = "sg12rg-amr-liaison@lists.example.org";
const TSB: &str = "tsb@itu.example";

/// A file of a mail.
struct File<'a> {
    name: &'a str,
    bytes: Vec<u8>,
}

fn base64(bytes: &[u8]) -> String {
    let text = data_encoding::BASE64.encode(bytes);
    text.as_bytes().chunks(76).map(|line| String::from_utf8_lossy(line).into_owned()).collect::<Vec<_>>().join("\r\n")
}

/// A mail of the secretariat with files; `more` are further header fields.
fn mail(from: &str, id: &str, subject: &str, more: &str, text: &str, files: &[File<'_>]) -> Vec<u8> {
    let domain = from.rsplit_once('@').unwrap().1;
    let mut out = format!(
        "Authentication-Results: mx.example.org; dkim=pass header.d={domain}\r\n{more}From: TSB <{from}>\r\nTo: {LIAISON}\r\nSubject: {subject}\r\nMessage-ID: <{id}>\r\nDate: Tue, 06 Apr 2027 10:00:00 +0000\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"b\"\r\n\r\n--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{}\r\n",
        text.replace('\n', "\r\n")
    );
    for file in files {
        out.push_str(&format!(
            "--b\r\nContent-Type: application/vnd.openxmlformats-officedocument.wordprocessingml.document\r\nContent-Disposition: attachment; filename=\"{}\"\r\nContent-Transfer-Encoding: base64\r\n\r\n{}\r\n",
            file.name,
            base64(&file.bytes)
        ));
    }
    out.push_str("--b--\r\n");
    out.into_bytes()
}

/// A document with a header table of these rows.
fn docx_of_rows(rows: &[Vec<&str>]) -> Vec<u8> {
    let rows: Vec<String> = rows.iter().map(|cells| row(cells)).collect();
    docx(&(table(&rows) + &paragraph("Text of the statement.")))
}

fn english() -> File<'static> {
    let rows = [
        vec!["Question(s):", "ALL/12", "Mexico City, 28 September 2026"],
        vec!["Source:", "ITU-T SG12RG-AMR"],
        vec!["Title:", "LS/o on the creation of a regional group [to TSAG]"],
        vec!["For action to:", "-"],
        vec!["For information to:", "TSAG, IETF"],
        vec!["Approval:", "ITU-T SG12 meeting (Mexico City, 28 September 2026)"],
        vec!["Deadline:", "N/A"],
        vec!["Contact:", "Ana Example", "Tel: +41 22 000 0000\nE-mail: contact@itu.example"],
        vec!["Abstract:", "This statement informs TSAG."],
    ];
    File { name: "T25-SG12-260928-TD-GEN-0364!!MSW-E.docx", bytes: docx_of_rows(&rows) }
}

fn spanish() -> File<'static> {
    let rows = [
        vec!["Cuestión(es):", "ALL/12", "Ciudad de México, 28 de septiembre de 2026"],
        vec!["Origen:", "SG12RG-AMR del UIT-T"],
        vec!["Título:", "LS/o sobre la creación de un grupo regional [to TSAG]"],
        vec!["Para acción a:", "-"],
        vec!["Para información a:", "GANT, IETF"],
        vec!["Aprobación:", "Reunión de la CE 12 del UIT-T (Ciudad de México, 28 de septiembre de 2026)"],
        vec!["Plazo:", "N/A"],
        vec!["Contacto:", "Ana Example", "Tel.: +41 22 000 0000\nCorreo-e: contact@itu.example"],
    ];
    File { name: "T25-SG12-260928-TD-GEN-0364!!MSW-S.docx", bytes: docx_of_rows(&rows) }
}

/// A label block with everything that the rules want, for information to TSAG.
fn block(title: &str) -> String {
    format!(
        "Source: ITU-T SG12RG-AMR\nTitle: {title}\nFor action to: -\nFor information to: TSAG\nQuestion(s): 7/12\nApproval: ITU-T SG12 meeting (Mexico City, 28 September 2026)\nDeadline: N/A\nContact: Ana Example, contact@itu.example\n\nText of the statement.\n"
    )
}

fn with_members(setup: &Setup) -> Daemon {
    let mut daemon = Daemon::prepare(setup);
    members(&daemon);
    daemon.run();
    daemon
}

fn members(daemon: &Daemon) {
    daemon.cli_ok(&["member", "add", "SG12RG-AMR", "ana@example.org", "--languages", "es"]);
    daemon.cli_ok(&["member", "add", "SG12RG-AMR", "ben@example.org", "--languages", "en"]);
    daemon.cli_ok(&["member", "add", "SG12RG-AMR", "caro@example.org", "--languages", "es,en", "--both", "true"]);
    daemon.cli_ok(&["member", "add", "SG12RG-AMR", "gus@example.net", "--invite"]);
}

fn post(daemon: &Daemon, from: &str, message: &[u8]) -> Reply {
    lmtp(daemon.address("lmtp"), from, &[LIAISON], message)[0].clone()
}

fn only(daemon: &Daemon) -> Value {
    let list = daemon.json(&["liaison", "list", "--group", "SG12RG-AMR"]);
    assert_eq!(list.as_array().unwrap().len(), 1, "{list}");
    daemon.json(&["liaison", "show", list[0]["id"].as_str().unwrap()])
}

/// `address: state language rule`, one a recipient, of the post that went out `at`.
fn explained(daemon: &Daemon, shown: &Value, at: usize) -> Vec<String> {
    let id = shown["posts"][at]["message_id"].as_str().unwrap();
    let explained = wait_for("everybody has a final state", || {
        let explained = daemon.json(&["explain", id]);
        let open = explained["recipients"].as_array().unwrap().iter().any(|r| r["state"] == "planned" || r["state"] == "deferred");
        (!open && explained["recipients"].as_array().unwrap().len() > 3).then_some(explained)
    });
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let mut lines: Vec<String> = explained["recipients"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| format!("{}: {} {} {}", text(&r["address"]), text(&r["state"]), text(&r["language"]), text(&r["rule"])))
        .collect();
    lines.sort();
    lines
}

fn circulated(daemon: &Daemon, posts: usize) -> Value {
    wait_for("the statement goes out", || {
        let shown = only(daemon);
        (shown["posts"].as_array().unwrap().len() >= posts).then_some(shown)
    })
}

fn copies(daemon: &Daemon, to: &str) -> Vec<String> {
    let of = |copy: &Vec<u8>| String::from_utf8_lossy(copy).into_owned();
    daemon.outbox().iter().map(of).filter(|copy| copy.lines().take(8).any(|line| line == format!("Delivered-To: {to}"))).collect()
}

fn decoded(copy: &str) -> (String, String, Vec<String>) {
    let parsed = enlace::mail::content::parse(copy.as_bytes()).unwrap();
    let files = enlace::mail::content::attachments(&parsed, 10_000_000).into_iter().map(|file| file.name).collect();
    (parsed.subject().unwrap_or_default().to_owned(), enlace::mail::content::text_body(&parsed, 100_000), files)
}

#[test]
fn two_documents_reach_each_reader_in_the_right_edition_and_explain_names_the_rule() {
    let daemon = with_members(&Setup::default());
    let message = mail(TSB, "ls1@itu.example", "Liaison statement", "", "Please find attached.", &[english(), spanish()]);
    let answer = post(&daemon, TSB, &message);
    assert_eq!(answer.code, 250, "{answer:?}");
    let shown = circulated(&daemon, 1);
    assert_eq!(shown["state"], "circulated", "{shown}");
    assert_eq!((shown["number"].as_u64(), shown["direction"].as_str()), (Some(1), Some("outgoing")));
    assert_eq!(shown["title"]["es"], "LS/o sobre la creación de un grupo regional [to TSAG]");
    assert_eq!(shown["problems"].as_array().unwrap().iter().map(|p| p["rule"].as_str().unwrap()).collect::<Vec<_>>(), ["V12"]);
    let expected = [
        "IETF: suppressed en no-address",
        "ana@example.org: sent es subscriber",
        "ben@example.org: sent en subscriber",
        "caro@example.org: sent es subscriber",
        "contact@itu.example: sent en contact-copy",
        "gus@example.net: sent es subscriber",
        "tsbsg12@itu.example: sent en secretariat-copy",
        "tsbtsag@itu.example: sent en destination",
    ];
    assert_eq!(explained(&daemon, &shown, 0), expected);
    let never = daemon.json(&["explain", shown["posts"][0]["message_id"].as_str().unwrap(), "zoe@example.com"]);
    assert_eq!(never["recipients"][0]["state"], "suppressed");
    assert!(never["recipients"][0]["reason"].as_str().unwrap().contains("not subscribed"), "{never}");
    // The secretariat's own Message-ID leads to the same readers.
    let of_mail = daemon.json(&["explain", "ls1@itu.example", "ben@example.org"]);
    assert_eq!(of_mail["recipients"][0]["state"], "sent", "{of_mail}");

    let (subject, text, files) = decoded(&copies(&daemon, "ana@example.org")[0]);
    assert_eq!(subject, "[SG12RG-AMR] SG12-TD364 LS/o sobre la creación de un grupo regional [to TSAG]");
    assert!(text.starts_with("Documento: SG12-TD364\nOrigen: SG12RG-AMR del UIT-T\n") || text.contains("Origen: "), "{text}");
    assert_eq!(files, ["T25-SG12-260928-TD-GEN-0364!!MSW-S.docx"]);
    let raw = &copies(&daemon, "ana@example.org")[0];
    let id = shown["id"].as_str().unwrap();
    for field in [
        "Content-Language: es\r\n",
        "Auto-Submitted: auto-generated\r\n",
        "List-Post: NO\r\n",
        "List-Unsubscribe-Post: ",
        &format!("Message-ID: <{id}.r0.es@lists.example.org>"),
    ] {
        assert!(raw.contains(field), "{field} is missing in\n{raw}");
    }
    let both = &copies(&daemon, "caro@example.org")[0];
    assert!(both.contains("Content-Language: es, en\r\n"), "{both}");
    let (_, text, files) = decoded(both);
    assert_eq!(files.len(), 2);
    assert!(text.find("Origen: ").unwrap() < text.find("Source: ").unwrap(), "her language leads:\n{text}");
    let (_, cover, files) = decoded(&copies(&daemon, "gus@example.net")[0]);
    assert!(files.is_empty() && cover.contains("TIES") && cover.contains(&format!("/liaisons/{id}")), "{cover}");
    assert!(!cover.contains("Resumen") && !cover.contains("Text"), "a guest gets the cover only:\n{cover}");
    let tsag = &copies(&daemon, "tsbtsag@itu.example")[0];
    assert!(tsag.contains("Content-Language: en\r\n") && !tsag.contains("List-Unsubscribe-Post"), "a body has no one-click link:\n{tsag}");

    let receipt = wait_for("the receipt", || copies(&daemon, TSB).into_iter().next());
    let (subject, text, _) = decoded(&receipt);
    assert!(subject.starts_with("[SG12RG-AMR] Receipt: SG12-TD364"), "{subject}");
    for part in [
        "Source: ITU-T SG12RG-AMR [found in: table of T25-SG12-260928-TD-GEN-0364!!MSW-E.docx]",
        "Document: SG12-TD364",
        "SG12RG-AMR: 4 subscribers - subscriber of SG12RG-AMR",
        "tsbtsag@itu.example (en) - destination TSAG, for information",
        "no address is known for IETF",
        "note V12: ",
        "sg12rg-amr-moderate+",
    ] {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }

    // The same again is no second circulation, whoever repeats it.
    assert_eq!(post(&daemon, TSB, &message).code, 250);
    let again = mail(TSB, "ls1-again@itu.example", "Liaison statement", "", "Once more.", &[english(), spanish()]);
    let answer = post(&daemon, TSB, &again);
    assert!(answer.code == 250 && answer.text.contains("known already"), "{answer:?}");
    assert_eq!(only(&daemon)["posts"].as_array().unwrap().len(), 1);
    let rest = daemon.json(&["liaison", "export"]);
    assert_eq!(rest.as_array().unwrap().len(), daemon.json(&["liaison", "list"]).as_array().unwrap().len());
    assert!(daemon.cli_ok(&["liaison", "export", "--group", "SG12RG-AMR"]).contains("sha256:"));
    let mbox = daemon.cli_ok(&["liaison", "export", "--group", "SG12RG-AMR", "--format", "mbox"]);
    assert_eq!(mbox.lines().filter(|line| line.starts_with("From enlace@")).count(), 4, "manifest, one mail in, two editions out");
}

#[test]
fn nobody_but_the_proved_secretariat_liaises() {
    let daemon = with_members(&Setup::default());
    daemon.cli_ok(&["account", "set", "zoe@example.com", "roles=tsb", "category=associate"]);
    for (from, reason) in [
        ("ben@example.org", "ben@example.org is not of the secretariat of SG12RG-AMR"),
        ("gus@example.net", "guest accounts are excluded by Resolution 54"),
        ("zoe@example.com", "Associate accounts are excluded by Resolution 54"),
        ("nobody@outside.example", "nobody@outside.example is not of the secretariat"),
    ] {
        let message = mail(from, &format!("no-{from}"), "LS", "", &block("LS/o on X"), &[]);
        let answer = post(&daemon, from, &message);
        assert_eq!(answer.code, 550, "{answer:?}");
        assert!(answer.text.contains(reason), "{answer:?}");
        let any = lmtp(daemon.address("lmtp"), from, &["liaison@lists.example.org"], &message)[0].clone();
        assert_eq!(any.code, 550, "{any:?}");
    }
    assert!(daemon.outbox().is_empty(), "a refusal is never followed by a mail");

    // From the secretariat's address, but not proved: held, asked, never circulated before the answer.
    let unproved = String::from_utf8(mail(TSB, "unproved@itu.example", "LS", "", &block("LS/o on a thing"), &[])).unwrap();
    let unproved = unproved.replacen("dkim=pass", "dkim=fail", 1);
    let answer = post(&daemon, TSB, unproved.as_bytes());
    assert!(answer.code == 250 && answer.text.contains("held until"), "{answer:?}");
    let question = wait_for("the question", || copies(&daemon, TSB).into_iter().find(|copy| copy.contains("-confirm+")));
    let held = daemon.json(&["hold", "list"]);
    assert_eq!(held.as_array().unwrap().len(), 1);
    let released = daemon.cli(&["hold", "release", held[0]["id"].as_str().unwrap()]);
    assert!(!released.status.success(), "nobody overrides the right to liaise");
    assert_eq!(daemon.json(&["liaison", "list", "--group", "SG12RG-AMR"]).as_array().unwrap().len(), 0);
    let token = address_in(&question, "sg12rg-amr-confirm+");
    let yes = format!("From: <{TSB}>\r\nTo: <{token}>\r\nSubject: yes\r\nMessage-ID: <yes@itu.example>\r\n\r\nyes\r\n");
    assert_eq!(lmtp(daemon.address("lmtp"), TSB, &[&token], yes.as_bytes())[0].code, 250);
    assert_eq!(circulated(&daemon, 1)["state"], "circulated");
    assert_eq!(lmtp(daemon.address("lmtp"), TSB, &[&token], yes.as_bytes())[0].code, 550, "once");
    assert!(daemon.json(&["hold", "list"]).as_array().unwrap().is_empty());
}

fn address_in(text: &str, front: &str) -> String {
    let unfolded = text.replace("=\r\n", "");
    let start = unfolded.find(front).unwrap_or_else(|| panic!("no {front} in\n{text}"));
    unfolded[start..].chars().take_while(|c| *c != '>' && !c.is_whitespace()).collect()
}

#[test]
fn errors_hold_it_until_an_answer_to_the_receipt_mends_them() {
    let daemon = with_members(&Setup::default());
    let text = block("LS/o on measurements").replace("For action to: -", "For action to: SG2");
    let answer = post(&daemon, TSB, &mail(TSB, "held@itu.example", "LS", "", &text, &[]));
    assert_eq!(answer.code, 250, "{answer:?}");
    let shown = only(&daemon);
    assert_eq!((shown["state"].as_str(), shown["number"].as_u64()), (Some("held"), None), "{shown}");
    let rules: Vec<_> = shown["problems"].as_array().unwrap().iter().filter(|p| p["level"] == "error").map(|p| p["rule"].clone()).collect();
    assert_eq!(rules, ["V2"]);
    let id = shown["id"].as_str().unwrap().to_owned();
    let refused = daemon.cli(&["liaison", "circulate", &id]);
    assert!(!refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("V2"), "errors are not overridden");

    let receipt = wait_for("the receipt", || copies(&daemon, TSB).into_iter().next());
    let (subject, text, _) = decoded(&receipt);
    assert!(subject.contains("Held") && text.contains("error V2: action is requested of SG2"), "{subject}\n{text}");
    let reply_to = address_in(&receipt, "sg12rg-amr-moderate+");
    let reply = |id: &str, body: &str| {
        let reply = format!(
            "From: <{TSB}>\r\nTo: <{reply_to}>\r\nSubject: Re: Held\r\nMessage-ID: <{id}>\r\n\r\n{body}\r\n> Deadline: 1 January 2020\r\n"
        );
        lmtp(daemon.address("lmtp"), TSB, &[&reply_to], reply.as_bytes())[0].clone()
    };
    let nothing = reply("r0@itu.example", "Thank you.");
    assert!(nothing.code == 550 && nothing.text.contains("Deadline: 22 January 2027"), "{nothing:?}");
    assert_eq!(reply("r1@itu.example", "Fecha límite: 22 de enero de 2031\r\n").code, 250);
    let shown = circulated(&daemon, 1);
    assert_eq!(
        (shown["state"].as_str(), shown["deadline"].as_str(), shown["number"].as_u64()),
        (Some("awaiting-reply"), Some("2031-01-22"), Some(1)),
        "{shown}"
    );
    assert_eq!(shown["reminders"].as_array().unwrap().len(), 9);
    let late = reply("r2@itu.example", "Deadline: 23 January 2031\r\n");
    assert!(late.code == 550 && late.text.contains("R1"), "what is out is corrected by an issue: {late:?}");

    // A reply is found by the symbol it names, and ends the waiting.
    let answering = "Source: ITU-T SG2\nTitle: LS/r on measurements (reply to SG12RG-AMR-LS1) [to SG12RG-AMR]\nFor information to: ITU-T SG12RG-AMR\nApproval: ITU-T SG2 meeting (Geneva, 1 December 2026)\nContact: Bo Example, bo@itu.example\n\nDone.\n".to_string();
    assert_eq!(post(&daemon, TSB, &mail(TSB, "reply@itu.example", "LS/r", "", &answering, &[])).code, 250);
    let answered = wait_for("the answer is linked", || {
        let shown = daemon.json(&["liaison", "show", &id]);
        (shown["state"] == "answered").then_some(shown)
    });
    assert_eq!(answered["answers"].as_array().unwrap().len(), 1);
    assert!(answered["reminders"].as_array().unwrap().is_empty());
    daemon.cli_ok(&["liaison", "close", "SG12RG-AMR-LS1"]);
    assert_eq!(daemon.json(&["liaison", "show", &id])["state"], "closed");
    assert!(!daemon.cli(&["liaison", "close", &id]).status.success());
}

#[test]
fn a_late_language_reaches_those_who_wait_a_correction_everybody_a_withdrawal_whoever_got_it() {
    let daemon = with_members(&Setup::default());
    let english_only = mail(TSB, "late1@itu.example", "LS", "", "Attached.", &[english()]);
    assert_eq!(post(&daemon, TSB, &english_only).code, 250);
    let shown = circulated(&daemon, 1);
    let first = explained(&daemon, &shown, 0);
    assert!(first.contains(&"ana@example.org: suppressed en awaits-edition".to_owned()), "{first:?}");
    assert!(first.contains(&"ben@example.org: sent en subscriber".to_owned()), "{first:?}");

    let spanish_later = mail(TSB, "late2@itu.example", "La misma", "", "Adjunto.", &[spanish()]);
    let answer = post(&daemon, TSB, &spanish_later);
    assert!(answer.code == 250 && answer.text.contains("further language"), "{answer:?}");
    let shown = circulated(&daemon, 2);
    assert_eq!(shown["editions"].as_array().unwrap().len(), 2);
    wait_for("both posts are done", || {
        (copies(&daemon, "caro@example.org").len() == 1 && copies(&daemon, "ana@example.org").len() == 1).then_some(())
    });
    assert_eq!(copies(&daemon, "ben@example.org").len(), 1, "he had what he reads");
    assert_eq!(copies(&daemon, "tsbtsag@itu.example").len(), 1, "bodies had English");
    let late = &copies(&daemon, "ana@example.org")[0];
    let id = shown["id"].as_str().unwrap();
    assert!(late.contains(&format!("References: <{id}.r0.en@lists.example.org>")), "threaded:\n{late}");

    let mut corrected = [english(), spanish()];
    corrected[0].name = "T25-SG12-260928-TD-GEN-0364!R1!MSW-E.docx";
    corrected[1].name = "T25-SG12-260928-TD-GEN-0364!R1!MSW-S.docx";
    let answer = post(&daemon, TSB, &mail(TSB, "r1@itu.example", "LS R1", "", "Corrected.", &corrected));
    assert!(answer.code == 250 && answer.text.contains("correction"), "{answer:?}");
    let shown = circulated(&daemon, 3);
    assert_eq!(shown["symbol"], "SG12-TD364R1");
    wait_for("everybody gets the correction", || {
        (["ana@example.org", "ben@example.org", "caro@example.org"].iter().all(|who| copies(&daemon, who).len() == 2)).then_some(())
    });
    let (subject, text, _) = decoded(&copies(&daemon, "ben@example.org")[1]);
    assert!(subject.contains("SG12-TD364R1") && text.starts_with("This issue corrects"), "{subject}\n{text}");

    daemon.cli_ok(&["liaison", "withdraw", "SG12-TD364R1", "--reason", "Sent in error"]);
    wait_for("everybody gets the notice", || {
        (["ana@example.org", "ben@example.org", "caro@example.org", "gus@example.net", "tsbtsag@itu.example"]
            .iter()
            .all(|who| copies(&daemon, who).last().is_some_and(|copy| copy.contains(".withdrawn."))))
        .then_some(())
    });
    let (subject, text, _) = decoded(copies(&daemon, "ana@example.org").last().unwrap());
    assert!(subject.contains("Retirada") && text.contains("Sent in error"), "{subject}\n{text}");
    assert_eq!(daemon.json(&["liaison", "show", id])["state"], "withdrawn");
}

#[test]
fn within_its_grace_time_a_statement_is_stopped_by_the_receipt_and_nobody_hears_of_it() {
    let groups = GROUPS.replace("grace = \"0\"", "grace = \"10 min\"");
    let daemon = with_members(&Setup { groups: Some(groups), ..Setup::default() });
    assert_eq!(post(&daemon, TSB, &mail(TSB, "g1@itu.example", "LS", "", &block("LS/o on grace"), &[])).code, 250);
    let receipt = wait_for("the receipt", || copies(&daemon, TSB).into_iter().next());
    let (_, text, _) = decoded(&receipt);
    let stop =
        text.lines().find_map(|line| line.split_once("To stop it, write to ")).map(|(_, address)| address.trim().to_owned()).unwrap();
    let confirm = text
        .lines()
        .find_map(|line| line.split_once("To send it at once, write to "))
        .map(|(_, address)| address.trim().to_owned())
        .unwrap();
    assert_eq!(only(&daemon)["state"], "accepted");
    let empty = |id: &str| format!("From: <{TSB}>\r\nSubject: x\r\nMessage-ID: <{id}>\r\n\r\n\r\n");
    assert_eq!(lmtp(daemon.address("lmtp"), TSB, &[&stop], empty("s1@x.test").as_bytes())[0].code, 250);
    assert_eq!(only(&daemon)["state"], "withdrawn");
    let too_late = lmtp(daemon.address("lmtp"), TSB, &[&confirm], empty("s2@x.test").as_bytes())[0].clone();
    assert!(too_late.code == 550 && too_late.text.contains("withdrawn"), "{too_late:?}");
    std::thread::sleep(Duration::from_millis(700));
    assert_eq!(daemon.outbox().len(), 1, "only the receipt went out");

    assert_eq!(post(&daemon, TSB, &mail(TSB, "g2@itu.example", "LS", "", &block("LS/o on more"), &[])).code, 250);
    let receipt = wait_for("the second receipt", || copies(&daemon, TSB).into_iter().nth(1));
    let (_, text, _) = decoded(&receipt);
    let confirm = text
        .lines()
        .find_map(|line| line.split_once("To send it at once, write to "))
        .map(|(_, address)| address.trim().to_owned())
        .unwrap();
    assert_eq!(lmtp(daemon.address("lmtp"), TSB, &[&confirm], empty("s3@x.test").as_bytes())[0].code, 250);
    wait_for("it goes out at once", || (!copies(&daemon, "ben@example.org").is_empty()).then_some(()));
}

#[test]
fn a_new_regional_group_drafts_the_statement_to_tsag() {
    let daemon = Daemon::start(&Setup::default());
    let list = daemon.json(&["liaison", "list"]);
    let of = |code: &str| list.as_array().unwrap().iter().find(|line| line["title"]["en"].as_str().unwrap().contains(code)).cloned();
    let draft = of("SG12RG-AMR").unwrap_or_else(|| panic!("{list}"));
    assert_eq!((draft["group"].as_str(), draft["state"].as_str()), (Some("SG12"), Some("held")));
    let shown = daemon.json(&["liaison", "show", draft["id"].as_str().unwrap()]);
    assert_eq!(shown["source"], "ITU-T SG12");
    assert!(shown["editions"][0]["text"].as_str().unwrap().contains("Mexico, Brazil"), "{shown}");
    assert!(!daemon.cli(&["liaison", "circulate", draft["id"].as_str().unwrap()]).status.success(), "the approval is for the secretariat");
    std::fs::write(daemon.path("fix.txt"), "Approval: ITU-T SG12 meeting (Geneva, 18 September 2026)\n").unwrap();
    daemon.cli_ok(&["liaison", "correct", draft["id"].as_str().unwrap(), daemon.path("fix.txt").to_str().unwrap()]);
    assert_eq!(
        daemon.json(&["liaison", "show", draft["id"].as_str().unwrap()])["state"],
        "accepted",
        "it can be stopped for the group's grace time"
    );
    assert_eq!(daemon.json(&["liaison", "circulate", draft["id"].as_str().unwrap()])["state"], "circulated");
    wait_for("TSAG has it", || (!copies(&daemon, "tsbtsag@itu.example").is_empty()).then_some(()));
    // Applied again, nothing is drafted again.
    daemon.cli_ok(&["group", "apply", daemon.path("groups.toml").to_str().unwrap()]);
    assert_eq!(daemon.json(&["liaison", "list"]).as_array().unwrap().len(), list.as_array().unwrap().len());
}

#[test]
fn a_file_is_rehearsed_and_submitted_by_the_command_line() {
    let daemon = with_members(&Setup::default());
    let path = daemon.path("ls.eml");
    std::fs::write(&path, mail(TSB, "file@itu.example", "LS", "", "Attached.", &[english(), spanish()])).unwrap();
    let rehearsed = daemon.json(&["liaison", "submit", path.to_str().unwrap(), "--dry-run"]);
    assert_eq!(rehearsed["destinations"][0]["name"], "TSAG", "{rehearsed}");
    assert!(daemon.json(&["liaison", "list", "--group", "SG12RG-AMR"]).as_array().unwrap().is_empty(), "a rehearsal keeps nothing");
    let kept = daemon.json(&["liaison", "submit", path.to_str().unwrap()]);
    assert_eq!(kept["source"], "ITU-T SG12RG-AMR");
    wait_for("it goes out", || (!copies(&daemon, "ana@example.org").is_empty()).then_some(()));
    std::fs::write(&path, mail("ben@example.org", "file2@example.org", "LS", "", &block("LS/o on X"), &[])).unwrap();
    let refused = daemon.cli(&["liaison", "submit", path.to_str().unwrap()]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("not of the secretariat"));
}

#[test]
fn through_postfix_each_reader_gets_the_right_edition() {
    let (port, next) = (free_port(), free_port());
    let relay = format!("transport = \"smtp\"\nhost = \"127.0.0.1\"\nport = {port}");
    let mut daemon = Daemon::prepare(&Setup { relay, ..Setup::default() });
    members(&daemon);
    daemon.run();
    let sink = Sink::start(next, false, &[]);
    let postfix = Postfix::start(Ports { smtp: port, lmtp: daemon.address("lmtp").port(), next }, "");
    let address = format!("127.0.0.1:{}", postfix.port()).parse().unwrap();
    let message = mail(
        TSB,
        "pf-ls@itu.example",
        "LS/o on the creation of a regional group [to TSAG]",
        "",
        "Please find attached.",
        &[english(), spanish()],
    );
    assert_eq!(smtp(address, TSB, &["liaison@lists.example.org"], &message).code, 250);
    let copies = sink.wait_for(7, |text| text.contains(".r0."));
    for (who, language) in [
        ("ana@example.org", "es"),
        ("ben@example.org", "en"),
        ("caro@example.org", "es, en"),
        ("gus@example.net", "es"),
        ("tsbtsag@itu.example", "en"),
        ("tsbsg12@itu.example", "en"),
        ("contact@itu.example", "en"),
    ] {
        let copy =
            copies.iter().find(|copy| copy.contains(&format!("X-Rcpt-Args: <{who}>"))).unwrap_or_else(|| panic!("no copy for {who}"));
        assert!(
            copy.contains(&format!("Content-Language: {language}\n")) || copy.contains(&format!("Content-Language: {language}\r\n")),
            "{who}: {copy}"
        );
    }
    assert_eq!(copies.len(), 7, "one copy a person");
}

/// A PDF with one page of text, written by hand (ISO 32000-1, 7.5).
fn pdf(lines: &[&str]) -> Vec<u8> {
    let mut content = String::from("BT /F1 12 Tf 14 TL 50 780 Td ");
    for line in lines {
        content.push_str(&format!("({}) Tj T* ", line.replace('\\', "\\\\").replace('(', "\\(").replace(')', "\\)")));
    }
    content.push_str("ET");
    let objects = [
        "<< /Type /Catalog /Pages 2 0 R >>".to_owned(),
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>".to_owned(),
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>".to_owned(),
        format!("<< /Length {} >>\nstream\n{content}\nendstream", content.len()),
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>".to_owned(),
    ];
    let mut out = String::from("%PDF-1.4\n");
    let mut offsets = Vec::new();
    for (at, object) in objects.iter().enumerate() {
        offsets.push(out.len());
        out.push_str(&format!("{} 0 obj\n{object}\nendobj\n", at + 1));
    }
    let start = out.len();
    out.push_str(&format!("xref\n0 {}\n0000000000 65535 f \n", objects.len() + 1));
    for offset in offsets {
        out.push_str(&format!("{offset:010} 00000 n \n"));
    }
    out.push_str(&format!("trailer\n<< /Size {} /Root 1 0 R >>\nstartxref\n{start}\n%%EOF\n", objects.len() + 1));
    out.into_bytes()
}

#[test]
fn a_pdf_is_read_in_a_process_of_its_own() {
    let daemon = with_members(&Setup::default());
    let lines = [
        "Source: ITU-T SG12RG-AMR",
        "Title: LS/o on portable documents [to TSAG]",
        "For information to: TSAG",
        "Approval: ITU-T SG12 meeting (Mexico City, 28 September 2026)",
        "Deadline: N/A",
        "Contact: Ana Example, contact@itu.example",
    ];
    let file = File { name: "T25-SG12-260928-TD-GEN-0365!!PDF-E.pdf", bytes: pdf(&lines) };
    assert_eq!(post(&daemon, TSB, &mail(TSB, "pdf@itu.example", "LS", "", "Attached.", &[file])).code, 250);
    let shown = circulated(&daemon, 1);
    assert_eq!(shown["title"]["en"], "LS/o on portable documents [to TSAG]", "{shown}");
    assert_eq!((shown["symbol"].as_str(), shown["contacts"][0]["email"].as_str()), (Some("SG12-TD365"), Some("contact@itu.example")));
    // One that is no PDF is kept, held by what is missing, and the daemon lives.
    let file = File { name: "broken-E.pdf", bytes: b"%PDF-1.7 nothing of the sort".to_vec() };
    assert_eq!(post(&daemon, TSB, &mail(TSB, "pdf2@itu.example", "LS/o on broken files", "", "Attached.", &[file])).code, 250);
    let list = daemon.json(&["liaison", "list", "--group", "SG12RG-AMR", "--state", "held"]);
    assert_eq!(list.as_array().unwrap().len(), 1, "{list}");
}
