//! What came back: the VERP token says of whom, the report says why.
//!
//! Only the recipient the token names is touched (RELIABILITY C12: reports name others too), and nothing is ever answered.

use super::{Incoming, Refusal};
use crate::domain::ledger::RecipientState;
use crate::domain::reason::{Reason, Rule};
use crate::mail::report;
use crate::store::{BatchKey, LedgerKey};

impl Incoming {
    /// `L-bounces+TOKEN@`. Without a token, or with a foreign one, the report is taken and dropped: refusing a
    /// notification would only make another one.
    pub(super) async fn bounce(&self, token: Option<&str>) -> Result<String, Refusal> {
        let Some(token) = token else { return Ok("taken".into()) };
        let Some(verp) = self.services.keys.read_verp(token) else {
            return Err(Refusal::Rule(Reason::new(Rule::TokenInvalid, [""; 0])));
        };
        let bytes = self.bytes().await?;
        let verdict =
            tokio::task::spawn_blocking(move || report::read(&bytes)).await.map_err(|error| Refusal::Internal(error.to_string()))?;
        let Some(failure) =
            verdict.recipients.iter().find(|recipient| recipient.class.is_failure()).map(report::ReportedRecipient::summary)
        else {
            tracing::info!(trace = self.arrival.trace, kind = verdict.kind(), "A report that is no permanent failure");
            return Ok("taken".into());
        };
        let key = LedgerKey { batch: BatchKey { post: verp.post, number: verp.batch }, index: verp.index };
        let known = self.services.store.amend_recipient(key, RecipientState::Bounced, self.services.now(), failure).await?;
        Ok(if known { "noted".into() } else { "taken".into() })
    }
}
