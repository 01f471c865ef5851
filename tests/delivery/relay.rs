//! Handing messages to the relay: every answer means what it says, for each recipient (RFC 5321 section 4.2).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use enlace::domain::ledger::RelayAnswer::{self, Later, LostAfter, LostBefore, Refused, Taken};
use enlace::smtp::relay::{Relay, RelayError, RelayOptions, RelaySession, RelayTls, SmtpRelay, Transaction};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use crate::sink::{Act, Manner, Sink, Step};

fn options(sink: &Sink) -> RelayOptions {
    let mut options = RelayOptions::plain("127.0.0.1", sink.address.port(), "lists.example.org");
    // Shortened, so that a test of silence ends; nothing here waits for them otherwise.
    options.timeouts.command = Duration::from_secs(5);
    options.timeouts.dot = Duration::from_secs(5);
    options
}

async fn open(sink: &Sink) -> Box<dyn RelaySession> {
    SmtpRelay::new(options(sink)).open().await.unwrap()
}

async fn send(session: &mut Box<dyn RelaySession>, recipients: &[&str], message: &[u8]) -> Vec<RelayAnswer> {
    let message = [Bytes::copy_from_slice(message)];
    let transaction = Transaction { reverse_path: "l-bounces@example.org", recipients, message: &message };
    session.send(transaction, Box::pin(async { true })).await
}

const MESSAGE: &[u8] = b"Subject: x\r\n\r\nhello\r\n";

/// State and words of an answer, without the octets of this machine's error texts.
fn kind(answer: &RelayAnswer) -> &'static str {
    match answer {
        Taken(_) => "taken",
        Later(_) => "later",
        Refused(_) => "refused",
        LostBefore(_) => "lost before",
        LostAfter(_) => "lost after",
    }
}

#[tokio::test]
async fn a_transaction_goes_out_in_one_write_where_pipelining_is_offered() {
    let sink = Sink::start(Manner::usual()).await;
    let mut session = open(&sink).await;
    let answers = send(&mut session, &["ana@example.org", "ben@example.org"], MESSAGE).await;
    assert_eq!(answers, [Taken("250 2.0.0 taken".into()), Taken("250 2.0.0 taken".into())]);
    assert_eq!(sink.most_ahead(), 4, "MAIL, two RCPT and DATA");
    let taken = &sink.taken()[0];
    assert_eq!(taken.message, MESSAGE);
    assert_eq!(taken.mail, format!("MAIL FROM:<l-bounces@example.org> SIZE={}", MESSAGE.len()));
    session.close().await;
    assert_eq!(sink.commands().last().unwrap(), "QUIT");
}

#[tokio::test]
async fn without_pipelining_every_command_waits_for_its_answer() {
    for features in [&[] as &[&str], &["8BITMIME"]] {
        let sink = Sink::start(Manner::usual().features(features)).await;
        let mut session = open(&sink).await;
        for _ in 0..2 {
            let answers = send(&mut session, &["ana@example.org", "ben@example.org"], MESSAGE).await;
            assert!(answers.iter().all(|answer| kind(answer) == "taken"), "{answers:?}");
        }
        assert_eq!((sink.most_ahead(), sink.count(), sink.connections()), (1, 4, 1));
    }
}

#[tokio::test]
async fn each_recipient_has_its_own_answer_and_the_session_goes_on() {
    for features in [&["PIPELINING"] as &[&str], &[]] {
        let manner = Manner::by(|moment| match (moment.step, moment.argument.as_str()) {
            (Step::Rcpt, to) if to.contains("<gone@") => Act::Say("550-5.1.1 no such user\r\n550 5.1.1 here".into()),
            (Step::Rcpt, to) if to.contains("<grey@") => Act::Say("450 4.2.0 later".into()),
            _ => Act::Usual,
        });
        let sink = Sink::start(manner.features(features)).await;
        let mut session = open(&sink).await;
        let all = ["ana@example.org", "gone@example.org", "grey@example.org", "ben@example.org"];
        let answers = send(&mut session, &all, MESSAGE).await;
        let expected = [
            Taken("250 2.0.0 taken".into()),
            Refused("550 5.1.1 no such user here".into()),
            Later("450 4.2.0 later".into()),
            Taken("250 2.0.0 taken".into()),
        ];
        assert_eq!(answers, expected);
        // None left, then one again: what was left behind is reset.
        let answers = send(&mut session, &["gone@example.org", "grey@example.org"], MESSAGE).await;
        assert_eq!(answers.iter().map(kind).collect::<Vec<_>>(), ["refused", "later"]);
        assert_eq!(kind(&send(&mut session, &["cyd@example.org"], MESSAGE).await[0]), "taken");
        assert_eq!(sink.recipients(), ["ana@example.org", "ben@example.org", "cyd@example.org"]);
        assert_eq!(sink.connections(), 1);
        assert!(sink.commands().contains(&"RSET".to_owned()));
    }
}

