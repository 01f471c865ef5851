//! What happened to a statement, and the state that follows from it.
//!
//! Events are appended and never changed; [`state`] is a fold over them. Only "overdue" also needs the day,
//! because a deadline passes without anybody doing anything.

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

use super::statement::Statement;
use crate::domain::id::{LiaisonId, PostId};
use crate::domain::language::Language;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When.
    pub at: DateTime<Utc>,
    /// Who: an address, or `enlace`.
    pub by: String,
    /// What.
    pub kind: EventKind,
}

/// What can happen. Append only: the position of a variant is part of the stored form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum EventKind {
    /// A mail with it was taken.
    Received,
    /// Its fields were read; the count of problems of each level error, warning.
    Parsed {
        /// Problems that hold it.
        errors: u32,
        /// Problems that do not.
        warnings: u32,
    },
    /// Waits for the secretariat or a manager; rule numbers or words.
    Held(String),
    /// Waits for editions until that instant, or for a person if `None` (policy `missing_edition`).
    AwaitsEditions(Option<DateTime<Utc>>),
    /// Free to go out.
    Approved,
    /// Went out to so many of a class, in these posts.
    Circulated {
        /// The class of recipients, by the key of its rule: `subscriber`, `parent-copy`, …
        class: String,
        /// How many.
        count: u64,
        /// The post that carries it.
        post: Option<PostId>,
        /// In which languages.
        languages: Vec<Language>,
    },
    /// A copy came back.
    DeliveryFailed(String),
    /// A language version was added.
    LanguageAdded(Language),
    /// A corrected issue with that revision came.
    Corrected(u16),
    /// A reminder went out; its key.
    Reminded(String),
    /// A destination said that it has it.
    Acknowledged(String),
    /// This statement answers it.
    Answered(LiaisonId),
    /// The action was taken without a statement; in whose words.
    Taken(String),
    /// Somebody else holds the action now.
    Reassigned(String),
    /// A remark for all.
    Comment(String),
    /// A remark for secretariat and managers.
    PrivateComment(String),
    /// Sent again to one recipient.
    Resent(String),
    /// Taken back, with the reason.
    Withdrawn(String),
    /// Nothing more is expected.
    Closed,
    /// Refused by a person, with the reason.
    Rejected(String),
    /// Not from the secretariat: set aside, with the reason.
    Quarantined(String),
    /// Another version came before it went out; the titles of the one before.
    Replaced(String),
}

impl EventKind {
    /// Key of its line in other languages, and what fills the places of it.
    pub fn said(&self) -> (&'static str, Vec<String>) {
        let key = match self {
            Self::Received => "received",
            Self::Parsed { .. } => "parsed",
            Self::Held(_) => "held",
            Self::AwaitsEditions(Some(_)) => "waits-until",
            Self::AwaitsEditions(None) => "waits",
            Self::Approved => "approved",
            Self::Circulated { .. } => "circulated",
            Self::DeliveryFailed(_) => "delivery-failed",
            Self::LanguageAdded(_) => "language-added",
            Self::Corrected(_) => "corrected",
            Self::Reminded(_) => "reminded",
            Self::Acknowledged(_) => "acknowledged",
            Self::Answered(_) => "answered",
            Self::Taken(_) => "taken",
            Self::Reassigned(_) => "reassigned",
            Self::Comment(_) | Self::PrivateComment(_) => "comment",
            Self::Resent(_) => "resent",
            Self::Withdrawn(_) => "withdrawn",
            Self::Closed => "closed",
            Self::Rejected(_) => "rejected",
            Self::Quarantined(_) => "quarantined",
            Self::Replaced(_) => "replaced",
        };
        let about = match self {
            Self::Received | Self::AwaitsEditions(None) | Self::Approved | Self::Closed => Vec::new(),
            Self::Parsed { errors, warnings } => vec![errors.to_string(), warnings.to_string()],
            Self::AwaitsEditions(Some(until)) => vec![until.format("%Y-%m-%d %H:%M UTC").to_string()],
            Self::Circulated { count, languages, .. } => {
                vec![count.to_string(), languages.iter().map(Language::as_str).collect::<Vec<_>>().join(", ")]
            }
            Self::LanguageAdded(language) => vec![language.to_string()],
            Self::Corrected(revision) => vec![revision.to_string()],
            Self::Answered(id) => vec![id.to_string()],
            Self::Held(text)
            | Self::DeliveryFailed(text)
            | Self::Reminded(text)
            | Self::Acknowledged(text)
            | Self::Taken(text)
            | Self::Reassigned(text)
            | Self::Comment(text)
            | Self::PrivateComment(text)
            | Self::Resent(text)
            | Self::Withdrawn(text)
            | Self::Rejected(text)
            | Self::Quarantined(text)
            | Self::Replaced(text) => vec![text.clone()],
        };
        (key, about)
    }

