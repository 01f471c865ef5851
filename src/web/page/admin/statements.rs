//! `/admin/liaisons/ID`: a statement that waits, its fields and problems beside its text, and what can be done about it.

use axum::extract::{Path, State};
use axum::response::Response;
use minijinja::value::Serde;
use minijinja::{Value, context};

use super::{operates, order, show};
use crate::domain::group::GroupCode;
use crate::service::liaison::{self, Line};
use crate::web::form::Form;
use crate::web::{Problem, Site, Visit, after};

/// Does the statement belong to a group that she is the secretariat of? Operators see all of them.
pub fn is_hers(visit: &Visit, group: &str) -> bool {
    let Ok(code) = group.parse::<GroupCode>() else { return operates(visit) };
    operates(visit) || visit.account().is_some_and(|account| account.is_tsb_of(&code))
}

/// Does it wait for somebody of the secretariat?
pub fn waits(line: &Line) -> bool {
    line.circulated_at.is_none() && !matches!(line.state, "closed" | "withdrawn" | "rejected" | "answered")
}

/// The statement, if it is hers; for anybody else it is not there.
async fn hers(site: &Site, visit: &Visit, id: &str) -> Result<serde_json::Value, Problem> {
    let id = liaison::find(&site.services, id).await?;
    let lines = liaison::list(&site.services, &liaison::Filter::default()).await?;
    let line = lines.iter().find(|line| line.id == id.to_string()).ok_or_else(Problem::missing)?;
    if !is_hers(visit, &line.group) {
        return Err(Problem::missing());
    }
    let shown = liaison::show_in(&site.services, id, true, visit.language).await?;
    Ok(serde_json::to_value(&shown).unwrap_or_default())
}

/// `GET /admin/liaisons/ID`
pub async fn look(State(site): State<Site>, visit: Visit, Path(id): Path<String>) -> Result<Response, Problem> {
    let shown = hers(&site, &visit, &id).await?;
    Ok(show(&site, &visit, "admin-statement.html", "overview", context! { id => id, shown => Value::from(Serde(&shown)) }))
}

/// `POST /admin/liaisons/ID`
pub async fn act(State(site): State<Site>, visit: Visit, Path(id): Path<String>, form: Form) -> Result<Response, Problem> {
    hers(&site, &visit, &id).await?;
    let reason = format!("--reason={}", form.get("reason"));
    match form.get("act") {
        "correct" => {
            let lines = form.get("lines").replace("\r\n", "\n");
            order(&site, &visit, &["liaison", "correct", "--", &id, "-"], Some(lines)).await?
        }
        "circulate" => order(&site, &visit, &["liaison", "circulate", "--", &id], None).await?,
        "withdraw" => order(&site, &visit, &["liaison", "withdraw", &reason, "--", &id], None).await?,
        "close" => order(&site, &visit, &["liaison", "close", "--", &id], None).await?,
        _ => return Err(Problem::missing()),
    };
    Ok(after(&format!("/admin/liaisons/{id}"), "saved"))
}
