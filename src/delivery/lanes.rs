//! Whose turn it is: a pure picture of the claimed batches, without a clock and without sockets.
//!
//! A lane holds what competes on equal terms: one group, one urgency, small or bulky messages. The lane that has used
//! least, by octets and recipients over its weight, has the next turn (stride scheduling, Waldspurger 1995); within a
//! lane posts take turns, and the batches of a post go one after the other, so that the outcomes of one batch gather in
//! few commits. A lane that was empty starts level with the others: nobody saves turns up.
//! The surprise: bulky messages never take all sessions, so a small post never waits for a large one to be written.

use std::collections::{BTreeMap, HashMap, VecDeque};

use crate::domain::group::GroupCode;
use crate::domain::id::PostId;
use crate::store::BatchKey;

/// From this size on a message is bulky.
pub const BULK_OCTETS: u64 = 1024 * 1024;
/// Octets that count as much as one recipient.
const OCTETS_A_RECIPIENT: u64 = 4 * 1024;
/// What a transaction counts by itself, in recipients.
const TRANSACTION: u64 = 2;
/// Turns per weight: robot mail, announcements and statements, discussion.
const WEIGHTS: [u64; 3] = [32, 8, 1];
/// Fixed-point unit of the used shares.
const UNIT: u64 = 1024;

/// One recipient still to be served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Open {
    /// Index in the batch.
    pub index: u16,
    /// Index of the group in the post.
    pub group: u8,
    /// Index of the edition in the post.
    pub edition: u8,
    /// Most recipients of its transaction; 1 where copies are personal.
    pub together: u16,
}

/// A claimed batch.
#[derive(Debug, Clone)]
pub struct Work {
    /// Which.
    pub key: BatchKey,
    /// First group of its post.
    pub group: GroupCode,
    /// Small number first.
    pub urgency: u8,
    /// Size of the message.
    pub octets: u64,
    /// Whom to serve.
    pub open: VecDeque<Open>,
}

/// One transaction to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    /// Of which batch.
    pub key: BatchKey,
    /// For whom; all of one group and edition, never empty.
    pub recipients: Vec<Open>,
    /// Is the message bulky? Then [`Lanes::bulk_done`] is due at its end.
    pub bulky: bool,
}

type LaneKey = (GroupCode, u8, bool);

#[derive(Debug, Default)]
struct Lane {
    /// Share used so far, in units.
    used: u64,
    posts: VecDeque<(PostId, VecDeque<Work>)>,
}

/// All claimed batches with open recipients.
#[derive(Debug)]
pub struct Lanes {
    by_key: BTreeMap<LaneKey, Lane>,
    batches: HashMap<BatchKey, LaneKey>,
    /// Share used by the lane that had the last turn.
    level: u64,
    bulk_running: usize,
    bulk_limit: usize,
}

impl Lanes {
    /// For that many sessions; a quarter of them, at least one, is kept free of bulky messages where there are two or more.
    pub fn new(connections: usize) -> Self {
        let reserve = (connections / 4).max(1);
        let bulk_limit = connections.saturating_sub(reserve).max(1);
        Self { by_key: BTreeMap::new(), batches: HashMap::new(), level: 0, bulk_running: 0, bulk_limit }
    }

    /// Adds a claimed batch; one without open recipients is passed over.
    pub fn add(&mut self, work: Work) {
        if work.open.is_empty() {
            return;
        }
        let key = (work.group.clone(), work.urgency, work.octets >= BULK_OCTETS);
        self.batches.insert(work.key, key.clone());
        let level = self.level;
        let lane = self.by_key.entry(key).or_insert_with(|| Lane { used: level, posts: VecDeque::new() });
        match lane.posts.iter_mut().find(|(post, _)| *post == work.key.post) {
            Some((_, batches)) => batches.push_back(work),
            None => lane.posts.push_back((work.key.post, VecDeque::from([work]))),
        }
    }

    /// Takes recipients of a turn back who were not tried; they are the first of their batch again.
    pub fn put_back(&mut self, work: Work) {
        let lane = self.batches.get(&work.key).and_then(|key| self.by_key.get_mut(key));
        let known = lane.and_then(|lane| lane.posts.iter_mut().flat_map(|(_, batches)| batches).find(|known| known.key == work.key));
        match known {
            Some(known) => work.open.into_iter().rev().for_each(|open| known.open.push_front(open)),
            None => self.add(work),
        }
    }

