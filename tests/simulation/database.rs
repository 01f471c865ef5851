//! One database for all nodes, in memory: the trait's promises to the letter, with failing, slow and lost answers.
//!
//! Bodies and slices of plans are only durable with a later verb, and an outage takes those that were not. Leases and due
//! times are judged by the database's own clock.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use enlace::domain::account::Account;
use enlace::domain::address::EmailAddress;
use enlace::domain::group::{Group, GroupCode};
use enlace::domain::id::{AccountId, PostId, RequestId};
use enlace::domain::ledger::{Counts, Outcome, PlannedRecipient, RecipientState};
use enlace::domain::post::{BodyRef, Post, PostKind, PostState};
use enlace::domain::subscription::Subscription;
use enlace::store::erasure::{Erasure, Replaced, Swept, Vanishing};
use enlace::store::transfer::{Item, Snapshot, Transfer};
use enlace::store::{
    Accounts, Attempt, AuditEntry, BatchKey, Batches, BodySource, Claim, Claimed, DUE_OF_A_POST, DueBatch, Groups, Kept, LedgerKey, Marks,
    Member, Posts, RecipientRecord, Registers, Request, Result, Store, StoreError, Subscriptions,
};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::chance::Chance;
use crate::world::{Life, Plant};

pub struct Batch {
    pub recipients: Vec<RecipientRecord>,
    pub due: DateTime<Utc>,
    /// Holder, node, end of the lease.
    pub claim: Option<(u64, usize, DateTime<Utc>)>,
    tries: u32,
    planned_at: DateTime<Utc>,
}

impl Batch {
    /// For a failure.
    pub fn told(&self, number: u32) -> String {
        format!("batch {number}: {} open, due {}, claim {:?}, {} tries", self.open(), self.due, self.claim, self.tries)
    }

    fn open(&self) -> usize {
        self.recipients.iter().filter(|one| !one.state.is_final()).count()
    }
}

#[derive(Default)]
pub struct Data {
    pub groups: BTreeMap<GroupCode, Group>,
    pub accounts: BTreeMap<AccountId, Account>,
    pub subscriptions: BTreeMap<(GroupCode, AccountId), Subscription>,
    pub bodies: BTreeMap<String, Bytes>,
    volatile: BTreeMap<String, Bytes>,
    pub posts: BTreeMap<PostId, Post>,
    repetitions: BTreeMap<String, PostId>,
    slices: BTreeMap<(PostId, usize, u32), Vec<PlannedRecipient>>,
    pub batches: BTreeMap<BatchKey, Batch>,
    plans: BTreeMap<PostId, u32>,
    marks: BTreeMap<(String, String), DateTime<Utc>>,
    counters: BTreeMap<(String, String), u64>,
    settings: BTreeMap<String, Vec<u8>>,
    entries: BTreeMap<(String, String), (u64, Vec<u8>)>,
    holders: u64,
    /// A claim was given out while another was in force.
    pub doubled: Option<String>,
    pub plant: Option<Plant>,
    pub lost_answers: u32,
    pub failures: u32,
    began: Option<Instant>,
    down_until: Option<Instant>,
}

impl Data {
    pub fn planted(plant: Option<Plant>) -> Self {
        Self { plant, ..Self::default() }
    }

    /// The database's clock.
    pub fn now(&mut self) -> DateTime<Utc> {
        let began = *self.began.get_or_insert_with(Instant::now);
        crate::world::start_time() + TimeDelta::from_std(began.elapsed()).unwrap()
    }

    /// The same, for a failure.
    pub fn told_now(&self) -> String {
        let began = self.began.unwrap_or_else(Instant::now);
        (crate::world::start_time() + TimeDelta::from_std(began.elapsed()).unwrap()).to_string()
    }

    /// Everything that was not made durable is gone, and nothing is answered for a while.
    pub fn outage(&mut self, length: Duration) {
        self.volatile.clear();
        self.slices.clear();
        self.down_until = Some(Instant::now() + length);
    }

    /// A node that starts again takes back what its former process had in hand.
    pub fn take_back(&mut self, node: usize) {
        for batch in self.batches.values_mut() {
            if batch.claim.is_some_and(|(_, of, _)| of == node) {
                batch.claim = None;
            }
        }
    }

    /// Who may work on a batch now.
    pub fn holder(&mut self, key: BatchKey) -> Option<usize> {
        let now = self.now();
        self.batches.get(&key)?.claim.filter(|(_, _, end)| *end > now).map(|(_, node, _)| node)
    }

