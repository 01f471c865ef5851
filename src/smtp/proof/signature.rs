//! What a DKIM signature has to be before it shows anything, and before it is enough to announce or liaise.
//!
//! RFC 8301 (no rsa-sha1, no RSA key below 1024 bits), RFC 6376 sections 3.6.1 and 6.1. The stricter part is against replay:
//! a genuine signed message that is sent again with another Subject, to another list, or months later
//! would still verify, so whoever may speak for the group needs a signature over everything that readers see.

use chrono::{DateTime, TimeDelta, Utc};
use mail_auth::common::crypto::Algorithm;
use mail_auth::common::verify::DomainKey;
use mail_auth::dkim::Signature;

use crate::mail::field::{self, Header};

/// A signature that speaks for the group may be so old.
pub const AGE: TimeDelta = TimeDelta::days(7);
/// Clocks differ by so much.
const SKEW: TimeDelta = TimeDelta::hours(24);
/// Fields that it has to cover besides From; RFC 6376 section 5.4.1 recommends them.
const COVERED: [&str; 4] = ["subject", "to", "date", "message-id"];
/// Fields of which there may be only one (RFC 5322 section 3.6), or two readers see two things.
const SINGLE: [&str; 7] = ["from", "subject", "to", "cc", "date", "message-id", "sender"];

/// Smallest RSA key (RFC 8301 section 3.2).
const RSA_BITS: usize = 1_024;

// Flags of a key record as mail-auth keeps them: its constants are not public.
const HASH_SHA1: u64 = 0x01;
const HASH_SHA256: u64 = 0x02;
const TESTING: u64 = 0x10;

/// Why a signature shows nothing, whatever its key says.
pub(super) fn refused(signature: &Signature, now: DateTime<Utc>) -> Option<&'static str> {
    let at = |seconds: u64| i64::try_from(seconds).ok().and_then(|seconds| DateTime::from_timestamp(seconds, 0));
    if signature.a == Algorithm::RsaSha1 {
        return Some("rsa-sha1");
    }
    if signature.l > 0 {
        return Some("signs only a part of the body");
    }
    if !covers(signature, "from") {
        return Some("does not sign From");
    }
    if signature.t > 0 && at(signature.t).is_none_or(|made| made > now + SKEW) {
        return Some("made in the future");
    }
    if signature.x > 0 && at(signature.x).is_some_and(|end| end < now) {
        return Some("expired");
    }
    None
}

/// Why a key cannot be used for this signature.
pub(super) fn unusable_key(key: &DomainKey, signature: &Signature) -> Option<&'static str> {
    let hashes = key.f & (HASH_SHA1 | HASH_SHA256);
    if hashes == HASH_SHA1 {
        return Some("the key is for sha1 only");
    }
    if key.f & TESTING != 0 {
        return Some("the key is for tests (t=y)");
    }
    if signature.a == Algorithm::RsaSha256 && key.p.public_key_bits() < RSA_BITS {
        return Some("the key is shorter than 1024 bits");
    }
    None
}

fn covers(signature: &Signature, name: &str) -> bool {
    signature.h.iter().any(|signed| signed.trim().eq_ignore_ascii_case(name))
}

/// Why a good signature is not enough to announce or to liaise.
///
/// `date` is the message's Date, which stands in for a missing `t=`.
pub(super) fn weakness(signature: &Signature, date: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Option<&'static str> {
    if signature.l > 0 {
        return Some("it signs only a part of the body");
    }
    if !COVERED.iter().all(|name| covers(signature, name)) {
        return Some("it does not sign all of Subject, To, Date and Message-ID");
    }
    let made = if signature.t > 0 { i64::try_from(signature.t).ok().and_then(|t| DateTime::from_timestamp(t, 0)) } else { date };
    match made {
        Some(made) if made > now - AGE && made < now + SKEW => None,
        _ => Some("it is older than a week, or of an unknown time"),
    }
}

/// Is a field there twice that may be there once, or missing where the reader needs it?
pub fn doubled(header: &Header) -> Option<String> {
    SINGLE.iter().find(|name| header.count(name) > 1).map(|name| format!("{} {name} fields", header.count(name)))
}

/// The signatures of a header whose domain fulfils `of`, from top to bottom, at most `most`.
pub(super) fn of_domain(message: &[u8], header: &Header, most: usize, of: impl Fn(&str) -> bool) -> Vec<Signature> {
    header
        .named("dkim-signature")
        .filter_map(|signature| {
            let value = [field::unfolded(message, signature).as_bytes(), b"\r\n"].concat();
            Signature::parse(&value).ok()
        })
        .filter(|signature| of(&signature.d.to_ascii_lowercase()))
        .take(most)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signature(tags: &str) -> Signature {
        let text = format!("v=1; a=rsa-sha256; d=member.example; s=s; b=AAAA; bh=AAAA; {tags}\r\n");
        Signature::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn what_a_replay_could_change_has_to_be_signed() {
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let all = "h=From:Subject:To:Date:Message-ID";
        let of = |tags: &str| weakness(&signature(tags), Some(now), now);
        assert_eq!(of(&format!("{all}; t=1799990000")), None);
        assert_eq!(of(all), None);
        for missing in ["Subject", "To", "Date", "Message-ID"] {
            assert!(of(&all.replace(missing, "X")).is_some(), "{missing}");
        }
        assert!(of(&format!("{all}; l=10")).is_some());
        assert!(of(&format!("{all}; t=1799000000")).is_some());
        assert!(weakness(&signature(all), Some(now - AGE), now).is_some());
        assert!(weakness(&signature(all), None, now).is_some());
    }

    #[test]
    fn old_hashes_cut_bodies_and_other_times_show_nothing() {
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        assert_eq!(refused(&signature("h=From"), now), None);
        for (tags, why) in [
            ("h=Subject", "does not sign From"),
            ("h=From; l=1", "signs only a part of the body"),
            ("h=From; t=1800200000", "made in the future"),
            ("h=From; t=99999999999999", "made in the future"),
            ("h=From; t=1; x=1799999999", "expired"),
        ] {
            assert_eq!(refused(&signature(tags), now), Some(why), "{tags}");
        }
        let old = Signature::parse(b"v=1; a=rsa-sha1; d=a.example; s=s; b=AAAA; bh=AAAA; h=From\r\n").unwrap();
        assert_eq!(refused(&old, now), Some("rsa-sha1"));
    }
}