    /// The next transaction, if there is one that may start now.
    pub fn next(&mut self) -> Option<Turn> {
        let bulk_free = self.bulk_running < self.bulk_limit;
        let (key, lane) = self.by_key.iter_mut().filter(|(key, _)| bulk_free || !key.2).min_by_key(|(_, lane)| lane.used)?;
        let key = key.clone();
        self.level = lane.used;
        let (post, mut batches) = lane.posts.pop_front()?;
        let work = batches.front_mut()?;
        let recipients = take(&mut work.open);
        let turn = Turn { key: work.key, bulky: key.2, recipients };
        let cost = TRANSACTION + turn.recipients.len() as u64 + work.octets / OCTETS_A_RECIPIENT;
        lane.used += (cost * UNIT / WEIGHTS[usize::from(work.urgency).min(WEIGHTS.len() - 1)]).max(1);
        if work.open.is_empty() {
            self.batches.remove(&turn.key);
            batches.pop_front();
        }
        if !batches.is_empty() {
            lane.posts.push_back((post, batches));
        }
        if lane.posts.is_empty() {
            self.by_key.remove(&key);
        }
        if turn.bulky {
            self.bulk_running += 1;
        }
        Some(turn)
    }

    /// The transaction of a bulky turn has ended.
    pub fn bulk_done(&mut self) {
        self.bulk_running = self.bulk_running.saturating_sub(1);
    }

    /// Takes a batch out; returns those of it who were still to be served.
    pub fn remove(&mut self, key: BatchKey) -> Vec<Open> {
        let Some(lane_key) = self.batches.remove(&key) else { return Vec::new() };
        let mut open = Vec::new();
        if let Some(lane) = self.by_key.get_mut(&lane_key) {
            for (_, batches) in &mut lane.posts {
                if let Some(place) = batches.iter().position(|work| work.key == key) {
                    open.extend(batches.remove(place).into_iter().flat_map(|work| work.open));
                }
            }
            lane.posts.retain(|(_, batches)| !batches.is_empty());
            if lane.posts.is_empty() {
                self.by_key.remove(&lane_key);
            }
        }
        open
    }

    /// Takes out of a batch those for whom `keep` says no; returns how many that were.
    pub fn retain(&mut self, key: BatchKey, keep: impl Fn(u16) -> bool) -> usize {
        let Some(lane_key) = self.batches.get(&key) else { return 0 };
        let Some(lane) = self.by_key.get_mut(lane_key) else { return 0 };
        let Some(work) = lane.posts.iter_mut().flat_map(|(_, batches)| batches).find(|work| work.key == key) else { return 0 };
        let before = work.open.len();
        work.open.retain(|open| keep(open.index));
        let left = work.open.len();
        if left == 0 {
            self.remove(key);
        }
        before - left
    }

    /// Is there nothing to do?
    pub fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }
}

/// The recipients of one transaction: the first, and those right behind it who can share it.
fn take(open: &mut VecDeque<Open>) -> Vec<Open> {
    let Some(first) = open.pop_front() else { return Vec::new() };
    let mut taken = vec![first];
    while taken.len() < usize::from(first.together)
        && open.front().is_some_and(|next| (next.group, next.edition, next.together) == (first.group, first.edition, first.together))
    {
        taken.extend(open.pop_front());
    }
    taken
}

#[cfg(test)]
mod tests {
    use super::*;

    fn work(post: u64, number: u32, group: &str, urgency: u8, octets: u64, recipients: u16, together: u16) -> Work {
        let open = (0..recipients).map(|index| Open { index, group: 0, edition: 0, together }).collect();
        Work { key: BatchKey { post: PostId(post), number }, group: group.parse().unwrap(), urgency, octets, open }
    }

    fn posts(lanes: &mut Lanes, turns: usize) -> Vec<u64> {
        (0..turns).map_while(|_| lanes.next()).inspect(|turn| assert!(!turn.recipients.is_empty())).map(|turn| turn.key.post.0).collect()
    }

    #[test]
    fn groups_share_evenly_and_a_late_comer_saves_nothing_up() {
        let mut lanes = Lanes::new(8);
        lanes.add(work(1, 0, "SG12", 2, 4096, 250, 1));
        assert_eq!(posts(&mut lanes, 100).len(), 100);
        lanes.add(work(2, 0, "SG13", 2, 4096, 50, 1));
        let next = posts(&mut lanes, 20);
        let second = next.iter().filter(|&&post| post == 2).count();
        assert!((9..=11).contains(&second), "{next:?}");
    }

