//! Every address of the pages with the right that it takes: one table, from which the router is built.
//!
//! A route cannot be without a right, because it is made with one. Tests walk the same table: who gets what at each address,
//! that GET changes nothing, and that no form works without its key.

use axum::Router;
use axum::extract::State;
use axum::handler::Handler;
use axum::http::header::CACHE_CONTROL;
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{MethodRouter, get, post};

use super::authority::{Object, Right, Rule, admit};
use super::{BODY_OCTETS, Site, guard, page};
use crate::service::archive;

/// Largest body that carries a file, in octets: 100,000 rows of a member list.
const FILE_OCTETS: usize = 8 * 1024 * 1024;

/// One address and method.
pub struct Route {
    /// `GET` (and HEAD) or `POST`.
    pub method: &'static str,
    /// With the names of its variable parts: `/groups/{code}`.
    pub path: &'static str,
    /// What it takes.
    pub rule: Rule,
    answers: MethodRouter<Site>,
}

impl Route {
    fn about(mut self, object: Object) -> Self {
        self.rule.object = object;
        self
    }

    fn with_file(mut self) -> Self {
        self.rule.body = FILE_OCTETS;
        self
    }
}

fn show<H: Handler<T, Site>, T: 'static>(path: &'static str, right: Right, handler: H) -> Route {
    Route { method: "GET", path, rule: Rule { right, object: Object::None, body: 0 }, answers: get(handler) }
}

fn act<H: Handler<T, Site>, T: 'static>(path: &'static str, right: Right, handler: H) -> Route {
    Route { method: "POST", path, rule: Rule { right, object: Object::None, body: BODY_OCTETS }, answers: post(handler) }
}

/// The table.
pub fn routes() -> Vec<Route> {
    [open(), own(), managed(), administered()].into_iter().flatten().collect()
}

/// For everybody.
fn open() -> Vec<Route> {
    use Right::{Anyone, Reader, SameSite, Statement, Token};
    vec![
        show("/", Anyone, page::group::list),
        show("/groups/{code}", Anyone, page::group::show),
        show("/groups/{code}/data-protection", Anyone, page::group::data_protection),
        show("/groups/{code}/calendar.ics", Anyone, page::calendar::group),
        show("/calendar/{token}", Token, page::calendar::private),
        show("/groups/{code}/feed.atom", Anyone, page::feed::group),
        show("/feed/{token}", Token, page::feed::private),
        show("/groups/{code}/archive", Reader, page::archive::list),
        show("/groups/{code}/archive/{post}", Reader, page::archive::post).about(Object::Post),
        show("/groups/{code}/archive/{post}/files/{sha256}/{name}", Reader, page::archive::file).about(Object::Post),
        show("/groups/{code}/archive/{post}/message/{edition}", Reader, page::archive::message).about(Object::Post),
        show("/liaisons", Anyone, page::liaison::list),
        show("/liaisons/feed.atom", Anyone, page::liaison::feed),
        show("/liaisons/{id}", Anyone, page::liaison::show),
        show("/liaisons/{id}/attachments/{sha256}/{name}", Statement, page::liaison::file),
        show("/meetings/{id}", Anyone, page::meeting::show),
        show("/meetings/{id}/invite.ics", Anyone, page::meeting::calendar),
        show("/c/{token}", Token, page::confirm::ask),
        act("/c/{token}", Token, page::confirm::confirm),
        show("/u/{token}", Token, page::unsubscribe::ask),
        act("/u/{token}", Token, page::unsubscribe::leave),
        act("/u/{token}/undo", Token, page::unsubscribe::come_back),
        show("/sign-in", Anyone, page::sign_in::ask),
        act("/sign-in", SameSite, page::sign_in::send),
        show("/sign-in/oidc", Anyone, page::oidc::begin),
        show("/sign-in/oidc/back", Anyone, page::oidc::back),
        act("/sign-in/oidc/{token}", SameSite, page::oidc::enter),
        show("/sign-in/{token}", Token, page::sign_in::look),
        act("/sign-in/{token}", SameSite, page::sign_in::enter),
        show("/healthz", Anyone, || async { "ok\n" }),
        show("/readyz", Anyone, super::ready),
        show("/metrics", Anyone, super::metrics),
        show("/static/enlace.css", Anyone, super::style),
    ]
}

/// For whoever is signed in, about herself.
fn own() -> Vec<Route> {
    use Right::Account;
    vec![
        act("/sign-out", Account, page::sign_in::leave),
        act("/groups/{code}/join", Account, page::me::join),
        act("/groups/{code}/leave", Account, page::me::leave),
        show("/me", Account, page::me::show),
        act("/me/subscriptions/{code}", Account, page::me::set),
        act("/me/languages", Account, page::me::languages),
        act("/me/vacation", Account, page::me::vacation),
        act("/me/address", Account, page::me::address),
        show("/me/address/{token}", Account, page::me::ask_address),
        act("/me/address/{token}", Account, page::me::add_address),
        act("/me/calendar", Account, page::me::calendar),
        show("/me/why", Account, page::own_data::why),
        show("/me/export.json", Account, page::own_data::export),
        show("/me/erase", Account, page::own_data::ask_erase),
        act("/me/erase", Account, page::own_data::erase),
    ]
}

