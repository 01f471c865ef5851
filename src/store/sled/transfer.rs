//! Everything in the embedded store as items.
//!
//! For a snapshot the committer stands still while all rows are copied into a file, which takes about a second for a
//! million accounts; callers wait meanwhile and are not refused. Bodies are never changed, so they are read afterwards.
//! Slices of plans and sheets lie among the bodies; they come as part of their batch and are passed over there.

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use tokio::sync::oneshot;

use super::committer::{Frozen, Order};
use super::database::sled_error;
use super::ledger::{BatchRow, PlanRow, Sheet, load, shift};
use super::rows::{Rows, unfold};
use super::writer::Writer;
use super::{Shared, SledStore, keys, pages};
use crate::domain::group::Group;
use crate::domain::id::PostId;
use crate::domain::ledger::Counts;
use crate::domain::post::BodyRef;
use crate::domain::subscription::Subscription;
use crate::store::body::{Bodies, HEADER, Piece, io_error, open_file};
use crate::store::transfer::{BatchItem, Item, PAGE_ITEMS, PAGE_OCTETS, PIECE, Page, Place, Snapshot, Transfer};
use crate::store::{Result, StoreError, record};

/// Kinds of rows that are shown; the others are indexes of these, or follow from them.
const SHOWN: &[u8] = b"ADGPRabceknrs";

/// Rows of one instant in a file without a name, and what is needed to look things up.
struct Spool {
    file: BufReader<File>,
    /// What became later of recipients of finished batches.
    amendments: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Pieces among the bodies that belong to rows.
    of_rows: HashSet<String>,
    segments: Vec<(u32, u64)>,
    large: Vec<String>,
    /// The last row that was read.
    at: Vec<u8>,
}

/// What [`load`] looks at.
struct Amendments<'a> {
    rows: &'a BTreeMap<Vec<u8>, Vec<u8>>,
    bodies: &'a Bodies,
}

impl Rows for Amendments<'_> {
    fn raw(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        Ok(self.rows.get(key).cloned())
    }

    fn at_or_before(&self, prefix: &[u8], key: &[u8]) -> Result<Option<(Vec<u8>, Vec<u8>)>> {
        let found = self.rows.range(..=key.to_vec()).next_back();
        Ok(found.filter(|(key, _)| key.starts_with(prefix)).map(|(key, value)| (key.clone(), value.clone())))
    }

    fn behind(&self, prefix: &[u8], key: &[u8]) -> Result<Option<(Vec<u8>, Vec<u8>)>> {
        let found = self.rows.range((std::ops::Bound::Excluded(key.to_vec()), std::ops::Bound::Unbounded)).next();
        Ok(found.filter(|(key, _)| key.starts_with(prefix)).map(|(key, value)| (key.clone(), value.clone())))
    }

    fn bodies(&self) -> &Bodies {
        self.bodies
    }
}

fn spool_error(error: &std::io::Error) -> StoreError {
    io_error("using", std::path::Path::new("the copy of all rows"), error)
}

/// Copies all rows; runs while nothing changes.
fn spool(shared: &Shared) -> Result<Spool> {
    let path = shared.root.join("snapshot");
    let _ = std::fs::remove_file(&path);
    let mut file = BufWriter::new(open_file(&path, true)?);
    // Gone with its last reader, also when the process is killed.
    let _ = std::fs::remove_file(&path);
    let (mut amendments, mut of_rows) = (BTreeMap::new(), HashSet::new());
    shared.with_database(|database| {
        for row in database.sled.iter() {
            let (key, stored) = row.map_err(|e| sled_error(&e))?;
            match key.first() {
                Some(b'x') => drop(amendments.insert(key.to_vec(), stored.to_vec())),
                Some(kind) if SHOWN.contains(kind) => {
                    if stored.first() == Some(&1) {
                        of_rows.insert(record::decode::<BodyRef>("the place of a long row", &stored[1..])?.key);
                    }
                    if keys::batch_of(&key).is_some() {
                        let batch: BatchRow = record::decode("a batch", &unfold(&shared.bodies, &key, &stored)?)?;
                        of_rows.insert(batch.plan.key);
                        of_rows.extend(batch.sheet.map(|sheet| sheet.key));
                    }
                    write_frame(&mut file, &key, &stored).map_err(|e| spool_error(&e))?;
                }
                // Long rows of an index lie among the bodies too.
                _ if stored.first() == Some(&1) => {
                    of_rows.insert(record::decode::<BodyRef>("the place of a long row", &stored[1..])?.key);
                }
                _ => {}
            }
        }
        Ok(())
    })?;
    let (segments, large) = shared.bodies.inventory()?;
    let mut file = file.into_inner().map_err(|e| spool_error(e.error()))?;
    file.seek(SeekFrom::Start(0)).map_err(|e| spool_error(&e))?;
    Ok(Spool { file: BufReader::new(file), amendments, of_rows, segments, large, at: Vec::new() })
}