    fn note(&mut self, key: BatchKey, outcome: &Outcome, decided: bool) -> bool {
        if self.plant == Some(Plant::LosesAnOutcome) && self.holders % 3 == 0 {
            return true;
        }
        let Some(record) = self.batches.get_mut(&key).and_then(|batch| batch.recipients.get_mut(usize::from(outcome.index))) else {
            return false;
        };
        let late = outcome.state == RecipientState::Sent && record.state != RecipientState::Bounced;
        if decided || !record.state.is_final() || late {
            record.state = outcome.state;
        }
        record.attempts.push(Attempt { at: outcome.at, state: outcome.state, reply: outcome.reply.clone() });
        true
    }

    fn has_open(&self, id: PostId) -> bool {
        self.batches.range(BatchKey { post: id, number: 0 }..=BatchKey { post: id, number: u32::MAX }).any(|(_, b)| b.open() > 0)
    }

    fn finish(&mut self, id: PostId) {
        let open = self.has_open(id);
        if let Some(post) = self.posts.get_mut(&id).filter(|post| !open && post.state == PostState::Planned) {
            post.state = PostState::Done;
        }
    }
}

/// The database as one node sees it.
pub struct NodeStore {
    pub data: Arc<Mutex<Data>>,
    pub node: usize,
    pub life: Life,
    pub chance: Chance,
    pub calm: Arc<Mutex<bool>>,
    pub bell: Arc<watch::Sender<u64>>,
}

fn away(text: &str) -> StoreError {
    StoreError::Unavailable(text.into())
}

impl NodeStore {
    fn lock(&self) -> MutexGuard<'_, Data> {
        self.data.lock().unwrap()
    }

    async fn latency(&self) {
        let calm = *self.calm.lock().unwrap();
        let pause = if !calm && self.chance.in_thousand(5) { self.chance.below(3_000) } else { self.chance.below(5) };
        tokio::time::sleep(Duration::from_millis(pause)).await;
        self.life.breathe().await;
    }

    async fn run<R>(&self, changes: bool, verb: impl FnOnce(&mut Data) -> Result<R>) -> Result<R> {
        self.life.breathe().await;
        self.latency().await;
        let faulty = !*self.calm.lock().unwrap();
        if faulty && self.chance.in_thousand(8) {
            self.lock().failures += 1;
            return Err(away("simulated failure"));
        }
        let result = {
            let mut data = self.lock();
            if data.down_until.is_some_and(|until| until > Instant::now()) {
                return Err(away("simulated outage"));
            }
            verb(&mut data)
        };
        if changes {
            // A process may die between the commit and the answer.
            self.latency().await;
            if faulty && self.chance.in_thousand(6) {
                self.lock().lost_answers += 1;
                return Err(away("simulated loss of the answer"));
            }
        }
        result
    }

    async fn change<R>(&self, verb: impl FnOnce(&mut Data) -> Result<R>) -> Result<R> {
        let result = self.run(true, verb).await;
        // Bells get lost.
        if self.chance.in_thousand(900) {
            self.bell.send_modify(|rings| *rings += 1);
        }
        result
    }

    async fn read<R>(&self, verb: impl FnOnce(&mut Data) -> R) -> Result<R> {
        self.run(false, |data| Ok(verb(data))).await
    }
}

#[async_trait]
impl Accounts for NodeStore {
    async fn account(&self, id: AccountId) -> Result<Option<Account>> {
        self.read(|data| data.accounts.get(&id).cloned()).await
    }
    async fn account_by_address(&self, address: &EmailAddress) -> Result<Option<Account>> {
        self.read(|data| data.accounts.values().find(|account| account.owns(address)).cloned()).await
    }
    async fn put_accounts(&self, accounts: Vec<Account>) -> Result<()> {
        self.change(|data| Ok(data.accounts.extend(accounts.into_iter().map(|one| (one.id, one))))).await
    }
    async fn remove_account(&self, id: AccountId) -> Result<()> {
        self.change(|data| Ok(drop(data.accounts.remove(&id)))).await
    }
    async fn accounts(&self, _: Option<AccountId>, _: usize) -> Result<Vec<Account>> {
        self.read(|data| data.accounts.values().cloned().collect()).await
    }
    async fn accounts_expiring(&self, _: NaiveDate, _: NaiveDate) -> Result<Vec<AccountId>> {
        Ok(Vec::new())
    }
    async fn account_count(&self) -> Result<u64> {
        self.read(|data| data.accounts.len() as u64).await
    }
}

