//! The conformance suite of the stores, and what is particular to the embedded one.
//!
//! `suite` knows only `Arc<dyn Store>`; a backend joins by an instance of `Factory` and one line `conformance!`.

mod crash;
mod damage;
mod disk;
mod samples;
mod sled;
mod suite;
