//! Mail that Enlace writes to one person: answers, questions, notices.
//!
//! It goes the way of every post (kept, planned, handed over, in the ledger), without list headers. Answers to strangers
//! are impossible here by construction: the caller has an account, a proof or a token. At most `limits.robot_mail` answers
//! go to one address in a day over all groups, so that nobody can be flooded by forged requests.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{Failure, Services};
use crate::domain::account::Account;
use crate::domain::address::EmailAddress;
use crate::domain::group::Group;
use crate::domain::id::PostId;
use crate::domain::language::Language;
use crate::domain::ledger::{PlannedRecipient, RecipientState};
use crate::domain::post::{Arrival, Audience, Edition, Post, PostKind, PostState};
use crate::domain::reason::{Reason, Rule};
use crate::mail::write::{self, Automatic, Letter, Mailbox};
use crate::store::{BodySource, Kept};

/// Notices to one person in one day, such as "a post waits for you"; more are left out, the pages show them all.
pub const NOTICES_A_DAY: u64 = 50;
/// Questions to one address in one day over all groups: "did you send this?", "did you ask to subscribe?".
pub const SUBSCRIBE_QUESTIONS_A_DAY: u64 = 1;

/// Against which daily allowance the mail counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allowance {
    /// An answer or a question about a post.
    Answer,
    /// A question whether an unproved request was meant; counts as an answer too.
    Question,
    /// A notice to somebody who has to act or to know.
    Notice,
    /// A receipt for a proved poster; never left out.
    Receipt,
    /// An answer or a question that was counted before ([`reserve`]).
    Reserved,
}

/// One mail to one person.
pub struct RobotMail<'a> {
    /// To whom.
    pub to: &'a EmailAddress,
    /// Her account, for name and language.
    pub account: Option<&'a Account>,
    /// In whose name.
    pub group: &'a Group,
    /// Template folder under `templates/LANG/mail/`.
    pub template: &'static str,
    /// What the template shows, besides `group`, `service` and `address`, which are always there.
    pub context: Value,
    /// Where an answer goes: the local part, such as `sg12rg-amr-confirm+TOKEN`; `None`: the group's owner.
    pub reply_to: Option<String>,
    /// Message-ID of what it answers, without angle brackets.
    pub in_reply_to: Option<&'a str>,
    /// Against which allowance it counts.
    pub allowance: Allowance,
}

/// Language for a person in a group: hers, else the group's, as far as the service has templates.
pub fn language_for(services: &Services, account: Option<&Account>, group: &Group) -> Language {
    let spoken = services.texts.languages();
    account
        .iter()
        .flat_map(|account| account.languages.iter())
        .chain(&group.languages)
        .copied()
        .find(|language| spoken.contains(language))
        .unwrap_or(Language::ENGLISH)
}

/// Writes and queues the mail, unless the allowance of the address is used up; then it is left out and logged.
///
/// # Errors
/// When a template or the store fails.
pub async fn send(services: &Services, mail: RobotMail<'_>) -> Result<Option<PostId>, Failure> {
    queue(services, mail, Vec::new()).await
}

/// The same, at most once for each `key`, whatever was cut off meanwhile.
///
/// # Errors
/// As [`send`].
pub async fn send_once(services: &Services, mail: RobotMail<'_>, key: String) -> Result<Option<PostId>, Failure> {
    queue(services, mail, vec![key]).await
}

