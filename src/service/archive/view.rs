//! What a reader sees: pages of threads, one thread, one post with all its editions, attachments, search.
//!
//! Pages are small and go on from a post ("before this one"), so that they stay where they are while new posts come.
//! What a reader may not see is as if it were not there.

use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use mail_parser::Message;
use serde::{Serialize, Serializer};
use sha2::{Digest, Sha256};

use super::pages::Key;
use super::{Access, Reader, access, blocking, feed, index};
use crate::domain::archive::{is_archived, readable_editions};
use crate::domain::group::GroupCode;
use crate::domain::id::PostId;
use crate::domain::language::Language;
use crate::domain::post::{Post, PostKind};
use crate::mail::content::{self, Attachment};
use crate::mail::message;
use crate::search::{Index, Question, Scope, analysis};
use crate::service::{Failure, Services};

/// Most lines of a page.
pub const PAGE_MOST: usize = 100;
/// Most posts shown of one thread; the rest is reached through search and the pages of posts.
const THREAD_MOST: usize = 500;
/// Most octets of text shown of an edition; the whole message can be fetched.
const TEXT_OCTETS: usize = 256 * 1024;
/// Most octets of attachments that are listed with their sizes.
const ATTACHED_OCTETS: usize = 256 * 1024 * 1024;
/// Largest message from which a search result quotes.
const QUOTED_OCTETS: u64 = 1024 * 1024;
/// Characters quoted around what was found.
const QUOTE: usize = 200;

/// A thread in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ThreadLine {
    /// Its first post; `/groups/CODE/archive/ID` shows the post, [`thread`] the whole thread.
    #[serde(serialize_with = "as_text")]
    pub id: PostId,
    /// Of the first post.
    pub subject: String,
    /// Of the first post: a name, or the address where there is none.
    pub author: String,
    /// `discussion`, `announcement`, `meeting`, `liaison`.
    pub kind: &'static str,
    /// How many posts it has.
    pub posts: usize,
    /// When it began.
    pub began: DateTime<Utc>,
    /// When its last post came.
    pub at: DateTime<Utc>,
    /// The last post.
    #[serde(serialize_with = "as_text")]
    pub last: PostId,
    /// Languages of its first post.
    pub languages: Vec<Language>,
}

/// A page of threads, those with the newest posts first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ThreadPage {
    /// At most as many as were asked for.
    pub threads: Vec<ThreadLine>,
    /// Give it as `before` for the next page; `None` at the end.
    #[serde(serialize_with = "as_text_if_any")]
    pub next: Option<PostId>,
    /// Is the archive wholly known? Not while its index is made again.
    pub complete: bool,
}

/// A post in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PostLine {
    /// Which.
    #[serde(serialize_with = "as_text")]
    pub id: PostId,
    /// Its subject.
    pub subject: String,
    /// A name, or the address where there is none.
    pub author: String,
    /// `discussion`, `announcement`, `meeting`, `liaison`.
    pub kind: &'static str,
    /// When it came.
    pub at: DateTime<Utc>,
    /// Languages of its editions.
    pub languages: Vec<Language>,
}

/// One thread.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ThreadView {
    /// Its posts, oldest first.
    pub posts: Vec<PostLine>,
    /// How many there are, if not all are listed.
    pub total: usize,
}

/// An attachment in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AttachmentLine {
    /// Its place, from 0; [`attachment`] fetches it.
    pub number: usize,
    /// A clean file name.
    pub name: String,
    /// Such as `application/pdf`.
    pub content_type: String,
    /// Its size.
    pub octets: usize,
    /// Its language, if that is said.
    pub language: Option<Language>,
    /// SHA-256 of its content in lower-case hexadecimal: its lasting address, by [`attachment_of`].
    pub sha256: String,
}

