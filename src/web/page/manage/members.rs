//! `/manage/CODE/members`: search, add, import with a preview, export.
//!
//! What the gate would say is shown before anything is done: adding and importing begin with a rehearsal of themselves, and the
//! button that does it stands under its result.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use data_encoding::HEXLOWER;
use minijinja::value::Serde;
use minijinja::{Value, context};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::{download, show};
use crate::domain::address::pasted;
use crate::domain::mistake::Mistake;
use crate::domain::reason::Rule;
use crate::domain::subscription::Role;
use crate::mail::content;
use crate::service::Failure;
use crate::service::subscribe::{self, FoundMember, Invite, MemberReport, MemberSearch, Settings};
use crate::web::authority::Scope;
use crate::web::form::Form;
use crate::web::{Problem, Site, Visit};

/// Subscribers on a page.
const PAGE: usize = 50;
/// Lines of a report that are shown.
const LINES: usize = 100;
/// A file up to this size travels in the preview; a larger one is sent again.
const CARRIED_OCTETS: usize = 30_000;

/// A subscriber as the table shows her.
#[derive(Serialize)]
pub struct Row {
    id: String,
    address: String,
    name: String,
    organisation: String,
    country: String,
    role: &'static str,
    state: &'static str,
    reason: Option<String>,
    delivery: String,
    languages: String,
    invited: bool,
    invited_until: Option<String>,
}

/// A found subscriber in the visitor's language.
pub fn row(site: &Site, visit: &Visit, found: &FoundMember) -> Row {
    let reason = found.subscription.state.reason().map(|reason| site.services.texts.reason(visit.language, reason));
    let mode = found.row.delivery.split(' ').next().unwrap_or_default();
    Row {
        id: found.account.to_string(),
        address: found.row.address.clone(),
        name: found.row.name.clone(),
        organisation: found.organisation.clone(),
        country: found.country.clone(),
        role: found.row.role,
        state: found.row.state,
        reason,
        delivery: site.services.texts.word(visit.language, &format!("delivery.{mode}")).to_owned(),
        languages: found.row.languages.join(", "),
        invited: found.subscription.invitation.is_some(),
        invited_until: found
            .subscription
            .invitation
            .as_ref()
            .and_then(|invitation| invitation.until)
            .map(|day| site.services.texts.date(visit.language, day)),
    }
}

/// `GET /manage/CODE/members?q=&state=&role=&after=`
pub async fn list(State(site): State<Site>, visit: Visit, scope: Scope) -> Result<Response, Problem> {
    let wanted = MemberSearch {
        text: visit.asked("q").unwrap_or_default().chars().take(200).collect(),
        state: visit.asked("state").filter(|state| STATES.contains(state)).unwrap_or_default().to_owned(),
        role: match visit.asked("role") {
            Some("manager") => Some(Role::Manager),
            Some("moderator") => Some(Role::Moderator),
            _ => None,
        },
        rule: visit.asked("bouncing").map(|_| Rule::Bouncing),
    };
    let after = visit.asked("after").and_then(|after| after.parse().ok());
    let page = subscribe::find(&site.services, &scope.group.code, &wanted, after, PAGE).await?;
    let rows: Vec<Row> = page.members.iter().map(|found| row(&site, &visit, found)).collect();
    let content = context! {
        rows => Value::from(Serde(&rows)),
        next => page.next.map(|next| next.to_string()),
        first => after.is_none(),
        q => wanted.text,
        state => wanted.state,
        role => visit.asked("role"),
        bouncing => wanted.rule.is_some(),
        states => STATES.to_vec(),
        languages => Value::from(Serde(&super::super::choices::languages_of(&site, &visit, &[]))),
    };
    Ok(show(&site, &visit, &scope, "members", "manage-members.html", content))
}

const STATES: [&str; 4] = ["active", "pending", "suspended", "unsubscribed"];

/// `GET /manage/CODE/members.csv`
pub async fn export(State(site): State<Site>, scope: Scope) -> Result<Response, Problem> {
    let text = subscribe::export(&site.services, &scope.group.code).await?;
    Ok(download("text/csv; charset=utf-8", &format!("{}-members.csv", scope.group.code), text))
}

