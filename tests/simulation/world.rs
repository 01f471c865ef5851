//! One run: nodes that work, faults that befall them, and the look of the model after each step.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use enlace::clock::Clock;
use enlace::config::Config;
use enlace::delivery::{Delivery, Parts, Settings};
use enlace::domain::account::{Account, AccountKind, Category, Standing};
use enlace::domain::group::GroupCode;
use enlace::domain::id::{AccountId, PostId};
use enlace::domain::post::{Arrival, Audience, Edition, Post, PostKind, PostState};
use enlace::domain::subscription::{Provenance, Subscription};
use enlace::mail::compose::Service;
use enlace::mail::token::Keys;
use enlace::service::Services;
use enlace::store::{Batches, BodySource, Durable, Kept, Posts, Store};
use enlace::text::Texts;
use tokio::sync::{Notify, watch};

use crate::chance::Chance;
use crate::database::{Data, NodeStore};
use crate::model;
use crate::relay::{SimRelay, Taken};

pub const LEASE: Duration = Duration::from_secs(60);
const STEP: Duration = Duration::from_secs(1);

pub fn start_time() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

pub fn durable(id: PostId) -> Durable<PostId> {
    Durable::simulated(id)
}

/// A mistake put into the database on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plant {
    LosesAnOutcome,
    ForgetsLeases,
    LosesAPost,
}

/// What all runs share.
pub struct Shape {
    pub plant: Option<Plant>,
    config: Arc<Config>,
    texts: Arc<Texts>,
}

impl Shape {
    pub fn new() -> Self {
        Self { plant: None, config: Arc::new(Config::default()), texts: Arc::new(Texts::load(None).unwrap()) }
    }
}

/// What befell, over one run or many.
#[derive(Debug, Default, Clone)]
pub struct Told {
    pub crashes: u64,
    pub freezes: u64,
    pub outages: u64,
    pub jumps: u64,
    pub posts: u64,
    pub copies: u64,
    pub repeats: u64,
    pub bound: u64,
    pub failures: u64,
    pub lost_answers: u64,
    pub lies: u64,
    pub strays: u64,
}

impl Told {
    pub fn add(&mut self, other: &Self) {
        for (sum, one) in self.all_mut().into_iter().zip(other.clone().all_mut()) {
            *sum += *one;
        }
    }

    fn all_mut(&mut self) -> [&mut u64; 12] {
        let Self { crashes, freezes, outages, jumps, posts, copies, repeats, bound, failures, lost_answers, lies, strays } = self;
        [crashes, freezes, outages, jumps, posts, copies, repeats, bound, failures, lost_answers, lies, strays]
    }

    /// Everything that can go wrong did.
    pub fn is_rich(&self) -> bool {
        [self.crashes, self.freezes, self.outages, self.jumps, self.repeats, self.failures, self.lost_answers, self.lies]
            .iter()
            .all(|n| *n > 0)
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} crashes, {} freezes, {} outages, {} clock jumps, {} failed verbs, {} lost answers, {} lies of the relay; \
             {} posts, {} copies, {} repeats of at most {}, {} final dots without a lease",
            self.crashes,
            self.freezes,
            self.outages,
            self.jumps,
            self.failures,
            self.lost_answers,
            self.lies,
            self.posts,
            self.copies,
            self.repeats,
            self.bound,
            self.strays
        )
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pulse {
    Running,
    Frozen,
    Dead,
}

/// Whether a process lives. What it awaits outside of itself never comes back once it is dead.
#[derive(Clone)]
pub struct Life(Arc<(Mutex<Pulse>, Notify)>);

impl Life {
    fn new() -> Self {
        Self(Arc::new((Mutex::new(Pulse::Running), Notify::new())))
    }

    fn pulse(&self) -> Pulse {
        *self.0.0.lock().unwrap()
    }

    fn set(&self, pulse: Pulse) {
        *self.0.0.lock().unwrap() = pulse;
        self.0.1.notify_waiters();
    }

    /// Goes on when the process does.
    pub async fn breathe(&self) {
        loop {
            let woken = self.0.1.notified();
            match self.pulse() {
                Pulse::Running => return,
                Pulse::Frozen => woken.await,
                Pulse::Dead => std::future::pending().await,
            }
        }
    }
}

/// A node, or the gap where one was.
struct Node {
    life: Life,
    clock: Clock,
    store: Arc<NodeStore>,
    /// Never dropped in an orderly way when the process dies.
    delivery: Option<Delivery>,
}

