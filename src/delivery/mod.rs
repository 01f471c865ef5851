//! The flow from an accepted post to the relay: who gets it, in which order, and what came of it.
//!
//! `planner` writes batches, `feeder` claims those that are due, `lanes` decides whose turn it is, `worker` hands copies
//! over, `batch` brings the outcomes to disk, `copies` keeps the rendered editions in use, `floor` is what they share.
//! The store's record is the only input: everything here may stop at any instant and start again. Not here: rules
//! (`domain::audience`, `domain::ledger`), bytes (`mail::compose`), the wire (`smtp::relay`).

mod batch;
mod copies;
mod feeder;
mod floor;
mod lanes;
mod lost;
mod planner;
mod policies;
mod routed;
mod worker;

use std::collections::HashSet;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use chrono_tz::Tz;
use futures_util::FutureExt;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use self::floor::Floor;
use self::worker::Worker;
use crate::domain::id::PostId;
use crate::domain::post::{Audience, Post};
use crate::mail::compose::Service;
use crate::mail::token::Keys;
use crate::measure::{self, Stage, Timer};
use crate::service::Services;
use crate::smtp::relay::Relay;

/// Numbers of the delivery; the defaults are the shipped ones.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Sessions with the relay at the same time (`relay.connections`), at least 1.
    pub connections: usize,
    /// Recipients a transaction where the group has `personal = false`.
    pub recipients_a_transaction: usize,
    /// How long a transient failure is tried again (`limits.retry_for`).
    pub retry_for: Duration,
    /// How long a claimed batch is ours; another node takes it over afterwards.
    pub lease: Duration,
    /// The look at the records that mends a lost bell and notices what has become due.
    pub look_every: Duration,
    /// How long a session without work is kept.
    pub idle: Duration,
    /// How long [`Delivery::stop`] waits for the transactions on the wire.
    pub stop_within: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            connections: 8,
            recipients_a_transaction: 50,
            retry_for: Duration::from_hours(5 * 24),
            lease: Duration::from_mins(15),
            look_every: Duration::from_secs(1),
            idle: Duration::from_secs(3),
            stop_within: Duration::from_mins(1),
        }
    }
}

/// What the delivery works with.
pub struct Parts {
    /// Store, clock, groups.
    pub services: Arc<Services>,
    /// Where copies go.
    pub relay: Arc<dyn Relay>,
    /// What copies show of the service.
    pub service: Service,
    /// For VERP and one-click tokens.
    pub keys: Keys,
    /// The service's zone, for dates in subscriptions.
    pub timezone: Tz,
    /// Numbers.
    pub settings: Settings,
}

/// The running delivery.
pub struct Delivery {
    floor: Arc<Floor>,
}

/// How it goes at present.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// Copies the relay took since the start.
    pub taken: u64,
    /// Batches claimed by this process.
    pub claimed: usize,
    /// Why no session can be opened, if so.
    pub relay_away: Option<String>,
}

impl Delivery {
    /// Starts planner and sessions on the current runtime. Work that an earlier process left open is continued.
    pub fn start(parts: Parts) -> Self {
        let timezone = parts.timezone;
        let connections = parts.settings.connections.max(1);
        let (lost, arriving) = mpsc::channel(lost::WAITING);
        let floor = Arc::new(Floor::new(parts, lost));
        let watched = Arc::clone(&floor);
        floor.spawn(lost::score(Arc::clone(&floor.services), arriving, async move { watched.stopped().await }));
        for _ in 0..connections {
            floor.spawn(Worker::new(Arc::clone(&floor)).run());
        }
        floor.spawn(feeder::run(Arc::clone(&floor)));
        floor.spawn(plan_all(Arc::clone(&floor), timezone));
        Self { floor }
    }

    /// How it goes.
    pub fn health(&self) -> Health {
        Health {
            taken: self.floor.taken.load(Ordering::Relaxed),
            claimed: self.floor.active().len(),
            relay_away: self.floor.away().map(|(_, cause)| cause),
        }
    }

    /// Finishes the transactions on the wire, notes their outcome, gives the batches back, and ends; after
    /// [`Settings::stop_within`] it ends all the same.
    pub async fn stop(self) {
        self.floor.stop();
        if tokio::time::timeout(self.floor.settings.stop_within, self.floor.finish()).await.is_err() {
            tracing::warn!("the relay did not finish its transactions in time; those may be repeated after the next start");
        }
    }
}

/// Most plans written at the same time: a huge one does not hold up the others.
const PLANS_AT_ONCE: usize = 4;
/// Most accepted posts looked at.
const POSTS_LOOKED_AT: usize = 64;

/// Plans accepted posts whose time has come, until the delivery stops.
async fn plan_all(floor: Arc<Floor>, timezone: Tz) {
    let mut bell = floor.services.store.bell();
    let mut running: JoinSet<(Post, bool)> = JoinSet::new();
    let mut begun: HashSet<PostId> = HashSet::new();
    // Two posts of one message are planned one after the other, so that the second sees whom the first reaches.
    let mut messages: HashSet<String> = HashSet::new();
    while !floor.is_stopping() {
        let looked = floor.services.now();
        let posts = match floor.services.store.posts_to_plan(looked, POSTS_LOOKED_AT).await {
            Ok(posts) => posts,
            Err(error) => {
                tracing::error!(%error, "could not look for posts to plan");
                Vec::new()
            }
        };
        for post in posts {
            if matches!(post.audience, Audience::Listed(_) | Audience::Role(..)) && !begun.contains(&post.id) {
                if !plan_one(&floor, timezone, &post).await {
                    begun.insert(post.id);
                }
            } else if running.len() < PLANS_AT_ONCE && !messages.contains(&post.message_id) && begun.insert(post.id) {
                messages.insert(post.message_id.clone());
                let floor = Arc::clone(&floor);
                running.spawn(async move {
                    let ended = plan_one(&floor, timezone, &post).await;
                    (post, ended)
                });
            }
        }
        let next = floor.services.store.next_plan_time().await.unwrap_or_default();
        tokio::select! {
            rung = bell.changed() => if rung.is_err() { break },
            Some(ended) = running.join_next() => {
                if let Ok((post, ended)) = ended {
                    messages.remove(&post.message_id);
                    if ended {
                        begun.remove(&post.id);
                    }
                }
            }
            () = tokio::time::sleep(floor.pause_after(looked, next)) => {}
            () = floor.stopped() => {}
        }
    }
    // A plan that is cut short here is written anew after the start.
    running.shutdown().await;
}

/// `false` when it panicked: not begun again in this process, for it would panic again.
async fn plan_one(floor: &Floor, timezone: Tz, post: &Post) -> bool {
    let codes = post.groups.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let timer = Timer::of(Stage::Plan);
    let planned = AssertUnwindSafe(planner::plan(&floor.services, timezone, post)).catch_unwind().await;
    let Ok(planned) = planned else {
        tracing::error!(post.id = %post.id, "planning post {} for {codes} broke down; it waits for the next start", post.id);
        return false;
    };
    if let Ok(considered) = &planned {
        timer.done();
        measure::planned(*considered);
    }
    match planned {
        Ok(considered) => {
            tracing::info!(trace = post.arrival.trace, post.id = %post.id, considered, "Planned post {} for {codes}", post.id);
        }
        Err(error) => tracing::error!(post.id = %post.id, %error, "could not plan post {} for {codes}; it is tried again", post.id),
    }
    true
}
