//! What every answer carries, and pages for what went wrong.

use crate::site::Running;

#[tokio::test]
async fn every_answer_is_guarded_and_small() {
    let site = Running::start().await;
    let link = site.link();
    for path in ["/", "/groups/SG12", "/groups/sg12rg-amr", "/groups/NOTHING", &link, "/healthz", "/readyz", "/static/enlace.css", "/x"] {
        for language in ["en", "ar", "zh"] {
            let page = site.get(&format!("{path}?lang={language}")).await;
            assert!(page.field("content-security-policy").starts_with("default-src 'none';"), "{path}");
            assert_eq!(page.field("x-content-type-options"), "nosniff", "{path}");
            assert_eq!(page.field("referrer-policy"), "no-referrer", "{path}");
            assert!(page.body.len() <= enlace::web::pages::PAGE_OCTETS, "{path}: {}", page.body.len());
            assert!(!page.body.contains("<script") && !page.body.contains(" style=") && !page.body.contains(" onclick"), "{path}");
        }
    }
    assert_eq!(site.get("/").await.field("cache-control"), "no-store");
    assert_eq!((site.get("/healthz").await.status, site.get("/readyz").await.status), (200, 200));
}

#[tokio::test]
async fn p21_a_service_that_cannot_keep_mail_is_not_ready_and_stays_alive() {
    let site = Running::start().await;
    assert_eq!((site.get("/healthz").await.status, site.get("/readyz").await.status), (200, 200));
    site.services.store.close().await.unwrap();
    assert_eq!((site.get("/healthz").await.status, site.get("/readyz").await.status), (200, 503));
}

#[tokio::test]
async fn what_went_wrong_is_a_page_in_the_readers_language() {
    let site = Running::start().await;
    let missing = site.request("GET", "/nothing", &["Accept-Language: ru"], b"").await;
    assert_eq!(missing.status, 404);
    assert!(missing.body.contains("Страница не найдена"), "{}", missing.body);
    let method = site.request("DELETE", "/", &["Accept-Language: fr"], b"").await;
    assert_eq!((method.status, method.field("allow").contains("GET")), (405, true), "{}", method.head);
    let large = site.request("POST", &site.link(), &[], &vec![b'x'; 200_000]).await;
    assert_eq!(large.status, 413, "{}", large.head);
    assert!(large.body.contains("<html"));
    let head = site.request("HEAD", "/nothing", &[], b"").await;
    assert_eq!((head.status, head.body.as_str()), (404, ""));
}

#[tokio::test]
async fn a_name_with_markup_stays_text() {
    let site = Running::start().await;
    let page = site.get("/groups/%3Cscript%3Ealert(1)%3C%2Fscript%3E?lang=%22%3E%3Cscript%3E").await;
    assert_eq!(page.status, 404);
    assert!(!page.body.contains("<script"), "{}", page.body);
    let groups = site.get("/?lang=es").await;
    assert!(groups.body.contains("SG12RG-AMR") && groups.body.contains("<html lang=\"es\" dir=\"ltr\">"));
}

#[tokio::test]
async fn addresses_with_a_slash_too_many_and_the_icon_of_browsers_have_an_answer() {
    let site = Running::start().await;
    let page = site.get("/groups/SG12RG-AMR/?lang=es").await;
    assert_eq!((page.status, page.field("location")), (308, "/groups/SG12RG-AMR?lang=es"));
    for path in ["//evil.example/", "/groups/SG12RG-AMR//"] {
        assert_eq!(site.get(path).await.status, 404, "{path}");
    }
    assert_eq!(site.get("/favicon.ico").await.status, 204);
}

#[tokio::test]
async fn the_page_of_a_group_shows_its_statements_and_computed_deadlines_as_such() {
    let stage = Box::pin(crate::stage::Stage::set(false)).await;
    let who = crate::stage::Who::Anonymous;
    let page = stage.get(who, "/groups/SG12RG-AMR").await;
    let link = format!("/liaisons/{}", stage.statement);
    assert!(page.body.replace("&#x2f;", "/").contains(&link), "{}", page.body);
    let feed = stage.get(who, "/groups/SG12RG-AMR/feed.atom").await;
    assert!(feed.body.contains(&link), "{}", feed.body);
    let meeting = stage.get(who, &format!("/meetings/{}", stage.meeting)).await;
    assert!(meeting.body.contains("(to be confirmed)"), "{}", meeting.body);
}

#[tokio::test]
async fn open_pages_come_compressed_and_those_of_a_session_do_not() {
    let stage = Box::pin(crate::stage::Stage::set(false)).await;
    let session = stage.cookie(crate::stage::Who::Member).unwrap();
    let gzip = "Accept-Encoding: gzip, deflate";
    for path in ["/", "/groups/SG12RG-AMR", "/static/enlace.css", "/liaisons"] {
        let (plain, short) = (stage.site.get(path).await, stage.site.request("GET", path, &[gzip], b"").await);
        assert_eq!((plain.field("content-encoding"), short.field("content-encoding")), ("", "gzip"), "{path}");
        assert!(plain.field("vary").contains("Accept-Encoding"), "{path}: {}", plain.head);
        let length = |page: &crate::site::Page| page.field("content-length").parse::<usize>().unwrap();
        assert!(length(&short) * 2 < length(&plain), "{path}: {} {}", length(&short), length(&plain));
        if path != "/static/enlace.css" {
            let signed = stage.site.request("GET", path, &[gzip, &session], b"").await;
            assert_eq!(signed.field("content-encoding"), "", "{path}: a page with keys of forms");
        }
    }
    let token = stage.site.request("GET", &stage.site.link(), &[gzip], b"").await;
    assert_eq!((token.status, token.field("content-encoding")), (200, ""));
}
