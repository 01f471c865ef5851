//! Where texts come from: built into the program, and files that replace some of them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::TextError;
use crate::domain::language::Language;

/// `(LANG/path, text)` of every built-in text, written by `src/build.rs`.
const BUILT_IN: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/texts.rs"));

/// Largest text file that is read.
const FILE_OCTETS: u64 = 1024 * 1024;
/// Deepest folder looked into: `groups/CODE/LANG/mail/NAME/body.txt`.
const FOLDERS: usize = 6;

/// The texts of one language before they are compiled.
#[derive(Debug, Default, Clone)]
pub struct Source {
    /// Flat keys such as `role.manager`.
    pub words: BTreeMap<String, String>,
    /// Name (`mail/help/body.txt`, `groups/CODE/mail/help/body.txt`) to file and text.
    pub templates: BTreeMap<String, (String, Cow<'static, str>)>,
}

/// By language.
pub type Sources = BTreeMap<Language, Source>;

/// What is built in. A mistake in it is found by the tests of this room; it would leave the text out.
pub fn built_in() -> Sources {
    let mut sources = Sources::new();
    for (path, text) in BUILT_IN {
        let _ = place(path, &format!("templates/{path}"), Cow::Borrowed(*text), &mut sources);
    }
    sources
}

/// Adds the files under `folder`, which replace built-in texts of the same name; word files replace word by word.
/// Files that are no texts (pages, labels, notes) are passed over.
///
/// # Errors
/// A file that cannot be read, is too large, is not UTF-8, or is no TOML.
pub fn read_folder(folder: &Path, sources: &mut Sources) -> Result<(), TextError> {
    let mut files = Vec::new();
    list(folder, FOLDERS, &mut files)?;
    files.sort();
    for file in files {
        let shown = file.display().to_string();
        let Ok(relative) = file.strip_prefix(folder) else { continue };
        let path: Vec<_> = relative.iter().map(|part| part.to_string_lossy()).collect();
        let path = path.join("/");
        if !is_text(&path) {
            continue;
        }
        let read_error = |cause: String| TextError::Read { file: shown.clone(), cause };
        let octets = fs::metadata(&file).map_err(|error| read_error(error.to_string()))?.len();
        if octets > FILE_OCTETS {
            return Err(read_error("it is larger than 1 MiB".into()));
        }
        let text = fs::read_to_string(&file).map_err(|error| read_error(error.to_string()))?;
        place(&path, &shown, text.into(), sources)?;
    }
    Ok(())
}

/// `LANG/labels.toml` under `folder`, by language.
///
/// # Errors
/// A file that cannot be read or is too large.
pub fn label_files(folder: &Path) -> Result<Vec<(Language, String)>, TextError> {
    let read_error = |file: &Path, cause: String| TextError::Read { file: file.display().to_string(), cause };
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(|error| read_error(folder, error.to_string()))?.flatten() {
        let Some(language) = entry.file_name().to_str().filter(|name| name.len() == 2).and_then(|name| name.parse().ok()) else { continue };
        let file = entry.path().join("labels.toml");
        match fs::metadata(&file) {
            Ok(meta) if meta.len() > FILE_OCTETS => return Err(read_error(&file, "it is larger than 1 MiB".into())),
            Ok(_) => files.push((language, fs::read_to_string(&file).map_err(|error| read_error(&file, error.to_string()))?)),
            Err(_) => {}
        }
    }
    Ok(files)
}

fn is_text(path: &str) -> bool {
    (path.ends_with("/words.toml") || path.ends_with("/liaison.toml")) && !path.contains("/web/")
        || path.contains("/mail/") && matches!(path.rsplit_once('.'), Some((_, "txt" | "html")))
}

fn list(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<(), TextError> {
    let error = |cause: std::io::Error| TextError::Read { file: folder.display().to_string(), cause: cause.to_string() };
    for entry in fs::read_dir(folder).map_err(error)? {
        let path = entry.map_err(error)?.path();
        // Not through symbolic links to folders, which could lead round in a circle.
        let is_folder = fs::symlink_metadata(&path).map_err(error)?.is_dir();
        if is_folder && depth > 1 {
            list(&path, depth - 1, files)?;
        } else if !is_folder {
            files.push(path);
        }
    }
    Ok(())
}

/// Puts one text where it belongs: `LANG/words.toml`, `LANG/mail/NAME/PART`, `groups/CODE/LANG/mail/NAME/PART`.
fn place(path: &str, file: &str, text: Cow<'static, str>, sources: &mut Sources) -> Result<(), TextError> {
    let parts: Vec<_> = path.split('/').collect();
    let (group, language, rest) = match &parts[..] {
        ["groups", code, language, rest @ ..] => (Some(*code), *language, rest),
        [language, rest @ ..] => (None, *language, rest),
        [] => return Ok(()),
    };
    // A folder that is no language, such as `web`, holds no texts of ours.
    let Some(language) = Some(language).filter(|name| name.len() == 2).and_then(|name| name.parse::<Language>().ok()) else {
        return Ok(());
    };
    let source = sources.entry(language).or_default();
    match rest {
        ["words.toml" | "liaison.toml"] if group.is_none() => {
            let table: toml::Table =
                text.parse().map_err(|error: toml::de::Error| TextError::Mistake { file: file.into(), cause: error.to_string() })?;
            flatten("", &table, &mut source.words);
        }
        ["mail", name, part] => {
            let own = group.map(|code| format!("groups/{}/", code.to_ascii_uppercase())).unwrap_or_default();
            source.templates.insert(format!("{own}mail/{name}/{part}"), (file.to_owned(), text));
        }
        _ => {}
    }
    Ok(())
}

/// Tables become dots: `[role] manager = "…"` is `role.manager`.
fn flatten(front: &str, table: &toml::Table, words: &mut BTreeMap<String, String>) {
    for (key, value) in table {
        let key = if front.is_empty() { key.clone() } else { format!("{front}.{key}") };
        match value {
            toml::Value::Table(inner) => flatten(&key, inner, words),
            toml::Value::String(text) => drop(words.insert(key, text.clone())),
            other => drop(words.insert(key, other.to_string())),
        }
    }
}
