//! `enlace check`: one line each for configuration, templates, store, permissions, messages that ended the daemon, relay, DNS,
//! TLS, listeners and clock: what is wrong and how to mend it.
//!
//! A configuration or store that cannot be read at all is refused before this runs, with the same kind of line.
//! Looks and changes nothing; talks to the relay as far as its greeting.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, Datelike, Utc};
use serde::Serialize;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::{TcpStream, lookup_host};

use super::control::SOCKET;
use super::execute::Context;
use super::records;
use super::report::{Failure, Report, Table, to_json};
use crate::config::{Config, RelayTls, Transport, Verify};
use crate::directory::ldap;
use crate::service::{roles, webhook};
use crate::smtp::proof::dns::Dns;
use crate::text::Texts;

/// How long the relay and the DNS may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// What was found of one thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Which thing: `store`, `relay` …
    pub check: &'static str,
    /// `ok`, `warning` or `error`.
    pub state: &'static str,
    /// What was found.
    pub text: String,
    /// What to do about it; empty when all is well.
    pub remedy: String,
}

pub(super) fn ok(check: &'static str, text: impl Into<String>) -> Finding {
    Finding { check, state: "ok", text: text.into(), remedy: String::new() }
}

pub(super) fn warning(check: &'static str, text: impl Into<String>, remedy: impl Into<String>) -> Finding {
    Finding { check, state: "warning", text: text.into(), remedy: remedy.into() }
}

pub(super) fn error(check: &'static str, text: impl Into<String>, remedy: impl Into<String>) -> Finding {
    Finding { check, state: "error", text: text.into(), remedy: remedy.into() }
}

/// Carries it out; an error among the findings makes the exit status 1.
///
/// # Errors
/// Never; what is wrong is in the report.
pub async fn execute(context: &Context<'_>) -> Result<Report, Failure> {
    let config = &context.services.config;
    let mut findings = vec![configuration(config), templates(config), store(context).await];
    findings.extend(permissions(&config.service.data_dir));
    findings.push(disk(config));
    findings.extend(messages(context));
    findings.push(groups(context));
    findings.push(operators(context).await);
    findings.push(relay(config).await);
    findings.push(dns(config).await);
    if !is_reserved(&config.service.domain) || config.senders.nameserver.is_some() {
        match Dns::new(config.senders.nameserver) {
            Ok(dns) => findings.extend(records::domain(config, &dns).await),
            Err(found) => findings.push(warning("dns", found, "look at /etc/resolv.conf, or set senders.nameserver")),
        }
    }
    findings.extend(tls(config));
    findings.push(senders(config));
    findings.extend(directory(config).await);
    findings.extend(dkim(context).await);
    findings.extend(webhooks(context).await);
    findings.push(links(config));
    findings.push(clock(context.services.now(), Utc::now()));
    let mut table = Table::plain();
    for finding in &findings {
        let remedy = if finding.remedy.is_empty() { String::new() } else { format!("; {}", finding.remedy) };
        table.row([finding.state.to_owned(), finding.check.to_owned(), format!("{}{remedy}", finding.text)]);
    }
    let problems = findings.iter().filter(|finding| finding.state == "error").map(|finding| format!("{}: {}", finding.check, finding.text));
    Ok(Report::new(table.to_string(), to_json(&findings)?).with_problems(problems.collect()))
}

/// The LDAP server, if there is one: asked for one person.
async fn directory(config: &Config) -> Option<Finding> {
    let ldap = config.directory.ldap.as_ref()?;
    let who = if ldap.bind_dn.is_empty() { "anybody" } else { &ldap.bind_dn };
    Some(match ldap::look(ldap).await {
        Ok(Some(dn)) => ok("directory", format!("{} lets {who} in and has people, such as {dn}", ldap.url)),
        Ok(None) => warning(
            "directory",
            format!("{} lets {who} in and has nobody who fits {} below \"{}\"", ldap.url, ldap.filter, ldap.base),
            "mend directory.ldap.base or filter, or the rights of bind_dn",
        ),
        Err(found) => {
            let found = found.to_string();
            let (text, remedy) = found.rsplit_once("; ").unwrap_or((&found, "look at the server"));
            error("directory", text, remedy)
        }
    })
}

/// Messages over which the daemon ended too often; those of posts that were on their way out are held and not here.
fn messages(context: &Context<'_>) -> Option<Finding> {
    let alone = context.services.quarantine.left_alone();
    let text = format!("the service ended too often over these, so they are left alone: {}", alone.join(", "));
    let remedy = "update Enlace, or send such a message to its maintainers; data_dir/handling/deaths names them";
    (!alone.is_empty()).then(|| warning("messages", text, remedy))
}

