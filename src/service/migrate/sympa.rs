//! Sympa: `config` of the list, and the dumps of its people: `sympa dump --roles=member,owner,editor LIST@DOMAIN`, before 6.2.70
//! `sympa.pl --dump_users`. Languages of users, exclusions, held posts and requests lie in Sympa's database and spools, whence
//! `deploy/sympa_export.pl` writes them beside the dumps: `list.dump`, `user.dump`, `exclude.dump`, `moderation/`,
//! `requests.dump`.
//!
//! Dumps and `config` are paragraphs of `key value` lines with empty lines between them. Members that came from an included source
//! are named; the source itself has to be declared anew, because it keeps its own members.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};

use super::list::{Disabled, OldList, REPLIES, SUBJECT_PREFIX, language, largest};
use crate::domain::address::EmailAddress;
use crate::domain::subscription::{Absence, DeliveryMode, Role};

type Paragraph = Vec<(String, String)>;

fn paragraphs(bytes: &[u8]) -> Vec<Paragraph> {
    let text = String::from_utf8_lossy(bytes);
    let mut found: Vec<Paragraph> = vec![Vec::new()];
    for line in text.lines() {
        let line = line.trim();
        if line.is_empty() {
            found.push(Vec::new());
        } else if let (false, Some(last)) = (line.starts_with('#'), found.last_mut()) {
            let (key, value) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
            last.push((key.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }
    found.retain(|paragraph| !paragraph.is_empty());
    found
}

fn value<'a>(paragraph: &'a Paragraph, key: &str) -> Option<&'a str> {
    paragraph.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
}

fn instant(text: Option<&str>) -> Option<DateTime<Utc>> {
    text.and_then(|text| text.parse().ok()).filter(|seconds| *seconds > 0).and_then(|seconds| DateTime::from_timestamp(seconds, 0))
}

/// Reads the small files of a list, by their names below its folder. `today` tells which suspensions are over.
///
/// # Errors
/// When there is no dump of members.
pub fn read(files: &BTreeMap<String, Vec<u8>>, now: DateTime<Utc>) -> Result<OldList, String> {
    let members = ["member.dump", "subscribers.db.dump", "subscribers.dump"].iter().find_map(|name| files.get(*name));
    let Some(members) = members else {
        return Err("there is no member.dump: run deploy/sympa_export.pl on the old machine, or `sympa dump --roles=member,owner,editor LIST@DOMAIN`".into());
    };
    let about = files.get("list.dump").map(|bytes| paragraphs(bytes)).unwrap_or_default();
    let address = about.first().and_then(|about| value(about, "address")?.parse::<EmailAddress>().ok());
    let mut list =
        OldList { name: address.as_ref().map(|address| address.local().to_owned()).unwrap_or_default(), address, ..OldList::default() };
    let config: Vec<Paragraph> = files.get("config").map(|bytes| paragraphs(bytes)).unwrap_or_default();
    let setting = |key: &str| config.iter().find_map(|paragraph| value(paragraph, key)).map(str::to_owned);
    let main_language = setting("lang").and_then(|text| language(&text));
    let languages: HashMap<String, String> = files
        .get("user.dump")
        .map(|bytes| paragraphs(bytes))
        .unwrap_or_default()
        .iter()
        .filter_map(|user| Some((value(user, "email")?.to_lowercase(), value(user, "lang")?.to_owned())))
        .collect();
    let mut list_warnings = Vec::new();
    for paragraph in paragraphs(members) {
        let Some(address) = value(&paragraph, "email") else { continue };
        let own = value(&paragraph, "subscribed").is_none_or(|text| text != "0");
        let included = value(&paragraph, "included").is_some_and(|text| text == "1") || value(&paragraph, "inclusion").is_some();
        let included = included && !(own && value(&paragraph, "subscribed").is_some());
        let Some(member) = list.member(address) else { continue };
        member.name = value(&paragraph, "gecos").unwrap_or_default().to_owned();
        let own_language = value(&paragraph, "lang").or_else(|| languages.get(&address.to_lowercase()).map(String::as_str));
        member.language = own_language.and_then(language).or(main_language);
        member.since = instant(value(&paragraph, "date").or(value(&paragraph, "date_epoch")));
        match value(&paragraph, "reception").unwrap_or("mail") {
            "digest" | "summary" => member.delivery = DeliveryMode::Digest,
            "digestplain" => (member.delivery, member.plain_digest) = (DeliveryMode::Digest, true),
            "urlize" => member.links = true,
            "nomail" => (member.delivery, member.disabled) = (DeliveryMode::None, Disabled::ByHerself),
            "not_me" => member.own_posts = false,
            _ => {}
        }
        // A suspension with dates, unless it is over; without an end it is a delivery that is switched off.
        if value(&paragraph, "suspend") == Some("1") {
            let start = instant(value(&paragraph, "startdate")).unwrap_or(now);
            match instant(value(&paragraph, "enddate")) {
                Some(end) if end > now && end >= start => {
                    member.absence = Some(Absence { from: start.date_naive(), until: end.date_naive() });
                }
                Some(_) => {}
                None if start <= now => (member.delivery, member.disabled) = (DeliveryMode::None, Disabled::ByHerself),
                None => list_warnings.push(format!("{address} wanted no mail from {} on, without an end", start.date_naive())),
            }
        }
        let score = value(&paragraph, "bounce_score").or(value(&paragraph, "score")).and_then(|text| text.parse::<u32>().ok());
        if score.is_some_and(|score| score >= 80) {
            member.disabled = Disabled::Bouncing;
        }
        if included {
            let address = member.address.clone();
            list.warnings.push(format!("{address} came from an included source of the old list"));
        }
    }
    list.warnings.append(&mut list_warnings);
    for (file, role) in [("owner.dump", Role::Manager), ("editor.dump", Role::Moderator)] {
        for paragraph in files.get(file).map(|bytes| paragraphs(bytes)).unwrap_or_default() {
            if let Some(address) = value(&paragraph, "email") {
                list.staff(address, role);
            }
        }
    }
    // Before the dumps, owners and editors stood in the configuration itself.
    for paragraph in &config {
        let role = match paragraph.first().map(|(key, _)| key.as_str()) {
            Some("owner") => Role::Manager,
            Some("editor") => Role::Moderator,
            _ => continue,
        };
        if let Some(address) = value(paragraph, "email") {
            list.staff(address, role);
        }
    }
    for paragraph in files.get("exclude.dump").map(|bytes| paragraphs(bytes)).unwrap_or_default() {
        list.departed.extend(value(&paragraph, "email").and_then(|address| address.parse().ok()));
    }
    for name in ["blocklist.txt", "blacklist.txt", "search_filters/blocklist.txt", "search_filters/blacklist.txt"] {
        let text = files.get(name).map(|bytes| String::from_utf8_lossy(bytes).into_owned()).unwrap_or_default();
        list.bans.extend(text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned));
    }
    for (name, bytes) in files.iter().filter(|(name, _)| name.starts_with("moderation/")) {
        if !name.trim_start_matches("moderation/").contains('/') {
            list.held.push(bytes.clone());
        }
    }
    for paragraph in files.get("requests.dump").map(|bytes| paragraphs(bytes)).unwrap_or_default() {
        list.requests.extend(value(&paragraph, "email").and_then(|address| address.parse().ok()));
    }
    settings(&mut list, &config, &setting);
    Ok(list)
}

