//! `liaison withdraw`: who has not got a statement does not get it, who has is told.

use chrono::{DateTime, Utc};
use serde_json::json;

use super::edition::{Issue, named, page_url, spoken};
use super::follow::{change, note, over, service};
use super::record::Dossier;
use super::register::load;
use super::{circulate, judge};
use crate::domain::id::{LiaisonId, PostId};
use crate::domain::language::Language;
use crate::domain::liaison::event::EventKind;
use crate::domain::liaison::routing::{self, Withdrawal};
use crate::domain::post::{Arrival, Audience, Post, PostKind, PostState, Routed};
use crate::domain::reason::{Reason, Rule};
use crate::service::robot::group_context;
use crate::service::{Actor, Failure, Services};

/// `liaison withdraw`: within the grace time nobody hears of it; afterwards whoever got it gets a notice.
///
/// # Errors
/// When it is unknown or over already, or a template fails.
pub async fn withdraw(
    services: &Services,
    actor: &Actor,
    id: LiaisonId,
    why: &str,
    dry_run: bool,
) -> Result<(Dossier, Withdrawal), Failure> {
    let (_, dossier) = load(services, id).await?;
    let state = dossier.state();
    if state.is_final() {
        return Err(over(&dossier, state));
    }
    let out = dossier.sent.first().map(|sent| sent.at);
    let manner = out.map_or(Withdrawal::Silent, |at| routing::withdrawal(at, services.now()));
    if dry_run {
        return Ok((dossier, manner));
    }
    let now = services.now();
    let why: String = why.chars().map(|c| if c.is_control() { ' ' } else { c }).take(500).collect();
    let reason = if why.trim().is_empty() { "withdrawn by the secretariat".to_owned() } else { why.trim().to_owned() };
    let withdrawn = change(services, id, |dossier| {
        dossier.goes_out_at = None;
        dossier.waits_until = None;
        dossier.statement.record(now, actor.name.clone(), EventKind::Withdrawn(reason.clone()));
        Ok(true)
    })
    .await?;
    // It may have gone out in between: what counts is what was sent.
    let manner = if withdrawn.sent.is_empty() { Withdrawal::Silent } else { Withdrawal::Notice };
    for sent in &withdrawn.sent {
        stop(services, sent.post, now).await?;
    }
    if manner == Withdrawal::Notice {
        notice(services, &withdrawn, why.trim()).await?;
    }
    services
        .audit(actor, "liaison withdraw", Some(&withdrawn.statement.group), format!("{}: {reason}", withdrawn.statement.name()))
        .await?;
    Ok((withdrawn, manner))
}

/// Copies that are still open do not go out any more.
async fn stop(services: &Services, post: PostId, now: DateTime<Utc>) -> Result<(), Failure> {
    let Some(mut found) = services.store.post(post).await? else { return Ok(()) };
    if found.state == PostState::Accepted {
        found.state = PostState::Withdrawn(now);
        services.store.update_post(found).await?;
    } else if found.state == PostState::Planned {
        let text = Reason::new(Rule::Withdrawn, [now.date_naive().to_string()]).text();
        services.store.drop_open(post, now, text).await?;
    }
    Ok(())
}

/// The notice of a withdrawal to whoever got the statement, in the language in which it was read.
async fn notice(services: &Services, dossier: &Dossier, why: &str) -> Result<(), Failure> {
    let statement = &dossier.statement;
    let group = services.group(&statement.group)?;
    let now = services.now();
    let id = PostId::new(now, services.chance());
    let mut languages: Vec<Language> = Vec::new();
    for language in dossier.sent.iter().flat_map(|sent| &sent.languages) {
        if !languages.contains(language) {
            languages.push(*language);
        }
    }
    let groups = circulate::groups_of(&judge::routes(services, statement).await?);
    let stem = format!("{}.withdrawn@{}", statement.id, services.site.domain);
    let mut editions = Vec::new();
    for language in &languages {
        let words = spoken(services, *language);
        let context = json!({
            "group": group_context(services, &group, words),
            "service": service(services),
            "language": words,
            "subject": named(statement, *language),
            "reason": why,
            "page": page_url(services, statement.id),
        });
        let mail = services.texts.mail(words, Some(group.code.as_str()), "liaison-withdrawn", context)?;
        let issue = Issue { services, dossier, group: &group, groups: &groups, languages: &languages };
        editions.push(
            note(&issue, *language, (mail.subject, mail.text), format!("{}.withdrawn.{language}@{}", statement.id, services.site.domain))
                .await?,
        );
    }
    let earlier = dossier.sent.iter().map(|sent| sent.post).collect();
    let audience = Audience::Routed(Box::new(Routed {
        forms: Vec::new(),
        coming: Vec::new(),
        reasons: Vec::new(),
        purposes: Vec::new(),
        questions: Vec::new(),
        mailboxes: Vec::new(),
        earlier,
        again: true,
    }));
    let post = Post {
        id,
        groups,
        kind: PostKind::Liaison,
        message_id: stem,
        subject: named(statement, languages.first().copied().unwrap_or(Language::ENGLISH)),
        sender: None,
        author: None,
        received_at: now,
        not_before: now,
        editions,
        audience,
        state: PostState::Accepted,
        arrival: Arrival::default(),
        origin: format!("liaison:{}", statement.id),
    };
    services.store.keep_post(post, vec![format!("liaison {} withdrawn", statement.id)]).await?;
    Ok(())
}