pub struct World {
    shape: Shape,
    chance: Chance,
    pub data: Arc<Mutex<Data>>,
    pub taken: Arc<Mutex<Taken>>,
    calm: Arc<Mutex<bool>>,
    bell: Arc<watch::Sender<u64>>,
    nodes: Vec<Option<Node>>,
    connections: usize,
    pub members: Vec<String>,
    /// Message-IDs that were answered 250.
    pub accepted: Arc<Mutex<BTreeMap<String, PostId>>>,
    pub told: Told,
    next_post: u64,
}

fn code() -> GroupCode {
    "SG12".parse().unwrap()
}

fn account(number: u64) -> Account {
    let name = if number % 9 == 8 { "gone" } else { "reader" };
    Account {
        id: AccountId(number + 1),
        addresses: vec![format!("{name}{number}@example.org").parse().unwrap()],
        name: String::new(),
        kind: AccountKind::Ties,
        category: Category::MemberState,
        organisation: String::new(),
        operating_agency: false,
        country: Some(*b"CH"),
        study_groups: Vec::new(),
        languages: Vec::new(),
        expires: None,
        roles: Vec::new(),
        standing: Standing::Active,
        source: "import".into(),
    }
}

impl World {
    /// Plays a seed; the error says what the model found.
    pub async fn play(seed: u64, shape: &Shape) -> Result<Told, String> {
        let shape = Shape { plant: shape.plant, config: Arc::clone(&shape.config), texts: Arc::clone(&shape.texts) };
        let chance = Chance::new(seed);
        let members = 5 + chance.below(60);
        let mut world = Self {
            data: Arc::new(Mutex::new(Data::planted(shape.plant))),
            taken: Arc::default(),
            calm: Arc::default(),
            bell: Arc::new(watch::channel(0).0),
            nodes: Vec::new(),
            connections: 1 + chance.below(4) as usize,
            members: Vec::new(),
            accepted: Arc::default(),
            told: Told::default(),
            next_post: 1,
            shape,
            chance,
        };
        {
            let mut data = world.data.lock().unwrap();
            data.now();
            let group = model::group(code());
            data.groups.insert(group.code.clone(), group);
            for account in (0..members).map(account) {
                let one = Subscription::new(code(), account.id, Provenance::Import, start_time());
                world.members.push(account.addresses[0].to_string());
                data.subscriptions.insert((one.group.clone(), one.account), one);
                data.accounts.insert(account.id, account);
            }
        }
        for at in 0..2 + world.chance.below(4) as usize {
            let node = world.start(at).await;
            world.nodes.push(node);
        }
        let steps = 40 + world.chance.below(80);
        for step in 0..steps {
            world.befall(step).await;
            world.pass(STEP).await;
            model::look(&world).map_err(|text| format!("step {step} of {steps}: {text}"))?;
        }
        world.heal().await;
        for step in 0..400 {
            world.pass(STEP * 3).await;
            model::look(&world).map_err(|text| format!("while it drained, step {step}: {text}"))?;
            if world.is_drained() {
                break;
            }
            if step % 5 == 4 {
                // As an operator would; deferred copies wait for minutes otherwise.
                let store = world.nodes.iter().flatten().next().map(|node| Arc::clone(&node.store));
                if let Some(store) = store {
                    let _ = store.hasten(None, start_time()).await;
                }
            }
        }
        model::end(&mut world)?;
        Ok(world.told.clone())
    }

    /// Starts a process; `None` when it could not, as at a failing database.
    async fn start(&self, at: usize) -> Option<Node> {
        let life = Life::new();
        let clock = Clock::manual(self.data.lock().unwrap().now());
        let store = Arc::new(NodeStore {
            data: Arc::clone(&self.data),
            node: at,
            life: life.clone(),
            chance: self.chance.fork(),
            calm: Arc::clone(&self.calm),
            bell: Arc::clone(&self.bell),
        });
        self.data.lock().unwrap().take_back(at);
        let services = Services::new(
            Arc::clone(&store) as Arc<dyn Store>,
            Arc::clone(&self.shape.config),
            Arc::clone(&self.shape.texts),
            clock.clone(),
        )
        .await;
        let relay = SimRelay {
            taken: Arc::clone(&self.taken),
            data: Arc::clone(&self.data),
            node: at,
            life: life.clone(),
            chance: self.chance.fork(),
            calm: Arc::clone(&self.calm),
        };
        let delivery = Delivery::start(Parts {
            services: Arc::new(services.ok()?),
            relay: Arc::new(relay),
            service: Service { domain: "lists.example.org".into(), base_url: "http://lists.example.org".into() },
            keys: Keys::new(&[7; 32]),
            timezone: chrono_tz::Tz::UTC,
            settings: Settings { connections: self.connections, lease: LEASE, ..Settings::default() },
        });
        Some(Node { life, clock, store, delivery: Some(delivery) })
    }

