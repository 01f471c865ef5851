//! What mail to an address of the list domain does.
//!
//! The envelope decides, never a header. A list name may not end in one of the suffixes below, so that every local
//! part has one meaning, and is short enough for `L-moderate+TOKEN` to keep within the 64 octets of RFC 5321 section 4.5.3.1.1.
//! Names of the sub-addresses follow RFC 2142 section 6 and the habits of Mailman and Sympa.

use std::collections::HashMap;

use super::address::{EmailAddress, LOCAL_PART_OCTETS};
use super::group::{Group, GroupCode, GroupKind};

/// Most characters of a token in an address.
pub const TOKEN_CHARACTERS: usize = 26;
/// Most characters of a list name: what is left of a local part behind `-moderate+` and a token.
pub const LIST_NAME_CHARACTERS: usize = LOCAL_PART_OCTETS - "-moderate+".len() - TOKEN_CHARACTERS;

/// What mail to an address does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// `L@`: a discussion post.
    Post(GroupCode),
    /// `L-announce@`: an announcement.
    Announce(GroupCode),
    /// `L-liaison@`: a liaison statement of the group.
    Liaison(GroupCode),
    /// `liaison@`: a liaison statement whose own source names the group.
    LiaisonAny,
    /// `postmaster@` and `abuse@` (RFC 5321 section 4.5.1, RFC 2142 section 2): reaches who runs the service.
    Operators,
    /// `L-request@`: commands.
    Request(GroupCode),
    /// `L-join@`, `L-subscribe@`.
    Join(GroupCode),
    /// `L-leave@`, `L-unsubscribe@`.
    Leave(GroupCode),
    /// `L-confirm+TOKEN@`: the answer to a confirmation mail.
    Confirm(GroupCode, String),
    /// `L-moderate+TOKEN@`: a moderator's answer.
    Moderate(GroupCode, String),
    /// `L-owner@`, `L-editor@`, `L+owner@`: reaches the managers.
    Owner(GroupCode),
    /// `L-chairs@`: who chairs or manages the group now.
    Chairs(GroupCode),
    /// `L-tsb@`: the group's secretariat now.
    Secretariat(GroupCode),
    /// `L-bounces@`, `L-bounces+TOKEN@`: what came back.
    Bounces(GroupCode, Option<String>),
}

impl Destination {
    /// The group it concerns; `None` only for `liaison@` and who runs the service.
    pub fn group(&self) -> Option<&GroupCode> {
        match self {
            Self::LiaisonAny | Self::Operators => None,
            Self::Post(group)
            | Self::Announce(group)
            | Self::Liaison(group)
            | Self::Request(group)
            | Self::Join(group)
            | Self::Leave(group)
            | Self::Confirm(group, _)
            | Self::Moderate(group, _)
            | Self::Owner(group)
            | Self::Chairs(group)
            | Self::Secretariat(group)
            | Self::Bounces(group, _) => Some(group),
        }
    }
}

/// Suffixes that a list name may not end in.
const SUFFIXES: [&str; 14] = [
    "chairs",
    "tsb",
    "announce",
    "liaison",
    "request",
    "join",
    "subscribe",
    "leave",
    "unsubscribe",
    "confirm",
    "moderate",
    "owner",
    "editor",
    "bounces",
];

/// Names that are not lists: the address for every group's statements, and mailboxes that RFC 2142 and RFC 5321 reserve.
const RESERVED_NAMES: [&str; 8] = ["liaison", "postmaster", "abuse", "mailer-daemon", "hostmaster", "webmaster", "noreply", "no-reply"];

/// Checks a list name (the local part of a list address), lower case.
///
/// # Errors
/// What is wrong and what a name may be, in one sentence.
pub fn check_list_name(name: &str) -> Result<(), String> {
    let shown = name.escape_debug();
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    if name.is_empty() || !name.bytes().all(|b| plain(b) || b"-_.".contains(&b)) {
        return Err(format!("\"{shown}\" is not a list name: use lower-case letters, digits, \"-\", \"_\" and \".\""));
    }
    if !name.bytes().next().is_some_and(plain) || !name.bytes().last().is_some_and(plain) || name.contains("..") {
        return Err(format!("\"{shown}\" is not a list name: it begins and ends with a letter or digit and has no two dots in a row"));
    }
    if name.len() > LIST_NAME_CHARACTERS {
        return Err(format!("the list name \"{shown}\" is longer than {LIST_NAME_CHARACTERS} characters"));
    }
    if RESERVED_NAMES.contains(&name) {
        return Err(format!("the list name \"{shown}\" is reserved: choose another"));
    }
    if let Some((_, suffix)) = name.rsplit_once('-').filter(|(_, suffix)| SUFFIXES.contains(suffix)) {
        return Err(format!("the list name \"{shown}\" ends in \"-{suffix}\", which has a meaning of its own: choose another"));
    }
    Ok(())
}

