//! `/manage/CODE/meetings`: meetings with their plans as time lines, previews in each language, changes by a file's text.

use std::path::Path as FilePath;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use minijinja::value::Serde;
use minijinja::{Value, context};
use serde::Serialize;

use super::show;
use crate::domain::meeting::{Meeting, MeetingId};
use crate::service::{Failure, meeting, rights};
use crate::web::authority::Scope;
use crate::web::form::Form;
use crate::web::page::choices::language_name;
use crate::web::page::meeting::{Card, card};
use crate::web::{Problem, Site, Visit, after};

/// `GET /manage/CODE/meetings?change=ID`: the list, and a form with the text of one of them or of a new one.
pub async fn list(State(site): State<Site>, visit: Visit, scope: Scope) -> Result<Response, Problem> {
    let mut meetings = meeting::meetings(&site.services, Some(&scope.group.code)).await?;
    meetings.reverse();
    let cards: Vec<(Card, bool)> =
        meetings.iter().take(100).map(|one| (card(&site, &visit, one), one.lead() == &scope.group.code)).collect();
    let changed = match visit.asked("change") {
        Some(id) => Some(own(&site, &scope, id).await?).filter(|found| found.lead() == &scope.group.code),
        None => None,
    };
    let text = match &changed {
        Some(found) => meeting::written(found),
        None => meeting::sample(&site.services, &scope.group).await?,
    };
    let content = context! {
        cards => Value::from(Serde(&cards)),
        text => text,
        open => changed.is_some(),
        wrong => (),
        applied => Vec::<String>::new(),
        warnings => Vec::<String>::new(),
    };
    Ok(show(&site, &visit, &scope, "meetings", "manage-meetings.html", content))
}

/// What a text would do to a meeting.
#[derive(Serialize)]
struct Applied {
    id: String,
    change: &'static str,
    /// Field in the reader's language, before, after.
    fields: Vec<(String, String, String)>,
    due: usize,
}

#[derive(Serialize)]
struct Step {
    kind: String,
    state: String,
    at: String,
    why: String,
}

