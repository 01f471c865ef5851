//! The receipt: what was understood and where, what is wrong and how to mend it, who gets it under which rule, how to stop it.
//!
//! It goes to whoever posted, in that person's language, with three reply addresses of its own: to correct, to confirm, to
//! stop. Who will get it comes from the same table by which it is sent.

use serde::Serialize;
use serde_json::json;

use super::edition::{contact_line, label, language_name, page_url, prepared};
use super::intake::Answered;
use super::record::{self, Dossier};
use super::{circulate, judge};
use crate::domain::address::EmailAddress;
use crate::domain::group::Group;
use crate::domain::id::LiaisonId;
use crate::domain::language::Language;
use crate::domain::liaison::event::State;
use crate::domain::liaison::labels::Field;
use crate::domain::liaison::routing::{Route, Target};
use crate::domain::liaison::statement::{Level, Problem, Purpose};
use crate::domain::reason::{Reason, Rule, fill};
use crate::mail::statement::{Found, FoundIn, Reading};
use crate::mail::token::Purpose as Token;
use crate::service::robot::{self, Allowance, RobotMail};
use crate::service::{Failure, Services};
use crate::text::dates;

/// What one row of a receipt shows.
#[derive(Debug, Clone, Serialize)]
struct Understood {
    label: String,
    value: String,
    found: String,
}

/// A receipt that is to be sent.
#[derive(Debug, Clone)]
pub struct Receipt<'a> {
    /// Of which statement.
    pub id: LiaisonId,
    /// What became of the mail; `None` after a correction.
    pub answered: Option<Answered>,
    /// Who posted.
    pub to: &'a EmailAddress,
    /// The mail that is answered.
    pub in_reply_to: Option<&'a str>,
}

/// Each field of a reading with its place: `body`, `table:FILE`, `name:FILE`, `subject`.
pub(super) fn places(reading: &Reading) -> Vec<(String, String)> {
    fn place<T>(found: Option<&Found<T>>) -> Option<String> {
        found.map(|found| match &found.found_in {
            FoundIn::Body => "body".to_owned(),
            FoundIn::Table(file) => format!("table:{file}"),
            FoundIn::FileName(file) => format!("name:{file}"),
            FoundIn::Subject => "subject".to_owned(),
        })
    }
    let mut places: Vec<(String, String)> = Vec::new();
    for (language, found) in &reading.title {
        places.extend(place(Some(found)).map(|at| (format!("title.{language}"), at)));
    }
    let fields = [
        ("source", place(reading.source.as_ref())),
        ("prepared", place(reading.prepared.as_ref())),
        ("questions", place(reading.questions.as_ref())),
        ("action", place(reading.action.as_ref())),
        ("comment", place(reading.comment.as_ref())),
        ("information", place(reading.information.as_ref()).or_else(|| place(reading.other_destinations.as_ref()))),
        ("approval", place(reading.approval.as_ref())),
        ("deadline", place(reading.deadline.as_ref())),
        ("contacts", place(reading.contacts.as_ref())),
        ("symbol", place(reading.symbol.as_ref())),
        ("reply", place(reading.reply.as_ref())),
    ];
    places.extend(fields.into_iter().filter_map(|(field, place)| place.map(|place| (field.to_owned(), place))));
    places
}

/// Writes and queues the receipt.
///
/// # Errors
/// When a template or the store fails.
pub async fn send_receipt(services: &Services, receipt: Receipt<'_>) -> Result<(), Failure> {
    let (_, mut dossier) = super::register::load(services, receipt.id).await?;
    let group = services.group(&dossier.statement.group)?;
    let account = services.store.account_by_address(receipt.to).await?;
    let language = robot::language_for(services, account.as_ref(), &group);
    let others: Vec<Dossier> = record::all(services).await?.into_iter().filter(|other| other.statement.id != receipt.id).collect();
    let problems = dossier.statement.problems.clone();
    let routes = judge::judge(services, &mut dossier, &others).await?;
    dossier.statement.problems = problems;
    let address = |suffix: &str, purpose| {
        format!("{}-{suffix}+{}@{}", group.list, services.keys.address_token(purpose, receipt.id.0), services.site.domain)
    };
    let state = dossier.state();
    let context = json!({
        "subject": dossier.statement.title().best(&[language]).cloned().unwrap_or_default(),
        // An identifier says nothing to a person.
        "statement": if dossier.statement.symbol.is_some() || dossier.statement.number.is_some() { dossier.statement.name() } else { String::new() },
        "status": status(services, &dossier, receipt.answered, language),
        "rows": understood(services, &dossier, language),
        "problems": dossier.statement.problems.iter().map(|problem| shown(services, problem, language)).collect::<Vec<_>>(),
        "recipients": recipients(services, &dossier, &routes, &group, language).await?,
        "held": dossier.statement.has_errors(),
        "waits": state == State::Waiting,
        "open": !dossier.is_out() && !state.is_final(),
        "correct_address": address("moderate", Token::LiaisonCorrect),
        "confirm_address": address("confirm", Token::LiaisonConfirm),
        "stop_address": address("moderate", Token::LiaisonStop),
        "page": page_url(services, receipt.id),
    });
    let mail = RobotMail {
        to: receipt.to,
        account: account.as_ref(),
        group: &group,
        template: "liaison-receipt",
        context,
        reply_to: Some(format!("{}-moderate+{}", group.list, services.keys.address_token(Token::LiaisonCorrect, receipt.id.0))),
        in_reply_to: receipt.in_reply_to,
        allowance: Allowance::Receipt,
    };
    if let Some(post) = robot::send(services, mail).await? {
        // An answer to the receipt with the other language belongs to the statement too.
        super::follow::note_message(services, receipt.id, &format!("{post}.robot@{}", services.site.domain)).await?;
    }
    Ok(())
}

