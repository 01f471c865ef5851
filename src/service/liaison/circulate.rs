//! Carries the routing table out: a post with its editions, its audience and its mailboxes.
//!
//! The post is kept first, under a key of statement, revision and languages, and the dossier is written after: a crash in
//! between meets the key again. Each (language, form) is written once, whatever the number of readers.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use tracing::{info, warn};

use super::edition::{self, Issue};
use super::judge;
use super::record::{self, Dossier, Sent};
use crate::domain::audience::{Form, wanted_languages};
use crate::domain::group::{Group, GroupCode, GuestLiaison, MissingEdition};
use crate::domain::id::{LiaisonId, PostId};
use crate::domain::language::Language;
use crate::domain::ledger::{PlannedRecipient, RecipientState};
use crate::domain::liaison::event::{EventKind, State};
use crate::domain::liaison::routing::{self, Route, Target};
use crate::domain::liaison::statement::Statement;
use crate::domain::mistake::Mistake;
use crate::domain::post::{Arrival, Audience, Post, PostKind, PostState, Routed};
use crate::domain::reason::{Reason, Rule};
use crate::domain::subscription::{DeliveryMode, Stream};
use crate::service::{Actor, Failure, Services};
use crate::store::{Kept, StoreError};

/// Members read from the store at a time.
const PAGE: usize = 500;
/// How often a dossier is written again because somebody else was first.
const MOST_TRIES: usize = 10;

/// Sends what is due; returns when the next thing is. Safe to run at any time, on any number of nodes.
///
/// # Errors
/// When the store or a template fails; what was not sent stays due.
pub async fn send_due(services: &Services) -> Result<Option<DateTime<Utc>>, Failure> {
    let now = services.now();
    let (due, next) = record::due(services, now).await?;
    let mut failure = None;
    for (key, id) in due {
        match send(services, id).await {
            Ok(()) => record::done(services, &key).await?,
            // One statement with a broken template must not hold up the others.
            Err(error) => {
                warn!(liaison = %id, "Could not circulate {id}: {error}");
                failure = Some(error);
            }
        }
    }
    failure.map_or(Ok(next), Err)
}

/// `liaison circulate`: sends now what waits for its grace time, for a missing language or for a person.
///
/// # Errors
/// When it is unknown, over, or held by errors, which are named.
pub async fn circulate(services: &Services, actor: &Actor, id: LiaisonId, dry_run: bool) -> Result<Dossier, Failure> {
    for _ in 0..MOST_TRIES {
        let (version, mut dossier) = super::register::load(services, id).await?;
        let others: Vec<Dossier> = record::all(services).await?.into_iter().filter(|other| other.statement.id != id).collect();
        judge::judge(services, &mut dossier, &others).await?;
        let state = dossier.state();
        if state.is_final() {
            return Err(super::follow::over(&dossier, state));
        }
        let errors: Vec<String> = dossier
            .statement
            .problems
            .iter()
            .filter(|problem| problem.level == crate::domain::liaison::statement::Level::Error)
            .map(|problem| format!("{}: {}", problem.rule, problem.text))
            .collect();
        if !errors.is_empty() {
            return Err(Mistake::StatementHeld.about([dossier.statement.name(), errors.join("; ")]).into());
        }
        let waits = dossier.of_revision().last().is_some_and(|sent| !sent.coming.is_empty());
        if unsent(&dossier).is_empty() && !waits {
            return Err(Mistake::StatementOutWhole.about([dossier.statement.name()]).into());
        }
        if dry_run {
            return Ok(dossier);
        }
        let now = services.now();
        if !dossier.is_out() {
            dossier.statement.record(now, actor.name.clone(), EventKind::Approved);
        }
        dossier.goes_out_at = Some(now);
        dossier.waits_until = Some(now);
        number(services, &mut dossier).await?;
        match record::put(services, &dossier, version).await {
            Ok(()) => {}
            Err(Failure::Store(StoreError::Unavailable(_))) => continue,
            Err(other) => return Err(other),
        }
        services.audit(actor, "liaison circulate", Some(&dossier.statement.group), dossier.statement.name()).await?;
        send(services, id).await?;
        return Ok(super::register::load(services, id).await?.1);
    }
    Err(busy(id))
}

