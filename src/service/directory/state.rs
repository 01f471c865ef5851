//! What came of the last reading of the directory, for the pages of those who run the service.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::service::{Failure, Services};
use crate::store::StoreError;

/// Setting of the store.
const LAST: &str = "directory.last-sync";

/// The last reading, whoever asked for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastSync {
    /// When it ended.
    pub at: DateTime<Utc>,
    /// Why nothing was changed, if nothing was.
    pub failed: Option<String>,
    /// Was it the brake on removals that held?
    pub halted: bool,
    /// People that the directory had.
    pub present: usize,
    /// New accounts.
    pub added: usize,
    /// Accounts that changed.
    pub changed: usize,
    /// Accounts that were removed.
    pub removed: usize,
}

/// What came of the last reading; `None` before the first.
///
/// # Errors
/// When the store fails.
pub async fn last(services: &Services) -> Result<Option<LastSync>, Failure> {
    let noted = services.store.setting(LAST).await?;
    Ok(noted.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
}

/// How many people the directory had, and how many accounts were added, changed and removed.
pub(super) type Counts = (usize, [usize; 3]);

pub(super) async fn note(services: &Services, done: Result<Counts, &Failure>) -> Result<(), Failure> {
    let at = services.now();
    let nothing = LastSync { at, failed: None, halted: false, present: 0, added: 0, changed: 0, removed: 0 };
    let last = match done {
        Ok((present, [added, changed, removed])) => LastSync { present, added, changed, removed, ..nothing },
        // Only the brake refuses what could be read.
        Err(failure) => LastSync { failed: Some(failure.to_string()), halted: matches!(failure, Failure::Invalid(_)), ..nothing },
    };
    let text = serde_json::to_vec(&last).map_err(|error| StoreError::Damaged(format!("the note of the last reading: {error}")))?;
    Ok(services.store.put_setting(LAST, text).await?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::trial::Trial;

    #[tokio::test]
    async fn the_brake_is_told_apart_from_a_server_that_is_away() {
        let trial = Trial::empty().await;
        let services = &trial.services;
        assert_eq!(last(services).await.unwrap(), None);
        note(services, Ok((9, [2, 0, 1]))).await.unwrap();
        let good = last(services).await.unwrap().unwrap();
        assert_eq!((good.present, good.added, good.removed, good.failed), (9, 2, 1, None));
        note(services, Err(&Failure::Invalid("would remove 5 of 6".into()))).await.unwrap();
        let held = last(services).await.unwrap().unwrap();
        assert!(held.halted && held.failed.as_deref() == Some("would remove 5 of 6"), "{held:?}");
        note(services, Err(&Failure::Store(StoreError::Unavailable("no answer".into())))).await.unwrap();
        assert!(!last(services).await.unwrap().unwrap().halted);
    }
}
