//! People from an LDAP server (RFC 4511).
//!
//! Where the server offers the content synchronization of RFC 4533, it says itself what changed and who is gone (`content`). Elsewhere
//! there are two searches: who is there at all, by address only, and what changed since the last time (`modifyTimestamp`, RFC 4512
//! section 3.4). A search that the server cut short is an error, so that nobody is taken for gone who only was not told. An empty password is
//! refused before it is sent, because a server takes it for an anonymous bind that succeeds (RFC 4513 section 5.1.2). Referrals
//! are not followed: they would carry the password to a server that nobody named.

mod content;

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use ldap3::adapters::{Adapter, EntriesOnly, PagedResults};
use ldap3::{LdapConnAsync, LdapConnSettings, Scope, SearchEntry, ldap_escape};

use super::builtin::COLUMNS;
use crate::config::Ldap;

pub use content::Content;

/// Entries a page of a search (RFC 2696).
const PAGE: i32 = 1_000;
/// To connect, and for each answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// For the whole reading.
const READ_WITHIN: Duration = Duration::from_mins(20);
/// Longest value that is taken, in octets.
const VALUE_OCTETS: usize = 2_000;

/// Why the directory could not be read. Nothing follows from it for anybody's rights.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{url}: {text}")]
pub struct LdapError {
    url: String,
    text: String,
}

/// A person as the server tells of her: columns of `account import` with their values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// Her entry, for messages.
    pub dn: String,
    /// What names her entry for good, whatever else of it changes.
    pub identity: Vec<u8>,
    /// Column and cell; several values are separated by `;`.
    pub cells: Vec<(&'static str, String)>,
}

/// What was read.
#[derive(Debug, Clone, Default)]
pub struct Reading {
    /// Addresses of everybody who is there.
    pub present: Vec<String>,
    /// Entries without an address.
    pub without_address: usize,
    /// Who changed since, or everybody.
    pub changed: Vec<Person>,
    /// Addresses of every entry, by what names it for good.
    pub entries: BTreeMap<Vec<u8>, Vec<String>>,
    /// Only who changed was read.
    pub incremental: bool,
    /// Where to go on the next time; `None` when there is nothing to go on from.
    pub progress: Option<Progress>,
}

/// How far a directory was read, and by which means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// The newest `modifyTimestamp` that was seen.
    Stamp(String),
    /// What the server gave us to be shown again, and the entries that it told of (RFC 4533).
    Content(Content),
}

/// Reads the directory; `since` is [`Reading::progress`] of the last time, `None` reads everybody anew.
///
/// # Errors
/// When it cannot be reached, does not let us in, or does not tell everything.
pub async fn read(ldap: &Ldap, since: Option<Progress>, most: usize) -> Result<Reading, LdapError> {
    let settings = ldap.clone();
    // In a task of its own: a server that sends rubbish makes the library panic, and that is an error like others.
    let task = tokio::spawn(async move { tokio::time::timeout(READ_WITHIN, reading(&settings, since, most)).await });
    let failed = |text: &str| LdapError { url: ldap.url.clone(), text: text.to_owned() };
    match task.await {
        Ok(Ok(result)) => result.map_err(|text| failed(&text)),
        Ok(Err(_)) => Err(failed("it takes too long")),
        Err(_) => Err(failed("it sends what is no LDAP")),
    }
}

/// `filter` and what changed at or after `since`.
fn filter(ldap: &Ldap, since: Option<&str>) -> String {
    match since {
        Some(since) => format!("(&{}(modifyTimestamp>={}))", ldap.filter, ldap_escape(since)),
        None => ldap.filter.clone(),
    }
}

/// Which attribute holds which column.
fn attributes(ldap: &Ldap) -> BTreeMap<&'static str, String> {
    let mut attributes: BTreeMap<&'static str, String> = BTreeMap::from([("email", "mail".to_owned()), ("name", "cn".to_owned())]);
    for (column, attribute) in &ldap.attributes {
        if let Some(known) = COLUMNS.iter().find(|known| *known == column) {
            attributes.insert(known, attribute.clone());
        }
    }
    attributes
}

async fn reading(ldap: &Ldap, since: Option<Progress>, most: usize) -> Result<Reading, String> {
    let (mut session, driver) = bound(ldap).await?;
    let read = told(&mut session, ldap, since, most).await;
    let _ = session.unbind().await;
    driver.abort();
    read
}

