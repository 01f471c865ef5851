//! The calendars of those who come and go. The subscription is written, so what fails here is logged and undoes nothing.

use crate::domain::account::Account;
use crate::domain::group::GroupCode;
use crate::domain::subscription::Subscription;
use crate::service::{Services, meeting};

/// They are subscribers now: the meetings ahead go to them.
pub(super) async fn joined(services: &Services, group: &GroupCode, who: &[(Subscription, Account)]) {
    if let Err(error) = meeting::joined(services, group, who).await {
        tracing::warn!(group.code = %group, %error, "Could not send the meetings to those who joined");
    }
}

/// They are subscribers no more, and were as given: the meetings ahead leave their calendars.
pub(super) async fn left(services: &Services, group: &GroupCode, who: &[(Subscription, Account)]) {
    if let Err(error) = meeting::left(services, group, who).await {
        tracing::warn!(group.code = %group, %error, "Could not take the meetings back from those who left");
    }
}
