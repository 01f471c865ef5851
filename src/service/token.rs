//! Tokens of programs that use the API.
//!
//! A token is shown once, when it is made; the store has only its SHA-256, so that a stolen backup opens nothing and looking a
//! token up compares no secret octet by octet. What a token may do stands in its scopes ([`Scope`]); which address takes which
//! scope stands in the table of `web::api`.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, NaiveDate, Utc};
use data_encoding::{BASE32_NOPAD, HEXLOWER};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Actor, Failure, Services};
use crate::domain::group::GroupCode;
use crate::domain::mistake::Mistake;
use crate::store::record;

const REGISTER: &str = "api-token";
/// 160 bits.
const SECRET_OCTETS: usize = 20;
/// How every token begins, so that a leaked one is recognised by scanners of repositories.
const PREFIX: &str = "enlace_";
/// Longest name, in characters.
const NAME_CHARS: usize = 80;
const PAGE: usize = 500;

/// A part of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Area {
    /// Groups and their settings.
    Groups,
    /// The directory.
    Accounts,
    /// Subscribers.
    Members,
    /// Held posts.
    Holds,
    /// Liaison statements.
    Liaisons,
    /// Meetings.
    Meetings,
    /// Outgoing mail.
    Queue,
    /// Why somebody got something.
    Explain,
    /// What came back.
    Bounces,
    /// Archives.
    Archive,
    /// Tokens, audit trail, state of the service.
    Admin,
}

impl Area {
    /// All, as they are named in scopes.
    pub const ALL: [(Self, &'static str); 11] = [
        (Self::Groups, "groups"),
        (Self::Accounts, "accounts"),
        (Self::Members, "members"),
        (Self::Holds, "holds"),
        (Self::Liaisons, "liaisons"),
        (Self::Meetings, "meetings"),
        (Self::Queue, "queue"),
        (Self::Explain, "explain"),
        (Self::Bounces, "bounces"),
        (Self::Archive, "archive"),
        (Self::Admin, "admin"),
    ];

    /// As in a scope.
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(area, _)| *area == self).map_or("", |(_, name)| name)
    }
}

/// What a token may do: `AREA`, `AREA:read`, `read`, `write` or `all`, with `@GROUP` for one group only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scope {
    /// One area; `None` for every one. `write` and `read` leave out `admin`; `all` does not.
    area: Option<Area>,
    admin: bool,
    write: bool,
    group: Option<GroupCode>,
}

impl Scope {
    /// Does it cover this? `group` is the one the request is about; a request about none is not covered by a scope of one group.
    pub fn covers(&self, area: Area, write: bool, group: Option<&GroupCode>) -> bool {
        let right_area = match self.area {
            Some(own) => own == area,
            None => self.admin || area != Area::Admin,
        };
        right_area && (self.write || !write) && self.group.as_ref().is_none_or(|own| Some(own) == group)
    }
}

impl FromStr for Scope {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (what, group) = match text.split_once('@') {
            Some((what, code)) => (what, Some(code.parse().map_err(|error| format!("scope `{text}`: {error}"))?)),
            None => (text, None),
        };
        let (name, reading) = match what.split_once(':') {
            Some((name, "read")) => (name, true),
            Some((name, "write")) => (name, false),
            Some(_) => return Err(format!("scope `{text}`: after the colon comes `read` or `write`")),
            None => (what, false),
        };
        let scope = |area, admin, write| Self { area, admin, write, group: group.clone() };
        match (name, reading) {
            ("read", false) => return Ok(scope(None, false, false)),
            ("write", false) => return Ok(scope(None, false, true)),
            ("all", reading) => return Ok(scope(None, true, !reading)),
            _ => {}
        }
        if let Some((area, _)) = Area::ALL.iter().find(|(_, known)| *known == name) {
            Ok(scope(Some(*area), *area == Area::Admin, !reading))
        } else {
            let known: Vec<&str> = Area::ALL.iter().map(|(_, name)| *name).collect();
            Err(format!("scope `{text}` is not known: read, write, all, or one of {} (with `:read` to read only)", known.join(", ")))
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.area, self.admin, self.write) {
            (Some(area), _, true) => f.write_str(area.as_str())?,
            (Some(area), _, false) => write!(f, "{}:read", area.as_str())?,
            (None, true, true) => f.write_str("all")?,
            (None, true, false) => f.write_str("all:read")?,
            (None, false, true) => f.write_str("write")?,
            (None, false, false) => f.write_str("read")?,
        }
        self.group.as_ref().map_or(Ok(()), |group| write!(f, "@{group}"))
    }
}

/// A token without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// What it is called; one at a time has a name.
    pub name: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// When it was made.
    pub created: DateTime<Utc>,
    /// Its last day.
    pub expires: Option<NaiveDate>,
    /// Who made it.
    pub by: String,
}

impl Token {
    /// Does one of its scopes cover this?
    pub fn covers(&self, area: Area, write: bool, group: Option<&GroupCode>) -> bool {
        self.scopes.iter().any(|scope| scope.covers(area, write, group))
    }

    /// Groups of which it may read this area, as far as its scopes name some.
    pub fn groups_read(&self, area: Area) -> Vec<GroupCode> {
        self.scopes.iter().filter(|scope| scope.covers(area, false, scope.group.as_ref())).filter_map(|scope| scope.group.clone()).collect()
    }

    /// For the audit trail.
    pub fn actor(&self) -> Actor {
        Actor { name: format!("token {}", self.name) }
    }
}

