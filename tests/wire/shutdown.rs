//! SIGTERM as the listener sees it: nothing new, nothing past the dot lost, nobody waited for without end.

use std::time::{Duration, Instant};

use enlace::smtp::session::Protocol;
use tokio::net::TcpStream;

use crate::support::{config, smtp, start};

#[tokio::test]
async fn past_the_dot_is_finished_and_before_it_is_put_off() {
    let mut hasty = config(Protocol::Smtp);
    hasty.patience.unfinished = Duration::from_millis(100);
    let server = start(hasty).await;
    server.recorder.gate.forget_permits(usize::MAX);
    let mut idle = server.connect().await;
    let mut ready = server.ready_for_data("EHLO x").await;
    let mut writing = server.ready_for_data("EHLO x").await;
    writing.ask("DATA", "354").await;
    writing.send("Subject: x\r\n\r\nhalf\r\n").await;
    let mut past = server.ready_for_data("EHLO x").await;
    past.ask("DATA", "354").await;
    past.send("Subject: x\r\n\r\nwhole\r\n.\r\n").await;
    server.recorder.arrived.acquire().await.unwrap().forget();

    server.shutdown.cancel();
    for client in [&mut idle, &mut ready, &mut writing] {
        assert_eq!(client.rest().await, ["421 4.3.2 shutting down, try again later"]);
    }
    assert!(TcpStream::connect(server.address).await.is_err(), "still accepting");
    assert!(!server.serving.is_finished(), "did not wait for the message past the dot");
    server.recorder.gate.add_permits(1);
    assert_eq!(past.rest().await, ["250 2.0.0 kept", "421 4.3.2 shutting down, try again later"]);
    server.serving.await.unwrap();
    assert_eq!(server.recorder.octets(), [b"Subject: x\r\n\r\nwhole\r\n"]);
}

#[tokio::test]
async fn a_message_that_is_coming_in_may_end_and_is_kept() {
    let server = smtp().await;
    let mut idle = server.connect().await;
    let mut writing = server.ready_for_data("EHLO x").await;
    writing.ask("DATA", "354").await;
    writing.send("Subject: x\r\n\r\nhalf\r\n").await;
    server.shutdown.cancel();
    assert_eq!(idle.rest().await, ["421 4.3.2 shutting down, try again later"], "whoever sends nothing is not waited for");
    writing.send("whole\r\n.\r\n").await;
    assert_eq!(writing.rest().await, ["250 2.0.0 kept", "421 4.3.2 shutting down, try again later"]);
    server.serving.await.unwrap();
    assert_eq!(server.recorder.octets(), [b"Subject: x\r\n\r\nhalf\r\nwhole\r\n"]);
}

#[tokio::test]
async fn a_message_that_never_ends_does_not_hold_up_the_shutdown() {
    let mut hasty = config(Protocol::Lmtp);
    hasty.patience.shutdown = Duration::from_millis(300);
    let server = start(hasty).await;
    server.recorder.gate.forget_permits(usize::MAX);
    let mut client = server.ready_for_data("LHLO x").await;
    client.ask("DATA", "354").await;
    client.send(".\r\n").await;
    server.recorder.arrived.acquire().await.unwrap().forget();
    let begun = Instant::now();
    server.shutdown.cancel();
    server.serving.await.unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(300));
    assert_eq!(client.rest().await, Vec::<String>::new(), "no answer is better than a wrong one");
}

#[tokio::test]
async fn a_hundred_sessions_end_quickly() {
    let mut many = config(Protocol::Smtp);
    many.patience.sessions_network = 200;
    let server = start(many).await;
    let mut clients = Vec::new();
    for _ in 0..100 {
        clients.push(server.connect().await);
    }
    let begun = Instant::now();
    server.shutdown.cancel();
    server.serving.await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(10));
    for client in &mut clients {
        assert_eq!(client.rest().await, ["421 4.3.2 shutting down, try again later"]);
    }
}
