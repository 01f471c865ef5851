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
    write_man_pages(&out)
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
