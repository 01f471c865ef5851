//! Arguments to the command line or to the daemon; the exit status.

mod demo;

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use clap::Parser;
use enlace::cli;
use enlace::cli::arguments::{Arguments, Command, Serve};
use enlace::cli::control::Handler;
use enlace::cli::execute::Executor;
use enlace::cli::report::{Answer, Failure, Report};
use enlace::cli::run::{self, NotOpened, Opener};
use enlace::clock::Clock;
use enlace::config::Config;
use enlace::serve::{self, Opened};
use enlace::store::StoreError;
use sd_notify::NotifyState;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Mutex;
use tracing_subscriber::{EnvFilter, reload};

/// The C library's allocator keeps what each of its arenas once held: with an index written beside sessions, that came to twice
/// the memory of what `tests/trust/crowd.rs` allows.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// A second signal that comes within this time belongs to the first.
const HURRY_AFTER: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Some(answer) = run::without_store(arguments.command.as_ref(), arguments.json) {
        return print(&answer.output, &answer.errors, answer.status);
    }
    let daemon = matches!(arguments.command, None | Some(Command::Serve(_)));
    let set_level = log(daemon);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return print("", &format!("enlace: the system gives no threads: {error}\n"), 1),
    };
    runtime.block_on(carry_out(arguments, set_level))
}

/// Sets what is logged from now on, in the form of `service.log`.
type SetLevel = Box<dyn Fn(&str)>;

/// Logs go to standard error: all of the daemon's, only warnings of a command. `RUST_LOG` says otherwise and stays,
/// `ENLACE_LOG_FORMAT=json` makes them lines of JSON.
fn log(daemon: bool) -> SetLevel {
    let default = if daemon { "info" } else { "warn" };
    let given = EnvFilter::try_from_default_env().ok();
    let fixed = given.is_some() || !daemon;
    let builder = tracing_subscriber::fmt().with_env_filter(given.unwrap_or_else(|| default.into())).with_writer(std::io::stderr);
    if std::env::var("ENLACE_LOG_FORMAT").is_ok_and(|format| format == "json") {
        let builder = builder.json().with_filter_reloading();
        let handle = builder.reload_handle();
        builder.init();
        set_level(handle, fixed)
    } else {
        let builder = builder.with_ansi(std::io::stderr().is_terminal()).with_target(false).with_filter_reloading();
        let handle = builder.reload_handle();
        builder.init();
        set_level(handle, fixed)
    }
}

fn set_level<S: 'static>(handle: reload::Handle<EnvFilter, S>, fixed: bool) -> SetLevel {
    Box::new(move |level| {
        if !fixed && let Ok(filter) = EnvFilter::try_new(level) {
            // A filter that cannot be replaced any more belongs to a process that ends.
            let _ = handle.reload(filter);
        }
    })
}

async fn carry_out(arguments: Arguments, set_level: SetLevel) -> ExitCode {
    if let Some(Command::Demo(options)) = &arguments.command {
        return end(demo::run(options.once).await);
    }
    let config = match Config::load(arguments.config.as_deref(), std::env::vars()) {
        Ok(config) => Arc::new(config),
        Err(error) => return print("", &format!("enlace: {error}\n"), 1),
    };
    match &arguments.command {
        None => end(daemon(config, &Serve::default(), arguments.config.as_deref(), &set_level).await),
        Some(Command::Serve(options)) => end(daemon(config, options, arguments.config.as_deref(), &set_level).await),
        Some(command @ (Command::Store(_) | Command::Restore(_))) => {
            let answer = Answer::of(store_command(&config, command).await, arguments.json);
            print(&answer.output, &answer.errors, answer.status)
        }
        Some(_) => {
            let opener = Process { config: Arc::clone(&config), opened: Mutex::new(None) };
            let words = absolute(&arguments, std::env::args().collect());
            let answer = run::carry_out(&arguments, words, &config.service.data_dir, &opener).await;
            ExitCode::from(run::print(&answer))
        }
    }
}

/// Commands that have the store for themselves.
async fn store_command(config: &Config, command: &Command) -> Result<Report, Failure> {
    use cli::arguments::Store;
    let clock = Clock::system();
    let store = serve::store_options(config, &clock);
    let named = |text: &String| serve::store_named(text, config, &clock).map_err(Failure::usage);
    match command {
        Command::Store(Store::Back { change }) => cli::store::back(&store, change.dry_run).await,
        Command::Store(Store::Migrate { change }) => cli::store::migrate(&store, change.dry_run).await,
        Command::Store(Store::Copy { to, from, change }) => {
            let from = from.as_ref().map(named).transpose()?.unwrap_or(store);
            cli::backup::copy(&from, &named(to)?, change.dry_run).await
        }
        Command::Restore(asked) => {
            let (file, bases, force) = (asked.file.as_path(), asked.base.as_slice(), asked.force);
            cli::backup::restore(&store, &cli::backup::Restore { file, bases, force, dry_run: asked.change.dry_run }).await
        }
        _ => Err(Failure::usage("this command is one for the daemon")),
    }
}

