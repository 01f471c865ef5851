//! The same mail again, or another one under its Message-ID.
//!
//! A mail server that lost our answer sends the same octets again, at most with other trace fields: that is one post. Who writes a
//! Message-ID is free to choose it, so alone it says nothing: another author or another body is another post, and what was rejected,
//! discarded or stopped keeps nobody from sending it anew. An unproved mail that waits gives way to the same mail with a proof, whose own
//! octets go out, because a stranger may have written the header of the first.

use bytes::Bytes;
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use crate::domain::address::EmailAddress;
use crate::domain::id::PostId;
use crate::domain::post::{Post, PostState};
use crate::domain::proof::SenderProof;
use crate::domain::reason::{Reason, Rule};
use crate::mail::field;
use crate::service::{Actor, Failure, Services};
use crate::store::{Durable, Kept, StoreError};

/// How a post with the same Message-ID stands to the one that comes now.
enum Earlier {
    /// The same, and it lives.
    Same,
    /// The same without a proof, and it waits; now it is proved.
    Unproved(Box<Post>),
    /// Another one, or over.
    Other,
}

/// Keeps a post whose repetition key another one has already, unless that, or a later one under its Message-ID, is the same mail.
///
/// The next key names author and body, and each further one the post that was over, so that the same mail meets the same keys in the same
/// order every time: two tries at once, and one after a lost answer, are one post.
///
/// # Errors
/// When the store fails.
pub(super) async fn keep(services: &Services, post: &Post, key: &str, first: Durable<PostId>) -> Result<Kept, Failure> {
    let body = body_of(services, post).await?.unwrap_or_default();
    let author = post.author_address().map(ToString::to_string).unwrap_or_default().to_lowercase();
    let octets = body.clone();
    let digest = tokio::task::spawn_blocking(move || Sha256::new_with_prefix(author).chain_update([0]).chain_update(&octets).finalize());
    let stem = format!("{key}|{}", HEXLOWER.encode(&digest.await.map_err(|error| StoreError::Unavailable(error.to_string()))?));
    let (mut earlier, mut next) = (first, stem.clone());
    let mut unproved = Vec::new();
    let kept = loop {
        match standing(services, earlier.get(), post, &body).await? {
            Earlier::Same => break Kept::Repeated(earlier),
            Earlier::Unproved(waits) => unproved.push(waits),
            Earlier::Other => {}
        }
        match services.store.keep_post(post.clone(), vec![next]).await? {
            Kept::New(durable) => break Kept::New(durable),
            Kept::Repeated(durable) => {
                earlier = durable;
                next = format!("{stem}|{}", durable.get());
            }
        }
    };
    let (Kept::New(id) | Kept::Repeated(id)) = &kept;
    for waits in unproved {
        supersede(services, waits, id.get()).await?;
    }
    Ok(kept)
}

async fn standing(services: &Services, earlier: PostId, post: &Post, body: &[u8]) -> Result<Earlier, Failure> {
    let Some(earlier) = services.store.post(earlier).await? else { return Ok(Earlier::Other) };
    let waits = match &earlier.state {
        PostState::Rejected(_) | PostState::Discarded(_) | PostState::Withdrawn(_) => return Ok(Earlier::Other),
        PostState::Held(reason) => reason.rule != Rule::SetAside,
        PostState::AwaitsAuthor(_) => true,
        PostState::Accepted | PostState::Planned | PostState::Done => false,
    };
    let author = |post: &Post| post.author_address().map(EmailAddress::key);
    if author(&earlier) != author(post) || body_of(services, &earlier).await?.as_deref() != Some(body) {
        return Ok(Earlier::Other);
    }
    let is_proved = |post: &Post| post.sender.as_ref().is_some_and(SenderProof::is_proved);
    Ok(if waits && is_proved(post) && !is_proved(&earlier) { Earlier::Unproved(Box::new(earlier)) } else { Earlier::Same })
}

/// The octets behind the header; `None` where they were let go of.
async fn body_of(services: &Services, post: &Post) -> Result<Option<Bytes>, Failure> {
    let Some(edition) = post.editions.first() else { return Ok(None) };
    let message = match services.store.body(&edition.body).await {
        Ok(message) => message,
        Err(StoreError::Damaged(_)) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let body = field::split(&message).ok().and_then(|header| header.body).unwrap_or(message.len());
    Ok(Some(message.slice(body..)))
}

/// Takes a post out of those that wait, in favour of `by`.
async fn supersede(services: &Services, mut post: Box<Post>, by: PostId) -> Result<(), Failure> {
    let author = post.author_address().map(ToString::to_string).unwrap_or_default();
    post.state = PostState::Discarded(Reason::new(Rule::Superseded, [author.clone(), by.to_string()]));
    let (id, group) = (post.id, post.groups[0].clone());
    services.store.update_post(*post).await?;
    services.audit(&Actor::job("held posts"), "hold supersede", Some(&group), format!("{id} from {author}: {by}")).await
}
