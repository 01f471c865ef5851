//! Counts over all subscribers of a group, kept for a while: a page must not read 100,000 records each time it is shown.
//!
//! One request at a time counts a group; the others meanwhile get the counts of before.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use chrono::{DateTime, TimeDelta, Utc};

use super::Site;
use crate::domain::group::GroupCode;
use crate::service::Failure;
use crate::service::report::{self, Participation};

/// How old counts may be, in seconds; those of a large group, which cost more, may be older.
const FRESH_SECONDS: i64 = 30;
/// A second more for so many subscribers.
const SUBSCRIBERS_A_SECOND: u64 = 400;

#[derive(Debug)]
struct Kept {
    counted: Arc<Participation>,
    at: DateTime<Utc>,
    counting: bool,
}

/// The counts that are kept.
#[derive(Debug, Default)]
pub struct Tallies {
    kept: Mutex<HashMap<GroupCode, Kept>>,
}

impl Tallies {
    /// Counts that may be shown, and whether the caller is to make new ones.
    fn look(&self, code: &GroupCode, now: DateTime<Utc>) -> (Option<Arc<Participation>>, bool) {
        let mut kept = self.kept.lock().expect("nothing panics while it holds the lock");
        let Some(kept) = kept.get_mut(code) else { return (None, true) };
        let subscribers: u64 = kept.counted.states.values().sum();
        let more = i64::try_from(subscribers / SUBSCRIBERS_A_SECOND).unwrap_or(i64::MAX).min(3_600);
        let old = (now - kept.at).abs() >= TimeDelta::seconds(FRESH_SECONDS + more);
        let count = old && !kept.counting;
        kept.counting |= count;
        (Some(Arc::clone(&kept.counted)), count)
    }

    fn keep(&self, code: &GroupCode, counted: Arc<Participation>, at: DateTime<Utc>) {
        let mut kept = self.kept.lock().expect("nothing panics while it holds the lock");
        kept.insert(code.clone(), Kept { counted, at, counting: false });
    }

    /// Forgets the counts of a group whose subscribers were just changed here.
    pub fn forget(&self, code: &GroupCode) {
        self.kept.lock().expect("nothing panics while it holds the lock").remove(code);
    }
}

impl Site {
    /// Who takes part in a group, at most half a minute old (some minutes in a group of 100,000) unless somebody else is counting.
    pub(super) async fn participation(&self, code: &GroupCode) -> Result<Arc<Participation>, Failure> {
        let now = self.services.now();
        match self.tallies.look(code, now) {
            (Some(counted), false) => Ok(counted),
            (Some(counted), true) => {
                let (site, code) = (self.clone(), code.clone());
                tokio::spawn(async move {
                    match report::participation(&site.services, &code).await {
                        Ok(fresh) => site.tallies.keep(&code, Arc::new(fresh), now),
                        Err(error) => {
                            tracing::error!(%error, "Could not count the subscribers of a group");
                            site.tallies.forget(&code);
                        }
                    }
                });
                Ok(counted)
            }
            (None, _) => {
                let counted = Arc::new(report::participation(&self.services, code).await?);
                self.tallies.keep(code, Arc::clone(&counted), now);
                Ok(counted)
            }
        }
    }
}
