use super::*;
use crate::domain::group::GroupCode;
use crate::domain::id::PostId;
use crate::domain::ledger::{PlannedRecipient, RecipientState};
use crate::domain::post::{Post, PostState};
use crate::domain::proof::{ProofMethod, SenderProof};
use crate::domain::reason::{Reason, Rule};
use crate::service::archive;
use crate::service::subscribe::{self, Invite, Settings};
use crate::service::trial::{ACCOUNTS, Trial, code, operator};
use crate::store::{BatchKey, LedgerKey};

fn address(text: &str) -> EmailAddress {
    text.parse().unwrap()
}

fn amr() -> GroupCode {
    code("AMR")
}

async fn import_text(trial: &Trial, text: &str, manner: Manner) -> Result<ImportReport, Failure> {
    import(&trial.services, &operator(), text.as_bytes(), "a.csv", manner).await
}

async fn subscribe_ana(trial: &Trial) {
    let report = subscribe::add(&trial.services, &operator(), &amr(), &["ana@x.test".into()], &Settings::default(), Invite::No, false)
        .await
        .unwrap();
    assert_eq!(report.members[0].outcome, "subscribed");
}

#[tokio::test]
async fn importing_twice_changes_nothing_and_a_dry_run_writes_nothing() {
    let trial = Trial::empty().await;
    let dry = import_text(&trial, ACCOUNTS, Manner { dry_run: true, ..Manner::default() }).await.unwrap();
    assert_eq!((dry.added, trial.services.store.account_count().await.unwrap()), (4, 0));
    assert_eq!(import_text(&trial, ACCOUNTS, Manner::default()).await.unwrap().added, 4);
    let again = import_text(&trial, ACCOUNTS, Manner::default()).await.unwrap();
    assert_eq!((again.added, again.changed, again.unchanged), (0, 0, 4), "{again:?}");
    assert_eq!(list(&trial.services).await.unwrap().len(), 4);
}

#[tokio::test]
async fn a_bad_row_is_named_and_the_rest_is_done() {
    let trial = Trial::empty().await;
    let report = import_text(&trial, "email,kind\na@x.test,ties\nb@x.test,robot\n", Manner::default()).await.unwrap();
    assert_eq!((report.added, report.problems[0].line), (1, 3));
    assert!(import_text(&trial, "name\nAna\n", Manner::default()).await.is_err());
}

#[tokio::test]
async fn a_lost_right_suspends_at_once_and_comes_back_with_the_right() {
    let trial = Trial::peopled().await;
    subscribe_ana(&trial).await;
    let set_to = async |field: &str| set(&trial.services, &operator(), &address("ana@x.test"), &[field.to_owned()], false).await.unwrap();
    let moved = set_to("country=FR").await;
    assert_eq!(moved.rejudged[0].reason.as_deref(), Some("ana@x.test is not of the region of AMR"));
    assert_eq!(trial.roster("AMR").await, "ana@x.test suspended");
    set_to("country=MX").await;
    assert_eq!(trial.roster("AMR").await, "ana@x.test active");
    let suspended = suspend(&trial.services, &operator(), &address("ana@x.test"), "left her post", false).await.unwrap();
    assert_eq!((suspended.change, suspended.rejudged.len()), ("suspended", 1));
    set_to("standing=active").await;
    assert_eq!(trial.roster("AMR").await, "ana@x.test active");
    let by_file = import_text(&trial, "email,kind,category,country\nana@x.test,ties,none,MX\n", Manner::default()).await.unwrap();
    assert_eq!(by_file.rejudged[0].state, "suspended");
}

#[tokio::test]
async fn an_account_ends_at_midnight_of_the_services_zone() {
    let trial = Trial::peopled().await;
    subscribe_ana(&trial).await;
    trial.advance_days(6);
    assert!(rights::expire(&trial.services, None).await.unwrap().is_empty(), "30 November is her last day");
    // 30 November 23:00 UTC is the first of December in Zurich.
    trial.services.clock.advance(chrono::TimeDelta::hours(13));
    let expired = rights::expire(&trial.services, None).await.unwrap();
    assert_eq!(expired.len(), 1, "{expired:?}");
    assert_eq!(trial.roster("AMR").await, "ana@x.test suspended");
    assert!(rights::expire(&trial.services, None).await.unwrap().is_empty(), "twice is as once");
    set(&trial.services, &operator(), &address("ana@x.test"), &["expires=2027-11-30".into()], false).await.unwrap();
    assert_eq!(trial.roster("AMR").await, "ana@x.test active");
}

