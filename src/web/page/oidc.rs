//! `/sign-in/oidc`: to the OpenID Connect provider, back, and in.
//!
//! GET goes to the provider and takes its answer, and changes nothing of ours: who is back presses a button, and only that POST
//! opens a session. What must be remembered meanwhile travels in a sealed cookie, so that an answer works only in the browser that
//! asked, and once. All failures look the same; the log says which it was.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::{COOKIE, HeaderMap};
use axum::response::{IntoResponse, Redirect, Response};
use minijinja::context;

use crate::directory::oidc::{Known, Provider};
use crate::mail::token::Purpose;
use crate::service::login;
use crate::service::session::{self, IDLE_DAYS, SESSION_DAYS};
use crate::web::form::Form;
use crate::web::page::sign_in::local;
use crate::web::visit::SESSION;
use crate::web::{Problem, Site, Visit, with_cookie};

/// Cookie of a sign-in that is under way.
const COOKIE_NAME: &str = "enlace-oidc";
/// Cookie of somebody who came in this way: the provider's token, for signing out there.
const CAME: &str = "enlace-oidc-came";
/// A longer token stays out of the cookie, and the provider asks whom to sign out.
const CAME_OCTETS: usize = 2_400;
/// How long it may take, in minutes.
const MINUTES: i64 = 10;
/// How long somebody who is back may take to press the button.
const BUTTON_WITHIN: Duration = Duration::from_mins(5);
/// Most people between back and in; the oldest gives way.
const WAITING: usize = 1_000;
/// Longest address to go on to that fits into the cookie.
const THEN_OCTETS: usize = 90;

/// The provider, and who is back from it and not in yet.
pub struct Login {
    provider: Provider,
    waiting: Mutex<HashMap<String, Back>>,
}

struct Back {
    at: Instant,
    state: String,
    known: Known,
}

impl Login {
    /// Over the provider of the configuration.
    pub fn new(provider: Provider) -> Self {
        Self { provider, waiting: Mutex::default() }
    }

    fn keep(&self, token: String, back: Back) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.retain(|_, back| back.at.elapsed() < BUTTON_WITHIN);
        if waiting.len() >= WAITING
            && let Some(oldest) = waiting.iter().min_by_key(|(_, back)| back.at).map(|(token, _)| token.clone())
        {
            waiting.remove(&oldest);
        }
        waiting.insert(token, back);
    }

    fn take(&self, token: &str) -> Option<Back> {
        let back = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(token);
        back.filter(|back| back.at.elapsed() < BUTTON_WITHIN)
    }
}

/// The value of a cookie.
fn cookie<'a>(headers: &'a HeaderMap, wanted: &str) -> Option<&'a str> {
    let all = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(';'));
    all.filter_map(|pair| pair.trim().split_once('=')).find(|(name, _)| *name == wanted).map(|(_, value)| value)
}

/// State, nonce, verifier and the address to go on to, from the sealed cookie.
fn remembered(site: &Site, headers: &HeaderMap) -> Option<[String; 4]> {
    let sealed = cookie(headers, COOKIE_NAME)?;
    let opened = site.services.keys.read_link_token(Purpose::Oidc, sealed, site.services.now())?;
    let mut lines = std::str::from_utf8(&opened).ok()?.split('\n').map(str::to_owned);
    Some([lines.next()?, lines.next()?, lines.next()?, lines.next()?])
}

fn failed(site: &Site, visit: &Visit, why: impl std::fmt::Display) -> Response {
    tracing::warn!(%why, "Nobody was signed in");
    let word = |key: &str| site.word(visit, key);
    let mut response = site.show(visit, "sign-in-failed.html", &word("oidc-failed-title"), context! { text => word("oidc-failed-text") });
    *response.status_mut() = StatusCode::FORBIDDEN;
    with_cookie(response, site.cookie(COOKIE_NAME, "", None))
}

