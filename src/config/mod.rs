//! `config/enlace.toml`: read and checked once at the start, passed by value from then on.
//!
//! One struct a concern. Every value is turned into its own type while it is read, so that nothing checks it again. An unknown
//! key is refused with file, line and the nearest known key; a wrong value with file, line and what it may be.
//! Every key can also be given as an environment variable: `ENLACE_RELAY__HOST` is `host` of `[relay]`,
//! `ENLACE_LISTEN__0__ADDRESS` is `address` of the first `[[listen]]`. The environment wins over the file.
//! Without a file the built-in values are in force, which equal the shipped file (a test compares them).

mod check;
mod directory;
mod dkim;
mod environment;
mod error;
mod limits;
mod listen;
mod relay;
mod reload;
mod retention;
mod schedule;
mod secret;
mod senders;
mod service;
mod store;
mod value;
mod web;
mod webhooks;

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::domain::meeting::LeadTimes;

pub use directory::{Directory, Ldap, Oidc};
pub use dkim::{Dkim, DkimKey};
pub use error::{ConfigError, Problem, nearest};
pub use limits::Limits;
pub use listen::{Listen, Protocol, Tls};
pub use relay::{Relay, RelayTls, Transport};
pub use retention::{ErasedPosts, Retention};
pub use schedule::Schedule;
pub use secret::Secret;
pub use senders::{Senders, Verify};
pub use service::Service;
pub use store::{Backend, Store};
pub use value::{Cron, Network, Octets, Span};
pub use web::Web;
pub use webhooks::Webhooks;

/// Where the file is looked for when none is named, in this order.
pub const PLACES: [&str; 2] = ["config/enlace.toml", "/etc/enlace/enlace.toml"];

/// The whole configuration.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The service itself.
    pub service: Service,
    /// Where the record is kept.
    pub store: Store,
    /// Listeners for mail.
    pub listen: Vec<Listen>,
    /// Pages and API.
    pub web: Web,
    /// Where copies are handed over.
    pub relay: Relay,
    /// How senders are proved.
    pub senders: Senders,
    /// Signing of what is sent.
    pub dkim: Option<Dkim>,
    /// Where accounts come from.
    pub directory: Directory,
    /// Sign-in through an OpenID Connect provider.
    pub oidc: Option<Oidc>,
    /// Recurring jobs.
    pub schedule: Schedule,
    /// Lead times of meetings: letter, deadlines, reminders.
    pub meetings: LeadTimes,
    /// Bounds on what comes from outside.
    pub limits: Limits,
    /// How long things are kept.
    pub retention: Retention,
    /// Programs that are told of events.
    pub webhooks: Webhooks,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            service: Service::default(),
            store: Store::default(),
            listen: vec![Listen::default()],
            web: Web::default(),
            relay: Relay::default(),
            senders: Senders::default(),
            dkim: None,
            directory: Directory::default(),
            oidc: None,
            schedule: Schedule::default(),
            meetings: LeadTimes::default(),
            limits: Limits::default(),
            retention: Retention::default(),
            webhooks: Webhooks::default(),
        }
    }
}

impl Config {
    /// Reads the file (or one of [`PLACES`], or nothing), lays the environment over it, and checks everything.
    ///
    /// `environment` are all variables of the process; those that do not begin with `ENLACE_` or have no `__` are passed over.
    ///
    /// # Errors
    /// The first thing that is wrong, with file and line or the variable, and the remedy.
    pub fn load(path: Option<&Path>, environment: impl IntoIterator<Item = (String, String)>) -> Result<Self, ConfigError> {
        let found = path.map(Path::to_owned).or_else(|| PLACES.iter().map(PathBuf::from).find(|place| place.is_file()));
        let Some(file) = found else {
            return Self::parse("", Path::new("the built-in configuration"), environment);
        };
        let text = std::fs::read_to_string(&file).map_err(|error| {
            ConfigError::new(format!("cannot read {}: {error}", file.display()), "name the file with --config, or mend its permissions")
        })?;
        Self::parse(&text, &file, environment)
    }

    /// The same from text; `file` is only named in errors.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(text: &str, file: &Path, environment: impl IntoIterator<Item = (String, String)>) -> Result<Self, ConfigError> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let plain: Self = toml::from_str(text).map_err(|error| ConfigError::from_toml(&error, text, file))?;
        let mut config = environment::lay_over(plain, text, environment)?;
        config.read_secrets(text, file)?;
        check::check(&config, text, file)?;
        Ok(config)
    }

    /// Names among these that begin with `ENLACE_` and set nothing, each with the variable that may have been meant.
    pub fn stray_variables(names: impl IntoIterator<Item = String>) -> Vec<(String, Option<String>)> {
        environment::stray(names)
    }

    /// Is a listener reachable from another machine?
    pub fn has_public_listener(&self) -> bool {
        self.listen.iter().any(|listen| !listen.address.ip().is_loopback())
    }

    fn read_secrets(&mut self, text: &str, file: &Path) -> Result<(), ConfigError> {
        let read = |key: &str, secret: &mut Option<Secret>, from: Option<&Path>| {
            let named = format!("{key}_file");
            let path: Vec<&str> = named.split('.').collect();
            secret::read(key, secret, from).map_err(|error| error.at(check::locate(text, file, &path)))
        };
        read("relay.password", &mut self.relay.password, self.relay.password_file.as_deref())?;
        read("store.url", &mut self.store.url, self.store.url_file.as_deref())?;
        if let Some(ldap) = &mut self.directory.ldap {
            read("directory.ldap.password", &mut ldap.password, ldap.password_file.as_deref())?;
        }
        if let Some(oidc) = &mut self.oidc {
            read("oidc.client_secret", &mut oidc.client_secret, oidc.client_secret_file.as_deref())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