fn configuration(config: &Config) -> Finding {
    let stray = Config::stray_variables(std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()));
    if !stray.is_empty() {
        let names: Vec<&str> = stray.iter().map(|(name, _)| name.as_str()).collect();
        let meant: Vec<&str> = stray.iter().filter_map(|(_, meant)| meant.as_deref()).collect();
        let remedy =
            if meant.is_empty() { "unset them; a key is ENLACE_SECTION__KEY".to_owned() } else { format!("write {}", meant.join(", ")) };
        return warning("configuration", format!("these variables of the environment set nothing: {}", names.join(", ")), remedy);
    }
    ok(
        "configuration",
        format!("list domain {}, {} listeners, pages at {}", config.service.domain, config.listen.len(), config.web.address),
    )
}

fn templates(config: &Config) -> Finding {
    let languages = config.service.languages.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    match Texts::load(config.service.templates.as_deref()) {
        Ok(_) => ok("templates", format!("complete in {languages}")),
        Err(found) => error("templates", found.to_string(), "mend the file, or take it away: the built-in text is used then"),
    }
}

async fn store(context: &Context<'_>) -> Finding {
    match context.services.store.health().await {
        Ok(()) => ok("store", format!("{} keeps mail", context.services.config.service.data_dir.display())),
        Err(found) => error("store", found.to_string(), "make room on the disk, or look at its rights"),
    }
}

/// Room on the disk of the data folder, against what the store needs to take mail; several times that is well.
fn disk(config: &Config) -> Finding {
    let folder = &config.service.data_dir;
    let (free, floor) = match rustix::fs::statvfs(folder) {
        Ok(room) => (room.f_bavail.saturating_mul(room.f_frsize), config.limits.free_disk.0),
        Err(found) => return error("disk", format!("{}: {found}", folder.display()), "look at the rights of the folder"),
    };
    let shown = format!("{} MiB are free on the disk of {}", free / 1024 / 1024, folder.display());
    let needed = format!("{shown}; below {} MiB (limits.free_disk) no mail is taken", floor / 1024 / 1024);
    if free < floor {
        error("disk", needed, "make room")
    } else if free < floor.saturating_mul(4) {
        warning("disk", needed, "make room before mail is refused")
    } else {
        ok("disk", shown)
    }
}

/// Who else may read the data folder or speak to the daemon.
fn permissions(data_dir: &Path) -> Vec<Finding> {
    let mode = |path: &Path| fs::metadata(path).map(|metadata| metadata.permissions().mode() & 0o777);
    let mut findings = Vec::new();
    match mode(data_dir) {
        Ok(mode) if mode.trailing_zeros() >= 6 => findings.push(ok("permissions", format!("{} is for its owner only", data_dir.display()))),
        Ok(mode) => findings.push(error(
            "permissions",
            format!("{} has mode {mode:04o}: other users of this machine may read mail and the secret of all tokens", data_dir.display()),
            format!("chmod 0700 {}", data_dir.display()),
        )),
        Err(found) => {
            findings.push(error("permissions", format!("{}: {found}", data_dir.display()), "look at the rights of its parent folder"));
        }
    }
    let socket = data_dir.join(SOCKET);
    match mode(&socket) {
        Ok(mode) if mode != 0o600 => findings.push(error(
            "permissions",
            format!("{} has mode {mode:04o}: other users may command the daemon", socket.display()),
            format!("chmod 0600 {}", socket.display()),
        )),
        _ => {}
    }
    findings
}

fn groups(context: &Context<'_>) -> Finding {
    match context.services.groups().iter().filter(|group| !group.retired).count() {
        0 => warning("groups", "there are no groups, so every address is refused", "`enlace group apply FILE` adds them"),
        count => ok("groups", format!("{count} groups take part")),
    }
}

/// `postmaster@` has to reach somebody (RFC 5321 section 4.5.1).
async fn operators(context: &Context<'_>) -> Finding {
    match roles::operators(context.services).await.map(|operators| operators.len()) {
        Ok(0) => warning(
            "operators",
            "no account has the role operator, so mail to postmaster and abuse is refused",
            "`enlace account set ADDRESS roles=operator`",
        ),
        Ok(count) => ok("operators", format!("{count} get what is written to postmaster and abuse")),
        Err(failure) => warning("operators", failure.to_string(), "see the line about the store"),
    }
}

