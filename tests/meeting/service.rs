//! Meetings over the real store: apply, plan, send once, tell each language.

use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use enlace::clock::Clock;
use enlace::config::Config;
use enlace::domain::account::{Account, AccountKind, Category, Standing};
use enlace::domain::group::{
    Group, GroupCode, GroupKind, GuestLiaison, GuestPolicy, MissingEdition, NonmemberPolicy, ParticipationPolicy, SubscriptionPolicy,
};
use enlace::domain::id::AccountId;
use enlace::domain::language::Language;
use enlace::domain::meeting::{MeetingId, OwnLeadTimes};
use enlace::domain::post::{Audience, Post, PostKind};
use enlace::domain::subscription::{Provenance, Role, Subscription};
use enlace::service::{Actor, Services, meeting};
use enlace::store::sled::SledOptions;
use enlace::store::{Store, StoreOptions, open};
use enlace::text::Texts;

use crate::given::{at, language, texts};

pub const FILE: &str = r#"[[meeting]]
id = "sg12rg-amr-2027"
groups = ["SG12RG-AMR", "SG2RG-AMR"]
title = { en = "Meeting of SG12RG-AMR", es = "Reunión del SG12RG-AMR" }
start = 2027-04-06T09:30:00
end = 2027-04-07T17:30:00
timezone = "America/Mexico_City"
venue = { en = "Room A", es = "Sala A" }
city = "Mexico City"
country = "MX"
host = { en = "Example Institute", es = "Instituto Ejemplo" }
remote_url = "https://meet.example.org/amr"
registration_url = "https://www.example.org/register"
status = "announced"
[meeting.deadlines]
contribution = 2027-03-25
[[meeting.part]]
title = { en = "Workshop on quality of service", es = "Taller sobre calidad de servicio" }
start = 2027-04-05T09:30:00
end = 2027-04-05T17:30:00
audience = "open"
"#;

pub struct Bench {
    folder: tempfile::TempDir,
    pub store: Arc<dyn Store>,
    pub clock: Clock,
    pub services: Arc<Services>,
}

fn group(code: &str, languages: &[&str]) -> Group {
    Group {
        code: code.parse().unwrap(),
        kind: GroupKind::Regional,
        parent: Some("SG12".parse().unwrap()),
        region: None,
        list: code.to_lowercase(),
        languages: languages.iter().map(|code| language(code)).collect(),
        name: texts(&[("en", code)]),
        timezone: chrono_tz::Tz::America__Mexico_City,
        subscription: SubscriptionPolicy::Open,
        guests: GuestPolicy::Approve,
        participation: ParticipationPolicy::Standard,
        nonmember: NonmemberPolicy::Reject,
        guest_liaison: GuestLiaison::Cover,
        missing_edition: MissingEdition::Hold,
        secretariat: vec!["tsbsg12@itu.example".parse().unwrap()],
        contact: None,
        supporting_members: Vec::new(),
        grace: std::time::Duration::from_mins(10),
        personal: true,
        footer: None,
        house: enlace::domain::house::HouseRules::default(),
        monthly_reminder: false,
        archive: enlace::domain::group::ArchiveAccess::Members,
        archive_keep: std::time::Duration::ZERO,
        aliases: Vec::new(),
        retired: false,
        parent_must_endorse: false,
        meetings: OwnLeadTimes::default(),
    }
}

fn account(number: u64, languages: &[&str]) -> Account {
    Account {
        id: AccountId(number),
        addresses: vec![format!("person{number}@example.org").parse().unwrap()],
        name: format!("Person {number}"),
        kind: AccountKind::Ties,
        category: Category::MemberState,
        organisation: "Example".into(),
        operating_agency: false,
        country: Some(*b"MX"),
        study_groups: Vec::new(),
        languages: languages.iter().map(|code| language(code)).collect(),
        expires: None,
        roles: Vec::new(),
        standing: Standing::Active,
        source: "import".into(),
    }
}

