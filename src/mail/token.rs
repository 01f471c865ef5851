//! Opaque, keyed tokens: in reverse-paths (VERP), in reply addresses, and in links.
//!
//! A token is a synthetic initialisation vector and a payload encrypted under it (the construction of RFC 5297, with
//! HMAC-SHA-256, RFC 2104, as its pseudo-random function): the same content gives the same token, which stores nothing,
//! and nothing can be read from it or made without the key. Its purpose is under the tag, so a token of one purpose is
//! worthless for another. Written in the base32 alphabet of RFC 4648 in lower case, which survives mail systems that
//! change the case of a local part; reading ignores case.
//! Not here: whether it was used already. That is the store's record of the request or the post.

use std::sync::{Arc, PoisonError, RwLock};

use chrono::{DateTime, Utc};
use data_encoding::BASE32_NOPAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::domain::group::GroupCode;
use crate::domain::id::{AccountId, PostId};

/// Octets of the secret from which all keys are derived.
pub const SECRET_OCTETS: usize = 32;
/// Longest token that stands in an address.
pub const ADDRESS_TOKEN_OCTETS: usize = 26;
/// Longest local part of a list, so that `L-moderate+TOKEN` keeps to the 64 octets of RFC 5321 section 4.5.3.1.1.
pub const LIST_NAME_OCTETS: usize = 64 - "-moderate+".len() - ADDRESS_TOKEN_OCTETS;
/// Longest text that is looked at when a token is read.
const TEXT_OCTETS: usize = 512;

const VERP_TAG: usize = 5;
const ADDRESS_TAG: usize = 8;
const ONE_CLICK_TAG: usize = 10;
const LINK_TAG: usize = 16;

/// What a token is good for. The number is part of the token; never reuse one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// Reverse-path of a copy.
    Verp = 1,
    /// `/u/TOKEN`: leave a group without a login (RFC 8058).
    OneClick = 2,
    /// `L-confirm+TOKEN`: yes, I asked to subscribe or to leave; carries a request's id.
    Confirm = 3,
    /// `L-confirm+TOKEN`: yes, I sent this post; carries a post's id.
    Author = 4,
    /// `L-moderate+TOKEN`: let the held post through; carries a post's id.
    Release = 5,
    /// `L-moderate+TOKEN`: send the held post back; carries a post's id.
    Reject = 6,
    /// `L-moderate+TOKEN`: drop the held post; carries a post's id.
    Discard = 7,
    /// `L-moderate+TOKEN`: approve a request for subscription; carries a request's id.
    Approve = 8,
    /// `L-moderate+TOKEN`: deny a request for subscription; carries a request's id.
    Deny = 9,
    /// A link in a mail that signs a person in.
    SignIn = 10,
    /// The cookie of a signed-in session.
    Session = 11,
    /// Protects a form against requests made elsewhere.
    Form = 12,
    /// A link that shows a private thing, such as a calendar feed.
    Feed = 13,
    /// A link that stops an announcement or statement within its grace time; carries a post's id.
    Stop = 14,
    /// `L-moderate+TOKEN`: let the held post through, and its sender always; carries a post's id.
    Allow = 30,
    /// The seal of a manifest of the archive; never sent.
    Manifest = 40,
    /// The cookie of a sign-in that is under way at an OpenID Connect provider.
    Oidc = 41,
    /// A link that adds an address to an account; carries the account and a number.
    NewAddress = 42,
    /// Undoes a one-click leave on the page that said it; names the record of who left.
    Undo = 43,
    /// `L-moderate+TOKEN`: the answer to a receipt corrects a statement; carries a statement's id.
    LiaisonCorrect = 20,
    /// `L-confirm+TOKEN`: circulate the statement now; carries a statement's id.
    LiaisonConfirm = 21,
    /// `L-moderate+TOKEN`: take the statement back; carries a statement's id.
    LiaisonStop = 22,
}

/// What the reverse-path of a copy tells when it comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Verp {
    /// Which post.
    pub post: PostId,
    /// Number of the batch in its plan.
    pub batch: u32,
    /// Index of the recipient in the batch.
    pub index: u16,
}

/// Recipients of a batch, as the ledger slices a plan: with it batch and index make one number of 24 bits.
const BATCH_RECIPIENTS: u32 = 250;
/// One more than the largest number of a recipient that fits: 16.7 million copies of one post.
const VERP_LIMIT: u32 = 1 << 24;

/// The keys, derived from one or several secrets; clones share them, so that a new one is in use everywhere at once.
#[derive(Clone)]
pub struct Keys(Arc<RwLock<Ring>>);

