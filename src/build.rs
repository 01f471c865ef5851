//! Runs before the crate is compiled: writes what is made from the source into `OUT_DIR`.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::CommandFactory;

#[path = "cli/arguments.rs"]
#[allow(dead_code, unused_imports, reason = "only the tree of commands is used here, not its values")]
mod arguments;

fn main() -> io::Result<()> {
    let out = PathBuf::from(std::env::var_os("OUT_DIR").ok_or(io::ErrorKind::NotFound)?);
    println!("cargo::rerun-if-changed=src/build.rs");
    write_man_pages(&out)?;
    write_web_files(&out)?;
    write_texts(&out)
}

/// One file with a page for `enlace` and one for each of its commands, which `enlace man` prints.
fn write_man_pages(out: &Path) -> io::Result<()> {
    println!("cargo::rerun-if-changed=src/cli/arguments.rs");
    println!("cargo::rerun-if-changed=src/cli/arguments");
    let folder = out.join("man");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    clap_mangen::generate_to(arguments::Arguments::command(), &folder)?;
    let mut files: Vec<_> = fs::read_dir(&folder)?.map(|entry| entry.map(|e| e.path())).collect::<io::Result<_>>()?;
    files.sort_by_key(|file| file.file_stem().map(std::ffi::OsStr::to_owned));
    let mut pages = Vec::new();
    for file in files {
        pages.extend(fs::read(file)?);
    }
    fs::write(out.join("enlace.1"), pages)
}

/// The templates and words of the web pages as one table, so that a new language needs no change of a Rust file.
fn write_web_files(out: &Path) -> io::Result<()> {
    let root = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").ok_or(io::ErrorKind::NotFound)?).join("templates");
    println!("cargo::rerun-if-changed=templates");
    let mut files = Vec::new();
    for entry in fs::read_dir(root.join("web"))? {
        files.push(entry?.path());
    }
    for entry in fs::read_dir(&root)? {
        let folder = entry?.path().join("web");
        if folder.is_dir() {
            for words in fs::read_dir(folder)? {
                files.push(words?.path());
            }
        }
    }
    files.sort();
    let mut table =
        String::from("/// Name under `templates` and contents of each file of the pages.\nconst WEB_FILES: &[(&str, &str)] = &[\n");
    for file in files {
        let name = file.strip_prefix(&root).map_err(io::Error::other)?;
        let _ = writeln!(table, "    ({:?}, include_str!({:?})),", name.display().to_string(), file.display().to_string());
    }
    fs::write(out.join("web_files.rs"), table + "];\n")
}

/// Words and mail templates as one table of `(LANG/path, text)`, so that a new language needs no change of a Rust file.
fn write_texts(out: &Path) -> io::Result<()> {
    let root = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").ok_or(io::ErrorKind::NotFound)?).join("templates");
    println!("cargo::rerun-if-changed=templates");
    let mut files = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                files.push(path);
            }
        }
    }
    files.sort();
    let mut table = String::from("&[\n");
    for file in files {
        let Ok(relative) = file.strip_prefix(&root) else { continue };
        let parts: Vec<_> = relative.iter().map(|part| part.to_string_lossy()).collect();
        let is_text =
            parts.get(1).is_some_and(|part| part == "mail" || part == "words.toml" || part == "liaison.toml") && parts[0].len() == 2;
        if is_text {
            let (name, file) = (parts.join("/"), file.display().to_string());
            // Writing to a String does not fail.
            let _ = writeln!(table, "({name:?}, include_str!({file:?})),");
        }
    }
    table.push_str("]\n");
    fs::write(out.join("texts.rs"), table)
}