/// One sentence: what happens now.
fn status(services: &Services, dossier: &Dossier, answered: Option<Answered>, language: Language) -> String {
    let statement = &dossier.statement;
    let word = |key: &str, about: &[String]| fill(services.texts.word(language, &format!("liaison.{key}")), about);
    let name = statement.name();
    let came = match answered {
        Some(Answered::Repeated(_)) => return word("receipt-repeated", &[name]),
        Some(Answered::LanguageAdded(_)) => word("receipt-language", std::slice::from_ref(&name)),
        Some(Answered::Corrected(_)) => word("receipt-corrected", std::slice::from_ref(&name)),
        Some(Answered::Replaced(_)) => word("receipt-replaced", std::slice::from_ref(&name)),
        Some(Answered::New(_)) | None => word("receipt-new", std::slice::from_ref(&name)),
    };
    let next = if statement.has_errors() {
        word("receipt-held", &[])
    } else if dossier.state() == State::Waiting {
        word("receipt-waits", &[])
    } else {
        let group = services.groups().get(&statement.group).cloned();
        let zone = group.map_or(chrono_tz::UTC, |group| group.timezone);
        match dossier.goes_out_at {
            Some(at) if at > services.now() => word("receipt-goes", &[dates::instant(language, at.with_timezone(&zone))]),
            _ => word("receipt-out", &[]),
        }
    };
    if language.as_str() == "zh" { format!("{came}{next}") } else { format!("{came} {next}") }
}

/// Each field as understood; what is missing says so.
fn understood(services: &Services, dossier: &Dossier, language: Language) -> Vec<Understood> {
    let statement = &dossier.statement;
    let missing = services.texts.word(language, "liaison.not-found").to_owned();
    let place = |field: &str| {
        let found = dossier.found.iter().find(|(known, _)| known == field).map(|(_, place)| place.as_str());
        found.map(|place| place_in_words(services, place, language)).unwrap_or_default()
    };
    let list = |purpose: Purpose| {
        let names: Vec<&str> = statement.destinations.iter().filter(|d| d.purpose == purpose).map(|d| d.name.as_str()).collect();
        if names.is_empty() { "-".to_owned() } else { names.join(", ") }
    };
    let mut rows = Vec::new();
    let mut row = |field: Field, key: &str, extra: &str, value: String| {
        let label = label(services, field, language);
        let label = if extra.is_empty() {
            label
        } else {
            format!(
                "{} ({extra}){}",
                services.texts.labels().written(field, language),
                &label[services.texts.labels().written(field, language).len()..]
            )
        };
        let value = if value.trim().is_empty() { missing.clone() } else { value.replace('\n', "\n    ") };
        rows.push(Understood { label, value, found: place(key) });
    };
    row(Field::Document, "symbol", "", statement.symbol.as_ref().map(ToString::to_string).unwrap_or_default());
    row(Field::Source, "source", "", statement.source.clone());
    for edition in &statement.editions {
        let files: Vec<&str> = edition.attachments.iter().map(|file| file.name.as_str()).collect();
        let files = if files.is_empty() { String::new() } else { format!("\n[{}]", files.join(", ")) };
        row(Field::Title, &format!("title.{}", edition.language), edition.language.as_str(), format!("{}{files}", edition.title));
    }
    row(
        Field::Questions,
        "questions",
        "",
        statement.questions_from.iter().chain(&statement.questions_to).map(ToString::to_string).collect::<Vec<_>>().join(", "),
    );
    row(Field::Action, "action", "", list(Purpose::Action));
    row(Field::Comment, "comment", "", list(Purpose::Comment));
    row(Field::Information, "information", "", list(Purpose::Information));
    row(Field::Meeting, "prepared", "", prepared(services, &statement.prepared, language));
    let level = statement.approval.level.map(|level| services.texts.word(language, &format!("level.{}", level.as_str())).to_owned());
    let approval = match level {
        Some(level) if !statement.approval.text.is_empty() => format!("{} ({level})", statement.approval.text),
        _ => statement.approval.text.clone(),
    };
    row(Field::Approval, "approval", "", approval);
    row(Field::Deadline, "deadline", "", statement.deadline.map_or_else(|| "-".to_owned(), |day| dates::date(language, day)));
    row(Field::Contact, "contacts", "", statement.contacts.iter().map(contact_line).collect::<Vec<_>>().join("\n"));
    if let Some(reply) = &statement.reply {
        let known = reply.statement.map(|id| format!(" ({id})")).unwrap_or_default();
        row(Field::Reply, "reply", "", format!("{}{known}", reply.reference));
    }
    rows
}

