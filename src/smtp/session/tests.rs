//! The machine without sockets: whatever comes, in whatever pieces, the answers are the same and in step.

use proptest::prelude::*;

use super::*;
use crate::smtp::Login;

/// What a whole run gave.
#[derive(Debug, PartialEq, Eq)]
struct Run {
    output: String,
    messages: Vec<(Vec<String>, Vec<u8>)>,
    closed: bool,
}

fn session(protocol: Protocol, limits: Limits) -> Session {
    let config = SessionConfig {
        protocol,
        hostname: "mx.example.org".to_owned(),
        domain: "l.example".to_owned(),
        starttls: false,
        xforward: false,
        limits,
    };
    let address = "127.0.0.1:24".parse().unwrap();
    let info = SessionInfo {
        protocol: protocol.as_str(),
        local: address,
        peer: address,
        client: None,
        helo: String::new(),
        trusted: true,
        tls: protocol == Protocol::Submission,
        authenticated: None,
        trace: String::new(),
    };
    Session::new(Arc::new(config), info)
}

/// Feeds the pieces and answers the questions: `no…` is refused at RCPT, `never…` after the message.
fn run<'a>(protocol: Protocol, limits: &Limits, pieces: impl IntoIterator<Item = &'a [u8]>) -> Run {
    let mut session = session(protocol, limits.clone());
    let (mut input, mut content) = (BytesMut::new(), Vec::new());
    let mut run = Run { output: String::new(), messages: Vec::new(), closed: false };
    for piece in pieces {
        input.extend_from_slice(piece);
        loop {
            match session.step(&mut input, &mut content) {
                Step::Read => break,
                Step::Sender { .. } => session.sender_answered(None),
                Step::Recipient(address) => {
                    let refused = address.local() == "no";
                    session.recipient_answered(&if refused {
                        Answer::new(550, (5, 1, 1), "no")
                    } else {
                        Answer::new(250, (2, 1, 5), "yes")
                    });
                }
                Step::Authenticate { user, password } => session.authenticated(match user.parse() {
                    Ok(user) if password == "right" => Login::Welcome(user),
                    _ => Login::Wrong,
                }),
                Step::Message { recipients, .. } => {
                    let answers =
                        recipients
                            .iter()
                            .map(|r| {
                                if r.local() == "never" {
                                    Answer::new(550, (5, 7, 1), "never")
                                } else {
                                    Answer::new(250, (2, 0, 0), "kept")
                                }
                            })
                            .collect();
                    run.messages.push((recipients.iter().map(ToString::to_string).collect(), std::mem::take(&mut content)));
                    session.message_answered(answers);
                }
                Step::StartTls => session.tls_started(),
                Step::Close => {
                    run.closed = true;
                    break;
                }
            }
        }
        run.output += &String::from_utf8(session.take_output()).expect("answers are text");
        if run.closed {
            break;
        }
    }
    run
}

/// Codes of complete answers; panics on anything that is not an answer.
fn codes(output: &str) -> Vec<u16> {
    let mut codes = Vec::new();
    for line in output.split_terminator("\r\n") {
        assert!(!line.contains(['\r', '\n', '\0']) && line.len() <= 512, "{line:?}");
        let code: u16 = line[..3].parse().unwrap_or_else(|_| panic!("{line:?}"));
        match line.as_bytes().get(3) {
            Some(b' ') => codes.push(code),
            Some(b'-') => {}
            _ => panic!("{line:?}"),
        }
    }
    assert!(output.is_empty() || output.ends_with("\r\n"));
    codes
}

fn check(protocol: Protocol, input: &str, expected: &[u16]) -> Run {
    let run = run(protocol, &Limits::default(), [input.as_bytes()]);
    assert_eq!(codes(&run.output), expected, "{input:?}: {}", run.output);
    run
}

#[test]
fn answers_without_an_enhanced_code_are_those_that_have_none() {
    let run = check(
        Protocol::Smtp,
        "EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<a@l.example>\r\nDATA\r\nx\r\n.\r\nWHAT\r\n",
        &[250, 250, 250, 354, 250, 500],
    );
    for line in
        run.output.lines().filter(|line| !line.starts_with("250-") && !line.ends_with("ENHANCEDSTATUSCODES") && !line.starts_with("354"))
    {
        assert!(line.as_bytes()[4].is_ascii_digit() && line.as_bytes()[5] == b'.', "{line}");
    }
}

#[test]
fn a_long_answer_becomes_several_lines_and_controls_are_replaced() {
    let mut session = session(Protocol::Smtp, Limits::default());
    session.end_with(&Answer::new(550, (5, 7, 1), format!("{}\r\n250 2.0.0 ok\0é", "x".repeat(900))));
    let output = String::from_utf8(session.take_output()).unwrap();
    assert_eq!(codes(&output), [550]);
    assert_eq!(output.matches("550-5.7.1 ").count(), 2);
    assert!(output.ends_with("x??250 2.0.0 ok??\r\n"), "{output}");
}

