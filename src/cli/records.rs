//! What `enlace check` finds in the DNS about the list domain, and in certificates about their end.

use std::path::Path;

use chrono::{DateTime, NaiveDateTime, Utc};
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;

use super::check::{Finding, error, ok, warning};
use crate::config::Config;
use crate::smtp::proof::dns::Dns;

/// Days before its end from which a certificate is a warning.
const SOON: i64 = 14;

/// MX, SPF, DKIM and DMARC records of the list domain (RFC 5321, 7208, 6376, 7489).
pub async fn domain(config: &Config, dns: &Dns) -> Vec<Finding> {
    let domain = &config.service.domain;
    let mut findings = vec![mail_servers(domain, dns).await, spf(domain, dns).await];
    if let Some(dkim) = &config.dkim {
        let signing = dkim.domain.as_deref().unwrap_or(domain);
        for (selector, _) in dkim.keys() {
            findings.push(key(&format!("{selector}._domainkey.{signing}"), dns).await);
        }
    }
    findings.push(dmarc(domain, dns).await);
    findings
}

async fn mail_servers(domain: &str, dns: &Dns) -> Finding {
    match dns.mail_servers(domain).await {
        Ok(hosts) if hosts.is_empty() => warning(
            "dns",
            format!("{domain} has no MX record"),
            format!("publish `{domain}. MX 10 HOST.` with the mail server in front of Enlace, or let {domain} be its own address"),
        ),
        Ok(hosts) => ok("dns", format!("mail for {domain} goes to {}", hosts.join(", "))),
        Err(found) => unknown(domain, &found),
    }
}

async fn spf(domain: &str, dns: &Dns) -> Finding {
    match dns.texts(domain).await.map(|texts| texts.iter().filter(|text| text.to_ascii_lowercase().starts_with("v=spf1")).count()) {
        Ok(1) => ok("dns", format!("{domain} has an SPF record")),
        Ok(0) => warning(
            "dns",
            format!("{domain} has no SPF record: bounces' envelope sender is in this domain"),
            format!("publish `{domain}. TXT \"v=spf1 mx -all\"`, or with the addresses that send"),
        ),
        Ok(count) => error("dns", format!("{domain} has {count} SPF records: all of them are void (RFC 7208 section 4.5)"), "leave one"),
        Err(found) => unknown(domain, &found),
    }
}

async fn key(name: &str, dns: &Dns) -> Finding {
    let published =
        |text: &String| text.split(';').map(str::trim).any(|part| part.strip_prefix("p=").is_some_and(|key| !key.trim().is_empty()));
    match dns.texts(name).await {
        Ok(texts) if texts.iter().any(published) => ok("dns", format!("{name} publishes a key")),
        Ok(_) => error("dns", format!("{name} publishes no key: every signature fails"), "`enlace dkim` prints the record to publish"),
        Err(found) => unknown(name, &found),
    }
}

async fn dmarc(domain: &str, dns: &Dns) -> Finding {
    let name = format!("_dmarc.{domain}");
    match dns.texts(&name).await {
        Ok(texts) if texts.iter().any(|text| text.starts_with("v=DMARC1")) => ok("dns", format!("{name} has a policy")),
        Ok(_) => {
            warning("dns", format!("{name} has no policy"), format!("publish `{name}. TXT \"v=DMARC1; p=none; rua=mailto:…\"` at least"))
        }
        Err(found) => unknown(&name, &found),
    }
}

fn unknown(name: &str, found: &str) -> Finding {
    warning("dns", format!("{name} could not be looked up: {found}"), "look at the name servers of this machine")
}

/// When the first certificate of a PEM file ends.
pub fn certificate(file: &Path, now: DateTime<Utc>) -> Option<Finding> {
    let certificate = CertificateDer::pem_file_iter(file).ok()?.next()?.ok()?;
    let end = not_after(&certificate)?;
    let days = (end - now).num_days();
    let shown = format!("{} ends on {}", file.display(), end.format("%Y-%m-%d %H:%M UTC"));
    Some(match days {
        _ if end <= now => error("tls", shown, "renew it; the daemon takes the new file by itself"),
        0..SOON => warning("tls", format!("{shown}, in {days} days"), "renew it; the daemon takes the new file by itself"),
        _ => ok("tls", shown),
    })
}

/// The end of the validity of an X.509 certificate (RFC 5280 section 4.1.2.5): the sequence of two times.
fn not_after(der: &[u8]) -> Option<DateTime<Utc>> {
    (0..der.len()).find_map(|at| {
        let [0x30, length, rest @ ..] = der.get(at..)? else { return None };
        let (_, second) = time(rest.get(..usize::from(*length))?)?;
        let (end, behind) = time(second)?;
        behind.is_empty().then_some(end)
    })
}

/// One time, and what is behind it.
fn time(der: &[u8]) -> Option<(DateTime<Utc>, &[u8])> {
    let [tag, length, rest @ ..] = der else { return None };
    let (text, behind) = rest.split_at_checked(usize::from(*length))?;
    let text = std::str::from_utf8(text).ok()?;
    let whole = match tag {
        // Two digits of the year: 50 and above are of the last century.
        0x17 => format!("{}{text}", if text.get(..2)? >= "50" { "19" } else { "20" }),
        0x18 => text.to_owned(),
        _ => return None,
    };
    let time = NaiveDateTime::parse_from_str(&whole, "%Y%m%d%H%M%SZ").ok()?;
    Some((time.and_utc(), behind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_certificate_is_read_from_its_validity() {
        let mut parameters = rcgen::CertificateParams::new(vec!["mx.example.org".to_owned()]).unwrap();
        parameters.not_after = rcgen::date_time_ymd(2031, 3, 4);
        let pair = rcgen::KeyPair::generate().unwrap();
        let certificate = parameters.self_signed(&pair).unwrap();
        let end = not_after(certificate.der()).unwrap();
        assert_eq!(end.to_rfc3339(), "2031-03-04T00:00:00+00:00");
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("c.pem");
        std::fs::write(&file, certificate.pem()).unwrap();
        for (days, state) in [(-30, "ok"), (-3, "warning"), (1, "error")] {
            assert_eq!(super::certificate(&file, end + chrono::TimeDelta::days(days)).unwrap().state, state, "{days}");
        }
    }
}
