//! The binary from outside, from SMTP to the copies.
#![allow(missing_docs, clippy::pedantic)]

#[path = "../support/mod.rs"]
mod support;

mod commands;
mod crash;
#[path = "../support/database.rs"]
#[allow(dead_code)]
mod database;
mod digest;
mod nodes;
mod post;
mod postfix;
mod unsubscribe;
