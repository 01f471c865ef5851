//! Signing in by a link, sessions, and the keys of forms.

use enlace::config::Config;

use crate::site::{Page, Running};

/// The value of a cookie that a page sets.
fn cookie(page: &Page, name: &str) -> Option<String> {
    page.head.lines().filter_map(|line| line.strip_prefix("set-cookie: ")).find_map(|cookie| {
        let (pair, attributes) = cookie.split_once("; ")?;
        assert!(attributes.contains("HttpOnly") && attributes.contains("SameSite=Lax"), "{cookie}");
        pair.strip_prefix(&format!("{name}=")).map(str::to_owned)
    })
}

async fn ask(site: &Running, address: &str) -> (Page, String) {
    let page = site.post("/sign-in", &format!("address={address}&then=%2Fme")).await;
    let browser = cookie(&page, "enlace-browser").expect("the browser is marked");
    (page, browser)
}

#[tokio::test]
async fn a_link_signs_in_once_in_the_browser_that_asked() {
    let site = Running::start().await;
    let (page, browser) = ask(&site, "ana%40example.org").await;
    assert_eq!(page.status, 200);
    let link = site.mailed_link("ana@example.org").await;
    let own = format!("Cookie: enlace-browser={browser}");

    for fields in [&[][..], &["Cookie: enlace-browser=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"]] {
        assert_eq!(site.request("GET", &link, fields, b"").await.status, 403, "another browser");
        let entered = site.request("POST", &link, fields, b"").await;
        assert_eq!((entered.status, cookie(&entered, "enlace-session")), (404, None));
    }
    for method in ["GET", "HEAD", "GET"] {
        let looked = site.request(method, &link, &[&own], b"").await;
        assert_eq!((looked.status, cookie(&looked, "enlace-session")), (200, None), "{method} of a scanner");
    }
    let entered = site.request("POST", &link, &[&own], b"then=//evil.example").await;
    assert_eq!((entered.status, entered.field("location")), (400, ""), "no form");
    let form = "Content-Type: application/x-www-form-urlencoded";
    let entered = site.request("POST", &link, &[&own, form], b"then=%2F%2Fevil.example").await;
    assert_eq!((entered.status, entered.field("location")), (303, "/me"));
    let session = cookie(&entered, "enlace-session").unwrap();
    let again = site.request("POST", &link, &[&own, form], b"").await;
    assert_eq!((again.status, cookie(&again, "enlace-session")), (404, None), "a link works once");

    let signed = format!("Cookie: enlace-session={session}");
    let page = site.request("GET", "/", &[&signed], b"").await;
    assert!(page.body.contains("ana@example.org") && page.body.contains("lang=\"es\""), "{}", page.body);
    assert!(!page.body.contains(&session), "the cookie's value stands in no page");
    let key = page.body.split("name=\"key\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    for (fields, body) in [
        (vec![signed.as_str(), form], String::new()),
        (vec![signed.as_str(), form], format!("key={}", &key[1..])),
        (vec![signed.as_str(), form, "Origin: https://evil.example"], format!("key={key}")),
        (vec![signed.as_str(), form, "Sec-Fetch-Site: cross-site"], format!("key={key}")),
        (vec![form], format!("key={key}")),
    ] {
        let page = site.request("POST", "/sign-out", &fields, body.as_bytes()).await;
        assert_eq!(page.status, 403, "{fields:?} {body}");
    }
    let out = site.request("POST", "/sign-out", &[&signed, form], format!("key={key}").as_bytes()).await;
    assert_eq!(out.status, 303, "{}", out.body);
    let page = site.request("GET", "/", &[&signed], b"").await;
    assert!(!page.body.contains("ana@example.org"), "the session is over on the server, not only in the browser");
}

