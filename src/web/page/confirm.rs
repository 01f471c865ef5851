//! `/c/TOKEN`: "yes, I sent this" and "yes, I asked for this", from the link in the question.
//!
//! GET and HEAD show what is asked and change nothing, since scanners fetch every link of a mail; POST says yes by the same
//! services that an answer to the mail calls. The token is the right, and the visitor need not be signed in.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use minijinja::{Value, context};

use crate::domain::account::Account;
use crate::domain::id::{AccountId, PostId, RequestId};
use crate::domain::post::{Post, PostKind, PostState};
use crate::mail::token::Purpose;
use crate::service::post::{self, Confirmed};
use crate::service::subscribe::Outcome;
use crate::service::{Failure, liaison, moderate, period, reconfirm, subscribe};
use crate::store::Request;
use crate::web::form::Form;
use crate::web::{Problem, Site, Visit};

/// What a good token asks about.
enum Asked {
    /// A message that waits for its author.
    Post(Box<Post>),
    /// A request that waits for its person: its verb and its group.
    Request(RequestId, String, String),
    /// Accounts that have to be confirmed: her own, or those of an organisation.
    Accounts(Box<Request>),
}

async fn read(site: &Site, token: &str) -> Result<Option<Asked>, Failure> {
    let store = &site.services.store;
    Ok(match site.services.keys.read_address_token_of(&[Purpose::Author, Purpose::Confirm], token) {
        Some((Purpose::Author, id)) => {
            let waiting = store.post(PostId(id)).await?.filter(|post| matches!(post.state, PostState::AwaitsAuthor(_)));
            waiting.map(|post| Asked::Post(Box::new(post)))
        }
        Some((_, id)) => {
            let request = store.request(RequestId(id)).await?;
            request.map(|request| {
                if request.verb == reconfirm::VERB {
                    return Asked::Accounts(Box::new(request));
                }
                let groups = if request.verb == period::VERB { request.arguments.join(", ") } else { request.group.to_string() };
                Asked::Request(request.id, request.verb, groups)
            })
        }
        None => None,
    })
}

/// `GET /c/TOKEN`
pub async fn ask(State(site): State<Site>, Path(token): Path<String>, visit: Visit) -> Result<Response, Problem> {
    let (mut people, mut more) = (Vec::new(), None);
    let (question, about) = match read(&site, &token).await? {
        None => return Ok(site.bad_link(&visit)),
        Some(Asked::Post(post)) => {
            let groups = post.groups.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            ("confirm-post", [post.subject.clone(), groups])
        }
        Some(Asked::Accounts(request)) => match reconfirm::people(&site.services, &request).await? {
            None => ("confirm-account", [site.services.config.service.name.clone(), String::new()]),
            Some((organisation, named)) => {
                people.extend(named.iter().take(reconfirm::MOST_NAMED).map(person));
                more = named.len().checked_sub(people.len()).filter(|more| *more > 0).map(|more| format!("+ {more}"));
                ("confirm-roster", [organisation, String::new()])
            }
        },
        Some(Asked::Request(_, verb, groups)) if verb == period::VERB => ("confirm-stay", [groups, String::new()]),
        Some(Asked::Request(_, verb, group)) => ("confirm-request", [site.word(&visit, &format!("request-{verb}")), group]),
    };
    let line = site.pages.word(visit.language, question, &about.each_ref().map(String::as_str));
    let accounts = matches!(question, "confirm-account" | "confirm-roster");
    let button = context! { action => "", text => site.word(&visit, if accounts { "confirm-yes" } else { "confirm-button" }), one_click => false, quiet => false };
    let content = context! {
        lines => std::iter::once(line).chain(more).collect::<Vec<_>>(),
        button => button,
        choices => people,
        choices_about => site.word(&visit, "confirm-left"),
        after => site.word(&visit, if accounts { "confirm-rests" } else { "confirm-nothing" }),
        home => true,
    };
    Ok(site.show(&visit, "message.html", &site.word(&visit, "confirm-title"), content))
}

fn person(account: &Account) -> Value {
    let id = reconfirm::may_be_let_go(account).then(|| account.id.to_string());
    context! { id => id, name => account.name.as_str(), address => account.address().as_str() }
}

/// What came of a request, in words.
fn said(site: &Site, visit: &Visit, outcome: Outcome) -> String {
    match outcome {
        Outcome::AwaitsApproval(reason) | Outcome::Declined(reason) | Outcome::Refused(reason) | Outcome::NotSubscribed(reason) => {
            site.services.texts.reason(visit.language, &reason)
        }
        _ => site.word(visit, "confirm-done"),
    }
}

/// `POST /c/TOKEN`, with `left=ACCOUNT` for each of the people asked about who has left.
pub async fn confirm(State(site): State<Site>, Path(token): Path<String>, visit: Visit, form: Form) -> Result<Response, Problem> {
    let services = &site.services;
    let said = match read(&site, &token).await? {
        None => return Ok(site.bad_link(&visit)),
        Some(Asked::Request(id, ..)) => said(&site, &visit, subscribe::confirm(services, id).await?),
        Some(Asked::Accounts(request)) => {
            let gone: Vec<AccountId> = form.all("left").filter_map(|id| id.parse().ok()).collect();
            reconfirm::left(services, &request, &gone).await?;
            said(&site, &visit, subscribe::confirm(services, request.id).await?)
        }
        Some(Asked::Post(asked)) if asked.kind == PostKind::Liaison => {
            liaison::confirmed(services, asked.id).await?;
            site.word(&visit, "confirm-done")
        }
        Some(Asked::Post(asked)) => match post::confirm_author(services, asked.id).await? {
            Confirmed::Accepted => site.word(&visit, "confirm-done"),
            Confirmed::Held(reason) => {
                if let Some(held) = services.store.post(asked.id).await? {
                    moderate::notify(services, &held, &*services.group(&held.groups[0])?).await?;
                }
                services.texts.reason(visit.language, &reason)
            }
            Confirmed::Refused(reason) => services.texts.reason(visit.language, &reason),
        },
    };
    Ok(site.say(&visit, StatusCode::OK, &site.word(&visit, "confirm-title"), &[said]))
}
