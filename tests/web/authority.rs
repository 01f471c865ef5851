//! Who gets what at each address: every route of the table with every kind of visitor, and nothing but what the table says.

use std::collections::HashMap;

use enlace::domain::post::{Post, PostState};
use enlace::web::authority::Right;
use enlace::web::routes::routes;

use crate::stage::{OTHER, Stage, Who};

/// Does the right let this visitor through to the page?
fn granted(right: Right, who: Who) -> bool {
    match right {
        Right::Anyone | Right::SameSite | Right::Token => true,
        Right::Account => who != Who::Anonymous,
        Right::Reader => matches!(who, Who::Member | Who::Moderator | Who::Manager | Who::Tsb | Who::Operator),
        Right::Statement => !matches!(who, Who::Anonymous | Who::Guest),
        Right::Moderator => matches!(who, Who::Moderator | Who::Manager | Who::Tsb | Who::Operator),
        Right::Manager => matches!(who, Who::Manager | Who::Tsb | Who::Operator),
        Right::Staff => matches!(who, Who::Tsb | Who::Operator),
        Right::Operator => who == Who::Operator,
    }
}

#[tokio::test]
async fn every_route_answers_every_visitor_as_its_right_says() {
    let stage = Stage::set(false).await;
    let mut seen: HashMap<Right, usize> = HashMap::new();
    for route in routes().into_iter().filter(|route| route.method == "GET") {
        let path = stage.path(route.path);
        *seen.entry(route.rule.right).or_default() += 1;
        for who in Who::ALL {
            let page = stage.get(who, &path).await;
            let place = format!("{} {who:?}: {}", route.path, page.status);
            if granted(route.rule.right, who) {
                assert!(!matches!(page.status, 401 | 403 | 500..), "{place}\n{}", page.body);
                assert!(page.status != 303 || route.path == "/sign-in" || who != Who::Anonymous, "{place}");
            } else if who == Who::Anonymous {
                assert_eq!(page.status, 303, "{place}");
                assert!(page.field("location").starts_with("/sign-in?then=/"), "{place}");
            } else {
                assert_eq!(page.status, 403, "{place}");
            }
        }
    }
    for route in routes().into_iter().filter(|route| route.method == "POST" && !granted(route.rule.right, Who::Anonymous)) {
        for who in Who::ALL.into_iter().filter(|who| !granted(route.rule.right, *who)) {
            let page = stage.post(who, &stage.path(route.path), "act=nothing").await;
            assert_eq!(page.status, 403, "{} {who:?}", route.path);
        }
    }
    use Right::{Account, Anyone, Manager, Moderator, Operator, Reader, Staff, Statement, Token};
    for right in [Anyone, Token, Account, Reader, Statement, Moderator, Manager, Staff, Operator] {
        assert!(seen.contains_key(&right), "no route takes {right:?}");
    }
}

#[tokio::test]
async fn no_form_works_without_its_own_key() {
    let stage = Stage::set(false).await;
    let mut forms = 0;
    for route in routes().into_iter().filter(|route| route.method == "POST" && !matches!(route.rule.right, Right::Token | Right::SameSite))
    {
        let path = stage.path(route.path);
        forms += 1;
        let foreign = stage.key(Who::Tsb, &path);
        let elsewhere = stage.key(Who::Operator, "/me/languages/");
        for body in [String::new(), "key=".into(), "key=aaaaaaaa".into(), format!("key={foreign}"), format!("key={elsewhere}")] {
            let page = stage.post_with(Who::Operator, &path, &format!("{body}&act=do")).await;
            assert_eq!(page.status, 403, "{} with {body}", route.path);
        }
    }
    assert!(forms >= 15, "{forms}");
    let operator = stage.site.services.store.subscriptions_of_account(enlace::domain::id::AccountId(16)).await.unwrap();
    assert!(operator.is_empty());
}

