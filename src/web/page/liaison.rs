//! `/liaisons`: the register, with filters and deadlines. `/liaisons/ID`: one statement, its editions side by side.
//!
//! A statement is a temporary document: who has no TIES account sees its cover, or nothing, as its group says. Which of them is
//! asked of `authority`, for each statement; a search in texts finds nobody a text that she may not read.

use std::collections::HashMap;

use axum::extract::{Path, State};
use axum::http::header::{CACHE_CONTROL, HeaderMap, HeaderValue};
use axum::response::Response;
use chrono::{DateTime, Utc};
use minijinja::value::Serde;
use minijinja::{Value, context};
use serde::Serialize;

use super::choices::{language_name, size};
use super::feed::{Entry, Feed};
use super::manage::download;
use super::statement_words;
use crate::domain::archive::StatementAccess;
use crate::domain::group::GroupCode;
use crate::domain::language::{Language, Localized};
use crate::domain::liaison::statement::{Direction, Purpose};
use crate::service::liaison::{self, Filter, Found, Line, Shown};
use crate::web::authority::{self, StatementRight};
use crate::web::pages::encoded;
use crate::web::{Problem, Site, Visit};

/// Statements on a page.
const PAGE: usize = 30;
/// Deadlines on the time line.
const DEADLINES: usize = 8;
/// Octets of an edition's text on a page.
const TEXT_OCTETS: usize = 9_000;
/// States that everybody may know of.
const OUT: [&str; 5] = ["circulated", "awaiting-reply", "overdue", "answered", "closed"];
/// States in the order of their life.
const STATES: [&str; 12] = [
    "received",
    "quarantined",
    "held",
    "waiting",
    "accepted",
    "circulated",
    "awaiting-reply",
    "overdue",
    "answered",
    "closed",
    "rejected",
    "withdrawn",
];

/// Rights by group, asked once a page.
struct Rights<'a> {
    site: &'a Site,
    visit: &'a Visit,
    known: HashMap<String, StatementRight>,
}

impl Rights<'_> {
    async fn of(&mut self, group: &str) -> Result<StatementRight, Problem> {
        if let Some(right) = self.known.get(group) {
            return Ok(*right);
        }
        let code: GroupCode = group.parse().map_err(|_| Problem::missing())?;
        let right = authority::statements(self.site, self.visit, &code).await?;
        self.known.insert(group.to_owned(), right);
        Ok(right)
    }
}

fn sees(right: StatementRight, state: &str) -> bool {
    right.insider || (right.access != StatementAccess::Nothing && OUT.contains(&state))
}

#[derive(Serialize)]
struct Row {
    id: String,
    name: String,
    group: String,
    state: &'static str,
    direction: &'static str,
    source: String,
    title: String,
    title_lang: String,
    destinations: Vec<String>,
    questions: String,
    deadline: Option<String>,
    languages: Vec<String>,
}

fn best(visit: &Visit, text: &Localized<String>) -> (String, String) {
    let found = text.best(&visit.languages()).cloned().unwrap_or_default();
    let language = text.0.iter().find(|(_, one)| **one == found).map_or_else(String::new, |(language, _)| language.to_string());
    (found, language)
}

fn row(site: &Site, visit: &Visit, line: &Line) -> Row {
    let (title, title_lang) = best(visit, &line.title);
    let destination = |text: &String| match text.rsplit_once(" (") {
        Some((name, purpose)) => {
            let key = format!("purpose.{}", purpose.trim_end_matches(')'));
            format!("{name} ({})", site.services.texts.word(visit.language, &key))
        }
        None => text.clone(),
    };
    Row {
        id: line.id.clone(),
        name: line.name.clone(),
        group: line.group.clone(),
        state: line.state,
        direction: line.direction,
        source: line.source.clone(),
        title,
        title_lang,
        destinations: line.destinations.iter().map(destination).collect(),
        questions: line.questions.join(", "),
        deadline: line.deadline.map(|day| site.services.texts.date(visit.language, day)),
        languages: line
            .languages
            .iter()
            .map(|code| code.parse().map_or_else(|_| code.clone(), |one: Language| language_name(site, one)))
            .collect(),
    }
}

