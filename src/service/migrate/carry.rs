//! Writes what an old list was into the group: members, staff, bans, notes of those who left, what waits.

use std::collections::{BTreeMap, HashSet};

use super::list::{Disabled, OldList, OldMember};
use super::{LeftOut, Migration, MigrationReport, SettingLine, settings};
use crate::directory::builtin;
use crate::domain::account::Account;
use crate::domain::address::EmailAddress;
use crate::domain::gate::{self, Verdict, Way};
use crate::domain::group::Group;
use crate::domain::id::{AccountId, PostId, RequestId};
use crate::domain::language::Language;
use crate::domain::post::{Arrival, Audience, Edition, Post, PostKind, PostState};
use crate::domain::proof::SenderProof;
use crate::domain::reason::{Reason, Rule};
use crate::domain::subscription::{Delivery, DeliveryMode, Provenance, Subscription, SubscriptionState};
use crate::mail::message;
use crate::service::account::Tombstones;
use crate::service::subscribe::APPROVE;
use crate::service::{Actor, Failure, Services, moderate};
use crate::store::{BodySource, Member, Request};

/// Written at a time.
const PAGE: usize = 500;
/// Source of the accounts that a migration makes.
const SOURCE: &str = "migration";

/// The group's own record: settings, old address and bans.
pub(super) async fn group(
    services: &Services,
    group: &Group,
    list: &OldList,
    dry_run: bool,
    report: &mut MigrationReport,
) -> Result<(), Failure> {
    let mut changed = group.clone();
    report.settings = settings::follow(&mut changed, list);
    for line in report.settings.iter().filter(|line| !line.same) {
        report.warnings.push(format!(
            "{} was \"{}\" on the old list and stays \"{}\" here; to follow the old list, write into the groups file: {}",
            line.key,
            line.there,
            line.here,
            settings::toml_line(line.key, &line.there)
        ));
    }
    if let Some(old) = &list.address {
        let own = old.as_str().eq_ignore_ascii_case(&group.address(&services.site.domain));
        let taken = services.groups().destination(old).is_some();
        if !own && !taken {
            changed.aliases.push(old.clone());
        } else if !own && !group.aliases.contains(old) {
            report.warnings.push(format!("{old} is an address of this service already, so it is no alias of {}", group.code));
        }
    }
    for ban in &list.bans {
        match plain_ban(ban) {
            Some(ban) if changed.house.banned.contains(&ban) => {}
            Some(ban) => {
                changed.house.banned.push(ban);
                report.bans += 1;
            }
            None => report.warnings.push(format!("the ban \"{}\" is a pattern that has no equal here", ban.escape_debug())),
        }
    }
    if changed != *group {
        report.warnings.push(format!(
            "write into the groups file of {}, or the next `group apply` takes it back: {}",
            group.code,
            to_write(group, &changed, &report.settings)
        ));
        if !dry_run {
            services.store.put_groups(vec![changed]).await?;
            services.reload_groups().await?;
        }
    }
    Ok(())
}

/// What changed, as lines of a groups file.
fn to_write(before: &Group, after: &Group, settings: &[SettingLine]) -> String {
    let mut lines: Vec<String> = settings.iter().filter(|line| line.set).map(|line| settings::toml_line(line.key, &line.here)).collect();
    if before.aliases != after.aliases {
        lines.push(format!("aliases = {:?}", after.aliases.iter().map(EmailAddress::as_str).collect::<Vec<_>>()));
    }
    if before.house.banned != after.house.banned {
        lines.push(format!("banned = {:?}", after.house.banned));
    }
    lines.join(", ")
}

/// An address, `@domain`, or a regular expression that means one of them.
fn plain_ban(ban: &str) -> Option<String> {
    let plain = match ban.trim().strip_prefix('^') {
        None => ban.trim().strip_prefix("*@").map_or_else(|| ban.trim().to_owned(), |domain| format!("@{domain}")),
        Some(pattern) => {
            let pattern = pattern.trim_end_matches('$').replace("\\.", ".").replace("\\@", "@");
            pattern.strip_prefix(".*@").map_or(pattern.clone(), |domain| format!("@{domain}"))
        }
    };
    let plain = plain.to_lowercase();
    let form = if plain.starts_with('@') { format!("x{plain}") } else { plain.clone() };
    (form.parse::<EmailAddress>().is_ok() && !plain.contains(['*', '+', '?', '['])).then_some(plain)
}

