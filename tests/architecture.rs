//! Holds the plan of the house (ARCHITECTURE.md): arrows between rooms only point downward, rules stay pure,
//! shells stay thin, files stay of a size that can be read.
//!
//! Reads the text of each file, not the compiler's view: `crate::room` and `super::` paths and a few forbidden words
//! outside of comments and of test modules. It is meant to catch the honest mistake, not the clever one.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// Rooms by floor. A room may use itself and lower floors, and of its own floor only what [`NEIGHBOURS`] names.
const FLOORS: &[(&str, u8)] = &[
    ("domain", 1),
    ("mail", 2),
    ("text", 2),
    ("config", 2),
    ("clock", 2),
    ("measure", 2),
    ("store", 3),
    ("search", 3),
    ("smtp", 3),
    ("directory", 3),
    ("webhook", 3),
    ("service", 4),
    ("ingest", 5),
    ("delivery", 5),
    ("schedule", 5),
    ("web", 6),
    ("cli", 6),
    ("serve", 7),
];

/// Arrows that the floors alone would allow and that do not exist.
const FORBIDDEN: &[(&str, &[&str], &str)] = &[
    ("web", &["ingest", "delivery", "schedule"], "a shell calls services, never a flow"),
    ("cli", &["ingest", "delivery", "schedule"], "a shell calls services, never a flow"),
    ("store", &["mail", "text"], "the store keeps values and knows no message format"),
    ("smtp", &["text"], "the wire speaks no templates"),
    ("directory", &["mail", "text"], "the directory knows people, not mail"),
    ("webhook", &["mail", "text"], "the wire carries what it is handed"),
    ("search", &["text"], "the index keeps terms and knows no templates"),
];

/// Words that a room must not contain, with the reason.
const WORDS: &[(&str, &[&str], &str)] = &[
    (
        "domain",
        &["std::fs", "std::net", "std::env", "tokio", "::now()", "rand::", "getrandom", "async ", "SystemTime", "Instant::"],
        "rules are pure: no disk, network, clock, chance or waiting",
    ),
    ("mail", &["std::net", "std::fs", "tokio::", "::now()"], "turns bytes into values and back, without sockets, disk or clock"),
    ("text", &["std::net", "tokio", "::now()"], "reads templates at the start and renders them, nothing else"),
    ("service", &["std::net", "axum", "clap::", "tokio::spawn", "::now()"], "a use case knows no shell, no socket and asks its clock"),
    (
        "web",
        &[".put_accounts(", ".put_groups(", ".put_subscriptions(", ".keep_post(", ".update_post(", "sled"],
        "a page calls a service, never the store",
    ),
    (
        "cli",
        &[".put_accounts(", ".put_groups(", ".put_subscriptions(", ".keep_post(", ".update_post(", "sled"],
        "a command calls a service, never the store",
    ),
];

/// Most lines of a file without its tests and header comment.
const LINES: usize = 600;

#[derive(Debug)]
struct Source {
    path: PathBuf,
    /// `domain`, or `main`, `demo`, `lib`, `build`, which belong to no floor.
    room: String,
    /// Module path inside the crate, such as `["cli", "control"]`.
    module: Vec<String>,
    /// Without comments, strings' contents untouched, cut at the tests.
    code: String,
}

#[test]
fn arrows_between_rooms_only_point_downward() {
    report(&sources().iter().flat_map(climbing_arrows).collect::<Vec<_>>());
}

#[test]
fn rooms_do_not_contain_what_belongs_elsewhere() {
    report(&sources().iter().flat_map(forbidden_words).collect::<Vec<_>>());
}

#[test]
fn every_room_has_a_floor() {
    let known: BTreeSet<_> = FLOORS.iter().map(|(room, _)| *room).chain(["main", "demo", "lib", "build"]).collect();
    report(
        &sources()
            .iter()
            .filter(|s| !known.contains(s.room.as_str()))
            .map(|s| format!("{}: no floor is named for it", s.path.display()))
            .collect::<Vec<_>>(),
    );
}

#[test]
fn files_can_be_read_in_one_sitting() {
    let long = |source: &Source| {
        let lines = source.code.lines().filter(|line| !line.trim().is_empty()).count();
        (lines > LINES)
            .then(|| format!("{}: {lines} lines without tests; {LINES} are the most. Look for its second noun", source.path.display()))
    };
    report(&sources().iter().filter_map(long).collect::<Vec<_>>());
}

