//! What happens after a statement is out, day by day; what a large group costs.

use std::time::{Duration, Instant};

use chrono::TimeDelta;
use enlace::domain::audience::Form;
use enlace::domain::liaison::statement::Purpose;
use enlace::domain::liaison::wish::Wish;
use enlace::domain::post::Audience;
use enlace::service::{Actor, liaison};

use crate::bench::{Bench, block, mail};

#[tokio::test]
async fn where_the_parent_must_endorse_a_statement_that_the_group_itself_approved_is_held() {
    let bench = Bench::new("2026-12-01T15:00:00Z").await;
    let text = block("LS/o on X", "-", "N/A")
        .replace("ITU-T SG12 meeting (Mexico City, 28 September 2026)", "SG12RG-AMR meeting (Mexico City, 28 September 2026)");
    let sent = async |id: &str, text: &str| {
        let shown = bench.show(bench.post("SG12RG-AMR", "tsb@itu.example", &mail(id, "LS", text)).await.id()).await;
        (shown.view.state, shown.view.problems.iter().any(|problem| problem.text.contains("must endorse")))
    };
    assert!(!sent("m1@itu.example", &text).await.1);
    let group = bench.services.group(&"SG12RG-AMR".parse().unwrap()).unwrap();
    let strict = enlace::domain::group::Group { parent_must_endorse: true, ..enlace::domain::group::Group::clone(&group) };
    bench.services.store.put_groups(vec![strict]).await.unwrap();
    bench.services.reload_groups().await.unwrap();
    let held = sent("m2@itu.example", &text.replace("LS/o on X", "LS/o on Y")).await;
    assert!(held.0 == "held" && held.1, "{held:?}");
    let endorsed = sent("m3@itu.example", &block("LS/o on Z", "-", "N/A")).await;
    assert!(endorsed.0 != "held" && !endorsed.1, "the study group approved it: {endorsed:?}");
}

#[tokio::test]
async fn reminders_are_exactly_the_series_and_stop_at_the_reply() {
    for answered_after in [None, Some(2)] {
        let bench = Bench::new("2026-12-01T15:00:00Z").await;
        bench.members("email,role\nmia@example.org,manager\n", "SG12RG-AMR").await;
        bench.members("email,role\nsam@example.org,manager\n", "SG2").await;
        let id = bench
            .post("SG12RG-AMR", "tsb@itu.example", &mail("m1@itu.example", "LS", &block("LS/o on X", "SG2", "22 January 2027")))
            .await
            .id();
        assert_eq!(bench.show(id).await.view.state, "awaiting-reply");
        let mut days = Vec::new();
        for day in 0..80 {
            let now = bench.advance(TimeDelta::days(1));
            let sent = liaison::remind(&bench.services).await.unwrap();
            // A second look on the same day, or a second node, sends nothing.
            assert_eq!(liaison::remind(&bench.services).await.unwrap(), 0);
            if sent > 0 {
                days.push(now.date_naive().to_string());
            }
            if answered_after == Some(days.len()) && sent > 0 {
                let reply = "Source: ITU-T SG2\nTitle: LS/r on X (reply to SG12RG-AMR-LS1)\nFor information to: SG12RG-AMR\nApproval: ITU-T SG2 meeting (Geneva, 4 January 2027)\nContact: Bo Example, bo@itu.example\n\nDone.\n";
                bench.post("SG12RG-AMR", "tsb@itu.example", &mail("m2@itu.example", "LS/r", reply)).await;
                assert_eq!(bench.show(id).await.view.state, "answered", "day {day}");
            }
        }
        let series =
            ["2027-01-08", "2027-01-15", "2027-01-18", "2027-01-19", "2027-01-20", "2027-01-21", "2027-01-22", "2027-01-29", "2027-02-05"];
        assert_eq!(days, series[..answered_after.unwrap_or(series.len())]);
        let reminders = bench.posts("SG12RG-AMR", ".reminder@").await;
        let Audience::Listed(list) = &reminders[0].audience else { panic!("{:?}", reminders[0].audience) };
        let who: Vec<String> = list.iter().map(|r| format!("{} {}", r.address, r.reason.key())).collect();
        let expected = [
            "mia@example.org chairman-copy",
            "sam@example.org destination",
            "tsbsg12@itu.example secretariat-copy",
            "tsbsg2@itu.example destination",
        ];
        assert_eq!(who, expected);
        let (subject, text) = bench.text(&reminders[0], 0).await;
        assert_eq!(subject, "[SG12RG-AMR] Reminder (22 January 2027): SG12RG-AMR-LS1 LS/o on X");
        assert!(
            text.starts_with("This liaison statement asks for a reply. 14 days are left until the deadline, 22 January 2027.\n"),
            "{text}"
        );
        if answered_after.is_none() {
            let (subject, text) = bench.text(reminders.last().unwrap(), 0).await;
            assert!(subject.contains("Overdue") && text.contains("passed 14 days ago"), "{subject}\n{text}");
            assert_eq!(bench.show(id).await.view.state, "overdue");
        }
    }
}

