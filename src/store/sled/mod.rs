//! The embedded store: nothing to install, one process.
//!
//! Who holds what: `log` is the truth of the last minutes, sled (`database`, `rows`, `pages`, `keys`) the index of all,
//! `bodies` the bytes; `ledger` is what is open, in memory; `committer` is the only thread that writes; `space` and
//! `faults` are the disk as it may be. The other files implement the trait, noun by noun.
//! The surprise: sled is never relied on for durability, it is brought up to the log at each start (see `log`).
//! Folders in the data folder: `sled`, `ledger` (log), `bodies`, `incoming`; files `ballast`, `store.lock` and `store.form` (`form`).

mod accounts;
mod batches;
mod committer;
mod database;
mod erasure;
mod faults;
mod form;
mod groups;
mod keys;
mod ledger;
mod log;
mod marks;
mod pages;
mod posts;
mod registers;
mod rows;
mod space;
mod subscriptions;
mod transfer;
mod writer;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread::JoinHandle;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tokio::sync::{oneshot, watch};

pub use self::faults::Faults;
pub use self::form::WayBack;
pub(super) use self::form::go_back;

use self::committer::{Answer, Committer, Order, Verb};
use self::database::Database;
use self::ledger::Ledger;
use self::rows::Reader;
use self::space::Disk;
use self::writer::Writer;
use super::bell::Bell;
use super::body::{Bodies, io_error, make_folder};
use super::lock::take_lock;
use super::{Result, Store, StoreError, record};

/// How the embedded store is run.
#[derive(Debug, Clone)]
pub struct SledOptions {
    /// Memory for pages of the database, 32 MiB by default.
    pub cache_octets: u64,
    /// With less free than this no mail is taken. By default one part in a hundred of the disk or 200 MiB, whichever is more,
    /// but at most one part in twenty.
    pub floor_octets: Option<u64>,
    /// A log longer than this is folded into the database, 16 MiB by default.
    pub checkpoint_octets: u64,
    /// Faults on purpose, for tests.
    pub faults: Faults,
}

impl Default for SledOptions {
    fn default() -> Self {
        Self { cache_octets: 32 << 20, floor_octets: None, checkpoint_octets: 16 << 20, faults: Faults::default() }
    }
}

/// A verb that takes longer is told in the log.
const SLOW: std::time::Duration = std::time::Duration::from_secs(1);

/// The embedded store of one process.
#[derive(Debug)]
pub struct SledStore {
    shared: Arc<Shared>,
    orders: Mutex<Option<Sender<Order>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What readers and the committer share.
pub(super) struct Shared {
    root: PathBuf,
    options: SledOptions,
    bodies: Bodies,
    disk: Disk,
    /// `None` while it is opened anew, and once it is closed.
    database: RwLock<Option<Database>>,
    ledger: Mutex<Ledger>,
    bell: Bell,
    condition: Mutex<Result<()>>,
    room: Mutex<Result<()>>,
    /// The latest instant any caller passed, in nanoseconds: counters are dated with it.
    seen: AtomicI64,
    /// Snapshots that somebody reads: pieces that their rows name must stay.
    snapshots: AtomicUsize,
    lock_file: File,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("root", &self.root).finish_non_exhaustive()
    }
}

/// A panic of another thread does not make the value wrong: it is only replaced whole or changed by the committer.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    fn condition(&self) -> Result<()> {
        lock(&self.condition).clone()
    }

    fn set_condition(&self, condition: Result<()>) {
        *lock(&self.condition) = condition;
    }

    /// Looks whether there is room to take mail.
    fn measure_room(&self) {
        *lock(&self.room) = self.disk.check();
    }

    /// May mail be taken?
    fn accepts(&self) -> Result<()> {
        self.condition()?;
        lock(&self.room).clone()
    }

    fn with_database<R>(&self, read: impl FnOnce(&Database) -> Result<R>) -> Result<R> {
        let guard = self.database.read().unwrap_or_else(PoisonError::into_inner);
        match guard.as_ref() {
            Some(database) => read(database),
            None => Err(self.condition().err().unwrap_or_else(|| StoreError::Unavailable("the store is being opened anew".into()))),
        }
    }

    fn see(&self, now: DateTime<Utc>) {
        self.seen.fetch_max(record::nanoseconds(now), Ordering::Relaxed);
    }

    fn unlock(&self) {
        let _ = self.lock_file.unlock();
    }
}

/// Moves a closed store into a folder beside the new one.
pub(super) fn set_aside(root: &Path) -> Result<PathBuf> {
    let lock = take_lock(root)?;
    let aside = move_aside(root)?;
    let _ = lock.unlock();
    Ok(aside)
}

/// The same by who has the lock.
fn move_aside(root: &Path) -> Result<PathBuf> {
    let number = (1..u32::MAX).find(|number| !root.join(format!("before-restore-{number}")).exists()).unwrap_or(1);
    let aside = root.join(format!("before-restore-{number}"));
    make_folder(&aside)?;
    for name in ["sled", "ledger", "bodies", "store.form"] {
        let path = root.join(name);
        if path.exists() {
            std::fs::rename(&path, aside.join(name)).map_err(|e| io_error("moving", &path, &e))?;
        }
    }
    Ok(aside)
}

