//! How much the embedded store takes: `cargo bench --bench store [-- FOLDER]`. Figures on stdout, nothing is asserted.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use enlace::domain::account::{Account, AccountKind, Category, Standing};
use enlace::domain::id::{AccountId, PostId};
use enlace::domain::language::Language;
use enlace::domain::ledger::{Outcome, PlannedRecipient, RecipientState};
use enlace::domain::post::{Arrival, Audience, Edition, Post, PostKind, PostState};
use enlace::domain::reason::{Reason, Rule};
use enlace::domain::subscription::{Provenance, Subscription};
use enlace::store::sled::{SledOptions, SledStore};
use enlace::store::{Accounts, BATCH_RECIPIENTS, BatchKey, Batches, BodySource, Claimed, Posts, Store, Subscriptions};

fn t0() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap_or_default()
}

/// Resident memory in MB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0) / 1024
}

fn post(id: PostId, body: enlace::domain::post::BodyRef) -> Post {
    Post {
        id,
        groups: vec!["SG12".parse().expect("a group code")],
        kind: PostKind::Discussion,
        message_id: format!("{id}@example.org"),
        subject: "Good morning".into(),
        sender: None,
        author: None,
        received_at: t0(),
        not_before: t0() + chrono::TimeDelta::days(1),
        editions: vec![Edition { language: None, body }],
        audience: Audience::Subscribers,
        state: PostState::Accepted,
        arrival: Arrival::default(),
        origin: String::new(),
    }
}

fn recipients(from: u64) -> Vec<PlannedRecipient> {
    let one = |number: u64| PlannedRecipient {
        address: format!("user{number}@example{}.org", number % 1000),
        account: Some(AccountId(number)),
        group: 0,
        edition: 0,
        state: RecipientState::Planned,
        reason: Reason::new(Rule::Subscriber, ["SG12"]),
    };
    (from..from + BATCH_RECIPIENTS as u64).map(one).collect()
}

async fn keep_posts(store: &Arc<SledStore>, callers: u64, seconds: u64) {
    let until = Instant::now() + Duration::from_secs(seconds);
    let tasks: Vec<_> = (0..callers)
        .map(|caller| {
            let store = store.clone();
            tokio::spawn(async move {
                let mut count = 0_u64;
                let bytes = Bytes::from(vec![b'x'; 4096]);
                while Instant::now() < until {
                    let body = store.put_body(BodySource::Bytes(bytes.clone())).await.expect("a body");
                    let id = PostId((callers << 50) | (caller << 32) | count);
                    store.keep_post(post(id, body), vec![format!("SG12 {id}")]).await.expect("a post");
                    count += 1;
                }
                count
            })
        })
        .collect();
    let mut total = 0;
    for task in tasks {
        total += task.await.expect("a caller");
    }
    println!("keep_post, 4 KiB, {callers:3} callers: {:8}/s, {} MB resident", total / seconds, resident());
}

async fn record_outcomes(store: &Arc<SledStore>, callers: u32, per_call: u16, batches_a_caller: u32) {
    let id = PostId(u64::from(callers) << 54 | u64::from(per_call) << 40);
    let body = store.put_body(BodySource::Bytes(Bytes::from_static(b"x"))).await.expect("a body");
    store.keep_post(post(id, body), vec![]).await.expect("a post");
    let batches = callers * batches_a_caller;
    let planning = Instant::now();
    for number in 0..batches {
        store.add_batch(BatchKey { post: id, number }, recipients(u64::from(number) * 250)).await.expect("a batch");
    }
    store.finish_plan(id, batches, t0()).await.expect("a plan");
    let planned = planning.elapsed();
    let started = Instant::now();
    let tasks: Vec<_> = (0..callers)
        .map(|caller| {
            let store = store.clone();
            tokio::spawn(async move {
                for number in (caller * batches_a_caller)..((caller + 1) * batches_a_caller) {
                    let key = BatchKey { post: id, number };
                    let Claimed::Started(claim) = store.claim_batch(key, t0(), Duration::from_mins(10)).await.expect("a claim") else {
                        panic!("not given out")
                    };
                    let all: Vec<Outcome> = (0..250)
                        .map(|index| Outcome {
                            index,
                            state: RecipientState::Sent,
                            at: t0(),
                            reply: format!("250 2.0.0 Ok: queued as 4cXy{index:06}"),
                        })
                        .collect();
                    for some in all.chunks(usize::from(per_call)) {
                        store.record_outcomes(key, claim.holder, some.to_vec()).await.expect("noted");
                    }
                    store.settle_batch(key, claim.holder, t0()).await.expect("settled");
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("a caller");
    }
    let count = f64::from(batches) * 250.0;
    println!(
        "record_outcomes, {callers:3} callers, {per_call:3} a call: {:8.0} recipients/s; planning {:8.0} recipients/s; {} MB resident",
        count / started.elapsed().as_secs_f64(),
        count / planned.as_secs_f64(),
        resident()
    );
}

async fn directory(store: &Arc<SledStore>, count: u64) {
    let started = Instant::now();
    for from in (0..count).step_by(2000) {
        let account = |id: u64| Account {
            id: AccountId(id << 20),
            addresses: vec![format!("user{}@example.org", id.wrapping_mul(0x9e37_79b9) % 100_000_000).parse().expect("an address")],
            name: format!("Ana Example {id}"),
            kind: AccountKind::Ties,
            category: Category::MemberState,
            organisation: "Example Administration".into(),
            operating_agency: false,
            country: Some(*b"MX"),
            study_groups: vec!["SG12".parse().expect("a group code")],
            languages: vec![Language::ENGLISH],
            expires: None,
            roles: Vec::new(),
            standing: Standing::Active,
            source: "import".into(),
        };
        store.put_accounts((from..(from + 2000).min(count)).map(account).collect()).await.expect("accounts");
        let group: enlace::domain::group::GroupCode = "SG12RG-AMR".parse().expect("a group code");
        let subscription = |id: u64| Subscription::new(group.clone(), AccountId(id << 20), Provenance::Import, t0());
        store.put_subscriptions((from..(from + 2000).min(count)).map(subscription).collect()).await.expect("subscriptions");
    }
    println!("import of {count} accounts and subscriptions: {:.1} s, {} MB resident", started.elapsed().as_secs_f64(), resident());
}

fn main() {
    // `cargo bench` passes `--bench`; a folder may follow.
    let folder = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).map(PathBuf::from);
    let temporary = tempfile::tempdir().expect("a folder");
    let folder = folder.unwrap_or_else(|| temporary.path().to_owned());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().expect("a runtime");
    runtime.block_on(async {
        println!("start: {} MB resident", resident());
        let options = || SledOptions { floor_octets: Some(0), ..SledOptions::default() };
        let store = SledStore::open(&folder, options()).expect("a store");
        for callers in [1, 16, 64] {
            keep_posts(&store, callers, 3).await;
        }
        for (callers, per_call, batches) in [(8, 1, 10), (20, 1, 20), (64, 1, 8), (8, 50, 200)] {
            record_outcomes(&store, callers, per_call, batches).await;
        }
        let count = std::env::var("ENLACE_BENCH_ACCOUNTS").ok().and_then(|text| text.parse().ok()).unwrap_or(100_000);
        directory(&store, count).await;
        store.close().await.expect("closed");
        drop(store);
        let started = Instant::now();
        let store = SledStore::open(&folder, options()).expect("a store");
        println!("opening again after a close: {:.3} s, {} MB resident", started.elapsed().as_secs_f64(), resident());
        drop(store);
    });
}