/// The newest first: it makes tokens, all of them read.
type Ring = Arc<[Pair]>;

/// The keys of one secret.
#[derive(Clone)]
struct Pair {
    tag: Hmac<Sha256>,
    stream: Hmac<Sha256>,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys(…)")
    }
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    // HMAC takes a key of any length, so this error has no way to occur; an empty key would only make tokens unreadable.
    Hmac::new_from_slice(key).unwrap_or_else(|_| Hmac::new(&hmac::digest::Key::<Hmac<Sha256>>::default()))
}

impl Keys {
    /// Keys of this secret: 32 octets of good randomness, made once and kept by the store.
    pub fn new(secret: &[u8; SECRET_OCTETS]) -> Self {
        Self::ring([secret])
    }

    /// Keys of several secrets, the newest first.
    pub fn ring<'s>(secrets: impl IntoIterator<Item = &'s [u8; SECRET_OCTETS]>) -> Self {
        Self(Arc::new(RwLock::new(secrets.into_iter().map(Pair::of).collect())))
    }

    /// Takes other secrets from now on, in every clone.
    pub fn replace<'s>(&self, secrets: impl IntoIterator<Item = &'s [u8; SECRET_OCTETS]>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = secrets.into_iter().map(Pair::of).collect();
    }

    fn pairs(&self) -> Ring {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn seal(&self, purpose: Purpose, tag_octets: usize, payload: &[u8]) -> String {
        self.pairs().first().map(|newest| newest.seal(purpose, tag_octets, payload)).unwrap_or_default()
    }

    fn open(&self, purpose: Purpose, tag_octets: usize, text: &str) -> Option<Vec<u8>> {
        self.pairs().iter().find_map(|pair| pair.open(purpose, tag_octets, text))
    }
}

impl Pair {
    fn of(secret: &[u8; SECRET_OCTETS]) -> Self {
        let derive = |label: &[u8]| {
            let mut mac = keyed(secret);
            mac.update(label);
            keyed(&mac.finalize().into_bytes())
        };
        Self { tag: derive(b"enlace token tag"), stream: derive(b"enlace token stream") }
    }

    fn tag_of(&self, purpose: Purpose, payload: &[u8]) -> Hmac<Sha256> {
        let mut mac = self.tag.clone();
        mac.update(&[purpose as u8]);
        mac.update(payload);
        mac
    }

    fn mask(&self, purpose: Purpose, tag: &[u8], payload: &mut [u8]) {
        for (number, block) in payload.chunks_mut(32).enumerate() {
            let mut mac = self.stream.clone();
            mac.update(&[purpose as u8, u8::try_from(number).unwrap_or(u8::MAX)]);
            mac.update(tag);
            for (octet, key) in block.iter_mut().zip(mac.finalize().into_bytes()) {
                *octet ^= key;
            }
        }
    }

    fn seal(&self, purpose: Purpose, tag_octets: usize, payload: &[u8]) -> String {
        let tag = self.tag_of(purpose, payload).finalize().into_bytes();
        let mut token = Vec::with_capacity(tag_octets + payload.len());
        token.extend_from_slice(&tag[..tag_octets]);
        token.extend_from_slice(payload);
        let (tag, payload) = token.split_at_mut(tag_octets);
        self.mask(purpose, tag, payload);
        let mut text = BASE32_NOPAD.encode(&token);
        text.make_ascii_lowercase();
        text
    }

    fn open(&self, purpose: Purpose, tag_octets: usize, text: &str) -> Option<Vec<u8>> {
        if text.len() > TEXT_OCTETS {
            return None;
        }
        let mut token = BASE32_NOPAD.decode(text.to_ascii_uppercase().as_bytes()).ok()?;
        if token.len() < tag_octets {
            return None;
        }
        let mut payload = token.split_off(tag_octets);
        self.mask(purpose, &token, &mut payload);
        // Compares in constant time.
        self.tag_of(purpose, &payload).verify_truncated_left(&token).ok()?;
        Some(payload)
    }
}

impl Keys {
    /// Token of a copy's reverse-path, 26 octets; `None` past 16.7 million recipients, where the plain bounce address serves.
    pub fn verp(&self, verp: Verp) -> Option<String> {
        let number = verp.batch.checked_mul(BATCH_RECIPIENTS)?.checked_add(u32::from(verp.index))?;
        if number >= VERP_LIMIT || u32::from(verp.index) >= BATCH_RECIPIENTS {
            return None;
        }
        let mut payload = [0; 11];
        payload[..8].copy_from_slice(&verp.post.0.to_be_bytes());
        payload[8..].copy_from_slice(&number.to_be_bytes()[1..]);
        Some(self.seal(Purpose::Verp, VERP_TAG, &payload))
    }

