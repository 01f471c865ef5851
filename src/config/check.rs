//! What can only be judged with several keys at once, or is more than the form of one value.

use std::path::Path;

use super::error::{line_of, nearest, place};
use super::{Backend, Config, ConfigError, Protocol, RelayTls, Verify};
use crate::domain::account::COLUMNS;
use crate::domain::address::EmailAddress;

pub(super) fn check(config: &Config, text: &str, file: &Path) -> Result<(), ConfigError> {
    let at = |path: &[&str], why: String, remedy: &str| Err(ConfigError::new(why, remedy).at(locate(text, file, path)));
    let service = &config.service;
    if format!("postmaster@{}", service.domain).parse::<EmailAddress>().is_err() || service.domain.contains(char::is_uppercase) {
        return at(
            &["service", "domain"],
            format!("\"{}\" is not a domain name in lower case", service.domain.escape_debug()),
            "write it as in lists.example.org",
        );
    }
    let scheme = service.base_url.strip_prefix("https://").or_else(|| service.base_url.strip_prefix("http://"));
    let plain =
        |host: &str| !host.is_empty() && !host.ends_with('/') && host.chars().all(|c| c.is_ascii_graphic() && !"\"<>?#".contains(c));
    if !scheme.is_some_and(plain) {
        return at(
            &["service", "base_url"],
            format!("\"{}\" is not the beginning of a link", service.base_url.escape_debug()),
            "write http:// or https:// and the host, without a slash at the end",
        );
    }
    if service.languages.is_empty() {
        return at(&["service", "languages"], "no language is named".into(), "name at least \"en\"");
    }
    if service.name.chars().any(char::is_control) || service.name.trim().is_empty() {
        return at(&["service", "name"], "the name is empty or has control characters".into(), "write one line of text");
    }
    if let Err(error) = service.log.parse::<tracing_subscriber::filter::Targets>() {
        return at(
            &["service", "log"],
            format!("\"{}\" is no level of logging: {error}", service.log.escape_debug()),
            "write \"info\", or \"info,enlace::smtp=debug\"",
        );
    }
    check_listeners(config, text, file)?;
    if config.store.backend == Backend::Postgres && config.store.url.is_none() {
        return at(&["store", "backend"], "the postgres store needs a url".into(), "give store.url or store.url_file");
    }
    if !(4..=1_000).contains(&config.store.connections) {
        return at(&["store", "connections"], format!("{} connections to the database", config.store.connections), "use 4 to 1000");
    }
    if config.store.lease.0.as_secs() < 5 {
        return at(&["store", "lease"], "a lease of less than 5 s would end while a copy is handed over".into(), "use at least \"5 s\"");
    }
    let relay = &config.relay;
    if relay.connections == 0 || relay.connections > 1_000 {
        return at(&["relay", "connections"], format!("{} connections to the relay", relay.connections), "use 1 to 1000");
    }
    if relay.recipients == 0 || relay.recipients > 1_000 {
        return at(&["relay", "recipients"], format!("{} recipients a transaction", relay.recipients), "use 1 to 1000");
    }
    if relay.host.trim().is_empty() || relay.host.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return at(&["relay", "host"], "the relay has no host".into(), "name the mail server that takes our mail");
    }
    if relay.username.is_some() != relay.password.is_some() {
        return at(
            &["relay", "username"],
            "SMTP AUTH needs a user name and a password".into(),
            "give username and password_file, or neither",
        );
    }
    let local = relay.host.parse::<std::net::IpAddr>().map_or(relay.host == "localhost", |address| address.is_loopback());
    if relay.password.is_some() && relay.tls == RelayTls::None && !local {
        return at(
            &["relay", "tls"],
            "the password for the relay would cross the network in the clear".into(),
            "set relay.tls to \"starttls\" or \"implicit\"",
        );
    }
    check_directory(config, text, file)?;
    check_numbers(config, text, file)
}

/// The tables by column are free in their form, so their keys are looked at here; and what only the server would find.
fn check_directory(config: &Config, text: &str, file: &Path) -> Result<(), ConfigError> {
    let at = |path: &[&str], why: String, remedy: &str| Err(ConfigError::new(why, remedy).at(locate(text, file, path)));
    let claims = config.oidc.iter().flat_map(|oidc| oidc.claims.keys().map(|column| (vec!["oidc", "claims"], column)));
    let of_ldap = config.directory.ldap.iter().flat_map(|ldap| {
        let keys = [("attributes", ldap.attributes.keys().collect::<Vec<_>>()), ("values", ldap.values.keys().collect())];
        let keys = keys.into_iter().chain([("defaults", ldap.defaults.keys().collect())]);
        keys.flat_map(|(table, columns)| columns.into_iter().map(move |column| (vec!["directory", "ldap", table], column)))
    });
    for (mut path, column) in claims.chain(of_ldap) {
        if !COLUMNS.contains(&column.as_str()) {
            let remedy = match nearest(column, COLUMNS) {
                Some(near) => format!("the nearest known column is \"{near}\""),
                None => format!("known are {}", COLUMNS.join(", ")),
            };
            let why = format!("\"{}\" is no column of an account", column.escape_debug());
            path.push(column);
            return at(&path, why, &remedy);
        }
    }
    let Some(ldap) = &config.directory.ldap else { return Ok(()) };
    let host = ldap.url.strip_prefix("ldaps://").or_else(|| ldap.url.strip_prefix("ldap://"));
    if !host.is_some_and(|host| !host.trim_matches('/').is_empty() && host.chars().all(|c| c.is_ascii_graphic())) {
        return at(
            &["directory", "ldap", "url"],
            format!("\"{}\" is not the address of an LDAP server", ldap.url.escape_debug()),
            "write ldaps://ldap.example.org, or ldap:// with starttls = true",
        );
    }
    if ldap.starttls && ldap.url.starts_with("ldaps:") {
        return at(&["directory", "ldap", "starttls"], "ldaps:// is TLS already".into(), "leave starttls out, or write ldap://");
    }
    if ldap3::parse_filter(&ldap.filter).is_err() {
        return at(
            &["directory", "ldap", "filter"],
            format!("\"{}\" is no filter of LDAP (RFC 4515)", ldap.filter.escape_debug()),
            "write it as in \"(&(objectClass=person)(mail=*))\", with every bracket closed",
        );
    }
    let (named, secret) = (!ldap.bind_dn.trim().is_empty(), ldap.password.as_ref().is_some_and(|secret| !secret.reveal().is_empty()));
    match (named, secret) {
        (true, false) => at(
            &["directory", "ldap", "bind_dn"],
            "bind_dn has no password, and a server takes an empty one for an anonymous bind".into(),
            "give password_file, or leave bind_dn out to ask without a name",
        ),
        (false, true) => at(&["directory", "ldap", "password"], "the password is nobody's".into(), "give bind_dn too, or leave both out"),
        _ => Ok(()),
    }
}

