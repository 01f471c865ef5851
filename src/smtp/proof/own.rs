//! Our own look at DKIM, SPF, DMARC and ARC (RFC 6376, 7208, 7489, 8617).
//!
//! [`look`] asks the DNS and gives what it [`Found`]; what that proves is a question to the value, because an announcement needs
//! more than a discussion post. At most five signatures and twenty look-ups a message, all within [`WITHIN`]. What could not be found out
//! is `trouble`, never a proof and never a refusal. The surprise: mail-auth and our own reader have to see the same author and the same
//! beginning of the body, or nothing counts: a signature over another reading would prove another message.

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use mail_auth::common::verify::{DomainKey, VerifySignature};
use mail_auth::dkim::Canonicalization;
use mail_auth::spf::verify::SpfParameters;
use mail_auth::{AuthenticatedMessage, DkimResult, DnsError, Error, SpfResult};
use tokio::time::{Instant, timeout_at};

use super::dmarc::{self, Published};
use super::dns::{Dns, LOOKUPS, Ration};
use super::{is_aligned, method_that_proves, results, signature};
use crate::domain::address::{EmailAddress, ReversePath};
use crate::domain::proof::{ArcChain, DmarcPolicy, ProofMethod, SenderFindings, SenderProof};
use crate::mail::field::Header;

/// Signatures that are looked at; those of the author's domain come first.
pub const SIGNATURES: usize = 5;
/// The whole look takes no longer.
pub const WITHIN: Duration = Duration::from_millis(4_500);
/// Seals that are looked at.
const SEALS: usize = 5;

/// What is looked at.
#[derive(Debug, Clone)]
pub struct Evidence {
    /// The whole message as received.
    pub message: Bytes,
    /// Its header, cut into fields.
    pub header: Header,
    /// The one author.
    pub author: EmailAddress,
    /// Its Date.
    pub date: Option<DateTime<Utc>>,
    /// What MAIL said.
    pub reverse_path: ReversePath,
    /// What the client called itself.
    pub helo: String,
    /// Who handed it to us or to our relay; `None` if only the relay knows.
    pub client: Option<IpAddr>,
    /// Domain of the reverse-path and what the trusted relay says of it, where the client is not known.
    pub relay_spf: Option<(String, &'static str)>,
    /// Now.
    pub now: DateTime<Utc>,
    /// `senders.arc_sealers`.
    pub arc_sealers: Vec<String>,
}

/// One signature.
#[derive(Debug, Clone, PartialEq, Eq)]
struct SignatureFound {
    domain: String,
    selector: String,
    /// `pass`, `fail`, `policy`, `permerror`, `temperror` (RFC 8601 section 2.7.1).
    result: &'static str,
    why: String,
    /// Why it is not enough to announce, if it passed.
    weakness: Option<&'static str>,
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    signatures: Vec<SignatureFound>,
    /// Domain of the reverse-path and what SPF says of it.
    spf: Option<(String, &'static str)>,
    published: Option<Published>,
    arc: ArcChain,
    /// A seal of a forwarder who is believed says so.
    sealed: bool,
    /// A field is there twice that may be there once.
    doubled: Option<String>,
    network: Option<String>,
    /// Something that could have proved the author could not be found out.
    trouble: bool,
}

/// What a proof has to be good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// A discussion post, a command.
    Speak,
    /// An announcement or a liaison statement, which speaks for the group; does To or Cc name the list?
    SpeakForTheGroup {
        /// As written in the message.
        list_named: bool,
    },
}

/// Looks at everything.
pub async fn look(dns: &Dns, evidence: &Evidence) -> Found {
    // SPF may ask ten times by its own rules; what is left is for keys, policies and seals.
    let (ration, of_spf) = (Ration::new(dns, LOOKUPS / 2), Ration::new(dns, LOOKUPS / 2));
    let network = evidence.client.map(network_of);
    let doubled = signature::doubled(&evidence.header);
    let Some(mut message) = read(evidence) else {
        return Found { doubled, network, spf: evidence.relay_spf.clone(), ..Found::default() };
    };
    choose(&mut message, &evidence.author);
    let deadline = Instant::now() + WITHIN;
    let of_content = async {
        let (published, signatures) = tokio::join!(
            timeout_at(deadline, dmarc::published(&ration, evidence.author.domain())),
            timeout_at(deadline, signatures(&ration, &message, evidence)),
        );
        (published, signatures, timeout_at(deadline, seals(&ration, &message, evidence)).await)
    };
    let ((published, signatures, sealed), spf) = tokio::join!(of_content, timeout_at(deadline, spf(&of_spf, evidence)));
    let author = evidence.author.domain();
    let spf = spf.map(|spf| spf.or_else(|| evidence.relay_spf.clone()));
    let of_signatures =
        signatures.as_ref().map_or(true, |all| all.iter().any(|s| s.result == "temperror" && is_aligned(&s.domain, author)));
    let of_spf = spf.as_ref().map_or(true, |spf| spf.as_ref().is_some_and(|(d, r)| *r == "temperror" && is_aligned(d, author)));
    let (arc, sealed) = sealed.unwrap_or((ArcChain::Fail, false));
    Found {
        trouble: of_signatures || of_spf || !matches!(published, Ok(Ok(_))),
        signatures: signatures.unwrap_or_default(),
        spf: spf.ok().flatten(),
        published: published.ok().and_then(Result::ok),
        arc,
        sealed,
        doubled,
        network,
    }
}

/// mail-auth's reading of the message, if it is ours too.
fn read(evidence: &Evidence) -> Option<AuthenticatedMessage<'_>> {
    let mut message = AuthenticatedMessage::parse(&evidence.message)?;
    let same_author = match message.from.as_slice() {
        [one] => one.parse::<EmailAddress>().is_ok_and(|one| one == evidence.author),
        _ => false,
    };
    let body = evidence.header.body.unwrap_or(evidence.message.len());
    let same_body = usize::try_from(message.body_offset).is_ok_and(|offset| offset == body);
    message.errors.clear();
    (same_author && same_body).then_some(message)
}

