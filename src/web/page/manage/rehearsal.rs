//! `/manage/CODE/rehearsal`: who would get a message, who not, and why.

use axum::extract::State;
use axum::response::Response;
use minijinja::value::Serde;
use minijinja::{Value, context};

use super::show;
use crate::domain::language::Language;
use crate::domain::post::PostKind;
use crate::domain::reason::{Reason, Rule};
use crate::service::rehearsal::{Heard, Thought, rehearse};
use crate::web::authority::Scope;
use crate::web::page::choices::{Choice, language_name};
use crate::web::{Problem, Site, Visit};

/// People listed.
const LISTED: usize = 100;

const KINDS: [(&str, PostKind); 3] =
    [("discussion", PostKind::Discussion), ("announcement", PostKind::Meeting), ("liaison", PostKind::Liaison)];

/// `GET /manage/CODE/rehearsal?kind=&lang-es=on&author=&q=&outcome=`
pub async fn try_out(State(site): State<Site>, visit: Visit, scope: Scope) -> Result<Response, Problem> {
    let kind = KINDS.iter().find(|(name, _)| Some(*name) == visit.asked("kind"));
    let chosen = |language: &Language| match kind {
        Some(_) => visit.asked(&format!("in-{language}")).is_some(),
        None => scope.group.languages.contains(language),
    };
    let languages: Vec<Choice> = site
        .settings()
        .languages
        .iter()
        .map(|language| Choice { value: language.to_string(), text: language_name(&site, *language), on: chosen(language) })
        .collect();
    let mut content = context! {
        kinds => KINDS.map(|(name, _)| name).to_vec(),
        kind => kind.map_or("liaison", |(name, _)| *name),
        languages => Value::from(Serde(&languages)),
        author => visit.asked("author").unwrap_or_default(),
        q => visit.asked("q").unwrap_or_default(),
        asked => kind.is_some(),
    };
    if let Some((_, kind)) = kind {
        let mut chosen: Vec<Language> = site.settings().languages.iter().copied().filter(chosen).collect();
        if *kind == PostKind::Discussion {
            chosen.clear();
        }
        let thought = Thought {
            kind: *kind,
            languages: chosen,
            author: visit.asked("author").and_then(|author| author.parse().ok()),
            text: visit.asked("q").unwrap_or_default().to_owned(),
            outcome: visit.asked("outcome").and_then(read),
        };
        let found = rehearse(&site.services, &scope.group.code, &thought, LISTED).await?;
        let counts: Vec<(String, String, bool, u64)> = found
            .counts
            .iter()
            .map(|(heard, (count, reason))| (written(heard), say(&site, &visit, heard, reason), matches!(heard, Heard::Gets(_)), *count))
            .collect();
        let people: Vec<(String, String, bool, String)> = found
            .people
            .iter()
            .map(|(address, heard, reason)| {
                let why = site.services.texts.reason(visit.language, reason);
                (address.clone(), say(&site, &visit, heard, reason), matches!(heard, Heard::Gets(_)), why)
            })
            .collect();
        let total: u64 = found.counts.values().map(|(count, _)| count).sum();
        content = context! {
            counts => Value::from(Serde(&counts)),
            people => Value::from(Serde(&people)),
            more => found.more,
            total => total,
            ..content
        };
    }
    Ok(show(&site, &visit, &scope, "rehearsal", "manage-rehearsal.html", content))
}

/// An outcome as the address names it: `gets`, `gets-es`, or the key of a rule.
fn written(heard: &Heard) -> String {
    match heard {
        Heard::Gets(None) => "gets".into(),
        Heard::Gets(Some(language)) => format!("gets-{language}"),
        Heard::Not(rule) => rule.key().into(),
    }
}

fn read(text: &str) -> Option<Heard> {
    if text == "gets" {
        return Some(Heard::Gets(None));
    }
    if let Some(code) = text.strip_prefix("gets-") {
        return Some(Heard::Gets(Some(code.parse().ok()?)));
    }
    Rule::ALL.iter().find(|rule| rule.key() == text).map(|rule| Heard::Not(*rule))
}

/// An outcome in words; of a reason that names one person, the person is left out.
fn say(site: &Site, visit: &Visit, heard: &Heard, reason: &Reason) -> String {
    match heard {
        Heard::Gets(None) => site.word(visit, "gets-it"),
        Heard::Gets(Some(language)) => site.pages.word(visit.language, "gets-it-in", &[&language_name(site, *language)]),
        Heard::Not(rule) => {
            let about = reason.about.iter().map(|text| if text.contains('@') { "…".to_owned() } else { text.clone() });
            site.services.texts.reason(visit.language, &Reason::new(*rule, about))
        }
    }
}
