//! Each command, its order, and what is not offered.

use enlace::smtp::session::Protocol;

use crate::support::{config, smtp, start};

#[tokio::test]
async fn an_ordinary_session() {
    let server = smtp().await;
    let mut client = server.connect().await;
    let hello = client.ask("EHLO client.example.org", "250-mx.example.org").await;
    for extension in ["250-PIPELINING", "250-SIZE 26214400", "250-8BITMIME", "250-SMTPUTF8", "250-CHUNKING", "250 ENHANCEDSTATUSCODES"] {
        assert!(hello.split('|').any(|line| line == extension), "{extension} is missing in {hello}");
    }
    assert!(!hello.contains("AUTH") && !hello.contains("STARTTLS"), "{hello}");
    client.ask("MAIL FROM:<Ana@Example.org> SIZE=100 BODY=8BITMIME", "250 2.1.0").await;
    client.ask("RCPT TO:<list@lists.example.org>", "250 2.1.5").await;
    client.ask("rcpt to:<Postmaster>", "250 2.1.5").await;
    client.ask("DATA", "354 ").await;
    client.ask("Subject: x\r\n\r\nx\r\n.", "250 2.0.0 kept").await;
    client.ask("QUIT", "221 2.0.0").await;
    assert_eq!(client.answer().await, "closed");
    let received = server.recorder.all().remove(0);
    assert_eq!(received.reverse_path, "Ana@example.org");
    assert_eq!(received.recipients, ["list@lists.example.org", "postmaster@lists.example.org"]);
    assert_eq!(received.octets, b"Subject: x\r\n\r\nx\r\n");
    assert_eq!(
        (received.session.helo.as_str(), received.session.protocol, received.session.trace.len()),
        ("client.example.org", "smtp", 16)
    );
}

#[tokio::test]
async fn commands_out_of_order_are_refused_and_nothing_is_lost() {
    let server = smtp().await;
    let mut client = server.connect().await;
    client.ask("MAIL FROM:<ana@example.org>", "503 5.5.1").await;
    client.ask("LHLO x", "500 5.5.1").await;
    client.ask("HELO x", "250 mx.example.org").await;
    client.ask("RCPT TO:<list@lists.example.org>", "503 5.5.1").await;
    client.ask("DATA", "503 5.5.1").await;
    client.ask("MAIL FROM:<>", "250").await;
    client.ask("MAIL FROM:<ana@example.org>", "503 5.5.1").await;
    client.ask("DATA", "554 5.5.1").await;
    client.ask("RCPT TO:<nobody@lists.example.org>", "550 5.1.1").await;
    client.ask("RCPT TO:<later@lists.example.org>", "450 4.2.0").await;
    client.ask("DATA", "554 5.5.1").await;
    client.ask("RSET", "250").await;
    client.ask("RCPT TO:<list@lists.example.org>", "503 5.5.1").await;
    client.ask("MAIL FROM:<full@example.org>", "452 4.3.1").await;
    client.ask("RCPT TO:<list@lists.example.org>", "503 5.5.1").await;
    client.ask("MAIL FROM:<>", "250").await;
    client.ask("EHLO y", "250").await;
    client.ask("RCPT TO:<list@lists.example.org>", "503 5.5.1").await;
    client.ask("NOOP", "250").await;
    assert!(server.recorder.all().is_empty());
}

#[tokio::test]
async fn nobody_learns_who_is_subscribed_and_nothing_else_is_offered() {
    let server = smtp().await;
    let mut client = server.connect().await;
    client.ask("EHLO x", "250").await;
    for (line, expected) in [
        ("VRFY ana", "252"),
        ("HELP", "214"),
        ("EXPN list", "502"),
        ("XCLIENT ADDR=192.0.2.1", "502"),
        ("XFORWARD ADDR=192.0.2.1", "502"),
        ("ETRN example.org", "502"),
        ("TURN", "502"),
        ("STARTTLS", "502"),
        ("AUTH PLAIN AGEAYg==", "502"),
        ("MAIL FROM:<ana@example.org> AUTH=<>", "555"),
        ("MAIL FROM:ana@example.org", "501"),
        ("WHAT", "500"),
    ] {
        client.ask(line, expected).await;
    }
}

#[tokio::test]
async fn one_answer_stands_for_all_recipients_over_smtp() {
    let server = smtp().await;
    for (recipients, expected) in [
        (&["refuse@l.example", "list@l.example"][..], "250 2.0.0"),
        (&["refuse@l.example", "defer@l.example"], "451 4.3.0"),
        (&["refuse@l.example", "refuse2@l.example"], "550 5.7.1 refuse@l.example does not take this"),
        (&["panic@l.example"], "451 4.3.0"),
    ] {
        let mut client = server.connect().await;
        client.ask("EHLO x", "250").await;
        client.ask("MAIL FROM:<ana@example.org>", "250").await;
        for recipient in recipients {
            client.ask(&format!("RCPT TO:<{recipient}>"), "250").await;
        }
        client.ask("DATA", "354").await;
        client.ask(".", expected).await;
        client.ask("NOOP", "250").await;
    }
}

