//! Why somebody did, did not, or will get a message.
//!
//! Reads the ledger; the reasons in it are those the rules returned when they were asked. Only for an address that
//! was never considered is the gate asked now, and the answer says so.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::account::{Pseudonyms, without_address};
use super::digest::{self, Issued};
use super::{Failure, Services};
use crate::domain::account::Account;
use crate::domain::address::EmailAddress;
use crate::domain::audience::linked_language;
use crate::domain::group::GroupCode;
use crate::domain::id::AccountId;
use crate::domain::ledger::RecipientState;
use crate::domain::post::{Post, PostState};
use crate::domain::proof::SenderProof;
use crate::domain::reason::{Reason, Rule};
use crate::store::{BatchKey, RecipientRecord};

/// One attempt, as JSON has it.
#[derive(Debug, Clone, Serialize)]
pub struct ExplainedAttempt {
    /// When the relay answered.
    pub at: DateTime<Utc>,
    /// What it answered.
    pub reply: String,
}

/// One recipient, as JSON has it.
#[derive(Debug, Clone, Serialize)]
pub struct ExplainedRecipient {
    /// Envelope recipient.
    pub address: String,
    /// One of the six states.
    pub state: &'static str,
    /// Why, in words.
    pub reason: String,
    /// Key of the rule that spoke.
    pub rule: &'static str,
    /// Edition she gets, if the post has languages.
    pub language: Option<String>,
    /// The group by which she gets it.
    pub group: String,
    /// Oldest first.
    pub attempts: Vec<ExplainedAttempt>,
    /// The reason as a value, for readers of other languages; `None` where `reason` is the relay's or a report's own text.
    #[serde(skip)]
    pub cause: Option<Reason>,
}

/// The whole trail of a message.
#[derive(Debug, Clone, Serialize)]
pub struct Explanation {
    /// Without angle brackets.
    pub message_id: String,
    /// Groups addressed, separated by commas.
    pub group: String,
    /// How it came in and what was decided, one line each, oldest first.
    pub trail: Vec<String>,
    /// Who was considered, or the one address that was asked for.
    pub recipients: Vec<ExplainedRecipient>,
}

/// Explains a message for everybody who was considered, or for one address.
///
/// # Errors
/// When no post has that Message-ID, or the store fails.
pub async fn explain(services: &Services, message_id: &str, address: Option<&EmailAddress>) -> Result<Explanation, Failure> {
    let message_id = message_id.trim().trim_start_matches('<').trim_end_matches('>');
    let mut posts = posts_named(services, message_id).await?;
    // The mail that brought a statement went to nobody itself; its readers are those of the statement's posts.
    for at in 0..posts.len() {
        for post in super::liaison::posts_of_mail(services, &posts[at]).await? {
            if !posts.iter().any(|known| known.id == post.id) {
                posts.push(post);
            }
        }
    }
    if posts.is_empty() {
        return Err(Failure::NotFound(format!(
            "no post with Message-ID <{message_id}> was accepted here; the mail server's log tells whether it was refused"
        )));
    }
    let person = match address {
        Some(address) => services.store.account_by_address(address).await?,
        None => None,
    };
    let mut explanation = Explanation {
        message_id: message_id.to_owned(),
        group: {
            let mut groups: Vec<String> = Vec::new();
            for group in posts.iter().flat_map(|post| &post.groups).map(ToString::to_string) {
                if !groups.contains(&group) {
                    groups.push(group);
                }
            }
            groups.join(",")
        },
        trail: posts.iter().flat_map(trail).collect(),
        recipients: Vec::new(),
    };
    let pseudonyms = Pseudonyms::load(services).await?;
    for post in &posts {
        let mut issues = HashMap::new();
        for number in 0..services.store.batch_count(post.id).await? {
            for record in services.store.batch(BatchKey { post: post.id, number }).await? {
                let erased = pseudonyms.of(record.planned.account);
                if address.is_none_or(|address| erased.is_none() && is_about(&record, address, person.as_ref())) {
                    let account = record.planned.account.filter(|_| record.planned.reason.rule == Rule::InDigest);
                    let mut row = explained(post, record);
                    if let Some(account) = account {
                        in_digest(services, post, account, &mut row, &mut issues).await?;
                    }
                    explanation.recipients.push(anonymous(row, erased));
                }
            }
        }
    }
    if let Some(address) = address
        && explanation.recipients.is_empty()
    {
        explanation.recipients.push(unconsidered(services, &posts, address, person.as_ref()).await?);
    }
    Ok(explanation)
}

