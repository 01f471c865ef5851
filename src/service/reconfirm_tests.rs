use super::*;
use crate::config::Config;
use crate::domain::address::EmailAddress;
use crate::domain::post::Audience;
use crate::service::account::{self, Manner};
use crate::service::subscribe::{self, Invite, Outcome, Settings};
use crate::service::trial::{Trial, code, operator};

fn address(text: &str) -> EmailAddress {
    text.parse().unwrap()
}

/// gus and kim are guests; ana and rosa are of Mexico, for which flor answers; ben is of nobody's roster.
async fn peopled(kinds: &[AccountKind]) -> Trial {
    let trial = Trial::peopled().await;
    let more = "email,name,kind,category,organisation,country,languages,roles\n\
        ana@x.test,Ana Example,ties,member-state,Mexico,MX,es,\n\
        rosa@x.test,Rosa Example,ties,member-state,mexico ,MX,es,\n\
        flor@x.test,Flor Focal,ties,member-state,Mexico,MX,es,focal-point\n\
        kim@x.test,Kim Guest,guest,,,,fr,\n";
    account::import(&trial.services, &operator(), more.as_bytes(), "b.csv", Manner::default()).await.unwrap();
    account::set(&trial.services, &operator(), &address("ana@x.test"), &["expires=".into()], false).await.unwrap();
    let people = ["ana@x.test", "rosa@x.test", "gus@x.test", "kim@x.test"].map(str::to_owned);
    subscribe::add(&trial.services, &operator(), &code("AMR"), &people, &Settings::default(), Invite::Until(None), false).await.unwrap();
    let mut config = Config::clone(&trial.services.config);
    config.directory.reconfirm = kinds.to_vec();
    trial.services.config.replace(config);
    trial
}

/// Mails that ask: to whom, subject, text.
async fn mails(trial: &Trial) -> Vec<(String, String, String)> {
    let mut mails = Vec::new();
    for post in trial.services.store.posts_to_plan(trial.services.now(), 1_000).await.unwrap() {
        let Audience::Listed(rows) = &post.audience else { continue };
        if post.origin == "robot:confirm-account" {
            let body = trial.services.store.body(&post.editions[0].body).await.unwrap();
            mails.push((rows[0].address.clone(), post.subject.clone(), String::from_utf8_lossy(&body).replace("=\r\n", "")));
        }
    }
    mails.sort();
    mails
}

async fn request_of(trial: &Trial, to: &str) -> Request {
    let requests = trial.services.store.requests(None).await.unwrap();
    requests.into_iter().find(|request| request.verb == VERB && request.address.as_str() == to).unwrap()
}

async fn row(trial: &Trial, of: &str) -> account::AccountRow {
    account::show(&trial.services, &address(of)).await.unwrap().account
}

async fn days(trial: &Trial, count: i64) -> Done {
    let mut all = Done::default();
    for _ in 0..count {
        trial.advance_days(1);
        let done = run(&trial.services).await.unwrap();
        (all.asked, all.reminded, all.resting) = (all.asked + done.asked, all.reminded + done.reminded, all.resting + done.resting);
    }
    all
}

#[tokio::test]
async fn nobody_is_asked_unless_it_is_switched_on() {
    let trial = peopled(&[]).await;
    trial.advance_days(4_000);
    assert_eq!(run(&trial.services).await.unwrap(), Done::default());
    assert!(mails(&trial).await.is_empty());
}