async fn queue(services: &Services, mail: RobotMail<'_>, keys: Vec<String>) -> Result<Option<PostId>, Failure> {
    if !allowed(services, mail.to, mail.allowance).await? {
        tracing::info!(template = mail.template, "Left out a robot mail: the day's allowance of its address is used up");
        return Ok(None);
    }
    let now = services.now();
    let id = PostId::new(now, services.chance());
    let language = language_for(services, mail.account, mail.group);
    let text = services.texts.mail(language, Some(mail.group.code.as_str()), mail.template, context(services, &mail, language))?;
    let domain = &services.site.domain;
    let message_id = format!("{id}.robot@{domain}");
    let letter = Letter {
        from: Mailbox { name: sender_name(services, &mail, language), address: mail.group.sub_address("request", domain) },
        to: vec![Mailbox { name: mail.account.map(|account| account.name.clone()).unwrap_or_default(), address: mail.to.to_string() }],
        cc: Vec::new(),
        reply_to: Some(Mailbox {
            name: String::new(),
            address: mail.reply_to.as_ref().map_or_else(|| mail.group.sub_address("owner", domain), |local| format!("{local}@{domain}")),
        }),
        subject: text.subject,
        message_id: message_id.clone(),
        date: now.with_timezone(&mail.group.timezone).fixed_offset(),
        language: Some(language),
        automatic: if mail.in_reply_to.is_some() { Automatic::Replied } else { Automatic::Generated },
        in_reply_to: mail.in_reply_to.map(str::to_owned),
        references: mail.in_reply_to.map(str::to_owned).into_iter().collect(),
        text: text.text,
        html: text.html,
        calendar: None,
        files: Vec::new(),
    };
    let subject = letter.subject.clone();
    let body = services.store.put_body(BodySource::Bytes(Bytes::from(write::letter(&letter)))).await?;
    let recipient = PlannedRecipient {
        address: mail.to.to_string(),
        account: mail.account.map(|account| account.id),
        group: 0,
        edition: 0,
        state: RecipientState::Planned,
        reason: Reason::new(Rule::RobotMail, [mail.template]),
    };
    let post = Post {
        id,
        groups: vec![mail.group.code.clone()],
        kind: PostKind::Robot,
        message_id,
        subject,
        sender: None,
        author: None,
        received_at: now,
        not_before: now,
        editions: vec![Edition { language: Some(language), body }],
        audience: Audience::Listed(vec![recipient]),
        state: PostState::Accepted,
        arrival: Arrival::default(),
        origin: format!("robot:{}", mail.template),
    };
    match services.store.keep_post(post, keys).await? {
        Kept::New(id) | Kept::Repeated(id) => Ok(Some(id.get())),
    }
}

/// Counts an answer to `to` ahead, for what is only worth keeping if she can be asked about it; `false` when she had all of today's.
///
/// # Errors
/// When the store fails.
pub async fn reserve(services: &Services, to: &EmailAddress) -> Result<bool, Failure> {
    allowed(services, to, Allowance::Answer).await
}

async fn allowed(services: &Services, to: &EmailAddress, allowance: Allowance) -> Result<bool, Failure> {
    let key = format!("{}|{}", services.today(), to.key());
    let within = async |kind: &str, limit: u64| -> Result<bool, Failure> { Ok(services.store.count_up(kind, &key).await? <= limit) };
    Ok(match allowance {
        Allowance::Answer => within("robot-answer", u64::from(services.config.limits.robot_mail)).await?,
        Allowance::Question => {
            within("robot-question", SUBSCRIBE_QUESTIONS_A_DAY).await?
                && within("robot-answer", u64::from(services.config.limits.robot_mail)).await?
        }
        Allowance::Notice => within("robot-notice", NOTICES_A_DAY).await?,
        Allowance::Receipt | Allowance::Reserved => true,
    })
}

/// Mails in the name of the service, whatever group lends its address.
const OF_THE_SERVICE: [&str; 5] = ["confirm-account", "confirm-address", "reconfirm", "sign-in", "webhook-disabled"];

fn sender_name(services: &Services, mail: &RobotMail<'_>, language: Language) -> String {
    if OF_THE_SERVICE.contains(&mail.template) { services.config.service.name.clone() } else { group_name(mail.group, language) }
}

/// The group's name for a reader of `language`.
pub fn group_name(group: &Group, language: Language) -> String {
    group.name.best(&[language]).cloned().unwrap_or_else(|| group.code.to_string())
}

/// What every template may use of a group.
pub fn group_context(services: &Services, group: &Group, language: Language) -> Value {
    let domain = &services.site.domain;
    json!({
        "code": group.code,
        "name": group_name(group, language),
        "address": group.address(domain),
        "request": group.sub_address("request", domain),
        "owner": group.sub_address("owner", domain),
        "join": group.sub_address("join", domain),
        "leave": group.sub_address("leave", domain),
        "page": format!("{}/groups/{}", services.site.base_url, group.code),
    })
}

fn context(services: &Services, mail: &RobotMail<'_>, language: Language) -> Value {
    let mut context = json!({
        "group": group_context(services, mail.group, language),
        "service": { "name": services.config.service.name, "domain": services.site.domain, "base_url": services.site.base_url },
        "address": mail.to,
        "name": mail.account.map(|account| account.name.clone()).unwrap_or_default(),
        "language": language,
    });
    if let (Some(context), Value::Object(more)) = (context.as_object_mut(), &mail.context) {
        context.extend(more.clone());
    }
    context
}
