use std::io::Cursor;

use chrono::TimeDelta;

use super::*;
use crate::domain::id::PostId;
use crate::domain::post::{Arrival, Audience, Edition, Post, PostKind, PostState};
use crate::service::trial::{Trial, code, operator};
use crate::store::BodySource;

fn mbox(mails: &[(&str, &str)]) -> Vec<u8> {
    let mut file = Vec::new();
    for (head, text) in mails {
        let mail = format!("{head}\r\n\r\n{text}\r\n");
        crate::mail::mbox::write(&mut file, "ana@x.test", "2020-03-05T10:00:00Z".parse().unwrap(), mail.as_bytes()).unwrap();
    }
    file
}

async fn take(trial: &Trial, file: &[u8], old: Option<&OldNames>, dry_run: bool) -> ImportReport {
    let mails = Mails::Mbox { input: Box::new(Cursor::new(file.to_vec())), octets: file.len() as u64 };
    import(&trial.services, &operator(), &code("AMR"), mails, "old.mbox", old, dry_run, &|_, _| {}).await.unwrap()
}

const THREAD: [(&str, &str); 4] = [
    (
        "From: Ana Example <ana@x.test>\r\nMessage-ID: <a@x.test>\r\nDate: Thu, 5 Mar 2020 10:00:00 +0000\r\nSubject: Informe",
        "Se adjuntan las declaraciones de los grupos regionales para la reunión.",
    ),
    (
        "From: ben@x.test\r\nMessage-ID: <b@x.test>\r\nIn-Reply-To: <a@x.test>\r\nDate: Fri, 6 Mar 2020 10:00:00 +0000\r\nSubject: Re: Informe",
        "Gracias.\r\n\r\nFrom here on it is only text.",
    ),
    (
        "From: Mia Manager <mia@x.test>\r\nMessage-ID: <c@x.test>\r\nDate: GMT+00:00 nonsense\r\nSubject: Agenda",
        "Draft agenda of the meeting.",
    ),
    ("From: gus@x.test\r\nDate: Mon, 4 May 1998 10:00:00 +0000\r\nSubject: Very old", "The first mail there was."),
];

#[tokio::test]
async fn an_import_is_searched_and_threaded_and_can_be_repeated() {
    let trial = Trial::peopled().await;
    let file = mbox(&THREAD);
    let rehearsal = take(&trial, &file, None, true).await;
    assert_eq!((rehearsal.read, rehearsal.added, rehearsal.without_id, rehearsal.without_date), (4, 4, 1, 1));
    assert_eq!(feed(&trial.services).await.unwrap().posts, 0);
    let report = take(&trial, &file, None, false).await;
    assert_eq!(ImportReport { dry_run: true, ..report.clone() }, rehearsal);
    assert_eq!(feed(&trial.services).await.unwrap(), Fed { added: 4, posts: 4 });
    let again = take(&trial, &file, None, false).await;
    assert_eq!((again.added, again.repeated), (0, 4));

    let page = threads(&trial.services, &code("AMR"), Reader::Operator, None, 2).await.unwrap();
    let shown: Vec<_> = page.threads.iter().map(|thread| (thread.subject.as_str(), thread.author.as_str(), thread.posts)).collect();
    assert_eq!(shown, [("Informe", "Ana Example", 2), ("Agenda", "Mia Manager", 1)]);
    assert!(page.complete);
    let rest = threads(&trial.services, &code("AMR"), Reader::Operator, page.next, 2).await.unwrap();
    assert_eq!((rest.threads[0].subject.as_str(), rest.next), ("Very old", None));
    assert_eq!(rest.threads[0].began.to_rfc3339(), "1998-05-04T10:00:00+00:00");

    let found = search(&trial.services, &code("AMR"), Reader::Operator, "declaración", 0, 10).await.unwrap();
    assert_eq!(found.total, 1);
    assert!(found.hits[0].quote.contains("declaraciones") && found.hits[0].url.contains("/groups/AMR/archive/"), "{found:?}");
    let view = post(&trial.services, &code("AMR"), Reader::Operator, found.hits[0].line.id).await.unwrap();
    assert_eq!((view.thread.len(), view.next, view.editions[0].subject.as_str()), (2, Some(view.thread[1].id), "Informe"));
    let answer = post(&trial.services, &code("AMR"), Reader::Operator, view.thread[1].id).await.unwrap();
    assert!(answer.editions[0].text.contains("From here on"), "{answer:?}");
}