#[tokio::test]
async fn a_wait_for_a_language_ends_with_what_is_there() {
    let bench = Bench::new("2026-12-01T15:00:00Z").await;
    bench.members("email,languages\nana@example.org,es\nben@example.org,en\n", "SG12RG-AMR").await;
    let id = bench.post("SG12RG-AMR", "tsb@itu.example", &mail("w@itu.example", "LS", &block("LS/o on waiting", "-", "N/A"))).await.id();
    let shown = bench.show(id).await;
    assert_eq!((shown.posts.len(), shown.view.state), (1, "circulated"));
    // Whoever waits is not counted, and the receipt says until when.
    let circulated = async |bench: &Bench| {
        let events = bench.show(id).await.view.events;
        events.into_iter().filter(|event| event.what.contains("subscriber: ")).map(|event| event.what).collect::<Vec<_>>()
    };
    assert_eq!(circulated(&bench).await, ["circulated (subscriber: 1, en)"]);
    let mut told = String::new();
    for robot in bench.posts("SG12RG-AMR", ".robot@").await {
        told.push_str(&bench.text(&robot, 0).await.1);
    }
    assert!(told.contains("SG12RG-AMR: 1 subscribers; 1 more wait for Spanish, at the latest until 4 December 2026"), "{told}");
    bench.advance(TimeDelta::days(3) - TimeDelta::minutes(1));
    liaison::send_due(&bench.services).await.unwrap();
    assert_eq!(bench.show(id).await.posts.len(), 1, "the third day is not over");
    bench.advance(TimeDelta::minutes(1));
    for _ in 0..2 {
        liaison::send_due(&bench.services).await.unwrap();
        assert_eq!(bench.show(id).await.posts.len(), 2);
    }
    assert_eq!(circulated(&bench).await.last().unwrap(), "circulated (subscriber: 1, en)");
    let late = bench.posts("SG12RG-AMR", ".r0@").await.pop().unwrap();
    assert!(!bench.text(&late, 0).await.1.contains("now also available"), "it is her first");
    // The language itself, to her alone: she had another one, and it did come later.
    let spanish = "Origen: SG12RG-AMR\nTítulo: LS/o sobre la espera\nPara información a: GANT\n\nTexto.\n";
    let reply = String::from_utf8(mail("w2@itu.example", "LS", spanish)).unwrap();
    let reply = reply.replacen("Subject:", "In-Reply-To: <w@itu.example>\r\nSubject:", 1);
    bench.post("SG12RG-AMR", "tsb@itu.example", reply.as_bytes()).await;
    assert_eq!(circulated(&bench).await.last().unwrap(), "circulated (subscriber: 1, es)");
}

#[tokio::test]
async fn ten_thousand_readers_cost_each_edition_once() {
    let bench = Bench::new("2026-12-01T15:00:00Z").await;
    let accounts: String = (0..10_000)
        .map(|n| format!("r{n}@example.org,ties,member-state,{},SG12,{}\n", ["MX", "BR", "HN"][n % 3], ["es", "en"][n % 2]))
        .collect();
    let accounts = format!("email,kind,category,country,study_groups,languages\n{accounts}");
    let actor = Actor::command_line();
    enlace::service::account::import(&bench.services, &actor, accounts.as_bytes(), "a.csv", enlace::service::account::Manner::default())
        .await
        .unwrap();
    let members: String = (0..10_000).map(|n| format!("r{n}@example.org\n")).collect();
    bench.members(&format!("email\n{members}"), "SG12RG-AMR").await;
    let two = format!(
        "{}\nTítulo: LS/o sobre una cosa\nOrigen: SG12RG-AMR\nPara información a: GANT\n\nTexto.\n",
        block("LS/o on a thing", "-", "N/A")
    );
    let started = Instant::now();
    let id = bench.post("SG12RG-AMR", "tsb@itu.example", &mail("big@itu.example", "LS", &two)).await.id();
    let elapsed = started.elapsed();
    let shown = bench.show(id).await;
    assert_eq!(shown.posts.len(), 1);
    let post = bench.posts("SG12RG-AMR", ".r0@").await.remove(0);
    // Two languages: whole, both in one, cover for guests.
    let Audience::Routed(routed) = &post.audience else { panic!("{:?}", post.audience) };
    assert_eq!(routed.forms, [Form::Whole, Form::Whole, Form::Both, Form::Both, Form::Cover, Form::Cover]);
    assert_eq!(post.editions.len(), 6, "as many renderings as editions, whatever the number of readers");
    assert!(postcard_octets(&post) < 20_000, "the post does not grow with its readers");
    assert!(elapsed < Duration::from_secs(20), "{elapsed:?}");
    let what: Vec<_> = shown.view.events.iter().map(|event| event.what.clone()).collect();
    assert!(what.iter().any(|what| what.contains("subscriber: 10000")), "{what:?}");
}

