//! What strangers write stays text on every page, and looking changes nothing.

use enlace::web::routes::routes;

use crate::stage::{PAYLOADS, Stage, Who};

#[tokio::test]
async fn hostile_texts_are_text_on_every_page() {
    let stage = Stage::set(true).await;
    let mut shown = 0;
    let mut paths: Vec<String> = routes().iter().filter(|route| route.method == "GET").map(|route| stage.path(route.path)).collect();
    paths.push(format!("{}?view=html", stage.path("/groups/{code}/archive/{post}")));
    paths.push("/me/why?message=one@example.org".into());
    paths.push("/manage/SG12RG-AMR/why?message=one@example.org&address=ana@example.org".into());
    paths.push("/manage/SG12RG-AMR/rehearsal?kind=discussion".into());
    for payload in PAYLOADS {
        let payload = enlace::web::pages::encoded(payload);
        for base in
            ["/groups/SG12RG-AMR/archive?q=", "/manage/SG12RG-AMR/members?q=", "/me/why?message=", "/sign-in?then=", "/?done=", "/?lang="]
        {
            paths.push(format!("{base}{payload}"));
        }
    }
    for path in paths {
        for who in [Who::Manager, Who::Member] {
            for language in ["en", "ar"] {
                let separator = if path.contains('?') { '&' } else { '?' };
                let page = stage.get(who, &format!("{path}{separator}lang={language}")).await;
                if page.field("content-type") != "text/html; charset=utf-8" {
                    let attached = page.field("content-disposition").starts_with("attachment") || page.status == 303;
                    let plain = ["text/plain", "text/css", "text/calendar", "application/atom+xml"]
                        .iter()
                        .any(|kind| page.field("content-type").starts_with(kind));
                    assert!(attached || plain, "{path}: {}", page.head);
                    continue;
                }
                shown += usize::from(page.body.contains("alert(1)"));
                let body = page.body.replace("<svg viewBox", "");
                for active in ["<script", "<img", "<svg", "<iframe", "href=\"javascript", "<b onmouseover", " style=", "49{"] {
                    assert!(!body.contains(active), "{path} {who:?} {language}: {active}\n{}", around(&body, active));
                }
                assert!(page.body.len() <= enlace::web::pages::PAGE_OCTETS, "{path}: {}", page.body.len());
                assert!(page.field("content-security-policy").starts_with("default-src 'none'"));
            }
        }
    }
    assert!(shown > 20, "the payloads have to be on the pages, or nothing was tried: {shown}");
}

fn around(text: &str, part: &str) -> String {
    let at = text.find(part).unwrap_or(0);
    text[at.saturating_sub(0)..].chars().take(200).collect()
}

#[tokio::test]
async fn looking_at_every_page_changes_nothing() {
    let stage = Stage::set(false).await;
    let before = picture(&stage).await;
    for route in routes().into_iter().filter(|route| route.method == "GET") {
        for method in ["GET", "HEAD", "GET"] {
            for who in [Who::Operator, Who::Member] {
                let cookie = stage.cookie(who).unwrap();
                let fields = [cookie.as_str(), "X-HTTP-Method-Override: POST", "Sec-Purpose: prefetch"];
                let page = stage.site.request(method, &format!("{}?act=do&_method=POST", stage.path(route.path)), &fields, b"").await;
                assert!(page.status < 500, "{method} {}: {}", route.path, page.status);
                assert!(method == "GET" || page.body.is_empty(), "{}", route.path);
            }
        }
    }
    assert_eq!(picture(&stage).await, before);
}

/// Everything that a person could have changed.
async fn picture(stage: &Stage) -> String {
    let store = &stage.site.services.store;
    let mut picture = format!("{:?}\n{:?}\n", store.groups().await.unwrap(), store.accounts(None, 100).await.unwrap());
    for account in store.accounts(None, 100).await.unwrap() {
        picture += &format!("{:?}\n", store.subscriptions_of_account(account.id).await.unwrap());
    }
    picture += &format!("{:?}\n{:?}\n", store.held_posts(None, 100).await.unwrap(), store.requests(None).await.unwrap());
    picture += &format!("{:?}\n{:?}\n", store.audit(None, 1_000).await.unwrap(), store.entries("meeting", None, 100).await.unwrap());
    picture + &format!("{:?}", store.posts_of_group(&crate::site::code("SG12RG-AMR"), None, 100).await.unwrap())
}