/// Strangers whose posts went out unseen.
pub(super) async fn allowed(
    services: &Services,
    actor: &Actor,
    group: &Group,
    list: &OldList,
    dry_run: bool,
    report: &mut MigrationReport,
) -> Result<(), Failure> {
    let mut senders = Vec::new();
    for entry in &list.allowed {
        match plain_ban(entry).and_then(|plain| plain.parse::<EmailAddress>().ok()) {
            Some(sender) => senders.push(sender),
            None => report
                .warnings
                .push(format!("posts from \"{}\" went out unseen; that is a pattern that has no equal here", entry.escape_debug())),
        }
    }
    report.allowed = moderate::allow_senders(services, actor, &group.code, &senders, dry_run).await?;
    Ok(())
}

/// Accounts, then subscriptions.
pub(super) async fn members(
    services: &Services,
    actor: &Actor,
    group: &Group,
    list: &OldList,
    migration: &Migration,
    report: &mut MigrationReport,
    progress: &(dyn Fn(u64, u64) + Send + Sync),
) -> Result<(), Failure> {
    // With the bans that came over.
    let group = if migration.dry_run { group.clone() } else { Group::clone(&*services.group(&group.code)?) };
    let mut carrying = Carrying {
        services,
        actor,
        group: &group,
        migration,
        report,
        accounts: Vec::new(),
        made: HashSet::new(),
        subscriptions: Vec::new(),
        tombstones: Tombstones::load(services).await?,
    };
    let total = list.members.len() as u64;
    let mut carried: BTreeMap<AccountId, EmailAddress> = BTreeMap::new();
    let members: Vec<&OldMember> = list.members.values().collect();
    for (page, olds) in members.chunks(PAGE).enumerate() {
        let addresses = olds.iter().map(|old| old.address.clone()).collect();
        let known = services.store.members_by_address(&group.code, addresses).await?;
        for (old, known) in olds.iter().zip(known) {
            carrying.member(old, known, &mut carried);
        }
        carrying.write().await?;
        progress(((page * PAGE) + olds.len()) as u64, total);
    }
    for (language, count) in not_offered(services, list) {
        carrying.report.warnings.push(format!(
            "{count} members had the language \"{language}\", which service.languages does not offer; they get the languages of the group"
        ));
    }
    for address in &list.departed {
        carrying.departed(address, list).await?;
    }
    carrying.write().await?;
    carrying.requests(list).await
}

/// Languages of members that cannot be taken over, and how many have them.
fn not_offered(services: &Services, list: &OldList) -> BTreeMap<Language, usize> {
    let offered = &services.config.service.languages;
    let mut counts = BTreeMap::new();
    for language in list.members.values().filter_map(|old| old.language).filter(|language| !offered.contains(language)) {
        *counts.entry(language).or_default() += 1;
    }
    counts
}

struct Carrying<'a> {
    services: &'a Services,
    actor: &'a Actor,
    group: &'a Group,
    migration: &'a Migration,
    report: &'a mut MigrationReport,
    accounts: Vec<Account>,
    made: HashSet<AccountId>,
    subscriptions: Vec<Subscription>,
    tombstones: Tombstones,
}