fn write_frame(file: &mut impl Write, key: &[u8], value: &[u8]) -> std::io::Result<()> {
    for part in [key, value] {
        file.write_all(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_le_bytes())?;
        file.write_all(part)?;
    }
    Ok(())
}

fn read_part(file: &mut impl Read) -> std::io::Result<Option<Vec<u8>>> {
    let mut length = [0; 4];
    match file.read_exact(&mut length) {
        Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    }
    let mut part = vec![0; u32::from_le_bytes(length) as usize];
    file.read_exact(&mut part)?;
    Ok(Some(part))
}

impl Spool {
    fn next_row(&mut self) -> Result<Option<(Vec<u8>, Vec<u8>)>> {
        let read = |file: &mut BufReader<File>| read_part(file).map_err(|e| spool_error(&e));
        let (Some(key), Some(value)) = (read(&mut self.file)?, read(&mut self.file)?) else { return Ok(None) };
        self.at.clone_from(&key);
        Ok(Some((key, value)))
    }

    /// Goes to the row behind `key`.
    fn seek(&mut self, key: &[u8]) -> Result<()> {
        if self.at == key {
            return Ok(());
        }
        self.file.seek(SeekFrom::Start(0)).map_err(|e| spool_error(&e))?;
        self.at.clear();
        loop {
            let place = self.file.stream_position().map_err(|e| spool_error(&e))?;
            match self.next_row()? {
                None => return Ok(()),
                Some((found, _)) if found.as_slice() > key => {
                    self.file.seek(SeekFrom::Start(place)).map_err(|e| spool_error(&e))?;
                    self.at = key.to_vec();
                    return Ok(());
                }
                Some(_) => {}
            }
        }
    }

    /// Pieces of segments behind a segment and offset, then large ones by name, then rows by key.
    fn page(&mut self, bodies: &Bodies, place: &Place) -> Result<Page> {
        match place.0.split_first() {
            None => self.pieces(bodies, 0, 0),
            Some((0, rest)) if rest.len() == 12 => {
                let (number, offset) = rest.split_at(4);
                let number = u32::from_be_bytes(number.try_into().unwrap_or_default());
                self.pieces(bodies, number, u64::from_be_bytes(offset.try_into().unwrap_or_default()))
            }
            Some((1, rest)) => self.large_piece(bodies, rest),
            Some((_, rest)) => self.rows(bodies, rest),
        }
    }

    fn pieces(&self, bodies: &Bodies, number: u32, mut offset: u64) -> Result<Page> {
        let (mut items, mut octets) = (Vec::new(), 0);
        for (segment, end) in self.segments.iter().filter(|(segment, _)| *segment >= number) {
            if *segment != number {
                offset = 0;
            }
            while let Some(piece) = piece_at(bodies, *segment, offset, *end)? {
                if octets > PAGE_OCTETS {
                    return Ok((items, Some(Place([&[0][..], &segment.to_be_bytes(), &offset.to_be_bytes()].concat()))));
                }
                offset = piece.next;
                if !piece.is_hole && !self.of_rows.contains(&piece.body.key) {
                    let bytes = match bodies.read(&piece.body) {
                        Ok(bytes) => bytes,
                        // Swept since we looked, so nothing names it.
                        Err(_)
                            if bodies.piece_at(*segment, piece.next - piece.body.octets - HEADER, *end)?.is_some_and(|now| now.is_hole) =>
                        {
                            continue;
                        }
                        Err(e) => return Err(e),
                    };
                    octets += bytes.len() + 64;
                    items.extend(cut(&piece.body, piece.crc, &bytes));
                }
            }
        }
        Ok((items, Some(Place(vec![1]))))
    }

