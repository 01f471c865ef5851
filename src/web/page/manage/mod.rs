//! `/manage`: the groups that a person decides on. `/manage/CODE`: one of them, in tabs.

pub mod bounces;
pub mod held;
pub mod meetings;
pub mod members;
pub mod people;
pub mod rehearsal;
pub mod reports;
pub mod rules;
pub mod settings;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use minijinja::value::Serde;
use minijinja::{Value, context};
use serde::Serialize;

use crate::domain::group::GroupCode;
use crate::domain::id::PostId;
use crate::domain::subscription::Role;
use crate::service::{moderate, post, subscribe};
use crate::store::AuditEntry;
use crate::web::authority::Scope;
use crate::web::page::choices::moment;
use crate::web::{Problem, Site, Visit, after};

/// Entries of the audit trail that are shown.
const AUDIT: usize = 200;
/// Entries that a filter looks through.
const AUDIT_READ: usize = 5_000;

/// The tabs of a group: name of the address, key of its word, for managers only?
const TABS: [(&str, &str, bool); 11] = [
    ("", "overview", false),
    ("members", "members", true),
    ("requests", "requests", true),
    ("held", "held", false),
    ("bounces", "bounces", true),
    ("meetings", "meetings", true),
    ("rules", "rules", true),
    ("rehearsal", "rehearsal", true),
    ("reports", "reports", true),
    ("settings", "settings", true),
    ("audit", "audit", true),
];

/// A page of a group's management under its tab.
pub fn show(site: &Site, visit: &Visit, scope: &Scope, tab: &str, name: &str, content: Value) -> Response {
    let code = scope.group.code.as_str();
    let tabs: Vec<(String, String, bool)> = TABS
        .iter()
        .filter(|(.., for_managers)| scope.manages || !for_managers)
        .map(|(path, word, _)| {
            let address = if path.is_empty() { format!("/manage/{code}") } else { format!("/manage/{code}/{path}") };
            (address, site.word(visit, &format!("tab-{word}")), *word == tab)
        })
        .collect();
    let frame = context! {
        code => code,
        group_name => scope.group.name.best(&visit.languages()).cloned().unwrap_or_default(),
        base => format!("/manage/{code}"),
        tabs => Value::from(Serde(&tabs)),
        manages => true,
        is_manager => scope.manages,
    };
    let title = format!("{code} · {}", site.word(visit, &format!("tab-{tab}")));
    site.show(visit, name, &title, context! { ..content, ..frame })
}

