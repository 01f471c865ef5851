//! `/admin/liaisons/ID`: a statement that waits, its fields as a form beside its text, its problems, who would get it, and what can
//! be done about it.
//!
//! The form is turned into the lines of a correction (`Deadline: 22 January 2027`), which the answer to a receipt has too; only
//! fields that differ from what was understood become a line.

use axum::extract::{Path, State};
use axum::response::Response;
use minijinja::value::Serde;
use minijinja::{Value, context};
use serde::Serialize;

use super::{operates, order, show};
use crate::domain::group::GroupCode;
use crate::service::liaison::{self, Line, Shown};
use crate::web::form::Form;
use crate::web::page::choices::{language_name, moment, size};
use crate::web::page::statement_words::{events, problems, routes};
use crate::web::pages::encoded;
use crate::web::{Problem, Site, Visit, after};

/// Fields of the form, with the label of each in a correction.
const FIELDS: [(&str, &str); 8] = [
    ("source", "Source"),
    ("questions", "Questions"),
    ("action", "For action to"),
    ("comment", "For comment to"),
    ("information", "For information to"),
    ("approval", "Approval"),
    ("deadline", "Deadline"),
    ("contact", "Contact"),
];
/// Characters of text that are shown of an edition.
const TEXT: usize = 20_000;

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
async fn hers(site: &Site, visit: &Visit, id: &str) -> Result<Shown, Problem> {
    let id = liaison::find(&site.services, id).await?;
    let shown = liaison::show(&site.services, id, true).await?;
    if is_hers(visit, &shown.view.group) { Ok(shown) } else { Err(Problem::missing()) }
}

/// A field as it was understood, as a correction would write it.
fn understood(shown: &Shown, field: &str) -> String {
    let view = &shown.view;
    let named = |purpose: &str| {
        view.destinations.iter().filter(|one| one.purpose == purpose).map(|one| one.name.as_str()).collect::<Vec<_>>().join(", ")
    };
    match field {
        "source" => view.source.clone(),
        "questions" => view.questions.join(", "),
        "approval" => view.approval.as_ref().map(|approval| approval.text.clone()).unwrap_or_default(),
        "deadline" => view.deadline.map(|day| day.to_string()).unwrap_or_default(),
        "contact" => {
            let line = |one: &crate::domain::liaison::view::ContactView| {
                let parts = [one.name.as_str(), &one.organisation, &one.country, &one.telephone, one.email.as_deref().unwrap_or_default()];
                parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ")
            };
            view.contacts.iter().map(line).collect::<Vec<_>>().join("; ")
        }
        purpose => named(purpose),
    }
}

/// The lines of the correction that a form asks for.
fn lines(shown: &Shown, form: &Form) -> String {
    let one_line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut lines: Vec<String> = Vec::new();
    for (field, label) in FIELDS.into_iter().filter(|(field, _)| form.has(field)) {
        let wanted = one_line(form.get(field));
        if wanted != one_line(&understood(shown, field)) {
            lines.push(format!("{label}: {}", if wanted.is_empty() { "N/A" } else { &wanted }));
        }
    }
    for edition in &shown.view.editions {
        let wanted = one_line(form.get(&format!("title-{}", edition.language)));
        if !wanted.is_empty() && wanted != one_line(&edition.title) {
            let labels = [("fr", "Titre"), ("es", "Título"), ("ar", "العنوان"), ("zh", "标题"), ("ru", "Название")];
            let label = labels.into_iter().find(|(code, _)| *code == edition.language.as_str()).map_or("Title", |(_, label)| label);
            lines.push(format!("{label}: {wanted}"));
        }
    }
    let more = form.get("lines").replace("\r\n", "\n");
    lines.extend(more.lines().map(str::to_owned));
    lines.join("\n")
}

#[derive(Serialize)]
struct EditionCard {
    code: String,
    language: String,
    dir: &'static str,
    title: String,
    text: String,
    files: Vec<(String, String, String)>,
}

/// `GET /admin/liaisons/ID`
pub async fn look(State(site): State<Site>, visit: Visit, Path(id): Path<String>) -> Result<Response, Problem> {
    let shown = hers(&site, &visit, &id).await?;
    let view = &shown.view;
    let editions: Vec<EditionCard> = view
        .editions
        .iter()
        .map(|edition| EditionCard {
            code: edition.language.to_string(),
            language: language_name(&site, edition.language),
            dir: if edition.language.is_right_to_left() { "rtl" } else { "ltr" },
            title: edition.title.clone(),
            text: edition.text.chars().take(TEXT).collect(),
            files: edition
                .attachments
                .iter()
                .map(|file| (format!("{}/{}", file.sha256, encoded(&file.name)), file.name.clone(), size(file.octets)))
                .collect(),
        })
        .collect();
    let fields: Vec<(&str, String)> = FIELDS.into_iter().map(|(field, _)| (field, understood(&shown, field))).collect();
    let content = context! {
        id => id,
        name => shown.name.as_str(),
        group => view.group.as_str(),
        state => view.state,
        is_out => !shown.posts.is_empty(),
        goes_out => shown.goes_out_at.map(|at| moment(&site, at)),
        fields => Value::from(Serde(&fields)),
        editions => Value::from(Serde(&editions)),
        problems => Value::from(Serde(&problems(&site, &visit, &shown))),
        routes => Value::from(Serde(&routes(&site, &visit, &shown))),
        events => Value::from(Serde(&events(&site, &visit, &shown))),
    };
    Ok(show(&site, &visit, "admin-statement.html", "overview", content))
}

/// `POST /admin/liaisons/ID`
pub async fn act(State(site): State<Site>, visit: Visit, Path(id): Path<String>, form: Form) -> Result<Response, Problem> {
    let shown = hers(&site, &visit, &id).await?;
    let reason = format!("--reason={}", form.get("reason"));
    let done = match form.get("act") {
        "correct" => {
            let lines = lines(&shown, &form);
            if lines.trim().is_empty() {
                return Ok(after(&format!("/admin/liaisons/{id}"), "unchanged"));
            }
            order(&site, &visit, &["liaison", "correct", "--", &id, "-"], Some(lines)).await?;
            "saved"
        }
        "circulate" => {
            order(&site, &visit, &["liaison", "circulate", "--", &id], None).await?;
            "circulated"
        }
        "withdraw" => {
            order(&site, &visit, &["liaison", "withdraw", &reason, "--", &id], None).await?;
            "saved"
        }
        "close" => {
            order(&site, &visit, &["liaison", "close", "--", &id], None).await?;
            "saved"
        }
        _ => return Err(Problem::missing()),
    };
    Ok(after(&format!("/admin/liaisons/{id}"), done))
}
