//! How many nodes a load needs: the busiest hour of a day, batch by batch, with costs that were measured: `cargo bench --bench scale`.
//!
//! A post becomes batches of 250 recipients. Each batch needs a core of a node (composing and handing over), the database
//! (claim, outcomes, settling), and a relay (which queues durably). Within a stage the post that has had least goes first, as
//! `delivery::lanes` does it. Everything is drawn from one seed, so two runs print the same. What it leaves out: network
//! latency (sessions overlap it), failures (tests/simulation has them), and the receivers' own pace (the relay's business).
//!
//! Costs come from `benches/run` with NODES and are given in microseconds of a core a recipient: NODE and DATABASE with one
//! transaction a recipient, NODE_BATCHED and DATABASE_BATCHED with fifty; RELAY is of a whole relay machine (as shipped the
//! 3,849 a second that were measured of Postfix on another machine). DAYS is a list of recipients a day.
#![allow(missing_docs, clippy::pedantic)]

use std::cmp::Reverse;
use std::collections::BinaryHeap;

const BATCH: u64 = 250;
/// Part of a day's recipients in its busiest hour.
const BUSIEST: f64 = 0.2;
/// Cores of a node, and of a database server.
const CORES: usize = 2;
const DATABASE_CORES: usize = 8;
/// A post of up to this many recipients is small, and has to be with the relays within [`SOON`] in 99 of 100 cases.
const SMALL: u64 = 1000;
const SOON: f64 = 60.0;
/// No stage is planned to be busier than this.
const BUSY: f64 = 0.7;
/// More machines of a kind than this are not tried.
const MOST: usize = 512;

/// SplitMix64 (Steele, Lea and Flood 2014): enough for drawing sizes and times.
struct Chance(u64);

