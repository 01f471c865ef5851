//! `/manage/CODE/settings`: what managers may set of a group, each with what it does.

use axum::extract::State;
use axum::response::Response;
use data_encoding::HEXLOWER;
use minijinja::value::Serde;
use minijinja::{Value, context};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::show;
use crate::domain::account::Account;
use crate::domain::group::{Group, MissingEdition};
use crate::domain::mistake::Mistake;
use crate::service::Failure;
use crate::service::group::{SETTABLE, set};
use crate::web::authority::Scope;
use crate::web::form::Form;
use crate::web::page::choices::{Choice, language_choices, language_name};
use crate::web::{Problem, Site, Visit, after};

/// Settings with a fixed choice, and their values.
const FIXED: [(&str, &[&str]); 9] = [
    ("subscription", &["open", "approve", "invite", "closed"]),
    ("guests", &["none", "invited", "approve", "open"]),
    ("nonmember", &["reject", "hold"]),
    ("guest_liaison", &["full", "cover", "none"]),
    ("archive", &["members", "ties", "public"]),
    ("personal", &["yes", "no"]),
    ("moderate", &["no", "yes"]),
    ("release_by", &["1", "2"]),
    ("monthly_reminder", &["no", "yes"]),
];

/// Settings that are texts in each language.
const TEXTS: [&str; 3] = ["purpose", "legal_basis", "footer"];

#[derive(Serialize)]
struct Setting {
    key: &'static str,
    choices: Vec<Choice>,
    /// May only those who run the service change it?
    fixed: bool,
}

/// A text in one language.
#[derive(Serialize)]
struct Text {
    /// `purpose.es`, as the form sends it.
    key: String,
    language: String,
    name: String,
    value: String,
}

/// `GET /manage/CODE/settings`
pub async fn show_all(State(site): State<Site>, visit: Visit, scope: Scope) -> Response {
    let now = serde_json::to_value(&*scope.group).unwrap_or_default();
    let house = &scope.group.house;
    let value = |key: &str| match (key, &now[key]) {
        ("release_by", _) => if house.two_persons { "2" } else { "1" }.to_owned(),
        ("moderate", _) => yes_or_no(house.moderate),
        (_, serde_json::Value::Bool(on)) => yes_or_no(*on),
        (_, other) => other.as_str().unwrap_or_default().to_owned(),
    };
    let settings: Vec<Setting> = FIXED
        .iter()
        .map(|(key, values)| Setting {
            key,
            fixed: *key == "release_by" && may_not_relax(&visit, &scope),
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
    let texts: Vec<(&str, Vec<Text>)> = TEXTS.iter().map(|key| (*key, texts(&site, &scope, key))).collect();
    let content = context! {
        as_of => state_of(&scope.group),
        texts => Value::from(Serde(&texts)),
        banned => house.banned.join("\n"),
        settings => Value::from(Serde(&settings)),
        missing => missing,
        missing_days => days,
        grace => scope.group.grace.as_secs() / 60,
        languages => Value::from(Serde(&language_choices(&site, &visit, &scope.group.languages))),
    };
    show(&site, &visit, &scope, "settings", "manage-settings.html", content)
}

/// `POST /manage/CODE/settings`; a field that this page does not have is not looked at, and what is not sent stays.
pub async fn change(State(site): State<Site>, visit: Visit, scope: Scope, form: Form) -> Result<Response, Problem> {
    if form.get("release_by") == "1" && may_not_relax(&visit, &scope) {
        return Err(Failure::Invalid(site.word(&visit, "set-release_by-fixed")).into());
    }
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
    let mut settings: Vec<(&str, &str)> = SETTABLE
        .into_iter()
        .map(|key| (key, value(key)))
        .filter(|(key, value)| !value.is_empty() || *key == "banned" && form.has(key))
        .collect();
    let keys: Vec<String> = TEXTS
        .iter()
        .flat_map(|key| site.settings().languages.iter().map(move |language| format!("{key}.{language}")))
        .filter(|key| form.has(key))
        .collect();
    settings.extend(keys.iter().map(|key| (key.as_str(), form.get(key))));
    let (services, code, actor) = (&site.services, &scope.group.code, visit.actor());
    let change = services
        .alone(async {
            // The form has all settings: saved as they were before, they would take back what somebody else changed meanwhile.
            if form.has("as_of") && form.get("as_of") != state_of(&*services.group(code)?) {
                return Err(Mistake::SettingsChanged.about([code]).into());
            }
            set(services, &actor, code, &settings, false).await
        })
        .await?;
    let done = if change.fields.is_empty() { "unchanged" } else { "saved" };
    Ok(after(&format!("/manage/{}/settings", scope.group.code), done))
}

/// What a form of the settings was made from, to be compared with what they are when it comes back.
fn state_of(group: &Group) -> String {
    HEXLOWER.encode(&Sha256::digest(serde_json::to_vec(group).unwrap_or_default())[..8])
}

/// Whoever could release alone must not end the rule that asks for a second person: those who run the service do.
fn may_not_relax(visit: &Visit, scope: &Scope) -> bool {
    scope.group.house.two_persons && !visit.account().is_some_and(Account::is_operator)
}

fn yes_or_no(on: bool) -> String {
    if on { "yes" } else { "no" }.to_owned()
}

/// A text of the group in each language of the service.
fn texts(site: &Site, scope: &Scope, key: &str) -> Vec<Text> {
    let house = &scope.group.house;
    let given = match key {
        "purpose" => Some(&house.purpose),
        "legal_basis" => Some(&house.legal_basis),
        _ => scope.group.footer.as_ref(),
    };
    site.settings()
        .languages
        .iter()
        .map(|language| Text {
            key: format!("{key}.{language}"),
            language: language.to_string(),
            name: language_name(site, *language),
            value: given.and_then(|texts| texts.get(*language)).cloned().unwrap_or_default(),
        })
        .collect()
}
