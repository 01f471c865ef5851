//! The queue as it changes, for a page that stays open: server-sent events (WHATWG HTML section 9.2).
//!
//! An event whenever the store rings its bell, at most one a second; a comment now and then keeps the connection open.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, stream};
use tokio_util::sync::CancellationToken;

use crate::service::command::{Commands, Order, Outcome};
use crate::service::{Actor, Services};

/// Shortest time between two events.
const PACE: Duration = Duration::from_secs(1);

/// Events named `queue` with what `queue list` prints.
pub(super) fn queue(services: &Arc<Services>, commands: Arc<dyn Commands>, actor: Actor, stop: CancellationToken) -> Response {
    let bell = services.store.bell();
    let events = stream::unfold((bell, commands, actor, true), |(mut bell, commands, actor, first)| async move {
        if !first {
            tokio::time::sleep(PACE).await;
            bell.changed().await.ok()?;
        }
        bell.mark_unchanged();
        let order = Order { words: vec!["queue".into(), "list".into()], files: Vec::new(), actor: actor.clone() };
        let event = match commands.carry_out(order).await {
            Outcome::Done { json, .. } => Event::default().event("queue").data(json.to_string()),
            Outcome::Failed { text, .. } => Event::default().event("problem").data(text.replace(['\r', '\n'], " ")),
        };
        Some((Ok::<_, Infallible>(event), (bell, commands, actor, false)))
    });
    // A shutdown waits for open answers: this one must not keep it.
    let events = events.take_until(stop.cancelled_owned());
    Sse::new(events).keep_alive(KeepAlive::default()).into_response()
}
