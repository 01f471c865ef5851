//! In which issue a post went out: read back from the mails that are kept, since an issue that is out names its posts nowhere else.

use super::PAGE;
use crate::domain::group::GroupCode;
use crate::domain::id::AccountId;
use crate::domain::ledger::PlannedRecipient;
use crate::domain::post::{Audience, Post, PostKind};
use crate::service::{Failure, Services};

/// A mail of an issue in which a post is.
#[derive(Debug, Clone)]
pub struct Issued {
    /// Number of the issue.
    pub number: u32,
    /// The mail, a post of its own.
    pub mail: Post,
}

impl Issued {
    /// The reader as she is in it, with a copy or with the reason why not.
    pub fn reader(&self, account: AccountId) -> Option<&PlannedRecipient> {
        match &self.mail.audience {
            Audience::Listed(readers) => readers.iter().find(|reader| reader.account == Some(account)),
            _ => None,
        }
    }
}

/// The mails of digests of `group` that hold `post`, oldest first; none as long as it waits.
///
/// # Errors
/// When the store fails.
pub async fn sent_in(services: &Services, group: &GroupCode, post: &Post) -> Result<Vec<Issued>, Failure> {
    let front = format!("digest:{group}:");
    let (mut found, mut before) = (Vec::new(), None);
    'read: loop {
        let page = services.store.posts_of_group(group, before, PAGE).await?;
        let Some(last) = page.last() else { break };
        before = Some(last.id);
        for mail in page {
            if mail.id <= post.id {
                break 'read;
            }
            let number = mail.origin.strip_prefix(&front).and_then(|number| number.parse().ok());
            if let (PostKind::Digest, Some(number)) = (mail.kind, number)
                && holds(services, &mail, post).await?
            {
                found.push(Issued { number, mail });
            }
        }
    }
    found.reverse();
    Ok(found)
}

async fn holds(services: &Services, mail: &Post, post: &Post) -> Result<bool, Failure> {
    let Some(edition) = mail.editions.first() else { return Ok(false) };
    let bytes = services.store.body(&edition.body).await?;
    let id = format!("<{}>", post.message_id);
    Ok(memchr::memmem::find(&bytes, id.as_bytes()).is_some())
}
