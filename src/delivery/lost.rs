//! Copies that the relay refused for good, on their way to the scores of their readers.
//!
//! Beside the transactions, one after the other: a list with thousands of dead addresses must not slow the living ones down. The
//! ledger has each refusal already; what waits here when the process dies is not scored, and the next post brings it again.

use std::sync::Arc;

use tokio::sync::mpsc;

use crate::domain::bounce::{classify, enhanced_status};
use crate::domain::ledger::PlannedRecipient;
use crate::domain::post::Post;
use crate::service::Services;
use crate::service::bounce::{self, Failed};

/// Most that wait; then sessions wait too.
pub const WAITING: usize = 10_000;

/// A copy that was refused for good.
#[derive(Debug)]
pub struct Lost {
    /// Of which post.
    pub post: Arc<Post>,
    /// Whose.
    pub recipient: PlannedRecipient,
    /// The relay's last words.
    pub reply: String,
}

/// Scores what comes until nobody sends any more or the delivery ends; what waits then is scored still.
pub async fn score(services: Arc<Services>, mut lost: mpsc::Receiver<Lost>, stopped: impl Future<Output = ()>) {
    tokio::pin!(stopped);
    let mut stopping = false;
    loop {
        let one = tokio::select! {
            one = lost.recv() => one,
            () = &mut stopped, if !stopping => {
                stopping = true;
                lost.close();
                continue;
            }
        };
        let Some(Lost { post, recipient, reply }) = one else { return };
        let class = classify(&enhanced_status(&reply).unwrap_or_default(), &reply);
        let summary = format!("{}: {reply}", class.as_str());
        let failed = Failed { post: &post, recipient: &recipient, class, summary: &summary };
        if let Err(error) = bounce::failed(&services, failed).await {
            tracing::warn!(post.id = %post.id, %error, "Could not score a refused copy");
        }
    }
}
