//! Of which form a data folder is, and how an older one is brought to ours with a way back.
//!
//! The number stands in the file `store.form`. A folder from before there was such a file is of form 1. A newer one is refused: this
//! program would misread it. A step that rewrites the record keeps a copy of all as it was in `before-form-N`, whole before anything
//! is touched; a step that was cut off begins again from that copy. Single records have a version of their own (`store::record`),
//! so most changes of form need no step.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::store::body::{io_error, make_folder, open_file, sync_folder};
use crate::store::lock::take_lock;
use crate::store::{Result, StoreError};

const FILE: &str = "store.form";
/// What the record consists of.
const PARTS: [&str; 3] = ["sled", "ledger", "bodies"];

/// One step to a newer form.
struct Step {
    /// The form that it leads to.
    form: u32,
    name: &'static str,
    /// Does it change what is there? Then a copy is kept.
    rewrites: bool,
    take: fn(&Path) -> Result<()>,
}

const STEPS: &[Step] = &[Step { form: 2, name: "the form is written down", rewrites: false, take: |_| Ok(()) }];

/// Brings the folder, whose lock is held, to the form of this program; a new folder is of that form.
///
/// # Errors
/// `Unavailable` if it is newer, with the remedy; `Damaged` if the number is none; what a step says.
pub(super) fn bring(root: &Path) -> Result<()> {
    bring_by(STEPS, root)
}

fn bring_by(steps: &[Step], root: &Path) -> Result<()> {
    let newest = steps.last().map_or(1, |step| step.form);
    let is_new = || PARTS.iter().all(|part| !root.join(part).exists());
    let found = match read(root)? {
        Some(form) => form,
        None if is_new() => return write(root, newest),
        None => 1,
    };
    if found > newest {
        return Err(StoreError::Unavailable(format!(
            "the store in {} is of form {found}, newer than this program, which knows form {newest}; install the release that wrote it, \
            or go back to a copy of before with `enlace store back`",
            root.display()
        )));
    }
    for step in steps.iter().filter(|step| step.form > found) {
        if step.rewrites {
            let kept = kept_as(root, step.form);
            if kept.exists() {
                tracing::warn!(copy = %kept.display(), "A step of the store was cut off; it begins again");
                put_in_place(root, &kept)?;
            } else {
                keep(root, &kept)?;
            }
        }
        (step.take)(root)?;
        write(root, step.form)?;
        tracing::info!(form = step.form, step = step.name, "Brought the store to form {}", step.form);
    }
    Ok(())
}

fn kept_as(root: &Path, form: u32) -> PathBuf {
    root.join(format!("before-form-{form}"))
}

fn read(root: &Path) -> Result<Option<u32>> {
    let path = root.join(FILE);
    match fs::read(&path) {
        Ok(octets) => {
            String::from_utf8_lossy(&octets).trim().parse().ok().filter(|form| *form > 0).map(Some).ok_or_else(|| {
                StoreError::Damaged(format!("{} holds no number; restore the last backup (`enlace restore`)", path.display()))
            })
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io_error("reading", &path, &error)),
    }
}

fn write(root: &Path, form: u32) -> Result<()> {
    let (path, new) = (root.join(FILE), root.join("store.form.new"));
    let _ = fs::remove_file(&new);
    let mut file = open_file(&new, true)?;
    writeln!(file, "{form}").and_then(|()| file.sync_all()).map_err(|e| io_error("writing", &new, &e))?;
    fs::rename(&new, &path).map_err(|e| io_error("renaming", &new, &e))?;
    sync_folder(root)
}

/// Copies the record, all of it before the copy gets its name.
fn keep(root: &Path, kept: &Path) -> Result<()> {
    let partial = kept.with_extension("partial");
    if partial.exists() {
        fs::remove_dir_all(&partial).map_err(|e| io_error("removing", &partial, &e))?;
    }
    make_folder(&partial)?;
    for part in PARTS.iter().chain([&FILE]) {
        copy(&root.join(part), &partial.join(part))?;
    }
    sync_folder(&partial)?;
    fs::rename(&partial, kept).map_err(|e| io_error("renaming", &partial, &e))?;
    sync_folder(root)
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    if from.is_dir() {
        make_folder(to)?;
        for entry in fs::read_dir(from).map_err(|e| io_error("listing", from, &e))? {
            let entry = entry.map_err(|e| io_error("listing", from, &e))?;
            copy(&entry.path(), &to.join(entry.file_name()))?;
        }
        sync_folder(to)
    } else if from.exists() {
        fs::copy(from, to).map_err(|e| io_error("copying", from, &e))?;
        fs::File::open(to).and_then(|file| file.sync_all()).map_err(|e| io_error("syncing", to, &e))
    } else {
        Ok(())
    }
}

/// What is in the folder, replaced by a copy of the kept one, which stays.
fn put_in_place(root: &Path, kept: &Path) -> Result<()> {
    for part in PARTS.iter().chain([&FILE]) {
        let path = root.join(part);
        let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        match removed {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(io_error("removing", &path, &error)),
            _ => copy(&kept.join(part), &path)?,
        }
    }
    sync_folder(root)
}

