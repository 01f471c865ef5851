//! After a statement is kept: corrections, withdrawal, replies, reminders, the end.
//!
//! Every change is an event appended to the dossier; the state follows from the events. A change that meets another one is
//! made again on the record as it then is.

use std::collections::BTreeMap;

use bytes::Bytes;
use chrono::{DateTime, NaiveDate, Utc};
use serde_json::{Value, json};
use tracing::info;

use super::edition::{Issue, named, next_meetings, page_url, rows, spoken};
use super::record::{self, Dossier};
use super::register::{load, today};
use super::{circulate, intake, judge};
use crate::domain::group::{Group, GroupCode};
use crate::domain::id::{AccountId, LiaisonId, PostId};
use crate::domain::language::Language;
use crate::domain::ledger::{PlannedRecipient, RecipientState};
use crate::domain::liaison::bodies;
use crate::domain::liaison::event::{EventKind, State};
use crate::domain::liaison::following::{self, Reminder};
use crate::domain::liaison::routing::{self, Withdrawal};
use crate::domain::liaison::statement::{Doubt, Prepared, Purpose, Reply, Statement};
use crate::domain::mistake::Mistake;
use crate::domain::post::{Arrival, Audience, Edition, Post, PostKind, PostState, Routed};
use crate::domain::reason::{Reason, Rule, fill};
use crate::domain::subscription::Role;
use crate::mail::statement::{Reading, read_correction};
use crate::mail::write::{self, Automatic, Letter, Mailbox};
use crate::service::robot::{group_context, group_name, language_for};
use crate::service::{Actor, Failure, Services};
use crate::store::{BodySource, Kept, StoreError};
use crate::text::dates;

/// How often a change is made again because another one was first.
const MOST_TRIES: usize = 10;
/// Setting that holds the day of the last look at deadlines.
const LOOKED: &str = "liaison.reminded";
/// Longest correction that is read, in octets.
const CORRECTION_OCTETS: usize = 64 * 1024;

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

fn service(services: &Services) -> Value {
    json!({ "name": services.config.service.name, "domain": services.site.domain, "base_url": services.site.base_url })
}