/// One language version of a post.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EditionView {
    /// Its place among the editions of the post, from 0; other forms of the same text have places too and are not shown.
    pub number: usize,
    /// Its language, if that is known.
    pub language: Option<Language>,
    /// Its own subject.
    pub subject: String,
    /// Its text, plain.
    pub text: String,
    /// Was the text cut?
    pub cut: bool,
    /// What is attached.
    pub attachments: Vec<AttachmentLine>,
    /// Has it a body in HTML besides, or instead of, plain text?
    pub formatted: bool,
    /// Could it not be read? Then the rest is empty.
    pub damaged: bool,
}

/// One post with everything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PostView {
    /// The line of it.
    #[serde(flatten)]
    pub line: PostLine,
    /// Groups it went to.
    pub groups: Vec<GroupCode>,
    /// Without angle brackets.
    pub message_id: String,
    /// Address of the author, for readers who signed in; never shown to visitors, who may be robots that collect addresses.
    pub author_address: Option<String>,
    /// Its language versions.
    pub editions: Vec<EditionView>,
    /// The other posts of its thread, oldest first: answers, versions that came later, further notices.
    pub thread: Vec<PostLine>,
    /// The one before in the thread.
    #[serde(serialize_with = "as_text_if_any")]
    pub previous: Option<PostId>,
    /// The one after.
    #[serde(serialize_with = "as_text_if_any")]
    pub next: Option<PostId>,
}

/// A search result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Hit {
    /// The post.
    #[serde(flatten)]
    pub line: PostLine,
    /// Text around what was found.
    pub quote: String,
    /// Page of the post.
    pub url: String,
}

/// A page of results, the best first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct SearchPage {
    /// In which group.
    pub group: String,
    /// As asked.
    pub query: String,
    /// How many there are.
    pub total: usize,
    /// This page.
    pub hits: Vec<Hit>,
    /// Is the archive wholly known? Not while its index is made again.
    pub complete: bool,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "the form that serde asks for")]
fn as_text<S: Serializer>(id: &PostId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(id)
}

#[allow(clippy::ref_option, reason = "the form that serde asks for")]
fn as_text_if_any<S: Serializer>(id: &Option<PostId>, serializer: S) -> Result<S::Ok, S::Error> {
    match id {
        Some(id) => serializer.collect_str(id),
        None => serializer.serialize_none(),
    }
}

fn scope(access: &Access) -> Scope<'_> {
    Scope { group: &access.group.code, statements: access.statements }
}

fn shows(access: &Access, post: &Post) -> bool {
    is_archived(post)
        && post.groups.contains(&access.group.code)
        && (access.statements || post.kind != PostKind::Liaison)
        && access.since.is_none_or(|since| post.received_at >= since)
}

/// `Ana Example <ana@example.org>` as a name; an address alone as it is for members, cut at its `@` for visitors.
fn shown(author: &str, visitor: bool) -> String {
    let (name, address) = match author.rsplit_once(" <") {
        Some((name, address)) => (name.trim(), address.trim_end_matches('>')),
        None => ("", author),
    };
    match (name.is_empty() || name.contains('@'), visitor) {
        (false, _) => name.to_owned(),
        (true, false) => address.to_owned(),
        (true, true) => address.split('@').next().unwrap_or_default().to_owned(),
    }
}

fn line(index: &Index, post: &Post, visitor: bool) -> PostLine {
    let author = index.author_of(post.id).ok().flatten().filter(|author| !author.is_empty());
    let author = author.or_else(|| post.author_address().map(ToString::to_string)).unwrap_or_default();
    PostLine {
        id: post.id,
        subject: post.subject.clone(),
        author: shown(&author, visitor),
        kind: post.kind.as_str(),
        at: post.received_at,
        languages: readable_editions(post).into_iter().filter_map(|place| post.editions[place].language).collect(),
    }
}

