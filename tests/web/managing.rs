//! What managers and operators do on their pages, by the forms that the pages carry.

use chrono::TimeDelta;
use enlace::domain::post::PostState;
use enlace::service::{Actor, liaison, moderate, period, reconfirm};

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
    assert!(trail.body.contains("mona@example.org") && !trail.body.contains("Members added"), "{}", trail.body);
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
async fn rules_of_the_form_are_previewed_and_only_what_was_previewed_is_saved() {
    let stage = Stage::set(false).await;
    let services = &stage.site.services;
    let mut eli = crate::site::account(50, "eli@example.org", *b"BR", &["es"]);
    eli.study_groups = vec![code("SG12")];
    services.store.put_accounts(vec![eli.clone()]).await.unwrap();
    let path = format!("/manage/{GROUP}/rules");
    let rules = async || services.group(&code(GROUP)).unwrap().house.rules.clone();
    let before = rules().await;
    let form = "use-0=on&account-0=ties&category-0=member-state&countries-0=br&affiliations-0=SG12&remove-0=on&countries-1=MX";
    let unseen = stage.post(Who::Manager, &path, &format!("act=save&{form}")).await;
    assert!(unseen.status == 200 && unseen.body.contains("eli@example.org"), "{}", unseen.body);
    assert_eq!(rules().await, before, "what was not previewed is previewed first");
    let preview = stage.post(Who::Manager, &path, &format!("act=try&{form}")).await;
    assert!(preview.body.contains("eli@example.org") && preview.body.contains("value=\"save\""), "{}", preview.body);
    let previewed = preview.body.split("name=\"previewed\" value=\"").nth(1).unwrap().split('"').next().unwrap();
    let previewed = enlace::web::pages::encoded(&plain(previewed).replace("&quot;", "\""));
    let other = format!("act=save&previewed={previewed}&{}", form.replace("=br", "=mx"));
    assert_eq!(stage.post(Who::Manager, &path, &other).await.status, 200);
    assert_eq!(rules().await, before, "another rule than the one that was previewed");
    let saved = stage.post(Who::Manager, &path, &format!("act=save&previewed={previewed}&{form}")).await;
    assert!(saved.status == 303 && saved.field("location").ends_with("done=saved"), "{}", saved.body);
    let now = rules().await;
    assert!(now.len() == 1 && now[0].countries == ["BR"] && now[0].remove && now[0].affiliations == [code("SG12")], "{now:?}");
    assert!(services.store.subscription(&code(GROUP), eli.id).await.unwrap().is_none(), "saving subscribes nobody");
    let wrong = stage.post(Who::Manager, &path, "act=try&use-0=on&countries-0=XX").await;
    assert!(wrong.status == 422 && wrong.body.contains("XX"), "{}", wrong.body);
    let trail = stage.get(Who::Manager, &format!("/manage/{GROUP}/audit?q=group+set")).await;
    assert!(trail.body.contains("mona@example.org"), "{}", trail.body);
}

