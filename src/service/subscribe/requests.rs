//! Wishes that wait: for the person to say that she meant it, or for a manager to approve.

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use serde_json::json;

use super::own::{self, Wish};
use super::{Outcome, Settings, calendars};
use crate::domain::account::Account;
use crate::domain::address::EmailAddress;
use crate::domain::gate::{self, Verdict, Way};
use crate::domain::group::{Group, GroupCode};
use crate::domain::id::RequestId;
use crate::domain::reason::{Reason, Rule};
use crate::domain::subscription::{Role, SubscriptionState};
use crate::mail::token::Purpose;
use crate::service::robot::{self, Allowance, RobotMail};
use crate::service::{Actor, Failure, Services, period, reconfirm};
use crate::store::Request;

/// What a request asks that waits for a manager.
pub(in crate::service) const APPROVE: &str = "approve";

/// A request that waits for a manager, for lists and pages.
#[derive(Debug, Clone, Serialize)]
pub struct OpenRequest {
    /// The key for [`decide`].
    pub id: String,
    /// Of which group.
    pub group: String,
    /// Whose.
    pub address: String,
    /// Name of her account.
    pub name: String,
    /// Her organisation.
    pub organisation: String,
    /// Since when.
    pub at: DateTime<Utc>,
    /// When it lapses.
    pub expires: DateTime<Utc>,
}

/// Keeps the wish of somebody who is not proved, until she answers with its token ([`confirm`]). The caller sends the question.
///
/// # Errors
/// When the store fails.
pub async fn ask(services: &Services, group: &Group, address: &EmailAddress, wish: &Wish) -> Result<Asked, Failure> {
    let (verb, arguments) = match wish {
        Wish::Subscribe => ("subscribe", Vec::new()),
        Wish::SubscribeWith(settings) => ("subscribe", words(settings)),
        Wish::Unsubscribe => ("unsubscribe", Vec::new()),
        Wish::Set(settings) => ("set", words(settings)),
    };
    keep(services, &group.code, address, verb, arguments).await
}

fn words(settings: &Settings) -> Vec<String> {
    settings.to_words().into_iter().map(|(key, value)| format!("{key}={value}")).collect()
}

/// A wish that waits for its author.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    /// Under which identifier; the token of the question holds it.
    pub id: RequestId,
    /// It did not wait already.
    pub is_new: bool,
}

/// Takes back a wish about which no question was sent, so that forged requests do not pile up; one that an earlier
/// question is about stays.
///
/// # Errors
/// When the store fails.
pub async fn forget(services: &Services, asked: Asked) -> Result<(), Failure> {
    if asked.is_new {
        services.store.take_request(asked.id).await?;
    }
    Ok(())
}

/// Does what was asked for, because its author has said so.
///
/// # Errors
/// `NotFound` if the request was answered before or has lapsed; or when the store fails.
pub async fn confirm(services: &Services, id: RequestId) -> Result<Outcome, Failure> {
    let request = take(services, id, |verb| verb != APPROVE).await?;
    if request.verb == period::VERB {
        let about = [request.address.as_str(), request.group.as_str()];
        let known = period::confirmed(services, &request).await? > 0;
        let rule = if known { Rule::Admitted } else { Rule::NotSubscribed };
        let said = Reason::new(rule, about);
        return Ok(if known { Outcome::Subscribed(said) } else { Outcome::NotSubscribed(said) });
    }
    if request.verb == reconfirm::VERB {
        reconfirm::confirmed(services, &request).await?;
        return Ok(Outcome::Subscribed(Reason::new(Rule::Admitted, [request.address.as_str(), services.config.service.name.as_str()])));
    }
    let group = services.group(&request.group)?;
    let wish = match request.verb.as_str() {
        "subscribe" if request.arguments.is_empty() => Wish::Subscribe,
        "unsubscribe" => Wish::Unsubscribe,
        verb => {
            let mut settings = Settings::default();
            for (key, value) in request.arguments.iter().filter_map(|word| word.split_once('=')) {
                settings.set(key, value, &services.config).map_err(Failure::Invalid)?;
            }
            if verb == "subscribe" { Wish::SubscribeWith(settings) } else { Wish::Set(settings) }
        }
    };
    own::own(services, &Actor::from(&request.address), &group, &request.address, wish).await
}

