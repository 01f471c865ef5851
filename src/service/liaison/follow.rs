//! After a statement is kept: replies, the end, and what corrections, withdrawals and reminders share.
//!
//! Every change is an event appended to the dossier; the state follows from the events. A change that meets another one is
//! made again on the record as it then is.

use bytes::Bytes;
use serde_json::{Value, json};

use super::edition::Issue;
use super::record::{self, Dossier};
use super::register::load;
use crate::domain::id::LiaisonId;
use crate::domain::language::Language;
use crate::domain::liaison::event::{EventKind, State};
use crate::domain::liaison::statement::Reply;
use crate::domain::mistake::Mistake;
use crate::domain::post::Edition;
use crate::mail::write::{self, Automatic, Letter, Mailbox};
use crate::service::robot::group_name;
use crate::service::{Actor, Failure, Services};
use crate::store::{BodySource, StoreError};

/// How often a change is made again because another one was first.
pub(super) const MOST_TRIES: usize = 10;

/// Changes a dossier as it is now; `change` says `false` when nothing is to be written.
pub(super) async fn change(
    services: &Services,
    id: LiaisonId,
    mut change: impl FnMut(&mut Dossier) -> Result<bool, Failure>,
) -> Result<Dossier, Failure> {
    for _ in 0..MOST_TRIES {
        let (version, mut dossier) = load(services, id).await?;
        if !change(&mut dossier)? {
            return Ok(dossier);
        }
        match record::put(services, &dossier, version).await {
            Ok(()) => return Ok(dossier),
            Err(Failure::Store(StoreError::Unavailable(_))) => {}
            Err(other) => return Err(other),
        }
    }
    Err(Failure::Store(StoreError::Unavailable(format!("{id} is changed by too many at once; try again"))))
}

/// A further mail belongs to the statement, such as its receipt.
pub(super) async fn note_message(services: &Services, id: LiaisonId, message_id: &str) -> Result<(), Failure> {
    change(services, id, |dossier| {
        let ids = &mut dossier.statement.message_ids;
        let new = !ids.iter().any(|known| known == message_id);
        if new {
            ids.push(message_id.to_owned());
        }
        Ok(new)
    })
    .await
    .map(|_| ())
}

/// `answer` is answered by `by`; noted once.
pub(super) async fn link(services: &Services, actor: &str, answered: LiaisonId, by: LiaisonId) -> Result<(), Failure> {
    let now = services.now();
    let result = change(services, answered, |dossier| {
        let known = dossier.statement.events.iter().any(|event| event.kind == EventKind::Answered(by));
        let over = dossier.state().is_final();
        if !known && !over {
            dossier.statement.record(now, actor, EventKind::Answered(by));
        }
        Ok(!known && !over)
    })
    .await;
    match result {
        // What was answered may have been removed since.
        Ok(_) | Err(Failure::NotFound(_)) => Ok(()),
        Err(other) => Err(other),
    }
}

/// `liaison answer ID --with ID`.
///
/// # Errors
/// When one of them is unknown, both are the same, or it is over.
pub async fn answer(services: &Services, actor: &Actor, id: LiaisonId, with: LiaisonId, dry_run: bool) -> Result<Dossier, Failure> {
    if id == with {
        return Err(Mistake::AnswersItself.plain().into());
    }
    let (_, dossier) = load(services, id).await?;
    let (_, reply) = load(services, with).await?;
    let state = dossier.state();
    if state.is_final() {
        return Err(over(&dossier, state));
    }
    if dry_run {
        return Ok(dossier);
    }
    change(services, with, |dossier| {
        let reference = dossier.statement.reply.take().map(|reply| reply.reference).unwrap_or_default();
        dossier.statement.reply = Some(Reply { reference, statement: Some(id) });
        Ok(true)
    })
    .await?;
    link(services, &actor.name, id, with).await?;
    let detail = format!("{} by {}", dossier.statement.name(), reply.statement.name());
    services.audit(actor, "liaison answer", Some(&dossier.statement.group), detail).await?;
    Ok(load(services, id).await?.1)
}

/// Nothing can be done with a statement that is over.
pub(super) fn over(dossier: &Dossier, state: State) -> Failure {
    Mistake::StatementOver.about([&*dossier.statement.name(), state.as_str()]).into()
}

/// `liaison close`: nothing more is expected; reminders stop.
///
/// # Errors
/// When it is unknown or over already.
pub async fn close(services: &Services, actor: &Actor, id: LiaisonId, dry_run: bool) -> Result<Dossier, Failure> {
    let (_, dossier) = load(services, id).await?;
    let state = dossier.state();
    if state.is_final() {
        return Err(over(&dossier, state));
    }
    if !dossier.is_out() && state != State::Answered {
        return Err(Mistake::StatementNotOut.about([dossier.statement.name()]).into());
    }
    if dry_run {
        return Ok(dossier);
    }
    let now = services.now();
    let closed = change(services, id, |dossier| {
        dossier.statement.record(now, actor.name.clone(), EventKind::Closed);
        Ok(true)
    })
    .await?;
    services.audit(actor, "liaison close", Some(&closed.statement.group), closed.statement.name()).await?;
    Ok(closed)
}

/// The service as templates name it.
pub(super) fn service(services: &Services) -> Value {
    json!({ "name": services.config.service.name, "domain": services.site.domain, "base_url": services.site.base_url })
}

/// A short mail about a statement, in its thread.
pub(super) async fn note(
    issue: &Issue<'_>,
    language: Language,
    (subject, text): (String, String),
    message_id: String,
) -> Result<Edition, Failure> {
    let (services, group) = (issue.services, issue.group);
    let domain = &services.site.domain;
    let thread: Vec<String> = issue
        .dossier
        .sent
        .last()
        .map(|sent| format!("{}.r{}.{language}@{domain}", issue.dossier.statement.id, sent.revision))
        .into_iter()
        .collect();
    let html = super::edition::html(&[(language, text.clone())]);
    let letter = Letter {
        from: Mailbox { name: group_name(group, language), address: group.sub_address("owner", domain) },
        // Reminders and withdrawals reach some of the readers; one answer to all must not reach the list.
        to: vec![Mailbox::plain(group.sub_address("owner", domain))],
        cc: Vec::new(),
        reply_to: None,
        subject,
        message_id,
        date: services.now().with_timezone(&group.timezone).fixed_offset(),
        language: Some(language),
        automatic: Automatic::Generated,
        in_reply_to: thread.last().cloned(),
        references: thread,
        text,
        html,
        calendar: None,
        files: Vec::new(),
    };
    let body = services.store.put_body(BodySource::Bytes(Bytes::from(write::letter(&letter)))).await?;
    Ok(Edition { language: Some(language), body })
}
