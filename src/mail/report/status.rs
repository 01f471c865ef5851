//! The machine-readable part of a notification: `message/delivery-status` (RFC 3464) and its international form (RFC 6533).
//!
//! Written by many hands: groups run together, actions with remarks behind them, statuses that say nothing beside a
//! diagnostic that says all.

use mail_parser::Message;

use super::{RECIPIENTS, ReportedRecipient, content_type, fields, line, part_text};
use crate::domain::address::EmailAddress;
use crate::domain::bounce::{BounceClass, classify, enhanced_status, is_general};

/// The recipients of the first delivery status; `None` if there is no such part or it names nobody in any way.
///
/// Recipients who got it (`delivered`, `relayed`, `expanded`) are left out: a receipt is no failure.
pub(super) fn read(parsed: &Message<'_>) -> Option<Vec<ReportedRecipient>> {
    let mut found = None;
    for part in &parsed.parts {
        if !matches!(content_type(part).as_str(), "message/delivery-status" | "message/global-delivery-status" | "message/deliverystatus") {
            continue;
        }
        let text = part_text(part);
        let groups = groups(&text);
        let recipients: Vec<_> = groups.iter().filter_map(recipient).take(RECIPIENTS).collect();
        let readable = !recipients.is_empty() || groups.iter().any(|group| get(group, "action").is_some());
        if readable && found.as_ref().is_none_or(Vec::is_empty) {
            found = Some(recipients);
        }
    }
    found.or_else(|| damaged(parsed))
}

/// Fields in a report whose boundaries do not fit: everything from the first recipient on that looks like a group.
fn damaged(parsed: &Message<'_>) -> Option<Vec<ReportedRecipient>> {
    let root = parsed.parts.first().filter(|part| content_type(part) == "multipart/report")?;
    let raw = parsed.raw_message().get(root.offset_body as usize..).unwrap_or_default();
    let text = String::from_utf8_lossy(&raw[..raw.len().min(super::FIELD_OCTETS)]).replace("\r\n", "\n");
    let lower = text.to_ascii_lowercase();
    let begins = ["\nfinal-recipient:", "\noriginal-recipient:"].iter().filter_map(|name| lower.find(name)).min()?;
    let begins = lower[..begins].rfind("\n\n").unwrap_or(begins);
    let ends = ["message/rfc822", "text/rfc822-headers"]
        .iter()
        .filter_map(|kind| lower[begins..].find(kind))
        .min()
        .map_or(text.len(), |end| begins + end);
    let recipients: Vec<_> = groups(&text[begins..ends]).iter().filter_map(recipient).take(RECIPIENTS).collect();
    (!recipients.is_empty()).then_some(recipients)
}

type Fields = Vec<(String, String)>;

/// Groups of fields, one a recipient; one begins at an empty line, or where a field comes that the group has already.
fn groups(text: &str) -> Vec<Fields> {
    let mut groups = Vec::new();
    for block in text.split("\n\n") {
        let mut group: Fields = Vec::new();
        for (name, value) in fields(block) {
            let begins = matches!(name.as_str(), "final-recipient" | "original-recipient");
            if begins && group.iter().any(|(known, _)| *known == name) {
                groups.push(std::mem::take(&mut group));
            }
            group.push((name, value));
        }
        if !group.is_empty() {
            groups.push(group);
        }
    }
    groups
}

fn get<'f>(fields: &'f Fields, name: &str) -> Option<&'f str> {
    fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
}

fn recipient(fields: &Fields) -> Option<ReportedRecipient> {
    let named = ["original-recipient", "final-recipient", "x-actual-recipient"].map(|name| get(fields, name));
    if named[0].is_none() && named[1].is_none() {
        return None;
    }
    let given = get(fields, "status").unwrap_or_default();
    // Some put the words in a comment behind the status.
    let comment = given.split_once('(').map_or("", |(_, words)| words.trim_end_matches(')'));
    let diagnostic = get(fields, "diagnostic-code").map_or(comment, |code| match code.split_once(';') {
        Some((kind, words)) if kind.len() <= 20 && !kind.trim().contains(' ') => words.trim(),
        _ => code,
    });
    let given: String = given.trim_start().chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
    let status = enhanced_status(diagnostic).filter(|_| is_general(&given)).unwrap_or_else(|| given.clone());
    let action = get(fields, "action").unwrap_or_default().to_lowercase();
    let class = match action.split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default() {
        "delivered" | "relayed" | "expanded" => return None,
        "delayed" => BounceClass::Delay,
        _ if given.starts_with("2.") => return None,
        _ => classify(&status, diagnostic),
    };
    Some(ReportedRecipient { address: address(named, diagnostic), class, diagnostic: line(diagnostic), status })
}

/// The first name that is an address; else one that the diagnostic names; else what stands there.
fn address(named: [Option<&str>; 3], diagnostic: &str) -> String {
    let bare = |value: &str| {
        let value = value.rsplit_once(';').map_or(value, |(_, address)| address).trim();
        let value = value.rsplit_once('<').map_or(value, |(_, address)| address);
        line(value.split_once('>').map_or(value, |(address, _)| address).trim_matches(['<', '>', ' ', '"']))
    };
    let names: Vec<String> = named.into_iter().flatten().map(bare).filter(|name| !name.is_empty()).collect();
    let is_address = |name: &&String| name.parse::<EmailAddress>().is_ok();
    if let Some(found) = names.iter().find(is_address) {
        return found.clone();
    }
    let in_words = super::notice::addresses_in(diagnostic).into_iter().next();
    in_words.or_else(|| names.into_iter().find(|name| !name.contains("unknown") && !name.contains(['/', '|', ' ']))).unwrap_or_default()
}
