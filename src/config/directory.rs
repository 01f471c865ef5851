use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::{Secret, Span};
use crate::domain::account::AccountKind;

/// `[directory]`: where accounts come from. The built-in one (`enlace account import`) is always there.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Directory {
    /// Removals in one synchronisation beyond this part of the accounts, in percent, need `--force`.
    pub removal_brake: u8,
    /// Which accounts have to be confirmed again and again: of guests by themselves, of members by their organisation's focal point,
    /// else by themselves. Nobody is asked while it is empty.
    pub reconfirm: Vec<AccountKind>,
    /// From one confirmation to the next question.
    pub reconfirm_every: Span,
    /// How long an answer is waited for before the account rests.
    pub reconfirm_within: Span,
    /// An LDAP server, synchronised by `schedule.directory_sync`.
    pub ldap: Option<Ldap>,
}

/// `[directory.ldap]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ldap {
    /// `ldaps://host` or `ldap://host`.
    pub url: String,
    /// Use STARTTLS with `ldap://`.
    #[serde(default)]
    pub starttls: bool,
    /// Who asks; empty asks without a name (an anonymous bind, RFC 4513 section 5.1.1).
    #[serde(default)]
    pub bind_dn: String,
    /// With this password; an empty one is refused (RFC 4513 section 5.1.2).
    pub password: Option<Secret>,
    /// A file that holds `password`.
    pub password_file: Option<PathBuf>,
    /// Where people are looked for.
    pub base: String,
    /// Which of them.
    #[serde(default = "everybody")]
    pub filter: String,
    /// The attribute that names an entry for good, so that a person with another address stays the same person; where an entry has none,
    /// its DN does.
    #[serde(default = "entry_uuid")]
    pub identity: String,
    /// Use the content synchronization of RFC 4533 where the server offers it.
    #[serde(default = "yes")]
    pub content_sync: bool,
    /// Which attribute holds which column of `enlace account import`, such as `email = "mail"`.
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
    /// The server's words as ours, by column, such as `kind = { Staff = "ties" }`.
    #[serde(default)]
    pub values: BTreeMap<String, BTreeMap<String, String>>,
    /// What a column holds where the server has nothing, such as `kind = "ties"`.
    #[serde(default)]
    pub defaults: BTreeMap<String, String>,
}

/// `[oidc]`: sign-in through an OpenID Connect provider.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Oidc {
    /// The provider; its configuration is read at `ISSUER/.well-known/openid-configuration`.
    pub issuer: String,
    /// Our name there.
    pub client_id: String,
    /// Our secret there.
    pub client_secret: Option<Secret>,
    /// A file that holds `client_secret`.
    pub client_secret_file: Option<PathBuf>,
    /// Which claim holds which column of `enlace account import`, such as `email = "email"`.
    #[serde(default)]
    pub claims: BTreeMap<String, String>,
}

fn yes() -> bool {
    true
}

fn entry_uuid() -> String {
    "entryUUID".into()
}

fn everybody() -> String {
    "(objectClass=person)".into()
}

impl Default for Directory {
    fn default() -> Self {
        let days = |days: u64| Span(Duration::from_secs(days * 86_400));
        Self { removal_brake: 10, reconfirm: Vec::new(), reconfirm_every: days(365), reconfirm_within: days(30), ldap: None }
    }
}
