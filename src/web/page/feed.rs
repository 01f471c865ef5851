//! `/groups/CODE/feed.atom` (RFC 4287): meetings, and the posts of a public archive; nothing that only members may see.
//! `/feed/TOKEN.atom`: the posts of another archive, for one reader.

use axum::extract::{Path, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};

use crate::domain::group::ArchiveAccess;
use crate::service::archive::{self, Reader};
use crate::service::meeting;
use crate::web::authority::Scope;
use crate::web::{Problem, Site, Visit};

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
pub async fn group(State(site): State<Site>, visit: Visit, scope: Scope) -> Result<Response, Problem> {
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
    let title = scope.group.name.best(&languages).cloned().unwrap_or_else(|| code.to_string());
    Ok(atom(&site, &format!("/groups/{code}"), &title, entries))
}

/// `GET /feed/TOKEN.atom`: the posts of an archive for the one reader who knows the address; a wrong or ended one is a plain 404.
pub async fn private(State(site): State<Site>, Path(token): Path<String>) -> Result<Response, Problem> {
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
    let mut response = written(&site, &format!("/groups/{code}"), &format!("/feed/{token}"), &title, entries.collect());
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    Ok(response)
}

/// The feed of these entries, the newest first; it lies beside the page that it is about.
pub fn atom(site: &Site, path: &str, title: &str, entries: Vec<Entry>) -> Response {
    written(site, path, &format!("{path}/feed.atom"), title, entries)
}

/// `path` is that of the page, `own` that of the feed.
fn written(site: &Site, path: &str, own: &str, title: &str, mut entries: Vec<Entry>) -> Response {
    use std::fmt::Write as _;
    entries.sort_by_key(|entry| std::cmp::Reverse(entry.at));
    entries.truncate(ENTRIES);
    let base = site.settings().base_url.trim_end_matches('/');
    let updated = entries.first().map_or(DateTime::UNIX_EPOCH, |entry| entry.at);
    let time = |at: DateTime<Utc>| at.format("%Y-%m-%dT%H:%M:%SZ").to_string();
    let mut feed = format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<feed xmlns=\"http://www.w3.org/2005/Atom\">\n<id>{0}</id>\n<title>{1}</title>\n\
         <updated>{2}</updated>\n<link href=\"{0}\"/>\n<link rel=\"self\" href=\"{4}\"/>\n<author><name>{3}</name></author>\n",
        xml(&format!("{base}{path}")),
        xml(title),
        time(updated),
        xml(&site.settings().name),
        xml(&format!("{base}{own}")),
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
    ([(CONTENT_TYPE, "application/atom+xml; charset=utf-8"), (CACHE_CONTROL, "public, max-age=900")], feed).into_response()
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
