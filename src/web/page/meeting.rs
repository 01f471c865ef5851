//! `/meetings/ID`: what, when, where, the deadlines as a time line, the calendar.
//!
//! Drafts are for those who manage a group of it. How to take part from afar is for the groups' subscribers, because a link may
//! hold a passcode.

use axum::extract::{Path, State};
use axum::response::Response;
use chrono::NaiveDate;
use minijinja::value::Serde;
use minijinja::{Value, context};
use serde::Serialize;

use super::choices::language_name;
use super::manage::download;
use crate::domain::language::Localized;
use crate::domain::meeting::{Meeting, MeetingId, Span, civil};
use crate::domain::subscription::Subscription;
use crate::service::{meeting, rights};
use crate::text::dates;
use crate::web::{Problem, Site, Visit};

/// A meeting as lists show it.
#[derive(Serialize)]
pub struct Card {
    id: String,
    title: String,
    title_lang: String,
    state: String,
    state_word: String,
    when: String,
    place: String,
    groups: Vec<String>,
    past: bool,
}

/// A day on the time line.
#[derive(Serialize)]
struct Day {
    label: String,
    date: String,
    state: &'static str,
}

/// A part of the meeting.
#[derive(Serialize)]
struct PartCard {
    title: String,
    when: String,
    audience: String,
}

fn best(visit: &Visit, text: &Localized<String>) -> (String, String) {
    let found = text.best(&visit.languages()).cloned().unwrap_or_default();
    let language =
        text.0.iter().find(|(_, one)| **one == found).map_or_else(|| visit.language.to_string(), |(language, _)| language.to_string());
    (found, language)
}

/// `6-7 April 2027`, with the hours at the place where it has some.
fn when(visit: &Visit, span: &Span, zone: chrono_tz::Tz) -> String {
    let days = dates::range(visit.language, span.first_day(), span.last_day());
    match span {
        Span::Days { .. } => days,
        Span::Hours { start, end } => {
            let time = |time: chrono::NaiveDateTime| dates::time(visit.language, time.time());
            format!("{days}, {} – {} ({})", time(*start), time(*end), zone.name())
        }
    }
}

/// The card of a meeting in the visitor's language.
pub fn card(site: &Site, visit: &Visit, one: &Meeting) -> Card {
    let now = site.services.now();
    let (title, title_lang) = best(visit, &one.title);
    let state = one.status_at(now).as_str();
    Card {
        id: one.id.to_string(),
        title,
        title_lang,
        state_word: site.services.texts.word(visit.language, &format!("meeting.{state}")).to_owned(),
        state: state.to_owned(),
        when: when(visit, &one.span, one.zone),
        place: [one.city.as_str(), one.country.as_str()].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", "),
        groups: one.active_groups().map(ToString::to_string).collect(),
        past: one.closes() < now,
    }
}

/// Meetings of a group that everybody may see, those to come first.
pub async fn cards(site: &Site, visit: &Visit, code: &crate::domain::group::GroupCode, most: usize) -> Result<Vec<Card>, Problem> {
    let now = site.services.now();
    let mut shown = meeting::meetings(&site.services, Some(code)).await?;
    shown.retain(|one| one.status.is_public());
    let (past, mut coming): (Vec<_>, Vec<_>) = shown.into_iter().partition(|one| one.closes() < now);
    coming.extend(past.into_iter().rev());
    Ok(coming.iter().take(most).map(|one| card(site, visit, one)).collect())
}

/// An address that a link may lead to; anything else is left out.
fn link(url: &str) -> Option<&str> {
    (url.starts_with("https://") || url.starts_with("http://")).then_some(url)
}