/// The list names of one list domain.
#[derive(Debug, Clone, Default)]
pub struct Lists {
    domain: String,
    by_name: HashMap<String, GroupCode>,
    /// Old names by domain.
    aliases: HashMap<String, HashMap<String, GroupCode>>,
}

impl Lists {
    /// Those of `groups`, ended ones too: their addresses are known, and refused with another reason than unknown ones.
    pub fn new<'a>(domain: &str, groups: impl IntoIterator<Item = &'a Group>) -> Self {
        let mut lists = Self { domain: domain.to_ascii_lowercase(), ..Self::default() };
        for group in groups.into_iter().filter(|group| group.kind != GroupKind::External && !group.list.is_empty()) {
            lists.by_name.insert(group.list.to_ascii_lowercase(), group.code.clone());
            for alias in &group.aliases {
                let names = lists.aliases.entry(alias.domain().to_ascii_lowercase()).or_default();
                names.insert(alias.local().to_ascii_lowercase(), group.code.clone());
            }
        }
        // A list's own name comes before another's old one.
        if let Some(mut old) = lists.aliases.remove(&lists.domain) {
            old.retain(|name, _| !lists.by_name.contains_key(name));
            lists.by_name.extend(old);
        }
        lists
    }

    /// What mail to `address` does; `None` for another domain or an address that does not exist here.
    pub fn destination(&self, address: &EmailAddress) -> Option<Destination> {
        if address.domain().eq_ignore_ascii_case(&self.domain) {
            return self.of_local_part(address.local());
        }
        let names = self.aliases.get(&address.domain().to_ascii_lowercase())?;
        of_names(names, address.local()).filter(|destination| destination.group().is_some())
    }

    /// What mail to that local part of the list domain does; case does not matter, but a token is given as it came.
    pub fn of_local_part(&self, local: &str) -> Option<Destination> {
        of_names(&self.by_name, local)
    }
}

fn of_names(names: &HashMap<String, GroupCode>, local: &str) -> Option<Destination> {
    let (base, token) = match local.split_once('+') {
        Some((base, token)) => (base, Some(token)),
        None => (local, None),
    };
    let base = base.to_ascii_lowercase();
    if let Some(group) = names.get(&base) {
        return match token {
            None => Some(Destination::Post(group.clone())),
            Some(token) if token.eq_ignore_ascii_case("owner") => Some(Destination::Owner(group.clone())),
            Some(_) => None,
        };
    }
    if base == "liaison" && token.is_none() {
        return Some(Destination::LiaisonAny);
    }
    if matches!(base.as_str(), "postmaster" | "abuse") && token.is_none() {
        return Some(Destination::Operators);
    }
    let (list, suffix) = base.rsplit_once('-')?;
    let group = names.get(list)?.clone();
    match token {
        None => without_token(suffix, group),
        Some(token) => with_token(suffix, group, token),
    }
}

fn without_token(suffix: &str, group: GroupCode) -> Option<Destination> {
    Some(match suffix {
        "announce" => Destination::Announce(group),
        "liaison" => Destination::Liaison(group),
        "request" => Destination::Request(group),
        "join" | "subscribe" => Destination::Join(group),
        "leave" | "unsubscribe" => Destination::Leave(group),
        "owner" | "editor" => Destination::Owner(group),
        "chairs" => Destination::Chairs(group),
        "tsb" => Destination::Secretariat(group),
        "bounces" => Destination::Bounces(group, None),
        _ => return None,
    })
}

