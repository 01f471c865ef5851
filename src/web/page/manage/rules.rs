//! `/manage/CODE/rules`: who belongs to the group by rule, whom the rules would add and remove, and why; then done.

use axum::extract::State;
use axum::response::Response;
use minijinja::value::Serde;
use minijinja::{Value, context};
use serde::Serialize;

use super::show;
use crate::domain::account::AccountKind;
use crate::domain::house::MemberRule;
use crate::service::subscribe::{self, RuleLine, RuleReport};
use crate::web::authority::Scope;
use crate::web::form::Form;
use crate::web::page::me::category_key;
use crate::web::{Problem, Site, Visit, after};

/// Lines of each part that are shown; the counts are of all.
const LINES: usize = 100;

/// What the rules would do with one person.
#[derive(Serialize)]
struct Line {
    sign: &'static str,
    address: String,
    name: String,
    because: String,
}

/// `GET /manage/CODE/rules`
pub async fn list(State(site): State<Site>, visit: Visit, scope: Scope) -> Response {
    page(&site, &visit, &scope, None)
}

/// `POST /manage/CODE/rules`: first what they would do, then, with `act=do`, done.
pub async fn act(State(site): State<Site>, visit: Visit, scope: Scope, form: Form) -> Result<Response, Problem> {
    let code = &scope.group.code;
    let dry_run = form.get("act") != "do";
    let report = subscribe::apply_rules(&site.services, &visit.actor(), code, dry_run).await?;
    if dry_run {
        return Ok(page(&site, &visit, &scope, Some(&report)));
    }
    site.tallies.forget(code);
    Ok(after(&format!("/manage/{code}/rules"), "rules-applied"))
}

fn page(site: &Site, visit: &Visit, scope: &Scope, report: Option<&RuleReport>) -> Response {
    let rules = &scope.group.house.rules;
    let words: Vec<String> = rules.iter().map(|rule| in_words(site, visit, rule)).collect();
    let mut lines = Vec::new();
    if let Some(report) = report {
        for (sign, part) in [("adds", &report.adds), ("removes", &report.removes), ("warns", &report.warned), ("leaves", &report.left_out)]
        {
            lines.extend(part.iter().take(LINES).map(|one| Line {
                sign,
                address: one.address.clone(),
                name: one.name.clone(),
                because: because(site, visit, &words, one),
            }));
        }
    }
    let counts = report.map(|report| [report.adds.len(), report.removes.len(), report.warned.len(), report.left_out.len()]);
    let content = context! {
        rules => Value::from(Serde(&words.iter().zip(rules).map(|(words, rule)| (words, rule.remove)).collect::<Vec<_>>())),
        counts => counts.map(|counts| counts.to_vec()),
        changes => counts.is_some_and(|counts| counts[..3].iter().any(|count| *count > 0)),
        lines => Value::from(Serde(&lines)),
        days => subscribe::GRACE_DAYS,
    };
    show(site, visit, scope, "rules", "manage-rules.html", content)
}

/// Why, in the reader's language.
fn because(site: &Site, visit: &Visit, rules: &[String], line: &RuleLine) -> String {
    let texts = &site.services.texts;
    if let Some(cause) = &line.cause {
        return texts.reason(visit.language, cause);
    }
    match (line.rule.and_then(|place| rules.get(place)), line.rests_on) {
        (Some(rule), _) => rule.clone(),
        (None, Some(day)) => site.pages.word(visit.language, "rules-none-until", &[&texts.date(visit.language, day)]),
        (None, None) => site.word(visit, "rules-none"),
    }
}

/// A rule in the reader's language: its conditions after each other.
fn in_words(site: &Site, visit: &Visit, rule: &MemberRule) -> String {
    let texts = &site.services.texts;
    let named = |key: &str, values: Vec<String>| (!values.is_empty()).then(|| site.pages.word(visit.language, key, &[&values.join(", ")]));
    let categories: Vec<String> =
        rule.categories.iter().map(|category| texts.word(visit.language, category_key(*category)).to_owned()).collect();
    let account = match rule.account {
        Some(AccountKind::Guest) => "kind.guest",
        _ => "kind.ties",
    };
    let regions = rule.regions.iter().map(|region| site.word(visit, &format!("region-{}", region.as_str()))).collect();
    let conditions = [
        Some(texts.word(visit.language, account).to_owned()),
        (!categories.is_empty()).then(|| categories.join(" / ")),
        named("rule-regions", regions),
        named("rule-affiliated", rule.affiliations.iter().map(ToString::to_string).collect()),
        named("rule-countries", rule.countries.clone()),
    ];
    conditions.into_iter().flatten().collect::<Vec<_>>().join(" · ")
}