    fn large_piece(&self, bodies: &Bodies, after: &[u8]) -> Result<Page> {
        let next = self.large.iter().find(|name| name.as_bytes() > after && !self.of_rows.contains(*name));
        let Some(name) = next else { return Ok((Vec::new(), Some(Place(vec![2])))) };
        let next = Some(Place([&[1], name.as_bytes()].concat()));
        match bodies.large(name).and_then(|(body, crc)| Ok((bodies.read(&body)?, body, crc))) {
            Ok((bytes, body, crc)) => Ok((cut(&body, crc, &bytes).collect(), next)),
            // Swept since they were counted, so nothing names it.
            Err(_) if !bodies.has_large(name) => Ok((Vec::new(), next)),
            Err(e) => Err(e),
        }
    }

    fn rows(&mut self, bodies: &Bodies, after: &[u8]) -> Result<Page> {
        self.seek(after)?;
        let (mut items, mut octets) = (Vec::new(), 0);
        while let Some((key, stored)) = self.next_row()? {
            let before = items.len();
            self.show(bodies, &key, &unfold(bodies, &key, &stored)?, &mut items)?;
            octets += items[before..].iter().map(Item::octets).sum::<usize>();
            if octets > PAGE_OCTETS || items.len() > PAGE_ITEMS {
                return Ok((items, Some(Place([&[2], key.as_slice()].concat()))));
            }
        }
        Ok((items, None))
    }

    fn show(&self, bodies: &Bodies, key: &[u8], row: &[u8], items: &mut Vec<Item>) -> Result<()> {
        let at = || row.first_chunk::<8>().map_or(0, |bytes| i64::from_be_bytes(*bytes));
        let named = || keys::name_and_rest(key).ok_or_else(|| record::damaged("a row", "its key does not add up"));
        match key.first() {
            Some(b'A') => {
                for (_, value) in pages::unpack(row)? {
                    items.push(Item::Account(record::decode("an account", &value)?));
                }
            }
            Some(b'D') => {
                for (_, value) in pages::unpack(row)? {
                    items.push(Item::Subscription(record::decode_grown("a subscription", &value)?));
                }
            }
            Some(b'G') => items.push(Item::Group(record::decode_grown("a group", row)?)),
            Some(b'P') => items.push(Item::Post(record::decode("a post", row)?)),
            Some(b'R') => items.push(Item::Repetition(key[1..].to_vec(), PostId(keys::last_number(row)))),
            Some(b'a') => items.push(Item::Audit(record::decode("an entry of the audit trail", row)?)),
            Some(b'b') => items.push(Item::Batch(Box::new(self.batch(bodies, key, row)?))),
            Some(b'c') => {
                let plan: PlanRow = record::decode("a plan", row)?;
                items.push(Item::Plan(PostId(keys::last_number(key)), plan.batches, plan.counts));
            }
            Some(b'e') => {
                let (register, name) = named()?;
                let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
                let (version, contents) =
                    row.split_at_checked(8).ok_or_else(|| record::damaged("an entry of a register", "it has no version"))?;
                items.push(Item::Entry(text(register), text(name), keys::last_number(version), contents.to_vec()));
            }
            Some(b'k') => {
                let (kind, name) = named()?;
                items.push(Item::Mark(kind.to_vec(), name.to_vec(), at()));
            }
            Some(b'n') => {
                let (kind, name) = named()?;
                items.push(Item::Counter(kind.to_vec(), name.to_vec(), at(), keys::last_number(row)));
            }
            Some(b'r') => items.push(Item::Request(record::decode("a request", row)?)),
            Some(b's') => items.push(Item::Setting(key[1..].to_vec(), row.to_vec())),
            _ => {}
        }
        Ok(())
    }

