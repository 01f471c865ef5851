//! What one message and one recipient cost, part by part, on one core: `cargo bench --bench micro`.
//!
//! Each line is the median of nine rounds of about 100 ms. The ledger line is different: twenty sessions at a time note
//! one outcome each, as the delivery does, and wait until it is on the disk of the temporary folder (TMPDIR).
#![allow(missing_docs, clippy::pedantic)]

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use chrono::Utc;
use enlace::domain::audience::{EditionFacts, Person, PostFacts, shares};
use enlace::domain::gate;
use enlace::domain::id::{AccountId, PostId};
use enlace::domain::ledger::{Outcome, PlannedRecipient, RecipientState};
use enlace::domain::post::{Arrival, Audience, Edition, Post, PostKind, PostState};
use enlace::domain::proof::{ProofMethod, SenderProof};
use enlace::domain::reason::{Reason, Rule};
use enlace::domain::subscription::{Provenance, Subscription};
use enlace::mail::compose::{self, Form, Recipient, Service};
use enlace::mail::message;
use enlace::mail::sign::{Key, Prepared, Signer};
use enlace::mail::token::Keys;
use enlace::store::sled::SledOptions;
use enlace::store::{BATCH_RECIPIENTS, BatchKey, BodySource, Claimed, Store, StoreOptions};

mod samples;

const ROUND: Duration = Duration::from_millis(100);

