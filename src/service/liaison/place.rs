//! Where a mail with a statement belongs: new, the same again, a further language, a correction, a replacement.
//!
//! A replacement takes a text away from a statement, so it is only for what is plainly the same statement once more; whatever
//! else comes under a symbol that is in use is a statement of its own, which rule V13 holds. The surprise: one that V13 holds has
//! the symbol too, and what comes later under it belongs to the one that had it first.

use crate::domain::address::EmailAddress;
use crate::domain::liaison::event::State;
use crate::domain::liaison::plain::{key, words_key};
use crate::domain::liaison::statement::{Statement, StatementEdition};
use crate::mail::statement::Posted;

use super::files;
use super::record::Dossier;

/// Titles that are so much alike are the same one with a slip mended.
const NEARLY: f64 = 0.85;

/// Where a mail belongs; a position among the dossiers that it was compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// To none of them.
    New,
    /// It brings nothing new.
    Repeated(usize),
    /// It brings a further language.
    Language(usize),
    /// It is a later revision.
    Correction(usize),
    /// It is another version of what has not gone out.
    Replacement(usize),
}

/// The mail and whose it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sender<'a> {
    /// The mail.
    pub posted: &'a Posted,
    /// Who posted it, if that is known.
    pub poster: Option<&'a EmailAddress>,
}

/// Same symbol, or an answer to a mail of the statement in a language that is missing; else new.
pub(super) fn place(statement: &Statement, sender: Sender<'_>, others: &[Dossier]) -> Place {
    let own = |other: &&(usize, &Dossier)| other.1.statement.group == statement.group && other.1.draft.is_none();
    let all: Vec<(usize, &Dossier)> = others.iter().enumerate().collect();
    let known = all.iter().filter(own).copied();
    if let Some((at, _)) = known.clone().find(|(_, other)| statement.message_ids.iter().any(|id| other.statement.message_ids.contains(id)))
    {
        return Place::Repeated(at);
    }
    let alive = || known.clone().filter(|(_, other)| !matches!(other.state(), State::Withdrawn | State::Rejected)).rev();
    let same_symbol = |other: &Statement| match (&other.symbol, &statement.symbol) {
        (Some(one), Some(two)) => one.is_same_document(two),
        _ => false,
    };
    let mut namesakes: Vec<(usize, &Dossier)> = alive().filter(|(_, other)| same_symbol(&other.statement)).collect();
    namesakes.sort_by_key(|(_, other)| other.lost_its_symbol());
    if let Some(first) = namesakes.first() {
        return by_symbol(statement, sender, &namesakes, *first);
    }
    // Without a symbol the same content is the same statement.
    let same = |other: &Statement| {
        other.symbol.is_none()
            && statement.symbol.is_none()
            && !statement.editions.is_empty()
            && by_language(statement, other).iter().all(|same| *same == Some(true))
    };
    if let Some((at, _)) = alive().find(|(_, other)| same(&other.statement)) {
        return Place::Repeated(at);
    }
    let further = |other: &Statement| {
        let missing = !statement.editions.is_empty() && statement.editions.iter().all(|edition| other.edition(edition.language).is_none());
        missing && !is_from_elsewhere(statement, other) && (statement.symbol.is_none() || other.symbol.is_none())
    };
    match alive().find(|(_, other)| answers(sender, &other.statement) && further(&other.statement)) {
        Some((at, _)) => Place::Language(at),
        None => Place::New,
    }
}

/// Among those with the same symbol: `first` had it before the others, which V13 holds.
fn by_symbol(statement: &Statement, sender: Sender<'_>, namesakes: &[(usize, &Dossier)], first: (usize, &Dossier)) -> Place {
    let revision = statement.symbol.as_ref().map_or(0, |symbol| symbol.revision);
    for (at, other) in namesakes.iter().filter(|(_, other)| other.revision() == revision) {
        let compared = by_language(statement, &other.statement);
        if !compared.is_empty() && compared.iter().all(|same| *same == Some(true)) {
            return Place::Repeated(*at);
        }
        if is_plainly_same(statement, sender, other) {
            return by_content(&compared, other, *at);
        }
    }
    let (at, other) = first;
    match revision.cmp(&other.revision()) {
        std::cmp::Ordering::Greater => Place::Correction(at),
        std::cmp::Ordering::Less => Place::New,
        std::cmp::Ordering::Equal => {
            let compared = by_language(statement, &other.statement);
            // No title of another language says whether it is the same statement; the symbol does.
            let further = !compared.is_empty() && compared.iter().all(Option::is_none);
            if further && !is_from_elsewhere(statement, &other.statement) { Place::Language(at) } else { Place::New }
        }
    }
}

fn by_content(compared: &[Option<bool>], other: &Dossier, at: usize) -> Place {
    let is_open = !other.is_out() && !other.state().is_final();
    if compared.contains(&Some(false)) {
        // What is out is changed by a revision only; the same symbol with other content is rule V13's.
        return if is_open { Place::Replacement(at) } else { Place::New };
    }
    if compared.contains(&None) {
        return Place::Language(at);
    }
    if compared.is_empty() && is_open { Place::Replacement(at) } else { Place::Repeated(at) }
}

/// Is it that statement again: an answer to a mail of it, a title of it, or its poster's with nearly its title?
fn is_plainly_same(statement: &Statement, sender: Sender<'_>, other: &Dossier) -> bool {
    if is_from_elsewhere(statement, &other.statement) {
        return false;
    }
    if answers(sender, &other.statement) {
        return true;
    }
    let (titles, known) = (statement.title().0, other.statement.title().0);
    let pairs = || titles.values().flat_map(|title| known.values().map(move |known| (title, known)));
    if pairs().any(|(title, known)| key(title) == key(known)) {
        return true;
    }
    let same_poster = sender.poster.is_some() && sender.poster == other.poster.as_ref();
    same_poster && (titles.is_empty() || known.is_empty() || pairs().any(|(title, known)| is_nearly(title, known)))
}

/// One of two titles with a slip mended, or with words added behind.
fn is_nearly(one: &str, two: &str) -> bool {
    let (one, two) = (words_key(one), words_key(two));
    let (short, long) = if one.len() <= two.len() { (&one, &two) } else { (&two, &one) };
    let continued = long.strip_prefix(short.as_str()).is_some_and(|rest| rest.starts_with(' '));
    !short.is_empty() && (continued || strsim::normalized_damerau_levenshtein(&one, &two) >= NEARLY)
}

fn answers(sender: Sender<'_>, other: &Statement) -> bool {
    sender.posted.answers.iter().any(|id| other.message_ids.contains(id))
}

fn is_from_elsewhere(statement: &Statement, other: &Statement) -> bool {
    statement.source_group.is_some() && other.source_group.is_some() && statement.source_group != other.source_group
}

/// For each edition of the mail: is the same there, another, or none?
fn by_language(statement: &Statement, other: &Statement) -> Vec<Option<bool>> {
    let compare =
        |edition: &StatementEdition| other.edition(edition.language).map(|there| files::content(there) == files::content(edition));
    statement.editions.iter().map(compare).collect()
}
