//! What every answer carries, and pages for what went wrong.
//!
//! Content-Security-Policy: nothing runs, nothing is fetched but our style sheet, nothing frames us. No referrer is
//! sent, because a token may stand in the address (RFC 8058 links). A panic in a page is answered with 500 and logged.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;

use super::visit::LANGUAGE;
use super::{Problem, Site, Visit, compress, with_cookie};
use crate::measure;

const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
/// How long a browser remembers the language that was chosen, in seconds.
const LANGUAGE_SECONDS: i64 = 365 * 86_400;

/// Finds out who asks, runs the page, replaces a bare error by a page in the reader's language, and adds the headers.
pub async fn guard(State(site): State<Site>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let visit = Visit::of(&site, &parts).await;
    parts.extensions.insert(visit.clone());
    let head_only = parts.method == Method::HEAD;
    let gzip = compress::takes_gzip(&parts.headers);
    // Not the whole path, which may hold a token.
    let place = parts.uri.path().split('/').nth(1).unwrap_or_default().to_owned();
    let open = parts.method == Method::GET && compress::is_open(&place, visit.signed.is_some());
    let began = Instant::now();
    let answered = AssertUnwindSafe(next.run(Request::from_parts(parts, body))).catch_unwind().await;
    let mut response = answered.unwrap_or_else(|_| {
        tracing::error!("A page panicked");
        StatusCode::INTERNAL_SERVER_ERROR.into_response()
    });
    measure::asked(&place, began.elapsed());
    let status = response.status();
    if (status.is_client_error() || status.is_server_error()) && is_bare(&response) {
        let problem = response.extensions_mut().remove::<Arc<Problem>>().unwrap_or_else(|| Arc::new(Problem::Status(status)));
        let allow = response.headers().get(axum::http::header::ALLOW).cloned();
        response = problem.page(&site, &visit);
        if let Some(allow) = allow {
            response.headers_mut().insert(axum::http::header::ALLOW, allow);
        }
        if head_only {
            *response.body_mut() = axum::body::Body::empty();
        }
    }
    add_headers(response.headers_mut(), site.is_https());
    if open {
        response = compress::compressed(response, gzip).await;
    }
    match visit.chosen {
        Some(language) => with_cookie(response, site.cookie(LANGUAGE, language.as_str(), Some(LANGUAGE_SECONDS))),
        None => response,
    }
}

/// The same headers for answers to programs, which make their own of what went wrong.
pub async fn plain(State(site): State<Site>, request: Request, next: Next) -> Response {
    let answered = AssertUnwindSafe(next.run(request)).catch_unwind().await;
    let mut response = answered.unwrap_or_else(|_| {
        tracing::error!("An operation of the API panicked");
        StatusCode::INTERNAL_SERVER_ERROR.into_response()
    });
    add_headers(response.headers_mut(), site.is_https());
    response
}

/// An error that no page was made for: the extractors' and the router's own answers.
fn is_bare(response: &Response) -> bool {
    let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let ours = response.status() == StatusCode::SERVICE_UNAVAILABLE && kind.starts_with("text/plain");
    !kind.starts_with("text/html") && !ours
}

fn add_headers(headers: &mut HeaderMap, https: bool) {
    let fixed = [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=()"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if https {
        headers.insert(STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));
    }
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
}
