use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::{Octets, Secret, Span};

/// `[store]`: where the record is kept.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Store {
    /// Which kind of store.
    pub backend: Backend,
    /// `postgres://user:password@host/database`, for `postgres` only.
    pub url: Option<Secret>,
    /// A file that holds `url`.
    pub url_file: Option<PathBuf>,
    /// Memory that `sled` may use for its cache.
    pub cache: Octets,
    /// Most connections of this node to `postgres`.
    pub connections: u32,
    /// How long a node may have a batch in hand before another one takes it over.
    pub lease: Span,
}

/// Kinds of store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// On this machine's disk; nothing to install.
    Sled,
    /// A PostgreSQL database, for more than one machine.
    Postgres,
}

impl Default for Store {
    fn default() -> Self {
        Self {
            backend: Backend::Sled,
            url: None,
            url_file: None,
            cache: Octets(16 << 20),
            connections: 16,
            lease: Span(Duration::from_mins(15)),
        }
    }
}