/// A manager approves a request for subscription, or declines it. The person is told.
///
/// # Errors
/// `NotFound` if it was answered before or has lapsed; or when the store fails.
pub async fn decide(services: &Services, actor: &Actor, id: RequestId, approve: bool) -> Result<Outcome, Failure> {
    services
        .alone(async {
            let request = take(services, id, |verb| verb == APPROVE).await?;
            let group = services.group(&request.group)?;
            let address = &request.address;
            let (account, subscription) = services.holder(&group.code, address).await?;
            let pending = subscription.filter(|subscription| matches!(subscription.state, SubscriptionState::Pending(_)));
            let Some(mut subscription) = pending else {
                return Ok(Outcome::NotSubscribed(Reason::new(Rule::NotSubscribed, [address.as_str(), group.code.as_str()])));
            };
            let declined = |why: &str| Reason::new(Rule::RequestDeclined, [address.as_str(), group.code.as_str(), why]);
            // The right may have gone while the request lay there.
            let verdict = gate::may_subscribe(&group, address, account.as_ref(), Some(&subscription), Way::ByManager, services.today());
            let (state, outcome) = match (approve, verdict) {
                (true, Verdict::Accept(reason)) => (SubscriptionState::Active, Outcome::Subscribed(reason)),
                (true, Verdict::Refuse(reason) | Verdict::Hold(reason) | Verdict::Confirm(reason)) => {
                    (SubscriptionState::Unsubscribed(declined(&format!(": {reason}"))), Outcome::Refused(reason))
                }
                (false, _) => (SubscriptionState::Unsubscribed(declined("")), Outcome::Declined(declined(""))),
            };
            subscription.state = state;
            services.store.put_subscriptions(vec![subscription.clone()]).await?;
            if subscription.is_active()
                && let Some(account) = &account
            {
                calendars::joined(services, &group.code, &[(subscription, account.clone())]).await;
            }
            services
                .audit(actor, if approve { "request approve" } else { "request decline" }, Some(&group.code), address.to_string())
                .await?;
            let context = json!({ "outcome": outcome.key(), "reason": outcome.reason().map(ToString::to_string) });
            tell(services, &group, address, account.as_ref(), "request-decided", context, Allowance::Notice).await;
            Ok(outcome)
        })
        .await
}

/// Requests that wait for a manager, oldest first; of one group or of all.
///
/// # Errors
/// When the store fails.
pub async fn requests(services: &Services, group: Option<&GroupCode>) -> Result<Vec<OpenRequest>, Failure> {
    let now = services.now();
    let mut open = Vec::new();
    for request in services.store.requests(group).await? {
        if request.verb != APPROVE || request.expires <= now {
            continue;
        }
        let account = services.store.account_by_address(&request.address).await?;
        let (name, organisation) = account.map(|account| (account.name, account.organisation)).unwrap_or_default();
        open.push(OpenRequest {
            id: request.id.to_string(),
            group: request.group.to_string(),
            address: request.address.to_string(),
            name,
            organisation,
            at: request.at,
            expires: request.expires,
        });
    }
    open.sort_by_key(|request| request.at);
    Ok(open)
}

