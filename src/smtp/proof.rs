//! Who sent this? What the trusted relay wrote into `Authentication-Results`, read as RFC 8601 says.
//!
//! A result counts only if the session is trusted, the field carries our relay's identifier as a whole token, and it
//! is the topmost field of that identifier: whatever stands below it came with the message. A pass counts only when
//! it is aligned with the author's domain (RFC 7489 section 3.1). Our own look at DKIM, SPF, DMARC and ARC is in `own`.
//! The surprise: where several filters of one relay write a field each, only the last of them is topmost, so that one
//! has to be the one that knows DMARC.

pub mod dmarc;
pub mod dns;
pub mod own;
mod results;
pub mod signature;

use chrono::{DateTime, Utc};

use self::results::{MethodResult, Results};
use crate::domain::address::EmailAddress;
use crate::domain::proof::{ArcChain, ProofMethod, SenderFindings, SenderProof};
use crate::mail::field::Header;

/// Results of a field that are named in the log.
const RESULTS_TOLD: usize = 8;

/// Whether `author` sent the message, as far as the topmost `Authentication-Results` field of `authserv_id` shows.
///
/// `header_fields` are name and raw value (folding allowed) of the message's own header, from top to bottom.
/// `trusted` is [`SessionInfo::trusted`](super::SessionInfo::trusted). Never fails: whatever cannot be read proves nothing.
/// A failed DMARC outweighs every pass; DMARC is believed before DKIM, DKIM before SPF.
pub fn from_authentication_results<'a>(
    header_fields: impl IntoIterator<Item = (&'a str, &'a str)>,
    authserv_id: &str,
    trusted: bool,
    author: &EmailAddress,
) -> SenderProof {
    let unproved = |tried: String| SenderProof::Unproved { author: author.clone(), tried };
    if !trusted {
        return unproved("the client is not in trusted_networks, so its results do not count".to_owned());
    }
    let Some(field) = topmost(header_fields, authserv_id) else {
        return unproved(format!("no Authentication-Results of {authserv_id}"));
    };
    if !field.authserv_id.plain || field.unreadable {
        return unproved(format!("the Authentication-Results of {authserv_id} cannot be read"));
    }
    match method_that_proves(&field.methods, author) {
        Some(method) => SenderProof::Proved { author: author.clone(), method },
        None => unproved(format!("{authserv_id} says {}", told(&field.methods))),
    }
}

/// What the trusted relay found, in the form that is kept with a post; nothing if its results do not count.
pub fn findings_of_relay<'a>(
    header_fields: impl IntoIterator<Item = (&'a str, &'a str)>,
    authserv_id: &str,
    trusted: bool,
    author: &EmailAddress,
) -> SenderFindings {
    let Some(field) = topmost(header_fields, authserv_id).filter(|field| trusted && field.authserv_id.plain && !field.unreadable) else {
        return SenderFindings::default();
    };
    let passed = |method: &str, properties: &[&str]| -> Vec<String> {
        let passes = field.methods.iter().filter(|r| r.method == method && r.result == "pass");
        passes.filter_map(|r| properties.iter().find_map(|property| domain_of(r, property))).collect()
    };
    let (signers, senders) = (passed("dkim", &["header.d"]), passed("spf", &["smtp.mailfrom"]));
    let proved = method_that_proves(&field.methods, author).is_some();
    let ways = signers.iter().map(|domain| format!("dkim:{domain}")).chain(senders.iter().map(|domain| format!("spf:{domain}")));
    SenderFindings {
        results: results_again(&field.methods),
        signed: signers.iter().any(|domain| is_aligned(domain, author.domain())),
        ways: if proved { Vec::new() } else { ways.collect() },
        arc: arc_of_relay(&field.methods),
        ..SenderFindings::default()
    }
}

/// What the relay says of the seals of forwarders before it (RFC 8617 section 5.2). Only what it found itself counts: one word for all
/// of them, and `none` where there are none.
fn arc_of_relay(methods: &[MethodResult]) -> ArcChain {
    let mut found = methods.iter().filter(|result| result.method == "arc").map(|result| result.result.as_str());
    match (found.next(), found.next()) {
        (None | Some("none"), None) => ArcChain::None,
        (Some("pass"), None) => ArcChain::Pass,
        _ => ArcChain::Fail,
    }
}

/// SPF of the reverse-path's domain as the trusted relay found it.
pub fn spf_of_relay<'a>(
    header_fields: impl IntoIterator<Item = (&'a str, &'a str)>,
    authserv_id: &str,
    author: &EmailAddress,
) -> Option<(String, &'static str)> {
    let field = topmost(header_fields, authserv_id).filter(|field| field.authserv_id.plain && !field.unreadable)?;
    let result = field.methods.iter().find(|result| result.method == "spf")?;
    let known = ["pass", "fail", "softfail", "neutral", "none", "temperror", "permerror"];
    let word = known.into_iter().find(|word| result.result == *word)?;
    let about = if word == "pass" && !spf_is_about(result, author) { "none" } else { word };
    Some((domain_of(result, "smtp.mailfrom")?, about))
}

