//! The index on disk, and the questions it answers.
//!
//! One index for all groups; a post is one entry, whatever the number of its groups and editions. The writer is opened when there
//! is work and closed afterwards, because it keeps threads and memory. Everything here blocks: call it on a blocking thread.
//! A folder of another form, or one that is damaged, is put aside and begun anew ([`Index::open`] says so): the service fills it.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use tantivy::collector::{Count, TopDocs};
use tantivy::directory::MmapDirectory;
use tantivy::query::{AllQuery, BooleanQuery, BoostQuery, ConstScoreQuery, Occur, PhraseQuery, Query, RangeQuery, TermQuery};
use tantivy::schema::{FAST, Field, INDEXED, IndexRecordOption, STORED, STRING, Schema, TextFieldIndexing, TextOptions, Value};
use tantivy::tokenizer::TextAnalyzer;
use tantivy::{DocAddress, IndexReader, IndexWriter, Order, ReloadPolicy, Searcher, TantivyDocument, Term};

use super::analysis::{self, FIELDS};
use super::question::{Part, Place, Question};
use crate::domain::group::GroupCode;
use crate::domain::id::PostId;
use crate::domain::language::Language;
use crate::domain::post::PostKind;

/// Form of the index; another one lies in another folder. Count it up when fields or analysis change, or with tantivy.
pub const FORM: u32 = 1;
/// Memory that the writer may use before it writes a segment.
const WRITER_OCTETS: usize = 48 * 1024 * 1024;
/// A file that is there while somebody writes.
const AT_WORK: &str = "at-work";
/// An index up to this size has its checksums looked at whenever it is opened.
const CHECKED_OCTETS: u64 = 32 * 1024 * 1024;
/// Most octets of text of one entry that are indexed; a longer text is cut.
pub const TEXT_OCTETS: usize = 512 * 1024;

/// What can go wrong.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SearchError {
    /// The index does not work; it is made again from the record, so nothing is lost.
    #[error("the search index in {folder}: {text}; it is made again by itself, or remove the folder and start the service again")]
    Index {
        /// Where it lies.
        folder: String,
        /// What the library says.
        text: String,
    },
}

/// A post as the index takes it.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Which.
    pub post: PostId,
    /// In which groups.
    pub groups: Vec<GroupCode>,
    /// What kind of message.
    pub kind: PostKind,
    /// Message-ID of the post and of each of its editions, without angle brackets.
    pub message_ids: Vec<String>,
    /// Message-IDs it answers, nearest last.
    pub references: Vec<String>,
    /// What it belongs to besides, such as one statement or meeting: posts with the same are one thread.
    pub bundle: Option<String>,
    /// Name and address of the author, as shown.
    pub author: String,
    /// The subject.
    pub subject: String,
    /// Text of each edition and attachment, with its language if that is known.
    pub texts: Vec<(Option<Language>, String)>,
}

/// One page of results.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// How many there are in all.
    pub total: usize,
    /// This page, best first.
    pub posts: Vec<PostId>,
}

/// In which posts something is looked for.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'a> {
    /// Of this group.
    pub group: &'a GroupCode,
    /// Liaison statements too?
    pub statements: bool,
}

