//! No English is left over on a page in another language: every page of the table, with sample data, as each kind of visitor.
//!
//! What people wrote (subjects, names, texts of statements) may be English; what Enlace says may not, but for texts for operators
//! that are marked as English.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use enlace::web::routes::routes;

use crate::stage::{Stage, Who};

/// Shortest piece of a sentence that is looked for inside a text.
const PIECE: usize = 15;

/// Names in the sample data that the catalogue has too.
const GIVEN: [&str; 3] = ["English", "TSAG", "Administration"];

/// All words of a language by file and key.
fn catalogue(language: &str) -> BTreeMap<String, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates").join(language);
    let mut files: Vec<_> = std::fs::read_dir(root.join("web")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.extend(["words.toml", "liaison.toml"].map(|name| root.join(name)));
    let mut words = BTreeMap::new();
    for file in files {
        let table: toml::Table = std::fs::read_to_string(&file).unwrap().parse().unwrap();
        collect(&file.file_name().unwrap().to_string_lossy(), &table, &mut words);
    }
    words
}

fn collect(place: &str, table: &toml::Table, words: &mut BTreeMap<String, String>) {
    for (key, value) in table {
        match value {
            toml::Value::String(text) => {
                words.insert(format!("{place} {key}"), text.clone());
            }
            toml::Value::Table(inner) => collect(&format!("{place} {key}"), inner, words),
            _ => {}
        }
    }
}

/// Texts between tags and in attributes that people read or hear, without what is marked as English.
fn texts(page: &str) -> Vec<String> {
    let body = &page[page.find("<body").unwrap_or(0)..];
    let mut texts = Vec::new();
    // Tag whose end is waited for, and how deep.
    let mut english: Option<(String, usize)> = None;
    let mut rest = body;
    while let Some(start) = rest.find('<') {
        if english.is_none() {
            texts.push(rest[..start].trim().to_owned());
        }
        let end = rest[start..].find('>').map_or(rest.len(), |end| start + end + 1);
        let tag = &rest[start..end];
        let name: String = tag.trim_start_matches(['<', '/']).chars().take_while(char::is_ascii_alphanumeric).collect();
        match &mut english {
            Some((waited, depth)) if *waited == name => {
                *depth = if tag.starts_with("</") { *depth - 1 } else { *depth + 1 };
                if *depth == 0 {
                    english = None;
                }
            }
            // The language menu names each language in itself; a mail is shown as it is, in all its languages.
            None if !tag.starts_with("</") && (name == "pre" || (tag.contains(" lang=\"en\"") && name != "a")) => {
                english = Some((name, 1));
            }
            None => {
                for attribute in ["aria-label=\"", "placeholder=\"", "title=\""] {
                    texts.extend(tag.split(attribute).nth(1).and_then(|value| value.split('"').next()).map(str::to_owned));
                }
            }
            Some(_) => {}
        }
        rest = &rest[end..];
    }
    let plain = |text: String| {
        text.replace("&quot;", "\"").replace("&#x27;", "'").replace("&amp;", "&").replace("&lt;", "<").replace(['\u{2068}', '\u{2069}'], "")
    };
    texts.into_iter().map(plain).filter(|text| !text.is_empty()).collect()
}

/// Does a word look like the key of one that is missing?
fn is_key(word: &str) -> bool {
    const FIRST: [&str; 18] = [
        "post",
        "state",
        "ls",
        "job",
        "skip",
        "event",
        "bounce",
        "notice",
        "change",
        "step",
        "set",
        "outcome",
        "recipient",
        "level",
        "tab",
        "done",
        "role",
        "admin",
    ];
    let (first, rest) = word.split_once('-').unwrap_or_default();
    FIRST.contains(&first) && !rest.is_empty() && rest.bytes().all(|octet| octet.is_ascii_lowercase() || octet == b'-' || octet == b'_')
}

/// The longest piece of a pattern between its places.
fn piece(pattern: &str) -> String {
    let pieces = pattern.split(['{', '}']).filter(|piece| piece.parse::<u8>().is_err());
    pieces.max_by_key(|piece| piece.len()).unwrap_or_default().trim().to_owned()
}

