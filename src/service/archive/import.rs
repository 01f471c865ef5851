//! Mails of before: from a mailbox file, or one by one from the folder of another system.
//!
//! Each becomes a post that was distributed long ago: nobody gets it. Its identifier follows from group, Message-ID and date, so
//! that its address is the same whenever it is imported; a mail that is there already is passed over, also one that Enlace itself
//! distributed. Who may read it is the group's rule, which is in force before the first mail comes. An import that was
//! interrupted goes on where it stopped.

use std::collections::HashSet;
use std::io::{self, BufRead, BufReader, Read};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures_util::future::join_all;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::feed::IMPORTS;
use super::links::{self, OldNames};
use crate::domain::group::{Group, GroupCode};
use crate::domain::id::PostId;
use crate::domain::post::{Arrival, Audience, Edition, Post, PostKind, PostState};
use crate::domain::proof::SenderProof;
use crate::mail::mbox::{Mbox, Piece};
use crate::mail::message;
use crate::service::{Actor, Failure, Services};
use crate::store::{BodySource, Kept};

/// Mails kept at a time; they share one commit.
const BATCH: usize = 256;
/// Octets of a batch beyond which it is kept at once.
const BATCH_OCTETS: usize = 16 * 1024 * 1024;
/// Largest mail that is taken.
const MAIL_OCTETS: usize = 128 * 1024 * 1024;
/// Most problems that a report lists; the count is always of all.
const SHOWN: usize = 200;
/// Register of places up to which interrupted imports came.
const PLACES: &str = "archive-places";
/// Octets by which a file is known again.
const HEAD_OCTETS: u64 = 64 * 1024;

/// What an import did, or would do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ImportReport {
    /// Into which group.
    pub group: String,
    /// Was nothing written?
    pub dry_run: bool,
    /// Who may read them: `public`, `members`, `ties`.
    pub readers: String,
    /// Mails read.
    pub read: u64,
    /// New in the archive.
    pub added: u64,
    /// There already, or twice in the file.
    pub repeated: u64,
    /// Not taken: too large, or no mail at all.
    pub refused: u64,
    /// Mails without a usable Message-ID, which got one that is always the same.
    pub without_id: u64,
    /// Mails without a usable date, placed by their delivery or by their neighbours.
    pub without_date: u64,
    /// Mails that an earlier, interrupted run had kept.
    pub resumed: u64,
    /// The oldest.
    pub first: Option<DateTime<Utc>>,
    /// The newest.
    pub last: Option<DateTime<Utc>>,
    /// What is wrong, at most 200.
    pub problems: Vec<String>,
}

/// Where mails come from.
pub enum Mails {
    /// A mailbox file of that many octets (0: unknown).
    Mbox {
        /// Its octets.
        input: Box<dyn Read + Send>,
        /// How many.
        octets: u64,
    },
    /// Messages one by one, in the order of the old archive, with the number that each had there.
    Each(Box<dyn Iterator<Item = io::Result<(u64, Vec<u8>)>> + Send>),
}

/// A mail on its way into the archive.
struct Mail {
    bytes: Bytes,
    message_id: Option<String>,
    subject: String,
    author: Option<crate::domain::address::EmailAddress>,
    at: DateTime<Utc>,
    number: u64,
}

/// Imports mails into the archive of a group. `file` is only named in messages; `old` are the names under which web pages of the
/// old archive are known, so that links to them keep working.
///
/// # Errors
/// When there is no such group, the input cannot be read, or the store fails; what was kept until then stays.
#[expect(clippy::too_many_arguments, reason = "named alike by both callers; a struct would only repeat them")]
pub async fn import(
    services: &Services,
    actor: &Actor,
    code: &GroupCode,
    mails: Mails,
    file: &str,
    old: Option<&OldNames>,
    dry_run: bool,
    progress: &(dyn Fn(u64, u64) + Send + Sync),
) -> Result<ImportReport, Failure> {
    let group = services.group(code)?;
    let readers = serde_json::to_value(group.archive).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default();
    let report = ImportReport { group: code.to_string(), dry_run, readers, ..ImportReport::default() };
    let mut importing = Importing { services, group: &group, file, old, report, seen: HashSet::new(), latest: None };
    match mails {
        Mails::Mbox { input, octets } => importing.mbox(input, octets, progress).await?,
        Mails::Each(mails) => importing.each(mails, progress).await?,
    }
    let report = importing.report;
    if report.added > 0 && !dry_run {
        note_import(services, code).await?;
        let detail = format!("{file}: {} mails, {} were there before, {} refused", report.added, report.repeated, report.refused);
        services.audit(actor, "archive import", Some(code), detail).await?;
    }
    Ok(report)
}