#[tokio::test]
async fn a_guest_is_asked_after_a_year_reminded_twice_rests_and_comes_back_by_a_late_answer() {
    let trial = peopled(&[AccountKind::Guest]).await;
    let services = &trial.services;
    trial.advance_days(363);
    assert_eq!(days(&trial, 1).await, Done::default(), "not before the year is over");
    assert_eq!(days(&trial, 1).await, Done { asked: 2, ..Done::default() });
    assert_eq!(run(services).await.unwrap(), Done::default(), "a job that runs twice asks once");
    let asked = mails(&trial).await;
    assert_eq!(asked.iter().map(|mail| mail.0.as_str()).collect::<Vec<_>>(), ["gus@x.test", "kim@x.test"]);
    assert!(asked[1].1.contains("votre compte"), "kim is asked in French: {}", asked[1].1);
    let request = request_of(&trial, "gus@x.test").await;
    let token = services.keys.address_token(Purpose::Confirm, request.id.0);
    assert!(asked[0].2.contains(&format!("/c/{token}")) && asked[0].2.contains(&format!("-confirm+{token}@")), "{}", asked[0].2);
    assert_eq!(row(&trial, "gus@x.test").await.confirm_by.as_deref(), Some("2027-12-24"));
    let gus = services.store.account_by_address(&address("gus@x.test")).await.unwrap().unwrap();
    assert_eq!(open(services, &gus).await.unwrap()[0].token, token, "her page asks too");
    // Kim answers, gus does not.
    let kim = request_of(&trial, "kim@x.test").await;
    assert!(matches!(subscribe::confirm(services, kim.id).await.unwrap(), Outcome::Subscribed(_)));
    assert_eq!(days(&trial, 30).await, Done { reminded: 2, ..Done::default() });
    assert_eq!(mails(&trial).await.iter().filter(|mail| mail.1.contains("reminder")).count(), 2);
    assert_eq!(days(&trial, 5).await, Done { resting: 1, ..Done::default() });
    assert_eq!(trial.roster("AMR").await, "ana@x.test active, gus@x.test suspended, kim@x.test active, rosa@x.test active");
    let shown = account::show(services, &address("gus@x.test")).await.unwrap();
    let why = "the account of gus@x.test rests because it was not confirmed by 2027-12-24";
    assert_eq!((shown.account.standing, shown.subscriptions[0].reason.as_deref()), ("suspended", Some(why)));
    // Months later.
    trial.advance_days(100);
    subscribe::lapse(services).await.unwrap();
    assert!(matches!(subscribe::confirm(services, request.id).await.unwrap(), Outcome::Subscribed(_)));
    assert!(trial.roster("AMR").await.contains("gus@x.test active"));
    let shown = row(&trial, "gus@x.test").await;
    assert_eq!((shown.standing, shown.confirmed.as_deref(), shown.confirm_by), ("active", Some("2028-04-07"), None));
    assert!(matches!(subscribe::confirm(services, request.id).await, Err(Failure::NotFound(_))), "a token is good once");
}

#[tokio::test]
async fn a_focal_point_answers_for_her_organisation_and_others_for_themselves() {
    let trial = peopled(&[AccountKind::Ties]).await;
    let services = &trial.services;
    trial.advance_days(365);
    assert_eq!(run(services).await.unwrap().asked, 3, "the roster of Mexico, ben, mia");
    let asked = mails(&trial).await;
    assert_eq!(asked.iter().map(|mail| mail.0.as_str()).collect::<Vec<_>>(), ["ben@x.test", "flor@x.test", "mia@x.test"]);
    assert!(["Ana Example", "Rosa Example", "flor@x.test"].iter().all(|name| asked[1].2.contains(name)), "{}", asked[1].2);
    assert!(asked[1].1.contains("cuentas de Mexico"), "{}", asked[1].1);
    let request = request_of(&trial, "flor@x.test").await;
    let (organisation, named) = people(services, &request).await.unwrap().unwrap();
    assert_eq!((organisation.as_str(), named.len()), ("Mexico", 3));
    assert_eq!(row(&trial, "rosa@x.test").await.confirm_by.as_deref(), Some("2027-12-24"), "the list shows whom it is about");
    assert_eq!(days(&trial, 40).await.resting, 4, "ana, rosa, ben and mia; who answers for others does not rest");
    assert_eq!(trial.roster("AMR").await, "ana@x.test suspended, gus@x.test active, kim@x.test active, rosa@x.test suspended");
    subscribe::confirm(services, request.id).await.unwrap();
    assert_eq!(trial.roster("AMR").await, "ana@x.test active, gus@x.test active, kim@x.test active, rosa@x.test active");
    assert_eq!(days(&trial, 60).await, Done::default());
    // The secretariat vouches for ben, and he is asked a year later again.
    account::set(services, &operator(), &address("ben@x.test"), &["standing=active".into()], false).await.unwrap();
    assert_eq!(days(&trial, 200).await, Done::default());
    assert!(row(&trial, "ben@x.test").await.confirmed.is_some());
}