/// What the query asks for; a value that is none of its kind asks for nothing.
fn filter(visit: &Visit) -> Filter {
    Filter {
        group: visit.asked("group").and_then(|code| code.parse().ok()),
        direction: match visit.asked("direction") {
            Some("incoming") => Some(Direction::Incoming),
            Some("outgoing") => Some(Direction::Outgoing),
            _ => None,
        },
        purpose: visit.asked("purpose").and_then(|wanted| Purpose::ALL.into_iter().find(|purpose| purpose.as_str() == wanted)),
        state: visit.asked("state").filter(|state| STATES.contains(state)).map(ToOwned::to_owned),
        question: visit.asked("question").map(|text| text.chars().take(40).collect()),
        deadline_from: visit.asked("from").and_then(|day| day.parse().ok()),
        deadline_to: visit.asked("to").and_then(|day| day.parse().ok()),
        text: visit.asked("q").map(|text| text.chars().take(200).collect()),
    }
}

/// Statements that pass and that the visitor may know of; with words, of those before `before`, and where the search goes on.
async fn visible(site: &Site, visit: &Visit, filter: &Filter) -> Result<Found, Problem> {
    let mut rights = Rights { site, visit, known: HashMap::new() };
    let text = filter.text.as_ref().map(|text| text.to_lowercase());
    let mut lines = Vec::new();
    let before = visit.asked("before").and_then(|id| id.parse().ok());
    let Found { lines: passing, next } = liaison::search(&site.services, filter, before, liaison::TEXTS_READ).await?;
    for line in passing {
        let right = rights.of(&line.group).await?;
        let on_cover = |text: &String| {
            let said = |place: &str| place.to_lowercase().contains(text);
            said(&line.name) || said(&line.source) || line.title.0.values().any(|title| said(title))
        };
        let found = right.insider || right.access == StatementAccess::Whole || text.as_ref().is_none_or(on_cover);
        if found && sees(right, line.state) {
            lines.push(line);
        }
    }
    Ok(Found { lines, next })
}

/// `GET /liaisons?group=&direction=&purpose=&state=&question=&from=&to=&q=&before=&sort=&page=`
pub async fn list(State(site): State<Site>, visit: Visit) -> Result<Response, Problem> {
    let wanted = filter(&visit);
    let Found { mut lines, next } = visible(&site, &visit, &wanted).await?;
    let today = site.services.today();
    let mut dated: Vec<&Line> =
        lines.iter().filter(|line| line.deadline.is_some() && matches!(line.state, "awaiting-reply" | "overdue" | "circulated")).collect();
    dated.sort_by_key(|line| line.deadline);
    let deadlines: Vec<(Row, bool)> =
        dated.into_iter().take(DEADLINES).map(|line| (row(&site, &visit, line), line.deadline.is_some_and(|day| day < today))).collect();
    match visit.asked("sort") {
        Some("deadline") => lines.sort_by_key(|line| (line.deadline.is_none(), line.deadline)),
        Some("state") => lines.sort_by_key(|line| STATES.iter().position(|state| *state == line.state)),
        Some("source") => lines.sort_by(|a, b| a.source.cmp(&b.source)),
        _ => {}
    }
    let page = visit.asked("page").and_then(|page| page.parse::<usize>().ok()).unwrap_or(0).min(10_000);
    let total = lines.len();
    let rows: Vec<Row> = lines.iter().skip(page * PAGE).take(PAGE).map(|line| row(&site, &visit, line)).collect();
    // The query without what a link sets itself.
    let kept: String = visit
        .query
        .iter()
        .filter(|(name, value)| !matches!(name.as_str(), "page" | "sort" | "done" | "before") && !value.is_empty())
        .map(|(name, value)| format!("{}={}&", encoded(name), encoded(value)))
        .collect();
    let groups = site.services.groups();
    let codes: Vec<String> = groups.iter().filter(|group| !group.list.is_empty()).map(|group| group.code.to_string()).collect();
    let asked: HashMap<&str, &str> = ["q", "group", "state", "direction", "purpose", "question", "from", "to"]
        .into_iter()
        .map(|name| (name, visit.asked(name).unwrap_or_default()))
        .collect();
    let content = context! {
        rows => Value::from(Serde(&rows)),
        deadlines => Value::from(Serde(&deadlines)),
        total => total,
        older => next.map(|next| next.to_string()),
        part => visit.asked("before").map(|before| format!("before={}&", encoded(before))).unwrap_or_default(),
        kept => kept,
        page => page,
        pages => total.div_ceil(PAGE),
        sort => visit.asked("sort").unwrap_or("newest"),
        codes => codes,
        states => if visit.signed.is_some() { STATES.to_vec() } else { OUT.to_vec() },
        purposes => Purpose::ALL.map(|one| (one.as_str(), site.services.texts.word(visit.language, &format!("purpose.{}", one.as_str())).to_owned())).to_vec(),
        asked => Value::from(Serde(&asked)),
    };
    Ok(site.show(&visit, "liaisons.html", &site.word(&visit, "statements"), content))
}

