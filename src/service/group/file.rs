//! The groups file: `[[group]]` tables of TOML into groups, every mistake with its line and remedy.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use chrono_tz::Tz;
use serde::Deserialize;
use toml::Spanned;

use crate::config::{Config, ConfigError, Problem, Span};
use crate::domain::address::EmailAddress;
use crate::domain::destination::check_list_name;
use crate::domain::group::{
    ArchiveAccess, Group, GroupCode, GroupKind, GuestLiaison, GuestPolicy, MissingEdition, NonmemberPolicy, ParticipationPolicy, Region,
    SubscriptionPolicy,
};
use crate::domain::house::{HouseRules, MemberRule};
use crate::domain::language::{Language, Localized};
use crate::domain::meeting::OwnLeadTimes;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    group: Vec<Spanned<Entry>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    code: Spanned<GroupCode>,
    kind: Spanned<GroupKind>,
    parent: Option<Spanned<GroupCode>>,
    region: Option<Spanned<Region>>,
    list: Option<Spanned<String>>,
    languages: Option<Spanned<Vec<Language>>>,
    name: Spanned<BTreeMap<Language, String>>,
    timezone: Option<Tz>,
    subscription: Option<SubscriptionPolicy>,
    guests: Option<GuestPolicy>,
    participation: Option<Spanned<ParticipationPolicy>>,
    nonmember: Option<NonmemberPolicy>,
    guest_liaison: Option<GuestLiaison>,
    missing_edition: Option<MissingEdition>,
    #[serde(default)]
    secretariat: Vec<EmailAddress>,
    contact: Option<EmailAddress>,
    #[serde(default)]
    supporting_members: Vec<String>,
    grace: Option<Spanned<Span>>,
    personal: Option<bool>,
    footer: Option<Spanned<BTreeMap<Language, String>>>,
    moderate: Option<bool>,
    release_by: Option<Spanned<u8>>,
    #[serde(default)]
    banned: Vec<Spanned<String>>,
    #[serde(default)]
    rule: Vec<MemberRule>,
    #[serde(default)]
    purpose: BTreeMap<Language, String>,
    #[serde(default)]
    legal_basis: BTreeMap<Language, String>,
    archive: Option<ArchiveAccess>,
    archive_keep: Option<Spanned<Span>>,
    #[serde(default)]
    aliases: Vec<Spanned<EmailAddress>>,
    monthly_reminder: Option<bool>,
    retired: Option<bool>,
    parent_must_endorse: Option<Spanned<bool>>,
    #[serde(default)]
    meetings: OwnLeadTimes,
}

/// Longest grace time: a statement that nobody can see for longer than that was forgotten, not stopped.
const GRACE_LONGEST: std::time::Duration = std::time::Duration::from_hours(7 * 24);
/// Longest name and footer.
pub(super) const TEXT_CHARACTERS: usize = 2_000;

struct Reader<'a> {
    text: &'a str,
    file: &'a str,
    problems: Vec<Problem>,
    warnings: Vec<String>,
}

impl Reader<'_> {
    fn line(&self, octet: usize) -> usize {
        self.text.as_bytes().iter().take(octet).filter(|b| **b == b'\n').count() + 1
    }

    fn problem(&mut self, octet: usize, text: impl Into<String>, remedy: impl Into<String>) {
        let line = self.line(octet);
        self.problems.push(Problem { file: self.file.into(), line, text: text.into(), remedy: remedy.into() });
    }

    fn warn(&mut self, octet: usize, text: &str) {
        self.warnings.push(format!("{}, line {}: {text}", self.file, self.line(octet)));
    }
}

/// Reads a groups file into groups and warnings, in the order of the file.
///
/// `existing` are the groups that are there: a parent may be one of them, a list name may not be another's, and whether a
/// group has ended is kept unless the file says it.
///
/// # Errors
/// Every mistake; a mistake of form (TOML, unknown key, wrong value) hides those behind it.
pub fn parse(text: &str, file: &str, config: &Config, existing: &[Group]) -> Result<(Vec<Group>, Vec<String>), Vec<Problem>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = Reader { text, file, problems: Vec::new(), warnings: Vec::new() };
    let read: File = toml::from_str(text).map_err(|error| {
        let found = ConfigError::from_toml(&error, text, Path::new(file));
        let line = error.span().map_or(1, |span| reader.line(span.start));
        let remedy = if found.remedy.is_empty() { "mend it and apply the file again".to_owned() } else { found.remedy };
        vec![Problem { file: file.to_owned(), line, text: found.text, remedy }]
    })?;
    if read.group.is_empty() {
        reader.problem(0, "no group is in the file", "write a [[group]] table for each");
    }
    check_codes(&mut reader, &read.group);
    check_lists(&mut reader, &read.group, existing);
    check_aliases(&mut reader, &read.group, &config.service.domain, existing);
    check_parents(&mut reader, &read.group, existing);
    warn_of_support(&mut reader, &read.group);
    let groups: Vec<Group> = read.group.into_iter().map(|entry| group(&mut reader, entry.into_inner(), config, existing)).collect();
    if reader.problems.is_empty() {
        Ok((groups, reader.warnings))
    } else {
        reader.problems.sort_by_key(|problem| problem.line);
        Err(reader.problems)
    }
}

