//! Who may have which page: decided here, before the page runs, and nowhere else.
//!
//! Each route of `routes` names the right that it takes ([`Right`]) and the object it is about ([`Object`]). The right is asked of
//! the service in the group of the path; an object is looked up under that group, so that no other group's post or request is
//! reached by its identifier: it is not found. A request that changes something must carry the key of its form, which is bound to
//! the session and to the address it is sent to, and must not come from another site.

use std::sync::Arc;

use axum::body::to_bytes;
use axum::extract::{FromRequestParts, RawPathParams, Request, State};
use axum::http::header::{HeaderMap, ORIGIN};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use sha2::{Digest, Sha256};

use super::form::Form;
use super::{Problem, Site, Visit};
use crate::domain::archive::{StatementAccess, statement_access};
use crate::domain::group::{Group, GroupCode};
use crate::domain::id::{PostId, RequestId};
use crate::domain::post::PostState;
use crate::mail::token::{Keys, Purpose};
use crate::service::{Failure, archive, liaison, rights};

/// Name of the form field that carries the key.
pub const KEY_FIELD: &str = "key";

/// The right that a page takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Right {
    /// None.
    Anyone,
    /// None, but a request that changes something may not come from another site.
    SameSite,
    /// The token in the path, which the page reads; it may come from anywhere (RFC 8058).
    Token,
    /// To be signed in.
    Account,
    /// To read the group's archive.
    Reader,
    /// To have the whole of the statement `{id}`, not only its cover.
    Statement,
    /// To decide on held posts.
    Moderator,
    /// To decide on members, meetings and settings.
    Manager,
    /// To be of the secretariat of some group, or an operator; the page looks at the group.
    Staff,
    /// To run the service.
    Operator,
}

/// What the page is about, besides the group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Object {
    /// Nothing else.
    None,
    /// `{post}`: a post of the group.
    Post,
    /// `{post}`: a post of the group that is held.
    Held,
    /// `{request}`: a request for subscription to the group.
    Request,
}

/// Right and object of a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// The right.
    pub right: Right,
    /// The object.
    pub object: Object,
    /// Largest body in octets.
    pub body: usize,
}

/// What was found on the way: the group of the path, and what the visitor may do in it.
#[derive(Debug, Clone)]
pub struct Scope {
    /// The group.
    pub group: Arc<Group>,
    /// May she decide on held posts?
    pub moderates: bool,
    /// May she decide on members, meetings and settings?
    pub manages: bool,
}