impl Chance {
    fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[derive(Clone, Copy)]
struct Post {
    at: f64,
    recipients: u64,
}

/// The posts of the busiest hour: sizes spread evenly over the orders of magnitude from 30 to 100,000 recipients.
fn hour(a_day: f64) -> Vec<Post> {
    let mut chance = Chance(1);
    let mut left = a_day * BUSIEST;
    let mut posts = Vec::new();
    while left > 0.0 {
        let recipients = (30.0 * (100_000.0_f64 / 30.0).powf(chance.unit())).min(left.max(30.0));
        left -= recipients;
        posts.push(Post { at: chance.unit() * 3600.0, recipients: recipients as u64 });
    }
    posts.sort_by(|a, b| a.at.total_cmp(&b.at));
    posts
}

/// Seconds as an ordered number.
fn nanoseconds(seconds: f64) -> u64 {
    (seconds * 1e9) as u64
}

/// One stage with equal servers: when each batch is done. Batches come as (ready, rank in its post, post, recipients).
fn stage(mut batches: Vec<(u64, u64, usize, u64)>, servers: usize, cost: f64) -> (Vec<(u64, u64, usize, u64)>, f64) {
    batches.sort_unstable();
    let mut free: BinaryHeap<Reverse<u64>> = (0..servers).map(|_| Reverse(0)).collect();
    let mut waiting: BinaryHeap<Reverse<(u64, u64, usize, u64)>> = BinaryHeap::new();
    let mut coming = batches.into_iter().peekable();
    let mut done = Vec::new();
    let (mut busy, mut end) = (0.0, 0);
    while coming.peek().is_some() || !waiting.is_empty() {
        let Some(Reverse(mut now)) = free.pop() else { break };
        if waiting.is_empty() {
            now = now.max(coming.peek().map_or(0, |next| next.0));
        }
        while let Some((ready, rank, post, recipients)) = coming.next_if(|next| next.0 <= now) {
            waiting.push(Reverse((rank, ready, post, recipients)));
        }
        let Some(Reverse((rank, _, post, recipients))) = waiting.pop() else { break };
        let takes = recipients as f64 * cost / 1e6;
        busy += takes;
        let ready = now + nanoseconds(takes);
        end = end.max(ready);
        free.push(Reverse(ready));
        done.push((ready, rank, post, recipients));
    }
    (done, busy / (servers as f64 * (end as f64 / 1e9).max(3600.0)))
}

struct Costs {
    node: f64,
    database: f64,
    relay: f64,
}

struct Told {
    busy: [f64; 3],
    small: f64,
    all: f64,
}

fn play(posts: &[Post], costs: &Costs, nodes: usize, databases: usize, relays: usize) -> Told {
    let mut batches = Vec::new();
    for (number, post) in posts.iter().enumerate() {
        for rank in 0..post.recipients.div_ceil(BATCH) {
            batches.push((nanoseconds(post.at), rank, number, BATCH.min(post.recipients - rank * BATCH)));
        }
    }
    let (batches, database) = stage(batches, databases * DATABASE_CORES, costs.database);
    let (batches, node) = stage(batches, nodes * CORES, costs.node);
    let (batches, relay) = stage(batches, relays, costs.relay);
    let mut ends = vec![0; posts.len()];
    for (ready, _, post, _) in batches {
        ends[post] = ends[post].max(ready);
    }
    let took = |post: &Post, end: &u64| *end as f64 / 1e9 - post.at;
    let mut small: Vec<f64> = posts.iter().zip(&ends).filter(|(post, _)| post.recipients <= SMALL).map(|(p, e)| took(p, e)).collect();
    small.sort_by(f64::total_cmp);
    let all = posts.iter().zip(&ends).map(|(p, e)| took(p, e)).fold(0.0, f64::max);
    Told { busy: [node, database, relay], small: small.get(small.len() * 99 / 100).copied().unwrap_or(0.0), all }
}

/// The fewest machines of each kind with which no stage is too busy and small posts are out soon.
fn plan(posts: &[Post], costs: &Costs) -> Option<([usize; 3], Told)> {
    let mut machines = [1_usize; 3];
    loop {
        let told = play(posts, costs, machines[0], machines[1], machines[2]);
        let (busiest, load) = told.busy.iter().copied().enumerate().max_by(|a, b| a.1.total_cmp(&b.1))?;
        if load <= BUSY && told.small <= SOON {
            return Some((machines, told));
        }
        let factor = if load > BUSY { load / BUSY } else { 1.1 };
        machines[busiest] = ((machines[busiest] as f64 * factor).ceil() as usize).max(machines[busiest] + 1);
        if machines[busiest] > MOST {
            return None;
        }
    }
}

fn setting(name: &str, default: f64) -> f64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn main() {
    let costs = [
        ("one transaction a recipient", setting("NODE", 43.0), setting("DATABASE", 68.0)),
        ("fifty a transaction", setting("NODE_BATCHED", 11.5), setting("DATABASE_BATCHED", 18.5)),
    ];
    let relay = setting("RELAY", 260.0);
    let days = std::env::var("DAYS").unwrap_or_else(|_| "1000000 10000000 100000000".into());
    println!("Busiest hour: {:.0} % of the day. Microseconds a recipient of a relay machine: {relay}.", BUSIEST * 100.0);
    println!();
    println!(
        "| recipients a day | copies | µs: node, database | posts in the hour | nodes of {CORES} cores | databases of {DATABASE_CORES} | relays | busy: node, database, relay | 99 % of small posts within | longest post |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    for day in days.split_whitespace().filter_map(|day| day.parse::<f64>().ok()) {
        let posts = hour(day);
        for (name, node, database) in costs {
            let found = plan(&posts, &Costs { node, database, relay });
            let Some(([nodes, databases, relays], told)) = found else {
                println!("| {day} | {name} | {node}, {database} | {} | more than {MOST} machines of a kind | | | | | |", posts.len());
                continue;
            };
            let [a, b, c] = told.busy.map(|busy| busy * 100.0);
            println!(
                "| {day} | {name} | {node}, {database} | {} | {nodes} | {databases} | {relays} | {a:.0} %, {b:.0} %, {c:.0} % | {:.1} s | {:.0} s |",
                posts.len(),
                told.small,
                told.all
            );
        }
    }
}
