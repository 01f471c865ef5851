//! Who sent this? Asked once a message, answered for what it is to be good for.
//!
//! A log-in on the submission listener first; then our own look at DKIM, SPF, DMARC and ARC, or the results of the trusted relay; for a
//! discussion post at last what is remembered of how her mail comes. What cannot be found out at present is answered with
//! 451 for some hours, because the DNS mostly comes back; then the message is taken as unproved, so that it is not lost.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::Semaphore;

use super::{Incoming, Refusal};
use crate::config::Verify;
use crate::domain::account::Account;
use crate::domain::address::EmailAddress;
use crate::domain::proof::{ProofMethod, SenderFindings, SenderProof};
use crate::domain::reason::{Reason, Rule};
use crate::mail::field;
use crate::service::senders;
use crate::smtp::Content;
use crate::smtp::proof::own::{self, Evidence, Found};
use crate::smtp::proof::{self};

pub(super) use crate::smtp::proof::own::Need;

/// So long a message that cannot be looked at is answered with 451.
const TROUBLE_HOURS: i64 = 4;
/// Octets of messages that are in memory at the same time for their signatures.
const LOOKED_AT_OCTETS: usize = 64 * 1024 * 1024;
/// The bound is counted in these.
const BLOCK: usize = 64 * 1024;

/// Room for the messages that are looked at; those in memory anyway are not counted.
static ROOM: Semaphore = Semaphore::const_new(LOOKED_AT_OCTETS / BLOCK);

impl Incoming {
    /// Who sent this, good enough for a discussion post or a command.
    pub(super) async fn proof(&self) -> Result<SenderProof, Refusal> {
        self.proof_for(Need::Speak).await
    }

    /// Who sent this, good enough to speak for the group from `list`: an announcement, a liaison statement.
    pub(super) async fn proof_of_spokesman(&self, list: &str) -> Result<SenderProof, Refusal> {
        let list_named = self.message.shown_recipients.iter().any(|shown| shown.eq_ignore_ascii_case(list));
        self.proof_for(Need::SpeakForTheGroup { list_named }).await
    }

    async fn proof_for(&self, need: Need) -> Result<SenderProof, Refusal> {
        let author = self.author()?.clone();
        let session = &self.transaction.session;
        if let Some(user) = &session.authenticated {
            let own = *user == author || self.services.store.account_by_address(user).await?.is_some_and(|account| account.owns(&author));
            return Ok(if own {
                SenderProof::Proved { author, method: ProofMethod::Auth }
            } else {
                SenderProof::Unproved { author, tried: format!("authenticated as {user}, who does not own the address") }
            });
        }
        let proof = match self.services.config.senders.verify {
            Verify::None => return Ok(SenderProof::Proved { author, method: ProofMethod::Trusted }),
            Verify::Headers => self.by_relay(&author, need),
            Verify::Own => {
                let found = self.found(&author).await?;
                let proof = found.proof(&author, need);
                if !proof.is_proved() && found.is_trouble() {
                    self.come_back_later(&author).await?;
                }
                proof
            }
        };
        if need == Need::Speak && !proof.is_proved() { self.by_memory(proof).await } else { Ok(proof) }
    }

    /// What is kept with the post of how it came in.
    pub(super) async fn findings(&self) -> SenderFindings {
        let Ok(author) = self.author() else { return SenderFindings::default() };
        let senders = &self.services.config.senders;
        match senders.verify {
            Verify::None => SenderFindings::default(),
            Verify::Headers => {
                let fields = self.results_fields();
                let fields = fields.iter().map(|(name, value)| (name.as_str(), value.as_str()));
                proof::findings_of_relay(fields, &senders.authserv_id, self.transaction.session.trusted, author)
            }
            Verify::Own => match self.found(author).await {
                Ok(found) => found.findings(author),
                Err(_) => SenderFindings::default(),
            },
        }
    }

    fn by_relay(&self, author: &EmailAddress, need: Need) -> SenderProof {
        let fields = self.results_fields();
        let fields = fields.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let id = &self.services.config.senders.authserv_id;
        let trusted = self.transaction.session.trusted;
        let proof = proof::from_authentication_results(fields.clone(), id, trusted, author);
        let (SenderProof::Proved { method, .. }, Need::SpeakForTheGroup { list_named }) = (&proof, need) else { return proof };
        let unproved = |tried| SenderProof::Unproved { author: author.clone(), tried };
        if let Some(doubled) = proof::signature::doubled(&self.message.header) {
            return unproved(doubled);
        }
        if *method == ProofMethod::Spf {
            return proof;
        }
        let head = self.transaction.content.head();
        match proof::weakness(head, &self.message.header, author, self.date(), self.services.now(), list_named) {
            None => proof,
            // A signature that could be replayed, on a mail that came from her own domain's server: it was not.
            Some(_) if matches!(proof::spf_of_relay(fields, id, author), Some((_, "pass"))) => {
                SenderProof::Proved { author: author.clone(), method: ProofMethod::Spf }
            }
            Some(why) => unproved(why),
        }
    }