fn place_in_words(services: &Services, place: &str, language: Language) -> String {
    let (kind, file) = place.split_once(':').unwrap_or((place, ""));
    fill(services.texts.word(language, &format!("liaison.found-{kind}")), &[file.to_owned()])
}

/// What is wrong, in the reader's language, with what to do.
pub(super) fn problem_text(services: &Services, problem: &Problem, language: Language) -> String {
    problem_in_words(services, &problem.key, &problem.about, &problem.text, language)
}

/// What a rule found, by the key of its text and what it is about, in the reader's language; `english` where there is no text.
pub fn problem_in_words(services: &Services, key: &str, about: &[String], english: &str, language: Language) -> String {
    let text = format!("problem.{key}");
    let pattern = services.texts.word(language, &text);
    let about: Vec<String> = about.iter().map(|word| in_words(services, key, word, language)).collect();
    if pattern == text { english.to_owned() } else { fill(pattern, &about) }
}

/// The rule of a row of the routing table in the reader's language.
pub fn route_reason(services: &Services, route: &Route, language: Language) -> String {
    let mut reason = route.reason.clone();
    if let (Rule::Destination, Some(purpose)) = (reason.rule, reason.about.get_mut(1)) {
        services.texts.word(language, &format!("purpose.{purpose}")).clone_into(purpose);
    }
    services.texts.reason(language, &reason)
}

/// A problem in the reader's language, with its rule and what to do.
fn shown(services: &Services, problem: &Problem, language: Language) -> serde_json::Value {
    let text = problem_text(services, problem, language);
    let level = match problem.level {
        Level::Error => "error",
        Level::Warning => "warning",
        Level::Notice => "notice",
    };
    json!({ "rule": problem.rule, "level": services.texts.word(language, &format!("liaison.level-{level}")), "text": text })
}

/// What a rule names in a short form, in the reader's words: languages, kinds of accounts, dates.
fn in_words(services: &Services, key: &str, word: &str, language: Language) -> String {
    let of = |key: &str| services.texts.word(language, key).to_owned();
    match (key, word) {
        ("v8-title" | "v9-language", tag) => tag.parse().map_or_else(|_| tag.to_owned(), |named| language_name(services, language, named)),
        ("v11-liaise", "a guest") => of("kind.guest"),
        ("v11-liaise", "an Associate") => of("category.associate"),
        ("v11-liaise", "Academia") => of("category.academia"),
        ("v4-differs", "deadline") => of("term.deadline"),
        ("v4-past" | "v4-soon" | "v4-differs" | "v4-order", day) => {
            day.parse().map_or_else(|_| day.to_owned(), |day| dates::date(language, day))
        }
        _ => word.to_owned(),
    }
}

/// Who gets it, one line a row of the table.
async fn recipients(
    services: &Services,
    dossier: &Dossier,
    routes: &[Route],
    group: &Group,
    language: Language,
) -> Result<Vec<String>, Failure> {
    let stage = circulate::Stage::next(services, dossier, group);
    let languages = stage.coming().iter().map(|coming| language_name(services, language, *coming)).collect::<Vec<_>>().join(", ");
    let until = dossier.waits_until.map(|at| dates::instant(language, at.with_timezone(&group.timezone))).unwrap_or_default();
    let edition = circulate::language_for_bodies(&dossier.statement, group).map(|language| language.to_string()).unwrap_or_default();
    let mut lines = Vec::new();
    for route in routes {
        let reason = route_reason(services, route, language);
        lines.push(match &route.target {
            Target::Subscribers(code) => {
                let (count, waiting) = circulate::readers(services, code, &stage).await?;
                let key = if waiting == 0 { "liaison.readers" } else { "liaison.readers-wait" };
                let about = [code.to_string(), count.to_string(), waiting.to_string(), languages.clone(), until.clone()];
                format!("{} - {reason}", fill(services.texts.word(language, key), &about))
            }
            Target::Mailbox(address) => format!("{address} ({edition}) - {reason}"),
            Target::Nowhere(name) => services.texts.reason(language, &Reason::new(Rule::NoAddress, [name.as_str()])),
        });
    }
    Ok(lines)
}