/// Posts of that Message-ID; an edition's own Message-ID (`stem.es@domain`) leads to its post.
async fn posts_named(services: &Services, message_id: &str) -> Result<Vec<Post>, Failure> {
    let posts = services.store.posts_by_message_id(message_id).await?;
    if !posts.is_empty() {
        return Ok(posts);
    }
    let Some((local, domain)) = message_id.split_once('@') else { return Ok(posts) };
    match local.rsplit_once('.') {
        Some((stem, language)) if language.len() == 2 => Ok(services.store.posts_by_message_id(&format!("{stem}@{domain}")).await?),
        _ => Ok(posts),
    }
}

fn is_about(record: &RecipientRecord, address: &EmailAddress, person: Option<&Account>) -> bool {
    let same_address = record.planned.address.eq_ignore_ascii_case(address.as_str());
    same_address || person.is_some_and(|person| record.planned.account == Some(person.id))
}

fn explained(post: &Post, record: RecipientRecord) -> ExplainedRecipient {
    let edition = post.editions.get(usize::from(record.planned.edition));
    let waits = matches!(record.state, RecipientState::Planned | RecipientState::Deferred);
    // Who took it out of the queue stands in the attempt; when, in a value that other languages can say.
    let dropped = (record.state == RecipientState::Suppressed && record.planned.state != RecipientState::Suppressed)
        .then(|| record.attempts.last().map(|attempt| Reason::new(Rule::Dropped, [attempt.at.date_naive().to_string()])))
        .flatten();
    let held = match &post.state {
        PostState::Held(reason) if waits => Some(reason.clone()),
        _ => None,
    };
    let reason = match record.state {
        _ if waits && let PostState::Held(reason) = &post.state => reason.text(),
        RecipientState::Failed | RecipientState::Bounced | RecipientState::Deferred => {
            record.attempts.last().map_or_else(|| record.planned.reason.text(), |attempt| attempt.reply.clone())
        }
        RecipientState::Suppressed if record.planned.state != RecipientState::Suppressed => {
            record.attempts.last().map_or_else(|| record.planned.reason.text(), |attempt| attempt.reply.clone())
        }
        _ => record.planned.reason.text(),
    };
    ExplainedRecipient {
        rule: record.planned.reason.key(),
        cause: held.or(dropped).or_else(|| (reason == record.planned.reason.text()).then(|| record.planned.reason.clone())),
        reason,
        state: record.state.as_str(),
        language: match edition {
            Some(edition) => edition.language,
            None => linked_language(record.planned.edition),
        }
        .map(|language| language.to_string()),
        group: post.groups.get(usize::from(record.planned.group)).or(post.groups.first()).map(ToString::to_string).unwrap_or_default(),
        attempts: record.attempts.into_iter().map(|attempt| ExplainedAttempt { at: attempt.at, reply: attempt.reply }).collect(),
        address: record.planned.address,
    }
}

/// Says in which digest she got the post, once it went out, with what became of that mail.
async fn in_digest(
    services: &Services,
    post: &Post,
    account: AccountId,
    row: &mut ExplainedRecipient,
    issues: &mut HashMap<String, Vec<Issued>>,
) -> Result<(), Failure> {
    let Ok(code) = row.group.parse::<GroupCode>() else { return Ok(()) };
    if !issues.contains_key(&row.group) {
        issues.insert(row.group.clone(), digest::sent_in(services, &code, post).await?);
    }
    let issued = issues.get(&row.group).into_iter().flatten().find_map(|issued| Some((issued, issued.reader(account)?)));
    let Some((issued, reader)) = issued else { return Ok(()) };
    let mail = &issued.mail;
    let reason = if reader.state == RecipientState::Suppressed {
        reader.reason.clone()
    } else {
        let about = [reader.address.clone(), row.group.clone(), issued.number.to_string(), mail.received_at.date_naive().to_string()];
        Reason::new(Rule::WentInDigest, about)
    };
    for number in 0..services.store.batch_count(mail.id).await? {
        let batch = services.store.batch(BatchKey { post: mail.id, number }).await?;
        if let Some(copy) = batch.into_iter().find(|record| record.planned.account == Some(account)) {
            row.attempts = copy.attempts.into_iter().map(|attempt| ExplainedAttempt { at: attempt.at, reply: attempt.reply }).collect();
            break;
        }
    }
    (row.rule, row.reason, row.cause) = (reason.key(), reason.text(), Some(reason));
    Ok(())
}

