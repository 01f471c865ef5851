//! mlmmj: a folder. Members are lines of files, settings are files of `control`, mails are numbered files of `archive`.

use std::collections::BTreeMap;

use super::list::{Disabled, FOOTER, OldList, SUBJECT_PREFIX, largest, sender_pattern};
use crate::domain::subscription::{DeliveryMode, Role};

/// Reads the folder's small files, by their names below it.
///
/// # Errors
/// When it has neither members nor settings.
pub fn read(files: &BTreeMap<String, Vec<u8>>) -> Result<OldList, String> {
    if !files.keys().any(|name| name.starts_with("subscribers.d/") || name.starts_with("control/")) {
        return Err("there is neither subscribers.d nor control: is it the folder of a list of mlmmj?".into());
    }
    let mut list = OldList::default();
    let lines = |name: &str| -> Vec<String> {
        let text = files.get(name).map(|bytes| String::from_utf8_lossy(bytes).into_owned()).unwrap_or_default();
        text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned).collect()
    };
    let kinds = [
        ("subscribers.d/", DeliveryMode::Each, Disabled::No),
        ("digesters.d/", DeliveryMode::Digest, Disabled::No),
        ("nomailsubs.d/", DeliveryMode::None, Disabled::ByHerself),
    ];
    for (folder, delivery, disabled) in kinds {
        for name in files.keys().filter(|name| name.starts_with(folder)) {
            for address in lines(name) {
                let both = address.parse::<crate::domain::address::EmailAddress>().is_ok_and(|a| list.members.contains_key(&a.key()));
                let Some(member) = list.member(&address) else { continue };
                // On two of the lists she gets each post; the first counts.
                if !both {
                    (member.delivery, member.disabled) = (delivery, disabled);
                }
            }
        }
    }
    if let Some(address) = lines("control/listaddress").first() {
        list.address = address.parse().ok();
        list.name = address.split('@').next().unwrap_or_default().to_owned();
    }
    for address in lines("control/owner") {
        list.staff(&address, Role::Manager);
    }
    for address in lines("control/moderators") {
        list.staff(&address, Role::Moderator);
    }
    let has = |name: &str| files.contains_key(&format!("control/{name}"));
    let subscription = match (has("closedlistsub") || has("closedlist"), has("submod")) {
        (true, _) => "closed",
        (false, true) => "approve",
        (false, false) => "open",
    };
    list.settings.insert("subscription", subscription.into());
    if has("subonlypost") || has("modnonsubposts") {
        list.settings.insert("nonmember", if has("modnonsubposts") { "hold" } else { "reject" }.into());
    } else {
        list.warnings.push("strangers might post; here their posts are refused or held".into());
    }
    list.settings.insert("moderate", (has("moderated") || has("modonlypost")).to_string());
    if has("modonlypost") {
        list.warnings
            .push("only moderators might post; here what subscribers post waits for them, and managers announce to L-announce@".into());
    }
    if let Some(octets) = lines("control/maxmailsize").first() {
        list.warnings.push(largest(&format!("{} octets", octets.escape_debug())));
    }
    if has("footer") {
        list.warnings.push(FOOTER.into());
    }
    if has("notmetoo") {
        list.members.values_mut().for_each(|member| member.own_posts = false);
    }
    if has("access") {
        for rule in lines("control/access") {
            let (action, pattern) = rule.split_once(' ').unwrap_or((&rule, ""));
            match (action.to_ascii_lowercase().as_str(), sender_pattern(pattern)) {
                ("deny" | "discard", Some(sender)) => list.bans.push(sender),
                ("send", Some(sender)) => list.allowed.push(sender),
                // Without a pattern it only says what happens to everybody else.
                _ if pattern.trim().is_empty() || matches!(pattern.trim(), ".*" | "^.*") => {}
                _ => list.warnings.push(format!("the access rule \"{}\" has no equal here", rule.escape_debug())),
            }
        }
    }
    if has("prefix") {
        list.warnings.push(SUBJECT_PREFIX.into());
    }
    for (name, bytes) in files.iter().filter(|(name, _)| name.starts_with("moderation/")) {
        // Beside each mail lie its helpers, such as NAME.sendmail.
        if !name.trim_start_matches("moderation/").contains(['.', '/']) {
            list.held.push(bytes.clone());
        }
    }
    Ok(list)
}
