//! Members by rule (`[[group.rule]]`): who belongs to a group because of category, region or affiliation.
//!
//! A rule adds and takes away only its own: whoever left, was removed or rests for another reason stays as she is, and whoever
//! came by herself or by a manager is never taken away. Who no longer meets any rule is told and rests after [`GRACE_DAYS`]; she comes
//! back when she meets one again. The preview is the same walk without writing.

use chrono::{Days, NaiveDate};
use serde::Serialize;
use serde_json::json;

use super::manage::Batch;
use super::{Invite, Settings};
use crate::domain::account::Account;
use crate::domain::group::{Group, GroupCode};
use crate::domain::house::MemberRule;
use crate::domain::id::AccountId;
use crate::domain::mistake::Mistake;
use crate::domain::reason::{Reason, Rule};
use crate::domain::subscription::{Provenance, Subscription, SubscriptionState};
use crate::service::group::{check_rules, set_rules};
use crate::service::robot::{self, Allowance, RobotMail};
use crate::service::{Actor, Failure, Services};

/// Days between the notice and the rest of a subscription that no rule carries any more.
pub const GRACE_DAYS: u64 = 14;
/// Register of who was told, with the day on which she rests.
const LEAVING: &str = "rule-leaving";
/// Accounts read at a time.
const PAGE: usize = 1_000;

/// One account that a rule is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RuleLine {
    /// Where her mail goes.
    pub address: String,
    /// Name of her account.
    pub name: String,
    /// Why.
    pub because: String,
    /// Which rule adds her, by its place, for readers of other languages.
    #[serde(skip)]
    pub rule: Option<usize>,
    /// Why she is left alone, as a value.
    #[serde(skip)]
    pub cause: Option<Reason>,
    /// The day on which hers rests.
    #[serde(skip)]
    pub rests_on: Option<NaiveDate>,
}

/// What the rules of a group do, or would do.
#[derive(Debug, Clone, Serialize)]
pub struct RuleReport {
    /// Of which group.
    pub group: String,
    /// Was nothing written?
    pub dry_run: bool,
    /// Rules in words, in the order of the file.
    pub rules: Vec<String>,
    /// Whom they add.
    pub adds: Vec<RuleLine>,
    /// Whose subscription rests now, the notice having been given.
    pub removes: Vec<RuleLine>,
    /// Who is told that hers will rest, with the day.
    pub warned: Vec<RuleLine>,
    /// Who meets a rule and is left alone: she left, was removed, or the gate refuses her.
    pub left_out: Vec<RuleLine>,
}

/// Carries out the rules of a group; with `dry_run` only says what they would do.
///
/// # Errors
/// When the group does not exist or has no rules, or the store fails.
pub async fn apply_rules(services: &Services, actor: &Actor, code: &GroupCode, dry_run: bool) -> Result<RuleReport, Failure> {
    let group = services.group(code)?;
    if group.house.rules.is_empty() {
        return Err(Mistake::RulesNone.about([code]).into());
    }
    walk(services, actor, &group, dry_run).await
}

/// What these rules would do in the place of those that the group has; nothing is written.
///
/// # Errors
/// When the group does not exist, a rule cannot be one, or the store fails.
pub async fn preview_rules(services: &Services, actor: &Actor, code: &GroupCode, rules: &[MemberRule]) -> Result<RuleReport, Failure> {
    check_rules(rules)?;
    let mut group = Group::clone(&*services.group(code)?);
    group.house.rules = rules.to_vec();
    walk(services, actor, &group, true).await
}

/// Puts these rules in the place of those that the group has, and carries them out; with `dry_run` only says what they would do.
///
/// # Errors
/// As [`preview_rules`].
pub async fn replace_rules(
    services: &Services,
    actor: &Actor,
    code: &GroupCode,
    rules: &[MemberRule],
    dry_run: bool,
) -> Result<RuleReport, Failure> {
    if dry_run {
        return preview_rules(services, actor, code, rules).await;
    }
    set_rules(services, actor, code, rules, false).await?;
    walk(services, actor, &*services.group(code)?, false).await
}

