//! Files of a mail: named by their content, written once, found again by it.

use bytes::Bytes;
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use super::record;
use crate::domain::liaison::statement::Attachment;
use crate::domain::post::BodyRef;
use crate::mail::statement::Posted;
use crate::service::{Failure, Services};
use crate::store::BodySource;

/// Names and hashes of the files of a mail, none of them stored.
pub(super) fn hashed(posted: &Posted, macros: &[usize]) -> Vec<Attachment> {
    let hashed = |(at, file): (usize, &crate::mail::statement::PostedFile)| Attachment {
        name: file.name.clone(),
        media_type: file.media_type.clone(),
        sha256: HEXLOWER.encode(&Sha256::digest(&file.bytes)),
        body: BodyRef { key: String::new(), octets: file.bytes.len() as u64 },
        macros: macros.contains(&at) || has_macros(&file.name),
    };
    posted.files.iter().enumerate().map(hashed).collect()
}

/// Office files that carry macros by their kind.
fn has_macros(name: &str) -> bool {
    let extension = name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase()).unwrap_or_default();
    ["docm", "dotm", "xlsm", "xltm", "pptm"].contains(&extension.as_str())
}

/// Writes what is not stored yet and fills in where everything lies.
pub(super) async fn store(services: &Services, posted: &Posted, attachments: &mut [Attachment]) -> Result<(), Failure> {
    for (attachment, file) in attachments.iter_mut().zip(&posted.files) {
        attachment.body = if let Some(body) = record::file(services, &attachment.sha256).await? {
            body
        } else {
            let body = services.store.put_body(BodySource::Bytes(Bytes::from(file.bytes.clone()))).await?;
            record::put_file(services, &attachment.sha256, &body).await?;
            body
        };
    }
    Ok(())
}

/// A hash over what a reader of one language gets: title, text, files.
pub(super) fn content(edition: &crate::domain::liaison::statement::StatementEdition) -> String {
    let mut hash = Sha256::new();
    for part in [edition.title.as_str(), edition.text.trim()].into_iter().chain(edition.attachments.iter().map(|file| file.sha256.as_str()))
    {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    HEXLOWER.encode(&hash.finalize())
}