/// The row of somebody who was erased: a pseudonym for her address, in all words too.
fn anonymous(mut shown: ExplainedRecipient, pseudonym: Option<&str>) -> ExplainedRecipient {
    let Some(pseudonym) = pseudonym else { return shown };
    let address = std::mem::replace(&mut shown.address, pseudonym.to_owned());
    shown.reason = without_address(&shown.reason, &address, pseudonym);
    shown.cause = None;
    for attempt in &mut shown.attempts {
        attempt.reply = without_address(&attempt.reply, &address, pseudonym);
    }
    shown
}

fn trail(post: &Post) -> Vec<String> {
    let mut lines = Vec::new();
    let arrival = &post.arrival;
    if !arrival.listener.is_empty() {
        lines.push(format!(
            "{} taken by {} from {} ({}), reverse-path {}, trace {}",
            post.received_at.format("%Y-%m-%d %H:%M:%S UTC"),
            arrival.listener,
            arrival.peer,
            arrival.helo,
            arrival.reverse_path,
            arrival.trace
        ));
    }
    match &post.sender {
        Some(SenderProof::Proved { author, method }) => lines.push(format!("author {author}, proved by {}", method.as_str())),
        Some(SenderProof::Unproved { author, tried }) => lines.push(format!("author {author}, not proved: {tried}")),
        None => lines.push(format!("{} written by the service ({})", post.received_at.format("%Y-%m-%d %H:%M:%S UTC"), post.origin)),
    }
    lines.push(match &post.state {
        PostState::Accepted => format!("post {}: accepted, goes out at {}", post.id, post.not_before.format("%Y-%m-%d %H:%M:%S UTC")),
        PostState::Held(reason) | PostState::AwaitsAuthor(reason) => format!("post {}: {reason}", post.id),
        PostState::Planned => format!("post {}: planned for {}", post.id, names(post)),
        PostState::Done => format!("post {}: done for {}", post.id, names(post)),
        PostState::Rejected(reason) | PostState::Discarded(reason) => format!("post {}: {}: {reason}", post.id, post.state.as_str()),
        PostState::Withdrawn(at) => format!("post {}: withdrawn at {}", post.id, at.format("%Y-%m-%d %H:%M:%S UTC")),
    });
    lines
}

fn names(post: &Post) -> String {
    post.groups.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// The answer for an address that no plan mentions: the post's own state if it was never planned, else the gate's reason.
async fn unconsidered(
    services: &Services,
    posts: &[Post],
    address: &EmailAddress,
    person: Option<&Account>,
) -> Result<ExplainedRecipient, Failure> {
    // One that was turned down says less than one that went its way.
    let is_over = |post: &Post| matches!(post.state, PostState::Rejected(_) | PostState::Discarded(_));
    let post = posts.iter().rev().find(|post| !is_over(post)).unwrap_or(&posts[posts.len() - 1]);
    let group = &post.groups[0];
    let mut state = RecipientState::Suppressed;
    let reason = match (&post.state, person) {
        (PostState::Held(reason) | PostState::AwaitsAuthor(reason) | PostState::Rejected(reason) | PostState::Discarded(reason), _) => {
            reason.clone()
        }
        (PostState::Withdrawn(at), _) => Reason::new(Rule::Withdrawn, [at.date_naive().to_string()]),
        (_, None) => Reason::new(Rule::NoAccount, [address.to_string()]),
        (post_state, Some(person)) => match services.store.subscription(group, person.id).await? {
            None => Reason::new(Rule::NotSubscribed, [address.to_string(), group.to_string()]),
            Some(subscription) => match subscription.state.reason() {
                Some(reason) => reason.clone(),
                None if *post_state == PostState::Accepted => {
                    state = RecipientState::Planned;
                    Reason::new(Rule::Subscriber, [group.to_string()])
                }
                // Subscribed after the plan was made.
                None => {
                    Reason::new(Rule::NotSubscribed, [format!("{address} (since {})", subscription.since.date_naive()), group.to_string()])
                }
            },
        },
    };
    Ok(ExplainedRecipient {
        address: address.to_string(),
        state: state.as_str(),
        rule: reason.key(),
        reason: reason.text(),
        language: None,
        group: group.to_string(),
        attempts: Vec::new(),
        cause: Some(reason),
    })
}
