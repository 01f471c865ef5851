//! Enlace: mailing lists, meeting announcements and liaison statements for regional groups.
//!
//! Seven floors, arrows only downward; `ARCHITECTURE.md` is the plan and `tests/architecture.rs` holds it.

// Floor 1: rules. Data in, decision with its reason out.
pub mod domain;
// Floor 2: bytes and values, no sockets.
pub mod clock;
pub mod config;
pub mod mail;
pub mod measure;
pub mod text;
// Floor 3: edges. Disk, sockets, directories.
pub mod directory;
pub mod search;
pub mod smtp;
pub mod store;
pub mod webhook;
// Floor 4: one function for one thing a person or a flow does.
pub mod service;
// Floor 5: flows. A mail came, a batch is due, a time came.
pub mod delivery;
pub mod ingest;
pub mod schedule;
// Floor 6: shells. Read input, call one service, print the answer.
pub mod cli;
pub mod web;
// Floor 7: the only room that knows all others.
pub mod serve;