#[async_trait]
impl Groups for NodeStore {
    async fn groups(&self) -> Result<Vec<Group>> {
        self.read(|data| data.groups.values().cloned().collect()).await
    }
    async fn put_groups(&self, groups: Vec<Group>) -> Result<()> {
        self.change(|data| Ok(data.groups.extend(groups.into_iter().map(|one| (one.code.clone(), one))))).await
    }
}

#[async_trait]
impl Subscriptions for NodeStore {
    async fn subscription(&self, group: &GroupCode, account: AccountId) -> Result<Option<Subscription>> {
        self.read(|data| data.subscriptions.get(&(group.clone(), account)).cloned()).await
    }
    async fn put_subscriptions(&self, all: Vec<Subscription>) -> Result<()> {
        self.change(|data| Ok(data.subscriptions.extend(all.into_iter().map(|one| ((one.group.clone(), one.account), one))))).await
    }
    async fn subscriptions_of_group(&self, group: &GroupCode, after: Option<AccountId>, limit: usize) -> Result<Vec<Subscription>> {
        Ok(self.members_of_group(group, after, limit).await?.into_iter().map(|(one, _)| one).collect())
    }
    async fn members_of_group(&self, group: &GroupCode, after: Option<AccountId>, limit: usize) -> Result<Vec<(Subscription, Account)>> {
        // Short pages, so that a plan takes several.
        let limit = limit.min(17);
        self.read(|data| {
            let all = data.subscriptions.iter().filter(|((of, id), _)| of == group && after.is_none_or(|after| *id > after));
            all.filter_map(|(_, one)| Some((one.clone(), data.accounts.get(&one.account)?.clone()))).take(limit).collect()
        })
        .await
    }
    async fn members_by_address(&self, group: &GroupCode, addresses: Vec<EmailAddress>) -> Result<Vec<Option<Member>>> {
        self.read(|data| {
            let owner = |address| data.accounts.values().find(|account: &&Account| account.owns(address));
            let member = |account: &Account| (account.clone(), data.subscriptions.get(&(group.clone(), account.id)).cloned());
            addresses.iter().map(|address| owner(address).map(member)).collect()
        })
        .await
    }
    async fn subscriptions_of_account(&self, account: AccountId) -> Result<Vec<Subscription>> {
        self.read(|data| data.subscriptions.values().filter(|one| one.account == account).cloned().collect()).await
    }
    async fn remove_subscriptions(&self, account: AccountId) -> Result<()> {
        self.change(|data| Ok(data.subscriptions.retain(|(_, id), _| *id != account))).await
    }
}

#[async_trait]
impl Posts for NodeStore {
    fn incoming(&self) -> PathBuf {
        PathBuf::new()
    }
    async fn put_body(&self, source: BodySource) -> Result<BodyRef> {
        let BodySource::Bytes(bytes) = source else { return Err(away("no files here")) };
        let body = BodyRef { key: format!("b{:016x}", self.chance.next()), octets: bytes.len() as u64 };
        self.change(|data| {
            data.volatile.insert(body.key.clone(), bytes);
            Ok(body)
        })
        .await
    }
    async fn body(&self, body: &BodyRef) -> Result<Bytes> {
        self.run(false, |data| {
            let found = data.bodies.get(&body.key).or_else(|| data.volatile.get(&body.key));
            found.cloned().ok_or_else(|| StoreError::Damaged(format!("body {} is gone", body.key)))
        })
        .await
    }
    async fn keep_post(&self, post: Post, keys: Vec<String>) -> Result<Kept> {
        let kept = self.change(|data| {
            if let Some(id) = keys.iter().find_map(|key| data.repetitions.get(key)) {
                return Ok((*id, false));
            }
            for edition in &post.editions {
                let bytes = data.volatile.remove(&edition.body.key).ok_or_else(|| away("the body is not there"))?;
                data.bodies.insert(edition.body.key.clone(), bytes);
            }
            data.repetitions.extend(keys.iter().map(|key| (key.clone(), post.id)));
            let id = post.id;
            if data.plant != Some(Plant::LosesAPost) || id.0 % 5 != 0 {
                data.posts.insert(id, post);
            }
            Ok((id, true))
        });
        let (id, new) = kept.await?;
        let durable = crate::world::durable(id);
        Ok(if new { Kept::New(durable) } else { Kept::Repeated(durable) })
    }
    async fn update_post(&self, post: Post) -> Result<()> {
        self.change(|data| Ok(drop(data.posts.insert(post.id, post)))).await
    }
    async fn post(&self, id: PostId) -> Result<Option<Post>> {
        self.read(|data| data.posts.get(&id).cloned()).await
    }
    async fn posts_by_message_id(&self, message_id: &str) -> Result<Vec<Post>> {
        self.read(|data| data.posts.values().filter(|post| post.message_id == message_id).cloned().collect()).await
    }
    async fn posts_to_plan(&self, _: DateTime<Utc>, limit: usize) -> Result<Vec<Post>> {
        self.read(|data| data.posts.values().filter(|post| post.state == PostState::Accepted).take(limit).cloned().collect()).await
    }
    async fn next_plan_time(&self) -> Result<Option<DateTime<Utc>>> {
        Ok(None)
    }
    async fn held_posts(&self, _: Option<PostId>, _: usize) -> Result<Vec<Post>> {
        Ok(Vec::new())
    }
    async fn posts_of_group(&self, _: &GroupCode, _: Option<PostId>, _: usize) -> Result<Vec<Post>> {
        self.read(|data| data.posts.values().rev().cloned().collect()).await
    }
}

