//! Held posts: list, show, release, reject, discard.
//!
//! The same functions serve the command line, the moderator's mail and, later, the page. A post that waits for its
//! author is listed too; a manager may vouch for it by releasing it.

mod aside;
mod waiting;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use serde_json::json;

pub use self::aside::set_aside;
pub use self::waiting::{HeldPage, LOOKED_AT, list, listed, part};

use super::robot::{self, Allowance, RobotMail};
use super::{Actor, Failure, Services, lookalike};
use crate::domain::account::Account;
use crate::domain::address::EmailAddress;
use crate::domain::gate::{self, Verdict};
use crate::domain::group::{Group, GroupCode};
use crate::domain::id::PostId;
use crate::domain::mistake::Mistake;
use crate::domain::post::{Post, PostKind, PostState};
use crate::domain::proof::SenderProof;
use crate::domain::reason::{Reason, Rule};
use crate::domain::subscription::{Role, Subscription};
use crate::store::erasure::Vanishing;

/// Register of senders that are always let through, by group.
const ALLOWED: &str = "sender-allowed";
/// Register of who released a post first, where two have to.
const RELEASES: &str = "hold-releases";
/// Octets of a held post that `hold show` prints.
const SHOWN_OCTETS: usize = 16 * 1024;

/// How many days a held post waits for a person, as mails say it; then it is discarded with a notice to its author, if she is proved.
pub fn held_days(services: &Services) -> u64 {
    match services.config.retention.held.0.as_secs() / 86_400 {
        0 => 3_650,
        days => days,
    }
}

/// One held post, as JSON has it.
#[derive(Debug, Clone, Serialize)]
pub struct HeldPost {
    /// For `hold show`, `release`, `reject`, `discard`.
    pub id: String,
    /// Group addressed.
    pub group: String,
    /// Visible author.
    pub from: String,
    /// Decoded subject.
    pub subject: String,
    /// Why it is held.
    pub reason: String,
    /// Key of the rule.
    pub rule: &'static str,
    /// Since when.
    pub at: DateTime<Utc>,
    /// Is the author proved?
    pub proved: bool,
    /// Size in octets.
    pub octets: u64,
    /// Does it go out now? Not while it is held, nor after the first of two releases.
    pub released: bool,
}

/// A held post with its beginning.
#[derive(Debug, Clone, Serialize)]
pub struct ShownPost {
    /// The row of the list.
    #[serde(flatten)]
    pub post: HeldPost,
    /// The member whom its author looks like without being one.
    pub looks_like: Option<String>,
    /// Its first octets as text; controls are replaced.
    pub text: String,
}

fn row(post: &Post) -> Option<HeldPost> {
    let (PostState::Held(reason) | PostState::AwaitsAuthor(reason)) = &post.state else { return None };
    Some(HeldPost {
        id: post.id.to_string(),
        group: post.groups.iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
        from: post.author_address().map(ToString::to_string).unwrap_or_default(),
        subject: post.subject.clone(),
        reason: reason.text(),
        rule: reason.key(),
        at: post.received_at,
        proved: post.sender.as_ref().is_some_and(SenderProof::is_proved),
        octets: post.octets(),
        released: false,
    })
}

/// One held post with its beginning.
///
/// # Errors
/// When it is not held.
pub async fn show(services: &Services, id: PostId) -> Result<ShownPost, Failure> {
    let post = held(services, id).await?;
    let body = services.store.body(&post.editions[0].body).await?;
    let text = String::from_utf8_lossy(&body[..body.len().min(SHOWN_OCTETS)])
        .chars()
        .filter(|c| *c == '\n' || *c == '\t' || !c.is_control())
        .collect();
    let looks_like = looks_like(services, &post).await?;
    let post = row(&post).ok_or_else(|| not_held(id))?;
    Ok(ShownPost { post, looks_like, text })
}

/// Who released it first, where two have to.
///
/// # Errors
/// When the store fails.
pub async fn first_release(services: &Services, id: PostId) -> Result<Option<String>, Failure> {
    Ok(services.store.entry(RELEASES, &id.to_string()).await?.map(|(_, first)| String::from_utf8_lossy(&first).into_owned()))
}

/// The member whom its author looks like without being one (UTS 39), which a reader would not see.
///
/// # Errors
/// When the store fails.
pub async fn looks_like(services: &Services, post: &Post) -> Result<Option<String>, Failure> {
    let Some(author) = post.author_address() else { return Ok(None) };
    Ok(lookalike::member_like(services, &post.groups[0], author).await?.map(|like| like.to_string()))
}

