//! The bell between nodes: NOTIFY after work was made, LISTEN to hear of the others' work.
//!
//! The own sleepers are woken at once; other nodes by a notification that is sent outside of any transaction and
//! gathered over some milliseconds, because commits with NOTIFY in them wait for each other. Only a bell: where there is
//! no LISTEN (CockroachDB), or while the connection is lost, sleepers are woken every few seconds instead.

use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::PgListener;
use tokio_util::sync::CancellationToken;

use super::Access;

/// Name of the channel.
const CHANNEL: &str = "enlace";
/// Over how long rings are gathered.
const GATHERED: Duration = Duration::from_millis(10);
/// How often sleepers are woken without any notification.
const REPAIR: Duration = Duration::from_secs(5);
/// The same while nothing can be heard.
const DEAF: Duration = Duration::from_secs(1);

/// Tells the other nodes, until `stop`.
pub(super) async fn tell(access: Arc<Access>, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = access.rung.notified() => {}
        }
        tokio::time::sleep(GATHERED).await;
        let query = sqlx::query("SELECT pg_notify($1, $2)").bind(CHANNEL).bind(access.node.to_string());
        if let Err(error) = query.execute(&access.pool).await {
            tracing::debug!(%error, "Could not ring the bell of other nodes");
        }
    }
}

/// Hears the other nodes, until `stop`.
#[allow(clippy::single_match_else)]
pub(super) async fn hear(access: Arc<Access>, stop: CancellationToken) {
    let own = access.node.to_string();
    let mut listener: Option<PgListener> = None;
    loop {
        if listener.is_none() {
            listener = tokio::select! {
                () = stop.cancelled() => return,
                connected = connect(&access) => connected,
            };
            // Whatever was told meanwhile is found by looking.
            access.bell.ring();
        }
        let heard = async {
            match listener.as_mut() {
                Some(listener) => tokio::time::timeout(REPAIR, listener.recv()).await.ok(),
                None => {
                    tokio::time::sleep(DEAF).await;
                    None
                }
            }
        };
        let heard = tokio::select! {
            () = stop.cancelled() => return,
            heard = heard => heard,
        };
        match heard {
            Some(Ok(told)) if told.payload() == own => {}
            Some(Ok(_)) | None => access.bell.ring(),
            Some(Err(error)) => {
                tracing::debug!(%error, "Deaf to the bell of other nodes");
                listener = None;
                tokio::time::sleep(DEAF).await;
            }
        }
    }
}

async fn connect(access: &Access) -> Option<PgListener> {
    let mut listener = PgListener::connect_with(&access.pool).await.ok()?;
    listener.listen(CHANNEL).await.ok()?;
    Some(listener)
}
