//! What happens after a statement is out: reminders of its deadline, and finding what an incoming one answers.
//!
//! Pure: the caller passes statement and day and has claimed each reminder's key before it sends, so that a restart or a
//! second node repeats nothing. Offsets as in the IETF liaison tool, but weekly instead of daily once the day has passed.

use chrono::NaiveDate;

use super::bodies::Body;
use super::event::{self, EventKind, State};
use super::labels::Labels;
use super::plain::{key, words_key};
use super::statement::{Purpose, Statement};
use crate::domain::address::EmailAddress;
use crate::domain::group::GroupCode;
use crate::domain::id::LiaisonId;

/// Days before the deadline (negative: after it) on which reminders go out.
pub const OFFSETS: [i64; 9] = [14, 7, 4, 3, 2, 1, 0, -7, -14];

/// A reminder that is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reminder {
    /// The key under which it is sent once: statement, deadline, offset.
    pub key: String,
    /// Days that are left; negative once the deadline has passed.
    pub days_left: i64,
    /// The deadline.
    pub deadline: NaiveDate,
}

/// The reminder of `today`, if one is due; `reached` is the day on which the last look was taken.
///
/// A day without a look is caught up, but only by the latest reminder that was missed: three at once would help nobody.
/// Nothing is due once the statement is answered, closed or withdrawn, or when nobody is asked for anything.
pub fn due_reminder(statement: &Statement, reached: Option<NaiveDate>, today: NaiveDate) -> Option<Reminder> {
    if !matches!(event::state(statement, today), State::AwaitingReply | State::Overdue) {
        return None;
    }
    let deadline = statement.deadline?;
    let days_left = (deadline - today).num_days();
    let offset = OFFSETS.into_iter().filter(|offset| *offset >= days_left).min()?;
    // Too long ago to be of any use: after the last offset there is silence.
    if days_left < offset && (reached.is_none() || days_left < OFFSETS[OFFSETS.len() - 1]) {
        return None;
    }
    let missed = reached.is_none_or(|reached| (deadline - reached).num_days() > offset);
    (days_left == offset || missed).then(|| Reminder { key: format!("{}|{deadline}|{offset}", statement.id), days_left, deadline })
}

/// All reminders that are still to come, for `liaison show` and pages.
pub fn schedule(statement: &Statement, today: NaiveDate) -> Vec<NaiveDate> {
    let waiting = matches!(event::state(statement, today), State::AwaitingReply | State::Overdue);
    let Some(deadline) = statement.deadline.filter(|_| waiting) else { return Vec::new() };
    OFFSETS.iter().filter_map(|offset| deadline.checked_sub_signed(chrono::TimeDelta::days(*offset))).filter(|day| *day >= today).collect()
}

/// Who is reminded: destinations that were asked to act (or to comment by the day), by name. Managers of the group are added
/// by the caller.
pub fn action_holders(statement: &Statement) -> Vec<&str> {
    let asked = statement.destinations.iter().filter(|destination| match destination.purpose {
        Purpose::Action => true,
        Purpose::Comment => statement.deadline.is_some(),
        Purpose::Information => false,
    });
    asked.map(|destination| destination.name.as_str()).collect()
}

/// Who holds the action since it was last reassigned; `None` while it is with the bodies that were asked.
pub fn reassigned(statement: &Statement) -> Option<EmailAddress> {
    let last = statement.events.iter().rev().find_map(|event| match &event.kind {
        EventKind::Reassigned(whom) => Some(whom),
        _ => None,
    });
    last.and_then(|whom| whom.parse().ok())
}

/// What is known of an earlier statement when a reply is looked for.
#[derive(Debug, Clone)]
pub struct Known {
    /// Which.
    pub id: LiaisonId,
    /// The group it is kept for.
    pub group: GroupCode,
    /// Its symbol without revision.
    pub symbol: Option<String>,
    /// Its number within the group.
    pub number: Option<u32>,
    /// Its titles.
    pub titles: Vec<String>,
    /// Message-IDs of the mails it came by and went out with.
    pub message_ids: Vec<String>,
    /// Where it came from.
    pub source: String,
}

/// The statement that `reply` answers: by In-Reply-To, by symbol in its reference, by the number in the reference, by its title.
///
/// `answers` are the mail's In-Reply-To and References, the nearest first. Only a statement that says it is a reply is linked by
/// words; a mail that answers by its header is always linked. The latest match wins; `None` if nothing matches.
pub fn answered<'a>(reply: &Statement, answers: &[String], known: &'a [Known], labels: &Labels) -> Option<&'a Known> {
    let others = || known.iter().rev().filter(|other| other.id != reply.id);
    if let Some(found) = answers.iter().find_map(|id| others().find(|other| other.message_ids.contains(id))) {
        return Some(found);
    }
    let reference = &reply.reply.as_ref()?.reference;
    let compared = key(reference);
    let by_symbol = others().find(|other| {
        let own = other.number.map(|number| format!("{}-LS{number}", other.group));
        other.symbol.iter().chain(own.iter()).any(|symbol| contains_symbol(&compared, &key(symbol)))
    });
    by_symbol.or_else(|| others().find(|other| same_subject(reply, other, labels)))
}

/// `sg12td364` in `replytosg12td364of3may`, but not in `sg12td3645`.
fn contains_symbol(text: &str, symbol: &str) -> bool {
    let ends = |at: usize| text[at + symbol.len()..].chars().next().is_none_or(|c| !c.is_ascii_digit());
    !symbol.is_empty() && text.match_indices(symbol).any(|(at, _)| ends(at))
}

/// The same words in the title apart from marks, between the same bodies.
fn same_subject(reply: &Statement, other: &Known, labels: &Labels) -> bool {
    let stripped = |title: &str| {
        let title = title.split(['[', '(']).next().unwrap_or_default();
        let words = words_key(title);
        words.split(' ').skip_while(|word| matches!(*word, "ls" | "o" | "i" | "r" | "on" | "reply" | "to")).collect::<String>()
    };
    let addressed = reply.destinations.iter().any(|destination| {
        let (to, from) = (Body::of(&destination.name, labels), Body::of(&other.source, labels));
        key(&destination.name) == key(&other.source) || (to == from && to != Body::Other)
    });
    let titles: Vec<String> = reply.editions.iter().map(|edition| stripped(&edition.title)).collect();
    addressed && other.titles.iter().map(|title| stripped(title)).any(|title| title.len() >= 12 && titles.contains(&title))
}

/// Whether `sender` may say that the action was taken: a contact, a destination's mailbox, the secretariat or a manager.
pub fn may_take(statement: &Statement, sender: &EmailAddress, bodies: &[EmailAddress]) -> bool {
    statement.contacts.iter().any(|contact| contact.email.as_ref() == Some(sender)) || bodies.contains(sender)
}

/// The languages that were circulated already.
pub fn circulated_languages(statement: &Statement) -> Vec<crate::domain::language::Language> {
    let mut out = Vec::new();
    for event in &statement.events {
        if let EventKind::Circulated { languages, .. } = &event.kind {
            out.extend(languages.iter().copied().filter(|language| !out.contains(language)).collect::<Vec<_>>());
        }
    }
    out
}

#[cfg(test)]
#[path = "following_tests.rs"]
mod tests;