impl Bench {
    pub async fn new(start: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = open_store(folder.path()).await;
        let clock = Clock::manual(at(start));
        let groups = vec![
            group("SG12RG-AMR", &["en", "es"]),
            group("SG2RG-AMR", &["es"]),
            Group { parent: None, kind: GroupKind::Study, ..group("SG12", &["en"]) },
        ];
        store.put_groups(groups).await.unwrap();
        // 1 manages the first group; 2 is in both; 3 is in the second only.
        store.put_accounts(vec![account(1, &["en"]), account(2, &["es"]), account(3, &["es"])]).await.unwrap();
        let member = |code: &str, number| Subscription::new(code.parse().unwrap(), AccountId(number), Provenance::Own, at(start));
        let manager = Subscription { role: Role::Manager, ..member("SG12RG-AMR", 1) };
        store.put_subscriptions(vec![manager, member("SG12RG-AMR", 2), member("SG2RG-AMR", 2), member("SG2RG-AMR", 3)]).await.unwrap();
        let services = services(&store, &clock).await;
        Self { folder, store, clock, services }
    }

    pub async fn apply(&self, text: &str) -> meeting::view::Applied {
        meeting::apply(&self.services, &Actor::command_line(), Path::new("m.toml"), text, false).await.unwrap()
    }

    pub async fn send(&self) -> Vec<String> {
        meeting::send_due(&self.services, None).await.unwrap().sent.iter().map(ToString::to_string).collect()
    }

    pub async fn posts(&self, code: &str) -> Vec<Post> {
        self.store.posts_of_group(&code.parse().unwrap(), None, 500).await.unwrap()
    }

    pub async fn text(&self, post: &Post, code: &str) -> String {
        let edition = post.editions.iter().find(|edition| edition.language == Some(language(code))).unwrap();
        let bytes = self.store.body(&edition.body).await.unwrap();
        let message = mail_parser::MessageParser::default().parse(&bytes[..]).unwrap();
        let body = message.body_text(0).unwrap().replace("\r\n", "\n");
        format!("{}\n{body}", message.subject().unwrap())
    }

    pub async fn raw(&self, post: &Post) -> String {
        String::from_utf8_lossy(&self.store.body(&post.editions[0].body).await.unwrap()).into_owned()
    }
}

async fn open_store(folder: &Path) -> Arc<dyn Store> {
    open(StoreOptions::Sled { data_dir: folder.to_owned(), options: SledOptions::default() }).await.unwrap()
}

async fn services(store: &Arc<dyn Store>, clock: &Clock) -> Arc<Services> {
    let texts = Arc::new(Texts::load(None).unwrap());
    Arc::new(Services::new(store.clone(), Arc::new(Config::default()), texts, clock.clone()).await.unwrap())
}

