//! What comes back: read, scored, and what follows; moderation by mail; nobody is flooded.
#![allow(missing_docs, clippy::pedantic)]

#[path = "../support/database.rs"]
#[allow(dead_code)]
mod database;
#[path = "../support/mod.rs"]
mod support;

mod comeback;
mod corpus;
mod cut;
mod floods;
mod forms;
mod moderation;
mod reports;