    /// Reads what [`Keys::verp`] made.
    pub fn read_verp(&self, text: &str) -> Option<Verp> {
        let payload: [u8; 11] = self.open(Purpose::Verp, VERP_TAG, text)?.try_into().ok()?;
        let (post, number) = payload.split_at(8);
        let number = u32::from_be_bytes([0, number[0], number[1], number[2]]);
        Some(Verp {
            post: PostId(u64::from_be_bytes(post.try_into().ok()?)),
            batch: number / BATCH_RECIPIENTS,
            index: u16::try_from(number % BATCH_RECIPIENTS).ok()?,
        })
    }

    /// Token for a reply address, 26 octets; `id` is a request's or a post's. How long it is good is kept with that record.
    pub fn address_token(&self, purpose: Purpose, id: u64) -> String {
        self.seal(purpose, ADDRESS_TAG, &id.to_be_bytes())
    }

    /// Reads what [`Keys::address_token`] made for this purpose.
    pub fn read_address_token(&self, purpose: Purpose, text: &str) -> Option<u64> {
        self.open(purpose, ADDRESS_TAG, text)?.try_into().ok().map(u64::from_be_bytes)
    }

    /// The first of `purposes` for which `text` is a reply-address token, with its id.
    pub fn read_address_token_of(&self, purposes: &[Purpose], text: &str) -> Option<(Purpose, u64)> {
        purposes.iter().find_map(|purpose| self.read_address_token(*purpose, text).map(|id| (*purpose, id)))
    }

    /// Token of the link by which this account leaves this group (RFC 8058). Never expires: people click on old mail.
    pub fn one_click(&self, account: AccountId, group: &GroupCode) -> String {
        let code = group.as_str().as_bytes();
        let mut payload = Vec::with_capacity(8 + code.len());
        payload.extend_from_slice(&account.0.to_be_bytes());
        payload.extend_from_slice(code);
        self.seal(Purpose::OneClick, ONE_CLICK_TAG, &payload)
    }

    /// Reads what [`Keys::one_click`] made.
    pub fn read_one_click(&self, text: &str) -> Option<(AccountId, GroupCode)> {
        let payload = self.open(Purpose::OneClick, ONE_CLICK_TAG, text)?;
        let (account, code) = payload.split_at_checked(8)?;
        let account = AccountId(u64::from_be_bytes(account.try_into().ok()?));
        Some((account, std::str::from_utf8(code).ok()?.parse().ok()?))
    }

    /// Token of a link or cookie with any payload (at most 200 octets; more is cut off by the reader's limit) and an optional end.
    pub fn link_token(&self, purpose: Purpose, payload: &[u8], expires: Option<DateTime<Utc>>) -> String {
        let mut whole = Vec::with_capacity(8 + payload.len());
        whole.extend_from_slice(&expires.map_or(i64::MAX, |end| end.timestamp()).to_be_bytes());
        whole.extend_from_slice(payload);
        self.seal(purpose, LINK_TAG, &whole)
    }

