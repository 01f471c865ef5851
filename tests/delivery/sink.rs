//! A relay written for tests: speaks SMTP by a script, keeps what it was given, and watches how it was spoken to.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// What the client did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    Greeting,
    Ehlo,
    Helo,
    Auth,
    Mail,
    Rcpt,
    Data,
    Dot,
    Rset,
}

/// Where in the conversation.
#[derive(Debug, Clone)]
pub struct Moment {
    pub step: Step,
    /// What stood behind the verb; for `Dot` the first recipient.
    pub argument: String,
    /// Connections so far, from 1.
    pub connection: usize,
    /// Transactions of this connection so far, from 1 with the first MAIL.
    pub transaction: usize,
}

/// What the sink does then.
#[derive(Debug, Clone)]
pub enum Act {
    /// The usual answer.
    Usual,
    /// This answer, a line without line end; several lines with CRLF between them.
    Say(String),
    /// These octets as they are.
    Raw(Vec<u8>),
    /// This answer, then the end of the connection.
    SayAndClose(String),
    /// The end of the connection without a word.
    Close,
    /// 354, then the end of the connection when that many octets of the message have come.
    CloseWithin(usize),
    /// The usual answer after that time.
    Slowly(Duration),
}

/// A message the sink took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    pub mail: String,
    pub recipients: Vec<String>,
    /// After dot-unstuffing.
    pub message: Vec<u8>,
    /// As on the wire, without the final dot.
    pub wire: Vec<u8>,
    pub connection: usize,
}

type Script = dyn Fn(&Moment) -> Act + Send + Sync;

#[derive(Default)]
struct Seen {
    taken: Vec<Taken>,
    /// All commands, in order.
    commands: Vec<String>,
    connections: usize,
    /// Most commands that had come before any of them was answered.
    most_ahead: usize,
}

pub struct Sink {
    pub address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
    task: JoinHandle<()>,
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[derive(Clone)]
pub struct Manner {
    /// Lines of the EHLO answer.
    pub features: Vec<String>,
    pub tls: Option<TlsAcceptor>,
    /// TLS from the first octet.
    pub implicit: bool,
    pub script: Arc<Script>,
}

pub const USUAL_FEATURES: [&str; 4] = ["PIPELINING", "8BITMIME", "SMTPUTF8", "SIZE 30000000"];

impl Manner {
    pub fn usual() -> Self {
        Self::by(|_| Act::Usual)
    }

    pub fn by(script: impl Fn(&Moment) -> Act + Send + Sync + 'static) -> Self {
        Self { features: USUAL_FEATURES.map(str::to_owned).to_vec(), tls: None, implicit: false, script: Arc::new(script) }
    }

    pub fn features(mut self, features: &[&str]) -> Self {
        self.features = features.iter().map(|&line| line.to_owned()).collect();
        self
    }
}

impl Sink {
    pub async fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self::on(listener, manner)
    }

    pub fn on(listener: TcpListener, manner: Manner) -> Self {
        let address = listener.local_addr().unwrap();
        let seen: Arc<Mutex<Seen>> = Arc::default();
        let shared = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            let mut sessions = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                stream.set_nodelay(true).unwrap();
                let connection = {
                    let mut seen = shared.lock().unwrap();
                    seen.connections += 1;
                    seen.connections
                };
                let (manner, seen) = (manner.clone(), Arc::clone(&shared));
                // A session that the client broke off is of no interest.
                sessions.spawn(async move { converse(stream, manner, seen, connection).await.ok() });
                while sessions.try_join_next().is_some() {}
            }
        });
        Self { address, seen, task }
    }

    pub fn taken(&self) -> Vec<Taken> {
        self.seen.lock().unwrap().taken.clone()
    }

    pub fn recipients(&self) -> Vec<String> {
        self.seen.lock().unwrap().taken.iter().flat_map(|taken| taken.recipients.clone()).collect()
    }

    pub fn count(&self) -> usize {
        self.seen.lock().unwrap().taken.iter().map(|taken| taken.recipients.len()).sum()
    }

    pub fn commands(&self) -> Vec<String> {
        self.seen.lock().unwrap().commands.clone()
    }

    pub fn connections(&self) -> usize {
        self.seen.lock().unwrap().connections
    }

    pub fn most_ahead(&self) -> usize {
        self.seen.lock().unwrap().most_ahead
    }
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