/// Lets it go out.
///
/// # Errors
/// When it is not held.
pub async fn release(services: &Services, actor: &Actor, id: PostId, dry_run: bool) -> Result<HeldPost, Failure> {
    let mut post = held(services, id).await?;
    let shown = row(&post).ok_or_else(|| not_held(id))?;
    // It was let through before.
    let again = aside::is_set_aside(&post);
    if post.kind == PostKind::Liaison && !again {
        // Nobody overrides the right to liaise (Resolution 54): only who sent it can say so.
        return Err(Mistake::SenderConfirms.about([id.to_string(), shown.from]).into());
    }
    let group = services.group(&post.groups[0])?;
    if group.house.two_persons && !again && !second_person(services, actor, id, dry_run).await? {
        let half = PostState::Held(Reason::new(Rule::HalfReleased, [actor.name.as_str()]));
        let shown = HeldPost { reason: Reason::new(Rule::HalfReleased, [actor.name.as_str()]).text(), released: false, ..shown };
        if !dry_run {
            post.state = half;
            services.store.update_post(post).await?;
            services.audit(actor, "hold release, first person", Some(&group.code), format!("{id} from {}", shown.from)).await?;
        }
        return Ok(shown);
    }
    if !dry_run {
        post.state = if again { aside::going_out(services, &post).await? } else { PostState::Accepted };
        post.not_before = services.now();
        let group = post.groups[0].clone();
        services.store.update_post(post).await?;
        services.audit(actor, "hold release", Some(&group), format!("{id} from {}", shown.from)).await?;
    }
    Ok(HeldPost { released: true, ..shown })
}

/// Lets it go out, and from now on whatever its author posts to its groups.
///
/// # Errors
/// When it is not held, or its author is not proved: anybody could write in her name for ever.
pub async fn allow(services: &Services, actor: &Actor, id: PostId, dry_run: bool) -> Result<HeldPost, Failure> {
    let post = held(services, id).await?;
    let Some(SenderProof::Proved { author, .. }) = post.sender.clone() else {
        return Err(Mistake::SenderUnproved.about([id]).into());
    };
    let groups = post.groups.clone();
    let shown = release(services, actor, id, dry_run).await?;
    if !dry_run {
        for group in groups {
            let key = allowed_key(&group, &author);
            if services.store.entry(ALLOWED, &key).await?.is_none() {
                services.store.put_entry(ALLOWED, &key, 0, actor.name.clone().into_bytes()).await?;
            }
            services.audit(actor, "sender allow", Some(&group), author.to_string()).await?;
        }
    }
    Ok(shown)
}

/// Takes back [`allow`]; `false` if it was not given.
///
/// # Errors
/// When the store fails.
pub async fn disallow(
    services: &Services,
    actor: &Actor,
    group: &GroupCode,
    sender: &EmailAddress,
    dry_run: bool,
) -> Result<bool, Failure> {
    let key = allowed_key(group, sender);
    let known = services.store.entry(ALLOWED, &key).await?.is_some();
    if known && !dry_run {
        services.store.remove_entry(ALLOWED, &key).await?;
        services.audit(actor, "sender disallow", Some(group), sender.to_string()).await?;
    }
    Ok(known)
}

/// Lets senders through that an old list let through, as [`allow`] does one by one; how many are new.
///
/// # Errors
/// When the store fails.
pub(super) async fn allow_senders(
    services: &Services,
    actor: &Actor,
    group: &GroupCode,
    senders: &[EmailAddress],
    dry_run: bool,
) -> Result<u64, Failure> {
    let mut new = 0;
    for sender in senders {
        let key = allowed_key(group, sender);
        if services.store.entry(ALLOWED, &key).await?.is_some() {
            continue;
        }
        new += 1;
        if !dry_run {
            services.store.put_entry(ALLOWED, &key, 0, actor.name.clone().into_bytes()).await?;
            services.audit(actor, "sender allow", Some(group), sender.to_string()).await?;
        }
    }
    Ok(new)
}

/// Forgets what moderators noted about these addresses, in every group, and who she was where she was the moderator (erasure).
///
/// # Errors
/// When the store fails.
pub async fn forget(services: &Services, addresses: &[EmailAddress], vanishing: &Vanishing) -> Result<(), Failure> {
    let table = services.groups();
    for group in table.iter() {
        for address in addresses {
            services.store.remove_entry(ALLOWED, &allowed_key(&group.code, address)).await?;
        }
    }
    for register in [ALLOWED, RELEASES] {
        let mut after: Option<String> = None;
        loop {
            let page = services.store.entries(register, after.as_deref(), 500).await?;
            let Some((last, ..)) = page.last() else { break };
            after = Some(last.clone());
            for (key, version, by) in page {
                if let Some(hidden) = vanishing.hide(&String::from_utf8_lossy(&by)) {
                    services.store.put_entry(register, &key, version, hidden.into_bytes()).await?;
                }
            }
        }
    }
    Ok(())
}

