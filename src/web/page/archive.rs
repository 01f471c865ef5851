//! `/groups/CODE/archive`: threads and search; `/groups/CODE/archive/POST`: a post, its editions side by side, its files.
//!
//! Who may read is asked by `authority` and once more by the service, which also leaves statements out for those who get none.
//! A file has an address made from its content, is never shown by the browser, and carries no name that the path relies on.

use axum::extract::{Path, State};
use axum::http::header::{CACHE_CONTROL, HeaderValue};
use axum::response::Response;
use minijinja::value::Serde;
use minijinja::{Value, context};
use serde::Serialize;

use super::choices::{day, language_name, moment, size};
use super::manage::download;
use super::rich;
use crate::domain::group::ArchiveAccess;
use crate::domain::id::PostId;
use crate::domain::language::Language;
use crate::service::archive::{self, PostLine, Reader};
use crate::web::authority::Scope;
use crate::web::{Problem, Site, Visit};

/// Threads or results on a page.
const PAGE: usize = 25;
/// Octets of text shown of one edition; the rest is in the message itself.
const TEXT_OCTETS: usize = 12_000;
/// Posts of a thread that are listed.
const THREAD: usize = 40;

/// Who reads.
pub fn reader(visit: &Visit) -> Reader<'_> {
    visit.account().map_or(Reader::Anybody, Reader::Account)
}

#[derive(Serialize)]
struct Line {
    id: String,
    subject: String,
    author: String,
    kind: String,
    at: String,
    posts: usize,
    languages: Vec<String>,
    quote: String,
}

/// Is a post of this kind shown in that language? A notice is written in every language of the service, which would be six cards of
/// the same: shown are those of the group, and the reader's own.
fn is_shown(visit: &Visit, scope: &Scope, kind: &str, language: Option<Language>) -> bool {
    let own = |language: Language| scope.group.languages.contains(&language) || language == visit.language;
    kind != "meeting" || language.is_none_or(own)
}

fn names(site: &Site, visit: &Visit, scope: &Scope, kind: &str, languages: &[Language]) -> Vec<String> {
    let shown = languages.iter().filter(|language| is_shown(visit, scope, kind, Some(**language)));
    shown.map(|language| language_name(site, *language)).collect()
}

fn post_line(site: &Site, visit: &Visit, scope: &Scope, line: &PostLine, quote: String) -> Line {
    Line {
        id: line.id.to_string(),
        subject: line.subject.clone(),
        author: line.author.clone(),
        kind: site.word(visit, &format!("post-{}", line.kind)),
        at: day(site, visit, line.at),
        posts: 1,
        languages: names(site, visit, scope, line.kind, &line.languages),
        quote,
    }
}

/// `GET /groups/CODE/archive?before=&q=&from=`
pub async fn list(State(site): State<Site>, visit: Visit, scope: Scope) -> Result<Response, Problem> {
    let code = &scope.group.code;
    let feed = match visit.account() {
        Some(account) if scope.group.archive != ArchiveAccess::Public => Some(archive::feed_link(&site.services, account, code).await?),
        _ => None,
    };
    let frame = context! {
        feed => feed,
        code => code.as_str(),
        group_name => scope.group.name.best(&visit.languages()).cloned().unwrap_or_default(),
        q => visit.asked("q").unwrap_or_default(),
    };
    let content = if let Some(query) = visit.asked("q") {
        let query: String = query.chars().take(300).collect();
        let from = visit.asked("from").and_then(|from| from.parse().ok()).unwrap_or(0_usize).min(10_000);
        let found = archive::search(&site.services, code, reader(&visit), &query, from, PAGE).await?;
        let lines: Vec<Line> = found.hits.into_iter().map(|hit| post_line(&site, &visit, &scope, &hit.line, hit.quote)).collect();
        let next = (from + PAGE < found.total).then_some(from + PAGE);
        context! { lines => Value::from(Serde(&lines)), total => found.total, next => next, complete => found.complete }
    } else {
        let before = visit.asked("before").and_then(|before| before.parse::<PostId>().ok());
        let page = archive::threads(&site.services, code, reader(&visit), before, PAGE).await?;
        let lines: Vec<Line> = page
            .threads
            .into_iter()
            .map(|thread| Line {
                id: thread.id.to_string(),
                subject: thread.subject,
                author: thread.author,
                kind: site.word(&visit, &format!("post-{}", thread.kind)),
                at: day(&site, &visit, thread.at),
                posts: thread.posts,
                languages: names(&site, &visit, &scope, thread.kind, &thread.languages),
                quote: String::new(),
            })
            .collect();
        context! {
            lines => Value::from(Serde(&lines)),
            next => page.next.map(|next| next.to_string()),
            first => before.is_none(),
            complete => page.complete,
        }
    };
    let title = format!("{code} · {}", site.word(&visit, "archive"));
    Ok(site.show(&visit, "archive.html", &title, context! { ..content, ..frame }))
}

#[derive(Serialize)]
struct Edition {
    number: usize,
    language: Option<String>,
    code: Option<String>,
    dir: &'static str,
    subject: String,
    text: String,
    html: Option<Value>,
    cut: bool,
    damaged: bool,
    files: Vec<(String, String, String)>,
}

