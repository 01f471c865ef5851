//! One session over its socket.

use std::io;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use futures_util::FutureExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error};

use super::Shared;
use super::admission::Ticket;
use super::intake::Intake;
use crate::domain::address::{EmailAddress, ReversePath};
use crate::smtp::session::{Phase, Session, Step};
use crate::smtp::{Answer, Receiver, SessionInfo, Transaction};

/// Octets read at once while commands come; small, because most clients of many are idle.
const COMMAND_READ_OCTETS: usize = 4 * 1024;
/// Octets read at once while a message comes.
const MESSAGE_READ_OCTETS: usize = 64 * 1024;
/// How long a client may take to hear why its session ended, and how much of its talk is still read.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_OCTETS: usize = 1024 * 1024;

/// The socket, before and after STARTTLS.
enum Wire {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    /// During the handshake, and after one that failed.
    None,
}

impl Wire {
    /// Reads up to `most` octets. Waits before it makes room, so that an idle session has no buffer.
    async fn read(&mut self, input: &mut BytesMut, most: usize) -> io::Result<usize> {
        match self {
            Self::None => Err(io::ErrorKind::NotConnected.into()),
            Self::Tls(stream) => {
                input.reserve(most);
                stream.read_buf(input).await
            }
            Self::Plain(stream) => loop {
                stream.readable().await?;
                input.reserve(most);
                match stream.try_read_buf(input) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    done => return done,
                }
            },
        }
    }

    async fn write(&mut self, octets: &[u8]) -> io::Result<()> {
        match self {
            Self::None => Err(io::ErrorKind::NotConnected.into()),
            Self::Plain(stream) => stream.write_all(octets).await,
            Self::Tls(stream) => {
                stream.write_all(octets).await?;
                stream.flush().await
            }
        }
    }

    async fn end(&mut self) -> io::Result<()> {
        match self {
            Self::None => Ok(()),
            Self::Plain(stream) => stream.shutdown().await,
            Self::Tls(stream) => stream.shutdown().await,
        }
    }
}

/// Why a session is over before its end.
enum Over {
    /// The client went away, or does not read.
    Gone(io::Error),
    /// The client closed its side.
    Closed,
}

impl From<io::Error> for Over {
    fn from(error: io::Error) -> Self {
        Self::Gone(error)
    }
}

/// What a session needs from its listener.
pub(super) struct Connection {
    shared: Arc<Shared>,
    receiver: Arc<dyn Receiver>,
    shutdown: CancellationToken,
}

/// The moving parts of a session.
struct Talk {
    wire: Wire,
    session: Session,
    input: BytesMut,
    intake: Intake,
    /// When the last answer was given.
    answered: Instant,
    /// When the message began that is coming in.
    message_began: Option<Instant>,
    /// When a message that is coming in is waited for no longer, because the service ends.
    ends: Option<Instant>,
}

impl Connection {
    pub(super) fn new(shared: Arc<Shared>, receiver: Arc<dyn Receiver>, shutdown: CancellationToken) -> Self {
        Self { shared, receiver, shutdown }
    }

    /// The whole session.
    pub(super) async fn run(self, stream: TcpStream, mut info: SessionInfo, _ticket: Ticket) {
        debug!(peer = %info.peer, trusted = info.trusted, "Connected");
        let _ = stream.set_nodelay(true);
        let mut spoke_too_early = false;
        let wire = match &self.shared.tls {
            Some(tls) if tls.implicit => match timeout(self.shared.patience.greeting, tls.accept(stream)).await {
                Ok(Ok(stream)) => {
                    info.tls = true;
                    Wire::Tls(stream)
                }
                Ok(Err(error)) => return debug!(%error, "No TLS"),
                Err(_) => return debug!("No TLS in time"),
            },
            _ => {
                let patience = &self.shared.patience;
                let early = if info.trusted { patience.early_trusted } else { patience.early };
                spoke_too_early = matches!(timeout(early, stream.peek(&mut [0])).await, Ok(Ok(1..)));
                Wire::Plain(stream)
            }
        };
        let intake = Intake::new(self.receiver.incoming(), info.trace.clone(), &self.shared.session.limits);
        let mut session = Session::new(Arc::clone(&self.shared.session), info);
        if spoke_too_early {
            session.spoke_too_early();
        } else {
            session.greet();
        }
        let now = Instant::now();
        let mut talk = Talk { wire, session, input: BytesMut::new(), intake, answered: now, message_began: None, ends: None };
        match self.converse(&mut talk).await {
            Ok(()) => linger(&mut talk).await,
            Err(Over::Closed) => debug!("The client closed the connection"),
            Err(Over::Gone(error)) => debug!(%error, "The client is gone"),
        }
    }

    async fn converse(&self, talk: &mut Talk) -> Result<(), Over> {
        loop {
            match talk.session.step(&mut talk.input, &mut talk.intake.memory) {
                Step::Read => self.read(talk).await?,
                Step::Sender { reverse_path, declared_octets } => {
                    let refusal = self.receiver.sender(talk.session.info(), &reverse_path, declared_octets).await;
                    talk.session.sender_answered(refusal);
                }
                Step::Recipient(address) => {
                    let answer = self.receiver.recipient(talk.session.info(), &address).await;
                    talk.session.recipient_answered(&answer);
                }
                Step::Authenticate { user, password } => {
                    let login = self.receiver.authenticate(talk.session.info(), &user, &password).await;
                    talk.session.authenticated(login);
                }
                Step::Message { reverse_path, recipients } => self.message(talk, reverse_path, recipients).await,
                Step::StartTls => self.start_tls(talk).await?,
                Step::Close => return self.flush(talk).await.map_err(Over::from),
            }
        }
    }

