//! Whatever the line ends, one message goes in or none: never two out of one.

use enlace::smtp::listener::ListenerConfig;
use enlace::smtp::session::Protocol;

use crate::support::{config, start};

/// Ends of data that some server somewhere took for the end, from the publications on SMTP smuggling (2023) and later.
const FALSE_ENDS: [&[u8]; 34] = [
    b"\n.\n",
    b"\n.\r\n",
    b"\r\n.\n",
    b"\r.\r",
    b"\r.\r\n",
    b"\r\n.\r",
    b"\r.\n",
    b"\n.\r",
    b"\n\n.\n\n",
    b"\n\n.\r\n",
    b"\r\r.\r\r",
    b"\r\n\n.\n",
    b"\r\n\r.\r\n",
    b"\r\r\n.\r\r\n",
    b"\r\n.\r\r\n",
    b"\r\n\0.\r\n",
    b"\r\n.\0\r\n",
    b"\r\n.\r\0\n",
    b"\r\0\n.\r\n",
    b"\0\r\n.\n",
    b"\n\0.\n",
    b"\n.\0\n",
    b"\r\n.\r.\r\n",
    b"\n\r.\n\r",
    b"\n\r.\r\n",
    b"\r\n .\n",
    b"\n .\r\n",
    b"\r\n. \n",
    b"\n..\n",
    b"\r\n..\n",
    b"\r..\r",
    b"\x0b.\n",
    b"\x0c\n.\x0c\n",
    b"\x85.\r.\x85",
];

const SECOND: &str = "MAIL FROM:<admin@example.org>\r\nRCPT TO:<second@l.example>\r\nDATA\r\nSubject: smuggled\r\n\r\nx";

fn trusting(protocol: Protocol) -> ListenerConfig {
    // No exemption by network: the client is the relay that everybody trusts.
    ListenerConfig { trusted_networks: vec!["127.0.0.0/8".parse().unwrap()], ..config(protocol) }
}

#[tokio::test]
async fn no_false_end_makes_two_messages_of_one() {
    for protocol in [Protocol::Smtp, Protocol::Lmtp] {
        let server = start(trusting(protocol)).await;
        let hello = if protocol == Protocol::Lmtp { "LHLO x" } else { "EHLO x" };
        for end in FALSE_ENDS {
            let mut client = server.ready_for_data(hello).await;
            client.ask("DATA", "354").await;
            client.send([b"Subject: outer\r\n\r\nouter", end, SECOND.as_bytes(), b"\r\n.\r\n"].concat()).await;
            let answers = client.rest().await;
            assert_eq!(answers.len(), 1, "{end:?}: {answers:?}");
            assert!(answers[0].starts_with("554 5.6.0"), "{end:?}: {answers:?}");
        }
        assert!(server.recorder.all().is_empty());
    }
}

#[tokio::test]
async fn octets_between_the_dot_and_the_next_command_end_the_session() {
    let server = start(trusting(Protocol::Smtp)).await;
    for between in [b"\0".as_slice(), b"\n", b"\r\r\n", b".\n"] {
        let mut client = server.ready_for_data("EHLO x").await;
        client.ask("DATA", "354").await;
        client.send([b"one\r\n.\r\n", between, SECOND.as_bytes(), b"\r\n.\r\n"].concat()).await;
        let answers = client.rest().await;
        assert!(answers.len() == 2 && answers[0].starts_with("250") && answers[1].starts_with("554 5.6.0"), "{between:?}: {answers:?}");
    }
    assert!(server.recorder.all().iter().all(|message| message.octets == b"one\r\n"));
}

#[tokio::test]
async fn commands_end_with_cr_lf_only() {
    let server = start(trusting(Protocol::Smtp)).await;
    for line in [
        b"EHLO x\n".as_slice(),
        b"EHLO x\rMAIL FROM:<>\r\n",
        b"EHLO x\r\r\n",
        b"EH\0LO x\r\n",
        b"EHLO x\n\r\n",
        b"\n",
        b"RSET\r\nEHLO x\nNOOP\r\n",
    ] {
        let mut client = server.connect().await;
        client.send(line).await;
        let answers = client.rest().await;
        assert!(answers.last().unwrap().starts_with("554 5.6.0"), "{line:?}: {answers:?}");
        assert!(answers.iter().all(|answer| !answer.contains("PIPELINING")), "{line:?}: {answers:?}");
    }
}

#[tokio::test]
async fn chunks_with_bare_line_ends_are_refused() {
    let server = start(trusting(Protocol::Smtp)).await;
    for chunk in [b"a\nb\r\n".as_slice(), b"a\rb\r\n", b"a\0b\r\n", b"a\r\n\r", b"\n.\n\r\n"] {
        let mut client = server.ready_for_data("EHLO x").await;
        client.send([format!("BDAT {} LAST\r\n", chunk.len()).as_bytes(), chunk, b"NOOP\r\n"].concat()).await;
        let answers = client.rest().await;
        assert!(answers.len() == 1 && answers[0].starts_with("554 5.6.0"), "{chunk:?}: {answers:?}");
    }
    assert!(server.recorder.all().is_empty());
}