/// Gives the statement its number within the group, if it has none.
pub(super) async fn number(services: &Services, dossier: &mut Dossier) -> Result<(), Failure> {
    while dossier.statement.number.is_none() {
        let (version, last) = record::turn(services, &dossier.statement.group).await?;
        if record::end_turn(services, &dossier.statement.group, version, last + 1).await? {
            dossier.statement.number = Some(last + 1);
        }
    }
    Ok(())
}

fn busy(id: LiaisonId) -> Failure {
    Failure::Store(StoreError::Unavailable(format!("{id} is changed by too many at once; try again")))
}

/// Languages of the present issue that have not gone out.
fn unsent(dossier: &Dossier) -> Vec<Language> {
    let out = dossier.languages_out();
    dossier.statement.languages().filter(|language| !out.contains(language)).collect()
}

/// Sends what of the statement is due now, if anything is.
pub(super) async fn send(services: &Services, id: LiaisonId) -> Result<(), Failure> {
    for _ in 0..MOST_TRIES {
        let Some((version, mut dossier)) = record::find(services, id).await? else { return Ok(()) };
        let now = services.now();
        // One that is closed may still get a further language; one that was taken back or refused goes nowhere.
        if matches!(dossier.state(), State::Withdrawn | State::Rejected) || dossier.statement.has_errors() {
            return Ok(());
        }
        let group = services.group(&dossier.statement.group)?;
        let fresh = unsent(&dossier);
        let goes = dossier.goes_out_at.is_some_and(|at| at <= now);
        let waited = dossier.waits_until.is_none_or(|until| until <= now);
        let waiting = dossier.of_revision().last().is_some_and(|sent| !sent.coming.is_empty());
        let languages = if goes && !fresh.is_empty() {
            fresh
        } else if waiting && waited {
            dossier.statement.languages().collect()
        } else {
            return Ok(());
        };
        let missing = dossier.statement.missing(&group.languages);
        let coming = if matches!(group.missing_edition, MissingEdition::Wait(_)) && !waited { missing } else { Vec::new() };
        let (post, reached) = keep(services, &dossier, &group, &languages, &coming).await?;
        let revision = dossier.revision();
        dossier.sent.push(Sent { post, at: now, revision, languages: languages.clone(), coming });
        let out = edition::message_ids(services, &dossier, &languages);
        for id in out {
            if !dossier.statement.message_ids.contains(&id) {
                dossier.statement.message_ids.push(id);
            }
        }
        for (class, count) in reached {
            dossier.statement.record(now, "enlace", EventKind::Circulated { class, count, post: Some(post), languages: languages.clone() });
        }
        match record::put(services, &dossier, version).await {
            Ok(()) => {}
            Err(Failure::Store(StoreError::Unavailable(_))) => continue,
            Err(other) => return Err(other),
        }
        if let Some(answered) = dossier.statement.reply.as_ref().and_then(|reply| reply.statement) {
            super::follow::link(services, "enlace", answered, id).await?;
        }
        info!(liaison = %id, post = %post, "Circulated {}", dossier.statement.name());
        return Ok(());
    }
    Err(busy(id))
}

