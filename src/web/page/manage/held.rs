//! `/manage/CODE/held`: held posts with a preview, and what to do with them.

use axum::extract::{Path, State};
use axum::response::Response;
use minijinja::value::Serde;
use minijinja::{Value, context};
use serde::Serialize;

use super::show;
use crate::domain::id::PostId;
use crate::domain::mistake::Mistake;
use crate::domain::post::{Post, PostState};
use crate::mail::content;
use crate::service::Failure;
use crate::service::moderate::{self, HeldPost};
use crate::web::authority::Scope;
use crate::web::form::Form;
use crate::web::page::choices::{moment, size};
use crate::web::{Problem, Site, Visit, after};

/// Octets of text that a preview shows.
const PREVIEW_OCTETS: usize = 12_000;
/// Attachments that a preview names.
const PREVIEW_FILES: usize = 20;
/// Held posts on the page.
const SHOWN: usize = 100;

#[derive(Serialize)]
struct Row {
    id: String,
    from: String,
    subject: String,
    reason: String,
    at: String,
    proved: bool,
    size: String,
}

/// `GET /manage/CODE/held?after=`
pub async fn list(State(site): State<Site>, visit: Visit, scope: Scope) -> Result<Response, Problem> {
    let after = visit.asked("after").and_then(|after| after.parse().ok());
    let page = moderate::part(&site.services, Some(&scope.group.code), after, SHOWN).await?;
    let rows: Vec<Row> = page.posts.iter().filter_map(|post| row(&site, &visit, post)).collect();
    let content = context! {
        next => page.next.map(|next| next.to_string()),
        first => after.is_none(),
        rows => Value::from(Serde(&rows)),
        allowed => Value::from(Serde(&moderate::allowed(&site.services, &scope.group.code).await?)),
        two_persons => scope.group.house.two_persons,
        moderated => scope.group.house.moderate,
    };
    Ok(show(&site, &visit, &scope, "held", "manage-held.html", content))
}

/// `POST /manage/CODE/allowed`: takes back that a sender is always let through.
pub async fn disallow(State(site): State<Site>, visit: Visit, scope: Scope, form: Form) -> Result<Response, Problem> {
    let sender = form.get("sender").parse().map_err(|_| Problem::missing())?;
    moderate::disallow(&site.services, &visit.actor(), &scope.group.code, &sender, false).await?;
    Ok(after(&format!("/manage/{}/held", scope.group.code), "saved"))
}

fn row(site: &Site, visit: &Visit, post: &Post) -> Option<Row> {
    let (PostState::Held(reason) | PostState::AwaitsAuthor(reason)) = &post.state else { return None };
    Some(Row {
        id: post.id.to_string(),
        from: post.author_address().map(ToString::to_string).unwrap_or_default(),
        subject: post.subject.clone(),
        reason: site.services.texts.reason(visit.language, reason),
        at: moment(site, post.received_at),
        proved: post.sender.as_ref().is_some_and(crate::domain::proof::SenderProof::is_proved),
        size: size(post.octets()),
    })
}

/// `GET /manage/CODE/held/POST`
pub async fn look(
    State(site): State<Site>,
    visit: Visit,
    scope: Scope,
    Path((_, id)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let id: PostId = id.parse().map_err(|_| Problem::missing())?;
    let post = site.services.store.post(id).await?.ok_or_else(Problem::missing)?;
    let row = row(&site, &visit, &post).ok_or_else(Problem::missing)?;
    let body = site.services.store.body(&post.editions[0].body).await?;
    let read = site.services.quarantine.look(id, "preview", &body, |body| {
        let message = content::parse(body).ok()?;
        let files: Vec<(String, String)> = content::attachments(&message, usize::MAX)
            .into_iter()
            .take(PREVIEW_FILES)
            .map(|file| (file.name, size(u64::try_from(file.bytes.len()).unwrap_or(u64::MAX))))
            .collect();
        Some((content::text_body(&message, PREVIEW_OCTETS), files))
    });
    let (text, files) = read.await.unwrap_or_default();
    let first = moderate::first_release(&site.services, id).await?.filter(|_| scope.group.house.two_persons);
    let content = context! {
        looks_like => moderate::looks_like(&site.services, &post).await?,
        liaison => post.kind == crate::domain::post::PostKind::Liaison,
        two_persons => scope.group.house.two_persons,
        own_release => first.as_deref() == Some(visit.actor().name.as_str()),
        first => first,
        row => Value::from(Serde(&row)),
        text => text,
        files => Value::from(Serde(&files)),
        days => moderate::held_days(&site.services),
    };
    Ok(show(&site, &visit, &scope, "held", "manage-held-post.html", content))
}

/// `POST /manage/CODE/held/POST`
pub async fn act(
    State(site): State<Site>,
    visit: Visit,
    scope: Scope,
    Path((_, id)): Path<(String, String)>,
    form: Form,
) -> Result<Response, Problem> {
    let id: PostId = id.parse().map_err(|_| Problem::missing())?;
    let (services, actor) = (&site.services, visit.actor());
    let done = match form.get("act") {
        "release" => released(&moderate::release(services, &actor, id, false).await?),
        "allow" => released(&moderate::allow(services, &actor, id, false).await?),
        "reject" => {
            let reason: String = form.get("reason").chars().map(|c| if c.is_control() { ' ' } else { c }).take(500).collect();
            if reason.trim().is_empty() {
                return Err(Failure::from(Mistake::ReasonMissing.plain()).into());
            }
            moderate::reject(services, &actor, id, &reason, false).await.map(|_| "rejected")?
        }
        "discard" => moderate::discard(services, &actor, id, false).await.map(|_| "discarded")?,
        _ => return Err(Problem::Status(axum::http::StatusCode::BAD_REQUEST)),
    };
    Ok(after(&format!("/manage/{}/held", scope.group.code), done))
}

/// The sentence after a release: where two have to, the first one lets nothing out.
fn released(post: &HeldPost) -> &'static str {
    if post.released { "released" } else { "half-released" }
}
