//! Random verbs against a model that is a plain map: states, attempts, claims and counts agree after every step.

use std::collections::BTreeMap;
use std::time::Duration;

use enlace::domain::id::PostId;
use enlace::domain::ledger::{Counts, RecipientState};
use enlace::domain::post::PostState;
use enlace::store::{BatchKey, Claimed, LedgerKey, Store};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::Factory;
use crate::samples::{outcome, planned, seconds, t0};

const SIZE: u16 = 3;
const BATCHES: u32 = 2;
const POSTS: usize = 2;

#[derive(Debug, Clone)]
enum Act {
    Claim { batch: (usize, u32) },
    Note { batch: (usize, u32), index: u16, state: RecipientState },
    Settle { batch: (usize, u32), wait: i64 },
    Amend { batch: (usize, u32), index: u16 },
    Drop { post: usize },
    Hasten,
    Pass { seconds: i64 },
    OpenAgain,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let batch = || (0..POSTS, 0..BATCHES);
    let state = prop_oneof![Just(RecipientState::Sent), Just(RecipientState::Deferred), Just(RecipientState::Failed)];
    let act = prop_oneof![
        6 => batch().prop_map(|batch| Act::Claim { batch }),
        8 => (batch(), 0..SIZE, state).prop_map(|(batch, index, state)| Act::Note { batch, index, state }),
        4 => (batch(), 0..100_i64).prop_map(|(batch, wait)| Act::Settle { batch, wait }),
        1 => (batch(), 0..SIZE).prop_map(|(batch, index)| Act::Amend { batch, index }),
        1 => (0..POSTS).prop_map(|post| Act::Drop { post }),
        1 => Just(Act::Hasten),
        4 => (1..80_i64).prop_map(|seconds| Act::Pass { seconds }),
        1 => Just(Act::OpenAgain),
    ];
    prop::collection::vec(act, 1..60)
}

#[derive(Default)]
struct Model {
    recipients: BTreeMap<(usize, u32, u16), (Vec<RecipientState>, RecipientState)>,
}

impl Model {
    fn note(&mut self, place: (usize, u32, u16), state: RecipientState, decided: bool) {
        let (attempts, present) = self.recipients.get_mut(&place).unwrap();
        attempts.push(state);
        let is_open = matches!(present, RecipientState::Planned | RecipientState::Deferred);
        if decided || is_open || (state == RecipientState::Sent && *present != RecipientState::Bounced) {
            *present = state;
        }
    }

    fn counts(&self, post: usize) -> Counts {
        let mut counts = Counts::default();
        for (_, (_, state)) in self.recipients.iter().filter(|((of, ..), _)| *of == post) {
            *counts.of(*state) += 1;
        }
        counts
    }

    async fn check(&self, store: &dyn Store, posts: &[PostId]) {
        let mut total = Counts::default();
        for (at, id) in posts.iter().enumerate() {
            assert_eq!(store.counts(*id).await.unwrap(), self.counts(at));
            total.add(&self.counts(at));
            for number in 0..BATCHES {
                let found = store.batch(BatchKey { post: *id, number }).await.unwrap();
                for (index, recipient) in (0_u16..).zip(&found) {
                    let (attempts, state) = &self.recipients[&(at, number, index)];
                    assert_eq!(recipient.state, *state);
                    let kept: Vec<_> = recipient.attempts.iter().map(|attempt| attempt.state).collect();
                    assert!(attempts.len() > 20 || kept == *attempts);
                }
            }
            if self.counts(at).open() > 0 {
                assert_eq!(store.post(*id).await.unwrap().unwrap().state, PostState::Planned, "somebody is open");
            }
        }
        assert_eq!(store.total_counts().await.unwrap(), total);
    }
}

