//! What pages let people choose from: deliveries, streams, languages; and how dates and sizes are shown.

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::domain::language::Language;
use crate::domain::mistake::Mistake;
use crate::domain::subscription::{DeliveryMode, Role};
use crate::service::Failure;
use crate::service::subscribe::Settings;
use crate::web::form::Form;
use crate::web::{Site, Visit};

/// Languages that a person can put in order.
const PLACES: usize = 3;

/// One of several things to choose.
#[derive(Debug, Clone, Serialize)]
pub struct Choice {
    /// What the form sends.
    pub value: String,
    /// What people read.
    pub text: String,
    /// Chosen now?
    pub on: bool,
}

/// `member`, `moderator`, `manager`.
pub fn role_text(role: Role) -> &'static str {
    match role {
        Role::Member => "member",
        Role::Moderator => "moderator",
        Role::Manager => "manager",
    }
}

/// A language in its own words, or its code where there are no pages in it.
pub fn language_name(site: &Site, language: Language) -> String {
    if site.pages.languages().any(|offered| offered == language) {
        site.pages.word(language, "language-name", &[])
    } else {
        language.to_string()
    }
}

/// How posts may reach her.
pub fn delivery_choices(site: &Site, visit: &Visit, mode: DeliveryMode) -> Vec<Choice> {
    [(DeliveryMode::Each, "each"), (DeliveryMode::Digest, "digest"), (DeliveryMode::None, "none")]
        .into_iter()
        .map(|(one, value)| Choice {
            value: value.into(),
            text: site.services.texts.word(visit.language, &format!("delivery.{value}")).to_owned(),
            on: one == mode,
        })
        .collect()
}

/// One list of languages for each place in the order, none chosen in those behind the last.
pub fn language_choices(site: &Site, visit: &Visit, chosen: &[Language]) -> Vec<Vec<Choice>> {
    places(site, visit, chosen, "language-none")
}

/// The same for one group, where the first place may say "as in my account".
pub fn languages_of(site: &Site, visit: &Visit, chosen: &[Language]) -> Vec<Vec<Choice>> {
    places(site, visit, chosen, "language-as-account")
}

fn places(site: &Site, visit: &Visit, chosen: &[Language], first_none: &str) -> Vec<Vec<Choice>> {
    (0..PLACES)
        .map(|place| {
            let none = if place == 0 { first_none } else { "language-none" };
            let none = Choice { value: String::new(), text: site.word(visit, none), on: chosen.get(place).is_none() };
            let offered = site.settings().languages.iter().map(|language| Choice {
                value: language.to_string(),
                text: language_name(site, *language),
                on: chosen.get(place) == Some(language),
            });
            std::iter::once(none).chain(offered).collect()
        })
        .collect()
}

/// The settings of a subscription form: `delivery`, `until`, `stream`, `language`, `both`, `own_posts`, `links`,
/// `plain_digest`, `invitations`.
///
/// # Errors
/// What the value may be.
pub fn settings_of(site: &Site, form: &Form) -> Result<Settings, Failure> {
    let mut settings = Settings::default();
    let mut set = |key: &str, value: String| settings.set(key, &value, &site.services.config).map_err(Failure::Invalid);
    let until = form.get("until");
    if !until.is_empty() && until.parse::<chrono::NaiveDate>().is_err() {
        return Err(Mistake::DateUnclear.about([until]).into());
    }
    let delivery = form.get("delivery");
    set("delivery", if until.is_empty() || delivery == "each" { delivery.to_owned() } else { format!("{delivery} until {until}") })?;
    set("streams", form.all("stream").collect::<Vec<_>>().join(","))?;
    set("languages", form.all("language").filter(|code| !code.is_empty()).collect::<Vec<_>>().join(","))?;
    for key in ["both", "own_posts", "links", "plain_digest", "invitations"] {
        set(key, if form.has(key) { "yes" } else { "no" }.to_owned())?;
    }
    Ok(settings)
}

/// The day of an instant in the service's zone, as the visitor's language writes it.
pub fn day(site: &Site, visit: &Visit, at: DateTime<Utc>) -> String {
    site.services.texts.date(visit.language, at.with_timezone(&site.settings().timezone).date_naive())
}

/// An instant in the service's zone, with its name: `2026-11-26 14:05 CET`.
pub fn moment(site: &Site, at: DateTime<Utc>) -> String {
    at.with_timezone(&site.settings().timezone).format("%Y-%m-%d %H:%M %Z").to_string()
}

/// `12 kB`.
pub fn size(octets: u64) -> String {
    match octets {
        0..1_000 => format!("{octets} B"),
        1_000..1_000_000 => format!("{} kB", octets / 1_000),
        _ => format!("{}.{} MB", octets / 1_000_000, octets % 1_000_000 / 100_000),
    }
}
