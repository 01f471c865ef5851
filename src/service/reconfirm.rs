//! The yearly confirmation of accounts: the plan of `domain::reconfirm` carried out, and the answers (DOMAIN 1.3 and 1.9).
//!
//! A guest answers for herself, the accounts of an organisation are answered for by its focal points; who has none, for herself. Each
//! mail has the token of one request, and an answer to it, the page behind it and `/me` do the same; the page also takes who has left.
//! What is noted is written after each step, and the mail of a step goes out once for its key, so that a run that was cut off goes on
//! where it stopped. Who does not answer rests with that reason until she does; who has a role somewhere is asked and does not rest, so
//! that nothing is left without anybody.

use std::collections::{BTreeMap, HashMap};

use chrono::NaiveDate;
use serde::Serialize;
use serde_json::json;

use super::robot::{self, Allowance, RobotMail};
use super::{Actor, Failure, Services, rights, session};
use crate::domain::account::{Account, AccountKind, Standing};
use crate::domain::gate;
use crate::domain::id::{AccountId, RequestId};
use crate::domain::meeting::civil;
use crate::domain::mistake::Mistake;
use crate::domain::reconfirm::{Confirmation, Round, Step, Terms, later, step};
use crate::domain::subscription::Role;
use crate::mail::token::Purpose;
use crate::store::{Request, record};

/// What a request asks that waits for this answer; its arguments are `account ID` or `organisation NAME`.
pub const VERB: &str = "confirm-account";
/// Register of what is noted: an account's identifier, or `organisation|NAME`.
const REGISTER: &str = "account-confirmations";
/// Most who are asked in one run, so that a service that begins with it does not ask everybody on one day.
pub const ASKED_A_RUN: usize = 1_000;
/// Most people of a roster who are named in a mail or on a page.
pub const MOST_NAMED: usize = 200;
const PAGE: usize = 1_000;
/// How often an answer is noted again when another writer was first.
const TRIES: usize = 8;

/// Who is asked about: one person, or the people of an organisation.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Unit {
    Person(AccountId),
    Roster(String),
}

impl Unit {
    fn key(&self) -> String {
        match self {
            Self::Person(id) => id.to_string(),
            Self::Roster(organisation) => format!("organisation|{organisation}"),
        }
    }

    fn arguments(&self) -> Vec<String> {
        match self {
            Self::Person(id) => vec!["account".into(), id.to_string()],
            Self::Roster(organisation) => vec!["organisation".into(), organisation.clone()],
        }
    }

    fn of(request: &Request) -> Option<Self> {
        match &request.arguments[..] {
            [kind, id] if kind == "account" => id.parse().ok().map(Self::Person),
            [kind, organisation] if kind == "organisation" => Some(Self::Roster(organisation.clone())),
            _ => None,
        }
    }
}

/// The organisation of a member's account as rosters are named by it.
fn roster_name(account: &Account) -> Option<String> {
    let name = account.organisation.trim().to_lowercase();
    (account.kind == AccountKind::Ties && !name.is_empty()).then_some(name)
}

/// What is noted of accounts.
pub struct Confirmations(HashMap<String, (u64, Confirmation)>);

impl Confirmations {
    /// Of all.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn load(services: &Services) -> Result<Self, Failure> {
        let mut noted = HashMap::new();
        let mut after: Option<String> = None;
        loop {
            let page = services.store.entries(REGISTER, after.as_deref(), PAGE).await?;
            let Some((last, ..)) = page.last() else { return Ok(Self(noted)) };
            after = Some(last.clone());
            for (key, version, bytes) in page {
                let confirmation = decode(&bytes)?;
                noted.insert(key, (version, confirmation));
            }
        }
    }

    /// Of these accounts and their organisations.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn of(services: &Services, accounts: &[Account]) -> Result<Self, Failure> {
        let mut noted = HashMap::new();
        for account in accounts {
            let roster = roster_name(account).map(Unit::Roster);
            for key in std::iter::once(Unit::Person(account.id)).chain(roster).map(|unit| unit.key()) {
                if let Some((version, bytes)) = services.store.entry(REGISTER, &key).await? {
                    noted.insert(key, (version, decode(&bytes)?));
                }
            }
        }
        Ok(Self(noted))
    }

    /// Of one account: its own, and that of its organisation's roster.
    pub fn about(&self, account: &Account) -> Confirmation {
        let of = |unit: Unit| self.0.get(&unit.key()).map(|(_, confirmation)| confirmation.clone()).unwrap_or_default();
        let (own, roster) = (of(Unit::Person(account.id)), roster_name(account).map(|name| of(Unit::Roster(name))).unwrap_or_default());
        Confirmation { confirmed: own.confirmed.max(roster.confirmed), round: own.round.or(roster.round) }
    }
}