#[async_trait]
impl Batches for NodeStore {
    async fn begin_plan(&self, post: PostId) -> Result<()> {
        let node = self.node;
        self.change(|data| Ok(data.slices.retain(|(of, by, _), _| *of != post || *by != node))).await
    }
    async fn add_batch(&self, key: BatchKey, recipients: Vec<PlannedRecipient>) -> Result<()> {
        let node = self.node;
        self.change(|data| Ok(drop(data.slices.insert((key.post, node, key.number), recipients)))).await
    }
    async fn finish_plan(&self, id: PostId, batches: u32, now: DateTime<Utc>) -> Result<()> {
        let node = self.node;
        self.change(|data| {
            let post = data.posts.get(&id).ok_or_else(|| away("no such post"))?;
            if post.state != PostState::Accepted {
                return Ok(());
            }
            let slices: BTreeMap<u32, _> = data
                .slices
                .iter()
                .filter(|((of, by, _), _)| *of == id && *by == node)
                .map(|((.., number), plan)| (*number, plan.clone()))
                .collect();
            if slices.len() != batches as usize {
                return Err(away("the plan is not whole"));
            }
            let due = data.now();
            for (number, plan) in slices {
                let recipients =
                    plan.into_iter().map(|planned| RecipientRecord { state: planned.state, planned, attempts: Vec::new() }).collect();
                let batch = Batch { recipients, due, claim: None, tries: 0, planned_at: now };
                data.batches.insert(BatchKey { post: id, number }, batch);
            }
            data.plans.insert(id, batches);
            data.slices.retain(|(of, ..), _| *of != id);
            if let Some(post) = data.posts.get_mut(&id) {
                post.state = PostState::Planned;
            }
            data.finish(id);
            Ok(())
        })
        .await
    }
    async fn due_batches(&self, _: DateTime<Utc>, limit: usize) -> Result<Vec<DueBatch>> {
        self.read(|data| {
            let now = data.now();
            let mut due: Vec<_> = data
                .batches
                .iter()
                .filter(|(_, batch)| batch.claim.map_or(batch.due, |(.., end)| end) <= now)
                // A node may die between the last outcome and the settling: whoever claims such a batch ends the post.
                .filter(|(key, batch)| batch.open() > 0 || !data.has_open(key.post))
                .filter(|(key, _)| key.number < DUE_OF_A_POST)
                .filter_map(|(key, batch)| {
                    let post = data.posts.get(&key.post).filter(|post| post.state == PostState::Planned)?;
                    let (group, octets) = (post.groups[0].clone(), post.octets());
                    Some(DueBatch {
                        key: *key,
                        group,
                        octets,
                        open: batch.open() as u32,
                        due: batch.due,
                        urgency: u8::from(post.kind == PostKind::Discussion) + 1,
                    })
                })
                .collect();
            due.sort_by_key(|batch| (batch.due, batch.key));
            due.truncate(limit);
            due
        })
        .await
    }
    async fn next_due_time(&self) -> Result<Option<DateTime<Utc>>> {
        Ok(None)
    }
    async fn claim_batch(&self, key: BatchKey, _: DateTime<Utc>, lease: Duration) -> Result<Claimed> {
        let node = self.node;
        self.change(|data| {
            let now = data.now();
            let Some(post) = data.posts.get(&key.post).filter(|post| post.state == PostState::Planned).cloned() else {
                return Ok(Claimed::Finished);
            };
            data.holders += 1;
            let (holder, plant) = (data.holders, data.plant);
            let Some(batch) = data.batches.get_mut(&key) else { return Ok(Claimed::Finished) };
            if batch.open() == 0 {
                data.finish(key.post);
                return Ok(Claimed::Finished);
            }
            let held = batch.claim.filter(|(_, _, end)| *end > now);
            if (held.is_some() && plant != Some(Plant::ForgetsLeases)) || (batch.claim.is_none() && batch.due > now) {
                return Ok(Claimed::InProgress);
            }
            if let Some((_, other, end)) = held {
                data.doubled =
                    Some(format!("batch {} of {}: node {node} got it while node {other} has it until {end}", key.number, key.post));
            }
            batch.claim = Some((holder, node, now + TimeDelta::from_std(lease).unwrap()));
            let tries = batch.tries;
            batch.tries += 1;
            let (recipients, planned_at) = (batch.recipients.clone(), batch.planned_at);
            Ok(Claimed::Started(Box::new(Claim { key, holder, post: Arc::new(post), recipients, tries, planned_at })))
        })
        .await
    }
    async fn record_outcomes(&self, key: BatchKey, _: u64, outcomes: Vec<Outcome>) -> Result<()> {
        self.change(|data| {
            let all = outcomes.iter().all(|outcome| data.note(key, outcome, false));
            if all { Ok(()) } else { Err(away("no such batch")) }
        })
        .await
    }
    async fn settle_batch(&self, key: BatchKey, holder: u64, next_due: DateTime<Utc>) -> Result<()> {
        self.change(|data| {
            if let Some(batch) = data.batches.get_mut(&key).filter(|batch| batch.claim.is_some_and(|(by, ..)| by == holder)) {
                batch.claim = None;
                batch.due = next_due;
            }
            data.finish(key.post);
            Ok(())
        })
        .await
    }
    async fn amend_recipient(&self, key: LedgerKey, state: RecipientState, at: DateTime<Utc>, text: String) -> Result<bool> {
        self.change(|data| Ok(data.note(key.batch, &Outcome { index: key.index, state, at, reply: text }, true))).await
    }
    async fn recipient(&self, key: LedgerKey) -> Result<Option<RecipientRecord>> {
        Ok(self.batch(key.batch).await?.into_iter().nth(usize::from(key.index)))
    }
    async fn batch(&self, key: BatchKey) -> Result<Vec<RecipientRecord>> {
        self.read(|data| data.batches.get(&key).map(|batch| batch.recipients.clone()).unwrap_or_default()).await
    }
    async fn batch_count(&self, post: PostId) -> Result<u32> {
        self.read(|data| data.plans.get(&post).copied().unwrap_or(0)).await
    }
    async fn counts(&self, post: PostId) -> Result<Counts> {
        self.read(|data| {
            let mut counts = Counts::default();
            for record in data.batches.iter().filter(|(key, _)| key.post == post).flat_map(|(_, batch)| &batch.recipients) {
                *counts.of(record.state) += 1;
            }
            counts
        })
        .await
    }
    async fn total_counts(&self) -> Result<Counts> {
        self.read(|data| {
            let mut counts = Counts::default();
            for record in data.batches.values().flat_map(|batch| &batch.recipients) {
                *counts.of(record.state) += 1;
            }
            counts
        })
        .await
    }
    async fn open_posts(&self, limit: usize) -> Result<Vec<Post>> {
        self.read(|data| data.posts.values().filter(|post| post.state == PostState::Planned).take(limit).cloned().collect()).await
    }
    async fn hasten(&self, post: Option<PostId>, _: DateTime<Utc>) -> Result<u64> {
        self.change(|data| {
            let now = data.now();
            let waiting = data
                .batches
                .iter_mut()
                .filter(|(key, batch)| batch.claim.is_none() && batch.due > now && post.is_none_or(|post| post == key.post));
            Ok(waiting.map(|(_, batch)| batch.due = now).count() as u64)
        })
        .await
    }
    async fn drop_open(&self, _: PostId, _: DateTime<Utc>, _: String) -> Result<u64> {
        Err(away("not here"))
    }
}

