//! What templates and calendars of meetings show: values in the reader's language, ready to be printed.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use chrono_tz::Tz;
use serde_json::{Value, json};

use super::{meetings, settings};
use crate::domain::group::Group;
use crate::domain::language::{Language, Localized};
use crate::domain::meeting::{
    Change, DeadlineKind, Field, Meeting, MeetingStatus, Notice, NoticeKind, Part, Span, civil, notices, said, span_from,
};
use crate::mail::calendar::{Organizer, Setting};
use crate::service::robot::{group_context, group_name};
use crate::service::{Failure, Services};
use crate::text::dates;

/// How far the outlook looks ahead.
const OUTLOOK: TimeDelta = TimeDelta::weeks(8);

/// The reader's language and then those of the group.
pub(super) fn languages(group: &Group, first: Language) -> Vec<Language> {
    let mut languages = vec![first];
    languages.extend(group.languages.iter().filter(|language| **language != first));
    languages
}

/// Lends what a calendar object of `group` for a reader of `first` needs.
pub(super) fn with_setting<T>(services: &Services, group: &Group, first: Language, public: bool, run: impl FnOnce(&Setting<'_>) -> T) -> T {
    let organizer = Organizer { name: group_name(group, first), address: group.sub_address("owner", &services.site.domain) };
    let languages = languages(group, first);
    // A calendar entry is read by all: its labels follow its texts, in the order of the languages.
    let words = |key: &str| {
        let key = match key.strip_prefix("deadline.") {
            Some(kind) => format!("meeting.deadline-{kind}"),
            None => format!("meeting.{key}"),
        };
        services.texts.word(first, &key).to_owned()
    };
    let lead_times = |meeting: &Meeting| super::lead_times(services, meeting);
    run(&Setting { organizer: &organizer, lead_times: &lead_times, languages: &languages, words: &words, now: services.now(), public })
}

/// What one notice shows.
pub(super) struct Told<'a> {
    /// The meeting.
    pub meeting: &'a Meeting,
    /// In whose name.
    pub group: &'a Group,
    /// The notice that speaks.
    pub lead: &'a Notice,
    /// Those it speaks for.
    pub others: Vec<&'a Notice>,
}

/// The context of the template of a notice, in `language`.
pub(super) fn context(services: &Services, told: &Told<'_>, language: Language) -> Value {
    let m = told.meeting;
    let zone = settings(services, m).zone;
    let reminders: Vec<Value> = std::iter::once(told.lead)
        .chain(told.others.iter().copied())
        .filter_map(|notice| notice.deadline)
        .fold(Vec::new(), |mut kinds: Vec<(DeadlineKind, NaiveDate)>, deadline| {
            if !kinds.iter().any(|(kind, _)| *kind == deadline.kind) {
                kinds.push((deadline.kind, deadline.date));
            }
            kinds
        })
        .into_iter()
        .map(|(kind, date)| json!({ "label": word(services, language, &format!("deadline-{}", kind.as_str())), "date": dates::date(language, date) }))
        .collect();
    let changes: Vec<&Change> = std::iter::once(told.lead)
        .chain(told.others.iter().copied())
        .filter(|notice| matches!(notice.kind, NoticeKind::Change | NoticeKind::Postponement | NoticeKind::Cancellation))
        .filter_map(|notice| m.history.iter().find(|change| change.sequence == notice.key.sequence))
        .collect();
    let has = |kind: NoticeKind| told.lead.kind == kind || told.others.iter().any(|notice| notice.kind == kind);
    let letter = super::lead_times(services, m).letter(m.planned);
    json!({
        "group": group_context(services, told.group, language),
        "service": { "name": services.config.service.name, "domain": services.site.domain, "base_url": services.site.base_url },
        "language": language,
        "meeting": meeting_context(services, m, zone, language),
        "reminders": reminders,
        "changes": changed(services, &changes, language),
        "withdrawal": told.lead.kind == NoticeKind::Withdrawal,
        "documents": has(NoticeKind::Documents),
        "tomorrow": has(NoticeKind::Tomorrow),
        "first": first_part(told, language),
        "late": told.lead.kind == NoticeKind::LetterLate,
        "letter_by": dates::date(language, letter.before(m.first_day())),
        "days_left": (m.first_day() - civil::day(m.zone, services.now())).num_days().max(0),
    })
}

