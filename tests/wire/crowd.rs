//! Many who do nothing do not keep one who does something waiting.

use std::time::{Duration, Instant};

use enlace::smtp::session::Protocol;
use rustix::process::{Resource, getrlimit, setrlimit};

use crate::support::{config, start};

/// Both ends of a connection are in this process.
fn connections() -> usize {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).unwrap();
    let files = limit.maximum.map_or(4_400, |files| usize::try_from(files).unwrap());
    (files.saturating_sub(400) / 2).min(2_000)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_honest_client_is_served_among_two_thousand_idle_ones() {
    let mut trusting = config(Protocol::Smtp);
    trusting.trusted_networks = vec!["127.0.0.0/8".parse().unwrap()];
    let server = start(trusting).await;
    let mut idle = Vec::new();
    for n in 0..connections() {
        let mut client = server.connect_from(&format!("127.1.{}.1", n % 8)).await;
        client.expect(&["220"]).await;
        if n % 10 == 0 {
            client.ask("EHLO x", "250").await;
            client.send("MAIL FROM:<a").await;
        }
        idle.push(client);
    }
    let begun = Instant::now();
    let mut client = server.ready_for_data("EHLO x").await;
    client.ask("DATA", "354").await;
    client.ask("Subject: x\r\n\r\nx\r\n.", "250 2.0.0").await;
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    for client in &mut idle {
        client.send("RSET\r\nNOOP\r\n").await;
    }
    for (n, client) in idle.iter_mut().enumerate() {
        let expected = if n % 10 == 0 { "553" } else { "250" };
        client.expect(&[expected, "250"]).await;
    }
}