async fn play(factory: &dyn Factory, acts: Vec<Act>) {
    let mut store = factory.open().await;
    let mut posts = Vec::new();
    let mut model = Model::default();
    let before = store.total_counts().await.unwrap();
    assert_eq!(before, Counts::default());
    for post in 0..POSTS {
        posts.push(planned(&*store, "SG12", &[SIZE.into(); BATCHES as usize]).await);
        for number in 0..BATCHES {
            for index in 0..SIZE {
                model.recipients.insert((post, number, index), (Vec::new(), RecipientState::Planned));
            }
        }
    }
    let mut now = 0;
    let mut holders = BTreeMap::new();
    for act in acts {
        match act {
            Act::Claim { batch: (post, number) } => {
                let key = BatchKey { post: posts[post], number };
                let open = (0..SIZE)
                    .any(|index| matches!(model.recipients[&(post, number, index)].1, RecipientState::Planned | RecipientState::Deferred));
                match store.claim_batch(key, t0() + seconds(now), Duration::from_secs(30)).await.unwrap() {
                    Claimed::Started(claim) => {
                        assert!(open, "nobody is open in it");
                        holders.insert((post, number), claim.holder);
                    }
                    Claimed::InProgress => {}
                    Claimed::Finished => assert!(!open, "somebody is open in it"),
                }
            }
            Act::Note { batch: (post, number), index, state } => {
                let key = BatchKey { post: posts[post], number };
                let holder = holders.get(&(post, number)).copied().unwrap_or(0);
                store.record_outcomes(key, holder, vec![outcome(index, state)]).await.unwrap();
                model.note((post, number, index), state, false);
            }
            Act::Settle { batch: (post, number), wait } => {
                let holder = holders.get(&(post, number)).copied().unwrap_or(0);
                store.settle_batch(BatchKey { post: posts[post], number }, holder, t0() + seconds(now + wait)).await.unwrap();
            }
            Act::Amend { batch: (post, number), index } => {
                let key = LedgerKey { batch: BatchKey { post: posts[post], number }, index };
                assert!(store.amend_recipient(key, RecipientState::Bounced, t0(), "550".into()).await.unwrap());
                model.note((post, number, index), RecipientState::Bounced, true);
            }
            Act::Drop { post } => {
                let open: Vec<_> = model
                    .recipients
                    .iter()
                    .filter(|((of, ..), (_, state))| *of == post && !state.is_final())
                    .map(|(place, _)| *place)
                    .collect();
                assert_eq!(store.drop_open(posts[post], t0(), "dropped".into()).await.unwrap(), open.len() as u64);
                for place in open {
                    model.note(place, RecipientState::Suppressed, true);
                }
            }
            Act::Hasten => drop(store.hasten(None, t0() + seconds(now)).await.unwrap()),
            Act::Pass { seconds } => now += seconds,
            Act::OpenAgain => {
                drop(store);
                store = factory.open().await;
                holders.clear();
            }
        }
        model.check(&*store, &posts).await;
    }
    // Whatever happened, everybody open can be found and finished.
    now += 1000;
    for _ in 0..3 {
        for batch in store.due_batches(t0() + seconds(now), 100).await.unwrap() {
            if let Claimed::Started(claim) = store.claim_batch(batch.key, t0() + seconds(now), Duration::from_secs(30)).await.unwrap() {
                let all = (0..SIZE).map(|index| outcome(index, RecipientState::Sent)).collect();
                store.record_outcomes(batch.key, claim.holder, all).await.unwrap();
                store.settle_batch(batch.key, claim.holder, t0()).await.unwrap();
            }
        }
    }
    assert_eq!(store.total_counts().await.unwrap().open(), 0);
    for id in posts {
        assert_eq!(store.post(id).await.unwrap().unwrap().state, PostState::Done);
    }
}

pub async fn random_verbs_agree_with_a_simple_model(factory: &dyn Factory) {
    let mut runner = TestRunner::deterministic();
    for _ in 0..12 {
        let acts = acts().new_tree(&mut runner).unwrap().current();
        // The posts of the former run are done; their counts stay, so each run gets a fresh set of data.
        play(&*factory.fresh(), acts).await;
    }
}
