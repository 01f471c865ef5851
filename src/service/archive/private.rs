//! A feed of the archive for one reader, at an address that only she knows, for archives that are not public.
//!
//! The address is a token over her account, the number of her calendar's address, and the group: asking for a new calendar address
//! ends both. What she may read is asked each time, so that the feed ends with her right.

use std::sync::Arc;

use super::view::{ThreadPage, threads};
use super::{Reader, access};
use crate::domain::account::Account;
use crate::domain::address::EmailAddress;
use crate::domain::group::{Group, GroupCode};
use crate::domain::id::AccountId;
use crate::mail::token::Purpose;
use crate::service::{Actor, Failure, Services, meeting};

/// A feed as its reader gets it.
#[derive(Debug, Clone)]
pub struct PrivateFeed {
    /// Whose.
    pub account: Account,
    /// Of which group.
    pub group: Arc<Group>,
    /// The latest threads.
    pub page: ThreadPage,
}

/// The address of a reader's feed.
///
/// # Errors
/// When the store fails.
pub async fn feed_link(services: &Services, account: &Account, group: &GroupCode) -> Result<String, Failure> {
    let mut payload = account.id.0.to_be_bytes().to_vec();
    payload.extend_from_slice(&meeting::feed_number(services, account.id).await?.to_be_bytes());
    payload.extend_from_slice(group.as_str().as_bytes());
    let token = services.keys.link_token(Purpose::Feed, &payload, None);
    Ok(format!("{}/feed/{token}.atom", services.site.base_url))
}

/// The same by an address of hers, made anew if that is wanted.
///
/// # Errors
/// When there is no such group or account, or she may not read the archive.
pub async fn feed_link_of(
    services: &Services,
    actor: &Actor,
    group: &GroupCode,
    address: &EmailAddress,
    renew: bool,
) -> Result<String, Failure> {
    let account = services.store.account_by_address(address).await?;
    let account = account.ok_or_else(|| Failure::NotFound(format!("nobody in the directory has the address {address}")))?;
    access(services, group, Reader::Account(&account)).await?;
    if renew {
        meeting::feed_link(services, &account, true).await?;
        services.audit(actor, "archive feed", Some(group), format!("new address for {address}")).await?;
    }
    feed_link(services, &account, group).await
}

/// The feed whose address ends in `token`; `None` when the address is no good, is good no more, or she may not read the archive any more.
///
/// # Errors
/// When the store or the index fails.
pub async fn private_feed(services: &Services, token: &str, limit: usize) -> Result<Option<PrivateFeed>, Failure> {
    let Some(payload) = services.keys.read_link_token(Purpose::Feed, token, services.now()) else { return Ok(None) };
    let Some((front, code)) = payload.split_first_chunk::<12>() else { return Ok(None) };
    let (id, number) = front.split_at(8);
    let id = AccountId(id.try_into().map_or(0, u64::from_be_bytes));
    let number: u32 = number.try_into().map_or(0, u32::from_be_bytes);
    let Some(code) = std::str::from_utf8(code).ok().and_then(|code| code.parse::<GroupCode>().ok()) else { return Ok(None) };
    if meeting::feed_number(services, id).await? != number {
        return Ok(None);
    }
    let (Some(account), Some(group)) = (services.store.account(id).await?, services.groups().get(&code).cloned()) else { return Ok(None) };
    match threads(services, &code, Reader::Account(&account), None, limit).await {
        Ok(page) => Ok(Some(PrivateFeed { account, group, page })),
        Err(Failure::Refused(_)) => Ok(None),
        Err(failure) => Err(failure),
    }
}
