//! What a copy looks like: an edition is rendered once, a copy is its personal lines in front of it.

use bytes::Bytes;

use super::token::Keys;
use crate::domain::group::Group;
use crate::domain::id::AccountId;
use crate::domain::post::Post;

/// What of the service a copy shows.
#[derive(Debug, Clone)]
pub struct Service {
    /// The list domain.
    pub domain: String,
    /// For links, without the last slash.
    pub base_url: String,
}

/// What a rendering is made for: one edition of one post as it goes to the readers of one group.
#[derive(Debug, Clone, Copy)]
pub struct Form<'a> {
    /// The service.
    pub service: &'a Service,
    /// The post.
    pub post: &'a Post,
    /// Index of the edition in the post.
    pub edition: usize,
    /// The group whose list headers the copy carries.
    pub group: &'a Group,
}

/// Whose copy it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recipient {
    /// Number of the batch.
    pub batch: u32,
    /// Index in the batch.
    pub index: u16,
    /// Whose one-click link it carries; `None` for mailboxes of bodies.
    pub account: Option<AccountId>,
}

/// A copy without its personal lines. On the wire: personal lines (or [`Rendered::common_lines`]), `shared_head`, `body`.
#[derive(Debug, Clone)]
pub struct Rendered {
    /// Fields that all copies share, and the empty line.
    pub shared_head: Bytes,
    /// The body; a slice of the original wherever nothing is appended.
    pub body: Bytes,
}

/// Renders an edition for the readers of a group. `original` is the stored message, header and body, CRLF.
pub fn render(original: &Bytes, form: &Form<'_>) -> Rendered {
    let _ = form;
    Rendered { shared_head: Bytes::new(), body: original.clone() }
}

impl Rendered {
    /// The few lines in front of one person's copy: her one-click link and the ledger key. One allocation.
    pub fn personal_lines(&self, keys: &Keys, recipient: Recipient) -> Vec<u8> {
        let _ = (keys, recipient);
        Vec::new()
    }

    /// The lines in front of a copy that many recipients of a transaction share.
    pub fn common_lines(&self) -> &Bytes {
        &self.shared_head
    }

    /// Envelope sender of one person's copy, `L-bounces+TOKEN@domain`.
    pub fn reverse_path(&self, keys: &Keys, recipient: Recipient) -> String {
        let _ = (keys, recipient);
        String::new()
    }

    /// Envelope sender of a copy with many recipients, `L-bounces@domain`.
    pub fn common_reverse_path(&self) -> &str {
        ""
    }

    /// Octets of a copy without its personal lines.
    pub fn octets(&self) -> u64 {
        (self.shared_head.len() + self.body.len()) as u64
    }
}