async fn walk(services: &Services, actor: &Actor, group: &Group, dry_run: bool) -> Result<RuleReport, Failure> {
    let code = &group.code;
    let mut walk = Walk {
        services,
        group,
        dry_run,
        batch: Batch::new(services, actor, group, dry_run),
        report: RuleReport {
            group: code.to_string(),
            dry_run,
            rules: group.house.rules.iter().map(MemberRule::words).collect(),
            adds: Vec::new(),
            removes: Vec::new(),
            warned: Vec::new(),
            left_out: Vec::new(),
        },
    };
    let mut after = None;
    loop {
        after = services.alone(walk.page(after)).await?;
        if after.is_none() {
            break;
        }
    }
    let Walk { batch, report, .. } = walk;
    batch.finish("member rule").await?;
    if !(dry_run || report.adds.is_empty() && report.removes.is_empty()) {
        let text = format!("{} added, {} rest", report.adds.len(), report.removes.len());
        services.audit(actor, "group rules", Some(code), text).await?;
    }
    Ok(report)
}

/// The job of the night: the rules of all groups that have some. Returns how many subscriptions changed.
///
/// # Errors
/// When the store fails.
pub async fn apply_all_rules(services: &Services) -> Result<usize, Failure> {
    let table = services.groups();
    let mut changed = 0;
    for group in table.iter().filter(|group| !group.retired && !group.house.rules.is_empty()) {
        let report = apply_rules(services, &Actor::job("rules"), &group.code, false).await?;
        changed += report.adds.len() + report.removes.len();
    }
    Ok(changed)
}

struct Walk<'a> {
    services: &'a Services,
    group: &'a Group,
    dry_run: bool,
    batch: Batch<'a>,
    report: RuleReport,
}

