//! One change at a time of people, subscriptions and groups.
//!
//! These records are read, judged by rules that look at several of them, and written whole. Two changes at the same moment would
//! each write back what the other one has just changed: a suspension, or somebody's leaving, would be undone by a new address. They
//! are few beside mail, which only reads these records and waits for nobody.

use std::future::Future;

use super::{Failure, Services};

tokio::task_local! {
    /// Set while this task has its turn: a change that is part of another one belongs to its turn.
    static ITS_TURN: ();
}

impl Services {
    /// Carries `work` out while no other change of accounts, subscriptions and groups is under way, on this node or another one.
    /// What it goes by is to be read inside of `work`.
    ///
    /// # Errors
    /// When the store gives no turn; or what `work` fails with.
    pub async fn alone<T: Send>(&self, work: impl Future<Output = Result<T, Failure>> + Send) -> Result<T, Failure> {
        if ITS_TURN.try_with(|()| ()).is_ok() {
            return Box::pin(work).await;
        }
        let first = self.turn.lock().await;
        let turn = self.store.turn().await?;
        let done = ITS_TURN.scope((), Box::pin(work)).await;
        turn.end().await;
        drop(first);
        done
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::service::trial::{Trial, code, operator};
    use crate::service::{account, group};

    #[tokio::test(flavor = "multi_thread")]
    async fn changes_at_the_same_moment_do_not_undo_each_other() {
        let trial = Trial::peopled().await;
        let services = Arc::new(trial.services);
        let ana = || "ana@x.test".parse().unwrap();
        for round in 0..10 {
            let mut tasks = tokio::task::JoinSet::new();
            for (place, field) in ["name", "organisation", "languages"].into_iter().enumerate() {
                let value = if field == "languages" { ["en", "es", "fr"][round % 3].to_owned() } else { format!("{field} {round}") };
                let (services, field) = (Arc::clone(&services), format!("{field}={value}"));
                tasks.spawn(async move { account::set(&services, &operator(), &ana(), &[field], false).await.map(|_| place) });
            }
            let services_of_group = Arc::clone(&services);
            tasks.spawn(async move {
                group::set(&services_of_group, &operator(), &code("AMR"), &[("grace", &round.to_string())], false).await.map(|_| 9)
            });
            let services_of_group = Arc::clone(&services);
            tasks.spawn(async move {
                let purpose = format!("round {round}");
                group::set(&services_of_group, &operator(), &code("AMR"), &[("purpose.en", &purpose)], false).await.map(|_| 9)
            });
            while let Some(done) = tasks.join_next().await {
                done.unwrap().unwrap();
            }
            let kept = services.store.account_by_address(&ana()).await.unwrap().unwrap();
            let language = ["en", "es", "fr"][round % 3];
            assert_eq!((kept.name, kept.organisation), (format!("name {round}"), format!("organisation {round}")));
            assert_eq!(kept.languages, [language.parse().unwrap()]);
            let group = services.group(&code("AMR")).unwrap();
            assert_eq!(group.grace.as_secs(), u64::try_from(round).unwrap() * 60);
        }
    }
}
