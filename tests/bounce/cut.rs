//! A death at any instant while a report is carried out: the same report, offered again, does what is missing. On both stores.

use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use chrono::TimeDelta;
use enlace::clock::Clock;
use enlace::config::Config;
use enlace::directory::builtin;
use enlace::domain::account::{Account, AccountKind, Category};
use enlace::domain::bounce::BounceClass;
use enlace::domain::group::GroupCode;
use enlace::domain::id::{AccountId, PostId};
use enlace::domain::ledger::{PlannedRecipient, RecipientState};
use enlace::domain::post::{Arrival, Audience, Edition, Post, PostKind, PostState};
use enlace::domain::reason::{Reason, Rule};
use enlace::domain::subscription::{Provenance, Role, Subscription, SubscriptionState};
use enlace::mail::report::{Report, ReportKind, ReportedRecipient};
use enlace::mail::token::Verp;
use enlace::service::bounce::report;
use enlace::service::{Actor, Services, group};
use enlace::store::postgres::{PostgresOptions, Timing};
use enlace::store::sled::SledOptions;
use enlace::store::{self, BatchKey, BodySource, LedgerKey, Store, StoreOptions};
use enlace::text::Texts;

use super::database::Cluster;

const MANAGER: u64 = 1;
/// More instants than a report has.
const MOST_CUTS: u64 = 200;

fn code() -> GroupCode {
    "SG12RG-AMR".parse().unwrap()
}

/// What comes back, and of what.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Case {
    /// A probe: she is suspended.
    Probe,
    /// A post of the third day: a probe goes out.
    ThirdDay,
    /// "This is spam": she is out.
    Complaint,
}

struct World {
    store: Arc<dyn Store>,
    config: Arc<Config>,
    texts: Arc<Texts>,
    clock: Clock,
    _folder: tempfile::TempDir,
}

impl World {
    async fn new(on_postgres: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data_dir = folder.path().to_owned();
        let options = if on_postgres {
            let options = PostgresOptions { url: Cluster::shared().database(), connections: 4, timing: Timing::Caller };
            StoreOptions::Postgres { data_dir: data_dir.clone(), options }
        } else {
            StoreOptions::Sled { data_dir: data_dir.clone(), options: SledOptions { floor_octets: Some(0), ..SledOptions::default() } }
        };
        let store = store::open(options).await.unwrap();
        let mut config = Config::default();
        config.service.data_dir = data_dir;
        let clock = Clock::manual("2026-11-24T10:00:00Z".parse().unwrap());
        let world = Self { store, config: Arc::new(config), texts: Arc::new(Texts::load(None).unwrap()), clock, _folder: folder };
        let services = world.services().await;
        let groups = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("config/groups.toml")).unwrap();
        group::apply(&services, &Actor::command_line(), &groups, "config/groups.toml", false).await.unwrap();
        world.member(&services, MANAGER, Role::Manager).await;
        world
    }

    /// The service as after a start.
    async fn services(&self) -> Services {
        Services::new(Arc::clone(&self.store), Arc::clone(&self.config), Arc::clone(&self.texts), self.clock.clone()).await.unwrap()
    }

    async fn member(&self, services: &Services, number: u64, role: Role) -> Account {
        let account = Account {
            name: "A Member".into(),
            kind: AccountKind::Ties,
            category: Category::MemberState,
            country: Some(*b"MX"),
            ..builtin::blank(AccountId(number), vec![format!("m{number}@x{number}.test").parse().unwrap()])
        };
        services.store.put_accounts(vec![account.clone()]).await.unwrap();
        let subscription = Subscription { role, ..Subscription::new(code(), account.id, Provenance::Own, services.now()) };
        services.store.put_subscriptions(vec![subscription]).await.unwrap();
        account
    }

    /// A copy that was handed over to her.
    async fn copy(&self, services: &Services, to: &Account, origin: &str) -> Verp {
        let id = PostId::new(services.now(), services.chance());
        let body = services.store.put_body(BodySource::Bytes("Subject: x\r\n\r\ny\r\n".into())).await.unwrap();
        let post = Post {
            id,
            groups: vec![code()],
            kind: if origin.is_empty() { PostKind::Discussion } else { PostKind::Robot },
            message_id: format!("{id}@x.test"),
            subject: "x".into(),
            sender: None,
            author: None,
            received_at: services.now(),
            not_before: services.now(),
            editions: vec![Edition { language: None, body }],
            audience: Audience::Subscribers,
            state: PostState::Accepted,
            arrival: Arrival::default(),
            origin: origin.into(),
        };
        services.store.keep_post(post, Vec::new()).await.unwrap();
        let row = PlannedRecipient {
            address: to.address().to_string(),
            account: Some(to.id),
            group: 0,
            edition: 0,
            state: RecipientState::Planned,
            reason: Reason::new(Rule::Subscriber, ["AMR"]),
        };
        let batch = BatchKey { post: id, number: 0 };
        services.store.begin_plan(id).await.unwrap();
        services.store.add_batch(batch, vec![row]).await.unwrap();
        services.store.finish_plan(id, 1, services.now()).await.unwrap();
        let place = LedgerKey { batch, index: 0 };
        services.store.amend_recipient(place, RecipientState::Sent, services.now(), "250".into()).await.unwrap();
        Verp { post: id, batch: 0, index: 0 }
    }

    /// Robot mails of a template so far.
    async fn mails(&self, template: &str) -> usize {
        let posts = self.store.posts_of_group(&code(), None, 10_000).await.unwrap();
        posts.iter().filter(|post| post.origin == format!("robot:{template}")).count()
    }
}

