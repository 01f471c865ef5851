//! Marks, counters, settings, requests, audit, registers.

use enlace::domain::id::RequestId;
use enlace::store::{AuditEntry, Request};

use super::Factory;
use crate::samples::{address, code, seconds, t0};

pub async fn of_many_callers_one_is_first(factory: &dyn Factory) {
    let store = factory.open().await;
    for round in 0..5 {
        let callers: Vec<_> = (0..32)
            .map(|_| {
                let store = store.clone();
                tokio::spawn(async move { store.claim_once("token", &format!("t{round}"), t0()).await.unwrap() })
            })
            .collect();
        let mut first = 0;
        for caller in callers {
            first += u32::from(caller.await.unwrap());
        }
        assert_eq!(first, 1);
    }
    assert_eq!(store.claimed_at("token", "t1").await.unwrap(), Some(t0()));
    assert_eq!(store.claimed_at("token", "t9").await.unwrap(), None);
    drop(store);
    assert!(!factory.open().await.claim_once("token", "t1", t0() + seconds(9)).await.unwrap());
}

pub async fn old_marks_are_forgotten(factory: &dyn Factory) {
    let store = factory.open().await;
    for at in 0..20 {
        assert!(store.claim_once("notice", &format!("n{at}"), t0() + seconds(at)).await.unwrap());
    }
    assert!(store.claim_once("job", "digest", t0()).await.unwrap());
    assert_eq!(store.forget_marks("notice", t0() + seconds(15)).await.unwrap(), 15);
    assert_eq!(store.claimed_at("notice", "n14").await.unwrap(), None);
    assert_eq!(store.claimed_at("notice", "n15").await.unwrap(), Some(t0() + seconds(15)));
    assert_eq!(store.claimed_at("job", "digest").await.unwrap(), Some(t0()));
    assert!(store.claim_once("notice", "n14", t0()).await.unwrap());
}

pub async fn counters_count_every_caller(factory: &dyn Factory) {
    let store = factory.open().await;
    let callers: Vec<_> = (0..30)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move { store.count_up("robot", "ana@example.org 2027-01-15").await.unwrap() })
        })
        .collect();
    let mut counts = Vec::new();
    for caller in callers {
        counts.push(caller.await.unwrap());
    }
    counts.sort_unstable();
    assert_eq!(counts, (1..=30).collect::<Vec<_>>());
    assert_eq!(store.count_up("robot", "bob@example.org 2027-01-15").await.unwrap(), 1);
}

pub async fn settings_are_kept(factory: &dyn Factory) {
    let store = factory.open().await;
    assert_eq!(store.setting("paused").await.unwrap(), None);
    store.put_setting("paused", vec![1]).await.unwrap();
    store.put_setting("keys", vec![7; 300_000]).await.unwrap();
    store.put_setting("paused", vec![]).await.unwrap();
    drop(store);
    let store = factory.open().await;
    assert_eq!(store.setting("paused").await.unwrap(), Some(vec![]));
    assert_eq!(store.setting("keys").await.unwrap(), Some(vec![7; 300_000]));
}

pub async fn a_request_is_taken_once(factory: &dyn Factory) {
    let store = factory.open().await;
    let request = |id, group| Request {
        id: RequestId(id),
        verb: "subscribe".into(),
        group: code(group),
        address: address("ana@example.org"),
        arguments: vec!["es".into()],
        at: t0(),
        expires: t0() + seconds(86_400),
    };
    for (id, group) in [(1, "SG12"), (2, "SG15"), (3, "SG12")] {
        store.put_request(request(id, group)).await.unwrap();
    }
    assert_eq!(store.request(RequestId(2)).await.unwrap(), Some(request(2, "SG15")));
    assert_eq!(store.requests(Some(&code("SG12"))).await.unwrap(), [request(1, "SG12"), request(3, "SG12")]);
    assert_eq!(store.requests(None).await.unwrap().len(), 3);
    let (a, b) = tokio::join!(store.take_request(RequestId(1)), store.take_request(RequestId(1)));
    assert!(a.unwrap() ^ b.unwrap());
    assert_eq!(store.request(RequestId(1)).await.unwrap(), None);
    assert!(!store.take_request(RequestId(77)).await.unwrap());
}

pub async fn the_audit_trail_comes_newest_first(factory: &dyn Factory) {
    let store = factory.open().await;
    let entry = |number: i64, group: Option<&str>| AuditEntry {
        // Two of one instant each.
        at: t0() + seconds(number / 2),
        actor: "command line".into(),
        act: "member add".into(),
        group: group.map(code),
        detail: number.to_string(),
    };
    for number in 0..10 {
        store.append_audit(entry(number, [None, Some("SG12"), Some("SG15")][usize::try_from(number).unwrap() % 3])).await.unwrap();
    }
    let details = |entries: Vec<AuditEntry>| entries.into_iter().map(|entry| entry.detail).collect::<Vec<_>>();
    assert_eq!(details(store.audit(None, 4).await.unwrap()), ["9", "8", "7", "6"]);
    assert_eq!(details(store.audit(Some(&code("SG12")), 9).await.unwrap()), ["7", "4", "1"]);
    assert_eq!(store.audit(None, 99).await.unwrap().len(), 10);
}