/// For whoever decides on a group.
fn managed() -> Vec<Route> {
    use Right::{Account, Manager, Moderator};
    vec![
        show("/manage", Account, page::manage::list),
        show("/manage/{code}", Moderator, page::manage::overview),
        show("/manage/{code}/held", Moderator, page::manage::held::list),
        show("/manage/{code}/held/{post}", Moderator, page::manage::held::look).about(Object::Held),
        act("/manage/{code}/held/{post}", Moderator, page::manage::held::act).about(Object::Held),
        act("/manage/{code}/allowed", Moderator, page::manage::held::disallow),
        act("/manage/{code}/stop/{post}", Manager, page::manage::stop).about(Object::Post),
        show("/manage/{code}/rules", Manager, page::manage::rules::list),
        act("/manage/{code}/rules", Manager, page::manage::rules::act),
        show("/manage/{code}/members", Manager, page::manage::members::list),
        act("/manage/{code}/members", Manager, page::manage::members::add),
        act("/manage/{code}/members/import", Manager, page::manage::members::import).with_file(),
        show("/manage/{code}/members.csv", Manager, page::manage::members::export),
        show("/manage/{code}/members/{account}", Manager, page::manage::people::member),
        act("/manage/{code}/members/{account}", Manager, page::manage::people::set),
        show("/manage/{code}/requests", Manager, page::manage::people::requests),
        act("/manage/{code}/requests/{request}", Manager, page::manage::people::decide).about(Object::Request),
        show("/manage/{code}/bounces", Manager, page::manage::bounces::list),
        act("/manage/{code}/bounces/{account}", Manager, page::manage::bounces::reset),
        show("/manage/{code}/meetings", Manager, page::manage::meetings::list),
        act("/manage/{code}/meetings", Manager, page::manage::meetings::apply),
        show("/manage/{code}/meetings/{id}", Manager, page::manage::meetings::look),
        act("/manage/{code}/meetings/{id}", Manager, page::manage::meetings::act),
        show("/manage/{code}/rehearsal", Manager, page::manage::rehearsal::try_out),
        show("/manage/{code}/reports", Manager, page::manage::reports::reports),
        show("/manage/{code}/why", Manager, page::manage::people::why),
        show("/manage/{code}/settings", Manager, page::manage::settings::show_all),
        act("/manage/{code}/settings", Manager, page::manage::settings::change),
        show("/manage/{code}/audit", Manager, page::manage::audit),
    ]
}

/// What is at no address of ours: pages of an older archive have moved, everything else is not there.
async fn moved(State(site): State<Site>, method: Method, uri: Uri) -> Response {
    if matches!(method, Method::GET | Method::HEAD) {
        // Browsers ask for it on every site.
        if uri.path() == "/favicon.ico" {
            return (StatusCode::NO_CONTENT, [(CACHE_CONTROL, "public, max-age=604800")]).into_response();
        }
        match archive::old_link(&site.services, uri.path()).await {
            Ok(Some(path)) => return Redirect::permanent(&path).into_response(),
            Ok(None) => {}
            Err(error) => tracing::error!(%error, "Could not look up an old address"),
        }
    }
    match without_slash(&uri).filter(|_| matches!(method, Method::GET | Method::HEAD)) {
        Some(path) => Redirect::permanent(&path).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// The address without the slash at its end, which people and programs add.
fn without_slash(uri: &Uri) -> Option<String> {
    let path = uri.path().strip_suffix('/').filter(|path| path.len() > 1 && path.starts_with('/') && !path.starts_with("//"))?;
    (!path.ends_with('/')).then(|| uri.query().map_or_else(|| path.to_owned(), |query| format!("{path}?{query}")))
}

/// For the secretariat and for whoever runs the service.
fn administered() -> Vec<Route> {
    use Right::{Operator, Staff};
    use page::admin;
    vec![
        show("/admin", Staff, admin::overview),
        show("/admin/liaisons/{id}", Staff, admin::statements::look),
        act("/admin/liaisons/{id}", Staff, admin::statements::act),
        show("/admin/queue", Operator, admin::queue_page),
        act("/admin/queue", Operator, admin::queue_act),
        show("/admin/jobs", Operator, admin::jobs::list),
        act("/admin/jobs", Operator, admin::jobs::act),
        show("/admin/groups", Operator, admin::groups::list),
        act("/admin/groups", Operator, admin::groups::act),
        show("/admin/period", Operator, admin::groups::period),
        act("/admin/period", Operator, admin::groups::begin_period),
        show("/admin/tokens", Operator, admin::tokens),
        act("/admin/tokens", Operator, admin::tokens_act),
        show("/admin/audit", Operator, admin::audit),
    ]
}

/// The router over the table, with the guards.
pub fn router(site: &Site) -> Router {
    let mut router = Router::new();
    for route in routes() {
        let rule = (site.clone(), route.rule);
        let answers = route.answers.route_layer(axum::middleware::from_fn_with_state(rule, admit));
        router = router.route(route.path, answers);
    }
    router
        .fallback(moved)
        .method_not_allowed_fallback(|| async { StatusCode::METHOD_NOT_ALLOWED })
        .layer(axum::extract::DefaultBodyLimit::max(BODY_OCTETS))
        .layer(axum::middleware::from_fn_with_state(site.clone(), guard::guard))
        .with_state(site.clone())
}
