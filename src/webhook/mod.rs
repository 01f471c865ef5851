//! The wire towards programs that are told of events: one signed POST, its answer in a word.
//!
//! Not here: what is sent when, and again (`service::webhook`). Redirects are not followed, proxies of the environment are not
//! used, and no answer is read further than its status, so that a receiver can neither lead us elsewhere nor keep us busy.

mod sign;
mod target;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use openidconnect::reqwest;
use openidconnect::reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::config::{Network, Webhooks};

pub use sign::{secret, signature};
pub use target::read as read_target;

/// Longest wait for a connection, inside the time for the whole answer.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// One delivery.
#[derive(Debug, Clone, Copy)]
pub struct Delivery<'a> {
    /// Where to.
    pub url: &'a str,
    /// What it is signed with.
    pub secret: &'a str,
    /// Identifier of the event; the same at each try.
    pub id: &'a str,
    /// When it is tried, in seconds since 1970.
    pub seconds: i64,
    /// JSON.
    pub body: &'a str,
}

/// Why a delivery did not arrive.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Undelivered {
    /// Worth another try.
    #[error("{0}")]
    Later(String),
    /// 410: the receiver wants nothing more.
    #[error("the receiver answered 410 Gone: it wants no more events")]
    Gone,
}

/// Calls receivers.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    networks: Vec<Network>,
}

impl Client {
    /// A client with the limits of the configuration.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(settings: &Webhooks) -> Result<Self, String> {
        let networks = settings.allowed_networks.clone();
        let mut builder = reqwest::ClientBuilder::new()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .timeout(settings.timeout.0)
            .connect_timeout(CONNECT_WITHIN)
            .user_agent(concat!("enlace/", env!("CARGO_PKG_VERSION")))
            .dns_resolver(Arc::new(Judged(networks.clone())));
        // An authority of the house is known to the system, not to the built-in list.
        for certificate in rustls_native_certs::load_native_certs().certs {
            if let Ok(certificate) = reqwest::Certificate::from_der(&certificate) {
                builder = builder.add_root_certificate(certificate);
            }
        }
        Ok(Self { http: builder.build().map_err(|error| error.to_string())?, networks })
    }

    /// Sends one event; an answer of 2xx within the time means that it arrived.
    ///
    /// # Errors
    /// Says what came instead.
    pub async fn send(&self, delivery: Delivery<'_>) -> Result<(), Undelivered> {
        // Looked at again: the configuration may have changed since it was added.
        let url = read_target(delivery.url, &self.networks).map_err(Undelivered::Later)?;
        let signature = signature(delivery.secret, delivery.id, delivery.seconds, delivery.body.as_bytes());
        let request = self
            .http
            .post(url)
            .header("content-type", "application/json")
            .header("webhook-id", delivery.id)
            .header("webhook-timestamp", delivery.seconds.to_string())
            .header("webhook-signature", signature)
            .body(delivery.body.to_owned());
        let answer = request.send().await.map_err(|error| Undelivered::Later(said(&error)))?;
        match answer.status() {
            status if status.is_success() => Ok(()),
            reqwest::StatusCode::GONE => Err(Undelivered::Gone),
            status if status.is_redirection() => {
                Err(Undelivered::Later(format!("the receiver answered {status}; redirects are not followed")))
            }
            status => Err(Undelivered::Later(format!("the receiver answered {status}"))),
        }
    }
}

/// The error with its causes, without the address, which may hold a secret of the receiver.
fn said(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "no answer in time".into();
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    format!("no connection: {cause}")
}

/// Resolves names by the system, and leaves out addresses that must not be called.
struct Judged(Vec<Network>);

impl Resolve for Judged {
    fn resolve(&self, name: Name) -> Resolving {
        let networks = self.0.clone();
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let public: Vec<SocketAddr> = found.iter().filter(|at| target::allowed(at.ip(), &networks)).copied().collect();
            if public.is_empty() {
                return Err(format!("{} leads to no public address; webhooks.allowed_networks can allow it", name.as_str()).into());
            }
            Ok(Box::new(public.into_iter()) as Addrs)
        })
    }
}