/// A session that the server let in. What went wrong is said with what to look at.
async fn bound(ldap: &Ldap) -> Result<(ldap3::Ldap, tokio::task::JoinHandle<ldap3::result::Result<()>>), String> {
    let password = ldap.password.as_ref().map(|secret| secret.reveal().to_owned()).unwrap_or_default();
    if password.is_empty() != ldap.bind_dn.trim().is_empty() {
        return Err("bind_dn or password is empty, which a server takes for an anonymous bind; give both, or neither".into());
    }
    let settings = LdapConnSettings::new().set_conn_timeout(ANSWER_WITHIN).set_starttls(ldap.starttls);
    let (connection, mut session) = LdapConnAsync::with_settings(settings, &ldap.url)
        .await
        .map_err(|error| format!("it cannot be reached: {error}; look at directory.ldap.url, the server, and its certificate"))?;
    let driver = tokio::spawn(async move { connection.drive().await });
    match session.with_timeout(ANSWER_WITHIN).simple_bind(&ldap.bind_dn, &password).await.and_then(ldap3::LdapResult::success) {
        Ok(_) => Ok((session, driver)),
        Err(error) => {
            driver.abort();
            let (who, remedy) = if password.is_empty() {
                ("somebody without a name", "give directory.ldap.bind_dn with a password")
            } else {
                (ldap.bind_dn.as_str(), "mend directory.ldap.bind_dn or its password")
            };
            Err(format!("it does not let {who} in: {error}; {remedy}"))
        }
    }
}

/// Tries the server: who is let in, and one person that the filter finds below the base; `None` when it finds nobody.
///
/// # Errors
/// When it cannot be reached, does not let us in, or does not take the search.
pub async fn look(ldap: &Ldap) -> Result<Option<String>, LdapError> {
    let settings = ldap.clone();
    let looking = async move {
        let (mut session, driver) = bound(&settings).await?;
        let options = ldap3::SearchOptions::new().sizelimit(1);
        let wanted: Vec<String> = attributes(&settings).into_values().collect();
        let searching = session.with_timeout(ANSWER_WITHIN).with_search_options(options);
        let found = searching.search(&settings.base, Scope::Subtree, &settings.filter, wanted).await;
        let _ = session.unbind().await;
        driver.abort();
        let failed = |error: &dyn std::fmt::Display| {
            format!("the search {} below \"{}\" failed: {error}; mend directory.ldap.base or filter", settings.filter, settings.base)
        };
        let ldap3::SearchResult(entries, result) = found.map_err(|error| failed(&error))?;
        // One was asked for, so that there are more is no mistake: sizeLimitExceeded (RFC 4511 section 4.1.9).
        if !matches!(result.rc, 0 | 4) {
            return Err(failed(&result));
        }
        Ok(entries.into_iter().find(|entry| !entry.is_ref()).map(|entry| SearchEntry::construct(entry).dn))
    };
    // In a task of its own as in `read`.
    let looked = tokio::spawn(tokio::time::timeout(ANSWER_WITHIN, looking)).await;
    let failed = |text: &str| LdapError { url: ldap.url.clone(), text: text.to_owned() };
    match looked {
        Ok(Ok(result)) => result.map_err(|text| failed(&text)),
        Ok(Err(_)) => Err(failed("it takes too long; look at the server")),
        Err(_) => Err(failed("it sends what is no LDAP; look at directory.ldap.url")),
    }
}

/// By content synchronization if the server offers it, else by timestamps.
async fn told(session: &mut ldap3::Ldap, ldap: &Ldap, since: Option<Progress>, most: usize) -> Result<Reading, String> {
    let (content, stamp) = match since {
        Some(Progress::Content(content)) => (Some(content), None),
        Some(Progress::Stamp(stamp)) => (None, Some(stamp)),
        None => (None, None),
    };
    if ldap.content_sync
        && let Some(reading) = content::read(session, ldap, content, most).await?
    {
        return Ok(reading);
    }
    both(session, ldap, stamp.as_deref(), most).await
}

