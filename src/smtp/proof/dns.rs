//! The DNS as the proof of senders sees it: bounded in time, bounded in number, and never asked for names that nobody has.
//!
//! One [`Dns`] for the whole service, with one cache; one `Ration` for each message, which counts what had to be asked
//! and gives an error instead of an answer past the bound. An error is never a "no" (RFC 6376 section 6.1.2): whoever
//! asks has to tell "there is none" from "it could not be found out".

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use mail_auth::hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig, ResolverOpts};
use mail_auth::{DnsError, DnssecStatus, Error, MX, MessageAuthenticator, Parameters, RecordSet, ResolverCache, Txt};

/// Look-ups for one message (RFC 7208 section 4.6.4 allows ten for SPF alone).
pub const LOOKUPS: usize = 20;
/// How long one question may take, and how often it is repeated.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
const REPEATS: usize = 1;
/// Answers that are remembered for as long as they are good.
const CACHE: u64 = 4_096;

/// Top-level names and domains that nobody owns (RFC 2606, RFC 6761): the public DNS cannot know them.
const RESERVED: [&str; 8] = ["test", "example", "invalid", "localhost", "local", "example.com", "example.net", "example.org"];

/// Asks name servers.
#[derive(Clone)]
pub struct Dns {
    authenticator: MessageAuthenticator,
    /// Is it a name server of the operator's choice, which may know any name?
    own_server: bool,
}

impl std::fmt::Debug for Dns {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dns").field("own_server", &self.own_server).finish_non_exhaustive()
    }
}

impl Dns {
    /// With this name server, or those of the system.
    ///
    /// # Errors
    /// The system's list of name servers cannot be read; the text says so.
    pub fn new(nameserver: Option<SocketAddr>) -> Result<Self, String> {
        let (config, mut options) = match nameserver {
            Some(server) => (only(server), ResolverOpts::default()),
            None => mail_auth::hickory_resolver::system_conf::read_system_conf()
                .map_err(|error| format!("the name servers of this machine cannot be read: {error}"))?,
        };
        options.timeout = ANSWER_WITHIN;
        options.attempts = REPEATS;
        options.cache_size = CACHE;
        options.edns0 = true;
        options.use_hosts_file = mail_auth::hickory_resolver::config::ResolveHosts::Never;
        let authenticator = MessageAuthenticator::new(config, options).map_err(|error| format!("no resolver could be made: {error}"))?;
        Ok(Self { authenticator, own_server: nameserver.is_some() })
    }

    /// The TXT records of a name, each as one text; none if there is no such name.
    ///
    /// # Errors
    /// When it cannot be found out; says why.
    pub async fn texts(&self, name: &str) -> Result<Vec<String>, String> {
        if !self.may_ask(name) {
            return Err(format!("{name} is a name for examples (RFC 2606)"));
        }
        match self.authenticator.resolver().txt_lookup(format!("{}.", name.trim_end_matches('.'))).await {
            Ok(lookup) => {
                let records = lookup.answers().iter().filter_map(|record| match &record.data {
                    mail_auth::hickory_resolver::proto::rr::RData::TXT(text) => Some(text.txt_data.concat()),
                    _ => None,
                });
                Ok(records.map(|octets| String::from_utf8_lossy(&octets).into_owned()).collect())
            }
            Err(error) => match Error::from(error) {
                Error::Dns(DnsError::RecordNotFound(code)) if matches!(u16::from(code), 0 | 3) => Ok(Vec::new()),
                error => Err(error.to_string()),
            },
        }
    }

    /// The hosts that take mail for a domain, by preference; none if it names none.
    ///
    /// # Errors
    /// When it cannot be found out; says why.
    pub async fn mail_servers(&self, domain: &str) -> Result<Vec<String>, String> {
        if !self.may_ask(domain) {
            return Err(format!("{domain} is a name for examples (RFC 2606)"));
        }
        match self.authenticator.resolver().mx_lookup(format!("{}.", domain.trim_end_matches('.'))).await {
            Ok(lookup) => {
                let records = lookup.answers().iter().filter_map(|record| match &record.data {
                    mail_auth::hickory_resolver::proto::rr::RData::MX(mx) => Some((mx.preference, mx.exchange.to_utf8())),
                    _ => None,
                });
                let mut hosts: Vec<_> = records.collect();
                hosts.sort();
                Ok(hosts.into_iter().map(|(_, host)| host).collect())
            }
            Err(error) => match Error::from(error) {
                Error::Dns(DnsError::RecordNotFound(code)) if matches!(u16::from(code), 0 | 3) => Ok(Vec::new()),
                error => Err(error.to_string()),
            },
        }
    }

    /// The library's view of it.
    pub(super) fn authenticator(&self) -> &MessageAuthenticator {
        &self.authenticator
    }

    /// Can anybody know this name?
    pub(super) fn may_ask(&self, domain: &str) -> bool {
        self.own_server || !is_reserved(domain)
    }
}

