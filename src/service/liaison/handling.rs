//! What people do about a statement that is out: a body has it, the action was taken, somebody else holds it, it goes again to one
//! reader. Each is an event appended to the dossier, and an entry in the audit trail.

use super::follow::change;
use super::record::Dossier;
use super::register::load;
use crate::domain::address::EmailAddress;
use crate::domain::id::{LiaisonId, PostId};
use crate::domain::ledger::{PlannedRecipient, RecipientState};
use crate::domain::liaison::event::{EventKind, State};
use crate::domain::liaison::plain::key;
use crate::domain::mistake::Mistake;
use crate::domain::post::{Audience, Post, PostState};
use crate::service::{Actor, Failure, Services};
use crate::store::BatchKey;

/// Longest note, in characters.
const NOTE_CHARS: usize = 500;

/// `liaison acknowledge`: a body says that it has the statement. Returns its name.
///
/// # Errors
/// When the statement is unknown, not out or over, or the body is none of those addressed.
pub async fn acknowledge(services: &Services, actor: &Actor, id: LiaisonId, by: Option<&str>, dry_run: bool) -> Result<String, Failure> {
    let (_, dossier) = load(services, id).await?;
    must_be_out(services, &dossier)?;
    let bodies: Vec<&str> = dossier.statement.destinations.iter().map(|destination| destination.name.as_str()).collect();
    let named = match by {
        Some(by) => bodies.iter().find(|body| key(body) == key(by)),
        None if bodies.len() == 1 => bodies.first(),
        None => None,
    };
    let Some(body) = named.map(|body| (*body).to_owned()) else {
        return Err(Mistake::AcknowledgedByWhom.about([dossier.statement.name(), bodies.join(", ")]).into());
    };
    note(services, actor, "liaison acknowledge", &dossier, EventKind::Acknowledged(body.clone()), dry_run).await?;
    Ok(body)
}

/// `liaison take`: what was asked for was done without a statement; reminders stop.
///
/// # Errors
/// When the statement is unknown, or waits for no action.
pub async fn take(services: &Services, actor: &Actor, id: LiaisonId, words: &str, dry_run: bool) -> Result<(), Failure> {
    let dossier = waiting(services, id).await?;
    let words = line(words);
    if words.is_empty() {
        return Err(Mistake::ActionUnsaid.plain().into());
    }
    note(services, actor, "liaison take", &dossier, EventKind::Taken(words), dry_run).await
}

/// `liaison reassign`: reminders go to this address from now on, in place of the bodies that were asked.
///
/// # Errors
/// When the statement is unknown, or waits for no action.
pub async fn reassign(services: &Services, actor: &Actor, id: LiaisonId, to: &EmailAddress, dry_run: bool) -> Result<(), Failure> {
    let dossier = waiting(services, id).await?;
    note(services, actor, "liaison reassign", &dossier, EventKind::Reassigned(to.to_string()), dry_run).await
}

/// `liaison resend`: the same copy once more to somebody who was to get it, in the form that was right for her.
///
/// # Errors
/// When the statement is unknown, not out or over, or she was not among its readers.
pub async fn resend(services: &Services, actor: &Actor, id: LiaisonId, to: &EmailAddress, dry_run: bool) -> Result<(), Failure> {
    let (_, dossier) = load(services, id).await?;
    must_be_out(services, &dossier)?;
    let mut found = None;
    for sent in dossier.sent.iter().rev() {
        if let Some(recipient) = recipient(services, sent.post, to).await? {
            found = services.store.post(sent.post).await?.map(|post| (post, recipient));
            break;
        }
    }
    let Some((post, recipient)) = found else {
        return Err(Mistake::NotReader.about([to.to_string(), dossier.statement.name()]).into());
    };
    if dry_run {
        return Ok(());
    }
    let now = services.now();
    let before = dossier.statement.events.iter().filter(|event| matches!(&event.kind, EventKind::Resent(whom) if whom == to.as_str()));
    let repetition = format!("liaison {id} resent {} {}", to.key(), before.count());
    let again = Post {
        id: PostId::new(now, services.chance()),
        received_at: now,
        not_before: now,
        audience: Audience::Listed(vec![PlannedRecipient { state: RecipientState::Planned, ..recipient }]),
        state: PostState::Accepted,
        ..post
    };
    services.store.keep_post(again, vec![repetition]).await?;
    note(services, actor, "liaison resend", &dossier, EventKind::Resent(to.to_string()), false).await
}

/// The row of a reader who was to get a copy of the post.
async fn recipient(services: &Services, post: PostId, to: &EmailAddress) -> Result<Option<PlannedRecipient>, Failure> {
    for number in 0..services.store.batch_count(post).await? {
        let rows = services.store.batch(BatchKey { post, number }).await?;
        let found = rows.into_iter().find(|row| {
            row.state != RecipientState::Suppressed && row.planned.address.parse::<EmailAddress>().is_ok_and(|address| address == *to)
        });
        if let Some(found) = found {
            return Ok(Some(found.planned));
        }
    }
    Ok(None)
}

async fn note(services: &Services, actor: &Actor, act: &str, dossier: &Dossier, kind: EventKind, dry_run: bool) -> Result<(), Failure> {
    if dry_run {
        return Ok(());
    }
    let now = services.now();
    let text = kind.text();
    let written = change(services, dossier.statement.id, |dossier| {
        dossier.statement.record(now, actor.name.clone(), kind.clone());
        Ok(true)
    })
    .await?;
    let detail = format!("{}: {text}", written.statement.name());
    services.audit(actor, act, Some(&written.statement.group), detail).await
}

fn must_be_out(services: &Services, dossier: &Dossier) -> Result<(), Failure> {
    let state = super::register::state_of(services, dossier);
    if dossier.is_out() && !matches!(state, State::Withdrawn | State::Rejected) {
        return Ok(());
    }
    Err(Mistake::StatementWithNobody.about([&*dossier.statement.name(), state.as_str()]).into())
}

/// A statement that is out and waits for somebody to act.
async fn waiting(services: &Services, id: LiaisonId) -> Result<Dossier, Failure> {
    let (_, dossier) = load(services, id).await?;
    let state = super::register::state_of(services, &dossier);
    if matches!(state, State::AwaitingReply | State::Overdue) {
        return Ok(dossier);
    }
    Err(Mistake::StatementWithoutAction.about([&*dossier.statement.name(), state.as_str()]).into())
}

fn line(text: &str) -> String {
    let plain: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(NOTE_CHARS).collect();
    plain.trim().to_owned()
}
