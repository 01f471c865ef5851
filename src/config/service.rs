use std::path::PathBuf;

use chrono_tz::Tz;
use serde::Deserialize;

use crate::domain::language::Language;

/// `[service]`: the service itself.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Service {
    /// Shown on pages and in mail.
    pub name: String,
    /// The list domain, lower case.
    pub domain: String,
    /// Begins every link in mail and on pages; without a slash at the end.
    pub base_url: String,
    /// Everything that is kept lies here; relative to the folder in which the service starts.
    pub data_dir: PathBuf,
    /// Deadlines and accounts end at midnight here, unless a group says otherwise.
    pub timezone: Tz,
    /// Languages of pages and mail, in the order in which they are offered; the first is that of a group that names none.
    pub languages: Vec<Language>,
    /// A folder that overrides the built-in templates, `LANG/…` within it, and `CODE/LANG/…` for one group.
    pub templates: Option<PathBuf>,
    /// What the daemon logs: `error`, `warn`, `info`, `debug`, `trace`, or directives such as `info,enlace::smtp=debug`. The variable
    /// `RUST_LOG` wins.
    pub log: String,
}

impl Default for Service {
    fn default() -> Self {
        let language = |text: &str| text.parse().expect("six codes of two letters");
        Self {
            name: "ITU-T regional group lists".into(),
            domain: "lists.example.org".into(),
            base_url: "http://127.0.0.1:8025".into(),
            data_dir: "var".into(),
            timezone: Tz::Europe__Zurich,
            languages: ["en", "fr", "es", "ar", "zh", "ru"].map(language).to_vec(),
            templates: None,
            log: "info".into(),
        }
    }
}