fn with_token(suffix: &str, group: GroupCode, token: &str) -> Option<Destination> {
    let fits = (1..=TOKEN_CHARACTERS).contains(&token.len()) && token.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
    let token = fits.then(|| token.to_owned())?;
    match suffix {
        "confirm" => Some(Destination::Confirm(group, token)),
        "moderate" => Some(Destination::Moderate(group, token)),
        "bounces" => Some(Destination::Bounces(group, Some(token))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lists() -> Lists {
        let code = |text: &str| text.parse::<GroupCode>().unwrap();
        let by_name = [("sg12rg-amr", "SG12RG-AMR"), ("sg12", "SG12")].map(|(list, group)| (list.to_owned(), code(group))).into();
        let old = HashMap::from([("amr-old".to_owned(), code("SG12RG-AMR"))]);
        Lists { domain: "lists.example.org".into(), by_name, aliases: HashMap::from([("old.example.org".into(), old)]) }
    }

    #[test]
    fn every_address_of_a_list_has_its_meaning() {
        let amr = || "SG12RG-AMR".parse::<GroupCode>().unwrap();
        let token = || "ABCDEFGHIJKLMNOPQRSTUVWXYZ".to_owned();
        let lists = lists();
        for (local, expected) in [
            ("sg12rg-amr", Some(Destination::Post(amr()))),
            ("SG12RG-AMR", Some(Destination::Post(amr()))),
            ("sg12", Some(Destination::Post("SG12".parse().unwrap()))),
            ("sg12rg-amr-announce", Some(Destination::Announce(amr()))),
            ("sg12rg-amr-Liaison", Some(Destination::Liaison(amr()))),
            ("liaison", Some(Destination::LiaisonAny)),
            ("Postmaster", Some(Destination::Operators)),
            ("abuse", Some(Destination::Operators)),
            ("postmaster+x", None),
            ("sg12rg-amr-request", Some(Destination::Request(amr()))),
            ("sg12rg-amr-join", Some(Destination::Join(amr()))),
            ("sg12rg-amr-subscribe", Some(Destination::Join(amr()))),
            ("sg12rg-amr-leave", Some(Destination::Leave(amr()))),
            ("sg12rg-amr-unsubscribe", Some(Destination::Leave(amr()))),
            ("sg12rg-amr-owner", Some(Destination::Owner(amr()))),
            ("sg12rg-amr-chairs", Some(Destination::Chairs(amr()))),
            ("sg12rg-amr-tsb", Some(Destination::Secretariat(amr()))),
            ("sg12rg-amr-editor", Some(Destination::Owner(amr()))),
            ("sg12rg-amr+owner", Some(Destination::Owner(amr()))),
            ("sg12rg-amr-confirm+ABCDEFGHIJKLMNOPQRSTUVWXYZ", Some(Destination::Confirm(amr(), token()))),
            ("sg12rg-amr-moderate+ABCDEFGHIJKLMNOPQRSTUVWXYZ", Some(Destination::Moderate(amr(), token()))),
            ("sg12rg-amr-bounces", Some(Destination::Bounces(amr(), None))),
            ("sg12rg-amr-bounces+ABCDEFGHIJKLMNOPQRSTUVWXYZ", Some(Destination::Bounces(amr(), Some(token())))),
            ("sg12rg-amr-bounces+ABCDEFGHIJKLMNOPQRSTUVWXYZ7", None),
            ("sg12rg-amr-bounces+", None),
            ("sg12rg-amr-confirm", None),
            ("sg12rg-amr-request+x", None),
            ("sg12rg-amr+x", None),
            ("sg12rg", None),
            ("sg12rg-amr-foo", None),
            ("nobody", None),
            ("liaison+x", None),
            ("-announce", None),
            ("", None),
        ] {
            assert_eq!(lists.of_local_part(local), expected, "{local}");
        }
    }

    #[test]
    fn another_domain_is_not_ours() {
        assert_eq!(lists().destination(&"sg12@example.org".parse().unwrap()), None);
        assert!(lists().destination(&"sg12@LISTS.example.org".parse().unwrap()).is_some());
    }

    #[test]
    fn an_old_address_of_a_list_keeps_its_meaning_in_its_own_domain_only() {
        let of = |address: &str| lists().destination(&address.parse().unwrap());
        let amr = || "SG12RG-AMR".parse::<GroupCode>().unwrap();
        assert_eq!(of("amr-old@OLD.example.org"), Some(Destination::Post(amr())));
        assert_eq!(of("amr-old-leave@old.example.org"), Some(Destination::Leave(amr())));
        for unknown in ["amr-old@lists.example.org", "sg12@old.example.org", "liaison@old.example.org", "abuse@old.example.org"] {
            assert_eq!(of(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn list_names_leave_room_for_every_token_and_no_double_meaning() {
        for good in ["sg12rg-amr", "tsag", "t25sg12", "a.b_c", &"x".repeat(LIST_NAME_CHARACTERS)] {
            assert_eq!(check_list_name(good), Ok(()), "{good}");
            assert!(format!("{good}-bounces+").len() + TOKEN_CHARACTERS <= LOCAL_PART_OCTETS);
            assert!(format!("{good}-moderate+").len() + TOKEN_CHARACTERS <= LOCAL_PART_OCTETS);
        }
        let long = "x".repeat(LIST_NAME_CHARACTERS + 1);
        let mut bad = vec!["", "SG12", "a+b", "a b", "é", "-a", "a-", ".a", "a..b", "liaison", "postmaster", "a\n", &long];
        let suffixed: Vec<_> = SUFFIXES.iter().map(|suffix| format!("sg12-{suffix}")).collect();
        bad.extend(suffixed.iter().map(String::as_str));
        for bad in bad {
            assert!(check_list_name(bad).is_err(), "{bad:?}");
        }
    }
}
