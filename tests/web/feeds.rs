//! Atom feeds (RFC 4287): what a cache may keep of them, and who gets what.

use crate::site::Page;
use crate::stage::{Stage, Who};

fn id(page: &Page) -> &str {
    page.body.split("<id>").nth(1).and_then(|rest| rest.split("</id>").next()).unwrap_or_default()
}

#[tokio::test]
async fn a_feed_that_depends_on_who_asks_is_kept_by_nobody_else() {
    let stage = Box::pin(Stage::set(false)).await;
    for path in ["/liaisons/feed.atom", "/groups/SG12RG-AMR/feed.atom"] {
        let page = stage.get(Who::Anonymous, path).await;
        assert_eq!(page.field("cache-control"), "public, max-age=900", "{path}");
        assert!(page.field("vary").contains("Cookie") && page.field("vary").contains("Accept-Language"), "{path}: {}", page.head);
        let tag = format!("If-None-Match: {}", page.field("etag"));
        assert!(tag.len() > 20, "{}", page.head);
        let again = stage.site.request("GET", path, &[&tag], b"").await;
        assert_eq!((again.status, again.body.as_str()), (304, ""), "{path}");
    }
    let (stranger, secretariat) =
        (stage.get(Who::Anonymous, "/liaisons/feed.atom").await, stage.get(Who::Tsb, "/liaisons/feed.atom").await);
    assert!(secretariat.body.contains(&stage.statement), "{}", secretariat.body);
    assert!(secretariat.field("cache-control").starts_with("private"), "{}", secretariat.head);
    assert!(secretariat.field("vary").contains("Cookie"));
    assert_ne!(id(&secretariat), id(&stranger), "another feed has another identifier");
    let some = stage.get(Who::Anonymous, "/liaisons/feed.atom?state=closed").await;
    assert_ne!(id(&some), id(&stranger), "so has a part of it");
}
