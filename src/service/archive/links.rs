//! Addresses of an old archive, so that links to it keep working.
//!
//! Pipermail numbers its pages through, HyperKitty names a page by a hash of the Message-ID, MHonArc (Sympa) numbers them by month.
//! An import of such an archive notes which post stands at each; [`old_link`] answers where it is now. The page itself asks who may
//! read, so a redirect gives nothing away but an identifier.

use chrono::{DateTime, Datelike, Utc};
use futures_util::future::try_join_all;
use sha1::{Digest, Sha1};

use crate::domain::group::GroupCode;
use crate::domain::id::PostId;
use crate::service::{Failure, Services};
use crate::store::StoreError;

/// Register of old pages: name of the page → `CODE POST`.
const PAGES: &str = "archive-links";
/// Register of old lists: name of the list → `CODE`.
const LISTS: &str = "old-lists";

/// Under which names the web pages of an old archive are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OldNames {
    /// Mailman 2: `/pipermail/NAME/2020-March/000123.html`, numbered through from 0.
    Pipermail(String),
    /// Mailman 3: `/hyperkitty/list/NAME@DOMAIN/message/HASH/`.
    Hyperkitty(String),
    /// Sympa: `/sympa/arc/NAME/2020-03/msg00012.html`; a mail's number is that in its month, from 0.
    Sympa(String),
    /// mlmmj has no pages of its own.
    None(String),
}

impl OldNames {
    fn list(&self) -> &str {
        match self {
            Self::Pipermail(list) | Self::Hyperkitty(list) | Self::Sympa(list) | Self::None(list) => list,
        }
    }

    fn page(&self, number: u64, at: DateTime<Utc>, message_id: &str) -> Option<String> {
        let list = self.list().to_ascii_lowercase();
        Some(match self {
            Self::Pipermail(_) => format!("pipermail/{list}/{number:06}"),
            Self::Hyperkitty(_) => format!("hyperkitty/{}", message_id_hash(message_id)),
            Self::Sympa(_) => {
                // The number holds its month where the archive said so.
                let (month, number) = (number / MONTH, number % MONTH);
                let (year, month) = if month > 0 {
                    (i64::try_from(month / 12).unwrap_or_default(), month % 12 + 1)
                } else {
                    (i64::from(at.year()), u64::from(at.month()))
                };
                format!("arc/{list}/{year:04}-{month:02}/msg{number:05}")
            }
            Self::None(_) => return None,
        })
    }
}

/// What separates the month from the number of a mail in it, in the numbers of a Sympa archive.
pub const MONTH: u64 = 1_000_000;

/// The name that HyperKitty gives a message: base 32 of the SHA-1 of its Message-ID without angle brackets.
pub fn message_id_hash(message_id: &str) -> String {
    data_encoding::BASE32.encode(&Sha1::digest(message_id.trim_matches(['<', '>']).as_bytes()))
}

/// Notes that the pages of an old list are now those of the group.
///
/// # Errors
/// When the store fails.
pub async fn remember_list(services: &Services, code: &GroupCode, old: &OldNames) -> Result<(), Failure> {
    let name = old.list().to_ascii_lowercase();
    for name in [name.as_str(), name.split('@').next().unwrap_or_default()] {
        put(services, LISTS, name.to_owned(), code.to_string()).await?;
    }
    Ok(())
}

pub(super) async fn remember(
    services: &Services,
    code: &GroupCode,
    old: &OldNames,
    names: &[(u64, DateTime<Utc>, PostId, String)],
) -> Result<(), Failure> {
    let pages = names.iter().filter_map(|(number, at, id, message_id)| Some((old.page(*number, *at, message_id)?, *id)));
    try_join_all(pages.map(|(page, id)| put(services, PAGES, page, format!("{code} {id}")))).await?;
    Ok(())
}

async fn put(services: &Services, register: &'static str, key: String, value: String) -> Result<(), StoreError> {
    loop {
        let version = match services.store.entry(register, &key).await? {
            Some((_, present)) if present == value.as_bytes() => return Ok(()),
            present => present.map_or(0, |(version, _)| version),
        };
        if services.store.put_entry(register, &key, version, value.clone().into_bytes()).await?.is_some() {
            return Ok(());
        }
    }
}

/// Where a page of an old archive is now, as a path of this service; `None` for what is no such page.
///
/// # Errors
/// When the store fails.
pub async fn old_link(services: &Services, path: &str) -> Result<Option<String>, Failure> {
    let words: Vec<String> = path.split('/').filter(|word| !word.is_empty()).map(str::to_ascii_lowercase).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let stem = |word: &str| word.split('.').next().unwrap_or_default().to_owned();
    let page = match words[..] {
        ["pipermail" | "private", list, _, page] | ["mailman", "private", list, _, page] => {
            Some(format!("pipermail/{list}/{}", stem(page)))
        }
        ["hyperkitty" | "archives", "list", _, "message", hash, ..] => Some(format!("hyperkitty/{}", hash.to_ascii_uppercase())),
        ["sympa" | "wws" | "lists", "arc", list, month, page] => Some(format!("arc/{list}/{month}/{}", stem(page))),
        _ => None,
    };
    if let Some(page) = page
        && let Some((_, value)) = services.store.entry(PAGES, &page).await?
        && let Some((code, id)) = std::str::from_utf8(&value).ok().and_then(|value| value.split_once(' '))
    {
        return Ok(Some(format!("/groups/{code}/archive/{id}")));
    }
    let (list, end) = match words[..] {
        ["pipermail" | "private", list, ..] | ["mailman", "private", list, ..] => (list, "/archive"),
        ["hyperkitty" | "archives", "list", list, ..] => (list, "/archive"),
        ["sympa" | "wws" | "lists", "arc", list, ..] => (list, "/archive"),
        ["mailman", "listinfo" | "options", list, ..] | ["sympa" | "wws" | "lists", "info", list] => (list, ""),
        ["postorius" | "mailman3", "lists", list, ..] => (list, ""),
        _ => return Ok(None),
    };
    // Postorius writes the address of a list with a dot in place of its @.
    for name in [list, list.split(['@', '.']).next().unwrap_or_default()] {
        if let Some((_, value)) = services.store.entry(LISTS, name).await? {
            return Ok(Some(format!("/groups/{}{end}", String::from_utf8_lossy(&value))));
        }
    }
    Ok(None)
}
