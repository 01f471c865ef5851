//! Fan-out by hand: the delivery alone, with the real store, towards a relay on this machine.
//!
//! `smtp-sink -u nobody 127.0.0.1:2525 1024 &`, then
//! `cargo bench --bench delivery -- PORT CONNECTIONS SUBSCRIBERS…`; `benches/run` measures the whole daemon.
#![allow(missing_docs, clippy::pedantic)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use chrono::Utc;
use enlace::clock::Clock;
use enlace::config::Config;
use enlace::delivery::{Delivery, Parts, Settings};
use enlace::domain::id::{AccountId, PostId};
use enlace::domain::post::{Arrival, Audience, Edition, Post, PostKind, PostState};
use enlace::domain::subscription::{Provenance, Subscription};
use enlace::mail::compose::Service;
use enlace::service::Services;
use enlace::smtp::relay::{RelayOptions, SmtpRelay};
use enlace::store::sled::SledOptions;
use enlace::store::{BodySource, StoreOptions};
use enlace::text::Texts;

mod samples;
use samples::{account, group};

fn peak_megabytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kilobytes| kilobytes.parse::<u64>().ok()).unwrap_or(0) / 1024
}

#[tokio::main]
async fn main() {
    let numbers: Vec<u64> = std::env::args().skip(1).filter_map(|argument| argument.parse().ok()).collect();
    let [port, connections, sizes @ ..] = &numbers[..] else {
        println!("usage: cargo bench --bench delivery -- PORT CONNECTIONS SUBSCRIBERS…");
        return;
    };
    for &size in sizes {
        let folder = tempfile::tempdir().unwrap();
        let options = StoreOptions::Sled { data_dir: folder.path().to_owned(), options: SledOptions::default() };
        let store = enlace::store::open(options).await.unwrap();
        let groups = [group("PERSONAL", true), group("BATCHED", false)];
        store.put_groups(groups.to_vec()).await.unwrap();
        for start in (1..=size).step_by(1000) {
            let slice = start..(start + 1000).min(size + 1);
            store.put_accounts(slice.clone().map(account).collect()).await.unwrap();
            for group in &groups {
                let of = |number| Subscription::new(group.code.clone(), AccountId(number), Provenance::Import, Utc::now());
                store.put_subscriptions(slice.clone().map(of).collect()).await.unwrap();
            }
        }
        let (config, texts) = (Arc::new(Config::default()), Arc::new(Texts::load(None).unwrap()));
        let services = Arc::new(Services::new(Arc::clone(&store), config, texts, Clock::system()).await.unwrap());
        let delivery = Delivery::start(Parts {
            relay: Arc::new(SmtpRelay::new(RelayOptions::plain("127.0.0.1", u16::try_from(*port).unwrap(), "lists.example.org"))),
            service: Service { domain: "lists.example.org".into(), base_url: "https://lists.example.org".into() },
            keys: services.keys.clone(),
            services,
            timezone: chrono_tz::Tz::UTC,
            settings: Settings { connections: usize::try_from(*connections).unwrap(), ..Settings::default() },
        });
        println!("{size} subscribers, {} MB after the import", peak_megabytes());
        for (number, group) in groups.iter().enumerate() {
            let text = format!("From: ana@example.org\r\nSubject: x\r\n\r\n{}", "a line of some length that is repeated\r\n".repeat(100));
            let body = store.put_body(BodySource::Bytes(Bytes::from(text))).await.unwrap();
            let id = PostId(number as u64 + 1);
            let post = Post {
                id,
                groups: vec![group.code.clone()],
                kind: PostKind::Discussion,
                message_id: format!("{number}@example.org"),
                subject: "x".into(),
                sender: None,
                author: None,
                received_at: Utc::now(),
                not_before: Utc::now(),
                editions: vec![Edition { language: None, body }],
                audience: Audience::Subscribers,
                state: PostState::Accepted,
                arrival: Arrival::default(),
                origin: String::new(),
            };
            let begun = Instant::now();
            store.keep_post(post, Vec::new()).await.unwrap();
            let mut planned = None;
            while store.counts(id).await.unwrap().sent < size {
                if planned.is_none() && store.counts(id).await.unwrap().considered() == size {
                    planned = Some(begun.elapsed());
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            let took = begun.elapsed();
            let speed = size as f64 / took.as_secs_f64();
            println!("  {}: {speed:.0}/s, planned after {planned:?}, all after {took:?}, peak {} MB", group.code, peak_megabytes());
        }
        delivery.stop().await;
        store.close().await.unwrap();
    }
}
