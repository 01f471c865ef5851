//! `L-liaison@` and `liaison@`: the secretariat posts a statement; answers to its receipts.
//!
//! The gate is asked before anything is read, so that a mail from somebody who may not costs a refusal and nothing else. The mail
//! is kept as a post before its statement is, and both before the 250. What cannot be done afterwards (the receipt) is logged.

use std::sync::Arc;

use super::{Incoming, Refusal};
use crate::domain::address::ReversePath;
use crate::domain::gate::Verdict;
use crate::domain::group::Group;
use crate::domain::id::{LiaisonId, PostId};
use crate::domain::post::{Arrival, Audience, PostKind, PostState};
use crate::domain::proof::SenderProof;
use crate::domain::reason::{Reason, Rule};
use crate::mail::message::HOPS;
use crate::service::liaison::{self, Answered, Mail, NewMail, Receipt};
use crate::service::post::{self, NewPost};
use crate::service::{Actor, Failure};
use crate::store::Kept;

impl Incoming {
    /// `L-liaison@` and `liaison@`.
    pub(super) async fn liaison(&self, group: Option<&Arc<Group>>) -> Result<String, Refusal> {
        if let Some(reason) = self.no_statement(group) {
            return Err(reason.into());
        }
        let domain = &self.services.site.domain;
        let address = group.map_or_else(|| format!("liaison@{domain}"), |group| group.sub_address("liaison", domain));
        let proof = self.proof_of_spokesman(&address).await?;
        let verdict = liaison::may_liaise(&self.services, group.map(|group| &**group), &proof).await?;
        if let Verdict::Refuse(reason) = verdict {
            return Err(reason.into());
        }
        let mail = liaison::read(&self.services, self.bytes().await?).await?;
        let (group, verdict) = if let Some(group) = group {
            (Arc::clone(group), verdict)
        } else {
            let found = liaison::group_of(&self.services, &mail).ok_or_else(|| liaison::unknown_group(&self.services, &mail))?;
            let verdict = liaison::may_liaise(&self.services, Some(&found), &proof).await?;
            (found, verdict)
        };
        match verdict {
            Verdict::Refuse(reason) => Err(reason.into()),
            Verdict::Accept(_) => self.keep_statement(&group, &proof, mail).await,
            Verdict::Confirm(reason) | Verdict::Hold(reason) => self.hold_statement(&group, &proof, reason).await,
        }
    }

    /// Loops and robots: a statement is a person's act. Our own stamp is never taken in again.
    fn no_statement(&self, group: Option<&Arc<Group>>) -> Option<Reason> {
        let domain = &self.services.site.domain;
        let address = group.map_or_else(|| format!("liaison@{domain}"), |group| group.sub_address("liaison", domain));
        if self.message.hops > HOPS {
            return Some(Reason::new(Rule::TooManyHops, [self.message.hops.to_string()]));
        }
        let own = format!(".{domain}");
        if self.message.enlace_ref.is_some() || self.message.list_ids.iter().any(|id| id.ends_with(&own)) {
            return Some(Reason::new(Rule::Loop, [address]));
        }
        if self.transaction.reverse_path == ReversePath::Null {
            return Some(Reason::new(Rule::NullSender, [address]));
        }
        self.is_automatic().then(|| Reason::new(Rule::Automatic, [address]))
    }

    async fn keep_mail(&self, group: &Arc<Group>, proof: &SenderProof, state: PostState) -> Result<(PostId, bool), Refusal> {
        let author = self.services.store.account_by_address(proof.author()).await?;
        let new = NewPost {
            groups: vec![group],
            kind: PostKind::Liaison,
            message_id: self.message.message_id.clone(),
            subject: self.message.subject.clone(),
            sender: proof.clone(),
            author: author.map(|account| account.id),
            body: self.body().await?,
            audience: Audience::Listed(Vec::new()),
            state,
            arrival: Arrival { found: self.findings().await, ..self.arrival.clone() },
            origin: "",
        };
        Ok(match post::keep(&self.services, new).await?.1 {
            Kept::New(id) => (id.get(), true),
            Kept::Repeated(id) => (id.get(), false),
        })
    }