/// Threads of a group, those with the newest posts first, from the one before `before` on.
///
/// # Errors
/// When there is no such group, the reader may not see its archive, or store or index fail.
pub async fn threads(
    services: &Services,
    code: &GroupCode,
    reader: Reader<'_>,
    before: Option<PostId>,
    limit: usize,
) -> Result<ThreadPage, Failure> {
    let access = access(services, code, reader).await?;
    let (index, limit) = (index(services).await?, limit.clamp(1, PAGE_MOST));
    let visitor = matches!(reader, Reader::Anybody);
    let key = Key { group: access.group.code.clone(), statements: access.statements, visitor, before, limit };
    let (stamp, now) = ((index.generation(), *services.store.bell().borrow()), services.now());
    let renewal = match services.archive.pages.look(key, stamp, now) {
        Ok(page) => return Ok(ThreadPage::clone(&page)),
        Err(renewal) => renewal,
    };
    let page = make_threads(services, &access, &index, visitor, before, limit).await?;
    renewal.done(Arc::new(page.clone()), stamp, now);
    Ok(page)
}

async fn make_threads(
    services: &Services,
    access: &Access,
    index: &Arc<Index>,
    visitor: bool,
    before: Option<PostId>,
    limit: usize,
) -> Result<ThreadPage, Failure> {
    let mut page = ThreadPage { complete: feed::is_complete(index), ..ThreadPage::default() };
    let mut cursor = before;
    loop {
        let (of, wanted) = (access.clone(), index.clone());
        let newest = blocking(move || wanted.newest(scope(&of), cursor, limit * 4)).await?;
        if newest.is_empty() {
            page.next = None;
            return Ok(page);
        }
        for (id, thread) in newest {
            cursor = Some(id);
            // A thread stands where its last post is; the older ones are passed over.
            if index_result(index.last_of_thread(scope(access), thread))? != Some(id) {
                continue;
            }
            if page.threads.len() == limit {
                page.next = page.threads.last().map(|thread| thread.last);
                return Ok(page);
            }
            let found = index_result(index.thread(scope(access), thread, 1))?;
            let last = services.store.post(id).await?.filter(|post| shows(access, post));
            let Some(last) = last else {
                // Newest first: behind the first one that is too old there are only older ones.
                if access.since.is_some_and(|since| id.instant() < since) {
                    return Ok(page);
                }
                continue;
            };
            let mut first = match found.posts.first() {
                Some(first) => services.store.post(*first).await?.filter(|post| shows(access, post)),
                None => None,
            };
            let first = first.take().unwrap_or_else(|| last.clone());
            let line = line(index, &first, visitor);
            page.threads.push(ThreadLine {
                id: first.id,
                subject: line.subject,
                author: line.author,
                kind: line.kind,
                posts: found.total.max(1),
                began: first.received_at,
                at: last.received_at,
                last: last.id,
                languages: line.languages,
            });
        }
    }
}

fn index_result<T>(result: Result<T, crate::search::SearchError>) -> Result<T, Failure> {
    result.map_err(|error| Failure::Store(crate::store::StoreError::Unavailable(error.to_string())))
}

/// The thread of a post.
///
/// # Errors
/// As [`post`].
pub async fn thread(services: &Services, code: &GroupCode, reader: Reader<'_>, id: PostId) -> Result<ThreadView, Failure> {
    let access = access(services, code, reader).await?;
    let own = found(services, &access, id).await?;
    let visitor = matches!(reader, Reader::Anybody);
    let (total, posts) = thread_lines(services, &access, &own, visitor).await?;
    Ok(ThreadView { posts, total })
}

async fn thread_lines(services: &Services, access: &Access, own: &Post, visitor: bool) -> Result<(usize, Vec<PostLine>), Failure> {
    let index = index(services).await?;
    let Some(thread) = index_result(index.thread_of(own.id))? else {
        // Distributed a moment ago, and not in the index yet.
        return Ok((1, vec![line(&index, own, visitor)]));
    };
    let found = index_result(index.thread(scope(access), thread, THREAD_MOST))?;
    let mut posts = Vec::with_capacity(found.posts.len());
    for id in found.posts {
        if let Some(post) = services.store.post(id).await?.filter(|post| shows(access, post)) {
            posts.push(line(&index, &post, visitor));
        }
    }
    Ok((found.total, posts))
}

async fn found(services: &Services, access: &Access, id: PostId) -> Result<Post, Failure> {
    let post = services.store.post(id).await?.filter(|post| shows(access, post));
    post.ok_or_else(|| Failure::NotFound(format!("there is no post {id} in the archive of {}", access.group.code)))
}

