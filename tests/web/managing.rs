//! What managers and operators do on their pages, by the forms that the pages carry.

use chrono::TimeDelta;
use enlace::domain::post::PostState;
use enlace::service::{moderate, period, reconfirm};

use crate::site::code;
use crate::stage::{GROUP, Stage, Who};

/// A page whose attributes are read as a browser reads them.
fn plain(page: &str) -> String {
    page.replace("&#x2f;", "/")
}

#[tokio::test]
async fn two_persons_release_and_a_sender_is_always_let_through_until_it_is_taken_back() {
    let stage = Stage::set(false).await;
    let services = &stage.site.services;
    let mut group = (*services.group(&code(GROUP)).unwrap()).clone();
    group.house.two_persons = true;
    services.store.put_groups(vec![group]).await.unwrap();
    services.reload_groups().await.unwrap();
    let held = format!("/manage/{GROUP}/held/{}", stage.held);
    let first = stage.post(Who::Moderator, &held, "act=allow").await;
    assert!(first.status == 303 && first.field("location").ends_with("done=half-released"), "{}", first.head);
    let own = stage.get(Who::Moderator, &held).await;
    assert!(own.body.contains("Another person has to do so too") && !own.body.contains("value=\"release\""), "{}", own.body);
    let other = stage.get(Who::Manager, &held).await;
    assert!(other.body.contains("bruno@example.org") && other.body.contains("value=\"release\""), "{}", other.body);
    let second = stage.post(Who::Manager, &held, "act=release").await;
    assert!(second.field("location").ends_with("done=released"), "{}", second.head);
    assert_eq!(services.store.post(stage.held).await.unwrap().unwrap().state, PostState::Accepted);
    let allowed = async || {
        let senders = moderate::allowed(services, &code(GROUP)).await.unwrap();
        senders.into_iter().any(|sender| sender.address == "ana@example.org" && sender.by == "bruno@example.org")
    };
    assert!(allowed().await);
    let list = stage.get(Who::Moderator, &format!("/manage/{GROUP}/held")).await;
    assert!(list.body.contains("Always let through") && list.body.contains("ana@example.org"), "{}", list.body);
    stage.post(Who::Moderator, &format!("/manage/{GROUP}/allowed"), "sender=ana%40example.org").await;
    assert!(!allowed().await);
}

#[tokio::test]
async fn an_announcement_is_stopped_within_its_grace_time_and_not_afterwards() {
    let stage = Stage::set(false).await;
    let services = &stage.site.services;
    let mut post = services.store.post(stage.post).await.unwrap().unwrap();
    post.state = PostState::Accepted;
    post.not_before = services.now() + TimeDelta::minutes(10);
    services.store.update_post(post).await.unwrap();
    let overview = stage.get(Who::Manager, &format!("/manage/{GROUP}")).await;
    let stop = format!("/manage/{GROUP}/stop/{}", stage.post);
    assert!(plain(&overview.body).contains(&stop), "{}", overview.body);
    assert_eq!(stage.post(Who::Manager, &stop, "").await.status, 303);
    assert!(matches!(services.store.post(stage.post).await.unwrap().unwrap().state, PostState::Withdrawn(_)));
    let again = stage.post(Who::Manager, &stop, "").await;
    assert_eq!(again.status, 422, "{}", again.body);
    let trail = stage.get(Who::Manager, &format!("/manage/{GROUP}/audit?q=post+stop")).await;
    assert!(trail.body.contains("mona@example.org") && !trail.body.contains("member add"), "{}", trail.body);
}

#[tokio::test]
async fn rules_are_shown_previewed_and_carried_out() {
    let stage = Stage::set(false).await;
    let services = &stage.site.services;
    let mut eli = crate::site::account(50, "eli@example.org", *b"MX", &["es"]);
    eli.study_groups = vec![code("SG12")];
    services.store.put_accounts(vec![eli.clone()]).await.unwrap();
    let path = format!("/manage/{GROUP}/rules");
    let shown = stage.get(Who::Manager, &format!("{path}?lang=es")).await;
    assert!(shown.body.contains("afiliado a \u{2068}SG12\u{2069}"), "{}", shown.body);
    let preview = stage.post(Who::Manager, &path, "act=preview").await;
    assert!(preview.body.contains("eli@example.org") && preview.body.contains("value=\"do\""), "{}", preview.body);
    let of = async || services.store.subscription(&code(GROUP), eli.id).await.unwrap();
    assert!(of().await.is_none(), "a preview subscribes nobody");
    assert_eq!(stage.post(Who::Manager, &path, "act=do").await.status, 303);
    assert!(of().await.is_some_and(|subscription| subscription.is_active()));
}

