//! The daily look at deadlines: who holds an action is reminded, once for each step (DOMAIN 5).

use std::collections::BTreeMap;

use chrono::NaiveDate;
use serde_json::json;
use tracing::info;

use super::edition::{Issue, named, next_meetings, page_url, rows};
use super::follow::{change, note, service};
use super::judge;
use super::record::{self, Dossier};
use super::register::today;
use crate::domain::group::{Group, GroupCode};
use crate::domain::id::{AccountId, PostId};
use crate::domain::language::Language;
use crate::domain::ledger::{PlannedRecipient, RecipientState};
use crate::domain::liaison::bodies;
use crate::domain::liaison::event::EventKind;
use crate::domain::liaison::following::{self, Reminder};
use crate::domain::liaison::statement::{Purpose, Statement};
use crate::domain::post::{Arrival, Audience, Post, PostKind, PostState};
use crate::domain::reason::{Reason, Rule, fill};
use crate::domain::subscription::Role;
use crate::service::robot::{group_context, language_for};
use crate::service::{Failure, Services};
use crate::store::Kept;
use crate::text::dates;

/// Setting that holds the day of the last look at deadlines.
const LOOKED: &str = "liaison.reminded";

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
