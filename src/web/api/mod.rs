//! `/api/v1`: every use case of the command line for programs.
//!
//! A program says the words of the command line by address and fields, and gets the JSON of `--json`: one handler, one set of keys
//! (`service::command`). The right is a bearer token whose scope covers the operation (RFC 6750); errors are problem+json
//! (RFC 9457); lists come in pages; a request that changes something may be repeated under its `Idempotency-Key`.

mod answer;
pub mod document;
mod narrow;
pub mod operation;
mod stream;
pub mod table;

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{RawPathParams, Request};
use axum::http::StatusCode;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, IF_MATCH};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter, get, on};
use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;

use super::{Site, guard};
use crate::domain::group::GroupCode;
use crate::service::command::{Commands, Order, Outcome};
use crate::service::repetition::{self, Given, Known};
use crate::service::token::{self, Area, Token};
use answer::{Problem, Rendered};
use operation::Operation;
use table::OPERATIONS;

/// Largest body of a request that carries a file, in octets; base64 makes a 25 MiB message 34 MiB.
const FILE_OCTETS: usize = 36 * 1024 * 1024;
/// Largest body of any other request, in octets.
const BODY_OCTETS: usize = 256 * 1024;

/// What the API works with.
#[derive(Clone)]
struct Api {
    site: Site,
    commands: Arc<dyn Commands>,
    stop: CancellationToken,
}

/// The routes under `/api/v1`; what stays open ends with `stop`.
pub fn router(site: &Site, commands: Arc<dyn Commands>, stop: CancellationToken) -> Router {
    let api = Api { site: site.clone(), commands, stop };
    let mut router = Router::new();
    for operation in OPERATIONS {
        router = router.route(operation.path, route(&api, operation));
    }
    let events = api.clone();
    let events = get(move |headers: HeaderMap| async move { events.events(&headers).await });
    router = router.route("/events", events);
    router = router.route("/openapi.json", get(|| async { answer::json(StatusCode::OK, &document::document()) }));
    let router = router
        .fallback(|| async {
            Problem::new(StatusCode::NOT_FOUND, "there is no such address in the API; see /api/v1/openapi.json").into_response()
        })
        .method_not_allowed_fallback(|| async {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "this address does not take that method; see /api/v1/openapi.json").into_response()
        })
        .layer(axum::middleware::from_fn_with_state(site.clone(), guard::plain));
    Router::new().nest("/api/v1", router)
}

fn route(api: &Api, operation: &'static Operation) -> MethodRouter {
    let api = api.clone();
    let filter = match operation.method {
        "POST" => MethodFilter::POST,
        "PATCH" => MethodFilter::PATCH,
        "DELETE" => MethodFilter::DELETE,
        _ => MethodFilter::GET,
    };
    on(filter, move |params: Result<RawPathParams, RawPathParamsRejection>, request: Request| async move {
        let Ok(params) = params else {
            return Problem::new(StatusCode::BAD_REQUEST, "a part of the address is no UTF-8 when its percent signs are decoded")
                .into_response();
        };
        let parts: Vec<(String, String)> = params.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        api.answer(operation, &parts, request).await.unwrap_or_else(IntoResponse::into_response)
    })
}