#[tokio::test]
async fn another_groups_objects_are_not_found_by_their_identifiers() {
    let stage = Stage::set(false).await;
    let (post, held, request) = (stage.other_post, stage.other_held, &stage.other_request);
    for path in [
        format!("/groups/SG12RG-AMR/archive/{post}"),
        format!("/groups/SG12RG-AMR/archive/{post}/message/0"),
        format!("/manage/SG12RG-AMR/held/{held}"),
        "/manage/SG12RG-AMR/members/000000000000000d".to_owned(),
    ] {
        let page = stage.get(Who::Manager, &path).await;
        assert_eq!(page.status, 404, "{path}");
        assert!(!page.body.contains("Secret of others"), "{path}");
    }
    for (path, body) in [
        (format!("/manage/SG12RG-AMR/held/{held}"), "act=release"),
        (format!("/manage/SG12RG-AMR/requests/{request}"), "act=approve"),
        (format!("/manage/{OTHER}/held/{held}"), "act=discard"),
        (format!("/manage/{OTHER}/settings"), "subscription=open"),
        ("/manage/SG12RG-AMR/members/000000000000000d".to_owned(), "act=remove"),
    ] {
        let page = stage.post(Who::Manager, &path, body).await;
        assert!(matches!(page.status, 403 | 404), "{path}: {}", page.status);
    }
    let store = &stage.site.services.store;
    assert_eq!(store.post(held).await.unwrap().unwrap().state.as_str(), "held");
    assert!(store.request(request.parse().unwrap()).await.unwrap().is_some());
    let why = stage.get(Who::Manager, "/manage/SG12RG-AMR/why?message=three@example.org&address=otto@example.org").await;
    assert!(!why.body.contains("250 ok") && why.status == 200, "{}", why.body);
    let meetings = "[[meeting]]\nid = \"x-2027\"\ngroups = [\"SG12RG-AMR\", \"SG2RG-AMR\"]\ntitle = { en = \"T\" }\nstart = 2027-05-06\nend = 2027-05-07\n";
    let body = format!("act=do&text={}", enlace::web::pages::encoded(meetings));
    let page = stage.post(Who::Manager, "/manage/SG12RG-AMR/meetings", &body).await;
    assert_eq!(page.status, 403, "a manager does not speak to another group: {}", page.body);
}

#[tokio::test]
async fn a_field_that_a_form_does_not_have_is_not_taken() {
    let stage = Stage::set(false).await;
    let page = stage.post(Who::Member, "/me/subscriptions/SG12RG-AMR", "delivery=each&stream=discuss&role=manager").await;
    assert_eq!(page.status, 303, "{}", page.body);
    let subscription = stage.site.services.store.subscription(&crate::site::code("SG12RG-AMR"), stage.site.ana.id).await.unwrap().unwrap();
    assert_eq!((subscription.role, subscription.streams.len()), (enlace::domain::subscription::Role::Member, 1));
    let body = "subscription=approve&kind=external&participation=sg3&retired=true&list=other";
    let page = stage.post(Who::Manager, "/manage/SG12RG-AMR/settings", body).await;
    assert_eq!(page.status, 303, "{}", page.body);
    let group = stage.site.services.group(&crate::site::code("SG12RG-AMR")).unwrap();
    assert_eq!(
        (serde_json::to_value(group.subscription).unwrap(), group.retired, group.list.as_str()),
        ("approve".into(), false, "sg12rg-amr")
    );
    assert!(!group.is_sg3());
}

#[tokio::test]
async fn a_statement_is_shown_as_its_group_says_and_no_search_finds_what_is_hidden() {
    let stage = Stage::set(false).await;
    let page = format!("/liaisons/{}", stage.statement);
    for (who, whole) in [(Who::Anonymous, false), (Who::Guest, false), (Who::Outsider, true), (Who::Member, true), (Who::Manager, true)] {
        let shown = stage.get(who, &page).await;
        assert!(shown.status == 200 && shown.body.contains("creation of a regional group"), "{who:?}: {}", shown.body);
        assert_eq!(shown.body.contains("the body of the statement"), whole, "{who:?}");
        let found = stage.get(who, "/liaisons?q=body+of+the+statement").await;
        assert_eq!(found.body.contains(&stage.statement), whole, "{who:?}");
        assert!(
            stage.get(who, "/liaisons?q=regional+group&direction=outgoing&group=SG12RG-AMR").await.body.contains(&stage.statement),
            "{who:?}"
        );
        assert!(!stage.get(who, "/liaisons?direction=incoming").await.body.contains(&stage.statement), "{who:?}");
    }
    assert!(stage.get(Who::Manager, &page).await.body.contains("TSAG"), "the manager sees who gets it");
    let settings = stage.post(Who::Manager, "/manage/SG12RG-AMR/settings", "guest_liaison=none").await;
    assert_eq!(settings.status, 303, "{}", settings.body);
    for who in [Who::Anonymous, Who::Guest] {
        assert_eq!(stage.get(who, &page).await.status, 404, "{who:?}");
        assert!(!stage.get(who, "/liaisons").await.body.contains(&stage.statement), "{who:?}");
        assert!(!stage.get(who, "/liaisons/feed.atom").await.body.contains(&stage.statement), "{who:?}");
    }
    assert_eq!(stage.get(Who::Member, &page).await.status, 200);
    // As if it had been planned, which no planner does here.
    let store = &stage.site.services.store;
    for post in store.posts_of_group(&"SG12RG-AMR".parse().unwrap(), None, 100).await.unwrap() {
        if post.origin.starts_with("liaison:") {
            store.update_post(Post { state: PostState::Planned, ..post }).await.unwrap();
        }
    }
    for (who, named) in [(Who::Member, true), (Who::Guest, false)] {
        let own = stage.get(who, "/me").await;
        assert_eq!((own.status, own.body.contains("creation of a regional group")), (200, named), "{who:?}");
    }
}