fn decode(bytes: &[u8]) -> Result<Confirmation, Failure> {
    Ok(record::decode("the confirmation of an account", bytes)?)
}

/// What a run did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Done {
    /// Questions that went out, one for each person or roster.
    pub asked: usize,
    /// Reminders.
    pub reminded: usize,
    /// Accounts that rest from now on.
    pub resting: usize,
}

/// Takes every step that is due today. Safe to run twice, and after any pause.
///
/// # Errors
/// When a template or the store fails; what was done until then is noted.
pub async fn run(services: &Services) -> Result<Done, Failure> {
    let directory = &services.config.directory;
    let mut done = Done::default();
    if directory.reconfirm.is_empty() {
        return Ok(done);
    }
    let days = |span: crate::config::Span| (span.0.as_secs() / 86_400).max(1);
    let terms = Terms { every: days(directory.reconfirm_every), within: days(directory.reconfirm_within) };
    let noted = Confirmations::load(services).await?;
    let focal_points = focal_points(services).await?;
    let mut rosters: BTreeMap<String, NaiveDate> = BTreeMap::new();
    let mut after = None;
    loop {
        let page = services.store.accounts(after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        for account in page {
            if !directory.reconfirm.contains(&account.kind) || gate::why_not_in_force(&account, services.today()).is_some() {
                continue;
            }
            let since = civil::day(services.config.service.timezone, account.id.instant());
            if let Some(name) = roster_name(&account).filter(|name| focal_points.contains_key(name)) {
                let roster = rosters.entry(name).or_insert(since);
                *roster = since.min(*roster);
            } else {
                let unit = Unit::Person(account.id);
                work(services, &unit, std::slice::from_ref(&account), since, terms, &noted, &mut done).await?;
            }
        }
    }
    for (name, since) in rosters {
        let asked = focal_points.get(&name).map(Vec::as_slice).unwrap_or_default();
        work(services, &Unit::Roster(name), asked, since, terms, &noted, &mut done).await?;
    }
    Ok(done)
}

/// Those who answer for an organisation, by its name.
async fn focal_points(services: &Services) -> Result<HashMap<String, Vec<Account>>, Failure> {
    let mut found: HashMap<String, Vec<Account>> = HashMap::new();
    each_account(services, |account| {
        if let Some(name) = roster_name(&account).filter(|_| account.is_focal_point()) {
            found.entry(name).or_default().push(account);
        }
    })
    .await?;
    Ok(found)
}

/// Every account that is in force.
async fn each_account(services: &Services, mut take: impl FnMut(Account) + Send) -> Result<(), Failure> {
    let mut after = None;
    loop {
        let page = services.store.accounts(after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = Some(last.id);
        page.into_iter().filter(|account| gate::why_not_in_force(account, services.today()).is_none()).for_each(&mut take);
    }
}

/// All steps that are due of one unit. `asked` are those who may answer.
async fn work(
    services: &Services,
    unit: &Unit,
    asked: &[Account],
    since: NaiveDate,
    terms: Terms,
    noted: &Confirmations,
    done: &mut Done,
) -> Result<(), Failure> {
    let (mut version, mut confirmation) = noted.0.get(&unit.key()).cloned().unwrap_or_default();
    let today = services.today();
    loop {
        match (step(&confirmation, since, terms, today), &mut confirmation.round) {
            (Step::Wait, _) => return Ok(()),
            (Step::Ask, _) if done.asked >= ASKED_A_RUN => return Ok(()),
            (Step::Ask, round) => {
                let request = RequestId::new(services.now(), services.chance());
                *round = Some(Round { request, asked: today, by: later(today, terms.within), told: 0, lapsed: false });
            }
            (Step::Tell(number, by), Some(round)) => {
                round.by = by;
                tell(services, unit, asked, round, number, terms).await?;
                let counted = if round.told == 0 { &mut done.asked } else { &mut done.reminded };
                *counted += 1;
                round.told = number;
            }
            (Step::Lapse, Some(round)) => {
                done.resting += rest(services, unit, round.by).await?;
                round.lapsed = true;
            }
            (Step::Tell(..) | Step::Lapse, None) => return Ok(()),
        }
        match services.store.put_entry(REGISTER, &unit.key(), version, record::encode(&confirmation)?).await? {
            Some(next) => version = next,
            // Somebody answered meanwhile, or another node was first: the next run sees what is so.
            None => return Ok(()),
        }
    }
}

async fn tell(services: &Services, unit: &Unit, asked: &[Account], round: &Round, number: u8, terms: Terms) -> Result<(), Failure> {
    let Some(first) = asked.first() else { return Ok(()) };
    let group_code = match session::group_for(services, first).await? {
        Some(group) => group.code.clone(),
        None => return Ok(()),
    };
    let request = Request {
        id: round.request,
        verb: VERB.to_owned(),
        group: group_code,
        address: first.address().clone(),
        arguments: unit.arguments(),
        at: services.now(),
        // A late answer is good until the next question.
        expires: civil::end_of_day(services.config.service.timezone, later(round.by, terms.every)),
    };
    services.store.put_request(request).await?;
    let token = services.keys.address_token(Purpose::Confirm, round.request.0);
    let people = match unit {
        Unit::Person(_) => Vec::new(),
        Unit::Roster(name) => roster(services, name).await?,
    };
    let named: Vec<_> = people.iter().take(MOST_NAMED).map(|one| json!({ "name": one.name, "address": one.address() })).collect();
    let organisation = if people.is_empty() { String::new() } else { first.organisation.trim().to_owned() };
    for account in asked {
        let Some(group) = session::group_for(services, account).await? else { continue };
        let mail = RobotMail {
            to: account.address(),
            account: Some(account),
            group: &group,
            template: "confirm-account",
            context: json!({
                "organisation": organisation, "people": named, "more": people.len() - named.len(), "day": round.by.to_string(),
                "link": format!("{}/c/{token}", services.site.base_url), "reminder": number > 1,
            }),
            reply_to: Some(format!("{}-confirm+{token}", group.list)),
            in_reply_to: None,
            allowance: Allowance::Receipt,
        };
        robot::send_once(services, mail, format!("{REGISTER}|{}|{}|{number}|{}", unit.key(), round.asked, account.id)).await?;
    }
    Ok(())
}

/// The members' accounts in force of an organisation, in the order of their names, which is how a focal point looks for somebody.
async fn roster(services: &Services, name: &str) -> Result<Vec<Account>, Failure> {
    let mut people = Vec::new();
    each_account(services, |account| {
        if roster_name(&account).is_some_and(|own| own == name) {
            people.push(account);
        }
    })
    .await?;
    people.sort_by_cached_key(|account| (account.name.to_lowercase(), account.address().clone()));
    Ok(people)
}

/// Nobody answered in time: the accounts rest, but for those with a role. Returns how many.
async fn rest(services: &Services, unit: &Unit, by: NaiveDate) -> Result<usize, Failure> {
    services
        .alone(async {
            let people = match unit {
                Unit::Person(id) => services.store.account(*id).await?.into_iter().collect(),
                Unit::Roster(name) => roster(services, name).await?,
            };
            let mut resting = 0;
            for account in people {
                if has_role(services, &account).await? {
                    continue;
                }
                let standing = Standing::Unconfirmed { since: services.now(), by };
                put(services, &Actor::job("reconfirm"), "account rest", Account { standing, ..account }).await?;
                resting += 1;
            }
            Ok(resting)
        })
        .await
}

async fn has_role(services: &Services, account: &Account) -> Result<bool, Failure> {
    let subscriptions = services.store.subscriptions_of_account(account.id).await?;
    Ok(!account.roles.is_empty() || subscriptions.iter().any(|one| one.is_active() && one.role > Role::Member))
}

async fn put(services: &Services, actor: &Actor, act: &str, account: Account) -> Result<(), Failure> {
    let (id, address) = (account.id, account.address().to_string());
    services.store.put_accounts(vec![account]).await?;
    services.audit(actor, act, None, address).await?;
    rights::rejudge_accounts(services, actor, &[id]).await.map(|_| ())
}

/// Somebody answered, in time or late: what was asked about is confirmed, and what rests for want of it is in force again.
///
/// # Errors
/// When the store fails.
pub async fn confirmed(services: &Services, request: &Request) -> Result<(), Failure> {
    services
        .alone(async {
            let Some(unit) = Unit::of(request) else { return Ok(()) };
            note(services, &unit).await?;
            let actor = Actor::from(&request.address);
            let mut people = Vec::new();
            match &unit {
                Unit::Person(id) => people.extend(services.store.account(*id).await?),
                Unit::Roster(name) => {
                    let mut after = None;
                    loop {
                        let page = services.store.accounts(after, PAGE).await?;
                        let Some(last) = page.last() else { break };
                        after = Some(last.id);
                        people.extend(page.into_iter().filter(|account| roster_name(account).is_some_and(|own| own == *name)));
                    }
                }
            }
            services.audit(&actor, "account confirm", None, unit.arguments().join(" ")).await?;
            for account in people.into_iter().filter(|account| matches!(account.standing, Standing::Unconfirmed { .. })) {
                put(services, &actor, "account return", Account { standing: Standing::Active, ..account }).await?;
            }
            Ok(())
        })
        .await
}

/// Somebody who may has put an account in force again that rested for want of a confirmation.
///
/// # Errors
/// When the store fails.
pub async fn vouched(services: &Services, account: &Account) -> Result<(), Failure> {
    note(services, &Unit::Person(account.id)).await
}

async fn note(services: &Services, unit: &Unit) -> Result<(), Failure> {
    let confirmation = record::encode(&Confirmation { confirmed: Some(services.today()), round: None })?;
    for _ in 0..TRIES {
        let version = services.store.entry(REGISTER, &unit.key()).await?.map_or(0, |(version, _)| version);
        if services.store.put_entry(REGISTER, &unit.key(), version, confirmation.clone()).await?.is_some() {
            return Ok(());
        }
    }
    Err(Mistake::ConfirmationBusy.plain().into())
}

/// A question that waits for somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Open {
    /// The organisation whose people are asked about; `None`: she herself.
    pub organisation: Option<String>,
    /// Last day for the answer.
    pub by: NaiveDate,
    /// The token of the page that takes the answer.
    pub token: String,
}

/// Questions that wait for this person's answer.
///
/// # Errors
/// When the store fails.
pub async fn open(services: &Services, account: &Account) -> Result<Vec<Open>, Failure> {
    let roster = roster_name(account).filter(|_| account.is_focal_point()).map(Unit::Roster);
    let mut open = Vec::new();
    for unit in std::iter::once(Unit::Person(account.id)).chain(roster) {
        let Some((_, bytes)) = services.store.entry(REGISTER, &unit.key()).await? else { continue };
        let Some(round) = decode(&bytes)?.round else { continue };
        if services.store.request(round.request).await?.is_some() {
            let organisation = matches!(unit, Unit::Roster(_)).then(|| account.organisation.clone());
            open.push(Open { organisation, by: round.by, token: services.keys.address_token(Purpose::Confirm, round.request.0) });
        }
    }
    Ok(open)
}

/// Whom a request asks about, for the page that takes the answer: the organisation, and its people; neither for a single person.
///
/// # Errors
/// When the store fails.
pub async fn people(services: &Services, request: &Request) -> Result<Option<(String, Vec<Account>)>, Failure> {
    let Some(Unit::Roster(name)) = Unit::of(request) else { return Ok(None) };
    let people = roster(services, &name).await?;
    let organisation = people.iter().find(|one| one.is_focal_point()).map_or(name, |one| one.organisation.trim().to_owned());
    Ok(Some((organisation, people)))
}

/// May a focal point say of this account that its person has left? Of one that answers for others, or serves the whole of the
/// service, only an operator may.
pub fn may_be_let_go(account: &Account) -> bool {
    account.roles.is_empty()
}

/// Says who of the people asked about has left the organisation: their accounts are suspended, and an operator can bring them back.
/// Said before the answer itself, which then confirms the others. Whoever is not asked about is passed over.
///
/// # Errors
/// When the store fails.
pub async fn left(services: &Services, request: &Request, who: &[AccountId]) -> Result<usize, Failure> {
    services
        .alone(async {
            let Some(Unit::Roster(name)) = Unit::of(request) else { return Ok(0) };
            let actor = Actor::from(&request.address);
            let mut gone = 0;
            for id in who {
                let Some(account) = services.store.account(*id).await? else { continue };
                let asked_about =
                    roster_name(&account).is_some_and(|own| own == name) && gate::why_not_in_force(&account, services.today()).is_none();
                if !asked_about || !may_be_let_go(&account) {
                    continue;
                }
                let standing = Standing::Suspended { since: services.now(), reason: format!("has left, says {}", request.address) };
                put(services, &actor, "account leave", Account { standing, ..account }).await?;
                gone += 1;
            }
            Ok(gone)
        })
        .await
}

/// Forgets what is noted of an account that is erased.
///
/// # Errors
/// When the store fails.
pub async fn forget(services: &Services, account: AccountId) -> Result<(), Failure> {
    Ok(services.store.remove_entry(REGISTER, &Unit::Person(account).key()).await?)
}

#[cfg(test)]
#[path = "reconfirm_tests.rs"]
mod tests;
