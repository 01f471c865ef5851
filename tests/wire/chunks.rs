//! BDAT (RFC 3030), alone and mixed with everything else.

use crate::support::smtp;

#[tokio::test]
async fn chunks_become_one_message_and_dots_stay() {
    let server = smtp().await;
    let mut client = server.ready_for_data("EHLO x").await;
    client.send("BDAT 12\r\nSubject: x\r\nBDAT 0\r\nBDAT 10\r\n\r\n.\r\n..\r\n.BDAT 0 LAST\r\nNOOP\r\n").await;
    client.expect(&["250", "250", "250", "250 2.0.0 kept", "250"]).await;
    assert_eq!(server.recorder.octets(), [b"Subject: x\r\n\r\n.\r\n..\r\n.\r\n"]);
}

#[tokio::test]
async fn a_whole_transaction_with_chunks_comes_in_one_write() {
    let server = smtp().await;
    let mut client = server.connect().await;
    client.ask("EHLO x", "250").await;
    let transaction = "MAIL FROM:<ana@example.org>\r\nRCPT TO:<list@l.example>\r\nBDAT 3 LAST\r\nx\r\n";
    client.send(transaction.repeat(3)).await;
    client.expect(&["250", "250", "250 2.0.0 kept"].repeat(3)).await;
    assert_eq!(server.recorder.octets(), [b"x\r\n"; 3]);
}

#[tokio::test]
async fn data_and_chunks_do_not_mix() {
    let server = smtp().await;
    let mut client = server.ready_for_data("EHLO x").await;
    client.send("BDAT 3\r\nx\r\nDATA\r\nRCPT TO:<b@l.example>\r\nMAIL FROM:<>\r\nBDAT 0 LAST\r\n").await;
    client.expect(&["250", "503", "503", "503", "250 2.0.0 kept"]).await;
    client.send("BDAT 3 LAST\r\nx\r\nNOOP\r\n").await;
    client.expect(&["503", "250"]).await;
}

#[tokio::test]
async fn a_chunk_that_nobody_wants_is_not_read_as_commands() {
    let server = smtp().await;
    let mut client = server.connect().await;
    client.ask("EHLO x", "250").await;
    client.send("BDAT 29 LAST\r\nMAIL FROM:<ana@example.org>\r\nNOOP\r\n").await;
    client.expect(&["503", "250"]).await;
    client.send("RSET\r\nMAIL FROM:<ana@example.org>\r\nRCPT TO:<nobody@l.example>\r\nBDAT 6 LAST\r\nDATA\r\nNOOP\r\n").await;
    client.expect(&["250", "250", "550", "554", "250"]).await;
}

#[tokio::test]
async fn rset_forgets_the_chunks() {
    let server = smtp().await;
    let mut client = server.ready_for_data("EHLO x").await;
    client.send("BDAT 5\r\nold\r\nRSET\r\nMAIL FROM:<>\r\nRCPT TO:<a@l.example>\r\nBDAT 5 LAST\r\nnew\r\n").await;
    client.expect(&["250", "250", "250", "250", "250 2.0.0 kept"]).await;
    assert_eq!(server.recorder.octets(), [b"new\r\n"]);
}

#[tokio::test]
async fn sizes_out_of_range_end_the_session() {
    let server = smtp().await;
    for (size, expected) in [
        ("18446744073709551615", "501"),
        ("18446744073709551621", "501"),
        ("184467440737095516165", "501"),
        ("-1", "501"),
        ("x", "501"),
        ("999999999999", "552 5.3.4"),
    ] {
        let mut client = server.ready_for_data("EHLO x").await;
        client.send(format!("BDAT {size} LAST\r\nQUIT\r\n")).await;
        let answers = client.rest().await;
        assert!(answers.len() == 1 && answers[0].starts_with(expected), "{size}: {answers:?}");
    }
}
