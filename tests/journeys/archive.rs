//! The archive from outside: what is posted is found, with its attachments; what is exported comes back; old links lead on.

use std::fs;

use serde_json::Value;

use super::support::client::lmtp;
use super::support::daemon::{Daemon, Setup, wait_for};

const LIST: &str = "sg12rg-amr@lists.example.org";

/// A small PDF with one line of text, its offsets counted.
fn pdf(text: &str) -> Vec<u8> {
    let stream = format!("BT /F1 12 Tf 72 720 Td ({text}) Tj ET");
    let objects = [
        "<< /Type /Catalog /Pages 2 0 R >>".to_owned(),
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>".to_owned(),
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>".to_owned(),
        format!("<< /Length {} >>\nstream\n{stream}\nendstream", stream.len()),
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>".to_owned(),
    ];
    let mut file = b"%PDF-1.4\n".to_vec();
    let mut offsets = Vec::new();
    for (number, object) in objects.iter().enumerate() {
        offsets.push(file.len());
        file.extend(format!("{} 0 obj\n{object}\nendobj\n", number + 1).bytes());
    }
    let start = file.len();
    file.extend(format!("xref\n0 {}\n0000000000 65535 f \n", objects.len() + 1).bytes());
    offsets.iter().for_each(|offset| file.extend(format!("{offset:010} 00000 n \n").bytes()));
    file.extend(format!("trailer\n<< /Size {} /Root 1 0 R >>\nstartxref\n{start}\n%%EOF\n", objects.len() + 1).bytes());
    file
}

fn with_attachment(id: &str, subject: &str, text: &str, name: &str, bytes: &[u8]) -> Vec<u8> {
    format!(
        "Authentication-Results: mx.example.org; dmarc=pass header.from=example.org; dkim=pass header.d=example.org\r\n\
        From: Ben Example <ben@example.org>\r\nTo: {LIST}\r\nSubject: {subject}\r\nMessage-ID: <{id}>\r\nDate: Thu, 26 Nov 2026 10:00:00 +0000\r\n\
        MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{text}\r\n\
        --b\r\nContent-Type: application/octet-stream\r\nContent-Disposition: attachment; filename=\"{name}\"\r\nContent-Transfer-Encoding: base64\r\n\r\n{}\r\n--b--\r\n",
        data_encoding::BASE64.encode(bytes)
    )
    .into_bytes()
}

