//! Tells those who run the service that a webhook rests.

use serde_json::json;

use super::record::{Hook, State};
use crate::domain::account::Account;
use crate::service::robot::{self, Allowance, RobotMail};
use crate::service::{Actor, Failure, Services};

/// Accounts read at a time.
const PAGE: usize = 500;

/// A mail to each operator and an entry in the audit trail; a mail that cannot be written does not undo anything.
pub(super) async fn disabled(services: &Services, hook: &Hook, state: &State) -> Result<(), Failure> {
    let detail = format!("{}: {}", hook.name, state.said);
    services.audit(&Actor::job("webhooks"), "webhook disable", None, detail).await?;
    // A mail needs an address of ours to come from.
    let groups = services.groups();
    let Some(group) = groups.iter().find(|group| !group.retired) else { return Ok(()) };
    for operator in operators(services).await? {
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

async fn operators(services: &Services) -> Result<Vec<Account>, Failure> {
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = services.store.accounts(after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(found) };
        after = Some(last.id);
        found.extend(page.into_iter().filter(Account::is_operator));
    }
}