/// A sender who is always let through.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AllowedSender {
    /// The address, as addresses are compared.
    pub address: String,
    /// Which moderator said so.
    pub by: String,
}

/// Senders that the moderators of a group always let through.
///
/// # Errors
/// When the store fails.
pub async fn allowed(services: &Services, group: &GroupCode) -> Result<Vec<AllowedSender>, Failure> {
    let prefix = format!("{group}|");
    let mut senders = Vec::new();
    let mut after = Some(prefix.clone());
    loop {
        let page = services.store.entries(ALLOWED, after.as_deref(), 500).await?;
        let Some((last, ..)) = page.last() else { return Ok(senders) };
        after = Some(last.clone());
        let of_page = page.len();
        let before = senders.len();
        senders.extend(page.into_iter().map_while(|(key, _, by)| {
            let address = key.strip_prefix(&prefix)?.to_owned();
            Some(AllowedSender { address, by: String::from_utf8_lossy(&by).into_owned() })
        }));
        if senders.len() - before < of_page {
            return Ok(senders);
        }
    }
}

/// What the gate, the bans and the moderators of the group say to a discussion post.
///
/// # Errors
/// When the store fails.
pub async fn judge_post(
    services: &Services,
    group: &Group,
    sender: &SenderProof,
    account: Option<&Account>,
    subscription: Option<&Subscription>,
) -> Result<Verdict, Failure> {
    let author = sender.author();
    if group.house.bans(author) {
        return Ok(Verdict::Refuse(Reason::new(Rule::Banned, [author.as_str(), group.code.as_str()])));
    }
    let verdict = gate::may_post(group, sender, account, subscription, services.today());
    let asks = group.house.moderate || subscription.is_some_and(|subscription| subscription.moderated) || gate::is_about_stranger(&verdict);
    let always = asks && services.store.entry(ALLOWED, &allowed_key(&group.code, author)).await?.is_some();
    Ok(gate::moderated(group, sender, account, subscription, always, verdict))
}

fn allowed_key(group: &GroupCode, sender: &EmailAddress) -> String {
    format!("{group}|{}", sender.key())
}

/// Is this the second of two different persons who release the post? Notes the first.
async fn second_person(services: &Services, actor: &Actor, id: PostId, dry_run: bool) -> Result<bool, Failure> {
    let key = id.to_string();
    match services.store.entry(RELEASES, &key).await? {
        Some((_, first)) => Ok(first != actor.name.as_bytes()),
        None if dry_run => Ok(false),
        None => {
            // Two who are first at the same time: one of them is the second.
            let first = services.store.put_entry(RELEASES, &key, 0, actor.name.clone().into_bytes()).await?.is_some();
            if first {
                return Ok(false);
            }
            Ok(services.store.entry(RELEASES, &key).await?.is_some_and(|(_, first)| first != actor.name.as_bytes()))
        }
    }
}

/// Sends it back with a reason. The author is told by mail only if he is proved; a stranger never is.
///
/// # Errors
/// When it is not held.
pub async fn reject(services: &Services, actor: &Actor, id: PostId, reason: &str, dry_run: bool) -> Result<HeldPost, Failure> {
    let mut post = held(services, id).await?;
    let shown = row(&post).ok_or_else(|| not_held(id))?;
    if dry_run {
        return Ok(shown);
    }
    let group = services.group(&post.groups[0])?;
    aside::nobody_waits(services, &post, reason).await?;
    post.state = PostState::Rejected(Reason::new(Rule::RejectedByModerator, [reason]));
    services.store.update_post(post.clone()).await?;
    services.audit(actor, "hold reject", Some(&group.code), format!("{id} from {}: {reason}", shown.from)).await?;
    tell_author(services, &post, &group, "rejected", reason).await?;
    Ok(shown)
}

/// Drops it without a word.
///
/// # Errors
/// When it is not held.
pub async fn discard(services: &Services, actor: &Actor, id: PostId, dry_run: bool) -> Result<HeldPost, Failure> {
    let mut post = held(services, id).await?;
    let shown = row(&post).ok_or_else(|| not_held(id))?;
    if !dry_run {
        let dropped = Reason::new(Rule::DiscardedByModerator, [services.today().to_string()]);
        aside::nobody_waits(services, &post, &dropped.text()).await?;
        post.state = PostState::Discarded(dropped);
        let group = post.groups[0].clone();
        services.store.update_post(post).await?;
        services.audit(actor, "hold discard", Some(&group), format!("{id} from {}", shown.from)).await?;
    }
    Ok(shown)
}

