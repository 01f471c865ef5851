//! `/c/TOKEN`: looking changes nothing, yes is said once.

use chrono::TimeDelta;
use enlace::domain::id::RequestId;
use enlace::domain::subscription::SubscriptionState;
use enlace::mail::token::Purpose;
use enlace::store::Request;

use crate::site::{Running, code};

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_confirmed_by_the_button_and_never_by_looking() {
    let site = Running::start().await;
    let now = site.services.now();
    let request = Request {
        id: RequestId(77),
        verb: "unsubscribe".into(),
        group: code("SG12RG-AMR"),
        address: site.ana.address().clone(),
        arguments: Vec::new(),
        at: now,
        expires: now + TimeDelta::days(3),
    };
    site.services.store.put_request(request).await.unwrap();
    let path = format!("/c/{}", site.services.keys.address_token(Purpose::Confirm, 77));
    for _ in 0..3 {
        let page = site.get(&path).await;
        assert_eq!(page.status, 200, "{}", page.body);
        assert!(page.body.contains("SG12RG-AMR") && page.body.contains("<form method=\"post\""), "{}", page.body);
        assert_eq!(site.state().await, SubscriptionState::Active);
    }
    let page = site.post(&path, "").await;
    assert_eq!(page.status, 200, "{}", page.body);
    assert!(matches!(site.state().await, SubscriptionState::Unsubscribed(_)));
    assert_eq!(site.post(&path, "").await.status, 404, "said once");
    assert_eq!(site.get("/c/aaaaaaaaaaaaaaaaaaaaaaaaaa").await.status, 404);
}
