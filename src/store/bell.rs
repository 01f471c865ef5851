//! Wakes sleepers: a number that changes whenever something may be due.
//!
//! Only a bell: it carries nothing, may be lost, and is rung after the rows are on disk.

use tokio::sync::watch;

/// One bell for all sleepers of a store.
#[derive(Debug)]
pub struct Bell(watch::Sender<u64>);

impl Default for Bell {
    fn default() -> Self {
        Self(watch::channel(0).0)
    }
}

impl Bell {
    /// Wakes everyone who listens.
    pub fn ring(&self) {
        self.0.send_modify(|rings| *rings = rings.wrapping_add(1));
    }

    /// A listener that hears every ring from now on.
    pub fn listen(&self) -> watch::Receiver<u64> {
        self.0.subscribe()
    }
}
