//! Answers of the relay on their way to the database: all that wait go together, in one statement and one commit.
//!
//! One task writes for the whole process. Answers for a batch that is closed, missing or shorter come back and are
//! dealt with one by one.

use std::collections::HashSet;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::Access;
use super::session::statement;
use super::values::{column, number};
use crate::store::{BatchKey, Result};

/// Most answers in one statement.
const TOGETHER: usize = 1000;

/// Some answers for one batch.
pub(super) struct Order {
    pub(super) key: BatchKey,
    /// Place among the answers of this node.
    pub(super) place: i64,
    /// Highest index of a recipient among them.
    pub(super) highest: u16,
    /// Stored form of the answers.
    pub(super) noted: Vec<u8>,
    /// Told `true` when they are on disk, `false` when the batch does not take them this way.
    pub(super) teller: oneshot::Sender<Result<bool>>,
}

/// Writes until the last sender is gone.
pub(super) async fn run(access: Arc<Access>, mut orders: mpsc::UnboundedReceiver<Order>) {
    let mut waiting = Vec::new();
    while orders.recv_many(&mut waiting, TOGETHER).await > 0 {
        let written = append(&access, &waiting).await;
        for order in waiting.drain(..) {
            let told = written.as_ref().map(|places| places.contains(&order.place)).map_err(Clone::clone);
            let _ = order.teller.send(told);
        }
    }
}

async fn append(access: &Access, orders: &[Order]) -> Result<HashSet<i64>> {
    let posts: Vec<i64> = orders.iter().map(|order| column(order.key.post.0)).collect();
    let numbers: Vec<i32> = orders.iter().map(|order| number(order.key.number)).collect();
    let places: Vec<i64> = orders.iter().map(|order| order.place).collect();
    let highest: Vec<i32> = orders.iter().map(|order| i32::from(order.highest)).collect();
    let noted: Vec<&[u8]> = orders.iter().map(|order| order.noted.as_slice()).collect();
    let written: Vec<i64> = statement!(access, |connection| {
        let query = sqlx::query_scalar(
            "WITH given AS (SELECT * FROM unnest($1::bigint[], $2::integer[], $3::bigint[], $4::integer[], $5::bytea[]) \
             AS g (post, number, place, highest, noted)), \
             held AS (SELECT b.post, b.number, b.size FROM batches b \
             WHERE (b.post, b.number) IN (SELECT post, number FROM given) AND NOT b.closed ORDER BY b.post, b.number FOR SHARE) \
             INSERT INTO outcomes (post, number, place, node, noted) \
             SELECT g.post, g.number, g.place, $6, g.noted FROM given g JOIN held h ON h.post = g.post AND h.number = g.number \
             WHERE g.highest < h.size RETURNING place",
        );
        let query = query.bind(&posts).bind(&numbers).bind(&places).bind(&highest).bind(&noted).bind(access.node);
        Ok(query.fetch_all(connection).await?)
    })?;
    Ok(written.into_iter().collect())
}
