//! Environment variables over the file: `ENLACE_RELAY__PORT=2525` is `port` of `[relay]`.

use serde::Deserialize;
use toml::{Table, Value};

use super::{Config, ConfigError, error};

const PREFIX: &str = "ENLACE_";

/// The configuration with the variables in it; unchanged if there are none. `text` is the file's, already found good.
pub(super) fn lay_over(plain: Config, text: &str, environment: impl IntoIterator<Item = (String, String)>) -> Result<Config, ConfigError> {
    let mut variables: Vec<(String, String)> =
        environment.into_iter().filter(|(name, _)| name.strip_prefix(PREFIX).is_some_and(|rest| rest.contains("__"))).collect();
    if variables.is_empty() {
        return Ok(plain);
    }
    variables.sort();
    let mut table: Table = toml::from_str(text).map_err(|error| ConfigError::from_message(error.message()))?;
    // A list that the file leaves out has its built-in first entry, which a variable may change.
    if !table.contains_key("listen") && variables.iter().any(|(name, _)| name.starts_with("ENLACE_LISTEN__")) {
        let first = r#"listen = [{ protocol = "lmtp", address = "127.0.0.1:8024" }]"#;
        table.extend(toml::from_str::<Table>(first).expect("a constant of this file"));
    }
    // Values are tried as text first, then as TOML (numbers, booleans, lists), because only the struct knows the type of a key.
    // Tables that need several keys at once fail until the last of their variables is in, so the error of a variable counts only then.
    let mut failed: Option<ConfigError> = None;
    let mut config = plain;
    for (name, value) in &variables {
        let path: Vec<String> = name[PREFIX.len()..].split("__").map(str::to_ascii_lowercase).collect();
        let mut as_text = table.clone();
        put(&mut as_text, &path, Value::String(value.clone())).map_err(|why| wrong(name, &why))?;
        match read(&as_text) {
            Ok(good) => (config, table, failed) = (good, as_text, None),
            Err(error_as_text) => {
                let mut as_toml = table.clone();
                let parsed = format!("x = {value}").parse::<Table>().ok().and_then(|mut parsed| parsed.remove("x"));
                let second = parsed.map(|parsed| put(&mut as_toml, &path, parsed).map(|()| read(&as_toml)));
                match second {
                    Some(Ok(Ok(good))) => (config, table, failed) = (good, as_toml, None),
                    Some(Ok(Err(error))) => {
                        failed = Some(wrong_because(name, &error));
                        table = as_toml;
                    }
                    Some(Err(_)) | None => {
                        failed = Some(wrong_because(name, &error_as_text));
                        table = as_text;
                    }
                }
            }
        }
    }
    failed.map_or(Ok(config), Err)
}

/// Variables that begin like ours and are none, each with the key that may have been meant: a single `_` where two belong.
pub(super) fn stray(names: impl IntoIterator<Item = String>) -> Vec<(String, Option<String>)> {
    let sections = [
        "service",
        "store",
        "web",
        "relay",
        "senders",
        "dkim",
        "directory",
        "oidc",
        "schedule",
        "meetings",
        "limits",
        "retention",
        "webhooks",
    ];
    let is_stray = |name: &String| {
        let Some(rest) = name.strip_prefix(PREFIX) else { return false };
        let ours = matches!(rest, "LOG" | "LOG_FORMAT") || rest.starts_with("TEST_") || rest.contains("__");
        // What container platforms set of a service of that name (`ENLACE_SERVICE_HOST`, `ENLACE_PORT_8024_TCP`) is theirs.
        !ours && !rest.starts_with("SERVICE_HOST") && !rest.starts_with("SERVICE_PORT") && !rest.starts_with("PORT")
    };
    let meant = |name: &str| {
        let (section, key) = name[PREFIX.len()..].split_once('_')?;
        sections.contains(&section.to_ascii_lowercase().as_str()).then(|| format!("{PREFIX}{section}__{key}"))
    };
    names.into_iter().filter(is_stray).map(|name| (name.clone(), meant(&name))).collect()
}

fn read(table: &Table) -> Result<Config, String> {
    Config::deserialize(Value::Table(table.clone())).map_err(|error| error.message().to_owned())
}

fn wrong(name: &str, why: &str) -> ConfigError {
    ConfigError::new(why, "mend or unset the variable").at(format!("environment variable {name}"))
}

fn wrong_because(name: &str, message: &str) -> ConfigError {
    let error = error::ConfigError::from_message(message);
    let remedy = if error.remedy.is_empty() { "mend or unset the variable".to_owned() } else { error.remedy.clone() };
    ConfigError { remedy, ..error }.at(format!("environment variable {name}"))
}

/// Puts `value` at `path`, making tables on the way; a number in the path is an entry of a list, at most one behind its end.
fn put(table: &mut Table, path: &[String], value: Value) -> Result<(), String> {
    let Some((key, rest)) = path.split_first() else { return Ok(()) };
    if rest.is_empty() {
        table.insert(key.clone(), value);
        return Ok(());
    }
    let below = table.entry(key.clone()).or_insert_with(|| {
        let list = rest[0].bytes().all(|b| b.is_ascii_digit());
        if list { Value::Array(Vec::new()) } else { Value::Table(Table::new()) }
    });
    match below {
        Value::Table(below) => put(below, rest, value),
        Value::Array(list) => {
            let index: usize = rest[0].parse().map_err(|_| format!("{key} is a list: its entries are 0, 1, …, not {}", rest[0]))?;
            if index > list.len() {
                return Err(format!("{key} has {} entries, so {index} is not the next", list.len()));
            }
            if rest.len() == 1 {
                if index == list.len() {
                    list.push(value);
                } else {
                    list[index] = value;
                }
                return Ok(());
            }
            if index == list.len() {
                list.push(Value::Table(Table::new()));
            }
            let entry = list[index].as_table_mut().ok_or_else(|| format!("entry {index} of {key} is a single value"))?;
            put(entry, &rest[1..], value)
        }
        _ => Err(format!("{key} is a single value, not a table")),
    }
}