/// Leaves the signatures that are worth a look, and nothing in them that would make us ask more than for a key.
fn choose(message: &mut AuthenticatedMessage<'_>, author: &EmailAddress) {
    message.dkim_headers.sort_by_key(|header| !is_aligned(&header.header.d.to_ascii_lowercase(), author.domain()));
    message.dkim_headers.truncate(SIGNATURES);
    for header in &mut message.dkim_headers {
        header.header.r = false;
        header.header.atps = None;
    }
}

async fn signatures(ration: &Ration<'_>, message: &AuthenticatedMessage<'_>, evidence: &Evidence) -> Vec<SignatureFound> {
    let mut found = Vec::new();
    for at in 0..message.dkim_headers.len() {
        let header = &message.dkim_headers[at];
        let signature = &header.header;
        let domain = idna::domain_to_ascii_strict(&signature.d).unwrap_or_default();
        let (result, why) = match signature::refused(signature, evidence.now) {
            Some(why) => ("policy", why.to_owned()),
            None if !ration.dns().may_ask(&domain) => ("temperror", "nobody knows its domain".to_owned()),
            None => one_signature(ration, message, at, evidence).await,
        };
        let weakness = signature::weakness(signature, evidence.date, evidence.now);
        let selector = signature.s.chars().filter(|c| c.is_ascii_alphanumeric() || "._-".contains(*c)).take(63).collect();
        found.push(SignatureFound { domain, selector, result, why, weakness });
    }
    found
}

async fn one_signature(ration: &Ration<'_>, message: &AuthenticatedMessage<'_>, at: usize, evidence: &Evidence) -> (&'static str, String) {
    let header = &message.dkim_headers[at];
    let dns = ration.dns().authenticator();
    match dns.txt_lookup::<DomainKey>(header.header.domain_key(), Some(ration)).await {
        Ok(key) => {
            if let Some(why) = signature::unusable_key(&key, &header.header) {
                return ("policy", why.to_owned());
            }
        }
        Err(error) if is_trouble(&error) => return ("temperror", error.to_string()),
        Err(error) => return ("permerror", error.to_string()),
    }
    let mut alone = message.clone();
    alone.dkim_headers = vec![header.clone()];
    let first = verified(ration, &alone).await;
    if first.0 == "fail" && header.header.cb == Canonicalization::Relaxed {
        // mail-auth counts lines of white space at the end of a relaxed body, which RFC 6376 section 3.4.4 ignores.
        if let Some(trimmed) = without_blank_end(&evidence.message, alone.body_offset)
            && let Some(mut second) = AuthenticatedMessage::parse(&trimmed)
        {
            second.errors.clear();
            let at = second.dkim_headers.iter().position(|other| other.value == header.value);
            if let Some(at) = at {
                let mut only = second.dkim_headers.swap_remove(at);
                (only.header.r, only.header.atps) = (false, None);
                second.dkim_headers = vec![only];
                return verified(ration, &second).await;
            }
        }
    }
    first
}

async fn verified<'x>(ration: &'x Ration<'x>, message: &'x AuthenticatedMessage<'x>) -> (&'static str, String) {
    let outputs = ration.dns().authenticator().verify_dkim(ration.parameters(message)).await;
    match outputs.first().map(mail_auth::DkimOutput::result) {
        Some(DkimResult::Pass) => ("pass", String::new()),
        Some(DkimResult::Neutral(error) | DkimResult::Fail(error)) => ("fail", error.to_string()),
        Some(DkimResult::TempError(error)) => ("temperror", error.to_string()),
        Some(DkimResult::PermError(error)) => ("permerror", error.to_string()),
        Some(DkimResult::None) | None => ("none", String::new()),
    }
}

