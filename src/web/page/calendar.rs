//! `/groups/CODE/calendar.ics` for everybody, `/calendar/TOKEN.ics` for the one person who knows the address.
//!
//! Calendar programs ask every few hours, so both answer 304 when nothing changed (RFC 9110 section 13.1.2). The private
//! one is marked so that no cache keeps it, and a wrong or ended address is a plain 404.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};

use crate::domain::group::GroupCode;
use crate::mail::calendar::Feed;
use crate::service::{Failure, meeting};
use crate::web::{Site, entity_tag};

/// `GET /groups/CODE/calendar.ics`
pub async fn group(State(site): State<Site>, Path(code): Path<String>, headers: HeaderMap) -> Response {
    let Ok(code) = code.parse::<GroupCode>() else { return StatusCode::NOT_FOUND.into_response() };
    match meeting::feed(&site.services, &code).await {
        Ok(feed) => answer(&feed, &headers, "public, max-age=3600", &code.as_str().to_lowercase()),
        Err(failure) => failed(&failure),
    }
}

/// `GET /calendar/TOKEN.ics`
pub async fn private(State(site): State<Site>, Path(token): Path<String>, headers: HeaderMap) -> Response {
    let Some(token) = token.strip_suffix(".ics") else { return StatusCode::NOT_FOUND.into_response() };
    match meeting::private_feed(&site.services, token).await {
        Ok(Some(feed)) => answer(&feed, &headers, "private, no-cache", "meetings"),
        Ok(None) => StatusCode::NOT_FOUND.into_response(),
        Err(failure) => failed(&failure),
    }
}

fn failed(failure: &Failure) -> Response {
    if matches!(failure, Failure::NotFound(_)) {
        return StatusCode::NOT_FOUND.into_response();
    }
    tracing::error!(error = %failure, "Could not make a calendar");
    StatusCode::SERVICE_UNAVAILABLE.into_response()
}

fn answer(feed: &Feed, asked: &HeaderMap, cache: &'static str, name: &str) -> Response {
    let unchanged = entity_tag::is_known(asked, &feed.etag);
    let mut response = if unchanged { StatusCode::NOT_MODIFIED.into_response() } else { feed.text.clone().into_response() };
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/calendar; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(cache));
    for (field, value) in [(ETAG, feed.etag.clone()), (CONTENT_DISPOSITION, format!("inline; filename=\"{name}.ics\""))] {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(field, value);
        }
    }
    response
}
