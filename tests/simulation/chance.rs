//! Chance from a seed: the same faults for the same seed.

use std::sync::{Arc, Mutex};

/// One stream of chance; clones share it.
#[derive(Clone)]
pub struct Chance(Arc<Mutex<u64>>);

impl Chance {
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x1234_5678_9abc_def0)))
    }

    /// SplitMix64.
    pub fn next(&self) -> u64 {
        let mut state = self.0.lock().unwrap();
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = *state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&self, limit: u64) -> u64 {
        self.next() % limit.max(1)
    }

    /// `true` in so many of a thousand cases.
    pub fn in_thousand(&self, times: u64) -> bool {
        self.below(1000) < times
    }

    /// An independent stream.
    pub fn fork(&self) -> Self {
        Self::new(self.next())
    }
}
