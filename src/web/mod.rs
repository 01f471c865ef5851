//! The pages: server-rendered, without scripts, in every language of the service.
//!
//! GET and HEAD change nothing (RFC 9110 section 9.2.1): scanners fetch every link of a mail. Each answer carries the
//! strict headers of [`guard`]; a page is small enough for a slow line. Who may have which page stands in [`routes`] and is
//! judged by [`authority`]. Not here: rules, and writing to the store.

pub mod api;
pub mod attempts;
pub mod authority;
mod compress;
pub mod connections;
pub mod entity_tag;
pub mod form;
pub mod guard;
pub mod language;
pub mod page;
pub mod pages;
pub mod problem;
pub mod routes;
pub mod tallies;
pub mod visit;

use std::io;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, SET_COOKIE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use minijinja::{Value, context};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::domain::language::Language;
use crate::measure::{self, Present};
use crate::service::command::Commands;
use crate::service::live::Live;
use crate::service::{Services, queue, webhook};
use attempts::Attempts;
use connections::{Bounded, Peer};
use pages::{PageError, Pages, Place};
pub use problem::Problem;
pub use visit::Visit;

/// Largest body of a request in octets, but for files; a one-click request (RFC 8058) has some 30.
pub const BODY_OCTETS: usize = 64 * 1024;

/// What every page works with; cheap to clone.
#[derive(Clone)]
pub struct Site {
    services: Arc<Services>,
    pages: Arc<Live<Pages>>,
    attempts: Arc<Attempts>,
    tallies: Arc<tallies::Tallies>,
    commands: Option<Arc<dyn Commands>>,
    login: Option<Arc<page::oidc::Login>>,
}

impl Site {
    /// Loads the pages in the languages of the service.
    ///
    /// # Errors
    /// A template or word file with a mistake, by name.
    pub fn new(services: Arc<Services>) -> Result<Self, PageError> {
        let service = &services.config.service;
        let pages = Pages::load(&service.languages, service.templates.as_deref())?;
        let pages = Arc::new(Live::new(Arc::new(pages)));
        Ok(Self { services, pages, attempts: Arc::default(), tallies: Arc::default(), commands: None, login: None })
    }

    /// Reads the pages again, in the languages that `service` offers; a mistake leaves those that are there.
    ///
    /// # Errors
    /// As [`Site::new`].
    pub fn reload(&self, service: &crate::config::Service) -> Result<(), PageError> {
        self.pages.replace(Pages::load(&service.languages, service.templates.as_deref())?);
        Ok(())
    }

    /// With the API, whose operations `commands` carries out.
    #[must_use]
    pub fn with_api(self, commands: Arc<dyn Commands>) -> Self {
        Self { commands: Some(commands), ..self }
    }

    /// With the OpenID Connect provider of the configuration, if it names one.
    ///
    /// # Errors
    /// When a client towards it cannot be made.
    pub fn with_login(mut self) -> Result<Self, crate::directory::oidc::OidcError> {
        if let Some(oidc) = &self.services.config.oidc {
            let back = format!("{}/sign-in/oidc/back", self.services.site.base_url.trim_end_matches('/'));
            self.login = Some(Arc::new(page::oidc::Login::new(crate::directory::oidc::Provider::new(oidc, back)?)));
        }
        Ok(self)
    }

    fn login(&self) -> Option<&page::oidc::Login> {
        self.login.as_deref()
    }

    fn settings(&self) -> &crate::config::Service {
        &self.services.config.service
    }

    fn is_https(&self) -> bool {
        self.settings().base_url.starts_with("https:")
    }

    /// The routes with their guards.
    pub fn router(&self) -> Router {
        routes::router(self)
    }

    /// Answers on `listener` until `stop`, then finishes the requests that are open.
    ///
    /// # Errors
    /// When the listener fails.
    pub async fn serve(self, listener: TcpListener, stop: CancellationToken) -> io::Result<()> {
        let mut router = self.router();
        if let Some(commands) = self.commands.clone() {
            router = router.merge(api::router(&self, commands, stop.clone()));
        }
        let service = router.into_make_service_with_connect_info::<Peer>();
        axum::serve(Bounded::new(listener), service).with_graceful_shutdown(stop.cancelled_owned()).await
    }

    /// The page `name` for this visit.
    fn show(&self, visit: &Visit, name: &str, title: &str, content: Value) -> Response {
        self.show_in(visit, visit.language, name, title, content)
    }

    /// The same in another language than the visit's, for pages that know the person by a token.
    fn show_in(&self, visit: &Visit, language: Language, name: &str, title: &str, content: Value) -> Response {
        let place = Place { service: &self.settings().name, language, visit: Some(visit), keys: Some(&self.services.keys) };
        match self.pages.render(name, &place, title, content) {
            Ok(page) => html(page),
            Err(error) => {
                tracing::error!(%error, "Could not render a page");
                StatusCode::INTERNAL_SERVER_ERROR.into_response()
            }
        }
    }

    /// A word of the pages in the visit's language.
    fn word(&self, visit: &Visit, key: &str) -> String {
        self.pages.word(visit.language, key, &[])
    }

    /// A page of a few sentences.
    fn say(&self, visit: &Visit, status: StatusCode, title: &str, lines: &[String]) -> Response {
        let content = context! { lines => lines.to_vec(), button => (), after => (), home => true };
        let mut response = self.show(visit, "message.html", title, content);
        *response.status_mut() = status;
        response
    }

    /// The page for a token that is none.
    fn bad_link(&self, visit: &Visit) -> Response {
        self.say(visit, StatusCode::NOT_FOUND, &self.word(visit, "token-title"), &[self.word(visit, "token-text")])
    }

    /// A cookie for this site: `SameSite=Lax`, not for scripts, only over TLS where there is TLS; without `seconds` it is taken back.
    fn cookie(&self, name: &str, value: &str, seconds: Option<i64>) -> HeaderValue {
        let secure = if self.is_https() { "; Secure" } else { "" };
        let text = format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={}{secure}", seconds.unwrap_or(0));
        HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static(""))
    }
}

/// Sends the browser on with GET after something was done; `done` names the sentence that the next page shows on top.
fn after(path: &str, done: &str) -> Response {
    let separator = if path.contains('?') { '&' } else { '?' };
    Redirect::to(&format!("{path}{separator}done={done}")).into_response()
}

fn with_cookie(mut response: Response, cookie: HeaderValue) -> Response {
    response.headers_mut().append(SET_COOKIE, cookie);
    response
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

/// For Prometheus. Numbers only: no address, group or Message-ID stands in it.
async fn metrics(State(site): State<Site>) -> Response {
    let (store, unknown) = (&site.services.store, (StatusCode::SERVICE_UNAVAILABLE, "the store cannot be read\n"));
    let Ok(counts) = store.total_counts().await else { return unknown.into_response() };
    let present = Present {
        recipients: [counts.planned, counts.sent, counts.deferred, counts.failed, counts.bounced, counts.suppressed],
        paused: queue::is_paused(&site.services).await.unwrap_or_default(),
        healthy: store.health().await.is_ok(),
        webhooks_disabled: webhook::disabled(&site.services).await.unwrap_or_default(),
    };
    let text = measure::render(&present).unwrap_or_default();
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}

async fn style(State(site): State<Site>) -> Response {
    let headers = [(CONTENT_TYPE, "text/css; charset=utf-8"), (CACHE_CONTROL, "public, max-age=31536000, immutable")];
    (headers, site.pages.style().to_owned()).into_response()
}
