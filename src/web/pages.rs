//! The templates and words of the pages, loaded once, complete or refused.
//!
//! One set of page templates (`templates/web`) for all languages, and the words of each (`templates/LANG/web/*.toml`):
//! a page that exists in one language exists in all. Both are built in and may be replaced on disk.
//! Everything is escaped for HTML; what a word is filled with is kept apart from its surroundings in writing direction.

use std::collections::BTreeMap;
use std::path::Path;

use data_encoding::HEXLOWER;
use minijinja::value::{Rest, Serde};
use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value, context};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::authority;
use super::visit::{Signed, Visit};
use crate::domain::language::Language;
use crate::mail::token::Keys;

include!(concat!(env!("OUT_DIR"), "/web_files.rs"));

/// Largest page in octets that is sent; a slow line should not wait longer (CONTRACT 7: 60 kB).
pub const PAGE_OCTETS: usize = 60_000;

/// Words of one language.
type Words = BTreeMap<String, String>;

/// Templates and words.
pub struct Pages {
    environment: Environment<'static>,
    words: BTreeMap<Language, Words>,
    /// The same, as templates get them; made once, because a page has hundreds.
    shown: BTreeMap<Language, Value>,
    style: String,
    style_version: String,
}

/// What is wrong with a template or word file, naming it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}: {cause}")]
pub struct PageError {
    /// Which file.
    pub file: String,
    /// What and where.
    pub cause: String,
}

/// For whom a page is: in which language, at which address.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    /// Name of the service.
    pub service: &'a str,
    /// Language of the page.
    pub language: Language,
    /// The request.
    pub visit: Option<&'a Visit>,
    /// Make the keys of the forms.
    pub keys: Option<&'a Keys>,
}

impl Place<'_> {
    /// The address that is shown in another language by adding it: path and query, and a `lang=` at the end.
    fn switch(&self) -> String {
        let Some(visit) = self.visit else { return "?lang=".into() };
        let query: String = visit
            .query
            .iter()
            .filter(|(name, _)| *name != "done")
            .map(|(name, value)| format!("{}={}&", encoded(name), encoded(value)))
            .collect();
        format!("{}?{query}lang=", visit.path)
    }

    /// `csrf(path)` of the templates: the key of the form that is sent to `path`.
    fn form_keys(&self) -> Value {
        let signed = self.visit.and_then(|visit| visit.signed.as_ref()).map(|signed| signed.key.clone());
        let keys = self.keys.cloned();
        Value::from_function(move |path: String| {
            let path = path.split('?').next().unwrap_or_default();
            keys.as_ref().zip(signed.as_ref()).map(|(keys, session)| authority::key(keys, session, path)).unwrap_or_default()
        })
    }
}

/// Percent-encoded for a query (WHATWG URL, application/x-www-form-urlencoded).
pub fn encoded(text: &str) -> String {
    use std::fmt::Write as _;
    text.bytes().fold(String::with_capacity(text.len()), |mut encoded, octet| {
        if octet.is_ascii_alphanumeric() || b"-_.~".contains(&octet) {
            encoded.push(char::from(octet));
        } else {
            let _ = write!(encoded, "%{octet:02X}");
        }
        encoded
    })
}

/// A language as the footer offers it.
#[derive(Serialize)]
struct Offered<'a> {
    code: Language,
    name: &'a str,
    dir: &'static str,
}

fn direction(language: Language) -> &'static str {
    if language.is_right_to_left() { "rtl" } else { "ltr" }
}