fn settings(list: &mut OldList, config: &[Paragraph], setting: &dyn Fn(&str) -> Option<String>) {
    list.title = setting("subject").unwrap_or_default();
    if let Some(policy) = setting("subscribe") {
        let known = match policy.as_str() {
            "closed" => "closed",
            policy if policy.contains("owner") => "approve",
            _ => "open",
        };
        list.settings.insert("subscription", known.into());
    }
    if let Some(policy) = setting("send") {
        let known = if policy.contains("editor") { "hold" } else { "reject" };
        list.settings.insert("nonmember", known.into());
        // Where only editors or owners might post, posts of everybody else wait for them here.
        let few = ["editor", "newsletter", "owner", "closed"].iter().any(|few| policy.starts_with(few));
        list.settings.insert("moderate", few.to_string());
        if !policy.starts_with("private") && !policy.starts_with("editorkey") {
            list.warnings.push(format!("the sending rule was \"{policy}\"; here subscribers post, and others are refused or held"));
        }
    }
    let archive =
        config.iter().find(|paragraph| paragraph.first().is_some_and(|(key, _)| matches!(key.as_str(), "archive" | "web_archive")));
    if let Some(access) = archive.and_then(|paragraph| value(paragraph, "web_access").or(value(paragraph, "access"))) {
        list.settings.insert("archive", if access == "public" { "public" } else { "members" }.into());
    }
    if setting("custom_subject").is_some_and(|prefix| !prefix.is_empty()) {
        list.warnings.push(SUBJECT_PREFIX.into());
    }
    if let Some(octets) = setting("max_size") {
        list.warnings.push(largest(&format!("{} octets", octets.escape_debug())));
    }
    let replies = config.iter().find(|paragraph| paragraph.first().is_some_and(|(key, _)| key == "reply_to_header"));
    if replies.and_then(|paragraph| value(paragraph, "value")).is_some_and(|to| matches!(to, "list" | "all")) {
        list.warnings.push(REPLIES.into());
    }
    for source in config.iter().filter_map(|paragraph| paragraph.first()).filter(|(key, _)| key.starts_with("include_")) {
        list.warnings.push(format!("{} has to be declared anew: an LDAP source by [directory.ldap], others by an import", source.0));
    }
}