/// The results once more, made of nothing but what was understood.
fn results_again(methods: &[MethodResult]) -> String {
    let word = |text: &str| text.chars().filter(|c| c.is_ascii_alphanumeric() || "-.".contains(*c)).take(80).collect::<String>();
    let about = |result: &MethodResult| {
        ["header.d", "header.from", "smtp.mailfrom"]
            .iter()
            .find_map(|name| domain_of(result, name).map(|domain| format!(" {name}={}", word(&domain))))
            .unwrap_or_default()
    };
    methods
        .iter()
        .take(RESULTS_TOLD)
        .map(|result| format!("{}={}{}", word(&result.method), word(&result.result), about(result)))
        .collect::<Vec<_>>()
        .join("; ")
}

/// Why the message's own signatures are not enough to announce or to liaise, where somebody else verified them: something
/// that readers see is not under them, or is there twice. `None` if there is no signature of the author's domain to look at.
pub fn weakness(
    message: &[u8],
    header: &Header,
    author: &EmailAddress,
    date: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
    list_named: bool,
) -> Option<String> {
    if let Some(doubled) = signature::doubled(header) {
        return Some(doubled);
    }
    let signatures = signature::of_domain(message, header, own::SIGNATURES, |domain| is_aligned(domain, author.domain()));
    let weak = signatures.iter().find_map(|one| signature::weakness(one, date, now));
    match weak {
        Some(why) => Some(format!("the signature is not enough here: {why}")),
        None if !signatures.is_empty() && !list_named => {
            Some("the signature is not enough here: neither To nor Cc names the list".to_owned())
        }
        None => None,
    }
}

/// Whose results the value of an `Authentication-Results` field has, in lower case: fields of our relay's identifier are
/// removed from what is sent on (RFC 8601 section 5).
pub fn authserv_id_of(value: &str) -> Option<String> {
    results::read(value).map(|field| field.authserv_id.text.to_lowercase())
}

fn topmost<'a>(header_fields: impl IntoIterator<Item = (&'a str, &'a str)>, authserv_id: &str) -> Option<Results> {
    header_fields
        .into_iter()
        .filter(|(name, _)| name.trim().eq_ignore_ascii_case("Authentication-Results"))
        .filter_map(|(_, value)| results::read(value))
        .find(|field| field.authserv_id.text.eq_ignore_ascii_case(authserv_id))
}

fn method_that_proves(results: &[MethodResult], author: &EmailAddress) -> Option<ProofMethod> {
    if results.iter().any(|result| result.method == "dmarc" && result.result == "fail") {
        return None;
    }
    let passes = |method: &str| results.iter().filter(move |r| r.method == method && r.result == "pass").collect::<Vec<_>>();
    if passes("dmarc").iter().any(|result| domain_of(result, "header.from").is_some_and(|domain| domain == author.domain())) {
        return Some(ProofMethod::Dmarc);
    }
    if passes("dkim").iter().any(|result| domain_of(result, "header.d").is_some_and(|domain| is_aligned(&domain, author.domain()))) {
        return Some(ProofMethod::Dkim);
    }
    if passes("spf").iter().any(|result| spf_is_about(result, author)) {
        return Some(ProofMethod::Spf);
    }
    None
}

/// The one value of a property; two values prove nothing.
fn property<'a>(result: &'a MethodResult, name: &str) -> Option<&'a str> {
    let mut values = result.properties.iter().filter(|(n, _)| n == name).map(|(_, value)| value.as_str());
    let value = values.next()?;
    values.next().is_none().then_some(value)
}

/// The domain a property names, alone or behind an `@`, in lower-case A-labels.
fn domain_of(result: &MethodResult, name: &str) -> Option<String> {
    let value = property(result, name)?;
    let domain = value.rsplit_once('@').map_or(value, |(_, domain)| domain);
    let domain = idna::domain_to_ascii_strict(domain).ok()?;
    (!domain.is_empty()).then_some(domain)
}

/// For a null sender SPF is about `postmaster` at the name the client gave (RFC 7208 section 2.4), which is nobody's proof.
fn spf_is_about(result: &MethodResult, author: &EmailAddress) -> bool {
    let Some(value) = property(result, "smtp.mailfrom") else { return false };
    let local = value.rsplit_once('@').map(|(local, _)| local);
    let stands_for_null = value.contains(['<', '>'])
        || local.is_some_and(|local| {
            local.is_empty() || (local.eq_ignore_ascii_case("postmaster") && !author.local().eq_ignore_ascii_case(local))
        });
    !stands_for_null && domain_of(result, "smtp.mailfrom").is_some_and(|domain| is_aligned(&domain, author.domain()))
}