#[derive(Debug, Clone)]
struct Fields {
    id: Field,
    thread: Field,
    message: Field,
    group: Field,
    kind: Field,
    author: Field,
    subject: Field,
    texts: Vec<(&'static str, Field)>,
}

/// The index.
pub struct Index {
    folder: PathBuf,
    index: tantivy::Index,
    fields: Fields,
    reader: IndexReader,
    writer: Mutex<Writing>,
    /// Commits since it was opened.
    generation: AtomicU64,
}

#[derive(Default)]
struct Writing {
    writer: Option<IndexWriter>,
    /// Threads of what was added since the last commit, which the reader does not know yet.
    fresh: HashMap<u64, u64>,
}

fn schema() -> (Schema, Fields) {
    let mut builder = Schema::builder();
    let text = |analyzer: &str| {
        let indexing = TextFieldIndexing::default().set_tokenizer(analyzer).set_index_option(IndexRecordOption::WithFreqsAndPositions);
        TextOptions::default().set_indexing_options(indexing)
    };
    let fields = Fields {
        id: builder.add_u64_field("id", INDEXED | FAST),
        thread: builder.add_u64_field("thread", INDEXED | FAST),
        message: builder.add_u64_field("message", INDEXED),
        group: builder.add_text_field("group", STRING),
        kind: builder.add_text_field("kind", STRING),
        author: builder.add_text_field("author", text("any") | STORED),
        subject: builder.add_text_field("subject", text("any")),
        texts: FIELDS.iter().map(|name| (*name, builder.add_text_field(&format!("text_{name}"), text(name)))).collect(),
    };
    (builder.build(), fields)
}

fn octets(folder: &Path) -> u64 {
    fs::read_dir(folder).into_iter().flatten().flatten().filter_map(|entry| entry.metadata().ok()).map(|file| file.len()).sum()
}

/// A number for a text; the same on every machine, for it is stored.
fn number(text: &str) -> u64 {
    use sha2::Digest;
    let digest = sha2::Sha256::digest(text.as_bytes());
    digest.first_chunk::<8>().map_or(0, |octets| u64::from_be_bytes(*octets))
}

impl Index {
    /// Opens the index below `root`. Older forms are removed, a damaged one is begun anew; its [`Index::note`] is empty then.
    ///
    /// # Errors
    /// When the folder cannot be written, or another process has the index.
    pub fn open(root: &Path) -> Result<Self, SearchError> {
        let folder = root.join(format!("form-{FORM}"));
        for entry in fs::read_dir(root).into_iter().flatten().flatten() {
            if entry.path() != folder && entry.file_name().to_string_lossy().starts_with("form-") {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
        match Self::open_folder(&folder) {
            Ok(index) => Ok(index),
            Err(error) => {
                tracing::warn!(%error, "The search index is made again");
                let _ = fs::remove_dir_all(&folder);
                Self::open_folder(&folder)
            }
        }
    }

    fn open_folder(folder: &Path) -> Result<Self, SearchError> {
        let failed = |text: String| SearchError::Index { folder: folder.display().to_string(), text };
        fs::create_dir_all(folder).map_err(|error| failed(error.to_string()))?;
        let (schema, fields) = schema();
        let directory = MmapDirectory::open(folder).map_err(|error| failed(error.to_string()))?;
        let builder = tantivy::Index::builder().schema(schema).tokenizers(analysis::manager());
        let index = builder.open_or_create(directory).map_err(|error| failed(error.to_string()))?;
        // Reading a large index through takes minutes, so it is done when the last writer did not end well.
        if folder.join(AT_WORK).exists() || octets(folder) <= CHECKED_OCTETS {
            let broken = index.validate_checksum().map_err(|error| failed(error.to_string()))?;
            if let Some(file) = broken.iter().next() {
                return Err(failed(format!("the checksum of {} is wrong", file.display())));
            }
        }
        let reader = index
            .reader_builder()
            .reload_policy(ReloadPolicy::Manual)
            .try_into()
            .map_err(|error: tantivy::TantivyError| failed(error.to_string()))?;
        Ok(Self { folder: folder.to_owned(), index, fields, reader, writer: Mutex::default(), generation: AtomicU64::new(0) })
    }

    fn failed(&self, error: impl std::fmt::Display) -> SearchError {
        SearchError::Index { folder: self.folder.display().to_string(), text: error.to_string() }
    }

    fn writing(&self) -> MutexGuard<'_, Writing> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the last commit noted; empty for a new index.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn note(&self) -> Result<String, SearchError> {
        Ok(self.index.load_metas().map_err(|error| self.failed(error))?.payload.unwrap_or_default())
    }

    /// Adds entries, in place of those of the same posts. They are found after the next [`Index::commit`].
    ///
    /// Threads are made here: an answer joins the thread of what it answers, as far as that is known; give older posts first.
    ///
    /// # Errors
    /// When the index cannot be written.
    pub fn add(&self, entries: Vec<Entry>) -> Result<(), SearchError> {
        let mut writing = self.writing();
        if writing.writer.is_none() {
            let writer = self.index.writer_with_num_threads(1, WRITER_OCTETS).map_err(|error| self.failed(error))?;
            fs::write(self.folder.join(AT_WORK), b"").map_err(|error| self.failed(error))?;
            writing.writer = Some(writer);
        }
        for entry in entries {
            let thread = self.thread_for(&entry, &writing.fresh)?;
            writing.fresh.extend(entry.message_ids.iter().map(|id| (number(id), thread)));
            let document = self.document(entry, thread);
            if let (Some(writer), Some(id)) = (&writing.writer, document.get_first(self.fields.id).and_then(|id| id.as_u64())) {
                writer.delete_term(Term::from_field_u64(self.fields.id, id));
                writer.add_document(document).map_err(|error| self.failed(error))?;
            }
        }
        Ok(())
    }

    /// Takes posts out; with the next commit.
    ///
    /// # Errors
    /// When the index cannot be written.
    pub fn remove(&self, posts: &[PostId]) -> Result<(), SearchError> {
        self.add(Vec::new())?;
        let writing = self.writing();
        if let Some(writer) = &writing.writer {
            for post in posts {
                writer.delete_term(Term::from_field_u64(self.fields.id, post.0));
            }
        }
        Ok(())
    }

    /// Makes what was added visible and durable, with a note for the next start.
    ///
    /// # Errors
    /// When the index cannot be written.
    pub fn commit(&self, note: &str) -> Result<(), SearchError> {
        let mut writing = self.writing();
        let Some(writer) = writing.writer.as_mut() else { return Ok(()) };
        let committed = writer.prepare_commit().and_then(|mut commit| {
            commit.set_payload(note);
            commit.commit()
        });
        committed.map_err(|error| self.failed(error))?;
        writing.fresh.clear();
        self.reader.reload().map_err(|error| self.failed(error))?;
        self.generation.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    /// Grows with every commit: what was found before is as good as new while it stays.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::SeqCst)
    }

    /// Removes everything, the note too.
    ///
    /// # Errors
    /// When the index cannot be written.
    pub fn clear(&self) -> Result<(), SearchError> {
        self.add(Vec::new())?;
        if let Some(writer) = &self.writing().writer {
            writer.delete_all_documents().map_err(|error| self.failed(error))?;
        }
        self.commit("")
    }

    /// Writes every part of the index anew that holds words of entries which were taken out or replaced, so that no file has them.
    ///
    /// # Errors
    /// When the index cannot be written.
    pub fn purge(&self) -> Result<(), SearchError> {
        self.add(Vec::new())?;
        let mut writing = self.writing();
        let Some(writer) = writing.writer.as_mut() else { return Ok(()) };
        let parts = self.index.searchable_segment_metas().map_err(|error| self.failed(error))?;
        for part in parts.iter().filter(|part| part.has_deletes()) {
            // A merge that runs already takes care of its own.
            if let Err(error) = writer.merge(&[part.id()]).wait() {
                tracing::debug!(%error, "A part of the index is being merged already");
            }
        }
        writer.garbage_collect_files().wait().map_err(|error| self.failed(error))?;
        self.reader.reload().map_err(|error| self.failed(error))?;
        // Files that the former reader held open can go now.
        writer.garbage_collect_files().wait().map_err(|error| self.failed(error))?;
        Ok(())
    }

    /// Closes the writer until there is work again, when its merges are done.
    ///
    /// # Errors
    /// When a merge failed.
    pub fn rest(&self) -> Result<(), SearchError> {
        let writer = self.writing().writer.take();
        if let Some(writer) = writer {
            writer.wait_merging_threads().map_err(|error| self.failed(error))?;
            let _ = fs::remove_file(self.folder.join(AT_WORK));
        }
        self.reader.reload().map_err(|error| self.failed(error))
    }

    /// Which of these posts the index has.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn has(&self, post: PostId) -> Result<bool, SearchError> {
        let term = Term::from_field_u64(self.fields.id, post.0);
        Ok(self.reader.searcher().doc_freq(&term).map_err(|error| self.failed(error))? > 0)
    }

