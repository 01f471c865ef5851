use proptest::prelude::*;

use super::*;
use crate::domain::account::Category;
use crate::domain::gate::tests::{account, group, guest, regional};
use crate::domain::group::GroupKind;
use crate::domain::subscription::{Delivery, Provenance};

fn language(text: &str) -> Language {
    text.parse().unwrap()
}

fn today() -> NaiveDate {
    "2026-11-24".parse().unwrap()
}

fn edition(text: &str) -> EditionFacts {
    EditionFacts { language: Some(language(text)), form: Form::Whole }
}

fn mexico() -> Account {
    account(Category::MemberState, "MX")
}

fn member(group: &Group) -> Subscription {
    Subscription::new(group.code.clone(), AccountId(1), Provenance::Own, "2026-01-01T00:00:00Z".parse().unwrap())
}

fn facts<'a>(kind: PostKind, groups: &'a [Group], editions: &'a [EditionFacts]) -> PostFacts<'a> {
    PostFacts { kind, author: None, groups, editions, coming: &[], calendar: false, today: today() }
}

/// `en,es` for a copy of those editions by the first group, or the key of the reason.
fn outcome(post: &PostFacts<'_>, account: &Account, subscription: &Subscription, had: &[Language]) -> String {
    let shares = shares(post, &Person { account, subscriptions: &[(0, subscription)], had });
    assert_eq!(shares.len(), 1);
    match &shares[0] {
        Share::Copy { editions, .. } => {
            let name = |index: &usize| match post.editions[*index] {
                EditionFacts { language, form: Form::Whole } => language.map_or("plain".to_owned(), |l| l.to_string()),
                EditionFacts { language, form } => format!("{} {form:?}", language.map_or("plain".to_owned(), |l| l.to_string())),
            };
            editions.iter().map(name).collect::<Vec<_>>().join(",")
        }
        Share::Suppressed { reason, .. } => reason.key().to_owned(),
    }
}

#[test]
fn switches_of_a_subscriber() {
    use PostKind::{Announcement, Digest, Discussion, Liaison, Meeting, Owner};
    let until = |mode, day: &str| Delivery { mode, until: Some(day.parse().unwrap()) };
    let digest = Delivery { mode: DeliveryMode::Digest, until: None };
    let none = Delivery { mode: DeliveryMode::None, until: None };
    let base = || member(&regional());
    let only = |streams: &[Stream]| Subscription { streams: streams.to_vec(), ..base() };
    let with = |delivery| Subscription { delivery, ..base() };
    let away = |from: &str, until: &str, subscription| {
        let absence = Some(crate::domain::subscription::Absence { from: from.parse().unwrap(), until: until.parse().unwrap() });
        Subscription { absence, ..subscription }
    };
    for (name, kind, subscription, expected) in [
        ("all on", Discussion, base(), "plain"),
        ("discussion off", Discussion, only(&[Stream::Announce]), "stream-off"),
        ("discussion off, announcement", Announcement, only(&[Stream::Announce]), "plain"),
        ("meeting is of the announce stream", Meeting, only(&[Stream::Liaison]), "stream-off"),
        ("statements off", Liaison, only(&[Stream::Announce, Stream::Discuss]), "stream-off"),
        ("nothing on, mail to the managers", Owner, only(&[]), "plain"),
        ("digest", Discussion, with(digest), "in-digest"),
        ("digest, announcement", Announcement, with(digest), "plain"),
        ("digest, statement", Liaison, with(digest), "plain"),
        ("digest, the digest itself", Digest, with(digest), "plain"),
        ("each, the digest", Digest, base(), "not-in-digest"),
        ("none", Announcement, with(none), "delivery-none"),
        ("none until today", Discussion, with(until(DeliveryMode::None, "2026-11-24")), "delivery-none"),
        ("none until yesterday", Discussion, with(until(DeliveryMode::None, "2026-11-23")), "plain"),
        ("away since yesterday", Discussion, away("2026-11-23", "2026-11-24", base()), "delivery-none"),
        ("away from today", Announcement, away("2026-11-24", "2026-11-30", base()), "delivery-none"),
        ("away from tomorrow", Discussion, away("2026-11-25", "2026-11-30", base()), "plain"),
        ("back since today", Discussion, away("2026-11-01", "2026-11-23", base()), "plain"),
        ("back since today, and the digest is as before", Discussion, away("2026-11-01", "2026-11-23", with(digest)), "in-digest"),
        ("away, with a digest", Digest, away("2026-11-24", "2026-11-24", with(digest)), "delivery-none"),
        ("digest until yesterday", Discussion, with(until(DeliveryMode::Digest, "2026-11-23")), "plain"),
    ] {
        let groups = [regional()];
        assert_eq!(outcome(&facts(kind, &groups, &[EditionFacts::PLAIN]), &mexico(), &subscription, &[]), expected, "{name}");
    }
    let groups = [regional()];
    let post = facts(Discussion, &groups, &[EditionFacts::PLAIN]);
    let subscription = with(until(DeliveryMode::None, "2027-01-15"));
    let share = shares(&post, &Person { account: &mexico(), subscriptions: &[(0, &subscription)], had: &[] }).remove(0);
    let Share::Suppressed { reason, .. } = share else { panic!("a copy in spite of none") };
    assert_eq!(reason.text(), "ana@example.org has switched off delivery in SG12RG-AMR until 2027-01-15");
}