async fn both(session: &mut ldap3::Ldap, ldap: &Ldap, since: Option<&str>, most: usize) -> Result<Reading, String> {
    let attributes = attributes(ldap);
    let presence = vec![attributes["email"].clone(), ldap.identity.clone()];
    let mut wanted: Vec<String> = attributes.values().cloned().collect();
    wanted.extend(["modifyTimestamp".to_owned(), ldap.identity.clone()]);
    let mut reading = Reading { incremental: since.is_some(), ..Reading::default() };
    let mut newest = since.map(str::to_owned);
    // What changed first: somebody who comes between the two searches is only told of the next time.
    for entry in search(session, ldap, &filter(ldap, since), &wanted, most).await? {
        let stamp = values(&entry, "modifyTimestamp")
            .into_iter()
            .next()
            .filter(|stamp| stamp.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.'));
        if stamp > newest {
            newest = stamp;
        }
        if since.is_none() {
            note_presence(ldap, &entry, &presence[0], &mut reading);
        }
        if !values(&entry, &presence[0]).is_empty() {
            reading.changed.push(person(ldap, &attributes, &entry));
        }
    }
    if since.is_some() {
        for entry in search(session, ldap, &ldap.filter, &presence, most).await? {
            note_presence(ldap, &entry, &presence[0], &mut reading);
        }
    }
    reading.progress = newest.map(Progress::Stamp);
    Ok(reading)
}

fn note_presence(ldap: &Ldap, entry: &SearchEntry, email: &str, reading: &mut Reading) {
    let addresses = values(entry, email);
    reading.without_address += usize::from(addresses.is_empty());
    reading.present.extend(addresses.iter().cloned());
    reading.entries.insert(identity(ldap, entry), addresses);
}

/// What names an entry for good: the attribute `identity` (a UUID in the form of RFC 4530 as its octets), else its DN.
fn identity(ldap: &Ldap, entry: &SearchEntry) -> Vec<u8> {
    let binary = entry.bin_attrs.iter().find(|(name, _)| name.eq_ignore_ascii_case(&ldap.identity)).and_then(|(_, values)| values.first());
    if let Some(octets) = binary.filter(|octets| !octets.is_empty() && octets.len() <= VALUE_OCTETS) {
        return octets.clone();
    }
    let Some(text) = values(entry, &ldap.identity).into_iter().next() else { return entry.dn.to_lowercase().into_bytes() };
    let digits = text.replace('-', "").to_ascii_lowercase();
    match data_encoding::HEXLOWER.decode(digits.as_bytes()) {
        Ok(octets) if octets.len() == 16 && text.len() == 36 => octets,
        _ => text.into_bytes(),
    }
}

async fn search(
    session: &mut ldap3::Ldap,
    ldap: &Ldap,
    filter: &str,
    attributes: &[String],
    most: usize,
) -> Result<Vec<SearchEntry>, String> {
    let failed = |error: ldap3::LdapError| format!("the search {filter} failed: {error}");
    let adapters: Vec<Box<dyn Adapter<_, _>>> = vec![Box::new(EntriesOnly::new()), Box::new(PagedResults::new(PAGE))];
    let mut stream = session
        .with_timeout(ANSWER_WITHIN)
        .streaming_search_with(adapters, &ldap.base, Scope::Subtree, filter, attributes.to_vec())
        .await
        .map_err(failed)?;
    let mut found = Vec::new();
    while let Some(entry) = stream.next().await.map_err(failed)? {
        if found.len() >= most {
            return Err(format!("it has more than {most} entries (limits.import_rows)"));
        }
        found.push(SearchEntry::construct(entry));
    }
    // Size and time limits of the server come here: a part is not the whole.
    stream.finish().await.success().map_err(failed)?;
    Ok(found)
}

/// Values of an attribute, whose name has no case.
fn values(entry: &SearchEntry, attribute: &str) -> Vec<String> {
    let found = entry.attrs.iter().filter(|(name, _)| name.eq_ignore_ascii_case(attribute)).flat_map(|(_, values)| values);
    found.map(|value| value.trim().to_owned()).filter(|value| !value.is_empty() && value.len() <= VALUE_OCTETS).collect()
}

fn person(ldap: &Ldap, attributes: &BTreeMap<&'static str, String>, entry: &SearchEntry) -> Person {
    let mut cells: HashMap<&'static str, String> = HashMap::new();
    for (column, attribute) in attributes {
        let translations = ldap.values.get(*column);
        let translated = values(entry, attribute).into_iter().map(|value| translate(column, &value, translations));
        let mut all: Vec<String> = translated.filter(|value| !value.is_empty()).collect();
        // One value is wanted of these; servers give several, such as names in other languages.
        if !matches!(*column, "email" | "study_groups" | "languages" | "roles") {
            all.truncate(1);
        }
        cells.insert(column, all.join(";"));
    }
    for (column, value) in &ldap.defaults {
        if let Some(known) = COLUMNS.iter().find(|known| *known == column) {
            let cell = cells.entry(known).or_default();
            if cell.is_empty() {
                cell.clone_from(value);
            }
        }
    }
    let identity = identity(ldap, entry);
    Person { dn: entry.dn.clone(), identity, cells: COLUMNS.iter().filter_map(|column| Some((*column, cells.remove(column)?))).collect() }
}

/// The server's word as ours: by the table of the configuration, else dates as the server writes them, else as it is.
fn translate(column: &str, value: &str, table: Option<&BTreeMap<String, String>>) -> String {
    if let Some(word) = table.and_then(|table| table.get(value)) {
        return word.clone();
    }
    // GeneralizedTime (RFC 4517 section 3.3.13): 20271231235959Z.
    let is_time = value.len() >= 9 && value.is_char_boundary(8) && value.bytes().take(8).all(|b| b.is_ascii_digit());
    if column == "expires" && is_time { format!("{}-{}-{}", &value[..4], &value[4..6], &value[6..8]) } else { value.replace(';', ",") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ldap() -> Ldap {
        toml::from_str(
            "url = \"ldap://127.0.0.1:1\"\nbind_dn = \"cn=x\"\npassword = \"secret\"\nbase = \"dc=x\"\n\
            attributes = { kind = \"employeeType\", expires = \"shadowExpire\", country = \"c\" }\n\
            defaults = { category = \"none\" }\n[values.kind]\nStaff = \"ties\"\n",
        )
        .unwrap()
    }

    #[test]
    fn a_value_from_outside_cannot_change_the_filter() {
        for hostile in ["*", ")(uid=*", "\\2a", "20261126)(|(objectClass=*", "a\0b", "*)(objectClass=*))(&(objectClass=void"] {
            let filter = filter(&ldap(), Some(hostile));
            let inner = filter.strip_prefix("(&(objectClass=person)(modifyTimestamp>=").and_then(|rest| rest.strip_suffix("))")).unwrap();
            assert!(!inner.contains(['(', ')', '*', '\0']), "{filter}");
        }
    }

    #[test]
    fn an_entry_is_named_by_its_uuid_or_what_the_configuration_says_or_its_dn() {
        let named = |settings: &Ldap, name: &str, value: &str| {
            let attrs = HashMap::from([(name.to_owned(), vec![value.to_owned()])]);
            identity(settings, &SearchEntry { dn: "UID=Ana,dc=x".into(), attrs, bin_attrs: HashMap::new() })
        };
        let uuid = named(&ldap(), "EntryUUID", "597AE2F6-16a6-1027-98f4-d28b5365dc14");
        assert_eq!((uuid.len(), &uuid[..2]), (16, &[0x59, 0x7a][..]));
        assert_eq!(named(&ldap(), "cn", "Ana"), b"uid=ana,dc=x");
        let by_number = Ldap { identity: "employeeNumber".into(), ..ldap() };
        assert_eq!(named(&by_number, "employeenumber", "0042"), b"0042");
        let octets = HashMap::from([("objectGUID".to_owned(), vec![vec![0xff, 1]])]);
        let entry = SearchEntry { dn: "x".into(), attrs: HashMap::new(), bin_attrs: octets };
        assert_eq!(identity(&Ldap { identity: "objectGUID".into(), ..ldap() }, &entry), [0xff, 1]);
    }

    #[test]
    fn attributes_become_cells_by_the_tables_of_the_configuration() {
        let attrs = [
            ("Mail", vec!["ana@x.test", "ana@y.test"]),
            ("cn", vec!["Ana", "Anna"]),
            ("employeeType", vec!["Staff"]),
            ("shadowExpire", vec!["20271231235959Z"]),
        ];
        let attrs = attrs.into_iter().map(|(name, values)| (name.to_owned(), values.into_iter().map(str::to_owned).collect())).collect();
        let entry = SearchEntry { dn: "uid=ana".into(), attrs, bin_attrs: HashMap::new() };
        let person = person(&ldap(), &attributes(&ldap()), &entry);
        let cells: Vec<_> = person.cells.iter().map(|(column, cell)| format!("{column}={cell}")).collect();
        assert_eq!(cells, ["email=ana@x.test;ana@y.test", "name=Ana", "kind=ties", "category=none", "country=", "expires=2027-12-31"]);
    }

    #[tokio::test]
    async fn an_empty_password_is_never_sent_and_a_dead_server_is_an_error() {
        let mut empty = ldap();
        empty.password = None;
        assert!(read(&empty, None, 10).await.unwrap_err().to_string().contains("anonymous"));
        assert!(read(&ldap(), None, 10).await.unwrap_err().to_string().contains("cannot be reached"));
    }
}