async fn relay(config: &Config) -> Finding {
    let relay = &config.relay;
    if relay.transport == Transport::Directory {
        let outbox = config.service.data_dir.join("outbox");
        return warning(
            "relay",
            format!("copies are written to {} and not sent", outbox.display()),
            "set relay.transport = \"smtp\" to hand them to a mail server",
        );
    }
    let at = format!("{}:{}", relay.host, relay.port);
    let remedy = "look at relay.host, relay.port and relay.tls, and whether the mail server runs";
    let greeting = async {
        let stream = TcpStream::connect((relay.host.as_str(), relay.port)).await?;
        let mut line = String::new();
        if relay.tls != RelayTls::Implicit {
            tokio::io::AsyncReadExt::take(BufReader::new(stream), 2_000).read_line(&mut line).await?;
        }
        Ok::<_, std::io::Error>(line)
    };
    match tokio::time::timeout(PATIENCE, greeting).await {
        Err(_) => error("relay", format!("{at} did not greet within {} s", PATIENCE.as_secs()), remedy),
        Ok(Err(found)) => error("relay", format!("{at}: {found}"), remedy),
        Ok(Ok(line)) if relay.tls == RelayTls::Implicit || line.starts_with("220") => ok("relay", format!("{at} answers")),
        Ok(Ok(line)) => error("relay", format!("{at} greets with {:?}", line.trim_end()), remedy),
    }
}

/// Names that nobody owns (RFC 2606).
fn is_reserved(domain: &str) -> bool {
    ["example.org", "example.com", "example.net", "example", "test", "invalid", "localhost"]
        .iter()
        .any(|reserved| domain == *reserved || domain.ends_with(&format!(".{reserved}")))
}

async fn dns(config: &Config) -> Finding {
    let domain = &config.service.domain;
    if is_reserved(domain) {
        return warning("dns", format!("{domain} is a name for examples (RFC 2606): no mail can come in"), "set service.domain");
    }
    match tokio::time::timeout(PATIENCE, lookup_host((domain.as_str(), 25))).await {
        Ok(Ok(_)) => ok("dns", format!("{domain} has an address")),
        _ => warning(
            "dns",
            format!("{domain} has no address here; with an MX record of its own that is fine"),
            format!("look with `host -t mx {domain}`: it has to name the mail server in front of Enlace"),
        ),
    }
}

fn tls(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    for listen in &config.listen {
        let Some(tls) = &listen.tls else { continue };
        findings.extend(records::certificate(&tls.certificate, Utc::now()));
        for (file, label) in [(&tls.certificate, "CERTIFICATE"), (&tls.key, "PRIVATE KEY")] {
            findings.push(match fs::read_to_string(file) {
                Ok(text) if text.contains("-----BEGIN ") && text.contains(label) => ok("tls", format!("{} has a {label}", file.display())),
                Ok(_) => error("tls", format!("{} holds no PEM {label}", file.display()), "name a PEM file in listen.tls"),
                Err(found) => error("tls", format!("{}: {found}", file.display()), "let the daemon's user read it"),
            });
        }
    }
    findings
}

fn senders(config: &Config) -> Finding {
    match config.senders.verify {
        Verify::None => warning("senders", "every visible From is believed", "senders.verify = \"headers\" outside of tests"),
        Verify::Headers => {
            let wide = config.listen.iter().flat_map(|listen| &listen.trusted_networks).next().is_none();
            let id = &config.senders.authserv_id;
            if wide {
                let text = "no client is in trusted_networks, so no Authentication-Results count and every post waits for its author";
                warning("senders", text, "name the mail server's address in listen.trusted_networks")
            } else {
                ok("senders", format!("the Authentication-Results of {id} count, from trusted networks"))
            }
        }
        Verify::Own => ok("senders", "DKIM, SPF and DMARC are looked at here"),
    }
}

/// The signing keys: for their owner only, and published as they are.
async fn dkim(context: &Context<'_>) -> Vec<Finding> {
    let (services, config) = (context.services, &context.services.config);
    let (Some(signer), Some(settings)) = (&services.signer, &config.dkim) else {
        let remedy = "`enlace dkim generate FILE` makes a key: large providers refuse unsigned list mail";
        return vec![warning("dkim", "copies are not signed", remedy)];
    };
    let mut findings = Vec::new();
    for (_, file) in settings.keys() {
        if let Ok(metadata) = fs::metadata(file)
            && metadata.permissions().mode() & 0o077 != 0
        {
            let text = format!("{} may be read by others, who could sign in your name", file.display());
            findings.push(error("dkim", text, format!("chmod 0600 {}", file.display())));
        }
    }
    for key in signer.keys() {
        let (name, record) = (format!("{}._domainkey.{}", key.selector(), signer.domain()), key.record());
        let publish = format!("publish as TXT of {name}: {record}");
        let texts = match &services.dns {
            Some(dns) => tokio::time::timeout(PATIENCE, dns.texts(&name)).await.unwrap_or_else(|_| Err("no answer".to_owned())),
            None => Err("this machine names no name server".to_owned()),
        };
        let squeezed = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
        findings.push(match texts {
            Ok(texts) if texts.iter().any(|text| squeezed(text) == squeezed(&record)) => ok("dkim", format!("{name} is published")),
            Ok(texts) if texts.is_empty() => warning("dkim", format!("{name} is not published"), publish),
            Ok(_) => error("dkim", format!("{name} publishes another key, so every signature fails"), publish),
            Err(why) => warning("dkim", format!("{name} cannot be looked up: {why}"), publish),
        });
    }
    findings
}

