//! A small name server on loopback (RFC 1035 over UDP): answers what a test puts in, fails as it is told, and counts.

use std::collections::HashMap;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// What is said about a name.
#[derive(Clone, Debug)]
pub enum Says {
    /// TXT records.
    Txt(Vec<String>),
    /// Mail servers (MX records) and TXT records of one name.
    Mail(Vec<String>, Vec<String>),
    /// A records.
    A(Vec<[u8; 4]>),
    /// The server fails (RCODE 2).
    Fail,
    /// No answer at all.
    Silence,
}

/// The server; ends when dropped.
pub struct NameServer {
    pub address: SocketAddr,
    zone: Arc<Mutex<HashMap<String, Says>>>,
    asked: Arc<AtomicUsize>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl NameServer {
    pub fn start() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let address = socket.local_addr().unwrap();
        let zone: Arc<Mutex<HashMap<String, Says>>> = Arc::default();
        let asked = Arc::new(AtomicUsize::new(0));
        let over = Arc::new(AtomicBool::new(false));
        let thread = std::thread::spawn({
            let (zone, asked, over) = (Arc::clone(&zone), Arc::clone(&asked), Arc::clone(&over));
            move || {
                let mut question = [0; 1_500];
                while !over.load(Ordering::Relaxed) {
                    let Ok((length, client)) = socket.recv_from(&mut question) else { continue };
                    asked.fetch_add(1, Ordering::Relaxed);
                    if let Some(answer) = answer(&question[..length], &zone.lock().unwrap()) {
                        let _ = socket.send_to(&answer, client);
                    }
                }
            }
        });
        Self { address, zone, asked, over, thread: Some(thread) }
    }

    /// `name` without the last dot, lower case.
    pub fn put(&self, name: &str, says: Says) {
        self.zone.lock().unwrap().insert(name.to_owned(), says);
    }

    pub fn txt(&self, name: &str, text: impl Into<String>) {
        self.put(name, Says::Txt(vec![text.into()]));
    }

    /// How many questions came since the last call.
    pub fn asked(&self) -> usize {
        self.asked.swap(0, Ordering::Relaxed)
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn answer(question: &[u8], zone: &HashMap<String, Says>) -> Option<Vec<u8>> {
    let mut labels = Vec::new();
    let mut at = 12;
    loop {
        let length = usize::from(*question.get(at)?);
        at += 1;
        if length == 0 {
            break;
        }
        labels.push(String::from_utf8_lossy(question.get(at..at + length)?).to_lowercase());
        at += length;
    }
    let kind = u16::from_be_bytes([*question.get(at)?, *question.get(at + 1)?]);
    let asked = question.get(12..at + 4)?;
    let (code, data): (u8, Vec<Vec<u8>>) = match zone.get(&labels.join(".")) {
        None => (3, Vec::new()),
        Some(Says::Silence) => return None,
        Some(Says::Fail) => (2, Vec::new()),
        Some(Says::Txt(texts)) if kind == 16 => (0, texts.iter().map(|text| strings(text)).collect()),
        Some(Says::Mail(_, texts)) if kind == 16 => (0, texts.iter().map(|text| strings(text)).collect()),
        Some(Says::Mail(hosts, _)) if kind == 15 => (0, hosts.iter().map(|host| exchange(host)).collect()),
        Some(Says::A(addresses)) if kind == 1 => (0, addresses.iter().map(|address| address.to_vec()).collect()),
        Some(_) => (0, Vec::new()),
    };
    let mut reply = question[..2].to_vec();
    reply.extend([0x85, 0x80 | code, 0, 1]);
    reply.extend(u16::try_from(data.len()).ok()?.to_be_bytes());
    reply.extend([0, 0, 0, 0]);
    reply.extend(asked);
    for data in data {
        reply.extend([0xc0, 12]);
        reply.extend(kind.to_be_bytes());
        reply.extend([0, 1, 0, 0, 0, 60]);
        reply.extend(u16::try_from(data.len()).ok()?.to_be_bytes());
        reply.extend(data);
    }
    Some(reply)
}

/// Preference 10 and a name.
fn exchange(host: &str) -> Vec<u8> {
    let mut data = vec![0, 10];
    for label in host.split('.') {
        data.push(u8::try_from(label.len()).unwrap_or(63));
        data.extend(label.bytes());
    }
    data.push(0);
    data
}

/// A text as strings of at most 255 octets.
fn strings(text: &str) -> Vec<u8> {
    let mut data = Vec::new();
    for piece in text.as_bytes().chunks(255) {
        data.push(u8::try_from(piece.len()).unwrap_or(255));
        data.extend(piece);
    }
    data
}