#[async_trait]
impl Marks for NodeStore {
    async fn claim_once(&self, kind: &str, key: &str, at: DateTime<Utc>) -> Result<bool> {
        let key = (kind.to_owned(), key.to_owned());
        self.change(|data| Ok(if data.marks.contains_key(&key) { false } else { data.marks.insert(key, at).is_none() })).await
    }
    async fn claimed_at(&self, kind: &str, key: &str) -> Result<Option<DateTime<Utc>>> {
        let key = (kind.to_owned(), key.to_owned());
        self.read(|data| data.marks.get(&key).copied()).await
    }
    async fn forget_marks(&self, _: &str, _: DateTime<Utc>) -> Result<u64> {
        Ok(0)
    }
    async fn count_up(&self, kind: &str, key: &str) -> Result<u64> {
        let key = (kind.to_owned(), key.to_owned());
        self.change(|data| {
            let count = data.counters.entry(key).or_default();
            *count += 1;
            Ok(*count)
        })
        .await
    }
    async fn setting(&self, name: &str) -> Result<Option<Vec<u8>>> {
        self.read(|data| data.settings.get(name).cloned()).await
    }
    async fn put_setting(&self, name: &str, value: Vec<u8>) -> Result<()> {
        self.change(|data| Ok(drop(data.settings.insert(name.into(), value)))).await
    }
    async fn put_request(&self, _: Request) -> Result<()> {
        Err(away("not here"))
    }
    async fn request(&self, _: RequestId) -> Result<Option<Request>> {
        Ok(None)
    }
    async fn take_request(&self, _: RequestId) -> Result<bool> {
        Ok(false)
    }
    async fn requests(&self, _: Option<&GroupCode>) -> Result<Vec<Request>> {
        Ok(Vec::new())
    }
    async fn append_audit(&self, _: AuditEntry) -> Result<()> {
        Ok(())
    }
    async fn audit(&self, _: Option<&GroupCode>, _: usize) -> Result<Vec<AuditEntry>> {
        Ok(Vec::new())
    }
}

