//! The binary from outside, from SMTP to the copies.
#![allow(missing_docs, clippy::pedantic)]

#[path = "../support/mod.rs"]
mod support;

mod commands;
mod crash;
mod digest;
mod post;
mod postfix;
mod unsubscribe;