    async fn pass(&self, time: Duration) {
        tokio::time::sleep(time).await;
        for node in self.nodes.iter().flatten() {
            node.clock.advance(TimeDelta::from_std(time).unwrap());
        }
    }

    async fn befall(&mut self, step: u64) {
        if step == 0 || self.chance.in_thousand(120) {
            self.inject();
        }
        let at = self.chance.below(self.nodes.len() as u64) as usize;
        match self.chance.below(1000) {
            0..60 => {
                if let Some(node) = self.nodes[at].take() {
                    self.told.crashes += 1;
                    node.life.set(Pulse::Dead);
                    std::mem::forget(node.delivery);
                }
            }
            60..110 => {
                if let Some(node) = self.nodes[at].as_ref().filter(|node| node.life.pulse() == Pulse::Running) {
                    self.told.freezes += 1;
                    node.life.set(Pulse::Frozen);
                    let (life, length) = (node.life.clone(), Duration::from_millis(self.chance.below(2 * LEASE.as_millis() as u64)));
                    tokio::spawn(async move {
                        tokio::time::sleep(length).await;
                        if life.pulse() == Pulse::Frozen {
                            life.set(Pulse::Running);
                        }
                    });
                }
            }
            110..135 => {
                self.told.outages += 1;
                let length = Duration::from_millis(200 + self.chance.below(8_000));
                self.data.lock().unwrap().outage(length);
            }
            135..165 => {
                if let Some(node) = &self.nodes[at] {
                    self.told.jumps += 1;
                    node.clock.advance(TimeDelta::seconds(self.chance.below(7200) as i64 - 3600));
                }
            }
            165..500 => {
                if self.nodes[at].is_none() {
                    self.nodes[at] = self.start(at).await;
                }
            }
            _ => {}
        }
    }

    /// A mail server that hands a message in, and again when it got no 250.
    fn inject(&mut self) {
        let number = self.next_post;
        self.next_post += 1;
        let stores: Vec<_> = self.nodes.iter().flatten().map(|node| Arc::clone(&node.store)).collect();
        let (chance, accepted) = (self.chance.fork(), Arc::clone(&self.accepted));
        tokio::spawn(async move {
            let message_id = format!("post{number}@example.org");
            for attempt in 0..20 {
                let Some(store) = stores.get(chance.below(stores.len() as u64) as usize) else { return };
                let id = PostId::new(start_time() + TimeDelta::milliseconds((number * 100 + attempt) as i64), chance.next());
                let handed = tokio::time::timeout(Duration::from_secs(30), hand_in(&**store, id, &message_id)).await;
                if let Ok(Ok(Kept::New(id) | Kept::Repeated(id))) = handed {
                    accepted.lock().unwrap().insert(message_id, id.get());
                    return;
                }
                tokio::time::sleep(Duration::from_secs(1 + chance.below(5))).await;
            }
        });
    }

    /// No more faults; everybody is there again.
    async fn heal(&mut self) {
        *self.calm.lock().unwrap() = true;
        for at in 0..self.nodes.len() {
            if let Some(node) = &self.nodes[at] {
                node.life.set(Pulse::Running);
            }
            // The last outage may still go on.
            while self.nodes[at].is_none() {
                self.pass(STEP).await;
                self.nodes[at] = self.start(at).await;
            }
        }
    }

    fn is_drained(&self) -> bool {
        let data = self.data.lock().unwrap();
        data.posts.values().all(|post| post.state == PostState::Done)
    }

    /// Most copies that may have come more than once.
    pub fn bound(&self) -> u64 {
        let lies = u64::from(self.taken.lock().unwrap().lies);
        (self.told.crashes + self.told.freezes) * self.connections as u64 + lies
    }
}

async fn hand_in(store: &NodeStore, id: PostId, message_id: &str) -> enlace::store::Result<Kept> {
    let text = format!("From: ana@example.org\r\nMessage-ID: <{message_id}>\r\nSubject: x\r\n\r\nhello\r\n");
    let body = store.put_body(BodySource::Bytes(Bytes::from(text))).await?;
    let post = Post {
        id,
        groups: vec![code()],
        kind: PostKind::Discussion,
        message_id: message_id.to_owned(),
        subject: "x".into(),
        sender: None,
        author: None,
        received_at: start_time(),
        not_before: start_time(),
        editions: vec![Edition { language: None, body }],
        audience: Audience::Subscribers,
        state: PostState::Accepted,
        arrival: Arrival::default(),
        origin: String::new(),
    };
    store.keep_post(post, vec![format!("SG12|{message_id}")]).await
}
