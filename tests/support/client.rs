//! A plain SMTP and LMTP client: one command, one answer, no opinion.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};

use super::daemon::PATIENCE;

/// An answer: code and text of all its lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    pub code: u16,
    pub text: String,
}

/// One connection.
pub struct Client {
    reader: BufReader<TcpStream>,
}

impl Client {
    /// Connects, reads the greeting, says LHLO or EHLO.
    pub fn connect(address: SocketAddr, hello: &str) -> Self {
        let stream = TcpStream::connect(address).expect("the listener accepts");
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        let mut client = Self { reader: BufReader::new(stream) };
        assert_eq!(client.reply().code, 220);
        assert_eq!(client.command(&format!("{hello} client.example.org")).code, 250);
        client
    }

    /// Sends a line, reads the answer.
    pub fn command(&mut self, line: &str) -> Reply {
        self.send(format!("{line}\r\n").as_bytes());
        self.reply()
    }

    /// Sends bytes as they are.
    pub fn send(&mut self, bytes: &[u8]) {
        self.reader.get_mut().write_all(bytes).expect("the session is open");
    }

    /// Reads one answer.
    pub fn reply(&mut self) -> Reply {
        let mut text = String::new();
        loop {
            let mut line = String::new();
            assert!(self.reader.read_line(&mut line).expect("an answer in time") > 0, "connection closed after {text:?}");
            let last = line.as_bytes().get(3) != Some(&b'-');
            text.push_str(line.get(4..).unwrap_or_default().trim_end());
            if last {
                return Reply { code: line[..3].parse().expect("a code"), text };
            }
            text.push('\n');
        }
    }

    /// A whole transaction: the answers to each RCPT, and those after the dot (one an accepted recipient with LMTP, one with SMTP).
    pub fn transaction(&mut self, lmtp: bool, from: &str, recipients: &[&str], message: &[u8]) -> (Vec<Reply>, Vec<Reply>) {
        let mail = self.command(&format!("MAIL FROM:<{from}>"));
        assert_eq!(mail.code, 250, "{mail:?}");
        let rcpt: Vec<_> = recipients.iter().map(|recipient| self.command(&format!("RCPT TO:<{recipient}>"))).collect();
        let accepted = rcpt.iter().filter(|reply| reply.code == 250).count();
        if accepted == 0 {
            self.command("RSET");
            return (rcpt, Vec::new());
        }
        let data = self.command("DATA");
        assert_eq!(data.code, 354, "{data:?}");
        let mut bytes = Vec::with_capacity(message.len() + 16);
        for line in message.split_inclusive(|byte| *byte == b'\n') {
            if line.starts_with(b".") {
                bytes.push(b'.');
            }
            bytes.extend_from_slice(line);
        }
        if !bytes.ends_with(b"\r\n") {
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b".\r\n");
        self.send(&bytes);
        let answers = (0..if lmtp { accepted } else { 1 }).map(|_| self.reply()).collect();
        (rcpt, answers)
    }
}

/// Sends one message by LMTP; the answers after the dot, or of RCPT when none was accepted.
pub fn lmtp(address: SocketAddr, from: &str, recipients: &[&str], message: &[u8]) -> Vec<Reply> {
    let (rcpt, answers) = Client::connect(address, "LHLO").transaction(true, from, recipients, message);
    if answers.is_empty() { rcpt } else { answers }
}

/// Sends one message by SMTP; the answer after the dot, or the first of RCPT.
pub fn smtp(address: SocketAddr, from: &str, recipients: &[&str], message: &[u8]) -> Reply {
    let (rcpt, mut answers) = Client::connect(address, "EHLO").transaction(false, from, recipients, message);
    answers.pop().unwrap_or_else(|| rcpt[0].clone())
}

/// A message whose author the trusted relay proved by DKIM.
pub fn proved(from: &str, to: &str, subject: &str, id: &str, body: &str) -> Vec<u8> {
    let domain = from.rsplit_once('@').unwrap().1;
    format!("Authentication-Results: mx.example.org; dkim=pass header.d={domain}\r\n{}", plain(from, to, subject, id, body)).into_bytes()
}

/// The same without a proof.
pub fn unproved(from: &str, to: &str, subject: &str, id: &str, body: &str) -> Vec<u8> {
    plain(from, to, subject, id, body).into_bytes()
}

fn plain(from: &str, to: &str, subject: &str, id: &str, body: &str) -> String {
    format!(
        "From: <{from}>\r\nTo: <{to}>\r\nSubject: {subject}\r\nMessage-ID: <{id}>\r\nDate: Tue, 06 Apr 2027 10:00:00 +0000\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n{body}\r\n"
    )
}