#[tokio::test]
async fn a_synchronisation_brakes_before_anything_is_written() {
    let trial = Trial::peopled().await;
    let shorter = "email,kind,category,country\nana@x.test,ties,member-state,PE\n";
    let sync = Manner { sync: true, ..Manner::default() };
    let refused = import_text(&trial, shorter, sync).await.unwrap_err().to_string();
    assert!(refused.contains("would remove 3 of 4") && refused.contains("--force"), "{refused}");
    assert_eq!(show(&trial.services, &address("ana@x.test")).await.unwrap().account.country, "MX", "nothing was written");
    assert!(import_text(&trial, "email,kind\n", sync).await.is_err(), "an empty file");
    let unreadable = format!("{shorter}\"broken,ties\n");
    let report = import_text(&trial, &unreadable, sync).await.unwrap();
    assert_eq!((report.removed, report.warnings.len()), (0, 1), "{report:?}");
    let forced = import_text(&trial, shorter, Manner { sync: true, force: true, ..Manner::default() }).await.unwrap();
    assert_eq!((forced.removed, list(&trial.services).await.unwrap().len()), (3, 1));
}

#[tokio::test]
async fn who_was_removed_by_a_synchronisation_finds_her_subscriptions_when_she_returns() {
    let trial = Trial::peopled().await;
    subscribe_ana(&trial).await;
    let without: String = ACCOUNTS.split_inclusive('\n').filter(|line| !line.starts_with("ana@")).collect();
    let removed = import_text(&trial, &without, Manner { sync: true, force: true, ..Manner::default() }).await.unwrap();
    assert_eq!((removed.removed, removed.rejudged[0].reason.as_deref()), (1, Some("ana@x.test has no TIES or guest account")));
    assert_eq!(trial.roster("AMR").await, "");
    let back = import_text(&trial, ACCOUNTS, Manner::default()).await.unwrap();
    assert_eq!((back.added, back.rejudged[0].state), (1, "active"), "{back:?}");
    assert_eq!(trial.roster("AMR").await, "ana@x.test active");
}

#[tokio::test]
async fn erasing_leaves_no_way_back_and_no_name_in_the_trail() {
    let trial = Trial::peopled().await;
    subscribe_ana(&trial).await;
    let export = export(&trial.services, &address("ana@x.test")).await.unwrap();
    assert_eq!((&export["account"]["name"], export["subscriptions"].as_array().unwrap().len()), (&json!("Ana Example"), 1));
    assert!(!export["audit"].as_array().unwrap().is_empty());
    erase(&trial.services, &operator(), &address("ana@x.test"), false).await.unwrap();
    assert!(show(&trial.services, &address("ana@x.test")).await.is_err());
    let last = trial.services.store.audit(None, 1).await.unwrap().remove(0);
    assert!(last.act == "account erase" && !last.detail.contains("ana@"), "{last:?}");
    let again = import_text(&trial, ACCOUNTS, Manner::default()).await.unwrap();
    assert_eq!(trial.roster("AMR").await, "");
    assert!(show(&trial.services, &address("ana@x.test")).await.is_err(), "an import does not bring her back");
    assert!(again.warnings.iter().any(|warning| warning.contains("1 entries are of persons who were erased")), "{again:?}");
    let readmitted = import_text(&trial, ACCOUNTS, Manner { readmit: true, ..Manner::default() }).await.unwrap();
    assert_eq!(
        (readmitted.added, show(&trial.services, &address("ana@x.test")).await.is_ok()),
        (1, true),
        "unless somebody vouches for it"
    );
}

/// Octets of all files below a folder, but for sled's own, which overwrites what it does not name when it needs the room.
fn octets_of(folder: &std::path::Path) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() && entry.file_name() != "sled" {
            all.extend(octets_of(&path));
        } else if path.is_file() {
            all.push((path.display().to_string(), std::fs::read(&path).unwrap()));
        }
    }
    all
}

