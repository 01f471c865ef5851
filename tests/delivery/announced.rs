//! An envelope that goes out with the final dot of the message before (RFC 2920 section 3.1).

use std::time::{Duration, Instant};

use bytes::Bytes;
use enlace::domain::ledger::RelayAnswer::{self, LostBefore, Taken};
use enlace::smtp::relay::{Relay, RelayOptions, RelaySession, SmtpRelay, Transaction};

use crate::sink::{Act, Manner, Sink, Step};

const FIRST: [Bytes; 1] = [Bytes::from_static(b"Subject: first\r\n\r\none\r\n")];
const SECOND: [Bytes; 1] = [Bytes::from_static(b"Subject: second\r\n\r\ntwo\r\n")];

fn to<'a>(recipients: &'a [&'a str], message: &'a [Bytes]) -> Transaction<'a> {
    Transaction { reverse_path: "l-bounces@example.org", recipients, message }
}

async fn open(sink: &Sink) -> Box<dyn RelaySession> {
    let mut options = RelayOptions::plain("127.0.0.1", sink.address.port(), "lists.example.org");
    options.timeouts.command = Duration::from_secs(5);
    options.timeouts.dot = Duration::from_secs(5);
    SmtpRelay::new(options).open().await.unwrap()
}

async fn send(session: &mut Box<dyn RelaySession>, transaction: Transaction<'_>) -> Vec<RelayAnswer> {
    session.send(transaction, Box::pin(async { true })).await
}

fn mails(sink: &Sink) -> usize {
    sink.commands().iter().filter(|command| command.starts_with("MAIL")).count()
}

/// The first is sent with the second announced.
async fn begin(sink: &Sink) -> (Box<dyn RelaySession>, Vec<RelayAnswer>) {
    let mut session = open(sink).await;
    session.announce(to(&["ben@example.org"], &SECOND));
    let answers = send(&mut session, to(&["ana@example.org"], &FIRST)).await;
    (session, answers)
}

#[tokio::test]
async fn it_is_with_the_relay_before_its_turn_and_taken_in_its_turn() {
    let sink = Sink::start(Manner::usual()).await;
    let (mut session, answers) = begin(&sink).await;
    assert_eq!(answers, [Taken("250 2.0.0 taken".into())]);
    let began = Instant::now();
    while mails(&sink) < 2 {
        assert!(began.elapsed() < Duration::from_secs(5), "the announced MAIL did not come: {:?}", sink.commands());
        tokio::task::yield_now().await;
    }
    assert_eq!(sink.count(), 1, "its message has not been sent");
    assert_eq!(send(&mut session, to(&["ben@example.org"], &SECOND)).await, [Taken("250 2.0.0 taken".into())]);
    assert_eq!(mails(&sink), 2, "it was not said twice");
    assert_eq!(sink.recipients(), ["ana@example.org", "ben@example.org"]);
    assert_eq!(sink.taken()[1].message, &SECOND[0][..]);
    session.close().await;
    assert_eq!(sink.commands().last().unwrap(), "QUIT");
}

#[tokio::test]
async fn another_transaction_in_its_place_is_not_sent_under_the_announced_envelope() {
    let sink = Sink::start(Manner::usual()).await;
    let (mut session, _) = begin(&sink).await;
    let answers = send(&mut session, to(&["carla@example.org"], &SECOND)).await;
    assert!(matches!(answers[..], [LostBefore(_)]), "{answers:?}");
    assert!(!session.is_open());
    assert_eq!(sink.recipients(), ["ana@example.org"]);
}

#[tokio::test]
async fn a_session_that_ends_behind_it_sends_nothing_more() {
    let sink = Sink::start(Manner::usual()).await;
    let (mut session, _) = begin(&sink).await;
    session.close().await;
    assert_eq!(sink.recipients(), ["ana@example.org"], "QUIT is no message");
    assert!(!sink.commands().iter().any(|command| command == "QUIT"), "{:?}", sink.commands());
}

#[tokio::test]
async fn a_message_refused_at_its_dot_does_not_touch_the_next() {
    let manner = Manner::by(|moment| match moment.step {
        Step::Dot if moment.argument.contains("ana") => Act::Say("554 5.6.0 not this one".into()),
        _ => Act::Usual,
    });
    let sink = Sink::start(manner).await;
    let (mut session, answers) = begin(&sink).await;
    assert_eq!(answers, [RelayAnswer::Refused("554 5.6.0 not this one".into())]);
    assert_eq!(send(&mut session, to(&["ben@example.org"], &SECOND)).await, [Taken("250 2.0.0 taken".into())]);
    // The next one is clean of both.
    assert_eq!(send(&mut session, to(&["dora@example.org"], &FIRST)).await, [Taken("250 2.0.0 taken".into())]);
    assert_eq!(sink.recipients(), ["ben@example.org", "dora@example.org"]);
}

#[tokio::test]
async fn a_transaction_without_a_dot_takes_nothing_along() {
    let manner = Manner::by(|moment| match moment.step {
        Step::Rcpt if moment.argument.contains("ana") => Act::Say("550 5.1.1 no such user".into()),
        _ => Act::Usual,
    });
    let sink = Sink::start(manner).await;
    let (mut session, answers) = begin(&sink).await;
    assert_eq!(answers, [RelayAnswer::Refused("550 5.1.1 no such user".into())]);
    assert_eq!(send(&mut session, to(&["ben@example.org"], &SECOND)).await, [Taken("250 2.0.0 taken".into())]);
    assert_eq!(send(&mut session, to(&["dora@example.org"], &FIRST)).await, [Taken("250 2.0.0 taken".into())]);
    assert_eq!(sink.recipients(), ["ben@example.org", "dora@example.org"]);
}

#[tokio::test]
async fn an_announced_recipient_who_is_refused_hears_it_in_her_turn() {
    let manner = Manner::by(|moment| match moment.step {
        Step::Rcpt if moment.argument.contains("ben") => Act::Say("450 4.2.1 later".into()),
        _ => Act::Usual,
    });
    let sink = Sink::start(manner).await;
    let (mut session, answers) = begin(&sink).await;
    assert_eq!(answers, [Taken("250 2.0.0 taken".into())]);
    let answers = send(&mut session, to(&["ben@example.org"], &SECOND)).await;
    assert_eq!(answers, [RelayAnswer::Later("450 4.2.1 later".into())]);
    assert!(session.is_open());
    assert_eq!(sink.recipients(), ["ana@example.org"]);
}

#[tokio::test]
async fn a_relay_without_pipelining_is_told_nothing_in_advance() {
    let sink = Sink::start(Manner::usual().features(&["8BITMIME"])).await;
    let (mut session, answers) = begin(&sink).await;
    assert!(!session.takes_announcements());
    assert_eq!(answers, [Taken("250 2.0.0 taken".into())]);
    assert_eq!(mails(&sink), 1);
    assert_eq!(send(&mut session, to(&["ben@example.org"], &SECOND)).await, [Taken("250 2.0.0 taken".into())]);
}