fn check_codes(reader: &mut Reader<'_>, entries: &[Spanned<Entry>]) {
    let mut seen: HashMap<&GroupCode, usize> = HashMap::new();
    for entry in entries {
        let code = &entry.get_ref().code;
        if let Some(first) = seen.insert(code.get_ref(), code.span().start) {
            let first = reader.line(first);
            reader.problem(
                code.span().start,
                format!("{} stands twice in the file", code.get_ref()),
                format!("leave this one or that of line {first} out"),
            );
        }
    }
}

fn check_lists(reader: &mut Reader<'_>, entries: &[Spanned<Entry>], existing: &[Group]) {
    // A group that the file names has the file's list name; the others keep theirs.
    let named: Vec<&GroupCode> = entries.iter().map(|entry| entry.get_ref().code.get_ref()).collect();
    let mut taken: HashMap<String, String> = existing
        .iter()
        .filter(|group| !named.contains(&&group.code) && !group.list.is_empty())
        .map(|group| (group.list.clone(), group.code.to_string()))
        .collect();
    for entry in entries {
        let entry = entry.get_ref();
        let external = *entry.kind.get_ref() == GroupKind::External;
        let Some(list) = &entry.list else {
            if !external {
                reader.problem(
                    entry.code.span().start,
                    format!("{} has no list", entry.code.get_ref()),
                    "add list = \"…\", the local part of its address",
                );
            }
            continue;
        };
        if external {
            reader.warn(list.span().start, "an external body has no list here; its list is passed over");
            continue;
        }
        if let Err(why) = check_list_name(list.get_ref()) {
            let (text, remedy) = why.split_once(": ").unwrap_or((&why, "choose another"));
            reader.problem(list.span().start, text, remedy);
        }
        if let Some(other) = taken.insert(list.get_ref().clone(), entry.code.get_ref().to_string()) {
            reader.problem(
                list.span().start,
                format!("the list \"{}\" is that of {other}", list.get_ref().escape_debug()),
                "choose another",
            );
        }
    }
}

/// An alias may be the address of one list only, and not one of this service's own.
fn check_aliases(reader: &mut Reader<'_>, entries: &[Spanned<Entry>], domain: &str, existing: &[Group]) {
    let named: Vec<&GroupCode> = entries.iter().map(|entry| entry.get_ref().code.get_ref()).collect();
    let others: Vec<&Group> = existing.iter().filter(|group| !named.contains(&&group.code)).collect();
    let lists: Vec<(String, String)> = others
        .iter()
        .map(|group| (group.list.clone(), group.code.to_string()))
        .chain(
            entries
                .iter()
                .filter_map(|entry| Some((entry.get_ref().list.as_ref()?.get_ref().clone(), entry.get_ref().code.get_ref().to_string()))),
        )
        .collect();
    let mut taken: HashMap<String, String> =
        others.iter().flat_map(|group| group.aliases.iter().map(|alias| (alias.key(), group.code.to_string()))).collect();
    for entry in entries {
        let entry = entry.get_ref();
        for alias in &entry.aliases {
            let (at, alias) = (alias.span().start, alias.get_ref());
            let local = alias.local().to_ascii_lowercase();
            if let Err(why) = check_list_name(&local) {
                reader.problem(at, format!("the alias {alias} cannot be one: {why}"), "name the old address of the list itself");
            }
            let own = alias.domain().eq_ignore_ascii_case(domain).then(|| lists.iter().find(|(list, _)| *list == local)).flatten();
            let other = own.map(|(_, code)| code.clone()).or_else(|| taken.insert(alias.key(), entry.code.get_ref().to_string()));
            if let Some(other) = other {
                reader.problem(at, format!("{alias} is an address of {other} already"), "leave one of them out");
            }
        }
    }
}