#[tokio::test]
async fn whole_transactions_come_in_one_write() {
    let server = smtp().await;
    let mut client = server.connect().await;
    client.ask("EHLO x", "250").await;
    let start = "MAIL FROM:<ana@example.org>\r\nRCPT TO:<a@l.example>\r\nRCPT TO:<nobody@l.example>\r\nRCPT TO:<b@l.example>\r\nDATA\r\n";
    client.send(start).await;
    client.expect(&["250", "250", "550", "250", "354"]).await;
    for _ in 0..3 {
        client.send(format!("one\r\n.\r\n{start}")).await;
        client.expect(&["250 2.0.0 kept", "250", "250", "550", "250", "354"]).await;
    }
    client.send("two\r\n.\r\nQUIT\r\n").await;
    client.expect(&["250 2.0.0 kept", "221", "closed"]).await;
    assert_eq!(server.recorder.octets(), [b"one\r\n", b"one\r\n", b"one\r\n", b"two\r\n"]);
}

#[tokio::test]
async fn a_client_that_does_not_wait_for_the_greeting_is_sent_away() {
    let mut patient = config(Protocol::Smtp);
    patient.patience.early = std::time::Duration::from_secs(20);
    let server = start(patient).await;
    let mut client = server.connect_unread().await;
    client.send("EHLO x\r\nMAIL FROM:<ana@example.org>\r\n").await;
    assert_eq!(client.rest().await, ["554 5.5.0 a client has to wait for the greeting"]);
}

#[tokio::test]
async fn a_web_browser_is_sent_away() {
    let server = smtp().await;
    for request in [
        "POST / HTTP/1.1\r\nHost: x\r\n\r\nEHLO x\r\nMAIL FROM:<ana@example.org>\r\n",
        "GET / HTTP/1.0\r\n\r\n",
        "CONNECT x:25 HTTP/1.1\r\n\r\n",
    ] {
        let mut client = server.connect().await;
        client.send(request).await;
        assert_eq!(client.rest().await, ["421 4.7.0 this is a mail server"]);
    }
    let mut client = server.connect().await;
    client.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03").await;
    assert!(client.rest().await[0].starts_with("554 5.6.0"));
}

#[tokio::test]
async fn addresses_beyond_ascii_need_smtputf8() {
    let server = smtp().await;
    let mut client = server.connect().await;
    client.ask("EHLO x", "250").await;
    client.ask("MAIL FROM:<josé@example.org>", "553 5.6.7").await;
    client.ask("MAIL FROM:<ana@example.org>", "250").await;
    client.ask("RCPT TO:<josé@l.example>", "553 5.6.7").await;
    client.ask("RSET", "250").await;
    client.ask("MAIL FROM:<josé@example.org> SMTPUTF8", "250").await;
    client.ask("RCPT TO:<refuse-é@l.example>", "250").await;
    client.ask("DATA", "354").await;
    client.ask(".", "550 5.7.1 refuse-é@l.example does not take this").await;
}

#[tokio::test]
async fn nobody_relays_through_odd_addresses() {
    let server = smtp().await;
    let mut client = server.connect().await;
    client.ask("EHLO x", "250").await;
    client.ask("MAIL FROM:<>", "250").await;
    // Each is asked about as the address that it is, never as the list that it names on the way.
    for (path, expected, asked) in [
        ("<nobody%x.example@lists.example.org>", "550", Some("nobody%x.example@lists.example.org")),
        ("<nobody!ana@lists.example.org>", "550", Some("nobody!ana@lists.example.org")),
        ("<\"nobody@x.example\"@lists.example.org>", "550", Some("\"nobody@x.example\"@lists.example.org")),
        ("<@lists.example.org:nobody@x.example>", "550", Some("nobody@x.example")),
        ("<@lists.example.org,@y.example:nobody@x.example>", "550", Some("nobody@x.example")),
        ("<ana@[127.0.0.1]>", "550", None),
        ("<ana@[IPv6:::1]>", "550", None),
        ("<ana@x.example@lists.example.org>", "553", None),
        ("<ana>", "553", None),
        ("<>", "553", None),
    ] {
        client.ask(&format!("RCPT TO:{path}"), expected).await;
        assert_eq!(server.recorder.asked.lock().unwrap().pop().as_deref(), asked, "{path}");
    }
}

#[tokio::test]
async fn who_goes_on_talking_hears_why_it_is_over() {
    use tokio::io::AsyncReadExt;
    let server = smtp().await;
    let mut client = server.connect().await;
    client.send(format!("EHLO x\n{}", "x".repeat(200_000))).await;
    let mut heard = Vec::new();
    // An error here would be a reset, which on some systems takes the answer away from the client.
    client.stream.read_to_end(&mut heard).await.unwrap();
    assert!(heard.starts_with(b"554 5.6.0"));
}