#[tokio::test]
async fn a_person_adds_an_address_by_its_link_while_signed_in_and_changes_her_calendar() {
    let stage = Stage::set(false).await;
    let asked = stage.post(Who::Member, "/me/address", "act=add&address=ana%40home.example.org").await;
    assert!(asked.field("location").ends_with("done=address-asked"), "{}", asked.head);
    let mails = stage.site.mails_to("ana@home.example.org", 1).await;
    let mail = mails[0].replace("=\r\n", "");
    let token: String = mail.split("/me/address/").nth(1).unwrap().chars().take_while(char::is_ascii_alphanumeric).collect();
    let path = format!("/me/address/{token}");
    assert_eq!(stage.get(Who::Anonymous, &path).await.status, 303, "signing in comes first");
    assert_eq!(stage.get(Who::Guest, &path).await.status, 404, "and as the one who asked");
    let question = stage.get(Who::Member, &path).await;
    assert!(question.status == 200 && question.body.contains("ana@home.example.org"), "{}", question.body);
    assert_eq!(stage.post(Who::Member, &path, "").await.status, 303);
    assert_eq!(stage.post(Who::Member, &path, "").await.status, 404, "once");
    let page = stage.get(Who::Member, "/me").await;
    assert!(page.body.contains("ana@home.example.org"), "{}", page.body);
    let link = |body: &str| plain(body).split("id=\"calendar\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let before = link(&page.body);
    let address = |link: &str| link[link.find("/calendar/").unwrap()..].to_owned();
    assert_eq!(stage.site.get(&address(&before)).await.status, 200);
    assert_eq!(stage.post(Who::Member, "/me/calendar", "").await.status, 303);
    let now = link(&stage.get(Who::Member, "/me").await.body);
    assert_eq!((stage.site.get(&address(&before)).await.status, stage.site.get(&address(&now)).await.status), (404, 200));
}

#[tokio::test]
async fn a_new_group_is_described_by_a_form_whose_values_are_no_more_than_values() {
    let stage = Stage::set(false).await;
    let body = "act=new&code=SG13RG-XYZ&parent=SG13&region=europe&list=sg13rg-xyz&languages=en&languages=&name-en=A%22+%7D+retired+%3D+true&members=Mexico%0ABrazil";
    let preview = stage.post(Who::Operator, "/admin/groups", body).await;
    assert!(
        preview.status == 200 && preview.body.contains("SG13RG-XYZ") && preview.body.contains("supporting_members"),
        "{}",
        preview.body
    );
    assert!(stage.site.services.group(&code("SG13RG-XYZ")).is_err(), "a preview makes no group");
    let text = "[[group]]\ncode = \"SG13RG-XYZ\"\nkind = \"regional\"\nparent = \"SG13\"\nregion = \"europe\"\nlist = \"sg13rg-xyz\"\nname = { en = \"X\" }\nsupporting_members = [\"A\", \"B\"]\n";
    let applied = stage.post(Who::Operator, "/admin/groups", &format!("act=apply&text={}", enlace::web::pages::encoded(text))).await;
    assert!(plain(&applied.body).contains("/admin/liaisons/"), "the draft to TSAG is shown: {}", applied.body);
    let ask = stage.post(Who::Operator, "/admin/groups", "act=end&code=SG13RG-XYZ").await;
    assert!(ask.body.contains("would end") && !stage.site.services.group(&code("SG13RG-XYZ")).unwrap().retired, "{}", ask.body);
    assert_eq!(stage.post(Who::Operator, "/admin/groups", "act=retire&code=SG13RG-XYZ").await.status, 200);
    assert!(stage.site.services.group(&code("SG13RG-XYZ")).unwrap().retired);
}

#[tokio::test]
async fn a_period_is_previewed_and_begun_and_its_question_is_answered_by_a_button() {
    let stage = Stage::set(false).await;
    let services = &stage.site.services;
    let fields = format!("period=2025-2028&answer_by=2026-12-24&groups={GROUP}");
    let preview = stage.post(Who::Operator, "/admin/period", &format!("act=preview&{fields}")).await;
    assert!(preview.status == 200 && preview.body.contains("Begin the period"), "{}", preview.body);
    let waiting = async || services.store.requests(None).await.unwrap().into_iter().filter(|one| one.verb == period::VERB).count();
    assert_eq!(waiting().await, 0);
    assert_eq!(stage.post(Who::Operator, "/admin/period", &format!("act=do&{fields}")).await.status, 200);
    assert_eq!(waiting().await, 3, "ana, bruno and mona are active in it");
    let request = services.store.requests(None).await.unwrap().into_iter().find(|one| one.address.as_str() == "ana@example.org").unwrap();
    let path = format!("/c/{}", services.keys.address_token(enlace::mail::token::Purpose::Confirm, request.id.0));
    let question = stage.get(Who::Anonymous, &path).await;
    assert!(question.body.contains("Do you stay in") && question.body.contains(GROUP), "{}", question.body);
    assert_eq!(stage.site.post(&path, "").await.status, 200);
    assert_eq!(waiting().await, 2);
    let wrong = stage.post(Who::Operator, "/admin/period", "act=preview&period=2025&answer_by=2026-12-24").await;
    assert_eq!(wrong.status, 422, "{}", wrong.body);
}

#[tokio::test]
async fn an_account_is_confirmed_on_its_owners_page_and_by_the_link_of_the_mail() {
    let stage = Stage::set(false).await;
    let services = &stage.site.services;
    let mut config = enlace::config::Config::clone(&services.config);
    config.directory.reconfirm = vec![enlace::domain::account::AccountKind::Ties];
    services.config.replace(config);
    assert!(!stage.get(Who::Member, "/me").await.body.contains("action=\"/c/"), "nobody is asked yet");
    assert!(reconfirm::run(services).await.unwrap().asked > 0);
    let me = plain(&stage.get(Who::Member, "/me").await.body);
    let path = me.split("action=\"").find(|part| part.starts_with("/c/")).unwrap().split('"').next().unwrap().to_owned();
    let question = stage.get(Who::Anonymous, &path).await;
    assert!(question.status == 200 && question.body.contains("Do you still need your account"), "{}", question.body);
    assert!(plain(&stage.get(Who::Member, "/me").await.body).contains(&path), "looking changes nothing");
    assert_eq!(stage.site.post(&path, "").await.status, 200);
    let me = plain(&stage.get(Who::Member, "/me").await.body);
    assert!(!me.contains("/c/") && me.contains("confirm"), "{me}");
    assert_eq!(stage.site.post(&path, "").await.status, 404, "said once");
    let ana = enlace::service::account::show(services, stage.site.ana.address()).await.unwrap();
    assert_eq!((ana.account.confirmed.as_deref(), ana.account.confirm_by), (Some("2026-11-24"), None));
}

#[tokio::test]
async fn an_absence_may_begin_later_keeps_the_digest_and_ends_with_a_button() {
    let stage = Stage::set(false).await;
    let services = &stage.site.services;
    let hers = async || services.store.subscription(&code(GROUP), stage.site.ana.id).await.unwrap().unwrap();
    let settings = format!("/me/subscriptions/{GROUP}");
    stage.post(Who::Member, &settings, "delivery=digest&stream=discuss").await;
    assert_eq!(stage.post(Who::Member, "/me/vacation", "from=2026-12-10&until=2026-12-05").await.status, 422);
    assert_eq!(hers().await.absence, None);
    assert_eq!(stage.post(Who::Member, "/me/vacation", "from=2026-12-10&until=2026-12-24").await.status, 303);
    let absent = hers().await;
    let on = |day: &str| absent.mode_on(day.parse().unwrap());
    assert_eq!([on("2026-12-09"), on("2026-12-10"), on("2026-12-24"), on("2026-12-25")], {
        use enlace::domain::subscription::DeliveryMode::{Digest, None};
        [Digest, None, None, Digest]
    });
    // Each date stands between marks that keep it together in a text of the other direction.
    let me = stage.get(Who::Member, "/me?lang=en").await.body.replace(['\u{2068}', '\u{2069}'], "");
    assert!(me.contains("No mail comes from 10 December 2026 to 24 December 2026"), "{me}");
    stage.post(Who::Member, &settings, "delivery=digest&stream=discuss").await;
    assert_eq!(hers().await.absence, absent.absence, "other settings leave it alone");
    assert_eq!(stage.post(Who::Member, "/me/vacation", "act=end").await.status, 303);
    let back = hers().await;
    assert_eq!((back.absence, back.delivery), (None, absent.delivery));
    assert_eq!(stage.post(Who::Member, "/me/vacation", "from=&until=2026-12-24").await.status, 303);
    assert_eq!(hers().await.absence.unwrap().from.to_string(), "2026-11-24", "without a first day it begins today");
}

#[tokio::test]
async fn jobs_show_when_they_run_and_a_held_statement_is_corrected_field_by_field() {
    let stage = Stage::set(false).await;
    let jobs = stage.get(Who::Operator, "/admin/jobs?lang=es").await;
    assert!(jobs.body.contains("Plazos de las reuniones") && jobs.body.contains("2026-11-25 08:00"), "{}", jobs.body);
    assert_eq!(stage.post(Who::Operator, "/admin/jobs", "act=sync").await.status, 404, "there is no directory to read");
    let path = format!("/admin/liaisons/{}", stage.statement);
    let page = stage.get(Who::Operator, &path).await;
    assert!(page.status == 200 && page.body.contains("This is the body of the statement."), "{}", page.body);
    let unchanged = stage.post(Who::Operator, &path, "act=correct").await;
    assert!(unchanged.field("location").ends_with("done=unchanged"), "{}", unchanged.head);
}