impl Walk<'_> {
    /// The accounts behind `after`, as far as one read goes; `None` when there are no more.
    async fn page(&mut self, after: Option<AccountId>) -> Result<Option<AccountId>, Failure> {
        let page = self.services.store.accounts(after, PAGE).await?;
        for account in &page {
            self.account(account).await?;
        }
        self.batch.flush().await?;
        Ok(page.last().map(|last| last.id))
    }

    async fn account(&mut self, account: &Account) -> Result<(), Failure> {
        let rule = self.group.house.rule_for(self.group, account).map(|(place, rule)| (place, rule.words()));
        let subscription = self.services.store.subscription(&self.group.code, account.id).await?;
        match (rule, subscription) {
            (Some(rule), None) => self.add(account, rule).await,
            (Some(rule), Some(subscription)) => self.keep(account, subscription, rule).await,
            (None, Some(subscription)) if subscription.is_active() && subscription.provenance == Provenance::Rule => {
                self.leave(account, subscription).await
            }
            (None, _) => Ok(()),
        }
    }

    async fn add(&mut self, account: &Account, (place, words): (usize, String)) -> Result<(), Failure> {
        let line = self.batch.add(account.address(), &Settings::default(), Invite::No, Provenance::Rule).await?;
        if line.outcome == "subscribed" {
            self.report.adds.push(RuleLine { rule: Some(place), ..line_of(account, &words) });
        } else {
            self.report.left_out.push(RuleLine { cause: line.cause, ..line_of(account, &line.text) });
        }
        Ok(())
    }

    /// Meets a rule and was here: left alone, unless she rests because she met none for a while.
    async fn keep(&mut self, account: &Account, mut subscription: Subscription, (place, words): (usize, String)) -> Result<(), Failure> {
        match &subscription.state {
            SubscriptionState::Unsubscribed(reason) => {
                self.report.left_out.push(RuleLine { cause: Some(reason.clone()), ..line_of(account, &reason.text()) });
            }
            SubscriptionState::Suspended(reason) if reason.rule == Rule::RemovedByRule => {
                self.report.adds.push(RuleLine { rule: Some(place), ..line_of(account, &words) });
                if !self.dry_run {
                    subscription.state = SubscriptionState::Active;
                    self.services.store.put_subscriptions(vec![subscription]).await?;
                    self.tell(account, "restored", json!({})).await;
                }
            }
            _ => {}
        }
        if !self.dry_run {
            self.services.store.remove_entry(LEAVING, &self.key(account)).await?;
        }
        Ok(())
    }

    /// Meets no rule any more: told first, resting when the grace time is over.
    async fn leave(&mut self, account: &Account, mut subscription: Subscription) -> Result<(), Failure> {
        if !self.group.house.rules.iter().any(|rule| rule.remove) {
            return Ok(());
        }
        let today = self.services.today();
        let told = self.services.store.entry(LEAVING, &self.key(account)).await?;
        let rests_on: Option<NaiveDate> = told.and_then(|(_, day)| std::str::from_utf8(&day).ok()?.parse().ok());
        let why = format!("meets none of: {}", self.report.rules.join("; "));
        match rests_on {
            Some(day) if day <= today => {
                let about = [account.address().to_string(), self.group.code.to_string(), self.report.rules.join("; ")];
                let reason = Reason::new(Rule::RemovedByRule, about);
                self.report.removes.push(line_of(account, &why));
                if !self.dry_run {
                    subscription.state = SubscriptionState::Suspended(reason.clone());
                    self.services.store.put_subscriptions(vec![subscription]).await?;
                    self.services.store.remove_entry(LEAVING, &self.key(account)).await?;
                    self.tell(account, "suspended", json!({ "reason": self.in_words(account, &reason) })).await;
                }
            }
            Some(day) => self.warn(account, &why, day),
            None => {
                let day = today.checked_add_days(Days::new(GRACE_DAYS)).unwrap_or(today);
                self.warn(account, &why, day);
                if !self.dry_run {
                    self.services.store.put_entry(LEAVING, &self.key(account), 0, day.to_string().into_bytes()).await?;
                    self.tell(account, "rule-leaving", json!({ "rules": self.report.rules, "day": day.to_string() })).await;
                }
            }
        }
        Ok(())
    }

    fn warn(&mut self, account: &Account, why: &str, day: NaiveDate) {
        self.report.warned.push(RuleLine { rests_on: Some(day), ..line_of(account, &format!("{why}; rests on {day}")) });
    }

    fn key(&self, account: &Account) -> String {
        format!("{}|{}", self.group.code, account.id)
    }

    fn in_words(&self, account: &Account, reason: &Reason) -> String {
        self.services.texts.reason(robot::language_for(self.services, Some(account), self.group), reason)
    }

    /// A mail beside the matter: the record is written, so an allowance must not undo it.
    async fn tell(&self, account: &Account, template: &'static str, context: serde_json::Value) {
        let mail = RobotMail {
            to: account.address(),
            account: Some(account),
            group: self.group,
            template,
            context,
            reply_to: None,
            in_reply_to: None,
            allowance: Allowance::Notice,
        };
        if let Err(error) = robot::send(self.services, mail).await {
            tracing::warn!(group.code = %self.group.code, template, %error, "Could not write a robot mail");
        }
    }
}

