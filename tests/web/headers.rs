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