struct Wire {
    stream: Box<dyn Stream>,
    buffer: Vec<u8>,
}

impl Wire {
    async fn more(&mut self) -> std::io::Result<()> {
        self.buffer.reserve(64 * 1024);
        match self.stream.read_buf(&mut self.buffer).await? {
            0 => Err(std::io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    async fn line(&mut self) -> std::io::Result<Vec<u8>> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|pair| pair == b"\r\n") {
                let line = self.buffer[..end].to_vec();
                self.buffer.drain(..end + 2);
                return Ok(line);
            }
            self.more().await?;
        }
    }

    async fn say(&mut self, text: &str) -> std::io::Result<()> {
        self.stream.write_all(format!("{text}\r\n").as_bytes()).await
    }
}

fn closed() -> std::io::Error {
    std::io::ErrorKind::ConnectionAborted.into()
}

async fn converse(stream: TcpStream, manner: Manner, seen: Arc<Mutex<Seen>>, connection: usize) -> std::io::Result<()> {
    let mut moment = Moment { step: Step::Greeting, argument: String::new(), connection, transaction: 0 };
    let mut wire = match &manner.tls {
        Some(acceptor) if manner.implicit => Wire { stream: Box::new(acceptor.accept(stream).await?), buffer: Vec::new() },
        _ => Wire { stream: Box::new(stream), buffer: Vec::new() },
    };
    let mut encrypted = manner.implicit;
    let act = (manner.script)(&moment);
    answer(&mut wire, act, "220 sink.example ESMTP").await?;
    let mut mail = String::new();
    let mut recipients: Vec<String> = Vec::new();
    loop {
        let line = String::from_utf8_lossy(&wire.line().await?).into_owned();
        {
            let mut seen = seen.lock().unwrap();
            let waiting = 1 + wire.buffer.windows(2).filter(|pair| pair == b"\r\n").count();
            seen.most_ahead = seen.most_ahead.max(waiting);
            seen.commands.push(line.clone());
        }
        let upper = line.to_ascii_uppercase();
        let (step, usual) = match upper.split([' ', ':']).next().unwrap_or_default() {
            "EHLO" => {
                let mut lines = vec!["sink.example".to_owned()];
                lines.extend(manner.features.iter().filter(|line| !encrypted || *line != "STARTTLS").cloned());
                let last = lines.len() - 1;
                let lines: Vec<_> =
                    lines.iter().enumerate().map(|(n, line)| format!("250{}{line}", if n == last { ' ' } else { '-' })).collect();
                (Step::Ehlo, lines.join("\r\n"))
            }
            "HELO" => (Step::Helo, "250 sink.example".to_owned()),
            "STARTTLS" => {
                wire.say("220 2.0.0 Go").await?;
                let acceptor = manner.tls.clone().expect("STARTTLS was offered");
                let Wire { stream, .. } = wire;
                wire = Wire { stream: Box::new(acceptor.accept(stream).await?), buffer: Vec::new() };
                encrypted = true;
                continue;
            }
            "AUTH" if upper == "AUTH LOGIN" => {
                wire.say("334 VXNlcm5hbWU6").await?;
                let user = wire.line().await?;
                wire.say("334 UGFzc3dvcmQ6").await?;
                let password = wire.line().await?;
                let said = format!("AUTH LOGIN {} {}", String::from_utf8_lossy(&user), String::from_utf8_lossy(&password));
                seen.lock().unwrap().commands.push(said);
                (Step::Auth, "235 2.7.0 Ok".to_owned())
            }
            "AUTH" => (Step::Auth, "235 2.7.0 Ok".to_owned()),
            "MAIL" => {
                moment.transaction += 1;
                mail.clone_from(&line);
                recipients.clear();
                (Step::Mail, "250 2.1.0 Ok".to_owned())
            }
            "RCPT" => (Step::Rcpt, "250 2.1.5 Ok".to_owned()),
            "DATA" => (Step::Data, if recipients.is_empty() { "503 5.5.1 no recipients" } else { "354 go" }.to_owned()),
            "RSET" => {
                recipients.clear();
                (Step::Rset, "250 2.0.0 Ok".to_owned())
            }
            "QUIT" => {
                wire.say("221 2.0.0 Bye").await?;
                return Ok(());
            }
            _ => {
                wire.say("500 5.5.2 what?").await?;
                continue;
            }
        };
        moment.step = step;
        moment.argument = line.split_once([' ', ':']).map(|(_, rest)| rest.to_owned()).unwrap_or_default();
        let act = (manner.script)(&moment);
        let cut = if let Act::CloseWithin(octets) = act { Some(octets) } else { None };
        let said = answer(&mut wire, act, &usual).await?;
        match step {
            Step::Mail if !said.starts_with('2') => mail.clear(),
            Step::Rcpt if said.starts_with('2') && !mail.is_empty() => {
                recipients.push(line[line.find('<').unwrap_or(0) + 1..].trim_end_matches('>').to_owned());
            }
            Step::Data if said.starts_with("354") => {
                let (raw, message) = message(&mut wire, cut).await?;
                moment.step = Step::Dot;
                moment.argument = recipients.first().cloned().unwrap_or_default();
                let usual = if recipients.is_empty() { "554 5.5.1 no valid recipients" } else { "250 2.0.0 taken" };
                let act = (manner.script)(&moment);
                let taken = Taken { mail: mail.clone(), recipients: recipients.clone(), message, wire: raw, connection };
                // Kept before it is answered: a real relay has it on disk when its 250 leaves.
                if matches!(act, Act::Usual | Act::Slowly(_) | Act::Close) && !recipients.is_empty() {
                    seen.lock().unwrap().taken.push(taken);
                }
                answer(&mut wire, act, usual).await?;
                recipients.clear();
                mail.clear();
            }
            _ => {}
        }
    }
}