    /// Writes what is to be said and waits for more.
    async fn read(&self, talk: &mut Talk) -> Result<(), Over> {
        self.settle(talk).await;
        self.flush(talk).await?;
        if talk.input.is_empty() {
            talk.input = BytesMut::new();
        }
        let deadline = self.deadline(talk);
        let in_message = talk.session.phase() == Phase::Message;
        if in_message && self.shutdown.is_cancelled() {
            talk.ends.get_or_insert(Instant::now() + self.shared.patience.unfinished);
        }
        let ends = self.ends(in_message, talk.ends);
        let most = if in_message { MESSAGE_READ_OCTETS } else { COMMAND_READ_OCTETS };
        tokio::select! {
            biased;
            () = ends => {
                talk.session.end_with(&Answer::new(421, (4, 3, 2), "shutting down, try again later"));
            }
            read = timeout_at(deadline, talk.wire.read(&mut talk.input, most)) => match read {
                Ok(Ok(0)) => return Err(Over::Closed),
                Ok(Ok(_)) => {}
                Ok(Err(error)) => return Err(Over::Gone(error)),
                Err(_) => talk.session.end_with(&Answer::new(421, (4, 4, 2), "waited too long")),
            },
        }
        Ok(())
    }

    /// Comes when the session is to end with the service: at once between messages, a little later within one, whose client would
    /// have to send all of it again.
    async fn ends(&self, in_message: bool, ends: Option<Instant>) {
        if let Some(ends) = ends.filter(|_| in_message) {
            return tokio::time::sleep_until(ends).await;
        }
        self.shutdown.cancelled().await;
        if in_message {
            tokio::time::sleep(self.shared.patience.unfinished).await;
        }
    }

    async fn settle(&self, talk: &mut Talk) {
        if !talk.session.is_collecting() {
            talk.intake.clear();
        } else if let Err(refusal) = talk.intake.settle().await {
            talk.session.refuse_content(refusal);
            talk.intake.clear();
        }
    }

    async fn flush(&self, talk: &mut Talk) -> io::Result<()> {
        let slowdowns = talk.session.take_slowdowns();
        if slowdowns > 0 {
            tokio::select! {
                () = self.shutdown.cancelled() => {}
                () = tokio::time::sleep(self.shared.patience.slowdown * slowdowns) => {}
            }
        }
        let output = talk.session.take_output();
        if output.is_empty() {
            return Ok(());
        }
        timeout(self.shared.patience.command, talk.wire.write(&output)).await.map_err(|_| io::ErrorKind::TimedOut)??;
        talk.answered = Instant::now();
        Ok(())
    }

    /// When the client is waited for no longer: at the end of a command's time, or as soon as a message falls behind.
    fn deadline(&self, talk: &mut Talk) -> Instant {
        let patience = &self.shared.patience;
        let command = match talk.session.phase() {
            Phase::Greeting => talk.answered + patience.greeting,
            Phase::Command => talk.answered + patience.command,
            Phase::Message => {
                let began = *talk.message_began.get_or_insert_with(Instant::now);
                let due = Duration::from_secs(talk.session.octets_collected() / patience.data_octets_per_second.max(1));
                return began + due.max(patience.data_grace).min(patience.data);
            }
        };
        if talk.session.octets_collected() == 0 {
            talk.message_began = None;
        }
        command
    }

    async fn message(&self, talk: &mut Talk, reverse_path: ReversePath, recipients: Vec<EmailAddress>) {
        talk.message_began = None;
        let expected = recipients.len();
        let complete = match talk.intake.finish().await {
            Ok(complete) => complete,
            Err(refusal) => return talk.session.message_answered(vec![refusal; expected]),
        };
        let session = Arc::clone(talk.session.info());
        let transaction = Transaction { session, reverse_path, recipients, content: complete.content.clone() };
        // A message that makes a reader panic must not take its session along without an answer.
        let answers = AssertUnwindSafe(self.receiver.message(transaction)).catch_unwind().await.unwrap_or_else(|_| {
            error!(octets = complete.content.octets(), "Judging a message broke down");
            Vec::new()
        });
        talk.session.message_answered(answers);
    }

    async fn start_tls(&self, talk: &mut Talk) -> Result<(), Over> {
        self.flush(talk).await?;
        // What came with STARTTLS was not protected (CVE-2011-0411).
        talk.input = BytesMut::new();
        let (Some(tls), Wire::Plain(stream)) = (&self.shared.tls, std::mem::replace(&mut talk.wire, Wire::None)) else {
            return Err(Over::Closed);
        };
        let stream =
            timeout(self.shared.patience.greeting, tls.accept(stream)).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        talk.wire = Wire::Tls(stream);
        talk.session.tls_started();
        talk.answered = Instant::now();
        Ok(())
    }
}

/// Lets the last answer arrive: reads on until the client closes, for a moment.
async fn linger(talk: &mut Talk) {
    let reading = async {
        talk.wire.end().await?;
        let mut octets = 0;
        while octets < LINGER_OCTETS {
            talk.input.clear();
            match talk.wire.read(&mut talk.input, COMMAND_READ_OCTETS).await? {
                0 => break,
                read => octets += read,
            }
        }
        io::Result::Ok(())
    };
    let _ = timeout(LINGER, reading).await;
}
