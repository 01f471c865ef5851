//! `/groups/CODE/feed.atom` (RFC 4287): meetings, covers of statements, and the posts of a public archive; nothing that only members may see.
//! `/feed/TOKEN.atom`: the posts of another archive, for one reader.
//!
//! A shared cache keeps only what a stranger gets, in each language by itself; what somebody gets because she is signed in, or
//! knows a token, is hers alone and is another feed with an identifier of its own. A reader that has a feed already is told so.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderMap, VARY};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};

use crate::domain::archive::{StatementAccess, statement_access};
use crate::domain::group::ArchiveAccess;
use crate::service::archive::{self, Reader};
use crate::service::meeting;
use crate::web::authority::Scope;
use crate::web::{Problem, Site, Visit, entity_tag};

/// Entries of a feed.
const ENTRIES: usize = 30;

/// One entry.
pub struct Entry {
    /// Path of its page.
    pub path: String,
    /// Title, any text.
    pub title: String,
    /// Text, any.
    pub summary: String,
    /// When it last changed.
    pub at: DateTime<Utc>,
}

/// `GET /groups/CODE/feed.atom`
pub async fn group(State(site): State<Site>, visit: Visit, scope: Scope, asked: HeaderMap) -> Result<Response, Problem> {
    let code = &scope.group.code;
    let languages = visit.languages();
    let mut entries: Vec<Entry> = meeting::meetings(&site.services, Some(code))
        .await?
        .into_iter()
        .filter(|one| one.status.is_public())
        .map(|one| Entry {
            path: format!("/meetings/{}", one.id),
            title: one.title.best(&languages).cloned().unwrap_or_default(),
            summary: [crate::text::dates::range(visit.language, one.span.first_day(), one.span.last_day()), one.city.clone()].join(" "),
            at: one.changed_at,
        })
        .collect();
    if scope.group.archive == ArchiveAccess::Public {
        let page = archive::threads(&site.services, code, Reader::Anybody, None, ENTRIES).await?;
        entries.extend(page.threads.into_iter().map(|thread| Entry {
            path: format!("/groups/{code}/archive/{}", thread.id),
            title: thread.subject,
            summary: thread.author,
            at: thread.at,
        }));
    }
    // As a stranger may know of them: this feed is for everybody.
    if statement_access(&scope.group, None) != StatementAccess::Nothing {
        let newest = super::liaison::newest(&site, &visit, code, ENTRIES).await?;
        entries.extend(newest.into_iter().map(|one| Entry {
            path: format!("/liaisons/{}", one.id),
            title: format!("{} {}", one.name, one.title),
            summary: one.summary,
            at: one.at,
        }));
    }
    let title = scope.group.name.best(&languages).cloned().unwrap_or_else(|| code.to_string());
    let path = format!("/groups/{code}");
    Ok(Feed { own: format!("{path}/feed.atom"), id: path.clone(), path, title, private: false }.answer(&site, &asked, entries))
}

/// `GET /feed/TOKEN.atom`: the posts of an archive for the one reader who knows the address; a wrong or ended one is a plain 404.
pub async fn private(State(site): State<Site>, Path(token): Path<String>, asked: HeaderMap) -> Result<Response, Problem> {
    let key = token.strip_suffix(".atom").ok_or_else(Problem::missing)?;
    let feed = archive::private_feed(&site.services, key, ENTRIES).await?.ok_or_else(Problem::missing)?;
    let code = &feed.group.code;
    let entries = feed.page.threads.into_iter().map(|thread| Entry {
        path: format!("/groups/{code}/archive/{}", thread.id),
        title: thread.subject,
        summary: thread.author,
        at: thread.at,
    });
    let title = feed.group.name.best(&feed.account.languages).cloned().unwrap_or_else(|| code.to_string());
    let path = format!("/groups/{code}");
    let feed = Feed { own: format!("/feed/{token}"), id: format!("{path}#archive"), path, title, private: true };
    Ok(feed.answer(&site, &asked, entries.collect()))
}

/// What a feed is about, and for whom it is.
pub struct Feed {
    /// Path of the page that it is about.
    pub path: String,
    /// Its own path, with the query that it answers.
    pub own: String,
    /// Path that names it for good (RFC 4287 section 4.2.6); feeds with other entries have other ones.
    pub id: String,
    /// Its title, any text.
    pub title: String,
    /// Does it hold what only this reader may see?
    pub private: bool,
}

impl Feed {
    /// The feed of these entries, the newest first; 304 (RFC 9110 section 15.4.5) for who has it already.
    pub fn answer(&self, site: &Site, asked: &HeaderMap, entries: Vec<Entry>) -> Response {
        let text = self.written(site, entries);
        let tag = entity_tag::of(text.as_bytes());
        let cache = if self.private { "private, no-cache" } else { "public, max-age=900" };
        // A title is in the reader's language, which a cookie or an account may choose.
        let mut headers = HeaderMap::new();
        for (name, value) in [(CACHE_CONTROL, cache), (VARY, "Accept-Language, Cookie"), (ETAG, &tag)] {
            headers.extend(value.parse().ok().map(|value| (name, value)));
        }
        if entity_tag::is_known(asked, &tag) {
            return (StatusCode::NOT_MODIFIED, headers).into_response();
        }
        (headers, [(CONTENT_TYPE, "application/atom+xml; charset=utf-8")], text).into_response()
    }

    fn written(&self, site: &Site, mut entries: Vec<Entry>) -> String {
        use std::fmt::Write as _;
        entries.sort_by_key(|entry| std::cmp::Reverse(entry.at));
        entries.truncate(ENTRIES);
        let base = site.settings().base_url.trim_end_matches('/');
        let updated = entries.first().map_or(DateTime::UNIX_EPOCH, |entry| entry.at);
        let time = |at: DateTime<Utc>| at.format("%Y-%m-%dT%H:%M:%SZ").to_string();
        let mut feed = format!(
            "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<feed xmlns=\"http://www.w3.org/2005/Atom\">\n<id>{0}</id>\n<title>{1}</title>\n\
             <updated>{2}</updated>\n<link href=\"{5}\"/>\n<link rel=\"self\" href=\"{4}\"/>\n<author><name>{3}</name></author>\n",
            xml(&format!("{base}{}", self.id)),
            xml(&self.title),
            time(updated),
            xml(&site.settings().name),
            xml(&format!("{base}{}", self.own)),
            xml(&format!("{base}{}", self.path)),
        );
        for entry in &entries {
            let address = xml(&format!("{base}{}", entry.path));
            let _ = writeln!(
                feed,
                "<entry><id>{address}</id><title>{}</title><updated>{}</updated><link href=\"{address}\"/><summary>{}</summary></entry>",
                xml(&entry.title),
                time(entry.at),
                xml(&entry.summary)
            );
        }
        feed.push_str("</feed>\n");
        feed
    }
}

/// Text for XML 1.0: escaped, and without the controls that it cannot hold.
fn xml(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\u{fffe}' | '\u{ffff}' => {}
            c if c.is_control() && !matches!(c, '\t' | '\n' | '\r') => {}
            c => safe.push(c),
        }
    }
    safe
}