/// `GET /groups/CODE/archive/POST?view=html`
pub async fn post(
    State(site): State<Site>,
    visit: Visit,
    scope: Scope,
    Path((_, id)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let id: PostId = id.parse().map_err(|_| Problem::missing())?;
    let code = &scope.group.code;
    let found = archive::post(&site.services, code, reader(&visit), id).await?;
    let wants_html = visit.asked("view") == Some("html");
    // Readers who use one language see it first.
    let wanted = visit.languages();
    let mut editions = Vec::new();
    let (shown, others): (Vec<_>, Vec<_>) =
        found.editions.into_iter().partition(|edition| is_shown(&visit, &scope, found.line.kind, edition.language));
    let shown = if shown.is_empty() { others } else { shown };
    let formatted = shown.iter().any(|edition| edition.formatted);
    let share = TEXT_OCTETS * 2 / shown.len().max(1);
    for edition in shown {
        let html = if wants_html { html(&site, &visit, &scope, id, edition.number).await? } else { None };
        let end = edition.text.char_indices().map(|(at, _)| at).find(|at| *at >= share).unwrap_or(edition.text.len());
        editions.push((
            edition.language.and_then(|language| wanted.iter().position(|one| *one == language)).unwrap_or(usize::MAX),
            Edition {
                number: edition.number,
                language: edition.language.map(|language| language_name(&site, language)),
                code: edition.language.map(|language| language.to_string()),
                dir: edition.language.map_or("auto", |language| if language.is_right_to_left() { "rtl" } else { "ltr" }),
                subject: edition.subject,
                cut: edition.cut || end < edition.text.len(),
                text: edition.text[..end].to_owned(),
                html: html.map(Value::from_safe_string),
                damaged: edition.damaged,
                files: edition
                    .attachments
                    .into_iter()
                    .map(|file| {
                        let octets = u64::try_from(file.octets).unwrap_or(u64::MAX);
                        (format!("{}/{}", file.sha256, crate::web::pages::encoded(&file.name)), file.name, size(octets))
                    })
                    .collect(),
            },
        ));
    }
    editions.sort_by_key(|(rank, edition)| (*rank, edition.number));
    let editions: Vec<Edition> = editions.into_iter().map(|(_, edition)| edition).collect();
    let thread: Vec<Line> = found.thread.iter().take(THREAD).map(|line| post_line(&site, &visit, &scope, line, String::new())).collect();
    let content = context! {
        code => code.as_str(),
        id => id.to_string(),
        author => found.line.author,
        author_address => found.author_address,
        at => moment(&site, found.line.at),
        kind => site.word(&visit, &format!("post-{}", found.line.kind)),
        groups => found.groups.iter().map(ToString::to_string).collect::<Vec<_>>(),
        message_id => found.message_id,
        editions => Value::from(Serde(&editions)),
        thread => Value::from(Serde(&thread)),
        more => found.thread.len().saturating_sub(THREAD),
        previous => found.previous.map(|id| id.to_string()),
        next => found.next.map(|id| id.to_string()),
        wants_html => wants_html,
        formatted => formatted,
        subject => found.line.subject.as_str(),
    };
    let title = if found.line.subject.is_empty() { site.word(&visit, "no-subject") } else { found.line.subject.clone() };
    Ok(site.show(&visit, "post.html", &title, content))
}

async fn html(site: &Site, visit: &Visit, scope: &Scope, id: PostId, edition: usize) -> Result<Option<String>, Problem> {
    let bytes = archive::raw(&site.services, &scope.group.code, reader(visit), id, edition).await?;
    Ok(site.services.quarantine.look(id, &format!("html {edition}"), &bytes, |bytes| rich::html_of(bytes)).await)
}

/// `GET /groups/CODE/archive/POST/files/SHA256/NAME`
pub async fn file(
    State(site): State<Site>,
    visit: Visit,
    scope: Scope,
    Path((_, id, sha256, _)): Path<(String, String, String, String)>,
) -> Result<Response, Problem> {
    let id: PostId = id.parse().map_err(|_| Problem::missing())?;
    let found = archive::attachment_of(&site.services, &scope.group.code, reader(&visit), id, &sha256).await?;
    Ok(kept(download("application/octet-stream", &found.name, found.bytes)))
}

/// `GET /groups/CODE/archive/POST/message/EDITION`: the message as it is stored.
pub async fn message(
    State(site): State<Site>,
    visit: Visit,
    scope: Scope,
    Path((_, id, edition)): Path<(String, String, usize)>,
) -> Result<Response, Problem> {
    let id: PostId = id.parse().map_err(|_| Problem::missing())?;
    let bytes = archive::raw(&site.services, &scope.group.code, reader(&visit), id, edition).await?;
    Ok(kept(download("application/octet-stream", &format!("{id}.eml"), bytes)))
}

/// What never changes may be kept, by this reader alone.
fn kept(mut response: Response) -> Response {
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("private, max-age=86400, immutable"));
    response
}
