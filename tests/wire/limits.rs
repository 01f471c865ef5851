//! Each limit: just reached, and passed by one.

use std::time::{Duration, Instant};

use enlace::smtp::listener::ListenerConfig;
use enlace::smtp::session::{Limits, Protocol};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::{Server, config, smtp, start};

async fn limited(limits: Limits) -> Server {
    start(ListenerConfig { limits, ..config(Protocol::Smtp) }).await
}

/// The answer to a message sent by DATA; the session must go on.
async fn answer_to(server: &Server, message: &str) -> String {
    let mut client = server.ready_for_data("EHLO x").await;
    client.ask("DATA", "354").await;
    client.send(format!("{message}.\r\nNOOP\r\n")).await;
    let answer = client.answer().await;
    client.expect(&["250 2.0.0 still here"]).await;
    answer
}

#[tokio::test]
async fn a_declared_size_is_refused_before_the_message_is_sent() {
    let server = limited(Limits { message_octets: 1_000, ..Limits::default() }).await;
    let mut client = server.connect().await;
    client.ask("EHLO x", "250").await;
    client.ask("MAIL FROM:<> SIZE=1001", "552 5.3.4").await;
    client.ask("MAIL FROM:<> SIZE=99999999999999999999999", "552 5.3.4").await;
    client.ask("MAIL FROM:<> SIZE=-1", "501").await;
    client.ask("MAIL FROM:<> SIZE=", "501").await;
    client.ask("MAIL FROM:<> SIZE=1000", "250").await;
}

#[tokio::test]
async fn an_undeclared_size_is_refused_at_the_dot() {
    let server = limited(Limits { message_octets: 1_000, ..Limits::default() }).await;
    let line = format!("{}\r\n", "x".repeat(98));
    assert!(answer_to(&server, &line.repeat(10)).await.starts_with("250"));
    assert!(answer_to(&server, &(line.repeat(10) + "\r\n")).await.starts_with("552 5.3.4"));
    assert_eq!(server.recorder.all().len(), 1);
}

#[tokio::test]
async fn an_endless_message_is_cut() {
    let server = limited(Limits { message_octets: 10_000, ..Limits::default() }).await;
    let mut client = server.ready_for_data("EHLO x").await;
    client.ask("DATA", "354").await;
    client.send(format!("{}\r\n", "x".repeat(98)).repeat(600)).await;
    let answers = client.rest().await;
    assert!(answers.len() == 1 && answers[0].starts_with("552 5.3.4"), "{answers:?}");
    let mut client = server.ready_for_data("EHLO x").await;
    client.send(format!("BDAT 15000\r\n{}NOOP\r\nBDAT 2 LAST\r\n\r\n", format!("{}\r\n", "x".repeat(98)).repeat(150))).await;
    client.expect(&["552 5.3.4", "250", "503"]).await;
    assert!(server.recorder.all().is_empty());
}

#[tokio::test]
async fn the_recipient_after_the_hundredth_is_put_off() {
    let server = smtp().await;
    let mut client = server.connect().await;
    client.ask("EHLO x", "250").await;
    client.ask("MAIL FROM:<>", "250").await;
    for n in 0..100 {
        client.ask(&format!("RCPT TO:<list{n}@l.example>"), "250").await;
    }
    for _ in 0..30 {
        client.ask("RCPT TO:<list@l.example>", "452 4.5.3").await;
    }
    client.ask("DATA", "354").await;
    client.ask(".", "250").await;
    assert_eq!(server.recorder.all()[0].recipients.len(), 100);
}

#[tokio::test]
async fn command_lines_have_two_thousand_octets() {
    let server = smtp().await;
    let mut client = server.connect().await;
    client.ask(&format!("NOOP {}", "x".repeat(1_993)), "250").await;
    client.ask(&format!("NOOP {}", "x".repeat(1_994)), "500 5.5.2").await;
    client.ask(&format!("NOOP {}", "x".repeat(50_000)), "500 5.5.2").await;
    client.ask("NOOP", "250").await;
    client.send("x".repeat(70_000)).await;
    let answers = client.rest().await;
    assert!(answers.len() == 1 && answers[0].starts_with("554"), "{answers:?}");
}

