//! Stored forms: a version byte, then postcard.
//!
//! Every row, plan slice and log entry that holds a value goes through here, so that a form can change in one place:
//! a new version gets a new byte and the old one is still read. Numbers are varints; times are nanoseconds since 1970.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use super::{Result, StoreError};
use crate::domain::group::Group;
use crate::domain::meeting::OwnLeadTimes;
use crate::domain::subscription::Subscription;

/// The version that is written.
const VERSION: u8 = 1;

/// The stored form of `value`.
///
/// # Errors
/// `Unavailable` if the value has no stored form, which is a mistake in the program.
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>> {
    postcard::to_extend(value, vec![VERSION]).map_err(|e| StoreError::Unavailable(format!("a value has no stored form: {e}")))
}

/// The value of a stored form; `what` names the record in the error.
///
/// # Errors
/// `Damaged` if the bytes are not such a form, or of a version this program does not know.
pub fn decode<T: DeserializeOwned>(what: &str, bytes: &[u8]) -> Result<T> {
    match bytes.split_first() {
        Some((&VERSION, rest)) => postcard::from_bytes(rest).map_err(|e| damaged(what, &e.to_string())),
        Some((&version, _)) => Err(damaged(what, &format!("form {version} is newer than this program, which knows form {VERSION}"))),
        None => Err(damaged(what, "it is empty")),
    }
}

/// A value that got fields at its end after version 1 of its form.
///
/// While nothing is set in them it is written as version 1, without them, so that an earlier release reads it: the way back to one is
/// to take the new settings back first. As version 2 it has them all.
pub trait Grown: Serialize + DeserializeOwned {
    /// The added fields with nothing set, as they stand at the end.
    const ADDED: &'static [u8];

    /// Is something set in them?
    fn uses_added(&self) -> bool;
}

/// A parent that must endorse, own lead times.
impl Grown for Group {
    const ADDED: &'static [u8] = &[0; 8];

    fn uses_added(&self) -> bool {
        self.parent_must_endorse || self.meetings != OwnLeadTimes::default()
    }
}

/// An absence.
impl Grown for Subscription {
    const ADDED: &'static [u8] = &[0];

    fn uses_added(&self) -> bool {
        self.absence.is_some()
    }
}

impl<T: Grown> Grown for Box<T> {
    const ADDED: &'static [u8] = T::ADDED;

    fn uses_added(&self) -> bool {
        (**self).uses_added()
    }
}

/// The version with the added fields.
const GROWN: u8 = 2;

/// The stored form of a value that has grown.
///
/// # Errors
/// As [`encode`].
pub fn encode_grown<T: Grown>(value: &T) -> Result<Vec<u8>> {
    let stored = encode(value)?;
    Ok(shrunk(stored, T::ADDED, value.uses_added()))
}

/// Takes the added fields off the end, unless they are used.
pub fn shrunk(mut stored: Vec<u8>, added: &[u8], used: bool) -> Vec<u8> {
    if used || !stored.ends_with(added) {
        stored[0] = GROWN;
    } else {
        stored.truncate(stored.len() - added.len());
    }
    stored
}

/// The value of [`encode_grown`], or of a record from before it has grown.
///
/// # Errors
/// As [`decode`].
pub fn decode_grown<T: Grown>(what: &str, bytes: &[u8]) -> Result<T> {
    decode(what, &whole(bytes, T::ADDED))
}

/// Version 1 with the added fields at its end.
pub fn whole<'a>(bytes: &'a [u8], added: &[u8]) -> Cow<'a, [u8]> {
    match bytes.split_first() {
        Some((&VERSION, _)) => Cow::Owned([bytes, added].concat()),
        Some((&GROWN, rest)) => Cow::Owned([&[VERSION], rest].concat()),
        _ => Cow::Borrowed(bytes),
    }
}

/// The error for a record that cannot be read.
pub fn damaged(what: &str, why: &str) -> StoreError {
    StoreError::Damaged(format!("{what} cannot be read: {why}; stop the service and restore the last backup (`enlace restore`)"))
}

/// Longest key that is stored as it is: PostgreSQL's index takes some 2,700 octets a row, and keys come from mails.
const KEY_OCTETS: usize = 512;

/// A key as it is stored, in every backend alike: a long one ends in its digest.
pub fn key(key: &str) -> Vec<u8> {
    let bytes = key.as_bytes();
    if bytes.len() <= KEY_OCTETS {
        return bytes.to_vec();
    }
    let mut short = bytes[..KEY_OCTETS].to_vec();
    short.extend_from_slice(&digest(bytes));
    short
}