/// The part that opens before the meeting itself, where a notice of the day before it speaks.
fn first_part(told: &Told<'_>, language: Language) -> Option<Value> {
    let speaks = std::iter::once(told.lead).chain(told.others.iter().copied()).any(|notice| notice.key.milestone == notices::FIRST_PART);
    let part = told.meeting.first_part().filter(|_| speaks)?;
    let title = part.title.best(&[language]).cloned().unwrap_or_default();
    Some(json!({ "title": title, "opens": at_place_and_utc(language, part.span.opens(told.meeting.zone), told.meeting.zone) }))
}

/// A meeting as templates show it.
pub(super) fn meeting_context(services: &Services, m: &Meeting, zone: Tz, language: Language) -> Value {
    let text = |text: &Localized<String>| text.best(&[language]).cloned().unwrap_or_default();
    let place: Vec<String> = [text(&m.venue), m.city.clone(), m.country.clone()].into_iter().filter(|s| !s.is_empty()).collect();
    let now = services.now();
    let deadlines: Vec<Value> = services
        .config
        .meetings
        .deadlines_of(m)
        .into_iter()
        .filter(|deadline| civil::end_of_day(zone, deadline.date) > now)
        .map(|deadline| {
            json!({
                "label": word(services, language, &format!("deadline-{}", deadline.kind.as_str())),
                "date": dates::date(language, deadline.date),
                "given": deadline.given,
            })
        })
        .collect();
    let parts: Vec<Value> = m
        .parts
        .iter()
        .map(|part| {
            json!({
                "title": text(&part.title),
                "when": when(language, &part.span, m.zone),
                "audience": audience_of(services, part, language),
                "venue": text(&part.venue),
                "remote_url": part.remote_url,
            })
        })
        .collect();
    let report = m.report.as_ref();
    let report = json!({
        "reference": report.map(|report| report.reference.clone()).unwrap_or_default(),
        "url": report.map(|report| report.url.clone()).unwrap_or_default(),
        "attendance": report.and_then(|report| report.attendance).map(|number| number.to_string()).unwrap_or_default(),
    });
    json!({
        "id": m.id,
        "title": text(&m.title),
        "groups": m.active_groups().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        "dates": dates::range(language, m.span.first_day(), m.span.last_day()),
        "when": when(language, &m.span, m.zone),
        "opens": at_place_and_utc(language, m.span.opens(m.zone), m.zone),
        "all_day": m.span.is_all_day(),
        "zone": m.zone.name(),
        "place": place.join(", "),
        "city": m.city,
        "host": text(&m.host),
        "remote_url": m.remote_url,
        "remote_notes": text(&m.remote_notes),
        "registration_url": m.registration_url,
        "agenda_url": m.agenda_url,
        "documents_url": m.documents_url,
        "contact": m.contact,
        "audience": word(services, language, m.audience.as_str()),
        "languages": m.languages.iter().map(|l| word(services, language, &format!("language-{l}"))).collect::<Vec<_>>().join(", "),
        "letter": m.letter.as_ref().map(|letter| letter.reference.clone()).unwrap_or_default(),
        "tentative": m.status == MeetingStatus::Tentative,
        "page": format!("{}/meetings/{}", services.site.base_url, m.id),
        "deadlines": deadlines,
        "deadline_zone": zone.name(),
        "parts": parts,
        "report": report,
    })
}

/// Who may attend a part; where it is of some groups alone, readers of the others see whose it is.
fn audience_of(services: &Services, part: &Part, language: Language) -> String {
    let audience = word(services, language, part.audience.as_str());
    let groups: Vec<String> = part.groups.iter().map(ToString::to_string).collect();
    if groups.is_empty() { audience } else { format!("{audience}: {}", groups.join(", ")) }
}

/// What readers see of changes: the latest value of each field, the first one before.
fn changed(services: &Services, changes: &[&Change], language: Language) -> Vec<Value> {
    let mut fields: Vec<(Field, String, String)> = Vec::new();
    let mut ordered = changes.to_vec();
    ordered.sort_by_key(|change| change.sequence);
    for field in ordered.iter().flat_map(|change| &change.fields) {
        match fields.iter_mut().find(|(known, ..)| *known == field.field) {
            Some((_, _, after)) => after.clone_from(&field.after),
            None => fields.push((field.field, field.before.clone(), field.after.clone())),
        }
    }
    fields.retain(|(_, before, after)| before != after);
    fields
        .into_iter()
        .map(|(field, before, after)| {
            let said = |value: String| match field {
                Field::Status | Field::Audience => word(services, language, &value),
                Field::Dates => dates_said(language, &value).unwrap_or(value),
                Field::Deadlines => deadlines_said(services, language, &value).unwrap_or(value),
                _ => said::said(&value, &InLanguage { services, language }),
            };
            let (mut old, mut new) = (said(before.clone()), said(after.clone()));
            if old == new {
                // It changed in another language alone.
                (old, new) = (said::neutral(&before), said::neutral(&after));
            }
            json!({ "label": word(services, language, &format!("field-{}", field.as_str())), "before": old, "after": new })
        })
        .collect()
}