#[tokio::test]
async fn text_lines_have_ten_thousand_octets() {
    let server = smtp().await;
    assert!(answer_to(&server, &format!("{}\r\n", "x".repeat(10_000))).await.starts_with("250"));
    assert!(answer_to(&server, &format!("{}\r\n", "x".repeat(10_001))).await.starts_with("554 5.6.0"));
    assert!(answer_to(&server, &format!("{}\r\n", "x".repeat(3_000_000))).await.starts_with("554 5.6.0"));
}

#[tokio::test]
async fn headers_and_parts_are_counted_before_anybody_parses_them() {
    let server = smtp().await;
    let nested = |depth: usize| "Content-Type: message/rfc822\r\n\r\n".repeat(depth) + "x\r\n";
    let multipart = |depth: usize| "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n".repeat(depth) + "\r\nx\r\n";
    let parts = |n: usize| format!("Content-Type: multipart/mixed; boundary=b\r\n\r\n{}--b--\r\n", "--b\r\n\r\nx\r\n".repeat(n));
    let fields = |n: usize| "X: y\r\n".repeat(n) + "\r\nx\r\n";
    for (what, fits, passes) in [
        ("messages", nested(50), nested(51)),
        ("very deep messages", nested(20), nested(300_000)),
        ("multiparts", multipart(50), multipart(51)),
        ("very deep multiparts", multipart(20), multipart(300_000)),
        ("parts", parts(1_000), parts(1_001)),
        ("very many parts", parts(20), parts(100_000)),
        ("fields", fields(1_000), fields(1_001)),
        (
            "header octets",
            format!("X: {}\r\n", "y".repeat(995)).repeat(262) + "\r\n",
            format!("X: {}\r\n", "y".repeat(995)).repeat(263) + "\r\n",
        ),
    ] {
        let answer = answer_to(&server, &fits).await;
        assert!(answer.starts_with("250"), "{what}: {answer}");
        let answer = answer_to(&server, &passes).await;
        assert!(answer.starts_with("554 5.6.0"), "{what}: {answer}");
    }
}

#[tokio::test]
async fn twenty_errors_are_forgiven() {
    let server = smtp().await;
    let mut client = server.connect().await;
    for _ in 0..20 {
        client.ask("WHAT", "500").await;
    }
    client.ask("NOOP", "250").await;
    client.ask("WHAT", "421 4.7.0").await;
    assert_eq!(client.answer().await, "closed");
}

#[tokio::test]
async fn recipients_of_a_relay_are_not_its_errors() {
    let mut trusting = config(Protocol::Lmtp);
    trusting.trusted_networks = vec!["127.0.0.0/8".parse().unwrap()];
    let server = start(trusting).await;
    let mut client = server.connect().await;
    client.ask("LHLO x", "250").await;
    client.ask("MAIL FROM:<>", "250").await;
    for n in 0..60 {
        client.ask(&format!("RCPT TO:<nobody{n}@l.example>"), "550").await;
    }
    client.ask("RCPT TO:<list@l.example>", "250").await;
}

#[tokio::test]
async fn a_thousand_commands_without_a_message_are_too_many() {
    let server = smtp().await;
    let mut client = server.connect().await;
    client.send("NOOP\r\n".repeat(1_001)).await;
    client.expect(&["250"; 1_000]).await;
    client.expect(&["421 4.7.0", "closed"]).await;
    let mut client = server.connect().await;
    client.ask("EHLO x", "250").await;
    for _ in 0..400 {
        client.send("MAIL FROM:<>\r\nRCPT TO:<a@l.example>\r\nBDAT 0 LAST\r\n").await;
        client.expect(&["250", "250", "250"]).await;
    }
}