fn check_parents(reader: &mut Reader<'_>, entries: &[Spanned<Entry>], existing: &[Group]) {
    let mut kinds: HashMap<&GroupCode, GroupKind> = existing.iter().map(|group| (&group.code, group.kind)).collect();
    kinds.extend(entries.iter().map(|entry| (entry.get_ref().code.get_ref(), *entry.get_ref().kind.get_ref())));
    for entry in entries {
        let entry = entry.get_ref();
        let code = entry.code.get_ref();
        let regional = *entry.kind.get_ref() == GroupKind::Regional;
        match &entry.parent {
            None if regional => {
                reader.problem(
                    entry.code.span().start,
                    format!("{code} is regional and has no parent"),
                    "add parent = \"…\", its study group",
                );
            }
            None => {}
            Some(parent) => match kinds.get(parent.get_ref()) {
                None => reader.problem(
                    parent.span().start,
                    format!("the parent {} is neither in the file nor among the groups", parent.get_ref()),
                    "add it, or mend its code",
                ),
                Some(_) if parent.get_ref() == code => {
                    reader.problem(parent.span().start, format!("{code} is its own parent"), "name its study group");
                }
                Some(GroupKind::Regional | GroupKind::External) => {
                    reader.problem(parent.span().start, format!("{} cannot be a parent", parent.get_ref()), "name a study group");
                }
                Some(_) => {}
            },
        }
        match &entry.region {
            None if regional => {
                reader.problem(
                    entry.code.span().start,
                    format!("{code} is regional and has no region"),
                    "add region = \"africa\", \"americas\", \"arab-states\", \"asia-pacific\", \"eecat\" or \"europe\"",
                );
            }
            Some(region) if !regional => {
                reader.problem(
                    region.span().start,
                    format!("{code} has a region and is not regional"),
                    "leave region out, or set kind = \"regional\"",
                );
            }
            _ => {}
        }
    }
}

fn group(reader: &mut Reader<'_>, entry: Entry, config: &Config, existing: &[Group]) -> Group {
    let at = entry.code.span().start;
    let code = entry.code.get_ref().clone();
    let kind = *entry.kind.get_ref();
    check_texts(reader, &entry, kind);
    let languages = match &entry.languages {
        Some(languages) if languages.get_ref().is_empty() => {
            reader.problem(languages.span().start, format!("{code} has no working language"), "name at least one, or leave the key out");
            Vec::new()
        }
        Some(languages) => {
            for language in languages.get_ref().iter().filter(|language| !config.service.languages.contains(language)) {
                reader.warn(
                    languages.span().start,
                    &format!("the service has no templates in \"{language}\"; pages and mail fall back to another language"),
                );
            }
            languages.get_ref().clone()
        }
        None => config.service.languages.iter().take(1).copied().collect(),
    };
    let participation = entry.participation.as_ref().map_or(ParticipationPolicy::Standard, |policy| *policy.get_ref());
    let of_sg3 = entry.parent.as_ref().is_some_and(|parent| parent.get_ref().as_str() == "SG3");
    if kind == GroupKind::Regional && of_sg3 != (participation == ParticipationPolicy::Sg3) {
        reader.warn(at, &format!("{code}: regional groups of SG3, and no others, have participation = \"sg3\" (WTSA Resolution 1, 2.3.2)"));
    }
    let ended = existing.iter().find(|group| group.code == code).is_some_and(|group| group.retired);
    if ended && entry.retired.is_none() {
        reader.warn(at, &format!("{code} has ended and stays so; retired = false brings it back"));
    }
    let grace = entry.grace.as_ref().map_or(std::time::Duration::from_mins(10), |grace| grace.get_ref().0);
    if grace > GRACE_LONGEST {
        reader.problem(
            entry.grace.as_ref().map_or(at, |grace| grace.span().start),
            "the grace time is longer than 7 days",
            "use a shorter one",
        );
    }
    if let Some(endorse) = entry.parent_must_endorse.as_ref().filter(|endorse| *endorse.get_ref() && kind != GroupKind::Regional) {
        reader.problem(endorse.span().start, format!("{code} is not regional, so no parent endorses its statements"), "leave the key out");
    }
    let house = house(reader, &entry);
    Group {
        kind,
        parent: entry.parent.map(Spanned::into_inner),
        region: entry.region.map(Spanned::into_inner),
        list: entry.list.map(Spanned::into_inner).filter(|_| kind != GroupKind::External).unwrap_or_default(),
        languages,
        name: Localized(entry.name.into_inner()),
        timezone: entry.timezone.unwrap_or(config.service.timezone),
        subscription: entry.subscription.unwrap_or(SubscriptionPolicy::Open),
        guests: entry.guests.unwrap_or(GuestPolicy::Approve),
        participation,
        nonmember: entry.nonmember.unwrap_or(NonmemberPolicy::Reject),
        guest_liaison: entry.guest_liaison.unwrap_or(GuestLiaison::Cover),
        missing_edition: entry.missing_edition.unwrap_or(MissingEdition::Wait(3)),
        secretariat: entry.secretariat,
        contact: entry.contact,
        supporting_members: entry.supporting_members,
        grace,
        personal: entry.personal.unwrap_or(true),
        footer: entry.footer.map(Spanned::into_inner).filter(|footer| !footer.is_empty()).map(Localized),
        house,
        archive: entry.archive.unwrap_or(ArchiveAccess::Members),
        archive_keep: entry.archive_keep.map(|keep| keep.get_ref().0).unwrap_or_default(),
        aliases: entry.aliases.into_iter().map(Spanned::into_inner).collect(),
        monthly_reminder: entry.monthly_reminder.unwrap_or(false),
        retired: entry.retired.unwrap_or(ended),
        parent_must_endorse: entry.parent_must_endorse.is_some_and(Spanned::into_inner),
        meetings: entry.meetings,
        code,
    }
}

