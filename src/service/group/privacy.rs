//! What a group says of the personal data it is kept with: purpose, legal basis, how long, and whom to ask.
//!
//! The groups file gives purpose and legal basis in its languages; without them the service's own words stand. For the group's page.

use serde::Serialize;

use crate::domain::group::Group;
use crate::domain::language::Language;
use crate::service::Services;

/// The data-protection text of a group for one reader.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DataProtection {
    /// What the data are processed for.
    pub purpose: String,
    /// On which legal basis.
    pub legal_basis: String,
    /// Days for which held posts, requests and the ledger are kept; `None`: without end.
    pub held_days: Option<u64>,
    /// See [`DataProtection::held_days`].
    pub request_days: Option<u64>,
    /// See [`DataProtection::held_days`].
    pub ledger_days: Option<u64>,
    /// Whom to ask, and to write to for a copy or erasure.
    pub contact: String,
}

/// The text for a reader of `language`.
pub fn data_protection(services: &Services, group: &Group, language: Language) -> DataProtection {
    let own = |given: Option<&String>, key: &str| given.cloned().unwrap_or_else(|| services.texts.word(language, key).to_owned());
    let retention = &services.config.retention;
    let days = |span: std::time::Duration| Some(span.as_secs() / 86_400).filter(|days| *days > 0);
    DataProtection {
        purpose: own(group.house.purpose.best(&[language]), "data-purpose"),
        legal_basis: own(group.house.legal_basis.best(&[language]), "data-basis"),
        held_days: days(retention.held.0),
        request_days: days(retention.requests.0),
        ledger_days: days(retention.ledger.0),
        contact: group.sub_address("owner", &services.site.domain),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::group;
    use crate::service::trial::{GROUPS, Trial, code, operator};

    #[tokio::test]
    async fn a_group_says_its_own_purpose_and_the_services_words_stand_for_the_rest() {
        let trial = Trial::empty().await;
        let file = format!("{GROUPS}purpose = {{ en = \"Work of the group\" }}\n");
        group::apply(&trial.services, &operator(), &file, "groups.toml", false).await.unwrap();
        let amr = trial.services.group(&code("AMR")).unwrap();
        let text = data_protection(&trial.services, &amr, Language::ENGLISH);
        assert_eq!((text.purpose.as_str(), text.held_days, text.ledger_days), ("Work of the group", Some(14), None));
        assert!(text.legal_basis.contains("Resolution 54") && text.contact.starts_with("amr-owner@"), "{text:?}");
    }
}
