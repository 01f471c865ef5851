//! How often one network may ask for sign-in links: counted in memory, in windows, forgotten with them.
//!
//! Guards the mailboxes of others; what one mailbox gets in an hour is limited by the service besides.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Mutex;

use chrono::{DateTime, Utc};

/// Length of a window in seconds.
pub const WINDOW_SECONDS: i64 = 600;
/// Most attempts of one network in a window.
pub const ATTEMPTS: u32 = 30;
/// Most networks that are counted at a time; past it, all are refused until the window ends.
const NETWORKS: usize = 100_000;

/// The counts of the present window.
#[derive(Debug, Default)]
pub struct Attempts {
    counts: Mutex<(i64, HashMap<IpAddr, u32>)>,
}

impl Attempts {
    /// Counts one attempt; `false` when it is one too many.
    pub fn allow(&self, client: Option<IpAddr>, now: DateTime<Utc>) -> bool {
        let Some(client) = client else { return true };
        let window = now.timestamp() / WINDOW_SECONDS;
        let mut counts = self.counts.lock().expect("nothing panics while it holds the lock");
        if counts.0 != window {
            *counts = (window, HashMap::new());
        }
        let network = network(client);
        if counts.1.len() >= NETWORKS && !counts.1.contains_key(&network) {
            return false;
        }
        let count = counts.1.entry(network).or_default();
        *count += 1;
        *count <= ATTEMPTS
    }
}

/// The network that one person can be expected to have: an IPv4 address, an IPv6 /64.
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6((u128::from(v6) >> 64 << 64).into()),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_is_stopped_and_comes_back_with_the_next_window() {
        let attempts = Attempts::default();
        let at = |seconds| DateTime::from_timestamp(seconds, 0).unwrap();
        let six = |text: &str| Some(text.parse::<IpAddr>().unwrap());
        for _ in 0..ATTEMPTS {
            assert!(attempts.allow(six("2001:db8::1"), at(0)));
        }
        assert!(!attempts.allow(six("2001:db8::ffff"), at(1)), "the same /64");
        assert!(attempts.allow(six("2001:db8:0:1::1"), at(1)));
        assert!(attempts.allow(six("2001:db8::1"), at(WINDOW_SECONDS)));
    }
}
