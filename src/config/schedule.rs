use serde::Deserialize;

use super::Cron;

/// `[schedule]`: recurring jobs, on the clock of `service.timezone`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Schedule {
    /// Digests go out.
    pub digest: Cron,
    /// Readers who asked for it get the meetings and deadlines of the next eight weeks.
    pub outlook: Cron,
    /// Reminders of deadlines go out.
    pub deadlines: Cron,
    /// The directory is read again.
    pub directory_sync: Cron,
    /// Managers are asked to look through their subscribers.
    pub roster_review: Cron,
    /// Accounts that are due are asked to be confirmed, reminded, or rest (`directory.reconfirm`).
    pub reconfirm: Cron,
    /// Subscribers of groups that ask for it (`monthly_reminder`) are reminded of their subscriptions.
    pub subscription_reminder: Cron,
    /// Accounts and invitations end.
    pub expiry: Cron,
    /// The months of the archives that are over are sealed.
    pub archive_seal: Cron,
    /// What is older than `[retention]` says is removed.
    pub retention: Cron,
}

impl Default for Schedule {
    fn default() -> Self {
        Self {
            digest: Cron::known("0 0 7 * * *"),
            outlook: Cron::known("0 0 7 * * Mon"),
            deadlines: Cron::known("0 0 8 * * *"),
            directory_sync: Cron::known("0 15 * * * *"),
            roster_review: Cron::known("0 0 8 1 1 *"),
            reconfirm: Cron::known("0 30 8 * * *"),
            subscription_reminder: Cron::known("0 0 9 1 * *"),
            expiry: Cron::known("0 0 0 * * *"),
            archive_seal: Cron::known("0 0 4 1 * *"),
            retention: Cron::known("0 30 3 * * *"),
        }
    }
}
