//! Posts, announcements and mail to the owners: prove the sender, ask the gate, keep what passes.

use std::sync::Arc;

use super::refused::Refused;
use super::{Incoming, Refusal, accepted};
use crate::domain::account::Account;
use crate::domain::address::ReversePath;
use crate::domain::gate::{self, Verdict};
use crate::domain::group::Group;
use crate::domain::post::{Arrival, Audience, BodyRef, MEETING_ORIGIN, PostKind, PostState, RoleAddress};
use crate::domain::proof::SenderProof;
use crate::domain::reason::{Reason, Rule};
use crate::mail::compose;
use crate::mail::message::HOPS;
use crate::mail::token::Purpose;
use crate::measure::{Stage, Timer};
use crate::service::moderate;
use crate::service::post::{self, NewPost};
use crate::service::robot::{self, Allowance, RobotMail};
use crate::service::roles;
use crate::smtp::{Answer, Content};
use crate::store::{BodySource, Kept};

/// Which of a group's posting addresses was written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Address {
    List,
    Announce,
    Owner,
    /// The group's secretariat, as it is when the mail comes.
    Secretariat,
    /// Who runs the service, whatever group lends its address.
    Operators,
}

impl Address {
    pub(super) fn kind(self) -> PostKind {
        match self {
            Self::List => PostKind::Discussion,
            Self::Announce => PostKind::Announcement,
            Self::Owner | Self::Secretariat | Self::Operators => PostKind::Owner,
        }
    }

    /// Does it reach holders of a role, whoever wrote?
    fn is_role(self) -> bool {
        matches!(self, Self::Owner | Self::Secretariat | Self::Operators)
    }
}

/// A recipient that the gate let pass in some way.
pub(super) struct Passed<'a> {
    index: usize,
    pub(super) group: &'a Arc<Group>,
    pub(super) address: Address,
    state: PostState,
    pub(super) proof: SenderProof,
}

/// What was said to all posting addresses of a transaction.
#[derive(Default)]
pub(super) struct Judged {
    /// By index of the recipient.
    pub(super) answers: Vec<(usize, Answer)>,
    /// Those that a rule refused.
    pub(super) refused: Vec<Refused>,
    /// The message in the store, if one took it.
    pub(super) body: Option<BodyRef>,
}

impl Incoming {
    /// Answers for all posting addresses of the transaction.
    pub(super) async fn posts(&self, addressed: &[(usize, Arc<Group>, Address)]) -> Judged {
        let Judged { mut answers, mut refused, mut body } = Judged::default();
        if addressed.is_empty() {
            return Judged::default();
        }
        let timer = Timer::of(Stage::Judge);
        let mut passed: Vec<Passed<'_>> = Vec::new();
        for (index, group, address) in addressed {
            let proof = match address {
                Address::List | Address::Owner | Address::Secretariat | Address::Operators => self.proof().await,
                Address::Announce => self.proof_of_spokesman(&group.sub_address("announce", &self.services.site.domain)).await,
            };
            let proof = match proof {
                Ok(proof) => proof,
                Err(refusal) => {
                    answers.push((*index, refusal.answer()));
                    continue;
                }
            };
            if let Some(reason) = self.too_much(group, &proof) {
                answers.push((*index, self.answer(Err(Refusal::Rule(reason)))));
                continue;
            }
            let verdict = self.judge(group, *address, &proof).await;
            let state = match verdict {
                Ok(Verdict::Accept(_)) => PostState::Accepted,
                Ok(Verdict::Hold(reason)) => PostState::Held(reason),
                Ok(Verdict::Confirm(reason)) => PostState::AwaitsAuthor(reason),
                Ok(Verdict::Refuse(reason)) => {
                    refused.push(Refused { group: Arc::clone(group), address: *address, proof, reason: reason.clone() });
                    answers.push((*index, self.answer(Err(Refusal::Rule(reason)))));
                    continue;
                }
                Err(refusal) => {
                    answers.push((*index, self.answer(Err(refusal))));
                    continue;
                }
            };
            passed.push(Passed { index: *index, group, address: *address, state, proof });
        }
        timer.done();
        if !passed.is_empty() {
            match self.body().await {
                Ok(kept) => answers.extend(self.keep(passed, body.insert(kept)).await),
                Err(refusal) => answers.extend(passed.iter().map(|passed| (passed.index, refusal.answer()))),
            }
        }
        Judged { answers, refused, body }
    }

