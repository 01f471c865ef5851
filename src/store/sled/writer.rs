//! What a changing verb works with: the rows with the changes of this group commit, and the open ledger.
//!
//! A verb runs as one closure on the committer's thread, so what it reads cannot change before it writes.

use std::sync::MutexGuard;

use super::Shared;
use super::keys;
use super::ledger::{Ledger, is_halted};
use super::rows::{Changes, Rows};
use crate::domain::id::PostId;
use crate::domain::post::{Post, PostState};
use crate::store::{Result, record};

/// Rows and ledger in the hands of the committer.
pub(super) struct Writer<'a> {
    pub(super) changes: Changes<'a>,
    pub(super) ledger: MutexGuard<'a, Ledger>,
    pub(super) shared: &'a Shared,
    /// Ring the bell once it is on disk.
    pub(super) ring: bool,
}

impl Writer<'_> {
    /// A post.
    pub(super) fn post(&self, id: PostId) -> Result<Option<Post>> {
        self.changes.get(&keys::post(id))?.map(|row| record::decode(&format!("post {id}"), &row)).transpose()
    }

    /// Writes a post with its indexes, in place of `old`.
    pub(super) fn write_post(&mut self, old: Option<&Post>, new: &Post) -> Result<()> {
        let row = record::encode(new)?;
        let wanted = index_rows(new);
        if let Some(old) = old {
            for gone in index_rows(old).into_iter().filter(|key| !wanted.contains(key)) {
                self.changes.remove(&gone);
            }
            self.ledger.to_plan.remove(&(keys::milliseconds(old.not_before), old.id));
        }
        self.changes.put(&keys::post(new.id), &row)?;
        for key in wanted {
            self.changes.put(&key, &[])?;
        }
        if new.state == PostState::Accepted {
            self.ledger.to_plan.insert((keys::milliseconds(new.not_before), new.id));
        }
        self.ledger.halt(new.id, is_halted(&new.state));
        Ok(())
    }
}

fn index_rows(post: &Post) -> Vec<Vec<u8>> {
    let mut rows = vec![keys::post_of_message(&post.message_id, post.id)];
    rows.extend(post.groups.iter().map(|group| keys::post_of_group(group, post.id)));
    match post.state {
        PostState::Accepted => rows.push(keys::to_plan(post.not_before, post.id)),
        PostState::Held(_) | PostState::AwaitsAuthor(_) => rows.push(keys::held(post.id)),
        _ => {}
    }
    rows
}
