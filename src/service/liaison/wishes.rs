//! What readers want of a group's statements, and the daily digest that follows from it.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;

use super::edition::{named, page_url, rows, spoken};
use super::record::{self, Dossier};
use crate::domain::account::{Account, AccountKind};
use crate::domain::address::EmailAddress;
use crate::domain::group::{Group, GroupCode, GuestLiaison};
use crate::domain::id::{AccountId, LiaisonId, PostId};
use crate::domain::language::Language;
use crate::domain::ledger::{PlannedRecipient, RecipientState};
use crate::domain::liaison::statement::Purpose;
use crate::domain::liaison::wish::Wish;
use crate::domain::post::{Arrival, Audience, Edition, Post, PostKind, PostState};
use crate::domain::reason::{Reason, Rule};
use crate::domain::subscription::{DeliveryMode, Stream};
use crate::mail::write::{self, Automatic, Letter, Mailbox};
use crate::service::robot::{group_context, group_name, language_for};
use crate::service::{Actor, Failure, Services};
use crate::store::BodySource;

/// Setting that holds the instant up to which digests went out.
const DIGESTED: &str = "liaison.digested";

/// Wishes of a group's readers, by account; few readers have one.
///
/// # Errors
/// When the store fails.
pub async fn wishes(services: &Services, group: &GroupCode) -> Result<HashMap<AccountId, Wish>, Failure> {
    let mut wishes = HashMap::new();
    for (account, bytes) in record::wishes(services, group).await? {
        if let Ok(id) = account.parse::<AccountId>() {
            wishes.insert(id, record::read_wish(&bytes, &account)?);
        }
    }
    Ok(wishes)
}

/// The wish of one reader, if she has one.
///
/// # Errors
/// When the store fails.
pub async fn wish(services: &Services, group: &GroupCode, account: AccountId) -> Result<Option<Wish>, Failure> {
    Ok(wishes(services, group).await?.remove(&account))
}

/// Sets or removes the wish of a subscriber.
///
/// # Errors
/// When the address has no account or is not subscribed.
pub async fn set_wish(
    services: &Services,
    actor: &Actor,
    group: &GroupCode,
    address: &EmailAddress,
    wish: Option<&Wish>,
    dry_run: bool,
) -> Result<(), Failure> {
    services.group(group)?;
    let about = || Failure::Refused(Reason::new(Rule::NotSubscribed, [address.as_str(), group.as_str()]));
    let account = services.store.account_by_address(address).await?.ok_or_else(about)?;
    if services.store.subscription(group, account.id).await?.is_none_or(|subscription| !subscription.is_active()) {
        return Err(about());
    }
    if dry_run {
        return Ok(());
    }
    record::put_wish(services, group, &account.id.to_string(), wish).await?;
    let detail = format!("{address}: {}", if wish.is_some() { "statements as a daily digest" } else { "each statement by itself" });
    services.audit(actor, "member statements", Some(group), detail).await
}

/// Sends the daily digest of statements to whoever takes one; returns how many got it. Safe to run twice.
///
/// # Errors
/// When a template or the store fails.
pub async fn send_digest(services: &Services, occurrence: &str) -> Result<usize, Failure> {
    let now = services.now();
    let since: Option<DateTime<Utc>> =
        services.store.setting(DIGESTED).await?.and_then(|bytes| String::from_utf8(bytes).ok()).and_then(|text| text.parse().ok());
    let since = since.unwrap_or(now - TimeDelta::days(1));
    let out: Vec<Dossier> = record::all(services)
        .await?
        .into_iter()
        .filter(|dossier| dossier.sent.iter().any(|sent| sent.at > since && sent.at <= now))
        .collect();
    let mut readers = 0;
    if !out.is_empty() {
        let codes: Vec<GroupCode> = services.groups().iter().filter(|group| !group.retired).map(|group| group.code.clone()).collect();
        for code in codes {
            readers += digest_of(services, occurrence, &code, &out).await?;
        }
    }
    services.store.put_setting(DIGESTED, now.to_rfc3339().into_bytes()).await?;
    Ok(readers)
}