#[test]
fn lmtp_answers_for_each_recipient_and_smtp_once() {
    let transaction =
        "MAIL FROM:<>\r\nRCPT TO:<never@l.example>\r\nRCPT TO:<no@l.example>\r\nRCPT TO:<a@l.example>\r\nDATA\r\nx\r\n.\r\nNOOP\r\n";
    check(Protocol::Lmtp, &format!("LHLO x\r\n{transaction}"), &[250, 250, 250, 550, 250, 354, 550, 250, 250]);
    check(Protocol::Smtp, &format!("EHLO x\r\n{transaction}"), &[250, 250, 250, 550, 250, 354, 250, 250]);
}

#[test]
fn a_receiver_that_forgets_recipients_does_not_shift_the_answers() {
    let mut session = session(Protocol::Lmtp, Limits::default());
    let (mut input, mut content) = (BytesMut::new(), Vec::new());
    input.extend_from_slice(b"LHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<a@l.example>\r\nRCPT TO:<b@l.example>\r\nBDAT 0 LAST\r\nNOOP\r\n");
    loop {
        match session.step(&mut input, &mut content) {
            Step::Sender { .. } => session.sender_answered(None),
            Step::Recipient(_) => session.recipient_answered(&Answer::new(250, (2, 1, 5), "yes")),
            Step::Message { .. } => session.message_answered(vec![Answer::new(550, (5, 7, 1), "no")]),
            _ => break,
        }
    }
    assert_eq!(codes(&String::from_utf8(session.take_output()).unwrap()), [250, 250, 250, 250, 550, 451, 250]);
}

#[test]
fn phases_follow_the_session() {
    let mut session = session(Protocol::Smtp, Limits::default());
    let mut content = Vec::new();
    let mut feed = |session: &mut Session, text: &str| {
        let mut input = BytesMut::from(text);
        loop {
            match session.step(&mut input, &mut content) {
                Step::Sender { .. } => session.sender_answered(None),
                Step::Recipient(_) => session.recipient_answered(&Answer::new(250, (2, 1, 5), "yes")),
                _ => break,
            }
        }
    };
    assert_eq!(session.phase(), Phase::Greeting);
    feed(&mut session, "EHLO x\r\n");
    assert_eq!(session.phase(), Phase::Command);
    feed(&mut session, "MAIL FROM:<>\r\nRCPT TO:<a@l.example>\r\nBDAT 5\r\nx\r\n");
    assert_eq!((session.phase(), session.is_collecting(), session.octets_collected()), (Phase::Message, true, 3));
    feed(&mut session, "\r\n");
    assert_eq!((session.phase(), session.is_collecting()), (Phase::Command, true));
    feed(&mut session, "RSET\r\n");
    assert!(!session.is_collecting());
    session.refuse_content(Answer::new(452, (4, 3, 1), "full"));
    feed(&mut session, "MAIL FROM:<>\r\nRCPT TO:<a@l.example>\r\nDATA\r\nx\r\n");
    session.refuse_content(Answer::new(452, (4, 3, 1), "full"));
    assert!(!session.is_collecting());
    feed(&mut session, ".\r\n");
    assert!(String::from_utf8(session.take_output()).unwrap().ends_with("452 4.3.1 full\r\n"));
}

/// Pieces of which sessions, good and bad, are made.
const WORDS: &[&[u8]] = &[
    b"EHLO x\r\n",
    b"LHLO x\r\n",
    b"HELO x\r\n",
    b"MAIL FROM:<a@x.example>\r\n",
    b"MAIL FROM:<> SIZE=10 SMTPUTF8\r\n",
    b"RCPT TO:<a@l.example>\r\n",
    b"RCPT TO:<no@l.example>\r\n",
    b"RCPT TO:<never@l.example>\r\n",
    b"DATA\r\n",
    b"BDAT 5\r\n",
    b"BDAT 0 LAST\r\n",
    b"BDAT 7 LAST\r\n",
    b"RSET\r\n",
    b"NOOP\r\n",
    b"VRFY x\r\n",
    b"WHAT\r\n",
    b"STARTTLS\r\n",
    b"AUTH PLAIN\r\n",
    b"AUTH LOGIN\r\n",
    b"AGFAeC5leGFtcGxlAHJpZ2h0\r\n",
    b"\r\n",
    b".\r\n",
    b"..\r\n",
    b"text\r\n",
    b"Content-Type: multipart/mixed; boundary=b\r\n",
    b"--b\r\n",
    b"\r",
    b"\n",
    b"\0",
    b".",
    b"x",
    b"MAIL FROM:<",
    b"BDAT ",
    b"QUIT\r\n",
    b"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
];

