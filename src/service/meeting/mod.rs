//! Meetings: apply, list, show, plan, cancel, and send what is due.
pub mod file;