async fn digest_of(services: &Services, occurrence: &str, code: &GroupCode, out: &[Dossier]) -> Result<usize, Failure> {
    let wishes = wishes(services, code).await?;
    if wishes.is_empty() {
        return Ok(0);
    }
    let group = services.group(code)?;
    let mut own: Vec<(&Dossier, Purpose)> = Vec::new();
    for dossier in out {
        for route in super::judge::routes(services, &dossier.statement).await? {
            if route.target == crate::domain::liaison::routing::Target::Subscribers(code.clone()) {
                own.push((dossier, route.purpose));
            }
        }
    }
    // Readers of one language with the same statements share a post.
    let mut alike: BTreeMap<(Language, Vec<LiaisonId>), Vec<PlannedRecipient>> = BTreeMap::new();
    for (id, wish) in wishes {
        let Some(account) = reader(services, &group, id).await? else { continue };
        let language = language_for(services, Some(&account), &group);
        let mine = own.iter().filter(|(dossier, purpose)| {
            let s = &dossier.statement;
            let questions: Vec<_> = s.questions_from.iter().chain(&s.questions_to).cloned().collect();
            wish.is_for_digest(*purpose, &questions) && wish.is_shown(*purpose)
        });
        let ids: Vec<LiaisonId> = mine.map(|(dossier, _)| dossier.statement.id).collect();
        if ids.is_empty() {
            continue;
        }
        let reason = Reason::new(Rule::LiaisonDigest, [account.address().as_str(), code.as_str()]);
        let recipient = PlannedRecipient {
            address: account.address().to_string(),
            account: Some(account.id),
            group: 0,
            edition: 0,
            state: RecipientState::Planned,
            reason,
        };
        alike.entry((language, ids)).or_default().push(recipient);
    }
    let mut readers = 0;
    for ((language, ids), list) in alike {
        readers += list.len();
        let shown: Vec<&(&Dossier, Purpose)> = own.iter().filter(|(dossier, _)| ids.contains(&dossier.statement.id)).collect();
        post(services, occurrence, &group, language, &shown, list).await?;
    }
    Ok(readers)
}

/// An account that gets statements of the group today.
async fn reader(services: &Services, group: &Group, id: AccountId) -> Result<Option<Account>, Failure> {
    let (Some(account), Some(subscription)) = (services.store.account(id).await?, services.store.subscription(&group.code, id).await?)
    else {
        return Ok(None);
    };
    let takes = subscription.is_active()
        && subscription.streams.contains(&Stream::Liaison)
        && subscription.mode_on(services.today()) != DeliveryMode::None;
    let admitted = account.kind != AccountKind::Guest || group.guest_liaison != GuestLiaison::None;
    Ok(Some(account).filter(|_| takes && admitted))
}

async fn post(
    services: &Services,
    occurrence: &str,
    group: &Group,
    language: Language,
    shown: &[&(&Dossier, Purpose)],
    list: Vec<PlannedRecipient>,
) -> Result<(), Failure> {
    let now = services.now();
    let id = PostId::new(now, services.chance());
    let mut statements = Vec::new();
    for (dossier, purpose) in shown {
        let s = &dossier.statement;
        statements.push(json!({
            "subject": named(s, language),
            "purpose": services.texts.word(language, &format!("purpose.{}", purpose.as_str())),
            "rows": rows(services, s, spoken(services, language), None).await?,
            "page": page_url(services, s.id),
        }));
    }
    let context = json!({
        "group": group_context(services, group, language),
        "service": { "name": services.config.service.name, "domain": services.site.domain, "base_url": services.site.base_url },
        "language": language,
        "statements": statements,
        "count": shown.len(),
    });
    let mail = services.texts.mail(language, Some(group.code.as_str()), "liaison-digest", context)?;
    let domain = &services.site.domain;
    let message_id = format!("{id}.liaison-digest@{domain}");
    let letter = Letter {
        from: Mailbox { name: group_name(group, language), address: group.sub_address("owner", domain) },
        // Few get it; one answer to all must not reach the list.
        to: vec![Mailbox::plain(group.sub_address("owner", domain))],
        cc: Vec::new(),
        reply_to: None,
        subject: mail.subject.clone(),
        message_id: message_id.clone(),
        date: now.with_timezone(&group.timezone).fixed_offset(),
        language: Some(language),
        automatic: Automatic::Generated,
        in_reply_to: None,
        references: Vec::new(),
        html: super::edition::html(&[(language, mail.text.clone())]),
        text: mail.text,
        calendar: None,
        files: Vec::new(),
    };
    let body = services.store.put_body(BodySource::Bytes(Bytes::from(write::letter(&letter)))).await?;
    let first = list.first().map(|recipient| recipient.address.clone()).unwrap_or_default();
    let post = Post {
        id,
        groups: vec![group.code.clone()],
        kind: PostKind::Liaison,
        message_id,
        subject: mail.subject,
        sender: None,
        author: None,
        received_at: now,
        not_before: now,
        editions: vec![Edition { language: Some(language), body }],
        audience: Audience::Listed(list),
        state: PostState::Accepted,
        arrival: Arrival::default(),
        origin: format!("liaison-digest:{}", group.code),
    };
    services.store.keep_post(post, vec![format!("liaison-digest {occurrence} {} {language} {first}", group.code)]).await?;
    Ok(())
}
