//! A new study period: lists take its year into their names, and everybody says again that she stays (DOMAIN 1.9).
//!
//! Each subscriber gets one mail over all her groups, with a token: an answer, or the page behind the link, keeps all of them. Who
//! has not answered by the last day rests with that reason, carried out by [`not_confirmed`] from the job that lets requests lapse;
//! she comes back by joining again. Whoever runs a group is asked and does not rest, so that no group is left without a manager.
//! A list that gets another name keeps the one before as an alias, so that no mail to it is lost.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;
use serde::Serialize;
use serde_json::json;

use super::robot::{self, Allowance, RobotMail};
use super::{Actor, Failure, Services};
use crate::domain::account::Account;
use crate::domain::group::{Group, GroupCode, GroupKind};
use crate::domain::id::RequestId;
use crate::domain::meeting::civil;
use crate::domain::mistake::Mistake;
use crate::domain::period::StudyPeriod;
use crate::domain::reason::{Reason, Rule};
use crate::domain::subscription::{Role, Subscription, SubscriptionState};
use crate::mail::token::Purpose;
use crate::store::Request;

/// What a request asks that waits for this answer.
pub const VERB: &str = "reconfirm";
/// Marks of who was asked: `PERIOD ACCOUNT`.
const ASKED: &str = "reconfirm";
/// Accounts read at a time.
const PAGE: usize = 500;

/// What is wanted.
#[derive(Debug, Clone)]
pub struct NewPeriod {
    /// Which period begins.
    pub period: StudyPeriod,
    /// Last day for the answer, in the service's zone.
    pub answer_by: NaiveDate,
    /// Only these groups; empty: all that live and have a list.
    pub groups: Vec<GroupCode>,
    /// Write nothing.
    pub dry_run: bool,
}

/// What was done, or would be.
#[derive(Debug, Clone, Serialize)]
pub struct PeriodReport {
    /// `2025-2028`.
    pub period: String,
    /// Last day for the answer.
    pub answer_by: NaiveDate,
    /// Was nothing written?
    pub dry_run: bool,
    /// Lists that get another name.
    pub lists: Vec<Renamed>,
    /// Subscribers by group who are asked.
    pub groups: BTreeMap<String, usize>,
    /// People who are asked, one mail each.
    pub asked: usize,
    /// People who were asked for this period before, and are not asked again.
    pub asked_before: usize,
}

/// A list with another name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Renamed {
    /// Of which group.
    pub group: String,
    /// Its list until now; an alias from now on.
    pub from: String,
    /// Its list from now on.
    pub to: String,
}

