//! Mailman 3: one JSON document, as `deploy/mailman3_export.py` writes it inside of Mailman (`mailman shell`), where the
//! preferences of member, address and user are resolved as Mailman itself does.

use serde::Deserialize;

use super::list::{Disabled, OldList, language};
use crate::domain::subscription::{DeliveryMode, Role};

#[derive(Deserialize)]
struct Export {
    list: List,
    members: Vec<Member>,
    #[serde(default)]
    bans: Vec<String>,
    #[serde(default)]
    held: Vec<String>,
    #[serde(default)]
    requests: Vec<String>,
}

#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
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
}

#[derive(Deserialize)]
struct Member {
    address: String,
    #[serde(default)]
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

/// Reads the export.
///
/// # Errors
/// When it is not such a document.
pub fn read(bytes: &[u8]) -> Result<OldList, String> {
    let export: Export = serde_json::from_slice(bytes)
        .map_err(|error| format!("it is no export of Mailman 3 ({error}); write it with deploy/mailman3_export.py"))?;
    let mut list = OldList { title: export.list.description, bans: export.bans, ..OldList::default() };
    list.address = export.list.fqdn_listname.parse().ok();
    list.name.clone_from(&export.list.fqdn_listname);
    for old in export.members.iter().filter(|member| member.role == "member") {
        let Some(member) = list.member(&old.address) else { continue };
        member.name.clone_from(&old.name);
        member.language = language(&old.language).or_else(|| language(&export.list.preferred_language));
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
            list.staff(&old.address, role);
        }
    }
    let banned = |member: &&Member| member.role == "nonmember" && matches!(member.moderation_action.as_deref(), Some("discard" | "reject"));
    list.bans.extend(export.members.iter().filter(banned).map(|member| member.address.clone()));
    let accepted = |member: &&Member| member.role == "nonmember" && member.moderation_action.as_deref() == Some("accept");
    list.allowed = export.list.accept_these_nonmembers.clone();
    list.allowed.extend(export.members.iter().filter(accepted).map(|member| member.address.clone()));
    list.held = export.held.into_iter().map(String::into_bytes).collect();
    list.requests = export.requests.iter().filter_map(|address| address.parse().ok()).collect();
    let moderated = export.list.subscription_policy.contains("moderate");
    list.settings.insert("subscription", if moderated { "approve" } else { "open" }.into());
    list.settings.insert("nonmember", if export.list.default_nonmember_action == "hold" { "hold" } else { "reject" }.into());
    let looked_at = export.list.emergency || matches!(export.list.default_member_action.as_str(), "hold" | "reject" | "discard");
    list.settings.insert("moderate", looked_at.to_string());
    list.settings.insert("archive", if export.list.archive_policy == "public" { "public" } else { "members" }.into());
    if !export.list.subject_prefix.trim().is_empty() {
        list.warnings.push("the subject prefix is not put in front of subjects here, because it breaks signatures".into());
    }
    Ok(list)
}
