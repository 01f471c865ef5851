//! The keys with which copies are signed, read at the start.

use std::path::Path;
use std::sync::Arc;

use super::Failure;
use crate::config::Config;
use crate::mail::sign::{Key, Signer};

/// The signer that `[dkim]` describes; `None` without it.
///
/// # Errors
/// When a key file cannot be read or used: names it and the remedy.
pub fn signer(config: &Config) -> Result<Option<Arc<Signer>>, Failure> {
    let Some(dkim) = &config.dkim else { return Ok(None) };
    let domain = dkim.domain.clone().unwrap_or_else(|| config.service.domain.clone());
    let domain = idna::domain_to_ascii_strict(&domain)
        .map_err(|_| Failure::Invalid(format!("dkim.domain: \"{}\" is not a domain name", domain.escape_debug())))?;
    let keys = dkim.keys().map(|(selector, file)| key(selector, file)).collect::<Result<Vec<_>, _>>()?;
    Ok(Some(Arc::new(Signer::new(domain, keys, dkim.arc))))
}

fn key(selector: &str, file: &Path) -> Result<Key, Failure> {
    let wrong = |why: String| {
        let remedy = "`enlace dkim generate FILE` makes a key";
        Failure::Invalid(format!("the DKIM key {} of selector {selector} cannot be used: {why}; {remedy}", file.display()))
    };
    let pem = std::fs::read_to_string(file).map_err(|error| wrong(error.to_string()))?;
    Key::from_pem(selector, &pem).map_err(|error| wrong(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Dkim;

    #[test]
    fn a_key_that_cannot_be_used_is_named_with_its_remedy() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("dkim.pem");
        let mut config = Config::default();
        assert!(signer(&config).unwrap().is_none());
        config.dkim = Some(Dkim { domain: None, selector: "s".into(), key_file: file.clone(), also: Vec::new(), arc: true });
        for content in [None, Some("no key")] {
            if let Some(content) = content {
                std::fs::write(&file, content).unwrap();
            }
            let error = signer(&config).unwrap_err().to_string();
            assert!(error.contains("dkim.pem") && error.contains("enlace dkim generate"), "{error}");
        }
        std::fs::write(&file, Key::generate(true).unwrap()).unwrap();
        assert_eq!(signer(&config).unwrap().unwrap().domain(), "lists.example.org");
    }
}