#[test]
fn every_direct_dependency_has_its_line() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manifest: toml::Table = fs::read_to_string(root.join("Cargo.toml")).unwrap().parse().unwrap();
    let page = fs::read_to_string(root.join("ARCHITECTURE.md")).unwrap();
    let mut faults = Vec::new();
    let mut named = BTreeSet::new();
    for table in ["dependencies", "build-dependencies", "dev-dependencies"] {
        for name in manifest[table].as_table().unwrap().keys() {
            named.insert(name.clone());
            if !page.lines().any(|line| {
                line.starts_with('|')
                    && line.split('|').nth(1).is_some_and(|cell| cell.split(", ").any(|n| n.trim() == format!("`{name}`")))
            }) {
                faults.push(format!("ARCHITECTURE.md: no line says what `{name}` is for and what was considered instead"));
            }
        }
    }
    let section = page.split("\n## ").find(|section| section.starts_with("Dependencies")).unwrap_or_default();
    for cell in section.lines().filter(|line| line.starts_with("| `")).filter_map(|line| line.split('|').nth(1)) {
        for name in cell.split(", ").map(|name| name.trim().trim_matches('`')) {
            if !named.contains(name) {
                faults.push(format!("ARCHITECTURE.md: `{name}` has a line and is no direct dependency"));
            }
        }
    }
    report(&faults);
}

#[test]
fn the_readme_names_only_commands_that_exist() {
    use clap::CommandFactory;
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let tree = enlace::cli::arguments::Arguments::command();
    let mut faults = Vec::new();
    for page in ["README.md", "SECURITY.md", "CONTRIBUTING.md", "deploy/README.md"] {
        let text = fs::read_to_string(root.join(page)).unwrap();
        assert!(
            page != "README.md" || (text.contains("cargo run --release -- demo") && text.contains("tests/run")),
            "README.md lost its two commands"
        );
        for words in commands_in(&text) {
            let mut at = &tree;
            for word in &words {
                match at.find_subcommand(word) {
                    Some(inner) => at = inner,
                    None if at.has_subcommands() && !word.starts_with('-') => {
                        faults.push(format!("{page}: `enlace {}` is no command", words.join(" ")));
                        break;
                    }
                    None => break,
                }
            }
        }
    }
    report(&faults);
}

#[test]
fn every_test_that_the_security_page_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut code = String::new();
    let mut folders = vec![root.join("src"), root.join("tests")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                code.push_str(&fs::read_to_string(&path).unwrap());
            }
        }
    }
    let page = fs::read_to_string(root.join("SECURITY.md")).unwrap();
    let section = page.split("\n## ").find(|section| section.starts_with("Attacks")).expect("the section is there");
    let rows = section.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| attack"));
    let mut faults = Vec::new();
    for row in rows {
        let tests = row.split('|').nth(3).unwrap_or_default();
        let named: Vec<_> = tests.split('`').skip(1).step_by(2).filter(|name| !name.contains('=')).collect();
        if named.is_empty() {
            faults.push(format!("no test: {row}"));
        }
        faults.extend(
            named.iter().filter(|name| !code.contains(&format!("fn {name}("))).map(|name| format!("SECURITY.md: no test is called {name}")),
        );
    }
    report(&faults);
}

/// The plan itself is tested on planted faults, so that a mistake in reading does not make it agree with everything.
#[test]
fn planted_faults_are_found() {
    let planted = |room: &str, code: &str| {
        let source = Source::of(Path::new(&format!("{room}/planted.rs")), code);
        climbing_arrows(&source).into_iter().chain(forbidden_words(&source)).collect::<Vec<_>>()
    };
    for (room, code) in [
        ("domain", "use crate::store::Store;"),
        ("domain", "let x = chrono::Utc::now();"),
        ("mail", "use crate::text::Texts;"),
        ("delivery", "use crate::ingest::receive;"),
        ("delivery", "use crate::{domain::id::PostId, schedule::jobs};"),
        ("service", "use super::super::ingest::receive;"),
        ("cli", "use crate::delivery::worker;"),
        ("web", "store.put_groups(groups).await?;"),
        ("smtp", "use crate::store::Store;"),
    ] {
        assert!(!planted(room, code).is_empty(), "{room}: {code}");
    }
    for (room, code) in [
        ("domain", "use super::address::EmailAddress; // not crate::store"),
        ("delivery", "use crate::service::post;"),
        ("smtp", "use crate::mail::message;"),
        ("domain", "fn f() {}\n#[cfg(test)]\nmod tests { use crate::clock::Clock; }"),
    ] {
        assert_eq!(planted(room, code), Vec::<String>::new(), "{room}: {code}");
    }
}

impl Source {
    /// `path` is relative to `src`.
    fn of(path: &Path, text: &str) -> Self {
        let mut module: Vec<_> = path.with_extension("").iter().map(|part| part.to_string_lossy().into_owned()).collect();
        if module.len() > 1 && module.last().is_some_and(|last| last == "mod") {
            module.pop();
        }
        Self { path: path.to_owned(), room: module[0].clone(), module, code: code_of(text) }
    }

