//! `/manage/CODE/rules`: who belongs to the group by rule, whom the rules would add and remove, and why; then done. Rules are changed
//! by a form that keeps only what was previewed.

use axum::extract::State;
use axum::response::Response;
use minijinja::value::Serde;
use minijinja::{Value, context};
use serde::Serialize;

use super::show;
use crate::domain::account::{AccountKind, Category};
use crate::domain::group::{GroupCode, Region};
use crate::domain::house::MemberRule;
use crate::domain::mistake::{Advice, Mistake};
use crate::service::Failure;
use crate::service::group::set_rules;
use crate::service::subscribe::{self, RuleLine, RuleReport};
use crate::web::authority::Scope;
use crate::web::form::Form;
use crate::web::page::choices::Choice;
use crate::web::page::me::category_key;
use crate::web::{Problem, Site, Visit, after};

/// Lines of each part that are shown; the counts are of all.
const LINES: usize = 100;
/// Most rules of a form.
const MOST: usize = 50;
/// Categories that a rule may name, in the order of the form.
const CATEGORIES: [Category; 5] = [Category::MemberState, Category::SectorMember, Category::Associate, Category::Academia, Category::None];
/// Regions, in the order of the form.
const REGIONS: [Region; 6] = [Region::Africa, Region::Americas, Region::ArabStates, Region::AsiaPacific, Region::Eecat, Region::Europe];

/// What the rules would do with one person.
#[derive(Serialize)]
struct Line {
    sign: &'static str,
    address: String,
    name: String,
    because: String,
}

/// A rule as the form shows it.
#[derive(Serialize)]
struct Fields {
    /// Is it to be one of the rules? The last of the form is not, until it is ticked.
    used: bool,
    categories: Vec<Choice>,
    regions: Vec<Choice>,
    affiliations: String,
    countries: String,
    guest: bool,
    remove: bool,
}

/// What a page of rules shows beside those of the group.
#[derive(Default)]
struct Tried<'a> {
    /// What the rules would do.
    report: Option<&'a RuleReport>,
    /// Rules of the form that are not those of the group yet.
    rules: Option<&'a [MemberRule]>,
}

/// `GET /manage/CODE/rules`
pub async fn list(State(site): State<Site>, visit: Visit, scope: Scope) -> Response {
    page(&site, &visit, &scope, &Tried::default())
}

/// `POST /manage/CODE/rules`: what the group's rules would do, then, with `act=do`, done; or with `act=try` what those of the form would
/// do, then, with `act=save` and the same rules as were previewed, kept.
pub async fn act(State(site): State<Site>, visit: Visit, scope: Scope, form: Form) -> Result<Response, Problem> {
    let (code, actor) = (&scope.group.code, visit.actor());
    if matches!(form.get("act"), "try" | "save") {
        let rules = read(&form)?;
        if form.get("act") == "save" && form.get("previewed") == written(&rules) {
            set_rules(&site.services, &actor, code, &rules, false).await?;
            return Ok(after(&format!("/manage/{code}/rules"), "saved"));
        }
        let report = subscribe::preview_rules(&site.services, &actor, code, &rules).await?;
        return Ok(page(&site, &visit, &scope, &Tried { report: Some(&report), rules: Some(&rules) }));
    }
    let dry_run = form.get("act") != "do";
    let report = subscribe::apply_rules(&site.services, &actor, code, dry_run).await?;
    if dry_run {
        return Ok(page(&site, &visit, &scope, &Tried { report: Some(&report), rules: None }));
    }
    site.tallies.forget(code);
    Ok(after(&format!("/manage/{code}/rules"), "rules-applied"))
}

/// The rules of the form, those that are ticked, in its order.
fn read(form: &Form) -> Result<Vec<MemberRule>, Failure> {
    let words = |name: &str| -> Vec<String> {
        form.get(name).split(|c: char| c.is_whitespace() || c == ',').filter(|word| !word.is_empty()).map(str::to_owned).collect()
    };
    let mut rules = Vec::new();
    for place in 0..=MOST {
        let field = |name: &str| format!("{name}-{place}");
        if !form.has(&field("use")) {
            continue;
        }
        let countries = words(&field("countries")).iter().map(|code| code.to_ascii_uppercase()).collect();
        let affiliations: Result<Vec<GroupCode>, Advice> =
            words(&field("affiliations")).iter().map(|code| code.parse().map_err(|_| Mistake::RuleGroup.about([code]))).collect();
        rules.push(MemberRule {
            categories: CATEGORIES.into_iter().filter(|one| form.all(&field("category")).any(|sent| sent == named(one))).collect(),
            regions: REGIONS.into_iter().filter(|one| form.all(&field("region")).any(|sent| sent == one.as_str())).collect(),
            affiliations: affiliations?,
            countries,
            account: (form.get(&field("account")) == "guest").then_some(AccountKind::Guest),
            remove: form.has(&field("remove")),
        });
    }
    Ok(rules)
}

/// Rules in one line, by which a form knows those that were previewed.
fn written(rules: &[MemberRule]) -> String {
    serde_json::to_string(rules).unwrap_or_default()
}

/// As files write it: `member-state`.
fn named(category: &Category) -> String {
    serde_json::to_value(category).ok().and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default()
}

fn fields(site: &Site, visit: &Visit, rule: &MemberRule, used: bool) -> Fields {
    let texts = &site.services.texts;
    let joined = |list: Vec<String>| list.join(", ");
    Fields {
        used,
        categories: CATEGORIES
            .into_iter()
            .map(|one| Choice {
                value: named(&one),
                text: texts.word(visit.language, category_key(one)).to_owned(),
                on: rule.categories.contains(&one),
            })
            .collect(),
        regions: REGIONS
            .into_iter()
            .map(|one| Choice {
                value: one.as_str().to_owned(),
                text: site.word(visit, &format!("region-{}", one.as_str())),
                on: rule.regions.contains(&one),
            })
            .collect(),
        affiliations: joined(rule.affiliations.iter().map(ToString::to_string).collect()),
        countries: joined(rule.countries.clone()),
        guest: rule.account == Some(AccountKind::Guest),
        remove: rule.remove,
    }
}

fn page(site: &Site, visit: &Visit, scope: &Scope, tried: &Tried<'_>) -> Response {
    let rules = &scope.group.house.rules;
    let shown = tried.rules.unwrap_or(rules);
    let words = |rules: &[MemberRule]| -> Vec<String> { rules.iter().map(|rule| in_words(site, visit, rule)).collect() };
    let (own, tried_words) = (words(rules), words(shown));
    let mut lines = Vec::new();
    if let Some(report) = tried.report {
        for (sign, part) in [("adds", &report.adds), ("removes", &report.removes), ("warns", &report.warned), ("leaves", &report.left_out)]
        {
            lines.extend(part.iter().take(LINES).map(|one| Line {
                sign,
                address: one.address.clone(),
                name: one.name.clone(),
                because: because(site, visit, &tried_words, one),
            }));
        }
    }
    let counts = tried.report.map(|report| [report.adds.len(), report.removes.len(), report.warned.len(), report.left_out.len()]);
    let mut form: Vec<Fields> = shown.iter().map(|rule| fields(site, visit, rule, true)).collect();
    form.push(fields(site, visit, &MemberRule::default(), false));
    let content = context! {
        rules => Value::from(Serde(&own.iter().zip(rules).map(|(words, rule)| (words, rule.remove)).collect::<Vec<_>>())),
        form => Value::from(Serde(&form)),
        tried => tried.rules.is_some(),
        previewed => tried.rules.map(written),
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
