//! `/admin/jobs`: the recurring jobs with their next and last run, and the directory with what its last reading did.

use axum::extract::State;
use axum::response::Response;
use minijinja::value::Serde;
use minijinja::{Value, context};
use serde::Serialize;

use super::{order, show};
use crate::service::{directory, timetable};
use crate::web::form::Form;
use crate::web::page::choices::moment;
use crate::web::{Problem, Site, Visit, after};

#[derive(Serialize)]
struct Job {
    name: String,
    next: Option<String>,
    last: Option<String>,
    failed: Option<(String, String)>,
}

/// `GET /admin/jobs`
pub async fn list(State(site): State<Site>, visit: Visit) -> Result<Response, Problem> {
    let jobs: Vec<Job> = timetable::jobs(&site.services)
        .await?
        .into_iter()
        .map(|job| Job {
            name: site.word(&visit, &format!("job-{}", job.name)),
            next: job.next.map(|at| moment(&site, at)),
            last: job.last.map(|at| moment(&site, at)),
            failed: job.failed.map(|(at, text)| (moment(&site, at), text)),
        })
        .collect();
    let last = directory::last(&site.services).await?;
    let content = context! {
        jobs => Value::from(Serde(&jobs)),
        zone => site.settings().timezone.name(),
        directory => site.services.config.directory.ldap.is_some(),
        at => last.as_ref().map(|last| moment(&site, last.at)),
        last => Value::from(Serde(&last)),
    };
    Ok(show(&site, &visit, "admin-jobs.html", "jobs", content))
}

/// `POST /admin/jobs`: reads the directory now; with `act=force` past the brake.
pub async fn act(State(site): State<Site>, visit: Visit, form: Form) -> Result<Response, Problem> {
    let words: &[&str] = match form.get("act") {
        "sync" => &["directory", "sync"],
        "force" => &["directory", "sync", "--force"],
        _ => return Err(Problem::missing()),
    };
    order(&site, &visit, words, None).await?;
    Ok(after("/admin/jobs", "saved"))
}
