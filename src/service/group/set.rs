//! Single settings of a group, changed by its managers on a page or by `enlace group set`; what the group is (code, region, parent,
//! who may take part) stays.
//!
//! The groups file remains the truth of those who keep one: applying it later sets these to what it says, or to the default of what it
//! leaves out, and its report names each that goes back.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::file::{TEXT_CHARACTERS, ban};
use super::{GroupChange, compare};
use crate::config::Span;
use crate::domain::country;
use crate::domain::group::{Group, GroupCode};
use crate::domain::house::MemberRule;
use crate::domain::language::Language;
use crate::domain::mistake::Mistake;
use crate::service::{Actor, Failure, Services, rights};

/// What managers may set; everything else is for `group apply`.
pub const SETTABLE: [&str; 16] = [
    "subscription",
    "guests",
    "nonmember",
    "guest_liaison",
    "missing_edition",
    "archive",
    "personal",
    "grace",
    "languages",
    "monthly_reminder",
    "moderate",
    "release_by",
    "banned",
    "purpose",
    "legal_basis",
    "footer",
];

/// Longest grace time in minutes.
const GRACE_MINUTES: u64 = 7 * 24 * 60;
/// Most addresses and domains that may not write.
const BANS: usize = 1_000;
/// Most rules of membership.
const RULES: usize = 50;

/// Changes settings, each a key of [`SETTABLE`] with its value as a groups file writes it; `grace` is in minutes, `languages` and
/// `banned` are separated by commas or white space, and texts name their language: `purpose.es`.
///
/// # Errors
/// `Invalid` when a key or value is wrong (nothing is changed then); or the store fails.
pub async fn set(
    services: &Services,
    actor: &Actor,
    code: &GroupCode,
    settings: &[(&str, &str)],
    dry_run: bool,
) -> Result<GroupChange, Failure> {
    services
        .alone(async {
            services.reload_groups().await?;
            let group = services.group(code)?;
            let mut form = serde_json::to_value(&*group).map_err(|error| Failure::Invalid(error.to_string()))?;
            for (key, value) in settings {
                put(services, &mut form, key, value)?;
            }
            let changed: Group = serde_json::from_value(form).map_err(|error| Failure::Invalid(format!("a setting is wrong: {error}")))?;
            keep(services, actor, &group, changed, dry_run).await
        })
        .await
}

/// Changes settings given as `key=value`, as the command line and the API give them.
///
/// # Errors
/// As [`set`], and when there is no `=`.
pub async fn set_fields(
    services: &Services,
    actor: &Actor,
    code: &GroupCode,
    fields: &[String],
    dry_run: bool,
) -> Result<GroupChange, Failure> {
    let pairs: Result<Vec<(&str, &str)>, Failure> = fields
        .iter()
        .map(|field| field.split_once('=').map(|(key, value)| (key.trim(), value.trim())))
        .zip(fields)
        .map(|(pair, field)| pair.ok_or_else(|| Failure::Invalid(format!("\"{}\" has no \"=\": write key=value", field.escape_debug()))))
        .collect();
    set(services, actor, code, &pairs?, dry_run).await
}

/// Puts these rules of membership in the place of those that a group has; carries nothing out.
///
/// # Errors
/// `Invalid` as [`check_rules`] finds; or the store fails.
pub async fn set_rules(
    services: &Services,
    actor: &Actor,
    code: &GroupCode,
    rules: &[MemberRule],
    dry_run: bool,
) -> Result<GroupChange, Failure> {
    services
        .alone(async {
            check_rules(rules)?;
            services.reload_groups().await?;
            let group = services.group(code)?;
            let mut changed = Group::clone(&group);
            changed.house.rules = rules.to_vec();
            keep(services, actor, &group, changed, dry_run).await
        })
        .await
}

/// Reads rules of membership from `[[rule]]` tables, with the keys of `[[group.rule]]` in a groups file.
///
/// # Errors
/// `Invalid` with the place and what is wrong.
pub fn parse_rules(text: &str, file: &str) -> Result<Vec<MemberRule>, Failure> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct File {
        #[serde(default)]
        rule: Vec<MemberRule>,
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let read: File = toml::from_str(text).map_err(|error| {
        let line = error.span().map_or(1, |span| text.bytes().take(span.start).filter(|octet| *octet == b'\n').count() + 1);
        Failure::Invalid(format!("{file}, line {line}: {}; write [[rule]] tables, or none to have no rules", error.message()))
    })?;
    check_rules(&read.rule)?;
    Ok(read.rule)
}

/// Are these rules that a group may have?
///
/// # Errors
/// `Mistaken` when there are too many, or a country is none.
pub fn check_rules(rules: &[MemberRule]) -> Result<(), Failure> {
    if rules.len() > RULES {
        return Err(Mistake::RulesMany.about([rules.len(), RULES]).into());
    }
    for (place, rule) in rules.iter().enumerate() {
        if let Some(wrong) = rule.countries.iter().find(|code| country::parse(code).is_err()) {
            return Err(Mistake::RuleCountry.about([(place + 1).to_string(), wrong.clone()]).into());
        }
    }
    Ok(())
}

