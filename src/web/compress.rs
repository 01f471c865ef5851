//! Answers in gzip (RFC 1952) for browsers that take it: a page of words is a fifth then, which a slow line feels.
//!
//! Only pages for whoever is not signed in, style sheet, feeds and calendars of groups: none of them holds a secret beside words that
//! somebody else may choose, from whose compressed length a secret could be guessed (BREACH). Pages of a session have keys of forms.

use std::io::Write as _;

use axum::body::{Body, HttpBody as _, to_bytes};
use axum::http::StatusCode;
use axum::http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, VARY};
use axum::response::Response;
use flate2::Compression;
use flate2::write::GzEncoder;

/// Shorter answers fit into one or two packets as they are.
const LEAST_OCTETS: u64 = 1_024;
/// Longer ones would hold a thread for too long.
const MOST_OCTETS: u64 = 2 * 1024 * 1024;
/// First parts of addresses whose answers hold no secret, as far as nobody is signed in.
const OPEN: [&str; 5] = ["", "groups", "liaisons", "meetings", "static"];

/// May answers under this first part of an address be compressed, for this reader?
pub fn is_open(place: &str, signed_in: bool) -> bool {
    !signed_in && OPEN.contains(&place)
}

/// Does the asker take gzip (RFC 9110 section 12.5.3)?
pub fn takes_gzip(asked: &HeaderMap) -> bool {
    let fields = asked.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    fields.flat_map(|field| field.split(',')).any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let weight = weight.trim().trim_start_matches("q=").trim_matches(['0', '.']);
        name.trim().eq_ignore_ascii_case("gzip") && (!weight.is_empty() || !coding.contains(';'))
    })
}

/// The answer in gzip where that makes it shorter; caches keep both forms apart.
pub async fn compressed(response: Response, gzip: bool) -> Response {
    let size = response.body().size_hint().exact().unwrap_or(u64::MAX);
    let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let text = kind.starts_with("text/") || kind.starts_with("application/atom+xml");
    if response.status() != StatusCode::OK || !text || !(LEAST_OCTETS..=MOST_OCTETS).contains(&size) {
        return response;
    }
    let (mut head, body) = response.into_parts();
    head.headers.append(VARY, HeaderValue::from_static("Accept-Encoding"));
    if !gzip {
        return Response::from_parts(head, body);
    }
    // The body is in memory already and of that size.
    let Ok(octets) = to_bytes(body, usize::MAX).await else { return Response::from_parts(head, Body::empty()) };
    let mut encoder = GzEncoder::new(Vec::with_capacity(octets.len() / 3), Compression::fast());
    let written = encoder.write_all(&octets).and_then(|()| encoder.finish());
    let Some(shorter) = written.ok().filter(|shorter| shorter.len() < octets.len()) else {
        return Response::from_parts(head, Body::from(octets));
    };
    head.headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    head.headers.remove(CONTENT_LENGTH);
    // Another sequence of octets cannot have the same strong tag (RFC 9110 section 8.8.1).
    let weak = head.headers.get(ETAG).filter(|tag| tag.as_bytes().starts_with(b"\"")).and_then(|tag| tag.to_str().ok());
    if let Some(tag) = weak.and_then(|tag| format!("W/{tag}").parse().ok()) {
        head.headers.insert(ETAG, tag);
    }
    Response::from_parts(head, Body::from(shorter))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_takes_gzip_says_so() {
        for (field, takes) in [
            ("gzip, deflate, br", true),
            ("GZIP;q=0.5", true),
            ("br;q=1.0, gzip; q=1", true),
            ("gzip;q=0", false),
            ("gzip;q=0.0, br", false),
            ("br", false),
            ("", false),
        ] {
            let mut asked = HeaderMap::new();
            asked.insert(ACCEPT_ENCODING, field.parse().unwrap());
            assert_eq!(takes_gzip(&asked), takes, "{field}");
        }
        assert!(is_open("groups", false) && !is_open("groups", true) && !is_open("u", false) && !is_open("me", false));
    }
}
