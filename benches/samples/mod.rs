//! A group and accounts for the benchmarks.
#![allow(dead_code)]

use std::time::Duration;

use enlace::domain::account::{Account, AccountKind, Category, Standing};
use enlace::domain::group::{
    Group, GroupKind, GuestLiaison, GuestPolicy, MissingEdition, NonmemberPolicy, ParticipationPolicy, SubscriptionPolicy,
};
use enlace::domain::id::AccountId;
use enlace::domain::language::{Language, Localized};

/// A study group open to all.
pub fn group(code: &str, personal: bool) -> Group {
    Group {
        code: code.parse().unwrap(),
        kind: GroupKind::Study,
        parent: None,
        region: None,
        list: code.to_ascii_lowercase(),
        languages: vec![Language::ENGLISH],
        name: Localized::default(),
        timezone: chrono_tz::Tz::UTC,
        subscription: SubscriptionPolicy::Open,
        guests: GuestPolicy::Open,
        participation: ParticipationPolicy::Standard,
        nonmember: NonmemberPolicy::Reject,
        guest_liaison: GuestLiaison::Full,
        missing_edition: MissingEdition::Send,
        secretariat: Vec::new(),
        contact: None,
        supporting_members: Vec::new(),
        grace: Duration::ZERO,
        personal,
        footer: None,
        archive: enlace::domain::group::ArchiveAccess::Members,
        archive_keep: std::time::Duration::ZERO,
        aliases: Vec::new(),
        house: enlace::domain::house::HouseRules::default(),
        monthly_reminder: false,
        retired: false,
        parent_must_endorse: false,
        meetings: enlace::domain::meeting::OwnLeadTimes::default(),
    }
}

/// A subscriber of one of 500 domains.
pub fn account(number: u64) -> Account {
    Account {
        id: AccountId(number),
        addresses: vec![format!("reader{number:07}@d{:03}.example.org", number % 500).parse().unwrap()],
        name: String::new(),
        kind: AccountKind::Ties,
        category: Category::MemberState,
        organisation: String::new(),
        operating_agency: false,
        country: Some(*b"CH"),
        study_groups: Vec::new(),
        languages: Vec::new(),
        expires: None,
        roles: Vec::new(),
        standing: Standing::Active,
        source: "import".into(),
    }
}