/// Removes requests that nobody answered in time; a subscription that waited for one is declined. Returns how many.
///
/// # Errors
/// When the store fails.
pub async fn lapse(services: &Services) -> Result<usize, Failure> {
    services
        .alone(async {
            let now = services.now();
            let mut lapsed = 0;
            for request in services.store.requests(None).await?.into_iter().filter(|request| request.expires <= now) {
                if !services.store.take_request(request.id).await? {
                    continue;
                }
                lapsed += 1;
                if request.verb == period::VERB {
                    period::not_confirmed(services, &request).await?;
                }
                if request.verb != APPROVE {
                    continue;
                }
                let Some(account) = services.store.account_by_address(&request.address).await? else { continue };
                let Some(mut subscription) = services.store.subscription(&request.group, account.id).await? else { continue };
                if matches!(subscription.state, SubscriptionState::Pending(_)) {
                    let about = [request.address.as_str(), request.group.as_str(), ": nobody answered it in time"];
                    subscription.state = SubscriptionState::Unsubscribed(Reason::new(Rule::RequestDeclined, about));
                    services.store.put_subscriptions(vec![subscription]).await?;
                    services.audit(&Actor::job("requests"), "request lapse", Some(&request.group), request.address.to_string()).await?;
                }
            }
            Ok(lapsed)
        })
        .await
}

/// Keeps the request and tells the managers, each with reply addresses of her own.
pub(super) async fn await_approval(services: &Services, group: &Group, address: &EmailAddress, account: &Account) -> Result<(), Failure> {
    let id = keep(services, &group.code, address, APPROVE, Vec::new()).await?.id;
    let reply = |purpose| format!("{}-moderate+{}@{}", group.list, services.keys.address_token(purpose, id.0), services.site.domain);
    for (_, manager) in services.members_with_role(&group.code, Role::Manager).await? {
        let context = json!({
            "id": id.to_string(), "address": address.as_str(), "name": account.name, "organisation": account.organisation,
            "country": account.country_code(), "kind": account.kind, "category": account.category,
            "approve_address": reply(Purpose::Approve), "deny_address": reply(Purpose::Deny),
        });
        tell(services, group, manager.address(), Some(&manager), "request-notice", context, Allowance::Notice).await;
    }
    Ok(())
}

/// Removes the requests of an address in a group.
pub(super) async fn withdraw(services: &Services, group: &GroupCode, address: &EmailAddress) -> Result<(), Failure> {
    for request in services.store.requests(Some(group)).await? {
        if request.address == *address {
            services.store.take_request(request.id).await?;
        }
    }
    Ok(())
}

async fn keep(
    services: &Services,
    group: &GroupCode,
    address: &EmailAddress,
    verb: &str,
    arguments: Vec<String>,
) -> Result<Asked, Failure> {
    let at = services.now();
    // Asking again for the same renews the request under its own id: the token of the first question stays good, so that
    // somebody who asks in another's name cannot make her answer void.
    let mut asked = Asked { id: RequestId::new(at, services.chance()), is_new: true };
    for request in services.store.requests(Some(group)).await? {
        if request.address == *address && request.verb == verb && request.arguments == arguments {
            asked = Asked { id: request.id, is_new: false };
        }
    }
    let patience = TimeDelta::from_std(services.config.retention.requests.0).ok().filter(|days| !days.is_zero());
    let expires = at + patience.unwrap_or(TimeDelta::days(36_500));
    let request = Request { id: asked.id, verb: verb.to_owned(), group: group.clone(), address: address.clone(), arguments, at, expires };
    services.store.put_request(request).await?;
    Ok(asked)
}

/// Takes a request out for the one caller who may answer it.
async fn take(services: &Services, id: RequestId, is_of_the_kind: impl Fn(&str) -> bool + Send) -> Result<Request, Failure> {
    let gone = || Failure::NotFound(format!("the request {id} was answered before, or has lapsed"));
    let request = services.store.request(id).await?.filter(|request| is_of_the_kind(&request.verb) && request.expires > services.now());
    let request = request.ok_or_else(gone)?;
    if services.store.take_request(id).await? { Ok(request) } else { Err(gone()) }
}

/// A mail beside the matter: the record is written, so a template or an allowance must not undo it.
async fn tell(
    services: &Services,
    group: &Group,
    to: &EmailAddress,
    account: Option<&Account>,
    template: &'static str,
    context: serde_json::Value,
    allowance: Allowance,
) {
    let mail = RobotMail { to, account, group, template, context, reply_to: None, in_reply_to: None, allowance };
    if let Err(error) = robot::send(services, mail).await {
        tracing::warn!(group.code = %group.code, template, %error, "Could not write a robot mail");
    }
}
