//! The archive of a group as a mailbox file, oldest first, each edition a message.

use std::io::Write;

use serde::Serialize;

use super::{Access, Reader, access};
use crate::domain::archive::{is_archived, readable_editions};
use crate::domain::group::GroupCode;
use crate::domain::id::PostId;
use crate::domain::post::{Post, PostKind};
use crate::mail::mbox;
use crate::service::{Failure, Services};
use crate::store::StoreError;

/// Posts read from the store at a time.
const PAGE: usize = 500;

/// What an export wrote.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Exported {
    /// Of which group.
    pub group: String,
    /// Posts.
    pub posts: u64,
    /// Messages: a post has one for each language.
    pub messages: u64,
    /// Octets of the file.
    pub octets: u64,
    /// Bodies that cannot be read; they are left out.
    pub problems: Vec<String>,
}

/// Identifiers of all archived posts that `access` shows, oldest first.
pub(super) async fn all_posts(services: &Services, access: &Access) -> Result<Vec<PostId>, Failure> {
    let (mut ids, mut before) = (Vec::new(), None);
    loop {
        let page = services.store.posts_of_group(&access.group.code, before, PAGE).await?;
        let Some(last) = page.last() else { break };
        before = Some(last.id);
        ids.extend(page.iter().filter(|post| shows(access, post)).map(|post| post.id));
    }
    ids.reverse();
    Ok(ids)
}

fn shows(access: &Access, post: &Post) -> bool {
    is_archived(post) && (access.statements || post.kind != PostKind::Liaison) && access.since.is_none_or(|since| post.received_at >= since)
}

/// Writes the archive of a group to `output`.
///
/// # Errors
/// When the reader may not see it, the store fails, or the output does.
pub async fn export(
    services: &Services,
    code: &GroupCode,
    reader: Reader<'_>,
    output: &mut (dyn Write + Send),
    progress: &(dyn Fn(u64, u64) + Send + Sync),
) -> Result<Exported, Failure> {
    let access = access(services, code, reader).await?;
    let ids = all_posts(services, &access).await?;
    let mut exported = Exported { group: code.to_string(), ..Exported::default() };
    let written = |error: std::io::Error| Failure::Invalid(format!("the mailbox file cannot be written: {error}; make room and repeat it"));
    for (number, id) in ids.iter().enumerate() {
        let Some(post) = services.store.post(*id).await? else { continue };
        exported.posts += 1;
        for place in readable_editions(&post) {
            let edition = &post.editions[place];
            let bytes = match services.store.body(&edition.body).await {
                Ok(bytes) => bytes,
                Err(StoreError::Damaged(why)) => {
                    exported.problems.push(format!("post {id}: {why}"));
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            let sender = post.author_address().map(ToString::to_string).unwrap_or_default();
            let mut counted = Counted { output: &mut *output, octets: 0 };
            mbox::write(&mut counted, &sender, post.received_at, &bytes).map_err(written)?;
            exported.octets += counted.octets;
            exported.messages += 1;
        }
        progress(number as u64 + 1, ids.len() as u64);
    }
    output.flush().map_err(written)?;
    Ok(exported)
}

struct Counted<'a> {
    output: &'a mut (dyn Write + Send),
    octets: u64,
}

impl Write for Counted<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.output.write(bytes)?;
        self.octets += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.output.flush()
    }
}