/// Keeps a group as it is to be, and lets subscriptions follow.
async fn keep(services: &Services, actor: &Actor, before: &Group, changed: Group, dry_run: bool) -> Result<GroupChange, Failure> {
    let change = compare(Some(before), &changed);
    if dry_run || change.fields.is_empty() {
        return Ok(change);
    }
    services.store.put_groups(vec![changed]).await?;
    services.reload_groups().await?;
    let fields: Vec<String> = change.fields.iter().map(|field| format!("{}: {} → {}", field.field, field.from, field.to)).collect();
    services.audit(actor, "group set", Some(&before.code), fields.join("; ")).await?;
    rights::rejudge_group(services, actor, &before.code).await?;
    Ok(change)
}

fn put(services: &Services, form: &mut Value, given: &str, value: &str) -> Result<(), Failure> {
    let (key, language) = given.split_once('.').map_or((given, None), |(key, language)| (key, Some(language)));
    let localized = matches!(key, "purpose" | "legal_basis" | "footer");
    if !SETTABLE.contains(&key) || localized != language.is_some() {
        let hint = if localized && SETTABLE.contains(&key) { format!("name the language, such as {key}.en") } else { SETTABLE.join(", ") };
        return Err(Failure::Invalid(format!("\"{}\" cannot be set here: {hint}", given.escape_debug())));
    }
    let wrong = |why: &str| Failure::Invalid(format!("{given}: \"{}\" {why}", value.escape_debug()));
    match key {
        "personal" | "monthly_reminder" => form[key] = json!(truth(value).ok_or_else(|| wrong("is neither yes nor no"))?),
        "moderate" => form["house"][key] = json!(truth(value).ok_or_else(|| wrong("is neither yes nor no"))?),
        "release_by" => {
            form["house"]["two_persons"] = match value {
                "1" => json!(false),
                "2" => json!(true),
                _ => return Err(wrong("is neither 1 nor 2: held posts are released by 1 or by 2 persons")),
            }
        }
        "banned" => form["house"][key] = json!(bans(value)?),
        "grace" => {
            // Minutes, or as the groups file writes it and `group show` shows it: `10 min`.
            let minutes = value.parse::<u64>().ok().map(|minutes| minutes.saturating_mul(60));
            let seconds = minutes.or_else(|| value.parse::<Span>().ok().map(|span| span.0.as_secs()));
            let seconds = seconds.filter(|seconds| *seconds <= GRACE_MINUTES * 60);
            form[key] =
                seconds.map(|seconds| json!({ "secs": seconds, "nanos": 0 })).ok_or_else(|| Mistake::GraceUnclear.about([value]))?;
        }
        "languages" => {
            form[key] = json!(working_languages(services, value).ok_or_else(|| Mistake::LanguagesUnclear.about([value]))?);
        }
        "purpose" | "legal_basis" | "footer" => {
            let language: Language = language
                .and_then(|language| services.config.service.languages.iter().find(|one| one.as_str() == language))
                .copied()
                .ok_or_else(|| wrong("is not in a language of this service"))?;
            let bad = |c: char| c.is_control() && c != '\n';
            let value = value.replace("\r\n", "\n");
            if value.chars().any(bad) || value.chars().count() > TEXT_CHARACTERS {
                return Err(Mistake::TextLong.about([given, &value, &TEXT_CHARACTERS.to_string()]).into());
            }
            let place = if key == "footer" { &mut form[key] } else { &mut form["house"][key] };
            let mut texts: BTreeMap<Language, String> = serde_json::from_value(place.take()).unwrap_or_default();
            if value.is_empty() {
                texts.remove(&language)
            } else {
                texts.insert(language, value)
            };
            *place = if key == "footer" && texts.is_empty() { Value::Null } else { json!(texts) };
        }
        _ => form[key] = json!(value),
    }
    Ok(())
}

fn truth(value: &str) -> Option<bool> {
    match value {
        "yes" | "true" => Some(true),
        "no" | "false" => Some(false),
        _ => None,
    }
}

/// Addresses and domains, each once, in the order given.
fn bans(value: &str) -> Result<Vec<String>, Failure> {
    let mut banned: Vec<String> = Vec::new();
    for given in value.split(|c: char| c.is_whitespace() || c == ',' || c == ';').filter(|given| !given.is_empty()) {
        let read = ban(given).ok_or_else(|| Mistake::BanUnclear.about([given]))?;
        if !banned.contains(&read) {
            banned.push(read);
        }
    }
    if banned.len() > BANS {
        return Err(Mistake::BansMany.about([banned.len(), BANS]).into());
    }
    Ok(banned)
}

