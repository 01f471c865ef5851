//! What the rules, the routing table and the history say of a statement, in the reader's language.

use crate::service::liaison::{self, Shown};
use crate::web::{Site, Visit};

/// Rule, level and text of each problem.
pub fn problems(site: &Site, visit: &Visit, shown: &Shown) -> Vec<(String, &'static str, String)> {
    let problem = |one: &crate::domain::liaison::view::ProblemView| {
        let (key, about) = &one.said;
        (one.rule.clone(), one.level, liaison::problem_in_words(&site.services, key, about, &one.text, visit.language))
    };
    shown.view.problems.iter().map(problem).collect()
}

/// Where each row of the routing table leads, what it is asked for, and under which rule.
pub fn routes(site: &Site, visit: &Visit, shown: &Shown) -> Vec<(String, String, String)> {
    use crate::domain::liaison::routing::Target;
    let word = |key: &str| site.services.texts.word(visit.language, key).to_owned();
    let row = |one: &liaison::RouteView| {
        let to = match &one.route.target {
            Target::Subscribers(code) => site.pages.word(visit.language, "route-subscribers", &[code.as_str()]),
            Target::Mailbox(address) => address.to_string(),
            Target::Nowhere(name) => site.pages.word(visit.language, "route-nowhere", &[name]),
        };
        (to, word(&format!("purpose.{}", one.purpose)), liaison::route_reason(&site.services, &one.route, visit.language))
    };
    shown.routes.iter().map(row).collect()
}

/// When, who and what, oldest first.
pub fn events(site: &Site, visit: &Visit, shown: &Shown) -> Vec<(String, String, String)> {
    let event = |one: &crate::domain::liaison::view::EventView| {
        let (key, about) = one.kind.said();
        let about: Vec<&str> = about.iter().map(String::as_str).collect();
        let what = site.pages.word(visit.language, &format!("event-{key}"), &about);
        let by = super::manage::actor_in_words(site, visit, one.by.clone());
        (super::choices::moment(site, one.at), by, what)
    };
    shown.view.events.iter().map(event).collect()
}