/// `GET /sign-in/oidc`
pub async fn begin(State(site): State<Site>, visit: Visit) -> Result<Response, Problem> {
    let Some(login) = site.login() else { return Err(Problem::Status(StatusCode::NOT_FOUND)) };
    if !site.attempts.allow(visit.client, site.services.now()) {
        return Err(Problem::Status(StatusCode::TOO_MANY_REQUESTS));
    }
    let begun = match login.provider.begin().await {
        Ok(begun) => begun,
        Err(error) => return Ok(failed(&site, &visit, error)),
    };
    let then = Some(local(visit.asked("then").unwrap_or("/me"))).filter(|then| then.len() <= THEN_OCTETS).unwrap_or("/me");
    let whole = [begun.state.as_str(), &begun.nonce, &begun.verifier, then].join("\n");
    let until = site.services.now() + chrono::TimeDelta::minutes(MINUTES);
    let sealed = site.services.keys.link_token(Purpose::Oidc, whole.as_bytes(), Some(until));
    let response = Redirect::to(&begun.url).into_response();
    Ok(with_cookie(response, site.cookie(COOKIE_NAME, &sealed, Some(MINUTES * 60))))
}

/// `GET /sign-in/oidc/back`
pub async fn back(State(site): State<Site>, visit: Visit, headers: HeaderMap) -> Result<Response, Problem> {
    let Some(login) = site.login() else { return Err(Problem::Status(StatusCode::NOT_FOUND)) };
    let Some([state, nonce, verifier, then]) = remembered(&site, &headers) else {
        return Ok(failed(&site, &visit, "this browser did not ask"));
    };
    if visit.asked("state") != Some(state.as_str()) {
        return Ok(failed(&site, &visit, "the state is another one"));
    }
    let Some(code) = visit.asked("code").filter(|code| !code.is_empty()) else {
        return Ok(failed(&site, &visit, format!("the provider says: {}", visit.asked("error").unwrap_or("nothing").escape_debug())));
    };
    let known = match login.provider.finish(code, &nonce, &verifier).await {
        Ok(known) => known,
        Err(error) => return Ok(failed(&site, &visit, error)),
    };
    let token = session::secret()?;
    login.keep(token.clone(), Back { at: Instant::now(), state, known });
    let content = context! { token => format!("oidc/{token}"), then => then };
    Ok(site.show(&visit, "sign-in-now.html", &site.word(&visit, "sign-in-now-title"), content))
}

/// `POST /sign-in/oidc/TOKEN`
pub async fn enter(
    State(site): State<Site>,
    visit: Visit,
    Path(token): Path<String>,
    headers: HeaderMap,
    form: Form,
) -> Result<Response, Problem> {
    let Some(login) = site.login() else { return Err(Problem::Status(StatusCode::NOT_FOUND)) };
    let state = remembered(&site, &headers).map(|[state, ..]| state);
    let Some(back) = login.take(&token).filter(|back| Some(&back.state) == state.as_ref()) else {
        return Ok(failed(&site, &visit, "the button is too old, was pressed before, or belongs to another browser"));
    };
    let Some(account) = login::account(&site.services, login.provider.issuer(), &back.known).await? else {
        return Ok(failed(&site, &visit, "the account belongs to somebody else of the provider"));
    };
    if let Some(signed) = &visit.signed {
        session::end(&site.services, &signed.key).await?;
    }
    let cookie = session::open(&site.services, account.id).await?;
    let seconds = Some(SESSION_DAYS.min(IDLE_DAYS * 4) * 86_400);
    let response = Redirect::to(local(form.get("then"))).into_response();
    let response = with_cookie(response, site.cookie(SESSION, &cookie, seconds));
    let token = Some(back.known.id_token.as_str()).filter(|token| token.len() <= CAME_OCTETS).unwrap_or("-");
    let response = with_cookie(response, site.cookie(CAME, token, seconds));
    Ok(with_cookie(response, site.cookie(COOKIE_NAME, "", None)))
}

/// What is answered to somebody who signed out here and came through the provider: the way to sign out there too. A link instead of a
/// redirection, because our pages send their forms to nobody else. `None` for all others.
pub(super) async fn left(site: &Site, visit: &Visit, headers: &HeaderMap) -> Option<Response> {
    let (login, token) = (site.login()?, cookie(headers, CAME)?);
    let place = login.provider.sign_out(token, &format!("{}/", site.services.site.base_url.trim_end_matches('/'))).await?;
    let word = |key: &str| site.word(visit, key);
    let content = context! {
        lines => [word("sign-out-there-text")], button => (), after => (), home => true,
        link => context! { address => place, text => word("sign-out-there") },
    };
    let response = site.show(visit, "message.html", &word("done-signed-out"), content);
    Some(with_cookie(response, site.cookie(CAME, "", None)))
}
