//! What must be true at every step, judged from the record and from what the relay took, not from what the engine says.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use enlace::domain::group::{
    ArchiveAccess, Group, GroupCode, GroupKind, GuestLiaison, GuestPolicy, MissingEdition, NonmemberPolicy, ParticipationPolicy,
    SubscriptionPolicy,
};
use enlace::domain::language::{Language, Localized};
use enlace::domain::ledger::RecipientState;
use enlace::domain::post::PostState;

use crate::world::World;

pub fn group(code: GroupCode) -> Group {
    Group {
        list: code.as_str().to_lowercase(),
        code,
        kind: GroupKind::Study,
        parent: None,
        region: None,
        languages: vec![Language::ENGLISH],
        name: Localized::default(),
        timezone: chrono_tz::Tz::UTC,
        subscription: SubscriptionPolicy::Open,
        guests: GuestPolicy::Open,
        participation: ParticipationPolicy::Standard,
        nonmember: NonmemberPolicy::Reject,
        guest_liaison: GuestLiaison::Full,
        missing_edition: MissingEdition::Send,
        secretariat: Vec::new(),
        contact: None,
        supporting_members: Vec::new(),
        grace: Duration::ZERO,
        personal: true,
        footer: None,
        archive: ArchiveAccess::Members,
        archive_keep: Duration::ZERO,
        aliases: Vec::new(),
        house: enlace::domain::house::HouseRules::default(),
        monthly_reminder: false,
        retired: false,
        parent_must_endorse: false,
        meetings: enlace::domain::meeting::OwnLeadTimes::default(),
    }
}

/// After every step.
pub fn look(world: &World) -> Result<(), String> {
    let data = world.data.lock().unwrap();
    let taken = world.taken.lock().unwrap();
    if let Some(text) = &data.doubled {
        return Err(text.clone());
    }
    for (message_id, id) in world.accepted.lock().unwrap().iter() {
        let post = data.posts.get(id).ok_or_else(|| format!("{message_id} was answered 250 and is lost"))?;
        if !post.editions.iter().all(|edition| data.bodies.contains_key(&edition.body.key)) {
            return Err(format!("{message_id} was answered 250 and its body is lost"));
        }
    }
    let mut planned: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (key, batch) in &data.batches {
        planned.entry(key.post).or_default().extend(&batch.recipients);
    }
    for (id, post) in data.posts.iter().filter(|(_, post)| matches!(post.state, PostState::Planned | PostState::Done)) {
        let rows = planned.get(id).map(Vec::as_slice).unwrap_or_default();
        let addresses: BTreeSet<_> = rows.iter().map(|row| row.planned.address.as_str()).collect();
        if rows.len() != world.members.len() || addresses.len() != rows.len() {
            return Err(format!("{} members were considered for {}, of {}", rows.len(), post.message_id, world.members.len()));
        }
        if post.state == PostState::Done && rows.iter().any(|row| !row.state.is_final()) {
            return Err(format!("{} is done and somebody is open", post.message_id));
        }
        for row in rows {
            let copies = taken.copies.get(&(post.message_id.clone(), row.planned.address.clone())).copied().unwrap_or(0);
            if row.state == RecipientState::Sent && copies == 0 {
                return Err(format!("{} is told to have got {} and did not", row.planned.address, post.message_id));
            }
        }
    }
    let repeats: u64 = taken.copies.values().map(|count| u64::from(count - 1)).sum();
    drop((data, taken));
    let bound = world.bound();
    if repeats > bound { Err(format!("{repeats} repeats, {bound} are the most")) } else { Ok(()) }
}

/// When no fault is left and time enough has passed.
pub fn end(world: &mut World) -> Result<(), String> {
    let bound = world.bound();
    let data = world.data.lock().unwrap();
    let taken = world.taken.lock().unwrap();
    for (message_id, id) in world.accepted.lock().unwrap().iter() {
        if data.posts[id].state != PostState::Done {
            let open: Vec<_> = data.batches.iter().filter(|(key, _)| key.post == *id).map(|(key, batch)| batch.told(key.number)).collect();
            let now = data.told_now();
            return Err(format!("{message_id} is not done in the end but {} at {now}: {open:?}", data.posts[id].state.as_str()));
        }
        for address in &world.members {
            let got = taken.copies.contains_key(&(message_id.clone(), address.clone()));
            let refused = || {
                let rows = data.batches.iter().filter(|(key, _)| key.post == *id).flat_map(|(_, batch)| &batch.recipients);
                rows.filter(|row| row.planned.address == *address).any(|row| row.state == RecipientState::Failed)
            };
            if !got && !refused() {
                return Err(format!("{address} never got {message_id}"));
            }
        }
    }
    let told = &mut world.told;
    told.posts = data.posts.len() as u64;
    told.copies = taken.copies.values().map(|count| u64::from(*count)).sum();
    told.repeats = told.copies - taken.copies.len() as u64;
    told.bound = bound;
    told.failures = data.failures.into();
    told.lost_answers = data.lost_answers.into();
    told.lies = taken.lies.into();
    told.strays = taken.strays;
    Ok(())
}
