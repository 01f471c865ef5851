//! Services over a store in a temporary folder, with a clock that stands: for the tests of this room.

use std::sync::Arc;

use chrono::TimeDelta;

use super::account::{self, Manner};
use super::{Actor, Services, group};
use crate::clock::Clock;
use crate::config::Config;
use crate::domain::group::GroupCode;
use crate::domain::id::PostId;
use crate::domain::post::{Arrival, Audience, Edition, Post, PostKind, PostState};
use crate::store::BodySource;
use crate::store::sled::{SledOptions, SledStore};
use crate::text::Texts;

pub(super) struct Trial {
    pub(super) services: Services,
    _folder: tempfile::TempDir,
}

pub(super) const GROUPS: &str = r#"
[[group]]
code = "SG12"
kind = "study"
list = "sg12"
name = { en = "Study Group 12" }
[[group]]
code = "AMR"
kind = "regional"
parent = "SG12"
region = "americas"
list = "amr"
name = { en = "Americas" }
supporting_members = ["Mexico", "Brazil"]
"#;

pub(super) const ACCOUNTS: &str = "email,name,kind,category,country,study_groups,languages,expires,roles
ana@x.test,Ana Example,ties,member-state,MX,,es,2026-11-30,
ben@x.test,Ben Example,ties,sector-member,FR,,en,,
gus@x.test,Gus Guest,guest,,,,,,
mia@x.test,Mia Manager,ties,member-state,BR,,en,,
";

pub(super) fn code(text: &str) -> GroupCode {
    text.parse().unwrap()
}

pub(super) fn operator() -> Actor {
    Actor::command_line()
}

impl Trial {
    /// Two groups and nobody, on 24 November 2026.
    pub(super) async fn empty() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = SledStore::open(folder.path(), SledOptions { floor_octets: Some(0), ..SledOptions::default() }).unwrap();
        let clock = Clock::manual("2026-11-24T10:00:00Z".parse().unwrap());
        let mut config = Config::default();
        config.service.data_dir = folder.path().to_owned();
        let texts = Arc::new(Texts::load(None).unwrap());
        let services = Services::new(store, Arc::new(config), texts, clock).await.unwrap();
        group::apply(&services, &operator(), GROUPS, "groups.toml", false).await.unwrap();
        Self { services, _folder: folder }
    }

    /// With four accounts.
    pub(super) async fn peopled() -> Self {
        let trial = Self::empty().await;
        let report = account::import(&trial.services, &operator(), ACCOUNTS.as_bytes(), "a.csv", Manner::default()).await.unwrap();
        assert!(report.problems.is_empty() && report.added == 4, "{report:?}");
        trial
    }

    /// A discussion of AMR with this text, accepted now and not kept yet; a test changes what matters to it.
    pub(super) async fn post(&self, id: PostId, text: &str) -> Post {
        let now = self.services.now();
        let body = self.services.store.put_body(BodySource::Bytes(text.to_owned().into())).await.unwrap();
        Post {
            id,
            groups: vec![code("AMR")],
            kind: PostKind::Discussion,
            message_id: format!("{id}@x.test"),
            subject: "x".into(),
            sender: None,
            author: None,
            received_at: now,
            not_before: now,
            editions: vec![Edition { language: None, body }],
            audience: Audience::Subscribers,
            state: PostState::Accepted,
            arrival: Arrival::default(),
            origin: String::new(),
        }
    }

    pub(super) fn advance_days(&self, days: i64) {
        self.services.clock.advance(TimeDelta::days(days));
    }

    /// `ana@x.test active, ben@x.test suspended outside-region` of a group.
    pub(super) async fn roster(&self, group: &str) -> String {
        let rows = super::subscribe::list(&self.services, &code(group)).await.unwrap();
        rows.iter().map(|row| format!("{} {}", row.address, row.state)).collect::<Vec<_>>().join(", ")
    }
}
