//! Answers to token mails: the author's "yes, I sent this", the person's "yes, I asked", the moderator's decision.
//!
//! The token proves that its holder read the mailbox it was sent to, so the visible sender does not matter. A robot
//! that answers by itself (vacation, list, notification) decides nothing.

use std::sync::Arc;

use super::{Incoming, Refusal};
use crate::domain::address::ReversePath;
use crate::domain::group::Group;
use crate::domain::id::{LiaisonId, PostId, RequestId};
use crate::domain::post::PostKind;
use crate::domain::reason::{Reason, Rule};
use crate::mail::token::Purpose;
use crate::service::post::{self, Confirmed};
use crate::service::{Actor, Failure, moderate, rights, subscribe};

/// Octets of a moderator's mail that are read for the reason.
const REASON_OCTETS: usize = 4_000;
/// Characters of a reason that are kept.
const REASON_CHARACTERS: usize = 500;

fn invalid() -> Refusal {
    Refusal::Rule(Reason::new(Rule::TokenInvalid, [""; 0]))
}

/// A token whose matter was settled before is answered for good, not with "try again".
pub(super) fn used(failure: Failure) -> Refusal {
    match failure {
        Failure::NotFound(_) => invalid(),
        other => Refusal::from(other),
    }
}

impl Incoming {
    /// `address` is what stands behind the list's name in the address that was written to.
    pub(super) fn refuse_robots(&self, group: &Group, address: &str) -> Result<(), Refusal> {
        let address = group.sub_address(address, &self.services.site.domain);
        if self.transaction.reverse_path == ReversePath::Null {
            return Err(Reason::new(Rule::NullSender, [address]).into());
        }
        if self.is_automatic() {
            return Err(Reason::new(Rule::Automatic, [address]).into());
        }
        Ok(())
    }

    /// `L-confirm+TOKEN@`.
    pub(super) async fn confirm(&self, group: &Arc<Group>, token: &str) -> Result<String, Refusal> {
        self.refuse_robots(group, "confirm")?;
        let purposes = [Purpose::Confirm, Purpose::Author, Purpose::LiaisonConfirm];
        match self.services.keys.read_address_token_of(&purposes, token) {
            Some((Purpose::LiaisonConfirm, id)) => self.circulate_statement(LiaisonId(id)).await,
            Some((Purpose::Author, id)) if self.is_statement(PostId(id)).await? => self.confirm_statement(PostId(id)).await,
            Some((Purpose::Author, id)) => match post::confirm_author(&self.services, PostId(id)).await? {
                Confirmed::Accepted => Ok("confirmed".into()),
                Confirmed::Held(reason) => {
                    if let Some(held) = self.services.store.post(PostId(id)).await? {
                        moderate::notify(&self.services, &held, group).await?;
                    }
                    Ok(reason.text())
                }
                Confirmed::Refused(reason) => Err(reason.into()),
            },
            Some((Purpose::Confirm, id)) => self.confirm_request(RequestId(id)).await,
            _ => Err(invalid()),
        }
    }

    /// `L-moderate+TOKEN@`. Which decision is in the token, so that an empty answer suffices; a rejection takes the
    /// first lines of the answer that are not quoted as its reason.
    pub(super) async fn moderate(&self, group: &Arc<Group>, token: &str) -> Result<String, Refusal> {
        self.refuse_robots(group, "moderate")?;
        let purposes = [
            Purpose::Release,
            Purpose::Reject,
            Purpose::Discard,
            Purpose::Allow,
            Purpose::Approve,
            Purpose::Deny,
            Purpose::Stop,
            Purpose::LiaisonCorrect,
            Purpose::LiaisonStop,
        ];
        let Some((purpose, id)) = self.services.keys.read_address_token_of(&purposes, token) else {
            return Err(invalid());
        };
        let services = &self.services;
        let actor = self.moderator(group, purpose).await?;
        let post = PostId(id);
        Ok(match purpose {
            Purpose::Release => format!("released {}", moderate::release(services, &actor, post, false).await.map_err(used)?.id),
            Purpose::Allow => format!("allowed {}", moderate::allow(services, &actor, post, false).await.map_err(used)?.id),
            Purpose::Discard => format!("discarded {}", moderate::discard(services, &actor, post, false).await.map_err(used)?.id),
            Purpose::Reject => {
                let reason = self.reason().await?;
                format!("rejected {}", moderate::reject(services, &actor, post, &reason, false).await.map_err(used)?.id)
            }
            Purpose::Approve => subscribe::decide(services, &actor, RequestId(id), true).await.map_err(used)?.text(),
            Purpose::Deny => subscribe::decide(services, &actor, RequestId(id), false).await.map_err(used)?.text(),
            Purpose::LiaisonCorrect => self.correct_statement(LiaisonId(id)).await?,
            Purpose::LiaisonStop => self.stop_statement(LiaisonId(id), &self.reason().await?).await?,
            Purpose::Stop => match post::stop(services, post).await {
                Ok(stopped) => {
                    services.audit(&actor, "announcement stop", Some(&group.code), stopped.id.to_string()).await?;
                    format!("stopped {}", stopped.id)
                }
                Err(failure @ (Failure::Mistaken(_) | Failure::NotFound(_))) => {
                    return Err(Reason::new(Rule::NotDone, [failure.to_string()]).into());
                }
                Err(other) => return Err(other.into()),
            },
            _ => return Err(invalid()),
        })
    }

    async fn is_statement(&self, id: PostId) -> Result<bool, Refusal> {
        Ok(self.services.store.post(id).await?.is_some_and(|post| post.kind == PostKind::Liaison))
    }

    /// Who decides. The token proves that its holder reads a moderator's mail; where two persons have to release, it must be proved
    /// who she is, or one person with one mail could be both.
    async fn moderator(&self, group: &Group, purpose: Purpose) -> Result<Actor, Refusal> {
        if !group.house.two_persons || !matches!(purpose, Purpose::Release | Purpose::Allow) {
            return Ok(Actor { name: format!("holder of a moderation token ({})", self.transaction.reverse_path) });
        }
        let proof = self.proof().await?;
        let author = proof.author();
        if !proof.is_proved() {
            return Err(Reason::new(Rule::Unproved, [author.as_str()]).into());
        }
        let account = self.services.store.account_by_address(author).await?;
        let may = match &account {
            Some(account) => rights::may_moderate(&self.services, group, account).await?.is_accept(),
            None => false,
        };
        match account {
            Some(account) if may => Ok(Actor::from(account.address())),
            _ => Err(Reason::new(Rule::MayNotManage, [author.as_str(), group.code.as_str()]).into()),
        }
    }

    /// What the moderator wrote above the quoted text.
    async fn reason(&self) -> Result<String, Refusal> {
        let text = self.text("reason", REASON_OCTETS).await?;
        let lines = text.lines().map(str::trim).take_while(|line| *line != "--");
        let own: Vec<&str> = lines.filter(|line| !line.is_empty() && !line.starts_with('>')).collect();
        let reason: String = own.join(" ").chars().filter(|c| !c.is_control()).take(REASON_CHARACTERS).collect();
        Ok(reason)
    }
}
