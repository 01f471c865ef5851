//! Content synchronization (RFC 4533): the server says what changed since a cookie that it gave us, and who is gone.
//!
//! Only refreshes are asked for (`refreshOnly`), because a synchronisation is a job with a beginning and an end. A deletion names an
//! entry by its UUID alone, so the addresses of every entry are remembered beside the cookie. A server that has forgotten what the
//! cookie means tells in the present phase who is still there, or asks us to begin anew (`e-syncRefreshRequired`). Whatever it
//! says, who vanished is the caller's to judge: the brake on mass removals is behind this.

use std::collections::{BTreeMap, HashSet};

use ldap3::controls::{ControlType, EntryState, MakeCritical, RefreshMode, SyncDone, SyncInfo, SyncRequest, SyncState, parse_syncinfo};
use ldap3::{ResultEntry, Scope, SearchEntry};

use super::{ANSWER_WITHIN, Person, Progress, Reading, attributes, person, values};
use crate::config::Ldap;

/// The server does not know the control for this base, or does not let us use it this far: sizeLimitExceeded,
/// adminLimitExceeded, unavailableCriticalExtension, insufficientAccessRights, unwillingToPerform (RFC 4511 section 4.1.9).
const NOT_OFFERED: [u32; 5] = [4, 11, 12, 50, 53];
/// The cookie is of no use any more: e-syncRefreshRequired (RFC 4533 section 2.6); protocolError and unwillingToPerform of servers that
/// were set up anew and meet a cookie which they cannot have made.
const BEGIN_ANEW: [u32; 3] = [4096, 2, 53];

/// What a server told of its content, and the cookie to go on from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Content {
    /// To be shown to the server again, unread.
    pub cookie: Vec<u8>,
    /// Addresses of each entry, by its UUID.
    pub entries: BTreeMap<Vec<u8>, Vec<String>>,
}

/// What came of one search.
enum Told {
    Everything(Box<Reading>),
    BeginAnew,
    NotOffered,
}

/// Reads by this means, from `since` on or everything; `None` when the server does not offer it.
///
/// # Errors
/// When the server breaks off.
pub(super) async fn read(session: &mut ldap3::Ldap, ldap: &Ldap, since: Option<Content>, most: usize) -> Result<Option<Reading>, String> {
    let mut since = since;
    loop {
        let anew = since.is_none();
        match search(session, ldap, since.take(), most).await? {
            Told::Everything(reading) => return Ok(Some(*reading)),
            Told::BeginAnew if !anew => tracing::info!("The directory asks for everything to be read anew"),
            Told::BeginAnew | Told::NotOffered => return Ok(None),
        }
    }
}

async fn search(session: &mut ldap3::Ldap, ldap: &Ldap, since: Option<Content>, most: usize) -> Result<Told, String> {
    let failed = |error: ldap3::LdapError| format!("the content synchronization failed: {error}");
    let wanted: Vec<String> = attributes(ldap).into_values().collect();
    let incremental = since.is_some();
    let cookie = since.as_ref().map(|content| content.cookie.clone());
    let request = SyncRequest { mode: RefreshMode::RefreshOnly, cookie, reload_hint: false };
    let mut stream = session
        .with_timeout(ANSWER_WITHIN)
        .with_controls(request.critical())
        .streaming_search(&ldap.base, Scope::Subtree, &ldap.filter, wanted)
        .await
        .map_err(failed)?;
    let mut gathered = Gathered::new(ldap, since.unwrap_or_default());
    while let Some(entry) = stream.next().await.map_err(failed)? {
        gathered.take(entry);
        if gathered.content.entries.len() > most {
            return Err(format!("it has more than {most} entries (limits.import_rows)"));
        }
    }
    let result = stream.finish().await;
    if result.rc != 0 {
        return match result.rc {
            code if incremental && BEGIN_ANEW.contains(&code) => Ok(Told::BeginAnew),
            code if NOT_OFFERED.contains(&code) => Ok(Told::NotOffered),
            _ => Err(format!("the content synchronization failed: {result}")),
        };
    }
    // A server that does not say where it stopped has not read the control.
    let done = result.ctrls.iter().find(|control| matches!(control.0, Some(ControlType::SyncDone)));
    let Some(done) = done.map(|control| control.1.parse::<SyncDone>()) else { return Ok(Told::NotOffered) };
    Ok(Told::Everything(Box::new(gathered.finish(done, incremental))))
}

/// A refresh as it comes in.
struct Gathered<'a> {
    ldap: &'a Ldap,
    columns: BTreeMap<&'static str, String>,
    content: Content,
    /// Entries that the server said are there, changed or not.
    told: HashSet<Vec<u8>>,
    changed: Vec<super::Person>,
}

impl<'a> Gathered<'a> {
    fn new(ldap: &'a Ldap, content: Content) -> Self {
        Self { ldap, columns: attributes(ldap), content, told: HashSet::new(), changed: Vec::new() }
    }