/// The index looks at the whole group again.
async fn note_import(services: &Services, code: &GroupCode) -> Result<(), Failure> {
    loop {
        let version = services.store.entry(IMPORTS, code.as_str()).await?.map_or(0, |(version, _)| version);
        if services.store.put_entry(IMPORTS, code.as_str(), version, Vec::new()).await?.is_some() {
            return Ok(());
        }
    }
}

struct Importing<'a> {
    services: &'a Services,
    group: &'a Group,
    file: &'a str,
    old: Option<&'a OldNames>,
    report: ImportReport,
    /// Message-IDs of a rehearsal, which writes nothing that would show what comes twice.
    seen: HashSet<[u8; 16]>,
    latest: Option<DateTime<Utc>>,
}

impl Importing<'_> {
    fn problem(&mut self, text: String) {
        if self.report.problems.len() < SHOWN {
            self.report.problems.push(text);
        }
    }

    fn unreadable(&self, error: &io::Error) -> Failure {
        let done = self.report.added;
        Failure::Invalid(format!(
            "{} cannot be read on: {error}; {done} mails are in the archive, and the import can be repeated",
            self.file
        ))
    }

    async fn mbox(
        &mut self,
        mut input: Box<dyn Read + Send>,
        octets: u64,
        progress: &(dyn Fn(u64, u64) + Send + Sync),
    ) -> Result<(), Failure> {
        let mut head = Vec::new();
        (&mut input).take(HEAD_OCTETS).read_to_end(&mut head).map_err(|error| self.unreadable(&error))?;
        let place = self.place(&head, octets);
        let mut input = BufReader::with_capacity(1024 * 1024, io::Cursor::new(head).chain(input));
        let (mut offset, mut resumed) = (0, 0);
        if let Some((_, noted)) = self.services.store.entry(PLACES, &place).await?
            && !self.report.dry_run
            && let Some((at, count)) = read_place(&noted)
        {
            offset = io::copy(&mut (&mut input).take(at), &mut io::sink()).map_err(|error| self.unreadable(&error))?;
            resumed = count;
        }
        self.report.resumed = resumed;
        let mut mbox = Mbox::new(input, offset, MAIL_OCTETS);
        let mut number = resumed;
        loop {
            // Cutting and hashing keep a processor busy, so they go to a thread for that; the file comes back with the mails.
            let (back, pieces) = tokio::task::spawn_blocking(move || {
                let pieces = next_pieces(&mut mbox);
                (mbox, pieces)
            })
            .await
            .map_err(|error| Failure::Invalid(format!("reading {}: {error}", self.file)))?;
            mbox = back;
            let pieces = pieces.map_err(|error| self.unreadable(&error))?;
            let Some(last) = pieces.last() else { break };
            let until = last.offset;
            let mut batch = Vec::with_capacity(pieces.len());
            for piece in pieces {
                let place = format!("{} at octet {}", self.file, piece.offset);
                if piece.too_large {
                    self.report.read += 1;
                    self.report.refused += 1;
                    self.problem(format!("{place}: a mail of more than {} MiB is left out", MAIL_OCTETS / 1024 / 1024));
                } else if let Some(mail) = self.read(&piece.bytes, piece.delivered, number, &place) {
                    batch.push(mail);
                }
                number += 1;
            }
            self.keep(batch).await?;
            progress(until, octets.max(until));
            if !self.report.dry_run {
                self.note_place(&place, until, number - 1).await?;
            }
        }
        if self.report.read == 0 && resumed == 0 {
            return Err(Failure::Invalid(format!(
                "{} is no mailbox file: no line \"From ADDRESS DATE\" with a header behind it",
                self.file
            )));
        }
        self.services.store.remove_entry(PLACES, &place).await?;
        Ok(())
    }

    async fn each(
        &mut self,
        mails: Box<dyn Iterator<Item = io::Result<(u64, Vec<u8>)>> + Send>,
        progress: &(dyn Fn(u64, u64) + Send + Sync),
    ) -> Result<(), Failure> {
        let (mut batch, mut octets) = (Vec::new(), 0);
        let mails = mails;
        for next in mails {
            let (number, bytes) = match next {
                Ok(next) => next,
                Err(error) => {
                    self.report.refused += 1;
                    self.problem(format!("{}: {error}", self.file));
                    continue;
                }
            };
            octets += bytes.len();
            let place = format!("{} mail {number}", self.file);
            batch.extend(self.read(&bytes, None, number, &place));
            if batch.len() >= BATCH || octets >= BATCH_OCTETS {
                self.keep(std::mem::take(&mut batch)).await?;
                octets = 0;
                progress(self.report.read, 0);
            }
        }
        self.keep(batch).await
    }

    /// The name of a file among the interrupted imports of the group: its beginning and its size.
    fn place(&self, head: &[u8], octets: u64) -> String {
        let mut digest = Sha256::new();
        digest.update(self.group.code.as_str());
        digest.update(octets.to_be_bytes());
        digest.update(head);
        data_encoding::HEXLOWER.encode(&digest.finalize()[..16])
    }

    async fn note_place(&self, place: &str, offset: u64, count: u64) -> Result<(), Failure> {
        let version = self.services.store.entry(PLACES, place).await?.map_or(0, |(version, _)| version);
        self.services.store.put_entry(PLACES, place, version, format!("{offset} {count}").into_bytes()).await?;
        Ok(())
    }

    fn read(&mut self, bytes: &[u8], delivered: Option<DateTime<Utc>>, number: u64, place: &str) -> Option<Mail> {
        self.report.read += 1;
        let bytes = message::to_crlf(bytes).into_owned();
        let head = match message::read(&bytes) {
            Ok(head) if !head.header.fields.is_empty() => head,
            Ok(_) => {
                self.report.refused += 1;
                self.problem(format!("{place}: it has no header and is left out"));
                return None;
            }
            Err(reason) => {
                self.report.refused += 1;
                self.problem(format!("{place}: {reason}; it is left out"));
                return None;
            }
        };
        let at = head.date.map(|date| date.with_timezone(&Utc)).filter(|at| self.is_likely(*at));
        let at = at.or_else(|| {
            self.report.without_date += 1;
            delivered.filter(|at| self.is_likely(*at)).or(self.latest)
        });
        let at = at.unwrap_or(DateTime::UNIX_EPOCH);
        self.latest = Some(at);
        self.report.first = Some(self.report.first.map_or(at, |first| first.min(at)));
        self.report.last = Some(self.report.last.map_or(at, |last| last.max(at)));
        if head.message_id.is_none() {
            self.report.without_id += 1;
        }
        let author = head.author.ok().map(|author| author.address);
        let (message_id, subject) = (head.message_id, head.subject);
        Some(Mail { bytes: bytes.into(), message_id, subject, author, at, number })
    }

    /// Between the first mails there were and the day after tomorrow.
    fn is_likely(&self, at: DateTime<Utc>) -> bool {
        at.timestamp() > 31_536_000 && at < self.services.now() + chrono::TimeDelta::days(2)
    }

    async fn keep(&mut self, mails: Vec<Mail>) -> Result<(), Failure> {
        if mails.is_empty() {
            return Ok(());
        }
        if self.report.dry_run {
            for mail in mails {
                let id = self.message_id(&mail);
                let name = Sha256::digest(id.as_bytes()).first_chunk::<16>().copied().unwrap_or_default();
                let known = self.is_there(&id).await? || !self.seen.insert(name);
                if known { self.report.repeated += 1 } else { self.report.added += 1 }
            }
            return Ok(());
        }
        let kept = join_all(mails.iter().map(|mail| self.keep_one(mail))).await;
        let mut names = Vec::new();
        for (mail, kept) in mails.iter().zip(kept) {
            let (new, id, message_id) = kept?;
            if new {
                self.report.added += 1;
            } else {
                self.report.repeated += 1;
            }
            names.push((mail.number, mail.at, id, message_id));
        }
        if let Some(old) = self.old {
            links::remember(self.services, &self.group.code, old, &names).await?;
        }
        Ok(())
    }

    /// The mail's own identifier, or one that follows from its content.
    fn message_id(&self, mail: &Mail) -> String {
        mail.message_id.clone().unwrap_or_else(|| {
            let digest = Sha256::digest(&mail.bytes);
            format!("{}.found@{}", data_encoding::HEXLOWER.encode(&digest[..16]), self.services.site.domain)
        })
    }

    async fn is_there(&self, message_id: &str) -> Result<bool, Failure> {
        let posts = self.services.store.posts_by_message_id(message_id).await?;
        Ok(posts.iter().any(|post| post.groups.contains(&self.group.code)))
    }

    async fn keep_one(&self, mail: &Mail) -> Result<(bool, PostId, String), Failure> {
        let (store, code) = (&self.services.store, &self.group.code);
        let message_id = self.message_id(mail);
        // Looked at first, so that a repeated import does not write its bodies again.
        let posts = store.posts_by_message_id(&message_id).await?;
        if let Some(post) = posts.iter().find(|post| post.groups.contains(code)) {
            return Ok((false, post.id, message_id));
        }
        let id = stable_id(code, &message_id, mail.at);
        let body = store.put_body(BodySource::Bytes(mail.bytes.clone())).await?;
        let post = Post {
            id,
            groups: vec![code.clone()],
            kind: PostKind::Discussion,
            message_id: message_id.clone(),
            subject: mail.subject.clone(),
            sender: mail.author.clone().map(|author| SenderProof::Unproved { author, tried: "imported".into() }),
            author: None,
            received_at: mail.at,
            not_before: mail.at,
            editions: vec![Edition { language: None, body }],
            audience: Audience::Listed(Vec::new()),
            state: PostState::Done,
            arrival: Arrival::default(),
            origin: "import".into(),
        };
        let keys = [PostKind::Discussion, PostKind::Announcement].map(|kind| format!("{code}|{}|{message_id}", kind.as_str()));
        match store.keep_post(post, keys.to_vec()).await? {
            Kept::New(id) => Ok((true, id.get(), message_id)),
            Kept::Repeated(id) => Ok((false, id.get(), message_id)),
        }
    }
}

