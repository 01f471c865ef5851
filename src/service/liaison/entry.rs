//! The ways in: a file on the command line, an answer to a receipt, a sender's confirmation.
//!
//! All end in [`intake::submit`]; here is who may, and for which group.

use std::sync::Arc;

use bytes::Bytes;

use super::intake::{self, Answered, Mail, NewMail};
use super::receipt::{Receipt, send_receipt};
use super::record::{self, Dossier};
use super::register::{self, Shown};
use super::{circulate, correct};
use crate::domain::destination::Destination;
use crate::domain::gate::{self, Verdict};
use crate::domain::group::{Group, GroupCode};
use crate::domain::id::{LiaisonId, PostId};
use crate::domain::post::{Arrival, Audience, Post, PostKind, PostState};
use crate::domain::proof::{ProofMethod, SenderProof};
use crate::domain::reason::{Reason, Rule};
use crate::mail::message;
use crate::service::post::{self, NewPost};
use crate::service::{Actor, Failure, Services};
use crate::store::{BodySource, Kept};

/// What came of a file.
#[derive(Debug, Clone)]
pub struct Submitted {
    /// The statement as it is, or would be.
    pub shown: Shown,
    /// One line for people.
    pub outcome: String,
    /// Why it would be refused; only in a rehearsal.
    pub refused: Option<Reason>,
}

/// May this sender post statements of the group, or of any group where none is named?
///
/// # Errors
/// The reason, or the store's.
pub async fn may_liaise(services: &Services, group: Option<&Group>, sender: &SenderProof) -> Result<Verdict, Failure> {
    let account = services.store.account_by_address(sender.author()).await?;
    let today = services.today();
    if let Some(group) = group {
        return Ok(gate::may_liaise(group, sender, account.as_ref(), today));
    }
    let mut refused = Reason::new(Rule::MayNotLiaise, [sender.author().as_str(), "any group"]);
    for group in services.groups().iter() {
        match gate::may_liaise(group, sender, account.as_ref(), today) {
            Verdict::Refuse(reason) if matches!(reason.rule, Rule::MayNotLiaise | Rule::GroupRetired) => {}
            Verdict::Refuse(reason) => refused = reason,
            passed => return Ok(passed),
        }
    }
    Ok(Verdict::Refuse(refused))
}

/// `liaison submit FILE.eml`. Whoever may run the command vouches for the sender; what the sender may is the gate's word all the same.
///
/// # Errors
/// When the file is no mail, names no group, or its author may not post statements.
pub async fn submit_file(
    services: &Services,
    actor: &Actor,
    bytes: Bytes,
    group: Option<GroupCode>,
    dry_run: bool,
) -> Result<Submitted, Failure> {
    let bytes = Bytes::from(message::to_crlf(&bytes).into_owned());
    let head = message::read(&bytes).map_err(Failure::Refused)?;
    let author = match &head.author {
        Ok(author) => author.address.clone(),
        Err(doubt) => return Err(Failure::Refused(Reason::new(Rule::FromUnclear, [doubt.to_string()]))),
    };
    let mail = intake::read(services, bytes.clone()).await?;
    let group = match group {
        Some(code) => services.group(&code)?,
        None => addressed(services, &head.shown_recipients)
            .or_else(|| intake::group_of(services, &mail))
            .ok_or_else(|| unknown_group(services, &mail))?,
    };
    let sender = SenderProof::Proved { author: author.clone(), method: ProofMethod::Trusted };
    let refused = match may_liaise(services, Some(&group), &sender).await? {
        Verdict::Refuse(reason) => Some(reason),
        _ => None,
    };
    if dry_run {
        let dossier = intake::preview(services, &mail, &group, Some(&author)).await?;
        let outcome = "Dry run, nothing was kept\n".to_owned();
        return Ok(Submitted { shown: register::shown(services, &dossier, true).await?, outcome, refused });
    }
    if let Some(reason) = refused {
        return Err(Failure::Refused(reason));
    }
    let body = services.store.put_body(BodySource::Bytes(bytes)).await?;
    let account = services.store.account_by_address(&author).await?;
    let kept = post::keep(
        services,
        NewPost {
            groups: vec![&group],
            kind: PostKind::Liaison,
            message_id: head.message_id.clone(),
            subject: head.subject.clone(),
            sender,
            author: account.map(|account| account.id),
            body,
            audience: Audience::Listed(Vec::new()),
            state: PostState::Accepted,
            arrival: Arrival { listener: format!("file ({})", actor.name), ..Arrival::default() },
            origin: "",
        },
    )
    .await?;
    let (Kept::New(post) | Kept::Repeated(post)) = kept.1;
    let answered = intake::submit(services, NewMail { mail, group: Arc::clone(&group), poster: &author, post: Some(post.get()) }).await?;
    let id = answered.id();
    services.audit(actor, "liaison submit", Some(&group.code), id.to_string()).await?;
    if !matches!(answered, Answered::Repeated(_)) {
        let receipt = Receipt { id, answered: Some(answered), to: &author, in_reply_to: head.message_id.as_deref() };
        send_receipt(services, receipt).await?;
        circulate::send(services, id).await?;
    }
    let outcome = match answered {
        Answered::New(_) => "Kept as a new statement",
        Answered::LanguageAdded(_) => "Kept as a further language",
        Answered::Corrected(_) => "Kept as a corrected issue",
        Answered::Replaced(_) => "Kept in the place of what had not gone out",
        Answered::Repeated(_) => "Known already, nothing is sent again",
    };
    Ok(Submitted { shown: register::show(services, id, true).await?, outcome: format!("{outcome}\n"), refused: None })
}

