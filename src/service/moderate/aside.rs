//! Posts that were set aside because the process died over them: held with all they have, and let go on from where they stood.

use super::{Actor, Failure, Services, tell};
use crate::domain::id::PostId;
use crate::domain::post::{Post, PostState};
use crate::domain::reason::{Reason, Rule};
use crate::service::roles;

/// Holds a post that was to go out, and tells moderators and operators; `false` when it does not wait to go out (any more).
///
/// # Errors
/// When the store fails. Who cannot be told is logged: the post is held all the same.
pub async fn set_aside(services: &Services, id: PostId, reason: Reason) -> Result<bool, Failure> {
    let Some(mut post) = services.store.post(id).await? else { return Ok(false) };
    if !matches!(post.state, PostState::Accepted | PostState::Planned) {
        return Ok(false);
    }
    let group = services.group(&post.groups[0]);
    let text = reason.text();
    post.state = PostState::Held(reason);
    services.store.update_post(post.clone()).await?;
    tracing::error!(post.id = %id, group.code = %post.groups[0], "Held: {text}; see `enlace hold show {id}`");
    let actor = Actor::job("quarantine");
    services.audit(&actor, "hold set aside", Some(&post.groups[0]), format!("{id}: {text}")).await?;
    if let Ok(group) = group {
        let told = async {
            super::notify(services, &post, &group).await?;
            for account in roles::operators(services).await? {
                tell(services, &post, &group, &account).await?;
            }
            Ok::<(), Failure>(())
        };
        if let Err(error) = told.await {
            tracing::error!(post.id = %id, %error, "Could not tell about a post that was set aside");
        }
    }
    Ok(true)
}

/// Was it set aside because the process died over it?
pub(super) fn is_set_aside(post: &Post) -> bool {
    matches!(&post.state, PostState::Held(reason) if reason.rule == Rule::SetAside)
}

/// The state of a held post that goes out: where it has a plan already, those who have their copy get no second one.
pub(super) async fn going_out(services: &Services, post: &Post) -> Result<PostState, Failure> {
    let is_planned = services.store.counts(post.id).await?.considered() > 0;
    Ok(if is_planned { PostState::Planned } else { PostState::Accepted })
}

/// Takes those out of the queue who still wait for a held post that nobody will send.
pub(super) async fn nobody_waits(services: &Services, post: &Post, why: &str) -> Result<(), Failure> {
    if is_set_aside(post) && services.store.counts(post.id).await?.open() > 0 {
        services.store.drop_open(post.id, services.now(), why.to_owned()).await?;
    }
    Ok(())
}