#[tokio::test]
async fn an_interrupted_import_goes_on_and_gives_the_same_addresses() {
    let one = Trial::peopled().await;
    let two = Trial::peopled().await;
    let many: Vec<(String, String)> = (0..700)
        .map(|n| {
            (
                format!("From: a{n}@x.test\r\nMessage-ID: <{n}@x.test>\r\nDate: Thu, 5 Mar 2020 10:00:{:02} +0000", n % 60),
                format!("Mail {n}"),
            )
        })
        .collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(head, text)| (head.as_str(), text.as_str())).collect();
    let file = mbox(&many);
    // The first time the disk of the old machine fails in the middle.
    struct Failing(Cursor<Vec<u8>>, u64);
    impl std::io::Read for Failing {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            if self.0.position() >= self.1 {
                Err(std::io::Error::other("gone"))
            } else {
                let most = buffer.len().min(1000);
                self.0.read(&mut buffer[..most])
            }
        }
    }
    let input = Box::new(Failing(Cursor::new(file.clone()), file.len() as u64 * 3 / 4));
    let mails = Mails::Mbox { input, octets: file.len() as u64 };
    let failed = import(&one.services, &operator(), &code("AMR"), mails, "old.mbox", None, false, &|_, _| {}).await;
    assert!(failed.unwrap_err().to_string().contains("can be repeated"));
    let second = take(&one, &file, None, false).await;
    assert!(second.resumed >= 200 && second.read < 700, "{second:?}");
    take(&two, &file, None, false).await;
    let all = async |trial: &Trial| {
        let access = access(&trial.services, &code("AMR"), Reader::Operator).await.unwrap();
        export::all_posts(&trial.services, &access).await.unwrap()
    };
    let (one, two) = (all(&one).await, all(&two).await);
    assert_eq!((one.len(), &one), (700, &two));
}

#[tokio::test]
async fn what_is_exported_can_be_imported_elsewhere() {
    let trial = Trial::peopled().await;
    take(&trial, &mbox(&THREAD), None, false).await;
    let mut file = Vec::new();
    let exported = export(&trial.services, &code("AMR"), Reader::Operator, &mut file, &|_, _| {}).await.unwrap();
    assert_eq!((exported.posts, exported.octets), (4, file.len() as u64));
    let other = Trial::peopled().await;
    let report = take(&other, &file, None, false).await;
    assert_eq!((report.added, report.problems.len()), (4, 0));
}

#[tokio::test]
async fn only_readers_of_the_group_read_and_visitors_see_no_addresses() {
    let trial = Trial::peopled().await;
    take(&trial, &mbox(&THREAD), None, false).await;
    feed(&trial.services).await.unwrap();
    let account = async |address: &str| trial.services.store.account_by_address(&address.parse().unwrap()).await.unwrap().unwrap();
    let (ana, ben) = (account("ana@x.test").await, account("ben@x.test").await);
    crate::service::subscribe::add(
        &trial.services,
        &operator(),
        &code("AMR"),
        &["ana@x.test".into()],
        &Default::default(),
        crate::service::subscribe::Invite::No,
        false,
    )
    .await
    .unwrap();
    let may = async |reader: Reader<'_>| threads(&trial.services, &code("AMR"), reader, None, 10).await;
    assert_eq!(may(Reader::Account(&ana)).await.unwrap().threads.len(), 3);
    for reader in [Reader::Account(&ben), Reader::Anybody] {
        assert!(matches!(may(reader).await, Err(Failure::Refused(_))));
        let hidden = search(&trial.services, &code("AMR"), reader, "informe", 0, 10).await;
        assert!(matches!(hidden, Err(Failure::Refused(_))));
    }
    let public =
        crate::service::trial::GROUPS.replace("list = \"amr\"", "list = \"amr\"\narchive = \"public\"\narchive_keep = \"3650 days\"");
    crate::service::group::apply(&trial.services, &operator(), &public, "g.toml", false).await.unwrap();
    let page = may(Reader::Anybody).await.unwrap();
    // The mail of 1998 is older than the group keeps its archive.
    assert_eq!(page.threads.iter().map(|thread| thread.author.as_str()).collect::<Vec<_>>(), ["Ana Example", "Mia Manager"]);
    let thread = thread(&trial.services, &code("AMR"), Reader::Anybody, page.threads[0].id).await.unwrap();
    assert_eq!(thread.posts[1].author, "ben");
    assert_eq!(search(&trial.services, &code("AMR"), Reader::Anybody, "first mail", 0, 10).await.unwrap().total, 0);
}

