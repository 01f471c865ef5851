//! `/admin`: for the secretariat and for whoever runs the service.
//!
//! What is done here is said in the words of the command line (`service::command`), as the API does, so that a button, a program
//! and a terminal cannot come to differ. Statements belong to the secretariat ([`statements`]), the rest to operators.

pub mod groups;
pub mod jobs;
pub mod statements;

use axum::extract::State;
use axum::response::Response;
use minijinja::value::Serde;
use minijinja::{Value, context};
use serde::Serialize;

use crate::config::Transport;
use crate::domain::ledger::Counts;
use crate::measure::pace::{Pace, pace};
use crate::service::command::{Kind, Order, Outcome};
use crate::service::liaison;
use crate::service::{Failure, queue};
use crate::web::form::Form;
use crate::web::page::choices::moment;
use crate::web::page::manage;
use crate::web::{Problem, Site, Visit, after};

/// Carries an order out in the visitor's name.
pub(super) async fn order(
    site: &Site,
    visit: &Visit,
    words: &[&str],
    file: Option<String>,
) -> Result<(serde_json::Value, Vec<String>), Problem> {
    let Some(commands) = &site.commands else {
        return Err(Problem::Failed(Failure::Text("this site was started without commands".into())));
    };
    let files = file.into_iter().map(|text| ("-".to_owned(), text.into_bytes())).collect();
    let order = Order { words: words.iter().map(ToString::to_string).collect(), files, actor: visit.actor() };
    match commands.carry_out(order).await {
        Outcome::Done { json, problems } => Ok((json, problems)),
        Outcome::Failed { kind, text, remedy } => {
            let text = if remedy.is_empty() { text } else { format!("{text}\n{remedy}") };
            Err(Problem::Failed(match kind {
                Kind::NotFound => Failure::NotFound(text),
                Kind::Invalid | Kind::Refused => Failure::Invalid(text),
                Kind::Broken => Failure::Text(text),
            }))
        }
    }
}

/// Is she one of those who run the service?
fn operates(visit: &Visit) -> bool {
    visit.account().is_some_and(crate::domain::account::Account::is_operator)
}

fn show(site: &Site, visit: &Visit, name: &str, tab: &str, content: Value) -> Response {
    let operator = operates(visit);
    let tabs: Vec<(String, String, bool)> = [
        ("", "overview", false),
        ("/queue", "queue", true),
        ("/jobs", "jobs", true),
        ("/groups", "groups", true),
        ("/period", "period", true),
        ("/tokens", "tokens", true),
        ("/audit", "audit", true),
    ]
    .into_iter()
    .filter(|(.., for_operators)| operator || !for_operators)
    .map(|(path, word, _)| (format!("/admin{path}"), site.word(visit, &format!("admin-{word}")), word == tab))
    .collect();
    let title = format!("{} · {}", site.word(visit, "admin"), site.word(visit, &format!("admin-{tab}")));
    site.show(visit, name, &title, context! { ..content, ..context! { tabs => Value::from(Serde(&tabs)), operator => operator } })
}

/// A statement that waits.
#[derive(Serialize)]
struct WaitingRow {
    id: String,
    name: String,
    title: String,
    group: String,
    state: &'static str,
    source: String,
    deadline: Option<String>,
}

/// `GET /admin`: what waits, and whether all is well.
pub async fn overview(State(site): State<Site>, visit: Visit) -> Result<Response, Problem> {
    let lines = liaison::list(&site.services, &liaison::Filter::default()).await?;
    let waiting: Vec<WaitingRow> = lines
        .into_iter()
        .filter(|line| statements::is_hers(&visit, &line.group) && statements::waits(line))
        .map(|line| WaitingRow {
            title: line.title.best(&visit.languages()).cloned().unwrap_or_default(),
            id: line.id,
            name: line.name,
            group: line.group,
            state: line.state,
            source: line.source,
            deadline: line.deadline.map(|day| site.services.texts.date(visit.language, day)),
        })
        .collect();
    let (counts, findings) = if operates(&visit) {
        let report = queue::list(&site.services).await?;
        let (findings, _) = order(&site, &visit, &["check"], None).await?;
        (counted(&site, &visit, &report.counts), findings)
    } else {
        (Vec::new(), serde_json::Value::Array(Vec::new()))
    };
    let content = context! {
        waiting => Value::from(Serde(&waiting)),
        counts => Value::from(Serde(&counts)),
        findings => Value::from(Serde(&findings)),
    };
    Ok(show(&site, &visit, "admin.html", "overview", content))
}

/// How many copies are in each state, in the reader's words.
fn counted(site: &Site, visit: &Visit, counts: &Counts) -> Vec<(String, u64)> {
    let states = [
        ("state-planned", counts.planned),
        ("state-sent", counts.sent),
        ("state-deferred", counts.deferred),
        ("state-failed", counts.failed),
        ("state-bounced", counts.bounced),
        ("state-suppressed", counts.suppressed),
    ];
    states.into_iter().map(|(key, count)| (site.services.texts.word(visit.language, key).to_owned(), count)).collect()
}