/// The newest statements of a group that went out, as far as the visitor may know of them.
pub async fn newest(site: &Site, visit: &Visit, code: &GroupCode, most: usize) -> Result<Vec<Newest>, Problem> {
    let right = authority::statements(site, visit, code).await?;
    if right.access == StatementAccess::Nothing && !right.insider {
        return Ok(Vec::new());
    }
    let lines = liaison::list(&site.services, &Filter { group: Some(code.clone()), ..Filter::default() }).await?;
    let out = lines.into_iter().filter(|line| OUT.contains(&line.state)).take(most);
    Ok(out
        .map(|line| {
            let (title, title_lang) = best(visit, &line.title);
            Newest {
                name: line.name,
                title,
                title_lang,
                deadline: line.deadline.map(|day| site.services.texts.date(visit.language, day)),
                summary: format!("{} → {}", line.source, line.destinations.join(", ")),
                at: line.circulated_at.or(line.received_at).unwrap_or_default(),
                state: line.state,
                id: line.id,
            }
        })
        .collect())
}

/// A statement as a list beside other things shows it.
#[derive(Serialize)]
pub struct Newest {
    /// Names its page.
    pub id: String,
    /// Such as `SG12RG-AMR-LS3`.
    pub name: String,
    /// Its title, in the best language there is.
    pub title: String,
    title_lang: String,
    state: &'static str,
    deadline: Option<String>,
    /// Who writes to whom.
    pub summary: String,
    /// When it went out.
    pub at: DateTime<Utc>,
}

/// The statement with what the visitor may have of it.
async fn one(site: &Site, visit: &Visit, id: &str) -> Result<(Shown, StatementRight), Problem> {
    let id = liaison::find(&site.services, id).await?;
    let shown = liaison::show(&site.services, id, false).await?;
    let code: GroupCode = shown.view.group.parse().map_err(|_| Problem::missing())?;
    let right = authority::statements(site, visit, &code).await?;
    if !sees(right, shown.view.state) {
        return Err(Problem::missing());
    }
    let private = right.insider.then_some(liaison::show_in(&site.services, id, true, visit.language));
    match private {
        Some(private) => Ok((private.await?, right)),
        None => Ok((shown, right)),
    }
}

#[derive(Serialize)]
struct EditionCard {
    code: String,
    language: String,
    dir: &'static str,
    title: String,
    text: String,
    cut: bool,
    files: Vec<(String, String, String)>,
}

