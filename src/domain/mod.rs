//! The rules: data in, decision with its reason out.
//!
//! No I/O, no clock, no randomness, no async: the caller fetched what is needed and passes the instant,
//! so that every rule can be tried at any date. Value types derive serde because they are stored and
//! shown whole (ARCHITECTURE.md, "Where this house differs").

pub mod account;
pub mod address;
pub mod archive;
pub mod audience;
pub mod bounce;
pub mod country;
pub mod destination;
pub mod gate;
pub mod group;
pub mod house;
pub mod id;
pub mod language;
pub mod ledger;
pub mod liaison;
pub mod lookalike;
pub mod meeting;
pub mod mistake;
pub mod period;
pub mod post;
pub mod proof;
pub mod reason;
pub mod reconfirm;
pub mod subscription;
pub mod webhook;