#[test]
fn own_posts_are_left_out_on_wish_and_only_in_the_discussion() {
    let groups = [regional()];
    let own = |kind| PostFacts { author: Some(AccountId(1)), ..facts(kind, &groups, &[EditionFacts::PLAIN]) };
    let without = Subscription { own_posts: false, ..member(&regional()) };
    assert_eq!(outcome(&own(PostKind::Discussion), &mexico(), &without, &[]), "own-post");
    assert_eq!(outcome(&own(PostKind::Discussion), &mexico(), &member(&regional()), &[]), "plain");
    assert_eq!(outcome(&own(PostKind::Announcement), &mexico(), &without, &[]), "plain");
}

#[test]
fn states_and_lost_rights_suppress_with_their_own_reason() {
    let groups = [regional()];
    let post = facts(PostKind::Discussion, &groups, &[EditionFacts::PLAIN]);
    let reason = || Reason::new(Rule::Bouncing, ["x"]);
    for (state, expected) in [
        (SubscriptionState::Suspended(reason()), "bouncing"),
        (SubscriptionState::Pending(Reason::new(Rule::AwaitsApproval, ["x"])), "awaits-approval"),
        (SubscriptionState::Unsubscribed(Reason::new(Rule::OptedOut, ["x"])), "opted-out"),
    ] {
        assert_eq!(outcome(&post, &mexico(), &Subscription { state, ..member(&regional()) }, &[]), expected);
    }
    assert_eq!(outcome(&post, &account(Category::MemberState, "FR"), &member(&regional()), &[]), "outside-region");
    let expired = Account { expires: Some("2026-11-23".parse().unwrap()), ..mexico() };
    assert_eq!(outcome(&post, &expired, &member(&regional()), &[]), "account-expired");
}

#[test]
fn languages_come_from_the_subscription_then_the_account_then_the_group() {
    let group = Group { languages: vec![language("es"), language("en")], ..regional() };
    let groups = [group.clone()];
    for (of_subscription, of_account, there, both, expected) in [
        ("fr", "es", "en es fr", false, "fr"),
        ("", "fr", "en es fr", false, "fr"),
        ("", "", "en es fr", false, "es"),
        ("ru fr", "", "en es fr", false, "fr"),
        ("ru", "", "en es", false, "es"),
        ("ru", "", "en fr", false, "en"),
        ("ru", "", "fr ar", false, "fr"),
        ("en es", "", "es en", true, "en,es"),
        ("en ru", "", "es en", true, "en"),
        ("ru", "", "es en", true, "es"),
    ] {
        let languages = |text: &str| text.split_whitespace().map(language).collect::<Vec<_>>();
        let editions: Vec<_> = there.split(' ').map(edition).collect();
        let account = Account { languages: languages(of_account), ..mexico() };
        let subscription = Subscription { languages: languages(of_subscription), both, ..member(&group) };
        let post = facts(PostKind::Liaison, &groups, &editions);
        assert_eq!(outcome(&post, &account, &subscription, &[]), expected, "{of_subscription}/{of_account} of {there}");
    }
}