/// One post with all its editions.
///
/// # Errors
/// `NotFound` when the archive of the group does not have it for this reader, `Refused` when she may not read the archive, or the
/// store fails.
pub async fn post(services: &Services, code: &GroupCode, reader: Reader<'_>, id: PostId) -> Result<PostView, Failure> {
    let access = access(services, code, reader).await?;
    let post = found(services, &access, id).await?;
    let visitor = matches!(reader, Reader::Anybody);
    let mut editions = Vec::new();
    for number in readable_editions(&post) {
        let edition = &post.editions[number];
        let view = match services.store.body(&edition.body).await {
            Ok(bytes) => services.quarantine.look(id, &format!("page {number}"), &bytes, edition_view).await,
            Err(error) => {
                tracing::warn!(%error, post = %id, "A body of the archive cannot be read");
                None
            }
        };
        let mut view = view.unwrap_or_else(|| EditionView { damaged: true, ..blank(&post.subject) });
        view.number = number;
        view.language = edition.language.or(view.language);
        editions.push(view);
    }
    let (_, thread) = thread_lines(services, &access, &post, visitor).await?;
    let at = thread.iter().position(|line| line.id == id);
    let neighbour = |at: Option<usize>| at.and_then(|at| thread.get(at)).map(|line| line.id);
    let (previous, next) = (neighbour(at.and_then(|at| at.checked_sub(1))), neighbour(at.map(|at| at + 1)));
    let index = index(services).await?;
    let address = post.author_address().map(ToString::to_string);
    Ok(PostView {
        line: line(&index, &post, visitor),
        author_address: address.filter(|_| !visitor),
        message_id: post.message_id,
        groups: post.groups,
        editions,
        thread,
        previous,
        next,
    })
}

fn blank(subject: &str) -> EditionView {
    EditionView {
        number: 0,
        language: None,
        subject: subject.to_owned(),
        text: String::new(),
        cut: false,
        attachments: Vec::new(),
        formatted: false,
        damaged: false,
    }
}

fn edition_view(bytes: &Bytes) -> Option<EditionView> {
    let head = message::read(bytes).ok()?;
    let parsed: Message<'_> = content::parse(bytes).ok()?;
    let text = content::text_body(&parsed, TEXT_OCTETS);
    let attachments = content::attachments(&parsed, ATTACHED_OCTETS).into_iter().enumerate().map(|(number, file)| AttachmentLine {
        number,
        name: file.name,
        content_type: file.content_type,
        octets: file.bytes.len(),
        language: file.language,
        sha256: digest(&file.bytes),
    });
    Some(EditionView {
        language: head.languages.first().copied().filter(|_| head.languages.len() == 1),
        cut: text.len() + 4 >= TEXT_OCTETS,
        attachments: attachments.collect(),
        formatted: content::has_html_body(&parsed),
        text,
        ..blank(&head.subject)
    })
}

/// The message of an edition as it is stored.
///
/// # Errors
/// As [`post`].
pub async fn raw(services: &Services, code: &GroupCode, reader: Reader<'_>, id: PostId, edition: usize) -> Result<Bytes, Failure> {
    let access = access(services, code, reader).await?;
    let post = found(services, &access, id).await?;
    let missing = || Failure::NotFound(format!("post {id} has no edition {edition}"));
    let edition = post.editions.get(edition).ok_or_else(missing)?;
    Ok(services.store.body(&edition.body).await?)
}

/// One attachment of an edition, by its number.
///
/// # Errors
/// As [`post`].
pub async fn attachment(
    services: &Services,
    code: &GroupCode,
    reader: Reader<'_>,
    id: PostId,
    edition: usize,
    number: usize,
) -> Result<Attachment, Failure> {
    let bytes = raw(services, code, reader, id, edition).await?;
    let stage = format!("attachment {edition}");
    let found = services.quarantine.look(id, &stage, &bytes, move |bytes| {
        let parsed = content::parse(bytes).ok()?;
        content::attachments(&parsed, ATTACHED_OCTETS).into_iter().nth(number)
    });
    found.await.ok_or_else(|| Failure::NotFound(format!("post {id} has no attachment {number}")))
}