#[tokio::test]
async fn an_empty_data_is_ended_and_its_answer_thrown_away() {
    // Some relays answer DATA with 354 although no recipient was taken (RFC 2920 section 3.1).
    let manner = Manner::by(|moment| match (moment.step, moment.transaction) {
        (Step::Rcpt, 1) => Act::Say("550 5.1.1 no".into()),
        (Step::Data, 1) => Act::Say("354 go all the same".into()),
        _ => Act::Usual,
    });
    let sink = Sink::start(manner).await;
    let mut session = open(&sink).await;
    assert_eq!(send(&mut session, &["ana@example.org"], MESSAGE).await, [Refused("550 5.1.1 no".into())]);
    assert_eq!(kind(&send(&mut session, &["ben@example.org"], MESSAGE).await[0]), "taken");
    assert_eq!(sink.recipients(), ["ben@example.org"]);
    assert_eq!(sink.connections(), 1);
}

#[tokio::test]
async fn every_trouble_at_every_step_leads_to_the_right_answer() {
    let say = |text: &str| Act::Say(text.to_owned());
    let close = |text: &str| Act::SayAndClose(text.to_owned());
    let noise: Vec<u8> = (0_u32..3000).map(|n| (n.wrapping_mul(2_654_435_761) >> 11).to_le_bytes()[0]).collect();
    let endless = [b"250 ".as_slice(), &b"x".repeat(100_000), b"\r\n"].concat();
    // Step, what the relay does, kind of answer, is the session good afterwards?
    for (step, act, expected, open_after) in [
        (Step::Mail, say("451 4.3.0 later"), "later", true),
        (Step::Mail, say("550 5.7.1 not you"), "refused", true),
        (Step::Mail, close("421 4.3.2 shutting down"), "later", false),
        (Step::Mail, Act::Close, "lost before", false),
        (Step::Mail, Act::Raw(noise.clone()), "lost before", false),
        (Step::Mail, Act::Raw(endless.clone()), "lost before", false),
        (Step::Mail, say("354 what"), "lost before", false),
        (Step::Rcpt, say("450 4.2.0 grey"), "later", true),
        (Step::Rcpt, say("550 5.1.1 no"), "refused", true),
        (Step::Rcpt, close("421 4.3.2 shutting down"), "later", false),
        (Step::Rcpt, Act::Close, "lost before", false),
        (Step::Rcpt, Act::Raw(noise.clone()), "lost before", false),
        (Step::Data, say("451 4.3.0 later"), "later", true),
        (Step::Data, say("554 5.7.1 no"), "refused", true),
        (Step::Data, close("421 4.3.2 shutting down"), "later", false),
        (Step::Data, Act::Close, "lost before", false),
        (Step::Data, say("250 misunderstood"), "lost before", false),
        (Step::Dot, say("451 4.3.0 disk full"), "later", true),
        (Step::Dot, say("452 4.3.1 disk full"), "later", true),
        (Step::Dot, say("554 5.7.1 spam"), "refused", true),
        (Step::Dot, close("421 4.3.2 shutting down"), "later", false),
        (Step::Dot, Act::Close, "lost after", false),
        (Step::Dot, Act::Raw(noise), "lost after", false),
        (Step::Dot, Act::Raw(endless), "lost after", false),
        (Step::Dot, say("354 again"), "lost after", false),
    ] {
        for features in [&["PIPELINING"] as &[&str], &[]] {
            let acted = act.clone();
            let manner = Manner::by(move |moment| if moment.step == step && moment.transaction == 1 { acted.clone() } else { Act::Usual });
            let sink = Sink::start(manner.features(features)).await;
            let mut session = open(&sink).await;
            let answers = send(&mut session, &["ana@example.org"], MESSAGE).await;
            assert_eq!(answers.iter().map(kind).collect::<Vec<_>>(), [expected], "{step:?} {act:?} {features:?}: {answers:?}");
            assert_eq!(session.is_open(), open_after, "{step:?} {act:?} {features:?}");
            let line = format!("{:?}", answers[0]);
            assert!(line.len() < 700 && !line.contains("\\r"), "{line}");
            if open_after {
                assert_eq!(kind(&send(&mut session, &["ben@example.org"], MESSAGE).await[0]), "taken", "{step:?} {act:?} {features:?}");
                assert_eq!(sink.recipients(), ["ben@example.org"]);
            }
        }
    }
}