    /// The message's own `Authentication-Results`, from top to bottom.
    fn results_fields(&self) -> Vec<(String, String)> {
        let head = self.transaction.content.head();
        let fields = self.message.header.named("authentication-results");
        fields.map(|found| (found.name.clone(), field::unfolded(head, found))).collect()
    }

    fn date(&self) -> Option<DateTime<Utc>> {
        self.message.date.map(|date| date.with_timezone(&Utc))
    }

    async fn by_memory(&self, proof: SenderProof) -> Result<SenderProof, Refusal> {
        let author = proof.author();
        let account: Option<Account> = self.services.store.account_by_address(author).await?;
        let Some(account) = account else { return Ok(proof) };
        match senders::known(&self.services, account.id, &self.findings().await).await? {
            Some(way) => {
                tracing::debug!(trace = self.arrival.trace, way, "It came by a way that its author confirmed before");
                Ok(SenderProof::Proved { author: author.clone(), method: ProofMethod::Remembered })
            }
            None => Ok(proof),
        }
    }

    /// 451 for some hours from the first time this message was seen.
    async fn come_back_later(&self, author: &EmailAddress) -> Result<(), Refusal> {
        let key = format!("{}|{}", author.key(), self.message.message_id.as_deref().unwrap_or_default());
        let (store, now) = (&self.services.store, self.services.now());
        store.claim_once(TROUBLE, &key, now).await?;
        let since = store.claimed_at(TROUBLE, &key).await?.unwrap_or(now);
        if now - since < TimeDelta::hours(TROUBLE_HOURS) {
            return Err(Reason::new(Rule::SenderUnclear, [author.as_str()]).into());
        }
        Ok(())
    }

    async fn found(&self, author: &EmailAddress) -> Result<&Arc<Found>, Refusal> {
        self.found.get_or_try_init(|| self.look(author)).await
    }

    async fn look(&self, author: &EmailAddress) -> Result<Arc<Found>, Refusal> {
        let Some(dns) = self.services.dns.clone() else {
            return Err(Refusal::Internal("senders.verify = \"own\" without a name server".into()));
        };
        let session = &self.transaction.session;
        let config = &self.services.config.senders;
        // A client of trusted_networks is a relay: its own address says nothing of the sender.
        let client = session.client.or_else(|| (!session.trusted).then(|| session.peer.ip()));
        let relay_spf = if client.is_none() && session.trusted {
            let fields = self.results_fields();
            proof::spf_of_relay(fields.iter().map(|(name, value)| (name.as_str(), value.as_str())), &config.authserv_id, author)
        } else {
            None
        };
        let in_memory = matches!(self.transaction.content, Content::Memory(_));
        let blocks = usize::try_from(self.transaction.content.octets()).unwrap_or(usize::MAX).div_ceil(BLOCK);
        let blocks = u32::try_from(blocks.clamp(1, LOOKED_AT_OCTETS / BLOCK)).unwrap_or(1);
        let _room = if in_memory { None } else { ROOM.acquire_many(blocks).await.ok() };
        let evidence = Evidence {
            message: self.bytes().await?,
            header: self.message.header.clone(),
            author: author.clone(),
            date: self.date(),
            reverse_path: self.transaction.reverse_path.clone(),
            helo: session.helo.clone(),
            client,
            relay_spf,
            now: self.services.now(),
            arc_sealers: config.arc_sealers.clone(),
        };
        if in_memory {
            return Ok(Arc::new(own::look(&dns, &evidence).await));
        }
        // The hashes of a large body take their time: not on a thread that serves sessions.
        let runtime = tokio::runtime::Handle::current();
        let looked = tokio::task::spawn_blocking(move || runtime.block_on(own::look(&dns, &evidence))).await;
        looked.map(Arc::new).map_err(|error| Refusal::Internal(format!("looking at the signatures: {error}")))
    }
}

/// Marks of messages whose sender could not be found out.
const TROUBLE: &str = "sender-trouble";