/// The group whose liaison address stands in To or Cc of a file.
fn addressed(services: &Services, shown: &[String]) -> Option<Arc<Group>> {
    let groups = services.groups();
    let found = shown.iter().filter_map(|address| groups.destination(&address.parse().ok()?)).find_map(|destination| match destination {
        Destination::Liaison(code) => Some(code),
        _ => None,
    });
    found.and_then(|code| groups.get(&code).cloned())
}

/// No group of ours in the statement's own words.
pub fn unknown_group(services: &Services, mail: &Mail) -> Failure {
    let source = mail.reading.source.as_ref().map_or_else(|| "no source".to_owned(), |found| format!("source: {}", found.value));
    Failure::Refused(Reason::new(Rule::LiaisonGroupUnknown, [source, services.site.domain.clone()]))
}

/// The answer to a receipt: lines that correct fields, or files that bring a further language.
///
/// # Errors
/// When nothing in it is understood, or the statement has gone out.
pub async fn answer_receipt(
    services: &Services,
    actor: &Actor,
    id: LiaisonId,
    bytes: Bytes,
    post: Option<PostId>,
) -> Result<LiaisonId, Failure> {
    let (_, dossier) = register::load(services, id).await?;
    let mail = intake::read_as(services, bytes, true).await?;
    let brings_files = mail.reading.editions.iter().any(|edition| !edition.files.is_empty());
    let Some(poster) = dossier.poster.clone().filter(|_| brings_files) else {
        let text = mail.posted.texts.iter().map(|text| text.text.as_str()).collect::<Vec<_>>().join("\n");
        correct::correct(services, actor, id, &text, false).await?;
        return Ok(id);
    };
    let group = services.group(&dossier.statement.group)?;
    // The token was mailed to the poster; the right is judged as it is now.
    let sender = SenderProof::Proved { author: poster.clone(), method: ProofMethod::Confirmed };
    if let Verdict::Refuse(reason) = may_liaise(services, Some(&group), &sender).await? {
        return Err(Failure::Refused(reason));
    }
    Ok(intake::submit(services, NewMail { mail, group, poster: &poster, post }).await?.id())
}

/// The sender of a held mail said that it is his: judged again, now with the proof, and kept as a statement.
///
/// # Errors
/// [`Rule::TokenInvalid`] when it does not wait (any more); the gate's reason when the right is gone.
pub async fn confirmed(services: &Services, id: PostId) -> Result<Answered, Failure> {
    let used = || Failure::Refused(Reason::new(Rule::TokenInvalid, [""; 0]));
    let mut held = services.store.post(id).await?.ok_or_else(used)?;
    if !matches!(held.state, PostState::AwaitsAuthor(_)) || held.kind != PostKind::Liaison {
        return Err(used());
    }
    let author = held.author_address().cloned().ok_or_else(used)?;
    let sender = SenderProof::Proved { author: author.clone(), method: ProofMethod::Confirmed };
    let group = services.group(&held.groups[0])?;
    if let Verdict::Refuse(reason) = may_liaise(services, Some(&group), &sender).await? {
        held.state = PostState::Rejected(reason.clone());
        services.store.update_post(held).await?;
        return Err(Failure::Refused(reason));
    }
    let body = held.editions.first().map(|edition| edition.body.clone()).ok_or_else(used)?;
    let mail = intake::read(services, services.store.body(&body).await?).await?;
    let answered = intake::submit(services, NewMail { mail, group, poster: &author, post: Some(id) }).await?;
    held.sender = Some(sender);
    held.state = PostState::Done;
    let message_id = held.message_id.clone();
    services.store.update_post(held).await?;
    let receipt = Receipt { id: answered.id(), answered: Some(answered), to: &author, in_reply_to: Some(&message_id) };
    send_receipt(services, receipt).await?;
    Ok(answered)
}

/// Posts by which the statement went out that came as this mail, for `explain`.
///
/// # Errors
/// When the store fails.
pub async fn posts_of_mail(services: &Services, mail: &Post) -> Result<Vec<Post>, Failure> {
    if mail.kind != PostKind::Liaison || !mail.origin.is_empty() {
        return Ok(Vec::new());
    }
    let all: Vec<Dossier> = record::all(services).await?;
    let mut posts = Vec::new();
    for sent in all.iter().filter(|dossier| dossier.mails.contains(&mail.id)).flat_map(|dossier| &dossier.sent) {
        posts.extend(services.store.post(sent.post).await?);
    }
    Ok(posts)
}