/// Says the values of a change in the reader's language.
struct InLanguage<'a> {
    services: &'a Services,
    language: Language,
}

impl said::Speaker for InLanguage<'_> {
    fn text(&self, texts: &Localized<String>) -> String {
        texts.best(&[self.language]).cloned().unwrap_or_default()
    }

    fn span(&self, span: &Span) -> String {
        let days = dates::range(self.language, span.first_day(), span.last_day());
        match span {
            Span::Days { .. } => days,
            Span::Hours { start, end } => {
                format!("{days}, {} - {}", dates::time(self.language, start.time()), dates::time(self.language, end.time()))
            }
        }
    }

    fn word(&self, word: &str) -> String {
        self::word(self.services, self.language, word)
    }
}

/// `2027-04-06 09:30 - 2027-04-07 17:30, America/Mexico_City` as the language writes it.
fn dates_said(language: Language, value: &str) -> Option<String> {
    let (span, zone) = value.rsplit_once(", ")?;
    Some(when(language, &span_from(span)?, zone.parse().ok()?))
}

/// `contribution 2027-03-25, visa 2027-03-06` with the labels and dates of the language.
fn deadlines_said(services: &Services, language: Language, value: &str) -> Option<String> {
    let said = |item: &str| {
        let (kind, day) = item.split_once(' ')?;
        Some(format!("{} {}", word(services, language, &format!("deadline-{kind}")), dates::date(language, day.parse().ok()?)))
    };
    value.split(", ").map(said).collect::<Option<Vec<_>>>().map(|all| all.join(", "))
}

fn word(services: &Services, language: Language, key: &str) -> String {
    services.texts.word(language, &format!("meeting.{key}")).to_owned()
}

/// Hours at the place and in UTC: "6 April 2027, 0930 hours (America/Mexico_City; 1530 hours UTC)".
fn at_place_and_utc(language: Language, at: DateTime<Utc>, zone: Tz) -> String {
    let local = civil::wall(zone, at);
    let utc = dates::time(language, at.time());
    // The date in UTC is said only where it is another.
    let utc = if at.date_naive() == local.date() { utc } else { format!("{}, {utc}", dates::date(language, at.date_naive())) };
    let (day, hour) = (dates::date(language, local.date()), dates::time(language, local.time()));
    match language.as_str() {
        "zh" => format!("{day} {hour}（{}；UTC {utc}）", zone.name()),
        "es" => format!("{day}, a las {hour} ({}; {utc} UTC)", zone.name()),
        "ar" => format!("{day}، {hour} (\u{2066}{}\u{2069}؛ {utc} UTC)", zone.name()),
        _ => format!("{day}, {hour} ({}; {utc} UTC)", zone.name()),
    }
}

fn when(language: Language, span: &Span, zone: Tz) -> String {
    match span {
        Span::Days { first, last } => dates::range(language, *first, *last),
        Span::Hours { .. } => {
            format!("{} - {}", at_place_and_utc(language, span.opens(zone), zone), at_place_and_utc(language, span.closes(zone), zone))
        }
    }
}

/// The meetings and open deadlines of the next eight weeks in `groups`, as the template `outlook` shows them; `None` if there are none.
///
/// # Errors
/// When the store fails.
pub async fn outlook(
    services: &Services,
    groups: &[crate::domain::group::GroupCode],
    language: Language,
) -> Result<Option<Value>, Failure> {
    let now = services.now();
    let mut shown = Vec::new();
    for meeting in meetings(services, None).await? {
        let mine = meeting.active_groups().any(|code| groups.contains(code));
        if !mine || !meeting.is_current(now) {
            continue;
        }
        let zone = settings(services, &meeting).zone;
        let limit = civil::day(zone, now + OUTLOOK);
        let deadline_near =
            super::lead_times(services, &meeting).deadlines_of(&meeting).iter().any(|d| d.date >= civil::day(zone, now) && d.date <= limit);
        if meeting.first_day() <= limit || deadline_near {
            shown.push(meeting_context(services, &meeting, zone, language));
        }
    }
    Ok((!shown.is_empty()).then(|| json!({ "meetings": shown })))
}
