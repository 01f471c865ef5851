//! The register taken away: a table, a JSON document, or the mails themselves with their hashes.

use std::fmt::Write as _;

use data_encoding::{BASE64, HEXLOWER};
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::record::Dossier;
use super::register::{self, Filter};
use crate::domain::audience::Form as Shape;
use crate::domain::post::Audience;
use crate::service::{Failure, Services};

/// In which form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A line a statement, for a spreadsheet.
    Csv,
    /// Everything, as `liaison show` has it.
    Json,
    /// The mails that came and those that went out, in mboxrd, with a list of hashes in front.
    Mbox,
}

/// What was exported.
#[derive(Debug, Clone, Serialize)]
pub struct Bundle {
    /// How many statements.
    pub statements: usize,
    /// The document; for JSON the statements themselves.
    pub content: Value,
}

/// Exports the statements that pass the filter, oldest first.
///
/// # Errors
/// When the store fails.
pub async fn export(services: &Services, filter: &Filter, form: Form) -> Result<Bundle, Failure> {
    let dossiers = register::dossiers(services, filter).await?;
    let content = match form {
        Form::Csv => Value::String(csv(services, &dossiers)?),
        Form::Json => {
            let mut all = Vec::with_capacity(dossiers.len());
            for dossier in &dossiers {
                let shown = register::shown(services, dossier, true).await?;
                all.push(serde_json::to_value(shown).map_err(|error| Failure::Invalid(error.to_string()))?);
            }
            Value::Array(all)
        }
        Form::Mbox => Value::String(mbox(services, &dossiers).await?),
    };
    Ok(Bundle { statements: dossiers.len(), content })
}

/// A cell that a spreadsheet would take for a formula begins with an apostrophe (CWE-1236).
fn cell(text: &str) -> String {
    let text = text.replace(['\r', '\n'], " ");
    if text.starts_with(['=', '+', '-', '@', '\t']) && text.len() > 1 { format!("'{text}") } else { text }
}

fn csv(services: &Services, dossiers: &[Dossier]) -> Result<String, Failure> {
    let failed = |error: csv::Error| Failure::Invalid(format!("the table cannot be written: {error}"));
    let mut writer = csv::Writer::from_writer(Vec::new());
    let columns = [
        "id",
        "name",
        "group",
        "number",
        "state",
        "direction",
        "source",
        "title",
        "destinations",
        "questions",
        "approval",
        "deadline",
        "contacts",
        "languages",
        "received_at",
        "circulated_at",
        "in_reply_to",
        "answered_by",
        "files",
    ];
    writer.write_record(columns).map_err(failed)?;
    for dossier in dossiers {
        let (s, line) = (&dossier.statement, register::line(services, dossier));
        let title = line.title.0.iter().map(|(language, title)| format!("{language}: {title}")).collect::<Vec<_>>().join(" | ");
        let files: Vec<String> = s
            .editions
            .iter()
            .flat_map(|edition| &edition.attachments)
            .map(|file| format!("{} sha256:{}", file.name, file.sha256))
            .collect();
        let answers: Vec<String> = s
            .events
            .iter()
            .filter_map(|event| match &event.kind {
                crate::domain::liaison::event::EventKind::Answered(id) => Some(id.to_string()),
                _ => None,
            })
            .collect();
        let time = |at: Option<chrono::DateTime<chrono::Utc>>| at.map(|at| at.to_rfc3339()).unwrap_or_default();
        let reply = s.reply.as_ref().map(|reply| reply.statement.map_or_else(|| reply.reference.clone(), |id| id.to_string()));
        let row = [
            line.id,
            line.name,
            line.group,
            line.number.map(|number| number.to_string()).unwrap_or_default(),
            line.state.to_owned(),
            line.direction.to_owned(),
            line.source,
            title,
            line.destinations.join("; "),
            line.questions.join("; "),
            s.approval.text.clone(),
            line.deadline.map(|day| day.to_string()).unwrap_or_default(),
            s.contacts.iter().map(super::edition::contact_line).collect::<Vec<_>>().join("; "),
            line.languages.join(";"),
            time(line.received_at),
            time(line.circulated_at),
            reply.unwrap_or_default(),
            answers.join(";"),
            files.join("; "),
        ];
        writer.write_record(row.iter().map(|text| cell(text))).map_err(failed)?;
    }
    let octets = writer.into_inner().map_err(|error| Failure::Invalid(error.to_string()))?;
    String::from_utf8(octets).map_err(|error| Failure::Invalid(error.to_string()))
}

