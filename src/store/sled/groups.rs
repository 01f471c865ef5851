//! Groups: a row each.

use async_trait::async_trait;

use super::{SledStore, keys};
use crate::domain::group::Group;
use crate::store::{Groups, Result, record};

#[async_trait]
impl Groups for SledStore {
    async fn groups(&self) -> Result<Vec<Group>> {
        self.read(|reader, _| reader.scan(keys::GROUPS, None).map(|row| record::decode_grown("a group", &row?.1)).collect()).await
    }

    async fn put_groups(&self, groups: Vec<Group>) -> Result<()> {
        self.change(move |w| groups.iter().try_for_each(|group| w.changes.put(&keys::group(&group.code), &record::encode_grown(group)?)))
            .await
    }
}