#[tokio::test]
async fn erasing_reaches_ledger_trail_letters_statements_index_and_files() {
    let mut trial = Trial::peopled().await;
    let mut config = (*trial.services.config).clone();
    config.retention.erased_posts = crate::config::ErasedPosts::Redact;
    trial.services.config.replace(config);
    let services = &trial.services;
    let (ana, amr) = (address("ana@x.test"), code("AMR"));
    subscribe::add(services, &operator(), &amr, &["ana@x.test".into()], &Settings::default(), Invite::No, false).await.unwrap();
    let group = services.group(&amr).unwrap();
    let account = services.store.account_by_address(&ana).await.unwrap().unwrap();
    // A letter of the service to her, a request, a mark, a session, a note of a moderator.
    let letter = crate::service::robot::RobotMail {
        to: &ana,
        account: Some(&account),
        group: &group,
        template: "unsubscribed",
        context: json!({}),
        reply_to: None,
        in_reply_to: None,
        allowance: crate::service::robot::Allowance::Answer,
    };
    let letter = crate::service::robot::send(services, letter).await.unwrap().unwrap();
    crate::service::session::open(services, account.id).await.unwrap();
    services.store.put_entry("sender-allowed", "AMR|ana@x.test", 0, b"mia@x.test".to_vec()).await.unwrap();
    services.store.put_entry("sender-allowed", "AMR|gus@x.test", 0, b"Ana@X.test".to_vec()).await.unwrap();
    services.audit(&Actor::from(&ana), "member set", Some(&amr), "ana@x.test: each").await.unwrap();
    // Her post, which mia and she herself got; the mail server named her in its answer.
    let text = "From: Ana <Ana@x.test>\r\nSubject: zebras\r\nMessage-ID: <z@x.test>\r\n\r\nZebras, says ana@x.test.\r\n";
    let id = PostId::new(services.now(), 1);
    let post = Post {
        message_id: "z@x.test".into(),
        subject: "zebras".into(),
        sender: Some(SenderProof::Proved { author: ana.clone(), method: ProofMethod::Confirmed }),
        author: Some(account.id),
        ..trial.post(id, text).await
    };
    services.store.keep_post(post, vec!["AMR z@x.test ana@x.test".into()]).await.unwrap();
    let recipient = |address: &str, state| PlannedRecipient {
        address: address.into(),
        account: None,
        group: 0,
        edition: 0,
        state,
        reason: Reason::new(Rule::Subscriber, [address, "AMR"]),
    };
    let batch = BatchKey { post: id, number: 0 };
    services.store.begin_plan(id).await.unwrap();
    let both = vec![recipient("ana@x.test", RecipientState::Planned), recipient("juana@x.test", RecipientState::Suppressed)];
    services.store.add_batch(batch, both).await.unwrap();
    services.store.finish_plan(id, 1, services.now()).await.unwrap();
    let first = LedgerKey { batch, index: 0 };
    services.store.amend_recipient(first, RecipientState::Failed, services.now(), "550 5.1.1 <ANA@x.test>: unknown".into()).await.unwrap();
    archive::feed(services).await.unwrap();
    let found = async |words: &str| archive::search(services, &amr, archive::Reader::Operator, words, 0, 10).await.unwrap().total;
    assert_eq!((found("zebras").await, found("ana").await), (1, 1));
    let counts = services.store.counts(id).await.unwrap();
    let audit = services.store.audit(None, 1_000).await.unwrap();

    let exported = export(services, &ana).await.unwrap();
    for (part, least) in [("posts", 1), ("ledger", 0), ("audit", 1)] {
        assert!(exported[part].as_array().unwrap().len() >= least, "{part}: {exported}");
    }
    for place in ["batches", "posts", "counters", "audit entries", "register sender-allowed", "repetition keys", "accounts"] {
        assert!(exported["named_in"][place].as_u64() >= Some(1), "{place}: {}", exported["named_in"]);
    }
    let rehearsed = erase(services, &operator(), &ana, true).await.unwrap();
    assert!(rehearsed.fields.iter().any(|field| field.contains("1 posts redacted")), "{rehearsed:?}");
    assert_eq!(found("zebras").await, 1, "a rehearsal changes nothing");
    let erased = erase(services, &Actor::from(&ana), &ana, false).await.unwrap();
    assert!(!erased.fields.iter().any(|field| field.contains("still named")), "{erased:?}");

    let rows = services.store.batch(batch).await.unwrap();
    let (hers, other) = (&rows[0], &rows[1]);
    assert!(hers.planned.address.starts_with("erased-") && hers.planned.address.ends_with("@invalid"), "{hers:?}");
    assert_eq!(hers.attempts[0].reply, format!("550 5.1.1 <{}>: unknown", hers.planned.address));
    assert_eq!((hers.state, other.planned.address.as_str()), (RecipientState::Failed, "juana@x.test"));
    assert_eq!(services.store.counts(id).await.unwrap(), counts, "who was considered stays true");
    let now = services.store.audit(None, 1_000).await.unwrap();
    let acts = |entries: &[crate::store::AuditEntry]| entries.iter().map(|entry| (entry.at, entry.act.clone())).collect::<Vec<_>>();
    assert_eq!(acts(&now)[now.len() - audit.len()..], acts(&audit), "no entry is gone or moved");
    assert_eq!((found("zebras").await, found("ana").await), (0, 0));
    let letter = services.store.post(letter).await.unwrap().unwrap();
    assert!(matches!(letter.state, PostState::Discarded(_)) && letter.subject == "(erased)", "{letter:?}");
    let pseudonym = hers.planned.address.clone();
    let explained = crate::service::explain::explain(services, "z@x.test", None).await.unwrap();
    assert!(serde_json::to_string(&explained).unwrap().contains(&pseudonym));

    // The files too, once what nothing names is swept: after a restart, because the segment that is written to is left alone.
    archive::rest(services).await.unwrap();
    services.store.close().await.unwrap();
    let folder = services.config.service.data_dir.clone();
    let options = crate::store::sled::SledOptions { floor_octets: Some(0), ..Default::default() };
    trial.services.store = crate::store::sled::SledStore::open(&folder, options).unwrap();
    trial.services.store.sweep(std::time::Duration::ZERO).await.unwrap();
    let vanishing = Vanishing::new(["ana@x.test"], "", trial.services.now());
    assert!(named_in(&trial.services, &vanishing).await.unwrap().is_empty());
    trial.services.store.close().await.unwrap();
    for (path, octets) in octets_of(&folder) {
        assert!(!vanishing.is_in(&octets), "{path} names her");
        assert!(memchr::memmem::find(&octets, b"ebras, says").is_none(), "{path} has her words");
    }
}

