//! Claims due batches and puts them up for the sessions: a few of each post at a time, the urgent first.
//!
//! Woken by the store's bell, by a settled batch, and by a periodic look. Here too what happens to claimed batches from
//! outside: sending is paused, recipients are taken out of the queue, a lease comes to its end.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use futures_util::future::join_all;
use tokio::time::Instant;

use super::Settings;
use super::batch::ActiveBatch;
use super::floor::Floor;
use super::lanes::Open;
use crate::domain::group::GroupCode;
use crate::domain::id::PostId;
use crate::domain::ledger::RelayAnswer;
use crate::service::GroupTable;
use crate::service::queue::PAUSED;
use crate::store::{BATCH_RECIPIENTS, Claim, Claimed, DueBatch, Result};

/// Most batches claimed at a time, over all posts.
const CLAIMED: usize = 48;
/// Fewest batches of one post claimed at a time: enough that the next is there when one ends.
const CLAIMED_OF_A_POST: usize = 3;
/// Transactions claimed of one post for each session, where many recipients share one: a batch is soon through then.
const TRANSACTIONS_A_SESSION: usize = 4;
/// Most due batches looked at.
const LOOKED_AT: usize = 1024;
/// Part of a lease after which the rest of a batch is given back.
pub const LEASE_USED: f64 = 0.66;

/// Feeds until the delivery stops, then gives back what is claimed.
pub async fn run(floor: Arc<Floor>) {
    let mut bell = floor.services.store.bell();
    let mut looked = Instant::now();
    while !floor.is_stopping() {
        let began = floor.services.now();
        if let Err(error) = feed(&floor, &mut looked).await {
            tracing::error!(%error, "could not look for due batches");
        }
        let next = floor.services.store.next_due_time().await.unwrap_or_default();
        tokio::select! {
            rung = bell.changed() => if rung.is_err() { break },
            () = floor.freed.notified() => {}
            () = tokio::time::sleep(floor.pause_after(began, next)) => {}
            () = floor.stopped() => {}
        }
    }
    for batch in floor.active() {
        floor.retire(&batch);
    }
}

async fn feed(floor: &Arc<Floor>, looked: &mut Instant) -> Result<()> {
    let store = &floor.services.store;
    if store.setting(PAUSED).await?.is_some_and(|value| value == [1]) {
        for batch in floor.active() {
            floor.retire(&batch);
        }
        return Ok(());
    }
    if looked.elapsed() >= floor.settings.look_every {
        *looked = Instant::now();
        look_after(floor).await?;
    }
    let away = floor.away();
    if away.as_ref().is_some_and(|(left, _)| !left.is_zero()) {
        return Ok(());
    }
    let active = floor.active();
    let free = CLAIMED.saturating_sub(active.len());
    if free == 0 {
        return Ok(());
    }
    let now = floor.services.now();
    let due = store.due_batches(now, LOOKED_AT).await?;
    if let Some((_, cause)) = away {
        // One batch is enough to see whether the relay is back. What is too old goes the same way, to be given up.
        let too_old = |batch: &DueBatch| (now - batch.due).to_std().unwrap_or_default() >= floor.settings.retry_for;
        let (old, rest): (Vec<_>, Vec<_>) = due.into_iter().partition(too_old);
        for batch in claim(floor, old).await? {
            give_up(floor, batch, &cause);
        }
        let probe = if active.is_empty() { choose(floor, rest, &active, 1) } else { Vec::new() };
        put_up(floor, claim(floor, probe).await?);
        return Ok(());
    }
    put_up(floor, claim(floor, choose(floor, due, &active, free)).await?);
    Ok(())
}

/// Ends what should not go on: leases near their end, recipients who were taken out of the queue.
async fn look_after(floor: &Arc<Floor>) -> Result<()> {
    for batch in floor.active() {
        let held = batch.began.elapsed();
        if held > floor.settings.lease.mul_f64(LEASE_USED) {
            floor.retire(&batch);
        } else if held > floor.settings.look_every {
            let rows = floor.services.store.batch(batch.claim.key).await?;
            floor.keep_only(&batch, |index| rows.get(usize::from(index)).is_some_and(|row| !row.state.is_final()));
        }
    }
    Ok(())
}

