//! A correction: single fields of a statement that has not gone out, by the lines of an answer to its receipt.

use super::follow::{MOST_TRIES, over};
use super::record::{self, Dossier};
use super::register::load;
use super::{circulate, intake, judge};
use crate::domain::id::LiaisonId;
use crate::domain::liaison::bodies;
use crate::domain::liaison::event::EventKind;
use crate::domain::liaison::statement::{Doubt, Prepared, Purpose, Reply};
use crate::domain::mistake::Mistake;
use crate::mail::statement::{Reading, read_correction};
use crate::service::{Actor, Failure, Services};
use crate::store::StoreError;

/// Longest correction that is read, in octets.
const CORRECTION_OCTETS: usize = 64 * 1024;

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
