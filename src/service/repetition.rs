//! Requests of programs that may be repeated: the same `Idempotency-Key` gives the first answer again.
//!
//! After draft-ietf-httpapi-idempotency-key-header: the key belongs to one token and one request body. A repetition while the first
//! request still runs is told so; a first request that a crash cut off is forgotten after [`ABANDONED_MINUTES`].

use chrono::{DateTime, TimeDelta, Utc};
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Failure, Services};
use crate::store::record;

const REGISTER: &str = "api-repetition";
/// An answer is kept that long.
pub const KEPT_HOURS: i64 = 24;
/// A request without an answer is taken for dead after that.
pub const ABANDONED_MINUTES: i64 = 10;
/// Longest key, in octets.
pub const KEY_OCTETS: usize = 255;
/// Answers larger than this are not kept: the repetition is refused with the reason, never carried out twice.
const ANSWER_OCTETS: usize = 256 * 1024;
const PAGE: usize = 500;

/// An answer as it was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Given {
    /// HTTP status.
    pub status: u16,
    /// Media type.
    pub media: String,
    /// Body.
    pub body: Vec<u8>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Record {
    request: [u8; 32],
    at: DateTime<Utc>,
    given: Option<Given>,
}

/// What is known about a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known {
    /// Nothing: carry it out, then [`finish`].
    New(Place),
    /// It was answered so.
    Answered(Given),
    /// The first request is still being carried out.
    Running,
    /// The key was used for another request.
    Other,
}

/// Where the answer will be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    key: String,
    version: u64,
    request: [u8; 32],
}

/// Looks a key up and reserves it when it is new. `request` is everything that makes the request what it is.
///
/// # Errors
/// When the store fails.
pub async fn begin(services: &Services, token: &str, key: &str, request: &[&[u8]]) -> Result<Known, Failure> {
    let key = HEXLOWER.encode(&Sha256::digest(format!("{token}\0{key}")));
    let mut digest = Sha256::new();
    for part in request {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    let request: [u8; 32] = digest.finalize().into();
    let now = services.now();
    let mut expected = 0;
    if let Some((version, bytes)) = services.store.entry(REGISTER, &key).await? {
        let record = decode(&bytes)?;
        let over = if record.given.is_some() { TimeDelta::hours(KEPT_HOURS) } else { TimeDelta::minutes(ABANDONED_MINUTES) };
        if now - record.at < over {
            return Ok(match record.given {
                _ if record.request != request => Known::Other,
                Some(given) => Known::Answered(given),
                None => Known::Running,
            });
        }
        expected = version;
    }
    let record = Record { request, at: now, given: None };
    Ok(match services.store.put_entry(REGISTER, &key, expected, record::encode(&record)?).await? {
        Some(version) => Known::New(Place { key, version, request }),
        None => Known::Running,
    })
}

/// Keeps the answer for repetitions. A failure of ours (5xx) is not kept: the repetition is a new attempt.
///
/// # Errors
/// When the store fails.
pub async fn finish(services: &Services, place: Place, given: Given) -> Result<(), Failure> {
    if given.status >= 500 {
        return Ok(services.store.remove_entry(REGISTER, &place.key).await?);
    }
    let given = if given.body.len() > ANSWER_OCTETS {
        let text = r#"{"type":"about:blank","title":"The answer was too large to be kept","status":409,"detail":"The request was carried out before; ask for its result with GET"}"#;
        Given { status: 409, media: "application/problem+json".into(), body: text.into() }
    } else {
        given
    };
    let record = Record { request: place.request, at: services.now(), given: Some(given) };
    services.store.put_entry(REGISTER, &place.key, place.version, record::encode(&record)?).await?;
    Ok(())
}

/// Forgets answers that are older than [`KEPT_HOURS`]. Returns how many.
///
/// # Errors
/// When the store fails.
pub async fn forget(services: &Services) -> Result<u64, Failure> {
    let (mut after, mut forgotten): (Option<String>, u64) = (None, 0);
    let before = services.now() - TimeDelta::hours(KEPT_HOURS);
    loop {
        let page = services.store.entries(REGISTER, after.as_deref(), PAGE).await?;
        let Some((last, ..)) = page.last() else { return Ok(forgotten) };
        after = Some(last.clone());
        for (key, _, bytes) in page {
            if decode(&bytes)?.at < before {
                services.store.remove_entry(REGISTER, &key).await?;
                forgotten += 1;
            }
        }
    }
}

fn decode(bytes: &[u8]) -> Result<Record, Failure> {
    Ok(record::decode("an answer of the API", bytes)?)
}