fn digest(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(&Sha256::digest(bytes))
}

/// The attachment of a post with that content, in whichever edition it is.
///
/// # Errors
/// As [`post`].
pub async fn attachment_of(
    services: &Services,
    code: &GroupCode,
    reader: Reader<'_>,
    id: PostId,
    sha256: &str,
) -> Result<Attachment, Failure> {
    let access = access(services, code, reader).await?;
    let post = found(services, &access, id).await?;
    for (number, edition) in post.editions.iter().enumerate() {
        let bytes = services.store.body(&edition.body).await?;
        let wanted = sha256.to_owned();
        let stage = format!("attachment {number}");
        let found = services.quarantine.look(id, &stage, &bytes, move |bytes| {
            let parsed = content::parse(bytes).ok()?;
            content::attachments(&parsed, ATTACHED_OCTETS).into_iter().find(|file| digest(&file.bytes) == wanted)
        });
        if let Some(file) = found.await {
            return Ok(file);
        }
    }
    Err(Failure::NotFound(format!("post {id} has no attachment of that content")))
}

/// Posts of the group that answer `query`: a page of `limit` from the `offset`th on.
///
/// # Errors
/// When there is no such group, the reader may not see its archive, or store or index fail.
pub async fn search(
    services: &Services,
    code: &GroupCode,
    reader: Reader<'_>,
    query: &str,
    offset: usize,
    limit: usize,
) -> Result<SearchPage, Failure> {
    let access = access(services, code, reader).await?;
    let index = index(services).await?;
    let mut question = Question::read(query);
    // What the group does not keep any more is not found either.
    if let Some(since) = access.since.map(|since| since.date_naive()).and_then(|day| day.succ_opt()) {
        question.after = Some(question.after.map_or(since, |after| after.max(since))).filter(|_| !question.is_empty());
    }
    let (asked, of, wanted) = (question.clone(), access.clone(), index.clone());
    let found = blocking(move || wanted.search(scope(&of), &asked, offset.min(10_000), limit.clamp(1, PAGE_MOST))).await?;
    let mut page = SearchPage {
        group: code.to_string(),
        query: query.to_owned(),
        total: found.total,
        hits: Vec::with_capacity(found.posts.len()),
        complete: feed::is_complete(&index),
    };
    for id in found.posts {
        let Some(post) = services.store.post(id).await?.filter(|post| shows(&access, post)) else { continue };
        let quote = quote(services, &post, &question).await;
        let url = format!("{}/groups/{code}/archive/{id}", services.site.base_url);
        page.hits.push(Hit { line: line(&index, &post, matches!(reader, Reader::Anybody)), quote, url });
    }
    Ok(page)
}

/// Text of the edition in which something was found, around it; of the first edition if it was found elsewhere.
async fn quote(services: &Services, post: &Post, question: &Question) -> String {
    let mut fallback = String::new();
    let editions = readable_editions(post).into_iter().map(|place| &post.editions[place]);
    for edition in editions.filter(|edition| edition.body.octets <= QUOTED_OCTETS) {
        let Ok(bytes) = services.store.body(&edition.body).await else { continue };
        let text = |bytes: &Bytes| Some(content::text_body(&content::parse(bytes).ok()?, 64 * 1024));
        let Some(text) = services.quarantine.look(post.id, "quote", &bytes, text).await else { continue };
        match analysis::place(&text, question) {
            Some(at) => return around(&text, at),
            None if fallback.is_empty() => fallback = around(&text, 0),
            None => {}
        }
    }
    fallback
}

/// [`QUOTE`] characters around the octet `at`, in one line.
fn around(text: &str, at: usize) -> String {
    let before: Vec<char> = text[..at].chars().rev().take(QUOTE / 3).collect();
    let quoted: String = before.into_iter().rev().chain(text[at..].chars()).take(QUOTE).collect();
    quoted.split_whitespace().collect::<Vec<_>>().join(" ")
}
