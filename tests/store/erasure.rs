//! What a dump of the database shows of a person who was erased: nothing.

use std::sync::Arc;

use enlace::clock::Clock;
use enlace::config::{Config, ErasedPosts};
use enlace::domain::address::EmailAddress;
use enlace::domain::group::GroupCode;
use enlace::domain::id::PostId;
use enlace::domain::ledger::{PlannedRecipient, RecipientState};
use enlace::domain::post::Post;
use enlace::domain::proof::{ProofMethod, SenderProof};
use enlace::domain::reason::{Reason, Rule};
use enlace::service::subscribe::{self, Invite, Settings, Wish};
use enlace::service::{Actor, Services, account, archive, group, robot, session};
use enlace::store::postgres::{PostgresOptions, PostgresStore, Timing};
use enlace::store::{BatchKey, BodySource, LedgerKey};
use enlace::text::Texts;
use serde_json::json;

use crate::database::Cluster;
use crate::samples;

const GROUPS: &str =
    "[[group]]\ncode = \"SG12\"\nkind = \"study\"\nlist = \"sg12\"\nname = { en = \"Study Group 12\" }\narchive = \"public\"\n";
/// The rest of the address is that of nobody else.
const LOCAL: &str = "zenobia.quixote";
const HER: &str = "Zenobia.Quixote@person.example";
const SECOND: &str = "zenobia.quixote@home.example";

/// How often the dump holds the text, in any case: as it is, or in the hexadecimal digits in which a dump writes octets.
fn seen(dump: &[u8], text: &str) -> usize {
    let dump = dump.to_ascii_lowercase();
    let plain = memchr::memmem::find_iter(&dump, text.to_lowercase().as_bytes()).count();
    // Octets stand in either case, hence each letter as a choice of two.
    let digits: Vec<[String; 2]> =
        text.bytes().map(|octet| [octet.to_ascii_lowercase(), octet.to_ascii_uppercase()].map(|b| format!("{b:02x}"))).collect();
    let [low, _] = &digits[0];
    let begins = |first: &str| memchr::memmem::find_iter(&dump, first.as_bytes()).collect::<Vec<_>>();
    let starts = begins(low).into_iter().chain(begins(&digits[0][1])).collect::<std::collections::BTreeSet<_>>();
    let all_there = |start: &usize| {
        digits.iter().enumerate().all(|(n, [low, high])| {
            dump.get(start + 2 * n..start + 2 * n + 2).is_some_and(|pair| pair == low.as_bytes() || pair == high.as_bytes())
        })
    };
    plain + starts.iter().filter(|start| all_there(start)).count()
}

async fn send_letter(services: &Services, to: &EmailAddress, template: &'static str) {
    let (of, code) = (services.store.account_by_address(to).await.unwrap().unwrap(), samples::code("SG12"));
    let group = services.group(&code).unwrap();
    let mail = robot::RobotMail {
        to,
        account: Some(&of),
        group: &group,
        template,
        context: json!({ "link": "https://lists.example.org/x", "hours": 24, "member": to }),
        reply_to: None,
        in_reply_to: None,
        allowance: robot::Allowance::Receipt,
    };
    robot::send(services, mail).await.unwrap();
}