fn check_listeners(config: &Config, text: &str, file: &Path) -> Result<(), ConfigError> {
    let at = |path: &[&str], why: String, remedy: &str| Err(ConfigError::new(why, remedy).at(locate(text, file, path)));
    if config.listen.is_empty() {
        return at(&["listen"], "no listener takes mail".into(), "add a [[listen]] table");
    }
    if config.senders.verify == Verify::None && config.has_public_listener() {
        return at(
            &["senders", "verify"],
            "verify = \"none\" believes every sender, and a listener is reachable from other machines".into(),
            "use \"headers\" or \"own\", or let every [[listen]] have a loopback address",
        );
    }
    for (index, listen) in config.listen.iter().enumerate() {
        let number = index.to_string();
        let public = !listen.address.ip().is_loopback();
        if listen.protocol == Protocol::Submission && listen.tls.is_none() && public {
            return at(
                &["listen", &number, "protocol"],
                "submission without tls would ask for passwords in the clear".into(),
                "give tls = { certificate = \"…\", key = \"…\" }",
            );
        }
        let twice = config.listen[..index].iter().any(|other| other.address == listen.address && listen.address.port() != 0);
        if twice {
            return at(&["listen", &number, "address"], format!("two listeners have the address {}", listen.address), "change one of them");
        }
    }
    if config.senders.verify == Verify::Headers && config.senders.authserv_id.trim().is_empty() {
        return at(&["senders", "authserv_id"], "nobody's Authentication-Results would count".into(), "name the relay that writes them");
    }
    Ok(())
}

fn check_numbers(config: &Config, text: &str, file: &Path) -> Result<(), ConfigError> {
    let limits = &config.limits;
    if config.directory.removal_brake > 100 {
        let error = ConfigError::new("removal_brake is a part in percent", "use 0 to 100");
        return Err(error.at(locate(text, file, &["directory", "removal_brake"])));
    }
    for (key, value, least) in [
        ("message_size", limits.message_size.0, 64 << 10),
        ("header_size", limits.header_size.0, 16 << 10),
        ("header_fields", limits.header_fields as u64, 50),
        ("mime_depth", limits.mime_depth as u64, 5),
        ("mime_parts", limits.mime_parts as u64, 10),
        ("hops", limits.hops as u64, 10),
        ("recipients", limits.recipients as u64, 100),
        ("session_errors", limits.session_errors as u64, 1),
        ("session_commands", limits.session_commands as u64, 20),
        ("greeting_timeout", limits.greeting_timeout.0.as_secs(), 1),
        ("command_timeout", limits.command_timeout.0.as_secs(), 1),
        ("data_timeout", limits.data_timeout.0.as_secs(), 1),
        ("sessions", limits.sessions as u64, 1),
        ("sessions_trusted_network", limits.sessions_trusted_network as u64, 1),
        ("sessions_network", limits.sessions_network as u64, 1),
        ("import_rows", limits.import_rows as u64, 1),
    ] {
        if value < least {
            let error = ConfigError::new(format!("limits.{key} is too small to work with"), format!("use at least {least}"));
            return Err(error.at(locate(text, file, &["limits", key])));
        }
    }
    Ok(())
}

/// `FILE, line N` of the key, or its path when it is not in the file (built in, or from the environment).
pub(super) fn locate(text: &str, file: &Path, path: &[&str]) -> String {
    find(text, path).map_or_else(|| path.join("."), |line| place(file, line))
}

fn find(text: &str, path: &[&str]) -> Option<usize> {
    let document = toml::de::DeTable::parse(text).ok()?;
    let (first, rest) = path.split_first()?;
    let mut value = document.get_ref().get(*first)?;
    for part in rest {
        value = match value.get_ref() {
            toml::de::DeValue::Table(table) => table.get(*part)?,
            toml::de::DeValue::Array(list) => list.get(part.parse::<usize>().ok()?)?,
            _ => return None,
        };
    }
    Some(line_of(text, value.span().start))
}
