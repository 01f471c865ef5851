//! One answer for several recipients: SMTP has a single one after the message, LMTP one for each (RFC 2033).
//!
//! When one list takes a message and another one refuses it, the answer is a yes, because a no would lose what the first list took or
//! have it sent twice. The refusal reaches a proved author by mail, and everybody who asks by `explain`. When a list wants it later, the
//! whole message comes later: those that have it know it by its Message-ID.

use std::sync::Arc;

use super::judge::Address;
use super::{Incoming, Refusal};
use crate::domain::group::Group;
use crate::domain::post::{Arrival, Audience, BodyRef, PostState};
use crate::domain::proof::SenderProof;
use crate::domain::reason::Reason;
use crate::service::post::{self, NewPost};
use crate::service::robot::{self, Allowance, RobotMail};
use crate::smtp::Answer;

/// A posting address whose group does not take the message.
pub(super) struct Refused {
    pub(super) group: Arc<Group>,
    pub(super) address: Address,
    pub(super) proof: SenderProof,
    pub(super) reason: Reason,
}

impl Incoming {
    /// The answers as they can be given: over LMTP as they are.
    pub(super) async fn one_for_all(&self, answers: Vec<Answer>, refused: &[Refused], body: Option<&BodyRef>) -> Vec<Answer> {
        let is_single = self.transaction.session.protocol != "lmtp";
        if !is_single || answers.len() < 2 || !answers.iter().any(Answer::is_positive) {
            return answers;
        }
        let later = answers.iter().find(|answer| (400..500).contains(&answer.code));
        if let Some(later) = later.filter(|_| self.message.message_id.is_some()) {
            return vec![later.clone(); answers.len()];
        }
        for refused in refused {
            if let Err(refusal) = self.tell_of(refused, body).await {
                tracing::error!(trace = self.arrival.trace, group.code = %refused.group.code, ?refusal, "Could not tell of a refusal");
            }
        }
        answers
    }

    /// Notes a refusal that the SMTP answer could not say, and tells its author, if she is proved.
    async fn tell_of(&self, refused: &Refused, body: Option<&BodyRef>) -> Result<(), Refusal> {
        let (services, group) = (&self.services, &refused.group);
        let author = refused.proof.author();
        let account = services.store.account_by_address(author).await?;
        if let Some(body) = body {
            let new = NewPost {
                groups: vec![group],
                kind: refused.address.kind(),
                message_id: self.message.message_id.clone(),
                subject: self.message.subject.clone(),
                sender: refused.proof.clone(),
                author: account.as_ref().map(|account| account.id),
                body: body.clone(),
                audience: Audience::Listed(Vec::new()),
                state: PostState::Rejected(refused.reason.clone()),
                arrival: Arrival { found: self.findings().await, ..self.arrival.clone() },
                origin: "",
            };
            post::keep(services, new).await?;
        }
        if !refused.proof.is_proved() || self.is_automatic() {
            return Ok(());
        }
        let language = robot::language_for(services, account.as_ref(), group);
        let mail = RobotMail {
            to: author,
            account: account.as_ref(),
            group,
            template: "rejected",
            context: serde_json::json!({
                "subject": self.message.subject,
                "reason": services.texts.reason(language, &refused.reason),
            }),
            reply_to: None,
            in_reply_to: self.message.message_id.as_deref(),
            allowance: Allowance::Answer,
        };
        match &self.message.message_id {
            Some(id) => robot::send_once(services, mail, format!("refused|{}|{}|{id}", group.code, author.key())).await?,
            None => robot::send(services, mail).await?,
        };
        Ok(())
    }
}
