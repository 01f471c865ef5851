//! Message bodies in the database: a row with length and checksum, and chunks, so that no more than one is in memory.
//!
//! A body is written without waiting for the disk where one log holds all changes (plain PostgreSQL): the post that
//! names it is committed after it, with waiting, and so makes both durable. Elsewhere it is waited for.

use std::path::{Path, PathBuf};

use bytes::{Bytes, BytesMut};
use futures_util::TryStreamExt;
use sqlx::PgConnection;
use tokio::io::AsyncReadExt;

use super::Access;
use super::session::{CHANGE, Fault, statement, transaction};
use crate::domain::post::BodyRef;
use crate::store::body::io_error;
use crate::store::{BodySource, Result, StoreError, record};

/// Octets of a chunk.
const CHUNK: usize = 256 * 1024;
/// The transaction of a body whose post is committed later.
const WITHOUT_WAITING: &str = "BEGIN; SET LOCAL synchronous_commit = off";

fn new_key(crc: u32) -> Result<String> {
    let chance = getrandom::u64().map_err(|e| StoreError::Unavailable(format!("no random numbers: {e}")))?;
    // Time first, so that new bodies lie together in the index.
    let at = chrono::Utc::now().timestamp_nanos_opt().unwrap_or(0).cast_unsigned();
    Ok(format!("f-{at:016x}{chance:016x}-{crc:08x}"))
}

async fn put_row(connection: &mut PgConnection, body: &BodyRef, crc: u32) -> std::result::Result<(), Fault> {
    sqlx::query("INSERT INTO bodies (key, octets, crc) VALUES ($1, $2, $3)")
        .bind(body.key.as_bytes())
        .bind(i64::try_from(body.octets).unwrap_or(i64::MAX))
        .bind(i64::from(crc))
        .execute(connection)
        .await?;
    Ok(())
}

async fn put_chunk(connection: &mut PgConnection, key: &str, number: i32, bytes: &[u8]) -> std::result::Result<(), Fault> {
    let query = sqlx::query("INSERT INTO chunks (key, number, bytes) VALUES ($1, $2, $3)");
    query.bind(key.as_bytes()).bind(number).bind(bytes).execute(connection).await?;
    Ok(())
}

