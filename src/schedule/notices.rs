//! Sends the notices of meetings when they are due.
//!
//! Takes no input: it asks the record, sends what is due, and sleeps until the next one, until the store's bell rings (a
//! meeting was applied, here or on another node), or five seconds, which mends a lost bell and notices a clock that was set.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::service::{Services, meeting};

/// Longest sleep before looking again.
const LONGEST_SLEEP: Duration = Duration::from_secs(5);
/// Shortest one, so that a busy bell does not make us look without end.
const SHORTEST_SLEEP: Duration = Duration::from_millis(500);

/// Sends notices until `stop`.
pub async fn run(services: Arc<Services>, stop: CancellationToken) {
    let mut bell = services.store.bell();
    loop {
        // The bell is read before the record, so that what is written in between rings again.
        bell.borrow_and_update();
        let wait = match meeting::send_due(&services, None).await {
            Ok(sending) => {
                let left = sending.next.and_then(|at| (at - services.now()).to_std().ok());
                left.unwrap_or(LONGEST_SLEEP).clamp(SHORTEST_SLEEP, LONGEST_SLEEP)
            }
            Err(error) => {
                warn!("Could not send all notices that are due: {error}");
                LONGEST_SLEEP
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(wait) => continue,
            rung = bell.changed() => if rung.is_err() { return },
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(SHORTEST_SLEEP) => {}
        }
    }
}
