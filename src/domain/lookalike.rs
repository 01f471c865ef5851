//! Addresses that look like another one (UTS 39 section 4): shown to people who decide, never used by the gate.
//!
//! Two addresses are the same for the gate only if they are equal; letters of another script make another address. But a moderator reads
//! `аna@example.org` with a Cyrillic letter and sees a colleague, so whoever decides is told whom it looks like.

use unicode_security::skeleton;

use super::address::EmailAddress;

/// What a reader sees, so that two addresses that look alike have one look: the skeleton of the shown form.
pub fn look(address: &EmailAddress) -> String {
    let (domain, _) = idna::domain_to_unicode(address.domain());
    let shown = format!("{}@{domain}", address.local());
    // As written first, because a capital I looks like a small l and not like a small i.
    let once: String = skeleton(&shown).collect();
    skeleton(&once.to_lowercase()).collect::<String>().to_lowercase()
}

/// Does `address` look like `known` without being it?
pub fn looks_like(address: &EmailAddress, known: &EmailAddress) -> bool {
    address.key() != known.key() && look(address) == look(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> EmailAddress {
        text.parse().unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn s10_look_alikes_are_seen_and_others_are_not() {
        for (strange, known) in [
            ("\u{430}na@example.org", "ana@example.org"),
            ("an\u{430}@example.org", "ana@example.org"),
            ("\u{430}n\u{430}@example.org", "ana@example.org"),
            ("ana@ex\u{430}mple.org", "ana@example.org"),
            ("ana@xn--exmple-4nf.org", "ana@example.org"),
            ("ana@\u{435}xample.org", "ana@example.org"),
            ("ana@exampl\u{435}.org", "ana@example.org"),
            ("ana@examp\u{4cf}e.org", "ana@example.org"),
            ("c\u{43e}ra@example.org", "cora@example.org"),
            ("\u{441}ora@example.org", "cora@example.org"),
            ("p\u{430}ul@example.org", "paul@example.org"),
            ("\u{440}aul@example.org", "paul@example.org"),
            ("bi11@example.org", "bill@example.org"),
            ("biII@example.org", "bill@example.org"),
            ("j0e@example.org", "joe@example.org"),
            ("rnary@example.org", "mary@example.org"),
            ("ana@examp1e.org", "ana@example.org"),
            ("\u{3b1}na@example.org", "\u{251}na@example.org"),
            ("\u{455}am@example.org", "sam@example.org"),
            ("\u{458}oe@example.org", "joe@example.org"),
            ("te\u{455}t@example.org", "test@example.org"),
            ("\u{443}an@example.org", "yan@example.org"),
        ] {
            let (strange, known) = (address(strange), address(known));
            assert!(looks_like(&strange, &known), "{strange} and {known}: {} {}", look(&strange), look(&known));
            assert_ne!(strange, known, "the gate never takes one for the other");
        }
        for (one, other) in
            [("ana@example.org", "ANA@Example.org"), ("ana@example.org", "ann@example.org"), ("ana@example.org", "ana@example.net")]
        {
            assert!(!looks_like(&address(one), &address(other)), "{one} {other}");
        }
    }
}