impl Pages {
    /// The built-in pages in `languages`, with the files that lie under `overrides` (`web/NAME.html`, `LANG/web/NAME.toml`) in their place.
    ///
    /// # Errors
    /// A file with a mistake, a language without words, or a word that English has and another language lacks.
    pub fn load(languages: &[Language], overrides: Option<&Path>) -> Result<Self, PageError> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_auto_escape_callback(|_| AutoEscape::Html);
        environment.add_filter("encoded", |text: String| encoded(&text));
        environment.add_filter("fill", |pattern: String, values: Rest<String>| fill(&pattern, &values));
        let mut pages =
            Self { environment, words: BTreeMap::new(), shown: BTreeMap::new(), style: String::new(), style_version: String::new() };
        for (name, built_in) in WEB_FILES {
            let text = replaced(overrides, name)?.unwrap_or_else(|| (*built_in).to_owned());
            pages.add(name, text)?;
        }
        let english = pages.words.get(&Language::ENGLISH).cloned().unwrap_or_default();
        for language in languages {
            let file = format!("{language}/web/words.toml");
            let words = pages.words.get(language).ok_or_else(|| PageError {
                file: file.clone(),
                cause: "is missing; write it, or take the language out of service.languages".to_owned(),
            })?;
            if let Some(missing) = english.keys().find(|key| !words.contains_key(*key)) {
                return Err(PageError { file: format!("{language}/web"), cause: format!("the word \"{missing}\" is missing") });
            }
        }
        pages.words.retain(|language, _| languages.contains(language) || *language == Language::ENGLISH);
        pages.shown = pages.words.iter().map(|(language, words)| (*language, Value::from(Serde(words)))).collect();
        pages.style_version = HEXLOWER.encode(&Sha256::digest(&pages.style)[..6]);
        Ok(pages)
    }

    fn add(&mut self, name: &str, text: String) -> Result<(), PageError> {
        let wrong = |cause: String| PageError { file: name.to_owned(), cause };
        if let Some(template) = name.strip_prefix("web/") {
            if template == "enlace.css" {
                self.style = text;
                return Ok(());
            }
            return self.environment.add_template_owned(template.to_owned(), text).map_err(|error| wrong(error.to_string()));
        }
        let language: Language = name.split('/').next().unwrap_or_default().parse().map_err(wrong)?;
        let words: Words = toml::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        self.words.entry(language).or_default().extend(words);
        Ok(())
    }

    /// The style sheet.
    pub fn style(&self) -> &str {
        &self.style
    }

    /// Languages in which there are pages.
    pub fn languages(&self) -> impl Iterator<Item = Language> + '_ {
        self.words.keys().copied()
    }

    /// A word in `language`, filled with `values`; the key itself where nobody has it.
    pub fn word(&self, language: Language, key: &str, values: &[&str]) -> String {
        let pattern = self.words.get(&language).and_then(|words| words.get(key)).map_or(key, String::as_str);
        fill(pattern, &values.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    /// The page `name` with what it shows.
    ///
    /// # Errors
    /// A template that asks for what `content` does not have.
    pub fn render(&self, name: &str, place: &Place<'_>, title: &str, content: Value) -> Result<String, PageError> {
        let wrong = |error: minijinja::Error| PageError { file: format!("web/{name}"), cause: format!("{error:#}") };
        let others: Vec<_> = self
            .words
            .iter()
            .map(|(code, words)| Offered {
                code: *code,
                name: words.get("language-name").map_or("", String::as_str),
                dir: direction(*code),
            })
            .collect();
        let (visit, words) = (place.visit, self.words.get(&place.language));
        let frame = context! {
            t => self.shown.get(&place.language).cloned().unwrap_or_default(),
            lang => place.language.as_str(),
            dir => direction(place.language),
            service => place.service,
            switch => place.switch(),
            path => visit.map_or("/", |visit| visit.path.as_str()),
            query => Value::from(Serde(visit.map(|visit| &visit.query))),
            me => visit.and_then(Visit::account).map(|account| account.address().to_string()),
            manages => visit.and_then(|visit| visit.signed.as_ref()).is_some_and(Signed::manages),
            administers => visit.and_then(Visit::account).is_some_and(|account| !account.roles.is_empty()),
            csrf => place.form_keys(),
            notice => visit.and_then(|visit| visit.asked("done")).and_then(|done| words.and_then(|words| words.get(&format!("done-{done}")))),
            others => Value::from(Serde(&others)),
            style_version => self.style_version.as_str(),
            title => title,
        };
        let template = self.environment.get_template(name).map_err(wrong)?;
        template.render(context! { ..content, ..frame }).map_err(wrong)
    }
}

fn replaced(overrides: Option<&Path>, name: &str) -> Result<Option<String>, PageError> {
    let Some(file) = overrides.map(|folder| folder.join(name)) else { return Ok(None) };
    match std::fs::read_to_string(&file) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(PageError { file: file.display().to_string(), cause: error.to_string() }),
    }
}