/// Begins a period. Run again, it goes on with those who were not asked yet.
///
/// # Errors
/// `Mistaken` when the last day is not ahead, a group is none, or a name is taken (nothing is changed then); or when a template or the
/// store fails.
pub async fn begin(services: &Services, actor: &Actor, wanted: &NewPeriod) -> Result<PeriodReport, Failure> {
    if wanted.answer_by <= services.today() {
        return Err(Mistake::DayNotAhead.about([wanted.answer_by]).into());
    }
    for code in &wanted.groups {
        services.group(code)?;
    }
    let table = services.groups();
    let concerned: Vec<&Group> = table
        .iter()
        .map(|group| &**group)
        .filter(|group| !group.retired && group.kind != GroupKind::External && !group.list.is_empty())
        .filter(|group| wanted.groups.is_empty() || wanted.groups.contains(&group.code))
        .collect();
    let mut report = PeriodReport {
        period: wanted.period.to_string(),
        answer_by: wanted.answer_by,
        dry_run: wanted.dry_run,
        lists: Vec::new(),
        groups: concerned.iter().map(|group| (group.code.to_string(), 0)).collect(),
        asked: 0,
        asked_before: 0,
    };
    let renamed = rename(services, wanted, &concerned, &mut report)?;
    if !wanted.dry_run && !renamed.is_empty() {
        services
            .alone(async {
                services.store.put_groups(renamed).await?;
                services.reload_groups().await
            })
            .await?;
        for list in &report.lists {
            let code = list.group.parse().map_err(Failure::Invalid)?;
            services.audit(actor, "group new-period", Some(&code), format!("list {} is now {}", list.from, list.to)).await?;
        }
    }
    let codes: BTreeSet<GroupCode> = concerned.iter().map(|group| group.code.clone()).collect();
    let mut after = None;
    loop {
        let page = services.store.accounts(after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        for account in &page {
            ask(services, wanted, &codes, account, &mut report).await?;
        }
    }
    if !wanted.dry_run {
        let text = format!("{}: {} people asked until {}", report.period, report.asked, report.answer_by);
        services.audit(actor, "group new-period", None, text).await?;
    }
    Ok(report)
}

/// The groups whose lists get another name, with the one before as an alias.
fn rename(services: &Services, wanted: &NewPeriod, concerned: &[&Group], report: &mut PeriodReport) -> Result<Vec<Group>, Failure> {
    let table = services.groups();
    let domain = &services.config.service.domain;
    let mut groups = Vec::new();
    for group in concerned {
        let Some(name) = wanted.period.renamed(&group.list) else { continue };
        if let Some(other) = table.iter().find(|other| other.list == name) {
            return Err(Mistake::ListTaken.about([group.code.to_string(), name, other.code.to_string()]).into());
        }
        let mut changed = Group::clone(group);
        changed.aliases.push(group.address(domain).parse().map_err(|error| Failure::Invalid(format!("{error}")))?);
        changed.aliases.retain(|alias| *alias.as_str() != format!("{name}@{domain}"));
        report.lists.push(Renamed { group: group.code.to_string(), from: group.list.clone(), to: name.clone() });
        changed.list = name;
        groups.push(changed);
    }
    Ok(groups)
}

async fn ask(
    services: &Services,
    wanted: &NewPeriod,
    codes: &BTreeSet<GroupCode>,
    account: &Account,
    report: &mut PeriodReport,
) -> Result<(), Failure> {
    let subscriptions = services.store.subscriptions_of_account(account.id).await?;
    let mut hers: Vec<GroupCode> =
        subscriptions.into_iter().filter(|one| one.is_active() && codes.contains(&one.group)).map(|one| one.group).collect();
    hers.sort();
    let Some(first) = hers.first() else { return Ok(()) };
    let mark = format!("{} {}", wanted.period, account.id);
    let before = services.store.claimed_at(ASKED, &mark).await?.is_some();
    if before || (!wanted.dry_run && !services.store.claim_once(ASKED, &mark, services.now()).await?) {
        report.asked_before += 1;
        return Ok(());
    }
    report.asked += 1;
    for code in &hers {
        *report.groups.entry(code.to_string()).or_default() += 1;
    }
    if wanted.dry_run {
        return Ok(());
    }
    let (now, group) = (services.now(), services.group(first)?);
    let request = Request {
        id: RequestId::new(now, services.chance()),
        verb: VERB.to_owned(),
        group: first.clone(),
        address: account.address().clone(),
        arguments: hers.iter().map(ToString::to_string).collect(),
        at: now,
        expires: civil::end_of_day(services.config.service.timezone, wanted.answer_by),
    };
    services.store.put_request(request.clone()).await?;
    let language = robot::language_for(services, Some(account), &group);
    let table = services.groups();
    let named: Vec<_> = hers
        .iter()
        .filter_map(|code| table.get(code))
        .map(|group| json!({ "code": group.code, "name": robot::group_name(group, language) }))
        .collect();
    let token = services.keys.address_token(Purpose::Confirm, request.id.0);
    let mail = RobotMail {
        to: account.address(),
        account: Some(account),
        group: &group,
        template: "reconfirm",
        context: json!({
            "period": report.period, "groups": named, "day": wanted.answer_by.to_string(),
            "link": format!("{}/c/{token}", services.site.base_url),
        }),
        reply_to: Some(format!("{}-confirm+{token}", group.list)),
        in_reply_to: None,
        allowance: Allowance::Receipt,
    };
    robot::send(services, mail).await.map(|_| ())
}

/// She stays: what rests because she did not answer in time is in force again. Returns how many of her groups it is about.
///
/// # Errors
/// When the store fails.
pub async fn confirmed(services: &Services, request: &Request) -> Result<usize, Failure> {
    services
        .alone(async {
            let Some(account) = services.store.account_by_address(&request.address).await? else { return Ok(0) };
            let mut stays = 0;
            for subscription in named(services, request, &account).await? {
                match &subscription.state {
                    SubscriptionState::Active => stays += 1,
                    SubscriptionState::Suspended(reason) if reason.rule == Rule::NotConfirmed => {
                        stays += 1;
                        services.store.put_subscriptions(vec![Subscription { state: SubscriptionState::Active, ..subscription }]).await?;
                    }
                    _ => {}
                }
            }
            services
                .audit(&Actor::from(&request.address), "subscription confirm", Some(&request.group), request.arguments.join(", "))
                .await?;
            Ok(stays)
        })
        .await
}

/// Nobody answered in time: her subscriptions rest, but for those with a role.
///
/// # Errors
/// When the store fails.
pub async fn not_confirmed(services: &Services, request: &Request) -> Result<(), Failure> {
    services
        .alone(async {
            let Some(account) = services.store.account_by_address(&request.address).await? else { return Ok(()) };
            let day = civil::day(services.config.service.timezone, request.expires - chrono::TimeDelta::seconds(1));
            for subscription in named(services, request, &account).await? {
                if !subscription.is_active() || subscription.role > Role::Member {
                    continue;
                }
                let code = subscription.group.clone();
                let reason = Reason::new(Rule::NotConfirmed, [account.address().to_string(), code.to_string(), day.to_string()]);
                services.audit(&Actor::job("requests"), "subscription rest", Some(&code), reason.text()).await?;
                services
                    .store
                    .put_subscriptions(vec![Subscription { state: SubscriptionState::Suspended(reason), ..subscription }])
                    .await?;
            }
            Ok(())
        })
        .await
}

/// Her subscriptions in the groups that she was asked about.
async fn named(services: &Services, request: &Request, account: &Account) -> Result<Vec<Subscription>, Failure> {
    let hers = services.store.subscriptions_of_account(account.id).await?;
    Ok(hers.into_iter().filter(|one| request.arguments.iter().any(|code| code == one.group.as_str())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::post::PostKind;
    use crate::service::subscribe::{self, Invite, Settings, Wish};
    use crate::service::trial::{GROUPS, Trial, code, operator};
    use crate::service::{group, subscribe::Outcome};

    /// The list of AMR carries a period; ana, mia (manager) and ben are in it or in SG12.
    async fn peopled() -> Trial {
        let trial = Trial::peopled().await;
        let file = GROUPS.replace("list = \"amr\"", "list = \"t22amr\"");
        group::apply(&trial.services, &operator(), &file, "groups.toml", false).await.unwrap();
        for (group, people) in [("AMR", &["ana@x.test", "mia@x.test"][..]), ("SG12", &["ana@x.test", "ben@x.test"])] {
            let people: Vec<String> = people.iter().map(ToString::to_string).collect();
            subscribe::add(&trial.services, &operator(), &code(group), &people, &Settings::default(), Invite::No, false).await.unwrap();
        }
        let manager = Settings { role: Some(Role::Manager), ..Settings::default() };
        subscribe::set(&trial.services, &operator(), &code("AMR"), &["mia@x.test".into()], &manager, false).await.unwrap();
        trial
    }

    fn wanted(dry_run: bool) -> NewPeriod {
        NewPeriod { period: "2025-2028".parse().unwrap(), answer_by: "2026-12-24".parse().unwrap(), groups: Vec::new(), dry_run }
    }

    async fn questions(trial: &Trial) -> usize {
        let posts = trial.services.store.posts_to_plan(trial.services.now(), 100).await.unwrap();
        posts.iter().filter(|post| post.kind == PostKind::Robot && post.origin == "robot:reconfirm").count()
    }

    #[tokio::test]
    async fn lists_are_renamed_and_everybody_is_asked_once_with_one_mail_over_all_groups() {
        let trial = peopled().await;
        let services = &trial.services;
        let preview = begin(services, &operator(), &wanted(true)).await.unwrap();
        assert_eq!((preview.asked, preview.groups["AMR"], preview.groups["SG12"]), (3, 2, 2));
        assert_eq!(preview.lists, [Renamed { group: "AMR".into(), from: "t22amr".into(), to: "t25amr".into() }]);
        assert_eq!(
            (questions(&trial).await, services.group(&code("AMR")).unwrap().list.as_str()),
            (0, "t22amr"),
            "a preview writes nothing"
        );
        let done = begin(services, &operator(), &wanted(false)).await.unwrap();
        assert_eq!((done.asked, questions(&trial).await), (3, 3));
        let amr = services.group(&code("AMR")).unwrap();
        assert_eq!((amr.list.as_str(), amr.aliases[0].as_str()), ("t25amr", "t22amr@lists.example.org"));
        let old = "t22amr-leave@lists.example.org".parse().unwrap();
        assert!(services.groups().destination(&old).is_some(), "the old addresses go on");
        let again = begin(services, &operator(), &wanted(false)).await.unwrap();
        assert_eq!((again.asked, again.asked_before, again.lists.len(), questions(&trial).await), (0, 3, 0, 3));
        let late = NewPeriod { answer_by: "2026-11-24".parse().unwrap(), ..wanted(true) };
        assert!(matches!(begin(services, &operator(), &late).await, Err(Failure::Mistaken(_))));
    }

    #[tokio::test]
    async fn who_answers_stays_who_does_not_rests_and_may_come_back_and_managers_stay() {
        let trial = peopled().await;
        let services = &trial.services;
        begin(services, &operator(), &wanted(false)).await.unwrap();
        let of = async |address: &str| {
            let requests = services.store.requests(None).await.unwrap();
            requests.into_iter().find(|request| request.address.as_str() == address).unwrap()
        };
        let ana = of("ana@x.test").await;
        assert!(matches!(subscribe::confirm(services, ana.id).await.unwrap(), Outcome::Subscribed(_)));
        assert!(matches!(subscribe::confirm(services, ana.id).await, Err(Failure::NotFound(_))), "a token is good once");
        trial.advance_days(31);
        subscribe::lapse(services).await.unwrap();
        assert_eq!(trial.roster("AMR").await, "ana@x.test active, mia@x.test active", "ana said so, and mia runs it");
        assert_eq!(trial.roster("SG12").await, "ana@x.test active, ben@x.test suspended");
        let ben = "ben@x.test".parse().unwrap();
        let account = services.store.account_by_address(&ben).await.unwrap().unwrap();
        let resting = services.store.subscription(&code("SG12"), account.id).await.unwrap().unwrap();
        assert_eq!(resting.state.reason().unwrap().text(), "ben@x.test did not confirm the subscription to SG12 by 2026-12-24");
        let sg12 = services.group(&code("SG12")).unwrap();
        let back = subscribe::own(services, &operator(), &sg12, &ben, Wish::Subscribe).await.unwrap();
        assert!(matches!(back, Outcome::Subscribed(_)), "{back:?}");
        assert_eq!(trial.roster("SG12").await, "ana@x.test active, ben@x.test active");
    }
}