#[tokio::test]
async fn a_connection_cut_within_a_large_message_has_surely_not_taken_it() {
    let manner = Manner::by(|moment| if moment.step == Step::Data { Act::CloseWithin(100_000) } else { Act::Usual });
    let sink = Sink::start(manner).await;
    let mut session = open(&sink).await;
    let large = b"a line of some length that is repeated\r\n".repeat(500_000);
    let answers = send(&mut session, &["ana@example.org"], &large).await;
    assert_eq!(kind(&answers[0]), "lost before", "{answers:?}");
    assert!(!session.is_open());
}

#[tokio::test]
async fn silence_ends_the_session() {
    let manner = Manner::by(|moment| if moment.step == Step::Dot { Act::Slowly(Duration::from_mins(1)) } else { Act::Usual });
    let sink = Sink::start(manner).await;
    let mut options = options(&sink);
    options.timeouts.dot = Duration::from_millis(50);
    let mut session = SmtpRelay::new(options).open().await.unwrap();
    let answers = send(&mut session, &["ana@example.org"], MESSAGE).await;
    assert_eq!(kind(&answers[0]), "lost after", "{answers:?}");
    assert!(!session.is_open());
}

#[tokio::test]
async fn a_session_closed_between_two_transactions_has_surely_not_taken_the_second() {
    let manner = Manner::by(|moment| {
        if moment.step == Step::Dot { Act::Raw(b"250 2.0.0 taken\r\n421 4.4.2 idle too long\r\n".to_vec()) } else { Act::Usual }
    });
    let sink = Sink::start(manner).await;
    let mut session = open(&sink).await;
    assert_eq!(kind(&send(&mut session, &["ana@example.org"], MESSAGE).await[0]), "taken");
    let answers = send(&mut session, &["ben@example.org"], MESSAGE).await;
    assert_eq!(kind(&answers[0]), "lost before", "{answers:?}");
    assert!(!session.is_open());
}

#[tokio::test]
async fn without_clearance_no_final_dot_is_sent() {
    let sink = Sink::start(Manner::usual()).await;
    let mut session = open(&sink).await;
    let message = [Bytes::from_static(MESSAGE)];
    let transaction = Transaction { reverse_path: "", recipients: &["ana@example.org"], message: &message };
    let answers = session.send(transaction, Box::pin(async { false })).await;
    assert_eq!(kind(&answers[0]), "lost before");
    session.close().await;
    assert_eq!(sink.count(), 0);
}