    async fn keep_statement(&self, group: &Arc<Group>, proof: &SenderProof, mail: Mail) -> Result<String, Refusal> {
        let (post, is_new) = self.keep_mail(group, proof, PostState::Accepted).await?;
        let new = NewMail { mail, group: Arc::clone(group), poster: proof.author(), post: Some(post) };
        let answered = liaison::submit(&self.services, new).await?;
        let id = answered.id();
        if matches!(answered, Answered::Repeated(_)) && !is_new {
            return Ok(format!("accepted before as liaison statement {id}"));
        }
        self.send_receipt(id, Some(answered), proof).await;
        Ok(match answered {
            Answered::New(_) => format!("accepted as liaison statement {id}"),
            Answered::LanguageAdded(_) => format!("accepted as a further language of liaison statement {id}"),
            Answered::Corrected(_) => format!("accepted as a correction of liaison statement {id}"),
            Answered::Replaced(_) => format!("accepted in the place of liaison statement {id}"),
            Answered::Repeated(_) => format!("known already as liaison statement {id}"),
        })
    }

    /// From an address of the secretariat, but not proved: kept until its owner says that it is hers; never circulated before.
    async fn hold_statement(&self, group: &Arc<Group>, proof: &SenderProof, reason: Reason) -> Result<String, Refusal> {
        let text = reason.text();
        self.reserve_question(proof).await?;
        let (post, is_new) = self.keep_mail(group, proof, PostState::AwaitsAuthor(reason)).await?;
        if is_new && let Err(refusal) = self.ask_author(group, proof, post).await {
            tracing::error!(group.code = %group.code, post = %post, ?refusal, "Could not ask about a held statement");
        }
        Ok(text)
    }

    async fn send_receipt(&self, id: LiaisonId, answered: Option<Answered>, proof: &SenderProof) {
        let in_reply_to = self.message.message_id.as_deref();
        let receipt = Receipt { id, answered, to: proof.author(), in_reply_to };
        if let Err(error) = liaison::send_receipt(&self.services, receipt).await {
            tracing::error!(liaison = %id, %error, "Could not send the receipt of a statement");
        }
    }

    /// `L-confirm+TOKEN@` of a held mail.
    pub(super) async fn confirm_statement(&self, post: PostId) -> Result<String, Refusal> {
        let answered = liaison::confirmed(&self.services, post).await?;
        Ok(format!("confirmed; liaison statement {}", answered.id()))
    }

    /// `L-confirm+TOKEN@` of a receipt: circulate now.
    pub(super) async fn circulate_statement(&self, id: LiaisonId) -> Result<String, Refusal> {
        let done = liaison::circulate(&self.services, &self.token_holder(), id, false).await.map_err(not_done)?;
        Ok(format!("{} is on its way", done.statement.name()))
    }

    /// `L-moderate+TOKEN@` of a receipt: take it back; the first own lines are the reason.
    pub(super) async fn stop_statement(&self, id: LiaisonId, reason: &str) -> Result<String, Refusal> {
        let (done, _) = liaison::withdraw(&self.services, &self.token_holder(), id, reason, false).await.map_err(not_done)?;
        Ok(format!("{} is withdrawn", done.statement.name()))
    }

    /// `L-moderate+TOKEN@` of a receipt: its answer corrects fields or brings a language.
    pub(super) async fn correct_statement(&self, id: LiaisonId) -> Result<String, Refusal> {
        let actor = self.token_holder();
        let id = liaison::answer_receipt(&self.services, &actor, id, self.bytes().await?, None).await.map_err(not_done)?;
        if let Ok(proof) = self.proof().await
            && let Some(poster) = liaison::poster(&self.services, id).await?
        {
            let in_reply_to = self.message.message_id.as_deref().filter(|_| *proof.author() == poster);
            let receipt = Receipt { id, answered: None, to: &poster, in_reply_to };
            if let Err(error) = liaison::send_receipt(&self.services, receipt).await {
                tracing::error!(liaison = %id, %error, "Could not send the receipt of a correction");
            }
        }
        Ok(format!("corrected; liaison statement {id}"))
    }

    fn token_holder(&self) -> Actor {
        Actor { name: format!("holder of a receipt ({})", self.transaction.reverse_path) }
    }
}

/// What cannot be done is told in the session, in words.
fn not_done(failure: Failure) -> Refusal {
    match failure {
        Failure::Invalid(text) => Reason::new(Rule::LiaisonNotDone, [text]).into(),
        Failure::Mistaken(advice) => Reason::new(Rule::LiaisonNotDone, [advice.to_string()]).into(),
        Failure::NotFound(_) => Reason::new(Rule::TokenInvalid, [""; 0]).into(),
        other => other.into(),
    }
}
