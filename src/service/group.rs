//! Groups: applied from a file, listed, shown, ended.
//!
//! A file is taken whole or not at all: with one mistake in it nothing is changed, and every mistake is named with its line.
//! What a file does not say has its default, so that the file is the truth and applying it twice changes nothing; groups
//! that a file does not name stay as they are.

mod file;
mod privacy;
mod set;

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::liaison::{self, Matter};
use super::rights::{self, Rejudged};
use super::{Actor, Failure, Services};
use crate::config::Span;
use crate::domain::group::{Group, GroupCode, GroupKind, Region};
use crate::domain::mistake::Mistake;

pub use file::parse;
pub use privacy::{DataProtection, data_protection};
pub use set::{SETTABLE, check_rules, parse_rules, set, set_fields, set_rules};

/// Settings of a regional group whose change TSAG is told of.
const FOUNDING: [&str; 5] = ["name", "parent", "region", "languages", "supporting_members"];
/// Members of a group read at a time when they are counted.
const PAGE: usize = 1_000;

/// What `group apply` did, or would do.
#[derive(Debug, Clone, Serialize)]
pub struct ApplyReport {
    /// Was nothing written?
    pub dry_run: bool,
    /// The groups of the file, in its order.
    pub groups: Vec<GroupChange>,
    /// What is allowed and yet should be looked at, each with its place.
    pub warnings: Vec<String>,
    /// Subscriptions that the changed policies suspended or brought back.
    pub rejudged: Vec<Rejudged>,
}

/// What becomes of one group.
#[derive(Debug, Clone, Serialize)]
pub struct GroupChange {
    /// The acronym.
    pub code: String,
    /// `new`, `changed` or `unchanged`.
    pub change: &'static str,
    /// The settings that change.
    pub fields: Vec<FieldChange>,
    /// The statement to TSAG that was drafted for it, held for the secretariat to confirm (Resolution 54, resolves 2).
    pub draft: Option<String>,
}

/// One setting that changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldChange {
    /// As in the file.
    pub field: String,
    /// Before, as JSON text.
    pub from: String,
    /// After, as JSON text.
    pub to: String,
}

/// A group in a list.
#[derive(Debug, Clone, Serialize)]
pub struct GroupLine {
    /// The acronym.
    pub code: String,
    /// Kind of body.
    pub kind: GroupKind,
    /// Its parent.
    pub parent: Option<String>,
    /// Its region.
    pub region: Option<&'static str>,
    /// The list address; empty for an external body.
    pub address: String,
    /// The name in the service's first language, or the best there is.
    pub name: String,
    /// Has it ended?
    pub retired: bool,
}

/// One group with everything.
#[derive(Debug, Clone, Serialize)]
pub struct GroupReport {
    /// Its settings.
    #[serde(serialize_with = "written")]
    pub group: Group,
    /// What mail to which address does, by name of the purpose.
    pub addresses: BTreeMap<&'static str, String>,
    /// Subscribers by state.
    pub subscribers: BTreeMap<&'static str, u64>,
}

/// The settings as JSON, with durations as a groups file and [`set_fields`] have them: `10 min` instead of seconds and nanoseconds.
///
/// # Errors
/// Never: every setting of a group can be written as JSON.
pub fn as_written(group: &Group) -> Result<serde_json::Value, serde_json::Error> {
    let mut settings = serde_json::to_value(group)?;
    settings["grace"] = Span(group.grace).to_string().into();
    settings["archive_keep"] = Span(group.archive_keep).to_string().into();
    Ok(settings)
}

fn written<S: serde::Serializer>(group: &Group, serializer: S) -> Result<S::Ok, S::Error> {
    as_written(group).map_err(serde::ser::Error::custom)?.serialize(serializer)
}

