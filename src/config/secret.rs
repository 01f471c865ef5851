//! Values that are never shown.

use std::fmt;
use std::path::Path;

use serde::Deserialize;

use super::ConfigError;

/// Text that does not appear in logs and error messages.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// The text; do not log it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// Reads `secret` from `file`, if one is named, without its last line end.
pub(super) fn read(key: &str, secret: &mut Option<Secret>, file: Option<&Path>) -> Result<(), ConfigError> {
    let Some(file) = file else { return Ok(()) };
    if secret.is_some() {
        return Err(ConfigError::new(format!("both {key} and {key}_file are given"), "leave one of them out"));
    }
    let text = std::fs::read_to_string(file).map_err(|error| {
        ConfigError::new(format!("{key}_file: cannot read {}: {error}", file.display()), "name a file that the service may read")
    })?;
    *secret = Some(Secret(text.trim_end_matches(['\r', '\n']).to_owned()));
    Ok(())
}
