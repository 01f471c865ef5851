//! Does an author's DKIM signature hold in a copy?
//!
//! The body is looked at elsewhere (`mail::compose`). Here it is the header: a signature names fields in `h=`, and one that names what a
//! list takes away or puts on top, such as `List-Unsubscribe`, is broken by the list, whatever happens to the body (RFC 6376 section 5.4.2:
//! a name stands for one more field from the bottom up each time, or for the absence of any further one).

use super::field::{self, Header};
use super::headers;
use super::seals::is_of_one;
use crate::domain::address::EmailAddress;

/// Fields that a copy of list mail carries on top, beside `List-*` and `X-Enlace-*`.
const ADDED: [&str; 4] = ["archived-at", "x-loop", "precedence", "received"];

/// Is there a signature of the author's organisation that names no field which the copy changes?
pub(super) fn hold_in_a_copy(message: &[u8], header: &Header, author: &EmailAddress) -> bool {
    header.named("dkim-signature").any(|signature| {
        let value = field::unfolded(message, signature);
        let value: String = value.chars().filter(|c| !c.is_whitespace()).map(|c| c.to_ascii_lowercase()).collect();
        let tag = |name: &str| value.split(';').find_map(|part| part.strip_prefix(name)).unwrap_or_default();
        is_of_one(tag("d="), author.domain()) && tag("h=").split(':').all(|name| holds(header, tag("h="), name))
    })
}

fn holds(header: &Header, signed: &str, name: &str) -> bool {
    let present = header.count(name);
    if headers::is_always_removed(name) && present > 0 {
        return false;
    }
    let is_added = name.starts_with("list-") || name.starts_with("x-enlace-") || ADDED.contains(&name);
    let is_filled_in = matches!(name, "message-id" | "date") && present == 0;
    // Named more often than it is there: the signature says that there is no further one.
    let no_more = signed.split(':').filter(|other| *other == name).count() > present;
    !(no_more && (is_added || is_filled_in))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(signed: &str, domain: &str, fields: &str) -> bool {
        let message =
            format!("DKIM-Signature: v=1; a=rsa-sha256; d={domain}; h={signed};\r\n bh=x; b=y\r\n{fields}From: a@mail.example.org\r\n\r\n");
        let header = field::split(message.as_bytes()).unwrap();
        hold_in_a_copy(message.as_bytes(), &header, &"a@mail.example.org".parse().unwrap())
    }

    #[test]
    fn a_signature_over_what_a_list_changes_does_not_hold() {
        let own = "example.org";
        let plain = "Message-ID: <1@example.org>\r\nDate: x\r\nReceived: a\r\n";
        assert!(holds("From:To:Subject:Date:Message-ID:MIME-Version:Bcc", own, plain));
        assert!(holds("from:from:to:to:subject:received", own, plain), "no second From is added");
        assert!(!holds("from:to", "example.net", plain), "not hers");
        for name in ["List-Unsubscribe", "List-Unsubscribe-Post", "list-id", "Precedence", "X-Loop", "Archived-At", "received:received"] {
            assert!(!holds(&format!("from:{name}"), own, plain), "{name} is put on top");
        }
        assert!(!holds("from: List-Unsubscribe :\r\n list-unsubscribe-post", own, "List-Unsubscribe: <x>\r\nList-Unsubscribe-Post: y\r\n"));
        assert!(!holds("from:disposition-notification-to", own, "Disposition-Notification-To: x\r\n"), "taken away");
        assert!(holds("from:disposition-notification-to", own, ""), "it was not there, and is not in the copy");
        assert!(!holds("from:message-id", own, "Date: x\r\n"), "filled in");
    }
}
