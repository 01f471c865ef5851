//! `enlace archive`: what groups distributed, searched, imported, exported, verified.

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{BufWriter, Cursor};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::arguments::Archive;
use super::control::Step;
use super::execute::Context;
use super::group::{group_code, shown};
use super::report::{Failure, Report, Table, one_line, to_json};
use crate::domain::address::{AddressError, EmailAddress};
use crate::service::archive::{self, ImportReport, Mails, Reader, Verified};

/// Carries it out.
///
/// # Errors
/// When no such group exists, a file cannot be read or written, or the store fails.
pub async fn execute(context: &Context<'_>, command: Archive) -> Result<Report, Failure> {
    let (services, actor) = (context.services, &context.actor);
    let progress = |done, total| (context.progress)(Step { done, total });
    match command {
        Archive::Search { code, query, limit, offset } => {
            let code = group_code(&code)?;
            archive::feed(services).await?;
            let page = archive::search(services, &code, Reader::Operator, &query.join(" "), offset, limit).await?;
            let mut text = String::new();
            for hit in &page.hits {
                let _ =
                    writeln!(text, "{}  {}  {}", hit.line.at.format("%Y-%m-%d"), one_line(&hit.line.author), one_line(&hit.line.subject));
                let _ = writeln!(text, "  {}\n  {}", one_line(&hit.quote), hit.url);
            }
            let _ = writeln!(text, "{} found, {} shown", page.total, page.hits.len());
            Ok(Report::new(text, to_json(&page)?))
        }
        Archive::Import { code, file, change } => {
            let code = group_code(&code)?;
            let mails = mbox(context, &file)?;
            let report = archive::import(services, actor, &code, mails, &shown(&file), None, change.dry_run, &progress).await?;
            Ok(Report::new(imported(&report), to_json(&report)?).with_problems(report.problems.clone()))
        }
        Archive::Export { code } => {
            let code = group_code(&code)?;
            let path = services.config.service.data_dir.join(format!("export-{code}-{:016x}.mbox", services.chance()));
            let failed =
                |error: std::io::Error| Failure::new(format!("could not write {}: {error}", path.display()), "make room on that disk");
            let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).map_err(failed)?;
            let mut output = BufWriter::new(file);
            let exported = archive::export(services, &code, Reader::Operator, &mut output, &progress).await;
            drop(output);
            let exported = match exported {
                Ok(exported) => exported,
                Err(error) => {
                    let _ = fs::remove_file(&path);
                    return Err(error.into());
                }
            };
            let report = Report::new(String::new(), to_json(&exported)?).with_problems(exported.problems.clone());
            Ok(report.with_file(path))
        }
        Archive::Feed { code, address, renew } => {
            let code = group_code(&code)?;
            let address: EmailAddress = address.parse().map_err(|error: AddressError| Failure::new(error, ""))?;
            let link = archive::feed_link_of(services, actor, &code, &address, renew).await?;
            Ok(Report::new(format!("{link}\n"), serde_json::json!({ "address": address, "group": code.to_string(), "feed": link })))
        }
        Archive::Verify { code } => {
            let verified = archive::verify(services, &group_code(&code)?, &progress).await?;
            Ok(Report::new(described(&verified), to_json(&verified)?).with_problems(verified.faults.clone()))
        }
        Archive::Seal { code } => {
            let code = group_code(&code)?;
            let months = archive::seal(services, &code).await?;
            services.audit(actor, "archive seal", Some(&code), format!("{} months", months.len())).await?;
            let text = if months.is_empty() { "Nothing to seal".to_owned() } else { format!("sealed {}", months.join(", ")) };
            Ok(Report::new(format!("{text}\n"), serde_json::json!({ "group": code.to_string(), "sealed": months })))
        }
        Archive::Rebuild => {
            let fed = archive::rebuild(services).await?;
            services.audit(actor, "archive rebuild", None, format!("search index, {} posts", fed.posts)).await?;
            Ok(Report::new(format!("{} posts are in the search index\n", fed.posts), to_json(&fed)?))
        }
    }
}

/// A mailbox file: as it was handed over if it is small, else opened in its place.
fn mbox(context: &Context<'_>, file: &Path) -> Result<Mails, Failure> {
    if let Ok(bytes) = context.file(file) {
        return Ok(Mails::Mbox { octets: bytes.len() as u64, input: Box::new(Cursor::new(bytes.to_vec())) });
    }
    let path = context.place(file)?;
    let opened = File::open(&path).and_then(|file| Ok((file.metadata()?.len(), file)));
    let (octets, input) = opened.map_err(|error| {
        Failure::new(
            format!("could not read {}: {error}", path.display()),
            "a file of this size is read by the daemon itself: put it where the daemon's user may read it",
        )
    })?;
    Ok(Mails::Mbox { input: Box::new(input), octets })
}

pub(super) fn imported(report: &ImportReport) -> String {
    let mut table = Table::plain();
    let span = match (report.first, report.last) {
        (Some(first), Some(last)) => format!("{} to {}", first.format("%Y-%m-%d"), last.format("%Y-%m-%d")),
        _ => "-".to_owned(),
    };
    for (name, value) in [
        ("mails read", report.read.to_string()),
        (if report.dry_run { "would be added" } else { "added" }, report.added.to_string()),
        ("there already", report.repeated.to_string()),
        ("refused", report.refused.to_string()),
        ("without Message-ID", report.without_id.to_string()),
        ("without date", report.without_date.to_string()),
        ("kept by an earlier run", report.resumed.to_string()),
        ("dates", span),
        ("read by", report.readers.clone()),
    ] {
        table.row([name.to_owned(), value]);
    }
    table.to_string()
}

fn described(verified: &Verified) -> String {
    let mut table = Table::new(["month", "posts", "sealed", "root"]);
    for manifest in &verified.manifests {
        let sealed = manifest.sealed.format("%Y-%m-%d").to_string();
        table.row([manifest.month.clone(), manifest.posts.to_string(), sealed, manifest.root.clone()]);
    }
    let mut text = table.or("No month is sealed yet");
    let _ = writeln!(
        text,
        "{} unchanged, {} added since by imports, {} let go on purpose, {} not sealed yet, {} faults",
        verified.unchanged,
        verified.added,
        verified.let_go,
        verified.unsealed,
        verified.faults.len()
    );
    text
}
