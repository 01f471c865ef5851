//! Mailman 3: one JSON document, as `deploy/mailman3_export.py` writes it inside of Mailman (`mailman shell`), where the
//! preferences of member, address and user are resolved as Mailman itself does; or answers of its REST interface that were saved to
//! files: pages of members, bans, held posts and requests (`{"entries": […]}`), the list, its configuration, in any number of files or
//! together in one.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::list::{Disabled, OldList, REPLIES, SUBJECT_PREFIX, language, largest};
use crate::domain::subscription::{DeliveryMode, Role};

#[derive(Deserialize, Default)]
#[serde(default)]
struct List {
    fqdn_listname: String,
    description: String,
    preferred_language: String,
    subscription_policy: String,
    default_nonmember_action: String,
    archive_policy: String,
    subject_prefix: String,
    default_member_action: String,
    emergency: bool,
    accept_these_nonmembers: Vec<String>,
    max_message_size: u64,
    reply_goes_to_list: String,
}

#[derive(Deserialize)]
struct Member {
    /// In an answer of REST a link, and then `email` is the address.
    #[serde(default)]
    address: String,
    #[serde(default)]
    email: String,
    #[serde(default, alias = "display_name")]
    name: String,
    role: String,
    #[serde(default)]
    delivery_mode: String,
    #[serde(default)]
    delivery_status: String,
    #[serde(default)]
    language: String,
    #[serde(default)]
    moderation_action: Option<String>,
    #[serde(default)]
    receive_own_postings: Option<bool>,
}

impl Member {
    fn address(&self) -> &str {
        if self.email.is_empty() { &self.address } else { &self.email }
    }
}

/// What all files say together.
#[derive(Default)]
struct Export {
    list: Map<String, Value>,
    members: Vec<Member>,
    bans: Vec<String>,
    held: Vec<String>,
    requests: Vec<String>,
    /// Answers of REST do not say who switched her delivery off.
    from_rest: bool,
    /// Was there a roster, even an empty one?
    has_roster: bool,
}

