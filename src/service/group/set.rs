//! Single settings of a group, changed by its managers on a page; what the group is (code, region, parent, who may take part) stays.

use serde_json::{Value, json};

use super::{GroupChange, compare};
use crate::domain::group::{Group, GroupCode};
use crate::service::{Actor, Failure, Services, rights};

/// What managers may set; everything else is for `group apply`.
pub const SETTABLE: [&str; 9] =
    ["subscription", "guests", "nonmember", "guest_liaison", "missing_edition", "archive", "personal", "grace", "languages"];

/// Longest grace time in minutes.
const GRACE_MINUTES: u64 = 7 * 24 * 60;

/// Changes settings, each a key of [`SETTABLE`] with its value as a groups file writes it; `grace` is in minutes,
/// `languages` are codes separated by commas.
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
    let group = services.group(code)?;
    let mut form = serde_json::to_value(&*group).map_err(|error| Failure::Invalid(error.to_string()))?;
    for (key, value) in settings {
        if !SETTABLE.contains(key) {
            return Err(Failure::Invalid(format!("\"{}\" cannot be set here", key.escape_debug())));
        }
        form[*key] = stored(services, key, value)?;
    }
    let changed: Group = serde_json::from_value(form).map_err(|error| Failure::Invalid(format!("a setting is wrong: {error}")))?;
    let change = compare(Some(&group), &changed);
    if dry_run || change.fields.is_empty() {
        return Ok(change);
    }
    services.store.put_groups(vec![changed]).await?;
    services.reload_groups().await?;
    let fields: Vec<String> = change.fields.iter().map(|field| format!("{}: {} → {}", field.field, field.from, field.to)).collect();
    services.audit(actor, "group set", Some(code), fields.join("; ")).await?;
    rights::rejudge_group(services, actor, code).await?;
    Ok(change)
}

fn stored(services: &Services, key: &str, value: &str) -> Result<Value, Failure> {
    let wrong = |why: &str| Failure::Invalid(format!("{key}: \"{}\" {why}", value.escape_debug()));
    match key {
        "personal" => match value {
            "yes" => Ok(json!(true)),
            "no" => Ok(json!(false)),
            _ => Err(wrong("is neither yes nor no")),
        },
        "grace" => {
            let minutes = value.parse::<u64>().ok().filter(|minutes| *minutes <= GRACE_MINUTES);
            minutes
                .map(|minutes| json!({ "secs": minutes * 60, "nanos": 0 }))
                .ok_or_else(|| wrong("is not a number of minutes up to a week"))
        }
        "languages" => {
            let codes: Vec<&str> = value.split(',').map(str::trim).filter(|code| !code.is_empty()).collect();
            let known = |code: &&str| services.config.service.languages.iter().any(|language| language.as_str() == *code);
            let twice = (1..codes.len()).any(|at| codes[..at].contains(&codes[at]));
            if codes.is_empty() || twice || !codes.iter().all(known) {
                return Err(wrong("are not languages of this service, each once"));
            }
            Ok(json!(codes))
        }
        _ => Ok(json!(value)),
    }
}
