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
    let mut pages = Vec::new();
    let mut command = arguments::Arguments::command();
    command.build();
    write_man_page(&command, &mut pages)?;
    fs::write(out.join("enlace.1"), pages)
}

fn write_man_page(command: &clap::Command, pages: &mut Vec<u8>) -> io::Result<()> {
    let name = command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned();
    clap_mangen::Man::new(command.clone().name(name)).render(pages)?;
    command.get_subcommands().try_for_each(|inner| write_man_page(inner, pages))
}
