//! A listener on a free port, a receiver that records, and a client that speaks octet by octet.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use enlace::domain::address::{EmailAddress, ReversePath};
use enlace::smtp::listener::{self, ListenerConfig, Patience};
use enlace::smtp::session::{Limits, Protocol};
use enlace::smtp::{Answer, Content, Login, Receiver, SessionInfo, Transaction};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Longer than any answer should take, on a machine that does other things too.
const PATIENCE: Duration = Duration::from_secs(20);

/// One message as the receiver got it.
#[derive(Debug, Clone)]
pub struct Received {
    pub reverse_path: String,
    pub recipients: Vec<String>,
    pub octets: Vec<u8>,
    pub spooled: bool,
    pub session: SessionInfo,
}

/// Takes everything but what is addressed to `nobody…` (550), `later…` (450), `refuse…` (550 after the message),
/// `defer…` (451 after the message); `panic` makes it panic, `full` says 452 to MAIL.
pub struct Recorder {
    pub received: Mutex<Vec<Received>>,
    /// Recipients as the receiver was asked about them.
    pub asked: Mutex<Vec<String>>,
    /// Each message takes one permit before it is answered.
    pub gate: Semaphore,
    /// Messages that have come to the gate.
    pub arrived: Semaphore,
    pub folder: PathBuf,
    _folder: tempfile::TempDir,
}

impl Recorder {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self {
            received: Mutex::default(),
            asked: Mutex::default(),
            gate: Semaphore::new(Semaphore::MAX_PERMITS),
            arrived: Semaphore::new(0),
            folder: folder.path().to_owned(),
            _folder: folder,
        }
    }

    pub fn all(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    pub fn octets(&self) -> Vec<Vec<u8>> {
        self.all().into_iter().map(|received| received.octets).collect()
    }

    /// Files left in the `incoming` folder.
    pub fn files(&self) -> usize {
        std::fs::read_dir(&self.folder).unwrap().count()
    }
}

#[async_trait]
impl Receiver for Recorder {
    async fn sender(&self, _: &SessionInfo, reverse_path: &ReversePath, _: Option<u64>) -> Option<Answer> {
        matches!(reverse_path, ReversePath::Path(address) if address.local() == "full")
            .then(|| Answer::new(452, (4, 3, 1), "the disk is full"))
    }

    async fn recipient(&self, _: &SessionInfo, recipient: &EmailAddress) -> Answer {
        self.asked.lock().unwrap().push(recipient.to_string());
        match recipient.local().trim_matches('"') {
            local if local.starts_with("nobody") => Answer::new(550, (5, 1, 1), "no such list"),
            local if local.starts_with("later") => Answer::new(450, (4, 2, 0), "later"),
            _ => Answer::new(250, (2, 1, 5), "taken"),
        }
    }

    async fn message(&self, transaction: Transaction) -> Vec<Answer> {
        let (octets, spooled) = match &transaction.content {
            Content::Memory(octets) => (octets.to_vec(), false),
            Content::Spooled { path, head, octets } => {
                let written = std::fs::read(path).unwrap();
                assert_eq!(written.len() as u64, *octets);
                assert!(written.starts_with(head) && head.len() >= 256 * 1024);
                (written, true)
            }
        };
        assert!(transaction.recipients.iter().all(|r| r.local() != "panic"), "asked to panic");
        self.arrived.add_permits(1);
        self.gate.acquire().await.unwrap().forget();
        self.received.lock().unwrap().push(Received {
            reverse_path: transaction.reverse_path.to_string(),
            recipients: transaction.recipients.iter().map(ToString::to_string).collect(),
            octets,
            spooled,
            session: (*transaction.session).clone(),
        });
        let judge = |recipient: &EmailAddress| match recipient.local() {
            local if local.starts_with("refuse") => Answer::new(550, (5, 7, 1), format!("{recipient} does not take this")),
            local if local.starts_with("defer") => Answer::new(451, (4, 3, 0), "try again"),
            _ => Answer::new(250, (2, 0, 0), "kept"),
        };
        transaction.recipients.iter().map(judge).collect()
    }

    async fn authenticate(&self, session: &SessionInfo, user: &str, password: &str) -> Login {
        assert!(session.tls, "asked without TLS");
        match (user, password) {
            ("ana@example.org", "right") => Login::Welcome(user.parse().unwrap()),
            (_, "busy") => Login::Later,
            _ => Login::Wrong,
        }
    }

    fn incoming(&self) -> PathBuf {
        self.folder.clone()
    }
}