/// A short mail about a statement, in its thread.
async fn note(issue: &Issue<'_>, language: Language, (subject, text): (String, String), message_id: String) -> Result<Edition, Failure> {
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
        to: vec![Mailbox::plain(group.address(domain))],
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

/// Corrects single fields by `Label: value` lines, as the answer to a receipt has them; judges and settles anew.
///
/// # Errors
/// When nothing was understood, the deadline that it names is no date, or it has gone out: then a corrected issue (`R1`) is mailed.
pub async fn correct(services: &Services, actor: &Actor, id: LiaisonId, text: &str, dry_run: bool) -> Result<Dossier, Failure> {
    let end = (0..=text.len().min(CORRECTION_OCTETS)).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    let reading = read_correction(&text[..end], services.texts.labels());
    // A date that was understood is not given up for one that is not.
    if let Some(unclear) = reading.doubts.iter().find_map(|doubt| if let Doubt::DeadlineUnclear(text) = doubt { Some(text) } else { None })
    {
        return Err(Mistake::DeadlineUnclear.about([unclear]).into());
    }
    for _ in 0..MOST_TRIES {
        let (version, mut dossier) = load(services, id).await?;
        let state = dossier.state();
        if state.is_final() {
            return Err(over(&dossier, state));
        }
        if dossier.is_out() {
            return Err(Mistake::CorrectionLate.about([dossier.statement.name(), (dossier.revision() + 1).to_string()]).into());
        }
        let changed = apply(services, &reading, &mut dossier);
        if changed.is_empty() {
            return Err(Mistake::CorrectionEmpty.plain().into());
        }
        let group = services.group(&dossier.statement.group)?;
        let now = services.now();
        dossier.statement.record(now, actor.name.clone(), EventKind::Comment(format!("corrected: {}", changed.join(", "))));
        let others: Vec<Dossier> = record::all(services).await?.into_iter().filter(|other| other.statement.id != id).collect();
        judge::judge(services, &mut dossier, &others).await?;
        intake::settle(services, &group, &mut dossier);
        if dry_run {
            return Ok(dossier);
        }
        if !dossier.statement.has_errors() {
            circulate::number(services, &mut dossier).await?;
        }
        match record::put(services, &dossier, version).await {
            Ok(()) => {}
            Err(Failure::Store(StoreError::Unavailable(_))) => continue,
            Err(other) => return Err(other),
        }
        intake::schedule(services, &dossier).await?;
        services
            .audit(actor, "liaison correct", Some(&group.code), format!("{}: {}", dossier.statement.name(), changed.join(", ")))
            .await?;
        return Ok(dossier);
    }
    Err(Failure::Store(StoreError::Unavailable(format!("{id} is changed by too many at once; try again"))))
}

/// Puts what the correction says into the statement; the fields that it names.
fn apply(services: &Services, reading: &Reading, dossier: &mut Dossier) -> Vec<&'static str> {
    let labels = services.texts.labels();
    let groups = judge::groups(services);
    let statement = &mut dossier.statement;
    let mut changed = Vec::new();
    let mut titled = Vec::new();
    for (language, found) in &reading.title {
        // A title without a language of its own is that of the edition there is.
        let at = statement.editions.iter().position(|edition| edition.language == *language).or(if statement.editions.len() == 1 {
            Some(0)
        } else {
            None
        });
        if let Some(at) = at {
            statement.editions[at].title.clone_from(&found.value);
            titled.push(format!("title.{}", statement.editions[at].language));
            changed.push("title");
        }
    }
    if let Some(found) = &reading.source {
        statement.source.clone_from(&found.value);
        statement.source_group = bodies::resolve(&found.value, labels, &groups).first().map(|group| group.code.clone());
        changed.push("source");
    }
    for (purpose, found, name) in [
        (Purpose::Action, &reading.action, "action"),
        (Purpose::Comment, &reading.comment, "comment"),
        (Purpose::Information, &reading.information, "information"),
    ] {
        if let Some(found) = found {
            statement.destinations.retain(|destination| destination.purpose != purpose);
            // A body named anew leaves the row it was in.
            statement.destinations.retain(|destination| !found.value.iter().any(|new| new.name == destination.name));
            statement.destinations.extend(found.value.iter().cloned());
            changed.push(name);
        }
    }
    if let Some(found) = &reading.questions {
        statement.questions_from.clone_from(&found.value);
        statement.questions_to.clear();
        changed.push("questions");
    }
    if let Some(found) = reading.prepared.as_ref().filter(|found| found.value != Prepared::Unknown) {
        statement.prepared = found.value.clone();
        changed.push("prepared");
    }
    if let Some(found) = &reading.approval {
        statement.approval = found.value.clone();
        changed.push("approval");
    }
    if let Some(found) = &reading.deadline {
        statement.deadline = found.value;
        dossier.doubts.retain(|doubt| !matches!(doubt, crate::domain::liaison::statement::Doubt::DeadlineUnclear(_)));
        changed.push("deadline");
    }
    if let Some(found) = &reading.contacts {
        statement.contacts.clone_from(&found.value);
        changed.push("contacts");
    }
    if let Some(found) = &reading.symbol {
        statement.symbol = Some(found.value.clone());
        changed.push("symbol");
    }
    if let Some(found) = &reading.reply {
        statement.reply = Some(Reply { reference: found.value.clone(), statement: None });
        changed.push("reply");
    }
    if !reading.doubts.is_empty() {
        dossier.doubts.extend(reading.doubts.iter().cloned());
    }
    let keys: Vec<String> = titled.into_iter().chain(changed.iter().map(|field| (*field).to_owned())).collect();
    dossier.found.retain(|(field, _)| !keys.contains(field));
    dossier.found.extend(keys.into_iter().filter(|key| key != "title").map(|key| (key, "correction".to_owned())));
    changed
}

/// The daily look at deadlines; returns how many reminders went out. Safe to run twice.
///
/// # Errors
/// When a template or the store fails; what was not sent is caught up.
pub async fn remind(services: &Services) -> Result<usize, Failure> {
    let looked: Option<NaiveDate> =
        services.store.setting(LOOKED).await?.and_then(|bytes| String::from_utf8(bytes).ok()).and_then(|text| text.parse().ok());
    let mut sent = 0;
    for dossier in record::all(services).await? {
        let day = today(services, &dossier.statement.group);
        let out = dossier.sent.first().map(|sent| sent.at.date_naive());
        let reached = looked.max(out);
        if let Some(reminder) = following::due_reminder(&dossier.statement, reached, day) {
            if dossier.statement.events.iter().any(|event| event.kind == EventKind::Reminded(reminder.key.clone())) {
                continue;
            }
            if send_reminder(services, &dossier, &reminder).await? {
                sent += 1;
            }
        }
    }
    services.store.put_setting(LOOKED, services.today().to_string().into_bytes()).await?;
    Ok(sent)
}

