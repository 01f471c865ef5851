//! ARC sets of a received message that claim to be ours (RFC 8617) and are not known to hold: they do not pass into a copy.
//!
//! Readers may believe our own seal more than others. A set that names our organisational domain as its sealer, or as who looked, is
//! kept only where the whole chain was found to hold; else all fields of that instance go, and what is left of the chain is as
//! broken as it was. Not here: making seals (`mail::sign`), verifying them (`smtp::proof`).

use std::collections::BTreeSet;

use super::field::{self, Field, Header};

/// Longest instance: no chain is longer (RFC 8617 section 4.2.1).
const INSTANCES: u32 = 50;

/// The sets that are dropped.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Forged {
    instances: BTreeSet<u32>,
    /// Some that name us have no instance that can be read.
    unreadable: bool,
}

/// Sets in `header` that name `domain`, or another name of the same organisation.
pub(super) fn forged(message: &[u8], header: &Header, domain: &str) -> Forged {
    let mut forged = Forged::default();
    for found in header.fields.iter().filter(|field| is_arc(&field.name)) {
        let value = value(message, found);
        if names(&found.name, &value).any(|name| is_of_one(&name, domain)) {
            match instance(&value) {
                Some(instance) => _ = forged.instances.insert(instance),
                None => forged.unreadable = true,
            }
        }
    }
    forged
}

impl Forged {
    /// Is this field one of them?
    pub(super) fn has(&self, message: &[u8], field: &Field) -> bool {
        if !is_arc(&field.name) || *self == Self::default() {
            return false;
        }
        instance(&value(message, field)).map_or(self.unreadable, |instance| self.instances.contains(&instance))
    }
}

fn is_arc(name: &str) -> bool {
    ["arc-seal", "arc-message-signature", "arc-authentication-results"].iter().any(|arc| name.eq_ignore_ascii_case(arc))
}

fn value(message: &[u8], found: &Field) -> String {
    field::unfolded(message, found).to_ascii_lowercase()
}

/// Who is named: the domain of a signature, the identifier of who looked.
fn names(name: &str, value: &str) -> impl Iterator<Item = String> {
    let results = name.eq_ignore_ascii_case("arc-authentication-results");
    let parts: Vec<String> = value.split(';').map(|part| part.chars().filter(|c| !c.is_whitespace()).collect()).collect();
    let found: Vec<String> = if results {
        // Behind the instance; a version may follow, and comments are dropped with it.
        let behind = value.split(';').nth(1).unwrap_or_default();
        behind.split([' ', '\t', '(', '"']).filter(|word| word.contains('.')).map(str::to_owned).collect()
    } else {
        parts.iter().filter_map(|part| part.strip_prefix("d=")).map(str::to_owned).collect()
    };
    found.into_iter()
}

fn instance(value: &str) -> Option<u32> {
    let plain: String = value.chars().filter(|c| !c.is_whitespace()).collect();
    let number = plain.split(';').find_map(|part| part.strip_prefix("i="))?;
    number.parse().ok().filter(|number| (1..=INSTANCES).contains(number))
}

/// Are both of the same organisation (RFC 7489 section 3.2)?
pub(super) fn is_of_one(name: &str, domain: &str) -> bool {
    let name = name.trim_end_matches('.');
    name == domain || psl::domain_str(name).is_some_and(|organisation| psl::domain_str(domain) == Some(organisation))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(head: &str) -> Vec<String> {
        let message = format!("{head}From: a@b.test\r\n\r\nbody").into_bytes();
        let header = field::split(&message).unwrap();
        let forged = forged(&message, &header, "lists.example.org");
        header.fields.iter().filter(|field| !forged.has(&message, field)).map(|found| field::unfolded(&message, found)).collect()
    }

    fn set(instance: u32, domain: &str, id: &str) -> String {
        format!(
            "ARC-Seal: i={instance}; a=rsa-sha256; cv=none;\r\n\td={domain}; s=x; b=AA==\r\nARC-Message-Signature: i={instance}; a=rsa-sha256; d={domain}; b=AA==\r\n\
             ARC-Authentication-Results: i={instance}; {id};\r\n\tdmarc=pass header.from=b.test\r\n"
        )
    }

    #[test]
    fn whole_sets_that_name_us_go_and_others_stay() {
        for (domain, id) in [
            ("lists.example.org", "lists.example.org"),
            ("evil.test", "lists.example.org"),
            ("lists.example.org", "evil.test"),
            ("example.org", "evil.test"),
            ("evil.test", "(x) mx.example.org 1"),
            ("evil.test", "\"mx.example.org\""),
            ("LISTS.Example.ORG", "x.test"),
            (" lists.example.org ", "x.test"),
        ] {
            assert_eq!(left(&set(1, domain, id)).len(), 1, "{domain} {id}");
            assert_eq!(left(&(set(2, domain, id) + &set(1, "forwarder.test", "forwarder.test"))).len(), 4, "{domain} {id}");
        }
        for domain in ["forwarder.test", "notexample.org", "example.org.evil.test", "lists.example.com"] {
            assert_eq!(left(&set(1, domain, domain)).len(), 4, "{domain}");
        }
    }

    #[test]
    fn a_set_without_an_instance_goes_too() {
        assert_eq!(left("ARC-Seal: d=lists.example.org\r\nARC-Seal: i=99999999999; d=example.org\r\n").len(), 1);
        assert_eq!(left("ARC-Seal: i=1; d=forwarder.test\r\nX-Seal: d=lists.example.org\r\n").len(), 3);
    }
}