impl Access {
    fn body_transaction(&self) -> &'static str {
        if self.one_log { WITHOUT_WAITING } else { CHANGE }
    }

    /// Stores what a source holds.
    pub(super) async fn put_body(&self, incoming: &Path, source: BodySource) -> Result<BodyRef> {
        match source {
            BodySource::Bytes(bytes) => {
                let crc = crc32fast::hash(&bytes);
                let body = BodyRef { key: new_key(crc)?, octets: bytes.len() as u64 };
                self.put_bytes(&body, crc, &bytes).await?;
                Ok(body)
            }
            BodySource::File(path) => {
                if path.parent() != Some(incoming) {
                    return Err(StoreError::Unavailable(format!("{} is not in {}", path.display(), incoming.display())));
                }
                let body = self.put_file(&path).await?;
                let _ = tokio::fs::remove_file(&path).await;
                Ok(body)
            }
        }
    }

    /// Stores bytes under a name that is given.
    pub(super) async fn put_bytes(&self, body: &BodyRef, crc: u32, bytes: &Bytes) -> Result<()> {
        if bytes.len() <= CHUNK {
            return Ok(transaction!(self, self.body_transaction(), |connection| {
                // One statement, one round trip.
                let query = sqlx::query(
                    "WITH chunk AS (INSERT INTO chunks (key, number, bytes) SELECT $1, 0, $4::bytea) \
                     INSERT INTO bodies (key, octets, crc) VALUES ($1, $2, $3)",
                );
                let octets = i64::try_from(body.octets).unwrap_or(i64::MAX);
                query.bind(body.key.as_bytes()).bind(octets).bind(i64::from(crc)).bind(&bytes[..]).execute(connection).await?;
                Ok(())
            })?);
        }
        Ok(transaction!(self, self.body_transaction(), |connection| {
            for (number, chunk) in (0..).zip(bytes.chunks(CHUNK)) {
                put_chunk(connection, &body.key, number, chunk).await?;
            }
            put_row(connection, body, crc).await
        })?)
    }

    async fn put_file(&self, path: &Path) -> Result<BodyRef> {
        let (crc, octets) = checksum(path.to_owned()).await?;
        let body = BodyRef { key: new_key(crc)?, octets };
        transaction!(self, self.body_transaction(), |connection| {
            let mut file = tokio::fs::File::open(path).await.map_err(|e| io_error("opening", path, &e))?;
            for number in 0.. {
                let mut chunk = Vec::with_capacity(CHUNK);
                (&mut file).take(CHUNK as u64).read_to_end(&mut chunk).await.map_err(|e| io_error("reading", path, &e))?;
                if chunk.is_empty() && number > 0 {
                    break;
                }
                put_chunk(connection, &body.key, number, &chunk).await?;
            }
            put_row(connection, &body, crc).await
        })?;
        Ok(body)
    }

    /// All bytes of a body, checked.
    pub(super) async fn body(&self, body: &BodyRef) -> Result<Bytes> {
        let what = format!("body {}", body.key);
        let octets = usize::try_from(body.octets).unwrap_or(usize::MAX);
        let bytes: Option<(Bytes, i64)> = statement!(self, |connection| {
            let mut rows = sqlx::query_as::<_, (Vec<u8>, i64)>(
                "SELECT c.bytes, b.crc FROM bodies b JOIN chunks c ON c.key = b.key WHERE b.key = $1 ORDER BY c.number",
            )
            .bind(body.key.as_bytes())
            .fetch(connection);
            let Some((first, crc)) = rows.try_next().await? else { return Ok(None) };
            if first.len() == octets {
                while rows.try_next().await?.is_some() {}
                return Ok(Some((Bytes::from(first), crc)));
            }
            let mut all = BytesMut::with_capacity(octets.min(1 << 30));
            all.extend_from_slice(&first);
            while let Some((chunk, _)) = rows.try_next().await? {
                all.extend_from_slice(&chunk);
            }
            Ok(Some((all.freeze(), crc)))
        })?;
        let Some((bytes, crc)) = bytes else { return Err(record::damaged(&what, "it is gone")) };
        if bytes.len() != octets {
            return Err(record::damaged(&what, "its length is wrong"));
        }
        if i64::from(crc32fast::hash(&bytes)) != crc {
            return Err(record::damaged(&what, "its checksum is wrong"));
        }
        Ok(bytes)
    }
}

/// Are all of them there in full length?
pub(super) async fn check(connection: &mut PgConnection, bodies: &[BodyRef]) -> std::result::Result<(), Fault> {
    let keys: Vec<&[u8]> = bodies.iter().map(|body| body.key.as_bytes()).collect();
    let rows: Vec<(Vec<u8>, i64)> =
        sqlx::query_as("SELECT key, octets FROM bodies WHERE key = ANY($1)").bind(keys).fetch_all(connection).await?;
    for body in bodies {
        let found = rows.iter().find(|(key, _)| key == body.key.as_bytes());
        if found.is_none_or(|(_, octets)| octets.cast_unsigned() != body.octets) {
            return Err(Fault::Store(StoreError::Unavailable(format!("body {} is not there in full length; hand it in again", body.key))));
        }
    }
    Ok(())
}

async fn checksum(path: PathBuf) -> Result<(u32, u64)> {
    let work = move || {
        let mut file = std::fs::File::open(&path).map_err(|e| io_error("opening", &path, &e))?;
        let (mut crc, mut octets, mut buffer) = (crc32fast::Hasher::new(), 0, vec![0; CHUNK]);
        loop {
            let count = std::io::Read::read(&mut file, &mut buffer).map_err(|e| io_error("reading", &path, &e))?;
            if count == 0 {
                return Ok((crc.finalize(), octets));
            }
            crc.update(&buffer[..count]);
            octets += count as u64;
        }
    };
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|e| Err(StoreError::Unavailable(format!("reading a body: {e}"))))
}