/// One reminder as one post, an edition for each language somebody reads.
async fn send_reminder(services: &Services, dossier: &Dossier, reminder: &Reminder) -> Result<bool, Failure> {
    let statement = &dossier.statement;
    let group = services.group(&statement.group)?;
    let people = holders(services, statement, &group).await?;
    if people.is_empty() {
        return Ok(false);
    }
    let now = services.now();
    let id = PostId::new(now, services.chance());
    let mut languages: Vec<Language> = Vec::new();
    for (language, ..) in &people {
        if !languages.contains(language) {
            languages.push(*language);
        }
    }
    let groups = vec![group.code.clone()];
    let issue = Issue { services, dossier, group: &group, groups: &groups, languages: &languages };
    let next = next_meetings(services, statement).await?;
    let mut editions = Vec::new();
    let mut subject = String::new();
    for language in &languages {
        let days = reminder.days_left.unsigned_abs().to_string();
        let key = match reminder.days_left {
            0 => "reminder-today",
            1 => "reminder-tomorrow",
            left if left < 0 => "reminder-overdue",
            _ => "reminder-days",
        };
        let meetings: Vec<String> = next
            .iter()
            .map(|(body, first, last)| {
                fill(services.texts.word(*language, "liaison.next-meeting"), &[body.clone(), dates::range(*language, *first, *last)])
            })
            .collect();
        let context = json!({
            "group": group_context(services, &group, *language),
            "service": service(services),
            "language": *language,
            "subject": named(statement, *language),
            "status": fill(services.texts.word(*language, &format!("liaison.{key}")), &[days, dates::date(*language, reminder.deadline)]),
            "overdue": reminder.days_left < 0,
            "deadline": dates::date(*language, reminder.deadline),
            "meetings": meetings,
            "rows": rows(services, statement, *language, None).await?,
            "page": page_url(services, statement.id),
        });
        let mail = services.texts.mail(*language, Some(group.code.as_str()), "liaison-reminder", context)?;
        if subject.is_empty() {
            subject.clone_from(&mail.subject);
        }
        let message_id = format!("{id}.reminder.{language}@{}", services.site.domain);
        editions.push(note(&issue, *language, (mail.subject, mail.text), message_id).await?);
    }
    let list = people.into_iter().map(|(language, address, account, reason)| PlannedRecipient {
        address,
        account,
        group: 0,
        edition: languages.iter().position(|known| *known == language).and_then(|at| u8::try_from(at).ok()).unwrap_or(0),
        state: RecipientState::Planned,
        reason,
    });
    let post = Post {
        id,
        groups,
        kind: PostKind::Robot,
        message_id: format!("{id}.reminder@{}", services.site.domain),
        subject,
        sender: None,
        author: None,
        received_at: now,
        not_before: now,
        editions,
        audience: Audience::Listed(list.collect()),
        state: PostState::Accepted,
        arrival: Arrival::default(),
        origin: format!("liaison:{}", statement.id),
    };
    let kept = services.store.keep_post(post, vec![format!("liaison-reminder {}", reminder.key)]).await?;
    let key = reminder.key.clone();
    change(services, statement.id, |dossier| {
        dossier.statement.record(now, "enlace", EventKind::Reminded(key.clone()));
        Ok(true)
    })
    .await?;
    info!(liaison = %statement.id, "Sent the reminder {}", reminder.key);
    Ok(matches!(kept, Kept::New(_)))
}

type Holder = (Language, String, Option<AccountId>, Reason);

/// Whom a reminder goes to: the bodies that are to act, by contact, secretariat and managers; managers and secretariat of the group.
async fn holders(services: &Services, statement: &Statement, own: &Group) -> Result<Vec<Holder>, Failure> {
    let groups = judge::groups(services);
    let mut found: BTreeMap<String, Holder> = BTreeMap::new();
    let mut bodies_to_ask: Vec<(Group, Option<(String, Purpose)>)> = Vec::new();
    if let Some(holder) = following::reassigned(statement) {
        // Who holds the action now is reminded in place of the bodies that were asked.
        let account = services.store.account_by_address(&holder).await?;
        let language = language_for(services, account.as_ref(), own);
        let reason = Reason::new(Rule::Destination, [holder.as_str(), Purpose::Action.as_str()]);
        found.insert(holder.key(), (language, holder.to_string(), account.map(|account| account.id), reason));
    }
    let asked = if found.is_empty() { following::action_holders(statement) } else { Vec::new() };
    for name in asked {
        let purpose = statement.destinations.iter().find(|d| d.name == name).map_or(Purpose::Action, |d| d.purpose);
        for group in bodies::resolve(name, services.texts.labels(), &groups) {
            bodies_to_ask.push((group.clone(), Some((name.to_owned(), purpose))));
        }
    }
    bodies_to_ask.push((own.clone(), None));
    for (group, asked) in bodies_to_ask {
        let language = language_for(services, None, &group);
        let reason = |rule: Rule, code: &GroupCode| match &asked {
            Some((name, purpose)) => Reason::new(Rule::Destination, [name.as_str(), purpose.as_str()]),
            None => Reason::new(rule, [code.as_str()]),
        };
        for (_, account) in services.members_with_role(&group.code, Role::Manager).await? {
            let address = account.address();
            let language = language_for(services, Some(&account), &group);
            let holder = (language, address.to_string(), Some(account.id), reason(Rule::ChairmanCopy, &group.code));
            found.entry(address.key()).or_insert(holder);
        }
        for address in group.secretariat.iter().chain(&group.contact) {
            // A list of ours is no mailbox: its managers were asked.
            if !address.domain().eq_ignore_ascii_case(&services.site.domain) {
                let holder = (language, address.to_string(), None, reason(Rule::SecretariatCopy, &group.code));
                found.entry(address.key()).or_insert(holder);
            }
        }
    }
    Ok(found.into_values().collect())
}
