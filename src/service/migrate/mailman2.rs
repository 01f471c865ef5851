//! Mailman 2.1: `config.pck`, a dictionary of everything that the list is.
//!
//! Source of the names and bits: Mailman 2.1 `Mailman/Defaults.py`, `Mailman/MemberAdaptor.py`, `Mailman/OldStyleMemberships.py`.

use std::collections::HashMap;

use super::list::{Disabled, FOOTER, OldList, REPLIES, SUBJECT_PREFIX, language, largest};
use super::pickle;
use super::value::Value;
use crate::domain::address::EmailAddress;
use crate::domain::subscription::{DeliveryMode, Role};

const NO_OWN_POSTS: i64 = 2;
const PLAIN_DIGEST: i64 = 8;
const MODERATED: i64 = 128;
/// What waits in `request.pck` (`Mailman/ListAdmin.py`): a request to join.
const JOINING: i64 = 2;

/// Reads a `config.pck`.
///
/// # Errors
/// When it is no pickle of plain values, or holds no list.
pub fn read(bytes: &[u8]) -> Result<OldList, String> {
    let objects =
        pickle::read_all(bytes).map_err(|error| format!("config.pck is no configuration of Mailman 2 that can be read: {error}"))?;
    let mut all: HashMap<String, Value> = HashMap::new();
    // Some files hold several objects; those that are no dictionaries say nothing.
    for object in &objects {
        all.extend(object.pairs());
    }
    if !all.contains_key("members") && !all.contains_key("digest_members") {
        return Err("config.pck holds no members: is it the configuration of a list?".into());
    }
    let mut list = OldList { warnings: unreadable(&objects, &all)?, ..OldList::default() };
    let of = |key: &str| all.get(key).cloned().unwrap_or(Value::None);
    let word = |key: &str| of(key).text().unwrap_or_default();
    list.name = if word("_internal_name").is_empty() { word("real_name").to_lowercase() } else { word("_internal_name") };
    list.title = word("description");
    list.address = format!("{}@{}", list.name, word("host_name")).parse().ok();
    let main_language = language(&word("preferred_language"));
    for (kind, delivery) in [("members", DeliveryMode::Each), ("digest_members", DeliveryMode::Digest)] {
        for (key, written) in of(kind).pairs() {
            // The value is 0, or the address as it was written.
            let address = written.text().filter(|text| !text.is_empty()).unwrap_or(key);
            if let Some(member) = list.member(&address) {
                member.delivery = delivery;
                member.language = main_language;
            }
        }
    }
    let known = |list: &OldList, key: &str| list.members.contains_key(&key.to_lowercase());
    for (key, value) in of("user_options").pairs() {
        if let (true, Some(bits)) = (known(&list, &key), value.number())
            && let Some(member) = list.member(&key)
        {
            member.own_posts = bits & NO_OWN_POSTS == 0;
            member.plain_digest = bits & PLAIN_DIGEST != 0;
            member.moderated = bits & MODERATED != 0;
        }
    }
    for (key, value) in of("delivery_status").pairs() {
        let status = value.items().first().and_then(Value::number).or(value.number()).unwrap_or_default();
        if known(&list, &key)
            && let Some(member) = list.member(&key)
        {
            member.disabled = match status {
                0 => Disabled::No,
                2 => Disabled::ByHerself,
                4 => Disabled::Bouncing,
                _ => Disabled::ByOwner,
            };
        }
    }
    for (key, value) in of("language").pairs() {
        if known(&list, &key)
            && let Some(member) = list.member(&key)
        {
            member.language = value.text().and_then(|text| language(&text)).or(member.language);
        }
    }
    for (key, value) in of("usernames").pairs() {
        if known(&list, &key)
            && let Some(member) = list.member(&key)
        {
            member.name = value.text().unwrap_or_default();
        }
    }
    let texts = |key: &str| -> Vec<String> { of(key).items().iter().filter_map(Value::text).collect() };
    for (key, role) in [("moderator", Role::Moderator), ("owner", Role::Manager)] {
        for address in texts(key) {
            list.staff(&address, role);
        }
    }
    list.bans = texts("ban_list");
    list.bans.extend(texts("discard_these_nonmembers"));
    list.allowed = texts("accept_these_nonmembers");
    for key in ["hold_these_nonmembers", "reject_these_nonmembers"] {
        let entries = texts(key);
        if !entries.is_empty() {
            list.warnings.push(format!("{key} has {} entries, which have no equal here: {}", entries.len(), shortened(&entries)));
        }
    }
    settings(&mut list, &of);
    Ok(list)
}