/// Applies a groups file; `file` is only named in messages.
///
/// # Errors
/// `Invalid` with every mistake of the file, one a line; nothing is changed then. Or the store failed.
pub async fn apply(services: &Services, actor: &Actor, text: &str, file: &str, dry_run: bool) -> Result<ApplyReport, Failure> {
    services
        .alone(async {
            services.reload_groups().await?;
            let existing: Vec<Group> = services.groups().iter().map(|group| Group::clone(group)).collect();
            let (groups, warnings) = parse(text, file, &services.config, &existing)
                .map_err(|problems| Failure::Invalid(problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")))?;
            let before: BTreeMap<&GroupCode, &Group> = existing.iter().map(|group| (&group.code, group)).collect();
            let changes: Vec<GroupChange> = groups.iter().map(|group| compare(before.get(&group.code).copied(), group)).collect();
            let mut report = ApplyReport { dry_run, groups: changes, warnings, rejudged: Vec::new() };
            let changed: Vec<Group> =
                groups.into_iter().zip(&report.groups).filter(|(_, change)| change.change != "unchanged").map(|(group, _)| group).collect();
            if dry_run || changed.is_empty() {
                return Ok(report);
            }
            let codes: Vec<GroupCode> = changed.iter().map(|group| group.code.clone()).collect();
            services.store.put_groups(changed).await?;
            services.reload_groups().await?;
            let mut rejudged = Vec::new();
            for (code, change) in codes.iter().zip(report.groups.iter_mut().filter(|change| change.change != "unchanged")) {
                let fields: Vec<&str> = change.fields.iter().map(|field| field.field.as_str()).collect();
                services.audit(actor, "group apply", Some(code), format!("{} {}", change.change, fields.join(", "))).await?;
                if change.change == "changed" {
                    rejudged.extend(rights::rejudge_group(services, actor, code).await?);
                }
                let group = services.group(code)?;
                let matter = if change.change == "new" { Matter::Created } else { Matter::Changed };
                let about: Vec<&str> = fields.into_iter().filter(|field| FOUNDING.contains(field)).collect();
                if !group.retired && (matter == Matter::Created || !about.is_empty()) {
                    change.draft = liaison::draft(services, &group, matter, &about).await?.map(|id| id.to_string());
                }
            }
            report.rejudged = rejudged;
            Ok(report)
        })
        .await
}

/// All groups, by code.
pub fn list(services: &Services) -> Vec<GroupLine> {
    services.groups().iter().map(|group| line(services, group)).collect()
}

/// One group.
///
/// # Errors
/// When there is none of that code, or the store fails.
pub async fn show(services: &Services, code: &GroupCode) -> Result<GroupReport, Failure> {
    let group = services.group(code)?;
    let mut subscribers: BTreeMap<&'static str, u64> = ["active", "pending", "suspended", "unsubscribed"].map(|state| (state, 0)).into();
    let mut after = None;
    loop {
        let page = services.store.subscriptions_of_group(code, after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.account);
        for subscription in &page {
            *subscribers.entry(subscription.state.as_str()).or_default() += 1;
        }
    }
    let domain = &services.config.service.domain;
    let mut addresses = BTreeMap::new();
    if !group.list.is_empty() {
        addresses.insert("post", group.address(domain));
        for suffix in ["announce", "liaison", "request", "join", "leave", "owner"] {
            addresses.insert(suffix, group.sub_address(suffix, domain));
        }
    }
    Ok(GroupReport { group: Group::clone(&group), addresses, subscribers })
}

/// Ends a group: it keeps its record and takes no more mail.
///
/// # Errors
/// When there is none of that code, it is still the parent of a living one, or the store fails.
pub async fn retire(services: &Services, actor: &Actor, code: &GroupCode, dry_run: bool) -> Result<GroupChange, Failure> {
    services
        .alone(async {
            services.reload_groups().await?;
            let group = services.group(code)?;
            if group.retired {
                return Ok(GroupChange { code: code.to_string(), change: "unchanged", fields: Vec::new(), draft: None });
            }
            let children: Vec<String> = services
                .groups()
                .iter()
                .filter(|other| !other.retired && other.parent.as_ref() == Some(code))
                .map(|other| other.code.to_string())
                .collect();
            if !children.is_empty() {
                return Err(Mistake::GroupIsParent.about([code.to_string(), children.join(", ")]).into());
            }
            let ended = Group { retired: true, ..Group::clone(&group) };
            let mut change = compare(Some(&group), &ended);
            if !dry_run {
                services.store.put_groups(vec![ended.clone()]).await?;
                services.reload_groups().await?;
                services.audit(actor, "group retire", Some(code), "ended").await?;
                change.draft = liaison::draft(services, &ended, Matter::Ended, &[]).await?.map(|id| id.to_string());
            }
            Ok(change)
        })
        .await
}

fn line(services: &Services, group: &Group) -> GroupLine {
    GroupLine {
        code: group.code.to_string(),
        kind: group.kind,
        parent: group.parent.as_ref().map(ToString::to_string),
        region: group.region.map(Region::as_str),
        address: if group.list.is_empty() { String::new() } else { group.address(&services.config.service.domain) },
        name: group.name.best(&services.config.service.languages).cloned().unwrap_or_default(),
        retired: group.retired,
    }
}

/// Compares by setting; both sides have the same settings, because both are groups.
fn compare(before: Option<&Group>, after: &Group) -> GroupChange {
    let code = after.code.to_string();
    let Some(before) = before else {
        return GroupChange { code, change: "new", fields: Vec::new(), draft: None };
    };
    let old = settings(before);
    let fields: Vec<FieldChange> = settings(after)
        .into_iter()
        .filter(|(field, to)| old.get(field) != Some(to))
        .map(|(field, to)| FieldChange { from: shown(old.get(&field)), to: shown(Some(&to)), field })
        .collect();
    GroupChange { code, change: if fields.is_empty() { "unchanged" } else { "changed" }, fields, draft: None }
}

/// Every setting by its key in a groups file.
fn settings(group: &Group) -> BTreeMap<String, Value> {
    let Ok(Value::Object(mut settings)) = serde_json::to_value(group) else { return BTreeMap::new() };
    if let Some(Value::Object(mut house)) = settings.remove("house") {
        let two = house.remove("two_persons") == Some(Value::Bool(true));
        settings.insert("release_by".into(), Value::from(if two { 2 } else { 1 }));
        settings.insert("rule".into(), house.remove("rules").unwrap_or_default());
        settings.extend(house);
    }
    settings.into_iter().collect()
}

fn shown(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "none".into(),
        // A duration.
        Some(Value::Object(parts)) if parts.contains_key("secs") => format!("{} s", parts["secs"]),
        Some(value) => value.to_string(),
    }
}

#[cfg(test)]
mod tests;
