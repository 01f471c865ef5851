//! A small world: a store in a temporary folder, groups with subscribers, posts, and the delivery towards a sink.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use enlace::clock::Clock;
use enlace::config::Config;
use enlace::delivery::{Delivery, Parts, Settings};
use enlace::domain::account::{Account, AccountKind, Category, Standing};
use enlace::domain::group::{
    Group, GroupCode, GroupKind, GuestLiaison, GuestPolicy, MissingEdition, NonmemberPolicy, ParticipationPolicy, SubscriptionPolicy,
};
use enlace::domain::id::{AccountId, PostId};
use enlace::domain::language::{Language, Localized};
use enlace::domain::ledger::Counts;
use enlace::domain::post::{Arrival, Audience, Edition, Post, PostKind, PostState};
use enlace::domain::subscription::{Provenance, Subscription};
use enlace::mail::compose::Service;
use enlace::mail::token::Keys;
use enlace::service::Services;
use enlace::smtp::relay::{Relay, RelayOptions, SmtpRelay};
use enlace::store::sled::SledOptions;
use enlace::store::{BatchKey, BodySource, Kept, RecipientRecord, Store, StoreOptions};
use enlace::text::Texts;

pub struct World {
    pub store: Arc<dyn Store>,
    pub clock: Clock,
    pub settings: Settings,
    _folder: Option<tempfile::TempDir>,
    next_post: AtomicU64,
}

pub fn start_time() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

pub fn code(text: &str) -> GroupCode {
    text.parse().unwrap()
}

pub fn group(name: &str, personal: bool) -> Group {
    Group {
        code: code(name),
        kind: GroupKind::Study,
        parent: None,
        region: None,
        list: name.to_ascii_lowercase(),
        languages: vec![Language::ENGLISH],
        name: Localized::default(),
        timezone: chrono_tz::Tz::UTC,
        subscription: SubscriptionPolicy::Open,
        guests: GuestPolicy::Open,
        participation: ParticipationPolicy::Standard,
        nonmember: NonmemberPolicy::Reject,
        guest_liaison: GuestLiaison::Full,
        missing_edition: MissingEdition::Send,
        secretariat: Vec::new(),
        contact: None,
        supporting_members: Vec::new(),
        grace: Duration::ZERO,
        personal,
        footer: None,
        house: enlace::domain::house::HouseRules::default(),
        monthly_reminder: false,
        archive: enlace::domain::group::ArchiveAccess::Members,
        archive_keep: std::time::Duration::ZERO,
        aliases: Vec::new(),
        retired: false,
        parent_must_endorse: false,
        meetings: enlace::domain::meeting::OwnLeadTimes::default(),
    }
}