/// A mail of the bundle.
struct Bundled {
    what: String,
    at: chrono::DateTime<chrono::Utc>,
    bytes: Vec<u8>,
}

/// Mails in mboxrd (RFC 4155 in its strict form): the manifest first, then what came and what went out.
async fn mbox(services: &Services, dossiers: &[Dossier]) -> Result<String, Failure> {
    let mut mails: Vec<Bundled> = Vec::new();
    let mut files = String::new();
    for dossier in dossiers {
        let name = dossier.statement.name();
        for (at, id) in dossier.mails.iter().enumerate() {
            let Some(post) = services.store.post(*id).await? else { continue };
            let Some(edition) = post.editions.first() else { continue };
            let bytes = services.store.body(&edition.body).await?.to_vec();
            mails.push(Bundled {
                what: format!("{name}, received {}", at + 1),
                at: post.received_at,
                bytes: readable(bytes, post.received_at),
            });
        }
        for sent in &dossier.sent {
            let Some(post) = services.store.post(sent.post).await? else { continue };
            let forms: &[Shape] = if let Audience::Routed(routed) = &post.audience { &routed.forms } else { &[] };
            for (at, edition) in post.editions.iter().enumerate() {
                if forms.get(at).is_some_and(|form| *form != Shape::Whole) {
                    continue;
                }
                let bytes = services.store.body(&edition.body).await?.to_vec();
                let language = edition.language.map(|language| language.to_string()).unwrap_or_default();
                mails.push(Bundled { what: format!("{name}, circulated, {language}"), at: sent.at, bytes });
            }
        }
        for file in dossier.statement.editions.iter().flat_map(|edition| &edition.attachments) {
            let _ = writeln!(files, "{}  {}, {}", file.sha256, name, file.name);
        }
    }
    let mut manifest =
        String::from("SHA-256 of each message behind its From line, quoting undone and with line ends as CRLF, and of each file.\n\n");
    for mail in &mails {
        let _ = writeln!(manifest, "{}  {}", HEXLOWER.encode(&Sha256::digest(&mail.bytes)), mail.what);
    }
    let now = services.now();
    let head = format!(
        "From: enlace@{domain}\r\nTo: enlace@{domain}\r\nSubject: Liaison statements: hashes\r\nDate: {}\r\nMessage-ID: <{}.export@{domain}>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n{}",
        now.to_rfc2822(),
        now.timestamp(),
        format!("{manifest}\n{files}").replace('\n', "\r\n"),
        domain = services.site.domain,
    );
    mails.insert(0, Bundled { what: "manifest".into(), at: now, bytes: head.into_bytes() });
    let mut out = String::new();
    for mail in mails {
        let _ = writeln!(out, "From enlace@{} {}", services.site.domain, mail.at.format("%a %b %e %H:%M:%S %Y"));
        for line in String::from_utf8_lossy(&mail.bytes).split_inclusive('\n') {
            if line.trim_start_matches('>').starts_with("From ") {
                out.push('>');
            }
            out.push_str(&line.replace('\r', ""));
        }
        out.push_str(if out.ends_with('\n') { "\n" } else { "\n\n" });
    }
    Ok(out)
}

/// A mail that is not plain ASCII goes as a file of one, so that its octets survive a text.
fn readable(bytes: Vec<u8>, at: chrono::DateTime<chrono::Utc>) -> Vec<u8> {
    if bytes.iter().all(|octet| matches!(octet, b'\t' | b'\r' | b'\n' | b' '..=b'~')) {
        return bytes;
    }
    let encoded = BASE64.encode(&bytes);
    let lines = encoded.as_bytes().chunks(76).map(|line| String::from_utf8_lossy(line).into_owned()).collect::<Vec<_>>().join("\r\n");
    format!(
        "From: enlace\r\nSubject: a mail that is not plain ASCII, as a file\r\nDate: {}\r\nMIME-Version: 1.0\r\nContent-Type: application/octet-stream; name=\"original.eml\"\r\nContent-Disposition: attachment; filename=\"original.eml\"\r\nContent-Transfer-Encoding: base64\r\n\r\n{lines}\r\n",
        at.to_rfc2822()
    )
    .into_bytes()
}