    /// Number of posts in it.
    pub fn len(&self) -> u64 {
        self.reader.searcher().num_docs()
    }

    /// Is there none?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn document(&self, entry: Entry, thread: u64) -> TantivyDocument {
        let fields = &self.fields;
        let mut document = TantivyDocument::default();
        document.add_u64(fields.id, entry.post.0);
        document.add_u64(fields.thread, thread);
        for id in &entry.message_ids {
            document.add_u64(fields.message, number(id));
        }
        for group in &entry.groups {
            document.add_text(fields.group, group.as_str());
        }
        document.add_text(fields.kind, entry.kind.as_str());
        document.add_text(fields.author, &entry.author);
        document.add_text(fields.subject, &entry.subject);
        let mut by_field: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        let mut room = TEXT_OCTETS;
        for (language, mut text) in entry.texts {
            if text.len() > room {
                let cut = (0..=room).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
                text.truncate(cut);
            }
            room -= text.len();
            let known = language.and_then(|language| FIELDS.iter().find(|field| **field == language.as_str()));
            by_field.entry(known.copied().unwrap_or("any")).or_default().push(text);
        }
        for (name, field) in &fields.texts {
            for text in by_field.get(name).into_iter().flatten() {
                document.add_text(*field, text);
            }
        }
        document
    }

