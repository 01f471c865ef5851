//! From a reading to the record that is kept.

use chrono::{DateTime, Utc};

use crate::domain::group::{Group, GroupCode};
use crate::domain::id::LiaisonId;
use crate::domain::language::{Language, Localized};
use crate::domain::liaison::bodies;
use crate::domain::liaison::labels::Labels;
use crate::domain::liaison::plain::{has_words, words_key};
use crate::domain::liaison::statement::{Attachment, Direction, Prepared, Question, Reply, Statement, StatementEdition};

use super::{Posted, Reading};

/// What the record needs beside the reading.
#[derive(Debug, Clone)]
pub struct Frame<'a> {
    /// Its key.
    pub id: LiaisonId,
    /// The group it is kept for: that of the address, or what [`group_of`] finds.
    pub group: GroupCode,
    /// When the mail came.
    pub now: DateTime<Utc>,
    /// All groups, to know the source by its name.
    pub groups: &'a [Group],
    /// The stored files, one for each of [`Posted::files`], in their order.
    pub stored: &'a [Attachment],
}

/// The group a statement to `liaison@` belongs to: its source if that is ours, else its first destination that is.
///
/// A regional group is preferred to its parent, which is named beside it.
pub fn group_of<'a>(reading: &Reading, labels: &Labels, groups: &'a [Group]) -> Option<&'a Group> {
    let source = reading.source.iter().map(|found| found.value.clone());
    let names = source.chain(reading.destinations().into_iter().map(|destination| destination.name));
    let known: Vec<&Group> = names
        .filter(|name| bodies::Body::of(name, labels) != bodies::Body::AllStudyGroups)
        .flat_map(|name| bodies::resolve(&name, labels, groups))
        .collect();
    let regional = |group: &&&Group| group.kind == crate::domain::group::GroupKind::Regional;
    known.iter().find(regional).or(known.first()).copied()
}

/// Makes the record of a reading; its events and problems are still empty.
pub fn statement(reading: &Reading, posted: &Posted, labels: &Labels, frame: &Frame<'_>) -> Statement {
    let source = reading.source.as_ref().map(|found| found.value.clone()).unwrap_or_default();
    let source_group = bodies::resolve(&source, labels, frame.groups).first().map(|group| group.code.clone());
    let (questions_from, questions_to) = divide(reading, &source, labels);
    let direction = match (&reading.direction, &source_group) {
        (Some(found), _) => found.value,
        (None, Some(code)) if *code == frame.group => Direction::Outgoing,
        (None, Some(code)) if frame.groups.iter().any(|g| g.code == frame.group && g.parent.as_ref() == Some(code)) => Direction::Outgoing,
        (None, _) => Direction::Incoming,
    };
    Statement {
        id: frame.id,
        group: frame.group.clone(),
        number: None,
        direction,
        source,
        source_group,
        prepared: reading.prepared.as_ref().map_or(Prepared::Unknown, |found| found.value.clone()),
        questions_from,
        questions_to,
        destinations: reading.destinations(),
        approval: reading.approval.as_ref().map(|found| found.value.clone()).unwrap_or_default(),
        deadline: reading.deadline.as_ref().and_then(|found| found.value),
        contacts: reading.contacts.as_ref().map(|found| found.value.clone()).unwrap_or_default(),
        symbol: reading.symbol.as_ref().map(|found| found.value.clone()),
        original: reading.original.as_ref().map(|found| found.value),
        summary: Localized(reading.summary.clone()),
        editions: editions(reading, frame),
        reply: reading.reply.as_ref().map(|found| Reply { reference: found.value.clone(), statement: None }),
        for_tsag: concerns_tsag(reading, labels),
        message_ids: if posted.message_id.is_empty() { Vec::new() } else { vec![posted.message_id.clone()] },
        problems: Vec::new(),
        events: Vec::new(),
    }
}

/// The language versions, each with its title; a title without text or files makes no version.
pub fn editions(reading: &Reading, frame: &Frame<'_>) -> Vec<StatementEdition> {
    let title = |language: Language| reading.title.get(&language).map(|found| found.value.clone()).unwrap_or_default();
    let edition = |read: &super::EditionReading| StatementEdition {
        language: read.language,
        title: title(read.language),
        text: read.text.clone(),
        attachments: read.files.iter().filter_map(|at| frame.stored.get(*at)).cloned().collect(),
        added_at: frame.now,
    };
    reading.editions.iter().map(edition).collect()
}

/// Questions of the source's study group come from it, others belong to the destinations.
fn divide(reading: &Reading, source: &str, labels: &Labels) -> (Vec<Question>, Vec<Question>) {
    let all = reading.questions.as_ref().map(|found| found.value.clone()).unwrap_or_default();
    let code = bodies::Body::of(source, labels).code();
    let number: Option<String> =
        code.map(|code| code.as_str().chars().skip_while(|c| !c.is_ascii_digit()).take_while(char::is_ascii_digit).collect());
    match number.filter(|number| all.iter().any(|question| question.group == *number)) {
        Some(number) => all.into_iter().partition(|question| question.group == number),
        None => (all, Vec::new()),
    }
}

/// Is it about the creation, terms of reference, working methods or end of a regional group (Resolution 54, resolves 2)?
fn concerns_tsag(reading: &Reading, labels: &Labels) -> bool {
    let texts = reading.title.values().map(|found| &found.value).chain(reading.summary.values());
    texts.map(|text| (words_key(text), bodies::regional_code(text))).any(|(words, code)| {
        let any = |list: &[String]| list.iter().any(|word| has_words(&words, word));
        any(&labels.words.matters) && (code.is_some() || any(&labels.bodies.regional_group))
    })
}
