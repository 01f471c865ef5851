//! Bounds on connections: how many, how long one may be silent, how long it may live.
//!
//! A client that sends an octet a minute (slowloris) or opens thousands of connections costs a place for a bounded time,
//! and the mail part of the process never notices.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep};

/// Most connections at a time; others wait to be accepted.
pub const CONNECTIONS: usize = 1_000;
/// Longest silence on a connection.
pub const SILENCE: Duration = Duration::from_secs(30);
/// Longest life of a connection.
pub const LIFE: Duration = Duration::from_mins(5);

/// A listener whose connections are bounded.
#[derive(Debug)]
pub struct Bounded {
    listener: TcpListener,
    places: Arc<Semaphore>,
    silence: Duration,
}

impl Bounded {
    /// Around `listener`.
    pub fn new(listener: TcpListener) -> Self {
        Self::with(listener, CONNECTIONS, SILENCE)
    }

    fn with(listener: TcpListener, connections: usize, silence: Duration) -> Self {
        Self { listener, places: Arc::new(Semaphore::new(connections)), silence }
    }
}

impl Listener for Bounded {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        // The semaphore is never closed, so a place always comes.
        let place = Arc::clone(&self.places).acquire_owned().await.ok();
        let (stream, peer) = Listener::accept(&mut self.listener).await;
        let connection =
            Connection { stream, silence: self.silence, ends: Instant::now() + LIFE, timer: Box::pin(sleep(self.silence)), _place: place };
        (connection, peer)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// The other end of a connection.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub SocketAddr);

impl Connected<IncomingStream<'_, Bounded>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Bounded>) -> Self {
        Self(*stream.remote_addr())
    }
}

/// One connection with its place and its timer.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    silence: Duration,
    ends: Instant,
    timer: Pin<Box<Sleep>>,
    _place: Option<OwnedSemaphorePermit>,
}

impl Connection {
    /// Passes on what the stream says, restarts the timer when it moved, and fails when the time is over.
    fn watched<T>(&mut self, context: &mut Context<'_>, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        match polled {
            Poll::Ready(result) => {
                let next = (Instant::now() + self.silence).min(self.ends);
                self.timer.as_mut().reset(next);
                Poll::Ready(result)
            }
            Poll::Pending => self.timer.as_mut().poll(context).map(|()| Err(io::ErrorKind::TimedOut.into())),
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        self.watched(context, polled)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.watched(context, polled)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    async fn listening(connections: usize, silence: Duration) -> (Bounded, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        (Bounded::with(listener, connections, silence), address)
    }

    #[tokio::test]
    async fn a_silent_connection_is_cut() {
        let (mut bounded, address) = listening(5, Duration::from_millis(50)).await;
        let mut client = TcpStream::connect(address).await.unwrap();
        let (mut connection, _) = bounded.accept().await;
        client.write_all(b"GET").await.unwrap();
        let mut bytes = [0; 8];
        assert_eq!(connection.read(&mut bytes).await.unwrap(), 3);
        assert_eq!(connection.read(&mut bytes).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn one_too_many_waits_until_a_place_is_free() {
        let (mut bounded, address) = listening(1, SILENCE).await;
        let _first = TcpStream::connect(address).await.unwrap();
        let _second = TcpStream::connect(address).await.unwrap();
        let (connection, _) = bounded.accept().await;
        assert!(tokio::time::timeout(Duration::from_millis(50), bounded.accept()).await.is_err());
        drop(connection);
        bounded.accept().await;
    }
}