/// Runs `work` often and prints what one run costs.
fn measure(name: &str, mut work: impl FnMut()) {
    let mut times = 1_u32;
    loop {
        let began = Instant::now();
        (0..times).for_each(|_| work());
        if began.elapsed() > ROUND / 4 || times > 1 << 28 {
            break;
        }
        times *= 2;
    }
    let mut rounds: Vec<f64> = (0..9)
        .map(|_| {
            let began = Instant::now();
            (0..times * 4).for_each(|_| work());
            began.elapsed().as_nanos() as f64 / f64::from(times * 4)
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    println!("| {name} | {:.2} µs | {:.0} |", rounds[4] / 1e3, 1e9 / rounds[4]);
}

fn post(group: &str, body: enlace::domain::post::BodyRef) -> Post {
    Post {
        id: PostId(1),
        groups: vec![group.parse().unwrap()],
        kind: PostKind::Discussion,
        message_id: "1@example.org".into(),
        subject: "x".into(),
        sender: None,
        author: None,
        received_at: Utc::now(),
        not_before: Utc::now(),
        editions: vec![Edition { language: None, body }],
        audience: Audience::Subscribers,
        state: PostState::Accepted,
        arrival: Arrival::default(),
        origin: String::new(),
    }
}

fn pure() {
    let text = format!(
        "Received: from a.example.org (a.example.org [192.0.2.1])\r\n\tby mx.example.org with ESMTPS id 4711;\r\n\tTue, 06 Apr 2027 10:00:00 +0000\r\n\
         Authentication-Results: mx.example.org; dkim=pass header.d=example.org\r\nFrom: Ana Example <ana@example.org>\r\n\
         To: <sg12@lists.example.org>\r\nSubject: =?utf-8?Q?Medici=C3=B3n?= of quality\r\nMessage-ID: <1@example.org>\r\n\
         Date: Tue, 06 Apr 2027 10:00:00 +0000\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{}",
        "a line of some length that is repeated\r\n".repeat(100)
    );
    measure("parse: header of a message of 4 KiB, its author, its marks", || {
        black_box(message::read(black_box(text.as_bytes())).unwrap());
    });

    let group = samples::group("SG12", true);
    let ana = samples::account(1);
    let subscription = Subscription::new(group.code.clone(), ana.id, Provenance::Import, Utc::now());
    let proof = SenderProof::Proved { author: ana.addresses[0].clone(), method: ProofMethod::Dkim };
    let today = Utc::now().date_naive();
    measure("gate: may this account post", || {
        black_box(gate::may_post(black_box(&group), &proof, Some(&ana), Some(&subscription), today));
    });

    let groups = [group.clone()];
    let editions = [EditionFacts::PLAIN];
    let facts = PostFacts {
        kind: PostKind::Discussion,
        author: Some(AccountId(7)),
        groups: &groups,
        editions: &editions,
        coming: &[],
        calendar: false,
        today,
    };
    let subscriptions = [(0, &subscription)];
    measure("plan: what one subscriber gets, and why", || {
        let person = Person { account: &ana, subscriptions: &subscriptions, had: &[] };
        black_box(shares(black_box(&facts), &person));
    });

    let original = Bytes::from(text.clone());
    let post = post("SG12", enlace::domain::post::BodyRef { key: "x".into(), octets: original.len() as u64 });
    let service = Service { domain: "lists.example.org".into(), base_url: "https://lists.example.org".into() };
    let form = Form { service: &service, post: &post, edition: 0, group: &group };
    measure("render: an edition once for all its readers", || {
        black_box(compose::render(black_box(&original), &form).unwrap());
    });
    let rendered = compose::render(&original, &form).unwrap();
    let keys = Keys::new(&[7; 32]);
    let mut index = 0;
    measure("splice: personal lines and reverse-path of one copy, with both tokens", || {
        index = (index + 1) % 250;
        let recipient = Recipient { batch: 3, index, account: Some(AccountId(u64::from(index))) };
        black_box(rendered.reverse_path(&keys, recipient));
        black_box(rendered.personal_lines(&keys, recipient));
    });

    let recipient = Recipient { batch: 3, index: 1, account: Some(AccountId(1)) };
    let lines = rendered.personal_lines(&keys, recipient);
    for (name, ed25519) in [("rsa-sha256, 2048 bits", false), ("ed25519-sha256", true)] {
        let key = Key::from_pem("s1", &Key::generate(ed25519).unwrap()).unwrap();
        let signer = Arc::new(Signer::new("lists.example.org".into(), vec![key], false));
        let prepared = Prepared::new(signer, &rendered.shared_head, &rendered.body, Utc::now());
        measure(&format!("sign: one copy, its body hashed before, {name}"), || {
            black_box(prepared.fields(black_box(&lines)));
        });
    }
}

async fn ledger() {
    const SESSIONS: usize = 20;
    const BATCHES: u32 = 40;
    let folder = tempfile::tempdir().unwrap();
    let options = StoreOptions::Sled { data_dir: folder.path().to_owned(), options: SledOptions::default() };
    let store: Arc<dyn Store> = enlace::store::open(options).await.unwrap();
    store.put_groups(vec![samples::group("SG12", true)]).await.unwrap();
    let body = store.put_body(BodySource::Bytes(Bytes::from_static(b"Subject: x\r\n\r\nx\r\n"))).await.unwrap();
    let post = post("SG12", body);
    let id = post.id;
    store.keep_post(post, Vec::new()).await.unwrap();
    let recipient = |number: u64| PlannedRecipient {
        address: format!("reader{number:07}@d{:03}.example.org", number % 500),
        account: Some(AccountId(number)),
        group: 0,
        edition: 0,
        state: RecipientState::Planned,
        reason: Reason::new(Rule::Subscriber, ["SG12"]),
    };
    let began = Instant::now();
    store.begin_plan(id).await.unwrap();
    for number in 0..BATCHES {
        let first = u64::from(number) * BATCH_RECIPIENTS as u64;
        let slice = (first..first + BATCH_RECIPIENTS as u64).map(recipient).collect();
        store.add_batch(BatchKey { post: id, number }, slice).await.unwrap();
    }
    store.finish_plan(id, BATCHES, Utc::now()).await.unwrap();
    let all = f64::from(BATCHES) * BATCH_RECIPIENTS as f64;
    let a_second = all / began.elapsed().as_secs_f64();
    println!("| ledger: a recipient planned, in batches of {BATCH_RECIPIENTS}, on disk | {:.2} µs | {a_second:.0} |", 1e6 / a_second);

    let mut claims = Vec::new();
    for number in 0..BATCHES {
        match store.claim_batch(BatchKey { post: id, number }, Utc::now(), Duration::from_secs(900)).await.unwrap() {
            Claimed::Started(claim) => claims.push((claim.key, claim.holder)),
            other => panic!("{other:?}"),
        }
    }
    let began = Instant::now();
    let mut sessions = Vec::new();
    for session in 0..SESSIONS {
        let (store, claims) = (Arc::clone(&store), claims.clone());
        sessions.push(tokio::spawn(async move {
            for (key, holder) in claims {
                for index in (session..BATCH_RECIPIENTS).step_by(SESSIONS) {
                    let outcome = Outcome {
                        index: u16::try_from(index).unwrap(),
                        state: RecipientState::Sent,
                        at: Utc::now(),
                        reply: "250 2.0.0 Ok: queued as 4711".into(),
                    };
                    store.record_outcomes(key, holder, vec![outcome]).await.unwrap();
                }
            }
        }));
    }
    for session in sessions {
        session.await.unwrap();
    }
    let a_second = all / began.elapsed().as_secs_f64();
    println!("| ledger: an outcome noted and on disk, {SESSIONS} sessions at a time | {:.2} µs | {a_second:.0} |", 1e6 / a_second);
    store.close().await.unwrap();
}

fn main() {
    println!("| what | costs | a second |");
    println!("|---|---|---|");
    pure();
    tokio::runtime::Runtime::new().unwrap().block_on(ledger());
}