    fn take(&mut self, entry: ResultEntry) {
        if entry.is_intermediate() {
            self.info(parse_syncinfo(entry));
            return;
        }
        // Without its state it is a referral, which is not followed.
        let state = entry.1.iter().find(|control| matches!(control.0, Some(ControlType::SyncState)));
        let Some(state) = state.map(|control| control.1.parse::<SyncState>()).filter(|_| !entry.is_ref()) else { return };
        if let Some(cookie) = state.cookie {
            self.content.cookie = cookie;
        }
        match state.state {
            EntryState::Delete => {
                self.content.entries.remove(&state.entry_uuid);
            }
            EntryState::Present => {
                self.told.insert(state.entry_uuid);
            }
            EntryState::Add | EntryState::Modify => {
                let entry = SearchEntry::construct(entry);
                let addresses = values(&entry, &self.columns["email"]);
                if !addresses.is_empty() {
                    // The state names the entry, so no attribute has to.
                    let identity = state.entry_uuid.clone();
                    self.changed.push(Person { identity, ..person(self.ldap, &self.columns, &entry) });
                }
                self.told.insert(state.entry_uuid.clone());
                self.content.entries.insert(state.entry_uuid, addresses);
            }
        }
    }

    fn info(&mut self, info: SyncInfo) {
        let cookie = match info {
            SyncInfo::NewCookie(cookie) => Some(cookie),
            SyncInfo::RefreshDelete { cookie, .. } | SyncInfo::RefreshPresent { cookie, .. } => cookie,
            SyncInfo::SyncIdSet { cookie, refresh_deletes, sync_uuids } => {
                if refresh_deletes {
                    self.content.entries.retain(|uuid, _| !sync_uuids.contains(uuid));
                } else {
                    self.told.extend(sync_uuids);
                }
                cookie
            }
        };
        if let Some(cookie) = cookie {
            self.content.cookie = cookie;
        }
    }

    fn finish(self, done: SyncDone, incremental: bool) -> Reading {
        let Self { mut content, told, changed, .. } = self;
        if !done.refresh_deletes {
            // The present phase: who was not told of is gone (RFC 4533 section 3.3.2).
            content.entries.retain(|uuid, _| told.contains(uuid));
        }
        if let Some(cookie) = done.cookie {
            content.cookie = cookie;
        }
        Reading {
            present: content.entries.values().flatten().cloned().collect(),
            without_address: content.entries.values().filter(|addresses| addresses.is_empty()).count(),
            changed,
            incremental,
            entries: content.entries.clone(),
            progress: (!content.cookie.is_empty()).then_some(Progress::Content(content)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ldap() -> Ldap {
        toml::from_str("url = \"ldap://127.0.0.1:1\"\nbind_dn = \"cn=x\"\nbase = \"dc=x\"\n").unwrap()
    }

    fn known() -> Content {
        let entries = (1..=4u8).map(|number| (vec![number], vec![format!("p{number}@x.test")])).collect();
        Content { cookie: b"old".to_vec(), entries }
    }

    fn set(refresh_deletes: bool, uuids: &[u8]) -> SyncInfo {
        SyncInfo::SyncIdSet { cookie: None, refresh_deletes, sync_uuids: uuids.iter().map(|uuid| vec![*uuid]).collect() }
    }

    fn after(infos: Vec<SyncInfo>, refresh_deletes: bool, cookie: Option<&[u8]>) -> Reading {
        let ldap = ldap();
        let mut gathered = Gathered::new(&ldap, known());
        infos.into_iter().for_each(|info| gathered.info(info));
        gathered.finish(SyncDone { cookie: cookie.map(<[u8]>::to_vec), refresh_deletes }, true)
    }

    #[test]
    fn the_present_phase_and_the_delete_phase_say_the_same_in_opposite_ways() {
        let present = after(vec![set(false, &[1, 3])], false, Some(b"new"));
        let deleted = after(vec![set(true, &[2, 4])], true, Some(b"new"));
        assert_eq!(present.present, ["p1@x.test", "p3@x.test"]);
        assert_eq!((present.present, present.progress), (deleted.present, deleted.progress.clone()));
        assert!(matches!(deleted.progress, Some(Progress::Content(content)) if content.cookie == b"new"));
    }

    #[test]
    fn nothing_told_in_the_delete_phase_removes_nobody_and_the_old_cookie_stands() {
        let quiet = after(Vec::new(), true, None);
        assert_eq!(quiet.present.len(), 4);
        assert_eq!(quiet.progress, Some(Progress::Content(known())));
        let moved = after(vec![SyncInfo::NewCookie(b"later".to_vec())], true, None);
        assert!(matches!(moved.progress, Some(Progress::Content(content)) if content.cookie == b"later"));
    }
}
