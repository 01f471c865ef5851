//! Runs before the crate is compiled: writes what is made from the source into `OUT_DIR`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::CommandFactory;

#[path = "cli/arguments.rs"]
#[allow(dead_code, reason = "only the tree of commands is used here, not its values")]
mod arguments;

fn main() -> io::Result<()> {
    let out = PathBuf::from(std::env::var_os("OUT_DIR").ok_or(io::ErrorKind::NotFound)?);
    println!("cargo::rerun-if-changed=src/build.rs");
    write_man_pages(&out)?;
    write_web_files(&out)
}

/// One file with a page for `enlace` and one for each of its commands, which `enlace man` prints.
fn write_man_pages(out: &Path) -> io::Result<()> {
    println!("cargo::rerun-if-changed=src/cli/arguments.rs");
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
        let words = entry?.path().join("web/words.toml");
        if words.exists() {
            files.push(words);
        }
    }
    files.sort();
    let mut table =
        String::from("/// Name under `templates` and contents of each file of the pages.\nconst WEB_FILES: &[(&str, &str)] = &[\n");
    for file in files {
        let name = file.strip_prefix(&root).map_err(io::Error::other)?;
        table += &format!("    ({:?}, include_str!({:?})),\n", name.display().to_string(), file);
    }
    fs::write(out.join("web_files.rs"), table + "];\n")
}
