//! The conformance suite of the stores, and what is particular to the embedded one.
//!
//! `suite` knows only `Arc<dyn Store>`; a backend joins by an instance of `Factory` and one line `conformance!`.

mod crash;
mod damage;
#[path = "../support/database.rs"]
#[allow(dead_code)]
mod database;
mod disk;
mod erasure;
mod postgres;
mod samples;
mod sled;
mod suite;
mod transfer;
