//! Looking back at subscriptions: managers review their roster once a year, subscribers are reminded of what they get.
//!
//! Each mail is claimed before it is written, so a job that runs twice for one time sends nothing twice. The reminder goes to
//! the subscribers of groups that ask for it (`monthly_reminder`), one mail a person over all her groups.

use chrono::Days;
use serde_json::{Value, json};

use super::robot::{self, Allowance, RobotMail};
use super::{Failure, Services};
use crate::domain::account::Account;
use crate::domain::group::{Group, GroupKind};
use crate::domain::language::Language;
use crate::domain::subscription::{DeliveryMode, Role, Subscription, SubscriptionState};

/// Members and accounts read at a time.
const PAGE: usize = 500;
/// Most people named in a review; the pages show all.
const MOST_NAMED: usize = 50;
/// Accounts that end within so many days are named.
const SOON: Days = Days::new(90);

/// What a manager is told of a roster.
#[derive(Debug, Default)]
struct Roster {
    active: usize,
    pending: usize,
    suspended: usize,
    resting: Vec<Value>,
    ending: Vec<Value>,
}

/// Asks the managers of every group to look through their subscribers. `occurrence` names the run. Returns how many were asked.
///
/// # Errors
/// When a template or the store fails; who was asked is not asked again.
pub async fn review_rosters(services: &Services, occurrence: &str) -> Result<usize, Failure> {
    let table = services.groups();
    let mut asked = 0;
    for group in table.iter().filter(|group| !group.retired && group.kind != GroupKind::External) {
        let managers = services.members_with_role(&group.code, Role::Manager).await?;
        if managers.is_empty() {
            continue;
        }
        let roster = roster(services, group).await?;
        let context = json!({
            "active": roster.active, "pending": roster.pending, "suspended": roster.suspended,
            "resting": roster.resting, "ending": roster.ending,
            "page": format!("{}/manage/{}", services.site.base_url, group.code),
        });
        for (_, manager) in managers {
            let key = format!("{occurrence} {} {}", group.code, manager.id);
            if services.store.claim_once("roster-review", &key, services.now()).await? {
                tell(services, group, &manager, "roster-review", context.clone()).await?;
                asked += 1;
            }
        }
    }
    Ok(asked)
}

async fn roster(services: &Services, group: &Group) -> Result<Roster, Failure> {
    let soon = services.today().checked_add_days(SOON).unwrap_or_else(|| services.today());
    let mut roster = Roster::default();
    let mut after = None;
    loop {
        let page = services.store.members_of_group(&group.code, after, PAGE).await?;
        let Some((last, _)) = page.last() else { return Ok(roster) };
        after = Some(last.account);
        for (subscription, account) in page {
            match &subscription.state {
                SubscriptionState::Active => roster.active += 1,
                SubscriptionState::Pending(_) => roster.pending += 1,
                SubscriptionState::Unsubscribed(_) => continue,
                SubscriptionState::Suspended(reason) => {
                    roster.suspended += 1;
                    if roster.resting.len() < MOST_NAMED {
                        roster.resting.push(json!({ "address": account.address(), "reason": reason.text() }));
                    }
                }
            }
            if let Some(end) = account.expires.filter(|end| *end <= soon && roster.ending.len() < MOST_NAMED) {
                roster.ending.push(json!({ "address": account.address(), "date": end.to_string() }));
            }
        }
    }
}

/// Reminds subscribers of groups that ask for it of all they are subscribed to. Returns how many.
///
/// # Errors
/// When a template or the store fails; who was reminded is not reminded again.
pub async fn remind_subscribers(services: &Services, occurrence: &str) -> Result<usize, Failure> {
    let table = services.groups();
    if !table.iter().any(|group| group.monthly_reminder && !group.retired) {
        return Ok(0);
    }
    let mut reminded = 0;
    let mut after = None;
    loop {
        let page = services.store.accounts(after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(reminded) };
        after = Some(last.id);
        for account in page {
            let mut subscriptions = services.store.subscriptions_of_account(account.id).await?;
            subscriptions.retain(|s| !matches!(s.state, SubscriptionState::Unsubscribed(_)));
            subscriptions.sort_by(|a, b| a.group.cmp(&b.group));
            // Who switched delivery off wants no mail from here, this one included.
            let wants = |s: &Subscription| s.is_active() && s.mode_on(services.today()) != DeliveryMode::None;
            let asking = subscriptions.iter().filter(|s| wants(s)).filter_map(|s| table.get(&s.group));
            let Some(group) = asking.into_iter().find(|group| group.monthly_reminder && !group.retired) else { continue };
            let key = format!("{occurrence} {}", account.id);
            if !services.store.claim_once("subscription-reminder", &key, services.now()).await? {
                continue;
            }
            let shown: Vec<Value> = subscriptions.iter().map(|s| line(services, &account, s)).collect();
            tell(services, group, &account, "settings", json!({ "subscriptions": shown })).await?;
            reminded += 1;
        }
    }
}

