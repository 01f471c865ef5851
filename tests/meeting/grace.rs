//! Within the grace time of an act: the next act takes its place, and nobody hears what nobody needs to hear.

use chrono::TimeDelta;
use enlace::domain::post::{Post, PostState};
use enlace::service::{Actor, meeting, queue};

use crate::service::{Bench, FILE, id};

/// Posts that go out, oldest first.
async fn going_out(bench: &Bench) -> Vec<Post> {
    let mut posts = bench.posts("SG12RG-AMR").await;
    posts.retain(|post| post.state == PostState::Accepted);
    posts.reverse();
    posts
}

async fn state(bench: &Bench, milestone: &str) -> (String, String) {
    let plan = meeting::plan(&bench.services, &id()).await.unwrap();
    let notice = plan.notices.iter().find(|notice| notice.key.contains(&format!(":{milestone}:"))).unwrap();
    (notice.state.clone(), notice.reason.clone())
}

async fn cancel(bench: &Bench) {
    meeting::cancel(&bench.services, &Actor::command_line(), &id(), false).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_meeting_that_is_cancelled_before_anybody_heard_of_it_is_never_heard_of() {
    let bench = Bench::new("2026-12-01T10:00:00Z").await;
    let applied = bench.apply(FILE).await;
    assert_eq!(applied.meetings[0].goes_out_at, Some(bench.clock.now() + TimeDelta::minutes(10)));
    bench.send().await;
    assert_eq!(state(&bench, "announcement").await.0, "planned", "it has not left");
    bench.clock.advance(TimeDelta::minutes(5));
    let dry = meeting::cancel(&bench.services, &Actor::command_line(), &id(), true).await.unwrap();
    assert!(meeting::preview(&bench.services, &dry).await.unwrap().is_empty());
    assert_eq!(meeting::goes_out_at(&bench.services, &dry).await.unwrap(), None);
    // At once, so that a service that stops now sends nothing when it comes back.
    cancel(&bench).await;
    assert!(going_out(&bench).await.is_empty());
    assert!(bench.send().await.is_empty());
    assert_eq!(state(&bench, "announcement").await, ("skipped".into(), "the meeting is cancelled".into()));
    assert_eq!(state(&bench, "cancelled").await, ("skipped".into(), "nobody had heard of the meeting, so nobody is told".into()));
    // It takes place after all: one announcement.
    bench.clock.advance(TimeDelta::minutes(1));
    bench.apply(FILE).await;
    bench.send().await;
    let posts = going_out(&bench).await;
    assert_eq!(posts.len(), 1);
    assert!(posts[0].subject.contains("Meeting announcement"), "{}", posts[0].subject);
    // Once it is out, its cancellation is told.
    bench.clock.advance(TimeDelta::minutes(11));
    cancel(&bench).await;
    bench.send().await;
    let posts = going_out(&bench).await;
    assert_eq!(posts.len(), 2);
    assert!(posts[1].subject.contains("Cancel") && posts[0].not_before < posts[1].not_before, "{posts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_within_the_grace_time_is_one_mail_with_the_new_state() {
    let bench = Bench::new("2026-12-01T10:00:00Z").await;
    bench.apply(FILE).await;
    bench.send().await;
    for place in ["Puebla", "Cancun"] {
        bench.clock.advance(TimeDelta::minutes(5));
        bench.apply(&FILE.replace("Mexico City", place)).await;
        assert_eq!(bench.send().await, ["sg12rg-amr-2027:announcement:0"]);
        let posts = going_out(&bench).await;
        assert_eq!(posts.len(), 1);
        assert!(posts[0].subject.contains("Meeting announcement") && posts[0].subject.contains(place), "{}", posts[0].subject);
        assert_eq!(posts[0].not_before, bench.clock.now() + TimeDelta::minutes(10));
    }
    assert!(bench.send().await.is_empty());
    // A crash between the steps: the marks are as they were, and the posts are stopped already.
    let (_, marks) = bench.store.entry("meeting-notices", id().as_str()).await.unwrap().unwrap();
    bench.clock.advance(TimeDelta::minutes(1));
    cancel(&bench).await;
    let (version, _) = bench.store.entry("meeting-notices", id().as_str()).await.unwrap().unwrap();
    bench.store.put_entry("meeting-notices", id().as_str(), version, marks).await.unwrap();
    assert!(bench.send().await.is_empty());
    assert!(going_out(&bench).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_person_stopped_is_said_and_comes_with_the_next_change() {
    let bench = Bench::new("2026-12-01T10:00:00Z").await;
    bench.apply(FILE).await;
    bench.send().await;
    let post = going_out(&bench).await.remove(0);
    queue::drop_post(&bench.services, &Actor::command_line(), post.id, false).await.unwrap();
    assert!(bench.send().await.is_empty());
    assert_eq!(state(&bench, "announcement").await, ("skipped".into(), "stopped within its grace time, and nobody got it".into()));
    bench.clock.advance(TimeDelta::hours(1));
    bench.apply(&FILE.replace("Mexico City", "Puebla")).await;
    assert_eq!(bench.send().await, ["sg12rg-amr-2027:announcement:0"]);
    assert_eq!(going_out(&bench).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_announced_does_not_become_a_draft_again() {
    let bench = Bench::new("2026-12-01T10:00:00Z").await;
    bench.apply(FILE).await;
    let draft = FILE.replace("\"announced\"", "\"draft\"");
    let refused = meeting::apply(&bench.services, &Actor::command_line(), std::path::Path::new("m.toml"), &draft, false).await.unwrap_err();
    assert!(refused.to_string().contains("cannot become a draft again"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_day_before_the_first_part_speaks_of_it() {
    let bench = Bench::new("2026-12-01T20:00:00Z").await;
    bench.apply(&FILE.replace("2027-04-05T", "2027-03-16T")).await;
    bench.send().await;
    let mut days = Vec::new();
    for _ in 0..150 {
        bench.clock.advance(TimeDelta::days(1));
        for key in bench.send().await.iter().filter(|key| key.contains("tomorrow")) {
            days.push(format!("{} {key}", bench.clock.now().format("%m-%d")));
            let text = bench.text(&bench.posts("SG12RG-AMR").await[0], "en").await;
            let named = text.contains("Workshop on quality of service: 16 March 2027, 0930 hours");
            assert_eq!(named, key.contains("tomorrow-first"), "{text}");
        }
    }
    assert_eq!(days, ["03-15 sg12rg-amr-2027:tomorrow-first:0", "04-05 sg12rg-amr-2027:tomorrow:0"]);
}
