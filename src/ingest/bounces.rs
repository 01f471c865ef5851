//! What came back: the VERP token says of whom, the report says why.
//!
//! Only the recipient the token names is touched (RELIABILITY C12: reports name others too), and nothing is ever answered, whoever
//! wrote. Refusing a notification would only make another one, so everything but a foreign token is taken.

use super::{Incoming, Refusal};
use crate::domain::reason::{Reason, Rule};
use crate::mail::report;
use crate::service::bounce;

impl Incoming {
    /// `L-bounces+TOKEN@`, and `L-bounces@`, where copies with many recipients a transaction come back: those name nobody for sure, so
    /// they are read for the log and touch nobody, unless the copy that came back with them has a token.
    pub(super) async fn bounce(&self, token: Option<&str>) -> Result<String, Refusal> {
        let verp = match token {
            Some(token) => match self.services.keys.read_verp(token) {
                Some(verp) => Some(verp),
                None => return Err(Refusal::Rule(Reason::new(Rule::TokenInvalid, [""; 0]))),
            },
            None => None,
        };
        let (report, returned) = self.read("report", |bytes| (report::read(bytes), report::returned_tokens(bytes))).await?;
        // A report to the shared address that holds the copy itself: the keyed address in it is as good as one that was written to.
        let verp = verp.or_else(|| returned.iter().find_map(|token| self.services.keys.read_verp(token)));
        let known = match verp {
            Some(verp) => bounce::report(&self.services, verp, &report).await?,
            None => false,
        };
        let class = report.recipients.first().map(|recipient| recipient.class.as_str());
        tracing::info!(trace = self.arrival.trace, kind = report.kind(), class, known, "Read what came back");
        Ok(if known { "noted".into() } else { "taken".into() })
    }
}