/// SHA-256.
pub fn digest(bytes: &[u8]) -> Vec<u8> {
    Sha256::digest(bytes).to_vec()
}

/// Nanoseconds since 1970; instants outside of 1677 to 2262 become the nearest end.
pub fn nanoseconds(at: DateTime<Utc>) -> i64 {
    at.timestamp_nanos_opt().unwrap_or(if at.timestamp() < 0 { i64::MIN } else { i64::MAX })
}

/// The instant of [`nanoseconds`].
pub fn instant(nanoseconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_nanos(nanoseconds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::AccountId;
    use crate::domain::subscription::{Absence, Provenance};
    use crate::store::transfer::{self, Item};

    #[test]
    fn forms_come_back_and_foreign_ones_are_refused_in_words() {
        let value = ("SG12".to_owned(), 7_u64, Some(vec![1_u8, 2]));
        let stored = encode(&value).unwrap();
        assert_eq!(decode::<(String, u64, Option<Vec<u8>>)>("row", &stored).unwrap(), value);
        let mut newer = stored.clone();
        newer[0] = 9;
        for bytes in [&newer[..], &stored[..3], &[]] {
            let error = decode::<(String, u64, Option<Vec<u8>>)>("the row of X", bytes).unwrap_err().to_string();
            assert!(error.contains("the row of X") && error.contains("restore"), "{error}");
        }
    }

    #[test]
    fn a_value_that_has_grown_is_written_as_before_until_the_new_fields_are_used() {
        let mut one = Subscription::new("SG12".parse().unwrap(), AccountId(7), Provenance::Own, instant(1));
        let s = one.clone();
        // The fields of the first form, one behind the other.
        let front = (&s.group, s.account, s.role, s.delivery, &s.languages, s.both, &s.streams, s.own_posts);
        let middle = (s.links, s.plain_digest, s.invitations, s.moderated);
        let behind = (&s.state, s.provenance, &s.invitation, s.since);
        let before = [&encode(&front).unwrap()[..], &encode(&middle).unwrap()[1..], &encode(&behind).unwrap()[1..]].concat();
        assert_eq!(decode_grown::<Subscription>("one", &before).unwrap(), one);
        assert_eq!(encode_grown(&one).unwrap(), before, "an earlier release reads it");
        let day = |text: &str| text.parse().unwrap();
        one.absence = Some(Absence { from: day("2027-01-10"), until: day("2027-01-15") });
        let now = encode_grown(&one).unwrap();
        assert_eq!((now[0], decode_grown::<Subscription>("one", &now).unwrap()), (GROWN, one.clone()));
        assert!(decode::<Subscription>("one", &now).unwrap_err().to_string().contains("newer than this program"), "which tells it plainly");
        // A backup holds the same as an item of its kind.
        for (item, form) in [(Item::Subscription(Box::new(s)), VERSION), (Item::Subscription(Box::new(one)), GROWN)] {
            let stored = transfer::encode(&item).unwrap();
            assert_eq!((stored[0], transfer::decode("item", &stored).unwrap()), (form, item));
        }
        let cut = decode_grown::<Subscription>("one", &before[..before.len() - 3]);
        assert!(matches!(cut, Err(StoreError::Damaged(_))), "what is cut off is not taken for an earlier form: {cut:?}");
    }

    #[test]
    fn a_group_is_written_as_before_until_its_new_settings_are_used() {
        let plain = crate::domain::gate::tests::regional();
        let stored = encode_grown(&plain).unwrap();
        assert_eq!((stored[0], stored.len() + Group::ADDED.len()), (VERSION, encode(&plain).unwrap().len()));
        let leads = OwnLeadTimes { documents: Some("10 days".parse().unwrap()), ..OwnLeadTimes::default() };
        for group in [plain.clone(), Group { parent_must_endorse: true, ..plain.clone() }, Group { meetings: leads, ..plain }] {
            assert_eq!(decode_grown::<Group>("group", &encode_grown(&group).unwrap()).unwrap(), group);
            let item = Item::Group(Box::new(group));
            assert_eq!(transfer::decode("item", &transfer::encode(&item).unwrap()).unwrap(), item);
        }
    }

    #[test]
    fn long_keys_are_short_and_differ() {
        let (one, other) = ("x".repeat(5000), format!("{}y", "x".repeat(4999)));
        assert_ne!(key(&one), key(&other));
        assert!(key(&one).len() < 600);
        assert_eq!(key("a\0b"), b"a\0b");
    }

    #[test]
    fn instants_keep_their_nanoseconds() {
        let at = DateTime::from_timestamp(1_800_000_000, 123_456_789).unwrap();
        assert_eq!(instant(nanoseconds(at)), at);
    }
}