impl Api {
    async fn answer(&self, operation: &'static Operation, parts: &[(String, String)], request: Request) -> Result<Response, Problem> {
        let (head, body) = request.into_parts();
        let group = parts.iter().find(|(name, _)| name == "code").and_then(|(_, code)| code.parse::<GroupCode>().ok());
        let query = query(head.uri.query().unwrap_or_default());
        let named = match bearer(&head.headers) {
            Some(secret) => token::authenticate(&self.site.services, secret).await?,
            None => None,
        };
        // What is about no group in its address is about those in its answer: a token of some groups reads its part of that.
        let own = named.map(|token| token.groups_read(operation.area)).unwrap_or_default();
        let narrowed = !operation.writes && group.is_none() && narrow::applies(operation.area) && !own.is_empty();
        let about = if narrowed { own.first() } else { group.as_ref() };
        let token = self.admit(&head.headers, operation.area, operation.writes, about).await?;
        let own = if narrowed && !token.covers(operation.area, false, None) { own } else { Vec::new() };
        let values: Vec<String> = parts.iter().map(|(_, value)| value.clone()).collect();
        if !operation.writes {
            let rendered = self.read(operation, &values, query, &token, &own).await?;
            return Ok(rendered.unless_known(&head.headers));
        }
        let body = read_body(operation, body).await?;
        let given = fields(operation, &head.headers, &body, query)?;
        // A request that is wrong in itself is told so, whatever it expects of the object (RFC 9110 section 13.2.1).
        operation.words(&values, given.clone()).map_err(|text| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, &text))?;
        let key = match head.headers.get("idempotency-key") {
            Some(key) => {
                let key = key.to_str().ok().filter(|key| !key.is_empty() && key.len() <= repetition::KEY_OCTETS);
                Some(key.ok_or_else(|| Problem::new(StatusCode::BAD_REQUEST, "the Idempotency-Key is empty, too long or no text"))?)
            }
            None => None,
        };
        let address = format!("{} {}?{}", head.method, head.uri.path(), head.uri.query().unwrap_or_default());
        let change = async {
            let Some(key) = key else {
                return Ok(self.change(operation, &values, given, &token).await.into_response());
            };
            self.once(operation, &values, given, &token, key, &[address.as_bytes(), &body]).await
        };
        let Some(expected) = head.headers.get(IF_MATCH) else { return change.await };
        // Nobody changes it between the look and the change.
        let expected = expected.to_str().unwrap_or_default();
        let compared = async {
            Ok(match self.must_be(operation, &values, &token, expected).await {
                Ok(()) => change.await,
                Err(problem) => Err(problem),
            })
        };
        self.site.services.alone(compared).await?
    }

    /// Whose token it is, if it covers this.
    async fn admit(&self, headers: &HeaderMap, area: Area, writes: bool, group: Option<&GroupCode>) -> Result<Token, Problem> {
        let Some(secret) = bearer(headers) else {
            return Err(Problem::unauthorized("a token is needed: `Authorization: Bearer …`; `enlace token create` makes one"));
        };
        let token = token::authenticate(&self.site.services, secret).await?;
        let token = token.ok_or_else(|| Problem::unauthorized("this token is none, was revoked, or has had its last day"))?;
        if !token.covers(area, writes, group) {
            let verb = if writes { "write" } else { "read" };
            let text = format!("the token {} may not do this: it takes the scope {}:{verb}", token.name, area.as_str());
            return Err(Problem::new(StatusCode::FORBIDDEN, &text));
        }
        Ok(token)
    }

    async fn read(
        &self,
        operation: &Operation,
        parts: &[String],
        mut query: Map<String, Value>,
        token: &Token,
        own: &[GroupCode],
    ) -> Result<Rendered, Problem> {
        let page = answer::Page::of(operation, &mut query)?;
        let mut words = operation.words(parts, query).map_err(|text| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, &text))?;
        let at = operation.command.len();
        words.words.splice(at..at, page.words(operation));
        let order = Order { words: words.words, files: Vec::new(), actor: token.actor() };
        match self.commands.carry_out(order).await {
            Outcome::Done { json, .. } => {
                let json = if own.is_empty() { Some(json) } else { narrow::to(json, own) };
                let json = json.ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, "there is no such thing in the groups of this token"))?;
                Ok(Rendered::of(&page.cut(json)))
            }
            Outcome::Failed { kind, text, remedy } => Err(Problem::failed(kind, &text, &remedy)),
        }
    }

    /// Is the object still as the asker saw it (RFC 9110 section 13.1.1)?
    async fn must_be(&self, operation: &Operation, parts: &[String], token: &Token, expected: &str) -> Result<(), Problem> {
        let object = OPERATIONS.iter().filter(|other| !other.writes && other.listed.is_none());
        let object = object.filter(|other| operation.path.starts_with(other.path)).max_by_key(|other| other.path.len());
        let Some(object) = object else {
            return Err(Problem::new(StatusCode::BAD_REQUEST, "If-Match does not apply: this address has no representation to compare"));
        };
        let parts = &parts[..object.parts().count().min(parts.len())];
        let now = self.read(object, parts, Map::new(), token, &[]).await?;
        if expected == "*" || expected.split(',').any(|tag| tag.trim() == now.tag) {
            return Ok(());
        }
        Err(Problem::new(StatusCode::PRECONDITION_FAILED, "it has changed since you read it; read it again"))
    }

    async fn change(&self, operation: &Operation, parts: &[String], given: Map<String, Value>, token: &Token) -> Rendered {
        let words = match operation.words(parts, given) {
            Ok(words) => words,
            Err(text) => return Problem::new(StatusCode::UNPROCESSABLE_ENTITY, &text).rendered(),
        };
        let files = words.file.into_iter().map(|bytes| ("-".to_owned(), bytes)).collect();
        match self.commands.carry_out(Order { words: words.words, files, actor: token.actor() }).await {
            Outcome::Done { mut json, problems } => {
                if let (Value::Object(members), false) = (&mut json, problems.is_empty()) {
                    members.entry("problems").or_insert_with(|| problems.into());
                }
                Rendered::of(&json)
            }
            Outcome::Failed { kind, text, remedy } => Problem::failed(kind, &text, &remedy).rendered(),
        }
    }

    async fn once(
        &self,
        operation: &Operation,
        parts: &[String],
        given: Map<String, Value>,
        token: &Token,
        key: &str,
        request: &[&[u8]],
    ) -> Result<Response, Problem> {
        let services = &self.site.services;
        match repetition::begin(services, &token.name, key, request).await? {
            Known::New(place) => {
                let rendered = self.change(operation, parts, given, token).await;
                let kept = Given { status: rendered.status.as_u16(), media: rendered.media.to_owned(), body: rendered.body.clone() };
                repetition::finish(services, place, kept).await?;
                Ok(rendered.into_response())
            }
            Known::Answered(given) => {
                let status = StatusCode::from_u16(given.status).unwrap_or(StatusCode::OK);
                let headers = [(CONTENT_TYPE.as_str(), given.media.as_str()), ("idempotency-replayed", "true")];
                Ok((status, headers, given.body).into_response())
            }
            Known::Running => {
                Err(Problem::new(StatusCode::CONFLICT, "the first request with this Idempotency-Key still runs; ask again later"))
            }
            Known::Other => {
                Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "this Idempotency-Key was used for another request; take a new one"))
            }
        }
    }

    async fn events(&self, headers: &HeaderMap) -> Response {
        match self.admit(headers, Area::Queue, false, None).await {
            Ok(token) => stream::queue(&self.site.services, Arc::clone(&self.commands), token.actor(), self.stop.clone()),
            Err(problem) => problem.into_response(),
        }
    }
}