#[tokio::test]
async fn nothing_of_the_english_catalogue_stands_on_a_page_in_another_language() {
    let stage = Stage::set(false).await;
    let english = catalogue("en");
    let mut leftovers = BTreeSet::new();
    let mut pages = 0;
    for language in ["es", "ar"] {
        let own = catalogue(language);
        let differing: Vec<(&String, &String)> =
            english.iter().filter(|(key, text)| own.get(*key).is_some_and(|own| own != *text) && text.len() > 2).collect();
        let whole: BTreeMap<&str, &str> = differing.iter().map(|(key, text)| (text.as_str(), key.as_str())).collect();
        let pieces: Vec<(String, &str)> =
            differing.iter().map(|(key, text)| (piece(text), key.as_str())).filter(|(piece, _)| piece.len() >= PIECE).collect();
        let mut paths: Vec<String> =
            routes().into_iter().filter(|route| route.method == "GET").map(|route| stage.path(route.path)).collect();
        let group = crate::stage::GROUP;
        paths.extend([
            "/me/why?message=one@example.org".to_owned(),
            format!("/manage/{group}/why?message=one@example.org&address=rita@example.org"),
            format!("/manage/{group}/rehearsal?kind=liaison&in-es=on"),
            format!("/manage/{group}/members?state=suspended"),
            format!("/liaisons/{}", stage.statement),
            "/no-such-page".to_owned(),
        ]);
        for who in [Who::Anonymous, Who::Guest, Who::Member, Who::Manager, Who::Operator] {
            for path in &paths {
                let separator = if path.contains('?') { '&' } else { '?' };
                let page = stage.get(who, &format!("{path}{separator}lang={language}")).await;
                if !page.field("content-type").starts_with("text/html") {
                    continue;
                }
                pages += 1;
                for text in texts(&page.body) {
                    if let Some(key) = text.split_whitespace().find(|word| is_key(word)) {
                        leftovers.insert(format!("{language} {path}: a key instead of a word: {key}"));
                    }
                    // Names of languages, groups and bodies stand as they are, and so does what people wrote.
                    if GIVEN.contains(&text.as_str()) || text.contains("Regional Group for") {
                        continue;
                    }
                    let found = whole
                        .get(text.as_str())
                        .copied()
                        .or_else(|| pieces.iter().find(|(piece, _)| text.contains(piece.as_str())).map(|(_, key)| *key));
                    if let Some(key) = found {
                        leftovers.insert(format!("{language} {path}: {key}: {text}"));
                    }
                }
            }
        }
    }
    assert!(pages > 200, "{pages}");
    assert!(leftovers.is_empty(), "{} leftovers:\n{}", leftovers.len(), leftovers.into_iter().collect::<Vec<_>>().join("\n"));
}

#[tokio::test]
async fn the_trail_says_what_was_done_and_by_whom_in_the_readers_language() {
    let stage = Stage::set(false).await;
    let group = crate::stage::GROUP;
    let saved = stage.post(Who::Manager, &format!("/manage/{group}/settings"), "release_by=2").await;
    assert_eq!(saved.status, 303, "{}", saved.body);
    for (language, act, by) in [("es", "Ajustes cambiados", "línea de órdenes"), ("ar", "تغيير الإعدادات", "سطر الأوامر")]
    {
        let page = stage.get(Who::Manager, &format!("/manage/{group}/audit?lang={language}")).await;
        let said = texts(&page.body);
        assert!(said.iter().any(|text| text == act) && said.iter().any(|text| text == by), "{language}: {said:?}");
        assert!(!said.iter().any(|text| text == "group set" || text == "command line"), "{language}: {said:?}");
    }
    let found = stage.get(Who::Manager, &format!("/manage/{group}/audit?lang=es&q=ajustes")).await;
    assert!(found.body.contains("mona@example.org") && !found.body.contains("línea de órdenes"), "{}", found.body);
}

#[test]
fn english_is_found_in_texts_and_labels_and_not_where_it_is_marked() {
    let page = "<body><p lang=\"en\">marked <b>inside</b></p><p aria-label=\"heard\">read &amp; seen</p></body>";
    assert_eq!(texts(page), ["heard", "read & seen"]);
    assert_eq!(piece("{0} did not confirm the subscription to {1} by {2}"), "did not confirm the subscription to");
}

#[tokio::test]
async fn what_was_given_wrongly_is_said_in_the_readers_language() {
    let stage = Stage::set(false).await;
    let group = crate::stage::GROUP;
    let grace = format!("/manage/{group}/settings?lang=es");
    let calendar = "/me/vacation?lang=ar".to_owned();
    let cases = [
        (Who::Member, "/me/vacation?lang=es".to_owned(), "from=2026-11-01&until=2026-11-02", "2026-11-02 ya ha pasado"),
        (Who::Member, calendar, "from=2026-12-10&until=2026-12-05", "ليست فترة غياب صحيحة"),
        (Who::Member, "/me/languages?lang=ru".to_owned(), "language=xx", "не относится к языкам этой службы"),
        (Who::Manager, grace.clone(), "grace=soon", "no es un número de minutos"),
        (Who::Manager, grace, "banned=eve", "no es ni una dirección ni un dominio"),
    ];
    for (who, path, form, said) in cases {
        let page = stage.post(who, &path, form).await;
        assert_eq!(page.status, 422, "{path} {form}: {}", page.body);
        let texts = texts(&page.body);
        assert!(texts.iter().any(|text| text.contains(said)), "{path} {form}: {texts:?}");
    }
}