/// Lets a piece of work wait so many times and then drops it, as a death does; `false` if it was done before.
async fn cut<T>(work: impl Future<Output = T>, after: u64) -> bool {
    let mut work = pin!(work);
    let mut waits = 0;
    std::future::poll_fn(|context| {
        if work.as_mut().poll(context).is_ready() {
            return Poll::Ready(false);
        }
        waits += 1;
        if waits > after { Poll::Ready(true) } else { Poll::Pending }
    })
    .await
}

async fn no_death_loses_what_follows(on_postgres: bool, case: Case) {
    let world = World::new(on_postgres).await;
    // How often the work waits differs from run to run: what is ready when it is asked for is not waited for.
    let (mut deaths, mut undisturbed) = (0, 0);
    for at in 0..MOST_CUTS {
        let services = world.services().await;
        let member = world.member(&services, 100 + at, Role::Member).await;
        let (kind, class) = match case {
            Case::Complaint => (ReportKind::Complaint, BounceClass::Complaint),
            Case::Probe | Case::ThirdDay => (ReportKind::Dsn, BounceClass::AddressDead),
        };
        let words = "550 5.1.1 user unknown".to_owned();
        let recipient = ReportedRecipient { address: member.address().to_string(), class, status: String::new(), diagnostic: words };
        let says = Report { kind, recipients: vec![recipient] };
        if case == Case::ThirdDay {
            for _ in 0..2 {
                let token = world.copy(&services, &member, "").await;
                assert!(report(&services, token, &says).await.unwrap());
                world.clock.advance(TimeDelta::days(1));
            }
        }
        let token = world.copy(&services, &member, if case == Case::Probe { "robot:probe" } else { "" }).await;
        let template = if case == Case::ThirdDay { "probe" } else { "member-lost" };
        let before = world.mails(template).await;
        let died = cut(report(&services, token, &says), at).await;
        deaths += u64::from(died);
        drop(services);

        let services = world.services().await;
        assert!(report(&services, token, &says).await.unwrap(), "{case:?}, death {at}");
        let subscription = world.store.subscription(&code(), member.id).await.unwrap().unwrap();
        let (entry, as_it_should) = match case {
            Case::Probe => ("bounce suspend", matches!(subscription.state, SubscriptionState::Suspended(_))),
            Case::ThirdDay => ("bounce probe", subscription.is_active()),
            Case::Complaint => ("complaint unsubscribe", matches!(subscription.state, SubscriptionState::Unsubscribed(_))),
        };
        assert!(as_it_should, "{case:?}, death {at}: {:?}", subscription.state);
        assert!(world.mails(template).await > before, "{case:?}, death {at}: no mail {template}");
        let trail = world.store.audit(None, 10).await.unwrap();
        let of_her = |text: &str| text.contains(member.address().as_str());
        assert!(trail.iter().any(|one| one.act == entry && of_her(&one.detail)), "{case:?}, death {at}: {trail:?}");
        if case == Case::ThirdDay {
            let row = enlace::service::bounce::list(&services, None).await.unwrap().into_iter().find(|row| of_her(&row.address)).unwrap();
            assert!(row.probed.is_some(), "{case:?}, death {at}");
        }
        // Once more: everything was done, so nothing is done.
        let mails = world.mails(template).await;
        assert!(report(&services, token, &says).await.unwrap());
        assert_eq!(world.mails(template).await, mails, "{case:?}, death {at}");
        world.clock.advance(TimeDelta::days(2));
        undisturbed = if died { 0 } else { undisturbed + 1 };
        if undisturbed == 3 {
            assert!(deaths > 0, "{case:?}: a report that writes has to wait");
            return;
        }
    }
    panic!("{case:?}: never done");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_death_while_a_report_is_carried_out_loses_nothing_of_what_follows() {
    for case in [Case::Probe, Case::ThirdDay, Case::Complaint] {
        no_death_loses_what_follows(false, case).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_death_while_a_report_is_carried_out_loses_nothing_on_postgresql_either() {
    for case in [Case::Probe, Case::ThirdDay, Case::Complaint] {
        no_death_loses_what_follows(true, case).await;
    }
}
