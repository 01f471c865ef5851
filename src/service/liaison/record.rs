//! Where statements lie: a register of dossiers, one of stored files by content, one of what is due when.
//!
//! A dossier is the statement with what the service has to remember of it: whose mail it was, what was read where, when it
//! goes out, as which posts it went. Records carry a version octet in front; writes are optimistic, so that two daemons or a
//! person and a job never overwrite each other.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::domain::address::EmailAddress;
use crate::domain::group::GroupCode;
use crate::domain::id::{LiaisonId, PostId};
use crate::domain::language::Language;
use crate::domain::liaison::event::{State, fold};
use crate::domain::liaison::statement::{Doubt, Statement};
use crate::domain::post::BodyRef;
use crate::service::{Failure, Services};
use crate::store::{StoreError, record};

/// Register of dossiers, by identifier.
const DOSSIERS: &str = "liaison";
/// Register of stored files, by SHA-256.
const FILES: &str = "liaison-file";
/// Register of what is due: `SECONDS|ID`.
const DUE: &str = "liaison-due";
/// Register of each group's turn: its version orders those who keep a statement at the same time; holds the last number.
const TURNS: &str = "liaison-turn";
/// Most statements whose outlines are kept in memory, some kilobytes each.
const KEPT: usize = 5_000;
/// Entries read at a time.
const PAGE: usize = 100;

/// A statement with what has to be remembered of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dossier {
    /// The statement.
    pub statement: Statement,
    /// Who posted it; `None` for a draft of the service.
    pub poster: Option<EmailAddress>,
    /// What the reader of its mails was not sure of.
    pub doubts: Vec<Doubt>,
    /// Each field that was found, with its place in words: `deadline` in `table of …`.
    pub found: Vec<(String, String)>,
    /// Message-IDs that its mails answer, the nearest first.
    pub answers: Vec<String>,
    /// When it goes out, once nothing holds it.
    pub goes_out_at: Option<DateTime<Utc>>,
    /// When those who wait for a language get what is there.
    pub waits_until: Option<DateTime<Utc>>,
    /// The mails it came by, as posts.
    pub mails: Vec<PostId>,
    /// Posts by which it went out, oldest first.
    pub sent: Vec<Sent>,
    /// Key of what it drafts (`SG12RG-AMR created`), if the service wrote it.
    pub draft: Option<String>,
}

/// A post by which it went out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    /// Which.
    pub post: PostId,
    /// When it was made.
    pub at: DateTime<Utc>,
    /// Revision of the statement then.
    pub revision: u16,
    /// Languages in it.
    pub languages: Vec<Language>,
    /// Languages for which somebody may still wait.
    pub coming: Vec<Language>,
}

impl Dossier {
    /// A dossier of a statement of which nothing else is known yet.
    pub fn new(statement: Statement) -> Self {
        Self {
            statement,
            poster: None,
            doubts: Vec::new(),
            found: Vec::new(),
            answers: Vec::new(),
            goes_out_at: None,
            waits_until: None,
            mails: Vec::new(),
            sent: Vec::new(),
            draft: None,
        }
    }

    /// State by its events alone, without the day.
    pub fn state(&self) -> State {
        fold(&self.statement.events, self.statement.awaits_reply())
    }

    /// Is it held because another statement had its symbol first (V13)?
    pub fn lost_its_symbol(&self) -> bool {
        self.state() == State::Held && self.statement.lost_its_symbol()
    }

    /// Has anything of the present revision gone out?
    pub fn is_out(&self) -> bool {
        !self.of_revision().is_empty()
    }

    /// Posts of the present revision.
    pub fn of_revision(&self) -> Vec<&Sent> {
        let revision = self.revision();
        self.sent.iter().filter(|sent| sent.revision == revision).collect()
    }

    /// Revision of its symbol; 0 without one.
    pub fn revision(&self) -> u16 {
        self.statement.symbol.as_ref().map_or(0, |symbol| symbol.revision)
    }

    /// Languages of the present revision that went out.
    pub fn languages_out(&self) -> Vec<Language> {
        let mut languages: Vec<Language> = self.of_revision().into_iter().flat_map(|sent| sent.languages.clone()).collect();
        languages.sort_unstable();
        languages.dedup();
        languages
    }
}

/// A dossier with the version of its record.
pub async fn find(services: &Services, id: LiaisonId) -> Result<Option<(u64, Dossier)>, Failure> {
    let Some((version, bytes)) = services.store.entry(DOSSIERS, &id.to_string()).await? else { return Ok(None) };
    Ok(Some((version, record::decode(&format!("statement {id}"), &bytes)?)))
}

/// All dossiers, oldest first.
pub async fn all(services: &Services) -> Result<Vec<Dossier>, Failure> {
    let mut dossiers = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let page = services.store.entries(DOSSIERS, after.as_deref(), PAGE).await?;
        let Some((last, ..)) = page.last() else { return Ok(dossiers) };
        after = Some(last.clone());
        for (key, _, bytes) in &page {
            dossiers.push(record::decode(&format!("statement {key}"), bytes)?);
        }
    }
}