fn postcard_octets(post: &enlace::domain::post::Post) -> usize {
    serde_json::to_vec(post).unwrap().len()
}

#[tokio::test]
async fn a_flood_is_taken_as_a_daily_digest_but_for_what_was_asked_to_come_at_once() {
    let bench = Bench::new("2026-12-01T15:00:00Z").await;
    bench.members("email,languages\nana@example.org,es\nben@example.org,en\n", "SG12RG-AMR").await;
    let (code, ana) = ("SG12RG-AMR".parse().unwrap(), "ana@example.org".parse().unwrap());
    let wish = Wish { shown: vec![Purpose::Information, Purpose::Comment], ..Wish::parse("action,9/12").unwrap() };
    liaison::set_wish(&bench.services, &Actor::command_line(), &code, &ana, Some(&wish), false).await.unwrap();
    let stranger = "sam@example.org".parse().unwrap();
    assert!(liaison::set_wish(&bench.services, &Actor::command_line(), &code, &stranger, Some(&wish), false).await.is_err());
    for n in 0..3 {
        let text = block(&format!("LS/o on matter {n}"), "-", "N/A");
        bench.post("SG12RG-AMR", "tsb@itu.example", &mail(&format!("d{n}@itu.example"), "LS", &text)).await;
    }
    bench.advance(TimeDelta::hours(16));
    assert_eq!(liaison::send_digest(&bench.services, "digest@1").await.unwrap(), 1);
    assert_eq!(liaison::send_digest(&bench.services, "digest@1").await.unwrap(), 0, "what was in one is in no other");
    let digests = bench.posts("SG12RG-AMR", ".liaison-digest@").await;
    let (subject, text) = bench.text(&digests[0], 0).await;
    assert_eq!(subject, "[SG12RG-AMR] Declaraciones de coordinación (3)");
    assert!((0..3).all(|n| text.contains(&format!("matter {n}"))) && text.contains("/liaisons/"), "{text}");
    let Audience::Listed(list) = &digests[0].audience else { panic!() };
    assert_eq!(list.iter().map(|r| r.address.as_str()).collect::<Vec<_>>(), ["ana@example.org"]);
}

#[tokio::test]
async fn who_holds_the_action_is_reminded_and_nobody_once_it_is_taken() {
    let bench = Bench::new("2026-12-01T15:00:00Z").await;
    let (services, actor) = (&bench.services, Actor::command_line());
    bench.members("email,languages\nana@example.org,en\n", "SG12RG-AMR").await;
    bench.members("email,role\nsam@example.org,manager\n", "SG2").await;
    let text = block("LS/o on X", "SG2", "22 January 2027");
    let id = bench.post("SG12RG-AMR", "tsb@itu.example", &mail("h1@itu.example", "LS", &text)).await.id();

    assert!(liaison::acknowledge(services, &actor, id, Some("SG99"), false).await.is_err(), "nobody asked SG99");
    assert_eq!(liaison::acknowledge(services, &actor, id, Some("sg2"), false).await.unwrap(), "SG2");
    assert_eq!(bench.show(id).await.view.state, "awaiting-reply", "to have it is not to have answered it");

    let holder = "bo@example.org".parse().unwrap();
    liaison::reassign(services, &actor, id, &holder, true).await.unwrap();
    let events = async || bench.show(id).await.view.events.into_iter().map(|event| event.what).collect::<Vec<_>>();
    assert!(!events().await.iter().any(|what| what.contains("reassigned")), "a rehearsal writes nothing");
    liaison::reassign(services, &actor, id, &holder, false).await.unwrap();
    bench.advance(TimeDelta::days(38));
    assert_eq!(liaison::remind(services).await.unwrap(), 1);
    let reminders = bench.posts("SG12RG-AMR", ".reminder@").await;
    let Audience::Listed(list) = &reminders[0].audience else { panic!("{:?}", reminders[0].audience) };
    let who: Vec<&str> = list.iter().map(|recipient| recipient.address.as_str()).collect();
    assert!(who.contains(&"bo@example.org") && !who.contains(&"sam@example.org"), "{who:?}");

    assert!(liaison::take(services, &actor, id, " ", false).await.is_err(), "in somebody's words");
    liaison::take(services, &actor, id, "answered by telephone, Bo", false).await.unwrap();
    assert_eq!(bench.show(id).await.view.state, "answered");
    assert!(events().await.iter().any(|what| what == "action taken: answered by telephone, Bo"));
    for day in 0..20 {
        bench.advance(TimeDelta::days(1));
        assert_eq!(liaison::remind(services).await.unwrap(), 0, "day {day}");
    }
    assert!(liaison::reassign(services, &actor, id, &holder, false).await.is_err(), "nothing is waited for");
}