/// Discards what waited for `retention.held`; proved authors are told. Returns how many.
///
/// # Errors
/// The store's.
pub async fn expire(services: &Services) -> Result<usize, Failure> {
    let Some(patience) = TimeDelta::from_std(services.config.retention.held.0).ok().filter(|patience| !patience.is_zero()) else {
        return Ok(0);
    };
    let before = services.now() - patience;
    let mut expired = 0;
    let mut after = None;
    loop {
        let posts = services.store.held_posts(after, waiting::READ).await?;
        let Some(last) = posts.last() else { return Ok(expired) };
        after = Some(last.id);
        for post in posts.into_iter().filter(|post| post.received_at < before) {
            drop_late(services, post).await?;
            expired += 1;
        }
    }
}

/// Discards a post that waited too long.
async fn drop_late(services: &Services, mut post: Post) -> Result<(), Failure> {
    let group = services.group(&post.groups[0])?;
    let (today, days) = (services.today().to_string(), held_days(services).to_string());
    let dropped = match (&post.state, post.author_address()) {
        (PostState::AwaitsAuthor(_), Some(author)) => Reason::new(Rule::AuthorSilent, [author.to_string(), today, days]),
        _ => Reason::new(Rule::Undecided, [today, days]),
    };
    aside::nobody_waits(services, &post, &dropped.text()).await?;
    post.state = PostState::Discarded(dropped);
    services.store.update_post(post.clone()).await?;
    services.audit(&Actor::job("held posts"), "hold expire", Some(&group.code), post.id.to_string()).await?;
    tell_author(services, &post, &group, "held-expired", "").await
}

/// Tells the group's moderators and managers that a post waits for them, each with reply addresses of its own.
///
/// # Errors
/// The store's or a template's.
pub async fn notify(services: &Services, post: &Post, group: &Group) -> Result<(), Failure> {
    let today = services.today();
    for (subscription, account) in services.members_with_role(&group.code, Role::Moderator).await? {
        if gate::may_moderate(group, &account, Some(&subscription), today).is_accept() {
            tell(services, post, group, &account).await?;
        }
    }
    Ok(())
}

/// Tells one person that a post is held, and how she decides.
async fn tell(services: &Services, post: &Post, group: &Group, account: &Account) -> Result<(), Failure> {
    use crate::mail::token::Purpose;
    let (PostState::Held(reason) | PostState::AwaitsAuthor(reason)) = &post.state else { return Ok(()) };
    let Some(held) = row(post) else { return Ok(()) };
    let like = looks_like(services, post).await?;
    let address = |purpose| format!("{}-moderate+{}@{}", group.list, services.keys.address_token(purpose, post.id.0), services.site.domain);
    let mail = RobotMail {
        to: account.address(),
        account: Some(account),
        group,
        template: "held-notice",
        context: json!({
            "id": held.id, "looks_like": like, "from": held.from, "subject": held.subject,
            "reason": services.texts.reason(robot::language_for(services, Some(account), group), reason),
            "release_address": address(Purpose::Release),
            "reject_address": address(Purpose::Reject),
            "discard_address": address(Purpose::Discard),
            "allow_address": address(Purpose::Allow),
            "days": held_days(services),
        }),
        reply_to: None,
        in_reply_to: None,
        allowance: Allowance::Notice,
    };
    robot::send(services, mail).await?;
    Ok(())
}

async fn tell_author(services: &Services, post: &Post, group: &Group, template: &'static str, reason: &str) -> Result<(), Failure> {
    let Some(SenderProof::Proved { author, .. }) = &post.sender else { return Ok(()) };
    let account = services.store.account_by_address(author).await?;
    robot::send(
        services,
        RobotMail {
            to: author,
            account: account.as_ref(),
            group,
            template,
            context: json!({ "subject": post.subject, "reason": reason, "days": held_days(services) }),
            reply_to: None,
            in_reply_to: Some(&post.message_id),
            allowance: Allowance::Answer,
        },
    )
    .await?;
    Ok(())
}

async fn held(services: &Services, id: PostId) -> Result<Post, Failure> {
    let post = services.store.post(id).await?.ok_or_else(|| not_held(id))?;
    match post.state {
        PostState::Held(_) | PostState::AwaitsAuthor(_) => Ok(post),
        _ => Err(not_held(id)),
    }
}

fn not_held(id: PostId) -> Failure {
    Failure::NotFound(format!("no post {id} is held; `enlace hold list` shows those that are"))
}
