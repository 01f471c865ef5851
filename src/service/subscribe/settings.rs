//! What a subscriber or a manager may set of a subscription.

use chrono::NaiveDate;

use crate::config::Config;
use crate::domain::language::Language;
use crate::domain::mistake::{Advice, Mistake};
use crate::domain::subscription::{Absence, Delivery, DeliveryMode, Role, Stream, Subscription};

/// Changes of a subscription; what is `None` stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// What she may do; for managers only.
    pub role: Option<Role>,
    /// Languages in order; empty: those of the account.
    pub languages: Option<Vec<Language>>,
    /// All editions in her languages.
    pub both: Option<bool>,
    /// How posts reach her.
    pub delivery: Option<Delivery>,
    /// Streams that are on; the others are off.
    pub streams: Option<Vec<Stream>>,
    /// Does she get her own posts?
    pub own_posts: Option<bool>,
    /// Links instead of attachments.
    pub links: Option<bool>,
    /// Digests as plain text.
    pub plain_digest: Option<bool>,
    /// Meetings as invitations to her alone.
    pub invitations: Option<bool>,
    /// Are her posts looked at first? For managers only.
    pub moderated: Option<bool>,
    /// Days without mail; the inner `None` ends them.
    #[allow(clippy::option_option, reason = "no wish, and the wish for no absence, are two things")]
    pub absence: Option<Option<Absence>>,
}

impl Settings {
    /// The names that [`Settings::set`] knows.
    pub const KEYS: [&'static str; 11] =
        ["role", "languages", "both", "delivery", "streams", "own_posts", "links", "plain_digest", "invitations", "moderated", "absence"];

    /// Sets one by name from text, as in files, forms and commands: `languages` `es,en`, `delivery` `none until 2027-01-15`,
    /// `streams` `announce,liaison`, `both` `yes`, `absence` `from 2027-01-10 until 2027-01-15` or `none`.
    ///
    /// # Errors
    /// What the value may be, in one sentence.
    pub fn set(&mut self, key: &str, value: &str, config: &Config) -> Result<(), String> {
        let value = value.trim();
        match key {
            "role" => self.role = Some(role(value)?),
            "languages" | "language" => self.languages = Some(languages(value, config)?),
            "both" => self.both = Some(switch(value)?),
            "delivery" => self.delivery = Some(delivery(value)?),
            "streams" => self.streams = Some(streams(value)?),
            "own_posts" | "own-posts" => self.own_posts = Some(switch(value)?),
            "links" => self.links = Some(switch(value)?),
            "plain_digest" | "plain-digest" => self.plain_digest = Some(switch(value)?),
            "invitations" => self.invitations = Some(switch(value)?),
            "moderated" => self.moderated = Some(switch(value)?),
            "absence" => self.absence = Some(absence(value)?),
            _ => return Err(format!("\"{}\" cannot be set; known are {}", key.escape_debug(), Self::KEYS.join(", "))),
        }
        Ok(())
    }

    /// What of it cannot be meant: a last day that is over, a language that the service does not have.
    pub fn mistake(&self, today: NaiveDate, config: &Config) -> Option<Advice> {
        let ends = [self.delivery.and_then(|delivery| delivery.until), self.absence.flatten().map(|absence| absence.until)];
        let over = ends.into_iter().flatten().find(|until| *until < today).map(|until| Mistake::AbsenceOver.about([until.to_string()]));
        over.or_else(|| {
            let strange = self.languages.iter().flatten().find(|language| !config.service.languages.contains(language));
            strange.map(|language| Mistake::LanguageUnknown.about([language.to_string()]))
        })
    }

    /// The same as pairs of key and value, which [`Settings::set`] reads again.
    pub fn to_words(&self) -> Vec<(&'static str, String)> {
        let join = |words: Vec<&str>| words.join(",");
        let yes = |on: &bool| if *on { "yes" } else { "no" }.to_owned();
        [
            ("role", self.role.map(|role| role_text(role).to_owned())),
            ("languages", self.languages.as_ref().map(|languages| join(languages.iter().map(Language::as_str).collect()))),
            ("both", self.both.as_ref().map(yes)),
            ("delivery", self.delivery.map(delivery_text)),
            ("streams", self.streams.as_ref().map(|streams| join(streams.iter().map(|stream| stream.as_str()).collect()))),
            ("own_posts", self.own_posts.as_ref().map(yes)),
            ("links", self.links.as_ref().map(yes)),
            ("plain_digest", self.plain_digest.as_ref().map(yes)),
            ("invitations", self.invitations.as_ref().map(yes)),
            ("moderated", self.moderated.as_ref().map(yes)),
            ("absence", self.absence.map(|absence| absence.map_or_else(|| "none".to_owned(), absence_text))),
        ]
        .into_iter()
        .filter_map(|(key, value)| Some((key, value?)))
        .collect()
    }

    /// Applies them; returns the names of what changed.
    pub fn apply(&self, subscription: &mut Subscription) -> Vec<&'static str> {
        fn put<T: PartialEq + Clone>(place: &mut T, value: Option<&T>, name: &'static str, changed: &mut Vec<&'static str>) {
            if let Some(value) = value.filter(|value| *value != place) {
                place.clone_from(value);
                changed.push(name);
            }
        }
        let mut changed = Vec::new();
        put(&mut subscription.role, self.role.as_ref(), "role", &mut changed);
        put(&mut subscription.languages, self.languages.as_ref(), "languages", &mut changed);
        put(&mut subscription.both, self.both.as_ref(), "both", &mut changed);
        put(&mut subscription.delivery, self.delivery.as_ref(), "delivery", &mut changed);
        put(&mut subscription.streams, self.streams.as_ref(), "streams", &mut changed);
        put(&mut subscription.own_posts, self.own_posts.as_ref(), "own_posts", &mut changed);
        put(&mut subscription.links, self.links.as_ref(), "links", &mut changed);
        put(&mut subscription.plain_digest, self.plain_digest.as_ref(), "plain_digest", &mut changed);
        put(&mut subscription.invitations, self.invitations.as_ref(), "invitations", &mut changed);
        put(&mut subscription.absence, self.absence.as_ref(), "absence", &mut changed);
        put(&mut subscription.moderated, self.moderated.as_ref(), "moderated", &mut changed);
        changed
    }
}