/// A post of the queue.
#[derive(Serialize)]
struct QueueRow {
    id: String,
    subject: String,
    groups: String,
    kind: String,
    at: String,
    goes_out: Option<String>,
    open: u64,
    sent: u64,
    deferred: u64,
}

/// What went to the relay, as the page shows it.
#[derive(Serialize)]
struct PaceRow {
    sessions: usize,
    away: bool,
    /// Word, then how many in five minutes and in an hour.
    outcomes: [(&'static str, u64, u64); 3],
    a_minute: u64,
}

fn shown(pace: Pace) -> PaceRow {
    let (five, hour) = (pace.five_minutes, pace.hour);
    PaceRow {
        sessions: pace.sessions,
        away: pace.away,
        outcomes: [
            ("recipient-sent", five.sent, hour.sent),
            ("recipient-deferred", five.deferred, hour.deferred),
            ("recipient-failed", five.failed, hour.failed),
        ],
        a_minute: five.sent / 5,
    }
}

/// `GET /admin/queue`
pub async fn queue_page(State(site): State<Site>, visit: Visit) -> Result<Response, Problem> {
    let report = queue::list(&site.services).await?;
    let posts: Vec<QueueRow> = report
        .posts
        .iter()
        .map(|post| QueueRow {
            id: post.id.clone(),
            subject: post.subject.clone(),
            groups: post.groups.join(", "),
            kind: site.word(&visit, &format!("post-{}", post.kind)),
            at: moment(&site, post.received_at),
            goes_out: post.goes_out.filter(|at| *at > site.services.now()).map(|at| moment(&site, at)),
            open: post.counts.open(),
            sent: post.counts.sent,
            deferred: post.counts.deferred,
        })
        .collect();
    let content = context! {
        pace => Value::from(Serde(&shown(pace()))),
        transport => if site.services.config.relay.transport == Transport::Smtp { format!("{}:{}", site.services.config.relay.host, site.services.config.relay.port) } else { String::new() },
        waiting => report.counts.planned + report.counts.deferred,
        paused => report.paused,
        oldest => report.oldest.map(|at| moment(&site, at)),
        counts => Value::from(Serde(&counted(&site, &visit, &report.counts))),
        posts => Value::from(Serde(&posts)),
    };
    Ok(show(&site, &visit, "admin-queue.html", "queue", content))
}

/// `POST /admin/queue`
pub async fn queue_act(State(site): State<Site>, visit: Visit, form: Form) -> Result<Response, Problem> {
    let id = form.get("id");
    let words: &[&str] = match form.get("act") {
        "pause" => &["queue", "pause"],
        "resume" => &["queue", "resume"],
        "retry" => &["queue", "retry"],
        "drop" => &["queue", "drop", "--", id],
        _ => return Err(Problem::missing()),
    };
    order(&site, &visit, words, None).await?;
    Ok(after("/admin/queue", "saved"))
}

/// `GET /admin/tokens`
pub async fn tokens(State(site): State<Site>, visit: Visit) -> Result<Response, Problem> {
    tokens_with(&site, &visit, "").await
}

async fn tokens_with(site: &Site, visit: &Visit, secret: &str) -> Result<Response, Problem> {
    let (tokens, _) = order(site, visit, &["token", "list"], None).await?;
    Ok(show(site, visit, "admin-tokens.html", "tokens", context! { tokens => Value::from(Serde(&tokens)), secret => secret }))
}

/// `POST /admin/tokens`: makes one, which this answer alone shows, or ends one.
pub async fn tokens_act(State(site): State<Site>, visit: Visit, form: Form) -> Result<Response, Problem> {
    let name = format!("--name={}", form.get("name"));
    let scope = format!("--scope={}", form.get("scope").split_whitespace().collect::<Vec<_>>().join(","));
    match form.get("act") {
        "make" => {
            let (made, _) = order(&site, &visit, &["token", "create", &name, &scope], None).await?;
            tokens_with(&site, &visit, made["token"].as_str().unwrap_or_default()).await
        }
        "revoke" => {
            order(&site, &visit, &["token", "revoke", "--", form.get("name")], None).await?;
            Ok(after("/admin/tokens", "saved"))
        }
        _ => Err(Problem::missing()),
    }
}

/// `GET /admin/audit?q=&from=&to=`
pub async fn audit(State(site): State<Site>, visit: Visit) -> Result<Response, Problem> {
    let entries = manage::trail(&site, &visit, None).await?;
    let content = context! { entries => Value::from(Serde(&entries)), asked => manage::trail_form(&visit) };
    Ok(show(&site, &visit, "admin-audit.html", "audit", content))
}
