//! `/manage/CODE/settings`: what managers may set of a group, each with what it does.

use axum::extract::State;
use axum::response::Response;
use minijinja::value::Serde;
use minijinja::{Value, context};
use serde::Serialize;

use super::show;
use crate::domain::group::MissingEdition;
use crate::service::group::{SETTABLE, set};
use crate::web::authority::Scope;
use crate::web::form::Form;
use crate::web::page::choices::{Choice, language_choices};
use crate::web::{Problem, Site, Visit, after};

/// Settings with a fixed choice, and their values.
const FIXED: [(&str, &[&str]); 6] = [
    ("subscription", &["open", "approve", "invite", "closed"]),
    ("guests", &["none", "invited", "approve", "open"]),
    ("nonmember", &["reject", "hold"]),
    ("guest_liaison", &["full", "cover", "none"]),
    ("archive", &["members", "ties", "public"]),
    ("personal", &["yes", "no"]),
];

#[derive(Serialize)]
struct Setting {
    key: &'static str,
    choices: Vec<Choice>,
}

/// `GET /manage/CODE/settings`
pub async fn show_all(State(site): State<Site>, visit: Visit, scope: Scope) -> Response {
    let now = serde_json::to_value(&*scope.group).unwrap_or_default();
    let value = |key: &str| match &now[key] {
        serde_json::Value::Bool(on) => if *on { "yes" } else { "no" }.to_owned(),
        other => other.as_str().unwrap_or_default().to_owned(),
    };
    let settings: Vec<Setting> = FIXED
        .iter()
        .map(|(key, values)| Setting {
            key,
            choices: values
                .iter()
                .map(|one| Choice {
                    value: (*one).to_owned(),
                    text: site.word(&visit, &format!("set-{key}-{one}")),
                    on: value(key) == **one,
                })
                .collect(),
        })
        .collect();
    let (missing, days) = match scope.group.missing_edition {
        MissingEdition::Send => ("send", 3),
        MissingEdition::Wait(days) => ("wait", days),
        MissingEdition::Hold => ("hold", 3),
    };
    let content = context! {
        settings => Value::from(Serde(&settings)),
        missing => missing,
        missing_days => days,
        grace => scope.group.grace.as_secs() / 60,
        languages => Value::from(Serde(&language_choices(&site, &visit, &scope.group.languages))),
    };
    show(&site, &visit, &scope, "settings", "manage-settings.html", content)
}

/// `POST /manage/CODE/settings`; a field that this page does not have is not looked at.
pub async fn change(State(site): State<Site>, visit: Visit, scope: Scope, form: Form) -> Result<Response, Problem> {
    let languages = form.all("language").filter(|code| !code.is_empty()).collect::<Vec<_>>().join(",");
    let missing = match form.get("missing") {
        "wait" => format!("wait {} days", form.get("missing_days")),
        other => other.to_owned(),
    };
    let value = |key| match key {
        "languages" => languages.as_str(),
        "missing_edition" => missing.as_str(),
        _ => form.get(key),
    };
    let settings: Vec<(&str, &str)> = SETTABLE.into_iter().map(|key| (key, value(key))).filter(|(_, value)| !value.is_empty()).collect();
    let change = set(&site.services, &visit.actor(), &scope.group.code, &settings, false).await?;
    let done = if change.fields.is_empty() { "unchanged" } else { "saved" };
    Ok(after(&format!("/manage/{}/settings", scope.group.code), done))
}