    /// One English line, for `liaison show`.
    pub fn text(&self) -> String {
        match self {
            Self::Received => "received".into(),
            Self::Parsed { errors, warnings } => format!("read, {errors} errors, {warnings} warnings"),
            Self::Held(why) => format!("held: {why}"),
            Self::AwaitsEditions(Some(until)) => format!("waits for the missing languages until {}", until.format("%Y-%m-%d %H:%M UTC")),
            Self::AwaitsEditions(None) => "waits for the missing languages".into(),
            Self::Approved => "approved for circulation".into(),
            Self::Circulated { class, count, languages, .. } => {
                let languages: Vec<_> = languages.iter().map(Language::as_str).collect();
                format!("circulated ({class}: {count}, {})", languages.join(", "))
            }
            Self::DeliveryFailed(whom) => format!("delivery failed: {whom}"),
            Self::LanguageAdded(language) => format!("edition added: {language}"),
            Self::Corrected(revision) => format!("corrected by revision {revision}"),
            Self::Reminded(key) => format!("reminder sent: {key}"),
            Self::Acknowledged(whom) => format!("acknowledged: {whom}"),
            Self::Answered(id) => format!("answered by {id}"),
            Self::Taken(words) => format!("action taken: {words}"),
            Self::Reassigned(whom) => format!("reassigned to {whom}"),
            Self::Comment(text) | Self::PrivateComment(text) => format!("comment: {text}"),
            Self::Resent(whom) => format!("sent again to {whom}"),
            Self::Withdrawn(why) => format!("withdrawn: {why}"),
            Self::Closed => "closed".into(),
            Self::Rejected(why) => format!("rejected: {why}"),
            Self::Quarantined(why) => format!("set aside: {why}"),
            Self::Replaced(titles) => format!("replaced before it went out: {titles}"),
        }
    }
}

/// Where a statement stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Came in, not judged yet.
    Received,
    /// Set aside because its sender is not proved to be the secretariat.
    Quarantined,
    /// Held for its problems.
    Held,
    /// Waits for a language version.
    Waiting,
    /// To go out when its grace time is over.
    Accepted,
    /// Out, and nothing is expected.
    Circulated,
    /// Out, and an answer is expected.
    AwaitingReply,
    /// The answer's day has passed.
    Overdue,
    /// Answered, or the action was taken.
    Answered,
    /// Done with.
    Closed,
    /// Refused.
    Rejected,
    /// Taken back.
    Withdrawn,
}

impl State {
    /// All, in the order of a statement's life.
    pub const ALL: [Self; 12] = [
        Self::Received,
        Self::Quarantined,
        Self::Held,
        Self::Waiting,
        Self::Accepted,
        Self::Circulated,
        Self::AwaitingReply,
        Self::Overdue,
        Self::Answered,
        Self::Closed,
        Self::Rejected,
        Self::Withdrawn,
    ];