/// `POST /manage/CODE/members`: first what would come of it, then, with `act=do`, done.
pub async fn add(State(site): State<Site>, visit: Visit, scope: Scope, form: Form) -> Result<Response, Problem> {
    let addresses = pasted(form.get("addresses"));
    if addresses.is_empty() {
        return Err(Failure::Invalid(site.word(&visit, "members-none-given")).into());
    }
    let mut settings = Settings::default();
    for key in ["role", "languages"] {
        let value = form.all(key).filter(|value| !value.is_empty()).collect::<Vec<_>>().join(",");
        if !value.is_empty() {
            settings.set(key, &value, &site.services.config).map_err(Failure::Invalid)?;
        }
    }
    let invite = match (form.has("invite"), form.get("until")) {
        (false, _) => Invite::No,
        (true, "") => Invite::Until(None),
        (true, day) => Invite::Until(Some(day.parse().map_err(|_| Failure::from(Mistake::DateUnclear.about([day])))?)),
    };
    let dry_run = form.get("act") != "do";
    let report = subscribe::add(&site.services, &visit.actor(), &scope.group.code, &addresses, &settings, invite, dry_run).await?;
    let carried = ["role", "until"].map(|key| (key, form.get(key).to_owned()));
    let mut hidden: Vec<(&str, String)> = carried.into_iter().filter(|(_, value)| !value.is_empty()).collect();
    hidden.extend(form.all("languages").filter(|value| !value.is_empty()).map(|value| ("languages", value.to_owned())));
    if form.has("invite") {
        hidden.push(("invite", "yes".into()));
    }
    hidden.push(("addresses", addresses.join("\n")));
    Ok(reported(&site, &visit, &scope, &report, &format!("/manage/{}/members", scope.group.code), &hidden, None))
}

/// `POST /manage/CODE/members/import`: a CSV file, as `enlace member import` reads it; first a preview.
pub async fn import(State(site): State<Site>, visit: Visit, scope: Scope, form: Form) -> Result<Response, Problem> {
    // The file itself, or its text as the preview carried it.
    let (name, file) = match form.file("file") {
        Some(file) if !file.bytes.is_empty() => (file.name.as_str(), file.bytes.as_ref()),
        _ => (form.get("name"), form.get("file").as_bytes()),
    };
    let name = content::clean_name(name).unwrap_or_else(|| "members.csv".to_owned());
    let file = file.trim_ascii();
    // A browser sends the lines of a field with CRLF, whatever the file had.
    let digest = HEXLOWER.encode(&Sha256::digest(String::from_utf8_lossy(file).replace("\r\n", "\n")));
    let same = form.get("digest") == digest;
    let dry_run = !(form.get("act") == "do" && same);
    let report = match subscribe::import(&site.services, &visit.actor(), &scope.group.code, file, &name, dry_run).await {
        Ok(report) => report,
        Err(Failure::Invalid(why)) => return Ok(refused(&site, &visit, &scope, &why)),
        Err(failure) => return Err(failure.into()),
    };
    let mut hidden = vec![("digest", digest), ("name", name)];
    let carried = std::str::from_utf8(file).ok().filter(|text| text.len() <= CARRIED_OCTETS);
    let again = carried.is_none();
    hidden.extend(carried.map(|text| ("file", text.to_owned())));
    let action = format!("/manage/{}/members/import", scope.group.code);
    Ok(reported(&site, &visit, &scope, &report, &action, &hidden, again.then_some("file")))
}

/// The answer to a file that cannot be read at all, with the way back.
fn refused(site: &Site, visit: &Visit, scope: &Scope, why: &str) -> Response {
    let content = context! {
        wrong => why,
        counts => Vec::<String>::new(),
        more => 0,
        lines => Vec::<String>::new(),
        warnings => Vec::<String>::new(),
        preview => true,
        changes => false,
    };
    let mut response = show(site, visit, scope, "members", "manage-report.html", content);
    *response.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
    response
}

#[derive(Serialize)]
struct Line {
    line: Option<usize>,
    address: String,
    outcome: &'static str,
    text: String,
}

fn reported(
    site: &Site,
    visit: &Visit,
    scope: &Scope,
    report: &MemberReport,
    action: &str,
    hidden: &[(&str, String)],
    again: Option<&str>,
) -> Response {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for line in &report.members {
        *counts.entry(line.outcome).or_default() += 1;
    }
    let bad = |outcome: &str| matches!(outcome, "refused" | "wrong" | "not-subscribed");
    let mut lines: Vec<_> = report.members.iter().collect();
    // What needs a decision stands first.
    lines.sort_by_key(|line| (!bad(line.outcome), line.line));
    let lines: Vec<Line> = lines
        .into_iter()
        .take(LINES)
        .map(|line| Line {
            line: line.line,
            address: line.address.clone(),
            outcome: line.outcome,
            text: line.cause.as_ref().map_or_else(|| line.text.clone(), |cause| site.services.texts.reason(visit.language, cause)),
        })
        .collect();
    let changes = report.members.iter().any(|line| matches!(line.outcome, "subscribed" | "changed" | "unsubscribed"));
    let content = context! {
        counts => Value::from(Serde(&counts)),
        more => report.members.len().saturating_sub(lines.len()),
        lines => Value::from(Serde(&lines)),
        warnings => report.warnings.clone(),
        preview => report.dry_run,
        changes => changes,
        action => action,
        hidden => Value::from(Serde(hidden)),
        again => again.is_some(),
    };
    show(site, visit, scope, "members", "manage-report.html", content)
}