/// The message without lines of white space at its end, if it has such.
fn without_blank_end(message: &[u8], body_offset: u32) -> Option<Vec<u8>> {
    let body = message.get(usize::try_from(body_offset).ok()?..)?;
    let mut end = body.len();
    while end > 0 && matches!(body[end - 1], b' ' | b'\t' | b'\r' | b'\n') {
        end -= 1;
    }
    let tail = &body[end..];
    let first_line = tail.windows(2).position(|pair| pair == b"\r\n").map_or(tail.len(), |at| at + 2);
    let blank = tail[first_line..].iter().any(|octet| matches!(octet, b' ' | b'\t'));
    blank.then(|| message[..message.len() - tail.len() + first_line].to_vec())
}

fn is_trouble(error: &Error) -> bool {
    match error {
        Error::Dns(DnsError::Resolver(_)) | Error::Io(_) => true,
        // Only "no such name" and "no such record" are answers (RFC 6376 section 6.1.2).
        Error::Dns(DnsError::RecordNotFound(code)) => !matches!(u16::from(*code), 0 | 3),
        _ => false,
    }
}

async fn spf(ration: &Ration<'_>, evidence: &Evidence) -> Option<(String, &'static str)> {
    let (ReversePath::Path(sender), Some(client)) = (&evidence.reverse_path, evidence.client) else { return None };
    if !ration.dns().may_ask(sender.domain()) {
        return None;
    }
    let parameters = SpfParameters::verify_mail_from(client, &evidence.helo, "enlace", sender.as_str());
    let output = ration.dns().authenticator().check_host(ration.parameters(parameters)).await;
    let result = match output.result() {
        // What was counted out may have hidden the term that would have matched first.
        SpfResult::Pass if ration.is_used_up() => "permerror",
        SpfResult::Pass => "pass",
        SpfResult::Fail => "fail",
        SpfResult::SoftFail => "softfail",
        SpfResult::Neutral => "neutral",
        SpfResult::TempError => "temperror",
        SpfResult::PermError => "permerror",
        SpfResult::None => "none",
    };
    Some((sender.domain().to_owned(), result))
}

/// State of the seals, and whether the last one is of a forwarder who is believed and says that the author is proved.
async fn seals(ration: &Ration<'_>, message: &AuthenticatedMessage<'_>, evidence: &Evidence) -> (ArcChain, bool) {
    if message.as_headers.is_empty() && message.ams_headers.is_empty() && message.aar_headers.is_empty() && !message.has_arc_errors {
        return (ArcChain::None, false);
    }
    if message.as_headers.len() > SEALS || message.ams_headers.len() > SEALS {
        return (ArcChain::Fail, false);
    }
    let known = message.as_headers.iter().all(|seal| ration.dns().may_ask(&seal.header.d));
    if !known {
        return (ArcChain::Fail, false);
    }
    let output = ration.dns().authenticator().verify_arc(ration.parameters(message)).await;
    if *output.result() != DkimResult::Pass {
        return (ArcChain::Fail, false);
    }
    let believed = output.sets().iter().max_by_key(|set| set.seal.header.i).is_some_and(|last| {
        let sealer = last.seal.header.d.to_ascii_lowercase();
        evidence.arc_sealers.iter().any(|trusted| trusted.eq_ignore_ascii_case(&sealer))
            && sealed_proof(last.results.value, &evidence.author).is_some()
    });
    (ArcChain::Pass, believed)
}

/// What the results inside a seal prove: the same grammar behind `i=1;`.
fn sealed_proof(value: &[u8], author: &EmailAddress) -> Option<ProofMethod> {
    let value = std::str::from_utf8(value).ok()?.replace("\r\n", " ");
    let (instance, rest) = value.split_once(';')?;
    instance.trim().strip_prefix("i=")?.trim().parse::<u32>().ok()?;
    let field = results::read(rest)?;
    if field.unreadable || !field.authserv_id.plain { None } else { method_that_proves(&field.methods, author) }
}

/// The network of a client, for the memory of ways: a /24 or a /56.
fn network_of(client: IpAddr) -> String {
    match client.to_canonical() {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            format!("{a}.{b}.{c}.0/24")
        }
        IpAddr::V6(v6) => {
            let s = v6.segments();
            format!("{:x}:{:x}:{:x}:{:x}::/56", s[0], s[1], s[2], s[3] & 0xff00)
        }
    }
}