/// Makes a token and returns it with its secret, which is never shown again.
///
/// # Errors
/// When the name is empty, too long or taken, there is no scope, or the last day is past.
pub async fn create(
    services: &Services,
    actor: &Actor,
    name: &str,
    scopes: Vec<Scope>,
    expires: Option<NaiveDate>,
    dry_run: bool,
) -> Result<(Token, String), Failure> {
    let name = name.trim();
    if name.is_empty() || name.chars().count() > NAME_CHARS || name.chars().any(char::is_control) {
        return Err(Mistake::TokenNameUnclear.about([NAME_CHARS]).into());
    }
    if scopes.is_empty() {
        return Err(Mistake::TokenScopeless.plain().into());
    }
    for code in scopes.iter().filter_map(|scope| scope.group.as_ref()) {
        services.group(code)?;
    }
    if expires.is_some_and(|day| day < services.today()) {
        return Err(Mistake::TokenPast.plain().into());
    }
    if list(services).await?.iter().any(|token| token.name == name) {
        return Err(Mistake::TokenTaken.about([name]).into());
    }
    let mut octets = [0; SECRET_OCTETS];
    getrandom::fill(&mut octets).map_err(|error| Failure::Invalid(format!("the system gives no random numbers: {error}")))?;
    let secret = format!("{PREFIX}{}", BASE32_NOPAD.encode(&octets).to_ascii_lowercase());
    let token = Token { name: name.to_owned(), scopes, created: services.now(), expires, by: actor.name.clone() };
    if dry_run {
        return Ok((token, String::new()));
    }
    services.store.put_entry(REGISTER, &key(&secret), 0, record::encode(&token)?).await?;
    let scopes: Vec<String> = token.scopes.iter().map(ToString::to_string).collect();
    services.audit(actor, "token create", None, format!("{} ({})", token.name, scopes.join(" "))).await?;
    Ok((token, secret))
}

/// All tokens, by name.
///
/// # Errors
/// When the store fails.
pub async fn list(services: &Services) -> Result<Vec<Token>, Failure> {
    let mut tokens: Vec<Token> = entries(services).await?.into_iter().map(|(_, token)| token).collect();
    tokens.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(tokens)
}

/// Ends a token at once.
///
/// # Errors
/// When there is none of that name.
pub async fn revoke(services: &Services, actor: &Actor, name: &str, dry_run: bool) -> Result<Token, Failure> {
    let found = entries(services).await?.into_iter().find(|(_, token)| token.name == name);
    let (key, token) = found.ok_or_else(|| Failure::NotFound(format!("there is no token {name:?}; `enlace token list` shows all")))?;
    if !dry_run {
        services.store.remove_entry(REGISTER, &key).await?;
        services.audit(actor, "token revoke", None, token.name.clone()).await?;
    }
    Ok(token)
}

/// Whose secret this is; `None` for a foreign, revoked or expired one.
///
/// # Errors
/// When the store fails.
pub async fn authenticate(services: &Services, secret: &str) -> Result<Option<Token>, Failure> {
    if !secret.starts_with(PREFIX) || secret.len() > 64 {
        return Ok(None);
    }
    let Some((_, record)) = services.store.entry(REGISTER, &key(secret)).await? else { return Ok(None) };
    let token = decode(&record)?;
    Ok(token.expires.is_none_or(|day| day >= services.today()).then_some(token))
}

fn key(secret: &str) -> String {
    HEXLOWER.encode(&Sha256::digest(secret))
}

async fn entries(services: &Services) -> Result<Vec<(String, Token)>, Failure> {
    let mut tokens = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let page = services.store.entries(REGISTER, after.as_deref(), PAGE).await?;
        let Some((last, ..)) = page.last() else { return Ok(tokens) };
        after = Some(last.clone());
        for (key, _, record) in page {
            tokens.push((key, decode(&record)?));
        }
    }
}

fn decode(bytes: &[u8]) -> Result<Token, Failure> {
    Ok(record::decode("an API token", bytes)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(text: &str) -> Scope {
        text.parse().unwrap()
    }

    #[test]
    fn a_scope_covers_its_area_and_no_other() {
        let amr: GroupCode = "SG12RG-AMR".parse().unwrap();
        let afr: GroupCode = "SG12RG-AFR".parse().unwrap();
        for (text, area, write, group, covered) in [
            ("read", Area::Members, false, None, true),
            ("read", Area::Members, true, None, false),
            ("read", Area::Admin, false, None, false),
            ("write", Area::Queue, true, None, true),
            ("write", Area::Admin, true, None, false),
            ("all", Area::Admin, true, None, true),
            ("all:read", Area::Admin, true, None, false),
            ("admin", Area::Admin, true, None, true),
            ("admin", Area::Members, false, None, false),
            ("members", Area::Members, true, Some(&amr), true),
            ("members:read", Area::Members, true, Some(&amr), false),
            ("members@SG12RG-AMR", Area::Members, true, Some(&amr), true),
            ("members@SG12RG-AMR", Area::Members, true, Some(&afr), false),
            ("members@SG12RG-AMR", Area::Members, true, None, false),
        ] {
            assert_eq!(scope(text).covers(area, write, group), covered, "{text} {area:?} {write} {group:?}");
        }
    }

    #[test]
    fn a_scope_is_written_as_it_was_read() {
        for text in ["read", "write", "all", "all:read", "members", "queue:read", "liaisons@SG12RG-AMR"] {
            assert_eq!(scope(text).to_string(), text);
        }
        for text in ["", "everything", "members:delete", "read:read@", "members@"] {
            assert!(text.parse::<Scope>().is_err(), "{text}");
        }
    }
}