/// What of the tables is in no form that can be read, in words; it is never passed over in silence.
fn unreadable(objects: &[Value], all: &HashMap<String, Value>) -> Result<Vec<String>, String> {
    let mut warnings = Vec::new();
    let settings: usize = objects.iter().filter(|object| matches!(object, Value::Map(_))).map(Value::unreadable).sum();
    if settings > 0 {
        warnings.push(format!("{settings} settings of config.pck have names that cannot be read, and are left out"));
    }
    for key in ["members", "digest_members"] {
        let Some(table) = all.get(key) else { continue };
        let (lost, read) = (table.unreadable(), table.pairs().len());
        if !matches!(table, Value::Map(_) | Value::None) {
            return Err(format!("config.pck holds {key}, but not as a table of addresses: is the file damaged?"));
        }
        if lost > 0 && read == 0 {
            return Err(format!("none of the {lost} entries of {key} in config.pck can be read: is it written by Mailman 2.1?"));
        }
        if lost > 0 {
            warnings.push(format!("{lost} of {} entries of {key} cannot be read, and are left out", lost + read));
        }
    }
    let tables = ["user_options", "delivery_status", "language", "usernames"];
    let lists = [
        "owner",
        "moderator",
        "ban_list",
        "accept_these_nonmembers",
        "hold_these_nonmembers",
        "reject_these_nonmembers",
        "discard_these_nonmembers",
    ];
    for key in tables.into_iter().chain(lists) {
        let Some(value) = all.get(key) else { continue };
        let is_other = if tables.contains(&key) { !matches!(value, Value::Map(_)) } else { !matches!(value, Value::List(_)) };
        match value.unreadable() {
            _ if matches!(value, Value::None) => {}
            _ if is_other => warnings.push(format!("{key} cannot be read, and is left out")),
            0 => {}
            lost => warnings.push(format!("{lost} entries of {key} cannot be read, and are left out")),
        }
    }
    Ok(warnings)
}

fn settings(list: &mut OldList, of: &dyn Fn(&str) -> Value) {
    let number = |key: &str| of(key).number();
    if let Some(policy) = number("subscribe_policy") {
        list.settings.insert("subscription", if policy >= 2 { "approve" } else { "open" }.into());
    }
    if let Some(action) = number("generic_nonmember_action") {
        list.settings.insert("nonmember", if action == 1 { "hold" } else { "reject" }.into());
        if action == 0 {
            list.warnings.push("posts of strangers were accepted; here they are refused or held".into());
        }
    }
    if number("emergency") == Some(1) {
        list.settings.insert("moderate", "true".into());
        list.warnings.push("the list was in an emergency, so every post was held; `enlace group set` with moderate=no ends it here".into());
    }
    if let Some(private) = number("archive_private") {
        list.settings.insert("archive", if private == 1 { "members" } else { "public" }.into());
    }
    if number("default_member_moderation") == Some(1) {
        list.warnings.push("new members were moderated until somebody lifted it; here only those are who were when they came over".into());
    }
    if of("subject_prefix").text().is_some_and(|prefix| !prefix.trim().is_empty()) {
        list.warnings.push(SUBJECT_PREFIX.into());
    }
    if number("reply_goes_to_list").is_some_and(|to| to > 0) {
        list.warnings.push(REPLIES.into());
    }
    if let Some(kibioctets) = number("max_message_size").filter(|size| *size > 0) {
        list.warnings.push(largest(&format!("{kibioctets} KiB")));
    }
    if of("msg_footer").text().is_some_and(|footer| !footer.trim().is_empty()) {
        list.warnings.push(FOOTER.into());
    }
}

/// The first few, for a message.
pub(super) fn shortened(entries: &[String]) -> String {
    let shown: Vec<String> = entries.iter().take(3).map(|entry| entry.escape_debug().to_string()).collect();
    if entries.len() > 3 { format!("{}, …", shown.join(", ")) } else { shown.join(", ") }
}

/// What waits for a decision, from `request.pck` of the list: who asked to join, and how much else there is.
pub fn waiting(bytes: &[u8]) -> (Vec<EmailAddress>, usize) {
    let (mut joining, mut others) = (Vec::new(), 0);
    for (key, value) in pickle::read_all(bytes).unwrap_or_default().iter().flat_map(Value::entries) {
        // Beside numbered requests stands the version of the file.
        if key.number().is_none() {
            continue;
        }
        let request = value.items();
        let (kind, about) = (request.first().and_then(Value::number), request.get(1).map(Value::items).unwrap_or_default());
        match about.get(1).and_then(Value::text).and_then(|address| address.parse().ok()) {
            Some(address) if kind == Some(JOINING) => joining.push(address),
            _ => others += 1,
        }
    }
    (joining, others)
}