    #[test]
    fn robot_mail_and_announcements_overtake_a_discussion() {
        let mut lanes = Lanes::new(8);
        lanes.add(work(1, 0, "SG12", 2, 4096, 250, 1));
        posts(&mut lanes, 50);
        lanes.add(work(2, 0, "SG12", 1, 4096, 40, 1));
        lanes.add(work(3, 0, "SG13", 0, 4096, 1, 1));
        let next = posts(&mut lanes, 47);
        assert!(next[..3].contains(&3), "{next:?}");
        assert!(next.iter().filter(|&&post| post == 2).count() >= 38, "{next:?}");
        assert!(next.contains(&1), "a weight is no right to starve others: {next:?}");
    }

    #[test]
    fn posts_of_one_lane_take_turns_and_batches_of_a_post_follow_each_other() {
        let mut lanes = Lanes::new(8);
        lanes.add(work(1, 0, "SG12", 2, 100, 3, 1));
        lanes.add(work(1, 1, "SG12", 2, 100, 3, 1));
        lanes.add(work(2, 0, "SG12", 2, 100, 2, 1));
        let turns: Vec<_> = std::iter::from_fn(|| lanes.next()).map(|turn| (turn.key.post.0, turn.key.number)).collect();
        assert_eq!(turns, [(1, 0), (2, 0), (1, 0), (2, 0), (1, 0), (1, 1), (1, 1), (1, 1)]);
        assert!(lanes.is_empty());
    }

    #[test]
    fn a_bulky_post_leaves_sessions_to_small_ones() {
        let mut lanes = Lanes::new(4);
        lanes.add(work(1, 0, "SG12", 1, 10_000_000, 250, 1));
        assert_eq!(posts(&mut lanes, 10).len(), 3, "three of four sessions");
        lanes.add(work(2, 0, "SG12", 2, 3000, 2, 1));
        assert_eq!(posts(&mut lanes, 10), [2, 2]);
        lanes.bulk_done();
        assert_eq!(posts(&mut lanes, 10), [1]);
        let mut alone = Lanes::new(1);
        alone.add(work(1, 0, "SG12", 1, 10_000_000, 1, 1));
        assert_eq!(posts(&mut alone, 10), [1]);
    }

    #[test]
    fn a_transaction_holds_recipients_of_one_group_and_edition_up_to_its_limit() {
        let mut lanes = Lanes::new(4);
        let mut mixed = work(1, 0, "SG12", 2, 3000, 7, 3);
        mixed.open[4].edition = 1;
        lanes.add(mixed);
        let sizes: Vec<_> = std::iter::from_fn(|| lanes.next()).map(|turn| turn.recipients.len()).collect();
        assert_eq!(sizes, [3, 1, 1, 2]);
    }

    #[test]
    fn who_was_put_back_is_the_first_again() {
        let mut lanes = Lanes::new(4);
        lanes.add(work(1, 0, "SG12", 2, 3000, 2, 1));
        // Both while the batch is still up and when it had been emptied.
        for _ in 0..2 {
            let turn = lanes.next().unwrap();
            assert_eq!(turn.recipients[0].index, 0);
            lanes.put_back(Work { open: turn.recipients.into(), ..work(1, 0, "SG12", 2, 3000, 0, 1) });
        }
        let left: Vec<_> = std::iter::from_fn(|| lanes.next()).map(|turn| turn.recipients[0].index).collect();
        assert_eq!(left, [0, 1]);
        lanes.put_back(work(1, 0, "SG12", 2, 3000, 1, 1));
        assert_eq!(lanes.next().unwrap().recipients[0].index, 0);
    }

    #[test]
    fn who_is_taken_out_gets_no_turn() {
        let mut lanes = Lanes::new(4);
        lanes.add(work(1, 0, "SG12", 2, 3000, 4, 1));
        assert_eq!(lanes.retain(BatchKey { post: PostId(1), number: 0 }, |index| index != 2), 1);
        assert_eq!(lanes.next().unwrap().recipients[0].index, 0);
        let left: Vec<_> = lanes.remove(BatchKey { post: PostId(1), number: 0 }).iter().map(|open| open.index).collect();
        assert_eq!(left, [1, 3]);
        assert!(lanes.next().is_none() && lanes.is_empty());
    }
}
