//! Puts the parts together: configuration, store, services, flows, listeners; takes them apart in the opposite order.
//!
//! Nothing but wiring: every line hands one part to another.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::cli::control::Control;
use crate::cli::execute::Executor;
use crate::clock::Clock;
use crate::config::{self, Backend, Config, Transport};
use crate::delivery::{self, Delivery};
use crate::ingest::Ingest;
use crate::measure;
use crate::schedule::jobs::Jobs;
use crate::schedule::{archive, digests, directory, liaisons, notices, outlook, reviews, tidy, webhooks};
use crate::service::{Services, backup, keyring, password, quarantine};
use crate::smtp::listener::{self, Listener, ListenerConfig};
use crate::smtp::relay::{DirectoryRelay, Relay, RelayOptions, RelayTls, SmtpRelay, Timeouts};
use crate::smtp::session::{Limits, Protocol};
use crate::store::postgres::{PostgresOptions, Timing};
use crate::store::sled::SledOptions;
use crate::store::{self, Store, StoreOptions};
use crate::text::Texts;
use crate::web::Site;

/// How often memory is looked at and the buffers of the histograms are emptied.
const MEASURE_EVERY: Duration = Duration::from_secs(5);

/// What a command of one process and the daemon have in common: an open store with the services over it.
pub struct Opened {
    /// The store, to be closed at the end.
    pub store: Arc<dyn Store>,
    /// The use cases.
    pub services: Arc<Services>,
}

/// Opens the store and puts the services over it.
///
/// # Errors
/// When a template or the store cannot be read; another process has the store.
pub async fn open(config: Arc<Config>, clock: Clock) -> Result<Opened> {
    let texts = Texts::load(config.service.templates.as_deref()).context("templates")?;
    let store = store::open(store_options(&config, &clock)).await?;
    if let Some(state) = backup::unfinished(store.as_ref()).await? {
        let what = state.split_whitespace().next().unwrap_or("copy");
        anyhow::bail!("a {what} into this store was stopped before its end: run the same `enlace` command again, it goes on");
    }
    let services = Services::new(Arc::clone(&store), config, Arc::new(texts), clock).await?;
    Ok(Opened { store, services: Arc::new(services) })
}

/// The store that the configuration names; leases are judged by `clock`'s shift.
pub fn store_options(config: &Config, clock: &Clock) -> StoreOptions {
    let data_dir = config.service.data_dir.clone();
    if let (Backend::Postgres, Some(url)) = (config.store.backend, &config.store.url) {
        let options = PostgresOptions {
            url: url.reveal().to_owned(),
            connections: config.store.connections,
            timing: Timing::Database(clock.shift()),
        };
        return StoreOptions::Postgres { data_dir, options };
    }
    StoreOptions::Sled {
        data_dir,
        options: SledOptions {
            cache_octets: config.store.cache.0,
            floor_octets: Some(config.limits.free_disk.0),
            ..SledOptions::default()
        },
    }
}

/// A store as a command names it: `sled:FOLDER`, `postgres://…`, or `url-file:FILE`.
///
/// # Errors
/// When it is none of these, or the file cannot be read.
pub fn store_named(text: &str, config: &Config, clock: &Clock) -> Result<StoreOptions> {
    if let Some(folder) = text.strip_prefix("sled:").filter(|folder| !folder.is_empty()) {
        let options = SledOptions { cache_octets: config.store.cache.0, ..SledOptions::default() };
        return Ok(StoreOptions::Sled { data_dir: folder.into(), options });
    }
    let url = match text.strip_prefix("url-file:") {
        Some(file) => std::fs::read_to_string(file).with_context(|| format!("could not read {file}"))?.trim().to_owned(),
        None => text.to_owned(),
    };
    anyhow::ensure!(
        url.starts_with("postgres://") || url.starts_with("postgresql://"),
        "{text:?} names no store: write sled:FOLDER, postgres://user@host/database, or url-file:FILE"
    );
    // A node of its own, which only copies.
    let data_dir = config.service.data_dir.join("transfer");
    let options = PostgresOptions { url, connections: config.store.connections, timing: Timing::Database(clock.shift()) };
    Ok(StoreOptions::Postgres { data_dir, options })
}

/// A running daemon.
pub struct Running {
    /// The use cases, for whoever runs the daemon in its own process.
    pub services: Arc<Services>,
    /// `lmtp 127.0.0.1:8024` and `web http://127.0.0.1:8025`, in the order of the configuration.
    pub listeners: Vec<(String, SocketAddr)>,
    store: Arc<dyn Store>,
    delivery: Delivery,
    site: Site,
    intake: CancellationToken,
    tasks: TaskTracker,
}

