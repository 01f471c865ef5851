//! Keeping posts, and letting those go on that waited for their author.

mod again;

use chrono::TimeDelta;

use super::{Actor, Failure, Services, moderate, senders};
use crate::domain::gate::{self, Verdict};
use crate::domain::group::{Group, GroupCode};
use crate::domain::id::{AccountId, PostId};
use crate::domain::mistake::Mistake;
use crate::domain::post::{Arrival, Audience, BodyRef, Edition, Post, PostKind, PostState, RoleAddress};
use crate::domain::proof::{ProofMethod, SenderProof};
use crate::domain::reason::{Reason, Rule};
use crate::measure::{Stage, Timer};
use crate::store::Kept;

/// Posts looked at for those that can still be stopped.
const MOST_WAITING: usize = 1_000;

/// A message that the gate judged, on its way to the disk.
pub struct NewPost<'a> {
    /// Groups addressed, in order; never empty.
    pub groups: Vec<&'a Group>,
    /// What kind of message.
    pub kind: PostKind,
    /// Without angle brackets; `None`: one is made.
    pub message_id: Option<String>,
    /// Decoded, without controls.
    pub subject: String,
    /// Who wrote it.
    pub sender: SenderProof,
    /// The author's account.
    pub author: Option<AccountId>,
    /// The bytes as received.
    pub body: BodyRef,
    /// Who is to get it.
    pub audience: Audience,
    /// `Accepted`, `Held` or `AwaitsAuthor`.
    pub state: PostState,
    /// How it came in.
    pub arrival: Arrival,
    /// What it is part of, as in [`Post::origin`]; empty for a message that is passed on.
    pub origin: &'static str,
}

/// Puts the post on disk, unless it is the same mail as one that lives in its group: same Message-ID, author and body.
///
/// For several groups a Message-ID that one of them knows is answered with `Repeated`, whatever the mail: each is kept by itself then.
///
/// # Errors
/// When the store fails; nothing was promised then.
pub async fn keep(services: &Services, new: NewPost<'_>) -> Result<(PostId, Kept), Failure> {
    let now = services.now();
    let id = PostId::new(now, services.chance());
    let message_id = new.message_id.clone().unwrap_or_else(|| format!("{id}.made@{}", services.site.domain));
    let keys: Vec<String> = match &new.message_id {
        Some(given) => new.groups.iter().map(|group| repetition_key(group, new.kind, &new.audience, given)).collect(),
        None => Vec::new(),
    };
    let post = Post {
        id,
        groups: new.groups.iter().map(|group| group.code.clone()).collect(),
        kind: new.kind,
        message_id,
        subject: new.subject,
        sender: Some(new.sender),
        author: new.author,
        received_at: now,
        not_before: now + grace(&new.groups, new.kind),
        editions: vec![Edition { language: None, body: new.body }],
        audience: new.audience,
        state: new.state,
        arrival: new.arrival,
        origin: new.origin.to_owned(),
    };
    let timer = Timer::of(Stage::Commit);
    let kept = match (services.store.keep_post(post.clone(), keys.clone()).await?, &keys[..]) {
        (Kept::Repeated(first), [key]) => again::keep(services, &post, key, first).await?,
        (kept, _) => kept,
    };
    timer.done();
    Ok((id, kept))
}

/// A Message-ID is known per list, never by itself: the same message to two lists is two posts.
///
/// Mail to a role is told apart by the role: the same message to managers and to the secretariat is two.
fn repetition_key(group: &Group, kind: PostKind, audience: &Audience, message_id: &str) -> String {
    if let (PostKind::Owner, Audience::Role(role, _)) = (kind, audience) {
        let role = match role {
            RoleAddress::Managers => "managers",
            RoleAddress::Secretariat => "secretariat",
        };
        return format!("{}|{} {role}|{message_id}", group.code, kind.as_str());
    }
    format!("{}|{}|{message_id}", group.code, kind.as_str())
}

