//! A time came: recurring jobs, the notices of meetings, digests that are full, programs that are to be told.
//!
//! Nothing is decided here. What is due is asked from the record each time ([`crate::domain::meeting::notices`], the cron
//! expressions of `[schedule]`), so that a restart, a clock that jumps or a second node changes nothing.

pub mod archive;
pub mod digests;
pub mod directory;
pub mod jobs;
pub mod liaisons;
pub mod notices;
pub mod outlook;
pub mod reviews;
pub mod tidy;
pub mod webhooks;