/// Files that the daemon is to write are named from the root: it may stand in another folder.
fn absolute(arguments: &Arguments, mut words: Vec<String>) -> Vec<String> {
    if let Some(Command::Backup(asked)) = &arguments.command {
        for path in std::iter::once(&asked.file).chain(&asked.base) {
            let (Some(text), Ok(whole)) = (path.to_str(), std::path::absolute(path)) else { continue };
            for word in &mut words {
                if word == text {
                    *word = whole.to_string_lossy().into_owned();
                } else if word.strip_prefix("--base=") == Some(text) {
                    *word = format!("--base={}", whole.display());
                }
            }
        }
    }
    words
}

fn end(result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => print("", &format!("enlace: {error:#}\n"), 1),
    }
}

fn print(output: &str, errors: &str, status: u8) -> ExitCode {
    // A closed pipe is the reader's choice, not a failure.
    let _ = std::io::stdout().write_all(output.as_bytes());
    let _ = std::io::stderr().write_all(errors.as_bytes());
    ExitCode::from(status)
}

/// Runs until SIGTERM or SIGINT; a second one ends it at once.
async fn daemon(config: Arc<Config>, options: &Serve, file: Option<&Path>, set_level: &SetLevel) -> anyhow::Result<()> {
    set_level(&config.service.log);
    let clock = match &options.clock {
        None => Clock::system(),
        Some(text) => Clock::starting_at(
            DateTime::parse_from_rfc3339(text)
                .with_context(|| format!("--clock {text:?} is not an instant such as 2027-01-15T08:00:00Z"))?
                .with_timezone(&Utc),
        ),
    };
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let running = serve::start(config, clock).await?;
    for (name, address) in &running.listeners {
        let scheme = if name == "web" { "http://" } else { "" };
        println!("listening {name} {scheme}{address}");
    }
    std::io::stdout().flush()?;
    tell(&[NotifyState::Ready]);
    let beat = sd_notify::watchdog_enabled().map_or(Duration::from_hours(1), |limit| limit / 3);
    let mut beats = tokio::time::interval(beat);
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hangup.recv() => reload(&running, file, set_level).await,
            // A store that is away mends itself; only a process that answers nothing at all is started again.
            _ = beats.tick() => {
                let _ = tokio::time::timeout(beat, running.health()).await;
                tell(&[NotifyState::Watchdog]);
            }
        }
    }
    tell(&[NotifyState::Stopping]);
    tracing::info!("Stopping");
    let stop = running.stop();
    tokio::pin!(stop);
    // Some send the first signal twice, to the process and to its group: that is no hurry yet.
    if let Ok(result) = tokio::time::timeout(HURRY_AFTER, &mut stop).await {
        return result;
    }
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        result = stop => result,
        _ = terminate.recv() => anyhow::bail!("ended by a second signal; what was accepted is on disk"),
        _ = interrupt.recv() => anyhow::bail!("ended by a second signal; what was accepted is on disk"),
    }
}

/// Tells systemd, if it asked to be told.
fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "Could not tell the service manager");
    }
}

/// SIGHUP: configuration, templates, pages, groups and keys are read again; certificates are renewed by themselves; nobody is
/// disconnected. What is wrong is said, and what was there goes on.
async fn reload(running: &serve::Running, file: Option<&Path>, set_level: &SetLevel) {
    tracing::info!("Reading the configuration again");
    let began = NotifyState::monotonic_usec_now();
    if let Ok(began) = began {
        tell(&[NotifyState::Reloading, began]);
    }
    let read = match Config::load(file, std::env::vars()) {
        Ok(config) => Some(config),
        Err(error) => {
            tracing::error!(%error, "The configuration stays as it was");
            None
        }
    };
    let (waiting, failed) = running.reload(read).await;
    for error in &failed {
        tracing::error!(error = format!("{error:#}"), "What was there before stays");
    }
    if !waiting.is_empty() {
        tracing::warn!(keys = waiting.join(", "), "These keys changed and wait for the next start");
    }
    set_level(&running.services.config.service.log);
    tracing::info!("Read the configuration again");
    tell(&[NotifyState::Ready]);
}

/// Opens the store in this process when no daemon answers.
struct Process {
    config: Arc<Config>,
    opened: Mutex<Option<Opened>>,
}

#[async_trait]
impl Opener for Process {
    async fn open(&self) -> Result<Arc<dyn Handler>, NotOpened> {
        let opened = serve::open(Arc::clone(&self.config), Clock::system()).await.map_err(|error| {
            let failure = Failure::new(format!("{error:#}"), "");
            match error.downcast_ref::<StoreError>() {
                Some(StoreError::InUse(_)) => NotOpened::Busy(failure),
                _ => NotOpened::Broken(failure),
            }
        })?;
        let handler = Arc::new(Executor::new(Arc::clone(&opened.services)));
        *self.opened.lock().await = Some(opened);
        Ok(handler)
    }

    async fn close(&self) -> Result<(), Failure> {
        match self.opened.lock().await.take() {
            Some(opened) => opened.store.close().await.map_err(|error| Failure::new(error, "")),
            None => Ok(()),
        }
    }
}