/// How long an announcement can be stopped: the longest grace time of its groups.
fn grace(groups: &[&Group], kind: PostKind) -> TimeDelta {
    match kind {
        PostKind::Announcement => groups.iter().filter_map(|group| TimeDelta::from_std(group.grace).ok()).max().unwrap_or_default(),
        _ => TimeDelta::zero(),
    }
}

/// What became of a post whose author answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Confirmed {
    /// It goes out.
    Accepted,
    /// It waits for a moderator now.
    Held(Reason),
    /// The right to post is gone since.
    Refused(Reason),
}

/// The author said that the post is his (the token proved it): the gate judges again, now with the proof.
///
/// # Errors
/// [`Rule::TokenInvalid`] when the post does not wait for its author (any more).
pub async fn confirm_author(services: &Services, id: PostId) -> Result<Confirmed, Failure> {
    let used = || Failure::Refused(Reason::new(Rule::TokenInvalid, [""; 0]));
    let mut post = services.store.post(id).await?.ok_or_else(used)?;
    if !matches!(post.state, PostState::AwaitsAuthor(_)) {
        return Err(used());
    }
    let Some(author) = post.author_address().cloned() else { return Err(used()) };
    let sender = SenderProof::Proved { author: author.clone(), method: ProofMethod::Confirmed };
    let account = services.store.account_by_address(&author).await?;
    let today = services.today();
    let mut confirmed = Confirmed::Accepted;
    for code in &post.groups {
        let group = services.group(code)?;
        let subscription = match &account {
            Some(account) => services.store.subscription(code, account.id).await?,
            None => None,
        };
        let verdict = match post.kind {
            PostKind::Announcement => gate::may_announce(&group, &sender, account.as_ref(), subscription.as_ref(), today),
            _ => moderate::judge_post(services, &group, &sender, account.as_ref(), subscription.as_ref()).await?,
        };
        match verdict {
            Verdict::Accept(_) => {}
            Verdict::Hold(reason) | Verdict::Confirm(reason) => confirmed = Confirmed::Held(reason),
            Verdict::Refuse(reason) => {
                confirmed = Confirmed::Refused(reason);
                break;
            }
        }
    }
    if let (Some(account), false) = (&account, matches!(confirmed, Confirmed::Refused(_))) {
        senders::remember(services, account.id, &post.arrival.found).await?;
    }
    post.sender = Some(sender);
    post.state = match &confirmed {
        Confirmed::Accepted => PostState::Accepted,
        Confirmed::Held(reason) => PostState::Held(reason.clone()),
        Confirmed::Refused(reason) => PostState::Rejected(reason.clone()),
    };
    services.store.update_post(post).await?;
    Ok(confirmed)
}

/// Posts of a group that wait for the end of their grace time, the soonest first: they can still be stopped.
///
/// # Errors
/// When the store fails.
pub async fn waiting(services: &Services, group: &GroupCode) -> Result<Vec<Post>, Failure> {
    let (now, someday) = (services.now(), services.now() + TimeDelta::days(36_500));
    let mut waiting = services.store.posts_to_plan(someday, MOST_WAITING).await?;
    waiting.retain(|post| post.not_before > now && post.groups.contains(group));
    waiting.sort_by_key(|post| post.not_before);
    Ok(waiting)
}

/// Stops a post within its grace time, in somebody's name.
///
/// # Errors
/// As [`stop`].
pub async fn recall(services: &Services, actor: &Actor, id: PostId) -> Result<Post, Failure> {
    let post = stop(services, id).await?;
    services.audit(actor, "post stop", post.groups.first(), format!("{id}: {}", post.subject)).await?;
    Ok(post)
}

/// Stops a post within its grace time.
///
/// # Errors
/// When it is unknown, or went out already; says so.
pub async fn stop(services: &Services, id: PostId) -> Result<Post, Failure> {
    let mut post = services.store.post(id).await?.ok_or_else(|| Failure::NotFound(format!("there is no post {id}")))?;
    if post.state != PostState::Accepted {
        return Err(Mistake::PostGone.about([id.to_string(), post.state.as_str().to_owned()]).into());
    }
    post.state = PostState::Withdrawn(services.now());
    services.store.update_post(post.clone()).await?;
    Ok(post)
}