    /// The payload of what [`Keys::link_token`] made for this purpose, unless it is over at `now`.
    pub fn read_link_token(&self, purpose: Purpose, text: &str, now: DateTime<Utc>) -> Option<Vec<u8>> {
        let whole = self.open(purpose, LINK_TAG, text)?;
        let (end, payload) = whole.split_at_checked(8)?;
        let end = i64::from_be_bytes(end.try_into().ok()?);
        (now.timestamp() < end).then(|| payload.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn keys() -> Keys {
        Keys::new(&[7; SECRET_OCTETS])
    }

    fn flipped(token: &str, position: usize, bit: u8) -> Option<String> {
        let mut octets = BASE32_NOPAD.decode(token.to_ascii_uppercase().as_bytes()).unwrap();
        *octets.get_mut(position)? ^= 1 << bit;
        Some(BASE32_NOPAD.encode(&octets).to_ascii_lowercase())
    }

    proptest! {
        #[test]
        fn verp_tokens_come_back_and_fit_an_address(post in any::<u64>(), batch in 0_u32..67_000, index in 0_u16..250) {
            let verp = Verp { post: PostId(post), batch, index };
            let token = keys().verp(verp).unwrap();
            prop_assert!(token.len() <= ADDRESS_TOKEN_OCTETS);
            prop_assert!(token.bytes().all(|b| b.is_ascii_lowercase() || (b'2'..=b'7').contains(&b)));
            prop_assert_eq!(keys().read_verp(&token), Some(verp));
            prop_assert_eq!(keys().read_verp(&token.to_ascii_uppercase()), Some(verp));
            prop_assert_eq!(Keys::new(&[8; SECRET_OCTETS]).read_verp(&token), None);
        }

    }

    proptest! {
        // Each case reads 2,000 forged tokens.
        #![proptest_config(ProptestConfig::with_cases(8))]

        #[test]
        fn every_flipped_bit_is_refused(id in any::<u64>(), account in any::<u64>()) {
            let keys = keys();
            let group: GroupCode = "SG12RG-AMR".parse().unwrap();
            let verp = keys.verp(Verp { post: PostId(id), batch: 3, index: 9 }).unwrap();
            let address = keys.address_token(Purpose::Confirm, id);
            let click = keys.one_click(AccountId(account), &group);
            let link = keys.link_token(Purpose::SignIn, &id.to_be_bytes(), None);
            for (position, bit) in (0..64).flat_map(|position| (0..8).map(move |bit| (position, bit))) {
                for (token, read) in [
                    (&verp, &(|t: &str| keys.read_verp(t).is_some()) as &dyn Fn(&str) -> bool),
                    (&address, &|t: &str| keys.read_address_token(Purpose::Confirm, t).is_some()),
                    (&click, &|t: &str| keys.read_one_click(t).is_some()),
                    (&link, &|t: &str| keys.read_link_token(Purpose::SignIn, t, DateTime::UNIX_EPOCH).is_some()),
                ] {
                    prop_assert!(read(token));
                    if let Some(forged) = flipped(token, position, bit) {
                        prop_assert!(!read(&forged), "{} {}", position, bit);
                    }
                }
            }
        }

    }

    proptest! {
        #[test]
        fn rubbish_is_refused_without_a_panic(text in any::<String>()) {
            prop_assert!(keys().read_verp(&text).is_none());
            prop_assert!(keys().read_one_click(&text).is_none());
            prop_assert!(keys().read_link_token(Purpose::Session, &text, DateTime::UNIX_EPOCH).is_none());
        }
    }

    #[test]
    fn a_hundred_thousand_guesses_find_nothing() {
        let keys = keys();
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        for _ in 0..100_000 {
            let mut octets = [0; 16];
            for half in octets.chunks_mut(8) {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                half.copy_from_slice(&state.to_be_bytes());
            }
            let guess = BASE32_NOPAD.encode(&octets).to_ascii_lowercase();
            assert!(keys.read_verp(&guess).is_none() && keys.read_address_token(Purpose::Release, &guess).is_none());
        }
    }

    #[test]
    fn a_token_of_one_purpose_is_worthless_for_another() {
        let keys = keys();
        let token = keys.address_token(Purpose::Reject, 5);
        let all = [Purpose::Release, Purpose::Discard, Purpose::Confirm, Purpose::Author, Purpose::Approve, Purpose::Deny];
        assert_eq!(keys.read_address_token_of(&all, &token), None);
        assert_eq!(keys.read_address_token_of(&[Purpose::Release, Purpose::Reject], &token), Some((Purpose::Reject, 5)));
        assert_eq!(keys.read_verp(&token), None);
    }

    #[test]
    fn a_link_ends_at_its_instant() {
        let keys = keys();
        let end = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let token = keys.link_token(Purpose::SignIn, b"ana", Some(end));
        assert_eq!(keys.read_link_token(Purpose::SignIn, &token, end - chrono::TimeDelta::seconds(1)), Some(b"ana".to_vec()));
        assert_eq!(keys.read_link_token(Purpose::SignIn, &token, end), None);
    }

    #[test]
    fn the_longest_list_name_leaves_room_for_every_token() {
        let list = "x".repeat(LIST_NAME_OCTETS);
        for suffix in ["bounces", "confirm", "moderate"] {
            let token = keys().address_token(Purpose::Confirm, u64::MAX);
            assert!(format!("{list}-{suffix}+{token}").len() <= 64, "{suffix}");
        }
    }

    #[test]
    fn more_recipients_than_fit_give_no_token_instead_of_a_wrong_one() {
        assert!(keys().verp(Verp { post: PostId(1), batch: 67_108, index: 215 }).is_some());
        assert_eq!(keys().verp(Verp { post: PostId(1), batch: 67_108, index: 216 }), None);
        assert_eq!(keys().verp(Verp { post: PostId(1), batch: 0, index: 250 }), None);
        assert_eq!(keys().verp(Verp { post: PostId(1), batch: u32::MAX, index: 0 }), None);
    }
}
