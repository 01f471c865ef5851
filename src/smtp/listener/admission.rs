//! How many sessions there may be, in all and from one client network.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use super::{Network, Patience};

/// Counts sessions.
pub(super) struct Admission {
    sessions: usize,
    trusted_network: usize,
    network: usize,
    counts: Mutex<Counts>,
}

#[derive(Default)]
struct Counts {
    total: usize,
    by_network: HashMap<Network, usize>,
}

/// A session that was counted in; dropping it counts it out.
pub(super) struct Ticket {
    admission: Arc<Admission>,
    network: Network,
}

impl Admission {
    pub(super) fn new(patience: &Patience) -> Self {
        Self {
            sessions: patience.sessions,
            trusted_network: patience.sessions_trusted_network,
            network: patience.sessions_network,
            counts: Mutex::default(),
        }
    }

    /// `None` if the listener or the client's network is full.
    pub(super) fn admit(self: &Arc<Self>, client: IpAddr, trusted: bool) -> Option<Ticket> {
        // What one customer or one office usually has.
        let network = Network::around(client, if client.is_ipv4() { 24 } else { 56 });
        let most = if trusted { self.trusted_network } else { self.network };
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.total >= self.sessions || counts.by_network.get(&network).is_some_and(|&count| count >= most) {
            return None;
        }
        counts.total += 1;
        *counts.by_network.entry(network).or_default() += 1;
        Some(Ticket { admission: Arc::clone(self), network })
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut counts = self.admission.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.total -= 1;
        if let Some(count) = counts.by_network.get_mut(&self.network) {
            *count -= 1;
            if *count == 0 {
                counts.by_network.remove(&self.network);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_network_does_not_fill_the_listener() {
        let patience = Patience { sessions: 5, sessions_trusted_network: 4, sessions_network: 2, ..Patience::default() };
        let admission = Arc::new(Admission::new(&patience));
        let admit = |address: &str, trusted| admission.admit(address.parse().unwrap(), trusted);
        let first = admit("192.0.2.1", false);
        let second = admit("192.0.2.2", false);
        assert!(first.is_some() && second.is_some());
        assert!(admit("192.0.2.3", false).is_none());
        let elsewhere = [admit("198.51.100.1", false), admit("2001:db8::1", false), admit("2001:db8:0:ff::1", false)];
        assert!(elsewhere.iter().all(Option::is_some));
        assert!(admit("203.0.113.1", true).is_none(), "five in all");
        drop(first);
        assert!(admit("192.0.2.3", false).is_some());
        drop((second, elsewhere));
        assert!(admission.counts.lock().unwrap().by_network.is_empty());
    }
}
