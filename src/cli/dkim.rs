//! `enlace dkim generate`: makes a key, in the process of whoever asks, because the file is his.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde_json::json;

use super::arguments::Dkim;
use super::report::{Answer, Failure, Report};
use crate::mail::sign::Key;

/// Carries it out; `as_json` as with every command.
pub fn answer(command: &Dkim, as_json: bool) -> Answer {
    let Dkim::Generate { file, ed25519, selector } = command;
    Answer::of(generate(file, *ed25519, selector), as_json)
}

fn generate(file: &Path, ed25519: bool, selector: &str) -> Result<Report, Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::new(format!("no key was made: {error}"), "");
    let pem = Key::generate(ed25519).map_err(|error| failed(&error))?;
    let key = Key::from_pem(selector, &pem).map_err(|error| failed(&error))?;
    let written = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file).and_then(|mut open| {
        open.write_all(pem.as_bytes())?;
        open.sync_all()
    });
    written.map_err(|error| Failure::new(format!("could not write {}: {error}", file.display()), "name a file that does not exist yet"))?;
    let text = format!(
        "{} was written. In enlace.toml:\n\n[dkim]\nselector = \"{selector}\"\nkey_file = \"{}\"\n\nIn the DNS, as TXT of \
         {selector}._domainkey and your list domain (`enlace check` looks whether it is there):\n\n{}\n",
        file.display(),
        file.display(),
        key.record()
    );
    Ok(Report::new(text, json!({ "file": file, "selector": selector, "record": key.record() })))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_key_is_for_its_owner_and_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("k.pem");
        let command = Dkim::Generate { file: file.clone(), ed25519: true, selector: "e".into() };
        let first = answer(&command, true);
        assert_eq!(first.status, 0, "{}", first.errors);
        assert!(first.output.contains("v=DKIM1; k=ed25519; p=") && !first.output.contains("PRIVATE"));
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        let key = std::fs::read(&file).unwrap();
        let second = answer(&command, false);
        assert!(second.status == 1 && second.errors.contains("does not exist yet"), "{}", second.errors);
        assert_eq!(std::fs::read(&file).unwrap(), key);
    }
}
