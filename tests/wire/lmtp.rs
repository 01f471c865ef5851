//! RFC 2033: one answer for each recipient that was taken.

use enlace::smtp::session::Protocol;

use crate::support::{config, start};

#[tokio::test]
async fn each_recipient_has_its_own_answer() {
    let server = start(config(Protocol::Lmtp)).await;
    let mut client = server.connect().await;
    client.ask("EHLO x", "500").await;
    client.ask("HELO x", "500").await;
    client.ask("LHLO x", "250").await;
    client.send("MAIL FROM:<ana@example.org>\r\nRCPT TO:<a@l.example>\r\nRCPT TO:<nobody@l.example>\r\nRCPT TO:<refuse@l.example>\r\nRCPT TO:<defer@l.example>\r\nRCPT TO:<a@l.example>\r\nDATA\r\n").await;
    client.expect(&["250", "250", "550", "250", "250", "250", "354"]).await;
    client.send("x\r\n.\r\nNOOP\r\n").await;
    client.expect(&["250 2.0.0", "550 5.7.1", "451 4.3.0", "250 2.0.0", "250 2.0.0 still"]).await;
    let received = server.recorder.all().remove(0);
    assert_eq!(received.recipients, ["a@l.example", "refuse@l.example", "defer@l.example", "a@l.example"]);
    assert_eq!(received.session.protocol, "lmtp");
}

#[tokio::test]
async fn refused_messages_are_refused_for_each() {
    let server = start(config(Protocol::Lmtp)).await;
    let mut client = server.connect().await;
    client.ask("LHLO x", "250").await;
    client.send("MAIL FROM:<>\r\nRCPT TO:<a@l.example>\r\nRCPT TO:<b@l.example>\r\nDATA\r\n").await;
    client.expect(&["250", "250", "250", "354"]).await;
    client.send(format!("{}\r\n.\r\nNOOP\r\n", "x".repeat(10_001))).await;
    client.expect(&["554 5.6.0", "554 5.6.0", "250"]).await;
    client.send("MAIL FROM:<>\r\nRCPT TO:<a@l.example>\r\nRCPT TO:<b@l.example>\r\nBDAT 3\r\nx\r\nBDAT 3 LAST\r\ny\r\n").await;
    client.expect(&["250", "250", "250", "250", "250 2.0.0 kept", "250 2.0.0 kept"]).await;
    client.send("MAIL FROM:<>\r\nRCPT TO:<panic@l.example>\r\nRCPT TO:<b@l.example>\r\nBDAT 3 LAST\r\nx\r\nNOOP\r\n").await;
    client.expect(&["250", "250", "250", "451", "451", "250"]).await;
}

#[tokio::test]
async fn without_a_recipient_data_is_out_of_order() {
    let server = start(config(Protocol::Lmtp)).await;
    let mut client = server.connect().await;
    client.ask("LHLO x", "250").await;
    client.send("MAIL FROM:<>\r\nRCPT TO:<nobody@l.example>\r\nDATA\r\nNOOP\r\n").await;
    client.expect(&["250", "550", "503", "250"]).await;
}
