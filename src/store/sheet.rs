//! Outcomes of a batch: states and attempts of its recipients, and what a new answer does to them.
//!
//! Every backend stores this form and folds answers into it by the same rule; where it lies is the backend's business.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{ATTEMPTS_KEPT, Attempt, RecipientRecord, record};
use crate::domain::ledger::{Counts, PlannedRecipient, REPLY_OCTETS, RecipientState};
use crate::domain::post::{PostKind, PostState};

/// One attempt, as stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StoredAttempt {
    at: i64,
    state: RecipientState,
    reply: String,
}

/// What came of an attempt, as logged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Noted {
    pub(super) index: u16,
    pub(super) at: i64,
    pub(super) state: RecipientState,
    pub(super) reply: String,
    /// Set by a decision, not by an answer: wins over any state.
    pub(super) decided: bool,
}

/// States and attempts of a batch's recipients.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Sheet {
    states: Vec<RecipientState>,
    attempts: BTreeMap<u16, Vec<StoredAttempt>>,
}

/// Row of an amended recipient of a finished batch.
pub(super) type Amendment = (RecipientState, Vec<StoredAttempt>);

impl Sheet {
    /// Of a plan of which nothing has happened yet.
    pub(super) fn new(plan: &[PlannedRecipient]) -> Self {
        Self { states: plan.iter().map(|recipient| recipient.state).collect(), attempts: BTreeMap::new() }
    }

    /// With what became later of one recipient.
    pub(super) fn amend(&mut self, index: u16, (state, attempts): Amendment) {
        if let Some(place) = self.states.get_mut(usize::from(index)) {
            *place = state;
            self.attempts.insert(index, attempts);
        }
    }

    /// From what a store shows of a batch.
    pub(super) fn of_records(records: &[RecipientRecord]) -> Self {
        let stored =
            |attempt: &Attempt| StoredAttempt { at: record::nanoseconds(attempt.at), state: attempt.state, reply: attempt.reply.clone() };
        let attempts = (0_u16..).zip(records).filter(|(_, record)| !record.attempts.is_empty());
        Self {
            states: records.iter().map(|record| record.state).collect(),
            attempts: attempts.map(|(index, record)| (index, record.attempts.iter().map(stored).collect())).collect(),
        }
    }

    /// Notes an attempt; gives back the state before and after it, or `None` if there is no such recipient.
    ///
    /// An answer never reopens what is final: only a copy that did go out changes it, unless it has come back already.
    pub(super) fn note(&mut self, noted: &Noted) -> Option<(RecipientState, RecipientState)> {
        let state = self.states.get_mut(usize::from(noted.index))?;
        let before = *state;
        let late_copy = noted.state == RecipientState::Sent && before != RecipientState::Bounced;
        if noted.decided || !before.is_final() || late_copy {
            *state = noted.state;
        }
        let attempts = self.attempts.entry(noted.index).or_default();
        attempts.push(StoredAttempt { at: noted.at, state: noted.state, reply: one_line(&noted.reply) });
        if attempts.len() > ATTEMPTS_KEPT {
            attempts.remove(1);
        }
        Some((before, *state))
    }

    /// Replaces answers for which `by` gives something else.
    pub(super) fn replace_replies(&mut self, by: impl Fn(&str) -> Option<String>) {
        for attempt in self.attempts.values_mut().flatten() {
            if let Some(other) = by(&attempt.reply) {
                attempt.reply = other;
            }
        }
    }

    /// How many recipients it has.
    pub(super) fn len(&self) -> usize {
        self.states.len()
    }

    /// Indexes of those for whom something is still to be done.
    pub(super) fn open(&self) -> Vec<u16> {
        let states = self.states.iter().zip(0_u16..);
        states.filter(|(state, _)| !state.is_final()).map(|(_, index)| index).collect()
    }

    /// How many are in each state.
    pub(super) fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for state in &self.states {
            *counts.of(*state) += 1;
        }
        counts
    }

    /// The row for one recipient.
    pub(super) fn amendment(&self, index: u16) -> Amendment {
        let state = self.states.get(usize::from(index)).copied().unwrap_or(RecipientState::Planned);
        (state, self.attempts.get(&index).cloned().unwrap_or_default())
    }

    /// Plan and sheet as the trait shows them.
    pub(super) fn records(&self, plan: Vec<PlannedRecipient>) -> Vec<RecipientRecord> {
        let with_states = plan.into_iter().zip(&self.states).zip(0_u16..);
        with_states
            .map(|((planned, state), index)| {
                let attempts = self.attempts.get(&index).map_or(&[][..], Vec::as_slice).iter();
                let attempts =
                    attempts.map(|attempt| Attempt { at: record::instant(attempt.at), state: attempt.state, reply: attempt.reply.clone() });
                RecipientRecord { planned, state: *state, attempts: attempts.collect() }
            })
            .collect()
    }
}

/// At most [`REPLY_OCTETS`], cut between characters, without line ends.
fn one_line(text: &str) -> String {
    let mut end = text.len().min(REPLY_OCTETS);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].replace(['\r', '\n'], " ")
}

/// `counts` with what changed between `before` and `after`.
pub(super) fn shift(counts: &mut Counts, before: &Counts, after: &Counts) {
    for state in RecipientState::ALL {
        let (mut before, mut after) = (*before, *after);
        let counter = counts.of(state);
        *counter = (*counter + *after.of(state)).saturating_sub(*before.of(state));
    }
}

/// May batches of a post in this state not be claimed?
pub(super) fn is_halted(state: &PostState) -> bool {
    !matches!(state, PostState::Planned | PostState::Done)
}

/// How urgent posts of a kind are, 0 first.
pub(super) fn urgency(kind: PostKind) -> u8 {
    match kind {
        PostKind::Robot => 0,
        PostKind::Announcement | PostKind::Meeting | PostKind::Liaison | PostKind::Owner => 1,
        PostKind::Discussion | PostKind::Digest => 2,
    }
}