fn octets() -> impl Strategy<Value = Vec<u8>> {
    let word =
        prop_oneof![8 => proptest::sample::select(WORDS).prop_map(<[u8]>::to_vec), 1 => proptest::collection::vec(any::<u8>(), 0..6)];
    let beginning = prop_oneof![
        Just(b"".to_vec()),
        Just(b"EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<a@l.example>\r\n".to_vec()),
        Just(b"LHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<a@l.example>\r\nDATA\r\n".to_vec())
    ];
    (beginning, proptest::collection::vec(word, 0..40)).prop_map(|(beginning, words)| [beginning, words.concat()].concat())
}

fn protocol() -> impl Strategy<Value = Protocol> {
    prop_oneof![Just(Protocol::Smtp), Just(Protocol::Lmtp), Just(Protocol::Submission)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn pieces_do_not_matter(protocol in protocol(), input in octets(), size in 1_usize..20) {
        // Small limits, so that they are met; but four times the size is not, because where the reading ends depends on the pieces.
        let limits = Limits { message_octets: 900, command_octets: 60, errors: 5, commands: 30, mime_depth: 2, ..Limits::default() };
        let whole = run(protocol, &limits, [input.as_slice()]);
        codes(&whole.output);
        let pieces = run(protocol, &limits, input.chunks(size));
        prop_assert_eq!(&whole, &pieces);
        for (_, message) in &whole.messages {
            prop_assert!(message.is_empty() || message.ends_with(b"\r\n"));
            let text = String::from_utf8_lossy(message).replace("\r\n", "");
            prop_assert!(!text.contains(['\r', '\n', '\0']) && message.len() <= 900);
        }
    }

    #[test]
    fn each_command_has_one_answer(commands in proptest::collection::vec(proptest::sample::select(&WORDS[..8]), 0..60)) {
        let input = commands.concat();
        let limits = Limits { errors: 1_000, ..Limits::default() };
        let run = run(Protocol::Smtp, &limits, [input.as_slice()]);
        prop_assert_eq!(codes(&run.output).len(), commands.len());
    }

    #[test]
    fn random_octets_do_no_harm(input in proptest::collection::vec(any::<u8>(), 0..600)) {
        for protocol in [Protocol::Smtp, Protocol::Lmtp, Protocol::Submission] {
            codes(&run(protocol, &Limits::default(), [input.as_slice()]).output);
        }
    }
}

#[test]
fn s6_xforward_is_taken_from_a_trusted_client_that_may_and_for_one_transaction() {
    for (may, trusted) in [(true, true), (true, false), (false, true)] {
        let mut session = session(Protocol::Lmtp, Limits::default());
        Arc::make_mut(&mut session.config).xforward = may;
        Arc::make_mut(&mut session.info).trusted = trusted;
        let say = |session: &mut Session, line: &str| {
            let mut input = BytesMut::from(format!("{line}\r\n").as_bytes());
            while let Step::Sender { .. } | Step::Recipient(_) = session.step(&mut input, &mut Vec::new()) {
                session.sender_answered(None);
                session.recipient_answered(&Answer::new(250, (2, 1, 5), "yes"));
            }
            String::from_utf8(session.take_output()).unwrap()
        };
        let hello = say(&mut session, "LHLO relay");
        assert_eq!(hello.contains("XFORWARD"), may && trusted, "{hello}");
        let answer = say(&mut session, "XFORWARD NAME=mail.member.test ADDR=192.0.2.7 HELO=mail.member.test");
        if !(may && trusted) {
            assert!(answer.starts_with("502") && session.info().client.is_none(), "{answer}");
            continue;
        }
        assert!(answer.starts_with("250"), "{answer}");
        assert_eq!(session.info().client, "192.0.2.7".parse().ok());
        assert!(say(&mut session, "XFORWARD ADDR=IPV6:2001:db8::7").starts_with("250"));
        assert_eq!(session.info().client, "2001:db8::7".parse().ok());
        for wrong in ["XFORWARD ADDR=here", "XFORWARD ADDR", "XFORWARD EVIL=1", "XFORWARD ADDR=+zz"] {
            assert!(say(&mut session, wrong).starts_with("501"), "{wrong}");
        }
        assert!(say(&mut session, "MAIL FROM:<a@b.test>").starts_with("250"));
        assert!(say(&mut session, "XFORWARD ADDR=192.0.2.8").starts_with("503"), "not within a transaction");
        assert!(say(&mut session, "RSET").starts_with("250"));
        assert_eq!(session.info().client, None, "the next message may be of another client");
    }
}