fn found(daemon: &Daemon, query: &[&str]) -> Vec<String> {
    let words: Vec<&str> = ["archive", "search", "SG12RG-AMR"].iter().chain(query).copied().collect();
    let page = daemon.json(&words);
    page["hits"].as_array().unwrap().iter().map(|hit: &Value| hit["subject"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn what_is_posted_is_found_exported_and_imported_elsewhere() {
    let daemon = Daemon::start(&Setup::default());
    for address in ["ana@example.org", "ben@example.org"] {
        daemon.cli_ok(&["member", "add", "SG12RG-AMR", address]);
    }
    for (id, subject, text, name, bytes) in [
        (
            "one@example.org",
            "Informe",
            "Las declaraciones de los grupos regionales para la reunión",
            "a.pdf",
            pdf("quality of speech in networks"),
        ),
        ("two@example.org", "Minutes", "Please find the minutes of the meeting", "b.txt", "Notas del presidente sobre el glosario".into()),
    ] {
        let mail = with_attachment(id, subject, text, name, &bytes);
        assert_eq!(lmtp(daemon.address("lmtp"), "ben@example.org", &[LIST], &mail)[0].code, 250);
    }
    wait_for("both posts in the archive", || (found(&daemon, &["after:2020-01-01"]).len() == 2).then_some(()));
    assert_eq!(found(&daemon, &["declaración"]), ["Informe"]);
    assert_eq!(found(&daemon, &["speech"]), ["Informe"], "the text of a PDF is searched");
    assert_eq!(found(&daemon, &["glosarios"]), ["Minutes"]);
    assert_eq!(found(&daemon, &["from:ben -informe"]), ["Minutes"]);
    let page = daemon.json(&["archive", "search", "SG12RG-AMR", "minutes"]);
    let url = page["hits"][0]["url"].as_str().unwrap().to_owned();
    let copy =
        daemon.outbox().into_iter().map(|copy| String::from_utf8_lossy(&copy).into_owned()).find(|copy| copy.contains("Subject: Minutes"));
    let unfolded = copy.unwrap().replace("\r\n ", " ");
    assert!(unfolded.contains(&format!("Archived-At: <{url}>")), "{unfolded}");

    let exported = daemon.cli(&["archive", "export", "SG12RG-AMR"]);
    assert!(exported.status.success());
    let file = daemon.path("export.mbox");
    fs::write(&file, &exported.stdout).unwrap();
    assert!(
        fs::read_dir(daemon.dir.path().join("var"))
            .into_iter()
            .flatten()
            .flatten()
            .all(|entry| !entry.file_name().to_string_lossy().starts_with("export-"))
    );
    let file = file.to_str().unwrap();
    let rehearsal = daemon.json(&["archive", "import", "SG12RG-AFR", file, "--dry-run"]);
    assert_eq!((rehearsal["added"].as_u64(), rehearsal["dry_run"].as_bool()), (Some(2), Some(true)));
    let report = daemon.json(&["archive", "import", "SG12RG-AFR", file]);
    assert_eq!((report["read"].as_u64(), report["added"].as_u64(), report["readers"].as_str()), (Some(2), Some(2), Some("members")));
    let there = daemon.json(&["archive", "search", "SG12RG-AFR", "declaraciones"]);
    assert_eq!(there["total"].as_u64(), Some(1));
    let again = daemon.json(&["archive", "import", "SG12RG-AMR", file]);
    assert_eq!((again["added"].as_u64(), again["repeated"].as_u64()), (Some(0), Some(2)), "what Enlace distributed itself is not doubled");
    assert_eq!(daemon.outbox().len(), 4, "nobody gets what was imported");
    assert_eq!(daemon.json(&["archive", "verify", "SG12RG-AMR"])["faults"].as_array().unwrap().len(), 0);
}

#[test]
fn a_list_of_mlmmj_comes_over_by_the_command_line() {
    let daemon = Daemon::start(&Setup::default());
    let list = daemon.path("old-list");
    for (name, text) in [
        ("subscribers.d/a", "ana@example.org\nnobody@example.net\n"),
        ("digesters.d/c", "caro@example.org\n"),
        ("control/listaddress", "amr@old.example.org\n"),
        ("control/subonlypost", ""),
        (
            "archive/1",
            "From: ana@example.org\nMessage-ID: <old-1@example.org>\nDate: Thu, 5 Mar 2020 10:00:00 +0000\nSubject: Vieja\n\nTexto antiguo\n",
        ),
    ] {
        let path = list.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let list = list.to_str().unwrap();
    let rehearsal = daemon.cli(&["--json", "migrate", "mlmmj", list, "--group", "SG12RG-AMR", "--dry-run"]);
    let rehearsal: Value = serde_json::from_slice(&rehearsal.stdout).unwrap();
    assert_eq!((rehearsal["added"].as_u64(), rehearsal["archive"]["added"].as_u64()), (Some(2), Some(1)), "{rehearsal}");
    assert_eq!(daemon.json(&["member", "list", "SG12RG-AMR"]).as_array().unwrap().len(), 0);
    let done = daemon.cli(&["migrate", "mlmmj", list, "--group", "SG12RG-AMR"]);
    assert_eq!(done.status.code(), Some(1), "somebody was left out");
    assert!(String::from_utf8_lossy(&done.stderr).contains("nobody@example.net: "), "{done:?}");
    let members = daemon.json(&["member", "list", "SG12RG-AMR"]);
    let shown: Vec<String> = members.as_array().unwrap().iter().map(|row| format!("{} {}", row["address"], row["delivery"])).collect();
    assert_eq!(shown, ["\"ana@example.org\" \"each\"", "\"caro@example.org\" \"digest\""]);
    assert_eq!(found(&daemon, &["antiguos"]), ["Vieja"]);
    // Mail to the old address is mail to the group.
    let mail = with_attachment("new@example.org", "Nueva", "x", "a.txt", b"x");
    let to_old = String::from_utf8(mail).unwrap().replace("ben@example.org", "ana@example.org").replace("Ben", "Ana");
    assert_eq!(lmtp(daemon.address("lmtp"), "ana@example.org", &["amr@old.example.org"], to_old.as_bytes())[0].code, 250);
    assert_eq!(daemon.outbox().len(), daemon.outbox().iter().filter(|copy| !String::from_utf8_lossy(copy).contains("elcome")).count());
}
