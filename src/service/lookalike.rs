//! Does a stranger look like a member? For those who decide on his post or request.

use super::{Failure, Services};
use crate::domain::address::EmailAddress;
use crate::domain::group::GroupCode;
use crate::domain::lookalike;

/// Members that are compared; a larger group is looked through as far as that.
const COMPARED: usize = 50_000;
/// Members read at a time.
const PAGE: usize = 1_000;

/// The member of the group whom `stranger` looks like without being one, if there is such.
///
/// # Errors
/// The store's.
pub async fn member_like(services: &Services, group: &GroupCode, stranger: &EmailAddress) -> Result<Option<EmailAddress>, Failure> {
    if services.store.account_by_address(stranger).await?.is_some() {
        return Ok(None);
    }
    let look = lookalike::look(stranger);
    let (mut after, mut compared) = (None, 0);
    while compared < COMPARED {
        let page = services.store.members_of_group(group, after, PAGE).await?;
        let Some((last, _)) = page.last() else { break };
        after = Some(last.account);
        compared += page.len();
        let addresses = page.iter().flat_map(|(_, account)| account.addresses.iter());
        if let Some(like) = addresses.into_iter().find(|known| known.key() != stranger.key() && lookalike::look(known) == look) {
            return Ok(Some(like.clone()));
        }
    }
    Ok(None)
}
