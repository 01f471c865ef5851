//! What was sent is what arrives, octet for octet, in memory or through a file.

use enlace::smtp::session::Protocol;
use proptest::prelude::*;

use crate::support::{Client, Server, config, smtp, start};

/// Dots stuffed, the end appended, as RFC 5321 section 4.5.2 says.
fn as_data(message: &[u8]) -> Vec<u8> {
    let mut data = Vec::new();
    for line in message.split_inclusive(|&b| b == b'\n') {
        if line.starts_with(b".") {
            data.push(b'.');
        }
        data.extend_from_slice(line);
    }
    data.extend_from_slice(b".\r\n");
    data
}

async fn deliver<S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin>(client: &mut Client<S>, message: &[u8]) -> String {
    client.send("MAIL FROM:<ana@example.org>\r\nRCPT TO:<list@l.example>\r\nDATA\r\n").await;
    client.expect(&["250", "250", "354"]).await;
    client.send(as_data(message)).await;
    client.answer().await
}

#[tokio::test]
async fn an_empty_message_arrives_empty() {
    let server = smtp().await;
    let mut client = server.ready_for_data("EHLO x").await;
    client.ask("DATA", "354").await;
    client.send(".\r\nNOOP\r\n").await;
    client.expect(&["250 2.0.0 kept", "250"]).await;
    assert_eq!(server.recorder.octets(), [b""]);
}

#[tokio::test]
async fn all_octets_but_the_forbidden_arrive() {
    let server = smtp().await;
    let mut client = server.connect().await;
    client.ask("EHLO x", "250").await;
    let mut message: Vec<u8> = (1..=255).filter(|b| !b"\r\n".contains(b)).collect();
    message.extend_from_slice(b"\r\n.\r\n..\r\n.x\r\n\r\n.");
    message.extend_from_slice(b"\r\n");
    assert!(deliver(&mut client, &message).await.starts_with("250"));
    assert_eq!(server.recorder.octets(), [message]);
}

#[tokio::test]
async fn a_large_message_goes_through_a_file_that_is_removed() {
    let server = smtp().await;
    let mut client = server.connect().await;
    client.ask("EHLO x", "250").await;
    let line = |n: usize| format!("{n:076}\r\n").into_bytes();
    let message = |octets: usize| b"Subject: x\r\n\r\n".iter().copied().chain((0..).flat_map(line).take(octets - 14)).collect::<Vec<u8>>();
    for octets in [14 + 78 * 100, 14 + 78 * 3_000, 14 + 78 * 5_000, 14 + 78 * 60_000] {
        assert!(deliver(&mut client, &message(octets)).await.starts_with("250"), "{octets}");
        let received = server.recorder.all().pop().unwrap();
        assert_eq!(received.spooled, octets > 256 * 1024, "{octets}");
        assert!(received.octets == message(octets), "{octets} octets differ");
        client.ask("NOOP", "250").await;
        assert_eq!(server.recorder.files(), 0, "{octets}");
    }
}

#[tokio::test]
async fn a_message_given_up_leaves_no_file() {
    let server = smtp().await;
    let mut client = server.ready_for_data("EHLO x").await;
    let large = format!("\r\n{}", format!("{}\r\n", "x".repeat(76)).repeat(10_000));
    client.send(format!("BDAT {}\r\n{large}RSET\r\n", large.len())).await;
    client.expect(&["250", "250"]).await;
    client.ask("NOOP", "250").await;
    assert_eq!(server.recorder.files(), 0);
    let mut client = server.ready_for_data("EHLO x").await;
    client.ask("DATA", "354").await;
    client.send(large).await;
    drop(client);
    stop(server).await;
}

/// All sessions have ended when `serve` returns, so nothing can be left behind that is still being removed.
async fn stop(server: Server) {
    server.shutdown.cancel();
    server.serving.await.unwrap();
    assert_eq!(server.recorder.files(), 0);
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_is_a_reason_to_try_later() {
    let server = smtp().await;
    std::fs::remove_dir(&server.recorder.folder).unwrap();
    let mut client = server.connect().await;
    client.ask("EHLO x", "250").await;
    let large = format!("\r\n{}", format!("{}\r\n", "x".repeat(76)).repeat(10_000));
    assert!(deliver(&mut client, large.as_bytes()).await.starts_with("451 4.3.0"));
    assert!(deliver(&mut client, b"small\r\n").await.starts_with("250"));
    assert_eq!(server.recorder.octets(), [b"small\r\n"]);
}

#[tokio::test]
async fn a_chunk_without_a_last_line_end_gets_one() {
    let server = smtp().await;
    let mut client = server.ready_for_data("EHLO x").await;
    client.send("BDAT 5 LAST\r\nx\r\nyz").await;
    client.expect(&["250"]).await;
    assert_eq!(server.recorder.octets(), [b"x\r\nyz\r\n"]);
}

fn lines() -> impl Strategy<Value = Vec<u8>> {
    let line = prop_oneof![
        Just(b"".to_vec()),
        Just(b".".to_vec()),
        Just(b"..".to_vec()),
        Just(b".\t.".to_vec()),
        proptest::collection::vec(prop_oneof![Just(b'.'), any::<u8>().prop_filter("line ends and NUL", |b| !b"\0\r\n".contains(b))], 0..40),
    ];
    proptest::collection::vec(line, 0..30).prop_map(|lines| lines.into_iter().flat_map(|line| [line, b"\r\n".to_vec()].concat()).collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_lines_arrive_as_they_were(messages in proptest::collection::vec(lines(), 1..4), pieces in 1_usize..50) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let server = start(config(Protocol::Smtp)).await;
            let mut client = server.ready_for_data("EHLO x").await;
            client.ask("DATA", "354").await;
            let mut wire = Vec::new();
            for message in &messages {
                wire.extend(as_data(message));
                wire.extend(b"MAIL FROM:<a@x.example>\r\nRCPT TO:<a@x.example>\r\nDATA\r\n");
            }
            wire.extend(b".\r\nQUIT\r\n");
            for piece in wire.chunks(wire.len().div_ceil(pieces)) {
                client.send(piece).await;
            }
            for _ in &messages {
                client.expect(&["250 2.0.0 kept", "250", "250", "354"]).await;
            }
            client.expect(&["250 2.0.0 kept", "221", "closed"]).await;
            let received = server.recorder.octets();
            assert_eq!(&received[..messages.len()], &messages[..]);
        });
    }
}