/// `GET /liaisons/ID`
pub async fn show(State(site): State<Site>, visit: Visit, Path(id): Path<String>) -> Result<Response, Problem> {
    let (shown, right) = one(&site, &visit, &id).await?;
    let view = &shown.view;
    let whole = right.insider || right.access == StatementAccess::Whole;
    let (title, title_lang) = best(&visit, &view.title);
    let wanted = visit.languages();
    let mut editions: Vec<_> = view.editions.iter().collect();
    editions.sort_by_key(|edition| wanted.iter().position(|one| *one == edition.language).unwrap_or(usize::MAX));
    let share = TEXT_OCTETS * 2 / editions.len().max(1);
    let cards: Vec<EditionCard> = editions
        .into_iter()
        .map(|edition| {
            let end = edition.text.char_indices().map(|(at, _)| at).find(|at| *at >= share).unwrap_or(edition.text.len());
            EditionCard {
                code: edition.language.to_string(),
                language: language_name(&site, edition.language),
                dir: if edition.language.is_right_to_left() { "rtl" } else { "ltr" },
                title: edition.title.clone(),
                text: if whole { edition.text[..end].to_owned() } else { String::new() },
                cut: whole && end < edition.text.len(),
                files: edition
                    .attachments
                    .iter()
                    .filter(|_| whole)
                    .map(|file| (format!("{}/{}", file.sha256, encoded(&file.name)), file.name.clone(), size(file.octets)))
                    .collect(),
            }
        })
        .collect();
    let destinations: Vec<(String, String)> = view
        .destinations
        .iter()
        .map(|one| (one.name.clone(), site.services.texts.word(visit.language, &format!("purpose.{}", one.purpose)).to_owned()))
        .collect();
    let contacts: Vec<(String, Option<String>)> = view
        .contacts
        .iter()
        .filter(|_| whole)
        .map(|one| {
            let said = [&one.name, &one.organisation, &one.country, &one.telephone];
            (said.into_iter().filter(|part| !part.is_empty()).cloned().collect::<Vec<_>>().join(", "), one.email.clone())
        })
        .collect();
    let insider = |rows: Vec<(String, String, String)>| if right.insider { rows } else { Vec::new() };
    let events = insider(statement_words::events(&site, &visit, &shown));
    let routes = insider(statement_words::routes(&site, &visit, &shown));
    let problems = if right.insider { statement_words::problems(&site, &visit, &shown) } else { Vec::new() };
    let content = context! {
        id => view.id.as_str(),
        name => shown.name.as_str(),
        group => view.group.as_str(),
        state => view.state,
        direction => view.direction,
        source => view.source.as_str(),
        statement_title => title,
        title_lang => title_lang,
        destinations => Value::from(Serde(&destinations)),
        questions => view.questions.join(", "),
        approval => view.approval.as_ref().map(|approval| approval.text.clone()),
        prepared => view.prepared.as_str(),
        deadline => view.deadline.map(|day| site.services.texts.date(visit.language, day)),
        overdue => view.state == "overdue",
        contacts => Value::from(Serde(&contacts)),
        editions => Value::from(Serde(&cards)),
        whole => whole,
        in_reply_to => view.in_reply_to.as_deref(),
        answers => view.answers.clone(),
        events => Value::from(Serde(&events)),
        problems => Value::from(Serde(&problems)),
        routes => Value::from(Serde(&routes)),
    };
    Ok(site.show(&visit, "liaison.html", &shown.name, content))
}

/// `GET /liaisons/ID/attachments/SHA256/NAME`: a permanent address, for who may read the whole statement.
pub async fn file(
    State(site): State<Site>,
    visit: Visit,
    Path((id, sha256, _)): Path<(String, String, String)>,
) -> Result<Response, Problem> {
    let (shown, _) = one(&site, &visit, &id).await?;
    let id = shown.view.id.parse().map_err(|_| Problem::missing())?;
    let found = liaison::attachment(&site.services, id, &sha256).await?;
    let mut response = download("application/octet-stream", &found.name, found.bytes);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("private, max-age=86400, immutable"));
    Ok(response)
}

/// `GET /liaisons/feed.atom`: covers, as the visitor may see them; with the filters of the list.
pub async fn feed(State(site): State<Site>, visit: Visit, asked: HeaderMap) -> Result<Response, Problem> {
    let lines = visible(&site, &visit, &filter(&visit)).await?.lines;
    let entries = lines
        .iter()
        .take(60)
        .map(|line| Entry {
            path: format!("/liaisons/{}", line.id),
            title: format!("{} {}", line.name, best(&visit, &line.title).0),
            summary: format!("{} → {}", line.source, line.destinations.join(", ")),
            at: line.circulated_at.or(line.received_at).unwrap_or_default(),
        })
        .collect();
    let query: Vec<String> = visit.query.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect();
    let query = if query.is_empty() { String::new() } else { format!("?{}", query.join("&")) };
    // Who is signed in may see statements that are not out yet.
    let private = visit.signed.is_some();
    let feed = Feed {
        path: format!("/liaisons{query}"),
        own: format!("/liaisons/feed.atom{query}"),
        id: format!("/liaisons{query}{}", if private { "#own" } else { "" }),
        title: site.word(&visit, "statements"),
        private,
    };
    Ok(feed.answer(&site, &asked, entries))
}
