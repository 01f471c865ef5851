//! One operation of the API: its address, the right that it takes, and how its fields become words of the command line.
//!
//! Values never become options by themselves: an option is written `--name=value`, and everything else stands behind `--`.

use serde_json::{Map, Value};

use crate::service::token::Area;

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// A text.
    Text,
    /// Texts.
    Texts,
    /// An object of texts, each handed on as `key=value`.
    Pairs,
    /// `true` or `false`, handed on as a value.
    Truth,
    /// `true` sets the option.
    Switch,
    /// A number from 0.
    Number,
    /// A file: its text, or `{"base64": "…"}`.
    File,
}

/// Where a field goes in the words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goes {
    /// Behind the options, after the parts of the path.
    Last,
    /// Into this option.
    Option(&'static str),
    /// A file that the command reads as its standard input.
    Input,
}

/// A field of the body, or of the query for GET.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub shape: Shape,
    /// Where it goes.
    pub goes: Goes,
    /// Must it be there?
    pub needed: bool,
    /// For the document.
    pub about: &'static str,
}

/// A list that is handed out in pages.
#[derive(Debug, Clone, Copy)]
pub struct Listed {
    /// The member of each item that names it.
    pub key: &'static str,
    /// Does the command itself give a part of the list (`--limit`, `--after`)? A list that may be long does.
    pub by_parts: bool,
}

/// One operation.
#[derive(Debug, Clone, Copy)]
pub struct Operation {
    /// `GET`, `POST`, `PATCH` or `DELETE`.
    pub method: &'static str,
    /// Under `/api/v1`.
    pub path: &'static str,
    /// Unique name.
    pub id: &'static str,
    /// One sentence.
    pub summary: &'static str,
    /// The area of the scope that it takes.
    pub area: Area,
    /// Does it change something? Then it takes the writing scope, an `Idempotency-Key` and `dry_run`.
    pub writes: bool,
    /// First words of the command.
    pub command: &'static [&'static str],
    /// Fields.
    pub fields: &'static [Field],
    /// Fields of which one must be there.
    pub either: &'static [&'static str],
    /// Is the answer a list?
    pub listed: Option<Listed>,
    /// Can it be tried out with `dry_run`? What only reads cannot.
    pub rehearses: bool,
}

/// Words and the file that they name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Words {
    /// Without the program's name.
    pub words: Vec<String>,
    /// The one file, which the words name `-`.
    pub file: Option<Vec<u8>>,
}

impl Operation {
    /// Names of the variable parts of the path, in order.
    pub fn parts(&self) -> impl Iterator<Item = &'static str> {
        self.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
    }

    /// The field that is a file, if there is one.
    pub fn file(&self) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.shape == Shape::File)
    }

    /// The words for these parts of the path and these fields.
    ///
    /// # Errors
    /// A sentence that names the field that is missing, unknown or of another shape.
    pub fn words(&self, parts: &[String], mut given: Map<String, Value>) -> Result<Words, String> {
        let mut words: Vec<String> = self.command.iter().map(ToString::to_string).collect();
        let (mut last, mut file) = (parts.to_vec(), None);
        if self.rehearses && truth(given.remove("dry_run"), "dry_run")?.unwrap_or(false) {
            words.push("--dry-run".into());
        }
        let is_given = |name: &&str| given.get(*name).is_some_and(|value| !value.is_null());
        if !self.either.is_empty() && !self.either.iter().any(is_given) {
            return Err(format!("`{}` is missing: one of them is needed", self.either.join("` or `")));
        }
        for field in self.fields {
            let value = match given.remove(field.name) {
                None | Some(Value::Null) if field.needed => return Err(format!("`{}` is missing: {}", field.name, field.about)),
                None => continue,
                // What is left out may be null, but a switch is on or off, as the document says.
                Some(Value::Null) if !matches!(field.shape, Shape::Switch) => continue,
                Some(value) => value,
            };
            let values = match field.shape {
                Shape::Text => vec![text(value, field.name)?],
                Shape::Texts => texts(value, field.name)?,
                Shape::Pairs => pairs(value, field.name)?,
                Shape::Truth => vec![truth(Some(value), field.name)?.unwrap_or(false).to_string()],
                Shape::Number => vec![number(&value, field.name)?],
                Shape::Switch => {
                    if let (true, Goes::Option(option)) = (truth(Some(value), field.name)?.unwrap_or(false), field.goes) {
                        words.push(option.to_owned());
                    }
                    continue;
                }
                Shape::File => {
                    file = Some(octets(value, field.name)?);
                    vec!["-".to_owned()]
                }
            };
            if values.is_empty() && field.needed {
                return Err(format!("`{}` is empty: {}", field.name, field.about));
            }
            match field.goes {
                Goes::Last => last.extend(values),
                Goes::Input => {}
                Goes::Option(option) => words.push(format!("{option}={}", values.join(","))),
            }
        }
        if let Some(name) = given.keys().next() {
            let known: Vec<&str> = self.fields.iter().map(|field| field.name).collect();
            let near = known.iter().copied().max_by(|a, b| strsim::jaro(a, name).total_cmp(&strsim::jaro(b, name)));
            let hint = near.filter(|near| strsim::jaro(near, name) > 0.75).map(|near| format!("; did you mean `{near}`?"));
            return Err(format!("`{name}` is not a field of this operation{}", hint.unwrap_or_default()));
        }
        if !last.is_empty() {
            words.push("--".into());
            words.extend(last);
        }
        Ok(Words { words, file })
    }
}