    /// As in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::Quarantined => "quarantined",
            Self::Held => "held",
            Self::Waiting => "waiting",
            Self::Accepted => "accepted",
            Self::Circulated => "circulated",
            Self::AwaitingReply => "awaiting-reply",
            Self::Overdue => "overdue",
            Self::Answered => "answered",
            Self::Closed => "closed",
            Self::Rejected => "rejected",
            Self::Withdrawn => "withdrawn",
        }
    }

    /// Is it over, so that nothing may change it but a comment?
    pub fn is_final(self) -> bool {
        matches!(self, Self::Closed | Self::Rejected | Self::Withdrawn)
    }
}

/// The state after these events; `awaits_reply`: an answer is expected once it is out.
pub fn fold(events: &[Event], awaits_reply: bool) -> State {
    events.iter().fold(State::Received, |state, event| step(state, &event.kind, awaits_reply))
}

fn step(state: State, event: &EventKind, awaits_reply: bool) -> State {
    use EventKind as E;
    if state.is_final() {
        return state;
    }
    let out = matches!(state, State::Circulated | State::AwaitingReply | State::Answered);
    match event {
        E::Quarantined(_) => State::Quarantined,
        E::Held(_) if !out => State::Held,
        E::AwaitsEditions(_) if !out => State::Waiting,
        E::Approved if !out => State::Accepted,
        E::Circulated { .. } if state == State::Answered => State::Answered,
        E::Circulated { .. } if awaits_reply => State::AwaitingReply,
        E::Circulated { .. } => State::Circulated,
        E::Answered(_) | E::Taken(_) => State::Answered,
        E::Withdrawn(_) => State::Withdrawn,
        E::Rejected(_) if !out => State::Rejected,
        E::Closed => State::Closed,
        _ => state,
    }
}

/// Where the statement stands on `today` (in its group's zone).
pub fn state(statement: &Statement, today: NaiveDate) -> State {
    match fold(&statement.events, statement.awaits_reply()) {
        State::AwaitingReply if statement.deadline.is_some_and(|deadline| deadline < today) => State::Overdue,
        state => state,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(kinds: &[EventKind], awaits_reply: bool) -> State {
        let event = |kind: &EventKind| Event { at: DateTime::UNIX_EPOCH, by: "enlace".into(), kind: kind.clone() };
        fold(&kinds.iter().map(event).collect::<Vec<_>>(), awaits_reply)
    }

    #[test]
    fn the_state_follows_from_the_events() {
        use EventKind as E;
        let out = E::Circulated { class: "subscriber".into(), count: 3, post: None, languages: vec![Language::ENGLISH] };
        let cases: &[(&[E], bool, State)] = &[
            (&[], false, State::Received),
            (&[E::Received, E::Held("V2".into())], true, State::Held),
            (&[E::Received, E::Held("V2".into()), E::Approved], true, State::Accepted),
            (&[E::Approved, out.clone()], false, State::Circulated),
            (&[E::Approved, out.clone()], true, State::AwaitingReply),
            (&[E::Approved, out.clone(), E::LanguageAdded(Language::ARABIC), out.clone()], true, State::AwaitingReply),
            (&[E::Approved, out.clone(), E::Held("V8".into())], true, State::AwaitingReply),
            (&[E::Approved, out.clone(), E::Answered(LiaisonId(1))], true, State::Answered),
            (&[E::Approved, out.clone(), E::Answered(LiaisonId(1)), out.clone()], true, State::Answered),
            (&[E::Approved, out.clone(), E::Taken("done".into()), E::Closed], true, State::Closed),
            (&[E::Approved, E::Withdrawn("error".into()), out.clone()], true, State::Withdrawn),
            (&[E::Held("V1".into()), E::Rejected("not ours".into()), E::Approved], true, State::Rejected),
            (&[E::Received, E::Quarantined("unproved".into())], true, State::Quarantined),
            (&[E::AwaitsEditions(None)], true, State::Waiting),
        ];
        for (events, awaits_reply, expected) in cases {
            assert_eq!(after(events, *awaits_reply), *expected, "{events:?}");
        }
    }
}