impl Carrying<'_> {
    fn left_out(&mut self, address: &EmailAddress, rule: &str, text: String) {
        self.report.left_out.push(LeftOut { address: address.to_string(), rule: rule.to_owned(), text });
    }

    async fn write(&mut self) -> Result<(), Failure> {
        let (accounts, subscriptions) = (std::mem::take(&mut self.accounts), std::mem::take(&mut self.subscriptions));
        if self.migration.dry_run {
            return Ok(());
        }
        if !accounts.is_empty() {
            self.services.store.put_accounts(accounts).await?;
        }
        if !subscriptions.is_empty() {
            self.services.store.put_subscriptions(subscriptions).await?;
        }
        Ok(())
    }

    /// A guest's account for an address that the directory does not know, if guests are wanted.
    fn guest(&mut self, old: &OldMember) -> Option<Account> {
        if !self.migration.create_guests {
            return None;
        }
        // Thousands are made in one millisecond, and two of them may meet the same chance.
        let mut id = AccountId::new(self.services.now(), self.services.chance());
        while !self.made.insert(id) {
            id = AccountId::new(self.services.now(), self.services.chance());
        }
        let name: String = old.name.chars().filter(|c| !c.is_control()).take(200).collect();
        let languages = old.language.into_iter().collect();
        Some(Account { name, languages, source: SOURCE.into(), ..builtin::blank(id, vec![old.address.clone()]) })
    }

    /// The account of an old member or applicant: the directory's, or a guest's that is new; nobody who was erased here comes back.
    fn account_of(&mut self, old: &OldMember, known: Option<Account>) -> Option<Account> {
        if known.is_some() {
            return known;
        }
        if self.tombstones.hold(&old.address) {
            let text = "the person was erased here; `enlace account import FILE --readmit` takes her in".to_owned();
            self.left_out(&old.address, "erased", text);
            return None;
        }
        let guest = self.guest(old);
        if guest.is_none() {
            let text = "the directory has no account of that address; import one, or use --create-guests".to_owned();
            self.left_out(&old.address, Rule::NoAccount.key(), text);
        }
        guest
    }

    /// One member, with the account that the directory has of her and the subscription that she has here.
    fn member(&mut self, old: &OldMember, known: Option<Member>, carried: &mut BTreeMap<AccountId, EmailAddress>) {
        let (code, today) = (&self.group.code, self.services.today());
        let is_new = known.is_none();
        let (account, previous) = known.map_or((None, None), |(account, previous)| (Some(account), previous));
        let Some(account) = self.account_of(old, account) else { return };
        if let Some(first) = carried.insert(account.id, old.address.clone()) {
            self.left_out(&old.address, "same-account", format!("{first} belongs to the same account, which is subscribed once"));
            return;
        }
        if let Some(previous) = &previous
            && let SubscriptionState::Unsubscribed(reason) = &previous.state
        {
            self.left_out(&old.address, reason.key(), format!("{reason}; a migration does not bring anybody back"));
            return;
        }
        let verdict = gate::may_subscribe(self.group, &old.address, Some(&account), previous.as_ref(), Way::ByManager, today);
        let Verdict::Accept(_) = verdict else {
            let reason = verdict.reason();
            self.left_out(&old.address, reason.key(), reason.text());
            return;
        };
        if is_new {
            self.report.guests += 1;
            self.accounts.push(account.clone());
        }
        let mut subscription = match &previous {
            Some(previous) => previous.clone(),
            None => Subscription::new(code.clone(), account.id, Provenance::Import, old.since.unwrap_or_else(|| self.services.now())),
        };
        self.settle(old, &mut subscription);
        self.count(old, &subscription);
        match &previous {
            None => self.report.added += 1,
            Some(previous) if *previous == subscription => {
                self.report.unchanged += 1;
                return;
            }
            Some(_) => self.report.changed += 1,
        }
        self.subscriptions.push(subscription);
    }

    /// Puts the old settings onto a subscription.
    fn settle(&self, old: &OldMember, subscription: &mut Subscription) {
        let offered = &self.services.config.service.languages;
        subscription.role = subscription.role.max(old.role);
        if old.outside {
            // Who runs a list without being on it gets its business, not its posts.
            subscription.delivery = Delivery { mode: DeliveryMode::None, until: None };
            return;
        }
        let off = matches!(old.disabled, Disabled::ByHerself | Disabled::ByOwner);
        let mode = if off { DeliveryMode::None } else { old.delivery };
        subscription.delivery = Delivery { mode, until: old.until.filter(|_| mode != DeliveryMode::Each) };
        if let Some(language) = old.language.filter(|language| offered.contains(language)) {
            subscription.languages = vec![language];
        }
        subscription.absence = old.absence;
        subscription.own_posts = old.own_posts;
        subscription.plain_digest = old.plain_digest;
        subscription.links = old.links;
        subscription.moderated = old.moderated;
        if old.disabled == Disabled::Bouncing && subscription.is_active() {
            let why = format!("disabled on the old list (migrated by {})", self.actor.name);
            subscription.state = SubscriptionState::Suspended(Reason::new(Rule::Bouncing, [old.address.to_string(), why]));
        }
    }

    fn count(&mut self, old: &OldMember, subscription: &Subscription) {
        if old.outside {
            self.report.staff += 1;
            return;
        }
        let here = &mut self.report.here;
        let bouncing = subscription.state.reason().is_some_and(|reason| reason.rule == Rule::Bouncing);
        match (bouncing, subscription.mode_on(self.services.today())) {
            (true, _) => here.bouncing += 1,
            (_, DeliveryMode::Each) => here.each += 1,
            (_, DeliveryMode::Digest) => here.digest += 1,
            (_, DeliveryMode::None) => here.none += 1,
        }
        here.moderated += u64::from(subscription.moderated);
    }

    /// A note that she left, unless she is on the old list all the same.
    async fn departed(&mut self, address: &EmailAddress, list: &OldList) -> Result<(), Failure> {
        if list.members.contains_key(&address.key()) {
            return Ok(());
        }
        let Some(account) = self.services.store.account_by_address(address).await? else { return Ok(()) };
        let code = &self.group.code;
        if self.services.store.subscription(code, account.id).await?.is_some() {
            return Ok(());
        }
        let about = [address.to_string(), code.to_string(), self.services.today().to_string()];
        let state = SubscriptionState::Unsubscribed(Reason::new(Rule::OptedOut, about));
        let note = Subscription::new(code.clone(), account.id, Provenance::Import, self.services.now());
        self.subscriptions.push(Subscription { state, ..note });
        self.report.departed += 1;
        Ok(())
    }

    /// Who asked to join the old list waits for a manager here, unless she has a place in the group already, or had one.
    async fn requests(&mut self, list: &OldList) -> Result<(), Failure> {
        let (code, at) = (self.group.code.clone(), self.services.now());
        let patience = chrono::TimeDelta::from_std(self.services.config.retention.requests.0).ok().filter(|days| !days.is_zero());
        let expires = at + patience.unwrap_or(chrono::TimeDelta::days(36_500));
        let mut waiting = Vec::new();
        for address in list.requests.iter().filter(|address| !list.members.contains_key(&address.key())) {
            let known = self.services.store.account_by_address(address).await?;
            let is_new = known.is_none();
            let Some(account) = self.account_of(&OldMember::plain(address.clone()), known) else { continue };
            if !is_new && self.services.store.subscription(&code, account.id).await?.is_some() {
                continue;
            }
            let verdict = gate::may_subscribe(self.group, address, Some(&account), None, Way::ByManager, self.services.today());
            if !verdict.is_accept() {
                self.left_out(address, verdict.reason().key(), verdict.reason().text());
                continue;
            }
            self.report.requests += 1;
            let waits = SubscriptionState::Pending(Reason::new(Rule::AwaitsApproval, [address.as_str(), code.as_str()]));
            let pending = Subscription::new(code.clone(), account.id, Provenance::Import, at);
            if is_new {
                self.report.guests += 1;
                self.accounts.push(account);
            }
            self.subscriptions.push(Subscription { state: waits, ..pending });
            let id = RequestId::new(at, self.services.chance());
            let (verb, arguments) = (APPROVE.to_owned(), Vec::new());
            waiting.push(Request { id, verb, group: code.clone(), address: address.clone(), arguments, at, expires });
        }
        self.write().await?;
        for request in waiting.into_iter().filter(|_| !self.migration.dry_run) {
            self.services.store.put_request(request).await?;
        }
        Ok(())
    }
}

