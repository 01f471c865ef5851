//! Tells programs what happened, each at its own pace: a slow or dead receiver holds up nobody else.
//!
//! Takes no input: it asks the record, and sleeps until the next try, the store's bell, or two seconds. One node at a time does it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{self, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::service::{Failure, Services, webhook};
use crate::webhook::Client;

/// Longest sleep before looking again.
const LONGEST_SLEEP: Duration = Duration::from_secs(2);
/// The same while a program is being told.
const SLEEP_AT_WORK: Duration = Duration::from_millis(250);
/// Shortest one, so that a busy bell does not make us look without end.
const SHORTEST_SLEEP: Duration = Duration::from_millis(50);

/// Tells programs until `stop`.
pub async fn run(services: Arc<Services>, stop: CancellationToken) {
    let client = match Client::new(&services.config.webhooks) {
        Ok(client) => client,
        Err(error) => return warn!("No program can be told of events: {error}"),
    };
    let holder = services.chance();
    let mut bell = services.store.bell();
    let mut teller = Teller { services, client, holder, busy: HashMap::new(), tasks: JoinSet::new() };
    loop {
        // The bell is read before the record, so that what is written in between rings again.
        bell.borrow_and_update();
        teller.collect();
        if let Err(error) = teller.look().await {
            warn!("Could not look for events: {error}");
        }
        let wait = if teller.tasks.is_empty() { LONGEST_SLEEP } else { SLEEP_AT_WORK };
        tokio::select! {
            () = stop.cancelled() => break,
            () = tokio::time::sleep(wait) => continue,
            rung = bell.changed() => if rung.is_err() { break },
        }
        tokio::select! {
            () = stop.cancelled() => break,
            () = tokio::time::sleep(SHORTEST_SLEEP) => {}
        }
    }
    // What is under way is told again at the next start.
    teller.tasks.shutdown().await;
    if let Err(error) = webhook::resign(&teller.services, teller.holder).await {
        warn!("Could not hand the telling of events over: {error}");
    }
}

struct Teller {
    services: Arc<Services>,
    client: Client,
    holder: u64,
    /// Which task tells which program.
    busy: HashMap<task::Id, String>,
    tasks: JoinSet<Result<(), Failure>>,
}

impl Teller {
    /// Puts new events in order and starts a task for each program that has none.
    async fn look(&mut self) -> Result<(), Failure> {
        if !webhook::lead(&self.services, self.holder).await? {
            // Somebody else tells them now.
            self.tasks.abort_all();
            return Ok(());
        }
        webhook::place(&self.services).await?;
        for name in webhook::waiting(&self.services).await? {
            if self.busy.values().any(|busy| *busy == name) {
                continue;
            }
            let (services, client, told) = (Arc::clone(&self.services), self.client.clone(), name.clone());
            let task = self.tasks.spawn(async move { webhook::advance(&services, &client, &told).await });
            self.busy.insert(task.id(), name);
        }
        Ok(())
    }

    /// Takes note of tasks that have ended.
    fn collect(&mut self) {
        while let Some(ended) = self.tasks.try_join_next_with_id() {
            let (id, result) = match ended {
                Ok((id, result)) => (id, result.map_err(|error| error.to_string())),
                Err(error) if error.is_cancelled() => (error.id(), Ok(())),
                Err(error) => (error.id(), Err(error.to_string())),
            };
            let name = self.busy.remove(&id).unwrap_or_default();
            if let Err(error) = result {
                warn!(webhook = %name, "Could not tell a program of events: {error}");
            }
        }
    }
}