/// `GET /meetings/ID`
pub async fn show(State(site): State<Site>, visit: Visit, Path(id): Path<String>) -> Result<Response, Problem> {
    let (one, insider) = visible(&site, &visit, &id).await?;
    let texts = &site.services.texts;
    let word = |key: &str| texts.word(visit.language, &format!("meeting.{key}")).to_owned();
    let content = context! {
        card => Value::from(Serde(card(&site, &visit, &one))),
        venue => best(&visit, &one.venue).0,
        host => best(&visit, &one.host).0,
        contact => one.contact.as_str(),
        audience => word(one.audience.as_str()),
        interpretation => one.languages.iter().map(|language| language_name(&site, *language)).collect::<Vec<_>>(),
        insider => insider,
        remote => link(&one.remote_url).filter(|_| insider),
        has_remote => !one.remote_url.is_empty(),
        remote_notes => Some(best(&visit, &one.remote_notes).0).filter(|notes| insider && !notes.is_empty()),
        registration => link(&one.registration_url),
        agenda => link(&one.agenda_url),
        documents => link(&one.documents_url),
        letter => one.letter.as_ref().map(|letter| letter.reference.clone()),
        report => one.report.as_ref().map(|report| report.reference.clone()),
        report_url => one.report.as_ref().and_then(|report| link(&report.url)),
        days => Value::from(Serde(&days(&site, &visit, &one))),
        parts => Value::from(Serde(&parts(&site, &visit, &one))),
        labels => ["host", "remote", "remote-notes", "registration", "agenda", "documents", "contact", "field-audience", "field-languages", "field-venue", "field-parts", "field-deadlines"]
            .into_iter()
            .map(|key| (key.to_owned(), word(key)))
            .collect::<std::collections::BTreeMap<_, _>>(),
    };
    let title = best(&visit, &one.title).0;
    Ok(site.show(&visit, "meeting.html", &title, content))
}

fn days(site: &Site, visit: &Visit, one: &Meeting) -> Vec<Day> {
    let today = civil::day(one.zone, site.services.now());
    let word = |key: &str| site.services.texts.word(visit.language, key).to_owned();
    // As in the mails: a date that was computed and not given may still change (ITU-T A.1 1.3).
    let computed = |given: bool| if given { String::new() } else { format!(" ({})", site.word(visit, "to-be-confirmed")) };
    let mut marks: Vec<(NaiveDate, String)> = meeting::deadlines(&site.services, one)
        .into_iter()
        .map(|deadline| (deadline.date, word(&format!("meeting.deadline-{}", deadline.kind.as_str())) + &computed(deadline.given)))
        .collect();
    marks.push((one.span.first_day(), word("term.meeting")));
    marks.sort_by_key(|(date, _)| *date);
    let next = marks.iter().position(|(date, _)| *date >= today);
    let state = |place: usize| match next {
        Some(next) if place == next => "now",
        Some(next) if place > next => "",
        _ => "past",
    };
    marks
        .into_iter()
        .enumerate()
        .map(|(place, (date, label))| Day { state: state(place), date: dates::date(visit.language, date), label })
        .collect()
}

fn parts(site: &Site, visit: &Visit, one: &Meeting) -> Vec<PartCard> {
    one.parts
        .iter()
        .map(|part| PartCard {
            title: best(visit, &part.title).0,
            when: when(visit, &part.span, one.zone),
            audience: site.services.texts.word(visit.language, &format!("meeting.{}", part.audience.as_str())).to_owned(),
        })
        .collect()
}

/// The meeting, if the visitor may see it, and whether she is of one of its groups.
async fn visible(site: &Site, visit: &Visit, id: &str) -> Result<(Meeting, bool), Problem> {
    let id: MeetingId = id.parse().map_err(|_| Problem::missing())?;
    let one = meeting::find(&site.services, &id).await?;
    let (mut reads, mut manages) = (false, false);
    for code in one.concerned_groups() {
        reads |= visit.subscription(code).is_some_and(Subscription::is_active);
        if let (Some(account), Some(group)) = (visit.account(), site.services.groups().get(code)) {
            manages |= rights::may_moderate(&site.services, group, account).await?.is_accept();
        }
    }
    if one.status.is_public() || manages { Ok((one, reads || manages)) } else { Err(Problem::missing()) }
}

/// `GET /meetings/ID/invite.ics`: as everybody may have it, without passcodes.
pub async fn calendar(State(site): State<Site>, visit: Visit, Path(id): Path<String>) -> Result<Response, Problem> {
    let (one, _) = visible(&site, &visit, &id).await?;
    let text = meeting::public_object(&site.services, &one)?;
    Ok(download("text/calendar; charset=utf-8", &format!("{}.ics", one.id), text))
}
