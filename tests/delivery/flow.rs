//! From an accepted post to the relay: everyone has a state, nobody gets it twice, nobody waits for somebody else's post.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::TimeDelta;
use enlace::delivery::Settings;
use enlace::domain::id::AccountId;
use enlace::domain::ledger::{PlannedRecipient, RecipientState, RelayAnswer};
use enlace::domain::post::{Audience, PostKind, RoleAddress};
use enlace::domain::reason::{Reason, Rule};
use enlace::domain::subscription::{Role, Subscription};
use enlace::service::queue::PAUSED;
use enlace::smtp::relay::scripted::ScriptedRelay;
use enlace::store::BatchKey;

use crate::sink::{Act, Manner, Sink, Step};
use crate::world::{World, account, code, group, until, until_done};

fn recipient_of(argument: &str) -> &str {
    argument.trim_start_matches("TO:<").trim_end_matches('>')
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ten_thousand_copies_go_out_once_each_and_all_are_counted() {
    let world = World::new().await;
    world.group(group("SG12", true), 1..10_001).await;
    let sink = Sink::start(Manner::usual()).await;
    let delivery = world.deliver_to(sink.address).await;
    let post = world.post(&["SG12"], b"hello\r\n.\r\n").await;
    until_done(&world, post).await;
    let counts = world.counts(post).await;
    assert_eq!((counts.sent, counts.considered()), (10_000, 10_000));
    let recipients = sink.recipients();
    assert_eq!(recipients.len(), 10_000);
    assert_eq!(recipients.iter().collect::<HashSet<_>>().len(), 10_000);
    let senders: HashSet<_> = sink.taken().into_iter().map(|taken| taken.mail).collect();
    assert_eq!(senders.len(), 10_000, "each copy has its own reverse-path");
    assert!(sink.connections() <= 8);
    assert!(sink.taken()[0].message.ends_with(b"\r\n\r\nhello\r\n.\r\n"));
    delivery.stop().await;
}

#[tokio::test]
async fn many_recipients_share_a_transaction_where_copies_are_not_personal() {
    let world = World::new().await;
    world.group(group("SG12", false), 1..121).await;
    let manner = Manner::by(|moment| match (moment.step, recipient_of(&moment.argument)) {
        (Step::Rcpt, "reader000007@example.org") => Act::Say("550 5.1.1 gone".into()),
        _ => Act::Usual,
    });
    let sink = Sink::start(manner).await;
    let delivery = world.deliver_to(sink.address).await;
    let post = world.post(&["SG12"], b"hello\r\n").await;
    until_done(&world, post).await;
    let mut sizes: Vec<_> = sink.taken().iter().map(|taken| taken.recipients.len()).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [20, 49, 50]);
    assert!(sink.taken().iter().all(|taken| taken.mail.starts_with("MAIL FROM:<sg12-bounces@lists.example.org>")));
    let counts = world.counts(post).await;
    assert_eq!((counts.sent, counts.failed), (119, 1));
    delivery.stop().await;
}

