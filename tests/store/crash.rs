//! What was acknowledged is there after `kill -9` at any instant.
//!
//! The test runs itself again as a child that accepts posts, plans, records outcomes and settles from several tasks, and
//! prints a line for each thing the store acknowledged; the parent kills it and looks.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use enlace::domain::id::{AccountId, PostId};
use enlace::domain::ledger::{Counts, RecipientState};
use enlace::store::sled::SledOptions;
use enlace::store::{BatchKey, Claimed, Store};

use crate::samples::{account, address, code, outcome, post, recipient, seconds, t0};
use crate::sled::open;

const CHILD: &str = "ENLACE_STORE_CHILD";
const ROUNDS: u64 = 25;
const RECIPIENTS: u16 = 30;

fn options() -> SledOptions {
    SledOptions { floor_octets: Some(0), checkpoint_octets: 40_000, ..SledOptions::default() }
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("{line}\n").as_bytes()).unwrap();
    out.flush().unwrap();
}

/// The child's work; does nothing in an ordinary run.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn child() {
    let Ok(folder) = std::env::var(CHILD) else { return };
    let (folder, round) = folder.rsplit_once('|').unwrap();
    let store = open(Path::new(folder), options()).unwrap();
    say("");
    say("ready");
    for task in 0..4_u64 {
        let store = store.clone();
        let round: u64 = round.parse().unwrap();
        tokio::spawn(async move {
            for turn in 0.. {
                work(&*store, PostId((round << 40) | (turn << 8) | task)).await;
            }
        });
    }
    tokio::time::sleep(Duration::from_mins(1)).await;
}

async fn work(store: &dyn Store, id: PostId) {
    let new = post(store, id, "SG12").await;
    store.keep_post(new, vec![format!("SG12 {id}")]).await.unwrap();
    say(&format!("kept {id}"));
    store.put_accounts(vec![account(id.0, &[&format!("u{id}@example.org")])]).await.unwrap();
    say(&format!("account {id}"));
    let key = BatchKey { post: id, number: 0 };
    store.begin_plan(id).await.unwrap();
    store.add_batch(key, (0..RECIPIENTS.into()).map(|n| recipient(n, RecipientState::Planned)).collect()).await.unwrap();
    store.finish_plan(id, 1, t0()).await.unwrap();
    say(&format!("planned {id}"));
    let Claimed::Started(claim) = store.claim_batch(key, t0(), Duration::from_mins(1)).await.unwrap() else { panic!("not given out") };
    for index in 0..RECIPIENTS {
        store.record_outcomes(key, claim.holder, vec![outcome(index, RecipientState::Sent)]).await.unwrap();
        say(&format!("noted {id} {index}"));
    }
    store.settle_batch(key, claim.holder, t0() + seconds(60)).await.unwrap();
    say(&format!("settled {id}"));
}

#[derive(Default)]
struct Acknowledged {
    kept: BTreeSet<u64>,
    accounts: BTreeSet<u64>,
    planned: BTreeSet<u64>,
    noted: BTreeMap<u64, BTreeSet<u16>>,
    settled: BTreeSet<u64>,
}

impl Acknowledged {
    fn take(&mut self, line: &str) {
        let words: Vec<_> = line.split(' ').collect();
        let id = || u64::from_str_radix(words[1], 16).unwrap();
        match words[0] {
            "kept" => drop(self.kept.insert(id())),
            "account" => drop(self.accounts.insert(id())),
            "planned" => drop(self.planned.insert(id())),
            "noted" => drop(self.noted.entry(id()).or_default().insert(words[2].parse().unwrap())),
            "settled" => drop(self.settled.insert(id())),
            _ => {}
        }
    }

    async fn check(&self, store: &dyn Store) {
        for id in &self.kept {
            let post = store.post(PostId(*id)).await.unwrap().unwrap_or_else(|| panic!("post {id:x} is lost"));
            assert_eq!(store.body(&post.editions[0].body).await.unwrap().len() as u64, post.octets());
        }
        for id in &self.accounts {
            let found = store.account_by_address(&address(&format!("u{id:016x}@example.org"))).await.unwrap();
            assert_eq!(found.map(|account| account.id), Some(AccountId(*id)), "account {id:x} is lost");
        }
        for id in &self.planned {
            let batch = store.batch(BatchKey { post: PostId(*id), number: 0 }).await.unwrap();
            assert_eq!(batch.len(), usize::from(RECIPIENTS), "the plan of {id:x} is lost");
            for index in self.noted.get(id).into_iter().flatten() {
                let recipient = &batch[usize::from(*index)];
                assert_eq!(recipient.state, RecipientState::Sent, "the outcome of {id:x} {index} is lost");
                assert_eq!(recipient.attempts.len(), 1, "the outcome of {id:x} {index} is there twice");
            }
        }
        for id in &self.settled {
            assert_eq!(store.counts(PostId(*id)).await.unwrap().sent, u64::from(RECIPIENTS));
        }
    }
}

/// Every count, summed from the recipients themselves, agrees with what the store keeps.
async fn counts_add_up(store: &dyn Store) {
    let mut total = Counts::default();
    let mut before = None;
    loop {
        let page = store.posts_of_group(&code("SG12"), before, 200).await.unwrap();
        let Some(last) = page.last() else { break };
        before = Some(last.id);
        for post in &page {
            let mut counts = Counts::default();
            for recipient in store.batch(BatchKey { post: post.id, number: 0 }).await.unwrap() {
                *counts.of(recipient.state) += 1;
            }
            assert_eq!(store.counts(post.id).await.unwrap(), counts, "{}", post.id);
            total.add(&counts);
        }
    }
    assert_eq!(store.total_counts().await.unwrap(), total);
    assert_eq!(store.account_count().await.unwrap(), store.accounts(None, usize::MAX).await.unwrap().len() as u64);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives_being_killed_at_any_instant() {
    let folder = tempfile::tempdir().unwrap();
    let mut all = Acknowledged::default();
    for round in 1..=ROUNDS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "crash::child", "--nocapture", "--test-threads=1"])
            .env(CHILD, format!("{}|{round}", folder.path().display()))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        while lines.next().unwrap().unwrap() != "ready" {}
        // Different instants each round, from the first commits to several checkpoints later.
        let killer = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(5 + round * round * 7919 % 400));
            child.kill().unwrap();
            child.wait().unwrap();
        });
        let mut acknowledged = Acknowledged::default();
        for line in lines.map_while(Result::ok) {
            acknowledged.take(&line);
            all.take(&line);
        }
        killer.join().unwrap();
        let store = open(folder.path(), options()).unwrap();
        acknowledged.check(&*store).await;
        if round % 5 == 0 {
            counts_add_up(&*store).await;
        }
    }
    let store = open(folder.path(), options()).unwrap();
    all.check(&*store).await;
    counts_add_up(&*store).await;
    assert!(all.kept.len() > 100 && all.noted.len() > 50, "the child did next to nothing: {} posts", all.kept.len());
}