/// Which of the due batches to claim: posts with few claimed ones first, then the urgent, then the longest due.
fn choose(floor: &Floor, due: Vec<DueBatch>, active: &[Arc<ActiveBatch>], free: usize) -> Vec<DueBatch> {
    let table = floor.services.groups();
    let mut claimed: HashMap<PostId, usize> = HashMap::new();
    for batch in active {
        *claimed.entry(batch.claim.key.post).or_default() += 1;
    }
    let mut ranked: Vec<_> = due
        .into_iter()
        .filter_map(|batch| {
            let of_post = claimed.entry(batch.key.post).or_default();
            *of_post += 1;
            (*of_post <= claimed_of_a_post(&table, &floor.settings, &batch)).then_some((*of_post, batch.urgency, batch))
        })
        .collect();
    // The sort is stable: the longest due stay in front among equals.
    ranked.sort_by_key(|(of_post, urgency, _)| (*of_post, *urgency));
    ranked.into_iter().map(|(_, _, batch)| batch).take(free).collect()
}

/// Most recipients of the group who share a transaction; 1 where copies are personal.
fn together(table: &GroupTable, settings: &Settings, group: Option<&GroupCode>) -> u16 {
    let personal = group.and_then(|code| table.get(code)).is_none_or(|group| group.personal);
    if personal { 1 } else { u16::try_from(settings.recipients_a_transaction.max(1)).unwrap_or(u16::MAX) }
}

/// Most batches of the post of this one claimed at a time.
fn claimed_of_a_post(table: &GroupTable, settings: &Settings, batch: &DueBatch) -> usize {
    let transactions = BATCH_RECIPIENTS.div_ceil(usize::from(together(table, settings, Some(&batch.group))));
    (TRANSACTIONS_A_SESSION * settings.connections).div_ceil(transactions).clamp(CLAIMED_OF_A_POST, CLAIMED / 2)
}

async fn claim(floor: &Arc<Floor>, batches: Vec<DueBatch>) -> Result<Vec<(DueBatch, Claim, Instant)>> {
    let began = Instant::now();
    let (store, now, lease) = (&floor.services.store, floor.services.now(), floor.settings.lease);
    let asked = join_all(batches.iter().map(|batch| store.claim_batch(batch.key, now, lease))).await;
    let mut claims = Vec::with_capacity(batches.len());
    let mut failed = None;
    for (batch, answer) in batches.into_iter().zip(asked) {
        match answer {
            Ok(Claimed::Started(claim)) => claims.push((batch, *claim, began)),
            Ok(Claimed::InProgress | Claimed::Finished) => {}
            Err(error) => failed = Some(error),
        }
    }
    match failed {
        // Those that were claimed are worked on; the error will come again with the next look.
        Some(error) if claims.is_empty() => Err(error),
        _ => Ok(claims),
    }
}

fn put_up(floor: &Arc<Floor>, claims: Vec<(DueBatch, Claim, Instant)>) {
    let table = floor.services.groups();
    for (due, claim, began) in claims {
        let together = |group: u8| together(&table, &floor.settings, claim.post.groups.get(usize::from(group)));
        let open = (0_u16..).zip(&claim.recipients).filter(|(_, recipient)| !recipient.state.is_final());
        let open = open.map(|(index, recipient)| {
            let (group, edition) = (recipient.planned.group, recipient.planned.edition);
            Open { index, group, edition, together: together(group) }
        });
        let open: VecDeque<_> = open.collect();
        let batch = Arc::new(ActiveBatch::new(due, claim, began, open.len()));
        floor.add(&batch, open);
    }
}

/// Notes that a batch whose time is up failed for want of a relay.
fn give_up(floor: &Arc<Floor>, (due, claim, began): (DueBatch, Claim, Instant), cause: &str) {
    let open: Vec<u16> = (0_u16..).zip(&claim.recipients).filter(|(_, row)| !row.state.is_final()).map(|(index, _)| index).collect();
    let batch = Arc::new(ActiveBatch::new(due, claim, began, open.len()));
    let answer = RelayAnswer::LostBefore(cause.to_owned());
    let outcomes = open.into_iter().map(|index| floor.outcome(&batch, index, &answer)).collect();
    batch.note(floor, outcomes);
}