/// The same mail has the same identifier at every import: its second, and the rest from group and Message-ID.
fn stable_id(code: &GroupCode, message_id: &str, at: DateTime<Utc>) -> PostId {
    let digest = Sha256::new().chain_update(code.as_str()).chain_update([0]).chain_update(message_id).finalize();
    let number = digest.first_chunk::<8>().map_or(0, |octets| u64::from_be_bytes(*octets));
    let milliseconds = i64::try_from(number >> 32).unwrap_or_default() % 1000;
    PostId::new(DateTime::from_timestamp_millis(at.timestamp() * 1000 + milliseconds).unwrap_or(at), number)
}

fn read_place(noted: &[u8]) -> Option<(u64, u64)> {
    let (offset, count) = std::str::from_utf8(noted).ok()?.split_once(' ')?;
    Some((offset.parse().ok()?, count.parse().ok()?))
}

fn next_pieces<R: BufRead>(mbox: &mut Mbox<R>) -> io::Result<Vec<Piece>> {
    let (mut pieces, mut octets) = (Vec::new(), 0);
    while pieces.len() < BATCH && octets < BATCH_OCTETS {
        let Some(piece) = mbox.next_piece()? else { break };
        octets += piece.bytes.len();
        pieces.push(piece);
    }
    Ok(pieces)
}
