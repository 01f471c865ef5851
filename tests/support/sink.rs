//! A relay that records whom it took which message for, and answers as a test wants.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// One message that was taken (250 after the dot).
#[derive(Debug, Clone)]
pub struct Taken {
    pub reverse_path: String,
    pub recipient: String,
    pub message_id: String,
    /// The bytes as they came, once [`Sink::keeping`] was asked for.
    pub message: Vec<u8>,
}

type Answers = dyn Fn(&str) -> Option<&'static str> + Send + Sync;

/// A running sink; lives as long as the test process.
#[derive(Clone)]
pub struct Sink {
    pub address: SocketAddr,
    taken: Arc<Mutex<Vec<Taken>>>,
    keep: Arc<AtomicBool>,
}

impl Sink {
    /// Takes everything, resting `pace` before each answer to the dot.
    pub fn start(pace: Duration) -> Self {
        Self::answering(pace, |_| None)
    }

    /// Answers RCPT with what `answers` gives for the recipient; `None` is 250.
    pub fn answering(pace: Duration, answers: impl Fn(&str) -> Option<&'static str> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
        let sink = Self { address: listener.local_addr().unwrap(), taken: Arc::default(), keep: Arc::default() };
        let (taken, keep, answers): (_, _, Arc<Answers>) = (Arc::clone(&sink.taken), Arc::clone(&sink.keep), Arc::new(answers));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (taken, keep, answers) = (Arc::clone(&taken), Arc::clone(&keep), Arc::clone(&answers));
                thread::spawn(move || session(stream, &taken, &keep, &*answers, pace));
            }
        });
        sink
    }

    /// From now on keeps the bytes too.
    #[must_use]
    pub fn keeping(self) -> Self {
        self.keep.store(true, Ordering::SeqCst);
        self
    }

    /// The `relay` table of a configuration that leads here.
    pub fn relay(&self, connections: usize) -> String {
        format!("transport = \"smtp\"\nhost = \"127.0.0.1\"\nport = {}\nconnections = {connections}", self.address.port())
    }

    /// What was taken so far.
    pub fn taken(&self) -> Vec<Taken> {
        self.taken.lock().unwrap().clone()
    }
}

fn session(stream: TcpStream, taken: &Mutex<Vec<Taken>>, keep: &AtomicBool, answers: &Answers, pace: Duration) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let mut writer = stream.try_clone().ok()?;
    let mut reader = BufReader::new(stream);
    writer.write_all(b"220 sink.example.org ESMTP\r\n").ok()?;
    let (mut reverse_path, mut recipients) = (String::new(), Vec::new());
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let verb = line.split(' ').next().unwrap_or_default().trim().to_uppercase();
        let path = || line.split(['<', '>']).nth(1).unwrap_or_default().to_owned();
        let answer = match verb.as_str() {
            "EHLO" => "250-sink.example.org\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 ENHANCEDSTATUSCODES",
            "MAIL" => {
                reverse_path = path();
                recipients.clear();
                "250 2.1.0 ok"
            }
            "RCPT" => match answers(&path()) {
                Some(answer) => answer,
                None => {
                    recipients.push(path());
                    "250 2.1.5 ok"
                }
            },
            "DATA" if recipients.is_empty() => "554 5.5.1 no valid recipients",
            "DATA" => {
                writer.write_all(b"354 go on\r\n").ok()?;
                let (message_id, message) = data(&mut reader, keep.load(Ordering::SeqCst))?;
                if !pace.is_zero() {
                    thread::sleep(pace);
                }
                let mut taken = taken.lock().unwrap();
                for recipient in recipients.drain(..) {
                    taken.push(Taken {
                        reverse_path: reverse_path.clone(),
                        recipient,
                        message_id: message_id.clone(),
                        message: message.clone(),
                    });
                }
                "250 2.0.0 taken"
            }
            "QUIT" => {
                writer.write_all(b"221 2.0.0 bye\r\n").ok()?;
                return Some(());
            }
            _ => "250 2.0.0 ok",
        };
        writer.write_all(format!("{answer}\r\n").as_bytes()).ok()?;
    }
}

/// Reads up to the dot; the Message-ID, and the bytes if they are to be kept.
fn data(reader: &mut BufReader<TcpStream>, keep: bool) -> Option<(String, Vec<u8>)> {
    let (mut message_id, mut message) = (String::new(), Vec::new());
    loop {
        let mut line = Vec::new();
        if reader.read_until(b'\n', &mut line).ok()? == 0 {
            return None;
        }
        if line == b".\r\n" {
            return Some((message_id, message));
        }
        if keep {
            message.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
        }
        let text = String::from_utf8_lossy(&line);
        if message_id.is_empty()
            && let Some(id) = text.strip_prefix("Message-ID: <")
        {
            message_id = id.trim_end().trim_end_matches('>').to_owned();
        }
    }
}
