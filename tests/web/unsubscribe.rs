//! `/u/TOKEN`: RFC 8058.

use enlace::domain::reason::{Reason, Rule};
use enlace::domain::subscription::{DeliveryMode, Role, Stream, SubscriptionState};

use crate::site::{Running, code};

#[tokio::test]
async fn looking_changes_nothing_and_speaks_the_readers_language() {
    let site = Running::start().await;
    for method in ["GET", "HEAD", "GET", "OPTIONS", "PUT", "DELETE"] {
        let page = site.request(method, &site.link(), &["Accept-Language: fr"], b"").await;
        let expected = if matches!(method, "GET" | "HEAD") { 200 } else { 405 };
        assert_eq!(page.status, expected, "{method}");
        assert_eq!(site.state().await, SubscriptionState::Active, "{method}");
        if method == "GET" {
            assert!(page.body.contains("<html lang=\"es\"") && page.body.contains("Darme de baja"), "{}", page.body);
        }
    }
    let undo = site.get(&format!("{}/undo", site.link())).await;
    assert_eq!(undo.status, 405);
    let arabic = site.get(&format!("{}?lang=ar", site.link())).await;
    assert!(arabic.body.contains("<html lang=\"ar\" dir=\"rtl\">"), "{}", arabic.body);
}

#[tokio::test]
async fn one_click_acts_at_once_and_twice_is_the_same() {
    let site = Running::start().await;
    for _ in 0..2 {
        let page = site.post(&site.link(), "List-Unsubscribe=One-Click").await;
        assert_eq!((page.status, page.field("location")), (200, ""));
        assert!(page.body.contains("ana@example.org"), "{}", page.body);
        assert!(matches!(site.state().await, SubscriptionState::Unsubscribed(_)));
    }
    let multipart = "--b\r\nContent-Disposition: form-data; name=\"List-Unsubscribe\"\r\n\r\nOne-Click\r\n--b--\r\n";
    let page = site.request("POST", &site.link(), &["Content-Type: multipart/form-data; boundary=b"], multipart.as_bytes()).await;
    assert_eq!(page.status, 200);
}

#[tokio::test]
async fn undo_brings_back_who_left_and_nobody_else() {
    let site = Running::start().await;
    site.post(&site.link(), "List-Unsubscribe=One-Click").await;
    let page = site.post(&format!("{}/undo", site.link()), "").await;
    assert_eq!(page.status, 200);
    assert_eq!(site.state().await, SubscriptionState::Active);

    let mut subscription = site.services.store.subscription(&code("SG12RG-AMR"), site.ana.id).await.unwrap().unwrap();
    let about = ["ana@example.org", "SG12RG-AMR", "manager@example.org", "2026-11-24"];
    subscription.state = SubscriptionState::Unsubscribed(Reason::new(Rule::RemovedByManager, about));
    site.services.store.put_subscriptions(vec![subscription]).await.unwrap();
    let page = site.post(&format!("{}/undo", site.link()), "").await;
    assert_eq!(page.status, 200);
    assert_ne!(site.state().await, SubscriptionState::Active, "{}", page.body);
}

#[tokio::test]
async fn a_forged_or_cut_link_does_nothing_and_says_so() {
    let site = Running::start().await;
    let good = site.link();
    let other = site.services.keys.one_click(enlace::domain::id::AccountId(77), &code("SG12RG-AMR"));
    for path in [&good[..good.len() - 1], "/u/aaaa", "/u/%00", "/u/../../etc/passwd", &format!("/u/{other}"), &format!("{good}a")] {
        for page in [site.get(path).await, site.post(path, "List-Unsubscribe=One-Click").await] {
            assert!(matches!(page.status, 404 | 405), "{path}: {}", page.status);
            assert!(page.body.contains("<html"), "{path}");
        }
    }
    assert_eq!(site.state().await, SubscriptionState::Active);
}

/// Path of the button that undoes what the page said.
fn undo_path(page: &crate::site::Page) -> String {
    let body = page.body.replace("&#x2f;", "/").replace("&amp;", "&");
    let found = body.split("action=\"").find(|rest| rest.split('"').next().is_some_and(|action| action.contains("/undo")));
    found.expect("a button that undoes it").split('"').next().unwrap().to_owned()
}

#[tokio::test]
async fn undo_on_the_page_gives_back_what_she_was() {
    let site = Running::start().await;
    let group = code("SG12RG-AMR");
    let mut manager = site.services.store.subscription(&group, site.ana.id).await.unwrap().unwrap();
    manager.role = Role::Manager;
    manager.streams = vec![Stream::Announce];
    manager.delivery.mode = DeliveryMode::Digest;
    site.services.store.put_subscriptions(vec![manager.clone()]).await.unwrap();
    let page = site.post(&site.link(), "List-Unsubscribe=One-Click").await;
    let undo = undo_path(&page);
    let page = site.post(&undo, "").await;
    assert_eq!(page.status, 200, "{}", page.body);
    assert_eq!(site.services.store.subscription(&group, site.ana.id).await.unwrap(), Some(manager.clone()));

    // A role that was taken meanwhile does not come back, nor does anything after an hour.
    for (hours, role) in [(0, Role::Member), (2, Role::Manager)] {
        site.services.store.put_subscriptions(vec![manager.clone()]).await.unwrap();
        let undo = undo_path(&site.post(&site.link(), "List-Unsubscribe=One-Click").await);
        let mut left = site.services.store.subscription(&group, site.ana.id).await.unwrap().unwrap();
        left.role = role;
        site.services.store.put_subscriptions(vec![left]).await.unwrap();
        site.services.clock.advance(chrono::TimeDelta::hours(hours));
        site.post(&undo, "").await;
        let back = site.services.store.subscription(&group, site.ana.id).await.unwrap().unwrap();
        assert_eq!((back.role, back.is_active()), (Role::Member, true), "{hours}");
    }
}

#[tokio::test]
async fn undo_needs_no_approval_but_standing() {
    let site = Running::start().await;
    let group = code("SG12RG-AMR");
    let mut guest = site.ana.clone();
    guest.kind = enlace::domain::account::AccountKind::Guest;
    site.services.store.put_accounts(vec![guest.clone()]).await.unwrap();
    let undo = undo_path(&site.post(&site.link(), "List-Unsubscribe=One-Click").await);
    site.post(&format!("{}/undo", site.link()), "").await;
    assert!(matches!(site.state().await, SubscriptionState::Pending(_)), "a guest who asks anew waits for a manager");
    let mut left = site.services.store.subscription(&group, site.ana.id).await.unwrap().unwrap();
    left.state = SubscriptionState::Active;
    site.services.store.put_subscriptions(vec![left]).await.unwrap();
    assert_eq!(site.post(&undo, "").await.status, 200);

    let undo = undo_path(&site.post(&site.link(), "List-Unsubscribe=One-Click").await);
    assert_eq!(site.post(&undo, "").await.status, 200);
    assert_eq!(site.state().await, SubscriptionState::Active, "who leaves by mistake does not");
    let undo = undo_path(&site.post(&site.link(), "List-Unsubscribe=One-Click").await);
    guest.standing = enlace::domain::account::Standing::Suspended { since: site.services.now(), reason: "by the office".into() };
    site.services.store.put_accounts(vec![guest]).await.unwrap();
    site.post(&undo, "").await;
    assert_ne!(site.state().await, SubscriptionState::Active);
}