/// `each`, `digest`, `none until 2027-01-15`.
pub fn delivery_text(delivery: Delivery) -> String {
    let mode = delivery.mode.as_str();
    delivery.until.map_or_else(|| mode.to_owned(), |until| format!("{mode} until {until}"))
}

/// `from 2027-01-10 until 2027-01-15`.
pub fn absence_text(absence: Absence) -> String {
    format!("from {} until {}", absence.from, absence.until)
}

/// `member`, `moderator`, `manager`.
pub(super) fn role_text(role: Role) -> &'static str {
    match role {
        Role::Member => "member",
        Role::Moderator => "moderator",
        Role::Manager => "manager",
    }
}

/// Values in a cell or an option are separated by `;` or `,`.
pub(super) fn words(value: &str) -> impl Iterator<Item = &str> {
    value.split([';', ',']).map(str::trim).filter(|word| !word.is_empty())
}

fn role(value: &str) -> Result<Role, String> {
    match value {
        "member" => Ok(Role::Member),
        "moderator" => Ok(Role::Moderator),
        "manager" => Ok(Role::Manager),
        _ => Err(format!("\"{}\" is no role: member, moderator or manager", value.escape_debug())),
    }
}

fn switch(value: &str) -> Result<bool, String> {
    match value {
        "yes" | "true" | "on" | "1" => Ok(true),
        "no" | "false" | "off" | "0" => Ok(false),
        _ => Err(format!("\"{}\" is neither yes nor no", value.escape_debug())),
    }
}

fn delivery(value: &str) -> Result<Delivery, String> {
    let wrong =
        || format!("\"{}\" is no delivery: each, digest or none, and \"until 2027-01-15\" behind it if it is to end", value.escape_debug());
    let words: Vec<&str> = value.split_whitespace().collect();
    let (mode, until) = match words[..] {
        [mode] => (mode, None),
        [mode, "until", day] => (mode, Some(day.parse::<NaiveDate>().map_err(|_| wrong())?)),
        _ => return Err(wrong()),
    };
    let mode = match mode {
        "each" => DeliveryMode::Each,
        "digest" => DeliveryMode::Digest,
        "none" => DeliveryMode::None,
        _ => return Err(wrong()),
    };
    // "each" is what follows the end of the others; an end of its own would mean nothing.
    if mode == DeliveryMode::Each && until.is_some() { Err(wrong()) } else { Ok(Delivery { mode, until }) }
}

fn absence(value: &str) -> Result<Option<Absence>, String> {
    let wrong =
        || format!("\"{}\" is no absence: \"from 2027-01-10 until 2027-01-15\" with both days in it, or none", value.escape_debug());
    let day = |text: &str| text.parse::<NaiveDate>().map_err(|_| wrong());
    match value.split_whitespace().collect::<Vec<_>>()[..] {
        ["none"] => Ok(None),
        ["from", from, "until", until] => {
            let absence = Absence { from: day(from)?, until: day(until)? };
            if absence.until < absence.from { Err(wrong()) } else { Ok(Some(absence)) }
        }
        _ => Err(wrong()),
    }
}

fn streams(value: &str) -> Result<Vec<Stream>, String> {
    let mut wanted = Vec::new();
    for word in words(value).filter(|word| *word != "none") {
        let stream = Stream::ALL.into_iter().find(|stream| stream.as_str() == word);
        wanted.push(stream.ok_or_else(|| format!("\"{}\" is no stream: announce, liaison, discuss, or none", word.escape_debug()))?);
    }
    Ok(Stream::ALL.into_iter().filter(|stream| wanted.contains(stream)).collect())
}

fn languages(value: &str, config: &Config) -> Result<Vec<Language>, String> {
    let mut languages: Vec<Language> = Vec::new();
    for word in words(value) {
        let language: Language = word.parse()?;
        if !config.service.languages.contains(&language) {
            let known: Vec<&str> = config.service.languages.iter().map(Language::as_str).collect();
            return Err(format!("\"{language}\" is not a language of this service: {}", known.join(", ")));
        }
        if !languages.contains(&language) {
            languages.push(language);
        }
    }
    Ok(languages)
}