    pub(super) async fn body(&self) -> Result<BodyRef, Refusal> {
        let source = match &self.transaction.content {
            Content::Memory(bytes) => BodySource::Bytes(bytes.clone()),
            Content::Spooled { path, .. } => BodySource::File(path.clone()),
        };
        Ok(self.services.store.put_body(source).await?)
    }

    async fn judge(&self, group: &Group, address: Address, proof: &SenderProof) -> Result<Verdict, Refusal> {
        if let Some(reason) = self.loops(group, address).await? {
            return Ok(Verdict::Refuse(reason));
        }
        if address != Address::Operators && group.house.bans(proof.author()) {
            return Ok(Verdict::Refuse(Reason::new(Rule::Banned, [proof.author().as_str(), group.code.as_str()])));
        }
        if address.is_role() {
            return Ok(Verdict::Accept(Reason::new(Rule::RobotMail, ["owner"])));
        }
        let (account, subscription) = self.services.holder(&group.code, proof.author()).await?;
        let (account, subscription) = (account.as_ref(), subscription.as_ref());
        let today = self.services.today();
        Ok(match address {
            Address::Announce => gate::may_announce(group, proof, account, subscription, today),
            Address::List | Address::Owner | Address::Secretariat | Address::Operators => {
                moderate::judge_post(&self.services, group, proof, account, subscription).await?
            }
        })
    }

    /// Loops, robots and notifications: a list never distributes them (RFC 5321 section 6.3, RFC 3834 section 2, RFC 2919).
    async fn loops(&self, group: &Group, address: Address) -> Result<Option<Reason>, Refusal> {
        let domain = &self.services.site.domain;
        let list = group.address(domain);
        let written_to = match address {
            Address::List => list.clone(),
            Address::Announce => group.sub_address("announce", domain),
            Address::Owner => group.sub_address("owner", domain),
            Address::Secretariat => group.sub_address("tsb", domain),
            Address::Operators => format!("postmaster@{domain}"),
        };
        if self.message.hops >= self.services.config.limits.hops.min(HOPS) {
            return Ok(Some(Reason::new(Rule::TooManyHops, [self.message.hops.to_string()])));
        }
        let list_id = compose::list_id(group, domain);
        if self.message.has_been_through(&list, &list_id) || self.message.was_delivered_to(&list) || self.is_own_copy().await? {
            return Ok(Some(Reason::new(Rule::Loop, [group.code.as_str()])));
        }
        if self.transaction.reverse_path == ReversePath::Null {
            return Ok(Some(Reason::new(Rule::NullSender, [written_to])));
        }
        // The secretariat's own systems may announce; a vacation reply is never for a discussion or the owners.
        let vacation = self.message.auto_submitted.is_some() || matches!(self.message.precedence.as_deref(), Some("bulk" | "junk"));
        Ok((vacation && address != Address::Announce).then(|| Reason::new(Rule::Automatic, [written_to])))
    }

    /// A copy of a post of ours; that of another service may pass once, and what comes back of it bears our own stamps.
    async fn is_own_copy(&self) -> Result<bool, Refusal> {
        let named = self.message.enlace_ref.as_deref().and_then(|key| key.split('.').next()).and_then(|post| post.parse().ok());
        Ok(match named {
            Some(post) => self.services.store.post(post).await?.is_some(),
            None => false,
        })
    }

    /// Keeps what passed: one post for all groups that accept it, so that one person gets one copy; a post each for the held.
    async fn keep(&self, passed: Vec<Passed<'_>>, body: &BodyRef) -> Vec<(usize, Answer)> {
        let mut answers = Vec::new();
        let mut rest = passed;
        while let Some(first) = rest.first() {
            let (address, state) = (first.address, first.state.clone());
            let together = !address.is_role() && state == PostState::Accepted;
            let (batch, others): (Vec<_>, Vec<_>) =
                rest.into_iter().enumerate().partition(|(n, p)| *n == 0 || (together && p.address == address && p.state == state));
            rest = others.into_iter().map(|(_, passed)| passed).collect();
            let batch: Vec<Passed<'_>> = batch.into_iter().map(|(_, passed)| passed).collect();
            match self.keep_together(&batch, body).await {
                Ok(text) => answers.extend(batch.iter().map(|passed| (passed.index, accepted(text.clone())))),
                Err(refusal) => answers.extend(batch.iter().map(|passed| (passed.index, refusal.answer()))),
            }
        }
        answers
    }

