//! STARTTLS, TLS from the first octet, and AUTH, which exists only inside.

use std::sync::Arc;

use data_encoding::BASE64;
use enlace::smtp::listener::{self, ListenerConfig, TlsFiles};
use enlace::smtp::session::Protocol;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::support::{Client, Server, config, start};

struct Secure {
    server: Server,
    connector: TlsConnector,
    folder: tempfile::TempDir,
}

async fn secure(protocol: Protocol, implicit: bool) -> Secure {
    let folder = tempfile::tempdir().unwrap();
    let files = TlsFiles { certificate: folder.path().join("certificate.pem"), key: folder.path().join("key.pem"), implicit };
    let connector = issue(folder.path());
    let mut config = ListenerConfig { tls: Some(files), ..config(protocol) };
    config.patience.renewal = std::time::Duration::from_millis(20);
    let server = start(config).await;
    Secure { server, connector, folder }
}

/// Writes a new certificate and key; whoever connects with what is returned believes this one only.
fn issue(folder: &std::path::Path) -> TlsConnector {
    let issued = rcgen::generate_simple_self_signed(["mx.example.org".to_owned()]).unwrap();
    std::fs::write(folder.join("certificate.pem"), issued.cert.pem()).unwrap();
    std::fs::write(folder.join("key.pem"), issued.signing_key.serialize_pem()).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(issued.cert.der().clone()).unwrap();
    let client = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    TlsConnector::from(Arc::new(client))
}

impl Secure {
    async fn handshake(&self, client: Client<TcpStream>) -> Client<TlsStream<TcpStream>> {
        let name = ServerName::try_from("mx.example.org").unwrap();
        Client { stream: self.connector.connect(name, client.stream).await.unwrap(), read: Vec::new() }
    }

    /// A submission client that has begun TLS and said EHLO.
    async fn ready_for_auth(&self) -> Client<TlsStream<TcpStream>> {
        let mut client = self.server.connect().await;
        client.ask("EHLO x", "250").await;
        client.ask("STARTTLS", "220 2.0.0").await;
        let mut client = self.handshake(client).await;
        let hello = client.ask("EHLO x", "250").await;
        assert!(hello.ends_with("|250 AUTH PLAIN LOGIN") && !hello.contains("STARTTLS"), "{hello}");
        client
    }
}

#[tokio::test]
async fn a_message_comes_through_tls() {
    let secure = secure(Protocol::Smtp, false).await;
    let mut client = secure.server.connect().await;
    let hello = client.ask("EHLO x", "250").await;
    assert!(hello.ends_with("|250 STARTTLS"), "{hello}");
    client.ask("STARTTLS", "220").await;
    let mut client = secure.handshake(client).await;
    client.ask("MAIL FROM:<>", "503").await;
    client.ask("EHLO y", "250").await;
    client.ask("STARTTLS", "503").await;
    client.ask("AUTH PLAIN AGEAYg==", "502").await;
    client.send("MAIL FROM:<>\r\nRCPT TO:<a@l.example>\r\nBDAT 3 LAST\r\nx\r\n").await;
    client.expect(&["250", "250", "250 2.0.0 kept"]).await;
    let received = secure.server.recorder.all().remove(0);
    assert!(received.session.tls);
    assert_eq!(received.session.helo, "y");
}

#[tokio::test]
async fn what_was_said_before_tls_is_forgotten() {
    let secure = secure(Protocol::Smtp, false).await;
    let mut client = secure.server.connect().await;
    client.ask("EHLO evil", "250").await;
    client.send("STARTTLS\r\nEHLO evil\r\nMAIL FROM:<evil@example.org>\r\nRCPT TO:<a@l.example>\r\nDATA\r\n").await;
    client.expect(&["220"]).await;
    let mut client = secure.handshake(client).await;
    client.ask("NOOP", "250 2.0.0 still here").await;
    client.ask("RCPT TO:<a@l.example>", "503").await;
}

