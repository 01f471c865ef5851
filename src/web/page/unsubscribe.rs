//! `/u/TOKEN`: leave a group from the link in a copy (RFC 8058, RFC 2369 section 3.2), and come back.
//!
//! GET and HEAD show a page and change nothing, since scanners fetch every link of a mail. POST acts at once, without a
//! login and without a redirection: the token is the right. A second POST says the same again. `/u/TOKEN/undo` takes the
//! person back by the same service that a `subscribe` by mail uses, so every rule of the gate speaks again.

use axum::extract::{Path, State};
use axum::response::Response;
use minijinja::{Value, context};
use serde::Serialize;

use crate::domain::account::Account;
use crate::domain::group::Group;
use crate::domain::language::Language;
use crate::domain::subscription::SubscriptionState;
use crate::service::subscribe::{self, Outcome, Wish};
use crate::service::{Actor, Failure};
use crate::web::{Problem, Site, Visit};
use std::sync::Arc;

/// Whom and what a good token names.
struct Link {
    account: Account,
    group: Arc<Group>,
    language: Language,
    token: String,
    visit: Visit,
    /// Token that brings her back as she was, once she has left here.
    undo: Option<String>,
}

/// The button of a page.
#[derive(Serialize)]
struct Button {
    action: String,
    text: String,
    one_click: bool,
    quiet: bool,
}

/// `GET /u/TOKEN`
pub async fn ask(State(site): State<Site>, Path(token): Path<String>, visit: Visit) -> Response {
    let link = match read(&site, &token, &visit).await {
        Ok(link) => link,
        Err(answer) => return *answer,
    };
    let subscription = match site.services.store.subscription(&link.group.code, link.account.id).await {
        Ok(subscription) => subscription,
        Err(error) => return Problem::from(error).page(&site, &visit),
    };
    if subscription.is_none_or(|subscription| matches!(subscription.state, SubscriptionState::Unsubscribed(_))) {
        return link.left(&site);
    }
    link.page(&site, "leave-title", "leave-question", Some(link.button(&site, "", "leave-button", false)), Some("leave-nothing"))
}

/// `POST /u/TOKEN`; what the body says is not looked at, because some providers send it as a form and some as multipart.
pub async fn leave(State(site): State<Site>, Path(token): Path<String>, visit: Visit) -> Response {
    act(&site, &token, &visit, Wish::Unsubscribe).await
}

/// `POST /u/TOKEN/undo?was=TOKEN`: as she was, if she left a moment ago; else as anybody who asks to join.
pub async fn come_back(State(site): State<Site>, Path(token): Path<String>, visit: Visit) -> Response {
    if let Some(was) = visit.asked("was") {
        let link = match read(&site, &token, &visit).await {
            Ok(link) => link,
            Err(answer) => return *answer,
        };
        match subscribe::undo(&site.services, &Actor::from(link.account.address()), &link.group, &link.account, was).await {
            Ok(Some(outcome)) => return link.came_back(&site, &outcome),
            Ok(None) => {}
            Err(failure) => return Problem::from(failure).page(&site, &visit),
        }
    }
    act(&site, &token, &visit, Wish::Subscribe).await
}

async fn act(site: &Site, token: &str, visit: &Visit, wish: Wish) -> Response {
    let mut link = match read(site, token, visit).await {
        Ok(link) => link,
        Err(answer) => return *answer,
    };
    match link.act(site, wish).await {
        Ok(Outcome::Unsubscribed(_) | Outcome::NotSubscribed(_)) => link.left(site),
        Ok(outcome) => link.came_back(site, &outcome),
        Err(failure) => Problem::from(failure).page(site, visit),
    }
}

/// What the token names; else the page that says that the link does not work.
async fn read(site: &Site, token: &str, visit: &Visit) -> Result<Link, Box<Response>> {
    let not_good = || Box::new(site.bad_link(visit));
    let Some((id, code)) = site.services.keys.read_one_click(token) else { return Err(not_good()) };
    let Some(group) = site.services.groups().get(&code).cloned() else { return Err(not_good()) };
    match site.services.store.account(id).await {
        Ok(Some(account)) => {
            let language = visit.speaking(site, &account.languages);
            Ok(Link { account, group, language, token: token.to_owned(), visit: visit.clone(), undo: None })
        }
        Ok(None) => Err(not_good()),
        Err(error) => Err(Box::new(Problem::from(error).page(site, visit))),
    }
}

impl Link {
    /// Carries the wish out, and notes how leaving is undone.
    async fn act(&mut self, site: &Site, wish: Wish) -> Result<Outcome, Failure> {
        let address = self.account.address();
        let before = site.services.store.subscription(&self.group.code, self.account.id).await?;
        let outcome = subscribe::own(&site.services, &Actor::from(address), &self.group, address, wish).await?;
        if let (Outcome::Unsubscribed(_), Some(before)) = (&outcome, before) {
            self.undo = subscribe::undo_token(&site.services, &before).await?;
        }
        Ok(outcome)
    }

    fn came_back(&self, site: &Site, outcome: &Outcome) -> Response {
        match outcome {
            Outcome::AwaitsApproval(reason) => self.said(site, "join", "pending-text", &site.services.texts.reason(self.language, reason)),
            Outcome::Refused(reason) | Outcome::Declined(reason) => {
                self.said(site, "undo-refused-title", "{0}", &site.services.texts.reason(self.language, reason))
            }
            _ => self.page(site, "undone-title", "undone-text", None, None),
        }
    }

    fn button(&self, site: &Site, more: &str, word: &str, quiet: bool) -> Button {
        let was = self.undo.as_ref().map(|undo| format!("was={undo}&")).unwrap_or_default();
        let action = format!("/u/{}{more}?{was}lang={}", self.token, self.language);
        Button { action, text: site.pages.word(self.language, word, &[]), one_click: more.is_empty(), quiet }
    }

    fn left(&self, site: &Site) -> Response {
        self.page(site, "left-title", "left-text", Some(self.button(site, "/undo", "undo-button", true)), None)
    }

    /// A page about the group and the person.
    fn page(&self, site: &Site, title: &str, text: &str, button: Option<Button>, after: Option<&str>) -> Response {
        let about = [self.group.code.as_str(), self.account.address().as_str()];
        let word = |key: &str| site.pages.word(self.language, key, &about);
        let mut lines = vec![word(text)];
        if title == "left-title" {
            lines.push(word("left-undo"));
        }
        let content = context! {
            lines => lines,
            button => button.map_or_else(|| Value::from(()), |button| Value::from(minijinja::value::Serde(button))),
            after => after.map(word),
            home => title == "undone-title",
        };
        site.show_in(&self.visit, self.language, "message.html", &word(title), content)
    }

    /// A page that passes on a reason.
    fn said(&self, site: &Site, title: &str, text: &str, reason: &str) -> Response {
        let lines = vec![site.pages.word(self.language, text, &[reason])];
        let content = context! { lines => lines, button => (), after => (), home => true };
        site.show_in(&self.visit, self.language, "message.html", &site.pages.word(self.language, title, &[]), content)
    }
}
