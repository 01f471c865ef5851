//! P11: many idle and slow clients against the running daemon. Small here; `ENLACE_CROWD=10000` takes the full minute, and
//! with a release build in `ENLACE_TEST_BINARY` the figures of the promise are asked for.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::support::client::{lmtp, proved};
use crate::support::daemon::{Daemon, Setup, binary};

const LIST: &str = "sg12rg-amr@lists.example.org";

async fn connect(from: [u8; 4], to: std::net::SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((std::net::Ipv4Addr::from(from), 0).into()).unwrap();
    let mut stream = socket.connect(to).await.unwrap();
    let mut greeting = [0; 512];
    let read = stream.read(&mut greeting).await.unwrap();
    assert!(greeting[..read].starts_with(b"220"), "{}", String::from_utf8_lossy(&greeting[..read]));
    stream
}

fn memory(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p11_idle_and_slow_clients_do_not_hold_up_an_honest_post() {
    let full = std::env::var("ENLACE_CROWD").ok().and_then(|text| text.parse::<usize>().ok());
    let (idle, slow, time) = full.map_or((400, 20, Duration::from_secs(3)), |idle| (idle, 100, Duration::from_mins(1)));
    let mut limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    limit.current = limit.maximum;
    rustix::process::setrlimit(rustix::process::Resource::Nofile, limit).unwrap();
    let daemon = Daemon::start(&Setup::default());
    daemon.cli_ok(&["member", "add", "SG12RG-AMR", "ana@example.org", "ben@example.org"]);
    let (smtp, web) = (daemon.address("smtp"), daemon.address("lmtp"));
    let mut crowd = Vec::new();
    for number in 0..idle {
        crowd.push(connect([127, 1, u8::try_from(number % 4).unwrap(), 1], smtp).await);
    }
    let mut dribblers = Vec::new();
    for number in 0..2 * slow {
        let mut stream = connect([127, 2, 0, 1], smtp).await;
        if number % 2 == 1 {
            let start = format!("EHLO x\r\nMAIL FROM:<ana@example.org>\r\nRCPT TO:<{LIST}>\r\nDATA\r\n");
            stream.write_all(start.as_bytes()).await.unwrap();
        }
        dribblers.push(stream);
    }
    let (began, mut number, mut slowest) = (Instant::now(), 0, Duration::ZERO);
    while began.elapsed() < time {
        for stream in &mut dribblers {
            // Those that were cut are out of it.
            let _ = stream.try_write(b"x");
        }
        number += 1;
        let message = proved("ana@example.org", LIST, "x", &format!("p11-{number}@x.test"), "x");
        let started = Instant::now();
        let answers = tokio::task::spawn_blocking(move || lmtp(web, "ana@example.org", &[LIST], &message)).await.unwrap();
        assert_eq!(answers[0].code, 250);
        slowest = slowest.max(started.elapsed());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let memory = memory(daemon.process_id());
    println!("{idle} idle, {slow} + {slow} slow for {time:?}: {number} posts, the slowest in {slowest:?}, {memory} MiB resident");
    // A debug build on a busy machine is given more.
    let (most, room) = if binary().is_some() { (Duration::from_secs(1), 143) } else { (Duration::from_secs(3), 200) };
    assert!(slowest < most, "{slowest:?}");
    // 150 MB are 143 MiB.
    assert!(memory <= room, "{memory} MiB");
    drop(crowd);
}