/// Puts `values` into the places `{0}`, `{1}` …, each between isolates (Unicode UAX 9, 2.4.2), so that a name in another
/// direction does not move its neighbours.
fn fill(pattern: &str, values: &[String]) -> String {
    values.iter().enumerate().fold(pattern.to_owned(), |text, (place, value)| {
        let value: String = value.chars().map(|c| if c == '{' { '(' } else { c }).collect();
        text.replace(&format!("{{{place}}}"), &format!("\u{2068}{value}\u{2069}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn six() -> Vec<Language> {
        ["en", "fr", "es", "ar", "zh", "ru"].map(|code| code.parse().unwrap()).to_vec()
    }

    #[test]
    fn six_languages_are_complete_and_fill_the_same_places() {
        let pages = Pages::load(&six(), None).unwrap();
        let english = &pages.words[&Language::ENGLISH];
        assert!(english.len() > 50);
        for (language, words) in &pages.words {
            assert_eq!(words.keys().collect::<Vec<_>>(), english.keys().collect::<Vec<_>>(), "{language}");
            for (key, text) in words {
                let places = |text: &str| (0..4).map(|n| text.contains(&format!("{{{n}}}"))).collect::<Vec<_>>();
                assert_eq!(places(text), places(&english[key]), "{language} {key}");
                assert!(!text.trim().is_empty(), "{language} {key}");
            }
        }
    }

    #[test]
    fn a_missing_word_a_broken_template_and_a_strange_language_are_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("es/web")).unwrap();
        std::fs::write(folder.path().join("es/web/words.toml"), "groups = \"Grupos\"\n").unwrap();
        let error = Pages::load(&six(), Some(folder.path())).err().unwrap();
        assert_eq!((error.file.as_str(), error.cause.contains("is missing")), ("es/web", true));
        std::fs::remove_dir_all(folder.path().join("es")).unwrap();
        std::fs::create_dir_all(folder.path().join("web")).unwrap();
        std::fs::write(folder.path().join("web/group.html"), "{% if %}").unwrap();
        assert_eq!(Pages::load(&six(), Some(folder.path())).err().unwrap().file, "web/group.html");
        let unknown = Pages::load(&["xx".parse().unwrap()], None).err().unwrap();
        assert!(unknown.to_string().contains("xx/web/words.toml"), "{unknown}");
    }

    #[test]
    fn what_is_filled_in_is_isolated_and_cannot_name_another_place() {
        assert_eq!(fill("Leave {0} with {1}?", &["{1}".into(), "b".into()]), "Leave \u{2068}(1}\u{2069} with \u{2068}b\u{2069}?");
    }

    #[test]
    fn everything_is_escaped() {
        let pages = Pages::load(&six(), None).unwrap();
        let place = Place { service: "<b>", language: Language::ENGLISH, visit: None, keys: None };
        let content = context! { lines => vec!["<script>alert(1)</script>"], button => (), after => "<i>", home => true };
        let page = pages.render("message.html", &place, "<h1>", content).unwrap();
        for forbidden in ["<script", "<b>", "<i>", "<h1><"] {
            assert!(!page.contains(forbidden), "{forbidden} in {page}");
        }
    }
}
