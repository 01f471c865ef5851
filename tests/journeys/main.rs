//! The binary from outside, from SMTP to the copies.
#![allow(missing_docs, clippy::pedantic, clippy::manual_is_multiple_of)]

#[path = "../support/mod.rs"]
mod support;

#[path = "../liaison/document.rs"]
#[allow(dead_code, unused)]
mod document;

mod archive;
mod backup;
mod commands;
mod crash;
#[path = "../support/database.rs"]
#[allow(dead_code)]
mod database;
mod digest;
mod ldap;
mod liaison;
mod links;
mod meeting;
mod nodes;
mod operation;
mod peers;
mod post;
mod postfix;
mod unsubscribe;
mod webhooks;