/// What the sink does with a recipient at her first attempt.
fn fate(address: &str) -> &'static str {
    let number: u32 = address["reader".len()..]["000000".len() - 6..][..6].parse().unwrap();
    match number.wrapping_mul(2_654_435_761) % 100 {
        0..30 => "450",
        30..35 => "550",
        35..38 => "451 after data",
        38..40 => "554 after data",
        40 => "cut before the dot",
        41 => "cut after the dot",
        42 => "421",
        _ => "taken",
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_answer_of_the_relay_leads_to_the_right_state_of_each_recipient() {
    const READERS: u64 = 5_000;
    let world = World::new().await;
    world.group(group("SG12", true), 1..READERS + 1).await;
    let attempts: Arc<Mutex<HashMap<String, usize>>> = Arc::default();
    let seen = Arc::clone(&attempts);
    // The fate of a transaction is its only recipient's: sessions are told apart by their number.
    let of_session: Mutex<HashMap<usize, String>> = Mutex::default();
    let manner = Manner::by(move |moment| {
        if moment.step == Step::Rcpt {
            let address = recipient_of(&moment.argument).to_owned();
            *seen.lock().unwrap().entry(address.clone()).or_default() += 1;
            of_session.lock().unwrap().insert(moment.connection, address);
        }
        let Some(address) = of_session.lock().unwrap().get(&moment.connection).cloned() else { return Act::Usual };
        if seen.lock().unwrap()[&address] > 1 {
            return Act::Usual;
        }
        match (moment.step, fate(&address)) {
            (Step::Rcpt, "450") => Act::Say("450 4.2.0 greylisted".into()),
            (Step::Rcpt, "550") => Act::Say("550 5.1.1 no such user".into()),
            (Step::Rcpt, "421") => Act::SayAndClose("421 4.3.2 going down".into()),
            (Step::Dot, "451 after data") => Act::Say("451 4.3.0 disk full".into()),
            (Step::Dot, "554 after data") => Act::Say("554 5.7.1 spam".into()),
            (Step::Data, "cut before the dot") | (Step::Dot, "cut after the dot") => Act::Close,
            _ => Act::Usual,
        }
    });
    let sink = Sink::start(manner).await;
    let delivery = world.deliver_to(sink.address).await;
    let post = world.post(&["SG12"], b"hello\r\n").await;
    until("nobody is planned any more", || async {
        let counts = world.counts(post).await;
        (counts.planned == 0 && counts.considered() == READERS).then_some(())
    })
    .await;
    for row in world.rows(post).await {
        let (state, reply) = match fate(&row.planned.address) {
            "taken" => (RecipientState::Sent, "250 2.0.0 taken"),
            "450" => (RecipientState::Deferred, "450 4.2.0 greylisted"),
            "550" => (RecipientState::Failed, "550 5.1.1 no such user"),
            "451 after data" => (RecipientState::Deferred, "451 4.3.0 disk full"),
            "554 after data" => (RecipientState::Failed, "554 5.7.1 spam"),
            "421" => (RecipientState::Deferred, "421 4.3.2 going down"),
            "cut after the dot" => (RecipientState::Deferred, "the relay closed the connection after the final dot"),
            // A session that had carried mail before may have been closed for that; such a copy is sent again at once.
            "cut before the dot" if row.state == RecipientState::Sent => (RecipientState::Sent, "250 2.0.0 taken"),
            "cut before the dot" => (RecipientState::Deferred, "the relay closed the connection at DATA"),
            other => panic!("{other}"),
        };
        assert_eq!(row.state, state, "{row:?}");
        assert_eq!(row.attempts.len(), 1, "{row:?}");
        assert_eq!(row.attempts[0].reply, reply, "{row:?}");
    }
    world.clock.advance(TimeDelta::minutes(2));
    until_done(&world, post).await;
    let counts = world.counts(post).await;
    let refused = (1..=READERS).filter(|number| matches!(fate(&format!("reader{number:06}")), "550" | "554 after data")).count() as u64;
    let cut = (1..=READERS).filter(|number| fate(&format!("reader{number:06}")) == "cut after the dot").count();
    assert_eq!((counts.failed, counts.sent, counts.considered()), (refused, READERS - refused, READERS));
    let mut copies: BTreeMap<String, usize> = BTreeMap::new();
    for recipient in sink.recipients() {
        *copies.entry(recipient).or_default() += 1;
    }
    for (address, copies) in &copies {
        assert!(*copies == 1 || (*copies == 2 && fate(address) == "cut after the dot"), "{address}: {copies}");
    }
    assert_eq!(copies.values().sum::<usize>() as u64, counts.sent + cut as u64);
    for (address, attempts) in attempts.lock().unwrap().iter() {
        if matches!(fate(address), "550" | "554 after data") {
            assert_eq!(*attempts, 1, "{address} was refused and tried again");
        }
    }
    delivery.stop().await;
}

#[tokio::test]
async fn a_transient_failure_is_tried_with_growing_pauses_and_given_up_only_after_its_time() {
    let mut world = World::new().await;
    world.settings.retry_for = Duration::from_hours(3);
    world.group(group("SG12", true), 1..2).await;
    let relay = ScriptedRelay::answering(|_, _| RelayAnswer::Later("450 4.2.0 later".into()));
    let delivery = world.deliver(Arc::new(relay.clone())).await;
    let post = world.post(&["SG12"], b"hello\r\n").await;
    let row = || async { world.rows(post).await.pop().filter(|row| row.state != RecipientState::Planned) };
    let mut minutes = 0;
    let mut tries = Vec::new();
    until("the first attempt", row).await;
    loop {
        let before = until("an attempt is noted", row).await;
        if before.state == RecipientState::Failed {
            break;
        }
        assert_eq!(before.state, RecipientState::Deferred);
        // Until then the next time is the end of the lease.
        until("the batch is given back", || async { (delivery.health().claimed == 0).then_some(()) }).await;
        let due = until("the next attempt has its time", || async { world.store.next_due_time().await.unwrap() }).await;
        assert!(due > world.clock.now(), "due at {due}");
        let wait = due - world.clock.now();
        tries.push(wait.num_seconds());
        world.clock.advance(wait);
        minutes += wait.num_minutes();
        assert!(minutes < 24 * 60, "never given up: {tries:?}");
        until("the next attempt", || async { row().await.filter(|row| row.attempts.len() > before.attempts.len()) }).await;
    }
    assert!(tries.windows(2).all(|pair| pair[1] > pair[0]), "{tries:?}");
    let given_up = world.clock.now() - crate::world::start_time();
    assert!(given_up >= TimeDelta::hours(3), "given up after {given_up}");
    assert_eq!(relay.count(), tries.len() + 1);
    until_done(&world, post).await;
    delivery.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_small_post_does_not_wait_for_a_huge_and_slow_one() {
    let world = World::new().await;
    world.group(group("SG12", true), 1..501).await;
    world.group(group("SG13", true), 501..511).await;
    let manner = Manner::by(|moment| {
        let bulky = recipient_of(&moment.argument) < "reader000501";
        if moment.step == Step::Dot && bulky { Act::Slowly(Duration::from_millis(200)) } else { Act::Usual }
    });
    let sink = Sink::start(manner).await;
    let delivery = world.deliver_to(sink.address).await;
    let huge = world.post(&["SG12"], &b"a line of some length that is repeated\r\n".repeat(60_000)).await;
    until("the huge one has begun", || async { (sink.count() > 10).then_some(()) }).await;
    let begun = tokio::time::Instant::now();
    let small = world.post(&["SG13"], b"hello\r\n").await;
    until_done(&world, small).await;
    let took = begun.elapsed();
    assert!(world.counts(huge).await.planned > 300, "the huge one is still under way");
    assert!(took < Duration::from_secs(5), "{took:?}");
    delivery.stop().await;
    assert!(world.counts(huge).await.considered() == 500);
}

#[tokio::test]
async fn while_the_queue_is_paused_nothing_is_sent() {
    let world = World::new().await;
    world.group(group("SG12", true), 1..31).await;
    world.store.put_setting(PAUSED, vec![1]).await.unwrap();
    let relay = ScriptedRelay::new();
    let delivery = world.deliver(Arc::new(relay.clone())).await;
    let post = world.post(&["SG12"], b"hello\r\n").await;
    until("it is planned", || async { (world.counts(post).await.planned == 30).then_some(()) }).await;
    // Several looks go by.
    tokio::time::sleep(world.settings.look_every * 5).await;
    assert_eq!(relay.opened(), 0);
    world.store.put_setting(PAUSED, vec![0]).await.unwrap();
    until_done(&world, post).await;
    assert_eq!(relay.count(), 30);
    delivery.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_stop_in_the_middle_repeats_nothing_and_loses_nothing() {
    let mut world = World::new().await;
    world.settings = Settings { connections: 4, ..world.settings };
    world.group(group("SG12", true), 1..2001).await;
    let sink = Sink::start(Manner::usual()).await;
    let post = world.post(&["SG12"], b"hello\r\n").await;
    let mut before = 0;
    loop {
        let delivery = world.deliver_to(sink.address).await;
        until("some more have gone out", || async { (sink.count() > before + 100 || world.is_done(post).await).then_some(()) }).await;
        delivery.stop().await;
        let counts = world.counts(post).await;
        before = sink.count();
        assert_eq!(counts.sent, before as u64, "what the sink has is what the ledger says");
        assert_eq!(counts.considered(), 2000);
        if counts.open() == 0 {
            break;
        }
    }
    assert_eq!(before, 2000);
    assert_eq!(sink.recipients().iter().collect::<HashSet<_>>().len(), 2000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_relay_that_is_away_defers_and_costs_few_attempts() {
    let world = World::new().await;
    world.group(group("SG12", true), 1..1001).await;
    let relay = ScriptedRelay::new();
    relay.set_away(true);
    let delivery = world.deliver(Arc::new(relay.clone())).await;
    let post = world.post(&["SG12"], b"hello\r\n").await;
    until("the first have been deferred", || async { (world.counts(post).await.deferred > 0).then_some(()) }).await;
    assert!(delivery.health().relay_away.is_some());
    let row = world.rows(post).await.into_iter().find(|row| row.state == RecipientState::Deferred).unwrap();
    assert_eq!(row.attempts[0].reply, "the relay scripted cannot be reached: away");
    assert!(relay.opened() < 10, "{} attempts to open a session", relay.opened());
    relay.set_away(false);
    until_done(&world, post).await;
    assert_eq!(world.counts(post).await.sent, 1000, "those deferred need not wait for their time");
    assert_eq!(delivery.health().relay_away, None);
    delivery.stop().await;
}

#[tokio::test]
async fn one_person_gets_one_copy_over_all_groups_and_over_posts_of_one_message() {
    let world = World::new().await;
    world.group(group("SG12", true), 1..11).await;
    world.group(group("SG13", true), 6..16).await;
    world.group(group("SG17", true), 11..21).await;
    let relay = ScriptedRelay::new();
    let delivery = world.deliver(Arc::new(relay.clone())).await;
    let together = world.keep(&["SG12", "SG13"], PostKind::Discussion, Some("one@example.org"), Audience::Subscribers, b"x\r\n").await;
    until_done(&world, together).await;
    let counts = world.counts(together).await;
    assert_eq!((counts.sent, counts.suppressed), (15, 5));
    let later = world.keep(&["SG17"], PostKind::Discussion, Some("one@example.org"), Audience::Subscribers, b"x\r\n").await;
    until_done(&world, later).await;
    let counts = world.counts(later).await;
    assert_eq!((counts.sent, counts.suppressed), (5, 5));
    let reasons: HashSet<_> = world.rows(later).await.into_iter().map(|row| row.planned.reason.rule).collect();
    assert_eq!(reasons, HashSet::from([Rule::Subscriber, Rule::DuplicateOf]));
    assert_eq!(relay.given().iter().map(|copy| &copy.recipient).collect::<HashSet<_>>().len(), 20);
    assert_eq!(relay.count(), 20);
    // Another message reaches all.
    let other = world.post(&["SG17"], b"x\r\n").await;
    until_done(&world, other).await;
    assert_eq!(world.counts(other).await.sent, 10);
    delivery.stop().await;
}

#[tokio::test]
async fn a_list_of_recipients_is_served_as_it_is() {
    let world = World::new().await;
    world.group(group("SG12", true), 1..2).await;
    let relay = ScriptedRelay::new();
    let delivery = world.deliver(Arc::new(relay.clone())).await;
    let listed = |address: &str, state| PlannedRecipient {
        address: address.into(),
        account: None,
        group: 0,
        edition: 0,
        state,
        reason: Reason::new(Rule::RobotMail, ["an answer"]),
    };
    let audience = Audience::Listed(vec![
        listed("ana@example.org", RecipientState::Planned),
        listed("ben@example.org", RecipientState::Suppressed),
        listed("not an address", RecipientState::Planned),
    ]);
    let post = world.keep(&["SG12"], PostKind::Robot, None, audience, b"x\r\n").await;
    let nobody = world.keep(&["SG12"], PostKind::Robot, None, Audience::Listed(Vec::new()), b"x\r\n").await;
    until_done(&world, post).await;
    until_done(&world, nobody).await;
    let counts = world.counts(post).await;
    assert_eq!((counts.sent, counts.suppressed), (2, 1));
    delivery.stop().await;
}

#[tokio::test]
async fn mail_to_a_role_goes_to_whoever_has_it_when_it_goes_out() {
    let world = World::new().await;
    world.group(group("SG12", true), 1..4).await;
    world.group(group("SG13", true), 4..5).await;
    let role = async |number: u64, role| {
        let one = world.store.subscription(&code("SG12"), AccountId(number)).await.unwrap().unwrap();
        world.store.put_subscriptions(vec![Subscription { role, ..one }]).await.unwrap();
    };
    let before = |number: u64| {
        let reason = Reason::new(Rule::ChairmanCopy, ["SG12"]);
        let (address, account) = (account(number).address().to_string(), Some(AccountId(number)));
        PlannedRecipient { address, account, group: 0, edition: 0, state: RecipientState::Planned, reason }
    };
    // Reader 1 managed the group when the mail was accepted, and reader 2 does now.
    role(2, Role::Manager).await;
    let relay = ScriptedRelay::new();
    let to = |number| Audience::Role(RoleAddress::Managers, vec![before(number)]);
    let changed = world.keep(&["SG12"], PostKind::Owner, None, to(1), b"hello\r\n").await;
    // Nobody manages this one any more: those of then get it, so that nothing is lost.
    let left = world.keep(&["SG13"], PostKind::Owner, None, to(4), b"hello\r\n").await;
    let delivery = world.deliver(Arc::new(relay.clone())).await;
    for (post, number) in [(changed, 2), (left, 4)] {
        until_done(&world, post).await;
        let rows = world.store.batch(BatchKey { post, number: 0 }).await.unwrap();
        let who: Vec<_> = rows.iter().map(|row| (row.planned.address.clone(), row.state)).collect();
        assert_eq!(who, [(account(number).address().to_string(), RecipientState::Sent)]);
    }
    delivery.stop().await;
}

#[tokio::test]
async fn a_post_without_readable_bytes_is_set_aside_and_holds_nobody_up() {
    let world = World::new().await;
    world.group(group("SG12", true), 1..4).await;
    let relay = ScriptedRelay::new();
    let delivery = world.deliver(Arc::new(relay.clone())).await;
    let listed = |edition| PlannedRecipient {
        address: "ana@example.org".into(),
        account: None,
        group: 0,
        edition,
        state: RecipientState::Planned,
        reason: Reason::new(Rule::RobotMail, ["an answer"]),
    };
    let broken = world.keep(&["SG12"], PostKind::Robot, None, Audience::Listed(vec![listed(7)]), b"x\r\n").await;
    until_done(&world, broken).await;
    let row = world.rows(broken).await.remove(0);
    assert_eq!(row.state, RecipientState::Failed);
    assert!(row.attempts[0].reply.contains("it has no edition 7"), "{row:?}");
    let post = world.post(&["SG12"], b"x\r\n").await;
    until_done(&world, post).await;
    assert_eq!(relay.count(), 3);
    delivery.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_is_taken_out_of_the_queue_gets_nothing_more() {
    let mut world = World::new().await;
    world.settings = Settings { connections: 2, ..world.settings };
    world.group(group("SG12", true), 1..201).await;
    let manner = Manner::by(|moment| if moment.step == Step::Dot { Act::Slowly(Duration::from_millis(20)) } else { Act::Usual });
    let sink = Sink::start(manner).await;
    let delivery = world.deliver_to(sink.address).await;
    let post = world.post(&["SG12"], b"x\r\n").await;
    until("it has begun", || async { (sink.count() > 4).then_some(()) }).await;
    let dropped = world.store.drop_open(post, world.clock.now(), "taken out".into()).await.unwrap();
    assert!(dropped > 50, "{dropped}");
    until("what was claimed has ended", || async { (delivery.health().claimed == 0).then_some(()) }).await;
    delivery.stop().await;
    let counts = world.counts(post).await;
    assert_eq!(counts.considered(), 200);
    assert_eq!(counts.sent, sink.count() as u64);
    assert!(counts.suppressed > 50, "{counts:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn large_bodies_are_shared_and_bounded() {
    let mut world = World::new().await;
    world.settings = Settings { connections: 8, ..world.settings };
    world.group(group("SG12", true), 1..9).await;
    let relay = ScriptedRelay::new();
    let delivery = world.deliver(Arc::new(relay.clone())).await;
    // More in all than may be in memory at a time: each has to make room for the next.
    let mut posts = Vec::new();
    for _ in 0..6 {
        posts.push(world.post(&["SG12"], &b"a line of some length that is repeated\r\n".repeat(500_000)).await);
    }
    for post in posts {
        until_done(&world, post).await;
        assert_eq!(world.counts(post).await.sent, 8);
    }
    delivery.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_post_behind_hundreds_of_batches_is_seen_and_served() {
    let mut world = World::new().await;
    world.settings = Settings { connections: 2, ..world.settings };
    world.group(group("SG12", true), 1..6001).await;
    world.group(group("SG13", true), 6001..6003).await;
    world.store.put_setting(PAUSED, vec![1]).await.unwrap();
    let manner = Manner::by(|moment| if moment.step == Step::Dot { Act::Slowly(Duration::from_millis(5)) } else { Act::Usual });
    let sink = Sink::start(manner).await;
    let delivery = world.deliver_to(sink.address).await;
    let huge = world.post(&["SG12"], b"x\r\n").await;
    until("the huge one is planned", || async { (world.counts(huge).await.planned == 6000).then_some(()) }).await;
    world.clock.advance(TimeDelta::seconds(1));
    let small = world.post(&["SG13"], b"x\r\n").await;
    until("the small one is planned", || async { (world.counts(small).await.planned == 2).then_some(()) }).await;
    let due = world.store.due_batches(world.clock.now(), 20).await.unwrap();
    assert!(due.iter().any(|batch| batch.key.post == small), "{due:?}");
    world.store.put_setting(PAUSED, vec![0]).await.unwrap();
    until_done(&world, small).await;
    assert!(world.counts(huge).await.planned > 5000);
    delivery.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_relay_that_takes_few_sessions_is_not_taken_for_one_that_is_away() {
    let world = World::new().await;
    world.group(group("SG12", true), 1..601).await;
    let manner = Manner::by(|moment| match (moment.step, moment.connection) {
        (Step::Greeting, 3..) => Act::SayAndClose("421 4.7.0 too many connections".into()),
        (Step::Dot, _) => Act::Slowly(Duration::from_millis(1)),
        _ => Act::Usual,
    });
    let sink = Sink::start(manner).await;
    let delivery = world.deliver_to(sink.address).await;
    let post = world.post(&["SG12"], b"x\r\n").await;
    // The clock stands still: whoever was deferred would not go out.
    until_done(&world, post).await;
    assert_eq!(world.counts(post).await.sent, 600);
    assert!(world.rows(post).await.iter().all(|row| row.attempts.len() == 1 || row.attempts.is_empty()));
    delivery.stop().await;
    assert_eq!(sink.count(), 600);
}

#[test]
fn a_crash_repeats_at_most_what_was_on_the_wire() {
    const CONNECTIONS: usize = 4;
    let outside = tokio::runtime::Runtime::new().unwrap();
    let sink = outside.block_on(Sink::start(Manner::usual()));
    let folder = tempfile::tempdir().unwrap();
    let mut crashes = 0;
    let mut post = None;
    loop {
        // Each life has a runtime of its own, which is dropped in the middle of everything.
        let life = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
        let before = sink.count();
        let done = life.block_on(async {
            let mut world = World::open(folder.path()).await;
            world.settings = Settings { connections: CONNECTIONS, ..world.settings };
            let id = if let Some(id) = post {
                id
            } else {
                world.group(group("SG12", true), 1..2001).await;
                world.post(&["SG12"], b"hello\r\n").await
            };
            post = Some(id);
            let delivery = world.deliver_to(sink.address).await;
            until("some more have gone out", || async { (sink.count() > before + 150 || world.is_done(id).await).then_some(()) }).await;
            let done = world.is_done(id).await;
            if done {
                assert_eq!(world.counts(id).await.sent, 2000);
                delivery.stop().await;
            }
            done
        });
        life.shutdown_timeout(Duration::from_secs(5));
        if done {
            break;
        }
        crashes += 1;
    }
    let recipients = sink.recipients();
    let repeats = recipients.len() - 2000;
    assert_eq!(recipients.iter().collect::<HashSet<_>>().len(), 2000, "nobody is left out");
    assert!(crashes > 3, "{crashes} crashes");
    assert!(repeats <= crashes * CONNECTIONS, "{repeats} copies too many after {crashes} crashes");
}