fn line_of(account: &Account, because: &str) -> RuleLine {
    RuleLine {
        address: account.address().to_string(),
        name: account.name.clone(),
        because: because.to_owned(),
        rule: None,
        cause: None,
        rests_on: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::trial::{GROUPS, Trial, code, operator};
    use crate::service::{account, group, subscribe};

    const RULE: &str = "[[group.rule]]\ncategories = [\"member-state\"]\nremove = true\n";

    async fn ruled() -> Trial {
        let trial = Trial::peopled().await;
        group::apply(&trial.services, &operator(), &format!("{GROUPS}{RULE}"), "groups.toml", false).await.unwrap();
        trial
    }

    fn names(lines: &[RuleLine]) -> Vec<&str> {
        // In the order of their accounts, whose identifiers are made by chance.
        let mut names: Vec<&str> = lines.iter().map(|line| line.address.as_str()).collect();
        names.sort_unstable();
        names
    }

    #[tokio::test]
    async fn a_preview_says_whom_a_rule_adds_and_writes_nothing_and_an_opt_out_stands() {
        let trial = ruled().await;
        let services = &trial.services;
        let preview = apply_rules(services, &operator(), &code("AMR"), true).await.unwrap();
        assert_eq!(names(&preview.adds), ["ana@x.test", "mia@x.test"], "member states of the region; ben is a sector member, gus a guest");
        assert_eq!(preview.adds[0].because, "member-state");
        assert_eq!(trial.roster("AMR").await, "");
        let done = apply_rules(services, &operator(), &code("AMR"), false).await.unwrap();
        assert_eq!(names(&done.adds), ["ana@x.test", "mia@x.test"]);
        assert!(apply_rules(services, &operator(), &code("AMR"), false).await.unwrap().adds.is_empty(), "twice is once");
        let ana = "ana@x.test".parse().unwrap();
        let amr = services.group(&code("AMR")).unwrap();
        subscribe::own(services, &operator(), &amr, &ana, subscribe::Wish::Unsubscribe).await.unwrap();
        let again = apply_rules(services, &operator(), &code("AMR"), false).await.unwrap();
        assert_eq!((names(&again.adds).len(), names(&again.left_out)), (0, vec!["ana@x.test"]));
        assert_eq!(trial.roster("AMR").await, "ana@x.test unsubscribed, mia@x.test active");
    }

    #[tokio::test]
    async fn who_meets_no_rule_any_more_is_told_and_rests_after_the_grace_time_and_comes_back() {
        let trial = ruled().await;
        let services = &trial.services;
        subscribe::add(services, &operator(), &code("AMR"), &["mia@x.test".into()], &Settings::default(), Invite::No, false).await.unwrap();
        apply_rules(services, &operator(), &code("AMR"), false).await.unwrap();
        for address in ["ana@x.test", "mia@x.test"] {
            let fields = ["category=sector-member".to_owned(), "expires=".to_owned()];
            account::set(services, &operator(), &address.parse().unwrap(), &fields, false).await.unwrap();
        }
        let first = apply_rules(services, &operator(), &code("AMR"), false).await.unwrap();
        assert_eq!((names(&first.warned), first.removes.len()), (vec!["ana@x.test"], 0), "a manager put mia there: no rule takes her away");
        trial.advance_days(10);
        assert_eq!(apply_rules(services, &operator(), &code("AMR"), false).await.unwrap().removes.len(), 0);
        trial.advance_days(5);
        let preview = apply_rules(services, &operator(), &code("AMR"), true).await.unwrap();
        assert_eq!(names(&preview.removes), ["ana@x.test"]);
        apply_rules(services, &operator(), &code("AMR"), false).await.unwrap();
        assert_eq!(trial.roster("AMR").await, "ana@x.test suspended, mia@x.test active");
        account::set(services, &operator(), &"ana@x.test".parse().unwrap(), &["category=member-state".to_owned()], false).await.unwrap();
        apply_rules(services, &operator(), &code("AMR"), false).await.unwrap();
        assert_eq!(trial.roster("AMR").await, "ana@x.test active, mia@x.test active");
    }

    #[tokio::test]
    async fn a_group_without_rules_says_how_to_write_one() {
        let trial = Trial::peopled().await;
        let failure = apply_rules(&trial.services, &operator(), &code("AMR"), true).await.unwrap_err().to_string();
        assert!(failure.contains("[[group.rule]]"), "{failure}");
    }
}