pub fn id() -> MeetingId {
    "sg12rg-amr-2027".parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_has_lead_times_of_its_own_for_the_meetings_that_it_leads() {
    let bench = Bench::new("2026-12-01T10:00:00Z").await;
    bench.apply(FILE).await;
    let at = async |key: &str| {
        let plan = meeting::plan(&bench.services, &id()).await.unwrap();
        plan.notices.iter().find(|notice| notice.key.contains(key)).unwrap_or_else(|| panic!("{plan:?}")).at.to_string()
    };
    assert!(at(":documents").await.starts_with("2027-03-30"), "{}", at(":documents").await);
    let leads = OwnLeadTimes {
        documents: Some("10 days".parse().unwrap()),
        letter_planned: Some("6 months".parse().unwrap()),
        ..OwnLeadTimes::default()
    };
    let own = Group { meetings: leads, ..group("SG12RG-AMR", &["en", "es"]) };
    bench.store.put_groups(vec![own]).await.unwrap();
    bench.services.reload_groups().await.unwrap();
    assert!(at(":documents").await.starts_with("2027-03-27"), "{}", at(":documents").await);
    let second = FILE.replace("sg12rg-amr-2027", "another").replace("2027-04-06T", "2027-04-08T").replace("2027-04-07T", "2027-04-09T");
    let warned = bench.apply(&second).await.warnings;
    assert!(warned.iter().any(|warning| warning.contains("6 months before")), "{warned:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_applied_once_and_a_bad_one_changes_nothing() {
    let bench = Bench::new("2026-12-01T10:00:00Z").await;
    let dry = meeting::apply(&bench.services, &Actor::command_line(), Path::new("m.toml"), FILE, true).await.unwrap();
    assert_eq!((dry.meetings[0].change, dry.dry_run), ("new", true));
    assert_eq!(dry.meetings[0].due, ["sg12rg-amr-2027:announcement:0"]);
    assert!(meeting::list(&bench.services, None).await.unwrap().is_empty());
    assert_eq!(bench.apply(FILE).await.meetings[0].change, "new");
    assert_eq!(bench.apply(FILE).await.meetings[0].change, "unchanged");
    let second = FILE.replace("sg12rg-amr-2027", "another").replace("2027-04-06T", "2027-04-08T");
    let bad = format!("{}\n{second}", FILE.replace("Mexico City", "Puebla"));
    let error = meeting::apply(&bench.services, &Actor::command_line(), Path::new("m.toml"), &bad, false).await.unwrap_err();
    assert!(error.to_string().starts_with("m.toml, line 28: it ends"), "{error}");
    let show = meeting::show(&bench.services, &id()).await.unwrap();
    assert_eq!((show.line.place.as_str(), show.line.sequence, show.line.state.as_str()), ("Mexico City, MX", 0, "announced"));
    assert_eq!(meeting::list(&bench.services, None).await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_announcement_is_one_post_with_an_edition_a_language_and_a_calendar() {
    let bench = Bench::new("2026-12-01T10:00:00Z").await;
    bench.apply(FILE).await;
    assert_eq!(bench.send().await, ["sg12rg-amr-2027:announcement:0"]);
    assert!(bench.send().await.is_empty());
    let posts = bench.posts("SG12RG-AMR").await;
    assert_eq!(posts.len(), 1);
    let post = &posts[0];
    assert_eq!((post.kind, post.groups.len(), &post.audience), (PostKind::Meeting, 2, &Audience::Subscribers));
    assert_eq!(post.editions.len(), 6);
    assert_eq!(post.not_before - post.received_at, TimeDelta::minutes(10), "what a person does can be stopped for a while");
    let spanish = bench.text(post, "es").await;
    let (es, en) = (spanish.find("Reunión: ").unwrap(), spanish.find("Meeting: ").unwrap());
    assert!(es < en, "the reader's language comes first:\n{spanish}");
    for part in [
        "[SG12RG-AMR] Anuncio de reunión: Reunión del SG12RG-AMR, Mexico City, 6-7 de abril de 2027",
        "6 de abril de 2027, a las 09:30 horas (America/Mexico_City; 15:30 horas UTC)",
        "Grupo: SG12RG-AMR, SG2RG-AMR",
        "- Taller sobre calidad de servicio, 5 de abril de 2027, a las 09:30 horas",
        "abierta a todos",
        "- Presentación de contribuciones: 25 de marzo de 2027\n",
        "- Solicitudes de beca: 23 de febrero de 2027 (por confirmar)",
    ] {
        assert!(spanish.contains(part), "{part}\n{spanish}");
    }
    assert!(bench.text(post, "en").await.contains("6 April 2027, 0930 hours (America/Mexico_City; 1530 hours UTC)"));
    assert!(bench.text(post, "fr").await.contains("6 avril 2027, 09 h 30"));
    let raw = bench.raw(post).await;
    assert!(raw.contains("method=PUBLISH") && raw.contains("invite.ics"), "{raw}");
    bench.clock.advance(TimeDelta::minutes(11));
    let plan = meeting::plan(&bench.services, &id()).await.unwrap();
    assert!(plan.notices.iter().any(|n| n.key == "sg12rg-amr-2027:contribution-7d:0" && n.state == "planned"));
    let sent = plan.notices.iter().find(|n| n.state == "sent").unwrap();
    assert_eq!(sent.post, Some(post.id.to_string()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_before_the_mark_and_two_nodes_send_once() {
    let bench = Bench::new("2026-12-01T10:00:00Z").await;
    bench.apply(FILE).await;
    let other = services(&bench.store, &bench.clock).await;
    let (a, b) = tokio::join!(meeting::send_due(&bench.services, None), meeting::send_due(&other, None));
    a.unwrap();
    b.unwrap();
    assert_eq!(bench.posts("SG12RG-AMR").await.len(), 1);
    bench.store.remove_entry("meeting-notices", "sg12rg-amr-2027").await.unwrap();
    bench.send().await;
    assert_eq!(bench.posts("SG12RG-AMR").await.len(), 1);
    bench.clock.advance(TimeDelta::minutes(11));
    let plan = meeting::plan(&bench.services, &id()).await.unwrap();
    assert!(plan.notices.iter().any(|n| n.key.contains(":announcement:") && n.state == "sent" && n.post.is_some()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_lists_what_changed_and_a_withdrawal_reaches_only_those_who_leave() {
    let bench = Bench::new("2026-12-01T10:00:00Z").await;
    bench.apply(FILE).await;
    bench.send().await;
    bench.clock.advance(TimeDelta::days(1));
    let applied = bench.apply(&FILE.replace("Mexico City", "Puebla").replace("T17:30:00\ntimezone", "T16:00:00\ntimezone")).await;
    assert_eq!((applied.meetings[0].change, applied.meetings[0].sequence), ("changed", 1));
    assert_eq!(bench.send().await, ["sg12rg-amr-2027:change:1"]);
    let posts = bench.posts("SG12RG-AMR").await;
    let text = bench.text(&posts[0], "en").await;
    assert!(text.contains("- Venue: Room A, Puebla, MX (was: Room A, Mexico City, MX)"), "{text}");
    assert!(text.contains("- Dates: 6 April 2027, 0930 hours (America/Mexico_City; 1530 hours UTC) - 7 April 2027, 1600 hours"), "{text}");
    let spanish = bench.text(&posts[0], "es").await;
    assert!(spanish.contains("- Fechas: 6 de abril de 2027, a las 09:30 horas"), "{spanish}");
    assert!(spanish.contains("- Lugar: Sala A, Puebla, MX (antes: Sala A, Mexico City, MX)"), "{spanish}");
    assert_eq!(applied.meetings[0].fields[1].before, "Room A / Sala A, Mexico City, MX");
    assert!(bench.raw(&posts[0]).await.contains("method=PUBLISH"));

    bench.clock.advance(TimeDelta::minutes(11));
    let leaving: GroupCode = "SG2RG-AMR".parse().unwrap();
    meeting::withdraw(&bench.services, &Actor::command_line(), &id(), &leaving, false).await.unwrap();
    assert_eq!(bench.send().await, ["sg12rg-amr-2027:withdrawn-sg2rg-amr:2", "sg12rg-amr-2027:change:2"]);
    let told = bench.posts("SG2RG-AMR").await;
    let Audience::Listed(list) = &told[0].audience else { panic!("{:?}", told[0].audience) };
    assert_eq!(list.iter().map(|r| r.address.as_str()).collect::<Vec<_>>(), ["person3@example.org"], "2 stays by the other group");
    assert!(bench.raw(&told[0]).await.contains("method=CANCEL"));
    assert_eq!(bench.posts("SG12RG-AMR").await[0].groups.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn managers_are_warned_readers_are_not_and_cancelling_takes_it_back() {
    let bench = Bench::new("2026-12-01T10:00:00Z").await;
    bench.apply(&FILE.replace("\"announced\"", "\"draft\"")).await;
    assert!(bench.send().await.is_empty());
    bench.clock.advance(at("2027-01-21T15:00:00Z") - bench.clock.now());
    assert_eq!(bench.send().await, ["sg12rg-amr-2027:letter-missing:0"]);
    let posts = bench.posts("SG12RG-AMR").await;
    let Audience::Listed(list) = &posts[0].audience else { panic!("{:?}", posts[0].audience) };
    assert_eq!(list.iter().map(|r| r.address.as_str()).collect::<Vec<_>>(), ["person1@example.org", "tsbsg12@itu.example"]);
    assert_eq!(posts[0].kind, PostKind::Robot);
    bench.clock.advance(TimeDelta::days(30));
    let applied = bench.apply(FILE).await;
    assert!(applied.warnings.iter().any(|w| w.contains("A.1 1.3.2")), "{:?}", applied.warnings);
    assert_eq!(bench.send().await, ["sg12rg-amr-2027:announcement:0", "sg12rg-amr-2027:letter-late:0"]);
    bench.clock.advance(TimeDelta::minutes(11));
    meeting::cancel(&bench.services, &Actor::command_line(), &id(), false).await.unwrap();
    assert_eq!(bench.send().await, ["sg12rg-amr-2027:cancelled:1"]);
    let raw = bench.raw(&bench.posts("SG12RG-AMR").await[0]).await;
    assert!(raw.contains("method=CANCEL"), "{raw}");
    assert!(meeting::ics(&bench.services, &id()).await.unwrap().contains("METHOD:CANCEL\r\n"));
    let feed = meeting::feed(&bench.services, &"SG12RG-AMR".parse().unwrap()).await.unwrap();
    assert!(feed.text.contains("STATUS:CANCELLED"));
}

#[tokio::test(flavor = "multi_thread")]
async fn joiners_get_the_current_meetings_and_leavers_their_cancellation() {
    let bench = Bench::new("2026-12-01T10:00:00Z").await;
    bench.apply(FILE).await;
    let (both, second): (GroupCode, GroupCode) = ("SG12RG-AMR".parse().unwrap(), "SG2RG-AMR".parse().unwrap());
    let member = |code: &GroupCode, number: u64| {
        vec![(Subscription::new(code.clone(), AccountId(number), Provenance::Own, at("2026-12-01T10:00:00Z")), account(number, &["es"]))]
    };
    let join = async |code: &GroupCode, number: u64| meeting::joined(&bench.services, code, &member(code, number)).await.unwrap();
    assert_eq!(join(&second, 3).await, 0, "the announcement itself will reach her");
    bench.send().await;
    bench.clock.advance(TimeDelta::minutes(1));
    assert_eq!(join(&second, 3).await, 1);
    assert!(bench.raw(&bench.posts("SG2RG-AMR").await[0]).await.contains("method=PUBLISH"));
    let leave = async |code: &GroupCode, number: u64| meeting::left(&bench.services, code, &member(code, number)).await.unwrap();
    assert_eq!(leave(&both, 2).await, 0, "she keeps it by the other group");
    bench.clock.advance(TimeDelta::minutes(1));
    assert_eq!(leave(&second, 3).await, 1);
    assert!(bench.raw(&bench.posts("SG2RG-AMR").await[0]).await.contains("method=CANCEL"));
    bench.clock.advance(at("2027-05-01T00:00:00Z") - bench.clock.now());
    assert_eq!(join(&second, 3).await, 0, "it is over");
}

#[tokio::test(flavor = "multi_thread")]
async fn half_a_year_over_the_store_with_restarts_says_everything_once() {
    let mut bench = Bench::new("2026-12-01T10:00:00Z").await;
    bench.apply(FILE).await;
    let mut sent: Vec<(DateTime<Utc>, String)> = Vec::new();
    for day in 0..170 {
        for _ in 0..8 {
            bench.clock.advance(TimeDelta::hours(3));
            let now = bench.clock.now();
            sent.extend(bench.send().await.into_iter().map(|key| (now, key)));
        }
        if day % 60 == 59 {
            bench.store.close().await.unwrap();
            drop(bench.services);
            drop(bench.store);
            bench.store = open_store(bench.folder.path()).await;
            bench.services = services(&bench.store, &bench.clock).await;
        }
    }
    let keys: Vec<_> = sent.iter().map(|(at, key)| format!("{} {}", at.format("%m-%d"), key.split(':').nth(1).unwrap())).collect();
    let expected = [
        "12-01 announcement",
        "01-30 translation-7d",
        "02-16 interpretation-7d",
        "02-27 visa-7d",
        "03-05 visa-1d",
        "03-18 contribution-7d",
        "03-22 contribution-3d",
        "03-24 contribution-1d",
        "03-30 documents",
        "04-04 tomorrow-first",
        "04-05 tomorrow",
        "05-19 report-reminder",
    ];
    assert_eq!(keys, expected);
    assert_eq!(bench.posts("SG12RG-AMR").await.len(), expected.len());
    let plan = meeting::plan(&bench.services, &id()).await.unwrap();
    assert!(plan.notices.iter().all(|n| n.state == "sent" || n.state == "skipped"), "{plan:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn postponing_reporting_and_the_weekly_outlook_are_written_in_every_language() {
    let bench = Bench::new("2026-12-01T10:00:00Z").await;
    bench.apply(FILE).await;
    bench.send().await;
    bench.clock.advance(at("2027-03-01T06:00:00Z") - bench.clock.now());
    bench.send().await;
    assert_eq!(meeting::send_outlook(&bench.services, "outlook@2027-03-01T07:00:00").await.unwrap(), 3);
    let before = bench.posts("SG2RG-AMR").await;
    let outlook = before.iter().find(|post| post.origin.starts_with("meeting:outlook@")).unwrap();
    let text = bench.text(outlook, "es").await;
    assert!(text.contains("Reuniones y plazos") && text.contains("- Presentación de contribuciones: 25 de marzo de 2027"), "{text}");
    meeting::send_outlook(&bench.services, "outlook@2027-03-01T07:00:00").await.unwrap();
    assert_eq!(bench.posts("SG2RG-AMR").await.len(), before.len(), "a second run for the same time sends nothing");

    meeting::postpone(&bench.services, &Actor::command_line(), &id(), false).await.unwrap();
    bench.clock.advance(TimeDelta::minutes(1));
    assert_eq!(bench.send().await, ["sg12rg-amr-2027:postponed:1"]);
    bench.clock.advance(TimeDelta::minutes(1));
    bench.apply(&FILE.replace("2027-04-0", "2027-05-0")).await;
    assert_eq!(bench.send().await, ["sg12rg-amr-2027:change:2"]);
    bench.clock.advance(at("2027-05-20T06:00:00Z") - bench.clock.now());
    bench.send().await;
    let report = "report = { reference = \"SG12RG-AMR-R1\", attendance = 41 }\nstatus = \"held\"";
    bench.apply(&FILE.replace("2027-04-0", "2027-05-0").replace("status = \"announced\"", report)).await;
    assert_eq!(bench.send().await, ["sg12rg-amr-2027:report:0"]);
    let post = &bench.posts("SG12").await[0];
    assert_eq!(post.groups.len(), 3, "the parent group gets the report");
    for code in ["en", "fr", "es", "ar", "zh", "ru"] {
        let text = bench.text(post, code).await;
        assert!(text.contains("SG12RG-AMR-R1") && text.contains("41") && !text.contains("meeting."), "{text}");
    }
}

#[test]
fn every_mail_of_meetings_can_be_written_in_every_language() {
    let texts = Texts::load(None).unwrap();
    for code in ["en", "fr", "es", "ar", "zh", "ru"] {
        let language: Language = code.parse().unwrap();
        for key in ["deadline-contribution", "deadline-hotel", "field-dates", "members", "remote-notes", "language-es", "cancelled"] {
            let key = format!("meeting.{key}");
            assert_ne!(texts.word(language, &key), key, "{code}");
        }
    }
}

/// One post with one rendering a language, whoever many read it; the plan of its copies is made by delivery, a batch at a time.
#[tokio::test(flavor = "multi_thread")]
async fn an_announcement_to_ten_thousand_is_written_once_a_language() {
    const READERS: u64 = 10_000;
    let bench = Bench::new("2026-12-01T10:00:00Z").await;
    let languages = ["en", "es", "fr"];
    for first in (100..100 + READERS).step_by(1_000) {
        let readers = first..first + 1_000;
        let accounts = readers.clone().map(|number| account(number, &[languages[usize::try_from(number).unwrap() % 3]])).collect();
        bench.store.put_accounts(accounts).await.unwrap();
        let subscribe = |number| Subscription::new("SG12RG-AMR".parse().unwrap(), AccountId(number), Provenance::Own, bench.clock.now());
        bench.store.put_subscriptions(readers.map(subscribe).collect()).await.unwrap();
    }
    bench.apply(FILE).await;
    assert_eq!(bench.send().await, ["sg12rg-amr-2027:announcement:0"]);
    let posts = bench.posts("SG12RG-AMR").await;
    assert_eq!((posts.len(), posts[0].editions.len(), &posts[0].audience), (1, 6, &Audience::Subscribers));
    let mut bodies: Vec<_> = posts[0].editions.iter().map(|edition| edition.body.key.clone()).collect();
    bodies.sort();
    bodies.dedup();
    assert_eq!(bodies.len(), 6, "each language has its own bytes, and only one of them");
}
