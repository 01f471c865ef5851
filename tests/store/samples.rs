//! Records for the tests: people, groups, posts, plans.

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use enlace::domain::account::{Account, AccountKind, Category, Standing};
use enlace::domain::address::EmailAddress;
use enlace::domain::group::{
    Group, GroupCode, GroupKind, GuestLiaison, GuestPolicy, MissingEdition, NonmemberPolicy, ParticipationPolicy, SubscriptionPolicy,
};
use enlace::domain::id::{AccountId, PostId};
use enlace::domain::language::{Language, Localized};
use enlace::domain::ledger::{Outcome, PlannedRecipient, RecipientState};
use enlace::domain::post::{Arrival, Audience, Edition, Post, PostKind, PostState};
use enlace::domain::reason::{Reason, Rule};
use enlace::domain::subscription::{Absence, Provenance, Subscription};
use enlace::store::{BatchKey, BodySource, Kept, Store};

pub fn t0() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

pub fn seconds(count: i64) -> TimeDelta {
    TimeDelta::seconds(count)
}

pub fn code(text: &str) -> GroupCode {
    text.parse().unwrap()
}

pub fn address(text: &str) -> EmailAddress {
    text.parse().unwrap()
}

pub fn reason() -> Reason {
    Reason::new(Rule::Subscriber, ["SG12RG-AMR"])
}

pub fn account(id: u64, addresses: &[&str]) -> Account {
    Account {
        id: AccountId(id),
        addresses: addresses.iter().map(|text| address(text)).collect(),
        name: format!("Ana Example {id}"),
        kind: AccountKind::Ties,
        category: Category::MemberState,
        organisation: "Example Administration".into(),
        operating_agency: false,
        country: Some(*b"MX"),
        study_groups: vec![code("SG12")],
        languages: vec![Language::ENGLISH],
        expires: None,
        roles: Vec::new(),
        standing: Standing::Active,
        source: "import".into(),
    }
}

pub fn subscription(group: &str, id: u64) -> Subscription {
    let day = t0().date_naive();
    let absence = id.is_multiple_of(2).then_some(Absence { from: day, until: day });
    Subscription { absence, ..Subscription::new(code(group), AccountId(id), Provenance::Own, t0()) }
}

pub fn group(name: &str) -> Group {
    Group {
        code: code(name),
        kind: GroupKind::Regional,
        parent: Some(code("SG12")),
        region: None,
        list: name.to_lowercase(),
        languages: vec![Language::ENGLISH],
        name: Localized::single(Language::ENGLISH, format!("Group {name}")),
        timezone: chrono_tz::America::Mexico_City,
        subscription: SubscriptionPolicy::Open,
        guests: GuestPolicy::Approve,
        participation: ParticipationPolicy::Standard,
        nonmember: NonmemberPolicy::Reject,
        guest_liaison: GuestLiaison::Cover,
        missing_edition: MissingEdition::Wait(3),
        secretariat: Vec::new(),
        contact: None,
        supporting_members: vec!["Mexico".into()],
        grace: std::time::Duration::from_mins(10),
        personal: true,
        footer: None,
        house: enlace::domain::house::HouseRules::default(),
        monthly_reminder: false,
        archive: enlace::domain::group::ArchiveAccess::Members,
        archive_keep: std::time::Duration::ZERO,
        aliases: Vec::new(),
        retired: false,
        // Every other group uses what came after the first stored form.
        parent_must_endorse: name.len().is_multiple_of(2),
        meetings: enlace::domain::meeting::OwnLeadTimes {
            report: Some("6 weeks".parse().unwrap()).filter(|_| name.len().is_multiple_of(2)),
            ..enlace::domain::meeting::OwnLeadTimes::default()
        },
    }
}

/// A new identifier each time.
pub fn post_id() -> PostId {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    PostId::new(t0(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// An accepted post of 2,000 octets whose body is in the store.
pub async fn post(store: &dyn Store, id: PostId, group: &str) -> Post {
    let text = format!("Subject: {id}\r\n\r\n{}", "Good morning.\r\n".repeat(130));
    let body = store.put_body(BodySource::Bytes(Bytes::from(text))).await.unwrap();
    Post {
        id,
        groups: vec![code(group)],
        kind: PostKind::Discussion,
        message_id: format!("{id}@example.org"),
        subject: "Good morning".into(),
        sender: None,
        author: None,
        received_at: t0(),
        not_before: t0(),
        editions: vec![Edition { language: None, body }],
        audience: Audience::Subscribers,
        state: PostState::Accepted,
        arrival: Arrival::default(),
        origin: String::new(),
    }
}

/// Keeps a new post and says its identifier.
pub async fn keep(store: &dyn Store, group: &str) -> PostId {
    let id = post_id();
    let post = post(store, id, group).await;
    match store.keep_post(post, vec![format!("{group} {id}")]).await.unwrap() {
        Kept::New(kept) => assert_eq!(kept.get(), id),
        Kept::Repeated(other) => panic!("{id} was taken for {other:?}"),
    }
    id
}

pub fn recipient(number: u32, state: RecipientState) -> PlannedRecipient {
    PlannedRecipient {
        address: format!("user{number}@example.org"),
        account: Some(AccountId(number.into())),
        group: 0,
        edition: 0,
        state,
        reason: reason(),
    }
}

/// Keeps a post and plans it in batches of these sizes; everybody is to get it.
pub async fn planned(store: &dyn Store, group: &str, sizes: &[u32]) -> PostId {
    let id = keep(store, group).await;
    store.begin_plan(id).await.unwrap();
    let mut next = 0;
    for (number, size) in (0..).zip(sizes) {
        let recipients = (next..next + size).map(|number| recipient(number, RecipientState::Planned)).collect();
        store.add_batch(BatchKey { post: id, number }, recipients).await.unwrap();
        next += size;
    }
    store.finish_plan(id, u32::try_from(sizes.len()).unwrap(), t0()).await.unwrap();
    id
}

pub fn outcome(index: u16, state: RecipientState) -> Outcome {
    Outcome { index, state, at: t0() + seconds(5), reply: format!("250 2.0.0 {index} {}", state.as_str()) }
}