/// `GET /manage`
pub async fn list(State(site): State<Site>, visit: Visit) -> Result<Response, Problem> {
    let account = super::me::signed(&visit)?;
    let groups = site.services.groups();
    let mut managed: Vec<(String, String, &'static str)> = Vec::new();
    for group in groups.iter().filter(|group| !group.list.is_empty()) {
        let role = visit.subscription(&group.code).filter(|one| one.is_active()).map(|one| one.role);
        let may = crate::service::rights::may_moderate(&site.services, group, account).await?.is_accept();
        if may {
            let role = role.filter(|role| *role >= Role::Moderator).map_or("", super::choices::role_text);
            managed.push((group.code.to_string(), group.name.best(&visit.languages()).cloned().unwrap_or_default(), role));
        }
    }
    let content = context! { managed => Value::from(Serde(&managed)) };
    Ok(site.show(&visit, "manage-list.html", &site.word(&visit, "manage"), content))
}

/// `GET /manage/CODE`
pub async fn overview(State(site): State<Site>, visit: Visit, scope: Scope) -> Result<Response, Problem> {
    let code = &scope.group.code;
    let held = moderate::part(&site.services, Some(code), None, moderate::LOOKED_AT).await?;
    // Of very many only the beginning is counted.
    let held = format!("{}{}", held.posts.len(), if held.next.is_some() { "+" } else { "" });
    let requests = subscribe::requests(&site.services, Some(code)).await?.len();
    let counted = if scope.manages { Some(site.participation(code).await?) } else { None };
    let waiting: Vec<(String, String, String)> = if scope.manages {
        let waiting = post::waiting(&site.services, code).await?;
        waiting.into_iter().map(|post| (post.id.to_string(), post.subject, moment(&site, post.not_before))).collect()
    } else {
        Vec::new()
    };
    let content = context! {
        waiting => Value::from(Serde(&waiting)),
        held => held,
        requests => requests,
        active => counted.as_ref().and_then(|counted| counted.states.get("active").copied()).unwrap_or(0),
        suspended => counted.as_ref().and_then(|counted| counted.states.get("suspended").copied()).unwrap_or(0),
        bouncing => counted.as_ref().map(|counted| counted.bouncing),
    };
    Ok(show(&site, &visit, &scope, "overview", "manage.html", content))
}

/// `POST /manage/CODE/stop/POST`: stops a post within its grace time.
pub async fn stop(
    State(site): State<Site>,
    visit: Visit,
    scope: Scope,
    Path((_, id)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let id: PostId = id.parse().map_err(|_| Problem::missing())?;
    post::recall(&site.services, &visit.actor(), id).await?;
    Ok(after(&format!("/manage/{}", scope.group.code), "stopped"))
}

/// An act of the audit trail as a page shows it.
#[derive(Serialize)]
pub struct Entry {
    at: String,
    actor: String,
    /// In the reader's language.
    act: String,
    group: String,
    detail: String,
}

/// The latest acts that the visitor's filter lets through: `q`, words of who, what and whom; `from` and `to`, days.
pub async fn trail(site: &Site, visit: &Visit, group: Option<&GroupCode>) -> Result<Vec<Entry>, Problem> {
    let wanted = visit.asked("q").unwrap_or_default().to_lowercase();
    let day = |name: &str| visit.asked(name).and_then(|day| day.parse::<chrono::NaiveDate>().ok());
    let (from, to) = (day("from"), day("to"));
    let zone = site.settings().timezone;
    let entries = site.services.trail(group, AUDIT_READ).await?;
    let fits = |entry: &AuditEntry| {
        let day = entry.at.with_timezone(&zone).date_naive();
        let said = act_in_words(site, visit, &entry.act);
        let text = format!("{} {} {said} {}", entry.actor, entry.act, entry.detail).to_lowercase();
        let named = entry.group.as_ref().is_some_and(|group| group.as_str().to_lowercase() == wanted);
        from.is_none_or(|from| day >= from) && to.is_none_or(|to| day <= to) && (text.contains(&wanted) || named)
    };
    Ok(entries
        .into_iter()
        .filter(fits)
        .take(AUDIT)
        .map(|entry| Entry {
            at: moment(site, entry.at),
            actor: actor_in_words(site, visit, entry.actor),
            act: act_in_words(site, visit, &entry.act),
            group: entry.group.map_or_else(String::new, |group| group.to_string()),
            detail: entry.detail.chars().take(400).collect(),
        })
        .collect())
}

/// An act of the trail in the reader's language; one that has no word any more, from an older release, as it was written.
fn act_in_words(site: &Site, visit: &Visit, act: &str) -> String {
    let letters = act.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { ' ' }).collect::<String>();
    let key = format!("act-{}", letters.split_whitespace().collect::<Vec<_>>().join("-"));
    let word = site.word(visit, &key);
    if word == key { act.to_owned() } else { word }
}

/// Who did it: a person by her address, the command line, or a job of the service.
pub fn actor_in_words(site: &Site, visit: &Visit, actor: String) -> String {
    match actor.as_str() {
        "command line" => site.word(visit, "act-by-command-line"),
        job if job.starts_with("job ") => site.word(visit, "act-by-itself"),
        _ => actor,
    }
}

/// What the filter of the audit trail shows again.
pub fn trail_form(visit: &Visit) -> Value {
    let asked = |name: &str| visit.asked(name).unwrap_or_default().to_owned();
    context! { q => asked("q"), from => asked("from"), to => asked("to") }
}

/// `GET /manage/CODE/audit?q=&from=&to=`
pub async fn audit(State(site): State<Site>, visit: Visit, scope: Scope) -> Result<Response, Problem> {
    let entries = trail(&site, &visit, Some(&scope.group.code)).await?;
    let content = context! { entries => Value::from(Serde(&entries)), asked => trail_form(&visit) };
    Ok(show(&site, &visit, &scope, "audit", "manage-audit.html", content))
}

/// A file to keep, never to be shown by the browser.
pub fn download(kind: &'static str, name: &str, bytes: impl IntoResponse) -> Response {
    use axum::http::HeaderValue;
    use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
    let mut response = bytes.into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    let plain: String = name.chars().map(|c| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' }).collect();
    let encoded = crate::web::pages::encoded(name);
    if let Ok(value) = HeaderValue::from_str(&format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{encoded}")) {
        response.headers_mut().insert(CONTENT_DISPOSITION, value);
    }
    response
}
