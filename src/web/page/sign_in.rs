//! `/sign-in`: a link by mail. `/sign-in/TOKEN`: GET shows a button, POST signs in. `/sign-out`.
//!
//! The answer to an address is the same whether anybody has it, and is given before it is looked up. The link works only in
//! the browser that asked, which carries a cookie; a scanner that opens it changes nothing.

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use minijinja::context;

use crate::domain::address::EmailAddress;
use crate::service::session::{self, IDLE_DAYS, LINK_MINUTES, Link, SESSION_DAYS};
use crate::web::attempts;
use crate::web::form::Form;
use crate::web::visit::{BROWSER, SESSION};
use crate::web::{Problem, Site, Visit, with_cookie};

/// Longest address to go on to, in octets.
const THEN_OCTETS: usize = 200;

/// `GET /sign-in`
pub async fn ask(State(site): State<Site>, visit: Visit) -> Response {
    let then = local(visit.asked("then").unwrap_or("/me"));
    if visit.signed.is_some() {
        return Redirect::to(then).into_response();
    }
    site.show(
        &visit,
        "sign-in.html",
        &site.word(&visit, "sign-in"),
        context! { then => then, wrong => false, minutes => LINK_MINUTES, oidc => site.login().is_some() },
    )
}

/// `POST /sign-in`
pub async fn send(State(site): State<Site>, visit: Visit, form: Form) -> Result<Response, Problem> {
    if !site.attempts.allow(visit.client, site.services.now()) {
        return Err(Problem::Status(StatusCode::TOO_MANY_REQUESTS));
    }
    let then = local(form.get("then")).to_owned();
    let Ok(address) = form.get("address").parse::<EmailAddress>() else {
        let content = context! { then => then, wrong => true, minutes => LINK_MINUTES, oidc => site.login().is_some() };
        let mut response = site.show(&visit, "sign-in.html", &site.word(&visit, "sign-in"), content);
        *response.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
        return Ok(response);
    };
    let browser = session::secret()?;
    let minutes = LINK_MINUTES.to_string();
    let lines = ["sign-in-sent", "sign-in-sent-more"].map(|key| site.pages.word(visit.language, key, &[address.as_str(), &minutes]));
    let content = context! { lines => lines, button => (), after => (), home => true };
    let response = site.show(&visit, "message.html", &site.word(&visit, "sign-in-sent-title"), content);
    let response = with_cookie(response, site.cookie(BROWSER, &browser, Some(LINK_MINUTES * 60)));
    let services = std::sync::Arc::clone(&site.services);
    let network = visit.client.map(|client| attempts::network(client).to_string()).unwrap_or_default();
    // After the answer, so that its time tells nothing about the address; a lost link is asked for again.
    tokio::spawn(async move {
        if let Err(error) = session::send_link(&services, &address, &browser, &network, &then).await {
            tracing::error!(%error, "Could not send a sign-in link");
        }
    });
    Ok(response)
}

/// `GET /sign-in/TOKEN`
pub async fn look(State(site): State<Site>, visit: Visit, Path(token): Path<String>) -> Result<Response, Problem> {
    let word = |key: &str| site.word(&visit, key);
    Ok(match session::look(&site.services, &token, visit.browser.as_deref()).await? {
        Link::Good(_) => {
            let content = context! { token => token, then => local(visit.asked("then").unwrap_or("/me")) };
            site.show(&visit, "sign-in-now.html", &word("sign-in-now-title"), content)
        }
        Link::OtherBrowser => site.say(&visit, StatusCode::FORBIDDEN, &word("sign-in-other-title"), &[word("sign-in-other-text")]),
        Link::Bad => site.say(&visit, StatusCode::NOT_FOUND, &word("sign-in-bad-title"), &[word("sign-in-bad-text")]),
    })
}

/// `POST /sign-in/TOKEN`
pub async fn enter(State(site): State<Site>, visit: Visit, Path(token): Path<String>, form: Form) -> Result<Response, Problem> {
    let Some(cookie) = session::begin(&site.services, &token, visit.browser.as_deref()).await? else {
        let word = |key: &str| site.word(&visit, key);
        return Ok(site.say(&visit, StatusCode::NOT_FOUND, &word("sign-in-bad-title"), &[word("sign-in-bad-text")]));
    };
    // A session that the browser had before ends: nobody goes on in one that was begun for somebody else.
    if let Some(signed) = &visit.signed {
        session::end(&site.services, &signed.key).await?;
    }
    let response = Redirect::to(local(form.get("then"))).into_response();
    let response = with_cookie(response, site.cookie(SESSION, &cookie, Some(SESSION_DAYS.min(IDLE_DAYS * 4) * 86_400)));
    Ok(with_cookie(response, site.cookie(BROWSER, "", None)))
}

/// `POST /sign-out`
pub async fn leave(State(site): State<Site>, visit: Visit, headers: HeaderMap, form: Form) -> Result<Response, Problem> {
    if let Some(signed) = &visit.signed {
        if form.has("everywhere") {
            session::end_all(&site.services, signed.account.id).await?;
        } else {
            session::end(&site.services, &signed.key).await?;
        }
    }
    let done = if site.login().is_some() { "signed-out-here" } else { "signed-out" };
    let response = super::oidc::left(&site, &visit, &headers).await.unwrap_or_else(|| crate::web::after("/", done));
    Ok(with_cookie(response, site.cookie(SESSION, "", None)))
}

/// An address of this site to go on to; `/me` for anything else.
pub(super) fn local(then: &str) -> &str {
    let good = then.len() <= THEN_OCTETS
        && then.starts_with('/')
        && !then.starts_with("//")
        && then.bytes().all(|octet| octet.is_ascii_graphic() && !matches!(octet, b'\\' | b'"' | b'<' | b'>'));
    if good { then } else { "/me" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_sent_to_another_site() {
        for bad in ["", "//evil.example", "https://evil.example", "/\\evil.example", "/a\r\nSet-Cookie: x", "javascript:alert(1)"] {
            assert_eq!(local(bad), "/me", "{bad}");
        }
        assert_eq!(local("/groups/SG12?x=1"), "/groups/SG12?x=1");
    }
}