impl SledStore {
    /// Opens the store in `root`, creating what is missing. Blocks: up to some seconds after a crash of a large store.
    ///
    /// # Errors
    /// At once if another process has it. `Damaged` if something that was on disk is gone or unreadable, with the remedy.
    pub fn open(root: &Path, options: SledOptions) -> Result<Arc<Self>> {
        make_folder(root)?;
        let lock_file = take_lock(root)?;
        form::bring(root)?;
        let shared = Arc::new(Shared {
            root: root.to_owned(),
            bodies: Bodies::open(root)?,
            disk: Disk::new(root, options.floor_octets)?,
            options,
            database: RwLock::new(None),
            ledger: Mutex::default(),
            bell: Bell::default(),
            condition: Mutex::new(Ok(())),
            room: Mutex::new(Ok(())),
            seen: AtomicI64::new(0),
            snapshots: AtomicUsize::new(0),
            lock_file,
        });
        let opened = match committer::open(&shared) {
            Err(StoreError::Full(_)) => {
                // A full disk must not keep a restarted service from saying so: the ballast makes room for the opening alone.
                shared.disk.drop_ballast();
                committer::open(&shared)?
            }
            other => other?,
        };
        *shared.database.write().unwrap_or_else(PoisonError::into_inner) = Some(opened.database);
        *lock(&shared.ledger) = opened.ledger;
        shared.disk.take_ballast();
        shared.measure_room();
        let (sender, orders) = channel();
        let committer = Committer::new(shared.clone(), opened.log);
        let thread = std::thread::Builder::new()
            .name("store".into())
            .spawn(move || committer.run(&orders))
            .map_err(|e| io_error("starting the writer of", root, &e))?;
        Ok(Arc::new(Self { shared, orders: Mutex::new(Some(sender)), thread: Mutex::new(Some(thread)) }))
    }

    fn send(&self, order: Order) -> Result<()> {
        let closed = || self.shared.condition().err().unwrap_or_else(|| StoreError::Unavailable("the store is closed".into()));
        lock(&self.orders).as_ref().ok_or_else(closed)?.send(order).map_err(|_| closed())
    }

    /// Runs a changing verb, and answers when it is on disk.
    async fn change<R, F>(&self, verb: F) -> Result<R>
    where
        R: Send + 'static,
        F: FnOnce(&mut Writer<'_>) -> Result<R> + Send + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        let verb: Verb = Box::new(move |writer| {
            let result = verb(writer);
            let failed = result.is_err();
            let answer: Answer = Box::new(move |committed| {
                let _ = sender.send(committed.and(result));
            });
            (answer, failed)
        });
        let began = std::time::Instant::now();
        self.send(Order::Run(verb))?;
        let answer = receiver.await;
        if began.elapsed() > SLOW {
            tracing::warn!(milliseconds = began.elapsed().as_millis(), verb = std::any::type_name::<F>(), "The store was slow");
        }
        match answer {
            Ok(result) => result,
            Err(_) => Err(self
                .shared
                .condition()
                .err()
                .unwrap_or_else(|| StoreError::Unavailable("the store could not do it: see the log".into()))),
        }
    }

    /// Reads rows on a thread that may block.
    async fn read<R, F>(&self, read: F) -> Result<R>
    where
        R: Send + 'static,
        F: FnOnce(Reader<'_>, &Shared) -> Result<R> + Send + 'static,
    {
        self.blocking(move |shared| shared.with_database(|database| read(Reader { tree: &database.sled, bodies: &shared.bodies }, shared)))
            .await
    }

    async fn blocking<R, F>(&self, work: F) -> Result<R>
    where
        R: Send + 'static,
        F: FnOnce(&Shared) -> Result<R> + Send + 'static,
    {
        let shared = self.shared.clone();
        match tokio::task::spawn_blocking(move || work(&shared)).await {
            Ok(result) => result,
            Err(e) => Err(record::damaged("the database", &e.to_string())),
        }
    }
}

impl Drop for SledStore {
    fn drop(&mut self) {
        // Without a sender the committer writes everything out and ends; the folder is free when this returns.
        lock(&self.orders).take();
        if let Some(thread) = lock(&self.thread).take() {
            let _ = thread.join();
        }
    }
}

#[async_trait]
impl Store for SledStore {
    fn bell(&self) -> watch::Receiver<u64> {
        self.shared.bell.listen()
    }

    async fn health(&self) -> Result<()> {
        self.blocking(|shared| {
            shared.condition()?;
            shared.measure_room();
            shared.accepts()
        })
        .await
    }

    async fn close(&self) -> Result<()> {
        let (sender, receiver) = oneshot::channel();
        let answer: Answer = Box::new(move |closed| {
            let _ = sender.send(closed);
        });
        if self.send(Order::Close(answer)).is_err() {
            return Ok(());
        }
        lock(&self.orders).take();
        receiver.await.unwrap_or(Ok(()))
    }
}