/// A running listener.
pub struct Server {
    pub address: SocketAddr,
    pub recorder: Arc<Recorder>,
    pub shutdown: CancellationToken,
    pub serving: JoinHandle<()>,
}

/// An LMTP or SMTP listener for strangers, who are not made to wait for the greeting.
pub fn config(protocol: Protocol) -> ListenerConfig {
    ListenerConfig {
        protocol,
        address: "127.0.0.1:0".parse().unwrap(),
        hostname: "mx.example.org".to_owned(),
        domain: "lists.example.org".to_owned(),
        trusted_networks: Vec::new(),
        xforward: false,
        tls: None,
        limits: Limits::default(),
        patience: Patience { early: Duration::ZERO, slowdown: Duration::ZERO, ..Patience::default() },
    }
}

pub async fn start(config: ListenerConfig) -> Server {
    let listener = listener::bind(config).await.unwrap();
    let address = listener.local_addr().unwrap();
    let recorder = Arc::new(Recorder::new());
    let shutdown = CancellationToken::new();
    let serving = tokio::spawn(listener.serve(Arc::clone(&recorder) as Arc<dyn Receiver>, shutdown.clone()));
    Server { address, recorder, shutdown, serving }
}

pub async fn smtp() -> Server {
    start(config(Protocol::Smtp)).await
}

impl Server {
    /// A client that has read the greeting.
    pub async fn connect(&self) -> Client<TcpStream> {
        let mut client = self.connect_unread().await;
        let greeting = client.answer().await;
        assert!(greeting.starts_with("220 mx.example.org "), "{greeting}");
        client
    }

    pub async fn connect_unread(&self) -> Client<TcpStream> {
        Client { stream: TcpStream::connect(self.address).await.unwrap(), read: Vec::new() }
    }

    /// From an address of its own in 127.0.0.0/8, so from another network.
    pub async fn connect_from(&self, address: &str) -> Client<TcpStream> {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::new(address.parse().unwrap(), 0)).unwrap();
        Client { stream: socket.connect(self.address).await.unwrap(), read: Vec::new() }
    }

    /// A client that has said EHLO or LHLO and everything up to the recipient.
    pub async fn ready_for_data(&self, hello: &str) -> Client<TcpStream> {
        let mut client = self.connect().await;
        client.ask(hello, "250").await;
        client.ask("MAIL FROM:<ana@example.org>", "250").await;
        client.ask("RCPT TO:<list@lists.example.org>", "250").await;
        client
    }
}

/// A client that sends what it is told.
pub struct Client<S> {
    pub stream: S,
    pub read: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    pub async fn send(&mut self, octets: impl AsRef<[u8]>) {
        self.stream.write_all(octets.as_ref()).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    /// One answer with all its lines, joined by `|`; `closed` if the server closed instead.
    pub async fn answer(&mut self) -> String {
        tokio::time::timeout(PATIENCE, self.answer_in_time()).await.expect("no answer")
    }

    async fn answer_in_time(&mut self) -> String {
        let mut lines = Vec::new();
        loop {
            while let Some(end) = self.read.windows(2).position(|w| w == b"\r\n") {
                let line: Vec<u8> = self.read.drain(..end + 2).collect();
                let line = String::from_utf8(line[..end].to_vec()).unwrap();
                let last = line.as_bytes().get(3) != Some(&b'-');
                lines.push(line);
                if last {
                    return lines.join("|");
                }
            }
            let mut piece = [0; 4096];
            match self.stream.read(&mut piece).await {
                Ok(0) | Err(_) => return "closed".to_owned(),
                Ok(read) => self.read.extend_from_slice(&piece[..read]),
            }
        }
    }

    /// Sends a line and expects an answer that begins with `expected`.
    pub async fn ask(&mut self, line: &str, expected: &str) -> String {
        self.send(format!("{line}\r\n")).await;
        let answer = self.answer().await;
        assert!(answer.starts_with(expected), "{line}: expected {expected}, got {answer}");
        answer
    }

    /// The next answers, each of which begins as expected.
    pub async fn expect(&mut self, expected: &[&str]) {
        for (at, expected) in expected.iter().enumerate() {
            let answer = self.answer().await;
            assert!(answer.starts_with(expected), "answer {at}: expected {expected}, got {answer}");
        }
    }

    /// Everything until the server closes.
    pub async fn rest(&mut self) -> Vec<String> {
        let mut answers = Vec::new();
        loop {
            match self.answer().await {
                closed if closed == "closed" => return answers,
                answer => answers.push(answer),
            }
        }
    }
}