#[tokio::test]
async fn what_is_wrong_and_who_gets_it_is_said_in_the_readers_language() {
    let bench = Bench::new("2026-12-01T15:00:00Z").await;
    let text = block("LS/o on X", "SG2", "22 January 2027").replace("Contact:", "Remark:");
    let id = bench.post("SG12RG-AMR", "tsb@itu.example", &mail("l1@itu.example", "LS", &text)).await.id();
    let english = liaison::show(&bench.services, id, true).await.unwrap();
    assert!(!english.view.problems.is_empty() && !english.routes.is_empty());
    for language in ["es", "fr", "ar", "zh", "ru"] {
        let shown = liaison::show_in(&bench.services, id, true, language.parse().unwrap()).await.unwrap();
        for (own, english) in shown.view.problems.iter().zip(&english.view.problems) {
            assert!(own.rule == english.rule && own.text != english.text, "{language} {}: {}", own.rule, own.text);
        }
        for (own, english) in shown.routes.iter().zip(&english.routes) {
            assert!(own.to == english.to && own.reason != english.reason, "{language}: {}", own.reason);
        }
    }
}

#[tokio::test]
async fn a_search_in_texts_reads_no_more_than_it_may_and_goes_on_where_it_stopped() {
    let bench = Bench::new("2026-12-01T15:00:00Z").await;
    for number in 0..6 {
        let words = if number % 2 == 0 { "About jitter." } else { "About loss." };
        let text = format!("{}\n{words}\n", block(&format!("LS/o on {number}"), "SG2", "22 January 2027"));
        bench.post("SG12RG-AMR", "tsb@itu.example", &mail(&format!("s{number}@itu.example"), "LS", &text)).await;
        bench.advance(TimeDelta::minutes(1));
    }
    let search = async |words: &str, before, most| {
        let filter = liaison::Filter { text: Some(words.into()), ..liaison::Filter::default() };
        let found = liaison::search(&bench.services, &filter, before, most).await.unwrap();
        let titles: Vec<String> = found.lines.iter().map(|line| line.title.0.values().next().cloned().unwrap_or_default()).collect();
        (titles, found.next)
    };
    let (first, next) = search("jitter", None, 3).await;
    assert_eq!(first, ["LS/o on 4"], "three texts were read: 5, 4 and 3");
    assert!(next.is_some());
    // Among the oldest are the drafts that the groups began with, made in the same millisecond as the first statement.
    let (mut older, mut next, mut parts) = (Vec::new(), next, 1);
    while next.is_some() {
        let (titles, further) = search("jitter", next, 3).await;
        (older, next, parts) = ([older, titles].concat(), further, parts + 1);
    }
    assert_eq!(older, ["LS/o on 2", "LS/o on 0"]);
    assert!(parts >= 3, "{parts} parts of three texts each");
    assert_eq!(search("LS/o on 1", None, liaison::TEXTS_READ).await, (vec!["LS/o on 1".to_owned()], None));
    let (whole, _) = search("jitter", None, liaison::TEXTS_READ).await;
    assert_eq!(whole.len(), 3);
    let none = search("", None, 0).await;
    assert!(none.0.len() >= 6 && none.1.is_none(), "without words nothing is read");
}