/// All dossiers, oldest first, without the texts of their editions; kept in memory until one changes, up to [`KEPT`] of them.
pub async fn outlines(services: &Services) -> Result<Arc<Vec<Dossier>>, Failure> {
    let (backend, now) = (services.config.store.backend, services.now());
    let mark = match services.statements.get(backend, now) {
        Ok(kept) => return Ok(kept),
        Err(mark) => mark,
    };
    let mut dossiers = all(services).await?;
    for edition in dossiers.iter_mut().flat_map(|dossier| &mut dossier.statement.editions) {
        edition.text = String::new();
    }
    dossiers.shrink_to_fit();
    let dossiers = Arc::new(dossiers);
    if dossiers.len() <= KEPT {
        services.statements.keep(mark, now, Arc::clone(&dossiers));
    }
    Ok(dossiers)
}

/// Writes a dossier whose record is still of version `expected` (0: new).
pub async fn put(services: &Services, dossier: &Dossier, expected: u64) -> Result<(), Failure> {
    let id = dossier.statement.id;
    let written = services.store.put_entry(DOSSIERS, &id.to_string(), expected, record::encode(dossier)?).await?;
    services.statements.changed();
    written
        .map(|_| ())
        .ok_or_else(|| Failure::Store(StoreError::Unavailable(format!("{id} was changed by somebody else at this moment; try again"))))
}

/// A group's turn: its version, and the last number that was given.
pub async fn turn(services: &Services, group: &GroupCode) -> Result<(u64, u32), Failure> {
    match services.store.entry(TURNS, group.as_str()).await? {
        Some((version, bytes)) => Ok((version, record::decode(&format!("the numbering of {group}"), &bytes)?)),
        None => Ok((0, 0)),
    }
}

/// Ends a turn with the last number given; `false` if somebody else had a turn in the meantime.
pub async fn end_turn(services: &Services, group: &GroupCode, version: u64, number: u32) -> Result<bool, Failure> {
    Ok(services.store.put_entry(TURNS, group.as_str(), version, record::encode(&number)?).await?.is_some())
}

/// Removes a dossier that lost its turn before anybody saw it.
pub async fn forget(services: &Services, id: LiaisonId) -> Result<(), Failure> {
    services.store.remove_entry(DOSSIERS, &id.to_string()).await?;
    services.statements.changed();
    Ok(())
}

/// Notes that the dossier is to be looked at then.
pub async fn put_due(services: &Services, at: DateTime<Utc>, id: LiaisonId) -> Result<(), Failure> {
    let key = due_key(at, id);
    if services.store.entry(DUE, &key).await?.is_none() {
        services.store.put_entry(DUE, &key, 0, record::encode(&())?).await?;
    }
    Ok(())
}

/// What is due at `now`, and when the next thing is.
pub async fn due(services: &Services, now: DateTime<Utc>) -> Result<(Vec<(String, LiaisonId)>, Option<DateTime<Utc>>), Failure> {
    let mut due = Vec::new();
    for (key, ..) in services.store.entries(DUE, None, PAGE).await? {
        let Some((at, id)) = key.split_once('|').and_then(|(at, id)| Some((at.parse::<i64>().ok()?, id.parse().ok()?))) else { continue };
        if at > now.timestamp() {
            return Ok((due, DateTime::from_timestamp(at, 0)));
        }
        due.push((key, id));
    }
    Ok((due, None))
}

/// It was looked at.
pub async fn done(services: &Services, key: &str) -> Result<(), Failure> {
    Ok(services.store.remove_entry(DUE, key).await?)
}

fn due_key(at: DateTime<Utc>, id: LiaisonId) -> String {
    format!("{:012}|{id}", at.timestamp().max(0))
}

/// A file that is stored already, by its content.
pub async fn file(services: &Services, sha256: &str) -> Result<Option<BodyRef>, Failure> {
    let Some((_, bytes)) = services.store.entry(FILES, sha256).await? else { return Ok(None) };
    Ok(Some(record::decode(&format!("file {sha256}"), &bytes)?))
}

/// Notes where the file of that content lies.
pub async fn put_file(services: &Services, sha256: &str, body: &BodyRef) -> Result<(), Failure> {
    // Who comes second with the same content changes nothing.
    services.store.put_entry(FILES, sha256, 0, record::encode(body)?).await?;
    Ok(())
}

/// Register of the readers' wishes for one group, by account.
fn wishes_of(group: &GroupCode) -> String {
    format!("liaison-wish {group}")
}

/// Wishes of a group's readers, raw.
pub async fn wishes(services: &Services, group: &GroupCode) -> Result<Vec<(String, Vec<u8>)>, Failure> {
    let (register, mut all, mut after) = (wishes_of(group), Vec::new(), None::<String>);
    loop {
        let page = services.store.entries(&register, after.as_deref(), 500).await?;
        let Some((last, ..)) = page.last() else { return Ok(all) };
        after = Some(last.clone());
        all.extend(page.into_iter().map(|(key, _, bytes)| (key, bytes)));
    }
}

/// Reads what [`put_wish`] wrote.
pub fn read_wish<T: DeserializeOwned>(bytes: &[u8], account: &str) -> Result<T, Failure> {
    Ok(record::decode(&format!("the wish of {account}"), bytes)?)
}

/// Writes or removes a wish.
pub async fn put_wish<T: Serialize>(services: &Services, group: &GroupCode, account: &str, wish: Option<&T>) -> Result<(), Failure> {
    let register = wishes_of(group);
    let Some(wish) = wish else { return Ok(services.store.remove_entry(&register, account).await?) };
    let version = services.store.entry(&register, account).await?.map_or(0, |(version, _)| version);
    services.store.put_entry(&register, account, version, record::encode(wish)?).await?;
    Ok(())
}
