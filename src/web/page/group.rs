//! `/`: the groups. `/groups/CODE`: what a group is and how to join it.

use std::collections::BTreeMap;

use axum::extract::{Path, State};
use axum::response::Response;
use minijinja::value::Serde;
use minijinja::{Value, context};
use serde::Serialize;

use crate::domain::gate::Verdict;
use crate::domain::group::{Group, GroupCode, GroupKind, GuestPolicy, SubscriptionPolicy};
use crate::domain::language::Language;
use crate::domain::reason::Reason;
use crate::domain::subscription::SubscriptionState;
use crate::service::{Failure, GroupTable, subscribe};
use crate::web::authority::Scope;
use crate::web::page::choices::language_name;
use crate::web::{Problem, Site, Visit};

/// Meetings shown on the page of a group.
const MEETINGS: usize = 6;
/// Statements shown there.
const STATEMENTS: usize = 5;

/// A group as a list shows it.
#[derive(Serialize)]
struct Card<'a> {
    code: &'a str,
    name: &'a str,
    name_lang: &'a str,
    kind: &'static str,
    region: Option<&'static str>,
    parent: Option<&'a str>,
    language_names: Vec<String>,
    retired: bool,
}

/// A parent group with its regional groups, or those without a parent.
#[derive(Serialize)]
struct Family<'a> {
    head: Option<Card<'a>>,
    members: Vec<Card<'a>>,
}

fn card<'a>(site: &Site, group: &'a Group, language: Language) -> Card<'a> {
    let wanted = [language];
    let name = group.name.best(&wanted).map_or(group.code.as_str(), String::as_str);
    let name_lang = group.name.0.iter().find(|(_, text)| text.as_str() == name).map_or("en", |(language, _)| language.as_str());
    Card {
        code: group.code.as_str(),
        name,
        name_lang,
        kind: kind(group.kind),
        region: group.region.map(crate::domain::group::Region::as_str),
        parent: group.parent.as_ref().map(GroupCode::as_str),
        language_names: group.languages.iter().map(|language| language_name(site, *language)).collect(),
        retired: group.retired,
    }
}

fn kind(kind: GroupKind) -> &'static str {
    match kind {
        GroupKind::Regional => "regional",
        GroupKind::Study => "study",
        GroupKind::Advisory => "advisory",
        GroupKind::Other => "other",
        GroupKind::External => "external",
    }
}

fn subscription(policy: SubscriptionPolicy) -> &'static str {
    match policy {
        SubscriptionPolicy::Open => "open",
        SubscriptionPolicy::Approve => "approve",
        SubscriptionPolicy::Invite => "invite",
        SubscriptionPolicy::Closed => "closed",
    }
}

fn guests(policy: GuestPolicy) -> &'static str {
    match policy {
        GuestPolicy::None => "none",
        GuestPolicy::Invited => "invited",
        GuestPolicy::Approve => "approve",
        GuestPolicy::Open => "open",
    }
}

/// `SG2` before `SG12`: digits count as numbers.
fn natural(code: &str) -> (String, u64, String) {
    let start = code.find(|c: char| c.is_ascii_digit()).unwrap_or(code.len());
    let end = code[start..].find(|c: char| !c.is_ascii_digit()).map_or(code.len(), |at| start + at);
    (code[..start].to_owned(), code[start..end].parse().unwrap_or(0), code[end..].to_owned())
}

/// `/`
pub async fn list(State(site): State<Site>, visit: Visit) -> Response {
    let language = visit.language;
    let table = site.services.groups();
    let families = families(&site, &table, language);
    let title = site.pages.word(language, "groups", &[]);
    site.show(&visit, "groups.html", &title, context! { families => Value::from(Serde(&families)) })
}

fn families<'a>(site: &Site, table: &'a GroupTable, language: Language) -> Vec<Family<'a>> {
    let mut by_head: BTreeMap<(bool, (String, u64, String)), Family<'a>> = BTreeMap::new();
    let is_head = |group: &Group| matches!(group.kind, GroupKind::Study | GroupKind::Advisory);
    for group in table.iter().filter(|group| !group.retired && group.kind != GroupKind::External) {
        let own = is_head(group).then_some(&group.code);
        let head =
            own.or(group.parent.as_ref().filter(|parent| table.get(parent).is_some_and(|parent| is_head(parent) && !parent.retired)));
        let key = head.map_or((true, natural("")), |code| (false, natural(code.as_str())));
        let family = by_head.entry(key).or_insert(Family { head: None, members: Vec::new() });
        if own.is_some() { family.head = Some(card(site, group, language)) } else { family.members.push(card(site, group, language)) }
    }
    for family in by_head.values_mut() {
        family.members.sort_by_key(|card| natural(card.code));
    }
    by_head.into_values().collect()
}