#[test]
fn a_late_edition_goes_only_to_those_who_would_have_taken_it() {
    let group = Group { languages: vec![language("en"), language("es")], ..regional() };
    let groups = [group.clone()];
    let prefers = |text: &str, both| {
        let languages = text.split(' ').map(language).collect();
        Subscription { languages, both, ..member(&group) }
    };
    let (en, es) = (language("en"), language("es"));
    // English is there and Spanish is to come: who wants Spanish waits.
    let first = [edition("en")];
    let waiting = PostFacts { coming: &[es], ..facts(PostKind::Liaison, &groups, &first) };
    assert_eq!(outcome(&waiting, &mexico(), &prefers("es en", false), &[]), "awaits-edition");
    assert_eq!(outcome(&waiting, &mexico(), &prefers("en es", false), &[]), "en");
    // Spanish is there: the one who waited, and the ones who had English only for want of it.
    let late = [edition("es")];
    let post = facts(PostKind::Liaison, &groups, &late);
    assert_eq!(outcome(&post, &mexico(), &prefers("es en", false), &[]), "es");
    assert_eq!(outcome(&post, &mexico(), &prefers("es en", false), &[en]), "es");
    assert_eq!(outcome(&post, &mexico(), &prefers("en es", false), &[en]), "has-edition");
    assert_eq!(outcome(&post, &mexico(), &prefers("en es", true), &[en]), "es");
    assert_eq!(outcome(&post, &mexico(), &prefers("es en", true), &[es]), "has-edition");
    assert_eq!(outcome(&post, &mexico(), &prefers("en", false), &[en]), "has-edition");
}

#[test]
fn guests_get_of_a_statement_what_the_group_says_and_never_more() {
    let editions = [edition("en"), EditionFacts { language: Some(language("en")), form: Form::Cover }];
    for (policy, editions, expected) in [
        (GuestLiaison::Full, &editions[..], "en"),
        (GuestLiaison::Cover, &editions[..], "en Cover"),
        (GuestLiaison::Cover, &editions[..1], "guest-no-liaison"),
        (GuestLiaison::None, &editions[..], "guest-no-liaison"),
    ] {
        let groups = [Group { guest_liaison: policy, ..regional() }];
        assert_eq!(outcome(&facts(PostKind::Liaison, &groups, editions), &guest(), &member(&groups[0]), &[]), expected, "{policy:?}");
        assert_eq!(outcome(&facts(PostKind::Liaison, &groups, editions), &mexico(), &member(&groups[0]), &[]), "en");
        assert_eq!(outcome(&facts(PostKind::Announcement, &groups, editions), &guest(), &member(&groups[0]), &[]), "en");
    }
}

#[test]
fn slow_lines_get_links_where_there_are_any() {
    let editions = [edition("en"), EditionFacts { language: Some(language("en")), form: Form::Links }];
    let groups = [regional()];
    let links = Subscription { links: true, ..member(&regional()) };
    assert_eq!(outcome(&facts(PostKind::Liaison, &groups, &editions), &mexico(), &links, &[]), "en Links");
    assert_eq!(outcome(&facts(PostKind::Liaison, &groups, &editions[..1]), &mexico(), &links, &[]), "en");
}