#[tokio::test]
async fn what_a_group_asks_is_set_on_its_page_and_only_an_operator_ends_the_second_person() {
    let stage = Stage::set(false).await;
    let services = &stage.site.services;
    let path = format!("/manage/{GROUP}/settings");
    let body = "moderate=yes&release_by=2&monthly_reminder=yes&banned=Eve%40x.example%0A%40spam.example&purpose.es=Trabajo&footer.en=";
    let saved = stage.post(Who::Manager, &path, body).await;
    assert!(saved.status == 303 && saved.field("location").ends_with("done=saved"), "{}", saved.body);
    let group = services.group(&code(GROUP)).unwrap();
    let house = &group.house;
    assert!(
        house.moderate && house.two_persons && group.monthly_reminder && house.banned == ["eve@x.example", "@spam.example"],
        "{house:?}"
    );
    assert!(!house.rules.is_empty(), "rules are no field of this page");
    let page = stage.get(Who::Manager, &path).await;
    assert!(page.body.contains("eve@x.example") && page.body.contains("Trabajo") && page.body.contains(" disabled"), "{}", page.body);
    let shown = stage.get(Who::Anonymous, &format!("/groups/{GROUP}/data-protection?lang=es")).await;
    assert!(shown.body.contains("Trabajo"), "{}", shown.body);
    // A form that was made before somebody else's change takes nothing back.
    let as_of = page.body.split("name=\"as_of\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let body = format!("as_of={as_of}&guest_liaison=none");
    assert_eq!(stage.post(Who::Manager, &path, &body).await.status, 303);
    let stale = stage.post(Who::Manager, &path, &format!("as_of={as_of}&guest_liaison=full")).await;
    assert!(stale.status == 422 && stale.body.contains("somebody else changed the settings"), "{}", stale.body);
    let alone = stage.post(Who::Manager, &path, "release_by=1").await;
    assert!(alone.status == 422 && alone.body.contains("Only those who run the service"), "{}", alone.body);
    let wrong = stage.post(Who::Manager, &path, "banned=nobody&moderate=no").await;
    assert!(wrong.status == 422 && services.group(&code(GROUP)).unwrap().house.moderate, "nothing is changed: {}", wrong.body);
    assert_eq!(stage.post(Who::Operator, &path, "release_by=1&banned=").await.status, 303);
    let house = services.group(&code(GROUP)).unwrap().house.clone();
    assert!(!house.two_persons && house.banned.is_empty() && house.moderate, "{house:?}");
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

/// The stage of a service that has TIES accounts confirmed.
async fn with_confirmations() -> Stage {
    let stage = Stage::set(false).await;
    let mut config = enlace::config::Config::clone(&stage.site.services.config);
    config.directory.reconfirm = vec![enlace::domain::account::AccountKind::Ties];
    stage.site.services.config.replace(config);
    stage
}

#[tokio::test]
async fn an_account_is_confirmed_on_its_owners_page_and_by_the_link_of_the_mail() {
    let stage = with_confirmations().await;
    let services = &stage.site.services;
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
async fn a_focal_point_ticks_who_has_left_and_confirms_the_others() {
    let stage = with_confirmations().await;
    let services = &stage.site.services;
    let operator = enlace::service::Actor { name: "command line".into() };
    let rosa = b"email,name,kind,category,organisation,country\nrosa@example.org,Rosa,ties,member-state,Conatel,HN\n";
    enlace::service::account::import(services, &operator, rosa, "a.csv", Default::default()).await.unwrap();
    let fields = ["organisation=Conatel".to_owned(), "roles=focal-point".to_owned()];
    enlace::service::account::set(services, &operator, stage.site.ana.address(), &fields, false).await.unwrap();
    assert!(reconfirm::run(services).await.unwrap().asked > 0);
    let me = plain(&stage.get(Who::Member, "/me").await.body);
    let path = me.split('"').find(|part| part.starts_with("/c/")).unwrap().to_owned();
    let question = plain(&stage.get(Who::Anonymous, &path).await.body);
    assert!(question.contains("Tick who has left") && question.contains("rosa@example.org"), "{question}");
    let boxes: Vec<&str> = question.split("name=\"left\" value=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    assert_eq!(boxes.len(), 1, "of herself she says nothing: {question}");
    assert_eq!(stage.site.post(&path, &format!("left={}", boxes[0])).await.status, 200);
    let of = async |address: &str| enlace::service::account::show(services, &address.parse().unwrap()).await.unwrap().account;
    assert_eq!((of("rosa@example.org").await.standing, of("ana@example.org").await.standing), ("suspended", "active"));
    assert!(of("ana@example.org").await.confirmed.is_some());
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

/// A statement without a deadline, which V-rules hold because action is asked for.
async fn waiting_statement(stage: &Stage) -> String {
    let mail = "From: tess@example.org\r\nTo: sg12rg-amr-liaison@lists.example.org\r\nSubject: LS/o on quality [to TSAG]\r\n\
                Message-ID: <waits@example.org>\r\nDate: Tue, 24 Nov 2026 08:00:00 +0000\r\nMIME-Version: 1.0\r\n\
                Content-Type: text/plain; charset=utf-8\r\n\r\nSource: ITU-T SG12RG-AMR\r\nTitle: LS/o on quality [to TSAG]\r\n\
                For action to: TSAG\r\nQuestion(s): 7/12\r\nApproval: ITU-T SG12RG-AMR meeting (Mexico City, 28 September 2026)\r\n\
                Deadline: N/A\r\nContact: Ana Example, tel +41 22 000 0000, ana@example.org\r\n\r\nThe body beside the form.\r\n";
    let services = &stage.site.services;
    let actor = Actor::command_line();
    let submitted = liaison::submit_file(services, &actor, mail.as_bytes().to_vec().into(), Some(code(GROUP)), false).await.unwrap();
    submitted.shown.view.id
}

#[tokio::test]
async fn the_form_beside_the_text_corrects_the_fields_that_differ_and_no_others() {
    let stage = Stage::set(false).await;
    let services = &stage.site.services;
    let id = waiting_statement(&stage).await;
    let shown = async || liaison::show(services, id.parse().unwrap(), true).await.unwrap();
    let before = shown().await.view;
    assert!(
        before.deadline.is_none() && !matches!(before.state, "circulated" | "awaiting-reply"),
        "{}: {:?}",
        before.state,
        before.problems
    );
    let overview = stage.get(Who::Tsb, "/admin").await;
    let path = format!("/admin/liaisons/{id}");
    assert!(plain(&overview.body).contains(&path), "it waits on the secretariat's page: {}", overview.body);
    let page = stage.get(Who::Tsb, &path).await;
    assert!(page.body.contains("The body beside the form.") && plain(&page.body).contains("LS/o on quality"), "{}", page.body);
    assert_eq!(stage.post(Who::Member, &path, "act=correct&questions=8%2F12").await.status, 403);

    // As a browser sends it: every field, of which two were changed.
    let value = |name: &str| {
        let tag = page.body.split("<input").find(|tag| tag.contains(&format!("name=\"{name}\""))).unwrap_or_else(|| panic!("no {name}"));
        let value = tag.split("value=\"").nth(1).unwrap().split('"').next().unwrap();
        plain(value).replace("&quot;", "\"").replace("&#x27;", "'").replace("&amp;", "&")
    };
    let mut body = "act=correct".to_owned();
    for name in ["title-en", "source", "questions", "action", "comment", "information", "approval", "deadline", "contact"] {
        let sent = match name {
            "deadline" => "2027-01-22".to_owned(),
            "title-en" => "LS/o on quality of service [to TSAG]".to_owned(),
            _ => value(name),
        };
        body.push_str(&format!("&{name}={}", enlace::web::pages::encoded(&sent)));
    }
    let saved = stage.post(Who::Tsb, &path, &body).await;
    assert!(
        saved.status == 303 && saved.field("location").ends_with("done=saved"),
        "{} {} {}",
        saved.status,
        saved.field("location"),
        saved.body
    );
    let after = shown().await.view;
    assert_eq!(after.deadline.map(|day| day.to_string()).as_deref(), Some("2027-01-22"));
    assert_eq!(after.editions[0].title, "LS/o on quality of service [to TSAG]");
    let named = |view: &enlace::domain::liaison::view::LiaisonView| {
        serde_json::to_value((&view.source, &view.questions, &view.destinations, &view.approval, &view.contacts)).unwrap()
    };
    assert_eq!(named(&after), named(&before), "what was sent as it was stays");
    let again = stage.get(Who::Tsb, &path).await;
    assert!(again.body.contains("value=\"2027-01-22\""), "{}", again.body);
    let wrong = stage.post(Who::Tsb, &path, "act=correct&deadline=soon").await;
    assert!(wrong.status == 422 && shown().await.view.deadline == after.deadline, "{} {}", wrong.status, wrong.body);
}

/// Cancelling asks first, with the mail that readers would get; changing begins with what is there.
#[tokio::test]
async fn a_meeting_is_changed_from_its_text_and_cancelled_after_a_question() {
    let stage = Box::pin(Stage::set(false)).await;
    let list = "/manage/SG12RG-AMR/meetings";
    let fresh = stage.get(Who::Manager, list).await;
    assert!(fresh.body.contains("id = &quot;sg12rg-amr-2027-2&quot;"), "a new one never takes the id of another: {}", fresh.body);
    let page = stage.get(Who::Manager, &format!("{list}?change={}", stage.meeting)).await;
    assert!(page.body.contains("city = &quot;Mexico City&quot;"), "{}", page.body);
    let found = enlace::service::meeting::find(&stage.site.services, &stage.meeting.parse().unwrap()).await.unwrap();
    let text = enlace::service::meeting::written(&found).replace("Mexico City", "Monterrey");
    let preview = stage.post(Who::Manager, list, &format!("text={}", enlace::web::pages::encoded(&text))).await;
    assert!(preview.body.contains("Monterrey") && preview.body.contains("changes") && preview.body.contains("Venue"), "{}", preview.body);
    let one = format!("{list}/{}", stage.meeting);
    let state = async || enlace::service::meeting::find(&stage.site.services, &stage.meeting.parse().unwrap()).await.unwrap().status;
    let asked = stage.post(Who::Manager, &one, "act=ask-cancel").await;
    assert!(asked.status == 200 && asked.body.contains("value=\"cancel\""), "{}", asked.body);
    assert_eq!(state().await, enlace::domain::meeting::MeetingStatus::Announced);
    let done = stage.post(Who::Manager, &one, "act=cancel").await;
    assert_eq!(done.status, 303);
    assert_eq!(state().await, enlace::domain::meeting::MeetingStatus::Cancelled);
}

/// A file as a browser sends it.
async fn upload(stage: &Stage, name: &str, file: &[u8]) -> crate::site::Page {
    let path = "/manage/SG12RG-AMR/members/import";
    let mut body = format!("--B\r\nContent-Disposition: form-data; name=\"key\"\r\n\r\n{}\r\n", stage.key(Who::Manager, path)).into_bytes();
    body.extend(
        format!("--B\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\nContent-Type: text/csv\r\n\r\n").bytes(),
    );
    body.extend(file);
    body.extend(b"\r\n--B--\r\n");
    let cookie = stage.cookie(Who::Manager).unwrap();
    stage.site.request("POST", path, &["Content-Type: multipart/form-data; boundary=B", &cookie], &body).await
}

#[tokio::test]
async fn files_of_every_spreadsheet_are_read_or_told_how_to_be_saved() {
    let stage = Box::pin(Stage::set(false)).await;
    let text = "email,langauges\neva@example.org,es\n";
    let page = upload(&stage, "ours.csv", text.as_bytes()).await;
    assert!(page.status == 200 && page.body.contains("eva@example.org"), "{}", page.body);
    assert!(plain(&page.body).contains("ours.csv, line 1: nobody reads the column"), "{}", page.body);
    assert!(page.body.contains("did you mean"), "{}", page.body);
    let sixteen: Vec<u8> = [0xff, 0xfe].into_iter().chain(text.encode_utf16().flat_map(u16::to_le_bytes)).collect();
    assert!(upload(&stage, "ours.csv", &sixteen).await.body.contains("eva@example.org"));
    let latin = upload(&stage, "ours.csv", b"email,name\neva@example.org,Jos\xe9\n").await;
    assert!(latin.body.contains("save the file as") && latin.body.contains("CSV UTF-8"), "{}", latin.body);
    let workbook = upload(&stage, "ours.xlsx", b"PK\x03\x04rubbish").await;
    assert_eq!(workbook.status, 422);
    assert!(workbook.body.contains("ours.xlsx is a workbook") && plain(&workbook.body).contains("/manage/SG12RG-AMR/members"));
}

#[tokio::test]
async fn pasted_mailboxes_are_addresses_and_nobody_leaves_a_group_without_a_manager_by_a_slip() {
    let stage = Box::pin(Stage::set(false)).await;
    let pasted = enlace::web::pages::encoded("\"Eva\" <eva@example.org>, Gus Guest <gus@example.org>");
    let page = stage.post(Who::Manager, "/manage/SG12RG-AMR/members", &format!("addresses={pasted}")).await;
    assert!(page.body.contains("eva@example.org") && page.body.contains("gus@example.org"), "{}", page.body);
    assert!(!page.body.contains("is not a mail address"), "{}", page.body);

    let held = format!("/manage/{GROUP}/held/{}", stage.held);
    let empty = stage.post(Who::Moderator, &held, "act=reject&reason=+").await;
    assert!(empty.status == 422 && empty.body.contains("say why"), "{}", empty.body);
    assert!(matches!(stage.site.services.store.post(stage.held).await.unwrap().unwrap().state, PostState::Held(_)));

    let services = &stage.site.services;
    let mona = services.store.account_by_address(&"mona@example.org".parse().unwrap()).await.unwrap().unwrap();
    let own = format!("/manage/{GROUP}/members/{}", mona.id);
    for act in ["act=remove", "act=save&role=member&delivery=each"] {
        let page = stage.post(Who::Manager, &own, act).await;
        assert!(page.status == 422 && page.body.contains("only manager"), "{act}: {}", page.body);
    }
    assert_eq!(stage.post(Who::Operator, &own, "act=remove").await.status, 303, "an operator may");
}