impl<S: Sync> FromRequestParts<S> for Scope {
    type Rejection = StatusCode;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, StatusCode> {
        parts.extensions.get::<Self>().cloned().ok_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

/// What a visitor may have of the statements kept for a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatementRight {
    /// Of those that are out.
    pub access: StatementAccess,
    /// Does she decide on the group, so that she sees all of them in every state, with their history?
    pub insider: bool,
}

/// What the visitor may have of the statements kept for this group.
///
/// # Errors
/// When there is no such group, or the store fails.
pub async fn statements(site: &Site, visit: &Visit, code: &GroupCode) -> Result<StatementRight, Failure> {
    let group = site.services.group(code)?;
    let insider = match visit.account() {
        Some(account) => rights::may_manage(&site.services, &group, account).await?.is_accept(),
        None => false,
    };
    Ok(StatementRight { access: statement_access(&group, visit.account()), insider })
}

/// Lets the request through to its page, or answers in its place.
pub async fn admit(
    State((site, rule)): State<(Site, Rule)>,
    params: RawPathParams,
    visit: Visit,
    mut request: Request,
    next: Next,
) -> Response {
    let scope = match judge(&site, rule, &params, &visit).await {
        Ok(scope) => scope,
        Err(Denied::SignIn) if request.method() == Method::GET || request.method() == Method::HEAD => {
            return Redirect::to(&format!("/sign-in?then={}", visit.path)).into_response();
        }
        Err(Denied::SignIn) => return StatusCode::FORBIDDEN.into_response(),
        Err(Denied::Problem(problem)) => return problem.into_response(),
    };
    if let Some(scope) = scope {
        request.extensions_mut().insert(scope);
    }
    if request.method() != Method::POST {
        return next.run(request).await;
    }
    let (mut parts, body) = request.into_parts();
    if rule.right == Right::Token {
        // The token is the right and says what to do. Programs of mailboxes post what they like beside it (RFC 8058 section 3.2), and
        // nothing of that is a reason to refuse, but its size.
        let Ok(body) = to_bytes(body, rule.body).await else { return StatusCode::PAYLOAD_TOO_LARGE.into_response() };
        parts.extensions.insert(Form::read(&parts.headers, body).await.unwrap_or_default());
        return next.run(Request::from_parts(parts, axum::body::Body::empty())).await;
    }
    if comes_from_elsewhere(&parts.headers, &site.settings().base_url) {
        return Problem::Said("problem-other-site").into_response();
    }
    let Ok(body) = to_bytes(body, rule.body).await else { return StatusCode::PAYLOAD_TOO_LARGE.into_response() };
    let form = match Form::read(&parts.headers, body).await {
        Ok(form) => form,
        Err(status) => return status.into_response(),
    };
    let expected = visit.signed.as_ref().map(|signed| signed.key.as_str());
    if rule.right != Right::SameSite
        && !expected.is_some_and(|session| is_key(&site.services.keys, session, &visit.path, form.get(KEY_FIELD)))
    {
        return Problem::Said("problem-key").into_response();
    }
    parts.extensions.insert(form);
    next.run(Request::from_parts(parts, axum::body::Body::empty())).await
}

enum Denied {
    SignIn,
    Problem(Problem),
}

impl From<Failure> for Denied {
    fn from(failure: Failure) -> Self {
        Self::Problem(Problem::Failed(failure))
    }
}

async fn judge(site: &Site, rule: Rule, params: &RawPathParams, visit: &Visit) -> Result<Option<Scope>, Denied> {
    let named = |name: &str| params.iter().find(|(key, _)| *key == name).map(|(_, value)| value);
    let missing = || Denied::Problem(Problem::Status(StatusCode::NOT_FOUND));
    let scope = match named("code") {
        Some(code) => {
            let code: GroupCode = code.parse().map_err(|_| missing())?;
            let group = site.services.groups().get(&code).cloned().ok_or_else(missing)?;
            Some(scope(site, visit, group).await?)
        }
        None => None,
    };
    let granted = match rule.right {
        Right::Anyone | Right::SameSite | Right::Token => true,
        Right::Account => visit.signed.is_some(),
        Right::Reader => may_read(site, visit, scope.as_ref()).await?,
        Right::Statement => may_have_statement(site, visit, named("id").ok_or_else(missing)?).await?,
        Right::Moderator => scope.as_ref().is_some_and(|scope| scope.moderates),
        Right::Manager => scope.as_ref().is_some_and(|scope| scope.manages),
        Right::Staff => visit.account().is_some_and(|account| !account.roles.is_empty()),
        Right::Operator => visit.account().is_some_and(crate::domain::account::Account::is_operator),
    };
    if !granted {
        let refused = Denied::Problem(Problem::Status(StatusCode::FORBIDDEN));
        return Err(if visit.signed.is_some() { refused } else { Denied::SignIn });
    }
    if let Some(scope) = &scope {
        let found = match rule.object {
            Object::None => true,
            Object::Post | Object::Held => holds_post(site, &scope.group.code, named("post"), rule.object == Object::Held).await?,
            Object::Request => holds_request(site, &scope.group.code, named("request")).await?,
        };
        if !found {
            return Err(missing());
        }
    }
    Ok(scope)
}

/// The rule of the register, for the group that the statement is kept for.
async fn may_have_statement(site: &Site, visit: &Visit, name: &str) -> Result<bool, Failure> {
    let id = liaison::find(&site.services, name).await?;
    let shown = liaison::show(&site.services, id, false).await?;
    let code = shown.view.group.parse().map_err(Failure::NotFound)?;
    let right = statements(site, visit, &code).await?;
    Ok(right.insider || right.access == StatementAccess::Whole)
}

/// The archive's own rule: its policy, the subscription, the management.
async fn may_read(site: &Site, visit: &Visit, scope: Option<&Scope>) -> Result<bool, Failure> {
    let Some(scope) = scope else { return Ok(false) };
    let reader = visit.account().map_or(archive::Reader::Anybody, archive::Reader::Account);
    match archive::access(&site.services, &scope.group.code, reader).await {
        Ok(_) => Ok(true),
        Err(Failure::Refused(_)) => Ok(false),
        Err(failure) => Err(failure),
    }
}

async fn scope(site: &Site, visit: &Visit, group: Arc<Group>) -> Result<Scope, Failure> {
    let Some(account) = visit.account() else { return Ok(Scope { group, moderates: false, manages: false }) };
    let moderates = rights::may_moderate(&site.services, &group, account).await?.is_accept();
    let manages = moderates && rights::may_manage(&site.services, &group, account).await?.is_accept();
    Ok(Scope { group, moderates, manages })
}

async fn holds_post(site: &Site, code: &GroupCode, id: Option<&str>, held: bool) -> Result<bool, Failure> {
    let Some(id) = id.and_then(|id| id.parse::<PostId>().ok()) else { return Ok(false) };
    let post = site.services.store.post(id).await?;
    Ok(post.is_some_and(|post| {
        let is_held = matches!(post.state, PostState::Held(_) | PostState::AwaitsAuthor(_));
        post.groups.contains(code) && (is_held || !held)
    }))
}

async fn holds_request(site: &Site, code: &GroupCode, id: Option<&str>) -> Result<bool, Failure> {
    let Some(id) = id.and_then(|id| id.parse::<RequestId>().ok()) else { return Ok(false) };
    Ok(site.services.store.request(id).await?.is_some_and(|request| request.group == *code))
}

/// The key of the form that this session sends to `path`.
pub fn key(keys: &Keys, session: &str, path: &str) -> String {
    keys.link_token(Purpose::Form, &form_digest(session, path), None)
}

fn is_key(keys: &Keys, session: &str, path: &str, key: &str) -> bool {
    let payload = keys.read_link_token(Purpose::Form, key, chrono::DateTime::UNIX_EPOCH);
    payload.is_some_and(|payload| payload == form_digest(session, path))
}

fn form_digest(session: &str, path: &str) -> [u8; 16] {
    let mut digest = Sha256::new();
    digest.update(session);
    digest.update([0]);
    digest.update(path);
    let mut short = [0; 16];
    short.copy_from_slice(&digest.finalize()[..16]);
    short
}

/// Does a browser say that another site sent it (Fetch metadata, `Origin` of RFC 6454)?
fn comes_from_elsewhere(headers: &HeaderMap, base_url: &str) -> bool {
    let field = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(site) = field("sec-fetch-site") {
        return !matches!(site, "same-origin" | "none");
    }
    match headers.get(ORIGIN).and_then(|value| value.to_str().ok()) {
        // Behind a web server the host that the browser sees is that of the base address; for a first look, the Host field's.
        Some(origin) => {
            let host = field("host").unwrap_or_default();
            let own = base_url.trim_end_matches('/');
            origin != own && origin != format!("http://{host}")
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_good_for_one_session_and_one_address() {
        let keys = Keys::new(&[3; 32]);
        let good = key(&keys, "session-a", "/manage/SG12/members");
        assert!(is_key(&keys, "session-a", "/manage/SG12/members", &good));
        for (session, path, text) in [
            ("session-b", "/manage/SG12/members", good.as_str()),
            ("session-a", "/manage/SG12/held", &good),
            ("session-a", "/manage/SG12/members", ""),
            ("session-a", "/manage/SG12/members", &good[1..]),
        ] {
            assert!(!is_key(&keys, session, path, text), "{session} {path}");
        }
        assert!(!is_key(&Keys::new(&[4; 32]), "session-a", "/manage/SG12/members", &good));
    }

    #[test]
    fn another_site_is_seen_by_what_the_browser_says() {
        let elsewhere = |fields: &[(&'static str, &str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in fields {
                headers.insert(*name, value.parse().unwrap());
            }
            comes_from_elsewhere(&headers, "https://lists.example.org")
        };
        assert!(!elsewhere(&[]));
        assert!(!elsewhere(&[("sec-fetch-site", "same-origin"), ("origin", "null")]));
        assert!(!elsewhere(&[("origin", "https://lists.example.org")]));
        assert!(!elsewhere(&[("origin", "http://127.0.0.1:8025"), ("host", "127.0.0.1:8025")]));
        assert!(elsewhere(&[("sec-fetch-site", "cross-site")]));
        assert!(elsewhere(&[("sec-fetch-site", "same-site")]));
        assert!(elsewhere(&[("origin", "https://evil.example")]));
        assert!(elsewhere(&[("origin", "null")]));
    }
}