#[tokio::test]
async fn an_unknown_address_gets_the_same_answer() {
    let site = Running::start().await;
    let (known, _) = ask(&site, "ana%40example.org").await;
    let (unknown, _) = ask(&site, "eva%40example.org").await;
    assert_eq!(known.status, unknown.status);
    assert_eq!(known.body.replace("ana@", "eva@"), unknown.body);
    assert_eq!(known.head.len(), unknown.head.len());
    let wrong = site.post("/sign-in", "address=nobody").await;
    assert_eq!(wrong.status, 422);
}

#[tokio::test]
async fn a_network_cannot_ask_without_end_and_a_person_gets_five_links_an_hour() {
    let site = Running::start().await;
    let mut last = 0;
    for _ in 0..=enlace::web::attempts::ATTEMPTS {
        last = site.post("/sign-in", "address=ana%40example.org").await.status;
    }
    assert_eq!(last, 429);
    let mails = site.mails_to("ana@example.org", 5).await;
    assert_eq!(mails.len(), 5, "{mails:?}");
}

#[tokio::test]
async fn a_suspended_account_is_signed_out_at_once() {
    let site = Running::start().await;
    let session = site.sign_in(&site.ana).await;
    let signed = format!("Cookie: enlace-session={session}");
    assert!(site.request("GET", "/", &[&signed], b"").await.body.contains("ana@example.org"));
    let actor = enlace::service::Actor::command_line();
    enlace::service::account::suspend(&site.services, &actor, site.ana.address(), "left", false).await.unwrap();
    assert!(!site.request("GET", "/", &[&signed], b"").await.body.contains("ana@example.org"));
}

#[tokio::test]
async fn the_institutions_sign_in_is_offered_and_says_what_to_do_when_it_fails() {
    let plain = Running::start().await;
    assert!(!plain.get("/sign-in").await.body.contains("/sign-in/oidc"), "not offered without a provider");
    assert_eq!(plain.get("/sign-in/oidc").await.status, 404);
    // A port on which nobody listens.
    let nobody = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let settings = format!("issuer = \"http://{nobody}\"\nclient_id = \"enlace\"\nclient_secret = \"s\"\n[claims]\nemail = \"email\"\n");
    let config = Config { oidc: Some(toml::from_str(&settings).unwrap()), ..Config::default() };
    let site = Running::start_with(config).await;
    let page = site.get("/sign-in?then=/groups/SG12&lang=es").await;
    assert!(page.body.contains("/sign-in/oidc?then=") && page.body.contains("Entrar con la cuenta"), "{}", page.body);
    for path in ["/sign-in/oidc", "/sign-in/oidc/back?state=x&code=y", "/sign-in/oidc/back?error=access_denied"] {
        let page = site.get(path).await;
        assert_eq!(page.status, 403, "{path}");
        assert!(page.body.contains("You could not be signed in") && page.body.contains("href=\"/sign-in\""), "{path}: {}", page.body);
        assert!(!page.head.contains("enlace-session="), "{path}: nobody is signed in");
    }
    let again = site.request("POST", "/sign-in/oidc/nosuchtoken", &["Content-Type: application/x-www-form-urlencoded"], b"then=/me").await;
    assert!(again.status == 403 && again.body.contains("You could not be signed in"), "{}", again.body);
}

#[tokio::test]
async fn a_stranger_who_asks_for_links_does_not_use_up_hers() {
    let site = Running::start().await;
    let form = "Content-Type: application/x-www-form-urlencoded";
    let ask = async |from: &str| {
        let from = format!("X-Forwarded-For: {from}");
        site.request("POST", "/sign-in", &[form, &from], b"address=ana%40example.org").await
    };
    for _ in 0..12 {
        assert_eq!(ask("192.0.2.7").await.status, 200);
    }
    site.mails_to("ana@example.org", 5).await;
    ask("198.51.100.1").await;
    assert_eq!(site.mails_to("ana@example.org", 6).await.len(), 6, "five of the stranger's, and hers");
    for _ in 0..30 {
        ask("192.0.2.8").await;
    }
    let too_many = ask("192.0.2.8").await;
    assert_eq!((too_many.status, too_many.field("retry-after")), (429, "600"));
}
