//! Tells those who run the service that a webhook rests.

use serde_json::json;

use super::record::{Hook, State};
use crate::service::robot::{self, Allowance, RobotMail};
use crate::service::{Actor, Failure, Services, roles};

/// A mail to each operator and an entry in the audit trail; a mail that cannot be written does not undo anything.
pub(super) async fn disabled(services: &Services, hook: &Hook, state: &State) -> Result<(), Failure> {
    let detail = format!("{}: {}", hook.name, state.said);
    services.audit(&Actor::job("webhooks"), "webhook disable", None, detail).await?;
    // A mail needs an address of ours to come from.
    let groups = services.groups();
    let Some(group) = groups.iter().find(|group| !group.retired) else { return Ok(()) };
    for operator in roles::operators(services).await? {
        let mail = RobotMail {
            to: operator.address(),
            account: Some(&operator),
            group,
            template: "webhook-disabled",
            context: json!({
                "webhook": hook.name,
                "url": hook.url,
                "failures": state.failures,
                "since": state.failing_since.map(|since| since.format("%Y-%m-%d %H:%M UTC").to_string()),
                "said": state.said,
            }),
            reply_to: None,
            in_reply_to: None,
            allowance: Allowance::Notice,
        };
        if let Err(error) = robot::send(services, mail).await {
            tracing::warn!(%error, "Could not tell an operator that a webhook rests");
        }
    }
    Ok(())
}