    async fn keep_together(&self, batch: &[Passed<'_>], body: &BodyRef) -> Result<String, Refusal> {
        let groups: Vec<&Group> = batch.iter().map(|passed| &**passed.group).collect();
        let wanted = self.meeting(&groups, &batch[0]).await?;
        if matches!(batch[0].state, PostState::AwaitsAuthor(_)) {
            self.reserve_question(&batch[0].proof).await?;
        }
        let (id, kept) = self.keep_post(&groups, &batch[0], wanted.is_some(), body).await?;
        match (kept, wanted) {
            (Kept::New(durable), Some(wanted)) => {
                // One meeting, whatever the number of groups: one question, or one receipt.
                match batch[0].state {
                    PostState::Accepted => self.meeting_receipt(batch[0].group, &batch[0].proof, id, &wanted).await,
                    _ => self.after_keeping(&batch[..1], id).await,
                }
                Ok(format!("accepted as {}, meeting {}", durable.get(), wanted.meeting().id))
            }
            (Kept::Repeated(durable), Some(_)) => Ok(format!("accepted before as {}", durable.get())),
            (kept, None) => self.kept_plain(&groups, batch, id, kept, body).await,
        }
    }

    async fn kept_plain(
        &self,
        groups: &[&Group],
        batch: &[Passed<'_>],
        id: crate::domain::id::PostId,
        kept: Kept,
        body: &BodyRef,
    ) -> Result<String, Refusal> {
        match kept {
            Kept::New(durable) => {
                self.after_keeping(batch, id).await;
                Ok(format!("accepted as {}", durable.get()))
            }
            // One of several groups has it already: the others still need theirs.
            Kept::Repeated(durable) if groups.len() > 1 => {
                for passed in batch {
                    let (id, kept) = self.keep_post(&[&**passed.group], passed, false, body).await?;
                    if matches!(kept, Kept::New(_)) {
                        self.after_keeping(std::slice::from_ref(passed), id).await;
                    }
                }
                Ok(format!("accepted, in part before as {}", durable.get()))
            }
            Kept::Repeated(durable) => Ok(format!("accepted before as {}", durable.get())),
        }
    }

    async fn keep_post(
        &self,
        groups: &[&Group],
        passed: &Passed<'_>,
        is_meeting: bool,
        body: &BodyRef,
    ) -> Result<(crate::domain::id::PostId, Kept), Refusal> {
        let author = self.services.store.account_by_address(passed.proof.author()).await?;
        let audience = match passed.address {
            // It is carried out when its time comes, and what it brings goes to the subscribers.
            Address::Announce if is_meeting => Audience::Listed(Vec::new()),
            Address::List | Address::Announce => Audience::Subscribers,
            Address::Owner => self.role(groups[0], RoleAddress::Managers).await?,
            Address::Secretariat => self.role(groups[0], RoleAddress::Secretariat).await?,
            Address::Operators => self.operators().await?,
        };
        let new = NewPost {
            groups: groups.to_vec(),
            kind: passed.address.kind(),
            message_id: self.message.message_id.clone(),
            subject: self.message.subject.clone(),
            sender: passed.proof.clone(),
            author: author.map(|account| account.id),
            body: body.clone(),
            audience,
            state: passed.state.clone(),
            arrival: Arrival { found: self.findings().await, ..self.arrival.clone() },
            origin: if is_meeting { MEETING_ORIGIN } else { "" },
        };
        let (id, kept) = post::keep(&self.services, new).await?;
        let repeated = matches!(kept, Kept::Repeated(_));
        tracing::info!(trace = self.arrival.trace, post.id = %id, state = passed.state.as_str(), repeated, "Kept");
        Ok((id, kept))
    }

    /// Whoever has the role when the post is planned; somebody has to have it now, or the mail would be taken for nobody.
    async fn role(&self, group: &Group, role: RoleAddress) -> Result<Audience, Refusal> {
        let now = roles::holders(&self.services, group, role).await?;
        if now.is_empty() {
            let text = match role {
                RoleAddress::Managers => format!("{} has neither manager nor secretariat; write to the postmaster", group.code),
                RoleAddress::Secretariat => format!("{} has no secretariat here; write to the postmaster", group.code),
            };
            return Err(Refusal::Rule(Reason::new(Rule::NotDone, [text])));
        }
        Ok(Audience::Role(role, now))
    }

    /// Those who run the service now; without one nobody would read it.
    async fn operators(&self) -> Result<Audience, Refusal> {
        let operators = roles::operators(&self.services).await?;
        if operators.is_empty() {
            let address = format!("postmaster@{}", self.services.site.domain);
            return Err(Reason::new(Rule::NotDone, [format!("nobody reads {address}: no account has the role operator")]).into());
        }
        let reason = || Reason::new(Rule::RoleCopy, [self.services.site.domain.as_str(), "operator"]);
        Ok(Audience::Listed(
            operators.iter().map(|account| roles::recipient(account.address().as_str(), Some(account), reason())).collect(),
        ))
    }

    /// What follows from a held post: a question to its author, a notice to the moderators. The post is safe already,
    /// so a failure here is logged and does not change the answer.
    async fn after_keeping(&self, batch: &[Passed<'_>], id: crate::domain::id::PostId) {
        for passed in batch {
            let proof = &passed.proof;
            let done = match &passed.state {
                PostState::AwaitsAuthor(_) => self.ask_author(passed.group, proof, id).await,
                PostState::Held(_) => self.tell_moderators(passed.group, id).await,
                PostState::Accepted if passed.address == Address::Announce => self.receipt(passed.group, proof, id).await,
                _ => Ok(()),
            };
            if let Err(refusal) = done {
                tracing::error!(group.code = %passed.group.code, post = %id, ?refusal, "Could not tell about a kept post");
            }
        }
    }

    /// A mail about which its author cannot be asked today is not taken: held without a question it would only lapse. Counted before
    /// it is kept, so that nothing has to be taken back.
    pub(super) async fn reserve_question(&self, proof: &SenderProof) -> Result<(), Refusal> {
        if robot::reserve(&self.services, proof.author()).await? {
            return Ok(());
        }
        Err(Reason::new(Rule::AnswersUsedUp, [proof.author().as_str()]).into())
    }

    pub(super) async fn ask_author(&self, group: &Group, proof: &SenderProof, id: crate::domain::id::PostId) -> Result<(), Refusal> {
        let author = proof.author();
        let account = self.services.store.account_by_address(author).await?;
        let token = self.services.keys.address_token(Purpose::Author, id.0);
        let mail = RobotMail {
            to: author,
            account: account.as_ref(),
            group,
            template: "did-you-send-this",
            context: serde_json::json!({
                "subject": self.message.subject,
                "confirm_address": format!("{}-confirm+{token}@{}", group.list, self.services.site.domain),
                "link": format!("{}/c/{token}", self.services.site.base_url),
                "days": moderate::held_days(&self.services),
            }),
            reply_to: Some(format!("{}-confirm+{token}", group.list)),
            in_reply_to: None,
            allowance: Allowance::Reserved,
        };
        robot::send(&self.services, mail).await?;
        Ok(())
    }

    async fn tell_moderators(&self, group: &Group, id: crate::domain::id::PostId) -> Result<(), Refusal> {
        if let Some(post) = self.services.store.post(id).await? {
            moderate::notify(&self.services, &post, group).await?;
        }
        Ok(())
    }

    /// An announcement with a grace time: who sent it learns how to stop it.
    async fn receipt(&self, group: &Group, proof: &SenderProof, id: crate::domain::id::PostId) -> Result<(), Refusal> {
        if group.grace.is_zero() {
            return Ok(());
        }
        let author = proof.author();
        let account: Option<Account> = self.services.store.account_by_address(author).await?;
        let token = self.services.keys.address_token(Purpose::Stop, id.0);
        let mail = RobotMail {
            to: author,
            account: account.as_ref(),
            group,
            template: "announcement-receipt",
            context: serde_json::json!({
                "subject": self.message.subject,
                "minutes": group.grace.as_secs().div_ceil(60),
                "stop_address": format!("{}-moderate+{token}@{}", group.list, self.services.site.domain),
            }),
            reply_to: Some(format!("{}-moderate+{token}", group.list)),
            in_reply_to: self.message.message_id.as_deref(),
            allowance: Allowance::Receipt,
        };
        robot::send(&self.services, mail).await?;
        Ok(())
    }
}