#[tokio::test]
async fn erasing_finds_an_address_taken_off_before_and_leaves_alone_what_is_somebody_elses() {
    let trial = Trial::peopled().await;
    let services = &trial.services;
    let ana = address("ana@x.test");
    set(services, &operator(), &ana, &["email=ana@x.test;ana@old.test".into()], false).await.unwrap();
    services.audit(&operator(), "member set", Some(&code("AMR")), "ana@old.test: each").await.unwrap();
    services.audit(&operator(), "member set", Some(&code("AMR")), "ben@x.test: each").await.unwrap();
    set(services, &operator(), &ana, &["email=ana@x.test".into()], false).await.unwrap();
    let account = services.store.account_by_address(&ana).await.unwrap().unwrap();
    addresses::ask(services, &operator(), &account, &address("ben@x.test")).await.unwrap();
    let erased = erase(services, &operator(), &ana, false).await.unwrap();
    assert!(!erased.fields.iter().any(|field| field.contains("still named")), "{erased:?}");
    let left = Vanishing::new(["ana@x.test", "ana@old.test"], "", services.now());
    assert!(named_in(services, &left).await.unwrap().is_empty());
    let trail = services.store.audit(None, 1_000).await.unwrap();
    assert!(trail.iter().any(|entry| entry.detail == "ben@x.test: each"), "what is about ben stays: {trail:?}");
}

#[tokio::test]
async fn an_address_belongs_to_one_account() {
    let trial = Trial::peopled().await;
    let field = ["email=ana@x.test;ben@x.test".to_owned()];
    let refused = set(&trial.services, &operator(), &address("ana@x.test"), &field, false).await.unwrap_err().to_string();
    assert_eq!(refused, "ben@x.test belongs to another account");
    let both = import_text(&trial, "email,kind\nana@x.test;ben@x.test,ties\n", Manner::default()).await.unwrap();
    assert!(both.problems[0].text.contains("different accounts"), "{both:?}");
}

#[tokio::test]
async fn an_import_names_languages_and_groups_that_nobody_knows_and_takes_the_rest() {
    let trial = Trial::peopled().await;
    let file = "email,kind,languages,study_groups,roles\nx@x.test,guest,en;xx,SG99,tsb:NOPE\ny@x.test,guest,xx,,tsb:AMR\n";
    let report = import_text(&trial, file, Manner { dry_run: true, ..Manner::default() }).await.unwrap();
    assert_eq!((report.added, report.problems.len()), (2, 0));
    for part in ["2 entries have the language \"xx\"", "1 entries have the study group SG99", "1 entries have the role tsb:NOPE"] {
        assert!(report.warnings.iter().any(|warning| warning.contains(part)), "{part}: {:?}", report.warnings);
    }
    assert!(!report.warnings.iter().any(|warning| warning.contains("AMR")), "{:?}", report.warnings);
}

#[tokio::test]
async fn an_export_speaks_in_words_and_holds_what_she_wrote() {
    let trial = Trial::peopled().await;
    subscribe_ana(&trial).await;
    let services = &trial.services;
    let ana = address("ana@x.test");
    let account = services.store.account_by_address(&ana).await.unwrap().unwrap();
    let id = PostId::new(services.now(), 1);
    let text = "From: ana@x.test\r\nSubject: s\r\nMessage-ID: <w@x.test>\r\n\r\nThese are my words.\r\n";
    let post = Post { author: Some(account.id), message_id: "w@x.test".into(), ..trial.post(id, text).await };
    services.store.keep_post(post, vec!["AMR w@x.test".into()]).await.unwrap();
    let exported = export(services, &ana).await.unwrap();
    assert_eq!((&exported["account"]["country"], &exported["account"]["standing"]), (&json!(account.country_code()), &json!("active")));
    assert_eq!((&exported["subscriptions"][0]["group"], &exported["subscriptions"][0]["state"]), (&json!("AMR"), &json!("active")));
    let post = &exported["posts"][0];
    assert!(post["text"].as_str().unwrap().contains("These are my words.") && post["whole"] == true, "{post}");
}