/// May each webhook still be called, and does it work?
async fn webhooks(context: &Context<'_>) -> Vec<Finding> {
    let lines = match webhook::list(context.services).await {
        Ok(lines) => lines,
        Err(found) => return vec![error("webhooks", found.to_string(), "look at the disk, or restore the last backup")],
    };
    let networks = &context.services.config.webhooks.allowed_networks;
    let judged = lines.into_iter().map(|line| {
        let (name, state) = (&line.hook.name, &line.state);
        if let Err(why) = crate::webhook::read_target(&line.hook.url, networks) {
            error("webhooks", format!("{name}: {why}"), "add it with another address, or set webhooks.allowed_networks")
        } else if state.disabled.is_some() {
            let remedy = format!("mend the receiver, then `enlace webhook enable {name}`: it is told what it missed");
            error("webhooks", format!("{name} rests after {} failures: {}", state.failures, state.said), remedy)
        } else if state.failures > 0 {
            let remedy = format!("mend the receiver; `enlace webhook test {name}` asks it");
            warning("webhooks", format!("{name} failed {} times: {}", state.failures, state.said), remedy)
        } else {
            ok("webhooks", format!("{name} at {}, {} events told", line.hook.url, state.delivered))
        }
    });
    judged.collect()
}

fn links(config: &Config) -> Finding {
    let url = &config.service.base_url;
    if url.starts_with("https://") {
        ok("links", format!("links in mail begin with {url}"))
    } else {
        let remedy = "put a web server with TLS in front and set service.base_url: one-click unsubscribe needs https (RFC 8058)";
        warning("links", format!("links in mail begin with {url}"), remedy)
    }
}

/// Is the service's time that of the machine, and is the machine's plausible?
fn clock(service: DateTime<Utc>, machine: DateTime<Utc>) -> Finding {
    let off = (service - machine).num_seconds();
    if machine.year() < 2026 {
        error("clock", format!("this machine believes it is {}", machine.date_naive()), "set its clock (timedatectl set-ntp true)")
    } else if off.abs() > 60 {
        warning(
            "clock",
            format!("the service runs at {}, as --clock asked", service.format("%Y-%m-%d %H:%M UTC")),
            "restart without --clock",
        )
    } else {
        ok("clock", service.format("%Y-%m-%d %H:%M:%S UTC").to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn a_moved_clock_and_a_wrong_one_are_told_apart() {
        let now = at("2026-11-24T08:00:00Z");
        assert_eq!(clock(now, now).state, "ok");
        assert_eq!(clock(at("2027-01-15T08:00:00Z"), now).state, "warning");
        assert_eq!(clock(at("1970-01-01T00:00:10Z"), at("1970-01-01T00:00:10Z")).state, "error");
    }

    #[test]
    fn a_folder_that_others_may_read_is_an_error_with_its_remedy() {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let found = permissions(folder.path());
        assert_eq!((found[0].state, found[0].remedy.starts_with("chmod 0700 ")), ("error", true), "{found:?}");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
        assert_eq!(permissions(folder.path())[0].state, "ok");
        fs::write(folder.path().join(SOCKET), "").unwrap();
        fs::set_permissions(folder.path().join(SOCKET), fs::Permissions::from_mode(0o666)).unwrap();
        assert!(permissions(folder.path())[1].text.contains("0666"));
    }

    #[tokio::test]
    async fn a_relay_that_greets_is_told_from_one_that_is_not_there() {
        let mut config = Config::default();
        assert_eq!(relay(&config).await.state, "warning");
        config.relay.transport = Transport::Smtp;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        config.relay.port = listener.local_addr().unwrap().port();
        let greet = tokio::spawn(async move {
            for greeting in ["220 mx.example.org\r\n", "554 no service\r\n"] {
                let (mut stream, _) = listener.accept().await.unwrap();
                tokio::io::AsyncWriteExt::write_all(&mut stream, greeting.as_bytes()).await.unwrap();
            }
        });
        assert_eq!(relay(&config).await.state, "ok");
        assert_eq!(relay(&config).await.state, "error");
        greet.await.unwrap();
        assert_eq!(relay(&config).await.state, "error");
    }

    #[tokio::test]
    async fn what_is_shipped_has_warnings_and_no_errors_of_configuration() {
        let config = Config::default();
        assert_eq!((configuration(&config).state, templates(&config).state), ("ok", "ok"));
        assert_eq!((dns(&config).await.state, links(&config).state, senders(&config).state), ("warning", "warning", "ok"));
    }
}