#[test]
fn a_duplicate_names_the_group_by_which_she_gets_it() {
    let groups = [regional(), group("SG12", GroupKind::Study), group("TSAG", GroupKind::Advisory)];
    let editions = [EditionFacts::PLAIN];
    let post = facts(PostKind::Announcement, &groups, &editions);
    let off = Subscription { streams: vec![], ..member(&groups[0]) };
    let (second, third) = (member(&groups[1]), member(&groups[2]));
    let shares = shares(&post, &Person { account: &mexico(), subscriptions: &[(0, &off), (1, &second), (2, &third)], had: &[] });
    assert!(matches!(&shares[0], Share::Suppressed { reason, .. } if reason.rule == Rule::StreamOff));
    assert!(matches!(&shares[1], Share::Copy { group: 1, .. }));
    assert!(matches!(&shares[2], Share::Suppressed { reason, .. } if reason.text() == "ana@example.org gets it by SG12"));
}

fn any_subscription() -> impl Strategy<Value = (usize, u8, u8, bool, bool, Vec<u8>)> {
    (0..3_usize, 0..4_u8, 0..3_u8, any::<bool>(), any::<bool>(), proptest::collection::vec(0..3_u8, 0..3))
}

proptest! {
    /// Whatever is switched: every subscription has one share, and nobody gets two copies or an edition that is not there.
    #[test]
    fn nobody_twice_and_nobody_forgotten(
        drawn in proptest::collection::vec(any_subscription(), 0..6),
        kind in 0..5_usize,
        tongues in proptest::collection::vec(0..3_u8, 1..4),
        as_guest in any::<bool>(),
        had in proptest::collection::vec(0..3_u8, 0..2),
        coming in proptest::collection::vec(0..3_u8, 0..2),
    ) {
        let tongue = |n: &u8| language(["en", "es", "fr"][usize::from(*n)]);
        let groups = [regional(), group("SG12", GroupKind::Study), group("TSAG", GroupKind::Advisory)];
        let editions: Vec<_> = tongues.iter().map(|n| EditionFacts { language: Some(tongue(n)), form: Form::Whole }).collect();
        let coming: Vec<_> = coming.iter().map(tongue).collect();
        let had: Vec<_> = had.iter().map(tongue).collect();
        let kinds = [PostKind::Discussion, PostKind::Announcement, PostKind::Liaison, PostKind::Digest, PostKind::Meeting];
        let post = PostFacts { coming: &coming, ..facts(kinds[kind], &groups, &editions) };
        let mut subscriptions: Vec<(usize, Subscription)> = drawn.iter().map(|(index, state, mode, both, stream, languages)| {
            let mut subscription = member(&groups[*index]);
            subscription.both = *both;
            subscription.languages = languages.iter().map(tongue).collect();
            subscription.delivery.mode = [DeliveryMode::Each, DeliveryMode::Digest, DeliveryMode::None][usize::from(*mode)];
            if *stream {
                subscription.streams.pop();
            }
            if *state == 0 {
                subscription.state = SubscriptionState::Suspended(Reason::new(Rule::Bouncing, ["x"]));
            }
            (*index, subscription)
        }).collect();
        subscriptions.sort_by_key(|(index, _)| *index);
        subscriptions.dedup_by_key(|(index, _)| *index);
        let references: Vec<_> = subscriptions.iter().map(|(index, subscription)| (*index, subscription)).collect();
        let account = if as_guest { guest() } else { mexico() };
        let shares = shares(&post, &Person { account: &account, subscriptions: &references, had: &had });

        prop_assert_eq!(shares.len(), references.len());
        let copies: Vec<_> = shares.iter().filter(|share| matches!(share, Share::Copy { .. })).collect();
        prop_assert!(copies.len() <= 1);
        for (share, (index, _)) in shares.iter().zip(&references) {
            match share {
                Share::Copy { group, editions: chosen, .. } => {
                    prop_assert_eq!(group, index);
                    prop_assert!(!chosen.is_empty() && chosen.iter().all(|edition| *edition < editions.len()));
                    let mut once = chosen.clone();
                    once.sort_unstable();
                    once.dedup();
                    prop_assert_eq!(once.len(), chosen.len(), "an edition twice: {:?}", chosen);
                }
                Share::Suppressed { group, reason } => {
                    prop_assert_eq!(group, index);
                    prop_assert!(reason.rule != Rule::DuplicateOf || copies.len() == 1);
                }
            }
        }
    }
}