/// Keeps the post; gives it with the count of each class of recipients.
async fn keep(
    services: &Services,
    dossier: &Dossier,
    group: &Group,
    languages: &[Language],
    coming: &[Language],
) -> Result<(PostId, Vec<(String, u64)>), Failure> {
    let statement = &dossier.statement;
    let routes = judge::routes(services, statement).await?;
    let now = services.now();
    let id = PostId::new(now, services.chance());
    let groups = groups_of(&routes);
    let issue = Issue { services, dossier, group, groups: &groups, languages };
    let earlier: Vec<PostId> = dossier.of_revision().into_iter().map(|sent| sent.post).collect();
    let mut editions = Vec::new();
    let mut forms = Vec::new();
    for form in forms_of(services, dossier, &groups, languages, earlier.is_empty()) {
        for language in languages {
            editions.push(issue.edition(*language, form).await?);
            forms.push(form);
        }
    }
    let mailboxes = mailboxes(dossier, &routes, languages, group);
    let reach = reach(services, &routes, &Stage::of(dossier, languages, coming), &mailboxes).await?;
    let subscribers = routes.iter().filter(|route| matches!(route.target, Target::Subscribers(_)));
    let (reasons, purposes) = subscribers.map(|route| (route.reason.clone(), route.purpose)).unzip();
    let questions = statement.questions_from.iter().chain(&statement.questions_to).cloned().collect();
    let number = earlier.len();
    let post = Post {
        id,
        groups,
        kind: PostKind::Liaison,
        message_id: edition::stem(services, dossier),
        subject: edition::subject(statement, group, languages[0]),
        sender: None,
        author: None,
        received_at: now,
        not_before: now,
        editions,
        audience: Audience::Routed(Box::new(Routed {
            forms,
            coming: coming.to_vec(),
            reasons,
            purposes,
            questions,
            mailboxes,
            earlier,
            again: false,
        })),
        state: PostState::Accepted,
        arrival: Arrival::default(),
        origin: format!("liaison:{}", statement.id),
    };
    let named: Vec<&str> = languages.iter().map(Language::as_str).collect();
    let key = format!("liaison {} r{} {number} {}", statement.id, dossier.revision(), named.join(","));
    match services.store.keep_post(post, vec![key]).await? {
        Kept::New(kept) | Kept::Repeated(kept) => Ok((kept.get(), reach)),
    }
}

/// Groups whose subscribers are reached, in the order of the table; the statement's own first.
pub(super) fn groups_of(routes: &[Route]) -> Vec<GroupCode> {
    let codes = routes.iter().filter_map(|route| match &route.target {
        Target::Subscribers(code) => Some(code.clone()),
        Target::Mailbox(_) | Target::Nowhere(_) => None,
    });
    // Recipients name their group by an octet.
    codes.take(usize::from(u8::MAX)).collect()
}

/// Forms that somebody may need.
fn forms_of(services: &Services, dossier: &Dossier, groups: &[GroupCode], languages: &[Language], first: bool) -> Vec<Form> {
    let files = dossier.statement.editions.iter().any(|edition| !edition.attachments.is_empty());
    let several = languages.len() > 1 && first;
    let table = services.groups();
    let cover = groups.iter().filter_map(|code| table.get(code)).any(|group| group.guest_liaison == GuestLiaison::Cover);
    let mut forms = vec![Form::Whole];
    for (form, needed) in [(Form::Links, files), (Form::Both, several), (Form::BothLinks, several && files), (Form::Cover, cover)] {
        if needed {
            forms.push(form);
        }
    }
    forms
}

/// Mailboxes of bodies with the edition they get: English where there is one. A later language reaches those who had no English.
fn mailboxes(dossier: &Dossier, routes: &[Route], languages: &[Language], group: &Group) -> Vec<PlannedRecipient> {
    let had: Vec<Language> = dossier.languages_out();
    let place = |language: Language| languages.iter().position(|there| *there == language);
    let best = place(Language::ENGLISH).or_else(|| group.languages.iter().find_map(|language| place(*language))).unwrap_or(0);
    let better = had.is_empty() || (place(Language::ENGLISH).is_some() && !had.contains(&Language::ENGLISH));
    let mut rows = Vec::new();
    let mut seen = BTreeSet::new();
    for route in routes {
        let (address, state, reason) = match &route.target {
            Target::Subscribers(_) => continue,
            Target::Mailbox(address) if better => (address.to_string(), RecipientState::Planned, route.reason.clone()),
            Target::Mailbox(address) => {
                (address.to_string(), RecipientState::Suppressed, Reason::new(Rule::HasEdition, [address.as_str()]))
            }
            Target::Nowhere(name) => (name.clone(), RecipientState::Suppressed, Reason::new(Rule::NoAddress, [name.as_str()])),
        };
        if seen.insert(address.to_lowercase()) {
            rows.push(PlannedRecipient { address, account: None, group: 0, edition: u8::try_from(best).unwrap_or(0), state, reason });
        }
    }
    rows
}

