//! Liaison statements: the formal letters between groups (ITU-T A.1, clause 1.5).
//!
//! `statement` is the record, `event` what happened to it and the state that follows, `view` its JSON form.
//! Pure like the whole floor: reading a mail is `mail::statement`'s business, keeping the record the service's.

pub mod bodies;
pub mod event;
pub mod following;
pub mod labels;
pub mod plain;
pub mod routing;
pub mod rules;
pub mod statement;
pub mod view;
pub mod wish;
