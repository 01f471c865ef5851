//! A message that ends the process is set aside after its second time, so that everybody else is served (RELIABILITY P16).
//!
//! Reading and rendering are work on the processor alone: while they last, a slot on disk names the message ([`Slots`]). What stands
//! there when the process dies is suspected. A suspect is then worked on while nothing else is, so that only the guilty one can
//! be there at a second death; what ends well is acquitted. Waiting, sending and writing never stand in a slot: who kills the
//! process from outside has to hit the same few milliseconds of the same message twice before a good one is held, and then it
//! is held and not lost. A panic is caught and is the failure of that one message.
//!
//! A post that is set aside is held with [`Rule::SetAside`]; released, it has its two tries again. A mail that was not accepted yet is
//! refused for good (554): unread it has no author and no proof, and its sender learns it from her own mail server.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use sha2::{Digest, Sha256};
use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

use super::{Failure, Services, moderate};
use crate::domain::id::PostId;
use crate::domain::reason::{Reason, Rule};
use crate::store::slots::Slots;

/// Deaths of the process over one message that are one too many.
pub const DEATHS: u32 = 2;
/// Stages in which a post is on its way out.
pub const RENDERING: &str = "rendering";
/// See [`RENDERING`].
pub const PLANNING: &str = "planning";
/// Octets at each end of a message that tell it from others.
const TOLD_OCTETS: usize = 64 * 1024;

/// What is worked on: a message at one stage of its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Work(String);

impl Work {
    /// Something that is done to a post, such as `rendering 0.0`. A stage that may pass before another one fails has a name of its own.
    pub fn on_post(post: PostId, stage: &str) -> Self {
        Self(format!("post {post} {stage}"))
    }

    /// Something that is done to a message that is not accepted yet; the same message is known again when its sender tries again.
    pub fn on_message(message: &[u8], octets: u64, stage: &str) -> Self {
        let mut hash = Sha256::new();
        hash.update(octets.to_be_bytes());
        hash.update(&message[..message.len().min(TOLD_OCTETS)]);
        hash.update(&message[message.len().saturating_sub(TOLD_OCTETS)..]);
        Self(format!("mail {} {stage}", data_encoding::HEXLOWER.encode(&hash.finalize()[..16])))
    }

    /// The post that must not go out if this kills; what only looks at a post that is out already stops no post.
    fn holds(text: &str) -> Option<PostId> {
        let (post, stage) = text.strip_prefix("post ")?.split_once(' ')?;
        (stage.starts_with(RENDERING) || stage.starts_with(PLANNING)).then(|| post.parse().ok()).flatten()
    }
}

/// Why something was not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// The process ended over it too often.
    #[error("the service ended {0} times over it, so it is left alone")]
    SetAside(u32),
    /// It panicked; says where.
    #[error("it could not be done: {0}")]
    Panicked(String),
}

impl From<Broken> for Failure {
    fn from(broken: Broken) -> Self {
        Self::Refused(Reason::new(Rule::Malformed, [broken.to_string()]))
    }
}

/// Who is at work, and whom that killed before. Without [`Quarantine::open`] (commands, tests) nothing is noted.
#[derive(Debug, Default)]
pub struct Quarantine {
    slots: OnceLock<Arc<Slots>>,
    /// Shared by all work, alone for a suspect.
    turn: Arc<RwLock<()>>,
}

/// Work in progress; dropped when it is over.
#[derive(Debug)]
pub struct AtWork {
    noted: Option<(Arc<Slots>, u32)>,
    /// Of a suspect.
    acquits: Option<Work>,
    _turn: Turn,
}

#[derive(Debug)]
enum Turn {
    Shared { _guard: OwnedRwLockReadGuard<()> },
    Alone { _guard: OwnedRwLockWriteGuard<()> },
}

impl Drop for AtWork {
    fn drop(&mut self) {
        let Some((slots, slot)) = self.noted.take() else { return };
        let ended = slots.end(slot).and_then(|()| self.acquits.take().map_or(Ok(()), |work| slots.forget(&work.0)));
        if let Err(error) = ended {
            tracing::warn!(%error, "The end of work on a message could not be noted");
        }
    }
}

impl Quarantine {
    /// Begins to note: the daemon's first step. Tells what the last process was at when it died.
    ///
    /// # Errors
    /// When the data folder cannot be written.
    pub fn open(&self, services: &Services) -> Result<Vec<String>, Failure> {
        let (slots, left) = Slots::open(&services.config.service.data_dir, services.now())?;
        let _ = self.slots.set(Arc::new(slots));
        Ok(left)
    }

    /// How often the process died over `work`, if that is too often.
    pub fn is_set_aside(&self, work: &Work) -> Option<u32> {
        let deaths = self.slots.get()?.deaths(&work.0)?;
        (deaths.count >= DEATHS).then_some(deaths.count)
    }

