//! One click: GET shows a page and changes nothing, POST acts at once.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use super::support::client::{lmtp, proved};
use super::support::daemon::{Daemon, Setup, wait_for};

/// One HTTP request; status and body.
fn http(address: SocketAddr, request: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    (answer.split(' ').nth(1).unwrap().parse().unwrap(), answer)
}

#[test]
fn one_click_leaves_at_once_and_an_import_does_not_bring_the_person_back() {
    let daemon = Daemon::start(&Setup::default());
    daemon.cli_ok(&["member", "add", "SG12RG-AMR", "ana@example.org", "ben@example.org"]);
    let list = "sg12rg-amr@lists.example.org";
    let mail = proved("ben@example.org", list, "x", "u1@example.org", "x");
    assert_eq!(lmtp(daemon.address("lmtp"), "ben@example.org", &[list], &mail)[0].code, 250);
    let copies = wait_for("two copies", || Some(daemon.outbox()).filter(|copies| copies.len() == 2));
    let links: Vec<String> = copies
        .iter()
        .map(|copy| {
            let copy = String::from_utf8_lossy(copy).replace("\r\n ", " ").replace("\r\n\t", " ");
            let line = copy.lines().find(|line| line.starts_with("List-Unsubscribe: ")).unwrap().to_owned();
            let start = line.find("/u/").unwrap();
            line[start..].split('>').next().unwrap().to_owned()
        })
        .collect();
    assert_ne!(links[0], links[1], "each copy has its own link");

    let web = daemon.address("web");
    let active = || {
        let members = daemon.json(&["member", "list", "SG12RG-AMR"]);
        members.as_array().unwrap().iter().filter(|m| m["state"] == "active").count()
    };
    for method in ["GET", "HEAD"] {
        for _ in 0..3 {
            let (status, _) = http(web, &format!("{method} {} HTTP/1.1\r\nHost: {web}\r\nConnection: close\r\n\r\n", links[0]));
            assert_eq!(status, 200);
        }
    }
    assert_eq!(active(), 2, "a scanner that fetches the link changes nothing");
    let form = "List-Unsubscribe=One-Click";
    let post = |link: &str| {
        http(
            web,
            &format!(
                "POST {link} HTTP/1.1\r\nHost: {web}\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{form}",
                form.len()
            ),
        )
    };
    let (status, _) = post(&links[0]);
    assert!((200..400).contains(&status), "{status}");
    assert_eq!(active(), 1);
    let (status, _) = post(&links[0]);
    assert!((200..400).contains(&status), "a second click is no error: {status}");
    let mut forged = links[1].clone();
    let last = forged.pop().unwrap();
    forged.push(if last == 'a' { 'b' } else { 'a' });
    assert_eq!(post(&forged).0, 404);
    assert_eq!(active(), 1);

    std::fs::write(daemon.path("members.csv"), "email\nana@example.org\nben@example.org\n").unwrap();
    let report = daemon.cli(&["member", "import", "SG12RG-AMR", daemon.path("members.csv").to_str().unwrap()]);
    assert_eq!(active(), 1, "{}", String::from_utf8_lossy(&report.stdout));
}