#[async_trait]
impl Registers for NodeStore {
    async fn put_entry(&self, register: &str, key: &str, expected: u64, record: Vec<u8>) -> Result<Option<u64>> {
        let key = (register.to_owned(), key.to_owned());
        self.change(|data| {
            let present = data.entries.get(&key).map_or(0, |(version, _)| *version);
            if present != expected {
                return Ok(None);
            }
            data.entries.insert(key, (expected + 1, record));
            Ok(Some(expected + 1))
        })
        .await
    }
    async fn entry(&self, register: &str, key: &str) -> Result<Option<(u64, Vec<u8>)>> {
        let key = (register.to_owned(), key.to_owned());
        self.read(|data| data.entries.get(&key).cloned()).await
    }
    async fn entries(&self, register: &str, _: Option<&str>, _: usize) -> Result<Vec<(String, u64, Vec<u8>)>> {
        self.read(|data| {
            data.entries
                .iter()
                .filter(|((of, _), _)| of == register)
                .map(|((_, key), (version, row))| (key.clone(), *version, row.clone()))
                .collect()
        })
        .await
    }
    async fn remove_entry(&self, register: &str, key: &str) -> Result<()> {
        let key = (register.to_owned(), key.to_owned());
        self.change(|data| Ok(drop(data.entries.remove(&key)))).await
    }
}

#[async_trait]
impl Transfer for NodeStore {
    async fn snapshot(&self) -> Result<Box<dyn Snapshot>> {
        Err(away("not here"))
    }
    async fn import(&self, _: Vec<Item>) -> Result<()> {
        Err(away("not here"))
    }
}

#[async_trait]
impl Erasure for NodeStore {
    async fn pseudonymise(&self, _: Vanishing) -> Result<Replaced> {
        Err(away("not here"))
    }
    async fn forget_plan(&self, _: PostId) -> Result<u64> {
        Err(away("not here"))
    }
    async fn forget_tallies(&self, _: DateTime<Utc>) -> Result<u64> {
        Err(away("not here"))
    }
    async fn sweep(&self, _: std::time::Duration) -> Result<Swept> {
        Err(away("not here"))
    }
}

#[async_trait]
impl Store for NodeStore {
    fn bell(&self) -> watch::Receiver<u64> {
        self.bell.subscribe()
    }
    async fn health(&self) -> Result<()> {
        Ok(())
    }
    async fn close(&self) -> Result<()> {
        Ok(())
    }
}