fn text(value: Value, name: &str) -> Result<String, String> {
    match value {
        Value::String(text) if !text.contains('\0') => Ok(text),
        _ => Err(format!("`{name}` is no text")),
    }
}

fn texts(value: Value, name: &str) -> Result<Vec<String>, String> {
    match value {
        Value::Array(values) => values.into_iter().map(|value| text(value, name)).collect(),
        Value::String(_) => Ok(vec![text(value, name)?]),
        _ => Err(format!("`{name}` is no list of texts")),
    }
}

fn pairs(value: Value, name: &str) -> Result<Vec<String>, String> {
    let Value::Object(members) = value else { return Err(format!("`{name}` is no object of texts")) };
    members
        .into_iter()
        .map(|(key, value)| {
            let value = match value {
                Value::Array(_) => texts(value, &key)?.join(";"),
                Value::Null => String::new(),
                other => text(other, &key)?,
            };
            Ok(format!("{key}={value}"))
        })
        .collect()
}

fn truth(value: Option<Value>, name: &str) -> Result<Option<bool>, String> {
    match value {
        None => Ok(None),
        Some(Value::Bool(truth)) => Ok(Some(truth)),
        Some(Value::String(text)) if text == "true" || text == "1" => Ok(Some(true)),
        Some(Value::String(text)) if text == "false" || text == "0" => Ok(Some(false)),
        Some(_) => Err(format!("`{name}` is neither true nor false")),
    }
}

fn number(value: &Value, name: &str) -> Result<String, String> {
    let number = value.as_u64().or_else(|| value.as_str()?.parse().ok());
    number.map(|number| number.to_string()).ok_or_else(|| format!("`{name}` is no number from 0"))
}

fn octets(value: Value, name: &str) -> Result<Vec<u8>, String> {
    match value {
        Value::String(text) => Ok(text.into_bytes()),
        Value::Object(members) => {
            let coded = members.get("base64").and_then(Value::as_str).unwrap_or_default();
            data_encoding::BASE64.decode(coded.as_bytes()).map_err(|error| format!("`{name}`: base64: {error}"))
        }
        _ => Err(format!("`{name}` is neither a text nor an object with `base64`")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::table::OPERATIONS;
    use super::*;

    fn words(id: &str, parts: &[&str], given: Value) -> Result<Words, String> {
        let operation = OPERATIONS.iter().find(|operation| operation.id == id).unwrap();
        let Value::Object(given) = given else { panic!("not an object") };
        operation.words(&parts.iter().map(ToString::to_string).collect::<Vec<_>>(), given)
    }

    #[test]
    fn values_that_look_like_options_stay_values() {
        let given = json!({ "addresses": ["--help", "ana@example.org"], "role": "manager --force", "dry_run": true });
        let words = words("addMembers", &["--config=x"], given).unwrap();
        assert_eq!(words.words, ["member", "add", "--dry-run", "--role=manager --force", "--", "--config=x", "--help", "ana@example.org"]);
    }

    #[test]
    fn a_file_is_handed_over_whole() {
        let given = json!({ "csv": { "base64": "ZW1haWw=" }, "sync": true });
        let words = words("importAccounts", &[], given).unwrap();
        assert_eq!(
            (words.words, words.file),
            (vec!["account".into(), "import".into(), "--sync".into(), "--".into(), "-".into()], Some(b"email".to_vec()))
        );
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (id, given, said) in [
            ("addMembers", json!({}), "`addresses` is missing"),
            ("addMembers", json!({ "addresses": [] }), "`addresses` is empty"),
            ("addMembers", json!({ "addresses": ["a"], "rol": "x" }), "did you mean `role`?"),
            ("addMembers", json!({ "addresses": [1] }), "`addresses` is no text"),
            ("rejectHeld", json!({ "reason": "a\0b" }), "`reason` is no text"),
            ("importAccounts", json!({ "csv": { "base64": "?" } }), "`csv`: base64"),
            ("importAccounts", json!({ "csv": "", "sync": "yes" }), "`sync` is neither true nor false"),
        ] {
            let error = words(id, &["x"], given).unwrap_err();
            assert!(error.contains(said), "{error}");
        }
    }
}