/// A post of hers, with a plan in which the mail server names her.
async fn posted(services: &Services, code: &GroupCode, her: &EmailAddress) {
    let id = PostId::new(services.now(), 1);
    let text = format!("From: Zenobia <{HER}>\r\nSubject: zebras\r\nMessage-ID: <z@x.example>\r\n\r\nZebras, says {HER}.\r\n");
    let mut post: Post = samples::post(&*services.store, id, code.as_str()).await;
    post.received_at = services.now();
    post.not_before = services.now();
    post.editions[0].body = services.store.put_body(BodySource::Bytes(text.into())).await.unwrap();
    post.sender = Some(SenderProof::Proved { author: her.clone(), method: ProofMethod::Confirmed });
    post.author = services.store.account_by_address(her).await.unwrap().map(|account| account.id);
    (post.message_id, post.subject) = ("z@x.example".into(), format!("zebras of {HER}"));
    services.store.keep_post(post, vec![format!("SG12 z@x.example {HER}")]).await.unwrap();
    let recipient = |address: &str| PlannedRecipient {
        address: address.into(),
        account: None,
        group: 0,
        edition: 0,
        state: RecipientState::Planned,
        reason: Reason::new(Rule::Subscriber, [address, "SG12"]),
    };
    let batch = BatchKey { post: id, number: 0 };
    services.store.begin_plan(id).await.unwrap();
    services.store.add_batch(batch, vec![recipient(HER), recipient("other@x.example")]).await.unwrap();
    services.store.finish_plan(id, 1, services.now()).await.unwrap();
    let key = LedgerKey { batch, index: 0 };
    services.store.amend_recipient(key, RecipientState::Failed, services.now(), format!("550 5.1.1 <{HER}>: unknown")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn no_octet_of_an_erased_address_is_in_a_dump_of_the_cluster() {
    let cluster = Cluster::start();
    let folder = tempfile::tempdir().unwrap();
    let options = PostgresOptions { url: cluster.database(), connections: 8, timing: Timing::Caller };
    let store = PostgresStore::open(folder.path(), options).await.unwrap();
    let mut config = Config::default();
    config.service.data_dir = folder.path().to_owned();
    config.retention.erased_posts = ErasedPosts::Redact;
    let clock = Clock::manual("2026-11-24T10:00:00Z".parse().unwrap());
    let services = Services::new(store, Arc::new(config), Arc::new(Texts::load(None).unwrap()), clock).await.unwrap();
    let (operator, code) = (Actor::command_line(), samples::code("SG12"));
    group::apply(&services, &operator, GROUPS, "groups.toml", false).await.unwrap();
    let people = format!("email,name,kind,category\n{HER};{SECOND},Z,ties,member-state\nother@x.example,O,ties,member-state\n");
    account::import(&services, &operator, people.as_bytes(), "a.csv", account::Manner::default()).await.unwrap();
    let her: EmailAddress = HER.parse().unwrap();
    let sg12 = services.group(&code).unwrap();
    subscribe::add(&services, &operator, &code, &[HER.to_owned(), "other@x.example".into()], &Settings::default(), Invite::No, false)
        .await
        .unwrap();
    subscribe::ask(&services, &sg12, &her, &Wish::Unsubscribe).await.unwrap();
    let zenobia = services.store.account_by_address(&her).await.unwrap().unwrap();
    account::addresses::choose(&services, &Actor::from(&her), &zenobia, SECOND).await.unwrap();
    let zenobia = services.store.account_by_address(&her).await.unwrap().unwrap();
    account::addresses::ask(&services, &Actor::from(&her), &zenobia, &"zenobia.quixote@third.example".parse().unwrap()).await.unwrap();
    session::send_link(&services, &her, "browser", "", "/me").await.unwrap();
    session::open(&services, zenobia.id).await.unwrap();
    send_letter(&services, &her, "confirm-unsubscription").await;
    services.store.put_entry("sender-allowed", &format!("SG12|{}", her.key()), 0, HER.as_bytes().to_vec()).await.unwrap();
    services.audit(&Actor::from(&her), "member set", Some(&code), format!("{HER}: each")).await.unwrap();
    // As a program wrote it that cares for no case.
    services.audit(&operator, "member set", Some(&code), HER.to_uppercase()).await.unwrap();
    services.store.claim_once("mark", &HER.to_uppercase(), services.now()).await.unwrap();
    posted(&services, &code, &her).await;
    archive::feed(&services).await.unwrap();

    let before = cluster.dump();
    assert!(seen(&before, LOCAL) > 20, "{} traces", seen(&before, LOCAL));
    let erased = account::erase(&services, &Actor::from(&her), &her, false).await.unwrap();
    assert!(!erased.fields.iter().any(|field| field.contains("still named")), "{erased:?}");
    services.store.sweep(std::time::Duration::ZERO).await.unwrap();
    let after = cluster.dump();
    for text in [HER, SECOND, LOCAL, "person.example", "home.example", "third.example"] {
        assert_eq!(seen(&after, text), 0, "{text}");
    }
    assert!(seen(&after, "other@x.example") > 0, "nobody else is gone");
}