/// Starts everything; when it returns, every listener accepts.
///
/// # Errors
/// When a part cannot start: names it and the remedy.
pub async fn start(config: Arc<Config>, clock: Clock) -> Result<Running> {
    let Opened { store, services } = open(Arc::clone(&config), clock).await?;
    #[allow(clippy::cast_precision_loss)] // Seconds since 1970.
    measure::install(chrono::Utc::now().timestamp() as f64);
    quarantine::take_stock(&services).await.context("messages that ended the last process")?;
    let intake = CancellationToken::new();
    let tasks = TaskTracker::new();
    let mut listeners = Vec::new();

    let receiver = Arc::new(Ingest::new(Arc::clone(&services)));
    if config.listen.iter().any(|listen| listen.protocol == config::Protocol::Submission) {
        tokio::spawn(password::warm_up());
    }
    let mut bound: Vec<Listener> = Vec::new();
    for listen in &config.listen {
        let listener = listener::bind(listener_config(&config, listen))
            .await
            .with_context(|| format!("could not listen on {} ({})", listen.address, name(listen.protocol)))?;
        listeners.push((name(listen.protocol).to_owned(), listener.local_addr()?));
        bound.push(listener);
    }
    let web = TcpListener::bind(config.web.address).await.with_context(|| format!("could not listen on {} (web)", config.web.address))?;
    listeners.push(("web".to_owned(), web.local_addr()?));
    let control = Control::bind(&config.service.data_dir).context("control socket")?;

    let executor = Arc::new(Executor::new(Arc::clone(&services)));
    let site =
        Site::new(Arc::clone(&services)).context("page templates")?.with_login().context("oidc")?.with_api(Arc::clone(&executor) as _);
    let (stop, pages) = (intake.clone(), site.clone());
    tasks.spawn(async move { pages.serve(web, stop).await });
    tasks.spawn(keys_of_other_nodes(Arc::clone(&services), intake.clone()));
    let stop = intake.clone();
    tasks.spawn(async move { control.serve(executor, stop).await });
    for listener in bound {
        let (receiver, stop) = (Arc::clone(&receiver), intake.clone());
        tasks.spawn(async move { listener.serve(receiver, stop).await });
    }
    tasks.spawn(keep_measures(intake.clone()));
    tasks.spawn(notices::run(Arc::clone(&services), intake.clone()));
    tasks.spawn(archive::run(Arc::clone(&services), intake.clone()));
    if config.store.backend == Backend::Postgres {
        tasks.spawn(follow_groups(Arc::clone(&services), intake.clone()));
    }
    tasks.spawn(digests::run(Arc::clone(&services), intake.clone()));
    tasks.spawn(liaisons::run(Arc::clone(&services), intake.clone()));
    tasks.spawn(webhooks::run(Arc::clone(&services), intake.clone()));
    let mut work = vec![outlook::job(&services), digests::job(&services), archive::job(&services)];
    work.extend(tidy::jobs(&services));
    work.extend(directory::job(&services));
    work.extend(reviews::jobs(&services));
    work.extend(liaisons::jobs(&services));
    let jobs = Jobs::new(Arc::clone(&store), services.clock.clone(), config.service.timezone, work);
    let stop = intake.clone();
    tasks.spawn(async move { jobs.run(stop).await });
    tasks.close();
    let delivery = Delivery::start(delivery::Parts {
        services: Arc::clone(&services),
        relay: relay(&config)?,
        service: services.site.clone(),
        keys: services.keys.clone(),
        timezone: config.service.timezone,
        settings: delivery::Settings {
            connections: config.relay.connections,
            recipients_a_transaction: config.relay.recipients,
            retry_for: config.limits.retry_for.0,
            lease: config.store.lease.0,
            ..delivery::Settings::default()
        },
    });
    Ok(Running { services, listeners, store, delivery, site, intake, tasks })
}

/// Takes the keys that another node made (`enlace key rotate`).
async fn keys_of_other_nodes(services: Arc<Services>, stop: CancellationToken) {
    let often = std::time::Duration::from_secs(30);
    while tokio::time::timeout(often, stop.cancelled()).await.is_err() {
        if let Err(error) = keyring::reload(&services).await {
            tracing::warn!(%error, "The keys of the tokens could not be read again");
        }
    }
}

/// Empties the buffers of the histograms and looks at the memory, whether anybody asks for `/metrics` or not.
async fn keep_measures(stop: CancellationToken) {
    loop {
        measure::upkeep();
        if let Some(octets) = resident_octets() {
            measure::resident_memory(octets);
        }
        tokio::select! {
            () = tokio::time::sleep(MEASURE_EVERY) => {}
            () = stop.cancelled() => return,
        }
    }
}

/// Resident memory of this process, where the system tells it in `/proc`.
fn resident_octets() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let kibibytes: u64 = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.trim().split(' ').next()?.parse().ok()?;
    Some(kibibytes * 1024)
}