pub fn account(number: u64) -> Account {
    Account {
        id: AccountId(number),
        addresses: vec![format!("reader{number:06}@example.org").parse().unwrap()],
        name: format!("Reader {number}"),
        kind: AccountKind::Ties,
        category: Category::MemberState,
        organisation: "Example Administration".into(),
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
    pub async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let world = Self::open(folder.path()).await;
        Self { _folder: Some(folder), ..world }
    }

    /// The world in that folder.
    pub async fn open(folder: &std::path::Path) -> Self {
        let options = StoreOptions::Sled { data_dir: folder.to_owned(), options: SledOptions::default() };
        let store = enlace::store::open(options).await.unwrap();
        // Looks often, so that a test that moves the clock does not wait for the next look.
        let settings = Settings { look_every: Duration::from_millis(20), ..Settings::default() };
        Self { store, clock: Clock::manual(start_time()), settings, _folder: None, next_post: AtomicU64::new(1) }
    }

    /// A group whose subscribers are the accounts of `numbers`.
    pub async fn group(&self, group: Group, numbers: std::ops::Range<u64>) {
        let code = group.code.clone();
        self.store.put_groups(vec![group]).await.unwrap();
        self.subscribe(&code, numbers).await;
    }

    pub async fn subscribe(&self, code: &GroupCode, numbers: std::ops::Range<u64>) {
        let accounts: Vec<_> = numbers.clone().map(account).collect();
        let subscriptions = numbers.map(|number| Subscription::new(code.clone(), AccountId(number), Provenance::Import, start_time()));
        self.store.put_accounts(accounts).await.unwrap();
        self.store.put_subscriptions(subscriptions.collect()).await.unwrap();
    }

    /// A discussion post of the usual form.
    pub async fn post(&self, groups: &[&str], body: &[u8]) -> PostId {
        self.keep(groups, PostKind::Discussion, None, Audience::Subscribers, body).await
    }

    pub async fn keep(&self, groups: &[&str], kind: PostKind, message_id: Option<&str>, audience: Audience, body: &[u8]) -> PostId {
        let number = self.next_post.fetch_add(1, Ordering::SeqCst);
        let id = PostId(1000 + number);
        let message_id = message_id.map_or_else(|| format!("post{number}@example.org"), str::to_owned);
        let message =
            [format!("From: ana@example.org\r\nMessage-ID: <{message_id}>\r\nSubject: {number}\r\n\r\n").as_bytes(), body].concat();
        let body = self.store.put_body(BodySource::Bytes(Bytes::from(message))).await.unwrap();
        let post = Post {
            id,
            groups: groups.iter().map(|name| code(name)).collect(),
            kind,
            message_id,
            subject: number.to_string(),
            sender: None,
            author: None,
            received_at: self.clock.now(),
            not_before: self.clock.now(),
            editions: vec![Edition { language: None, body }],
            audience,
            state: PostState::Accepted,
            arrival: Arrival::default(),
            origin: String::new(),
        };
        match self.store.keep_post(post, Vec::new()).await.unwrap() {
            Kept::New(id) => id.get(),
            Kept::Repeated(_) => panic!("a post of this test was there before"),
        }
    }

    pub async fn deliver_to(&self, address: std::net::SocketAddr) -> Delivery {
        let mut options = RelayOptions::plain(address.ip().to_string(), address.port(), "lists.example.org");
        options.timeouts.command = Duration::from_secs(20);
        options.timeouts.dot = Duration::from_secs(20);
        self.deliver(Arc::new(SmtpRelay::new(options))).await
    }

    pub async fn deliver(&self, relay: Arc<dyn Relay>) -> Delivery {
        let (config, texts) = (Arc::new(Config::default()), Arc::new(Texts::load(None).unwrap()));
        let services = Arc::new(Services::new(Arc::clone(&self.store), config, texts, self.clock.clone()).await.unwrap());
        Delivery::start(Parts {
            services,
            relay,
            service: Service { domain: "lists.example.org".into(), base_url: "http://lists.example.org".into() },
            keys: Keys::new(&[7; 32]),
            timezone: chrono_tz::Tz::UTC,
            settings: self.settings.clone(),
        })
    }

    pub async fn counts(&self, post: PostId) -> Counts {
        self.store.counts(post).await.unwrap()
    }

    pub async fn is_done(&self, post: PostId) -> bool {
        self.store.post(post).await.unwrap().unwrap().state == PostState::Done
    }

    /// Every recipient of the post, in the order of the plan.
    pub async fn rows(&self, post: PostId) -> Vec<RecipientRecord> {
        let mut rows = Vec::new();
        for number in 0..self.store.batch_count(post).await.unwrap() {
            rows.extend(self.store.batch(BatchKey { post, number }).await.unwrap());
        }
        rows
    }
}

/// Waits until `condition` gives something; fails the test after a minute.
pub async fn until<T, F: Future<Output = Option<T>>>(what: &str, mut condition: impl FnMut() -> F) -> T {
    let wait = async {
        loop {
            if let Some(found) = condition().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), wait).await.unwrap_or_else(|_| panic!("not within a minute: {what}"))
}

/// Waits until the post is done.
pub async fn until_done(world: &World, post: PostId) {
    until("the post is done", || async { world.is_done(post).await.then_some(()) }).await;
}