pub async fn entries_have_optimistic_versions(factory: &dyn Factory) {
    let store = factory.open().await;
    assert_eq!(store.put_entry("liaison", "a", 0, b"one".to_vec()).await.unwrap(), Some(1));
    assert_eq!(store.put_entry("liaison", "a", 0, b"two".to_vec()).await.unwrap(), None);
    assert_eq!(store.entry("liaison", "a").await.unwrap(), Some((1, b"one".to_vec())));
    let callers: Vec<_> = (0..16)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move { store.put_entry("liaison", "a", 1, vec![9; 200_000]).await.unwrap() })
        })
        .collect();
    let mut first = 0;
    for caller in callers {
        first += usize::from(caller.await.unwrap() == Some(2));
    }
    assert_eq!(first, 1);
    assert_eq!(store.entry("liaison", "a").await.unwrap(), Some((2, vec![9; 200_000])));
    store.remove_entry("liaison", "a").await.unwrap();
    assert_eq!(store.entry("liaison", "a").await.unwrap(), None);
    assert_eq!(store.put_entry("liaison", "a", 2, vec![]).await.unwrap(), None);
}

pub async fn entries_come_in_pages_by_key(factory: &dyn Factory) {
    let store = factory.open().await;
    for at in 0..25 {
        store.put_entry("meeting", &format!("m{at:02}"), 0, vec![at]).await.unwrap();
    }
    store.put_entry("meetings", "m", 0, vec![]).await.unwrap();
    let (mut seen, mut after) = (Vec::new(), None::<String>);
    loop {
        let page = store.entries("meeting", after.as_deref(), 10).await.unwrap();
        let Some((last, ..)) = page.last() else { break };
        after = Some(last.clone());
        seen.extend(page.into_iter().map(|(_, version, record)| (version, record[0])));
    }
    assert_eq!(seen, (0..25).map(|at| (1, at)).collect::<Vec<_>>());
}

pub async fn names_do_not_run_into_each_other(factory: &dyn Factory) {
    let store = factory.open().await;
    assert!(store.claim_once("a", "bc", t0()).await.unwrap());
    assert!(store.claim_once("ab", "c", t0()).await.unwrap());
    assert!(store.claim_once("", "abc", t0()).await.unwrap());
    assert!(store.claim_once("a\0", "", t0()).await.unwrap());
    assert!(store.claim_once("a", "\0", t0()).await.unwrap());
    assert_eq!(store.forget_marks("a", t0() + seconds(1)).await.unwrap(), 2);
    assert_eq!(store.claimed_at("ab", "c").await.unwrap(), Some(t0()));
}

/// Names and texts that would end a quotation, or mean something in a pattern or an order, are names and texts.
pub async fn w9_no_text_becomes_a_command(factory: &dyn Factory) {
    let store = factory.open().await;
    let evil = [
        "a'; DROP TABLE registers; --",
        "a\" OR \"1\"=\"1",
        "a' OR '1'='1",
        "a%",
        "a_",
        "a\\",
        "a$1",
        "a$$; SELECT 1; $$",
        "a/* x */",
        "a'||pg_sleep(10)||'",
        "a; DELETE FROM marks",
        "1) UNION SELECT 1 --",
    ];
    for (at, text) in evil.into_iter().enumerate() {
        assert_eq!(store.entry("w9", text).await.unwrap(), None, "{text}: nothing of another name");
        store.put_entry("w9", text, 0, vec![u8::try_from(at).unwrap()]).await.unwrap().unwrap();
        assert_eq!(store.entry(text, text).await.unwrap(), None, "{text}: nothing of another register");
        assert!(store.claim_once(text, text, t0()).await.unwrap() && !store.claim_once(text, text, t0()).await.unwrap(), "{text}");
        assert_eq!(store.count_up(text, text).await.unwrap(), 1, "{text}");
        store.put_setting(text, text.as_bytes().to_vec()).await.unwrap();
        assert_eq!(store.setting(text).await.unwrap().as_deref(), Some(text.as_bytes()), "{text}");
        assert!(store.posts_by_message_id(text).await.unwrap().is_empty(), "{text}");
    }
    let mut sorted = evil.to_vec();
    sorted.sort_unstable();
    let all = store.entries("w9", None, 100).await.unwrap();
    assert_eq!(all.iter().map(|(key, ..)| key.as_str()).collect::<Vec<_>>(), sorted, "in the order of octets");
    for (at, text) in sorted.iter().enumerate() {
        let rest = store.entries("w9", Some(text), 100).await.unwrap();
        assert_eq!(rest.iter().map(|(key, ..)| key.as_str()).collect::<Vec<_>>(), &sorted[at + 1..], "after {text}");
    }
    for text in evil {
        assert_eq!(store.forget_marks(text, t0() + seconds(1)).await.unwrap(), 2, "{text}: its own mark and count, and no other");
        store.remove_entry("w9", text).await.unwrap();
    }
    assert!(store.entries("w9", None, 100).await.unwrap().is_empty());
}