impl Running {
    /// Takes what it may of a configuration that was read again, and reads templates, pages, groups and the keys of the tokens again,
    /// without disturbing any session; listeners look at their certificates by themselves. What cannot be read stays as it was.
    /// Gives the keys of the configuration that wait for the next start, and what could not be read.
    pub async fn reload(&self, config: Option<Config>) -> (Vec<&'static str>, Vec<anyhow::Error>) {
        let (read, waiting) = match config {
            Some(config) => config.taken_over(&self.services.config),
            None => (Config::clone(&self.services.config), Vec::new()),
        };
        let mut failed = Vec::new();
        // Texts and pages first: a language is offered only when its words are there.
        let texts = Texts::load(read.service.templates.as_deref()).context("templates");
        match texts.and_then(|texts| self.site.reload(&read.service).context("page templates").map(|()| texts)) {
            Ok(texts) => {
                self.services.texts.replace(texts);
                self.services.config.replace(read);
            }
            Err(error) => failed.push(error),
        }
        failed.extend(self.services.reload_groups().await.err().map(|error| anyhow::Error::new(error).context("groups")));
        failed.extend(keyring::reload(&self.services).await.err().map(|error| anyhow::Error::new(error).context("keys of the tokens")));
        (waiting, failed)
    }

    /// Is the store able to keep mail?
    ///
    /// # Errors
    /// Says what is wrong.
    pub async fn health(&self) -> Result<()> {
        Ok(self.store.health().await?)
    }

    /// Stops accepting, lets open transactions finish, hands over nothing new, writes everything out.
    ///
    /// # Errors
    /// When the store cannot be closed.
    pub async fn stop(self) -> Result<()> {
        self.intake.cancel();
        self.tasks.wait().await;
        self.delivery.stop().await;
        self.store.close().await?;
        Ok(())
    }
}

/// Groups are kept in memory; another node may have changed them.
async fn follow_groups(services: Arc<Services>, stop: CancellationToken) {
    const PAUSE: std::time::Duration = std::time::Duration::from_secs(1);
    let mut bell = services.store.bell();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            rung = bell.changed() => if rung.is_err() { return },
        }
        if let Err(error) = services.reload_groups().await {
            tracing::warn!(%error, "could not read the groups again");
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
}

fn name(protocol: config::Protocol) -> &'static str {
    match protocol {
        config::Protocol::Lmtp => "lmtp",
        config::Protocol::Smtp => "smtp",
        config::Protocol::Submission => "submission",
    }
}

fn listener_config(config: &Config, listen: &config::Listen) -> ListenerConfig {
    let limits = &config.limits;
    ListenerConfig {
        protocol: match listen.protocol {
            config::Protocol::Lmtp => Protocol::Lmtp,
            config::Protocol::Smtp => Protocol::Smtp,
            config::Protocol::Submission => Protocol::Submission,
        },
        address: listen.address,
        hostname: config.service.domain.clone(),
        domain: config.service.domain.clone(),
        trusted_networks: listen.trusted_networks.iter().filter_map(|network| network.to_string().parse().ok()).collect(),
        xforward: listen.xforward,
        tls: listen.tls.as_ref().map(|tls| listener::TlsFiles {
            certificate: tls.certificate.clone(),
            key: tls.key.clone(),
            implicit: tls.implicit,
        }),
        limits: Limits {
            message_octets: limits.message_size.0,
            recipients: limits.recipients,
            header_octets: usize::try_from(limits.header_size.0).unwrap_or(usize::MAX),
            header_fields: limits.header_fields,
            mime_depth: limits.mime_depth,
            mime_parts: limits.mime_parts,
            errors: limits.session_errors,
            commands: limits.session_commands,
            ..Limits::default()
        },
        patience: listener::Patience {
            greeting: limits.greeting_timeout.0,
            command: limits.command_timeout.0,
            data: limits.data_timeout.0,
            sessions: limits.sessions,
            sessions_trusted_network: limits.sessions_trusted_network,
            sessions_network: limits.sessions_network,
            ..listener::Patience::default()
        },
    }
}

/// The way out that the configuration names.
///
/// # Errors
/// When a user name stands without a password.
pub fn relay(config: &Config) -> Result<Arc<dyn Relay>> {
    let relay = &config.relay;
    Ok(match relay.transport {
        Transport::Directory => Arc::new(DirectoryRelay::new(outbox(&config.service.data_dir))),
        Transport::Smtp => Arc::new(SmtpRelay::new(RelayOptions {
            tls: match relay.tls {
                config::RelayTls::None => RelayTls::None,
                config::RelayTls::Starttls => RelayTls::Starttls,
                config::RelayTls::Implicit => RelayTls::Implicit,
            },
            credentials: relay
                .username
                .clone()
                .map(|user| {
                    Ok::<_, anyhow::Error>((
                        user,
                        relay.password.as_ref().context("relay.username needs relay.password_file")?.reveal().to_owned(),
                    ))
                })
                .transpose()?,
            timeouts: Timeouts { command: relay.timeout.0, ..Timeouts::default() },
            ..RelayOptions::plain(relay.host.clone(), relay.port, config.service.domain.clone())
        })),
    })
}

/// Where the `directory` transport puts copies.
pub fn outbox(data_dir: &Path) -> std::path::PathBuf {
    data_dir.join("outbox")
}