    /// What is left alone because the process ended over it too often, as `data_dir/handling/deaths` has it; only the daemon knows.
    pub fn left_alone(&self) -> Vec<String> {
        let all = self.slots.get().map(|slots| slots.all()).unwrap_or_default();
        all.into_iter().filter(|(_, deaths)| deaths.count >= DEATHS).map(|(work, _)| work).collect()
    }

    /// Notes that `work` on `octets` begins; it lasts until the answer is dropped. For work on the processor only, and never
    /// within other work: a suspect waits until nothing else is in a slot.
    ///
    /// # Errors
    /// [`Broken::SetAside`] if it killed the process too often.
    pub async fn enter(&self, work: &Work, octets: &[u8]) -> Result<AtWork, Broken> {
        let Some(slots) = self.slots.get() else {
            let turn = Turn::Shared { _guard: Arc::clone(&self.turn).read_owned().await };
            return Ok(AtWork { noted: None, acquits: None, _turn: turn });
        };
        let deaths = slots.deaths(&work.0);
        let turn = match &deaths {
            Some(deaths) if deaths.count >= DEATHS => return Err(Broken::SetAside(deaths.count)),
            Some(_) => Turn::Alone { _guard: Arc::clone(&self.turn).write_owned().await },
            None => Turn::Shared { _guard: Arc::clone(&self.turn).read_owned().await },
        };
        let noted = match slots.begin(&work.0) {
            Ok(slot) => Some((Arc::clone(slots), slot)),
            Err(error) => {
                // A full disk must not stop what needs no disk.
                tracing::warn!(%error, "Work on a message could not be noted");
                None
            }
        };
        let at_work = AtWork { noted, acquits: deaths.map(|_| work.clone()), _turn: turn };
        fault(work, octets);
        Ok(at_work)
    }

    /// Does `work` on `octets` here and now, and survives its panic.
    ///
    /// # Errors
    /// See [`Broken`].
    pub async fn run<T>(&self, work: &Work, octets: &[u8], done: impl FnOnce() -> T) -> Result<T, Broken> {
        let at_work = self.enter(work, octets).await?;
        let done = catch_unwind(AssertUnwindSafe(|| {
            panicking_fault(work, octets);
            done()
        }));
        drop(at_work);
        done.map_err(|panic| panicked(&*panic))
    }

    /// The same on a thread where it holds up nobody.
    ///
    /// # Errors
    /// See [`Broken`].
    pub async fn run_aside<T: Send + 'static>(
        &self,
        work: &Work,
        octets: &[u8],
        done: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Broken> {
        let at_work = self.enter(work, octets).await?;
        let joined = tokio::task::spawn_blocking(move || {
            let done = done();
            drop(at_work);
            done
        });
        joined.await.map_err(|error| Broken::Panicked(error.to_string()))
    }
}

impl Quarantine {
    /// Looks at a post for somebody who reads it; nothing where that kills, or panics.
    pub async fn look<T: Send + 'static>(
        &self,
        post: PostId,
        stage: &str,
        bytes: &Bytes,
        looked: impl FnOnce(&Bytes) -> Option<T> + Send + 'static,
    ) -> Option<T> {
        let whole = bytes.clone();
        match self.run_aside(&Work::on_post(post, stage), bytes, move || looked(&whole)).await {
            Ok(found) => found,
            Err(broken) => {
                tracing::warn!(%post, stage, %broken, "A post cannot be looked at");
                None
            }
        }
    }
}

/// What a panic said, in one line.
fn panicked(panic: &(dyn Any + Send)) -> Broken {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string).or_else(|| panic.downcast_ref::<String>().cloned());
    Broken::Panicked(text.unwrap_or_else(|| "it broke down".to_owned()).replace(['\r', '\n'], " "))
}