async fn distributed(trial: &Trial, number: i64, kind: PostKind, state: PostState, origin: &str, texts: &[(&str, &str)]) -> PostId {
    let at = trial.services.now() + TimeDelta::seconds(number);
    let id = PostId::new(at, number.unsigned_abs());
    let mut editions = Vec::new();
    for (language, text) in texts {
        let mail = format!(
            "From: tsb@x.test\r\nMessage-ID: <{number}{language}@x.test>\r\nSubject: LS\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{text}\r\n"
        );
        let body = trial.services.store.put_body(BodySource::Bytes(mail.into_bytes().into())).await.unwrap();
        editions.push(Edition { language: language.parse().ok(), body });
    }
    let post = Post {
        id,
        groups: vec![code("AMR"), code("SG12")],
        kind,
        message_id: format!("{number}@x.test"),
        subject: "LS".into(),
        sender: None,
        author: None,
        received_at: at,
        not_before: at,
        editions,
        audience: Audience::Subscribers,
        state,
        arrival: Arrival::default(),
        origin: origin.into(),
    };
    trial.services.store.keep_post(post, Vec::new()).await.unwrap();
    id
}

#[tokio::test]
async fn distributed_posts_are_archived_once_and_held_ones_when_they_go_out() {
    let trial = Trial::peopled().await;
    let statement = [("es", "Declaración de coordinación"), ("en", "Liaison statement on quality")];
    distributed(&trial, 1, PostKind::Liaison, PostState::Done, "liaison:1:a", &statement).await;
    let late = [("fr", "Déclaration de liaison sur la qualité de service")];
    distributed(&trial, 2, PostKind::Liaison, PostState::Done, "liaison:1:b", &late).await;
    let reason = crate::domain::reason::Reason::new(crate::domain::reason::Rule::HeldNonmember, ["a", "AMR"]);
    let held = distributed(&trial, 3, PostKind::Discussion, PostState::Held(reason), "", &[("en", "Held for a while")]).await;
    distributed(&trial, 4, PostKind::Robot, PostState::Done, "robot:help", &[("en", "Help for Ana")]).await;
    assert_eq!(feed(&trial.services).await.unwrap().added, 2);
    let found = async |group: &str, query: &str| search(&trial.services, &code(group), Reader::Operator, query, 0, 10).await.unwrap().total;
    assert_eq!((found("AMR", "coordinacion").await, found("SG12", "statements").await, found("AMR", "held").await), (1, 1, 0));
    let page = threads(&trial.services, &code("AMR"), Reader::Operator, None, 10).await.unwrap();
    assert_eq!((page.threads.len(), page.threads[0].posts), (1, 2));
    let view = post(&trial.services, &code("SG12"), Reader::Operator, page.threads[0].id).await.unwrap();
    assert_eq!(view.editions.iter().map(|edition| edition.language.unwrap().to_string()).collect::<Vec<_>>(), ["es", "en"]);
    assert!(post(&trial.services, &code("AMR"), Reader::Operator, held).await.is_err());
    let mut released = trial.services.store.post(held).await.unwrap().unwrap();
    released.state = PostState::Done;
    trial.services.store.update_post(released).await.unwrap();
    assert_eq!(feed(&trial.services).await.unwrap().added, 1);
    assert_eq!((found("AMR", "held").await, found("AMR", "help").await), (1, 0));
    assert_eq!(feed(&trial.services).await.unwrap().added, 0);
    assert_eq!(rebuild(&trial.services).await.unwrap(), Fed { added: 3, posts: 3 });
}