impl Found {
    /// Could something that would have proved the author not be found out?
    pub fn is_trouble(&self) -> bool {
        self.trouble
    }

    /// What it proves.
    pub fn proof(&self, author: &EmailAddress, need: Need) -> SenderProof {
        match self.method(author, need) {
            Ok(method) => SenderProof::Proved { author: author.clone(), method },
            Err(why) => SenderProof::Unproved { author: author.clone(), tried: format!("{why} ({})", self.told(author)) },
        }
    }

    fn method(&self, author: &EmailAddress, need: Need) -> Result<ProofMethod, String> {
        let strict_need = need != Need::Speak;
        if strict_need && let Some(doubled) = &self.doubled {
            return Err(doubled.clone());
        }
        let mut weakness = None;
        for found in self.signatures.iter().filter(|found| found.result == "pass") {
            if !self.is_aligned(&found.domain, author, |published| published.strict_dkim) {
                continue;
            }
            match (need, found.weakness) {
                (Need::Speak, _) | (Need::SpeakForTheGroup { list_named: true }, None) => return Ok(ProofMethod::Dkim),
                (_, Some(why)) => weakness = Some(format!("the signature is not enough here: {why}")),
                (Need::SpeakForTheGroup { .. }, None) => {
                    weakness = Some("the signature is not enough here: neither To nor Cc names the list".to_owned());
                }
            }
        }
        if let Some((domain, "pass")) = &self.spf
            && self.is_aligned(domain, author, |published| published.strict_spf)
        {
            return Ok(ProofMethod::Spf);
        }
        if self.sealed && !strict_need {
            return Ok(ProofMethod::Arc);
        }
        Err(weakness.unwrap_or_else(|| "nothing shows it".to_owned()))
    }

    /// Aligned as the author's domain wants it; where that is not known, only the very same domain is.
    fn is_aligned(&self, domain: &str, author: &EmailAddress, strict: impl Fn(&Published) -> bool) -> bool {
        match &self.published {
            Some(published) if !strict(published) => is_aligned(domain, author.domain()),
            _ => domain == author.domain() && is_aligned(domain, author.domain()),
        }
    }

    fn told(&self, author: &EmailAddress) -> String {
        let results = self.results(author);
        if results.is_empty() { "nothing was found".to_owned() } else { results }
    }

    /// The results in the words of RFC 8601, for the log and for readers of our seal.
    fn results(&self, author: &EmailAddress) -> String {
        let mut parts: Vec<String> = Vec::new();
        for found in &self.signatures {
            let why: String = found.why.chars().filter(|c| c.is_ascii_alphanumeric() || " =-.".contains(*c)).take(60).collect();
            let why = if why.is_empty() { String::new() } else { format!(" ({})", why.trim()) };
            parts.push(format!("dkim={}{why} header.d={} header.s={}", found.result, found.domain, found.selector));
        }
        if let Some((domain, result)) = &self.spf {
            parts.push(format!("spf={result} smtp.mailfrom={domain}"));
        }
        if let Some(published) = &self.published {
            let result = match (published.is_published, self.method(author, Need::Speak)) {
                (false, _) => "none",
                (true, Ok(ProofMethod::Dkim | ProofMethod::Spf)) => "pass",
                (true, _) if self.trouble => "temperror",
                (true, _) => "fail",
            };
            parts.push(format!("dmarc={result} (p={}) header.from={}", published.policy.as_str(), author.domain()));
        }
        match self.arc {
            ArcChain::None => {}
            ArcChain::Pass => parts.push("arc=pass".to_owned()),
            ArcChain::Fail => parts.push("arc=fail".to_owned()),
        }
        parts.join("; ")
    }

    /// What is kept with the post.
    pub fn findings(&self, author: &EmailAddress) -> SenderFindings {
        let passed: Vec<_> = self.signatures.iter().filter(|found| found.result == "pass").collect();
        let mut ways: Vec<String> = Vec::new();
        if self.method(author, Need::Speak).is_err() {
            ways.extend(passed.iter().map(|found| format!("dkim:{}", found.domain)));
            ways.extend(self.spf.iter().filter(|(_, result)| *result == "pass").map(|(domain, _)| format!("spf:{domain}")));
            let failed = self.spf.as_ref().is_some_and(|(_, result)| matches!(*result, "fail" | "softfail"));
            ways.extend(self.network.iter().filter(|_| !failed).map(|network| format!("net:{network}")));
            ways.dedup();
        }
        SenderFindings {
            results: self.results(author),
            signed: passed.iter().any(|found| is_aligned(&found.domain, author.domain())),
            policy: self.published.as_ref().map_or(DmarcPolicy::Unknown, |published| published.policy),
            arc: self.arc,
            ways,
        }
    }
}