/// A subscription as the template `settings` shows it.
fn line(services: &Services, account: &Account, subscription: &Subscription) -> Value {
    let table = services.groups();
    let group = table.get(&subscription.group);
    let language = group.map_or(Language::ENGLISH, |group| robot::language_for(services, Some(account), group));
    let languages: Vec<&str> = match group {
        Some(group) => crate::domain::audience::wanted_languages(group, account, subscription)
            .iter()
            .map(super::super::domain::language::Language::as_str)
            .collect(),
        None => Vec::new(),
    };
    let mode = subscription.mode_on(services.today());
    json!({
        "group": subscription.group,
        "group_name": group.map(|group| robot::group_name(group, language)).unwrap_or_default(),
        "state": subscription.state.as_str(),
        "reason": subscription.state.reason().map(|reason| services.texts.reason(language, reason)).unwrap_or_default(),
        "streams": subscription.streams,
        "languages": languages,
        "delivery": mode,
        "until": subscription.until_on(services.today()).map(|day| day.to_string()).unwrap_or_default(),
    })
}

async fn tell(services: &Services, group: &Group, account: &Account, template: &'static str, context: Value) -> Result<(), Failure> {
    let mail = RobotMail {
        to: account.address(),
        account: Some(account),
        group,
        template,
        context,
        reply_to: None,
        in_reply_to: None,
        allowance: Allowance::Notice,
    };
    robot::send(services, mail).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::post::Audience;
    use crate::service::subscribe::{self, Invite, Settings};
    use crate::service::trial::{GROUPS, Trial, code, operator};
    use crate::service::{account, group};

    /// Mails of a template: to whom, and their texts.
    async fn mails(trial: &Trial, template: &str) -> Vec<(String, String)> {
        let mut mails = Vec::new();
        for post in trial.services.store.posts_to_plan(trial.services.now(), 100).await.unwrap() {
            if post.origin != format!("robot:{template}") {
                continue;
            }
            let Audience::Listed(rows) = &post.audience else { continue };
            let body = trial.services.store.body(&post.editions[0].body).await.unwrap();
            mails.push((rows[0].address.clone(), String::from_utf8_lossy(&body).replace("=\r\n", "")));
        }
        mails
    }

    async fn subscribed(trial: &Trial) {
        let people = ["ana@x.test", "mia@x.test"].map(str::to_owned);
        subscribe::add(&trial.services, &operator(), &code("AMR"), &people, &Settings::default(), Invite::No, false).await.unwrap();
        let manager = Settings { role: Some(Role::Manager), ..Settings::default() };
        subscribe::set(&trial.services, &operator(), &code("AMR"), &["mia@x.test".into()], &manager, false).await.unwrap();
    }

    #[tokio::test]
    async fn managers_review_their_roster_once_an_occurrence_with_who_rests_and_whose_account_ends() {
        let trial = Trial::peopled().await;
        subscribed(&trial).await;
        assert_eq!(review_rosters(&trial.services, "2027-01-01").await.unwrap(), 1, "SG12 has no manager to ask");
        assert_eq!(review_rosters(&trial.services, "2027-01-01").await.unwrap(), 0, "a job that runs twice asks once");
        let asked = mails(&trial, "roster-review").await;
        assert_eq!((asked.len(), asked[0].0.as_str()), (1, "mia@x.test"));
        assert!(
            asked[0].1.contains("ana@x.test") && asked[0].1.contains("/manage/AMR"),
            "ana's account ends within 90 days: {}",
            asked[0].1
        );
        let fields = ["country=FR".to_owned(), "expires=".to_owned()];
        account::set(&trial.services, &operator(), &"ana@x.test".parse().unwrap(), &fields, false).await.unwrap();
        assert_eq!(review_rosters(&trial.services, "2028-01-01").await.unwrap(), 1);
        let again = mails(&trial, "roster-review").await;
        assert!(again.iter().any(|(_, text)| text.contains("is not of the region of AMR")), "{again:?}");
    }

    #[tokio::test]
    async fn subscribers_are_reminded_only_where_the_group_asks_for_it_and_mail_is_wanted() {
        let trial = Trial::peopled().await;
        subscribed(&trial).await;
        assert_eq!(remind_subscribers(&trial.services, "2026-12").await.unwrap(), 0);
        let file = GROUPS.replace("list = \"amr\"", "list = \"amr\"\nmonthly_reminder = true");
        group::apply(&trial.services, &operator(), &file, "groups.toml", false).await.unwrap();
        let mut settings = Settings::default();
        settings.set("delivery", "none", &trial.services.config).unwrap();
        subscribe::set(&trial.services, &operator(), &code("AMR"), &["ana@x.test".into()], &settings, false).await.unwrap();
        assert_eq!(remind_subscribers(&trial.services, "2026-12").await.unwrap(), 1, "ana switched delivery off");
        assert_eq!(remind_subscribers(&trial.services, "2026-12").await.unwrap(), 0);
        let reminded = mails(&trial, "settings").await;
        assert!(reminded.len() == 1 && reminded[0].0 == "mia@x.test" && reminded[0].1.contains("AMR"), "{reminded:?}");
    }
}