/// Relaxed alignment (RFC 7489 section 3.1.1): the same organisational domain. A public suffix is nobody's.
fn is_aligned(shown: &str, of_author: &str) -> bool {
    if shown == of_author {
        return shown.contains('.');
    }
    psl::domain_str(shown).is_some_and(|organisation| psl::domain_str(of_author) == Some(organisation))
}

/// What the field says, without anything a stranger could have chosen freely.
fn told(results: &[MethodResult]) -> String {
    if results.is_empty() {
        return "nothing".to_owned();
    }
    let word = |text: &str| text.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').take(20).collect::<String>();
    results
        .iter()
        .take(RESULTS_TOLD)
        .map(|result| format!("{}={}", word(&result.method), word(&result.result)))
        .collect::<Vec<_>>()
        .join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proof(author: &str, trusted: bool, fields: &[(&str, &str)]) -> SenderProof {
        from_authentication_results(fields.iter().copied(), "mx.example.org", trusted, &author.parse().unwrap())
    }

    fn method(author: &str, value: &str) -> Option<ProofMethod> {
        match proof(author, true, &[("Authentication-Results", value)]) {
            SenderProof::Proved { method, .. } => Some(method),
            SenderProof::Unproved { .. } => None,
        }
    }

    #[test]
    fn honest_results_prove_the_author() {
        for (author, value, expected) in [
            ("ana@member.example", "mx.example.org; dmarc=pass header.from=member.example", ProofMethod::Dmarc),
            ("ana@member.example", "MX.Example.ORG 1; dmarc=pass (p=none dis=none) header.from=Member.Example", ProofMethod::Dmarc),
            ("ana@member.example", "mx.example.org;\r\n\tdmarc=pass policy.dmarc=none\r\n\theader.from=member.example", ProofMethod::Dmarc),
            ("ana@member.example", "mx.example.org; dkim=pass reason=\"ok\" header.d=member.example header.s=s1", ProofMethod::Dkim),
            ("ana@member.example", "mx.example.org; dkim=fail header.d=x.test; dkim=pass header.d=mail.member.example", ProofMethod::Dkim),
            ("ana@dept.member.example", "mx.example.org; dkim=pass header.d=member.example", ProofMethod::Dkim),
            ("ana@member.co.uk", "mx.example.org; dkim=pass header.d=mail.member.co.uk", ProofMethod::Dkim),
            ("ana@member.example", "mx.example.org; spf=pass smtp.mailfrom=ana@member.example", ProofMethod::Spf),
            ("ana@member.example", "mx.example.org; spf=pass smtp.mailfrom=bounce.member.example", ProofMethod::Spf),
            (
                "ana@member.example",
                "mx.example.org; dmarc=none header.from=member.example; spf=pass smtp.mailfrom=member.example",
                ProofMethod::Spf,
            ),
            ("ana@bücher.example", "mx.example.org; dmarc=pass header.from=xn--bcher-kva.example", ProofMethod::Dmarc),
            ("ana@bücher.example", "mx.example.org; dmarc=pass header.from=bücher.example", ProofMethod::Dmarc),
        ] {
            assert_eq!(method(author, value), Some(expected), "{value}");
        }
    }

    #[test]
    fn forged_and_foreign_results_prove_nothing() {
        for value in [
            // Another identifier that looks like ours.
            "mx.example.org.evil.test; dmarc=pass header.from=member.example",
            "evil-mx.example.org; dmarc=pass header.from=member.example",
            "mx.example.orgx; dmarc=pass header.from=member.example",
            "mx.example; dmarc=pass header.from=member.example",
            "evil.test (mx.example.org); dmarc=pass header.from=member.example",
            "(mx.example.org;) evil.test; dmarc=pass header.from=member.example",
            "(x) mx.example.org; dmarc=pass header.from=member.example",
            "\"mx.example.org\"; dmarc=pass header.from=member.example",
            "\"mx\".example.org; dmarc=pass header.from=member.example",
            "\"mx.example.org; dmarc=pass header.from=member.example\"; none",
            "evil.test; x=y reason=\"mx.example.org; dmarc=pass header.from=member.example\"",
            // A pass inside something else.
            "mx.example.org; dmarc=none (dmarc=pass header.from=member.example)",
            "mx.example.org; dkim=fail reason=\"x; dmarc=pass header.from=member.example\" header.d=evil.test",
            "mx.example.org; spf=fail smtp.mailfrom=\"x; dmarc=pass header.from=member.example\"@evil.test",
            "mx.example.org; spf=pass smtp.mailfrom=\"x@member.example\"@evil.test",
            "mx.example.org; none; (dmarc=pass header.from=member.example)",
            // A pass for somebody else.
            "mx.example.org; dmarc=pass header.from=evil.test",
            "mx.example.org; dmarc=pass header.from=mail.member.example",
            "mx.example.org; dmarc=pass header.from=member.example header.from=evil.test",
            "mx.example.org; dmarc=pass",
            "mx.example.org; dkim=pass header.d=evil.test header.i=@member.example",
            "mx.example.org; dkim=pass header.d=notmember.example",
            "mx.example.org; dkim=pass header.d=member.example.evil.test",
            "mx.example.org; dkim=pass header.d=example",
            "mx.example.org; dkim=pass header.i=@member.example",
            "mx.example.org; dkim=pass policy.header.d=member.example",
            "mx.example.org; spf=pass smtp.mailfrom=ana@evil.test smtp.helo=member.example",
            // A null sender.
            "mx.example.org; spf=pass smtp.helo=member.example",
            "mx.example.org; spf=pass smtp.mailfrom=<>",
            "mx.example.org; spf=pass smtp.mailfrom=\"\" smtp.helo=member.example",
            "mx.example.org; spf=pass smtp.mailfrom=postmaster@member.example",
            "mx.example.org; spf=pass smtp.mailfrom=@member.example",
            // No pass at all, or one outweighed.
            "mx.example.org; dmarc=fail header.from=member.example; dkim=pass header.d=member.example",
            "mx.example.org; dkim=pass header.d=member.example; dmarc=fail header.from=member.example",
            "mx.example.org; dmarc=pass header.from=member.example; dmarc=fail header.from=member.example",
            "mx.example.org; dkim=policy header.d=member.example",
            "mx.example.org; dkim=neutral header.d=member.example; spf=softfail smtp.mailfrom=member.example",
            "mx.example.org; arc=pass header.d=member.example; auth=pass smtp.auth=ana@member.example",
            "mx.example.org; dkim=passed header.d=member.example",
            "mx.example.org; none",
            // Another version, or no grammar.
            "mx.example.org 2; dmarc=pass header.from=member.example",
            "mx.example.org; dmarc=pass header.from=member.example (",
            "",
        ] {
            assert_eq!(method("ana@member.example", value), None, "{value}");
        }
    }

    #[test]
    fn a_public_suffix_is_nobodys_proof() {
        for domain in ["co.uk", "uk", "github.io", "io"] {
            let value = format!("mx.example.org; dkim=pass header.d={domain}");
            assert_eq!(method("ana@member.co.uk", &value), None, "{domain}");
            assert_eq!(method("ana@member.github.io", &value), None, "{domain}");
        }
        assert_eq!(method("ana@member.co.uk", "mx.example.org; dkim=pass header.d=other.co.uk"), None);
    }

    #[test]
    fn only_the_topmost_field_of_the_relay_counts() {
        let pass = ("Authentication-Results", "mx.example.org; dmarc=pass header.from=member.example");
        let foreign = ("Authentication-Results", "elsewhere.test; dmarc=pass header.from=member.example");
        let other = ("Received", "from x by y");
        assert!(proof("ana@member.example", true, &[foreign, other, pass]).is_proved());
        assert!(proof("ana@member.example", true, &[("authentication-results ", pass.1)]).is_proved());
        for above in [
            "mx.example.org; none",
            "mx.example.org; dmarc=fail header.from=member.example",
            "mx.example.org; dmarc=pass (",
            "\"mx.example.org\"; x=y",
        ] {
            let fields = [("Authentication-Results", above), pass];
            assert!(!proof("ana@member.example", true, &fields).is_proved(), "{above}");
        }
        for name in ["ARC-Authentication-Results", "X-Authentication-Results", "Authentication-Results-Original", "Received-SPF"] {
            assert!(!proof("ana@member.example", true, &[(name, pass.1)]).is_proved(), "{name}");
        }
        assert!(!proof("ana@member.example", false, &[pass]).is_proved());
        assert!(!proof("ana@member.example", true, &[]).is_proved());
    }

    #[test]
    fn what_was_tried_is_told_without_a_strangers_words() {
        let fields = [("Authentication-Results", "mx.example.org; dkim=fail reason=\"<b>x\" header.d=evil.test; spf=none\u{1b}")];
        let SenderProof::Unproved { tried, .. } = proof("ana@member.example", true, &fields) else { panic!("proved") };
        assert_eq!(tried, "the Authentication-Results of mx.example.org cannot be read");
        let fields = [("Authentication-Results", "mx.example.org; dkim=fail reason=\"<b>x\" header.d=evil.test; spf=<i>none")];
        let SenderProof::Unproved { tried, .. } = proof("ana@member.example", true, &fields) else { panic!("proved") };
        assert_eq!(tried, "mx.example.org says dkim=fail, spf=inone");
        assert_eq!(authserv_id_of(" MX.example.org (x); none").as_deref(), Some("mx.example.org"));
    }
}
