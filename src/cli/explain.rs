//! `enlace explain`: why an address did, did not or will get a message.

use std::fmt::Write as _;

use super::arguments::Explain;
use super::execute::Context;
use super::report::{Failure, Report, one_line, to_json};
use crate::domain::address::EmailAddress;
use crate::service::explain::{Explanation, explain};

/// Carries it out.
///
/// # Errors
/// When no post has that Message-ID, the address is none, or the store fails.
pub async fn execute(context: &Context<'_>, command: Explain) -> Result<Report, Failure> {
    let address = command.address.as_deref().map(str::parse::<EmailAddress>).transpose().map_err(|error| Failure::new(error, ""))?;
    let explanation = explain(context.services, &command.message_id, address.as_ref()).await?;
    Ok(Report::new(in_words(&explanation), to_json(&explanation)?))
}

fn in_words(explanation: &Explanation) -> String {
    let mut text = format!("<{}> to {}\n", one_line(&explanation.message_id), explanation.group);
    for line in &explanation.trail {
        let _ = writeln!(text, "  {}", one_line(line));
    }
    for recipient in &explanation.recipients {
        let language = recipient.language.as_ref().map(|language| format!(" [{language}]")).unwrap_or_default();
        let _ = writeln!(text, "\n{}{language}: {}: {}", one_line(&recipient.address), recipient.state, one_line(&recipient.reason));
        for attempt in &recipient.attempts {
            let _ = writeln!(text, "  {} relay: {}", attempt.at.format("%Y-%m-%d %H:%M:%SZ"), one_line(&attempt.reply));
        }
    }
    text
}