    /// Rooms that its `crate::` and `super::` paths lead to.
    fn rooms_used(&self) -> BTreeSet<String> {
        let mut rooms = BTreeSet::new();
        for (start, _) in self.code.match_indices("crate::") {
            for room in heads(&self.code[start + "crate::".len()..]) {
                rooms.insert(room);
            }
        }
        let climb = "super::".repeat(self.module.len());
        for (start, _) in self.code.match_indices(&climb) {
            if !self.code[..start].ends_with("super::") {
                rooms.extend(heads(&self.code[start + climb.len()..]));
            }
        }
        rooms
    }
}

/// The first names of a path or of a braced list of paths: `{a::b, c}` gives `a` and `c`.
fn heads(rest: &str) -> Vec<String> {
    let name = |text: &str| text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    if !rest.starts_with('{') {
        return vec![name(rest)];
    }
    let (mut depth, mut found, mut item) = (0, Vec::new(), String::new());
    for c in rest.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 1 => {
                found.push(name(&item));
                item.clear();
                continue;
            }
            _ => {}
        }
        if depth == 0 {
            break;
        }
        if !(depth == 1 && c == '{') {
            item.push(c);
        }
    }
    found.push(name(&item));
    found.retain(|name| !name.is_empty());
    found
}

fn floor(room: &str) -> Option<u8> {
    FLOORS.iter().find(|(name, _)| *name == room).map(|(_, floor)| *floor)
}

fn climbing_arrows(source: &Source) -> Vec<String> {
    let mut faults = Vec::new();
    let Some(own) = floor(&source.room) else { return faults };
    for used in source.rooms_used() {
        let Some(other) = floor(&used) else { continue };
        if used != source.room && other >= own {
            faults.push(format!("{}: {} (floor {own}) uses {used} (floor {other})", source.path.display(), source.room));
        }
        for (_, rooms, reason) in FORBIDDEN.iter().filter(|(room, ..)| *room == source.room) {
            if rooms.contains(&used.as_str()) {
                faults.push(format!("{}: {} uses {used}: {reason}", source.path.display(), source.room));
            }
        }
    }
    faults
}

fn forbidden_words(source: &Source) -> Vec<String> {
    let mut faults = Vec::new();
    // A file of tests beside the code (`tests.rs`, `…_tests.rs`) may measure and write what it likes.
    if source.path.file_stem().is_some_and(|stem| stem.to_string_lossy().ends_with("tests")) {
        return faults;
    }
    for (_, words, reason) in WORDS.iter().filter(|(room, ..)| *room == source.room) {
        for word in *words {
            if let Some(line) = source.code.lines().find(|line| contains_word(line, word)) {
                faults.push(format!("{}: `{}` has `{word}`: {reason}", source.path.display(), line.trim()));
            }
        }
    }
    faults
}

/// A word that begins with a letter must not continue another one: `rand::` is not in `brand::`. The clock's own `now` is fine.
fn contains_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(start, _)| {
        let before = line[..start].chars().next_back();
        !(word.starts_with(char::is_alphabetic) && before.is_some_and(|c| c.is_alphanumeric() || c == '_'))
    })
}

/// The code without line comments and without the module of tests, which ends a file here.
fn code_of(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if line == "#[cfg(test)]" && lines.peek().is_some_and(|next| next.starts_with("mod ")) {
            break;
        }
        let end = line.find("//").filter(|at| !line[..*at].ends_with(':')).unwrap_or(line.len());
        let _ = writeln!(code, "{}", &line[..end]);
    }
    code
}

/// The words behind `enlace` in code spans and code blocks, up to the first that is an option, a path or a value.
fn commands_in(text: &str) -> Vec<Vec<String>> {
    let mut commands = Vec::new();
    let mut block = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            block = !block;
            continue;
        }
        let spans: Vec<&str> = if block { vec![line] } else { line.split('`').skip(1).step_by(2).collect() };
        for span in spans {
            let words: Vec<_> = span.split_whitespace().collect();
            let Some(start) =
                words.iter().position(|word| *word == "enlace").filter(|at| *at == 0 || ["sudo", "$"].contains(&words[at - 1]))
            else {
                continue;
            };
            let plain = |word: &&&str| word.chars().all(|c| c.is_ascii_lowercase() || c == '-') && !word.starts_with('-');
            commands.push(words[start + 1..].iter().take_while(plain).map(ToString::to_string).collect::<Vec<_>>());
        }
    }
    commands
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![root.clone()];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(Source::of(path.strip_prefix(&root).unwrap(), &fs::read_to_string(&path).unwrap()));
            }
        }
    }
    assert!(found.len() > 20, "only {} files were found", found.len());
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

#[track_caller]
fn report(faults: &[String]) {
    assert!(faults.is_empty(), "{} found:\n{}", faults.len(), faults.join("\n"));
}