#[tokio::test]
async fn bodies_of_every_mix_of_line_ends_and_dots_come_through_as_one_message() {
    let sink = Sink::start(Manner::usual()).await;
    let mut session = open(&sink).await;
    let bodies: [(&[u8], &[u8]); 12] = [
        (b"", b""),
        (b".", b".\r\n"),
        (b".\r\n", b".\r\n"),
        (b"..\r\n.\r\n", b"..\r\n.\r\n"),
        (b"a\r\n\r\n.\r\n\r\nb", b"a\r\n\r\n.\r\n\r\nb\r\n"),
        (b"a\r\n\r\n", b"a\r\n\r\n"),
        (b"x\n.\r\nMAIL FROM:<evil@example.org>\r\n", b"x\r\n.\r\nMAIL FROM:<evil@example.org>\r\n"),
        (b"x\r\n.\nMAIL FROM:<evil@example.org>\r\n", b"x\r\n.\r\nMAIL FROM:<evil@example.org>\r\n"),
        (b"x\r.\r\nRSET\r\n", b"x\r\n.\r\nRSET\r\n"),
        (b"x\r\n.\rRSET\r\n", b"x\r\n.\r\nRSET\r\n"),
        (b"x\0\r\n.\0\r\ny", b"x\r\n.\r\ny\r\n"),
        ("größer\r\n".as_bytes(), "größer\r\n".as_bytes()),
    ];
    for (number, (body, expected)) in bodies.iter().enumerate() {
        let message = [b"Subject: x\r\n\r\n".as_slice(), body].concat();
        let answers = send(&mut session, &["ana@example.org"], &message).await;
        assert_eq!(kind(&answers[0]), "taken");
        let taken = sink.taken();
        assert_eq!(taken.len(), number + 1);
        let arrived = taken[number].message.strip_prefix(b"Subject: x\r\n\r\n").unwrap();
        assert_eq!(arrived.escape_ascii().to_string(), expected.escape_ascii().to_string());
        let wire = &taken[number].wire;
        for (index, octet) in wire.iter().enumerate() {
            assert!(*octet != b'\n' || wire[index - 1] == b'\r', "bare LF");
            assert!(*octet != b'\r' || wire[index + 1] == b'\n', "bare CR");
            assert_ne!(*octet, 0);
        }
    }
}

#[tokio::test]
async fn extensions_are_used_when_offered_and_limits_are_kept_here() {
    let sink = Sink::start(Manner::usual().features(&["PIPELINING", "8BITMIME", "SMTPUTF8", "SIZE 1000"])).await;
    let mut session = open(&sink).await;
    let answers = send(&mut session, &["ana@example.org"], &[b'x'; 2000]).await;
    assert_eq!(answers, [Refused("552 5.3.4 not sent: the message has 2000 octets, the relay takes 1000".into())]);
    assert_eq!(kind(&send(&mut session, &["jürgen@example.org"], "é\r\n".as_bytes()).await[0]), "taken");
    assert_eq!(sink.taken()[0].mail, "MAIL FROM:<l-bounces@example.org> SIZE=4 BODY=8BITMIME SMTPUTF8");
    let answers = send(&mut session, &["a b@example.org", "x\r\nRSET@example.org", "ok@example.org"], MESSAGE).await;
    assert_eq!(answers.iter().map(kind).collect::<Vec<_>>(), ["refused", "refused", "taken"]);

    let sink = Sink::start(Manner::usual().features(&["PIPELINING"])).await;
    let mut session = open(&sink).await;
    let answers = send(&mut session, &["jürgen@example.org", "ana@example.org"], "é\r\n".as_bytes()).await;
    assert!(matches!(&answers[0], Refused(text) if text.contains("SMTPUTF8")), "{answers:?}");
    assert_eq!(kind(&answers[1]), "taken");
    assert_eq!(sink.taken()[0].mail, "MAIL FROM:<l-bounces@example.org>");
}

struct Identity {
    acceptor: TlsAcceptor,
    certificate: tempfile::NamedTempFile,
}

fn identity(name: &str) -> Identity {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let provider = Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let certificate = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(certificate.path(), made.cert.pem()).unwrap();
    Identity { acceptor: TlsAcceptor::from(Arc::new(config)), certificate }
}

