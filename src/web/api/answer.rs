//! Answers of the API: JSON with its tag, pages of lists, problems.

use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use axum::response::{IntoResponse, Response};
use data_encoding::BASE64URL_NOPAD;
use serde_json::{Map, Value, json};

use super::operation::Operation;
use crate::service::Failure;
use crate::service::command::Kind;
use crate::web::entity_tag;

const JSON: &str = "application/json";
const PROBLEM: &str = "application/problem+json";
/// Items of a page unless the asker wants another number.
const ITEMS: usize = 100;
/// Most items of a page.
const MOST_ITEMS: usize = 1_000;

/// An answer that is ready to be sent or kept.
#[derive(Debug, Clone)]
pub(super) struct Rendered {
    pub(super) status: StatusCode,
    pub(super) media: &'static str,
    pub(super) body: Vec<u8>,
    /// Strong entity tag with its quotes (RFC 9110 section 8.8.3).
    pub(super) tag: String,
}

impl Rendered {
    pub(super) fn of(value: &Value) -> Self {
        Self::with(StatusCode::OK, JSON, value)
    }

    fn with(status: StatusCode, media: &'static str, value: &Value) -> Self {
        let body = value.to_string().into_bytes();
        let tag = entity_tag::of(&body);
        Self { status, media, body, tag }
    }

    /// 304 when the asker has it already.
    pub(super) fn unless_known(self, asked: &HeaderMap) -> Response {
        if self.status == StatusCode::OK && entity_tag::is_known(asked, &self.tag) {
            return (StatusCode::NOT_MODIFIED, [(ETAG, self.tag)]).into_response();
        }
        self.into_response()
    }
}

impl IntoResponse for Rendered {
    fn into_response(self) -> Response {
        let headers = [(CONTENT_TYPE, self.media.to_owned()), (ETAG, self.tag), (CACHE_CONTROL, "no-store".to_owned())];
        (self.status, headers, self.body).into_response()
    }
}

/// A JSON document.
pub(super) fn json(status: StatusCode, value: &Value) -> Response {
    Rendered::with(status, JSON, value).into_response()
}

/// Which part of a list.
pub(super) enum Page {
    /// The answer is no list.
    Whole,
    /// At most `items` behind `after`.
    Part { key: &'static str, items: usize, after: Option<String> },
}

impl Page {
    /// Takes `limit` and `cursor` out of the query.
    pub(super) fn of(operation: &Operation, query: &mut Map<String, Value>) -> Result<Self, Problem> {
        let Some(listed) = operation.listed else { return Ok(Self::Whole) };
        let wrong = |text: &str| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, text);
        let items = match query.remove("limit") {
            None => ITEMS,
            Some(value) => {
                let number = value.as_str().and_then(|text| text.parse().ok()).filter(|number| (1..=MOST_ITEMS).contains(number));
                number.ok_or_else(|| wrong("`limit` is a number from 1 to 1000"))?
            }
        };
        let after = match query.remove("cursor") {
            None => None,
            Some(value) => {
                let octets = value.as_str().and_then(|text| BASE64URL_NOPAD.decode(text.as_bytes()).ok());
                let text = octets.and_then(|octets| String::from_utf8(octets).ok());
                Some(text.ok_or_else(|| wrong("`cursor` is none of ours; take `next_cursor` of the page before"))?)
            }
        };
        Ok(Self::Part { key: listed.key, items, after })
    }

    /// Words by which a command that gives parts is asked for this one.
    pub(super) fn words(&self, operation: &Operation) -> Vec<String> {
        match self {
            Self::Part { items, after, .. } if operation.listed.is_some_and(|listed| listed.by_parts) => {
                let after = after.iter().map(|after| format!("--after={after}"));
                std::iter::once(format!("--limit={items}")).chain(after).collect()
            }
            _ => Vec::new(),
        }
    }

    /// The part of the list, with the cursor of the next one.
    pub(super) fn cut(&self, list: Value) -> Value {
        if let (Self::Part { .. }, Value::Object(part)) = (self, &list) {
            let next = part.get("next").and_then(Value::as_str).map(|next| BASE64URL_NOPAD.encode(next.as_bytes()));
            return json!({ "items": part.get("items"), "next_cursor": next });
        }
        let (Self::Part { key, items, after }, Value::Array(mut all)) = (self, list.clone()) else { return list };
        let name = |item: &Value| item[*key].as_str().unwrap_or_default().to_owned();
        all.sort_by_cached_key(name);
        let begin = after.as_ref().map_or(0, |after| all.partition_point(|item| name(item) <= *after));
        let rest = all.len().saturating_sub(begin);
        let page: Vec<Value> = all.into_iter().skip(begin).take(*items).collect();
        let next = page.last().filter(|_| rest > *items).map(|last| BASE64URL_NOPAD.encode(name(last).as_bytes()));
        json!({ "items": page, "next_cursor": next })
    }
}

/// Why there is no answer (RFC 9457).
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    detail: String,
    remedy: String,
}

impl Problem {
    pub(super) fn new(status: StatusCode, detail: &str) -> Self {
        Self { status, detail: detail.to_owned(), remedy: String::new() }
    }

    pub(super) fn unauthorized(detail: &str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, detail)
    }

    pub(super) fn failed(kind: Kind, text: &str, remedy: &str) -> Self {
        let status = match kind {
            Kind::NotFound => StatusCode::NOT_FOUND,
            Kind::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
            Kind::Refused => StatusCode::CONFLICT,
            Kind::Broken => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self { status, detail: text.to_owned(), remedy: remedy.to_owned() }
    }

    pub(super) fn rendered(self) -> Rendered {
        let title = self.status.canonical_reason().unwrap_or("Problem");
        let mut body = json!({ "type": "about:blank", "title": title, "status": self.status.as_u16(), "detail": self.detail });
        if !self.remedy.is_empty() {
            body["remedy"] = Value::String(self.remedy);
        }
        Rendered::with(self.status, PROBLEM, &body)
    }
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        let kind = match &failure {
            Failure::NotFound(_) => Kind::NotFound,
            Failure::Invalid(_) | Failure::Mistaken(_) => Kind::Invalid,
            Failure::Refused(_) => Kind::Refused,
            Failure::Text(_) | Failure::Store(_) => {
                tracing::error!(error = %failure, "Could not carry out what a program asked for");
                Kind::Broken
            }
        };
        Self::failed(kind, &failure.to_string(), "")
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let unauthorized = self.status == StatusCode::UNAUTHORIZED;
        let mut response = self.rendered().into_response();
        if unauthorized {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"enlace\""));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_a_list_hold_everything_once() {
        let all: Vec<Value> = (0..25).rev().map(|n| json!({ "address": format!("m{n:02}@example.org") })).collect();
        let (mut after, mut seen) = (None, Vec::new());
        loop {
            let page = Page::Part { key: "address", items: 10, after }.cut(Value::Array(all.clone()));
            seen.extend(page["items"].as_array().unwrap().iter().map(|item| item["address"].as_str().unwrap().to_owned()));
            let Some(cursor) = page["next_cursor"].as_str() else { break };
            after = Some(String::from_utf8(BASE64URL_NOPAD.decode(cursor.as_bytes()).unwrap()).unwrap());
        }
        let expected: Vec<String> = (0..25).map(|n| format!("m{n:02}@example.org")).collect();
        assert_eq!(seen, expected);
    }
}
