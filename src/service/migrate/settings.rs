//! Settings that mean the same there and here: what nobody chose for the group follows the old list.
//!
//! A setting that the group still has as a groups file leaves it by default follows the old list, so that a list that was looked at
//! first stays so. One that somebody chose is kept and named. Who may read the archive never follows: it holds the group's statements
//! too, and a migration opens them to nobody.

use serde_json::Value;

use super::SettingLine;
use super::list::OldList;
use crate::domain::group::{Group, NonmemberPolicy, SubscriptionPolicy};

/// Puts the old list's settings onto the group where nobody chose otherwise; what came of each.
pub(super) fn follow(group: &mut Group, list: &OldList) -> Vec<SettingLine> {
    let line = |(key, there): (&&'static str, &String)| {
        let before = present(group, key);
        let set = before != *there && put(group, key, there);
        let here = present(group, key);
        SettingLine { key, there: there.clone(), same: here == *there, here, set }
    };
    list.settings.iter().map(line).collect()
}

/// `key = value` as the groups file has it.
pub(super) fn toml_line(key: &str, value: &str) -> String {
    if matches!(value, "true" | "false") { format!("{key} = {value}") } else { format!("{key} = \"{value}\"") }
}

fn present(group: &Group, key: &str) -> String {
    let Ok(Value::Object(here)) = serde_json::to_value(group) else { return String::new() };
    match here.get(key).or_else(|| here.get("house")?.get(key)) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Bool(yes)) => yes.to_string(),
        _ => String::new(),
    }
}

/// Sets it if the group has the default and the old list's word is one of ours.
fn put(group: &mut Group, key: &str, there: &str) -> bool {
    match key {
        "subscription" if group.subscription == SubscriptionPolicy::Open => {
            let Ok(policy) = serde_json::from_value(Value::String(there.to_owned())) else { return false };
            group.subscription = policy;
        }
        "nonmember" if group.nonmember == NonmemberPolicy::Reject => {
            let Ok(policy) = serde_json::from_value(Value::String(there.to_owned())) else { return false };
            group.nonmember = policy;
        }
        "moderate" if !group.house.moderate && there == "true" => group.house.moderate = true,
        _ => return false,
    }
    true
}