/// Injected faults of tests: `ENLACE_TEST_FAULT=abort|panic:STAGE:TEXT` strikes at work of that stage on octets with that text.
/// A release has no such thing.
#[cfg(debug_assertions)]
fn strikes(kind: &str, work: &Work, octets: &[u8]) -> bool {
    let Ok(fault) = std::env::var("ENLACE_TEST_FAULT") else { return false };
    let mut parts = fault.splitn(3, ':');
    let (wanted, stage, text) = (parts.next(), parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    wanted == Some(kind) && work.0.contains(stage) && !text.is_empty() && memchr::memmem::find(octets, text.as_bytes()).is_some()
}

#[cfg(debug_assertions)]
fn fault(work: &Work, octets: &[u8]) {
    if strikes("abort", work, octets) {
        std::process::abort();
    }
}

#[cfg(debug_assertions)]
fn panicking_fault(work: &Work, octets: &[u8]) {
    assert!(!strikes("panic", work, octets), "an injected fault");
}

#[cfg(not(debug_assertions))]
fn fault(_work: &Work, _octets: &[u8]) {}

#[cfg(not(debug_assertions))]
fn panicking_fault(_work: &Work, _octets: &[u8]) {}

/// After the start, before anything is served: counts the deaths that were left behind, and holds posts that died twice.
///
/// # Errors
/// When the data folder or the store cannot be written.
pub async fn take_stock(services: &Services) -> Result<(), Failure> {
    for work in services.quarantine.open(services)? {
        tracing::warn!(work, "The service ended while it worked on this; it is tried once more, alone");
    }
    let Some(slots) = services.quarantine.slots.get() else { return Ok(()) };
    for (work, deaths) in slots.all().into_iter().filter(|(_, deaths)| deaths.count >= DEATHS) {
        let seen = deaths.last.format("%Y-%m-%d %H:%M UTC").to_string();
        let reason = Reason::new(Rule::SetAside, [deaths.count.to_string(), seen]);
        let is_held = match Work::holds(&work) {
            Some(post) => moderate::set_aside(services, post, reason).await?,
            None => false,
        };
        if is_held {
            // The store has it now. Whoever releases it gives it its tries again.
            slots.forget(&work)?;
        } else {
            tracing::error!(work, deaths = deaths.count, "The service ended too often over this; it is left alone");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn opened(folder: &std::path::Path) -> (Quarantine, Vec<String>) {
        let quarantine = Quarantine::default();
        let (slots, left) = Slots::open(folder, chrono::Utc::now()).unwrap();
        quarantine.slots.set(Arc::new(slots)).unwrap();
        (quarantine, left)
    }

    fn post(number: u64) -> Work {
        Work::on_post(PostId(number), "rendering 0.0")
    }

    #[tokio::test]
    async fn two_deaths_set_aside_and_an_innocent_neighbour_is_acquitted() {
        let folder = tempfile::tempdir().unwrap();
        for death in 0..2 {
            let (quarantine, left) = opened(folder.path());
            assert_eq!(left.len(), [0, 2][death]);
            assert!(quarantine.is_set_aside(&post(1)).is_none());
            // The neighbour was at work beside it at the first death; then it is worked on alone, and ends well.
            if death == 0 {
                std::mem::forget(quarantine.enter(&post(2), b"").await.unwrap());
            } else {
                quarantine.run(&post(2), b"", || ()).await.unwrap();
            }
            std::mem::forget(quarantine.enter(&post(1), b"").await.unwrap());
        }
        let (quarantine, _) = opened(folder.path());
        assert_eq!(quarantine.is_set_aside(&post(1)), Some(2));
        assert_eq!(quarantine.run(&post(1), b"", || ()).await, Err(Broken::SetAside(2)));
        assert_eq!(quarantine.is_set_aside(&post(2)), None);
        quarantine.run(&post(2), b"", || ()).await.unwrap();
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn a_suspect_is_worked_on_alone() {
        let folder = tempfile::tempdir().unwrap();
        let (quarantine, _) = opened(folder.path());
        std::mem::forget(quarantine.enter(&post(1), b"").await.unwrap());
        let (quarantine, _) = opened(folder.path());
        let quarantine = Arc::new(quarantine);
        let busy = Arc::new(AtomicUsize::new(0));
        let mut tasks = tokio::task::JoinSet::new();
        for number in 1..40 {
            let (quarantine, busy) = (Arc::clone(&quarantine), Arc::clone(&busy));
            tasks.spawn(async move {
                let at_work = quarantine.enter(&post(number), b"").await.unwrap();
                let beside = busy.fetch_add(1, Ordering::SeqCst);
                for _ in 0..20 {
                    tokio::task::yield_now().await;
                    assert!(number != 1 || busy.load(Ordering::SeqCst) == 1);
                }
                busy.fetch_sub(1, Ordering::SeqCst);
                drop(at_work);
                (number, beside)
            });
        }
        while let Some(ended) = tasks.join_next().await {
            let (number, beside) = ended.unwrap();
            assert!(number != 1 || beside == 0);
        }
    }

    #[tokio::test]
    async fn a_panic_is_a_failure_of_its_message_and_no_death() {
        let folder = tempfile::tempdir().unwrap();
        let (quarantine, _) = opened(folder.path());
        let failed: Result<(), Broken> = quarantine.run(&post(1), b"", || panic!("a\nb")).await;
        assert_eq!(failed, Err(Broken::Panicked("a b".into())));
        assert!(matches!(quarantine.run_aside(&post(1), b"", || panic!("c")).await, Err::<(), _>(Broken::Panicked(_))));
        assert!(opened(folder.path()).1.is_empty());
    }

    #[test]
    fn a_message_is_known_again_and_others_are_others() {
        let work = |message: &[u8]| Work::on_message(message, message.len() as u64, "header");
        assert_eq!(work(b"From: a\r\n\r\nb"), work(b"From: a\r\n\r\nb"));
        assert_ne!(work(b"From: a\r\n\r\nb"), work(b"From: a\r\n\r\nc"));
        let (mut one, mut other) = (vec![b'x'; 400_000], vec![b'x'; 400_000]);
        one[0] = b'1';
        other[399_999] = b'2';
        assert_ne!(work(&one), work(&other));
    }
}
