//! A group's footer on a discussion post.
//!
//! Appended where the message is one plain text in which it can be written as it is; anywhere else the whole content
//! becomes the first part of a `multipart/mixed`, octet by octet, with the footer behind it (RFC 2046 section 5.1.3).
//! So parts that are signed in themselves (RFC 1847) stay valid. The author's DKIM signature breaks either way.

use bytes::Bytes;

use super::field::{self, Header};
use crate::domain::id::PostId;

/// Stands between the author's text and the footer, as in other list programs.
const RULE: &str = "_______________________________________________";

/// A body with its footer.
pub(super) struct Footed {
    /// Fields that take the place of the original's content fields; empty if those stay.
    pub head: String,
    /// The new body.
    pub body: Bytes,
}

impl Footed {
    /// Does the original's field of this name (lower case) give way?
    pub(super) fn replaces(&self, name: &str) -> bool {
        !self.head.is_empty() && name.starts_with("content-")
    }
}

/// Puts `text` behind the body of `original`.
pub(super) fn with_footer(original: &[u8], header: &Header, body: &Bytes, text: &str, post: PostId) -> Footed {
    let text = text.lines().map(str::trim_end).collect::<Vec<_>>().join("\r\n");
    if can_append(original, header, &text) {
        let mut new = Vec::with_capacity(body.len() + text.len() + RULE.len() + 8);
        new.extend_from_slice(body);
        if !new.ends_with(b"\r\n") {
            new.extend_from_slice(b"\r\n");
        }
        new.extend_from_slice(format!("{RULE}\r\n{text}\r\n").as_bytes());
        return Footed { head: String::new(), body: new.into() };
    }
    wrapped(original, header, body, &text, post)
}

fn can_append(original: &[u8], header: &Header, text: &str) -> bool {
    let value = |name: &str| header.named(name).next().map(|f| field::unfolded(original, f).to_ascii_lowercase()).unwrap_or_default();
    let (kind, encoding) = (value("content-type"), value("content-transfer-encoding"));
    let plain = kind.is_empty() || kind == "text/plain" || kind.starts_with("text/plain;");
    let charset = kind.split("charset=").nth(1).map_or("", |rest| rest.trim_matches('"').split([';', '"', ' ']).next().unwrap_or(""));
    let identity = matches!(encoding.as_str(), "" | "7bit" | "8bit" | "binary");
    let fits = text.is_ascii() || (charset == "utf-8" && matches!(encoding.as_str(), "8bit" | "binary"));
    plain && identity && matches!(charset, "" | "us-ascii" | "utf-8" | "iso-8859-1") && fits
}

fn wrapped(original: &[u8], header: &Header, body: &Bytes, text: &str, post: PostId) -> Footed {
    // A boundary that does occur in the body is very unlikely but an author could provoke it; then another number is tried.
    let boundary = (0_u32..10_000)
        .map(|number| format!("=_footer_{post}_{number}"))
        .find(|boundary| !body.windows(boundary.len()).any(|window| window == boundary.as_bytes()))
        .unwrap_or_default();
    let mut new = format!("--{boundary}\r\n").into_bytes();
    for field in header.fields.iter().filter(|field| field.name.starts_with("content-")) {
        new.extend_from_slice(&original[field.whole.clone()]);
    }
    new.extend_from_slice(b"\r\n");
    new.extend_from_slice(body);
    let encoded = data_encoding::BASE64.encode(format!("{RULE}\r\n{text}\r\n").as_bytes());
    let lines: Vec<_> = encoded.as_bytes().chunks(76).map(String::from_utf8_lossy).collect();
    new.extend_from_slice(
        format!(
            "\r\n--{boundary}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Disposition: inline\r\nContent-Transfer-Encoding: base64\r\n\r\n{}\r\n--{boundary}--\r\n",
            lines.join("\r\n")
        )
        .as_bytes(),
    );
    let version = if header.count("mime-version") == 0 { "MIME-Version: 1.0\r\n" } else { "" };
    Footed { head: format!("{version}Content-Type: multipart/mixed; boundary=\"{boundary}\"\r\n"), body: new.into() }
}