impl Export {
    /// Takes a document: the export, an answer of REST, or several of them by name.
    fn take(&mut self, document: Value) -> Result<(), String> {
        let Value::Object(mut document) = document else { return Err("it is no JSON object".into()) };
        if let Some(entries) = document.remove("entries") {
            return self.entries(entries);
        }
        if document.contains_key("total_size") {
            self.has_roster = true;
            return Ok(());
        }
        if document.contains_key("fqdn_listname") || document.contains_key("subscription_policy") {
            self.list.append(&mut document);
            return Ok(());
        }
        for (name, part) in document {
            match (name.as_str(), part) {
                ("list" | "config", Value::Object(mut part)) => self.list.append(&mut part),
                ("members", part @ Value::Array(_)) => {
                    self.has_roster = true;
                    self.members.extend(all::<Member>(part)?);
                }
                ("bans", part @ Value::Array(_)) => self.bans.extend(all::<String>(part)?),
                ("held", part @ Value::Array(_)) => self.held.extend(all::<String>(part)?),
                ("requests", part @ Value::Array(_)) => self.requests.extend(all::<String>(part)?),
                (_, part @ Value::Object(_)) => self.take(part)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// A page of REST, whose entries say themselves what they are.
    fn entries(&mut self, entries: Value) -> Result<(), String> {
        self.from_rest = true;
        self.has_roster = true;
        for mut entry in all::<Map<String, Value>>(entries)? {
            entry.retain(|_, value| !value.is_null());
            let text = |key: &str| entry.get(key).and_then(Value::as_str).map(str::to_owned);
            if entry.contains_key("role") {
                self.members.push(serde_json::from_value(Value::Object(entry)).map_err(|error| error.to_string())?);
            } else if let Some(message) = text("msg") {
                self.held.push(message);
            } else if entry.contains_key("token") {
                self.requests.extend(text("email").filter(|_| text("token_owner").is_none_or(|owner| owner == "moderator")));
            } else {
                self.bans.extend(text("email"));
            }
        }
        Ok(())
    }
}

fn all<T: serde::de::DeserializeOwned>(array: Value) -> Result<Vec<T>, String> {
    serde_json::from_value(array).map_err(|error| error.to_string())
}

/// Reads the export, or saved answers of REST: the files whose names end in `.json`, or the only one.
///
/// # Errors
/// When it is no such document, or nobody's membership is in it.
pub fn read(files: &BTreeMap<String, Vec<u8>>) -> Result<OldList, String> {
    let mut export = Export::default();
    for (name, bytes) in files.iter().filter(|(name, _)| files.len() == 1 || name.ends_with(".json")) {
        let wrong = |error: &dyn std::fmt::Display| {
            format!(
                "{} is neither an export of Mailman 3 nor an answer of its REST ({error}); write one with deploy/mailman3_export.py",
                name.escape_debug()
            )
        };
        let document: Value = serde_json::from_slice(bytes).map_err(|error| wrong(&error))?;
        export.take(document).map_err(|error| wrong(&error))?;
    }
    if !export.has_roster {
        return Err("there is no list of members in it; write one with deploy/mailman3_export.py".into());
    }
    export.list.retain(|_, value| !value.is_null());
    let settings: List = serde_json::from_value(Value::Object(std::mem::take(&mut export.list)))
        .map_err(|error| format!("the configuration of the list cannot be read ({error}); write it with deploy/mailman3_export.py"))?;
    Ok(list(export, settings))
}

fn list(export: Export, settings: List) -> OldList {
    let mut list = OldList { bans: export.bans, ..OldList::default() };
    list.address = settings.fqdn_listname.parse().ok();
    list.name.clone_from(&settings.fqdn_listname);
    for old in export.members.iter().filter(|member| member.role == "member") {
        let Some(member) = list.member(old.address()) else { continue };
        member.name.clone_from(&old.name);
        member.language = language(&old.language).or_else(|| language(&settings.preferred_language));
        if old.delivery_mode.contains("digest") || old.delivery_mode == "plaintext_digests" {
            member.delivery = DeliveryMode::Digest;
            member.plain_digest = old.delivery_mode == "plaintext_digests";
        }
        member.disabled = match old.delivery_status.as_str() {
            "by_user" => Disabled::ByHerself,
            "by_bounces" => Disabled::Bouncing,
            "by_moderator" | "unknown" => Disabled::ByOwner,
            _ => Disabled::No,
        };
        member.moderated = matches!(old.moderation_action.as_deref(), Some("hold" | "reject" | "discard"));
        member.own_posts = old.receive_own_postings.unwrap_or(true);
    }
    for (name, role) in [("moderator", Role::Moderator), ("owner", Role::Manager)] {
        for old in export.members.iter().filter(|member| member.role == name) {
            list.staff(old.address(), role);
        }
    }
    let banned = |member: &&Member| member.role == "nonmember" && matches!(member.moderation_action.as_deref(), Some("discard" | "reject"));
    list.bans.extend(export.members.iter().filter(banned).map(|member| member.address().to_owned()));
    let looked_at = settings.emergency || matches!(settings.default_member_action.as_str(), "hold" | "reject" | "discard");
    // Where every member's posts are held, a member may be let through.
    let accepted = |member: &&Member| {
        member.moderation_action.as_deref() == Some("accept")
            && (member.role == "nonmember" || (member.role == "member" && looked_at && !settings.emergency))
    };
    list.allowed.clone_from(&settings.accept_these_nonmembers);
    list.allowed.extend(export.members.iter().filter(accepted).map(|member| member.address().to_owned()));
    list.held = export.held.into_iter().map(String::into_bytes).collect();
    list.requests = export.requests.iter().filter_map(|address| address.parse().ok()).collect();
    if export.from_rest {
        list.warnings.push(
            "answers of REST do not say who switched delivery off or chose a language; deploy/mailman3_export.py writes that too".into(),
        );
    }
    policies(&mut list, &settings, looked_at);
    list.title = settings.description;
    list
}

fn policies(list: &mut OldList, settings: &List, looked_at: bool) {
    if !settings.subscription_policy.is_empty() {
        let moderated = settings.subscription_policy.contains("moderate");
        list.settings.insert("subscription", if moderated { "approve" } else { "open" }.into());
    }
    if !settings.default_nonmember_action.is_empty() {
        list.settings.insert("nonmember", if settings.default_nonmember_action == "hold" { "hold" } else { "reject" }.into());
    }
    if matches!(settings.default_nonmember_action.as_str(), "accept" | "defer") {
        list.warnings.push("posts of strangers were accepted; here they are refused or held".into());
    }
    list.settings.insert("moderate", looked_at.to_string());
    if !settings.archive_policy.is_empty() {
        list.settings.insert("archive", if settings.archive_policy == "public" { "public" } else { "members" }.into());
    }
    if !settings.subject_prefix.trim().is_empty() {
        list.warnings.push(SUBJECT_PREFIX.into());
    }
    if settings.max_message_size > 0 {
        list.warnings.push(largest(&format!("{} KiB", settings.max_message_size)));
    }
    if matches!(settings.reply_goes_to_list.as_str(), "point_to_list" | "explicit_header" | "explicit_header_only") {
        list.warnings.push(REPLIES.into());
    }
}
