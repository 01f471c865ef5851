//! What a page could not do, and the page that says so.

use std::sync::Arc;

use axum::http::StatusCode;
use axum::http::header::{HeaderValue, RETRY_AFTER};
use axum::response::{IntoResponse, Response};
use minijinja::context;

use super::{Site, Visit, attempts};
use crate::service::Failure;

/// Why there is no page; the guard makes one of it in the reader's language.
#[derive(Debug, Clone)]
pub enum Problem {
    /// A status without more to say.
    Status(StatusCode),
    /// A sentence of its own: `KEY-title` and `KEY-text` of the words.
    Said(&'static str),
    /// A use case was not carried out.
    Failed(Failure),
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<crate::store::StoreError> for Problem {
    fn from(error: crate::store::StoreError) -> Self {
        Self::Failed(error.into())
    }
}

impl Problem {
    /// There is nothing of that name.
    pub fn missing() -> Self {
        Self::Status(StatusCode::NOT_FOUND)
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::Status(status) => *status,
            Self::Said(_) | Self::Failed(Failure::Refused(_)) => StatusCode::FORBIDDEN,
            Self::Failed(Failure::NotFound(_)) => StatusCode::NOT_FOUND,
            Self::Failed(Failure::Invalid(_) | Failure::Mistaken(_)) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Failed(Failure::Text(_)) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Failed(Failure::Store(_)) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The page.
    pub fn page(&self, site: &Site, visit: &Visit) -> Response {
        let status = self.status();
        let (key, text) = match self {
            Self::Said(key) => ((*key).to_owned(), None),
            Self::Failed(Failure::Refused(reason)) => ("problem-403".to_owned(), Some(site.services.texts.reason(visit.language, reason))),
            Self::Failed(Failure::Invalid(text)) => ("problem-422".to_owned(), Some(text.clone())),
            Self::Failed(Failure::Mistaken(advice)) => ("problem-422".to_owned(), Some(site.services.texts.advice(visit.language, advice))),
            Self::Failed(failure @ (Failure::Text(_) | Failure::Store(_))) => {
                tracing::error!(error = %failure, path = %visit.path, "Could not carry out what a page asked for");
                (format!("problem-{}", status.as_u16()), None)
            }
            Self::Status(_) | Self::Failed(Failure::NotFound(_)) => (format!("problem-{}", known(status)), None),
        };
        let title = site.word(visit, &format!("{key}-title"));
        let lines = vec![site.word(visit, &format!("{key}-text"))];
        let details: Vec<String> = text.iter().flat_map(|text| text.lines().take(50).map(ToOwned::to_owned)).collect();
        // What files and commands are told is English; reasons and advice are in the reader's language.
        let english = matches!(self, Self::Failed(Failure::Invalid(_)));
        let content = context! {
            lines => lines, details => details, english => english, button => (), after => (), home => true,
        };
        let mut response = site.show(visit, "message.html", &title, content);
        *response.status_mut() = status;
        if status == StatusCode::TOO_MANY_REQUESTS {
            // RFC 9110 section 10.2.3.
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(attempts::WINDOW_SECONDS));
        }
        response
    }
}

/// The statuses that have words.
fn known(status: StatusCode) -> u16 {
    match status.as_u16() {
        known @ (400 | 403 | 404 | 405 | 413 | 422 | 429 | 503) => known,
        other if other < 500 => 400,
        _ => 500,
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        response.extensions_mut().insert(Arc::new(self));
        response
    }
}
