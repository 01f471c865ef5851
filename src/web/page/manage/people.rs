//! One subscriber, requests, and "why did she not get it?".

use axum::extract::{Path, State};
use axum::response::Response;
use minijinja::value::Serde;
use minijinja::{Value, context};

use super::members::row;
use super::show;
use crate::domain::address::EmailAddress;
use crate::domain::id::{AccountId, RequestId};
use crate::domain::mistake::Mistake;
use crate::domain::subscription::{DeliveryMode, Role, Stream};
use crate::service::subscribe::{self, Outcome};
use crate::service::{Failure, explain};
use crate::web::authority::Scope;
use crate::web::form::Form;
use crate::web::page::choices::{Choice, day, delivery_choices, languages_of, role_text, settings_of};
use crate::web::page::{me, own_data};
use crate::web::{Problem, Site, Visit, after};

/// `GET /manage/CODE/members/ACCOUNT`
pub async fn member(
    State(site): State<Site>,
    visit: Visit,
    scope: Scope,
    Path((_, id)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let id: AccountId = id.parse().map_err(|_| Problem::missing())?;
    let (found, account) = subscribe::member(&site.services, &scope.group.code, id).await?;
    let subscription = &found.subscription;
    let texts = &site.services.texts;
    let mode = subscription.delivery.mode_on(site.services.today());
    let streams: Vec<Choice> = Stream::ALL
        .into_iter()
        .map(|stream| Choice {
            value: stream.as_str().into(),
            text: texts.word(visit.language, &format!("stream.{}", stream.as_str())).to_owned(),
            on: subscription.streams.contains(&stream),
        })
        .collect();
    let content = context! {
        row => Value::from(Serde(row(&site, &visit, &found))),
        person => Value::from(Serde(me::person(&site, &visit, &account))),
        since => day(&site, &visit, subscription.since),
        invited => subscription.invitation.as_ref().map(|invitation| invitation.by.clone()),
        invited_until => subscription.invitation.as_ref().and_then(|invitation| invitation.until).map(|day| texts.date(visit.language, day)),
        role => role_text(subscription.role),
        deliveries => Value::from(Serde(&delivery_choices(&site, &visit, mode))),
        until => subscription.delivery.until.filter(|_| mode != DeliveryMode::Each).map(|day| day.to_string()),
        streams => Value::from(Serde(&streams)),
        languages => Value::from(Serde(&languages_of(&site, &visit, &subscription.languages))),
        both => subscription.both,
        own_posts => subscription.own_posts,
        links => subscription.links,
        plain_digest => subscription.plain_digest,
        invitations => subscription.invitations,
        moderated => subscription.moderated,
    };
    Ok(show(&site, &visit, &scope, "members", "manage-member.html", content))
}

/// `POST /manage/CODE/members/ACCOUNT`: settings and role, or removal.
pub async fn set(
    State(site): State<Site>,
    visit: Visit,
    scope: Scope,
    Path((_, id)): Path<(String, String)>,
    form: Form,
) -> Result<Response, Problem> {
    let id: AccountId = id.parse().map_err(|_| Problem::missing())?;
    let code = &scope.group.code;
    let (found, _) = subscribe::member(&site.services, code, id).await?;
    let demotes = form.get("act") == "remove" || form.get("role") != role_text(Role::Manager);
    if demotes && found.subscription.is_active() && found.subscription.role == Role::Manager {
        stays_managed(&site, &visit, &scope, id).await?;
    }
    let addresses = [found.row.address];
    if form.get("act") == "remove" {
        subscribe::remove(&site.services, &visit.actor(), code, &addresses, false).await?;
        return Ok(after(&format!("/manage/{code}/members"), "removed"));
    }
    let mut settings = settings_of(&site, &form)?;
    settings.set("role", form.get("role"), &site.services.config).map_err(Failure::Invalid)?;
    settings.moderated = Some(form.has("moderated"));
    let report = subscribe::set(&site.services, &visit.actor(), code, &addresses, &settings, false).await?;
    if let Some(problem) = report.problems().next() {
        return Err(Failure::Invalid(problem.text.clone()).into());
    }
    Ok(after(&format!("/manage/{code}/members/{id}"), "saved"))
}

/// A manager does not leave her group without one by a slip; operators may.
async fn stays_managed(site: &Site, visit: &Visit, scope: &Scope, id: AccountId) -> Result<(), Problem> {
    let by = me::signed(visit)?;
    if by.id != id || by.is_operator() {
        return Ok(());
    }
    let managers = site.services.members_with_role(&scope.group.code, Role::Manager).await?;
    if managers.iter().any(|(_, account)| account.id != id) {
        return Ok(());
    }
    Err(Failure::from(Mistake::LastManager.about([&scope.group.code])).into())
}

/// `GET /manage/CODE/requests`
pub async fn requests(State(site): State<Site>, visit: Visit, scope: Scope) -> Result<Response, Problem> {
    let open = subscribe::requests(&site.services, Some(&scope.group.code)).await?;
    let rows: Vec<_> = open
        .iter()
        .map(|request| {
            (
                request.id.clone(),
                request.name.clone(),
                request.address.clone(),
                request.organisation.clone(),
                day(&site, &visit, request.at),
            )
        })
        .collect();
    Ok(show(&site, &visit, &scope, "requests", "manage-requests.html", context! { rows => Value::from(Serde(&rows)) }))
}

/// `POST /manage/CODE/requests/REQUEST`
pub async fn decide(
    State(site): State<Site>,
    visit: Visit,
    scope: Scope,
    Path((_, id)): Path<(String, String)>,
    form: Form,
) -> Result<Response, Problem> {
    let id: RequestId = id.parse().map_err(|_| Problem::missing())?;
    let approve = match form.get("act") {
        "approve" => true,
        "decline" => false,
        _ => return Err(Problem::Status(axum::http::StatusCode::BAD_REQUEST)),
    };
    let done = match subscribe::decide(&site.services, &visit.actor(), id, approve).await? {
        Outcome::Refused(reason) | Outcome::NotSubscribed(reason) => return Err(Failure::Refused(reason).into()),
        _ if approve => "approved",
        _ => "declined",
    };
    Ok(after(&format!("/manage/{}/requests", scope.group.code), done))
}

/// `GET /manage/CODE/why?message=&address=`: only what concerns this group.
pub async fn why(State(site): State<Site>, visit: Visit, scope: Scope) -> Result<Response, Problem> {
    let (message, address) = (visit.asked("message").unwrap_or_default(), visit.asked("address").unwrap_or_default());
    let mut rows = Vec::new();
    let mut wrong = false;
    if !message.is_empty() && !address.is_empty() {
        match address.parse::<EmailAddress>() {
            Ok(address) => {
                let code = scope.group.code.as_str();
                match explain::explain(&site.services, message, Some(&address)).await {
                    Ok(explanation) if explanation.group.split(',').any(|group| group == code) => {
                        let own: Vec<_> = explanation.recipients.into_iter().filter(|one| one.group == code).collect();
                        rows = own_data::rows(&site, &visit, &own);
                    }
                    Ok(_) | Err(Failure::NotFound(_)) => {}
                    Err(failure) => return Err(failure.into()),
                }
            }
            Err(_) => wrong = true,
        }
    }
    let content = context! {
        message => message,
        address => address,
        asked => !message.is_empty() && !address.is_empty() && !wrong,
        wrong => wrong,
        rows => Value::from(Serde(&rows)),
    };
    Ok(show(&site, &visit, &scope, "reports", "manage-why.html", content))
}