fn is_reserved(domain: &str) -> bool {
    let domain = domain.trim_end_matches('.').to_ascii_lowercase();
    RESERVED.iter().any(|reserved| domain.strip_suffix(reserved).is_some_and(|front| front.is_empty() || front.ends_with('.')))
}

fn only(server: SocketAddr) -> ResolverConfig {
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()]
        .into_iter()
        .map(|mut connection| {
            connection.port = server.port();
            connection
        })
        .collect();
    ResolverConfig::from_name_servers(vec![NameServerConfig::new(server.ip(), true, connections)])
}

/// What one message may ask, and the answers it had.
pub(super) struct Ration<'d> {
    dns: &'d Dns,
    most: usize,
    asked: AtomicUsize,
    refused: AtomicBool,
    texts: Mutex<HashMap<Box<str>, Txt>>,
}

impl<'d> Ration<'d> {
    /// At most `most` questions.
    pub(super) fn new(dns: &'d Dns, most: usize) -> Self {
        Self { dns, most, asked: AtomicUsize::new(0), refused: AtomicBool::new(false), texts: Mutex::default() }
    }

    /// Was something left unasked because the bound was reached?
    pub(super) fn is_used_up(&self) -> bool {
        self.refused.load(Ordering::Relaxed)
    }

    /// Counts a question; `true` if it may be asked.
    fn take(&self) -> bool {
        let within = self.asked.fetch_add(1, Ordering::Relaxed) < self.most;
        if !within {
            self.refused.store(true, Ordering::Relaxed);
        }
        within
    }

    /// `what` with this ration as its cache.
    pub(super) fn parameters<P>(&self, what: P) -> Parameters<'_, P, Self, Self, Self, Self, Self> {
        Parameters {
            params: what,
            cache_txt: Some(self),
            cache_mx: Some(self),
            cache_ptr: Some(self),
            cache_ipv4: Some(self),
            cache_ipv6: Some(self),
        }
    }
}

impl ResolverCache<Box<str>, Txt> for Ration<'_> {
    fn get<Q>(&self, name: &Q) -> Option<Txt>
    where
        Box<str>: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        if let Some(known) = self.texts.lock().unwrap_or_else(PoisonError::into_inner).get(name) {
            return Some(known.clone());
        }
        (!self.take()).then(|| Txt::Error(Error::Dns(DnsError::Resolver("too many look-ups for one message".into()))))
    }

    fn remove<Q>(&self, _: &Q) -> Option<Txt>
    where
        Box<str>: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        None
    }

    fn insert(&self, name: Box<str>, text: Txt, _: Instant) {
        self.texts.lock().unwrap_or_else(PoisonError::into_inner).insert(name, text);
    }
}

/// Addresses and exchangers: past the bound there are none, so nothing matches.
macro_rules! counted {
    ($($key:ty => $value:ty),*) => {
        $(impl ResolverCache<$key, RecordSet<$value>> for Ration<'_> {
            fn get<Q>(&self, _: &Q) -> Option<RecordSet<$value>>
            where
                $key: Borrow<Q>,
                Q: Hash + Eq + ?Sized,
            {
                (!self.take()).then(|| RecordSet { rrset: [].into(), dnssec_status: DnssecStatus::Indeterminate })
            }

            fn remove<Q>(&self, _: &Q) -> Option<RecordSet<$value>>
            where
                $key: Borrow<Q>,
                Q: Hash + Eq + ?Sized,
            {
                None
            }

            fn insert(&self, _: $key, _: RecordSet<$value>, _: Instant) {}
        })*
    };
}

counted!(Box<str> => MX, Box<str> => Ipv4Addr, Box<str> => Ipv6Addr, IpAddr => Box<str>);

impl Ration<'_> {
    /// The service's resolver.
    pub(super) fn dns(&self) -> &Dns {
        self.dns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_nobody_owns_are_not_asked_of_the_world() {
        for name in ["test", "a.test", "EXAMPLE.org.", "x.example.com", "h.example", "localhost"] {
            assert!(is_reserved(name), "{name}");
        }
        for name in ["itu.int", "myexample.org", "example.de", "latest"] {
            assert!(!is_reserved(name), "{name}");
        }
    }

    #[test]
    fn the_ration_of_a_message_ends() {
        let dns = Dns::new(Some("127.0.0.1:9".parse().unwrap())).unwrap();
        let ration = Ration::new(&dns, LOOKUPS);
        for _ in 0..LOOKUPS {
            assert!(ResolverCache::<Box<str>, Txt>::get(&ration, "a.example.").is_none());
        }
        assert!(!ration.is_used_up());
        assert!(matches!(ResolverCache::<Box<str>, Txt>::get(&ration, "a.example."), Some(Txt::Error(_))));
        assert!(ResolverCache::<Box<str>, RecordSet<MX>>::get(&ration, "a.example.").is_some_and(|set| set.rrset.is_empty()));
        assert!(ration.is_used_up());
    }
}
