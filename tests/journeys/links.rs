//! Links in the place of files: one reader's copy has them, another's is the author's message octet for octet.

use super::support::client::lmtp;
use super::support::daemon::{Daemon, GROUPS, Setup, wait_for};

const LIST: &str = "sg12rg-amr@lists.example.org";

fn post(id: &str) -> String {
    let pdf = data_encoding::BASE64.encode(&(0..30_000_u32).map(|n| u8::try_from(n % 251).unwrap()).collect::<Vec<_>>());
    let lines: Vec<&str> = (0..pdf.len()).step_by(76).map(|at| &pdf[at..pdf.len().min(at + 76)]).collect();
    format!(
        "Authentication-Results: mx.example.org; dkim=pass header.d=example.org\r\nFrom: Ana Example <ana@example.org>\r\nTo: <{LIST}>\r\nSubject: Figures\r\n\
         Message-ID: <{id}>\r\nDate: Tue, 06 Apr 2027 10:00:00 +0000\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"xyz\"\r\n\r\n\
         --xyz\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nSee the file \r\nbelow.\r\n--xyz\r\nContent-Type: application/pdf; name=\"cifras año.pdf\"\r\n\
         Content-Disposition: attachment; filename=\"cifras 2027.pdf\"\r\nContent-Transfer-Encoding: base64\r\n\r\n{}\r\n--xyz--\r\n",
        lines.join("\r\n")
    )
}

fn copies(daemon: &Daemon, id: &str, count: usize) -> Vec<String> {
    wait_for("the copies", || {
        let all = daemon.outbox().into_iter().map(|copy| String::from_utf8(copy).unwrap());
        let ours: Vec<String> = all.filter(|copy| copy.contains(&format!("Message-ID: <{id}>"))).collect();
        (ours.len() == count).then_some(ours)
    })
}

fn body(message: &str) -> &str {
    message.split_once("\r\n\r\n").unwrap().1
}

fn get(daemon: &Daemon, address: &str) -> (u16, Vec<u8>) {
    use std::io::{Read, Write};
    let path = address.strip_prefix("http://127.0.0.1:8025").expect("the base of the service");
    let mut stream = std::net::TcpStream::connect(daemon.address("web")).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:8025\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let head = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    let status = String::from_utf8_lossy(&answer[9..12]).parse().unwrap();
    (status, answer[head + 4..].to_vec())
}

#[test]
fn files_are_links_in_the_readers_language_for_who_wants_them_and_the_message_itself_for_others() {
    let groups = GROUPS.replace("grace = \"0\"\n", "grace = \"0\"\narchive = \"public\"\n");
    let daemon = Daemon::start(&Setup { groups: Some(groups), ..Setup::default() });
    daemon.cli_ok(&["member", "add", "SG12RG-AMR", "ben@example.org", "caro@example.org", "ana@example.org"]);
    daemon.cli_ok(&["member", "set", "SG12RG-AMR", "caro@example.org", "ana@example.org", "--links", "true"]);
    daemon.cli_ok(&["member", "set", "SG12RG-AMR", "ana@example.org", "--languages", "en"]);
    let sent = post("links@example.org");
    assert_eq!(lmtp(daemon.address("lmtp"), "ana@example.org", &[LIST], sent.as_bytes())[0].code, 250);
    let copies = copies(&daemon, "links@example.org", 3);

    let whole: Vec<_> = copies.iter().filter(|copy| body(copy) == body(&sent)).collect();
    assert_eq!(whole.len(), 1, "ben's copy is the author's message, octet for octet");
    let mut linked = Vec::new();
    for copy in copies.iter().filter(|copy| body(copy) != body(&sent)) {
        let mail = mail_parser::MessageParser::default().parse(copy.as_bytes()).unwrap();
        let text: Vec<_> = (0..mail.text_body_count()).filter_map(|part| mail.body_text(part)).collect();
        let text = text.join("\n");
        assert!(text.contains("See the file") && !copy.contains("application/pdf; name"), "{copy}");
        assert!(copy.len() < sent.len() / 5, "{} of {}", copy.len(), sent.len());
        linked.push(text);
    }
    linked.sort();
    assert_eq!(linked.len(), 2);
    let spanish = linked
        .iter()
        .find(|text| text.contains("El archivo adjunto «cifras 2027.pdf» (application/pdf, 29 KiB)"))
        .expect("caro reads Spanish");
    assert!(linked.iter().any(|text| text.contains("Attachment \"cifras 2027.pdf\" (application/pdf, 29 KiB)")), "{linked:?}");
    let address = spanish.split_whitespace().find(|word| word.contains("/files/")).expect("an address");
    let (status, file) = get(&daemon, address);
    assert_eq!((status, file.len()), (200, 30_000));
    assert!(file.iter().enumerate().all(|(at, octet)| usize::from(*octet) == at % 251), "the file itself");

    let explained = daemon.json(&["explain", "links@example.org", "caro@example.org"]);
    assert_eq!(
        (&explained["recipients"][0]["state"], &explained["recipients"][0]["language"]),
        (&"sent".into(), &"es".into()),
        "{explained}"
    );
    // Without a file there is nothing to link, and every copy is the message itself.
    let plain = "Authentication-Results: mx.example.org; dkim=pass header.d=example.org\r\nFrom: <ana@example.org>\r\nSubject: x\r\nMessage-ID: <plain@example.org>\r\n\r\nHello \r\n";
    assert_eq!(lmtp(daemon.address("lmtp"), "ana@example.org", &[LIST], plain.as_bytes())[0].code, 250);
    assert!(self::copies(&daemon, "plain@example.org", 3).iter().all(|copy| body(copy) == "Hello \r\n"));
}

#[test]
fn the_address_of_a_file_opens_to_who_may_read_the_archive_only() {
    let daemon = Daemon::start(&Setup::default());
    daemon.cli_ok(&["member", "add", "SG12RG-AMR", "caro@example.org", "ana@example.org"]);
    daemon.cli_ok(&["member", "set", "SG12RG-AMR", "caro@example.org", "--links", "true"]);
    assert_eq!(lmtp(daemon.address("lmtp"), "ana@example.org", &[LIST], post("closed@example.org").as_bytes())[0].code, 250);
    let copies = copies(&daemon, "closed@example.org", 2);
    let linked = copies.iter().find(|copy| body(copy) != body(&post("closed@example.org"))).unwrap();
    let mail = mail_parser::MessageParser::default().parse(linked.as_bytes()).unwrap();
    let text: String = (0..mail.text_body_count()).filter_map(|part| mail.body_text(part)).collect();
    let address = text.split_whitespace().find(|word| word.contains("/files/")).expect("an address");
    let (status, file) = get(&daemon, address);
    assert!(
        status != 200 && !file.windows(20).any(|window| window.iter().enumerate().all(|(at, octet)| usize::from(*octet) == at)),
        "{status}"
    );
}