#[tokio::test]
async fn a_statement_is_shown_once_a_language_however_many_forms_went_out() {
    use crate::domain::audience::Form;
    use crate::domain::post::Routed;
    let trial = Trial::peopled().await;
    let texts =
        [("en", "All of it"), ("es", "Todo"), ("en", "With links"), ("es", "Con enlaces"), ("en", "All and Todo"), ("en", "Cover alone")];
    let id = distributed(&trial, 1, PostKind::Liaison, PostState::Done, "liaison:1:a", &texts).await;
    let mut sent = trial.services.store.post(id).await.unwrap().unwrap();
    sent.audience = Audience::Routed(Box::new(Routed {
        forms: vec![Form::Whole, Form::Whole, Form::Links, Form::Links, Form::Both, Form::Cover],
        coming: Vec::new(),
        reasons: Vec::new(),
        purposes: Vec::new(),
        questions: Vec::new(),
        mailboxes: Vec::new(),
        earlier: Vec::new(),
        again: false,
    }));
    trial.services.store.update_post(sent).await.unwrap();
    feed(&trial.services).await.unwrap();
    let view = post(&trial.services, &code("AMR"), Reader::Operator, id).await.unwrap();
    let shown: Vec<_> = view.editions.iter().map(|one| (one.number, one.text.trim())).collect();
    assert_eq!(shown, [(0, "All of it"), (1, "Todo")]);
    assert_eq!(view.line.languages.len(), 2);
    let page = threads(&trial.services, &code("AMR"), Reader::Operator, None, 10).await.unwrap();
    assert_eq!(page.threads[0].languages.len(), 2);
    let mut file = Vec::new();
    let exported = export(&trial.services, &code("AMR"), Reader::Operator, &mut file, &|_, _| {}).await.unwrap();
    assert_eq!(exported.messages, 2);
}

#[tokio::test]
async fn a_sealed_month_shows_every_later_change() {
    let trial = Trial::peopled().await;
    take(&trial, &mbox(&THREAD), None, false).await;
    assert_eq!(seal(&trial.services, &code("AMR")).await.unwrap(), ["1998-05", "2020-03"]);
    assert!(seal(&trial.services, &code("AMR")).await.unwrap().is_empty());
    let good = verify(&trial.services, &code("AMR"), &|_, _| {}).await.unwrap();
    assert_eq!((good.unchanged, good.added, good.unsealed, good.faults.len()), (4, 0, 0, 0));
    let later = [("From: d@x.test\r\nMessage-ID: <d@x.test>\r\nDate: Sat, 7 Mar 2020 10:00:00 +0000", "Found later")];
    take(&trial, &mbox(&later), None, false).await;
    assert_eq!(verify(&trial.services, &code("AMR"), &|_, _| {}).await.unwrap().added, 1);
    let posts = trial.services.store.posts_by_message_id("a@x.test").await.unwrap();
    let mut changed = posts[0].clone();
    changed.editions[0].body = trial.services.store.put_body(BodySource::Bytes("Subject: forged\r\n\r\nx".into())).await.unwrap();
    trial.services.store.update_post(changed).await.unwrap();
    let bad = verify(&trial.services, &code("AMR"), &|_, _| {}).await.unwrap();
    assert_eq!(bad.faults, [format!("2020-03: post {} is not what was sealed", posts[0].id)]);
}

#[tokio::test]
async fn links_to_the_old_archive_lead_to_the_post() {
    let trial = Trial::peopled().await;
    let (pipermail, hyperkitty) = (OldNames::Pipermail("Rg-Amr".into()), OldNames::Hyperkitty("rg-amr@old.test".into()));
    take(&trial, &mbox(&THREAD), Some(&pipermail), false).await;
    take(&trial, &mbox(&THREAD), Some(&hyperkitty), false).await;
    remember_list(&trial.services, &code("AMR"), &hyperkitty).await.unwrap();
    let target = async |path: &str| old_link(&trial.services, path).await.unwrap();
    let of = async |id: &str| format!("/groups/AMR/archive/{}", trial.services.store.posts_by_message_id(id).await.unwrap()[0].id);
    assert_eq!(target("/pipermail/rg-amr/2020-March/000001.html").await, Some(of("b@x.test").await));
    let hash = message_id_hash("a@x.test");
    assert_eq!(target(&format!("/hyperkitty/list/rg-amr@old.test/message/{hash}/")).await, Some(of("a@x.test").await));
    assert_eq!(target("/pipermail/rg-amr/2020-March/thread.html").await.as_deref(), Some("/groups/AMR/archive"));
    assert_eq!(target("/mailman/listinfo/rg-amr").await.as_deref(), Some("/groups/AMR"));
    assert_eq!(target("/postorius/lists/rg-amr.old.test/").await.as_deref(), Some("/groups/AMR"));
    for none in ["/pipermail/other/2020-March/000001.html", "/", "/groups/AMR", "/pipermail/../x"] {
        assert_eq!(target(none).await, None, "{none}");
    }
    // As Mailman 3 computes it.
    assert_eq!(message_id_hash("<87myycy5eh.fsf@uwakimon.sk.tsukuba.ac.jp>"), message_id_hash("87myycy5eh.fsf@uwakimon.sk.tsukuba.ac.jp"));
}