/// What a way back does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WayBack {
    /// The copy that is put back.
    pub copy: PathBuf,
    /// Its form.
    pub form: u32,
    /// Where what is there now goes; `None` in a rehearsal.
    pub aside: Option<PathBuf>,
}

/// Puts the newest kept copy back in place, and sets what is there now aside; `None` if no copy is kept.
///
/// # Errors
/// `InUse` if a process has the store; what the disk says.
pub(in crate::store) fn go_back(root: &Path, dry_run: bool) -> Result<Option<WayBack>> {
    let lock = take_lock(root)?;
    let names = fs::read_dir(root).map_err(|e| io_error("listing", root, &e))?;
    let forms = names.flatten().filter_map(|entry| entry.file_name().to_str()?.strip_prefix("before-form-")?.parse::<u32>().ok());
    let Some(newest) = forms.max() else { return Ok(None) };
    let kept = kept_as(root, newest);
    let form = read(&kept)?.unwrap_or(1);
    if dry_run {
        return Ok(Some(WayBack { copy: kept, form, aside: None }));
    }
    let aside = super::move_aside(root)?;
    for part in PARTS.iter().chain([&FILE]) {
        let path = kept.join(part);
        if path.exists() {
            fs::rename(&path, root.join(part)).map_err(|e| io_error("moving", &path, &e))?;
        }
    }
    let _ = fs::remove_dir(&kept);
    sync_folder(root)?;
    let _ = lock.unlock();
    Ok(Some(WayBack { copy: kept, form, aside: Some(aside) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(form: Option<u32>) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for part in PARTS {
            fs::create_dir(folder.path().join(part)).unwrap();
            fs::write(folder.path().join(part).join("file"), format!("old {part}")).unwrap();
        }
        if let Some(form) = form {
            write(folder.path(), form).unwrap();
        }
        folder
    }

    fn spoil(root: &Path) {
        for part in PARTS {
            fs::write(root.join(part).join("file"), "rewritten").unwrap();
        }
    }

    const REWRITING: &[Step] = &[
        Step { form: 2, name: "first", rewrites: false, take: |_| Ok(()) },
        Step {
            form: 3,
            name: "second",
            rewrites: true,
            take: |root| {
                spoil(root);
                Ok(())
            },
        },
    ];

    #[test]
    fn a_new_folder_is_of_our_form_and_one_without_a_number_of_the_first() {
        let new = tempfile::tempdir().unwrap();
        bring(new.path()).unwrap();
        assert_eq!(read(new.path()).unwrap(), Some(2));
        let old = folder(None);
        bring(old.path()).unwrap();
        assert_eq!((read(old.path()).unwrap(), kept_as(old.path(), 2).exists()), (Some(2), false), "nothing was rewritten, nothing kept");
    }

    #[test]
    fn a_newer_form_is_refused_with_the_remedy_and_left_alone() {
        let newer = folder(Some(9));
        let error = bring(newer.path()).unwrap_err().to_string();
        assert!(error.contains("form 9") && error.contains("form 2") && error.contains("enlace store back"), "{error}");
        assert_eq!(read(newer.path()).unwrap(), Some(9));
        fs::write(newer.path().join(FILE), "x").unwrap();
        assert!(matches!(bring(newer.path()), Err(StoreError::Damaged(_))));
    }

    #[test]
    fn a_rewriting_step_keeps_a_copy_that_can_be_put_back() {
        let old = folder(None);
        let root = old.path();
        bring_by(REWRITING, root).unwrap();
        assert_eq!((read(root).unwrap(), fs::read_to_string(root.join("sled/file")).unwrap()), (Some(3), "rewritten".into()));
        let rehearsed = go_back(root, true).unwrap().unwrap();
        assert_eq!((rehearsed.form, rehearsed.aside), (2, None));
        assert_eq!(read(root).unwrap(), Some(3));
        let back = go_back(root, false).unwrap().unwrap();
        for part in PARTS {
            assert_eq!(fs::read_to_string(root.join(part).join("file")).unwrap(), format!("old {part}"));
            assert_eq!(fs::read_to_string(back.aside.as_ref().unwrap().join(part).join("file")).unwrap(), "rewritten");
        }
        assert_eq!((read(root).unwrap(), go_back(root, false).unwrap()), (Some(2), None));
        // And forward again.
        bring_by(REWRITING, root).unwrap();
        assert_eq!(read(root).unwrap(), Some(3));
    }

    #[test]
    fn a_step_that_was_cut_off_begins_again_from_the_copy() {
        const CUT: &[Step] = &[Step {
            form: 2,
            name: "cut",
            rewrites: true,
            take: |root| {
                assert_eq!(fs::read_to_string(root.join("bodies/file")).unwrap(), "old bodies", "each attempt finds what was there");
                spoil(root);
                if root.join("go-on").exists() { Ok(()) } else { Err(StoreError::Unavailable("cut off".into())) }
            },
        }];
        let old = folder(None);
        assert!(bring_by(CUT, old.path()).is_err());
        assert_eq!(read(old.path()).unwrap(), None);
        fs::write(old.path().join("go-on"), "").unwrap();
        bring_by(CUT, old.path()).unwrap();
        assert_eq!((read(old.path()).unwrap(), kept_as(old.path(), 2).exists()), (Some(2), true));
    }
}
