//! What a domain asks of others (RFC 7489 section 6.6.3): its own record, else its organisational domain's.
//!
//! The organisational domain is that of the public suffix list, as for alignment. Only the policy and the ways of alignment are of
//! interest here; `pct` is not, because a copy that is lost one time in ten is lost.

use mail_auth::dmarc::{Alignment, Dmarc, Policy};
use mail_auth::{DnsError, Error};

use super::dns::{Dns, Ration};
use crate::domain::proof::DmarcPolicy;

/// A policy record, or that there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// What it asks for.
    pub policy: DmarcPolicy,
    /// Is there a record at all?
    pub is_published: bool,
    /// DKIM counts from the very domain only.
    pub strict_dkim: bool,
    /// SPF counts from the very domain only.
    pub strict_spf: bool,
}

impl Published {
    const NOTHING: Self = Self { policy: DmarcPolicy::None, is_published: false, strict_dkim: false, strict_spf: false };
}

/// What `domain` publishes, for whoever sends a copy in its name.
///
/// # Errors
/// When it cannot be found out within a few seconds.
pub async fn policy_of(dns: &Dns, domain: &str) -> Result<DmarcPolicy, String> {
    let ration = Ration::new(dns, 4);
    match tokio::time::timeout(super::own::WITHIN, published(&ration, domain)).await {
        Ok(found) => found.map(|found| found.policy),
        Err(_) => Err(format!("the DNS did not answer about {domain} in time")),
    }
}

pub(super) async fn published(ration: &Ration<'_>, domain: &str) -> Result<Published, String> {
    if !ration.dns().may_ask(domain) {
        return Ok(Published::NOTHING);
    }
    if let Some(record) = record(ration, domain).await? {
        return Ok(of(&record, record.p));
    }
    match psl::domain_str(domain) {
        Some(organisation) if organisation != domain => match record(ration, organisation).await? {
            Some(record) => {
                let policy = if record.sp == Policy::Unspecified { record.p } else { record.sp };
                Ok(of(&record, policy))
            }
            None => Ok(Published::NOTHING),
        },
        _ => Ok(Published::NOTHING),
    }
}

fn of(record: &Dmarc, policy: Policy) -> Published {
    Published {
        policy: match policy {
            Policy::Quarantine => DmarcPolicy::Quarantine,
            Policy::Reject => DmarcPolicy::Reject,
            Policy::None | Policy::Unspecified => DmarcPolicy::None,
        },
        is_published: true,
        strict_dkim: record.adkim == Alignment::Strict,
        strict_spf: record.aspf == Alignment::Strict,
    }
}

async fn record(ration: &Ration<'_>, domain: &str) -> Result<Option<std::sync::Arc<Dmarc>>, String> {
    let name = format!("_dmarc.{domain}.");
    match ration.dns().authenticator().txt_lookup::<Dmarc>(name, Some(ration)).await {
        Ok(record) => Ok(Some(record)),
        Err(Error::Dns(DnsError::RecordNotFound(code))) if matches!(u16::from(code), 0 | 3) => Ok(None),
        // A text that is no policy is none (RFC 7489 section 6.6.3).
        Err(Error::Dns(DnsError::InvalidRecordType) | Error::ParseError) => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}
