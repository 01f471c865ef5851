//! `/me/why`, `/me/export.json`, `/me/erase`: a person's right to know, to take along and to be forgotten.

use axum::extract::State;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use minijinja::value::Serde;
use minijinja::{Value, context};

use super::choices::moment;
use super::me::signed;
use crate::domain::bounce::BounceClass;
use crate::service::{Failure, account, explain, session};
use crate::web::form::Form;
use crate::web::visit::SESSION;
use crate::web::{Problem, Site, Visit, after, with_cookie};

/// `GET /me/why?message=…`
pub async fn why(State(site): State<Site>, visit: Visit) -> Result<Response, Problem> {
    let account = signed(&visit)?;
    let Some(message) = visit.asked("message") else {
        return Ok(site.show(
            &visit,
            "why.html",
            &site.word(&visit, "why-title"),
            context! { message => "", found => false, asked => false },
        ));
    };
    let explained = match explain::explain(&site.services, message, Some(account.address())).await {
        Ok(explanation) => explanation.recipients,
        Err(Failure::NotFound(_)) => Vec::new(),
        Err(failure) => return Err(failure.into()),
    };
    let rows = rows(&site, &visit, &explained);
    let content = context! { message => message, asked => true, found => !rows.is_empty(), rows => Value::from(Serde(&rows)) };
    Ok(site.show(&visit, "why.html", &site.word(&visit, "why-title"), content))
}

/// One recipient of a message, in words.
#[derive(serde::Serialize)]
pub struct Row {
    address: String,
    state: &'static str,
    reason: String,
    language: Option<String>,
    group: String,
    attempts: Vec<(String, String)>,
}

/// Explained recipients in the visitor's language.
pub fn rows(site: &Site, visit: &Visit, explained: &[explain::ExplainedRecipient]) -> Vec<Row> {
    let row = |one: &explain::ExplainedRecipient| Row {
        address: one.address.clone(),
        state: one.state,
        reason: match &one.cause {
            Some(cause) => site.services.texts.reason(visit.language, cause),
            None => replied(site, visit, &one.reason),
        },
        language: one.language.as_ref().and_then(|code| code.parse().ok()).map(|language| super::choices::language_name(site, language)),
        group: one.group.clone(),
        attempts: one.attempts.iter().map(|attempt| (moment(site, attempt.at), attempt.reply.clone())).collect(),
    };
    explained.iter().map(row).collect()
}

/// What a mail server or a report said, behind what it means where that is known: `address-dead: 550 …`.
fn replied(site: &Site, visit: &Visit, reply: &str) -> String {
    let known = reply.split_once(':').and_then(|(class, _)| BounceClass::ALL.iter().find(|known| known.as_str() == class.trim()));
    match known {
        Some(class) => site.word(visit, &format!("bounce-{}", class.as_str())),
        None => site.pages.word(visit.language, "why-refused", &[reply]),
    }
}

/// `GET /me/export.json`
pub async fn export(State(site): State<Site>, visit: Visit) -> Result<Response, Problem> {
    let everything = account::export(&site.services, signed(&visit)?.address()).await?;
    let text = serde_json::to_string_pretty(&everything).map_err(|error| Failure::Invalid(error.to_string()))?;
    let headers = [(CONTENT_TYPE, "application/json"), (CONTENT_DISPOSITION, "attachment; filename=\"my-data.json\"")];
    Ok((headers, text).into_response())
}

/// `GET /me/erase`
pub async fn ask_erase(State(site): State<Site>, visit: Visit) -> Result<Response, Problem> {
    let account = signed(&visit)?;
    let content = context! { address => account.address().to_string(), wrong => false };
    Ok(site.show(&visit, "erase.html", &site.word(&visit, "erase-title"), content))
}

/// `POST /me/erase`; wants the address written out, so that nobody does it in passing.
pub async fn erase(State(site): State<Site>, visit: Visit, form: Form) -> Result<Response, Problem> {
    let account = signed(&visit)?;
    let address = account.address();
    if !form.get("address").eq_ignore_ascii_case(address.as_str()) {
        let content = context! { address => address.to_string(), wrong => true };
        return Ok(site.show(&visit, "erase.html", &site.word(&visit, "erase-title"), content));
    }
    account::erase(&site.services, &visit.actor(), address, false).await?;
    session::end_all(&site.services, account.id).await?;
    Ok(with_cookie(after("/", "erased"), site.cookie(SESSION, "", None)))
}
