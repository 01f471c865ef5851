//! Whose copies would be lost if they went out in the author's name: asked of the DNS, remembered, and never waited for long.
//!
//! Only asked where it matters: the author's signature is missing or does not survive. Without an answer the author's name stays, because
//! that is what readers expect; after a failure nobody asks again for a minute, so that mail does not wait for a dead name server.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::config::Verify;
use crate::domain::post::Post;
use crate::domain::proof::DmarcPolicy;
use crate::mail::compose::{self, Form};
use crate::service::Services;
use crate::smtp::proof::dmarc;

/// So long an answer is good.
const GOOD_FOR: Duration = Duration::from_hours(1);
/// So long nobody asks after a failure.
const SILENCE: Duration = Duration::from_mins(1);
/// Domains that are remembered.
const DOMAINS: usize = 10_000;

/// What domains ask for.
#[derive(Default)]
pub(super) struct Policies {
    known: Mutex<HashMap<String, (DmarcPolicy, Instant)>>,
    silent_since: Mutex<Option<Instant>>,
}

impl Policies {
    /// Has the copy to go out in the list's name?
    pub(super) async fn must_rewrite(&self, services: &Services, original: &[u8], form: &Form<'_>) -> bool {
        let post: &Post = form.post;
        let Some(author) = post.author_address() else { return false };
        if post.kind.is_composed() || !post.kind.is_list_mail() || author.domain() == services.site.domain {
            return false;
        }
        let found = &post.arrival.found;
        if found.signed && compose::keeps_signatures(original, form) {
            return false;
        }
        let policy = match found.policy {
            DmarcPolicy::Unknown => self.ask(services, author.domain()).await,
            known => known,
        };
        policy.is_strict()
    }

    async fn ask(&self, services: &Services, domain: &str) -> DmarcPolicy {
        let Some(dns) = services.dns.as_ref().filter(|_| services.config.senders.verify != Verify::None) else {
            return DmarcPolicy::Unknown;
        };
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(domain).copied();
        if let Some((policy, since)) = known
            && since.elapsed() < GOOD_FOR
        {
            return policy;
        }
        let silent = *self.silent_since.lock().unwrap_or_else(PoisonError::into_inner);
        if silent.is_some_and(|since| since.elapsed() < SILENCE) {
            return DmarcPolicy::Unknown;
        }
        match dmarc::policy_of(dns, domain).await {
            Ok(policy) => {
                let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
                if known.len() >= DOMAINS {
                    known.clear();
                }
                known.insert(domain.to_owned(), (policy, Instant::now()));
                policy
            }
            Err(error) => {
                tracing::warn!(error, "What an author's domain asks for cannot be found out; her name stays in From");
                *self.silent_since.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
                DmarcPolicy::Unknown
            }
        }
    }
}