#[tokio::test]
async fn probing_for_recipients_slows_down() {
    let mut slow = config(Protocol::Smtp);
    slow.patience.slowdown = Duration::from_millis(200);
    let server = start(slow).await;
    let mut client = server.connect().await;
    client.ask("EHLO x", "250").await;
    client.ask("MAIL FROM:<>", "250").await;
    for n in 0..3 {
        client.ask(&format!("RCPT TO:<nobody{n}@l.example>"), "550").await;
    }
    let start = Instant::now();
    client.ask("RCPT TO:<nobody@l.example>", "550").await;
    assert!(start.elapsed() >= Duration::from_millis(200));
}

#[tokio::test]
async fn slow_clients_are_cut() {
    let mut hasty = config(Protocol::Smtp);
    hasty.patience.greeting = Duration::from_millis(200);
    hasty.patience.command = Duration::from_millis(300);
    hasty.patience.data = Duration::from_millis(500);
    hasty.patience.data_grace = Duration::from_millis(200);
    let server = start(hasty).await;

    let mut silent = server.connect().await;
    assert_eq!(silent.rest().await, ["421 4.4.2 waited too long"]);

    let mut idle = server.connect().await;
    idle.ask("EHLO x", "250").await;
    assert_eq!(idle.rest().await, ["421 4.4.2 waited too long"]);

    // Octets alone do not buy time: the whole command has to come.
    let mut dribbling = server.connect().await;
    dribbling.ask("EHLO x", "250").await;
    dribble(&mut dribbling.stream, b"x").await;
    assert_eq!(dribbling.rest().await, ["421 4.4.2 waited too long"]);

    // Below 1,000 octets a second after the grace.
    let mut slow = server.ready_for_data("EHLO x").await;
    slow.ask("DATA", "354").await;
    let start = Instant::now();
    dribble(&mut slow.stream, b"x\r\n").await;
    assert_eq!(slow.rest().await, ["421 4.4.2 waited too long"]);
    assert!(start.elapsed() < Duration::from_secs(5));

    // Fast enough, but without an end.
    let mut endless = server.ready_for_data("EHLO x").await;
    endless.ask("DATA", "354").await;
    dribble(&mut endless.stream, format!("{}\r\n", "x".repeat(900)).repeat(10).as_bytes()).await;
    assert_eq!(endless.rest().await, ["421 4.4.2 waited too long"]);
    assert!(server.recorder.all().is_empty());
}

/// Writes `piece` again and again until the server says something.
async fn dribble(stream: &mut TcpStream, piece: &[u8]) {
    while timeout(Duration::from_millis(20), stream.peek(&mut [0])).await.is_err() {
        if stream.write_all(piece).await.is_err() {
            return;
        }
    }
}

#[tokio::test]
async fn a_network_has_so_many_sessions_and_the_listener_so_many() {
    let mut crowded = config(Protocol::Smtp);
    crowded.trusted_networks = vec!["127.0.3.0/24".parse().unwrap()];
    crowded.patience.sessions = 7;
    crowded.patience.sessions_network = 2;
    crowded.patience.sessions_trusted_network = 4;
    let server = start(crowded).await;
    let mut clients = Vec::new();
    for (address, expected) in [
        ("127.0.1.1", "220"),
        ("127.0.1.2", "220"),
        ("127.0.1.3", "421 4.7.0"),
        ("127.0.2.1", "220"),
        ("127.0.3.1", "220"),
        ("127.0.3.1", "220"),
        ("127.0.3.1", "220"),
        ("127.0.3.1", "220"),
        ("127.0.3.1", "421 4.7.0"),
        ("127.0.4.1", "421 4.7.0"),
    ] {
        let mut client = server.connect_from(address).await;
        client.expect(&[expected]).await;
        clients.push(client);
    }
    clients[0].ask("QUIT", "221").await;
    assert_eq!(clients[0].answer().await, "closed");
    clients.remove(0);
    // The place is free as soon as the server has seen the end of the connection.
    for attempt in 0.. {
        let mut client = server.connect_from("127.0.1.1").await;
        if client.answer().await.starts_with("220") {
            break;
        }
        assert!(attempt < 1_000, "the place stays taken");
    }
}