/// `GET /manage/CODE/meetings/ID`
pub async fn look(
    State(site): State<Site>,
    visit: Visit,
    scope: Scope,
    Path((_, id)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let found = own(&site, &scope, &id).await?;
    let plan = meeting::plan(&site.services, &found.id).await?;
    let steps: Vec<Step> = plan
        .notices
        .into_iter()
        .map(|notice| Step {
            kind: site.word(&visit, &format!("notice-{}", notice.kind)),
            at: notice.local,
            why: match (&notice.rule, &notice.deadline) {
                (Some(rule), _) => site.word(&visit, &format!("skip-{rule}")),
                (None, Some((kind, day))) => {
                    let texts = &site.services.texts;
                    format!("{}: {}", texts.word(visit.language, &format!("meeting.deadline-{kind}")), texts.date(visit.language, *day))
                }
                (None, None) => String::new(),
            },
            state: notice.state,
        })
        .collect();
    let wanted = visit.asked("preview").and_then(|code| code.parse().ok()).unwrap_or(visit.language);
    let previews: Vec<(String, String, String)> = meeting::preview(&site.services, &found)
        .await?
        .into_iter()
        .filter(|preview| preview.language == wanted.as_str())
        .map(|preview| (preview.key, preview.subject, preview.text))
        .collect();
    let offered: Vec<(String, String, bool)> =
        site.settings().languages.iter().map(|one| (one.to_string(), language_name(&site, *one), *one == wanted)).collect();
    let leads = found.lead() == &scope.group.code;
    let content = context! {
        card => Value::from(Serde(card(&site, &visit, &found))),
        steps => Value::from(Serde(&steps)),
        previews => Value::from(Serde(&previews)),
        preview_languages => Value::from(Serde(&offered)),
        preview_lang => wanted.as_str(),
        preview_dir => if wanted.is_right_to_left() { "rtl" } else { "ltr" },
        leads => leads,
    };
    Ok(show(&site, &visit, &scope, "meetings", "manage-meeting.html", content))
}

/// The meeting, if this group holds it.
async fn own(site: &Site, scope: &Scope, id: &str) -> Result<Meeting, Problem> {
    let id: MeetingId = id.parse().map_err(|_| Problem::missing())?;
    let found = meeting::find(&site.services, &id).await?;
    if found.active_groups().any(|code| *code == scope.group.code) { Ok(found) } else { Err(Problem::missing()) }
}

/// `POST /manage/CODE/meetings/ID`: cancel or postpone, by the group that leads it; `ask-cancel` and `ask-postpone` show first what
/// readers would be told.
pub async fn act(
    State(site): State<Site>,
    visit: Visit,
    scope: Scope,
    Path((_, id)): Path<(String, String)>,
    form: Form,
) -> Result<Response, Problem> {
    let found = own(&site, &scope, &id).await?;
    if found.lead() != &scope.group.code {
        return Err(Problem::Status(StatusCode::FORBIDDEN));
    }
    let actor = visit.actor();
    match form.get("act") {
        "ask-cancel" => {
            let cancelled = meeting::cancel(&site.services, &actor, &found.id, true).await?;
            return ask(&site, &visit, &scope, &cancelled, "cancel").await;
        }
        "ask-postpone" => {
            let postponed = meeting::postpone(&site.services, &actor, &found.id, true).await?;
            return ask(&site, &visit, &scope, &postponed, "postpone").await;
        }
        "cancel" => meeting::cancel(&site.services, &actor, &found.id, false).await?,
        "postpone" => meeting::postpone(&site.services, &actor, &found.id, false).await?,
        _ => return Err(Problem::Status(StatusCode::BAD_REQUEST)),
    };
    Ok(after(&format!("/manage/{}/meetings/{}", scope.group.code, found.id), "saved"))
}

/// The question before an act: what would become of the meeting, with the mails in the reader's language.
async fn ask(site: &Site, visit: &Visit, scope: &Scope, then: &Meeting, act: &str) -> Result<Response, Problem> {
    let previews = meeting::preview(&site.services, then).await?.into_iter();
    let previews: Vec<(String, String)> =
        previews.filter(|preview| preview.language == visit.language.as_str()).map(|preview| (preview.subject, preview.text)).collect();
    let content = context! {
        card => Value::from(Serde(card(site, visit, then))),
        previews => Value::from(Serde(&previews)),
        act => act,
        question => site.pages.word(visit.language, &format!("meeting-sure-{act}"), &[then.id.as_str()]),
    };
    Ok(show(site, visit, scope, "meetings", "manage-meeting-ask.html", content))
}

/// `POST /manage/CODE/meetings`: the text of a meetings file; first what it would do, then, with `act=do`, done.
pub async fn apply(State(site): State<Site>, visit: Visit, scope: Scope, form: Form) -> Result<Response, Problem> {
    let text = form.get("text");
    let file = FilePath::new("meetings.toml");
    let actor = visit.actor();
    let preview = meeting::apply(&site.services, &actor, file, text, true).await;
    let mut wrong = None;
    let mut applied = Vec::new();
    let mut warnings = Vec::new();
    match preview {
        Ok(report) => {
            for one in &report.meetings {
                may_write(&site, &visit, &scope, text, &one.id).await?;
                let word = |field: &str| site.services.texts.word(visit.language, &format!("meeting.field-{field}")).to_owned();
                let fields = one.fields.iter().map(|field| (word(&field.field), field.before.clone(), field.after.clone())).collect();
                applied.push(Applied { id: one.id.clone(), change: one.change, fields, due: one.due.len() });
            }
            warnings = report.warnings;
            if form.get("act") == "do" {
                meeting::apply(&site.services, &actor, file, text, false).await?;
                return Ok(after(&format!("/manage/{}/meetings", scope.group.code), "saved"));
            }
        }
        Err(Failure::Invalid(why)) => wrong = Some(why),
        Err(failure) => return Err(failure.into()),
    }
    let content = context! {
        cards => Vec::<String>::new(),
        text => text,
        open => true,
        wrong => wrong,
        applied => Value::from(Serde(&applied)),
        warnings => warnings,
    };
    Ok(show(&site, &visit, &scope, "meetings", "manage-meetings.html", content))
}

/// A manager writes meetings that her group leads, and tells nobody but groups that she manages.
async fn may_write(site: &Site, visit: &Visit, scope: &Scope, text: &str, id: &str) -> Result<(), Problem> {
    let refused = || Problem::Status(StatusCode::FORBIDDEN);
    let code = &scope.group.code;
    if let Ok(id) = id.parse::<MeetingId>() {
        match meeting::find(&site.services, &id).await {
            Ok(found) if found.lead() != code => return Err(refused()),
            Ok(_) | Err(Failure::NotFound(_)) => {}
            Err(failure) => return Err(failure.into()),
        }
    }
    let account = crate::web::page::me::signed(visit)?;
    for named in meeting::concerned(&site.services, FilePath::new("meetings.toml"), text)? {
        let group = site.services.group(&named)?;
        if named != *code && !rights::may_manage(&site.services, &group, account).await?.is_accept() {
            return Err(refused());
        }
    }
    Ok(())
}
