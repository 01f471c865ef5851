//! The pages: server-rendered, without scripts, in every language of the service.
//!
//! GET and HEAD change nothing (RFC 9110 section 9.2.1): scanners fetch every link of a mail. Each answer carries the
//! strict headers of [`guard`]; a page is small enough for a slow line. Not here: rules, and writing to the store.

pub mod connections;
pub mod guard;
pub mod language;
pub mod page;
pub mod pages;

use std::convert::Infallible;
use std::io;
use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, FromRequestParts, State};
use axum::http::header::{ACCEPT_LANGUAGE, CACHE_CONTROL, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use minijinja::{Value, context};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::domain::language::Language;
use crate::service::Services;
use connections::Bounded;
use pages::{PageError, Pages, Place};

/// Largest body of a request in octets; a one-click request (RFC 8058) has some 30.
pub const BODY_OCTETS: usize = 16 * 1024;

/// What every page works with; cheap to clone.
#[derive(Clone)]
pub struct Site {
    services: Arc<Services>,
    pages: Arc<Pages>,
}

impl Site {
    /// Loads the pages in the languages of the service.
    ///
    /// # Errors
    /// A template or word file with a mistake, by name.
    pub fn new(services: Arc<Services>) -> Result<Self, PageError> {
        let service = &services.config.service;
        let pages = Pages::load(&service.languages, service.templates.as_deref())?;
        Ok(Self { services, pages: Arc::new(pages) })
    }

    fn settings(&self) -> &crate::config::Service {
        &self.services.config.service
    }

    /// The routes with their guards.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/", get(page::group::list))
            .route("/groups/{code}", get(page::group::show))
            .route("/u/{token}", get(page::unsubscribe::ask).post(page::unsubscribe::leave))
            .route("/u/{token}/undo", post(page::unsubscribe::come_back))
            .route("/healthz", get(|| async { "ok\n" }))
            .route("/readyz", get(ready))
            .route("/static/enlace.css", get(style))
            .fallback(|| async { StatusCode::NOT_FOUND })
            .method_not_allowed_fallback(|| async { StatusCode::METHOD_NOT_ALLOWED })
            .layer(DefaultBodyLimit::max(BODY_OCTETS))
            .layer(axum::middleware::from_fn_with_state(self.clone(), guard::guard))
            .with_state(self.clone())
    }

    /// Answers on `listener` until `stop`, then finishes the requests that are open.
    ///
    /// # Errors
    /// When the listener fails.
    pub async fn serve(self, listener: TcpListener, stop: CancellationToken) -> io::Result<()> {
        axum::serve(Bounded::new(listener), self.router()).with_graceful_shutdown(stop.cancelled_owned()).await
    }

    fn page(&self, name: &str, language: Language, path: &str, title: &str, content: Value) -> Response {
        match self.pages.render(name, &Place { service: &self.settings().name, language, path }, title, content) {
            Ok(page) => html(page),
            Err(error) => {
                tracing::error!(%error, "Could not render a page");
                StatusCode::INTERNAL_SERVER_ERROR.into_response()
            }
        }
    }

    /// The page for a token that is none.
    fn bad_link(&self, language: Language, path: &str) -> Response {
        let word = |key| self.pages.word(language, key, &[]);
        let content = context! { lines => vec![word("token-text")], button => (), after => (), home => true };
        let mut response = self.page("message.html", language, path, &word("token-title"), content);
        *response.status_mut() = StatusCode::NOT_FOUND;
        response
    }

    /// A page that says what is wrong, in the reader's language.
    fn problem(&self, status: u16, language: Language, path: &str) -> Response {
        let known = if [400, 404, 405, 413, 503].contains(&status) {
            status
        } else if status < 500 {
            400
        } else {
            500
        };
        let title = self.pages.word(language, &format!("problem-{known}-title"), &[]);
        let text = self.pages.word(language, &format!("problem-{known}-text"), &[]);
        let content = context! { lines => vec![text], button => (), after => (), home => true };
        let mut response = self.page("message.html", language, path, &title, content);
        *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        response
    }
}

fn html(page: String) -> Response {
    let mut response = page.into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    response
}

async fn ready(State(site): State<Site>) -> Response {
    match site.services.store.health().await {
        Ok(()) => "ready\n".into_response(),
        Err(error) => {
            tracing::warn!(%error, "Not ready");
            (StatusCode::SERVICE_UNAVAILABLE, [(CONTENT_TYPE, "text/plain; charset=utf-8")], "not ready: the store cannot keep mail\n")
                .into_response()
        }
    }
}

async fn style(State(site): State<Site>) -> Response {
    let headers = [(CONTENT_TYPE, "text/css; charset=utf-8"), (CACHE_CONTROL, "public, max-age=31536000, immutable")];
    (headers, site.pages.style().to_owned()).into_response()
}

/// What a request says about language and place.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Path without query.
    pub path: String,
    link: Option<String>,
    wish: Option<String>,
}

impl Asked {
    fn of(parts: &Parts) -> Self {
        let link = parts.uri.query().and_then(|query| query.split('&').find_map(|pair| pair.strip_prefix("lang="))).map(ToOwned::to_owned);
        let wish = parts.headers.get(ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()).map(ToOwned::to_owned);
        Self { path: parts.uri.path().to_owned(), link, wish }
    }

    fn language(&self, site: &Site, known: &[Language]) -> Language {
        language::choose(&site.settings().languages, self.link.as_deref(), known, self.wish.as_deref())
    }
}

impl<S: Sync> FromRequestParts<S> for Asked {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::of(parts))
    }
}
