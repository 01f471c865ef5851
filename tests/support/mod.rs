//! What the tests from outside share.
#![allow(dead_code, missing_docs, clippy::pedantic)]

pub mod client;
pub mod daemon;
pub mod dns;
pub mod postfix;
pub mod sink;
