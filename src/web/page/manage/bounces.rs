//! `/manage/CODE/bounces`: whose mail came back, why in plain words, and a way back.

use axum::extract::{Path, State};
use axum::response::Response;
use minijinja::value::Serde;
use minijinja::{Value, context};
use serde::Serialize;

use super::show;
use crate::domain::id::AccountId;
use crate::service::{bounce, subscribe};
use crate::web::authority::Scope;
use crate::web::page::choices::day;
use crate::web::{Problem, Site, Visit, after};

/// People shown.
const SHOWN: usize = 100;

#[derive(Serialize)]
struct Row {
    account: String,
    address: String,
    name: String,
    state: &'static str,
    words: String,
    diagnostic: String,
    score: String,
    failures: u32,
    frozen: bool,
    probed: Option<String>,
    last: String,
}

/// `GET /manage/CODE/bounces`
pub async fn list(State(site): State<Site>, visit: Visit, scope: Scope) -> Result<Response, Problem> {
    let mut rows = Vec::new();
    for one in bounce::worst(&site.services, Some(&scope.group.code), SHOWN).await? {
        let Ok(address) = one.address.parse() else { continue };
        let Some(account) = site.services.store.account_by_address(&address).await? else { continue };
        rows.push(Row {
            account: account.id.to_string(),
            words: site.word(&visit, &format!("bounce-{}", one.class)),
            score: site.pages.word(visit.language, "bounce-score", &[&format!("{:.1} / {:.0}", one.score, one.limit)]),
            last: day(&site, &visit, one.last),
            address: one.address,
            name: one.name,
            state: one.state,
            diagnostic: one.diagnostic.chars().take(300).collect(),
            failures: one.failures,
            frozen: one.frozen,
            probed: one.probed.map(|at| day(&site, &visit, at)),
        });
    }
    Ok(show(&site, &visit, &scope, "bounces", "manage-bounces.html", context! { rows => Value::from(Serde(&rows)) }))
}

/// `POST /manage/CODE/bounces/ACCOUNT`: forget the score in this group, and bring the subscription back.
pub async fn reset(
    State(site): State<Site>,
    visit: Visit,
    scope: Scope,
    Path((_, id)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let id: AccountId = id.parse().map_err(|_| Problem::missing())?;
    let code = &scope.group.code;
    let (_, account) = subscribe::member(&site.services, code, id).await?;
    bounce::reset_in(&site.services, &visit.actor(), account.address(), Some(code), false).await?;
    Ok(after(&format!("/manage/{code}/bounces"), "reset"))
}