    fn batch(&self, bodies: &Bodies, key: &[u8], row: &[u8]) -> Result<BatchItem> {
        let key = keys::batch_of(key).ok_or_else(|| record::damaged("a batch", "its key does not add up"))?;
        let row: BatchRow = record::decode("a batch", row)?;
        let (plan, sheet) = load(&Amendments { rows: &self.amendments, bodies }, key, &row)?;
        let BatchRow { planned_at, tries, due, .. } = row;
        Ok(BatchItem { post: key.post, number: key.number, planned_at, tries, due, recipients: sheet.records(plan) })
    }
}

/// The piece at `offset`; none in a segment that was swept away since we looked, for nothing names it.
fn piece_at(bodies: &Bodies, segment: u32, offset: u64, end: u64) -> Result<Option<Piece>> {
    match bodies.piece_at(segment, offset, end) {
        Err(_) if !bodies.has_segment(segment) => Ok(None),
        piece => piece,
    }
}

fn cut(body: &BodyRef, crc: u32, bytes: &bytes::Bytes) -> impl Iterator<Item = Item> {
    let (body, bytes) = (body.clone(), bytes.clone());
    let pieces = bytes.len().div_ceil(PIECE).max(1);
    (0..pieces).map(move |piece| {
        let from = piece * PIECE;
        let some = bytes.slice(from..bytes.len().min(from + PIECE)).to_vec();
        Item::Body { key: body.key.clone(), octets: body.octets, crc, offset: from as u64, bytes: some }
    })
}

/// While it lives, nothing that a snapshot may name is emptied.
struct Reading(Arc<Shared>);