    fn thread_for(&self, entry: &Entry, fresh: &HashMap<u64, u64>) -> Result<u64, SearchError> {
        if let Some(bundle) = &entry.bundle {
            return Ok(number(bundle));
        }
        let mut known = None;
        for reference in entry.references.iter().rev() {
            let message = number(reference);
            known = fresh.get(&message).copied();
            if known.is_none() {
                known = self.thread_of_message(message)?;
            }
            if known.is_some() {
                break;
            }
        }
        // The first reference names the beginning of the thread, which may come later, or lie with its author only.
        let own = || entry.references.first().or(entry.message_ids.first()).map_or(entry.post.0, |id| number(id));
        Ok(known.unwrap_or_else(own))
    }

    fn thread_of_message(&self, message: u64) -> Result<Option<u64>, SearchError> {
        let query = self.number_is(self.fields.message, message);
        Ok(self.first_values(&self.reader.searcher(), &*query, "thread", Order::Asc, 1)?.first().copied())
    }

    #[expect(clippy::unused_self, reason = "reads like the other questions to the index")]
    fn number_is(&self, field: Field, value: u64) -> Box<dyn Query> {
        Box::new(TermQuery::new(Term::from_field_u64(field, value), IndexRecordOption::Basic))
    }

    /// The first `limit` posts of a query by their number, as values of `column`.
    fn first_values(
        &self,
        searcher: &Searcher,
        query: &dyn Query,
        column: &str,
        order: Order,
        limit: usize,
    ) -> Result<Vec<u64>, SearchError> {
        let collector = TopDocs::with_limit(limit.max(1)).order_by_fast_field::<u64>("id", order);
        let found = searcher.search(query, &collector).map_err(|error| self.failed(error))?;
        if column == "id" {
            return Ok(found.into_iter().filter_map(|(id, _)| id).collect());
        }
        found.into_iter().map(|(_, address)| self.value(searcher, column, address)).collect()
    }

