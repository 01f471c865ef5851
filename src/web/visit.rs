//! Who asks, in which language, for what: found once a request, before any page runs.
//!
//! The language is the link's `?lang=` (which a cookie remembers), then the cookie's, the account's, the browser's. A session
//! cookie that leads nowhere is the same as none. No right follows from a visit: that is `authority`.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, FromRequestParts, Query};
use axum::http::StatusCode;
use axum::http::header::{ACCEPT_LANGUAGE, COOKIE, HeaderMap};
use axum::http::request::Parts;

use super::connections::Peer;
use super::{Site, language};
use crate::domain::account::Account;
use crate::domain::language::Language;
use crate::domain::subscription::{Role, Subscription};
use crate::service::{Actor, session};

/// Cookie of a session.
pub const SESSION: &str = "enlace-session";
/// Cookie of the browser that asked for a sign-in link.
pub const BROWSER: &str = "enlace-browser";
/// Cookie of the language that was chosen by a link.
pub const LANGUAGE: &str = "enlace-language";
/// Longest `Cookie` field that is looked at, in octets.
const COOKIE_OCTETS: usize = 4_096;

/// One request, as pages see it; cheap to clone.
#[derive(Debug, Clone)]
pub struct Visit(Arc<Facts>);

/// What is known of the request.
#[derive(Debug)]
pub struct Facts {
    /// Path without query.
    pub path: String,
    /// The parameters of the query, without `lang`; the last of a name counts.
    pub query: BTreeMap<String, String>,
    /// In which language to answer.
    pub language: Language,
    /// The language that the link asked for and the service has.
    pub chosen: Option<Language>,
    /// Where the request comes from, the trusted web server in front left out.
    pub client: Option<IpAddr>,
    /// Cookie of [`BROWSER`].
    pub browser: Option<String>,
    /// Who is signed in.
    pub signed: Option<Signed>,
}

/// Somebody who is signed in.
#[derive(Debug)]
pub struct Signed {
    /// Names the session.
    pub key: String,
    /// Whose.
    pub account: Account,
    /// Her subscriptions in all groups, those she left included.
    pub subscriptions: Vec<Subscription>,
}

impl Signed {
    /// Does she decide on anything in any group, or in all?
    pub fn manages(&self) -> bool {
        self.account.is_operator()
            || !self.account.roles.is_empty()
            || self.subscriptions.iter().any(|subscription| subscription.is_active() && subscription.role >= Role::Moderator)
    }
}

impl std::ops::Deref for Visit {
    type Target = Facts;

    fn deref(&self) -> &Facts {
        &self.0
    }
}

impl Visit {
    /// Reads a request; a store that fails makes the visitor a stranger, which the log tells.
    pub async fn of(site: &Site, parts: &Parts) -> Self {
        let cookies = cookies(&parts.headers);
        let signed = match cookies.get(SESSION) {
            Some(cookie) => signed(site, cookie).await,
            None => None,
        };
        let mut query: BTreeMap<String, String> =
            Query::<Vec<(String, String)>>::try_from_uri(&parts.uri).map(|Query(pairs)| pairs.into_iter().collect()).unwrap_or_default();
        let link = query.remove("lang");
        let offered = &site.settings().languages;
        let chosen = link.as_deref().and_then(|code| code.parse::<Language>().ok()).filter(|language| offered.contains(language));
        let wish = parts.headers.get(ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
        let known: Vec<Language> = cookies
            .get(LANGUAGE)
            .and_then(|code| code.parse().ok())
            .into_iter()
            .chain(signed.iter().flat_map(|signed| signed.account.languages.iter().copied()))
            .collect();
        Self(Arc::new(Facts {
            path: parts.uri.path().to_owned(),
            language: language::choose(offered, link.as_deref(), &known, wish),
            query,
            chosen,
            client: client(site, parts),
            browser: cookies.get(BROWSER).cloned(),
            signed,
        }))
    }

    /// The account, if somebody is signed in.
    pub fn account(&self) -> Option<&Account> {
        self.signed.as_ref().map(|signed| &signed.account)
    }

    /// Her subscription to a group.
    pub fn subscription(&self, group: &crate::domain::group::GroupCode) -> Option<&Subscription> {
        self.signed.as_ref()?.subscriptions.iter().find(|subscription| subscription.group == *group)
    }

    /// Whom the audit trail names.
    pub fn actor(&self) -> Actor {
        self.account().map_or_else(|| Actor { name: "web".into() }, |account| Actor::from(account.address()))
    }

    /// A parameter of the query that is not empty.
    pub fn asked(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(|value| value.trim()).filter(|value| !value.is_empty())
    }

    /// Her languages, the page's first.
    pub fn languages(&self) -> Vec<Language> {
        let mut languages = vec![self.language];
        languages.extend(self.account().into_iter().flat_map(|account| account.languages.iter().copied()));
        languages
    }

    /// The same request in another language of the reader's, for pages that know the person by a token.
    pub fn speaking(&self, site: &Site, known: &[Language]) -> Language {
        if self.chosen.is_some() {
            return self.language;
        }
        known.iter().copied().find(|language| site.settings().languages.contains(language)).unwrap_or(self.language)
    }
}

async fn signed(site: &Site, cookie: &str) -> Option<Signed> {
    let found = session::find(&site.services, cookie).await;
    let session = found.inspect_err(|error| tracing::error!(%error, "Could not read a session")).ok()??;
    let subscriptions = site.services.store.subscriptions_of_account(session.account.id).await;
    let subscriptions = subscriptions.inspect_err(|error| tracing::error!(%error, "Could not read subscriptions")).ok()?;
    Some(Signed { key: session.key, account: session.account, subscriptions })
}

/// Cookies by name; a doubled one counts once, the first.
fn cookies(headers: &HeaderMap) -> BTreeMap<String, String> {
    let mut cookies = BTreeMap::new();
    for field in headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok()).filter(|text| text.len() <= COOKIE_OCTETS) {
        for (name, value) in field.split(';').filter_map(|pair| pair.trim().split_once('=')) {
            cookies.entry(name.to_owned()).or_insert_with(|| value.to_owned());
        }
    }
    cookies
}

/// The client's address: the peer's, or the last entry of `X-Forwarded-For` that no trusted web server wrote.
fn client(site: &Site, parts: &Parts) -> Option<IpAddr> {
    let ConnectInfo(Peer(peer)) = parts.extensions.get::<ConnectInfo<Peer>>()?;
    let trusted = |address: IpAddr| site.services.config.web.trusted_proxies.iter().any(|network| network.contains(address));
    if !trusted(peer.ip()) {
        return Some(peer.ip());
    }
    let forwarded = parts.headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok());
    let hops: Vec<IpAddr> = forwarded.flat_map(|field| field.split(',')).filter_map(|hop| hop.trim().parse().ok()).collect();
    Some(hops.into_iter().rev().find(|hop| !trusted(*hop)).unwrap_or(peer.ip()))
}

impl<S: Sync> FromRequestParts<S> for Visit {
    type Rejection = StatusCode;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, StatusCode> {
        parts.extensions.get::<Self>().cloned().ok_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}