impl Reading {
    fn of(shared: Arc<Shared>) -> Self {
        shared.snapshots.fetch_add(1, Ordering::AcqRel);
        Self(shared)
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.0.snapshots.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A snapshot in the hands of a reader.
struct SledSnapshot {
    reading: Reading,
    spool: Option<Spool>,
}

#[async_trait]
impl Snapshot for SledSnapshot {
    async fn page(&mut self, place: &Place) -> Result<Page> {
        let lost = || StoreError::Unavailable("the snapshot is lost: begin again".into());
        let mut spool = self.spool.take().ok_or_else(lost)?;
        let (shared, place) = (self.reading.0.clone(), place.clone());
        let work = tokio::task::spawn_blocking(move || {
            let page = spool.page(&shared.bodies, &place);
            (spool, page)
        });
        let (spool, page) = work.await.map_err(|_| lost())?;
        self.spool = Some(spool);
        page
    }
}

impl Writer<'_> {
    /// Writes a row unless it is there as it is: a long one would leave a second piece among the bodies.
    fn put_once(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        if self.changes.get(key)?.is_some_and(|present| present == value) { Ok(()) } else { self.changes.put(key, value) }
    }

    fn import(&mut self, item: &Item) -> Result<()> {
        match item {
            Item::Body { .. } => Ok(()),
            Item::Group(group) => self.put_once(&keys::group(&group.code), &record::encode_grown::<Group>(group)?),
            Item::Account(account) => self.put_account(account).and_then(|()| self.put_account_count()),
            Item::Subscription(one) => self.put_subscription(one),
            Item::Setting(name, value) => self.put_once(&keys::with_octets(vec![b's'], name), value),
            Item::Entry(register, key, version, contents) => {
                self.put_once(&keys::entry(register, key), &[&version.to_be_bytes(), contents.as_slice()].concat())
            }
            Item::Request(request) => self.put_once(&keys::request(request.id.0), &record::encode(request)?),
            Item::Mark(kind, key, at) => self.put_once(&keys::with_octets(keys::named_octets(b'k', kind), key), &at.to_be_bytes()),
            Item::Counter(kind, key, at, count) => {
                let row = [at.to_be_bytes(), count.to_be_bytes()].concat();
                self.put_once(&keys::with_octets(keys::named_octets(b'n', kind), key), &row)
            }
            Item::Audit(entry) => self.put_audit(entry, true),
            Item::Post(post) => {
                let old = self.post(post.id)?;
                if old.as_ref() == Some(post) { Ok(()) } else { self.write_post(old.as_ref(), post) }
            }
            Item::Repetition(key, post) => self.put_once(&keys::with_octets(vec![b'R'], key), &post.0.to_be_bytes()),
            Item::Plan(post, batches, counts) => self.import_plan(*post, *batches, *counts),
            Item::Batch(batch) => self.import_batch(batch),
        }
    }

    fn put_subscription(&mut self, one: &Subscription) -> Result<()> {
        keys::SUBSCRIPTIONS.put(&mut self.changes, &keys::subscription(&one.group, one.account), &record::encode_grown(one)?)?;
        keys::MEMBERSHIPS.put(&mut self.changes, &keys::membership(one.account, &one.group), &[])?;
        Ok(())
    }

    fn import_plan(&mut self, post: PostId, batches: u32, counts: Counts) -> Result<()> {
        let old = self.changes.get(&keys::plan(post))?;
        let before: PlanRow = old.map(|row| record::decode("a plan", &row)).transpose()?.unwrap_or_default();
        shift(&mut self.ledger.total, &before.counts, &counts);
        shift(&mut self.ledger.total_folded, &before.counts, &counts);
        let total = self.ledger.total_folded;
        self.changes.put(&keys::meta("total"), &record::encode(&total)?)?;
        if counts.open() > 0 {
            self.changes.put(&keys::open(post), &[])?;
        }
        self.changes.put(&keys::plan(post), &record::encode(&PlanRow { batches, counts })?)
    }

    fn import_batch(&mut self, batch: &BatchItem) -> Result<()> {
        let key = crate::store::BatchKey { post: batch.post, number: batch.number };
        let plan: Vec<_> = batch.recipients.iter().map(|recipient| recipient.planned.clone()).collect();
        let sheet = Sheet::of_records(&batch.recipients);
        let present = self.changes.get(&keys::batch(key))?.map(|row| record::decode::<BatchRow>("a batch", &row)).transpose()?;
        if let Some(row) = present.filter(|row| (row.due, row.tries) == (batch.due, batch.tries))
            && load(&self.changes, key, &row)? == (plan.clone(), sheet.clone())
        {
            return Ok(());
        }
        let row = BatchRow {
            planned_at: batch.planned_at,
            plan: self.shared.bodies.append(&record::encode(&plan)?)?,
            sheet: Some(self.shared.bodies.append(&record::encode(&sheet)?)?),
            tries: batch.tries,
            due: batch.due,
            counts: sheet.counts(),
        };
        self.changes.put(&keys::batch(key), &record::encode(&row)?)
    }
}

#[async_trait]
impl Transfer for SledStore {
    async fn snapshot(&self) -> Result<Box<dyn Snapshot>> {
        let (sender, receiver) = oneshot::channel();
        let reading = Reading::of(self.shared.clone());
        let read: Frozen = Box::new(move |folded, shared| {
            let _ = sender.send(folded.and_then(|()| spool(shared)));
        });
        self.send(Order::Freeze(read))?;
        let lost = || StoreError::Unavailable("the rows could not be copied: see the log".into());
        let spool = receiver.await.map_err(|_| lost())??;
        Ok(Box::new(SledSnapshot { reading, spool: Some(spool) }))
    }

    async fn import(&self, items: Vec<Item>) -> Result<()> {
        let items = Arc::new(items);
        let placed = items.clone();
        self.blocking(move |shared| {
            let mut bodies = Vec::new();
            for item in placed.iter() {
                if let Item::Body { key, octets, crc, offset, bytes } = item {
                    let body = BodyRef { key: key.clone(), octets: *octets };
                    shared.bodies.place(&body, *crc, *offset, bytes)?;
                    bodies.push(body);
                }
            }
            if bodies.is_empty() { Ok(()) } else { shared.bodies.sync_placed(&bodies) }
        })
        .await?;
        self.change(move |w| items.iter().try_for_each(|item| w.import(item))).await
    }
}