async fn message(wire: &mut Wire, cut: Option<usize>) -> std::io::Result<(Vec<u8>, Vec<u8>)> {
    let mut raw = Vec::new();
    let mut message = Vec::new();
    loop {
        if cut.is_some_and(|octets| raw.len() >= octets) {
            return Err(closed());
        }
        let line = wire.line().await?;
        if line == b"." {
            return Ok((raw, message));
        }
        raw.extend_from_slice(&line);
        raw.extend_from_slice(b"\r\n");
        message.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
        message.extend_from_slice(b"\r\n");
    }
}

/// Acts, and returns what was said.
async fn answer(wire: &mut Wire, act: Act, usual: &str) -> std::io::Result<String> {
    match act {
        Act::Usual => {
            wire.say(usual).await?;
            Ok(usual.to_owned())
        }
        Act::Say(text) => {
            wire.say(&text).await?;
            Ok(text)
        }
        Act::Raw(octets) => {
            wire.stream.write_all(&octets).await?;
            Ok(String::from_utf8_lossy(&octets).into_owned())
        }
        Act::SayAndClose(text) => {
            wire.say(&text).await?;
            Err(closed())
        }
        Act::Close => Err(closed()),
        Act::CloseWithin(_) => {
            wire.say("354 go").await?;
            Ok("354 go".to_owned())
        }
        Act::Slowly(time) => {
            tokio::time::sleep(time).await;
            wire.say(usual).await?;
            Ok(usual.to_owned())
        }
    }
}
