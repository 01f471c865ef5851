//! What waits for a moderator or its author, a part at a time: a page never reads more of the register than it may.

use super::{HeldPost, row};
use crate::domain::group::GroupCode;
use crate::domain::id::PostId;
use crate::domain::post::Post;
use crate::service::{Failure, Services};

/// Held posts looked at for one page of a group; what it does not have is in the next.
pub const LOOKED_AT: usize = 1_000;
/// Held posts read at a time.
pub(super) const READ: usize = 100;

/// A part of the held posts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HeldPage {
    /// At most as many as were asked for, oldest first.
    pub posts: Vec<Post>,
    /// Behind which the next part begins; `None` at the end.
    pub next: Option<PostId>,
}

/// All held posts, oldest first; a command's list, where a page asks for a [`part`].
///
/// # Errors
/// The store's.
pub async fn list(services: &Services) -> Result<Vec<HeldPost>, Failure> {
    let (mut rows, mut after) = (Vec::new(), None);
    loop {
        let page = part(services, None, after, READ).await?;
        rows.extend(page.posts.iter().filter_map(row));
        after = page.next;
        if after.is_none() {
            return Ok(rows);
        }
    }
}

/// At most `limit` held posts behind `after`, of one group or of all; looks at no more than [`LOOKED_AT`] of all groups, so that a part
/// may be short, or empty, and go on.
///
/// # Errors
/// The store's.
pub async fn part(services: &Services, group: Option<&GroupCode>, after: Option<PostId>, limit: usize) -> Result<HeldPage, Failure> {
    let (mut page, mut after, mut looked) = (HeldPage::default(), after, 0);
    loop {
        let posts = services.store.held_posts(after, READ).await?;
        let (read, last) = (posts.len(), posts.last().map(|post| post.id));
        for post in posts {
            looked += 1;
            after = Some(post.id);
            if group.is_none_or(|code| post.groups.contains(code)) {
                page.posts.push(post);
            }
            if page.posts.len() >= limit || looked >= LOOKED_AT {
                page.next = after.filter(|after| read == READ || Some(*after) != last);
                return Ok(page);
            }
        }
        if read < READ {
            return Ok(page);
        }
    }
}

/// A held post as lists show it; `None` if it is not held.
pub fn listed(post: &Post) -> Option<HeldPost> {
    row(post)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::post::PostState;
    use crate::domain::reason::{Reason, Rule};
    use crate::service::trial::{Trial, code};

    #[tokio::test]
    async fn a_part_looks_at_no_more_than_it_may_and_the_next_goes_on() {
        let trial = Trial::peopled().await;
        let services = &trial.services;
        let first = trial.post(PostId::new(services.now(), 0), "Subject: x\r\n\r\nx\r\n").await;
        let held = |number: u64, of: &str| Post {
            id: PostId::new(services.now(), number),
            groups: vec![code(of)],
            message_id: format!("{number}@x.test"),
            state: PostState::Held(Reason::new(Rule::HeldModerated, ["eve@x.test", "AMR"])),
            ..first.clone()
        };
        let many = u64::try_from(LOOKED_AT).unwrap();
        // More posts of another group than are looked at for one part, and then two of this one.
        let others = (0..many).map(|number| services.store.keep_post(held(number, "SG12"), vec![]));
        futures_util::future::try_join_all(others).await.unwrap();
        let own = [held(many, "AMR"), held(many + 1, "AMR")];
        for post in own.clone() {
            services.store.keep_post(post, vec![]).await.unwrap();
        }
        let amr = code("AMR");
        let empty = part(services, Some(&amr), None, 10).await.unwrap();
        assert!(empty.posts.is_empty() && empty.next.is_some(), "all that it looked at was another group's");
        let rest = part(services, Some(&amr), empty.next, 10).await.unwrap();
        assert_eq!((rest.posts, rest.next), (own.to_vec(), None));
        let one = part(services, Some(&amr), empty.next, 1).await.unwrap();
        assert_eq!((one.posts.len(), one.next), (1, Some(own[0].id)));
        let all = part(services, None, None, LOOKED_AT).await.unwrap();
        assert_eq!((all.posts.len(), list(services).await.unwrap().len()), (LOOKED_AT, LOOKED_AT + 2));
    }
}