/// The secret of `Authorization: Bearer …` (RFC 6750 section 2.1).
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, secret) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| secret.trim())
}

async fn read_body(operation: &Operation, body: Body) -> Result<Bytes, Problem> {
    let most = if operation.file().is_some() { FILE_OCTETS } else { BODY_OCTETS };
    let text = format!("the body is larger than {} KiB", most / 1024);
    to_bytes(body, most).await.map_err(|_| Problem::new(StatusCode::PAYLOAD_TOO_LARGE, &text))
}

/// The fields of the body; a body that is not JSON is the operation's file itself, and the query has the other fields.
fn fields(operation: &Operation, headers: &HeaderMap, body: &Bytes, query: Map<String, Value>) -> Result<Map<String, Value>, Problem> {
    let media = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("application/json");
    let media = media.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if media != "application/json" {
        let Some(file) = operation.file().filter(|_| !body.is_empty()) else {
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "send the fields as application/json"));
        };
        let mut given = query;
        let coded = data_encoding::BASE64.encode(body);
        given.insert(file.name.to_owned(), serde_json::json!({ "base64": coded }));
        return Ok(given);
    }
    let mut given = if body.is_empty() {
        Map::new()
    } else {
        match serde_json::from_slice(body) {
            Ok(Value::Object(members)) => members,
            Ok(_) => return Err(Problem::new(StatusCode::BAD_REQUEST, "the body is no JSON object")),
            Err(error) => return Err(Problem::new(StatusCode::BAD_REQUEST, &format!("the body is no JSON: {error}"))),
        }
    };
    let wrong = |text: String| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, &text);
    if let Some(name) = query.keys().find(|name| *name != "dry_run" || !operation.rehearses) {
        return Err(wrong(format!("`{name}` is no parameter of this address; the fields are those of the body")));
    }
    // Whoever says in one place that nothing is to be changed must not be overruled by the other.
    if let Some(asked) = query.get("dry_run") {
        let asked = match asked.as_str() {
            Some("true" | "1") => true,
            Some("false" | "0") => false,
            _ => return Err(wrong("`dry_run` in the address is neither true nor false".into())),
        };
        if given.insert("dry_run".to_owned(), Value::Bool(asked)).is_some_and(|said| said != Value::Bool(asked)) {
            return Err(wrong("`dry_run` is one thing in the address and another in the body".into()));
        }
    }
    Ok(given)
}

/// The parameters of a query; one that stands twice becomes a list.
fn query(text: &str) -> Map<String, Value> {
    let mut found = Map::new();
    let uri: axum::http::Uri = format!("/?{text}").parse().unwrap_or_default();
    let Ok(axum::extract::Query(pairs)) = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(&uri) else { return found };
    for (name, value) in pairs {
        match found.get_mut(&name) {
            None => {
                found.insert(name, Value::String(value));
            }
            Some(Value::Array(values)) => values.push(Value::String(value)),
            Some(before) => *before = Value::Array(vec![before.take(), Value::String(value)]),
        }
    }
    found
}