fn house(reader: &mut Reader<'_>, entry: &Entry) -> HouseRules {
    let persons = entry.release_by.as_ref().map_or(1, |persons| *persons.get_ref());
    if let Some(given) = entry.release_by.as_ref().filter(|_| !matches!(persons, 1 | 2)) {
        reader.problem(given.span().start, format!("release_by = {persons}"), "held posts are released by 1 or by 2 persons");
    }
    let mut banned = Vec::new();
    for ban in &entry.banned {
        match self::ban(ban.get_ref()) {
            Some(text) => banned.push(text),
            None => reader.problem(
                ban.span().start,
                format!("\"{}\" is neither an address nor a domain", ban.get_ref().escape_debug()),
                "write \"eve@example.org\" or \"@example.org\"",
            ),
        }
    }
    HouseRules {
        moderate: entry.moderate.unwrap_or(false),
        two_persons: persons == 2,
        banned,
        rules: entry.rule.clone(),
        purpose: Localized(entry.purpose.clone()),
        legal_basis: Localized(entry.legal_basis.clone()),
    }
}

/// Who may not write, in lower case: an address, or `@domain`; `None` if it is neither.
pub(super) fn ban(given: &str) -> Option<String> {
    let text = given.trim().to_lowercase();
    let form = if text.starts_with('@') { format!("x{text}") } else { text.clone() };
    form.parse::<EmailAddress>().is_ok().then_some(text)
}

fn check_texts(reader: &mut Reader<'_>, entry: &Entry, kind: GroupKind) {
    let at = entry.code.span().start;
    let code = entry.code.get_ref();
    if entry.name.get_ref().is_empty() {
        reader.problem(entry.name.span().start, format!("{code} has no name"), "write name = { en = \"…\" }");
    }
    for (language, name) in entry.name.get_ref() {
        if name.trim().is_empty() || name.chars().any(char::is_control) || name.chars().count() > TEXT_CHARACTERS {
            reader.problem(
                entry.name.span().start,
                format!("the name in \"{language}\" is empty, too long, or has control characters"),
                "write one line of text",
            );
        }
    }
    if let Some(footer) = &entry.footer {
        let bad = |text: &String| text.chars().any(|c| c.is_control() && c != '\n') || text.chars().count() > TEXT_CHARACTERS;
        if footer.get_ref().values().any(bad) {
            reader.problem(footer.span().start, "the footer is too long or has control characters", "write plain lines of text");
        }
    }
    if kind == GroupKind::External && entry.contact.is_none() {
        reader.problem(at, format!("{code} is external and has no contact"), "add contact = \"…\", the address to which copies go");
    }
}

/// One warning for all of them, so that a file of many groups stays readable.
fn warn_of_support(reader: &mut Reader<'_>, entries: &[Spanned<Entry>]) {
    let few: Vec<&Entry> = entries
        .iter()
        .map(Spanned::get_ref)
        .filter(|entry| *entry.kind.get_ref() == GroupKind::Regional && supporters(entry) < 2)
        .collect();
    let Some(first) = few.first() else { return };
    let codes: Vec<&str> = few.iter().map(|entry| entry.code.get_ref().as_str()).collect();
    let text =
        format!("fewer than two supporting members, which a regional group needs (WTSA Resolution 54 resolves 1): {}", codes.join(", "));
    reader.warn(first.code.span().start, &text);
}

fn supporters(entry: &Entry) -> usize {
    let mut members: Vec<String> = entry.supporting_members.iter().map(|member| member.trim().to_lowercase()).collect();
    members.retain(|member| !member.is_empty());
    members.sort();
    members.dedup();
    members.len()
}