/// `/groups/CODE`
pub async fn show(State(site): State<Site>, Path(code): Path<String>, visit: Visit, scope: Scope) -> Response {
    let language = visit.language;
    let table = site.services.groups();
    let Some(group) = code.parse::<GroupCode>().ok().and_then(|code| table.get(&code).cloned()) else {
        return Problem::missing().page(&site, &visit);
    };
    let mut regional: Vec<_> = table
        .iter()
        .filter(|other| other.parent.as_ref() == Some(&group.code) && !other.retired && group.kind != GroupKind::Regional)
        .map(|other| card(&site, other, language))
        .collect();
    regional.sort_by_key(|card| natural(card.code));
    let (membership, admitted, why) = match standing(&site, &visit, &group).await {
        Ok(standing) => standing,
        Err(failure) => return Problem::from(failure).page(&site, &visit),
    };
    let meetings = match super::meeting::cards(&site, &visit, &group.code, MEETINGS).await {
        Ok(meetings) => meetings,
        Err(problem) => return problem.page(&site, &visit),
    };
    let statements = match super::liaison::newest(&site, &visit, &group.code, STATEMENTS).await {
        Ok(statements) => statements,
        Err(problem) => return problem.page(&site, &visit),
    };
    let content = context! {
        meetings => Value::from(Serde(&meetings)),
        statements => Value::from(Serde(&statements)),
        may_return => visit.subscription(&group.code).is_some_and(super::me::may_return),
        may_manage => scope.moderates,
        membership => membership,
        admitted => admitted,
        why => why,
        group => Value::from(Serde(card(&site, &group, language))),
        parent_known => group.parent.as_ref().is_some_and(|parent| table.get(parent).is_some()),
        list => Some(group.list.as_str()).filter(|list| !list.is_empty()),
        contact => group.contact.as_ref().map(ToString::to_string),
        domain => site.settings().domain.as_str(),
        subscription => subscription(group.subscription),
        guests => guests(group.guests),
        sg3 => group.is_sg3(),
        regional => Value::from(Serde(&regional)),
    };
    site.show(&visit, "group.html", group.code.as_str(), content)
}

/// `/groups/CODE/data-protection`: what the group keeps personal data for, on which basis, and for how long.
pub async fn data_protection(State(site): State<Site>, visit: Visit, scope: Scope) -> Response {
    let text = crate::service::group::data_protection(&site.services, &scope.group, visit.language);
    let days = |key: &str, days: Option<u64>| match days {
        Some(days) => site.pages.word(visit.language, "data-days", &[&days.to_string()]),
        None => site.word(&visit, key),
    };
    let content = context! {
        code => scope.group.code.as_str(),
        name => scope.group.name.best(&visit.languages()).cloned().unwrap_or_default(),
        purpose => text.purpose.as_str(),
        legal_basis => text.legal_basis.as_str(),
        kept => Value::from(Serde(&[
            (site.word(&visit, "data-held"), days("data-always", text.held_days)),
            (site.word(&visit, "data-requests"), days("data-always", text.request_days)),
            (site.word(&visit, "data-ledger"), days("data-always", text.ledger_days)),
        ])),
        contact => text.contact.as_str(),
    };
    site.show(&visit, "data-protection.html", &site.word(&visit, "data-protection"), content)
}

/// The visitor's state in the group, else whether she would be admitted (`yes`, `asks`, `no`), and why not.
async fn standing(
    site: &Site,
    visit: &Visit,
    group: &Group,
) -> Result<(Option<&'static str>, Option<&'static str>, Option<String>), Failure> {
    let Some(account) = visit.account() else { return Ok((None, None, None)) };
    let say = |reason: &Reason| Some(site.services.texts.reason(visit.language, reason));
    let present = visit.subscription(&group.code).filter(|one| !matches!(one.state, SubscriptionState::Unsubscribed(_)));
    if let Some(subscription) = present {
        return Ok((Some(subscription.state.as_str()), None, subscription.state.reason().and_then(say)));
    }
    Ok(match subscribe::verdict(&site.services, group, account).await? {
        Verdict::Accept(_) => (None, Some("yes"), None),
        Verdict::Hold(_) | Verdict::Confirm(_) => (None, Some("asks"), None),
        Verdict::Refuse(reason) => (None, Some("no"), say(&reason)),
    })
}