#[tokio::test]
async fn encrypted_and_authenticated_sessions_carry_mail() {
    let identity = identity("localhost");
    for (tls, mechanism) in [(RelayTls::Starttls, "PLAIN"), (RelayTls::Implicit, "LOGIN")] {
        let mut manner = Manner::usual().features(&["PIPELINING", "STARTTLS", &format!("AUTH {mechanism} X-OTHER")]);
        manner.tls = Some(identity.acceptor.clone());
        manner.implicit = tls == RelayTls::Implicit;
        let sink = Sink::start(manner).await;
        let mut options = options(&sink);
        options.host = "localhost".into();
        options.tls = tls;
        options.trusted_certificates = Some(identity.certificate.path().to_owned());
        options.credentials = Some(("ana".into(), "secret".into()));
        let mut session = SmtpRelay::new(options.clone()).open().await.unwrap();
        assert_eq!(kind(&send(&mut session, &["ben@example.org"], MESSAGE).await[0]), "taken");
        let expected = if mechanism == "PLAIN" { "AUTH PLAIN AGFuYQBzZWNyZXQ=" } else { "AUTH LOGIN YW5h c2VjcmV0" };
        assert!(sink.commands().contains(&expected.to_owned()), "{:?}", sink.commands());

        // Another name than the certificate's, and a certificate nobody trusts: no session.
        let mut other_name = options.clone();
        other_name.host = "127.0.0.1".into();
        assert!(matches!(SmtpRelay::new(other_name).open().await.err(), Some(RelayError::Tls { .. })));
        let mut untrusted = options.clone();
        untrusted.trusted_certificates = Some(self::identity("localhost").certificate.path().to_owned());
        assert!(SmtpRelay::new(untrusted).open().await.is_err());
    }
}

#[tokio::test]
async fn no_session_is_opened_against_the_rules() {
    // STARTTLS demanded and not offered.
    let sink = Sink::start(Manner::usual()).await;
    let mut demanding = options(&sink);
    demanding.tls = RelayTls::Starttls;
    let error = SmtpRelay::new(demanding).open().await.err().unwrap();
    assert!(matches!(&error, RelayError::Tls { .. }) && error.to_string().contains("STARTTLS"), "{error}");
    assert!(!sink.commands().iter().any(|command| command.starts_with("MAIL")));

    // A password is not sent in clear text to another machine; it is not even offered a chance to ask for it.
    let sink = Sink::start(Manner::usual().features(&["AUTH PLAIN"])).await;
    let mut wrong = options(&sink);
    wrong.credentials = Some(("ana".into(), "secret".into()));
    assert!(SmtpRelay::new(wrong.clone()).open().await.is_ok(), "on this machine it may");
    let refusing = Manner::by(|moment| if moment.step == Step::Auth { Act::Say("535 5.7.8 no".into()) } else { Act::Usual });
    let sink = Sink::start(refusing.features(&["AUTH PLAIN"])).await;
    wrong.port = sink.address.port();
    let error = SmtpRelay::new(wrong).open().await.err().unwrap();
    assert!(error.to_string().ends_with("refused AUTH: 535 5.7.8 no"), "{error}");

    // Nobody there, or somebody who does not want us.
    for act in [Act::SayAndClose("554 5.7.1 go away".into()), Act::Close, Act::Raw(vec![0xff; 5000])] {
        let sink = Sink::start(Manner::by(move |moment| if moment.step == Step::Greeting { act.clone() } else { Act::Usual })).await;
        assert!(SmtpRelay::new(options(&sink)).open().await.is_err());
    }
    let sink = Sink::start(Manner::usual()).await;
    let gone = options(&sink);
    drop(sink);
    let unreachable = || async { matches!(SmtpRelay::new(gone.clone()).open().await.err(), Some(RelayError::Unreachable { .. })) };
    // The listener goes with its task, which is aborted, not yet gone.
    while !unreachable().await {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_relay_that_knows_no_ehlo_is_greeted_with_helo() {
    let manner = Manner::by(|moment| if moment.step == Step::Ehlo { Act::Say("502 5.5.1 what?".into()) } else { Act::Usual });
    let sink = Sink::start(manner).await;
    let mut session = open(&sink).await;
    assert_eq!(kind(&send(&mut session, &["ana@example.org"], MESSAGE).await[0]), "taken");
    assert_eq!(sink.commands()[1], "HELO lists.example.org");
    assert_eq!(sink.most_ahead(), 1);
}