fn working_languages<'a>(services: &Services, value: &'a str) -> Option<Vec<&'a str>> {
    let codes: Vec<&str> = value.split(|c: char| c.is_whitespace() || c == ',').filter(|code| !code.is_empty()).collect();
    let known = |code: &&str| services.config.service.languages.iter().any(|language| language.as_str() == *code);
    let twice = (1..codes.len()).any(|at| codes[..at].contains(&codes[at]));
    (!codes.is_empty() && !twice && codes.iter().all(known)).then_some(codes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::group;
    use crate::service::trial::{GROUPS, Trial, code, operator};

    async fn change(trial: &Trial, fields: &[&str]) -> Result<GroupChange, Failure> {
        let fields: Vec<String> = fields.iter().map(ToString::to_string).collect();
        set_fields(&trial.services, &operator(), &code("AMR"), &fields, false).await
    }

    #[tokio::test]
    async fn what_the_house_asks_is_set_by_key_and_named_as_in_the_file() {
        let trial = Trial::empty().await;
        group::apply(&trial.services, &operator(), GROUPS, "groups.toml", false).await.unwrap();
        let given = [
            "moderate=yes",
            "release_by=2",
            "banned=Eve@X.example, @spam.example",
            "purpose.en=Work of the group",
            "footer.en=Bye",
            "grace=5",
        ];
        let done = change(&trial, &given).await.unwrap();
        let mut fields: Vec<&str> = done.fields.iter().map(|field| field.field.as_str()).collect();
        fields.sort_unstable();
        assert_eq!(fields, ["banned", "footer", "grace", "moderate", "purpose", "release_by"]);
        let amr = trial.services.group(&code("AMR")).unwrap();
        assert!(amr.house.moderate && amr.house.two_persons && amr.house.banned == ["eve@x.example", "@spam.example"], "{:?}", amr.house);
        assert_eq!(amr.house.purpose.get(Language::ENGLISH).unwrap(), "Work of the group");
        assert!(change(&trial, &["release_by=2", "grace=5 min"]).await.unwrap().fields.is_empty(), "twice is once");
        let shown = serde_json::to_value(group::show(&trial.services, &code("AMR")).await.unwrap()).unwrap();
        assert_eq!((&shown["group"]["grace"], &shown["group"]["archive_keep"]), (&json!("5 min"), &json!("0")));
        change(&trial, &["footer.en=", "banned=", "purpose.en="]).await.unwrap();
        let amr = trial.services.group(&code("AMR")).unwrap();
        assert!(amr.footer.is_none() && amr.house.banned.is_empty() && amr.house.purpose.is_empty(), "{amr:?}");
    }

    #[tokio::test]
    async fn a_file_applied_later_sets_back_what_it_does_not_say_and_names_it_before() {
        let trial = Trial::empty().await;
        group::apply(&trial.services, &operator(), GROUPS, "groups.toml", false).await.unwrap();
        change(&trial, &["release_by=2", "banned=@spam.example"]).await.unwrap();
        set_rules(&trial.services, &operator(), &code("AMR"), &[MemberRule::default()], false).await.unwrap();
        for dry_run in [true, false] {
            let report = group::apply(&trial.services, &operator(), GROUPS, "groups.toml", dry_run).await.unwrap();
            let amr = report.groups.iter().find(|change| change.code == "AMR").unwrap();
            let back: Vec<(&str, &str)> = amr.fields.iter().map(|field| (field.field.as_str(), field.to.as_str())).collect();
            assert_eq!(back, [("banned", "[]"), ("release_by", "1"), ("rule", "[]")]);
        }
        let file = format!("{GROUPS}release_by = 2\nbanned = [\"@spam.example\"]\n");
        group::apply(&trial.services, &operator(), &file, "groups.toml", false).await.unwrap();
        let again = change(&trial, &["release_by=2", "banned=@spam.example"]).await.unwrap();
        assert!(again.fields.is_empty(), "what stands in the file too stays: {again:?}");
    }

    #[tokio::test]
    async fn a_wrong_key_or_value_is_named_and_nothing_is_changed() {
        let trial = Trial::empty().await;
        group::apply(&trial.services, &operator(), GROUPS, "groups.toml", false).await.unwrap();
        for (given, expected) in [
            ("region=europe", "\"region\" cannot be set here"),
            ("purpose=x", "name the language, such as purpose.en"),
            ("purpose.xx=x", "is not in a language of this service"),
            ("release_by=3", "neither 1 nor 2"),
            ("moderate=maybe", "neither yes nor no"),
            ("banned=eve", "neither an address nor a domain"),
            ("grace=99999", "up to a week"),
            ("subscription=never", "a setting is wrong"),
            ("grace", "has no \"=\""),
        ] {
            let failure = change(&trial, &["moderate=yes", given]).await.unwrap_err().to_string();
            assert!(failure.contains(expected), "{given}: {failure}");
        }
        assert!(!trial.services.group(&code("AMR")).unwrap().house.moderate);
        let failure = parse_rules("[[rule]]\ncountries = [\"MX\"]\n[[rule]]\ncountry = 1\n", "r.toml").unwrap_err().to_string();
        assert!(failure.starts_with("r.toml, line 4: ") && failure.contains("country"), "{failure}");
        assert!(parse_rules("[[rule]]\ncountries = [\"XX\"]\n", "r.toml").unwrap_err().to_string().contains("rule 1: \"XX\""));
    }
}