    fn value(&self, searcher: &Searcher, column: &str, at: DocAddress) -> Result<u64, SearchError> {
        let values = searcher.segment_reader(at.segment_ord).fast_fields().u64(column).map_err(|error| self.failed(error))?;
        Ok(values.first(at.doc_id).unwrap_or_default())
    }

    fn scope(&self, scope: Scope<'_>) -> Vec<(Occur, Box<dyn Query>)> {
        let term = |field, text: &str| -> Box<dyn Query> {
            let term = TermQuery::new(Term::from_field_text(field, text), IndexRecordOption::Basic);
            Box::new(ConstScoreQuery::new(Box::new(term), 0.0))
        };
        let mut parts = vec![(Occur::Must, term(self.fields.group, scope.group.as_str()))];
        if !scope.statements {
            parts.push((Occur::MustNot, term(self.fields.kind, PostKind::Liaison.as_str())));
        }
        parts
    }

    /// Posts of the scope, newest first, older than `before`.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn newest(&self, scope: Scope<'_>, before: Option<PostId>, limit: usize) -> Result<Vec<(PostId, u64)>, SearchError> {
        let mut parts = self.scope(scope);
        if let Some(before) = before {
            let upper = Bound::Excluded(Term::from_field_u64(self.fields.id, before.0));
            parts.push((Occur::Must, Box::new(RangeQuery::new(Bound::Unbounded, upper))));
        }
        let searcher = self.reader.searcher();
        let collector = TopDocs::with_limit(limit.max(1)).order_by_fast_field::<u64>("id", Order::Desc);
        let found = searcher.search(&BooleanQuery::new(parts), &collector).map_err(|error| self.failed(error))?;
        found.into_iter().map(|(id, at)| Ok((PostId(id.unwrap_or_default()), self.value(&searcher, "thread", at)?))).collect()
    }

    /// Posts of a thread, oldest first, at most `limit`, and how many there are.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn thread(&self, scope: Scope<'_>, thread: u64, limit: usize) -> Result<Found, SearchError> {
        let mut parts = self.scope(scope);
        parts.push((Occur::Must, self.number_is(self.fields.thread, thread)));
        let collector = (Count, TopDocs::with_limit(limit.max(1)).order_by_fast_field::<u64>("id", Order::Asc));
        let (total, found) = self.reader.searcher().search(&BooleanQuery::new(parts), &collector).map_err(|error| self.failed(error))?;
        Ok(Found { total, posts: found.into_iter().filter_map(|(id, _)| id.map(PostId)).collect() })
    }

    /// The last post of a thread.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn last_of_thread(&self, scope: Scope<'_>, thread: u64) -> Result<Option<PostId>, SearchError> {
        let mut parts = self.scope(scope);
        parts.push((Occur::Must, self.number_is(self.fields.thread, thread)));
        let found = self.first_values(&self.reader.searcher(), &BooleanQuery::new(parts), "id", Order::Desc, 1)?;
        Ok(found.first().copied().map(PostId))
    }

    /// The thread of a post.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn thread_of(&self, post: PostId) -> Result<Option<u64>, SearchError> {
        let query = self.number_is(self.fields.id, post.0);
        Ok(self.first_values(&self.reader.searcher(), &*query, "thread", Order::Asc, 1)?.first().copied())
    }

    /// The author of a post, as shown.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn author_of(&self, post: PostId) -> Result<Option<String>, SearchError> {
        let searcher = self.reader.searcher();
        let query = self.number_is(self.fields.id, post.0);
        let collector = TopDocs::with_limit(1).order_by_fast_field::<u64>("id", Order::Asc);
        let found = searcher.search(&*query, &collector).map_err(|error| self.failed(error))?;
        let Some((_, at)) = found.first() else { return Ok(None) };
        let document: TantivyDocument = searcher.doc(*at).map_err(|error| self.failed(error))?;
        Ok(document.get_first(self.fields.author).and_then(|author| author.as_str().map(str::to_owned)))
    }

    /// What answers a question: a page of `limit` posts from the `offset`th on, the best first.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn search(&self, scope: Scope<'_>, question: &Question, offset: usize, limit: usize) -> Result<Found, SearchError> {
        if question.is_empty() {
            return Ok(Found::default());
        }
        let mut parts = self.scope(scope);
        let mut analyzers: HashMap<&'static str, TextAnalyzer> = HashMap::new();
        for part in &question.parts {
            let query = self.part(part, &mut analyzers);
            parts.push((if part.unwanted { Occur::MustNot } else { Occur::Must }, query));
        }
        let (from, to) = question.instants();
        let bound = |at: DateTime<Utc>| Term::from_field_u64(self.fields.id, PostId::new(at, 0).0);
        if from.is_some() || to.is_some() {
            let lower = from.map_or(Bound::Unbounded, |at| Bound::Included(bound(at)));
            let upper = to.map_or(Bound::Unbounded, |at| Bound::Excluded(bound(at)));
            let range = RangeQuery::new(lower, upper);
            parts.push((Occur::Must, Box::new(ConstScoreQuery::new(Box::new(range), 0.0))));
        }
        let searcher = self.reader.searcher();
        let query = BooleanQuery::new(parts);
        let collector = (Count, TopDocs::with_limit(limit.max(1)).and_offset(offset).order_by_score());
        let (total, found) = searcher.search(&query, &collector).map_err(|error| self.failed(error))?;
        let posts = found.into_iter().map(|(_, at)| self.value(&searcher, "id", at).map(PostId)).collect::<Result<_, _>>()?;
        Ok(Found { total, posts })
    }

    /// A part in every field where it could stand, each with that field's own terms.
    fn part(&self, part: &Part, analyzers: &mut HashMap<&'static str, TextAnalyzer>) -> Box<dyn Query> {
        let fields = &self.fields;
        let mut places: Vec<(&'static str, Field, f32)> = match part.place {
            Place::Author => vec![("any", fields.author, 1.0)],
            Place::Subject => vec![("any", fields.subject, 1.0)],
            Place::Anywhere => {
                let texts = fields.texts.iter().map(|(name, field)| (*name, *field, 1.0));
                texts.chain([("any", fields.subject, 2.0), ("any", fields.author, 0.5)]).collect()
            }
        };
        let searcher = self.reader.searcher();
        // A language without an entry costs time and finds nothing.
        places.retain(|(_, field, _)| part.place != Place::Anywhere || has_terms(&searcher, *field));
        let mut queries: Vec<(Occur, Box<dyn Query>)> = Vec::new();
        for (name, field, boost) in places {
            let analyzer = analyzers.entry(name).or_insert_with(|| analysis::analyzer(name));
            let mut terms: Vec<Term> =
                analysis::terms(analyzer, &part.words).iter().map(|term| Term::from_field_text(field, term)).collect();
            let query: Box<dyn Query> = match terms.len() {
                0 => continue,
                1 => Box::new(TermQuery::new(terms.remove(0), IndexRecordOption::WithFreqs)),
                _ => Box::new(PhraseQuery::new(terms)),
            };
            let boosted = (boost - 1.0).abs() > f32::EPSILON;
            queries.push((Occur::Should, if boosted { Box::new(BoostQuery::new(query, boost)) } else { query }));
        }
        if queries.is_empty() {
            // Nothing of it is a word: it excludes nothing, and finds nothing.
            return Box::new(BooleanQuery::new(vec![(Occur::MustNot, Box::new(AllQuery))]));
        }
        Box::new(BooleanQuery::new(queries))
    }
}

fn has_terms(searcher: &Searcher, field: Field) -> bool {
    searcher.segment_readers().iter().any(|segment| segment.inverted_index(field).is_ok_and(|index| index.terms().num_terms() > 0))
}

#[cfg(test)]
#[path = "index_tests.rs"]
mod tests;