#[tokio::test]
async fn submission_wants_tls_and_then_a_log_in() {
    let secure = secure(Protocol::Submission, false).await;
    let mut client = secure.server.connect().await;
    let hello = client.ask("EHLO x", "250").await;
    assert!(!hello.contains("AUTH"), "{hello}");
    let right = BASE64.encode(b"\0ana@example.org\0right");
    client.ask(&format!("AUTH PLAIN {right}"), "530 5.7.0").await;
    client.ask("MAIL FROM:<ana@example.org>", "530 5.7.0").await;

    let mut client = secure.ready_for_auth().await;
    client.ask("MAIL FROM:<ana@example.org>", "530 5.7.0 AUTH").await;
    client.ask("AUTH CRAM-MD5", "504").await;
    client.ask("AUTH PLAIN", "334").await;
    client.ask("*", "501").await;
    client.ask("AUTH PLAIN !", "501").await;
    client.ask("AUTH PLAIN", "334").await;
    client.ask(&right, "235 2.7.0").await;
    client.ask(&format!("AUTH PLAIN {right}"), "503").await;
    client.send("MAIL FROM:<ana@example.org> AUTH=<>\r\nRCPT TO:<a@l.example>\r\nBDAT 3 LAST\r\nx\r\n").await;
    client.expect(&["250", "250", "250 2.0.0 kept"]).await;
    let session = secure.server.recorder.all().remove(0).session;
    assert_eq!(session.authenticated.unwrap().as_str(), "ana@example.org");

    let mut client = secure.ready_for_auth().await;
    client.ask("AUTH LOGIN", "334 VXNlcm5hbWU6").await;
    client.ask(&BASE64.encode(b"ana@example.org"), "334 UGFzc3dvcmQ6").await;
    client.ask(&BASE64.encode(b"right"), "235").await;
}

#[tokio::test]
async fn the_third_wrong_password_ends_the_session() {
    let secure = secure(Protocol::Submission, false).await;
    let mut client = secure.ready_for_auth().await;
    let wrong = format!("AUTH PLAIN {}", BASE64.encode(b"\0ana@example.org\0wrong"));
    client.ask(&wrong, "535 5.7.8").await;
    client.ask(&wrong, "535 5.7.8").await;
    client.ask(&wrong, "421 4.7.0").await;
    assert_eq!(client.answer().await, "closed");
}

#[tokio::test]
async fn tls_may_begin_with_the_first_octet() {
    let secure = secure(Protocol::Submission, true).await;
    let mut client = secure.handshake(secure.server.connect_unread().await).await;
    client.expect(&["220"]).await;
    let hello = client.ask("EHLO x", "250").await;
    assert!(hello.contains("AUTH PLAIN LOGIN") && !hello.contains("STARTTLS"), "{hello}");
    let mut plain = secure.server.connect_unread().await;
    plain.send("EHLO x\r\n").await;
    assert!(plain.rest().await.iter().all(|answer| !answer.starts_with("250")));
}

#[tokio::test]
async fn files_that_cannot_be_used_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let certificate = folder.path().join("certificate.pem");
    let error = listener::bind(config(Protocol::Submission)).await.err().unwrap();
    assert!(error.to_string().contains("needs a certificate"), "{error}");
    for content in [None, Some(""), Some("not PEM"), Some("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")] {
        if let Some(content) = content {
            std::fs::write(&certificate, content).unwrap();
        }
        let files = TlsFiles { certificate: certificate.clone(), key: folder.path().join("key.pem"), implicit: false };
        let error = listener::bind(ListenerConfig { tls: Some(files), ..config(Protocol::Smtp) }).await.err().unwrap();
        assert!(error.to_string().contains(".pem"), "{error}");
    }
}

#[tokio::test]
async fn a_renewed_certificate_is_taken_without_a_restart_and_a_broken_one_is_not() {
    let secure = secure(Protocol::Submission, true).await;
    let shakes_hands = async |connector: &TlsConnector| {
        let stream = secure.server.connect_unread().await.stream;
        connector.connect(ServerName::try_from("mx.example.org").unwrap(), stream).await.is_ok()
    };
    assert!(shakes_hands(&secure.connector).await);
    std::fs::write(secure.folder.path().join("certificate.pem"), "half a fi").unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    assert!(shakes_hands(&secure.connector).await, "the old one stays in use");
    let renewed = issue(secure.folder.path());
    let begun = std::time::Instant::now();
    while !shakes_hands(&renewed).await {
        assert!(begun.elapsed().as_secs() < 20, "the new certificate was not taken");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert!(!shakes_hands(&secure.connector).await, "the old one is gone");
}

#[tokio::test]
async fn m9_auth_is_not_offered_without_tls_and_a_busy_check_is_no_wrong_password() {
    let secure = secure(Protocol::Submission, false).await;
    let mut plain = secure.server.connect().await;
    let hello = plain.ask("EHLO x", "250").await;
    assert!(hello.contains("STARTTLS") && !hello.contains("AUTH"), "{hello}");
    let mut client = secure.ready_for_auth().await;
    let busy = format!("AUTH PLAIN {}", BASE64.encode(b"\0ana@example.org\0busy"));
    for _ in 0..5 {
        client.ask(&busy, "454 4.7.0").await;
    }
    client.ask(&format!("AUTH PLAIN {}", BASE64.encode(b"\0ana@example.org\0right")), "235").await;
}