#[tokio::test]
async fn who_has_left_is_suspended_and_stays_so_while_the_others_are_confirmed() {
    let trial = peopled(&[AccountKind::Ties]).await;
    let services = &trial.services;
    trial.advance_days(365);
    run(services).await.unwrap();
    let request = request_of(&trial, "flor@x.test").await;
    let mut ids = Vec::new();
    for one in ["rosa@x.test", "flor@x.test", "ben@x.test"] {
        ids.push(services.store.account_by_address(&address(one)).await.unwrap().unwrap().id);
    }
    assert_eq!(left(services, &request, &ids).await.unwrap(), 1, "not who answers, nor who is of no roster of hers");
    subscribe::confirm(services, request.id).await.unwrap();
    assert_eq!(trial.roster("AMR").await, "ana@x.test active, gus@x.test active, kim@x.test active, rosa@x.test suspended");
    assert_eq!(row(&trial, "rosa@x.test").await.standing, "suspended");
    // Later questions are not about her, and their answers do not bring her back.
    days(&trial, 366).await;
    let again = request_of(&trial, "flor@x.test").await;
    let (_, named) = people(services, &again).await.unwrap().unwrap();
    assert_eq!(named.iter().map(|one| one.address().as_str()).collect::<Vec<_>>(), ["ana@x.test", "flor@x.test"]);
    subscribe::confirm(services, again.id).await.unwrap();
    assert_eq!(row(&trial, "rosa@x.test").await.standing, "suspended");
    // A question about one person names nobody else.
    let own = request_of(&trial, "mia@x.test").await;
    let ana = services.store.account_by_address(&address("ana@x.test")).await.unwrap().unwrap().id;
    assert_eq!(left(services, &own, &[ana]).await.unwrap(), 0);
}

#[tokio::test]
async fn what_was_cut_off_goes_on_where_it_stopped_and_no_mail_goes_out_twice() {
    let trial = peopled(&[AccountKind::Guest]).await;
    let services = &trial.services;
    trial.advance_days(365);
    run(services).await.unwrap();
    // As if the process had ended after the mails and before they were noted.
    for (key, version, bytes) in services.store.entries(REGISTER, None, 10).await.unwrap() {
        let mut confirmation = decode(&bytes).unwrap();
        confirmation.round.as_mut().unwrap().told = 0;
        services.store.put_entry(REGISTER, &key, version, record::encode(&confirmation).unwrap()).await.unwrap();
    }
    run(services).await.unwrap();
    assert_eq!(mails(&trial).await.len(), 2);
    // And as if it had ended before the request was kept.
    let request = request_of(&trial, "gus@x.test").await;
    services.store.take_request(request.id).await.unwrap();
    trial.advance_days(16);
    run(services).await.unwrap();
    assert_eq!(request_of(&trial, "gus@x.test").await.id, request.id, "the token of the first mail is good again");
    // Who sleeps over the end gives the last reminder and three days.
    trial.advance_days(300);
    assert_eq!(run(services).await.unwrap(), Done { reminded: 2, ..Done::default() });
    assert_eq!(days(&trial, 3).await, Done::default());
    assert_eq!(days(&trial, 1).await.resting, 2);
}

#[tokio::test]
async fn nothing_of_an_erased_person_stays() {
    let trial = peopled(&[AccountKind::Guest]).await;
    let services = &trial.services;
    trial.advance_days(365);
    run(services).await.unwrap();
    let id = services.store.account_by_address(&address("gus@x.test")).await.unwrap().unwrap().id;
    let erased = account::erase(services, &operator(), &address("gus@x.test"), false).await.unwrap();
    assert!(!erased.fields.iter().any(|line| line.contains("still named")), "{:?}", erased.fields);
    assert_eq!(services.store.entry(REGISTER, &id.to_string()).await.unwrap(), None);
}