/// Held posts.
pub(super) async fn waiting(
    services: &Services,
    group: &Group,
    list: &OldList,
    dry_run: bool,
    report: &mut MigrationReport,
) -> Result<(), Failure> {
    if list.held_elsewhere > 0 {
        report
            .warnings
            .push(format!("{} things wait for a moderator in the old system, which has to decide on them first", list.held_elsewhere));
    }
    for bytes in &list.held {
        let bytes = message::to_crlf(bytes).into_owned();
        let Ok(head) = message::read(&bytes) else {
            report.warnings.push("a held post is no message and is left out".into());
            continue;
        };
        let (now, author) = (services.now(), head.author.ok().map(|author| author.address));
        let message_id = head.message_id.clone().unwrap_or_else(|| format!("{:016x}.held@{}", services.chance(), services.site.domain));
        let there = services.store.posts_by_message_id(&message_id).await?;
        if there.iter().any(|post| post.groups.contains(&group.code)) {
            continue;
        }
        report.held += 1;
        if dry_run {
            continue;
        }
        let who = author.as_ref().map(ToString::to_string).unwrap_or_default();
        // Who is on the list was not held for being a stranger.
        let is_member = author.as_ref().is_some_and(|author| list.members.contains_key(&author.key()));
        let rule = if is_member { Rule::HeldModerated } else { Rule::HeldNonmember };
        let post = Post {
            id: PostId::new(now, services.chance()),
            groups: vec![group.code.clone()],
            kind: PostKind::Discussion,
            subject: head.subject,
            sender: author.map(|author| SenderProof::Unproved { author, tried: "held on the old list".into() }),
            author: None,
            received_at: now,
            not_before: now,
            editions: vec![Edition { language: None, body: services.store.put_body(BodySource::Bytes(bytes.into())).await? }],
            audience: Audience::Subscribers,
            state: PostState::Held(Reason::new(rule, [who, group.code.to_string()])),
            arrival: Arrival::default(),
            origin: String::new(),
            message_id: message_id.clone(),
        };
        services.store.keep_post(post, vec![format!("{}|{}|{message_id}", group.code, PostKind::Discussion.as_str())]).await?;
    }
    Ok(())
}