/// How many a class of recipients has, by the key of its rule: subscribers whom this post reaches, mailboxes.
async fn reach(services: &Services, routes: &[Route], stage: &Stage, boxes: &[PlannedRecipient]) -> Result<Vec<(String, u64)>, Failure> {
    let mut classes: Vec<(String, u64)> = Vec::new();
    for route in routes {
        let planned = |address: &str| boxes.iter().any(|row| row.address == address && row.state == RecipientState::Planned);
        let count = match &route.target {
            Target::Subscribers(code) => readers(services, code, stage).await?.0,
            Target::Mailbox(address) => u64::from(planned(address.as_str())),
            Target::Nowhere(_) => continue,
        };
        // A later language is told of those whom it reaches.
        if count == 0 && !stage.out.is_empty() {
            continue;
        }
        let class = route.reason.key();
        match classes.iter_mut().find(|(known, _)| known == class) {
            Some((_, sum)) => *sum += count,
            None => classes.push((class.to_owned(), count)),
        }
    }
    Ok(classes)
}

/// Where the languages of an issue stand when a post of it goes out: for counting whom it reaches, as `domain::audience` will choose.
#[derive(Debug, Clone, Default)]
pub(super) struct Stage {
    /// Out before.
    out: Vec<Language>,
    /// Readers may have waited for these.
    awaited: Vec<Language>,
    /// In this post.
    now: Vec<Language>,
    /// Readers may wait for these.
    coming: Vec<Language>,
}

impl Stage {
    fn of(dossier: &Dossier, now: &[Language], coming: &[Language]) -> Self {
        let awaited = dossier.of_revision().last().map(|sent| sent.coming.clone()).unwrap_or_default();
        Self { out: dossier.languages_out(), awaited, now: now.to_vec(), coming: coming.to_vec() }
    }

    /// What goes out next, for the receipt; once all is out, what went.
    pub(super) fn next(services: &Services, dossier: &Dossier, group: &Group) -> Self {
        let fresh = unsent(dossier);
        let waits = matches!(group.missing_edition, MissingEdition::Wait(_)) && dossier.waits_until.is_none_or(|at| at > services.now());
        let coming = if waits { dossier.statement.missing(&group.languages) } else { Vec::new() };
        if fresh.is_empty() {
            return Self { now: dossier.statement.languages().collect(), coming, ..Self::default() };
        }
        Self::of(dossier, &fresh, &coming)
    }

    /// Languages that readers may wait for.
    pub(super) fn coming(&self) -> &[Language] {
        &self.coming
    }

    /// Does she get a copy (`Some(true)`), wait for another language (`Some(false)`), or neither?
    fn reaches(&self, wanted: &[Language], both: bool) -> Option<bool> {
        let best = |there: &[Language], more: &[Language]| wanted.iter().find(|l| there.contains(l) || more.contains(l)).copied();
        let waits = best(&self.now, &self.coming).is_some_and(|language| !self.now.contains(&language));
        let waited = best(&self.out, &self.awaited).is_some_and(|language| !self.out.contains(&language));
        if self.out.is_empty() || waited {
            return Some(!waits);
        }
        let rank = |language: &Language| wanted.iter().position(|wanted| wanted == language);
        let had = self.out.iter().filter_map(rank).min().unwrap_or(usize::MAX);
        let news = self.now.iter().filter(|language| !self.out.contains(language)).filter_map(rank);
        news.into_iter().any(|rank| both || rank < had).then_some(true)
    }
}

/// Subscribers of a group who take statements: how many get a copy at this stage, and how many wait for another language.
pub(super) async fn readers(services: &Services, code: &GroupCode, stage: &Stage) -> Result<(u64, u64), Failure> {
    let (today, group) = (services.today(), services.group(code)?);
    let (mut reached, mut waiting, mut after) = (0, 0, None);
    loop {
        let page = services.store.members_of_group(code, after, PAGE).await?;
        let Some((last, _)) = page.last() else { return Ok((reached, waiting)) };
        after = Some(last.account);
        let takes = page.iter().filter(|(subscription, _)| {
            subscription.is_active() && subscription.streams.contains(&Stream::Liaison) && subscription.mode_on(today) != DeliveryMode::None
        });
        for (subscription, account) in takes {
            match stage.reaches(wanted_languages(&group, account, subscription), subscription.both) {
                Some(true) => reached += 1,
                Some(false) => waiting += 1,
                None => {}
            }
        }
    }
}

/// The statement's languages in which a mailbox would read it, for the preview.
pub(super) fn language_for_bodies(statement: &Statement, group: &Group) -> Option<Language> {
    routing::edition_for_body(statement, &group.languages).map(|at| statement.editions[at].language)
}
